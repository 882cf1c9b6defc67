"""Where a kernel comes from: the user's lines, and modules."""

from __future__ import annotations

from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Loc


def lines(kernel: k.Kernel) -> tuple[str, ...]:
    """The user's lines that the statements of a kernel come from, in order, each once."""
    return tuple(dict.fromkeys(str(loc) for loc in _places(kernel)))


def modules(kernel: k.Kernel) -> tuple[str, ...]:
    """The paths of the modules that they come from, and of optimisers, in order, each once."""
    return tuple(dict.fromkeys(loc.module for loc in _places(kernel) if loc.module))


def _places(kernel: k.Kernel) -> list[Loc]:
    every = [s.loc for stage in kernel.stages + kernel.final for s in stage.body if s.loc is not None]
    return [place for loc in every for place in loc.every]
