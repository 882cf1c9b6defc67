"""The order of a reduction: normative, so that all targets agree bit for bit.

It is a function of the kernel and of the extents that it sums over; never of the machine, the number of
threads, or the extents that are kept. `docs/architecture.md` says it in words. What is tuning (tiles,
widths, shares of threads) stands in the schedule of each target, and changes no bit. Whoever changes a number
here raises LOWERING in `pipeline.py`.

    lanes:    lane l of L takes elements l, l + L, l + 2 L, ... in order; then lane l is joined with lane
              l + L / 2, then with l + L / 4, ...: halving
    blocks:   of BLOCK elements (flat) or `row_block` rows, each by lanes (ROW_LANES of rows; none where a
              total keeps an axis); block b goes to lane b mod L, in order, then halving
    products: in parts of the depth; within a part C chains, one fma a step: chain c takes steps c, c + C,
              ...; chains are halved, and added to the sum of the parts before
"""

from __future__ import annotations

from .ir.types import DType

# Lanes of a reduction, by bytes of its largest state: lane l sums elements l, l + L, ... of a block.
LANES = {1: 64, 2: 64, 4: 64, 8: 32}
# Elements of a block of a flat kernel.
BLOCK = 8_192
# Elements of a block of rows; at most ROWS rows.
ROW_ELEMENTS = 16_384
ROWS = 512
# Rows of a block where totals keep an axis, however long that is: each block writes a whole row of totals,
# which is read again in the end.
KEPT_ROWS = 256
# Lanes of a total over the rows of a block that keeps no axis.
ROW_LANES = 32
# Bytes of the chains of a product's sums, and of a part of its depth. Chains fill the shortest vector: so
# sums run as well along a matrix that lies along the depth as along one that does not.
CHAIN_BYTES = 16
PART_BYTES = 1024


def lanes(*dtypes: DType) -> int:
    """Of a reduction whose states have these dtypes."""
    return min(LANES[dtype.size] for dtype in dtypes)


def most_lanes(*dtypes: DType) -> int:
    """The longest vector that such a reduction allows in any mode."""
    return min(lanes(*dtypes), ROW_LANES)


def row_block(row_elements: int, kept: bool) -> int:
    """Rows in a block: a power of two, about ROW_ELEMENTS elements; or KEPT_ROWS if totals keep an axis, for
    how much they keep must not decide in which order they are added."""
    if kept:
        return KEPT_ROWS
    rows = 1
    while rows < ROWS and rows * 2 * max(1, row_elements) <= ROW_ELEMENTS:
        rows *= 2
    return rows


def chain(count: int) -> int:
    """The longest chain of additions in a sum of so many terms, in any mode (docs/architecture.md)."""
    return min(count, ROWS + BLOCK // 32 + 32 + count // BLOCK)


def chains(dtype: DType) -> int:
    """Of a product with sums of `dtype`."""
    return CHAIN_BYTES // max(4, dtype.size)


def depth_part(dtype: DType) -> int:
    """Steps of a part of the depth."""
    return PART_BYTES // max(4, dtype.size)
