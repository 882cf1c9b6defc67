"""A trace: what a function does to tensors, recorded once, as a graph of its inputs.

While a trace is active, nothing outside of it changes. Reads of an outer tensor (a parameter, a
buffer, an optimiser's state) give a placeholder; assignments and new gradients are kept here, as
outputs. So a function that raises half-way leaves no mark, and other threads see nothing.
"""

from __future__ import annotations

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.data import data, field
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import TensorType, from_numpy

from .collecting import LEAVES
from .engine import Array
from .guards import Item, Place
from .hooks import carry
from .places import Places
from .promote import lying, seen_in
from .residence import USED, follows, place, place_of
from .tape import Tape
from .tensor import Tensor


@data(frozen=False, eq=False)
class Outer:
    """A tensor from outside, as the trace sees it.

    `home`: its position among the array arguments, or the place where each call finds it; else it is
    captured, and `tensor` itself is the source of its value at every call.
    """

    tensor: Tensor
    home: int | Place | Item | None
    placeholder: Node
    node: Node  # the placeholder, or what was assigned since
    grad: Tensor | None = None
    grad_placeholder: Node | None = None  # stands for the gradient that was there before
    grad_given: Outer | None = None  # `grad` is this tensor itself
    grad_seen: bool = False  # `grad` above counts; before, the outer one does
    grad_read: bool = False  # the call depends on whether there was a gradient
    requires_grad: bool = False


@data(frozen=False, eq=False)
class Trace:
    """One run of a function over placeholders."""

    outers: dict[int, Outer] = field(default_factory=dict)  # by id; the tensor is kept alive
    # By id: the array, its placeholder, and the array as the function sees it.
    arrays: dict[int, tuple[Array, Node, Node]] = field(default_factory=dict)
    called: dict[int, str] = field(default_factory=dict)  # by id, of what no place of the user's holds
    places: Places = field(default_factory=Places)  # where nodes come from
    tape: Tape = field(default_factory=Tape)  # what is done with Python's numbers
    histories: set[Node] = field(default_factory=set)  # placeholders of computed, differentiable ones
    default: bool = False  # the default dtype was asked for
    hosted: bool = False  # a library computes some nodes

    def found(self, tensor: Tensor, home: int | Place | Item) -> None:
        """`tensor` is the array argument at that position, or what is in that place."""
        self._outer(tensor, home)

    def _outer(self, tensor: Tensor, home: int | Place | Item | None = None) -> Outer:
        found = self.outers.get(id(tensor))
        if found is None:
            node = placeholder(tensor._node.type)
            if USED[0] and not follows(tensor):
                place(node, place_of(tensor._node) or "cpu")
            flag = tensor._requires_grad
            found = Outer(tensor, home, node, node, requires_grad=flag)
            self.outers[id(tensor)] = found
            owner = LEAVES.get(tensor._node)
            if owner is not None and owner() is tensor:
                LEAVES[node] = owner
                carry(tensor._node, node)
            elif flag:
                self.histories.add(node)
        return found

    # --- what Tensor calls -----------------------------------------------------------------------

    def capture(self, tensor: Tensor) -> Node:
        """The node for an outer tensor, as of now."""
        return self._outer(tensor).node

    def capture_array(self, array: Array) -> Node:
        """The node for an array, by reference: each call uses its content at that time."""
        found = self.arrays.get(id(array))
        if found is None:
            found = array, *laid(array)
            self.arrays[id(array)] = found
        return found[2]

    def assign(self, tensor: Tensor, node: Node) -> None:
        """An outer tensor changes: later reads see `node`, and so will the outside, after the
        call."""
        self._outer(tensor).node = node

    def grad(self, tensor: Tensor) -> Tensor | None:
        """The gradient of an outer tensor, as of now."""
        outer = self._outer(tensor)
        if not outer.grad_seen:
            outer.grad_seen = outer.grad_read = True
            old = tensor._grad
            if old is not None:
                node = outer.grad_placeholder = placeholder(old._node.type)
                if USED[0]:
                    place(node, place_of(outer.placeholder))
                if old._requires_grad:
                    self.histories.add(node)
                outer.grad = Tensor._of(node, False, self)
        return outer.grad

    def set_grad(self, tensor: Tensor, value: Tensor | None) -> None:
        """The gradient of an outer tensor changes."""
        outer = self._outer(tensor)
        outer.grad_given = None
        if value is not None and value._trace is not self:
            outer.grad_given = self._outer(value)
            value = Tensor._of(self.capture(value), value._requires_grad, self)
        outer.grad, outer.grad_seen = value, True


def placeholder(kind: TensorType) -> Node:
    """An input without a value."""
    return ops.INPUT(name="x", dtype=kind.dtype, shape=kind.shape)


def laid(array: Array) -> tuple[Node, Node]:
    """A placeholder for `array` as it lies in memory, and `array` made of that."""
    order = lying(array)
    if order is None:
        node = placeholder(array_type(array))
        return node, node
    node = placeholder(array_type(array.transpose(order)))
    return node, seen_in(order, node)


def array_type(array: Array | np.generic) -> TensorType:
    return TensorType(from_numpy(array.dtype), array.shape)
