"""Functions of numbers as they are written: of integers, and of the parts of floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import TensorType

from . import elementwise as ew
from . import hosted
from .array_functions import pad
from .creation import arange, constant
from .creation import given as asarray
from .engine import Array
from .errors import public
from .functional import nextafter, where
from .hosted import Hosted, Options
from .named import name_all, unary
from .promote import cast, dtype_of, loop_dtypes
from .shapes import normal_axis
from .tensor import Tensor

__all__ = [
    "addcdiv", "addcmul", "bitwise_count", "divmod", "fabs", "frac", "frexp", "gcd", "isneginf", "isposinf",
    "lcm", "ldexp", "modf", "packbits", "spacing", "unpackbits",
]  # fmt: skip


# --- of integers -----------------------------------------------------------------------------------


def _of_integers(name: str, ufunc: np.ufunc) -> Hosted:
    def types(options: Options, a: TensorType, b: TensorType) -> tuple[TensorType, ...]:
        shape = np.broadcast_shapes(a.shape, b.shape)
        return (TensorType(dtype_of(ufunc.resolve_dtypes((a.dtype.np, b.dtype.np, None))[2]), shape),)

    def compute(options: Options, a: Array, b: Array) -> tuple[Array, ...]:
        return (ufunc(a, b),)

    return Hosted(name, compute, types, lambda call, k, ct, needs: (None, None), flat=(0,))


_GCD, _LCM = _of_integers("gcd", np.gcd), _of_integers("lcm", np.lcm)


def _integers(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two tensors of integers; a Python number is of the dtype of the other, as NumPy's rules have it."""
    plain = [isinstance(v, int) and not isinstance(v, bool) for v in (a, b)]
    if plain == [True, False]:
        b = asarray(b)
        a = asarray(a, dtype=b.dtype)
    elif plain == [False, True]:
        a = asarray(a)
        b = asarray(b, dtype=a.dtype)
    found = asarray(a), asarray(b)
    for x in found:
        if x.dtype.kind not in "iu":
            raise TypeError(f"{name}: expected integers, not {x.dtype}")
    np.broadcast_shapes(found[0].shape, found[1].shape)
    return found


@public
def gcd(a: Any, b: Any) -> Tensor:
    """The greatest common divisor of two integers, which is not negative; NumPy finds it, in a compiled
    function as a step between kernels. TypeError for other dtypes."""
    return hosted.results(_GCD, *_integers("gcd", a, b))[0]


@public
def lcm(a: Any, b: Any) -> Tensor:
    """The least common multiple of two integers; NumPy finds it, in a compiled function as a step between
    kernels. TypeError for other dtypes."""
    return hosted.results(_LCM, *_integers("lcm", a, b))[0]


def _places_of_bits(name: str, bitorder: str) -> Tensor:
    """How far each of the eight bits of a byte lies from its end."""
    if bitorder not in ("big", "little"):
        raise ValueError(f"{name}: bitorder must be 'big' or 'little', not {bitorder!r}")
    return constant(arange(8, dtype=np.uint8) if bitorder == "little" else arange(7, -1, -1, dtype=np.uint8))


def _bytes_last(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """With the axis at the end, for None of all elements in a row."""
    if axis is None:
        return x.ravel(), 0
    at = normal_axis(axis, x.ndim)
    return x.moveaxis(at, -1), at


@public
def packbits(x: Any, /, axis: int | None = None, bitorder: str = "big") -> Tensor:
    """Eight elements of an axis (of all in a row, for None), 1 where they are not 0, as one of uint8; zeros
    come behind the last ones."""
    x = asarray(x)
    if x.dtype.kind not in "biu":
        raise TypeError(f"packbits: expected integers or bools, not {x.dtype}")
    bits, at = _bytes_last(x != 0, axis)
    behind = -bits.shape[-1] % 8
    bits = pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, behind)]) if behind else bits
    bits = bits.reshape((*bits.shape[:-1], bits.shape[-1] // 8, 8)).astype(np.uint8)
    found: Tensor = (bits << _places_of_bits("packbits", bitorder)).sum(-1, dtype=np.uint8)
    return found.moveaxis(-1, at)


@public
def unpackbits(x: Any, /, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Tensor:
    """The bits of numbers of uint8, eight in the place of one, along an axis (of all in a row, for None). Of
    these the first `count`, with zeros behind the last ones where there are less, or all but so many."""
    x = asarray(x)
    if x.dtype != np.uint8:
        raise TypeError(f"unpackbits: expected uint8, not {x.dtype}")
    whole, at = _bytes_last(x, axis)
    bits = (whole.unsqueeze(-1) >> _places_of_bits("unpackbits", bitorder)) & 1
    bits = bits.reshape((*whole.shape[:-1], whole.shape[-1] * 8))
    if count is not None:
        n = bits.shape[-1]
        kept = count if count >= 0 else n + count
        if kept < 0:
            raise ValueError(f"unpackbits: count {count} of {n} bits")
        more = max(0, kept - n)
        bits = pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, more)]) if more else bits[..., :kept]
    return bits.moveaxis(-1, at)


@public
def bitwise_count(x: Any) -> Tensor:
    """How many bits of |x| are 1, as uint8. TypeError for what has no bits to count."""
    x = asarray(x)
    if x.dtype.kind not in "iu":
        raise TypeError(f"bitwise_count: expected integers, not {x.dtype}")
    bits = x.abs().astype(f"uint{8 * x.dtype.itemsize}").astype(np.uint64)
    # Sums of neighbours, in fields of 2, 4 and 8 bits; those of the bytes, by a product, in the highest one.
    bits = bits - ((bits >> 1) & 0x5555555555555555)
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((bits * 0x0101010101010101) >> 56).astype(np.uint8)  # type: ignore[no-any-return]


@public
def divmod(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """(a // b, a % b)."""
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = asarray(a)
    return a // b, a % b


# --- the parts of floats -----------------------------------------------------------------------------


def _frexp_types(options: Options, x: TensorType) -> tuple[TensorType, ...]:
    return x, TensorType(dtype_of(np.int32), x.shape)


def _frexp_vjp(call: hosted.Call, k: int, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    exponent = cast(call.out(1), ct.type.dtype)
    return (ops.MUL(ct, ops.EXP2(ops.NEG(exponent))),)


_FREXP = Hosted("frexp", lambda options, x: np.frexp(x), _frexp_types, _frexp_vjp, flat=(1,))


@public
def frexp(x: Any) -> tuple[Tensor, Tensor]:
    """(m, e), with x = m 2**e and 0.5 <= |m| < 1; e is int32. NumPy finds them, in a compiled function as a
    step between kernels. Gradients flow to m."""
    mantissa, exponent = hosted.results(_FREXP, _floats(x))
    return mantissa, exponent


@public
def ldexp(x: Any, n: Any) -> Tensor:
    """x 2**n. (Results of float64 that are below the normal range may be rounded twice.) Of an n that is no
    integer, as PyTorch's, the product of x and 2**n."""
    x, n = _floats(x), asarray(n)
    if n.dtype.kind not in "iub":
        return x * 2**n  # type: ignore[no-any-return]
    wide = x.astype(np.float64) if x.dtype.itemsize < 8 else x
    n = n.clip(-3000, 3000) if n.dtype.itemsize > 1 else n.astype(np.int64)
    third = n // 3
    for part in (third, third, n - 2 * third):
        wide = wide * part.astype(np.float64).exp2()
    return wide.astype(x.dtype)  # type: ignore[no-any-return]


@public
def modf(x: Any) -> tuple[Tensor, Tensor]:
    """(the fraction, the whole part), both with the sign of x; of infinities 0 and the infinity."""
    x = _floats(x)
    whole = x.trunc()
    return (x - whole).masked_fill(x.isinf(), 0.0).copysign(x), whole


def _floats(x: Any) -> Tensor:
    """A tensor of floats; of integers as NumPy's functions convert them."""
    x = asarray(x)
    if x.dtype.kind in "iub":
        return x.astype(np.sqrt(np.zeros((), x.dtype)).dtype)  # type: ignore[no-any-return]
    return x  # type: ignore[no-any-return]


def _sided(value: float) -> Callable[[Node], Node]:
    def build(x: Node) -> Node:
        if x.type.dtype.is_complex:
            raise TypeError("infinities of complex numbers have no sign; take .real or .imag")
        return ew.eq(x, value) if x.type.dtype.is_float else ew.isinf(x)

    return build


fabs = unary(
    lambda x: ew.absolute(cast(x, loop_dtypes(np.fabs, x.type.dtype.name)[0])), "|x|, in a float dtype."
)
frac = unary(lambda x: ew.sub(x, ew.trunc(x)), "x - trunc(x): the fraction, with the sign of x.")
isneginf = unary(_sided(-np.inf), "Whether each element is -inf.")
isposinf = unary(_sided(np.inf), "Whether each element is inf.")


@public
def addcmul(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """x + value tensor1 tensor2."""
    return asarray(x) + asarray(tensor1) * tensor2 * value  # type: ignore[no-any-return]


@public
def addcdiv(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """x + value tensor1 / tensor2."""
    return asarray(x) + asarray(tensor1) * value / tensor2  # type: ignore[no-any-return]


@public
def spacing(x: Any) -> Tensor:
    """The distance of each element to the next number further from 0, with the sign of x; NaN of inf. It has
    no gradient."""
    x = asarray(x).detach()
    x = x.astype(loop_dtypes(np.spacing, dtype_of(x.dtype).name)[0].np)
    away = nextafter(x, where(x < 0, -np.inf, np.inf).astype(x.dtype))
    found: Tensor = away - x
    return found


name_all(globals(), __all__)
