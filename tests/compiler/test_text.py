"""Text of the three levels: what is printed is read back; what is malformed is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lucid.compiler import ops
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Graph, Loc, Node, at, toposort
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import Func, Imm, Let, Value
from lucid.compiler.ir.types import DTYPES, DType, b1, f16, f32, f64, i32, i64
from lucid.compiler.ops import REGISTRY, Op, Sample
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.lexer import MAX_DEPTH, IRSyntaxError, fit, format_number
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.graph import verify_graph
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from tests.native import sample_dtypes

from ..conftest import Golden
from . import strategies

FILES = sorted((Path(__file__).parent / "kernels").glob("*.kernel"))
few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


# --- round trips ---------------------------------------------------------------------------------


def _same(a: Graph, b: Graph) -> None:
    """Equal nodes in equal places, source lines included."""
    pairs = dict(zip(a.inputs, b.inputs, strict=True))
    for x, y in zip(toposort(a.outputs), toposort(b.outputs), strict=True):
        assert x.op is y.op
        assert x.type == y.type
        assert pairs.setdefault(x, y) is y
        assert [pairs[n] for n in x.inputs] == list(y.inputs)
        assert dict(x.attrs) == dict(y.attrs)
        if x not in a.inputs:
            assert x.loc == y.loc
    assert [pairs[n] for n in a.outputs] == list(b.outputs)
    assert a.name == b.name


@few
@given(strategies.graphs())
def test_graphs_round_trip(graph: Graph) -> None:
    verify_graph(graph)
    text = print_graph(graph, locs=True)
    read = parse_graph(text)
    verify_graph(read)
    _same(graph, read)
    assert print_graph(read, locs=True) == text
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)
    arrays = [np.ones(n.shape, n.type.dtype.np) for n in graph.inputs]
    for a, b in zip(interpret_graph(graph, arrays), interpret_graph(read, arrays), strict=True):
        np.testing.assert_array_equal(a, b)


@few
@given(strategies.kernels())
def test_kernels_round_trip(kernel: k.Kernel) -> None:
    verify_kernel(kernel)
    for locs in (False, True):
        text = print_kernel(kernel, locs)
        read = parse_kernel(text)
        assert read == kernel
        assert print_kernel(read, locs) == text
    stmts = [s for stage in kernel.stages for s in stage.body]
    assert [s.loc for stage in read.stages for s in stage.body] == [s.loc for s in stmts]
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "x": np.ones((4, 5), np.float32), "v": np.ones(5, np.float32), "p": np.ones(2, np.float32),
        "h": np.ones(4), "q": np.ones((4, 3), np.int32), "b": np.ones((), np.float32),
        "m": np.ones(4, bool),
    }  # fmt: skip
    results = interpret_kernel(kernel, arrays, {"s": 0.5, "c": 2}, {"lo": 1, "hi": 3, "d": 5, "n": 4})
    assert {name: a.shape for name, a in results.items()} == {
        o.name: tuple({"n": 4, "d": 5}.get(str(e), e) for e in o.dims) for o in kernel.outputs
    }


@few
@given(strategies.funcs())
def test_funcs_round_trip(func: Func) -> None:
    verify_func(func)
    for locs in (False, True):
        text = print_func(func, locs)
        read = parse_func(text)
        assert read == func
        assert print_func(read, locs) == text
    x = np.arange(16, dtype=np.float32)
    interpret_func(func, {"x": x, "o": np.zeros(16, np.float32)}, {"n": 5, "s": 2.0}, 0, 2)


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if op.kind != "pair"], ids=lambda op: op.name)
def test_every_op_round_trips(op: Op) -> None:
    for sample in op.samples or (Sample(()),):
        for dtype in DTYPES.values():
            if not op.takes(dtype):
                continue
            graph = _sample_graph(op, sample, dtype)
            verify_graph(graph)
            _same(graph, parse_graph(print_graph(graph)))


def _sample_graph(op: Op, sample: Sample, dtype: DType) -> Graph:
    if op is ops.INPUT:
        node = op(name="x", dtype=dtype, shape=(2, 0))
        return Graph("g", (node,), (node,))
    if op.kind == "leaf":
        return Graph("g", (), (op(value=1, dtype=dtype),))
    dtypes = sample_dtypes(op, sample, dtype)
    inputs = tuple(
        ops.INPUT(name=f"x{n}", dtype=d, shape=shape)
        for n, (d, shape) in enumerate(zip(dtypes, sample.shapes, strict=True))
    )
    return Graph("g", inputs, (op(*inputs, **sample.attrs),))


def _digits(text: str) -> int:
    """How many digits of a number count."""
    return len(text.partition("e")[0].replace(".", "").strip("-0"))


@given(st.sampled_from((f16, f32, f64)), st.data())
@settings(max_examples=300, deadline=None)
def test_floats_are_printed_exactly(dtype: DType, data: st.DataObject) -> None:
    value = data.draw(strategies.numbers(dtype))
    node = parse_graph(f"graph g() -> (%0) {{\n%0: f64[] = const value={value!r} dtype=f64\n}}")
    assert node.outputs[0].attrs["value"] == value
    text = format_number(value, dtype)
    again = fit(float(text), dtype)
    assert (again, np.signbit(again)) == (value, np.signbit(value))
    assert _digits(text) <= _digits(repr(float(value)))


def test_nan_is_a_literal() -> None:
    kernel = parse_kernel("kernel q() -> (o: f32[])\n  stage\n    o = f32(nan)\n")
    verify_kernel(kernel)
    assert np.isnan(interpret_kernel(kernel, {})["o"])
    assert "f32(nan)" in print_kernel(kernel)


# --- golden texts --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_canonical_kernels(path: Path, golden: Golden) -> None:
    kernel = parse_kernel(path.read_text(encoding="utf-8"))
    golden(f"kernels/{path.stem}.txt", print_kernel(kernel))


def test_graph_text(golden: Golden) -> None:
    x = ops.INPUT(name="x", dtype=f32, shape=(4096,))
    y = ops.INPUT(name="y", dtype=f32, shape=(4096,))
    with at(Loc("train.py", 12)):
        d = ops.SUB(x, y)
        a = ops.ABS(d)
    with at(Loc("train.py", 13)):
        half = ops.const(0.5, d)
        low = ops.MUL(half, ops.MUL(d, d))
        loss = ops.WHERE(ops.LE(a, ops.const(1, a)), low, ops.SUB(a, half))
        mean = ops.MUL(ops.SUM(loss, axes=(0,)), ops.SCALAR(value=1 / 4096, dtype=f32))
    golden("huber.graph.txt", print_graph(Graph("huber", (x, y), (mean, d)), locs=True))


# --- details of the syntax -----------------------------------------------------------------------

HEAD = "kernel t(x: f32[n], h: f16[n], c: i32[n], b: f32[], s: f32) -> (o: f32[n])\n  for i in n\n"


def _stmt(text: str) -> k.Stmt:
    """The first statement of a kernel that stores it."""
    kernel = parse_kernel(f"{HEAD}    stage\n      {text}\n")
    return kernel.stages[0].body[0]


def _expr(text: str) -> k.Expr:
    stmt = _stmt(f"t = {text}")
    assert isinstance(stmt, k.Let)
    return stmt.expr


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("x[i] - (s - s) - s", "x[i] - (s - s) - s"),
        ("(x[i] * s) + (s / b)", "x[i] * s + s / b"),
        ("x[i] / (s * b)", "x[i] / (s * b)"),
        ("-x[i] * -s", "neg(x[i]) * neg(s)"),
        ("- -s", "neg(neg(s))"),
        ("s * -0.5", "s * -0.5"),
        ("s - -0.0", "s - -0.0"),
        ("s-1", "s - 1.0"),
        ("2 * s", "2.0 * s"),
        ("(1 + 2) * s", "(f32(1.0) + f32(2.0)) * s"),
        ("max(s, 0)", "max(s, 0.0)"),
        ("max(s, 0) + 1", "max(s, 0.0) + 1.0"),
        ("where(s < 1, s, inf)", "where(s < 1.0, s, inf)"),
        ("where(true, s, 0)", "where(b1(true), s, 0.0)"),
        ("(s < b) == (s >= b)", "(s < b) == (s >= b)"),
        ("f64(x[i]) * 0.1", "f64(x[i]) * 0.1"),
        ("f32(0.1) * f32(3)", "f32(0.1) * f32(3.0)"),
        ("f32(h[i]) + 0.1", "f32(h[i]) + 0.1"),
        ("h[i] * 0.1", "h[i] * 0.1"),
        ("c[i] * 3", "c[i] * 3"),
        ("f32((lo <= i < hi))", "f32((lo <= i < hi))"),
        ("x[i - lo | lo <= i < hi]", "x[i - lo | lo <= i < hi]"),
        ("stop_gradient(s)", "stop_gradient(s)"),
        ("f32(f64(0.5))", "f32(f64(0.5))"),
        ("f32(f32(0.5) + 1)", "f32(f32(0.5) + f32(1.0))"),
    ],
)
def test_expressions(text: str, canonical: str) -> None:
    kernel = parse_kernel(f"{HEAD}    stage\n      t = {text}\n")
    printed = print_kernel(kernel)
    assert f"      t = {canonical}\n" in printed
    assert parse_kernel(printed) == kernel


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("r = sum(x[i])", "r = sum(x[i])"),
        ("r: f64 = sum(x[i])", "r: f64 = sum(x[i])"),
        ("r: f32 = sum(1)", "r = sum(f32(1.0))"),
        ("r = max(x[i])", "r = max(x[i])"),
        ("r = dot(x[i], 2)", "r = dot(x[i], 2.0)"),
        ("r += x[i] * 2", "r += x[i] * 2.0"),
        ("r: f64 += f64(1)", "r += f64(1.0)"),
        ("r: f64 max= x[i]", "r: f64 max= x[i]"),
        ("r min= x[i]", "r min= x[i]"),
        ("r: f32 += dot(h[i], h[i])", "r: f32 += dot(h[i], h[i])"),
        ("r[i] += s", "r[i] += s"),
        ("o[i] = 1", "o[i] = f32(1.0)"),
    ],
)
def test_statements(text: str, canonical: str) -> None:
    kernel = parse_kernel(f"{HEAD}    stage\n      {text}\n")
    printed = print_kernel(kernel)
    assert f"      {canonical}\n" in printed
    assert parse_kernel(printed) == kernel


def test_literals_take_the_dtype_beside_them() -> None:
    expr = _expr("0.1 * h[i]")
    assert isinstance(expr, k.Call)
    assert expr.args[0] == k.Const(float(np.float16(0.1)), f16)
    assert _expr("c[i] * 3") == k.Call("mul", (k.Load("c", (k.Index("i"),), i32), k.Const(3, i32)), i32)


def test_layout_is_free_and_lines_are_kept() -> None:
    compact = parse_kernel(
        "kernel f(x: f32[n, d:],\n  y: f32)\n -> (o: f32[]):  # a comment\n"
        "for i in n: # no location here: 12\nstage j in d:  a = x[i, j] * y;;b = a # m.py:7\n\n"
        "stage\nt += y\nfinally:\no = t # m.py:9".replace(";;", "; ")
    )
    spread = parse_kernel(print_kernel(compact, locs=True))
    assert compact == spread
    locs = [s.loc for stage in (*spread.stages, *spread.final) for s in stage.body]
    assert locs == [Loc("m.py", 7), Loc("m.py", 7), None, Loc("m.py", 9)]
    bare = parse_kernel("kernel f(y: f32) -> (o: f32[])\n  o = y\n")
    assert bare.outer == ()
    assert parse_kernel(print_kernel(bare)) == bare


def test_a_kernel_is_its_text_without_locs() -> None:
    stmt = k.Store("o", (), k.Ref("y", f32), Loc("a.py", 1))
    kernel = k.Kernel("f", (k.Scalar("y", f32),), (k.Array("o", f32, ()),), (), (k.Stage((), (stmt,)),))
    assert "a.py" not in print_kernel(kernel)
    assert "  # a.py:1\n" in print_kernel(kernel, locs=True)
    # 0.1 and the float32 nearest to it are one constant, so they are one text
    texts = set()
    for value in (0.1, float(np.float32(0.1))):
        body = k.Store("o", (), k.Call("mul", (k.Ref("y", f32), k.Const(value, f32)), f32))
        other = k.Kernel("f", kernel.params, kernel.outputs, (), (k.Stage((), (body,)),))
        texts.add(print_kernel(other))
    assert len(texts) == 1


def test_odd_source_lines_do_not_break_the_text() -> None:
    with at(Loc("a\nb # c.py", 3)):
        node = ops.SCALAR(value=2.0, dtype=f32)
    text = print_graph(Graph("g", (), (node,)), locs=True)
    assert parse_graph(text).outputs[0].loc == Loc("a?b # c.py", 3)


def test_operands_of_instructions_show_their_type_where_it_is_not_implied() -> None:
    v = Value("v", f32, 4)
    lets = (
        Let(Value("a", f32, 4), "add", (Imm(1.0, f32, 4), Imm(2.0, f32, 4))),
        Let(Value("b", b1, 4), "lt", (Imm(1.0, f32, 4), Imm(2.0, f32, 4))),
        Let(Value("c", b1, 4), "lt", (Imm(1.0, f32, 4), Value("a", f32, 4))),
        Let(Value("d", f32, 4), "cast", (Imm(1, i64, 4),)),
        Let(Value("e", f32, 2), "lo", (Imm(1.0, f32, 4),)),
        Let(Value("f", f32, 4), "splat", (Imm(1.0, f32),)),
        Let(v, "select", (Imm(True, b1, 4), Value("a", f32, 4), Imm(0.0, f32, 4))),
        Let(Value("odd", f32, 4), "add", (Value("a", f32, 4), Imm(0.0, f64, 4))),  # illegal, but printable
    )
    func = Func("f", (Slot("n", "int", i64),), lets)
    text = print_func(func)
    assert [line.split(" = ")[1] for line in text.splitlines()[1:]] == [
        "add 1.0, 2.0",
        "lt f32x4(1.0), f32x4(2.0)",
        "lt 1.0, %a",
        "cast i64x4(1)",
        "lo 1.0",
        "splat 1.0",
        "select true, %a, 0.0",
        "add %a, f64x4(0.0)",
    ]
    assert parse_func(text) == func


# --- malformed text ------------------------------------------------------------------------------

G = "graph g(%x: f32[3]) -> (%1) {\n  %1: f32[3] = "
K = HEAD + "    stage\n      "
F = "func f(x: f32[], n: int)\n  "


@pytest.mark.parametrize(
    ("parse", "text", "line", "column", "message"),
    [
        (parse_graph, "", 1, 1, "expected `graph`, found the end of the text"),
        (parse_graph, "graph g(%x: f33[3])", 1, 13, "expected a dtype"),
        (parse_graph, "graph g(%x: f32[-3])", 1, 17, "expected an extent"),
        (parse_graph, "graph g(%x: f32[99999999999999999999])", 1, 17, "64 bits"),
        (parse_graph, "graph g(%x: f32[9999999999999999999])", 1, 17, "63 bits"),
        (parse_graph, G + "frob %x\n}", 2, 16, "expected an op, found `frob`"),
        (parse_graph, G + "neg %y\n}", 2, 20, "`%y` is not defined above"),
        (parse_graph, G + "sub %x\n}", 2, 16, "expected 2 operands, got 1"),
        (parse_graph, G + "neg %x axes=(1)\n}", 2, 23, "unexpected attribute `axes`"),
        (parse_graph, G + "sum %x\n}", 2, 22, "expected the attribute `axes`"),
        (parse_graph, G + "sum %x axes=(0)\n}", 2, 7, "the type of sum here is f32[], not f32[3]"),
        (parse_graph, G + "sum %x axes=3\n}", 2, 16, "sum:"),
        (parse_graph, G + 'contract %x, %x spec="a\n}', 2, 37, "unfinished string"),
        (parse_graph, G + r'contract %x, %x spec="\q"' + "\n}", 2, 37, "malformed string"),
        (parse_graph, G + "neg %x\n  %1: f32[3] = neg %x\n}", 3, 3, "`%1` is defined twice"),
        (parse_graph, G + "neg %x\n", 3, 1, "expected a node"),
        (parse_graph, G + "neg %x\n} tail", 3, 3, "expected the end of the text"),
        (parse_graph, G + "sum %x axes=" + "(" * 5000, 2, 0, "nested too deeply"),
        (parse_kernel, "graph", 1, 1, "expected `kernel`"),
        (parse_kernel, "kernel f(x: f32[n) -> ()", 1, 18, "expected `]`, found `)`"),
        (parse_kernel, "kernel f() -> (o: f32)\n", 1, 15, "the output `o` must be an array"),
        (parse_kernel, K + "t = y", 4, 11, "`y` is not defined above"),
        (parse_kernel, K + "t = x[j]", 4, 13, "`j` is not an axis here (i)"),
        (parse_kernel, K + "t = x", 4, 11, "`x` has 1 subscripts"),
        (parse_kernel, K + "t = s + h[i]", 4, 13, "operands differ in type: f32[], f16[]"),
        (parse_kernel, K + "t = 1 < 2", 4, 11, "the dtype of a literal is not known here"),
        (parse_kernel, K + "t = 0.5", 4, 11, "write `f32(0.5)`"),
        (parse_kernel, K + "t = c[i] + 0.5", 4, 18, "0.5 is no i32"),
        (parse_kernel, K + "t = c[i] + 3000000000", 4, 18, "does not fit into i32"),
        (parse_kernel, K + "t = s * 1e39", 4, 15, "does not fit into f32"),
        (parse_kernel, K + "t = s * 1e999", 4, 15, "does not fit into f64"),
        (parse_kernel, K + "t = s * true", 4, 15, "true is no f32"),
        (parse_kernel, K + "t = s < s < s", 4, 17, "comparisons do not chain"),
        (parse_kernel, K + "t = s + sum(x[i])", 4, 15, "a reduction is a statement of its own"),
        (parse_kernel, K + "t = sum(s, s)", 4, 11, "sum takes one argument, found 2"),
        (parse_kernel, K + "t = dot(s)", 4, 11, "dot takes two arguments, found 1"),
        (parse_kernel, K + "t = frob(s)", 4, 11, "`frob` is not an elementwise op"),
        (parse_kernel, K + "t = exp(s, s)", 4, 11, "expected 1 operand, got 2"),
        (parse_kernel, K + "t: f64 = s + s", 4, 7, "only a reduction is given a dtype"),
        (parse_kernel, K + "t = s s", 4, 13, "expected `;` or the end of the line, found `s`"),
        (parse_kernel, K + "t = (s", 4, 13, "expected `)`"),
        (parse_kernel, K + "t = s +", 4, 14, "expected an expression, found the end of the line"),
        (parse_kernel, K + "t ? s", 4, 9, "unexpected '?'"),
        (
            parse_kernel,
            K + "t s",
            4,
            9,
            "expected `=`, `+=`, `prod=`, `max=`, `min=`, `argmax=` or `argmin=`",
        ),
        (parse_kernel, K + "x[i - lo] += s", 4, 7, "plain axes"),
        (parse_kernel, K + "t = " + "(" * 5000 + "s", 4, 0, "nested deeper than"),
        (parse_kernel, K + "t = " + "exp(" * 5000 + "s", 4, 0, "nested deeper than"),
        (parse_kernel, K + "t = " + "-" * 5000 + "s", 4, 0, "deeper than"),
        (parse_kernel, K + "t = " + "s + " * 5000 + "s", 4, 0, "deeper than"),
        (parse_kernel, K + "t = s * " + "1" * 5000, 4, 15, "at most 40 characters"),
        (parse_func, "func f(x: f32[)", 1, 15, "expected `]`"),
        (parse_func, F + "%v: f32 = frob %n", 2, 13, "`frob` is not an instruction"),
        (parse_func, F + "%v: f32x0 = iota", 2, 7, "1 to 4096 lanes"),
        (parse_func, F + "%v: f32x16x = iota", 2, 7, "is not a type"),
        (parse_func, F + "%v: i64 = add %n", 2, 19, "expected operand 2 of 2"),
        (parse_func, F + "%v: i64 = add %n, %m", 2, 21, "`%m` is not defined above"),
        (parse_func, F + "%v: b1 = lt 1, 2", 2, 15, "a literal needs its type here"),
        (parse_func, F + "%v: i64 = neg 0.5", 2, 17, "0.5 is no i64"),
        (parse_func, F + "for %i in 0 .. %n step 1 quick", 2, 28, "expected a kind of loop"),
        (parse_func, F + "for %i in 0 .. %n step 1 serial\n", 3, 1, "expected `yield`"),
        (parse_func, F + "yield", 2, 3, "expected the end of the text"),
        (
            parse_func,
            F + "%a, %b = for %i in 0 .. 1 step 1 serial (%c: i64 = 0)",
            2,
            3,
            "2 results",
        ),
        (parse_func, F + "for %i in 0 .. 1 step 1 serial\n" * 5000, 103, 1, "nested deeper than"),
    ],
)
def test_malformed_text(
    parse: Callable[[str], object], text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(IRSyntaxError) as caught:
        parse(text)
    error = caught.value
    assert message in str(error)
    assert error.line == line
    assert error.column == column or not column
    first, source, caret = str(error).split("\n")
    assert first.startswith(f"line {line}, column {error.column}: ")
    assert caret.endswith("^")
    shown = error.source[error.column - 1 : error.column]
    assert source[len(caret) - 1 : len(caret)] == shown


def test_errors_pickle() -> None:
    with pytest.raises(IRSyntaxError) as caught:
        parse_kernel("kernel 3")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert (copy.line, copy.column) == (1, 8)


_TEXTS: list[tuple[Callable[[str], Any], Callable[[Any], None], str]] = [
    (parse_kernel, verify_kernel, path.read_text(encoding="utf-8")) for path in FILES
]
_TEXTS.append((parse_graph, verify_graph, G + "sum %x axes=(0)  # a.py:3\n}".replace("(0)", "()")))
_TEXTS.append((
    parse_func, verify_func,
    F + "alloc t: f32[8]\n  window w: f32 = t[2] if %n else x[0]\n  prefetch w[%n] far\n"
    "  %r = for %i in 0 .. %n step 4 vector (%c: f32x4 = 0.0)\n"
    "    %v: f32x4 = load x[%i : 2]  # a.py:3\n    %m: b1x4 = lt %v, 0.5\n"
    "    store t[0], %v mask %m stream\n    yield %v\n  store x[0], %r\n",
))  # fmt: skip
_BITS = (
    *"()[]%-|,:.1xsi\n\0é", "9999999999999999999", "in", "=", "+=", "<=", "stage", "finally", "f32",
    "f64(", '"', "nan", "max",
)  # fmt: skip


@few
@given(st.sampled_from(_TEXTS), st.data())
def test_damaged_text_raises_nothing_else(
    case: tuple[Callable[[str], Any], Callable[[Any], None], str], data: st.DataObject
) -> None:
    parse, verify, text = case
    for _ in range(data.draw(st.integers(1, 3))):
        at_ = data.draw(st.integers(0, len(text)))
        end = at_ + data.draw(st.integers(0, 6))
        text = text[:at_] + data.draw(st.sampled_from(("", *_BITS))) + text[end:]
    try:
        verify(parse(text))
    except (IRSyntaxError, VerifyError) as error:
        assert str(error)


@pytest.mark.parametrize("parse", [parse_graph, parse_kernel, parse_func])
@few
@given(text=st.text())
def test_noise_raises_nothing_else(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(IRSyntaxError):
        parse(text)


def test_the_deepest_legal_tree_round_trips() -> None:
    expr: k.Expr = k.Ref("s", f32)
    for _ in range(MAX_DEPTH - 1):
        expr = k.Call("sub", (k.Ref("s", f32), expr), f32)
    param, out = k.Scalar("s", f32), k.Array("o", f32, ())
    kernel = k.Kernel("f", (param,), (out,), (), (k.Stage((), (k.Store("o", (), expr),)),))
    verify_kernel(kernel)
    assert parse_kernel(print_kernel(kernel)) == kernel
    deeper = k.Store("o", (), k.Call("neg", (expr,), f32))
    with pytest.raises(VerifyError, match="deeper than"):
        verify_kernel(k.Kernel("f", (param,), (out,), (), (k.Stage((), (deeper,)),)))


def test_a_deep_graph_is_no_problem() -> None:
    node: Node = ops.INPUT(name="x", dtype=f32, shape=())
    first = node
    for _ in range(5000):
        node = ops.NEG(node)
    graph = Graph("deep", (first,), (node,))
    text = print_graph(graph)
    assert print_graph(parse_graph(text)) == text


def test_other_lines_of_a_statement_are_read_back() -> None:
    locs = "# a.py:3 in m.l; /b c.py:7; d.py:1"
    text = f"kernel k(a: f32[n]) -> (o: f32[n])\n  for i in n\n    stage\n      o[i] = neg(a[i])  {locs}\n"
    (stmt,) = parse_kernel(text).stages[0].body
    assert stmt.loc == Loc("a.py", 3, module="m.l", also=(Loc("/b c.py", 7), Loc("d.py", 1)))
    assert print_kernel(parse_kernel(text), locs=True) == text
