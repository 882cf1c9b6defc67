"""Branches that are rarely taken, as functions of their own: what unusual numbers need.

    %r = for %i in 0 .. %any once (%c = %usual)        br %any;  %r = call @aside.1(%usual, %x)
      ... a hundred instructions of %x and %c

An elementary function stands in each loop of a kernel, for whole vectors and for the rest, as often as it is
in the formula: branches that differ in names alone are one function, and LLVM compiles them once. (One sine
took it 74 ms and takes 30, four of them 259 and 47; they run as long as before, or a tenth less.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..ir import loop as lp

# Statements of a branch from which on it is a function. (With shorter ones, as e**x has, LLVM is busy as long
# either way.)
LEAST = 60


def branch(stmt: lp.For) -> tuple[lp.Value, ...] | None:
    """The values from outside that a branch is computed from, in the order in which they are met; None if it
    is no function of these, or not worth one."""
    if stmt.kind != "once" or not stmt.results or sum(1 for _ in _every(stmt.body)) < LEAST:
        return None
    if any(not isinstance(s, lp.Let | lp.For) for s in _every(stmt.body)):
        return None  # it reads or writes memory
    made = {v.name for v in (stmt.var, *stmt.carried)}
    found: dict[str, lp.Value] = {}

    def use(values: Iterable[lp.Operand]) -> None:
        found.update({v.name: v for v in values if isinstance(v, lp.Value) and v.name not in made})

    def walk(body: Iterable[lp.Stmt]) -> None:
        for s in body:
            if isinstance(s, lp.For):
                use((s.lo, s.hi, s.step, *s.inits))
                made.update([v.name for v in (s.var, *s.carried)])
                walk(s.body)
                use(s.yields)
                made.update([v.name for v in s.results])
            elif isinstance(s, lp.Let):
                use(s.args)
                made.add(s.result.name)

    walk(stmt.body)
    use(stmt.yields)
    return tuple(found.values())


def _every(body: Iterable[lp.Stmt]) -> Iterator[lp.Stmt]:
    for s in body:
        yield s
        if isinstance(s, lp.For):
            yield from _every(s.body)
