"""`vmap`: functions of one example, for a batch of them, against a call for each."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.errors import TraceError

# What a native call is asked is the same here as elsewhere.
pytestmark = pytest.mark.table
RNG = np.random.default_rng(5)
A = RNG.normal(size=(4, 3)).astype(np.float32)
W = lucid.tensor(RNG.normal(size=(3, 3)).astype(np.float32))


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=2e-6, atol=2e-6)


def each(f: Any, *arrays: Any) -> Any:
    return np.stack([np.asarray(f(*map(lucid.tensor, row))) for row in zip(*arrays, strict=True)])


def _cubes(x: Any) -> Any:
    return (x**3).sum()


def _sine(x: Any) -> Any:
    return (lucid.sin(W @ x) * x).sum()


# What is no op of the registry, or asks for values where they are known.
FUNCTIONS: dict[str, Any] = {
    "chosen and joined": lambda x: lucid.cat([W[lucid.argsort(x)][0], x, W[0]]) / x.norm(),
    "placed": lambda x: lucid.zeros(5).at[2:].add(x).at[0].set(lucid.quantile(x, 0.3)),
    "inverse": lambda x: lucid.linalg.inv(W + lucid.diag(x)) * lucid.linalg.slogdet(W + lucid.diag(x))[1],
    "frequencies": lambda x: abs(lucid.fft.rfft(x)),
    "hessian": lucid.hessian(_sine),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    f = FUNCTIONS[name]
    close(lucid.vmap(f)(A), each(f, A))


def test_compiled_differentiated_and_pickled() -> None:
    f = lucid.vmap(lambda x, w: (lucid.tanh(w @ x) ** 2).sum(), in_axes=(0, None))
    step = lucid.compile(lambda x, w: lucid.value_and_grad(lambda w: f(x, w).mean())(w))
    value, gradient = step(lucid.tensor(A), W)
    plain = lucid.value_and_grad(lambda w: (lucid.tanh(lucid.tensor(A) @ w.T) ** 2).sum(1).mean())(W)
    close(value, plain[0])
    close(gradient, plain[1])
    assert step.traces == 1
    step(lucid.tensor(A[:3]), W)
    again = pickle.loads(pickle.dumps(lucid.vmap(np.sin, -1)))
    close(again(A), np.sin(A.T))


def test_gradients_reach_what_is_mapped_and_what_is_not() -> None:
    x, w = lucid.tensor(A, requires_grad=True), lucid.tensor(W.numpy(), requires_grad=True)
    found = lucid.vmap(lambda x: lucid.tanh(w @ x).sum())(x)
    assert found.requires_grad
    found.sum().backward()
    y, v = (lucid.tensor(t.detach().numpy(), requires_grad=True) for t in (x, w))
    lucid.tanh(y @ v.T).sum().backward()
    close(x.grad, y.grad)
    close(w.grad, v.grad)
    second = lucid.vmap(lucid.grad(_cubes))(x)
    (slope,) = lucid.autograd.grad(second.sum(), x)
    close(slope, 6 * A)
    with lucid.no_grad():
        assert not lucid.vmap(lambda x: x * 2)(x).requires_grad


def test_axes() -> None:
    a, b = A, A[:, 0]
    close(lucid.vmap(lambda x, y: x * y, in_axes=(1, None))(a, b), (a.T * b))
    close(lucid.vmap(lambda x: x * 2, in_axes=-1, out_axes=1)(a), a * 2)

    def parts(p: Any) -> Any:
        return {"sum": p["w"].sum() + p["b"], "pair": (p["w"], p["b"])}

    found = lucid.vmap(parts, in_axes=({"w": 0, "b": None},))({"w": a, "b": np.float32(2)})
    close(found["sum"], a.sum(1) + 2)
    assert found["pair"][0].shape == (4, 3) and found["pair"][1].shape == (4,)
    first, alone = lucid.vmap(lambda x: (x, W[0]), out_axes=(1, None))(a)
    close(first, a.T)
    close(alone, W[0])
    outer = lucid.vmap(lucid.vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None))
    close(outer(b, b), np.outer(b, b))
    both = lucid.vmap(lucid.vmap(lambda x, y: lucid.exp(x) @ y, in_axes=(0, None)), in_axes=(None, 1))(a, W)
    close(both, W.numpy().T @ np.exp(a).T)


def test_models_side_by_side() -> None:
    models = [nn.Linear(3, 2) for _ in range(3)]
    parameters, buffers = lucid.func.stack_module_state(models)

    def call(p: Any, b: Any, x: Any) -> Any:
        return lucid.func.functional_call(models[0], (p, b), (x,))

    found = lucid.vmap(call, in_axes=(0, 0, None))(parameters, buffers, A)
    close(found, np.stack([m(lucid.tensor(A)).numpy() for m in models]))
    assert isinstance(models[0].weight, nn.Parameter)
    with pytest.raises(KeyError, match="unexpected names"):
        lucid.func.functional_call(models[0], {"bias ": A}, (A,))
    with pytest.raises(ValueError, match="bias has shape"):
        lucid.func.functional_call(models[0], {"bias": W}, (A,))


def test_random_numbers() -> None:
    with pytest.raises(RuntimeError, match="randomness"):
        lucid.vmap(lambda x: x + lucid.rand(3))(A)
    lucid.manual_seed(1)
    same = lucid.vmap(lambda x: x * 0 + lucid.rand(3), randomness="same")(A).numpy()
    assert (same == same[0]).all()
    lucid.manual_seed(1)
    different = lucid.vmap(lambda x: x * 0 + lucid.rand(3), randomness="different")(A).numpy()
    lucid.manual_seed(1)
    np.testing.assert_array_equal(different, lucid.rand(4, 3).numpy())


def test_what_is_refused() -> None:
    with pytest.raises(TraceError, match="value of one example"):
        lucid.vmap(lambda x: x if x.sum() > 0 else -x)(A)
    with pytest.raises(ValueError, match="different numbers of examples"):
        lucid.vmap(lambda x, y: x @ y)(A, W)
    with pytest.raises(ValueError, match="maps no argument"):
        lucid.vmap(lambda x: x, in_axes=None)(A)
    with pytest.raises(ValueError, match="no axis of examples"):
        lucid.vmap(lambda x, y: x * y)(A, 2.0)
    with pytest.raises(ValueError, match="2 entries, for 1 argument"):
        lucid.vmap(lambda x: x, in_axes=(0, None))(A)
    with pytest.raises(ValueError, match="in_axes=2"):
        lucid.vmap(lambda x: x, in_axes=2)(A)
    with pytest.raises(ValueError, match="out_axes=None"):
        lucid.vmap(lambda x: x, out_axes=None)(A)
    with pytest.raises(TypeError, match="in_axes is"):
        lucid.vmap(lambda x: x, in_axes=((0, 0),))((A, A, A))
    with pytest.raises(TypeError, match="returned str"):
        lucid.vmap(lambda x: "x")(A)
    with pytest.raises(ValueError, match="randomness"):
        lucid.vmap(lambda x: x, randomness="some")
    kept: list[Any] = []

    def keeping(x: Any) -> Any:
        kept.append(x * 2)
        return x

    lucid.vmap(keeping)(A)
    with pytest.raises(TraceError, match="value of one example"):
        kept[0].numpy()
    weight = nn.Parameter(W)

    def training(x: Any) -> Any:
        (weight @ x).sum().backward()
        return x

    lucid.vmap(training)(A)
    assert weight.grad is not None
    with pytest.raises(TraceError, match="value of one example"):
        weight.grad.numpy()


def test_reading_inside_what_lies_outside() -> None:
    """What is known may be read, and what is not known is not computed along."""
    outer = lucid.tensor(A) * 2

    def f(x: Any) -> Any:
        half = x / 2 + outer[0]
        scale = float(outer.sum())
        return half * scale

    close(lucid.vmap(f)(A), (A / 2 + 2 * A[0]) * (2 * A).sum())
