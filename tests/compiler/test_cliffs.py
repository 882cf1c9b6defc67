"""Neighbours of fast programs that were many times slower: what they are now is told by their kernels."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.compiler.cpu.schedule import product, schedule
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.nn import functional as F

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def compiled(f: Callable[..., Any], *args: Any) -> Any:
    made = lucid.compile(f)
    made(*map(Tensor, args))
    return made


def kernels(f: Callable[..., Any], *args: Any) -> list[str]:
    """The texts of the kernels, in order."""
    text = compiled(f, *args).ir("kernel")
    return [part.strip() for part in text.split("\n\n") if part.startswith("kernel ")]


@pytest.mark.parametrize("shape", [(1000, 300), (40, 100), (1000, 16)])
def test_columns_at_indices_are_written_row_after_row(shape: tuple[int, int]) -> None:
    """The verdict on the indices was made a part of their kernel, which went along columns then: 30 times as
    long for (1000, 4096)."""
    index = RNG.integers(0, shape[1], shape[1])
    first, second = kernels(lambda x, i: x[:, i], numbers(*shape), index)
    assert re.search(r"for i0 in n0\n    stage i1 in \w+\n      o0\[i0, i1\] = pick\(", first)
    assert "max= or(" in second


def test_a_few_columns_are_one_kernel() -> None:
    """There a launch costs more."""
    (one,) = kernels(lambda x, i: x[:, i], numbers(8, 8), np.arange(8))
    assert "pick(" in one and "max= or(" in one


def test_what_is_put_side_by_side_is_stored_once_and_reshaped() -> None:
    """The reshape moved to the places and to each part, which were stored: 60 times as long."""
    x = numbers(50, 6)
    f = lambda x: lucid.stack([x, x * 2], -1).reshape(x.shape[0], -1)  # noqa: E731
    (one,) = kernels(f, x)
    assert "stage i1 in 2" in one
    np.testing.assert_array_equal(lucid.compile(f)(x).numpy(), np.stack([x, x * 2], -1).reshape(50, -1))


def test_statistics_of_columns_are_finished_once() -> None:
    """Each element divided by a root that all of its column share: 4 times as long."""
    *_, last = kernels(lambda x: (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt(), numbers(1000, 64))
    assert "sqrt" not in last and last.count(" / ") == 1


@pytest.mark.parametrize("step", [-2, 2, 3, 5, 17, 64])
def test_totals_of_some_columns_walk_memory(step: int) -> None:
    """Each column by itself, a line of the cache for each element: up to 29 times as long."""
    for total in (lambda x: x[:, ::step].sum(0), lambda x: x.reshape(4, 25, 192)[..., ::step].max((0, 1))):
        (text,) = kernels(total, numbers(100, 192))
        assert "r0[i" in text and "finally" in text


def test_both_parts_of_complex_numbers_are_one_walk() -> None:
    """Totals of columns, means, and rows at indices: each part apart took 46, 50 and 8 times as long."""
    z, few = (numbers(100, 64) + 1j * numbers(100, 64)).astype(np.complex64), np.array([2, 0, 1])
    cases: list[Callable[[Any], Any]] = [
        lambda z: z.sum(0),
        lambda z: z.mean(0),
        lambda z: z[few],
        lambda z: z[1:] - z[:-1],
    ]
    for f in cases:
        (text,) = kernels(f, z)
        assert "where" not in text and "in 2" not in text and "test_cliffs.py" in text
        np.testing.assert_allclose(lucid.compile(f)(Tensor(z)).numpy(), f(z), rtol=1e-5, atol=1e-5)


def rotated(x: Any, c: Any, s: Any) -> Any:
    even, odd = x[..., ::2], x[..., 1::2]
    return lucid.stack([even * c - odd * s, even * s + odd * c], -1).reshape(x.shape)


def test_pairs_that_are_turned_are_done_a_vector_of_pairs_at_a_time() -> None:
    """Rows of two elements within two axes were done one by one: 14 times as long, 10 times its gradient."""
    x, c, s = numbers(4, 64, 32), numbers(64, 16), numbers(64, 16)
    assert ": short, " in compiled(rotated, x, c, s).explain().replace("; short, ", ": short, ")
    grad = lucid.grad(lambda x, c, s: (rotated(x, c, s) ** 2).sum())
    modes = [schedule(parse_kernel(text), 64).mode for text in kernels(grad, x, c, s) if "in 2\n" in text]
    assert len(modes) >= 2 and set(modes) == {"short"}


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("count", [1, 5, 17, 200])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_short_rows_within_several_axes(batch: int, count: int, size: int) -> None:
    x, c = numbers(batch, 4, count, size), numbers(count, size)

    def f(x: Any, c: Any) -> Any:
        parts = [x[..., 0] * c[..., 0], x[..., 1] + c[..., 1], *(x[..., j] for j in range(2, size))]
        return lucid.stack(parts, -1), x * c

    run = lucid.compile(f)
    for given in (x, x[:, ::2], np.swapaxes(x, 0, 1)):
        turned = np.concatenate(
            [given[..., :1] * c[..., :1], given[..., 1:2] + c[..., 1:2], given[..., 2:]], -1
        )
        for found, right in zip(run(given, c), (turned, given * c), strict=True):
            np.testing.assert_array_equal(found.numpy(), right)


@pytest.mark.parametrize(
    "options", [{"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}]
)
def test_the_gradient_of_a_window_sums_along_memory(options: dict[str, int]) -> None:
    """Of the places of a window, its columns were three elements, and the cotangent was packed for each
    channel and row: 27 times as long."""
    grad = lucid.grad(lambda w, x: (F.conv2d(x, w, **options) ** 2).sum())
    texts = kernels(grad, numbers(8, 4, 3, 3), numbers(2, 4, 12, 12))
    found = [
        p for p in map(product, map(parse_kernel, (t for t in texts if " = dot(" in t))) if p is not None
    ]
    # The last one is of the window: all axes of what it is of but one are rows, and nothing is packed again.
    assert len(found[-1].rows) == 3 and not found[-1].batch
    assert (
        found[0].batch and found[0].lines == found[0].batch
    )  # all images and lines are columns of one product


@pytest.mark.parametrize("size", [1, 3, 4, 7, 12, 33])
@pytest.mark.parametrize("channels", [3, 40])
def test_products_over_several_axes(size: int, channels: int) -> None:
    """Lines of the depth of all lengths, more of it than a part, rows that stay packed."""
    a, b = numbers(3, channels, 2, size), numbers(5, channels, size)
    right = np.einsum("ncdk,ock->odn", a.astype(float), b.astype(float))
    for threads in (1, 2):
        found = lucid.compile(lambda a, b: lucid.einsum("ncdk,ock->odn", a, b), threads=threads)(a, b)
        np.testing.assert_allclose(found.numpy(), right, rtol=1e-4, atol=1e-4)
    x, w = numbers(2, channels, 9, size + 4), numbers(4, channels, 3, 3)
    run = lucid.compile(
        lucid.value_and_grad(lambda w, x: (F.conv2d(x, w, padding=1) ** 2).sum(), argnums=(0, 1))
    )
    near = lucid.value_and_grad(lambda w, x: (F.conv2d(x, w, padding=1) ** 2).sum(), argnums=(0, 1))
    value, slopes = run(w, x)
    wide, slopes_wide = near(w.astype(float), x.astype(float))
    np.testing.assert_allclose(value.numpy(), wide.numpy(), rtol=1e-5)
    for g, right in zip(slopes, slopes_wide, strict=True):
        np.testing.assert_allclose(
            g.numpy(), right.numpy(), rtol=1e-3, atol=1e-3 * np.abs(right.numpy()).max()
        )


def test_what_is_masked_does_not_underflow() -> None:
    """A processor takes a hundred times as long where a result underflows: of exp_term of -inf, whose sum is
    that of a masked softmax, none does."""
    text = compiled(lambda x: F.softmax(x, -1), numbers(64, 64)).ir("loop")
    assert "lt %" in text and ", -104.0" in text
    scaled = [line for line in text.splitlines() if " = scale " in line]
    assert scaled
    for line in scaled:
        result = line.split(" = ")[0].split(":")[0].strip()
        assert f", 0.0, {result} " in text
    x = np.array([[0.0, -np.inf, -200.0, -104.5, -90.0, -np.inf, 1.0, -1e30]], np.float32)
    right = np.exp(x.astype(float) - 1) / np.exp(x.astype(float) - 1).sum()
    np.testing.assert_allclose(
        lucid.compile(lambda x: F.softmax(x, -1))(x).numpy(), right, rtol=1e-5, atol=2e-45
    )


def test_queries_that_a_batch_shares_are_no_strips() -> None:
    """Their blocks are in another order than strips take them: these wrote outside of their memory."""
    q, k, v = numbers(300, 16), numbers(16, 300, 16), numbers(16, 300, 16)

    def f(q: Any, k: Any, v: Any) -> Any:
        return F.softmax(q @ lucid.swapaxes(lucid.asarray(k), -1, -2), -1) @ v

    scores = q.astype(float) @ np.swapaxes(k, -1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    right = weights / weights.sum(-1, keepdims=True) @ v
    for threads in (1, 2, 3):
        found = lucid.compile(f, threads=threads)(q, k, v)
        np.testing.assert_allclose(found.numpy(), right, rtol=1e-4, atol=1e-5)
    assert "strip" not in compiled(f, q, k, v).explain()
    assert "strip" in compiled(f, numbers(16, 300, 16), k, v).explain()
