"""The operators of Tensor: each builds a node, by NumPy's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from lucid.compiler.ir.graph import Node

from . import elementwise as ew
from . import shapes

if TYPE_CHECKING:
    from .tensor import Tensor


class Operators:
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()

    if TYPE_CHECKING:

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...
        @staticmethod
        def _infix(build: Callable[..., Node], a: Any, b: Any, sign: str) -> Tensor: ...
        def _become(self, new: Tensor) -> Self: ...

    def __add__(self, other: Any) -> Tensor:
        return self._infix(ew.add, self, other, "+")

    def __radd__(self, other: Any) -> Tensor:
        return self._infix(ew.add, other, self, "+")

    def __sub__(self, other: Any) -> Tensor:
        return self._infix(ew.sub, self, other, "-")

    def __rsub__(self, other: Any) -> Tensor:
        return self._infix(ew.sub, other, self, "-")

    def __mul__(self, other: Any) -> Tensor:
        return self._infix(ew.mul, self, other, "*")

    def __rmul__(self, other: Any) -> Tensor:
        return self._infix(ew.mul, other, self, "*")

    def __truediv__(self, other: Any) -> Tensor:
        return self._infix(ew.div, self, other, "/")

    def __rtruediv__(self, other: Any) -> Tensor:
        return self._infix(ew.div, other, self, "/")

    def __floordiv__(self, other: Any) -> Tensor:
        return self._infix(ew.floordiv, self, other, "//")

    def __rfloordiv__(self, other: Any) -> Tensor:
        return self._infix(ew.floordiv, other, self, "//")

    def __mod__(self, other: Any) -> Tensor:
        return self._infix(ew.mod, self, other, "%")

    def __rmod__(self, other: Any) -> Tensor:
        return self._infix(ew.mod, other, self, "%")

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __pow__(self, other: Any) -> Tensor:
        return self._infix(ew.pow_, self, other, "**")

    def __rpow__(self, other: Any) -> Tensor:
        return self._infix(ew.pow_, other, self, "**")

    def __and__(self, other: Any) -> Tensor:
        return self._infix(ew.and_, self, other, "&")

    def __rand__(self, other: Any) -> Tensor:
        return self._infix(ew.and_, other, self, "&")

    def __or__(self, other: Any) -> Tensor:
        return self._infix(ew.or_, self, other, "|")

    def __ror__(self, other: Any) -> Tensor:
        return self._infix(ew.or_, other, self, "|")

    def __xor__(self, other: Any) -> Tensor:
        return self._infix(ew.xor, self, other, "^")

    def __rxor__(self, other: Any) -> Tensor:
        return self._infix(ew.xor, other, self, "^")

    def __lshift__(self, other: Any) -> Tensor:
        return self._infix(ew.shl, self, other, "<<")

    def __rlshift__(self, other: Any) -> Tensor:
        return self._infix(ew.shl, other, self, "<<")

    def __rshift__(self, other: Any) -> Tensor:
        return self._infix(ew.shr, self, other, ">>")

    def __rrshift__(self, other: Any) -> Tensor:
        return self._infix(ew.shr, other, self, ">>")

    def __matmul__(self, other: Any) -> Tensor:
        return self._infix(shapes.matmul, self, other, "@")

    def __rmatmul__(self, other: Any) -> Tensor:
        return self._infix(shapes.matmul, other, self, "@")

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # elementwise, as NumPy's
        return self._infix(ew.eq, self, other, "==")

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._infix(ew.ne, self, other, "!=")

    def __lt__(self, other: Any) -> Tensor:
        return self._infix(ew.lt, self, other, "<")

    def __le__(self, other: Any) -> Tensor:
        return self._infix(ew.le, self, other, "<=")

    def __gt__(self, other: Any) -> Tensor:
        return self._infix(ew.gt, self, other, ">")

    def __ge__(self, other: Any) -> Tensor:
        return self._infix(ew.ge, self, other, ">=")

    # --- operators in place ----------------------------------------------------------------------
    # x += y gives this tensor a new value, for all who hold it, as in PyTorch. Other tensors keep theirs,
    # `detach()`, views and arrays of `numpy()` included: memory is never shared with what changes.

    def __iadd__(self, other: Any) -> Self:
        return self._become(self._infix(ew.add, self, other, "+"))

    def __isub__(self, other: Any) -> Self:
        return self._become(self._infix(ew.sub, self, other, "-"))

    def __imul__(self, other: Any) -> Self:
        return self._become(self._infix(ew.mul, self, other, "*"))

    def __itruediv__(self, other: Any) -> Self:
        return self._become(self._infix(ew.div, self, other, "/"))

    def __ifloordiv__(self, other: Any) -> Self:
        return self._become(self._infix(ew.floordiv, self, other, "//"))

    def __imod__(self, other: Any) -> Self:
        return self._become(self._infix(ew.mod, self, other, "%"))

    def __ipow__(self, other: Any) -> Self:
        return self._become(self._infix(ew.pow_, self, other, "**"))

    def __iand__(self, other: Any) -> Self:
        return self._become(self._infix(ew.and_, self, other, "&"))

    def __ior__(self, other: Any) -> Self:
        return self._become(self._infix(ew.or_, self, other, "|"))

    def __ixor__(self, other: Any) -> Self:
        return self._become(self._infix(ew.xor, self, other, "^"))

    def __ilshift__(self, other: Any) -> Self:
        return self._become(self._infix(ew.shl, self, other, "<<"))

    def __irshift__(self, other: Any) -> Self:
        return self._become(self._infix(ew.shr, self, other, ">>"))

    def __imatmul__(self, other: Any) -> Self:
        return self._become(self._infix(shapes.matmul, self, other, "@"))

    def __neg__(self) -> Tensor:
        return self._apply(ew.neg, self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Tensor:
        return self._apply(ew.absolute, self)

    def __invert__(self) -> Tensor:
        return self._apply(ew.invert, self)

    # --- under names -----------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """self + alpha * other."""
        return self + (other if alpha == 1 else self._apply(ew.mul, other, alpha))

    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """self - alpha * other."""
        return self - (other if alpha == 1 else self._apply(ew.mul, other, alpha))

    mul, div, floor_divide, remainder, pow = __mul__, __truediv__, __floordiv__, __mod__, __pow__
    matmul = mm = __matmul__
    lt, le, gt, ge = __lt__, __le__, __gt__, __ge__
    neg = __neg__

    def eq(self, other: Any) -> Tensor:
        """self == other, for each element."""
        return self._apply(ew.eq, self, other)

    def ne(self, other: Any) -> Tensor:
        """self != other, for each element."""
        return self._apply(ew.ne, self, other)

    def maximum(self, other: Any) -> Tensor:
        """The greater of two; NaN wins. At a tie each gets half of the gradient."""
        return self._apply(ew.maximum, self, other)

    def minimum(self, other: Any) -> Tensor:
        """The lesser of two; NaN wins. At a tie each gets half of the gradient."""
        return self._apply(ew.minimum, self, other)

    def dot(self, other: Any) -> Tensor:
        """The product with a vector or a matrix."""
        return self._apply(shapes.dot, self, other)

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        """`value`, in this dtype, where `mask` holds, else these elements."""
        return self._apply(ew.masked_fill, self, mask, value)

    def isnan(self) -> Tensor:
        return self._apply(ew.isnan, self)

    def isinf(self) -> Tensor:
        return self._apply(ew.isinf, self)

    def isfinite(self) -> Tensor:
        return self._apply(ew.isfinite, self)

    # --- under a name ----------------------------------------------------------------------------

    def abs(self) -> Tensor:
        return self._apply(ew.absolute, self)

    def square(self) -> Tensor:
        return self._apply(ew.square, self)

    def floor(self) -> Tensor:
        return self._apply(ew.floor, self)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """Elements below `min` become `min`, those above `max` become `max`; NaN stays. The
        gradient is 1 where an element is kept, bounds included."""
        return self._apply(ew.clip, self, min, max)

    clamp = clip
