"""Hooks in compiled functions, where they run while these are traced; their errors; parameters of another
dtype. What they compute is PyTorch's: `names_like_torch.py`."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim

WRONG: Any = "x"
X = np.random.default_rng(0).normal(size=(4, 3)).astype("f")


def net() -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def test_a_forward_hook_is_part_of_a_compiled_function() -> None:
    model = net()
    run = lucid.compile(model)
    before = [run(X) for _ in range(3)][-1].numpy()
    kept: dict[str, Any] = {}
    keeps = model[1].register_forward_hook(lambda m, args, out: kept.update(h=out.detach()))
    changes = model[2].register_forward_hook(lambda m, args, out: out * 2)
    for k in (1, 2, 3):
        np.testing.assert_allclose(
            run(X * k), 2 * model[2].forward(model[1].forward(model[0](X * k))), rtol=1e-6
        )
        np.testing.assert_allclose(kept["h"], np.maximum(model[0](X * k).numpy(), 0), rtol=1e-6)
    keeps.remove()
    changes.remove()
    kept.clear()
    np.testing.assert_array_equal(run(X), before)
    assert not kept and not model[1]._hooks


def test_hooks_of_leaves_are_facts_of_compiled_functions() -> None:
    model, scale = net(), 2.0
    p = model[2].bias
    opt = optim.SGD(model.parameters(), lr=0.0)

    @lucid.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = model(x).sum()
        loss.backward()
        opt.step()
        return loss

    def found() -> Any:
        return [step(X) for _ in range(3)] and p.grad.item()

    assert found() == 4
    hook = p.register_hook(lambda g: g * scale)
    assert found() == 8
    scale = 3.0
    assert found() == 12
    with torch_like_clip(p):
        assert found() == 1
    hook.remove()
    hook.remove()  # changes nothing
    assert found() == 4


def torch_like_clip(p: Any) -> Any:
    return p.register_hook(lambda g: g.clip(-1, 1))


def test_hooks_in_transforms_and_twice() -> None:
    def f(x: Any) -> Any:
        y = x * x
        y.register_hook(lambda g: g * x)
        return y.sum()

    np.testing.assert_allclose(lucid.grad(f)(X), 2 * X * X, rtol=1e-6)
    np.testing.assert_allclose(lucid.compile(lucid.grad(f))(X), 2 * X * X, rtol=1e-6)
    np.testing.assert_allclose(lucid.grad(lambda x: lucid.grad(f)(x).sum())(X), 4 * X, rtol=1e-6)
    of_argument = lucid.grad(lambda x: x.register_hook(lambda g: g * 7) and (x * 2).sum())
    np.testing.assert_allclose(of_argument(X), np.full_like(X, 14))


def test_backward_hooks_in_compiled_functions() -> None:
    model, seen = net(), []
    model[2].register_full_backward_hook(lambda m, gi, go: seen.append(tuple(g.shape for g in (*gi, *go))))
    model[2].register_full_backward_pre_hook(lambda m, go: (go[0] * 10,))
    model[0].register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))

    @lucid.compile
    def gradient(x: Any) -> Any:
        model.zero_grad()
        model(x).sum().backward()
        return model[2].bias.grad

    for _ in range(3):
        np.testing.assert_array_equal(gradient(X), [40.0])
    assert seen == [((4, 4), (4, 1)), ((None,), (4, 4))] * 3  # a list that grows is a reason to trace again


def test_hooks_keep_nothing_alive() -> None:
    model = net()
    model[0].register_full_backward_hook(lambda m, gi, go: None)
    out = model(Tensor(X, requires_grad=True))
    out.register_hook(lambda g: g)
    out.sum().backward()
    nodes = [weakref.ref(out._node), weakref.ref(out._node.inputs[0])]
    del out
    gc.collect()
    model.zero_grad()
    gc.collect()
    assert [n() for n in nodes] == [None, None]
    assert copy.deepcopy(model)[0]._hooks == model[0]._hooks


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (RuntimeError, "register_hook: the tensor does not", lambda: Tensor(X).register_hook(abs)),
        (RuntimeError, "retain_grad: the tensor does not", lambda: Tensor(X).retain_grad()),
        (TypeError, "register_hook: .* a function, not str", lambda: nn.Parameter(X).register_hook(WRONG)),
        (TypeError, "ReLU: a hook is a function, not", lambda: nn.ReLU().register_forward_hook(WRONG)),
        (RuntimeError, "in a compiled function each call", lambda: lucid.compile(registers)(nn.ReLU())),
        (RuntimeError, "from outside of the compiled", lambda: lucid.compile(registers)(nn.Parameter(X))),
        (TypeError, "in the place of the gradient, or None, not float", lambda: returned(3.0)),
        (ValueError, r"returned shape \(1,\) for a gradient", lambda: returned(Tensor([1.0]))),
        (RuntimeError, "returned 2 gradients, expected 1", lambda: returned((1, 2), nn.ReLU())),
        (RuntimeError, r"returns \(args, kwargs\) or None, not 3", lambda: with_words(3)),
    ],
)  # fmt: skip
def test_errors(error: type[Exception], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=r"test_hooks.py:\d+: .*" + message):
        call()


def registers(x: Any) -> None:
    (x.register_forward_hook if isinstance(x, nn.Module) else x.register_hook)(print)


def returned(value: Any, module: Any = None) -> None:
    x = Tensor(X, requires_grad=True)
    if module is None:
        x.register_hook(lambda g: value)
        (x * 2).sum().backward()
    else:
        module.register_full_backward_hook(lambda m, gi, go: value)
        module(x).sum().backward()


def with_words(value: Any) -> None:
    layer = nn.ReLU()
    layer.register_forward_pre_hook(lambda m, args, kwargs: value, with_kwargs=True)
    layer(X)


# --- dtypes ----------------------------------------------------------------------------------------

MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (net, (4, 3)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2)),
        (2, 3, 8, 8),
    ),
    "norms": (lambda: nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(2, 4), nn.RMSNorm(6)), (2, 4, 6)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (2, 5, 8)),
    "recurrent": (lambda: Last(nn.GRU(3, 4)), (5, 2, 3)),
}  # fmt: skip


class Last(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)[0]


@pytest.mark.table
@pytest.mark.parametrize("name", MODELS)
def test_models_in_half_precision(name: str) -> None:
    pytest.importorskip("ml_dtypes")
    lucid.manual_seed(0)
    make, shape = MODELS[name]
    model = make()
    x = lucid.randn(*shape)
    right = model(x).numpy()
    run = lucid.compile(model)
    run(x)
    state = model.state_dict()
    for dtype, bound in (("float16", 6e-3), ("bfloat16", 6e-2)):
        model.load_state_dict(state)
        model.to(dtype=dtype)
        for call in (model, run, run):
            out = call(x.astype(dtype))
            assert out.dtype == np.dtype(dtype)
            np.testing.assert_allclose(out.float(), right, atol=bound, rtol=bound)
    assert model.float()(x).dtype == np.float32


def test_conversions_are_seen_by_all_who_hold_a_parameter() -> None:
    model = net()
    p = model[0].weight

    @lucid.compile
    def run(x: Any) -> Any:
        return model(x).sum()

    opt = optim.Adam(model.parameters())
    before = [run(X) for _ in range(3)][-1].item()
    assert model.double() is model and p is model[0].weight and p.dtype == np.float64
    assert p.is_leaf and p.requires_grad
    assert [run(X) for _ in range(3)][-1].dtype == np.float64
    np.testing.assert_allclose(run(X).item(), before, rtol=1e-5)
    model(X).sum().backward()
    assert p.grad is not None and p.grad.dtype == np.float64
    with pytest.raises(
        TypeError, match=r"test_hooks.py:\d+: Adam: parameter 0 was float32 .*after the model"
    ):
        opt.step()
    optim.Adam(model.to(Tensor(1.0)).parameters()).step()
    assert p.dtype == p.grad.dtype == np.float32
    with pytest.raises(TypeError, match=r"test_hooks.py:\d+: to: expected a dtype of floats, not int32"):
        model.to(lucid.int32)
    with pytest.raises(RuntimeError, match="a compiled function cannot change the dtype"):
        lucid.compile(lambda x: model.half()(x))(X)
