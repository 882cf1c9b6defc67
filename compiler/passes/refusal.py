"""Why a root did not join a kernel that makes what it reads, and what to change so that it would. Words only:
no sizes are asked for, or a plan would hold for fewer of them."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    why: str
    remedy: str = ""  # for the user's code; empty: there is none


ELSEWHERE = Refusal(
    "it reads at other places than where that is made",
    "transpose, shift or slice what that is made of, before it is computed",
)
TOTAL = Refusal(
    "it needs a total, which is known once all blocks are done",
    "a total of each row (the last axis alone) is known in time, and so is one of the call before",
)
NO_AXES = Refusal(
    "the two have no outer axes in common",
    "reduce along the same axes, or compute along the axes that are kept",
)
NESTED = Refusal(
    "it goes over several of the rows that were reduced, each by itself, and a kernel has one level of rows",
    "reduce along all of these axes at once, where that means the same",
)
ACROSS_MEMORY = Refusal(
    "it would be summed, or written, across memory", "let the axis that is summed be the last one in memory"
)
LONG_ROWS = Refusal("rows are too long to stay in a cache until they are walked again", "split the rows")
FEW = Refusal("they have too few elements in common to be read together")
LONG = Refusal("the kernel would be too long")
LARGE_END = Refusal(
    "it has too many elements for the end of a kernel, which one thread does",
    "compute with the total first (scale the few elements, not the many)",
)
PRODUCT = Refusal("a product begins a kernel: only maps over its result join it")
NO_EPILOGUE = Refusal(
    "behind a product only maps over its whole result run in its kernel",
    "reduce or reshape after a map over the product's result, in that shape",
)
ALONE = Refusal("scans, sorts and sums at places share a kernel with nothing")
BETWEEN = Refusal("another kernel must run between the two")
TAKEN = Refusal("it joined another kernel, of which it reads more")
RESHAPED = Refusal(
    "a reshape between the two mixes axes, so that it must stand in memory",
    "reshape the inputs instead, or compute in the shape that is there before and reshape the result",
)
INDEXED = Refusal(
    "it is indexed by values in a part of what reads it, as where parts are joined, padded or assigned to",
    "let a mask say which elements, where one can: lucid.where(mask, a, b)",
)
STEPPED = Refusal(
    "what is padded, or assigned to in part, is read by steps, backwards or at one place",
    "take that part of it before",
)
VIEWED = Refusal("a view between the two cannot be followed by subscripts, so that it must stand in memory")
PACKED = Refusal("a product packs its operands, which must stand in memory", "")

LATER = (BETWEEN.why, TAKEN.why)  # of a root that came when its kernel was apart already: the first one tells


def blocked_by(op: str) -> tuple[str, Refusal]:
    """What a view or a gather does, so that what it reads must stand in memory; the same as a refusal."""
    ways = {
        "reshape": ("mixes its axes", RESHAPED),
        "gather": ("is in a part of what reads it", INDEXED),
        "pad": ("is read by steps, backwards or at one place", STEPPED),
    }
    return ways.get(op, ("cannot be followed", VIEWED))
