"""Parts of complex numbers, and numbers of parts, as nodes; what Tensor inherits of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .errors import bounded, bounds
from .promote import Value, cast, float_dtype, joint

if TYPE_CHECKING:
    from .tensor import Tensor


def by_parts(build: Callable[..., Node], x: Node, *args: Any, **attrs: Any) -> Node:
    """A function of real numbers, of the real and of the imaginary parts."""
    return ops.COMPLEX(*(build(part(x), *args, **attrs) for part in (ops.RE, ops.IM)))


def taken_apart(x: Node) -> Node:
    """A node whose parts are the same nodes whenever they are asked for."""
    return ops.COMPLEX(ops.RE(x), ops.IM(x)) if x.type.dtype.is_complex else x


def squared_size(x: Node) -> Node:
    """|x|², without a root."""
    if not x.type.dtype.is_complex:
        return ops.MUL(x, x)
    re, im = ops.RE(x), ops.IM(x)
    return ops.ADD(ops.MUL(re, re), ops.MUL(im, im))


def real(x: Node) -> Node:
    return ops.RE(x) if x.type.dtype.is_complex else x


def imag(x: Node) -> Node:
    return ops.IM(x) if x.type.dtype.is_complex else ops.zeros_like(x)


def conj(x: Node) -> Node:
    return ops.COMPLEX(ops.RE(x), ops.NEG(ops.IM(x))) if x.type.dtype.is_complex else x


def angle(x: Node) -> Node:
    """Of real numbers 0 or pi; NaN stays."""
    if x.type.dtype.is_complex:
        return ops.ARCTAN2(ops.IM(x), ops.RE(x))
    x = cast(x, float_dtype(x))
    return ops.ARCTAN2(ops.zeros_like(x), x)


def isreal(x: Node) -> Node:
    zero = imag(x)
    return ops.EQ(zero, ops.zeros_like(zero))


def iscomplex(x: Node) -> Node:
    return ops.NOT(isreal(x))


def complex_(re: Value, im: Value) -> Node:
    """TypeError for what is complex already."""
    dtype = float_dtype(re, im)
    return ops.COMPLEX(*joint("complex", dtype.computed, re, im))


def polar(size: Value, angles: Value) -> Node:
    dtype = float_dtype(size, angles)
    r, a = joint("polar", dtype.computed, size, angles)
    return ops.COMPLEX(ops.MUL(r, ops.COS(a)), ops.MUL(r, ops.SIN(a)))


def view_as_real(x: Node) -> Node:
    """The parts along a new last axis of 2."""
    if not x.type.dtype.is_complex:
        raise TypeError(f"view_as_real: expected complex numbers, not {x.type.dtype.numpy}")
    return ops.side_by_side(ops.RE(x), ops.IM(x))


def view_as_complex(x: Node) -> Node:
    """Of the parts along the last axis, which is dropped."""
    if x.type.dtype.is_complex or not x.type.ndim or x.shape[-1] != 2:
        raise ValueError(
            f"view_as_complex: expected the parts along a last axis of 2, got {x.type.dtype.numpy} of shape "
            f"{x.shape}"
        )
    last = x.type.ndim - 1
    return complex_(*(ops.reshape(ops.narrow(x, last, k, 1), x.shape[:last]) for k in (0, 1)))


@bounds
class Complexes:
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()

    if TYPE_CHECKING:
        dtype: Any

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...
        @property
        def mT(self) -> Tensor: ...

    @property
    def real(self) -> Tensor:
        """The real part."""
        return self._apply(real, self)

    @property
    def imag(self) -> Tensor:
        """The imaginary part: 0 of real numbers."""
        return self._apply(imag, self)

    def conj(self) -> Tensor:
        """x.real - i x.imag; a real tensor itself."""
        return self._apply(conj, self)

    conjugate = conj_physical = conj

    def resolve_conj(self) -> Tensor:
        """This tensor: none is conjugated in name alone."""
        return self._apply(lambda x: x, self)

    def angle(self) -> Tensor:
        """The angle of each number in the complex plane, from -pi to pi."""
        return self._apply(angle, self)

    @property
    @bounded
    def mH(self) -> Tensor:
        """The last two axes in each other's place, conjugated."""
        return self.mT.conj()

    @property
    @bounded
    def H(self) -> Tensor:
        """A matrix, transposed and conjugated. ValueError for other than two axes."""
        return self._apply(_adjoint, self)

    def is_complex(self) -> bool:
        """Whether the dtype is complex64 or complex128."""
        return bool(self.dtype.kind == "c")

    def view_as_real(self) -> Tensor:
        """The parts along a new last axis of 2, as `lucid.view_as_real`: a copy, since tensors are values."""
        return self._apply(view_as_real, self)

    def view_as_complex(self) -> Tensor:
        """Complex numbers of the parts along the last axis, as `lucid.view_as_complex`."""
        return self._apply(view_as_complex, self)


def _adjoint(x: Node) -> Node:
    if x.type.ndim != 2:
        raise ValueError(f"H: expected a matrix, not shape {x.shape}; use mH for stacks")
    return conj(ops.TRANSPOSE(x, perm=(1, 0)))
