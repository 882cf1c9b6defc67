"""Arguments and results of compiled functions: nested containers around leaves.

f((x, {"w": w}), 0.5)    arrays: [x, w]    numbers: [0.5]
                         signature: (tuple, (tensor f32 (3,)), (dict, ...)), (float,)
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from types import EllipsisType, FunctionType, MethodType, NoneType
from typing import Any

import numpy as np

from .errors import here
from .promote import as_array, dtype_of, lying
from .residence import USED, elsewhere
from .tensor import Tensor

Signature = tuple[Any, ...]
# Of which only dict itself is opened by native code.
DICTS = (dict, OrderedDict, defaultdict)
_VALUES = (bool, str, bytes, NoneType, EllipsisType, range)
_FILLED = frozenset((bool, str, bytes, NoneType, int, float))  # of defaults


def describe(value: Any, arrays: list[Any], objects: list[Any], numbers: list[Any]) -> Signature:
    """A hashable description of one argument. Its tensors and arrays are appended to `arrays`, floats and
    ints to `numbers`, what is neither container nor plain value to `objects`: that is known by identity."""
    kind = type(value)
    if isinstance(value, Tensor):
        arrays.append(value)
        node_type = value._node.type
        found = kind, node_type.dtype.name, node_type.shape, value._requires_grad
        return found if not USED[0] else (*found, *elsewhere(value._node))
    if is_array(value):
        array = value if kind is np.ndarray else as_array(value)
        arrays.append(array)
        return np.ndarray, dtype_of(array.dtype).name, array.shape, lying(array)
    if kind is float or kind is int:
        numbers.append(value)
        return (kind,)
    if kind is tuple or kind is list or _is_named(value):
        return kind, *[describe(v, arrays, objects, numbers) for v in _items(value)]
    if kind in DICTS:
        # 1 and True are equal, and other keys
        own = [(type(k), k, describe(v, arrays, objects, numbers)) for k, v in value.items()]
        if kind is defaultdict:
            own.append(describe(value.default_factory, arrays, objects, numbers))
        return kind, *own
    if kind is complex:  # signed zeros, and NaN
        return kind, repr(value)
    if kind in _VALUES or isinstance(value, np.dtype):
        return kind, value
    if kind is slice and all(isinstance(v, int | None) for v in _parts(value)):
        return kind, _parts(value)
    if (names := record(kind)) is not None:
        objects.append(kind)  # its methods are looked into
        return kind, *[describe(getattr(value, n, None), arrays, objects, numbers) for n in names]
    objects.append(value)
    return kind, id(value)


def record(kind: type) -> tuple[str, ...] | None:
    """The names of the fields of a frozen dataclass, which is a container of their values; None of another
    type. (What can be changed is an object, known by identity, as functions may change it.)"""
    params = getattr(kind, "__dataclass_params__", None)
    if params is None or not params.frozen or hasattr(kind, "__array__"):
        return None
    from dataclasses import fields  # who has made the class has imported it

    return tuple(f.name for f in fields(kind))


def as_bound(
    f: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call in the one way that all calls which mean the same are written in: arguments by position where
    they can be, else in the function's order, with defaults that are plain values. No value decides how. A
    call that no function in Python takes itself stays as it is."""
    inner = _function(f)
    if inner is None:
        return args, kwargs
    given, only = inner.__defaults__ or (), inner.__kwdefaults__ or {}
    if not (kwargs or given or only):
        return args, kwargs  # there is one way
    code, first = inner.__code__, inner is not f
    end, unnamed = code.co_argcount, code.co_posonlyargcount
    names = code.co_varnames
    if kwargs and any(name in kwargs for name in names[max(first, unnamed) : first + len(args)]):
        return args, kwargs  # one is given twice, or among those behind `*`
    found, named, rest = list(args), dict[str, Any](), dict(kwargs)
    together = True
    for k in range(first + len(args), end):
        name, default = names[k], k - end + len(given)
        if k >= unnamed and name in rest:
            value = rest.pop(name)
        elif default >= 0 and type(given[default]) in _FILLED:
            value = given[default]
        else:  # a tensor, say; or it is missing, which is told
            together = False
            continue
        if together:
            found.append(value)
        elif k >= unnamed:
            named[name] = value
    for name in names[end : end + code.co_kwonlyargcount]:
        if name in rest:
            named[name] = rest.pop(name)
        elif name in only and type(only[name]) in _FILLED:
            named[name] = only[name]
    return tuple(found), {**named, **rest}


def _function(f: object) -> FunctionType | None:
    inner = f.__func__ if isinstance(f, MethodType) else f
    return inner if isinstance(inner, FunctionType) else None


def fits(f: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call surely has what a function in Python takes: all of it, by position. So nobody asks for
    the signature, which takes longer than to trace a line."""
    inner = _function(f)
    if inner is None or kwargs:
        return False
    code = inner.__code__
    return not code.co_kwonlyargcount and len(args) + (inner is not f) == code.co_argcount


def by_position(f: object) -> tuple[str, ...] | None:
    """The names of the arguments that go by position; None where the signature tells."""
    inner = _function(f)
    if inner is None or hasattr(inner, "__wrapped__") or hasattr(inner, "__signature__"):
        return None
    return inner.__code__.co_varnames[inner is not f : inner.__code__.co_argcount]


class Given:
    """In place of an argument, by its number, where `as_bound` is to tell which of them goes where."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


def bound_order(f: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[int, Any]]:
    """The arguments of `as_bound`, in order: each with its position in the call as it is written, or -1."""
    written = [*args, *kwargs.values()]
    marks = [Given(k) for k in range(len(written))]
    found, named = as_bound(f, tuple(marks[: len(args)]), dict(zip(kwargs, marks[len(args) :], strict=True)))
    return [(v.at, written[v.at]) if type(v) is Given else (-1, v) for v in (*found, *named.values())]


def check_function(name: str, f: object) -> None:
    """TypeError for what cannot be called."""
    kind = type(f).__name__
    if isinstance(f, staticmethod | classmethod):  # the former is callable, but not by way of an object
        raise TypeError(here(f"{name}: a {kind} is no function; write @{kind} above @lucid.{name}"))
    if not callable(f):
        raise TypeError(here(f"{name}: {kind} is not callable; expected a function"))


def exact(number: Any) -> Any:
    """A number as part of a key: 0.0 and -0.0 are equal, a NaN is not; say which. Its type is known."""
    return number if type(number) is int or (number == number and number != 0) else repr(number)


def leaves(value: Any, label: str, seen: dict[int, str]) -> Iterator[tuple[str, str, str]]:
    """The parts of an argument in words: where each stands, what it is, and in which list of `describe` it
    is: "array", "number", "object", or "" for none. `seen`: the tensors before it, by id, with where they
    stand."""
    kind = type(value)
    if kind is tuple or kind is list or _is_named(value):
        yield label, f"{kind.__name__} of {len(value)}", ""
        for k, v in enumerate(_items(value)):
            yield from leaves(v, f"{label}[{k}]", seen)
    elif kind in DICTS:
        yield label, f"{kind.__name__} of {', '.join(map(str, value))}", ""
        for k, v in value.items():
            yield from leaves(v, f"{label}[{k!r}]", seen)
        if kind is defaultdict:
            yield from leaves(value.default_factory, f"{label}.default_factory", seen)
    elif (names := record(kind)) is not None:
        yield f"the class of {label}", f"{kind.__name__} at {id(kind):#x}", "object"
        for n in names:
            yield from leaves(getattr(value, n, None), f"{label}.{n}", seen)
    elif isinstance(value, Tensor) or is_array(value):
        what = "an array" if not isinstance(value, Tensor) else f"a {kind.__name__}"
        grad = ", differentiable" if isinstance(value, Tensor) and value._requires_grad else ""
        grad += "".join(f", on {d}" for d in elsewhere(value._node)) if isinstance(value, Tensor) else ""
        found = value if hasattr(value, "shape") and hasattr(value, "dtype") else as_array(value)
        order = lying(found) if isinstance(found, np.ndarray) else None
        axes = "" if order is None else f", whose axes lie in memory as {order}"
        other = seen.setdefault(id(value), label) if isinstance(value, Tensor) else label
        twin = "" if other == label else f", the same as {other}"
        yield label, f"{what} of {found.dtype} {tuple(found.shape)}{grad}{axes}{twin}", "array"
    else:
        plain = isinstance(value, int | float | complex | np.dtype) or kind in (*_VALUES, slice)
        text = repr(value) if plain else f"a {kind.__name__} at {id(value):#x}"
        yield label, text if len(text) < 60 else f"{text[:57]}...", _listed(value)


def _listed(value: Any) -> str:
    """In which list `describe` puts what is neither a container nor an array."""
    arrays, objects, numbers = list[Any](), list[Any](), list[Any]()
    describe(value, arrays, objects, numbers)
    return "number" if numbers else "object" if objects else ""


def is_array(value: Any) -> bool:
    """Whether an argument is an array, or what other libraries have in its place: a DataFrame, a Series,
    a tensor of theirs. (A Tensor is none of these.)"""
    if isinstance(value, np.ndarray | np.generic):
        return True
    return hasattr(type(value), "__array__") and not isinstance(value, Tensor)


def inside(value: Any) -> list[Any] | None:
    """What is in a container that `describe` goes into; None of another value."""
    kind = type(value)
    if kind in DICTS:
        return list(value.values())
    if (names := record(kind)) is not None:
        return [getattr(value, n, None) for n in names]
    return list(_items(value)) if kind is tuple or kind is list or _is_named(value) else None


def _is_named(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _items(value: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    """What is in a list or a tuple, whatever a class of named tuples makes of it."""
    return tuple.__iter__(value) if isinstance(value, tuple) else iter(value)


def _parts(value: slice) -> tuple[Any, Any, Any]:
    return value.start, value.stop, value.step


def still(value: Any) -> Any:
    """An argument in containers of its own, which no other thread changes."""
    return rebuild(value, lambda v: v)


def rebuild(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same containers, with `leaf` of each leaf, in the order of `describe`. What made a named tuple has
    run: leaves of ours are not for its `__new__`."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([rebuild(v, leaf) for v in value])
    if _is_named(value):
        return tuple.__new__(kind, [rebuild(v, leaf) for v in _items(value)])
    if kind in DICTS:
        items = [(k, rebuild(v, leaf)) for k, v in value.items()]
        make: Any = kind
        return make(value.default_factory, items) if kind is defaultdict else make(items)
    if (names := record(kind)) is not None:
        made = object.__new__(kind)
        for name in names:
            if hasattr(value, name):
                object.__setattr__(made, name, rebuild(getattr(value, name), leaf))
        return made
    return leaf(value)


def written(given: Any, now: Any, label: str) -> str | None:
    """Where a list or a dict of an argument holds something else than what was `given`, in words."""
    kind = type(given)
    if kind is not type(now) or inside(given) is None:
        return None if given is now else label
    if kind in DICTS:
        if list(given) != list(now):
            return label
        pairs = [(v, now[k], f"{label}[{k!r}]") for k, v in given.items()]
    elif (names := record(kind)) is not None:
        pairs = [(getattr(given, n, None), getattr(now, n, None), f"{label}.{n}") for n in names]
    else:
        before, after = list(_items(given)), list(_items(now))
        if len(before) != len(after):
            return label
        pairs = [(v, w, f"{label}[{k}]") for k, (v, w) in enumerate(zip(before, after, strict=True))]
    return next(filter(None, (written(*pair) for pair in pairs)), None)
