"""PyTorch's methods that are named after dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import bounds

if TYPE_CHECKING:
    from .tensor import Tensor


@bounds
class Conversions:
    """What Tensor inherits, in terms of `astype`."""

    __slots__ = ()

    if TYPE_CHECKING:

        def astype(self, dtype: Any, *, device: object = None) -> Tensor: ...

    def float(self) -> Tensor:
        """In float32."""
        return self.astype(np.float32)

    def half(self) -> Tensor:
        """In float16."""
        return self.astype(np.float16)

    def bfloat16(self) -> Tensor:
        """In bfloat16."""
        return self.astype("bfloat16")

    def double(self) -> Tensor:
        """In float64."""
        return self.astype(np.float64)

    def long(self) -> Tensor:
        """In int64."""
        return self.astype(np.int64)

    def int(self) -> Tensor:
        """In int32."""
        return self.astype(np.int32)

    def short(self) -> Tensor:
        """In int16."""
        return self.astype(np.int16)

    def char(self) -> Tensor:
        """In int8."""
        return self.astype(np.int8)

    def byte(self) -> Tensor:
        """In uint8."""
        return self.astype(np.uint8)

    def bool(self) -> Tensor:
        """Whether each element is not 0."""
        return self.astype(np.bool_)

    def cfloat(self) -> Tensor:
        """In complex64."""
        return self.astype(np.complex64)

    def cdouble(self) -> Tensor:
        """In complex128."""
        return self.astype(np.complex128)
