"""Matrix products by teams of warps: a tile of 64 x 64 sums, over panels of both operands in shared memory.

for block of 64 rows x 64 columns (parallel):
  for part of the depth:
    for panel of 16 steps of the part:
      the elements of the next panel, on their way from memory to registers
      chains[8 rows, 8 columns] += left[8 rows, l] * right[l, 8 columns]   for the 4 steps l of a chain
      the next panel, from registers to the half of shared memory that nobody reads;  barrier
    sums += chains, halved: by shuffles, after which each lane has 4 x 4 of the sums
  epilogue, row after row, by vectors along the columns

A lane is one chain of one of 8 places in the tile of its warp: lanes 4 n to 4 n + 3 have the chains of place
n, and each does only the steps of its own. So 64 sums are in registers where one chain is; all of them would
need four times as many. Steps of a panel are 68 elements apart, and sums lie as `row_of_sums` says: no
lane meets another one in a bank. The panel that the depth ends in lies apart: it is 0 up to whole chains, as
on every target. Rows and columns beyond the last are the last one again, and nobody reads their sums. The
order is that of `order.py`.
"""

from __future__ import annotations

from ..cpu.schedule import COSTLY
from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import BEGIN, END, ONE, THREAD, ZERO, Barrier, Imm, Operand
from ..ir.types import i32, i64
from .lower_product import WarpProductLowering
from .schedule import PRODUCT_TEAM, PRODUCT_TILE, PRODUCT_WARPS_DOWN
from .target import WARP

DEPTH = 16  # steps of a panel
PITCH = PRODUCT_TILE + 4
PANEL = DEPTH * PITCH  # elements; there are two, and one that the depth ends in
SUMS = PRODUCT_TILE + 8  # elements from one row of sums to the next
SIDE = 4  # rows, and columns, of a lane lie side by side: so many here, and as many 32 further
EACH = PRODUCT_TILE * DEPTH // WARP // PRODUCT_TEAM  # vectors of a panel that a warp brings


@data
class _Panel:
    """What a warp brings of an operand: vector `v` has the elements of `points[v]`, clamped, at `steps[v]` of
    a panel, and goes to `places[v]` of `array`; vectors of places, or a scalar for lanes side by side."""

    array: str
    expr: k.Expr
    axes: tuple[str, ...]
    points: tuple[Operand, ...]
    steps: tuple[Operand, ...]
    places: tuple[Operand, ...]


class TeamProductLowering(WarpProductLowering):
    """Lowers one kernel whose schedule says "product", with a team."""

    def run(self) -> None:
        b, x = self.b, self.x
        for name, count in (("left", 3 * PANEL), ("right", 3 * PANEL), ("sums", PRODUCT_TILE * SUMS)):
            b.alloc(name, self.dtype, count, shared=True)
        x.hoist_all()
        b.loc = self.p.reduce.loc
        self.lane = b.op("iota", dtype=i64, lanes=WARP)
        chain, down, across = self.bits(0, 2), self.bits(2, 1), self.bits(3, 2)
        warp_down = THREAD & (PRODUCT_WARPS_DOWN - 1)
        warp_across = THREAD // PRODUCT_WARPS_DOWN
        row = down * 16 + warp_down * SIDE
        column = across * 8 + warp_across * SIDE
        step = chain * PITCH
        self.reads = step + row, step + column
        self.own = THREAD * (SIDE * SIDE * WARP)  # where the warp's sums wait
        self.high, self.odd = (b.op("ne", self.lane & n, ZERO) for n in (2, 1))
        half_down, half_across = self.bits(1, 1), self.bits(0, 1)  # after the chains have been halved
        row = row + half_down * WARP
        column = column + half_across * WARP
        self.spot = self.row_of_sums(row) + self.place_of_sum(column)
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            strips = x.pieces(self.right.count, PRODUCT_TILE)
            number, line = block.var // x.slot("block"), block.var % x.slot("block")
            x.at.update(self.place(self.p.batch, number // strips))
            top, first = (n * PRODUCT_TILE for n in (line, number % strips))
            left, right = self.left, self.right
            self.panels = (
                self.panel("left", left.expr, left.axes, top, left.count),
                self.panel("right", right.expr, right.axes, first, right.count),
            )
            self.whole = self.depth & -DEPTH  # steps of panels that are whole
            b.emit(Barrier())
            for n in range(SIDE * SIDE):
                b.store("sums", self.own + n * WARP, Imm(0, self.dtype, WARP))
            with b.loop(0, x.minimum(self.whole, ONE), 1, "serial"):
                for panel in self.panels:
                    self.keep(panel, self.fetch(panel, ZERO), ZERO)
            with b.loop(self.whole, self.depth, DEPTH, "serial") as rest:
                left_over = self.depth - rest.var
                for panel in self.panels:
                    self.keep(panel, self.fetch(panel, rest.var, left_over), Imm(2 * PANEL, i64))
            b.emit(Barrier())
            parts = self.depth & -self.part
            with b.loop(0, parts, self.part, "serial") as part:
                self.add(self.panels_of(part.var, part.var + self.part, whole=True))
            with b.loop(parts, self.depth, self.part, "serial") as part:  # the last one, if it is shorter
                self.add(self.rest(self.panels_of(part.var, self.whole, whole=False)))
            self.spread()
            b.loc = None
            self.finish(top, first)

    # -- small helpers

    def bits(self, first: int, count: int) -> Operand:
        """Some bits of the lane's number."""
        moved = self.lane >> first if first else self.lane
        return moved & ((1 << count) - 1)

    def buffer(self, step: Operand) -> Operand:
        """Where the panel that begins with a step lies."""
        number = step >> (DEPTH.bit_length() - 1)
        return (number & 1) * PANEL

    def field(self, value: Operand, first: int, count: int, by: int) -> Operand:
        """Some bits of a number, times something."""
        return ((value >> first) & ((1 << count) - 1)) * by

    def row_of_sums(self, row: Operand) -> Operand:
        """Where a row of sums begins: those of one store, 16 and 32 further, are neighbours there."""
        first = self.field(row, 5, 1, SUMS) + self.field(row, 4, 1, 2 * SUMS)
        return first + self.field(row, 0, 4, 4 * SUMS)

    def place_of_sum(self, column: Operand) -> Operand:
        """Where in its row a column is: those of one store, 8 and 32 further, are neighbours there."""
        first = self.field(column, 5, 1, 1) + self.field(column, 3, 2, 2)
        return first + self.field(column, 0, 2, 8) + self.field(column, 2, 1, 33)

    # -- panels

    def panel(
        self, array: str, expr: k.Expr, axes: tuple[str, ...], start: Operand, count: Operand
    ) -> _Panel:
        """Vectors along the depth have 8 steps of 4 points, whole sectors of memory; others 32 points."""
        last = count - 1
        along = self.along_depth(expr, axes)
        points, steps, places = (list[Operand]() for _ in range(3))
        for v in range(EACH):
            number = THREAD * (EACH // 2) + v // 2  # v % 2 tells the rest
            if along:
                step: Operand = self.bits(0, 3) + 8 * (v % 2)
                own: Operand = number * 4 + self.bits(3, 2)
                place: Operand = step * PITCH + own
            else:
                step, own = number, self.lane + WARP * (v % 2)
                place = step * PITCH + WARP * (v % 2)
            points.append(self.x.minimum(start + own, last))
            steps.append(step)
            places.append(place)
        return _Panel(array, expr, axes, tuple(points), tuple(steps), tuple(places))

    def along_depth(self, expr: k.Expr, axes: tuple[str, ...]) -> bool:
        """Whether memory runs along the depth."""
        lasts = self.lasts(expr)
        return self.p.depth[-1] in lasts and axes[-1] not in lasts

    def fetch(self, panel: _Panel, start: Operand, count: Operand | None = None) -> list[Operand]:
        """The elements of the panel that begins with step `start`. Where it has only `count` steps: 0 up to
        whole chains, as much as every target adds to them."""
        b, x, found = self.b, self.x, list[Operand]()
        for point, step in zip(panel.points, panel.steps, strict=True):
            here = step if count is None else self.x.minimum(step, count - 1)
            x.at.update(self.place(self.p.depth, start + here))
            x.at.update(self.place(panel.axes, point))
            value = self.value(panel.expr)
            if count is not None:
                value = b.select(step < count, value, Imm(0, self.dtype))
            found.append(value)
        return found

    def keep(self, panel: _Panel, values: list[Operand], buffer: Operand) -> None:
        for place, value in zip(panel.places, values, strict=True):
            self.b.store(panel.array, buffer + place, value)

    # -- sums

    def panels_of(self, start: Operand, end: Operand, *, whole: bool) -> tuple[Operand, ...]:
        """The chains of a part, or of as much of it as whole panels are. Where it is `whole`, two panels a
        turn: so it is known which half of shared memory each has. A costly epilogue, or two operands along
        the depth, leave no registers for that."""
        b, costs = self.b, (self.x.cost(n, ()) for n in range(1, len(self.x.kernel.stages)))
        apart = not all(self.along_depth(side.expr, side.axes) for side in (self.left, self.right))
        two = whole and apart and max(costs, default=0) < COSTLY
        count = 2 if two else 1
        zeros = (Imm(0, self.dtype, WARP),) * (4 * SIDE * SIDE)
        with b.loop(start, end, count * DEPTH, "serial", zeros) as line:
            now = list[Operand](line.carried)
            for number in range(count):
                at: Operand = Imm(number * PANEL, i64) if two else self.buffer(line.var)
                other: Operand = Imm((1 - number) * PANEL, i64) if two else Imm(PANEL, i64) - at
                after = self.x.minimum(line.var + (DEPTH + number * DEPTH), self.whole - DEPTH)
                for first, panel in zip((0, DEPTH // 2), self.panels, strict=True):
                    values = self.fetch(panel, after)  # on their way while half of the panel is computed
                    for n in range(first, first + DEPTH // 2, self.chains):
                        now = self.steps_of_chains(now, at + n * PITCH)
                    self.keep(panel, values, other)
                b.emit(Barrier())
            line.yields = tuple(now)
        return line.results

    def rest(self, chains: tuple[Operand, ...]) -> tuple[Operand, ...]:
        """With the panel that the depth ends in."""
        b = self.b
        with b.loop(0, self.depth - self.whole, self.chains, "serial", chains) as turn:
            at = turn.var * PITCH + 2 * PANEL
            turn.yields = tuple(self.steps_of_chains(list(turn.carried), at))
        return turn.results

    def add(self, chains: tuple[Operand, ...]) -> None:
        """The chains of a part to the sums."""
        b, x, found = self.b, self.x, list[Operand](chains)
        for bit, distance in ((self.high, 2), (self.odd, 1)):
            found = self.joined(found, bit, distance)
        places = [self.own + n * WARP for n in range(len(found))]
        before = [b.load("sums", self.dtype, at, WARP) for at in places]
        for at, old, value in zip(places, before, found, strict=True):
            (total,) = x.merge("sum", (old,), (value,))
            b.store("sums", at, total)

    def steps_of_chains(self, now: list[Operand], at: Operand) -> list[Operand]:
        """One step of each chain. Bits of a sum's number: 32 rows on, 32 columns on, then row and column."""
        b = self.b
        sides = [
            [
                b.load(name, self.dtype, at + reads + (half * WARP + n), WARP)
                for half in range(2)
                for n in range(SIDE)
            ]
            for name, reads in zip(("left", "right"), self.reads, strict=True)
        ]
        found = list[Operand]()
        for number, chain in enumerate(now):
            high, odd, n = number >> 5, number >> 4 & 1, number & 15
            left, right = sides[0][SIDE * high + n // SIDE], sides[1][SIDE * odd + n % SIDE]
            found.append(self.added(chain, left, right))
        return found

    def joined(self, values: list[Operand], bit: Operand, distance: int) -> list[Operand]:
        """Chains that are halved: of two lanes one goes on with the first half of the sums."""
        b, half = self.b, len(values) // 2
        found = list[Operand]()
        for one, other in zip(values[:half], values[half:], strict=True):
            mine, theirs = b.select(bit, other, one), b.select(bit, one, other)
            got = b.op("shuffle", theirs, Imm(distance, i32), dtype=self.dtype, lanes=WARP)
            found += self.x.merge("sum", (mine,), (got,))
        return found

    def spread(self) -> None:
        """The sums of all lanes, as rows."""
        b, every = self.b, range(SIDE * SIDE)
        held = [b.load("sums", self.dtype, self.own + n * WARP, WARP) for n in every]
        b.emit(Barrier())
        for n, value in zip(every, held, strict=True):
            b.store("sums", self.spot + (n // SIDE * 4 * SUMS + n % SIDE * 8), value)
        b.emit(Barrier())

    def finish(self, top: Operand, first: Operand) -> None:
        b, x = self.b, self.x
        count = x.minimum(self.left.count - top, PRODUCT_TILE)
        with b.loop(THREAD, count, PRODUCT_TEAM, "serial") as row:
            x.at.update(self.place(self.p.rows, top + row.var))
            for half in range(PRODUCT_TILE // WARP):
                column = first + half * WARP
                mask = x.first_lanes(self.right.count - column)
                place = self.place_of_sum(self.lane + half * WARP)
                at = self.row_of_sums(row.var) + place
                self.results(column, mask, b.load("sums", self.dtype, at, WARP))
