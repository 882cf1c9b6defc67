"""Layers beside the common ones: what `like_torch` does not see."""

# mypy: disable-error-code="arg-type, attr-defined, list-item"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

F = nn.functional


def test_initial_values() -> None:
    lucid.manual_seed(0)
    w = nn.Parameter(np.zeros((200, 300), np.float32))
    cases: list[tuple[Callable[[], Any], float, float]] = [
        (lambda: nn.init.uniform_(w, -2.0, 4.0), 6 / math.sqrt(12), 4.0),
        (lambda: nn.init.normal_(w, 0.0, 0.3), 0.3, 2.0),
        (lambda: nn.init.xavier_uniform_(w, 2.0), 2 * math.sqrt(2 / 500), 2 * math.sqrt(6 / 500)),
        (lambda: nn.init.xavier_normal_(w), math.sqrt(2 / 500), 1.0),
        (lambda: nn.init.kaiming_uniform_(w, mode="fan_out"), math.sqrt(2 / 200), math.sqrt(6 / 200)),
        (lambda: nn.init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / 300), 1.0),
        (lambda: nn.init.trunc_normal_(w, std=1.0, a=-2.0, b=2.0), 0.8796, 2.0),
    ]
    for fill, deviation, most in cases:
        assert fill() is w and w.requires_grad and w.dtype == np.float32
        values = w.numpy()
        assert values.std() == pytest.approx(deviation, rel=0.02)
        assert np.abs(values).max() <= most * (1 + 1e-6)
    for shape in ((30, 20), (20, 30), (4, 3, 3, 3)):
        rows = np.array(nn.init.orthogonal_(nn.Parameter(np.zeros(shape)), gain=2.0)).reshape(shape[0], -1)
        rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
        np.testing.assert_allclose(rows @ rows.T, 4 * np.eye(len(rows)), atol=1e-6)


def test_dropout_of_channels() -> None:
    lucid.manual_seed(1)
    found = np.array(nn.Dropout2d(0.4)(np.ones((50, 40, 3, 2), np.float32)))
    whole = found.reshape(50, 40, -1)
    assert (whole == whole[:, :, :1]).all() and set(np.unique(found)) == {0.0, np.float32(1 / 0.6)}
    assert (whole[:, :, 0] == 0).mean() == pytest.approx(0.4, abs=0.04)
    without = np.array(nn.Dropout1d(0.5)(np.ones((40, 3))))
    assert ((without == 0).all(1) | (without == 2).all(1)).all()


def test_running_statistics_of_instances() -> None:
    norm = nn.InstanceNorm1d(2, track_running_stats=True, momentum=0.5)
    x = np.random.default_rng(0).normal(3, 2, (4, 2, 50)).astype(np.float32)
    norm(x)
    np.testing.assert_allclose(norm.running_mean, 0.5 * x.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, 0.5 + 0.5 * x.var(2, ddof=1).mean(0), rtol=1e-5)
    found = np.array(norm.eval()(x))
    mean, var = np.array(norm.running_mean), np.array(norm.running_var)
    np.testing.assert_allclose(
        found, (x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5), rtol=1e-4, atol=1e-6
    )


def test_containers() -> None:
    net = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.ReLU()})
    net["c"] = nn.Linear(3, 1)
    assert list(net) == ["a", "b", "c"] and len(net) == 3 and "b" in net
    assert set(net.state_dict()) == {"a.weight", "a.bias", "c.weight", "c.bias"}
    assert isinstance(net.pop("b"), nn.ReLU) and [name for name, _ in net.items()] == ["a", "c"]
    values = nn.ParameterList([Tensor([1.0]), nn.Parameter([2.0])]).append(Tensor([3.0]))
    values[1] = Tensor([5.0])
    assert [p.item() for p in values] == [1, 5, 3] and values[-1].item() == 3
    assert list(values.state_dict()) == ["0", "1", "2"]
    named = nn.ParameterDict({"w": Tensor([1.0])})
    assert named["w"].requires_grad and list(named.keys()) == ["w"]
    cases: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (KeyError, "no 'x'; there are a, c", lambda: net["x"]),
        (KeyError, "'forward' is taken", lambda: net.update({"forward": nn.ReLU()})),
        (TypeError, "is no Module", lambda: net.update({"d": 3})),
        (TypeError, "expected parameters or tensors, not int", lambda: values.append(3)),
        (KeyError, "no 'y'; there are w", lambda: named["y"]),
    ]
    for kind, message, wrong in cases:
        with pytest.raises(kind, match=message):
            wrong()


def test_compiled_layers_give_what_they_give_uncompiled() -> None:
    lucid.manual_seed(2)
    x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2, nn.LayerNorm(8)
    )
    lstm, upsample = nn.LSTM(8, 4, batch_first=True), nn.Upsample(scale_factor=3.0, mode="linear")
    transposed = nn.ConvTranspose1d(8, 2, 3, stride=2)
    for f in (
        encoder,
        lambda x: lstm(x)[0],
        lambda x: upsample(x.transpose(0, 2, 1)),
        lambda x: transposed(x.transpose(0, 2, 1)),
        lambda x: F.normalize(F.glu(F.hardswish(x), dim=1 if x.shape[1] % 2 == 0 else -1)),
    ):
        plain, compiled = f(Tensor(x)), lucid.compile(f)(Tensor(x))
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_activations_of_16_bits_are_rounded_once(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = Tensor(np.linspace(-6, 6, 49, dtype=np.float32)).astype(dtype)
    wide = x.astype(np.float32)
    for f in (F.selu, F.hardswish, F.softplus, F.logsigmoid, F.leaky_relu, F.softsign, F.tanhshrink):
        found = f(x)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(
            found.astype(np.float32).numpy(), f(wide).astype(dtype).astype(np.float32).numpy()
        )


def test_infinities_and_nans_of_losses() -> None:
    inf = np.inf
    logits = Tensor([1000.0, -1000.0, 0.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logits, np.array([1.0, 0.0, 1.0], np.float32), reduction="none")
    np.testing.assert_allclose(loss, [0, 0, math.log(2)], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(logits.grad, [0, 0, -0.5])
    assert F.kl_div(np.zeros(2), np.array([0.0, 1.0]), reduction="sum").item() == 0  # 0 log(0) is 0
    np.testing.assert_array_equal(F.hardshrink(np.array([np.nan, inf, -inf])), [np.nan, inf, -inf])
    np.testing.assert_array_equal(F.softsign(np.array([0.0, -0.0])), [0.0, -0.0])


WRONG: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (ValueError, "min_val must not be above max_val", lambda: F.hardtanh([1.0], 2.0, 1.0)),
    (ValueError, "lambd must be at least 0", lambda: nn.Softshrink(-1.0)),
    (TypeError, "negative_slope must be a number, not str", lambda: nn.LeakyReLU("x")),
    (ValueError, "has no halves", lambda: F.glu(np.zeros((2, 3)))),
    (
        ValueError,
        r"weight \(3,\) does not fit the channels of \(2, 4\)",
        lambda: F.prelu(np.zeros((2, 4)), np.ones(3)),
    ),
    (
        ValueError,
        r"input has shape \(2,\) and target \(3,\)",
        lambda: F.binary_cross_entropy(np.ones(2), np.ones(3)),
    ),
    (ValueError, "reduction must be 'mean', 'sum' or 'none'", lambda: nn.BCELoss(reduction="all")),
    (ValueError, "reduction must be batchmean", lambda: nn.KLDivLoss("all")),
    (ValueError, "p must be 1 or 2", lambda: F.multi_margin_loss(np.ones((2, 2)), np.zeros(2, int), 3)),
    (ValueError, "num_layers must be at least 1", lambda: nn.LSTM(2, 3, 0)),
    (ValueError, "nonlinearity must be tanh or relu", lambda: nn.RNN(2, 3, nonlinearity="sin")),
    (
        ValueError,
        r"expected \(steps, n, 2\) or \(steps, 2\), not \(4, 5\)",
        lambda: nn.GRU(2, 3)(np.zeros((4, 5))),
    ),
    (
        ValueError,
        r"expected 2 tensors of shape \(1, 4, 3\)",
        lambda: nn.LSTM(2, 3)(np.zeros((5, 4, 2)), np.zeros((1, 4, 3))),
    ),
    (ValueError, "8 features do not make 3 heads", lambda: nn.MultiheadAttention(8, 3)),
    (
        ValueError,
        r"expected a key_padding_mask of \(1, 4\)",
        lambda: nn.MultiheadAttention(4, 2)(*[np.zeros((4, 1, 4))] * 3, np.zeros((2, 2), bool)),
    ),
    (
        ValueError,
        "activation must be relu, gelu or a function",
        lambda: nn.TransformerEncoderLayer(4, 2, activation="no"),
    ),
    (
        ValueError,
        "output_padding .* must be below stride",
        lambda: F.conv_transpose1d(np.zeros((1, 2, 3)), np.zeros((2, 2, 3)), output_padding=1),
    ),
    (
        ValueError,
        "does not fit the 2 channels",
        lambda: F.conv_transpose1d(np.zeros((1, 2, 3)), np.zeros((3, 2, 3))),
    ),
    (ValueError, "expected size or scale_factor", lambda: F.interpolate(np.zeros((1, 2, 3)))),
    (ValueError, "mode must be of nearest", lambda: F.interpolate(np.zeros((1, 2, 3)), 4, mode="bilinear")),
    (
        ValueError,
        "align_corners has no meaning",
        lambda: F.interpolate(np.zeros((1, 2, 3)), 4, align_corners=True),
    ),
    (ValueError, "do not divide by 2", lambda: F.pixel_shuffle(np.zeros((1, 3, 2, 2)), 2)),
    (ValueError, "a window of 5 does not fit", lambda: F.unfold(np.zeros((1, 1, 3, 3)), 5)),
    (ValueError, r"expected \(batch, channels 4, 4\)", lambda: F.fold(np.zeros((1, 4, 9)), (3, 3), 2)),
    (ValueError, "padding is one width or 4", lambda: nn.ZeroPad2d((1, 2))),
    (ValueError, "p must be a probability", lambda: F.dropout2d(np.zeros((1, 2, 3, 4)), 1.5)),
    (ValueError, "fans are those of 2 axes", lambda: nn.init.xavier_uniform_(nn.Parameter([1.0]))),
    (ValueError, "expected linear, conv1d", lambda: nn.init.calculate_gain("cosine")),
    (
        ValueError,
        "mode must be fan_in or fan_out",
        lambda: nn.init.kaiming_normal_(nn.Parameter(np.zeros((2, 2))), mode="x"),
    ),
    (TypeError, "expected a tensor, not ndarray", lambda: nn.init.zeros_(np.zeros(2))),
    (
        ValueError,
        r"expected shape \(2,\), not \(3,\)",
        lambda: nn.utils.vector_to_parameters(np.zeros(3), [nn.Parameter([1.0, 2.0])]),
    ),
    (AttributeError, "module 'lucid.nn' has no attribute 'LTSM'", lambda: nn.LTSM),
    (AttributeError, "module 'lucid.nn.functional' has no attribute 'relu7'", lambda: F.relu7),
]


@pytest.mark.parametrize(("kind", "message", "wrong"), WRONG, ids=[message for _, message, _ in WRONG])
def test_wrong_arguments(kind: type[Exception], message: str, wrong: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_a_norm_that_is_not_finite() -> None:
    p = nn.Parameter([1.0])
    p.grad = Tensor([np.inf])
    with pytest.raises(RuntimeError, match="the norm of the gradients is inf"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
