"""The verifiers: each rule is broken once; the error names the statement and the user's line."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from lucid.compiler import ops
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir import loop as lo
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Loc, Node, at
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import Func, Imm, Value
from lucid.compiler.ir.types import DType, TensorType, b1, f16, f32, f64, i32, i64
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.graph import verify_graph
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func

LOC = Loc("train.py", 12)


# --- graphs --------------------------------------------------------------------------------------


def _node(op: ops.Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], /, **wrong: Any) -> Node:
    """A node on the user's line; `wrong` then overwrites what its constructor has derived."""
    with at(LOC):
        node = Node(op, inputs, attrs)
    for key, value in wrong.items():
        object.__setattr__(node, key, value)
    return node


X = ops.INPUT(name="x", dtype=f32, shape=(3, 4))
OTHER = ops.INPUT(name="y", dtype=f32, shape=(3, 4))
NONE: Mapping[str, Any] = MappingProxyType({})
FOREIGN = replace(ops.NEG, name="frob")
ODD = DType("f32", "f", 32, "float32", "float")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (_node(FOREIGN, (X,), NONE), "`frob` is not in the registry"),
        (_node(replace(ops.NEG, flops=2), (X,), NONE), "`neg` is not in the registry"),
        (_node(ops.NEG, (X,), {"axes": (0,)}), "neg has the attributes ()"),
        (_node(ops.SUM, (X,), {"axes": (0,)}, attrs={}), "sum has the attributes (axes)"),
        (_node(ops.SUM, (X,), {"axes": (0,)}, type=TensorType(f32, (3,))), "the type is f32[4]"),
        (_node(ops.SUM, (X,), {"axes": (0,)}, attrs={"axes": (7,)}), "axes (7,) do not fit"),
        (_node(ops.SUM, (X,), {"axes": (0,)}, attrs={"axes": 0}), "sum:"),
        (_node(ops.SUM, (X,), {"axes": [0]}), "axes is a list"),
        (_node(ops.SUM, (X,), {"axes": (False,)}), "axes must hold whole numbers only"),
        (_node(ops.RESHAPE, (X,), {"shape": (-3, -4)}), "is not one of whole numbers"),
        (_node(ops.CAST, (X,), {"dtype": ODD}), "dtype is no known dtype"),
        (_node(ops.CONST, (), {"value": 0.5, "dtype": i32}), "0.5 is no i32"),
        (_node(ops.CONST, (), {"value": 1e39, "dtype": f32}), "1e+39 does not fit into f32"),
        (_node(ops.SCALAR, (), {"value": 2, "dtype": b1}), "2 is no b1"),
        (_node(ops.CONST, (), {"value": "1", "dtype": f32}), "'1' is no number"),
        (_node(ops.ADD, (X, X), NONE, inputs=(X,)), "expected 2 operands, got 1"),
        (_node(ops.NEG, (OTHER,), NONE), "not among the graph's inputs"),
    ],
)  # fmt: skip
def test_graph_rules(node: Node, message: str) -> None:
    with pytest.raises(VerifyError) as caught:
        verify_graph(Graph("g", (X,), (node,)))
    assert message in str(caught.value)
    if node.op is not ops.NEG or "inputs" not in message:
        assert caught.value.loc == LOC
        assert "(train.py:12)" in str(caught.value)
        assert caught.value.statement in str(caught.value)


def test_graph_inputs() -> None:
    verify_graph(Graph("g", (X, OTHER), (ops.ADD(X, OTHER), X)))
    with pytest.raises(VerifyError, match="must be `input` nodes"):
        verify_graph(Graph("g", (ops.NEG(X),), ()))
    with pytest.raises(VerifyError, match="listed twice"):
        verify_graph(Graph("g", (X, X), ()))


# --- kernels -------------------------------------------------------------------------------------

HEAD = """
kernel t(x: f32[n], y: f32[n], z: f32[n, d], v: f32[d:], p: f32[g], h: f16[n], q: i32[n], m: b1[n],
         s: f32) -> (o: f32[n], e: f32[])
  for i in n
"""
LAST = "  finally\n    e = s\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("stage;a", "the output `o` is never stored"),
        ("stage:  o[i] = s;  o[i] = s", "`o` is stored twice"),
        ("stage:  o[i] = h[i]", "a f16 is stored into `o`, which is f32"),
        ("stage:  x[i] = s", "`x` is not an output"),
        ("stage j in d:  o[i] = s", "needs each axis of its stage once as a subscript (i, j)"),
        ("stage j in d:  o[j] = s", "a dimension of `o` is n, but j runs to d"),
        ("stage j in n:  o[j] = s", "needs each axis of its stage once"),
        ("stage:  o[i, i] = s", "`o` has 1 dimensions, not 2"),
        ("stage:  o[i - lo] = s", "the subscripts of a store cannot be shifted"),
        ("stage:  t = o[i]", "the output `o` is loaded"),
        ("stage:  t = s * 2;  t = s", "`t` is defined twice"),
        ("stage:  t = s * 2\n    stage:  t = s * 3", "`t` is defined twice"),
        ("stage:  t = s * 2\n    stage:  o[i] = t", "`t` is not known here"),
        ("stage:  s = x[i]", "`s` is defined twice"),
        ("stage:  i = x[i]", "`i` is defined twice"),
        ("stage:  begin = x[i]", "`begin` cannot be a name"),
        ("stage:  a.b = x[i]", "`a.b` cannot be a name"),
        ("stage:  r = sum(x[i]);  o[i] = r", "`r` is not known here"),
        ("stage:  r += x[i]\n    stage:  o[i] = r", "`r` is not known here"),
        ("stage:  r = sum(x[i])\n    stage:  r = sum(x[i])", "`r` is defined twice"),
        ("stage:  r += x[i]\n    stage:  r += x[i]", "`r` is defined twice"),
        ("stage:  e += x[i]", "`e` is an output: reduce under another name"),
        ("stage:  r: f16 = sum(x[i])", "a f32 cannot be accumulated in f16"),
        ("stage:  r: f64 = sum(q[i])", "a i32 cannot be accumulated in f64"),
        ("stage:  r = sum(m[i])", "`sum` is not defined for b1"),
        ("stage:  r: f32 = dot(x[i], h[i])", "the arguments differ in dtype"),
        ("stage:  r[i] += x[i]", "only inner axes of the stage can be kept"),
        ("stage j in d:  r[j, j] += x[i]", "only inner axes of the stage can be kept"),
        (
            "stage j in d:  r[j] += v[j]\n    stage j in d:  t = r[j]",
            "`r` is not an array that is known",
        ),
        ("stage i in n:  t = s", "the axis `i` is there twice"),
        ("stage s in n:  t = s", "`s` cannot name an axis"),
        ("stage j in d:  t = s\n    stage j in n:  u = s", "the axis `j` has two extents"),
        ("stage:  t = p[i]", "a dimension of `p` is g, but i runs to n"),
        ("stage:  t = p[i - lo]", "no guard allows the subscript i - lo"),
        ("stage:  t = p[i - lo | at <= i < hi]", "no guard allows the subscript i - lo"),
        ("stage:  t = z[i]", "`z` has 2 dimensions, not 1"),
        ("stage:  t = x[i - s | s <= i < hi]", "`s` names a symbol and an operand"),
        ("stage:  t = x[i - end | end <= i < hi]", "`end` cannot name a symbol"),
    ],
)
def test_kernel_rules(body: str, message: str) -> None:
    if body == "stage;a":
        body = "stage"
    lines = body.split("\n")
    lines[-1] += "  # train.py:12"
    text = HEAD + "    " + "\n".join(lines) + "\n"
    if "o[" not in body and "never" not in message:
        text += "    stage:  o[i] = s\n"
    kernel = parse_kernel(text + LAST)
    with pytest.raises(VerifyError) as caught:
        verify_kernel(kernel)
    assert message in str(caught.value)
    assert str(caught.value).startswith("kernel t: ")
    if caught.value.statement:
        assert caught.value.loc == LOC
        assert "train.py:12" in str(caught.value)


def test_legal_kernel() -> None:
    verify_kernel(
        parse_kernel(
            HEAD
            + """
    stage j in d
      r: f64 = sum(z[i, j] * v[j])
      w[j] += z[i, j]
      top max= z[i, j]
    stage
      t = p[i - lo | lo <= i < hi] + x[i | lo <= i < hi]
      o[i] = where((lo <= i < hi), t, f32(r))
  finally
    e = top
    stage j in d:  u = w[j]
"""
        )
    )


def _kernel(expr: k.Expr, **changes: Any) -> k.Kernel:
    store = k.Store("o", (k.Index("i"),), expr, LOC)
    arrays = k.Array("x", f32, ("n",)), k.Scalar("s", f32)
    stage = k.Stage((), (store,))
    outer = (k.Axis("i", "n"),)
    made = k.Kernel("t", arrays, (k.Array("o", f32, ("n",)),), outer, (stage,))
    return replace(made, **changes)


S = k.Ref("s", f32)
ROW = k.Reduce(("r",), "sum", (S,), (f32,), "row", (), LOC)


def _reducing(reduce: k.Reduce) -> dict[str, Any]:
    return {"stages": (k.Stage((), (reduce, k.Store("o", (k.Index("i"),), S))),)}


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (_kernel(k.Call("add", (S, S), f64)), "add gives f32, not f64"),
        (_kernel(k.Call("add", (S,), f32)), "expected 2 operands, got 1"),
        (_kernel(k.Call("frob", (S,), f32)), "`frob` is not an elementwise op"),
        (_kernel(k.Call("sum", (S,), f32)), "`sum` is not an elementwise op"),
        (_kernel(k.Call("cast", (), f32)), "expected 1 operand, got 0"),
        (_kernel(k.Ref("u", f32)), "`u` is not defined"),
        (_kernel(k.Ref("s", f64)), "`s` is f32, not f64"),
        (_kernel(k.Load("x", (k.Index("j"),), f32)), "the axis `j` is not known here"),
        (_kernel(k.Load("x", (k.Index("i"),), f64)), "`x` is f32, not f64"),
        (_kernel(k.Load("u", (), f32)), "`u` is not an array that is known here"),
        (_kernel(k.Call("cast", (k.Within("j", "a", "b"),), f32)), "axis `j` is not known"),
        (_kernel(k.Const(1e39, f32)), "does not fit into f32"),
        (_kernel(k.Const("1", f32)), "'1' is no number"),  # type: ignore[arg-type]
        (_kernel(S, name="for"), "`for` cannot be a name"),
        (_kernel(S, name="a b"), "`a b` cannot be a name"),
        (_kernel(S, params=(k.Scalar("s", f32), k.Scalar("s", f32))), "`s` is defined twice"),
        (_kernel(S, params=(k.Scalar("o", f32), k.Scalar("s", f32))), "`o` is defined twice"),
        (_kernel(S, params=(k.Scalar("s", ODD),)), "the dtype of `s` is unknown"),
        (_kernel(S, params=(k.Array("x", f32, (), False), k.Scalar("s", f32))), "could be strided"),
        (_kernel(S, params=(k.Array("x", f32, (-1,)), k.Scalar("s", f32))), "-1 cannot be"),
        (_kernel(S, outer=(k.Axis("i", "a b"),)), "a dimension of `o` is n"),
        (_kernel(S, final=(k.Stage((), (ROW,)),)), "no reduction may stand in `finally`"),
        (_kernel(S, **_reducing(replace(ROW, op="mode"))), "`mode` is not a reduction"),
        (_kernel(S, **_reducing(replace(ROW, op="dot"))), "`dot` takes two arguments"),
        (_kernel(S, **_reducing(replace(ROW, args=(S, S)))), "`sum` takes one argument"),
        (_kernel(S, **_reducing(replace(ROW, scope="some"))), "`some` is not a scope"),
        (_kernel(S, **_reducing(replace(ROW, keep=("i",)))), "a row reduction keeps no axis"),
    ],
)  # fmt: skip
def test_kernel_data_rules(kernel: k.Kernel, message: str) -> None:
    with pytest.raises(VerifyError) as caught:
        verify_kernel(kernel)
    assert message in str(caught.value)


def test_symbols_have_names() -> None:
    dims = ("a b",)
    kernel = _kernel(S, outer=(k.Axis("i", "a b"),), outputs=(k.Array("o", f32, dims),))
    with pytest.raises(VerifyError, match="`a b` cannot name a symbol"):
        verify_kernel(kernel)


# --- functions -----------------------------------------------------------------------------------

FUNC = "func f(x: f32[], k: i64[], n: int, s: f32)\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("%a: f32 = add %s, %n", "the operands differ in type"),
        ("%a: f64 = add %s, %s", "add gives f32 here"),
        ("%a: b1 = and %s, %s", "and is not defined for f32"),
        ("%a: i64 = sqrt %n", "sqrt is not defined for i64"),
        ("%a: f32 = lt %s, %s", "lt gives b1 here"),
        ("%a: f32 = select %n, %s, %s", "select needs a b1 first"),
        ("%a: f32x4 = splat %n", "splat cannot give f32x4 here"),
        ("%a: f32x2 = splat %s\n%b: f32x4 = splat %a", "splat cannot give f32x4 here"),
        ("%a: f32x4 = cast %n", "cast cannot give f32x4 here"),
        ("%a: f32 = bitcast %n", "bitcast cannot give f32 here"),
        ("%a: f32 = lo %s", "lo cannot give f32 here"),
        ("%a: b1x4 = iota", "iota cannot give b1x4 here"),
        ("%a: f32x4 = splat %s\n%b: f32x4 = pack_lo %a, %a, i32(0)", "pack_lo cannot give f32x4 here"),
        ("%a: f32x4 = splat %s\n%b: f32x4 = pack_hi %a, %a, i32(3)", "pack_hi cannot give f32x4 here"),
        ("%a: f32x4 = splat %s\n%b: f32x4 = pack_hi %a, %a, i32(4)", "pack_hi cannot give f32x4 here"),
        ("%a: f32x4 = splat %s\n%b: f32x4 = spread %a, %a, i32(0), i32(1)", "spread cannot give f32x4 here"),
        ("%a: f32x4 = splat %s\n%b: f32x2 = collect %a, %a, i32(2), i32(1)", "cannot give f32x2 here"),
        ("%a: b1x4 = lt f32x4(0.0), f32x4(1.0)\n%b: b1x4 = any %a", "any cannot give b1x4 here"),
        ("%a: b1 = any f32x4(0.0)", "any cannot give b1 here"),
        ("%a: f32x4 = table i32x4(1)" + ", 1.0" * 16, "table cannot give f32x4 here"),
        ("%a: f32x4 = table u32x2(1)" + ", 1.0" * 16, "table cannot give f32x4 here"),
        ("%a: f64x4 = table u32x4(1)" + ", 1.0" * 16, "table cannot give f64x4 here"),
        ("%a: f32x4 = table u64x4(1)" + ", 1.0" * 16, "table cannot give f32x4 here"),
        ("%a: f32 = table u32(1), %s" + ", 1.0" * 15, "table cannot give f32 here"),
        ("%s: f32 = neg %s", "`%s` is defined twice"),
        ("%end: f32 = neg %s", "`%end` is defined twice"),
        ("%a: f32 = load k[0]", "`k` holds i64, not f32"),
        ("%a: f32 = load y[0]", "the array `y` is not known here"),
        ("%a: f32 = load x[%s]", "an index must be i64, not f32"),
        ("%a: f32 = load x[0 : %s]", "a stride must be i64, not f32"),
        ("%a: f32x4 = load x[0] mask b1(true)", "a mask must be b1x4, not b1"),
        ("store k[0], %s", "`k` holds i64, not f32"),
        ("store x[0 : 2], %s stream", "a strided store cannot stream"),
        ("alloc x: f32[4]", "the array `x` is there twice"),
        ("alloc t: f32[0]", "an alloc of 0 elements"),
        ("window x: f32 = x[0] if %n else x[1]", "the array `x` is there twice"),
        ("window w: i64 = x[0] if %n else k[0]", "`x` holds f32, not i64"),
        ("window w: f32 = x[0] if %s else x[1]", "a choice must be i64, not f32"),
        ("%a: i64 = scale %n, %n", "scale is not defined for"),
        ("for %i in 0 .. %s step 1 serial\n yield", "a bound of a loop must be i64"),
        ("for %i in 0 .. %n step 0 serial\n yield", "the step must be positive"),
        ("for %n in 0 .. %n step 1 serial\n yield", "`%n` is defined twice"),
        ("for %i in 1 .. %n step 1 once\n yield", "what runs once begins at 0"),
        ("for %i in 0 .. 1 step 1 serial\n for %j in 0 .. 1 step 1 parallel\n yield\n yield",
         "a parallel loop stands outermost"),
        ("%r = for %i in 0 .. 1 step 1 parallel (%c: i64 = 0)\n yield %c", "carries nothing"),
        ("%r = for %i in 0 .. 1 step 1 serial (%c: f32 = %n)\n yield %c", "`%c` is f32, but i64"),
        ("%r = for %i in 0 .. 1 step 1 serial (%c: f32 = %s)\n yield %i", "`%c` is f32, but i64"),
        ("for %i in 0 .. 1 step 1 serial\n %a: f32 = neg %s\n yield\nstore x[0], %a",
         "`%a` is not known here"),
        ("for %i in 0 .. 1 step 1 serial\n window t: f32 = x[0]\n yield\nstore t[0], %s",
         "the array `t` is not known here"),
        ("for %i in 0 .. 1 step 1 serial\n alloc t: f32[2]\n yield", "an alloc stands before all loops"),
    ],
)  # fmt: skip
def test_func_rules(body: str, message: str) -> None:
    lines = [f"{line}  # train.py:12" for line in body.split("\n")]
    func = parse_func(FUNC + "\n".join(lines) + "\n")
    with pytest.raises(VerifyError) as caught:
        verify_func(func)
    assert message in str(caught.value)
    assert caught.value.statement
    if not body.startswith(("for", "%r = for", "alloc", "window")):
        assert caught.value.loc == LOC


V = Value("v", f32)
ARG = (Imm(0.0, f32),)
ZERO = Imm(0, i64)
LOOP = lo.For(Value("i", i64), ZERO, ZERO, Imm(1, i64), "serial", (), (), (), (), ())


def _func(*body: lo.Stmt, slots: tuple[Slot, ...] = ()) -> Func:
    return Func("f", slots, body)


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (Func("a b", (), ()), "`a b` cannot be a name"),
        (_func(slots=(Slot("a b", "int", i64),)), "`a b` cannot name a slot"),
        (_func(slots=(Slot("a", "list", i64),)), "has no known kind"),
        (_func(slots=(Slot("a", "int", i32),)), "must be i64"),
        (replace(_func(), name="fmodf"), "`fmodf` cannot be a name"),
        (_func(slots=(Slot("a", "array", f32), Slot("a", "array", f32))), "is there twice"),
        (_func(slots=(Slot("a", "int", i64), Slot("a", "scalar", f32))), "is defined twice"),
        (_func(lo.Let(V, "frob", ARG)), "`frob` is not an instruction"),
        (_func(lo.Let(V, "neg", ARG * 2)), "neg has 1 operands, not 2"),
        (_func(lo.Let(V, "neg", (Value("u", f32),))), "`%u` is not defined"),
        (_func(lo.Let(V, "neg", (V,))), "`%v` is not defined"),
        (_func(lo.Let(V, "neg", ARG), lo.Let(V, "neg", (Value("v", f64),))), "`%v` is f32, not"),
        (_func(lo.Let(Value("v", f32, 0), "neg", ARG)), "neg gives f32 here"),
        (_func(lo.Let(Value("a b", f32), "neg", ARG)), "`%a b` cannot be a name"),
        (_func(lo.Let(V, "neg", (Imm(0.0, f32, 0),))), "a literal has no lanes"),
        (_func(lo.Let(Value("v", f16), "neg", (Imm(1e6, f16),))), "does not fit into f16"),
        (_func(replace(LOOP, var=Value("i", i32))), "`%i` must be i64"),
        (_func(replace(LOOP, kind="quick")), "`quick` is not a kind of loop"),
        (_func(replace(LOOP, carried=(V,), inits=ARG, results=(V,))), "differ in number"),
    ],
)  # fmt: skip
def test_func_data_rules(func: Func, message: str) -> None:
    with pytest.raises(VerifyError) as caught:
        verify_func(func)
    assert message in str(caught.value)


def test_errors_pickle() -> None:
    error = VerifyError("message", "x = y", LOC)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "message\n  in: x = y  (train.py:12)"
    assert copy.loc == LOC
