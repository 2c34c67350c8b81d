"""Examples/c/filter.c: it feeds a command and reads from it at the same time, and says how the command ended."""

import functools
import hashlib
import os
import random
import subprocess
import tempfile
import unittest

from languages import BUILD, EXAMPLES, LANGUAGES, environment, install

PATIENCE = 60
LENGTH = 10_000_000


@functools.cache
def filter_program():
    install()
    target = BUILD / "c/filter"
    target.parent.mkdir(parents=True, exist_ok=True)
    language = next(language for language in LANGUAGES if language.name == "C")
    return language.build(EXAMPLES / "c/filter.c", target)[0]


def run_filter(*command, data=b"", **options):
    options = {"input": data, "stdout": subprocess.PIPE} | options
    return subprocess.run(
        [filter_program(), *command], stderr=subprocess.PIPE, env=environment() | {"LC_ALL": "C"},
        timeout=PATIENCE, check=False, **options)


def lines(length):
    numbers = random.Random(1)
    found = []
    while length > 0:
        found.append(b"%x\n" % numbers.getrandbits(8 * numbers.randrange(1, 40)))
        length -= len(found[-1])
    return found


class FilterTest(unittest.TestCase):
    def test_sort_of_ten_megabytes(self):
        given = lines(LENGTH)
        result = run_filter("sort", data=b"".join(given))
        self.assertEqual(result.stderr, b"filter: sort ended with 0\n")
        self.assertEqual(result.returncode, 0)
        # Compared as one value, because a difference of megabytes says nothing.
        expected = hashlib.sha256(b"".join(sorted(given))).hexdigest()
        self.assertEqual(hashlib.sha256(result.stdout).hexdigest(), expected)

    def test_a_command_that_answers_while_it_is_fed(self):
        data = random.Random(2).randbytes(LENGTH)
        result = run_filter("cat", data=data)
        self.assertEqual(result.returncode, 0)
        self.assertTrue(result.stdout == data)

    def test_input_and_output_that_are_files(self):
        data = b"".join(lines(LENGTH // 10))
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(data)
            source.seek(0)
            result = run_filter("cat", input=None, stdin=source, stdout=target)
            target.seek(0)
            self.assertEqual(result.returncode, 0)
            self.assertTrue(target.read() == data)

    def test_a_command_that_does_not_read_to_the_end(self):
        result = run_filter("head", "-c", "5", data=b"first" + bytes(LENGTH))
        self.assertEqual(result.stdout, b"first")
        self.assertEqual(result.returncode, 0)

    def test_output_that_nobody_reads(self):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as closed:
            result = run_filter("cat", data=bytes(LENGTH), stdout=closed)
        self.assertEqual(result.stderr, b"filter: cat was ended by the signal 13\n")

    def test_no_input(self):
        result = run_filter("sort")
        self.assertEqual((result.stdout, result.returncode), (b"", 0))

    def test_how_it_ended(self):
        result = run_filter("sh", "-c", "exit 3")
        self.assertEqual(result.stderr, b"filter: sh ended with 3\n")
        self.assertEqual(result.returncode, 3)
        result = run_filter("sh", "-c", "kill -9 $$")
        self.assertEqual(result.stderr, b"filter: sh was ended by the signal 9\n")
        self.assertEqual(result.returncode, 137)

    def test_a_command_that_there_is_not(self):
        result = run_filter("no-such-command")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"no-such-command", result.stderr)


if __name__ == "__main__":
    unittest.main()
