"""Which drafts can be kernels, and which had better not be one."""

from __future__ import annotations

from math import prod

from ..ir.graph import Node
from ..ir.kernel import SMALL
from ..ops import Ix
from .draft import Draft, Placed

# Elements of a row that the second cache still holds when it is walked again.
LONG_ROW = 65_536
# Elements beyond which rows are not written across memory.
ACROSS = 1 << 14
# Elements beyond which one kernel more costs less than writing a map column after column.
TURNED = 1 << 10


def outer_axes(draft: Draft) -> tuple[str, ...] | None:
    """The outer axes that make the draft legal, or None."""
    first = draft.placed[0]
    if first.form == "scatter":
        return ()
    if first.form in ("scan", "sort"):
        over = first.access[0][first.node.attrs["axis"]]
        return tuple(x for x in draft.extents if x in first.domain and Ix(x) != over)
    if draft.rows & draft.totals:
        return None
    exact: set[frozenset[str]] = set()
    for p in draft.placed:
        of_row = p.form == "product" or p.node in draft.rows
        if of_row and p.form == "full":
            return None  # a full reduction is known only after the last block
        if of_row or (p.form == "row" and p.node not in draft.totals):
            exact.add(p.kept)
        elif p.form in ("row", "column"):
            exact.add(p.reduced)
    if len(exact) > 1:
        return None
    domains = [frozenset(p.domain) for p in draft.placed]
    if exact:
        outer = next(iter(exact))
    else:
        outer = frozenset.intersection(*domains) if domains else frozenset()
        if not outer and any(domains):
            return None
    if not all(_fits(draft, p, outer) for p in draft.placed):
        return None
    return tuple(x for x in draft.extents if x in outer)


def lie_across(draft: Draft, rows: set[Node]) -> bool:
    """Whether these would be values of rows that lie across memory. Reading everything once more, as it
    lies, is ten times as fast as that."""
    return any(p.node in rows and p.form == "column" for p in draft.placed)


def stores_across(
    draft: Draft, rows: set[Node], placed: Placed, names: dict[str, str], extents: dict[str, int]
) -> bool:
    """Whether this map would write long rows across memory, a line of memory for each element. By square
    tiles a large one takes a fifth of the time, though everything is read once more."""
    if placed.form != "map" or not rows:
        return False
    outer = frozenset.union(*(p.kept for p in draft.placed if p.node in rows))
    inner = [x for x in placed.domain if names.get(x, x) not in outer]
    if not inner or placed.along in inner:
        return False
    return prod(extents[x] for x in inner) > SMALL and prod(extents.values()) > ACROSS


def turned(draft: Draft, outer: tuple[str, ...]) -> bool:
    """Whether a large map of the draft would be written column after column, for the sake of a root that has
    fewer axes: within axes that the map's last one is among, along others."""
    for p in draft.placed:
        across = p.form == "map" and p.along in outer and not set(p.domain) <= set(outer)
        if across and prod(draft.extents[x] for x in p.domain) > TURNED:
            return True
    return False


def walks_again(draft: Draft, placed: Placed, rows: set[Node]) -> bool:
    """Whether a root needs values of rows so long that no cache would hold them until it walks along them
    again. Kernels that walk once share out the blocks of long rows."""
    homes = [p for p in draft.placed if p.node in rows and len(placed.domain) > len(p.kept)]
    return any(prod(draft.extents[x] for x in p.reduced) > LONG_ROW for p in homes)


def _fits(draft: Draft, p: Placed, outer: frozenset[str]) -> bool:
    """Whether a root can run inside of these outer axes."""
    if not outer <= frozenset(p.domain):
        return False
    if not p.reduced:
        return True
    if not p.reduced & outer:  # known after its stage
        return p.node not in draft.totals
    if not outer <= p.reduced or p.node in draft.rows:
        return False
    inner = frozenset(p.domain) - outer  # accumulated over blocks
    return not p.kept or inner == p.kept
