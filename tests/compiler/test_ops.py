"""Every record of the registry: compiled code against NumPy, on special values and every vector
tail."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.ir.types import DTYPES, DType, b1, from_numpy
from lucid.compiler.ops import REGISTRY, Op, Sample
from tests.native import Array, build, run, sample_arrays

FLOATS = ("f16", "bf16", "f32", "f64")
# How far NumPy itself may be off; test_transcendental.py holds the functions to exact references.
NUMPY_ULP = 4
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, 3.0, 7.0, 1e-3, np.inf, -np.inf, np.nan, -np.nan]


def dtypes(op: Op) -> list[DType]:
    return [d for d in DTYPES.values() if op.takes(d)]


def special(dtype: DType) -> Array:
    kind: Any = dtype.np
    with np.errstate(all="ignore"):
        if dtype.is_float:
            most, tiny = dtype.most, dtype.tiny
            edges = [most, -most, tiny, -tiny, tiny * dtype.epsilon]
            return np.array([*SPECIAL, *edges, 88.0, -88.0, 1.5, 10.0], dtype.np)
        if dtype is b1:
            return np.array([False, True])
        info_ = np.iinfo(kind)
        return np.array([0, 1, 2, 3, 7, 100, info_.max, info_.min, info_.max - 1], dtype.np)


def ulps(got: Array, want: Array) -> float:
    """Distance in units in the last place; inf where one is special and the other is not."""
    exact = want.astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(want)).astype(np.float64)
        away = np.abs(got.astype(np.float64) - exact) / unit
    away = np.where(same, 0.0, np.where(np.isfinite(away), away, np.inf))
    return float(np.max(away, initial=0.0))


def check(op: Op, got: Array, want: Array) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    dtype = from_numpy(got.dtype)
    if op.exact or not dtype.is_float:
        got, want = got.astype(dtype.computed.np), want.astype(dtype.computed.np)
        np.testing.assert_array_equal(got, want)
        if dtype.is_float:
            real = ~np.isnan(want)
            np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(want[real]))
    elif op.ulp:
        assert ulps(got, want) <= op.ulp + NUMPY_ULP
    else:
        got, want = got.astype(dtype.computed.np), want.astype(dtype.computed.np)
        np.testing.assert_allclose(got, want, rtol=32 * dtype.epsilon, atol=32 * dtype.epsilon)


ELEMENTWISE = [op for op in REGISTRY.values() if op.kind == "elementwise"]


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_special_values(op: Op) -> None:
    """All pairs of special values."""
    for dtype in dtypes(op):
        arity = len(op.samples[0].shapes)
        values = special(dtype)
        if op is ops.WHERE:
            flags = np.resize([True, False], values.size)
            arrays = [flags, values, values[::-1].copy()]
        elif arity > 1:
            arrays = [g.ravel().copy() for g in np.meshgrid(*[values] * arity)]
        else:
            arrays = [values]
        targets = list(DTYPES.values()) if op is ops.CAST else [None]
        for target in targets:
            attrs: dict[str, Any] = {} if target is None else {"dtype": target}
            if target is not None and dtype.is_float and not target.is_float and target is not b1:
                limit = 100.0  # beyond the target's range, and for NaN, C leaves it undefined
                arrays = [np.abs(values[np.abs(values) <= limit])]
            elif target is not None:
                arrays = [values]
            graph = build(lambda *x, a=attrs: op(*x, **a), arrays)
            assert op.evaluate is not None
            check(op, run(graph, arrays)[0], op.evaluate(attrs, *arrays))


CASES = [
    (op, sample, dtype)
    for op in REGISTRY.values()
    if op.kind != "leaf"
    for sample in op.samples
    for dtype in dtypes(op)
    if dtype.name in (*FLOATS, "i32", "u8", "b1", "i64") or op.only
]


@pytest.mark.parametrize(
    ("op", "sample", "dtype"), CASES,
    ids=[f"{o.name}-{d}-{n}" for n, (o, _, d) in enumerate(CASES)],
)  # fmt: skip
def test_samples(op: Op, sample: Sample, dtype: DType) -> None:
    arrays = sample_arrays(op, sample, dtype, np.random.default_rng(zlib.crc32(op.name.encode())))
    graph = build(lambda *x: op(*x, **sample.attrs), arrays)
    assert op.evaluate is not None
    check(op, run(graph, arrays)[0], op.evaluate(sample.attrs, *arrays))


LENGTHS = [*range(70), 127, 128, 129, 255, 8191, 8192, 8193, 16385, 40000]


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64", "i32", "u8"])
def test_every_tail(name: str) -> None:
    """A map, a sum, and an extreme in one kernel, at every length around vectors and blocks."""
    dtype = DTYPES[name]
    rng = np.random.default_rng(7)
    for n in LENGTHS:
        x = (rng.uniform(0, 3, n)).astype(dtype.np)
        y = (rng.uniform(0, 3, n)).astype(dtype.np)
        graph = build(lambda a, b: (ops.MUL(a, b), ops.SUM(ops.SUB(a, b), axes=(0,))), [x, y])
        product, total = run(graph, [x, y])
        np.testing.assert_array_equal(product, x * y)
        want = np.sum(x - y, dtype=dtype.computed.np)
        tolerance = 0 if dtype.kind in "iu" else 64 * dtype.epsilon
        found = total.astype(dtype.computed.np)
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance * 3 * n**0.5)


def test_records_are_complete() -> None:
    for op in REGISTRY.values():
        if op.kind in ("leaf", "pair"):  # of pairs: test_pairs.py
            continue
        assert op.evaluate is not None, op.name
        assert op.lower is not None or op.kind in ("index", "sort"), op.name
        assert op.samples, op.name
        assert op.exact or op.ulp or op.kind in ("reduce", "contract", "index", "composed"), op.name


@pytest.mark.parametrize("name", ["fmod", "mod", "floordiv"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_remainders_are_exact_at_every_quotient(name: str, dtype: str) -> None:
    """Quotients small and far, and next to whole numbers; what has none."""
    rng = np.random.default_rng(7)
    kind, ints = np.dtype(dtype).type, np.dtype(f"u{np.dtype(dtype).itemsize}")
    y = rng.normal(size=1 << 12).astype(dtype)
    whole = rng.integers(1, 1 << 23, y.size).astype(dtype) * y
    bits = rng.integers(0, np.iinfo(ints).max, (2, y.size), ints, endpoint=True).view(dtype)
    special = [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, kind(2) ** 22, kind(2) ** 51, 0.1]
    special += [np.finfo(dtype).tiny, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal]
    pairs = np.array(np.meshgrid(special, special), dtype).reshape(2, -1)
    with np.errstate(all="ignore"):
        x = np.concatenate(
            [whole, np.nextafter(whole, 0), np.nextafter(whole, kind(np.inf)), bits[0], pairs[0]]
        )
        y = np.concatenate([y, y, y, bits[1], pairs[1]])
        found = run(build(REGISTRY[name], [x, y]), [x, y])[0]
        expected = {"fmod": np.fmod, "mod": np.mod, "floordiv": np.floor_divide}[name](x, y)
    different = (found.view(ints) != expected.view(ints)) & ~(np.isnan(found) & np.isnan(expected))
    assert not different.any(), (x[different][:5], y[different][:5], found[different][:5])
