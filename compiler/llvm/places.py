"""The user's line of every statement of the loop level, also of those that lowering has added.

    %n: i64 = mul %r, %x.s0                 # train.py:12      of what reads it first
    %v: f32x16 = load x[%n]                 # train.py:12
    for %i in 0 .. %m step 16 vector        # train.py:12      of the first statement that has one
      %v: f32x16 = exp %t                   # train.py:12      its own

An address, a mask, a counter has the place of the statement that it is for: of its first user. What is
stored in working memory has the place of what reads it. Only who asks for text with lines pays for this.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import loop as lp
from ..ir.graph import Loc


def places(func: lp.Func) -> dict[int, Loc]:
    """By the id of each statement; without those that no place is known for, if it is for none of them."""
    found: dict[int, Loc] = {}
    _needed(func.body, {}, found)
    first = next(iter(_in_order(func.body, found)), None)
    if first is not None:
        _beside(func.body, first, found)
    return found


def own(stmt: lp.Stmt) -> Loc | None:
    """The line that lowering has noted."""
    return stmt.loc if isinstance(stmt, lp.Let | lp.Load | lp.Store) else None


def _needed(body: Sequence[lp.Stmt], wanted: dict[str, Loc], found: dict[int, Loc]) -> Loc | None:
    """From the last statement to the first; `wanted`: the place of the first user so far, of values by name
    and of arrays with a bracket before it. Returns the place of the first statement."""
    first: Loc | None = None
    for stmt in reversed(body):
        if isinstance(stmt, lp.For):
            place = _loop(stmt, wanted, found)
        else:
            place = own(stmt)
            if place is None:
                place = next((wanted[name] for name in _made(stmt) if name in wanted), None)
            _want(wanted, _used(stmt), place)
        if place is not None:
            found[id(stmt)] = first = place
    return first


def _loop(stmt: lp.For, wanted: dict[str, Loc], found: dict[int, Loc]) -> Loc | None:
    for result, back in zip(stmt.results, stmt.yields, strict=True):
        _want(wanted, [back], wanted.get(result.name))
    place = _needed(stmt.body, wanted, found)
    turns = [
        (back, wanted[value.name])
        for value, back in zip(stmt.carried, stmt.yields, strict=True)
        if isinstance(back, lp.Value) and value.name in wanted and back.name not in wanted
    ]
    if turns:  # what only the next turn needs: once more, now that it is known for what
        wanted.update((back.name, of) for back, of in turns)
        place = _needed(stmt.body, wanted, found)
    for value, start in zip(stmt.carried, stmt.inits, strict=True):
        _want(wanted, [start], wanted.get(value.name, place))
    _want(wanted, [stmt.lo, stmt.hi, stmt.step], place)
    return place


def _want(wanted: dict[str, Loc], used: Sequence[lp.Operand | str], place: Loc | None) -> None:
    if place is not None:
        for one in used:
            if isinstance(one, str):
                wanted[f"[{one}"] = place
            elif isinstance(one, lp.Value):
                wanted[one.name] = place


def _made(stmt: lp.Stmt) -> tuple[str, ...]:
    """What later statements may use."""
    if isinstance(stmt, lp.Let | lp.Load | lp.Aligned):
        return (stmt.result.name,)
    if isinstance(stmt, lp.Window | lp.Alloc):
        return (f"[{stmt.name}",)
    return (f"[{stmt.array}",) if isinstance(stmt, lp.Store | lp.Prefetch) else ()


def _used(stmt: lp.Stmt) -> list[lp.Operand | str]:
    if isinstance(stmt, lp.Let):
        return [*stmt.args]
    if isinstance(stmt, lp.Load):
        return [stmt.array, stmt.index, *_given(stmt.stride, stmt.mask)]
    if isinstance(stmt, lp.Store):
        return [stmt.index, stmt.value, *_given(stmt.stride, stmt.mask)]
    if isinstance(stmt, lp.Window):
        other = [] if stmt.choice is None else [stmt.other, stmt.choice, stmt.at]
        return [stmt.array, stmt.index, *other]
    if isinstance(stmt, lp.Prefetch):
        return [stmt.index]
    if isinstance(stmt, lp.Aligned):
        return [stmt.array]
    if isinstance(stmt, lp.Alloc):
        return [stmt.count] if isinstance(stmt.count, lp.Value) else []
    if isinstance(stmt, lp.Barrier):
        return []
    raise TypeError(f"{stmt!r} is not a statement")


def _given(*operands: lp.Operand | None) -> list[lp.Operand]:
    return [o for o in operands if o is not None]


def _in_order(body: Sequence[lp.Stmt], found: dict[int, Loc]) -> list[Loc]:
    return [found[id(s)] for s in body if id(s) in found]


def _beside(body: Sequence[lp.Stmt], place: Loc, found: dict[int, Loc]) -> None:
    """What nobody uses is for what stands before it."""
    for stmt in body:
        place = found.setdefault(id(stmt), place)
        if isinstance(stmt, lp.For):
            _beside(stmt.body, place, found)
