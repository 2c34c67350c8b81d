"""Compiles and runs Swift programs against the module that `swift build` has built."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("SLUICE_SWIFT_BUILD", ROOT / ".build")) / "debug"
OPTIONS = ["-swift-version", "6", "-strict-memory-safety"] + [
    f"-I{folder}"
    for folder in (
        BUILD / "Modules",
        ROOT / "CSources/CSluice/include",
        ROOT / "CSources/CSluiceLibevent/include",
        BUILD / "../checkouts/swift-system/Sources/CSystem/include",
    )
]
LINKED = ("CSluice", "CSluiceLibevent", "CSystem", "Logging", "Sluice", "SystemPackage")


def compiled(folder, source, is_main, to=None):
    """Compiles `source`, as main.swift or as a file of declarations, into the program `to`. Without `to`,
    it compiles far enough to check everything: ownership and lifetimes are checked in SIL. Returns the
    exit code and the output."""
    path = pathlib.Path(folder, "main.swift" if is_main else "Program.swift")
    path.write_text(source)
    command = ["swiftc", *OPTIONS, path]
    if not is_main:
        command.append("-parse-as-library")
    if to:
        objects = [each for name in LINKED for each in (BUILD / f"{name}.build").rglob("*.o")]
        command += ["-o", to, *objects, "-levent_core"]
    else:
        command += ["-emit-sil", "-o", "/dev/null"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return result.returncode, result.stdout + result.stderr
