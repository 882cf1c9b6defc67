"""Rprop and ASGD: steps by the sign of the gradient, and means of parameters over steps.

Formulas as in PyTorch, whose names and defaults they have. Scalars are computed in float64.
"""

from __future__ import annotations

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..errors import bounds, here
from ..promote import cast, filled
from ..tensor import Tensor, node_of
from .optimizer import Changes, Group, Hyper, Optimizer, Params, checked, decayed, each, times


@bounds
class Rprop(Optimizer):
    """p -= s sign(g), with a step size s for each element, which begins as lr: times `etas[1]` where the
    gradient keeps its sign, times `etas[0]` where it has changed, in which case p stays; within `step_sizes`
    (Riedmiller and Braun, 1993)."""

    etas, step_sizes, maximize = Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0), *, maximize: bool = False,
        master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, options, master_weights)
        self._real()
        self.state["before"] = self._zeros()
        rates = [group.lr for group in self._groups]
        self.state["size"] = [zeros + rate for zeros, rate in zip(self._zeros(), rates, strict=True)]

    def _checked(self, group: Group) -> None:
        for name in ("etas", "step_sizes"):
            first, second = group[name]
            group[name] = checked(name, first), checked(name, second)
        if not 0 < group.etas[0] < 1 < group.etas[1]:
            raise ValueError(here(f"Rprop: etas must be below and above 1, not {group.etas}"))

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        before, size = self.state["before"][k], self.state["size"][k]
        turn, zero = ops.MUL(g, node_of(before)), ops.zeros_like(g)
        fewer, more = (filled(eta, g.type) for eta in group.etas)
        least, most = (filled(end, g.type) for end in group.step_sizes)
        turned = ops.LT(turn, zero)
        factor = ops.WHERE(ops.GT(turn, zero), more, ops.WHERE(turned, fewer, ops.const(1, g)))
        s = ops.MIN(ops.MAX(ops.MUL(node_of(size), factor), least), most)
        g = ops.WHERE(turned, zero, g)
        return [(before, g), (size, s), (p, ops.SUB(value, ops.MUL(ops.SIGN(g), s)))]


@bounds
class ASGD(Optimizer):
    """p -= eta g, with eta = lr / (1 + lambd lr t)^alpha and decay by lambd; `state["mean"]` holds the means
    of the parameters from step t0 on (Polyak and Juditsky, 1992)."""

    lambd, alpha, t0, weight_decay, maximize = Hyper(), Hyper(), Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0.0, *, maximize: bool = False, master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options, master_weights)
        self.state["mean"] = self._zeros()
        self.state["steps"] = self._counts()
        self.state["eta"] = [Tensor(np.array(group.lr, np.float64)) for group in self._groups]
        self.state["mu"] = self._counts(1.0)

    def _checked(self, group: Group) -> None:
        for name in ("lambd", "alpha", "t0", "weight_decay"):
            group[name] = checked(name, group[name])

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        mean, steps, eta, mu = (self.state[name][k] for name in ("mean", "steps", "eta", "mu"))
        g = decayed(group, value, g)
        rate, t = node_of(eta), self._count(k)
        one = ops.const(1, t)
        kept = ops.SUB(one, times(group.lambd, rate))
        new = ops.SUB(ops.MUL(value, each(kept, g)), ops.MUL(each(rate, g), g))
        share = each(node_of(mu), g)
        average = ops.ADD(node_of(mean), ops.MUL(ops.SUB(new, node_of(mean)), share))
        average = ops.WHERE(ops.EQ(share, ops.const(1, share)), new, average)
        lr = cast(node_of(group._lr), t.type.dtype)
        grown = ops.ADD(one, ops.MUL(times(group.lambd, lr), t))
        slower = ops.DIV(lr, ops.POW(grown, filled(group.alpha, t.type)))
        later = ops.MAX(one, ops.SUB(t, filled(group.t0, t.type)))
        return [(mean, average), (steps, t), (eta, slower), (mu, ops.DIV(one, later)), (p, new)]
