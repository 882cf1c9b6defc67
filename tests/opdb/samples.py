"""Samples of PyTorch's op database as lucid's arguments, and the name under which lucid has an op."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import lucid

F = lucid.nn.functional
REFLECTED = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "pow": operator.pow, "mod": operator.mod, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "matmul": operator.matmul,
}  # fmt: skip
# Where arguments of the database come in another order than users write them, or where lucid has PyTorch's
# function as a method or under another name, as NumPy has its own under that one.
ELSEWHERE: dict[str, Callable[..., Any]] = {
    "__getitem__": operator.getitem,
    "atleast_1d": lambda x: lucid.atleast_1d(*x) if isinstance(x, list | tuple) else lucid.atleast_1d(x),
    "atleast_2d": lambda x: lucid.atleast_2d(*x) if isinstance(x, list | tuple) else lucid.atleast_2d(x),
    "atleast_3d": lambda x: lucid.atleast_3d(*x) if isinstance(x, list | tuple) else lucid.atleast_3d(x),
    "einsum": lambda tensors, formula: lucid.einsum(formula, *tensors),
    "equal": lucid.array_equal,
    "nn.functional.embedding": lambda weight, index, **more: F.embedding(index, weight, **more),
    "nn.functional.embedding_bag": lambda weight, index, **more: F.embedding_bag(index, weight, **more),
    "nn.functional.upsample_bilinear": lambda x, size=None, scale_factor=None: F.interpolate(
        x, size, scale_factor, mode="bilinear", align_corners=True
    ),
    "nn.functional.upsample_nearest": lambda x, size=None, scale_factor=None: F.interpolate(
        x, size, scale_factor, mode="nearest"
    ),
    "linalg.pinv": lambda x, *args, **more: lucid.linalg.pinv(
        x @ args[0].mT if args and isinstance(args[0], lucid.Tensor) else x, **more
    ),
    "nonzero": lambda x, as_tuple=False: lucid.nonzero(x, as_tuple=as_tuple),
    "polygamma": lambda x, n: lucid.polygamma(n, x),
    "repeat": lambda x, *shape: x.tile(*shape),
    "select": lambda x, dim, index: x.select(dim, index),
    "special.polygamma": lambda x, n: lucid.polygamma(n, x),
    "split": lambda x, *args, **more: x.split(*args, **more),
    "where": lambda x, condition, other: lucid.where(condition, x, other),
    **{f"__r{name}__": lambda x, y, make=make: make(y, x) for name, make in REFLECTED.items()},
}
DTYPES = {
    torch.float32: lucid.float32, torch.float64: lucid.float64, torch.float16: lucid.float16,
    torch.int8: lucid.int8, torch.int16: lucid.int16, torch.int32: lucid.int32, torch.int64: lucid.int64,
    torch.uint8: lucid.uint8, torch.bool: lucid.bool, torch.complex64: lucid.complex64,
    torch.complex128: lucid.complex128, torch.bfloat16: "bfloat16",
}  # fmt: skip


class Unusable(Exception):
    """A sample with something that lucid has not: a sparse tensor, a generator."""


def function_of(name: str) -> Callable[..., Any] | None:
    """What lucid has under a name of PyTorch's: a function, or a method as one. None if there is neither."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    place: Any = lucid
    try:
        for part in name.split("."):
            place = getattr(place, part)
        if callable(place) and not isinstance(place, np.dtype):
            return place  # type: ignore[no-any-return]
    except AttributeError:
        pass
    return method_of(name)


def method_of(name: str) -> Callable[..., Any] | None:
    """The method, or the property, of tensors of that name."""
    if "." in name or not hasattr(lucid.Tensor, name):
        return None
    if isinstance(getattr(lucid.Tensor, name), property):
        return lambda x: getattr(x, name)
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def array_of(x: Any) -> Any:
    """The elements of one of PyTorch's tensors, where they lie."""
    if x.layout != torch.strided or x.is_quantized or x.dtype not in DTYPES:
        raise Unusable(f"{x.layout} {x.dtype}")
    if x.dtype == torch.bfloat16:
        raise Unusable("bfloat16")
    try:
        return x.detach().resolve_conj().resolve_neg().numpy()
    except (TypeError, ValueError, RuntimeError) as error:  # no memory behind it, or more axes than NumPy has
        raise Unusable(str(error)) from None


def convert(value: Any, made: dict[int, Any]) -> Any:
    """PyTorch's argument as lucid's: `made` has the tensors made so far, by the id of PyTorch's."""
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            array = array_of(value)
            made[id(value)] = (
                lucid.tensor(array, requires_grad=True) if value.requires_grad else lucid.asarray(array)
            )
        return made[id(value)]
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise Unusable(str(value))
        return DTYPES[value]
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, torch.Generator | torch.nn.Module | torch.layout | torch.memory_format):
        raise Unusable(type(value).__name__)
    if isinstance(value, dict):
        return {key: convert(v, made) for key, v in value.items()}
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, tuple | list):
        return type(value)(convert(v, made) for v in value)
    if isinstance(value, slice):
        return slice(convert(value.start, made), convert(value.stop, made), convert(value.step, made))
    return value


def leaves(value: Any) -> list[Any]:
    """The tensors in PyTorch's or lucid's arguments or results, in order; and numbers in results."""
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in leaves(v)]
    if isinstance(value, tuple | list):
        return [leaf for v in value for leaf in leaves(v)]
    return [value]


def number(x: Any) -> Any:
    """The value of a result as a NumPy array."""
    if isinstance(x, torch.Tensor):
        return array_of(x)
    return x.numpy() if isinstance(x, lucid.Tensor) else np.asarray(x)
