"""Stages in which it depends on where an axis is what is computed, case by case.

o[i] = where(at(i) < s, x[i | lo0 <= i < hi0], y[i - lo1 | lo1 <= i < hi1])

below s, and inside of lo0 .. hi0:    o[i] = x[i]
from s on, and inside of lo1 .. hi1:  o[i] = y[i - lo1]
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import TypeGuard

from ..ir import kernel as k
from ..ir.data import data, replace
from ..ir.types import b1, i64
from ..ops import REGISTRY

# So many cases have code of their own. Other stages ask at each element.
MOST = 32
# Operations of all cases together, in the `flops` of ops.
LENGTH = 512

# By comparison with the axis on the left: whether it holds below its bound, and how far that is moved.
_BELOW = {"lt": (True, 0), "le": (True, 1), "gt": (False, 1), "ge": (False, 0)}
_TESTS = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


@data
class Cut:
    """`condition` holds below `bound` - `away` + `more` along the axis, from there on if not `below`."""

    condition: k.Expr
    bound: k.Expr
    away: tuple[k.Expr, ...]
    more: int
    below: bool


@data
class Case:
    """A stage as it is where `guards` hold, and no cut is left."""

    stage: k.Stage
    guards: tuple[k.Within, ...]


@data
class Fork:
    """The cases before a cut, and behind it."""

    cut: Cut
    first: Case | Fork
    second: Case | Fork


@data
class Along:
    """The cases along the axis, and the stage for where there is none."""

    stage: k.Stage
    found: Case | Fork


@data
class Choice:
    """A condition that holds along all of the axis, or nowhere."""

    condition: k.Expr
    true: Along | Choice
    false: Along | Choice


class _Cases:
    """The cases of one stage along `axis`. `fixed`: whether an expression does not vary along it, and is
    known where the walk begins."""

    def __init__(self, stage: k.Stage, axis: str, fixed: Callable[[k.Expr], bool]) -> None:
        self.stage, self.axis, self.fixed = stage, axis, fixed
        self.lets = {s.name: s.expr for s in stage.body if isinstance(s, k.Let)}
        self.count = self.length = 0

    def choice(self, facts: dict[k.Expr, bool]) -> Along | Choice | None:
        """None if there are too many."""
        condition = next((e for e in self.open(facts) if self.fixed(e) and self.positional(e)), None)
        if condition is None:
            found = self.fork(facts)
            return None if found is None else Along(self.write(facts, f".g{self.count}", True).stage, found)
        if len(facts) > MOST:
            return None
        true = self.choice(facts | {condition: True})
        false = self.choice(facts | {condition: False}) if true else None
        return None if true is None or false is None else Choice(condition, true, false)

    def fork(self, facts: dict[k.Expr, bool]) -> Case | Fork | None:
        cut = next((c for c in map(self.cut, self.open(facts)) if c is not None), None)
        if cut is None or len(facts) > MOST:
            self.count += 1
            case = self.write(facts, f".{self.count}", False)
            return None if self.count > MOST or self.length > LENGTH or cut else case
        first = self.fork(facts | {cut.condition: cut.below})
        second = self.fork(facts | {cut.condition: not cut.below}) if first else None
        return None if first is None or second is None else Fork(cut, first, second)

    def open(self, facts: dict[k.Expr, bool]) -> Iterator[k.Expr]:
        """The conditions that decide between two values where `facts` hold, outermost first."""
        return (e.args[0] for e in self.reached(facts) if _decides(e) and e.args[0] not in facts)

    def reached(self, facts: dict[k.Expr, bool]) -> Iterator[k.Expr]:
        """What is looked at where `facts` hold, each once."""
        seen = set[k.Expr]()
        stack = [s.expr for s in reversed(self.stage.body) if isinstance(s, k.Store)]
        while stack:
            expr = stack.pop()
            if expr in seen:
                continue
            seen.add(expr)
            yield expr
            if isinstance(expr, k.Ref) and expr.name in self.lets:
                stack.append(self.lets[expr.name])
            elif _decides(expr) and expr.args[0] in facts:
                stack.append(expr.args[1 if facts[expr.args[0]] else 2])
            else:
                stack += k.parts(expr)[::-1]

    def cut(self, condition: k.Expr) -> Cut | None:
        expr = self.of(condition)
        if not isinstance(expr, k.Call) or expr.op not in _BELOW or k.expr_dtype(expr.args[0]) is not i64:
            return None
        op, (left, right) = expr.op, expr.args
        if self.fixed(left):
            op, left, right = _MIRRORED[op], right, left
        away = self.away(left)
        if away is None or not self.fixed(right) or self.fixed(condition):
            return None
        below, more = _BELOW[op]
        return Cut(condition, right, away, more, below)

    def of(self, expr: k.Expr) -> k.Expr:
        return self.lets.get(expr.name, expr) if isinstance(expr, k.Ref) else expr

    def positional(self, expr: k.Expr) -> bool:
        """Whether it asks where an axis is."""
        seen, stack = set[k.Expr](), [expr]
        while stack:
            e = stack.pop()
            if isinstance(e, k.At | k.Within):
                return True
            if e not in seen:
                seen.add(e)
                stack += k.parts(e) or [e for e in (self.of(e),) if e not in seen]
        return False

    def away(self, expr: k.Expr) -> tuple[k.Expr, ...] | None:
        """What is added to the place along the axis, sizes and literals; None if `expr` is something else."""
        found: list[k.Expr] = []
        while (expr := self.of(expr)) != k.At(self.axis):
            if not isinstance(expr, k.Call) or expr.op != "add":
                return None
            expr, more = expr.args
            if not isinstance(more, k.Size):
                return None
            found.append(more)
        return tuple(found)

    def write(self, facts: dict[k.Expr, bool], suffix: str, guarded: bool) -> Case:
        """The stage where `facts` hold, and all guards, unless these stay. Lets have names with `suffix`."""
        text, body = _Text(facts, guarded, suffix), list[k.Stmt]()
        names = {e.name for e in self.reached(facts) if isinstance(e, k.Ref)}
        for s in self.stage.body:
            if isinstance(s, k.Let) and s.name in names:
                let = text.let(s)
                body.append(k.Let(let.name, text.within(s.expr), s.loc))
                text.known[k.Ref(s.name, let.dtype)] = let
            elif isinstance(s, k.Store):
                body.append(replace(s, expr=text.within(s.expr)))
        calls = (e for s in body for o in k.operands(s) for e in k.walk(o) if isinstance(e, k.Call))
        self.length += sum(REGISTRY[e.op].flops for e in calls)
        return Case(replace(self.stage, body=tuple(body)), tuple(text.guards))


def _decides(expr: k.Expr) -> TypeGuard[k.Call]:
    return isinstance(expr, k.Call) and expr.op == "where"


class _Text:
    """Expressions where facts are known, and everything guarded is inside, unless guards stay."""

    def __init__(self, facts: dict[k.Expr, bool], guarded: bool, suffix: str) -> None:
        self.facts, self.guarded, self.suffix = facts, guarded, suffix
        self.guards: dict[k.Within, None] = {}
        self.known: dict[k.Expr, k.Expr] = {}

    def let(self, stmt: k.Let) -> k.Ref:
        """The name that a let has in this case."""
        return k.Ref(stmt.name + self.suffix, k.expr_dtype(stmt.expr))

    def within(self, expr: k.Expr) -> k.Expr:
        if expr in self.facts:
            return k.Const(self.facts[expr], b1)
        if expr not in self.known:
            self.known[expr] = self.write(expr)
        return self.known[expr]

    def write(self, expr: k.Expr) -> k.Expr:
        if isinstance(expr, k.Within) and not self.guarded:
            self.guards[expr] = None
            return k.Const(True, b1)
        if isinstance(expr, k.Load) and not self.guarded:
            self.guards |= dict.fromkeys(expr.guards)
            return replace(expr, guards=())
        if isinstance(expr, k.Pick):
            return replace(expr, index=tuple(map(self.within, expr.index)))
        if not isinstance(expr, k.Call):
            return expr
        if expr.op == "where":
            condition = self.within(expr.args[0])
            if isinstance(condition, k.Const):
                return self.within(expr.args[1 if condition.value else 2])
        return k.Call(expr.op, tuple(map(self.within, expr.args)), expr.dtype, expr.loc)


def at_column(stage: k.Stage, axis: str, column: int) -> k.Stage:
    """A map at one place along `axis`, where its comparisons with literals are known."""
    facts: dict[k.Expr, bool] = {}
    for e in k.expressions(stage):
        if (
            isinstance(e, k.Call)
            and e.op in _TESTS
            and e.args[0] == k.At(axis)
            and isinstance(e.args[1], k.Const)
        ):
            facts[e] = bool(_TESTS[e.op](column, e.args[1].value))
    found = _Cases(stage, axis, lambda expr: False).write(facts, f".{column}", True)
    return found.stage if facts else stage


def cases(stage: k.Stage, axis: str, fixed: Callable[[k.Expr], bool]) -> Along | Choice | None:
    """The cases of a map along `axis`; None if it has but one, or too many."""
    if any(not isinstance(s, k.Let | k.Store) for s in stage.body):
        return None
    found = _Cases(stage, axis, fixed).choice({})
    one = isinstance(found, Along) and isinstance(found.found, Case) and not found.found.guards
    return None if one else found
