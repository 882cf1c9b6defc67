"""Random tensors: in compiled functions, too, where each call draws anew.

All are drawn by one generator (`generator=` names another one), which `manual_seed` sets. What NumPy has as
methods of a generator a `Generator` has, too: `default_rng(7).normal(0, 1, 3)`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, i64, u64

from .creation import Device, _shape, device_of
from .creation import given as asarray
from .defaults import float_or_default
from .errors import here, public
from .functional import where
from .generator import Generator, words_of
from .generator import normal as _normal
from .generator import uniform as _uniform
from .lanes import at_hand
from .named import of_home
from .promote import cast, dtype_of, whole
from .tensor import Tensor, apply

__all__ = [
    "Generator", "bernoulli", "beta", "binomial", "cauchy", "chisquare", "choice", "default_generator",
    "default_rng", "dirichlet", "exponential", "f", "fold_in", "fork_rng", "gamma", "geometric",
    "get_rng_state", "get_state", "gumbel", "initial_seed", "integers", "key", "keyed", "laplace",
    "logistic", "lognormal", "manual_seed", "multinomial", "negative_binomial", "normal", "pareto",
    "permutation", "poisson", "power", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "random", "randperm", "rayleigh", "seed", "set_rng_state", "set_state", "split",
    "standard_cauchy", "standard_exponential", "standard_gamma", "standard_normal", "standard_t",
    "triangular", "uniform", "vonmises", "wald", "weibull",
]  # fmt: skip
if TYPE_CHECKING:
    from .keys import fold_in, key, keyed, split
    from .laws import (
        beta,
        binomial,
        chisquare,
        dirichlet,
        f,
        gamma,
        geometric,
        negative_binomial,
        poisson,
        standard_gamma,
        standard_t,
        vonmises,
        wald,
    )

# Imported when one of them is asked for.
_LAWS = frozenset((
    "beta", "binomial", "chisquare", "dirichlet", "f", "gamma", "geometric", "negative_binomial", "poisson",
    "standard_gamma", "standard_t", "vonmises", "wald",
))  # fmt: skip
_HOMES = dict.fromkeys(_LAWS, "laws") | dict.fromkeys(("fold_in", "key", "keyed", "split"), "keys")
# The module may be imported while a function is traced: its state is no tensor of that trace.
default_generator = Context().run(Generator)


@public
def manual_seed(seed: int) -> Generator:
    """What is drawn from here on is decided by `seed`; the generator."""
    return default_generator.manual_seed(seed)


@public
def seed(seed: int | None = None) -> int:
    """What is drawn from here on is decided by `seed`, or by the system; the seed."""
    return default_generator.seed() if seed is None else default_generator.manual_seed(seed).initial_seed()


@public
def initial_seed() -> int:
    """What has been drawn is decided by this seed."""
    return default_generator.initial_seed()


@public
def default_rng(seed: int | None = None) -> Generator:
    """`Generator(seed)`, under NumPy's name."""
    return Generator(seed)


@public
def get_state() -> Any:
    """The state of the generator: an int64 array [seed, draws so far]."""
    return default_generator.get_state()


@public
def set_state(state: Any) -> None:
    """Go on from what `get_state` returned."""
    default_generator.set_state(state)


get_rng_state, set_rng_state = get_state, set_state


@public
@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """What is drawn inside changes nothing of what is drawn behind: the state is as before. The same for all
    devices."""
    before = default_generator.get_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            default_generator.set_state(before)


def _float(dtype: object) -> DType:
    kind = float_or_default(dtype)
    if not kind.is_float:
        raise TypeError(here(f"random floats need a float dtype, not {kind.numpy}"))
    return kind


def _source(generator: object) -> Generator:
    if generator is not None and not isinstance(generator, Generator):
        kind = type(generator).__name__
        raise TypeError(here(f"generator: expected a lucid.random.Generator, not {kind}"))
    return default_generator if generator is None else generator


def _drawn(
    shape: tuple[int, ...],
    kind: DType,
    build: Callable[[list[Node]], Node],
    generator: Generator | None,
    requires_grad: bool = False,
    device: Device = None,
) -> Tensor:
    """`build(bits)`: bits as `uniform` takes them."""
    found = _source(generator).draw(shape, words_of(kind), lambda *bits: build([*bits]), device=device)
    if requires_grad:
        found.requires_grad = True
    return found


@public
def rand(
    *shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1): multiples of 2**-24 (float64: 2**-53)."""
    kind = _float(dtype)
    return _drawn(_shape(shape), kind, lambda b: _uniform(kind, b), generator, requires_grad, device)


@public
def randn(
    *shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    kind = _float(dtype)
    return _drawn(_shape(shape), kind, lambda b: _normal(kind, b), generator, requires_grad, device)


@public
def random(size: Any = (), *, dtype: object = None, generator: Generator | None = None) -> Tensor:
    """`rand`, with NumPy's argument."""
    return rand(*_shape((size,)), dtype=dtype, generator=generator)


@public
def standard_normal(size: Any = (), *, dtype: object = None, generator: Generator | None = None) -> Tensor:
    """`randn`, with NumPy's argument."""
    return randn(*_shape((size,)), dtype=dtype, generator=generator)


def _size(size: Any, *operands: Any) -> tuple[int, ...]:
    """`size`, or the shape that the operands make together."""
    if size is not None:
        return _shape((size,))
    return np.broadcast_shapes(*(asarray(x).shape for x in operands))


def _beside(*near: Any) -> Device:
    """The device that the first of these lies on that lies on one."""
    return next((d for d in map(device_of, near) if d), None)


@public
def uniform(
    low: Any = 0.0, high: Any = 1.0, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Uniform in [low, high); both may be tensors, through which gradients flow."""
    shape = _size(size, low, high)
    top = asarray(high, dtype if isinstance(high, int | float) else None)
    device = _beside(low, high)
    drawn: Tensor = rand(*shape, dtype=dtype, device=device, generator=generator) * (top - low) + low
    return drawn


@public
def normal(
    loc: Any = 0.0,
    scale: Any = 1.0,
    size: Any = None,
    *,
    mean: Any = None,
    std: Any = None,
    dtype: object = None,
    device: Device = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normal with mean `loc` and standard deviation `scale` (PyTorch: `mean`, `std`), through which gradients
    flow."""
    loc, scale = loc if mean is None else mean, scale if std is None else std
    shape = _size(size, loc, scale)
    device = _beside(loc, scale) if device is None else device
    spread = _positive("normal", "scale", scale, True)
    drawn: Tensor = randn(*shape, dtype=dtype, device=device, generator=generator) * spread + loc
    return drawn


@public
def exponential(
    scale: Any = 1.0, size: Any = None, *, dtype: object = None, generator: Generator | None = None
) -> Tensor:
    """Exponential with mean `scale`."""
    mean = _positive("exponential", "scale", scale, True)
    drawn: Tensor = _exponentials(_size(size, scale), dtype, generator, scale) * mean
    return drawn


def _between(shape: tuple[int, ...], dtype: object, generator: Generator | None, *near: Any) -> Tensor:
    """Uniform in (0, 1), where the first of `near` is that lies on a device."""
    kind = _float(dtype)
    return _drawn(shape, kind, lambda b: _uniform(kind, b, centred=True), generator, device=_beside(*near))


def _exponentials(shape: tuple[int, ...], dtype: object, generator: Generator | None, *near: Any) -> Tensor:
    """Exponential with mean 1, there."""
    kind = _float(dtype)

    def build(bits: list[Node]) -> Node:
        return ops.NEG(ops.LOG(_uniform(kind, bits, centred=True)))

    return _drawn(shape, kind, build, generator, device=_beside(*near))


def _known(value: Any) -> Any:
    """The values of numbers and arrays; of a tensor, which is not looked at, none."""
    return np.empty(0) if isinstance(value, Tensor) else np.asarray(value)


@public
def bernoulli(p: Any, size: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with probability `p` (in [0, 1]), else 0, in the dtype of `p`; NaN never is 1. ValueError for numbers
    and arrays outside of that; a tensor is not looked at: it draws 0 below, and 1 above."""
    chance = asarray(p)
    if not chance.is_floating_point():
        raise TypeError(here(f"bernoulli: probabilities are floats, not {chance.dtype}"))
    given = _known(p)
    wrong = given[(given < 0) | (given > 1)]
    if wrong.size:
        raise ValueError(here(f"bernoulli: probabilities are from 0 to 1, not {wrong.flat[0]}"))
    drawn = rand(*_size(size, chance), dtype=chance.dtype, device=device_of(chance), generator=generator)
    return (drawn < chance).astype(chance.dtype)


@public
def randint(
    low: int, high: Any = None, size: Any = (), *, dtype: object = None, device: Device = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Integers in [low, high), or [0, low) without `high`, in whose place a shape may stand: `randint(10, (2,
    3))` is PyTorch's. ValueError if there are none, or where the dtype (int64 by default) does not hold
    them."""
    kind = dtype_of(np.int64 if dtype is None else dtype)
    if isinstance(high, tuple | list):
        high, size = None, high
    if kind.is_float:
        drawn = randint(low, high, size, device=device, generator=generator)
        return drawn.astype(kind.np)
    first, last = (0, whole("low", low)) if high is None else (whole("low", low), whole("high", high))
    if first >= last:
        raise ValueError(here(f"randint: no {kind.numpy} in [{first}, {last})"))
    info = (0, 1) if kind.kind == "b" else (int(np.iinfo(kind.numpy).min), int(np.iinfo(kind.numpy).max))
    if first < info[0] or last - 1 > info[1]:
        raise ValueError(here(f"randint: {kind.numpy} does not hold all of [{first}, {last})"))
    span = last - first

    def build(high: Node, low: Node) -> Node:
        """floor(bits * span / 2**32), of 64 bits where span is as large: off by 2**-32 at most."""
        word = ops.CAST(high, dtype=u64)
        if span <= 1 << 24:
            found = ops.SHR(ops.MUL(word, ops.const(span, word)), ops.const(32, word))
        else:
            whole = ops.OR(ops.SHL(word, ops.const(32, word)), ops.CAST(low, dtype=u64))
            found = whole if span == 1 << 64 else ops.MOD(whole, ops.const(span, whole))
        return cast(
            ops.ADD(ops.CAST(found, dtype=i64), ops.const(_signed(first), ops.CAST(found, dtype=i64))), kind
        )

    return _source(generator).draw(_shape((size,)), 2, build, device=device)


def _signed(value: int) -> int:
    """As an int64 that wraps."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _like(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def function(x: Any, *args: Any, dtype: object = None, **more: Any) -> Tensor:
        like = asarray(x)
        more.setdefault("device", device_of(like))
        return draw(*like.shape, *args, dtype=like.dtype if dtype is None else dtype, **more)

    function.__doc__ = f"`{draw.__name__}` of the shape and dtype of x."
    function.__name__ = function.__qualname__ = f"{draw.__name__}_like"
    return public(function)


rand_like, randn_like = _like(rand), _like(randn)


@public
def randint_like(
    x: Any, low: int, high: int | None = None, *, dtype: object = None, device: Device = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """`randint` of the shape and dtype of x."""
    like = asarray(x)
    kind = like.dtype if dtype is None else dtype
    where = device_of(like) if device is None else device
    return randint(low, high, like.shape, dtype=kind, device=where, generator=generator)


@public
def integers(
    low: int, high: int | None = None, size: Any = (), dtype: object = None, endpoint: bool = False, *,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """`randint`, with the arguments of NumPy's generators: `endpoint` draws the last number, too."""
    first, last = (0, low) if high is None else (low, high)
    return randint(first, last + endpoint, size, dtype=dtype, generator=generator)


def _orders(count: int, generator: Generator | None, device: Device = None) -> Tensor:
    """A random order of 0, 1, ..., count - 1."""

    def build(high: Node, low: Node) -> Node:
        words = ops.SHL(ops.CAST(high, dtype=u64), ops.const(32, ops.CAST(high, dtype=u64)))
        return ops.ARGSORT(ops.OR(words, ops.CAST(low, dtype=u64)), axis=0)

    return _source(generator).draw((count,), 2, build, device=device)


@public
def permutation(x: Any, *, generator: Generator | None = None) -> Tensor:
    """The numbers 0 to x - 1 in a random order; of an array, its rows (along the first axis)."""
    if isinstance(x, int | np.integer):
        return _orders(_shape((x,))[0], generator)
    rows = asarray(x)
    if not rows.shape:
        raise ValueError(here("permutation: a 0-d tensor has no rows"))
    order = _orders(rows.shape[0], generator, device_of(rows))
    return apply(lambda n, i: ops.GATHER(n, i, axes=(0,)), rows, order)


@public
def randperm(
    n: int, *, dtype: object = None, device: Device = None, generator: Generator | None = None
) -> Tensor:
    """The numbers 0 to n - 1 in a random order; int64 by default."""
    order = _orders(_shape((n,))[0], generator, device)
    return order if dtype is None else order.astype(dtype)


@public
def choice(a: Any, size: Any = (), replace: bool = True, *, generator: Generator | None = None) -> Tensor:
    """Elements of `a` (rows; or of 0 to a - 1), each as likely as any other. ValueError for more than there
    are, without `replace`."""
    rows = None if isinstance(a, int | np.integer) else asarray(a)
    if rows is not None and not rows.ndim:
        raise TypeError(f"choice: expected an int or an array with rows, not {type(a).__name__}")
    count = int(a) if rows is None else rows.shape[0]
    shape = _shape((size,))
    wanted = math.prod(shape)
    if (count < 1 and wanted) or (not replace and wanted > count):
        raise ValueError(here(f"choice: {wanted} of {count}"))
    if replace:
        index = randint(0, max(1, count), shape, device=device_of(rows), generator=generator)
    else:
        index = _orders(count, generator, device_of(rows))[:wanted].reshape(shape)
    return index if rows is None else apply(lambda n, i: ops.GATHER(n, i, axes=(0,)), rows, index)


@public
def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places along the last axis of `input`, a vector or rows of weights: each as likely as its weight says,
    and, without `replacement`, no place twice. int64. ValueError for more than there are, and for weights
    that are known to be negative or not finite, or too few above 0. (Without replacement the greatest of the
    weights over exponential numbers: Efraimidis and Spirakis, Weighted random sampling with a
    reservoir, 2006.)"""
    weights = asarray(input)
    count = whole("num_samples", num_samples)
    if weights.ndim not in (1, 2) or not weights.is_floating_point():
        raise ValueError(
            here(f"multinomial: expected a vector or rows of floats, got {weights.dtype} {weights.shape}")
        )
    n = weights.shape[-1]
    if count < 1 or (not replacement and count > n) or not n:
        raise ValueError(here(f"multinomial: {count} of {n}"))
    weights = weights.detach()
    if at_hand(weights):
        given = weights.numpy()
        positive = (given > 0).sum(-1)
        if not (np.isfinite(given) & (given >= 0)).all() or (positive < (1 if replacement else count)).any():
            raise ValueError(here("multinomial: a weight is negative or not finite, or too few are above 0"))
    weights = weights.astype(np.promote_types(weights.dtype, np.float32))
    if replacement:
        ends = weights.cumsum(-1)
        shape = (*weights.shape[:-1], count)
        drawn = (
            rand(*shape, dtype=weights.dtype, device=device_of(weights), generator=generator) * ends[..., -1:]
        )
        return (drawn.unsqueeze(-1) >= ends.unsqueeze(-2)).sum(-1)
    one = asarray(1.0, device=device_of(weights))
    times = exponential(one, weights.shape, dtype=weights.dtype, generator=generator)
    ranks = apply(
        lambda w, t: ops.WHERE(ops.GT(w, ops.const(0, w)), ops.DIV(w, t), ops.const(-1, w)), weights, times
    )
    return ranks.topk(count, dim=-1)[1]


# --- more laws, in closed form: gradients flow to the parameters ----------------------------------
# Each is the inverse of a distribution function, at a number that is uniform in (0, 1) or at exp(-e) of an
# exponential e (Devroye, Non-uniform random variate generation, 1986, chapter II.2). Parameters are NumPy's.


@public
def standard_exponential(
    size: Any = (), *, dtype: object = None, generator: Generator | None = None
) -> Tensor:
    """Exponential with mean 1."""
    return exponential(1.0, size, dtype=dtype, generator=generator)


@public
def standard_cauchy(size: Any = (), *, dtype: object = None, generator: Generator | None = None) -> Tensor:
    """Cauchy: the quotient of two standard normal numbers has this law."""
    drawn = _between(_size(size), dtype, generator)
    found: Tensor = ((drawn - 0.5) * math.pi).tan()
    return found


@public
def cauchy(
    median: Any = 0.0, sigma: Any = 1.0, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Cauchy around `median`: half of it is within `sigma`."""
    drawn = standard_cauchy(_size(size, median, sigma), dtype=dtype, generator=generator)
    found: Tensor = drawn * _positive("cauchy", "sigma", sigma, True) + median
    return found


@public
def laplace(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Laplace, of density exp(-|x - loc| / scale) / (2 scale): the difference of two exponential numbers."""
    shape = _size(size, loc, scale)
    one, other = (_exponentials(shape, dtype, generator, loc, scale) for _ in range(2))
    found: Tensor = (one - other) * _positive("laplace", "scale", scale, True) + loc
    return found


@public
def logistic(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Logistic, of the distribution function 1 / (1 + exp((loc - x) / scale))."""
    drawn = _between(_size(size, loc, scale), dtype, generator, loc, scale)
    found: Tensor = (drawn.log() - (-drawn).log1p()) * _positive("logistic", "scale", scale, True) + loc
    return found


@public
def gumbel(
    loc: Any = 0.0, scale: Any = 1.0, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Gumbel, of the distribution function exp(-exp((loc - x) / scale))."""
    drawn = _exponentials(_size(size, loc, scale), dtype, generator, loc, scale)
    found: Tensor = loc - drawn.log() * _positive("gumbel", "scale", scale, True)
    return found


@public
def lognormal(
    mean: Any = 0.0, sigma: Any = 1.0, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """exp of normal numbers with this mean and standard deviation."""
    found: Tensor = normal(mean, sigma, size, dtype=dtype, generator=generator).exp()
    return found


@public
def pareto(a: Any, size: Any = None, *, dtype: object = None, generator: Generator | None = None) -> Tensor:
    """Pareto II (Lomax), as NumPy's: of the distribution function 1 - (1 + x)**-a, x >= 0."""
    found: Tensor = (_exponentials(_size(size, a), dtype, generator, a) / _positive("pareto", "a", a)).expm1()
    return found


@public
def power(a: Any, size: Any = None, *, dtype: object = None, generator: Generator | None = None) -> Tensor:
    """Of the distribution function x**a, x in [0, 1]."""
    found: Tensor = (_exponentials(_size(size, a), dtype, generator, a) / -_positive("power", "a", a)).exp()
    return found


@public
def rayleigh(
    scale: Any = 1.0, size: Any = None, *, dtype: object = None, generator: Generator | None = None
) -> Tensor:
    """Rayleigh: the length of a vector of two normal numbers, each of the standard deviation `scale`."""
    spread = _positive("rayleigh", "scale", scale, True)
    found: Tensor = (_exponentials(_size(size, scale), dtype, generator, scale) * 2).sqrt() * spread
    return found


@public
def weibull(a: Any, size: Any = None, *, dtype: object = None, generator: Generator | None = None) -> Tensor:
    """Weibull, of the distribution function 1 - exp(-x**a), x >= 0."""
    found: Tensor = _exponentials(_size(size, a), dtype, generator, a) ** (1 / _positive("weibull", "a", a))
    return found


@public
def triangular(
    left: Any, mode: Any, right: Any, size: Any = None, *, dtype: object = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Of a density that rises in a line from `left` to `mode` and falls to `right`. ValueError for
    Python numbers in another order."""
    left, mode, right = map(_weak, (left, mode, right))
    if not any(isinstance(x, Tensor) for x in (left, mode, right)) and not left <= mode <= right:
        raise ValueError(here(f"triangular: expected left <= mode <= right, got {left}, {mode}, {right}"))
    shape = _size(size, left, mode, right)
    drawn = _between(shape, dtype, generator, left, mode, right)
    rises, falls, whole = mode - left, right - mode, right - left
    below, above = left + (drawn * whole * rises).sqrt(), right - ((1 - drawn) * whole * falls).sqrt()
    found: Tensor = where(drawn * whole < rises, below, above)
    return found


def _positive(name: str, parameter: str, value: Any, zero: bool = False) -> Any:
    """ValueError for numbers and arrays that are not above 0, or, with `zero`, below; a tensor is not looked
    at, and what stands for a number is compared, not read."""
    given = value if isinstance(value, int | float) else _known(value)
    wrong = given < 0 if zero else np.logical_not(given > 0)
    if np.any(wrong):
        told, first = "at least 0" if zero else "above 0", np.asarray(given)[np.asarray(wrong)].flat[0]
        raise ValueError(here(f"{name}: {parameter} must be {told}, not {first}"))
    return _weak(value)


def _weak(value: Any) -> Any:
    """A tensor, or a Python number, which takes the dtype of what it meets."""
    return value if isinstance(value, Tensor | int | float) else asarray(value)


# What NumPy's generators have as methods.
METHODS = frozenset((
    "choice", "exponential", "gumbel", "integers", "laplace", "logistic", "lognormal", "normal", "pareto",
    "permutation", "power", "random", "rayleigh", "standard_cauchy", "standard_exponential",
    "standard_normal", "triangular", "uniform", "weibull", *_LAWS,
))  # fmt: skip


def __getattr__(name: str) -> Any:
    return of_home(__name__, _HOMES, name)
