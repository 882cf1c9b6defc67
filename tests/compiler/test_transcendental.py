"""Elementary functions and power: the published error bounds, special values, the same bits everywhere.

Native code is compared with a wider format of NumPy (the error of that is far below a thousandth of
the units counted here), and bit for bit with the interpreter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lucid.compiler.interpret import loop
from lucid.compiler.interpret.loop import evaluate_instruction, interpret_func
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import Builder, Func, Imm, Store
from lucid.compiler.ir.types import from_numpy, i64
from lucid.compiler.ops import REGISTRY, references
from lucid.compiler.pipeline import compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import build, run

from .known_values import ANGLES, POWER, SPECIAL, VALUES, big

Array = np.ndarray[Any, Any]

FLOATS = ("float16", "float32", "float64")
UNARY = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos",
    "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "erf", "erfc",
    "cbrt", "erfinv", "lgamma", "digamma", "trigamma", "sigmoid",
)  # fmt: skip
NAMES = (*UNARY, "arctan2", "pow")
inf, nan = math.inf, math.nan


def series(x: Array, terms: int = 180) -> Array:
    """erf x = 2/sqrt(pi) exp(-x²) (x + 2 x³/3 + 4 x⁵/15 + ...), of positive terms; 1 above 7."""
    square = np.minimum(x * x, 49)
    term = total = np.minimum(np.abs(x), 7)
    for n in range(1, terms):
        term = term * square * (2 / x.dtype.type(2 * n + 1))
        total = total + term
    root = np.sqrt(4 * np.arctan(x.dtype.type(1)))
    return np.asarray(np.copysign(np.minimum(2 / root * np.exp(-square) * total, 1), x))


def complement(x: Array) -> Array:
    """erfc x: 1 - erf x up to 1; above, the continued fraction of exp(x²) erfc x (Abramowitz, 7.1.14)."""
    a = np.minimum(np.maximum(x, 1), 30)
    fraction = a
    for n in range(300, 0, -1):
        fraction = a + (n / x.dtype.type(2)) / fraction
    root = np.sqrt(4 * np.arctan(x.dtype.type(1)))
    high = a.astype(np.float32).astype(x.dtype)  # its square is exact
    bell = np.exp(-high * high) * np.exp((high - a) * (high + a))
    return np.asarray(np.where(x > 1, bell / fraction / root, 1 - series(np.minimum(x, 1))))


def inverse(x: Array) -> Array:
    """erfinv x: one step of Newton from what float64 gives."""
    y = references.erfinv(x)
    a = np.abs(y)
    away = np.where(a < 1, np.abs(x) - series(a), complement(a) - (1 - np.abs(x)))
    root = np.sqrt(4 * np.arctan(x.dtype.type(1)))
    near = np.abs(x) < 1e-5  # two terms of the series
    tiny = root / 2 * np.abs(x) * (1 + root * root / 12 * x * x)
    better = np.where(near, tiny, a + away * root / 2 * np.exp(a * a))
    return np.asarray(np.where(np.abs(x) < 1, np.copysign(better, x), y))


NUMPY: dict[str, Any] = {name: getattr(np, name, None) for name in NAMES}
NUMPY |= {"erf": series, "erfc": complement, "erfinv": inverse, "pow": np.power}
NUMPY["sigmoid"] = references.sigmoid
NUMPY |= {"lgamma": references.lgamma, "digamma": references.digamma, "trigamma": references.trigamma}
SLOW = ("erfinv", "lgamma", "digamma", "trigamma")  # these references


def least(name: str, x: Array) -> Array:
    """Of results below this, errors are counted in units of it: lgamma and digamma have zeros without number
    below 0, and at digamma's positive zero the reference is not good enough."""
    below = {"lgamma": 1.0, "digamma": 1.0}.get(name, 0.0)
    near = (x > 1.4) & (x < 1.5) & (name == "digamma")
    return np.where(x < 0, below, np.where(near, 1 / 16, 0.0))


# The largest error found, rounded up, in units in the last place against the exact value. Functions of one
# number: of every float16 and float32; float64, arctan2 and pow: of some 10⁷ values, most in the worst places
# (the edges of the reduced ranges, results next to overflow and the largest denormal ones).
FOUND: dict[str, dict[str, float]] = {
    "float16": {
        "cbrt": 0.501, "exp": 0.501, "exp2": 0.501, "expm1": 0.501, "log": 0.501, "log2": 0.501,
        "log10": 0.501, "log1p": 0.501, "sin": 0.501, "cos": 0.501, "tan": 0.501, "arcsin": 0.501,
        "arccos": 0.501, "arctan": 0.501, "sinh": 0.501, "cosh": 0.501, "tanh": 0.501, "arcsinh": 0.501,
        "arccosh": 0.501, "arctanh": 0.501, "erf": 0.501, "erfc": 0.501, "arctan2": 0.501, "pow": 0.501,
        "erfinv": 0.501, "lgamma": 0.501, "digamma": 0.501, "trigamma": 0.501, "sigmoid": 0.501,
    },
    "float32": {
        "cbrt": 0.530, "exp": 0.548, "exp2": 0.532, "expm1": 1.000, "log": 0.543, "log2": 0.544,
        "log10": 0.770, "log1p": 0.661, "sin": 0.602, "cos": 0.602, "tan": 0.920, "arcsin": 0.700,
        "arccos": 0.680, "arctan": 0.880, "sinh": 0.908, "cosh": 0.888, "tanh": 0.550, "arcsinh": 0.870,
        "arccosh": 0.650, "arctanh": 0.640, "erf": 0.660, "erfc": 0.930, "arctan2": 0.890, "pow": 0.850,
        "erfinv": 0.723, "lgamma": 0.501, "digamma": 0.501, "trigamma": 0.501, "sigmoid": 0.545,
    },
    "float64": {
        "cbrt": 0.570, "exp": 0.550, "exp2": 0.540, "expm1": 1.000, "log": 0.550, "log2": 0.560,
        "log10": 0.580, "log1p": 0.670, "sin": 0.740, "cos": 0.740, "tan": 0.850, "arcsin": 0.640,
        "arccos": 0.620, "arctan": 0.730, "sinh": 0.900, "cosh": 0.880, "tanh": 0.840, "arcsinh": 0.850,
        "arccosh": 0.660, "arctanh": 0.640, "erf": 0.680, "erfc": 0.900, "arctan2": 0.780, "pow": 0.830,
        "erfinv": 0.740, "lgamma": 0.820, "digamma": 0.950, "trigamma": 0.950, "sigmoid": 0.590,
    },
}  # fmt: skip


def native(name: str, *arrays: Array) -> Array:
    (result,) = run(build(REGISTRY[name], arrays), arrays, threads=1)
    return result


def interpreted(name: str, *arrays: Array) -> Array:
    """All elements as lanes of one vector, whose length is a power of two, as those of kernels are."""
    count = arrays[0].size
    dtype, lanes = from_numpy(arrays[0].dtype), 1 << (count - 1).bit_length()
    arrays = tuple(np.resize(a, lanes) for a in arrays)
    b, start = Builder(), Imm(0, i64)
    args = tuple(b.load(f"x{n}", dtype, start, lanes) for n in range(len(arrays)))
    b.emit(Store("out", start, REGISTRY[name].lower(b, args, dtype)))
    memory = {f"x{n}": a for n, a in enumerate(arrays)}
    memory["out"] = np.empty_like(arrays[0])
    interpret_func(Func("f", tuple(Slot(s, "array", dtype) for s in memory), b.done()), memory, {})
    return memory["out"][:count]


def exact(name: str, *arrays: Array) -> Array:
    """In a format with at least 11 bits more."""
    wide = np.longdouble if arrays[0].dtype == np.float64 else np.float64
    if np.finfo(wide).nmant < np.finfo(arrays[0].dtype).nmant + 11:
        pytest.skip("no format wider than float64 here")
    with np.errstate(all="ignore"):
        return np.asarray(NUMPY[name](*(a.astype(wide) for a in arrays)))


def ulps(got: Array, want: Array, floor: Array | float = 0.0) -> Array:
    """|got - want| in units in the last place of `want`, which is in a wider format, but at least of `floor`;
    inf where NaN, infinities or signs differ."""
    info = np.finfo(got.dtype)
    one = want.dtype.type(1)
    top = np.ldexp(one, info.maxexp) - np.ldexp(one, info.maxexp - info.nmant - 2)
    want = np.where(np.abs(want) >= top, np.copysign(one * inf, want), want)  # rounds to inf
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(np.maximum(np.abs(want), floor))[1] - 1, info.minexp)
        away = np.abs(got.astype(want.dtype) - want) / np.ldexp(one, exponent - info.nmant)
        same = (got == want) | (np.isnan(got) & np.isnan(want))
    away = np.where(same, 0, np.where(np.isfinite(away), away, inf))
    real = ~np.isnan(want)
    return np.where(real & (np.signbit(got) != np.signbit(want)), inf, away)


def assert_same_bits(a: Array, b: Array) -> None:
    """But for the bits of NaN, which IEEE leaves open."""
    bits = f"u{a.dtype.itemsize}"
    different = (a.view(bits) != b.view(bits)) & ~(np.isnan(a) & np.isnan(b))
    assert not different.any(), (a[different][:5], b[different][:5])


# --- error bounds --------------------------------------------------------------------------------


def patterns(dtype: str, count: int, rng: np.random.Generator) -> Array:
    """Values of every magnitude, both signs, NaN and infinities: evenly spread as bits."""
    bits = np.dtype(dtype).itemsize * 8
    if bits == 16:
        return np.arange(1 << 16).astype(np.uint16).view(np.float16)
    step = (1 << bits) // count
    starts = np.arange(count, dtype=np.uint64) * np.uint64(step)
    values: Array = (starts + rng.integers(0, step, count, np.uint64)).astype(f"u{bits // 8}")
    return values.view(dtype)


def near(dtype: str, name: str, count: int, rng: np.random.Generator) -> list[Array]:
    """Values where the function is neither trivial nor far from its hard places."""
    info = np.finfo(dtype)
    edge = info.maxexp * math.log(2)
    low = (info.minexp - info.nmant) * math.log(2)
    small = rng.uniform(-1, 1, count) * 2.0 ** -rng.integers(0, 60, count)
    unit = rng.uniform(-1, 1, count)
    wide = rng.uniform(-1000, 1000, count)
    below = rng.uniform(0, 4 * float(info.tiny), count)
    ranges = {
        "exp": [rng.uniform(low - 1, edge + 1, count), rng.uniform(low - 1, low + 40, count), small],
        "exp2": [rng.uniform(low - 1, edge + 1, count) / math.log(2), small],
        "expm1": [rng.uniform(-edge, edge + 1, count), rng.uniform(-2, 2, count), small],
        "log": [rng.uniform(0.3, 3, count), 1 + small, below],
        "log1p": [rng.uniform(-1, 3, count), small, rng.uniform(0, 100, count)],
        "sin": [rng.uniform(-4, 4, count), wide, np.rint(wide) * (math.pi / 2), small],
        "arcsin": [unit, 1 - np.abs(small), small],
        "arctan": [rng.uniform(-3, 3, count), wide, small],
        "sinh": [rng.uniform(-edge - 1, edge + 1, count), rng.uniform(-2, 2, count), small],
        "tanh": [rng.uniform(0.3, 0.6, count), rng.uniform(-20, 20, count), small],
        "arcsinh": [rng.uniform(-3, 3, count), 2 ** (wide / 100), small],
        "arccosh": [rng.uniform(1, 3, count), 2 ** (np.abs(wide) / 100), 1 + np.abs(small)],
        "erf": [rng.uniform(0.85, 1.1, count), rng.uniform(-7, 7, count), small],
        "cbrt": [rng.uniform(0.3, 9, count), 2 ** (wide / 10), below],
        "erfc": [rng.uniform(-2, 2, count), rng.uniform(-7, 27, count), small],
        "erfinv": [unit, rng.uniform(0.55, 0.65, count), 1 - np.abs(small), small],
        "lgamma": [rng.uniform(0, 4, count), rng.uniform(-30, 60, count), 1 + small, 2 + small, small],
    }
    alike = {"log2": "log", "log10": "log", "cos": "sin", "tan": "sin", "arccos": "arcsin"}
    alike |= {
        "sigmoid": "exp",
        "cosh": "sinh",
        "arctanh": "arcsin",
        "digamma": "lgamma",
        "trigamma": "lgamma",
    }
    name = alike.get(name, name)
    with np.errstate(over="ignore"):
        return [a.astype(dtype) for a in ranges[name]]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_error_of_functions(name: str, dtype: str) -> None:
    rng = np.random.default_rng(7)
    count = 1 << (12 if name in SLOW else 14)
    x = np.concatenate([patterns(dtype, 2 * count, rng), *near(dtype, name, count, rng)])
    away = ulps(native(name, x), exact(name, x), least(name, x))
    worst = int(np.argmax(away))
    assert away[worst] <= FOUND[dtype][name], x[worst]


@pytest.mark.sweep
def test_error_of_erf_at_every_float32() -> None:
    """Of both signs the bits are the same (below). Under 2**-12 two terms of the series are enough."""
    low, high = (int(np.float32(v).view(np.uint32)) for v in (2.0**-12, 4.0))
    worst = 0.0
    step = 1 << 16
    for start in [*range(0, low, 1 << 22), *range(low, high, step), *range(high, 0x7F800001, 1 << 22)]:
        stop = min(start + (step if low <= start < high else 1 << 22), low if start < low else 0x7F800001)
        x = np.arange(start, stop, dtype=np.uint32).view(np.float32)
        wide = x.astype(np.float64)
        if start < low:
            want = 2 / math.sqrt(math.pi) * (wide - wide**3 / 3)
        else:
            want = series(wide, 60) if start < high else np.ones_like(wide)
        worst = max(worst, float(ulps(native("erf", x), want).max()))
    assert worst <= FOUND["float32"]["erf"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_error_of_power(dtype: str) -> None:
    rng = np.random.default_rng(8)
    info, count = np.finfo(dtype), 1 << 16
    high, low = info.maxexp * math.log(2), (info.minexp - info.nmant) * math.log(2)
    # a base of each kind, and exponents that take it through the whole range of results
    some = np.abs(patterns(dtype, 1 << 16, rng))
    some = some[np.isfinite(some) & (some != 0)].astype(np.float64)
    middle = rng.uniform(0.5, 2, count)
    close = 1 + rng.uniform(-1, 1, count) * 2.0 ** -rng.integers(1, info.nmant, count)
    pairs = []
    with np.errstate(all="ignore"):
        for base in (some, middle, close):
            for least, most in ((low - 2, high + 2), (low - 1, low + 40), (high - 20, high)):
                y = rng.uniform(least, most, base.size) / np.log(base.astype(dtype).astype(float))
                pairs.append((base, y))
        pairs.append((-middle, rng.integers(-200, 200, count).astype(float)))
        pairs.append((patterns(dtype, 1 << 16, rng), patterns(dtype, 1 << 16, rng)[::-1]))
        x, y = (np.concatenate(side).astype(dtype) for side in zip(*pairs, strict=True))
    away = ulps(native("pow", x, y), exact("pow", x, y))
    worst = int(np.argmax(away))
    assert away[worst] <= FOUND[dtype]["pow"], (x[worst], y[worst])


@pytest.mark.parametrize("dtype", FLOATS)
def test_error_of_angles(dtype: str) -> None:
    rng = np.random.default_rng(8)
    info, count = np.finfo(dtype), 1 << 15
    some, others = (rng.permutation(patterns(dtype, 1 << 15, rng)) for _ in range(2))
    scale = 2.0 ** rng.integers(info.minexp - info.nmant + 8, info.maxexp - 8, count)
    y = rng.uniform(-1, 1, count) * scale
    pairs = [(some, others), (y, y * rng.uniform(-3, 3, count)), (y, y * rng.uniform(-1, 1, count) / 1000)]
    pairs += [(x, y) for y, x in pairs[1:]]
    pairs.append(tuple(rng.uniform(0.5, 1, (2, count // 8)) * float(info.max)))  # their sum is out of range
    with np.errstate(all="ignore"):
        y, x = (np.concatenate([p.astype(dtype) for p in side]) for side in zip(*pairs, strict=True))
    away = ulps(native("arctan2", y, x), exact("arctan2", y, x))
    worst = int(np.argmax(away))
    assert away[worst] <= FOUND[dtype]["arctan2"], (y[worst], x[worst])


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_some_huge_arguments_change_no_other_lane(name: str) -> None:
    """Huge ones are reduced in another way, in all lanes of a vector if there is one in any."""
    for dtype in ("float32", "float64"):
        x = np.random.default_rng(3).uniform(-100, 100, 1001).astype(dtype)
        mixed = x.copy()
        mixed[::7] = 1e30
        mixed[3::7] = math.inf
        kept = np.ones(1001, bool)
        kept[::7] = kept[3::7] = False
        assert_same_bits(native(name, mixed)[kept], native(name, x)[kept])
        assert np.isnan(native(name, mixed)[3::7]).all()
        with np.errstate(all="ignore"):
            assert ulps(native(name, mixed), exact(name, mixed)).max() <= REGISTRY[name].ulp


def test_registry_states_the_bounds() -> None:
    for name in NAMES:
        worst = max(FOUND[dtype][name] for dtype in FLOATS)
        assert REGISTRY[name].ulp == math.ceil(worst)


@pytest.mark.parametrize("name", NAMES)
def test_known_values(name: str) -> None:
    for args, text in VALUES[name]:
        (got,) = native(name, *(np.array([a]) for a in args)).tolist()
        want = float.fromhex(text)
        assert got == want or abs(got - want) <= (REGISTRY[name].ulp + 0.5) * math.ulp(want), args


# --- special values ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: str) -> None:
    binary = {"pow": POWER, "arctan2": ANGLES}
    rows: list[tuple[float, ...]] = [*binary[name]] if name in binary else [*SPECIAL[name]]
    if dtype == "float16":  # 60001 is even there, as every number above 2048 is
        rows = [(x, 60000.0, inf) if (x, y) == (-big, 60001.0) else (x, y, *z) for x, y, *z in rows]
    *args, want = np.array(rows).T.astype(dtype)
    args = [np.ascontiguousarray(a) for a in args]
    got = native(name, *args)
    wrong = ~((got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want))
    assert not wrong.any(), [(row, g) for row, g, w in zip(rows, got, wrong, strict=True) if w]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name", ["tanh", "erf", "erfinv", "sin", "tan", "arcsin", "arctan", "sinh", "arcsinh", "arctanh", "cbrt"]
)
def test_odd_functions_are_odd(name: str, dtype: str) -> None:
    x = np.concatenate(near(dtype, name, 1 << 14, np.random.default_rng(9)))
    y = native(name, x)
    assert_same_bits(native(name, -x), -y)
    if name in ("tanh", "erf", "sin"):
        assert np.all(np.abs(y) <= 1)
    if name in ("tanh", "sin"):
        assert np.all(np.abs(y) <= np.abs(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_powers_that_can_be_exact_are(dtype: str) -> None:
    info = np.finfo(dtype)
    x = patterns(dtype, 1 << 15, np.random.default_rng(10))
    assert_same_bits(native("pow", x, np.ones_like(x)), x)
    two = np.arange(info.minexp - info.nmant, info.maxexp).astype(dtype)
    assert_same_bits(native("pow", np.full_like(two, 2), two), np.ldexp(np.ones_like(two), two.astype(int)))
    whole = [
        (base, exponent)
        for base in range(3, 60)
        for exponent in range(1, 34)
        if base**exponent < min(2 ** (info.nmant + 1), float(info.max))
    ]
    base, exponent = (np.array(side, dtype) for side in zip(*whole, strict=True))
    want = np.array([b**e for b, e in whole], dtype)
    assert_same_bits(native("pow", base, exponent), want)
    assert_same_bits(native("pow", -base, exponent), np.where(exponent % 2 == 1, -want, want))


# --- speed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted({*NAMES} - {"pow", "lgamma", "digamma", "trigamma"}))
def test_no_step_of_small_numbers_is_denormal(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors take ten to a hundred times as long where an operation rounds to a denormal number."""
    found = []

    def watched(op: str, args: tuple[Array, ...], *rest: Any) -> Array:
        result = evaluate_instruction(op, args, *rest)
        if result.dtype.kind == "f" and op in ("add", "sub", "mul", "div", "fma", "scale"):
            tiny = (result != 0) & (np.abs(result) < np.finfo(result.dtype).smallest_normal)
            if tiny.any():
                found.append((op, [a[tiny][:2] for a in args], result[tiny][:2]))
        return result

    monkeypatch.setattr(loop, "evaluate_instruction", watched)
    lowest = np.finfo(dtype).minexp
    size = np.ldexp(np.linspace(1, 2, 512, endpoint=False), np.linspace(lowest + 1, -4, 512).astype(int))
    x = (size * np.resize([1, -1], 512)).astype(dtype)
    if name == "arctan2":
        interpreted(name, x[200:], np.full(312, 0.7, dtype))  # the quotient itself is no denormal number
    else:
        interpreted(name, x)
    assert not found


SLOW_DENORMALS = {"float32": ("tan",), "float64": ()}  # what is left: docs/numerics.md


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted({*UNARY} - {"lgamma", "digamma", "trigamma"}))
def test_no_factor_is_denormal(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of denormal arguments: products and quotients of them are as slow, sums and products with 0 are not."""
    found = []

    def watched(op: str, args: tuple[Array, ...], *rest: Any) -> Array:
        if op in ("mul", "div", "fma", "sqrt", "scale") and args[0].dtype.kind == "f":
            factors = args[:2] if op == "fma" else args
            least = np.finfo(factors[0].dtype).smallest_normal
            tiny = [(a != 0) & (np.abs(a) < least) for a in factors]
            slow = np.any(tiny, 0) & (np.all([a != 0 for a in factors], 0) | (op == "div"))
            if slow.any():
                found.append((op, [a[slow][:2] for a in args]))
        return evaluate_instruction(op, args, *rest)

    monkeypatch.setattr(loop, "evaluate_instruction", watched)
    info = np.finfo(dtype)
    x = (np.linspace(1, 2**info.nmant - 1, 256).astype(int) * info.smallest_subnormal).astype(dtype)
    interpreted(name, x if name in ("log", "log2", "log10") else np.concatenate([x, -x]))
    assert (not found) == (name not in SLOW_DENORMALS[dtype]), found[:2]


# --- the same everywhere -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_native_bits_are_the_interpreters(name: str, dtype: str) -> None:
    rng = np.random.default_rng(11)
    if name in ("pow", "arctan2"):
        x, y = rng.uniform(0, 8, 400), rng.uniform(-200, 200, 400)
        args = [
            np.concatenate([rng.permutation(patterns(dtype, 200, rng))[:200], v.astype(dtype)])
            for v in (x, y)
        ]
    else:
        args = [
            np.concatenate([rng.permutation(patterns(dtype, 300, rng))[:300], *near(dtype, name, 300, rng)])
        ]
    together = native(name, *args)
    assert_same_bits(together, interpreted(name, *args))
    for lo, hi in ((0, 1), (1, 4), (5, 28), (100, 163)):  # other vector tails
        assert_same_bits(native(name, *(np.ascontiguousarray(a[lo:hi]) for a in args)), together[lo:hi])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_same_bits_for_every_width(name: str, dtype: str) -> None:
    """Also where the machine has instructions for some widths only."""
    rng = np.random.default_rng(12)
    args = [patterns(dtype, 1 << 16, rng) for _ in range(1 + (name not in UNARY))]
    if name in UNARY:
        edges = np.array([v for row in SPECIAL[name] for v in row], dtype)
        args = [np.concatenate([args[0], *near(dtype, name, 1 << 14, rng), edges])]
    else:
        args[1] = rng.permutation(args[1])
    graph = build(REGISTRY[name], args)
    found = [
        Executable(compile_graph(graph, replace(host(), vector_bytes=width)).plan)(args)[0]
        for width in (64, 32, 16)
    ]
    assert_same_bits(found[0], found[1])
    assert_same_bits(found[0], found[2])
