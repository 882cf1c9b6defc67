"""`autograd.Function`: derivatives of the user's, eager and compiled, by formulas and beside PyTorch."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, autograd
from lucid.autograd.function import once_differentiable
from lucid.hooks import TAPS

A, B = np.random.default_rng(0).normal(size=(2, 5))


def functions(of: Any) -> tuple[Any, Any]:
    """The same for lucid and PyTorch: `exp`, which saves its result; and one of three results, whose
    `backward` is none of its formulas."""

    class Exp(of.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (y,) = ctx.saved_tensors
            return g * y

    class Several(of.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any, n: float, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            ctx.n = n
            above = a > 0
            ctx.mark_non_differentiable(above)
            return a * b, a + n * b, above

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any, _: Any) -> Any:
            a, b = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False, True)
            return g * b + h, None, (g * a + ctx.n * h) * 2

    return Exp, Several


def twice(of: Any, a: Any, b: Any) -> list[Any]:
    """Gradients, and those of a function of them."""
    exp, several = functions(of)
    p, q, above = several.apply(exp.apply(a), 3.0, b)
    assert not above.requires_grad
    first = of.autograd.grad((p * q).sum(), (a, b), create_graph=True)
    total = (first[0] ** 2 + first[1] * first[0]).sum()
    return [p, q, *first, *of.autograd.grad(total, (a, b))]


def test_gradients_to_second_order_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    wanted = twice(torch, *[torch.tensor(x, requires_grad=True) for x in (A, B)])
    ours = twice(lucid, *[lucid.tensor(x, requires_grad=True) for x in (A, B)])
    for found, want in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(found.numpy(), want.detach().numpy(), rtol=1e-12)


def test_it_is_part_of_compiled_functions_and_transforms() -> None:
    exp, several = functions(lucid)

    def f(a: Tensor, b: Tensor) -> Any:
        p, q, _ = several.apply(exp.apply(a), 3.0, b)
        return (p + q * q).sum()

    run = lucid.compile(lucid.grad(f, (0, 1)))
    e = np.exp(A)
    h = 2 * (e + 3 * B)
    for _ in range(3):
        first, second = run(A, B)
        np.testing.assert_allclose(first.numpy(), (B + h) * e, rtol=1e-12)
        np.testing.assert_allclose(second.numpy(), (e + 3 * h) * 2, rtol=1e-12)
    np.testing.assert_allclose(lucid.vmap(lucid.grad(exp.apply))(A).numpy(), e, rtol=1e-12)
    np.testing.assert_allclose(lucid.hessian(lambda x: exp.apply(x).sum())(A).numpy(), np.diag(e), rtol=1e-12)
    _, tangent = lucid.jvp(exp.apply, (A,), (B,))
    np.testing.assert_allclose(tangent.numpy(), e * B, rtol=1e-12)
    with pytest.raises(TypeError, match="take the gradient inside"):
        lucid.grad(lambda x: lucid.vmap(exp.apply)(x).sum())(A)


def test_a_step_of_an_optimiser_with_a_straight_through_estimator() -> None:
    class Round(autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x.round()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            assert len(inputs) == 1 and not output.requires_grad

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    w = lucid.nn.Parameter(A)
    opt = lucid.optim.SGD([w], lr=0.5)

    @lucid.compile
    def step(y: Any) -> Any:
        opt.zero_grad()
        loss = ((Round.apply(w) - y) ** 2).sum()
        loss.backward()
        opt.step()
        return loss

    own = A.copy()
    for _ in range(3):
        step(B)
        own = own - 0.5 * 2 * (np.round(own) - B)
        np.testing.assert_allclose(w.numpy(), own, rtol=1e-12)
    with lucid.no_grad():
        assert not Round.apply(w).requires_grad


def test_backward_is_asked_once_and_told_what_has_no_gradient() -> None:
    told: list[Any] = []

    class Two(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, zeros: bool) -> Any:
            ctx.set_materialize_grads(zeros)
            return x + 1, x * 2

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            told.append((g, h))
            return h, None

    x = lucid.tensor(A, requires_grad=True)
    p, q = Two.apply(x, True)
    (p.sum() + q.sum()).backward()
    assert len(told) == 1 and x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(5))
    (found,) = autograd.grad(Two.apply(x, True)[1].sum(), x)
    assert found is not None and told[1][0].numpy().tolist() == [0.0] * 5
    autograd.grad(Two.apply(x, False)[1].sum(), x)
    assert told[2][0] is None
    with pytest.raises(RuntimeError, match="do not depend"):
        autograd.grad(Two.apply(x, False)[0].sum(), x)


def test_once_differentiable() -> None:
    class Square(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * g

    x = lucid.tensor(A, requires_grad=True)
    (first,) = autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    assert first is not None
    np.testing.assert_allclose(first.numpy(), 2 * A)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        autograd.grad(first.sum(), x)


def test_errors_name_what_backward_returned() -> None:
    returned: list[Any] = []

    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x + y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return returned[0]

    x = lucid.tensor(A, requires_grad=True)
    for value, error, match in (
        (x, RuntimeError, "1 gradients for 2"),
        ((lucid.ones(3), None), RuntimeError, r"shape \(3,\) as gradient 0"),
        ((1.0, None), TypeError, "float as gradient 0"),
    ):
        returned[:] = [value]
        with pytest.raises(error, match=match):
            Wrong.apply(x, 1.0).sum().backward()
    returned[:] = [(lucid.ones((2, 5)), None)]  # summed over what was broadcast
    Wrong.apply(x, np.ones((2, 5))).sum().backward()
    assert x.grad is not None and x.grad.numpy().tolist() == [2.0] * 5
    with pytest.raises(NotImplementedError, match="static method forward"):
        autograd.Function.apply(x)


def test_what_is_gone_is_forgotten() -> None:
    exp, _ = functions(lucid)
    gc.collect()
    before = len(TAPS)
    x = lucid.tensor(A, requires_grad=True)
    y = exp.apply(x)
    node = weakref.ref(y._node)
    y.sum().backward()
    x.grad = None
    del y
    gc.collect()
    assert node() is None and len(TAPS) <= before


@pytest.mark.parametrize("other", [0.0, 1.0])  # a way back beside it
def test_backward_from_outside_of_a_compiled_function_is_refused(other: float) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)

    def hooked(x: Tensor) -> Tensor:
        h = x * 2.0
        h.register_hook(lambda g: g * 10.0)
        return (h + x * other).sum()

    def own(x: Tensor) -> Any:
        return (functions(lucid)[0].apply(x) + x * other).sum()

    for f in (hooked, own):
        compiled = lucid.compile(f)
        for _ in range(3):
            assert compiled(x).item() == f(x).item()
            with pytest.raises(RuntimeError, match=r"hook or an autograd\.Function inside, which run"):
                compiled(x).backward()
            assert x.grad is None
    x.register_hook(lambda g: g * 100.0)  # of what is not inside
    lucid.compile(lambda x: (x * 3.0).sum())(x).backward()
    np.testing.assert_array_equal(x.grad, [300.0, 300.0])
