"""What the linker takes from the archive if it drops what a program does not need (--gc-sections).
The helper thread that looks up names is linked only if the program can ask for names."""

import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "CSources/CSluice/include"
ARCHIVE = ROOT / "build/libsluice.a"

WITHOUT_ADDRESSES = """
#include <sluice.h>

int main(void) {
    sluice_loop *loop;
    sluice_event event;
    sluice_id id;
    if (sluice_open(&loop, NULL) < 0 || sluice_adopt(loop, &id, 0, NULL) < 0)
        return 1;
    while (sluice_next(loop, &event, SLUICE_FOREVER) > 0)
        sluice_write(loop, id, event.data, event.length);
    sluice_after_fork(loop);
    return sluice_destroy(loop);
}
"""

THAT_ASKS = """
#include <sluice.h>

int main(void) {
    sluice_loop *loop;
    sluice_open(&loop, NULL);
    return sluice_%s(loop, NULL, "127.0.0.1:9999", %s);
}
"""

# The lookup, and the thread that does it in the background.
LOOKUP = "getaddrinfo"
THREAD = "pthread_create"


def needed(source):
    """Which of these two a program made from this source needs from libc."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "program")
        command = ["gcc", "-std=c11", "-O2", f"-I{INCLUDE}", "-Wl,--gc-sections", "-x", "c", "-"]
        command += ["-x", "none", ARCHIVE, "-o", program]
        subprocess.run(command, input=source, text=True, check=True)
        listing = subprocess.run(
            ["nm", "--undefined-only", program], capture_output=True, text=True, check=True
        ).stdout
    names = {line.split()[-1].split("@")[0] for line in listing.splitlines()}
    return names & {LOOKUP, THREAD}


class SectionsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run(
            ["make", "-s", "lib"], cwd=ROOT, check=True, capture_output=True, timeout=300
        )

    def test_who_adopts_has_no_resolver(self):
        self.assertEqual(needed(WITHOUT_ADDRESSES), set())

    def test_who_listens_has_no_helper_thread(self):
        echo = (ROOT / "Examples/c/echo.c").read_text()
        self.assertEqual(needed(echo), {LOOKUP})

    def test_who_connects_or_resolves_has_both(self):
        self.assertEqual(needed(THAT_ASKS % ("connect", "NULL")), {LOOKUP, THREAD})
        self.assertEqual(needed(THAT_ASKS % ("resolve", "0, 0")), {LOOKUP, THREAD})


if __name__ == "__main__":
    unittest.main()
