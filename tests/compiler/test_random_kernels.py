"""Kernels as random texts, not as fusion writes them: run natively between guards, and by the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.order import LANES, ROW_LANES
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import print_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.host import host
from tests.guarded import Array, run_kernel

from .random_kernels import random_kernel


def _agree(kernel: Kernel, arrays: dict[str, Array], symbols: dict[str, int], width: int) -> None:
    verify_kernel(kernel)
    text = print_kernel(kernel)
    read = parse_kernel(text)
    assert print_kernel(read) == text
    want = interpret_kernel(kernel, arrays, {"s": 2.0}, symbols)
    target = replace(host(), vector_bytes=width)
    for front in (True, False):
        found = run_kernel(read, arrays, symbols, {"s": 2.0}, target, front)
        for name, value in want.items():
            same = np.array_equal(found[name], value, equal_nan=value.dtype.kind == "f")
            assert same, f"{text}\n{symbols}\n{name}: {found[name]}\nis not {value}"


@pytest.mark.parametrize("seed", range(5000, 5040))
def test_random_kernels(seed: int) -> None:
    kernel, arrays, symbols, _ = random_kernel(seed)
    _agree(kernel, arrays, symbols, (64, 32, 16)[seed % 3])


@pytest.mark.sweep
@pytest.mark.parametrize("width", [64, 32, 16])
@pytest.mark.parametrize("part", range(20))
def test_many_random_kernels(part: int, width: int) -> None:
    for seed in range(100 * part, 100 * part + 100):
        kernel, arrays, symbols, _ = random_kernel(seed)
        _agree(kernel, arrays, symbols, width)


def test_random_kernels_take_every_mode() -> None:
    modes = {schedule(random_kernel(seed)[0], 64).mode for seed in range(5000, 5040)}
    assert {"flat", "rows", "groups", "tiles", "product"} <= modes


def _run(text: str, *shapes: tuple[int, ...], mode: str, dtype: str = "int32", **symbols: int) -> None:
    kernel = parse_kernel(text)
    assert schedule(kernel, 64).mode == mode
    rng = np.random.default_rng(1)
    names = [p.name for p in kernel.params]
    arrays = {n: rng.integers(-3, 4, s).astype(dtype) for n, s in zip(names, shapes, strict=True)}
    for width in (64, 32, 16):
        _agree(kernel, arrays, symbols, width)


def test_one_axis_twice_among_the_subscripts() -> None:
    """A diagonal walks with the sum of the strides."""
    _run(
        """
        kernel t(x: i32[24, 24], y: i32[n]) -> (o: i32[n], c: i32[24])
          for i in n
            stage j in 24
              r = sum(x[j, j] * y[i])
              t[j] += x[j, j] + y[i]
            stage:  o[i] = r
          finally
            stage j in 24:  c[j] = t[j]
        """,
        (24, 24), (37,), mode="groups", n=37,
    )  # fmt: skip
    _run(
        """
        kernel t(x: i32[n, n]) -> (o: i32[n])
          for i in n
            stage:  o[i] = x[i, i]
        """,
        (50, 50), mode="flat", n=50,
    )  # fmt: skip
    _run(
        """
        kernel t(x: i32[n, n, 24]) -> (o: i32[n])
          for i in n
            stage j in 24:  r = sum(x[i, i, j])
            stage:  o[i] = r
        """,
        (37, 37, 24), mode="groups", n=37,
    )  # fmt: skip


def test_a_total_is_read_by_other_axes_than_it_was_made_with() -> None:
    """In another order, and twice by one axis."""
    _run(
        """
        kernel t(x: i32[n, 5, 5]) -> (o: i32[5, 5], d: i32[5])
          for i in n
            stage p in 5, q in 5
              t[q, p] += x[i, p, q]
          finally
            stage u in 5, v in 5:  o[u, v] = t[v, u]
            stage w in 5:  d[w] = t[w, w]
        """,
        (9, 5, 5), mode="rows", n=9,
    )  # fmt: skip


@pytest.mark.parametrize("op", ["mod", "floordiv"])
def test_a_costly_value_that_is_known_once_a_row_does_not_wait_in_an_output(op: str) -> None:
    """Rows of more than 64 elements whose last stage is done beside the next row."""

    def f(x: lucid.Tensor) -> lucid.Tensor:
        d = x * x.sum(axis=1, keepdims=True).tanh()
        e = d * d.sum(axis=1, keepdims=True)
        return e % 2.0 if op == "mod" else e // 2.0

    x = np.random.default_rng(0).integers(0, 3, (100, 100)).astype(np.float32)  # tanh is 1
    want = np.remainder(x * x.sum(1, keepdims=True), 2) if op == "mod" else x * x.sum(1, keepdims=True) // 2
    for function in (f, lucid.compile(f)):
        assert np.array_equal(function(lucid.Tensor(x)).numpy(), want)


def test_a_row_reduction_of_one_term() -> None:
    _run(
        """
        kernel t(x: i32[n]) -> (o: i32[n])
          for i in n
            stage:  r = sum(x[i])
            stage:  o[i] = r * 2
        """,
        (37,), mode="rows", n=37,
    )  # fmt: skip


@pytest.mark.parametrize("n", [0, 5, 8192, 20_000])
def test_long_rows(n: int) -> None:
    """With one walk along them, threads share their blocks; `long` may be said of short ones."""
    _run(
        """
        kernel t(x: i32[m, n]) -> (o: i32[m], top: i32[m], u: i32[], v: i32[])
          for i in m
            stage j in n long
              r = sum(x[i, j] * 3)
              q = max(x[i, j])
              t += x[i, j]
            stage
              o[i] = r - 1
              top[i] = q
              s2 += r * r
          finally
            u = t
            v = s2
        """,
        (3, n), mode="long", n=n, m=3,
    )  # fmt: skip
    _run(
        """
        kernel t(x: i32[m, 2, n]) -> (o: i32[m, 2, n], u: i32[])
          for i in m
            stage k in 2, j in n long
              r = sum(x[i, k, j] * 3)
            stage k in 2, j in n long
              o[i, k, j] = x[i, k, j] - r
              t += x[i, k, j]
          finally
            u = t
        """,
        (3, 2, n), mode="rows", n=n, m=3,
    )  # fmt: skip


@pytest.mark.parametrize("m", [0, 3, 300])
def test_shares_of_columns(m: int) -> None:
    """Each block has some columns of at most 256 rows, which it ends if these are all."""
    for stored in ("", "o[i, j] = x[i, j] + 1"):
        _run(
            f"""
            kernel t(x: i32[m, n], y: i32[n]) -> ({"o: i32[m, n], " if stored else ""}u: i32[n], v: i32[n])
              for i in m
                stage j in n long
                  {stored}
                  r[j] += x[i, j] * y[j]
                  top[j] max= x[i, j]
              finally
                stage j in n
                  u[j] = r[j] - y[j]
                stage j in n
                  v[j] = top[j]
            """,
            (m, 8200), (8200,), mode="columns", n=8200, m=m,
        )  # fmt: skip


def test_long_rows_beside_each_other() -> None:
    """The last stage of a row beside an earlier one of the next; both are summed."""
    n = 9000
    _run(
        """
        kernel t(x: i32[m, n]) -> (o: i32[m, n], u: i32[])
          for i in m
            stage j in n long
              r = sum(x[i, j] * 3 + x[i, j] * x[i, j] * x[i, j] * x[i, j] * x[i, j] * x[i, j] * x[i, j])
            stage j in n long
              o[i, j] = x[i, j] * x[i, j] * x[i, j] - r
              t += x[i, j]
          finally
            u = t
        """,
        (4, n), mode="rows", n=n, m=4,
    )  # fmt: skip


def test_a_long_literal_extent_is_a_loop() -> None:
    text = """
        kernel t(x: i32[n, 5000]) -> (o: i32[n, 5000], r: i32[n])
          for i in n
            stage j in 5000:  s1 = sum(x[i, j])
            stage j in 5000:  o[i, j] = x[i, j] - s1
            stage:  r[i] = s1
        """
    assert len(print_func(lower(parse_kernel(text), schedule(parse_kernel(text), 64))[0])) < 20_000
    _run(text, (3, 5000), mode="rows", n=3)


def test_powers_of_two_divide_squares_of_small_numbers() -> None:
    """LLVM's signed division by 2 once gave its operand back."""
    _run(
        """
        kernel t(x: i64[n]) -> (o: i64[n], q: i64[n])
          for i in n
            stage
              c = min(max(x[i], -8), 8)
              o[i] = mod(c * c, 2)
              q[i] = floordiv(c * c, 4)
        """,
        (37,), mode="flat", dtype="int64", n=37,
    )  # fmt: skip


TOTAL = """
    kernel t(x: {dtype}[n, 24]) -> (o: {dtype}[])
      for i in n
        stage j in 24:  r = sum(x[i, j])
        stage:  t += r
      finally
        o = t
    """


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_vectors_longer_than_a_total_has_lanes_are_an_error(dtype: str) -> None:
    """They once wrote beyond the working memory of a group."""
    kernel = parse_kernel(TOTAL.format(dtype=dtype))
    size = 4 if dtype == "f32" else 8
    assert schedule(kernel, size * ROW_LANES).mode == "groups"
    for lanes in (2 * ROW_LANES, 4 * LANES[size]):
        with pytest.raises(ValueError, match=f"vectors of {lanes} lanes"):
            schedule(kernel, size * lanes)


def test_a_total_keeps_the_axis_that_vectors_run_along() -> None:
    kernel = parse_kernel("""
        kernel t(x: f32[n, d, e]) -> (o: f32[d])
          for i in n
            stage p in d, q in e:  t[p] += x[i, p, q]
          finally
            stage p in d:  o[p] = t[p]
        """)
    with pytest.raises(VerifyError, match="`q`, the last axis of the stage, must be kept"):
        verify_kernel(kernel)
    with pytest.raises(ValueError, match="must keep the last axis"):
        schedule(kernel, 64)
