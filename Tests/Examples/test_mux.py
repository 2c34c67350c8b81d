"""Examples/swift/mux, through pipes and a terminal."""

import os
import pty
import signal
import subprocess

from examples import PATIENCE, Example, ExampleTest


class MuxTest(ExampleTest):
    def mux(self, *command, **options):
        # SIGHUP ends the child. Whoever runs the tests may have told us to ignore SIGHUP.
        mux = self.enterContext(Example(
            "mux", *command, is_server=False,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL), **options))
        if mux.process.stdin:
            self.addCleanup(mux.process.stdin.close)
        return mux

    def test_it_ends_when_the_child_has(self):
        mux = self.mux("sh", "-c", "echo one; echo two; exit 3", stdin=subprocess.PIPE)
        self.assertEqual(mux.wait(), 0)
        said = mux.output().splitlines()
        self.assertEqual([line for line in said if line.startswith("child")],
                         ["child: one", "child: two"])
        self.assertEqual(said[-1], "the child has ended with 3")
        self.assertIn("end of the child's output: in order, 0 bytes unsent", said)

    def test_all_at_once(self):
        mux = self.mux("sh", "-c", "echo begun; read x < $0; echo $x", self.fifo(),
                       stdin=subprocess.PIPE)
        mux.wait_for("child: begun\n")
        mux.process.stdin.write(b"hello\n")
        mux.process.stdin.flush()
        mux.wait_for("input: hello\n")
        mux.wait_for("2 s\n")
        mux.process.stdin.close()
        mux.wait_for("end of input\n")
        self.path.write_text("goodbye\n")
        self.assertEqual(mux.wait(), 0)
        self.assertIn("child: goodbye\n", mux.output())
        self.assertLess(mux.output().index("1 s\n"), mux.output().index("2 s\n"))

    def fifo(self):
        self.path = self.folder() / "fifo"
        os.mkfifo(self.path)
        return self.path

    def test_input_that_ends_at_once_does_not_spin(self):
        mux = self.mux("sleep", "100")  # its input is /dev/null
        mux.wait_for("end of input\n")
        mux.wait_for("1 s\n")
        self.assertLess(mux.cpu_share(), 0.2)
        mux.process.send_signal(signal.SIGINT)
        self.assertEqual(mux.wait(), 0)

    def test_a_signal_ends_the_child_first(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            mux = self.mux("sleep", "100", stdin=subprocess.PIPE)
            mux.wait_for("1 s\n")
            mux.process.send_signal(number)
            self.assertEqual(mux.wait(), 0)
            self.assertIn(f"signal {int(number)}\n", mux.output())
            self.assertIn("the child has ended with 1\n", mux.output())

    def test_a_second_signal_does_not_wait(self):
        mux = self.mux("sh", "-c", "trap '' HUP; echo deaf; read x < $0", self.fifo(),
                       stdin=subprocess.PIPE)
        mux.wait_for("deaf\n")
        mux.process.send_signal(signal.SIGINT)
        mux.wait_for("signal 2\n")
        mux.process.send_signal(signal.SIGTERM)
        self.assertEqual(mux.wait(), 0)
        self.assertIn("signal 15\nnot waiting for the child\n", mux.output())
        self.path.write_text("and so the child ends\n")

    def test_at_a_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        mux = self.mux("sleep", "100", stdin=theirs, start_new_session=True)
        os.close(theirs)
        os.write(ours, b"typed\n")
        mux.wait_for("input: typed\n")
        os.write(ours, b"\x04")
        mux.wait_for("end of input\n")
        mux.process.send_signal(signal.SIGINT)
        self.assertEqual(mux.process.wait(PATIENCE), 0)
