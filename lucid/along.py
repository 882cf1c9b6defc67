"""Functions of the user's along axes: of the slices, of each element."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .creation import given as asarray
from .errors import bounds, here, public
from .mapping import vmap
from .named import name_all
from .pickles import Decorated, Parts
from .promote import joint_shape
from .shapes import normal_axis
from .tensor import Tensor

__all__ = ["apply_along_axis", "apply_over_axes", "vectorize"]


@public
def apply_along_axis(func1d: Callable[..., Any], axis: int, x: Any, *args: Any, **kwargs: Any) -> Tensor:
    """`func1d(slice, *args, **kwargs)` of all slices of x along an axis; the axes of what it returns take the
    place of that one. It is called once, as by `vmap`, for all slices: where it would look at values, it is
    to choose by `lucid.where`."""
    x = asarray(x)
    axis = normal_axis(axis, x.ndim)
    rows = x.moveaxis(axis, -1)
    made = vmap(lambda row: asarray(func1d(row, *args, **kwargs)))(rows.reshape(-1, x.shape[axis]))
    more = made.ndim - 1
    made = made.reshape((*rows.shape[:-1], *made.shape[1:]))
    order = list(range(x.ndim - 1))
    order[axis:axis] = range(x.ndim - 1, x.ndim - 1 + more)
    found: Tensor = made.transpose(tuple(order)) if order else made
    return found


@public
def apply_over_axes(func: Callable[[Any, int], Any], x: Any, axes: Any) -> Tensor:
    """`func(x, axis)` of each axis in turn; axes that it takes away come back with the extent 1."""
    found = asarray(x)
    for axis in [axes] if np.ndim(axes) == 0 else list(axes):
        at = normal_axis(axis, found.ndim)
        made = asarray(func(found, at))
        if made.ndim not in (found.ndim, found.ndim - 1):
            raise ValueError(
                f"apply_over_axes: the function made {made.ndim} axes of {found.ndim}; expected as many, or "
                "one less"
            )
        found = made if made.ndim == found.ndim else made.expand_dims(at)
    return found


_CORE = r"\(\s*(?:\w+\s*(?:,\s*\w+\s*)*)?\)"
_SIGNATURE = re.compile(rf"\s*{_CORE}(?:\s*,\s*{_CORE})*\s*->\s*{_CORE}(?:\s*,\s*{_CORE})*\s*")


@bounds
class vectorize(Decorated):  # NumPy's name
    """`vectorize(f)`: `f`, written for single elements, of whole arrays, which broadcast.

    It is called once, as by `vmap`, for all elements, so it is as fast as what it says; where it would look
    at values, it is to choose by `lucid.where`. `excluded`: positions and names of arguments that are given
    as they are. `signature`: "(n),(n)->()" and the like, if elements are arrays themselves: how many of the
    last axes belong to each. `otypes`: the dtypes of the results, else what `f` makes. As a decorator with or
    without options."""

    _opaque = True  # for guards: only the function inside counts

    def __new__(cls, pyfunc: Any = None, *args: Any, **options: Any) -> Any:
        if pyfunc is None:
            return functools.partial(cls, **options)
        return super().__new__(cls)

    def __init__(
        self, pyfunc: Callable[..., Any], otypes: Sequence[Any] | None = None, doc: str | None = None,
        excluded: Any = (), cache: bool = False, signature: str | None = None,
    ) -> None:  # fmt: skip
        if not callable(pyfunc):
            raise TypeError(here(f"vectorize: expected a function, not {type(pyfunc).__name__}"))
        if signature is not None and not _SIGNATURE.fullmatch(signature):
            raise ValueError(
                here(f"vectorize: expected a signature like '(m,n),(n)->(m)', not {signature!r}")
            )
        functools.update_wrapper(self, pyfunc, updated=())
        self.__wrapped__ = pyfunc
        if doc is not None:
            self.__doc__ = doc
        self.otypes = None if otypes is None else [np.dtype(t) for t in otypes]
        self.excluded, self.signature = frozenset(excluded), signature

    def _made_of(self) -> Parts:
        return vectorize, (self.__wrapped__, self.otypes, self.__doc__, self.excluded, False, self.signature)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        places = [k for k in range(len(args)) if k not in self.excluded]
        names = [k for k in kwargs if k not in self.excluded]
        given = [asarray(x) for x in (*(args[k] for k in places), *(kwargs[k] for k in names))]
        if not given:
            raise ValueError(here("vectorize: expected at least one argument that is not excluded"))
        cores = self._cores(given)
        batch = joint_shape("vectorize", *(x.shape[: x.ndim - n] for x, n in zip(given, cores, strict=True)))

        def call(*values: Any) -> Any:
            listed, named = list(args), dict(kwargs)
            for k, value in zip(places, values, strict=False):
                listed[k] = value
            named.update(zip(names, values[len(places) :], strict=True))
            return self.__wrapped__(*listed, **named)

        if not batch:
            return self._typed(call(*given))
        flat = [
            x.broadcast_to((*batch, *x.shape[x.ndim - n :])).reshape((-1, *x.shape[x.ndim - n :]))
            for x, n in zip(given, cores, strict=True)
        ]
        made = vmap(lambda *values: _tensors(call(*values)))(*flat)
        whole = [x.reshape((*batch, *x.shape[1:])) for x in made] if isinstance(made, tuple) else None
        return self._typed(tuple(whole) if whole is not None else made.reshape((*batch, *made.shape[1:])))

    def _cores(self, given: list[Tensor]) -> list[int]:
        """How many of the last axes of each argument belong to an element."""
        if self.signature is None:
            return [0] * len(given)
        cores = re.findall(_CORE, self.signature.partition("->")[0])
        if len(cores) != len(given):
            raise TypeError(here(f"vectorize: {len(given)} arguments for the signature {self.signature}"))
        sizes: dict[str, int] = {}
        for x, core in zip(given, cores, strict=True):
            names = re.findall(r"\w+", core)
            if x.ndim < len(names):
                raise ValueError(here(f"vectorize: shape {x.shape} has no axes {core}"))
            for name, n in zip(names, x.shape[x.ndim - len(names) :], strict=True):
                if sizes.setdefault(name, n) != n:
                    raise ValueError(here(f"vectorize: {name} is {sizes[name]} and {n}"))
        return [len(re.findall(r"\w+", core)) for core in cores]

    def _typed(self, found: Any) -> Any:
        several = isinstance(found, tuple)
        parts = list(_tensors(found)) if several else [asarray(found)]
        if self.otypes is not None:
            if len(self.otypes) != len(parts):
                raise ValueError(here(f"vectorize: {len(parts)} results for {len(self.otypes)} otypes"))
            parts = [x.astype(t) for x, t in zip(parts, self.otypes, strict=True)]
        return tuple(parts) if several else parts[0]


def _tensors(found: Any) -> Any:
    return tuple(map(asarray, found)) if isinstance(found, tuple) else asarray(found)


name_all(globals(), ["apply_along_axis", "apply_over_axes"])
