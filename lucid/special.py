"""`torch.special` and `scipy.special`: functions of lucid under the names that they have there."""

from __future__ import annotations

import math
from typing import Any

from . import orthogonal
from .array_functions import logsumexp
from .bessel import i0, i0e, i1, i1e
from .creation import given as asarray
from .errors import public
from .functional import logit, polygamma, round, sinc, where, xlogy
from .incomplete import (
    erfcx,
    gammainc,
    gammaincc,
    log_ndtr,
    multigammaln,
    ndtri,
    zeta,
)  # fmt: skip
from .named import name_all
from .nn.functional import log_softmax, softmax
from .orthogonal import *  # noqa: F403
from .published import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expit,
    expm1,
    lgamma,
    log1p,
)  # fmt: skip
from .tensor import Tensor

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc",
    "gammaln", "i0", "i0e", "i1", "i1e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round",
    "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
__all__ += orthogonal.__all__

modified_bessel_i0, modified_bessel_i1 = i0, i1
gammaln, psi = lgamma, digamma


@public
def xlog1py(x: Any, y: Any) -> Tensor:
    """x log(1 + y); 0 where x is 0, unless y is NaN."""
    x, y = asarray(x), asarray(y)
    none = (x == 0) & ~y.isnan()
    return where(none, 0.0, x * where(none, 0.0, y).log1p())


@public
def entr(x: Any) -> Tensor:
    """-x log(x), 0 at 0, -inf below."""
    x = asarray(x)
    return where(x < 0, -math.inf, -xlogy(x, x.clip(0)))


@public
def ndtr(x: Any) -> Tensor:
    """The part of a normal distribution that is below x."""
    return (asarray(x) * -math.sqrt(0.5)).erfc() * 0.5


name_all(globals(), ["entr", "ndtr", "xlog1py"])
