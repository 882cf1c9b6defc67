"""What only a new process can show: import, first call, a new batch size, peak memory.

The parent runs `python -m benchmarks.fresh WHAT PEER LABEL` again and again, peer after peer; the
process prints its figures as one line of JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from . import problems
from .cases import MEMORY_ELEMENTS
from .contender import Contender
from .driver import Effort
from .peers import PEERS
from .samples import Measured, Series
from .worker import limit_cpus, reason

TIMEOUT = 300.0
# A contender is asked again until it has used up so many times Effort.share.
PATIENCE = 5
# Programs of `problems.PROGRAMS`, and `adam`, with how often each repeats what it does.
SCALES = {
    "chain": (100, 1000), "means": (50, 100, 200), "softmaxes": (8, 30), "layers": (25, 100),
    "steps": (25, 100), "adam": (25, 100, 400),
}  # fmt: skip
BATCH, NEW_BATCHES = 32, (48, 33, 64, 100, 7, 200)

_IMPORT = """
import sys, time, numpy
start = time.perf_counter()
__import__(sys.argv[1])
print('{"value": %r}' % (time.perf_counter() - start))
"""

# --- the parent ----------------------------------------------------------------------------------


def imports(peers: Mapping[str, str], threads: int, effort: Effort) -> dict[str, Measured]:
    """Seconds of the import of each peer in a process that has imported NumPy."""
    modules = {
        "lucid": ("lucid", "lucid"), "numba": ("Numba", "numba"), "torch": ("PyTorch", "torch"),
        "jax": ("JAX", "jax"), "numexpr": ("numexpr", "numexpr"),
        "sklearn": ("scikit-learn", "sklearn.linear_model"),
    }  # fmt: skip
    found = Measured()
    tasks = {}
    for peer, (label, module) in modules.items():
        if peer in peers:
            tasks[label] = ("imports", peer, module)
    for turn, label, answer in _turns(tasks, threads, effort, {}):
        _note(found, label, turn, answer)
    return {"after NumPy": found}


def first_calls(peers: Mapping[str, str], threads: int, effort: Effort) -> dict[str, Measured]:
    """Seconds of the first call, with an empty disk cache and with the one that it left."""
    found = {"empty cache": Measured(), "warm cache": Measured()}
    labels = {
        "lucid": "lucid", "numba": "Numba, parallel", "jax": "JAX", "torch": "torch.compile",
    }  # fmt: skip
    tasks = {label: ("first_calls", peer, label) for peer, label in labels.items() if peer in peers}
    with tempfile.TemporaryDirectory() as folder:
        for turn, label, answer in _turns(tasks, threads, effort, _caches_in(folder), twice=True):
            kind = "warm cache" if answer.get("again") else "empty cache"
            _note(found[kind], label, turn, answer)
    return found


def scales(peers: Mapping[str, str], threads: int, effort: Effort) -> dict[str, Measured]:
    """Seconds of the first call of programs of several lengths, with an empty disk cache, and with the one
    that it left."""
    labels = {"lucid": "lucid", "jax": "JAX", "torch": "torch.compile"}
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        for program, counts in SCALES.items():
            for count in counts:
                name = f"{program}, {count:,}"
                warm = f"{name}, warm cache"
                found |= {name: Measured(), warm: Measured()}
                tasks = {
                    label: (f"scales:{program}:{count}", peer, label)
                    for peer, label in labels.items()
                    if peer in peers
                }
                turns = _turns(tasks, threads, effort, _caches_in(folder), twice=True, rounds=3)
                for turn, label, answer in turns:
                    _note(found[warm if answer.get("again") else name], label, turn, answer)
    return found


def _caches_in(folder: str) -> Callable[[], dict[str, str]]:
    """Empty disk caches, new ones at each call."""
    return lambda: _caches(tempfile.mkdtemp(dir=folder))


def new_batches(peers: Mapping[str, str], threads: int, effort: Effort) -> dict[str, Measured]:
    """Seconds of the first call for a batch size that a compiled training step has not seen."""
    found = {
        "the first": Measured(),
        "another": Measured(),
        "kernels compiled for them": Measured(unit="kernels"),
    }
    labels = {"lucid": "lucid", "jax": "JAX", "torch": "torch.compile, dynamic"}
    tasks = {label: ("new_batches", peer, label) for peer, label in labels.items() if peer in peers}
    for turn, label, answer in _turns(tasks, threads, effort, {}):
        for name, measured in found.items():
            _note(measured, label, turn, answer, name)
    return found


def peaks(peers: Mapping[str, str], threads: int, effort: Effort) -> dict[str, Measured]:
    """Bytes of resident memory at the peak of a call, less what was there before it."""
    found = Measured(unit="bytes")
    labels = {
        "lucid": ("lucid",), "numba": ("Numba, parallel",), "numpy": ("NumPy",), "jax": ("JAX",),
        "torch": ("PyTorch", "torch.compile"), "numexpr": ("numexpr",),
    }  # fmt: skip
    tasks = {
        label: ("peaks", peer, label)
        for peer, names in labels.items() if peer in peers for label in names
    }  # fmt: skip
    if os.path.exists("/proc/self/clear_refs"):
        for turn, label, answer in _turns(tasks, threads, effort, {}, rounds=3):
            _note(found, label, turn, answer)
    return {"peak": found}


def _turns(
    tasks: Mapping[str, tuple[str, str, str]],
    threads: int,
    effort: Effort,
    environ: Mapping[str, str] | Callable[[], Mapping[str, str]],
    twice: bool = False,
    rounds: int = 9,
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Figures of new processes, one contender after the other, until each has had its share of time.
    `twice` runs each process again in the same environment."""
    spent = dict.fromkeys(tasks, 0.0)
    for turn in range(min(rounds, effort.rounds)):
        for label, task in tasks.items():
            if spent[label] > PATIENCE * effort.share:
                continue
            start = perf_counter()
            extra = environ() if callable(environ) else environ
            for again in range(1 + twice):
                answer = _run(task, threads, extra)
                yield turn, label, answer | {"again": bool(again)}
                if "error" in answer:
                    spent[label] = float("inf")
                    break
            spent[label] += perf_counter() - start


def _run(task: tuple[str, str, str], threads: int, extra: Mapping[str, str]) -> dict[str, Any]:
    what, _, label = task
    command = [sys.executable, "-m", __spec__.name, *task, str(threads)]
    if what == "imports":  # without what this module imports
        command = [sys.executable, "-c", _IMPORT, label]
    environ = {**os.environ, **extra}
    # Peers were compiled to bytecode when they were installed; lucid may run from a checkout.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {TIMEOUT:.0f} s"}
    lines = done.stdout.strip().splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = done.stderr.strip().splitlines()
        return {"error": last[-1][:200] if last else f"ended with {done.returncode}"}
    return answer


def _note(found: Measured, label: str, turn: int, answer: Mapping[str, Any], name: str = "value") -> None:
    if "error" in answer:
        found.failed[label] = answer["error"]
        found.series.pop(label, None)
    elif name in answer:
        found.series.setdefault(label, Series()).samples[turn] = answer[name]


def _caches(folder: str) -> dict[str, str]:
    """Disk caches of every peer in `folder`."""
    return {
        "LUCID_CACHE_DIR": os.path.join(folder, "lucid"),
        "NUMBA_CACHE_DIR": os.path.join(folder, "numba"),
        "TORCHINDUCTOR_CACHE_DIR": os.path.join(folder, "torch"),
        "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


# --- the new process -----------------------------------------------------------------------------


def _first_call(peer: str, label: str) -> dict[str, float]:
    offers = _module(peer).OFFERS["huber_call"]
    problem = problems.make("huber_call", {"n": 1000})
    contender: Contender = offers[label](problem)
    start = perf_counter()
    out = contender.call(*contender.args)
    seconds = perf_counter() - start
    contender.result(out)
    return {"value": seconds}


def _scale(peer: str, label: str, program: str, count: str) -> dict[str, float]:
    """`adam`: a step over so many parameters of 64 elements."""
    kind, params = "scale", {"program": program, "count": int(count)}
    if program == "adam":
        kind, params = "adam", {"n": 64 * int(count), "tensors": int(count)}
    problem = problems.make(kind, params)
    contender: Contender = _module(peer).OFFERS[kind][label](problem)
    start = perf_counter()
    out = contender.call(*contender.args)
    seconds = perf_counter() - start
    contender.result(out)
    return {"value": seconds}


def _new_batch(peer: str, label: str) -> dict[str, float]:
    module = _module(peer)
    params = {"batch": BATCH, "width": 16, "hidden": 32}
    contender: Contender = module.OFFERS["new_batch"][label](problems.make("mlp", params))
    for _ in range(3):
        contender.call(*contender.args)
    compiled = module.compiles() if hasattr(module, "compiles") else None
    seconds = []
    for batch in NEW_BATCHES:
        inputs = problems.make("mlp", params | {"batch": batch}).inputs
        args = module.tensor(inputs["x"]), module.tensor(inputs["y"])
        start = perf_counter()
        contender.call(*args)
        seconds.append(perf_counter() - start)
    found = {"the first": seconds[0], "another": float(np.median(seconds[1:]))}
    if compiled is not None:
        found["kernels compiled for them"] = module.compiles() - compiled
    return found


def _peak(peer: str, label: str) -> dict[str, float]:
    offers = _module(peer).OFFERS["huber"]
    small: Contender = offers[label](problems.make("huber", {"n": 100_000}))
    small.call(*small.args)
    problem = problems.make("huber", {"n": MEMORY_ELEMENTS})
    large: Contender = offers[label](problem)
    del small
    gc.collect()
    time.sleep(0.2)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from what is there now
    before = _status("VmRSS")
    out = large.call(*large.args)
    peak = _status("VmHWM")
    del out
    return {"value": peak - before}


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    raise OSError(f"no {name}")


def _module(peer: str) -> ModuleType:
    return importlib.import_module(f".peers.{PEERS[peer]}", __package__)


_WHAT: dict[str, Callable[..., dict[str, float]]] = {
    "first_calls": _first_call,
    "new_batches": _new_batch,
    "scales": _scale,
    "peaks": _peak,
}


def main() -> None:
    what, peer, label, threads = sys.argv[1:]
    limit_cpus(int(threads))
    out = os.dup(1)
    os.dup2(2, 1)  # libraries print to stdout
    try:
        name, *params = what.split(":")
        answer: dict[str, Any] = dict(_WHAT[name](peer, label, *params))
    except Exception as error:
        answer = {"error": reason(error)}
    os.write(out, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
