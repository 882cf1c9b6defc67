"""How lanes lie in threads, as LLVM text: a lane of a vector is a thread of the warp, and moves by a shuffle.
Of a longer vector a thread has several lanes that are neighbours, each a value of its own.

    %w: f32x64 = neg %v             =>    %w/0 = fneg float %v/0
                                          %w/1 = fneg float %v/1
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Sequence
from typing import TypeVar

from ..ir.data import replace
from ..ir.loop import For, Let, Load, Operand, Stmt, Store, Value
from ..ir.types import b1
from ..llvm.emitter import Emitter, literal
from ..llvm.writer import element_type
from .target import WARP

EVERY = ("i32", "-1")  # lane
LONG = ("splat", "iota", "any", "table")  # what vectors longer than a warp may be arranged by


def neighbours(stmt: Stmt) -> int:
    """How many elements of the longest vector of a statement a thread has."""
    match stmt:
        case Let(result, _, args):
            lanes = max(value.lanes for value in (result, *args))
        case Load(result):
            lanes = result.lanes
        case Store(_, _, value):
            lanes = value.lanes
        case _:
            return 1
    if lanes > WARP and lanes % WARP:
        raise ValueError(f"a vector of {lanes} lanes: a warp has {WARP}")
    return max(1, lanes // WARP)


def parts(body: Iterable[Stmt]) -> list[int]:
    """How many elements a thread has of vectors of these statements."""
    inside = (parts(s.body) if isinstance(s, For) else [neighbours(s)] for s in body)
    return sorted({1}.union(*inside))


_Some = TypeVar("_Some", Value, Operand)


def apart(values: Sequence[_Some]) -> tuple[_Some, ...]:
    """Vectors that are longer than a warp as those of one element a thread, as they are called here."""
    found = list[_Some]()
    for value in values:
        many = max(1, value.lanes // WARP)
        if many == 1:
            found.append(value)
        elif isinstance(value, Value):
            found += [Value(f"{value.name}/{part}", value.dtype, WARP) for part in range(many)]
        else:
            found += [replace(value, lanes=WARP)] * many
    return tuple(found)


class Lanes(Emitter, ABC):
    """`lane32`, `lane`: the number of the thread in its warp; `tables`: registers that hold tables; `part`:
    which of its elements a thread is at."""

    lane32: str
    lane: str
    tables: dict[tuple[Operand, ...], Value]
    part = 0

    def held(self, lanes: int) -> int:
        return 1

    def known(self, value: Value, text: str) -> None:
        self.names[f"{value.name}/{self.part}" if value.lanes > WARP else value.name] = text

    def ref(self, value: Operand) -> str:
        if isinstance(value, Value) and value.lanes > WARP:
            return self.names[f"{value.name}/{self.part}"]
        return super().ref(value)

    def each(self, value: Operand, many: int) -> list[str]:
        """The elements of a thread."""
        found = []
        for self.part in range(many):
            found.append(self.ref(value))
        self.part = 0
        return found

    def arrange(self, stmt: Let) -> str:
        op, args, result = stmt.op, stmt.args, stmt.result
        if op == "iota":
            kind, lane = element_type(result.dtype), self.lane32
            if (many := result.lanes // WARP) > 1:
                lane = self.let(f"add i32 {self.let(f'mul i32 {lane}, {many}')}, {self.part}")
                if kind == "i64":
                    return self.let(f"zext i32 {lane} to i64")
            elif kind == "i64":
                return self.lane
            code = "uitofp" if result.dtype.is_float else "trunc"
            return lane if kind == "i32" else self.let(f"{code} i32 {lane} to {kind}")
        x, count = args[0], args[0].lanes
        if op == "shuffle":
            return self.shuffle("bfly", x, str(literal(args[1])))
        if op == "any":
            return self.any(x)
        if op == "table":
            lane = self.ref(x) if x.dtype.bits == 32 else self.let(f"trunc {self.typed(x)} to i32")
            return self.shuffle("idx", self.tables[args[1:]], lane)
        if op == "splat":
            return self.ref(x)
        if op in ("lo", "hi"):
            half = count // 2 if op == "hi" else 0
            if result.lanes == 1:
                return self.shuffle("idx", x, str(half))
            return self.shuffle("down", x, str(half)) if half else self.ref(x)
        if op in ("spread", "collect"):
            return self.turned(op, x, args[1], literal(args[2]), literal(args[3]))
        if op not in ("pack_lo", "pack_hi"):
            raise ValueError(f"`{op}` is for CPUs alone")
        n, off = literal(args[2]), literal(args[2]) if op == "pack_hi" else 0
        start = self.let(f"shl i32 {self.let(f'and i32 {self.lane32}, {-n}')}, 1")
        at = self.let(f"add i32 {start}, {self.let(f'and i32 {self.lane32}, {n - 1}')}")
        at = self.let(f"add i32 {at}, {off}")
        lane = self.let(f"and i32 {at}, {count - 1}")
        first, second = self.shuffle("idx", x, lane), self.shuffle("idx", args[1], lane)
        kind = self.type_of(result)
        return self.let(
            f"select i1 {self.let(f'icmp ult i32 {at}, {count}')}, {kind} {first}, {kind} {second}"
        )

    def any(self, x: Operand) -> str:
        """By a vote; a short vector has one for the lanes that it has."""
        if x.lanes == 1:
            return self.ref(x)
        test, *others = self.each(x, max(1, x.lanes // WARP))
        for other in others:
            test = self.let(f"or i1 {test}, {other}")
        if x.lanes < WARP:
            test = self.let(f"and i1 {test}, {self.let(f'icmp ult i32 {self.lane32}, {x.lanes}')}")
        return self.call("llvm.nvvm.vote.any.sync", "i1", [EVERY, ("i1", test)])

    def table(self, elements: tuple[Operand, ...]) -> Value:
        """A register that holds in each lane the element that its number chooses: looking one up is a
        shuffle."""
        found, bit = [self.ref(e) for e in elements], 1
        kind = self.type_of(elements[0])
        while len(found) > 1:
            on = self.let(f"icmp ne i32 {self.let(f'and i32 {self.lane32}, {bit}')}, 0")
            pairs = zip(found[1::2], found[::2], strict=True)
            found = [self.let(f"select i1 {on}, {kind} {one}, {kind} {other}") for one, other in pairs]
            bit *= 2
        value = Value(self.fresh("table")[1:], elements[0].dtype, WARP)
        self.names[value.name] = found[0]
        return value

    def turned(self, op: str, x: Operand, y: Operand, d: int, k: int) -> str:
        """`spread` or `collect`: a lane of y, or x where there is none."""
        if op == "collect":
            at = self.let(f"add i32 {self.let(f'mul i32 {self.lane32}, {d}')}, {k}")
            found = self.let(f"icmp ult i32 {at}, {y.lanes}")
        else:
            away = self.let(f"add i32 {self.lane32}, {k}")
            at = self.let(f"sdiv i32 {away}, {d}")
            whole = self.let(f"icmp eq i32 {self.let(f'mul i32 {at}, {d}')}, {away}")
            found = self.let(f"and i1 {whole}, {self.let(f'icmp ult i32 {at}, {y.lanes}')}")
        value = self.shuffle("idx", y, self.let(f"and i32 {at}, {y.lanes - 1}"))
        return self.let(f"select i1 {found}, {self.type_of(y)} {value}, {self.typed(x)}")

    def shuffle(self, kind: str, value: Operand, lane: str) -> str:
        """The value of lane number `lane`, so many further ("down"), or this one's xor it ("bfly")."""
        held, bits = self.type_of(value), 1 if value.dtype is b1 else value.dtype.bits
        text, floats = self.ref(value), held in ("float", "double")
        if floats:
            text = self.let(f"bitcast {held} {text} to i{bits}")
        if bits == 64:
            high = self.let(f"lshr i64 {text}, 32")
            low, high = (self.let(f"trunc i64 {part} to i32") for part in (text, high))
            low, high = (self.let(f"zext i32 {self.move(kind, part, lane)} to i64") for part in (low, high))
            text = self.let(f"or i64 {low}, {self.let(f'shl i64 {high}, 32')}")
        else:
            text = self.move(kind, text if bits == 32 else self.let(f"zext i{bits} {text} to i32"), lane)
            text = text if bits == 32 else self.let(f"trunc i32 {text} to i{bits}")
        return self.let(f"bitcast i{bits} {text} to {held}") if floats else text

    def move(self, kind: str, text: str, lane: str) -> str:
        args = [EVERY, ("i32", text), ("i32", lane), ("i32", str(WARP - 1))]
        return self.call(f"llvm.nvvm.shfl.sync.{kind}.i32", "i32", args)
