"""Single ops beside NumPy and PyTorch, as results/ops.md shows them: `python -m benchmarks.ops [NAME ...]`

Each op in a compiled function that makes its result, of float32 in cache and out of it; times are the lower
quartile of many calls, in turn. PyTorch runs eagerly, as people call it; lucid and PyTorch on all threads."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lucid

try:
    import torch
except ImportError:
    torch = None

SIZES = (1_000, 100_000, 10_000_000)
SECONDS = 0.02
Case = tuple[str, Any, Any, Any, list[Any]]


# Functions of one array under one name everywhere.
SAME = (
    "sqrt", "square", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan",
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arctanh", "floor", "ceil", "trunc",
    "sign", "isnan", "isfinite", "negative", "reciprocal", "cumsum", "sort", "argsort", "sum", "prod",
    "mean", "var", "std", "max", "min", "argmax", "argmin", "median", "count_nonzero", "any",
)  # fmt: skip
PAIRS = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "arctan2", "hypot", "power", "fmod",
    "floor_divide", "remainder", "copysign",
)  # fmt: skip


def _by_name() -> dict[str, tuple[str | None, str | None]]:
    """Functions of one array, by lucid's name; NumPy's and PyTorch's, None where it has none."""
    table: dict[str, tuple[str | None, str | None]] = {name: (name, name) for name in SAME}
    table |= {"abs": ("abs", "abs"), "logsumexp": (None, None), "logcumsumexp": (None, None)}
    table |= {name: (None, name) for name in ("erf", "erfc", "sigmoid", "rsqrt")}
    table |= {"arccosh": ("arccosh", "arccosh"), "cbrt": ("cbrt", None), "round": ("round", "round")}
    return table


def _scaled(name: str, x: Any) -> Any:
    """Inputs from where the function has values."""
    if name in ("arcsin", "arccos", "arctanh"):
        return np.tanh(x)
    if name in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal"):
        return np.abs(x) + np.float32(0.1)
    return np.abs(x) + np.float32(1.1) if name == "arccosh" else x


def cases(n: int) -> Iterator[Case]:
    """Each op as (name, lucid's, NumPy's, PyTorch's, arrays)."""
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=n).astype(np.float32) for _ in range(2))
    for name, (numpy_name, torch_name) in _by_name().items():
        theirs = getattr(torch, torch_name) if torch and torch_name and hasattr(torch, torch_name) else None
        if name == "logsumexp" and torch:
            theirs = lambda t: torch.logsumexp(t, 0)  # noqa: E731
        if name in ("cumsum", "logcumsumexp") and torch:
            theirs = functools.partial(getattr(torch, name), dim=0)
        if name == "any" and torch:
            yield name, lambda a: (a > 9).any(), lambda a: (a > 9).any(), lambda a: (a > 9).any(), [x]
            continue
        own = getattr(lucid, name)
        if name == "logcumsumexp":
            own = functools.partial(own, axis=0)
        yield name, own, getattr(np, numpy_name) if numpy_name else None, theirs, [_scaled(name, x)]
    for name in PAIRS:
        theirs = getattr(torch, {"power": "pow"}.get(name, name)) if torch else None
        both = [np.abs(x) + np.float32(0.1), y] if name == "power" else [x, y]
        yield name, getattr(lucid, name), getattr(np, name), theirs, both
    yield (
        "where",
        lambda a, b: lucid.where(a > 0, a, b),
        lambda a, b: np.where(a > 0, a, b),
        (lambda a, b: torch.where(a > 0, a, b)),
        [x, y],
    )
    yield (
        "clip",
        lambda a: lucid.clip(a, -1, 1),
        lambda a: np.clip(a, -1, 1),
        lambda a: torch.clip(a, -1, 1),
        [x],
    )
    yield (
        "concatenate",
        lambda a, b: lucid.concatenate([a, b]),
        lambda a, b: np.concatenate([a, b]),
        (lambda a, b: torch.cat([a, b])),
        [x, y],
    )
    yield (
        "stack last",
        lambda a, b: lucid.stack([a, b], 1),
        lambda a, b: np.stack([a, b], 1),
        (lambda a, b: torch.stack([a, b], 1)),
        [x, y],
    )
    yield "roll", lambda a: lucid.roll(a, 7), lambda a: np.roll(a, 7), lambda a: torch.roll(a, 7), [x]
    yield (
        "flip",
        lambda a: lucid.flip(a, 0),
        lambda a: np.flip(a, 0).copy(),
        lambda a: torch.flip(a, (0,)),
        [x],
    )
    yield (
        "pad",
        lambda a: lucid.pad(a, 3),
        lambda a: np.pad(a, 3),
        (lambda a: torch.nn.functional.pad(a, (3, 3))),
        [x],
    )
    yield "tile", lambda a: lucid.tile(a, 2), lambda a: np.tile(a, 2), lambda a: torch.tile(a, (2,)), [x]
    yield "diff", lambda a: lucid.diff(a), lambda a: np.diff(a), lambda a: torch.diff(a), [x]
    yield (
        "topk 10",
        lambda a: lucid.topk(a, 10)[0],
        lambda a: np.partition(a, -10)[-10:],
        (lambda a: torch.topk(a, 10)[0]),
        [x],
    )
    k = rng.integers(0, n, n)
    few = rng.integers(0, 1000, n)
    yield "take", lambda a, i: a[i], lambda a, i: a[i], lambda a, i: a[i], [x, k]
    yield (
        "bincount",
        lambda i: lucid.bincount(i, minlength=1000),
        lambda i: np.bincount(i, minlength=1000),
        (lambda i: torch.bincount(i, minlength=1000)),
        [few],
    )
    if n < 1_000_000:
        yield (
            "one_hot",
            lambda i: lucid.nn.functional.one_hot(i, 100),
            None,
            (lambda i: torch.nn.functional.one_hot(i, 100)),
            [few % 100],
        )
    rows = max(1, n // 64)
    table, at = rng.normal(size=(rows, 64)).astype(np.float32), rng.integers(0, rows, rows)
    yield "rows: gather", lambda a, i: a[i], lambda a, i: a[i], lambda a, i: a[i], [table, at]
    yield (
        "rows: scatter add",
        lambda a, i: lucid.zeros(a.shape).at[i].add(a),
        None,
        (lambda a, i: torch.zeros_like(a).index_add_(0, i, a)),
        [table, at],
    )
    for name in ("sum", "max", "argmax", "cumsum", "sort", "mean", "var"):
        own = getattr(lucid, name)
        theirs = getattr(torch, name) if torch else None
        if name in ("max", "sort") and torch:
            theirs = (lambda t, f=theirs: lambda a, axis: f(a, axis)[0])(None)
        for axis in (1, 0):
            yield (
                f"{('columns', 'rows')[axis]}: {name}",
                (lambda a, f=own, axis=axis: f(a, axis=axis)),
                functools.partial(getattr(np, name), axis=axis),
                ((lambda a, f=theirs, axis=axis: f(a, axis)) if theirs else None),
                [table],
            )
    softmax = lucid.nn.functional.softmax
    yield "rows: softmax", lambda a: softmax(a, -1), None, lambda a: torch.softmax(a, -1), [table]
    yield (
        "transpose",
        lambda a: a.T * 1,
        lambda a: np.ascontiguousarray(a.T),
        lambda a: a.T.contiguous(),
        [table],
    )
    yield (
        "windows 3 × 3",
        lambda a: a.unfold(0, 3, 1).unfold(1, 3, 1).sum((2, 3)),
        (lambda a: np.lib.stride_tricks.sliding_window_view(a, (3, 3)).sum((2, 3))),
        lambda a: a.unfold(0, 3, 1).unfold(1, 3, 1).sum((2, 3)),
        [table],
    )


def seconds(calls: list[Callable[[], Any]]) -> list[float]:
    """The lower quartile of each, in turn."""
    counts = []
    for call in calls:
        for _ in range(4):
            call()
        begin = time.perf_counter()
        call()
        counts.append(max(1, int(SECONDS / 8 / max(time.perf_counter() - begin, 1e-7))))
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(8):
        for call, count, times in zip(calls, counts, found, strict=True):
            begin = time.perf_counter()
            for _ in range(count):
                call()
            times.append((time.perf_counter() - begin) / count)
    return [sorted(times)[len(times) // 4] for times in found]


def shown(time: float) -> str:
    unit, scale = next(
        (u, s) for u, s in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1)) if time < 1000 * s
    )
    return f"{time / scale:.3g} {unit}"


def main(names: list[str]) -> None:
    print("# Ops beside NumPy and PyTorch\n")
    print("Time of lucid, and the times of NumPy and PyTorch by lucid's: above 1 lucid is faster.\n")
    heads = [f"{n:,} {what}" for n in SIZES for what in ("", "NumPy", "PyTorch")]
    print(f"| op | {' | '.join(h.strip() for h in heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    lines: dict[str, list[str]] = {}
    for n in SIZES:
        for name, own, numpys, torchs, arrays in cases(n):
            if names and name not in names:
                continue
            f = lucid.compile(own)
            tensors = [torch.from_numpy(a) for a in arrays] if torch else []
            calls: list[Callable[[], Any]] = [lambda f=f, a=arrays: f(*a)]  # type: ignore[misc]
            for other, given in ((numpys, arrays), (torchs if torch else None, tensors)):
                if other is not None:
                    calls.append(lambda f=other, a=given: f(*a))  # type: ignore[misc]
            times = seconds(calls)
            ratios = iter(f"{t / times[0]:.2f}" for t in times[1:])
            row = [shown(times[0]), *(next(ratios) if f else "" for f in (numpys, torchs if torch else None))]
            lines.setdefault(name, []).extend(["", "", ""] * (SIZES.index(n) - len(lines.get(name, [])) // 3))
            lines[name] += row
            print(f"{name} {n:,}: {' '.join(row)}", file=sys.stderr, flush=True)
    for name, row in lines.items():
        print(f"| {name} | {' | '.join([*row, *[''] * (len(heads) - len(row))])} |")


if __name__ == "__main__":
    main(sys.argv[1:])
