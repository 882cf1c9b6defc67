"""Optimisers that know the rows and columns of matrices: Adafactor and Muon.

Formulas as in PyTorch, whose names and defaults they have. Scalars are computed in float64.
"""

from __future__ import annotations

import math

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .. import elementwise as ew
from .. import shapes
from ..errors import bounds, here
from ..promote import cast, filled
from ..residence import follow
from ..tensor import Tensor, node_of
from .optimizer import Changes, Group, Hyper, Optimizer, Params, checked, each, times


def _rms(x: Node) -> Node:
    """The root of the mean of squares, as a number."""
    return ops.SQRT(shapes.mean(ops.MUL(x, x)))


def _shrunk(group: Group, value: Node) -> Node:
    """(1 - lr weight_decay) p."""
    if not group.weight_decay:
        return value
    rate = node_of(group._lr)
    return ops.MUL(value, each(ops.SUB(ops.const(1, rate), times(group.weight_decay, rate)), value))


@bounds
class Adafactor(Optimizer):
    """p -= alpha u / max(1, rms(u) / d), u = g / sqrt(v), alpha = max(eps[1], rms(p)) min(lr, 1 / sqrt(t)).
    Of matrices v is the product of running means of g² over rows and over columns, so that state is small;
    t ** beta2_decay is the weight of the new ones (Shazeer and Stern, arXiv:1804.04235)."""

    beta2_decay, eps, d, weight_decay, maximize = Hyper(), Hyper(), Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        foreach: bool | None = None, maximize: bool = False, master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options, master_weights)
        self._real()
        whole = self._zeros()
        # Of vectors "row" is the mean for each element.
        self.state["row"] = [_begun(x, x.shape[:-1] + (1,) if x.ndim > 1 else x.shape) for x in whole]
        self.state["column"] = [
            _begun(x, x.shape[:-2] + (1,) + x.shape[-1:] if x.ndim > 1 else ()) for x in whole
        ]
        self.state["steps"] = self._counts()

    def _checked(self, group: Group) -> None:
        first, second = group.eps
        group["eps"] = None if first is None else checked("eps", first), checked("eps", second)
        group["weight_decay"] = checked("weight_decay", group.weight_decay)
        if not group.d >= 1:
            raise ValueError(here(f"Adafactor: d must be at least 1, not {group.d}"))

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        row, column, t = self.state["row"][k], self.state["column"][k], self._count(k)
        least = 2.0**-value.type.dtype.fraction if group.eps[0] is None else group.eps[0]
        weight = ops.POW(t, filled(group.beta2_decay, t.type))

        def moved(old: Tensor, new: Node) -> Node:
            before = node_of(old)
            return ops.ADD(before, ops.MUL(each(weight, before), ops.SUB(new, before)))

        changes: Changes = [(self.state["steps"][k], t)]
        squares = ops.MUL(g, g)
        if p.ndim > 1:
            rows = moved(row, shapes.mean(squares, axis=-1, keepdims=True))
            columns = moved(column, shapes.mean(squares, axis=-2, keepdims=True))
            changes += [(row, rows), (column, columns)]
            among = ew.maximum(shapes.mean(rows, axis=-2, keepdims=True), least)
            spread = ew.div(ew.mul(rows, columns), among)
        else:
            spread = moved(row, squares)
            changes.append((row, spread))
        update = ops.DIV(g, ops.SQRT(ew.maximum(spread, least * least)))
        slowed = ops.MIN(node_of(group._lr), ops.DIV(ops.const(1, t), ops.SQRT(t)))
        size = cast(ops.MAX(_rms(value), filled(group.eps[1], _rms(value).type)), t.type.dtype)
        most = cast(ew.maximum(ew.div(_rms(update), group.d), 1.0), t.type.dtype)
        step = ops.DIV(ops.MUL(size, slowed), most)
        return [*changes, (p, ops.SUB(_shrunk(group, value), ops.MUL(each(step, update), update)))]


def _begun(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    found = Tensor(np.zeros(shape, like.dtype))
    follow(found)
    return found


@bounds
class Muon(Optimizer):
    """p -= lr r O(u), for matrices: u is the gradient with momentum, O(u) has its singular vectors, and
    singular values that `ns_steps` of Newton and Schulz bring near 1; r is sqrt(max(1, rows / columns)), or
    0.2 sqrt(max(rows, columns)) for `adjust_lr_fn="match_rms_adamw"` (Jordan et al., Muon, 2024). In the
    dtype of the parameter, where PyTorch computes O in bfloat16. ValueError for what is no matrix."""

    weight_decay, momentum, nesterov, ns_coefficients = Hyper(), Hyper(), Hyper(), Hyper()
    eps, ns_steps, adjust_lr_fn = Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7,
        ns_steps: int = 5, adjust_lr_fn: str | None = None, *, master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": tuple(ns_coefficients), "eps": eps, "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, options, master_weights)
        self._real()
        if wrong := [p.shape for p in self.params if p.ndim != 2]:
            raise ValueError(
                here(f"Muon: expected matrices alone, not shape {wrong[0]}; give others to AdamW")
            )
        self.state["velocity"] = self._zeros()

    def _checked(self, group: Group) -> None:
        for name in ("weight_decay", "momentum", "eps"):
            group[name] = checked(name, group[name])
        if group.adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                here(
                    f"Muon: adjust_lr_fn must be 'original' or 'match_rms_adamw', not {group.adjust_lr_fn!r}"
                )
            )

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        velocity = self.state["velocity"][k]
        v = ops.ADD(times(group.momentum, node_of(velocity)), times(1 - group.momentum, g))
        u = ops.ADD(times(1 - group.momentum, g), times(group.momentum, v)) if group.nesterov else v
        rows, columns = p.shape
        matched = group.adjust_lr_fn == "match_rms_adamw"
        ratio = 0.2 * math.sqrt(max(rows, columns)) if matched else math.sqrt(max(1, rows / columns))
        step = ops.MUL(each(node_of(group._lr), u), times(ratio, _even(group, u)))
        return [(velocity, v), (p, ops.SUB(_shrunk(group, value), step))]


def _even(group: Group, u: Node) -> Node:
    a, b, c = group.ns_coefficients
    tall = u.shape[0] > u.shape[1]
    x = shapes.transpose(u, (1, 0)) if tall else u
    x = ew.div(x, ew.maximum(ops.SQRT(shapes.sum_(ops.MUL(x, x))), group.eps))
    for _ in range(group.ns_steps):
        gram = shapes.matmul(x, shapes.transpose(x, (1, 0)))
        among = ops.ADD(times(b, gram), times(c, shapes.matmul(gram, gram)))
        x = ops.ADD(times(a, x), shapes.matmul(among, x))
    return shapes.transpose(x, (1, 0)) if tall else x
