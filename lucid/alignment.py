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


def _after(skips: Array) -> Array:
    """Back from a state by two: where the one two on may be skipped to."""
    found = np.zeros_like(skips)
    found[:, :-2] = skips[:, 2:]
    return found


def _backward(said: Array, skips: Array, ends: Array, steps: Array) -> Array:
    """(time, batch, states)"""
    betas = np.full(said.shape, -np.inf, said.dtype)
    after = _after(skips)[:, ::-1]
    for t in range(len(said) - 1, -1, -1):
        if t + 1 < len(said):
            back = (betas[t + 1] + said[t + 1])[:, ::-1]
            betas[t] = _onward(back, after)[:, ::-1]
        betas[t] = np.where(steps[:, None] == t + 1, ends, betas[t])
    return betas


def _shares(said: Array, states: Array, steps: Array, sizes: Array) -> tuple[Array, Array, Array, Array]:
    """How often each state is passed at each step, in the mean over the alignments; 0 where there is none.
    And alphas, betas, and the total."""
    skips, ends = _skips(states), _ends(states, sizes)
    alphas, betas = _forward(said, skips, steps), _backward(said, skips, ends, steps)
    total = _total(alphas, ends)[:, None]
    possible = np.isfinite(total) & (steps[:, None] > 0)
    inside = possible & (steps[:, None] > np.arange(len(said))[:, None, None])
    return np.exp(np.where(inside, alphas + betas - total, -np.inf)), alphas, betas, total


def _to_classes(shares: Array, logs: Array, states: Array) -> Array:
    found = np.zeros_like(logs)
    rows = np.arange(len(states))[:, None]
    for t, share in enumerate(shares):
        np.add.at(found[t], (rows, states), share.astype(logs.dtype))
    return found


def _slope(logs: Array, states: Array, steps: Array, sizes: Array) -> Array:
    """How often each class is said at each step, in the mean over the alignments; 0 where there is none."""
    said = np.take_along_axis(logs, states[None], 2)
    return _to_classes(_shares(said, states, steps, sizes)[0], logs, states)


def _onward_along(values: Array, along: Array, skips: Array) -> Array:
    """The derivative of `_onward` along a direction: the mean of what comes, by how likely it is."""
    found = _onward(values, skips)

    def part(back: int, where: Any) -> Array:
        from_ = np.pad(values, ((0, 0), (back, 0)), constant_values=-np.inf)[:, : values.shape[1]]
        way = np.pad(along, ((0, 0), (back, 0)))[:, : values.shape[1]]
        share = np.exp(np.where(np.isfinite(from_) & where, from_ - found, -np.inf))
        made: Array = share * way
        return made

    return part(0, True) + part(1, True) + part(2, skips)


def _curve(logs: Array, states: Array, steps: Array, sizes: Array, along: Array) -> Array:
    """The derivative of `_slope` along a direction."""
    said, to = (np.take_along_axis(x, states[None], 2) for x in (logs, along))
    skips, ends = _skips(states), _ends(states, sizes)
    after = _after(skips)[:, ::-1]
    shares, alphas, betas, total = _shares(said, states, steps, sizes)
    forth, back = np.zeros_like(alphas), np.zeros_like(betas)
    forth[0, :, :2] = to[0, :, :2]
    for t in range(1, len(said)):
        on = _onward_along(alphas[t - 1], forth[t - 1], skips) + to[t]
        forth[t] = np.where(steps[:, None] > t, on, forth[t - 1])
    for t in range(len(said) - 2, -1, -1):
        behind, way = ((x[t + 1] + y[t + 1])[:, ::-1] for x, y in ((betas, said), (back, to)))
        found = _onward_along(behind, way, after)[:, ::-1]
        back[t] = np.where(steps[:, None] == t + 1, 0, found)
    last = np.exp(np.where(np.isfinite(total), alphas[-1] + ends - total, -np.inf))
    change = forth + back - (last * forth[-1]).sum(1, keepdims=True)
    return _to_classes(shares * change, logs, states)


def _types(options: Options, logs: TensorType, *rest: TensorType) -> tuple[TensorType, ...]:
    return (tensor_type(logs.dtype, (*logs.shape[:-3], logs.shape[-2])),)


def _d_ctc(call: Call, k: int, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    slope = called(SLOPE, *call.inputs).out(0)
    at = slope.type.ndim
    ct = ops.reshape(ct, (*ct.shape[: at - 3], 1, ct.shape[-1], 1))
    return (ew.mul(slope, ops.fill(ct, slope.shape)), *(None for _ in call.inputs[1:]))


def _d_slope(call: Call, k: int, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    return (called(CURVE, *call.inputs, ct).out(0), *(None for _ in call.inputs[1:]))


def _d_curve(call: Call, k: int, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Linear in its direction, by a symmetric matrix."""
    *others, _ = call.inputs
    if needs[0]:
        raise ValueError("ctc_loss: no third derivative")
    return (*(None for _ in others), called(CURVE, *others, ct).out(0))


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
CURVE = Hosted(
    "log_probability, second derivative",
    lambda options, *arrays: (_stacked(_curve, arrays),), lambda options, logs, *rest: (logs,), _d_curve,
    calls="numpy.logaddexp",
)  # fmt: skip
