"""sluice-echo --version."""

from support import ROOT, ProgramTest, run


class Version(ProgramTest):
    def test_it_is_that_of_the_file(self):
        done = run("sluice-echo", "--version")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(done.stdout.decode(), (ROOT / "VERSION").read_text())
