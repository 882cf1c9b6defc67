"""The benchmarks measure right results, and say what they measured."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import driver, problems, report, worker
from benchmarks.cases import CASES, Mix, Variant, ahead, of_limit, shown, within
from benchmarks.contender import Problem, errors
from benchmarks.driver import Effort, Peer
from benchmarks.peers import PEERS
from benchmarks.samples import Measured, Series, record

SMALL: dict[str, list[dict[str, Any]]] = {
    "huber": [{"n": 10}, {"n": 1001}],
    "huber_call": [{"n": 10}],
    "linear": [{"n": 301, "d": 7}, {"n": 70_000, "d": 2}],
    "rows": [
        {"op": op, "m": 37, "n": 19, "backward": backward}
        for op in ("softmax", "log_softmax", "layer_norm")
        for backward in (False, True)
    ],
    "moves": [{"op": op, "m": 37, "n": 19} for op in ("all", "rows", "columns", "transpose")],
    "adam": [{"n": 60, "tensors": 1}, {"n": 60, "tensors": 3}],
    "mlp": [{"batch": 8, "width": 4, "hidden": 5}],
    "new_batch": [{"batch": 8, "width": 4, "hidden": 5}],
    "scale": [{"program": name, "count": 4} for name in problems.PROGRAMS],
    "region": [{}],
    "busy": [{"n": 1000, "count": 3}],
    "mix": [{"n": 1000, "reads": 2, "writes": 1, "in_place": False}],
}
PROBLEM = {"new_batch": "mlp"}  # under another name
TINY = Effort(0.001, 0.02, 5)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_every_contender_is_right(peer: str) -> None:
    try:
        module = importlib.import_module(f"benchmarks.peers.{PEERS[peer]}")
    except ModuleNotFoundError as error:
        pytest.skip(f"no {error.name}")
    for kind, offer in module.OFFERS.items():
        for params, (label, make) in itertools.product(SMALL[kind], offer.items()):
            if "torch.compile" in label:
                continue  # 10 s each
            problem = problems.make(PROBLEM.get(kind, kind), params)
            try:
                contender = make(problem)
            except NotImplementedError:
                continue
            found = worker.check(problem, contender)
            assert found.keys() == problem.expected().keys(), label


def test_each_case_has_contenders_and_goals() -> None:
    from benchmarks.peers import with_lucid

    for case in CASES.values():
        assert case.fresh or case.variants
        for variant in case.variants:
            assert "lucid" in with_lucid.OFFERS[variant.kind]
            assert variant.kind in problems._MAKE


@pytest.mark.parametrize(
    "found",
    [{}, {"a": np.ones(3)}, {"a": np.array([1.0, 2.1])}, {"a": np.array([1.0, np.nan])}],
)
def test_wrong_results_are_told(found: dict[str, Any]) -> None:
    problem = Problem({}, lambda: {"a": np.array([1.0, 2.0])}, {"a": 1e-2})
    with pytest.raises(ValueError, match="a"):
        errors(problem, found)
    assert errors(problem, {"a": np.array([[1.0], [2.01]])})["a"] == pytest.approx(0.005)


@pytest.mark.parametrize("style", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize(("reads", "writes", "in_place"), [(1, 1, False), (2, 1, False), (4, 3, True)])
def test_loops_move_every_element(
    reads: int, writes: int, in_place: bool, style: tuple[bool, bool, bool]
) -> None:
    from benchmarks.peers.with_loops import STEP, Style, _loop

    params = {"n": 70_001, "reads": reads, "writes": writes, "in_place": in_place}
    contender = _loop(Problem({}, dict, {}, params), Style(*style))
    *arrays, _ = contender.args[0]
    assert arrays[0].size % STEP == 0
    for k, array in enumerate(arrays):
        array[:] = np.arange(array.size) % 1000 + k if k < reads else -1
    expected = sum(a.copy() for a in arrays[:reads])
    contender.call(*contender.args)
    assert len(arrays) == reads + (0 if in_place else writes)
    for array in arrays[-writes:]:
        np.testing.assert_array_equal(array, expected)
        array[:] = 0  # the arrays are shared


def test_a_read_reads_every_element() -> None:
    from benchmarks.peers.with_loops import Style, _loop

    params = {"n": 70_001, "reads": 1, "writes": 0, "in_place": False}
    for style in (Style(), Style(ahead=True), Style(halves=True)):
        contender = _loop(Problem({}, dict, {}, params), style)
        array, sink = contender.args[0]
        array[:], sink[:] = 1, 0  # memory that others have had
        contender.call(*contender.args)
        assert sink.sum() == array.size
        array[:] = 0


@pytest.mark.parametrize("samples", range(3, 22))
def test_samples_are_spread_over_the_rounds(samples: int) -> None:
    plan = driver._Plan(1, 1, samples)
    turns = [turn for turn in range(21) if plan.joins(turn, 21)]
    assert len(turns) == samples
    gaps = np.diff(turns)
    assert gaps.max() - gaps.min() <= 1


def _measured() -> Measured:
    return Measured(
        series={
            "lucid": Series(1, {}, {0: 1.0, 1: 2.0, 2: 4.0}),
            "JAX": Series(1, {}, {0: 3.0, 2: 20.0}),
            "Numba": Series(1, {}, {0: 2.0, 1: 4.0, 2: 8.0}),
            "limit, plain": Series(1, {}, {0: 0.9, 1: 1.8, 2: 3.6}),
            "limit, streaming": Series(1, {}, {0: 0.5, 1: 1.0, 2: 2.0}),
            "copy, plain": Series(1, {}, {0: 0.1}),
        }
    )


def test_ratios_are_taken_within_rounds() -> None:
    found = _measured()
    assert found.median("JAX") == 11.5
    assert found.ratio("JAX", "lucid") == 4.0  # of 3 and 5
    assert found.ratio("NumPy", "lucid") is None
    assert found.fastest("limit") == "limit, streaming"


def test_goals() -> None:
    found = _measured()
    goals = (of_limit(0.9), ahead(2), ahead(5, "JAX"), ahead(1, "PyTorch"), within(2.0))
    judged = record("n", found, goals, 8)["goals"]
    assert [g["reached"] for g in judged] == [False, True, False, None, True]
    assert [g["figure"] for g in judged] == [0.5, 2.0, 4.0, None, 2.0]
    assert [g["against"] for g in judged] == ["limit, streaming", "Numba", "JAX", "", "lucid"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.5, "s", "1.50 s"), (0.0123, "s", "12.3 ms"), (9.999e-4, "s", "1.00 ms"),
        (123.4e-9, "s", "123 ns"), (2.021e8, "bytes", "202 MB"), (3.14159, "times", "3.14×"),
        (0.5, "of the limit", "0.50"), (0, "kernels", "0 kernels"),
    ],
)  # fmt: skip
def test_figures_are_shown(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


@pytest.fixture(scope="module")
def peers() -> Iterator[list[Peer]]:
    started = [Peer(name, 2) for name in ("lucid", "limit", "numpy")]
    yield started
    for peer in started:
        peer.stop()


def test_a_run_from_workers_to_report(peers: list[Peer], tmp_path: Path) -> None:
    goals = of_limit(0.1), ahead(1, "JAX")
    variant = Variant("5,000", "huber", {"n": 5000}, Mix(5000, 2, 1), goals)
    found = driver.measure(peers, variant, TINY)
    for label in ("lucid", "NumPy"):
        assert len(found.series[label].samples) >= driver.LEAST
        assert found.series[label].errors.keys() == {"loss", "gx"}
    assert found.fastest("limit") and found.fastest("copy") and found.fastest("read")
    result = {
        "case": "huber",
        "title": "Huber",
        "machine": {"cpu": "a CPU", "threads": 2, "date": "2000-01-01T00:00:00", "python": "3"},
        "versions": peers[0].versions,
        "missing": {"jax": "jax is not installed"},
        "variants": [record(variant.name, found, goals, 60_000)],
        "quick": True,
    }
    report.save(result, tmp_path)
    report.write(tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| huber | 5,000 | ahead of JAX |  | not measured |" in page
    assert "jax: jax is not installed" in page
    assert "| NumPy |" in page


def test_other_processes_keep_a_cpu_busy_meanwhile() -> None:
    with driver.busy(2, 2) as found:
        assert len(set(found)) == 2
        for process in found:
            os.kill(process, 0)  # it is there
            if hasattr(os, "sched_getaffinity"):
                assert os.sched_getaffinity(process) == {worker.cpus(2)[-1]}
    for process in found:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_worker_that_dies_is_told_and_replaced(peers: list[Peer]) -> None:
    numpy = peers[-1]
    numpy._process.kill()
    numpy._process.join()
    variant = Variant("10", "huber", {"n": 10})
    assert driver.measure(peers, variant, TINY).failed.keys() == {"NumPy"}
    assert "NumPy" in driver.measure(peers, variant, TINY).series
