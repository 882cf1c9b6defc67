"""Objects that must outlive the interpreter.

Native threads still run while Python takes its modules apart at exit, so code and memory that they
use cannot belong to a module: its names are cleared first.
"""

from __future__ import annotations

import ctypes
from typing import TypeVar

T = TypeVar("T")


def forever(thing: T) -> T:
    """`thing`, with a reference that is never given back."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing
