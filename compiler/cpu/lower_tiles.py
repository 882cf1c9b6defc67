"""Maps that read across memory: square tiles, transposed in registers.

    for block of rows x columns of o (parallel):
      for tile:
        16 vectors along the rows of x  =>  16 vectors along the columns      (64 shuffles)
        o[i, j] = f(x[j, i], ...)           row after row, vectors along the columns

A block is a strip: as many columns as memory likes to be written at once, and so many rows that what is
read of x is long, too. Where o is stored around the cache, tiles wait in working memory until whole rows
of the strip are there, and are stored while the next ones are transposed: memory takes twice as long to
write lines of the cache one by one. Rows and columns beyond the last whole tile are done under masks.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import BEGIN, END, ZERO, Imm, Operand, Prefetch
from ..ir.types import i64
from .lower import Lowering, Mode
from .schedule import tiles
from .values import LINE

# How far ahead memory is asked for: turns of the loop over the rows of a strip, of one line of x each.
AHEAD = 4
# Vectors of a row of a strip that are written out: it has a multiple of them.
VECTORS = 4
# The most working memory of a block; kernels that need more store as they go.
WAITING_BYTES = 65_536


@data
class _Strip:
    """Rows and columns of a block; up to where all tiles are whole."""

    top: Operand
    bottom: Operand
    left: Operand
    right: Operand
    whole_bottom: Operand
    whole_right: Operand


class TileLowering(Mode):
    """Lowers one kernel whose schedule says "tiles"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        shape = tiles(base.kernel)
        assert shape is not None
        self.width = base.schedule.width
        self.shape = shape
        self.rows, self.columns = base.schedule.tile
        self.step = max(self.width, *(LINE // load.dtype.size for load in shape.loads))
        self.wait = {load: f"wait.{n}" for n, load in enumerate(shape.loads)}
        (self.stage,) = base.kernel.stages
        self.extent = {a.name: base.extent(a.extent) for a in (*base.kernel.outer, *self.stage.axes)}

    def run(self) -> None:
        b, x = self.b, self.x
        count = 2 * self.step * self.columns  # elements of two turns
        fits = sum(count * load.dtype.size for load in self.wait) <= WAITING_BYTES
        fits = fits and not x.schedule.threads
        for load, name in self.wait.items():
            b.alloc(name, load.dtype, count if fits else self.width**2)
        x.hoist(self.stage, x.levels[0])
        stream = x.streams_rows() if fits else None
        down, along = (
            x.pieces(self.extent[self.shape.row], self.rows),
            x.pieces(self.extent[self.shape.column], self.columns),
        )
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope(*self.shape.batch) as level:
            strip = self.place(block.var, down, along)
            x.hoist(self.stage, level)
            top = strip.top if stream is None else self.streamed(strip, stream)
            self.plain(strip, top)
            self.edges(strip)

    # -- blocks

    def place(self, number: Operand, down: Operand, along: Operand) -> _Strip:
        """The strip of a block, and the outer axes that it does not vary with: blocks go along the
        columns first, then down the rows."""
        x, shape = self.x, self.shape
        left, right = x.share(number % along, self.columns, self.extent[shape.column])
        number = number // along
        top, bottom = x.share(number % down, self.rows, self.extent[shape.row])
        batch = [axis for axis in x.kernel.outer if axis.name in shape.batch]
        x.at.update(x.point(number // down, batch) if batch else {})
        whole = x.whole(top, bottom, self.width), x.whole(left, right, self.width)
        return _Strip(top, bottom, left, right, *whole)

    # -- the ways of a block

    def streamed(self, strip: _Strip, stream: Operand) -> Operand:
        """A strip of full width, but for its last rows, if it is stored around the cache. Returns the
        first row that is left. Each turn transposes `step` rows, and stores those of the turn before: tile
        by tile, since memory is to read and to write at the same time."""
        b, x, step, columns = self.b, self.x, self.step, self.columns
        full = b.op("eq", strip.right - strip.left, Imm(columns, i64))
        wanted = full & b.op("ne", stream, ZERO)
        end = b.select(wanted, self.x.whole(strip.top, strip.bottom, step), strip.top)
        some = strip.top < end
        last = b.select(some, end + step, end)
        share = max(1, step * self.width // columns)  # rows that are stored beside a tile of each row
        with b.loop(strip.top, last, step, "serial") as turn:
            i = turn.var
            fill = b.select(i < end, step, 0)
            drain = b.select(strip.top < i, step, 0)
            before = i - step
            half = Imm(step * columns, i64)
            here = (i & step) * columns
            there = half - here
            with b.loop(0, columns, self.width, "serial") as column:
                c = column.var
                j = strip.left + c
                self.prefetch(strip, i, j)
                with b.loop(0, fill, self.width, "serial") as s:
                    at = here + (s.var * columns + c)
                    found = self.tile(i + s.var, j)
                    self.keep(found, at, columns)
                first = c // self.width * share
                until = x.minimum(first + share, drain)
                x.streaming = True
                with b.loop(first, until, 1, "serial") as r:
                    row = there + r.var * columns
                    later = self.later(strip, before + r.var, strip.left)
                    with b.loop(0, columns, VECTORS * self.width, "vector") as e:
                        for u in range(VECTORS):
                            away = e.var + u * self.width
                            values = self.kept(row + away)
                            here_j = strip.left + away
                            self.prefetch_along(u, later[0], later[1] + away)
                            self.vector(before + r.var, here_j, values, None)
                x.streaming = False
        return end

    def plain(self, strip: _Strip, top: Operand) -> None:
        """Whole tiles from row `top` on, stored as they are."""
        b, x, width, step = self.b, self.x, self.width, self.step
        rows = strip.whole_bottom
        with (
            b.loop(top, rows, step, "serial") as i,
            b.loop(strip.left, strip.whole_right, width, "serial") as j,
        ):
            self.prefetch(strip, i.var, j.var)
            with b.loop(i.var, x.minimum(i.var + step, rows), width, "serial") as s:
                found = self.tile(s.var, j.var)
                for r in range(width):
                    values: dict[k.Expr, Operand] = {load: vectors[r] for load, vectors in found.items()}
                    self.vector(s.var + r, j.var, values, None)

    def edges(self, strip: _Strip) -> None:
        """What is right of the whole tiles, then what is below of them."""
        b, x, width = self.b, self.x, self.width
        with b.loop(0, 2, 1, "serial") as part:
            below = b.op("ne", part.var, ZERO)
            top = b.select(below, strip.whole_bottom, strip.top)
            bottom = b.select(below, strip.bottom, strip.whole_bottom)
            left = b.select(below, strip.left, strip.whole_right)
            with b.loop(top, bottom, width, "serial") as i, b.loop(left, strip.right, width, "serial") as j:
                x.mask = x.first_lanes(bottom - i.var)
                found = self.tile(i.var, j.var, strip.right - 1)
                x.mask = None
                self.keep(found, ZERO, width)
                mask = x.first_lanes(strip.right - j.var)
                count = x.minimum(bottom - i.var, width)
                with b.loop(0, count, 1, "serial") as r:
                    values = self.kept(r.var * width)
                    self.vector(i.var + r.var, j.var, values, mask)

    # -- tiles

    def address(self, load: k.Load, i: Operand, j: Operand) -> Operand:
        x = self.x
        x.at[self.shape.row], x.at[self.shape.column] = i, j
        index, _, _ = x.address(x.arrays[load.array], load.index)
        return index

    def step_of(self, load: k.Load) -> Operand | None:
        """From row to row of the kernel (None: 1)."""
        array = self.x.arrays[load.array]
        return Imm(array.step, i64) if array.step else None

    def stride(self, load: k.Load) -> Operand:
        """From column to column of the kernel."""
        (dim,) = (n for n, ix in enumerate(load.index) if ix.axis == self.shape.column)
        return self.x.stride(self.x.arrays[load.array], dim)

    def later(self, strip: _Strip, i: Operand, j: Operand) -> tuple[Operand, Operand]:
        """The row and column of a few turns later; below the last row, those of the next strip."""
        b = self.b
        later = i + AHEAD * self.step
        beyond = later >= strip.bottom
        again = later - (strip.bottom - strip.top)
        next_j = j + self.columns
        return b.select(beyond, again, later), b.select(beyond, next_j, j)

    def prefetch(self, strip: _Strip, i: Operand, j: Operand) -> None:
        """What is read across memory a few turns later."""
        b = self.b
        i, j = self.later(strip, i, j)
        for load in self.shape.loads:
            start, stride = self.address(load, i, j), self.stride(load)
            for c in range(self.width):
                away = stride * c
                b.emit(Prefetch(load.array, start + away, far=True))

    def prefetch_along(self, u: int, i: Operand, j: Operand) -> None:
        """What is read along row i, from column j on, beside vector `u` of a turn: each line once."""
        for load in self.shape.along:
            if u * self.width * load.dtype.size % LINE == 0:
                self.b.emit(Prefetch(load.array, self.address(load, i, j), far=True))

    def tile(self, i: Operand, j: Operand, last: Operand | None = None) -> dict[k.Load, list[Operand]]:
        """The elements of a tile, as one vector along the columns for each row; those of columns behind
        the `last` are read from that one."""
        b, x, found = self.b, self.x, dict[k.Load, list[Operand]]()
        for load in self.shape.loads:
            start, stride, step = self.address(load, i, j), self.stride(load), self.step_of(load)
            vectors: list[Operand] = []
            for c in range(self.width):
                column: Operand = Imm(c, i64)
                if last is not None:
                    column = x.minimum(column, last - j)
                index = start + stride * column
                vectors.append(b.load(load.array, load.dtype, index, self.width, step, x.mask))
            found[load] = self.crossed(load, vectors)
        return found

    def crossed(self, load: k.Load, vectors: list[Operand]) -> list[Operand]:
        """Vectors along rows as vectors along columns."""
        for _ in range(self.width.bit_length() - 1):  # written out: it is most of the work
            vectors = [*self.x.exchanged(vectors)]
        return vectors

    def keep(self, found: Mapping[k.Load, list[Operand]], at: Operand, stride: int) -> None:
        b = self.b
        for load, vectors in found.items():
            for r, vector in enumerate(vectors):
                b.store(self.wait[load], at + r * stride, vector)

    def kept(self, at: Operand) -> dict[k.Expr, Operand]:
        b, found = self.b, dict[k.Expr, Operand]()
        for load, name in self.wait.items():
            found[load] = b.load(name, load.dtype, at, self.width)
        return found

    def vector(self, i: Operand, j: Operand, values: dict[k.Expr, Operand], mask: Operand | None) -> None:
        """One vector along row i, from column j on, where `values` have been read across memory."""
        x = self.x
        with x.scope(*x.outer, self.shape.column) as level:
            level.values |= values
            x.vector, x.mask = self.shape.column, mask
            x.at[self.shape.row], x.at[self.shape.column] = i, j
            x.body(self.stage, 0)
