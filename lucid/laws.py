"""Random numbers that are the first of some proposals which is accepted, and what is made of them: gamma and
its kin, Poisson and other counts, under NumPy's names. Gradients flow to the parameters of those that are
real."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import random
from .context import is_grad_enabled
from .creation import arange
from .creation import given as asarray
from .defaults import float_or_default
from .errors import public
from .functional import where, xlogy
from .promote import whole
from .published import digamma, lgamma
from .random import Generator
from .tensor import Tensor

__all__ = [
    "beta", "binomial", "chisquare", "dirichlet", "f", "gamma", "geometric", "negative_binomial", "poisson",
    "standard_gamma", "standard_t", "vonmises", "wald",
]  # fmt: skip

# Proposals at once: all of them are refused once in 1e15.
_PROPOSALS = 12
_TURNS = 32


def gammas(concentration: Tensor, shape: tuple[int, ...], generator: Generator | None = None) -> Tensor:
    """Drawn of density x ** (a - 1) exp(-x) / gamma(a): the first of some proposals that is accepted
    (Marsaglia and Tsang, A simple method for generating gamma variables, 2000)."""
    kind = concentration.dtype
    a = concentration.detach()
    raised = where(a < 1, a + 1, a)
    d = raised - 1 / 3
    x = random.normal(0.0, 1.0, (_PROPOSALS, *shape), dtype=kind, generator=generator)
    v = (1 + x / (9 * d).sqrt()) ** 3
    u = random.uniform(0.0, 1.0, (_PROPOSALS, *shape), dtype=kind, generator=generator)
    fits = v > 0
    known = where(fits, v, 1.0)
    accepted = fits & ((1 - u).log() < 0.5 * x * x + d * (1 - known + known.log()))
    chosen = known.take_along_axis(accepted.argmax(0, keepdims=True), 0)[0] * d
    if concentration.requires_grad and is_grad_enabled():
        slope = _by_concentration(raised.broadcast_to(shape), chosen).detach()
        chosen = chosen + (concentration - a) * slope
    less = (1 - random.uniform(0.0, 1.0, shape, dtype=kind, generator=generator)) ** (1 / concentration)
    found: Tensor = where(a < 1, chosen * less, chosen)
    return found


def _by_concentration(a: Tensor, x: Tensor) -> Tensor:
    """The derivative by a >= 1 of the number with the probability F(x; a) below it: -(dF/da) / (dF/dx)
    (Figurnov, Mohamed, Mnih, Implicit reparameterization gradients, 2018).

    dF/da is the integral of (log t - digamma(a)) p(t) up to x, or less that beyond x, whichever is the
    shorter tail: t = x exp(-s), or x exp(s), and Gauss's points for s = L q**2, where p is below
    p(x) exp(-40) at L. Relative errors are below 1e-7 (float64: 1e-10), measured beside 40 digits for a from
    1 to 1000, and for 1e5 beside 200 points.
    """
    places, weights = np.polynomial.legendre.leggauss(48 if x.dtype == np.float64 else 32)
    q, kind = (places + 1) / 2, x.dtype
    column = (-1, *[1] * x.ndim)
    steps, shares = asarray((q * q).reshape(column)), asarray((weights * q).reshape(column))
    a, x = a.astype(np.float64), x.astype(np.float64).maximum(np.finfo(kind).tiny)
    below = x <= a
    sign, far = where(below, -1.0, 1.0), 40 / a
    length = where(below, far, 0.0) + (2 * far).sqrt()
    s = sign * steps * length
    inside = (a * s - x * s.expm1()).exp() * (x.log() - digamma(a) + s)
    found: Tensor = (sign * x * length * (shares * inside).sum(0)).astype(kind)
    return found


def _float(value: Any, dtype: Any) -> Tensor:
    x: Tensor = asarray(value)
    kind = float_or_default(dtype).np if dtype is not None or not x.is_floating_point() else x.dtype
    return x.astype(kind)


def _parameters(name: str, dtype: Any, **given: Any) -> list[Tensor]:
    """In one float dtype. ValueError for numbers and arrays that are not above 0."""
    for parameter, value in given.items():
        random._positive(name, parameter, value)
    found = [_float(value, dtype) for value in given.values()]
    joint = np.result_type(*[x.dtype for x in found if x.ndim] or [x.dtype for x in found])
    return [x.astype(joint) for x in found]


@public
def standard_gamma(
    shape: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Gamma of this `shape` parameter and the scale 1."""
    (a,) = _parameters("standard_gamma", dtype, shape=shape)
    return gammas(a, random._size(size, a), generator)


@public
def gamma(
    shape: Any, scale: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Of density x ** (shape - 1) exp(-x / scale), times a constant."""
    a, scales = _parameters("gamma", dtype, shape=shape, scale=scale)
    return gammas(a, random._size(size, a, scales), generator) * scales


@public
def chisquare(df: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """The sum of squares of `df` standard normal numbers."""
    (n,) = _parameters("chisquare", dtype, df=df)
    return 2 * gammas(n / 2, random._size(size, n), generator)


@public
def beta(
    a: Any, b: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Of density x ** (a - 1) (1 - x) ** (b - 1), times a constant."""
    first, second = _parameters("beta", dtype, a=a, b=b)
    shape = random._size(size, first, second)
    x, y = (gammas(c, shape, generator) for c in (first, second))
    return x / (x + y)


@public
def dirichlet(
    alpha: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Shares, along the last axis, which add up to 1: of density the product of x ** (alpha - 1)."""
    (a,) = _parameters("dirichlet", dtype, alpha=alpha)
    if not a.ndim:
        raise ValueError("dirichlet: alpha has an axis of shares; it is one number")
    drawn = gammas(a, (*random._size(() if size is None else size), *a.shape), generator)
    return drawn / drawn.sum(-1, keepdims=True)


@public
def standard_t(df: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Student's t, of `df` degrees of freedom: a normal number over the root of a mean of squares."""
    (n,) = _parameters("standard_t", dtype, df=df)
    shape = random._size(size, n)
    squares = gammas(n / 2, shape, generator) / (n / 2)
    return random.normal(0.0, 1.0, shape, dtype=n.dtype, generator=generator) / squares.sqrt()


@public
def f(
    dfnum: Any, dfden: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Fisher's F: the quotient of two means of squares."""
    m, n = _parameters("f", dtype, dfnum=dfnum, dfden=dfden)
    shape = random._size(size, m, n)
    above, below = (gammas(k / 2, shape, generator) / k for k in (m, n))
    return above / below


@public
def vonmises(
    mu: Any, kappa: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Angles from -pi to pi, of density exp(kappa cos(x - mu)), times a constant: the first of some proposals
    that is accepted (Best and Fisher, Efficient simulation of the von Mises distribution, 1979)."""
    mean = _float(mu, dtype)
    (k,) = _parameters("vonmises", dtype, kappa=kappa)
    kind = np.result_type(*[x.dtype for x in (mean, k) if x.ndim] or [mean.dtype, k.dtype])
    mean, k = mean.astype(kind).detach(), k.astype(kind).detach()
    shape = random._size(size, mean, k)
    tau = 1 + (1 + 4 * k * k).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * k)
    # Where kappa is small, the first terms of a series.
    r = where(k < 1e-3, 1 / k + k, (1 + rho * rho) / (2 * where(k < 1e-3, 1.0, rho)))
    u = random.uniform(0.0, 1.0, (3, _TURNS, *shape), dtype=kind, generator=generator)
    z = (np.pi * u[0]).cos()
    f = (1 + r * z) / (r + z)
    c = k * (r - f)
    v = 1 - u[1]
    accepted = (c * (2 - c) > v) | ((c / v).log() + 1 - c >= 0)
    first = accepted.argmax(0, keepdims=True)
    cosine, side = (x.take_along_axis(first, 0)[0] for x in (f, u[2]))
    turned = mean + where(side < 0.5, -1.0, 1.0).astype(kind) * cosine.clip(-1, 1).arccos()
    found: Tensor = (turned + np.pi) % (2 * np.pi) - np.pi
    return found


@public
def wald(
    mean: Any, scale: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """When a Brownian motion with drift is somewhere first: the inverse Gaussian distribution (Michael,
    Schucany, Haas, Generating random variates using transformations with multiple roots, 1976)."""
    m, s = (x.detach() for x in _parameters("wald", dtype, mean=mean, scale=scale))
    shape = random._size(size, m, s)
    y = m * random.normal(0.0, 1.0, shape, dtype=m.dtype, generator=generator) ** 2
    x = m + m * (y - (4 * s * y + y * y).sqrt()) / (2 * s)
    u = random.uniform(0.0, 1.0, shape, dtype=m.dtype, generator=generator)
    found: Tensor = where(u <= m / (m + x), x, m * m / x)
    return found


# --- counts: float numbers, as PyTorch's ----------------------------------------------------------


def log_poisson(k: Tensor, rate: Tensor) -> Tensor:
    """The logarithm of the probability of k."""
    found: Tensor = xlogy(k, rate) - rate - lgamma(k + 1)
    return found


def poissons(rate: Tensor, generator: Generator | None = None) -> Tensor:
    """Drawn for each rate, in its dtype."""
    small = where(rate < 10, rate, 1.0)
    large = _refused(where(rate < 10, 10.0, rate), generator)
    found: Tensor = where(rate < 10, _counted(small, generator), large)
    return found


def _counted(rate: Tensor, generator: Generator | None) -> Tensor:
    """Drawn by how many sums of probabilities lie below an even number; above 60 there is nothing of a rate
    below 10."""
    k = arange(60).reshape(-1, *[1] * rate.ndim).astype(rate.dtype)
    below = log_poisson(k, rate).exp().cumsum(0)
    drawn = random.uniform(0.0, 1.0, rate.shape, dtype=rate.dtype, generator=generator)
    return (drawn >= below).sum(0).astype(rate.dtype)


def _refused(rate: Tensor, generator: Generator | None) -> Tensor:
    """Drawn for rates of at least 10: the first of some proposals that is accepted (Hörmann, The transformed
    rejection method for generating Poisson random variables, 1993: PTRS)."""
    shape, kind = (16, *rate.shape), rate.dtype
    b = 0.931 + 2.53 * rate.sqrt()
    a = -0.059 + 0.02483 * b
    inverse, least = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
    u = random.uniform(-0.5, 0.5, shape, dtype=kind, generator=generator)
    v = 1 - random.uniform(0.0, 1.0, shape, dtype=kind, generator=generator)
    us = (0.5 - u.abs()).maximum(1e-7)
    k = ((2 * a / us + b) * u + rate + 0.43).floor()
    held = k.maximum(0.0)
    at_once = (us >= 0.07) & (v <= least)
    in_the_end = v.log() + inverse.log() - (a / (us * us) + b).log() <= log_poisson(held, rate)
    fits = (k >= 0) & (at_once | (((us >= 0.013) | (v <= us)) & in_the_end))
    return held.take_along_axis(fits.argmax(0, keepdims=True), 0)[0]


@public
def poisson(
    lam: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """How many events there are, of `lam` in the mean: numbers of a float dtype, that of `lam` by default."""
    rate = _float(lam, dtype).detach()
    return poissons(rate.broadcast_to(random._size(size, rate)), generator)


@public
def geometric(p: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """How many trials of the probability `p` it takes until one succeeds, in a float dtype: at least 1."""
    (chance,) = _parameters("geometric", dtype, p=p)
    chance = chance.detach()
    drawn = random._exponentials(random._size(size, chance), chance.dtype, generator, chance)
    found: Tensor = (drawn / -(-chance).log1p()).floor() + 1
    return found


@public
def negative_binomial(
    n: Any, p: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """How many trials of the probability `p` fail before `n` succeed, in a float dtype: Poisson of a rate
    that is gamma."""
    successes, chance = (x.detach() for x in _parameters("negative_binomial", dtype, n=n, p=p))
    shape = random._size(size, successes, chance)
    rate = gammas(successes, shape, generator) * ((1 - chance) / chance)
    return poissons(rate, generator)


@public
def binomial(
    n: Any, p: Any, size: Any = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """How many of `n` trials, a whole number for all, succeed, of the probability `p`, in a float dtype: each
    is drawn. ValueError for more than 65,536."""
    trials = whole("n", n)
    if not 0 <= trials <= 1 << 16:
        raise ValueError(f"binomial: expected n from 0 to 65536, not {trials}")
    chance = _float(p, dtype).detach()
    shape = random._size(size, chance)
    drawn = random.rand(trials, *shape, dtype=chance.dtype, generator=generator)
    return (drawn < chance).sum(0).astype(chance.dtype)
