"""Maps in which it depends on where an axis is what is computed: each case in a loop of its own, over the
vectors that lie in it. Those in which one ends, or nothing is read, are computed as the stage is written.

    o[i] = where(at(i) < s, x[i | 0 <= i < s], y[i - s | s <= i < n])

    for %once in 0 .. (%lo < %s ? 1 : 0) serial
      for %i in %lo .. %first vector                   o[i] = x[i]
    for %once in 0 .. (%second < %hi ? 1 : 0) serial
      for %i in %second .. %end vector                 o[i] = y[i - s]
    for %gap in 0 .. 3 serial                          before, between and behind them
      for %i in %left .. %right vector                 o[i] = where(at(i) < s, ...)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import Imm, Operand
from ..ir.types import i64
from .cases import Along, Case, Choice, Cut, Fork, cases
from .lower import Lowering
from .values import HERE, Level, View
from .views import start, window

ONE = Imm(1, i64)
# Bounds that a user gives are taken for these if they are beyond: places along an axis are not.
FAR = 1 << 60


def by_cases(
    x: Lowering, stage: k.Stage, axis: str, lo: Operand, hi: Operand, stream: Operand | None = None
) -> bool:
    """The vectors of a stage from lo to hi, case by case. False, and nothing is written, if it has none."""
    if isinstance(lo, Imm) and isinstance(hi, Imm):
        return False
    if x.number in x.kept_rows or any(number == x.number for number, _ in x.cached):
        return False
    known = x.levels[-1].axes
    found = cases(stage, axis, lambda expr: x.depends(expr) <= known)
    if found is None:
        return False
    walk = _Walk(x, axis, lo, hi, stream)
    with walk.apart():
        walk.run(found)
    return True


@data
class _Range:
    """A case, from the first of its vectors to the end of its last turn."""

    case: Case
    begin: Operand
    end: Operand


class _Walk:
    def __init__(self, x: Lowering, axis: str, lo: Operand, hi: Operand, stream: Operand | None) -> None:
        self.x, self.b, self.axis = x, x.b, axis
        self.lo, self.hi, self.stream = lo, hi, stream

    def run(self, found: Along | Choice) -> None:
        if isinstance(found, Choice):
            condition = self.x.value(found.condition)
            for part, (then, other) in ((found.true, (ONE, HERE)), (found.false, (HERE, ONE))):
                with self.only(self.b.op("select", condition, then, other)):
                    self.run(part)
            return
        ranges = self.ranges(found.found, self.lo, self.hi)
        for one in ranges:
            with self.only(self.b.op("select", self.b.op("lt", one.begin, one.end), ONE, HERE)):
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
    def only(self, times: Operand) -> Iterator[None]:
        """Once or never."""
        with self.b.loop(HERE, times, 1, "serial"), self.apart():
            yield

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
        return self.b.op("select", self.b.op("lt", a, c), c, a)

    def middle(self, cut: Cut, lo: Operand, hi: Operand) -> Operand:
        """Where the first part of what lies from lo to hi ends."""
        b, x = self.b, self.x
        at = x.value(cut.bound)
        if cut.away or cut.more:  # which must not wrap
            at = self.clamp(at, Imm(-FAR, i64), Imm(FAR, i64))
        for size in cut.away:
            at = b.op("sub", at, x.value(size))
        return self.clamp(x.plus(Imm(cut.more, i64), at), lo, hi)

    def range(self, case: Case, lo: Operand, hi: Operand) -> _Range:
        """Whole vectors, counted from where the walk begins, so that all of them can be stored around the
        cache."""
        b, x, step = self.b, self.x, self.x.schedule.step
        for guard in case.guards:
            if guard.axis == self.axis:
                lo, hi = self.maximum(lo, x.slot(guard.lo)), x.minimum(hi, x.slot(guard.hi))
        for guard in case.guards:
            if guard.axis != self.axis:
                hi = b.op("select", x.value(guard), hi, HERE)
        up = b.op("add", b.op("sub", lo, self.lo), Imm(x.schedule.width - 1, i64))
        begin = x.minimum(b.op("add", self.lo, b.op("and", up, Imm(-x.schedule.width, i64))), self.hi)
        count = b.op("and", b.op("sub", self.maximum(begin, hi), begin), Imm(-step, i64))
        return _Range(case, begin, b.op("add", begin, count))

    # -- loops

    def inside(self, one: _Range) -> None:
        """One case that has a turn."""
        b, x, stage = self.b, self.x, one.case.stage
        self.hoist(stage)
        x.views = x.views | self.shifted(stage)
        middle = one.begin
        if self.stream is not None:
            middle = b.op("select", b.op("ne", self.stream, HERE), one.end, one.begin)
            self.turns(stage, one.begin, middle, True)
        self.turns(stage, middle, one.end, False)

    def shifted(self, stage: k.Stage) -> dict[View, str]:
        """Windows on what the stage reads along the axis from another place on."""
        x, found = self.x, dict[View, str]()
        for e in k.expressions(stage):
            if isinstance(e, k.Load) and any(ix.shift for ix in e.index) and x.arrays[e.array].unit:
                axes = [ix.axis for ix in e.index]
                if axes[-1] == self.axis and axes.count(self.axis) == 1:
                    array = x.arrays[e.array]
                    found[e.array, e.index, HERE] = window(x, array, e.array, start(x, array, e.index))
        return found

    def turns(self, stage: k.Stage, lo: Operand, hi: Operand, streaming: bool) -> None:
        x = self.x
        x.turns(
            self.axis, lo, hi, x.schedule.step, (), lambda u, carried: x.body(stage, u, [], carried),
            None, streaming,
        )  # fmt: skip

    def between(self, stage: k.Stage, ranges: list[_Range]) -> None:
        """What is not in these, in one loop for all of it."""
        b, x = self.b, self.x
        self.hoist(stage)
        with b.loop(HERE, Imm(len(ranges) + 1, i64), 1, "serial") as gap:
            left, right = self.lo, self.hi
            for number, one in enumerate(ranges):
                behind = b.op("gt", gap.var, Imm(number, i64))
                left = b.op("select", behind, one.end, left)
            for number, one in reversed([*enumerate(ranges)]):
                before = b.op("le", gap.var, Imm(number, i64))
                right = b.op("select", before, one.begin, right)
            x.turns(
                self.axis, left, right, x.schedule.width, (),
                lambda u, carried: x.body(stage, u, [], carried), self.hi,
            )  # fmt: skip
