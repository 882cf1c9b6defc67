"""Draws of a program: other sizes, values and layouts through code that is compiled once; expressions that
are not of the grammar are refused before anything runs."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.runtime import load, pool
from lucid.testing import campaign
from lucid.testing.campaign import draws_of, program_of
from lucid.testing.draws import Draw, holds, other_sizes, redrawn, shapes_of
from lucid.testing.expression import expression
from lucid.testing.family import Family
from lucid.testing.layouts import laid_out
from lucid.testing.program import Program, with_inputs

pytestmark = pytest.mark.report

X = (np.arange(300, dtype="float32").reshape(3, 100) - 150) / 7
PROGRAM = Program(
    {"x0": X, "x1": X + 1},
    (("v0", "L.maximum(x0 * 2 - x1, 0)"), ("v1", "v0.sum(axis=1)"), ("v2", "x0.astype('float32')")),
    ("v1", "v2", "v0"),
    frozenset(("x0", "x1", "v0", "v2")),
)


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = pool.get_num_threads()
    pool.set_num_threads(3)
    yield
    pool.set_num_threads(before)


def test_draws_of_a_seed_are_the_same_at_every_run() -> None:
    for one, other in zip(draws_of(5, 2, 20), draws_of(5, 2, 20), strict=True):
        assert one.program.text() == other.program.text() and one.layouts == other.layouts
        assert all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(one.arrays(), other.arrays(), strict=True)
        )


def test_an_array_without_elements_has_no_gaps() -> None:
    empty = laid_out(np.zeros((992, 0, 992, 992), np.uint32), "strided")  # between them would be 29 GiB
    assert empty.shape == (992, 0, 992, 992)


def test_other_values_layouts_threads_and_sizes_run_no_llvm() -> None:
    family, rng = Family(PROGRAM, False), random.Random(0)
    assert family.fault(Draw(PROGRAM, {})) is None
    before = load.compiles()
    for n, layout in ((100, "flipped"), (257, "page-end"), (1000, "strided"), (101, "page-start")):
        drawn = redrawn(PROGRAM, ((3, n), (3, n)), rng)
        assert drawn is not None
        assert family.fault(Draw(drawn, {"x0": layout}, threads=3, guarded=True)) is None
    assert load.compiles() == before


def test_lengths_that_are_equal_stay_equal_and_others_may_come_to_be() -> None:
    program = with_inputs(PROGRAM, {"x0": X, "x1": X[:, 0], "x2": X[0]})
    rng, coincide = random.Random(0), 0
    for _ in range(100):
        (n, m), (k,), (j,) = other_sizes(program, rng)
        assert (n, m) == (k, j)
        coincide += n == m
    assert 2 < coincide < 60


def test_a_draw_that_numpy_refuses_or_in_which_less_is_exact_is_none() -> None:
    rows = replace(PROGRAM, statements=(("v0", "x0.reshape(3, 100)"),), outputs=("v0",))
    assert redrawn(rows, ((3, 7), (3, 7)), random.Random(0)) is None
    infinite = with_inputs(PROGRAM, {"x0": np.array([1, np.inf], "float32")})
    cast = replace(infinite, statements=(("v0", "x0.clip(0, 100).astype('uint8')"),), outputs=("v0",))
    assert not holds(cast) and holds(with_inputs(cast, {"x0": X}))
    whole = replace(PROGRAM, traits=frozenset(("whole",)))
    assert holds(whole) and not holds(with_inputs(whole, {"x0": X * 1e6, "x1": X}))


def test_a_result_that_is_an_input_is_compared_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family(PROGRAM, False)
    form = family.form(PROGRAM)
    assert form is not None and -1 in form.results
    assert family.fault(Draw(PROGRAM, {})) is None
    minus = replace(PROGRAM, statements=(("v0", "x0 + 1"),), outputs=("v0",))
    monkeypatch.setattr(lucid.Tensor, "__add__", lambda a, b: a)
    fault = Family(minus, False).fault(Draw(minus, {}))
    assert fault is not None and fault.kind == "NumPy"


@pytest.mark.parametrize("kind", ["threads", "calls"])
def test_bits_that_differ_are_a_fault(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family(PROGRAM, False)
    draw = Draw(PROGRAM, {"x0": "strided"}, threads=2)
    form = family.form(PROGRAM)
    assert form is not None and family.fault(draw) is None
    if kind == "threads":
        right = form.shared.native
        monkeypatch.setattr(
            form.shared,
            "native",
            lambda a, out, n, *rest: [r + (n or 1) * 1e-7 for r in right(a, out, n, *rest)],
        )
    else:
        monkeypatch.setattr(family, "compiled", lambda *a: tuple(-t for t in lucid.compile(family.f)(*a)))
    fault = family.fault(draw)
    assert fault is not None and fault.kind in (kind, "bounds")


def test_gradients_of_draws() -> None:
    found = 0
    for k in (3, 7, 11):
        program, smooth = program_of(2, k)
        family = Family(program, smooth)
        for draw in draws_of(2, k, 14):
            assert smooth and family.fault(draw) is None
            found += len(shapes_of(draw.program)) > 0
    assert found > 20


def test_what_is_no_expression_of_programs_is_refused() -> None:
    for text in (
        "__import__('os')", "L.load('x')", "x0.__class__", "(lambda: 1)()", "L", "[x for x in x0]",
        "x0 if f() else x2", "L.exp.__globals__", "v0.tofile('x')", "9**9**9**9", "x0 +", "x0 = 1",
        "-" * 200 + "x0", "x" * 20_000, "L.sum(*x0)", "x0.clip(**x1)", "(x0 := 1)", "f'{x0}'", "exec('1')",
    ):  # fmt: skip
        with pytest.raises(ValueError):
            expression(text)
    for k in range(200):
        for _, text in program_of(3, k)[0].statements:
            expression(text)


def test_a_process_that_ends_is_a_fault_of_the_program_it_was_at(tmp_path: Path) -> None:
    found = campaign._crashed(4, 6, 3, -11, 20, "cpu")
    draw = list(draws_of(4, 6, 20))[3]
    assert found.fault.text == "the process ended by signal SIGSEGV" and found.number == 3
    assert found.draw.program.text() == draw.program.text() and "look(draw)" in found.script
