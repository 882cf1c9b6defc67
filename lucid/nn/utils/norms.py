"""`weight_norm` and `spectral_norm` with PyTorch's older names: the parameters stay at the module itself,
`weight_g` and `weight_v`, or `weight_orig`, as in the state of many models."""

from __future__ import annotations

from typing import Any

from ...context import no_grad
from ...errors import here, public
from ...tensor import Tensor
from .. import functional as F
from ..module import Module, Parameter
from .parametrizations import as_matrix, axis_of, norm_but, power_iteration, rows_of, singular_start
from .parametrize import derive, derived, taken

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

# Of each of these norms of a module, by the name of the parameter, what it was asked for.
_KEPT = "_norms"


def _keep(module: Module, name: str, read: Any, asked: tuple[Any, ...]) -> None:
    vars(module)[_KEPT] = {**vars(module).get(_KEPT, {}), name: asked}
    derive(module, (*derived(module), (name, read, None)))


def _end(what: str, module: Module, name: str, read: Any) -> Tensor:
    """The value that a parameter had, which is computed no more."""
    if not any(d[0] == name and d[1] is read for d in derived(module)):
        raise ValueError(here(f"remove_{what}: there is none of {name!r} in {type(module).__name__}"))
    with no_grad():
        value: Tensor = getattr(module, name).detach()
    derive(module, tuple([d for d in derived(module) if d[0] != name]))
    del vars(module)[_KEPT][name]
    return value


def _normed(module: Module, name: str) -> Tensor:
    g, v = getattr(module, f"{name}_g"), getattr(module, f"{name}_v")
    found: Tensor = v * (g / norm_but(v, vars(module)[_KEPT][name][0]))
    return found


@public
def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Any:
    """`parametrizations.weight_norm`, with parameters `weight_g` and `weight_v`. Returns the module."""
    weight, _ = taken(module, name)
    axis = axis_of("weight_norm", weight, dim)
    setattr(module, f"{name}_g", Parameter(norm_but(weight.detach(), axis)))
    setattr(module, f"{name}_v", Parameter(weight.detach()))
    _keep(module, name, _normed, (axis,))
    return module


@public
def remove_weight_norm(module: Module, name: str = "weight") -> Any:
    """A plain parameter again, of the same value. ValueError if it is one."""
    value = _end("weight_norm", module, name, _normed)
    delattr(module, f"{name}_g")
    delattr(module, f"{name}_v")
    setattr(module, name, Parameter(value))
    return module


def _spectral(module: Module, name: str) -> Tensor:
    count, eps, dim = vars(module)[_KEPT][name]
    weight = getattr(module, f"{name}_orig")
    matrix = as_matrix(weight, dim)
    u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
    if module.training:
        # From u to v and to u, as this one of PyTorch's goes.
        with no_grad():
            for _ in range(count):
                v = F.normalize(matrix.T @ u, dim=0, eps=eps)
                u = F.normalize(matrix @ v, dim=0, eps=eps)
        setattr(module, f"{name}_u", u)
        setattr(module, f"{name}_v", v)
    found: Tensor = weight / (u.detach() @ (matrix @ v.detach()))
    return found


@public
def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """`parametrizations.spectral_norm`, with a parameter `weight_orig` and buffers `weight_u` and `weight_v`.
    Returns the module."""
    if n_power_iterations < 1:
        told = f"n_power_iterations must be at least 1, not {n_power_iterations}"
        raise ValueError(here(f"spectral_norm: {told}"))
    weight, _ = taken(module, name)
    axis = (rows_of(module) if dim is None else dim) % weight.ndim
    matrix = as_matrix(weight.detach(), axis)
    u, v = power_iteration(matrix, *singular_start(matrix, eps), 1, eps)
    setattr(module, f"{name}_orig", weight)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    _keep(module, name, _spectral, (n_power_iterations, eps, axis))
    return module


@public
def remove_spectral_norm(module: Module, name: str = "weight") -> Any:
    """A plain parameter again, of the same value. ValueError if it is one."""
    training, module.training = module.training, False
    try:
        value = _end("spectral_norm", module, name, _spectral)
    finally:
        module.training = training
    delattr(module, f"{name}_orig")
    for k in (f"{name}_u", f"{name}_v"):
        delattr(module, k)
        module._buffers = tuple([b for b in module._buffers if b != k])
    setattr(module, name, Parameter(value))
    return module
