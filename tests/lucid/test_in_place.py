"""`x += y` gives a tensor a new value in place, or raises: it never changes nothing in silence."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, TraceError, nn
from lucid.changing import FUNCTIONS
from lucid.engine import _plans

OPERATORS = [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod,
    operator.ipow,
]  # fmt: skip
BITS = [operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift]


@pytest.mark.parametrize("change", OPERATORS + BITS, ids=lambda f: f.__name__)
def test_every_holder_sees_the_new_value(change: Callable[[Any, Any], Any]) -> None:
    kind = "int64" if change in BITS else "float32"
    array, other = np.array([5, 7, 3], kind), np.array([2, 3, 1], kind)
    x = Tensor(array)
    held, view, copy = x, x.numpy(), x.detach()
    y = x * 1
    x = change(x, Tensor(other))
    assert x is held
    np.testing.assert_array_equal(view, array)
    np.testing.assert_array_equal(copy.numpy(), array)
    np.testing.assert_array_equal(y.numpy(), array)
    np.testing.assert_array_equal(x.numpy(), change(array.copy(), other))


def test_matmul_in_place() -> None:
    x = Tensor(np.eye(2, dtype="f") * 3)
    x @= Tensor([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(x.numpy(), [[3, 6], [9, 12]])


def descend(net: Any, x: Any, y: Any) -> Any:
    loss = ((net(Tensor(x) if isinstance(x, np.ndarray) else x) - y) ** 2).mean()
    loss.backward()
    with lucid.no_grad():
        for p in net.parameters():
            assert p.grad is not None
            p -= 0.1 * p.grad
            p.grad = None
    return loss


@pytest.mark.parametrize("compiled", [False, True])
def test_parameters_updated_by_hand(compiled: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3)).astype("f")
    y = x @ np.array([[1], [2], [3]], "f")
    net: Any = nn.Linear(3, 1)
    plain = functools.partial(descend, net)
    step: Any = lucid.compile(plain) if compiled else plain
    w, b = (np.array(p.numpy(), "f8") for p in (net.weight, net.bias))
    for _ in range(150):
        loss = step(x, y)
        error = x @ w.T + b - y
        w -= 0.1 * 2 * error.T @ x / error.size
        b -= 0.1 * 2 * error.mean(0)
    np.testing.assert_allclose(net.weight.numpy(), w, rtol=1e-4)
    np.testing.assert_allclose(net.bias.numpy(), b, atol=1e-4)
    assert loss.item() < 1e-5
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_a_loop_that_reads_nothing_keeps_no_history() -> None:
    net = nn.Linear(3, 1)
    x, y = np.ones((4, 3), "f"), np.zeros((4, 1), "f")
    for _ in range(4):
        descend(net, x, y)
    before = len(_plans)
    for _ in range(10):
        descend(net, x, y)
    assert len(_plans) == before  # each step has the structure of the last


def test_gradients_flow_through_what_was_changed() -> None:
    w = Tensor([2.0], requires_grad=True)
    total = lucid.zeros(1)
    for _ in range(3):
        total += w * w
    total.sum().backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), [12])


def test_what_cannot_be_changed_in_place() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"test_in_place.py:\d+: .*no_grad"):
        w += 1
    x = Tensor([1, 2])
    with pytest.raises(TypeError, match=r"test_in_place.py:\d+: .*i64\[2\] cannot become f64"):
        x /= 2
    with pytest.raises(ValueError, match=r"f32\[2\] cannot become f32\[3, 2\]"):
        z = Tensor([1.0, 2.0])
        z += Tensor(np.ones((3, 2), "f"))
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    buffer = lucid.zeros(2)

    @lucid.compile
    def f(x: Any) -> Any:
        nonlocal buffer
        buffer += w * x
        return x

    with pytest.raises(TraceError, match="differentiable"):
        f(np.ones(2, "f"))
    np.testing.assert_array_equal(buffer.numpy(), [0, 0])


def test_a_captured_tensor_changed_in_a_compiled_function() -> None:
    count = lucid.zeros(2)

    @lucid.compile
    def f(x: Any) -> Any:
        nonlocal count
        count += x
        return x * 2

    for _ in range(4):
        f(np.ones(2, "f"))
    np.testing.assert_array_equal(count.numpy(), [4, 4])


def test_an_attribute_that_is_no_parameter_any_more() -> None:
    """A tensor in its place would never be trained."""
    net = nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"test_in_place.py:\d+: weight is a parameter"):
        net.weight = net.weight * 2  # type: ignore[assignment]
    assert len(list(net.parameters())) == 2
    net.weight = nn.Parameter(np.ones((1, 2), "f"))
    net.bias = None
    assert [p.tolist() for p in net.parameters()] == [[[1, 1]]]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_data_of_a_parameter(compiled: bool) -> None:
    """As PyTorch's users write a step without an optimiser."""
    w: Any = Tensor([1.0, 2.0], requires_grad=True)

    def plain(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        w.data = w.data - 0.5 * w.grad
        w.data -= 0.5 * w.grad
        w.grad = None
        return loss

    step: Any = lucid.compile(plain) if compiled else plain
    for k in range(4):
        assert step(Tensor([1.0, 2.0])).item() == 5 - 5 * k
        np.testing.assert_array_equal(w.numpy(), [-k, -2 * k])
    assert w.requires_grad and w.is_leaf
    w.data = np.zeros(2, "f")
    np.testing.assert_array_equal(w.numpy(), [0, 0])
    before = w.data
    (w * w).sum().backward()
    w.data = w.grad + 1
    np.testing.assert_array_equal(w.numpy(), [1, 1])
    np.testing.assert_array_equal(before.numpy(), [0, 0])


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros(3, "f"), ValueError, r"f32\[2\] cannot become f32\[3\]"),
        (np.zeros(2), TypeError, "f64.*nn.Parameter"),
        (1.0, TypeError, "a tensor or an array, not float"),
        (None, TypeError, "a tensor or an array, not NoneType"),
    ],
)
def test_data_that_does_not_fit(value: Any, error: type[Exception], message: str) -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(error, match=rf"test_in_place.py:\d+: .*{message}"):
        w.data = value
    result = w * 2
    with pytest.raises(RuntimeError, match=r"test_in_place.py:\d+: .*leaf"):
        result.data = w
    np.testing.assert_array_equal(w.numpy(), [1, 2])


def test_totals_of_columns_do_not_overwrite_what_other_columns_read() -> None:
    """Threads end their columns while others read theirs."""
    h = Tensor(np.arange(20_000, dtype=np.float32))
    x = np.ones((2, 20_000), np.float32)

    @lucid.compile
    def step(x: Any) -> None:
        h[:] = (x * h[::-1]).sum(0)

    want = h.numpy().copy()
    for _ in range(4):
        step(x)
        want = 2 * want[::-1]
        np.testing.assert_array_equal(h.numpy(), want)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_change_what_they_are_given(name: str) -> None:
    given: dict[str, tuple[Any, ...]] = {
        "addmv_": (np.eye(3, dtype="f"), np.ones(3, "f")), "fill_": (2.0,), "xlogy_": (3.0,),
        "index_put_": ((lucid.tensor([0, 1]),), lucid.tensor(2.0)), "clamp_": (0.2, 0.5), "clip_": (0.2, 0.5),
        "clamp_max_": (0.5,), "clamp_min_": (0.5,), "ldexp_": (2,), "gcd_": (4,), "lcm_": (4,),
    }  # fmt: skip
    x = lucid.tensor([6, 9, 4]) if name in ("gcd_", "lcm_") else lucid.tensor([0.25, 0.5, 0.75])
    x, args = x + 1 if "cosh" in name else x, given.get(name, ())
    wanted = getattr(x.clone(), name)(*args)
    function = getattr(lucid, name)
    assert function(x, *args) is x and function.__name__ == name
    np.testing.assert_array_equal(x, wanted)
    with pytest.raises(
        TypeError, match=rf"test_in_place.py:\d+: {name}: expected a tensor, which it changes"
    ):
        function([1.0], *args)


def test_activations_that_change_what_they_are_given() -> None:
    x = lucid.tensor([-1.0, 2.0])
    assert lucid.threshold_(lucid.selu_(x), 0.0, 0.0) is x and x.tolist()[0] == 0
    assert lucid.rrelu_(x.neg_(), 0.5, 0.5) is x and x.tolist()[1] < -0.5
