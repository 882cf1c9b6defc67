"""Whether all indices of a graph lie inside of their axes.

    %3 = place %i, %n            the index, from the end where it is negative
    %4 = gather %x, %3           reads 0 where %3 is outside: memory is safe whatever the data

So every index that only a running program knows is a node `place`, and a graph that has some gets one more
output, the verdict: whether one lies outside. It is computed with what reads the indices. Who runs the graph
looks at it before anything of the results is kept, and raises what `outside` says. (What nobody computes is
not looked at, like every error of a value.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Loc, Node, at

Array = np.ndarray[Any, Any]


def indices_in(order: Iterable[Node]) -> list[Node]:
    """Those of `order` that are indices to be looked at."""
    return [n for n in order if n.op is ops.PLACE and n.type.size]


def verdict(found: Sequence[Node]) -> Node:
    """A bool: whether one of the indices `found` lies outside of its axis."""
    answer: Node | None = None
    for node in found:
        with at(node.loc):
            bad = ops.OR(ops.LT(node, ops.const(0, node)), ops.GE(node, node.inputs[1]))
            bad = ops.any_(bad, tuple(range(node.type.ndim)))
            answer = bad if answer is None else ops.OR(answer, bad)
    assert answer is not None
    return answer


def operands(found: Sequence[Node]) -> list[Node]:
    """What `outside` needs the values of."""
    return [x for node in found for x in node.inputs]


def outside(found: Sequence[Node], values: Sequence[Array]) -> IndexError:
    """The error for the first index that lies outside. `values`: those of `operands(found)`."""
    for node, given, sizes in zip(found, values[::2], values[1::2], strict=True):
        error = checked(given, int(sizes.flat[0]), node.loc)
        if error is not None:
            return error
    raise AssertionError("an index was outside, and now none is")


def checked(index: Array, size: int, loc: Loc | None = None, axis: int | None = None) -> IndexError | None:
    """The error for the first element of `index` that an axis of `size` elements has not; else None."""
    if not index.size or (index.min() >= -size and index.max() < size):
        return None
    first = int(np.argmax(((index < -size) | (index >= size)).ravel()))
    spot = tuple(int(k) for k in np.unravel_index(first, index.shape))
    # Where no index may be negative they come without a sign.
    value = index.view(np.int64)[spot] if index.dtype == np.uint64 else index[spot]
    text = f"index {value}" + (f", number {list(spot)} of the indices," if index.size > 1 else "")
    along = "an axis" if axis is None else f"axis {axis}"
    text += f" is out of bounds for {along} with size {size}"
    return IndexError(text if loc is None else f"{loc}: {text}")
