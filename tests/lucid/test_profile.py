"""`compiled.profile(...)`: times beside limits, on copies; and the trace file."""

from __future__ import annotations

import json
import mmap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.compiler.passes import chain
from lucid.optim import Adam
from lucid.runtime import counters, execute, peaks, timing, watch

pytestmark = pytest.mark.report

X = np.linspace(-1, 1, 64 * 48, dtype="f").reshape(64, 48)


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the passes, and small measurements."""
    monkeypatch.setattr(timing, "SECONDS", 0.02)
    monkeypatch.setattr(peaks, "MOST", 1 << 20)
    monkeypatch.setattr(peaks, "RUNS", 2)


def test_every_kernel_has_a_time_and_a_limit() -> None:
    f = lucid.compile(lambda x: ((x @ x.T).sum(axis=1), (x * 2).exp().T.reshape((64, 48))))
    found = f.profile(X)
    assert {t.kernel.name for t in found.kernels} == {k.name for k in f.explain().kernels}
    assert [t.kernel.group for t in found.kernels] == sorted(t.kernel.group for t in found.kernels)
    assert sum(t.share for t in found.kernels) == pytest.approx(1)
    for t in found.kernels:
        assert 0 <= t.low <= t.seconds <= t.high and t.limit == max(t.by_memory, t.by_arithmetic) > 0
        assert t.by_memory == t.kernel.bytes / peaks.bandwidth(t.kernel.bytes, t.kernel.threads)
    product = next(t for t in found.kernels if t.kernel.mode == "product")
    assert product.by_arithmetic >= 2 * 64 * 64 * 48 / peaks.multiply_adds(product.kernel.threads)
    assert found.passes >= 4 and found.step > 0


def test_its_table_is_sorted_and_limited() -> None:
    f = lucid.compile(lambda x, y: (x.exp().sum(), (y @ y.T).sum(axis=0), (x @ x.T).sum(axis=1)))
    found = f.profile(np.ones((3, 4), "f"), np.ones((40, 30), "f"))
    names = [t.kernel.name for t in found.kernels]
    assert len(names) > 3

    def told(**options: Any) -> list[str]:
        rows = (line.split()[0] for line in found.table(**options).splitlines())
        return [word for word in rows if word in names]

    assert told(sort_by="order") == names and told(sort_by="name") == sorted(names)
    assert told() == [t.kernel.name for t in sorted(found.kernels, key=lambda t: -t.seconds)]
    assert told(row_limit=2) == told()[:2]
    assert f"and {len(names) - 2} more kernels: " in found.table(row_limit=2)
    with pytest.raises(ValueError, match=r"\.py:\d+: table: unknown sort_by 'cost'; expected one of time"):
        found.table(sort_by="cost")


def test_doubles_have_half_of_the_peak() -> None:
    f = lucid.compile(lambda x: x * 3 + 1)
    single, double = (f.profile(X.astype(kind)).kernels[0] for kind in ("f4", "f8"))
    assert double.by_arithmetic == pytest.approx(2 * single.by_arithmetic)


def test_the_table_names_the_slowest_first() -> None:
    f = lucid.compile(lambda x: ((x @ x.T) @ x, x[0] + 1))
    found = f.profile(X)
    lines = str(found).splitlines()
    assert f"medians of {found.passes} passes" in lines[0] and lines[1].startswith("kernel ")
    slowest = max(found.kernels, key=lambda t: t.seconds)
    assert len(lines) == 2 + len(found.kernels) + bool(found.missing)
    assert lines[2].startswith(slowest.kernel.name)
    assert "test_profile.py:" in lines[2] and " % " in lines[2]


def test_nothing_that_anybody_sees_changes() -> None:
    lucid.manual_seed(1)
    model = nn.Sequential(nn.Linear(48, 32), nn.Dropout(0.5), nn.ReLU(), nn.Linear(32, 1))
    opt = Adam(model.parameters())
    calls = 0

    @lucid.compile
    def step(x: Any) -> Any:
        nonlocal calls
        calls += 1
        opt.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    def state() -> list[Any]:
        parts = [p.numpy().copy() for p in model.parameters()]
        grads = [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]
        return [*parts, *grads, np.array(lucid.random.get_state())]

    for _ in range(2):
        step(X)
    before, arguments = state(), X.copy()
    found = step.profile(X)
    assert len(found.kernels) == len(step.explain().kernels)
    for old, new in zip(before, state(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(X, arguments)


def test_it_profiles_what_was_never_called_and_runs_nothing_of_it() -> None:
    w = Tensor(np.ones(48, "f"))

    @lucid.compile
    def step(x: Any) -> None:
        nonlocal w
        w *= x[0]

    step.profile(X)
    assert step.traces == 1 and (w.numpy() == 1).all()


def test_times_of_a_plan_come_with_its_results() -> None:
    f = lucid.compile(lambda x: ((x * 2).exp().T.reshape((64, 48)) - 1, x @ x.T))
    want = [t.numpy() for t in f(X)]
    made = f._last().executable.executables()[0]
    plan = made.native
    assert isinstance(plan, execute.Executable)
    got = timing.times(plan, [X])
    assert len(got.spans) == len(got.whole) >= 4 and got.units == [1] * len(plan.plan.launches)
    assert all(len(one) == len(got.units) for one in got.spans)
    for array, pick in zip(want, made.compiled.picks, strict=True):
        np.testing.assert_array_equal(got.outputs[pick].reshape(array.shape), array)


def test_kernels_that_go_by_strips_are_one(afresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "LEAST_BYTES", 0)
    monkeypatch.setattr(chain, "LEAST_ROWS", 12)
    x, w = np.ones((512, 48), "f"), np.ones((48, 64), "f")
    f = lucid.compile(lambda x, w: (x @ w).exp() @ w.T)
    found = f.profile(x, w)
    (only,) = found.kernels
    assert only.kernel.name == " + ".join(k.name for k in f.explain().kernels)
    assert only.kernel.bytes == 2 * (x.nbytes + w.nbytes)  # nothing of what lies between
    assert f"{only.kernel.name}  " in str(found)


def test_threads_note_what_they_run() -> None:
    f = lucid.compile(lambda x: ((x * 2).exp().sum(axis=0), (x @ x.T).max()))
    found = f.profile(np.ones((700, 900), "f"))
    for t in found.kernels:
        assert 1 <= len(t.busy) <= max(t.kernel.threads, 1) and list(t.busy) == sorted(t.busy, reverse=True)
        assert 0 < t.balance <= 1 and t.balance == sum(t.busy) / (t.kernel.threads * t.busy[0])
        assert t.busy[0] < 5 * t.high
    row = next(line for line in str(found).splitlines() if line.startswith(found.kernels[0].kernel.name))
    many = found.kernels[0].kernel.threads > 1
    assert f"{100 * found.kernels[0].balance:.0f} %" in row if many else "  -  " in row


def test_a_log_without_room_says_nothing() -> None:
    log = watch.Log()
    log.begin()
    assert log.parts() == []
    log._words[0] = watch.ROOM + 1
    assert log.parts() is None
    log._words[:11] = 3, watch.ROOM, 7, 100, 400, 8, 100, 200, 7, 500, 600
    parts = log.parts()
    assert parts is not None and [thread for thread, _, _ in parts] == [7, 8, 7]
    assert watch.busy(parts) == pytest.approx((400e-9, 100e-9)) and watch.busy([]) == ()


def test_counters_of_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    events = {"time": (counters.SOFTWARE, 1), "faults": (counters.SOFTWARE, 2)}
    monkeypatch.setattr(counters, "EVENTS", events)
    try:
        counting = counters.Counters()
    except counters.Unavailable as error:
        pytest.skip(f"perf_event_open: {error}")
    before = counting.read()
    with mmap.mmap(-1, 1 << 22) as pages:  # that nobody has touched
        pages[:: mmap.PAGESIZE] = bytes((1 << 22) // mmap.PAGESIZE)
    began = time.thread_time_ns()
    while time.thread_time_ns() - began < 2_000_000:
        pass
    (ns, faults), names = (b - a for a, b in zip(before, counting.read(), strict=True)), counting.names
    assert names == ("time", "faults") and ns > 1e6 and faults >= 1
    counting.close()


def test_counters_that_are_there_are_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "EVENTS", {"page faults": (counters.SOFTWARE, 2)})
    found = lucid.compile(lambda x: x * 3).profile(X)
    if found.missing:
        pytest.skip(f"perf_event_open: {found.missing}")
    assert "page faults" in str(found).splitlines()[1] and set(found.kernels[0].counts) == {"page faults"}


def test_why_there_are_no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_CALLS", {})
    found = lucid.compile(lambda x: x * 3).profile(X)
    assert found.missing == "they are read on Linux alone, on x86-64 and AArch64"
    assert str(found).endswith(f"no counters of the processor: {found.missing}")
    assert found.as_dict()["missing"] == found.missing and found.kernels[0].counts == {}


def test_functions_in_which_a_library_takes_part() -> None:
    f = lucid.compile(lambda x: lucid.linalg.inv(x @ x.T + np.eye(3, dtype="f8")).sum())
    found = f.profile(X[:3].astype("f8"))
    assert len([t for t in found.kernels if t.kernel.mode != "library"]) == len(f.explain().kernels) >= 2


def test_the_trace_is_what_perfetto_reads(tmp_path: Path) -> None:
    found = lucid.compile(lambda x: ((x @ x.T) @ x).sum()).profile(X)
    found.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    heads = [(e["pid"], e["name"]) for e in events if e["ph"] == "M"]
    assert heads[:4] == [(pid, f"{what}_name") for pid in (1, 2) for what in ("process", "thread")]
    parts = [e for e in events if e["ph"] == "X" and e["pid"] == 2]
    assert {e["name"] for e in parts} == {t.kernel.name for t in found.kernels}
    assert len(parts) >= len(found.kernels) and all(e["ts"] >= 0 and e["dur"] >= 0 for e in parts)
    assert {e["tid"] for e in parts} == set(range(len(heads) - 3))
    spans = [e for e in events if e["ph"] == "X" and e["pid"] == 1]
    assert len(spans) == len(found.kernels) * min(10, found.passes)
    ends = [e["ts"] + e["dur"] for e in spans]
    assert all(e["ts"] >= 0 and e["dur"] >= 0 and e["args"]["bytes"] > 0 for e in spans)
    assert all(end <= e["ts"] for end, e in zip(ends, spans[1:], strict=False))  # one at a time
    with pytest.raises(OSError):
        found.trace(tmp_path / "no" / "trace.json")


def test_the_same_as_plain_data() -> None:
    found = lucid.compile(lambda x: x.exp().sum()).profile(X)
    data = found.as_dict()
    assert json.loads(json.dumps(data)) == data and data["kernels"][0]["seconds"] == found.kernels[0].seconds


def test_a_function_without_kernels() -> None:
    found = lucid.compile(lambda x: x).profile(X)
    assert found.kernels == () and str(found).count("\n") == 1


def test_only_of_this_cpu() -> None:
    f = lucid.compile(lambda x: x * 2, device="ptx-sim")
    with pytest.raises(ValueError, match=r"test_profile.py:\d+: profile: .*'ptx-sim'"):
        f.profile(X)


def test_limits_of_the_machine() -> None:
    assert peaks.bandwidth(1, 1) == peaks.bandwidth(peaks.LEAST, 1) > 1e8
    assert peaks.bandwidth(1 << 40, 1) == peaks.bandwidth(peaks.MOST, 1) > 1e8
    assert peaks.multiply_adds(2) >= peaks.multiply_adds(1) > 1e8
