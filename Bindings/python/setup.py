"""Builds sluiceio._core for every CPython from 3.11 on: the C core and the binding in one extension.

A source package has the core in `core`, as one file: see `make python-package`. Within Sluice's own
repository it is compiled from where it stands, so that no copy of it can be an old one. Those files
are named when the extension is built, and not before: setuptools takes no path outside of a package.
"""

import ast
import json
import pathlib
from collections.abc import Iterator

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1] / "CSources/CSluice"
IN_TREE = TREE.exists()
CORE = TREE if IN_TREE else HERE / "core"
VERSION = HERE.parents[1] / "VERSION" if IN_TREE else CORE / "VERSION"


STUB = HERE / "src/sluiceio/_core.pyi"


def texts(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The names and the texts of what a stub describes. Those of methods begin with the signature, as
    inspect.signature wants it."""
    for node in body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        text = ast.get_docstring(node)
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            for each in ast.walk(node.args):
                if isinstance(each, ast.arg):
                    each.annotation = None
            words = ast.unparse(node.args)
            signature = f"${words}" if prefix else f"$module, {words}".removesuffix(", ")
            text = text and f"{node.name}({signature})\n--\n\n{text}"
        if text:
            yield prefix + node.name, text
        if isinstance(node, ast.ClassDef):
            yield from texts(node.body, f"{node.name}_")


def write_docs(folder: pathlib.Path) -> None:
    """docs.h: each text of the stub as a macro, for the tables in C."""
    stub = ast.parse(STUB.read_text(encoding="utf-8"))
    lines = [f"#define DOC_{name} {json.dumps(text)}\n" for name, text in texts(stub.body)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "docs.h").write_text("".join(lines), encoding="utf-8")


class BuildWithCore(build_ext):
    def build_extension(self, extension: Extension) -> None:
        write_docs(pathlib.Path(self.build_temp))
        extension.include_dirs.append(self.build_temp)
        extension.sources += sorted(str(file) for file in CORE.rglob("*.c"))
        super().build_extension(extension)


class StableWheel(bdist_wheel):
    """One wheel for all: it names the oldest Python that it is for."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp311"
        super().finalize_options()


setup(
    version=VERSION.read_text(encoding="utf-8").strip(),
    cmdclass={"build_ext": BuildWithCore, "bdist_wheel": StableWheel},
    ext_modules=[
        Extension(
            "sluiceio._core",
            sources=sorted(f"native/{file.name}" for file in (HERE / "native").glob("*.c")),
            depends=[str(STUB)] + sorted(str(file) for folder in (HERE / "native", CORE)
                           for file in folder.rglob("*.h")),
            include_dirs=[str(CORE), str(CORE / "include"), "native"],
            define_macros=[("SLUICE_API", '__attribute__((visibility("hidden")))')],
            extra_compile_args=["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow",
                                "-Werror=implicit-function-declaration"],
            extra_link_args=[f"-Wl,--version-script={HERE}/native/exports.map"],
            py_limited_api=True,
        )
    ],
)
