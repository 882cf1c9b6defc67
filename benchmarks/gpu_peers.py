"""PyTorch, torch.compile and JAX on the cases of `gpu.py`, beside lucid, on one device in one process.

All are timed in the same way: some calls, one after the other, until the device has done them, by the clock
of the CPU, in turn. Arrays lie on the device before, and results stay there. Products are those of float32,
no shorter format.
"""

from __future__ import annotations

import importlib
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir.data import data
from lucid.residence import Device
from lucid.runtime.cuda.device import device as gpu

Array = np.ndarray[Any, Any]
Functions = Mapping[str, Callable[..., Any]]
LEAST = 0.01  # seconds that the calls of one sample take at least
MOST = 1000  # and how many they are at most


@data
class Contender:
    """`call()` begins the work, `wait()` returns when all that was begun is done; `fetch` makes arrays of
    what `call` returned, in lucid's order."""

    call: Callable[[], Any]
    wait: Callable[[], Any]
    fetch: Callable[[Any], list[Array]]


Maker = Callable[[str, Sequence[Array]], Contender]


def with_lucid(f: Callable[..., Any], device: Device, leaves: Callable[[Any], list[Array]]) -> Maker:
    def make(_: str, arrays: Sequence[Array]) -> Contender:
        run: Any = lucid.compile(f, device=device)
        given = [lucid.Tensor(a, device=device) for a in arrays]

        def wait() -> None:
            if device == "cuda":
                with gpu().held():
                    gpu().synchronize()

        return Contender(lambda: run(*given), wait, leaves)

    return make


def with_torch(device: str, wrap: Callable[[Any, Any], Any]) -> Maker:
    """`wrap(torch, f)`: f as it is, or compiled."""
    torch: Any = importlib.import_module("torch")
    F = torch.nn.functional
    torch.set_float32_matmul_precision("highest")
    plain: Functions = {
        "copy": lambda x: x * 2.0,
        "huber": lambda x, y: F.huber_loss(x, y),
        "softmax": lambda x: F.softmax(x, dim=1),
        "norm": lambda x: F.layer_norm(x, x.shape[1:]),
        "linear": lambda w, x, y: F.huber_loss(x @ w, y),
        "transposed": lambda x, y: x.T + y,
        "product": lambda x, y: x @ y,
    }

    def make(name: str, arrays: Sequence[Array]) -> Contender:
        given, f = [torch.tensor(a, device=device) for a in arrays], wrap(torch, plain[name])
        slope = name in ("huber", "linear")
        given[0].requires_grad_(slope)

        def call() -> Any:
            found = f(*given)
            return (found.detach(), *torch.autograd.grad(found, given[0])) if slope else (found,)

        def wait() -> None:
            if device != "cpu":
                torch.cuda.synchronize()

        return Contender(call, wait, lambda found: [t.cpu().numpy() for t in found])

    return make


def with_jax(device: str) -> Maker:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others need memory, too
    jax: Any = importlib.import_module("jax")
    jnp: Any = importlib.import_module("jax.numpy")
    jax.config.update("jax_default_matmul_precision", "highest")
    place = jax.devices(device)[0]

    def huber(x: Any, y: Any) -> Any:
        d = jnp.abs(x - y)
        return jnp.where(d <= 1.0, 0.5 * d * d, d - 0.5).mean()

    def norm(x: Any) -> Any:
        away = x - x.mean(axis=1, keepdims=True)
        return away * jax.lax.rsqrt((away * away).mean(axis=1, keepdims=True) + 1e-5)

    plain: Functions = {
        "copy": lambda x: x * 2.0,
        "huber": jax.value_and_grad(huber),
        "softmax": lambda x: jax.nn.softmax(x, axis=1),
        "norm": norm,
        "linear": jax.value_and_grad(lambda w, x, y: huber(x @ w, y)),
        "transposed": lambda x, y: x.T + y,
        "product": lambda x, y: x @ y,
    }

    def make(name: str, arrays: Sequence[Array]) -> Contender:
        run, given, last = jax.jit(plain[name]), [jax.device_put(a, place) for a in arrays], [None]

        def call() -> Any:
            last[0] = run(*given)
            return last[0]

        def fetch(found: Any) -> list[Array]:
            return [np.asarray(a) for a in (found if isinstance(found, tuple) else (found,))]

        return Contender(call, lambda: jax.block_until_ready(last[0]), fetch)

    return make


def peers(device: str) -> dict[str, Maker | str]:
    """By their names: what makes them, or why they are not there. `device`: "cuda" or "cpu"."""
    makers: dict[str, Callable[[], Maker]] = {
        "PyTorch": lambda: with_torch(device, lambda torch, f: f),
        "torch.compile": lambda: with_torch(device, lambda torch, f: torch.compile(f, dynamic=False)),
        "JAX": lambda: with_jax(device),
    }
    found: dict[str, Maker | str] = {}
    for name, maker in makers.items():
        try:
            found[name] = maker()
        except (ImportError, RuntimeError) as error:  # JAX without a GPU raises the latter
            found[name] = _reason(error)
    return found


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def seconds(contender: Contender, count: int) -> float:
    """Of one call, on average over so many."""
    contender.wait()
    begun = perf_counter()
    for _ in range(count):
        contender.call()
    contender.wait()
    return (perf_counter() - begun) / count


def away(found: Sequence[Array], right: Sequence[Array]) -> float:
    """The largest difference from lucid's results, in units of the largest element of each."""
    worst = 0.0
    for one, other in zip(found, right, strict=True):
        if one.shape != other.shape:
            raise ValueError(f"a result of shape {one.shape}, not {other.shape}")
        if other.size:
            largest = float(np.abs(other).max())
            worst = max(worst, float(np.abs(one - other).max()) / (largest or 1.0))
    return worst


def compare(
    name: str, ours: Maker, others: Mapping[str, Maker | str], arrays: Sequence[Array], repeat: int
) -> dict[str, dict[str, Any]]:
    """Of each contender seconds of a call, and how far its results are from lucid's; or why there are
    none. `name`: of the function."""
    found: dict[str, dict[str, Any]] = {}
    ready: dict[str, tuple[Contender, int]] = {}
    right: list[Array] = []
    for label, maker in {"lucid": ours, **others}.items():
        if isinstance(maker, str):
            found[label] = {"missing": maker}
            continue
        try:
            contender = maker(name, arrays)
            results = contender.fetch(contender.call())  # compiled by now
            right = right or results
            seconds(contender, 2)  # the second call may prepare what later ones find
            once = seconds(contender, 2)
            ready[label] = contender, min(MOST, max(1, round(LEAST / once)))
            found[label] = {"off": away(results, right)}
        except Exception as error:  # of any library: the others go on
            found[label] = {"missing": _reason(error)}
        results = []
    times: dict[str, list[float]] = {label: [] for label in ready}
    for _ in range(repeat):
        for label, (contender, count) in ready.items():
            times[label].append(seconds(contender, count))
    for label, taken in times.items():
        found[label] |= {"least": min(taken), "median": statistics.median(taken), "calls": ready[label][1]}
    return found
