"""The remainder of floats, in LLVM text: exact, as C's fmod is. (LLVM's own for this target is not.)

From |x|, as long as it is not less than |y|, whole multiples of s are taken, where s is |y| times a power of
two such that there are few enough of them for one `fma` to be exact. A quotient that was rounded up to the
next whole number shows as a remainder below zero. A float32 takes at most 14 turns, a float64 43; most take
one.
"""

from __future__ import annotations

from ..ir.loop import Operand
from ..llvm.emitter import Emitter


def emit(text: Emitter, x: Operand, y: Operand) -> str:
    kind, suffix, dtype = text.type_of(x), text.suffix(x), x.dtype
    text.count += 1
    outer, inner, wider, take, done = (f"{n}{text.count}" for n in ("more", "size", "wider", "take", "exact"))
    bits = 22 if dtype.bits == 32 else 51

    def number(value: float) -> str:
        return text.number(value, dtype, 1)

    def size(value: Operand) -> str:
        return text.call(f"llvm.fabs.{suffix}", kind, [(kind, text.ref(value))])

    def left(quotient: str) -> str:
        taken = text.let(f"fneg {kind} {quotient}")
        return text.call(f"llvm.fma.{suffix}", kind, [(kind, taken), (kind, scale), (kind, rest)])

    a, b = size(x), size(y)
    finite, some = (
        text.let(f"fcmp olt {kind} {a}, {number(float('inf'))}"),
        text.let(f"fcmp ogt {kind} {b}, {number(0)}"),
    )
    good = text.let(f"and i1 {finite}, {some}")
    first = text.let(f"select i1 {good}, {kind} {a}, {kind} {number(0)}")
    unit = text.let(f"select i1 {good}, {kind} {b}, {kind} {number(1)}")
    rest, scale, larger = (text.fresh(n) for n in ("rest", "scale", "larger"))
    before = text.block
    text.put(f"br label %{outer}")
    text.lines.append(f"{outer}:")
    mark = len(text.lines)
    text.put(f"br i1 {text.let(f'fcmp oge {kind} {rest}, {unit}')}, label %{inner}, label %{done}")
    text.lines += [f"{inner}:", f"  {scale} = phi {kind} [ {unit}, %{outer} ], [ {larger}, %{wider} ]"]
    quotient = text.let(f"fdiv {kind} {rest}, {scale}")
    text.put(
        f"br i1 {text.let(f'fcmp oge {kind} {quotient}, {number(2.0**bits)}')}, label %{wider}, label %{take}"
    )
    text.lines.append(f"{wider}:")
    text.put(f"{larger} = fmul {kind} {scale}, {number(2.0 ** (bits - 2))}")
    text.put(f"br label %{inner}")
    text.lines.append(f"{take}:")
    whole = text.call(f"llvm.trunc.{suffix}", kind, [(kind, quotient)])
    above = text.let(f"fcmp olt {kind} {left(whole)}, {number(0)}")
    less = text.let(f"fsub {kind} {whole}, {number(1)}")
    count = text.let(f"select i1 {above}, {kind} {less}, {kind} {whole}")
    text.lines.insert(mark, f"  {rest} = phi {kind} [ {first}, %{before} ], [ {left(count)}, %{take} ]")
    text.put(f"br label %{outer}")
    text.lines.append(f"{done}:")
    text.block = done
    signed = text.call(f"llvm.copysign.{suffix}", kind, [(kind, rest), (kind, text.ref(x))])
    return text.let(f"select i1 {good}, {kind} {signed}, {kind} {number(float('nan'))}")
