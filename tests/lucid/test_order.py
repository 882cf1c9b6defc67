"""A row alone has the bits that it has in any batch: f(X)[i : i + 1] and f(X[i : i + 1]) are the same,
whatever f sums, multiplies or normalises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lucid
from lucid import Tensor, nn
from lucid.compiler.order import BLOCK, LANES
from lucid.nn import functional as F

from .programs import made

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
Function = Callable[[Tensor], Tensor]


def draw(*shape: int) -> Array:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def layer(outputs: int, depth: int) -> nn.Linear:
    lucid.manual_seed(1)
    return nn.Linear(depth, outputs)


def mixed(w: Array) -> Function:
    """A product with an epilogue, a softmax, and a gradient."""

    def loss(x: Tensor) -> Tensor:
        return (F.softmax(x @ w + w[0], axis=-1) * x.sum(axis=-1, keepdims=True)).sum()

    def f(x: Tensor) -> Tensor:
        gradient: Tensor = lucid.grad(loss)(x)
        return gradient

    return f


# Of a matrix of so many columns; n is another extent.
OF_ROWS: dict[str, Callable[[int, int], Function]] = {
    "linear": lambda d, n: layer(n, d),
    "x @ w": lambda d, n: lambda x: x @ draw(d, n),
    "x @ w.T": lambda d, n: lambda x: x @ draw(n, d).T,
    "x @ w[:, ::2]": lambda d, n: lambda x: x @ Tensor(draw(d, 2 * n))[:, ::2],
    "(w @ x.T).T": lambda d, n: lambda x: (Tensor(draw(n, d)) @ x.T).T,
    "(w.T @ x.T).T": lambda d, n: lambda x: (Tensor(draw(d, n)).T @ x.T).T,
    "x @ vector": lambda d, n: lambda x: x @ draw(d),
    "outer": lambda d, n: lambda x: x[:, :1] @ draw(1, n),
    "epilogue": lambda d, n: lambda x: (x @ draw(d, n) + draw(n)).tanh(),
    "of a formula": lambda d, n: lambda x: (x * 2 + 1) @ draw(d, n),
    "ones": lambda d, n: lambda x: x @ lucid.ones((d, n)),
    "pad": lambda d, n: lambda x: lucid.grad(lambda z: (z[:, 1:] ** 2).sum())(x) @ draw(d, n),
    "mixed": lambda d, n: mixed(draw(d, n)),
    "sum": lambda d, n: lambda x: x.sum(axis=1),
    "sum, keepdims": lambda d, n: lambda x: x - x.mean(axis=1, keepdims=True),
    "sum of products": lambda d, n: lambda x: (x * draw(d)).sum(axis=-1),
    "sum of x.T": lambda d, n: lambda x: (x.T * 2).sum(axis=0),
    "max": lambda d, n: lambda x: x.max(axis=1),
    "softmax": lambda d, n: lambda x: F.softmax(x, axis=-1),
    "layer norm": lambda d, n: lambda x: F.layer_norm(x, (d,)),
}  # fmt: skip
# Of a stack of matrices of d x n.
OF_STACKS: dict[str, Callable[[int, int], Function]] = {
    "linear": lambda d, n: layer(5, n),
    "stack @ matrix": lambda d, n: lambda x: x @ draw(n, 7),
    "stack @ stack": lambda d, n: lambda x: x @ x.transpose(0, 2, 1),
    "stack @ vector": lambda d, n: lambda x: x @ draw(n),
    "matrix @ stack": lambda d, n: lambda x: Tensor(draw(6, d)) @ x,
    "one row": lambda d, n: lambda x: x[:, :1] @ x.transpose(0, 2, 1),
    "sum of rows": lambda d, n: lambda x: x.sum(axis=2),
    "sum of columns": lambda d, n: lambda x: x.sum(axis=1),
    "sum of columns, keepdims": lambda d, n: lambda x: x / (x * x).sum(axis=1, keepdims=True).sqrt(),
    "sum of both": lambda d, n: lambda x: x.sum(axis=(1, 2)),
    "sum of a part": lambda d, n: lambda x: x[:, 1:, : n // 2].sum(axis=(1, 2)),
    "softmax of columns": lambda d, n: lambda x: F.softmax(x, axis=1),
}  # fmt: skip


def check(f: Function, x: Array) -> None:
    whole = f(Tensor(x)).numpy()
    for first, last in ((0, 1), (len(x) - 1, len(x)), (1, 3)):
        part = f(Tensor(x[first:last])).numpy()
        assert part.tobytes() == whole[first:last].tobytes(), (first, last)


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_batch_of_one_has_other_bits(name: str) -> None:
    for m, d, n in ((20, 64, 64), (70, 300, 33), (5, 9, 1)):
        check(OF_ROWS[name](d, n), draw(m, d))


def product_in_order(x: Array, w: Array) -> Array:
    """Of float32 with a few bits, so that each step in float64 rounds once."""
    total = np.zeros((len(x), w.shape[1]), np.float32)
    for first in range(0, len(w), 256):
        chains = np.zeros((4, *total.shape), np.float32)
        for n in range(first, min(first + 256, len(w))):
            chains[n % 4] += x[:, n : n + 1].astype(np.float64) * w[n]
        total += (chains[0] + chains[2]) + (chains[1] + chains[3])
    return total


@pytest.mark.parametrize("depth", [2, 3, 64, 255, 261, 1500, 5000])
def test_a_product_is_summed_in_another_order(depth: int) -> None:
    """One row, one column, both or none, along memory or across it, in whole tiles or not."""
    rng = np.random.default_rng(depth)
    x, w = (np.sqrt(rng.integers(0, 99, size)) for size in ((14, depth), (depth, 37)))
    x, w = (np.ldexp(np.rint(np.ldexp(a - 5, 6)), -6).astype(np.float32) for a in (x, w))
    want = product_in_order(x, w)
    forms: dict[str, Callable[[Array, Array], Any]] = {
        "x @ w": lucid.compile(lambda x, w: x @ w),
        "x @ w.T": lambda x, w: lucid.compile(lambda x, w: x @ w.T)(x, w.T.copy()),
        "x.T @ w": lambda x, w: lucid.compile(lambda x, w: x.T @ w)(x.T.copy(), w),
        "x.T @ w.T": lambda x, w: lucid.compile(lambda x, w: x.T @ w.T)(x.T.copy(), w.T.copy()),
        "every second": lambda x, w: lucid.compile(lambda x, w: x[:, ::2] @ w)(np.repeat(x, 2, axis=1), w),
        "(w.T @ x.T).T": lambda x, w: lucid.compile(lambda x, w: (w.T @ x.T).T)(x, w),
    }
    for name, f in forms.items():
        for rows in (14, 13, 6, 2, 1):
            for columns in (37, 8, 3, 1):
                got = f(x[:rows], w[:, :columns].copy()).numpy()
                assert got.tobytes() == want[:rows, :columns].tobytes(), (name, rows, columns)


LONG = ("sum", "sum, keepdims", "sum of x.T", "x @ vector", "softmax", "layer norm")


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("n", [30_001, 70_001])  # walked again while the cache holds it, and in one walk each
def test_a_long_row_alone_is_summed_in_blocks(name: str, n: int) -> None:
    check(OF_ROWS[name](n, 1), draw(4, n))


def by_lanes(values: Array) -> Array:
    """The sum of the last axis in the order of one block."""
    sums = np.zeros((*values.shape[:-1], LANES[values.itemsize]), values.dtype)
    for first in range(0, values.shape[-1], sums.shape[-1]):
        part = values[..., first : first + sums.shape[-1]]
        sums[..., : part.shape[-1]] += part
    while sums.shape[-1] > 1:
        half = sums.shape[-1] // 2
        sums = sums[..., :half] + sums[..., half:]
    return sums[..., 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 20_001, 600_001])
def test_a_row_is_summed_in_another_order_than_a_vector(dtype: str, n: int) -> None:
    """More than 64 blocks share lanes; what follows needs the sum, or only stores it."""
    x = draw(2, n).astype(dtype) / np.asarray(7, dtype)
    parts = [by_lanes(x[:, first : first + BLOCK]) for first in range(0, n, BLOCK)]
    want = by_lanes(np.stack(parts, axis=-1))
    for row in (0, 1):
        assert lucid.compile(lambda x: x.sum())(x[row].copy()).numpy() == want[row]
    assert lucid.compile(lambda x: x.sum(axis=1))(x).numpy().tolist() == want.tolist()
    shifted = lucid.compile(lambda x: x - x.sum(axis=1, keepdims=True))(x).numpy()
    assert shifted.tobytes() == (x - want[:, None]).tobytes()


def shares(f: Function, x: Array) -> list[tuple[str, int]]:
    """The mode of each kernel, and how many blocks threads share."""
    compiled = lucid.compile(f)
    compiled(Tensor(x))
    stages = made(compiled).stages
    return [(s.mode, launch.blocks) for s, launch in zip(stages.schedules, stages.plan.launches, strict=True)]


def test_a_long_row_is_one_thread_s() -> None:
    softmax, norm = OF_ROWS["softmax"](1, 1), OF_ROWS["layer norm"](10**6, 1)
    flat, long = ("flat", 123), ("long", 123)
    assert shares(lambda x: x.sum(), draw(1, 10**6)) == [flat]
    assert shares(lambda x: x.sum(axis=1), draw(1, 10**6)) == [long]
    assert shares(lambda x: x.sum(axis=1), draw(3, 10**6)) == [("long", 3 * 123)]
    assert shares(lambda x: x.var(axis=1), draw(1, 10**6)) == [long, long]
    assert shares(softmax, draw(1, 10**6)) == [long, long, flat]
    assert shares(softmax, draw(2, 10**6)) == [("long", 2 * 123)] * 3
    assert shares(norm, draw(1, 10**6)) == [long, long, flat]
    assert shares(lambda x: (x.sum(axis=1) ** 2).sum(), draw(2, 10**5)) == [("long", 26)]
    assert shares(lambda x: x @ draw(10**5), draw(2, 10**5)) == [("long", 26)]
    assert shares(lambda x: x.sum(axis=0), draw(2, 10**6)) == [("columns", 123)]
    assert shares(lambda x: x.max(axis=0), draw(300, 10**4)) == [("columns", 2 * 2)]


def test_rows_that_a_cache_holds_are_read_once() -> None:
    for n, long in ((BLOCK, 0), (BLOCK + 1, 3), (65_536, 3)):
        compiled = lucid.compile(OF_ROWS["softmax"](n, 1))
        compiled(Tensor(draw(2, n)))
        text = compiled.ir("kernel")
        assert text.count("kernel ") == 1 and text.count(" long") == long
        assert ("alloc blocks." in compiled.ir("loop")) == bool(long)


@pytest.mark.parametrize("name", LONG)
def test_threads_change_the_bits_of_long_rows(name: str) -> None:
    x, found, threads = draw(3, 200_001), set[bytes](), lucid.get_num_threads()
    try:
        for count in (1, 2, 3):
            lucid.set_num_threads(count)
            found.add(lucid.compile(OF_ROWS[name](200_001, 1))(Tensor(x)).numpy().tobytes())
    finally:
        lucid.set_num_threads(threads)
    assert len(found) == 1


@pytest.mark.parametrize("name", OF_STACKS)
def test_a_stack_of_one_has_other_bits(name: str) -> None:
    for m, d, n in ((6, 40, 33), (3, 9, 130), (4, 700, 6)):
        check(OF_STACKS[name](d, n), draw(m, d, n))


@pytest.mark.parametrize("name", ["x @ w", "x @ w.T", "x @ vector", "linear", "sum"])
def test_a_vector_has_other_bits_than_a_row(name: str) -> None:
    f, x = OF_ROWS[name](150, 70), draw(10, 150)
    if name == "sum":
        f = lambda x: x.sum(axis=-1)  # noqa: E731
    whole = f(Tensor(x)).numpy()
    assert all(f(Tensor(row)).numpy().tobytes() == whole[k].tobytes() for k, row in enumerate(x))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_rows_of_random_shapes(data: st.DataObject) -> None:
    m, d, n = (data.draw(st.integers(low, high)) for low, high in ((3, 40), (2, 200), (1, 70)))
    table = data.draw(st.sampled_from([OF_ROWS, OF_STACKS]))
    f = table[data.draw(st.sampled_from(sorted(table)))](d, n + 1)
    check(f, draw(m, d) if table is OF_ROWS else draw(m, d, n + 1))


def sums(f: Callable[..., Any], *arrays: Array) -> list[tuple[str, int]]:
    """The mode of each kernel that multiplies, and how many axes it sums over."""
    compiled = lucid.compile(f)
    compiled(*arrays)
    stages = made(compiled).stages
    found = zip(stages.program.calls, stages.schedules, strict=True)
    return sorted((p.mode, len(c.kernel.stages[0].axes)) for c, p in found if "dot" in repr(c.kernel))


def gradient_to_weight(view: Function) -> Callable[[Tensor, Tensor], Any]:
    return lambda x, w: lucid.grad(lambda w: ((view(x) @ w.T) ** 2).sum())(w)


# A view of (4, 20, 12); the axes that the weight's gradient sums over, in one kernel.
VIEWS: dict[str, tuple[Function, int]] = {
    "x": (lambda x: x, 1),
    "4-D": (lambda x: x.reshape(4, 2, 10, 12), 1),
    "flattened": (lambda x: x.reshape(80, 12), 1),
    "transposed": (lambda x: x.transpose(1, 0, 2), 2),
    "a part of each": (lambda x: x[:, 1:], 2),
    "every second": (lambda x: x[:, ::2], 1),
    "one of each": (lambda x: x[:, :1], 1),
    "a formula": (lambda x: x * 2 + 1, 1),
}


@pytest.mark.parametrize("name", VIEWS)
def test_the_weight_gradient_over_stacks_is_summed_row_by_row(name: str) -> None:
    view, axes = VIEWS[name]
    x, w = draw(4, 20, 12), draw(30, 12)
    assert sums(gradient_to_weight(view), x, w) == [("product", 1), ("product", axes)]
    got = np.asarray(lucid.compile(gradient_to_weight(view))(x, w))  # type: ignore[call-overload]
    seen = np.asarray(view(Tensor(x)).numpy(), "float64").reshape(-1, 12)
    np.testing.assert_allclose(got, 2 * (seen @ w.T).T @ seen, rtol=2e-4, atol=1e-4)


def test_products_of_stacks_are_summed_row_by_row() -> None:
    x, y, w, one = draw(4, 20, 12), draw(4, 12, 16), draw(12, 16), draw(1, 12)

    def both(f: Callable[..., Tensor]) -> Callable[..., Any]:
        return lambda a, b: lucid.value_and_grad(lambda a, b: (f(a, b) ** 2).sum(), argnums=(0, 1))(a, b)

    product, vector = ("product", 1), ("vector", 1)
    assert sums(lambda a, b: a @ b, x, y) == [product]
    assert sums(both(lambda a, b: a @ b), x, y) == [product] * 3
    assert sums(both(lambda a, b: a @ b), x, w) == [product] * 3
    assert sums(both(lambda a, b: b.T @ a.transpose(0, 2, 1)), x, w) == [product, product, ("product", 2)]
    assert sums(lambda a, b: a @ b, one, w) == [vector]
    assert sums(lambda a, b: a @ b, one[0], w) == [vector]
    assert sums(lambda a, b: b.T @ a.T, one, w) == [vector]
    assert sums(lambda a, b: a[:, :1] @ b, x, y) == [vector]
