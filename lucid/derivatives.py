"""Derivatives of functions, beside `grad`: `vjp`, `jvp`, matrices of all partial derivatives.

Reverse mode is the one mode of this compiler. What a function does to tangents is the derivative of its `vjp`
by the cotangent, in which that is linear (J. Townsend, "A new trick for calculating Jacobian vector
products", 2017); what only the way there needed is dead code. Matrices are the `vjp` or `jvp` of unit
vectors, all of them at once, by `vmap`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.passes.autodiff import pullback

from .arguments import check_function, rebuild
from .context import MODE, Mode
from .creation import given as asarray
from .errors import bounded, here, public
from .gradients import fresh_arguments, name_of, nested, places_of, value_and_aux
from .mapping import vmap
from .promote import cast
from .tensor import LEAVES, Tensor, differentiable_leaves, node_of

__all__ = ["hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]

Function = Callable[..., Any]


class _Linear:
    """A function at a point: its results, and how cotangents of them come back to the arguments."""

    def __init__(
        self, f: Function, argnums: int | Sequence[int], args: tuple[Any, ...], kwargs: Any, has_aux: bool
    ) -> None:
        self.name, self.places = name_of(f), places_of(f, argnums, len(args))
        self.one = not isinstance(argnums, Sequence)
        call, fresh = fresh_arguments(f, self.places, args)
        self.given = [args[k] for k in self.places]
        self.wrt = [node_of(t) for t in fresh]
        before = MODE.get()
        try:
            MODE.set(Mode(before.trace, True))
            value = f(*call, **kwargs)
        finally:
            MODE.set(before)
            for n in self.wrt:  # private: only what the caller's own leaves reach stays differentiable
                LEAVES.pop(n, None)
        self.value: Any = value
        self.aux: Any = None
        if has_aux:
            self.value, self.aux = value_and_aux(f, value)
        found: list[Tensor] = []
        rebuild(self.value, lambda v: found.append(_result(self.name, v)))
        self.outputs = [node_of(t) for t in found]

    def back(self, cotangents: Sequence[Node]) -> list[Node]:
        parts = pullback(self.outputs, cotangents, self.wrt, first=True)
        return [ops.zeros_like(n) if g is None else g for n, g in zip(self.wrt, parts, strict=True)]

    def results(self) -> Any:
        """As tensors of other nodes where no gradient flows: who reads one lets go of what is behind."""
        made = [tensor_of(n) for n in self.outputs]
        kept = [t if t.requires_grad else Tensor._of(ops.STOP(t._node), False, t._trace) for t in made]
        return rebuild(self.value, functools.partial(_next, iter(kept)))

    def arguments(self, parts: Sequence[Any]) -> Any:
        """In the structure of the arguments."""
        rest = iter(parts)
        made = tuple([rebuild(v, lambda _: next(rest)) if nested(v) else next(rest) for v in self.given])
        return made[0] if self.one else made


def _next(rest: Any, _: Any) -> Any:
    return next(rest)


def tensor_of(node: Node) -> Tensor:
    """A tensor for a node that private leaves may have been behind."""
    trace, grad = MODE.get()
    flag = grad and node.type.dtype.is_inexact and bool(differentiable_leaves(node))
    return Tensor._of(node if grad else ops.STOP(node), flag, trace)


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
        return at.arguments([tensor_of(n) for n in at.back(_same("vjp", at.value, at.outputs, given))])

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
    along = _pushed(at, _same("jvp", list(primals), at.wrt, list(tangents)))
    out = rebuild(at.value, functools.partial(_next, iter([tensor_of(n) for n in along])))
    return (at.results(), out, at.aux) if has_aux else (at.results(), out)


def _pushed(at: _Linear, tangents: Sequence[Node]) -> list[Node]:
    """Tangents of the results. What comes back of cotangents is linear in these: its derivative, with the
    tangents as cotangents, is what goes forward."""
    # Nodes of their own, whose value does not matter.
    held = [ops.CAST(ops.zeros_like(n), dtype=n.type.dtype) for n in at.outputs]
    parts = pullback(at.back(held), tangents, held, first=True)
    return [ops.zeros_like(n) if g is None else g for n, g in zip(at.outputs, parts, strict=True)]


@public
def linearize(f: Function, *primals: Any) -> tuple[Any, Function]:
    """`(f(*primals), forward)`: `forward(*tangents)` is the derivative along these, as `jvp` has it, without
    that `f` runs again."""
    check_function("linearize", f)
    at = _Linear(f, tuple(range(len(primals))), primals, {}, False)

    @bounded
    def forward(*tangents: Any) -> Any:
        along = _pushed(at, _same("linearize", list(primals), at.wrt, list(tangents)))
        return rebuild(at.value, functools.partial(_next, iter([tensor_of(n) for n in along])))

    return at.results(), forward


def _units(nodes: Sequence[Node], own: int) -> tuple[Tensor, list[Tensor]]:
    """Unit vectors along all elements of node `own`; and, for each of the others, zeros."""
    kind = nodes[own].type
    size = math.prod(kind.shape)
    eye = Tensor(np.eye(size, dtype=kind.dtype.np).reshape(size, *kind.shape))
    return eye, [Tensor._of(ops.zeros_like(n), False, MODE.get().trace) for n in nodes]


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
        rows = iter([at.arguments(row) for row in table])
        found = rebuild(at.value, lambda _: next(rows))
        return (found, at.aux) if has_aux else found

    return jacobian


def _backward(at: _Linear) -> list[list[Tensor]]:
    """For each result the derivatives by all arguments: those that come back of unit vectors."""
    table = []
    for k, node in enumerate(at.outputs):
        eye, zeros = _units(at.outputs, k)

        def back(unit: Tensor, k: int = k, zeros: list[Tensor] = zeros) -> list[Tensor]:
            cotangents = [node_of(unit if j == k else z) for j, z in enumerate(zeros)]
            return [tensor_of(n) for n in at.back(cotangents)]

        found = vmap(back)(eye)
        table.append([x.reshape((*node.shape, *n.shape)) for x, n in zip(found, at.wrt, strict=True)])
    return table


def _forward(at: _Linear) -> list[list[Tensor]]:
    """For each argument the derivatives of all results; turned, so that each result has its row."""
    columns = []
    for k, node in enumerate(at.wrt):
        eye, zeros = _units(at.wrt, k)

        def along(unit: Tensor, k: int = k, zeros: list[Tensor] = zeros) -> list[Tensor]:
            tangents = [node_of(unit if j == k else z) for j, z in enumerate(zeros)]
            return [tensor_of(n) for n in _pushed(at, tangents)]

        found = vmap(along, out_axes=-1)(eye)
        columns.append([x.reshape((*n.shape, *node.shape)) for x, n in zip(found, at.outputs, strict=True)])
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
