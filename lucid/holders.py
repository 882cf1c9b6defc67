"""Who else holds an object: reference counts, as a probe at the start found them to be made.

What `sys.getrefcount` says of an object that one place holds depends on the interpreter: some count the
argument of the call, others (3.14) borrow it. So an object is only looked at in a list, always by the
same code, and what that code adds is measured once. Where counts do not follow holders one by one,
everything counts as shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount

_MANY = 1 << 20


def _count(items: Sequence[object], k: int) -> int:
    return getrefcount(items[k])


def _calibrated(count: Callable[[Sequence[object], int], int]) -> Callable[[Sequence[object], int], int]:
    """`count`, less what it adds; or many holders, where it does not follow them."""
    items: list[object] = [object()]
    added = count(items, 0) - 1
    for holders in range(2, 6):
        items.append(items[0])
        if count(items, 0) != holders + added:
            return lambda items, k: _MANY
    return lambda items, k: count(items, k) - added


# How many references to items[k] there are, the one in `items` included.
holders = _calibrated(_count)
