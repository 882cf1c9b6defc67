"""What Tensor inherits for `x[...]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from . import shapes, subscripts
from .errors import here, public

if TYPE_CHECKING:
    from .tensor import Tensor


class Indexed:
    """Elements of a tensor by NumPy's rules."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]: ...
        @staticmethod
        def _apply(build: Any, *operands: Any, **attrs: Any) -> Tensor: ...

    def __getitem__(self, key: Any) -> Tensor:
        """NumPy's: ints, slices, `...`, None, arrays or lists or tensors of ints, and masks. IndexError for
        an index that is out of range: here if its value is known, else from who computes the result. In a
        compiled function a mask must be known, as the shape of the result is; there use `lucid.where`."""
        if not subscripts.is_advanced(key):
            return self._apply(shapes.index, self, key=key)
        plain, arrays = _parsed(self.shape, key)
        return self._apply(subscripts.index, self, *arrays, key=plain)

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError(
            here("tensors are immutable; build a new one, for example with lucid.where(mask, a, b)")
        )


_parsed = public(subscripts.parse)
