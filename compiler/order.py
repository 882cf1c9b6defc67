"""The order of a reduction: normative, so that all targets agree bit for bit.

It is a function of the kernel and of the extents that it sums over; never of the machine, the number of
threads, or the extents that are kept. `docs/architecture.md` says it in words. What is tuning (tiles,
widths, shares of threads) stands in the schedule of each target, and changes no bit. Whoever changes a number
here raises LOWERING in `pipeline.py`.

    lanes:    lane l of L takes elements l, l + L, l + 2 L, ... in order; then lane l is joined with lane
              l + L / 2, then with l + L / 4, ...: halving
    blocks:   of BLOCK elements (flat) or `row_block` rows, each by lanes; block b goes to lane b mod L, in
              order, then halving
    products: every sum runs along the summed axes in order, one fma a step
"""

from __future__ import annotations

from .ir.types import DType

# Lanes of a reduction, by bytes of the accumulator: lane l sums elements l, l + L, ... of a block.
LANES = {1: 64, 2: 64, 4: 64, 8: 32}
# Elements of a block of a flat kernel.
BLOCK = 8_192
# Elements of a block of rows; at most ROWS rows.
ROW_ELEMENTS = 16_384
ROWS = 512
# Rows of a block where totals keep an axis, however long that is: each block writes a whole row of totals,
# which is read again in the end.
KEPT_ROWS = 256
# Lanes of a total over the rows of a block, where all inner extents are small and fixed.
ROW_LANES = 32


def lanes(dtype: DType) -> int:
    return LANES[dtype.size]


def most_lanes(dtype: DType) -> int:
    """The longest vector that a reduction of `dtype` allows in any mode."""
    return min(lanes(dtype), ROW_LANES)


def row_block(row_elements: int, kept: bool) -> int:
    """Rows in a block: a power of two, about ROW_ELEMENTS elements; or KEPT_ROWS if totals keep an axis, for
    how much they keep must not decide in which order they are added."""
    if kept:
        return KEPT_ROWS
    rows = 1
    while rows < ROWS and rows * 2 * max(1, row_elements) <= ROW_ELEMENTS:
        rows *= 2
    return rows
