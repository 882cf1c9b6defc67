"""Gamma functions and the inverse of erf as users see them: names, derivatives of every order, dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid

pytestmark = pytest.mark.table

X = np.array([-2.3, -0.4, 0.1, 1.7, 9.0, 30.0])


def test_they_have_the_names_of_torch_and_scipy() -> None:
    x = lucid.asarray([0.5, 3.0])
    want = [math.log(math.pi) / 2, math.log(2)]
    for found in (lucid.lgamma(x), x.lgamma(), lucid.special.gammaln(x)):
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-7)
    euler = 0.5772156649015329
    for found in (lucid.digamma(x), x.digamma(), lucid.special.psi(x), lucid.polygamma(0, x)):
        np.testing.assert_allclose(found.numpy(), [-euler - 2 * math.log(2), 1.5 - euler], rtol=1e-7)
    trigamma = lucid.special.polygamma(1, x).numpy()
    np.testing.assert_allclose(trigamma, [math.pi**2 / 2, math.pi**2 / 6 - 1.25], rtol=1e-7)
    for found in (lucid.erfinv(x[:1]), x[:1].erfinv(), lucid.special.erfinv(0.5)):
        np.testing.assert_allclose(found.numpy().ravel(), [0.4769362762044699], rtol=1e-7)
    assert lucid.lgamma([3, 4]).dtype == lucid.float64 and lucid.lgamma(np.float16(3)).dtype == lucid.float16
    with pytest.raises(ValueError, match=r"polygamma: expected n from 0 to 100, not -1"):
        lucid.polygamma(-1, x)


def summed(f: Callable[[Any], lucid.Tensor]) -> Callable[[Any], lucid.Tensor]:
    return lambda t: f(t).sum()


def test_derivatives_of_lgamma_of_every_order() -> None:
    """polygamma(n, x) for n = 0 to 4, from 200 bits."""
    want = [
        [3.3173231575618227, 0.9593807861068093, -10.423754940411076, 0.2085478748734939,
         2.14064147795561, 3.384438132685525],
        [14.725912160961292, 9.886209670902357, 101.43329915079275, 0.7932328301639984,
         0.11751201469403143, 0.033895060357739946],
        [68.71379252927031, 21.287168462856535, -2001.8614573783436, -0.6040890841034591,
         -0.013793319195767774, -0.0011487652037286],
        [768.9350646661422, 281.78204104534575, 60004.51287679026, 0.8895620066243164,
         0.0032343960459451037, 7.78600366473613e-05],
        [9738.671736569251, 2032.5572680707373, -2400015.6072031953, -1.9106098041479516,
         -0.0011363732756376134, -7.914941340181023e-06],
    ]  # fmt: skip
    derivative: Callable[[Any], lucid.Tensor] = lucid.lgamma
    for row in want:
        derivative = lucid.grad(summed(derivative))
        np.testing.assert_allclose(derivative(X).numpy(), row, rtol=4e-15)


def test_the_slope_of_erfinv_is_that_of_the_inverse() -> None:
    y = np.array([-2.9, -0.3, 0.0, 0.7, 3.3])
    x = lucid.erf(y)
    slope = lucid.grad(lambda t: lucid.erfinv(t).sum())(x).numpy()
    # an error of x counts as much as the slope is steep
    np.testing.assert_allclose(slope, math.sqrt(math.pi) / 2 * np.exp(y * y), rtol=1e-9)
    at_one = lucid.grad(lambda t: lucid.erfinv(t).sum())(np.array([1.0]))
    np.testing.assert_array_equal(at_one.numpy(), [math.inf])
