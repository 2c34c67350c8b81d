"""Each public name has its text, and each call its signature, at runtime."""

import enum
import inspect
import re
import types
import typing
import unittest

import sluiceio
from sluiceio import aio


def ours(kind):
    """The public attributes of a class that Sluice gives it, without the members of an enum."""
    members = kind.__members__ if issubclass(kind, enum.Enum) else ()
    for base in kind.__mro__:
        if base.__module__.startswith("sluiceio"):
            for name, value in vars(base).items():
                if not name.startswith("_") and name not in members:
                    yield f"{kind.__name__}.{name}", value


def described():
    """Names and objects: what is exported, and what its classes have. A plain value has the text of its type."""
    for module in (sluiceio, aio):
        for name in module.__all__:
            value = getattr(module, name)
            yield name, value
            if inspect.isclass(value) and not typing.is_typeddict(value):
                yield from ours(value)
    for kind in (aio.Handle, aio.TimerHandle):
        yield from ours(kind)


class Docs(unittest.TestCase):
    def test_each_public_name_has_a_text(self):
        without = [name for name, value in described()
                   if not (isinstance(value.__doc__, str) and value.__doc__.strip())]
        self.assertEqual(without, [])

    def test_each_public_name_is_there_once(self):
        for module in (sluiceio, aio):
            names = module.__all__
            self.assertEqual([name for name in names if names.count(name) > 1], [], module)

    def test_what_is_in_c_is_among_them(self):
        names = {name for name, _ in described()}
        for name in ("Loop.write", "Loop.pull", "Loop.closed", "Event.kind", "Event.seen", "backends",
                     "poll.register", "EventLoop.call_soon", "SocketTransport.write", "Handle.cancel"):
            self.assertIn(name, names)

    def test_each_option_and_each_count_is_told_of(self):
        for kind in (sluiceio.LoopOptions, sluiceio.StreamOptions, sluiceio.ConnectOptions,
                     sluiceio.ListenOptions, sluiceio.Statistics):
            own = set(inspect.get_annotations(kind))
            if kind in (sluiceio.ConnectOptions, sluiceio.ListenOptions):
                own -= set(inspect.get_annotations(sluiceio.StreamOptions))
            told = set(re.findall(r"(\w+)(?=[^:\n]*: )", kind.__doc__))
            self.assertEqual(own - told, set(), kind)

    def test_each_call_has_a_signature(self):
        for name, value in described():
            if isinstance(value, (types.FunctionType, types.MethodDescriptorType,
                                  types.BuiltinFunctionType)):
                with self.subTest(name):
                    inspect.signature(value)
        self.assertEqual(str(inspect.signature(sluiceio.Loop.write)), "(self, stream, data, /)")
        self.assertEqual(str(inspect.signature(sluiceio.Loop.timer)),
                         "(self, first, repeat=0, /)")


if __name__ == "__main__":
    unittest.main()
