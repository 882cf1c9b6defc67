"""Arrays whose elements lie in another order than the row-major one are read as they lie: natively, without a
copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.runtime import call, execute

from .programs import made
from .test_native import served

RNG = np.random.default_rng(0)
ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "row-major": np.ascontiguousarray,
    "column-major": np.asfortranarray,
    "transpose of another": lambda x: np.ascontiguousarray(x.T).T,
    "middle first": lambda x: np.ascontiguousarray(np.moveaxis(x, 1, 0)).swapaxes(0, 1),
    "last before middle": lambda x: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2),
}
PROGRAMS: dict[str, Callable[[Any], Tensor]] = {
    "sum": lambda x: x.sum(),
    "over the first": lambda x: x.sum(axis=0),
    "over the last": lambda x: (x * 2.0).sum(axis=-1),
    "map": lambda x: x * 2.0 + 1.0,
    "standardised": lambda x: (x - x.mean(axis=0)) / (x.std(axis=0) + 1.0),
    "itself": lambda x: x,
    "transposed": lambda x: x.T,
    "product": lambda x: x @ x.swapaxes(-1, -2),
    "gradient": lambda x: lucid.grad(lambda x: (x * x).sum())(x),
}


def _native(f: Any) -> bool:
    return f._native is not None and f._native.latest is not None


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 5), (40, 33), (1, 6), (6, 1)])
def test_arrays_of_any_order_give_what_their_copies_give(
    name: str, order: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = RNG.standard_normal(shape, dtype=np.float32)
    x = ORDERS[order](plain)
    f = lucid.compile(PROGRAMS[name])
    expected = f(plain).numpy()
    monkeypatch.setattr(execute, "_source", None)  # which copies
    for _ in range(4):
        got = f(x).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    picks = made(f).picks  # negative: an input as it is, which Python copies
    assert _native(f) or not call.available() or min(picks, default=-1) < 0
    assert "copied" not in f.explain()
    x[0] += 1.0  # results are no views
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_one_function_takes_both_orders_in_turn() -> None:
    f = lucid.compile(lambda x, w: x @ w)
    w = RNG.standard_normal(4, dtype=np.float32)
    x = RNG.standard_normal((4, 4), dtype=np.float32)  # its shape does not tell
    for _ in range(5):
        for a in (x, np.asfortranarray(x), x.T, x[::-1], x[:, ::-1]):
            np.testing.assert_allclose(f(a, w).numpy(), a @ w, rtol=1e-5, atol=1e-6)
    assert f.traces == 2


def test_gaps_are_copied_and_explain_says_so() -> None:
    f = lucid.compile(lambda x: x.sum(axis=1))
    x = RNG.standard_normal((6, 8), dtype=np.float32)
    f(x)
    assert "copied" not in f.explain()
    np.testing.assert_allclose(f(x[:, ::2]).numpy(), x[:, ::2].sum(axis=1), rtol=1e-5)
    assert "copied at each call, as there are gaps: f32[6, 4] of strides (32, 8)" in f.explain()


def test_gaps_are_copied_before_native_code_and_explain_says_so() -> None:
    f = lucid.compile(lambda x, y, k=1.0: (x * y).sum(axis=1) * k)
    x = RNG.standard_normal((6, 8), dtype=np.float32)
    for _ in range(3):
        f(x[:, :4].copy(), x[:, 4:].copy())
    assert "copied" not in f.explain()

    before = served(f)
    swapped = x[:, :4].astype(">f4")
    odd = np.frombuffer(bytearray(4 * 24 + 1), np.float32, 24, offset=1).reshape(6, 4)
    odd[:] = x[:, :4]
    for a, b in ((x[:, ::2], x[:, 4:]), (x[:, 3::-1], swapped), (odd, x[:, 1:5]), (swapped, swapped)):
        np.testing.assert_allclose(f(a, b).numpy(), (a * b).sum(axis=1), rtol=1e-4)
        np.testing.assert_allclose(f(a, y=b, k=2.0).numpy(), 2 * (a * b).sum(axis=1), rtol=1e-4)
    assert "copied at each call, as there are gaps: f32[6, 4] of strides (32, 8)" in f.explain()
    if call.available():
        assert served(f) == before + 1  # the first of those with keywords
    given = np.zeros((12, 1), np.float32)[::2, 0]
    with pytest.raises(ValueError, match="row-major"):
        f(x[:, :4], x[:, 4:], out=given)


def test_arrays_that_a_function_refers_to() -> None:
    x = np.asfortranarray(RNG.standard_normal((5, 3), dtype=np.float32))
    f = lucid.compile(lambda y: (lucid.asarray(x) * y).sum(axis=0))
    y = np.ones((5, 3), np.float32)
    for k in range(4):
        x[k] = k
        np.testing.assert_allclose(f(y).numpy(), x.sum(axis=0), rtol=1e-5)
    assert f.traces == 1
    assert _native(f) or not call.available()


def test_unused_arguments_and_given_results() -> None:
    f = lucid.compile(lambda x, unused: x * 2.0)
    x = np.asfortranarray(RNG.standard_normal((5, 3), dtype=np.float32))
    out = np.empty((5, 3), np.float32)
    for _ in range(4):
        f(x, x, out=out)
        np.testing.assert_array_equal(out, x * 2)
    assert _native(f) or not call.available()
    with pytest.raises(ValueError, match=r"row-major order, not .* of strides"):
        f(x, x, out=np.empty((5, 3), np.float32, order="F"))


def test_shared_memory_of_a_column_major_array() -> None:
    x = np.asfortranarray(RNG.standard_normal((5, 3), dtype=np.float32))
    t = lucid.from_numpy(x)
    total = t.sum()
    x[0, 0] += 100.0  # seen: it is shared, and nothing has been computed
    assert total.item() == pytest.approx(x.sum(), rel=1e-5)
    np.testing.assert_array_equal(t.numpy(), x)


def test_tables() -> None:
    pd = pytest.importorskip("pandas")
    x = RNG.standard_normal((50, 4))
    table = pd.DataFrame(x)
    f = lucid.compile(lambda x: x.mean(axis=0))
    for _ in range(4):
        np.testing.assert_allclose(f(table.to_numpy()).numpy(), x.mean(axis=0))
    assert _native(f) or not call.available()


@pytest.mark.parametrize("shape, kernels", [((2000, 16), ["mean_std", "div"]), ((100, 10), ["mean_std"])])
def test_long_rows_are_not_written_across_memory(shape: tuple[int, int], kernels: list[str]) -> None:
    x = np.asfortranarray(RNG.standard_normal(shape, dtype=np.float32))
    f = lucid.compile(lambda x: (x - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_allclose(f(x).numpy(), (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-4, atol=1e-5)
    assert [k.name for k in f.kernels] == kernels
