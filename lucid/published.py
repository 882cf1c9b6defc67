"""The functions that the records of ops name, one for each name, and those of ops that are registered later.
(published.pyi tells type checkers, tests/test_project.py whether it is true.)"""

from __future__ import annotations

from lucid.compiler import ops

from .elementwise import named
from .named import binary, name_all, unary

__all__: list[str] = []


def _add(op: ops.Op) -> None:
    if op.named is None:
        return
    make = unary if len(op.samples[0].shapes) == 1 else binary
    function = make(named(op), op.named.doc)
    for name in op.named.names:
        globals()[name] = function
        __all__.append(name)
    name_all(globals(), [op.named.names[0]])


ops.each(_add)
