"""NumPy evaluation of a kernel, statement by statement, over whole arrays whose axes are the outer axes
followed by the inner axes of the stage."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ir import kernel as k
from ..ir.data import data, field
from ..ir.rounding import Number, convert
from ..ir.types import from_numpy
from ..ops import REGISTRY, order, ordered
from ..ops.folds import fold
from ..order import chain
from .loop import run_instructions

Array = np.ndarray[Any, Any]
_YES = np.array(True)


def interpret_kernel(
    kernel: k.Kernel,
    arrays: Mapping[str, Array],
    scalars: Mapping[str, Number] | None = None,
    symbols: Mapping[str, int] | None = None,
    touched: Mapping[str, Array] | None = None,
    computed: Counter[str] | None = None,
    moved: np.random.Generator | None = None,
) -> dict[str, Array]:
    """The outputs of `kernel` by name, as new arrays.

    `arrays`: every array parameter, of any strides; `scalars`: every scalar parameter; `symbols`:
    extents and guard bounds, of which those that an array's shape tells may be left out.
    `touched`: for every array, one of bools of its shape, which become true where an element is read or
    written. `computed`: to each op and fold of floats is added for how many points it was computed.
    `moved`: sums of floats, and scans of them, are moved by what another order may make of them, each element
    up or down as this draws. Reductions accumulate in the dtype that they state; their order is NumPy's, not
    the kernel's.
    The maximum of nothing is the least value. Raises ValueError for a missing or unfitting
    operand, IndexError for an unguarded access outside of an array."""
    given = {p.name: _bound(kernel, p, arrays) for p in kernel.params if isinstance(p, k.Array)}
    sizes = k.sizes(kernel, {name: array.shape for name, array in given.items()}, symbols or {})
    numbers = k.scalars(kernel)
    if missing := [name for name in numbers if name not in (scalars or {})]:
        raise ValueError(f"{kernel.name}: no value for {', '.join(missing)}")
    with np.errstate(all="ignore"):
        own = {name: _number((scalars or {})[name], scalar) for name, scalar in numbers.items()}
        counts = Counter[str]() if computed is None else computed
        run = _Run(kernel, given, sizes, touched or {}, counts, moved, {**own})
        for stage in kernel.stages:
            run.stage(stage, kernel.outer)
        run.names = own | {name: total for name, total in run.kept.items() if total.ndim == 0}
        for stage in kernel.final:
            run.stage(stage, ())
    return run.outputs


def _bound(kernel: k.Kernel, param: k.Array, arrays: Mapping[str, Array]) -> Array:
    if param.name not in arrays:
        raise ValueError(f"{kernel.name}: no array for {param.name}")
    array = arrays[param.name]
    if array.dtype != param.dtype.np or array.ndim != len(param.dims):
        expected = f"{param.dtype.numpy} of {len(param.dims)} dimensions"
        raise ValueError(f"{kernel.name}: {param.name} must be {expected}")
    return array


@data(frozen=False, eq=False)
class _Run:
    """One evaluation. `names` holds values of the shape of the outer axes, or 0-d; `kept` accumulators."""

    kernel: k.Kernel
    arrays: Mapping[str, Array]
    symbols: Mapping[str, int]
    touched: Mapping[str, Array]
    computed: Counter[str]
    moved: np.random.Generator | None
    names: dict[str, Array]
    kept: dict[str, Array] = field(default_factory=dict)
    outputs: dict[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        every = ((o, tuple(map(self._extent, o.dims))) for o in self.kernel.outputs)
        self.outputs = {o.name: np.zeros(shape, o.dtype.np) for o, shape in every}

    def touch(self, name: str, places: Sequence[Array] | None = None, where: Array = _YES) -> None:
        """Elements of an array are read or written: those at `places`, `where` that is true; or all."""
        if name not in self.touched:
            return
        if places is None:
            self.touched[name][...] = True
            return
        *places, where = np.broadcast_arrays(*places, where)
        self.touched[name][tuple(p[where] for p in places)] = True

    def otherwise(self, total: Array, sizes: Array, count: int) -> Array:
        """A sum of `count` floats whose absolute values sum to `sizes`, as another order may give it."""
        dtype = from_numpy(total.dtype)
        if self.moved is None or not dtype.is_float:
            return total
        signs = self.moved.choice([-1.0, 1.0], np.shape(total))
        away = signs * (chain(count) * dtype.computed.epsilon) * sizes
        return np.asarray(total + away).astype(total.dtype)

    def sorted(self, stmt: k.Sort, value: Array) -> Array:
        """What a sort makes of the elements along the last axis."""
        if not stmt.values:
            return order(value, -1, stmt.falling)
        length = value.shape[-1]
        step = length if stmt.run is None or stmt.merges else self._extent(stmt.run)
        parts = [value[..., n : n + step] for n in range(0, length, max(1, step))]
        return np.concatenate([ordered(part, -1, stmt.falling) for part in parts] or [value], axis=-1)

    def _extent(self, extent: k.Extent) -> int:
        return extent if isinstance(extent, int) else self.symbols[extent]

    def stage(self, stage: k.Stage, outer: tuple[k.Axis, ...]) -> None:
        axes = outer + stage.axes
        point = _Point(self, axes, len(stage.axes))
        rows: dict[str, Array] = {}
        for stmt in stage.body:
            if isinstance(stmt, k.Let):
                point.lets[stmt.name] = point.value(stmt.expr)
            elif isinstance(stmt, k.Store | k.Scan | k.Sort):
                out = self.outputs[stmt.array]
                value = np.broadcast_to(point.value(stmt.expr), point.shape)
                if isinstance(stmt, k.Scan):
                    self.computed[stmt.op] += value.size * from_numpy(value.dtype).is_float
                    scanned = fold(stmt.op).evaluate.accumulate(value, axis=-1, dtype=value.dtype)
                    if stmt.op == "sum":
                        sizes = np.add.accumulate(np.abs(value), axis=-1, dtype=np.float64)
                        scanned = self.otherwise(scanned, sizes, value.shape[-1])
                    value = scanned
                whole, cut = out, None
                if isinstance(stmt, k.Sort):
                    value = self.sorted(stmt, value)
                    cut = [ix.axis for ix in stmt.index].index(stmt.over) if stmt.first is not None else None
                if cut is not None:
                    whole = np.empty((*out.shape[:cut], value.shape[-1], *out.shape[cut + 1 :]), out.dtype)
                places = np.broadcast_arrays(*point.places(stmt.index, whole, ()), value)[:-1]
                self.touch(stmt.array, places if cut is None else None)
                whole[tuple(places)] = value if places else value.item()  # of units only: a single value
                if cut is not None:
                    out[...] = np.take(whole, np.arange(out.shape[cut]), axis=cut)
            elif isinstance(stmt, k.Scatter):
                out = self.outputs[stmt.array]
                self.touch(stmt.array)
                values = [point.value(e) for e in k.operands(stmt)]
                *index, value = (np.broadcast_to(v, point.shape) for v in values)
                self.computed[stmt.op] += value.size * from_numpy(value.dtype).is_float
                inside = point.inside(index, out)
                out[...] = fold(stmt.op).states[0].identity(from_numpy(out.dtype))
                fold(stmt.op).evaluate.at(out, tuple(v[inside] for v in index), value[inside])
            elif stmt.of_row:
                where = tuple(range(len(outer), len(axes)))
                rows |= zip(stmt.names, _reduce(stmt, point, where), strict=True)
            else:
                where = tuple(n for n, a in enumerate(axes) if a.name not in stmt.keep)
                left = [a.name for a in axes if a.name in stmt.keep]
                totals = [
                    t.transpose([left.index(a) for a in stmt.keep]) for t in _reduce(stmt, point, where)
                ]
                self.kept |= zip(stmt.names, totals, strict=True)
        self.names.update(rows)


class _Point:
    """All points of one stage at once. A value has one dimension for each axis, of extent 1 where
    it does not depend on that axis."""

    def __init__(self, run: _Run, axes: tuple[k.Axis, ...], inner: int) -> None:
        self.run = run
        self.axes = {axis.name: n for n, axis in enumerate(axes)}
        self.shape = tuple(run._extent(axis.extent) for axis in axes)
        self.inner = inner
        self.lets: dict[str, Array] = {}

    def value(self, expr: k.Expr) -> Array:
        if isinstance(expr, k.Const):
            return _number(expr.value, expr)
        if isinstance(expr, k.Pick):
            return self._pick(expr)
        if isinstance(expr, k.At):
            return self._steps(expr.axis)
        if isinstance(expr, k.Size):
            return np.asarray(self.run.symbols[expr.symbol], np.int64)
        if isinstance(expr, k.Within):
            return self._within(expr)
        if isinstance(expr, k.Load):
            return self._load(expr)
        if isinstance(expr, k.Ref):
            if expr.name in self.lets:
                return self.lets[expr.name]
            known = self.run.names[expr.name]
            return known.reshape(known.shape + (1,) * self.inner) if known.ndim else known
        assert isinstance(expr, k.Call)
        evaluate = REGISTRY[expr.op].evaluate
        assert evaluate is not None
        attrs = {"dtype": expr.dtype} if expr.op == "cast" else {}
        found = np.asarray(evaluate(attrs, *(self.value(arg) for arg in expr.args)))
        self.run.computed[expr.op] += found.size * expr.dtype.is_float
        return found

    def _steps(self, axis: str) -> Array:
        """0, 1, 2, ... along one axis."""
        at = self.axes[axis]
        shape = [1] * len(self.shape)
        shape[at] = self.shape[at]
        return np.arange(self.shape[at], dtype=np.int64).reshape(shape)

    def _within(self, guard: k.Within) -> Array:
        steps = self._steps(guard.axis)
        lo, hi = self.run.symbols[guard.lo], self.run.symbols[guard.hi]
        return np.asarray((lo <= steps) & (steps < hi))

    def _load(self, load: k.Load) -> Array:
        run = self.run
        source = run.kept.get(load.array)
        if source is None:
            source = run.arrays[load.array]
        inside: Array = np.ones((1,) * len(self.shape), bool)
        for guard in load.guards:
            inside = inside & self._within(guard)
        if not np.any(inside):
            shapes = [self._steps(ix.axis).shape for ix in load.index]
            return np.zeros(np.broadcast_shapes(inside.shape, *shapes), source.dtype)
        places = self.places(load.index, source, load.guards)
        run.touch(load.array, places, inside)
        found = source[tuple(places)] if places else source
        return found if not load.guards else np.where(inside, found, np.zeros((), source.dtype))

    def _pick(self, pick: k.Pick) -> Array:
        source = self.run.arrays[pick.array]
        index = [self.value(ix) for ix in pick.index]
        inside = self.inside(index, source)
        self.run.touch(pick.array, index, inside)
        if not inside.any():
            return np.zeros(inside.shape, source.dtype)
        found = source[tuple(np.where(inside, v, 0) for v in index)]
        return np.where(inside, found, np.zeros((), source.dtype))

    def inside(self, index: Sequence[Array], array: Array) -> Array:
        """Where all subscripts are."""
        tests = [(v >= 0) & (v < n) for v, n in zip(index, array.shape, strict=True)]
        return np.asarray(functools.reduce(np.logical_and, tests))

    def places(self, index: tuple[k.Index, ...], array: Array, guards: tuple[k.Within, ...]) -> list[Array]:
        """Subscripts of `array` at every point; 0 where a guard of the same axis does not hold."""
        found: list[Array] = []
        for ix, n in zip(index, array.shape, strict=True):
            place = self._steps(ix.axis)
            if ix.shift is not None:
                place = place - self.run.symbols[ix.shift]
            for guard in guards:
                if guard.axis == ix.axis:
                    place = np.where(self._within(guard), place, 0)
            if place.size and (place.min() < 0 or place.max() >= n):
                raise IndexError(f"{self.run.kernel.name}: a subscript {ix.axis} is outside of {n} elements")
            found.append(place)
        return found


def _number(value: Number, like: k.Const | k.Scalar) -> Array:
    return convert(np.asarray(value), like.dtype)


def _reduce(stmt: k.Reduce, point: _Point, where: tuple[int, ...]) -> tuple[Array, ...]:
    """The reduction over the axes `where` of the stage; its other axes remain. All terms at once, joined in
    pairs until one is left."""
    of, left = fold(stmt.op), [extent for n, extent in enumerate(point.shape) if n not in where]
    many = int(np.prod([point.shape[n] for n in where], dtype=np.int64))
    point.run.computed[stmt.op] += many * int(np.prod(left, dtype=np.int64)) * stmt.dtypes[0].is_float
    args = []
    for arg, wide in zip(stmt.args, of.taken(stmt.dtypes), strict=True):
        value = np.broadcast_to(point.value(arg).astype(wide.np), point.shape)
        args.append(np.moveaxis(value, where, range(len(where))).reshape(many, *left))
    acc = run_instructions(of.lift, tuple(args))
    while len(acc[0]) > 1:
        half = len(acc[0]) // 2
        paired = run_instructions(of.merge, tuple(s[:half] for s in acc), tuple(s[-half:] for s in acc))
        acc = tuple(np.concatenate([p, s[half:-half]]) for p, s in zip(paired, acc, strict=True))
    start = [s.identity(dtype) for s, dtype in zip(of.states, stmt.dtypes, strict=True)]
    filled = tuple(np.full((1, *left), v, d.np) for v, d in zip(start, stmt.dtypes, strict=True))
    acc = run_instructions(of.merge, filled, acc) if many else filled
    totals = tuple(s[0] for s in acc)
    if point.run.moved is None or stmt.op not in ("sum", "dot"):
        return totals
    sizes = np.prod([np.abs(arg.astype(np.float64)) for arg in args], axis=0).sum(axis=0)
    return (point.run.otherwise(totals[0], sizes, many),)
