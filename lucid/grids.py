"""What NumPy makes of subscripts: grids of numbers (`mgrid`, `ogrid`), arrays put together (`r_`, `c_`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array_functions import column_stack, concatenate
from .creation import constant
from .creation import given as asarray
from .errors import bounds, here
from .tensor import Tensor

__all__ = ["c_", "index_exp", "mgrid", "ogrid", "r_", "s_"]

s_, index_exp = np.s_, np.index_exp


@bounds
class _Grid:
    """`mgrid[0:3, 0:1:5j]`: the coordinates of a grid, along a new first axis; an imaginary step is a count,
    up to the end. `ogrid`: thin ones, which broadcast, as a tuple."""

    def __init__(self, name: str, like: Any) -> None:
        self._name, self._like = name, like

    def __getitem__(self, key: Any) -> Any:
        found = self._like[_numbers(self._name, key)]
        if isinstance(found, tuple | list):
            return tuple([constant(Tensor(x)) for x in found])
        return constant(Tensor(found))

    def __repr__(self) -> str:
        return f"lucid.{self._name}"


def _numbers(name: str, key: Any) -> Any:
    """The same. TypeError for what is no slice of numbers."""
    for one in key if isinstance(key, tuple) else (key,):
        if not isinstance(one, slice):
            raise TypeError(here(f"{name}: expected slices, as in {name}[0:3, 0:1:5j], not {one!r}"))
    return key


@bounds
class _Joined:
    """`r_[0:3, x, 7]`: numbers, slices (their numbers) and arrays, one after the other; arrays of several
    axes along the first. `c_`: as columns, along the last one."""

    def __init__(self, name: str, columns: bool) -> None:
        self._name, self._columns = name, columns

    def __getitem__(self, key: Any) -> Tensor:
        parts = [self._part(one) for one in (key if isinstance(key, tuple) else (key,))]
        if not self._columns:
            return concatenate(parts)
        return column_stack(parts) if max(x.ndim for x in parts) < 3 else concatenate(parts, axis=-1)

    def _part(self, one: Any) -> Tensor:
        if isinstance(one, str):
            raise TypeError(
                here(f"{self._name}: directives such as {one!r} are not known; use concatenate or stack")
            )
        if isinstance(one, slice):
            return constant(Tensor(np.r_[one]))
        found = asarray(one)
        return found.reshape(1) if not found.ndim else found

    def __repr__(self) -> str:
        return f"lucid.{self._name}"


mgrid, ogrid = _Grid("mgrid", np.mgrid), _Grid("ogrid", np.ogrid)
r_, c_ = _Joined("r_", False), _Joined("c_", True)
