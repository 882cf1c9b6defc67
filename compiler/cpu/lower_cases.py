"""Maps in which it depends on where an axis is what is computed: each case in loops of its own. What is in
none, as nothing is read there, is computed as the stage is written.

    o[i] = where(at(i) < s, x[i | 0 <= i < s], y[i - s | s <= i < n])

    for %once in 0 .. (%lo < %s ? 1 : 0) serial
      for %i in %lo .. %end vector                     o[i] = x[i]
      for %i in %end .. %s vector                      at most once, masked
    for %once in 0 .. (%s < %hi ? 1 : 0) serial
      ...                                              o[i] = y[i - s]
    for %gap in 0 .. (is anything left ? 3 : 0) serial before, between and behind them
      for %i in %left .. %right vector                 o[i] = where(at(i) < s, ...)

Vectors that are stored around the cache begin where such stores can: what is before the first is masked, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import ONE, ZERO, Body, Imm, Operand
from ..ir.types import i64
from .cases import Along, Case, Choice, Cut, Fork, cases
from .lower import Lowering
from .values import Level, View
from .views import start

# Bounds that a user gives are taken for these if they are beyond: places along an axis are not.
FAR = 1 << 60
# Cases times vectors of a short row below which all cases are asked for at each element. Measured: rows of 40
# elements out of two parts took 12 ns in place of 19 so, padded rows of 38 out of three 50 in place of 31.
ASKED = 9


def by_cases(
    x: Lowering, stage: k.Stage, axis: str, lo: Operand, hi: Operand, stream: Operand | None = None
) -> bool:
    """The vectors of a stage from lo to hi, case by case. False, and nothing is written, if it has none."""
    if x.number in x.kept_rows or any(number == x.number for number, _ in x.cached):
        return False
    known = x.levels[-1].axes
    found = cases(stage, axis, lambda expr: x.depends(expr) <= known)
    if found is None or (isinstance(hi, Imm) and _asked(found) * -(-hi.value // x.schedule.width) < ASKED):
        return False
    # where threads move elements side by side at once, cases may begin between them
    walk = _Walk(x, axis, lo, hi, None if x.schedule.wide > 1 else stream)
    with walk.apart():
        walk.run(found)
    return True


def _asked(found: Along | Choice | Case | Fork) -> int:
    """How many cases there are."""
    match found:
        case Case():
            return 1
        case Along():
            return _asked(found.found)
        case Fork():
            return _asked(found.first) + _asked(found.second)
        case Choice():
            return _asked(found.true) + _asked(found.false)


@data
class _Range:
    """A case from lo to hi, and where its whole turns begin and end."""

    case: Case
    lo: Operand
    begin: Operand
    end: Operand
    hi: Operand


class _Walk:
    def __init__(self, x: Lowering, axis: str, lo: Operand, hi: Operand, stream: Operand | None) -> None:
        self.x, self.b, self.axis = x, x.b, axis
        self.lo, self.hi, self.stream = lo, hi, stream

    def run(self, found: Along | Choice) -> None:
        if isinstance(found, Choice):
            condition = self.x.value(found.condition)
            for part, (then, other) in ((found.true, (ONE, ZERO)), (found.false, (ZERO, ONE))):
                with self.only(self.b.select(condition, then, other)):
                    self.run(part)
            return
        ranges = self.ranges(found.found, self.lo, self.hi)
        for one in ranges:
            with self.only(self.b.select(one.lo < one.hi, 1, 0)):
                self.inside(one)
        self.between(found.stage, ranges)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What was known outside is known here; what is found here is not known there."""
        x = self.x
        outside, views = x.levels, x.views
        x.levels = [Level(level.axes, dict(level.values)) for level in outside]
        yield
        x.levels, x.views = outside, views

    @contextmanager
    def only(self, times: Operand) -> Iterator[Body]:
        """So many times: once or never, mostly."""
        with self.b.loop(0, times, 1, "serial") as body, self.apart():
            yield body

    def hoist(self, stage: k.Stage) -> None:
        for level in self.x.levels:
            self.x.hoist(stage, level)

    # -- where the cases are

    def ranges(self, found: Case | Fork, lo: Operand, hi: Operand) -> list[_Range]:
        """In the order of the axis."""
        if isinstance(found, Case):
            return [self.range(found, lo, hi)]
        middle = self.middle(found.cut, lo, hi)
        return self.ranges(found.first, lo, middle) + self.ranges(found.second, middle, hi)

    def clamp(self, value: Operand, lo: Operand, hi: Operand) -> Operand:
        return self.x.minimum(self.maximum(value, lo), hi)

    def maximum(self, a: Operand, c: Operand) -> Operand:
        return self.b.select(a < c, c, a)

    def middle(self, cut: Cut, lo: Operand, hi: Operand) -> Operand:
        """Where the first part of what lies from lo to hi ends."""
        x = self.x
        at = x.value(cut.bound)
        if cut.away or cut.more:  # which must not wrap
            at = self.clamp(at, Imm(-FAR, i64), Imm(FAR, i64))
        for size in cut.away:
            at = at - x.value(size)
        return self.clamp(cut.more + at, lo, hi)

    def range(self, case: Case, lo: Operand, hi: Operand) -> _Range:
        """Whole vectors are counted from where the walk begins if they are stored around the cache. A case
        that holds nothing lies where its part does, so that what is between cases is done once."""
        b, x, step, last = self.b, self.x, self.x.schedule.step, hi
        for guard in case.guards:
            if guard.axis == self.axis:
                lo, hi = self.maximum(lo, x.slot(guard.lo)), x.minimum(hi, x.slot(guard.hi))
        lo = x.minimum(lo, last)
        for guard in case.guards:
            if guard.axis != self.axis:
                hi = b.select(x.value(guard), hi, lo)
        hi = self.maximum(lo, hi)
        begin = lo
        if self.stream is not None:
            up = lo - self.lo + (x.schedule.width - 1)
            whole = x.minimum(self.lo + (up & -x.schedule.width), hi)
            begin = b.select(b.op("ne", self.stream, ZERO), whole, lo)
        count = (hi - begin) & -step
        return _Range(case, lo, begin, begin + count, hi)

    # -- loops

    def inside(self, one: _Range) -> None:
        """One case that has elements."""
        b, x, stage = self.b, self.x, one.case.stage
        self.hoist(stage)
        x.views = x.views | self.shifted(stage)
        middle = one.begin
        if self.stream is not None:
            middle = b.select(b.op("ne", self.stream, ZERO), one.end, one.begin)
            self.turns(stage, one.begin, middle, True)
        self.turns(stage, middle, one.end, False)
        if self.stream is None:
            self.turns(stage, one.end, one.hi, False, one.hi)
            return
        with b.loop(0, 2, 1, "serial") as side:
            first = b.op("eq", side.var, ZERO)
            left, right = b.select(first, one.lo, one.end), b.select(first, one.begin, one.hi)
            self.turns(stage, left, right, False, right)

    def shifted(self, stage: k.Stage) -> dict[View, str]:
        """Windows on what the stage reads along the axis from another place on."""
        x, found = self.x, dict[View, str]()
        for e in k.expressions(stage):
            if isinstance(e, k.Load) and any(ix.shift for ix in e.index) and x.arrays[e.array].unit:
                axes = [ix.axis for ix in e.index]
                if axes[-1] == self.axis and axes.count(self.axis) == 1:
                    array = x.arrays[e.array]
                    found[e.array, e.index, ZERO] = x.b.window(array.dtype, e.array, start(x, array, e.index))
        return found

    def turns(
        self, stage: k.Stage, lo: Operand, hi: Operand, streaming: bool, rest: Operand | None = None
    ) -> None:
        x, step = self.x, self.x.schedule.step if rest is None else self.x.schedule.width
        x.turns(self.axis, lo, hi, step, lambda u: x.body(stage, u), rest, streaming)

    def between(self, stage: k.Stage, ranges: list[_Range]) -> None:
        """What is not in these, if there is something, in one loop for all of it."""
        b = self.b
        lacking = self.hi - self.lo
        for one in ranges:
            lacking = lacking - (one.hi - one.lo)
        self.hoist(stage)
        with self.only(b.select(b.op("ne", lacking, ZERO), len(ranges) + 1, 0)) as gap:
            left: Operand = self.lo
            right: Operand = self.hi
            for number, one in enumerate(ranges):
                behind = gap.var > number
                left = b.select(behind, one.hi, left)
            for number, one in reversed([*enumerate(ranges)]):
                before = gap.var <= number
                right = b.select(before, one.lo, right)
            self.turns(stage, left, right, False, right)
