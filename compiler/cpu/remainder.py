"""The remainder of floats, in LLVM text: exact, as C's fmod is.

With q = trunc(|x| / |y|), |x| - q |y| is a multiple of the last place of y and less than it, so one `fma`
gives it without rounding, if q is small enough to be a number without gaps. A quotient that was rounded up to
the next whole number shows as a remainder below zero. Lanes for which this is not so (far quotients, zeros,
infinities, NaN) send the vector to C's function, lane by lane.
"""

from __future__ import annotations

from typing import Protocol

from ..ir.loop import Operand
from ..ir.types import DType


class Text(Protocol):
    """What this needs of the emitter."""

    block: str
    lines: list[str]

    def fresh(self, hint: str = "x") -> str: ...
    def put(self, line: str) -> None: ...
    def let(self, text: str, hint: str = "x") -> str: ...
    def ref(self, value: Operand) -> str: ...
    def call(self, name: str, result: str, args: list[tuple[str, str]]) -> str: ...
    def number(self, value: float, dtype: DType, lanes: int) -> str: ...


def emit(text: Text, x: Operand, y: Operand, kind: str, test: str, suffix: str) -> str:
    """`kind`: the type of x and y; `test`: of their comparisons; `suffix`: of intrinsics on them."""
    dtype, lanes = x.dtype, x.lanes

    def size(value: Operand) -> str:
        return text.call(f"llvm.fabs.{suffix}", kind, [(kind, text.ref(value))])

    def left(quotient: str) -> str:
        taken = text.let(f"fneg {kind} {quotient}")
        return text.call(f"llvm.fma.{suffix}", kind, [(kind, taken), (kind, b), (kind, a)])

    a, b = size(x), size(y)
    zero, one = (text.number(n, dtype, lanes) for n in (0.0, 1.0))
    limit = text.number(2.0**22 if dtype.bits == 32 else 2.0**51, dtype, lanes)
    quotient = text.let(f"fdiv {kind} {a}, {b}")
    q = text.call(f"llvm.trunc.{suffix}", kind, [(kind, quotient)])
    above = text.let(f"fcmp olt {kind} {left(q)}, {zero}")
    less = text.let(f"fsub {kind} {q}, {one}")
    q = text.let(f"select {test} {above}, {kind} {less}, {kind} {q}")
    r = left(q)
    near = text.let(f"fcmp olt {kind} {q}, {limit}")
    inside = text.let(f"fcmp olt {kind} {r}, {b}")
    good = text.let(f"and {test} {near}, {inside}")
    if lanes > 1:
        good = text.call(f"llvm.vector.reduce.and.v{lanes}i1", "i1", [(test, good)])
    signed = text.call(f"llvm.copysign.{suffix}", kind, [(kind, r), (kind, text.ref(x))])
    far, done = text.fresh("far")[1:], text.fresh("done")[1:]
    before = text.block
    text.put(f"br i1 {good}, label %{done}, label %{far}")
    text.lines.append(f"{far}:")
    exact = text.let(f"frem {kind} {text.ref(x)}, {text.ref(y)}")
    text.put(f"br label %{done}")
    text.lines.append(f"{done}:")
    text.block = done
    return text.let(f"phi {kind} [ {signed}, %{before} ], [ {exact}, %{far} ]")
