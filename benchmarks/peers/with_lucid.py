"""lucid: the functions that a user would write, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import lucid
from lucid import Tensor, nn
from lucid.compiler.ir.artifact import Code, Launch, Plan
from lucid.nn import functional
from lucid.runtime.execute import Executable
from lucid.runtime.load import compiles

from ..contender import Array, Contender, Offer, Problem
from ..problems import ADAM, DELTA, EPS, MLP_STEPS, PROGRAMS, empty

__all__ = ["OFFERS", "PACKAGES", "compiles", "tensor"]

PACKAGES = ("lucid-compiler", "numpy", "llvmlite")

tensor = lucid.tensor


def _loss(x: Any, y: Any) -> Tensor:
    return functional.huber_loss(x, y, DELTA)


def _gradient(out: Any) -> Mapping[str, Any]:
    return {"loss": out[0].numpy(), "gx": out[1].numpy()}


def _huber(problem: Problem) -> Contender:
    x, y = lucid.tensor(problem.inputs["x"]), lucid.tensor(problem.inputs["y"])
    return Contender(lucid.compile(lucid.value_and_grad(_loss)), (x, y), _gradient)


def _huber_out(problem: Problem) -> Contender:
    x, y = lucid.tensor(problem.inputs["x"]), lucid.tensor(problem.inputs["y"])
    f = lucid.compile(lucid.value_and_grad(_loss))
    out = np.empty((), np.float32), empty(problem.inputs["x"].size)

    def call(x: Tensor, y: Tensor) -> Any:
        return f(x, y, out=out)

    return Contender(call, (x, y), lambda out: {"loss": out[0], "gx": out[1]})


def _huber_call(problem: Problem) -> Contender:
    args = problem.inputs["x"], problem.inputs["y"]
    return Contender(lucid.compile(lucid.value_and_grad(_loss)), args, _gradient)


def _linear(problem: Problem) -> Contender:
    w, b, x, y = (lucid.tensor(problem.inputs[k]) for k in ("w", "b", "x", "y"))

    def loss(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return _loss(x @ w + b, y)

    def result(out: Any) -> Mapping[str, Any]:
        return {"loss": out[0].numpy(), "gw": out[1][0].numpy(), "gb": out[1][1].numpy()}

    f = lucid.compile(lucid.value_and_grad(loss, argnums=(0, 1)))
    return Contender(f, (w, b, x, y), result)


def _rows(problem: Problem) -> Contender:
    op, n = problem.params["op"], problem.params["n"]
    tensors = {name: lucid.tensor(a) for name, a in problem.inputs.items()}
    wanted = [name for name in ("x", "w", "b") if name in tensors]

    def forward(x: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        if op == "layer_norm":
            return functional.layer_norm(x, n, w, b, EPS)
        return functional.softmax(x) if op == "softmax" else functional.log_softmax(x)

    if not problem.params["backward"]:
        return Contender(
            lucid.compile(forward),
            tuple(tensors[name] for name in wanted),
            lambda out: {"out": out.numpy()},
        )
    leaves = [tensors[name] for name in wanted]
    for leaf in leaves:
        leaf.requires_grad = True

    def both(g: Tensor, *leaves: Tensor) -> tuple[Any, ...]:
        for leaf in leaves:
            leaf.grad = None
        out = forward(*leaves)
        out.backward(g)
        return out.detach(), *[leaf.grad for leaf in leaves]

    def result(out: Any) -> Mapping[str, Any]:
        return {"out": out[0].numpy()} | {
            f"g{name}": t.numpy() for name, t in zip(wanted, out[1:], strict=True)
        }

    return Contender(lucid.compile(both), (tensors["g"], *leaves), result)


def _moves(problem: Problem) -> Contender:
    op = problem.params["op"]

    @lucid.compile
    def f(x: Tensor) -> Tensor:
        # A plain transpose is a view, which a compiled function writes out.
        return x.T if op == "transpose" else x.sum(axis={"all": None, "rows": 1, "columns": 0}[op])

    return Contender(f, (lucid.tensor(problem.inputs["x"]),), lambda out: {"out": out.numpy()})


def _adam(problem: Problem) -> Contender:
    parts = problem.params["tensors"]
    ps = [lucid.tensor(a) for a in np.split(problem.inputs["p"], parts)]
    gs = [lucid.tensor(a) for a in np.split(problem.inputs["g"], parts)]
    opt = lucid.optim.Adam(ps, ADAM["lr"], (ADAM["beta1"], ADAM["beta2"]), ADAM["eps"])

    @lucid.compile
    def step(*gs: Tensor) -> None:
        for p, g in zip(ps, gs, strict=True):
            p.grad = g
        opt.step()

    def result(out: Any) -> Mapping[str, Any]:
        state = {"p": ps, "mean": opt.state["mean"], "square": opt.state["square"]}
        return {name: np.concatenate([t.numpy() for t in found]) for name, found in state.items()}

    return Contender(step, tuple(gs), result)


def _network(inputs: Mapping[str, Array]) -> nn.Sequential:
    hidden, width = inputs["w0"].shape
    net = nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, 1),
    )  # fmt: skip
    state = {}
    for k in range(3):
        state[f"{2 * k}.weight"], state[f"{2 * k}.bias"] = inputs[f"w{k}"], inputs[f"b{k}"]
    net.load_state_dict({name: lucid.tensor(a) for name, a in state.items()})
    return net


def _mlp(problem: Problem, compiled: bool = True) -> Contender:
    net = _network(problem.inputs)
    opt = lucid.optim.Adam(net.parameters(), ADAM["lr"], (ADAM["beta1"], ADAM["beta2"]), ADAM["eps"])
    criterion = nn.HuberLoss(delta=DELTA)

    def step(x: Any, y: Any) -> Tensor:
        opt.zero_grad()
        loss: Tensor = criterion(net(x), y)
        loss.backward()
        opt.step()
        return loss

    call = lucid.compile(step) if compiled else step
    args = lucid.tensor(problem.inputs["x"]), lucid.tensor(problem.inputs["y"])

    def result(out: Any) -> Mapping[str, Any]:
        losses = [out.item()] + [call(*args).item() for _ in range(MLP_STEPS - 1)]
        return {"losses": losses}

    return Contender(call, args, result)


def _mlp_lazy(problem: Problem) -> Contender:
    return _mlp(problem, compiled=False)


_NOTHING = "define void @nothing(ptr %slots, i64 %begin, i64 %end) nounwind {\n  ret void\n}\n"


def _region(threads: int) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        launch = Launch(Code(_NOTHING, "nothing", _NOTHING, False), (), 2, work=1 << 30)
        run = Executable(Plan((), (), (), (), (launch,), 0))
        return Contender(lambda: run((), threads=threads), (), lambda out: {})

    return maker


def _scale(problem: Problem) -> Contender:
    program, count = PROGRAMS[problem.params["program"]], problem.params["count"]
    f = lucid.compile(lambda x: program(x, count, functional.softmax))
    return Contender(f, (lucid.tensor(problem.inputs["x"]),), lambda out: {"out": out.numpy()})


def _busy(threads: int) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        count = problem.params["count"]
        f = lucid.compile(lambda x: PROGRAMS["means"](x, count, functional.softmax), threads=threads)
        return Contender(f, (lucid.tensor(problem.inputs["x"]),), lambda out: {"out": out.numpy()})

    return maker


OFFERS: Mapping[str, Offer] = {
    "huber": {"lucid": _huber, "lucid, output reused": _huber_out},
    "huber_call": {"lucid": _huber_call},
    "linear": {"lucid": _linear},
    "rows": {"lucid": _rows},
    "moves": {"lucid": _moves},
    "adam": {"lucid": _adam},
    "mlp": {"lucid": _mlp, "lucid, not compiled": _mlp_lazy},
    "new_batch": {"lucid": _mlp},
    "scale": {"lucid": _scale},
    "region": {"lucid": _region(2), "lucid, one thread": _region(1)},
    "busy": {"lucid": _busy(2), "lucid, one thread": _busy(1)},
}
