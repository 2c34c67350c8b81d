"""The built libraries export what symbols.txt lists, and sluice.h lays out what layout.txt says.

If a difference is intended, make abi updates both files. Review the difference there.
"""

import re
import subprocess
import unittest

import abi

# What libsluice-libevent.so needs from libsluice.so, and nobody else should use.
REGISTER = "sluice_poller_register"
REMEDY = "where this is meant, run: make abi"


def names_of(words, *command):
    """The names in those lines of nm that have so many words, as they are or with their versions."""
    output = subprocess.run(
        command, cwd=abi.ROOT, check=True, capture_output=True, text=True, timeout=300).stdout
    lines = [line.split() for line in output.splitlines()]
    return {line[-1] for line in lines if len(line) == words and line[-2] != "A"}


def without_versions(names):
    return {name.split("@")[0] for name in names}


def symbols_of(*command):
    return names_of(3, *command)


class ABITest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        subprocess.run(["make", "-s", "lib", "lib-libevent"], cwd=abi.ROOT, check=True, timeout=300)
        cls.header = abi.header_text()
        cls.listed = set(re.findall(r"\b(sluice_\w+)\(", abi.committed("symbols.txt")))

    def test_the_header_declares_what_is_listed(self):
        self.assertEqual(abi.symbols(self.header), abi.committed("symbols.txt"), REMEDY)

    def test_the_header_lays_out_what_is_listed(self):
        self.assertEqual(abi.layout(self.header), abi.committed("layout.txt"), REMEDY)

    def test_the_shared_library_exports_what_is_listed(self):
        exported = symbols_of("nm", "-D", "--defined-only", "build/libsluice.so")
        self.assertEqual(without_versions(exported), self.listed | {REGISTER})

    def test_each_symbol_of_the_shared_library_has_a_version(self):
        exported = symbols_of("nm", "-D", "--defined-only", "build/libsluice.so")
        versions = re.findall(r"^SLUICE_\d+\.\d+", (abi.ROOT / "Packaging/sluice.map").read_text(),
                              re.MULTILINE)
        self.assertEqual({name.split("@@")[1] for name in exported},
                         {"SLUICE_PRIVATE", *versions})
        self.assertIn(f"{REGISTER}@@SLUICE_PRIVATE", exported)

    def test_the_archive_exports_what_is_listed(self):
        exported = symbols_of("nm", "--extern-only", "--defined-only", "build/libsluice.a")
        self.assertEqual(exported, self.listed | {REGISTER})

    def test_libevents_library_exports_one_symbol_and_needs_one(self):
        library = "build/libsluice-libevent.so"
        exported = symbols_of("nm", "-D", "--defined-only", library)
        needed = names_of(2, "nm", "-D", "--undefined-only", library)
        self.assertEqual(exported, {"sluice_libevent_register@@SLUICE_LIBEVENT_0.1"})
        self.assertEqual({name for name in needed if name.startswith("sluice")},
                         {f"{REGISTER}@SLUICE_PRIVATE"})

    def test_every_struct_enum_and_declaration_of_the_header_was_read(self):
        """The lists come from patterns. Nothing would check what the patterns do not match."""
        self.assertEqual(len(re.findall(r"\bstruct \w+ \{", self.header)),
                         len(abi.structs(self.header)))
        self.assertEqual(len(re.findall(r"\benum\b[^;]*?\{", self.header)),
                         len(abi.enumerators(self.header)))
        self.assertEqual(len(re.findall(r"^SLUICE_API\b", self.header, re.MULTILINE)),
                         len(abi.declarations(self.header)))
        constants = {name for names in abi.enumerators(self.header).values() for name in names}
        constants |= set(abi.macros(self.header))
        others = {"SLUICE_H", "SLUICE_API"}
        self.assertEqual(set(re.findall(r"\bSLUICE_\w+", self.header)) - others, constants)

    def test_no_function_is_only_inline(self):
        """A foreign-function interface finds symbols, and an inline function may have none."""
        self.assertNotRegex(self.header, r"\binline\b")

    def test_no_macro_takes_arguments(self):
        """A macro with a value has it in layout.txt, to copy. Another macro could not be copied."""
        self.assertNotRegex(self.header, r"#define \w+\(")


if __name__ == "__main__":
    unittest.main()
