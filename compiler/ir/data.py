"""Frozen records: what `dataclasses` makes, in a fiftieth of its time.

    @data
    class Axis:
        name: str
        extent: str = "1"

A dataclass compiles five methods of text for each class, a third of a millisecond; a process that
imports a hundred of them has not started yet. Here the methods are closures, and `__init__` is there
for each number of fields (`_MAKERS`); its arguments get their names when there is a first instance. An
instance is also made in half the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_MISSING: Any = object()


class _Field(NamedTuple):
    default: Any = _MISSING
    factory: Callable[[], Any] | None = None
    init: bool = True
    compare: bool = True


def field(
    *,
    default: Any = _MISSING,
    default_factory: Callable[[], Any] | None = None,
    init: bool = True,
    compare: bool = True,
) -> Any:
    """A field that is more than a name. Without `init` it is no argument, and `__post_init__` sets it;
    without `compare` equality, hash and text leave it out."""
    return _Field(default, default_factory, init, compare)


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def data(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def data(*, frozen: bool = ..., eq: bool = ..., weakref: bool = ...) -> Callable[[type[T]], type[T]]: ...
def data(
    cls: type[T] | None = None, /, *, frozen: bool = True, eq: bool = True, weakref: bool = False
) -> Any:
    """A class whose annotations are its fields, in slots.

    `frozen`: fields are set once, by `__init__`. `eq`: instances of the class with equal fields are
    equal (and hash alike if frozen); else by identity. `weakref`: they can be referred to weakly. What
    the class defines itself stays.
    """
    if cls is None:
        return functools.partial(_made, frozen=frozen, eq=eq, weakref=weakref)
    return _made(cls, frozen, eq, weakref)


def _made(cls: type, frozen: bool, eq: bool, weakref: bool) -> Any:
    own = dict(vars(cls))
    fields = {name: _as_field(own.pop(name, _MISSING)) for name in own.get("__annotations__", ())}
    arguments = tuple(name for name, f in fields.items() if f.init)
    compared = tuple(name for name, f in fields.items() if f.compare)
    for name in ("__dict__", "__weakref__"):
        own.pop(name, None)
    body: dict[str, Any] = {"__repr__": _repr(compared), "__match_args__": arguments}
    if eq:
        body["__eq__"], body["__hash__"] = _equality(compared)
        if not frozen:
            body["__hash__"] = None
    if frozen:
        body["__setattr__"] = body["__delattr__"] = _frozen
    if "__init__" not in own:
        body["__reduce__"] = _reduce
    body |= own
    body["__qualname__"] = cls.__qualname__
    body["__slots__"] = (*fields, "__weakref__") if weakref else tuple(fields)
    made: Any = type(cls.__name__, cls.__bases__, body)
    if "__init__" not in own:
        slots = vars(made)
        made.__init__ = _first(made, {n: (slots[n], fields[n]) for n in arguments})
    return made


def _as_field(value: Any) -> _Field:
    return value if type(value) is _Field else _Field(value)


def _first(cls: Any, arguments: dict[str, tuple[MemberDescriptorType, _Field]]) -> Any:
    """What makes `__init__` for the first instance: most classes have none in most processes."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        cls.__init__ = made = _init(cls, arguments)
        made(self, *args, **kwargs)

    return __init__


def _init(cls: type, arguments: dict[str, tuple[MemberDescriptorType, _Field]]) -> Any:
    fields = [f for _, f in arguments.values()]
    setters = [_setter(slot, f) for slot, f in arguments.values()]
    if hasattr(cls, "__post_init__"):
        setters[-1] = _then(setters[-1], cls.__post_init__)
    init: Any = maker(len(setters))(*setters)
    init.__code__ = init.__code__.replace(co_varnames=("self", *arguments))
    init.__name__, init.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
    init.__defaults__ = tuple([f.default for f in fields if f.factory or f.default is not _MISSING])
    return init


def _setter(slot: MemberDescriptorType, field: _Field) -> Callable[[Any, Any], None]:
    make = field.factory
    if make is None:
        return slot.__set__
    return lambda self, value: slot.__set__(self, make() if value is _MISSING else value)


def _then(last: Callable[[Any, Any], None], post: Callable[[Any], None]) -> Callable[[Any, Any], None]:
    def run(self: Any, value: Any) -> None:
        last(self, value)
        post(self)

    return run


def _equality(names: tuple[str, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    get: Callable[[Any], Any] = attrgetter(*names) if len(names) > 1 else _values(names)

    def __eq__(self: Any, other: Any) -> Any:
        return get(self) == get(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(get(self))

    return __eq__, __hash__


def _values(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda self: tuple([getattr(self, name) for name in names])


def _repr(names: tuple[str, ...]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join([f'{n}={getattr(self, n)!r}' for n in names])})"

    return __repr__


def _frozen(self: Any, name: str, value: Any = None) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be assigned or deleted")


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), _values(self.__match_args__)(self)


# `__init__` by the number of arguments, from what sets each. Written out, so that its bytecode is on disk: to
# compile it takes a fifth of a millisecond, for each of a dozen numbers. (What sets something returns None,
# so `or` goes on.)
_MAKERS: tuple[Callable[..., Any], ...] = (
    lambda: lambda self: None,
    lambda s0: lambda self, x0: s0(self, x0),
    lambda s0, s1: lambda self, x0, x1: s0(self, x0) or s1(self, x1),
    lambda s0, s1, s2: lambda self, x0, x1, x2: s0(self, x0) or s1(self, x1) or s2(self, x2),
    lambda s0, s1, s2, s3: lambda self, x0, x1, x2, x3: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3)
    ),
    lambda s0, s1, s2, s3, s4: lambda self, x0, x1, x2, x3, x4: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4)
    ),
    lambda s0, s1, s2, s3, s4, s5: lambda self, x0, x1, x2, x3, x4, x5: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6: lambda self, x0, x1, x2, x3, x4, x5, x6: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6, s7: lambda self, x0, x1, x2, x3, x4, x5, x6, x7: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6) or s7(self, x7)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6, s7, s8: lambda self, x0, x1, x2, x3, x4, x5, x6, x7, x8: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6) or s7(self, x7) or s8(self, x8)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6, s7, s8, s9: lambda self, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6) or s7(self, x7) or s8(self, x8) or s9(self, x9)
    ),
)  # fmt: skip


@functools.cache
def maker(count: int) -> Callable[..., Any]:
    """From the setters of `count` arguments to the function that calls them all."""
    if count < len(_MAKERS):
        return _MAKERS[count]
    setters, values = [f"s{k}" for k in range(count)], [f"x{k}" for k in range(count)]
    calls = " or ".join(f"{s}(self, {x})" for s, x in zip(setters, values, strict=True))
    made: Callable[..., Any] = eval(f"lambda {', '.join(setters)}: lambda self, {', '.join(values)}: {calls}")
    return made


def as_dict(instance: Any) -> dict[str, Any]:
    """The arguments that make an equal record, by name."""
    return {name: getattr(instance, name) for name in instance.__match_args__}


def replace(instance: T, **changes: Any) -> T:
    """An instance of the same class that differs in `changes`."""
    return type(instance)(**(as_dict(instance) | changes))


class once(Generic[T]):  # a decorator
    """A property that is computed when it is first asked for. (`functools.cached_property` has, on
    Python 3.11, one lock for all objects of a class, which a fork may carry over.)"""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
