"""Losses of classes and tables of rows against PyTorch: values, gradients, what is ignored, what refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.nn import functional as F

pytestmark = pytest.mark.table

torch = pytest.importorskip("torch", reason="PyTorch is no dependency")
TF = torch.nn.functional
RNG = np.random.default_rng(7)
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5,), ()),
    ((6, 5), (6,)),
    ((4, 3, 7), (4, 7)),
    ((2, 5, 3, 4), (2, 3, 4)),
]


def same(ours: Any, theirs: Any, operands: list[Any], second: bool = True) -> None:
    """Value, first and second derivatives by the float operands, eager and compiled."""
    floats = [k for k, a in enumerate(operands) if np.asarray(a).dtype.kind == "f"]
    given = [torch.tensor(a, requires_grad=k in floats) for k, a in enumerate(operands)]
    value = theirs(*given)
    weight = RNG.standard_normal(tuple(value.shape)).astype(np.float32)
    wrt = [given[k] for k in floats]
    first = torch.autograd.grad((value * torch.tensor(weight)).sum(), wrt, create_graph=second)
    wanted = [value, *first]
    if second:
        total = sum((g * g).sum() for g in first)
        wanted += torch.autograd.grad(total, wrt, allow_unused=True)

    def loss(*args: Any) -> Any:
        return (ours(*args) * weight).sum()

    grad = lucid.grad(loss, floats)

    def squared(*args: Any) -> Any:
        return sum((g * g).sum() for g in grad(*args))

    def all_of(*args: Any) -> Any:
        more = lucid.grad(squared, floats)(*args) if second else ()
        return (ours(*args), *grad(*args), *more)

    for f in (all_of, lucid.compile(all_of)):
        for a, b in zip(f(*operands), wanted, strict=True):
            expected = np.zeros(a.shape) if b is None else b.detach().numpy()
            np.testing.assert_allclose(a.numpy(), expected, rtol=2e-4, atol=2e-5)


def targets(shape: tuple[int, ...], classes: int, ignored: int | None) -> Any:
    y = RNG.integers(0, classes, shape)
    if ignored is not None and y.ndim:
        y.flat[::3] = ignored
    return y


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("shape", "target"), SHAPES, ids=str)
@pytest.mark.parametrize("options", ["plain", "weighted", "ignored", "smooth", "all"])
def test_cross_entropy_is_pytorch_s(shape: Any, target: Any, options: str, reduction: Any) -> None:
    x = RNG.standard_normal(shape).astype(np.float32)
    classes = shape[min(1, len(shape) - 1)]
    some = options in ("ignored", "all")
    y = targets(target, classes, 1 if some else None)
    w = RNG.uniform(0.5, 2, classes).astype(np.float32) if options in ("weighted", "all") else None
    how: dict[str, Any] = {"reduction": reduction, "ignore_index": 1 if some else -100}
    if options in ("smooth", "all"):
        how["label_smoothing"] = 0.2
    weight = None if w is None else torch.tensor(w)
    few = options in ("plain", "all") and reduction == "mean"
    same(
        lambda x, y: F.cross_entropy(x, y, w, **how),
        lambda x, y: TF.cross_entropy(x, y, weight, **how),
        [x, y],
        second=few,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [s for s, _ in SHAPES], ids=str)
def test_cross_entropy_with_probabilities(shape: Any, reduction: Any, smoothing: float) -> None:
    x, y = (RNG.standard_normal(shape).astype(np.float32) for _ in range(2))
    axis = min(1, len(shape) - 1)
    y = np.exp(y) / np.exp(y).sum(axis=axis, keepdims=True)
    w = RNG.uniform(0.5, 2, shape[axis]).astype(np.float32)
    how: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    same(
        lambda x, y: F.cross_entropy(x, y, w, **how),
        lambda x, y: TF.cross_entropy(x, y, torch.tensor(w), **how),
        [x, y],
        second=False,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("shape", "target"), SHAPES, ids=str)
def test_nll_loss_is_pytorch_s(shape: Any, target: Any, reduction: Any) -> None:
    x = RNG.standard_normal(shape).astype(np.float32)
    classes = shape[min(1, len(shape) - 1)]
    w = RNG.uniform(0.5, 2, classes).astype(np.float32)
    y = targets(target, classes, 2)
    same(
        lambda x, y: F.nll_loss(x, y, w, 2, reduction),
        lambda x, y: TF.nll_loss(x, y, torch.tensor(w), ignore_index=2, reduction=reduction),
        [x, y],
        second=False,
    )


def test_targets_that_are_all_ignored_have_no_mean() -> None:
    x, y = RNG.standard_normal((3, 4)).astype(np.float32), np.full(3, -100)
    assert np.isnan(F.cross_entropy(x, y).item())
    assert F.cross_entropy(x, y, reduction="sum").item() == 0


def test_classes_of_float16_are_computed_in_float32() -> None:
    x, y = (RNG.standard_normal((64, 50)) * 20).astype(np.float16), RNG.integers(0, 50, 64)
    got = F.cross_entropy(x, y)
    want = TF.cross_entropy(torch.tensor(x.astype(np.float32)), torch.tensor(y)).item()
    assert got.dtype == np.float16
    assert got.item() == np.float16(want)


def test_loss_and_gradient_of_classes_are_one_pass() -> None:
    """No sums at places: the row is read, and its gradient written."""
    grad = lucid.compile(lucid.value_and_grad(F.cross_entropy))
    x, y = RNG.standard_normal((500, 100)).astype(np.float32), RNG.integers(0, 100, 500)
    grad(x, y)
    assert "scatter" not in grad.explain()
    assert sum(k.bytes for k in grad.kernels) < 2 * x.nbytes + 2 * y.nbytes + 100


@pytest.mark.parametrize("bad", [5, -1, -101])
def test_a_target_without_a_class_is_an_error(bad: int) -> None:
    x, y = RNG.standard_normal((3, 5)).astype(np.float32), np.array([0, bad, 2])
    for f in (F.cross_entropy, F.nll_loss):
        with pytest.raises(IndexError, match=rf"test_classes.py:\d+: index {bad}, .*size 5"):
            f(x, y).numpy()
        with pytest.raises(IndexError, match=rf"index {bad}, .*size 5"):
            lucid.compile(f)(x, y)
    with pytest.raises(ValueError, match=r"test_classes.py:\d+: .*\(2,\) do not fit"):
        F.cross_entropy(x, y[:2])
    with pytest.raises(ValueError, match=r"test_classes.py:\d+: .*weight"):
        F.cross_entropy(x, y, np.ones(4, "f"))
    with pytest.raises(ValueError, match=r"test_classes.py:\d+: .*label_smoothing"):
        F.cross_entropy(x, y, label_smoothing=1.5)


def test_modules_of_losses() -> None:
    x, y = RNG.standard_normal((6, 4)).astype(np.float32), RNG.integers(0, 4, 6)
    w = np.array([1, 2, 3, 4], np.float32)
    ours = nn.CrossEntropyLoss(w, label_smoothing=0.1)
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(w), label_smoothing=0.1)
    np.testing.assert_allclose(ours(x, y).item(), theirs(torch.tensor(x), torch.tensor(y)).item(), rtol=1e-5)
    assert list(ours.state_dict()) == ["weight"]
    logs = F.log_softmax(x, dim=1)
    np.testing.assert_allclose(nn.NLLLoss()(logs, y).item(), nn.CrossEntropyLoss()(x, y).item(), rtol=1e-5)


# --- tables of rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding_is_pytorch_s(padding: int | None) -> None:
    table = RNG.standard_normal((5, 3)).astype(np.float32)
    index = np.array([[0, 2, 4], [4, 4, 1]])
    same(
        lambda i, t: F.embedding(i, t * t, padding) ** 2,
        lambda i, t: TF.embedding(i, t * t, padding_idx=padding) ** 2,
        [index, table],
    )
    layer = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=padding)
    layer(index).sum().backward()
    assert layer.weight.grad is not None
    count = np.bincount(index.ravel(), minlength=5).astype(float)
    if padding is not None:
        count[padding] = 0
    np.testing.assert_array_equal(layer.weight.grad.numpy(), count[:, None] * np.ones(3))


def test_an_embedding_without_a_row_is_an_error_and_training_goes_on() -> None:
    lucid.manual_seed(0)
    model = nn.Sequential(nn.Embedding(4, 3, padding_idx=0), nn.Linear(3, 2))
    opt = optim.Adam(model.parameters(), lr=0.1)

    @lucid.compile
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    x, y = np.array([1, 2, 3, 1]), np.array([0, 1, 1, 0])
    assert (model.state_dict()["0.weight"].numpy()[0] == 0).all()
    losses = [step(x, y).item() for _ in range(20)]
    assert losses[-1] < 0.3 * losses[0]
    before = {k: np.array(v.numpy()) for k, v in model.state_dict().items()}
    for bad, cls in ((np.array([1, 4, 3, 1]), y), (np.array([1, -1, 3, 1]), y), (x, np.array([0, 2, 1, 0]))):
        with pytest.raises(IndexError, match=r"test_classes.py:\d+: index"):
            step(bad, cls)
        for k, v in model.state_dict().items():
            np.testing.assert_array_equal(v.numpy(), before[k])
    assert (before["0.weight"][0] == 0).all()
    assert step(x, y).item() < losses[-1]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 2])
def test_embedding_bag_is_pytorch_s(mode: str, padding: int | None) -> None:
    table = RNG.standard_normal((5, 3)).astype(np.float32)
    index, flat = np.array([[0, 2, 4], [4, 4, 1]]), np.array([0, 2, 4, 4, 1, 3, 2])
    how: dict[str, Any] = {"mode": mode, "padding_idx": padding}
    same(
        lambda i, t: F.embedding_bag(i, t, **how),
        lambda i, t: TF.embedding_bag(i, t, **how),
        [index, table],
        second=False,
    )
    starts = np.array([0, 3, 3, 6])
    same(
        lambda i, t, o: F.embedding_bag(i, t, o, **how),
        lambda i, t, o: TF.embedding_bag(i, t, o, **how),
        [flat, table, starts],
        second=False,
    )
    layer = nn.EmbeddingBag(5, 3, mode=mode, padding_idx=padding)
    assert layer(index).shape == (2, 3)


def test_factors_in_a_bag() -> None:
    table, factors = (RNG.standard_normal(s).astype(np.float32) for s in ((5, 3), (2, 3)))
    index = np.array([[0, 2, 4], [4, 1, 1]])
    same(
        lambda i, t, p: F.embedding_bag(i, t, mode="sum", per_sample_weights=p),
        lambda i, t, p: TF.embedding_bag(i, t, mode="sum", per_sample_weights=p),
        [index, table, factors],
        second=False,
    )


def test_one_hot() -> None:
    index = np.array([[0, 2], [1, 1]])
    want = TF.one_hot(torch.tensor(index), 4).numpy()
    np.testing.assert_array_equal(F.one_hot(index, 4).numpy(), want, strict=True)
    np.testing.assert_array_equal(lucid.compile(lambda i: F.one_hot(i, 4))(index).numpy(), want)
    assert F.one_hot(index).shape == (2, 2, 3)
    for bad in (4, -1):
        with pytest.raises(IndexError, match=rf"index {bad}, .*size 4"):
            F.one_hot(Tensor([0, bad]), 4).numpy()


@pytest.mark.parametrize("name", ["silu", "mish", "elu"])
def test_activations_are_pytorch_s(name: str) -> None:
    x = np.array([-200, -30, -3, -1e-3, -0.0, 0.0, 1e-3, 2, 30, 200], np.float32)
    given = torch.tensor(x, requires_grad=True)
    want = getattr(TF, name)(given)
    want.sum().backward()
    f = getattr(lucid.nn.functional, name)
    np.testing.assert_allclose(f(Tensor(x)).numpy(), want.detach().numpy(), rtol=2e-6)
    slope = lucid.grad(lambda x: f(x).sum())(Tensor(x)).numpy()
    np.testing.assert_allclose(slope, given.grad.numpy(), rtol=1e-5, atol=1e-7)
