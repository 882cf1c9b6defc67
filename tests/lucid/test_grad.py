"""Gradients against finite differences, to second order; and the rules of backward, grad, no_grad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.compiler import ops
from lucid.compiler.ir.types import b1, f64
from lucid.nn import functional as F
from lucid.tensor import apply, settle
from tests.native import sample_arrays

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]


def check(f: Function, *args: Array, order: int = 2, rtol: float = 2e-6) -> None:
    """The gradient of f (a scalar) in each float argument, by central differences along a random
    direction; then the same of that directional derivative. All that is run around a point is one graph,
    and what is run there, another: each is compiled once."""
    rng = np.random.default_rng(7)
    places = [k for k, x in enumerate(args) if x.dtype == np.float64]
    directions = {k: np.asarray(rng.normal(size=args[k].shape)) for k in places}

    def slope(k: int) -> Function:
        return lambda *inner: (lucid.grad(f, k)(*inner) * directions[k]).sum()

    functions = [f, *map(slope, places)] if order > 1 else [f]
    h = 1e-5

    def around(k: int, step: float) -> Array:
        moved = [*args[:k], args[k] + step * directions[k], *args[k + 1 :]]
        values = [g(*moved) for g in functions]
        settle(values)
        return np.array([float(value.item()) for value in values])

    gradients = [[lucid.grad(g, k)(*args) for g in functions] for k in places]
    settle([gradient for found in gradients for gradient in found])
    for k, found in zip(places, gradients, strict=True):
        expected = (around(k, h) - around(k, -h)) / (2 * h)
        for number, gradient in enumerate(found):
            assert gradient.shape == args[k].shape and gradient.dtype == args[k].dtype
            parts = gradient.numpy() * directions[k]
            within = rtol * (20 if number else 1)
            np.testing.assert_allclose(
                parts.sum(), expected[number], rtol=within, atol=within * (1 + abs(parts).sum())
            )


# --- every op of the registry --------------------------------------------------------------------


def samples() -> list[Any]:
    found = []
    for op in ops.REGISTRY.values():
        for n, sample in enumerate(op.samples):
            to_float64 = sample.attrs.get("dtype", f64) is f64
            if op.vjp is not None and "f" in op.kinds and to_float64:
                found.append(pytest.param(op, sample, id=f"{op.name}-{n}"))
    return found


@pytest.mark.parametrize(("op", "sample"), samples())
def test_ops(op: ops.Op, sample: ops.Sample) -> None:
    rng = np.random.default_rng(3)
    args: list[Any] = sample_arrays(op, sample, f64, rng)
    if op is ops.MOD:  # away from the jumps
        args[0] = args[1] * (np.floor(args[0]) + rng.uniform(0.2, 0.8, args[0].shape))
    result = apply(op, *map(Tensor, args), **sample.attrs)
    weights = rng.normal(size=result.shape)

    def f(*inner: Any) -> Tensor:
        return (apply(op, *map(lucid.asarray, inner), **sample.attrs) * weights).sum()

    check(f, *args)


@pytest.mark.parametrize(
    "op", [o for o in ops.REGISTRY.values() if o.vjp is None and o.kind == "elementwise" and "f" in o.kinds],
    ids=lambda op: op.name,
)  # fmt: skip
def test_ops_without_gradient(op: ops.Op) -> None:
    """Nothing flows through steps and comparisons."""
    x = Tensor(np.array([0.5, 1.5]), requires_grad=True)
    arity = len(op.samples[0].shapes)
    result = apply(op, *[x] * arity)
    if result.dtype.kind == "f":
        assert lucid.grad(lambda v: apply(op, *[v] * arity).sum())(x).tolist() == [0, 0]
    else:
        assert not result.requires_grad


# --- what is built from them ---------------------------------------------------------------------

COMPOSED: dict[str, tuple[Function, list[tuple[int, ...]]]] = {
    "huber": (lambda x, y: F.huber_loss(x, y, delta=0.7), [(4, 3), (4, 3)]),
    "huber weighted": (lambda x, y, w: F.huber_loss(x, y, delta=0.7, weight=w), [(4,), (4,), (4,)]),
    "smooth l1": (lambda x, y: F.smooth_l1_loss(x, y, beta=0.7, reduction="sum"), [(5,), (5,)]),
    "mse weighted": (lambda x, y, w: F.mse_loss(x, y, weight=w * w), [(4,), (4,), (4,)]),
    "l1": (lambda x, y: F.l1_loss(x, y), [(5,), (5,)]),
    "sigmoid": (lambda x: (F.sigmoid(x) * x).sum(), [(6,)]),
    "gelu": (lambda x: F.gelu(x).sum(), [(6,)]),
    "gelu by tanh": (lambda x: F.gelu(x, "tanh").sum(), [(6,)]),
    "silu": (lambda x: F.silu(x).sum(), [(6,)]),
    "mish": (lambda x: F.mish(x).sum(), [(6,)]),
    "elu": (lambda x: F.elu(x, 0.7).sum(), [(6,)]),
    "erf": (lambda x: (lucid.erf(x) * x).sum() + lucid.asarray(x).erf().mean(), [(6,)]),
    "erfinv": (lambda x: lucid.erfinv(lucid.tanh(x)).sum(), [(6,)]),
    "lgamma": (lambda x: (lucid.lgamma(x) * lucid.lgamma(2 + x * x)).sum(), [(6,)]),
    "digamma": (lambda x: lucid.digamma(1 + x * x).sum(), [(6,)]),
    "polygamma": (lambda x: lucid.polygamma(1, 1 + x * x).sum(), [(6,)]),
    "relu": (lambda x: (F.relu(x) ** 2).sum(), [(6,)]),
    "softmax": (lambda x: (F.softmax(x, 1) ** 2).sum(), [(3, 4)]),
    "log softmax": (lambda x: (F.log_softmax(x, 0)[0] * x[1]).sum(), [(3, 4)]),
    "layer norm": (lambda x, w, b: (F.layer_norm(x, 4, w, b) ** 2).sum(), [(3, 4), (4,), (4,)]),
    "linear": (lambda x, w, b: F.linear(x, w, b).tanh().sum(), [(3, 4), (2, 4), (2,)]),
    "linear 1-d": (lambda x, w: F.linear(x, w).tanh().sum(), [(4,), (2, 4)]),
    "matmul stacks": (lambda a, b: (a @ b).tanh().sum(), [(2, 1, 3, 4), (5, 4, 2)]),
    "broadcast": (lambda a, b: (a * b / (1 + b * b)).sum(), [(3, 1), (1, 4)]),
    "index": (lambda x: (x[1:, ::-2] * x[0, None, 1:3] ** 2).sum(), [(3, 4)]),
    "shapes": (lambda x: (x.T.reshape(2, 6) @ x.reshape(6, 2)).tanh().sum(), [(3, 4)]),
    "mean var": (lambda x: (x.mean(0) * x.var(0, ddof=1)).sum() + x.std(), [(5, 3)]),
    "max min": (lambda x: (x.max(0) * x.min(1)[:2]).sum(), [(3, 2)]),
    "clip": (lambda x: (x.clip(-0.5, 0.5) * x).sum(), [(9,)]),
    "powers": (lambda x: (x**2 + x**3 + (x * x + 1) ** 0.5 + (x * x + 1) ** -1.5).sum(), [(5,)]),
    "power of tensors": (lambda x, y: ((x * x + 0.5) ** y).sum(), [(4,), (4,)]),
    "where": (lambda x, y: lucid.where(lucid.asarray(x) > y, x * y, x / (2 + y * y)).sum(), [(7,), (7,)]),
    "min max of two": (lambda x, y: (lucid.minimum(x, y) * lucid.maximum(x, 2 * y)).sum(), [(7,), (7,)]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSED)
def test_composed(name: str) -> None:
    f, shapes = COMPOSED[name]
    rng = np.random.default_rng(11)
    args = [rng.normal(size=shape) for shape in shapes]
    check(lambda *a: f(*map(lucid.asarray, a)), *args)


# --- backward ------------------------------------------------------------------------------------


def test_backward_accumulates() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [5, 7]
    x.zero_grad()
    assert x.grad is None


def test_backward_with_a_cotangent() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).backward(gradient=[1.0, 10.0])
    assert x.grad is not None
    assert x.grad.tolist() == [2, 40]


def test_backward_errors() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"test_grad.py:\d+: backward\(\) of a tensor of shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match="gradient has shape"):
        (x * 2).backward(Tensor([1.0]))
    with pytest.raises(RuntimeError, match="no tensor with requires_grad"):
        Tensor([1.0]).sum().backward()
    with pytest.raises(RuntimeError, match="no tensor with requires_grad"):
        x.detach().sum().backward()
    assert x.grad is None
    with pytest.raises(TypeError, match="must be a Tensor or None"):
        x.grad = 1  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"grad has shape \(\)"):
        x.grad = Tensor(1.0)


def test_requires_grad() -> None:
    for bad in ([1, 2], [True]):
        with pytest.raises(TypeError, match=r"test_grad.py:\d+: requires_grad: \w+ has no gradient"):
            Tensor(bad, requires_grad=True)
    x = Tensor([1.0, 2.0])
    assert x.is_leaf and not x.requires_grad
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad and not y.is_leaf and x.is_leaf
    assert not (x > 1).requires_grad
    assert not x.astype("int64").requires_grad
    with pytest.raises(RuntimeError, match="only be set on a leaf"):
        y.requires_grad = False
    x.requires_grad = False
    with pytest.raises(RuntimeError, match="no tensor with requires_grad"):
        y.sum().backward()


def test_only_leaves_collect() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x * 2
    (y * y).sum().backward()
    assert y.grad is None
    assert x.grad is not None
    assert x.grad.tolist() == [8]


def test_gradients_are_differentiable() -> None:
    x = Tensor([2.0, 3.0], requires_grad=True)
    (x**3).sum().backward()
    first = x.grad
    assert first is not None
    assert first.tolist() == [12, 27]
    x.zero_grad()
    first.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [12, 18]


def test_no_grad() -> None:
    x = Tensor([2.0], requires_grad=True)

    @lucid.no_grad()
    def double(v: Tensor) -> Tensor:
        return v * 2

    @lucid.no_grad
    def triple(v: Tensor) -> Tensor:
        return v * 3

    with lucid.no_grad():
        assert not lucid.is_grad_enabled()
        y = x * x
        with lucid.enable_grad():
            z = x * 5
        assert not lucid.is_grad_enabled()
    assert lucid.is_grad_enabled()
    assert not y.requires_grad and z.requires_grad
    assert not double(x).requires_grad and not triple(x).requires_grad
    (x * y * double(x)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [16]  # y and double(x) count as constants
    with pytest.raises(ZeroDivisionError), lucid.no_grad():
        _ = 1 / 0
    assert lucid.is_grad_enabled()


def test_detach_shares_the_value() -> None:
    x = Tensor([2.0], requires_grad=True)
    y = (x * 3).detach()
    assert not y.requires_grad and y.tolist() == [6]
    (x * y).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6]


def test_dtypes_of_gradients() -> None:
    x = Tensor(np.array([1.0], np.float16), requires_grad=True)
    y = Tensor(np.array([2.0], np.float64), requires_grad=True)
    (x * y * Tensor([3])).sum().backward()
    assert x.grad is not None and y.grad is not None
    assert x.grad.dtype == np.float16 and y.grad.dtype == np.float64
    assert (x.grad.tolist(), y.grad.tolist()) == ([6], [3])


def test_where_keeps_bad_branches_out() -> None:
    x = Tensor([0.0, 4.0, -1.0, np.inf], requires_grad=True)
    lucid.where(x > 0, x.sqrt() + 1 / x, 0.0).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, [0, 0.25 - 1 / 16, 0, 0])


def test_parameters_of_an_old_graph() -> None:
    """A loss that was built before a step still reaches the parameter."""
    p = nn.Parameter([1.0])
    opt = lucid.optim.SGD([p], lr=0.1)
    old = (p * p).sum()
    p.sum().backward()
    opt.step()
    opt.zero_grad()
    old.backward()
    assert p.grad is not None
    assert p.grad.tolist() == [2]


# --- grad and value_and_grad ---------------------------------------------------------------------


def cube(x: Tensor) -> Tensor:
    return (x**3).sum()


def test_grad_of_grad_of_grad() -> None:
    x = np.array([1.0, 2.0])
    second = lucid.grad(lambda v: lucid.grad(cube)(v).sum())
    third = lucid.grad(lambda v: second(v).sum())
    np.testing.assert_allclose(lucid.grad(cube)(x), 3 * x**2)  # type: ignore[arg-type]
    np.testing.assert_allclose(second(x), 6 * x)
    np.testing.assert_allclose(third(x), [6, 6])
    assert lucid.grad(lambda v: v**4)(2.0).item() == 32


def test_argnums() -> None:
    def f(a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
        return (a * a * b).sum() * scale

    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    value, (ga, gb) = lucid.value_and_grad(f, (0, 1))(a, b, scale=2.0)  # type: ignore[arg-type]
    assert value.item() == 38
    np.testing.assert_array_equal(ga, 4 * a * b)
    np.testing.assert_array_equal(gb, 2 * a * a)
    np.testing.assert_array_equal(lucid.grad(f, argnums=1)(a, b), a * a)  # type: ignore[arg-type]
    np.testing.assert_array_equal(lucid.grad(f, argnums=-1)(a, b), a * a)  # type: ignore[arg-type]
    assert isinstance(lucid.grad(f, (0,))(a, b), tuple)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="argnums=2, but only 2 positional"):
        lucid.grad(f, 2)(a, b)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="argument 0 is int64"):
        lucid.grad(f)(np.arange(2), b)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reduce it"):
        lucid.grad(lambda v: v * 2)(a)
    with pytest.raises(TypeError, match="returned float, not a Tensor"):
        lucid.grad(lambda v: 1.0)(a)


def test_grad_takes_the_argument_alone() -> None:
    """The same tensor, reached another way, is a constant."""
    x = Tensor([3.0])
    assert lucid.grad(lambda v: (v * x).sum())(x).tolist() == [3]
    assert lucid.grad(lambda v: (v * v.detach()).sum())(x).tolist() == [3]
    with lucid.no_grad():
        assert lucid.grad(cube)(x).tolist() == [27]


def test_grad_of_what_does_not_depend() -> None:
    x = Tensor([1.0, 2.0])
    assert lucid.grad(lambda v: Tensor(1.0))(x).tolist() == [0, 0]
    assert lucid.grad(lambda v: v.floor().sum())(x).tolist() == [0, 0]


def test_grad_inside_backward_and_the_other_way() -> None:
    x = Tensor([2.0], requires_grad=True)
    value, g = lucid.value_and_grad(cube)(x)
    assert value.requires_grad and g.requires_grad
    g.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [12]
    plain = Tensor([2.0])
    value, g = lucid.value_and_grad(cube)(plain)
    assert not value.requires_grad and not g.requires_grad

    def through_backward(v: Tensor) -> Tensor:
        cube(v).backward()
        assert v.grad is not None
        return v.grad.sum()

    assert lucid.grad(through_backward)(plain).tolist() == [12]


def test_bool_is_the_dtype_of_masks() -> None:
    assert (Tensor([1.0]) > 0)._node.type.dtype is b1


def test_backward_twice_after_the_gradient_was_added() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.backward(np.ones(2, "f"))
    y.backward(np.ones(2, "f"))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), [4, 8])


@pytest.mark.parametrize(
    "read",
    [print, repr, Tensor.tolist, Tensor.numpy, np.asarray, lambda w: w.sum().item(), lambda w: float(w[0])],
)
def test_an_argument_that_is_read_keeps_its_gradient(read: Any) -> None:
    def f(w: Tensor) -> Tensor:
        loss = (w * w).sum()
        read(w)
        return loss + w.sum()

    np.testing.assert_array_equal(lucid.grad(f)(Tensor([1.0, 2.0])).numpy(), [3, 5])


def test_the_gradient_of_what_is_no_function() -> None:
    for make in (lucid.grad, lucid.value_and_grad):
        with pytest.raises(TypeError, match=r"test_grad.py:\d+: .*not callable"):
            make(5)  # type: ignore[arg-type]


def test_backward_by_inputs_alone() -> None:
    w, x = (lucid.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    h = w * x
    for inputs in (w, [w], (w, h)):
        (h * h).sum().backward(inputs=inputs)
    assert x.grad is None
    np.testing.assert_array_equal(w.grad, [6.0, 48.0])
    np.testing.assert_array_equal(h.grad, [2.0, 8.0])
    with pytest.raises(RuntimeError, match=r"test_grad.py:\d+: backward\(\): an input does not require grad"):
        h.sum().backward(inputs=[lucid.ones(2)])
    lucid.autograd.backward(h.sum(), inputs=[x])
    np.testing.assert_array_equal(x.grad, [1.0, 2.0])


def test_gradients_that_nobody_holds_are_none() -> None:
    """`nn.Linear(3, 1)(x).sum().backward()`: the layer is gone by then. Nothing is to be done, nor wrong."""
    nn.Linear(3, 1)(lucid.ones(2, 3)).sum().backward()
    lucid.compile(lambda x: nn.Linear(3, 1)(x).sum().backward())(lucid.ones(2, 3))
    with pytest.raises(RuntimeError, match="depends on no tensor"):
        lucid.ones(3).sum().backward()
