"""Tensor programs as text that runs over NumPy and over lucid alike, and how they are made smaller.

A program is a list of statements such as `v5 = L.where(v1 > v3, v3, -v4)`; `L` is numpy or lucid.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Program:
    """`inputs` by name; `statements` as (result, expression); `outputs` as names.

    `exact` holds the names whose values are NumPy's to the bit; others agree within rounding.
    """

    inputs: dict[str, Array]
    statements: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    exact: frozenset[str]

    def text(self) -> str:
        given = [f"{n} = {a.dtype}{list(a.shape)}" for n, a in self.inputs.items()]
        return "\n".join([*given, *(f"{n} = {e}" for n, e in self.statements), f"return {self.outputs}"])

    def run(self, module: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Every value by name."""
        values: dict[str, Any] = {"L": module, **inputs}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, expression in self.statements:
                values[name] = eval(expression, values)
        return values

    def needed(self) -> Program:
        """Without what no output depends on."""
        wanted = set(self.outputs)
        kept = []
        for name, expression in reversed(self.statements):
            if name in wanted:
                kept.append((name, expression))
                wanted.update(re.findall(r"\b[xv]\d+\b", expression))
        inputs = {n: a for n, a in self.inputs.items() if n in wanted}
        return replace(self, inputs=inputs, statements=tuple(reversed(kept)))


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
        for name, _ in program.statements:
            if name not in program.outputs:
                tries.append(cut(program, name))
        for smaller in tries:
            budget -= 1
            if fails(smaller):
                program, progress = smaller, True
                break
            if budget <= 0:
                break
    return program
