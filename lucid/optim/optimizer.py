"""What all optimisers share: parameters, learning rate, state, and the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import LOC, Node
from lucid.runtime import steps

from ..context import MODE, enable_grad
from ..creation import zeros_like
from ..engine import evaluate, leaf
from ..errors import bounds, here
from ..places import called
from ..promote import cast, filled, scalar
from ..tape import is_traced
from ..tensor import Tensor, node_of, settle
from ..unread import PENDING

# Tensors that a step changes, with their new nodes.
Changes = list[tuple[Tensor, Node]]


@bounds
class Optimizer:
    """Changes parameters by their gradients.

    All state exists from the start, as tensors that a step re-assigns; so a compiled training step
    has it as inputs and outputs. `lr` may be changed at any time; inside of a compiled function it
    reads as a 0-d float64 Tensor.

    Parameters of float16 and bfloat16 have weights in float32 behind them (`state["master"]`, in their
    order), and so is all their state: steps too small for 16 bits add up, and `eps` does not round to 0. A
    parameter that was changed by others begins anew from its value. `master_weights=False` keeps and computes
    everything in 16 bits, at a third of the memory.
    """

    hyper: ClassVar[tuple[str, ...]] = ()  # names of attributes that state_dict carries
    per_parameter: ClassVar[tuple[str, ...]] = ()  # names of the state of each parameter

    def __init__(self, params: Iterable[Tensor], lr: float, master_weights: bool = True) -> None:
        if isinstance(params, Tensor | np.ndarray) or not isinstance(params, Iterable):
            kind = type(params).__name__
            raise TypeError(here(f"{type(self).__name__}: expected tensors as [w, b], not one {kind}"))
        self.params = list(params)
        if not self.params:
            raise ValueError(here(f"{type(self).__name__}: no parameters to optimise"))
        for p in self.params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise TypeError(here(f"{type(self).__name__}: expected leaf tensors, got {type(p).__name__}"))
        if len({id(p) for p in self.params}) != len(self.params):
            raise ValueError(here(f"{type(self).__name__}: a parameter is listed twice"))
        self._lr = Tensor(np.float64(checked("lr", lr)))
        self.state: dict[str, list[Tensor]] = {}
        # The place in state["master"] of parameter number k.
        self._masters: dict[int, int] = {}
        if master_weights:
            halves = [k for k, p in enumerate(self.params) if p._node.type.dtype.wide is not None]
            self._masters = {k: place for place, k in enumerate(halves)}
            if halves:
                self.state["master"] = [self.params[k].detach().astype(np.float32) for k in halves]

    # --- learning rate ---------------------------------------------------------------------------

    @property
    def lr(self) -> Any:
        """The learning rate: a float; a 0-d Tensor in a compiled function."""
        return self._lr.item() if MODE.get().trace is None else self._lr

    @lr.setter
    def lr(self, value: Any) -> None:
        if isinstance(value, Tensor):
            new = value.detach().astype(np.float64).reshape(())
            self._lr._assign(node_of(new) if MODE.get().trace else leaf(np.array(new.numpy())))
        else:
            number = checked("lr", value)
            literal = scalar(number, self._lr._node.type.dtype)
            self._lr._assign(literal if MODE.get().trace else leaf(np.array(number)))

    # --- the step --------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or make them 0."""
        for p in self.params:
            p.grad = None if set_to_none or p.grad is None else zeros_like(p)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient. All new values are computed together, and
        with them the losses that `backward` was called on; if that fails, nothing has changed.
        `closure`, if given, is called first, and what it returns (a loss) is the result."""
        if closure is not None:
            with enable_grad():
                loss = closure()
            self.step()
            return loss
        if MODE.get().trace is not None:
            for tensor, node in self._changes():
                tensor._assign(node)
            return None
        steps.run(self._step)
        return None

    def _step(self) -> None:
        changes = self._changes()
        losses = PENDING.take()
        wanted = dict.fromkeys([*(node for _, node in changes), *(t._node for t in losses)])
        new = {node: leaf(array) for node, array in zip(wanted, evaluate([*wanted]), strict=True)}
        for tensor, node in changes:
            tensor._assign(new[node])
        settle(losses)

    def _changes(self) -> Changes:
        trace = MODE.get().trace
        module = "" if trace is None else trace.places.within(type(self).__name__)
        token = LOC.set(called(trace))
        try:
            changes: Changes = []
            with ops.shared_constants():
                for k, p in enumerate(self.params):
                    g = p.grad
                    if g is not None:
                        value = self._value(k, p)
                        new = self._update(k, p, value, cast(node_of(g), value.type.dtype))
                        changes += self._rounded(k, p, new) if k in self._masters else new
        finally:
            LOC.reset(token)
            if trace is not None:
                trace.places.module = module
        return changes

    def _value(self, k: int, p: Tensor) -> Node:
        """What a step starts from: the parameter, or what it was rounded from."""
        node = node_of(p)
        if k not in self._masters:
            return node
        master = node_of(self.state["master"][self._masters[k]])
        ours = ops.EQ(ops.CAST(master, dtype=node.type.dtype), node)
        return ops.WHERE(ours, master, ops.CAST(node, dtype=master.type.dtype))

    def _rounded(self, k: int, p: Tensor, changes: Changes) -> Changes:
        """The new value for the master, and rounded for the parameter."""
        master = self.state["master"][self._masters[k]]
        kept = [(t, node) for t, node in changes if t is not p]
        (value,) = [node for t, node in changes if t is p]
        return [*kept, (master, value), (p, cast(value, node_of(p).type.dtype))]

    def _update(self, k: int, p: Tensor, value: Node, g: Node) -> Changes:
        """The changes for parameter number k, of value `value` and gradient `g`."""
        raise NotImplementedError

    def _zeros(self) -> list[Tensor]:
        """State of zeros, one tensor for each parameter."""
        return [
            Tensor(np.zeros(p.shape, np.float32 if k in self._masters else p.dtype))
            for k, p in enumerate(self.params)
        ]

    def _counts(self) -> list[Tensor]:
        """A count for each parameter, from 0. As long as counts are equal they share a node, and what
        is computed from them is computed once."""
        zero = Tensor(np.zeros((), np.float64))
        return [zero.detach() for _ in self.params]

    # --- state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Hyperparameters, and under "state" a list of tensors for each kind of state."""
        state = {name: [t.detach() for t in tensors] for name, tensors in self.state.items()}
        return {**{name: getattr(self, name) for name in self.hyper}, "state": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. KeyError or ValueError where it does not fit; then
        nothing has changed."""
        wanted = {*self.hyper, "state"}
        inner = state.get("state", {}) if isinstance(state, Mapping) else None
        if not isinstance(inner, Mapping):
            got = state if inner is None else inner
            raise TypeError(
                here(f"load_state_dict: expected what state_dict() gave, not a {type(got).__name__}")
            )
        if set(state) != wanted or set(state["state"]) != set(self.state):
            raise KeyError(
                here(
                    f"load_state_dict of {type(self).__name__}: expected the keys {sorted(wanted)} with "
                    f"state {sorted(self.state)}, got {sorted(state)} with {sorted(state.get('state', ()))}"
                )
            )
        changes: list[tuple[Tensor, np.ndarray[Any, Any]]] = []
        for name, tensors in self.state.items():
            given = [np.asarray(t) for t in state["state"][name]]
            shapes, own = [a.shape for a in given], [t.shape for t in tensors]
            if shapes != own:
                raise ValueError(here(f"load_state_dict: {name} has shapes {shapes}, expected {own}"))
            changes += [(t, a.astype(t.dtype)) for t, a in zip(tensors, given, strict=True)]
        for tensor, array in changes:
            tensor._assign(leaf(array))
        for name in self.hyper:
            setattr(self, name, state[name])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self.hyper)
        return f"{type(self).__name__}({shown}, {len(self.params)} parameters)"


def checked(name: str, value: Any) -> float:
    """A finite number, at least 0. TypeError, ValueError for what is none."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(here(f"{name} must be a number, not {type(value).__name__}"))
    number: Any = value if is_traced(value) else float(value)
    if not (0 <= number < math.inf):
        raise ValueError(here(f"{name} must be a finite number, at least 0, not {value}"))
    return number  # type: ignore[no-any-return]


def each(number: Node, like: Node) -> Node:
    """A 0-d node in the dtype and shape of `like`: in one step the same for all that are alike."""
    dtype = like.type.dtype
    same = ops.once(("cast", number, dtype), cast, number, dtype)
    return ops.once(("each", number, like.type), ops.fill, same, like.shape)


def times(number: float, x: Node) -> Node:
    """The user's number times x."""
    return ops.MUL(filled(number, x.type), x)
