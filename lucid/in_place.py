"""PyTorch's methods that end in `_`: they give this tensor a new value, for all who hold it, and return it.
Other tensors keep theirs, `detach()`, views and arrays of `numpy()` included: memory is never shared with
what changes. dtype and shape stay: TypeError or ValueError where the result has others. What is true or false
becomes 1 or 0, as PyTorch has it, and methods of SHAPED give a tensor of another shape, which no leaf that
requires grad and no tensor from outside of a compiled function takes. A leaf that requires grad can change
under `no_grad()` only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lucid.compiler.ir.types import b1

from .errors import bounds, here, public
from .promote import dtype_of

if TYPE_CHECKING:
    from .tensor import Tensor

# Methods, apart from those of records of ops, that give a tensor of the same shape.
_NAMES = """abs absolute add addbmm addcdiv addcmul addmm addmv addr baddbmm bitwise_and
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max
    clamp_min clip conj_physical cumprod cumsum deg2rad div divide eq fix float_power floor floor_divide
    frac gcd ge greater greater_equal gt heaviside hypot i0 igamma igammac index_add index_copy
    index_fill index_put index_reduce lcm ldexp le lerp less less_equal logical_and logical_not
    logical_or logical_xor logit lt masked_fill masked_scatter maximum minimum mul multiply mvlgamma
    nan_to_num ne neg negative nextafter not_equal polygamma pow rad2deg reciprocal relu remainder
    renorm round rsqrt scatter scatter_add scatter_reduce sinc softmax square sub subtract tril triu
    true_divide trunc xlogy"""
METHODS = _NAMES.split()
# Those that give another shape. (PyTorch's `transpose` exchanges two axes, NumPy's takes all.)
SHAPED = {"transpose": "swapaxes", **{n: n for n in ("squeeze", "swapaxes", "swapdims", "t", "unsqueeze")}}


def in_place(name: str, shaped: bool = False) -> Callable[..., Any]:
    """The method called `name`, in place."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = getattr(self, name)(*args, **kwargs)
        if getattr(found, "dtype", None) == np.bool_:
            found = found.astype(self.dtype)
        return self._become(found, shaped)

    method.__name__, method.__doc__ = f"{name}_", f"`{name}`, in place."
    method.__qualname__ = f"Tensor.{name}_"
    return public(method)


@bounds
class InPlace:
    """What Tensor inherits."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> Any: ...
        @property
        def device(self) -> str: ...
        def _become(self, new: Any, shaped: bool = False) -> Self: ...
        def detach(self) -> Tensor: ...
        def ravel(self, order: str = "C") -> Tensor: ...

    def copy_(self, src: Any, non_blocking: bool = False) -> Self:
        """The values of `src`, which broadcast, converted to this dtype and brought to this device."""
        from .creation import given as asarray

        value = asarray(src, device=self.device)
        return self._become(value.astype(self.dtype).broadcast_to(self.shape))

    def fill_(self, value: Any) -> Self:
        """`value` everywhere."""
        return self.copy_(value)

    def zero_(self) -> Self:
        """0 everywhere."""
        return self.copy_(0)

    def uniform_(self, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Self:
        """Drawn evenly from `from_` to `to`, which is not drawn. ValueError where `to` is less."""
        from .random import uniform

        if from_ > to:
            raise ValueError(here(f"uniform_: expected from_ <= to, got {from_} and {to}"))
        return self.copy_(uniform(from_, to, self.shape, dtype=self.dtype, generator=generator))

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Self:
        """Drawn from the normal distribution."""
        from .random import normal

        return self.copy_(normal(mean, std, self.shape, dtype=self.dtype, generator=generator))

    def exponential_(self, lambd: float = 1.0, *, generator: Any = None) -> Self:
        """Drawn from the exponential distribution, of the mean 1 / lambd."""
        from .random import exponential

        return self.copy_(exponential(1.0 / lambd, self.shape, dtype=self.dtype, generator=generator))

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Self:
        """Drawn from the Cauchy distribution."""
        from .random import cauchy

        return self.copy_(cauchy(median, sigma, self.shape, dtype=self.dtype, generator=generator))

    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Self:
        """exp of numbers that are drawn from the normal distribution, of this mean and deviation."""
        from .random import lognormal

        return self.copy_(lognormal(mean, std, self.shape, dtype=self.dtype, generator=generator))

    def geometric_(self, p: float, *, generator: Any = None) -> Self:
        """How many trials of the probability `p` it takes until one succeeds."""
        from .laws import geometric

        return self.copy_(geometric(p, self.shape, generator=generator))

    def random_(self, from_: int | None = None, to: int | None = None, *, generator: Any = None) -> Self:
        """Whole numbers from `from_` (0) to `to`, which is not drawn; one number is `to`. Without one, up to
        the greatest of the dtype, of floats up to where all whole numbers are."""
        from .random import randint

        kind = dtype_of(self.dtype)
        first, end = (0, from_) if to is None else (from_, to)
        if end is None:
            most = 2 ** (kind.fraction + 1) if kind.is_float else 1 if kind is b1 else np.iinfo(kind.np).max
            end = int(most) + 1
        whole = np.int64 if kind.is_float else kind.np
        return self.copy_(randint(first or 0, end, self.shape, dtype=whole, generator=generator))

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Self:
        """1 with the probability `p`, else 0."""
        from .random import bernoulli

        return self.copy_(bernoulli(p, self.shape, generator=generator))

    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> Self:
        """The value in the places of the diagonal; with `wrap` of a tall matrix again below its end."""
        from .choosing import fill_diagonal

        fill_diagonal(self, fill_value, wrap)
        return self

    def put_(self, index: Any, source: Any, accumulate: bool = False) -> Self:
        """The elements of `source` in these places of all elements in a row; with `accumulate` added."""
        flat = self.ravel().at[index]
        return self._become((flat.add(source) if accumulate else flat.set(source)).reshape(self.shape))

    def detach_(self) -> Self:
        """The same value, as a constant of differentiation from here on."""
        return self._become(self.detach())


for _name in METHODS:
    setattr(InPlace, f"{_name}_", in_place(_name))
for _name, _of in SHAPED.items():
    setattr(InPlace, f"{_name}_", in_place(_of, shaped=True))
