"""What is not known is an error at every level, verified or not: no dispatch over a fold, scope, op, mode,
dtype, instruction or statement has a default that would compute something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.emit import emit
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.layout import Slot, slots
from lucid.compiler.ir.loop import Builder, Func, Imm, Let, Load, Store, Value
from lucid.compiler.ir.program import Call
from lucid.compiler.ir.types import DTYPES, DType, b1, f32, i8, i64
from lucid.compiler.ops import decompose
from lucid.compiler.ops.folds import FOLDS, fold
from lucid.compiler.passes.plan import grid
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from lucid.runtime.host import host
from tests.native import Array, build

UNKNOWN = (ValueError, TypeError, KeyError, AssertionError)

# A reduction in every mode that has one, and after the blocks.
KERNELS = {
    "flat": """
        kernel t(x: f32[n]) -> (o: f32[])
          for i in n
            stage:  r max= x[i]
          finally
            o = r
        """,
    "rows": """
        kernel t(x: f32[n, d]) -> (o: f32[n])
          for i in n
            stage j in d:  r = max(x[i, j])
            stage:  o[i] = r
        """,
    "groups": """
        kernel t(x: f32[n, 24]) -> (o: f32[n])
          for i in n
            stage j in 24:  r = max(x[i, j])
            stage:  o[i] = r
        """,
    "product": """
        kernel t(x: f32[n, d], y: f32[d, m]) -> (o: f32[n, m])
          for i in n, j in m
            stage l in d:  r = dot(x[i, l], y[l, j])
            stage:  o[i, j] = r
        """,
}


def _changed(kernel: k.Kernel, **fields: Any) -> k.Kernel:
    """Its reduction with other fields."""
    stages = tuple(
        replace(s, body=tuple(replace(b, **fields) if isinstance(b, k.Reduce) else b for b in s.body))
        for s in kernel.stages
    )
    return replace(kernel, stages=stages)


@pytest.mark.parametrize("fields", [{"op": "median"}, {"scope": "some"}], ids=str)
@pytest.mark.parametrize("mode", KERNELS)
def test_an_unknown_fold_is_no_minimum(mode: str, fields: dict[str, str]) -> None:
    known = parse_kernel(KERNELS[mode])
    plan = schedule(known, 64)
    assert plan.mode == mode
    kernel = _changed(known, **fields)
    with pytest.raises(UNKNOWN):
        lower(kernel, plan)
    with pytest.raises(UNKNOWN):
        print_kernel(kernel)
        lower(kernel, schedule(kernel, 64))
    with pytest.raises(VerifyError):
        verify_kernel(kernel)
    x = {p.name: np.ones((3, 24) if p.name == "x" else (24, 3), "f4") for p in kernel.params}
    if mode == "flat":
        x = {"x": x["x"][0]}
    with pytest.raises(UNKNOWN):
        interpret_kernel(kernel, x, {})


def test_folds_that_are_known() -> None:
    assert set(FOLDS) == {"sum", "dot", "prod", "max", "min", "argmax", "argmin"}
    with pytest.raises(ValueError, match="`median` is not a reduction"):
        fold("median")


def test_a_reduction_op_with_an_unknown_fold() -> None:
    """A record of the registry whose lowering is no fold: the whole compiler raises."""
    median = replace(ops.AMAX, name="median", lower="median")

    def function(x: Node) -> Node:
        return median(x, axes=(0,))

    x: Array = np.ones(5, np.float32)
    with pytest.raises(UNKNOWN):
        _ = compile_graph(build(function, [x]), host()).codes[0].llvm


def test_an_unknown_op() -> None:
    kernel = parse_kernel(KERNELS["rows"])
    store = k.Store("o", (k.Index("i"),), k.Call("frob", (k.Ref("r", f32),), f32))
    kernel = replace(kernel, stages=(kernel.stages[0], k.Stage((), (store,))))
    for step in (lambda: lower(kernel, schedule(kernel, 64)), lambda: verify_kernel(kernel)):
        with pytest.raises((*UNKNOWN, VerifyError)):
            step()


def test_an_unknown_mode() -> None:
    kernel = parse_kernel(KERNELS["rows"])
    plan = replace(schedule(kernel, 64), mode="sideways")
    with pytest.raises(UNKNOWN):
        lower(kernel, plan)
    with pytest.raises(UNKNOWN):
        grid(Call(kernel, {}, {"n": 3, "d": 3}, {}, ()), plan)


def _func(*body: Any, kind: str = "array") -> Func:
    return Func("f", (Slot("x", kind, f32),), tuple(body))


@pytest.mark.parametrize(
    "func",
    [
        _func(Let(Value("v", f32), "frob", (Imm(1.0, f32),))),
        _func("a statement"),
        _func(kind="pointer"),
    ],
    ids=["instruction", "statement", "slot"],
)
def test_unknown_parts_of_a_function(func: Func) -> None:
    with pytest.raises(UNKNOWN):
        emit([func], host())
    with pytest.raises((*UNKNOWN, AttributeError, VerifyError)):
        verify_func(func)


@pytest.mark.parametrize("op", ["max", "min", "neg", "scale", "cast"])
def test_an_unknown_float_is_no_half(op: str) -> None:
    """A format of 16 bits that is not f16."""
    other = DType("e5", "f", 16, "float16", "bfloat")
    b = Builder()
    if op in ("max", "min"):
        one = Value("x", other, 16)
        with pytest.raises(UNKNOWN):
            (decompose.maximum if op == "max" else decompose.minimum)(b, one, one)
    literal = Imm(1.0, other, 16)
    given = (literal,) if op in ("neg", "cast") else (literal, literal)
    with pytest.raises(UNKNOWN):
        emit([_func(Let(Value("v", f32 if op == "cast" else other, 16), op, given))], host())


def test_a_cast_to_bool_is_a_comparison() -> None:
    for kind in (f32, i8, DTYPES["u64"]):
        v, w = Value("v", kind), Value("w", b1)
        func = Func(
            "f",
            (Slot("x", "array", kind), Slot("o", "array", b1)),
            (Load(v, "x", Imm(0, i64)), Let(w, "cast", (v,)), Store("o", Imm(0, i64), w)),
        )
        verify_func(func)
        memory = {"x": np.array([2], kind.np), "o": np.zeros(1, bool)}
        interpret_func(func, memory, {})
        assert memory["o"][0]
        assert ("fcmp une" if kind is f32 else "icmp ne") in emit([func], host())


def test_slots_of_an_unknown_scope() -> None:
    with pytest.raises(ValueError, match="not a scope"):
        slots(_changed(parse_kernel(KERNELS["flat"]), scope="some"))
