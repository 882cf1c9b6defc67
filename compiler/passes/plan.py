"""Kernel calls to a plan: which calls run together, which buffer each array lives in and how long, what
each argument slot holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from graphlib import TopologicalSorter
from math import prod

from ..cpu.schedule import (
    COLUMNS,
    SORTED_PAIR,
    Schedule,
    held_keys,
    product,
    product_blocks,
    tiles,
    vector_blocks,
)
from ..gpu.schedule import product_grid
from ..ir import kernel as k
from ..ir.artifact import Address, Buffer, Code, Launch, Plan, Scratch
from ..ir.data import replace
from ..ir.graph import Graph, Node
from ..ir.layout import Face, columns, face, part_name, stride_name, totals
from ..ir.program import Call, Program, scalar_bytes
from ..ir.types import DType, TensorType, u8
from ..order import BLOCK, KEPT_ROWS, row_block
from ..verify.error import VerifyError
from .chain import Chain, chains, strip
from .prove import prove
from .touches import Touches, touches

Slot = Address | int | bytes
Slots = dict[str, Slot]

# Outputs of this size do not stay in the cache until somebody reads them: they are stored around it,
# unless they overwrite an input, whose lines are in the cache anyway.
STREAM_BYTES = 8 << 20
# Terms that are added at places, from which on two threads are better than one, if there is more than one
# element beside each place; how many there are from which on reading all places costs nothing.
SCATTERED = 1 << 14
SCATTER_BESIDE = 16
# Blocks that sort, each in working memory of its own.
SORT_BLOCKS = 16
# Columns that one block scans.
SCAN_COLUMNS = 256
# Steps of sums that take the time in which a byte is moved.
STEPS_OF_BYTE = 4


def row_size(call: Call) -> int:
    """Elements of the longest stage of a row."""
    return max((prod(call.extent(a.extent) for a in s.axes) for s in call.kernel.stages), default=1)


def grid(call: Call, schedule: Schedule) -> tuple[int, int]:
    """Points of the outer axes in a block (of a product, and of long rows: the parts that rows are split in),
    and the number of blocks."""
    if schedule.mode in ("product", "vector"):
        shape = product(call.kernel)
        assert shape is not None
        table = {a.name: call.extent(a.extent) for a in call.kernel.outer}
        if schedule.threads:
            return product_grid(schedule, shape, table)
        if schedule.mode == "vector":
            parts = vector_blocks(table[shape.column], row_size(call))
            return parts, prod(table[x] for x in shape.batch) * parts
        rows, columns = (prod(table[x] for x in axes) for axes in (shape.rows, (*shape.lines, shape.column)))
        size, batch = shape.reduce.dtypes[0].size, prod(table[x] for x in shape.batch if x not in shape.lines)
        depth = row_size(call) if batch == 1 else 0  # enough blocks
        down, along = product_blocks(rows, columns, depth, size)
        return down, batch * down * along
    if schedule.mode == "tiles":
        across = tiles(call.kernel)
        assert across is not None
        axes = (*call.kernel.outer, *call.kernel.stages[0].axes)
        table = {a.name: call.extent(a.extent) for a in axes}
        rows, columns = schedule.tile
        strips = -(-table[across.row] // rows) * -(-table[across.column] // columns)
        return rows * columns, prod(table[x] for x in across.batch) * strips
    if schedule.mode == "scatter":
        return scatter_block(call)
    if schedule.mode == "scan":
        return scan_block(call, schedule)
    if schedule.mode == "sort":
        row, rows = row_size(call), prod(call.extent(a.extent) for a in call.kernel.outer)
        if (run := _run(call)) is not None:
            row, rows = run, rows * -(-row // run)
        block = max(row_block(row, False), -(-rows // SORT_BLOCKS))
        return block, -(-rows // block)
    points = prod(call.extent(a.extent) for a in call.kernel.outer)
    if schedule.mode == "long":
        parts = max(1, -(-row_size(call) // BLOCK))
        return parts, points * parts
    if schedule.mode == "columns":
        return KEPT_ROWS, -(-points // KEPT_ROWS) * -(-row_size(call) // COLUMNS)
    if schedule.mode == "flat":
        return schedule.block, -(-points // schedule.block)
    if schedule.mode == "short":
        *before, rows = [call.extent(a.extent) for a in call.kernel.outer]
        return schedule.block, prod(before) * -(-rows // schedule.block)
    if schedule.mode not in ("rows", "groups"):
        raise ValueError(f"`{schedule.mode}` is not a mode of schedule")
    kept = any(reduce.keep for reduce in totals(call.kernel))
    block = row_block(row_size(call), kept)
    if schedule.threads and not totals(call.kernel):
        least = schedule.width if schedule.mode == "groups" else 1
        block = max(least, schedule.block // max(1, row_size(call)))
    return block, -(-points // block)


def _run(call: Call) -> int | None:
    """Elements of a row that are sorted together, if not all."""
    statement = k.alone(call.kernel)
    run = statement.run if isinstance(statement, k.Sort) else None
    return None if run is None else call.extent(run)


def room(call: Call, schedule: Schedule) -> int:
    """Elements of the working memory of a block that sorts: behind the last pair of keys is another, and each
    of the runs that are merged has one."""
    row, run, statement = row_size(call), _run(call), k.alone(call.kernel)
    if schedule.threads or not isinstance(statement, k.Sort) or not statement.values:
        return row
    keys = row if run is None else run
    if statement.merges:
        keys += SORTED_PAIR * -(-row // keys)
    elif keys <= held_keys(schedule, k.expr_dtype(statement.expr).size):
        return SORTED_PAIR
    return (keys + 3 * SORTED_PAIR - 1) // SORTED_PAIR * SORTED_PAIR


def scatter_block(call: Call) -> tuple[int, int]:
    """How many rows of the result are one block's, which adds to them alone, and how many blocks there are.
    Each reads all subscripts: many blocks only where they are few beside what is added."""
    (output,) = call.kernel.outputs
    statement = k.alone(call.kernel)
    assert isinstance(statement, k.Scatter)
    axes = call.kernel.stages[0].axes
    along = {ix.axis for ix in statement.index if isinstance(ix, k.At)}
    beside = prod(call.extent(a.extent) for a in axes if a.name in along)
    points = prod(call.extent(a.extent) for a in axes)
    rows = call.extent(output.dims[0])
    parts = 1 if points < SCATTERED or beside < 2 else 2 if beside < SCATTER_BESIDE else 16
    block = max(1, -(-rows // parts))
    return block, -(-rows // block)


def scan_block(call: Call, schedule: Schedule) -> tuple[int, int]:
    """Rows of a block; where columns are scanned, how many of them are a block's, for each batch."""
    statement = k.alone(call.kernel)
    assert isinstance(statement, k.Scan)
    outer = [call.extent(a.extent) for a in call.kernel.outer]
    if schedule.threads and outer:
        return schedule.width, prod(outer[:-1]) * -(-outer[-1] // schedule.width)
    if statement.index[-1].axis != statement.over:
        return SCAN_COLUMNS, prod(outer[:-1]) * -(-outer[-1] // SCAN_COLUMNS)
    block = row_block(row_size(call), False)
    return block, -(-prod(outer) // block)


def part_shape(call: Call, reduce: k.Reduce, blocks: int) -> tuple[int, ...]:
    """Of what blocks leave of a reduction: each has a part, or, of shares of columns, each block of rows."""
    if columns(call.kernel):
        blocks = -(-prod(call.extent(a.extent) for a in call.kernel.outer) // KEPT_ROWS)
    table = {a.name: call.extent(a.extent) for s in call.kernel.stages for a in s.axes}
    return (blocks or 1, *(table[name] for name in reduce.keep))


def _overwrites_safely(call: Call, own: Touches, source: Node, target: Node) -> bool:
    """Whether, in the call that writes `target`, every element of `source` is read where the same
    element of `target` is written, in the same stage (loads come first) or an earlier one."""
    kernel = call.kernel
    outputs = [o for o in kernel.outputs if call.arrays[o.name].node is target]
    for output in outputs:
        place = call.arrays[output.name]
        number, index, anywhere = own.stores[output.name]
        if anywhere:
            return False
        last = number >= len(kernel.stages)
        for param in kernel.params:
            if not isinstance(param, k.Array) or call.arrays[param.name].node is not source:
                continue
            read = call.arrays[param.name]
            loads = own.loads.get(param.name, frozenset())
            if last and not columns(kernel) and all(n < len(kernel.stages) for n, _, _ in loads):
                continue  # `finally` runs after every block
            same = (read.offset, read.strides) == (place.offset, place.strides)
            if not same or any(n > number or i != index or g for n, i, g in loads):
                return False
            if last:
                continue
            # A row of the output may hold a value from an earlier stage on, which the later one reads there.
            begin = min(number, own.begins.get(output.name, number))
            if begin < number:
                loads = own.again.get(param.name, frozenset())
            if any(n > begin for n, _, _ in loads) or (not index and any(n != begin for n, _, _ in loads)):
                return False
    return bool(outputs)


def _aliases(program: Program, own: Callable[[int], Touches], wanted: Sequence[int]) -> tuple[int, ...]:
    """Those of the wanted aliases (output k over input j) that no read forbids."""
    graph, found = program.graph, []
    writers: dict[Node, int] = {}
    readers: dict[Node, list[int]] = {}
    for number, call in enumerate(program.calls):
        for node in call.writes:
            writers.setdefault(node, number)
        for node in call.reads:
            readers.setdefault(node, []).append(number)
    for target, j in zip(graph.outputs, wanted, strict=True):
        if j < 0 or graph.inputs[j].type != target.type:
            found.append(-1)
            continue
        source = graph.inputs[j]
        writer = writers.get(target, -1)
        reads = readers.get(source, [])
        safe = writer >= 0 and all(n <= writer for n in reads) and source not in graph.outputs
        if safe and writer in reads:
            safe = _overwrites_safely(program.calls[writer], own(writer), source, target)
        found.append(j if safe else -1)
    return tuple(found)


def _reused(
    program: Program,
    own: Callable[[int], Touches],
    groups: Sequence[Sequence[int]],
    last_use: Mapping[Node, int],
    given: Set[Node],
) -> dict[Node, Node]:
    """Temporaries that are written over others: each, and that whose memory it has. Only over one that is
    read for the last time in that call, by no call that runs at the same time."""
    found: dict[Node, Node] = {}
    for at, group in enumerate(groups):
        for number in group:
            call = program.calls[number]
            targets = [node for node in call.writes if node not in given and node.shape]
            if not targets:
                continue
            busy = {o.node for n in group if n != number for o in program.calls[n].arrays.values()}
            busy.update(given, call.writes)
            free = [o.node for o in call.arrays.values() if o.node not in busy and last_use[o.node] == at]
            for target in targets:
                for source in dict.fromkeys(free):
                    if source.type == target.type and _overwrites_safely(call, own(number), source, target):
                        found[target] = source
                        free = [node for node in free if node is not source]
                        break
    return found


def _after(program: Program, aliases: Sequence[int]) -> list[set[int]]:
    """For each call the earlier ones that it must wait for: those that write what it reads or
    writes, or read what it writes. An output that may overwrite an input is that input's memory."""
    graph = program.graph
    memory = {n: graph.inputs[j] for n, j in zip(graph.outputs, aliases, strict=True) if j >= 0}
    writer: dict[Node, int] = {}
    readers: dict[Node, set[int]] = {}
    found: list[set[int]] = []
    for number, call in enumerate(program.calls):
        written = {o.name for o in call.kernel.outputs}
        nodes = [(memory.get(o.node, o.node), name in written) for name, o in call.arrays.items()]
        before = {writer[node] for node, _ in nodes if node in writer}
        found.append(before.union(*(readers.get(node, ()) for node, writes in nodes if writes)))
        for node, writes in nodes:
            if writes:
                writer[node] = number
            else:
                readers.setdefault(node, set()).add(number)
    return found


def _groups(program: Program, faces: Sequence[Face], aliases: Sequence[int]) -> list[list[int]]:
    """The calls in groups that run at once, in the order of the groups.

    A group begins with the first call that is left, in the program's order. All others join it that
    wait for no call outside of earlier groups, and need no working memory but for scalars: neither
    temporaries, nor sums that are kept by element. So a group has at once what its first call has
    without the others, and memory is as small as if each call ran alone, whatever the sizes: a
    temporary that is made long before it is read costs space and cache, a group more costs
    microseconds. (What a scalar total needs is four bytes for each block.)
    """
    graph = program.graph
    given = {*graph.inputs, *graph.outputs}
    alone = [
        own.keeps or bool(own.working) or any(node not in given and node.shape for node in call.writes)
        for call, own in zip(program.calls, faces, strict=True)
    ]
    sorter = TopologicalSorter(dict(enumerate(_after(program, aliases))))
    sorter.prepare()
    groups, others = [], list[int]()
    while sorter.is_active():
        first, *others = sorted((*others, *sorter.get_ready()))
        group = [first, *(number for number in others if not alone[number])]
        others = [number for number in others if alone[number]]
        sorter.done(*group)
        groups.append(group)
    return groups


def run_order(program: Program, aliases: Sequence[int]) -> list[list[int]]:
    """The calls in groups that run at once, as in the plan of these aliases: its launches in order."""
    return _groups(program, [face(call.kernel) for call in program.calls], aliases)


def _last_use(program: Program, groups: Sequence[Sequence[int]]) -> dict[Node, int]:
    return {
        o.node: at for at, group in enumerate(groups) for n in group for o in program.calls[n].arrays.values()
    }


def _joined(groups: Sequence[list[int]], chained: Mapping[int, Chain]) -> list[list[int]]:
    """The groups, of which a chain is one."""
    found: list[list[int]] = []
    for group in groups:
        chain = chained.get(group[0])
        if chain is None or group[0] == chain.calls[0]:
            found.append(list(group))
        else:
            found[-1] += group
    return found


def _area(chain: Chain, reused: Mapping[Node, Node]) -> tuple[dict[Node, int], int]:
    """Where a strip of what lies between lies in an area, and bytes of that."""
    offsets: dict[Node, int] = {}
    nbytes = 0
    for node in chain.between:
        source = reused.get(node)
        if source in offsets:
            offsets[node] = offsets[source]
            continue
        offsets[node] = nbytes
        nbytes += chain.most * chain.columns * node.type.dtype.size
    return offsets, nbytes


def _chain_grid(call: Call, schedule: Schedule, chain: Chain) -> tuple[int, int]:
    """As `grid`, where each strip is a whole number of blocks."""
    if schedule.mode != "product":
        return 1, chain.batches * chain.rows
    shape = product(call.kernel)
    assert shape is not None
    columns = next(call.extent(a.extent) for a in call.kernel.outer if a.name == shape.column)
    _, across = product_blocks(chain.rows, columns, 0, shape.reduce.dtypes[0].size)
    return chain.parts, chain.strips * across


def make_plan(
    program: Program,
    codes: Sequence[Code],
    schedules: Sequence[Schedule],
    wanted_aliases: Sequence[int] = (),
    strips: bool = True,
) -> Plan:
    """`codes[k]` and `schedules[k]` are those of `program.calls[k]`. Outputs that are inputs of the
    graph as they stand are the caller's business: they must not be in `graph.outputs`. Temporaries
    have lifetimes, not places yet: see `arrange.py`. `strips`: calls may go together by strips of rows.
    VerifyError unless every access is proven."""
    known: dict[int, Face] = {}
    for call, code in zip(program.calls, codes, strict=True):
        if id(code) not in known:
            known[id(code)] = face(call.kernel)
    faces = [known[id(code)] for code in codes]
    prove(program, faces)
    graph: Graph = program.graph
    buffers: list[Buffer] = []
    where: dict[Node, int] = {}

    def buffer(kind: str, of: TensorType, begin: int = 0, end: int = 0) -> int:
        buffers.append(Buffer(kind, of.dtype, of.shape, of.nbytes, 0, (begin, end)))
        return len(buffers) - 1

    def own_memory(dtype: DType, shape: tuple[int, ...]) -> Address:
        """Of the group at hand."""
        return Address(buffer("temp", TensorType(dtype, shape), at, at))

    for node in graph.inputs:
        where[node] = buffer("input", node.type)
    for node in graph.outputs:
        assert node not in where, "an output stands twice, or is an input"
        where[node] = buffer("output", node.type)
    touched: dict[int, Touches] = {}

    def touched_by(number: int) -> Touches:
        if (at := id(codes[number])) not in touched:
            touched[at] = touches(program.calls[number].kernel)
        return touched[at]

    aliases = _aliases(program, touched_by, wanted_aliases or [-1] * len(graph.outputs))
    in_place = {n for n, alias in zip(graph.outputs, aliases, strict=True) if alias >= 0}
    groups = _groups(program, faces, aliases)
    last_use = _last_use(program, groups)
    reused = _reused(program, touched_by, groups, last_use, set(where))
    found = chains(program, groups, schedules, faces, set(where)) if strips else []
    chained = {n: c for c in found if in_place.isdisjoint(program.calls[c.calls[-1]].writes) for n in c.calls}
    groups = _joined(groups, chained)
    last_use = _last_use(program, groups)
    for target, source in reversed(reused.items()):  # the later ones first: their ends are known
        last_use[source] = last_use[target]
    in_place |= reused.keys()
    launches = []
    for at, group in enumerate(groups):
        for number in group:
            call, schedule, own = program.calls[number], schedules[number], faces[number]
            chain, area = chained.get(number), None
            if chain is not None and number == group[0]:
                offsets, nbytes = _area(chain, reused)
                area = Scratch(own_memory(u8, (chain.areas * nbytes,)).buffer, chain.areas, nbytes)
                where |= dict.fromkeys(chain.between, area.buffer)
            for operand in call.arrays.values():
                node = operand.node
                if node in where:
                    continue
                if node in reused:  # written after what it is written over was read, so after this was placed
                    where[node] = where[reused[node]]
                else:
                    where[node] = buffer("temp", node.type, at, last_use[node])
            block, blocks = grid(call, schedule) if chain is None else _chain_grid(call, schedule, chain)
            streams = sum(n.type.nbytes for n in call.writes) >= STREAM_BYTES
            streams = streams and in_place.isdisjoint(call.writes)
            values: Slots = {"block": block, "blocks": blocks, "stream": int(streams)}
            for reduce in own.parted:
                shape = part_shape(call, reduce, blocks)
                values |= {part_name(name): own_memory(dtype, shape) for name, dtype in reduce.results}
            for name, dtype in own.working.items():
                values[name] = own_memory(dtype, (blocks, room(call, schedule)))
            table = _slots(call, own, where, values)
            launch = Launch(codes[number], table, blocks, _work(call), number != group[0])
            if chain is not None:
                names = [slot.name for slot in own.slots]
                share = blocks // chain.strips if schedule.mode == "product" else 0
                told = strip(chain, names, call, share, offsets)
                launch = replace(launch, strip=told, scratch=area, blocks=chain.strips)
            launches.append(launch)
    return Plan(
        tuple(buffers),
        tuple(where[n] for n in graph.inputs),
        tuple(where[n] for n in graph.outputs),
        aliases,
        tuple(launches),
        0,
    )


def _work(call: Call) -> int:
    """Bytes moved, and for the steps of a product's sums as many as take the same time."""
    if product(call.kernel) is None:
        return call.streams
    axes = (*call.kernel.outer, *call.kernel.stages[0].axes)
    return call.streams + prod(call.extent(a.extent) for a in axes) // STEPS_OF_BYTE


def _slots(call: Call, own: Face, where: Mapping[Node, int], values: Slots) -> tuple[Slot, ...]:
    """What each slot of a launch holds, of which `values` tells those that are no operands of the call."""
    for name in own.symbols:
        values[name] = call.symbols[name]
    for name, array in own.arrays.items():
        operand = call.arrays[name]
        size = array.dtype.size
        # of a window without elements nothing is read, wherever it would begin
        empty = operand.node.type.size < 1 or any(n < 1 for n in call.shape(array))
        offset = 0 if empty else operand.offset
        values[name] = Address(where[operand.node], offset * size)
        for dim, stride in enumerate(operand.strides):
            values[stride_name(name, dim)] = stride
    for name, scalar in own.scalars.items():
        values[name] = scalar_bytes(call.scalars[name], scalar.dtype)
    table = tuple([values[slot.name] for slot in own.slots])
    for slot, value in zip(own.slots, table, strict=True):
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise VerifyError(f"kernel {call.kernel.name}: `{slot.name}` = {value} takes more than 64 bits")
    return table
