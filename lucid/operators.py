"""The operators of Tensor: each builds a node, by NumPy's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from lucid.compiler.ir.graph import Node

from . import elementwise as ew
from . import shapes
from .errors import bounds, trim
from .views import operated

if TYPE_CHECKING:
    from .tensor import Tensor

T = TypeVar("T")


# The method by which an object on the right of an operator answers.
REFLECTED = {
    "+": "__radd__", "-": "__rsub__", "*": "__rmul__", "/": "__rtruediv__", "//": "__rfloordiv__",
    "%": "__rmod__", "**": "__rpow__", "@": "__rmatmul__", "&": "__rand__", "|": "__ror__", "^": "__rxor__",
    "<<": "__rlshift__", ">>": "__rrshift__",
    "<": "__gt__", "<=": "__ge__", ">": "__lt__", ">=": "__le__", "==": "__eq__", "!=": "__ne__",
}  # fmt: skip


def infix(build: Callable[..., Node], sign: str, reflected: bool = False) -> Callable[[Any, Any], Tensor]:
    """An operator between a tensor and something else; `reflected`: that stands on the left."""

    def operator(self: Any, other: Any) -> Tensor:
        try:
            a, b = (other, self) if reflected else (self, other)
            made: Tensor = self._infix(build, a, b, sign)
        except BaseException as error:
            trim(error)
            raise
        return made

    return operator


def in_place(build: Callable[..., Node], sign: str) -> Callable[[T, Any], T]:
    """`x += y` and the like: what `x + y` is becomes the value of x."""

    def operator(self: Any, other: Any) -> Any:
        try:
            made = self._infix(build, self, other, sign)
            if self._view is not None:
                operated(self)
            return self._become(made)
        except BaseException as error:
            trim(error)
            raise

    return operator


class Infix:
    """Operators between two operands, and in place."""

    __slots__ = ()

    __add__ = infix(ew.add, "+")
    __radd__ = infix(ew.add, "+", reflected=True)
    __sub__ = infix(ew.sub, "-")
    __rsub__ = infix(ew.sub, "-", reflected=True)
    __mul__ = infix(ew.mul, "*")
    __rmul__ = infix(ew.mul, "*", reflected=True)
    __truediv__ = infix(ew.div, "/")
    __rtruediv__ = infix(ew.div, "/", reflected=True)
    __floordiv__ = infix(ew.floordiv, "//")
    __rfloordiv__ = infix(ew.floordiv, "//", reflected=True)
    __mod__ = infix(ew.mod, "%")
    __rmod__ = infix(ew.mod, "%", reflected=True)
    __pow__ = infix(ew.pow_, "**")
    __rpow__ = infix(ew.pow_, "**", reflected=True)
    __and__ = infix(ew.and_, "&")
    __rand__ = infix(ew.and_, "&", reflected=True)
    __or__ = infix(ew.or_, "|")
    __ror__ = infix(ew.or_, "|", reflected=True)
    __xor__ = infix(ew.xor, "^")
    __rxor__ = infix(ew.xor, "^", reflected=True)
    __lshift__ = infix(ew.shl, "<<")
    __rlshift__ = infix(ew.shl, "<<", reflected=True)
    __rshift__ = infix(ew.shr, ">>")
    __rrshift__ = infix(ew.shr, ">>", reflected=True)
    __matmul__ = infix(shapes.matmul, "@")
    __rmatmul__ = infix(shapes.matmul, "@", reflected=True)
    __eq__ = infix(ew.eq, "==")  # type: ignore[assignment]  # elementwise, as NumPy's
    __ne__ = infix(ew.ne, "!=")  # type: ignore[assignment]
    __lt__ = infix(ew.lt, "<")
    __le__ = infix(ew.le, "<=")
    __gt__ = infix(ew.gt, ">")
    __ge__ = infix(ew.ge, ">=")

    mul, floor_divide, remainder, pow = __mul__, __floordiv__, __mod__, __pow__
    matmul = mm = __matmul__
    lt, le, gt, ge = __lt__, __le__, __gt__, __ge__

    # --- operators in place ----------------------------------------------------------------------
    # x += y gives this tensor a new value, for all who hold it, as in PyTorch. Other tensors keep theirs,
    # `detach()`, views and arrays of `numpy()` included: memory is never shared with what changes.

    __iadd__ = in_place(ew.add, "+")
    __isub__ = in_place(ew.sub, "-")
    __imul__ = in_place(ew.mul, "*")
    __itruediv__ = in_place(ew.div, "/")
    __ifloordiv__ = in_place(ew.floordiv, "//")
    __imod__ = in_place(ew.mod, "%")
    __ipow__ = in_place(ew.pow_, "**")
    __iand__ = in_place(ew.and_, "&")
    __ior__ = in_place(ew.or_, "|")
    __ixor__ = in_place(ew.xor, "^")
    __ilshift__ = in_place(ew.shl, "<<")
    __irshift__ = in_place(ew.shr, ">>")
    __imatmul__ = in_place(shapes.matmul, "@")


@bounds
class Operators(Infix):
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()

    if TYPE_CHECKING:

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __neg__(self) -> Tensor:
        return self._apply(ew.neg, self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Tensor:
        return self._apply(ew.absolute, self)

    def __invert__(self) -> Tensor:
        return self._apply(ew.invert, self)

    # --- under names -----------------------------------------------------------------------------

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
