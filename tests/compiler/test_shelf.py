"""What one process has planned another one takes from the disk: the same plans, for all sizes, and no pass
runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops, pipeline
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.pipeline import Compiled, Store, compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

from ..native import build
from .test_template import CASES, Make, arrays, filled, softmax


class Processes:
    """A store, and processes that use it, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: dict[str, bytes] = {}
        self.store = Store(self.plans.get, self.plans.__setitem__)
        self._patch = monkeypatch.setattr
        self.begin()

    def begin(self) -> None:
        self._patch(pipeline, "_TEMPLATES", OrderedDict())
        self._patch(pipeline, "_KERNELS", {})

    def compiled(self, function: Make, given: Any, aliases: tuple[int, ...] = ()) -> Compiled:
        return compile_graph(build(function, given), host(), aliases, store=self.store)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    return Processes(monkeypatch)


@pytest.mark.parametrize(("function", "shapes"), CASES, ids=[f.__name__ for f, _ in CASES])
def test_another_process_runs_no_pass(function: Make, shapes: Any, processes: Processes) -> None:
    given = [arrays(*shape) for shape in shapes]
    made = processes.compiled(function, given[0])
    assert not filled(made) and len(processes.plans) == 1
    for some in given:  # those sizes, and others
        processes.begin()
        found = processes.compiled(function, some)
        assert filled(found)
        assert found.plan == found.stages.plan and found.picks == made.picks
        results = Executable(found.plan)(some)
        assert all(np.isfinite(r).all() for r in results)
    assert len(processes.plans) == 1


def test_code_is_made_of_the_text_of_its_kernel(processes: Processes) -> None:
    """Where the machine code has been lost."""
    given = arrays((100, 100))
    made = processes.compiled(softmax, given)
    processes.begin()
    found = processes.compiled(softmax, given)
    assert [code.llvm for code in found.codes] == [code.llvm for code in made.codes]


def test_numbers_of_the_user_are_those_of_each_call(processes: Processes) -> None:
    for value in (2.5, -0.0, float("inf"), 1e-300):

        def times(x: Node, value: float = value) -> Node:
            return ops.MUL(x, ops.fill(ops.SCALAR(value=value, dtype=x.type.dtype), x.shape))

        processes.begin()
        (x,) = given = arrays((20,))
        made = processes.compiled(times, given)
        assert filled(made) == (value != 2.5)
        (found,) = Executable(made.plan)(given)
        with np.errstate(all="ignore"):
            assert found.tobytes() == (x * np.float32(value)).tobytes()


def test_sizes_that_no_text_serves_are_one_more(processes: Processes) -> None:
    """The latest first, so many as a process keeps; literals vary by what this process has met alone."""
    lengths = [*range(2, 3 + pipeline.TEMPLATES)]
    for n in lengths:
        processes.begin()
        assert not filled(processes.compiled(softmax, arrays((4, n))))
    for n in reversed(lengths):
        processes.begin()
        assert filled(processes.compiled(softmax, arrays((5, n)))) == (n > lengths[0])
    (kept,) = processes.plans.values()
    assert kept.count(b"\n") == 3 * pipeline.TEMPLATES - 1


def test_one_process_that_meets_many_lengths_has_symbols_as_without(processes: Processes) -> None:
    keys = []
    for _ in range(2):
        processes.begin()
        made = [processes.compiled(softmax, arrays((4, n))) for n in range(2, 8)]
        keys.append([[code.key for code in one.codes] for one in made])
    assert keys[0] == keys[1] and all(map(filled, made))
    assert sum(f"in {n}" in key for n, (key,) in enumerate(keys[0], 2)) == 3


@pytest.mark.parametrize("imported", [True, False])
def test_a_plan_that_is_damaged_is_as_none(
    imported: bool, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether somebody has imported what JSON's errors are in or not."""
    if not imported:
        monkeypatch.delitem(sys.modules, "json.decoder")
    given = arrays((100, 100))
    processes.compiled(softmax, given)
    ((key, kept),) = processes.plans.items()
    kernels, plan, others = kept.split(b"\n")
    parts = [(kernels, plan), (b"[]", plan, others), (kernels, b"{}", others), (kernels, b"[1, 2]", others)]
    parts += [
        (kernels, plan + b" 1", others),
        (kernels, plan[:-9], others),
        (kernels, b"[" * 100_000, others),
    ]
    whole = [kept.replace(b"Launch", b"Lunch"), kept.replace(b"]", b"}"), kept[:40], b"\xff" + kept]
    for wrong in (b"", b"x", b"[]", kernels, *map(b"\n".join, parts), *whole):
        processes.plans[key] = wrong
        processes.begin()
        assert not filled(processes.compiled(softmax, given)), wrong
        processes.begin()
        assert filled(processes.compiled(softmax, given))


def test_what_the_passes_are_told_is_part_of_the_key(processes: Processes) -> None:
    given = arrays((2000,))
    plans = [processes.compiled(lambda x: ops.EXP(x), given, aliases).plan for aliases in ((), (0,))]
    assert [plan.aliases for plan in plans] == [(-1,), (0,)] and len(processes.plans) == 2


def test_ops_of_a_user_are_not_kept(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may mean something else by their names."""
    mine = replace(ops.EXP, ulp=2.0)
    monkeypatch.setitem(ops.REGISTRY, "exp", mine)
    processes.compiled(lambda x: mine(x), arrays((20,)))
    assert not processes.plans


PROGRAM = """
import sys
sys.path[:0] = {path!r}
import numpy as np
import lucid
from lucid.compiler import pipeline
from lucid.runtime import load
runs, passes = [], pipeline.run_passes
pipeline.run_passes = lambda *args: runs.append(1) or passes(*args)
step = lucid.compile(lucid.value_and_grad(lambda x, y: lucid.nn.functional.huber_loss(lucid.exp(x) * 1.5, y)))
x = np.linspace(0, 1, 1000, dtype=np.float32)
found = [step(lucid.tensor(x), lucid.tensor(x[::-1].copy()))[1].numpy() for _ in range(3)]
y = (lucid.tensor(x) + 1).sum().item()
seldom = {{"json", "lucid.nn.layers", "lucid.random", "lucid.sequences", "lucid.compiler.cpu.lowering"}}
print(found[2].tobytes().hex()[:999], y, len(runs), load.compiles(), len(seldom & {{*sys.modules}}))
"""


def test_a_second_process_runs_no_pass_and_imports_what_it_needs(tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(path=[p for p in sys.path if p])],
            env=os.environ | {"LUCID_CACHE_DIR": str(tmp_path / "cache"), "LUCID_VERIFY": "0"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    (*values, runs, compiles, _), (*again, no_runs, no_compiles, seldom) = said
    assert values == again and int(runs) == 2 and int(compiles) >= 2
    assert no_runs == no_compiles == seldom == "0"
