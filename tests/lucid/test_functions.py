"""Functions under NumPy's names, by NumPy: values, dtypes, shapes, errors; compiled, too; and gradients."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, testing
from lucid.later import LATER

# Once is enough: that calls of all kinds give the same is tested elsewhere.
pytestmark = pytest.mark.table

RNG = np.random.default_rng(0)
A, V, W = RNG.normal(size=(3, 4)), RNG.normal(size=5), RNG.normal(size=3)
I = np.array([12, 18, -7, 0, 30])  # noqa: E741
S = np.array([0.0, -0.0, 1.5, -2.75, np.inf, -np.inf, np.nan, 1e-310, 5e-324, 1e308])
with np.errstate(all="ignore"):
    S4 = S.astype("f4")
N = A.copy()
N[0, 1] = np.nan
P = np.cumsum(RNG.normal(size=20) * 4)
XP = np.sort(V)
Case = tuple[tuple[Any, ...], dict[str, Any]]


def case(*args: Any, **kwargs: Any) -> Case:
    return args, kwargs


_PLACES = [0, 1, -1, 4, [1], [0, 2], [2, 0, 2], slice(0, 3, 2), []]
_VALUES = [9.5, [1.0], [1.0, 2.0], W, A[0], A, A[:1], A[:, :1], np.ones((4, 1)), np.ones((2, 4))]
_PAIRS = [(V, W), (W, V), (I, I[:2]), (I, I[:4]), (I[:4], I), (V, V), (V * 1j, W + 1j), (W, V * 1j), (V, [])]
CASES: dict[str, list[Case]] = {
    **{
        name: [case(I, 6), case(I.astype("i1"), np.int16(4)), case(I[:, None], I[:3]), case(I, 1.5)]
        for name in ("gcd", "lcm")
    },
    "bitwise_count": [
        case(I), case(np.array([-128, 127, -1], "i1")), case(np.array([2**64 - 1, 7], "u8")),
        case(np.array([-(2**63)])), case(V),
    ],
    "divmod": [case(V, 0.3), case(7.0, V)],
    "fabs": [case(I), case(A)],
    "frexp": [case(S), case(S4)],
    "ldexp": [
        case(S, np.arange(10) - 3), case(S4, -140), case(S, 1074),
        case(S, -1000),
    ],
    **{name: [case(S), case(I)] for name in ("modf", "isneginf", "isposinf")},
    "append": [case(A, [1, 2]), case(A, A[:1], axis=0), case(A, W), case(A, W, axis=0)],
    "insert": [case(A, k, v, axis=axis) for k in _PLACES for v in _VALUES for axis in (None, 0, 1)],
    "delete": [case(A, k, axis=axis) for k in _PLACES for axis in (None, 0, 1)]
    + [case(V, [True, False, True, False, False]), case(V, 7)],
    "block": [
        case([[A, A], [A, A]]), case([V, V]), case([[1, 2], [3, 4]]), case([[A], [[1, 2, 3, 4]]]), case(3),
        case([[1], 2]), case([]), case((1, 2)),
    ],
    "resize": [case(A, (2, 3)), case(A, 30), case(np.zeros(0), 3), case(A, -1)],
    "rollaxis": [case(A[None], *k) for k in ((2, 0), (0, 3), (1, -1), (1, 2), (1, 4))],
    "trim_zeros": [case(np.array([0, 0, 1, 0, 2, 0])), case(np.array([0, 1, 0]), "f"), case(np.zeros(3))],
    "ix_": [case([0, 2], [1, 3]), case([True, False, True], [1]), case(A)],
    "select": [case([A > 0, A > -1], [A, A * 2], 7.0), case([A > 0], [A]), case([], []), case([A], [A])],
    "choose": [case([0, 1, 1], [W, W * 2]), case([0, 5, -1], [W, W * 2])]
    + [case([0, 5, -1], [W, W * 2], mode=mode) for mode in ("wrap", "clip", "other")],
    "piecewise": [
        case(V, [V < 0, V > 0.5], [-1, lambda x: x * 2]), case(V, V < 0, [3.0]), case(I, [I < 0], [2.7]),
        case(V, [V < 0, V > 0.5], [-1, lambda x: x * 2, lambda x: x + 1]), case(V, [V < 0], []),
    ],
    "compress": [case([True, False, True], A, axis=0), case([True, False, True], A)],
    "extract": [case(A > 0, A)],
    "indices": [case((2, 3)), case((2, 3), sparse=True), case(())],
    "fromfunction": [case(lambda i, j: i * 2 + j, (2, 3))],
    "diag_indices": [case(3)],
    "diag_indices_from": [case(np.ones((2, 2, 2))), case(A)],
    "tril_indices_from": [case(A, 1), case(V)],
    "triu_indices_from": [case(A), case(A, -1)],
    "unravel_index": [case([0, 5, 11], (3, 4)), case([0, 12], (3, 4)), case(7, (3, 4)), case(-1, (3, 4))],
    "ravel_multi_index": [case(([0, 2], [1, 3]), (3, 4)), case(([0, 3], [1, 3]), (3, 4))]
    + [case(([0, 3], [1, -3]), (3, 4), mode=mode) for mode in ("wrap", "clip", ("clip", "wrap"))],
    "lexsort": [
        case((np.array([1, 2, 1, 0, 2]), np.array([0, 0, 1, 1, 0]))), case(np.array([[3, 1, 2], [1, 1, 0]])),
    ],
    "nanargmax": [case(N), case(N, axis=1), case(np.full(3, np.nan)), case(I)],
    "nanargmin": [case(N, axis=0, keepdims=True)],
    "nancumsum": [case(N), case(N, 1)],
    "nancumprod": [case(N, 0)],
    "convolve": [case(x, y, mode) for x, y in _PAIRS for mode in ("full", "same", "valid", "no")],
    "correlate": [case(x, y, mode) for x, y in _PAIRS for mode in ("full", "same", "valid", "no")],
    "interp": [
        case(np.linspace(-3, 3, 13), XP, V * 2, **more)
        for more in ({}, {"left": -9, "right": 9.0}, {"period": 2.5}, {"period": 0})
    ]
    + [case(0.3, XP, V), case([1, 2], [1.0], [3.0]), case([1, np.nan], [0, 4], [3, 5]), case(XP, XP, V)]
    + [case(1, V, W)],
    "unwrap": [
        case(P), case(P.reshape(4, 5), axis=0), case(P, discont=4.0), case(P, period=3.0),
        case(np.array([0, 3, 2, 7, 1]), period=4),
    ],
    **{name: [case(n) for n in (0, 1, 2, 7)] for name in ("bartlett", "blackman", "hamming", "hanning")},
    "kaiser": [case(5, 14.0)],
    "polyval": [case(W, V), case([1, 2], 3), case(W, A)],
    "vander": [case(V), case(I, 3), case(V, 3, increasing=True), case(V, 0), case(A)],
    "polyadd": [case(W, V)],
    "polysub": [case(V, W)],
    "polymul": [case(W, V)],
    "polyder": [case(V), case(V, 2), case(I, 7), case(V, -1)],
    "polyint": [case(V), case(I, 2, [1, 2]), case(V, 3, [1, 2])],
    "polyfit": [
        case(V, V**2 + 1, 2), case(np.arange(6), np.ones((6, 2)), 1),
        case(V, V**2 + 1, 1, w=np.arange(1.0, 6)),
        case(V, W, 1),
    ],
    "array_equal": [case(A, A), case(N, N), case(N, N, equal_nan=True), case(A, V)],
    "array_equiv": [case(A, A[:1]), case(A, A[:1] * np.ones((3, 1))), case(A, V)],
    "size": [case(A), case(A, 1), case(A, (0, 1))],
    **{name: [case(A), case(A * 1j), case(3)] for name in ("shape", "ndim", "iscomplexobj", "isrealobj")},
}  # fmt: skip
_IN_PLACE: dict[str, list[tuple[Any, ...]]] = {
    "put": [
        ([0, 5, -1, 5], [1, 2, 3]),
        ([0, 20], 1.0, "clip"),
        ([0, 20, -3], [7, 8], "wrap"),
        ([0, 20], 1.0),
    ],
    "putmask": [(A > 0, [1, 2, 3]), (A > 0, W[:1])],
    "place": [(A > 0, [1, 2, 3]), (A > 0, [])],
    "fill_diagonal": [(7,), ([1, 2],)],
    "copyto": [(W[:, None],), (np.arange(4),), (1j,), (A + 1, "same_kind", A > 0)],
}


def arrays(found: Any) -> list[Any]:
    parts = found if isinstance(found, tuple) and not (found and isinstance(found[0], int)) else (found,)
    return [np.asarray(x.numpy() if isinstance(x, Tensor) else x) for x in parts]


def outcome(f: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any] | Exception:
    try:
        return arrays(f(*args, **kwargs))
    except Exception as error:
        return error


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore:.*poorly conditioned", "ignore::DeprecationWarning"
)
@pytest.mark.parametrize("name", CASES)
def test_like_numpys(name: str) -> None:
    for args, kwargs in CASES[name]:
        right, found = (outcome(getattr(space, name), *args, **kwargs) for space in (np, lucid))
        if isinstance(right, Exception) or isinstance(found, Exception):
            assert isinstance(right, Exception) and isinstance(found, Exception), (args, kwargs, right, found)
            assert re.match(r"(tests/lucid/)?test_functions.py:\d+: ", str(found)), found
            continue
        for x, y in zip(right, found, strict=True):
            assert x.dtype == y.dtype, (args, kwargs)
            np.testing.assert_allclose(y, x, rtol=1e-12, atol=1e-12, err_msg=f"{args} {kwargs}")


@pytest.mark.parametrize("name", _IN_PLACE)
def test_in_place_like_numpys(name: str) -> None:
    for args in _IN_PLACE[name]:
        right, found = A.copy(), Tensor(A)
        problems: list[Exception | None] = []
        for space, x in ((np, right), (lucid, found)):
            try:
                getattr(space, name)(x, *args)
                np.asarray(x)
                problems.append(None)
            except Exception as error:
                problems.append(error)
        assert (problems[0] is None) == (problems[1] is None), (args, problems)
        if problems[0] is None:
            np.testing.assert_array_equal(found.numpy(), right)
    with pytest.raises(TypeError, match=rf"test_functions.py:\d+: {name}: expected a Tensor"):
        getattr(lucid, name)(A, *args)


@pytest.mark.parametrize(
    ("shape", "wrap"), [((7, 3), True), ((7, 3), False), ((3, 3, 3), False), ((2, 5), True)]
)
def test_diagonals_in_place(shape: tuple[int, ...], wrap: bool) -> None:
    right, found = np.zeros(shape), Tensor(np.zeros(shape))
    np.fill_diagonal(right, [1, 2], wrap=wrap)
    lucid.fill_diagonal(found, [1, 2], wrap=wrap)
    np.testing.assert_array_equal(found.numpy(), right)


# Of what depends on no values, and takes tensors: the same in a compiled function.
_COMPILED: dict[str, Callable[..., Any]] = {
    "gcd": lambda a, v, i: lucid.gcd(i, 6) + lucid.lcm(i, i[::-1]),
    "bitwise_count": lambda a, v, i: lucid.bitwise_count(i),
    "frexp": lambda a, v, i: lucid.frexp(v)[0] * lucid.frexp(v)[1],
    "ldexp": lambda a, v, i: lucid.ldexp(v, i),
    "insert": lambda a, v, i: lucid.insert(a, [0, 2], v[:2, None], axis=0),
    "delete": lambda a, v, i: lucid.delete(a, 1, axis=1),
    "block": lambda a, v, i: lucid.block([[a, a], [a, a * 2]]),
    "choose": lambda a, v, i: lucid.choose((v > 0).astype(int), [v, v * 2]),
    "select": lambda a, v, i: lucid.select([v > 0, v > -1], [v, v * 2], 7.0),
    "piecewise": lambda a, v, i: lucid.piecewise(v, [v < 0], [lambda x: x * 2, lambda x: x * x]),
    "lexsort": lambda a, v, i: lucid.lexsort((i, v > 0)),
    "convolve": lambda a, v, i: lucid.convolve(v, a[0]),
    "interp": lambda a, v, i: lucid.interp(a, lucid.sort(v), v),
    "unwrap": lambda a, v, i: lucid.unwrap(v * 9),
    "polyval": lambda a, v, i: lucid.polyval(v, a),
    "polyfit": lambda a, v, i: lucid.polyfit(v, v * v, 1),
    "unravel_index": lambda a, v, i: lucid.unravel_index(i % 12, (3, 4))[1],
    "nanargmax": lambda a, v, i: lucid.nanargmax(a, axis=1),
    "multinomial": lambda a, v, i: lucid.multinomial(abs(a), 3).shape[0] * v,
    "cdist": lambda a, v, i: lucid.cdist(a, a * 2),
    "diag_embed": lambda a, v, i: lucid.diag_embed(a, 1),
    "masked_scatter": lambda a, v, i: lucid.masked_scatter(a, a > 0, a * 2),
    "combinations": lambda a, v, i: lucid.combinations(v),
}


@pytest.mark.parametrize("name", _COMPILED)
def test_compiled_alike(name: str) -> None:
    f = _COMPILED[name]
    given = [Tensor(x) for x in (A, V, I)]
    right = f(*given).numpy()
    compiled = lucid.compile(f)
    for _ in range(2):
        np.testing.assert_allclose(compiled(*given).numpy(), right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "given"),
    [
        (lambda v: lucid.frexp(v)[0], (V,)),
        (lambda v: lucid.ldexp(v, 3), (V,)),
        (lambda v: lucid.modf(v)[0], (V,)),
        (lambda a, b: lucid.insert(a, [0, 2], b, axis=0), (A, A[0])),
        (lambda a: lucid.delete(a, [1], axis=1), (A,)),
        (lambda a, b: lucid.block([[a], [b]]), (A, A[:1])),
        (lambda a: lucid.resize(a, (5, 5)), (A,)),
        (lambda a, b: lucid.convolve(a, b), (V, W)),
        (lambda a, b: lucid.correlate(a, b, "full"), (W, V)),
        (lambda x, f: lucid.interp(x, XP, f), (W, V)),
        (lambda p: lucid.unwrap(p), (P,)),
        (lambda p, x: lucid.polyval(p, x), (W, V)),
        (lambda x, y: lucid.polyfit(x, y, 2), (V, V[::-1].copy())),
        (lambda a, b: lucid.select([a > 0], [a * b], b), (V, V + 1)),
        (lambda a, b: lucid.masked_scatter(a, A > 0, b), (A, A * 2)),
        (lambda a: lucid.diag_embed(a, -1), (A,)),
        (lambda a, b: lucid.cdist(a, b), (A, A[:2] + 1)),
        (lambda a, b: lucid.cdist(a, b, 1), (A, A[:2] + 1)),
        (lambda a, b: lucid.addcdiv(a, b, b * b + 1, value=0.5), (V, V + 1)),
    ],
)
def test_gradients(f: Any, given: tuple[Any, ...]) -> None:
    leaves = [Tensor(x, requires_grad=True) for x in given]
    assert testing.gradcheck(f, leaves)
    assert testing.gradgradcheck(f, leaves)


def test_distances_at_zero_have_a_gradient() -> None:
    x = Tensor(A, requires_grad=True)
    lucid.cdist(x, x).sum().backward()
    assert x.grad is not None and np.isfinite(x.grad.numpy()).all()


def test_runs_of_equal_elements() -> None:
    x = np.array([1, 1, 2, 2, 3, 1, 1, 2])
    values, inverse, counts = lucid.unique_consecutive(x, True, True)
    np.testing.assert_array_equal(values.numpy(), [1, 2, 3, 1, 2])
    np.testing.assert_array_equal(inverse.numpy(), [0, 0, 1, 1, 2, 3, 3, 4])
    np.testing.assert_array_equal(counts.numpy(), [2, 2, 1, 2, 1])
    rows = np.array([[1, 2], [1, 2], [3, 4]])
    np.testing.assert_array_equal(lucid.unique_consecutive(rows, dim=0).numpy(), [[1, 2], [3, 4]])
    assert lucid.unique_consecutive(np.zeros(0)).shape == (0,)


def test_places_by_weight() -> None:
    weights = np.array([[0.0, 1.0, 3.0], [2.0, 0.0, 0.0]])
    drawn = lucid.multinomial(weights, 4000, replacement=True, generator=lucid.random.Generator(1)).numpy()
    assert set(drawn[1]) == {0} and set(drawn[0]) == {1, 2}
    assert abs((drawn[0] == 2).mean() - 0.75) < 0.03
    first = [lucid.multinomial(Tensor([1.0, 3.0, 0.0]), 2).numpy() for _ in range(300)]
    assert all(set(x) == {0, 1} for x in first)
    assert abs(np.mean([x[0] for x in first]) - 0.75) < 0.12
    for wrong, count in ((weights, 2), ([-1.0, 2.0], 1), ([1, 2], 1), ([1.0, 2.0], 3), ([1.0, 2.0], 0)):
        with pytest.raises(ValueError, match=r"test_functions.py:\d+: multinomial: "):
            lucid.multinomial(wrong, count)


def test_names_that_come_later_are_those_of_the_modules() -> None:
    """`later.py` lists them, so that none of the modules is imported for it."""
    for name, module in LATER.items():
        found = getattr(lucid, name)
        space: Any = operator.attrgetter(module.removeprefix("."))(lucid)
        assert found is getattr(space, name), name
    for module in (
        "along",
        "assembly",
        "buffers",
        "choosing",
        "grids",
        "polynomials",
        "questions",
        "saving",
        "sequences",
        "signals",
        "whole_numbers",
    ):
        names = {n for n, m in LATER.items() if m == f".{module}"}
        assert names == set(getattr(lucid, module).__all__), module
