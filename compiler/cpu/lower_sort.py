"""Sorts by the digits of keys, the lowest first: as many passes as a key has bytes, each of which keeps the
order of the last one among equal digits. Short rows count for each element those that come before it. A total
order, so any way to sort gives the same places.

for %r in ... serial                          rows of the block
  for %k in 0 .. %n serial                    keys
  for %k in 0 .. %n serial                    how many there are of each lowest digit
  for %d in 0 .. 256 serial                   where each digit begins
  for %k in 0 .. %n serial                    keys and places to where they belong
  ...                                         the next digit
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.data import replace
from ..ir.layout import working
from ..ir.loop import BEGIN, END, Imm, Operand, Store
from ..ir.types import DTYPES, DType, b1, i64
from .lower import Lowering
from .values import HERE

DIGITS = 256
SHORT = 128  # elements: up to here counting all that come before is quicker than 256 counts a digit
COUNTS = "sort.counts"
ONE = Imm(1, i64)


class SortLowering:
    """Lowers one kernel whose schedule says "sort"."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b
        statement = k.alone(base.kernel)
        assert isinstance(statement, k.Sort)
        self.statement = statement
        (self.stage,) = base.kernel.stages
        self.array = base.arrays[statement.array]
        self.extent = base.extent(self.stage.axes[0].extent)
        self.key: DType = working(base.kernel)["sort.keys0"]

    def run(self) -> None:
        b, x, outer = self.b, self.x, self.x.kernel.outer
        b.alloc(COUNTS, i64, DIGITS)
        x.hoist(self.stage, x.levels[0])
        short = b.op("le", self.extent, Imm(SHORT, i64))
        few, many = b.op("select", short, self.extent, HERE), b.op("select", short, HERE, self.extent)
        digits = b.op("select", short, HERE, Imm(DIGITS, i64))
        with b.loop(BEGIN, END, 1, "parallel") as block:
            x.open(frozenset())
            self.base = b.op("mul", block.var, self.extent)  # of the block's working memory
            lo = b.op("mul", block.var, x.slot("block"))
            hi = x.minimum(b.op("add", lo, x.slot("block")), x.points(outer))
            with b.loop(lo, hi, 1, "serial") as row:
                x.at.update(x.point(row.var, outer))
                x.hoist(self.stage, x.open(frozenset(x.at)))
                self.keys()
                self.ranks(few)
                for number in range(self.key.size):
                    self.turn(number, many, digits)
                x.levels.pop()
            x.at.clear()
            x.levels.pop()

    def keys(self) -> None:
        b, x, over = self.b, self.x, self.statement.over
        with b.loop(HERE, self.extent, 1, "serial") as turn:
            x.at[over] = turn.var
            x.open(x.levels[-1].axes | {over})
            key = self.key_of(x.value(self.statement.expr))
            x.levels.pop()
            place = b.op("add", self.base, turn.var)
            b.emit(Store("sort.keys0", place, key, None, None, False, self.statement.loc))
        del x.at[over]

    def place(self, index: Operand, element: Operand) -> None:
        """This element is the one at `index` of the row."""
        b, x, over = self.b, self.x, self.statement.over
        x.at[over] = index
        at, _, _ = x.address(self.array, self.statement.index)
        b.emit(Store(self.array.name, at, element, None, None, False, self.statement.loc))
        del x.at[over]

    def ranks(self, count: Operand) -> None:
        """Each element stands behind those with a lesser key, and those with its own that came before."""
        b, x, plain = self.b, self.x, self.x.schedule
        lanes = plain.width if plain.threads else plain.width * 8 // self.key.size
        x.schedule = replace(plain, width=lanes, step=lanes)
        with b.loop(HERE, count, 1, "serial") as turn:
            mine = b.widen(b.load("sort.keys0", self.key, b.op("add", self.base, turn.var)), lanes)

            def chunk(u: int, carried: list[Operand]) -> list[Operand]:
                at = x.at["others"]
                key = b.load("sort.keys0", self.key, b.op("add", self.base, at), lanes, None, x.mask)
                before = x.first_lanes(b.op("sub", turn.var, at))
                first = b.op("or", b.op("lt", key, mine), b.op("and", b.op("eq", key, mine), before))
                if x.mask is not None:
                    first = b.op("and", first, x.mask)
                one = b.op("select", first, Imm(1, self.key, lanes), Imm(0, self.key, lanes))
                return [b.op("add", carried[0], one)]

            (behind,) = x.vectors("others", HERE, count, (Imm(0, self.key, lanes),), chunk)
            self.place(x.cast(x.halve("sum", [(behind,)])[0], i64), turn.var)
        x.schedule = plain

    def turn(self, number: int, count: Operand, digits: Operand) -> None:
        """One pass, by the digit of this number."""
        b, x = self.b, self.x
        here, there = number % 2, 1 - number % 2
        zeros = Imm(0, i64, x.schedule.width)
        x.each(digits, lambda at, mask: b.emit(Store(COUNTS, at, zeros, None, mask)))
        with b.loop(HERE, count, 1, "serial") as turn:
            key: Operand = b.load(f"sort.keys{here}", self.key, b.op("add", self.base, turn.var))
            digit = self.digit(key, number)
            b.emit(Store(COUNTS, digit, b.op("add", b.load(COUNTS, i64, digit), ONE)))
        with b.loop(HERE, digits, 1, "serial", (HERE,)) as turn:
            (begin,) = turn.carried
            found = b.load(COUNTS, i64, turn.var)
            b.emit(Store(COUNTS, turn.var, begin))
            turn.yields = (b.op("add", begin, found),)
        with b.loop(HERE, count, 1, "serial") as turn:
            place = b.op("add", self.base, turn.var)
            key = b.load(f"sort.keys{here}", self.key, place)
            at: Operand = b.load(f"sort.at{here}", i64, place) if number else turn.var
            digit = self.digit(key, number)
            target = b.load(COUNTS, i64, digit)
            b.emit(Store(COUNTS, digit, b.op("add", target, ONE)))
            if number + 1 < self.key.size:
                place = b.op("add", self.base, target)
                b.emit(Store(f"sort.keys{there}", place, key))
                b.emit(Store(f"sort.at{there}", place, at))
            else:
                self.place(target, at)

    def digit(self, key: Operand, number: int) -> Operand:
        b = self.b
        if number:
            key = b.op("shr", key, b.imm(8 * number, key))
        return b.op("and", self.x.cast(key, i64), Imm(DIGITS - 1, i64))

    def key_of(self, value: Operand) -> Operand:
        """An unsigned number that is less where the value comes first."""
        b, dtype = self.b, value.dtype
        if dtype.kind == "u":
            return value
        if dtype is b1:
            return self.x.cast(value, self.key)
        signed = DTYPES[f"i{dtype.bits}"]
        bits: Operand = value
        least = Imm(-(1 << (dtype.bits - 1)), signed)
        if dtype.is_float:  # of either zero the same; NaN last
            infinity = (1 << (dtype.bits - 1)) - (1 << dtype.fraction)
            bits = b.op("bitcast", value, dtype=signed)
            size = b.op("and", bits, b.imm(~int(least.value), bits))
            bits = b.op("select", b.op("eq", size, b.imm(0, size)), size, bits)
            negative = b.op("lt", bits, b.imm(0, bits))  # then all bits change, else the sign alone
            bits = b.op("xor", bits, b.op("select", negative, b.imm(-1, bits), least))
            bits = b.op("select", b.op("gt", size, b.imm(infinity, size)), b.imm(-1, bits), bits)
        else:
            bits = b.op("xor", bits, least)
        return b.op("bitcast", bits, dtype=self.key)
