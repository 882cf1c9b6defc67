"""What all optimisers share: groups of parameters, learning rates, state, and the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import LOC, Node, at
from lucid.runtime import steps

from ..context import MODE, enable_grad
from ..creation import zeros_like
from ..engine import evaluate, leaf
from ..errors import bounds, here
from ..names import on_device
from ..places import called
from ..promote import cast, filled, scalar
from ..residence import device_named, follow
from ..reuse import made, usable
from ..tape import is_traced
from ..tensor import Tensor, node_of, settle
from ..unread import PENDING
from ..views import alone

# Tensors, or dicts of "params" and of hyperparameters of theirs.
Params = Iterable[Tensor] | Iterable[Mapping[str, Any]]
# Tensors that a step changes, with their new nodes.
Changes = list[tuple[Tensor, Node]]


@bounds
class Group:
    """Parameters with hyperparameters of their own. These are attributes, and items, as in PyTorch:
    `group.weight_decay` is `group["weight_decay"]`."""

    betas: tuple[float, float]
    initial_lr: Any = None  # what schedules start from

    def __init__(self, kind: str, params: Iterable[Tensor], options: Mapping[str, Any]) -> None:
        self._kind, self._names = kind, tuple(options)
        self.params = list(params)
        for p in self.params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise TypeError(here(f"{kind}: expected leaf tensors, got {type(p).__name__}"))
        self._lr = Tensor(np.float64(checked("lr", options["lr"])))
        for name, value in options.items():
            if name != "lr":
                setattr(self, name, value)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

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

    def keys(self) -> tuple[str, ...]:
        return ("params", *self._names)

    def __getitem__(self, name: str) -> Any:
        self._known(name)
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._known(name)
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def _known(self, name: str) -> None:
        if name not in self.keys():
            raise KeyError(here(f"{self._kind} has no {name!r}; expected one of {', '.join(self.keys())}"))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self[name]}" for name in self._names)
        return f"{shown}, {len(self.params)} parameters"


class Hyper:
    """A hyperparameter as an attribute of the optimiser: that of all its groups."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type | None = None) -> Any:
        if optimizer is None:
            return self
        values = [getattr(group, self.name) for group in optimizer.param_groups]
        if MODE.get().trace is None and any(v != values[0] for v in values):
            raise ValueError(here(f"{self.name} differs between groups: ask param_groups[k][{self.name!r}]"))
        return values[0]

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        for group in optimizer.param_groups:
            setattr(group, self.name, value)


class ByParameter(dict[Any, Any]):
    """The state of a user's optimiser: `state[p]` is a dict of what it keeps of a parameter, empty at first,
    as in PyTorch."""

    def __missing__(self, key: object) -> Any:
        if isinstance(key, Tensor):
            return self.setdefault(key, {})
        raise KeyError(key)


@bounds
class Optimizer:
    """Changes parameters by their gradients.

    `params` are tensors, or dicts of "params" and of hyperparameters that are theirs alone, each of which is
    one of `param_groups`: `[{"params": weights, "weight_decay": 0.1}, {"params": biases}]`. Hyperparameters
    are attributes of the optimiser, too, that stand for those of all groups.

    A user's own, as in PyTorch, gives its defaults to `__init__`, goes through `param_groups` in `step`, and
    keeps what it likes in `state[p]`. Of a compiled step that state is an input, once a step has begun it.

    All other state exists from the start, as tensors that a step re-assigns; so a compiled training step
    has it as inputs and outputs. `lr` may be changed at any time; inside of a compiled function it
    reads as a 0-d float64 Tensor.

    Parameters of float16 and bfloat16 have weights in float32 behind them (`state["master"]`, in their
    order), and so is all their state: steps too small for 16 bits add up, and `eps` does not round to 0. A
    parameter that was changed by others begins anew from its value. `master_weights=False` keeps and computes
    everything in 16 bits, at a third of the memory.
    """

    hyper: ClassVar[tuple[str, ...]] = ("lr",)  # names of what each group has
    lr = Hyper()
    _known: ClassVar[bool]  # whether a step depends on what is known here alone: not on a user's methods

    def __init_subclass__(cls) -> None:
        own = [name for name, value in vars(cls).items() if isinstance(value, Hyper)]
        cls.hyper = (*cls.hyper, *own)
        cls._known = cls.__module__.startswith("lucid.")

    def __init__(self, params: Params, options: Mapping[str, Any], master_weights: bool = True) -> None:
        """`options`: the hyperparameters, for all parameters that have none of their own."""
        kind = type(self).__name__
        if isinstance(params, Tensor | np.ndarray | Mapping) or not isinstance(params, Iterable):
            raise TypeError(here(f"{kind}: expected tensors as [w, b], not one {type(params).__name__}"))
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], Mapping | Group) else [{"params": given}]
        self.param_groups: list[Group] = []
        self.defaults, self._master_weights = {**options}, master_weights
        for group in groups:
            own = self._options(group, options)
            members = group["params"]
            group_of = Group(kind, [members] if isinstance(members, Tensor) else members, own)
            self._checked(group_of)
            self.param_groups.append(group_of)
        self.params = [p for group in self.param_groups for p in group.params]
        self._dtypes = [p.dtype for p in self.params]
        self._groups = [group for group in self.param_groups for _ in group.params]
        if not self.params:
            raise ValueError(here(f"{kind}: no parameters to optimise"))
        if len({id(p) for p in self.params}) != len(self.params):
            raise ValueError(here(f"{kind}: a parameter is listed twice"))
        self.state: dict[Any, Any] = {} if self._known else ByParameter()
        # The place in state["master"] of parameter number k.
        self._masters: dict[int, int] = {}
        if master_weights:
            halves = [k for k, p in enumerate(self.params) if p._node.type.dtype.wide is not None]
            self._masters = {k: place for place, k in enumerate(halves)}
            if halves:
                self.state["master"] = [self.params[k].detach().astype(np.float32) for k in halves]

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """One group more, with hyperparameters of its own or those that the optimiser was made with, and
        state that begins now. ValueError for a parameter that is there, RuntimeError where it needs a kind of
        state that there is none of; nothing has changed then."""
        own = self._options(param_group, self.defaults)
        make: Callable[..., Optimizer] = type(self)
        more_of_ours = {"master_weights": self._master_weights} if self._known else {}
        alone = make([{**own, "params": param_group["params"]}], **more_of_ours)
        if {id(p) for p in self.params} & {id(p) for p in alone.params}:
            raise ValueError(here(f"{type(self).__name__}: a parameter is listed twice"))
        if more := sorted({*alone._kinds()} - {*self.state, "master"}):
            raise RuntimeError(here(f"{type(self).__name__}: no group has state of the kind {more[0]!r} yet"))
        first, masters = len(self.params), len(self._masters)
        for kind in {**self._kinds(), **alone._kinds()}:
            begun = alone.state.get(kind) or (alone._counts() if kind == "steps" else alone._zeros())
            if kind != "master" or alone._masters:
                self.state[kind] = [*self.state.get(kind, []), *begun]
        self._masters |= {first + k: masters + place for k, place in alone._masters.items()}
        self.params, self._dtypes = [*self.params, *alone.params], [*self._dtypes, *alone._dtypes]
        self._groups = [*self._groups, *alone._groups]
        self.param_groups.extend(alone.param_groups)

    def _options(self, group: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        kind = type(self).__name__
        if isinstance(group, Group):  # of another optimiser, around this one: it keeps what that one knows
            return {**options, **{name: group[name] for name in group if name != "params"}}
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(here(f'{kind}: a group is a dict with "params", not {type(group).__name__}'))
        if unknown := [name for name in group if name not in (*options, "params")]:
            names = ", ".join(options)
            raise TypeError(here(f"{kind}: a group has {unknown[0]!r}; expected params and of {names}"))
        return {name: group.get(name, value) for name, value in options.items()}

    def _checked(self, group: Group) -> None:
        """Raise for hyperparameters that make no sense, and make numbers of them."""

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
            changes = self._changes()
            with at(changes[0][1].loc if changes else None):
                for tensor, node in changes:
                    tensor._assign(node)
            return None
        steps.run(self._step)
        return None

    def _step(self) -> None:
        changes = self._reused() if self._known and usable() else self._changes()
        losses = PENDING.take()
        wanted = dict.fromkeys([*(node for _, node in changes), *(t._node for t in losses)])
        new = {node: leaf(array) for node, array in zip(wanted, evaluate([*wanted]), strict=True)}
        for tensor, node in changes:
            tensor._assign(new[node])
        settle(losses)

    def _reused(self) -> Changes:
        """The changes, made once for parameters, gradients and state of the same types, of which the same are
        shared, and the same hyperparameters."""
        tensors = [*self.params, *(t for kind in self.state.values() for t in kind)]
        rates, grads = [group._lr for group in self.param_groups], [p.grad for p in self.params]
        facts: list[object] = [type(self), *self._dtypes, *self._masters, *self.state]
        for group in self.param_groups:
            facts.append(len(group.params))
            for name in self.hyper[1:]:
                value = getattr(group, name)
                facts += type(value), *map(ops.exact, value if type(value) is tuple else (value,))
        nodes: list[Node | None] = [*map(_node, tensors), *map(_node, rates)]
        nodes += [None if g is None else _node(g) for g in grads]

        def make() -> tuple[list[Node], list[int]]:
            changes, number = self._changes(), {id(t): k for k, t in enumerate(tensors)}
            return [node for _, node in changes], [number[id(t)] for t, _ in changes]

        new, places = made(facts, nodes, make)
        return [(tensors[k], node) for k, node in zip(places, new, strict=True)]

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
                        if p.dtype != self._dtypes[k]:
                            raise self._converted(k, p)
                        value = self._value(k, p)
                        slope, group = cast(node_of(g), value.type.dtype), self._groups[k]
                        if "maximize" in self.hyper and group.maximize:
                            slope = ops.NEG(slope)
                        new = self._update(k, p, group, value, slope)
                        changes += self._rounded(k, p, new) if k in self._masters else new
        finally:
            LOC.reset(token)
            if trace is not None:
                trace.places.module = module
        return changes

    def _converted(self, k: int, p: Tensor) -> TypeError:
        was = f"{type(self).__name__}: parameter {k} was {self._dtypes[k]} when the optimiser was made"
        return TypeError(here(f"{was}, and is {p.dtype}; make it after the model is converted"))

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

    def _update(self, k: int, p: Tensor, group: Group, value: Node, g: Node) -> Changes:
        """The changes for parameter number k, of value `value` and gradient `g`."""
        raise NotImplementedError

    def _kept(self, kind: str, option: str) -> list[Tensor]:
        if kind not in self.state:
            raise RuntimeError(here(f"{type(self).__name__}: {option} cannot be switched on later"))
        found: list[Tensor] = self.state[kind]
        return found

    def _count(self, k: int) -> Node:
        """How many steps parameter number k has made with this one: `state["steps"]` and one."""
        count = node_of(self.state["steps"][k])
        return ops.once((self, "count", count), ops.ADD, count, ops.const(1, count))

    def _real(self) -> None:
        """TypeError for a complex parameter, where squares are taken."""
        if any(p.is_complex() for p in self.params):
            raise TypeError(
                here(
                    f"{type(self).__name__}: a complex parameter; its squares are not defined. Keep "
                    "lucid.view_as_real of it as the parameter, and use lucid.view_as_complex in the model"
                )
            )

    def _zeros(self) -> list[Tensor]:
        """State of zeros, one tensor for each parameter."""
        made = [
            Tensor(np.zeros(p.shape, np.float32 if k in self._masters else p.dtype))
            for k, p in enumerate(self.params)
        ]
        for tensor in made:
            follow(tensor)
        return made

    def _counts(self, start: float = 0.0) -> list[Tensor]:
        """A count for each parameter. As long as counts are equal they share a node, and what
        is computed from them is computed once."""
        number = Tensor(np.array(start, np.float64))
        return [alone(number.detach()) for _ in self.params]

    # --- state -----------------------------------------------------------------------------------

    def _kinds(self) -> dict[str, list[Tensor]]:
        """The state that is a list of tensors, of a kind."""
        return {name: tensors for name, tensors in self.state.items() if not isinstance(name, Tensor)}

    def state_dict(self) -> dict[str, Any]:
        """Under "state" a list of tensors for each kind of state, and what a user's optimiser keeps of single
        parameters under the numbers of these; under "param_groups" the hyperparameters of each group, with
        the numbers of its parameters under "params"."""
        state: dict[Any, Any] = {name: [alone(t.detach()) for t in ts] for name, ts in self._kinds().items()}
        for k, p in enumerate(self.params):
            if p in self.state:
                state[k] = {name: _kept(value) for name, value in self.state[p].items()}
        groups, first = [], 0
        for group in self.param_groups:
            numbers = list(range(first, first + len(group.params)))
            groups.append({**{name: group[name] for name in self._hyper(group)}, "params": numbers})
            first += len(numbers)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. KeyError or ValueError where it does not fit; then
        nothing has changed."""
        inner = state.get("state", {}) if isinstance(state, Mapping) else None
        if not isinstance(inner, Mapping):
            got = state if inner is None else inner
            raise TypeError(
                here(f"load_state_dict: expected what state_dict() gave, not a {type(got).__name__}")
            )
        own, kinds = self.state_dict(), self._kinds()
        single = {k: kept for k, kept in inner.items() if isinstance(k, int) and not self._known}
        if set(state) != set(own) or set(inner) - set(single) != set(kinds):
            raise KeyError(
                here(
                    f"load_state_dict of {type(self).__name__}: expected the keys {sorted(own)} with "
                    f"state {sorted(kinds)}, got {sorted(state)} with {sorted(inner, key=str)}"
                )
            )
        groups = state["param_groups"]
        if [_shape(g) for g in groups] != [_shape(g) for g in own["param_groups"]]:
            raise ValueError(
                here(
                    f"load_state_dict of {type(self).__name__}: expected groups of "
                    f"{[len(g.params) for g in self.param_groups]} parameters with {', '.join(self.hyper)}"
                )
            )
        changes: list[tuple[Tensor, np.ndarray[Any, Any]]] = []
        for name, tensors in kinds.items():
            given = [np.asarray(t) for t in inner[name]]
            shapes, wanted = [a.shape for a in given], [t.shape for t in tensors]
            if shapes != wanted:
                raise ValueError(here(f"load_state_dict: {name} has shapes {shapes}, expected {wanted}"))
            changes += [(t, a.astype(t.dtype)) for t, a in zip(tensors, given, strict=True)]
        for tensor, array in changes:
            tensor._assign(on_device(leaf(array), device_named(tensor.device)))
        for group, values in zip(self.param_groups, groups, strict=True):
            for name in self._hyper(group):
                group[name] = values[name]
        for k, kept in single.items():
            self.state[self.params[k]] = {name: _kept(value) for name, value in kept.items()}

    def _hyper(self, group: Group) -> list[str]:
        return [*dict.fromkeys((*self.hyper, *group._names))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'; '.join(map(repr, self.param_groups))})"


def _node(tensor: Tensor) -> Node:
    """That of a tensor from outside of any trace, in fewer steps."""
    return tensor._node if tensor._trace is None else node_of(tensor)


def _kept(value: Any) -> Any:
    return alone(value.detach()) if isinstance(value, Tensor) else value


def _shape(group: Any) -> tuple[list[str], int]:
    return sorted(group), len(group["params"])


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


def below_one(name: str, pair: Any) -> tuple[float, float]:
    """Two numbers, at least 0 and below 1."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(here(f"{name} must be two numbers, not {pair!r}"))
    first, second = (checked(name, number) for number in pair)
    if max(first, second) >= 1:
        raise ValueError(here(f"{name} must be below 1, not {pair}"))
    return first, second


def each(number: Node, like: Node) -> Node:
    """A 0-d node in the dtype and shape of `like`: in one step the same for all that are alike."""
    dtype = like.type.dtype
    same = ops.once(("cast", number, dtype), cast, number, dtype)
    return ops.once(("each", number, like.type), ops.fill, same, like.shape)


def times(number: float, x: Node) -> Node:
    """The user's number times x."""
    return ops.MUL(filled(number, x.type), x)


def mixed(share: float, old: Node, new: Node) -> Node:
    """A running mean: share old + (1 - share) new."""
    return ops.ADD(times(share, old), times(1 - share, new))


def decayed(group: Group, value: Node, g: Node) -> Node:
    """The gradient with weight decay."""
    return ops.ADD(g, times(group.weight_decay, value)) if group.weight_decay else g


def correction(beta: float, t: Node) -> Node:
    """1 - beta^t, in float64: what a running mean that began at 0 is to be divided by."""
    power = ops.POW(filled(beta, t.type), t)
    return ops.SUB(ops.const(1, t), power)
