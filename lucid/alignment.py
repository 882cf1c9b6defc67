"""The probability of a text over all its alignments, and its gradient: by the forward and backward variables
of Graves and others, "Connectionist temporal classification" (ICML 2006), through NumPy, in logarithms.

    states     blank  a  blank  b  blank      one may stay, go on by one, or by two to another label
    alphas[s]  of all ways to s until now     betas[s]  of all ways from s to the end
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import TensorType, tensor_type

from . import elementwise as ew
from .engine import Array
from .hosted import Call, Hosted, called

Options = Mapping[str, Any]


def _onward(values: Array, skips: Array) -> Array:
    """log of what comes to each state of itself, the one before, and the one before that, where `skips`."""
    one = np.pad(values[:, :-1], ((0, 0), (1, 0)), constant_values=-np.inf)
    two = np.pad(values[:, :-2], ((0, 0), (2, 0)), constant_values=-np.inf)[:, : values.shape[1]]
    found: Array = np.logaddexp(np.logaddexp(values, one), np.where(skips, two, -np.inf))
    return found


def _skips(states: Array) -> Array:
    """States to which one may go by two: labels other than the one before."""
    found = np.zeros(states.shape, bool)
    found[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    return found


def _forward(said: Array, skips: Array, steps: Array) -> Array:
    """(time, batch, states)"""
    alphas = np.full(said.shape, -np.inf, said.dtype)
    alphas[0, :, :2] = said[0, :, :2]
    for t in range(1, len(said)):
        on = _onward(alphas[t - 1], skips) + said[t]
        alphas[t] = np.where(steps[:, None] > t, on, alphas[t - 1])
    return alphas


def _ends(states: Array, sizes: Array) -> Array:
    """0 at the last blank and label of each example, -inf elsewhere."""
    place = np.arange(states.shape[1])
    last = 2 * sizes[:, None]
    return np.where((place == last) | (place == last - 1), 0.0, -np.inf)


def _stacked(run: Any, arrays: tuple[Array, ...]) -> Array:
    """`run` of each of a stack."""
    if arrays[0].ndim == 3:
        found: Array = run(*arrays)
        return found
    return np.stack([_stacked(run, parts) for parts in zip(*arrays, strict=True)])


def _total(alphas: Array, ends: Array) -> Array:
    found: Array = np.logaddexp.reduce(alphas[-1] + ends, axis=-1)
    return found


def _log_probability(logs: Array, states: Array, steps: Array, sizes: Array) -> Array:
    said = np.take_along_axis(logs, states[None], 2)
    found = _total(_forward(said, _skips(states), steps), _ends(states, sizes))
    return np.where(steps == 0, np.where(sizes == 0, 0.0, -np.inf), found).astype(logs.dtype)


def _slope(logs: Array, states: Array, steps: Array, sizes: Array) -> Array:
    """How often each class is said at each step, in the mean over the alignments; 0 where there is none."""
    said, skips, ends = np.take_along_axis(logs, states[None], 2), _skips(states), _ends(states, sizes)
    alphas = _forward(said, skips, steps)
    total = _total(alphas, ends)[:, None]
    possible = np.isfinite(total) & (steps[:, None] > 0)
    found = np.zeros_like(logs)
    after = np.zeros(states.shape, bool)  # back from a state by two: where the one two on may be skipped to
    after[:, :-2] = skips[:, 2:]
    betas = np.full(states.shape, -np.inf, logs.dtype)
    rows = np.arange(len(states))[:, None]
    for t in range(len(logs) - 1, -1, -1):
        if t + 1 < len(logs):
            back = (betas + said[t + 1])[:, ::-1]
            betas = _onward(back, after[:, ::-1])[:, ::-1]
        betas = np.where(steps[:, None] == t + 1, ends, betas)
        share = np.exp(np.where(possible & (steps[:, None] > t), alphas[t] + betas - total, -np.inf))
        np.add.at(found[t], (rows, states), share.astype(logs.dtype))
    return found


def _types(options: Options, logs: TensorType, *rest: TensorType) -> tuple[TensorType, ...]:
    return (tensor_type(logs.dtype, (*logs.shape[:-3], logs.shape[-2])),)


def _d_ctc(call: Call, k: int, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    slope = called(SLOPE, *call.inputs).out(0)
    at = slope.type.ndim
    ct = ops.reshape(ct, (*ct.shape[: at - 3], 1, ct.shape[-1], 1))
    return (ew.mul(slope, ops.fill(ct, slope.shape)), *(None for _ in call.inputs[1:]))


def _d_slope(call: Call, k: int, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    raise ValueError("ctc_loss: no second derivative; PyTorch has none either")


# log of the probability of each example's states, of logs (time, batch, classes), states (batch, states),
# and the lengths of both.
CTC = Hosted(
    "log_probability",
    lambda options, *arrays: (_stacked(_log_probability, arrays),), _types, _d_ctc, calls="numpy.logaddexp",
)  # fmt: skip
SLOPE = Hosted(
    "log_probability, derivative",
    lambda options, *arrays: (_stacked(_slope, arrays),), lambda options, logs, *rest: (logs,), _d_slope,
    calls="numpy.logaddexp",
)  # fmt: skip
