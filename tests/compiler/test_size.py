"""Sizes that are symbols: arithmetic as of ints, and facts that tell for which values the way is the same."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucid.compiler.ir.size import Facts, Size, evaluator

SMALL = st.integers(2, 40)
ARITHMETIC: list[Callable[[Any, Any], Any]] = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.mod,
]
QUESTIONS: list[Callable[[Any, Any], bool]] = [
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


def _expression(draw: st.DrawFn, leaves: Sequence[Any]) -> Callable[[Sequence[Any]], Any]:
    """A random expression as a function of the leaves; divisors are kept away from 0."""
    steps = [
        (draw(st.sampled_from(ARITHMETIC)), draw(st.integers(0, 9)), draw(st.integers(0, 9)))
        for _ in range(draw(st.integers(1, 6)))
    ]

    def run(values: Sequence[Any]) -> Any:
        known = [*values, 3, 64]
        for op, a, b in steps:
            x, y = known[a % len(known)], known[b % len(known)]
            if op in (operator.floordiv, operator.mod) and y == 0:
                y = 7
            known.append(op(x, y))
        return known[-1]

    return run


@st.composite
def programs(draw: st.DrawFn) -> tuple[Any, ...]:
    first = draw(st.lists(SMALL, min_size=2, max_size=3))
    other = draw(st.lists(SMALL, min_size=len(first), max_size=len(first)))
    expressions = [_expression(draw, first) for _ in range(draw(st.integers(1, 4)))]
    asked = [
        (draw(st.sampled_from(QUESTIONS)), draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(4)
    ]
    return first, other, expressions, asked


def _run(values: Sequence[Any], expressions: Any, asked: Any) -> tuple[list[Any], list[bool]]:
    found = [e(values) for e in expressions]
    answers = [op(found[a % len(found)], found[b % len(found)]) for op, a, b in asked]
    return found, answers


@given(programs())
def test_as_ints_and_for_other_values(program: Any) -> None:
    """The same results as with ints; and where the facts hold for other values, evaluating the
    polynomials gives what the same steps give, and every question has the same answer."""
    first, other, expressions, asked = program
    facts = Facts()
    found, answers = _run([facts.symbol(n) for n in first], expressions, asked)
    plain, plain_answers = _run(first, expressions, asked)
    assert [int(n) if isinstance(n, int) else n.value for n in found] == plain
    assert answers == plain_answers
    hold = facts.noted().program()
    values = hold(first)
    assert values is not None
    assert [evaluator(n)(values) for n in found] == plain
    values = hold(other)
    if values is not None:
        again, again_answers = _run(other, expressions, asked)
        assert [evaluator(n)(values) for n in found] == again
        assert again_answers == answers


def test_equal_forms_need_no_facts() -> None:
    facts = Facts()
    n, m = facts.symbol(6), facts.symbol(4)
    assert n * m + n == n * (m + 1)
    assert (2 * n * m) // 2 == n * m and n - n == 0 and prod((n, m, 1)) == m * n
    assert facts.noted().program()([70, 90]) is not None


def test_what_was_asked_must_hold() -> None:
    facts = Facts()
    n, m = facts.symbol(32), facts.symbol(32)
    assert n == m and n * 4 < 256 and n != 1
    hold = facts.noted().program()
    assert hold([40, 40]) is not None
    assert hold([40, 41]) is None
    assert hold([64, 64]) is None
    assert hold([1, 1]) is None


@pytest.mark.parametrize("use", [str, "{:d}".format, range, int, lambda n: [0] * 99, hash])
def test_as_an_int_it_is_that_int(use: Callable[[Any], object]) -> None:
    """What takes an int apart keeps this value in every run; a hash alone does not."""
    facts = Facts()
    n = facts.symbol(5)
    use(n)
    fixed = use in (str, range, int) or use == "{:d}".format
    assert (facts.noted().program()([6]) is None) == fixed


def test_keys_meet_by_value() -> None:
    """Where equal sizes meet in a dict or a set, that they are equal is noted."""
    facts = Facts()
    n, m = facts.symbol(8), facts.symbol(8)
    assert len({(n, 1), (m, 1)}) == 1
    assert facts.noted().program()([8, 9]) is None
    assert facts.noted().program()([9, 9]) is not None


def test_division() -> None:
    facts = Facts()
    n = facts.symbol(100)
    blocks = -(-n // 64)
    values = facts.noted().program()([129])
    assert values is not None and evaluator(blocks)(values) == 3
    with pytest.raises(ZeroDivisionError):
        n // 0
    with pytest.raises(ZeroDivisionError):
        5 // (n - 100 * 1 if n == 100 else n)


def test_no_other_run() -> None:
    """Sizes of two runs are never equal, whatever their values: neither knows of the other's facts."""
    a, b = Facts().symbol(3), Facts().symbol(3)
    assert a != b
    assert isinstance(a, Size)
