"""What training loops ask of parameters and gradients, and what changes how layers have their weights, under
PyTorch's names. The latter is loaded when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...array_functions import concatenate, stack
from ...creation import given as asarray
from ...creation import zeros
from ...errors import bounded, public
from ...functional import where
from ...named import of_home
from ...random import get_state, set_state
from ...tensor import Tensor
from ..functional import checked_number
from ..module import Module

if TYPE_CHECKING:
    from . import fusion, norms, parametrizations, parametrize, rnn
    from .fusion import (
        fuse_conv_bn_eval,
        fuse_conv_bn_weights,
        fuse_linear_bn_eval,
        fuse_linear_bn_weights,
    )
    from .norms import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "fuse_conv_bn_eval",
    "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights", "fusion", "get_total_norm",
    "norms", "parameters_to_vector", "parametrizations", "parametrize", "remove_spectral_norm",
    "remove_weight_norm", "rnn", "skip_init", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip

_LATER = {
    "fusion": ("fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"),
    "norms": ("remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"),
    "parametrizations": (), "parametrize": (), "rnn": (),
}  # fmt: skip
_HOMES = {name: home for home, names in _LATER.items() for name in names}


@bounded
def __getattr__(name: str) -> Any:
    return of_home(__name__, _HOMES, name, _LATER)


def __dir__() -> list[str]:
    return __all__


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in given if p.grad is not None]


@public
def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of the tensors, as one vector: 0-d. `norm_type`: above 0, or inf."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    power = checked_number("get_total_norm", "norm_type", norm_type, zero=False)
    if not given:
        return Tensor(0.0)
    absolute = [t.abs() for t in given]
    if math.isinf(power):
        greatest: Tensor = stack([t.max() for t in absolute if t.size]).max()
        return greatest
    total = sum((t**power).sum() for t in absolute)
    found: Tensor = asarray(total) ** (1 / power)
    return found


@public
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:  # fmt: skip
    """Scale all gradients such that their norm as one vector is at most `max_norm`: by max_norm / (norm +
    1e-6), where that is below 1. The norm before, 0-d. RuntimeError for one that is not finite, if asked,
    outside of compiled functions."""
    most = checked_number("clip_grad_norm_", "max_norm", max_norm, zero=True)
    held = _gradients(parameters)
    norm = get_total_norm([p.grad for p in held if p.grad is not None], norm_type)
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm.item()}")
    _scale(held, most, norm)
    return norm.detach()


def _scale(held: Iterable[Tensor], most: float, norm: Tensor) -> None:
    factor = most / (norm + 1e-6)
    factor = where(factor < 1, factor, 1.0)
    for p in held:
        assert p.grad is not None
        p.grad = (p.grad * factor.astype(p.grad.dtype)).detach()


@public
def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Any) -> None:
    """The scaling of `clip_grad_norm_`, by a norm that is known."""
    most = checked_number("clip_grads_with_norm_", "max_norm", max_norm, zero=True)
    _scale(_gradients(parameters), most, asarray(total_norm))


@public
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Each element of each gradient to be between -clip_value and clip_value."""
    most = checked_number("clip_grad_value_", "clip_value", clip_value, zero=True)
    for p in _gradients(parameters):
        assert p.grad is not None
        p.grad = p.grad.clip(-most, most).detach()


@public
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, in their order: 1-D."""
    rows = [p.reshape(-1) for p in parameters]
    if not rows:
        raise ValueError("parameters_to_vector: no parameters")
    return concatenate(rows)


@public
def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """The inverse: parameters get their values of a vector. ValueError for one of another length; then
    nothing has changed."""
    vector, given = asarray(vec), list(parameters)
    sizes = [p.size for p in given]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"vector_to_parameters: expected shape ({sum(sizes)},), not {vector.shape}")
    ends = np.cumsum(sizes)
    for p, size, end in zip(given, sizes, ends, strict=True):
        p.data = vector[int(end) - size : int(end)].reshape(p.shape).astype(p.dtype)


@public
def skip_init(module_cls: Callable[..., Module], *args: Any, **kwargs: Any) -> Any:
    """`module_cls(*args, **kwargs)` with zeros in the place of initial values, of which none is drawn."""
    state = get_state()
    module = module_cls(*args, **kwargs)
    set_state(state)
    for p in module.parameters():
        p.data = zeros(p.shape, dtype=p.dtype, device=p.device)
    return module
