"""`lucid.compile`: functions, modules and whole training steps as one plan of native kernels."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload
from weakref import WeakKeyDictionary, ref

import numpy as np

from lucid.compiler.ir.data import data, once
from lucid.runtime import pool, steps
from lucid.runtime.locks import Lock

from . import arguments, logs, recorder
from .arguments import Signature, as_bound, by_position, check_function, describe, exact, fits, leaves
from .bound import bound
from .context import MODE
from .cost import Contract, contract
from .errors import bounded, endless, here, no_attribute, public, trim, warn_user
from .guards import Place, tensors_in
from .lanes import values_known
from .looked import Looked
from .pickles import Decorated, Parts
from .promote import dense, with_gaps
from .recording import Recording
from .residence import DEVICES, Device, device_named
from .story import BY_NAME, Change, Story, Words, together
from .tensor import Tensor
from .walk import watch

if TYPE_CHECKING:
    from lucid.runtime.call import NativeCall

    from .edited import Edit

P = ParamSpec("P")
R = TypeVar("R")

SIGNATURES = 256  # kept for each function; the one that was traced first goes first
OBJECTS = 16  # of them with objects, which recordings keep alive
SPECS = 16  # signatures that native code knows
PLACES = 4096  # of numbers outside of arguments that are known to change, or to be needed
# Arguments of the latest trace of each function, for commands that make such a call again (cli/target.py).
KEPT: WeakKeyDictionary[Compiled[..., Any], tuple[tuple[Any, ...], dict[str, Any]]] | None = None
VARIANTS = 8  # recordings kept for one signature, for example of train() and eval()


class _Decorator(Protocol):
    def __call__(self, f: Callable[P, R], /) -> Compiled[P, R]: ...


@overload
def compile(
    f: Callable[P, R], *, threads: int | None = None, device: Device | None = None,
    max_kernels: int | None = None, max_bytes: int | None = None, max_temp_bytes: int | None = None,
) -> Compiled[P, R]: ...  # fmt: skip
@overload
def compile(
    *, threads: int | None = None, device: Device | None = None, max_kernels: int | None = None,
    max_bytes: int | None = None, max_temp_bytes: int | None = None,
) -> _Decorator: ...  # fmt: skip
@bounded
def compile(
    f: Callable[..., Any] | None = None, *, threads: int | None = None, device: Device | None = None,
    max_kernels: int | None = None, max_bytes: int | None = None, max_temp_bytes: int | None = None,
) -> Any:  # fmt: skip
    """A compiled version of `f`, a function, a method or a Module; also a decorator.

        @lucid.compile
        def step(x, y):
            opt.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            opt.step()
            return loss

    Arguments: tensors and arrays (by dtype and shape), Python numbers (by type; by value where Python code
    needs it), strings (by value), lists, tuples, dicts and frozen dataclasses of them (OrderedDict and
    defaultdict, too), and any other object (by identity). TraceError where the function changes such a list
    or dict: the caller would not see it.
    Results: tensors, plain values, and such containers of them; arrays are tensors inside.

    The function is traced once for each signature, and again whenever something else that it reads
    has changed: globals, closures, attributes, containers. Tensors that it reads are inputs; those
    that it re-assigns, and gradients, are outputs, and change when the call has succeeded.
    `threads`: how many the kernels may use; by default as many as the process has CPUs. `device`: where it
    runs; by default where the tensors that it reads lie. "cpu"; "cuda", NVIDIA's GPU; or "ptx-sim", where it
    runs the PTX of its kernels in the simulator, slowly, and raises for races, accesses outside of arrays and
    reads of what was never written. Results lie there; arrays are brought by each call, tensors are not: one
    that lies elsewhere raises ValueError.

    `max_kernels`, `max_bytes`, `max_temp_bytes`: the most that one call may take, as `cost` counts it. What
    would take more raises ContractError when it is compiled, with the reasons for its kernels, and nothing
    has run.

    Calls take `out=`, unless the function has an argument of that name: an array, or the structure of
    the result with arrays (or None) in place of tensors. The results are written there, and the
    returned tensors share that memory. Such an array may be an argument, too. TypeError or ValueError if
    one does not fit, or two overlap; nothing has run then.

    Raises TypeError for arguments that do not fit the signature of `f`, and TraceError where `f`
    needs a value that is known only when it runs, draws random numbers, or reads a clock, a file or
    the state of the process. TypeError, ValueError unless `threads` is an int >= 1, and for
    an unknown device; RuntimeError, which says what is missing, where there is no GPU for "cuda".
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise TypeError(here(f"compile: threads must be an int, not {type(threads).__name__}"))
    if threads is not None and threads < 1:
        raise ValueError(here(f"compile: threads must be at least 1, not {threads}"))
    if device is not None and device not in DEVICES:
        raise ValueError(here(f"compile: unknown device {device!r}; expected one of {', '.join(DEVICES)}"))
    device = device_named(device)
    limits = contract(max_kernels, max_bytes, max_temp_bytes)
    if f is None:
        return functools.partial(
            compile, threads=threads, device=device, max_kernels=max_kernels, max_bytes=max_bytes,
            max_temp_bytes=max_temp_bytes,
        )  # fmt: skip
    check_function("compile", f)
    if isinstance(f, type):
        raise TypeError(here(f"compile: {f.__name__} is a class; compile an object of it, or its methods"))
    return Compiled(f, threads, device, limits)


@data
class _Asked:
    """A call: its arguments, as `as_bound` writes them, and what is in them."""

    signature: Signature
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    arrays: list[Any]
    numbers: list[Any]
    objects: list[Any]


@data
class _Names:
    """What the arrays, numbers and objects of a call's arguments are called, in words."""

    arrays: list[str]
    numbers: list[str]
    objects: list[str]


class _Numbers:
    """Which numbers are facts. All are at first; one that has changed is none, if Python code needs nothing
    of it."""

    def __init__(self) -> None:
        self._arguments: OrderedDict[Signature, tuple[list[Any], set[int], set[int]]] = OrderedDict()
        self.places: set[tuple[int, Any]] = set()  # no facts, outside of the arguments
        self.settled: set[tuple[int, Any]] = set()  # facts for good

    def opened(self, signature: Signature) -> set[int]:
        """The number arguments that are no facts."""
        found = self._arguments.get(signature)
        return found[1] if found is not None else set()

    def meet(self, signature: Signature, numbers: list[Any]) -> None:
        """A call with these numbers is to be traced."""
        first, opened, closed = self._arguments.setdefault(signature, (numbers, set(), set()))
        moved = {k for k, (a, b) in enumerate(zip(first, numbers, strict=True)) if exact(a) != exact(b)}
        opened |= moved - closed
        while len(self._arguments) > SIGNATURES:
            self._arguments.popitem(last=False)

    def close(self, signature: Signature, numbers: set[int], places: set[tuple[int, Any]]) -> None:
        """These are facts for good."""
        _, opened, closed = self._arguments.setdefault(signature, ([], set(), set()))
        closed |= numbers
        opened -= closed
        self.settled |= places
        self.places -= places
        if len(self.settled) + len(self.places) > PLACES:  # of many objects; most are gone
            self.settled.clear()
            self.places.clear()


class Compiled(Decorated, Looked[P], Generic[P, R]):
    """What `lucid.compile` returns: call it like the function. Attributes of a compiled module are the
    module's."""

    # Python finds what a call runs in the slot: at first `_call`, later a native function.
    if not TYPE_CHECKING:  # to a type checker it is a method
        __slots__ = ("__call__", "__dict__", "__weakref__")
    _opaque = True  # for guards: only the function inside counts
    if TYPE_CHECKING:  # the arguments of the function, or any with out=, which a ParamSpec cannot add

        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        @overload
        def __call__(self, *args: Any, out: Any, **kwargs: Any) -> R: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __init__(
        self,
        f: Callable[..., Any],
        threads: int | None = None,
        device: Device | None = None,
        limits: Contract | None = None,
        story: Story | None = None,
    ) -> None:
        self.__wrapped__ = f
        if not _is_module(f):
            functools.update_wrapper(self, f, updated=())
        self.threads, self.device, self.limits = threads, device, limits
        self._story = story or Story()
        self._cache: OrderedDict[Signature, list[Recording]] = OrderedDict()
        self._numbers = _Numbers()
        self._latest: Recording | None = None
        self._edits: dict[str, Edit] = {}  # kernels that `replace` has put in place, by name
        self._native: NativeCall | None = None
        self._object: Callable[[], object] = lambda: None  # a method's, for what looks inside
        self.__call__ = self._call  # type: ignore[method-assign]  # a slot
        self._lock = Lock()

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """The call in Python: traces where it must, and explains what is wrong."""
        try:
            if self._native is not None and (gaps := self._with_gaps(args, kwargs)):
                return self._call_dense(gaps, args, kwargs)
            try:
                while (results := self._tried(*args, **kwargs)) is None:
                    pass  # another thread has changed what a fresh trace began with
            except RecursionError as error:
                if MODE.get().trace is not None:
                    raise  # the outermost call has room to tell
                raise endless(error, self._name(), getattr(self.__wrapped__, "__code__", None)) from None
        except BaseException as error:
            trim(error)
            raise
        return results[0]

    def _with_gaps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, Any]:
        """Array arguments, by identity, that native code does not take as they lie in memory."""
        if not values_known() or ("out" in kwargs and not self._names_out):
            return {}
        given = (*args, *kwargs.values())
        return {id(a): a for a in given if type(a) is np.ndarray and with_gaps(a)}

    def _call_dense(self, gaps: dict[int, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call with copies of these arrays: the rest of it needs no Python."""
        copies = {k: dense(a) for k, a in gaps.items()}
        named = {name: copies.get(id(a), a) for name, a in kwargs.items()}
        result = self.__call__(*[copies.get(id(a), a) for a in args], **named)
        recording = self._recent()
        if recording is not None:
            for array in gaps.values():
                recording.note_copy(array)
        return result

    def _tried(self, *args: Any, **kwargs: Any) -> tuple[Any] | None:
        out, all_kwargs = None, kwargs
        if "out" in kwargs and not self._names_out:
            all_kwargs = dict(kwargs)
            out = kwargs.pop("out")
        given = None if out is None else "out"
        if not values_known():  # part of another compiled function, or of one of an example
            if out is not None:
                raise TypeError(here(f"{self._name()}: out= has no meaning in another compiled function"))
            return (self.__wrapped__(*args, **kwargs),)
        asked = self._described(args, kwargs)
        for recording in self._known(asked):
            results = recording.run(asked.arrays, asked.numbers, out)
            if results is not None:
                self._set_latest(recording)
                self._go_native(recording, asked, args, all_kwargs, given)
                return results
        # Nobody else changes these containers between this look at them and the trace.
        asked = self._described(*arguments.still((args, kwargs)))
        return self._record(asked).run(asked.arrays, asked.numbers, out, fresh=True)

    def _described(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Asked:
        arrays, numbers, objects = list[Any](), list[Any](), list[Any]()
        args, kwargs = as_bound(self.__wrapped__, args, kwargs)
        try:
            signature = (
                MODE.get()[1:],
                describe(args, arrays, objects, numbers),
                describe(kwargs, arrays, objects, numbers) if kwargs else None,
                _twins(arrays),
            )
        except TypeError as error:
            raise TypeError(here(f"{self._name()}: {error}")) from None
        return _Asked(signature, args, kwargs, arrays, numbers, objects)

    def _key(self, asked: _Asked) -> Signature:
        """Under which a call's recordings are kept: with the values of those numbers that are facts."""
        if not asked.numbers:
            return asked.signature, ()
        opened = self._numbers.opened(asked.signature)
        facts = [None if k in opened else exact(v) for k, v in enumerate(asked.numbers)]
        return asked.signature, tuple(facts)

    def _known(self, asked: _Asked) -> list[Recording]:
        """What may serve a call, the latest first."""
        return self._cache.get(self._key(asked), [])

    def _takes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """TypeError if the function takes no such arguments."""
        if not fits(self.__wrapped__, args, kwargs) and self._signature is not None:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                from .signatures import parameters  # few ask for it

                other = f"{error}; expected {parameters(self._signature)}"
                said = _unexpected(self._signature, kwargs) or other
                raise TypeError(here(f"{self._name()}(): {said}")) from None

    def _record(self, asked: _Asked) -> Recording:
        """What serves a call: a new recording, unless there is one by now."""
        signature, arrays, numbers = asked.signature, asked.arrays, asked.numbers
        self._takes(asked.args, asked.kwargs)
        with self._lock():
            parts, names = self._parts(asked)
            known = self._known(asked)
            for recording in known:  # another thread may have been here first
                if recording.serves(arrays, numbers) is not None:
                    return recording
            reason, moved = self._reason(known, asked, parts, names)
            state = self._numbers
            state.meet(signature, numbers)
            state.places |= {place.id for place, *_ in moved} - state.settled
            finish = None
            while finish is None:
                known = self._known(asked)
                if len(known) >= VARIANTS:  # what is decided by numbers is another thing each time
                    state.close(signature, state.opened(signature), {p.id for r in known for p in r.places})
                    known = self._known(asked)
                # No other step comes between the walk and the end of the trace: what holds, holds for both.
                finish = steps.run(self._trace, asked, names)
            recording = finish()
            if self._edits:
                from .edited import carry  # few replace kernels

                carry(self, recording)
            if self.limits is not None:
                self.limits.judge(self._name(), recording.executable)
                recording.planned = None  # it stays what was judged
            state.close(signature, *recording.decided())
            self._story.add(reason, parts)
            if KEPT is not None:
                KEPT[self] = asked.args, asked.kwargs
            logs.retraced(self._name(), self.traces, reason)
            self._story.warn(self._name(), reason, any(not tensors_in(old) for _, old, _ in moved))
            key = self._key(asked)
            self._cache[key] = [recording, *known][:VARIANTS]
            self._cache.move_to_end(key)
            if recording.keeps or len(self._cache) > SIGNATURES:
                self._drop_oldest()
            self._set_latest(recording)
        return recording

    def _trace(self, asked: _Asked, names: _Names) -> Callable[[], Recording] | None:
        """A trace, to be compiled; None where that took numbers for what they are not: they are facts now."""
        state, f, signature = self._numbers, self.__wrapped__, asked.signature
        named = [name.removeprefix("argument ") for name in names.objects]
        guards = watch(f, asked.objects, named)
        opened, places = sorted(state.opened(signature)), guards.open(state.places, asked.arrays)
        if guards.tells_types():
            state.close(signature, set(opened), {p.id for p in places})
            opened, places, guards = [], [], watch(f, asked.objects, named)
        contents = [(place, place.get()) for place in places]
        numeric = {place.id for place, content in contents if not tensors_in(content)}
        try:
            return recorder.trace(
                f, asked.args, asked.kwargs, asked.arrays, asked.numbers, asked.objects, opened, places,
                guards, self._name(), self.threads, self.device, (names.arrays, names.numbers),
            )  # fmt: skip
        except Exception:
            if not opened and not numeric:
                raise
            state.close(signature, set(opened), numeric)
            if guards.take_back()[1] is not None:
                raise
            for place, content in contents:
                place.set(content)
            return None  # something that takes numbers alone, or an error that comes again

    def _drop_oldest(self) -> None:
        """Keep no more than there is room for, in native code either."""
        with_objects = [key for key, (r, *_) in self._cache.items() if r.keeps]
        dropped = with_objects[: max(0, len(with_objects) - OBJECTS)]
        dropped += list(self._cache)[: max(0, len(self._cache) - len(dropped) - SIGNATURES)]
        gone = {id(recording) for key in dropped for recording in self._cache.pop(key, ())}
        if gone and self._native is not None:
            self._native.specs[:] = [spec for spec in self._native.specs if id(spec[-1][0]) not in gone]

    def _labelled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Any, str]]:
        """Each argument with its name."""
        plain = self._by_position
        names = [f"argument {plain[k]}" if k < len(plain) else f"argument {k}" for k in range(len(args))]
        return [*zip(args, names, strict=True), *[(v, f"argument {k}") for k, v in kwargs.items()]]

    def _parts(self, asked: _Asked) -> tuple[Words, _Names]:
        """A call in words, and the names of what is in its arguments."""
        seen: dict[int, str] = {}
        parts: Words = {}
        lists: dict[str, list[str]] = {"array": [], "number": [], "object": [], "": []}
        for value, label in self._labelled(asked.args, asked.kwargs):
            for where, text, kind in leaves(value, label, seen):
                parts[where] = text
                lists[kind].append(where)
        grad, looking = asked.signature[0]
        parts["whether gradients are on"] = str(grad)
        parts["whether anomalies are detected"] = str(bool(looking))
        parts[BY_NAME] = ", ".join(asked.kwargs) or "nothing"
        return parts, _Names(lists["array"], lists["number"], lists["object"])

    def _reason(
        self, known: list[Recording], asked: _Asked, parts: Words, names: _Names
    ) -> tuple[Change, list[tuple[Place, Any, Any]]]:
        """Why a call is traced, in words; and the numbers outside of the arguments that have changed since
        the call before it."""
        if not known:
            return self._story.differs(parts), []
        latest = self._recent()
        before = next((recording for recording in known if recording is latest), known[0])
        moved = before.guards.moved()
        reason = together(before.otherwise(asked.numbers, names.numbers))
        return reason or before.changed(asked.arrays, names.arrays) or self._story.differs(parts), moved

    def _go_native(
        self, recording: Recording, asked: _Asked, args: tuple[Any, ...], kwargs: dict[str, Any],
        out: str | None,
    ) -> None:  # fmt: skip
        """Let native code serve calls like this one, `asked`, from now on. It comes back here where it sees
        an object that it does not know, though that may be equal: then a new try may pay, seldom."""
        form = len(args), *kwargs, out is not None
        served = recording.count(form)
        if recording.device != "cpu" or served < 1 or served & (served - 1):  # not 1, 2, 4, 8 ...
            return
        from lucid.runtime import call  # the first call does without

        from . import native

        if not call.available():
            recording.served[form] = -1
            _slower(str(call.missing()))
            return
        args, kwargs = arguments.still((args, kwargs))
        again = self._described(args, {name: v for name, v in kwargs.items() if name != out})
        if self._key(again) != self._key(asked):
            return  # containers that have changed since the call
        with self._lock():
            if self._native is None:
                self._native = call.NativeCall(self._call, self._name())
                self.__call__ = self._native.function  # type: ignore[method-assign]  # a slot
            if not native.add(
                self._native, recording, self.__wrapped__, args, kwargs, self.threads, out, form
            ):
                if recording.guards.changed() is None:  # else it was no longer as at the call
                    recording.served[form] = -1
                return
            new = self._native.specs[-1]
            others = [
                spec
                for spec in self._native.specs[:-1]
                if spec[-1][0] is not recording or spec[-1][1] != form
            ]
            self._native.specs[:] = [new, *others[: SPECS - 1]]

    @once
    def _by_position(self) -> tuple[str, ...]:
        if (names := by_position(self.__wrapped__)) is not None:
            return names
        known = () if self._signature is None else tuple(self._signature.parameters.values())
        return tuple(p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))

    @once
    def _signature(self) -> inspect.Signature | None:
        f = self.__wrapped__
        try:
            return inspect.signature(getattr(f, "forward", f) if _is_module(f) else f)
        except ValueError:  # functions written in C may not tell
            return None

    @once
    def _names_out(self) -> bool:
        """Whether the function has an argument `out` of its own."""
        known = self._signature.parameters.values() if self._signature is not None else ()
        return any(p.name == "out" or p.kind is p.VAR_KEYWORD for p in known)

    def _name(self) -> str:
        f = self.__wrapped__
        return getattr(f, "__name__", type(f).__name__)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        home = bound(instance) if MODE.get().trace is None else None  # inside of a trace nothing changes
        if home is None:
            return MethodType(self, instance)
        own = home.methods.get(self)
        if own is None:
            new: Compiled[Any, Any] = Compiled(
                self.__wrapped__, self.threads, self.device, self.limits, self._story
            )
            with contextlib.suppress(TypeError):  # an object that nothing can refer to weakly
                new._object = ref(instance)
            own = home.methods.setdefault(self, new)
        return MethodType(own, instance)

    def __set_name__(self, owner: type, name: str) -> None:
        owner.__compiled__ = None  # type: ignore[attr-defined]  # guards: its objects will have one

    def _made_of(self) -> Parts:
        return Compiled, (self.__wrapped__, self.threads, self.device, self.limits)

    @bounded
    def __getattr__(self, name: str) -> Any:
        inside = None if name.startswith("__") else self.__dict__["__wrapped__"]
        if hasattr(inside, name):
            return getattr(inside, name)
        raise no_attribute(
            self, "a compiled function" if inside is None else f"compiled {self._name()}", name
        )

    @property
    def traces(self) -> int:
        """How often it was traced; a method, for all objects together."""
        return self._story.traces

    def __repr__(self) -> str:
        return f"<compiled {self._name()}: {self.traces} traces>"

    # --- looking inside --------------------------------------------------------------------------

    def _set_latest(self, recording: Recording) -> None:
        self._latest = recording
        self._story.last = ref(self)
        if self._native is not None:
            self._native.forget()

    def _recent(self) -> Recording | None:
        """The recording of the latest call."""
        spec = None if self._native is None else self._native.latest
        found = self._latest if spec is None else spec[-1][0]
        last = self._story.last()
        return last._recent() if found is None and last is not None and last is not self else found

    def _last(self) -> Recording:
        found = self._recent()
        if found is None:
            what = "has not been called, or on objects that are gone: nothing is compiled"
            raise RuntimeError(here(f"{self._name()} {what}"))
        return found


@functools.cache
def _slower(why: str) -> None:
    """Say once that calls take the way through Python, unless that was asked for."""
    from lucid.runtime import call

    if why != call.ASKED:
        warn_user(f"calls of compiled functions are checked by Python, some 10 us each: {why}")


@public
def set_num_threads(threads: int) -> None:
    """Use at most `threads` threads per call. TypeError, ValueError unless it is an int >= 1."""
    pool.set_num_threads(threads)


def _twins(arrays: list[Any]) -> tuple[int, ...] | None:
    """Which tensor arguments are one object."""
    tensors = [id(a) for a in arrays if isinstance(a, Tensor)]
    if len(set(tensors)) == len(tensors):
        return None
    return tuple(tensors.index(t) for t in tensors)


def _unexpected(signature: inspect.Signature, kwargs: dict[str, Any]) -> str | None:
    """What Python says first of keywords that no argument has."""
    known = signature.parameters.values()
    names = {p.name for p in known if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    wrong = [name for name in kwargs if name not in names]
    if not wrong or any(p.kind is p.VAR_KEYWORD for p in known):
        return None
    return f"got an unexpected keyword argument {wrong[0]!r}; expected {', '.join(sorted(names)) or 'none'}"


def _is_module(f: object) -> bool:
    """Whether `f` is an nn.Module; if nobody has imported lucid.nn, it is not."""
    nn = sys.modules.get("lucid.nn.module")
    return nn is not None and isinstance(f, nn.Module)
