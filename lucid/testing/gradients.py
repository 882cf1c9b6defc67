"""Derivatives against finite differences, in float64, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lucid

from ..errors import here, public
from ..tensor import Tensor
from .bits import plain
from .traced import Array, differentiable, flattened, name_of, named_leaves


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

    `inputs`: a tensor or an array, or a tuple of arguments, which may be lists and dicts of them. Floats are
    converted to float64, complex numbers to complex128, and `f` is differentiated by all of these; others
    are passed on. `f` returns a tensor, or a structure of tensors, of any shape; of complex ones both parts
    are differentiated. Each element of each input is moved by `eps` both ways: 2 n calls, and a
    backward pass for each element of the outputs, so inputs and outputs should be small. An element agrees
    if |analytic - numeric| <= atol + rtol |numeric|.

    Raises GradcheckError (a RuntimeError) where one does not, naming output, input, element and both
    values; or returns False if `raise_exception` is false. ValueError if no input is a float or complex, or
    no output is, and if there are no elements to compare. Points where `f` has a kink within `eps`
    (`abs` at 0) fail, as they have no derivative.
    """
    f, args, places, labels = _over_reals(f, inputs, "gradcheck")
    wrong = _mismatch(f, args, places, labels, eps, atol, rtol)
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
    and of its shape, two for a complex one (random ones by default), and gives the gradients of the inputs.
    Arguments, tolerances and errors as those of `gradcheck`.
    """
    f, args, places, _ = _over_reals(f, inputs, "gradgradcheck")
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


def _over_reals(
    f: Callable[..., Any], inputs: Any, name: str
) -> tuple[Callable[..., Any], tuple[Any, ...], tuple[int, ...], list[str]]:
    """`f` as a function of arrays of float64 one by one, of complex numbers both parts; these; which of them
    it is differentiated by, and what they are called."""
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    flat, leaves = flattened(f, args)
    names = [n for k, v in enumerate(args) for n, _ in named_leaves(v, f"input {k}")]
    every: list[Any] = []
    labels: list[str] = []
    places: list[int] = []
    pairs: list[bool] = []
    for leaf, label in zip(leaves, names, strict=True):
        moved = differentiable(leaf)
        array = plain(leaf) if moved else leaf
        pairs.append(moved and array.dtype.kind == "c")
        parts = [(array, "")]
        if pairs[-1]:
            parts = [(array.real, " (real part)"), (array.imag, " (imaginary part)")]
        for part, which in parts:
            places += [len(every)] if moved else []
            every.append(np.array(part, np.float64) if moved else part)
            labels.append(label + which)
    if not places:
        raise ValueError(here(f"{name}: none of the inputs is an array of floats or complex numbers"))
    if not any(every[k].size for k in places):
        raise ValueError(here(f"{name}: the inputs have no elements, so there is nothing to compare"))

    def of_reals(*given: Any) -> Any:
        rest = iter(given)
        return flat(*[lucid.complex(next(rest), next(rest)) if pair else next(rest) for pair in pairs])

    of_reals.__name__ = name_of(f)
    return of_reals, tuple(every), tuple(places), labels


def _tensors(args: Sequence[Any]) -> list[Any]:
    return [Tensor(v) if isinstance(v, np.ndarray) else v for v in args]


def _floats(outputs: Any) -> list[Tensor]:
    """The outputs that are floats, and both parts of complex ones."""
    found = [v for _, v in named_leaves(outputs) if isinstance(v, Tensor) and differentiable(v)]
    return [part for v in found for part in ((v.real, v.imag) if v.is_complex() else (v,))]


def _mismatch(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    places: Sequence[int],
    labels: Sequence[str],
    eps: float,
    atol: float,
    rtol: float,
) -> str | None:
    """The first place where both disagree, in words."""

    def values(*moved: Any) -> tuple[Tensor, ...]:
        return tuple(_floats(f(*moved)))

    first = values(*_tensors(args))
    if not first:
        raise ValueError(here(f"gradcheck: {name_of(f)} gives no tensor of floats or complex numbers"))
    if not any(o.size for o in first):
        raise ValueError(here(f"gradcheck: what {name_of(f)} gives has no elements: nothing to compare"))
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
                    f"the derivative of output {number} by {labels[place]} is wrong in {int(off.sum())} of "
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
