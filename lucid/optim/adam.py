"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..errors import bounds, here
from ..promote import filled
from ..tensor import Tensor, node_of
from .optimizer import Changes, Optimizer, checked, each, times


@bounds
class Adam(Optimizer):
    """p -= lr m' / (sqrt(v') + eps), with running means m of g and v of g², freed of their bias
    towards zero: m' = m / (1 - beta1^t), v' = v / (1 - beta2^t) (Kingma and Ba, arXiv:1412.6980).

    `weight_decay` adds weight_decay p to the gradient g. The bias is computed in float64.
    """

    hyper = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        master_weights: bool = True,
    ) -> None:
        super().__init__(params, lr, master_weights)
        if any(p.is_complex() for p in self.params):
            raise TypeError(
                here(
                    f"{type(self).__name__}: a complex parameter; its squares are not defined. Keep "
                    "lucid.view_as_real of it as the parameter, and use lucid.view_as_complex in the model"
                )
            )
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(here(f"betas must be two numbers, not {betas!r}"))
        self.betas = (checked("beta1", betas[0]), checked("beta2", betas[1]))
        if max(self.betas) >= 1:
            raise ValueError(here(f"betas must be below 1, not {betas}"))
        self.eps = checked("eps", eps)
        self.weight_decay = checked("weight_decay", weight_decay)
        self.state["mean"] = self._zeros()
        self.state["square"] = self._zeros()
        self.state["steps"] = self._counts()

    def _decayed(self, value: Node, g: Node) -> tuple[Node, Node]:
        """Parameter and gradient, with weight decay."""
        return value, ops.ADD(g, times(self.weight_decay, value)) if self.weight_decay else g

    def _update(self, k: int, p: Tensor, value: Node, g: Node) -> Changes:
        beta1, beta2 = self.betas
        mean, square, steps = (self.state[name][k] for name in ("mean", "square", "steps"))
        value, g = self._decayed(value, g)
        count = node_of(steps)
        t = ops.once((self, "count", count), ops.ADD, count, ops.const(1, count))
        m = ops.ADD(times(beta1, node_of(mean)), times(1 - beta1, g))
        v = ops.ADD(times(beta2, node_of(square)), times(1 - beta2, ops.MUL(g, g)))
        rate = ops.once((self, "rate", t), lambda: ops.DIV(node_of(self._lr), _correction(beta1, t)))
        root = ops.once((self, "root", t), lambda: ops.SQRT(_correction(beta2, t)))
        spread = ops.ADD(ops.DIV(ops.SQRT(v), each(root, g)), filled(self.eps, g.type))
        new = ops.SUB(value, ops.MUL(each(rate, g), ops.DIV(m, spread)))
        return [(mean, m), (square, v), (steps, t), (p, new)]


@bounds
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: p is first multiplied by 1 - lr weight_decay
    (Loshchilov and Hutter, arXiv:1711.05101)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        master_weights: bool = True,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, master_weights=master_weights)

    def _decayed(self, value: Node, g: Node) -> tuple[Node, Node]:
        if not self.weight_decay:
            return value, g
        rate = node_of(self._lr)
        shrink = ops.SUB(ops.const(1, rate), times(self.weight_decay, rate))
        return ops.MUL(value, each(shrink, value)), g


def _correction(beta: float, t: Node) -> Node:
    """1 - beta^t, in float64."""
    power = ops.POW(filled(beta, t.type), t)
    return ops.SUB(ops.const(1, t), power)
