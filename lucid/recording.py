"""Recordings: what a trace has become, and the call that runs it on current values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid.compiler.ir.data import data, field
from lucid.compiler.ir.graph import Node, bind
from lucid.compiler.ir.types import TensorType
from lucid.runtime import memory, steps
from lucid.runtime.stored import Stored

from . import arguments, hooks
from .engine import Array, Executable, leaf, out_of_range
from .guards import Guards, Place, short, tensors_in
from .holders import holders
from .pieces import Piece
from .promote import dense, lying, with_gaps
from .residence import USED, Device, brought, follows, lies, place_of
from .results import Made, Owner, Same, Value, given_arrays, overlap
from .story import Change
from .tape import Program, as_input, same
from .tensor import Tensor, settle
from .tracing import array_type

if TYPE_CHECKING:
    from .staged import Staged


@data
class Source:
    """Where an input of the graph comes from: the value of `owner`, or its gradient; or an array
    that the function refers to; or a number of the tape."""

    node: Node
    owner: Owner | None = None
    grad: bool = False
    array: Array | None = None
    number: int = -1
    order: tuple[int, ...] | None = None  # of an array, where that is not row-major: its axes in memory


@data
class Update:
    """After the call, `owner` (or its gradient) becomes `value`; None for no gradient."""

    owner: Owner
    grad: bool
    value: Made | Same | None


@data
class Write:
    """After the call, `place` holds `content`; `made`: with Value for numbers, Made and Same for tensors."""

    place: Place
    content: Any
    made: bool


@data
class Saved:
    """What gradients need of the way to the results: `values`, computed by each call, from output `first` on;
    and the `results`, made of these."""

    values: Piece
    results: Piece
    first: int


@data(frozen=False)
class Recording:
    """One trace, ready to run. `run` takes the array arguments, in the order of `describe`."""

    guards: Guards
    sources: list[Source]
    device: Device
    executable: Executable | Staged
    results: Any  # what the function returned, with Made and Same for tensors
    updates: list[Update]
    flags: list[tuple[Tensor, TensorType, bool]]  # types and requires_grad of captured tensors
    grads: list[tuple[Owner, TensorType | None]]  # which gradients there were before
    pinned: dict[int, Tensor]  # arguments that the function also reaches in another way
    rooted: Piece  # what differentiable results are made by, over the sources
    tapped: bool  # what comes back to them goes through hooks or derivatives of the user's
    replaced: list[int]  # inputs whose memory an output may take over
    opened: list[int]  # number arguments that are no facts, in the order of the tape
    widths: list[int]  # how many numbers there are in each of the places
    places: list[Place]  # other numbers that are no facts, behind them on the tape
    held: list[Place]  # where tensors are that are no facts
    program: Program
    writes: list[Write]
    spent: str | None  # what else the trace has changed outside: it serves one call
    first: list[Any]  # the numbers of the tape when it was traced
    objects: list[Any]  # arguments known by identity: kept, so that no other object gets their id
    judged: tuple[Node, ...]  # what the verdict on the indices is about; none if it has none
    # What makes a plan that computes more, where results can be differentiated.
    planned: Callable[[Sequence[Node]], Executable | Staged] | None
    # Calls since then that took the Python path, by how they are written; -1: all will.
    served: dict[object, int] = field(default_factory=dict)
    runs: object = None  # the native plan that these calls are about
    saved: Saved | None = None
    # Arrays that calls had to copy, by dtype, shape and strides.
    copied: set[tuple[np.dtype[Any], tuple[int, ...], tuple[int, ...]]] = field(default_factory=set)
    compiled: Executable | Staged | None = None  # the executable before kernels of it were replaced by hand

    @property
    def keeps(self) -> bool:
        """Whether it keeps arguments alive. (Classes, as those of dataclasses, stay anyhow.)"""
        return any(not isinstance(x, type) for x in self.objects)

    def count(self, form: object) -> int:
        """One more of these calls of the plan that it has now."""
        plan = getattr(self.executable, "native", None)
        if self.runs is not plan:
            self.runs = plan
            self.served.clear()
        if (served := self.served.get(form, 0)) >= 0:
            self.served[form] = served = served + 1
        return served

    def numbers(self, given: list[Any]) -> list[Any] | None:
        """The numbers of the tape for a call with these number arguments; None if what was decided by some
        is otherwise."""
        if not (self.opened or self.places):
            return self.first
        values = self._open(given)
        return None if values is None else self.program.run(values)

    def _open(self, given: list[Any]) -> list[Any] | None:
        """The numbers that are no facts; None if a place is gone."""
        values = [given[k] for k in self.opened]
        for place in self.places:
            try:
                value = place.get()
            except (LookupError, ValueError, AttributeError):
                return None
            values += value if type(value) is tuple else (value,)
        return values

    def _of_places(self) -> Iterator[tuple[Place, range]]:
        """Each place of open numbers, and which of them it holds."""
        n = len(self.opened)
        for place, width in zip(self.places, self.widths, strict=True):
            yield place, range(n, n + width)
            n += width

    def decided(self) -> tuple[set[int], set[tuple[int, Any]]]:
        """Which of the open numbers Python code needs the value of: arguments, and places."""
        needed = self.program.needed()
        arguments = {k for n, k in enumerate(self.opened) if n in needed}
        return arguments, {place.id for place, held in self._of_places() if not needed.isdisjoint(held)}

    def otherwise(self, given: list[Any], names: Sequence[str]) -> list[Change]:
        """The open numbers for which Python code would decide otherwise than it did, where `numbers` of
        these number arguments, which have these names, are none."""
        values = self._open(given)
        if values is None or len(values) != len(self.opened) + sum(self.widths):  # the guards tell
            return []
        where = {n: names[k] for n, k in enumerate(self.opened)}
        for place, held in self._of_places():
            several = len(held) > 1
            where |= {n: f"{place.where}[{k}]" if several else place.where for k, n in enumerate(held)}
        needed, found = self.program.needed(), []
        for n in sorted(self.program.deciding(values)):
            old, new = self.first[n], values[n]
            if not same(new, old):
                change = Change.of(where[n], short(old), short(new))
                decides = n not in needed and type(new) is type(old)
                found.append(change.then(", on which a condition depends") if decides else change)
        return found

    def changed(self, arrays: list[Any], names: Sequence[str] = ()) -> Change | None:
        """Why this recording does not serve a call with these arguments, which have these names; None if it
        does."""
        if self.spent is not None:
            return Change(self.spent)
        for k, value in enumerate(arrays):
            if isinstance(value, Tensor):
                elsewhere = "a tensor that the function also reaches elsewhere"
                if k in self.pinned:
                    if value is not self.pinned[k]:
                        return Change(f"{_name(k, names)} was {elsewhere}")
                elif id(value) in self.guards.tensors:
                    return Change(f"{_name(k, names)} is {elsewhere}")
        if self.held and not self._apart(arrays):
            return Change("a tensor in an attribute, item or variable is also an argument, or in another one")
        for tensor, type_, flag in self.flags:
            if tensor._node.type != type_:
                what = f"the type of {self.guards.name_of(tensor) or 'a tensor'}"
                return Change.of(what, str(type_), str(tensor._node.type))
            if tensor._requires_grad != flag:
                what = f"requires_grad of {self.guards.name_of(tensor) or 'a tensor'}"
                return Change.of(what, str(flag), str(tensor._requires_grad))
        for owner, kind in self.grads:
            grad = tensor_of(owner, arrays)._grad
            now = None if grad is None else grad._node.type
            if now != kind:
                return Change.of(f"the gradient of {self._owner(owner, names)}", str(kind), str(now))
        if USED[0] and (moved := self._moved(arrays, names)) is not None:
            return moved
        for source in self.sources:
            array = source.array
            if array is not None:
                order = lying(array)
                found = array_type(array if order is None else array.transpose(order))
                if order != source.order or found != source.node.type:
                    return Change.of("an array that it reads", str(source.node.type), str(found))
        return self.guards.changed()

    def _moved(self, arrays: list[Any], names: Sequence[str]) -> Change | None:
        """A tensor that lies elsewhere than it did."""
        for source in self.sources:
            if source.owner is None or isinstance(source.owner, int):  # those of arguments are in signatures
                continue
            tensor = tensor_of(source.owner, arrays)
            found = tensor._grad if source.grad else tensor
            if found is None or follows(found):
                continue
            now = place_of(found._node) or "cpu"
            if now != self.device:
                return Change.of(f"the device of {self._owner(source.owner, names)}", self.device, now)
        return None

    def _owner(self, owner: Owner, names: Sequence[str]) -> str:
        if isinstance(owner, int):
            return _name(owner, names)
        if isinstance(owner, Tensor):
            return self.guards.name_of(owner) or "a tensor"
        return owner.where if isinstance(owner, Place) else f"{owner.place.where}[{owner.index}]"

    def _apart(self, arrays: list[Any]) -> bool:
        """Whether the tensors that each call finds in places are nowhere else."""
        try:
            found = [id(t) for place in self.held for t in tensors_in(place.get())]
        except (LookupError, ValueError, AttributeError):  # the guards tell
            return True
        ids = set(found)
        return (
            len(ids) == len(found) and ids.isdisjoint(self.guards.tensors) and ids.isdisjoint(map(id, arrays))
        )

    def serves(self, arrays: list[Any], given: list[Any]) -> list[Any] | None:
        """The numbers of the tape, if this recording serves a call with these arguments."""
        tape = self.numbers(given)
        return tape if tape is not None and self.changed(arrays) is None else None

    def run(
        self, arrays: list[Any], given: list[Any], out: Any = None, fresh: bool = False
    ) -> tuple[Any] | None:
        """Compute, then change what is to be changed, then return the result, in a tuple; None if this
        recording does not serve such a call (any more: another thread may have changed what it relies on).
        `fresh`: this is the call that it was made for, which it serves even where it is `spent`. `out`: where
        to write results."""
        if not (self.updates or self.writes):
            return self._run(arrays, given, out, fresh)
        return steps.run(self._run, arrays, given, out, fresh)

    def _run(self, arrays: list[Any], given: list[Any], out: Any, fresh: bool) -> tuple[Any] | None:
        numbers = self.first if fresh and self.spent is not None else self.serves(arrays, given)
        return None if numbers is None else (self._compute(arrays, numbers, out),)

    def _compute(self, arrays: list[Any], numbers: list[Any], out: Any) -> Any:
        """`numbers`: those of the tape."""
        given = {} if out is None else given_arrays(self.results, out)
        inputs = [self._tensor(source, arrays, numbers) for source in self.sources]
        pending = [t for t in inputs if isinstance(t, Tensor) and t._node.data is None]
        if pending:
            settle(pending)
        if USED[0]:
            self._bring(inputs)
        nodes = [t._node if isinstance(t, Tensor) else None for t in inputs]
        buffers = [
            n.data if n is not None else self._contiguous(t, source)
            for n, t, source in zip(nodes, inputs, self.sources, strict=True)
        ]
        if (
            given and self.device == "cpu"
        ):  # what is written must not be what a result, or its history, is made of
            buffers = [b if overlap(b, given.values()) is None else np.array(b) for b in buffers]
        if self.rooted.followed and self.saved is None:
            self._save(inputs)
        saved = self.saved
        if self.judged:  # nothing is written before the verdict
            outputs = self.executable(buffers)
            if np.asarray(outputs.pop()):
                raise out_of_range(self.judged, [s.node for s in self.sources], buffers)
            for k, array in given.items():
                np.copyto(array, np.asarray(outputs[k]))
                outputs[k] = array
        else:
            outputs = self.executable(buffers, self._reusable(nodes, buffers), given)
        return self._finish(arrays, numbers, nodes, buffers, outputs, frozenset(given), saved)

    def _save(self, inputs: list[Any]) -> None:
        """Gradients were asked for after an earlier call: from now on each call keeps what they need, so that
        nothing is computed twice."""
        from .residuals import residuals  # few need it

        tensors = [(s.node, t) for s, t in zip(self.sources, inputs, strict=True) if isinstance(t, Tensor)]
        found: tuple[Node, ...] = ()
        again = self.tapped or self.rooted.hosted  # what hooks and libraries do for gradients, they do then
        if self.planned is not None and self.compiled is None and not again:
            found = residuals(self.rooted, [node for node, t in tensors if t._requires_grad])
            if found:
                self.executable = self.planned(found)
        last = len(self.executable.types) - len(found) - bool(self.judged)
        sources = self.rooted.inputs
        self.saved = Saved(Piece(sources, found), Piece((*sources, *found), self.rooted.outputs), last)

    def _bring(self, inputs: list[Any]) -> None:
        """What goes where it is needed goes where this runs."""
        for tensor in inputs:
            if isinstance(tensor, Tensor) and lies(tensor._node.data) != self.device and follows(tensor):
                tensor._assign(leaf(brought(tensor._node.data, self.device)))

    def _leaf(self, value: Any) -> Node:
        """A leaf with a value of its own, where this runs."""
        return leaf(np.array(value) if self.device == "cpu" else brought(value, self.device))

    def inputs(self, arrays: list[Any], given: list[Any]) -> list[Array]:
        """The arrays that a call with these arguments would compute with."""
        numbers = self.numbers(given)
        values = [self._tensor(s, arrays, self.first if numbers is None else numbers) for s in self.sources]
        settle([t for t in values if isinstance(t, Tensor) and t._node.data is None])
        return [
            t._node.data if isinstance(t, Tensor) else self._contiguous(t, source)
            for t, source in zip(values, self.sources, strict=True)
        ]

    def _contiguous(self, array: Array, source: Source) -> Array:
        """An array as it lies in memory; a copy, where its elements do not lie one after another."""
        if source.order is not None:
            return array.transpose(source.order)
        if not with_gaps(array):
            return array
        self.note_copy(array)
        return dense(array)

    def note_copy(self, array: Array) -> None:
        """A call has to copy this one."""
        self.copied.add((array.dtype, array.shape, array.strides))

    def _reusable(self, nodes: list[Node | None], buffers: list[Array]) -> list[bool]:
        """Which buffers nobody else can see: those of captured tensors that this call re-assigns,
        if no other tensor, graph or view holds them."""
        found = [False] * len(nodes)
        if len(sys._current_frames()) > 1:  # another thread may look between this check and the run
            return found
        for k in self.replaced:
            # The node: held by its tensor and `nodes`.
            found[k] = nodes[k] is not None and holders(nodes, k) == 2 and _unshared(buffers, k)
        return found

    def _tensor(self, source: Source, arrays: list[Any], numbers: list[Any]) -> Any:
        """The tensor, or the array, that an input takes its value from."""
        if source.number >= 0:
            return as_input(numbers[source.number], source.node.type.dtype)
        if source.owner is None:
            return source.array
        if isinstance(source.owner, int) and not source.grad:
            return arrays[source.owner]
        found = tensor_of(source.owner, arrays)
        return found._grad if source.grad else found

    def _finish(
        self,
        arrays: list[Any],
        numbers: list[Any],
        nodes: list[Node | None],
        buffers: list[Array],
        outputs: list[Array],
        given: frozenset[int],
        saved: Saved | None,
    ) -> Any:
        """`given`: outputs that are the caller's arrays: what stays here has memory of its own."""
        actual: dict[tuple[int, bool], Node] = {}
        same: dict[int, Tensor] = {}

        def node_for(made: Made, returned: bool = False) -> Node:
            """One node for each output, however often it is used."""
            apart = made.output in given and not returned
            found = actual.get((made.output, apart))
            if found is None:
                if made.output >= 0:
                    value = outputs[made.output]
                    found = self._leaf(value) if apart else leaf(value)
                else:
                    k = -1 - made.output
                    known = nodes[k]
                    found = self._leaf(buffers[k]) if known is None else known
                actual[made.output, apart] = found
            return found

        roots = self._roots(nodes, buffers, outputs, saved) if self.rooted.outputs else {}

        def result(value: Any, returned: bool = False) -> Any:
            if isinstance(value, Made):
                known = same.get(value.tensor)
                if known is not None and not (value.output in given and not returned):
                    return known
                node = node_for(value, returned)
                if value.requires_grad:
                    history = roots[value.node]
                    if history.data is None:
                        bind(history, node.data)
                    node = history
                made = Tensor._of(node, value.requires_grad, None)
                if self.writes:  # what is returned and what is left are one tensor, as in Python
                    same[value.tensor] = made
                return made
            if isinstance(value, Same):
                return tensor_of(value.owner, arrays)
            return numbers[value.number] if isinstance(value, Value) else value

        results = arguments.rebuild(self.results, lambda value: result(value, True))
        grads, nodes_of = [], []
        for update in self.updates:
            target, value = tensor_of(update.owner, arrays), update.value
            if update.grad:
                grads.append((target, result(value)))
            elif isinstance(value, Made) and (
                value.output < 0 or outputs[value.output] is not target._node.data
            ):
                nodes_of.append((target, node_for(value)))  # else: written in place
        for target, grad in grads:
            target._grad = grad
        for target, node in nodes_of:
            target._assign(node)
        contents = [arguments.rebuild(w.content, result) if w.made else w.content for w in self.writes]
        for write, content in zip(self.writes, contents, strict=True):
            write.place.set(content)
        return results

    def _roots(
        self, nodes: list[Node | None], buffers: list[Array], outputs: list[Array], saved: Saved | None
    ) -> dict[Node, Node]:
        """What differentiable results are made by, over the actual inputs: `backward` finds these."""
        inputs = [self._leaf(b) if n is None else n for n, b in zip(nodes, buffers, strict=True)]
        if saved is None:
            made = self.rooted.used([*inputs], None)
        else:
            values = saved.values.used([*inputs], None)
            for k, node in enumerate(values, saved.first):
                bind(node, outputs[k])
            made = saved.results.used([*inputs, *values], None)
        if self.tapped:
            hooks.Inside.mark(made, inputs)
        return dict(zip(self.rooted.outputs, made, strict=True))


def _name(k: int, names: Sequence[str]) -> str:
    return names[k] if names else f"argument {k}"


def tensor_of(owner: Owner, arrays: list[Any]) -> Tensor:
    found = owner
    if not isinstance(owner, Tensor):
        found = arrays[owner] if isinstance(owner, int) else owner.get()
    assert isinstance(found, Tensor)
    return found


def _unshared(buffers: list[Array], k: int) -> bool:
    """Whether only its node and `buffers` hold array number k, and only itself its memory."""
    chain: list[Any] = [buffers[k]]
    if holders(chain, 0) != 3:  # those two and `chain`
        return False
    if isinstance(chain[0], Stored):  # others may see its block: views, other libraries
        chain.append(chain[0].block)
        return holders(chain, -1) == 2 and chain[-1].keeper is None
    ours = memory.owner(chain[0].nbytes)
    while chain[-1].base is not None:
        # Who sees this memory in another way holds something on the way to its owner, or the owner itself.
        chain.append(chain[-1].base)
        if holders(chain, -1) != 2:  # what it is the base of, and `chain`
            return False
        if type(chain[-1]) is ours:
            return True
        if type(chain[-1]) is not np.ndarray:  # a foreign buffer
            return False
    return bool(chain[-1].flags.owndata)
