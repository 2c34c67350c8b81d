"""Reads one of our public headers: its groups, and the comment of each declaration.

Our headers are written in one way, and this reads only that. A comment begins at the beginning of a line, and its
declaration follows without an empty line. A declaration without a comment belongs to the one before it. A group begins
with a ruled comment. If an empty line follows a comment, the comment is about the group.
"""

import dataclasses
import re

DECLARATION = re.compile(r"(SLUICE_API|static inline|typedef|enum|struct) |#define SLUICE_(?!API\b)\w+ ")
RULE = re.compile(r"^/\* ---- (.*?) -+ \*/$")


@dataclasses.dataclass
class Part:
    """A comment, and the declarations that it is about. There are none if it is about the group."""
    text: str
    declarations: list[str]

    @property
    def calls(self):
        return [name for each in self.declarations if (name := call_of(each))]


@dataclasses.dataclass
class Group:
    title: str
    parts: list[Part]

    @property
    def calls(self):
        return [name for part in self.parts for name in part.calls]


def call_of(declaration):
    """The name of the function that is declared, or None."""
    if declaration.startswith(("typedef", "enum", "struct", "#")):
        return None
    found = re.search(r"\b(sluice_\w+)\(", declaration)
    return found and found[1]


def said(comment):
    """The text of a comment, without its stars."""
    text = comment.strip().removeprefix("/*").removesuffix("*/")
    return "\n".join(re.sub(r"^ \* ?", "", line).rstrip() for line in text.split("\n")).strip()


def declaration_at(lines, start):
    """The declaration that begins in a line, and the line after it. A function's body is left out."""
    if lines[start].startswith("#"):
        return lines[start], start + 1
    depth, end = 0, start
    while True:
        code = re.sub(r"/\*.*?(\*/|$)|^\s*\*.*$", "", lines[end])
        depth += code.count("{") - code.count("}")
        if depth == 0 and re.search(r"[;}]\s*$", code):
            break
        end += 1
    text = "\n".join(lines[start:end + 1])
    if text.startswith("static inline"):
        text = text[:text.index("{")].rstrip() + ";"
    return re.sub(r"^(SLUICE_API|static inline) ", "", text), end + 1


def groups_of(path):
    """The header's first comment, and its groups in order."""
    lines = path.read_text(encoding="utf-8").split("\n")
    groups, comment, at, about = [Group("", [])], None, 0, None
    while at < len(lines):
        line = lines[at]
        if rule := RULE.match(line):
            groups.append(Group(rule[1], []))
            comment, at = None, at + 1
        elif line.startswith("/*"):
            end = at
            while not lines[end].rstrip().endswith("*/"):
                end += 1
            comment, at = said("\n".join(lines[at:end + 1])), end + 1
            if about is None:
                about, comment = comment, None
            elif lines[at] == "":
                groups[-1].parts.append(Part(comment, []))
                comment = None
        elif DECLARATION.match(line):
            declaration, at = declaration_at(lines, at)
            parts = groups[-1].parts
            if comment is not None or not parts:
                parts.append(Part(comment or "", []))
                comment = None
            parts[-1].declarations.append(declaration)
        else:
            at += 1
            if line == "":
                comment = None
    return about, [group for group in groups if group.parts]


def members(declaration):
    """(code, comment) of each member of an enum or a struct. Other declarations have none."""
    found = re.match(r"(?:typedef )?(?:enum|struct)[^{;]*\{(.*)\}", declaration, re.DOTALL)
    pairs, waiting = [], False
    for line in found[1].split("\n") if found else []:
        code, _, comment = line.strip().partition("/*")
        if line.strip().startswith("*"):  # the comment continues
            code, comment = "", line.strip()[1:]
        comment = comment.removesuffix("*/").strip()
        if code := code.strip():
            pairs.append([f"{pairs.pop()[0]} {code}" if waiting else code, comment])
            waiting = not code.endswith((",", ";")) and not comment
        elif comment and pairs:
            pairs[-1][1] = f"{pairs[-1][1]} {comment}".strip()
    return [(code.rstrip(",;"), comment) for code, comment in pairs]


def words_of(text):
    """The text as a series of ("words" or "code", lines). Text that is indented by four is code."""
    for block in re.split(r"\n\s*\n", text):
        lines, kind = [], None
        for line in block.split("\n"):
            now = "code" if line.startswith("    ") else "item" if line.startswith("- ") else "words"
            if kind == "item" and now == "words" and line.startswith("  "):
                now = "item"
            elif now == "item" and kind == "item" and line.startswith("- "):
                yield kind, lines
                lines = []
            if kind not in (None, now):
                yield kind, lines
                lines = []
            kind = now
            lines.append(line)
        yield kind, lines
