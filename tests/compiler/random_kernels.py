"""Random kernels, as text could say them: any number of outer axes, stages that share axes or do not, arrays
read by any subscripts (one axis twice, too), guards, reductions of both scopes, `finally`.

Numbers are small and whole, so that no order of additions shows, and what costs much (`%`, `//`) is exact.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.types import DTYPES, DType, b1, bf16, f16, f32, f64, i16, i32, i64
from lucid.compiler.ops.folds import fold

Array = np.ndarray[Any, Any]
KINDS = (f32, f32, f32, f64, f16, bf16, i32, i64, i16)
LITERALS = (1, 2, 3, 5, 8, 16, 17, 24, 33, 64, 70)
SIZES = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 40, 65)


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.symbols = {name: rng.choice(SIZES) for name in ("m", "n", "d", "e")}
        self.arrays: list[k.Array] = []
        self.outputs: list[k.Array] = []
        self.bounds: dict[str, int] = {}
        self.extents: dict[str, k.Extent] = {}  # of axes that are there
        self.axes: tuple[k.Axis, ...] = ()  # in scope
        self.rows: list[k.Reduce] = []
        self.totals: list[tuple[k.Reduce, tuple[k.Extent, ...]]] = []
        self.lets: list[k.Ref] = []
        self.short = self.plain = False
        self.windows = rng.choice((0.0, 0.0, 0.2))
        self.count = 0
        self.final = False

    def name(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def extent(self) -> k.Extent:
        if self.rng.random() < 0.5:
            return self.rng.choice(list(self.symbols))
        return self.rng.choice(LITERALS)

    def size(self, extent: k.Extent) -> int:
        return self.symbols[extent] if isinstance(extent, str) else extent

    def some_axes(self, counts: tuple[int, ...], taken: tuple[k.Axis, ...] = ()) -> tuple[k.Axis, ...]:
        """New axes, or some that another stage had."""
        found, rng = list[k.Axis](), self.rng
        for _ in range(rng.choice(counts)):
            free = [a for a in self.extents if a not in {x.name for x in (*found, *taken)}]
            if free and rng.random() < 0.6:
                name = rng.choice(free)
                found.append(k.Axis(name, self.extents[name]))
            else:
                extent = rng.choice(LITERALS) if self.short else self.extent()
                found.append(k.Axis(self.name("a"), extent))
        return tuple(found)

    def kernel(self) -> k.Kernel:
        rng = self.rng
        self.short = rng.random() < 0.3  # rows of a few registers
        count = 1 if self.short else rng.choice((0, 1, 1, 1, 2, 2, 3))
        outer = tuple(k.Axis(self.name("i"), self.extent()) for _ in range(count))
        stages: list[k.Stage] = []
        for _ in range(rng.randint(1, 4)):
            inner = self.some_axes((0, 1, 1) if self.short else (0, 1, 1, 1, 2), outer)
            stages.append(self.stage(outer, inner, rng.randint(1, 4)))
            self.extents |= {a.name: a.extent for a in inner}
        self.final, self.rows, final = True, [], []
        for _ in range(rng.choice((0, 1, 2)) if self.totals else 0):
            axes = self.some_axes((0, 1, 1, 2), outer)
            kept = [dims for r, dims in self.totals if r.keep]
            if kept and rng.random() < 0.7:  # as a total lies
                axes = tuple(k.Axis(self.name("a"), x) for x in rng.choice(kept))
            final.append(self.stage((), axes, 1))
        if not self.outputs:
            final.append(self.stage((), (), 1))
        params: tuple[k.Array | k.Scalar, ...] = (*self.arrays, k.Scalar("s", f32))
        return k.Kernel("t", params, tuple(self.outputs), outer, tuple(stages), tuple(final))

    def matrix(self) -> k.Kernel:
        """A matrix product with an epilogue, or a map that reads across memory."""
        rng, dtype = self.rng, self.rng.choice(KINDS)
        self.windows = 0.0
        axes = [k.Axis(self.name("i"), self.extent()) for _ in range(rng.choice((2, 2, 3)))]
        row, column = axes[-2:]
        index = tuple(k.Index(a.name) for a in axes)
        dims = tuple(a.extent for a in axes)
        self.axes = tuple(axes)
        if rng.random() < 0.5:
            across = [column, row] if len(axes) == 2 else rng.choice(([column, row], [column, axes[0], row]))
            load = self.array(across, dtype)
            value = k.Call("add", (load, self.clip(self.expr(dtype, 2), dtype)), dtype)
            self.outputs.append(k.Array("o", dtype, dims))
            outer, stages = axes[:-1], [k.Stage((column,), (k.Store("o", index, value),))]
        else:
            depth = k.Axis(self.name("l"), self.extent())
            sides = [[row, depth], [depth, column]]
            for side in sides:
                side[:0] = axes[:-2] if rng.random() < 0.5 else []
                rng.shuffle(side)
            args = tuple(self.array(side, dtype) for side in rng.sample(sides, 2))
            made = k.Reduce(("r",), "dot", args, (fold("dot").accumulator(dtype),), "row")
            self.rows, self.plain = [made], True
            outer, stages = axes, [k.Stage((depth,), (made,)), self.stage(self.axes, (), rng.randint(1, 3))]
            self.outputs.append(k.Array("last", made.dtypes[0], dims))
            stages.append(k.Stage((), (k.Store("last", index, k.Ref("r", made.dtypes[0])),)))
        params: tuple[k.Array | k.Scalar, ...] = (*self.arrays, k.Scalar("s", f32))
        return k.Kernel("t", params, tuple(self.outputs), tuple(outer), tuple(stages))

    def array(self, axes: list[k.Axis], dtype: DType) -> k.Load:
        name = self.name("x")
        dims = tuple(a.extent for a in axes)
        self.arrays.append(k.Array(name, dtype, dims, self.rng.random() < 0.9))
        return k.Load(name, tuple(k.Index(a.name) for a in axes), dtype)

    def stage(self, outer: tuple[k.Axis, ...], inner: tuple[k.Axis, ...], most: int) -> k.Stage:
        rng, body, rows = self.rng, list[k.Stmt](), list[k.Reduce]()
        self.axes, self.lets = outer + inner, []
        for _ in range(most):
            form = "store" if self.final else rng.choice(("let", "store", "store", "row", "all"))
            form = "store" if self.plain else form
            if form == "let":
                dtype = rng.choice(KINDS)
                name = self.name("t")
                body.append(k.Let(name, self.expr(dtype, 2)))
                self.lets.append(k.Ref(name, dtype))
            elif form == "store":
                dtype = rng.choice((*KINDS, b1, *DTYPES.values()))
                index = rng.sample(self.axes, len(self.axes)) if rng.random() < 0.3 else list(self.axes)
                dims = tuple(a.extent for a in index)
                out = k.Array(self.name("o"), dtype, dims, not dims or rng.random() < 0.85)
                self.outputs.append(out)
                kind = dtype if dtype in KINDS else rng.choice(KINDS)
                value = self.expr(kind, 3)
                if kind is not dtype:  # what a cast to an unsigned dtype holds
                    value = k.Call("cast", (k.Call("abs", (self.clip(value, kind),), kind),), dtype)
                body.append(k.Store(out.name, tuple(k.Index(a.name) for a in index), value))
            else:
                made = self.reduce(form, outer, inner)
                body.append(made)
                rows += [made] if form == "row" else []
        self.rows += rows
        return k.Stage(inner, tuple(body))

    def reduce(self, scope: str, outer: tuple[k.Axis, ...], inner: tuple[k.Axis, ...]) -> k.Reduce:
        rng, dtype = self.rng, self.rng.choice(KINDS)
        op = rng.choice(("sum", "max", "min", "dot", "argmax", "argmin"))
        of = fold(op)
        kinds = (dtype, *(i32 if len(of.states) > 1 else dtype for _ in range(of.arguments - 1)))
        args = tuple(self.clip(self.expr(kind, 2), kind) for kind in kinds)
        wide = tuple(map(of.accumulator, of.own(kinds)))
        keep: tuple[str, ...] = ()
        if scope == "all" and rng.random() < 0.6:
            keep = tuple(a.name for a in rng.sample(inner, rng.randint(0, len(inner))))
            keep = keep if not inner or inner[-1].name in keep else ()
        made = k.Reduce(tuple(self.name("r") for _ in wide), op, args, wide, scope, keep)
        if scope == "all":
            extents = {a.name: a.extent for a in inner}
            self.totals.append((made, tuple(extents[a] for a in keep)))
        return made

    # -- expressions

    def clip(self, e: k.Expr, dtype: DType) -> k.Expr:
        """Between -8 and 8."""
        low, high = (k.Const(v if dtype.kind == "f" else int(v), dtype) for v in (-8.0, 8.0))
        return k.Call("min", (k.Call("max", (e, low), dtype), high), dtype)

    def expr(self, dtype: DType, depth: int) -> k.Expr:
        rng = self.rng
        if not depth or rng.random() < 0.25:
            return self.leaf(dtype)
        op = rng.choice(("add", "sub", "mul", "max", "min", "abs", "where", "cast", "mod", "floordiv"))
        if op == "abs":
            return k.Call(op, (self.expr(dtype, depth - 1),), dtype)
        if op == "where":
            kind = rng.choice(KINDS)
            pair = self.expr(kind, depth - 1), self.expr(kind, depth - 1)
            test = k.Call(rng.choice(("lt", "ge", "eq")), pair, b1)
            return k.Call(op, (test, self.expr(dtype, depth - 1), self.expr(dtype, depth - 1)), dtype)
        if op == "cast":
            kind = rng.choice(KINDS)
            inner = self.expr(kind, depth - 1)
            return inner if kind is dtype else k.Call(op, (inner,), dtype)
        if op in ("mod", "floordiv"):
            by = rng.choice((2, 3, 5))
            divisor = k.Const(float(by) if dtype.is_float else by, dtype)
            return k.Call(op, (self.expr(dtype, depth - 1), divisor), dtype)
        return k.Call(op, tuple(self.clip(self.expr(dtype, depth - 1), dtype) for _ in range(2)), dtype)

    def leaf(self, dtype: DType) -> k.Expr:
        rng = self.rng
        refs = [r for r in self.lets if r.dtype is dtype]
        known = [*self.rows, *(r for r, _ in self.totals if self.final and not r.keep)]
        refs += [k.Ref(name, kind) for r in known for name, kind in r.results if kind is dtype]
        if self.final:
            refs += self.kept(dtype)
        if refs and rng.random() < 0.5:
            return self.clip(rng.choice(refs), dtype)
        if rng.random() < 0.15:
            value = rng.randint(-3, 3)
            return k.Const(float(value) if dtype.is_float else value, dtype)
        if dtype is f32 and rng.random() < 0.05:
            return k.Ref("s", f32)
        return self.load(dtype)

    def kept(self, dtype: DType) -> list[Any]:
        """Totals with kept axes whose extents are those of axes here."""
        found = []
        for r, dims in self.totals:
            spots = [[a.name for a in self.axes if a.extent == x] for x in dims]
            for name in (name for name, kind in r.results if dims and kind is dtype and all(spots)):
                found.append(k.Load(name, tuple(k.Index(self.rng.choice(s)) for s in spots), dtype))
        return found

    def load(self, dtype: DType) -> k.Expr:
        rng = self.rng
        for array in rng.sample(self.arrays, len(self.arrays)):  # one that is there
            spots = [[a.name for a in self.axes if a.extent == x] for x in array.dims]
            if array.dtype is dtype and all(spots) and rng.random() < 0.4 and array.name not in self.bounds:
                return k.Load(array.name, tuple(k.Index(rng.choice(s)) for s in spots), dtype)
        axes = rng.sample(self.axes, rng.randint(0, len(self.axes)))
        if rng.random() < 0.6:
            axes = [a for a in self.axes if a in axes]
        if axes and rng.random() < 0.15:
            axes.insert(rng.randint(0, len(axes)), rng.choice(axes))
        dims = tuple(a.extent for a in axes)
        while np.prod([self.size(x) for x in dims], dtype=float) > 200_000:
            axes, dims = axes[1:], dims[1:]
        index = [k.Index(a.name) for a in axes]
        guards: tuple[k.Within, ...] = ()
        name = self.name("x")
        free = [n for n, a in enumerate(axes) if axes.count(a) == 1]
        if free and rng.random() < self.windows:  # of an axis; the array is as long as the window
            at = rng.choice(free)
            size = self.size(dims[at])
            lo = rng.randint(0, size)
            lows, highs, length = f"{name}lo", f"{name}hi", f"{name}n"
            self.bounds |= {lows: lo, highs: rng.randint(lo, size), name: 0}
            self.bounds[length] = self.bounds[highs] - lo
            index[at] = k.Index(axes[at].name, lows)
            guards = (k.Within(axes[at].name, lows, highs),)
            dims = (*dims[:at], length, *dims[at + 1 :])
        self.arrays.append(k.Array(name, dtype, dims, not dims or rng.random() < 0.85))
        return k.Load(name, tuple(index), dtype, guards)


def random_kernel(seed: int) -> tuple[k.Kernel, dict[str, Array], dict[str, int], dict[str, float]]:
    """A kernel, arrays and numbers to run it on: the same for the same seed."""
    maker = _Maker(random.Random(seed))
    kernel = maker.matrix() if seed % 5 == 0 else maker.kernel()
    symbols = {name: (maker.symbols | maker.bounds)[name] for name in k.symbols(kernel)}
    rng = np.random.default_rng(seed)
    arrays = {}
    for array in maker.arrays:
        shape = [symbols[x] if isinstance(x, str) else x for x in array.dims]
        arrays[array.name] = rng.integers(-3, 4, shape).astype(array.dtype.np)
    return kernel, arrays, symbols, {"s": 2.0}
