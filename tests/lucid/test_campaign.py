"""`python -m lucid fuzz`: the same programs for a seed; what is planted is found, made small, written."""

from __future__ import annotations

import io
import multiprocessing
import random
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.cli.main import main
from lucid.compiler import ops
from lucid.runtime import pool
from lucid.testing import assert_same_bits, campaign, draws, oracle
from lucid.testing.campaign import look, program_of, small
from lucid.testing.crossed import environment
from lucid.testing.draws import Draw
from lucid.testing.family import Family, Fault
from lucid.testing.oracle import examine
from lucid.testing.program import Program, difference, listing, minimise, shortened
from lucid.testing.training import states_apart, taken

pytestmark = pytest.mark.report

X = (np.arange(60, dtype="float32").reshape(4, 15) + 1) / 7
PROGRAM = Program(
    {"x0": X, "x1": X + 1},
    (
        ("v0", "x0 * 2"),
        ("v1", "v0 - x1"),
        ("v2", "L.maximum(v1, x0)"),
        ("v3", "v2.sum(axis=0)"),
        ("v4", "x1 + 1"),
    ),
    ("v3", "v4"),
    frozenset(("x0", "x1", "v0", "v1", "v2", "v4")),
)


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


def test_programs_of_a_seed() -> None:
    for k in (0, 3):
        (a, smooth), (b, _) = program_of(5, k), program_of(5, k)
        assert a.text() == b.text() and smooth == (k == 3)
        assert_same_bits(dict(a.inputs), dict(b.inputs))
    assert program_of(6, 0)[0].text() != program_of(5, 0)[0].text()


def test_long_draws_of_programs_with_many_axes_are_not_too_long() -> None:
    """540,000 to the fourth power is a negative number of 64 bits: NumPy was asked for such an array."""
    program = Program({"x0": np.ones((3, 3, 3, 3))}, (("v0", "x0 * 2"),), ("v0",), frozenset(("x0", "v0")))
    for seed in range(20):
        assert draws.huge_sizes(program, random.Random(seed)) == ((3, 3, 3, 3),)
    huge = ((540_000,) * 4,)
    assert draws.redrawn(program, huge, random.Random(0), {}, draws.MOST_HUGE) is None


def test_gradients_of_a_program_whose_outputs_are_all_empty() -> None:
    """They are empty or zeros: the loss had been None there, and the campaign ended."""
    program = Program({"x0": X[:0]}, (("v0", "L.sin(x0)"),), ("v0",), frozenset(("x0",)))
    family = Family(program, smooth=True)
    assert family.fault(Draw(program, {}, 1, False, True, False, 0)) is None
    assert family.branches(program)


@pytest.mark.parametrize(
    ("x", "statements"),
    [
        (X[:2, :2], (("v0", "x0[:, None, :]"), ("v1", "v0.argmax(axis=None)"))),
        (X, (("v0", "x0[:, :, None]"), ("v1", "L.sort(v0.reshape(-1, 20), axis=0)"))),
        (X, (("v0", "x0[0, -12:-1:3]"), ("v1", "v0.reshape(-1, 4)[::-1, :]"))),
        (X[0], (("v0", "x0[[14]]"), ("v1", "v0[[0, -1]]"))),
        (X - X.mean(), (("v0", "x0.sum(axis=1) + 1e-7"), ("v1", "v0.sum()"))),
    ],
    ids=["reshapes of one element", "reshapes", "reshape of a slice", "subscripts of a cut", "cancellation"],
)
def test_what_was_no_fault(x: Any, statements: tuple[tuple[str, str], ...]) -> None:
    """Compiled without what simplifies, reshapes of reshapes had ended the fuzzer; subscripts outside of what
    a graph was cut to had been compared; sums that cancel were held to a tighter bound than NumPy's own."""
    program = Program({"x0": x}, statements, ("v1",), frozenset(("x0", "v0")))
    for number in range(2):
        assert examine(program, False, number).fault is None
    assert Family(program, smooth=False).fault(Draw(program, {}, 1, False, False, False, 0)) is None


def test_products_some_of_which_are_denormal_are_held_to_what_they_lose() -> None:
    """A lane multiplies elements 0 and 64 first: two small ones, of whose product few bits are left."""
    x = np.ones((2, 128), "float32")
    x[:, [0, 64]], x[:, [1, 65, 2, 66]] = 3.3e-22, 5.1e10
    program = Program({"x0": x}, (("v0", "x0.prod(axis=1)"),), ("v0",), frozenset(("x0",)))
    (got,) = lucid.compile(lambda x: (x.prod(axis=1),))(x)
    assert abs(got.numpy()[0] / x[0].astype("float64").prod() - 1) > 1e-4
    assert examine(program).fault is None


def test_a_right_program_has_no_fault() -> None:
    for layout in range(len(lucid.testing.LAYOUTS)):
        seen = examine(PROGRAM, layout=layout, texts=layout == 0)
        assert seen.fault is None
        assert ("sub", "f32") in seen.features
        assert any(f[0] == "mode" for f in seen.features) == (layout == 0)


def test_some_programs_of_a_seed_have_no_fault(tmp_path: Path) -> None:
    outcome = campaign.run(60, 1, corpus=str(tmp_path), most=6, out=io.StringIO(), draws=3)
    assert any(p.name.startswith("reached-") for p in tmp_path.iterdir())
    assert outcome.programs == 6 and outcome.structures == 2 and not outcome.found
    said = list(campaign.report(outcome, 1))
    assert said[0].startswith("seed 1: 6 programs in") and said[-1] == "no fault"


def wrong_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """`max` that is off by one part in a thousand in what is compiled."""
    op, slot = ops.REGISTRY["max"], type(ops.REGISTRY["max"]).lower
    right = op.lower

    def lower(b: Any, args: Any, *rest: Any) -> Any:
        value = right(b, args, *rest)
        return b.op("mul", value, b.imm(1.001, value)) if value.dtype.is_float else value

    slot.__set__(op, lower)
    monkeypatch.setattr(wrong_maximum, "undo", lambda: slot.__set__(op, right), raising=False)


@pytest.mark.usefixtures("afresh")
def test_a_wrong_op_is_found_made_small_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "program_of", lambda seed, k: (PROGRAM, False))
    monkeypatch.setattr(campaign, "look", lambda draw, family=None: examine(draw.program, texts=False))
    wrong_maximum(monkeypatch)
    try:
        outcome = campaign.run(60, 9, corpus=str(tmp_path), out=io.StringIO())
        (found,) = outcome.found
        assert outcome.programs == 1 and found.fault.kind == "bounds"
        assert [e for _, e in found.draw.program.statements] == ["L.maximum(v1, x0)"]  # nothing else is left
        assert {a.shape for a in found.draw.program.inputs.values()} == {(1, 1)}
        assert "`max` at" in found.fault.text
        (path,) = outcome.files
        assert path.endswith("fault-9-0-0.py") and Path(path).read_text() == found.script
        with pytest.raises(SystemExit) as left:  # as long as the fault is there
            runpy.run_path(path)
        assert left.value.code is True
    finally:
        wrong_maximum.undo()  # type: ignore[attr-defined]


def test_the_script_runs_alone_and_sees_that_the_fault_is_gone(tmp_path: Path) -> None:
    script = tmp_path / "fault.py"
    script.write_text(
        campaign.script_of(Draw(PROGRAM, {"x0": "columns"}, 2, True), Fault("bounds", "what was\nwrong"))
    )
    run = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert run.returncode == 0 and run.stdout.endswith("nothing is wrong\n"), run.stderr


STEPS = [("_threads", "threads"), ("_calls", "calls"), ("_certificate", "certificate"), ("_texts", "text")]


@pytest.mark.parametrize("step, kind", STEPS)
def test_what_any_comparison_says_is_a_fault(step: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, step, lambda *given: "they differ")
    assert examine(PROGRAM).fault == Fault(kind, "they differ")

    def broken(*given: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(oracle, step, broken)
    assert examine(PROGRAM).fault == Fault(f"{kind}, ZeroDivisionError", "by zero")


def test_a_program_that_means_something_else_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front end: the graph is right, and yet not what NumPy computes."""
    monkeypatch.setattr(lucid, "minimum", lambda a, b: a)
    fault = examine(replace(PROGRAM, statements=(("v0", "L.minimum(x0, 3)"),), outputs=("v0",))).fault
    assert fault is not None and fault.kind == "NumPy" and "v0" in fault.text


def test_flops_that_are_counted_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cost` had counted what the graph says: of what kernels compute once, an operation for each element."""
    assert lucid.compile(lambda x: (x - x.mean()) ** 2).cost(X).flops == 60 + 1 + 60 + 60
    monkeypatch.setattr(oracle, "weight", lambda op: 2)
    fault = examine(PROGRAM).fault
    assert fault is not None and fault.kind == "cost"
    assert "300 flops" in fault.text and "600 flops" in fault.text


def test_a_state_that_becomes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    statements = (("v0", "x0 * 2"), ("v1", "L.minimum(v0, x1)"), ("v2", "v1 - v0"))
    program = replace(PROGRAM, statements=statements, outputs=("v1", "v2"))
    assert taken(program) == {"x0": "v2", "x1": "v1"}
    assert examine(program, layout=2).fault is None and states_apart(program) is None
    monkeypatch.setattr(lucid, "minimum", lambda a, b: a)
    assert "step 0: v1" in (states_apart(program) or "")


def test_smooth_programs_have_right_gradients() -> None:
    wide = replace(PROGRAM, inputs={n: a.astype("float64") for n, a in PROGRAM.inputs.items()})
    assert examine(wide, smooth=True, texts=False).fault is None


def test_numpy_adds_and_scans_halves_in_halves() -> None:
    """It rounds at each step, lucid once: what is left where the sums cancel was called a fault."""
    x = np.random.default_rng(1).normal(size=129).astype(np.float16)
    y = (0.05 - np.cumsum(x.astype(float))).astype(np.float32)
    statements = (("v0", "L.cumsum(x0, axis=0)"), ("v1", "(v0 + x1).mean(axis=None, keepdims=False)"))
    program = Program({"x0": x, "x1": y}, statements, ("v1",), frozenset(("x0", "x1")))
    assert Family(program, smooth=False).fault(Draw(program, {}, 1, False, False, False, 0)) is None
    sums = ("x0.sum(axis=0)", "x0.mean(axis=0)", "at(x0)[(x0[:, 0] < 9) * -1].add(x0 * 1)")
    for text in ("L.cumsum(x0, axis=0)", *sums):  # of which the last is near 0
        for seed in range(20):
            x = np.random.default_rng(seed).normal(size=(300, 2)).astype(np.float16)
            x[-1] = -np.sum(x[:-1], axis=0, dtype=float)
            program = Program({"x0": x}, (("v0", text), ("v1", "v0[-1:]")), ("v1",), frozenset(("x0",)))
            assert Family(program, smooth=False).fault(Draw(program, {})) is None, text


@pytest.mark.parametrize("text", ["L.signbit(-x0)", "L.copysign(x1, -x0)", "L.copysign(x1, x0 * -2)"])
def test_nobody_promises_the_sign_of_nan(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was compared with NumPy's where `signbit` shows it; of numbers it still is."""
    x = np.array([np.nan, 1, -2], np.float16)
    program = Program({"x0": x, "x1": abs(x)}, (("v0", text),), ("v0",), frozenset(("x0", "x1", "v0")))
    assert Family(program, smooth=False).fault(Draw(program, {})) is None
    other = {"L.signbit": lambda a, *b: lucid.isnan(a), "L.copysign": lambda a, b: a * lucid.sign(b) * 2}
    right = {"L.signbit": "signbit", "L.copysign": "copysign"}[text.partition("(")[0]]
    monkeypatch.setattr(lucid, right, other["L." + right])
    assert Family(program, smooth=False).fault(Draw(program, {})) is not None


def test_numpy_spreads_no_values_over_a_longer_index() -> None:
    """lucid refuses what is scattered by an index that is longer than it; so NumPy's part has to."""
    text = "scattered(x0, 0, ((x0 < x1).astype('int64') * 5 + 3) % x0.shape[0], x0 * 2)"
    x, y = np.array([[3, -2]], np.float32), np.array([[1], [2], [3]], np.float32)
    fits = Program({"x0": x, "x1": y[:1]}, (("v0", text),), ("v0",), frozenset(("x0", "x1", "v0")))
    assert draws.holds(fits) and look(Draw(fits, {})).fault is None
    assert not draws.holds(replace(fits, inputs={"x0": x, "x1": y}))


def test_what_comes_to_one_place_is_rounded_as_often() -> None:
    """The bound of what is scattered counted elements for each result, not for those that they come to."""
    text = "scattered(x0, 1, ((x0 < 7).astype('int64') * 5 + 2)[:-1, ::2], x0[:-1, ::2] * 2)"
    x = np.random.default_rng(0).random((96, 96)).astype(np.float32) ** 4 * 3
    program = Program({"x0": x}, (("v0", text),), ("v0",), frozenset(("x0",)))
    assert draws.holds(program) and look(Draw(program, {})).fault is None


def test_smaller_programs() -> None:
    def fails(program: Program) -> bool:
        """A maximum of at least 8 elements."""
        values = program.run(np, program.inputs)
        return any("maximum" in e and np.size(values[name]) >= 8 for name, e in program.statements)

    least = shortened(minimise(PROGRAM, fails), fails)
    assert [e for _, e in least.statements] == ["L.maximum(v1, x0)"]
    assert 8 <= max(a.size for a in least.inputs.values()) < 16


def test_a_listing_makes_the_same_program() -> None:
    known: dict[str, Any] = {"np": np, "Program": Program, "nan": np.nan, "inf": np.inf}
    exec(listing(PROGRAM), known)
    assert known["program"].text() == PROGRAM.text() and known["program"].exact == PROGRAM.exact
    assert_same_bits(dict(known["program"].inputs), dict(PROGRAM.inputs))


def test_an_unexpected_kind_of_fault_is_not_taken_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = iter(["text", "calls"] * 500)
    monkeypatch.setattr(
        campaign, "look", lambda draw, family=None: oracle.Seen(Fault(next(kinds), "x"), frozenset())
    )
    _, fault = small(Draw(PROGRAM, {}), Fault("bounds", "first"), budget=10)
    assert fault == Fault("bounds", "first")


def test_differences() -> None:
    one = np.ones(3, "float32")
    assert difference("v", one, one, True, 4) is None and difference("v", one, one + 1e-5, False, 4) is None
    assert "exact=True" in (difference("v", one, one + np.float32(1e-6), True, 4) or "")
    assert "not float64" in (difference("v", one, one.astype("float64"), True, 4) or "")


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["fuzz", "--seconds", "60", "--programs", "2", "--seed", "3"])
    assert capsys.readouterr().out.splitlines()[-1] == "no fault"
    monkeypatch.setattr(campaign, "program_of", lambda seed, k: (PROGRAM, False))
    monkeypatch.setattr(oracle, "_threads", lambda side: "they differ")
    with pytest.raises(SystemExit) as left:
        main(["fuzz", "--seconds", "60", "--corpus", str(tmp_path)])
    assert left.value.code == 1
    printed = capsys.readouterr().out
    assert "draw 0 of structure 0: threads: they differ" in printed and printed.endswith("1 faults\n")


def test_workers_end_with_who_began_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """They went on for hours after a run that was killed, or waited for it to read what they had told."""
    stop = multiprocessing.get_context("spawn").Event()
    left: list[bool] = []
    queue = SimpleNamespace(cancel_join_thread=lambda: left.append(True))
    assert not campaign.ended(stop, queue) and not left
    gone = SimpleNamespace(is_alive=lambda: False)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: gone)
    assert campaign.ended(stop, queue) and left
    monkeypatch.undo()
    stop.set()
    assert campaign.ended(stop, queue) and len(left) == 1


def test_jobs_share_the_programs(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "lucid",
        "fuzz",
        "--jobs=2",
        "--programs=4",
        "--draws=2",
        "--seconds=60",
        "--seed=1",
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 0 and "seed 1: 4 programs" in run.stdout, run.stderr


def test_the_environment_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_CHECK", "0")
    monkeypatch.delenv("LUCID_NOTHING", raising=False)
    import os

    with environment({"LUCID_CHECK": "1", "LUCID_NOTHING": "1"}):
        assert os.environ["LUCID_CHECK"] == os.environ["LUCID_NOTHING"] == "1"
    assert os.environ["LUCID_CHECK"] == "0" and "LUCID_NOTHING" not in os.environ
    assert look(Draw(PROGRAM, {})).fault is None
