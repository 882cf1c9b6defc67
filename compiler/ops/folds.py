"""What a reduction may do: one record a fold. Who meets a name that is not here gets an error.

r, s = fold(x0, y0)  =>  acc = identity;  acc = step(acc, x0, y0);  acc = step(acc, x1, y1);  ...
and lanes, blocks and threads, each with an `acc` of its own, are joined by `merge`. An accumulator is a tuple
of values, its states: of a sum one, of an argmax the greatest value and its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import DType
from .record import REGISTRY

Number = float | int | bool
Acc = tuple[Operand, ...]


@data
class State:
    """One value of an accumulator. `of`: the argument whose dtype it has; `kinds` of dtypes; `identity`:
    where it starts; `neutral`: what changes nothing, not even the sign of a zero."""

    of: int
    kinds: str
    identity: Callable[[DType], Number]
    neutral: Callable[[DType], Number]


@data
class Fold:
    """`merge` joins two accumulators, `lift` makes one of the arguments alone; `step` is a shorter way to
    merge(acc, lift(args)), if there is one; where the last argument ascends, if it is `ascending`. `wide`:
    it accumulates in the format in which values are computed; `total`: how a reduction over the outer axes
    is written; `evaluate`: the ufunc of a fold that may be scanned, or None."""

    name: str
    states: tuple[State, ...]
    arguments: int
    wide: bool
    merge: Callable[[Builder, Acc, Acc], Acc]
    evaluate: Any
    total: str
    lift: Callable[[Builder, Acc], Acc] = lambda b, args: args
    step: Callable[[Builder, Acc, Acc], Acc] | None = None
    ascending: bool = False

    @property
    def takes(self) -> str:
        return "one argument" if self.arguments == 1 else "two arguments"

    def accumulator(self, dtype: DType) -> DType:
        """The dtype in which values of `dtype` are accumulated."""
        return dtype.computed if self.wide else dtype

    def own(self, args: tuple[DType, ...]) -> tuple[DType, ...]:
        """The dtypes of its states, for arguments of these."""
        return tuple(args[state.of] for state in self.states)

    def taken(self, dtypes: tuple[DType, ...]) -> tuple[DType, ...]:
        """In which dtypes arguments come to states of these."""
        table = {state.of: dtype for state, dtype in zip(self.states, dtypes, strict=True)}
        return tuple(table.get(n, dtypes[0]) for n in range(self.arguments))

    def scans(self, dtype: DType) -> bool:
        """Whether it has a value at each place of a scan, or of a scatter."""
        return self.evaluate is not None and self.arguments == 1 and dtype.kind in self.states[0].kinds


def _nothing(dtype: DType) -> Number:
    return 0


def _nothing_signed(dtype: DType) -> Number:
    return -0.0 if dtype.is_float else 0


def _one(dtype: DType) -> Number:
    return 1


def _limit(side: int) -> Callable[[DType], Number]:
    """The least value of a dtype (side 0), or the greatest (1)."""

    def limit(dtype: DType) -> Number:
        if dtype.kind == "b":
            return bool(side)
        if dtype.kind == "f":
            return (-float("inf"), float("inf"))[side]
        low = 0 if dtype.kind == "u" else -(1 << (dtype.bits - 1))
        return (low, low + (1 << dtype.bits) - 1)[side]

    return limit


def _by(op: str) -> Callable[[Builder, Acc, Acc], Acc]:
    """Joined by an elementwise op."""

    def merge(b: Builder, acc: Acc, other: Acc) -> Acc:
        return (REGISTRY[op].lower(b, acc + other, acc[0].dtype),)

    return merge


def _product(b: Builder, args: Acc) -> Acc:
    return (b.op("mul", *args),)


def _fma(b: Builder, acc: Acc, args: Acc) -> Acc:
    """In one rounding."""
    if acc[0].dtype.is_float:
        return (b.op("fma", *args, *acc),)
    return _by("add")(b, acc, _product(b, args))


def _first(better: str) -> Callable[[Builder, Acc, Acc], Acc]:
    """The better value, NaN best of all, and of equal ones that of the least place: an order of all pairs, so
    whatever is joined first, the result is the same."""

    def merge(b: Builder, acc: Acc, other: Acc) -> Acc:
        (v, p), (w, q) = acc, other
        x, y = b.widened(v), b.widened(w)
        before = q < p
        take = b.op(better, y, x) | b.op("eq", y, x) & before
        if v.dtype.is_float:
            above = b.op("eq", x, x) | before
            take = take | b.op("ne", y, y) & above
        return b.op("select", take, w, v), b.op("select", take, q, p)

    return merge


def _later(better: str, worse: str) -> Callable[[Builder, Acc, Acc], Acc]:
    """The same where the other place is greater."""

    def step(b: Builder, acc: Acc, args: Acc) -> Acc:
        (v, p), (w, q) = acc, args
        x, y = b.widened(v), b.widened(w)
        take: Operand = b.op(better, y, x)
        if v.dtype.is_float:
            take = ~b.op(worse, y, x) & b.op("eq", x, x)
        return b.op("select", take, w, v), b.op("select", take, q, p)

    return step


_LEAST, _MOST = _limit(0), _limit(1)
_SUM = (State(0, "iuf", _nothing, _nothing_signed),)
_PLACE = State(1, "iu", _nothing, _MOST)
_ARGMAX, _ARGMIN = (State(0, "iuf", _LEAST, _LEAST), _PLACE), (State(0, "iuf", _MOST, _MOST), _PLACE)
_RECORDS = (
    Fold("sum", _SUM, 1, True, _by("add"), np.add, "+="),
    Fold("dot", _SUM, 2, True, _by("add"), None, "+= dot", _product, _fma),
    Fold("prod", (State(0, "iuf", _one, _one),), 1, True, _by("mul"), np.multiply, "prod="),
    Fold("max", (State(0, "biuf", _LEAST, _LEAST),), 1, False, _by("max"), np.maximum, "max="),
    Fold("min", (State(0, "biuf", _MOST, _MOST),), 1, False, _by("min"), np.minimum, "min="),
    Fold("argmax", _ARGMAX, 2, False, _first("gt"), None, "argmax=", step=_later("gt", "le"), ascending=True),
    Fold("argmin", _ARGMIN, 2, False, _first("lt"), None, "argmin=", step=_later("lt", "ge"), ascending=True),
)
FOLDS = {fold.name: fold for fold in _RECORDS}


def fold(name: str) -> Fold:
    """The record of that name. ValueError if there is none."""
    if name not in FOLDS:
        raise ValueError(f"`{name}` is not a reduction ({', '.join(FOLDS)})")
    return FOLDS[name]
