"""The interpreters: kernels written by hand against plain NumPy, and the loop level's instructions
against exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.interpret.exact import fma
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.interpret.loop import evaluate_instruction, interpret_func
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.ir.types import DTYPES, f32, f64
from lucid.compiler.ops import REGISTRY, Op, Sample
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from tests.native import inputs_like, sample_arrays

Array = np.ndarray[Any, Any]
Case = tuple[dict[str, Array], dict[str, float], dict[str, Array]]

KERNELS = Path(__file__).parent / "kernels"


def load(name: str) -> Kernel:
    kernel = parse_kernel((KERNELS / f"{name}.kernel").read_text(encoding="utf-8"))
    verify_kernel(kernel)
    return kernel


# --- the kernels that the design must express ----------------------------------------------------


def _huber(d: Array, delta: float) -> tuple[Array, Array]:
    a = np.abs(d)
    loss = np.where(a <= delta, 0.5 * d * d, delta * (a - 0.5 * delta))
    return loss, np.where(a <= delta, d, delta * np.sign(d))


def huber_value_and_grad(rng: np.random.Generator, n: int, m: int) -> Case:
    x, y = rng.normal(0, 2, (2, n))
    loss, grad = _huber(x - y, 1.5)
    scale = 1.0 / max(n, 1)
    return (
        {"x": x, "y": y},
        {"delta": 1.5, "scale": scale},
        {"loss": np.sum(loss) * scale, "gx": grad * scale},
    )


def softmax(rng: np.random.Generator, n: int, m: int) -> Case:
    x = rng.normal(0, 3, (n, m))
    e = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return {"x": x}, {}, {"o": e / e.sum(axis=1, keepdims=True)}


def huber_linear(rng: np.random.Generator, n: int, m: int) -> Case:
    x, w, b, y = rng.normal(0, 1, (n, m)), rng.normal(0, 1, m), np.array(0.25), rng.normal(0, 1, n)
    loss, grad = _huber(x @ w + b - y, 0.75)
    scale = 1.0 / max(n, 1)
    return (
        {"X": x, "w": w, "b": b, "y": y},
        {"delta": 0.75, "scale": scale},
        {"loss": np.sum(loss) * scale, "gw": grad @ x * scale, "gb": np.sum(grad) * scale},
    )


def linear_gelu(rng: np.random.Generator, n: int, m: int) -> Case:
    a, w, b = rng.normal(0, 1, (n, 6)), rng.normal(0, 1, (m, 6)), rng.normal(0, 1, m)
    v = a @ w.T + b
    gelu = 0.5 * v * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
    return {"A": a, "W": w, "b": b}, {}, {"o": gelu}


def layer_norm_grad(rng: np.random.Generator, n: int, m: int) -> Case:
    x, ct, gamma = rng.normal(1, 2, (n, m)), rng.normal(0, 1, (n, m)), rng.normal(0, 1, m)
    eps = 1e-3
    c = x - x.mean(axis=1, keepdims=True)
    rstd = 1 / np.sqrt((c * c).mean(axis=1, keepdims=True) + eps)
    h, g = c * rstd, ct * gamma
    mean_g, mean_gh = g.mean(axis=1, keepdims=True), (g * h).mean(axis=1, keepdims=True)
    return (
        {"x": x, "ct": ct, "gamma": gamma},
        {"eps": eps, "inv_d": 1.0 / m},
        {
            "gx": rstd * (g - mean_g - h * mean_gh),
            "ggamma": np.sum(ct * h, axis=0),
            "gbeta": np.sum(ct, axis=0),
        },
    )


def extremes(rng: np.random.Generator, n: int, m: int) -> Case:
    x = rng.integers(-4, 5, (n, m)).astype(float)
    x[x == 0] = rng.choice([np.nan, 0.0], p=[0.1, 0.9])
    top, low = x.max(axis=1), x.min(axis=0, initial=np.inf)
    return (
        {"x": x},
        {},
        {
            "top": top, "at_top": x.argmax(axis=1), "low": low,
            "at_low": x.argmin(axis=0) if n else np.zeros(m),
            "most": top.max(initial=-np.inf), "at_most": top.argmax() if n else 0,
        },
    )  # fmt: skip


CASES: dict[str, Callable[[np.random.Generator, int, int], Case]] = {
    f.__name__: f
    for f in (huber_value_and_grad, softmax, huber_linear, linear_gelu, layer_norm_grad, extremes)
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 5), (33, 16), (0, 4)])
def test_kernel_files(name: str, n: int, m: int) -> None:
    arrays, scalars, expected = CASES[name](np.random.default_rng(n), n, m)
    kernel = load(name)
    given = {key: np.asarray(value, np.float32) for key, value in arrays.items()}
    results = interpret_kernel(kernel, given, scalars)
    assert set(results) == set(expected)
    for key, want in expected.items():
        assert results[key].dtype == np.float32
        assert results[key].shape == np.shape(want)
        np.testing.assert_allclose(results[key], want, rtol=2e-4, atol=2e-4)


def test_every_kernel_file_is_tested() -> None:
    assert {path.stem for path in KERNELS.glob("*.kernel")} == set(CASES)


# --- graphs --------------------------------------------------------------------------------------


def _samples() -> list[Any]:
    return [
        pytest.param(op, sample, id=f"{op.name}-{k}")
        for op in REGISTRY.values()
        for k, sample in enumerate(op.samples)
    ]


@pytest.mark.parametrize(("op", "sample"), _samples())
def test_graph_is_evaluated_op_by_op(op: Op, sample: Sample) -> None:
    dtypes = [d for d in DTYPES.values() if op.takes(d)]
    rng = np.random.default_rng(0)
    for dtype in dtypes:
        arrays = sample_arrays(op, sample, dtype, rng)
        inputs = inputs_like(arrays)
        graph = Graph("g", inputs, (op(*inputs, **sample.attrs),))
        (result,) = interpret_graph(graph, arrays)
        assert op.evaluate is not None
        np.testing.assert_array_equal(result, op.evaluate(sample.attrs, *arrays))
        assert result.shape == graph.outputs[0].shape
        assert result.dtype == graph.outputs[0].type.dtype.np


def test_graph_inputs_are_checked() -> None:
    x = ops.INPUT(name="x", dtype=f32, shape=(3,))
    graph = Graph("g", (x,), (ops.NEG(x),))
    with pytest.raises(ValueError, match="1 inputs expected, 0 given"):
        interpret_graph(graph, [])
    with pytest.raises(ValueError, match=r"%x is f32\[3\], not float64\[3\]"):
        interpret_graph(graph, [np.zeros(3)])
    with pytest.raises(ValueError, match="not among the inputs"):
        interpret_graph(Graph("g", (), graph.outputs), [])


# --- kernels -------------------------------------------------------------------------------------


def test_guarded_loads_read_nothing_outside() -> None:
    kernel = parse_kernel("""
        kernel pad(x: f32[m], y: f32[]) -> (o: f32[n], z: f32[n])
          for i in n
            stage
              o[i] = x[i - lo | lo <= i < hi]
              z[i] = y[| lo <= i < hi] + where((lo <= i < hi), y, -1.0)
    """)
    verify_kernel(kernel)
    x = np.array([5, np.nan, 7], np.float32)
    y = np.array(4, np.float32)
    run = interpret_kernel(kernel, {"x": x, "y": y}, {}, {"n": 6, "lo": 2, "hi": 5})
    np.testing.assert_array_equal(run["o"], [0, 0, 5, np.nan, 7, 0])
    np.testing.assert_array_equal(run["z"], [-1, -1, 8, 8, 8, -1])
    empty = interpret_kernel(kernel, {"x": x[:0], "y": y}, {}, {"n": 6, "lo": 2, "hi": 2})
    np.testing.assert_array_equal(empty["o"], np.zeros(6))
    with pytest.raises(IndexError, match="outside of 3 elements"):
        interpret_kernel(kernel, {"x": x, "y": y}, {}, {"n": 9, "lo": 2, "hi": 6})


def test_reductions_of_nothing_and_of_half() -> None:
    kernel = parse_kernel("""
        kernel r(x: f16[n, d:]) -> (s: f16[], top: f16[], rows: f16[n], cols: f16[d])
          for i in n
            stage j in d
              row: f32 = sum(x[i, j])
              all_: f32 += x[i, j]
              most max= x[i, j]
              col[j]: f32 += x[i, j]
            stage
              rows[i] = f16(row)
          finally
            s = f16(all_);  top = most
            stage j in d:  cols[j] = f16(col[j])
    """)
    verify_kernel(kernel)
    x = np.full((3, 3000), 1.25, np.float16)
    run = interpret_kernel(kernel, {"x": x})
    assert run["s"] == np.float16(11250)
    assert run["top"] == 1.25
    np.testing.assert_array_equal(run["rows"], np.full(3, 3750, np.float16))
    np.testing.assert_array_equal(run["cols"], np.full(3000, 3.75, np.float16))
    nothing = interpret_kernel(kernel, {"x": x[:0]})
    assert nothing["s"] == 0
    assert nothing["top"] == -np.inf
    np.testing.assert_array_equal(nothing["cols"], np.zeros(3000))


def test_kept_axes_in_any_order_and_values_that_do_not_vary() -> None:
    kernel = parse_kernel("""
        kernel k(x: i32[n, a, b]) -> (t: i32[b, a], count: i64[])
          for i in n
            stage p in a, q in b
              acc[q, p] += x[i, p, q]
              ones += i64(1)
          finally
            stage q in b, p in a:  t[q, p] = acc[q, p]
            stage:  count = ones
    """)
    verify_kernel(kernel)
    x = np.arange(2 * 3 * 4, dtype=np.int32).reshape(2, 3, 4)
    run = interpret_kernel(kernel, {"x": x})
    np.testing.assert_array_equal(run["t"], x.sum(axis=0).T)
    assert run["count"] == 24


def test_kernel_operands_are_checked() -> None:
    kernel = load("huber_value_and_grad")
    x = np.zeros(3, np.float32)
    scalars = {"delta": 1.0, "scale": 1.0}
    with pytest.raises(ValueError, match="no array for y"):
        interpret_kernel(kernel, {"x": x}, scalars)
    with pytest.raises(ValueError, match="a dimension of `y` is n = 3, not 4"):
        interpret_kernel(kernel, {"x": x, "y": np.zeros(4, np.float32)}, scalars)
    with pytest.raises(ValueError, match="y must be float32 of 1 dimensions"):
        interpret_kernel(kernel, {"x": x, "y": np.zeros(3)}, scalars)
    with pytest.raises(ValueError, match="no value for scale"):
        interpret_kernel(kernel, {"x": x, "y": x}, {"delta": 1.0})


# --- instructions --------------------------------------------------------------------------------

FLOATS = {"float16": (11, -24), "float32": (24, -149), "float64": (53, -1074)}


def _rounded(exact: Fraction, dtype: str) -> float:
    """`exact`, not 0, to nearest even in `dtype`."""
    digits, least = FLOATS[dtype]
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > size
    unit = Fraction(2) ** max(exponent - digits + 1, least)
    value = round(size / unit) * unit
    large = value > Fraction(float(np.finfo(dtype).max))
    return float(np.copysign(np.inf if large else float(value), 1 if exact > 0 else -1))


def _operands(dtype: str, kind: str, count: int) -> Array:
    rng = np.random.default_rng(seed_of(dtype + kind))
    if kind == "bits":
        bits = rng.integers(0, 256, (3, count * np.dtype(dtype).itemsize), dtype=np.uint8)
        return bits.view(dtype)
    a, b = rng.standard_normal((2, count)).astype(dtype)
    if kind == "cancel":
        c = np.nextafter(-(a * b), rng.standard_normal(count).astype(dtype))
        return np.array([a, b, c])
    scale = {"float16": 2.0**-6, "float32": 2.0**-70, "float64": 2.0**-520}[dtype]
    c = rng.standard_normal(count) * scale
    return np.array([a * scale, b * scale, c * scale], dtype)


def seed_of(text: str) -> int:
    return sum(ord(c) * 31**k for k, c in enumerate(text))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["bits", "cancel", "tiny"])
def test_fma_rounds_once(dtype: str, kind: str) -> None:
    a, b, c = _operands(dtype, kind, 2000)
    result = fma(a, b, c)
    assert result.dtype == dtype
    with np.errstate(all="ignore"):
        plain = a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)
    for k in range(len(a)):
        x, y, z, got = float(a[k]), float(b[k]), float(c[k]), float(result[k])
        if not np.isfinite([x, y, z]).all():
            assert got == plain[k] or np.isnan(plain[k]) == np.isnan(got)
            continue
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        want = _rounded(exact, dtype) if exact else float(plain[k])
        assert (got, np.signbit(got)) == (want, np.signbit(want)), (x, y, z)


@pytest.mark.parametrize("dtype", FLOATS)
def test_fma_special_values(dtype: str) -> None:
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype)
    a, b, c = (np.ravel(v) for v in np.meshgrid(values, values, values))
    with np.errstate(all="ignore"):
        want = a * b + c  # exact on these
    np.testing.assert_array_equal(fma(a, b, c), want)
    real = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(fma(a, b, c))[real], np.signbit(want)[real])


def _one(op: str, *args: float, dtype: str = "i32") -> Any:
    kind = DTYPES[dtype]
    arrays = tuple(np.array([a], kind.np) for a in args)
    return evaluate_instruction(op, arrays, kind, 1)[0]


def test_integer_instructions() -> None:
    assert [_one("div", a, b) for a, b in ((7, 2), (-7, 2), (7, -2), (-7, -2))] == [3, -3, -3, 3]
    assert [_one("rem", a, b) for a, b in ((7, 2), (-7, 2), (7, -2), (-7, -2))] == [1, -1, 1, -1]
    assert _one("add", 2**31 - 1, 1) == -(2**31)
    assert _one("mul", 2**31 - 1, 2) == -2
    assert _one("neg", -128, dtype="i8") == -128
    assert _one("shr", -8, 1) == -4
    assert _one("shr", 248, 1, dtype="u8") == 124
    assert _one("shl", 1, 31) == -(2**31)
    assert _one("not", 0, dtype="u8") == 255
    for op in ("div", "rem"):
        with pytest.raises(ZeroDivisionError):
            _one(op, 1, 0)
        with pytest.raises(OverflowError):
            _one(op, -(2**31), -1)
    for amount in (32, -1):
        with pytest.raises(OverflowError):
            _one("shl", 1, amount)


def test_shaped_instructions() -> None:
    x = np.array([1.5, -2.0, 0.0, np.nan], np.float32)
    low = evaluate_instruction("lo", (x,), f32, 2)
    high = evaluate_instruction("hi", (x,), f32, 2)
    np.testing.assert_array_equal(np.concatenate([low, high]), x)
    np.testing.assert_array_equal(evaluate_instruction("splat", (x[:1],), f32, 3), [1.5] * 3)
    np.testing.assert_array_equal(evaluate_instruction("iota", (), DTYPES["i64"], 3), [0, 1, 2])
    bits = evaluate_instruction("bitcast", (x,), DTYPES["u32"], 4)
    assert bits[0] == 0x3FC00000
    np.testing.assert_array_equal(evaluate_instruction("bitcast", (bits,), f32, 4), x)
    np.testing.assert_array_equal(
        evaluate_instruction("cast", (x,), DTYPES["b1"], 4), [True, True, False, True]
    )
    np.testing.assert_array_equal(evaluate_instruction("cast", (x[:3],), DTYPES["i32"], 3), [1, -2, 0])
    np.testing.assert_array_equal(
        evaluate_instruction("ne", (x, x), DTYPES["b1"], 4), [False, False, False, True]
    )
    np.testing.assert_array_equal(evaluate_instruction("rem", (x[:2], x[:2] * 0 + 1), f32, 2), [0.5, -0.0])
    for some in (x > 1, x > 2):
        assert evaluate_instruction("any", (some,), DTYPES["b1"], 1).tolist() == [some.any()]
    for dtype, count in ((f32, "u32"), (f64, "u64")):
        elements = tuple(np.array([n], dtype.np) for n in range(100, 116))
        numbers = np.array([0, 15, 16, 0xFFFFFFFE], DTYPES[count].np)
        np.testing.assert_array_equal(
            evaluate_instruction("table", (numbers, *elements), dtype, 4), [100, 115, 100, 114]
        )


# --- functions -----------------------------------------------------------------------------------

SUM = """
func total(x: f32[], o: f32[], n: int, scale: f32)
  for %block in %begin .. %end step 1 parallel
    %lo: i64 = mul %block, 8
    %next: i64 = add %lo, 8
    %less: b1 = lt %next, %n
    %hi: i64 = select %less, %next, %n
    %sum = for %i in %lo .. %hi step 4 vector (%c: f32x4 = 0.0)
      %left: i64 = sub %hi, %i
      %lane: i64x4 = iota
      %lefts: i64x4 = splat %left
      %m: b1x4 = lt %lane, %lefts
      %v: f32x4 = load x[%i] mask %m
      %d: f32x4 = add %c, %v
      yield %d
    %h: f32x2 = lo %sum
    %k: f32x2 = hi %sum
    %s: f32x2 = add %h, %k
    %a: f32 = lo %s
    %b: f32 = hi %s
    %t: f32 = add %a, %b
    %u: f32 = mul %t, %scale
    store o[%block], %u
    yield
"""


def test_function() -> None:
    func = parse_func(SUM)
    verify_func(func)
    x = np.arange(21, dtype=np.float32)
    out = np.full(4, -1, np.float32)
    interpret_func(func, {"x": x, "o": out}, {"n": 21, "scale": 0.5}, 1, 3)
    np.testing.assert_array_equal(out, [-1, x[8:16].sum() / 2, x[16:].sum() / 2, -1])


def test_strided_masked_and_working_memory() -> None:
    func = parse_func("""
        func f(x: i16[], o: f32[], s: int)
          alloc tmp: f32[4]
          %never: f32x4 = load tmp[0]
          store o[4], %never
          %v: i16x4 = load x[6 : %s]
          %f: f32x4 = cast %v
          store tmp[0], %f
          %w: f32x4 = load tmp[3 : -1]
          %m: b1x4 = lt %w, 4.0
          store o[0], %w mask %m
    """)
    verify_func(func)
    out = np.zeros(8, np.float32)
    interpret_func(func, {"x": np.arange(7, dtype=np.int16), "o": out}, {"s": -2})
    np.testing.assert_array_equal(out[:4], [0, 2, 0, 0])
    assert np.isnan(out[4:]).all()


@pytest.mark.parametrize("choice", [0, 1])
def test_window(choice: int) -> None:
    """Another name for a part of one array or of another."""
    func = parse_func("""
        func f(x: f32[], o: f32[], c: int)
          window w: f32 = x[3] if %c else o[1]
          prefetch w[100] far
          %v: f32x2 = load w[0]
          %s: f32x2 = scale %v, 2.0
          store w[2], %s
    """)
    verify_func(func)
    memory = {"x": np.arange(8, dtype=np.float32), "o": np.ones(8, np.float32)}
    interpret_func(func, memory, {"c": choice})
    np.testing.assert_array_equal(memory["x"], [0, 1, 2, 3, 4, *([12, 16, 7] if choice else [5, 6, 7])])
    np.testing.assert_array_equal(memory["o"], [1, 1, 1, *([1, 1] if choice else [4, 4]), 1, 1, 1])


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("%v: f32x4 = load x[4]", IndexError, "element 7 of `x`, which has 7"),
        ("%v: f32x4 = load x[-1]", IndexError, "element -1 of `x`"),
        ("%v: f32x4 = load x[9223372036854775807]", IndexError, "element 9223372036854775807"),
        ("store x[6 : 2], f32x2(0.0)", IndexError, "element 8 of `x`"),
        ("%v: i64 = div 1, %n", ZeroDivisionError, "by zero"),
        ("%v: i64 = shl %n, 64", OverflowError, "shift by the width"),
    ],
)
def test_what_has_no_meaning_raises(line: str, error: type[Exception], message: str) -> None:
    func = parse_func(f"func f(x: f32[], n: int)\n  {line}  # train.py:7\n")
    verify_func(func)
    with pytest.raises(error, match=message) as caught:
        interpret_func(func, {"x": np.zeros(7, np.float32)}, {"n": 0})
    assert line.split(" = ")[0] in str(caught.value)
    assert "(train.py:7)" in str(caught.value)


def test_masked_lanes_are_not_checked() -> None:
    func = parse_func("""
        func f(x: f32[], o: f32[], n: int)
          %lane: i64x4 = iota
          %ns: i64x4 = splat %n
          %m: b1x4 = lt %lane, %ns
          %v: f32x4 = load x[0] mask %m
          store o[0], %v
          store x[0], f32x4(9.0) mask %m
    """)
    verify_func(func)
    x, out = np.ones(2, np.float32), np.zeros(4, np.float32)
    interpret_func(func, {"x": x, "o": out}, {"n": 2})
    np.testing.assert_array_equal(out, [1, 1, 0, 0])
    np.testing.assert_array_equal(x, [9, 9])


def test_slots_are_checked() -> None:
    func = parse_func("func f(x: f32[], n: int)\n  store x[%n], f32(1.0)\n")
    with pytest.raises(ValueError, match="no value for the slot `n`"):
        interpret_func(func, {"x": np.zeros(1, np.float32)}, {})
    with pytest.raises(ValueError, match="flat array of float32"):
        interpret_func(func, {"x": np.zeros(1)}, {"n": 0})
