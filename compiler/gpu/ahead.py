"""What is loaded from arrays comes before what is computed of it. A division or a root is a branch in machine
code, behind which no assembler brings a load forward: a thread would wait for each load by itself.

%a = load x[%i];  %b = sqrt %a;  %c = load x[%j];  %d = sqrt %c
%a = load x[%i];  %c = load x[%j];  %b = sqrt %a;  %d = sqrt %c
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir.data import replace
from ..ir.loop import Alloc, For, Func, Let, Load, Stmt, Value, Window


def loads_first(func: Func) -> Func:
    """The same function; nothing passes a store, a barrier or a loop."""
    return replace(func, body=_body(func.body, frozenset()))


def _body(body: Iterable[Stmt], working: frozenset[str]) -> tuple[Stmt, ...]:
    """`working`: memory that is none of arrays, and windows on it."""
    found, together = list[Stmt](), list[Let | Load]()
    for stmt in body:
        if isinstance(stmt, Let | Load):
            together.append(stmt)
            continue
        found += _in_order(together, working)
        together = []
        if isinstance(stmt, Alloc) or (isinstance(stmt, Window) and stmt.array in working):
            working |= {stmt.name}
        found.append(replace(stmt, body=_body(stmt.body, working)) if isinstance(stmt, For) else stmt)
    return (*found, *_in_order(together, working))


def _in_order(stmts: list[Let | Load], working: frozenset[str]) -> list[Let | Load]:
    """First the loads, and what they need."""
    wanted, first = set[str](), set[int]()
    for stmt in reversed(stmts):
        if stmt.result.name in wanted or (isinstance(stmt, Load) and stmt.array not in working):
            first.add(id(stmt))
            used = stmt.args if isinstance(stmt, Let) else (stmt.index, stmt.stride, stmt.mask)
            wanted |= {value.name for value in used if isinstance(value, Value)}
    return sorted(stmts, key=lambda stmt: id(stmt) not in first)
