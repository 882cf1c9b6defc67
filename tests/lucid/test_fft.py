"""Fourier transforms: NumPy's values and PyTorch's gradients."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor

torch: Any = None
with contextlib.suppress(ImportError):
    torch = importlib.import_module("torch")
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is no dependency")


RNG = np.random.default_rng(0)
REAL = RNG.standard_normal((4, 6, 5))
COMPLEX = REAL + 1j * RNG.standard_normal((4, 6, 5))
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")


def operand(name: str) -> Any:
    return REAL if name.startswith(("rfft", "ihfft")) else COMPLEX


def close(got: Tensor, want: Any, dtype: Any = None) -> None:
    assert got.dtype == (want.dtype if dtype is None else dtype)
    tol = 2e-6 if want.dtype in (np.float32, np.complex64) else 1e-13
    np.testing.assert_allclose(got.numpy(), want, rtol=tol, atol=tol * 10)


@pytest.mark.parametrize("name", ONE)
def test_along_one_axis_as_numpys(name: str) -> None:
    x = operand(name)
    for n in (None, 3, 4, 9):
        for axis in (-1, 0, 1):
            for norm in (None, "ortho", "forward"):
                got = getattr(lucid.fft, name)(Tensor(x), n, axis, norm)
                close(got, getattr(np.fft, name)(x, n, axis, norm))


@pytest.mark.parametrize("name", SEVERAL)
def test_along_several_axes_as_numpys(name: str) -> None:
    x = operand(name)
    cases: list[dict[str, Any]] = [
        {},
        {"axes": (0, 2)},
        {"s": (3, 8), "axes": (-1, 0)},
        {"norm": "ortho"},
        {"s": (4, 4), "axes": (1, 2)},
    ]
    for kwargs in cases:
        close(getattr(lucid.fft, name)(x, **kwargs), getattr(np.fft, name)(x, **kwargs))


def test_dtypes() -> None:
    cases = {"float32": "complex64", "float64": "complex128", "complex64": "complex64", "int32": "complex128"}
    for given, want in (cases | {"float16": "complex64", "bool": "complex128"}).items():
        assert lucid.fft.fft(np.ones(4, given)).dtype == want
    assert lucid.fft.irfft(np.ones(4, "complex64")).dtype == np.float32
    close(lucid.fft.rfft(REAL.astype("f4")), np.fft.rfft(REAL.astype("f4")))


def test_frequencies_and_shifts() -> None:
    for n in (4, 5):
        for name in ("fftfreq", "rfftfreq"):
            want = getattr(np.fft, name)(n, 0.5)
            np.testing.assert_array_equal(getattr(lucid.fft, name)(n, 0.5, dtype="float64").numpy(), want)
    for name in ("fftshift", "ifftshift"):
        for axes in (None, 1, (0, 2)):
            got = getattr(lucid.fft, name)(Tensor(COMPLEX), axes)
            np.testing.assert_array_equal(got.numpy(), getattr(np.fft, name)(COMPLEX, axes))
    np.testing.assert_allclose(np.asarray(np.fft.fft(Tensor(COMPLEX))), np.fft.fft(COMPLEX), rtol=1e-12)
    assert lucid.fft.fft(REAL, dim=0).shape == (4, 6, 5)


@needs_torch
@pytest.mark.parametrize("name", [*ONE, "fft2", "rfftn", "irfft2"])
def test_gradients_are_pytorchs_to_second_order(name: str) -> None:
    a = operand(name)[0]
    for kwargs in ({}, {"norm": "ortho", "n": 7}) if name in ONE else ({"norm": "forward"},):
        x, p = Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)

        def loss(lib: Any, z: Any, kwargs: Any = kwargs) -> Any:
            y = getattr(lib.fft, name)(z, **kwargs)
            return (lib.abs(y) ** 2 * lib.abs(y)).sum()

        loss(lucid, x).backward()
        (first,) = torch.autograd.grad(loss(torch, p), p, create_graph=True)
        assert x.grad is not None
        np.testing.assert_allclose(
            x.grad.numpy(), first.detach().resolve_conj().numpy(), rtol=1e-9, atol=1e-11
        )
        again = x.grad
        x.zero_grad()
        (lucid.abs(again) ** 2).sum().backward()
        (second,) = torch.autograd.grad((torch.abs(first) ** 2).sum(), p)
        np.testing.assert_allclose(x.grad.numpy(), second.resolve_conj().numpy(), rtol=1e-8, atol=1e-9)


def test_errors_name_the_line() -> None:
    with pytest.raises(ValueError, match=r"test_fft.py:\d+: .*norm must be"):
        lucid.fft.fft(REAL, norm="both")
    with pytest.raises(ValueError, match=r"test_fft.py:\d+: .*0 points"):
        lucid.fft.fft(REAL, 0)
    with pytest.raises(ValueError, match=r"test_fft.py:\d+: .*axis 3"):
        lucid.fft.fft(REAL, axis=3)
    with pytest.raises(ValueError, match=r"test_fft.py:\d+: .*3 lengths for 2 axes"):
        lucid.fft.fft2(REAL, (2, 2, 2))
    with pytest.raises(TypeError, match=r"test_fft.py:\d+: .*expected real numbers, not complex128"):
        lucid.fft.rfft(COMPLEX)
