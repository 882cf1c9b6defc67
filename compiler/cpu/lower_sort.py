"""Sorts by the digits of keys, the lowest first: as many passes as a key has bytes, each of which keeps the
order of the last one among equal digits. Short rows go through a network (`lower_network.py`), or count for
each element those that come before it. A total order, so any way to sort gives the same places.

for %r in ... serial                          rows of the block
  for %k in 0 .. %n vector                    keys
  for %k in 0 .. %n serial                    how many there are of each value of each digit
  for %d in 0 .. 256 serial                   where each value of the lowest digit begins
  for %k in 0 .. %n serial                    keys and places to where they belong
  ...                                         the next digit; one that is the same in all is left out

The elements themselves, of 4 bytes or more, are sorted by comparisons: runs by a network of vectors
(`lower_bitonic.py`), which are merged (`lower_merge.py`); those of fewer bytes where they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..ir import kernel as k
from ..ir.data import replace
from ..ir.layout import working
from ..ir.loop import BEGIN, END, ONE, ZERO, Imm, Operand
from ..ir.types import DTYPES, DType, b1, i64
from .lower import Lowering, Mode
from .lower_first import FirstOfMany
from .lower_network import Network
from .lower_runs import RunMerge
from .lower_sorted import ValueRows
from .schedule import SORTED as MOST

DIGITS = 256
SHORT = 128  # elements: up to here counting all that come before is quicker than 256 counts a digit
# Of values: what the network needs for more does not fit the stack beside long rows. Rows along the last axis
# from which on these are sorted together; elements up to which fewer are.
SHORT_VALUES, ROWS, SHORT_ROWS = 64, 8, 16
COUNTS = "sort.counts"


class SortLowering(Mode):
    """Lowers one kernel whose schedule says "sort"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        statement = k.alone(base.kernel)
        assert isinstance(statement, k.Sort)
        self.statement = statement
        (self.stage,) = base.kernel.stages
        self.array = base.arrays[statement.array]
        self.extent = base.extent(self.stage.axes[0].extent)
        self.key: DType = working(base.kernel)["sort.keys0"]
        self.most = Imm((1 << self.key.bits) - 1, self.key)  # no key is greater

    def run(self) -> None:
        b, x, outer = self.b, self.x, self.x.kernel.outer
        x.hoist(self.stage, x.levels[0])
        if self.statement.run is not None:
            self.in_runs(x.extent(self.statement.run))
            return
        values = self.statement.values and not x.schedule.threads
        few: Operand = self.extent
        many: Operand = ZERO
        merged = values and self.key.size >= 4  # else digits are few
        if not merged:
            b.alloc(COUNTS, i64, DIGITS * self.key.size)
            short = self.extent <= (MOST if values else SHORT)
            few, many = b.select(short, self.extent, 0), b.select(short, 0, self.extent)
        partly = self.statement.first is not None and self.key.size > 1 and not x.schedule.threads
        first = FirstOfMany(self) if partly else None
        room: Operand = self.extent
        network: Network | None = None
        rows: ValueRows | None = None
        if values:
            rows = ValueRows(self, self.extent)
            room = rows.room
        if outer and (values or self.key.size <= 4) and not x.schedule.threads:
            network = Network(x, self.statement, self.stage, self.key, self.key_of, self.value_of)
            most: Operand = Imm(SHORT_VALUES if values else SHORT, i64)
            network.memory(SHORT_VALUES if values else SHORT)
            if values:  # of few rows, most lanes would have none
                enough = x.extent(outer[-1].extent) >= ROWS
                most = b.select(enough, most, SHORT_ROWS)
            together = self.extent <= most
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            self.base = block.var * room  # of the block's working memory
            lo, hi = x.share(block.var, x.slot("block"), x.points(outer))
            if network is not None:
                left = b.select(together, hi, lo)
                pairs = network.prepare(b.select(together, self.extent, 0))
                network.rows(lo, left, pairs, self.kept())
                lo = left
            with b.loop(lo, hi, 1, "serial") as row, self.at_row(row.var):
                if rows is not None:
                    rows.sort(self.base, ZERO, few)
                elif network is None:
                    self.keys(few if partly else self.extent)
                    self.ranks(few, self.place)
                if first is not None:
                    first.select(many)
                elif not merged:
                    if values or network is not None:
                        self.keys(many)
                    self.passes(many, False)

    @contextmanager
    def at_row(self, number: Operand) -> Iterator[None]:
        x, outer = self.x, self.x.kernel.outer
        with x.scope(*(axis.name for axis in outer)) as level:
            x.at.update(x.point(number, outer))
            x.hoist(self.stage, level)
            yield

    def in_runs(self, length: Operand) -> None:
        """Runs of so many elements, each by itself, or parts of a row as long, for which all runs of it are
        merged."""
        b, x, outer = self.b, self.x, self.x.kernel.outer
        if x.schedule.threads:
            raise ValueError("runs are sorted and merged on a CPU alone")
        count = x.pieces(self.extent, length)
        rows = RunMerge(self, length, count) if self.statement.merges else ValueRows(self, length)
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            base = block.var * rows.room
            lo, end = x.share(block.var, x.slot("block"), x.points(outer) * count)
            with b.loop(lo, end, 1, "serial") as part, self.at_row(part.var // count):
                begin = part.var % count * length
                # The part before ends where this one begins, but in another row.
                if isinstance(rows, RunMerge):
                    rows.going = (lo < part.var) & (begin > 0)
                rows.sort(base, begin, x.minimum(length, self.extent - begin))

    def vector_of_keys(self, lanes: int, lo: Operand, hi: Operand, code: Callable[[Operand], None]) -> None:
        """Keys of the elements from lo to hi, a vector at a time, given to `code` with x.mask."""
        x, over, plain = self.x, self.statement.over, self.x.schedule

        def chunk(u: int) -> None:
            code(self.key_of(self.b.widen(x.value(self.statement.expr), lanes)))

        x.schedule = replace(plain, width=lanes, step=lanes)
        x.vectors(over, lo, hi, chunk)
        x.schedule = plain

    def lanes(self) -> int:
        """Of a vector of keys. (Those of places have half as many, if they have 4 bytes.)"""
        plain = self.x.schedule
        if plain.threads or self.key.size > 4 or self.statement.values:
            return plain.width
        return 2 * plain.width

    def keys(self, count: Operand) -> None:
        b, x, over = self.b, self.x, self.statement.over

        def store(key: Operand) -> None:
            place = self.base + x.at[over]
            b.store("sort.keys0", place, key, mask=x.mask, loc=self.statement.loc)

        self.vector_of_keys(self.lanes(), ZERO, count, store)

    def kept(self) -> Operand:
        """How many elements are asked for."""
        first = self.statement.first
        return self.extent if first is None else self.x.extent(first)

    def place(self, index: Operand, element: Operand, key: Operand) -> None:
        """This element, which has this key, is the one at `index` of the row."""
        b, x, over = self.b, self.x, self.statement.over
        if self.statement.values:
            element = self.value_of(key)
        with x.scope():
            x.at[over] = index
            at, _, _ = x.address(self.array, self.statement.index)
        inside = None if self.statement.first is None else index < self.kept()
        b.store(self.array.name, at, element, mask=inside, loc=self.statement.loc)

    # -- all of few, all of many

    def ranks(self, count: Operand, place: Callable[[Operand, Operand, Operand], None]) -> None:
        """Each element stands behind those with a lesser key, and those with its own that came before."""
        b, x, plain = self.b, self.x, self.x.schedule
        lanes = plain.width if plain.threads else plain.width * 8 // self.key.size
        x.schedule = replace(plain, width=lanes, step=lanes)
        with b.loop(0, count, 1, "serial") as turn:
            own = b.load("sort.keys0", self.key, self.base + turn.var)
            mine = b.widen(own, lanes)

            def behind(so_far: Operand) -> Operand:
                at = x.at["others"]
                key = b.load("sort.keys0", self.key, self.base + at, lanes, None, x.mask)
                before = x.first_lanes(turn.var - at)
                first = (key < mine) | (b.op("eq", key, mine) & before)
                if x.mask is not None:
                    first = first & x.mask
                one = b.select(first, Imm(1, self.key, lanes), Imm(0, self.key, lanes))
                return so_far + one

            found = x.total("others", count, Imm(0, self.key, lanes), behind)
            place(x.cast(x.halve("sum", [(found,)])[0], i64), turn.var, own)
        x.schedule = plain

    def passes(self, count: Operand, waiting: bool) -> None:
        """So many elements, digit by digit, but for digits that are the same in all. What is `waiting` knows
        where its elements are, and is sorted in place, as far as it is kept; else places are written."""
        b = self.b
        self.count_digits(count)
        turned: Operand = ZERO  # 1: keys and places are in the second buffers
        moved: Operand = ONE if waiting else ZERO  # 0: each element is where it came from
        for number in range(self.key.size):
            last = number + 1 == self.key.size and not waiting
            turned, moved = self.turn(number, count, turned, moved, last)
        if waiting:
            self.back(b.select(self.is_one(turned), count, 0))

    def back(self, count: Operand) -> None:
        """Those that are kept of so many, from the second buffers to the first ones."""
        b = self.b
        with b.loop(0, self.x.minimum(count, self.kept()), 1, "serial") as turn:
            place = self.base + turn.var
            b.store("sort.keys0", place, b.load("sort.keys1", self.key, place))
            b.store("sort.at0", place, b.load("sort.at1", i64, place))

    def is_one(self, flag: Operand) -> Operand:
        return self.b.op("ne", flag, ZERO)

    def count_digits(self, count: Operand) -> None:
        """How many elements have each value of each digit."""
        b, x = self.b, self.x
        zeros = Imm(0, i64, x.schedule.width)
        size = b.select(count > 0, DIGITS * self.key.size, 0)
        x.each(size, lambda at, mask: b.store(COUNTS, at, zeros, mask=mask))
        with b.loop(0, count, 1, "serial") as turn:
            key = b.load("sort.keys0", self.key, self.base + turn.var)
            for number in range(self.key.size):
                digit = self.digit(key, number)
                b.store(COUNTS, digit, b.load(COUNTS, i64, digit) + 1)

    def buffer(self, name: str, dtype: DType, second: Operand) -> tuple[str, Operand]:
        """That of the block, the first one or the second: a name, and where it begins."""
        if isinstance(second, Imm):
            return f"{name}{second.value}", self.base
        return self.b.window(dtype, f"{name}0", self.base, 1 - second, f"{name}1", self.base), ZERO

    def turn(
        self, number: int, count: Operand, turned: Operand, moved: Operand, last: bool
    ) -> tuple[Operand, Operand]:
        """One pass, by the digit of this number, from buffer to buffer; the `last` one writes places. Which
        buffer it is depends on the digits, but for warps, which leave none out."""
        b, x = self.b, self.x
        other = Imm(1 - int(turned.value), i64) if isinstance(turned, Imm) else 1 - turned
        keys, base = self.buffer("sort.keys", self.key, turned)
        places, places_to = "", ""
        if not self.statement.values:
            places, _ = self.buffer("sort.at", i64, turned)
            places_to, _ = self.buffer("sort.at", i64, other)
        keys_to, base_to = self.buffer("sort.keys", self.key, other)

        def element(index: Operand) -> Operand:
            if moved == ZERO or self.statement.values:
                return index
            known = b.load(places, i64, base + index)
            return known if moved == ONE else b.select(self.is_one(moved), known, index)

        many: Operand = count
        if not x.schedule.threads:
            first = self.digit(b.load(keys, self.key, base), number)
            many = b.select(b.op("eq", b.load(COUNTS, i64, first), count), 0, count)
        begin = Imm(DIGITS * number, i64)
        end = b.select(many > 0, DIGITS * (number + 1), begin)
        with b.loop(begin, end, 1, "serial", (ZERO,)) as turn:
            (so_far,) = turn.carried
            found = b.load(COUNTS, i64, turn.var)
            b.store(COUNTS, turn.var, so_far)
            turn.yields = (so_far + found,)
        with b.loop(0, many, 1, "serial") as turn:
            key = b.load(keys, self.key, base + turn.var)
            at, digit = element(turn.var), self.digit(key, number)
            target = b.load(COUNTS, i64, digit)
            b.store(COUNTS, digit, target + 1)
            if not last:
                b.store(keys_to, base_to + target, key)
                if not self.statement.values:
                    b.store(places_to, base_to + target, at)
            else:
                self.place(target, at, key)
        if x.schedule.threads:
            return other, ONE
        if last:
            with b.loop(0, count - many, 1, "serial") as turn:
                self.place(turn.var, element(turn.var), b.load(keys, self.key, base + turn.var))
        some = many > 0
        return b.select(some, other, turned), b.select(some, 1, moved)

    def digit(self, key: Operand, number: int) -> Operand:
        """Where its digit of this number is counted."""
        if number:
            key = key >> (8 * number)
        value = self.x.cast(key, i64) & (DIGITS - 1)
        return value + DIGITS * number

    def key_of(self, value: Operand) -> Operand:
        """An unsigned number that is less where the value comes first."""
        key = self.rising(value)
        return key ^ self.b.widen(self.most, key.lanes) if self.statement.falling else key

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
            size = bits & ~int(least.value)
            if not self.statement.values:
                bits = b.select(b.op("eq", size, b.imm(0, size)), size, bits)
            negative = bits < 0  # then all bits change, else the sign alone
            bits = bits ^ b.select(negative, b.imm(-1, bits), least)
            bits = b.select(size > infinity, b.imm(-1, bits), bits)
        else:
            bits = bits ^ least
        return b.op("bitcast", bits, dtype=self.key)

    def value_of(self, key: Operand) -> Operand:
        """The value that has this key."""
        b, dtype = self.b, k.expr_dtype(self.statement.expr)
        if self.statement.falling:
            key = key ^ b.widen(self.most, key.lanes)
        if dtype.kind == "u":
            return key
        if dtype is b1:
            return b.op("ne", key, b.imm(0, key))
        signed = DTYPES[f"i{dtype.bits}"]
        bits, least = b.op("bitcast", key, dtype=signed), Imm(-(1 << (dtype.bits - 1)), signed)
        if not dtype.is_float:
            return bits ^ int(least.value)
        positive = bits < 0
        back = b.select(positive, b.imm(least.value, bits), b.imm(-1, bits))
        return b.op("bitcast", bits ^ back, dtype=dtype)
