"""`torch.special` and `scipy.special`: functions of lucid under the names that they have there."""

from __future__ import annotations

from .functional import erf, erfc, exp2, expit, expm1, log1p, logit, round, sinc, xlogy

__all__ = ["erf", "erfc", "exp2", "expit", "expm1", "log1p", "logit", "round", "sinc", "xlogy"]
