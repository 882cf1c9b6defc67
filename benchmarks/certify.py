"""Certificates of common formulas: how many elements, violations, and how far bounds are from errors.

    python -m benchmarks.certify --elements 1000000

A Markdown table, as it stands in docs/testing.md: for each formula and dtype the elements that were sampled
(arguments of changing sizes and scales), how many were beyond their bound or had none, the median of bound
over measured error, and the largest bound, in units in the last place of the largest element.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid.nn import functional as F
from lucid.testing.certificates import Certified

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
DTYPES = ("float16", "float32", "float64")


def _rows(rng: Any, n: int) -> list[Array]:
    return [rng.normal(size=(max(1, n // 50), 50)) * 10.0 ** rng.uniform(-1, 1)]


def _two(rng: Any, n: int) -> list[Array]:
    return [rng.normal(size=(max(1, n // 50), 50)) for _ in range(2)]


def _classes(rng: Any, n: int) -> list[Array]:
    x = rng.normal(size=(max(1, n // 20), 20))
    return [x, rng.integers(0, 20, x.shape[0])]


def _matrices(rng: Any, n: int) -> list[Array]:
    rows = max(1, int(np.sqrt(n)))
    depth = int(rng.integers(2, 100))
    return [rng.normal(size=(rows, depth)), rng.normal(size=(depth, rows))]


def _huber(x: Any, y: Any) -> Any:
    return F.huber_loss(x, y)


def _mse(x: Any, y: Any) -> Any:
    return F.mse_loss(x, y)


def _each(loss: Function) -> Function:
    return lambda x, y: loss(x, y, reduction="none")


def _norm(x: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:])


def _softmax_squares(x: Any) -> Any:
    return (F.softmax(x, axis=1) ** 2).sum()


def _norm_cubes(x: Any) -> Any:
    return (_norm(x) ** 3).sum()


def _rms(x: Any) -> Any:
    return F.rms_norm(x, x.shape[-1:])


# A formula of tensors, and what makes its arguments of a generator and about how many elements.
CASES: dict[str, tuple[Function, Callable[[Any, int], list[Array]]]] = {
    "huber_loss": (_huber, _two),
    "huber_loss, each": (_each(F.huber_loss), _two),
    "mse_loss": (_mse, _two),
    "mse_loss, gradient": (lucid.grad(_mse), _two),
    "huber_loss, gradient": (lucid.grad(_huber), _two),
    "cross_entropy": (F.cross_entropy, _classes),
    "cross_entropy, gradient": (lucid.grad(F.cross_entropy), _classes),
    "softmax": (lambda x: F.softmax(x, axis=1), _rows),
    "log_softmax": (lambda x: F.log_softmax(x, axis=1), _rows),
    "softmax, gradient": (lucid.grad(_softmax_squares), _rows),
    "layer_norm": (_norm, _rows),
    "rms_norm": (_rms, _rows),
    "layer_norm, gradient": (lucid.grad(_norm_cubes), _rows),
    "x @ y": (lambda x, y: x @ y, _matrices),
    "gelu": (F.gelu, _rows),
    "tanh": (lucid.tanh, _rows),
    "mean": (lambda x: x.mean(), _rows),
    "var": (lambda x: x.var(axis=1), _rows),
    "cumsum": (lambda x: x.cumsum(axis=1), _rows),
}


def case(name: str, dtype: str, rng: Any, n: int) -> tuple[Function, list[Array]]:
    """A formula, and arguments of about n elements in `dtype`."""
    f, make = CASES[name]
    return f, [x.astype(dtype) if x.dtype.kind == "f" else x for x in make(rng, n)]


def sampled(name: str, dtype: str, rng: Any, elements: int, most: int) -> list[Certified]:
    """Certificates of so many elements in all, of calls of sizes up to `most`; at most 40 calls."""
    found: list[Certified] = []
    while sum(c.bound.size for c in found) < elements and len(found) < 40:
        f, args = case(name, dtype, rng, int(rng.integers(most // 4, most)))
        found += lucid.compile(f).certify(*args, causes=False).outputs
    return found


def row(name: str, dtype: str, found: list[Certified]) -> str:
    bound = np.concatenate([c.bound.reshape(-1) for c in found])
    ratios = np.concatenate([c.ratio.reshape(-1) for c in found])
    exact = np.concatenate([(c.measured == 0).reshape(-1) for c in found])
    beyond, none = sum(c.violations for c in found), int((~np.isfinite(bound)).sum())
    ratio = float(np.nanmedian(ratios)) if np.isfinite(ratios).any() else float("nan")
    cells = (name, dtype, f"{bound.size:,}", str(beyond), str(none), f"{ratio:.3g}", f"{exact.mean():.0%}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.certify", description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=1_000_000, help="of float16 and float32 in all")
    parser.add_argument("--precise", type=int, default=1_000, help="of each formula in float64, by mpmath")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, total, beyond = np.random.default_rng(given.seed), 0, 0
    print("| formula | dtype | elements | beyond | without a bound | median bound/error | no error at all |")
    print("|---|---|---|---|---|---|---|")
    for name in CASES:
        for dtype in given.dtypes:
            wide = dtype == "float64"
            elements = given.precise if wide else given.elements // (2 * len(CASES))
            found = sampled(name, dtype, rng, elements, 600 if wide else 8_000)
            total, beyond = (
                total + sum(c.bound.size for c in found),
                beyond + sum(c.violations for c in found),
            )
            print(row(name, dtype, found), flush=True)
    print(f"\n{beyond} of {total:,} elements are beyond their bound.")


if __name__ == "__main__":
    main()
