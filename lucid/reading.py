"""Values as Python and NumPy know them: what Tensor inherits to be read, converted and shown."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import b1

from .context import MODE
from .defaults import default_float
from .engine import Array
from .errors import bounded, bounds, here, trim, user_frame, warn_user
from .extents import Size

if TYPE_CHECKING:
    import numpy.typing as npt

    from .tensor import Tensor
    from .tracing import Trace

_ended: list[bool] = []  # whether this process was told that gradients end in arrays

# What is asked of a tensor, and what to try where it cannot be known.
WHOLE, ARRAY = "an int (for an index, a range, a shape)", "an array (of a list, for NumPy)"
_REMEDY = "To choose by a condition use lucid.where(condition, a, b); to look at a value, return it"
_AS_INT = (
    "Pass it as a Python int; or compute with it: x[i] takes a tensor, and so does "
    "lucid.where(lucid.arange(n) < i, a, b)"
)
_REMEDIES = {
    WHOLE: _AS_INT,
    "int()": f"{_AS_INT}; x.long() is a tensor of ints",
    "float()": "Leave it a tensor: arithmetic and lucid's functions take it; to look at a value, return it",
    ARRAY: "Compute with lucid's functions (lucid.array([a, b]) makes one tensor of several); to look at a "
    "value, return it",
}
_EXTENT = (
    "How many elements there are is decided before: pass a Python int, or compute with as many as there may "
    "be, and choose by lucid.where(lucid.arange(n) < i, a, b)"
)
_BUILTINS = {
    "sorted": "lucid.sort(x) sorts; lucid.argsort(x) says in which order",
    "(?:max|min)": "x.max() and x.min() are those of a tensor, lucid.maximum(a, b) and lucid.minimum of two",
    "range": "A loop of as many steps as a value says: pass it as a Python int, or make as many steps as "
    "there may be, each by x = lucid.where(i < n, new, x)",
    r"lucid\.(?:arange|linspace)": _EXTENT,
    r"lucid\.(?:zeros|ones|full|empty|eye)": _EXTENT,
}


@bounds
class Reading:
    """What Tensor inherits; it says what the value is."""

    __slots__ = ()

    if TYPE_CHECKING:
        _node: Node
        _grad: Tensor | None
        _requires_grad: bool
        _trace: Trace | None

        def _read(self, what: str) -> Array: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> np.dtype[Any]: ...
        @property
        def ndim(self) -> int: ...
        @property
        def size(self) -> Size: ...
        @property
        def is_leaf(self) -> bool: ...

    def numpy(self) -> Array:
        """The value as an array: a read-only view, without a copy."""
        try:
            view = self._read("numpy()").view()
            view.setflags(write=False)
        except BaseException as error:
            trim(error)
            raise
        return view

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """The value, as `numpy()` gives it. The first time that a tensor which requires grad comes here,
        outside of `no_grad`, it warns: its gradient ends."""
        data = self._read(ARRAY)
        if self._requires_grad and MODE.get().grad and not _ended:
            _ended.append(True)
            warn_user(
                "a Tensor that requires grad becomes a NumPy array: its gradient ends here. Say so by "
                "x.detach() or x.numpy(), or compute with lucid's functions. (This is said once.)"
            )
        if copy or (dtype is not None and np.dtype(dtype) != data.dtype):
            if copy is False:
                raise ValueError(here(f"a {self.dtype} tensor cannot become {dtype} without a copy"))
            return np.array(data, dtype=dtype)
        return self.numpy()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from . import protocols

        return protocols.array_ufunc(ufunc, method, *inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from . import protocols

        return protocols.array_function(func, args, kwargs)

    @property
    @bounded
    def ctypes(self) -> Any:
        """Where the value lies, as an array's `ctypes`. It is this tensor's own: do not write to it."""
        return self.numpy().ctypes

    def item(self) -> Any:
        """The only element, as a Python number. ValueError if there are more."""
        return self._only("item()").item()

    def _only(self, what: str) -> Any:
        data = self._read(what)
        if data.size != 1:
            raise ValueError(
                here(
                    f"{what} of a tensor of shape {self.shape}: expected one element, not {data.size}; "
                    "choose one by x[0], reduce it by .sum() or .mean(), or take all by tolist()"
                )
            )
        return data.reshape(())[()]

    def tolist(self) -> Any:
        """Nested lists of Python numbers; a number for a 0-d tensor."""
        return self._read("tolist()").tolist()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                here(
                    f"the truth value of a tensor of shape {self.shape} is ambiguous; reduce it, for "
                    "example with .max() or .min()"
                )
            )
        return bool(self._read("bool()"))

    def __float__(self) -> float:
        return float(self._real("float()"))

    def __int__(self) -> int:
        return int(self._real("int()"))

    def _real(self, what: str) -> Any:
        if self._node.type.dtype.is_complex:
            raise TypeError(here(f"{what} of {self.dtype}: take .real, .imag or abs() of it"))
        return self._only(what)

    def __complex__(self) -> complex:
        return complex(self._only("complex()"))

    def __index__(self) -> int:
        of = self._node.type
        if (of.ndim or of.dtype.kind not in "iu") and self._trace is None and MODE.get().trace is None:
            remedy = "choose one element" if self.ndim else "int(x) rounds it toward 0"
            wanted = "an index, a range and a shape take an int or a 0-d tensor of integers"
            raise TypeError(here(f"{wanted}, not {self.dtype} of shape {self.shape}; {remedy}"))
        return int(self._read(WHOLE))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError(here("len() of a 0-d tensor; expected one with an axis"))
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError(here("iteration over a 0-d tensor; expected one with an axis"))
        return (self[k] for k in range(self.shape[0]))

    def __repr__(self) -> str:
        """The value, the dtype if that is not float32 (bools speak for themselves), the shape if there are no
        elements, whether it is a leaf that requires grad, and its gradient."""
        if self._trace is not None or MODE.get().trace is not None:
            return f"Tensor(<{self._node.type}, traced>)"
        parts = [self._text()]
        if self._node.type.dtype is not default_float() and (
            self._node.type.dtype is not b1 or not self.size
        ):
            parts.append(f"dtype={self.dtype}")
        if not self.size and self.shape != (0,):  # which brackets alone do not tell
            parts.append(f"shape={self.shape}")
        if self._requires_grad and self.is_leaf:
            parts.append("requires_grad=True")
        parts.append(f"grad={'None' if self._grad is None else self._grad._text()}")
        return f"Tensor({', '.join(parts)})"

    def _text(self) -> str:
        data = self._read("repr()")
        if not data.ndim:
            return str(data[()])
        return np.array2string(data, separator=", ", prefix="Tensor(")

    def __format__(self, spec: str) -> str:
        if spec:
            return format(self._only("format()"), spec)
        self._read("format()")  # in a trace that is an error: text may go anywhere
        return str(self)


def unreadable(tensor: Tensor, what: str) -> str:
    kind = f"a tensor of type {tensor._node.type}"
    if MODE.get().trace is None:
        return f"{what}: {kind}, made inside of a compiled function, outlived the call; return it"
    return (
        f"{what} of {kind} in a compiled function: while it is traced, values are not known. "
        f"{_of_builtin() or _REMEDIES.get(what, _REMEDY)}"
    )


def _of_builtin() -> str | None:
    """What to use in place of a function that the user's line calls, which asks for values."""
    frame = user_frame()
    line = "" if frame is None else linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    found = (name for name in _BUILTINS if re.search(rf"(?<![\w.]){name}\(", line))
    return _BUILTINS.get(next(found, ""))
