"""Draws of a program: the same statements over other sizes, values and layouts.

Kernels are compiled once for all sizes, so most draws run no LLVM. What is said of the program (whole
numbers, moderate sizes) is looked at again for each draw, and NumPy must take it.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lucid.compiler.ir.data import data

from ..residence import Device
from .layouts import LAYOUTS, laid_out
from .maker import MOST, in_bounds, values_of
from .program import Array, Number, Program

# Around vectors, and around what is a row of few registers (64) or longer than a block.
SMALL = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64)
LARGE = (65, 66, 96, 100, 127, 128, 129, 200, 255, 257, 300, 511, 1000, 1025)
# Of one draw in many: more blocks than a reduction has lanes, so that they are joined in turns, too.
HUGE, MOST_HUGE = (16_500, 33_000, 140_000, 270_000, 540_000), 600_000
THREADS = 3
ORDERED = ("columns", "permuted")  # for which other code is made, where sums go in another order
COPIED = tuple(name for name in LAYOUTS if name not in ORDERED)

Shapes = tuple[tuple[int, ...], ...]


@data
class Draw:
    """A program whose inputs lie in memory as `layouts` say ("rows" where nothing is said), to be run by
    `threads`, its outputs written between guards (`guarded`) or to new arrays. `smooth`: with gradients.
    `thorough`: everything is to be compared that there is, not what is cheap alone; `number` chooses among
    what takes turns then. `device`: where it runs; if that is not the CPU, the bits of the CPU are wanted,
    and nothing else is compared."""

    program: Program
    layouts: Mapping[str, str]
    threads: int = 1
    guarded: bool = False
    smooth: bool = False
    thorough: bool = False
    number: int = 0
    device: Device = "cpu"

    def arrays(self) -> list[Array]:
        """The inputs, laid out; one that is another one, too, is the same array."""
        made: dict[tuple[int, str], Array] = {}
        found = []
        for name, array in self.program.inputs.items():
            layout = self.layouts.get(name, "rows")
            found.append(made.setdefault((id(array), layout), laid_out(array, layout)))
        return found

    def keeps_order(self) -> bool:
        """Whether sums go in the same order as over row-major inputs."""
        return not any(layout in ORDERED for layout in self.layouts.values())


def shapes_of(program: Program) -> Shapes:
    return tuple(a.shape for a in program.inputs.values())


def other_sizes(program: Program, rng: random.Random) -> Shapes:
    """Other shapes of the inputs: axes of one length stay equal; two lengths may come to coincide."""
    new: dict[int, int] = {}
    for n in sorted({n for a in program.inputs.values() for n in a.shape if n > 1}):
        if rng.random() < 0.3:
            new[n] = n
        elif new and rng.random() < 0.15:
            new[n] = rng.choice(list(new.values()))  # n == m
        elif n > 64 or rng.random() < 0.6:
            new[n] = rng.choice(LARGE)
        else:
            new[n] = 0 if rng.random() < 0.05 else rng.choice(SMALL)
    return tuple(tuple(new.get(n, n) for n in shape) for shape in shapes_of(program))


def huge_sizes(program: Program, rng: random.Random) -> Shapes:
    """The shapes of the inputs, with all axes of one length as long as MOST_HUGE elements allow."""
    shapes = shapes_of(program)
    lengths = sorted({n for shape in shapes for n in shape if n > 1})
    old = rng.choice(lengths) if lengths else 0
    for new in rng.sample(HUGE, len(HUGE)):
        found = tuple(tuple(new if n == old else n for n in shape) for shape in shapes)
        if all(math.prod(shape) <= MOST_HUGE for shape in found):
            return found
    return shapes


def number_like(number: Number, rng: random.Random) -> Number:
    """Another number of the same type."""
    if isinstance(number, bool):
        return rng.random() < 0.5
    return rng.randrange(5) if isinstance(number, int) else rng.choice((0.5, -1.25, 2.0, 3.0))


def redrawn(
    program: Program,
    shapes: Shapes,
    rng: random.Random,
    numbers: Mapping[str, Number] | None = None,
    most: int = MOST,
) -> Program | None:
    """The program over new values of these shapes, and these numbers (its own where there are none given);
    None where something that it relies on does not hold, or a value has more than `most` elements."""
    if any(math.prod(shape) > most for shape in shapes):
        return None
    draw = np.random.default_rng(rng.getrandbits(32))
    inputs = {
        name: values_of(array.dtype, shape, program.traits, draw)
        for (name, array), shape in zip(program.inputs.items(), shapes, strict=True)
    }
    if len(inputs) > 1 and rng.random() < 0.1:  # one array, given twice
        a, b = rng.sample(list(inputs), 2)
        if inputs[a].shape == inputs[b].shape and inputs[a].dtype == inputs[b].dtype:
            inputs[b] = inputs[a]
    other = replace(program, inputs=inputs, numbers=dict(program.numbers if numbers is None else numbers))
    return other if holds(other, most) else None


_TO_INT = re.compile(r"([xv]\d+)\.clip\(.*\)\.astype\('u?int\d+'\)")


def holds(program: Program, most: int = MOST) -> bool:
    """Whether NumPy takes the program, and what is said of it is true of its values."""
    try:
        values = program.run(np, program.inputs)
    except Exception:  # a reshape, an index, an empty maximum
        return False
    for name, text in program.statements:
        if not in_bounds(values[name], program.traits, most):
            return False
        cast = _TO_INT.fullmatch(text)
        if cast and not np.all(np.isfinite(values[cast[1]])):
            return False
    return "smooth" not in program.traits or all(np.size(values[name]) for name in program.outputs)


def laid(program: Program, orders: Mapping[str, str], rng: random.Random, smooth: bool) -> Draw:
    """A draw of the program: layouts, threads, where outputs go. `orders`: the layout in another order that
    an input may have; it is one for all draws of a program, as each order has code of its own."""
    if rng.random() < 0.15:
        layouts = {name: orders[name] for name in program.inputs}
    else:
        layouts = {n: rng.choice(COPIED) for n in program.inputs if rng.random() < 0.5}
    return Draw(program, layouts, rng.randint(1, THREADS), rng.random() < 0.3, smooth)
