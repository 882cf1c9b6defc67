"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..errors import bounds, here
from ..tensor import Tensor, node_of
from .optimizer import Changes, Optimizer, checked, each, times


@bounds
class SGD(Optimizer):
    """p -= lr v, with v = momentum v + (1 - dampening) g (g itself at first), and g the gradient
    plus weight_decay p; with `nesterov` g + momentum v takes the place of v. Formulas as in
    PyTorch."""

    hyper = ("lr", "momentum", "dampening", "weight_decay", "nesterov")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        master_weights: bool = True,
    ) -> None:
        super().__init__(params, lr, master_weights)
        self.momentum = checked("momentum", momentum)
        self.dampening = checked("dampening", dampening)
        self.weight_decay = checked("weight_decay", weight_decay)
        self.nesterov = nesterov
        if nesterov and (not momentum or dampening):
            raise ValueError(here("SGD: nesterov needs a momentum, and no dampening"))
        if momentum:
            self.state["velocity"] = self._zeros()
        if momentum and dampening:
            self.state["steps"] = self._counts()

    def _update(self, k: int, p: Tensor, value: Node, g: Node) -> Changes:
        if self.weight_decay:
            g = ops.ADD(g, times(self.weight_decay, value))
        changes: Changes = []
        if self.momentum:
            if "velocity" not in self.state or (self.dampening and "steps" not in self.state):
                raise RuntimeError(here("SGD: momentum and dampening cannot be switched on later"))
            velocity = self.state["velocity"][k]
            grown = times(self.momentum, node_of(velocity))
            v = ops.ADD(grown, times(1 - self.dampening, g) if self.dampening else g)
            if self.dampening:
                steps = self.state["steps"][k]
                count = node_of(steps)
                first = ops.EQ(count, ops.const(0, count))
                v = ops.WHERE(ops.fill(first, g.shape), g, v)
                changes.append((steps, ops.ADD(count, ops.const(1, count))))
            changes.append((velocity, v))
            g = ops.ADD(g, times(self.momentum, v)) if self.nesterov else v
        return [*changes, (p, ops.SUB(value, ops.MUL(each(node_of(self._lr), g), g)))]
