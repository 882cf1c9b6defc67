"""Convolutions, pools, norms and attention: values and gradients of plain loops."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.nn import functional as F

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]


def convolved(x: Array, w: Array, stride: int, padding: int, dilation: int, groups: int) -> Array:
    """The definition, in loops over windows."""
    axes, inner = x.ndim - 2, w.shape[1]
    x = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * axes])
    spans = [dilation * (k - 1) + 1 for k in w.shape[2:]]
    extents = [(n - s) // stride + 1 for n, s in zip(x.shape[2:], spans, strict=True)]
    out = np.zeros((x.shape[0], w.shape[0], *extents))
    for o in range(w.shape[0]):
        first = o // (w.shape[0] // groups) * inner
        for place in itertools.product(*map(range, extents)):
            at: Any = [slice(p * stride, p * stride + s, dilation) for p, s in zip(place, spans, strict=True)]
            where: Any = (slice(None), slice(first, first + inner), *at)
            window = x[where]
            spot: Any = (slice(None), o, *place)
            out[spot] = (window * w[o]).reshape(len(x), -1).sum(1)
    return out


CASES = [  # x, w, stride, padding, dilation, groups
    ((2, 3, 9), (4, 3, 3), 1, 0, 1, 1),
    ((2, 4, 10), (6, 2, 3), 2, 1, 1, 2),
    ((1, 2, 12), (3, 2, 2), 3, 2, 2, 1),
    ((2, 3, 7, 6), (4, 3, 3, 2), 1, 1, 1, 1),
    ((2, 4, 8, 9), (4, 1, 3, 3), 2, 1, 1, 4),
    ((1, 2, 7, 7), (2, 2, 2, 3), 1, 0, 2, 1),
    ((1, 2, 4, 5, 4), (3, 2, 2, 2, 3), 1, 1, 1, 1),
    ((2, 2, 11, 6), (3, 2, 7, 4), 3, 4, 1, 1),
    ((1, 2, 8, 8), (3, 2, 4, 4), 4, 0, 1, 1),
    ((1, 3, 13), (2, 3, 5), 2, 1, 3, 1),
    ((1, 2, 3), (2, 2, 2), 5, 4, 1, 1),
]
CONV: dict[int, Callable[..., Any]] = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}


def _numbers(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolutions_are_sums_over_windows(case: tuple[Any, ...]) -> None:
    shape, window, *how = case
    x, w, bias = _numbers(*shape), _numbers(*window), _numbers(window[0])
    want = convolved(x, w, *how)
    np.testing.assert_allclose(CONV[x.ndim](x, w, None, *how), want, rtol=1e-12, atol=1e-12)
    found = lucid.compile(lambda x, w, b: CONV[x.ndim](x, w, b, *how))(x, w, bias)
    want = want + bias.reshape(-1, *[1] * (x.ndim - 2))
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_convolutions(case: tuple[Any, ...]) -> None:
    """A convolution is linear in each operand: what the gradient says holds at any distance."""
    shape, window, *how = case
    x, w = _numbers(*shape), _numbers(*window)
    dx, dw = np.flip(x) + 1, np.flip(w) + 1
    weights = _numbers(*convolved(x, w, *how).shape)

    def f(x: Any, w: Any) -> Any:
        return (CONV[x.ndim](x, w, None, *how) * weights).sum()

    def value(x: Array, w: Array) -> float:
        return float((convolved(x, w, *how) * weights).sum())

    gx, gw = (g.numpy() for g in lucid.grad(f, (0, 1))(x, w))
    np.testing.assert_allclose((gx * dx).sum(), value(dx, w), rtol=1e-9)
    np.testing.assert_allclose((gw * dw).sum(), value(x, dw), rtol=1e-9)
    mixed = lucid.grad(lambda w: (lucid.grad(f)(x, w) * dx).sum())(w).numpy()
    np.testing.assert_allclose((mixed * dw).sum(), value(dx, dw), rtol=1e-9)


def test_a_convolution_copies_no_windows() -> None:
    """Windows of 3 x 3 are nine times the input: nothing is written but the result."""
    x, w = np.ones((2, 8, 16, 16), np.float32), np.ones((8, 8, 3, 3), np.float32)
    step = lucid.compile(lambda x, w: F.conv2d(x, w))
    step(x, w)
    assert step.ir("kernel").count("kernel ") == 1


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_gradients_multiply_no_zeros(size: int, step: int) -> None:
    """Each of both has as many operations as the convolution; what is padded has none."""
    x, w = np.ones((2, 3, 16, 16), np.float32), np.ones((16, 3, size, size), np.float32)
    value = lucid.compile(lambda x, w: F.conv2d(x, w, stride=step, padding=size // 2))
    slope = lucid.compile(
        lucid.grad(lambda x, w: F.conv2d(x, w, stride=step, padding=size // 2).sum(), argnums=(0, 1))
    )
    value(x, w), slope(x, w)
    assert slope.cost(x, w).flops <= 2.01 * value.cost(x, w).flops


def test_the_gradient_of_a_window_for_each_channel_is_a_sum() -> None:
    """Of rows, along memory: as a product each would have a panel of its own."""
    x, w = np.ones((4, 16, 32, 32), np.float32), np.ones((16, 1, 3, 3), np.float32)
    slope = lucid.compile(lucid.grad(lambda x, w: F.conv2d(x, w, groups=16).sum(), argnums=1))
    slope(x, w)
    assert "dot(" not in slope.ir("kernel") and "finally" not in slope.ir("kernel")


def test_padding_by_name_and_no_batch() -> None:
    x, w = _numbers(3, 8, 9), _numbers(4, 3, 3, 2)
    same = F.conv2d(x, w, padding="same")
    assert same.shape == (4, 8, 9)
    np.testing.assert_allclose(same[:, 1:-1, :-1], F.conv2d(x, w, padding="valid"), rtol=1e-12)
    assert F.conv1d(_numbers(3, 8), _numbers(4, 3, 3)).shape == (4, 6)


def _windows(x: Array, k: int, stride: int, padding: int, fill: float) -> Array:
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))
    return view[:, :, ::stride, ::stride]


@pytest.mark.parametrize(("k", "stride", "padding"), [(2, 2, 0), (3, 1, 1), (3, 2, 1), (2, 3, 0)])
def test_pools(k: int, stride: int, padding: int) -> None:
    x = _numbers(2, 3, 9, 8)
    want = _windows(x, k, stride, padding, -np.inf).max((-1, -2))
    np.testing.assert_array_equal(F.max_pool2d(x, k, stride, padding), want)
    mean = _windows(x, k, stride, padding, 0).mean((-1, -2))
    np.testing.assert_allclose(F.avg_pool2d(x, k, stride, padding), mean, rtol=1e-12, atol=1e-12)
    count = _windows(np.ones_like(x), k, stride, padding, 0).sum((-1, -2))
    real = F.avg_pool2d(x, k, stride, padding, count_include_pad=False)
    np.testing.assert_allclose(real, mean * k * k / count, rtol=1e-12, atol=1e-12)
    gradient = lucid.grad(lambda x: (F.max_pool2d(x, k, stride, padding) ** 2).sum())(x).numpy()
    expected = np.zeros_like(x)
    values = {v: place for place, v in np.ndenumerate(x)}  # all are different
    for v in want.ravel():
        expected[values[v]] += 2 * v
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_gradients_of_pools_are_written_once() -> None:
    """Of windows side by side one kernel, which reads and writes each element once; of others there are no
    arrays of one place of each window, with zeros between them."""
    x = lucid.Tensor(np.arange(4 * 16 * 32 * 32, dtype="float32").reshape(4, 16, 32, 32))

    def cost(size: int, step: int) -> tuple[int, float]:
        slope = lucid.compile(lucid.grad(lambda x: F.max_pool2d(x, size, step).sum()))
        found = slope.cost(x)
        return found.kernels, found.bytes / x.nbytes

    assert cost(2, 2) == (1, 2)
    kernels, moved = cost(3, 2)
    assert kernels == 3 and moved < 8


def test_batch_norm_keeps_running_statistics() -> None:
    x = _numbers(6, 3, 4, 5).astype(np.float32)
    layer = nn.BatchNorm2d(3)
    y = layer(x).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-4)
    mean, var = np.asarray(layer.running_mean), np.asarray(layer.running_var)
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 2, 3)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(var, 0.9 + 0.1 * x.var((0, 2, 3), ddof=1), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    scaled = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    np.testing.assert_allclose(layer.eval()(x), scaled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(3), (1, 3, 1, 1)),
     (nn.InstanceNorm1d(3, track_running_stats=True), (2, 3, 1))],
)  # fmt: skip
def test_one_value_has_no_variance(layer: Any, shape: tuple[int, ...]) -> None:
    """It would be 0 less its mean, whatever comes in: PyTorch refuses it, too."""
    before = [np.array(b.numpy()) for b in layer.buffers()]
    for call in (layer, lucid.compile(layer), type(layer)(3, track_running_stats=False).eval()):
        with pytest.raises(ValueError, match="one value of each channel"):
            call(lucid.ones(*shape))
    for old, new in zip(before, layer.buffers(), strict=True):
        np.testing.assert_array_equal(new.numpy(), old)
    assert layer.eval()(lucid.ones(*shape)).shape == shape


def test_statistics_move_only_if_the_rest_fits() -> None:
    mean = lucid.zeros(3)
    with pytest.raises(ValueError, match="reshape"):
        nn.functional.batch_norm(lucid.ones(4, 3), mean, lucid.ones(3), lucid.ones(7), training=True)
    assert not mean.numpy().any()


def test_group_norm_and_rms_norm() -> None:
    x = _numbers(2, 6, 5)
    y = F.group_norm(x, 3).numpy().reshape(2, 3, -1)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-4)
    want = x / np.sqrt((x**2).mean(-1, keepdims=True))
    np.testing.assert_allclose(F.rms_norm(x, 5, eps=0.0), want, rtol=1e-12)


def test_values_that_many_share_are_not_stored_to_be_reshaped() -> None:
    """Mean and deviation of a group, and the bias of features that become heads."""
    x, w = np.ones((4, 16, 32, 32), np.float32), np.ones(16, np.float32)
    norm = lucid.compile(lambda x, w: F.group_norm(x, 4, w, w))
    norm(x, w)
    assert (norm.cost(x, w).kernels, norm.cost(x, w).bytes) == (1, 2 * x.nbytes + w.nbytes)
    given = [np.ones(shape, np.float32) for shape in ((8, 16, 32), (32, 32), (32,))]
    heads = lucid.compile(lambda x, w, b: (x @ w + b).reshape(8, 16, 4, 8).transpose(0, 2, 1, 3) * 2)
    heads(*given)
    assert heads.cost(*given).temp_bytes == given[0].nbytes  # the product alone


def test_causal_attention_does_not_look_ahead() -> None:
    q, k, v = _numbers(2, 5, 4), _numbers(2, 5, 4) * 0.5, _numbers(2, 5, 6)
    scores = q @ k.swapaxes(-1, -2) / 2
    seen = np.random.default_rng(0).random((5, 5)) < 0.6
    for mask, arguments in (
        (np.tril(np.ones((5, 5), bool)), {"is_causal": True}),
        (seen | np.eye(5, dtype=bool), {"attn_mask": seen | np.eye(5, dtype=bool)}),
    ):
        weights = np.exp(scores) * mask
        found = F.scaled_dot_product_attention(q, k, v, **arguments)
        np.testing.assert_allclose(found, weights / weights.sum(-1, keepdims=True) @ v, rtol=1e-9)


def test_attention_with_dropout_groups_of_heads_and_queries_that_see_nothing() -> None:
    q, k = _numbers(2, 4, 5, 3), _numbers(2, 2, 6, 3)
    v = _numbers(2, 2, 6, 7)
    seen = np.ones((5, 6), bool)
    seen[2] = False
    for mask in (seen, np.where(seen, 0.0, -np.inf)):
        attend = functools.partial(
            F.scaled_dot_product_attention, key=k, value=v, attn_mask=mask, enable_gqa=True
        )
        wide = F.scaled_dot_product_attention(q, k.repeat(2, 1), v.repeat(2, 1))
        np.testing.assert_array_equal(attend(q), np.where(seen[:, :1], wide, 0))
        gradient = lucid.grad(lambda q, attend=attend: attend(q).sum())(q).numpy()
        assert np.isfinite(gradient).all() and not gradient[:, :, 2].any()
    lucid.manual_seed(0)
    half = F.scaled_dot_product_attention(lucid.zeros(64, 4), lucid.zeros(256, 4), np.eye(256), dropout_p=0.5)
    assert {*half.numpy().ravel()} == {0, 2 / 256} and abs(half.mean().item() * 256 - 1) < 0.05
    with pytest.raises(ValueError, match=r"test_images.py:\d+: .*attention: with enable_gqa heads"):
        F.scaled_dot_product_attention(q, k[:, :0], v, enable_gqa=True)


def test_a_small_network_of_convolutions_learns() -> None:
    """Bars across and bars down: told apart after a few compiled steps."""
    lucid.manual_seed(1)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 1, 8, 8)).astype(np.float32) * 0.1
    down = rng.random(64) < 0.5
    for image, vertical, at in zip(images, down, rng.integers(0, 8, 64), strict=True):
        image[0, :, at] += vertical
        image[0, at, :] += not vertical
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 1),
    )  # fmt: skip
    opt = optim.Adam(net.parameters(), lr=0.02)
    target = np.where(down, 1.0, -1.0).astype(np.float32)[:, None]

    @lucid.compile
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        return loss

    losses = [step(images, target).item() for _ in range(40)]
    assert losses[-1] < 0.1 * losses[0]
    assert (np.sign(net.eval()(images).numpy()) == target).mean() > 0.9


ONES = np.ones((1, 3, 4, 4))


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: F.conv2d(ONES, np.ones((2, 2, 3, 3))), ValueError, "does not fit the 3 channels"),
        (lambda: F.conv2d(ONES, np.ones((2, 3, 5, 5))), ValueError, "a window of 5 does not fit"),
        (lambda: F.conv2d(np.ones((4, 4)), np.ones((2, 3, 5, 5))), ValueError, "expected 3 or 4 axes"),
        (lambda: F.conv1d(ONES[0], np.ones((1, 4, 2)), stride=0), ValueError, "at least 1"),
        (lambda: F.conv1d(ONES[0], np.ones((1, 4, 2)), padding="some"), ValueError, "'same'"),
        (lambda: F.max_pool2d(ONES, 3, padding=2), ValueError, "at most half a window"),
        (lambda: F.max_pool2d(ONES, (1.5, 2)), TypeError, "whole number"),  # type: ignore[arg-type]
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "2 groups of 3 channels"),
        (lambda: nn.BatchNorm1d(3)(np.ones((2, 4), np.float32)), ValueError, "expected"),
        (lambda: F.group_norm(np.ones((2, 4)), 3), ValueError, "do not make 3 groups"),
    ],
)
def test_bad_arguments(make: Callable[[], Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        make()


def test_what_windows_choose_from_is_stored_once() -> None:
    """Not what is padded, and beside it where that is."""
    pool = lucid.compile(lambda x: F.max_pool2d(x, 3, 2, 1))
    x = np.random.default_rng(8).normal(size=(2, 3, 9, 9)).astype("float32")
    x[0, 0, 0, 0] = np.nan
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    cut = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    np.testing.assert_array_equal(pool(x).numpy(), cut.max((4, 5)))
    assert [kernel.text.count(": b1[") for kernel in pool.kernels] == [0, 0]
