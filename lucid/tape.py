"""Python numbers that a compiled function uses as operands: each call takes them as they are then.

While a function is traced, `Traced` stands in place of a number: an argument, or the content of a cell, an
attribute, a global. Arithmetic with it is written down on a tape, which each call runs again, in Python;
where it meets a tensor it is an input of the graph. Who reads its value in another way (`if n > 0`,
`range(n)`, `math.sqrt(n)`, a shape, a key, text) makes what was read a fact: the recording serves calls for
which that is the same.

    def f(x, n):                      tape   0: n            (an int)
        if n > 2:                            1: n > 2        True, a fact
            x = x * (n + 1)                  2: n + 1        an input, in the dtype of x

It is no float and no int, only says so to `isinstance`: what is written in C reads the value of a subclass
without asking, and of this by `__float__` or `__index__`.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data, field
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, b1

from .errors import here

_PLAIN = (bool, int, float)


@data
class Entry:
    """`function` of the numbers `args` of the tape; without one, the given number `args[0]`."""

    function: Callable[..., Any] | None
    args: tuple[int, ...]
    kind: type


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are the same for any computation."""
    if type(a) is not type(b):
        return False
    if type(a) is float:
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    return bool(a == b)


@data(frozen=False, eq=False)
class Tape:
    """What is done with the numbers of one trace. The first entries are the given numbers."""

    entries: list[Entry | Constant] = field(default_factory=list)
    numbers: list[Any] = field(default_factory=list)  # Traced, or the constant
    facts: dict[int, Any] = field(default_factory=dict)
    inputs: dict[tuple[int, DType], Node] = field(default_factory=dict)
    known: dict[object, int] = field(default_factory=dict)
    open: bool = True

    def given(self, value: Any) -> Any:
        """What stands for the next given number."""
        self.entries.append(Entry(None, (len(self.entries),), type(value)))
        self.numbers.append(Traced(self, len(self.numbers), value))
        return self.numbers[-1]

    def index(self, value: Any) -> int:
        """The entry of a number, or of a constant."""
        if type(value) is Traced and value._tape is self:
            return value._index
        value = plain(value)
        key = type(value), repr(value)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = len(self.entries)
            self.entries.append(Constant(value))
            self.numbers.append(value)
        return found

    def apply(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function` of numbers: one that is traced in turn; a bool becomes a fact."""
        if complex in map(type, args):
            return function(*map(read, args))
        if any(type(x) is not Traced and type(x) not in _PLAIN for x in args):
            return NotImplemented
        if not self.open or any(type(x) is Traced and x._tape is not self for x in args):
            return function(*map(read, args))  # of two traces at once, each has it as a fact
        values = [plain(x) for x in args]
        try:
            value = function(*values)
        except ArithmeticError:  # that it is raised is a fact
            for x in args:
                read(x)
            raise
        if type(value) not in _PLAIN:
            for x in args:
                read(x)
            return value
        indices = tuple(map(self.index, args))
        found = self.known.get((function, indices))
        if found is None:
            found = self.known[function, indices] = len(self.entries)
            self.entries.append(Entry(function, indices, type(value)))
            self.numbers.append(value if type(value) is bool else Traced(self, found, value))
        if type(value) is bool:
            self.facts[found] = value
        return self.numbers[found]

    def place(self, number: Traced, dtype: DType, make: Callable[[], Node]) -> Node:
        """The input of the graph that a number is in a dtype."""
        key = number._index, dtype
        found = self.inputs.get(key)
        if found is None:
            found = self.inputs[key] = make()
        return found

    def read(self, number: Traced) -> Any:
        if self.open:
            self.facts[number._index] = number._value
        return number._value

    def finish(self) -> Program:
        self.open = False
        return Program(tuple(self.entries), tuple(self.facts.items()))


@data
class Constant:
    value: Any


@data
class Program:
    """A tape, to be run again."""

    entries: tuple[Any, ...] = ()
    facts: tuple[tuple[int, Any], ...] = ()

    def needed(self) -> set[int]:
        """Which given numbers a value that was read depends on, beyond comparisons."""
        return self._behind([k for k, value in self.facts if type(value) is not bool])

    def deciding(self, given: Sequence[Any]) -> set[int]:
        """Which of these given numbers lead to what is otherwise than it was, where `run` gives None."""
        values = self._values(given)
        if len(values) < len(self.entries):
            return self._behind([len(values)])
        return self._behind([k for k, value in self.facts if not same(values[k], value)])

    def _behind(self, entries: list[int]) -> set[int]:
        """The given numbers that these entries are computed from."""
        found, seen, todo = set[int](), set[int](), list(entries)
        while todo:
            k = todo.pop()
            if k not in seen and isinstance(entry := self.entries[k], Entry):
                seen.add(k)
                (found.update if entry.function is None else todo.extend)(entry.args)
        return found

    def run(self, given: Sequence[Any]) -> list[Any] | None:
        """All numbers of the tape; None where a fact does not hold, or a number is of another type."""
        values = self._values(given)
        if len(values) < len(self.entries):
            return None
        return values if all(same(values[k], value) for k, value in self.facts) else None

    def _values(self, given: Sequence[Any]) -> list[Any]:
        """What the entries are; up to the first that fails, or is of another type."""
        values: list[Any] = []
        try:
            for entry in self.entries:
                if type(entry) is Constant:
                    values.append(entry.value)
                    continue
                function, args = entry.function, entry.args
                value = given[args[0]] if function is None else function(*[values[k] for k in args])
                if type(value) is not entry.kind:
                    break
                values.append(value)
        except ArithmeticError:
            pass
        return values


def as_input(value: Any, dtype: DType) -> np.ndarray[Any, Any]:
    """A number as an input of the graph: rounded once, as a scalar of the user's is."""
    with np.errstate(all="ignore"):
        return np.asarray(of_kind(value, dtype)).astype(dtype.np)


def of_kind(value: Any, dtype: DType) -> bool | int | float:
    """A number as Python's of the kind of a dtype. OverflowError, with the user's line, beyond all floats."""
    try:
        return float(value) if dtype.is_float else bool(value) if dtype is b1 else int(value)
    except OverflowError:
        what = f"a Python integer of {int(value).bit_length()} bits"
        raise OverflowError(
            here(f"{what} is out of bounds for {dtype.numpy}; expected a float, which may be inf")
        ) from None


def is_traced(value: object) -> bool:
    """Whether something stands for a number; `isinstance` does not tell."""
    return type(value) is Traced


def plain(value: Any) -> Any:
    """The number, whatever stands for it; that is no fact."""
    return value._value if type(value) is Traced else value


def read(value: Any) -> Any:
    """The number, whatever stands for it; that is a fact."""
    return value._tape.read(value) if type(value) is Traced else value


class Traced:
    """Stands for a number."""

    __slots__ = ("_index", "_tape", "_value")

    def __init__(self, tape: Tape, index: int, value: Any) -> None:
        self._tape, self._index, self._value = tape, index, value

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._value)

    def __getattr__(self, name: str) -> Any:
        return getattr(read(self), name)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(read(self), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(read, inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function(*_deep(args), **_deep(kwargs))

    def __reduce__(self) -> Any:
        return type(self._value), (read(self),)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def _deep(value: Any) -> Any:
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([_deep(v) for v in value])
    if kind is dict:
        return {k: _deep(v) for k, v in value.items()}
    return read(value)


def _operator(name: str, function: Callable[..., Any], reflected: bool = False) -> None:
    def call(self: Traced, *others: Any) -> Any:
        return self._tape.apply(function, *(*others, self) if reflected else (self, *others))

    setattr(Traced, name, call)


def _reader(name: str) -> None:
    def call(self: Traced, *args: Any) -> Any:
        value = read(self)
        found = getattr(value, name, None)
        if found is None:
            raise TypeError(f"{type(value).__name__} has no {name}")
        return found(*map(read, args))

    setattr(Traced, name, call)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _operator(f"__{_name}__", getattr(operator, _name))
    _operator(f"__r{_name}__", getattr(operator, _name), reflected=True)
for _name in ("neg", "pos", "abs"):
    _operator(f"__{_name}__", getattr(operator, _name))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _operator(f"__{_name}__", getattr(operator, _name))
_operator("__bool__", operator.truth)
for _name in (
    "float", "int", "complex", "index", "round", "trunc", "floor", "ceil", "divmod", "rdivmod", "hash",
    "repr", "str", "format", "and", "rand", "or", "ror", "xor", "rxor", "lshift", "rlshift", "rshift",
    "rrshift", "invert", "dir", "sizeof",
):  # fmt: skip
    _reader(f"__{_name}__")


def escaped(tape: Tape) -> list[Traced]:
    """Numbers that somebody else still holds after the trace: where to, nobody knows."""
    found = []
    for k in range(len(tape.numbers)):
        if type(tape.numbers[k]) is Traced and sys.getrefcount(tape.numbers[k]) > _ALONE:
            found.append(tape.numbers[k])
    return found


def _alone() -> int:
    tape = Tape()
    tape.given(1.5)
    k = 0
    return sys.getrefcount(tape.numbers[k])


_ALONE = _alone()
