"""Random numbers by refusal, their gradients, and generators under PyTorch's and NumPy's names."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, random
from lucid import distributions as D
from lucid.laws import _by_concentration

COUNT = 20000


def test_the_gradient_of_a_gamma_number_is_that_of_its_quantile() -> None:
    """d x / d a where the probability below x stays: by differences of scipy's inverse."""
    special = pytest.importorskip("scipy.special")
    a = np.array([1.0, 1.3, 3.0, 10.0, 80.0, 2e4])[:, None]
    x = special.gammaincinv(a, np.linspace(0.001, 0.999, 9))
    h = 1e-4 * a**0.5
    below, above = special.gammainc(a + h, x), special.gammainc(a - h, x)
    density = np.exp((a - 1) * np.log(x) - x - special.gammaln(a))
    wanted = (above - below) / (2 * h) / density
    np.testing.assert_allclose(
        _by_concentration(Tensor(np.broadcast_to(a, x.shape)), Tensor(x)), wanted, 1e-6
    )
    single = _by_concentration(Tensor(np.broadcast_to(a, x.shape).astype("f")), Tensor(x.astype("f")))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, wanted, 2e-5)


def mean_slope(make: Any, *given: float) -> list[float]:
    """Gradients of the mean of what is drawn, by the parameters, in a compiled function."""
    lucid.manual_seed(1)

    @lucid.compile
    def f(*parameters: Any) -> Any:
        return make(*parameters).rsample((COUNT,)).mean()

    tensors = [lucid.tensor(np.float64(v), requires_grad=True) for v in given]
    f(*tensors).backward()
    return [t.grad.item() for t in tensors if t.grad is not None]


@pytest.mark.table
@pytest.mark.parametrize(
    ("make", "given", "slopes"),
    [
        (D.Gamma, (0.4, 2.0), (1 / 2, -0.4 / 4)),
        (D.Beta, (2.0, 3.0), (3 / 25, -2 / 25)),
    ],
)
def test_gradients_of_means_are_means_of_gradients(make: Any, given: Any, slopes: Any) -> None:
    for found, wanted in zip(mean_slope(make, *given), slopes, strict=True):
        assert abs(found - wanted) < 0.05 * max(abs(wanted), 0.3)


def test_samples_are_constants_and_cost_no_gradient() -> None:
    a = lucid.tensor(2.0, requires_grad=True)
    assert not D.Gamma(a, 1.0).sample((3,)).requires_grad and D.Gamma(a, 1.0).rsample().requires_grad


@pytest.mark.table
@pytest.mark.parametrize(
    ("name", "given", "mean", "variance"),
    [
        ("standard_gamma", (0.3,), 0.3, 0.3),
        ("beta", (2.0, 6.0), 0.25, 12 / 64 / 9),
        ("standard_t", (9.0,), 0.0, 9 / 7),
        ("f", (5.0, 12.0), 1.2, 2 * 144 * 15 / (5 * 100 * 8)),
        ("poisson", (3.0,), 3.0, 3.0),
        ("geometric", (0.25,), 4.0, 12.0),
        ("binomial", (10, 0.3), 3.0, 2.1),
        ("negative_binomial", (3.0, 0.4), 4.5, 11.25),
    ],
)
def test_numpys_laws_have_their_moments(name: str, given: Any, mean: float, variance: float) -> None:
    drawn = getattr(lucid.random.default_rng(5), name)(*given, COUNT)
    assert drawn.dtype == np.float32 and drawn.shape == (COUNT,)
    values = drawn.numpy().astype("f8")
    assert abs(values.mean() - mean) < 5 * (variance / COUNT) ** 0.5
    fourth = ((values - mean) ** 4).mean()
    assert abs(((values - mean) ** 2).mean() - variance) < 5 * (fourth / COUNT) ** 0.5


def test_parameters_are_above_0() -> None:
    with pytest.raises(ValueError, match="gamma: shape must be above 0, not -1"):
        random.gamma(-1.0)
    with pytest.raises(ValueError, match="binomial: expected n from 0"):
        random.binomial(-1, 0.5)


def test_dirichlet_draws_shares() -> None:
    drawn = lucid.random.dirichlet([1.0, 2.0, 3.0], 500, generator=lucid.Generator(1))
    assert (
        drawn.shape == (500, 3)
        and np.allclose(drawn.sum(-1), 1)
        and np.allclose(drawn.mean(0), [1 / 6, 1 / 3, 1 / 2], atol=0.05)
    )


# --- generators -----------------------------------------------------------------------------------


def test_generators_have_pytorchs_names() -> None:
    own = lucid.Generator(device="cpu")
    assert own.manual_seed(7) is own and own.initial_seed() == 7
    state = own.get_state()
    first = [
        lucid.rand(3, generator=own), lucid.randn(3, generator=own), lucid.randint(0, 9, (3,), generator=own),
        lucid.normal(0.0, 1.0, 3, generator=own), lucid.multinomial(lucid.ones(4), 2, generator=own),
        lucid.bernoulli(lucid.full(3, 0.5), generator=own), lucid.randperm(5, generator=own),
        lucid.poisson(lucid.full(3, 2.5), generator=own), lucid.empty(3).uniform_(generator=own),
        lucid.randint_like(lucid.zeros(3), 9, generator=own),
    ]  # fmt: skip
    lucid.rand(2)  # of the other one
    values = [x.numpy() for x in first]
    own.set_state(state)
    assert (lucid.rand(3, generator=own).numpy() == values[0]).all()
    seed = own.seed()
    assert own.initial_seed() == seed != 7
    assert (pickle.loads(pickle.dumps(own)).get_state() == own.get_state()).all()
    assert (copy.deepcopy(own).get_state() == own.get_state()).all()
    with pytest.raises(AttributeError, match="a Generator"):
        own.nothing  # noqa: B018


def test_the_state_of_the_default_generator() -> None:
    before = lucid.get_rng_state()
    first = lucid.rand(3).numpy()
    lucid.set_rng_state(before)
    assert (lucid.rand(3).numpy() == first).all()
    with random.fork_rng():
        inside = lucid.rand(3).numpy()
    assert (lucid.rand(3).numpy() == inside).all()
    assert lucid.manual_seed(11).initial_seed() == lucid.initial_seed() == random.seed(11) == 11
    assert isinstance(lucid.seed(), int)
    assert lucid.default_generator is random.default_generator


def test_a_generator_draws_as_numpys_do() -> None:
    a, b = random.default_rng(3), random.Generator(3)
    assert (a.normal(1, 2, 4).numpy() == random.normal(1, 2, 4, generator=b).numpy()).all()
    drawn = a.integers(1, 6, 1000, endpoint=True)
    assert set(drawn.tolist()) == {1, 2, 3, 4, 5, 6} and set(a.integers(3, size=100).tolist()) == {0, 1, 2}
    assert a.gamma(2.0, size=(2, 3)).shape == (2, 3) and "gamma" in dir(a)
    assert lucid.randperm(4, dtype=lucid.int32, generator=b).dtype == np.int32
    assert abs(lucid.normal(mean=lucid.zeros(1000), std=1.0).mean().item()) < 0.2


# --- in place -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "median"),
    [
        ("uniform_", (2.0, 4.0), 3.0), ("normal_", (1.0, 2.0), 1.0), ("exponential_", (2.0,), np.log(2) / 2),
        ("cauchy_", (1.0, 0.5), 1.0), ("log_normal_", (0.5, 0.3), np.exp(0.5)), ("geometric_", (0.2,), 4.0),
        ("random_", (0, 1001), 500.0), ("random_", (11,), 5.0), ("bernoulli_", (0.8,), 1.0),
    ],
)  # fmt: skip
def test_tensors_and_parameters_are_drawn_in_place(name: str, given: Any, median: float) -> None:
    lucid.manual_seed(0)
    x = lucid.zeros(4001)
    assert getattr(x, name)(*given) is x
    assert abs(np.median(x.numpy()) - median) < 0.1 * max(median, 1)
    own = [getattr(lucid.zeros(9), name)(*given, generator=lucid.Generator(4)).tolist() for _ in range(2)]
    assert own[0] == own[1]
    p = nn.Parameter(lucid.zeros(5))
    with lucid.no_grad():
        getattr(p, name)(*given)
    assert p.requires_grad and p.is_leaf
    with pytest.raises(RuntimeError, match="no_grad"):
        getattr(p, name)(*given)


def test_whole_numbers_up_to_the_greatest_of_the_dtype() -> None:
    lucid.manual_seed(0)
    for kind, most in (
        ("uint8", 255),
        ("bool", 1),
        ("float16", 2048),
        ("float32", 2**24),
        ("int64", 2**63 - 1),
    ):
        drawn = lucid.empty(5000, dtype=kind).random_().numpy().astype("f8")
        assert 0 <= drawn.min() < 0.01 * most + 1 and 0.99 * most <= drawn.max() <= most


def test_in_place_in_a_compiled_function_draws_anew() -> None:
    state = lucid.zeros(3)

    @lucid.compile
    def f() -> Any:
        state.exponential_()
        return state.sum()

    assert len({f().item() for _ in range(4)}) == 4
