"""Programs of what fewer people look for who come from PyTorch, see `like_torch.py`: methods in place,
special functions, hooks of leaves and of state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lucid import orthogonal

from . import layers_like_torch, like_torch
from .like_torch import Program, add, numbers, with_gradients
from .names_like_torch import linear

BEFORE = set(like_torch.PROGRAMS)
assert BEFORE > layers_like_torch.NAMES

# --- in place --------------------------------------------------------------------------------------

A, B, V = numbers(1, 3, 3), numbers(2, 3, 3), numbers(3, 3)
WHOLE = np.arange(9).reshape(3, 3)
IN_PLACE: dict[str, tuple[Any, ...]] = {
    "addmm": (B, B), "addmv": (V, V), "addr": (V, V), "absolute": (), "deg2rad": (), "rad2deg": (),
    "conj_physical": (), "nextafter": (B,), "polygamma": (1,), "eq": (A,), "ne": (0,), "lt": (B,), "le": (B,),
    "gt": (B,), "ge": (B,), "less": (0,), "less_equal": (0,), "greater": (0,), "greater_equal": (0,),
    "not_equal": (B,), "logical_and": (B,), "logical_or": (B,), "logical_xor": (B,), "logical_not": (),
    "fill_diagonal": (7.0,), "transpose": (0, 1), "swapaxes": (0, 1), "swapdims": (0, 1), "t": (),
    "unsqueeze": (1,), "put": (WHOLE[:1], V, True), "bitwise_left_shift": (1,), "bitwise_right_shift": (1,),
    "gcd": (WHOLE + 4,), "lcm": (WHOLE + 4,),
}  # fmt: skip


def in_place(name: str) -> Program:
    def program(t: Any) -> Any:
        x = t.tensor(WHOLE if name.startswith(("bitwise", "gcd", "lcm")) else A)
        if name == "addmv":
            x = x[0] * 1
            given = [t.tensor(B), t.tensor(V)]
        else:
            given = [t.tensor(v) if isinstance(v, np.ndarray) else v for v in IN_PLACE[name]]
        assert getattr(x, f"{name}_")(*given) is x
        return [x, [float(n) for n in x.shape]]

    return program


for name in IN_PLACE:
    add(f"in place {name}", in_place(name))


def through_in_place(t: Any) -> Any:
    x = t.tensor(A[:1], requires_grad=True)
    h = x * 2
    h.squeeze_().unsqueeze_(1).transpose_(0, 1)
    (h * h.detach().exp()).sum().backward()
    return [h.detach(), x.grad]


add("in place gradients of shapes", through_in_place)

# --- special functions -----------------------------------------------------------------------------

PLACES = np.array([-30.0, -3.5, -0.5, 0.3, 2.0, 7.5, 25.0])


def of_special(name: str, *given: Any) -> Callable[..., Any]:
    """The function of a module and of x, and of what else is given."""

    def f(t: Any, x: Any) -> Any:
        return getattr(t.special, name)(x, *(t.tensor(y) if isinstance(y, np.ndarray) else y for y in given))

    return f


for name in ("i0e", "i1e", "erfcx", "log_ndtr"):
    add(f"special {name}", with_gradients(of_special(name), PLACES / 3))
for name in ("i0", "i1"):
    add(f"special {name}", with_gradients(of_special(name), PLACES))
PARTS = np.array([1e-200, 1e-9, 0.015, 0.3, 0.5, 0.9, 1 - 1e-9])
add("special ndtri", with_gradients(of_special("ndtri"), PARTS[1:]))
add("special multigammaln", with_gradients(of_special("multigammaln", 3), np.array([1.2, 3.0, 40.0])))
SHAPES, ENDS = np.array([0.3, 0.3, 2.0, 7.0, 7.0, 300.0]), np.array([0.1, 4, 3, 1, 30, 290.0])


def of_gamma(name: str, t: Any) -> Any:
    return getattr(t.special, name)(t.tensor(SHAPES), t.tensor(ENDS))


for name in ("gammainc", "gammaincc"):
    add(f"special {name}", partial(of_gamma, name))
add("special zeta", lambda t: t.special.zeta(t.tensor([1.0, 1.5, 2.0, 9.0]), t.tensor([1.0, 0.3, 7.0, 2.0])))


def of_degrees(name: str, t: Any) -> Any:
    return [getattr(t.special, name)(t.tensor(PLACES / 30), n) for n in (0, 1, 2, 7, -1)]


for name in orthogonal.__all__:
    add(f"special {name}", partial(of_degrees, name))

# --- hooks of leaves and of state ------------------------------------------------------------------


def after_gradients(t: Any) -> Any:
    """A step of an optimiser as soon as a gradient is there."""
    layer, seen = linear(t), []
    optimisers = {p: t.optim.SGD([p], lr=0.1) for p in layer.parameters()}

    def step(p: Any) -> None:
        seen.append(p.grad * 1)
        optimisers[p].step()
        optimisers[p].zero_grad()

    handles = [p.register_post_accumulate_grad_hook(step) for p in layer.parameters()]
    for _ in range(3):
        layer(t.tensor(numbers(4, 2, 3))).square().sum().backward()
    handles[0].remove()
    layer(t.tensor(numbers(4, 2, 3))).square().sum().backward()
    grads = [float(p.grad is None) for p in layer.parameters()]
    return [*(p.detach() for p in layer.parameters()), *sorted(float(g.sum()) for g in seen), *grads]


def of_state(t: Any) -> Any:
    class Counted(t.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.rest = linear(t), t.nn.Sequential(linear(t))
            self.mean = t.nn.Buffer(t.zeros(2))
            self.scratch = t.nn.Buffer(t.zeros(1), persistent=False)
            self.count = 3.0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    net, found, told = Counted(), [], []
    net.rest.register_state_dict_pre_hook(lambda m, prefix, keep: found.append(float(prefix == "rest.")))
    net.rest.register_state_dict_post_hook(lambda m, s, prefix, _: s.update({f"{prefix}more": t.ones(1)}))
    net.register_state_dict_post_hook(lambda m, s, prefix, _: found.append(float("rest.more" in s)))
    state = net.state_dict()
    found += [float(len(state)), float(len(list(net.buffers()))), float(isinstance(net.mean, t.nn.Buffer))]
    found += [float("x.rest.more" in net.state_dict(prefix="x.")), float("scratch" in state)]

    def before(m: Any, s: Any, prefix: str, _: Any, strict: bool, *lists: Any) -> None:
        told.append(float(strict))
        s.pop(f"{prefix}more", None)

    def after(m: Any, keys: Any) -> None:
        told.extend([float(len(keys.missing_keys)), float(len(keys.unexpected_keys))])
        keys.missing_keys.clear()

    net.rest.register_load_state_dict_pre_hook(before)
    net.register_load_state_dict_post_hook(after)
    state["_extra_state"] = {"count": 9.0}
    del state["first.weight"]
    net.load_state_dict(state)
    state["another"] = t.ones(1)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        told.append(float("another" in str(error)))
    return [*found, *told, net.count]


add("hooks after gradients", after_gradients)
add("hooks of state", of_state)

NAMES = set(like_torch.PROGRAMS) - BEFORE

if __name__ == "__main__":
    like_torch.write()
