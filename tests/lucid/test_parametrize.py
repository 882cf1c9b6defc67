"""Weights that are computed of others: `nn.utils.parametrize`, norms, orthogonal ones, folded batch norms."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.nn.utils import parametrizations, parametrize

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5)).astype("f")


def close(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    found, wanted = (x.detach().numpy() if hasattr(x, "detach") else x for x in (found, wanted))
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-6)


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).T


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2

    def right_inverse(self, x: Any) -> Any:
        return x / 2


def test_a_parameter_is_computed_wherever_it_is_read() -> None:
    layer: Any = nn.Linear(3, 3)
    before = layer.weight.numpy()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    close(layer.weight, np.triu(before) + np.triu(before, 1).T)
    parametrize.register_parametrization(layer, "weight", Doubled())
    close(layer.weight, 2 * (np.triu(before) + np.triu(before, 1).T))
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear and issubclass(type(layer), nn.Linear)
    run, x = lucid.compile(layer), X[:, :3]
    other: Any
    for _ in range(3):
        close(run(x), x @ layer.weight.numpy().T + layer.bias.numpy())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        close(other(x), layer(x))
        other.bias.data = other.bias + 1
        close(other(x), layer(x) + 1)
    with parametrize.cached():
        assert layer.weight is layer.weight
    with pytest.raises(RuntimeError, match="Symmetric has no right_inverse"):
        layer.weight = before
    value = layer.weight.numpy()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and list(layer.state_dict()) == ["bias", "weight"]
    close(layer.weight, value)


def test_what_can_be_assigned_and_what_is_left() -> None:
    layer: Any = nn.Linear(3, 2)
    before = layer.weight
    parametrize.register_parametrization(layer, "weight", Doubled())
    close(layer.weight, before)  # by right_inverse
    layer.weight = np.ones((2, 3), "f")
    close(layer.parametrizations.weight.original, np.full((2, 3), 0.5))
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    close(layer.weight, np.full((2, 3), 0.5))
    with pytest.raises(ValueError, match="no parameter or buffer 'none'"):
        parametrize.register_parametrization(layer, "none", Doubled())
    with pytest.raises(ValueError, match="not parametrized"):
        parametrize.remove_parametrizations(layer, "weight")

    class Wider(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.repeat(2, 0)

    with pytest.raises(ValueError, match="unsafe=True"):
        parametrize.register_parametrization(layer, "weight", Wider())
    assert type(layer) is nn.Linear and layer.weight.shape == (2, 3)


def steps(of: Any, layer: Any, x: Any, compiled: bool) -> list[float]:
    """Losses of some steps of training."""
    opt = (optim if compiled else of.optim).SGD(layer.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = (layer(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    run = lucid.compile(step) if compiled else step
    return [run(x).item() for _ in range(4)]


@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "old weight_norm", "old spectral_norm"])
def test_norms_train_as_pytorchs(how: str) -> None:
    torch = pytest.importorskip("torch")
    name, old = how.split()[-1], how.startswith("old")
    theirs, own = torch.nn.Linear(5, 4), nn.Linear(5, 4)
    their = torch.nn.utils if old else torch.nn.utils.parametrizations
    with pytest.warns(FutureWarning) if how == "old weight_norm" else np.errstate():
        getattr(their, name)(theirs)
    getattr(nn.utils if old else parametrizations, name)(own)
    assert list(own.state_dict()) == list(theirs.state_dict())
    own.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    np.testing.assert_allclose(
        steps(lucid, own, X, True), steps(torch, theirs, torch.tensor(X), False), rtol=1e-5
    )
    for k, v in theirs.state_dict().items():
        close(own.state_dict()[k], v, 1e-4)
    close(own.eval()(X), theirs.eval()(torch.tensor(X)), 1e-4)


def test_norms_by_their_formulas() -> None:
    lucid.manual_seed(0)  # how fast powers converge depends on the weights
    layers: Any = ((nn.Linear(5, 4), (1,)), (nn.Conv2d(3, 4, 2), (1, 2, 3)))
    for layer, axes in layers:
        before = layer.weight.numpy()
        parametrizations.weight_norm(layer)
        close(layer.weight, before)
        g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
        close(g, np.sqrt((before**2).sum(axes, keepdims=True)))
        v.data = v * 3  # a direction alone
        close(layer.weight, before)
    plain: Any = nn.Linear(5, 4)
    value = plain.weight.numpy()
    nn.utils.weight_norm(plain, dim=None)
    assert plain.weight_g.shape == () and list(plain.state_dict()) == ["bias", "weight_g", "weight_v"]
    close(nn.utils.remove_weight_norm(plain).weight, value)
    for norm in (parametrizations.spectral_norm, nn.utils.spectral_norm):
        layer = nn.ConvTranspose1d(3, 4, 2)
        value = layer.weight.numpy()
        norm(layer, n_power_iterations=30)
        wanted = value / np.linalg.norm(value.swapaxes(0, 1).reshape(4, -1), 2)
        close(layer.weight, wanted, 1e-3)
        run = lucid.compile(layer.eval())
        close(run(X[:, :3, None]), layer(X[:, :3, None]))
    nn.utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match="remove_spectral_norm"):
        nn.utils.remove_spectral_norm(layer)


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_weights(how: str, shape: tuple[int, int]) -> None:
    layer: Any = nn.Linear(*shape)
    parametrizations.orthogonal(layer, orthogonal_map=how)
    original = layer.parametrizations.weight.original
    start = original.numpy()
    original.data = lucid.tensor(start + np.tril(RNG.normal(size=start.shape), -1).astype("f"))
    w = layer.weight.numpy()
    products = w @ w.T if len(w) < w.shape[1] else w.T @ w
    np.testing.assert_allclose(products, np.eye(len(products)), atol=1e-5)
    u, _, vt = np.linalg.svd(RNG.normal(size=shape[::-1]))
    wanted = (u @ np.eye(*shape[::-1]) @ vt).astype("f")
    layer.weight = lucid.tensor(wanted)
    np.testing.assert_allclose(layer.weight.numpy(), wanted, atol=1e-5)
    torch = pytest.importorskip("torch")
    their = torch.nn.Linear(*shape)
    own: Any = nn.Linear(*shape)
    for of, module in ((torch.nn.utils.parametrizations, their), (parametrizations, own)):
        of.orthogonal(module, orthogonal_map=how, use_trivialization=False)
    own.load_state_dict({k: v.numpy() for k, v in their.state_dict().items()})
    close(own.weight, their.weight, 1e-4)
    (own.weight**3).sum().backward()
    (their.weight**3).sum().backward()
    np.testing.assert_allclose(
        own.parametrizations.weight.original.grad.numpy(),
        their.parametrizations.weight.original.grad.numpy(), rtol=1e-3, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Linear"])
def test_a_batch_norm_is_folded_into_the_layer_before(kind: str) -> None:
    linear = kind == "Linear"
    layer: Any = nn.Linear(3, 4, bias=False) if linear else getattr(nn, kind)(3, 4, 2)
    norm: Any = nn.BatchNorm1d(4) if linear else nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = (lucid.tensor(x) for x in RNG.uniform(1, 2, (2, 4)).astype("f"))
    norm.weight.data, norm.bias.data = (lucid.tensor(x) for x in RNG.normal(size=(2, 4)).astype("f"))
    x = RNG.normal(size=(2, 3) if linear else (2, 3, 4, 4)).astype("f")
    with pytest.raises(RuntimeError, match="eval mode"):
        nn.utils.fuse_conv_bn_eval(layer, norm)
    layer.eval(), norm.eval()
    before = layer.weight
    if linear:
        fused = nn.utils.fuse_linear_bn_eval(layer, norm)
    else:
        fused = nn.utils.fuse_conv_bn_eval(layer, norm, transpose=kind == "ConvTranspose2d")
    close(fused(x), norm(layer(x)), 1e-4)
    assert fused is not layer and layer.weight is before


def test_skip_init_draws_nothing() -> None:
    state = lucid.random.get_state()
    layer: Any = nn.utils.skip_init(nn.Linear, 3, 4, bias=False)
    assert layer.weight.shape == (4, 3) and not layer.weight.numpy().any()
    np.testing.assert_array_equal(lucid.random.get_state(), state)


def test_gradients_clipped_by_a_known_norm() -> None:
    p = nn.Parameter([3.0, 4.0])
    (p * p).sum().backward()
    nn.utils.clip_grads_with_norm_(p, 1.0, nn.utils.get_total_norm([p.grad]))  # type: ignore[list-item]
    assert p.grad is not None
    close(p.grad, [0.6, 0.8])
