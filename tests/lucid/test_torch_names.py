"""What people who come from PyTorch look for: errors, compiled functions, dtypes. What is computed is on
record in `names_like_torch.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F

X = np.random.default_rng(0).normal(size=(2, 3, 6, 5))
TWO = np.array([1, 2])
LOGS = np.log(np.full((4, 2, 3), 1 / 3))
CTC: Callable[..., Any] = F.ctc_loss


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "2 axes, and indices of 1", lambda: lucid.take_along_dim(X[0, 0], [1], 0)),
        (IndexError, "7", lambda: lucid.take_along_dim(X[0, 0], [[7]], 0)),
        (ValueError, "bilinear: inputs .* do not fit weight", lambda: nn.Bilinear(3, 3, 2)(X, X)),
        (ValueError, "pdist: expected a matrix, not shape", lambda: F.pdist(X)),
        (np.linalg.LinAlgError, "square", lambda: lucid.linalg.solve_triangular(X, X, upper=True)),
        (np.linalg.LinAlgError, "[Ss]ingular", lambda: lucid.cholesky_solve(X[0, 0, :2], np.zeros((2, 2)))),
        (np.linalg.LinAlgError, "square", lambda: lucid.matrix_exp(X)),
        (ValueError, "lp_pool1d: norm_type must be finite", lambda: F.lp_pool1d(X[0], np.inf, 2)),
        (ValueError, "max_unpool1d: values of shape", lambda: F.max_unpool1d(X[0], [[1]], 2)),
        (ValueError, "one less than a stride", lambda: F.max_unpool1d([[1.0]], [[1]], 2, output_size=(9,))),
        (IndexError, "5", lambda: F.max_unpool1d([[1.0]], [[5]], 2)),
        (TypeError, "LazyLinear: missing a required argument", lambda: nn.LazyLinear(outs=3)),
        (RuntimeError, "LazyLinear has no parameters yet", lambda: list(nn.LazyLinear(3).parameters())),
        (RuntimeError, "the first call makes parameters", lambda: lucid.compile(nn.LazyConv2d(3, 2))(X)),
        (ValueError, "has no channels", lambda: nn.LazyConv2d(3, 2)(X[0, 0])),
        (ValueError, "blank 3 is none of 3 classes", lambda: CTC(LOGS, [[1], [2]], [4, 4], [1, 1], 3)),
        (ValueError, "input_lengths: 4 to 5; expected 0", lambda: CTC(LOGS, [[1], [2]], [4, 5], [1, 1])),
        (ValueError, "expected 2 whole numbers", lambda: CTC(LOGS, [[1], [2]], [4], [1, 1])),
        (ValueError, "3 targets, but .* add up to 2", lambda: CTC(LOGS, [1, 2, 1], [4, 4], [1, 1])),
        (ValueError, "1 targets for a batch of 2", lambda: CTC(LOGS, [[1]], [4, 4], [1, 1])),
        (IndexError, "3", lambda: CTC(LOGS, [[1], [3]], [4, 4], [1, 1])),
        (ValueError, "of floats, not int64", lambda: CTC(np.ones((2, 2), int), [[1]], [1], [1])),
        (ValueError, "where targets in a row end", lambda: lucid.compile(CTC)(LOGS, TWO, [4, 4], [1, 1])),
        (ValueError, "no third derivative", lambda: third(lambda x: CTC(x, [[1], [2]], [4, 4], [1, 1]))),
    ],
)  # fmt: skip
def test_errors(error: type[Exception], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=r"test_torch_names.py:\d+: (?s:.)*" + message):
        np.asarray(call())


def squares(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Of the gradient."""
    return lambda x: (lucid.grad(f)(x) ** 2).sum()


def third(f: Callable[[Any], Any]) -> Any:
    return lucid.grad(squares(squares(f)))(LOGS)


def test_the_second_derivative_of_ctc_loss_is_that_of_differences() -> None:
    logs = np.random.default_rng(0).normal(size=(5, 3, 4))
    texts, steps, sizes = [[1, 1, 2], [2, 3, 0], [3, 0, 0]], [5, 5, 3], [3, 2, 1]
    f = squares(lambda x: CTC(x, texts, steps, sizes, zero_infinity=True))
    found = [lucid.grad(f)(logs).numpy(), lucid.compile(lucid.grad(f))(logs).numpy()]
    for place in ((0, 0, 1), (2, 1, 0), (4, 1, 3), (1, 2, 3), (4, 2, 1)):
        step = np.zeros_like(logs)
        step[place] = 1e-5
        wanted = (f(logs + step).item() - f(logs - step).item()) / 2e-5
        for x in found:
            assert abs(x[place] - wanted) < 1e-9, place
    assert (found[0][4, 2] == 0).all()  # beyond the last step


def test_compiled_and_in_half_precision() -> None:
    def f(x: Any) -> Any:
        pooled, where = F.max_pool2d(x, 2, return_indices=True)
        out = F.max_unpool2d(pooled, where, 2, output_size=x.shape) + F.lp_pool2d(x, 2, 1)
        loss = F.ctc_loss(x[0].log_softmax(-1), [[1, 2]] * 6, [3] * 6, [2] * 6)
        return out.sum() + loss + F.pdist(x[0, 0]).sum() + lucid.matrix_exp(x[0, 0, :5]).sum()

    run = lucid.compile(lucid.value_and_grad(f))
    for k in (1.0, 0.5):
        for a, b in zip(run(X * k), lucid.value_and_grad(f)(X * k), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    half = lucid.tensor(X[0], dtype=lucid.float16)
    loss = F.ctc_loss(half.log_softmax(-1), [[1, 2]] * 6, [3] * 6, [2] * 6)
    assert loss.dtype == np.float16
    np.testing.assert_allclose(
        loss, F.ctc_loss(half.double().log_softmax(-1), [[1, 2]] * 6, [3] * 6, [2] * 6), rtol=4e-3
    )


def test_ctc_of_labels_that_are_filled_up_and_of_many() -> None:
    logs = lucid.log_softmax(Tensor(X[0]), -1)  # 3 steps, 6 examples
    right = F.ctc_loss(logs, [[1, 2]] * 3 + [[4, 0]] * 3, [3] * 6, [2, 2, 2, 1, 1, 1], reduction="none")
    other = F.ctc_loss(logs, [[1, 2]] * 3 + [[4, -100]] * 3, [3] * 6, [2, 2, 2, 1, 1, 1], reduction="none")
    np.testing.assert_array_equal(right, other)
    several = lucid.vmap(lambda x: F.ctc_loss(x, [[1, 2]] * 6, [3] * 6, [2] * 6))(
        lucid.stack([logs, logs * 2])
    )
    one_by_one = [F.ctc_loss(x, [[1, 2]] * 6, [3] * 6, [2] * 6).item() for x in (logs, logs * 2)]
    np.testing.assert_allclose(several, one_by_one)
    nothing = F.ctc_loss(logs, np.zeros((6, 0), int), [0, 3, 3, 3, 3, 3], [0] * 6, reduction="none")
    np.testing.assert_allclose(nothing[:2], [0, -logs[:, 1, 0].sum().item()])
    assert F.ctc_loss(logs, [[1, 1]] * 6, [2] * 6, [2] * 6).item() == np.inf


def test_gumbel_softmax() -> None:
    lucid.manual_seed(0)
    logits = Tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    many = logits.broadcast_to((20000, 3))
    hard = F.gumbel_softmax(many, hard=True)
    np.testing.assert_array_equal(np.sort(hard.detach().numpy(), -1)[:, :2], np.zeros((20000, 2)))
    shares = hard.detach().mean(0)
    np.testing.assert_allclose(shares, F.softmax(logits.detach())[0], atol=0.015)
    hard[:, 0].sum().backward()
    assert logits.grad is not None and np.abs(logits.grad.numpy()).min() > 0
    soft = F.gumbel_softmax(many.T, tau=0.5, dim=0)
    np.testing.assert_allclose(soft.sum(0).detach(), np.ones(20000), rtol=1e-5)
    run = lucid.compile(lambda x: F.gumbel_softmax(x))
    assert not np.array_equal(run(many.detach()), run(many.detach()))


def test_lazy_layers_become_plain_ones() -> None:
    layer: Any = nn.LazyLinear(4, bias=False).eval()
    seen: list[int] = []
    layer.register_forward_hook(lambda m, args, out: seen.append(1))
    assert layer(X).shape == (2, 3, 6, 4) and type(layer) is nn.Linear and not layer.training
    layer(X)
    assert seen == [1, 1] and layer.bias is None
    made: Any
    for made, shape in ((nn.LazyBatchNorm1d(), (4, 3)), (nn.LazyInstanceNorm2d(affine=True), (2, 3, 4, 4))):
        made(np.ones(shape, np.float32))
        assert made.weight.shape == (3,)
    model = nn.Sequential(nn.LazyConv1d(2, 3), nn.ReLU())
    model(np.ones((5, 7), np.float32))
    assert [p.shape for p in model.parameters()] == [(2, 5, 3), (2,)]
    more = np.arange(35.0).reshape(5, 7)
    np.testing.assert_allclose(lucid.compile(model)(more), model(more), rtol=1e-6)


def test_exponentials_of_matrices() -> None:
    scipy = pytest.importorskip("scipy.linalg")
    given = np.array([np.eye(3), -40 * np.ones((3, 3)), np.arange(9.0).reshape(3, 3) - 4, np.zeros((3, 3))])
    np.testing.assert_allclose(lucid.matrix_exp(given), scipy.expm(given), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(lucid.matrix_exp(given * 1j), scipy.expm(given * 1j), rtol=1e-10, atol=1e-12)
    assert lucid.matrix_exp(given.astype("f")).dtype == np.float32
    assert np.isnan(lucid.matrix_exp([[np.nan, 0.0], [0.0, 1.0]]).numpy()).all()
    slope = lucid.grad(lambda x: (lucid.matrix_exp(x) ** 2).sum())
    way, point = np.cos(np.arange(9.0)).reshape(3, 3), given[2] / 10
    found = lucid.grad(lambda x: (slope(x) * way).sum())(point)
    around = [np.vdot(slope(point + h * way), way) - np.vdot(slope(point - h * way), way) for h in (1e-5,)]
    np.testing.assert_allclose(np.vdot(found, way), around[0] / 2e-5, rtol=1e-6)
