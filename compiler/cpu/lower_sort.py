"""Sorts by the digits of keys, the lowest first: as many passes as a key has bytes, each of which keeps the
order of the last one among equal digits. Short rows go through a network (`lower_network.py`), or count for
each element those that come before it. A total order, so any way to sort gives the same places.

for %r in ... serial                          rows of the block
  for %k in 0 .. %n serial                    keys
  for %k in 0 .. %n serial                    how many there are of each lowest digit
  for %d in 0 .. 256 serial                   where each digit begins
  for %k in 0 .. %n serial                    keys and places to where they belong
  ...                                         the next digit

Where few of many are asked for, segment after segment is looked through for what comes before the last one of
those that are kept: a vector that has none costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import kernel as k
from ..ir.data import replace
from ..ir.layout import working
from ..ir.loop import BEGIN, END, Imm, Operand, Store
from ..ir.types import DTYPES, DType, b1, i64
from ..ops.folds import Acc
from .lower import Lowering
from .lower_network import Network
from .values import HERE

DIGITS = 256
SHORT = 128  # elements: up to here counting all that come before is quicker than 256 counts a digit
COUNTS = "sort.counts"
# Of a long row of which few are asked for: elements of a segment, at least; those that are looked at at once.
SEGMENT = 256
TOGETHER = 128
BLOCK_KEYS = "sort.block"
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
        self.few, self.many = (
            b.op("select", short, self.extent, HERE),
            b.op("select", short, HERE, self.extent),
        )
        partly = self.statement.first is not None and self.key.size > 1 and not x.schedule.threads
        if partly:
            b.alloc(BLOCK_KEYS, self.key, TOGETHER)
        network: Network | None = None
        if len(outer) == 1 and self.key.size <= 4 and not x.schedule.threads:
            network = Network(x, self.statement, self.stage, self.key, self.key_of)
            network.memory(SHORT)
        with b.loop(BEGIN, END, 1, "parallel") as block:
            x.open(frozenset())
            self.base = b.op("mul", block.var, self.extent)  # of the block's working memory
            lo: Operand = b.op("mul", block.var, x.slot("block"))
            hi = x.minimum(b.op("add", lo, x.slot("block")), x.points(outer))
            if network is not None:
                left = b.op("select", short, hi, lo)
                network.rows(lo, left, network.prepare(self.few), self.kept())
                lo = left
            with b.loop(lo, hi, 1, "serial") as row:
                x.at.update(x.point(row.var, outer))
                x.hoist(self.stage, x.open(frozenset(x.at)))
                if network is None:
                    self.keys(self.few if partly else self.extent)
                    self.ranks(self.few)
                elif not partly:
                    self.keys(self.many)
                if partly:
                    self.select()
                else:
                    digits = b.op("select", b.op("lt", HERE, self.many), Imm(DIGITS, i64), HERE)
                    for number in range(self.key.size):
                        self.turn(number, self.many, digits, number + 1 == self.key.size)
                x.levels.pop()
            x.at.clear()
            x.levels.pop()

    def vector_of_keys(self, lanes: int, lo: Operand, hi: Operand, code: Callable[[Operand], None]) -> None:
        """Keys of the elements from lo to hi, a vector at a time, given to `code` with x.mask."""
        x, over, plain = self.x, self.statement.over, self.x.schedule

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            code(self.key_of(self.b.widen(x.value(self.statement.expr), lanes)))
            return carried

        x.schedule = replace(plain, width=lanes, step=lanes)
        x.vectors(over, lo, hi, (), chunk)
        x.schedule = plain

    def lanes(self) -> int:
        """Of a vector of keys. (Those of places have half as many, if they have 4 bytes.)"""
        plain = self.x.schedule
        return plain.width if plain.threads or self.key.size > 4 else 2 * plain.width

    def keys(self, count: Operand) -> None:
        b, x, over = self.b, self.x, self.statement.over

        def store(key: Operand) -> None:
            place = b.op("add", self.base, x.at[over])
            b.emit(Store("sort.keys0", place, key, None, x.mask, False, self.statement.loc))

        self.vector_of_keys(self.lanes(), HERE, count, store)

    def kept(self) -> Operand:
        """How many elements are asked for."""
        first = self.statement.first
        return self.extent if first is None else self.x.extent(first)

    def place(self, index: Operand, element: Operand) -> None:
        """This element is the one at `index` of the row."""
        b, x, over = self.b, self.x, self.statement.over
        x.at[over] = index
        at, _, _ = x.address(self.array, self.statement.index)
        inside = None if self.statement.first is None else b.op("lt", index, self.kept())
        b.emit(Store(self.array.name, at, element, None, inside, False, self.statement.loc))
        del x.at[over]

    # -- some of many

    def select(self) -> None:
        """The first ones of a long row. Of each segment those wait that come before the last one that would
        be kept so far; where many wait, they are sorted, and those that are kept stay."""
        b, x = self.b, self.x
        kept, ones = self.kept(), Imm((1 << self.key.bits) - 1, self.key)
        segment = b.op("mul", kept, Imm(4, i64))
        for least in (Imm(SEGMENT, i64), b.op("shr", self.many, Imm(6, i64))):
            segment = b.op("select", b.op("lt", segment, least), least, segment)
        room = b.op("add", kept, b.op("mul", segment, Imm(2, i64)))
        segment = b.op("select", b.op("le", room, self.many), segment, b.op("add", self.many, ONE))
        with b.loop(HERE, self.many, segment, "serial", (HERE, ones)) as part:
            end = x.minimum(b.op("add", part.var, segment), self.many)
            waiting = self.gather(part.var, end, *part.carried)
            forced = b.op("or", b.op("eq", part.var, HERE), b.op("eq", end, self.many))
            full = b.op("gt", waiting, b.op("add", kept, segment))
            now = b.op("or", forced, full)
            count = b.op("select", now, waiting, HERE)
            digits = b.op("select", now, Imm(DIGITS, i64), HERE)
            for number in range(self.key.size):
                self.turn(number, count, digits, False, True)
            waiting = b.op("select", now, x.minimum(waiting, kept), waiting)
            last = b.load("sort.keys0", self.key, b.op("add", self.base, b.op("sub", waiting, ONE)))
            zero = Imm(0, self.key)
            least = b.op("select", b.op("eq", last, zero), zero, b.op("sub", last, Imm(1, self.key)))
            enough = b.op("and", now, b.op("eq", waiting, kept))
            part.yields = (waiting, b.op("select", enough, least, part.carried[1]))
        with b.loop(HERE, b.op("select", b.op("lt", HERE, self.many), kept, HERE), 1, "serial") as turn:
            place = b.op("add", self.base, turn.var)
            self.place(turn.var, b.load("sort.at0", i64, place))

    def gather(self, lo: Operand, hi: Operand, waiting: Operand, limit: Operand) -> Operand:
        """What of the elements from lo to hi has no greater key than `limit`, behind those that wait: vectors
        that have none are passed over."""
        b, x, lanes, over = self.b, self.x, self.lanes(), self.statement.over
        most = Imm((1 << self.key.bits) - 1, self.key, lanes)
        with b.loop(lo, hi, TOGETHER, "serial", (waiting,)) as turn:
            count = x.minimum(Imm(TOGETHER, i64), b.op("sub", hi, turn.var))
            for n in range(0, TOGETHER, lanes):  # where a row ends, nothing comes
                b.emit(Store(BLOCK_KEYS, Imm(n, i64), most))

            def store(key: Operand) -> None:
                b.emit(Store(BLOCK_KEYS, b.op("sub", x.at[over], turn.var), key, None, x.mask))

            self.vector_of_keys(lanes, turn.var, b.op("add", turn.var, count), store)
            found: list[Acc] = [
                (b.load(BLOCK_KEYS, self.key, Imm(n, i64), lanes),) for n in range(0, TOGETHER, lanes)
            ]
            (least,) = x.halve("min", found)
            some = b.op("select", b.op("le", least, limit), count, HERE)
            with b.loop(HERE, some, 1, "serial", turn.carried) as one:
                (at,) = one.carried
                key = b.load(BLOCK_KEYS, self.key, one.var)
                b.emit(Store("sort.keys0", b.op("add", self.base, at), key))
                b.emit(Store("sort.at0", b.op("add", self.base, at), b.op("add", turn.var, one.var)))
                more = b.op("select", b.op("le", key, limit), ONE, HERE)
                one.yields = (b.op("add", at, more),)
            turn.yields = one.results
        return turn.results[0]

    # -- all of few, all of many

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

    def turn(self, number: int, count: Operand, digits: Operand, last: bool, waiting: bool = False) -> None:
        """One pass, by the digit of this number. The `last` one writes places; what is `waiting` knows where
        its elements are."""
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
            at: Operand = b.load(f"sort.at{here}", i64, place) if number or waiting else turn.var
            digit = self.digit(key, number)
            target = b.load(COUNTS, i64, digit)
            b.emit(Store(COUNTS, digit, b.op("add", target, ONE)))
            if not last:
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
        key = self.rising(value)
        most = Imm((1 << self.key.bits) - 1, self.key)
        return self.b.op("xor", key, self.b.imm(most.value, key)) if self.statement.falling else key

    def rising(self, value: Operand) -> Operand:
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
