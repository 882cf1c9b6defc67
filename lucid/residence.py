"""Where tensors lie: on the CPU, on NVIDIA's GPU ("cuda"), or with the simulator ("ptx-sim").

    w = lucid.randn(10, device="cuda")     # computed there
    y = (w * 2).sum()                      # and so is what is made of it
    y.numpy()                              # a copy comes here
    w + lucid.ones(10)                     # ValueError: which operand lies where

A node lies where its value does; without one, where it will be computed: where its operands lie. What is made
of literals alone lies nowhere until it meets something that does: outside of traces, on the CPU.

Nothing of this costs who has no device: all begins with `USED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node, bind
from lucid.compiler.ir.types import TensorType
from lucid.runtime.stored import Home, Stored

from .errors import bounded, here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .tensor import Tensor

Array = np.ndarray[Any, Any]
Device = Literal["cpu", "ptx-sim", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)

# Whether this process has asked for a device that is no CPU; whether gradients go from one to another.
USED: list[bool] = [False]
MOVED: list[bool] = [False]
# Of nodes without a value, as far as somebody has asked.
_PLACES: WeakKeyDictionary[Node, Device] = WeakKeyDictionary()
# Tensors that go where they are needed, as no user asks where they lie: states of generators and optimisers.
_FOLLOWING: dict[int, ref[Tensor]] = {}
# Nodes of what functions were given as arrays, lists and numbers, and of what they have made of these alone.
_ROAMING: WeakSet[Node] = WeakSet()


class device(str):
    """The name of a device, with PyTorch's `type` and `index`: `device("cpu")`, `device("cuda", 0)`,
    `device("cuda:0")`. It stands wherever a name does. ValueError for an unknown one; whether there is such a
    device is asked where something shall lie there."""

    type: str
    index: int | None  # type: ignore[assignment]

    @bounded
    def __new__(cls, type: object, index: int | None = None) -> device:
        given = str(type) if index is None else f"{type}:{index}"
        name, found = _named(given), _KNOWN.get(given)
        if found is None:
            found = _KNOWN[given] = str.__new__(cls, given)
            found.type, found.index = name, 0 if ":" in given else None
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)


_KNOWN: dict[str, device] = {}  # one object a name, so that compiled functions meet the same


def _named(given: str) -> Device:
    name, _, number = given.partition(":")
    if name not in DEVICES or number not in ("", "0"):
        several = f"there is one of each: {name}:0; " if name in DEVICES else ""
        raise ValueError(here(f"device: {several}expected one of {', '.join(DEVICES)}, not {given!r}"))
    return name


CPU = device("cpu")


def device_named(device: object) -> Device | None:
    """None for none. ValueError for an unknown device, CudaError where there is no GPU for "cuda"."""
    if device is None:
        return None
    name = _named(str(device))
    if name == "cuda":
        from . import cuda  # few ask for it

        cuda.asked()
    if name != "cpu":
        USED[0] = True
    return name


def there_is_a_gpu() -> bool:
    from . import cuda  # few ask for it

    try:
        cuda.arch()
    except (RuntimeError, ValueError):
        return False
    return True


def home(device: Device) -> Home:
    """The memory of a device that is no CPU. CudaError where there is no GPU."""
    if device == "cuda":
        from lucid.runtime.cuda.device import device as gpu  # few ask for it

        return gpu()
    if device == "ptx-sim":
        from .simulated import HOME  # few ask for it

        return HOME
    raise ValueError(f"`{device}` is no device with a memory of its own")


def lies(data: Array | Stored) -> Device:
    """Where a value is."""
    return data.home.where if isinstance(data, Stored) else "cpu"  # type: ignore[return-value]


def place_of(node: Node) -> Device | None:
    """Where a node lies; None for what lies nowhere yet."""
    if node.data is not None:
        return lies(node.data)
    found = _PLACES.get(node)
    if found is not None or not node.inputs:
        return found
    stack, seen = [*node.inputs], {node}
    while stack:
        n = stack.pop()
        if n in seen:
            continue
        seen.add(n)
        where = lies(n.data) if n.data is not None else _PLACES.get(n)
        found = found or where
        if where is None:
            stack += n.inputs
        elif where != "cpu":  # beside that, what lies on the CPU is a number, or a constant of a formula
            found = where
            break
    if found is not None:
        _PLACES[node] = found
    return found


def elsewhere(node: Node) -> tuple[Device, ...]:
    """Where a node lies, if that is not the CPU."""
    found = place_of(node) if USED[0] else None
    return () if found is None or found == "cpu" else (found,)


def place(node: Node, device: Device | None) -> None:
    """`node`, which has no value, will be computed there."""
    if device is not None and node.data is None:
        _PLACES[node] = device


def brought(data: Array | Stored, device: Device) -> Array | Stored:
    """The value as it is on a device: a copy, if it lies elsewhere."""
    if lies(data) == device:
        return data
    array = np.asarray(data)
    return array if device == "cpu" else home(device).put(array)


def apart(nodes: Iterable[Node]) -> dict[Device, list[Node]]:
    """Nodes by the device that computes them."""
    found: dict[Device, list[Node]] = {}
    for node in nodes:
        found.setdefault(place_of(node) or "cpu", []).append(node)
    return found


def meeting(
    operands: Sequence[Any], nodes: list[Any], tensor: type, traced: bool, new: Callable[[Any], Node]
) -> Device | None:
    """Where a result of these operands lies, whose nodes are `nodes`. Arrays, and tensors of one number that
    need no gradient, are brought there: `new(value)` is the node of a value. ValueError for tensors on
    several devices."""
    found: dict[Device, int] = {}
    guests: list[tuple[int, Any]] = []
    for k, x in enumerate(operands):
        node = nodes[k]
        if not isinstance(node, Node):
            continue
        where = place_of(node) or (None if traced else "cpu")
        if where is None:
            continue
        if where == "cpu" and (not isinstance(x, tensor) or follows(x)):
            guests.append((k, x))
        else:
            found.setdefault(where, k)
    device = _one_of(found)
    if device is None:
        return "cpu" if guests and not traced else None
    if device != "cpu" and not traced:
        for k, _ in guests:
            if nodes[k].data is not None:
                nodes[k] = new(brought(nodes[k].data, device))
    return device


def together(tensors: Sequence[Tensor]) -> Device | None:
    """Where a result of tensors lies, of which those that follow are read wherever they are."""
    found: dict[Device, int] = {}
    for k, x in enumerate(tensors):
        where = place_of(x._node) or "cpu"
        if where != "cpu" or not follows(x):
            found.setdefault(where, k)
    return _one_of(found)


def _one_of(found: Mapping[Device, int]) -> Device | None:
    """The device, of those with the first operand that lies on each. ValueError for several."""
    if len(found) > 1:
        raise ValueError(mixed([(f"operand {k}", where) for where, k in found.items()]))
    return next(iter(found), None)


def follows(x: Any) -> bool:
    """Whether a tensor is brought where it is needed, as numbers are."""
    plain = not x._requires_grad and not x._node.type.shape
    return plain or id(x) in _FOLLOWING or roams(x._node)


def roam(node: Node) -> None:
    """It goes where it is needed: a user has not said where it lies."""
    if USED[0]:
        _ROAMING.add(node)


def roams(node: Node) -> bool:
    """Whether all that a node is made of does."""
    if not _ROAMING:
        return False
    seen, stack, some = {node}, [node], False
    while stack:
        n = stack.pop()
        if n in _ROAMING:
            some = True
        elif n.data is not None:
            return False
        else:
            stack += [m for m in n.inputs if m not in seen]
            seen.update(n.inputs)
    if some:
        _ROAMING.add(node)  # when it has its value, too
    return some


def follow(tensor: Tensor) -> None:
    """It goes where it is needed from here on."""
    number = id(tensor)
    _FOLLOWING[number] = ref(tensor, lambda _: _FOLLOWING.pop(number, None))


def mixed(given: Sequence[tuple[str, str]]) -> str:
    """What lies where, in words."""
    said = " and ".join(f"{what} lies on {where}" for what, where in given)
    other = next(where for _, where in given if where != "cpu")
    return f"{said}: expected one device; move one of them, for example by x.to({other!r})"


# --- moves through which gradients flow --------------------------------------------------------------


def _infer(types: tuple[TensorType, ...], attrs: Mapping[str, Any]) -> TensorType:
    return types[0]


def _evaluate(attrs: Mapping[str, Any], array: Array) -> Array:
    return array


def _vjp(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    return (move(ct, place_of(node.inputs[0]) or "cpu"),)


# In no registry: it has its value before anything is compiled.
MOVE = ops.Op(
    "move", "host", _infer, _evaluate, _vjp, None, "biufc", attrs=("device",),
    of_complex=lambda op, inputs, attrs: Node(op, inputs, attrs),
)  # fmt: skip


def move(source: Node, device: Device) -> Node:
    """The value of `source` on another device."""
    node = Node(MOVE, (source,), MappingProxyType({"device": device}))
    place(node, device)
    MOVED[0] = True
    return node


def settle_moves(wanted: Sequence[Node], evaluate: Callable[[Sequence[Node]], Any]) -> None:
    """Give the moves that `wanted` depend on their values: those that depend on no other one first."""
    if not MOVED[0]:
        return
    level: dict[Node, int] = {}
    stack: list[tuple[Node, bool]] = [(n, False) for n in wanted]
    while stack:
        node, ready = stack.pop()
        if ready:
            level[node] = max([level[n] for n in node.inputs], default=0) + (node.op is MOVE)
        elif node not in level:
            if node.data is not None:
                level[node] = 0
            else:
                stack.append((node, True))
                stack += [(n, False) for n in node.inputs if n not in level]
    moves = sorted((n for n in level if n.op is MOVE and n.data is None), key=lambda n: level[n])
    while moves:
        turn = [n for n in moves if level[n] == level[moves[0]]]
        moves = moves[len(turn) :]
        evaluate([n.inputs[0] for n in turn])
        for node in turn:
            bind(node, brought(node.inputs[0].data, node.attrs["device"]))
