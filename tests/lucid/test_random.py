"""Random numbers from a key and a counter: the same everywhere, new at every call, distributed as said."""

from __future__ import annotations

import copy
import math
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, random
from lucid.compiler.ops import RANDOM_BITS
from lucid.nn import functional as F


@pytest.mark.parametrize(
    ("key", "counter", "word"),
    [
        ((0, 0), (0, 0), 0x6B200159),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), 0x1CB996FC),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), 0xC4923A9C),
    ],
)
def test_bits_are_threefrys(key: tuple[int, int], counter: tuple[int, int], word: int) -> None:
    """The known answers that the authors of Threefry publish."""
    assert RANDOM_BITS.evaluate is not None
    found = RANDOM_BITS.evaluate({}, *[np.array([w], np.uint32) for w in (*key, *counter)])
    assert found.tolist() == [word]


ANYTHING: Any = object()
DRAWS: dict[str, Callable[[], Any]] = {
    "rand": lambda: lucid.rand(40),
    "rand float64": lambda: lucid.rand(40, dtype="float64"),
    "rand float16": lambda: lucid.rand(40, dtype="float16"),
    "randn": lambda: lucid.randn(5, 8),
    "randn float64": lambda: lucid.randn(40, dtype="float64"),
    "randint": lambda: lucid.randint(-3, 9, (40,)),
    "randint, wide": lambda: lucid.randint(-(1 << 63), 1 << 62, (40,)),
    "randint, bytes": lambda: lucid.randint(0, 256, (40,), dtype="uint8"),
    "exponential": lambda: random.exponential(2.0, 40),
    "laplace": lambda: random.laplace(np.zeros(40), 2.0),
    "triangular": lambda: random.triangular(-1.0, 0.0, 3.0, 40, dtype="float16"),
    "bernoulli": lambda: lucid.bernoulli(np.full(40, 0.3, np.float32)),
    "permutation": lambda: random.permutation(40),
    "choice": lambda: random.choice(9, 40),
    "dropout": lambda: F.dropout(np.ones(40, np.float32), 0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_compiled_calls_draw_what_eager_ones_draw(name: str) -> None:
    """Anew at each call, by one trace; from the same state the same."""
    draw = DRAWS[name]
    lucid.manual_seed(11)
    eager = [draw().numpy() for _ in range(4)]
    assert len({a.tobytes() for a in eager}) == 4
    step = lucid.compile(draw)
    lucid.manual_seed(11)
    for want in eager:
        np.testing.assert_array_equal(step().numpy(), want)
    assert step.traces == 1
    lucid.manual_seed(11)
    with lucid.no_grad():
        assert step().numpy().tobytes() == eager[0].tobytes()


def test_draws_between_compiled_calls_go_on() -> None:
    step = lucid.compile(lambda: lucid.rand(3))
    lucid.manual_seed(1)
    mixed = [step().numpy(), lucid.rand(3).numpy(), step().numpy(), lucid.rand(3).numpy()]
    lucid.manual_seed(1)
    for found in mixed:
        np.testing.assert_array_equal(lucid.rand(3).numpy(), found)


def test_a_draw_does_not_depend_on_shape_or_threads() -> None:
    lucid.manual_seed(3)
    flat = lucid.rand(60_000).numpy()
    lucid.manual_seed(3)
    np.testing.assert_array_equal(lucid.rand(200, 300).numpy().ravel(), flat)
    for threads in (1, 2, 3):
        lucid.manual_seed(3)
        np.testing.assert_array_equal(lucid.compile(lambda: lucid.rand(60_000), threads=threads)(), flat)


def test_states_are_saved_and_restored() -> None:
    lucid.manual_seed(7)
    lucid.rand(2)
    state = random.get_state()
    assert state.tolist() == [7, 1]
    first = lucid.randn(4).numpy()
    random.set_state(state)
    np.testing.assert_array_equal(lucid.randn(4).numpy(), first)
    own = random.Generator(7)
    other = pickle.loads(pickle.dumps(own))
    third = copy.deepcopy(own)
    draws = [lucid.rand(3, generator=g).tolist() for g in (own, other, third)]
    assert draws[0] == draws[1] == draws[2]
    for wrong in ([1, 2], np.zeros(3, np.int64), np.zeros(2)):
        with pytest.raises(ValueError, match="a state is an int64 array of 2"):
            random.set_state(np.asarray(wrong, np.int32) if isinstance(wrong, list) else wrong)


def test_a_generator_of_ones_own_in_a_compiled_function() -> None:
    own = random.Generator(5)
    step = lucid.compile(lambda x: x + lucid.rand(2, generator=own))
    found = [step(np.zeros(2, np.float32)).tolist() for _ in range(3)]
    own.manual_seed(5)
    assert found == [lucid.rand(2, generator=own).tolist() for _ in range(3)]


def test_moments_and_ends() -> None:
    lucid.manual_seed(0)
    n = 400_000
    for dtype in ("float16", "float32", "float64"):
        u = lucid.rand(n, dtype=dtype).numpy().astype(np.float64)
        assert 0 <= u.min() < 1e-3 and 0.999 < u.max() < 1
        assert abs(u.mean() - 0.5) < 2e-3 and abs(u.var() - 1 / 12) < 1e-3
        z = lucid.randn(n, dtype=dtype).numpy().astype(np.float64)
        assert abs(z.mean()) < 8e-3 and abs(z.var() - 1) < 1e-2
        assert abs((z**3).mean()) < 3e-2 and abs((z**4).mean() - 3) < 8e-2
        share = [(np.abs(z) < k).mean() for k in (1, 2, 3)]
        np.testing.assert_allclose(share, [0.682689, 0.954500, 0.997300], atol=3e-3)
    counts = np.bincount(lucid.randint(7, size=(n,)).numpy(), minlength=7)
    assert (abs(counts - n / 7) < 5 * (n / 7) ** 0.5).all()
    e = random.exponential(3.0, n).numpy()
    assert abs(e.mean() - 3) < 0.05 and e.min() > 0
    assert abs(lucid.bernoulli(np.full(n, 0.2)).numpy().mean() - 0.2) < 4e-3


LAWS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {  # the draw, its distribution function
    "laplace": (
        lambda n: random.laplace(2.0, 3.0, n),
        lambda x: 0.5 + 0.5 * np.sign(x - 2) * -np.expm1(-abs(x - 2) / 3),
    ),
    "logistic": (lambda n: random.logistic(2.0, 3.0, n), lambda x: 1 / (1 + np.exp((2 - x) / 3))),
    "gumbel": (lambda n: random.gumbel(2.0, 3.0, n), lambda x: np.exp(-np.exp((2 - x) / 3))),
    "lognormal": (
        lambda n: random.lognormal(0.5, 0.7, n),
        lambda x: 0.5 + 0.5 * lucid.erf((np.log(x) - 0.5) / 0.7 / 2**0.5).numpy(),
    ),
    "pareto": (lambda n: random.pareto(3.0, n), lambda x: 1 - (1 + x) ** -3.0),
    "power": (lambda n: random.power(3.0, n), lambda x: x**3),
    "rayleigh": (lambda n: random.rayleigh(2.0, n), lambda x: -np.expm1(-(x**2) / 8)),
    "cauchy": (lambda n: random.standard_cauchy(n), lambda x: 0.5 + np.arctan(x) / np.pi),
    "exponential": (lambda n: random.standard_exponential(n), lambda x: -np.expm1(-x)),
    "weibull": (lambda n: random.weibull(1.5, n), lambda x: -np.expm1(-(x**1.5))),
    "triangular": (
        lambda n: random.triangular(-1.0, 0.0, 3.0, n),
        lambda x: np.where(x < 0, (x + 1) ** 2 / 4, 1 - (3 - x) ** 2 / 12),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_what_is_drawn_has_the_law_of_its_name(name: str) -> None:
    """By the test of Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand times."""
    draw, below = LAWS[name]
    lucid.manual_seed(3)
    n = 20_000
    found = np.sort(draw(n).numpy().astype(np.float64))
    away = np.abs(below(found) - (np.arange(n) + 0.5) / n).max()
    assert away < 1.95 / n**0.5


def test_a_deviation_of_a_compiled_function_is_no_fact() -> None:
    f = lucid.compile(lambda scale: random.normal(0.0, scale, 3))
    f(1.0), f(2.0)
    known = f.traces
    f(3.0), f(0.5)
    assert f.traces == known
    with pytest.raises(ValueError, match="at least 0, not -1"):
        f(-1.0)


def test_parameters_of_laws() -> None:
    wrong: dict[str, Callable[[], Any]] = {
        "pareto: a must be above 0, not 0": lambda: random.pareto(0, 3),
        "weibull: a must be above 0, not -1.0": lambda: random.weibull(np.array([2.0, -1.0])),
        "power: a must be above 0, not nan": lambda: random.power(math.nan, 3),
        "normal: scale must be at least 0, not -1": lambda: random.normal(0, -1, 3),
        "exponential: scale must be at least 0, not -2.0": lambda: lucid.zeros(3).exponential_(-0.5),
        "uniform_: expected from_ <= to, got 1 and 0": lambda: lucid.zeros(3).uniform_(1, 0),
        "laplace: scale must be at least 0, not -1": lambda: random.laplace(0, [1, -1]),
        "triangular: expected left <= mode <= right, got 1, 0, 2": lambda: random.triangular(1, 0, 2, 3),
    }
    for name, draw in wrong.items():
        with pytest.raises(ValueError, match=re.escape(name)):
            draw()
    assert random.triangular([0, 1], [1, 2], [2, 3]).shape == random.laplace([0, 1], 2).shape == (2,)
    assert random.weibull(2.0, 3, dtype="float16").dtype == np.float16

    def f(loc: Any, scale: Any) -> Any:
        lucid.manual_seed(4)
        return (random.laplace(loc, scale) + random.gumbel(loc, scale) + random.weibull(scale)).sum()

    loc, scale = lucid.tensor([0.5, 2.0], dtype="float64"), lucid.tensor([1.5, 0.7], dtype="float64")
    assert lucid.testing.gradcheck(f, (loc, scale))


def test_orders_hold_each_element_once() -> None:
    lucid.manual_seed(2)
    orders = {tuple(random.permutation(4).tolist()) for _ in range(300)}
    assert len(orders) == 24 and all(sorted(o) == [0, 1, 2, 3] for o in orders)
    rows = random.permutation(np.arange(12).reshape(6, 2)).numpy()
    assert sorted(map(tuple, rows.tolist())) == [(2 * k, 2 * k + 1) for k in range(6)]
    assert sorted(random.choice(9, 9, replace=False).tolist()) == [*range(9)]
    assert set(random.choice([10.0, 20.0], 50).tolist()) == {10.0, 20.0}


def test_gradients_flow_through_the_parameters_of_a_distribution() -> None:
    def f(loc: Any, scale: Any) -> Any:
        lucid.manual_seed(4)
        return random.normal(loc, scale, 6).sum()

    lucid.manual_seed(4)
    drawn = lucid.randn(6).numpy().sum()
    by_loc, by_scale = lucid.grad(f, (0, 1))(lucid.Tensor(1.0), lucid.Tensor(2.0))
    assert by_loc.item() == 6
    np.testing.assert_allclose(by_scale.item(), drawn, rtol=1e-6)


def test_dropout() -> None:
    layer = nn.Dropout(0.25)
    lucid.manual_seed(8)
    x = np.ones(10_000, np.float32)
    y = layer(x).numpy()
    assert set(np.unique(y).tolist()) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    lucid.manual_seed(8)
    gradient = lucid.grad(lambda v: layer(v).sum())(lucid.Tensor(x)).numpy()
    np.testing.assert_array_equal(gradient, y)  # the same mask, forward and backward
    assert layer.eval()(x).tolist() == x.tolist()
    assert F.dropout(x, 1.0).numpy().max() == 0 and F.dropout(x, 0.0).tolist() == x.tolist()
    for p in (-0.1, 1.5, float("nan"), ANYTHING):
        with pytest.raises(ValueError, match="dropout: p must be a probability"):
            nn.Dropout(p)


def test_dropout_and_its_layer_are_one_kernel_with_what_is_around() -> None:
    step = lucid.compile(lambda x: (F.dropout(x * 2, 0.5) ** 2).sum())
    step(np.ones(1000, np.float32))
    kernels = step.ir("kernel").split("kernel ")[1:]
    assert sum("random_bits" in k for k in kernels) == 1


def test_threads_draw_apart() -> None:
    lucid.manual_seed(0)
    found: list[bytes] = []

    def draw() -> None:
        for _ in range(50):
            found.append(lucid.rand(4).numpy().tobytes())

    workers = [threading.Thread(target=draw) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(set(found)) == 200
    assert random.get_state().tolist() == [0, 200]


@pytest.mark.parametrize(
    ("draw", "error", "told"),
    [
        (lambda: lucid.randint(3, 3), ValueError, r"no int64 in \[3, 3\)"),
        (lambda: lucid.randint(0, 300, dtype="uint8"), ValueError, "does not hold"),
        (lambda: lucid.rand(2, generator=ANYTHING), TypeError, "lucid.random.Generator"),
        (lambda: random.choice(3, 4, replace=False), ValueError, "4 of 3"),
        (lambda: lucid.bernoulli([1, 0]), TypeError, "probabilities are floats"),
        (lambda: lucid.bernoulli([0.5, 1.5]), ValueError, "from 0 to 1, not 1.5"),
        (lambda: random.permutation(lucid.Tensor(1.0)), ValueError, "has no rows"),
        (lambda: lucid.manual_seed(ANYTHING), TypeError, "seed must be an int, not"),
    ],
)
def test_bad_arguments(draw: Callable[[], Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        draw()


def test_a_first_draw_of_a_process_in_a_compiled_function_draws_anew_at_each_call() -> None:
    text = (
        "import lucid; f = lucid.compile(lambda x: x + lucid.rand(4)); x = lucid.zeros(4)\n"
        "drawn = {tuple(f(x).tolist()) for _ in range(3)} | {tuple(lucid.rand(4).tolist())}\n"
        "print(len(drawn), f.traces)"
    )
    assert subprocess.run([sys.executable, "-c", text], capture_output=True, text=True).stdout == "4 1\n"
