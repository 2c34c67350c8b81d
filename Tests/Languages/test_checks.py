"""Misuse that must be reported, and must never be undefined, is reported in each language."""

import re
import unittest

from languages import NODE, for_each_language, run

# Every language shows these. Some show more.
REPORTED = {"stale id", "wrong kind", "wrong thread", "use after close", "errors", "wake",
            "what became of a write", "names", "listener from elsewhere"}

# The wrappers show these. In C a code says it.
OF_STREAMS = {"a stream that is gone", "over the hard limit", "abort with a reason",
              "what comes again", "a file that is sent"}

# Languages show these if they do not take options as C has them.
OF_OPTIONS = {"options of a loop", "options of a listener", "options of a stream",
              "options out of range", "adopt"}

# Node.js shows these. Other languages that have them show them in tests of their own.
OF_NODE = {"several events by one call", "what is attached to a handle", "a poller",
           "signals as events"}


def reported_in(output):
    """What a program has reported as correct: in its own words, or in those of the tests of Rust, Go or
    Python."""
    words = re.findall(r"^ok (.*)$|^test[ _](\w+) (?:\(.*\) )?\.\.\. ok$|^ +--- PASS: \w+/(\S+)", output,
                       re.MULTILINE)
    return {re.sub("[_-]", " ", "".join(each)) for each in words}


@for_each_language
class ChecksTest(unittest.TestCase):
    def test_misuse_is_reported(self, language):
        output = run(language.command("checks"))
        reported = reported_in(output)
        expected = set(REPORTED)
        if language.folder != "c":
            expected |= OF_STREAMS
        if language.folder not in {"c", "cpp"}:
            expected |= OF_OPTIONS
        if language is NODE:
            expected |= OF_NODE
        self.assertLessEqual(expected - language.not_compiled, reported, output)


if __name__ == "__main__":
    unittest.main()
