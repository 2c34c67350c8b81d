"""CPython's own tests, with what is Sluice's in the place of what they are of.

    python stdlib.py selectors|asyncio [--stock] [test.test_asyncio.test_streams ...]

They are those of the Python that runs this. Prints each test that did not pass, and the counts. With
--stock nothing is put in, to compare. A test that is known not to pass is in the list below.

Some of them wait for a tenth of a second for what another thread or process is to do, which is too short on a
busy machine. As CPython's own runner does with --rerun, each that did not pass is run once more, by itself, and
has failed only if it fails again.
"""

import asyncio
import pkgutil
import selectors
import sys
import unittest

import sluiceio
from sluiceio import aio

# README.md says why.
KNOWN = {"test.test_selectors.EpollSelectorTestCase.test_register_file"}


def put_in_selectors():
    """Has the module have Sluice's selectors."""
    for name in ("SelectSelector", "PollSelector", "EpollSelector", "DefaultSelector"):
        setattr(selectors, name, getattr(sluiceio, name))


def put_in_asyncio():
    """Has whoever asks asyncio for a loop for Unix get Sluice's, and its handles. A selector that is given
    is not used."""

    class Loop(aio.EventLoop):
        def __init__(self, selector=None):
            super().__init__()
            if selector is not None:
                selector.close()

    for module in (asyncio, asyncio.events):
        module.Handle, module.TimerHandle = aio.Handle, aio.TimerHandle
    for name in ("SelectorEventLoop", "EventLoop"):
        for module in (asyncio, asyncio.unix_events):
            if hasattr(module, name):
                setattr(module, name, Loop)
    for name in ("DefaultEventLoopPolicy", "_DefaultEventLoopPolicy", "_UnixDefaultEventLoopPolicy"):
        if policy := getattr(asyncio.unix_events, name, None):
            policy._loop_factory = Loop


class Result(unittest.TextTestResult):
    """Writes down each test that did not pass, and knows those that cannot."""

    def addFailure(self, test, err):
        if test.id() in KNOWN:
            self.addExpectedFailure(test, err)
        else:
            super().addFailure(test, err)
        print("failed", test.id(), flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        print("error", test.id(), flush=True)


def modules_of(what):
    """The names of the standard library's test modules."""
    if what == "selectors":
        return ["test.test_selectors"]
    from test import test_asyncio

    names = [module.name for module in pkgutil.iter_modules(test_asyncio.__path__)]
    return [f"test.test_asyncio.{name}" for name in names if name.startswith("test_")]


def main(arguments):
    what, *names = [name for name in arguments if name != "--stock"]
    stock = "--stock" in arguments
    if not stock:
        put_in_selectors() if what == "selectors" else put_in_asyncio()
    suite = unittest.TestSuite()
    for name in names or modules_of(what):
        try:
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(name))
        except unittest.SkipTest as skipped:
            print("left out:", name, skipped)
    runner = unittest.TextTestRunner(sys.stderr, resultclass=Result, verbosity=0)
    result = runner.run(suite)
    # The name of a subtest has more behind a space.
    failed = {test.id().partition(" ")[0] for test, _ in result.failures + result.errors}
    again = [name for name in failed if not passes(runner, name)]
    count = len(again) + len(result.expectedFailures)
    print(f"{what}, {'its own' if stock else 'on Sluice'}: "
          f"{result.testsRun - count - len(result.skipped)} passed, {count} failed, "
          f"{len(result.skipped)} skipped, of {result.testsRun}; "
          f"{len(failed) - len(again)} of those that passed did so when they were run again")
    return bool(again)


def passes(runner, name):
    """Runs a test by itself, and says whether it passes. A failed setUpClass cannot be run by itself."""
    if name.startswith(("setUp", "tearDown")):
        return False
    return runner.run(unittest.defaultTestLoader.loadTestsFromName(name)).wasSuccessful()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
