"""The fuzzer for some seconds: the same structures at every run, and others, whose seed is printed; steps of
training, other widths, the interpreters, the simulator; what the corpus keeps."""

from __future__ import annotations

import io
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler import check, ops, pipeline
from lucid.compiler.ir.graph import Graph
from lucid.compiler.passes.simplify import simplify
from lucid.runtime import pool
from lucid.testing import campaign, crossed
from lucid.testing.draws import Draw
from lucid.testing.family import function
from lucid.testing.oracle import examine
from lucid.testing.program import Program
from lucid.testing.reached import reached
from lucid.testing.traced import traced
from lucid.testing.training import steps_apart

X = np.linspace(-2, 2, 70)
SMOOTH = Program(
    {"x0": X, "x1": X[:1] + 3},
    (("v0", "L.tanh(x0 * x1)"), ("v1", "v0.sum(axis=0)")),
    ("v0", "v1"),
    frozenset(("x0", "x1")),
    frozenset(("smooth",)),
)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


LONG = [pytest.param(60, 11, marks=pytest.mark.table), pytest.param(30, None, marks=pytest.mark.table)]


@pytest.mark.early
@pytest.mark.parametrize("seconds, seed", [(4, 12), *LONG])
def test_fuzz_for_some_seconds(seconds: float, seed: int | None, tmp_path: Path) -> None:
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    outcome = campaign.run(seconds, seed, corpus=str(tmp_path), out=io.StringIO())
    said = "\n".join(campaign.report(outcome, seed))
    print(said)
    assert outcome.programs and not outcome.found, f"{said}\n\n{outcome.found[0].script}"


def parts(program: Program) -> tuple[Any, list[Any]]:
    call = traced(function(program), tuple(program.inputs.values()))
    return call.executable, list(call.inputs)


@pytest.mark.table
def test_each_way_of_compiling_gives_the_same() -> None:
    executable, inputs = parts(SMOOTH)
    graph, first = executable.compiled.written, executable(inputs)
    results = [crossed.unsimplified(graph, inputs), crossed.unfused(graph, inputs)]
    results += [crossed.of_width(executable, inputs, target) for target in crossed.narrower()]
    results.append(crossed.simulated(graph, inputs) or [])
    for other in results:
        assert [a.tobytes() for a in other] == [a.tobytes() for a in first]
    own = executable.target.vector_bytes
    assert [t.vector_bytes for t in crossed.narrower()] == [w for w in crossed.WIDTHS if w < own]


@pytest.mark.table
@pytest.mark.parametrize("way", ["of_width", "unsimplified", "unfused", "simulated"])
def test_a_way_that_gives_something_else_is_a_fault(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[..., Any] = getattr(crossed, way)
    monkeypatch.setattr(crossed, way, lambda *given: [a * 1.001 for a in right(*given)])
    faults = {examine(SMOOTH, layout=number).fault for number in range(12, 16)}
    assert any(f is not None and f.kind == "ways" for f in faults)


@pytest.mark.table
def test_a_pass_that_changes_the_meaning_is_found_by_the_interpreters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executable, _ = parts(SMOOTH)
    crossed.interpreted(executable.compiled.graph)
    right = simplify

    def wrong(graph: Any) -> Any:
        done = right(graph)
        node = ops.NEG(done.outputs[0])
        return Graph(done.name, done.inputs, (node, *done.outputs[1:]))

    monkeypatch.setattr(pipeline, "simplify", wrong)
    with pytest.raises(check.MiscompileError):
        crossed.interpreted(executable.compiled.graph)


@pytest.mark.table
def test_steps_of_training_with_noise_and_a_running_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        assert steps_apart(SMOOTH, number) is None
    right = lucid.optim.SGD.step
    calls = iter(range(1000))

    def drifting(self: Any) -> None:
        right(self)
        self.params[0].data = self.params[0] * (1 + 1e-3 * next(calls))

    monkeypatch.setattr(
        "lucid.testing.training.optimisers", lambda n: lambda given: lucid.optim.SGD(given, lr=1e-3)
    )
    monkeypatch.setattr(lucid.optim.SGD, "step", drifting)
    assert "of 3 steps" in (steps_apart(SMOOTH, 0) or "")


@pytest.mark.table
def test_branches_of_passes_that_are_reached() -> None:
    def look(text: str) -> set[str]:
        program = Program({"x0": X}, (("v0", text),), ("v0",), frozenset())
        executable, _ = parts(program)
        with reached() as found:
            crossed.unsimplified(executable.compiled.written, [X])
        return found

    plain, scan = look("x0 * 2 + 1"), look("L.cumsum(x0, axis=0)")
    assert plain and scan - plain and look("x0 * 2 + 1") == plain
    assert all(name.startswith(("passes/", "cpu/schedule")) for name in plain | scan)
    assert sys.gettrace() is None or not plain


def test_cells_of_coverage() -> None:
    seen = examine(SMOOTH, texts=True)
    assert ("tanh", "f64", "flat") in seen.features or ("tanh", "f64", "rows") in seen.features
    covered = campaign.cells(set(seen.features), Draw(SMOOTH, {"x1": "flipped"}))
    assert {f[3] for f in covered} == {"rows", "flipped"}
