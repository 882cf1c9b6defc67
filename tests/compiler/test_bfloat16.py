"""bfloat16: 16 bits in memory, float32 in registers, rounded once after each op."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.emit import emit
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import Func, Imm, Let, Load, Store, Value
from lucid.compiler.ir.rounding import convert, rounded
from lucid.compiler.ir.target import HASWELL, ZNVER4
from lucid.compiler.ir.types import DTYPES, DType, b1, bf16, f16, f32, f64, from_numpy, i64
from lucid.compiler.ops import REGISTRY, Op
from lucid.compiler.passes.autodiff import gradients
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.lexer import format_number
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from lucid.runtime import llvm
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build, run

ALL = np.arange(1 << 16).astype(np.uint16)  # the bits of every value


def every() -> Array:
    return ALL.view(bf16.np)


def single(x: Array) -> Array:
    """In float32, where NumPy would warn of each NaN that signals."""
    with np.errstate(all="ignore"):
        return x.astype(np.float32)


def narrow(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return x.astype(bf16.np)


def nearest(x: Array) -> Array:
    """The bits of float64 numbers of the normal range, rounded to nearest even."""
    bits = x.view(np.uint64)
    sign, size = (bits >> np.uint64(63)) << np.uint64(15), bits & np.uint64((1 << 63) - 1)
    low, dropped = size & np.uint64((1 << 45) - 1), size >> np.uint64(45)  # 52 - 7 bits are dropped
    up = (low > 1 << 44) | ((low == 1 << 44) & (dropped & np.uint64(1) == 1))
    kept = dropped + up - np.uint64((1023 - 127) << 7)
    return np.asarray(sign | kept).astype(np.uint16)


def same(found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype
    nan = np.isnan(single(expected))
    np.testing.assert_array_equal(np.isnan(single(found)), nan)
    np.testing.assert_array_equal(found[~nan].view(np.uint16), expected[~nan].view(np.uint16))


def test_every_rounding_of_float32() -> None:
    """On vectors of every length, and as ml_dtypes does it; denormals, ties, overflow, NaN that stay NaN."""
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = ((np.arange(1 << 16, dtype=np.uint32) << 16)[:, None] | low).ravel().view(np.float32)
    graph = build(lambda v: ops.CAST(v, dtype=bf16), [x])
    for width in (64, 32, 16):
        plan = compile_graph(graph, replace(host(), vector_bytes=width)).plan
        same(Executable(plan)([x])[0], narrow(x))


def test_wide_numbers_are_rounded_once() -> None:
    """float64 and integers; by way of float32 these would be rounded twice."""
    rng = np.random.default_rng(0)
    whole = rng.integers(-(1 << 31), 1 << 31, 4000)
    ties = (whole << 21) + rng.integers(-1, 2, whole.size)  # next to what float32 rounds to a tie
    real = np.concatenate([rng.standard_normal(4000) * 10.0 ** rng.integers(-30, 30, 4000), ties * 2.0**-40])
    real = np.concatenate([real, [1 + 2**-8 + 2**-40, 1 + 2**-8, 1 + 3 * 2**-8]])
    assert (nearest(real) != real.astype(np.float32).astype(bf16.np).view(np.uint16)).any()
    for x in (real, whole, whole.astype(np.int32), np.abs(whole).astype(np.uint32)):
        (found,) = run(build(lambda v: ops.CAST(v, dtype=bf16), [x]), [x])
        want = nearest(x.astype(np.float64))
        want[x == 0] = 0
        np.testing.assert_array_equal(found.view(np.uint16), want)
        np.testing.assert_array_equal(convert(x, bf16).view(np.uint16), want)


def test_back_is_exact() -> None:
    x = every()
    for dtype in (f32, f64):
        (found,) = run(build(lambda v, d=dtype: ops.CAST(v, dtype=d), [x]), [x])
        assert found.dtype == dtype.np
        np.testing.assert_array_equal(found, single(x))
    (found,) = run(build(lambda v: ops.CAST(v, dtype=b1), [x]), [x])
    np.testing.assert_array_equal(found, single(x) != 0)


UNARY = [
    op for op in REGISTRY.values()
    if op.kind == "elementwise" and op.takes(bf16) and len(op.samples[0].shapes) == 1 and op is not ops.CAST
]  # fmt: skip
BINARY = [
    op for op in REGISTRY.values()
    if op.kind == "elementwise" and op.takes(bf16) and len(op.samples[0].shapes) == 2
]  # fmt: skip


@pytest.mark.parametrize("op", UNARY + BINARY, ids=lambda op: op.name)
def test_ops_are_float32_rounded_once(op: Op) -> None:
    """Every value, or pairs of values of all sizes: what the same op gives for them in float32, rounded."""
    args = [every()]
    if op in BINARY:
        rng = np.random.default_rng(1)
        args = [*rng.permuted(np.tile(ALL, (2, 1)), axis=1)[:, : 1 << 13].view(bf16.np)]
    wide = [single(a) for a in args]
    (found,) = run(build(lambda *v: op(*v), args), args)
    (expected,) = run(build(lambda *v: op(*v), wide), wide)
    if expected.dtype == np.float32:
        same(found, narrow(expected))
    else:
        np.testing.assert_array_equal(found, expected)


def test_each_op_of_a_formula_rounds() -> None:
    """Not the formula as a whole: (1 + 2**-8) - 1 is 0."""
    x = np.full(5, 2.0**-8).astype(bf16.np)
    one = np.ones(5, bf16.np)
    (found,) = run(build(lambda a, b: ops.SUB(ops.ADD(a, b), b), [x, one]), [x, one])
    assert not found.any()


@pytest.mark.parametrize("shape", [(70_000,), (300, 40), (3, 9001), (12, 5)])
def test_sums_and_products_accumulate_in_float32(shape: tuple[int, ...]) -> None:
    """The bits of the same reduction in float32, rounded; extremes as they are."""
    rng = np.random.default_rng(2)
    x = rng.normal(1, 1, shape).astype(bf16.np)
    wide = x.astype(np.float32)
    axes = [tuple(range(len(shape))), *((k,) for k in range(len(shape)) if len(shape) > 1)]

    def function(v: Any) -> Any:
        made = [op(v, axes=a) for op in (ops.SUM, ops.AMAX, ops.AMIN) for a in axes]
        if len(shape) == 2 and shape[1] < 100:
            made.append(ops.CONTRACT(v, v, spec="ij,ik->jk"))
        return tuple(made)

    found, expected = run(build(function, [x]), [x]), run(build(function, [wide]), [wide])
    for f, e in zip(found, expected, strict=True):
        same(np.atleast_1d(f), np.atleast_1d(e.astype(bf16.np)))


def test_the_extreme_of_equal_zeros_is_that_of_ml_dtypes() -> None:
    """The second one, as in float32."""
    x, y = (np.array(v).astype(bf16.np) for v in ([0.0, -0.0, np.nan, 1.0], [-0.0, 0.0, 1.0, np.nan]))
    for op, ufunc in ((ops.MAX, np.maximum), (ops.MIN, np.minimum)):
        (found,) = run(build(lambda a, b, op=op: op(a, b), [x, y]), [x, y])
        with np.errstate(all="ignore"):
            same(found, ufunc(x, y))


def test_order_and_places() -> None:
    """Sorts, extremes with their places, scatters that round at each term."""
    x = np.random.default_rng(3).permutation(ALL)[:5000].view(bf16.np)
    (found,) = run(build(lambda v: ops.ARGSORT(v, axis=0), [x]), [x])
    np.testing.assert_array_equal(found, np.argsort(single(x), kind="stable"))
    ones, at = np.ones(600, bf16.np), np.zeros(600, np.int64)
    (found,) = run(build(lambda v, i: ops.SCATTER_ADD(v, i, shape=(1,), axes=(0,)), [ones, at]), [ones, at])
    assert found.astype(float).tolist() == [256.0]  # 256 + 1 is 256


@pytest.mark.parametrize("dtype", [f16, bf16], ids=str)
@pytest.mark.parametrize("target", [HASWELL, ZNVER4], ids=["avx2", "avx512"])
def test_code_is_vectors_and_calls_nothing(target: Any, dtype: DType) -> None:
    x = np.ones(1000).astype(dtype.np)
    graph = build(lambda a, b: (ops.EXP(ops.MUL(a, b)), ops.SUM(ops.ADD(a, b), axes=(0,))), [x, x])
    for code in compile_graph(graph, target).codes:
        assert "bfloat" not in code.llvm
        listing = llvm.emit_assembly(code.llvm, target)
        assert not re.search(r"\bcall|__\w+2\b", listing)
        wide = "zmm" if target is ZNVER4 else "ymm"
        assert re.search(rf"v(pmovzxwd|cvtph2ps)[^\n]*{wide}", listing)
        assert not re.search(r"vcvtneps2bf16", listing)


def test_gradients_are_computed_in_float32() -> None:
    """As those of float16: each derivative is rounded once."""
    x = np.linspace(0.1, 3, 50).astype(bf16.np)

    def slope(v: Node) -> Node:
        total = ops.SUM(ops.TANH(v), axes=(0,))
        (found,) = gradients(total, ops.const(1, total), [v])
        assert found is not None
        return found

    (found,) = run(build(slope, [x]), [x])
    t = np.tanh(x.astype(np.float32))
    np.testing.assert_allclose(found.astype(np.float32), 1 - t * t, rtol=2.0**-8)


def test_the_interpreter_agrees() -> None:
    x = np.random.default_rng(4).normal(size=(6, 7)).astype(bf16.np)
    graph = build(lambda v: (ops.EXP(v), ops.SUM(v, axes=(1,)), ops.CONTRACT(v, v, spec="ij,kj->ik")), [x])
    for found, told in zip(run(graph, [x]), interpret_graph(graph, [x]), strict=True):
        eps = bf16.epsilon
        np.testing.assert_allclose(found.astype(np.float32), told.astype(np.float32), rtol=eps, atol=eps)


# --- text and types -----------------------------------------------------------------------------------


def test_text_of_three_levels() -> None:
    x = np.ones((4, 5), bf16.np)
    graph = build(lambda v: (ops.MUL(v, ops.const(0.1, v)), ops.SUM(v, axes=(1,))), [x])
    text = print_graph(graph)
    assert "bf16[4, 5]" in text
    assert print_graph(parse_graph(text)) == text
    for kernel in {call.kernel for call in compile_graph(graph, host()).stages.program.calls}:
        text = print_kernel(kernel)
        assert "bf16" in text
        assert print_kernel(parse_kernel(text)) == text
    v, w = Value("v", bf16, 8), Value("w", f32, 8)
    body = (Load(v, "x", Imm(0, i64)), Let(w, "cast", (v,)), Store("x", Imm(0, i64), Imm(0.1, bf16, 8)))
    func = Func("f", (Slot("x", "array", bf16),), body)
    verify_func(func)
    assert print_func(parse_func(print_func(func))) == print_func(func)


def test_literals_are_as_short_as_they_can_be() -> None:
    values = [float(v) for v in single(every()[::37]) if np.isfinite(v)]
    for value in values:
        text = format_number(value, bf16)
        assert rounded(float(text), bf16) == value
    assert [format_number(v, bf16) for v in (0.1, 1e38, -256.0, np.inf)] == ["0.1", "1e+38", "-256.0", "inf"]


@pytest.mark.parametrize("dtype", [f16, bf16], ids=str)
def test_no_instruction_computes_with_what_is_for_memory(dtype: DType) -> None:
    one = Imm(1.0, dtype)
    for op, args, result in (
        ("add", (one, one), dtype),
        ("lt", (one, one), b1),
        ("cast", (one,), f64),
        ("cast", (Imm(1.0, f64),), dtype),
        ("iota", (), dtype),
    ):
        with pytest.raises(VerifyError):
            verify_func(Func("f", (), (Let(Value("v", result), op, args),)))
    verify_func(Func("f", (), (Let(Value("v", dtype), "select", (Imm(True, b1), one, one)),)))


def test_a_kernel_accumulates_in_the_wide_format() -> None:
    head = "kernel t(x: bf16[n]) -> (o: {0}[])\n  for i in n\n    stage:  r: {0} += x[i]\n  finally\n    "
    verify_kernel(parse_kernel(head.format("f32") + "o = r"))
    for name in ("bf16", "f16"):
        with pytest.raises(VerifyError, match="accumulated in"):
            verify_kernel(parse_kernel(head.format(name) + "o = r"))


def test_formats_tell_their_limits() -> None:
    for dtype in DTYPES.values():
        if dtype.is_float and not dtype.package:
            info: Any = np.finfo(dtype.numpy)
            assert (dtype.epsilon, dtype.tiny, dtype.most) == (info.eps, info.tiny, info.max)
    assert bf16.np.type(bf16.most) == bf16.most and np.isinf(bf16.np.type(bf16.most * 1.01))
    assert from_numpy(bf16.np) is bf16 is from_numpy("bfloat16")


def test_code_of_formats_that_nobody_knows() -> None:
    other = DType("e5", "f", 16, "float16", "i16", 2, f32)
    for let in (
        Let(Value("v", f32), "cast", (Value("x", other),)),
        Let(Value("v", other), "cast", (Imm(1.0, f32),)),
    ):
        loads = (Load(Value("x", other), "x", Imm(0, i64)),)
        with pytest.raises(TypeError, match="no format"):
            emit([Func("f", (Slot("x", "array", other),), (*loads, let))], host())
