"""A pseudo-terminal, for programs that speak with a person."""

import os
import pty
import select
import termios
import time

from sockets import PATIENCE
from support import Program

END_OF_INPUT = b"\x04"


class AtTerminal(Program):
    """A program whose standard input and output are a terminal, at which we type.

    The terminal does not show what is typed. So it shows only the program's output.
    """

    def __enter__(self):
        self.terminal, its_side = pty.openpty()
        settings = termios.tcgetattr(its_side)
        settings[1] &= ~termios.OPOST
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(its_side, termios.TCSANOW, settings)
        self.shown = b""
        self.options = {"stdin": its_side, "stdout": its_side} | self.options
        try:
            return super().__enter__()
        finally:
            os.close(its_side)

    def __exit__(self, kind, error, traceback):
        if error is not None:
            error.add_note(f"the terminal showed last: {self.shown[-300:]!r}")
        os.close(self.terminal)
        super().__exit__(kind, error, traceback)

    def type(self, text):
        os.write(self.terminal, text)

    def wait_to_see(self, text):
        """Waits until `text` is shown, and forgets everything up to its end."""
        end = time.monotonic() + PATIENCE
        while text not in self.shown:
            if not self.look(end - time.monotonic()):
                raise AssertionError(f"waited in vain to see {text[:100]!r}")
        before, _, self.shown = self.shown.partition(text)
        return before

    def look(self, seconds):
        """Takes what is shown next. Returns false if there is no more."""
        if not select.select([self.terminal], [], [], max(0, seconds))[0]:
            return False
        try:
            self.shown += os.read(self.terminal, 1 << 16)
        except OSError:  # nobody has the other side any more
            return False
        return True
