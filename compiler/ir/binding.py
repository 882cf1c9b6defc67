"""What kernels or loops are applied to, one after the other, by names: what makes their texts a program.

    program NAME(inputs) -> (results) {
      %3: f32[4] = k(a0=%x, n0=4, s0=0.5)     Step: kernel k, whose output is %3
      %4: f32[4] = memory                     Memory: what loops write to
      f(a0=%x, o0=%4, n0=4) over 2            Step: loops f, over blocks 0 and 1, and then `f.finish`
      %5: f32[4] = library %3 function=...    Library: one result of a call
    }

An array of a kernel is memory from an element `offset` on, with a stride for each dimension: row-major where
none are said. Results are memory, too, as it lies, under the type that callers get.
"""

from __future__ import annotations

from typing import Any

from .data import data, field
from .graph import Loc
from .kernel import Const, Kernel
from .loop import Func
from .types import TensorType


@data
class View:
    """Memory from `offset` on, in elements; `strides` of each dimension, or None: row-major."""

    name: str
    offset: int = 0
    strides: tuple[int, ...] | None = None


@data
class Input:
    """`given`: what callers call it."""

    name: str
    given: str
    type: TensorType


@data
class Result:
    """Memory that a step defines: of this type, and written as `view` says."""

    type: TensorType
    view: View


@data
class Step:
    """`operands`: an array, or a number, for each parameter and size of a kernel, and for each slot of loops.
    `over`: the number of blocks; None for a kernel."""

    callee: str
    results: tuple[Result, ...]
    operands: tuple[tuple[str, View | Const], ...]
    over: int | None = None


@data
class Memory:
    """What is defined, and not written yet."""

    name: str
    type: TensorType


@data
class Library:
    """`name` is what op `library` of the graph level makes of memory, row-major, seen under these types."""

    name: str
    type: TensorType
    operands: tuple[tuple[str, TensorType], ...]
    attrs: tuple[tuple[str, Any], ...]
    loc: Loc | None = field(default=None, compare=False)


@data
class Binding:
    """A program. `results`: names of memory, and the type that each has for callers: of as many bytes.
    `called`: what callers call each, or nothing."""

    name: str
    inputs: tuple[Input, ...]
    results: tuple[tuple[str, TensorType], ...]
    steps: tuple[Step | Memory | Library, ...]
    called: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """Each result as callers call it, or else the program: with a number where memory is there under
        another type, too."""
        if self.called:
            return self.called
        known: dict[tuple[str, TensorType], str] = {}
        for result in self.results:
            name, number = result[0], 1
            while result not in known and name in known.values():
                number += 1
                name = f"{result[0]}.{number}"
            known.setdefault(result, name)
        return tuple(known[result] for result in self.results)


@data
class Whole:
    """Kernels, or loops, and what binds them, if that is said."""

    kernels: tuple[Kernel, ...]
    funcs: tuple[Func, ...]
    binding: Binding | None
