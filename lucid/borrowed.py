"""Functions as methods: PyTorch's methods that lucid has as functions, whose first argument is the tensor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .errors import bounded

# The name of the method: the module of the function, and its name there if that is another one.
_NAMES = {
    ".array_functions": """addbmm addmm addmv addr allclose baddbmm bmm corrcoef cov cross
        adjoint dsplit hsplit inner isclose kron mv vdot vsplit""",
    ".assembly": "diag_embed diagonal_scatter narrow select_scatter slice_scatter swapdims",
    ".bessel": "i0",
    ".choosing": "choose compress masked_scatter take_along_dim",
    ".histograms": "histc",
    ".elements": "argwhere bincount nonzero",
    ".functional": """absolute add amax amin bitwise_and bitwise_left_shift bitwise_not
        bitwise_or bitwise_right_shift bitwise_xor clamp_max clamp_min deg2rad div divide fix
        float_power fmax fmin greater greater_equal heaviside hypot isreal lerp less less_equal
        logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit multiply nan_to_num
        negative nextafter not_equal outer positive rad2deg signbit sinc sub subtract
        true_divide xlogy""",
    ".incomplete": "igamma igammac mvlgamma",
    ".linalg": "cholesky_inverse cholesky_solve lstsq matrix_exp matrix_rank qr",
    ".nn.functional": "hardshrink log_softmax prelu",
    ".questions": "aminmax is_nonzero",
    ".random": "bernoulli multinomial",
    ".sequences": "argpartition histogram partition unique unique_consecutive",
    ".spectra": "istft stft",
    ".signals": "dist norm renorm",
    ".whole_numbers": "addcdiv addcmul frac frexp gcd isneginf isposinf lcm ldexp",
}


class _Function:
    """Stands in the class until somebody asks for the method: the module of the function is imported then."""

    def __init__(self, name: str, module: str, function: str) -> None:
        self.name, self.module, self.function = name, module, function

    def __get__(self, x: Any, owner: type) -> Any:
        method = as_method(getattr(import_module(self.module, __package__), self.function), self.name)
        setattr(Borrowed, self.name, method)
        return method.__get__(x, owner)


def as_method(function: Callable[..., Any], name: str) -> Any:
    """The function as a method called `name`."""

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    own = inspect.signature(function)
    first, *rest = own.parameters.values()
    this = first.replace(name="self", kind=first.POSITIONAL_ONLY, annotation=first.empty)
    method.__signature__ = inspect.Signature([this, *rest], return_annotation=own.return_annotation)  # type: ignore[attr-defined]
    made = bounded(method)
    made.__name__, made.__qualname__ = name, f"Tensor.{name}"
    return made


class Borrowed:
    """What Tensor inherits."""

    __slots__ = ()


for _module, _listed in _NAMES.items():
    for _entry in _listed.split():
        _method, _, _function = _entry.partition("=")
        setattr(Borrowed, _method, _Function(_method, _module, _function or _method))
