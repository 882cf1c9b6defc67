"""Operands of formats that are for memory alone (`DType.wide`): widened, computed, and rounded once."""

from __future__ import annotations

from ..ir.loop import Builder, Imm, Operand
from ..ir.rounding import rounded
from ..ir.types import DType


def widened(b: Builder, x: Operand) -> Operand:
    """x in the format in which it is computed."""
    if x.dtype.wide is None:
        return x
    if isinstance(x, Imm):
        return Imm(rounded(x.value, x.dtype), x.dtype.wide, x.lanes)
    return b.op("cast", x, dtype=x.dtype.wide)


def narrowed(b: Builder, x: Operand, dtype: DType) -> Operand:
    """What was computed for a result of `dtype`."""
    return x if dtype.wide is None else b.op("cast", x, dtype=dtype)
