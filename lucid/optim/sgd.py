"""Stochastic gradient descent."""

from __future__ import annotations

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..errors import bounds, here
from ..tensor import Tensor, node_of
from .optimizer import Changes, Group, Hyper, Optimizer, Params, checked, decayed, each, times


@bounds
class SGD(Optimizer):
    """p -= lr v, with v = momentum v + (1 - dampening) g (g itself at first), and g the gradient
    plus weight_decay p; with `nesterov` g + momentum v takes the place of v. Formulas as in
    PyTorch."""

    momentum = Hyper()
    dampening = Hyper()
    weight_decay = Hyper()
    nesterov, maximize = Hyper(), Hyper()

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        master_weights: bool = True,
    ) -> None:
        options = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options, master_weights)
        if any(group.momentum for group in self.param_groups):
            self.state["velocity"] = self._zeros()
        if any(group.momentum and group.dampening for group in self.param_groups):
            self.state["steps"] = self._counts()

    def _checked(self, group: Group) -> None:
        for name in ("momentum", "dampening", "weight_decay"):
            group[name] = checked(name, group[name])
        if group.nesterov and (not group.momentum or group.dampening):
            raise ValueError(here("SGD: nesterov needs a momentum, and no dampening"))

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        changes: Changes = []
        if group.momentum:
            velocity = self._kept("velocity", "momentum")[k]
            grown = times(group.momentum, node_of(velocity))
            v = ops.ADD(grown, times(1 - group.dampening, g) if group.dampening else g)
            if group.dampening:
                steps = self._kept("steps", "dampening")[k]
                count = node_of(steps)
                first = ops.EQ(count, ops.const(0, count))
                v = ops.WHERE(ops.fill(first, g.shape), g, v)
                changes.append((steps, ops.ADD(count, ops.const(1, count))))
            changes.append((velocity, v))
            g = ops.ADD(g, times(group.momentum, v)) if group.nesterov else v
        return [*changes, (p, ops.SUB(value, ops.MUL(each(node_of(group._lr), g), g)))]
