"""Derivatives of functions of tensors at given inputs, under PyTorch's names: `torch.autograd.functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import zeros_like
from ..derivatives import jacrev
from ..derivatives import jvp as _jvp
from ..derivatives import vjp as _vjp
from ..errors import here, public
from ..gradients import grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]


def _given(inputs: Any) -> tuple[tuple[Any, ...], bool]:
    """The arguments, and whether they came as one tensor."""
    return (tuple(inputs), False) if isinstance(inputs, tuple | list) else ((inputs,), True)


def _result(found: Any, one: bool, create_graph: bool) -> Any:
    """Of several inputs a tuple; a constant of differentiation, unless asked."""
    if isinstance(found, tuple | list):
        kept = tuple([_result(x, False, create_graph) for x in found])
        return kept[0] if one else kept
    return found if create_graph else found.detach()


@public
def jacobian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The Jacobian of `func` at `inputs`, a tensor or a tuple of them: of one result and one input an array
    of both shapes, of several a tuple, of both a tuple of tuples. `vectorize`, `strict` and `strategy` change
    nothing. See `lucid.jacrev`."""
    given, one = _given(inputs)
    found = jacrev(func, tuple(range(len(given))))(*given)
    several = isinstance(found, tuple) and bool(found) and isinstance(found[0], tuple)
    if several:
        return tuple([_result(row, one, create_graph) for row in found])
    return _result(found, one, create_graph)


@public
def hessian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The second derivatives of `func`, a function to one number, at `inputs`, a tensor or a tuple of them:
    an array of the shape of the input, twice, or a tuple of tuples. `vectorize`, `strict` and the strategy
    change nothing. See `lucid.hessian`."""
    given, one = _given(inputs)
    places = tuple(range(len(given)))
    found = jacrev(grad(func, places), places)(*given)
    rows = tuple([_result(row, one, create_graph) for row in found])
    return rows[0] if one else rows


@public
def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """`(func(*inputs), what v comes back as)`; `v` may be left out for one number. See `lucid.vjp`."""
    given, one = _given(inputs)
    value, back = _vjp(func, *given)
    if v is None and (isinstance(value, tuple) or value.size != 1):
        raise RuntimeError(here("vjp: v, a cotangent of the result, may only be left out for one number"))
    found = back(zeros_like(value) + 1 if v is None else v)
    return _result(value, False, create_graph), _result(found, one, create_graph)


@public
def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """`(func(*inputs), its derivative along v)`; `v` may be left out for one number. See `lucid.jvp`."""
    given, _ = _given(inputs)
    if v is None and (len(given) > 1 or given[0].size != 1):
        raise RuntimeError(here("jvp: v, a tangent of the inputs, may only be left out for one number"))
    along = (zeros_like(given[0]) + 1,) if v is None else _given(v)[0]
    value, found = _jvp(func, given, along)
    return _result(value, False, create_graph), _result(found, False, create_graph)


def _product(func: Function, inputs: Any, v: Any, create_graph: bool) -> tuple[Any, Any]:
    given, one = _given(inputs)
    places = tuple(range(len(given)))
    along = tuple([zeros_like(x) + 1 for x in given]) if v is None else _given(v)[0]
    _, found = _jvp(grad(func, places), given, along)
    return _result(func(*given), False, create_graph), _result(found, one, create_graph)


@public
def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """`(func(*inputs), Hessian times v)`, of a function to one number. `v` may be left out for one number."""
    return _product(func, inputs, v, create_graph)


@public
def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """`(func(*inputs), v times Hessian)`, which is symmetric: `hvp`."""
    return _product(func, inputs, v, create_graph)
