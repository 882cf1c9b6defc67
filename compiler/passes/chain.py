"""Which calls a thread runs one after the other for a strip of rows, before it goes on to the next strip: a
product, maps and reductions over its rows, and a product that has these rows on its left. What lies between
them is as large as a strip and stays in the cache, as the scores of attention do. It changes no bit, as no
block of a kernel knows of another one.

    s = q @ k.T;  w = softmax(s);  o = w @ v          s and w: some 100 rows for each thread, not all of them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import islice
from math import prod

from ..cpu.schedule import PRODUCT_ROWS, Schedule, product
from ..ir import kernel as k
from ..ir.artifact import Strip
from ..ir.data import data
from ..ir.graph import Node
from ..ir.layout import Face, totals
from ..ir.program import Call, Operand, Program, row_major

# What lies between is worth a strip from so many bytes on: less is in a cache anyway.
LEAST_BYTES = 4 << 20
# A strip of each, and the fewest rows of one: operands of products are packed once a strip.
STRIP_BYTES = 512 << 10
LEAST_ROWS = 48
# Of so many strips one has scratch memory at a time: threads that find none wait for one.
STRIPS_OF_AREA = 4


@data
class Chain:
    """`calls` in their order; `between`: what lies between them. `rows` of `columns` of each of `batches`;
    `parts` strips of each batch, of at most `most` rows, in whole tiles of `tile`."""

    calls: tuple[int, ...]
    between: tuple[Node, ...]
    batches: int
    rows: int
    columns: int
    tile: int
    parts: int
    most: int

    @property
    def strips(self) -> int:
        return self.batches * self.parts

    @property
    def areas(self) -> int:
        return self.strips // STRIPS_OF_AREA + 1


@data
class _Rows:
    """How a product goes through the rows of what lies between: so many batches of so many rows."""

    batches: int
    rows: int
    columns: int


def _size(call: Call, axes: Sequence[k.Axis]) -> int:
    return prod([call.extent(a.extent) for a in axes])


def _in_order(call: Call, array: k.Array, operand: Operand) -> bool:
    """Whether the array is all of its node, as it lies in memory."""
    shape = call.shape(array)
    lies = (operand.offset, *operand.strides) == (0, *row_major(shape))
    return lies and prod(shape) == prod(operand.node.shape)


def _loads(kernel: k.Kernel, name: str) -> list[tuple[k.Index, ...]] | None:
    """The subscripts of all loads of an array; None if it is read at values, too."""
    found: list[tuple[k.Index, ...]] = []
    for stage in kernel.stages + kernel.final:
        for e in k.expressions(stage):
            if isinstance(e, k.Pick) and e.array == name:
                return None
            if isinstance(e, k.Load) and e.array == name:
                found.append(e.index)
    return found


def _stored(kernel: k.Kernel, name: str) -> list[tuple[k.Index, ...]]:
    every = [s for stage in kernel.stages + kernel.final for s in stage.body]
    return [s.index for s in every if isinstance(s, k.Store) and s.array == name]


def _named(call: Call, node: Node) -> list[k.Array]:
    """The arrays of a kernel that are bound to a node."""
    return [a for name, a in k.arrays(call.kernel).items() if call.arrays[name].node is node]


def _head(call: Call) -> _Rows | None:
    """The rows of a product with one output, row after row."""
    shape, (output, *others) = product(call.kernel), call.kernel.outputs
    if shape is None or others or shape.lines:
        return None
    order = (*shape.batch, *shape.rows, shape.column)
    wanted = tuple(map(k.Index, order))
    if order != tuple(a.name for a in call.kernel.outer) or _stored(call.kernel, output.name) != [wanted]:
        return None
    if not _in_order(call, output, call.arrays[output.name]):
        return None
    return _of_product(call, (shape.column,))


def _of_product(call: Call, columns: Sequence[str]) -> _Rows:
    shape = product(call.kernel)
    assert shape is not None
    table = {a.name: a for a in (*call.kernel.outer, *call.kernel.stages[0].axes)}
    sizes = [_size(call, [table[x] for x in names]) for names in (shape.batch, shape.rows, columns)]
    return _Rows(*sizes)


def _middle(call: Call, schedule: Schedule, face: Face, source: Node) -> int | None:
    """The rows, of all batches, of a kernel that makes each row of its one output of that row of `source`."""
    kernel = call.kernel
    if schedule.mode != "rows" or totals(kernel) or face.parted or face.working or len(kernel.outputs) != 1:
        return None
    (output,), outer = kernel.outputs, tuple(k.Index(a.name) for a in kernel.outer)
    read = _named(call, source)
    if len(read) != 1:
        return None
    loads, stores = _loads(kernel, read[0].name), _stored(kernel, output.name)
    if not loads or not stores or any(index[:-1] != outer for index in (*loads, *stores)):
        return None
    if not all(_in_order(call, a, call.arrays[a.name]) for a in (read[0], output)):
        return None
    return _size(call, kernel.outer)


def _tail(call: Call, source: Node) -> _Rows | None:
    """The rows of a product of which `source` is the left operand, row after row."""
    kernel, read = call.kernel, _named(call, source)
    shape = product(kernel)
    if shape is None or len(read) != 1:
        return None
    order = (*shape.batch, *shape.rows)
    if order != tuple(a.name for a in kernel.outer if a.name != shape.column):
        return None
    loads = _loads(kernel, read[0].name)
    left = [e for e in k.walk(shape.reduce.args[shape.left]) if isinstance(e, k.Load)]
    if not loads or len(loads) != sum(e.array == read[0].name for e in left):
        return None
    if any(index != tuple(map(k.Index, (*order, *shape.depth))) for index in loads):
        return None
    return _of_product(call, shape.depth) if _in_order(call, read[0], call.arrays[read[0].name]) else None


def chains(
    program: Program,
    groups: Sequence[Sequence[int]],
    schedules: Sequence[Schedule],
    faces: Sequence[Face],
    given: Set[Node],
) -> list[Chain]:
    """The chains among groups of one call each that follow each other. `given`: inputs and outputs, which are
    there as a whole."""
    readers: dict[Node, set[int]] = {}
    for number, call in enumerate(program.calls):
        for node in call.reads:
            readers.setdefault(node, set()).add(number)

    def chain(at: int) -> Chain | None:
        """That which begins with this group, a product alone."""
        first = groups[at][0]
        if len(groups[at]) != 1 or schedules[first].mode != "product" or schedules[first].threads:
            return None
        calls, between, head = [first], list[Node](), None
        for group in islice(groups, at + 1, None):
            number = calls[-1]
            call = program.calls[number]
            target = call.writes[0]
            if target in given or readers.get(target) != {group[0]} or len(group) != 1:
                return None
            if head is None:
                head = _head(call)
                if head is None:
                    return None
            elif _middle(call, schedules[number], faces[number], between[-1]) != head.batches * head.rows:
                return None
            between.append(target)
            calls.append(group[0])
            if schedules[group[0]].mode == "product":
                tail = _tail(program.calls[group[0]], target)
                same = tail is not None and (tail.batches, tail.rows) == (head.batches, head.rows)
                return _sized(calls, between, head, schedules) if same else None
        return None

    found, at = list[Chain](), 0
    while at < len(groups):
        one = chain(at)
        found += [one] if one is not None else []
        at += len(one.calls) if one is not None else 1
    return found


def _sized(
    calls: Sequence[int], between: Sequence[Node], rows: _Rows, schedules: Sequence[Schedule]
) -> Chain | None:
    """The chain, if its strips are worth it."""
    tile = schedules[calls[0]].tile[0]
    if schedules[calls[-1]].tile[0] != tile or max(n.type.nbytes for n in between) < LEAST_BYTES:
        return None
    widest = rows.columns * max(node.type.dtype.size for node in between)
    tiles = min(STRIP_BYTES // widest // tile, PRODUCT_ROWS // tile)
    if tiles * tile < LEAST_ROWS:
        return None
    whole = -(-rows.rows // tile)
    parts = -(-whole // tiles)
    return Chain(
        tuple(calls), tuple(between), rows.batches, rows.rows, rows.columns, tile, parts, tiles * tile
    )


def strip(chain: Chain, slots: Sequence[str], call: Call, share: int, offsets: Mapping[Node, int]) -> Strip:
    """What a launch of the chain is told. `share`: its blocks of a strip, or 0 if each row is one; `offsets`
    of what lies between, in an area of scratch."""
    nodes = {name: operand.node for name, operand in call.arrays.items()}
    places = [(n, nodes[s]) for n, s in enumerate(slots) if s in nodes and nodes[s] in offsets]
    return Strip(
        chain.rows,
        chain.tile,
        chain.parts,
        share,
        tuple([(n, offsets[node], chain.columns * node.type.dtype.size) for n, node in places]),
    )
