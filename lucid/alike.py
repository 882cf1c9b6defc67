"""PyTorch's methods that make tensors like another one, compare with another one, or say what one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import bounds, here, public
from .promote import dtype_of
from .shapes import normal_axis

if TYPE_CHECKING:
    from .tensor import Tensor


@bounds
class Alike:
    """What Tensor inherits, in terms of its own methods."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def ndim(self) -> int: ...
        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> np.dtype[Any]: ...
        @property
        def device(self) -> str: ...
        def reshape(self, shape: Any, *more: Any, copy: bool | None = None) -> Tensor: ...
        def broadcast_to(self, shape: Any, *more: Any) -> Tensor: ...
        def numel(self) -> int: ...

    # --- made like this one ------------------------------------------------------------------------

    def new_tensor(
        self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """`data` as a tensor, of this dtype and on this device unless others are named."""
        from .creation import tensor

        return tensor(data, requires_grad, **self._like(dtype, device))

    def new_empty(
        self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """Zeros: what is in memory is never shown."""
        return self.new_zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_zeros(
        self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """Zeros of this dtype, on this device, unless others are named."""
        from .creation import zeros

        return zeros(*size, requires_grad=requires_grad, **self._like(dtype, device))

    def new_ones(
        self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """Ones of this dtype, on this device, unless others are named."""
        from .creation import ones

        return ones(*size, requires_grad=requires_grad, **self._like(dtype, device))

    def new_full(
        self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Tensor:
        """`fill_value` everywhere, of this dtype, on this device, unless others are named."""
        from .creation import full

        return full(size, fill_value, requires_grad=requires_grad, **self._like(dtype, device))

    def _like(self, dtype: Any, device: Any) -> dict[str, Any]:
        return {
            "dtype": self.dtype if dtype is None else dtype,
            "device": self.device if device is None else device,
        }

    # --- as another one ----------------------------------------------------------------------------

    def expand_as(self, other: Tensor) -> Tensor:
        """Broadcast to the shape of `other`."""
        return self.broadcast_to(other.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        """In the shape of `other`."""
        return self.reshape(other.shape)

    view_as = reshape_as

    def sum_to_size(self, *size: Any) -> Tensor:
        """Summed over the axes along which `size` broadcasts to this shape: broadcasting, undone."""
        shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], tuple | list) else tuple(size)
        more = self.ndim - len(shape)
        if more < 0 or any(n not in (1, m) for n, m in zip(shape, self.shape[more:], strict=True)):
            raise ValueError(here(f"sum_to_size: {shape} does not broadcast to {self.shape}"))
        axes = tuple(k for k in range(self.ndim) if k < more or (shape[k - more] == 1 and self.shape[k] != 1))
        return self.sum(axes, keepdims=True).reshape(shape) if axes else self.reshape(shape)  # type: ignore[attr-defined]

    def is_same_size(self, other: Tensor) -> bool:
        """Whether the shapes are equal."""
        return self.shape == other.shape

    def equal(self, other: Any) -> bool:
        """PyTorch's: whether shape and all elements are equal, as one bool (`eq` and `==` compare each
        element, and so does `lucid.equal`, NumPy's). Outside of compiled functions."""
        from .questions import array_equal

        return array_equal(self, other)

    def where(self, condition: Any, other: Any) -> Tensor:
        """These elements where `condition` holds, else those of `other`."""
        from .functional import where

        return where(condition, self, other)

    def select(self, dim: int, index: int) -> Tensor:
        """What stands at `index` along an axis, which goes."""
        axis = normal_axis(dim, self.ndim)
        return self[(slice(None),) * axis + (index,)]  # type: ignore[index,no-any-return]

    @public
    def split_with_sizes(self, split_sizes: Any, dim: int = 0) -> list[Tensor]:
        """Parts of these sizes along an axis."""
        return self.split(list(split_sizes), dim)  # type: ignore[attr-defined,no-any-return]

    @public
    def index_put(self, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
        """A new tensor with `values` at `indices`, a tuple; or with these added."""
        place = self.at[tuple(indices)]  # type: ignore[attr-defined]
        return place.add(values) if accumulate else place.set(values)  # type: ignore[no-any-return]

    def polygamma(self, n: int) -> Tensor:
        """The nth derivative of digamma, of n 0 or 1."""
        from .functional import polygamma

        return polygamma(n, self)

    # --- what it is --------------------------------------------------------------------------------

    def ndimension(self) -> int:
        """Number of axes: `ndim`."""
        return self.ndim

    def nelement(self) -> int:
        """Number of elements: `size`."""
        return self.numel()

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def is_contiguous(self) -> bool:
        """True: how values lie in memory is the compiler's business."""
        return True

    def is_signed(self) -> bool:
        """Whether the dtype has numbers below 0."""
        return self.dtype.kind not in "bu"

    @property
    def is_cpu(self) -> bool:
        """Whether it lies on the CPU."""
        return self.device == "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether it lies on NVIDIA's GPU."""
        return self.device == "cuda"

    def tobytes(self) -> bytes:
        """The elements, row-major, as they lie in memory."""
        return np.ascontiguousarray(self.numpy()).tobytes()  # type: ignore[attr-defined]

    @public
    def type(self, dtype: Any = None) -> Any:
        """In another dtype; without one its name."""
        return self.dtype.name if dtype is None else self.astype(dtype_of(dtype).np)  # type: ignore[attr-defined]
