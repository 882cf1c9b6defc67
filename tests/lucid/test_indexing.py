"""x[...] by NumPy's rules, its gradients, and what an index that is out of range does: nothing."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lucid
from lucid import Tensor, nn, optim
from lucid.compiler.interpret.graph import interpret_graph
from lucid.engine import closed
from lucid.pieces import structure
from lucid.runtime import call

Array = np.ndarray[Any, Any]
X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
I = np.array([0, 2, -1, 2])  # noqa: E741
M = X > 30


def interpreted(t: Tensor) -> Array:
    """The value, by NumPy, without a compile."""
    found = structure([t._node])
    return interpret_graph(closed([t._node], found), [n.data for n in found.leaves])[0]


def outcome(f: Callable[[], Any]) -> Any:
    """The value, or the class of the error."""
    try:
        return f()
    except (IndexError, ValueError) as error:
        return type(error)


# --- the rules -----------------------------------------------------------------------------------

KEYS: list[Any] = [
    I,
    (slice(None), I),
    (I, slice(None), I),
    (0, slice(None), I),
    (slice(None), 0, I),
    (slice(None), I, 0),
    M,
    M[:, :, 0],
    (slice(1, 3), M[0]),
    (slice(None), M[0, :, 0], I[:1]),
    True,
    False,
    (I, True),
    (True, slice(None), I),
    ([0, 1], [1, 2]),
    [],
    ([], slice(None), [0]),
    (Ellipsis, I),
    (I, Ellipsis, I),
    (I, I, Ellipsis, I),
    (slice(None), I[:, None], I),
    (I, None, I),
    (None, I),
    ([0], slice(None), 1),
    (I, 0, Ellipsis, I),
    (np.int64(1), I),
    ((0, 1),),
    (np.array(1), slice(None), I),
    (slice(None, None, -2), I, slice(1, 5, 2)),
    (I.astype(np.uint8) % 3,),
    (I.astype(np.int16),),
]


@pytest.mark.table
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_values_of_numpy_s_indices(key: Any) -> None:
    """Eager with known indices, with tensors of indices, and compiled, where all arrays are inputs."""
    want = X[key]
    np.testing.assert_array_equal(Tensor(X)[key].numpy(), want, strict=True)
    parts = list(key) if type(key) is tuple else [key]
    arrays = [k for k in parts if isinstance(k, np.ndarray) and k.dtype != bool]

    def chosen(x: Any, given: Any) -> Any:
        rest = iter(given)
        wanted = [next(rest) if any(k is a for a in arrays) else k for k in parts]
        return x[tuple(wanted)] if type(key) is tuple else x[wanted[0]]

    lazy = [Tensor(a) + 0 for a in arrays]
    np.testing.assert_array_equal(chosen(Tensor(X), lazy).numpy(), want, strict=True)
    f = lucid.compile(chosen)
    for _ in range(3):
        np.testing.assert_array_equal(f(X, arrays).numpy(), want, strict=True)


@st.composite
def keys(draw: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape, and an index of it: mostly one that NumPy takes."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    joint = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    parts: list[Any] = []
    axis, dotted = 0, False
    while axis < len(shape) and draw(st.integers(0, 9)):
        n = shape[axis]
        kind = draw(
            st.sampled_from(["int", "slice", "array", "array", "list", "mask", "new", "dots", "flag"])
        )
        if kind == "int" and n:
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            parts.append(draw(st.slices(n)))
        elif kind in ("array", "list") and n:
            own = tuple(draw(st.sampled_from([k, 1])) for k in joint[draw(st.integers(0, len(joint))) :])
            size = int(np.prod(own, dtype=int))
            values = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size))
            array = np.array(values, dtype=np.int64).reshape(own)
            parts.append(array.tolist() if kind == "list" and own else array)
        elif kind == "mask":
            many = draw(st.integers(1, min(2, len(shape) - axis)))
            size = int(np.prod(shape[axis : axis + many], dtype=int))
            flags = draw(st.lists(st.booleans(), min_size=size, max_size=size))
            parts.append(np.array(flags, dtype=bool).reshape(shape[axis : axis + many]))
            axis += many - 1
        elif kind == "new":
            parts.append(None)
            continue
        elif kind == "flag":
            parts.append(draw(st.booleans()))
            continue
        elif kind == "dots" and not dotted:
            parts.append(Ellipsis)
            dotted = True
            axis += draw(st.integers(0, len(shape) - axis))
            continue
        else:
            continue
        axis += 1
    return shape, tuple(parts)


@pytest.mark.table
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(keys(), st.booleans())
def test_random_indices_choose_what_numpy_chooses(case: Any, lazy: bool) -> None:
    shape, key = case
    x = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    t = Tensor(x, requires_grad=True)
    given = tuple(
        Tensor(k) + 0 if lazy and isinstance(k, np.ndarray) and k.dtype != bool and k.ndim else k for k in key
    )
    want = outcome(lambda: x[key])
    got = outcome(lambda: t[given])
    if isinstance(want, type):
        assert got is want
        return
    if isinstance(got, type):  # NumPy does not look at masks and indices of which none is left
        assert got is IndexError
        assert not want.size
        return
    assert got.shape == want.shape
    np.testing.assert_array_equal(interpreted(got), want, strict=True)
    if not isinstance(want, np.ndarray) or not want.size:
        return
    weight = np.arange(1.0, want.size + 1).reshape(want.shape)
    (got * weight).sum().backward()
    slope = np.zeros(shape)
    np.add.at(slope, key, weight)
    assert t.grad is not None
    np.testing.assert_array_equal(interpreted(t.grad), slope)


@pytest.mark.parametrize("key", [(slice(None), I, slice(1, 4)), (I, slice(None), I), M], ids=repr)
def test_gradients_of_elements(key: Any) -> None:
    """First and second, eager and compiled, against sums at places by NumPy."""
    weight = np.random.default_rng(0).standard_normal(X[key].shape).astype(np.float32)

    def cubed(x: Any) -> Any:
        chosen = x[key]
        return (chosen * chosen * chosen * weight).sum()

    x = X / 30
    first, second = np.zeros_like(x), np.zeros_like(x)
    np.add.at(first, key, 3 * x[key] ** 2 * weight)
    np.add.at(second, key, 6 * x[key] * weight)
    grad = lucid.grad(cubed)
    for f in (grad, lucid.compile(grad)):
        np.testing.assert_allclose(f(x).numpy(), first, rtol=1e-5, atol=1e-5)
    curvature = lucid.grad(lambda x: grad(x).sum())
    for f in (curvature, lucid.compile(curvature)):
        np.testing.assert_allclose(f(x).numpy(), second, rtol=1e-5, atol=1e-5)


def test_a_mask_that_is_not_known_while_tracing_is_refused() -> None:
    f = lucid.compile(lambda x: x[x > 1])
    with pytest.raises(lucid.TraceError, match=r"test_indexing.py:\d+: .*lucid.where"):
        f(X)
    g = lucid.compile(lambda x: x[M])
    for _ in range(3):
        np.testing.assert_array_equal(g(X).numpy(), X[M])
    np.testing.assert_array_equal(Tensor(X)[Tensor(X) > 30].numpy(), X[M])


# --- out of range --------------------------------------------------------------------------------


def line() -> int:
    """The line after the call."""
    return sys._getframe(1).f_lineno + 1


@pytest.mark.parametrize("bad", [3, -4, 2**40, -(2**63)])
def test_an_index_out_of_range_is_an_error(bad: int) -> None:
    """Known values where the operation stands; others from who reads the result, at the line of the index."""
    x = Tensor(X)
    for index in (np.array([0, bad, 7]), [0, bad, 7], Tensor([0, bad, 7])):
        with pytest.raises(IndexError, match=rf"test_indexing.py:\d+: index {bad}, .*axis 0 with size 3"):
            x[index]
    at = line()
    y = x[Tensor([0, bad, 7]) + 0] * 2
    for _ in range(2):
        with pytest.raises(IndexError, match=rf"test_indexing.py:{at}: index {bad}, number \[1\].*size 3"):
            y.numpy()
    at = line()
    f = lucid.compile(lambda x, i: x[i] * 2)
    for _ in range(4):
        with pytest.raises(IndexError, match=rf"test_indexing.py:{at}: index {bad}, number \[1\].*size 3"):
            f(X, np.array([0, bad, 7]))
        np.testing.assert_array_equal(f(X, np.array([0, -1, 2])).numpy(), X[[0, -1, 2]] * 2)
    assert f.traces == 1


def test_a_read_does_not_fail_for_what_is_computed_along() -> None:
    x = Tensor(X) + 1
    good = x * 2
    bad = x[Tensor([5]) + 0]
    np.testing.assert_array_equal(good.numpy(), (X + 1) * 2)
    with pytest.raises(IndexError, match="index 5"):
        bad.numpy()


def test_the_index_of_a_gradient_alone_is_looked_at() -> None:
    """The elements themselves are not computed there."""

    def total(x: Any, i: Any) -> Any:
        return x[i].sum()

    grad = lucid.grad(total)
    both: list[Any] = [lambda x, i: grad(x, i).numpy(), lucid.compile(grad)]
    for f in both:
        with pytest.raises(IndexError, match=r"index 4, .*size 3"):
            f(X, Tensor([0, 4]) + 0)
        f(X, Tensor([0, 2]) + 0)


class Table(nn.Module):
    seen: Any

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(np.arange(12, dtype=np.float32).reshape(4, 3))
        self.register_buffer("seen", np.zeros((), np.float32))
        self.calls = 0


@pytest.mark.parametrize("good", [0, 1, 5])
def test_a_training_step_with_an_index_out_of_range_changes_nothing(good: int) -> None:
    """Parameters, moments, buffers, gradients and counts, whether the call is traced, in Python or native."""
    table = Table()
    opt = optim.Adam(table.parameters(), lr=0.1)

    @lucid.compile
    def step(index: Any, out: Any) -> Any:
        opt.zero_grad()
        loss = (table.rows[index] ** 2).sum()
        loss.backward()
        opt.step()
        table.seen = table.seen + 1
        table.calls += 1
        return loss

    def state() -> list[Any]:
        kept = [table.rows, table.seen, table.rows.grad, *opt.state_dict()["state"].values()]
        parts = [v for k in kept for v in (k.values() if isinstance(k, dict) else [k])]
        return [np.array(p.numpy()) if isinstance(p, Tensor) else p for p in parts] + [table.calls]

    for _ in range(good):
        step(np.array([0, -1]), 1)
    before = state()
    for bad in ([0, 4], [-5, 0]):
        with pytest.raises(IndexError, match=rf"test_indexing.py:\d+: index {bad[0] or bad[1]}, .*size 4"):
            step(np.array(bad), 1)
        for a, b in zip(before, state(), strict=True):
            np.testing.assert_array_equal(a, b)
    step(np.array([0, -1]), 1)
    assert table.calls == good + 1
    assert table.seen.item() == good + 1


def test_what_out_names_is_not_written_where_an_index_is_out_of_range() -> None:
    f = lucid.compile(lambda x, i: x[i] * 2)
    out = np.full((2, 4, 5), 7, np.float32)
    for _ in range(5):
        with pytest.raises(IndexError, match="index 9"):
            f(X, np.array([0, 9]), out=out)
        assert (out == 7).all()
        f(X, np.array([0, 1]), out=out)
        np.testing.assert_array_equal(out, X[:2] * 2)
        out[:] = 7


@pytest.mark.skipif(not call.available(), reason="no native call path here")
def test_calls_with_indices_are_native() -> None:
    """Python serves those that fail, to explain."""
    w = nn.Parameter(np.ones((4, 3), np.float32))

    def step(i: Any) -> Any:
        w.grad = None
        (w[i] * 2).sum().backward()
        with lucid.no_grad():
            w.data = w - w.grad
        return w[i]

    f = lucid.compile(step)
    index = np.array([0, 1, 0])
    for _ in range(3):
        f(index)
    (recording,) = (r for found in f._cache.values() for r in found)
    served = dict(recording.served)
    for _ in range(5):
        f(index)
    assert recording.served == served
    before = w.numpy().copy()
    assert before[:, 0].tolist() == [1 - 8 * 4, 1 - 8 * 2, 1, 1]
    with pytest.raises(IndexError, match="index 4"):
        f(np.array([0, 4, 0]))
    np.testing.assert_array_equal(w.numpy(), before)
    f(index)  # in Python: the traceback of the error holds the old value
    served = dict(recording.served)
    f(index)
    assert recording.served == served
    assert "indices are looked at" in f.explain()


def test_each_of_several_indices_is_told_apart() -> None:
    f = lucid.compile(lambda x, i, j, k: (x[i, j], x[:, :, k] + x[:, j].sum()))
    good = np.array([0, 1])
    f(X, good, good, good)
    for n, size in enumerate((3, 4, 5)):
        given = [good] * 3
        given[n] = np.array([0, 9])
        with pytest.raises(IndexError, match=rf"index 9, .*size {size}"):
            f(X, *given)


def test_a_new_number_of_indices_and_of_rows_compiles_nothing() -> None:
    f = lucid.compile(lambda x, i: x[i] * 2)
    f(np.ones((50, 100), "f"), np.arange(30))
    f(np.ones((51, 100), "f"), np.arange(31))
    kernels = {k.text for k in f.kernels}
    for n in (60, 70, 80):
        f(np.ones((n, 100), "f"), np.arange(n - 20))
        assert {k.text for k in f.kernels} == kernels
        with pytest.raises(IndexError, match=rf"index {n}, .*size {n}"):
            f(np.ones((n, 100), "f"), np.arange(21, n + 1))


def added_everywhere(shape: tuple[int, ...]) -> None:
    """Values and gradients at places along any of the axes, against NumPy's."""
    rng = np.random.default_rng(len(shape))
    for by in itertools.product((False, True), repeat=len(shape)):
        key: Any = tuple(rng.integers(0, n, 3) if b else slice(None) for n, b in zip(shape, by, strict=True))
        x = rng.integers(-4, 5, shape).astype(np.float32)
        v = rng.integers(-4, 5, x[key].shape).astype(np.float32)
        total, most, slope = x.copy(), x.copy(), np.zeros_like(x)
        np.add.at(total, key, v)
        np.maximum.at(most, key, v)
        np.add.at(slope, key, v)
        np.testing.assert_array_equal(Tensor(x).at[key].add(v).numpy(), total)
        np.testing.assert_array_equal(Tensor(x).at[key].max(v).numpy(), most)
        found = lucid.grad(lambda t, key=key, v=v: (t[key] * v).sum())(Tensor(x))
        np.testing.assert_array_equal(found.numpy(), slope)


@pytest.mark.parametrize("shape", [(1,), (4, 1), (1, 4), (4, 1, 2), (2, 1, 1), (1, 2, 1)], ids=str)
def test_what_is_added_at_places_beside_axes_of_extent_1(shape: tuple[int, ...]) -> None:
    """The stride of such an axis ties with that of its neighbour, which may lie across it."""
    added_everywhere(shape)


@pytest.mark.sweep
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_what_is_added_at_places_of_any_small_shape(ndim: int) -> None:
    for shape in itertools.product((1, 2, 3), repeat=ndim):
        added_everywhere(shape)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: lucid.sort(x, axis=1),
        lambda x: lucid.topk(x, 1)[0],
        lambda x: lucid.median(x, axis=1),
        lambda x: lucid.take(x, np.array([0]), axis=1),
        lambda x: lucid.take_along_axis(x, np.zeros((8, 1), np.int64), axis=1),
    ],
    ids=["sort", "topk", "median", "take", "take_along_axis"],
)
def test_gradients_of_what_is_chosen_along_an_axis_of_extent_1(f: Any) -> None:
    x = np.arange(8, dtype=np.float32).reshape(8, 1)
    slope = lucid.grad(lambda x: (f(x).reshape(-1) * np.arange(8, dtype=np.float32)).sum())
    for g in (slope, lucid.compile(slope)):
        np.testing.assert_array_equal(g(Tensor(x)).numpy(), x)


@pytest.mark.parametrize(
    "key", [(slice(None), np.array(0)), (np.array([1]), slice(None)), ([2], [1])], ids=str
)
def test_one_place_in_arrays_is_multiplied(key: Any) -> None:
    x, v = np.arange(6, dtype=np.int32).reshape(3, 2), np.array(3)
    want = x.copy()
    want[key] *= 3
    np.testing.assert_array_equal(Tensor(x).at[key].multiply(v).numpy(), want)
    slope = lucid.grad(lambda t: t.at[key].multiply(3.0).sum())(Tensor(x.astype(np.float32)))
    expected = np.ones((3, 2))
    expected[key] = 3
    np.testing.assert_array_equal(slope.numpy(), expected)


def test_all_that_multiply_one_place_do() -> None:
    found = Tensor([1.0, 2.0]).at[np.array([0, 0, 1])].multiply(Tensor([2.0, 3.0, 0.5]))
    assert found.tolist() == [6, 1]


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_elements_chosen_along_a_padded_axis(columns: int) -> None:
    """A sort of what was rolled: along the rows it is padded, along the columns it is read by places. The
    kernel took the place in the padded array for that in the array."""
    x = np.random.default_rng(0).normal(size=(4, columns))

    def f(t: Any) -> Any:
        return lucid.sort(lucid.roll(t, 1, axis=0), axis=1)

    want = np.sort(np.roll(x, 1, axis=0), axis=1)
    assert np.array_equal(lucid.compile(f)(x).numpy(), want)
    assert np.array_equal(f(lucid.Tensor(x)).numpy(), want)


def test_blocks_side_by_side_walk_the_terms_once() -> None:
    """Where each block would walk all of them, a thread does so once for all of its own; not where it walks
    its own rows."""
    x, places = np.zeros((1000, 64), np.float32), np.arange(2000) % 64

    def walks(axis: int, v: Array) -> int:
        add = lucid.compile(lambda x, i, v: x.index_add(axis, i, v))
        np.testing.assert_array_equal(add(x, places, v).numpy().sum(), v.sum())
        every = [line for line in add.ir("loop").splitlines() if line.endswith("parallel")]
        return sum("step %" in line for line in every)

    assert walks(0, np.ones((2000, 64), np.float32)) == 1
    assert walks(1, np.ones((1000, 2000), np.float32)) == 0
