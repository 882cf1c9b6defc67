"""Runs of keys in order, merged two at a time until all is one run: from one buffer to the other, a vector at
each end of the two runs together, so that neither waits for the other's.

    for %t in 0 .. %rounds serial               runs of 4096 keys, 8192, ...
      for %q in 0 .. %runs step 2 << %t serial    two runs, side by side
        for %i in 0 .. %half serial
          %n = load x[%a or %b]                     of the run whose next key is less, a vector
          ...                                       the lesser half of it and what waits; the rest waits
          store y[%o]
          ...                                     and the same from the end, with the greater half

(Chhugani et al., Efficient implementation of sorting on multi-core SIMD CPU architecture, 2008.)
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.loop import ONE, ZERO, Operand
from .lower import Lowering
from .lower_bitonic import Bitonic

Bound = Callable[[Operand], Operand]


class Merge:
    """From one buffer to the other, `names`, and back, by the vectors of `network`."""

    def __init__(self, x: Lowering, network: Bitonic) -> None:
        self.x, self.b, self.network = x, x.b, network

    def buffer(self, names: tuple[str, str], second: Operand) -> str:
        """The first one, or the second one, where that is 1."""
        return self.b.window(self.network.key, names[0], 0, 1 - second, names[1], ZERO)

    def all(self, names: tuple[str, str], bound: Bound, count: Operand, rounds: Operand) -> str:
        """So many runs in the first buffer; run n begins at bound(n), and none has fewer keys than a pair of
        vectors. Returns where they are as one."""
        b = self.b
        with b.loop(0, rounds, 1, "serial", (ZERO,)) as turn:
            (second,) = turn.carried
            other = 1 - second
            source, target = self.buffer(names, second), self.buffer(names, other)
            some = ONE << turn.var
            with b.loop(0, count, some + some, "serial") as pair:
                middle = self.x.minimum(pair.var + some, count)
                end = self.x.minimum(middle + some, count)
                self.two(source, target, bound(pair.var), bound(middle), bound(end))
            turn.yields = (other,)
        return self.buffer(names, turn.results[0])

    def two(self, source: str, target: str, begin: Operand, middle: Operand, end: Operand) -> None:
        """The runs from `begin` to `middle` and from there to `end`; the second one may have no keys."""
        b, n = self.b, self.network
        step, key = n.step, n.key
        n.row = source
        final = end - step
        left = self.x.minimum(middle, final) - step  # where the first run's next vector begins
        right = final - step
        inits = (
            n.reversed(n.load(begin)), begin + step, middle,
            n.reversed(n.load(final)), left, right,
        )  # fmt: skip
        half = (end - begin) >> 1
        with b.loop(0, half, n.lanes, "serial", inits) as turn:
            low, i, j, high, left, right = turn.carried
            less = b.load(source, key, i) <= b.load(source, key, j)
            first = (j >= end) | ((i < middle) & less)
            done = left < begin
            its = b.load(source, key, b.select(done, begin, left) + (n.lanes - 1))
            less = its <= b.load(source, key, right + (n.lanes - 1))
            second = done | ((right >= middle) & less)
            front = self.meet(low, n.load(b.select(first, i, j)))
            back = self.meet(high, n.load(b.select(second, right, left)))
            b.store(target, begin + turn.var, front[0])
            b.store(target, final - turn.var, back[1])
            turn.yields = (
                n.reversed(front[1]), self.on(first, i, step), self.on(first ^ True, j, step),
                n.reversed(back[0]), self.back(second ^ True, left), self.back(second, right),
            )  # fmt: skip

    def meet(self, waiting: Operand, new: Operand) -> tuple[Operand, Operand]:
        """What waits, which falls, and a vector that rises: the lesser half of both, and the greater."""
        return self.network.halves(*self.network.in_order(waiting, new))

    def on(self, flag: Operand, at: Operand, step: Operand) -> Operand:
        return self.b.select(flag, at + step, at)

    def back(self, flag: Operand, at: Operand) -> Operand:
        return self.b.select(flag, at - self.network.step, at)
