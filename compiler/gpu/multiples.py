"""Of what power of two a whole number is a multiple: so that elements side by side, at a multiple of 16
bytes, are loaded at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from ..ir.loop import Imm, Let, Operand

MOST = 1 << 16


def multiple(operand: Operand, known: Mapping[str, int]) -> int:
    """Of a literal, or a value that is `known`; 1 of others."""
    if isinstance(operand, Imm):
        return gcd(int(operand.value), MOST)
    return known.get(operand.name, 1)


def of_result(stmt: Let, known: Mapping[str, int]) -> int:
    """Of an instruction's result."""
    found = [multiple(a, known) for a in stmt.args if a.dtype.kind in "iu"]
    match stmt.op:
        case "mul":
            return min(found[0] * found[1], MOST)
        case "add" | "sub" | "or" | "xor":
            return min(found)
        case "and":
            return max(found)
        case "select":
            return min(found)
        case "splat" | "lo" | "hi":
            return found[0]
    return 1
