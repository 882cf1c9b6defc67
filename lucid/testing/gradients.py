"""Derivatives against finite differences, in float64, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lucid

from ..errors import here, public
from ..tensor import Tensor
from .bits import plain
from .traced import Array, float_arguments, name_of, named_leaves


class GradcheckError(RuntimeError):
    """A derivative is not what finite differences say."""


@public
def gradcheck(
    f: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the Jacobian of `f` that lucid computes is that of central differences, as PyTorch's
    `gradcheck`.

    `inputs`: a tensor or an array, or a tuple of arguments. Floats are converted to float64, and all
    arguments that are floats are differentiated; others are passed on. `f` returns a tensor, or a structure
    of tensors, of any shape. Each element of each input is moved by `eps` both ways: 2 n calls, and a
    backward pass for each element of the outputs, so inputs and outputs should be small. An element agrees
    if |analytic - numeric| <= atol + rtol |numeric|.

    Raises GradcheckError (a RuntimeError) where one does not, naming output, input, element and both
    values; or returns False if `raise_exception` is false. ValueError if no input is a float, or no output
    is: of complex numbers, pass and return the parts. Points where `f` has a kink within `eps` (`abs` at 0)
    fail, as they have no derivative.
    """
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    args = tuple(_double(v) for v in args)
    places = float_arguments(args)
    if not places:
        raise ValueError(here("gradcheck: none of the inputs is a tensor or an array of floats"))
    wrong = _mismatch(f, args, places, eps, atol, rtol)
    if wrong is not None and raise_exception:
        raise GradcheckError(here(f"{name_of(f)}: {wrong}"))
    return wrong is None


@public
def gradgradcheck(
    f: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """`gradcheck` of the gradient of `f`: whether second derivatives are right, as PyTorch's `gradgradcheck`.

    The function that is checked takes `inputs` and `grad_outputs`, one array for each float output of `f`
    and of its shape (random ones by default), and gives the gradients of the inputs. Arguments, tolerances
    and errors as those of `gradcheck`.
    """
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    args = tuple(_double(v) for v in args)
    places = float_arguments(args)
    if not places:
        raise ValueError(here("gradgradcheck: none of the inputs is a tensor or an array of floats"))
    shapes = [o.shape for o in _floats(f(*_tensors(args)))]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        grad_outputs = tuple(rng.normal(size=shape) for shape in shapes)
    given = tuple(grad_outputs) if isinstance(grad_outputs, tuple | list) else (grad_outputs,)
    if [np.shape(g) for g in given] != shapes:
        raise ValueError(here(f"gradgradcheck: the outputs have shapes {shapes}; give grad_outputs of these"))

    def backward(*every: Any) -> Any:
        own, cotangents = every[: len(args)], every[len(args) :]

        def loss(*moved: Any) -> Any:
            pairs = zip(_floats(f(*moved)), cotangents, strict=True)
            return sum((o * c).sum() for o, c in pairs)

        return lucid.grad(loss, argnums=places)(*own)

    backward.__name__ = f"gradient of {name_of(f)}"
    return gradcheck(
        backward, (*args, *given), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )


def _double(value: Any) -> Any:
    """An argument in float64, if it is an array or a tensor of floats."""
    if not float_arguments((value,)):
        return value
    return np.array(plain(value), np.float64)


def _tensors(args: Sequence[Any]) -> list[Any]:
    return [Tensor(v) if isinstance(v, np.ndarray) else v for v in args]


def _floats(outputs: Any) -> list[Tensor]:
    return [v for _, v in named_leaves(outputs) if isinstance(v, Tensor) and v.is_floating_point()]


def _mismatch(
    f: Callable[..., Any], args: tuple[Any, ...], places: Sequence[int], eps: float, atol: float, rtol: float
) -> str | None:
    """The first place where both disagree, in words."""

    def values(*moved: Any) -> tuple[Tensor, ...]:
        return tuple(_floats(f(*moved)))

    first = values(*_tensors(args))
    if not first:
        raise ValueError(here(f"gradcheck: {name_of(f)} gives no tensor of floats"))
    run = lucid.compile(values)
    for number, output in enumerate(first):
        analytic = _analytic(values, number, output.shape, args, places)
        for k, place in enumerate(places):
            numeric = _numeric(run, number, output.size, args, place, eps)
            with np.errstate(all="ignore"):
                off = ~(np.abs(analytic[k] - numeric) <= atol + rtol * np.abs(numeric))
            if off.any():
                row, column = (int(i[0]) for i in np.nonzero(off))
                at = [int(i) for i in np.unravel_index(row, output.shape)]
                by = [int(i) for i in np.unravel_index(column, args[place].shape)]
                return (
                    f"the derivative of output {number} by input {place} is wrong in {int(off.sum())} of "
                    f"{off.size} elements; first d output{at} / d input{by}: "
                    f"analytic {analytic[k][row, column]:.10g}, numeric {numeric[row, column]:.10g}"
                )
    return None


def _analytic(
    values: Callable[..., tuple[Tensor, ...]],
    number: int,
    shape: tuple[int, ...],
    args: tuple[Any, ...],
    places: Sequence[int],
) -> list[Array]:
    """The Jacobian of one output by each input: elements of the output by elements of the input."""

    def chosen(weights: Any, *own: Any) -> Any:
        return (values(*own)[number] * weights).sum()

    derive = lucid.compile(lucid.grad(chosen, argnums=tuple(k + 1 for k in places)))
    rows: list[list[Array]] = [[] for _ in places]
    for k in range(int(np.prod(shape))):
        weights = np.zeros(shape)
        weights.flat[k] = 1.0
        for found, gradient in zip(rows, derive(weights, *args), strict=True):
            found.append(gradient.numpy().ravel())
    return [
        np.array(found).reshape(len(found), args[place].size)
        for found, place in zip(rows, places, strict=True)
    ]


def _numeric(
    run: Callable[..., tuple[Tensor, ...]],
    number: int,
    size: int,
    args: tuple[Any, ...],
    place: int,
    eps: float,
) -> Array:
    jacobian = np.zeros((size, args[place].size))
    for k in range(args[place].size):
        ends = []
        for step in (eps, -eps):
            moved = np.array(args[place])
            moved.flat[k] += step
            results = run(*args[:place], moved, *args[place + 1 :])
            ends.append(results[number].numpy().ravel().astype(np.float64))
        jacobian[:, k] = (ends[0] - ends[1]) / (2 * eps)
    return jacobian
