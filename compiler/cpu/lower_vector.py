"""Products of one row: a vector times a matrix. It is read once, so nothing is packed.

    for block of columns (parallel):
      for part of the depth:
        chains[columns, l mod C] += left[l] * right[l, columns]     for l in part, many steps to a walk
        sums[columns] += chains, halved
      epilogue, by vectors along the columns

Where the matrix runs along memory with the depth, vectors do too: a vector of chains has the C lanes of each
of a few columns, which stay in registers. The order is that of products of more rows.
"""

from __future__ import annotations

from ..ir.data import replace
from ..ir.loop import BEGIN, END, ZERO, Alloc, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc
from .lower import Lowering
from .lower_product import ProductLowering
from .schedule import VECTOR_COLUMNS, Schedule
from .values import ROW, View
from .views import windows

# Steps of the depth in one walk along the columns: each has a stream of its own from memory.
TOGETHER = 8
# Chains, of vectors or of parts, that are there at a time: so many instructions hide how long each takes.
AT_ONCE = 4


class VectorLowering(ProductLowering):
    """Lowers one kernel whose schedule says "vector"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.column = self.p.column
        self.walk_one = self.extents[self.column] == 1 and len(self.p.depth) == 1
        self.right = replace(self.right, size=self.width)
        self.along_depth = self.right.walk == "steps"  # the matrix, in memory
        self.across = self.width // self.chains  # columns of a vector along the depth

    def run(self) -> None:
        b, x = self.b, self.x
        x.hoist_all()
        b.emit(Alloc("sums", self.dtype, VECTOR_COLUMNS + AT_ONCE * self.width))
        b.loc = self.p.reduce.loc
        if not self.walk_one and not self.along_depth:
            b.emit(Alloc("chains", self.dtype, self.chains * VECTOR_COLUMNS))
        axes = (*self.p.batch, *self.p.rows)
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope(*axes) as level:
            parts = x.slot("block")
            x.at.update(self.place(self.p.batch, block.var // parts))
            x.at.update(self.place(self.p.rows, ZERO))
            lo, hi = self.share(self.right, block.var % parts, parts)
            for stage in x.kernel.stages:
                x.hoist(stage, level)
            if self.walk_one:
                self.one(self.single())
            else:
                if self.along_depth:
                    self.down(lo, hi)
                else:
                    self.along(lo, hi)
                if self.extents[self.column] == 1:
                    self.one(b.load("sums", self.dtype, 0))
                else:
                    self.columns(lo, hi)

    # -- sums

    def along(self, lo: Operand, hi: Operand) -> None:
        """Several steps of the depth at a time, vectors along the columns."""
        b, x, c = self.b, self.x, self.chains
        zero, size = Imm(0, self.dtype, self.width), hi - lo
        with b.loop(0, size, self.width, "vector") as clear:
            self.put("sums", clear.var, zero)
        with b.loop(0, self.depth, self.part, "serial") as part:
            with b.loop(0, size, self.width, "vector") as clear:
                for n in range(c):
                    self.put("chains", clear.var + n * VECTOR_COLUMNS, zero)
            count = x.minimum(self.depth - part.var, self.part)
            whole = count & -TOGETHER
            for begin, end, together in ((ZERO, whole, TOGETHER), (whole, count, 1)):
                with b.loop(begin, end, together, "serial") as line:
                    self.walk(part.var, line.var, together, lo, hi)
            with b.loop(0, size, self.width, "vector") as add:
                every: list[Acc] = [
                    (b.load("chains", self.dtype, add.var + n * VECTOR_COLUMNS, self.width),)
                    for n in range(c)
                ]
                sums = (b.load("sums", self.dtype, add.var, self.width),)
                (total,) = x.merge("sum", sums, x.halve_vectors("sum", every))
                self.put("sums", add.var, total)

    def walk(self, part: Operand, line: Operand, together: int, lo: Operand, hi: Operand) -> None:
        """One walk along the columns, `together` steps of the depth from `line` of a part on."""
        b, x, c = self.b, self.x, self.chains
        numbers = [part + (line + n) for n in range(together)]
        places = [self.place(self.p.depth, number) for number in numbers]
        ones, views = list[Operand](), list[dict[View, str]]()
        for place in places:
            x.at.update(place)
            views.append(windows(x, self.right.expr, self.column))
            with x.scope(*self.extents, ROW):
                ones.append(x.cast(x.value(self.left.expr), self.dtype))
        first = (line & (c - 1)) * VECTOR_COLUMNS

        def chunk(u: int) -> None:
            spot = x.at[self.column] - lo + first
            spots = [spot + n * VECTOR_COLUMNS for n in range(min(c, together))]
            totals: list[Operand] = [b.load("chains", self.dtype, at, self.width) for at in spots]
            for n, (place, one) in enumerate(zip(places, ones, strict=True)):
                x.at.update(place)
                x.views = views[n]
                totals[n % c] = self.added(totals[n % c], one, self.value(self.right.expr))
            x.views = {}
            for at, total in zip(spots, totals, strict=True):
                self.put("chains", at, total)

        x.vectors(self.column, lo, hi, chunk)

    def regroup(self, vectors: list[Operand]) -> list[Operand]:
        """Vectors along the depth, one a column: one for each C steps, with these steps of all columns."""
        for _ in range(self.across.bit_length() - 1):
            vectors = list(self.x.exchanged(vectors, self.chains))
        return vectors

    def down(self, lo: Operand, hi: Operand) -> None:
        """Vectors along the depth, for a few columns at a time."""
        b, x = self.b, self.x
        (depth,) = self.p.depth
        count = max(AT_ONCE, self.chains)
        last = hi - 1
        with b.loop(lo, hi, count * self.across, "serial") as tile:
            columns = [x.minimum(tile.var + n, last) for n in range(count * self.across)]
            views = list[dict[View, str]]()
            for x.at[self.column] in columns:
                views.append(windows(x, self.right.expr, depth))
            own = windows(x, self.left.expr, depth)
            sums: tuple[Operand, ...] = (Imm(0, self.dtype, self.width),) * (count // self.chains)
            with b.loop(0, self.depth, self.part, "serial", sums) as part:
                end = x.minimum(part.var + self.part, self.depth)
                chains: tuple[Operand, ...] = (Imm(0, self.dtype, self.width),) * count
                for begin, stop, masked in self.spans(part.var, end):
                    with b.loop(begin, stop, self.width, "vector", chains) as line:
                        x.vector, x.at[depth] = depth, line.var
                        x.mask = x.first_lanes(end - line.var) if masked else None
                        x.views = own
                        ones = self.regroup([self.value(self.left.expr)] * self.across)
                        now: list[Operand] = list(line.carried)
                        for t in range(count):
                            others = list[Operand]()
                            for n in range(t * self.across, (t + 1) * self.across):
                                x.at[self.column], x.views = columns[n], views[n]
                                others.append(self.value(self.right.expr))
                            for one, other in zip(ones, self.regroup(others), strict=True):
                                now[t] = self.added(now[t], one, other)
                        x.vector, x.mask, x.views = None, None, {}
                        line.yields = tuple(now)
                    chains = line.results
                folded = x.folded(
                    "sum", [(v,) for v in chains], self.chains, len(sums)
                )  # column after column
                found = zip(part.carried, folded, strict=True)
                part.yields = tuple(v for total, new in found for v in x.merge("sum", (total,), new))
            for n, found_sum in enumerate(part.results):
                self.put("sums", (tile.var + n * self.width) - lo, found_sum)

    def single(self) -> Operand:
        """The sum of one column: a vector of chains, for several parts at a time."""
        b, x = self.b, self.x
        (depth,) = self.p.depth
        x.at[self.column] = ZERO
        outside, x.schedule = x.schedule, Schedule("vector", self.chains, self.chains)
        most = AT_ONCE * self.part
        whole = self.depth & -most
        totals: tuple[Operand, ...] = (Imm(0, self.dtype),)
        for begin, stop, parts in ((ZERO, whole, AT_ONCE), (whole, self.depth, 1)):
            with b.loop(begin, stop, parts * self.part, "serial", totals) as turn:
                left = x.minimum(self.depth - turn.var, self.part)
                full = left & -self.chains
                spans: list[tuple[Operand, Operand, bool]] = [(ZERO, Imm(self.part, i64), False)]
                if parts == 1:
                    spans = [(ZERO, full, False), (full, left, True)]
                chains: tuple[Operand, ...] = (Imm(0, self.dtype, self.chains),) * parts
                for lo, hi, masked in spans:
                    with b.loop(lo, hi, self.chains, "vector", chains) as line:
                        x.vector, now = depth, list[Operand](line.carried)
                        x.mask = x.first_lanes(left - line.var) if masked else None
                        for n in range(parts):
                            x.at[depth] = turn.var + line.var + n * self.part
                            one, other = self.value(self.left.expr), self.value(self.right.expr)
                            now[n] = self.added(now[n], one, other)
                        x.vector, x.mask = None, None
                        line.yields = tuple(now)
                    chains = line.results
                so_far: Operand = turn.carried[0]
                for vector in chains:
                    (so_far,) = x.merge("sum", (so_far,), x.halve("sum", [(vector,)]))
                turn.yields = (so_far,)
            totals = turn.results
        x.schedule = outside
        return totals[0]

    def one(self, total: Operand) -> None:
        """What follows the sum of one column."""
        x, self.b.loc = self.x, None
        with x.scope(*self.extents, ROW):
            x.at[self.column] = ZERO
            x.rows[self.p.reduce.names[0]] = total
            for stage in x.kernel.stages[1:]:
                x.scalar_stage(stage)

    def columns(self, lo: Operand, hi: Operand) -> None:
        """What follows the sums."""
        b, x = self.b, self.x
        b.loc = None

        def chunk(u: int) -> None:
            spot = x.at[self.column] - lo
            x.rows[self.p.reduce.names[0]] = b.load("sums", self.dtype, spot, self.width)
            for stage in x.kernel.stages[1:]:
                x.body(stage, 0)

        x.vectors(self.column, lo, hi, chunk)
