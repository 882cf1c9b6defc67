"""Element types and tensor types: the words every level of the compiler shares."""

from __future__ import annotations

import functools
import importlib
import math

import numpy as np

from .data import data, field


@data(eq=False)
class DType:
    """One element type. `kind` is 'b' (bool), 'i', 'u', 'f' or 'c'; `llvm` is its type in memory; of floats,
    `fraction` is the number of bits behind the point.

    `wide`: the format in which values of this one are computed, for those that are for memory alone: each op
    widens its operands, exactly, and rounds its result once, to nearest even; reductions accumulate in it.
    `package`: NumPy has the dtype from it.

    Of complex numbers ('c') graphs know alone: kernels have two real ones for each (`passes/pairs.py`).

    There is one object for each type: they compare and hash by identity, which is quick.
    """

    name: str
    kind: str
    bits: int
    numpy: str
    llvm: str
    fraction: int = 0
    wide: DType | None = None
    package: str = ""
    is_float: bool = field(init=False)
    is_complex: bool = field(init=False)
    is_inexact: bool = field(init=False)  # whether gradients flow through it: floats, and complex numbers

    def __post_init__(self) -> None:
        for name, kinds in (("is_float", "f"), ("is_complex", "c"), ("is_inexact", "fc")):
            object.__setattr__(self, name, self.kind in kinds)

    @property
    def size(self) -> int:
        """Bytes of one element in memory."""
        return self.bits // 8

    @property
    def part(self) -> DType:
        """Of a complex number its real part's; else this one."""
        return _PARTS.get(self, self)

    @property
    def computed(self) -> DType:
        """The format of what is computed with values of this one: `wide`, or itself."""
        return self.wide or self

    @property
    def np(self) -> np.dtype[np.generic]:
        if self.package:
            return _loaded(self.package, self.numpy)
        return np.dtype(self.numpy)

    @property
    def epsilon(self) -> float:
        """From 1 to the next float."""
        return math.ldexp(1.0, -self.fraction)

    @property
    def tiny(self) -> float:
        """The least normal float."""
        return math.ldexp(1.0, 2 - (1 << (self.bits - 2 - self.fraction)))

    @property
    def most(self) -> float:
        """The greatest float."""
        return math.ldexp(2.0 - self.epsilon, (1 << (self.bits - 2 - self.fraction)) - 1)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"lucid.{self.numpy}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return from_numpy, (self.numpy,)


@functools.cache
def _loaded(package: str, name: str) -> np.dtype[np.generic]:
    try:
        found: np.dtype[np.generic] = np.dtype(getattr(importlib.import_module(package), name))
        return found
    except ImportError:
        raise ImportError(f"{name} needs the package {package}: pip install lucid-compiler[{name}]") from None


b1 = DType("b1", "b", 8, "bool", "i8")
i8 = DType("i8", "i", 8, "int8", "i8")
i16 = DType("i16", "i", 16, "int16", "i16")
i32 = DType("i32", "i", 32, "int32", "i32")
i64 = DType("i64", "i", 64, "int64", "i64")
u8 = DType("u8", "u", 8, "uint8", "i8")
u16 = DType("u16", "u", 16, "uint16", "i16")
u32 = DType("u32", "u", 32, "uint32", "i32")
u64 = DType("u64", "u", 64, "uint64", "i64")
f32 = DType("f32", "f", 32, "float32", "float", 23)
f64 = DType("f64", "f", 64, "float64", "double", 52)
f16 = DType("f16", "f", 16, "float16", "i16", 10, f32)
bf16 = DType("bf16", "f", 16, "bfloat16", "i16", 7, f32, "ml_dtypes")

c64 = DType("c64", "c", 64, "complex64", "")
c128 = DType("c128", "c", 128, "complex128", "")

# What kernels compute with; and complex numbers, of which graphs know alone.
DTYPES: dict[str, DType] = {
    d.name: d for d in (b1, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64)
}
GRAPH_DTYPES: dict[str, DType] = DTYPES | {d.name: d for d in (c64, c128)}
_PARTS: dict[DType, DType] = {c64: f32, c128: f64}
_BY_NUMPY: dict[str, DType] = {d.numpy: d for d in GRAPH_DTYPES.values()}
_BY_DTYPE: dict[np.dtype[np.generic], DType] = {d.np: d for d in GRAPH_DTYPES.values() if not d.package}


def from_numpy(dtype: object) -> DType:
    """The DType of a NumPy dtype (or anything `np.dtype` accepts). TypeError if there is none."""
    if isinstance(dtype, DType):
        return dtype
    known = _BY_DTYPE.get(dtype) if isinstance(dtype, np.dtype) else None
    if known is not None:
        return known
    if isinstance(dtype, str) and dtype in _BY_NUMPY:
        return _BY_NUMPY[dtype]
    try:
        resolved = np.dtype(dtype)  # type: ignore[call-overload]  # any object: rejected below
    except TypeError:
        raise TypeError(f"unknown dtype {dtype!r}; expected one of {', '.join(_BY_NUMPY)}") from None
    found = _BY_NUMPY.get(resolved.name)
    if found is None or (found.package and found.np != resolved):
        raise TypeError(f"unsupported dtype {resolved}; expected one of {', '.join(_BY_NUMPY)}")
    if found.package:
        _BY_DTYPE[resolved] = found
    return found


@data
class TensorType:
    """dtype and shape of one tensor value; prints as `f32[32, 16]`."""

    dtype: DType
    shape: tuple[int, ...]
    # Kept where `size` has been asked for: passes ask again and again, and symbols take long to multiply.
    _size: int = field(init=False, compare=False)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        try:
            return self._size
        except AttributeError:
            size = math.prod(self.shape)
            _keep_size(self, size)
            return size

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(repr, self.shape))}]"


_keep_size = TensorType._size.__set__  # type: ignore[attr-defined]  # a slot

MOST_BYTES = 2**63 - 1  # what an address can tell apart


@functools.lru_cache(maxsize=4096)
def _interned(dtype: DType, shape: tuple[int, ...]) -> TensorType:
    """ValueError for what no memory can hold: said where it is asked for, not when it is computed."""
    if math.prod(n or 1 for n in shape) * dtype.size > MOST_BYTES:
        raise ValueError(f"shape {shape} of {dtype.numpy} takes more than 2**63 bytes")
    return TensorType(dtype, tuple([int(n) for n in shape]))  # (True, 3) equals (1, 3), and may come first


def tensor_type(dtype: DType, shape: tuple[int, ...]) -> TensorType:
    """The type, as one object for all that ask: quicker to get, and to compare. Sizes that are symbols
    (`size.py`) must not meet others here: each comparison would be noted."""
    return _interned(dtype, shape) if type(sum(shape)) is int else TensorType(dtype, shape)
