"""Programs of what fewer people look for who come from PyTorch, see `like_torch.py`: methods in place,
special functions, distributions, hooks of leaves and of state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from lucid import orthogonal

from . import layers_like_torch, like_torch
from .like_torch import Program, add, numbers, with_gradients
from .names_like_torch import DISTRIBUTIONS, above, linear

BEFORE = set(like_torch.PROGRAMS)
assert BEFORE > layers_like_torch.NAMES

# --- in place --------------------------------------------------------------------------------------

A, B, V = numbers(1, 3, 3), numbers(2, 3, 3), numbers(3, 3)
WHOLE = np.arange(9).reshape(3, 3)
IN_PLACE: dict[str, tuple[Any, ...]] = {
    "addmm": (B, B), "addmv": (V, V), "addr": (V, V), "absolute": (), "deg2rad": (), "rad2deg": (),
    "conj_physical": (), "nextafter": (B,), "polygamma": (1,), "eq": (A,), "ne": (0,), "lt": (B,), "le": (B,),
    "gt": (B,), "ge": (B,), "less": (0,), "less_equal": (0,), "greater": (0,), "greater_equal": (0,),
    "not_equal": (B,), "logical_and": (B,), "logical_or": (B,), "logical_xor": (B,), "logical_not": (),
    "fill_diagonal": (7.0,), "transpose": (0, 1), "swapaxes": (0, 1), "swapdims": (0, 1), "t": (),
    "unsqueeze": (1,), "put": (WHOLE[:1], V, True), "bitwise_left_shift": (1,), "bitwise_right_shift": (1,),
    "gcd": (WHOLE + 4,), "lcm": (WHOLE + 4,),
}  # fmt: skip


def in_place(name: str) -> Program:
    def program(t: Any) -> Any:
        x = t.tensor(WHOLE if name.startswith(("bitwise", "gcd", "lcm")) else A)
        if name == "addmv":
            x = x[0] * 1
            given = [t.tensor(B), t.tensor(V)]
        else:
            given = [t.tensor(v) if isinstance(v, np.ndarray) else v for v in IN_PLACE[name]]
        assert getattr(x, f"{name}_")(*given) is x
        return [x, [float(n) for n in x.shape]]

    return program


for name in IN_PLACE:
    add(f"in place {name}", in_place(name))


def through_in_place(t: Any) -> Any:
    x = t.tensor(A[:1], requires_grad=True)
    h = x * 2
    h.squeeze_().unsqueeze_(1).transpose_(0, 1)
    (h * h.detach().exp()).sum().backward()
    return [h.detach(), x.grad]


add("in place gradients of shapes", through_in_place)

# --- special functions -----------------------------------------------------------------------------

PLACES = np.array([-30.0, -3.5, -0.5, 0.3, 2.0, 7.5, 25.0])


def of_special(name: str, *given: Any) -> Callable[..., Any]:
    """The function of a module and of x, and of what else is given."""

    def f(t: Any, x: Any) -> Any:
        return getattr(t.special, name)(x, *(t.tensor(y) if isinstance(y, np.ndarray) else y for y in given))

    return f


for name in ("i0e", "i1e", "erfcx", "log_ndtr"):
    add(f"special {name}", with_gradients(of_special(name), PLACES / 3))
for name in ("i0", "i1"):
    add(f"special {name}", with_gradients(of_special(name), PLACES))
PARTS = np.array([1e-200, 1e-9, 0.015, 0.3, 0.5, 0.9, 1 - 1e-9])
add("special ndtri", with_gradients(of_special("ndtri"), PARTS[1:]))
add("special multigammaln", with_gradients(of_special("multigammaln", 3), np.array([1.2, 3.0, 40.0])))
SHAPES, ENDS = np.array([0.3, 0.3, 2.0, 7.0, 7.0, 300.0]), np.array([0.1, 4, 3, 1, 30, 290.0])


def of_gamma(name: str, t: Any) -> Any:
    return getattr(t.special, name)(t.tensor(SHAPES), t.tensor(ENDS))


for name in ("gammainc", "gammaincc"):
    add(f"special {name}", partial(of_gamma, name))
add("special zeta", lambda t: t.special.zeta(t.tensor([1.0, 1.5, 2.0, 9.0]), t.tensor([1.0, 0.3, 7.0, 2.0])))


def of_degrees(name: str, t: Any) -> Any:
    return [getattr(t.special, name)(t.tensor(PLACES / 30), n) for n in (0, 1, 2, 7, -1)]


for name in orthogonal.__all__:
    add(f"special {name}", partial(of_degrees, name))

# --- distributions ---------------------------------------------------------------------------------

U, W, P = above(1, 3), above(2, 3), above(3, 4, 3) / 3.1
MATRICES = numbers(7, 2, 3, 3) @ numbers(7, 2, 3, 3).swapaxes(-2, -1) + np.eye(3)
SHARES = np.array([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]])
_Parts = tuple[Callable[..., Any], tuple[Any, ...], Any]
# A distribution of a module and of tensors, these, and values.
MADE: dict[str, _Parts] = {
    "Kumaraswamy": (lambda d, a, b: d.Kumaraswamy(a, b), (U, W), P),
    "ContinuousBernoulli": (lambda d, p: d.ContinuousBernoulli(p), (np.array([0.1, 0.4999, 0.7]),), P),
    "FisherSnedecor": (lambda d, m, n: d.FisherSnedecor(m, n + 5), (U, W), P * 3),
    "Multinomial": (lambda d, p: d.Multinomial(4, p), (SHARES,), np.array([[1.0, 1, 2], [0, 4, 0]])),
    "Binomial": (lambda d, p: d.Binomial(4, p), (P[0],), np.array([0.0, 1, 4])),
    "Wishart": (lambda d, n, v: d.Wishart(n + 4, v), (U[:2], MATRICES), MATRICES[::-1].copy()),
    "LowRankMultivariateNormal": (
        lambda d, m, f, v: d.LowRankMultivariateNormal(m, f, v), (U, MATRICES[..., :2] * 1, W), P[:2]
    ),
    "RelaxedBernoulli": (lambda d, t, p: d.RelaxedBernoulli(t, p), (np.array(0.7), P[0]), P),
    "RelaxedOneHotCategorical": (
        lambda d, t, p: d.RelaxedOneHotCategorical(t, p), (np.array(0.7), P[:2]), SHARES
    ),
    "LogisticNormal": (lambda d, m, s: d.LogisticNormal(m, s), (U[:2], W[:2]), SHARES),
    "MixtureSameFamily": (
        lambda d, p, m, s: d.MixtureSameFamily(d.Categorical(p), d.Normal(m, s)), (U, U * W, W), P[:, 0]
    ),
    "MixtureSameFamily of vectors": (
        lambda d, p, m: d.MixtureSameFamily(d.Categorical(p), d.Independent(d.Normal(m, 1.5), 1)),
        (SHARES, numbers(5, 2, 3, 4)), numbers(6, 2, 4),
    ),
    "TransformedDistribution": (
        lambda d, m, s: d.TransformedDistribution(
            d.Normal(m, s), [d.AffineTransform(1.0, -2.0), d.SigmoidTransform()]
        ),
        (U, W), P,
    ),
    "TransformedDistribution of vectors": (
        lambda d, m, s: d.TransformedDistribution(d.Normal(m, s), d.StickBreakingTransform()),
        (U[:2], W[:2]), SHARES,
    ),
}  # fmt: skip
COUNTS = {"Multinomial", "Binomial"}


def at_once(t: Any, found: list[Any]) -> Any:
    """All elements, which are read once."""
    return t.cat([x.reshape(-1).to(t.float64) for x in found])


def tried(f: Callable[[], Any]) -> list[Any]:
    """What f gives, unless there is none."""
    try:
        return [f()]
    except NotImplementedError:
        return []


def made(name: str) -> Program:
    def program(t: Any) -> Any:
        make, given, value = MADE[name]
        tensors = [t.tensor(x, requires_grad=True) for x in given]
        x = t.tensor(value, requires_grad=name not in COUNTS)
        p = make(t.distributions, *tensors)
        found = [p.log_prob(x)]
        for f in (p.entropy, lambda: p.mean, lambda: p.variance, lambda: p.icdf(t.tensor(P))):
            found += tried(f)
        if not p.event_shape:
            found += tried(lambda: p.cdf(x))
        sum(part.sum() for part in found).backward()
        shapes = [float(n) for n in (*p.sample((5, 2)).shape, *p.batch_shape, *p.event_shape)]
        shapes += [float(n) for n in p.expand((2, *p.batch_shape)).sample().shape]
        slopes = [y.grad for y in tensors] + ([x.grad] if x.requires_grad else [])
        return [at_once(t, [*(part.detach() for part in found), *slopes]), shapes, float(p.has_rsample)]

    return program


for name in MADE:
    add(f"distributions {name}", made(name))

CUMULATIVE = """Normal Laplace Exponential Gamma Cauchy Gumbel HalfNormal HalfCauchy LogNormal Weibull
    Chi2"""


def cumulative(t: Any) -> Any:
    """All distribution functions, and their inverses."""
    found = []
    for name in CUMULATIVE.split():
        p = getattr(t.distributions, name)(*map(t.tensor, DISTRIBUTIONS[name][0]))
        found += [p.cdf(t.tensor(P * 2)), *tried(partial(p.icdf, t.tensor(P)))]
    found.append(t.distributions.InverseGamma(t.tensor(U), t.tensor(W)).cdf(t.tensor(P * 2)))
    p = t.distributions.Pareto(t.tensor(U / 9), t.tensor(W))
    found += [
        p.cdf(t.tensor(P + 1)),
        p.icdf(t.tensor(P)),
        t.distributions.Uniform(0.0, 2.0).icdf(t.tensor(P)),
    ]
    return at_once(t, [*found, t.distributions.Uniform(0.0, 2.0).cdf(t.tensor(P))])


def supports(t: Any) -> Any:
    d, p = t.distributions, t.tensor(SHARES)
    whole = [d.Bernoulli(p), d.Categorical(p), d.OneHotCategorical(p), d.Binomial(3, p)]
    found = [q.enumerate_support(expand=e) for q in whole for e in (True, False)]
    return [*found, d.Categorical(p).perplexity()]


KINDS = {
    "Normal": (U, W), "Laplace": (U, W), "Uniform": (U / 9, U / 9 + 0.4), "Exponential": (U,),
    "Gamma": (U, W), "Beta": (U, W), "Gumbel": (U, W), "Pareto": (U / 5, W + 2.5),
    "ContinuousBernoulli": (P[0],), "Poisson": (U,), "Bernoulli": (P[0],), "Binomial": (3, P[0]),
    "Chi2": (U,),
}  # fmt: skip


def divergences(name: str, t: Any) -> Any:
    """From one kind to all others for which there is a formula."""
    kinds = {
        kind: getattr(t.distributions, kind)(*(x if isinstance(x, int) else t.tensor(x) for x in given))
        for kind, given in KINDS.items()
    }
    found = []
    for q in kinds.values():
        for part in tried(partial(t.distributions.kl_divergence, kinds[name], q)):
            found.append(t.where(t.isfinite(part), part, -1.0))
    return at_once(t, found)


add("distributions cdf and icdf", cumulative)
add("distributions supports", supports)
for name in KINDS:
    add(f"distributions from {name}", partial(divergences, name))


def changed(t: Any) -> Any:
    d, x, found = t.distributions.transforms, t.tensor(numbers(1, 2, 3), requires_grad=True), []
    for change in (
        d.ExpTransform(), d.AffineTransform(1.5, -2.0),
        d.AffineTransform(t.tensor(U), t.tensor(W), event_dim=1),
        d.SigmoidTransform(), d.TanhTransform(), d.SoftplusTransform(), d.StickBreakingTransform(),
        d.ComposeTransform([d.AffineTransform(t.tensor(U), t.tensor(W)), d.StickBreakingTransform()]),
        d.IndependentTransform(d.ExpTransform(), 1), d.ReshapeTransform((3,), (3, 1)),
        d.ComposeTransform([d.ExpTransform(), d.PowerTransform(t.tensor(0.5))]),
        d.CumulativeDistributionTransform(t.distributions.Normal(t.tensor(U), t.tensor(W))),
    ):  # fmt: skip
        y = change(x)
        found += [y, change.inv(y), change.log_abs_det_jacobian(x, y)]
        found += [change.inv.log_abs_det_jacobian(y, x)]
    lower = d.LowerCholeskyTransform()
    found += [lower(t.tensor(MATRICES)), lower.inv(lower(t.tensor(MATRICES)))]
    sum(part.sum() for part in found[:-2]).backward()
    return at_once(t, [*(part.detach() for part in found), x.grad])


add("distributions transforms", changed)

# --- optimisers of matrices ------------------------------------------------------------------------


def factored(t: Any, **options: Any) -> Any:
    w, b = t.nn.Parameter(t.tensor(numbers(1, 2, 4, 3))), t.nn.Parameter(t.tensor(numbers(2, 3)))
    opt = t.optim.Adafactor([w, b], **options)
    for _ in range(5):
        opt.zero_grad()
        ((w * b + 1) ** 4).sum().backward()
        opt.step()
    return [w.detach(), b.detach()]


add("optim Adafactor", factored)
add("optim Adafactor 1", partial(factored, lr=0.3, weight_decay=0.1, d=1.5))
add("optim Adafactor 2", partial(factored, eps=(1e-3, 0.01), beta2_decay=-0.5, maximize=True))

# --- hooks of leaves and of state ------------------------------------------------------------------


def after_gradients(t: Any) -> Any:
    """A step of an optimiser as soon as a gradient is there."""
    layer, seen = linear(t), []
    optimisers = {p: t.optim.SGD([p], lr=0.1) for p in layer.parameters()}

    def step(p: Any) -> None:
        seen.append(p.grad * 1)
        optimisers[p].step()
        optimisers[p].zero_grad()

    handles = [p.register_post_accumulate_grad_hook(step) for p in layer.parameters()]
    for _ in range(3):
        layer(t.tensor(numbers(4, 2, 3))).square().sum().backward()
    handles[0].remove()
    layer(t.tensor(numbers(4, 2, 3))).square().sum().backward()
    grads = [float(p.grad is None) for p in layer.parameters()]
    return [*(p.detach() for p in layer.parameters()), *sorted(float(g.sum()) for g in seen), *grads]


def of_state(t: Any) -> Any:
    class Counted(t.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.rest = linear(t), t.nn.Sequential(linear(t))
            self.mean = t.nn.Buffer(t.zeros(2))
            self.scratch = t.nn.Buffer(t.zeros(1), persistent=False)
            self.count = 3.0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    net, found, told = Counted(), [], []
    net.rest.register_state_dict_pre_hook(lambda m, prefix, keep: found.append(float(prefix == "rest.")))
    net.rest.register_state_dict_post_hook(lambda m, s, prefix, _: s.update({f"{prefix}more": t.ones(1)}))
    net.register_state_dict_post_hook(lambda m, s, prefix, _: found.append(float("rest.more" in s)))
    state = net.state_dict()
    found += [float(len(state)), float(len(list(net.buffers()))), float(isinstance(net.mean, t.nn.Buffer))]
    found += [float("x.rest.more" in net.state_dict(prefix="x.")), float("scratch" in state)]

    def before(m: Any, s: Any, prefix: str, _: Any, strict: bool, *lists: Any) -> None:
        told.append(float(strict))
        s.pop(f"{prefix}more", None)

    def after(m: Any, keys: Any) -> None:
        told.extend([float(len(keys.missing_keys)), float(len(keys.unexpected_keys))])
        keys.missing_keys.clear()

    net.rest.register_load_state_dict_pre_hook(before)
    net.register_load_state_dict_post_hook(after)
    state["_extra_state"] = {"count": 9.0}
    del state["first.weight"]
    net.load_state_dict(state)
    state["another"] = t.ones(1)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        told.append(float("another" in str(error)))
    return [*found, *told, net.count]


add("hooks after gradients", after_gradients)
add("hooks of state", of_state)

NAMES = set(like_torch.PROGRAMS) - BEFORE

if __name__ == "__main__":
    like_torch.write()
