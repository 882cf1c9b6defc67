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
from .creation import given as asarray
from .engine import Array
from .errors import public
from .hosted import Hosted, Options
from .named import name_all, unary
from .promote import cast, dtype_of, float_dtype
from .tensor import Tensor

__all__ = [
    "addcdiv", "addcmul", "bitwise_count", "divmod", "fabs", "frac", "frexp", "gcd", "isneginf", "isposinf",
    "lcm", "ldexp", "modf",
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


fabs = unary(lambda x: ew.absolute(cast(x, float_dtype(x))), "|x|, in a float dtype.")
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


name_all(globals(), __all__)
