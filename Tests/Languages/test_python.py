"""The package of Bindings/python: what would be published builds by itself, and one build is for every
CPython. `make test-python` runs its own tests."""

import re
import tarfile
import tempfile
import unittest
import zipfile

from languages import BUILD, PYTHON, ROOT, run

VALUES = ROOT / "Bindings/python/src/sluiceio/_values.py"


@unittest.skipUnless(PYTHON.is_installed(), "there is no environment for Python's package")
class PythonTest(unittest.TestCase):
    def test_what_would_be_published_builds_from_the_one_file(self):
        version = (ROOT / "VERSION").read_text().strip()
        run(["make", "-s", "python-package"])
        source = BUILD / f"python/sluice_io-{version}.tar.gz"
        with tarfile.open(source) as files:
            names = {name.split("/", 1)[1] for name in files.getnames() if "/" in name}
        self.assertLessEqual({"core/sluice.c", "core/sluice.h", "README.md"}, names)
        with tempfile.TemporaryDirectory() as folder:
            run([PYTHON.environment / "bin/pip", "wheel", "--quiet", "--disable-pip-version-check",
                 "--no-build-isolation", "--no-deps", "--wheel-dir", folder, source], cwd=folder)
            wheel = f"{folder}/sluice_io-{version}-cp311-abi3-linux_x86_64.whl"
            with zipfile.ZipFile(wheel) as files:
                self.assertIn("sluiceio/_core.abi3.so", files.namelist())

    def test_values_are_those_of_the_library(self):
        layout = (ROOT / "Tests/ABI/layout.txt").read_text()
        text = VALUES.read_text()
        prefixes = {"Kind": "", "Interest": "", "HandleKind": "KIND_"}
        for name, prefix in prefixes.items():
            body = re.search(rf"^class {name}\(.*?(?=^class )", text, re.DOTALL | re.MULTILINE)[0]
            values = re.findall(r"^    ([A-Z]\w*) = (\w+)$", body, re.MULTILINE)
            self.assertGreater(len(values), 5)
            for value, number in values:
                self.assertRegex(
                    layout, rf"(?m)^ *SLUICE_{prefix}{value} = {int(number, 0)}$", f"{name}.{value}")
        codes = re.findall(r"^class (\w+)\(Error\):.*?code = (-\d+)", text, re.DOTALL | re.MULTILINE)
        self.assertGreater(len(codes), 7)
        for name, code in codes:
            self.assertRegex(layout, rf"(?m)^ *SLUICE_E\w+ = {code}$", name)


if __name__ == "__main__":
    unittest.main()
