"""As a new user meets `check`: bugs of a reference that they wrote, and formulas that are right and unstable,
are told apart in one message each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.testing import CheckError, check

pytestmark = pytest.mark.report

RNG = np.random.default_rng(0)
Q, K, V = RNG.normal(size=(3, 6, 8)).astype("float32")
X = RNG.normal(size=200).astype("float32")


def attention(q: Any, k: Any, v: Any) -> Any:
    return lucid.softmax(q @ k.T / 8**0.5, axis=1) @ v


def attention_by_numpy(q: Any, k: Any, v: Any, keep: bool = True) -> Any:
    s = q @ k.T / 8**0.5
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=keep)) @ v


def spread(x: Any) -> Any:
    return ((x - x.mean()) ** 2).mean()


def huber(x: Any) -> Any:
    return lucid.where(abs(x) < 1, x * x / 2, abs(x) - 0.5).sum()


REFERENCES: list[tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any], Callable[..., Any]]] = [
    (attention, (Q, K, V), attention_by_numpy, lambda q, k, v: attention_by_numpy(q, k, v, False)),
    (spread, (X,), lambda x: x.var(), lambda x: x.var(ddof=1)),
    (huber, (X,), lambda x: np.where(abs(x) < 1, x * x / 2, abs(x) - 0.5).sum(), lambda x: abs(x).sum()),
    (lucid.cumsum, (X,), np.cumsum, lambda x: np.cumsum(x[::-1])),
]  # fmt: skip


@pytest.mark.parametrize("f, args, right, wrong", REFERENCES)
def test_a_planted_bug_of_a_reference(f: Any, args: Any, right: Any, wrong: Any) -> None:
    check(f, *args, reference=right, grad=False)
    with pytest.raises(CheckError) as raised:
        check(f, *args, reference=wrong)
    said = str(raised.value)
    assert "is not what the reference gives" in said and "whatever the precision" in said
    assert "unstable" not in said and "first to differ" not in said and len(said.splitlines()) <= 4


def naive_variance(x: Any) -> Any:
    return (x * x).mean() - x.mean() ** 2


def naive_logistic(x: Any, y: Any) -> Any:
    s = lucid.sigmoid(x)
    return -(y * lucid.log(s) + (1 - y) * lucid.log(1 - s)).mean()


def naive_logsumexp(x: Any) -> Any:
    return lucid.log(lucid.exp(x).sum())


def naive_cosine(x: Any) -> Any:
    return (1 - lucid.cos(x)) / (x * x)


FORMULAS: list[tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...], str]] = [
    (naive_variance, (X + 3000,), (X,), "`sub` at"),
    # its gradient is 0 / 0: the divisor is near 0, and 0 once it is rounded
    (naive_logistic, (X * 12, (X > 0).astype("float32")), (X, (X > 0).astype("float32")), "`"),
    (naive_logsumexp, (X + 90,), (X,), "`exp` at"),
    (naive_cosine, (abs(X) * 1e-3 + 1e-4,), (abs(X) + 0.5,), "`sub` at"),
]  # fmt: skip


@pytest.mark.parametrize("f, bad, good, step", FORMULAS)
def test_an_unstable_formula_is_not_called_a_wrong_one(f: Any, bad: Any, good: Any, step: str) -> None:
    check(f, *good)
    with pytest.raises(CheckError) as raised:
        check(f, *bad)
    said = str(raised.value)
    assert "it is the formula that is unstable here" in said and step in said
    assert "is not what" not in said and len(said.splitlines()) <= 4
    check(f, *(a.astype("float64") for a in good))
