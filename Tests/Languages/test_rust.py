"""The crate of Bindings/rust: its documentation, what must not compile, and its copies of what
is in sluice.h."""

import pathlib
import re
import subprocess
import tarfile
import tempfile
import unittest

from languages import BUILD, ROOT, RUST, environment, run

SOURCES = ROOT / "Bindings/rust/src"


def blocks_that_fail():
    """(code, program) of each compile_fail in the documentation. The program is what rustdoc would compile."""
    documentation = re.sub(r"^//! ?", "", (SOURCES / "lib.rs").read_text(), flags=re.MULTILINE)
    found = re.findall(r"^```compile_fail,(E\d+)\n(.*?)^```", documentation,
                       re.DOTALL | re.MULTILINE)
    return [(code, re.sub(r"^# ?", "", block, flags=re.MULTILINE)) for code, block in found]


def compiled(program):
    """The codes of the errors that rustc prints, or an empty set."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "program.rs")
        source.write_text(program)
        result = subprocess.run(
            ["rustc", "--edition", "2021", "--extern", f"sluice={BUILD}/rust/debug/libsluice.rlib",
             "--emit", "metadata", source, "-o", f"{folder}/out"],
            text=True, capture_output=True, timeout=300, check=False)
    codes = set(re.findall(r"^error\[(E\d+)\]", result.stderr, re.MULTILINE))
    if (result.returncode == 0) != (not codes):
        raise AssertionError(f"{program}: {result.stderr}")
    return codes


def compiler_version():
    said = subprocess.run(["rustc", "--version"], text=True, capture_output=True, check=True).stdout
    return tuple(map(int, re.search(r"(\d+)\.(\d+)", said).groups()))


@unittest.skipUnless(RUST.is_installed(), "there is no cargo")
class RustTest(unittest.TestCase):
    def test_the_examples_of_the_documentation(self):
        """Programs that should compile do so, and run. The others do not compile."""
        said = RUST.cargo("test", "--doc")
        self.assertRegex(said, r"\b[1-9]\d* passed; 0 failed")

    def test_what_must_not_compile_has_the_error_that_it_should(self):
        """A stable rustdoc does not look at the code: it accepts any error."""
        RUST.cargo("build", "--quiet")
        blocks = blocks_that_fail()
        self.assertGreater(len(blocks), 7)
        for code, program in blocks:
            with self.subTest(program):
                self.assertEqual(compiled(program), {code})

    def test_rustdoc_has_no_warning(self):
        RUST.cargo("doc", "--no-deps", env=environment() | {"RUSTDOCFLAGS": "-D warnings"})

    def test_edition_2024_takes_the_source_too(self):
        if compiler_version() < (1, 85):
            self.skipTest("this rustc has no edition 2024")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["rustc", "--edition", "2024", "-D", "warnings", "--cfg", "unsafe_extern",
                 "--check-cfg", "cfg(unsafe_extern)", "--crate-type", "lib", "--emit", "metadata",
                 SOURCES / "lib.rs", "-o", f"{folder}/out"], check=True, timeout=300)

    def test_what_would_be_published_builds_from_the_one_file(self):
        version = (ROOT / "VERSION").read_text().strip()
        run(["make", "-s", "crate"])
        [crate] = (BUILD / "rust/package").glob("*.crate")
        self.assertEqual(crate.name, f"sluice-io-{version}.crate")
        with tarfile.open(crate) as files:
            names = {name.split("/", 1)[1] for name in files.getnames()}
        self.assertLessEqual({"core/sluice.c", "core/sluice.h", "build.rs", "README.md"}, names)

    def test_values_and_sizes_are_those_of_the_library(self):
        written = (SOURCES / "sys.rs").read_text()
        layout = (ROOT / "Tests/ABI/layout.txt").read_text()
        constants = re.findall(r"^pub const (SLUICE_\w+): \w+ = (-?\d+);", written, re.MULTILINE)
        self.assertEqual(len(constants), written.count("pub const "))
        for name, value in constants:
            self.assertRegex(layout, rf"(?m)^ *{name} = {value}$")
        sizes = re.findall(r"size_of::<Raw(\w+)>\(\) == (\d+)", written)
        self.assertEqual(len(sizes), 6)
        for name, size in sizes:
            name = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
            self.assertRegex(layout, rf"(?m)^struct sluice_{name}: size {size}$")


if __name__ == "__main__":
    unittest.main()
