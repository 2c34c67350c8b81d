"""The Python reference of the site, made by pdoc: python_pages.py FOLDER, run by a Python that has pdoc and the package.

A class of the package may inherit its calls from a class of the C module `sluiceio._core`, whose types are in a stub.
pdoc would only name such calls, because the module is private. Here they are shown as the class's own, with the types of
the stub.
"""

import functools
import pathlib
import sys
import unittest.mock
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
    of_core = [each for origin, found in self._members_by_origin.items() for each in found
               if origin[0] == CORE and origin != self.taken_from]
    return [*own_members(self), *of_core]


def add_types_of_core(module):
    if module.modulename not in MODULES:
        add_types(module)
        return
    first = {name: module.members[name] for name in FIRST if name in module.members}
    rest = {name: member for name, member in module.members.items() if name not in first}
    module.members.clear()
    module.members.update(first | rest)
    stub = pdoc.doc_pyi._import_stub_file(CORE, pdoc.doc_pyi.find_stub_file(CORE))
    members = [each for found in module.members.values() if isinstance(found, pdoc.doc.Class)
               for each in [found, *found.members.values()]
               if each.taken_from[0] == CORE or found.obj is getattr(sluiceio._core, found.name, None)]
    # pdoc reads the source of the module that sys.modules has under that name.
    with unittest.mock.patch.dict("sys.modules", {CORE: stub}):
        for each in members:
            pdoc.doc_pyi._patch_doc(each, pdoc.doc.Module(stub))


def main(folder):
    pdoc.doc.Class.own_members = property(all_members)
    pdoc.doc.Class.inherited_members = property(
        lambda self: {origin: found for origin, found in inherited_members(self).items() if origin[0] != CORE})
    pdoc.doc_pyi.include_typeinfo_from_stub_files = add_types_of_core
    # If an attribute is only declared, like those of a TypedDict, pdoc cannot know in which file it is.
    warnings.filterwarnings("ignore", "Cannot determine where")
    pdoc.render.configure(show_source=False)
    pdoc.pdoc(*MODULES, output_directory=pathlib.Path(folder))


main(sys.argv[1])
