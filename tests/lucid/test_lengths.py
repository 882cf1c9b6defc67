"""Sequences that grow, batches and images of many sizes: how often LLVM is asked, and that no bit depends on
what was compiled before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import engine, nn
from lucid.compiler import pipeline
from lucid.runtime import load

Array = np.ndarray[Any, Any]
Step = Callable[..., tuple[lucid.Tensor, lucid.Tensor, lucid.Tensor]]


# Compiles are counted: kernels that others have left, here or on disk, would be none.
pytestmark = pytest.mark.usefixtures("afresh")


def normal(*shape: int) -> Array:
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def attend(x: lucid.Tensor, w: lucid.Tensor, keys: lucid.Tensor, values: lucid.Tensor) -> Any:
    """A token more: two heads of eight, over all keys that there are."""
    q, k, v = lucid.split(x @ w, 3, axis=-1)
    keys, values = lucid.concatenate([keys, k], axis=1), lucid.concatenate([values, v], axis=1)
    heads = [t.reshape(t.shape[0], t.shape[1], 2, 8).transpose(0, 2, 1, 3) for t in (q, keys, values)]
    weights = lucid.softmax(heads[0] @ heads[1].transpose(0, 1, 3, 2), axis=-1)
    out = (weights @ heads[2]).transpose(0, 2, 1, 3).reshape(x.shape[0], 1, 16)
    return x + out, keys, values


def generate(step: Step, tokens: int) -> tuple[list[Array], list[int]]:
    """What comes of each, and the compiles until then."""
    w, x = lucid.tensor(normal(16, 48) / 4), lucid.tensor(normal(2, 1, 16))
    keys = values = lucid.zeros((2, 1, 16))
    results, counts, before = [], [], load.compiles()
    for _ in range(tokens):
        x, keys, values = step(x, w, keys, values)
        results.append(x.numpy())
        counts.append(load.compiles() - before)
    return results, counts


def test_generation_with_a_growing_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    results, counts = generate(lucid.compile(attend), 70)
    assert counts[-1] == counts[6] <= 14, counts
    eager, counts = generate(attend, 40)
    assert counts[-1] == counts[12] <= 12, counts
    pipeline._TEMPLATES.clear()
    monkeypatch.setattr(pipeline, "TEMPLATES", 0)  # nothing varies: literals for each length
    fixed, counts = generate(lucid.compile(attend), 20)
    assert counts[-1] > 8, counts
    for found in (eager, fixed):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found, results, strict=False))


def test_batches_of_many_sizes() -> None:
    """A step of training; where the batch runs along memory it would be a literal."""
    w, v = lucid.tensor(normal(6, 16)), lucid.tensor(normal(16, 5))

    def loss(w: lucid.Tensor, v: lucid.Tensor, x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
        return nn.functional.cross_entropy(lucid.maximum(x @ w, 0) @ v, y)

    slopes: Callable[..., Any] = lucid.compile(lucid.value_and_grad(loss, argnums=(0, 1)))
    counts, before = list[int](), load.compiles()
    for n in (*range(1, 14), 64, 16, 20, 33, 47):
        value, _ = slopes(w, v, normal(n, 6), np.arange(n) % 5)
        assert np.isfinite(value.numpy())
        counts.append(load.compiles() - before)
    assert counts[-1] <= counts[4] + 2, counts  # a batch of 16 is as long as what is hidden


def test_images_of_many_sizes() -> None:
    kernel, counts, before = lucid.tensor(normal(4, 3, 3, 3)), list[int](), load.compiles()
    conv = nn.functional.conv2d
    layer = lucid.compile(lambda x: lucid.maximum(conv(x, kernel, padding=1), 0).mean((2, 3)))
    for n in (*range(1, 14), 64, 20, 33):
        assert layer(normal(2, 3, n, n)).shape == (2, 4)
        counts.append(load.compiles() - before)
    assert counts[-1] == counts[7], counts


def test_threads_that_meet_different_lengths() -> None:
    softmax = lucid.compile(lambda x: lucid.softmax(x * 3, axis=-1))
    found: dict[int, bytes] = {}

    def run(first: int) -> None:
        for n in range(first, 60, 4):
            found[n] = softmax(normal(3, n)).numpy().tobytes()

    threads = [threading.Thread(target=run, args=(first,)) for first in (2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in (2, 5, 9, 40, 59):
        x = lucid.tensor(normal(3, n))
        assert lucid.softmax(x * 3, axis=-1).numpy().tobytes() == found[n]


_PROCESS = """
import sys, zlib
import numpy as np
import lucid
from lucid.runtime import load
f = lucid.compile(lambda x: lucid.softmax(x, axis=-1) * 2)
found = {}
for n in map(int, sys.argv[1].split(",")):
    x = np.random.default_rng(n).standard_normal((3, n), np.float32)
    found[n] = zlib.crc32(f(x).numpy().tobytes())
print(load.compiles(), *[found[n] for n in sorted(found)])
"""


def test_another_process_meets_lengths_in_another_order(tmp_path: Path) -> None:
    """Kernels of the first are found on disk; which lengths are literals there is another question."""

    def run(lengths: list[int]) -> list[str]:
        given = [sys.executable, "-c", _PROCESS, ",".join(map(str, lengths))]
        env = os.environ | {"LUCID_CACHE_DIR": str(tmp_path), "LUCID_CACHE": "1"}
        return subprocess.run(given, capture_output=True, text=True, check=True, env=env).stdout.split()

    up, down, again = run([*range(1, 65, 3)]), run([*range(64, 0, -3)]), run([*range(1, 65, 3)])
    assert up[1:] == down[1:] == again[1:]
    assert int(up[0]) <= 5 and int(down[0]) <= 3 and int(again[0]) == 0


# --- lengths that stay ---------------------------------------------------------------------------


def scaled(x: lucid.Tensor) -> lucid.Tensor:
    return lucid.softmax(x * 2, axis=-1)


def settled() -> None:
    """Wait for what is compiled again meanwhile."""
    for thread in threading.enumerate():
        if thread.name == engine.SETTLING:
            thread.join()


@pytest.mark.parametrize("way", ["native", "python", "eager"])
def test_a_length_that_stays_has_code_of_its_own(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CALLS", 6)
    monkeypatch.setattr(engine, "BYTES", 1)
    f: Callable[..., lucid.Tensor] = scaled if way == "eager" else lucid.compile(scaled)
    if way == "python":
        f = f._call  # type: ignore[attr-defined]

    def run(n: int) -> bytes:
        return f(lucid.tensor(normal(4, n))).numpy().tobytes()

    for n in (2, 3, 4):
        run(n)
    first, before = run(9), load.compiles()
    for n in range(10, 40):  # each of them but once: nothing stays
        run(n)
    assert load.compiles() == before
    for _ in range(5):
        assert run(9) == first
    assert load.compiles() == before
    if way == "native":
        assert "after 0 more calls with them" in f.explain()  # type: ignore[attr-defined]
    for _ in range(30):
        assert run(9) == first
    settled()
    for _ in range(4):
        assert run(9) == first
    assert load.compiles() == before + 1
    if way == "native":
        assert f.explain().endswith("compiled again for these lengths alone, after 6 calls with them")  # type: ignore[attr-defined]
        if f._native:  # type: ignore[attr-defined]  # it runs natively, still
            assert f._native.latest[-1][0] is f._latest  # type: ignore[attr-defined]
    other = scaled(lucid.tensor(normal(4, 200)))  # no literal would be better: nothing is counted
    for _ in range(10):
        assert scaled(lucid.tensor(normal(4, 200))).numpy().tobytes() == other.numpy().tobytes()
    assert load.compiles() == before + 1


def test_what_a_step_changes_stays_the_same_when_its_plan_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that each call overwrites, also in the call that compiles again."""
    monkeypatch.setattr(engine, "CALLS", 8)
    monkeypatch.setattr(engine, "BYTES", 1)

    class Mean:
        def __init__(self, n: int) -> None:
            self.state = lucid.tensor(np.zeros((4, n), np.float32))

        def step(self, x: lucid.Tensor) -> lucid.Tensor:
            self.state.copy_(lucid.softmax(self.state * 0.5 + x, axis=-1))
            return self.state.sum()

    for n in (3, 4, 5, 7):
        compiled, plain = Mean(n), Mean(n)
        step = lucid.compile(compiled.step)
        for k in range(20):
            x = lucid.tensor(normal(4, n) + k)
            step(x)
            plain.step(x).item()
            if k == 12:
                settled()
        assert compiled.state.numpy().tobytes() == plain.state.numpy().tobytes()
    assert "compiled again for these lengths alone" in step.explain()


def test_threads_at_the_call_that_compiles_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CALLS", 50)
    monkeypatch.setattr(engine, "BYTES", 1)
    f = lucid.compile(scaled)
    for n in (2, 3, 4):
        f(lucid.tensor(normal(4, n)))
    x = lucid.tensor(normal(4, 9))
    expected, wrong = f(x).numpy().tobytes(), list[int]()

    def run() -> None:
        for k in range(100):
            if f(x).numpy().tobytes() != expected:
                wrong.append(k)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settled()
    assert not wrong and "after 50 calls with them" in f.explain()


def test_no_call_waits_for_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go on with the code for any length until the other one is there."""
    monkeypatch.setattr(engine, "CALLS", 6)
    monkeypatch.setattr(engine, "BYTES", 1)
    f, go = lucid.compile(scaled), threading.Event()
    for n in (2, 3, 4):
        f(lucid.tensor(normal(4, n)))
    x = lucid.tensor(normal(4, 9))
    expected = f(x).numpy().tobytes()

    def waiting(*args: Any) -> Any:
        assert threading.current_thread().name == engine.SETTLING
        assert go.wait(60)
        return pipeline.compile_graph(*args)

    monkeypatch.setattr(engine, "compile_graph", waiting)
    for _ in range(40):
        assert f(x).numpy().tobytes() == expected
    assert f.explain().endswith("alone are compiled now")
    go.set()
    settled()
    assert f(x).numpy().tobytes() == expected
    assert "after 6 calls with them" in f.explain()


def test_what_fails_there_is_told_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CALLS", 6)
    monkeypatch.setattr(engine, "BYTES", 1)
    f, told = lucid.compile(scaled), list[Any]()
    for n in (2, 3, 4):
        f(lucid.tensor(normal(4, n)))
    x = lucid.tensor(normal(4, 9))
    expected = f(x).numpy().tobytes()

    def failing(*args: Any) -> Any:
        raise MemoryError("too large")

    monkeypatch.setattr(engine, "compile_graph", failing)
    monkeypatch.setattr(threading, "excepthook", told.append)
    for _ in range(40):
        assert f(x).numpy().tobytes() == expected
    settled()
    assert [str(error.exc_value) for error in told] == ["too large"]
    assert "are compiled" not in f.explain()


_ENDS = """
import os, sys
import numpy as np
import lucid
from lucid import engine
engine.CALLS, engine.BYTES = 6, 1
f = lucid.compile(lambda x: lucid.softmax(x * 2, axis=-1))
x = np.ones((4, 9), np.float32)
for n in (2, 3, 4):
    f(x[:, :n])
for _ in range(8):
    f(x)
if sys.argv[1] == "fork":  # while the thread compiles
    child = os.fork()
    for _ in range(20):
        y = f(x).numpy() + lucid.tensor(x * 3).exp().numpy()
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("way", ["end", "fork"])
def test_processes_that_end_or_fork_meanwhile(way: str, tmp_path: Path) -> None:
    given = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _ENDS, way]
    env = os.environ | {"LUCID_CACHE_DIR": str(tmp_path), "LUCID_CACHE": "1"}
    run = subprocess.run(given, capture_output=True, text=True, env=env, timeout=100)
    assert (run.returncode, run.stderr) == (0, "")
