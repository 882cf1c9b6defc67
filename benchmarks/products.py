"""Matrix products beside NumPy, one thread each, as results/products.md shows them:
`LUCID_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.products`"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid

SIZES = (1, 2, 3, 4, 8, 16, 32, 100, 1000, 100_000)
SECONDS = 0.012


def seconds(f: Callable[..., Any], *args: Any) -> float:
    """The lower quartile of CPU time: what others do on the machine counts little."""
    for _ in range(3):
        f(*args)
    found: list[float] = []
    while sum(found) < SECONDS or len(found) < 5:
        begin, count = time.thread_time(), 0
        while (took := time.thread_time() - begin) < SECONDS / 10 or not count:
            f(*args)
            count += 1
        found.append(took / count)
    return sorted(found)[len(found) // 4]


def ratio(f: Callable[..., Any], m: int, k: int, n: int, dtype: str) -> float:
    a, b = (np.random.default_rng(1).normal(size=s).astype(dtype) for s in ((m, k), (k, n)))
    pairs = [(seconds(f, a, b), seconds(np.matmul, a, b)) for _ in range(2)]
    return min(own for own, _ in pairs) / min(other for _, other in pairs)


def main() -> None:
    f = lucid.compile(lambda a, b: a @ b)
    print("# Matrix products: time of lucid by NumPy's")
    for dtype in ("float32", "float64"):
        for k in SIZES:
            print(f"\n**{dtype}, k = {k}**\n\n| m \\ n | {' | '.join(map(str, SIZES))} |")
            print("|---" * (len(SIZES) + 1) + "|")
            for m in SIZES:
                cells = []
                for n in SIZES:
                    small = m * k * n <= 2e8 and max(m * k, k * n, m * n) <= 3e6
                    cells.append(f"{ratio(f, m, k, n, dtype):.1f}" if small else "")
                print(f"| {m} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
