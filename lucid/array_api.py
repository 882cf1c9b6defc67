"""The Python array API standard (https://data-apis.org/array-api/2025.12): the namespace that
`Tensor.__array_namespace__()` gives.

Every name is lucid's own, and found when it is first asked for. It has real dtypes alone, and no `fft`:
docs/array_api.md lists what differs from the standard.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import lucid

from .errors import bounded, here, no_attribute, public
from .residence import device_named, there_is_a_gpu

__array_api_version__ = "2025.12"

_NAMES = (
    # constants and dtypes
    "e", "inf", "nan", "newaxis", "pi",
    "bool", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "complex64", "complex128",
    # making arrays
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace",
    "meshgrid", "ones", "ones_like", "tril", "triu", "zeros", "zeros_like",
    # dtypes
    "astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type",
    # elements
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "ceil",
    "clip", "conj", "copysign", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor", "floor_divide",
    "greater", "greater_equal", "hypot", "imag", "isfinite", "isinf", "isnan", "less", "less_equal", "log",
    "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
    "maximum", "minimum", "multiply", "negative", "nextafter", "not_equal", "positive", "pow", "real",
    "reciprocal", "remainder", "round", "sign", "signbit", "sin", "sinh", "sqrt", "square", "subtract",
    "tan", "tanh", "trunc",
    # places, orders and sets
    "argmax", "argmin", "argsort", "count_nonzero", "isin", "nonzero", "searchsorted", "sort", "take",
    "take_along_axis", "unique_all", "unique_counts", "unique_inverse", "unique_values", "where",
    # arrangements
    "broadcast_arrays", "broadcast_shapes", "broadcast_to", "concat", "expand_dims", "flip", "moveaxis",
    "permute_dims", "repeat", "reshape", "roll", "squeeze", "stack", "tile", "unstack",
    # sums and products
    "all", "any", "cumulative_prod", "cumulative_sum", "diff", "matmul", "matrix_transpose", "max", "mean",
    "min", "prod", "std", "sum", "tensordot", "var", "vecdot",
    # extensions
    "fft", "linalg",
)  # fmt: skip
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = globals()[name] = getattr(lucid, name)
        return value
    raise no_attribute(sys.modules[__name__], f"module {__name__!r}", name)


if not TYPE_CHECKING:  # a checker knows it by its form
    __getattr__ = bounded(__getattr__)


def __dir__() -> list[str]:
    return sorted([*_NAMES, "__array_api_version__", "__array_namespace_info__"])


class Info:
    """What lucid says of itself; see `__array_namespace_info__`."""

    def capabilities(self) -> dict[str, Any]:
        """Masks as indices, and shapes that depend on values, outside of compiled functions. Kernels have no
        limit of axes, but NumPy's arrays, as which values are read, have 64."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "cuda") if there_is_a_gpu() else ("cpu",)

    @public
    def default_dtypes(self, *, device: str | None = None) -> dict[str, Any]:
        """float32 of Python floats, complex64 of complex numbers, int64 of ints and of indices."""
        device_named(device)
        return {
            "real floating": lucid.float32,
            "complex floating": lucid.complex64,
            "integral": lucid.int64,
            "indexing": lucid.int64,
        }

    @public
    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        """The standard's dtypes that lucid has, by name; only those of a kind (or several) as `isdtype` takes
        it. (lucid has float16, too.) ValueError for a kind that there is not."""
        device_named(device)
        names = _NAMES[_NAMES.index("bool") : _NAMES.index("complex128") + 1]
        found = {name: getattr(lucid, name) for name in names}
        return found if kind is None else {n: d for n, d in found.items() if lucid.isdtype(d, kind)}


def __array_namespace_info__() -> Info:
    """The namespace by which the standard asks for capabilities, devices and dtypes."""
    return Info()


def namespace(api_version: str | None = None) -> Any:
    """This module. ValueError for a version of the standard that it does not follow."""
    known = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
    if api_version is not None and api_version not in known:
        raise ValueError(
            here(f"__array_namespace__: api_version must be one of {', '.join(known)}, not {api_version!r}")
        )
    return sys.modules[__name__]
