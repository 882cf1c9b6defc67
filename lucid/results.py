"""What a compiled function returns, and what `out=` says where to write it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node

from .engine import Array
from .errors import here
from .guards import Item, Place
from .tensor import Tensor

# Whom a value comes from or goes to: a captured tensor, an argument by its number, what is in a place.
Owner = Tensor | int | Place | Item


@data
class Value:
    """In a result: a number of the tape."""

    number: int


@data
class Made:
    """A result: output `output` of the graph if that is not negative, else input `-1 - output`."""

    output: int
    node: Node
    requires_grad: bool
    tensor: int = 0  # which of the trace's tensors it is, where that counts


@data
class Same:
    """A result that is a tensor from outside, itself."""

    owner: Owner


def given_arrays(results: Any, out: Any) -> dict[int, Array]:
    """The caller's array for each output of the graph. TypeError or ValueError for what does not fit."""
    given: dict[int, Array] = {}
    for result, array in paired(results, out):
        if array is None:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(here(f"out= takes NumPy arrays, not {type(array).__name__}"))
        if not isinstance(result, Made) or result.output < 0 or result.output in given:
            raise ValueError(here("out= fits results that the call computes, each once"))
        kind = result.node.type
        if (array.dtype, array.shape) != (kind.dtype.np, kind.shape) or not array.dtype.isnative:
            raise ValueError(here(f"out= is {array.dtype} {array.shape}, the result {kind}"))
        if not array.flags.writeable:
            raise ValueError(here("out= is read-only; give a writable array"))
        if not array.flags.c_contiguous:
            raise ValueError(
                here(
                    f"out= needs an array in row-major order, not {array.shape} of strides {array.strides}; "
                    "for b.T give b, and return the transpose; or give a new array, and copy from it"
                )
            )
        other = overlap(array, given.values())
        if other is not None:
            raise ValueError(
                here(
                    f"out= has two arrays that overlap, of shapes {other.shape} and {array.shape}: "
                    "each result needs memory of its own; give other arrays, or None for one of them"
                )
            )
        given[result.output] = array
    return given


def overlap(array: Array, others: Iterable[Array]) -> Array | None:
    """The first of `others` that has memory in common with `array`. Both are in row-major order."""
    return next((other for other in others if np.may_share_memory(array, other)), None)


def paired(results: Any, out: Any) -> list[tuple[Any, Any]]:
    """Each leaf of `results` with what `out` has in its place. ValueError if `out` has another structure."""
    found: list[tuple[Any, Any]] = []

    def walk(result: Any, given: Any) -> None:
        if not isinstance(result, tuple | list | dict):
            found.append((result, given))
            return
        keys = list(result) if isinstance(result, dict) else range(len(result))
        if type(given) is not type(result) or len(given) != len(result):
            raise ValueError(here(f"out= has {_shape(given)} where the result has {_shape(result)}"))
        for key in keys:
            if isinstance(given, dict) and key not in given:
                raise ValueError(here(f"out= has no {key!r}, as the result has"))
            walk(result[key], given[key])

    walk(results, out)
    return found


def _shape(value: Any) -> str:
    """A container in words."""
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list | dict) else f"a {kind}"
