"""Tensors that nobody has computed yet, and which of them a read computes along.

    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    w = w - 0.1 * w.grad         # made of what the loss is made of, and held by the user
    loss.item()                  # one pass computes loss, gradient and the new w

Without the last the graph behind `w` would grow with every step, and each read would compute all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING
from weakref import ref

from lucid.compiler.ir.graph import Node

from .lanes import EXAMPLE

if TYPE_CHECKING:
    from .tensor import Tensor

# Tensors that have nothing in common with what was read, and are asked again at the next read: the latest.
APART = 16
# Nodes that a read may compute beyond its own: this many, and as many times its own.
EXTRA, TIMES = 32, 16


class Due(threading.local):
    """Tensors of this thread that are computed with others, by whoever comes next. They are not kept
    alive, and told apart by identity."""

    def __init__(self) -> None:
        self._held: dict[int, ref[Tensor]] = {}

    def add(self, tensor: Tensor) -> None:
        self._held[id(tensor)] = ref(tensor)

    def __contains__(self, tensor: Tensor) -> bool:
        held = self._held.get(id(tensor))
        return held is not None and held() is tensor

    def take(self) -> list[Tensor]:
        """Those that are still to be computed; none is due any more."""
        if not self._held:
            return []
        taken, self._held = self._held, {}
        return _uncomputed(taken.values())


# What `backward` was called on, and buffers: an optimiser's step computes them along the way.
PENDING = Due()
# Leaves changed in place: who reads a value computes them, or histories would grow with every step.
CHANGED = Due()


class Unread(threading.local):
    """Tensors of this thread without a value, in the order in which they were made. They are not kept
    alive. Who makes one appends to `made`, and calls `tidy` now and then."""

    def __init__(self) -> None:
        self.made: list[ref[Tensor]] = []
        self._most = 256

    def tidy(self) -> None:
        """Forget tensors that there are no more."""
        made = self.made
        if len(made) > self._most:
            made[:] = [held for held in made if held() is not None]
            self._most = 256 + 2 * len(made)

    def set_aside(self) -> list[ref[Tensor]]:
        """None counts any more, until `give_back`."""
        older, self.made = self.made, []
        return older

    def give_back(self, older: list[ref[Tensor]]) -> list[Tensor]:
        """Those that were set aside count again; what has been made since."""
        newer = self.made
        self.made = older + newer
        return _uncomputed(newer)

    def along(self, read: Sequence[Node]) -> list[Tensor]:
        """Those that are to be computed with `read`: what computing them later would do a second time.

        That is who is made of something that this read computes, and was not computed before itself; and who
        is part of it, and made of something that an earlier read has computed and not kept.
        """
        for node in read:
            if node.data is None:
                break
        else:
            return []
        taken, self.made = self.made, []
        own = set(read)
        held: list[Tensor] = []
        for made in taken:  # one loop: most reads find nothing but themselves
            one = made()
            if one is not None and one._trace is None and one._node.data is None and one._node not in own:
                held.append(one)
        if not held:
            return []
        now: set[Node] = set()
        _closure(read, now)
        repeated = any(node.computed for node in now)
        room = EXTRA + TIMES * len(now)
        found: list[Tensor] = []
        rest: list[Tensor] = []
        kept: set[Node] = set()  # inside of what is read; or known to repeat nothing
        apart: set[Node] = set()
        for tensor in held:
            node = tensor._node
            if node in now:
                again = repeated and node not in kept and _repeats(node, kept)
                (found if again else rest).append(tensor)
                continue
            more: set[Node] = set()
            if not node.computed and _closure((node,), more, now, apart) and len(more) <= room:
                room -= len(more)
                now |= more
                found.append(tensor)
            else:
                apart |= more
                rest.append(tensor)
        self.made = [ref(tensor) for tensor in rest[-APART:]]
        return found


UNREAD = Unread()


def _uncomputed(refs: Iterable[ref[Tensor]]) -> list[Tensor]:
    return [t for r in refs if (t := r()) is not None and t._trace is None and t._node.data is None]


def _closure(
    nodes: Iterable[Node], found: set[Node], known: Collection[Node] = (), apart: Collection[Node] = ()
) -> bool:
    """Add to `found` what `nodes` are computed by, but for what is in `known` or `apart`; whether something
    in `known` is work that they share. (A view is none, but what it looks at may be.)"""
    shares = False
    seen: set[Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node in seen or not node.inputs or node.data is not None or node in apart:
            if node.op is EXAMPLE:
                return False
            continue
        seen.add(node)
        if node not in known:
            found.add(node)
        elif node.op.kind != "view":
            shares = True
            continue
        stack += node.inputs
    return shares


def _repeats(node: Node, kept: set[Node]) -> bool:
    """Whether `node` is made of something that was computed before, and not of `kept` nodes alone. It is in
    `kept` then, and so is all that was found to repeat nothing."""
    stack, seen = [node], set()
    while stack:
        n = stack.pop()
        if n in seen or n in kept or n.data is not None:
            continue
        if n.computed and n.inputs and n.op.kind != "view":
            kept.add(node)
            return True
        seen.add(n)
        stack += n.inputs
    kept |= seen
    return False
