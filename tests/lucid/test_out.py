"""`out=`: results of compiled functions in the caller's memory."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid.runtime import call

from .test_native import in_python, natively, served, warm


def both(x: lucid.Tensor, y: lucid.Tensor) -> tuple[lucid.Tensor, lucid.Tensor]:
    return (x - y).abs(), (x * y).sum()


def arrays() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(5, 7)).astype(np.float32)


def test_results_go_to_the_given_arrays() -> None:
    f = lucid.compile(both)
    x, y = arrays()
    for _ in range(4):  # by Python, and once native code serves the function
        first, second = np.empty_like(x), np.empty((), np.float32)
        a, b = f(x, y, out=(first, second))
        np.testing.assert_array_equal(first, abs(x - y))
        np.testing.assert_allclose(second, (x * y).sum(), rtol=1e-5)
        assert np.shares_memory(a.numpy(), first)
        assert b.item() == second
        plain, _ = f(x, y)  # type: ignore[call-overload]
        np.testing.assert_array_equal(plain.numpy(), first)
    assert f.traces == 1


def test_none_leaves_a_result_to_lucid() -> None:
    f = lucid.compile(both)
    x, y = arrays()
    first = np.zeros_like(x)
    _, b = f(x, y, out=(first, None))
    np.testing.assert_array_equal(first, abs(x - y))
    np.testing.assert_allclose(b.numpy(), (x * y).sum(), rtol=1e-5)


def test_out_may_be_an_input() -> None:
    f = lucid.compile(lambda x, y: x.T + y)
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    want = x.T + x
    f(x, x, out=x)
    np.testing.assert_array_equal(x, want)


def test_value_and_grad() -> None:
    f = lucid.compile(lucid.value_and_grad(F.huber_loss))
    x, y = arrays()
    loss, grad = np.empty((), np.float32), np.empty_like(x)
    f(x, y, out=(loss, grad))
    np.testing.assert_allclose(grad, np.clip(x - y, -1, 1) / x.size, rtol=1e-6)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((5, 7), np.float64), ValueError, "float64"),
        (np.empty((7, 5), np.float32), ValueError, r"\(7, 5\)"),
        (np.empty((7, 5), np.float32).T, ValueError, r"strides \(4, 20\); for b.T give b"),
        (np.broadcast_to(np.float32(0), (5, 7)), ValueError, "read-only"),
        ([1.0], TypeError, "NumPy arrays"),
        (1.0, TypeError, "NumPy arrays"),
    ],
)
def test_what_does_not_fit_raises_and_names_the_line(out: Any, error: type[Exception], message: str) -> None:
    f = lucid.compile(lambda x: x + 1.0)
    x, _ = arrays()
    with pytest.raises(error, match=f"(?s)test_out.py.*{message}"):
        f(x, out=out)


def test_two_results_written_to_one_memory() -> None:
    """Once the later one was whole, and the first silently wrong."""
    f = lucid.compile(lambda x, y: (x[::-1] + y, {"less": x - y, "sum": x.sum()}))
    memory, n = np.arange(40, dtype=np.float32), np.zeros((), np.float32)
    x, y = memory[:10].copy(), memory[10:20].copy()
    before = memory.copy()

    def pair(a: int, b: int) -> Any:
        return memory[a : a + 10], {"less": memory[b : b + 10], "sum": n}

    for first, second in ((0, 0), (0, 5), (9, 0), (20, 11), (30, 21)):
        for _ in range(3):
            with pytest.raises(ValueError, match=r"test_out\.py:\d+: out= has two arrays that overlap.*None"):
                f(x, y, out=pair(first, second))
            np.testing.assert_array_equal(memory, before)
    with pytest.raises(ValueError, match="overlap"):
        f(x, y, out=(memory[:10], {"less": None, "sum": memory[9:10].reshape(())}))
    for _ in range(3):  # side by side
        f(x, y, out=pair(10, 20))
        np.testing.assert_array_equal(memory[10:20], x[::-1] + y)
        np.testing.assert_array_equal(memory[20:30], x - y)


RESULTS: dict[str, Any] = {
    "of the same shape": lambda x, y: (x + y, x * y),
    "of others": lambda x, y: (x.sum(0), x.mean()),
    "reversed": lambda x, y: (y @ x.T, (x * 2).T),
    "an argument": lambda x, y: (x, x + y),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_and_arguments_anywhere_in_one_memory(name: str) -> None:
    f, rng = RESULTS[name], np.random.default_rng(0)
    g = lucid.compile(f)
    memory = np.empty(60, np.float32)

    def anywhere(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        n = int(np.prod(shape))
        start = rng.integers(0, 60 - n)
        return memory[start : start + n].reshape(shape)

    refused = 0
    for _ in range(60):
        memory[:] = rng.normal(size=60)
        x, y = anywhere((3, 3)), anywhere((3, 3))
        want = [r.numpy().copy() for r in f(lucid.Tensor(x), lucid.Tensor(y))]
        out = tuple(anywhere(w.shape) if k or name != "an argument" else None for k, w in enumerate(want))
        first, second = out
        if first is not None and second is not None and np.shares_memory(first, second):
            before = memory.copy()
            with pytest.raises(ValueError, match="overlap"):
                g(x, y, out=out)
            np.testing.assert_array_equal(memory, before)
            refused += 1
            continue
        for result, array, right in zip(g(x, y, out=out), out, want, strict=True):
            np.testing.assert_allclose(result.numpy(), right, rtol=1e-5, atol=1e-6)
            if array is not None:
                np.testing.assert_array_equal(array, result.numpy())
    assert refused < 40


def test_an_argument_that_is_returned_and_overwritten() -> None:
    """The result is what it was when the call began."""
    f = lucid.compile(lambda x, y: (x + 1, y, lucid.neg(-y)))
    x, y = np.arange(4, dtype=np.float32), np.empty(4, np.float32)
    for _ in range(4):
        y[:] = 7
        _, same, again = f(x, y, out=(y, None, None))
        np.testing.assert_array_equal(y, x + 1)
        np.testing.assert_array_equal(same.numpy(), [7] * 4)
        np.testing.assert_array_equal(again.numpy(), [7] * 4)


def test_the_gradient_of_a_result_over_its_own_argument() -> None:
    w = lucid.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    f = lucid.compile(lambda x: x * w)
    for _ in range(4):
        x, w.grad = np.array([4, 5, 6], np.float32), None
        f(x, out=x).sum().backward()
        np.testing.assert_array_equal(x, [4, 10, 18])
        np.testing.assert_array_equal(w.grad.numpy(), [4, 5, 6])  # type: ignore[attr-defined]


def test_a_function_may_have_an_out_of_its_own() -> None:
    f = lucid.compile(lambda x, out: x + out)
    x, y = arrays()
    np.testing.assert_array_equal(f(x, out=y).numpy(), x + y)


# --- natively ------------------------------------------------------------------------------------

needs_path = pytest.mark.skipif(not call.available(), reason="no native call path here")


@needs_path
@pytest.mark.parametrize("kind", [tuple, list])
def test_native_code_writes_to_the_given_arrays(kind: type) -> None:
    f = lucid.compile(lambda x, y: kind(both(x, y)))
    x, y = arrays()
    out = kind((np.empty_like(x), np.empty((), np.float32)))
    warm(f, x, lucid.Tensor(y), out=out)
    out[0][...], out[1][...] = 0, 0
    first, second = natively(f, x, lucid.Tensor(y), out=out)
    np.testing.assert_array_equal(out[0], abs(x - y))
    np.testing.assert_allclose(out[1], (x * y).sum(), rtol=1e-5)
    assert first._node.data is out[0]
    assert second._node.data is out[1]
    other = kind((np.empty_like(x), np.empty((), np.float32)))
    natively(f, x, lucid.Tensor(y), out=other)
    np.testing.assert_array_equal(other[0], out[0])
    assert f.traces == 1


@needs_path
def test_native_code_writes_to_arrays_in_a_dict() -> None:
    f = lucid.compile(lambda x: {"twice": x * 2, "none": x + 1, "more": x + 2})
    x, _ = arrays()
    for names in ("twice none more", "more twice none"):  # whatever its order
        out: dict[str, Any] = {name: None if name == "none" else np.empty_like(x) for name in names.split()}
        warm(f, x, out=out)
        out["twice"][...], out["more"][...] = 0, 0
        found = natively(f, x, out=out)
        assert found["twice"]._node.data is out["twice"]
        np.testing.assert_array_equal(out["twice"], x * 2)
        np.testing.assert_array_equal(out["more"], x + 2)
        np.testing.assert_array_equal(found["none"].numpy(), x + 1)


@needs_path
def test_native_calls_of_both_forms_stand_side_by_side() -> None:
    f = lucid.compile(lambda x, scale=1.0: x * scale)
    x, _ = arrays()
    out = np.empty_like(x)
    for _ in range(3):
        f(x, out=out, scale=2.0)
        f(x, scale=2.0)
    for _ in range(3):
        natively(f, x, out=out, scale=2.0)
        np.testing.assert_array_equal(out, x * 2)
        result = natively(f, x, scale=2.0)
        assert not np.shares_memory(result.numpy(), out)
        np.testing.assert_array_equal(result.numpy(), x * 2)
    natively(f, x, scale=2.0)
    in_python(f, x, scale=2.0, out=out)  # keywords in another order


@needs_path
def test_none_and_nested_structures_natively() -> None:
    f = lucid.compile(lambda x: (x + 1, [x * 2, (x - 1, 3.0)], None))
    x, _ = arrays()
    out: Any = (None, [np.empty_like(x), (np.empty_like(x), None)], None)
    warm(f, x, out=out)
    a, (b, (c, number)), none = natively(f, x, out=out)
    assert (number, none) == (3.0, None)
    for result, want in ((a, x + 1), (b, x * 2), (c, x - 1)):
        np.testing.assert_array_equal(result.numpy(), want)
    assert b._node.data is out[1][0]
    assert c._node.data is out[1][1][0]
    natively(f, x, out=out)
    for other in (
        (np.empty_like(x), [out[1][0], out[1][1]], None),
        (None, [None, out[1][1]], None),
    ):
        again = in_python(f, x, out=other)
        np.testing.assert_array_equal(again[0].numpy(), x + 1)
        np.testing.assert_array_equal(again[1][0].numpy(), x * 2)
    for wrong in (
        (None, (out[1][0], out[1][1]), None),
        (None, [out[1][0]], None),
        (None, [out[1][0], (out[1][1][0], out[1][0])], None),
        [None, out[1], None],
        None,
    ):
        before = served(f), f.traces
        if wrong is None:
            f(x, out=wrong)
            continue
        with pytest.raises(ValueError, match="out="):
            f(x, out=wrong)
        assert (served(f), f.traces) == before


@needs_path
def test_a_dict_is_matched_by_its_keys() -> None:
    f = lucid.compile(lambda x: {"twice": x * 2, "more": x + 1})
    x, _ = arrays()
    twice, more = np.empty_like(x), np.empty_like(x)
    for _ in range(4):
        twice[...] = more[...] = 0
        f(x, out={"more": more, "twice": twice})
        np.testing.assert_array_equal(twice, x * 2)
        np.testing.assert_array_equal(more, x + 1)
    with pytest.raises(ValueError, match="no 'more', as the result has"):
        f(x, out={"less": more, "twice": twice})


class Sub(np.ndarray[Any, Any]):
    pass


@needs_path
def test_what_does_not_fit_is_not_written_by_native_code() -> None:
    f = lucid.compile(lambda x: x + 1.0)
    x, _ = arrays()
    good = np.empty_like(x)
    warm(f, x, out=good)
    natively(f, x, out=good)
    frozen = np.zeros_like(x)
    frozen.flags.writeable = False
    backing = np.zeros(x.nbytes + 1, np.uint8)
    cases: list[tuple[Any, type[Exception]]] = [
        (np.zeros((5, 7), np.float64), ValueError),
        (np.zeros((5, 7), np.int32), ValueError),
        (np.zeros((5, 7), ">f4"), ValueError),
        (np.zeros((7, 5), np.float32), ValueError),
        (np.zeros((5, 8), np.float32), ValueError),
        (np.zeros((5, 6), np.float32), ValueError),
        (np.zeros(35, np.float32), ValueError),
        (np.zeros((1, 5, 7), np.float32), ValueError),
        (np.zeros((5, 14), np.float32)[:, ::2], ValueError),
        (np.zeros((7, 5), np.float32).T, ValueError),
        (frozen, ValueError),
        (lucid.Tensor(x), TypeError),
        ((good,), TypeError),
        (3, TypeError),
    ]
    for wrong, error in cases:
        content = np.array(wrong) if isinstance(wrong, np.ndarray) else None
        with pytest.raises(error, match="out="):
            f(x, out=wrong)
        if content is not None:
            np.testing.assert_array_equal(wrong, content)
    # What Python takes, with care.
    for odd in (np.zeros_like(x).view(Sub), backing[1:].view(np.float32).reshape(5, 7)):
        in_python(f, x, out=odd)
        np.testing.assert_array_equal(odd, x + 1)
    natively(f, x, out=good)


@needs_path
def test_outputs_that_overlap_inputs_go_through_python() -> None:
    f = lucid.compile(lambda x, y: (x[::-1] + y, x - y))
    memory = np.arange(60, dtype=np.float32)

    def part(start: int) -> np.ndarray[Any, Any]:
        return memory[start : start + 10]

    x, y = part(0), part(10)
    warm(f, x, y, out=(part(20), part(30)))
    natively(f, x, y, out=(part(30), part(20)))
    natively(f, x, y, out=(part(20), part(30)))  # side by side
    for first, second in ((0, 20), (20, 10), (5, 20), (15, 30), (11, 21), (19, 40), (1, 11)):
        memory[:] = np.arange(60)
        want = x[::-1] + y, x - y
        in_python(f, x, y, out=(part(first), part(second)))
        np.testing.assert_array_equal(part(first), want[0])
        np.testing.assert_array_equal(part(second), want[1])
    in_python(f, x, x, out=(x, None))


@needs_path
def test_references_are_exact_and_memory_stays() -> None:
    f = lucid.compile(both)
    x, y = arrays()
    out = (np.empty_like(x), np.empty((), np.float32))
    warm(f, x, y, out=out)
    bad = (np.empty_like(x), np.empty(1, np.float32))
    things = [x, y, *out, *bad, out, bad, None, lucid.Tensor, type(lucid.Tensor(x)._node)]
    gc.collect()
    counts = [sys.getrefcount(t) for t in things]
    for _ in range(1000):
        natively(f, x, y, out=out)
        with pytest.raises(ValueError, match="out="):
            f(x, y, out=bad)
    gc.collect()
    after = [sys.getrefcount(t) for t in things]
    assert all(abs(a - b) < 20 for a, b in zip(counts, after, strict=True)), (counts, after)
    result = natively(f, x, y, out=out)
    assert sys.getrefcount(out[0]) == counts[2] + 1
    del result
    assert sys.getrefcount(out[0]) == counts[2]
    tracemalloc.start()
    try:
        for n in (1000, 50_000):
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(n):
                f(x, y, out=out)
            grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000


@needs_path
def test_large_outputs_from_threads() -> None:
    f = lucid.compile(lambda x: (x * 2, x + 1))
    x = np.arange(200_000, dtype=np.float32)
    warm(f, x, out=(np.empty_like(x), None))
    wrong: list[object] = []

    def work(k: int) -> None:
        mine, out = x + k, np.empty_like(x)
        try:
            for _ in range(20):
                _, more = f(mine, out=(out, None))
                if not (np.array_equal(out, mine * 2) and np.array_equal(more.numpy(), mine + 1)):
                    wrong.append(k)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    natively(f, x, out=(np.empty_like(x), None))


@pytest.mark.parametrize("columns", [3, 9, 17, 33])
@pytest.mark.parametrize("kind", ["int8", "int16", "uint8", "uint16", "uint32", "int32", "bool", "float16"])
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_a_narrowing_result_ends_where_its_array_ends(source: str, kind: str, columns: int) -> None:
    x = np.arange(40 * columns, dtype=source).reshape(40, columns) % 50
    b = np.arange(columns, dtype=source)
    f = lucid.compile(lambda x, b: (x + b).astype(kind))
    for _ in range(3):  # traced, by Python, natively
        block = np.ones(42 * columns, kind)
        out = block[columns:-columns].reshape(40, columns)
        f(x, b, out=out)
        np.testing.assert_array_equal(out, (x + b).astype(kind))
        assert (block[:columns] == 1).all() and (block[-columns:] == 1).all()
