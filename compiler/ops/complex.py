"""Complex numbers: pairs of real nodes.

    z * w   is   complex(re z * re w - im z * im w, re z * im w + im z * re w)

An op with a complex operand is never a node: the call of its record makes what stands for it, by the rule
that the record names (`of_complex`), of real nodes between `re`, `im` and `complex`; `re` of what `complex`
makes is that operand. So a graph has complex inputs, complex outputs, and real arithmetic, and gradients are
those of real arithmetic, to any order: the cotangent of a complex number is dL/dre + i dL/dim, of `re(z)`
complex(ct, 0), of `im(z)` complex(0, ct). The kernels see pairs (`passes/pairs.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.types import GRAPH_DTYPES, DType, TensorType, b1, tensor_type
from .record import Array, Attrs, Inputs, Op, Types, define, fail, operands

__all__ = ["COMPLEX", "IM", "RE", "side_by_side"]

Rule = Callable[[Op, Inputs, Attrs], Node]

_WHOLE: dict[DType, DType] = {d.part: d for d in GRAPH_DTYPES.values() if d.is_complex}


def whole(part: DType) -> DType:
    """The complex dtype of parts of this one. TypeError if there is none."""
    if part not in _WHOLE:
        fail("complex", f"the parts are {part.numpy}; expected {' or '.join(d.numpy for d in _WHOLE)}")
    return _WHOLE[part]


def _infer_complex(types: Types, attrs: Attrs) -> TensorType:
    operands("complex", types, 2)
    if types[0] != types[1]:
        fail("complex", f"the parts differ in type: {types[0]}, {types[1]}")
    return tensor_type(whole(types[0].dtype), types[0].shape)


def _infer_part(types: Types, attrs: Attrs) -> TensorType:
    operands("re", types, 1)
    if not types[0].dtype.is_complex:
        fail("re", f"expected a complex number, got {types[0]}")
    return tensor_type(types[0].dtype.part, types[0].shape)


def _joined(attrs: Attrs, re: Array, im: Array) -> Array:
    made = np.empty(re.shape, np.result_type(re, np.complex64))
    made.real, made.imag = re, im
    return made


# --- rules ---------------------------------------------------------------------------------------


def kept(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """The op itself, of complex numbers."""
    return Node(op, inputs, attrs)


def linear(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """The op of the real parts, and of the imaginary ones; masks and indices are the same for both."""
    for node in inputs:
        if node.type.dtype.is_float:
            fail(op.name, f"operands differ in type: {', '.join(str(n.type) for n in inputs)}")
    re, im = ([part(n) if n.type.dtype.is_complex else n for n in inputs] for part in (RE, IM))
    return COMPLEX(op(*re, **attrs), op(*im, **attrs))


def bilinear(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """A product."""
    if any(not n.type.dtype.is_complex for n in inputs):
        fail(op.name, f"operands differ in type: {', '.join(str(n.type) for n in inputs)}")
    (a, b), (c, d) = ((RE(n), IM(n)) for n in inputs)
    re = ops.SUB(op(a, c, **attrs), op(b, d, **attrs))
    across = op(a, d, **attrs)
    square = op is ops.MUL and inputs[0] is inputs[1]
    return COMPLEX(re, ops.ADD(across, across if square else op(b, c, **attrs)))


def literal(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """A number, which may be real."""
    value, dtype = complex(attrs["value"]), attrs["dtype"].part
    return COMPLEX(op(value=value.real, dtype=dtype), op(value=value.imag, dtype=dtype))


def cast(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """To bool by != 0. To other real numbers only the parts of a complex one can be cast."""
    (x,), target = inputs, attrs["dtype"]
    source = x.type.dtype
    if source is target:  # a node of its own, for who asks for that
        return Node(op, inputs, attrs)
    if not source.is_complex:
        re = x if source is target.part else op(x, dtype=target.part)
        return COMPLEX(re, ops.zeros_like(re))
    if target is b1:
        return ops.NE(x, ops.zeros_like(x))
    if not target.is_complex:
        fail("cast", f"{source.numpy} to {target.numpy} loses the imaginary part; take x.real, or abs(x)")
    return COMPLEX(op(RE(x), dtype=target.part), op(IM(x), dtype=target.part))


def compared(both: Callable[[], Op]) -> Rule:
    """A comparison of the real parts and of the imaginary ones."""

    def rule(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
        return both()(op(*map(RE, inputs)), op(*map(IM, inputs)))

    return rule


def _one(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """A part of a node that is made of two is one of these. (One that has a value is read.)"""
    (x,) = inputs
    parts = x.inputs  # before what follows: another thread may compute it meanwhile
    if x.op is COMPLEX and x.data is None and len(parts) == 2:
        return parts[op is IM]
    return Node(op, inputs, attrs)


def product(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """A product of all elements along axes: of two halves, again and again."""
    (x,), axes = inputs, attrs["axes"]
    kept_axes = tuple(d for d in range(x.type.ndim) if d not in axes)
    moved = ops.TRANSPOSE(x, perm=(*kept_axes, *axes))
    shape = tuple(x.shape[d] for d in kept_axes)
    n, last = 1, len(shape)
    for d in axes:
        n *= x.shape[d]
    rest = ops.reshape(moved, (*shape, n))
    made = None
    while n:
        if n % 2:
            single = ops.narrow(rest, last, n - 1, 1)
            made = single if made is None else ops.MUL(made, single)
        half = n // 2
        if half:
            rest = ops.MUL(ops.narrow(rest, last, 0, half), ops.narrow(rest, last, half, half))
        n = half
    if made is None:
        return ops.fill(ops.CONST(value=1, dtype=x.type.dtype), shape)
    return ops.reshape(made, shape)


def running_product(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """Of 2, 4, 8, ... elements up to each."""
    (x,), axis = inputs, attrs["axis"]
    n, step = x.shape[axis], 1
    while step < n:
        front = ops.narrow(x, axis, 0, n - step)
        place = ops.IOTA(shape=x.shape, axis=axis)
        inside = ops.GE(place, ops.const(step, place))
        lo = tuple(step if d == axis else 0 for d in range(x.type.ndim))
        earlier = ops.PAD(front, lo=lo, hi=(0,) * x.type.ndim)
        x = ops.MUL(x, ops.WHERE(inside, earlier, ops.const(1, x)))
        step *= 2
    return x


def side_by_side(re: Node, im: Node) -> Node:
    """Two nodes along a last axis of 2, as complex numbers lie in memory."""
    shape = (*re.shape, 2)
    place = ops.IOTA(shape=shape, axis=len(re.shape))
    sides = (ops.BROADCAST(ops.reshape(n, (*re.shape, 1)), shape=shape) for n in (re, im))
    return ops.WHERE(ops.EQ(place, ops.const(0, place)), *sides)


# --- the three ops ---------------------------------------------------------------------------------


COMPLEX: Op = define(
    "complex", "pair", _infer_complex, _joined,
    lambda n, ct, needs: (RE(ct) if needs[0] else None, IM(ct) if needs[1] else None), None,
)  # fmt: skip
RE: Op = define(
    "re", "pair", _infer_part, lambda attrs, x: x.real.copy(),
    lambda n, ct, _: (COMPLEX(ct, ops.zeros_like(ct)),), None, "c", of_complex=_one,
)  # fmt: skip
IM: Op = define(
    "im", "pair", _infer_part, lambda attrs, x: x.imag.copy(),
    lambda n, ct, _: (COMPLEX(ops.zeros_like(ct), ct),), None, "c", of_complex=_one,
)  # fmt: skip
