"""Gradients in float64 against finite differences: of a whole function, and of each op of it alone.

A difference quotient says something only where it does not change with the step (no kink lies within it)
and where rounding does not hide it. So there are three answers: it agrees, it does not, it cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import lucid
from lucid.compiler import ops
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.types import f64
from lucid.compiler.passes.autodiff import gradients

from .blame import line
from .bounds import Array, in_float64, lifted, widened
from .traced import traced

# Steps, as a part of each element, or of this number where the element is smaller. Steps that are a part of
# each element alone cross fewer jumps (`a % b` has many where b is small); long ones see over a large offset.
STEPS = (
    (1e-6, 0.1), (3e-5, 0.1), (1e-7, 0.1), (1e-6, 0.0), (1e-8, 0.0), (1e-4, 0.0), (1e-4, 0.1), (1e-2, 0.1),
)  # fmt: skip
FRACTIONS = (0.7, 0.4)  # of a step, at which the quotient must be the same
CLEAR = 0.05  # of the derivative: more doubt than that decides nothing
EPSILON = float(np.finfo(np.float64).eps)


class Loss:
    """A graph of one number as a function of its inputs, in float64."""

    def __init__(self, graph: Graph, inputs: Sequence[Array]) -> None:
        self.graph = graph
        self.inputs = [widened(x, n.type.dtype) for x, n in zip(inputs, graph.inputs, strict=True)]
        base = in_float64(graph, self.inputs)
        (self.node,) = graph.outputs
        self.here = float(base[self.node].reshape(()))

    def at(self, moves: Mapping[int, Array]) -> float:
        """Its value where some inputs are moved."""
        with np.errstate(all="ignore"):
            moved = [x + moves[k] if k in moves else x for k, x in enumerate(self.inputs)]
        return float(in_float64(self.graph, moved)[self.node].reshape(()))

    def quotient(self, moves: Mapping[int, Array], step: float) -> float:
        with np.errstate(all="ignore"):
            ends = [self.at({k: sign * step * d for k, d in moves.items()}) for sign in (1, -1)]
        return (ends[0] - ends[1]) / (2 * step)

    def noise(self, step: float) -> float:
        """What rounding adds to a quotient, if nothing on the way is larger than the result."""
        return 64 * EPSILON * (1 + abs(self.here)) / step


def agrees(
    graph: Graph, inputs: Sequence[Array], places: Sequence[int], parts: Sequence[Array]
) -> bool | None:
    """Whether `parts` are the derivative of a graph of one number, by its inputs `places`: along some random
    direction, as a kink may lie within a step. None where that cannot be told."""
    loss = Loss(graph, inputs)
    if not np.isfinite(loss.here) or not all(np.isfinite(p).all() for p in parts):
        return None
    rng, against = np.random.default_rng(0), 0
    for step, least in STEPS:
        sizes = {k: np.maximum(np.abs(loss.inputs[k]), least) for k in places}
        with np.errstate(all="ignore"):
            moves = {k: _direction(rng, loss.inputs[k]) * size for k, size in sizes.items()}
            terms = [np.real(np.conj(p) * moves[k]) for k, p in zip(places, parts, strict=True)]
        analytic = sum(float(np.sum(t)) for t in terms)
        numeric = loss.quotient(moves, step)
        size = max(sum(float(np.sum(np.abs(t))) for t in terms), abs(numeric))
        off, noise = abs(analytic - numeric), loss.noise(step)
        if off <= 1e-4 * size + noise and (noise <= CLEAR * size or size <= 10 * noise <= 1e-3):
            return True
        others = [loss.quotient(moves, step * part) for part in FRACTIONS]
        doubt = noise + 4 * (max(numeric, *others) - min(numeric, *others))
        if not doubt <= CLEAR * size:  # NaN, too
            continue
        if off <= 1e-4 * size + doubt:
            return True
        against += 1
    return False if against > 1 else None


def _direction(rng: np.random.Generator, x: Array) -> Array:
    drawn = rng.normal(size=x.shape)
    return np.asarray(drawn + 1j * rng.normal(size=x.shape) if x.dtype.kind == "c" else drawn)


def wrong_slope(loss: Graph, inputs: Sequence[Array]) -> str | None:
    """The first op whose own derivative, in float64, is not that of finite differences."""
    values = in_float64(loss, inputs)
    for node in toposort(loss.outputs):
        floats = [k for k, n in enumerate(node.inputs) if n.type.dtype.is_float]
        if node.op is ops.STOP or not floats or not node.type.dtype.is_float or node.op.kind == "host":
            continue
        leaves = tuple(
            ops.INPUT(name=f"x{k}", dtype=f64 if n.type.dtype.is_float else n.type.dtype, shape=n.shape)
            for k, n in enumerate(node.inputs)
        )
        alone = Node(node.op, leaves, lifted(node.attrs), node.loc)
        weights = ops.INPUT(name="w", dtype=f64, shape=node.shape)
        total = ops.SUM(ops.MUL(alone, weights), axes=tuple(range(alone.type.ndim)))
        arrays = [values[n] for n in node.inputs]
        drawn = np.random.default_rng(len(floats)).normal(size=node.shape)
        slopes = gradients(total, ops.const(1, total), [leaves[k] for k in floats], first=True)
        wanted = Graph("slope", (*leaves, weights), tuple(s for s in slopes if s is not None))
        single = Graph("value", (*leaves, weights), (total,))
        found = in_float64(wanted, [*arrays, drawn])
        parts = [
            np.zeros(arrays[k].shape) if s is None else found[s] for k, s in zip(floats, slopes, strict=True)
        ]
        if agrees(single, [*arrays, drawn], floats, parts) is False:
            return f"the derivative of {line(node)}, alone"
    return None


def hidden(loss: Callable[..., Any], leaves: Sequence[Any], places: Sequence[int]) -> list[str]:
    """The lines at which a value is detached, so that no derivative goes through it."""
    call = traced(lucid.value_and_grad(loss, argnums=tuple(places)), tuple(leaves))
    results = set(call.graph.outputs)  # each of which is detached from what the caller differentiates
    found = [n for n in toposort(call.graph.outputs) if n.op is ops.STOP and n not in results]
    return list(dict.fromkeys(str(n.loc) for n in found if n.loc is not None))


# --- the points ---------------------------------------------------------------------------------------


def beside(inputs: Sequence[Array], places: Sequence[int], attempt: int) -> dict[int, Array]:
    """Values of some inputs at a point beside, so that it stands on no kink: of ties, of zeros, of whole
    numbers. By attempt: any way, up, down, away from 0 (which stays)."""
    rng = np.random.default_rng(1)
    moved = {}
    for k in places:
        x = inputs[k].astype(np.complex128 if inputs[k].dtype.kind == "c" else np.float64)
        low, high = ((-1, 1), (0.1, 1), (-1, -0.1), (0.1, 1))[attempt]
        part = np.asarray(rng.uniform(low, high, x.shape))
        size = np.abs(x)
        if x.dtype.kind == "c":
            part = part + 1j * part
        moved[k] = x + 1e-4 * part * (np.maximum(size, 0.01) if attempt < 3 else x)
    return moved


ATTEMPTS = 4


def without_derivative(loss: Loss, place: int, slope: Array) -> tuple[tuple[int, ...], float | None] | None:
    """Of a gradient that is not finite somewhere: an element, and the derivative that there is for it, or
    None if finite differences show none at the first such elements. None if it is finite everywhere."""
    bad = np.argwhere(~np.isfinite(slope))
    if not len(bad):
        return None
    for at in map(tuple, bad[:8].tolist()):
        derivative = _one_sided(loss, place, at)
        if derivative is not None:
            return at, round(derivative, 6) + 0.0
    return tuple(bad[0].tolist()), None


def _one_sided(loss: Loss, place: int, at: tuple[int, ...]) -> float | None:
    """The derivative by one element, if quotients on the sides where there is a value converge to one."""
    limits = []
    size = max(1.0, float(np.abs(loss.inputs[place][at])))
    for side in (1, -1):
        found = []
        for step in (1e-3, 1e-5, 1e-7):
            move = np.zeros(loss.inputs[place].shape, loss.inputs[place].dtype)
            move[at] = side * step * size
            found.append((loss.at({place: move}) - loss.here) / (side * step * size))
        if np.isfinite(found).all():
            limits.append(found)
    noise = loss.noise(1e-7 * size)
    ends = []
    for first, second, third in limits:
        if noise > 0.1 * abs(third) and noise > 1e-2:
            return None
        before, after = second - first, third - second
        if abs(after) > 0.5 * abs(before) + 1e-6 * abs(third) + noise:
            return None
        beyond = after * after / (after - before) if abs(before) > 100 * noise else 0.0  # Aitken's
        ends.append(third - beyond)
    close = 1e-2 * max(map(abs, ends), default=0.0) + 1e-2
    return ends[0] if ends and max(ends) - min(ends) <= close else None


def first_not_finite(values: Mapping[Node, Array], output: Node) -> str:
    """The first op that makes something that is no finite number of operands that all are."""
    for node in toposort([output]):
        given = [np.isfinite(values[n]).all() for n in node.inputs]
        if node.inputs and all(given) and not np.isfinite(values[node]).all():
            return line(node)
    return "none: what it is called with is not finite"
