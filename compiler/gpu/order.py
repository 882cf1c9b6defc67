"""Which accesses to memory of a warp's lanes need an order.

Between two points where the lanes meet, each goes its own way. A lane must not read an element before
another lane has written it, nor write one that another lane has yet to read. For working memory that is asked
of any two accesses, but for stores of vectors in one loop, which are to other elements each. In arrays,
vectors within one loop have their elements in the same lanes, so only what is stored or read by scalars, or
by another loop, counts; and an output may be an input's memory, where the same elements are read before they
are written. What a team shares has barriers.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from ..ir.data import data, replace
from ..ir.loop import For, Load, Stmt, Store, Window


@data
class Access:
    """`near`: in the same loop as what comes next."""

    array: str
    work: bool  # working memory
    write: bool
    scalar: bool
    near: bool = True


def accesses(
    body: Iterable[Stmt], roots: Mapping[str, str], spaces: Mapping[str, int], shared: Container[str] = ()
) -> frozenset[Access]:
    """What statements do with memory; `roots` of windows, and of what is defined before."""
    found, known = set[Access](), dict(roots)
    for stmt in body:
        if isinstance(stmt, Window):
            known[stmt.name] = known[stmt.array]
        elif isinstance(stmt, For):
            found |= far(accesses(stmt.body, known, spaces, shared))
        elif isinstance(stmt, Load | Store) and known[stmt.array] not in shared:
            array, write = known[stmt.array], isinstance(stmt, Store)
            value = stmt.value if isinstance(stmt, Store) else stmt.result
            found.add(Access(array, spaces[array] == 3, write, value.lanes == 1))
    return frozenset(found)


def far(found: Iterable[Access]) -> frozenset[Access]:
    """The same, seen from another loop."""
    return frozenset(replace(a, near=False) for a in found)


def clash(before: Iterable[Access], after: Iterable[Access]) -> bool:
    return any(_clash(a, c) for a in before for c in after)


def _clash(a: Access, c: Access) -> bool:
    if not (a.write or c.write) or (a.array != c.array and (a.work or c.work or a.write)):
        return False
    if a.write and c.write and a.scalar and c.scalar:  # by the first lane
        return False
    if a.scalar or c.scalar or not (a.near and c.near):
        return True
    return a.work and not (a.write and c.write)
