"""PyTorch: eager, and torch.compile in the two ways there are to get a gradient from it: `backward`
of a compiled loss, and a compiled `torch.func.grad_and_value`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from ..contender import Contender, Offer, Problem
from ..problems import ADAM, DELTA, EPS, MLP_STEPS, PROGRAMS

PACKAGES = ("torch",)

torch.set_num_threads(torch.get_num_threads())  # fixes what OMP_NUM_THREADS says
# A case compiles one function for many sizes; each size gets the code made for it.
torch._dynamo.config.cache_size_limit = 64


def _compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(f, dynamic=False)


def _same(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def _loss(x: Any, y: Any) -> Any:
    return functional.huber_loss(x, y, delta=DELTA)


def _gradient(out: Any) -> Mapping[str, Any]:
    return {"loss": out[0].detach(), "gx": out[1]}


def _huber(wrap: Callable[..., Any], arrays: bool = False) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        loss = wrap(lambda x, y: _loss(x, y))

        def call(x: Any, y: Any) -> Any:
            value = loss(x, y)
            return value, torch.autograd.grad(value, x)[0]

        def from_arrays(x: Any, y: Any) -> Any:
            return call(torch.from_numpy(x).requires_grad_(), torch.from_numpy(y))

        x, y = problem.inputs["x"], problem.inputs["y"]
        if arrays:
            return Contender(from_arrays, (x, y), _gradient)
        return Contender(call, (torch.tensor(x, requires_grad=True), torch.tensor(y)), _gradient)

    return maker


def _huber_func(problem: Problem) -> Contender:
    f = _compiled(torch.func.grad_and_value(lambda x, y: _loss(x, y)))
    args = torch.tensor(problem.inputs["x"]), torch.tensor(problem.inputs["y"])
    return Contender(f, args, lambda out: {"loss": out[1], "gx": out[0]})


def _linear_loss(w: Any, b: Any, x: Any, y: Any) -> Any:
    return _loss(x @ w + b, y)


def _linear(wrap: Callable[..., Any]) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        w, b = (torch.tensor(problem.inputs[k], requires_grad=True) for k in ("w", "b"))
        x, y = torch.tensor(problem.inputs["x"]), torch.tensor(problem.inputs["y"])
        loss = wrap(lambda *args: _linear_loss(*args))

        def call(w: Any, b: Any, x: Any, y: Any) -> Any:
            value = loss(w, b, x, y)
            return value, *torch.autograd.grad(value, (w, b))

        def result(out: Any) -> Mapping[str, Any]:
            return {"loss": out[0].detach(), "gw": out[1], "gb": out[2]}

        return Contender(call, (w, b, x, y), result)

    return maker


def _linear_func(problem: Problem) -> Contender:
    f = _compiled(torch.func.grad_and_value(lambda *a: _linear_loss(*a), argnums=(0, 1)))
    args = tuple(torch.tensor(problem.inputs[k]) for k in ("w", "b", "x", "y"))

    def result(out: Any) -> Mapping[str, Any]:
        return {"loss": out[1], "gw": out[0][0], "gb": out[0][1]}

    return Contender(f, args, result)


def _rows(wrap: Callable[..., Any]) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        op, n, backward = (problem.params[k] for k in ("op", "n", "backward"))
        names = [k for k in ("x", "w", "b") if k in problem.inputs]
        leaves = [torch.tensor(problem.inputs[k], requires_grad=backward) for k in names]

        def plain(x: Any, w: Any = None, b: Any = None) -> Any:
            if op == "layer_norm":
                return functional.layer_norm(x, (n,), w, b, EPS)
            if op == "softmax":
                return functional.softmax(x, dim=1)
            return functional.log_softmax(x, dim=1)

        forward = wrap(plain)
        if not backward:
            return Contender(forward, tuple(leaves), lambda out: {"out": out})

        def both(g: Any, *leaves: Any) -> Any:
            out = forward(*leaves)
            return out, *torch.autograd.grad(out, leaves, g)

        def result(out: Any) -> Mapping[str, Any]:
            found = dict(zip([f"g{k}" for k in names], out[1:], strict=True))
            return {"out": out[0].detach(), **found}

        return Contender(both, (torch.tensor(problem.inputs["g"]), *leaves), result)

    return maker


def _moves(wrap: Callable[..., Any]) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        op = problem.params["op"]
        # A clone: a transpose alone, or a contiguous one of a compiled function, would be a view.
        plain = {
            "all": lambda x: x.sum(),
            "rows": lambda x: x.sum(dim=1),
            "columns": lambda x: x.sum(dim=0),
            "transpose": lambda x: x.T.clone(memory_format=torch.contiguous_format),
        }[op]
        return Contender(wrap(plain), (torch.tensor(problem.inputs["x"]),), lambda out: {"out": out})

    return maker


def _optimiser(params: Any, fused: bool) -> Any:
    betas = ADAM["beta1"], ADAM["beta2"]
    return torch.optim.Adam(params, ADAM["lr"], betas, ADAM["eps"], fused=fused)


def _adam(fused: bool, wrap: Callable[..., Any]) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        parts = problem.params["tensors"]
        ps = [t.clone() for t in torch.tensor(problem.inputs["p"]).chunk(parts)]
        gs = torch.tensor(problem.inputs["g"]).chunk(parts)
        for p, g in zip(ps, gs, strict=True):
            p.requires_grad_()
            p.grad = g.clone()
        opt = _optimiser(ps, fused)
        step = wrap(lambda: opt.step())

        def result(out: Any) -> Mapping[str, Any]:
            states = [opt.state[p] for p in ps]
            return {
                "p": torch.cat([p.detach() for p in ps]),
                "mean": torch.cat([s["exp_avg"] for s in states]),
                "square": torch.cat([s["exp_avg_sq"] for s in states]),
            }

        return Contender(step, (), result)

    return maker


def tensor(array: Any) -> Any:
    return torch.tensor(array)


def _mlp(fused: bool, wrap: Callable[..., Any]) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        hidden, width = problem.inputs["w0"].shape
        net = torch.nn.Sequential(
            torch.nn.Linear(width, hidden), torch.nn.ReLU(),
            torch.nn.Linear(hidden, hidden), torch.nn.ReLU(),
            torch.nn.Linear(hidden, 1),
        )  # fmt: skip
        with torch.no_grad():
            for k in range(3):
                net[2 * k].weight.copy_(torch.tensor(problem.inputs[f"w{k}"]))
                net[2 * k].bias.copy_(torch.tensor(problem.inputs[f"b{k}"]))
        opt = _optimiser(net.parameters(), fused)
        criterion = torch.nn.HuberLoss(delta=DELTA)
        forward = wrap(lambda x, y: criterion(net(x), y))
        update = wrap(lambda: opt.step())
        args = torch.tensor(problem.inputs["x"]), torch.tensor(problem.inputs["y"])

        def call(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = forward(x, y)
            loss.backward()
            update()
            return loss

        def result(out: Any) -> Mapping[str, Any]:
            losses = [out.item()] + [call(*args).item() for _ in range(MLP_STEPS - 1)]
            return {"losses": losses}

        return Contender(call, args, result)

    return maker


def _scale(problem: Problem) -> Contender:
    program, count = PROGRAMS[problem.params["program"]], problem.params["count"]
    f = _compiled(lambda x: program(x, count, lambda x: functional.softmax(x, dim=-1)))
    return Contender(f, (torch.tensor(problem.inputs["x"]),), lambda out: {"out": out})


def _busy(threads: int) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        count = problem.params["count"]

        def call(x: Any) -> Any:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            try:
                return PROGRAMS["means"](x, count, _same)
            finally:
                torch.set_num_threads(before)

        return Contender(call, (torch.tensor(problem.inputs["x"]),), lambda out: {"out": out})

    return maker


OFFERS: Mapping[str, Offer] = {
    "huber": {
        "PyTorch": _huber(_same),
        "torch.compile": _huber(_compiled),
        "torch.compile, grad_and_value": _huber_func,
    },
    "huber_call": {
        "PyTorch": _huber(_same, arrays=True),
        "torch.compile": _huber(_compiled, arrays=True),
    },
    "linear": {
        "PyTorch": _linear(_same),
        "torch.compile": _linear(_compiled),
        "torch.compile, grad_and_value": _linear_func,
    },
    "rows": {"PyTorch": _rows(_same), "torch.compile": _rows(_compiled)},
    "moves": {"PyTorch": _moves(_same), "torch.compile": _moves(_compiled)},
    "adam": {
        "PyTorch": _adam(False, _same),
        "PyTorch, fused": _adam(True, _same),
        "torch.compile": _adam(False, _compiled),
    },
    "mlp": {
        "PyTorch": _mlp(False, _same),
        "PyTorch, fused Adam": _mlp(True, _same),
        "torch.compile": _mlp(False, _compiled),
    },
    "new_batch": {"torch.compile, dynamic": _mlp(False, torch.compile)},
    "scale": {"torch.compile": _scale},
    "busy": {"PyTorch": _busy(2), "PyTorch, one thread": _busy(1)},
}
