"""Adam and AdamW."""

from __future__ import annotations

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..errors import bounds
from ..promote import filled
from ..tensor import Tensor, node_of
from .optimizer import (
    Changes,
    Group,
    Hyper,
    Optimizer,
    Params,
    below_one,
    checked,
    correction,
    decayed,
    each,
    mixed,
    times,
)


@bounds
class Moments(Optimizer):
    """State that Adam has, and those that go on from it: running means of g and of g², and steps."""

    betas, eps, weight_decay = Hyper(), Hyper(), Hyper()
    kinds = ("mean", "square")

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0, *, master_weights: bool = True, **more: float,
    ) -> None:  # fmt: skip
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more}
        super().__init__(params, options, master_weights)
        self._real()
        for kind in self.kinds:
            self.state[kind] = self._zeros()
        self.state["steps"] = self._counts()

    def _checked(self, group: Group) -> None:
        group.betas = below_one("betas", group.betas)
        for name in group:
            if name not in ("params", "lr", "betas", "amsgrad", "maximize"):
                group[name] = checked(name, group[name])

    def _moments(self, k: int, group: Group, g: Node) -> tuple[Node, Node]:
        beta1, beta2 = group.betas
        m = mixed(beta1, node_of(self.state["mean"][k]), g)
        return m, mixed(beta2, node_of(self.state["square"][k]), ops.MUL(g, g))

    def _stored(self, k: int, *nodes: Node) -> Changes:
        kinds = (*self.kinds, "steps")
        return [(self.state[kind][k], node) for kind, node in zip(kinds, nodes, strict=True)]


@bounds
class Adam(Moments):
    """p -= lr m' / (sqrt(v') + eps), with running means m of g and v of g², freed of their bias
    towards zero: m' = m / (1 - beta1^t), v' = v / (1 - beta2^t) (Kingma and Ba, arXiv:1412.6980).

    `weight_decay` adds weight_decay p to the gradient g. `amsgrad` takes the greatest v so far (Reddi, Kale
    and Kumar, 2018), `maximize` steps uphill. `foreach` and `fused` change nothing. The bias is computed in
    float64.
    """

    amsgrad, maximize = Hyper(), Hyper()

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        master_weights: bool = True,
    ) -> None:
        more = {"amsgrad": amsgrad, "maximize": maximize}
        super().__init__(params, lr, betas, eps, weight_decay, master_weights=master_weights, **more)
        if any(group.amsgrad for group in self.param_groups):
            self.state["greatest"] = self._zeros()

    def _decayed(self, group: Group, value: Node, g: Node) -> tuple[Node, Node]:
        """Parameter and gradient, with weight decay."""
        return value, decayed(group, value, g)

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        beta1, beta2 = group.betas
        value, g = self._decayed(group, value, g)
        t = self._count(k)
        m, v = self._moments(k, group, g)
        rate = ops.once((group, "rate", t), lambda: ops.DIV(node_of(group._lr), correction(beta1, t)))
        root = ops.once((group, "root", t), lambda: ops.SQRT(correction(beta2, t)))
        changes, most = self._stored(k, m, v, t), v
        if group.amsgrad:
            greatest = self._kept("greatest", "amsgrad")[k]
            most = ops.MAX(node_of(greatest), v)
            changes.append((greatest, most))
        spread = ops.ADD(ops.DIV(ops.SQRT(most), each(root, g)), filled(group.eps, g.type))
        new = ops.SUB(value, ops.MUL(each(rate, g), ops.DIV(m, spread)))
        return [*changes, (p, new)]


@bounds
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: p is first multiplied by 1 - lr weight_decay
    (Loshchilov and Hutter, arXiv:1711.05101)."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        master_weights: bool = True,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, master_weights=master_weights
        )

    def _decayed(self, group: Group, value: Node, g: Node) -> tuple[Node, Node]:
        if not group.weight_decay:
            return value, g
        rate = node_of(group._lr)
        shrink = ops.SUB(ops.const(1, rate), times(group.weight_decay, rate))
        return ops.MUL(value, each(shrink, value)), g
