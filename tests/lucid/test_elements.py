"""Functions and methods that take indices, against NumPy and PyTorch: values, first and second derivatives,
eager and compiled; x.at[...] and x[...] = v; what depends on values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)
X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
I = np.array([0, 2, -1, 2])  # noqa: E741
M = X > 30
A = RNG.standard_normal((4, 5)).astype(np.float32)
J = RNG.integers(0, 4, (3, 5))
S = RNG.standard_normal((3, 5)).astype(np.float32)
K = np.array([3, 0, 3])

# --- x.at[...] -----------------------------------------------------------------------------------


def changed(x: Array, key: Any, v: Any, how: str) -> Array:
    y = x.copy()
    if how == "set":
        y[key] = v
    else:
        {"add": np.add, "max": np.maximum, "min": np.minimum}[how].at(y, key, v)
    return y


KEYS: list[Any] = [
    I,
    (slice(None), I),
    (I, slice(None), I),
    (0, slice(None), I),
    (slice(1, 3), I, slice(None, None, -2)),
    2,
    (slice(None), 1, slice(1, 4)),
    Ellipsis,
    M,
    M[:, :, 0],
    (Ellipsis, None, I),
    (I, True),
    [],
    slice(3, 3),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_functional_updates_are_numpy_s_assignments(key: Any) -> None:
    """Of several values for one element the last wins; sums and extremes take all."""
    v = (RNG.standard_normal(X[key].shape) * 40).astype(np.float32)
    parts = list(key) if type(key) is tuple else [key]
    arrays = [k for k in parts if isinstance(k, np.ndarray) and k.dtype != bool]

    def update(x: Any, v: Any, given: Any, how: str) -> Any:
        rest = iter(given)
        wanted = [next(rest) if any(k is a for a in arrays) else k for k in parts]
        return getattr(x.at[tuple(wanted) if type(key) is tuple else wanted[0]], how)(v)

    for how in ("set", "add", "max", "min"):
        want = changed(X, key, v, how)
        for f in (update, lucid.compile(update)):
            got = f(Tensor(X), v, arrays, how).numpy()
            np.testing.assert_allclose(got, want, rtol=1e-5 if how == "add" else 0)
        np.testing.assert_array_equal(
            getattr(Tensor(X).at[key], how)(7.5).numpy(), changed(X, key, np.float32(7.5), how)
        )
    np.testing.assert_array_equal(Tensor(X).at[key].get().numpy(), X[key])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float64"])
def test_updates_keep_the_dtype(dtype: str) -> None:
    x = np.arange(5).astype(dtype)
    v = np.array([1, 0, 1]).astype(dtype)
    for how in ("set", "add", "max", "min"):
        got = getattr(Tensor(x).at[K], how)(v).numpy()
        np.testing.assert_array_equal(got, changed(x, K, v, how), strict=True)
    np.testing.assert_array_equal(Tensor(x).at[1].set(True).numpy(), changed(x, 1, True, "set"))


def test_a_mask_that_is_not_known_takes_one_value_for_all() -> None:
    f = lucid.compile(lambda x: x.at[x > 30].set(0).at[x < 3].add(x[0, 0, 1]).at[x[:, :, 0] > 50].max(99))
    want = np.where(X < 3, X + 1, np.where(X > 30, 0, X))
    want[X[:, :, 0] > 50] = 99
    for _ in range(3):
        np.testing.assert_array_equal(f(X).numpy(), want)
    rows = Tensor(X).at[np.array([True, False, True])].set(np.arange(5.0))
    np.testing.assert_array_equal(rows.numpy(), changed(X, [0, 2], np.arange(5.0), "set"))
    with pytest.raises(lucid.TraceError, match=r"lucid.where"):
        lucid.compile(lambda x: x.at[x > 30].set(np.ones(29)))(X)


def test_what_does_not_fit_is_refused() -> None:
    x = Tensor(X)
    with pytest.raises(ValueError, match=r"test_elements.py:\d+: .*\(3, 4\).*does not broadcast"):
        x.at[0].set(np.ones((3, 4), "f"))
    with pytest.raises(IndexError, match=r"test_elements.py:\d+: index 3.*size 3"):
        x.at[[0, 3]].add(1)
    with pytest.raises(IndexError, match=r"test_elements.py:\d+: index 3.*size 3"):
        x.at[Tensor([0, 3]) + 0].set(1).numpy()
    with pytest.raises(TypeError, match=r"test_elements.py:\d+: "):
        x.at[0].set(None)
    np.testing.assert_array_equal(x.at[[0, 0]].multiply(2).numpy()[0], X[0] * 4)
    np.testing.assert_array_equal(x.at[0].multiply(2).numpy()[0], X[0] * 2)


# --- in place ------------------------------------------------------------------------------------


def test_assignment_changes_the_tensor_for_all_who_hold_it() -> None:
    x = Tensor(X)
    other, row, want = x, x[0], X.copy()
    for key, v in ((2, 7.0), ((slice(None), I), X[:, I] * 2), (M, 1), (X < 5, -1), ((..., -1), [1, 2, 3, 4])):
        x[key] = v
        want[key] = v
        np.testing.assert_array_equal(other.numpy(), want)
    x[1] += 5
    want[1] += 5
    np.testing.assert_array_equal(other.numpy(), want)
    np.testing.assert_array_equal(row.numpy(), X[0])  # no memory is shared


def test_gradients_flow_through_an_assignment() -> None:
    x, v = Tensor(A, requires_grad=True), Tensor(S[0], requires_grad=True)
    y = x * 2
    y[1] = v * 3
    (y * y).sum().backward()
    want = 8 * A
    want[1] = 0
    assert x.grad is not None
    assert v.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(v.grad.numpy(), 18 * S[0], rtol=1e-6)
    with pytest.raises(RuntimeError, match="no_grad"):
        x[0] = 1
    with lucid.no_grad():
        x[0] = 1
    np.testing.assert_array_equal(x.numpy()[0], 1)


def test_a_compiled_step_assigns_elements_of_its_state() -> None:
    table = Tensor(np.zeros((4, 2), np.float32))

    @lucid.compile
    def step(i: Any, v: Any) -> None:
        table[i] = v
        table[0] += 1

    for k in range(5):
        step(np.array([1, 2, 1]), np.full((3, 2), k, np.float32) + np.arange(3, dtype=np.float32)[:, None])
    assert table.numpy()[:, 0].tolist() == [5, 6, 5, 0]
    before = np.array(table.numpy())
    with pytest.raises(IndexError, match="index 4"):
        step(np.array([1, 4, 1]), np.full((3, 2), 9, np.float32))
    np.testing.assert_array_equal(table.numpy(), before)


# --- against PyTorch -----------------------------------------------------------------------------

Case = tuple[Callable[..., Any], Callable[..., Any]]  # ours and theirs, of (x, s)


NAMES = [
    "gather", "gather, last axis", "scatter", "scatter a number", "scatter_add", "scatter_add, part",
    "scatter amax", "scatter amin", "index_add", "index_select", "index_copy", "index_fill", "take",
    "take_along", "masked_fill", "masked_select", "x[i]", "x[i, j]",
]  # fmt: skip


def torch_cases() -> dict[str, Case]:
    torch = pytest.importorskip("torch", reason="PyTorch is no dependency")
    j, k = torch.tensor(J), torch.tensor(K)
    m = torch.tensor(A > 0)

    def both(f: Callable[[Any, Any, Any, Any], Any]) -> Case:
        return lambda x, s: f(x, s, J, K), lambda x, s: f(x, s, j, k)

    return {
        "gather": both(lambda x, s, j, k: x.gather(0, j)),
        "gather, last axis": both(lambda x, s, j, k: x.gather(-1, j[:, :2])),
        "scatter": both(lambda x, s, j, k: x.scatter(0, j[:1], s[:1])),
        "scatter a number": both(lambda x, s, j, k: x.scatter(0, j, 2.0)),
        "scatter_add": both(lambda x, s, j, k: x.scatter_add(0, j, s)),
        "scatter_add, part": both(lambda x, s, j, k: x.scatter_add(1, j[:2, :3], s[:2, :3])),
        "scatter amax": both(lambda x, s, j, k: x.scatter_reduce(0, j, s, "amax")),
        "scatter amin": both(lambda x, s, j, k: x.scatter_reduce(0, j, s, "amin")),
        "index_add": both(lambda x, s, j, k: x.index_add(0, k, s, alpha=2)),
        "index_select": both(lambda x, s, j, k: x.index_select(0, k)),
        "index_copy": both(lambda x, s, j, k: x.index_copy(0, k[:2], s[:2])),
        "index_fill": both(lambda x, s, j, k: x.index_fill(1, k, 3.0)),
        "take": both(lambda x, s, j, k: x.take(k)),
        "take_along": (lambda x, s: x.take_along_axis(J, 0), lambda x, s: torch.take_along_dim(x, j, 0)),
        "masked_fill": (lambda x, s: x.masked_fill(A > 0, 2.0), lambda x, s: x.masked_fill(m, 2.0)),
        "masked_select": (lambda x, s: x.masked_select(A > 0), lambda x, s: x.masked_select(m)),
        "x[i]": both(lambda x, s, j, k: x[k, 1:]),
        "x[i, j]": both(lambda x, s, j, k: x[k, j[0, :3]]),
    }


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_s_functions(name: str) -> None:
    """Values, first and second derivatives by both operands, eager and compiled."""
    torch = pytest.importorskip("torch", reason="PyTorch is no dependency")
    cases = torch_cases()
    assert list(cases) == NAMES
    ours, theirs = cases[name]
    x, s = torch.tensor(A, requires_grad=True), torch.tensor(S, requires_grad=True)
    value = theirs(x * x, s * s)
    weight = torch.tensor(RNG.standard_normal(tuple(value.shape)).astype(np.float32))
    first = torch.autograd.grad((value * weight).sum(), (x, s), create_graph=True, allow_unused=True)
    total = sum((g * g).sum() for g in first if g is not None)
    second = torch.autograd.grad(total, (x, s), allow_unused=True)

    def loss(x: Any, s: Any) -> Any:
        return (ours(x * x, s * s) * weight.numpy()).sum()

    both = lucid.grad(loss, (0, 1))

    def squared(x: Any, s: Any) -> Any:
        a, b = both(x, s)
        return (a * a).sum() + (b * b).sum()

    def all_of(x: Any, s: Any) -> Any:
        x, s = lucid.asarray(x), lucid.asarray(s)
        return ours(x * x, s * s), both(x, s), lucid.grad(squared, (0, 1))(x, s)

    wanted = [value, *first, *second]
    for f in (all_of, lucid.compile(all_of)):
        got, one, two = f(A, S)
        for a, b in zip([got, *one, *two], wanted, strict=True):
            expected = np.zeros(a.shape) if b is None else b.detach().numpy()
            np.testing.assert_allclose(a.numpy(), expected, rtol=1e-4, atol=1e-5)


# --- against NumPy -------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [2, [0, 1], J % 3, [[]]], ids=str)
def test_take(axis: Any, indices: Any) -> None:
    given = np.array(indices, dtype=np.int64)
    np.testing.assert_array_equal(lucid.take(A, indices, axis).numpy(), np.take(A, given, axis), strict=True)
    for mode, far in (("wrap", given * 7 - 9), ("clip", given * 7 - 9)):
        want = np.take(A, far, axis, mode=mode)  # type: ignore[call-overload]
        np.testing.assert_array_equal(lucid.take(A, far, axis, mode).numpy(), want)
        np.testing.assert_array_equal(np.take(Tensor(A), far, axis, mode=mode).numpy(), want)  # type: ignore[call-overload]


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_along_an_axis(axis: Any) -> None:
    order = np.argsort(A, axis)
    np.testing.assert_array_equal(lucid.take_along_axis(A, order, axis).numpy(), np.sort(A, axis))
    few = order[:1] if axis is None else np.take(order, [0], 1 - axis)  # broadcast along the other
    np.testing.assert_array_equal(
        lucid.take_along_axis(A, few, axis).numpy(), np.take_along_axis(A, few, axis), strict=True
    )
    mine, theirs = Tensor(A), A.copy()
    values = np.float32(9)
    lucid.put_along_axis(mine, few, values, axis)
    np.put_along_axis(theirs, few, values, axis)
    np.testing.assert_array_equal(mine.numpy(), theirs)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "float64"])
def test_searchsorted(side: Any, dtype: str) -> None:
    f = lucid.compile(lambda a, v: lucid.searchsorted(a, v, side))
    for n in (0, 1, 2, 7, 8, 33):
        a = np.sort(RNG.integers(0, 20, n)).astype(dtype)
        v = RNG.integers(-2, 24, (4, 5)).astype(dtype)
        if dtype != "int64":
            a[-2:] = np.nan
            v[0, :3] = np.nan, np.inf, -np.inf
        want = np.searchsorted(a, v, side)
        np.testing.assert_array_equal(lucid.searchsorted(a, v, side).numpy(), want, strict=True)
        np.testing.assert_array_equal(f(a, v).numpy(), want)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", "uint64", "int8"])
def test_counts_of_every_kind_of_whole_numbers(dtype: str) -> None:
    for values in ([1, 0, 1], [0], []):
        x = np.array(values, dtype)
        np.testing.assert_array_equal(lucid.bincount(x).numpy(), np.bincount(x.astype("i8")))
        if dtype != "bool":
            assert lucid.nn.functional.one_hot(x).shape == (len(values), max(values, default=-1) + 1)
    with pytest.raises(ValueError, match=r"minlength must not be negative, got -1"):
        lucid.bincount([1], minlength=-1)


def test_bincount() -> None:
    w = RNG.standard_normal(4)
    for x in (I % 3, np.array([], dtype=np.int64), I % 3 == 1):
        np.testing.assert_array_equal(lucid.bincount(x, minlength=2).numpy(), np.bincount(x, minlength=2))
    np.testing.assert_array_equal(lucid.bincount(I % 3, w).numpy(), np.bincount(I % 3, w))
    with pytest.raises(ValueError, match="negative"):
        lucid.bincount(I)
    f = lucid.compile(lambda x, w: lucid.bincount(x, w, minlength=4))
    for _ in range(3):
        np.testing.assert_array_equal(f(I % 3, w).numpy(), np.bincount(I % 3, w, 4))
    for bad in (4, -1):
        with pytest.raises(IndexError, match="size 4"):
            f(np.array([0, bad, 1, 2]), w)
    with pytest.raises(lucid.TraceError, match="minlength"):
        lucid.compile(lambda x: lucid.bincount(x))(I % 3)
    grad = lucid.grad(lambda w: (lucid.bincount(I % 3, w) * np.array([1.0, 2, 3])).sum())(w)
    np.testing.assert_array_equal(grad.numpy(), np.array([1.0, 2, 3])[I % 3])


def test_what_depends_on_values() -> None:
    for ours, theirs in zip(lucid.nonzero(M), np.nonzero(M), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs, strict=True)
    np.testing.assert_array_equal(lucid.argwhere(M).numpy(), np.argwhere(M))
    np.testing.assert_array_equal(lucid.flatnonzero(Tensor(M)).numpy(), np.flatnonzero(M))
    for ours, theirs in zip(lucid.unique(J, True, True, True), np.unique(J, True, True, True), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs, strict=True)
    assert isinstance(np.unique(Tensor(J)), Tensor)
    for f in (lucid.nonzero, lucid.argwhere, lucid.flatnonzero, lucid.unique):
        with pytest.raises(lucid.TraceError, match=r"test_elements.py:\d+: .*a trace does not know"):
            lucid.compile(lambda x, f=f: f(x))(X)


def test_indices_out_of_range_of_functions() -> None:
    """Known, and not."""
    calls: list[Callable[[Any], Any]] = [
        lambda i: lucid.take(A, i, 1),
        lambda i: lucid.take_along_axis(A, i[None], 1),
        lambda i: lucid.gather(A, 1, i[None]),
        lambda i: lucid.scatter(A, 1, i[None], 1.0),
        lambda i: lucid.scatter_add(A, 1, i[None], np.ones((1, 3), "f")),
        lambda i: lucid.index_add(A, 1, i, np.ones((4, 3), "f")),
        lambda i: lucid.index_select(A, 1, i),
    ]
    for f in calls:
        for bad in (5, -6):
            index = np.array([0, bad, 1])
            with pytest.raises(IndexError, match=rf"test_elements.py:\d+: index {bad}, .*size 5"):
                f(index)
            with pytest.raises(IndexError, match=rf"test_elements.py:\d+: index {bad}, .*size 5"):
                f(Tensor(index) + 0).numpy()
            with pytest.raises(IndexError, match=rf"test_elements.py:\d+: index {bad}, .*size 5"):
                lucid.compile(f)(index)


def test_slices_of_a_number_are_those_of_a_vector_of_one() -> None:
    """As PyTorch's methods have it; an index may be a number, too."""
    x = lucid.tensor(2.0)
    found = [
        x.index_select(0, [0]), x.index_add(0, 0, 3.0), x.index_copy(0, [0], 3.0),
        x.index_fill(-1, [0], 7.0), x.index_reduce(0, [0], 4.0, "prod"), lucid.index_add(x, 0, [0], 1.0),
    ]  # fmt: skip
    assert [(r.shape, r.item()) for r in found] == [((), n) for n in (2.0, 5.0, 3.0, 7.0, 8.0, 3.0)]
    assert lucid.grad(lambda x: x.index_add(0, [0], x * x))(3.0).item() == 7.0
    with pytest.raises(IndexError, match="axis 1"):
        x.index_select(1, [0])
    rows = lucid.arange(3.0)
    assert rows.index_fill(0, 1, 5.0).tolist() == [0.0, 5.0, 2.0]
