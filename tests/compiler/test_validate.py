"""LUCID_VALIDATE: what it proves for all sizes, and that it names accesses that are wrong."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler import validate
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.kernel import arrays
from lucid.compiler.ir.program import Call, Operand, Program
from lucid.compiler.ir.size import Facts, evaluator
from lucid.compiler.ir.types import f32
from lucid.compiler.ops import BROADCAST, CONST, INPUT
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.validate import _mul, _poly, _put, _sub
from lucid.nn import functional as F
from tests.lucid.programs import made

TRANSPOSE = """kernel t(x: f32[m, n:]) -> (o: f32[n, m])
  for i in n
    stage j in m
      o[i, j] = x[j, i] # model.py:7
"""


def bound(text: str, **strides: tuple[Any, ...]) -> tuple[Call, Facts]:
    """A call of the kernel for n x m, row-major but for `strides`, which are functions of n and m."""
    kernel, facts = parse_kernel(text), Facts()
    sizes: dict[str, Any] = {"n": facts.symbol(5), "m": facts.symbol(7), "k": 2}
    operands = {}
    for name, array in arrays(kernel).items():
        shape = tuple(sizes[d] if isinstance(d, str) else d for d in array.dims)
        node: Any = INPUT(name=name, dtype=f32, shape=shape)
        if array in kernel.outputs:
            node = BROADCAST(CONST(value=0, dtype=f32), shape=shape)
        default = tuple(prod(shape[d + 1 :]) for d in range(len(shape)))
        offset, steps = strides.get(name, (0, default))
        operands[name] = Operand(node, offset, steps)
    symbols = {s: sizes[s] for s in ("n", "m", "k") if s in text.replace("in ", " ")}
    return Call(kernel, operands, symbols, {}, ()), facts


def verdicts(call: Call) -> list[validate.Access]:
    graph = Graph("t", (), ())
    return list(validate.validate(Program(graph, (call,))))


def test_a_transpose_is_proved_for_all_sizes() -> None:
    call, _ = bound(TRANSPOSE)
    n, m = call.symbols["n"], call.symbols["m"]
    assert [a.verdict for a in verdicts(call)] == ["inside", "once"]
    turned = replace(call.arrays["x"], strides=(1, m))  # of an array that lies the other way round
    assert [a.verdict for a in verdicts(replace(call, arrays={**call.arrays, "x": turned}))] == [
        "inside",
        "once",
    ]
    assert n == 5


def changed(call: Call, name: str, offset: Any, strides: Any) -> Call:
    return replace(call, arrays={**call.arrays, name: Operand(call.arrays[name].node, offset, strides)})


BEGINS, ENDS = "it is not proved that it begins inside", "it is not proved that it ends inside"
OVERLAPS, NOT_ALL = "its dimensions overlap, or leave elements out", "not all of its elements are written"
# Of n x m: what is wrong, and what is said.
WRONG: dict[str, tuple[Callable[[Call, Any, Any], Call], str, str]] = {
    "off by one": (lambda c, n, m: changed(c, "x", 1, (n, 1)), "x", ENDS),
    "before it": (lambda c, n, m: changed(c, "x", -1, (n, 1)), "x", BEGINS),
    "steps too far": (lambda c, n, m: changed(c, "x", 0, (n + 1, 1)), "x", ENDS),
    "backwards": (lambda c, n, m: changed(c, "x", 0, (n, -1)), "x", BEGINS),
    "any sign": (lambda c, n, m: changed(c, "x", 0, (n, n - m)), "x", "the sign of the stride along i"),
    "overlap": (lambda c, n, m: changed(c, "o", 0, (1, 1)), "o", OVERLAPS),
    "rows over rows": (lambda c, n, m: changed(c, "o", 0, (m - 1, 1)), "o", OVERLAPS),
    "gaps": (lambda c, n, m: changed(c, "o", 0, (m + 1, 1)), "o", OVERLAPS),
    "a missing first": (lambda c, n, m: changed(c, "o", 1, (m, 1)), "o", "its first element is not written"),
    "a missing row": (lambda c, n, m: replace(c, symbols={**c.symbols, "n": n - 1}), "o", NOT_ALL),
    "one row too many": (lambda c, n, m: replace(c, symbols={**c.symbols, "n": n + 1}), "o", NOT_ALL),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_map_is_named(name: str) -> None:
    change, array, said = WRONG[name]
    call, _ = bound(TRANSPOSE)
    found = verdicts(change(call, call.symbols["n"], call.symbols["m"]))
    wrong = [a for a in found if a.verdict == "not proved"]
    named = next(a for a in wrong if a.array == array)
    assert named.why.startswith(said)
    assert str(named).startswith(f"kernel t: `{array}` in `o[i, j] = x[j, i]` at model.py:7: ")


def test_a_stage_that_writes_again_is_named() -> None:
    call, _ = bound(TRANSPOSE)
    (stage,) = call.kernel.stages
    store = stage.body[0]
    twice = replace(store, index=(store.index[0], store.index[0]))  # type: ignore[union-attr]
    kernel = replace(call.kernel, stages=(replace(stage, body=(twice,)),))
    (wrong,) = [a for a in verdicts(replace(call, kernel=kernel)) if a.verdict == "not proved"]
    assert wrong.why == "an axis is there twice, or shifted"


def test_what_is_proved_is_so_at_many_sizes() -> None:
    """The prover on random polynomials: what it says of all sizes holds at those that facts allow."""
    rng = np.random.default_rng(0)
    proved = Counter[bool]()
    for _ in range(300):
        facts = Facts()
        n, m = facts.symbol(9), facts.symbol(12)
        assert bool(n >= int(rng.integers(0, 10))) and bool(n <= m + int(rng.integers(0, 3)))
        quotient = m // int(rng.integers(2, 5)) if rng.random() < 0.5 else -(-n // int(rng.integers(2, 5)))
        terms = [n, m, n * m, quotient, quotient * n, 1]
        goal = sum((int(c) * t for c, t in zip(rng.integers(-1, 3, len(terms)), terms, strict=True)), 0)
        call, _ = bound(TRANSPOSE)
        known = validate._known(replace(call, symbols={"n": n, "m": m}))
        answer = known.proves(known.poly(goal))
        proved[answer] += 1
        hold = facts.noted().program()
        if answer:
            for sizes in itertools.product(range(25), repeat=2):
                if (values := hold(sizes)) is not None:
                    assert evaluator(goal)(values) >= 0, (sizes, goal)
    assert min(proved.values()) > 50


def test_polynomials() -> None:
    facts = Facts()
    n, m = facts.symbol(3), facts.symbol(4)
    assert _mul(_poly(n + 1), _poly(m - 2)) == _poly((n + 1) * (m - 2))
    assert _put(_poly(n * n - m), {0: _poly(m + 1)}) == _poly((m + 1) * (m + 1) - m)
    assert _sub(_poly(n), _poly(n)) == {}


def test_compiled_functions_say_what_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_VALIDATE", "1")

    @lucid.compile
    def loss(x: Any, w: Any, at: Any) -> Any:
        return lucid.value_and_grad(lambda w: F.cross_entropy(F.layer_norm(x, (12,)) @ w, at))(w)

    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(30, 12)).astype("float32"), rng.normal(size=(12, 7)).astype("float32")
    loss(x, w, rng.integers(0, 7, 30))
    found = made(loss).validation or ()
    assert not [str(a) for a in found if a.verdict == "not proved"]
    counts = Counter(a.verdict for a in found)
    assert counts["once"] >= 2 and counts["inside"] >= 4
    assert validate.summary(found) in loss.explain()
    wrong = replace(found[0], verdict="not proved", why="no")
    monkeypatch.setattr(validate, "validate", lambda program: (wrong,))
    other = lucid.compile(lambda x: lucid.tanh(x).sum() * 3 - x[0])
    other(x[:, 0].copy())
    assert "0 of 1 accesses proved" in other.explain() and ": no" in other.explain()
