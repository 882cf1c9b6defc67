"""exp, log, tanh, erf and power: the published error bounds, special values, the same bits everywhere.

Native code is compared with a wider format of NumPy (the error of that is far below a thousandth of
the units counted here), and bit for bit with the interpreter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.layout import Slot
from lucid.compiler.ir.loop import Builder, Func, Imm, Store
from lucid.compiler.ir.types import from_numpy, i64
from lucid.compiler.ops import REGISTRY
from lucid.compiler.pipeline import compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import build, run

Array = np.ndarray[Any, Any]

FLOATS = ("float16", "float32", "float64")
NAMES = ("exp", "log", "tanh", "erf", "pow")
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


NUMPY: dict[str, Any] = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "erf": series, "pow": np.power}

# The largest error found, rounded up, in units in the last place against the exact value. exp, log,
# tanh and erf: of every float16 and float32; float64 and pow: of 2**25 values, most of them in the worst
# places (the edges of the reduced ranges, results next to overflow and the largest denormal ones).
FOUND = {
    "float16": {"exp": 0.501, "log": 0.501, "tanh": 0.500, "erf": 0.501, "pow": 0.501},
    "float32": {"exp": 0.892, "log": 0.905, "tanh": 1.947, "erf": 1.000, "pow": 0.535},
    "float64": {"exp": 0.930, "log": 0.910, "tanh": 1.980, "erf": 0.950, "pow": 0.830},
}


def native(name: str, *arrays: Array) -> Array:
    (result,) = run(build(REGISTRY[name], arrays), arrays, threads=1)
    return result


def interpreted(name: str, *arrays: Array) -> Array:
    """All elements as the lanes of one vector."""
    dtype, lanes = from_numpy(arrays[0].dtype), arrays[0].size
    b, start = Builder(), Imm(0, i64)
    args = tuple(b.load(f"x{n}", dtype, start, lanes) for n in range(len(arrays)))
    b.emit(Store("out", start, REGISTRY[name].lower(b, args, dtype)))
    memory = {f"x{n}": a for n, a in enumerate(arrays)}
    memory["out"] = np.empty_like(arrays[0])
    interpret_func(Func("f", tuple(Slot(s, "array", dtype) for s in memory), b.done()), memory, {})
    return memory["out"]


def exact(name: str, *arrays: Array) -> Array:
    """In a format with at least 11 bits more."""
    wide = np.longdouble if arrays[0].dtype == np.float64 else np.float64
    if np.finfo(wide).nmant < np.finfo(arrays[0].dtype).nmant + 11:
        pytest.skip("no format wider than float64 here")
    with np.errstate(all="ignore"):
        return np.asarray(NUMPY[name](*(a.astype(wide) for a in arrays)))


def ulps(got: Array, want: Array) -> Array:
    """|got - want| in units in the last place of `want`, which is in a wider format; inf where NaN,
    infinities or the sign of a zero differ."""
    info = np.finfo(got.dtype)
    one = want.dtype.type(1)
    top = np.ldexp(one, info.maxexp) - np.ldexp(one, info.maxexp - info.nmant - 2)
    want = np.where(np.abs(want) >= top, np.copysign(one * inf, want), want)  # rounds to inf
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(want)[1] - 1, info.minexp)
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
    ranges = {
        "exp": [rng.uniform(low - 1, edge + 1, count), rng.uniform(low - 1, low + 40, count), small],
        "log": [rng.uniform(0.3, 3, count), 1 + small, rng.uniform(0, 4 * float(info.tiny), count)],
        "tanh": [rng.uniform(0.3, 0.6, count), rng.uniform(-20, 20, count), small],
        "erf": [rng.uniform(0.85, 1.1, count), rng.uniform(-7, 7, count), small],
    }
    return [a.astype(dtype) for a in ranges[name]]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf"])
def test_error_of_functions(name: str, dtype: str) -> None:
    rng = np.random.default_rng(7)
    x = np.concatenate([patterns(dtype, 1 << 17, rng), *near(dtype, name, 1 << 16, rng)])
    away = ulps(native(name, x), exact(name, x))
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


def test_registry_states_the_bounds() -> None:
    for name in NAMES:
        worst = max(FOUND[dtype][name] for dtype in FLOATS)
        assert REGISTRY[name].ulp == math.ceil(worst)


# float64 results from 400 bits, for machines without a wider format
VALUES: dict[str, tuple[tuple[tuple[float, ...], str], ...]] = {
    "exp": (
        ((0.1,), "0x1.1aec7b35a00d4p+0"),
        ((-0.3,), "0x1.7b4c869c37c05p-1"),
        ((1.0,), "0x1.5bf0a8b145769p+1"),
        ((20.7,), "0x1.d1df072e9d819p+29"),
        ((-745.0,), "0x0.0000000000001p-1022"),
        ((709.7,), "0x1.d75ae7a50ee14p+1023"),
        ((-708.9,), "0x0.9ab77c6e3d8a4p-1022"),
        ((1e-09,), "0x1.000000044b830p+0"),
    ),
    "log": (
        ((0.1,), "-0x1.26bb1bbb55515p+1"),
        ((0.7072,), "-0x1.62c1a17840101p-2"),
        ((1.0000001,), "0x1.ad7f2847b6492p-24"),
        ((1.4141,), "0x1.62cf22d44fa00p-2"),
        ((3.0,), "0x1.193ea7aad030bp+0"),
        ((5e-324,), "-0x1.74385446d71c3p+9"),
        ((1.7e308,), "0x1.62dd08fdc6f88p+9"),
        ((0.9999,), "-0x1.a3738d2cf1cc2p-14"),
    ),
    "tanh": (
        ((1e-05,), "0x1.4f8b588e06854p-17"),
        ((0.1,), "0x1.983d7795f413ap-4"),
        ((0.35,), "0x1.5872d4a8651d6p-2"),
        ((0.5,), "0x1.d9353d7568af3p-2"),
        ((0.8,), "0x1.53fca0a748a41p-1"),
        ((3.0,), "0x1.fd77d111a0b00p-1"),
        ((12.0,), "0x1.ffffffff59f7cp-1"),
        ((18.9,), "0x1.fffffffffffffp-1"),
    ),
    "erf": (
        ((1e-05,), "0x1.7a9f084b5e44cp-17"),
        ((0.1,), "0x1.cca5ea24fb334p-4"),
        ((0.5,), "0x1.0a7ef5c18edd2p-1"),
        ((0.9,), "0x1.98045a6c8a2e6p-1"),
        ((0.99999,), "0x1.af75ef2a3ed8cp-1"),
        ((1.1,), "0x1.c2aa3d27302c0p-1"),
        ((2.3,), "0x1.ff6a295bcd35cp-1"),
        ((4.0,), "0x1.ffffff7b91176p-1"),
        ((5.8,), "0x1.ffffffffffffep-1"),
    ),
    "pow": (
        ((1.1, 3.0), "0x1.54bc6a7ef9db4p+0"),
        ((0.7, -1990.5), "inf"),
        ((3.0, 646.0), "0x1.d906a378b5987p+1023"),
        ((1.0000001, -7.4e9), "0x0.0000000000055p-1022"),
        ((1e300, -1.06), "0x0.00000000316a2p-1022"),
        ((2.5e-310, 0.5), "0x1.b22afd2ccdc38p-515"),
        ((-1.5, -1749.0), "-0x0.777a0d19c6d0dp-1022"),
        ((10.0, -308.0), "0x0.730d67819e8d2p-1022"),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_known_values(name: str) -> None:
    for args, text in VALUES[name]:
        (got,) = native(name, *(np.array([a]) for a in args)).tolist()
        want = float.fromhex(text)
        assert got == want or abs(got - want) <= (REGISTRY[name].ulp + 0.5) * math.ulp(want), args


# --- special values ------------------------------------------------------------------------------

SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (nan, nan)],
    "log": [
        (1.0, 0.0), (0.0, -inf), (-0.0, -inf), (inf, inf), (-inf, nan), (-1.0, nan), (-1e-7, nan),
        (nan, nan),
    ],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (40.0, 1.0), (-40.0, -1.0), (nan, nan)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (40.0, 1.0), (-40.0, -1.0), (nan, nan)],
}  # fmt: skip

# C99, F.9.4.4; `odd` and `even` are whole, `broken` is not.
odd, even, broken, big = 3.0, 2.0, 0.5, 60000.0
POWER: list[tuple[float, float, float]] = [
    (0.0, -odd, inf), (-0.0, -odd, -inf), (0.0, -even, inf), (-0.0, -even, inf),
    (0.0, -broken, inf), (-0.0, -broken, inf), (0.0, -inf, inf), (-0.0, -inf, inf),
    (0.0, odd, 0.0), (-0.0, odd, -0.0), (0.0, even, 0.0), (-0.0, even, 0.0),
    (-0.0, broken, 0.0), (0.0, inf, 0.0), (-0.0, inf, 0.0), (0.0, 1e-7, 0.0),
    (-1.0, inf, 1.0), (-1.0, -inf, 1.0), (-1.0, big, 1.0), (-1.0, odd, -1.0), (-1.0, even, 1.0),
    *((1.0, y, 1.0) for y in (0.0, -0.0, odd, -broken, inf, -inf, nan)),
    *((x, y, 1.0) for x in (0.0, -0.0, 5.0, -5.0, inf, -inf, nan) for y in (0.0, -0.0)),
    (-2.0, broken, nan), (-broken, -2.5, nan), (-1e-7, broken, nan),
    (0.5, -inf, inf), (-0.5, -inf, inf), (2.0, -inf, 0.0), (-2.0, -inf, 0.0),
    (0.5, inf, 0.0), (-0.5, inf, 0.0), (2.0, inf, inf), (-2.0, inf, inf),
    (-inf, -odd, -0.0), (-inf, -even, 0.0), (-inf, -broken, 0.0), (-inf, -inf, 0.0),
    (-inf, odd, -inf), (-inf, even, inf), (-inf, broken, inf), (-inf, inf, inf),
    (inf, -odd, 0.0), (inf, -1e-7, 0.0), (inf, 1e-7, inf), (inf, odd, inf), (inf, -inf, 0.0),
    (nan, 1.0, nan), (nan, nan, nan), (2.0, nan, nan), (-1.0, nan, nan), (0.0, nan, nan),
    (inf, nan, nan), (nan, inf, nan),
    (big, big, inf), (big, -big, 0.0), (-big, 60001.0, -inf), (-2.0, odd, -8.0), (-2.0, -odd, -0.125),
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: str) -> None:
    rows: list[tuple[float, ...]] = [*POWER] if name == "pow" else [*SPECIAL[name]]
    if dtype == "float16":  # 60001 is even there, as every number above 2048 is
        rows = [(x, 60000.0, inf) if (x, y) == (-big, 60001.0) else (x, y, *z) for x, y, *z in rows]
    *args, want = np.array(rows).T.astype(dtype)
    args = [np.ascontiguousarray(a) for a in args]
    got = native(name, *args)
    wrong = ~((got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want))
    assert not wrong.any(), [(row, g) for row, g, w in zip(rows, got, wrong, strict=True) if w]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_sigmoids_are_odd_and_bounded(name: str, dtype: str) -> None:
    x = np.concatenate(near(dtype, name, 1 << 14, np.random.default_rng(9)))
    y = native(name, x)
    assert_same_bits(native(name, -x), -y)
    assert np.all(np.abs(y) <= 1)
    assert name == "erf" or np.all(np.abs(y) <= np.abs(x))


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


# --- the same everywhere -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NAMES)
def test_native_bits_are_the_interpreters(name: str, dtype: str) -> None:
    rng = np.random.default_rng(11)
    if name == "pow":
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
    args = [patterns(dtype, 1 << 16, rng) for _ in range(1 + (name == "pow"))]
    if name != "pow":
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
