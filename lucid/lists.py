"""Lists in lists that hold tensors: one tensor of what stands in them, through which gradients flow; or
arrays in place of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from .errors import here

if TYPE_CHECKING:
    from .tensor import Tensor


def holds(data: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is a list, or a tuple, that holds a tensor somewhere."""
    if not isinstance(data, list | tuple):
        return False
    from .tensor import Tensor

    kinds = set(map(type, data))  # of a list of many numbers it asks for one kind
    if any(issubclass(kind, Tensor) for kind in kinds):
        return True
    return any(issubclass(kind, list | tuple) for kind in kinds) and any(map(holds, data))


def stacked(data: list[Any] | tuple[Any, ...]) -> Tensor:
    """Their `stack`. Python numbers beside tensors take the dtype of these, as in arithmetic. ValueError
    where lists, or tensors, of different shapes stand beside each other."""
    from .array_functions import stack
    from .creation import asarray, given
    from .dtypes import result_type

    shape, parts = [len(data)], [*data]
    while all(isinstance(part, list | tuple) for part in parts):
        counts = sorted({len(part) for part in parts})
        if len(counts) > 1:
            few, many = counts[0], counts[-1]
            raise ValueError(here(f"lists of {few} and of {many} elements stand beside each other"))
        shape += counts
        parts = [element for part in parts for element in part]
    kind = result_type(*(asarray(p) if isinstance(p, str | bytes) else p for p in _leaves(parts)))
    made = stack([p if hasattr(p, "dtype") else given(p, kind) for p in parts])
    return made.reshape((*shape, *made.shape[1:]))


def with_arrays(data: Any) -> Any:
    """The same lists with arrays in place of tensors, whose gradients end there, which is warned of."""
    from .tensor import Tensor

    if isinstance(data, list | tuple):
        return [with_arrays(x) for x in data]
    return np.asarray(data) if isinstance(data, Tensor) else data


def _leaves(data: Iterable[Any]) -> Iterator[Any]:
    for part in data:
        yield from _leaves(part) if isinstance(part, list | tuple) else (part,)
