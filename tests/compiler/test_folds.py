"""Folds with several states, written by hand, in every mode: the interpreter, loops of every vector width,
and machine code. Extremes and their places must be NumPy's: the first of equal ones, the first NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.kernel import verify_kernel

from .test_kernel_files import agree

Array = np.ndarray[Any, Any]

FLAT = """
kernel flat(x: DT[n]) -> (v: DT[], p: i32[])
  for i in n
    stage
      top, place argmax=(x[i], i32(at(i)))
  finally
    v = top
    p = place
"""
ROWS = """
kernel rows(x: DT[m, n]) -> (v: DT[m], p: i64[m])
  for i in m
    stage j in n: top, place = argmax(x[i, j], at(j))
    stage
      v[i] = top
      p[i] = place
"""
# As many rows at a time as a vector has lanes; the first row of all with the greatest element, too.
GROUPS = """
kernel groups(x: DT[m, COUNT]) -> (v: DT[m], p: i32[m], b: DT[], r: i32[], c: i32[COUNT])
  for i in m
    stage j in COUNT
      top, place = argmax(x[i, j], i32(at(j)))
      most[j], first[j] argmax=(x[i, j], i32(at(i)))
    stage
      v[i] = top
      p[i] = place
      best, row argmax=(top, i32(at(i)))
  finally
    b = best
    r = row
    stage j in COUNT
      c[j] = first[j]
"""
LONG = ROWS.replace("j in n:", "j in n long:").replace("kernel rows", "kernel long")
COLUMNS = """
kernel columns(x: DT[n, m]) -> (v: DT[m], p: i32[m])
  for i in n
    stage j in m
      top[j], place[j] argmax=(x[i, j], i32(at(i)))
  finally
    stage j in m
      v[j] = top[j]
      p[j] = place[j]
"""
# Over two axes places do not ascend: a lesser one that comes later wins.
TWO_AXES = """
kernel two(x: DT[m, 3, n]) -> (v: DT[m], p: i32[m])
  for i in m
    stage k in 3, j in n: top, place = argmax(x[i, k, j], i32(at(j)))
    stage
      v[i] = top
      p[i] = place
"""


def _kernel(text: str, dtype: str = "f32", count: int = 5, best: str = "max") -> Any:
    text = text.replace("DT", dtype).replace("COUNT", str(count)).replace("argmax", f"arg{best}")
    kernel = parse_kernel(text)
    verify_kernel(kernel)
    assert parse_kernel(print_kernel(kernel)) == kernel
    return kernel


def _values(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Many equal ones; for floats infinities, zeros of both signs and, in some rows, NaN."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, shape).astype(dtype)
    if x.dtype.kind == "f" and x.size:
        rows = x.reshape(-1, shape[-1])
        rows[rng.random(rows.shape) < 0.1] = -0.0
        rows[::3][rng.random(rows[::3].shape) < 0.05] = -np.inf
        rows[1::4][rng.random(rows[1::4].shape) < 0.2] = np.nan
        rows[2::7] = -np.inf
        rows[4::7] = np.inf
    return np.asarray(x)


def _check(text: str, x: Array, axis: int, **how: Any) -> None:
    """Against NumPy, bit for bit but for the sign of zeros."""
    kernel = _kernel(text, **how)
    agree(kernel, {"x": x}, {})
    best = np.argmax if how.get("best", "max") == "max" else np.argmin
    found = interpret_kernel(kernel, {"x": x}, {})
    place = best(x, axis=axis)
    np.testing.assert_array_equal(found["p"], place)
    np.testing.assert_array_equal(
        found["v"], np.take_along_axis(x, np.expand_dims(place, axis), axis).squeeze(axis)
    )


@pytest.mark.parametrize("best", ["max", "min"])
@pytest.mark.parametrize("n", [1, 64, 130])
def test_flat(n: int, best: str) -> None:
    x = _values((3, n), "f4", n)
    x[1, n // 2] = np.nan
    x[2] = -np.inf if best == "max" else np.inf
    for row in x:
        _check(FLAT, row, 0, best=best)


@pytest.mark.parametrize(
    ("dtype", "name"), [("f32", "f4"), ("f64", "f8"), ("f16", "f2"), ("i32", "i4"), ("u8", "u1")]
)
def test_rows_of_every_dtype(dtype: str, name: str) -> None:
    for n in (5, 67):
        x = np.abs(_values((9, n), name, n)) if name == "u1" else _values((9, n), name, n)
        _check(ROWS, x, 1, dtype=dtype)
        _check(ROWS, x, 1, dtype=dtype, best="min")


@pytest.mark.parametrize("count", [1, 16, 20])
def test_groups_of_rows(count: int) -> None:
    for m in (1, 37):
        x = _values((m, count), "f4", m)
        _check(GROUPS, x, 1, count=count)
        found = interpret_kernel(_kernel(GROUPS, count=count), {"x": x}, {})
        np.testing.assert_array_equal(found["c"], x.argmax(axis=0))
        np.testing.assert_array_equal(found["r"], np.max(x, axis=1).argmax())


def test_the_modes() -> None:
    """What the texts here stand for."""
    texts = {"flat": FLAT, "rows": ROWS, "groups": GROUPS, "long": LONG}
    assert {name: schedule(_kernel(text), 64).mode for name, text in texts.items()} == {n: n for n in texts}


def test_blocks() -> None:
    """Two of a long row, two of a flat kernel, three of rows whose totals keep the columns."""
    x = _values((2, 8200), "f4", 1)
    _check(LONG, x, 1)
    _check(FLAT, x[0], 0)
    _check(COLUMNS, _values((513, 7), "f4", 1), 0)
    _check(COLUMNS, _values((5, 70), "f4", 2), 0, best="min")


def test_places_that_do_not_ascend() -> None:
    x = _values((9, 3, 70), "f4", 3)
    kernel = _kernel(TWO_AXES)
    agree(kernel, {"x": x}, {})
    top = x.max(axis=(1, 2), keepdims=True)
    hit = np.where((x == top) | np.isnan(x), np.arange(70), 70)
    np.testing.assert_array_equal(interpret_kernel(kernel, {"x": x}, {})["p"], hit.min(axis=(1, 2)))


def test_nothing_has_the_least_value_at_place_0() -> None:
    kernel = _kernel(FLAT)
    agree(kernel, {"x": np.zeros(0, "f4")}, {})
    found = interpret_kernel(kernel, {"x": np.zeros(0, "f4")}, {})
    assert found["v"].item() == -np.inf and found["p"].item() == 0


def test_vectors_are_as_wide_as_what_is_done_for_each_element() -> None:
    """i64 places, stored once a row, and the i64 of `at` in another dtype are no matter."""
    kernel = _kernel(ROWS.replace("at(j))", "i32(at(j)))").replace("= place", "= i64(place)"))
    assert schedule(kernel, 64).width == 16
    assert schedule(_kernel(ROWS), 64).width == 8
