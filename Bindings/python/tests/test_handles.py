"""The handles of an event loop of Sluice's, and its turns. CPython's own tests of handles (stdlib.py) have
these put in, too."""

import asyncio
import contextvars
import gc
import logging
import threading
import unittest
import weakref

from sluiceio import aio

try:
    import _testcapi
except ImportError:
    _testcapi = None


class Handles(unittest.TestCase):
    def setUp(self):
        self.loop = aio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.problems = []
        self.loop.set_exception_handler(lambda _, problem: self.problems.append(problem))

    def turn(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def test_callbacks_come_in_order_each_once_with_what_they_were_given(self):
        calls = []
        for count in (0, 1, 2, 6, 7, 50):
            self.loop.call_soon(lambda *args: calls.append(args), *range(count))
        self.turn()
        self.turn()
        self.assertEqual(calls, [tuple(range(count)) for count in (0, 1, 2, 6, 7, 50)])

    def test_what_a_callback_adds_is_the_next_turns(self):
        calls = []

        def again():
            calls.append(1)
            self.loop.call_soon(again)

        self.loop.call_soon(again)
        self.turn()
        self.assertEqual(len(calls), 1)

    def test_a_handle_is_one_of_asyncios(self):
        soon = self.loop.call_soon(print, 1)
        later = self.loop.call_later(60, print, 2)
        from_a_thread = self.loop.call_soon_threadsafe(print, 3)
        for handle in (soon, later, from_a_thread):
            self.assertIsInstance(handle, asyncio.Handle)
            self.assertIn("print", repr(handle))
            handle.cancel()
            self.assertTrue(handle.cancelled())
            self.assertIn("cancelled", repr(handle))
        self.assertIsInstance(later, asyncio.TimerHandle)
        self.turn()

    def test_a_cancelled_one_is_not_called_and_lets_go_of_what_it_had(self):
        class Argument:
            pass

        argument = Argument()
        gone = weakref.ref(argument)
        soon = self.loop.call_soon(self.fail, argument)
        later = self.loop.call_later(0, self.fail, argument)
        del argument
        for handle in (soon, later):
            handle.cancel()
            handle.cancel()
        self.assertIsNone(gone())
        self.turn()
        self.turn()
        self.assertEqual(self.problems, [])

    def test_a_callback_may_cancel_its_own_handle(self):
        handles = []

        def cancel(*args):
            handles[0].cancel()
            self.assertEqual(args, ("an argument", [1]))

        handles.append(self.loop.call_soon(cancel, "an argument", [1]))
        self.turn()
        self.assertEqual(self.problems, [])

    def test_what_a_callback_raises_is_told_with_its_handle(self):
        def fail(number):
            raise ZeroDivisionError(number)

        handle = self.loop.call_soon(fail, 5)
        timer = self.loop.call_later(0, fail, 6)
        self.turn()
        self.turn()
        self.assertEqual([problem["handle"] for problem in self.problems], [handle, timer])
        self.assertEqual([problem["exception"].args for problem in self.problems], [(5,), (6,)])
        self.assertIn("fail(", self.problems[0]["message"])
        self.assertEqual(self.problems[0]["exception"].__traceback__.tb_frame.f_code.co_name, "fail")

    def test_what_ends_a_program_ends_the_run_and_the_rest_comes_later(self):
        for kind in (SystemExit, KeyboardInterrupt):
            calls = []

            def end(kind=kind):
                raise kind

            self.loop.call_soon(end)
            self.loop.call_soon(calls.append, 1)
            self.assertRaises(kind, self.loop.run_forever)
            self.assertEqual(calls, [])
            self.turn()
            self.assertEqual(calls, [1])

    def test_each_callback_has_its_context(self):
        number = contextvars.ContextVar("number", default=0)
        seen = []
        own = contextvars.copy_context()
        own.run(number.set, 7)
        self.loop.call_soon(lambda: seen.append(number.get()), context=own)
        self.loop.call_soon(lambda: seen.append(number.get()), context=None)
        self.loop.call_later(0, lambda: seen.append(number.get()), context=own)
        self.loop.call_soon(number.set, 9)
        self.turn()
        self.turn()
        self.assertEqual((seen, number.get()), ([7, 0, 7], 0))

    def test_a_call_of_another_shape_is_refused_as_by_asyncio(self):
        stock = asyncio.BaseEventLoop
        for call, own, words in (
            (self.loop.call_soon, stock.call_soon, {}),
            (self.loop.call_soon, stock.call_soon, {"callback": print, "other": 1}),
            (self.loop.call_at, stock.call_at, {"when": 1}),
            (self.loop.call_at, stock.call_at, {"when": None, "callback": print}),
        ):
            with self.assertRaises(TypeError) as ours:
                call(**words)
            with self.assertRaises(TypeError) as theirs:
                own(self.loop, **words)
            self.assertEqual(str(ours.exception), str(theirs.exception))
        self.loop.call_soon(callback=self.loop.stop)
        self.loop.run_forever()

    def test_a_closed_loop_takes_none(self):
        self.loop.close()
        for call in (self.loop.call_soon, self.loop.call_soon_threadsafe):
            self.assertRaisesRegex(RuntimeError, "Event loop is closed", call, print)
        self.assertRaisesRegex(RuntimeError, "Event loop is closed", self.loop.call_later, 1, print)

    def test_debug_mode_says_where_a_callback_comes_from_and_which_is_slow(self):
        def fail():
            raise ZeroDivisionError

        self.loop.set_debug(True)
        self.assertTrue(self.loop.get_debug())
        self.loop.slow_callback_duration = 0
        handle = self.loop.call_soon(fail)
        self.assertEqual(handle._source_traceback[-1].name, self._testMethodName)
        with self.assertLogs("asyncio", logging.WARNING) as told:
            self.turn()
        self.assertIn("Executing <Handle", told.output[0])
        self.assertIn("source_traceback", self.problems[0])
        self.loop.slow_callback_duration = 60
        thread = threading.Thread(target=self.from_another_thread)
        self.loop.call_soon(thread.start)
        self.loop.call_soon(thread.join)
        self.turn()
        self.loop.set_debug(False)
        self.assertIs(self.loop.get_debug(), False)

    def from_another_thread(self):
        with self.assertRaisesRegex(RuntimeError, "Non-thread-safe"):
            self.loop.call_soon(print)

    def test_a_handle_made_before_debug_mode_is_cancelled_in_it(self):
        timer = self.loop.call_later(60, print)
        self.loop.set_debug(True)
        timer.cancel()
        self.assertEqual(self.loop._timer_cancelled_count, 1)
        self.assertIn("cancelled", repr(timer))
        self.turn()
        self.assertEqual((self.loop._scheduled, self.loop._timer_cancelled_count), ([], 0))

    def test_timers_come_by_time_and_cancelled_ones_do_not_pile_up(self):
        calls = []
        now = self.loop.time()
        for when in (3, 1, 2):
            self.loop.call_at(now + when / 1000, calls.append, when)
        timers = [self.loop.call_later(60, self.fail) for _ in range(1000)]
        for timer in timers[:-1]:
            timer.cancel()
        while len(calls) < 3:
            self.turn()
        self.assertEqual(calls, [1, 2, 3])
        self.assertLess(len(self.loop._scheduled), 200)
        timers[-1].cancel()
        self.turn()
        self.assertEqual((self.loop._scheduled, self.loop._timer_cancelled_count), ([], 0))

    def test_a_subclass_may_have_call_soon_call_at_and_the_time_its_own(self):
        calls = []

        class Late(aio.EventLoop):
            def call_soon(self, callback, *args, context=None):
                calls.append("soon")
                return super().call_soon(callback, *args, context=context)

            def call_at(self, when, callback, *args, context=None):
                calls.append("at")
                return super().call_at(when, callback, *args, context=context)

            def time(self):
                return super().time() + 1000

        async def main():
            await asyncio.sleep(0.001)

        with asyncio.Runner(loop_factory=Late) as runner:
            runner.run(main())
            self.assertGreater(runner.get_loop().time(), 1000)
        self.assertIn("at", calls)
        self.assertIn("soon", calls)

    def test_nothing_is_kept_of_handles_that_have_run(self):
        class Argument:
            pass

        kept = weakref.WeakSet()
        for _ in range(100):
            argument = Argument()
            argument.handle = self.loop.call_soon(lambda _: None, argument)  # a cycle
            kept.add(argument)
            kept.add(argument.handle)
        del argument
        self.turn()
        gc.collect()
        self.assertEqual(len(kept), 0)

    def test_a_long_chain_of_handles_takes_no_deep_stack_to_go(self):
        for make in (self.loop.call_soon, lambda call: self.loop.call_at(9e9, call)):
            handle = make(print)
            for _ in range(200_000):
                handle = make(handle._run)
            self.loop._ready.clear()
            self.loop._scheduled.clear()
            gone = weakref.ref(handle)
            del handle
            self.assertIsNone(gone())

    def test_a_handle_that_lacks_what_it_calls_is_told_of(self):
        for name in ("_callback", "_context", "_args"):
            handle = self.loop.call_soon(list)
            delattr(handle, name)
        self.loop._ready.append(aio.Handle.__new__(aio.Handle))
        with self.assertRaises(AttributeError):  # it has no loop that could be told
            self.turn()
        self.assertEqual([type(problem["exception"]) for problem in self.problems], [TypeError] * 2)
        self.turn()

    def test_a_handle_takes_its_arguments_from_a_list_too(self):
        calls = []
        self.loop._ready.append(aio.Handle(lambda *args: calls.append(args), [1, 2], self.loop))
        self.turn()
        self.assertEqual(calls, [(1, 2)])

    @unittest.skipIf(_testcapi is None, "nothing here takes the memory away")
    def test_where_there_is_no_memory_a_call_says_so_and_all_goes_on(self):
        def failures(call, *args):
            for number in range(20):
                _testcapi.set_nomemory(number, number + 1)
                try:
                    call(*args)
                except MemoryError:
                    yield number
                finally:
                    _testcapi.remove_mem_hooks()

        calls = []
        add = calls.append
        self.assertIn(0, list(failures(self.loop.call_soon, lambda *args: add(args), 1, 2, 3, 4, 5, 6, 7)))
        self.assertIn(0, list(failures(self.loop.call_at, 0, lambda *args: add(args), 1)))
        self.turn()
        self.turn()
        self.assertLessEqual(set(calls), {(1, 2, 3, 4, 5, 6, 7), (1,)})
        self.assertGreater(len(calls), 10)

    def test_a_timer_of_no_number_does_not_keep_the_others_waiting(self):
        calls = []
        self.loop.call_at(float("nan"), calls.append, 1)
        self.loop.call_later(0.001, self.loop.stop)
        self.loop.run_forever()
        self.assertEqual(calls, [1])

    def test_the_queue_cannot_be_taken_away(self):
        with self.assertRaises(AttributeError):
            del self.loop._ready
        self.turn()


if __name__ == "__main__":
    unittest.main()
