"""Pieces of models beside PyTorch, forward and backward, on one thread: `python -m benchmarks.pieces [NAME
...]` prints the table of results/pieces.md.

lucid's are compiled functions; PyTorch runs eagerly, as people call it. Both are timed in turn, by the time
of the thread, so that other processes count less; the least of many rounds stands. A gradient is that of the
sum of squares, by the first arguments."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid.nn import functional as F

from .machine import describe

ROUNDS, SECONDS = 9, 0.004
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


# What both are asked, given (functions of networks, the module itself) and the arguments.
WORDS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "conv2d 3x3": (lambda m, a: m[0].conv2d(*a, padding=1), 2),
    "conv2d 1x1": (lambda m, a: m[0].conv2d(*a), 2),
    "conv2d 3x3, stride 2": (lambda m, a: m[0].conv2d(*a, padding=1, stride=2), 2),
    "conv2d 3x3, dilation 2": (lambda m, a: m[0].conv2d(*a, padding=2, dilation=2), 2),
    "conv2d 3x3, depthwise": (lambda m, a: m[0].conv2d(*a, padding=1, groups=16), 2),
    "conv2d 7x7 of RGB, stride 2": (lambda m, a: m[0].conv2d(*a, padding=3, stride=2), 2),
    "conv1d 5": (lambda m, a: m[0].conv1d(*a, padding=2), 2),
    "conv_transpose2d, stride 2": (lambda m, a: m[0].conv_transpose2d(*a, stride=2), 2),
    "batch_norm": (lambda m, a: m[0].batch_norm(a[0], None, None, training=True), 1),
    "group_norm": (lambda m, a: m[0].group_norm(a[0], 4), 1),
    "layer_norm": (lambda m, a: m[0].layer_norm(a[0], (256,), *a[1:]), 3),
    "rms_norm": (lambda m, a: m[0].rms_norm(a[0], (256,), a[1]), 2),
    "max_pool2d 2": (lambda m, a: m[0].max_pool2d(a[0], 2), 1),
    "max_pool2d 3, stride 2": (lambda m, a: m[0].max_pool2d(a[0], 3, 2, 1), 1),
    "avg_pool2d 2": (lambda m, a: m[0].avg_pool2d(a[0], 2), 1),
    "interpolate, nearest": (lambda m, a: m[0].interpolate(a[0], scale_factor=2), 1),
    "interpolate, bilinear": (lambda m, a: m[0].interpolate(a[0], scale_factor=2, mode="bilinear"), 1),
    "pixel_shuffle": (lambda m, a: m[0].pixel_shuffle(a[0], 2), 1),
    "linear and gelu": (lambda m, a: m[0].gelu(a[0] @ a[1].T + a[2]), 3),
    "linear of one row": (lambda m, a: a[0] @ a[1].T, 2),
    "products in a batch": (lambda m, a: a[0] @ a[1], 2),
    "attention, by hand": (lambda m, a: m[1].softmax(a[0] @ a[1].mT / 5.6, -1) @ a[2], 3),
    "attention, causal": (lambda m, a: m[0].scaled_dot_product_attention(*a, is_causal=True), 3),
    "split into heads": (lambda m, a: a[0].reshape(8, 64, 4, 32).permute(0, 2, 1, 3) * 1, 1),
    "rotary pairs": (lambda m, a: _rotated(m[1], *a), 1),
    "lstm cell": (lambda m, a: _cell(m[1], *a), 5),
    "embedding": (lambda m, a: a[0][a[1]], 1),
    "cross_entropy": (lambda m, a: m[0].cross_entropy(*a), 1),
    "huber_loss": (lambda m, a: m[0].huber_loss(*a), 1),
    "cosine_similarity": (lambda m, a: m[0].cosine_similarity(*a), 2),
    "triplet_margin_loss": (lambda m, a: m[0].triplet_margin_loss(*a), 3),
    "cdist": (lambda m, a: m[1].cdist(*a), 2),
    "softmax of columns": (lambda m, a: m[1].softmax(a[0], 0), 1),
    "logsumexp of columns": (lambda m, a: m[1].logsumexp(a[0], 0), 1),
    "cumsum of rows": (lambda m, a: m[1].cumsum(a[0], 1), 1),
    "cumprod of rows": (lambda m, a: m[1].cumprod(a[0], 1), 1),
    "gather": (lambda m, a: m[1].gather(a[0], 1, a[1]), 1),
    "columns at indices": (lambda m, a: a[0][:, a[1]], 1),
    "index_add": (lambda m, a: a[0].index_add(0, a[1], a[2]), 1),
    "stack and reshape": (lambda m, a: m[1].stack([a[0], a[1]], -1).reshape(500, -1), 2),
    "roll": (lambda m, a: m[1].roll(a[0], 7, 1), 1),
    "pad, reflecting": (lambda m, a: _padded(m[0], a[0]), 1),
    "tril": (lambda m, a: m[1].tril(a[0]), 1),
    "windows": (lambda m, a: a[0].unfold(1, 8, 4).sum(-1), 1),
}
_IMAGES = (4, 16, 32, 32)
# The shapes of arguments; an int before a shape: numbers below it.
_SHAPES: dict[str, tuple[Any, ...]] = {
    "conv2d 3x3": (_IMAGES, (32, 16, 3, 3)), "conv2d 1x1": (_IMAGES, (32, 16, 1, 1)),
    "conv2d 3x3, stride 2": (_IMAGES, (32, 16, 3, 3)), "conv2d 3x3, dilation 2": (_IMAGES, (32, 16, 3, 3)),
    "conv2d 3x3, depthwise": (_IMAGES, (16, 1, 3, 3)),
    "conv2d 7x7 of RGB, stride 2": ((2, 3, 64, 64), (16, 3, 7, 7)),
    "conv1d 5": ((8, 16, 256), (32, 16, 5)), "conv_transpose2d, stride 2": ((4, 16, 16, 16), (16, 8, 2, 2)),
    "layer_norm": ((512, 256), (256,), (256,)), "rms_norm": ((512, 256), (256,)),
    "linear and gelu": ((256, 256), (256, 256), (256,)), "linear of one row": ((1, 1024), (1024, 1024)),
    "products in a batch": ((32, 64, 64),) * 2, "attention, by hand": ((2, 4, 64, 32),) * 3,
    "attention, causal": ((1, 4, 256, 64),) * 3, "split into heads": ((8, 64, 128),),
    "rotary pairs": ((8, 64, 64), (64, 32), (64, 32)), "lstm cell": ((32, 64),) * 3 + ((64, 256),) * 2,
    "embedding": ((5000, 64), 5000, (2048,)), "cross_entropy": ((512, 1000), 1000, (512,)),
    "huber_loss": ((200_000,),) * 2, "cosine_similarity": ((1000, 64),) * 2,
    "triplet_margin_loss": ((500, 64),) * 3, "cdist": ((200, 16),) * 2, "softmax of columns": ((1000, 200),),
    "logsumexp of columns": ((1000, 200),), "cumsum of rows": ((200, 1000),),
    "cumprod of rows": ((200, 1000),), "gather": ((500, 100), 100, (500, 100)),
    "columns at indices": ((1000, 1024), 1024, (512,)),
    "index_add": ((1000, 64), 1000, (2000,), (2000, 64)), "stack and reshape": ((500, 100),) * 2,
    "roll": ((500, 400),), "tril": ((500, 500),), "windows": ((200, 1000),),
}  # fmt: skip


def arguments(name: str) -> list[Any]:
    below, made = 0, []
    for part in _SHAPES.get(name, (_IMAGES,)):
        if isinstance(part, int):
            below = part
        else:
            made.append(RNG.integers(0, below, part) if below else numbers(*part))
            below = 0
    return made


def _rotated(t: Any, x: Any, c: Any, s: Any) -> Any:
    even, odd = x[..., ::2], x[..., 1::2]
    return t.stack([even * c - odd * s, even * s + odd * c], -1).reshape(8, 64, 64)


def _cell(t: Any, x: Any, h: Any, c: Any, w: Any, u: Any) -> Any:
    gates = x @ w + h @ u
    return t.sigmoid(gates[:, :64]) * c + t.sigmoid(gates[:, 64:128]) * t.tanh(gates[:, 128:192])


def _padded(functional: Any, x: Any) -> Any:
    if functional is F:
        return lucid.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect")
    return functional.pad(x, (2, 2, 2, 2), "reflect")


def _round(f: Callable[..., Any], args: list[Any]) -> float:
    """Seconds of the thread a call."""
    begin = time.thread_time()
    f(*args)
    count = max(1, int(SECONDS / max(time.thread_time() - begin, 1e-7)))
    begin = time.thread_time()
    for _ in range(count):
        f(*args)
    return (time.thread_time() - begin) / count


def measured(torch: Any, name: str, gradient: bool) -> tuple[float, float]:
    """Seconds a call: lucid's, PyTorch's."""
    words, by = WORDS[name]
    args = arguments(name)
    mine, other = [lucid.Tensor(x) for x in args], [torch.from_numpy(x) for x in args]

    def ours(*a: Any) -> Any:
        return words((F, lucid), a)

    def theirs(*a: Any) -> Any:
        return words((torch.nn.functional, torch), a)

    def backward(*a: Any) -> Any:
        for x in other[:by]:
            x.grad = None
        (theirs(*a) ** 2).sum().backward()
        return [x.grad for x in other[:by]]

    if gradient:
        for x in other[:by]:
            x.requires_grad_()
        run = lucid.compile(lucid.grad(lambda *a: (ours(*a) ** 2).sum(), argnums=tuple(range(by))))
    else:
        run, backward = lucid.compile(ours), theirs
    with torch.set_grad_enabled(gradient):
        run(*mine), backward(*other)
        rounds = [(_round(run, mine), _round(backward, other)) for _ in range(ROUNDS)]
    return min(r[0] for r in rounds), min(r[1] for r in rounds)


def main() -> None:
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    lucid.set_num_threads(1)
    cpu = describe(1)["cpu"]
    print(f"{cpu}, PyTorch {torch.__version__}, one thread each; µs, and PyTorch's time by lucid's.\n")
    print("| piece | lucid | PyTorch | ratio | gradient: lucid | PyTorch | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or WORDS:
        cells: list[str] = []
        for gradient in (False, True):
            a, b = measured(torch, name, gradient)
            cells += [f"{a * 1e6:.1f}", f"{b * 1e6:.1f}", f"{b / a:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
