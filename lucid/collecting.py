"""Which tensors collect gradients, and on which of them a result depends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary, WeakSet, ref

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.passes.autodiff import made_of

from .context import MODE
from .errors import TraceError, here
from .hooks import TAPS
from .pieces import Part

if TYPE_CHECKING:
    from .tensor import Tensor

# The tensor that collects the gradient of a node.
LEAVES: WeakKeyDictionary[Node, ref[Tensor]] = WeakKeyDictionary()
# Nodes that were found to depend on no such tensor, so that a loop does not walk its history at every step.
# Replaced, not changed, where a node that others may depend on begins to collect.
_FREE: list[WeakSet[Node]] = [WeakSet()]


def collect(node: Node, tensor: Tensor) -> None:
    """`tensor` collects the gradient of `node` from here on."""
    LEAVES[node] = ref(tensor)
    if len(_FREE[0]):
        _FREE[0] = WeakSet()


def differentiable_leaves(output: Node) -> list[tuple[Node, Tensor]]:
    """The nodes with a collecting tensor that `output` depends on, not counting what is stopped."""
    trace, free = MODE.get().trace, _FREE[0]
    found: list[tuple[Node, Tensor]] = []
    done: set[Node] = set()
    stack = [output]
    while stack:
        node = stack.pop()
        if node in done or node in free:
            continue
        done.add(node)
        owner = LEAVES.get(node)
        tensor = None if owner is None else owner()
        if tensor is not None and tensor._requires_grad:
            found.append((node, tensor))
        if trace is not None and node in trace.histories:
            raise TraceError(
                here(
                    "backward() in a compiled function reaches a tensor that was computed outside from "
                    "tensors with requires_grad; compute it inside, or pass it as x.detach()"
                )
            )
        made, attrs = made_of(node, TAPS), cast(Any, node.attrs)
        if type(attrs) is Part and made is node.inputs:
            made = tuple(attrs.flowing)
        if node.op is not ops.STOP:
            stack += [n for n in made if n not in done and n.type.dtype.is_inexact]
    if not found:
        free.update(done)
    return found


def collectors_gone(output: Node) -> bool:
    """Whether a tensor that `output` depends on would collect gradients, but is no more: nobody can ask for
    them."""
    done: set[Node] = set()
    stack = [output]
    while stack:
        node = stack.pop()
        owner = LEAVES.get(node)
        if owner is not None and owner() is None:
            return True
        done.add(node)
        if node.op is not ops.STOP:
            stack += [n for n in made_of(node, TAPS) if n not in done]
    return False
