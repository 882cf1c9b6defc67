"""Optimisers that know rows and columns: Muon beside NumPy, in a compiled step; errors. (Adafactor is
PyTorch's: `wider_like_torch.py`. PyTorch's Muon computes in bfloat16.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim

W = np.random.default_rng(0).normal(size=(4, 3))


def muon(w: Any, steps: int, lr: float, nesterov: bool, matched: bool) -> Any:
    v, tall = np.zeros_like(w), w.shape[0] > w.shape[1]
    for _ in range(steps):
        g = 4 * (w + 1) ** 3
        v = 0.95 * v + 0.05 * g
        u = 0.05 * g + 0.95 * v if nesterov else v
        x = u.T if tall else u
        x = x / np.linalg.norm(x)
        for _ in range(5):
            s = x @ x.T
            x = 3.4445 * x + (-4.775 * s + 2.0315 * s @ s) @ x
        ratio = 0.2 * max(w.shape) ** 0.5 if matched else max(1, w.shape[0] / w.shape[1]) ** 0.5
        w = w * (1 - lr * 0.1) - lr * ratio * (x.T if tall else x)
    return w


@pytest.mark.parametrize("tall", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_muon(tall: bool, compiled: bool) -> None:
    start = W if tall else W.T.copy()
    p = nn.Parameter(start)
    opt = optim.Muon([p], lr=0.1, nesterov=tall, adjust_lr_fn=None if tall else "match_rms_adamw")

    def step() -> Any:
        opt.zero_grad()
        loss = ((p + 1) ** 4).sum()
        loss.backward()
        opt.step()
        return loss

    run = lucid.compile(step) if compiled else step
    for _ in range(3):
        run()
    np.testing.assert_allclose(p.detach().numpy(), muon(start, 3, 0.1, tall, not tall), rtol=1e-10)


def test_state_is_small_and_is_loaded() -> None:
    p = nn.Parameter(W.astype("f"))
    opt = optim.Adafactor([p])
    (p * p).sum().backward()
    opt.step()
    assert [opt.state[k][0].shape for k in ("row", "column")] == [(4, 1), (1, 3)]
    other = optim.Adafactor([nn.Parameter(W.astype("f"))])
    other.load_state_dict(opt.state_dict())
    np.testing.assert_array_equal(other.state["row"][0], opt.state["row"][0])


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("Muon: expected matrices alone", lambda: optim.Muon([nn.Parameter([1.0])])),
        ("adjust_lr_fn must be", lambda: optim.Muon([nn.Parameter(W)], adjust_lr_fn="x")),
        ("Adafactor: d must be at least 1", lambda: optim.Adafactor([nn.Parameter(W)], d=0.5)),
    ],
)
def test_errors(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"test_factored.py:\d+: .*" + message):
        call()
