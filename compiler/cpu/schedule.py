"""How a kernel is laid out on a CPU: which axis is walked by vectors, how wide, in which blocks.

What decides the order of a reduction is in `order.py`. Numbers here are tuning: they may depend on the
machine, and change no bit.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import kernel as k
from ..ir.data import data
from ..ir.layout import columns, long_rows
from ..ir.loop import COMPARISONS
from ..ir.types import DType, i64
from ..ops import REGISTRY
from ..order import BLOCK, ROW_LANES, chains, lanes, most_lanes

# Bytes of working memory in which a value of a row waits if the output is stored around the cache.
WAITING_BYTES = 16_384
# Ops of at least this cost are kept rather than computed again in a later stage of a row.
COSTLY = 10
# A block of a kernel that reads across memory: bytes of a row of what is written, and of what is read.
# Memory is as fast as with longer ones. Both are multiples of all vector lengths.
TILE_COLUMN_BYTES = 256
TILE_ROW_BYTES = 2048
# A matrix product: the most rows of a block, a multiple of all tiles' rows, and bytes of its columns. Packed
# operands and sums of a block then take some 350 KiB (490 of float64), a good part of a second cache.
PRODUCT_ROWS = 144
PRODUCT_COLUMN_BYTES = 512
# A product of one row: the most columns of a block, whose sums the first cache holds, and about the least
# where there is work for several threads.
VECTOR_COLUMNS = 1024
VECTOR_LEAST = 512
# Rows of so few elements are done column by column, with code for each of them: so many operations, as
# longer code takes LLVM longer.
SHORT = 8
SHORT_COST = 64
# Several rows of a few registers are done at once as long as this is all there is to compute in them: code of
# about 7,000 lines. Longer one takes LLVM up to four times as long (layer norm and gelu of 64 columns, three
# times in one kernel, forward and back: 35,000 lines, 2 s), and gains 0.1 to 0.3 of the time by it.
GROUPED = 1024
# Of what reads rows from another place on, operations for each element from which on it is done so, too:
# pairs of 20 operations took 0.29 of the time, two rows put side by side 1.6.
SHORT_MOVED = 8
# Values that are sorted: keys that a block has in the first cache, and of which a whole number are sorted.
SORTED = 4096
SORTED_PAIR = 32
# Where rows are divided by keys: bytes of parts that are divided no more, and how many keys, of 4 and of 8
# bytes, a row has that is not divided at all.
PARTED = 2048
UNDIVIDED = {4: 4096, 8: 2048}
MERGED = 256  # runs, at most, that are merged by one kernel
# Columns of a block, where totals for each of many columns are shared among threads.
COLUMNS = 8192
# Steps of all sums from which on two threads are better than one: some 10 microseconds.
PRODUCT_STEPS = 1 << 19
# Blocks of a product from which on nothing is gained by an even number of them.
MANY = 8


@data
class Schedule:
    """`mode`: "flat" (vectors along the one outer axis), "rows" (a scalar loop over the outer axes,
    vectors along the last inner one), "groups" (the same, for a vector of rows at a time), "short" (maps over
    rows shorter than a vector, column by column), "long" (block after block of long rows), "columns" (shares
    of many columns), "tiles" (square tiles, transposed in registers), "product" (tiles of rows x vectors of
    columns), "vector" (a product of one row, with vectors along its columns). `width`: lanes of a vector.
    `step`: elements a turn of the vector loop takes. `tile`: rows and vectors of a product's
    register tile; rows and columns of a block of "tiles". `threads`: lanes are the threads of a warp, so all
    vectors have as many, and nothing is said to caches. `block`: elements of a block of a flat kernel; of
    threads, of one of rows, too, where nothing is summed over blocks. `team`: threads of the loop level
    (warps) that share a block; vectors of a loop go round them, so that each has lanes of its own. `rest`:
    elements that a turn takes where what is left is reduced under masks; 0: as in others. `wide`: elements
    side by side that a thread moves at once, where rows begin at multiples of `BOUNDARY` bytes."""

    mode: str
    width: int
    step: int
    tile: tuple[int, int] = (1, 1)
    threads: bool = False
    block: int = BLOCK
    team: int = 1
    rest: int = 0
    wide: int = 1


def _dtypes(kernel: k.Kernel) -> set[DType]:
    """Of what is computed for each element: what is done once a row, or once, is no matter for vectors."""
    found, table = set[DType](), k.arrays(kernel)
    for stage in [s for s in kernel.stages if s.axes] or kernel.stages:
        for stmt in stage.body:
            if isinstance(stmt, k.Reduce):
                found.update(stmt.dtypes)
            elif not isinstance(stmt, k.Let):
                found.add(table[stmt.array].dtype)
            found.update(k.expr_dtype(e) for o in k.operands(stmt) for e in _computed(o))
    return found


def _computed(expr: k.Expr) -> list[k.Expr]:
    """`walk`, but for places that are counted in another dtype, and those that are only compared."""
    if k.counts(expr):
        return [expr]
    if _placed(expr):
        return []
    if isinstance(expr, k.Call) and expr.op in COMPARISONS and all(map(_placed, expr.args)):
        return [expr]
    return [e for part in k.parts(expr) for e in _computed(part)] + [expr]


def _placed(expr: k.Expr) -> bool:
    """Whether it is a place along an axis, or what one is compared with: sums of whole numbers."""
    if isinstance(expr, k.Call):
        return expr.op == "add" and all(map(_placed, expr.args))
    return isinstance(expr, k.At | k.Size) or (isinstance(expr, k.Const | k.Ref) and expr.dtype is i64)


def _axes(kernel: k.Kernel, expr: k.Expr) -> frozenset[str] | None:
    """Axes that an operand of a product varies with; None if it is more than loads and ops."""
    found: set[str] = set()
    for e in k.walk(expr):
        if isinstance(e, k.Load):
            if e.guards:
                return None
            found.update(ix.axis for ix in e.index)
        elif k.positional(e):
            return None
    return frozenset(found)


@data
class Product:
    """A kernel that is a matrix product with an epilogue. For each batch: rows x columns."""

    reduce: k.Reduce
    left: int  # which operand varies with the rows; the other varies with the columns
    depth: tuple[str, ...]  # the summed axes
    column: str  # the last outer axis that only one operand has, and not of extent 1 if there is another
    rows: tuple[str, ...]
    batch: tuple[str, ...]
    lines: tuple[str, ...]  # of the batch, those that the rows' operand is the same along: columns, too


def product(kernel: k.Kernel) -> Product | None:
    """`kernel` as a matrix product, if it is one."""
    if len(kernel.outer) < 2 or kernel.final or not kernel.stages[0].axes:
        return None
    first, *rest = kernel.stages
    if len(first.body) != 1 or any(s.axes for s in rest):
        return None
    (reduce,) = first.body
    if not isinstance(reduce, k.Reduce) or reduce.op != "dot" or not reduce.of_row:
        return None
    if any(isinstance(s, k.Reduce) for stage in rest for s in stage.body):
        return None
    found = [_axes(kernel, arg) for arg in reduce.args]
    sides = [axes for axes in found if axes is not None]
    if len(sides) < 2:
        return None
    own = [axis for axis in kernel.outer if axis.name in sides[0] ^ sides[1]]
    wide = [axis for axis in own if axis.extent != 1]  # one column is as good as one row
    column = [*kernel.outer, *own, *wide][-1].name
    left = 0 if column not in sides[0] else 1
    theirs = [axis.name for axis in own if axis.name in sides[left]]
    mine = [axis.name for axis in own if axis.name in sides[1 - left]]
    if left == 1 and len(theirs) == 1 < len(mine) and _runs_along(kernel, reduce.args[1], first.axes):
        column, left = theirs[0], 0  # else the second operand would be packed for each of the other axes
    others = [axis.name for axis in kernel.outer if axis.name != column]
    rows = tuple(x for x in others if x not in sides[1 - left])
    batch = tuple(x for x in others if x in sides[1 - left])
    if not rows:
        return None
    lines = tuple(x for x in batch if x not in sides[left])
    return Product(reduce, left, tuple(axis.name for axis in first.axes), column, rows, batch, lines)


def _runs_along(kernel: k.Kernel, operand: k.Expr, axes: tuple[k.Axis, ...]) -> bool:
    """Whether all that an operand reads lies along memory with one of these axes."""
    table, names = k.arrays(kernel), {axis.name for axis in axes}
    loads = [e for e in k.walk(operand) if isinstance(e, k.Load) and e.index]
    return all(table[e.array].unit and e.index[-1].axis in names for e in loads)


def product_blocks(rows: int, columns: int, depth: int, size: int) -> tuple[int, int]:
    """In how many parts the rows and the columns of a product are split, so that one part of each is a
    block; for sums of `size` bytes. An even number where that gains something: most machines have one."""
    most = PRODUCT_COLUMN_BYTES // size
    down, across = -(-rows // PRODUCT_ROWS), -(-columns // most)
    if rows * columns * depth < PRODUCT_STEPS or down * across >= MANY:
        return down, across
    if rows <= PRODUCT_ROWS // 2 and columns > most // 2:
        return down, 2 * -(-columns // (2 * most))
    return 2 * -(-rows // (2 * PRODUCT_ROWS)), across


def _registers(dtype: DType, width: int) -> int:
    """For sums of a product: 24 of 32, 12 of 16 (as AVX2 has)."""
    return 12 if width * max(4, dtype.size) == 32 else 24


def product_tile(dtype: DType, width: int) -> tuple[int, int]:
    """Rows and vectors of a register tile: a step of the depth loads 2 vectors, and an element a row."""
    return max(3, _registers(dtype, width) // (2 * chains(dtype))), 2


def chains_at_once(dtype: DType, width: int, tile: tuple[int, int]) -> int:
    """Of each sum of a register tile; the others take another walk along the depth."""
    return min(chains(dtype), _registers(dtype, width) // (tile[0] * tile[1]))


def vector_blocks(columns: int, depth: int) -> int:
    """In how many parts the columns of a product of one row are split. An even number where that gains
    something."""
    parts = -(-columns // VECTOR_COLUMNS)
    if columns * depth < PRODUCT_STEPS:
        return parts
    return 2 * -(-columns // (2 * VECTOR_LEAST))


@data
class RowCache:
    """A costly value that stage `first` computes and stage `last` needs again, where `last` stores to
    `store.array` at the same subscripts: that element holds the value in between."""

    first: int
    last: int
    value: int  # by `Numbers`
    store: k.Store


class Numbers:
    """Numbers expressions such that equal ones, lets put in, have one number. A let is looked at
    once, however often it is used. `axes`: those that the value of a number varies with, but for what row
    reductions vary with."""

    def __init__(self, kernel: k.Kernel) -> None:
        self.axes: dict[int, frozenset[str]] = {}
        self._known: dict[object, int] = {}
        self._made: dict[k.Expr, int] = {}  # those of calls and picks, each walked once
        self._lets: dict[str, int] = {}
        for stage in kernel.stages:
            for stmt in stage.body:
                if isinstance(stmt, k.Let):
                    self._lets[stmt.name] = self(stmt.expr)

    def __call__(self, expr: k.Expr) -> int:
        if isinstance(expr, k.Ref) and expr.name in self._lets:
            return self._lets[expr.name]
        key: object = expr
        axes: frozenset[str] = frozenset()
        if isinstance(expr, k.Call | k.Pick):
            if (made := self._made.get(expr)) is not None:
                return made
            args = tuple(map(self, k.parts(expr)))
            key = type(expr), expr.op if isinstance(expr, k.Call) else expr.array, args, expr.dtype
            axes = axes.union(*(self.axes[n] for n in args))
        elif isinstance(expr, k.Load):
            axes = frozenset(ix.axis for ix in expr.index) | {g.axis for g in expr.guards}
        elif isinstance(expr, k.At | k.Within):
            axes = frozenset((expr.axis,))
        number = self._known.setdefault(key, len(self._known))
        if key is not expr:
            self._made[expr] = number
        self.axes[number] = axes
        return number


def row_caches(kernel: k.Kernel, numbers: Numbers | None = None) -> tuple[RowCache, ...]:
    """What is kept in an output row instead of being computed twice. One value for an output."""
    if sum(bool(stage.axes) for stage in kernel.stages) < 2:
        return ()
    numbers = numbers or Numbers(kernel)
    computed = [{numbers(e) for e in k.expressions(stage)} for stage in kernel.stages]
    costly: dict[str, dict[int, DType]] = {}  # what a let is made of, operands first
    found: list[RowCache] = []
    for last, stage in enumerate(kernel.stages):
        for stmt in stage.body:
            if not isinstance(stmt, k.Let | k.Store):
                continue
            parts: dict[int, DType] = {}
            for e in k.walk(stmt.expr):
                if isinstance(e, k.Ref):
                    parts.update(costly.get(e.name, {}))
                elif isinstance(e, k.Call) and REGISTRY[e.op].flops >= COSTLY:
                    parts[numbers(e)] = e.dtype
            if isinstance(stmt, k.Let):
                costly[stmt.name] = parts
                continue
            output = next(o for o in kernel.outputs if o.name == stmt.array)
            for value, dtype in parts.items():
                first = next(n for n, values in enumerate(computed) if value in values)
                same = kernel.stages[first].axes == stage.axes and bool(stage.axes)
                same = same and stage.axes[-1].name in numbers.axes[value]  # others are known once a row
                known = any((c.last, c.value) == (last, value) for c in found)
                if first < last and same and output.dtype == dtype and not known:
                    found.append(RowCache(first, last, value, stmt))
                    break
    return tuple(found)


def schedule(kernel: k.Kernel, vector_bytes: int) -> Schedule:
    """The layout of `kernel` for vectors of `vector_bytes`. ValueError for longer vectors than the order of a
    reduction has lanes, and for a kernel that no mode can do."""
    found = _dtypes(kernel)
    width = _lanes(vector_bytes, {d.size for d in found}, any(d.is_float for d in found))
    _lawful(kernel, width)
    shape = product(kernel)
    if shape is not None:  # as wide as its sums, whatever the scalars of its epilogue are
        width = max(2, vector_bytes // max(4, shape.reduce.dtypes[0].size))
        if all(axis.extent == 1 for axis in kernel.outer if axis.name in shape.rows):
            return Schedule("vector", width, width, (1, 1))
        return Schedule("product", width, width, product_tile(shape.reduce.dtypes[0], width))
    every = [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce)]
    reduces = [lanes(*s.dtypes) for s in every]
    parts = [e for stage in kernel.stages for e in k.expressions(stage)]
    numbers = Numbers(kernel)
    varies = (e for e in parts if isinstance(e, k.Call) and numbers.axes[numbers(e)])
    costly = any(REGISTRY[e.op].flops >= COSTLY for e in varies)
    step = max(reduces, default=width * (1 if costly or len(parts) >= 64 else 2))  # long code once
    rows = any(s.axes for s in kernel.stages) or any(s.of_row for s in every)
    statement = k.alone(kernel)
    if statement is not None:
        return Schedule(type(statement).__name__.lower(), width, width)
    if len(kernel.outer) == 1 and not rows:
        return Schedule("flat", width, max(step, width))
    short = _short(kernel, vector_bytes)
    if short:
        return Schedule("short", short, short)
    across = tiles(kernel)
    if across is not None:
        return Schedule("tiles", width, width, (across.rows, across.columns))
    if long_rows(kernel):
        return Schedule("long", width, max(step, width))
    if columns(kernel):
        return Schedule("columns", width, max(step, width))
    return Schedule("groups" if _grouped(kernel, width) else "rows", width, max(step, width))


def _lanes(vector_bytes: int, sizes: set[int], floats: bool) -> int:
    """Of a vector of values of these sizes."""
    widest = max(sizes, default=4)
    width = max(2, vector_bytes // max(4, widest))
    if widest <= 2 and not floats:  # those are computed in float32
        width = max(width, min(2 * width, ROW_LANES))
    return width


def _lawful(kernel: k.Kernel, width: int) -> None:
    """What all modes rely on."""
    for stage in kernel.stages:
        for s in stage.body:
            if not isinstance(s, k.Reduce):
                continue
            most = most_lanes(*s.dtypes)
            if width > most or width & (width - 1):
                raise ValueError(f"vectors of {width} lanes: a reduction of {s.dtypes[0]} has {most}")
            if s.keep and stage.axes[-1].name not in s.keep:
                raise ValueError(
                    f"`{s.names[0]}` must keep the last axis of its stage, `{stage.axes[-1].name}`"
                )


@data
class Tiles:
    """A plain map whose stores run along memory with the columns, the last axis, and some of whose
    loads with the rows, an outer one: a transpose, alone or in an expression, for each batch."""

    loads: tuple[k.Load, ...]  # those that run with the rows
    along: tuple[k.Load, ...]  # those that run with the columns, another row for each row
    row: str
    column: str
    batch: tuple[str, ...]
    rows: int  # of a block
    columns: int


def tiles(kernel: k.Kernel) -> Tiles | None:
    """`kernel` as a map that reads across memory, if it is one."""
    if not kernel.outer or kernel.final or len(kernel.stages) != 1:
        return None
    (stage,) = kernel.stages
    if len(stage.axes) != 1 or any(isinstance(s, k.Reduce) for s in stage.body):
        return None
    table, column = k.arrays(kernel), stage.axes[0].name
    found: dict[k.Load, list[str]] = {}
    for e in k.expressions(stage):
        if k.positional(e):
            return None
        if isinstance(e, k.Load) and e.index and (table[e.array].unit or table[e.array].step):
            axes = [ix.axis for ix in e.index]
            if axes.count(column) == axes.count(axes[-1]) == 1:
                found[e] = axes
    row = next((axes[-1] for axes in found.values() if axes[-1] != column), None)
    if row is None:
        return None
    loads = tuple(load for load, axes in found.items() if axes[-1] == row)
    along = tuple(load for load, axes in found.items() if axes[-1] == column and row in axes)
    batch = tuple(axis.name for axis in kernel.outer if axis.name != row)
    written = [table[s.array].dtype for s in stage.body if isinstance(s, k.Store)]
    least = min(dtype.size for dtype in (*written, *(load.dtype for load in loads)))
    return Tiles(loads, along, row, column, batch, TILE_ROW_BYTES // least, TILE_COLUMN_BYTES // least)


def _short(kernel: k.Kernel, vector_bytes: int) -> int:
    """The lanes of a map over rows of a few elements, less than a vector has; 0 if it is something else. Rows
    that are read along memory, but not as they are, are better read so where there is little to compute."""
    if not kernel.outer or kernel.final:
        return 0
    row, table, numbers = kernel.outer[-1], k.arrays(kernel), Numbers(kernel)
    sizes: set[int] = set()
    floats, cost, longest, moved, least = False, 0, 0, False, 0
    for stage in kernel.stages:
        if len(stage.axes) != 1 or any(not isinstance(s, k.Let | k.Store) for s in stage.body):
            return 0
        (axis,) = stage.axes
        if axis.extent not in range(2, SHORT + 1):
            return 0
        every, own = k.expressions(stage), tuple(k.Index(a.name) for a in (*kernel.outer, axis))
        stores = [s for s in stage.body if isinstance(s, k.Store)]
        if any(s.index != own or not table[s.array].unit for s in stores):
            return 0
        loads = [e for e in every if isinstance(e, k.Load) and table[e.array].unit]
        along = [e for e in loads if [ix.axis for ix in e.index][-2:] == [row.name, axis.name]]
        picked = any(isinstance(e, k.Pick) and axis.name in numbers.axes[numbers(e)] for e in every)
        if picked:
            return 0
        moved = moved or any(e.index != own or e.guards for e in along)
        least += SHORT_MOVED * int(axis.extent)
        cost += flops(every) * int(axis.extent)
        wide = [e for e in every if row.name in numbers.axes[numbers(e)]]
        sizes |= {table[s.array].dtype.size for s in stores} | {k.expr_dtype(e).size for e in wide}
        floats = floats or any(k.expr_dtype(e).is_float for e in wide)
        longest = max(longest, int(axis.extent))
    width = _lanes(vector_bytes, sizes, floats)
    return width if longest < width and moved * least <= cost <= SHORT_COST else 0


def _grouped(kernel: k.Kernel, width: int) -> bool:
    """Whether rows are a few registers, with little to compute in them, and something is to be gained by
    doing several at once: a value for each row, or a total over rows."""
    inner = [s.axes for s in kernel.stages if s.axes]
    small = all(len(axes) == 1 and axes[0].extent in range(1, k.SMALL + 1) for axes in inner)
    reduces = [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce)]
    every = [e for stage in kernel.stages for e in k.expressions(stage)]
    guarded = any(k.positional(e) and not isinstance(e, k.At) for e in every)
    alone = len(kernel.outer) == 1  # with other axes before, a total's lanes would not be those of its order
    apart = bool(kernel.outer) and kernel.outer[-1].extent != 1 and all(s.of_row for s in reduces)
    fits = (alone or apart) and bool(inner) and small and bool(reduces) and not guarded
    return fits and _written(kernel, width) <= GROUPED


def _written(kernel: k.Kernel, width: int) -> int:
    """What is computed in rows of a few registers, as often as it is written."""
    stages = [stage for stage in kernel.stages if stage.axes]
    return sum(flops(k.expressions(stage)) * -(-int(stage.axes[-1].extent) // width) for stage in stages)


def divides(schedule: Schedule, size: int) -> bool:
    """Whether long rows of keys of so many bytes are divided by keys until parts are short, not merged
    of runs: where an instruction moves some lanes of a vector to its front, which those of 64 bytes have."""
    return size >= 4 and schedule.width * size == 64 and not schedule.threads


def held_keys(schedule: Schedule, size: int) -> int:
    """Keys of so many bytes that are sorted without working memory of the plan."""
    return UNDIVIDED[size] if divides(schedule, size) else SORTED


def flops(expressions: Iterable[k.Expr]) -> int:
    """Of ops that are computed, each once."""
    return sum(REGISTRY[e.op].flops for e in {e for e in expressions if isinstance(e, k.Call)})
