"""Programs of what people who come from PyTorch look for, see `like_torch.py`: hooks and conversions of
modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import like_torch, more_like_torch
from .like_torch import Program, add, numbers, with_gradients

BEFORE = set(like_torch.PROGRAMS)
assert BEFORE > more_like_torch.NAMES

# --- hooks -----------------------------------------------------------------------------------------


def linear(t: Any) -> Any:
    layer = t.nn.Linear(3, 2).to(t.float64)
    layer.load_state_dict({"weight": t.tensor(numbers(1, 2, 3)), "bias": t.tensor(numbers(2, 2))})
    return layer


def hooks_of_tensors(t: Any) -> Any:
    x, w = (t.tensor(numbers(k, 3, 3), requires_grad=True) for k in (1, 2))
    seen: list[Any] = []
    h = x @ w
    h.retain_grad()
    h.register_hook(lambda g: g.clamp(-1, 1))
    h.register_hook(seen.append)
    ended = h.register_hook(lambda g: g * 100)
    w.register_hook(lambda g: g + x.detach())
    ended.remove()
    (h.sin() * h).sum().backward(retain_graph=True)
    (h * h).sum().backward()
    return [x.grad, w.grad, h.grad, *seen, float(h.retains_grad), float(x.retains_grad)]


def hooks_of_modules(t: Any) -> Any:
    x = t.tensor(numbers(3, 4, 3), requires_grad=True)
    net = t.nn.Sequential(linear(t), t.nn.Tanh())
    seen: list[Any] = []
    net[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    net[0].register_forward_pre_hook(lambda m, args: args[0] + 1, prepend=True)
    net[0].register_forward_hook(lambda m, args, out: seen.append(args[0] + 0))
    net[1].register_forward_hook(lambda m, args, out: out * args[0])
    net[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 3 + go[0].sum(),))
    net[0].register_full_backward_hook(lambda m, gi, go: seen.extend([gi[0] + 0, go[0] + 0]))
    net[0].register_full_backward_pre_hook(lambda m, go: (go[0] + 1,))
    with net.register_forward_hook(lambda m, args, out: out * 5):
        first = net(x)
    net(x).sum().backward()
    return [first.detach(), x.grad, net[0].weight.grad, *seen]


def hooks_of_several(t: Any) -> Any:
    class Two(t.nn.Module):  # type: ignore[misc]
        def forward(self, a: Any, b: Any, scale: Any = 1.0) -> Any:
            return a * b * scale, a + b.sin(), b.detach()

    x, y = (t.tensor(numbers(k, 2, 3), requires_grad=True) for k in (1, 2))
    two, seen = Two(), []

    def words(m: Any, args: Any, kwargs: Any) -> Any:
        return args, {"scale": kwargs["scale"] * 2}

    two.register_forward_pre_hook(words, with_kwargs=True)
    two.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs["scale"]), with_kwargs=True)
    two.register_full_backward_hook(lambda m, gi, go: seen.extend([*gi, *(g for g in go if g is not None)]))
    two.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2, gi[1] * go[0]))
    a, b, c = two(x * 1, (x * 1).sin() + y, scale=1.5)
    (a * b * c).sum().backward()
    return [x.grad, y.grad, *seen]


def always(t: Any) -> Any:
    seen: list[float] = []
    layer = linear(t)
    layer.register_forward_hook(lambda m, args, out: seen.append(1.0))
    layer.register_forward_hook(lambda m, args, out: seen.append(2.0), always_call=True)
    try:
        layer(t.tensor(numbers(1, 2, 2)))
    except Exception:
        seen.append(3.0)
    return seen


for program in (hooks_of_tensors, hooks_of_modules, hooks_of_several, always):
    add(f"hooks {program.__name__}", program)


def converted(t: Any) -> Any:
    """In float64 after float32: what was rounded stays so; who holds a parameter sees its new dtype."""
    net = t.nn.Sequential(linear(t), t.nn.BatchNorm1d(2))
    held = net[0].weight
    net.float().double()
    assert held is net[0].weight and held.dtype == net[1].running_mean.dtype == t.float64
    assert net[1].num_batches_tracked.dtype == t.int64
    out = net(t.tensor(numbers(3, 4, 3)))
    out.sum().backward()
    net.half()
    assert held.dtype == held.grad.dtype == t.float16
    return [out.detach(), held.detach().double(), net[1].running_var.double()]


add("modules converted", converted)


def loaded(t: Any) -> Any:
    net = linear(t)
    found = net.load_state_dict({"bias": t.tensor(np.array([5.0, 6.0])), "more": t.tensor(1.0)}, strict=False)
    wrong = {"weight": t.tensor(numbers(1, 3, 3)), "bias": t.tensor(np.zeros(2)), "more": t.tensor(1.0)}
    raised = []
    for strict in (True, False):
        try:
            net.load_state_dict(wrong, strict=strict)
        except RuntimeError as error:
            raised.append(float("weight" in str(error)) + float("more" in str(error)))
    return [net.weight.detach(), len(found.missing_keys), len(found.unexpected_keys), raised]


add("modules loaded", loaded)

# --- choices, products of layers, pools ----------------------------------------------------------------

A, B, ROWS = numbers(1, 2, 4, 4), numbers(2, 2, 4, 3), numbers(3, 2, 3, 6, 5)
for name, f in {
    "take_along_dim": lambda t, a: t.take_along_dim(a, t.tensor([[[0, 2, 2, 1]]]), 1),
    "take_along_dim of all": lambda t, a: t.take_along_dim(a, t.tensor([[3, 0], [31, 5]])),
    "bilinear": lambda t, a: t.nn.functional.bilinear(
        a, a[..., 1:], t.tensor(numbers(4, 5, 4, 3)), t.tensor(numbers(5, 5))
    ),
    "pdist": lambda t, a: t.nn.functional.pdist(a[0]),
    "pdist, p = 3": lambda t, a: t.pdist(a[0], 3.0),
    "solve_triangular": lambda t, a: t.linalg.solve_triangular(a, t.tensor(B), upper=True),
    "solve_triangular from the right": lambda t, a: t.linalg.solve_triangular(
        a, t.tensor(B).mT, upper=False, left=False, unitriangular=True
    ),
    "cholesky_solve": lambda t, a: t.cholesky_solve(t.tensor(B) * a.sum(), t.tril(a)),
    "cholesky_solve upper": lambda t, a: t.cholesky_solve(t.tensor(B), t.triu(a), upper=True),
    "cholesky_inverse": lambda t, a: t.cholesky_inverse(t.tril(a)),
    "cholesky_inverse upper": lambda t, a: t.cholesky_inverse(t.triu(a), upper=True),
    "matrix_exp": lambda t, a: t.matrix_exp(a * t.tensor([[[0.01]], [[3.0]]])),
}.items():
    add(f"linear {name}", with_gradients(f, A))
for name, f in {
    "lp_pool1d": lambda t, x: t.nn.functional.lp_pool1d(x[0].abs(), 3.0, 2),
    "LPPool2d": lambda t, x: t.nn.LPPool2d(2, (2, 3), stride=1)(x),
    "lp_pool3d": lambda t, x: t.nn.functional.lp_pool3d(x, 2.0, 2),
    "max_unpool1d": lambda t, x: t.nn.functional.max_unpool1d(
        *t.nn.functional.max_pool1d(x[0], 2, return_indices=True), 2, output_size=(5,)
    ),
    "MaxUnpool2d": lambda t, x: t.nn.MaxUnpool2d((3, 2))(
        *t.nn.MaxPool2d((3, 2), return_indices=True)(x), output_size=(2, 3, 6, 5)
    ),
    "MaxUnpool3d": lambda t, x: t.nn.MaxUnpool3d(2)(
        *t.nn.MaxPool3d(2, return_indices=True)(x), output_size=(3, 6, 5)
    ),
    "CTCLoss": lambda t, x: t.nn.CTCLoss()(
        x.reshape(6, 6, 5).log_softmax(-1), t.tensor([[1, 2, 2]] * 6),
        t.tensor([6, 6, 5, 6, 4, 6]), t.tensor([3, 2, 1, 0, 2, 1]),
    ),
    "ctc_loss of targets in a row": lambda t, x: t.nn.functional.ctc_loss(
        x.reshape(6, 6, 5).log_softmax(-1), t.tensor([1, 2, 3, 4, 4, 1, 3]), (6,) * 6, (2, 1, 0, 3, 0, 1),
        blank=2 - 2, reduction="none", zero_infinity=True,
    ),
    "ctc_loss without an alignment": lambda t, x: t.nn.functional.ctc_loss(
        x.reshape(6, 6, 5).log_softmax(-1), t.tensor([[3] * 4] * 6), t.tensor([6, 7 - 1, 6, 6, 5, 4]),
        t.tensor([4, 3, 1, 2, 2, 2]), blank=4, reduction="sum", zero_infinity=True,
    ),
    "ctc_loss of one": lambda t, x: t.nn.functional.ctc_loss(
        x[0, 0].log_softmax(-1), t.tensor([1, 1]), t.tensor(6), t.tensor(2)
    ),
}.items():  # fmt: skip
    add(f"layers {name}", with_gradients(f, ROWS))


def windows_overlap(t: Any) -> Any:
    pools = t.nn.functional
    found, where = pools.max_pool2d(t.tensor(ROWS), (3, 2), (2, 1), (1, 0), (1, 2), return_indices=True)
    return [found, where, pools.max_unpool1d(t.tensor([[1.0, 2.0]]), t.tensor([[3, 1]]), 2)]


add("layers max_pool2d with indices", windows_overlap)


def lazily(t: Any) -> Any:
    net = t.nn.Sequential(
        t.nn.LazyConv2d(2, 3), t.nn.LazyBatchNorm2d(), t.nn.Flatten(), t.nn.LazyLinear(out_features=3)
    ).train()
    net(t.tensor(ROWS).to(t.float32))
    shapes = [float(n) for p in net.parameters() for n in p.shape]
    transposed = t.nn.LazyConvTranspose1d(4, 2)
    transposed(t.tensor(ROWS[0, 0]).to(t.float32))
    return [shapes, [float(n) for n in transposed.weight.shape], float(type(net[3]) is t.nn.Linear)]


add("layers that are lazy", lazily)

# --- spectra -----------------------------------------------------------------------------------------

SIGNALS = numbers(6, 2, 50)
WINDOWS: list[dict[str, Any]] = [
    {"n_fft": 16, "window": np.ones(16)},
    {"n_fft": 16, "hop_length": 5, "win_length": 12, "window": np.hanning(12)},
    {"n_fft": 16, "normalized": True, "center": False, "window": np.ones(16)},
    {"n_fft": 16, "onesided": False, "pad_mode": "constant", "window": np.ones(16)},
    {"n_fft": 15, "hop_length": 4, "pad_mode": "replicate", "window": np.ones(15)},
]  # fmt: skip
for number, given in enumerate(WINDOWS):

    def spectra(t: Any, x: Any, given: dict[str, Any] = given) -> Any:
        options = {k: t.tensor(v) if k == "window" else v for k, v in given.items()}
        return t.view_as_real(t.stft(x, return_complex=True, **options))

    def back(t: Any, x: Any, given: dict[str, Any] = given, length: Any = 55 if number % 2 else None) -> Any:
        options = {k: t.tensor(v) if k == "window" else v for k, v in given.items()}
        found = t.stft(x, return_complex=True, **options)
        options.pop("pad_mode", None)
        return t.istft(found * (0.5 + found.abs()), length=length, **options)

    add(f"stft {number}", with_gradients(spectra, SIGNALS))
    add(f"istft {number}", with_gradients(back, SIGNALS))


def of_complex_signals(t: Any) -> Any:
    x = t.complex(*(t.tensor(part) for part in SIGNALS))
    found = t.stft(x, 8, window=t.hann_window(8, dtype=t.float64))
    again = t.istft(found, 8, window=t.hann_window(8, dtype=t.float64), onesided=False, return_complex=True)
    parts = t.stft(t.tensor(SIGNALS), 8, return_complex=False, center=False)
    return [t.view_as_real(found), t.view_as_real(again), parts]


add("stft of complex signals", of_complex_signals)

# --- distributions -----------------------------------------------------------------------------------


def above(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).uniform(0.3, 3, size=shape)


_A, _B = numbers(7, 2, 3, 3), numbers(8, 3, 3)
_C, _D = _A @ _A.swapaxes(-2, -1) + np.eye(3), _B @ _B.T + np.eye(3)
# Parameters, other ones, and values.
DISTRIBUTIONS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...], Any]] = {
    "Normal": ((numbers(1, 3), above(1, 3)), (numbers(2, 3), above(2, 3)), numbers(3, 4, 3)),
    "Laplace": ((numbers(1, 3), above(1, 3)), (numbers(2, 3), above(2, 3)), numbers(3, 4, 3)),
    "Uniform": ((above(1, 3), above(2, 3) + 6), (above(1, 3) / 9, above(2, 3) + 7), above(3, 4, 3) + 3),
    "Exponential": ((above(1, 3),), (above(2, 3),), above(3, 4, 3)),
    "Gamma": ((above(1, 3), above(2, 3)), (above(3, 3), above(4, 3)), above(5, 4, 3)),
    "Beta": ((above(1, 3), above(2, 3)), (above(3, 3), above(4, 3)), above(5, 4, 3) / 3.1),
    "Dirichlet": ((above(1, 2, 3),), (above(2, 2, 3),), np.array([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]])),
    "Bernoulli": ((above(1, 3) / 3.1,), (above(2, 3) / 3.1,), np.array([0.0, 1.0, 1.0])),
    "Poisson": ((above(1, 3),), (above(2, 3),), np.array([0.0, 3.0, 8.0])),
    "Categorical": ((above(1, 2, 4),), (above(2, 2, 4),), np.array([[0, 1], [2, 3]])),
    "MultivariateNormal": ((numbers(1, 2, 3), _C), (numbers(2, 3), _D), numbers(3, 5, 2, 3)),
    "StudentT": ((above(1, 3) + 5, numbers(2, 3), above(3, 3)), (above(2, 3),), numbers(3, 4, 3)),
    "Cauchy": ((numbers(1, 3), above(1, 3)), (numbers(2, 3), above(2, 3)), numbers(3, 4, 3)),
    "Gumbel": ((numbers(1, 3), above(1, 3)), (numbers(2, 3), above(2, 3)), numbers(3, 4, 3)),
    "Chi2": ((above(1, 3),), (above(2, 3),), above(3, 4, 3)),
    "InverseGamma": ((above(1, 3) + 5, above(2, 3)), (above(3, 3), above(4, 3)), above(5, 4, 3)),
    "HalfNormal": ((above(1, 3),), (above(2, 3),), above(3, 4, 3)),
    "HalfCauchy": ((above(1, 3),), (above(2, 3),), above(3, 4, 3)),
    "LogNormal": ((numbers(1, 3), above(1, 3) / 4), (numbers(2, 3), above(2, 3)), above(3, 4, 3)),
    "Pareto": ((above(1, 3), above(2, 3) + 6), (above(1, 3) / 9, above(2, 3)), above(3, 4, 3) + 3),
    "Weibull": ((above(1, 3), above(2, 3)), (above(3, 3), above(4, 3)), above(5, 4, 3)),
    "Geometric": ((above(1, 3) / 3.1,), (above(2, 3) / 3.1,), np.array([0.0, 1.0, 4.0])),
    "NegativeBinomial": ((above(2, 3), above(1, 3) / 3.1), (above(1, 3),), np.array([0.0, 1.0, 4.0])),
    "OneHotCategorical": ((above(1, 2, 3),), (above(2, 2, 3),), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])),
}
NO_DIVERGENCE = {"StudentT", "Chi2", "InverseGamma", "HalfCauchy", "Weibull", "NegativeBinomial"}
NO_MOMENTS = {"Categorical", "Cauchy", "HalfCauchy"}
COUNTS = {"Bernoulli", "Poisson", "Categorical", "Geometric", "NegativeBinomial", "OneHotCategorical"}


def distribution(name: str) -> Program:
    def program(t: Any) -> Any:
        given, other, value = DISTRIBUTIONS[name]
        tensors = [t.tensor(x, requires_grad=True) for x in given]
        x = t.tensor(value, requires_grad=name not in COUNTS)
        make = getattr(t.distributions, name)
        p, found = make(*tensors), []
        found.append(p.log_prob(x))
        if name not in NO_DIVERGENCE:
            found.append(t.distributions.kl_divergence(p, make(*map(t.tensor, other))))
        found += [] if name in ("Poisson", "NegativeBinomial") else [p.entropy()]
        found += [] if name in NO_MOMENTS else [p.mean, p.variance, p.stddev]
        sum(part.sum() for part in found).backward()
        drawn = p.sample((5, 2))
        shapes = [float(n) for n in (*drawn.shape, *p.batch_shape, *p.event_shape)]
        slopes = [y.grad for y in tensors] + ([x.grad] if x.requires_grad else [])
        return [*(part.detach() for part in found), *slopes, shapes, float(drawn.requires_grad)]

    return program


for name in DISTRIBUTIONS:
    add(f"distributions {name}", distribution(name))


def of_logits(t: Any) -> Any:
    of, logits = t.distributions, t.tensor(numbers(1, 2, 3), requires_grad=True)
    parts = [of.Bernoulli(logits=logits).log_prob(t.tensor(1.0)), of.Categorical(logits=logits).entropy()]
    parts.append(of.Categorical(logits=logits).log_prob(t.tensor([[2, 0], [1, 1], [0, 2]])))
    parts.append(of.Bernoulli(logits=logits * 100).entropy())
    sum(p.sum() for p in parts).backward()
    mean, precision = t.tensor(numbers(2, 3)), t.tensor(_D)
    for options in ({"precision_matrix": precision}, {"scale_tril": t.linalg.cholesky(precision)}):
        p = of.MultivariateNormal(mean, **options)
        parts += [p.log_prob(mean * 2), p.covariance_matrix, p.precision_matrix]
    parts.append(of.Normal(0.5, 2.0).cdf(t.tensor([-1.0, 0.5, 3.0])))
    parts.append(of.Uniform(0.0, 1.0).entropy())
    return [*(p.detach() for p in parts), logits.grad]


add("distributions of logits and of matrices", of_logits)

NAMES = set(like_torch.PROGRAMS) - BEFORE

if __name__ == "__main__":
    like_torch.write()
