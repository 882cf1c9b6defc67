"""Single ops beside NumPy, PyTorch and JAX (results/ops.md): `python -m benchmarks.ops [NAME ...]`

Each op in a compiled function that makes its result, of float32 in cache and out of it; times are the lower
quartile of many calls, in turn, with a pause in which threads of a pool fall asleep. PyTorch runs eagerly, as
people call it, JAX compiled; all of them on all threads, but NumPy."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np

import lucid

from .machine import describe

SIZES = (1_000, 100_000, 10_000_000)
SECONDS, ROUNDS, PAUSE = 0.02, 8, 0.01
PEERS = ("NumPy", "PyTorch", "JAX")
GOAL = 0.9  # of the time of the best of them


def words(modules: str, **names: str) -> SimpleNamespace:
    """A library's functions, wherever it keeps them (the first of `modules` counts), and by our names,
    whatever it calls them."""
    found: dict[str, Any] = {}
    for name in reversed(modules.split()):
        module = importlib.import_module(name)
        found |= {k: getattr(module, k) for k in dir(module) if not k.startswith("_") and k != "test"}
    return SimpleNamespace(**(found | {ours: found[theirs] for ours, theirs in names.items()}))


@dataclass(frozen=True)
class Library:
    """How it takes arrays, makes a function of an expression, and waits for what that returns."""

    words: SimpleNamespace
    array: Callable[[Any], Any]
    function: Callable[[Any], Any]
    wait: Callable[[Any], Any] | None = None


def _same(a: Any) -> Any:
    return a


@functools.cache
def libraries() -> dict[str, Library]:
    """Those that are here; lucid is the first."""
    found = {
        "lucid": Library(words("lucid lucid.nn.functional lucid.linalg"), _same, lucid.compile),
        "NumPy": Library(words("numpy numpy.linalg"), _same, _same),
    }
    try:
        named = words(
            "torch torch.nn.functional torch.special torch.linalg",
            power="pow", concatenate="cat", left_shift="bitwise_left_shift",
        )  # fmt: skip
        found["PyTorch"] = Library(named, importlib.import_module("torch").from_numpy, _same)
    except ImportError:
        pass
    try:
        jax = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)  # indices as the others have them
        named = words(
            "jax.numpy jax.nn jax.scipy.special jax.lax jax.numpy.linalg", lgamma="gammaln", topk="top_k"
        )
        found["JAX"] = Library(
            named, importlib.import_module("jax.numpy").asarray, jax.jit, jax.block_until_ready
        )
    except ImportError:
        pass
    return found


def inputs(n: int) -> dict[str, Any]:
    """Arrays by the letter that stands for them in an op."""
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=n).astype(np.float32) for _ in range(2))
    rows, side = max(1, n // 64), int(n**0.5)
    return {
        "x": x, "y": y, "u": np.tanh(x), "p": np.abs(x) + np.float32(0.1), "g": np.abs(x) + np.float32(1.1),
        "q": (np.tanh(x) + 1) / 2,
        "i": rng.integers(0, n, n), "f": rng.integers(0, 1000, n), "h": rng.integers(1, 100, n), "m": x > 0,
        "t": rng.normal(size=(rows, 64)).astype(np.float32), "r": rng.integers(0, rows, rows),
        "c": rng.integers(0, 64, (rows, 64)), "s": x[: side * side].reshape(side, side), "v": y[:side],
        "e": np.sort(y[:1000]),
    }  # fmt: skip


@dataclass(frozen=True)
class Op:
    """An expression of a library's words and of the arrays named by `letters`, or the name of a function and
    its keywords; the expressions of libraries that say it otherwise, None of one that cannot."""

    letters: str
    of: Callable[..., Any] | str
    other: Mapping[str, Callable[..., Any] | None]
    most: int = SIZES[-1]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def function(self, name: str, words: SimpleNamespace) -> Callable[..., Any] | None:
        of = self.other.get(name, self.of)
        if isinstance(of, str):
            named = getattr(words, of, None)
            return named and functools.partial(named, **self.keywords) if self.keywords else named
        return of and functools.partial(of, words)


_RNG = np.random.default_rng(0)
OPS: dict[str, Op] = {}


def op(name: str, letters: str, of: Callable[..., Any], most: int = SIZES[-1], **other: Any) -> None:
    OPS[name] = Op(letters, of, other, most)


def _named(letters: str, names: str) -> None:
    for name in names.split():
        OPS[name] = Op(letters, name, {})


_named(
    "x", "square exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh floor ceil trunc round sign isnan"
)
_named("x", "isinf isfinite negative abs erf erfc sigmoid softplus gelu relu silu sinc nan_to_num cbrt")
_named("u", "arcsin arccos arctanh erfinv")
_named("q", "logit")
_named("p", "sqrt rsqrt reciprocal log log1p log2 log10 lgamma digamma")
_named("g", "arccosh")
_named(
    "xy", "add subtract multiply divide maximum minimum fmax fmin arctan2 hypot fmod floor_divide remainder"
)
_named("xy", "copysign logaddexp heaviside less")
op("equal", "xy", lambda m, a, b: a == b)
_named("py", "power")
_named("fh", "bitwise_and left_shift")
op("floor_divide of int64", "fh", lambda m, a, b: a // b)
op("remainder of int64", "fh", lambda m, a, b: a % b)
op("lerp", "xy", lambda m, a, b: a + (b - a) * 0.3, PyTorch=lambda m, a, b: m.lerp(a, b, 0.3))
op("where", "xy", lambda m, a, b: m.where(a > 0, a, b))
op("masked_fill", "xm", lambda m, a, k: m.where(k, 0.0, a), PyTorch=lambda m, a, k: a.masked_fill(k, 0.0))
op("clip", "x", lambda m, a: m.clip(a, -1, 1))
op(
    "float32 to float64",
    "x",
    lambda m, a: a.astype("float64"),
    PyTorch=lambda m, a: a.double(),
)
op("float32 to int32", "x", lambda m, a: a.astype("int32"), PyTorch=lambda m, a: a.int())
op("Huber", "xy", lambda m, a, b: _huber(m, a - b), PyTorch=lambda m, a, b: m.huber_loss(a, b))
_named("x", "sum prod mean var std max min argmax argmin median count_nonzero nansum nanmean norm")
op("quantile", "x", lambda m, a: m.quantile(a, 0.3), most=100_000)
op("any", "x", lambda m, a: (a > 9).any())
op("all", "x", lambda m, a: (a < 9).all())
op("logsumexp", "x", lambda m, a: m.logsumexp(a, 0))
op("dot", "xy", lambda m, a, b: m.dot(a, b))
op("cumsum", "x", lambda m, a: m.cumsum(a, 0))
op("cumprod", "x", lambda m, a: m.cumprod(a, 0))
op("logcumsumexp", "x", lambda m, a: m.logcumsumexp(a, 0))
op("sort", "x", lambda m, a: m.sort(a), PyTorch=lambda m, a: m.sort(a)[0])
op("argsort", "x", lambda m, a: m.argsort(a))
op("topk 10", "x", lambda m, a: m.topk(a, 10)[0], NumPy=lambda m, a: m.partition(a, -10)[-10:])
op("searchsorted", "ex", lambda m, e, a: m.searchsorted(e, a))
op("concatenate", "xy", lambda m, a, b: m.concatenate([a, b]))
op("stack last", "xy", lambda m, a, b: m.stack([a, b], 1))
op("roll", "x", lambda m, a: m.roll(a, 7))
op(
    "flip",
    "x",
    lambda m, a: m.flip(a, 0),
    NumPy=lambda m, a: m.flip(a, 0).copy(),
    PyTorch=lambda m, a: m.flip(a, (0,)),
)
op("pad", "x", lambda m, a: m.pad(a, 3), PyTorch=lambda m, a: m.pad(a, (3, 3)))
op(
    "pad, reflecting",
    "x",
    lambda m, a: m.pad(a, 3, mode="reflect"),
    PyTorch=lambda m, a: m.pad(a[None], (3, 3), mode="reflect"),
)
op("tile", "x", lambda m, a: m.tile(a, 2), PyTorch=lambda m, a: m.tile(a, (2,)))
op("repeat", "x", lambda m, a: m.repeat(a, 3), PyTorch=lambda m, a: m.repeat_interleave(a, 3))
op("diff", "x", lambda m, a: m.diff(a))
op("square: transpose", "s", lambda m, a: a.T * 1, NumPy=lambda m, a: m.ascontiguousarray(a.T))
op("square: rot90", "s", lambda m, a: m.rot90(a) * 1, NumPy=lambda m, a: m.rot90(a).copy())
op("square: tril", "s", lambda m, a: m.tril(a))
op("square: trace", "s", lambda m, a: m.trace(a))
op("square: outer", "v", lambda m, a: m.outer(a, a))
op("square: of a vector", "sv", lambda m, a, b: a @ b)
op("take", "xi", lambda m, a, i: a[i])
op("put", "xi", lambda m, a, i: a.at[i].set(1.0), NumPy=None, PyTorch=lambda m, a, i: a.index_fill(0, i, 1.0))
op("bincount", "f", lambda m, i: m.bincount(i, minlength=1000), JAX=lambda m, i: m.bincount(i, length=1000))
op("one_hot", "f", lambda m, i: m.one_hot(i % 100, 100), 100_000, NumPy=None)
op("rows: gather", "tr", lambda m, a, i: a[i])
op("rows: scatter add", "tr", lambda m, a, i: m.zeros(a.shape, dtype="float32").at[i].add(a), NumPy=None,
   PyTorch=lambda m, a, i: m.zeros_like(a).index_add_(0, i, a))  # fmt: skip
op(
    "rows: take_along_axis",
    "tc",
    lambda m, a, i: m.take_along_axis(a, i, 1),
    PyTorch=lambda m, a, i: m.gather(a, 1, i),
)
for _name in ("sum", "max", "argmax", "cumsum", "sort", "mean", "var"):
    for _axis in (1, 0):
        _first = _name in ("max", "sort")
        OPS[f"{('columns', 'rows')[_axis]}: {_name}"] = Op(
            "t",
            _name,
            {"PyTorch": lambda m, a, name=_name, axis=_axis: getattr(m, name)(a, axis)[0]} if _first else {},
            keywords={"axis": _axis},
        )
op("rows: softmax", "t", lambda m, a: m.softmax(a, -1))
op("rows: norm", "t", lambda m, a: m.norm(a, axis=1), PyTorch=lambda m, a: m.norm(a, dim=1))
op("rows: topk 5", "t", lambda m, a: m.topk(a, 5)[0], NumPy=None)
op("transpose", "t", lambda m, a: a.T * 1, NumPy=lambda m, a: m.ascontiguousarray(a.T))
op(
    "windows 3 × 3",
    "t",
    lambda m, a: a.unfold(0, 3, 1).unfold(1, 3, 1).sum((2, 3)),
    NumPy=lambda m, a: m.lib.stride_tricks.sliding_window_view(a, (3, 3)).sum((2, 3)),
    JAX=lambda m, a: m.reduce_window(a, np.float32(0), m.add, (3, 3), (1, 1), "VALID"),
)
op("randn", "", lambda m, n: m.randn(n), NumPy=lambda m, n: _RNG.standard_normal(n, np.float32), JAX=None)
op("rand", "", lambda m, n: m.rand(n), NumPy=lambda m, n: _RNG.random(n, np.float32), JAX=None)


def _huber(m: Any, d: Any) -> Any:
    return m.where(m.abs(d) < 1, 0.5 * d * d, m.abs(d) - 0.5).mean()


# Why ops are below the goal.
REASONS = {
    "erfinv": "computed in float64, within 0.503 ulp",
    "logit": "a logarithm of a quotient, within 1 ulp",
    "prod": "partial products of these numbers are denormal",
    "square: transpose": "tiles are turned by shuffles in registers",
    "transpose": "tiles are turned by shuffles in registers",
    "windows 3 × 3": "nine windows are added; XLA adds rows first",
}


def seconds(calls: list[Callable[[], Any]]) -> list[float]:
    """The lower quartile of each, in turn."""
    counts = []
    for call in calls:
        for _ in range(4):
            call()
        begin = time.perf_counter()
        call()
        counts.append(max(1, int(SECONDS / ROUNDS / max(time.perf_counter() - begin, 1e-7))))
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, count, times in zip(calls, counts, found, strict=True):
            time.sleep(PAUSE)
            call()
            begin = time.perf_counter()
            for _ in range(count):
                call()
            times.append((time.perf_counter() - begin) / count)
    return [sorted(times)[len(times) // 4] for times in found]


def _waited(call: Callable[..., Any], wait: Callable[[Any], Any], *arrays: Any) -> Any:
    return wait(call(*arrays))


def contenders(op: Op, n: int, arrays: list[Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Calls of those that have the op, by library."""
    for name, library in libraries().items():
        of = op.function(name, library.words)
        if of is None:
            continue
        given = [library.array(a) for a in arrays]
        call = library.function(of if arrays else functools.partial(of, n))
        if library.wait is not None:
            call = functools.partial(_waited, call, library.wait)
        try:
            call(*given)
        except (AttributeError, TypeError, NotImplementedError) as error:
            if name == "lucid":
                raise
            print(f"{name} has no such op: {error}"[:100], file=sys.stderr)
            continue
        yield name, functools.partial(call, *given)


def shown(time: float) -> str:
    unit, scale = next(
        (u, s) for u, s in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1)) if time < 1000 * s
    )
    return f"{time / scale:.3g} {unit}"


def measured(names: list[str]) -> dict[str, dict[int, dict[str, float]]]:
    """Seconds by op, size and library."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for n in SIZES:
        arrays = inputs(n)
        for name, op in OPS.items():
            if (names and name not in names) or n > op.most:
                continue
            calls = dict(contenders(op, n, [arrays[letter] for letter in op.letters]))
            times = dict(zip(calls, seconds(list(calls.values())), strict=True))
            found.setdefault(name, {})[n] = times
            print(name, n, {k: shown(v) for k, v in times.items()}, file=sys.stderr, flush=True)
    return found


def report(found: dict[str, dict[int, dict[str, float]]]) -> None:
    """The table, and what is below the goal."""
    print("# Ops beside NumPy, PyTorch and JAX\n")
    machine = describe(threads := len(os.sched_getaffinity(0)))
    print(f"{machine['cpu']}, {threads} threads, {date.today()}. Lower quartiles of {ROUNDS} rounds.\n")
    print("Time of lucid, and the times of the others by lucid's: above 1 lucid is faster.\n")
    heads = [f"{n:,} {what}" for n in SIZES for what in ("", *PEERS)]
    print(f"| op | {' | '.join(h.strip() for h in heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    below = []
    for name, sizes in found.items():
        row = []
        for n in SIZES:
            times = sizes.get(n, {})
            row.append(shown(times["lucid"]) if times else "")
            for peer in PEERS:
                ratio = times[peer] / times["lucid"] if peer in times else None
                row.append("" if ratio is None else f"{ratio:.2f}")
                if ratio is not None and ratio < GOAL:
                    below.append((name, n, peer, ratio))
        print(f"| {name} | {' | '.join(row)} |")
    count = sum(peer != "lucid" for sizes in found.values() for times in sizes.values() for peer in times)
    print(f"\n## Below {GOAL} of a peer: {len(below)} of {count}\n")
    print("| op | size | peer | ratio | why |\n|---|---|---|---|---|")
    for name, n, peer, ratio in below:
        print(f"| {name} | {n:,} | {peer} | {ratio:.2f} | {REASONS.get(name, '')} |")


if __name__ == "__main__":
    report(measured(sys.argv[1:]))
