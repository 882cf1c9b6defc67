"""`__init__` by the number of arguments, from what sets each. Written out, so that its bytecode is on disk:
to compile it takes a fifth of a millisecond, for each of a dozen numbers. (What sets something returns None,
so `or` goes on.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

_MAKERS: tuple[Callable[..., Any], ...] = (
    lambda: lambda self: None,
    lambda s0: lambda self, x0: s0(self, x0),
    lambda s0, s1: lambda self, x0, x1: s0(self, x0) or s1(self, x1),
    lambda s0, s1, s2: lambda self, x0, x1, x2: s0(self, x0) or s1(self, x1) or s2(self, x2),
    lambda s0, s1, s2, s3: lambda self, x0, x1, x2, x3: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3)
    ),
    lambda s0, s1, s2, s3, s4: lambda self, x0, x1, x2, x3, x4: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4)
    ),
    lambda s0, s1, s2, s3, s4, s5: lambda self, x0, x1, x2, x3, x4, x5: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6: lambda self, x0, x1, x2, x3, x4, x5, x6: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6, s7: lambda self, x0, x1, x2, x3, x4, x5, x6, x7: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6) or s7(self, x7)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6, s7, s8: lambda self, x0, x1, x2, x3, x4, x5, x6, x7, x8: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6) or s7(self, x7) or s8(self, x8)
    ),
    lambda s0, s1, s2, s3, s4, s5, s6, s7, s8, s9: lambda self, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9: (
        s0(self, x0) or s1(self, x1) or s2(self, x2) or s3(self, x3) or s4(self, x4) or s5(self, x5)
        or s6(self, x6) or s7(self, x7) or s8(self, x8) or s9(self, x9)
    ),
)  # fmt: skip


@cache
def maker(count: int) -> Callable[..., Any]:
    """From the setters of `count` arguments to the function that calls them all."""
    if count < len(_MAKERS):
        return _MAKERS[count]
    setters, values = [f"s{k}" for k in range(count)], [f"x{k}" for k in range(count)]
    calls = " or ".join(f"{s}(self, {x})" for s, x in zip(setters, values, strict=True))
    made: Callable[..., Any] = eval(f"lambda {', '.join(setters)}: lambda self, {', '.join(values)}: {calls}")
    return made
