"""Views, reductions and products of nodes, with NumPy's rules for axes, indices and `@`."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from types import EllipsisType

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, b1, f32, f64, i64, u64

from .complexes import by_parts
from .elementwise import mul
from .promote import Value, cast, joint_shape, loop_dtypes, number, shape_of, whole
from .reuse import formula

Axes = int | Sequence[int] | None

# So many float32 numbers, which no cache holds until they are walked again, have their variance in one walk.
ONE_WALK = 1 << 22

# --- axes and views ------------------------------------------------------------------------------


def normal_axis(axis: int, ndim: int) -> int:
    """`axis` counted from the front. NumPy's AxisError if there is no such axis; TypeError for a bool, which
    is an argument at another place."""
    if isinstance(axis, bool | np.bool_):
        raise TypeError(f"axis must be an int, not {axis}")
    axis = whole("axis", axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(f"axis {axis} is out of bounds for a tensor of {ndim} dimensions")
    return axis % ndim


def normal_axes(axes: Axes, ndim: int) -> tuple[int, ...]:
    """Sorted axes from the front; None means all. ValueError if one is given twice. What is 0-d has an axis
    0, or -1, for reductions: as in PyTorch, and for NumPy's sum, max and min."""
    if axes is None:
        return tuple(range(ndim))
    if isinstance(axes, str | bytes | dict | set | frozenset):
        raise TypeError(f"axis must be an int, or several in a tuple, not {type(axes).__name__}")
    if hasattr(axes, "shape") and not isinstance(axes, np.generic):  # PyTorch's max(x, y)
        other = "the greater or lesser of two tensors is lucid.maximum or lucid.minimum of them"
        raise TypeError(f"axis must be an int, or several in a tuple, not {type(axes).__name__}; {other}")
    listed = [axes] if not isinstance(axes, Iterable) else list(axes)
    normal = sorted(normal_axis(a, max(ndim, 1)) for a in listed)
    if len(set(normal)) != len(normal):
        raise ValueError(f"duplicate axis in {axes}")
    return tuple(normal) if ndim else ()


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """As NumPy's: one extent may be -1."""
    wanted = tuple(whole("an extent", n) for n in shape)
    if wanted.count(-1) == 1:
        rest = math.prod(n for n in wanted if n != -1)
        if rest and x.type.size % rest == 0:
            wanted = tuple(x.type.size // rest if n == -1 else n for n in wanted)
    if min(wanted, default=0) < 0 or math.prod(wanted) != x.type.size:
        raise ValueError(f"reshape: {x.type.size} elements of shape {x.shape} do not fill {shape}")
    return ops.reshape(x, wanted)


def transpose(x: Node, axes: tuple[int, ...]) -> Node:
    """Axis k of the result is axis `axes[k]` of x; no axes reverses them."""
    ndim = x.type.ndim
    perm = tuple(normal_axis(a, ndim) for a in axes) if axes else tuple(reversed(range(ndim)))
    if sorted(perm) != list(range(ndim)):
        to_try = f"swapaxes{axes} exchanges two" if len(axes) == 2 < ndim else "name every axis once"
        raise ValueError(f"transpose: {axes} is not an order of all {ndim} axes; {to_try}")
    return x if perm == tuple(range(ndim)) else ops.TRANSPOSE(x, perm=perm)


def broadcast_to(x: Node, shape: tuple[int, ...]) -> Node:
    if joint_shape("broadcast_to", x.shape, shape) != shape:
        raise ValueError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}")
    return ops.fill(x, shape)


Key = int | slice | EllipsisType | None


def index(x: Node, key: object) -> Node:
    """x[key] for ints, slices, Ellipsis and None. IndexError for anything else."""
    keys = [_plain_key(k) for k in (key if isinstance(key, tuple) else (key,))]
    named = sum(k is not None and k is not Ellipsis for k in keys)
    if named > x.type.ndim:
        raise IndexError(f"too many indices: {named} for a tensor of {x.type.ndim} dimensions")
    gaps = [position for position, k in enumerate(keys) if k is Ellipsis] or [len(keys)]
    if len(gaps) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    keys[gaps[0] : gaps[0] + 1] = [slice(None)] * (x.type.ndim - named)

    starts: list[int] = []
    steps: list[int] = []
    counts: list[int] = []
    shape: list[int] = []
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        axis = len(starts)
        n = x.shape[axis]
        if isinstance(k, slice):
            start, stop, step = k.indices(n)
            count = len(range(start, stop, step))
            shape.append(count)
            start, step = (start, step) if count else (0, 1)
        else:
            assert isinstance(k, int)
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for axis {axis} with size {n}")
            start, step, count = k % n, 1, 1
        starts.append(start)
        steps.append(step)
        counts.append(count)
    if any(starts) or tuple(counts) != x.shape:
        x = ops.SLICE(x, starts=tuple(starts), steps=tuple(steps), counts=tuple(counts))
    return ops.reshape(x, tuple(shape))


def _plain_key(key: object) -> Key:
    if key is None or key is Ellipsis or isinstance(key, slice):
        return key
    if not isinstance(key, bool | np.bool_):
        try:
            return operator.index(key)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise IndexError(unfit_key(type(key).__name__))


def unfit_key(what: str) -> str:
    return f"tensors are indexed by ints, slices, ..., None, and arrays of ints or bools, not by {what}"


# --- reductions ----------------------------------------------------------------------------------


def reduced(op: ops.Op, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    result = op(x, axes=axes) if axes else x
    return ops.reshape(result, ops.kept_dims(x.shape, axes)) if keepdims else result


def sum_dtype(dtype: DType) -> DType:
    if dtype.is_inexact:
        return dtype
    return u64 if dtype.kind == "u" else i64


def masked(x: Node, where: Value | None, rest: Value = 0) -> Node:
    """x where `where` holds, else `rest`, a number."""
    if where is None:
        return x
    if joint_shape("where", x.shape, shape_of(where)) != x.shape:
        raise ValueError(f"where: shape {shape_of(where)} does not broadcast to {x.shape}")
    return ops.WHERE(ops.fill(cast(where, b1), x.shape), x, ops.fill(cast(rest, x.type.dtype), x.shape))


def begun(op: ops.Op, initial: Value | None, found: Node) -> Node:
    """What a reduction has found, together with the number that it is to begin with."""
    if initial is None:
        return found
    if shape_of(initial):
        raise ValueError(f"initial must be a number, got shape {shape_of(initial)}")
    return op(ops.fill(cast(initial, found.type.dtype), found.shape), found)


@formula
def sum_(
    x: Node, where: Value | None = None, initial: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    """Small integers and bools are summed as 64-bit integers, as in NumPy."""
    x = masked(cast(x, dtype or sum_dtype(x.type.dtype)), where)
    return begun(ops.ADD, initial, reduced(ops.SUM, x, normal_axes(axis, x.type.ndim), keepdims))


@formula
def mean(
    x: Node,
    where: Value | None = None,
    *,
    axis: Axes = None,
    dtype: DType | None = None,
    keepdims: bool = False,
    ddof: float = 0,
) -> Node:
    """Sum over count (less `ddof`), in float64 for integers, and inside in float32 for float16. Of
    no elements: NaN."""
    result = dtype or (x.type.dtype if x.type.dtype.is_inexact else f64)
    if not result.is_inexact:
        raise TypeError(f"mean: dtype must be a float dtype, not {result.numpy}; use astype")
    inner = result.part if result.is_complex else result.computed
    x = cast(x, result if result.is_complex else inner)
    axes = normal_axes(axis, x.type.ndim)
    ddof = number("var", "ddof", ddof)
    total = reduced(ops.SUM, masked(x, where), axes, keepdims)
    if where is None:
        count = max(math.prod(x.shape[a] for a in axes) - ddof, 0)
        divisor = ops.fill(ops.SCALAR(value=float(count), dtype=inner), total.shape)
    else:
        chosen = sum_(ops.fill(cast(where, b1), x.shape), axis=axes, keepdims=keepdims)
        rest = ops.SUB(cast(chosen, f64), ops.fill(ops.SCALAR(value=float(ddof), dtype=f64), chosen.shape))
        divisor = cast(ops.MAX(rest, ops.zeros_like(rest)), inner)
    if result.is_complex:
        return by_parts(ops.DIV, total, divisor)
    return cast(ops.DIV(total, divisor), result)


@formula
def var(
    x: Node, where: Value | None = None, center: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False, ddof: float = 0,
) -> Node:  # fmt: skip
    """The mean squared distance from the mean, or from `center`; real of complex numbers too; of many float32
    numbers computed in float64."""
    result = _spread_dtype("var", x, dtype)
    return cast(_variance(x, where, center, result, axis, keepdims, ddof), result)


@formula
def std(
    x: Node, where: Value | None = None, center: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False, ddof: float = 0,
) -> Node:  # fmt: skip
    """The square root of the variance, which is not rounded before."""
    result = _spread_dtype("std", x, dtype)
    return cast(ops.SQRT(_variance(x, where, center, result, axis, keepdims, ddof)), result)


def _spread_dtype(name: str, x: Node, dtype: DType | None) -> DType:
    result = (dtype or (x.type.dtype if x.type.dtype.is_inexact else f64)).part
    if not result.is_float:
        raise TypeError(f"{name}: dtype must be a float dtype, not {result.numpy}; use astype")
    return result


def _variance(
    x: Node, where: Value | None, center: Value | None, result: DType, axis: Axes, keepdims: bool, ddof: float
) -> Node:
    """In float32, or wider. Of very many float32 numbers in one walk, by two sums in float64: of distances
    from the first number, and of their squares. What cancels is no more than its distance from the mean."""
    if x.type.dtype.is_complex:
        whole = None if center is None else cast(center, x.type.dtype)
        return ops.ADD(*(
            _variance(part(x), where, None if whole is None else part(whole), result, axis, keepdims, ddof)
            for part in (ops.RE, ops.IM)
        ))  # fmt: skip
    x = cast(x, result.computed)
    axes = normal_axes(axis, x.type.ndim)
    count = math.prod(x.shape[a] for a in axes)
    if x.type.dtype is not f32 or count < ONE_WALK or where is not None or center is not None:
        middle = mean(x, where, axis=axes, keepdims=True) if center is None else cast(center, x.type.dtype)
        # what `where` leaves out may be NaN, of which no derivative is to be one
        off = masked(ops.SUB(masked(x, where), ops.fill(middle, x.shape)), where)
        return mean(ops.MUL(off, off), where, axis=axes, keepdims=keepdims, ddof=ddof)
    here, kept = (0,) * x.type.ndim, ops.kept_dims(x.shape, axes)
    first = ops.SLICE(x, starts=here, steps=(1,) * x.type.ndim, counts=kept)
    off = ops.SUB(cast(x, f64), ops.fill(ops.STOP(cast(first, f64)), x.shape))

    def over(node: Node, by: float) -> Node:
        return ops.MUL(
            node, ops.fill(ops.SCALAR(value=1 / by if by > 0 else math.inf, dtype=f64), node.shape)
        )

    total = reduced(ops.SUM, off, axes, keepdims)
    left = ops.SUB(reduced(ops.SUM, ops.MUL(off, off), axes, keepdims), over(ops.MUL(total, total), count))
    left = ops.WHERE(ops.LE(left, ops.zeros_like(left)), ops.zeros_like(left), left)
    return over(left, count - number("var", "ddof", ddof))


def amax(
    x: Node, where: Value | None = None, initial: Value | None = None, *,
    axis: Axes = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    """NaN wins. ValueError for no elements and nothing to begin with."""
    return extreme("max", ops.AMAX, ops.MAX, x, where, initial, axis, keepdims)


def amin(
    x: Node, where: Value | None = None, initial: Value | None = None, *,
    axis: Axes = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    """NaN wins. ValueError for no elements and nothing to begin with."""
    return extreme("min", ops.AMIN, ops.MIN, x, where, initial, axis, keepdims)


def extreme(
    name: str, op: ops.Op, of_two: ops.Op, x: Node, where: Value | None, initial: Value | None,
    axis: Axes, keepdims: bool,
) -> Node:  # fmt: skip
    if initial is None:
        if where is not None:
            raise ValueError(f"{name}: where may leave no element; give initial, too, to begin with")
        return reduced(op, x, some(name, x, axis), keepdims)
    axes = normal_axes(axis, x.type.ndim)
    if any(x.shape[a] == 0 for a in axes):
        kept = ops.kept_dims(x.shape, axes)
        left = kept if keepdims else tuple(n for k, n in enumerate(x.shape) if k not in axes)
        return ops.fill(cast(initial, x.type.dtype), left)
    return begun(of_two, initial, reduced(op, masked(x, where, initial), axes, keepdims))


def any_(x: Node, where: Value | None = None, *, axis: Axes = None, keepdims: bool = False) -> Node:
    axes = normal_axes(axis, x.type.ndim)
    result = ops.any_(masked(cast(x, b1), where), axes)
    return ops.reshape(result, ops.kept_dims(x.shape, axes)) if keepdims else result


def all_(x: Node, where: Value | None = None, *, axis: Axes = None, keepdims: bool = False) -> Node:
    return ops.NOT(any_(ops.NOT(cast(x, b1)), where, axis=axis, keepdims=keepdims))


def some(name: str, x: Node, axis: Axes) -> tuple[int, ...]:
    """The axes of a reduction that has no value for no elements."""
    axes = normal_axes(axis, x.type.ndim)
    if any(x.shape[a] == 0 for a in axes):
        where = "" if axis is None else f" along axis {axis}"
        raise ValueError(f"{name} of zero elements: shape {x.shape}{where}")
    return axes


# --- products ------------------------------------------------------------------------------------


@formula
def matmul(a: Value, b: Value) -> Node:
    """NumPy's `@`: vectors, matrices, and stacks of them, which broadcast."""
    if not (isinstance(a, Node) and isinstance(b, Node) and a.type.ndim and b.type.ndim):
        raise ValueError("matmul: 0-d operand; use * to multiply by a number")
    dtype = loop_dtypes(np.matmul, a.type.dtype.name, b.type.dtype.name)[0]
    if dtype is b1:  # whether any product is true: the count is not 0
        counts = matmul(ops.CAST(a, dtype=i64), ops.CAST(b, dtype=i64))
        return ops.NE(counts, ops.const(0, counts))
    a, b = cast(a, dtype), cast(b, dtype)
    inner = a.shape[-1], b.shape[-2 if b.type.ndim > 1 else 0]
    if inner[0] != inner[1]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: {inner[0]} columns meet {inner[1]} "
            "rows; transpose one operand with .T"
        )
    if b.type.ndim > a.type.ndim == 1:  # a row alone: its sums run as those of the rows of a matrix
        rows_of_one = matmul(ops.reshape(a, (1, *a.shape)), b)
        return ops.reshape(rows_of_one, (*b.shape[:-2], b.shape[-1]))
    stack = joint_shape("matmul", a.shape[:-2], b.shape[:-2])
    letters = "abcdefghijklmnopqrstuvw"[: len(stack)]
    a, in_a = _stack(a, a.shape[:-2], a.shape[-2:], letters, stack)
    b, in_b = _stack(b, b.shape[:-2], b.shape[-2:], letters, stack)
    rows, columns = "x" * (a.type.ndim > len(in_a) + 1), "z" * (b.type.ndim > len(in_b) + 1)
    out = "".join(c for c in letters if c in in_a or c in in_b)
    spec = f"{in_a}{rows}y,{in_b}y{columns}->{out}{rows}{columns}"
    result = ops.CONTRACT(a, b, spec=spec)
    return ops.reshape(result, stack + result.shape[len(out) :])


def dot(a: Value, b: Value) -> Node:
    """NumPy's `dot`: a product of numbers, vectors and matrices."""
    if not (isinstance(a, Node) and isinstance(b, Node) and a.type.ndim and b.type.ndim):
        return mul(a, b)
    if max(a.type.ndim, b.type.ndim) > 2:
        raise ValueError(f"dot: shapes {a.shape} and {b.shape}; expected vectors and matrices, or use matmul")
    return matmul(a, b)


def outer(a: Value, b: Value) -> Node:
    """Every element of a times every element of b."""
    column = reshape(a, (-1, 1)) if isinstance(a, Node) else a
    return mul(column, reshape(b, (1, -1)) if isinstance(b, Node) else b)


def expand(x: Node, shape: tuple[int, ...]) -> Node:
    """PyTorch's: -1 keeps an extent."""
    lead = len(shape) - x.type.ndim
    kept = [x.shape[k - lead] if n == -1 and k >= lead else n for k, n in enumerate(shape)]
    return broadcast_to(x, tuple(kept))


def _stack(
    x: Node, own: tuple[int, ...], matrix: tuple[int, ...], letters: str, stack: tuple[int, ...]
) -> tuple[Node, str]:
    """x without the stacked axes of extent 1, and the letters of the rest."""
    offset = len(stack) - len(own)
    kept = [k for k, n in enumerate(own) if n != 1]
    x = ops.reshape(x, (*(own[k] for k in kept), *matrix))
    return x, "".join(letters[offset + k] for k in kept)
