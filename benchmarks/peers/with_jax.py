"""JAX: jit of value_and_grad, with the losses and optimisers of optax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..contender import Contender, Offer, Problem
from ..problems import ADAM, DELTA, EPS, MLP_STEPS, PROGRAMS

PACKAGES = ("jax", "jaxlib", "optax")


tensor = jnp.array


def _loss(x: Any, y: Any) -> Any:
    return optax.losses.huber_loss(x, y, delta=DELTA).mean()


def _gradient(out: Any) -> Mapping[str, Any]:
    return {"loss": out[0], "gx": out[1]}


def _ready(f: Any) -> Any:
    """JAX returns before the work is done."""

    def call(*args: Any) -> Any:
        return jax.block_until_ready(f(*args))

    return call


def _huber(problem: Problem) -> Contender:
    args = jnp.array(problem.inputs["x"]), jnp.array(problem.inputs["y"])
    return Contender(_ready(jax.jit(jax.value_and_grad(_loss))), args, _gradient)


def _huber_call(problem: Problem) -> Contender:
    args = problem.inputs["x"], problem.inputs["y"]
    return Contender(_ready(jax.jit(jax.value_and_grad(_loss))), args, _gradient)


def _linear(problem: Problem) -> Contender:
    def loss(w: Any, b: Any, x: Any, y: Any) -> Any:
        return _loss(x @ w + b, y)

    def result(out: Any) -> Mapping[str, Any]:
        return {"loss": out[0], "gw": out[1][0], "gb": out[1][1]}

    args = tuple(jnp.array(problem.inputs[k]) for k in ("w", "b", "x", "y"))
    return Contender(_ready(jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))), args, result)


def _rows(problem: Problem) -> Contender:
    op, backward = problem.params["op"], problem.params["backward"]

    def forward(x: Any, w: Any = None, b: Any = None) -> Any:
        if op != "layer_norm":
            return jax.nn.softmax(x) if op == "softmax" else jax.nn.log_softmax(x)
        center = x.mean(axis=1, keepdims=True)
        return (x - center) * jax.lax.rsqrt(x.var(axis=1, keepdims=True) + EPS) * w + b

    def both(g: Any, *leaves: Any) -> Any:
        out, pull = jax.vjp(forward, *leaves)
        return out, *pull(g)

    leaves = [k for k in ("x", "w", "b") if k in problem.inputs]
    args = tuple(jnp.array(problem.inputs[k]) for k in ([*(["g"] if backward else []), *leaves]))
    if not backward:
        return Contender(_ready(jax.jit(forward)), args, lambda out: {"out": out})
    names = ["out", *[f"g{k}" for k in leaves]]
    return Contender(_ready(jax.jit(both)), args, lambda out: dict(zip(names, out, strict=True)))


def _moves(problem: Problem) -> Contender:
    op = problem.params["op"]

    def f(x: Any) -> Any:
        return x.T if op == "transpose" else x.sum(axis={"all": None, "rows": 1, "columns": 0}[op])

    return Contender(_ready(jax.jit(f)), (jnp.array(problem.inputs["x"]),), lambda out: {"out": out})


def _optimiser() -> Any:
    return optax.adam(ADAM["lr"], ADAM["beta1"], ADAM["beta2"], ADAM["eps"])


def _adam(problem: Problem) -> Contender:
    parts = problem.params["tensors"]
    ps, gs = ([jnp.array(a) for a in np.split(problem.inputs[k], parts)] for k in ("p", "g"))
    opt = _optimiser()
    state = [ps, opt.init(ps)]

    def update(ps: Any, inner: Any, gs: Any) -> Any:
        changes, inner = opt.update(gs, inner, ps)
        return optax.apply_updates(ps, changes), inner

    # The old parameters and state are given up, so that they can be updated in place.
    step = jax.jit(update, donate_argnums=(0, 1))

    def call(gs: Any) -> None:
        state[:] = step(*state, gs)
        jax.block_until_ready(state)

    def result(out: Any) -> Mapping[str, Any]:
        moments = state[1][0]
        found = {"p": state[0], "mean": moments.mu, "square": moments.nu}
        return {name: np.concatenate(parts) for name, parts in found.items()}

    return Contender(call, (gs,), result)


def _mlp(problem: Problem) -> Contender:
    params = {k: jnp.array(v) for k, v in problem.inputs.items() if k[0] in "wb"}
    x, y = jnp.array(problem.inputs["x"]), jnp.array(problem.inputs["y"])
    opt = _optimiser()
    state = [params, opt.init(params)]

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = jax.nn.relu(x @ p["w0"].T + p["b0"])
        h = jax.nn.relu(h @ p["w1"].T + p["b1"])
        return _loss(h @ p["w2"].T + p["b2"], y)

    def update(p: Any, inner: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(p, x, y)
        changes, inner = opt.update(grads, inner, p)
        return value, optax.apply_updates(p, changes), inner

    step = jax.jit(update, donate_argnums=(0, 1))

    def call(x: Any, y: Any) -> Any:
        value, *state[:] = step(*state, x, y)
        jax.block_until_ready(state)
        return value

    def result(out: Any) -> Mapping[str, Any]:
        return {"losses": [float(out)] + [float(call(x, y)) for _ in range(MLP_STEPS - 1)]}

    return Contender(call, (x, y), result)


def _scale(problem: Problem) -> Contender:
    program, count = PROGRAMS[problem.params["program"]], problem.params["count"]
    f = _ready(jax.jit(lambda x: program(x, count, jax.nn.softmax)))
    return Contender(f, (jnp.array(problem.inputs["x"]),), lambda out: {"out": out})


OFFERS: Mapping[str, Offer] = {
    "huber": {"JAX": _huber},
    "huber_call": {"JAX": _huber_call},
    "linear": {"JAX": _linear},
    "rows": {"JAX": _rows},
    "moves": {"JAX": _moves},
    "adam": {"JAX": _adam},
    "mlp": {"JAX": _mlp},
    "new_batch": {"JAX": _mlp},
    "scale": {"JAX": _scale},
}
