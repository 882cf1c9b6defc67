"""`torch.special` and `scipy.special`: functions of lucid under the names that they have there."""

from __future__ import annotations

from .functional import logit, polygamma, round, sinc, xlogy
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

gammaln, psi = lgamma, digamma

__all__ = [
    "digamma", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammaln", "log1p", "logit", "polygamma",
    "psi", "round", "sinc", "xlogy",
]  # fmt: skip
