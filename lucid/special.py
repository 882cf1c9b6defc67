"""`torch.special` and `scipy.special`: functions of lucid under the names that they have there."""

from __future__ import annotations

import math
from typing import Any

from .array_functions import logsumexp
from .creation import given as asarray
from .errors import public
from .functional import logit, polygamma, round, sinc, where, xlogy
from .named import name_all
from .nn.functional import log_softmax, softmax
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
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammaln", "log1p", "log_softmax",
    "logit", "logsumexp", "ndtr", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py", "xlogy",
]  # fmt: skip

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
