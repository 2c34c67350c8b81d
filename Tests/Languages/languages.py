"""The languages that Sluice is used from. Each language's programs are built as its users would
build them: against an installed library, or with the language's own package in Bindings.

A language has two programs: `server` is its echo server, and `checks` misuses the library. For each misuse
that was reported correctly, `checks` prints "ok WHAT", or what its test framework prints.
"""

import atexit
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/languages"
# Each run of tests has its own: the tests of the adapters may run at the same time as those of the languages.
FOLDER = tempfile.TemporaryDirectory(prefix="sluice-installed-")
atexit.register(FOLDER.cleanup)
PREFIX = pathlib.Path(FOLDER.name)
EXAMPLES = ROOT / "Examples"
GO_MODULE = ROOT / "Bindings/go"
NODE_PACKAGE = ROOT / "Bindings/node"
sys.path.append(str(ROOT / "Tests/Programs"))  # for sockets.py


def environment():
    """An environment in which pkg-config, linkers and programs find what was installed."""
    return os.environ | {
        "PKG_CONFIG_PATH": f"{PREFIX}/lib/pkgconfig",
        "LD_LIBRARY_PATH": f"{PREFIX}/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CARGO_TARGET_DIR": f"{BUILD}/rust",
        "CARGO_NET_OFFLINE": "true",
        "GOCACHE": f"{BUILD}/go-cache",
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }


def run(command, **options):
    """Runs a command to its end. If it fails, the error has its output."""
    options = {"cwd": ROOT, "env": environment(), "timeout": 300} | options
    result = subprocess.run(
        [str(part) for part in command], text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}:\n{result.stdout}")
    return result.stdout


@functools.cache
def install():
    """Installs the library, once for all languages."""
    run(["make", "-s", "install", f"PREFIX={PREFIX}", "DESTDIR="])


def pkg_config(*options):
    return run(["pkg-config", *options, "sluice"]).split()


class Language:
    """A language that needs no building. It needs `tool`, which is in Debian's `package`."""

    not_compiled = set()  # misuses that a program cannot show, because they do not compile

    def __init__(self, name, folder, tool, package, server, checks=None):
        self.name = name
        self.folder = folder
        self.tool = tool
        self.missing = tool  # in words
        self.package = package
        self.server = ROOT / server
        self.checks = ROOT / (checks or f"Tests/Languages/{folder}/checks{self.server.suffix}")

    def is_installed(self):
        return shutil.which(self.tool) is not None

    @functools.cache
    def command(self, program):
        """The command for `server` or `checks`, which is built first."""
        install()
        source = getattr(self, program)
        target = BUILD / self.folder / program
        target.parent.mkdir(parents=True, exist_ok=True)
        return [str(part) for part in self.build(source, target)]

    def build(self, source, target):
        return [self.tool, source]


class Python(Language):
    """Uses the package, in the environment that it was installed into."""

    environment = ROOT / "build/python"

    @functools.cache
    def is_installed(self):
        """Whether there can be an environment. If not, the reason is shown. Any other failure is an error."""
        made = subprocess.run([ROOT / "Tools/python-env", self.environment], check=False)
        if made.returncode not in {0, 77}:
            raise AssertionError(f"Tools/python-env ended with {made.returncode}")
        return made.returncode == 0

    def build(self, source, target):
        python = [self.environment / "bin/python", "-W", "error"]
        return [*python, "-m", *(("sluiceio", "echo") if source == self.server
                                 else ("unittest", "-v", source))]


class CLike(Language):
    standards = ["c11"]
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-O2"]

    def build(self, source, target):
        *others, last = self.standards
        for standard in others:
            run([self.tool, f"-std={standard}", *self.flags, "-fsyntax-only", source,
                 *pkg_config("--cflags")])
        run([self.tool, f"-std={last}", *self.flags, source, "-o", target,
             *pkg_config("--cflags", "--libs"), "-pthread"])
        return [target]


class CPlusPlus(CLike):
    standards = ["c++17", "c++20"]  # there is more of sluice.hpp in the second


class Rust(Language):
    """Uses Cargo, like the crate's users: an example and a test of the crate."""

    manifest = ROOT / "Bindings/rust/Cargo.toml"
    # See the documentation of the crate, and test_rust.py.
    not_compiled = {"wrong kind", "wrong thread"}

    def cargo(self, *arguments, **options):
        command, *others = arguments
        return run(["cargo", command, f"--manifest-path={self.manifest}", *others], **options)

    def build(self, source, target):
        what = "test" if source == self.checks else "example"
        said = self.cargo("test" if what == "test" else "build", f"--{what}", source.stem,
                          *["--no-run"] * (what == "test"), "--message-format=json", "--quiet")
        messages = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return [next(message["executable"] for message in messages
                     if message.get("executable") and message["target"]["name"] == source.stem)]


class Go(Language):
    """The module, with the core that `make go-module` puts into it."""

    readme = GO_MODULE / "README.md"

    def build(self, source, target):
        run(["make", "-s", "go-module"])
        run(["go", "vet", "./..."], cwd=GO_MODULE)
        if source == self.checks:
            run(["go", "test", "-c", "-o", target, "."], cwd=GO_MODULE)
            return [target, "-test.v"]
        run(["go", "build", "-o", target, "."], cwd=source.parent)
        return [target]

    def build_elsewhere(self, program, folder):
        """A user's program, whose go.mod has what the README says."""
        [module] = re.findall(r"^```\n(require .*?)^```", self.readme.read_text(), re.DOTALL | re.MULTILINE)
        (folder / "go.mod").write_text(
            "module client\n\ngo 1.19\n\n" + module.replace("/path/to/sluice", str(ROOT)))
        (folder / "main.go").write_text(program)
        run(["go", "vet", "."], cwd=folder)
        run(["go", "build", "-o", "echo", "."], cwd=folder)
        return [str(folder / "echo")]


class Node(Language):
    """The package, with its addon, which `make node-package` builds."""

    @functools.cache
    def is_installed(self):
        """Whether there are Node.js and its headers, which the addon is built with."""
        if not super().is_installed():
            return False
        self.missing = "node_api.h of Node.js"
        folder = run([self.tool, "-p", "path.resolve(process.execPath, '../../include/node')"])
        return pathlib.Path(folder.strip(), "node_api.h").exists()

    def build(self, source, target):
        run(["make", "-s", "node-package"])
        return [self.tool, "--throw-deprecation", source]


RUST = Rust("Rust", "rust", "cargo", "cargo", "Bindings/rust/examples/echo.rs",
            "Bindings/rust/tests/checks.rs")

GO = Go("Go", "go", "go", "golang-go", "Bindings/go/examples/echo/main.go",
        "Bindings/go/checks_test.go")
NODE = Node("Node.js", "js", "node", "nodejs and libnode-dev", "Bindings/node/examples/echo.js",
            "Bindings/node/tests/checks.js")
PYTHON = Python("Python", "python", "python3", "python3-venv", "Bindings/python/src/sluiceio/__main__.py",
                "Bindings/python/tests/test_loop.py")

LANGUAGES = [
    CLike("C", "c", "gcc", "gcc", "Examples/c/server.c"),
    CPlusPlus("C++", "cpp", "g++", "g++", "Examples/cpp/echo.cpp"),
    PYTHON,
    RUST,
    GO,
    NODE,
]


def installed():
    """The languages that are installed. For each other language, one line names it once."""
    for language in LANGUAGES:
        if language.is_installed():
            yield language
        else:
            tell_missing(language)


@functools.cache
def tell_missing(language):
    print(f"{language.name}: not tested, since there is no {language.missing}; "
          f"make deps-languages installs Debian's {language.package}", file=sys.stderr)


def for_each_language(case):
    """Makes one test for each method and language: test_x gives test_x_python, …"""
    for name, method in list(vars(case).items()):
        if name.startswith("test_"):
            delattr(case, name)
            for language in installed():
                setattr(case, f"{name}_{language.folder}", of_language(method, language))
    return case


def of_language(method, language):
    def test(self):
        method(self, language)

    test.__doc__ = method.__doc__ and f"{language.name}: {method.__doc__}"
    return test
