"""The remainder of floats, in LLVM text: exact, as C's fmod is.

With q = trunc(|x| / |y|), |x| - q |y| is a multiple of the last place of y and less than it, so one `fma`
gives it without rounding, if q is small enough to be a number without gaps. A quotient that was rounded up to
the next whole number shows as a remainder below zero. What targets differ in is what they do with far
quotients.
"""

from __future__ import annotations

from ..ir.loop import Operand
from .emitter import Emitter


class _Numbers:
    """What both ways are written in."""

    def __init__(self, text: Emitter, x: Operand, y: Operand) -> None:
        self.text, self.x = text, x
        self.kind, self.test, self.suffix = text.type_of(x), text.vector("i1", x.lanes), text.suffix(x)
        self.bits = 22 if x.dtype.bits == 32 else 51  # of quotients without gaps, and some to spare
        self.a, self.b = self.call("fabs", text.ref(x)), self.call("fabs", text.ref(y))

    def call(self, name: str, *args: str) -> str:
        return self.text.call(f"llvm.{name}.{self.suffix}", self.kind, [(self.kind, a) for a in args])

    def number(self, value: float) -> str:
        return self.text.number(value, self.x.dtype, self.x.lanes)

    def compare(self, how: str, a: str, b: str) -> str:
        return self.text.let(f"fcmp {how} {self.kind} {a}, {b}")

    def choose(self, test: str, a: str, b: str) -> str:
        return self.text.let(f"select {self.test} {test}, {self.kind} {a}, {self.kind} {b}")

    def left(self, quotient: str, scale: str, rest: str) -> str:
        return self.call("fma", self.text.let(f"fneg {self.kind} {quotient}"), scale, rest)

    def whole(self, quotient: str, scale: str, rest: str) -> str:
        """The largest whole number of `scale` in `rest`."""
        q = self.call("trunc", quotient)
        above = self.compare("olt", self.left(q, scale, rest), self.number(0))
        return self.choose(above, self.text.let(f"fsub {self.kind} {q}, {self.number(1)}"), q)

    def signed(self, rest: str) -> str:
        return self.call("copysign", rest, self.text.ref(self.x))


def at_once(text: Emitter, x: Operand, y: Operand) -> str:
    """Lanes with far quotients, zeros, infinities, NaN send the vector to C's function, lane by lane."""
    n = _Numbers(text, x, y)
    q = n.whole(text.let(f"fdiv {n.kind} {n.a}, {n.b}"), n.b, n.a)
    r = n.left(q, n.b, n.a)
    near, inside = n.compare("olt", q, n.number(2.0**n.bits)), n.compare("olt", r, n.b)
    good = text.let(f"and {n.test} {near}, {inside}")
    if x.lanes > 1:
        good = text.call(f"llvm.vector.reduce.and.v{x.lanes}i1", "i1", [(n.test, good)])
    signed = n.signed(r)
    far, done = text.fresh("far")[1:], text.fresh("done")[1:]
    before = text.block
    text.label(far, f"br i1 {good}, label %{done}, label %{far}")
    exact = text.let(f"frem {n.kind} {text.ref(x)}, {text.ref(y)}")
    text.label(done, f"br label %{done}")
    return text.let(f"phi {n.kind} [ {signed}, %{before} ], [ {exact}, %{far} ]")


def by_turns(text: Emitter, x: Operand, y: Operand) -> str:
    """From |x|, as long as it is not less than |y|, whole multiples of s are taken, where s is |y| times a
    power of two such that there are few enough of them. A float32 takes at most 14 turns, a float64 43; most
    take one. (LLVM's own remainder for GPUs is not exact.)"""
    text.count += 1
    outer, inner, wider, take, done = (f"{n}{text.count}" for n in ("more", "size", "wider", "take", "exact"))
    n = _Numbers(text, x, y)
    kind = n.kind
    finite, some = n.compare("olt", n.a, n.number(float("inf"))), n.compare("ogt", n.b, n.number(0))
    good = text.let(f"and i1 {finite}, {some}")
    first, unit = n.choose(good, n.a, n.number(0)), n.choose(good, n.b, n.number(1))
    rest, scale, larger = (text.fresh(hint) for hint in ("rest", "scale", "larger"))
    before = text.block
    text.label(outer, f"br label %{outer}")
    mark = len(text.lines)
    text.label(inner, f"br i1 {n.compare('oge', rest, unit)}, label %{inner}, label %{done}")
    text.lines.append(f"  {scale} = phi {kind} [ {unit}, %{outer} ], [ {larger}, %{wider} ]")
    quotient = text.let(f"fdiv {kind} {rest}, {scale}")
    far = n.compare("oge", quotient, n.number(2.0**n.bits))
    text.label(wider, f"br i1 {far}, label %{wider}, label %{take}")
    text.put(f"{larger} = fmul {kind} {scale}, {n.number(2.0 ** (n.bits - 2))}")
    text.label(take, f"br label %{inner}")
    taken = n.left(n.whole(quotient, scale, rest), scale, rest)
    text.lines.insert(mark, f"  {rest} = phi {kind} [ {first}, %{before} ], [ {taken}, %{take} ]")
    text.label(done, f"br label %{outer}")
    return n.choose(good, n.signed(rest), n.number(float("nan")))
