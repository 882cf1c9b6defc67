"""Loop level: how a kernel runs on a target. SSA values with explicit lanes; one screen of grammar.

    func NAME(slots) team 4
      %v: f32x16 = add %a, %b                       Let
      %v: f32x16 = load x[%o]                       Load   contiguous lanes from element %o
      %v: f32x16 = load x[%o : %s] mask %m          Load   lanes %s elements apart; masked lanes are 0
      %v: f32x16 = load x[%w]                       Load   each lane the element of its own lane of %w: i64x16
      store x[%o], %v mask %m                       Store  `stream` at the end: around the cache
      store x[%w], %v                               Store  each lane to an element of its own
      %v: f32x128 = load x[%o] aligned              Load   or Store: lane 0 is at a multiple of 16 bytes
      %v: i64 = aligned x to 16                     Aligned
      prefetch x[%o] far                            Prefetch
      window w: f32 = x[%o] if %c else y[%p]        Window   `if` and what follows may be absent
      alloc a: f32[64]                              Alloc
      shared a: f32[%n]                             Alloc   one for all threads; its size may be a slot's
      barrier                                       Barrier
      %r = for %i in %lo .. %hi step %k kind (%acc = %init, ...)     For
        ...
        yield %next, ...

`%v: f32` is a scalar (one lane). Scalars and vectors do not mix: `splat` makes a vector.
Arithmetic is IEEE, round to nearest, no flags; integers wrap. `div`/`rem` of integers truncate and
need a non-zero divisor; shifts need an amount below the width. Comparisons are false for NaN,
except `ne`.

Loop kinds: `parallel` (the outermost; its range is handed to the function, iterations are independent),
`serial`, `vector` (documents that the body advances by whole vectors), `once` (from 0 by 1 to 0 or 1: a
branch). All are run alike, in order.

`team 4`: four threads run the function side by side, each with values and `alloc`s of its own; `%thread`
tells them apart, `%begin` and `%end` are the same for all. (On a GPU a thread here, with its vectors, is a
warp, and a team a block of threads.) At a `barrier` each waits for all others, which come to the same one.
Between two of them no thread may touch an element of a slot that another one writes, and of `shared` memory
no lane what another lane writes, of this thread or another. `team` is absent where there is one thread.

`beyond 256`: the function runs where there are more blocks than that, after them and before what finishes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .data import data, field
from .graph import Loc
from .layout import Slot
from .rounding import Number, literal, rounded
from .types import DType, b1, i64


def _whole(x: Operand | Number) -> Number | None:
    """Its value, if it is a literal of an index."""
    if isinstance(x, Imm):
        return x.value if x.lanes == 1 else None
    return None if isinstance(x, Value) else x


def _told(op: str, x: Operand | Number, y: Operand | Number) -> Operand | None:
    """What literals tell of indices, without an instruction."""
    if op not in _INDEX or any(isinstance(v, _OPERANDS) and v.dtype is not i64 for v in (x, y)):
        return None
    whole, nothing = _INDEX[op]
    a, c = _whole(x), _whole(y)
    if a is not None and c is not None:
        return operand(whole(a, c))
    found = x if c == nothing else y if a == nothing and op != "sub" else None
    return found if isinstance(found, _OPERANDS) else None


def _writes(op: str) -> Callable[[Any, Operand | Number], Operand]:
    return lambda x, y: _told(op, x, y) or _BUILDER.get().op(op, x, y)


def _writes_one(op: str) -> Callable[[Any], Value]:
    return lambda x: _BUILDER.get().op(op, x)


def _written(op: str) -> Callable[[Any, Operand | Number], Operand]:
    return lambda y, x: _told(op, x, y) or _BUILDER.get().op(op, x, y)


class _Operators:
    """What is written with operators (`i * 8 + j`) are instructions, which the latest builder writes. A
    number is a literal of the type on the other side; `//` and `%` truncate; `==` asks whether two operands
    are the same, and writes nothing."""

    __slots__ = ()

    __add__, __sub__, __mul__ = _writes("add"), _writes("sub"), _writes("mul")
    __radd__, __rsub__, __rmul__ = _written("add"), _written("sub"), _written("mul")
    __floordiv__, __mod__ = _writes("div"), _writes("rem")
    __truediv__, __rtruediv__ = _writes("div"), _written("div")
    __and__, __or__, __xor__ = _writes("and"), _writes("or"), _writes("xor")
    __neg__, __invert__, __abs__ = _writes_one("neg"), _writes_one("not"), _writes_one("abs")
    __lshift__, __rshift__ = _writes("shl"), _writes("shr")
    __lt__, __le__, __gt__, __ge__ = _writes("lt"), _writes("le"), _writes("gt"), _writes("ge")


@data
class Value(_Operators):
    name: str
    dtype: DType
    lanes: int = 1


@data
class Imm(_Operators):
    """A literal; in every lane if the instruction is a vector one. It compares by its text, so
    that -0.0 is not 0.0 and NaN is itself."""

    value: float | int | bool = field(compare=False)
    dtype: DType
    lanes: int = 1
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", literal(self.value, self.dtype))


Operand = Value | Imm
_OPERANDS = (Value, Imm)
# Of indices: what is computed of literals, and the one that changes nothing.
_INDEX = {"add": (operator.add, 0), "sub": (operator.sub, 0), "mul": (operator.mul, 1)}
_known = functools.lru_cache(maxsize=4096, typed=True)(Imm)


def operand(value: Operand | int) -> Operand:
    """An integer as a literal."""
    return Imm(value, i64) if isinstance(value, int) else value


# Bytes that the first lane of what is `aligned` lies at a multiple of.
BOUNDARY = 16


@data
class Let:
    result: Value
    op: str
    args: tuple[Operand, ...]
    loc: Loc | None = field(default=None, compare=False)


@data
class Load:
    result: Value
    array: str
    index: Operand
    stride: Operand | None = None
    mask: Operand | None = None
    loc: Loc | None = field(default=None, compare=False)
    aligned: bool = False


@data
class Store:
    array: str
    index: Operand
    value: Operand
    stride: Operand | None = None
    mask: Operand | None = None
    stream: bool = False
    loc: Loc | None = field(default=None, compare=False)
    aligned: bool = False


@data
class Aligned:
    """1 if the array begins at a multiple of so many bytes, as streaming stores need, or accesses that are
    `aligned`; else 0. (A text names them where they are not 64.)"""

    result: Value
    array: str
    bytes: int = 64


@data
class Prefetch:
    """A hint that the element will be read soon, or, if `far`, later: so that the first cache is left to
    what is needed before. It means nothing, and may lie outside."""

    array: str
    index: Operand
    far: bool = False


@data
class Window:
    """`name` is another name for the elements from array[index] on; if `choice` is there and 0, for those
    from other[at] on. Both arrays hold `dtype`. It may begin outside of its array."""

    name: str
    dtype: DType
    array: str
    index: Operand
    choice: Operand | None = None
    other: str = ""
    at: Operand = field(default=Imm(0, i64))


@data
class For:
    """`results[k]` is the last value of `carried[k]`, which starts as `inits[k]` and becomes
    `yields[k]` after each iteration."""

    var: Value
    lo: Operand
    hi: Operand
    step: Operand
    kind: str
    carried: tuple[Value, ...]
    inits: tuple[Operand, ...]
    body: tuple[Stmt, ...]
    yields: tuple[Operand, ...]
    results: tuple[Value, ...]


@data
class Alloc:
    """`count` elements of working memory of this call, 64-byte aligned, not initialised; of each thread, or
    `shared` by those of a team. As many as a slot says, of `shared` memory alone."""

    name: str
    dtype: DType
    count: int | Value
    shared: bool = False


@data
class Barrier:
    """All threads of the team wait for each other: what they have stored before, all see after it."""


Stmt = Let | Load | Store | Aligned | Prefetch | Window | For | Alloc | Barrier


@data
class Func:
    """Called as f(slots, %begin, %end), by each of the `team`'s threads: the range of the parallel loop, if
    there is one."""

    name: str
    slots: tuple[Slot, ...]
    body: tuple[Stmt, ...]
    team: int = 1
    beyond: int = 0


BEGIN = Value("begin", i64)
END = Value("end", i64)
THREAD = Value("thread", i64)
ZERO, ONE = Imm(0, i64), Imm(1, i64)


@data
class Form:
    """What an instruction takes: a letter for each operand, and the kinds of dtype of those that are alike.
    `T` is the type of the result, `t` one lane of it, `TT` has twice the lanes; `S` any type, the same for
    all, of which the result is a b1; `V` any vector; `b`: b1; `n`: a literal i32; `u`: unsigned, of as many
    bits. `moves`: it only moves values, of formats that are for memory alone, too."""

    operands: tuple[str, ...]
    kinds: str = "biuf"
    moves: bool = False


def _forms(names: str, operands: str, kinds: str = "biuf", moves: bool = False) -> dict[str, Form]:
    return dict.fromkeys(names.split(), Form(tuple(operands.split()), kinds, moves))


# The type of a result is that of the operands; those in SHAPED state it.
INSTRUCTIONS: dict[str, Form] = (
    _forms("add sub mul div rem", "T T", "iuf")
    | _forms("neg", "T", "iuf")
    | _forms("abs sqrt floor ceil trunc rint sign", "T", "f")
    | _forms("scale min max", "T T", "f")
    | _forms("fma", "T T T", "f")
    | _forms("and or xor", "T T", "biu")
    | _forms("not", "T", "biu")
    | _forms("shl shr", "T T", "iu")
    | _forms("eq ne lt le gt ge", "S S")
    | _forms("select", "b T T", moves=True)
    | _forms("cast", "V", moves=True)
    | _forms("bitcast", "V", "iuf", moves=True)
    | _forms("splat", "t", moves=True)
    | _forms("iota", "")
    | _forms("lo hi", "TT", moves=True)
    | _forms("pack_lo pack_hi", "T T n", moves=True)
    | _forms("spread collect", "T T n n", moves=True)
    | _forms("shuffle", "T n", moves=True)
    | _forms("any count", "V")
    | _forms("compress", "T b", moves=True)
    | _forms("table", "u" + " t" * 16)
)
COMPARISONS = tuple(op for op, form in INSTRUCTIONS.items() if "S" in form.operands)
# scale(x, k): x 2**k rounded once, also to a denormal or to inf; 1/2 <= |x| <= 2, k a whole number
# whose size is below twice the bias of the format less 3 (float32: 250). NaN if both are.
# sign(x): -1, 0 or 1; NaN for NaN, 0.0 for -0.0.
# min(x, y), max(x, y): x if it is NaN; y if that is, or if they are equal (as zeros of different sign are).
# cast, bitcast: other dtype; a format for memory alone (`DType.wide`) from and to the wide one, and no
# instruction computes with it. splat: in all lanes. iota: 0, 1, 2, ...
# lo, hi: one half of the lanes.
# pack_lo, pack_hi(x, y, n): the first, or last, n lanes of
# every 2n lanes of x, then of y.
# spread(x, y, d, k): lane l is lane (l + k) / d of y, where that is one, and of x otherwise.
# collect(x, y, d, k): lane l is lane l d + k of y, where that is one, and of x otherwise.
# shuffle(x, k): lane l is lane l xor k of x.
# The literals n, d and k are of type i32.
# any: whether one of the lanes is true. count: how many are.
# compress(x, m): the lanes of x that m names, in order, from the first lane on; 0 in the others.
# table(n, e0, ..., e15): lane l is the element numbered by the last four bits of lane l of n. The elements
# are literals of one lane, of a type of 32 bits, n is u32; or of 64 bits, n is u64.
SHAPED = (
    "cast", "bitcast", "splat", "iota", "lo", "hi", "pack_lo", "pack_hi", "spread", "collect", "shuffle",
    "any", "count", "compress", "table",
)  # fmt: skip
TABLE = len(INSTRUCTIONS["table"].operands) - 1  # elements


def lane_of(op: str, lane: int, lanes: int, d: int, k: int) -> int | None:
    """The lane of y that `spread` or `collect` takes, if there is one."""
    found = lane * d + k if op == "collect" else (lane + k) // d
    whole = op == "collect" or (lane + k) % d == 0
    return found if whole and 0 <= found < lanes else None


def result_type(op: str, args: tuple[Operand, ...]) -> tuple[DType, int]:
    """dtype and lanes of an instruction that is not in SHAPED."""
    lanes = max(a.lanes for a in args)
    if op in COMPARISONS:
        return b1, lanes
    return (args[1] if op == "select" else args[0]).dtype, lanes


_BUILDER: ContextVar[Builder] = ContextVar("BUILDER")


class Builder:
    """Writes statements in order. Repeated pure instructions in one block are written once. An integer is a
    literal of i64 where an index is asked for."""

    def __init__(self) -> None:
        _BUILDER.set(self)
        self._blocks: list[list[Stmt]] = [[]]
        # What is known here, by instruction; and what each open block adds to that.
        self._known: dict[object, Value] = {}
        self._added: list[list[object]] = [[]]
        self._count = 0
        self.loc: Loc | None = None

    def fresh(self, dtype: DType, lanes: int = 1, hint: str = "") -> Value:
        self._count += 1
        return Value(f"{hint}.{self._count}" if hint else str(self._count), dtype, lanes)

    def emit(self, stmt: Stmt) -> None:
        self._blocks[-1].append(stmt)

    @contextmanager
    def at(self, loc: Loc | None) -> Iterator[None]:
        """What is written inside is for the statement there."""
        outside, self.loc = self.loc, loc
        yield
        self.loc = outside

    def alloc(self, name: str, dtype: DType, count: int | Value, shared: bool = False) -> None:
        """Working memory for the whole function."""
        self._blocks[0].insert(0, Alloc(name, dtype, count, shared))

    def op(
        self, name: str, *operands: Operand | Number, dtype: DType | None = None, lanes: int | None = None
    ) -> Value:
        """A number is a literal of the type of the operands beside it (in `select`, of the other branch)."""
        args: tuple[Any, ...] = operands
        for number in operands:
            if number.__class__ not in _OPERANDS:
                like = next(a for a in args[name == "select" :] if a.__class__ in _OPERANDS)
                args = tuple([a if a.__class__ in _OPERANDS else self.imm(a, like) for a in args])
                break
        if name not in SHAPED:
            widths = {a.lanes for a in args}
            if len(widths) > 1:
                args = tuple([self.widen(a, max(widths)) for a in args])
            dtype, lanes = result_type(name, args)
        elif lanes is None:
            lanes = args[0].lanes
        assert dtype is not None and lanes is not None
        key = (name, dtype, lanes, *[a.name if isinstance(a, Value) else a for a in args])
        result = self._known.get(key)
        if result is None:
            result = self._known[key] = self.fresh(dtype, lanes)
            self._added[-1].append(key)
            self.emit(Let(result, name, args, self.loc))
        return result

    def widen(self, value: Operand, lanes: int) -> Operand:
        if value.lanes == lanes:
            return value
        assert value.lanes == 1
        if isinstance(value, Imm):
            return Imm(value.value, value.dtype, lanes)
        return self.op("splat", value, dtype=value.dtype, lanes=lanes)

    def widened(self, x: Operand) -> Operand:
        """x in the format in which it is computed (`DType.wide`)."""
        if x.dtype.wide is None:
            return x
        if isinstance(x, Imm):
            return Imm(rounded(x.value, x.dtype), x.dtype.wide, x.lanes)
        return self.op("cast", x, dtype=x.dtype.wide)

    def imm(self, value: Number, like: Operand) -> Imm:
        # many are the same; a cache does not tell 0.0 from -0.0
        return (_known if value else Imm)(value, like.dtype, like.lanes)

    def select(self, test: Operand, x: Operand | int, y: Operand | int) -> Value:
        return self.op("select", test, operand(x), operand(y))

    def load(
        self,
        array: str,
        dtype: DType,
        index: Operand | int,
        lanes: int = 1,
        stride: Operand | None = None,
        mask: Operand | None = None,
        aligned: bool = False,
    ) -> Value:
        result = self.fresh(dtype, lanes)
        self.emit(Load(result, array, operand(index), stride, mask, self.loc, aligned))
        return result

    def window(self, dtype: DType, array: str, index: Operand | int, *other: Any) -> str:
        """A new name for elements of an array; `other`: the further fields of a Window."""
        name = self.fresh(dtype, 1, "row").name
        self.emit(Window(name, dtype, array, operand(index), *other))
        return name

    def store(self, array: str, index: Operand | int, value: Operand, **more: Any) -> None:
        """`more`: other fields of a Store."""
        self.emit(Store(array, operand(index), value, **more))

    @contextmanager
    def loop(
        self,
        lo: Operand | int,
        hi: Operand | int,
        step: Operand | int,
        kind: str,
        inits: tuple[Operand, ...] = (),
    ) -> Iterator[Body]:
        """Open a For; the `with` block writes its body and sets `yields`; `results` are known
        after."""
        var = self.fresh(i64, hint="i")
        carried = tuple(self.fresh(v.dtype, v.lanes, "c") for v in inits)
        results = tuple(self.fresh(v.dtype, v.lanes, "r") for v in inits)
        body = Body(var, carried, results)
        self._blocks.append([])
        self._added.append([])
        yield body
        for key in self._added.pop():
            del self._known[key]
        stmts = tuple(self._blocks.pop())
        assert len(body.yields) == len(carried)
        lo, hi, step = (operand(x) for x in (lo, hi, step))
        self.emit(For(var, lo, hi, step, kind, carried, inits, stmts, tuple(body.yields), results))

    def done(self) -> tuple[Stmt, ...]:
        (block,) = self._blocks
        return tuple(block)


@data(frozen=False)
class Body:
    """An open loop of a Builder."""

    var: Value
    carried: tuple[Value, ...]
    results: tuple[Value, ...]
    yields: tuple[Operand, ...] = ()
