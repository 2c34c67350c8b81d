"""count.py: user-space instructions of an echo of 64 bytes on 64 connections, in Python: Sluice's event loop,
uvloop's and asyncio's in one run, and what an idle connection costs. By callgrind, as Benchmarks/gate.py."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "Benchmarks"))

from measure import counting  # noqa: E402

ROWS = [("protocol", name) for name in ("sluiceio", "uvloop", "asyncio")]
ROWS += [("stream", name) for name in ("sluiceio", "uvloop", "asyncio")]
ROWS += [("loop", "sluiceio")]


def main(words):
    for kind, name in ROWS:
        if words and kind not in words and name not in words:
            continue
        command = [sys.executable, HERE / "echo.py"]
        count = counting.server_instructions(
            Command(command, name, kind), "echo", 1000, 4000, repeats=1)
        print(f"{kind} {name}: {count:,.0f} instructions an echo", flush=True)


class Command(list):
    """The address goes behind the script's name, and not behind the interpreter's."""

    def __init__(self, command, *words):
        super().__init__([Script(command), *words])


def Script(command):
    script = HERE.parents[2] / "build/python/echo"
    script.write_text(f"#!{command[0]}\n" + command[1].read_text())
    script.chmod(0o755)
    return script


if __name__ == "__main__":
    main(sys.argv[1:])
