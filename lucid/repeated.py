"""Plans of evaluations that come again, as one native call: from the third on.

The user's numbers in a plan are words of its program, for which it has holes. Who calls takes a copy of the
program that nobody else has, writes the words of this call there, and gives it back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.program import scalar_bytes
from lucid.compiler.ir.types import f32, f64, i64
from lucid.runtime import execute

Array = np.ndarray[Any, Any]

CALLS = 2  # before native code is made, which takes as long as some ten calls


class Repeated:
    """What `made`, which runs a plan, is as native code; nothing where that cannot be."""

    def __init__(self, made: Any, threads: int | None) -> None:
        self.made, self._threads, self._calls = made, threads, 0
        self._free: list[tuple[Callable[..., Any], Any]] = []  # natives, and their programs

    def run(self, arrays: Sequence[Array], numbers: Sequence[int]) -> list[Array] | None:
        """The outputs of the plan; None if native code does not take these arrays, or is not there."""
        try:
            native, program = free = self._free.pop()
        except IndexError:  # or another thread has it
            self._missed(numbers)
            return None
        try:
            if numbers:
                for place, number in self.made.holes:
                    program[place] = numbers[number]
            found: list[Array] | None = native(*arrays)
            return found
        finally:
            self._free.append(free)

    def _missed(self, numbers: Sequence[int]) -> None:
        self._calls = count = self._calls + 1
        if count == CALLS + 1:
            self._free += _natives(self.made, numbers, self._threads)


def _natives(made: Any, numbers: Sequence[int], threads: int | None) -> list[tuple[Callable[..., Any], Any]]:
    from lucid.runtime import call, checks, runner  # the first calls do without

    if not call.available() or not isinstance(made, execute.Executable):
        return []
    if made.parallel != runner.PARALLEL_BYTES:
        return []
    filled = made.given(numbers)
    function = call.NativeCall(lambda *arrays: None, "eager")
    sources = [call.Source(checks.Argument(k)) for k in range(len(made.plan.inputs))]
    answer = [call.Output(k) for k in range(len(made.plan.outputs))]
    function.add(filled, sources, answer, threads=threads or 0)
    return [(function.function, filled.program.data)]


_word, _single, _double = struct.Struct("<q").unpack, struct.Struct("<fi").pack, struct.Struct("<d").pack


def words(numbers: Sequence[Node]) -> list[int]:
    """The values of scalars as the content of slots."""
    found: list[int] = []
    for node in numbers:
        value, dtype = node.attrs["value"], node.attrs["dtype"]
        if dtype is f32:
            found += _word(_single(value, 0))
        elif dtype is f64:
            found += _word(_double(value))
        else:
            found.append(value if dtype is i64 else execute.word(scalar_bytes(value, dtype)))
    return found
