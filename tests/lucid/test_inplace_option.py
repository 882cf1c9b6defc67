"""`inplace=True` changes what is given, as in PyTorch: a model that reads it again depends on that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F

X = np.array([[-8.0, 0.5, 3.0], [7.0, -1.0, 2.0]], np.float32)
FUNCTIONS: dict[str, dict[str, Any]] = {
    **{name: {} for name in (
        "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "hardtanh", "hardsigmoid",
        "hardswish", "rrelu",
    )},
    "threshold": {"threshold": 1.0, "value": -3.0},
    **{name: {"p": 1.0, "training": True} for name in ("dropout", "alpha_dropout", "feature_alpha_dropout")},
    **{f"dropout{n}d": {"p": 1.0, "training": True} for n in (1, 2, 3)},
}  # fmt: skip
MODULES = [
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.Hardtanh, nn.Hardsigmoid,
    nn.Hardswish, nn.RReLU, nn.Dropout, nn.AlphaDropout, nn.Dropout1d,
]  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    f, options = getattr(F, name), FUNCTIONS[name]
    shape = (2, 3, *(1,) * int(name[-2] if name[-2:-1].isdigit() else 1))
    x = Tensor(X.reshape(shape))
    expected = f(x, **options).numpy()
    np.testing.assert_array_equal(x.numpy(), X.reshape(shape))
    same = x
    assert f(x, **options, inplace=True) is x
    np.testing.assert_array_equal(same.numpy(), expected)
    given = X.reshape(shape).copy()
    np.testing.assert_array_equal(f(given, **options, inplace=True), expected)
    np.testing.assert_array_equal(given, X.reshape(shape))  # an array stays


@pytest.mark.parametrize("kind", MODULES)
def test_modules(kind: Any) -> None:
    x = Tensor(X.reshape(2, 3, 1))
    made = kind(inplace=True).eval()
    expected = kind().eval()(x).numpy()
    assert made(x) is x and "inplace=True" in repr(made)
    np.testing.assert_array_equal(x.numpy(), expected)


def test_what_reads_it_again_reads_the_new_value() -> None:
    """Eager, compiled and in gradients alike."""

    def block(x: Tensor, w: Tensor) -> Tensor:
        h = x @ w
        F.relu(h, inplace=True)
        found: Tensor = (h * h + nn.ReLU6(inplace=True)(h)).sum()
        return found

    w = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)
    h = np.maximum(X @ w, 0)
    right = (h * h + np.minimum(h, 6)).sum()
    np.testing.assert_allclose(block(Tensor(X), Tensor(w)).item(), right, 1e-5)
    slope = lucid.grad(lambda w: block(Tensor(X), w))
    np.testing.assert_allclose(lucid.compile(slope)(w).numpy(), slope(w).numpy(), 1e-6)
    leaf = lucid.tensor(X, requires_grad=True)
    with pytest.raises(
        RuntimeError, match=r"test_inplace_option.py:\d+: in place: a leaf that requires grad"
    ):
        F.relu(leaf, inplace=True)
