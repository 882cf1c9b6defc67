"""Whether the values of a graph are such as its ops must have.

    %3 = place %i, %n            the index, from the end where it is negative
    %4 = gather %x, %3           reads 0 where %3 is outside: memory is safe whatever the data

So every index that only a running program knows is a node `place`, each exponent of integers one `natural`,
and a graph that has some gets one more output, the verdict: whether one is not as it must be. It is computed
with what reads them. Who runs the graph looks at it before anything of the results is kept, and raises what
`outside` says. (What nobody computes is not looked at, like every error of a value.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Loc, Node, at

from .errors import earlier

Array = np.ndarray[Any, Any]


def is_judged(node: Node) -> bool:
    """Whether its value is to be looked at."""
    return node.op.name in _WRONG and bool(node.type.size)


def indices_in(order: Iterable[Node]) -> list[Node]:
    """Those of `order` that are to be looked at."""
    return [n for n in order if is_judged(n)]


def verdict(found: Sequence[Node]) -> Node:
    """A bool: whether one of `found` is not as it must be."""
    answer: Node | None = None
    for node in found:
        with at(node.loc):
            bad = ops.any_(_WRONG[node.op.name](node), tuple(range(node.type.ndim)))
            answer = bad if answer is None else ops.OR(answer, bad)
    assert answer is not None
    return answer


def _outside(node: Node) -> Node:
    return ops.OR(ops.LT(node, ops.const(0, node)), ops.GE(node, node.inputs[1]))


def _negative(node: Node) -> Node:
    (x,) = node.inputs
    return ops.LT(x, ops.const(0, x))


_WRONG = {ops.PLACE.name: _outside, ops.NATURAL.name: _negative}


def operands(found: Sequence[Node]) -> list[Node]:
    """What `outside` needs the values of."""
    return [x for node in found for x in node.inputs]


def outside(found: Sequence[Node], values: Sequence[Array]) -> Exception:
    """The error for the first value that is not as it must be. `values`: those of `operands(found)`."""
    rest = iter(values)
    for node in found:
        given = next(rest)
        if node.op is ops.PLACE:
            error: Exception | None = checked(given, int(next(rest).flat[0]), node.loc)
        else:
            error = natural(given, node.loc)
        if error is not None:
            return error
    raise AssertionError("a value was not as it must be, and now all are")


def natural(exponents: Array, loc: Loc | None = None) -> ValueError | None:
    """The error for the first of `exponents` that is negative; else None."""
    if not exponents.size or exponents.min() >= 0:
        return None
    where = _first(exponents < 0)
    text = f"pow: integers to negative integer powers are not allowed, got {exponents[where]}"
    return earlier(ValueError(f"{text}; cast to float"), loc)


def checked(index: Array, size: int, loc: Loc | None = None, axis: int | None = None) -> IndexError | None:
    """The error for the first element of `index` that an axis of `size` elements has not; else None."""
    if not index.size or (index.min() >= -size and index.max() < size):
        return None
    spot = _first((index < -size) | (index >= size))
    # Where no index may be negative they come without a sign.
    value = index.view(np.int64)[spot] if index.dtype == np.uint64 else index[spot]
    text = f"index {value}" + (f", number {list(spot)} of the indices," if index.size > 1 else "")
    along = "an axis" if axis is None else f"axis {axis}"
    return earlier(IndexError(f"{text} is out of bounds for {along} with size {size}"), loc)


def _first(wrong: Array) -> tuple[int, ...]:
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(wrong.ravel())), wrong.shape))
