"""Random legal graphs, kernels and functions, for property tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from lucid.compiler import ops
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Graph, Loc, Node, at
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import COMPARISONS, Builder, Func, Imm, Operand, Store, Value
from lucid.compiler.ir.types import DTYPES, DType, b1, bf16, f16, f32, f64, i32, i64, u8
from lucid.compiler.ops import REGISTRY, Op
from lucid.compiler.text.lexer import fit

SOME = (f32, f64, f16, bf16, i32, u8, b1)
LOCS = st.sampled_from((None, Loc("train.py", 12), Loc("<stdin>", 3), Loc("my model/a:b.py", 100)))


def elementwise() -> list[Op]:
    """The ops that are drawn from."""
    return [o for o in REGISTRY.values() if o.kind == "elementwise" and o.name not in ("cast", "where")]


def numbers(dtype: DType) -> st.SearchStrategy[float | int | bool]:
    """Every value of `dtype`, as its text reads back; one NaN (which no equality can compare)."""
    if dtype.kind == "b":
        return st.booleans()
    if dtype.is_float:
        width: Any = dtype.bits
        floats = st.floats(width=width, allow_nan=False) | st.sampled_from((0.0, -0.0, 0.1, 1e30))
        return floats.filter(lambda v: np.isinf(v) or abs(v) < 6e4 or dtype is not f16).map(
            lambda v: fit(v, dtype)
        )
    limits = np.iinfo(dtype.numpy)
    return st.integers(int(limits.min), int(limits.max))


def arity(op: Op) -> int:
    return len(op.samples[0].shapes)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Elementwise ops, casts, views, reductions and products over small shapes."""
    shapes = ((), (3,), (2, 3))
    names = draw(st.lists(st.sampled_from(("x", "y", "a b", "w.0", "7", "x")), min_size=1, max_size=4))
    nodes = [
        ops.INPUT(name=name, dtype=draw(st.sampled_from(SOME)), shape=draw(st.sampled_from(shapes)))
        for name in names
    ]
    inputs = tuple(nodes)
    for _ in range(draw(st.integers(0, 12))):
        with at(draw(LOCS)):
            made = _grow(draw, nodes)
        if made is not None:
            nodes.append(made)
    outputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3))
    return Graph(draw(st.sampled_from(("f", "<lambda>", "net.step"))), inputs, tuple(outputs))


def _grow(draw: st.DrawFn, nodes: list[Node]) -> Node | None:
    x = draw(st.sampled_from(nodes))
    form = draw(st.sampled_from(("element", "cast", "where", "const", "reduce", "view", "product")))
    if form == "element":
        op = draw(st.sampled_from(elementwise()))
        if not op.takes(x.type.dtype):
            return None
        alike = st.sampled_from([n for n in nodes if n.type == x.type])
        return op(*(draw(alike) for _ in range(arity(op))))
    if form == "cast":
        return ops.CAST(x, dtype=draw(st.sampled_from(list(DTYPES.values()))))
    if form == "where":
        alike = st.sampled_from([n for n in nodes if n.type == x.type])
        y = draw(alike)
        return ops.WHERE(ops.NE(x, y), draw(alike), y)
    if form == "const":
        leaf = draw(st.sampled_from((ops.CONST, ops.SCALAR)))
        value = draw(numbers(x.type.dtype))
        return ops.fill(leaf(value=value, dtype=x.type.dtype), x.shape)
    if form == "reduce":
        if x.type.dtype is b1:
            return None
        axes = tuple(d for d in range(x.type.ndim) if draw(st.booleans()))
        some = all(x.shape[d] for d in axes)  # no elements have a sum, but no extreme
        return draw(st.sampled_from((ops.SUM, ops.AMAX, ops.AMIN) if some else (ops.SUM,)))(x, axes=axes)
    if form == "product":
        if x.type.ndim != 2 or x.type.dtype is b1:
            return None
        return ops.CONTRACT(x, x, spec=draw(st.sampled_from(("ij,kj->ik", "ij,ij->", "ij,ij->j"))))
    ndim = x.type.ndim
    view = draw(st.sampled_from((ops.TRANSPOSE, ops.PAD, ops.SLICE, ops.RESHAPE, ops.BROADCAST)))
    if view is ops.TRANSPOSE:
        return view(x, perm=tuple(draw(st.permutations(range(ndim)))))
    if view is ops.PAD:
        lo, hi = (tuple(draw(st.integers(0, 2)) for _ in range(ndim)) for _ in range(2))
        return view(x, lo=lo, hi=hi)
    if view is ops.RESHAPE:
        return view(x, shape=(1, x.type.size))
    if view is ops.BROADCAST:
        return view(x, shape=(2, *x.shape)) if ndim < 3 else None
    counts = tuple(draw(st.integers(0, n)) for n in x.shape)
    return view(x, starts=(0,) * ndim, steps=(1,) * ndim, counts=counts)


# --- kernels -------------------------------------------------------------------------------------

_PARAMS: tuple[k.Array | k.Scalar, ...] = (
    k.Array("x", f32, ("n", "d")),
    k.Array("v", f32, ("d",), unit=False, step=3),
    k.Array("p", f32, ("g",)),
    k.Array("h", f64, ("n",)),
    k.Array("q", i32, ("n", 3)),
    k.Array("b", f32, ()),
    k.Array("m", b1, ("n",)),
    k.Scalar("s", f32),
    k.Scalar("c", i32),
)
_GUARD = k.Within("i", "lo", "hi")


@st.composite
def kernels(draw: st.DrawFn) -> k.Kernel:
    """One outer axis, stages with and without inner axes, every form of statement."""
    maker = _Maker(draw)
    outer = (k.Axis("i", "n"),)
    stages: list[k.Stage] = []
    outputs: list[k.Array] = []
    for number in range(draw(st.integers(1, 3))):
        inner = draw(st.sampled_from(((), (k.Axis("j", "d"),), (k.Axis("l", 3),))))
        maker.axes = ("i", *(a.name for a in inner))
        body: list[k.Stmt] = []
        for step in range(draw(st.integers(0, 3))):
            body.append(maker.statement(f"{number}_{step}", inner))
        dims = ("n", *(a.extent for a in inner))
        dtype = draw(st.sampled_from((f32, f64, i32, b1)))
        out = k.Array(f"o{number}", dtype, dims, draw(st.booleans()))
        index = tuple(k.Index(a) for a in maker.axes)
        body.append(k.Store(out.name, index, maker.expr(dtype, 4), draw(LOCS)))
        outputs.append(out)
        stages.append(k.Stage(inner, tuple(body)))
        maker.end_stage()
    final: tuple[k.Stage, ...] = ()
    if draw(st.booleans()):
        maker.begin_final()
        outputs.append(k.Array("end", f32, ()))
        axes: tuple[k.Axis, ...] = ()
        first = k.Stage((), (k.Store("fin", (), maker.expr(f32, 3)),))
        outputs[-1] = k.Array("fin", f32, ())
        axes = (k.Axis("j", "d"),)
        maker.axes = ("j",)
        outputs.append(k.Array("far", f32, ("d",)))
        second = k.Stage(axes, (k.Store("far", (k.Index("j"),), maker.expr(f32, 3)),))
        final = (first, second)
    return k.Kernel("random", _PARAMS, tuple(outputs), outer, tuple(stages), final)


class _Maker:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.axes: tuple[str, ...] = ()
        self.known: dict[str, DType] = {"s": f32, "c": i32}
        self.lets: set[str] = set()
        self.rows: dict[str, DType] = {}
        self.totals: dict[str, DType] = {}
        self.kept: dict[str, tuple[DType, tuple[str, ...]]] = {}
        self.final = False

    def end_stage(self) -> None:
        self.known = {n: d for n, d in self.known.items() if n not in self.lets} | self.rows

    def begin_final(self) -> None:
        self.final, self.axes = True, ()
        self.known = {"s": f32, "c": i32} | self.totals

    def statement(self, tag: str, inner: tuple[k.Axis, ...]) -> k.Stmt:
        form = self.draw(st.sampled_from(("let", "row", "all")))
        dtype = self.draw(st.sampled_from((f32, f64, i32, b1)))
        loc = self.draw(LOCS)
        if form == "let":
            name = f"t{tag}"
            stmt = k.Let(name, self.expr(dtype, 4), loc)
            self.known[name] = dtype
            self.lets.add(name)
            return stmt
        op = self.draw(st.sampled_from(("max", "min") if dtype is b1 else ("sum", "max", "min", "dot")))
        args = tuple(self.expr(dtype, 3) for _ in range(2 if op == "dot" else 1))
        wide = f64 if dtype is f32 and self.draw(st.booleans()) else dtype
        name = f"r{tag}"
        if form == "row":
            self.rows[name] = wide
            return k.Reduce((name,), op, args, (wide,), "row", (), loc)
        keep = tuple(a.name for a in inner) if self.draw(st.booleans()) else ()
        if keep:
            self.kept[name] = (wide, keep)
        else:
            self.totals[name] = wide
        return k.Reduce((name,), op, args, (wide,), "all", keep, loc)

    def expr(self, dtype: DType, depth: int) -> k.Expr:
        draw = self.draw
        form = draw(st.integers(0, 9)) if depth else 0
        if form <= 3:
            return draw(st.sampled_from(self.leaves(dtype)))
        if form == 4:
            return k.Const(draw(numbers(dtype)), dtype)
        if form == 5:
            source = draw(st.sampled_from((f32, f64, i32, b1)))
            return k.Call("cast", (self.expr(source, depth - 1),), dtype)
        if form == 6:
            cond = self.expr(b1, depth - 1)
            return k.Call("where", (cond, self.expr(dtype, depth - 1), self.expr(dtype, depth - 1)), dtype)
        choices = [op for op in elementwise() if _result(op, dtype)]
        op = draw(st.sampled_from(choices))
        source = dtype
        if op.infer is not None and dtype is b1 and op.name in COMPARISONS:
            source = draw(st.sampled_from((f32, i32, b1)))
        return k.Call(op.name, tuple(self.expr(source, depth - 1) for _ in range(arity(op))), dtype)

    def leaves(self, dtype: DType) -> list[k.Expr]:
        found: list[k.Expr] = [k.Const(fit(1, dtype), dtype)]
        found += [k.Ref(name, d) for name, d in self.known.items() if d is dtype]
        if dtype is f32:
            found.append(k.Load("b", (), f32))
        if "i" in self.axes:
            if dtype is f32:
                found.append(k.Load("p", (k.Index("i", "lo"),), f32, (_GUARD,)))
            if dtype is f64:
                found.append(k.Load("h", (k.Index("i"),), f64, (_GUARD,)))
            if dtype is b1:
                found += [_GUARD, k.Load("m", (k.Index("i"),), b1)]
        if dtype is f32 and "j" in self.axes:
            found.append(k.Load("v", (k.Index("j"),), f32))
        if dtype is f32 and set(self.axes) == {"i", "j"}:
            found.append(k.Load("x", (k.Index("i"), k.Index("j")), f32))
        if dtype is i32 and "l" in self.axes:
            found.append(k.Load("q", (k.Index("i"), k.Index("l")), i32))
        if self.final:
            for name, (d, keep) in self.kept.items():
                if d is dtype and keep == self.axes:
                    found.append(k.Load(name, tuple(map(k.Index, keep)), d))
        return found


def _result(op: Op, dtype: DType) -> bool:
    """Whether `op` can give `dtype`."""
    if op.name in COMPARISONS:
        return dtype is b1
    return op.takes(dtype)


# --- functions -----------------------------------------------------------------------------------

_BINARY = ("add", "sub", "mul", "eq", "lt", "ge")


@st.composite
def funcs(draw: st.DrawFn) -> Func:
    """Arithmetic, loads, stores and nested loops, in bounds."""
    b = Builder()
    pool: list[Operand] = [Value("n", i64), Value("s", f32)]
    with b.loop(Value("begin", i64), Value("end", i64), 1, "parallel") as outer:
        pool.append(outer.var)
        inits = tuple(draw(st.sampled_from(pool)) for _ in range(draw(st.integers(0, 2))))
        mixed = Imm(draw(numbers(f32)), f32, 4)
        with b.loop(Imm(0, i64), Value("n", i64), 2, "vector", (*inits, mixed)) as inner:
            local = [*pool, *inner.carried]
            for _ in range(draw(st.integers(0, 8))):
                local.append(_instruction(draw, b, local))
            inner.yields = tuple(
                draw(st.sampled_from([v for v in local if _type(v) == _type(c)])) for c in inner.carried
            )
        for value in inner.results:
            if _type(value) == (f32, 4):
                mask = b.op("eq", value, value) if draw(st.booleans()) else None
                b.emit(Store("o", Imm(0, i64), value, None, mask, draw(st.booleans()), draw(LOCS)))
    slots = (
        Slot("x", "array", f32), Slot("o", "array", f32), Slot("n", "int", i64),
        Slot("s", "scalar", f32),
    )  # fmt: skip
    return Func("random.finish", slots, b.done())


def _type(value: Operand) -> tuple[DType, int]:
    return value.dtype, value.lanes


def _instruction(draw: st.DrawFn, b: Builder, local: list[Operand]) -> Operand:
    b.loc = draw(LOCS)
    form = draw(st.sampled_from(("binary", "load", "cast", "select", "half")))
    x = draw(st.sampled_from(local))
    if form == "load":
        stride = Imm(2, i64) if draw(st.booleans()) else None
        mask = Imm(draw(st.booleans()), b1, 4)
        return b.load("x", f32, Imm(draw(st.integers(0, 3)), i64), 4, stride, mask)
    if form == "cast":
        return b.op("cast", x, dtype=draw(st.sampled_from((f32, f64, b1))))
    y = draw(st.sampled_from([v for v in local if _type(v) == _type(x)]))
    if draw(st.booleans()):
        y = Imm(draw(numbers(x.dtype)), x.dtype, x.lanes)
    if form == "half" and x.lanes == 4:
        return b.op(draw(st.sampled_from(("lo", "hi"))), x, dtype=x.dtype, lanes=2)
    if form == "select":
        return b.op("select", b.op("ne", x, y), x, y)
    op = draw(st.sampled_from(_BINARY))
    if x.dtype is b1:
        op = draw(st.sampled_from(("and", "or", "xor", "eq")))
    return b.op(op, x, y) if draw(st.booleans()) else b.op(op, y, x)
