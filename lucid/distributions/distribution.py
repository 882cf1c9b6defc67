"""What distributions share: parameters, shapes, and how a sample is asked for."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import CodeType
from typing import Any, Self

import numpy as np

from ..array_functions import broadcast_tensors
from ..context import no_grad
from ..creation import given as asarray
from ..defaults import default_float
from ..errors import bounds, here, is_internal, public
from ..functional import where
from ..lanes import at_hand
from ..tensor import Tensor

Check = tuple[Callable[[Tensor], Tensor], str]
POSITIVE: Check = (lambda x: x > 0, "above 0")
NOT_NEGATIVE: Check = (lambda x: x >= 0, "at least 0")
PROBABILITY: Check = (lambda x: (x >= 0) & (x <= 1), "between 0 and 1")


# Whether parameters are checked, by default and where a distribution is made.
_DEFAULT = {"checked": True}
_CHECKED: ContextVar[bool | None] = ContextVar("checked", default=None)


def _told(init: Callable[..., None], code: CodeType) -> Callable[..., None]:
    """`__init__`, which checks parameters, or does not, as its `validate_args` says."""
    at = code.co_varnames[: code.co_argcount].index("validate_args")

    @functools.wraps(init)
    def made(*args: Any, **named: Any) -> None:
        given = args[at] if len(args) > at else named.get("validate_args")
        token = None if given is None else _CHECKED.set(bool(given))
        try:
            init(*args, **named)
        finally:
            if token is not None:
                _CHECKED.reset(token)

    return made


@bounds
class Distribution:
    """A distribution, or one for each element of `batch_shape`; what is drawn has `event_shape` behind that.

    `sample(sample_shape)` draws; `rsample` too, and gradients flow to the parameters where `has_rsample`. In
    a compiled function each call draws anew. ValueError for parameters that are known to be none, but with
    `validate_args=False`.
    """

    has_rsample = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            code = getattr(method, "__code__", None)
            if code and is_internal(code.co_filename) and (name == "__init__" or not name.startswith("_")):
                door = public(method)
                setattr(cls, name, public(_told(door, code)) if name == "__init__" else door)

    def __init__(
        self,
        batch_shape: tuple[int, ...] = (),
        event_shape: tuple[int, ...] = (),
        validate_args: bool | None = None,
    ) -> None:
        self.batch_shape, self.event_shape = batch_shape, event_shape

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters are checked where `validate_args` does not say so."""
        _DEFAULT["checked"] = value

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(here(f"{type(self).__name__} has no mean"))

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError(here(f"{type(self).__name__} has no variance"))

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        found: Tensor = self.variance.sqrt()
        return found

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Drawn: (*sample_shape, *batch_shape, *event_shape), a constant of differentiation."""
        with no_grad():
            return self._draw(self._extended(sample_shape)).detach()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """As `sample`, with gradients to the parameters. NotImplementedError where there is no such way."""
        if not self.has_rsample:
            raise NotImplementedError(
                here(f"{type(self).__name__}: samples have no gradient here; use sample()")
            )
        return self._draw(self._extended(sample_shape))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        raise NotImplementedError(here(f"{type(self).__name__} cannot be drawn"))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError(here(f"{type(self).__name__} has no log_prob"))

    def entropy(self) -> Tensor:
        """The mean of -log_prob."""
        raise NotImplementedError(here(f"{type(self).__name__} has no entropy"))

    def perplexity(self) -> Tensor:
        """exp of the entropy."""
        return self.entropy().exp()

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        raise NotImplementedError(here(f"{type(self).__name__} has no cdf"))

    def icdf(self, value: Any) -> Tensor:
        """What is at least drawn with this probability: the inverse of `cdf`."""
        raise NotImplementedError(here(f"{type(self).__name__} has no icdf"))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All that can be drawn, along a new first axis; not for each of the batch if not `expand`."""
        raise NotImplementedError(here(f"{type(self).__name__} has no enumerate_support"))

    def expand(self, batch_shape: Sequence[int]) -> Self:
        """The same for a greater batch, to which parameters broadcast."""
        shape, old = tuple(batch_shape), len(self.batch_shape)
        made = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(made, name, value.broadcast_to((*shape, *value.shape[old:])))
            elif isinstance(value, Distribution):
                setattr(made, name, value.expand((*shape, *value.batch_shape[old:])))
        made.batch_shape = shape
        return made

    def _listed(self, values: Tensor, expand: bool) -> Tensor:
        """`values` of a vector, as `enumerate_support` gives them."""
        values = values.reshape((-1, *[1] * len(self.batch_shape)))
        return values.broadcast_to((len(values), *self.batch_shape)) if expand else values

    def _extended(self, sample_shape: Sequence[int]) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def __repr__(self) -> str:
        shapes = f"batch_shape={self.batch_shape}, event_shape={self.event_shape}"
        return f"{type(self).__name__}({shapes})"


def checked(kind: str, name: str, x: Tensor, check: Check) -> None:
    """ValueError for a value that is not what `check` asks for."""
    told = _CHECKED.get()
    if not (_DEFAULT["checked"] if told is None else told):
        return
    fits = check[0](x.detach()).numpy()
    if not fits.all():
        raise ValueError(here(f"{kind}: {name} must be {check[1]}, not {x.detach().numpy()[~fits].flat[0]}"))


def parameters(kind: str, *given: tuple[str, Any, Check | None]) -> list[Tensor]:
    """All in one float dtype and one shape. ValueError for values that are known, and that `Check` does not
    hold of."""
    tensors = [_float(value) for _, value, _ in given]
    for (name, _, check), x in zip(given, tensors, strict=True):
        if check is not None and at_hand(x):
            checked(kind, name, x, check)
    dtype = np.result_type(*[x.dtype for x in tensors if x.ndim] or [x.dtype for x in tensors])
    return list(broadcast_tensors(*[x.astype(dtype) for x in tensors]))


def _float(value: Any) -> Tensor:
    x = asarray(value)
    return x if x.is_floating_point() else x.astype(default_float().np)


def one_of(kind: str, probs: Any, logits: Any) -> bool:
    """Whether it is `probs`. ValueError for both or none."""
    if (probs is None) == (logits is None):
        raise ValueError(here(f"{kind}: expected either probs or logits"))
    return probs is not None


LOG_2PI = math.log(2 * math.pi)


def within(inside: Tensor, found: Any) -> Tensor:
    """The logarithm of a density: -inf where nothing is drawn."""
    chosen: Tensor = where(inside, found, -math.inf)
    return chosen
