"""`compiled.certify`: bounds that hold, are not far from what is measured, and say what they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import lucid
from benchmarks.certify import CASES, case
from lucid.compiler import ops
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.types import DTYPES
from lucid.compiler.ops import REGISTRY
from lucid.engine import build
from lucid.testing.chains import Chain, chains, steps
from lucid.testing.span_sums import _node, _running, _tree, spans, two_product
from lucid.testing.spans import Exact, Rounded, Span, down, up
from lucid.testing.traced import traced

pytestmark = pytest.mark.table

FLOATS = ("float16", "float32", "float64")


def _some(names: Iterable[str], quick: set[str]) -> list[Any]:
    """Those of which each run of the tests tries float32; `make sweep` tries all."""
    return [
        pytest.param(name, dtype, marks=() if name in quick and dtype == "float32" else pytest.mark.sweep)
        for name in names
        for dtype in FLOATS
    ]


@pytest.mark.parametrize(
    ("name", "dtype"), _some(CASES, {"huber_loss", "softmax", "layer_norm, gradient", "x @ y"})
)
def test_what_is_computed_is_within_the_bound(name: str, dtype: str) -> None:
    f, args = case(name, dtype, np.random.default_rng(0), 200)
    for output in lucid.compile(f).certify(*args).outputs:
        assert output.violations == 0, output
        assert np.isfinite(output.bound).all(), output


LONGEST = tuple(kind(lambda node, count: Chain(count, 0)) for kind in (Exact, Rounded))
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-7, 65504.0, 6e-8, -6e-8, 0.5, np.pi, 1.4616, np.inf]
UNARY_AND_BINARY = [
    name
    for name, op in REGISTRY.items()
    if op.kind == "elementwise" and "f" in op.kinds and name not in ("cast", "where")
]


@pytest.mark.parametrize(("name", "dtype"), _some(UNARY_AND_BINARY, {"exp", "pow", "div", "max", "eq"}))
def test_each_op_lies_in_the_span_of_its_computed_values(name: str, dtype: str) -> None:
    op, rng = REGISTRY[name], np.random.default_rng(1)
    low, high = op.domain
    arrays = [
        np.concatenate([rng.uniform(low, high, 500), rng.permutation(SPECIAL)]).astype(dtype)
        for _ in op.samples[0].shapes
    ]
    kind = next(d for d in DTYPES.values() if d.numpy == dtype)
    leaves = tuple(ops.INPUT(name=f"x{k}", dtype=kind, shape=a.shape) for k, a in enumerate(arrays))
    graph = Graph(name, leaves, (op(*leaves),))
    got = build(graph)(arrays)[0].astype(np.float64)
    exact, rounded = (spans(graph, arrays, mode)[graph.outputs[0]] for mode in LONGEST)
    known = ~np.isnan(rounded.lo.astype(np.float64))
    assert known[:500].mean() > 0.7
    assert ((rounded.lo <= got) & (got <= rounded.hi))[known].all()
    wide = op.evaluate({}, *(a.astype(np.float64) for a in arrays)) if op.evaluate is not None else got
    assert ((exact.lo <= wide) & (wide <= exact.hi))[~np.isnan(exact.lo.astype(np.float64))].all()


@pytest.mark.parametrize("name", UNARY_AND_BINARY)
def test_the_span_of_an_interval_holds_what_points_in_it_give(name: str) -> None:
    """x * (1 + y) of a rounded y: an interval of several ulp, and 50 numbers of it."""
    op, rng = REGISTRY[name], np.random.default_rng(2)
    middles = [rng.uniform(*op.domain, 300) for _ in op.samples[0].shapes]
    radius = 10.0 ** rng.uniform(-7, 0.3, 300)
    kind = DTYPES["f64"]
    leaves = tuple(ops.INPUT(name=f"x{k}", dtype=kind, shape=(300,)) for k in range(len(middles)))
    node = op(*leaves)
    ends = [Span(m - radius, m + radius) for m in middles]
    for mode in LONGEST:
        with np.errstate(all="ignore"):
            found = _node(node, ends, mode)
        known = ~np.isnan(found.lo.astype(np.float64))
        for _ in range(50):
            inside = [m + radius * rng.uniform(-1, 1, 300) for m in middles]
            value = op.evaluate({}, *inside)  # type: ignore[misc]
            assert ((found.lo <= value) & (value <= found.hi))[known].all()


def test_a_comparison_that_may_flip_takes_both_sides() -> None:
    def step(x: lucid.Tensor) -> lucid.Tensor:
        return lucid.where(lucid.exp(x) > 1.5, 10.0, 20.0)

    x = np.array([0.0, np.log(1.5), 1.0], "float32")
    (output,) = lucid.compile(step).certify(x).outputs
    assert output.bound == pytest.approx([0, 10, 0])


def test_an_index_that_depends_on_rounding_has_no_bound_and_says_why() -> None:
    def pick(x: lucid.Tensor) -> lucid.Tensor:
        return x[lucid.argsort(lucid.exp(x))]

    (output,) = lucid.compile(pick).certify(np.array([0.5, 0.25], "float32")).outputs
    assert np.isinf(output.bound).all()
    assert "no bound: nothing is known of `" in str(output)


def test_the_text_names_the_step_that_costs_most() -> None:
    def unstable(x: lucid.Tensor) -> lucid.Tensor:
        big = x + 1000.0
        return big - 1000.0

    certificate = lucid.compile(unstable).certify(np.array([0.123456], "float32"))
    (output,) = certificate.outputs
    assert output.measured[0] > 1e-6
    assert output.bound[0] >= output.measured[0]
    line = unstable.__code__.co_firstlineno + 1
    assert f"test_certify.py:{line} contributes" in str(certificate)


def test_numbers_that_are_keywords_and_complex_results() -> None:
    def scaled(z: lucid.Tensor, *, by: float) -> lucid.Tensor:
        return z * by

    (output,) = lucid.compile(scaled).certify(np.array([1 + 2j], "complex64"), by=0.1).outputs
    assert output.bound.shape == (1, 2)
    assert (output.measured <= output.bound).all()
    assert output.violations == 0


def test_what_changes_tensors_has_no_certificate() -> None:
    state = lucid.tensor([1.0])

    @lucid.compile
    def step(x: lucid.Tensor) -> lucid.Tensor:
        state[...] = state + x
        return state * 2

    with pytest.raises(ValueError, match="changes what it finds"):
        step.certify(np.array([1.0], "float32"))


def test_it_is_seen_when_a_kernel_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that is off by 4 units in the last place is beyond the bound."""
    known = traced

    def off(f: object, args: tuple[object, ...]) -> object:
        call = known(f, args)  # type: ignore[arg-type]
        (result,) = call.results
        return replace(call, results=(replace(result, array=result.array * np.float32(1 + 5e-7)),))

    monkeypatch.setattr("lucid.testing.certificates.traced", off)
    x = np.linspace(1, 2, 50, dtype="float32")
    (output,) = lucid.compile(lucid.tanh).certify(x).outputs
    assert output.violations > 25


def _walked(x: np.ndarray[Any, Any], lanes: int) -> np.float32:
    """A sum in float32 as `chains.steps` counts it: lanes along all terms, then halving."""
    turns = np.zeros((-(-x.size // lanes), lanes), "float32")
    turns.reshape(-1)[: x.size] = x.reshape(-1)
    lane = turns[0]
    for turn in turns[1:]:
        lane = lane + turn
    while lane.size > 1:
        lane = lane[: lane.size // 2] + lane[lane.size // 2 :]
    return np.float32(lane[0])


@pytest.mark.parametrize("shape", [(3,), (64,), (1000,), (8192,), (40, 50), (5, 6, 7)])
def test_sums_are_walks_where_a_certificate_says_so(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).lognormal(size=shape).astype("float32")
    call = traced(lambda x: x.sum(), (x,))
    (chain,) = chains(call.executable).values()
    assert chain.walk == 64
    assert chain.longest == max(steps(x.size, 64))
    assert call.results[0].array == _walked(x, chain.walk)


def test_products_are_walks_where_a_certificate_says_so() -> None:
    """Of numbers of 12 bits: their products are exact."""
    a, b = (np.random.default_rng(k).integers(1, 4096, (9, 250)).astype("float32") for k in range(2))
    call = traced(lambda a, b: a @ b.T, (a, b))
    (chain,) = chains(call.executable).values()
    assert chain.walk == 4
    assert chain.longest == max(steps(250, 4))
    assert [[_walked(x * y, 4) for y in b] for x in a] == call.results[0].array.tolist()


def dotted(x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
    return x @ y.T


# Sums whose order is known: the bound of given numbers is what was rounded off, or nearly.
EXACT: dict[str, Callable[..., lucid.Tensor]] = {
    "mean": lambda x, y: x.mean(),
    "mse_loss": lambda x, y: lucid.nn.functional.mse_loss(x, y),
    "rows": lambda x, y: x.sum(axis=1),
    "columns of a transpose": lambda x, y: x.T.sum(axis=0),
    "cumsum": lambda x, y: x.cumsum(axis=1),
    "x @ y.T": dotted,
    "x @ vector": lambda x, y: x @ y[0],
    "products of formulas": lambda x, y: (lucid.exp(x) + 1) @ lucid.tanh(y).T,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXACT)
def test_a_sum_in_a_known_order_is_bounded_by_what_it_rounds_off(name: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    x, y = (rng.normal(size=(40, 150)).astype(dtype) for _ in range(2))
    (output,) = lucid.compile(EXACT[name]).certify(x, y, causes=False).outputs
    assert output.violations == 0
    if dtype == "float32" and "formulas" not in name:
        assert np.nanmedian(output.ratio) < 1.1


def test_another_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate adds as the kernel does: with other lanes its bounds are not those of the result."""
    x = np.random.default_rng(6).normal(size=5000).astype("float32")
    total = lucid.compile(lambda x: x.sum())
    assert total.certify(x).outputs[0].violations == 0
    monkeypatch.setattr("lucid.compiler.order.LANES", {4: 32, 8: 16})
    assert total.certify(x).outputs[0].violations == 1


def test_sums_rounded_to_one_side_hold_the_exact_one() -> None:
    rng = np.random.default_rng(7)
    for count in (1, 2, 3, 7, 100, 501):
        x = rng.normal(size=count) * 10.0 ** rng.integers(-20, 20, count)
        x = np.concatenate([x, -x[: count // 2] * (1 + 1e-15)])
        exact = sum(map(Fraction, x.tolist()))
        low, high = (Fraction(float(_tree(x, (0,), t))) for t in (down, up))
        assert low <= exact <= high
        assert high - low <= Fraction(np.spacing(abs(float(exact)))) * 3
        total = Fraction(0)
        for term, below, above in zip(x.tolist(), _running(x, 0, down), _running(x, 0, up), strict=True):
            total += Fraction(term)
            assert Fraction(float(below)) <= total <= Fraction(float(above))


def test_a_reference_in_float64_is_rounded_where_its_span_is_not() -> None:
    """107 equal terms: NumPy's running sum in float64 ends 1.8e-15 beside the span, which is rounded once."""
    x = np.zeros(231, np.float32)
    x[np.random.default_rng(0).permutation(231)[:124]] = 1
    f = lucid.compile(lambda x: lucid.cumsum(lucid.log10(lucid.clip(x, 0.938, 3.562))))
    (output,) = f.certify(lucid.tensor(x)).outputs
    assert output.violations == 0 and (output.measured <= output.bound).all()


def test_products_are_taken_apart_exactly() -> None:
    a, b = np.random.default_rng(8).normal(size=(2, 500)) * 1e30
    value, rest = two_product(a, b, "i,i->i")
    for x, y, p, r in zip(a.tolist(), b.tolist(), value.tolist(), rest.tolist(), strict=True):
        assert Fraction(x) * Fraction(y) == Fraction(p) + Fraction(r)


def test_a_quotient_by_zero_has_no_bound() -> None:
    """In 40 digits it raised."""
    x = np.array([0.0, 1.0])
    (one,) = lucid.compile(lambda x: x / x).certify(x).outputs
    assert np.isinf(one.bound[0]) and one.bound[1] < 1e-15 and not one.violations


def test_bounds_of_gradients_of_float64_are_near_their_errors() -> None:
    """Exact values had intervals of float64, as wide as those of rounded ones: 260 times what is measured."""
    pytest.importorskip("mpmath")
    x = np.random.default_rng(0).normal(size=(4, 50))
    f = lucid.compile(lucid.grad(lambda x: (lucid.softmax(x, axis=1) ** 2).sum()))
    (one,) = f.certify(x, causes=False).outputs
    assert not one.violations and np.nanmedian(one.ratio) < 100


SIGNS: tuple[Any, ...] = (
    lambda x: lucid.signbit(x / 2),
    lambda x: lucid.copysign(lucid.full_like(x, 2), x / 2),
    lambda x: lucid.arctan2(x / 2, lucid.full_like(x, -2)),
    lambda x: (x / 2) ** -1.0,
    lambda x: 1 / (x / 2),
)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("number", range(len(SIGNS)))
def test_the_sign_of_a_zero_is_not_known(number: int, dtype: str) -> None:
    """Numbers have none; the certificate took 0 for it, and was violated by -0."""
    f = lucid.compile(SIGNS[number])
    for value in (-0.0, 0.0, -1.5, 3.0):
        (one,) = f.certify(np.array(value, dtype)).outputs
        assert not one.violations
        certain = one.bound.item() < 1e-3
        assert certain == (value != 0), str(one)
