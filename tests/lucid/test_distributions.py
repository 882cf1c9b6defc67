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
from .wider_like_torch import MADE

COUNT = 20000
NORMAL: Any = D.Normal(0.0, 1.0)
WRONG: Any = "exp"
SPECTRA = np.ones((5, 3), complex)
SIGNAL = np.sin(np.arange(50.0))


@pytest.mark.table
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


@pytest.mark.parametrize(
    "name",
    ["Kumaraswamy", "ContinuousBernoulli", "FisherSnedecor", "Multinomial", "Wishart", "MixtureSameFamily"],
)
def test_moments_of_what_fewer_meet(name: str) -> None:
    """Within six standard errors."""
    lucid.manual_seed(4)
    make, given, _ = MADE[name]
    p = make(D, *(x + 12 if name == "FisherSnedecor" else x for x in given))
    drawn = p.sample((COUNT,)).numpy()
    mean, variance = p.mean.numpy(), p.variance.numpy()
    assert (np.abs(drawn.mean(0) - mean) < 6 * np.sqrt(variance / COUNT)).all()
    fourth = ((drawn - mean) ** 4).mean(0)
    assert (np.abs(((drawn - mean) ** 2).mean(0) - variance) < 6 * np.sqrt(fourth / COUNT)).all()


def test_angles() -> None:
    """Beside a sum over all angles; what is drawn in a compiled function, too."""
    angles = np.linspace(-np.pi, np.pi, 2001)[:-1]
    k = np.array([1e-4, 0.3, 3.0, 400.0])
    p = D.VonMises(1.0, k)
    density = np.exp(p.log_prob(angles[:, None]).numpy())
    step = 2 * np.pi / 2000
    np.testing.assert_allclose(density.sum(0) * step, 1, rtol=1e-12)
    cosine = (density * np.cos(angles - 1.0)[:, None]).sum(0) * step
    np.testing.assert_allclose(1 - cosine, p.variance, rtol=1e-9, atol=1e-12)
    entropy = -(density * p.log_prob(angles[:, None]).numpy()).sum(0) * step
    np.testing.assert_allclose(entropy, p.entropy(), rtol=1e-9)
    lucid.manual_seed(0)
    drawn = lucid.compile(lambda k: D.VonMises(1.0, k).sample((COUNT,)))(k).numpy()
    assert (np.abs(drawn) <= np.pi).all()
    off = np.cos(drawn - 1.0).mean(0) - cosine
    assert (np.abs(off) < 6 * np.cos(drawn - 1.0).std(0) / COUNT**0.5).all()
    assert (np.abs(np.sin(drawn - 1.0).mean(0)) < 6 * np.sin(drawn - 1.0).std(0) / COUNT**0.5).all()
    assert lucid.random.vonmises(0.0, 2.0, 3).dtype == np.float32


def test_inverse_gaussian_numbers() -> None:
    lucid.manual_seed(0)
    drawn = lucid.random.wald(np.float64(2.0), 3.0, COUNT).numpy()
    assert abs(drawn.mean() - 2) < 5 * (8 / 3 / COUNT) ** 0.5 and (drawn > 0).all()
    assert abs(drawn.var() - 8 / 3) < 0.3


def test_divergences_of_one_s_own_and_of_what_is_made_of_others() -> None:
    class Mine(D.Normal):
        pass

    p, q = Mine(0.0, 1.0), D.Normal(1.0, 1.0)
    assert D.kl_divergence(p, q).item() == 0.5

    @D.register_kl(Mine, D.Normal)
    def _(p: Any, q: Any) -> Any:
        return p.loc + 7

    assert D.kl_divergence(p, q).item() == 7 and D.kl_divergence(q, q).item() == 0
    one, two = (D.TransformedDistribution(D.Normal(m, 1.0), D.ExpTransform()) for m in (0.0, 1.0))
    assert D.kl_divergence(one, two).item() == 0.5
    other = D.TransformedDistribution(D.Normal(0.0, 1.0), D.TanhTransform())
    with pytest.raises(NotImplementedError, match=r"test_distributions.py:\d+: .*two different transforms"):
        D.kl_divergence(one, other)


def test_samples_that_are_one_hot_have_the_gradient_of_probabilities() -> None:
    weights = np.arange(3.0)

    def f(probs: Any) -> Any:
        lucid.manual_seed(0)
        return (D.OneHotCategoricalStraightThrough(probs).rsample() * weights).sum()

    slope = lucid.grad(f)(np.array([0.2, 0.3, 0.5]))
    np.testing.assert_allclose(slope, weights - 1.3, rtol=1e-12)


@pytest.mark.table
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
        (NotImplementedError, "no formula for Normal", lambda: D.kl_divergence(NORMAL, D.Cauchy(0, 1))),
        (ValueError, "Wishart: df must be above 1, not 0.5", lambda: D.Wishart(0.5, np.eye(2))),
        (ValueError, "Wishart: expected square matrices", lambda: D.Wishart(3.0, np.ones((2, 3)))),
        (NotImplementedError, "Beta has no icdf", lambda: D.Beta(1.0, 2.0).icdf(0.5)),
        (NotImplementedError, "AbsTransform has no log", lambda: D.AbsTransform().log_abs_det_jacobian(1, 1)),
        (TypeError, "expected transforms, not str", lambda: D.TransformedDistribution(NORMAL, WRONG)),
        (ValueError, "of 1 axes", lambda: D.TransformedDistribution(NORMAL, D.StickBreakingTransform())),
        (TypeError, "expected a Categorical", lambda: D.MixtureSameFamily(NORMAL, NORMAL)),
        (ValueError, "do not fit components", lambda: D.MixtureSameFamily(D.Categorical([1.0, 2.0]), NORMAL)),
        (ValueError, "have not the same size", lambda: D.ReshapeTransform((2, 3), (5,))),
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


def test_parameters_that_nobody_checks() -> None:
    td = lucid.distributions

    class Mine(td.Normal):
        def __init__(self, loc: Any, validate_args: bool | None = None) -> None:
            super().__init__(loc, -1.0, validate_args=validate_args)

    with pytest.raises(ValueError, match="scale must be above 0"):
        Mine(0.0)
    assert Mine(0.0, validate_args=False).scale.item() == -1
    assert td.Poisson(-1.0, False).rate.item() == -1
    td.Distribution.set_default_validate_args(False)
    try:
        assert td.Bernoulli(2.0).probs.item() == 2
        with pytest.raises(ValueError, match="probs must be between 0 and 1"):
            td.Bernoulli(2.0, validate_args=True)
    finally:
        td.Distribution.set_default_validate_args(True)
    assert td.Independent(td.Normal([0.0], 1.0, validate_args=False), 1, validate_args=False).event_shape == (
        1,
    )
    with pytest.raises(TypeError, match=r"test_distributions.py:\d+: Normal\(\): .*expected \(loc, scale"):
        td.Normal(foo=1)  # type: ignore[call-arg]
