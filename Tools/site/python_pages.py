"""The Python reference of the site, made by pdoc: python_pages.py FOLDER, run by a Python that has pdoc and the package.

A class of the package may inherit its calls from a class of the C module `sluiceio._core`, whose types are in a stub.
pdoc would only name such calls, because the module is private. Here they are shown as the class's own, with the types of
the stub.
"""

import functools
import pathlib
import sys
import warnings

import pdoc
import pdoc.doc
import pdoc.doc_pyi
import sluiceio._core

CORE = "sluiceio._core"
MODULES = ("sluiceio", "sluiceio.aio")
FIRST = ("Loop", "Event", "Kind", "Written", "run")  # the others follow in the order of __all__

own_members = pdoc.doc.Class.own_members.func
inherited_members = pdoc.doc.Namespace.inherited_members.func
add_types = pdoc.doc_pyi.include_typeinfo_from_stub_files


@functools.cache  # pdoc's own function adds to a list each time
def all_members(self):
    of_core = [each for origin, found in inherited_members(self).items() for each in found
               if origin[0] == CORE]
    return [*own_members(self), *of_core]


@functools.cache
def core():
    """The module in C, with the types of its stub. It includes the classes whose module says sluiceio."""
    sluiceio._core.__all__ = [name for name in dir(sluiceio._core) if not name.startswith("__")]
    module = pdoc.doc.Module(sluiceio._core)
    add_types(module)
    return module


def add_types_of_core(module):
    if module.modulename not in MODULES:
        add_types(module)
        return
    first = {name: module.members[name] for name in FIRST if name in module.members}
    rest = {name: member for name, member in module.members.items() if name not in first}
    module.members.clear()
    module.members.update(first | rest)
    for found in module.members.values():
        if isinstance(found, pdoc.doc.Class):
            is_of_core = found.obj is getattr(sluiceio._core, found.name, None)
            for each in (found, *found.members.values()):
                if is_of_core or each.taken_from[0] == CORE:
                    take_types(each, core().get(each.qualname))


def take_types(target, source):
    if source is None or source.kind != target.kind:
        return
    for name in {"function": ("signature", "funcdef"), "variable": ("annotation",)}.get(source.kind, ()):
        setattr(target, name, getattr(source, name))
    target.docstring = source.docstring or target.docstring


def main(folder):
    core()  # before pdoc's classes are changed
    pdoc.doc.Class.own_members = property(all_members)
    pdoc.doc.Class.inherited_members = property(
        lambda self: {origin: found for origin, found in inherited_members(self).items() if origin[0] != CORE})
    pdoc.doc_pyi.include_typeinfo_from_stub_files = add_types_of_core
    # If an attribute is only declared, like those of a TypedDict, pdoc cannot know in which file it is.
    warnings.filterwarnings("ignore", "Cannot determine where")
    pdoc.render.configure(show_source=False)
    pdoc.pdoc(*MODULES, output_directory=pathlib.Path(folder))


main(sys.argv[1])
