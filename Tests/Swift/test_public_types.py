"""A program that imports Foundation, Dispatch, Synchronization and SystemPackage beside Sluice can name every
public type of Sluice without a prefix. The types are read from the sources, so that none is forgotten."""

import re
import tempfile
import unittest

import building

TYPE = re.compile(
    r"^( *)(public )?(?:\w+ )*?(extension|struct|class|enum|actor|protocol|typealias) (\w+)(<)?"
)


def public_types():
    """The kind and the name of each public type, with the types around it, and with Int for its generic
    parameters."""
    types = []
    for path in sorted((building.ROOT / "Sources/Sluice").rglob("*.swift")):
        around = []
        for line in path.read_text().splitlines():
            if not (found := TYPE.match(line)):
                continue
            indent, public, kind, name, generic = found.groups()
            around = around[: len(indent) // 4] + [name]
            if public and kind != "extension":
                types.append((kind, ".".join(around) + ("<Int>" if generic else "")))
    return types


def use(index, kind, name):
    """A declaration that names a type."""
    if kind == "typealias":
        return f"let use{index}: {name}? = nil"
    if kind == "protocol":
        return f"func use{index}(_: some {name}) {{}}"
    return f"func use{index}(_: borrowing {name}) {{}}"


class NamesTest(unittest.TestCase):
    def test_the_types_are_found(self):
        names = [name for _, name in public_types()]
        self.assertEqual(len(names), len(set(names)))
        declared = re.compile(
            r"^ *public (final )?(struct|class|enum|actor|protocol|typealias) ", re.M
        )
        sources = (building.ROOT / "Sources/Sluice").rglob("*.swift")
        self.assertEqual(len(names), sum(len(declared.findall(path.read_text())) for path in sources))
        for name in ("Loop.Tasks", "Inbound.Copies.Iterator", "EventLoop", "EventLoop.Poster", "Event.Kind", "PerStream<Int>", "StreamID"):
            self.assertIn(name, names)

    def test_all_can_be_named_beside_other_modules(self):
        modules = ("Dispatch", "Foundation", "Sluice", "Synchronization", "SystemPackage")
        lines = [f"import {module}" for module in modules]
        for index, (kind, name) in enumerate(public_types()):
            lines.append(use(index, kind, name))
        with tempfile.TemporaryDirectory() as folder:
            found = building.compiled(folder, "\n".join(lines) + "\n", False)
        self.assertEqual(found, (0, ""))


if __name__ == "__main__":
    unittest.main()
