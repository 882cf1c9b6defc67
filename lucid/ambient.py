"""What calculations depend on without naming it: the context of decimals, how NumPy handles errors, how an
array lies in memory. Each is a fact wherever code can reach what it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .watching import home

_SETTINGS = {"geterr", "geterrcall", "getbufsize", "get_printoptions"}
_LAYOUT = {"flags", "strides", "base", "ctypes", "__array_interface__"}


def facts(value: Any, names: frozenset[str]) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """What code that knows these names may read beside `value`: of which owner, and how."""
    if isinstance(value, np.ndarray):
        if names & _LAYOUT:
            yield value, _layout
        return
    root = home(value)
    if root == "decimal":
        yield value, _decimals
    if root == "numpy" and (names & _SETTINGS or getattr(value, "__name__", None) in _SETTINGS):
        yield value, _settings


def _decimals(_: Any) -> Any:
    import decimal

    c = decimal.getcontext()
    traps = tuple([c.traps[signal] for signal in sorted(c.traps, key=repr)])
    return c.prec, c.rounding, c.Emin, c.Emax, c.capitals, c.clamp, traps


def _settings(_: Any) -> Any:
    return np.geterr(), np.geterrcall(), np.getbufsize(), np.get_printoptions()


def _layout(array: np.ndarray[Any, Any]) -> Any:
    return array.flags.num, array.strides, id(array.base), array.ctypes.data
