"""What programs built against sluice.h depend on, read from the header: each function's
declaration, each struct's size and offsets, each constant's value.

Run as a program, it writes symbols.txt and layout.txt beside it. test_abi.py compares the header
with them.

The declarations are cut out of the header's text, and the numbers come from the compiler.
Debugging information has both, but its form differs from compiler to compiler.
"""

import pathlib
import re
import subprocess
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
INCLUDE = ROOT / "CSources/CSluice/include"
NOTICE = "# Written by make abi. A change here breaks programs that are built already.\n"


def header_text():
    """sluice.h without its comments, and with its macros not expanded."""
    command = ["gcc", "-fpreprocessed", "-dD", "-E", "-P", INCLUDE / "sluice.h"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declarations(text):
    """{name: declaration} of each function, in order."""
    found = {}
    code = re.sub(r"^#.*", "", text, flags=re.MULTILINE)
    for declaration in re.findall(r"\bSLUICE_API\s+([^;]+);", code):
        line = " ".join(declaration.split())
        found[re.search(r"\b(sluice_\w+)\(", line)[1]] = line
    return found


def structs(text):
    """{name: its members' names}."""
    found = {}
    for name, body in re.findall(r"\bstruct (\w+) \{([^}]*)\}", text):
        declarators = [part for line in body.split(";") for part in line.split(",") if part.strip()]
        found[name] = [re.search(r"(\w+)\s*(\[\d+\])?\s*$", part)[1] for part in declarators]
    return found


def enumerators(text):
    """{enum's name: its constants' names}."""
    return {
        name: re.findall(r"\b(SLUICE_\w+)\b(?=\s*(?:=|,|$))", body.strip())
        for name, body in re.findall(r"\benum (\w+) \{([^}]*)\}", text)
    }


def macros(text):
    """The macros that stand for a value."""
    return re.findall(r"^#define (SLUICE_\w+) +(?!__attribute__)\S", text, re.MULTILINE)


def numbers(expressions):
    """The value that the compiler gives for each expression."""
    lines = "".join(f'    printf("%lld\\n", (long long)({each}));\n' for each in expressions)
    source = f"#include <sluice.h>\n#include <stdio.h>\nint main(void) {{\n{lines}}}\n"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "numbers.c")
        path.write_text(source)
        subprocess.run(["gcc", "-std=c11", f"-I{INCLUDE}", path, "-o", f"{folder}/numbers"],
                       check=True)
        output = subprocess.run([f"{folder}/numbers"], check=True, capture_output=True, text=True)
    return [int(line) for line in output.stdout.split()]


def layout(text):
    """The lines of layout.txt: first (text, expression) of each, and then with the numbers."""
    rows = []
    for name, members in structs(text).items():
        rows.append((f"struct {name}: size", f"sizeof(struct {name})"))
        for member in members:
            whole = f"((struct {name} *)0)->{member}"
            rows.append((f"    {member}: offset", f"offsetof(struct {name}, {member})"))
            rows.append(("size", f"sizeof {whole}"))
    for name, constants in enumerators(text).items():
        rows.append((f"enum {name}: size", f"sizeof(enum {name})"))
        rows += [(f"    {constant} =", constant) for constant in constants]
    rows += [(f"{name} =", name) for name in macros(text)]
    values = numbers([expression for _, expression in rows])
    described = "\n".join(f"{label} {value}" for (label, _), value in zip(rows, values))
    return described.replace("\nsize", ", size") + "\n"


def symbols(text):
    return "".join(f"{line}\n" for line in declarations(text).values())


def committed(name):
    return (FOLDER / name).read_text().removeprefix(NOTICE)


if __name__ == "__main__":
    HEADER = header_text()
    (FOLDER / "symbols.txt").write_text(NOTICE + symbols(HEADER))
    (FOLDER / "layout.txt").write_text(NOTICE + layout(HEADER))
