"""`vjp`, `jvp`, Jacobians and Hessians, against finite differences; PyTorch's names for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, autograd, func

pytestmark = pytest.mark.table
RNG = np.random.default_rng(3)
A, X, T = RNG.normal(size=(4, 3)), RNG.normal(size=3), RNG.normal(size=3)
W = lucid.tensor(A)


def f(x: Any) -> Tensor:
    found: Tensor = lucid.tanh(W @ x) * x.sum()
    return found


def loss(x: Any) -> Tensor:
    return (f(x) ** 2).sum()


def jacobian(g: Any, x: np.ndarray[Any, Any], h: float = 1e-6) -> np.ndarray[Any, Any]:
    def along(e: Any) -> Any:
        return (g(lucid.tensor(x + h * e)) - g(lucid.tensor(x - h * e))).numpy() / (2 * h)

    return np.stack([along(e) for e in np.eye(x.size)], -1)


JACOBIAN = jacobian(f, X)
SECOND = jacobian(lucid.grad(loss), X)


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-6, atol=1e-7)


def test_matrices() -> None:
    for transform in (lucid.jacrev, lucid.jacfwd):
        close(lucid.compile(transform(f))(lucid.tensor(X)), JACOBIAN)
    close(lucid.hessian(loss)(X), SECOND)
    close(lucid.jacfwd(lucid.grad(loss))(X), SECOND)


def test_products() -> None:
    ct = RNG.normal(size=4)
    value, back = lucid.vjp(f, X)
    close(value, f(lucid.tensor(X)))  # what is read does not let go of the way to it
    close(back(ct)[0], ct @ JACOBIAN)
    for found in (lucid.jvp(f, (X,), (T,)), (lucid.linearize(f, X)[0], lucid.linearize(f, X)[1](T))):
        close(found[0], value)
        close(found[1], JACOBIAN @ T)
    close(lucid.grad(lambda x: lucid.jvp(loss, (x,), (T,))[1])(X), SECOND @ T)


def test_structures_and_more() -> None:
    def g(p: Any, scale: Any) -> Any:
        return {"a": (p["x"] ** 2).sum() * scale, "b": lucid.outer(p["x"], p["y"])}, "more"

    point = {"x": X, "y": T[:2]}
    for transform in (lucid.jacrev, lucid.jacfwd):
        found, more = transform(g, argnums=(0, 1), has_aux=True)(point, 2.0)
        assert more == "more"
        close(found["a"][0]["x"], 4 * X)
        close(found["a"][0]["y"], 0 * T[:2])
        close(found["a"][1], (X**2).sum())
        close(found["b"][0]["x"], np.einsum("ik,j->ijk", np.eye(3), T[:2]))
        close(found["b"][0]["y"], np.einsum("jk,i->ijk", np.eye(2), X))
    _, _, more = lucid.vjp(lambda x: (f(x), 3), X, has_aux=True)
    assert more == 3
    close(lucid.grad(lambda x: (loss(x), x), has_aux=True)(X)[1], X)
    (value, more), slope = lucid.value_and_grad(lambda x: (loss(x), "m"), has_aux=True)(X)
    assert more == "m"
    close(value, loss(lucid.tensor(X)))
    turned = func.grad_and_value(loss)(X)
    close(turned[0], slope)
    close(turned[1], value)


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="structure"):
        lucid.jvp(f, (X,), (T, T))
    with pytest.raises(ValueError, match="expected shape"):
        lucid.jvp(f, (X,), (A,))
    with pytest.raises(ValueError, match="expected shape"):
        lucid.vjp(f, X)[1](X)
    with pytest.raises(TypeError, match="gradients need a float"):
        lucid.jacrev(f)(np.arange(3))
    with pytest.raises(TypeError, match="returned int"):
        lucid.jacrev(lambda x: 3)(X)
    with pytest.raises(TypeError, match="complex"):
        lucid.jacrev(lambda x: lucid.complex(x, x))(X)
    with pytest.raises(TypeError, match="no pair"):
        lucid.grad(loss, has_aux=True)(X)


def test_autograd() -> None:
    x, y = (lucid.tensor(v, requires_grad=True) for v in (X, T))
    middle = x * y
    first, inner = autograd.grad((middle**2).sum(), (x, middle), create_graph=True)
    close(first, 2 * X * T**2)
    close(inner, 2 * X * T)
    assert first is not None and first.requires_grad
    (second,) = autograd.grad(first.sum(), [x])
    close(second, 2 * T**2)
    assert second is not None and not second.requires_grad and x.grad is None
    (many,) = autograd.grad(middle, x, lucid.eye(3, dtype=lucid.float64), is_grads_batched=True)
    close(many, np.diag(T))
    assert autograd.grad(y.sum(), (x, y), allow_unused=True)[0] is None
    close(autograd.grad(y.sum(), x, materialize_grads=True)[0], 0 * X)
    with pytest.raises(RuntimeError, match="do not depend on input 0"):
        autograd.grad(y.sum(), x)
    with pytest.raises(RuntimeError, match="does not require grad"):
        autograd.grad(y.sum(), lucid.tensor(X))
    with pytest.raises(TypeError, match=r"lucid.grad\(f\)"):
        autograd.grad(loss, x)
    autograd.backward([x.sum(), (x * x).sum()], [None, 2.0])
    close(x.grad, 1 + 4 * X)
    autograd.backward((x * y).sum(), inputs=[y])
    close(y.grad, X)


def test_autograd_functional() -> None:
    x, y = lucid.tensor(X), lucid.tensor(T)
    g = lambda x, y: (x**2 * y).sum()  # noqa: E731
    close(autograd.functional.jacobian(f, x), JACOBIAN)
    close(autograd.functional.jacobian(lambda x, y: x * y, (x, y))[1], np.diag(X))
    close(autograd.functional.hessian(loss, x), SECOND)
    close(autograd.functional.hessian(g, (x, y))[0][1], np.diag(2 * X))
    close(autograd.functional.vjp(f, x, lucid.ones(4))[1], JACOBIAN.sum(0))
    close(autograd.functional.jvp(f, x, y)[1], JACOBIAN @ T)
    close(autograd.functional.hvp(loss, x, y)[1], SECOND @ T)
    close(autograd.functional.vhp(g, (x, y), (y, y))[1][1], 2 * X * T)
