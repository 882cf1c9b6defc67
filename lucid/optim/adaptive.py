"""Optimisers that keep a step size for each element: RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam.

Formulas as in PyTorch, whose names and defaults they have. Scalars are computed in float64.
"""

from __future__ import annotations

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..errors import bounds
from ..promote import filled
from ..tensor import Tensor, node_of
from .adam import Moments
from .optimizer import (
    Changes,
    Group,
    Hyper,
    Optimizer,
    Params,
    checked,
    correction,
    decayed,
    each,
    mixed,
    times,
)


@bounds
class RMSprop(Optimizer):
    """p -= lr g / (sqrt(v) + eps), with v the running mean of g² (Hinton's lecture 6e of 2012), less the
    square of the running mean of g where `centered`; with `momentum` by way of a velocity."""

    alpha, eps, weight_decay, momentum, centered = Hyper(), Hyper(), Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, *,
        master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
            "centered": centered,
        }  # fmt: skip
        super().__init__(params, options, master_weights)
        self._real()
        self.state["square"] = self._zeros()
        if any(group.centered for group in self.param_groups):
            self.state["mean"] = self._zeros()
        if any(group.momentum for group in self.param_groups):
            self.state["velocity"] = self._zeros()

    def _checked(self, group: Group) -> None:
        for name in ("alpha", "eps", "weight_decay", "momentum"):
            group[name] = checked(name, group[name])

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        square = self.state["square"][k]
        v = mixed(group.alpha, node_of(square), ops.MUL(g, g))
        changes: Changes = [(square, v)]
        if group.centered:
            mean = self._kept("mean", "centered")[k]
            m = mixed(group.alpha, node_of(mean), g)
            changes.append((mean, m))
            v = ops.SUB(v, ops.MUL(m, m))
        step = ops.DIV(g, ops.ADD(ops.SQRT(v), filled(group.eps, g.type)))
        if group.momentum:
            velocity = self._kept("velocity", "momentum")[k]
            step = ops.ADD(times(group.momentum, node_of(velocity)), step)
            changes.append((velocity, step))
        return [*changes, (p, ops.SUB(value, ops.MUL(each(node_of(group._lr), g), step)))]


@bounds
class Adagrad(Optimizer):
    """p -= lr' g / (sqrt(s) + eps), with s the sum of all g² so far, and lr' = lr / (1 + (t - 1) lr_decay)
    (Duchi, Hazan and Singer, 2011)."""

    lr_decay, weight_decay, initial_accumulator_value, eps = Hyper(), Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {
            "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "eps": eps,
        }  # fmt: skip
        super().__init__(params, options, master_weights)
        self._real()
        starts = [group.initial_accumulator_value for group in self._groups]
        self.state["sum"] = [zeros + start for zeros, start in zip(self._zeros(), starts, strict=True)]
        self.state["steps"] = self._counts()

    def _checked(self, group: Group) -> None:
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            group[name] = checked(name, group[name])

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        sums, steps = self.state["sum"][k], self.state["steps"][k]
        count, t = node_of(steps), self._count(k)

        def slower() -> Node:
            return ops.DIV(node_of(group._lr), ops.ADD(ops.const(1, t), times(group.lr_decay, count)))

        rate = ops.once((group, "rate", t), slower)
        s = ops.ADD(node_of(sums), ops.MUL(g, g))
        step = ops.DIV(g, ops.ADD(ops.SQRT(s), filled(group.eps, g.type)))
        return [(sums, s), (steps, t), (p, ops.SUB(value, ops.MUL(each(rate, g), step)))]


@bounds
class Adadelta(Optimizer):
    """p -= lr d, with d = g sqrt(u + eps) / sqrt(v + eps), v the running mean of g², u that of d²
    (Zeiler, arXiv:1212.5701)."""

    rho, eps, weight_decay = Hyper(), Hyper(), Hyper()

    def __init__(
        self, params: Params, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0.0, *, master_weights: bool = True,
    ) -> None:  # fmt: skip
        options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, master_weights)
        self._real()
        self.state["square"] = self._zeros()
        self.state["delta"] = self._zeros()

    def _checked(self, group: Group) -> None:
        for name in ("rho", "eps", "weight_decay"):
            group[name] = checked(name, group[name])

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        square, delta = self.state["square"][k], self.state["delta"][k]
        eps = filled(group.eps, g.type)
        v = mixed(group.rho, node_of(square), ops.MUL(g, g))
        scale = ops.DIV(ops.SQRT(ops.ADD(node_of(delta), eps)), ops.SQRT(ops.ADD(v, eps)))
        step = ops.MUL(scale, g)
        u = mixed(group.rho, node_of(delta), ops.MUL(step, step))
        return [(square, v), (delta, u), (p, ops.SUB(value, ops.MUL(each(node_of(group._lr), g), step)))]


@bounds
class Adamax(Moments):
    """Adam with the greatest |g| that has not faded, max(beta2 u, |g| + eps), in place of the root of the
    mean of g² (Kingma and Ba, arXiv:1412.6980, section 7)."""

    kinds = ("mean", "greatest")

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0, *, master_weights: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, master_weights=master_weights)

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        beta1, beta2 = group.betas
        t = self._count(k)
        m = mixed(beta1, node_of(self.state["mean"][k]), g)
        faded = times(beta2, node_of(self.state["greatest"][k]))
        u = ops.MAX(faded, ops.ADD(ops.ABS(g), filled(group.eps, g.type)))
        rate = ops.once((group, "rate", t), lambda: ops.DIV(node_of(group._lr), correction(beta1, t)))
        step = ops.MUL(each(rate, g), ops.DIV(m, u))
        return [*self._stored(k, m, u, t), (p, ops.SUB(value, step))]


@bounds
class NAdam(Moments):
    """Adam with Nesterov's momentum, mu(t) = beta1 (1 - 0.96^(t momentum_decay) / 2) (Dozat, 2016)."""

    momentum_decay = Hyper()

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0, momentum_decay: float = 4e-3, *,
        master_weights: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, master_weights=master_weights,
            momentum_decay=momentum_decay,
        )  # fmt: skip
        self.state["product"] = self._counts(1.0)

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        beta1, beta2 = group.betas
        t, past = self._count(k), self.state["product"][k]
        m, v = self._moments(k, group, g)

        def mu(ahead: int) -> Node:
            steps = times(group.momentum_decay, ops.ADD(t, ops.const(ahead, t)))
            fall = ops.POW(ops.const(0.96, t), steps)
            return times(beta1, ops.SUB(ops.const(1, t), ops.MUL(ops.const(0.5, t), fall)))

        def rates() -> tuple[Node, Node, Node, Node]:
            now, then, lr = mu(0), mu(1), node_of(group._lr)
            product = ops.MUL(node_of(past), now)
            one = ops.const(1, t)
            of_g = ops.DIV(ops.MUL(lr, ops.SUB(one, now)), ops.SUB(one, product))
            of_m = ops.DIV(ops.MUL(lr, then), ops.SUB(one, ops.MUL(product, then)))
            return of_g, of_m, product, ops.SQRT(correction(beta2, t))

        of_g, of_m, product, root = ops.once((group, "rates", t, node_of(past)), rates)
        spread = ops.ADD(ops.DIV(ops.SQRT(v), each(root, g)), filled(group.eps, g.type))
        ahead = ops.MUL(each(of_m, g), ops.DIV(m, spread))
        new = ops.SUB(ops.SUB(value, ops.MUL(each(of_g, g), ops.DIV(g, spread))), ahead)
        return [*self._stored(k, m, v, t), (past, product), (p, new)]


@bounds
class RAdam(Moments):
    """Adam that does without v until its variance is known well enough, and corrects for it after (Liu and
    others, arXiv:1908.03265)."""

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0, *, master_weights: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, master_weights=master_weights)

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        g = decayed(group, value, g)
        beta1, beta2 = group.betas
        t = self._count(k)
        m, v = self._moments(k, group, g)

        def number(value: int) -> Node:
            return ops.const(value, t)

        def rates() -> tuple[Node, Node]:
            """What m and what m / (sqrt(v) + eps) are multiplied by; one of them is 0."""
            rate = ops.DIV(node_of(group._lr), correction(beta1, t))
            most = filled(2 / (1 - beta2) - 1, t.type)
            fall = ops.DIV(ops.POW(filled(beta2, t.type), t), correction(beta2, t))
            length = ops.SUB(most, ops.MUL(ops.MUL(number(2), t), fall))
            known = ops.GT(length, number(5))
            safe = ops.WHERE(known, length, number(6))
            above = _product(ops.SUB(safe, number(4)), ops.SUB(safe, number(2)), most)
            below = _product(ops.SUB(most, number(4)), ops.SUB(most, number(2)), safe)
            rectified = ops.SQRT(ops.MUL(ops.DIV(above, below), correction(beta2, t)))
            zero = number(0)
            return ops.WHERE(known, zero, rate), ops.WHERE(known, ops.MUL(rate, rectified), zero)

        plain, adapted = ops.once((group, "rates", t), rates)
        scale = ops.DIV(each(adapted, g), ops.ADD(ops.SQRT(v), filled(group.eps, g.type)))
        step = ops.MUL(m, ops.ADD(each(plain, g), scale))
        return [*self._stored(k, m, v, t), (p, ops.SUB(value, step))]


def _product(a: Node, b: Node, c: Node) -> Node:
    return ops.MUL(ops.MUL(a, b), c)
