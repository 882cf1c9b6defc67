"""Programs with control flow, numbers of Python's, elements by places, complex numbers and bfloat16."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.testing import campaign
from lucid.testing.campaign import draws_of, program_of
from lucid.testing.draws import Draw, number_like, redrawn, shapes_of
from lucid.testing.expression import expression
from lucid.testing.family import Family
from lucid.testing.oracle import examine
from lucid.testing.program import Program
from lucid.testing.text import parse_draw, print_draw

pytestmark = pytest.mark.table

X = (np.arange(12, dtype="float32").reshape(3, 4) - 5) / 7
PLACES = np.array([2, 0, 2], "int64")


def made(*statements: str, numbers: Any = None, **inputs: Any) -> Program:
    """A program over x0, x1 and x2, all of whose results are exact."""
    given = {"x0": X, "x1": PLACES, "x2": X[0] * (1 + 2j), **inputs}
    names = [f"v{k}" for k in range(len(statements))]
    exact = frozenset((*given, *names))
    pairs = tuple(zip(names, statements, strict=True))
    return Program(given, pairs, tuple(names), exact, frozenset(), numbers or {})


@pytest.mark.parametrize(
    "text, want",
    [
        ("at(x0)[[0, 2, 0]].add(1)", X + [[2], [0], [1]]),
        ("at(x0)[x1].set(7)", np.where([[1], [0], [1]], 7, X)),
        ("copied(x0)[1:].put(x0[:-1])", np.concatenate((X[:1], X[:-1]))),
        ("copied(x0)[1:].stay(3)", X.reshape(-1)),
        ("at(x0)[::2].max(0)", np.where([[1], [0], [1]], np.maximum(X, 0), X)),
        ("sum([x0[i0] * i0 for i0 in range(k0)])", X[1]),
        ("gathered(x0, 0, L.stack([x1[:2], x1[1:]], axis=1))", [[X[2, 0], X[0, 1]], [X[0, 0], X[2, 1]]]),
        ("scattered(x0 * 0, 1, x1[None], x0[1:2, :3] * 0 + 3)", [[3, 0, 6, 0], [0] * 4, [0] * 4]),
        ("x0 if k1 else -x0", X),
        ("x0 if x0.shape[0] > 3 else -x0", -X),
        ("L.real(x2 * 1j)", (X[0] * (1 + 2j) * 1j).real),
    ],
)  # fmt: skip
def test_what_expressions_mean_over_arrays_and_tensors(text: str, want: Any) -> None:
    program = made(text, numbers={"k0": 2, "k1": True})
    want = np.asarray(want, np.float32)
    assert np.array_equal(program.run(np, program.inputs)["v0"], want)
    found = program.run(lucid, {n: lucid.Tensor(a) for n, a in program.inputs.items()})["v0"]
    assert np.array_equal(found.numpy(), want)
    assert examine(program).fault is None


def test_an_assignment_changes_no_operand() -> None:
    program = made("copied(x0)[0].put(9)", "x0 * 1")
    assert np.array_equal(program.run(np, program.inputs)["v1"], X)


@pytest.mark.parametrize("text", ["x0.reshape((1, 20000))[:, x1][x1]", "x0.T + x0", "x0 @ x0.T"])
def test_intermediate_results_fit_into_memory(text: str) -> None:
    """Of small operands one of gigabytes may come, which no statement is: 23 GB were asked for."""
    values = {"x0": np.zeros((20_000, 1)), "x1": np.zeros((129, 129), np.int64)}
    with pytest.raises(ValueError, match="elements; expected at most 16,777,216"):
        expression(text)(values)


def test_loops_of_a_file_end() -> None:
    assert expression("sum([x0 for i0 in range(1000000000)])")({"x0": 1}) == 100
    loops = ("[x0 for i0 in x1]", "[x0 for i0 in range(3) if x0]", "sum([x0], x1)")
    for text in (*loops, "at", "copied(x0).copy"):
        with pytest.raises(ValueError, match="not of the grammar"):
            expression(text)


def test_numbers_that_change_take_other_branches() -> None:
    program = made("x0 * k0", "x0 if k1 else -x0", "x0 + k2", numbers={"k0": 2, "k1": True, "k2": 0.5})
    family, rng = Family(program, False), random.Random(0)
    seen = set()
    for _ in range(12):
        numbers = {n: number_like(k, rng) for n, k in program.numbers.items()}
        assert {type(k) for k in numbers.values()} == {int, bool, float}
        drawn = redrawn(program, shapes_of(program), rng, numbers)
        assert drawn is not None and family.fault(Draw(drawn, {"x0": "strided"}, guarded=True)) is None
        seen.add(tuple(numbers.values()))
    assert len(seen) > 4 and len(family.forms) == len(seen)


def test_a_stale_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    program = made("x0 * k0", numbers={"k0": 2})
    family = Family(program, False)
    right = family.compiled
    monkeypatch.setattr(family, "compiled", lambda *args, **given: right(*args[:-1], 2, **given))
    other = redrawn(program, shapes_of(program), random.Random(0), {"k0": 3})
    assert other is not None
    assert family.fault(Draw(program, {})) is None
    found = family.fault(Draw(other, {}))
    assert found is not None and found.kind == "calls"


def test_complex_numbers_and_bfloat16_are_compared_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    program = made("x2 * x2", "L.conj(x2) - x2")
    assert examine(program).fault is None and Family(program, False).fault(Draw(program, {})) is None
    monkeypatch.setattr(lucid, "conj", lambda x: x)
    fault = Family(program, False).fault(Draw(program, {}))
    assert fault is not None and fault.kind == "NumPy"
    brain = pytest.importorskip("ml_dtypes").bfloat16
    program = made("x3 + x3 * x3", "x3.astype('float32')", x3=X.astype(brain))
    assert examine(program).fault is None and Family(program, False).fault(Draw(program, {})) is None


def test_a_seed_has_all_of_it() -> None:
    words = dict.fromkeys(("at(", "copied(", " if ", "range(", "1j", "complex64", "% ", "diff(", " k"), 0)
    words |= {"gathered(": 0, "scattered(": 0}
    for k in range(100):
        for draw in draws_of(8, k, 1):
            text = draw.program.text()
            for word in words:
                words[word] += word in text
            again = parse_draw(print_draw(draw))
            assert print_draw(again) == print_draw(draw) and again.program.text() == text
    assert all(words.values()), words
    assert program_of(8, 0)[0].numbers == campaign.program_of(8, 0)[0].numbers
