"""Lines for instructions of assembly that LLVM has added and given none.

        .loc 1 0 3                                  .loc 1 12 7
        vxorps %xmm0, %xmm0, %xmm0      =>          vxorps %xmm0, %xmm0, %xmm0
        .loc 1 12 7                                 .loc 1 12 7
        vaddps (%rax), %zmm0, %zmm0                 vaddps (%rax), %zmm0, %zmm0

A constant, what registers had no room for, a jump: it has the line of what needs it, which is the next
instruction of its block that has one; where there is none, of what comes before.
"""

from __future__ import annotations

import re

_LOC = re.compile(r"(\t\.loc\t\d+ (\d+) \d+)")
# Of blocks and functions; other labels are for debuggers alone.
_LABEL = re.compile(r"(?!(\.L|\$L__)(tmp|func_))[.$\w]+:")


def settled(text: str) -> str:
    """Assembly in which every instruction behind the first line has one; the same text without lines."""
    if "\t.loc\t" not in text:
        return text
    made: list[str | None] = []
    last, waiting = "", -1  # the line before; where the one of what is looked at is to stand
    for line in text.splitlines():
        known = _LOC.match(line)
        if known and known[2] == "0":
            if waiting < 0:
                waiting = len(made)
                made.append(None)
            continue
        if known:
            last = known[1]
        if waiting >= 0 and (known or _LABEL.match(line)):
            made[waiting] = last or None
            waiting = -1 if known else len(made) + 1
            made += [line] if known else [line, None]
        else:
            made.append(line)
    if waiting >= 0:
        made[waiting] = last or None
    return "\n".join(line for line in made if line is not None) + "\n"
