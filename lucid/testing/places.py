"""`x.at[i].set(v)`, `x[i] = v`, `x.gather(axis, i)` and `x.scatter_add(axis, i, v)` as expressions, over
arrays of NumPy's and tensors alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor


def at(x: Any) -> Any:
    """`x.at`, which NumPy's arrays have not."""
    return x.at if isinstance(x, Tensor) else _At(x)


class _At:
    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __getitem__(self, key: Any) -> _Key:
        return _Key(self.array, key)


class _Key:
    """What `x.at[key]` can do, by NumPy."""

    def __init__(self, array: Any, key: Any) -> None:
        self.array, self.key = array.copy(), key

    def set(self, value: Any) -> Any:
        self.array[self.key] = value
        return self.array

    def add(self, value: Any) -> Any:
        return self._each(np.add, value)

    def max(self, value: Any) -> Any:
        return self._each(np.maximum, value)

    def min(self, value: Any) -> Any:
        return self._each(np.minimum, value)

    def _each(self, ufunc: np.ufunc, value: Any) -> Any:
        return _at(ufunc, self.array, self.key, np.asarray(value).astype(self.array.dtype))


def _at(ufunc: np.ufunc, array: Any, key: Any, value: Any) -> Any:
    """`ufunc.at` on a copy; of halves rounded once, as lucid does, where NumPy rounds at each step."""
    copy = array.astype(np.float32 if array.dtype == np.float16 else array.dtype)
    ufunc.at(copy, key, value)
    return copy.astype(array.dtype)


class Copied:
    """A copy of `x` that is assigned to."""

    def __init__(self, x: Any) -> None:
        self.x, self.key = x, None

    def __getitem__(self, key: Any) -> Copied:
        self.key = key
        return self

    def put(self, value: Any) -> Any:
        """The copy, after `copy[key] = value`."""
        copy = self.x.clone() if isinstance(self.x, Tensor) else np.array(self.x)
        copy[self.key] = value
        return copy

    def stay(self, value: Any) -> Any:
        """What was made of the copy before it was assigned to, which it must not change."""
        copy = self.x.clone() if isinstance(self.x, Tensor) else np.array(self.x)
        before = copy.reshape(-1) if isinstance(copy, Tensor) else copy.reshape(-1).copy()
        copy[self.key] = value
        return before


def gathered(x: Any, axis: int, index: Any) -> Any:
    """`x.gather(axis, index)`: other axes of the index may be shorter than those of x."""
    if isinstance(x, Tensor):
        return x.gather(axis, index)
    return np.asarray(x)[_grid(axis, index, np.shape(x))]


def scattered(x: Any, axis: int, index: Any, value: Any) -> Any:
    """`x.scatter_add(axis, index, value)`. IndexError where the index is longer than an array of values,
    which NumPy would spread out."""
    if isinstance(x, Tensor):
        return x.scatter_add(axis, index, value)
    if np.ndim(value) and any(n > m for n, m in zip(np.shape(index), np.shape(value), strict=True)):
        raise IndexError(f"an index of shape {np.shape(index)} does not fit into {np.shape(value)}")
    return _at(np.add, np.asarray(x), _grid(axis, index, np.shape(x)), value)


def _grid(axis: int, index: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The subscripts along all axes. IndexError where another axis of the index is longer, also of one
    without elements, of which NumPy asks nothing."""
    if any(n > m for d, (n, m) in enumerate(zip(np.shape(index), shape, strict=True)) if d != axis):
        raise IndexError(f"an index of shape {np.shape(index)} does not fit into {shape}")
    found = list(np.indices(np.shape(index), sparse=True))
    found[axis] = index
    return tuple(found)
