"""sluice-echo serve --watch in tmux, and --inspect in a browser: what a person sees.

PICTURES=folder keeps a picture of the page, and the screen as text.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "Programs"))

from browser import NAME, Browser
from sockets import PATIENCE, exchange, unix_address
from support import ProgramTest, program, wait_until
from test_echo_shown import Inspected, connect, send_what_fits

PICTURES = os.environ.get("PICTURES")


@unittest.skipUnless(NAME, "there is no chromium-headless-shell")
class PageTest(ProgramTest):
    def test_rows_come_move_and_go(self):
        with Inspected("--max-queue", "65536") as server, Browser() as browser, \
                server.connect() as client, server.connect() as slow:
            exchange(client, b"x" * 1234)
            browser.open(f"http://{server.page}/")
            browser.wait_for("state.textContent.startsWith('serving for')")
            browser.wait_for("inputs.innerText.includes('1,234 bytes')")
            self.assertEqual(browser.value("inputs.querySelectorAll('.row').length"), 2)
            self.assertEqual(browser.value("outputs.innerText"), "")
            held = "outputs.querySelectorAll('.held').length == 1"
            wait_until(lambda: send_what_fits(slow) or browser.value(held), "one is held")
            port = client.getsockname()[1]
            browser.wait_for(f"inputs.innerText.includes(':{port}')")
            browser.wait_for("lives.querySelectorAll('rect.data').length > 1")
            browser.wait_for("Array.from(turns.children).some(bar => bar.clientHeight > 10)")
            browser.wait_for("words.textContent.includes('data of stream')")
            if PICTURES:
                browser.picture(pathlib.Path(PICTURES) / "inspect.png")
            client.close()
            browser.wait_for(f"gone.innerText.includes(':{port}')")
            browser.wait_for("lives.querySelectorAll('rect.closed').length == 1")
            browser.wait_for("gone.innerText == ''")
            slow.close()
            server.interrupt()
            browser.wait_for("state.textContent.includes('has gone')")
            # The stream of pictures has ended, and nothing else is wrong.
            wrong = [error for error in browser.errors if "/events" not in str(error)]
            self.assertEqual(wrong, [])


@unittest.skipUnless(shutil.which("tmux"), "there is no tmux")
class ScreenTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", f"{self.folder.name}/socket", "-f", "/dev/null", *words],
                              capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait_to_see(self, *words):
        def look():
            self.seen = self.screen()
            return all(word in self.seen for word in words)
        try:
            wait_until(look, f"{words} on the screen")
        except AssertionError as error:
            error.add_note(self.seen)
            raise
        return self.seen

    def test_it_fills_the_terminal_and_follows_its_size(self):
        address = unix_address()
        self.tmux("set-option", "-g", "remain-on-exit", "on", ";",
                  "new-session", "-d", "-x", "90", "-y", "24", "--",
                  *program("sluice-echo", "serve", "--watch", "--listen", address))
        self.addCleanup(self.tmux, "kill-server")
        self.wait_to_see("sluice-echo at", "reading 0", "q quit")
        clients = [self.enterContext(connect(address)) for _ in range(30)]
        for client in clients:
            exchange(client, b"hello")
        for columns, rows in ((90, 24), (60, 12), (120, 40)):
            self.tmux("resize-window", "-x", str(columns), "-y", str(rows))
            def fits():
                lines = self.screen().splitlines()
                return len(lines) == rows and "full speed" in lines[-1] and "sluice-echo" in lines[0]
            wait_until(fits, f"the picture has {rows} lines")
            if rows == 24:
                screen = self.wait_to_see("reading 30", " more", "data of stream")
                if PICTURES:
                    (pathlib.Path(PICTURES) / "watch.txt").write_text(screen)
        self.tmux("send-keys", "s", "p")
        self.wait_to_see("paused, by queued")
        self.tmux("send-keys", "C-c")
        self.wait_to_see("served 30 connections", "Pane is dead (status 0")


if __name__ == "__main__":
    unittest.main()
