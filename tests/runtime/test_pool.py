"""Threads: every block runs exactly once, whatever the number of threads, callers and processes."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucid.runtime import limits, load, pool, runner


def launch(name: str, block: str) -> int:
    """The address of a function that does `block` for each block %k, with the first slot in %cells."""
    text = f"""
define void @{name}(ptr %slots, i64 %begin, i64 %end) nounwind {{
entry:
  %cells = load ptr, ptr %slots
  br label %loop
loop:
  %k = phi i64 [ %begin, %entry ], [ %next, %last ]
  %more = icmp slt i64 %k, %end
  br i1 %more, label %block, label %done
block:
{block}
  br label %last
last:
  %next = add i64 %k, 1
  br label %loop
done:
  ret void
}}
"""
    return load.native(text, (name,))[name]


# Counts block k in cell k: a block that ran twice or never shows.
COUNT = """
  %cell = getelementptr i64, ptr %cells, i64 %k
  %old = load i64, ptr %cell
  %new = add i64 %old, 1
  store i64 %new, ptr %cell
"""


class Counting:
    """A program of groups of launches of COUNT, and the cells of each launch of a group."""

    def __init__(
        self, blocks: int, groups: int, *more: int, weights: Sequence[int] = (), function: int = 0
    ) -> None:
        function = function or launch("count", COUNT)
        every = (blocks, *more)
        weights = weights or [1] * len(every)
        record = [len(every), sum(n * w for n, w in zip(every, weights, strict=True)), 1]
        for k, (n, weight) in enumerate(zip(every, weights, strict=True)):
            record += [function, 0, n, weight, 1, 1, 0, 0, k, 0]
        self.program = np.array(record * groups, np.int64)
        self.groups = groups
        self.all_cells = [np.zeros(n, np.int64) for n in every]
        self.cells = self.all_cells[0]

    def run(self, threads: int) -> None:
        launches = len(self.all_cells)
        words = (ctypes.c_int64 * launches)(*(cells.ctypes.data for cells in self.all_cells))
        state = pool.reach(threads)
        runner.runner(True)(
            self.program.ctypes.data,
            self.groups,
            2 + launches * (runner.ROW + 1),
            ctypes.addressof(words),
            state,
            threads,
            0,
        )


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("blocks", [0, 1, 2, 7, 64, 1001])
def test_every_block_runs_once(threads: int, blocks: int) -> None:
    counting = Counting(blocks, 100)
    for _ in range(5):
        counting.run(threads)
    assert (counting.cells == 500).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("blocks", "weights"),
    [
        ((1, 1, 1), (1, 1, 1)),
        ((0, 3, 0, 0, 5, 0), (16, 1, 2, 3, 7, 16)),
        ((1001, 1, 17, 64), (1, 16, 5, 2)),
        (tuple(range(60)), tuple(1 + 7 * k % 16 for k in range(60))),
    ],
)
def test_every_block_of_a_group_runs_once(
    blocks: tuple[int, ...], weights: tuple[int, ...], threads: int
) -> None:
    counting = Counting(blocks[0], 20, *blocks[1:], weights=weights)
    for _ in range(5):
        counting.run(threads)
    for cells in counting.all_cells:
        assert (cells == 100).all()


def test_a_group_is_one_region() -> None:
    grouped, alone = Counting(9, 3, 5, 1, 7), Counting(9, 3)
    grouped.run(2)
    for counting in (grouped, alone):
        before = pool.regions()
        counting.run(2)
        assert pool.regions() - before == 3


def test_after_the_workers_went_to_sleep() -> None:
    counting = Counting(64, 1)
    for k in range(50):
        if k % 5 == 0:
            time.sleep(0.002)  # far longer than they spin
        counting.run(4)
    assert (counting.cells == 50).all()


# Where block k runs: the affinity of its thread in 128 bytes from cell 16 k on, after a while, so that
# workers have the time to come.
WHERE = """
  %first = mul i64 %k, 16
  %cell = getelementptr i64, ptr %cells, i64 %first
  br label %wait
wait:
  %n = phi i64 [ 0, %block ], [ %n.next, %wait ]
  store volatile i64 %n, ptr %cell
  %n.next = add i64 %n, 1
  %early = icmp ult i64 %n.next, 200000
  br i1 %early, label %wait, label %body
body:
  %affinity = inttoptr i64 ADDRESS to ptr
  %size = call i32 %affinity(i32 0, i64 128, ptr %cell)
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs"
)
def test_workers_leave_the_cpu_of_the_caller_that_wakes_them() -> None:
    program = """
import ctypes, os, time
import numpy as np
from tests.runtime.test_pool import WHERE, Counting, launch

def others():
    return {int(t) for t in os.listdir("/proc/self/task")}

def mask(cpus):
    return sum(1 << cpu for cpu in cpus).to_bytes(128, "little")

address = ctypes.cast(ctypes.CDLL(None).sched_getaffinity, ctypes.c_void_p).value
where = Counting(32, 1, function=launch("where", WHERE.replace("ADDRESS", str(address))))
where.all_cells = [np.zeros(32 * 16, np.int64)]

def expect(*running, asleep):
    '''Affinities of the threads that take part, and of the worker when it sleeps again.'''
    for _ in range(50):  # a busy machine may not run the worker in time
        time.sleep(0.02)  # far longer than it spins
        where.run(2)
        time.sleep(0.02)
        found = {cells.tobytes() for cells in where.all_cells[0].reshape(32, 16)}
        if found == set(map(mask, running)) and os.sched_getaffinity(worker) == asleep:
            return
    raise AssertionError((running, found, os.sched_getaffinity(worker)))

every, before = os.sched_getaffinity(0), others()
a, b = sorted(every)[:2]
Counting(64, 1).run(2)
(worker,) = others() - before
for cpu in (a, b, a):
    os.sched_setaffinity(0, {cpu})
    expect({cpu}, every - {cpu}, asleep=every)
os.sched_setaffinity(worker, {a})  # somebody knows better
for cpu in (a, b, a):
    os.sched_setaffinity(0, {cpu})
    expect({cpu}, {a}, asleep={a})
"""
    assert _python(program) == ""


def test_eight_callers_at_once() -> None:
    countings = [Counting(37, 200) for _ in range(8)]

    def call(counting: Counting) -> None:
        for _ in range(20):
            counting.run(3)

    threads = [threading.Thread(target=call, args=(c,)) for c in countings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for counting in countings:
        assert (counting.cells == 4000).all()


def test_more_threads_than_there_can_be() -> None:
    counting = Counting(1000, 3)
    counting.run(10**6)
    assert (counting.cells == 3).all()


def test_without_workers_the_caller_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = pool.Pool()
    alone.failed = True
    monkeypatch.setattr(pool, "_POOL", alone)
    counting = Counting(100, 3)
    assert pool.reach(4) == 0
    counting.run(4)
    assert (counting.cells == 3).all()


def test_a_system_that_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_POOL", pool.Pool())
    monkeypatch.setattr(pool, "_start_thread", lambda *args: False)
    counting = Counting(100, 3)
    counting.run(4)
    assert (counting.cells == 3).all()


def _child(queue: multiprocessing.Queue[bool]) -> None:
    counting = Counting(100, 50)
    counting.run(4)
    queue.put(bool((counting.cells == 50).all()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_processes(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method}")
    Counting(100, 5).run(4)  # the parent has workers
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=_child, args=(queue,)) for _ in range(3)]
    for child in children:
        child.start()
    assert all(queue.get(timeout=60) for _ in children)
    for child in children:
        child.join(timeout=60)
        assert child.exitcode == 0
    Counting(100, 5).run(4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_while_other_threads_run_regions() -> None:
    stop = threading.Event()

    def busy() -> None:
        counting = Counting(50, 500)
        while not stop.is_set():
            counting.run(3)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                try:
                    counting = Counting(100, 50)
                    counting.run(3)
                    os._exit(0 if (counting.cells == 50).all() else 1)
                except BaseException:
                    os._exit(2)
            deadline = time.monotonic() + 60
            while True:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    break
                assert time.monotonic() < deadline, "the child hangs"
                time.sleep(0.005)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _python(program: str, **environ: str) -> str:
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_interpreter_exits_while_threads_work() -> None:
    program = """
import threading, time
from tests.runtime.test_pool import Counting
def busy():
    counting = Counting(50, 2000)
    while True:
        counting.run(4)
threading.Thread(target=busy, daemon=True).start()
Counting(50, 200).run(4)
time.sleep(0.05)
print("bye")
"""
    assert _python(program) == "bye\n"


# --- how many ------------------------------------------------------------------------------------


def test_environment_limits_the_threads() -> None:
    program = "from lucid.runtime import pool; print(pool.get_num_threads())"
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert _python(program, LUCID_NUM_THREADS="1") == "1\n"
    assert _python(program, OMP_NUM_THREADS="1,4") == "1\n"
    most = int(_python(program, OMP_NUM_THREADS="many", LUCID_NUM_THREADS=""))
    assert 1 <= most <= (affinity or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity")
def test_affinity_limits_the_threads() -> None:
    program = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from lucid.runtime import pool
print(pool.get_num_threads())
"""
    assert _python(program) == "1\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/x\n1:memory:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            64,
        ),
        ({"proc/self/cgroup": "nonsense"}, 64),
        ({}, 64),
    ],
)
def test_cgroup_quota(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(limits, "_affinity", lambda: 64)
    assert limits.thread_limit({}, tmp_path) == expected


def test_set_num_threads() -> None:
    before = pool.get_num_threads()
    try:
        pool.set_num_threads(3)
        assert pool.get_num_threads() == 3
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="at least 1"):
                pool.set_num_threads(wrong)
        for kind in (1.5, "2", True):
            with pytest.raises(TypeError, match="must be an int"):
                pool.set_num_threads(kind)  # type: ignore[arg-type]
        assert pool.get_num_threads() == 3
    finally:
        pool.set_num_threads(before)
