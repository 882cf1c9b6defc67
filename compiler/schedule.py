"""How a kernel is laid out on a target: which axis is walked by vectors, how wide, in which blocks.

Everything that decides the order of a reduction is here, and depends on the kernel and its shapes alone, never on
the machine: LANES, BLOCK, and `row_block`. What may depend on the machine is `width`, the vector length.
"""

from __future__ import annotations

from dataclasses import dataclass

from .kernel import Kernel, Reduce, arrays, expr_dtype, operands, walk
from .types import DType

# Lanes of a reduction, by bytes of the accumulator: lane l sums elements l, l + L, ... of a block.
LANES = {1: 64, 2: 64, 4: 64, 8: 32}
# Elements of a block of a flat kernel.
BLOCK = 16_384
# Elements of a block of rows; at most ROWS rows.
ROW_ELEMENTS = 16_384
ROWS = 512


@dataclass(frozen=True, slots=True)
class Schedule:
    """`mode`: "flat" (vectors along the one outer axis), "rows" (a scalar loop over the outer axes,
    vectors along the last inner axis). `width`: lanes of a vector. `step`: elements a turn of the
    vector loop takes."""

    mode: str
    width: int
    step: int


def lanes(dtype: DType) -> int:
    return LANES[dtype.size]


def row_block(row_elements: int) -> int:
    """Rows in a block: a power of two, about ROW_ELEMENTS elements."""
    rows = 1
    while rows < ROWS and rows * 2 * max(1, row_elements) <= ROW_ELEMENTS:
        rows *= 2
    return rows


def _dtypes(kernel: Kernel) -> set[DType]:
    found = {a.dtype for a in arrays(kernel).values()}
    for stage in kernel.stages + kernel.final:
        for stmt in stage.body:
            if isinstance(stmt, Reduce):
                found.add(stmt.dtype)
            found.update(expr_dtype(e) for o in operands(stmt) for e in walk(o))
    return found


def schedule(kernel: Kernel, vector_bytes: int) -> Schedule:
    """The layout of `kernel` for vectors of `vector_bytes`."""
    widest = max((d.size for d in _dtypes(kernel)), default=4)
    width = max(2, vector_bytes // max(4, widest))
    reduces = [
        lanes(s.dtype) for st in kernel.stages for s in st.body if isinstance(s, Reduce)
    ]
    calls = sum(len(walk(o)) for st in kernel.stages for s in st.body for o in operands(s))
    step = max(reduces, default=width * (2 if calls < 64 else 1))
    flat = len(kernel.outer) == 1 and not any(s.axes for s in kernel.stages)
    return Schedule("flat" if flat else "rows", width, max(step, width))



