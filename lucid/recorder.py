"""Recording: a function runs once over placeholders, and its trace becomes a recording."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node, at, toposort
from lucid.compiler.ir.types import TensorType

from . import arguments, chance, hooks, watching
from .context import MODE, Mode
from .defaults import DEFAULT
from .engine import Executable, build
from .errors import TraceError, here
from .guards import MISSING, Guards, Item, Place, tensors_in
from .inputs import names
from .inside import indices_in, verdict
from .lanes import EXAMPLE, ONE_OF_MANY
from .pieces import Piece
from .places import Places
from .promote import lying
from .recording import Recording, Source, Update, Write, tensor_of
from .residence import USED, Device, mixed, place_of
from .results import Made, Owner, Same, Value
from .tape import Program, Traced, escaped, plain, read
from .tensor import Tensor
from .tracing import Outer, Trace, laid

if TYPE_CHECKING:
    from .staged import Staged


def trace(
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
    device: Device | None,
    called: tuple[list[str], list[str]],
) -> Callable[[], Recording]:
    """Run `f` once over placeholders; nothing outside changes, whatever happens. What comes back compiles
    what was found. `opened`: those of `numbers` that are no facts; `places`: where others are, which `guards`
    leaves open. `called`: names of the arrays and the numbers. A step of its own (runtime/steps.py), with the
    walk that has made `guards`: while it runs, what it sets is set, for other threads too."""
    trace = Trace(places=Places(f, args, _traced.__code__))
    tape = trace.tape
    with at(trace.places.start):
        inner, placed = _arguments(trace, arrays)
    held = [(place, content) for place in places if tensors_in(content := place.get())]
    numeric = [place for place in places if not tensors_in(place.get())]
    for place, content in held:
        for k, tensor in enumerate(tensors_in(content)):
            trace.found(tensor, Item(place, k) if type(content) is tuple else place)
    before = chance.states(guards.generators)
    reach = guards.within_reach()
    codes = guards.codes()
    with watching.watching(guards.varying, guards.generators, codes, guards.holds(os.environ)) as seen:
        try:
            returned, contents = _traced(f, args, kwargs, numbers, opened, numeric, trace, inner)
        except BaseException:
            with contextlib.suppress(TraceError):
                _put_back(held)
            guards.reclaim(reach)
            raise
    unsure = chance.check(before, guards.generators, codes, name, seen)
    guards.check_captured([array for array, *_ in trace.arrays.values()], name)
    if tape.numbers:
        for number in escaped(tape):
            read(number)
        guards.settle()
    finish = _Finish(trace, arrays, placed, objects, guards, name, threads, device, called)
    writes = [(place, now) for place, now in zip(numeric, contents, strict=True) if now is not KEPT]
    writes += _put_back(held)
    kept, made = guards.reclaim(reach)
    writes += kept
    left, changed = guards.take_back()
    writes += left
    first = [plain(value) for value in tape.numbers]
    places_of_tensors = [place for place, _ in held]
    return partial(
        finish.recording,
        returned, opened, numeric, places_of_tensors, tape.finish(), writes, unsure or changed or made, first,
    )  # fmt: skip


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
    names = arguments.by_position(f) or ()
    held = [(f"argument {names[k] if k < len(names) else k}", v) for k, v in enumerate(traced_args)]
    held += [(f"argument {name}", v) for name, v in traced_kwargs.items()]
    called = [(name, arguments.still(v), v) for name, v in held if arguments.inside(v) is not None]
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
        MODE.set(Mode(trace, mode.grad, mode.looking))
        with at(trace.places.start):
            returned = f(*traced_args, **traced_kwargs)
        changed = [arguments.written(v, now, name) for name, v, now in called]
        if any(changed):
            raise TraceError(
                here(
                    f"a compiled function changes {next(filter(None, changed))}, which the caller would "
                    "not see: take a copy first (dict(...), list(...)), or return what is new"
                )
            )
        if MODE.get().grad is not mode.grad:
            raise TraceError(
                here(
                    "set_grad_enabled: a compiled function leaves gradients as they were before the call; "
                    "use it as a context manager, `with lucid.set_grad_enabled(...):`, or call it outside"
                )
            )
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
        device: Device | None,
        called: tuple[list[str], list[str]],
    ) -> None:
        self.trace, self.arrays, self.placed = trace, arrays, placed
        self.objects, self.guards, self.name = objects, guards, name
        self.threads, self.device, self.called = threads, device, called
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
        left = [self._write(*write) for write in writes]
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
            replace(w, content=arguments.rebuild(w.content, lambda v: self._placed(v, position, tracked)))
            if w.made
            else w
            for w in left
        ]
        rooted = [*dict.fromkeys([m.node for m in self._made(results, left) if m.requires_grad])]
        if any(n.op is EXAMPLE for n in used):
            raise TraceError(here(ONE_OF_MANY))
        indices = indices_in(used)
        arrays, of_arguments = self.called
        numbers = [of_arguments[k] for k in opened]
        widths = [*map(_width, places)]
        telling = partial(
            names, sources, self.guards, self.trace.called, arrays, numbers, places, widths,
            results, updates, left, judged=bool(indices),
        )  # fmt: skip
        kept = rooted or indices  # nothing is overwritten
        aliases = [] if kept else self._aliases(self._made(results, left), updates, position)
        outers = self.trace.outers.values()
        if any(o.requires_grad for o in outers):
            self.guards.items.append((hooks.LEAVES, "hooks", hooks.LEAVES["hooks"], "the hooks of tensors"))
        if self.trace.default:
            self.guards.items.append((DEFAULT, "float", DEFAULT["float"], "the default dtype"))
        self.guards.release(set(self.trace.arrays))
        device, inputs = self._device(used), tuple([s.node for s in sources])
        planned = partial(
            _planned, self.name, inputs, [*self.outputs], indices, telling, aliases, self.threads, device,
            self.trace.hosted,
        )  # fmt: skip
        return Recording(
            self.guards,
            sources,
            device,
            planned(),
            results,
            updates,
            [(o.tensor, o.placeholder.type, o.requires_grad) for o in outers if o.home is None],
            [(_owner(o), _type(o.grad_placeholder)) for o in outers if o.grad_read],
            self._pinned(),
            Piece(inputs, rooted),
            hooks.on_the_way(rooted, position),
            sorted({j for j in aliases if j >= 0}),
            opened,
            widths,
            places,
            held,
            program,
            left,
            spent,
            first,
            self.objects,
            tuple(indices),
            planned if rooted else None,
        )

    def _device(self, used: list[Node]) -> Device:
        """Where it runs: as it was asked for, or where what it reads lies. ValueError for several devices."""
        if not USED[0]:
            return "cpu"
        known: dict[Device, Node | None] = {} if self.device is None else {self.device: None}
        for node in used:
            device = place_of(node)
            if device is not None:
                known.setdefault(device, node)
        if len(known) > 1:
            raise ValueError(here(f"{self.name}: {mixed([(self._words(n), d) for d, n in known.items()])}"))
        return next(iter(known), "cpu")

    def _words(self, node: Node | None) -> str:
        """What stands for a node in errors about devices."""
        if node is None:
            return "what the function is compiled for"
        source = self.all_sources.get(node)
        owner = None if source is None else source.owner
        if isinstance(owner, Tensor):
            return self.guards.name_of(owner) or "a tensor that it reads"
        return f"argument {owner}" if isinstance(owner, int) else f"{node.op.name} at {node.loc}"

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
                return Made(0, value._node, value._requires_grad, id(value))
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
            return Made(-1 - position[value.node], value.node, flag, value.tensor)
        output = self.outputs.setdefault(value.node, len(self.outputs))
        return Made(output, value.node, flag, value.tensor)

    def _differentiable(self, updates: list[Update]) -> bool:
        """Whether results may have a history. After a `backward` inside, or a change of what is
        differentiated, the graph is spent: results are plain values."""
        return not any(u.grad or tensor_of(u.owner, self.arrays)._requires_grad for u in updates)

    def _aliases(self, made: list[Made], updates: list[Update], position: dict[Node, int]) -> list[int]:
        """Output k may overwrite the input that it replaces, unless that is also a result."""
        aliases = [-1] * len(self.outputs)
        kept = {m.output for m in made}
        kept |= {u.value.output for u in updates if isinstance(u.value, Made) and u.value.output < 0}
        for u in updates:
            if not isinstance(u.value, Made) or u.grad or u.value.output < 0 or u.value.output in kept:
                continue
            outer = self.trace.outers[id(tensor_of(u.owner, self.arrays))]
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


def _planned(
    name: str, inputs: tuple[Node, ...], outputs: list[Node], judged: list[Node],
    telling: Callable[..., tuple[Sequence[str], tuple[str, ...]]], aliases: list[int], threads: int | None,
    device: Device, hosted: bool, more: Sequence[Node] = (),
) -> Executable | Staged:  # fmt: skip
    """What computes `outputs`, and then `more`, and then the verdict on what is to be judged."""
    found = [*outputs, *more, *([verdict(judged)] if judged else [])]
    called = partial(telling, outputs=len(outputs) + len(more))
    graph = Graph(name, inputs, tuple(found), (), called)
    return build(graph, aliases or [-1] * len(found), threads, device, bool(judged), hosted)


def _width(place: Place) -> int:
    """How many numbers there are in a place."""
    content = place.get()
    return len(content) if type(content) is tuple else 1


def _owner(outer: Outer) -> Owner:
    return outer.tensor if outer.home is None else outer.home


def _type(node: Node | None) -> TensorType | None:
    return None if node is None else node.type
