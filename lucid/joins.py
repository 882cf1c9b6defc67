"""Pieces put together and taken apart: concatenation, rolls, padding, repeats, triangles, windows.

A concatenation is a choice, by where an element is along the axis, between operands that are padded with
what is never read: one kernel, which reads each operand once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, b1

from .promote import Value, cast, result_dtype, weak, whole
from .shapes import normal_axis, transpose


def concatenate(nodes: Sequence[Node], *, axis: int | None = 0, dtype: DType | None = None) -> Node:
    """NumPy's: of one dtype by promotion; all axes but one are alike. No axis: all elements of all."""
    if not nodes:
        raise ValueError("concatenate: expected at least one array")
    dtype = dtype or result_dtype(*map(weak, nodes))
    if axis is None:
        nodes, axis = [ops.reshape(n, (n.type.size,)) for n in nodes], 0
    first = nodes[0]
    if not first.type.ndim:
        raise ValueError("concatenate: 0-d operands; use stack, or reshape them to one element")
    at = normal_axis(axis, first.type.ndim)
    for n in nodes:
        if n.type.ndim != first.type.ndim or _without(n.shape, at) != _without(first.shape, at):
            raise ValueError(f"concatenate: shapes {first.shape} and {n.shape} differ beyond axis {axis}")
    parts = [cast(n, dtype) for n in nodes if n.shape[at]] or [cast(first, dtype)]
    return _joined(parts, at)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _joined(parts: Sequence[Node], axis: int) -> Node:
    begins = [0, *accumulate(n.shape[axis] for n in parts)]
    return ops.joined([*zip(begins, parts, strict=False)], axis, begins[-1])


def stack(nodes: Sequence[Node], *, axis: int = 0) -> Node:
    """Along a new axis."""
    if not nodes:
        raise ValueError("stack: expected at least one array")
    shape = nodes[0].shape
    if any(n.shape != shape for n in nodes):
        raise ValueError(f"stack: all shapes must be one; got {', '.join(str(n.shape) for n in nodes)}")
    at = normal_axis(axis, len(shape) + 1)
    return concatenate([ops.reshape(n, (*shape[:at], 1, *shape[at:])) for n in nodes], axis=at)


def at_least(x: Node, ndim: int) -> Node:
    """With axes of extent 1, where NumPy's atleast_1d, 2d and 3d put them."""
    shape = x.shape
    if len(shape) >= ndim:
        return x
    if ndim < 3 or not shape:
        return ops.reshape(x, (1,) * (ndim - len(shape)) + shape)
    return ops.reshape(x, (1, *shape, 1) if len(shape) == 1 else (*shape, 1))


# --- parts ---------------------------------------------------------------------------------------


def sections(name: str, n: int, given: int | Sequence[int], *, even: bool) -> list[tuple[int, int]]:
    """First and last of the parts of an axis of n elements: so many, or between the places given."""
    if not isinstance(given, Iterable) or hasattr(given, "__index__"):
        count = whole(f"{name}: the number of sections", given)
        if count < 1:
            raise ValueError(f"{name}: the number of sections must be at least 1, not {count}")
        if even and n % count:
            raise ValueError(f"{name}: {n} elements are not {count} equal parts; use array_split")
        size, more = divmod(n, count)
        ends = [0, *accumulate(size + (k < more) for k in range(count))]
        return list(pairwise(ends))
    places = [whole(f"{name}: a place", k) for k in given]
    bounds = [slice(lo, hi).indices(n)[:2] for lo, hi in pairwise([0, *places, n])]
    return [(lo, max(lo, hi)) for lo, hi in bounds]


def part(x: Node, *, axis: int, first: int, last: int) -> Node:
    return ops.narrow(x, axis, first if last > first else 0, last - first)


# --- turns ---------------------------------------------------------------------------------------


def flip(x: Node, *, axes: tuple[int, ...]) -> Node:
    starts, steps = [0] * x.type.ndim, [1] * x.type.ndim
    for axis in axes:
        if x.shape[axis] > 1:
            starts[axis], steps[axis] = x.shape[axis] - 1, -1
    return x if -1 not in steps else ops.SLICE(x, starts=tuple(starts), steps=tuple(steps), counts=x.shape)


def roll(x: Node, *, shifts: Sequence[int], axes: Sequence[int] | None) -> Node:
    """Elements moved on, those that leave at the end come in at the front."""
    if axes is None:
        return ops.reshape(roll(ops.reshape(x, (x.type.size,)), shifts=[sum(shifts)], axes=[0]), x.shape)
    for shift, axis in zip(shifts, axes, strict=True):
        n = x.shape[axis]
        if n and shift % n:
            k = n - shift % n
            x = _joined([ops.narrow(x, axis, k, n - k), ops.narrow(x, axis, 0, k)], axis)
    return x


def rot90(x: Node, *, k: int, axes: tuple[int, int]) -> Node:
    a, b = axes
    order = list(range(x.type.ndim))
    order[a], order[b] = b, a
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, axes=(a, b))
    if turns == 1:
        return transpose(flip(x, axes=(b,)), tuple(order))
    return flip(transpose(x, tuple(order)), axes=(b,))


# --- again and again -----------------------------------------------------------------------------


def tile(x: Node, *, reps: tuple[int, ...]) -> Node:
    """Copies side by side along each axis."""
    ndim = max(len(reps), x.type.ndim)
    shape = (1,) * (ndim - x.type.ndim) + x.shape
    reps = (1,) * (ndim - len(reps)) + reps
    if min(reps, default=1) < 0:
        raise ValueError(f"tile: counts must not be negative, got {reps}")
    pairs = [(r, n) for r, n in zip(reps, shape, strict=True)]
    x = ops.reshape(x, tuple(m for r, n in pairs for m in ((n,) if r == 1 else (1, n))))
    x = ops.fill(x, tuple(m for r, n in pairs for m in ((n,) if r == 1 else (r, n))))
    return ops.reshape(x, tuple(r * n for r, n in pairs))


def repeat(x: Node, *, count: int, axis: int) -> Node:
    """Each element `count` times."""
    if count < 0:
        raise ValueError(f"repeat: counts must not be negative, got {count}")
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    x = ops.fill(ops.reshape(x, (*before, n, 1, *after)), (*before, n, count, *after))
    return ops.reshape(x, (*before, n * count, *after))


# --- padding -------------------------------------------------------------------------------------

Widths = Sequence[tuple[int, int]]
# The modes under PyTorch's names.
TORCH_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(x: Node, value: Value, *, widths: Widths, mode: str) -> Node:
    """`widths` before and behind each axis."""
    if mode == "constant":
        return pad_constant(x, value, widths=widths)
    if mode == "edge":
        return pad_edge(x, widths=widths)
    if mode in ("reflect", "symmetric", "wrap"):
        return pad_periodic(x, widths=widths, mode=mode)
    raise ValueError(f"pad: mode must be constant, edge, reflect, symmetric or wrap, not {mode!r}")


def pad_constant(x: Node, value: Value, *, widths: Widths) -> Node:
    """`value` around."""
    lo, hi = tuple(a for a, _ in widths), tuple(b for _, b in widths)
    if not any(lo) and not any(hi):
        return x
    padded = ops.PAD(x, lo=lo, hi=hi)
    if not isinstance(value, Node) and value == 0 and math.copysign(1, value.real) > 0:
        return padded
    one = ops.fill(ops.CONST(value=True, dtype=b1), x.shape)
    inside = ops.PAD(one, lo=lo, hi=hi)
    return ops.WHERE(inside, padded, ops.fill(cast(value, x.type.dtype), padded.shape))


def pad_edge(x: Node, *, widths: Widths) -> Node:
    """The first and the last elements again."""
    for axis, (lo, hi) in enumerate(widths):
        n = x.shape[axis]
        if lo or hi:
            _fillable("edge", n)
            parts = [(0, lo, 1), (0, n, n), (n - 1, hi, 1)]
            pieces = [
                ops.fill(ops.narrow(x, axis, at, size), (*x.shape[:axis], width, *x.shape[axis + 1 :]))
                for at, width, size in parts
                if width
            ]
            x = _joined(pieces, axis)
    return x


def pad_periodic(x: Node, *, widths: Widths, mode: str) -> Node:
    """As in NumPy: wrap continues with the other end, symmetric mirrors, reflect mirrors without the edge
    itself."""
    for axis, (lo, hi) in enumerate(widths):
        n = x.shape[axis]
        if lo or hi:
            _fillable(mode, n)
            x = concatenate([_run(x, axis, *run) for run in _runs(n, -lo, n + hi, mode)], axis=axis)
    return x


def _fillable(mode: str, n: int) -> None:
    if not n:
        raise ValueError(f"pad: an axis without elements cannot be padded by mode {mode!r}")


def _runs(n: int, first: int, last: int, mode: str) -> list[tuple[int, int, int]]:
    """The places that x[first:last] of a periodic x has in one period: (start, step, count)."""
    if mode == "wrap":
        periods = [(0, 1, n)]
    elif mode == "symmetric":
        periods = [(0, 1, n), (n - 1, -1, n)]
    else:
        periods = [(0, 1, n), (n - 2, -1, n - 2)] if n > 1 else [(0, 1, 1)]
    period = sum(count for _, _, count in periods)
    runs = []
    at = first // period * period
    while at < last:
        for start, step, count in periods:
            lo, hi = max(first, at), min(last, at + count)
            if lo < hi:
                runs.append((start + step * (lo - at), step, hi - lo))
            at += max(count, 0)
    return runs


def _run(x: Node, axis: int, start: int, step: int, count: int) -> Node:
    starts, steps, counts = [0] * x.type.ndim, [1] * x.type.ndim, list(x.shape)
    starts[axis], steps[axis], counts[axis] = start, step if count > 1 else 1, count
    if (start, step, count) == (0, 1, x.shape[axis]):
        return x
    return ops.SLICE(x, starts=tuple(starts), steps=tuple(steps), counts=tuple(counts))


# --- triangles and diagonals ---------------------------------------------------------------------


def _off_diagonal(shape: tuple[int, ...]) -> tuple[Node, Node]:
    """Row and column of each element of the last two axes."""
    ndim = len(shape)
    return ops.IOTA(shape=shape, axis=ndim - 2), ops.IOTA(shape=shape, axis=ndim - 1)


def below(shape: tuple[int, ...], k: int) -> Node:
    """Whether an element is on the k-th diagonal or below."""
    rows, columns = _off_diagonal(shape)
    return ops.LE(columns, _further(rows, shape, k))


def on_diagonal(shape: tuple[int, ...], k: int) -> Node:
    rows, columns = _off_diagonal(shape)
    return ops.EQ(columns, _further(rows, shape, k))


def _further(rows: Node, shape: tuple[int, ...], k: int) -> Node:
    """The rows, and `k`; one beyond the matrix is as good as any, and no sum with it wraps."""
    k = min(max(k, -shape[-2]), shape[-1])
    return ops.ADD(rows, ops.fill(ops.SCALAR(value=k, dtype=rows.type.dtype), shape))


def tril(x: Node, *, k: int) -> Node:
    x = _matrix("tril", x)
    return ops.WHERE(below(x.shape, k), x, ops.zeros_like(x))


def triu(x: Node, *, k: int) -> Node:
    x = _matrix("triu", x)
    return ops.WHERE(below(x.shape, k - 1), ops.zeros_like(x), x)


def _matrix(name: str, x: Node) -> Node:
    if not x.type.ndim:
        raise ValueError(f"{name}: expected a matrix, not a 0-d tensor")
    return ops.fill(x, x.shape * 2) if x.type.ndim == 1 else x


def diag(x: Node, *, k: int) -> Node:
    """A matrix with x on its k-th diagonal; of a matrix, that diagonal."""
    if x.type.ndim == 2:
        return diagonal(x, offset=k, axis1=0, axis2=1)
    if x.type.ndim != 1:
        raise ValueError(f"diag: expected a vector or a matrix, not shape {x.shape}")
    n = x.type.size + abs(k)
    values = ops.reshape(ops.pad_axis(x, 0, max(-k, 0), max(k, 0)), (n, 1))
    values = ops.fill(values, (n, n))
    return ops.WHERE(on_diagonal((n, n), k), values, ops.zeros_like(values))


def diagonal(x: Node, *, offset: int, axis1: int, axis2: int) -> Node:
    """The elements x[i, i + offset] of two axes, along a last one."""
    ndim = x.type.ndim
    if ndim < 2:
        raise ValueError(f"diagonal: expected at least two axes, got shape {x.shape}")
    a, b = normal_axis(axis1, ndim), normal_axis(axis2, ndim)
    if a == b:
        raise ValueError("diagonal: axis1 and axis2 must differ")
    x = transpose(x, tuple(k for k in range(ndim) if k not in (a, b)) + (a, b))
    *rest, rows, columns = x.shape
    first = offset if offset >= 0 else -offset * columns
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    flat = ops.reshape(x, (*rest, rows * columns))
    if not count:
        return ops.narrow(flat, len(rest), 0, 0)
    return ops.SLICE(
        flat, starts=(0,) * len(rest) + (first,), steps=(1,) * len(rest) + (columns + 1,),
        counts=(*rest, count),
    )  # fmt: skip


# --- windows -------------------------------------------------------------------------------------


def windows(x: Node, *, axes: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Node:
    """All windows along `axes`: their places take the axes, their elements new ones at the end."""
    for axis, size, step in zip(axes, sizes, steps, strict=True):
        n = x.shape[axis]
        if not 0 < size <= n or step < 1:
            raise ValueError(f"windows of {size} elements, at every {step}, do not fit an axis of {n}")
        count = (n - size) // step + 1
        places, inside = (ops.IOTA(shape=(count, size), axis=k) for k in (0, 1))
        if step > 1:
            places = ops.MUL(places, ops.fill(ops.SCALAR(value=step, dtype=places.type.dtype), places.shape))
        ndim = x.type.ndim
        found = ops.GATHER(x, ops.ADD(places, inside), axes=(axis,))  # places, elements, the other axes
        x = transpose(found, (*range(2, axis + 2), 0, *range(axis + 2, ndim + 1), 1))
    return x
