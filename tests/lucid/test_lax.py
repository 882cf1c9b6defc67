"""Control flow under JAX's names: what Python decides, and `where` and loops in compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, lax

X = np.arange(6.0).reshape(3, 2)


def test_branches() -> None:
    def f(p: Any, x: Any) -> Any:
        return lax.cond(p, lambda x: {"y": x.log()}, lambda x: {"y": -x}, x)["y"]

    compiled = lucid.compile(f)
    for x, p in ((Tensor([1.0, 2.0]), Tensor(True)), (Tensor([0.0, -2.0]), Tensor(False))):
        want = np.log(x.numpy()) if p.item() else -x.numpy()
        assert np.allclose(f(p, x), want) and np.allclose(compiled(p, x), want)
    slope = lucid.compile(lucid.grad(lambda x: f((x > 0).all(), x).sum()))
    assert slope(Tensor([0.0, -2.0])).tolist() == [-1, -1]  # no NaN of the other branch
    mapped = lucid.vmap(lambda x: lax.cond(x > 0, lambda x: x * 2, lambda x: x * 0, x))
    assert mapped(Tensor([1.0, -1.0])).tolist() == [2, 0]
    with pytest.raises(TypeError, match="same structure"):
        lucid.compile(lambda p: lax.cond(p, lambda: 1.0, lambda: [1.0]))(Tensor(True))


@pytest.mark.parametrize("index", [-1, 0, 1, 2, 7])
def test_one_of_several(index: int) -> None:
    def f(k: Any, x: Any) -> Any:
        return lax.switch(k, [lambda x: x + 1, lambda x: x * 10, lambda x: -x], x)

    want = [4, 30, -3][min(max(index, 0), 2)]
    assert f(index, Tensor(3.0)) == want and lucid.compile(f)(Tensor(index), Tensor(3.0)) == want


def test_loops() -> None:
    def scanned(x: Any) -> Any:
        return lax.scan(lambda c, v: (c * 0.5 + v, {"c": c, "v": v * 2}), lucid.zeros(2, dtype="float64"), x)

    for run in (scanned, lucid.compile(scanned)):
        carry, parts = run(Tensor(X))
        assert carry.tolist() == [5, 6.75] and parts["c"].tolist() == [[0, 0], [0, 1], [2, 3.5]]
        assert parts["v"].tolist() == (2 * X).tolist()
    assert lax.scan(lambda c, _: (c + 1, c), 0, length=3)[1].tolist() == [0, 1, 2]
    back = lax.scan(lambda c, v: (v, c), Tensor(0.0), Tensor([1.0, 2.0]), reverse=True)
    assert back[0].item() == 1 and back[1].tolist() == [2, 0]
    assert lucid.compile(lambda x: lax.fori_loop(1, 4, lambda k, v: v * k, x))(Tensor(2.0)).item() == 12
    found = lax.while_loop(lambda v: v[0] < 100, lambda v: (v[0] * 2, v[1] + 1), (Tensor(3.0), 0))
    assert found[0].item() == 192 and found[1] == 6
    with pytest.raises(lucid.TraceError, match="fori_loop"):
        lucid.compile(lambda x: lax.while_loop(lambda v: v < 9, lambda v: v * 2, x))(Tensor(2.0))
    assert lax.map(lambda v: v.sum(), Tensor(X)).tolist() == [1, 5, 9]
    with pytest.raises(ValueError, match="one length"):
        lax.scan(lambda c, v: (c, c), 0.0, [X, X[:2]])


def test_parts_that_begin_at_a_value() -> None:
    x = np.arange(24.0).reshape(4, 6)
    cut = lucid.compile(lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 3)))
    put = lucid.compile(lambda x, y, i, j: lax.dynamic_update_slice(x, y, (i, j)))
    for i, j in ((0, 0), (1, 2), (9, 5), (-1, -5)):
        row, column = (min(max(k + n if k < 0 else k, 0), n - m) for k, n, m in ((i, 4, 2), (j, 6, 3)))
        part = x[row : row + 2, column : column + 3]
        np.testing.assert_array_equal(cut(x, Tensor(i), Tensor(j)), part)
        want = x.copy()
        want[row : row + 2, column : column + 3] *= -1
        np.testing.assert_array_equal(put(x, -part, Tensor(i), Tensor(j)), want)
    slope = lucid.compile(lucid.grad(lambda x, i: (lax.dynamic_slice_in_dim(x, i, 2, 1) ** 2).sum()))
    np.testing.assert_array_equal(slope(x, Tensor(4)), np.where(np.arange(6) > 3, 2 * x, 0))
    np.testing.assert_array_equal(lax.dynamic_index_in_dim(x, 2, 1, keepdims=False), x[:, 2])
    np.testing.assert_array_equal(lax.dynamic_update_index_in_dim(x, x[0], 7, 0)[3], x[0])
    np.testing.assert_array_equal(lax.slice_in_dim(x, 1, 6, 2, axis=1), x[:, 1:6:2])
    np.testing.assert_array_equal(lax.index_in_dim(x, -1), x[-1:])
    with pytest.raises(ValueError, match=r"test_lax.py:\d+: .*7 elements of 6 along axis 1"):
        lax.dynamic_slice(x, (0, 0), (2, 7))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_scans_of_associative_functions(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(3, n))

    def f(a: Any, b: Any) -> Any:  # y -> a y + b, one after the other
        return a[0] * b[0], a[1] * b[0] + b[1]

    scan = lax.associative_scan
    np.testing.assert_allclose(scan(lucid.add, x, axis=1), x.cumsum(1))
    np.testing.assert_allclose(scan(lucid.add, x, reverse=True, axis=1), x[:, ::-1].cumsum(1)[:, ::-1])
    found, state = lucid.compile(lambda x: scan(f, (x, x + 1), axis=1)[1])(x).numpy(), np.zeros(3)
    for k in range(n):
        state = state * x[:, k] + x[:, k] + 1
        np.testing.assert_allclose(found[:, k], state)


def test_other_names_of_jax() -> None:
    values, places = lax.top_k(np.array([[1.0, 5.0, 3.0]]), 2)
    assert values.tolist() == [[5, 3]] and places.tolist() == [[1, 2]]
    assert lax.clamp(0.0, Tensor([-1.0, 0.5, 2.0]), 1.0).tolist() == [0, 0.5, 1]
    assert lax.iota("int32", 3).tolist() == [0, 1, 2] and lax.rev(np.arange(3), (0,)).tolist() == [2, 1, 0]
    np.testing.assert_array_equal(lax.broadcasted_iota("int64", (2, 3), 1), [[0, 1, 2]] * 2)
    assert lax.erf_inv is lucid.erfinv and lax.logistic is lucid.sigmoid


@pytest.mark.parametrize(
    ("made", "what"), [(lambda c, x: c, "a Tensor"), (lambda c, x: (c, x, x), "3 results")]
)
def test_a_scan_whose_function_returns_no_pair_says_so(made: Any, what: str) -> None:
    with pytest.raises(
        TypeError, match=rf"test_lax.py:\d+: scan: expected .* a pair \(carry, y\), not {what}"
    ):
        lucid.lax.scan(made, lucid.zeros(2), lucid.ones(2, 2))
