"""Modules, layers and activations."""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.nn import functional as F

Array = np.ndarray[Any, Any]


class Net(nn.Module):
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 4)
        self.act = nn.Tanh()
        self.out = nn.Linear(4, 1, bias=False)
        self.scale = nn.Parameter(np.ones((), np.float32))
        self.register_buffer("seen", np.zeros((), np.int64))
        self.register_buffer("scratch", Tensor([0.0]), persistent=False)

    def forward(self, x: Any) -> Any:
        if self.training:
            self.seen = self.seen + 1
        return self.out(self.act(self.hidden(x))) * self.scale


def test_tree() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "hidden.weight", "hidden.bias", "out.weight",
    ]  # fmt: skip
    assert len(list(net.parameters())) == 4
    assert [n for n, _ in net.named_modules()] == ["", "hidden", "act", "out"]
    assert [n for n, _ in net.named_children()] == ["hidden", "act", "out"]
    assert next(iter(net.modules())) is net
    assert list(net.children()) == [net.hidden, net.act, net.out]
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch"]
    assert all(isinstance(b, Tensor) for b in net.buffers())


def test_parts_by_their_names() -> None:
    net = Net()
    assert net.get_submodule("hidden") is net.hidden and net.get_submodule("") is net
    assert net.get_parameter("hidden.weight") is net.hidden.weight and net.get_buffer("seen") is net.seen
    assert [n for n, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [n for n, _ in net.hidden.named_parameters("h")] == ["h.weight", "h.bias"]
    assert list(net.parameters(recurse=False)) == [net.scale] and not [*net.hidden.buffers(recurse=False)]
    twice = nn.Sequential(net.hidden, nn.ReLU())
    twice.register_module("again", nn.ReLU())
    twice.set_submodule("again", net)
    assert twice.get_submodule("again.out") is net.out
    for missing in (lambda: net.get_submodule("hidden.weight"), lambda: net.get_parameter("hidden.none")):
        with pytest.raises(AttributeError, match="has no"):
            missing()
    with pytest.raises(AttributeError, match="no buffer 'scale'"):
        net.get_buffer("scale")


def test_shared_parts_count_once() -> None:
    a = nn.Linear(2, 2)
    both = nn.Sequential(a, nn.ReLU(), a)
    assert len(list(both.parameters())) == 2
    assert len(list(both.modules())) == 3


def test_modes_and_grads() -> None:
    net = Net()
    assert net.training and net.hidden.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    net(Tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(Tensor([[1.0, 2.0, 3.0]])).requires_grad


def test_buffers_change_in_place() -> None:
    net = Net()
    buffer = net.seen
    for _ in range(3):
        net(Tensor([[1.0, 2.0, 3.0]]))
    assert net.seen is buffer
    assert buffer.item() == 3
    net.eval()(Tensor([[1.0, 2.0, 3.0]]))
    assert buffer.item() == 3
    with pytest.raises(KeyError, match="'seen' is taken"):
        net.register_buffer("seen", None)


def test_state_dict() -> None:
    net, other = Net(), Net()
    net.seen = net.seen + 5
    state = net.state_dict()
    assert set(state) == {"scale", "hidden.weight", "hidden.bias", "out.weight", "seen"}
    loaded = other.load_state_dict(state)
    assert loaded == ([], [])
    x = Tensor(np.random.default_rng(0).normal(size=(5, 3)).astype("f"))
    np.testing.assert_array_equal(net.eval()(x), other.eval()(x))
    assert other.seen.item() == 5
    before = np.array(state["scale"])
    net.load_state_dict({**state, "scale": np.float64(7)})  # a snapshot does not follow
    np.testing.assert_array_equal(state["scale"], before)
    assert net.scale.item() == 7 and net.scale.dtype == np.float32
    assert net.scale.requires_grad and net.scale.is_leaf


def test_a_wrong_state_dict_changes_nothing() -> None:
    net = Net()
    good = {k: np.array(v) for k, v in net.state_dict().items()}
    zeros = {k: np.zeros_like(v) for k, v in good.items()}
    some = {k: v for k, v in zeros.items() if k not in ("scale", "hidden.bias")}
    cases: list[tuple[dict[str, Any], str]] = [
        (some, "missing keys: scale, hidden.bias\n"),
        ({**zeros, "more": np.zeros(2)}, "unexpected keys: more\n"),
        ({**zeros, "out.weight": np.zeros((4, 1))}, r"out.weight has shape \(4, 1\), expected \(1, 4\)"),
        ({**zeros, "seen": np.float32(1)}, "seen is float32, expected int64"),
        ({**zeros, "scale": np.array("x")}, "unsupported dtype"),
        (
            {**some, "more": 1, "seen": np.zeros(3)},
            r"unexpected.* more\n.*missing.* scale.*\n.*\n.*seen has shape",
        ),
    ]
    for state, message in cases:
        told = r"test_nn.py:\d+: load_state_dict of Net: nothing is loaded:\n.*"
        with pytest.raises(RuntimeError, match=told + message):
            net.load_state_dict(state)
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(value, good[name])
    loaded = net.load_state_dict({"scale": np.float32(3), "more": 1}, strict=False)
    assert loaded.unexpected_keys == ["more"]
    assert "hidden.weight" in loaded.missing_keys
    assert net.scale.item() == 3


def test_parameters() -> None:
    p = nn.Parameter([1.0, 2.0])
    assert isinstance(p, Tensor) and p.requires_grad and p.is_leaf
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="no gradient"):
        nn.Parameter([1, 2])
    net = Net()
    twin = copy.deepcopy(net)
    assert isinstance(twin.scale, nn.Parameter)
    assert twin.scale is not net.scale
    np.testing.assert_array_equal(twin.hidden.weight, net.hidden.weight)


def test_repr() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()), nn.LayerNorm(3), nn.Softmax())
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(2, 3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        "  (2): LayerNorm((3,), eps=1e-05, elementwise_affine=True)\n"
        "  (3): Softmax(dim=-1)\n"
        ")"
    )
    assert repr(nn.HuberLoss(delta=2)) == "HuberLoss(reduction='mean', delta=2.0)"


def test_sequential() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert len(net) == 2
    assert isinstance(net[1], nn.ReLU)
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU"]
    assert set(net.state_dict()) == {"0.weight", "0.bias"}
    with pytest.raises(TypeError, match="no Module"):
        nn.Sequential(math.sin)  # type: ignore[arg-type]
    assert [type(m).__name__ for m in net[:1]] == ["Linear"]
    assert net.append(nn.Tanh()) is net
    assert [name for name, _ in net.named_children()] == ["0", "1", "2"]
    named = nn.Sequential({"first": net[0], "act": nn.ReLU(inplace=True)})
    assert set(named.state_dict()) == {"first.weight", "first.bias"}
    np.testing.assert_array_equal(named(np.eye(2)).numpy(), net[:2](np.eye(2)).numpy())
    with pytest.raises(IndexError, match=r"test_nn.py:\d+: "):
        net[3]
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


@pytest.mark.parametrize("of", [nn.ModuleList, lambda modules: nn.Sequential(*modules)])
def test_modules_are_put_in_and_taken_out(of: Any) -> None:
    a, b, c, d = nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1), nn.ReLU()
    found = of([a, b])
    found.insert(1, d)
    found += [c]
    assert list(found) == [a, d, b, c] and [n for n, _ in found.named_children()] == ["0", "1", "2", "3"]
    found[-2] = d
    del found[1]
    assert list(found) == [a, d, c] and sorted(found.state_dict())[-2:] == ["2.bias", "2.weight"]
    assert found.pop() is c and list(found) == [a, d]
    both = found + of([c])
    assert type(both) is type(found) and list(both) == [a, d, c] and len(found) == 2
    del both[:2]
    assert list(both) == [c] and "0.weight" in both.state_dict()
    with pytest.raises(TypeError, match=r"test_nn.py:\d+: .* is no Module"):
        found.insert(0, lucid.tanh)
    with pytest.raises(IndexError):
        found[5] = a
    assert list(found) == [a, d]


def test_a_compiled_function_follows_the_modules_of_a_sequence() -> None:
    net = nn.Sequential(nn.Tanh(), nn.ReLU())
    f = lucid.compile(net)
    x = np.array([-1.0, 2.0], "f")
    for change in (
        lambda: None,
        lambda: net.__setitem__(1, nn.Sigmoid()),
        lambda: net.insert(0, nn.ReLU()),
        lambda: net.pop(0),
    ):
        change()
        np.testing.assert_array_equal(f(x), net(x))


@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("compiled", [False, True])
def test_statistics_go_on_in_the_function_as_in_the_module(kind: str, compiled: bool) -> None:
    layer = nn.BatchNorm1d(3) if kind == "batch_norm" else nn.InstanceNorm1d(3, track_running_stats=True)
    mean, var = lucid.zeros(3), lucid.ones(3)

    def by_function(x: Any) -> Any:
        return getattr(nn.functional, kind)(x, mean, var, None, None, True)

    f = lucid.compile(by_function) if compiled else by_function
    for scale in (1.0, 2.0):
        x = lucid.tensor(np.random.default_rng(0).standard_normal((4, 3, 5)) * scale, dtype="float32")
        np.testing.assert_allclose(f(x), layer(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean, layer.running_mean, rtol=1e-5)
    np.testing.assert_allclose(var, layer.running_var, rtol=1e-5)
    given = np.zeros(3, np.float32)  # an array stays
    getattr(nn.functional, kind)(x, given, given, None, None, True)
    assert not given.any()


def test_lists_of_modules() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
            self.out = nn.Sequential(nn.Identity(), nn.Flatten())

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return self.out(x)

    net = Net()
    assert len(list(net.parameters())) == 6
    assert isinstance(net.layers[1:], nn.ModuleList) and len(net.layers[1:]) == 2
    assert net.layers[-1] is list(net.layers)[2]
    x = np.ones((4, 1, 2), "f")
    right = net.layers[2](net.layers[1](net.layers[0](x))).numpy().reshape(4, 2)
    np.testing.assert_allclose(lucid.compile(net)(x).numpy(), right, rtol=1e-6)
    with pytest.raises(TypeError, match=r"test_nn.py:\d+: ModuleList: .* is no Module"):
        net.layers.append(math.sin)  # type: ignore[arg-type]


def test_modules_go_to_devices() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert net.to("cpu") is net.cpu() is net.float() is net.to(lucid.float32) is net
    with pytest.raises(ValueError, match=r"test_nn.py:\d+: .*'tpu'"):
        net.to("tpu")
    seen: list[str] = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Linear", "Sequential"]


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_linear(shape: tuple[int, ...]) -> None:
    lucid.manual_seed(0)
    layer = nn.Linear(3, 4)
    bound = 1 / math.sqrt(3)
    w, b = np.asarray(layer.weight), np.asarray(layer.bias)
    assert w.shape == (4, 3) and w.dtype == np.float32
    assert (abs(w) <= bound).all() and (abs(b) <= bound).all()
    x = np.random.default_rng(0).normal(size=shape).astype("f")
    out = layer(x)
    assert out.shape == (*shape[:-1], 4)
    np.testing.assert_allclose(out, x @ w.T + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nn.Linear(3, 4, bias=False)(x).shape, (*shape[:-1], 4))
    with pytest.raises(ValueError, match=r"test_nn.py:\d+: linear: input of shape \(2, 5\)"):
        layer(np.zeros((2, 5), "f"))
    twin = nn.Linear(2, 2, True, "cpu", np.float64)  # PyTorch's order
    assert twin.weight.dtype == np.float64
    assert nn.LayerNorm(2, device="cpu", dtype="float16").weight.dtype == np.float16  # type: ignore[union-attr]
    assert nn.Linear(2, 2, dtype="float64")(np.zeros((1, 2))).dtype == np.float64


# --- activations ---------------------------------------------------------------------------------

X = np.array([-1000.0, -30.0, -3.0, -0.5, -0.0, 0.0, 0.1, 2.0, 30.0, 1000.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(dtype: Any) -> None:
    x = X.astype(dtype)
    rtol = 8 * np.finfo(dtype).eps
    with np.errstate(all="ignore"):
        sigmoid = np.where(x >= 0, 1 / (1 + np.exp(-abs(x))), np.exp(-abs(x)) / (1 + np.exp(-abs(x))))
    np.testing.assert_array_equal(nn.ReLU()(x), np.maximum(x, 0))
    np.testing.assert_allclose(nn.Tanh()(x), np.tanh(x), rtol=rtol)
    np.testing.assert_allclose(nn.Sigmoid()(x), sigmoid, rtol=rtol)
    with np.errstate(all="ignore"):
        inner = math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)
        gelu = 0.5 * X * (1 + np.tanh(inner))
    finite = abs(X) < 10
    np.testing.assert_allclose(nn.GELU("tanh")(x).numpy()[finite], gelu[finite], rtol=rtol, atol=rtol)
    np.testing.assert_array_equal(nn.GELU("tanh")(x), F.gelu(x, approximate="tanh"))
    exact = np.array([v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in X[finite]])
    np.testing.assert_allclose(nn.GELU()(x).numpy()[finite], exact, rtol=rtol, atol=rtol)
    np.testing.assert_array_equal(nn.GELU()(x), F.gelu(x))
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', not 'erf'"):
        F.gelu(x, approximate="erf")
    with pytest.raises(ValueError, match="GELU: approximate must be"):
        nn.GELU("erf")


def test_activation_gradients_at_the_edges() -> None:
    x = Tensor([-1000.0, 0.0, 1000.0, np.inf, -np.inf], requires_grad=True)
    for f, expected in (
        (F.relu, [0, 0, 1, 1, 0]),
        (F.sigmoid, [0, 0.25, 0, 0, 0]),
        (F.tanh, [0, 1, 0, 0, 0]),
    ):
        x.zero_grad()
        f(x).sum().backward()
        np.testing.assert_array_equal(x.grad, expected)
    second = lucid.grad(lambda v: lucid.grad(lambda u: F.sigmoid(u).sum())(v).sum())
    np.testing.assert_allclose(
        second(np.array([0.0, 1.0, -1.0])), [0, -0.09085774767294841, 0.09085774767294841]
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis: int) -> None:
    x = np.random.default_rng(0).normal(size=(4, 6)) * 50
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    expected = e / e.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(F.softmax(x, axis), expected, rtol=1e-12)
    np.testing.assert_allclose(F.softmax(x, dim=axis), expected, rtol=1e-12)
    np.testing.assert_allclose(nn.Softmax(dim=axis)(x), expected, rtol=1e-12)
    log = x - x.max(axis=axis, keepdims=True) - np.log(e.sum(axis=axis, keepdims=True))
    np.testing.assert_allclose(F.log_softmax(x, axis), log, rtol=1e-12, atol=1e-15)
    assert np.isfinite(np.asarray(F.log_softmax(np.array([0.0, -1e4])))).all()
    # d log_softmax_k / dx = e_k - softmax
    first = lucid.grad(lambda v: F.log_softmax(v)[1])(np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(first, [0, 1, 0] - np.asarray(F.softmax(np.array([0.1, 0.2, 0.3]))))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_layer_norm(dtype: Any) -> None:
    x = (np.random.default_rng(0).normal(size=(4, 3, 5)) * 3 + 1).astype(dtype)
    layer = nn.LayerNorm((3, 5), dtype=dtype)
    mean, var = x.astype("d").mean(axis=(1, 2), keepdims=True), x.astype("d").var(axis=(1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-5)
    tolerance = {np.float16: 4e-3, np.float32: 1e-5, np.float64: 1e-12}[dtype]
    found = layer(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    layer.load_state_dict({"weight": np.full((3, 5), 2.0), "bias": np.full((3, 5), 1.0)})
    np.testing.assert_allclose(layer(x), 2 * expected + 1, rtol=tolerance, atol=4 * tolerance)
    assert nn.LayerNorm(5, elementwise_affine=False)(x).shape == x.shape
    assert nn.LayerNorm(5, bias=False).bias is None
    with pytest.raises(ValueError, match=r"does not end in normalized_shape \(4,\)"):
        nn.LayerNorm(4)(x)


def test_a_buffer_assigned_again_and_again() -> None:
    class Mean(nn.Module):
        mean: Any

        def __init__(self) -> None:
            self.register_buffer("mean", np.zeros(3, "f"))

        def forward(self, x: Any) -> Any:
            self.mean = 0.9 * self.mean + x
            return self.mean * 1

    eager, traced = Mean(), Mean()
    step = lucid.compile(traced)
    for k in range(40):
        eager(Tensor([1.0, 2.0, k]))
        eager(Tensor([1.0, 2.0, k]))
        step(Tensor([1.0, 2.0, k]))
        step(Tensor([1.0, 2.0, k]))
    np.testing.assert_allclose(eager.mean.numpy(), traced.mean.numpy(), rtol=1e-5)


def test_models_trained_in_threads_of_their_own() -> None:
    x = np.ones((4, 3), "f")
    failures: list[BaseException] = []

    def train(seed: int) -> None:
        try:
            model = nn.Linear(3, 2)
            opt = optim.SGD(model.parameters(), lr=0.01)
            for _ in range(30):
                opt.zero_grad()
                losses = [(model(Tensor(x)) * k).sum() for k in range(3)]
                for loss in losses:
                    loss.backward()
                opt.step()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=train, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_a_copy_of_a_model_has_its_gradients() -> None:
    model = nn.Linear(2, 1)
    model(Tensor([[1.0, 2.0]])).sum().backward()
    other = copy.deepcopy(model)
    assert other.weight.grad is not None
    np.testing.assert_array_equal(other.weight.grad.numpy(), [[1, 2]])
    other(Tensor([[1.0, 2.0]])).sum().backward()  # apart from each other
    np.testing.assert_array_equal(other.weight.grad.numpy(), [[2, 4]])
    assert model.weight.grad is not None
    np.testing.assert_array_equal(model.weight.grad.numpy(), [[1, 2]])
    assert copy.deepcopy(nn.Linear(2, 1)).weight.grad is None
