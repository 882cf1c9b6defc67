"""Derivatives of functions, beside `grad`: `vjp`, `jvp`, matrices of all partial derivatives.

Reverse mode is the one mode of this compiler. What a function does to tangents is the derivative of its `vjp`
by the cotangent, in which that is linear (J. Townsend, "A new trick for calculating Jacobian vector
products", 2017); what only the way there needed is dead code. Matrices are the `vjp` or `jvp` of unit
vectors, all of them at once, by `vmap`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .arguments import check_function, rebuild
from .creation import given as asarray
from .errors import bounded, here, public
from .gradients import (
    called_on_leaves,
    name_of,
    or_zeros,
    places_of,
    structured,
    tensor_of,
    value_and_aux,
)
from .hooks import pullback
from .mapping import vmap
from .promote import cast
from .tensor import Tensor, node_of

__all__ = ["hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Function = Callable[..., Any]


class _Linear:
    """A function at a point: its results, and how cotangents of them come back to the arguments."""

    def __init__(
        self, f: Function, argnums: int | Sequence[int], args: tuple[Any, ...], kwargs: Any, has_aux: bool
    ) -> None:
        self.name, self.places = name_of(f), places_of(f, argnums, len(args))
        self.one = not isinstance(argnums, Sequence)
        self.given = [args[k] for k in self.places]
        value, self.wrt = called_on_leaves(f, self.places, args, kwargs)
        self.value: Any = value
        self.aux: Any = None
        if has_aux:
            self.value, self.aux = value_and_aux(f, value)
        found: list[Tensor] = []
        rebuild(self.value, lambda v: found.append(_result(self.name, v)))
        self.outputs = [node_of(t) for t in found]

    def back(self, cotangents: Sequence[Node]) -> list[Node]:
        return or_zeros(self.wrt, pullback(self.outputs, cotangents, self.wrt, first=True))

    def forth(self, tangents: Sequence[Node]) -> list[Node]:
        """Tangents of the results. What comes back of cotangents is linear in these: its derivative, with the
        tangents as cotangents, is what goes forward."""
        # Nodes of their own, whose value does not matter.
        held = [ops.CAST(ops.zeros_like(n), dtype=n.type.dtype) for n in self.outputs]
        return or_zeros(self.outputs, pullback(self.back(held), tangents, held, first=True))

    def results(self) -> Any:
        """As tensors of other nodes where no gradient flows: who reads one lets go of what is behind."""
        made = [tensor_of(n) for n in self.outputs]
        return self.returned(
            [t if t.requires_grad else Tensor._of(ops.STOP(t._node), False, t._trace) for t in made]
        )

    def returned(self, parts: Iterable[Any]) -> Any:
        """In the structure of the results."""
        rest = iter(parts)
        return rebuild(self.value, lambda _: next(rest))

    def arguments(self, parts: Iterable[Any]) -> Any:
        """In the structure of the arguments."""
        made = structured(self.given, parts)
        return made[0] if self.one else made


def _result(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(here(f"{name} returned {kind}; expected tensors, or a structure of them"))
    if not value._node.type.dtype.is_inexact:
        raise TypeError(here(f"{name} returned {value.dtype}; derivatives need a float dtype"))
    return value


def _same(what: str, like: Any, outputs: Sequence[Node], given: Any) -> list[Node]:
    """Nodes for tangents or cotangents in the structure of `like`. TypeError, ValueError for others."""
    found: list[Any] = []
    try:
        if _shape_of(like) != _shape_of(given):
            raise TypeError
        rebuild(given, found.append)
    except TypeError:
        told = f"{what}: expected the structure of {_shape_of(like)}, not {_shape_of(given)}"
        raise TypeError(here(told)) from None
    nodes = []
    for node, value in zip(outputs, found, strict=True):
        tensor = asarray(value)
        if tensor.shape != node.shape:
            raise ValueError(here(f"{what}: expected shape {node.shape}, not {tensor.shape}"))
        nodes.append(cast(node_of(tensor), node.type.dtype))
    return nodes


def _shape_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _shape_of(v) for k, v in value.items()}
    if isinstance(value, tuple | list) and not all(isinstance(v, int | float) for v in value):
        return [_shape_of(v) for v in value]
    return "array"


@public
def vjp(f: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """`(f(*primals), back)`: `back` takes a cotangent of the result, in its structure, and returns those of
    all primals as a tuple. With `has_aux`, `f` returns a pair, of which only the first counts; the second is
    the third result.

    TypeError for arguments or results that are no floats, and for a cotangent of another structure;
    ValueError for one of another shape. Of a complex number it is dL/dre + i dL/dim, as in `backward`.
    """
    check_function("vjp", f)
    at = _Linear(f, tuple(range(len(primals))), primals, {}, has_aux)

    @bounded
    def back(*cotangents: Any) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        return at.arguments(map(tensor_of, at.back(_same("vjp", at.value, at.outputs, given))))

    return (at.results(), back, at.aux) if has_aux else (at.results(), back)


@public
def jvp(
    f: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False
) -> tuple[Any, ...]:
    """`(f(*primals), tangent)`: the derivative of `f` along `tangents`, tuples both. With `has_aux`, `f`
    returns a pair, of which only the first counts; the second is the third result.

    TypeError for arguments or results that are no floats, and tangents of another structure; ValueError for
    those of another shape.
    """
    check_function("jvp", f)
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise TypeError("jvp: primals and tangents are tuples, of one entry for each argument")
    at = _Linear(f, tuple(range(len(primals))), tuple(primals), {}, has_aux)
    out = at.returned(map(tensor_of, at.forth(_same("jvp", list(primals), at.wrt, list(tangents)))))
    return (at.results(), out, at.aux) if has_aux else (at.results(), out)


@public
def linearize(f: Function, *primals: Any) -> tuple[Any, Function]:
    """`(f(*primals), forward)`: `forward(*tangents)` is the derivative along these, as `jvp` has it, without
    that `f` runs again."""
    check_function("linearize", f)
    at = _Linear(f, tuple(range(len(primals))), primals, {}, False)

    @bounded
    def forward(*tangents: Any) -> Any:
        given = _same("linearize", list(primals), at.wrt, list(tangents))
        return at.returned(map(tensor_of, at.forth(given)))

    return at.results(), forward


def _jacobian(name: str, f: Function, argnums: int | Sequence[int], has_aux: bool, forward: bool) -> Function:
    check_function(name, f)

    @functools.wraps(f)
    @bounded
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        at = _Linear(f, argnums, args, kwargs, has_aux)
        for node in (*at.wrt, *at.outputs):
            if node.type.dtype.is_complex:
                raise TypeError(here(f"{name}: {at.name} has complex arguments or results; use vjp"))
        table = _forward(at) if forward else _backward(at)
        found = at.returned(map(at.arguments, table))
        return (found, at.aux) if has_aux else found

    return jacobian


def _of_units(
    nodes: Sequence[Node], linear: Callable[[Sequence[Node]], list[Node]], out_axes: int
) -> list[list[Tensor]]:
    """For each node what a linear function of all makes of unit vectors along its elements, with zeros for
    the others."""
    zeros = [ops.zeros_like(n) for n in nodes]

    def one(k: int, unit: Tensor) -> list[Tensor]:
        return [tensor_of(n) for n in linear([*zeros[:k], node_of(unit), *zeros[k + 1 :]])]

    table = []
    for k, node in enumerate(nodes):
        size, dtype = math.prod(node.shape), node.type.dtype
        eye = Tensor(np.eye(size, dtype=dtype.np).reshape(size, *node.shape))
        table.append(vmap(functools.partial(one, k), out_axes=out_axes)(eye))
    return table


def _backward(at: _Linear) -> list[list[Tensor]]:
    """For each result the derivatives by all arguments: those that come back of unit vectors."""
    return [
        [x.reshape((*node.shape, *n.shape)) for x, n in zip(found, at.wrt, strict=True)]
        for node, found in zip(at.outputs, _of_units(at.outputs, at.back, 0), strict=True)
    ]


def _forward(at: _Linear) -> list[list[Tensor]]:
    """For each argument the derivatives of all results; turned, so that each result has its row."""
    columns = [
        [x.reshape((*n.shape, *node.shape)) for x, n in zip(found, at.outputs, strict=True)]
        for node, found in zip(at.wrt, _of_units(at.wrt, at.forth, -1), strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


@bounded
def jacrev(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """A function that returns the Jacobian of `f` by the positional argument `argnums`, or a tuple by
    several: for a result of shape s and an argument of shape a, an array of shape s + a. Results and
    arguments may be structures of arrays. By reverse mode: for results that are smaller than arguments.

    TypeError for arguments or results that are no real floats.
    """
    return _jacobian("jacrev", f, argnums, has_aux, forward=False)


@bounded
def jacfwd(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """`jacrev`, by forward mode: for arguments that are smaller than results."""
    return _jacobian("jacfwd", f, argnums, has_aux, forward=True)


@bounded
def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function that returns the second derivatives of `f`, of one number or of arrays: for a result of
    shape s and an argument of shape a, an array of shape s + a + a."""
    return jacrev(jacrev(f, argnums), argnums)
