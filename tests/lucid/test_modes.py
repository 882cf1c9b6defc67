"""Modes of the process and of a thread: whether gradients are on, the default dtype, anomalies. Compiled
functions follow them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import TraceError, autograd, nn


def tracked(x: lucid.Tensor) -> bool:
    return (x * 2).requires_grad


@pytest.fixture
def default() -> Iterator[None]:
    yield
    lucid.set_default_dtype(lucid.float32)


def test_gradients_are_off_from_here_on_or_inside_or_in_a_function() -> None:
    x = lucid.ones(3, requires_grad=True)
    with lucid.set_grad_enabled(False):
        assert not tracked(x)
        with lucid.set_grad_enabled(True):
            assert tracked(x)
        assert not tracked(x)
    assert tracked(x)
    lucid.set_grad_enabled(False)
    try:
        assert not tracked(x)
    finally:
        lucid.set_grad_enabled(True)

    @lucid.set_grad_enabled(False)
    def inside() -> bool:
        return lucid.is_grad_enabled()

    assert lucid.is_grad_enabled() and not inside() and lucid.is_grad_enabled()


def test_inference_mode_is_no_grad() -> None:
    x = lucid.ones(3, requires_grad=True)
    with lucid.inference_mode():
        assert not tracked(x)
        with lucid.inference_mode(False):
            assert tracked(x)

    @lucid.inference_mode
    def plain(x: Any) -> Any:
        return x * 2

    @autograd.inference_mode()
    def called(x: Any) -> Any:
        return x * 2

    assert not plain(x).requires_grad and not called(x).requires_grad and lucid.is_grad_enabled()
    compiled = lucid.compile(lambda x: x * 2)
    assert compiled(x).requires_grad
    with lucid.inference_mode():
        assert not compiled(x).requires_grad


def test_a_compiled_function_leaves_the_mode_as_it_was() -> None:
    @lucid.compile
    def left(x: Any) -> Any:
        lucid.set_grad_enabled(False)
        return x * 2

    with pytest.raises(TraceError, match="as a context manager"):
        left(lucid.ones(3))
    assert lucid.is_grad_enabled()

    @lucid.compile
    def inside(x: Any) -> Any:
        with lucid.set_grad_enabled(False):
            weight = x.exp()
        return (x * weight).sum()

    x = lucid.ones(3, requires_grad=True)
    inside(x).backward()
    assert x.grad is not None and np.allclose(x.grad.numpy(), np.e)


@pytest.mark.usefixtures("default")
def test_the_default_dtype_is_that_of_floats_which_nobody_names() -> None:
    x, ints = lucid.ones(3), lucid.arange(3)
    lucid.set_default_dtype("float64")
    assert lucid.get_default_dtype() == np.float64
    made: list[Any] = [
        lucid.tensor(1.5), lucid.tensor([1.0, 2.0]), lucid.zeros(2), lucid.full(2, 1.5),
        lucid.arange(0.0, 1, 0.5), lucid.linspace(0, 1, 3), lucid.eye(2),
        lucid.rand(2), lucid.randn(2), lucid.hann_window(4),
        lucid.fft.fftfreq(4), nn.Linear(2, 3).weight, nn.Embedding(2, 3).weight, nn.LayerNorm(3).weight,
        nn.Conv2d(1, 1, 1).weight, lucid.distributions.Normal(0, 1).loc,
    ]  # fmt: skip
    assert {t.dtype for t in made} == {np.dtype("float64")}
    assert lucid.tensor(1j).dtype == np.complex128 and "dtype" not in repr(lucid.ones(1))
    # what has a dtype decides as before
    assert (x * 1.5).dtype == np.float32 and (ints * 1.5).dtype == (ints / 2).dtype == np.float64
    assert lucid.tensor(np.float32(1)).dtype == np.float32 and lucid.arange(3).dtype == np.int64
    lucid.set_default_dtype(lucid.float16)
    assert lucid.zeros(2).dtype == np.float16 and lucid.tensor(1j).dtype == np.complex64
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(lucid.zeros(1).dtype))
    thread.start()
    thread.join()
    assert seen == [np.float16]  # of the process
    for wrong in (lucid.int32, lucid.complex64):
        with pytest.raises(TypeError, match="float dtype"):
            lucid.set_default_dtype(wrong)


@pytest.mark.usefixtures("default")
def test_compiled_functions_follow_the_default_dtype_where_they_ask_for_it() -> None:
    asks = lucid.compile(lambda x: x + lucid.zeros(3))
    reads = lucid.compile(lambda x: x * 2 if lucid.get_default_dtype() == np.float32 else x * 3)
    does_not = lucid.compile(lambda x: x + 1.5)
    x = lucid.ones(3)
    for _ in range(2):
        for kind, factor in (("float32", 2), ("float64", 3)):
            lucid.set_default_dtype(kind)
            for _ in range(3):  # Python serves, then native code
                assert asks(x).dtype == kind and does_not(x).dtype == np.float32
                assert reads(x).tolist() == [factor] * 3
    assert (asks.traces, reads.traces, does_not.traces) == (2, 2, 1)
    assert "default dtype" in str(asks.explain())
    with pytest.raises(TraceError, match="outside"):
        lucid.compile(lambda x: lucid.set_default_dtype("float32"))(x)


def test_anomalies_are_named_by_line_and_operation() -> None:
    x = lucid.tensor([1.0, -1.0], requires_grad=True)
    with (
        pytest.raises(FloatingPointError, match=r"test_modes.py:\d+: log made a NaN at \[1\]"),
        autograd.detect_anomaly(),
    ):
        y = x.log()  # noqa: F841  # computed at the end
    zero = lucid.zeros(2, requires_grad=True)
    with pytest.raises(FloatingPointError, match="the gradient of sqrt"), autograd.detect_anomaly():
        (zero.sqrt() * 0).sum().backward()
    with autograd.detect_anomaly(check_nan=False):
        assert np.isnan(x.detach().log().numpy()[1])
    assert np.isnan((x.detach() * 1).log().numpy()[1])


def test_compiled_functions_are_compiled_again_to_detect_anomalies() -> None:
    f = lucid.compile(lambda x: (x - 2).log())
    x = np.ones(3, np.float32)
    for _ in range(3):
        assert np.isnan(f(x).numpy()).all()
    autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(FloatingPointError, match="log made a NaN"):
            f(x)
        with autograd.set_detect_anomaly(False):
            assert np.isnan(f(x).numpy()).all()
        with pytest.raises(FloatingPointError):
            f(x)
    finally:
        autograd.set_detect_anomaly(False)
    assert np.isnan(f(x).numpy()).all() and f.traces <= 4

    @lucid.compile
    def inside(x: Any) -> Any:
        with autograd.detect_anomaly():
            return x.log()

    with pytest.raises(TraceError, match="around"):
        inside(x)


@pytest.mark.parametrize("off", ["no_grad", "inference_mode", "set_grad_enabled"])
def test_a_generator_is_in_its_mode_and_who_asks_is_not(off: str) -> None:
    make: Any = getattr(lucid, off)
    x = lucid.ones(3, requires_grad=True)
    seen: list[Any] = []

    def counted(n: int) -> Any:
        try:
            for _ in range(n):
                seen.append((yield tracked(x)))
                assert not tracked(x)
        except KeyError:
            assert not tracked(x)
            yield "caught"
        finally:
            seen.append(tracked(x))
        return n

    steps = (make(False) if off == "set_grad_enabled" else make())(counted)
    made = steps(2)
    assert next(made) is False
    assert tracked(x)
    assert made.send("given") is False
    assert tracked(x)
    with pytest.raises(StopIteration) as end:
        next(made)
    assert end.value.value == 2
    assert seen == ["given", None, False]
    made = steps(2)
    next(made)
    assert made.throw(KeyError()) == "caught"
    made.close()
    assert seen[3:] == [False]
    assert tracked(x)
