"""Tensors that NumPy or PyTorch would let share memory with another one, and what becomes of a write to them.

x[1][2] = 5.0             # NumPy changes x; here a tensor that nobody holds: a warning says so
w.data.fill_(0.5)         # PyTorch changes w; so does this, as `data` is all of w
w.data[0].fill_(0.5)      # a part of it again: the warning

Nothing is shared, and a write to a view changes that tensor alone. Who writes so mostly means the whole, so
it is not done in silence; `clone()` and `copy()` are no views.
"""

from __future__ import annotations

from dis import opmap
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from lucid.compiler.ir.graph import Node

from . import joins, shapes
from .context import no_grad
from .errors import user_frame, warn_user

if TYPE_CHECKING:
    from .tensor import Tensor

# What gives a view in NumPy, `reshape` of what does not lie in a row apart.
VIEWS = frozenset(map(id, (shapes.index, shapes.reshape, shapes.transpose, joins.part, joins.diagonal)))

LOST = (
    "in place: this changes a view alone; tensors share no memory, so the tensor that it was taken from "
    "stays as it is. Write to that one, as in x[1, 2] = v for x[1][2] = v, and w[0] = v under no_grad() for "
    "w.data[0].fill_(v); where a copy is meant, take clone()"
)


class View(NamedTuple):
    """Of which tensor something is a view."""

    whole: ref[Any]
    seen: Node | None  # its value at that time, if what is written here is to be written there


def viewed(view: Tensor, source: Tensor) -> None:
    """`view` was taken from `source`, or from what that is a view of."""
    above = source._view
    whole = None if above is None else above.whole()
    view._view = View(ref(source if whole is None else whole), None)


def alone(made: Tensor) -> Tensor:
    """`made` is no view but a copy."""
    made._view = None
    return made


def data_of(owner: Tensor) -> Tensor:
    """The value of `owner` as a constant of differentiation; changed in place, it changes `owner`."""
    made = owner.detach()
    made._view = View(ref(owner), owner._standing())
    return made


def is_data_of(value: Any, owner: Tensor) -> bool:
    """Whether `owner` has this value already, as it was written through `owner.data`."""
    view = getattr(value, "_view", None)
    return view is not None and view.whole() is owner and view.seen is owner._standing()


def operated(view: Tensor) -> None:
    """`view += y` is about to be. Of x[1] += y and w.data += y Python puts the result where it came from, so
    nothing is lost; what stays under a name of its own (row = x[1]; row += y) is written as any view."""
    found, frame = view._view, user_frame()
    if found is not None and found.seen is None and not (frame is not None and _named(frame)):
        view._view = None


_INSTRUCTIONS = {number: name for name, number in opmap.items()}
_NAMED = ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF")


def _named(frame: FrameType) -> bool:
    """Whether what the operator gives that this frame is at is kept under a name, not in an item or an
    attribute."""
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while at < len(code) and _INSTRUCTIONS.get(code[at]) == "CACHE":
        at += 2
    return at < len(code) and _INSTRUCTIONS.get(code[at], "").startswith(_NAMED)


def written(view: Tensor) -> None:
    """`view` has a new value. The tensor that it is all of gets it, too; of a part a warning tells."""
    found = view._view
    whole = None if found is None else found.whole()
    view._view = None
    if found is None or whole is None:
        return
    if found.seen is None or found.seen is not whole._standing() or not whole.is_leaf:
        warn_user(LOST)
        return
    no_grad(whole._become)(view.detach())
    view._view = View(found.whole, whole._standing())


def replaced(x: Any, made: Tensor, inplace: bool) -> Tensor:
    """What a function gives that makes `made` of `x`: with PyTorch's `inplace` x itself, changed. An array
    stays as it is."""
    changed: Tensor = x._become(made) if inplace and hasattr(x, "_become") and made is not x else made
    return changed
