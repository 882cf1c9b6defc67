"""Random tensor programs: the program of a seed."""

from __future__ import annotations

import random

from .expression import names_in
from .maker import DTYPES, FLOATS, Maker
from .program import Program
from .wider import Wider, every_dtype

EXTENTS = (1, 2, 3, 5, 17, 64, 65)

_STEPS = (
    ("binary", 5), ("number", 2), ("integer", 1), ("unary", 3), ("curve", 2), ("choose", 2), ("cast", 1),
    ("reduce", 3), ("product", 2), ("view", 5), ("shared", 1),
)  # fmt: skip
_MORE = (
    ("scan", 1), ("gather", 1), ("place", 1), ("ordered", 1), ("joined", 1), ("rolled", 1), ("function", 3),
    ("told", 1), ("complexes", 1), ("brain", 1), ("control", 1), ("counted", 1), ("looked_up", 1),
    ("changed", 2), ("of_one", 2), ("of_two", 1), ("ruled", 3), ("cast", 1), ("integer", 2),
    ("along", 1),
)  # fmt: skip


def chosen(rng: random.Random) -> tuple[tuple[str, int], ...]:
    """The kinds of statements of one program, with their weights: of every second one half of the kinds, and
    of every second one of them is a favourite; of every eighth what rules rewrite, of all dtypes. What is
    rare among all kinds comes together more often so (swarm testing: Groce et al., ISSTA 2012)."""
    if rng.random() < 0.125:
        return (("ruled", 2), ("cast", 1))
    found: tuple[tuple[str, int], ...] = _STEPS + _MORE
    if rng.random() < 0.5:
        found = tuple(rng.sample(found, len(found) // 2))
    if rng.random() < 0.5:
        found += ((rng.choice(found)[0], sum(weight for _, weight in found)),)
    return found


def random_program(seed: int, smooth: bool = False, most: int = 14, more: bool = False) -> Program:
    """The program of a seed. `smooth`: float64, and differentiable at nearly every point. `more`: with all
    kinds of statements; without, the programs of seeds are those that they were before there were some of
    these."""
    rng = random.Random(seed)
    extents = tuple(rng.choice(EXTENTS) for _ in range(rng.randint(1, 3)))
    if rng.random() < 0.1:
        extents += (rng.choice((300, 1000)),)
    if rng.random() < 0.05:
        extents += (0,)
    if rng.random() < 0.3:
        extents += (1,)
    whole = not smooth and rng.random() < 0.5
    special = not smooth and rng.random() < 0.15
    kind, dtypes = (Wider, every_dtype()) if more else (Maker, DTYPES)
    # Inputs of every second program have one or two dtypes.
    few = tuple(rng.sample(dtypes, rng.randint(1, 2))) if more and rng.random() < 0.5 else ()
    maker = kind(rng, whole, smooth, special, extents, few or dtypes, few or FLOATS)
    for _ in range(rng.randint(1, 4)):
        maker.input()
    names, weights = zip(*(chosen(rng) if more else _STEPS), strict=True)
    wanted = rng.randint(1, most)
    for _ in range(4 * wanted):
        if len(maker.statements) >= wanted:
            break
        getattr(maker, rng.choices(names, weights)[0])()
    if not maker.statements:
        maker.add("x0.reshape(-1)", "x0")
    results = [n for n, _ in maker.statements]
    outputs = [n for n in results if n not in maker.used or rng.random() < 0.15]
    return Program(
        dict(maker.inputs), tuple(maker.statements), tuple(outputs), frozenset(maker.exact), maker.traits(),
        {n: k for n, k in maker.numbers.items() if any(n in names_in(text) for _, text in maker.statements)},
    )  # fmt: skip
