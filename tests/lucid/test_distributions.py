"""Distributions: what is drawn has the moments that they say, in compiled functions, too; errors. Densities,
entropies and divergences are PyTorch's: `names_like_torch.py`; spectra by short windows likewise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid import distributions as D

from .names_like_torch import DISTRIBUTIONS, NO_MOMENTS

COUNT = 20000
SPECTRA = np.ones((5, 3), complex)
SIGNAL = np.sin(np.arange(50.0))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_moments(name: str) -> None:
    """Within five standard errors."""
    lucid.manual_seed(3)
    p = getattr(D, name)(*DISTRIBUTIONS[name][0])
    drawn = p.sample((COUNT,)).numpy()
    assert drawn.shape == (COUNT, *p.batch_shape, *p.event_shape)
    if name == "Categorical":
        shares = np.stack([(drawn == k).mean(0) for k in range(4)], -1)
        np.testing.assert_allclose(shares, p.probs, atol=5 * 0.5 / COUNT**0.5)
        return
    if name in NO_MOMENTS:
        middle = np.median(drawn, 0) - np.broadcast_to(
            p.loc.numpy() if name == "Cauchy" else p.scale.numpy(), 3
        )
        assert (np.abs(middle) < 5 * np.pi / 2 * p.scale.numpy() / COUNT**0.5).all()
        return
    mean, variance = p.mean.numpy(), p.variance.numpy()
    assert (np.abs(drawn.mean(0) - mean) < 5 * np.sqrt(variance / COUNT)).all()
    fourth = ((drawn - mean) ** 4).mean(0)
    assert (np.abs(((drawn - mean) ** 2).mean(0) - variance) < 5 * np.sqrt(fourth / COUNT)).all()
    assert np.isfinite(p.log_prob(drawn[:100]).numpy()).all()


@pytest.mark.parametrize("rate", [0.0, 0.1, 9.9, 10.0, 30.0, 2000.0])
def test_poisson_of_small_and_large_rates(rate: float) -> None:
    """The shares of all counts, or the moments of many."""
    lucid.manual_seed(0)
    p = D.Poisson(np.float64(rate))
    drawn = p.sample((COUNT,)).numpy()
    assert abs(drawn.mean() - rate) <= 5 * (rate / COUNT) ** 0.5
    for k in range(int(max(0, rate - 4)), int(rate + 5)):
        share = float(np.exp(p.log_prob(np.float64(k)).item()))
        assert abs((drawn == k).mean() - share) <= 5 * (share / COUNT) ** 0.5


def test_gamma_of_small_concentrations() -> None:
    lucid.manual_seed(0)
    p = D.Gamma(np.array([0.05, 0.5, 1.0]), 1.0)
    drawn = p.sample((COUNT,)).numpy()
    assert (np.abs(drawn.mean(0) - p.mean.numpy()) < 5 * np.sqrt(p.variance.numpy() / COUNT)).all()
    # of exp(x) of log x: what is near 0 is as likely as it says
    scipy = pytest.importorskip("scipy.stats")
    for k, a in enumerate((0.05, 0.5, 1.0)):
        assert scipy.kstest(drawn[:, k], scipy.gamma(a).cdf).pvalue > 1e-4


def test_compiled_functions_draw_anew_and_differentiate() -> None:
    lucid.manual_seed(0)

    def loss(mean: Any, scale: Any) -> Any:
        x = D.Normal(mean, scale).rsample((1000,))
        return (x * x).mean(0).sum() + D.kl_divergence(D.Normal(mean, scale), D.Normal(0.0, 1.0)).sum()

    run = lucid.compile(lucid.value_and_grad(loss, (0, 1)))
    at = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    (first, (of_mean, of_scale)), (second, _) = run(*at), run(*at)
    assert first.item() != second.item()
    np.testing.assert_allclose(of_mean, 2 * at[0] + at[0], atol=1)
    np.testing.assert_allclose(of_scale, 2 * at[1] + at[1] - 1 / at[1], atol=1.5)
    samples = lucid.compile(lambda a: (D.Gamma(a, 1.0).sample((3,)), D.Poisson(a).sample((3,))))
    assert not np.array_equal(samples(at[1])[0], samples(at[1])[0])

    def policy(logits: Any, place: Any) -> Any:
        p = D.Categorical(logits=logits)
        return -(p.log_prob(place) + 0.1 * p.entropy()).mean()

    given = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 2, 2])
    np.testing.assert_allclose(
        lucid.compile(lucid.grad(policy))(*given), lucid.grad(policy)(*given), rtol=1e-6
    )


def test_dtypes_and_shapes() -> None:
    assert D.Normal(0, 1).sample().dtype == np.float32
    assert D.Normal(np.zeros(2), 1.0).sample((3,)).dtype == np.float64
    assert D.Beta(Tensor([1.0]).half(), 2.0).sample().dtype == np.float16
    assert D.Categorical(probs=np.ones((2, 3))).sample((4,)).dtype == np.int64
    assert D.Normal(np.zeros((2, 1)), np.ones(3)).batch_shape == (2, 3)
    assert repr(D.Dirichlet([1.0, 2.0])) == "Dirichlet(batch_shape=(), event_shape=(2,))"
    x = Tensor([1.0], requires_grad=True)
    assert not D.Normal(x, 1.0).sample().requires_grad and D.Normal(x, 1.0).rsample().requires_grad


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "Normal: scale must be above 0, not -1.0", lambda: D.Normal(0.0, [1.0, -1.0])),
        (ValueError, "Uniform: high - low must be above 0", lambda: D.Uniform(1.0, 0.0)),
        (ValueError, "Bernoulli: probs must be between 0 and 1, not 2.0", lambda: D.Bernoulli(2.0)),
        (ValueError, "expected either probs or logits", lambda: D.Bernoulli(0.5, 0.5)),
        (ValueError, "expected either probs or logits", lambda: D.Categorical()),
        (ValueError, "axis of shares", lambda: D.Dirichlet(1.0)),
        (ValueError, "expected one of covariance_matrix", lambda: D.MultivariateNormal([0.0])),
        (ValueError, "does not fit a matrix", lambda: D.MultivariateNormal([0.0], np.eye(2))),
        (np.linalg.LinAlgError, "positive definite", lambda: D.MultivariateNormal([0.0], [[-1.0]])),
        (NotImplementedError, "Poisson: samples have no gradient here", lambda: D.Poisson(1.0).rsample()),
        (NotImplementedError, "Poisson has no entropy", lambda: D.Poisson(1.0).entropy()),
        (NotImplementedError, "no formula for Normal", lambda: D.kl_divergence(D.Normal(0, 1), D.Beta(1, 1))),
        (RuntimeError, "stft: say return_complex", lambda: lucid.stft(SIGNAL, 8)),
        (ValueError, "stft: a window of shape", lambda: lucid.stft(SIGNAL * 1j, 8, window=np.ones(7))),
        (ValueError, "cannot be reflected by 50", lambda: lucid.stft(SIGNAL, 100, return_complex=True)),
        (ValueError, "n_fft 60 for 50", lambda: lucid.stft(SIGNAL, 60, center=False, return_complex=True)),
        (ValueError, "expected one signal", lambda: lucid.stft(SIGNAL.astype(int), 8, return_complex=True)),
        (ValueError, "pad_mode must be", lambda: lucid.stft(SIGNAL, 8, pad_mode="x", return_complex=True)),
        (ValueError, "leave out onesided", lambda: lucid.stft(SIGNAL * 1j, 8, onesided=True)),
        (ValueError, "istft: spectra of shape", lambda: lucid.istft(np.ones((4, 3), complex), 8)),
        (RuntimeError, "window is 0 where", lambda: lucid.istft(SPECTRA, 8, window=np.zeros(8))),
    ],
)  # fmt: skip
def test_errors(error: type[Exception], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=r"test_distributions.py:\d+: .*" + message):
        call()


def test_spectra_in_compiled_functions() -> None:
    def f(x: Any, window: Any) -> Any:
        found = lucid.stft(x, 16, 4, window=window, return_complex=True)
        return lucid.istft(found, 16, 4, window=window, length=50)

    run, window = lucid.compile(f), lucid.hann_window(16, dtype=lucid.float64)
    np.testing.assert_allclose(run(SIGNAL, window), SIGNAL, atol=1e-12)
    slope = lucid.compile(lucid.grad(lambda x: (f(x, window) ** 2).sum()))(SIGNAL)
    np.testing.assert_allclose(slope, 2 * SIGNAL, atol=1e-10)
    assert lucid.stft(SIGNAL.astype("f"), 16, return_complex=True).dtype == np.complex64


def test_windows_of_complex_numbers_are_undone() -> None:
    rng = np.random.default_rng(5)
    x, window = (rng.normal(size=n) + 1j * rng.normal(size=n) for n in (40, 8))
    spectra = lucid.stft(x, 10, 3, 8, window=window, return_complex=True)
    again = lucid.istft(spectra, 10, 3, 8, window=window, return_complex=True, length=40)
    np.testing.assert_allclose(again.numpy(), x, atol=1e-13)
