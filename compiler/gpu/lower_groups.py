"""Rows of a few elements: what is read of a group of rows comes to shared memory by whole vectors, once.

for group of 32 rows:
  tile.X[row, j] = X[i, j]               side by side in memory, so lanes are neighbours; some are read at
  once stage j:  p = sum(X[i, j] * w[j])      a lane for each row, one j after the other stage:    c = clip(p
  - y[i]) ...       the 32 rows at once stage j:  g[j] += c * X[i, j]          row after row, as on a CPU: a
  lane for each j

A row of a tile is a power of two long, and after 32 elements one is left out: so 32 rows at one j, and
vectors of a row, are in banks of their own each. A lane that a row has no element for is left out when lanes
are halved: it would change nothing."""

from __future__ import annotations

from ..cpu.lower import Lowering
from ..cpu.lower_groups import SUMS, Group, GroupLowering
from ..cpu.values import ROW, Level
from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import Imm, Operand, Value
from ..ir.types import i64
from ..ops.folds import Acc
from ..order import lanes
from .launch import WARPS
from .target import SHARED, WARP

# Vectors that are read at once.
AT_ONCE = 16
# Bytes of tiles at most, so that there is room for several warps; and of what is known of rows one by one.
MOST, SPARE = SHARED // WARPS - 4096, 6144
# Columns whose own values are kept in registers, from before the first group on.
HELD = 32
# Elements of a tile that lie side by side, and how far the next ones are.
PITCH = WARP + 1


@data
class _Tile:
    """Of rows of `size` elements, with room for `room` each."""

    array: k.Array
    size: int
    room: int

    @property
    def name(self) -> str:
        return f"tile.{self.array.name}"

    @property
    def elements(self) -> int:
        return -(-(self.room * PITCH + WARP) // WARP) * WARP  # a row may begin at the end


class WarpGroupLowering(GroupLowering):
    """Lowers one kernel whose schedule says "groups"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.tiles = self.find()
        self.across = {n for n, stage in enumerate(base.kernel.stages) if self.is_across(n, stage)}
        self.fixed: dict[int, list[Level]] = {}  # what is known of the columns of a stage
        self.own = base.b.op("iota", dtype=i64, lanes=WARP)

    # -- what is done how

    def find(self) -> dict[str, _Tile]:
        """Arrays that are read by rows, as far as shared memory goes."""
        x, found = self.x, dict[str, _Tile]()
        left = min(MOST, SHARED - SPARE - self.others())
        for stage in x.kernel.stages:
            for e in dict.fromkeys(k.expressions(stage)):
                array = self.by_rows(stage, e)
                if array is None or array.name in found:
                    continue
                size = self.size(stage.axes[0])
                tile = _Tile(array, size, 1 << (size - 1).bit_length())
                if (taken := tile.elements * array.dtype.size) <= left:
                    found[array.name], left = tile, left - taken
        return found

    def others(self) -> int:
        """Bytes of working memory that lanes and values which wait may need besides."""
        stages = self.x.kernel.stages
        size = WARP * WARP * max(sum(d.size for r in self.reduces(s) for d in r.dtypes) for s in stages)
        for number, every in self.computes.items():
            (axis,) = stages[number].axes
            size += sum(WARP * WARP * self.vectors(axis) * k.expr_dtype(e).size for e, _ in every)
        return size

    def by_rows(self, stage: k.Stage, e: k.Expr) -> k.Array | None:
        """The array of a load along the rows, whose elements lie side by side."""
        if not isinstance(e, k.Load) or e.array not in self.x.arrays or e.guards or not stage.axes:
            return None
        array, (axis,) = self.x.arrays[e.array], stage.axes
        plain = array.unit and not any(ix.shift for ix in e.index)
        return array if plain and [ix.axis for ix in e.index] == [self.outer.name, axis.name] else None

    def is_across(self, number: int, stage: k.Stage) -> bool:
        """Whether there is nothing to do but to reduce rows, of tiles and of what is the same for all
        rows."""
        if not stage.axes or number in self.computes or any(n == number for n, _ in self.reads):
            return False
        if any(isinstance(s, k.Store) or (isinstance(s, k.Reduce) and s.keep) for s in stage.body):
            return False
        inner = {a.name for a in stage.axes}
        for e in k.expressions(stage):
            if isinstance(e, k.Pick):
                return False
            both = isinstance(e, k.Load) and {self.outer.name} | inner <= {ix.axis for ix in e.index}
            array = self.by_rows(stage, e)
            if both and (array is None or array.name not in self.tiles):
                return False
        return True

    def names(self, reduce: k.Reduce) -> list[str]:
        """Lanes that are folded at the end of their stage: stages have the same memory, one after the
        other."""
        (stage,) = (s for s in self.x.kernel.stages if reduce in s.body)
        every = self.reduces(stage)
        first = sum(len(r.names) for r in every[: every.index(reduce)])
        return [f"{SUMS}{first + n}.{dtype}" for n, dtype in enumerate(reduce.dtypes)]

    def folded(self, number: int, stage: k.Stage) -> list[k.Reduce]:
        return [] if number in self.across else super().folded(number, stage)

    # -- before the groups

    def memory(self) -> None:
        super().memory()
        b, x = self.b, self.x
        for tile in self.tiles.values():
            dtype = tile.array.dtype
            b.alloc(tile.name, dtype, tile.elements)
            for at in range(0, tile.elements, WARP):  # what is never read of the array
                b.store(tile.name, at, Imm(0, dtype, WARP))
        for number in self.across:
            stage = x.kernel.stages[number]
            (axis,) = stage.axes
            if self.size(axis) <= HELD:
                self.fixed[number] = self.columns_of(number, stage, axis)

    def columns_of(self, number: int, stage: k.Stage, axis: k.Axis) -> list[Level]:
        """What is known of each column."""
        x, found = self.x, list[Level]()
        x.number = number
        for j in range(self.size(axis)):
            with x.scope(axis.name) as level:
                x.at[axis.name] = Imm(j, i64)
                x.hoist(stage, level)
                found.append(level)
        x.number = -1
        return found

    # -- a group

    def begins(self, tile: _Tile, row: Operand) -> Operand:
        """Where a row of a tile begins."""
        first = row * tile.room
        return first + (first >> (WARP.bit_length() - 1))

    def read(self, group: Group) -> None:
        """The tiles, and what else is read of the rows: all of it is on its way before anybody waits."""
        x = self.x
        with self.rows(group):
            for stage in x.kernel.stages:
                for e in dict.fromkeys(k.expressions(stage)):
                    if not isinstance(e, k.Load) or e.array not in x.arrays or e.guards:
                        continue
                    if [ix.axis for ix in e.index] == [self.outer.name]:
                        x.value(e)
        every = [(tile, v) for tile in self.tiles.values() for v in range(tile.room)]
        windows: dict[str, str] = {}
        for first in range(0, len(every), AT_ONCE):
            some = every[first : first + AT_ONCE]
            values = [self.vector(tile, v, group, windows) for tile, v in some]
            for (tile, v), value in zip(some, values, strict=True):
                self.b.store(tile.name, v * PITCH, value)

    def vector(self, tile: _Tile, v: int, group: Group, windows: dict[str, str]) -> Value:
        """Vector v of a tile, from memory: of several rows, or a part of one. `windows`: where the rows of
        the vector before begin."""
        b, x, array, room = self.b, self.x, tile.array, tile.room
        stride, bits = x.stride(array, 0), (room - 1).bit_length()
        row, part = divmod(v * WARP, room)
        column = self.own & (min(room, WARP) - 1)
        of_lane = self.own >> min(bits, WARP.bit_length() - 1)
        if part == 0:
            of, away = array.name, group.base * stride
            if tile.name in windows:
                of, away = windows[tile.name], max(1, WARP // room) * stride
            windows[tile.name] = b.window(array.dtype, of, away)
        name = windows[tile.name]
        mask: Operand | None = None
        if part + WARP > tile.size and tile.size < room:
            mask = column < tile.size - part
        if group.live is not None:
            mask = x.both(mask, of_lane + row < group.count)
        if room >= WARP:
            return b.load(name, array.dtype, part, WARP, None, mask)
        at = of_lane * stride + column
        return b.load(name, array.dtype, at, WARP, None, mask)

    def waited(self, row: Operand, u: int, at: Operand, here: Level) -> None:
        super().waited(row, u, at, here)
        stage = self.x.kernel.stages[self.x.number]
        for e in dict.fromkeys(k.expressions(stage)):
            array = self.by_rows(stage, e)
            if array is not None and array.name in self.tiles:
                tile = self.tiles[array.name]
                place = self.begins(tile, row) + u * PITCH
                here.values[e] = self.b.load(tile.name, array.dtype, place, WARP)

    def inner(self, stage: k.Stage, group: Group, found: list[k.Expr]) -> list[Acc]:
        x = self.x
        if x.number not in self.across:
            return super().inner(stage, group, found)
        (axis,) = stage.axes
        reduces, size = self.reduces(stage), self.size(axis)
        every: list[list[Acc]] = [[] for _ in reduces]
        fixed = self.fixed.get(x.number)
        outside = x.levels
        with self.rows(group):
            for j in range(size):
                here = Level(x.outer | {ROW, axis.name})
                x.at[axis.name] = Imm(j, i64)
                x.levels = [*outside[:1], *([fixed[j]] if fixed else []), *outside[1:], here]
                self.column(stage, j, here)
                for reduce, accs in zip(reduces, every, strict=True):
                    with self.b.at(reduce.loc):
                        count = lanes(*reduce.dtypes)
                        old = accs[j % count] if j >= count else x.nothing(reduce.op, x.start(reduce, WARP))
                        acc = x.wide(x.step(reduce, old, x.args(reduce)), old, None)
                        accs[j % count : j % count + 1] = [acc]
            x.levels = outside
            del x.at[axis.name]
            return [self.halved(reduce, accs) for reduce, accs in zip(reduces, every, strict=True)]

    def column(self, stage: k.Stage, j: int, here: Level) -> None:
        """Element j of all rows, from the tiles."""
        b = self.b
        for e in dict.fromkeys(k.expressions(stage)):
            array = self.by_rows(stage, e)
            if array is not None:
                tile = self.tiles[array.name]
                away = j + j // WARP
                at = self.begins(tile, self.own) + away
                here.values[e] = b.load(tile.name, array.dtype, at, WARP)

    def halved(self, reduce: k.Reduce, accs: list[Acc]) -> Acc:
        """The lanes of each row."""
        half = lanes(*reduce.dtypes) // 2
        while half:
            for lane in range(min(half, len(accs) - half)):
                with self.b.at(reduce.loc):
                    accs[lane] = self.x.merge(reduce.op, accs[lane], accs[lane + half])
            accs, half = accs[: max(half, 1)], half // 2
        return accs[0]
