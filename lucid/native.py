"""A recording as a native call: no Python code runs where all that it relies on is as it was.

Where a recording needs more than native code does (results with a history), it stays with Python.
"""

from __future__ import annotations

from types import FunctionType, MappingProxyType
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.runtime import checks
from lucid.runtime.call import (
    Earlier,
    Gift,
    Link,
    Made,
    NativeCall,
    Output,
    Source,
    Store,
    Unused,
    converts,
    slot_offset,
)
from lucid.runtime.checks import MISSING, Argument, Bits, Check
from lucid.runtime.containers import Container

from . import arguments, results
from .context import MODE
from .engine import Executable
from .guards import Guards, behind, class_dict
from .promote import lying
from .recording import Recording
from .tape import Entry, as_input
from .tensor import Tensor

_NODE = Link(Node, "data")
_NODE_FIELDS = tuple(name for name in Node.__slots__ if name not in ("data", "__weakref__"))


class _CannotError(Exception):
    """This recording stays with Python."""


def add(
    native: NativeCall,
    recording: Recording,
    f: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    threads: int | None,
    out: str | None = None,
    form: object = None,
) -> bool:
    """Let `native` run the recording of `f` for calls like the one that it has just served. `out`: the
    keyword that says where results go. `form`: how that call is written. False if it cannot be."""
    executable = recording.executable
    if type(executable) is not Executable:  # a library takes part, or results are looked at
        return False
    try:
        at = -1 if out is None else len(args) + list(kwargs).index(out)
        spec = _Spec(recording, executable, (*args, *kwargs.values()), at)
        spec.fill([x for x in arguments.bound_order(f, args, kwargs) if at < 0 or x[0] != at])
        native.add(
            executable.native,
            spec.sources,
            spec.answer,
            arguments=len(args) + len(kwargs),
            keywords=tuple(kwargs),
            checks=spec.checks,
            made=spec.made,
            stores=spec.stores,
            unused=spec.unused,
            gifts=spec.gifts,
            containers=spec.containers,
            shapes=spec.shapes,
            verdict=spec.verdict,
            threads=threads or 0,
            label=(recording, form),
        )
    except (_CannotError, TypeError, ValueError):
        return False
    return True


class _Spec:
    """What `NativeCall.add` takes, for one recording."""

    def __init__(self, recording: Recording, executable: Executable, args: tuple[Any, ...], out: int) -> None:
        self.recording, self.executable, self.args = recording, executable, args
        self.sources: list[Source] = []
        self.checks: list[Check] = []
        self.made: list[Made] = []
        self.stores: list[Store] = []
        self.unused: list[Unused] = []
        self.gifts: list[Gift] = []
        self.containers: list[Container] = []
        self.verdict = -1  # the output that is one
        self.out = out  # the argument that says where results go, or -1
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.answer: object = None
        self.positions: list[int] = []  # of the array arguments, among all
        self.nodes: dict[int, Earlier] = {}  # the node made for each output of the plan
        self.rebound: set[int] = set()  # inputs whose node gets another array
        self.free: dict[
            int, int
        ] = {}  # the argument, by the entry of the tape, of numbers that only tensors meet

    def fill(self, bound: list[tuple[int, Any]]) -> None:
        """`bound`: the arguments in the order of the recording, each with its position here, or -1."""
        given: list[Any] = []
        arguments.describe(tuple([value for _, value in bound]), [], [], given)
        numbers = self.recording.numbers(given)
        if self.recording.rooted.outputs or self.recording.writes or self.recording.held or numbers is None:
            raise _CannotError
        if self.recording.judged:  # nothing is written where the caller sees it before the verdict
            if self.out >= 0:
                raise _CannotError
            self.verdict = self._pick(len(self.executable.types) - 1)
        self.numbers = numbers
        bound = [leaf for k, value in bound for leaf in self._leaves(k, value)]
        self.free = self._free(bound)
        self.checks.append(checks.context(MODE, (*MODE.get(),)))
        for k, value in bound:
            if k >= 0:  # defaults are facts
                self._argument(k, value)
        self._tensors()
        self._guards(self.recording.guards)
        if self.recording.guards.changed() is not None:  # by another thread, since the call
            raise _CannotError
        self._updates()
        self._sources()
        if self.out >= 0:
            self._gifts()
        if _by_python(self.recording.results):
            raise _CannotError
        self.answer = arguments.rebuild(self.recording.results, self._result)

    def _leaves(self, k: int, value: Any) -> list[tuple[int, Any]]:
        """An argument, or in its place what is in it, each with its position: all containers are opened."""
        inside = arguments.inside(value) if k >= 0 else None  # defaults are facts
        if inside is None:
            return [(k, value)]
        if _by_python(value):
            raise _CannotError
        begin, keys = len(self.args), tuple(value) if type(value) is dict else ()
        self.args = (*self.args, *inside)
        self.containers.append(Container(k, type(value), len(inside), keys))
        return [leaf for n, part in enumerate(inside) for leaf in self._leaves(begin + n, part)]

    def _free(self, bound: list[tuple[int, Any]]) -> dict[int, int]:
        """Numbers of the tape, and the arguments that they are, of which nothing depends but elements of
        arrays that native code makes of them."""
        recording, at = self.recording, []  # at: the argument that a number is, or -1 inside of another
        for k, value in bound:
            found: list[Any] = []
            arguments.describe(value, [], [], found)
            at += [k if type(value) in (float, int) else -1] * len(found)
        program = recording.program
        read = {n for n, _ in program.facts}
        read |= {
            s.number
            for s in recording.sources
            if s.number >= 0 and not converts(type(self.numbers[s.number]), s.node.type.dtype.np)
        }
        for entry in program.entries:
            if isinstance(entry, Entry) and entry.function is not None:
                read.update(entry.args)
        arguments.rebuild(recording.results, lambda v: read.add(v.number) if type(v) is results.Value else v)
        return {n: at[k] for n, k in enumerate(recording.opened) if n not in read and at[k] >= 0}

    # --- what it relies on -----------------------------------------------------------------------

    def _argument(self, k: int, value: Any) -> None:
        place = Argument(k)
        kind = type(value)
        if isinstance(value, Tensor):
            self.positions.append(k)
            flag = slot_offset(kind, "_requires_grad")
            self.checks += [
                checks.of_type(place, kind),
                checks.slot(place, flag, value._requires_grad),
            ]
        elif kind is np.ndarray:
            self.positions.append(k)
            self.checks.append(checks.of_type(place, kind))
        elif k in self.free.values():
            self.checks.append(checks.of_type(place, kind))
        elif kind is float:
            bits = int(np.array(value).view(np.int64))
            self.checks += [checks.of_type(place, kind), checks.slot(place, _FLOAT, Bits(bits))]
        elif kind is slice or arguments.is_array(value):  # described by what is in it
            raise _CannotError
        else:
            self.checks.append(checks.same(place, value))

    def _tensors(self) -> None:
        """Which tensors are which, and what is differentiated."""
        recording, pinned = self.recording, self.recording.pinned
        elsewhere = sorted(recording.guards.tensors)
        seen: set[int] = set()
        apart: list[int] = []
        for number, k in enumerate(self.positions):
            value = self.args[k]
            if not isinstance(value, Tensor):
                continue
            if id(value) in seen:
                raise _CannotError
            seen.add(id(value))
            if number in pinned:  # it is among those elsewhere
                self.checks.append(checks.same(Argument(k), pinned[number]))
            else:
                apart.append(k)
        if apart and len(apart) + len(elsewhere) > 1:
            self.checks.append(checks.distinct(apart, elsewhere))
        for tensor, _, flag in recording.flags:  # the types of what is read are those of arrays
            self.checks.append(checks.slot(tensor, slot_offset(type(tensor), "_requires_grad"), flag))
        for owner, kind in recording.grads:
            tensor = self._owner(owner)
            if kind is None:
                place, at = self._place(owner), slot_offset(type(tensor), "_grad")
                self.checks.append(checks.slot(place, at, None))

    def _guards(self, guards: Guards) -> None:
        """The facts, as they are now: an equal object may have taken the place of the first."""
        # What no native check knows is asked of Python; `generators` are no facts, `tensors` no places.
        slow = Guards(arrays=guards.arrays, contents=guards.contents)
        for d, key, _, where in guards.items:
            if type(d) is dict:
                self.checks.append(checks.item(d, key, d.get(key, MISSING)))
            else:
                slow.items.append((d, key, d.get(key, MISSING), where))
        self.checks += [checks.variable(thing) for thing, *_ in guards.variables]
        for cell, *_ in guards.cells:
            try:
                self.checks.append(checks.cell(cell, cell.cell_contents))
            except ValueError:
                self.checks.append(checks.cell(cell, MISSING))
        for entry in guards.dicts:
            found = behind(entry[0]) if isinstance(entry[0], MappingProxyType) else entry[0]
            if type(found) is dict:
                self.checks.append(checks.pairs(found))
            else:
                slow.dicts.append(entry)
        for items in guards.lists:
            if type(items[0]) is list:
                self.checks.append(checks.items(items[0]))
            else:
                slow.lists.append(items)
        for fact in guards.slots:
            owner, name, value, _ = fact
            scope = class_dict(owner)
            if name == "__class__":
                self.checks.append(checks.of_type(owner, value))
                continue
            at = checks.function_slot(owner, name) if type(owner) is FunctionType else None
            if at is not None:
                self.checks.append(at)
            elif scope is not None:
                self.checks.append(checks.item(scope, name, scope.get(name, MISSING)))
            elif hasattr(owner, name):
                self.checks.append(checks.attribute(owner, name, getattr(owner, name)))
            else:
                slow.slots.append(fact)
        if slow.items or slow.dicts or slow.lists or slow.slots or slow.arrays or slow.contents:
            self.checks.insert(0, checks.call(slow.changed))

    # --- where values come from and go to --------------------------------------------------------

    def _owner(self, owner: results.Owner) -> Tensor:
        found = self.args[self.positions[owner]] if isinstance(owner, int) else owner
        assert isinstance(found, Tensor)
        return found

    def _place(self, owner: results.Owner) -> object:
        return Argument(self.positions[owner]) if isinstance(owner, int) else owner

    def _sources(self) -> None:
        used: set[int] = set()
        for number, source in enumerate(self.recording.sources):
            if source.number >= 0:  # those that are not free are as they were: that is checked
                value = self.numbers[source.number]
                array, k = as_input(value, source.node.type.dtype), self.free.get(source.number)
                free = None if k is None else Argument(k)
                self.sources.append(Source(array, number=free, kind=type(value)))
                continue
            if source.owner is None:
                self.sources.append(Source(source.array, order=source.order))
                continue
            if isinstance(source.owner, int):
                used.add(source.owner)
                value = self.args[self.positions[source.owner]]
            else:
                value = source.owner
            chain: tuple[Link, ...] = ()
            if isinstance(value, Tensor):
                chain = (Link(type(value), "_node"), _NODE)
                if source.grad:
                    chain = (Link(type(value), "_grad"), Link(type(value._grad), "_node"), _NODE)
            self.sources.append(
                Source(
                    self._place(source.owner),
                    chain,
                    overwritten=number in self.recording.replaced and number not in self.rebound,
                    exclusive=number in self.rebound,
                    order=source.order,
                )
            )
        for number, k in enumerate(self.positions):
            if number not in used:
                value = self.args[k]
                chain = (Link(type(value), "_node"), _NODE) if isinstance(value, Tensor) else ()
                order = None if isinstance(value, Tensor) else lying(value)
                shape = value.shape if order is None else value.transpose(order).shape
                self.unused.append(Unused(Source(Argument(k), chain, order=order), value.dtype, shape))

    def _updates(self) -> None:
        position = {
            (s.owner if isinstance(s.owner, int) else id(s.owner)): k
            for k, s in enumerate(self.recording.sources)
            if s.owner is not None and not s.grad
        }
        aliases = self.executable.compiled.plan.aliases
        for update in self.recording.updates:
            place, kind = self._place(update.owner), type(self._owner(update.owner))
            value = update.value
            if update.grad:
                new: object = None
                if value is not None:
                    new = self._place(value.owner) if isinstance(value, results.Same) else self._tensor(value)
                self.stores.append(Store(place, (Link(kind, "_grad"),), new))
                continue
            owner = update.owner if isinstance(update.owner, int) else id(update.owner)
            source = position.get(owner)
            if not isinstance(value, results.Made) or value.output < 0 or source is None:
                raise _CannotError
            pick = self._pick(value.output)
            if aliases[pick] == source:
                continue  # overwritten
            if aliases[pick] >= 0 and aliases[pick] in self.recording.replaced:
                raise _CannotError
            # Its node, which nobody else has, gets the new array.
            self.rebound.add(source)
            self.stores.append(Store(place, (Link(kind, "_node"), _NODE), self._array(value.output)))

    def _gifts(self) -> None:
        """Where results go: arrays of the caller's, or such as are in containers."""
        given = self.args[self.out]
        places = iter([Argument(k) for k, _ in self._leaves(self.out, given)])
        named = results.paired(self.recording.results, arguments.rebuild(given, lambda _: next(places)))
        for (result, place), (_, array) in zip(
            named, results.paired(self.recording.results, given), strict=True
        ):
            output = -1
            if array is not None:
                assert isinstance(result, results.Made)
                output = self._array(result.output).number
                if self.executable.compiled.picks.count(output) > 1:  # it is the caller's alone
                    raise _CannotError
            self.gifts.append(Gift(place, output))

    def _pick(self, output: int) -> int:
        pick = self.executable.compiled.picks[output]
        if pick < 0:
            raise _CannotError
        return pick

    def _array(self, output: int) -> Output:
        """The array of an output of the graph; of several that are one value, the same."""
        pick, shape = self._pick(output), self.executable.types[output].shape
        if self.shapes.setdefault(pick, shape) != shape:
            raise _CannotError
        return Output(pick)

    def _tensor(self, made: results.Made) -> Earlier:
        """A new tensor, over one node for each value, however often it is used."""
        if made.output < 0 or made.requires_grad:
            raise _CannotError
        array = self._array(made.output)
        node = self.nodes.get(array.number)
        if node is None:
            model = ops.INPUT(name="x", dtype=made.node.type.dtype, shape=made.node.type.shape)
            # Its number is older than that of any node that will read it.
            fields = {name: getattr(model, name) for name in _NODE_FIELDS}
            node = self.nodes[array.number] = Earlier(len(self.made))
            parts = (*fields.items(), ("data", array))
            self.made.append(Made(Node, parts, kept=True))
        self.made.append(
            Made(Tensor, (("_node", node), ("_grad", None), ("_requires_grad", False), ("_trace", None)))
        )
        return Earlier(len(self.made) - 1)

    def _result(self, value: Any) -> Any:
        if isinstance(value, results.Made):
            return self._tensor(value)
        if isinstance(value, results.Same):
            return self._place(value.owner)
        if isinstance(value, results.Value):
            return self.numbers[value.number]
        if isinstance(value, tuple):  # of a type that `rebuild` does not go into
            raise _CannotError
        return value


def _by_python(value: Any) -> bool:
    """Whether it is, or has inside, a container that only Python opens and makes."""
    inside = arguments.inside(value)
    kind = type(value)
    own = kind in arguments.DICTS[1:] or arguments.record(kind) is not None
    return inside is not None and (own or any(map(_by_python, inside)))


# Bytes from a Python float to its value.
_FLOAT = object.__basicsize__
