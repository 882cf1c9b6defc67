"""Initial values of parameters, set in place, under PyTorch's names and with its formulas.

Each function changes the tensor that it is given and returns it. Random ones draw from the default generator,
or from `generator`. Fans are those of a weight (out, in, ...): in or out times the size of a window.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import linalg, random
from ..context import no_grad
from ..errors import here, public
from ..functional import where
from ..special import erfinv
from ..tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_",
    "ones_", "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_",
    "xavier_uniform_", "zeros_",
]  # fmt: skip


@no_grad
def _become(tensor: Tensor, value: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(here(f"init: expected a tensor, not {type(tensor).__name__}"))
    found = value if isinstance(value, Tensor) else Tensor(value)
    tensor.data = found.astype(tensor.dtype).to(tensor.device)
    return tensor


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ValueError(here(f"{name}: fans are those of 2 axes or more, not of shape {tensor.shape}"))
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


@public
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By which a nonlinearity makes deviations smaller: "linear", "conv2d" and the like, "sigmoid", "tanh",
    "relu", "leaky_relu" (`param`: its slope, 0.01), "selu"."""
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else float(param)) ** 2))
    known = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in known:
        names = "linear, conv1d and so on, sigmoid, tanh, relu, leaky_relu or selu"
        raise ValueError(f"calculate_gain: expected {names}, not {nonlinearity!r}")
    return known[nonlinearity]


@public
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Between `a` and `b`."""
    return _become(tensor, random.uniform(a, b, tensor.shape, dtype=_drawn(tensor), generator=generator))


@public
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal, of this mean and deviation."""
    return _become(tensor, random.normal(mean, std, tensor.shape, dtype=_drawn(tensor), generator=generator))


@public
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Normal, but of values between `a` and `b` alone: by the inverse of the distribution."""
    low, high = (math.erf((end - mean) / std / math.sqrt(2)) for end in (a, b))
    drawn = random.uniform(low, high, tensor.shape, dtype=_drawn(tensor), generator=generator)
    return _become(tensor, (erfinv(drawn) * (std * math.sqrt(2)) + mean).clip(a, b))


@public
def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return _become(tensor, np.full(tensor.shape, val))


@public
def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1)


@public
def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0)


@public
def eye_(tensor: Tensor) -> Tensor:
    """1 where row and column are equal, else 0."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, not shape {tensor.shape}")
    return _become(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


@public
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that gives channels as they are, as many as there are: 1 in the middle of the window from
    a channel to itself, in each group."""
    if tensor.ndim < 3 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: expected a weight (out, in, ...) for {groups} groups, not {tensor.shape}")
    value, rows = np.zeros(tensor.shape), tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for k in range(min(rows, tensor.shape[1])):
            value[(group * rows + k, k, *middle)] = 1
    return _become(tensor, value)


@public
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Within ±gain sqrt(6 / (in + out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


@public
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal, with deviation gain sqrt(2 / (in + out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))), generator)


@public
def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Within ±gain sqrt(3 / fan) (He and others, arXiv:1502.01852). `a`: the slope of a leaky_relu."""
    bound = math.sqrt(3) * _deviation("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


@public
def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Normal, with deviation gain / sqrt(fan) (He and others, arXiv:1502.01852)."""
    return normal_(tensor, 0.0, _deviation("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


@public
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """As a matrix of the first axis by all others, with rows or columns (whichever are fewer) orthogonal and
    of length `gain`: Q of a random matrix (Saxe, McClelland and Ganguli, arXiv:1312.6120)."""
    rows, columns = tensor.shape[0] if tensor.ndim else 0, math.prod(tensor.shape[1:])
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected 2 axes or more, not shape {tensor.shape}")
    tall = random.normal(0.0, 1.0, (max(rows, columns), min(rows, columns)), generator=generator)
    q, r = linalg.qr(tall)
    q = q * r.diagonal().sign()
    return _become(tensor, (q if rows >= columns else q.T).reshape(tensor.shape) * gain)


@public
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """A matrix, normal with deviation `std`, of which that share of each column is 0 (Martens, 2010)."""
    if tensor.ndim != 2 or not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: expected a matrix and a share, not shape {tensor.shape}, {sparsity}")
    rows = tensor.shape[0]
    order = random.random(tensor.shape, generator=generator).argsort(0).argsort(0)
    drawn = random.normal(0.0, std, tensor.shape, dtype=_drawn(tensor), generator=generator)
    return _become(tensor, where(order < math.ceil(sparsity * rows), 0.0, drawn))


def _deviation(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(here(f"{name}: mode must be fan_in or fan_out, not {mode!r}"))
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _drawn(tensor: Tensor) -> Any:
    return tensor.dtype if tensor.dtype in (np.float32, np.float64) else np.float32
