"""Functions that change the tensor that they are given, PyTorch's: `lucid.exp_(x)` is `x.exp_()`."""

from __future__ import annotations

from typing import Any

from .errors import here, public
from .tensor import Tensor

_NAMES = """abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_
    atan_ atanh_ ceil_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_ deg2rad_ erf_
    erfc_ exp2_ exp_ expm1_ fill_ fix_ floor_ frac_ gcd_ i0_ index_put_ lcm_ ldexp_ log10_ log1p_
    log2_ log_ logit_ nan_to_num_ neg_ negative_ rad2deg_ reciprocal_ relu_ round_ rsqrt_ sigmoid_
    sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ xlogy_ zero_"""
FUNCTIONS = tuple(_NAMES.split())


def __getattr__(name: str) -> Any:
    """The function of that name, made when it is first asked for."""
    if name not in FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def function(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(here(f"{name}: expected a tensor, which it changes, not {type(x).__name__}"))
        changed: Tensor = getattr(x, name)(*args, **kwargs)
        return changed

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name.removesuffix('_')}` of x, which becomes that."
    globals()[name] = made = public(function)
    return made
