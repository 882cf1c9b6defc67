"""The robust losses: every row and rule of their reference, lazy and compiled."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
Loss = Callable[..., Tensor]

LAZY_AND_COMPILED = pytest.mark.parametrize("wrap", [lambda f: f, lucid.compile], ids=["lazy", "compiled"])
FLOATS = [np.float16, np.float32, np.float64]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def leaf(values: Any, dtype: Any = None) -> Tensor:
    return Tensor(values, requires_grad=True, dtype=dtype)


def both(
    loss: Loss, x: Any, y: Any, wrap: Callable[[Loss], Loss], **options: Any
) -> tuple[Array, Array, Array]:
    """Value, gradient to the input and to the target of the sum (of a value that may be no
    scalar)."""
    a, b = leaf(x), leaf(y)

    def run(p: Tensor, q: Tensor) -> Tensor:
        return loss(p, q, **options)

    value = wrap(run)(a, b)
    value.sum().backward()
    assert a.grad is not None and b.grad is not None
    return value.numpy(), a.grad.numpy(), b.grad.numpy()


def second(loss: Loss, x: Array, y: Array, wrap: Callable[[Loss], Loss], **options: Any) -> Array:
    """The diagonal of the second derivative to the input: elements are independent."""
    first = lucid.grad(lambda p: loss(p, y, reduction="sum", **options))
    return np.asarray(wrap(lucid.grad(lambda p: first(p).sum()))(x))  # type: ignore[misc]


# --- worked values -------------------------------------------------------------------------------


@LAZY_AND_COMPILED
def test_worked_mean(wrap: Callable[[Loss], Loss]) -> None:
    x, y = [[1.5, 2.0, 3.5, 4.0]], [[1.0, 2.5, 3.0, 5.0]]
    value, gx, gy = both(F.huber_loss, x, y, wrap, delta=1)
    assert value == 0.21875
    np.testing.assert_array_equal(gx, [[0.125, -0.125, 0.125, -0.25]])
    np.testing.assert_array_equal(gy, -gx)
    assert both(F.mse_loss, x, y, wrap)[0] == 0.4375


@LAZY_AND_COMPILED
def test_worked_sum(wrap: Callable[[Loss], Loss]) -> None:
    x, y = [[2.0, 1.0, 3.0, 4.0]], [[1.0, 2.0, 2.0, 5.0]]
    value, gx, _ = both(F.huber_loss, x, y, wrap, delta=1.0, reduction="sum")
    assert value == 2.0
    np.testing.assert_array_equal(gx, [[1, -1, 1, -1]])
    integers = np.array([[2, 1, 3, 4]]), np.array([[1, 2, 2, 5]])
    assert wrap(lambda p, q: F.huber_loss(p, q, reduction="sum"))(*integers).item() == 2.0


@LAZY_AND_COMPILED
def test_worked_linear(wrap: Callable[[Loss], Loss]) -> None:
    lucid.manual_seed(5)
    layer, criterion = nn.Linear(2, 1), nn.HuberLoss()
    x, y = leaf([[1.0, 2.0], [3.0, 4.0]]), Tensor([[2.0], [5.0]])
    value = wrap(lambda p, q: criterion(layer(p), q))(x, y)
    value.backward()
    assert x.grad is not None and layer.weight.grad is not None
    assert layer.bias is not None and layer.bias.grad is not None
    w, b = np.asarray(layer.weight), np.asarray(layer.bias)
    d = x.numpy() @ w.T + b - y.numpy()
    g = np.clip(d, -1, 1) / 2
    element = np.where(abs(d) <= 1, 0.5 * d * d, abs(d) - 0.5)
    np.testing.assert_allclose(value, element.mean(), rtol=1e-6)
    np.testing.assert_allclose(x.grad, g @ w, rtol=1e-6)
    np.testing.assert_allclose(layer.weight.grad, g.T @ x.numpy(), rtol=1e-6)
    np.testing.assert_allclose(layer.bias.grad, g.sum(0), rtol=1e-6)
    assert x.grad.shape == (2, 2)


def test_repr() -> None:
    x = leaf([[1.5, 2.0, 3.5, 4.0]])
    loss = F.huber_loss(x, Tensor([[1.0, 2.5, 3.0, 5.0]]))
    assert repr(loss) == "Tensor(0.21875, grad=None)"
    loss.backward()
    assert isinstance(x.grad, Tensor)
    assert isinstance(np.asarray(x.grad), np.ndarray)


# --- the table -----------------------------------------------------------------------------------

SPECIAL = np.array([0.0, -0.0, 0.3, -0.7, 1.0, -1.0, 2.5, -40.0, np.nan, np.inf, -np.inf])


def table(name: str, d: Array, option: float) -> tuple[Array, Array, Array]:
    """Element, gradient and second derivative as the reference gives them."""
    a, sign, one = abs(d), np.sign(d), np.ones_like(d)
    nan = np.where(np.isnan(d), np.nan, 0)
    if name == "huber_loss":
        element = np.where(a <= option, 0.5 * d * d, option * (a - 0.5 * option))
        return element, np.where(a <= option, d, option * sign), np.where(a < option, one, 0) + nan
    if name == "smooth_l1_loss" and option > 0:
        element = np.where(a < option, 0.5 * d * d / option, a - 0.5 * option)
        gradient = np.where(a < option, d / option, sign)
        return element, gradient, np.where(a < option, 1 / option, 0) + nan
    if name in ("l1_loss", "smooth_l1_loss"):
        return a, sign, nan
    return d * d, 2 * d, 2 * one + nan


ROWS = [
    ("huber_loss", {"delta": 1.0}),
    ("huber_loss", {"delta": 0.3}),
    ("huber_loss", {"delta": 30}),
    ("smooth_l1_loss", {"beta": 1.0}),
    ("smooth_l1_loss", {"beta": 2.5}),
    ("smooth_l1_loss", {"beta": 0}),
    ("l1_loss", {}),
    ("mse_loss", {}),
]


@LAZY_AND_COMPILED
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), ROWS)
def test_table(name: str, options: dict[str, float], dtype: Any, wrap: Any) -> None:
    loss: Loss = getattr(F, name)
    x = np.concatenate([SPECIAL, np.linspace(-4, 4, 63)]).astype(dtype)
    y = np.zeros_like(x)
    option = dtype(next(iter(options.values()), 0))
    value, gradient, _ = table(name, x - y, option)
    found, gx, gy = both(loss, x, y, wrap, reduction="none", **options)
    np.testing.assert_allclose(found, value, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gx, gradient, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(gy, -gx)
    finite = np.isfinite(x)
    curvature = second(loss, x[finite], y[finite], wrap, **options)
    np.testing.assert_allclose(curvature, table(name, x, option)[2][finite], rtol=4 * np.finfo(dtype).eps)


@LAZY_AND_COMPILED
def test_ties(wrap: Any) -> None:
    """At a = delta both branches agree, the gradient is ±delta, the second derivative 0."""
    for delta in (1.0, 0.1, 3.7):
        x = np.array([delta, -delta], np.float32)
        value, gx, _ = both(F.huber_loss, x, np.zeros(2, "f"), wrap, delta=delta, reduction="none")
        half = np.float32(0.5) * np.float32(delta) * np.float32(delta)
        np.testing.assert_array_equal(value, [half, half])
        np.testing.assert_array_equal(gx, x)
        np.testing.assert_array_equal(second(F.huber_loss, x, np.zeros(2, "f"), wrap, delta=delta), 0)


@LAZY_AND_COMPILED
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nan_and_inf_of_a_reduced_loss(wrap: Any, reduction: str) -> None:
    """One bad element spoils the value; the gradients of the others stay as they are."""
    x, y = np.array([np.nan, np.inf, -np.inf, 0.5, np.inf]), np.array([0.0, 0.0, 0.0, 0.0, np.inf])
    for delta in (1.0, 2.0):
        value, gx, _ = both(F.huber_loss, x, y, wrap, delta=delta, reduction=reduction)
        scale = 1 / 5 if reduction == "mean" else 1
        assert math.isnan(value)
        np.testing.assert_allclose(gx, scale * np.array([np.nan, delta, -delta, 0.5, np.nan]))


@LAZY_AND_COMPILED
def test_infinite_loss_is_infinite(wrap: Any) -> None:
    value, gx, _ = both(F.huber_loss, [np.inf, 1.0], [0.0, 1.0], wrap, delta=3.0, reduction="sum")
    assert value == np.inf
    np.testing.assert_array_equal(gx, [3, 0])


@LAZY_AND_COMPILED
def test_infinite_delta_is_half_the_squared_error(wrap: Any) -> None:
    x = np.array([0.5, -3.0, np.inf], np.float32)
    value, gx, _ = both(F.huber_loss, x, np.zeros(3, "f"), wrap, delta=math.inf, reduction="none")
    np.testing.assert_array_equal(value, 0.5 * x * x)
    np.testing.assert_array_equal(gx, x)


@LAZY_AND_COMPILED
def test_gradient_in_the_quadratic_zone_is_d_itself(wrap: Any) -> None:
    x = np.array([1e-3, -7.7e-4, 1e-30], np.float32)
    _, gx, _ = both(F.huber_loss, x, np.zeros(3, "f"), wrap, delta=1e4, reduction="sum")
    np.testing.assert_array_equal(gx, x)


def test_huber_and_smooth_l1_agree_only_at_one() -> None:
    x, y = Tensor([0.5, 1.5, 3.0]), Tensor([0.0, 0.0, 0.0])
    assert F.huber_loss(x, y, delta=1.0).item() == F.smooth_l1_loss(x, y, beta=1.0).item()
    two = F.huber_loss(x, y, delta=2.0).item()
    assert two != F.smooth_l1_loss(x, y, beta=2.0).item()
    assert two == pytest.approx(2 * F.smooth_l1_loss(x, y, beta=2.0).item())


# --- arguments -----------------------------------------------------------------------------------


@LAZY_AND_COMPILED
@pytest.mark.parametrize("delta", [0, -1, 0.0, -0.5, math.nan, -math.inf])
def test_bad_delta(delta: float, wrap: Any) -> None:
    x = np.ones(3, "f")
    with pytest.raises(ValueError, match=r"test_losses.py:\d+: huber_loss: delta must be greater than 0"):
        wrap(lambda p: F.huber_loss(p, x, delta=delta))(x)
    with pytest.raises(ValueError, match="delta"):
        nn.HuberLoss(delta=delta)


@LAZY_AND_COMPILED
@pytest.mark.parametrize("beta", [-1, -0.5, math.nan])
def test_bad_beta(beta: float, wrap: Any) -> None:
    x = np.ones(3, "f")
    with pytest.raises(ValueError, match=r"test_losses.py:\d+: smooth_l1_loss: beta must be at least 0"):
        wrap(lambda p: F.smooth_l1_loss(p, x, beta=beta))(x)
    with pytest.raises(ValueError, match="beta"):
        nn.SmoothL1Loss(beta=beta)


@pytest.mark.parametrize(
    "delta", [1j, True, np.True_, np.array([True]), np.array([1.0, 2.0]), "1", None, Tensor(1.0)]
)
def test_delta_of_a_wrong_type(delta: Any) -> None:
    x = Tensor([1.0])
    with pytest.raises(TypeError, match="delta must be an int or a float"):
        F.huber_loss(x, x, delta=delta)


@pytest.mark.parametrize("delta", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)])
def test_delta_does_not_change_the_dtype(delta: Any) -> None:
    loss = F.huber_loss(Tensor([3.0]), Tensor([0.0]), delta=delta)
    assert loss.dtype == np.float32
    assert loss.item() == 4.0


@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss", "l1_loss", "mse_loss"])
def test_reductions(name: str) -> None:
    loss: Loss = getattr(F, name)
    x, y = Tensor([[1.0, 2.0], [3.0, 7.0]]), Tensor([[0.5, 4.0], [3.0, 1.0]])
    elements = loss(x, y, reduction="none").numpy()
    assert elements.shape == (2, 2)
    np.testing.assert_array_equal(loss(x, y, reduction=None), elements)
    assert loss(x, y, reduction="mean").shape == () == loss(x, y, reduction="sum").shape
    assert loss(x, y).item() == pytest.approx(elements.mean())
    assert loss(x, y, reduction="sum").item() == pytest.approx(elements.sum())
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none', not 'average'"):
        loss(x, y, reduction="average")
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none'"):
        loss(x, y, reduction=0)


@pytest.mark.parametrize("cls", [nn.HuberLoss, nn.SmoothL1Loss, nn.L1Loss, nn.MSELoss])
def test_modules(cls: Any) -> None:
    x, y = Tensor([1.0, 5.0]), Tensor([0.5, 1.0])
    name = {"HuberLoss": "huber_loss", "SmoothL1Loss": "smooth_l1_loss", "L1Loss": "l1_loss",
            "MSELoss": "mse_loss"}[cls.__name__]  # fmt: skip
    for reduction in ("mean", "sum", "none", None):
        expected = getattr(F, name)(x, y, reduction=reduction)
        np.testing.assert_array_equal(cls(reduction=reduction)(x, y), expected)
        np.testing.assert_array_equal(cls(reduction)(x, y), expected)
    with pytest.raises(ValueError, match="reduction"):
        cls(reduction="max")
    assert "reduction='mean'" in repr(cls())


def test_argument_order() -> None:
    x, y = Tensor([3.0, 0.5]), Tensor([0.0, 0.0])
    np.testing.assert_array_equal(F.huber_loss(x, y, 2.0, "none"), [4, 0.125])
    np.testing.assert_array_equal(nn.HuberLoss("none", 2.0)(x, y), [4, 0.125])
    np.testing.assert_array_equal(F.smooth_l1_loss(x, y, 2.0, "none"), [2, 0.0625])
    np.testing.assert_array_equal(nn.SmoothL1Loss("none", 2.0)(x, y), [2, 0.0625])


@LAZY_AND_COMPILED
@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss", "l1_loss", "mse_loss"])
def test_no_elements(name: str, wrap: Any) -> None:
    loss: Loss = getattr(F, name)
    x = np.zeros((0, 3), "f")
    assert math.isnan(wrap(lambda p: loss(p, x))(x).item())
    assert wrap(lambda p: loss(p, x, reduction="sum"))(x).item() == 0
    assert wrap(lambda p: loss(p, x, reduction="none"))(x).shape == (0, 3)


# --- shapes, dtypes, weights ---------------------------------------------------------------------


@LAZY_AND_COMPILED
@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss", "l1_loss", "mse_loss"])
def test_broadcasting_warns(name: str, wrap: Any) -> None:
    loss: Loss = getattr(F, name)
    x, y = leaf(np.arange(4.0)), leaf(np.arange(4.0).reshape(4, 1))
    with pytest.warns(UserWarning, match=r"\(4,\).*\(4, 1\)") as caught:
        value = wrap(lambda p, q: loss(p, q, reduction="none"))(x, y)
    assert caught[0].filename == __file__
    assert value.shape == (4, 4)
    value.sum().backward()
    assert x.grad is not None and y.grad is not None
    assert x.grad.shape == (4,) and y.grad.shape == (4, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wide = np.broadcast_to(x.numpy(), (4, 4)), np.broadcast_to(y.numpy(), (4, 4))
        np.testing.assert_allclose(value, loss(*map(Tensor, wide), reduction="none"))
        assert loss(x, y).item() == pytest.approx(np.mean(value.numpy()))


def test_shapes_that_do_not_broadcast() -> None:
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match=r"test_losses.py:\d+: huber_loss: shapes \(3,\) and \(4,\)"),
    ):
        F.huber_loss(Tensor([1.0, 2.0, 3.0]), Tensor([1.0, 2.0, 3.0, 4.0]))


@LAZY_AND_COMPILED
@pytest.mark.parametrize("left", FLOATS)
@pytest.mark.parametrize("right", FLOATS)
def test_dtypes_promote(left: Any, right: Any, wrap: Any) -> None:
    x, y = leaf(np.array([0.5, 3.0], left)), leaf(np.array([0.25, 1.0], right))
    value = wrap(lambda p, q: F.huber_loss(p, q, delta=1.0))(x, y)
    value.backward()
    assert value.dtype == np.result_type(left, right)
    assert x.grad is not None and x.grad.dtype == left
    assert y.grad is not None and y.grad.dtype == right
    np.testing.assert_array_equal(x.grad, np.array([0.125, 0.5], left))
    assert value.item() == pytest.approx((0.03125 + 1.5) / 2, rel=1e-3)


@LAZY_AND_COMPILED
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, np.bool_])
def test_integers_become_floats(dtype: Any, wrap: Any) -> None:
    x, y = np.array([0, 1, 1], dtype), np.array([1, 1, 0], dtype)
    for loss in (F.huber_loss, F.smooth_l1_loss, F.l1_loss, F.mse_loss):
        value = wrap(lambda p, q, loss=loss: loss(p, q))(x, y)
        assert value.dtype == np.float64
        assert value.item() == pytest.approx((1 if loss in (F.l1_loss, F.mse_loss) else 0.5) * 2 / 3)
    value = wrap(lambda p, q: F.huber_loss(p, q, delta=0.5, reduction="none"))(x, y)
    np.testing.assert_array_equal(value, [0.375, 0, 0.375])


def test_float16_mean_of_many() -> None:
    """More elements than float16 can count."""
    x = np.full(100_000, 2.0, np.float16)
    assert F.mse_loss(x, np.zeros_like(x)).item() == 4


@LAZY_AND_COMPILED
def test_weights(wrap: Any) -> None:
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(3, 2, 5))
    w = abs(w)
    d = x - y
    expected = {
        "huber_loss": np.where(abs(d) <= 1, 0.5 * d * d, abs(d) - 0.5),
        "l1_loss": abs(d),
        "mse_loss": d * d,
    }
    for name, element in expected.items():
        loss: Loss = getattr(F, name)

        def of(reduction: str, loss: Loss = loss) -> Array:
            return np.asarray(wrap(lambda p, q, r: loss(p, q, reduction=reduction, weight=r))(x, y, w))

        mean = (w * element).mean() if name == "huber_loss" else (w * element).sum() / w.sum()
        np.testing.assert_allclose(of("none"), w * element)
        np.testing.assert_allclose(of("sum"), (w * element).sum())
        np.testing.assert_allclose(of("mean"), mean)
        with pytest.raises(
            ValueError, match=r"weight has shape \(5,\); expected that of the input, \(2, 5\)"
        ):
            loss(Tensor(x), Tensor(y), weight=w[0])


def test_weights_are_differentiated() -> None:
    x, w = leaf([1.0, 3.0]), leaf([1.0, 2.0])
    F.mse_loss(x, Tensor([0.0, 0.0]), weight=w).backward()
    assert x.grad is not None and w.grad is not None
    np.testing.assert_allclose(x.grad, [2 / 3, 4])
    np.testing.assert_allclose(w.grad, [(1 * 3 - 19) / 9, (9 * 3 - 19) / 9], rtol=1e-6)


@LAZY_AND_COMPILED
@pytest.mark.parametrize("f", [F.softmax, F.log_softmax])
@pytest.mark.parametrize("shape", [(2, 0), (0,), (0, 3), (3, 0, 2)])
def test_softmax_of_nothing_asks_for_a_maximum(
    f: Callable[..., Tensor], shape: tuple[int, ...], wrap: Callable[[Loss], Loss]
) -> None:
    for axis in range(len(shape)):
        made = wrap(lambda x, _, axis=axis: f(x, axis=axis))(Tensor(np.zeros(shape, "f")), Tensor(0.0))
        assert made.shape == shape and made.numpy().shape == shape


def test_softmax_of_one_number() -> None:
    assert (F.softmax(3.0).item(), F.log_softmax(3.0).item()) == (1.0, 0.0)


@pytest.mark.filterwarnings("ignore:l1_loss")
@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: Tensor(np.zeros((2, 0))).max(axis=1), r"max of zero elements: shape \(2, 0\) along axis 1"),
        (lambda: Tensor([1, 2]).mean(dtype=int), "mean: dtype must be a float dtype, not int64"),
        (lambda: Tensor([1, 2]).var(dtype=int), "var: dtype must be a float dtype, not int64"),
        (lambda: F.l1_loss([1.0, 2.0], [1.0, 2.0, 3.0]), "l1_loss: shapes"),
    ],
)
def test_formulas_show_no_inner_names(run: Callable[[], Tensor], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"test_losses.py:\d+: {message}"):
        run()
