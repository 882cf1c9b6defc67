"""Where the temporaries of a plan lie in its working memory: first fit, by lifetime.

It needs numbers, not symbols: a template of many temporaries would carry sums of all of them, and facts about
which is larger, where filling in a plan can simply do this once more.
"""

from __future__ import annotations

from bisect import insort
from heapq import heappop, heappush

from ..ir.artifact import Buffer, Plan

ALIGN = 64


class _Memory:
    """Gaps between what is live, by offset; beyond `top` all is free."""

    def __init__(self) -> None:
        self.gaps: list[tuple[int, int]] = []
        self.ends: list[tuple[int, int, int]] = []  # a heap: last group that uses it, offset, end
        self.top = self.size = 0

    def place(self, nbytes: int, first: int, last: int) -> int:
        while self.ends and self.ends[0][0] < first:
            _, begin, end = heappop(self.ends)
            self._free(begin, end)
        need = -(-nbytes // ALIGN) * ALIGN or ALIGN
        for k, (begin, end) in enumerate(self.gaps):
            if end - begin >= need:
                self.gaps[k : k + 1] = [(begin + need, end)] if end - begin > need else []
                break
        else:
            begin, self.top = self.top, self.top + need
            self.size = max(self.size, self.top)
        heappush(self.ends, (last, begin, begin + need))
        return begin

    def _free(self, begin: int, end: int) -> None:
        gap = (begin, end)
        insort(self.gaps, gap)
        k = self.gaps.index(gap)
        if k + 1 < len(self.gaps) and self.gaps[k + 1][0] == end:
            self.gaps[k : k + 2] = [(begin, self.gaps[k + 1][1])]
        if k and self.gaps[k - 1][1] == begin:
            self.gaps[k - 1 : k + 1] = [(self.gaps[k - 1][0], self.gaps[k][1])]
        if self.gaps[-1][1] == self.top:
            self.top, _ = self.gaps.pop()


def arrange(plan: Plan) -> Plan:
    """The plan with an offset for each temporary, and the bytes that all of them need."""
    memory = _Memory()
    buffers = []
    for b in plan.buffers:
        if b.kind == "temp":
            b = Buffer(b.kind, b.dtype, b.shape, b.nbytes, memory.place(b.nbytes, *b.life), b.life)
        buffers.append(b)
    return Plan(tuple(buffers), plan.inputs, plan.outputs, plan.aliases, plan.launches, memory.size)
