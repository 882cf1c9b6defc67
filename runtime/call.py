"""The native call path: a callable that costs a fraction of a microsecond.

    native = NativeCall(fallback)
    native.add(executable, sources=(Source(0), Source(1)), results=(0, 1))
    native.function(x, y)        # a builtin function: no Python code runs where a spec fits

`fallback` is called with the arguments as they came whenever no spec fits: it explains, compiles,
or runs the plan the plain way. Where this Python or this system does not allow a native path,
`function` is the fallback itself.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
import sysconfig
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import call_text as layout
from . import memory, pool, runner
from .execute import Executable
from .forever import forever

# Outputs up to this size live in NumPy's memory, which native code gets without calling Python.
SMALL_BYTES = 32 << 10

Words = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Link:
    """Objects of exactly `type` lead on through their slot `attribute`."""

    type: type
    attribute: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input comes from: positional argument `argument`, or `object`.

    That is an ndarray, or `chain` leads from it to one. `overwritten`: an output takes over the
    array's memory, if no more than `references` references to it exist and it overlaps no other
    input.
    """

    argument: int = 0
    object: object = None
    chain: tuple[Link, ...] = ()
    overwritten: bool = False
    references: int = 1


@dataclass(frozen=True, slots=True)
class Earlier:
    """The object number `index` of the same recipe."""

    index: int


class _TheArray:
    """Stands for the output array in a recipe."""


THE_ARRAY = _TheArray()


@dataclass(frozen=True, slots=True)
class Made:
    """An object that is made without calling its constructor: `type` has slots only, and those in
    `fields` are set: to THE_ARRAY, to an Earlier object, or to the same constant each time."""

    type: type
    fields: tuple[tuple[str, object], ...]


class NativeCall:
    """A callable and the specs that it knows; it takes positional arguments only.

    The specs are tried in the order of `specs`, a list that may be cut or reordered at any time.
    """

    def __init__(self, fallback: Callable[..., Any], name: str = "compiled") -> None:
        self.specs: list[tuple[Any, ...]] = []
        self.function: Callable[..., Any] = fallback
        if available():
            # The function's definition must outlive every reference to the function.
            method = forever(_MethodDef(name.encode(), runner.call_function(), _FLAGS, None))
            self.function = _new_function(ctypes.addressof(method), (self.specs, fallback), None)

    def add(
        self,
        executable: Executable,
        sources: Sequence[Source],
        results: Sequence[int],
        *,
        arguments: int | None = None,
        recipe: Sequence[Made] = (),
        single: bool = False,
        guard: Words | None = None,
        threads: int = 0,
    ) -> None:
        """Let calls that fit run `executable` natively from now on.

        `sources[k]` is where input k comes from, `arguments` the exact number of arguments (by
        default as many as the sources name). The call returns the outputs `results` as a tuple, or
        `single` one, or None for none; `recipe` says what becomes of each, by default nothing. An
        output whose alias is an `overwritten` source is written there. While the first word of
        `guard` is not 0, the fallback is called. `threads`: the most threads, 0 for no limit.

        TypeError if a type of a chain or recipe has no such slots.
        """
        if not available():
            return
        plan, keep = executable.plan, [executable, *sources, *recipe]
        if arguments is None:
            arguments = max((s.argument + 1 for s in sources if s.object is None), default=0)

        def table(rows: Sequence[Sequence[int]]) -> int:
            words = np.array([w for row in rows for w in row] or [0], np.int64)
            keep.append(words)
            return words.ctypes.data

        def held(thing: object) -> int:
            keep.append(thing)
            return id(thing)

        inputs = [
            (
                source.object is not None,
                source.argument if source.object is None else held(source.object),
                table([(held(k.type), slot_offset(k.type, k.attribute)) for k in source.chain]),
                len(source.chain),
                held(plan.buffers[i].dtype.np),
                len(plan.buffers[i].shape),
                table([plan.buffers[i].shape]),
                i,
                plan.buffers[i].nbytes,
                source.references if source.overwritten else 0,
            )
            for source, i in zip(sources, plan.inputs, strict=True)
        ]
        outputs = []
        for i, alias in zip(plan.outputs, plan.aliases, strict=True):
            buffer = plan.buffers[i]
            kind = layout.LARGE if buffer.nbytes > SMALL_BYTES else layout.NEW
            if alias >= 0 and sources[alias].overwritten:
                kind = layout.ALIAS
            maker = (held(buffer.shape), held(buffer.dtype.np))
            shape = (len(buffer.shape), table([buffer.shape]))
            outputs.append((kind, i, id(buffer.dtype.np), *shape, table([maker]), alias))
        temps = [(i, b.offset) for i, b in enumerate(plan.buffers) if b.kind == "temp"]
        made = [
            (
                held(part.type),
                table([(slot_offset(part.type, n), *_field(v, held)) for n, v in part.fields]),
                len(part.fields),
            )
            for part in recipe
        ]
        if single and len(results) != 1:
            raise ValueError(f"a single result, but {len(results)} outputs")
        count = layout.SINGLE if single else layout.TUPLE if results else layout.NOTHING
        temp_args = (held((plan.temp_bytes,)), held(np.dtype(np.uint8)))
        words = {
            "nargs": arguments,
            "inputs": table(inputs),
            "n_inputs": len(inputs),
            "outputs": table(outputs),
            "n_outputs": len(outputs),
            "results": table([results]),
            "n_results": len(results),
            "shape_of_result": count,
            "temps": table(temps),
            "n_temps": len(temps),
            "temp_bytes": plan.temp_bytes,
            "temp_args": table([temp_args]),
            "program": executable.program.ctypes.data,
            "launches": len(plan.launches),
            "scratch": executable.scratch,
            "n_buffers": len(plan.buffers),
            "large": executable.large,
            "threads": threads,
            "recipe": table(made),
            "n_recipe": len(made),
            "guard": (_OPEN if guard is None else guard).ctypes.data,
            "env": _environment().ctypes.data,
        }
        keep.append(guard)
        spec = np.array([words[name] for name in layout.SPEC], np.int64)
        self.specs.append((spec, keep))


def _field(value: object, held: Callable[[object], int]) -> tuple[int, int]:
    if isinstance(value, _TheArray):
        return layout.THE_ARRAY, 0
    if isinstance(value, Earlier):
        return layout.EARLIER, value.index
    return layout.CONSTANT, held(value)


_OPEN = forever(np.zeros(1, np.int64))


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )

    def __init__(self, name: bytes, function: int, flags: int, doc: bytes | None) -> None:
        super().__init__(name, function, flags, doc)


_FLAGS = 0x80 | 0x02  # METH_FASTCALL | METH_KEYWORDS


def _new_function(method: int, self: object, module: str | None) -> Callable[..., Any]:
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    function: Callable[..., Any] = make(method, self, None)
    return function


# --- what native code relies on ------------------------------------------------------------------


@functools.cache
def available() -> bool:
    """Whether native code can read the objects of this Python and this NumPy.

    Their layouts have been stable for years, but are looked at in live objects before they are
    relied on. A free-threaded Python needs locks that this path does not take.
    """
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    if platform.system() not in ("Linux", "Darwin") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    try:
        return _layouts_hold() and bool(_environment().size and runner.call_function())
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False


def _word(thing: object, index: int) -> int:
    return ctypes.c_int64.from_address(id(thing) + 8 * index).value


def _half(thing: object, index: int) -> int:
    return ctypes.c_int32.from_address(id(thing) + 8 * index).value


def _layouts_hold() -> bool:
    array = np.zeros((3, 5), np.float32)
    frozen = array[:, ::2]
    frozen.flags.writeable = False
    references = _half(array, 0)
    items = [array, frozen]
    pair = (array, frozen)
    dims = (ctypes.c_int64 * 2).from_address(_word(array, layout.DIMS))
    both = layout.READABLE | layout.WRITEABLE
    first = ctypes.c_int64.from_address(_word(items, layout.LIST_ITEMS) + 8)
    return (
        _word(array, layout.TYPE) == id(np.ndarray)
        and _word(array, layout.DATA) == array.ctypes.data
        and _half(array, layout.ND) == 2
        and tuple(dims) == (3, 5)
        and _word(array, layout.DESCR) == id(np.dtype(np.float32))
        and _half(array, layout.FLAGS) & both == both
        and _half(frozen, layout.FLAGS) & both == layout.READABLE & ~1
        and _half(array, 0) == references + 2
        and _word(items, layout.LIST_SIZE) == 2
        and first.value == id(frozen)
        and _word(pair, layout.TUPLE_ITEMS + 1) == id(frozen)
        and slot_offset(_Probe, "second") > 0
    )


class _Probe:
    __slots__ = ("__weakref__", "first", "second")


@functools.cache
def slot_offset(kind: type, name: str) -> int:
    """Bytes from an object of `kind` to its slot `name`. TypeError if it has none, or a dict."""
    member = getattr(kind, name, None)
    if not isinstance(member, types.MemberDescriptorType) or kind.__dictoffset__:
        raise TypeError(f"{kind.__name__}.{name} is not a slot of a class with slots only")
    # PyMemberDescrObject: five words, then a pointer to PyMemberDef: name, type, offset.
    offset = ctypes.c_int64.from_address(_word(member, 5) + 16).value
    probe: object = object.__new__(kind)
    mark = object()
    member.__set__(probe, mark)
    if not 16 <= offset < kind.__basicsize__ or _word(probe, offset // 8) != id(mark):
        raise TypeError(f"cannot find {kind.__name__}.{name} in memory")
    return offset


@functools.cache
def _environment() -> Words:
    """The words of `call_text.ENV`."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]  # private
    unwrap = ctypes.pythonapi.PyCapsule_GetPointer
    unwrap.restype = ctypes.c_void_p
    unwrap.argtypes = (ctypes.py_object, ctypes.c_char_p)
    functions = (ctypes.c_int64 * 95).from_address(unwrap(capsule, None))
    if functions[2] != id(np.ndarray):
        raise RuntimeError("NumPy's table of functions is not what it was")
    words = {
        "array_type": id(np.ndarray),
        "new_array": functions[94],  # PyArray_NewFromDescr
        "make_array": id(forever(memory.array)),
        "pool": pool.CELL.ctypes.data,
        "threshold": runner.PARALLEL_BYTES,
        "none": id(None),
        "run": runner.functions()["run"],
    }
    return forever(np.array([words[name] for name in layout.ENV], np.int64))
