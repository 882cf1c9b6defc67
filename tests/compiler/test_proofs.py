"""Every rule of simplify.py, and all arithmetic of sizes, is proved: one without a proof fails here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.graph import Graph, toposort
from lucid.compiler.ir.size import Size
from lucid.compiler.ir.types import DTYPES, f16, f32, i32
from lucid.compiler.passes.rewrite import Rule
from lucid.compiler.passes.simplify import RULES, _without_empties, simplify
from tests.compiler import proofs


def _z3() -> Any:
    return pytest.importorskip("z3", reason="the solver of proofs: pip install z3-solver")


def _check(rule: Rule, z3: Any, whole: bool) -> None:
    found = list(proofs.prove(rule, z3, whole))
    assert found, f"nothing proves {proofs.text(rule[0])}"
    for proof in found:
        assert proof.holds, proof


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: proofs.text(rule[0]))
def test_both_sides_of_a_rule_have_the_same_bits(rule: Rule) -> None:
    _check(rule, None, whole=False)


@pytest.mark.parametrize(
    "rule", [r for r in RULES if proofs.over_elements(r)], ids=lambda rule: proofs.text(rule[0])
)
def test_the_solver_finds_no_value_for_which_sides_differ(rule: Rule) -> None:
    z3 = _z3()
    for dtype in DTYPES.values():
        if proofs.takes(rule, dtype) and not dtype.is_complex:
            assert proofs.solved(z3, rule, dtype), dtype


@pytest.mark.sweep
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: proofs.text(rule[0]))
def test_both_sides_of_a_rule_have_the_same_bits_for_all_pairs_of_values(rule: Rule) -> None:
    _check(rule, _z3(), whole=True)


WRONG: list[Rule] = [
    (("add", "x", 0), "x"),  # -0 + 0 is 0
    (("mul", "x", 0), lambda e: ops.zeros_like(e["x"])),  # of infinity, NaN
    (("sub", "x", "x"), lambda e: ops.zeros_like(e["x"])),
    (("div", "x", "x"), lambda e: ops.const(1, e["x"])),
    (("add", ("sub", "x", "y"), "y"), "x"),
    (("sub", 0, "x"), lambda e: ops.NEG(e["x"])),  # 0 - 0 is 0
    (("abs", "x"), "x"),
]


@pytest.mark.parametrize("rule", WRONG, ids=lambda rule: proofs.text(rule[0]))
def test_a_rule_that_is_not_exact_is_found(rule: Rule) -> None:
    assert not proofs.exhaustive(rule, f16, whole=False)[0]


@pytest.mark.parametrize("rule", WRONG, ids=lambda rule: proofs.text(rule[0]))
def test_the_solver_finds_what_is_wrong_with_it_too(rule: Rule) -> None:
    assert proofs.solved(_z3(), rule, f32) is False


def test_the_absolute_value_of_unsigned_numbers_is_not_that_of_their_negatives() -> None:
    rule: Rule = (("abs", ("neg", "x")), lambda e: ops.ABS(e["x"]))
    assert proofs.solved(_z3(), rule, DTYPES["u8"]) is False
    assert proofs.solved(_z3(), rule, i32) is True


@pytest.mark.parametrize(
    "rule",
    [
        (("transpose", "x"), lambda e: None if e["self"].shape != e["x"].shape else e["x"]),
        (("slice", "x"), lambda e: None if e["self"].shape != e["x"].shape else e["x"]),
    ],
    ids=["transpose", "slice"],
)
def test_a_rule_that_moves_elements_elsewhere_is_found(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    def square(most: int) -> Any:
        x = proofs.leaf((2, 2))
        yield ops.TRANSPOSE(x, perm=(1, 0))
        yield ops.SLICE(x, starts=(1, 0), steps=(-1, 1), counts=(2, 2))

    monkeypatch.setitem(proofs.MOVES, rule[0][0], square)
    assert proofs.moved(rule, 2) == (False, 1)


def test_a_new_rule_without_a_proof_fails() -> None:
    rule: Rule = (("window", "x"), "x")
    with pytest.raises(KeyError):
        list(proofs.prove(rule, None, whole=False))


def test_what_has_no_elements_is_a_literal_of_the_same_value() -> None:
    for shape in (s for s in proofs.shapes(2) if 0 in s):
        x = proofs.leaf(shape, f32)
        every = [ops.NEG(x), ops.PAD(x, lo=(1,) * len(shape), hi=(0,) * len(shape))]
        every += [op(x, axes=(d,)) for d in range(len(shape)) for op in (ops.SUM, ops.PROD)]
        graph = Graph("f", (x,), tuple(every))
        array = np.zeros(shape, "float32")
        sides = (interpret_graph(g, [array]) for g in (graph, _without_empties(graph, {})))
        assert all(proofs.same(np.asarray(a), np.asarray(b)) for a, b in zip(*sides, strict=True))


def test_all_arithmetic_of_sizes_has_a_proof() -> None:
    own = {name for name, value in vars(Size).items() if callable(value)}
    proved = {
        method for _, methods in {**proofs.ARITHMETIC, **proofs.QUESTIONS}.values() for method in methods
    }
    assert own - proofs.PLAIN == proved


@pytest.mark.parametrize("name", [*proofs.ARITHMETIC, *proofs.QUESTIONS])
def test_an_operation_on_sizes_is_that_of_all_integers(name: str) -> None:
    held, count = proofs.sizes(_z3(), name, few=4)
    assert held
    assert count > 30


@pytest.mark.sweep
@pytest.mark.parametrize("name", [*proofs.ARITHMETIC, *proofs.QUESTIONS])
def test_an_operation_on_more_sizes_is_that_of_all_integers(name: str) -> None:
    assert proofs.sizes(_z3(), name)[0]


def test_what_an_equation_of_sizes_gives_follows_from_it() -> None:
    held, count = proofs.followers(_z3())
    assert held
    assert count > 40


def test_a_wrong_operation_on_sizes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    z3 = _z3()
    monkeypatch.setattr(Size, "__radd__", lambda self, other: self)
    assert proofs.sizes(z3, "+")[0] is False
    monkeypatch.setattr(Size, "__gt__", lambda self, other: self._at_least(other))
    assert proofs.sizes(z3, ">")[0] is False


REGROUPED: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool], ...] = (
    ((3, 1), (3, 4), (12,), False),
    ((3, 1, 4), (3, 5, 4), (3, 20), False),
    ((3, 1), (3, 4), (3, 2, 2), True),
    ((1, 4), (6, 4), (2, 3, 4), True),
    ((3, 4), (2, 3, 4), (2, 12), True),
)


@pytest.mark.parametrize(("source", "shape", "other", "moves"), REGROUPED)
def test_a_broadcast_in_another_shape(
    source: tuple[int, ...], shape: tuple[int, ...], other: tuple[int, ...], moves: bool
) -> None:
    """The reshape goes before it, unless axes that become others are stretched in part."""
    x = ops.INPUT(name="x", dtype=f32, shape=source)
    graph = Graph("g", (x,), (ops.reshape(ops.BROADCAST(x, shape=shape), other),))
    found = simplify(graph)
    last = [n.op for n in toposort(found.outputs)][-1]
    assert last is (ops.BROADCAST if moves else ops.RESHAPE)
    value = np.arange(x.type.size, dtype=np.float32).reshape(source)
    np.testing.assert_array_equal(interpret_graph(found, [value])[0], interpret_graph(graph, [value])[0])
