"""scikit-learn: what HuberRegressor gives its optimiser. It computes in float64, and also the gradient
to the scale of the noise, which is 1 here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.linear_model._huber import _huber_loss_and_gradient

from ..contender import Contender, Offer, Problem
from ..problems import DELTA

PACKAGES = ("scikit-learn",)


def _linear(problem: Problem) -> Contender:
    x, y, w, b = (problem.inputs[k].astype(np.float64) for k in ("x", "y", "w", "b"))
    n = len(x)
    start = np.concatenate([w, [b, 1.0]])

    def result(out: Any) -> Mapping[str, Any]:
        """Its loss is n + 2 sum(huber): d² where the usual one has d²/2."""
        loss, g = out
        return {
            "loss": (loss - n) / (2 * n),
            "gw": g[:-2] / (2 * n),
            "gb": g[-2] / (2 * n),
        }

    return Contender(_huber_loss_and_gradient, (start, x, y, DELTA, 0.0, np.ones(n)), result)


OFFERS: Mapping[str, Offer] = {"linear": {"scikit-learn, float64": _linear}}
