"""NumPy's functions of Tensors: `np.exp(t)` is `lucid.exp(t)`, or raises and says what is missing.

Were they left to `__array__`, they would compute with values, and the gradient would end there in
silence. So a ufunc or a function of NumPy's goes to lucid's function of that name, with NumPy's
arguments; where there is none, TypeError names it. Only questions whose answer is no array of
numbers with a gradient (`np.shape`, `np.allclose`, `np.save`) are asked of the values.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir.graph import Node

from . import elementwise as ew
from . import scans, shapes
from .errors import here, located, user_loc
from .promote import dtype_of
from .tensor import Tensor, apply

# NumPy's ufuncs that are operators of Tensor. All others go by name.
_OPERATORS: dict[np.ufunc, Callable[..., Node]] = {
    np.add: ew.add, np.subtract: ew.sub, np.multiply: ew.mul, np.true_divide: ew.div,
    np.floor_divide: ew.floordiv, np.remainder: ew.mod, np.power: ew.power,
    np.bitwise_and: ew.and_, np.bitwise_or: ew.or_, np.bitwise_xor: ew.xor,
    np.left_shift: ew.shl, np.right_shift: ew.shr, np.invert: ew.invert,
    np.equal: ew.eq, np.not_equal: ew.ne, np.less: ew.lt, np.less_equal: ew.le,
    np.greater: ew.gt, np.greater_equal: ew.ge,
    np.negative: ew.neg, np.absolute: ew.absolute, np.floor: ew.floor, np.matmul: shapes.matmul,
}  # fmt: skip
_REDUCTIONS = {np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min",
               np.logical_and: "all", np.logical_or: "any"}  # fmt: skip
_SCANS: dict[np.ufunc, Callable[..., Node]] = {
    np.add: scans.cumsum, np.multiply: scans.cumprod,
    np.maximum: scans.cummax, np.minimum: scans.cummin,
}  # fmt: skip
# Functions whose answer has no gradient, and is no tensor.
_QUESTIONS = {
    "allclose", "array2string", "array_equal", "array_equiv", "array_repr", "array_str", "can_cast",
    "common_type", "iscomplexobj", "isrealobj", "may_share_memory", "min_scalar_type", "ndim",
    "result_type", "save", "savetxt", "savez", "savez_compressed", "shape", "shares_memory", "size",
}  # fmt: skip
# NumPy's name of an argument, and what it is if nothing is asked.
_DEFAULTS = {
    "casting": "same_kind",
    "order": "K",
    "subok": True,
    "where": True,
    "initial": None,
    "out": None,
    "dtype": None,
    "keepdims": False,
}


# What is an operand as it is.
_PLAIN = {Tensor, np.ndarray, bool, int, float, complex}


def array_ufunc(ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """What `Tensor.__array_ufunc__` answers. TypeError for what lucid has no function for."""
    name = ufunc.__name__
    if method == "__call__" and not kwargs and _PLAIN.issuperset(map(type, inputs)):
        build = _OPERATORS.get(ufunc)
        return _named(f"numpy.{name}", name)(*inputs) if build is None else apply(build, *inputs)
    name = f"numpy.{name}" + ("" if method == "__call__" else f".{method}")
    outs: tuple[Any, ...] = kwargs.pop("out", None) or ()
    if any(isinstance(o, Tensor) for o in outs):
        raise TypeError(here(f"{name}: out= is a Tensor, and those are immutable; use the result"))
    if not all(isinstance(o, np.ndarray) for o in outs):
        raise TypeError(here(f"{name}: out= takes NumPy arrays, not {type(outs[0]).__name__}"))
    inputs = tuple(x if isinstance(x, Tensor) or np.isscalar(x) else _operand(name, x) for x in inputs)
    if method == "reduce":
        made = _reduction(name, ufunc, *inputs, **kwargs)
    elif method == "accumulate" and ufunc in _SCANS:
        made = _scan(name, ufunc, *inputs, **kwargs)
    elif method == "__call__":
        dtype = kwargs.pop("dtype", None)
        _refuse(name, kwargs)
        if dtype is not None:
            inputs = _operands(name, ufunc, inputs, np.dtype(dtype))
        build = _OPERATORS.get(ufunc)
        made = apply(build, *inputs) if build is not None else _named(name, ufunc.__name__)(*inputs)
    else:
        raise TypeError(here(_missing(name)))
    if not outs:
        return made
    (out,) = outs
    try:
        np.copyto(out, made.numpy(), casting="same_kind")
    except (TypeError, ValueError) as error:
        raise located(error, user_loc()) from None
    return out


def _operands(
    name: str, ufunc: np.ufunc, inputs: tuple[Any, ...], dtype: np.dtype[Any]
) -> tuple[Tensor, ...]:
    """The operands in the dtypes in which NumPy computes results of this one: for the bools of a comparison
    not as bools. TypeError where it has no such loop, or that would lose something."""
    given = [type(x) if type(x) in (int, float, complex) else lucid.asarray(x).dtype for x in inputs]
    results = (dtype,) * ufunc.nout
    try:
        kinds = ufunc.resolve_dtypes(
            (*given, *[None] * ufunc.nout), signature=((None,) * ufunc.nin + results)
        )
    except TypeError as error:
        raise TypeError(here(f"{name}: {error}")) from None
    return tuple(lucid.asarray(x, dtype=kind) for x, kind in zip(inputs, kinds, strict=False))


def _reduction(name: str, ufunc: np.ufunc, x: Any, axis: Any = 0, **kwargs: Any) -> Any:
    keywords = {k: v for k, v in kwargs.items() if not _asks_nothing(k, v)}
    if ufunc not in _REDUCTIONS:
        raise TypeError(here(_missing(name)))
    return _called(_named(name, _REDUCTIONS[ufunc]), name, (x,), {"axis": axis, **keywords})


def _scan(name: str, ufunc: np.ufunc, x: Any, axis: int = 0, **kwargs: Any) -> Any:
    dtype = kwargs.pop("dtype", None)
    _refuse(name, kwargs)
    if ufunc in (np.maximum, np.minimum):
        return apply(_SCANS[ufunc], x if dtype is None else x.astype(dtype), axis=axis)
    return apply(_SCANS[ufunc], x, axis=axis, dtype=None if dtype is None else dtype_of(dtype))


def array_function(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `Tensor.__array_function__` answers. TypeError for what lucid has no function for."""
    name = f"{func.__module__}.{func.__name__}"
    if func.__name__ in ("shape", "ndim", "size") and len(args) == 1 and not kwargs:
        return getattr(args[0], func.__name__)  # known while tracing, too
    if func.__name__ in _QUESTIONS:
        return func(*_values(args), **_values(kwargs))
    function = _named(name, func.__name__)
    known, starred = _taken(function)
    try:
        theirs = _signature(func)
        bound = theirs.bind(*args, **kwargs).arguments
    except ValueError:  # written in C, and does not tell
        return _called(function, name, args, kwargs)
    given: list[Any] = []
    keywords: dict[str, Any] = {}
    for place, (key, value) in enumerate(bound.items()):
        kind = theirs.parameters[key].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            keywords.update(value)
            continue
        if kind is inspect.Parameter.VAR_POSITIONAL:
            given += value
            continue
        # names of what stands first differ: a and x, a_min and min
        if key in starred or (place < len(args) and not keywords and (key not in known or not given)):
            given += value if key in starred and isinstance(value, tuple | list) else (value,)
        elif value is not _DEFAULTS.get(key, _refuse):
            keywords[key.removeprefix("a_")] = value
    return _called(function, name, tuple(given), keywords)


def _called(function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not kwargs:
        return function(*args)
    known = _signature(function).parameters
    _refuse(name, {k: v for k, v in kwargs.items() if k not in known})
    return function(*args, **{k: v for k, v in kwargs.items() if k in known})


# A signature takes longer than a small kernel.
_signature = functools.lru_cache(maxsize=1024)(inspect.signature)


@functools.lru_cache(maxsize=1024)
def _taken(function: Callable[..., Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of its parameters, and of those for any number of arguments: reshape(x, *shape)."""
    parameters = _signature(function).parameters
    starred = frozenset(p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL)
    return frozenset(parameters) - starred, starred


def _named(name: str, short: str) -> Callable[..., Any]:
    """lucid's function for NumPy's `name`."""
    found: Callable[..., Any] = getattr(_home(name, short), short)
    return found


@functools.cache
def _home(name: str, short: str) -> Any:
    """Where it is."""
    scope: Any = lucid
    for part in name.split(".")[1:-1]:  # numpy.linalg.norm: lucid.linalg.norm
        scope = getattr(scope, part, None) if part in ("linalg", "fft", "random") else scope
    if short not in getattr(scope, "__all__", ()) or getattr(scope, short, None) is None:
        raise TypeError(here(_missing(name)))
    return scope


def _missing(name: str) -> str:
    return (
        f"{name} of a Tensor: lucid has no such function; write it with those it has, or call "
        f"{name} with x.numpy(), through which no gradient flows"
    )


def _refuse(name: str, kwargs: dict[str, Any]) -> None:
    """No argument is dropped in silence."""
    for key, value in kwargs.items():
        if not _asks_nothing(key, value):
            raise TypeError(here(f"{name} of a Tensor: lucid's function takes no argument {key}="))


def _asks_nothing(key: str, value: Any) -> bool:
    return value is np._NoValue or value is _DEFAULTS.get(key, _refuse)


def _operand(name: str, x: Any) -> Any:
    """Arrays, lists and the like. Other classes have a say of their own, or are an error."""
    if isinstance(x, np.ndarray | list | tuple) or hasattr(x, "__array__"):
        return x
    raise TypeError(
        here(f"{name}: a {type(x).__name__} is no operand of a Tensor; expected an array or a number")
    )


def _values(x: Any) -> Any:
    """Tensors as arrays, in containers too."""
    if isinstance(x, Tensor):
        return x.numpy()
    if isinstance(x, list | tuple):
        return type(x)([_values(v) for v in x])
    return {k: _values(v) for k, v in x.items()} if isinstance(x, dict) else x
