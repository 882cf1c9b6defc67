"""PyTorch's names for what a Tensor has under NumPy's, and what the array API standard asks of an array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lucid.compiler.ir.graph import Node, bind

from . import composed, dlpack, residence
from . import elementwise as ew
from .alike import Alike
from .borrowed import Borrowed
from .context import MODE
from .conversions import Conversions
from .engine import leaf
from .errors import TraceError, bounded, bounds, here, no_attribute
from .extents import Size, size_of
from .in_place import InPlace
from .promote import dtype_of
from .residence import (
    CPU,
    DEVICES,
    USED,
    Device,
    brought,
    device_named,
    follows,
    lies,
    mixed,
    move,
    place,
    place_of,
)  # fmt: skip
from .shapes import expand, normal_axis
from .views import alone

if TYPE_CHECKING:
    from .tensor import Tensor


def on_device(node: Node, device: Device | None) -> Node:
    """What was made here without being asked for elsewhere: on that device from now on, or computed there."""
    if device is None:
        return node
    if node.data is None:
        place(node, device)
        return node
    return node if lies(node.data) == device else leaf(brought(node.data, device))


def settle_on(tensor: Tensor, device: Device) -> None:
    """A leaf, and its gradient, on that device from now on."""
    if tensor.device != device:
        tensor._assign(leaf(brought(tensor._value("to()"), device)))
    if tensor.grad is not None:
        tensor.grad = tensor.grad.detach()._moved(device)


# Strings that `to` takes for devices; others are dtypes.
_DEVICES = (*DEVICES, "mps", "xpu", "meta")


@bounds
class Names(Alike, Borrowed, Conversions, InPlace):
    """What Tensor inherits, in terms of its own methods."""

    __slots__ = ()

    if not TYPE_CHECKING:  # to a type checker there is no such name

        @bounded
        def __getattr__(self, name: str) -> Any:
            raise no_attribute(type(self), f"a {type(self).__name__}", name)

    if TYPE_CHECKING:
        _view: object

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...
        @property
        def requires_grad(self) -> bool: ...
        @requires_grad.setter
        def requires_grad(self, value: bool) -> None: ...
        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> np.dtype[Any]: ...
        def astype(self, dtype: Any, *, device: object = None) -> Tensor: ...
        def _value(self, what: str) -> Any: ...
        def _standing(self) -> Node: ...
        def _as(self, node: Node, requires_grad: bool) -> Tensor: ...
        def detach(self) -> Tensor: ...
        def numpy(self) -> Any: ...
        def _read(self, what: str) -> Any: ...
        def reshape(self, shape: Any, *more: Any, order: str = "C", copy: bool | None = None) -> Tensor: ...
        def transpose(self, axes: Any = None, *more: Any) -> Tensor: ...

    @property
    def device(self) -> residence.device:
        """Where it lies, or will be computed: "cpu", "cuda" or "ptx-sim"."""
        if not USED[0]:
            return CPU
        return residence.device(place_of(self._standing()) or "cpu")

    def to_device(self, device: object, /, *, stream: object = None) -> Tensor:
        """On that device: the tensor itself, if it lies there. ValueError for an unknown one, and for a
        stream: lucid has one for each device."""
        if stream is not None:
            raise ValueError(here(f"to_device: lucid chooses the stream; expected None, not {stream!r}"))
        return self._moved(device_named(device))

    def _moved(self, device: Device | None) -> Tensor:
        if not USED[0] or device is None or self.device == device:
            return self  # type: ignore[return-value]  # only Tensor inherits this
        trace, grad, _ = MODE.get()
        node = self._standing()
        if trace is not None:
            if place_of(node) is None:
                place(node, device)
                return self  # type: ignore[return-value]
            raise TraceError(
                here(
                    f"to: a tensor on {self.device} cannot move to {device} in a compiled function, which "
                    "runs on one device; move it before the call"
                )
            )
        value = brought(self._value("to()"), device)
        if not (grad and self.requires_grad):
            return self._as(leaf(value), False)
        moved = move(node, device)
        bind(moved, value)
        return self._as(moved, True)

    def _same_device(self, new: Tensor) -> None:
        """ValueError where the value of another device is to become that of this tensor."""
        own, other = (place_of(x._standing()) for x in (self, new))
        if own is None or other is None or own == other or follows(self) or follows(new):
            return
        raise ValueError(here(f"in place: {mixed([('the tensor', own), ('the new value', other)])}"))

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """`lucid.array_api`. ValueError for a version of the standard that it does not follow."""
        from . import array_api

        return array_api.namespace(api_version)

    def __dlpack__(
        self, *, stream: object = None, max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None, copy: bool | None = None,
    ) -> Any:  # fmt: skip
        """A copy of the value, for `torch.as_tensor` and the like: who takes it may write to it. With
        `copy=False`, and on a GPU unless `copy=True`, the value itself, which must not be written to: it says
        so to who understands that (`max_version` from (1, 0) on). On a GPU `stream` waits for the value."""
        if self.device == "cuda" and dl_device in (None, self.__dlpack_device__()):
            value = self._value("__dlpack__()")
            value = value.home.copy(value) if copy else value
            versioned = max_version is not None and max_version >= (1, 0)
            try:
                return dlpack.of_gpu(value, stream, versioned, bool(copy))
            except ValueError as error:
                raise ValueError(here(f"__dlpack__(): stream: {error}")) from None
        value = self._read("__dlpack__()")
        if copy is not False:
            value = np.array(value)
        elif max_version is not None and max_version >= (1, 0):
            value = self.numpy()
        wanted = {"max_version": max_version, "dl_device": dl_device}
        return dlpack.exported(value, stream=stream, **{k: v for k, v in wanted.items() if v is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0) if self.device == "cuda" else (1, 0)  # kDLCUDA, kDLCPU

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where the value lies on a GPU, for CuPy, Numba, PyTorch: it is this tensor's own, and must not be
        written to. AttributeError for a tensor that lies elsewhere, and for bfloat16."""
        if self.device != "cuda":
            raise AttributeError(f"a tensor on {self.device} has no __cuda_array_interface__")
        return dlpack.interface(self._value("__cuda_array_interface__"))

    def dim(self) -> int:
        """Number of axes: `ndim`."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Number of elements. As a method, `size()` is the shape and `size(dim)` an extent."""
        return size_of(self.shape)

    def numel(self) -> int:
        """Number of elements: `size`."""
        return math.prod(self.shape)

    def clone(self) -> Tensor:
        """The same value, through which gradients flow. Tensors are immutable: nothing is copied."""
        return alone(self.reshape(self.shape))

    copy = clone

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of a leaf, and return it."""
        self.requires_grad = requires_grad
        return self

    def type_as(self, other: Tensor) -> Tensor:
        """In the dtype of `other`."""
        if not hasattr(other, "dtype"):
            raise TypeError(here(f"type_as: expected a tensor, not {type(other).__name__}"))
        return self.astype(other.dtype)

    def to(self, *target: Any, dtype: Any = None, device: object = None, copy: bool = False) -> Tensor:
        """On another device, in another dtype, or as another tensor: `to("cuda")`, `to(lucid.float64)`,
        `to(other)`. Gradients flow back to where it lay. ValueError for an unknown device, CudaError where
        there is no GPU for "cuda"; `copy` changes nothing, as tensors are immutable."""
        for given in target:
            if isinstance(given, Names):
                dtype, device = given.dtype, given.device
            elif isinstance(given, str) and given.partition(":")[0] in _DEVICES:
                device = given
            elif isinstance(given, str) and not _is_dtype(given):
                known = f"a device ({', '.join(DEVICES)}) or the name of a dtype, such as float32"
                raise ValueError(here(f"to: expected {known}, not {given!r}"))
            else:
                dtype = given
        return self.astype(self.dtype if dtype is None else dtype, device=device)

    def cpu(self) -> Tensor:
        """On the CPU."""
        return self._moved("cpu")

    def cuda(self) -> Tensor:
        """On NVIDIA's GPU. CudaError where there is none."""
        return self._moved(device_named("cuda"))

    def contiguous(self) -> Tensor:
        """The tensor itself, of a view a copy: how values lie in memory is the compiler's business."""
        if self._view is not None:
            return alone(self.reshape(self.shape))
        return self  # type: ignore[return-value]

    def view(self, *shape: Any) -> Tensor:
        """`reshape`. TypeError for a dtype: bits are not read as another type."""
        if len(shape) == 1 and isinstance(shape[0], type | np.dtype):
            raise TypeError(here(f"view: expected a shape, not the dtype {dtype_of(shape[0]).numpy}"))
        return self.reshape(*shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Axes `start_dim` to `end_dim` as one; by default all."""
        shape = self.shape or (1,)
        first, last = _axis(start_dim, len(shape)), _axis(end_dim, len(shape))
        if first > last:
            raise ValueError(here(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}"))
        return alone(self.reshape((*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])))

    def ravel(self, order: str = "C") -> Tensor:
        """All elements along one axis, row by row, or for order "F" the first axis fastest."""
        return self.reshape((self.numel(),), order=order)

    def unsqueeze(self, dim: int) -> Tensor:
        """One more axis, of extent 1, at `dim`."""
        at = _axis(dim, len(self.shape) + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def squeeze(self, axis: Any = None, *, dim: Any = None) -> Tensor:
        """Without the axes of extent 1, or without those given. ValueError if one has another extent."""
        given = dim if axis is None else axis
        ndim = len(self.shape)
        listed = given if isinstance(given, tuple | list) else (given,)
        drop = (
            {k for k, n in enumerate(self.shape) if n == 1}
            if given is None
            else {_axis(a, ndim) for a in listed}
        )
        if any(self.shape[k] != 1 for k in drop):
            raise ValueError(here(f"squeeze: shape {self.shape} has more than one element along {given}"))
        return self.reshape(tuple(n for k, n in enumerate(self.shape) if k not in drop))

    def t(self) -> Tensor:
        """A matrix with rows and columns in each other's place; a vector as it is."""
        if len(self.shape) > 2:
            raise ValueError(here(f"t: expected a matrix, not shape {self.shape}; use transpose or swapaxes"))
        return self.transpose()

    @property
    @bounded
    def mT(self) -> Tensor:
        """The last two axes in each other's place."""
        return self.swapaxes(-2, -1)

    def expand(self, *sizes: Any) -> Tensor:
        """Along new axes, and along axes of extent 1; -1 keeps an extent."""
        return self._apply(expand, self, shape=sizes if len(sizes) != 1 else _several(sizes[0]))

    def is_floating_point(self) -> bool:
        return dtype_of(self.dtype).is_float

    def _linalg(self, name: str, *args: Any, **kwargs: Any) -> Any:
        from . import linalg

        return getattr(linalg, name)(self, *args, **kwargs)

    def det(self) -> Tensor:
        """`lucid.linalg.det`."""
        return self._linalg("det")  # type: ignore[no-any-return]

    def logdet(self) -> Tensor:
        """`lucid.linalg.logdet`."""
        return self._linalg("logdet")  # type: ignore[no-any-return]

    def slogdet(self) -> Any:
        """`lucid.linalg.slogdet`."""
        return self._linalg("slogdet")

    def inverse(self) -> Tensor:
        """`lucid.linalg.inv`."""
        return self._linalg("inv")  # type: ignore[no-any-return]

    def pinverse(self, rcond: Any = None) -> Tensor:
        """`lucid.linalg.pinv`."""
        return self._linalg("pinv", rcond)  # type: ignore[no-any-return]

    def cholesky(self, upper: bool = False) -> Tensor:
        """`lucid.linalg.cholesky`."""
        return self._linalg("cholesky", upper=upper)  # type: ignore[no-any-return]

    def matrix_power(self, n: int) -> Tensor:
        """`lucid.linalg.matrix_power`."""
        return self._linalg("matrix_power", n)  # type: ignore[no-any-return]

    def ceil(self) -> Tensor:
        return self._apply(ew.ceil, self)

    def trunc(self) -> Tensor:
        return self._apply(ew.trunc, self)

    def reciprocal(self) -> Tensor:
        return self._apply(composed.reciprocal, self)

    def rsqrt(self) -> Tensor:
        return self._apply(composed.rsqrt, self)

    def round(self, decimals: int = 0) -> Tensor:
        """To so many decimal places, halves to even."""
        return self._apply(composed.rounded, self, decimals=decimals)

    def relu(self) -> Tensor:
        """max(x, 0); its gradient at 0 is 0."""
        from .nn.functional import relu

        return relu(self)

    def softmax(self, axis: int | None = None, *, dim: int | None = None, dtype: Any = None) -> Tensor:
        """exp(x) / sum(exp(x)) over one axis, the last one if none is given, of x in `dtype`."""
        from .nn.functional import softmax

        return softmax(self, axis, dim=dim, dtype=dtype)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes in each other's place."""
        ndim = len(self.shape)
        order = list(range(ndim))
        a, b = _axis(axis1, ndim), _axis(axis2, ndim)
        order[a], order[b] = b, a
        return self.transpose(tuple(order)) if order else self.reshape(())


def _several(sizes: Any) -> tuple[Any, ...]:
    return tuple(sizes) if isinstance(sizes, tuple | list) else (sizes,)


def _axis(axis: int, ndim: int) -> int:
    try:
        return normal_axis(axis, ndim)
    except (TypeError, IndexError) as error:
        raise type(error)(here(str(error))) from None


def _is_dtype(name: str) -> bool:
    try:
        dtype_of(name)
    except TypeError:
        return False
    return True
