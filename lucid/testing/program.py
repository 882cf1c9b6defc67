"""Tensor programs as text that runs over NumPy and over lucid alike, and how they are made smaller.

A program is a list of statements such as `v5 = L.where(v1 > v3, v3, -v4)`; `L` is numpy or lucid.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .expression import expression, names_in
from .layouts import literal

Array = np.ndarray[Any, Any]
Number = bool | int | float


@dataclass(frozen=True)
class Program:
    """`inputs` by name; `statements` as (result, expression); `outputs` as names; `numbers`, Python's, which
    decide and count, too, by name.

    `exact` holds the names whose values are NumPy's to the bit; others agree within rounding. `traits` say
    what its inputs are like, and so what holds of it: "whole" (numbers, so that sums are exact), "smooth"
    (differentiable nearly everywhere), "special" (NaN, infinities, zeros of both signs, denormals).
    """

    inputs: dict[str, Array]
    statements: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    exact: frozenset[str]
    traits: frozenset[str] = frozenset()
    numbers: dict[str, Number] = field(default_factory=dict)

    def text(self) -> str:
        given = [f"{n} = {a.dtype}{list(a.shape)}" for n, a in self.inputs.items()]
        given += [f"{n} = {number!r}" for n, number in self.numbers.items()]
        return "\n".join([*given, *(f"{n} = {e}" for n, e in self.statements), f"return {self.outputs}"])

    def given(self) -> tuple[Any, ...]:
        """The arguments of the program as a function: arrays, then numbers."""
        return (*self.inputs.values(), *self.numbers.values())

    def run(self, module: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Every value by name. `inputs`: of arrays; and of numbers, where they are other ones."""
        values: dict[str, Any] = {"L": module, **self.numbers, **inputs}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, text in self.statements:
                values[name] = expression(text)(values)
        return values

    def needed(self) -> Program:
        """Without what no output depends on."""
        wanted = set(self.outputs)
        kept = []
        for name, text in reversed(self.statements):
            if name in wanted:
                kept.append((name, text))
                wanted.update(names_in(text))
        inputs = {n: a for n, a in self.inputs.items() if n in wanted}
        numbers = {n: number for n, number in self.numbers.items() if n in wanted}
        return replace(self, inputs=inputs, statements=tuple(reversed(kept)), numbers=numbers)


def with_inputs(program: Program, inputs: Mapping[str, Array]) -> Program:
    """The same program over other inputs."""
    return replace(program, inputs=dict(inputs))


def cut(program: Program, name: str) -> Program:
    """The statement of `name` replaced by an input that has its value."""
    values = program.run(np, program.inputs)
    inputs = {**program.inputs, name: np.array(values[name])}
    rest = tuple(s for s in program.statements if s[0] != name)
    return replace(program, inputs=inputs, statements=rest).needed()


def minimise(program: Program, fails: Callable[[Program], bool], budget: int = 200) -> Program:
    """The smallest program found that still fails."""
    program = program.needed()
    progress = True
    while progress and budget > 0:
        progress = False
        tries = [replace(program, outputs=(o,)).needed() for o in program.outputs if len(program.outputs) > 1]
        for k in range(len(program.outputs)):
            rest = program.outputs[:k] + program.outputs[k + 1 :]
            if rest:
                tries.append(replace(program, outputs=rest).needed())
        for name, text in program.statements:
            if name in program.outputs:  # what it is made of in its place
                used = dict.fromkeys(re.findall(r"\bv\d+\b", text))
                tries += [replace(program, outputs=(n,)).needed() for n in used]
            else:
                tries.append(cut(program, name))
        for smaller in tries:
            budget -= 1
            if fails(smaller):
                program, progress = smaller, True
                break
            if budget <= 0:
                break
    return program


def coarsest(values: Mapping[str, Any]) -> int:
    """Bytes of the narrowest float among `values` (1: bfloat16): what it rounds, a wider one keeps."""
    dtypes = [np.asarray(v).dtype for v in values.values() if isinstance(v, np.ndarray | np.generic)]
    sizes = {"f": 1, "c": 2, "V": 2}
    return min((d.itemsize // sizes[d.kind] for d in dtypes if d.kind in sizes), default=8)


def halves(array: Array) -> Array:
    """Complex numbers as pairs along a last axis, bfloat16 as float32; other arrays as they are."""
    if array.dtype.kind == "c":
        return np.stack((array.real, array.imag), -1)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def difference(name: str, got: Array, want: Array, exact: bool, size: int) -> str | None:
    """Why `got` is not NumPy's `want`, exactly or within what floats of `size` bytes allow; None
    if it is."""
    want = np.asarray(want)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{name}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}"
    got, want = halves(got), halves(want)
    if want.dtype.kind != "f":
        same = np.array_equal(got, want)
    elif exact:
        same = np.array_equal(got, want, equal_nan=True)
    else:
        finite = np.isfinite(want)
        same = np.array_equal(got[~finite], want[~finite], equal_nan=True) if not finite.all() else True
        scale = float(np.max(np.abs(want[finite]).astype(np.float64), initial=1e-3))
        bound = {1: 0.3, 2: 4e-2, 4: 5e-4, 8: 1e-10}[size] * scale
        with np.errstate(all="ignore"):
            off = np.abs(got[finite].astype(np.float64) - want[finite].astype(np.float64))
        same = same and not np.any(~(off <= bound))
    return None if same else f"{name}: exact={exact}\ngot  {got.ravel()[:20]}\nwant {want.ravel()[:20]}"


def shortened(program: Program, fails: Callable[[Program], bool], budget: int = 100) -> Program:
    """The program with the smallest extents found that still fails: inputs are cut along all axes of one
    length."""
    progress = True
    while progress and budget > 0:
        progress = False
        for old in sorted({n for a in program.inputs.values() for n in a.shape if n > 1}, reverse=True):
            for new in sorted({1, 2, 3, old // 4, old // 2, old - 1} - {0, old}):
                if new > old:
                    continue
                inputs = {
                    name: np.ascontiguousarray(a[tuple(slice(new if n == old else n) for n in a.shape)])
                    for name, a in program.inputs.items()
                }
                smaller = replace(program, inputs=inputs)
                budget -= 1
                if budget > 0 and runs(smaller) and fails(smaller):
                    program, progress = smaller, True
                    break
    return program


def runs(program: Program) -> bool:
    """Whether NumPy takes it."""
    try:
        program.run(np, program.inputs)
    except Exception:
        return False
    return True


def listing(program: Program) -> str:
    """Python text that makes the program; `np`, `nan`, `inf` and `unpack` are known."""
    inputs = [f"        {name!r}: {literal(array)}," for name, array in program.inputs.items()]
    statements = [f"        ({name!r}, {text!r})," for name, text in program.statements]
    lines = [
        "program = Program(",
        "    inputs={",
        *inputs,
        "    },",
        "    statements=(",
        *statements,
        "    ),",
    ]
    lines += [f"    outputs={program.outputs!r},", f"    exact=frozenset({sorted(program.exact)!r}),"]
    lines += [f"    traits=frozenset({sorted(program.traits)!r}),", f"    numbers={program.numbers!r},", ")"]
    return "\n".join(lines)
