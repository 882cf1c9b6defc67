"""Changes of variables, with their inverses and what they stretch: PyTorch's
`torch.distributions.transforms`. A transform of arrays says of how many axes: of `domain_dim` it makes
`codomain_dim`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..array_functions import pad
from ..creation import given as asarray
from ..creation import zeros
from ..errors import bounds, here
from ..nn import functional as F
from ..tensor import Tensor
from .distribution import Distribution

__all__ = [
    "AbsTransform", "AffineTransform", "ComposeTransform", "CumulativeDistributionTransform", "ExpTransform",
    "IndependentTransform", "LowerCholeskyTransform", "PowerTransform", "ReshapeTransform",
    "SigmoidTransform", "SoftmaxTransform", "SoftplusTransform", "StickBreakingTransform", "TanhTransform",
    "Transform", "identity_transform",
]  # fmt: skip


def summed(x: Any, count: int) -> Any:
    """Over the last axes, so many."""
    return x.sum(tuple(range(-count, 0))) if count > 0 else x


@bounds
class Transform:
    """y = transform(x); x = transform.inv(y). `sign`: 1 where it rises, -1 where it falls. One of one's own
    defines `_call`, `_inverse` and `log_abs_det_jacobian`."""

    bijective = True
    domain_dim = codomain_dim = 0
    sign: Any = 1

    def __init__(self, cache_size: int = 0) -> None:
        """Nothing is kept, whatever `cache_size` says: what a graph computes twice it computes once."""

    def __call__(self, x: Any) -> Tensor:
        return self._call(asarray(x))

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(here(f"{type(self).__name__} has no _call"))

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(here(f"{type(self).__name__} has no inverse"))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        """The logarithm of how much it stretches at x, y = transform(x)."""
        raise NotImplementedError(here(f"{type(self).__name__} has no log_abs_det_jacobian"))

    @property
    def inv(self) -> Transform:
        """The way back."""
        return _Inverse(self)

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y for that of x."""
        return tuple(shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of x for that of y."""
        return tuple(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    def __init__(self, of: Transform) -> None:
        self._of = of
        self.bijective, self.sign = of.bijective, of.sign
        self.domain_dim, self.codomain_dim = of.codomain_dim, of.domain_dim

    def _call(self, x: Tensor) -> Tensor:
        return self._of._inverse(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._of._call(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        return -self._of.log_abs_det_jacobian(y, x)

    @property
    def inv(self) -> Transform:
        return self._of

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self._of.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{self._of!r}.inv"


class ComposeTransform(Transform):
    """One after the other, the first of `parts` first."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        self.parts = list(parts)
        self.bijective = all(t.bijective for t in self.parts)
        sign: Any = 1
        for t in self.parts:
            sign = sign * t.sign
        self.sign = sign
        need = have = 0  # of the input, and what is there after each part
        for t in self.parts:
            more = max(0, t.domain_dim - have)
            need, have = need + more, have + more + t.codomain_dim - t.domain_dim
        self.domain_dim, self.codomain_dim = need, have

    def _call(self, x: Tensor) -> Tensor:
        for t in self.parts:
            x = t(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for t in reversed(self.parts):
            y = t.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        x, have = asarray(x), self.domain_dim
        total: Any = 0.0 if self.parts else x * 0.0
        for t in self.parts:
            after = t(x)
            total = total + summed(t.log_abs_det_jacobian(x, after), have - t.domain_dim)
            x, have = after, have + t.codomain_dim - t.domain_dim
        found: Tensor = total
        return found

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        for t in self.parts:
            shape = t.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        for t in reversed(self.parts):
            shape = t.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts!r})"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """`base_transform`, of which the last axes, so many more, are axes of one event."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims
        self.bijective, self.sign = base_transform.bijective, base_transform.sign
        self.domain_dim = base_transform.domain_dim + reinterpreted_batch_ndims
        self.codomain_dim = base_transform.codomain_dim + reinterpreted_batch_ndims

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        found: Tensor = summed(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)
        return found

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.base_transform.inverse_shape(shape)


class AffineTransform(Transform):
    """loc + scale x. `event_dim`: of arrays of so many axes."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        self.loc, self.scale = loc, scale
        self.domain_dim = self.codomain_dim = event_dim

    @property
    def sign(self) -> Any:
        return self.scale.sign() if isinstance(self.scale, Tensor) else np.sign(self.scale)

    def _call(self, x: Tensor) -> Tensor:
        found: Tensor = self.loc + self.scale * x
        return found

    def _inverse(self, y: Tensor) -> Tensor:
        found: Tensor = (y - self.loc) / self.scale
        return found

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        x = asarray(x)
        plain = isinstance(self.scale, int | float)
        size = math.log(abs(self.scale)) if plain else asarray(self.scale).abs().log()
        found: Tensor = summed(zeros(self.forward_shape(x.shape), dtype=x.dtype) + size, self.domain_dim)
        return found

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return np.broadcast_shapes(shape, np.shape(self.loc), np.shape(self.scale))

    inverse_shape = forward_shape


class ExpTransform(Transform):
    """exp(x)."""

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        return asarray(x)


class PowerTransform(Transform):
    """x ** exponent, of numbers above 0."""

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        self.exponent = asarray(exponent)

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def _call(self, x: Tensor) -> Tensor:
        found: Tensor = x**self.exponent
        return found

    def _inverse(self, y: Tensor) -> Tensor:
        found: Tensor = y ** (1 / self.exponent)
        return found

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        return (self.exponent * asarray(y) / asarray(x)).abs().log()

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return np.broadcast_shapes(shape, self.exponent.shape)

    inverse_shape = forward_shape


class SigmoidTransform(Transform):
    """1 / (1 + exp(-x))."""

    def _call(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        x = asarray(x)
        found: Tensor = -F.softplus(-x) - F.softplus(x)
        return found


class TanhTransform(Transform):
    """tanh(x)."""

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.arctanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        x = asarray(x)
        found: Tensor = 2 * (math.log(2) - x - F.softplus(-2 * x))
        return found


class SoftplusTransform(Transform):
    """log(1 + exp(x))."""

    def _call(self, x: Tensor) -> Tensor:
        found: Tensor = F.softplus(x)
        return found

    def _inverse(self, y: Tensor) -> Tensor:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        found: Tensor = -F.softplus(-asarray(x))
        return found


class AbsTransform(Transform):
    """|x|, whose way back gives numbers that are not negative."""

    bijective = False

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class CumulativeDistributionTransform(Transform):
    """The `cdf` of a distribution."""

    def __init__(self, distribution: Distribution, cache_size: int = 0) -> None:
        self.distribution = distribution

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        return self.distribution.log_prob(x)


class ReshapeTransform(Transform):
    """The last axes, of `in_shape`, as others."""

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ValueError(
                here(f"ReshapeTransform: {self.in_shape} and {self.out_shape} have not the same size")
            )
        self.domain_dim, self.codomain_dim = len(self.in_shape), len(self.out_shape)

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        x = asarray(x)
        found: Tensor = summed(x * 0, self.domain_dim)
        return found

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[: len(shape) - self.domain_dim], *self.out_shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[: len(shape) - self.codomain_dim], *self.in_shape)


class SoftmaxTransform(Transform):
    """exp(x), to the sum 1 along the last axis; the way back is log(y)."""

    bijective = False
    domain_dim = codomain_dim = 1

    def _call(self, x: Tensor) -> Tensor:
        found: Tensor = F.softmax(x, -1)
        return found

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()


class StickBreakingTransform(Transform):
    """Of n numbers n + 1 shares: of a stick, whatever is left, sigmoid(x - log(n - k)) for the kth."""

    domain_dim = codomain_dim = 1

    def _parts(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        return x - asarray(np.log(np.arange(n, 0, -1.0)).astype(x.dtype))

    def _call(self, x: Tensor) -> Tensor:
        z = self._parts(x).sigmoid()
        left = (1 - z).cumprod(-1)
        width = [(0, 0)] * (x.ndim - 1)
        return pad(z, [*width, (0, 1)], constant_values=1) * pad(left, [*width, (1, 0)], constant_values=1)

    def _inverse(self, y: Tensor) -> Tensor:
        first = y[..., :-1]
        n = first.shape[-1]
        left = (1 - first.cumsum(-1)).clip(float(np.finfo(y.dtype).tiny))
        return first.log() - left.log() + asarray(np.log(np.arange(n, 0, -1.0)).astype(y.dtype))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        z = self._parts(asarray(x))
        return (-z + F.logsigmoid(z) + asarray(y)[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] - 1)


class LowerCholeskyTransform(Transform):
    """Matrices as lower triangles, with exp of the diagonal."""

    domain_dim = codomain_dim = 2

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(0, -2, -1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(0, -2, -1).log().diag_embed()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Tensor:
        return asarray(x).diagonal(0, -2, -1).sum(-1)
