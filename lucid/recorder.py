"""Recordings: a traced function as a graph, and the call that runs it on current values."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data, field
from lucid.compiler.ir.graph import Graph, Node, bind, rebuild, toposort
from lucid.compiler.ir.types import TensorType
from lucid.runtime import memory, steps

from . import arguments, chance, watching
from .context import MODE, Mode
from .engine import Array, Executable, build, leaf, out_of_range
from .errors import TraceError, here
from .guards import MISSING, Guards, Item, Place, tensors_in
from .holders import holders
from .inside import indices_in, verdict
from .promote import lying
from .results import Made, Owner, Same, Value, given_arrays, overlap
from .tape import Program, Traced, as_input, escaped, plain, read
from .tensor import Tensor, settle
from .tracing import Outer, Trace, array_type, laid


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


@data(frozen=False)
class Recording:
    """One trace, ready to run. `run` takes the array arguments, in the order of `describe`."""

    guards: Guards
    sources: list[Source]
    executable: Executable
    results: Any  # what the function returned, with Made and Same for tensors
    updates: list[Update]
    flags: list[tuple[Tensor, bool]]  # requires_grad of captured tensors
    grads: list[tuple[Owner, TensorType | None]]  # which gradients there were before
    pinned: dict[int, Tensor]  # arguments that the function also reaches in another way
    rooted: list[Node]  # nodes of differentiable results, in order
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
    # Calls since then that took the Python path, without and with `out=`; -1: all will.
    served: list[int] = field(default_factory=lambda: [0, 0])
    copied: set[str] = field(default_factory=set)  # arrays that calls had to copy, in words

    def numbers(self, given: list[Any]) -> list[Any] | None:
        """The numbers of the tape for a call with these number arguments; None if what was decided by some
        is otherwise."""
        if not (self.opened or self.places):
            return self.first
        values = [given[k] for k in self.opened]
        for place in self.places:
            try:
                value = place.get()
            except (LookupError, ValueError, AttributeError):
                return None
            values += value if type(value) is tuple else (value,)
        return self.program.run(values)

    def decided(self) -> tuple[set[int], set[tuple[int, Any]]]:
        """Which of the open numbers Python code needs the value of: arguments, and places."""
        needed = self.program.needed()
        arguments = {k for n, k in enumerate(self.opened) if n in needed}
        places, n = set(), len(self.opened)
        for place, width in zip(self.places, self.widths, strict=True):
            if not needed.isdisjoint(range(n, n + width)):
                places.add(place.id)
            n += width
        return arguments, places

    def changed(self, arrays: list[Any]) -> str | None:
        """Why this recording does not serve a call with these arguments; None if it does."""
        if self.spent is not None:
            return self.spent
        for k, value in enumerate(arrays):
            if isinstance(value, Tensor):
                if k in self.pinned:
                    if value is not self.pinned[k]:
                        return f"argument {k} was a tensor that the function also reaches elsewhere"
                elif id(value) in self.guards.tensors:
                    return f"argument {k} is a tensor that the function also reaches elsewhere"
        if self.held and not self._apart(arrays):
            return "a tensor in an attribute, item or variable is also an argument, or in another one"
        for tensor, flag in self.flags:
            if tensor._requires_grad != flag:
                return f"requires_grad of a tensor became {tensor._requires_grad}"
        for owner, kind in self.grads:
            grad = _tensor(owner, arrays)._grad
            if (None if grad is None else grad._node.type) != kind:
                return "a gradient that is accumulated " + ("went" if grad is None else "came")
        for source in self.sources:
            array = source.array
            if array is not None:
                order = lying(array)
                now = array_type(array if order is None else array.transpose(order))
                if order != source.order or now != source.node.type:
                    return f"an array of type {source.node.type} became {now}"
        return self.guards.changed()

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

    def run(self, arrays: list[Any], numbers: list[Any], out: Any = None) -> Any:
        """Compute, then change what is to be changed, then return. `numbers`: those of the tape. `out`: where
        to write results."""
        if not (self.updates or self.writes):
            return self._run(arrays, numbers, out)
        return steps.run(self._run, arrays, numbers, out)

    def _run(self, arrays: list[Any], numbers: list[Any], out: Any) -> Any:
        given = {} if out is None else given_arrays(self.results, out)
        inputs = [self._tensor(source, arrays, numbers) for source in self.sources]
        pending = [t for t in inputs if isinstance(t, Tensor) and t._node.data is None]
        if pending:
            settle(pending)
        nodes = [t._node if isinstance(t, Tensor) else None for t in inputs]
        buffers = [
            n.data if n is not None else self._contiguous(t, source)
            for n, t, source in zip(nodes, inputs, self.sources, strict=True)
        ]
        if given:  # what is written there must not be what a result, or its history, is made of
            buffers = [b if overlap(b, given.values()) is None else np.array(b) for b in buffers]
        if self.judged:  # nothing is written before the verdict
            outputs = self.executable(buffers)
            if outputs.pop():
                raise out_of_range(self.judged, [s.node for s in self.sources], buffers)
            for k, array in given.items():
                np.copyto(array, outputs[k])
                outputs[k] = array
        else:
            outputs = self.executable(buffers, self._reusable(nodes, buffers), given)
        return self._finish(arrays, numbers, nodes, buffers, outputs)

    def _contiguous(self, array: Array, source: Source) -> Array:
        """An array as it lies in memory; a copy, where its elements do not lie one after another."""
        if source.order is not None:
            return array.transpose(source.order)
        if array.flags.c_contiguous and array.dtype.isnative:
            return array
        self.copied.add(f"{array_type(array)} of strides {array.strides}")
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")

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
        found = _tensor(source.owner, arrays)
        return found._grad if source.grad else found

    def _finish(
        self,
        arrays: list[Any],
        numbers: list[Any],
        nodes: list[Node | None],
        buffers: list[Array],
        outputs: list[Array],
    ) -> Any:
        actual: dict[int, Node] = {}

        def node_for(made: Made) -> Node:
            """One node for each output, however often it is used."""
            found = actual.get(made.output)
            if found is None:
                if made.output >= 0:
                    found = leaf(outputs[made.output])
                else:
                    k = -1 - made.output
                    known = nodes[k]
                    found = leaf(np.array(buffers[k])) if known is None else known
                actual[made.output] = found
            return found

        roots = self._roots(nodes, buffers) if self.rooted else {}

        def result(value: Any) -> Any:
            if isinstance(value, Made):
                node = node_for(value)
                if value.requires_grad:
                    history = roots[value.node]
                    if history.data is None:
                        bind(history, node.data)
                    node = history
                return Tensor._of(node, value.requires_grad, None)
            if isinstance(value, Same):
                return _tensor(value.owner, arrays)
            return numbers[value.number] if isinstance(value, Value) else value

        results = arguments.rebuild(self.results, result)
        grads, nodes_of = [], []
        for update in self.updates:
            target, value = _tensor(update.owner, arrays), update.value
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

    def _roots(self, nodes: list[Node | None], buffers: list[Array]) -> dict[Node, Node]:
        """The traced nodes of differentiable results, over the actual inputs: `backward` finds
        them."""
        table: dict[Node, Node] = {}
        for source, node, buffer in zip(self.sources, nodes, buffers, strict=True):
            table[source.node] = leaf(np.array(buffer)) if node is None else node
        for node in self.rooted:
            if node not in table:
                table[node] = rebuild(node, tuple(table[n] for n in node.inputs))
        return table


def _tensor(owner: Owner, arrays: list[Any]) -> Tensor:
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


# --- recording -----------------------------------------------------------------------------------


def record(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    arrays: list[Any],
    numbers: list[Any],
    objects: list[Any],
    opened: list[int],
    places: list[Place],
    guards: Guards,
    name: str,
    threads: int | None,
) -> Recording:
    """Run `f` once over placeholders. Nothing outside changes, whatever happens. `opened`: those of `numbers`
    that are no facts; `places`: where others are, which `guards` leaves open."""
    trace = Trace()
    tape = trace.tape
    inner, placed = _arguments(trace, arrays)
    held = [(place, content) for place in places if tensors_in(content := place.get())]
    numeric = [place for place in places if not tensors_in(place.get())]
    for place, content in held:
        for k, tensor in enumerate(tensors_in(content)):
            trace.found(tensor, Item(place, k) if type(content) is tuple else place)
    before = chance.states(guards.generators)
    codes = guards.codes()
    with watching.watching(guards.varying, guards.generators, codes, guards.holds(os.environ)) as seen:
        try:
            returned, contents = _traced(f, args, kwargs, numbers, opened, numeric, trace, inner)
        except BaseException:
            with contextlib.suppress(TraceError):
                _put_back(held)
            guards.reclaim(trace)
            raise
    unsure = chance.check(before, guards.generators, codes, name, seen)
    guards.check_captured([array for array, *_ in trace.arrays.values()], name)
    if tape.numbers:
        for number in escaped(tape):
            read(number)
        guards.settle()
    finish = _Finish(trace, arrays, placed, objects, guards, name, threads)
    writes = [(place, now) for place, now in zip(numeric, contents, strict=True) if now is not KEPT]
    writes += _put_back(held)
    left, changed = guards.left()
    made = {place.id: (place, content) for place, content in guards.reclaim(trace)}
    writes += [(place, content) for place, content in left if place.id not in made]
    writes += made.values()
    first = [plain(value) for value in tape.numbers]
    return finish.recording(
        returned, opened, numeric, [p for p, _ in held], tape.finish(), writes, unsure or changed, first
    )


def _put_back(held: list[tuple[Place, Any]]) -> list[tuple[Place, Any]]:
    """Put what places held back there; what they hold now, where that is something else."""
    left = []
    for place, content in held:
        try:
            now = place.get()
        except (LookupError, ValueError, AttributeError):  # deleted
            now = MISSING
        if now is not content:
            left.append((place, now))
            place.set(content)
    for place, now in left:
        if now is MISSING:
            raise TraceError(
                here(f"{place.where} held a tensor and is deleted while it is traced: set it to None")
            )
    return left


# The content of a place that the function has left as it was.
KEPT: Any = object()


def _traced(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    numbers: list[Any],
    opened: list[int],
    places: list[Place],
    trace: Trace,
    inner: list[Tensor],
) -> tuple[Any, list[Any]]:
    """What `f` returns, and what it leaves in `places`, with Value in place of traced numbers. While it runs,
    these stand in the places; afterwards, what was there before (if it raises, what it has left there)."""
    tape = trace.tape
    given = {k: tape.given(numbers[k]) for k in opened}
    tensors, count = iter(inner), iter(range(len(numbers)))

    def substitute(value: Any) -> Any:
        if isinstance(value, Tensor) or arguments.is_array(value):
            return next(tensors)
        if type(value) in (int, float):
            return given.get(next(count), value)
        return value

    def noted(value: Any) -> Any:
        return Value(tape.index(value)) if type(value) is Traced else value

    traced_args = arguments.rebuild(args, substitute)
    traced_kwargs = arguments.rebuild(kwargs, substitute)
    mode = MODE.get()
    old: list[Any] = []
    stand: list[Any] = []
    try:
        for place in places:
            content = place.get()
            number = tuple(map(tape.given, content)) if type(content) is tuple else tape.given(content)
            old.append(content)
            stand.append(number)
            place.set(number)
        MODE.set(Mode(trace, mode.grad))
        returned = f(*traced_args, **traced_kwargs)
        MODE.set(mode)
        left = [place.get() for place in places]
        contents = [
            KEPT if now is number else arguments.rebuild(now, noted) if type(now) in (tuple, Traced) else now
            for now, number in zip(left, stand, strict=True)
        ]
        for place, content in zip(places, old, strict=True):
            place.set(content)
    except BaseException:
        tape.open = False
        raise
    finally:
        MODE.set(mode)
        for place, content, number in zip(places, old, stand, strict=False):
            with contextlib.suppress(LookupError, ValueError, AttributeError):  # it is not there any more
                now = place.get()
                if now is number:
                    place.set(content)
                elif type(now) is tuple or type(now) is Traced:
                    place.set(arguments.rebuild(now, plain))
    return arguments.rebuild(returned, noted), contents


def _arguments(trace: Trace, arrays: list[Any]) -> tuple[list[Tensor], dict[int, Node]]:
    """What `f` gets for each array argument: tensors as they are, known to the trace; for an array
    a tensor of the trace. And the placeholders of the latter."""
    inner: list[Tensor] = []
    places: dict[int, Node] = {}
    for k, value in enumerate(arrays):
        if isinstance(value, Tensor):
            trace.found(value, k)
            inner.append(value)
        else:
            node, view = laid(value)
            inner.append(Tensor._of(view, False, trace))
            places[k] = node
    return inner, places


# Plain values that a function may return.
_RETURNED = (Value, bool, int, float, complex, str, bytes, np.generic, np.dtype)


class _Finish:
    """Turns a finished trace into a recording."""

    def __init__(
        self,
        trace: Trace,
        arrays: list[Any],
        placed: dict[int, Node],
        objects: list[Any],
        guards: Guards,
        name: str,
        threads: int | None,
    ) -> None:
        self.trace, self.arrays, self.placed = trace, arrays, placed
        self.objects, self.guards, self.name, self.threads = objects, guards, name, threads
        self.outputs: dict[Node, int] = {}
        self.all_sources = {s.node: s for s in self._sources()}

    def recording(
        self,
        returned: Any,
        opened: list[int],
        places: list[Place],
        held: list[Place],
        program: Program,
        writes: list[tuple[Place, Any]],
        spent: str | None,
        first: list[Any],
    ) -> Recording:
        results = arguments.rebuild(returned, self._result)
        left = [self._write(place, content) for place, content in writes]
        wanted = self._wanted()
        changed = [value for *_, value in wanted if isinstance(value, Node)]
        used = toposort([*(m.node for m in self._made(results, left)), *changed])
        sources = [s for n in used if (s := self.all_sources.get(n)) is not None]
        position = {s.node: k for k, s in enumerate(sources)}

        updates = []
        for owner, grad, value in wanted:
            new = self._placed(Made(0, value, False), position) if isinstance(value, Node) else value
            updates.append(Update(owner, grad, new))
        tracked = self._differentiable(updates)
        results = arguments.rebuild(results, lambda v: self._placed(v, position, tracked))
        left = [
            Write(w.place, arguments.rebuild(w.content, lambda v: self._placed(v, position, tracked)), True)
            if w.made
            else w
            for w in left
        ]
        rooted = toposort([m.node for m in self._made(results, left) if m.requires_grad])
        indices = indices_in(used)
        outputs = [*self.outputs, verdict(indices)] if indices else [*self.outputs]
        graph = Graph(self.name, tuple(s.node for s in sources), tuple(outputs))
        kept = rooted or indices  # nothing is overwritten
        aliases = [-1] * len(outputs) if kept else self._aliases(self._made(results, left), updates, position)
        outers = self.trace.outers.values()
        self.guards.release(set(self.trace.arrays))
        return Recording(
            self.guards,
            sources,
            build(graph, aliases, self.threads, judged=bool(indices)),
            results,
            updates,
            [(o.tensor, o.requires_grad) for o in outers if o.home is None],
            [(_owner(o), _type(o.grad_placeholder)) for o in outers if o.grad_read],
            self._pinned(),
            rooted,
            sorted({j for j in aliases if j >= 0}),
            opened,
            [len(c) if type(c := p.get()) is tuple else 1 for p in places],
            places,
            held,
            program,
            left,
            spent,
            first,
            self.objects,
            tuple(indices),
        )

    def _sources(self) -> list[Source]:
        found = [Source(node, owner=k, order=lying(self.arrays[k])) for k, node in self.placed.items()]
        for outer in self.trace.outers.values():
            found.append(Source(outer.placeholder, _owner(outer)))
            if outer.grad_placeholder is not None:
                found.append(Source(outer.grad_placeholder, _owner(outer), grad=True))
        found += [
            Source(node, array=array, order=lying(array)) for array, node, _ in self.trace.arrays.values()
        ]
        found += [Source(node, number=number) for (number, _), node in self.trace.tape.inputs.items()]
        return found

    def _result(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if value._trace is self.trace:
                return Made(0, value._node, value._requires_grad)
            if value._trace is not None:
                raise TraceError(here(f"{self.name} returns a tensor of another compiled function"))
            return Same(_owner(self.trace._outer(value)))
        if isinstance(value, np.ndarray):
            raise TypeError(here(f"{self.name} returns a NumPy array, which would be the same at every call"))
        if value is None or isinstance(value, _RETURNED):
            return value
        raise TypeError(
            here(
                f"{self.name} returns a {type(value).__name__}; expected tensors, plain values, and "
                "tuples, lists and dicts of them"
            )
        )

    def _write(self, place: Place, content: Any) -> Write:
        """What the function has left in a place."""
        found: list[bool] = []

        def leaf(value: Any) -> Any:
            found.append(isinstance(value, Tensor | Value))
            return self._result(value) if isinstance(value, Tensor) else value

        built = arguments.rebuild(content, leaf)
        return Write(place, built, True) if any(found) else Write(place, content, False)

    @staticmethod
    def _made(results: Any, writes: list[Write]) -> list[Made]:
        found: list[Made] = []

        def look(value: Any) -> Any:
            if isinstance(value, Made):
                found.append(value)
            return value

        arguments.rebuild((results, [w.content for w in writes if w.made]), look)
        return found

    def _wanted(self) -> list[tuple[Owner, bool, Node | Same | None]]:
        """All changes of outer tensors and gradients."""
        found: list[tuple[Owner, bool, Node | Same | None]] = []
        for o in self.trace.outers.values():
            if o.node is not o.placeholder:
                found.append((_owner(o), False, o.node))
            if o.grad_given is not None:
                found.append((_owner(o), True, Same(_owner(o.grad_given))))
            elif o.grad_seen and (o.grad is None or o.grad._node is not o.grad_placeholder):
                found.append((_owner(o), True, None if o.grad is None else o.grad._node))
        return found

    def _placed(self, value: Any, position: dict[Node, int], tracked: bool = False) -> Any:
        """With the number of its output, or of the input that it is."""
        if not isinstance(value, Made):
            return value
        flag = value.requires_grad and tracked
        if value.node in position:
            return Made(-1 - position[value.node], value.node, flag)
        return Made(self.outputs.setdefault(value.node, len(self.outputs)), value.node, flag)

    def _differentiable(self, updates: list[Update]) -> bool:
        """Whether results may have a history. After a `backward` inside, or a change of what is
        differentiated, the graph is spent: results are plain values."""
        return not any(u.grad or _tensor(u.owner, self.arrays)._requires_grad for u in updates)

    def _aliases(self, made: list[Made], updates: list[Update], position: dict[Node, int]) -> list[int]:
        """Output k may overwrite the input that it replaces, unless that is also a result."""
        aliases = [-1] * len(self.outputs)
        kept = {m.output for m in made}
        kept |= {u.value.output for u in updates if isinstance(u.value, Made) and u.value.output < 0}
        for u in updates:
            if not isinstance(u.value, Made) or u.grad or u.value.output < 0 or u.value.output in kept:
                continue
            outer = self.trace.outers[id(_tensor(u.owner, self.arrays))]
            old = position.get(outer.placeholder)
            if old is not None and -1 - old not in kept:
                aliases[u.value.output] = old
        return aliases

    def _pinned(self) -> dict[int, Tensor]:
        return {
            k: value
            for k, value in enumerate(self.arrays)
            if isinstance(value, Tensor) and id(value) in self.guards.tensors
        }


def _owner(outer: Outer) -> Owner:
    return outer.tensor if outer.home is None else outer.home


def _type(node: Node | None) -> TensorType | None:
    return None if node is None else node.type
