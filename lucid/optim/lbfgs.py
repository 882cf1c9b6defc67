"""LBFGS: a quasi-Newton method, whose steps need values of the loss, so that they are made outside of
compiled functions. (What computes loss and gradients, the closure, may be one.)

    opt = lucid.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss

    opt.step(closure)

Defaults, conditions to stop and the line search are those of PyTorch's: the two-loop recursion of Nocedal and
Wright, "Numerical Optimization" (2006), algorithm 7.4; the search of their algorithms 3.5 and 3.6, with cubic
interpolation and safeguards as in M. Schmidt's minFunc (2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..context import MODE, enable_grad
from ..engine import Array, leaf
from ..errors import TraceError, bounds, here
from ..tensor import Tensor, settle
from .optimizer import Optimizer, Params, checked

# Sufficient decrease, curvature, and steps of a search.
DECREASE, CURVATURE, SEARCH = 1e-4, 0.9, 25


class _Point(NamedTuple):
    """A step length, the loss there, its gradient, and its slope along the direction."""

    t: float
    loss: float
    gradient: Array
    slope: float


Objective = Callable[[float], _Point]


@bounds
class LBFGS(Optimizer):
    """Steps along -H g, where H, the inverse of the Hessian, is estimated from the last `history_size`
    changes of parameters and gradients. A `step(closure)` makes up to `max_iter` of them, with at most
    `max_eval` (5/4 of that) calls of the closure, until the gradient is at most `tolerance_grad` in each
    element, or the step or the change of the loss `tolerance_change`. The length of a step is `lr`, or with
    `line_search_fn="strong_wolfe"` one that satisfies the strong Wolfe conditions.

    One group of parameters; all real. ValueError for more, and for another line search.
    """

    def __init__(
        self, params: Params, lr: float = 1.0, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr}, master_weights=False)
        if len(self.param_groups) != 1:
            raise ValueError(here("LBFGS: expected one group of parameters"))
        if line_search_fn not in (None, "strong_wolfe"):
            told = f"LBFGS: line_search_fn must be strong_wolfe or None, not {line_search_fn!r}"
            raise ValueError(here(told))
        self._real()
        self.max_iter = max_iter
        self.max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        self.tolerance_grad = checked("tolerance_grad", tolerance_grad)
        self.tolerance_change = checked("tolerance_change", tolerance_change)
        self.history_size, self.line_search_fn = history_size, line_search_fn
        self._memory: dict[str, Any] = {"steps": 0, "calls": 0, "changes": [], "slopes": []}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` steps. `closure` computes the loss and its gradients, as often as it is called;
        what it returned first is the result. TypeError without one; TraceError in a compiled function."""
        if closure is None:
            raise TypeError(here("LBFGS: step needs a closure that computes the loss and its gradients"))
        if MODE.get().trace is not None:
            raise TraceError(here("LBFGS: a step depends on values; compile the closure, not the step"))
        run = _Run(self, enable_grad()(closure))
        first, loss, g = run.evaluated()
        memory, calls, lr = self._memory, 1, float(self.lr)
        if not _greatest(g) > self.tolerance_grad:
            memory["calls"] += calls
            return first
        for turn in range(1, self.max_iter + 1):
            memory["steps"] += 1
            d = self._direction(g)
            t = lr if memory["steps"] > 1 else min(1.0, 1.0 / float(np.abs(g).sum())) * lr
            slope, before, old_loss = float(g @ d), g, loss
            memory.update(direction=d, gradient=before, length=t)
            if slope > -self.tolerance_change:
                break
            x = run.parameters()
            if self.line_search_fn is not None:
                search = _Search(lambda t, x=x, d=d: run.at(x, t, d), self.tolerance_change)  # type: ignore[misc]
                found, more = search.run(_Point(0.0, loss, g, slope), t, _greatest(d))
                t, loss, g = found.t, found.loss, found.gradient
                run.move(x + t * d)
                calls += more
            else:
                run.move(x + t * d)
                if turn < self.max_iter:
                    _, loss, g = run.evaluated()
                    calls += 1
            memory["length"] = t
            if (
                calls >= self.max_eval
                or not _greatest(g) > self.tolerance_grad
                or _greatest(d * t) <= self.tolerance_change
                or abs(loss - old_loss) < self.tolerance_change
            ):
                break
        memory["calls"] += calls
        return first

    def _direction(self, g: Array) -> Array:
        """-H g; of the first step -g."""
        memory = self._memory
        changes, slopes = memory["changes"], memory["slopes"]
        if memory["steps"] == 1:
            return -g
        y, s = g - memory["gradient"], memory["direction"] * g.dtype.type(memory["length"])
        if float(y @ s) > 1e-10:
            if len(changes) >= self.history_size:
                del changes[0], slopes[0]
            changes.append(s)
            slopes.append(y)
        q, kept = -g, []
        for s, y in zip(reversed(changes), reversed(slopes), strict=True):
            share = (s @ q) / (y @ s)
            q = q - share * y
            kept.append(share)
        if changes:
            q = q * ((slopes[-1] @ changes[-1]) / (slopes[-1] @ slopes[-1]))
        for s, y, share in zip(changes, slopes, reversed(kept), strict=True):
            q = q + s * (share - (y @ q) / (y @ s))
        return q

    def state_dict(self) -> dict[str, Any]:
        """Under "state" what the steps so far have left, as vectors of all parameters."""
        kept = {k: [Tensor(x) for x in v] if isinstance(v, list) else v for k, v in self._memory.items()}
        kept = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in kept.items()}
        return {**super().state_dict(), "state": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. KeyError for what has other entries."""
        given = state.get("state")
        if not isinstance(given, Mapping) or not {"steps", "calls", "changes", "slopes"} <= given.keys():
            raise KeyError(here("load_state_dict of LBFGS: expected what its state_dict gives"))
        super().load_state_dict({**state, "state": {}})

        def array(value: Any) -> Any:
            return np.array(value.numpy()) if isinstance(value, Tensor) else value

        self._memory = {k: [*map(array, v)] if isinstance(v, list) else array(v) for k, v in given.items()}


class _Run:
    """The parameters as one vector, and what the closure says of them."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.params, self.closure = optimizer.params, closure

    def parameters(self) -> Array:
        return np.concatenate([p.detach().numpy().ravel() for p in self.params])

    def move(self, x: Array) -> None:
        at = 0
        for p in self.params:
            p._assign(leaf(np.array(x[at : at + p.size], p.dtype).reshape(p.shape)))
            at += p.size

    def evaluated(self) -> tuple[Any, float, Array]:
        """What the closure returned, the loss, and its gradient."""
        returned = self.closure()
        settle([p.grad for p in self.params if p.grad is not None])
        parts = [np.zeros(p.size, p.dtype) if p.grad is None else p.grad.numpy().ravel() for p in self.params]
        return returned, float(returned), np.concatenate(parts)

    def at(self, x: Array, t: float, d: Array) -> _Point:
        self.move(x + x.dtype.type(t) * d)
        _, loss, g = self.evaluated()
        return _Point(t, loss, g, float(g @ d))


class _Search:
    """A step length at which the loss has fallen enough, and its slope is flat enough."""

    def __init__(self, objective: Objective, tolerance: float) -> None:
        self.objective, self.tolerance = objective, tolerance

    def run(self, start: _Point, t: float, greatest: float) -> tuple[_Point, int]:
        """The best point found, and how often the loss was computed; `greatest`: of the direction."""
        before, new, turn = start, self.objective(t), 0
        while turn < SEARCH:
            if self._high(start, new) or (turn > 1 and new.loss >= before.loss):
                return self._zoomed(start, [before, new], turn, greatest)
            if abs(new.slope) <= -CURVATURE * start.slope:
                return new, turn + 1
            if new.slope >= 0:
                return self._zoomed(start, [before, new], turn, greatest)
            bounds = new.t + 0.01 * (new.t - before.t), new.t * 10
            before, new = new, self.objective(_cubic(before, new, bounds))
            turn += 1
        return min((start, new), key=lambda point: point.loss), turn + 1

    def _zoomed(self, start: _Point, ends: list[_Point], turn: int, greatest: float) -> tuple[_Point, int]:
        """Between two points one of which is better: `low` is its place."""
        stuck = False
        low = 0 if ends[0].loss <= ends[1].loss else 1
        while turn < SEARCH and abs(ends[1].t - ends[0].t) * greatest >= self.tolerance:
            least, most = sorted(point.t for point in ends)
            t, margin = _cubic(ends[0], ends[1], None), 0.1 * (most - least)
            near = min(most - t, t - least) < margin
            if near and (stuck or t >= most or t <= least):
                t, near = most - margin if abs(t - most) < abs(t - least) else least + margin, False
            stuck = near
            new = self.objective(t)
            turn += 1
            if self._high(start, new) or new.loss >= ends[low].loss:
                ends[1 - low] = new
                low = 0 if ends[0].loss <= ends[1].loss else 1
                continue
            flat = abs(new.slope) <= -CURVATURE * start.slope
            if not flat and new.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = new
            if flat:
                break
        return ends[low], turn + 1

    @staticmethod
    def _high(start: _Point, new: _Point) -> bool:
        return new.loss > start.loss + DECREASE * new.t * start.slope


def _cubic(a: _Point, b: _Point, bounds: tuple[float, float] | None) -> float:
    """Where the cubic through two points, with these slopes, is least; within bounds."""
    least, most = bounds or (min(a.t, b.t), max(a.t, b.t))
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = first**2 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2
    if a.t > b.t:
        a, b = b, a
    root = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + root - first) / (b.slope - a.slope + 2 * root))
    return min(max(t, least), most)


def _greatest(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0))
