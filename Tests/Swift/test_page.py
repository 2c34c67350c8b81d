"""The programs of docs/swift.md, docs/async.md and the article for DocC compile without a warning. They print
the text below them, and servers echo. If a program should not compile, the compiler refuses it with the words below
it. If a program should not run, it ends with these words."""

import concurrent.futures
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

import building

ARTICLE = "Tools/site/Sluice.docc/AServerInTenMinutes.md"
PAGE = "".join(
    (building.ROOT / name).read_text() for name in ("docs/swift.md", "docs/async.md", ARTICLE)
)
# A block of Swift, and the text that comes next on the page. Each block has such a text.
BLOCKS = re.findall(r"^```swift\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", PAGE, re.DOTALL | re.M)


def fault(block):
    """What is wrong with a block, or None."""
    source, expected = block
    is_server = "127.0.0.1:9999" in source
    if is_server:
        source = source.replace("127.0.0.1:9999", "127.0.0.1:0")  # any free port
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "program")
        is_refused = expected.startswith("error: ")
        code, said = building.compiled(
            folder, source, source.startswith("// main.swift\n"), None if is_refused else program
        )
        if is_refused:
            return None if code != 0 and expected.strip() in said else said
        if code != 0 or said:
            return said
        if is_server:
            return server_fault(program, expected)
        result = subprocess.run(
            [program], capture_output=True, text=True, timeout=60, check=False
        )
        if result.returncode < 0:
            return None if expected.strip() in result.stderr else result.stderr
        if (result.returncode, result.stdout) != (0, expected):
            return f"{result.returncode} {result.stdout} {result.stderr}"
    return None


def server_fault(program, expected):
    """The same for a server. It does not end by itself, so it is ended once it has echoed."""
    # Otherwise its line would stay in its buffer, because it does not go to a terminal.
    with subprocess.Popen(["stdbuf", "-oL", program], stdout=subprocess.PIPE, text=True) as server:
        try:
            said, _, port = server.stdout.readline().rpartition(":")
            if f"{said}:9999\n" != expected:
                return said
            with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as client:
                client.sendall(b"hello")
                got = client.recv(5, socket.MSG_WAITALL)
            return None if got == b"hello" else repr(got)
        finally:
            server.kill()


class PageTest(unittest.TestCase):
    def test_each_block_says_what_comes_of_it(self):
        self.assertEqual([source for source, expected in BLOCKS if not expected], [])
        self.assertEqual(len(BLOCKS), PAGE.count("```swift\n"))

    def test_the_programs_do_what_the_pages_say(self):
        # The article has programs of docs/async.md.
        blocks = list(dict.fromkeys(BLOCKS))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for block, found in zip(blocks, pool.map(fault, blocks)):
                with self.subTest(source=block[0]):
                    self.assertIsNone(found)


if __name__ == "__main__":
    unittest.main()
