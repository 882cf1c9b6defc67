"""Arguments and results of compiled functions: nested containers around leaves.

f((x, {"w": w}), 0.5)    arrays: [x, w]    numbers: [0.5]
                         signature: (tuple, (tensor f32 (3,)), (dict, ...)), (float,)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import CO_VARARGS
from types import EllipsisType, FunctionType, MethodType, NoneType
from typing import Any

import numpy as np

from .errors import here
from .promote import as_array, dtype_of, lying
from .residence import USED, elsewhere
from .tensor import Tensor

Signature = tuple[Any, ...]
_VALUES = (bool, str, bytes, NoneType, EllipsisType, range)


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
        return kind, *[describe(v, arrays, objects, numbers) for v in value]
    if kind is dict:
        return kind, *[(k, describe(v, arrays, objects, numbers)) for k, v in value.items()]
    if kind is complex:  # signed zeros, and NaN
        return kind, repr(value)
    if kind in _VALUES or isinstance(value, np.dtype):
        return kind, value
    if kind is slice and all(isinstance(v, int | None) for v in _parts(value)):
        return kind, _parts(value)
    objects.append(value)
    return kind, id(value)


def as_bound(
    f: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call as short as it can be written: arguments by position, in place of by name, and none that is its
    default in the end, so that one call written several ways is one. What native code counts (arrays and
    numbers, in order) stays: keywords in another order than the function's, and defaults that are numbers,
    stay as they are; so does a call that no function in Python takes itself."""
    inner = f.__func__ if isinstance(f, MethodType) else f
    if not isinstance(inner, FunctionType):
        return args, kwargs
    if not (kwargs or inner.__defaults__ or inner.__kwdefaults__):
        return args, kwargs  # there is one way
    code = inner.__code__
    known = code.co_varnames[inner is not f : code.co_argcount]
    if code.co_flags & CO_VARARGS or len(args) > len(known) or (kwargs and code.co_posonlyargcount):
        return args, kwargs
    given = inner.__defaults__ or ()
    defaults = dict(zip(known[::-1], given[::-1], strict=False))
    names = [name for name in known if name in kwargs]
    if names != list(kwargs)[: len(names)] or any(name in kwargs for name in known[: len(args)]):
        return args, kwargs
    found = list(args)
    rest = dict(kwargs)
    for name in known[len(args) :] if names else ():
        if name not in rest and not _settled(defaults.get(name, args)):
            break
        found.append(rest.pop(name) if name in rest else defaults[name])
    while found and not set(known) & set(rest) and (name := known[len(found) - 1]) in defaults:
        default = defaults[name]
        if not _settled(default) or type(found[-1]) is not type(default) or found[-1] != default:
            break
        found.pop()
    only = inner.__kwdefaults__ or {}
    rest = {
        name: value for name, value in rest.items()
        if name not in only or not _settled(only[name]) or type(value) is not type(only[name])
        or value != only[name]
    }  # fmt: skip
    return tuple(found), rest


def _settled(default: object) -> bool:
    """Whether a default is one value for good, and no number of `describe`'s."""
    return default is None or type(default) in (bool, str, bytes)


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
        for k, v in enumerate(value):
            yield from leaves(v, f"{label}[{k}]", seen)
    elif kind is dict:
        yield label, f"dict of {', '.join(map(str, value))}", ""
        for k, v in value.items():
            yield from leaves(v, f"{label}[{k!r}]", seen)
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


def _is_named(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _parts(value: slice) -> tuple[Any, Any, Any]:
    return value.start, value.stop, value.step


def rebuild(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same containers, with `leaf` of each leaf, in the order of `describe`."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([rebuild(v, leaf) for v in value])
    if _is_named(value):
        return kind(*[rebuild(v, leaf) for v in value])
    if kind is dict:
        return {k: rebuild(v, leaf) for k, v in value.items()}
    return leaf(value)
