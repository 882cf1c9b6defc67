"""One op of PyTorch's database: its samples as functions, methods, in place, compiled, with gradients; and
what it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import lucid

from .compare import AGREES, Verdict, call, results_apart, said
from .samples import Unusable, convert, function_of, leaves, method_of, number

VALUES = (torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64)
SLOPES = (torch.float64, torch.complex128)


@dataclass(frozen=True)
class Outcome:
    """What came of one sample in one form."""

    op: str
    form: str  # function, alias, method, in place, compiled, gradient, strided, error
    dtype: str
    sample: str
    kind: str  # agrees, value, dtype, shape, structure, raises, returns, outside
    detail: str


def shown(sample: Any) -> str:
    """A sample in one line."""

    def short(x: Any) -> str:
        if isinstance(x, torch.Tensor):
            return f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
        if isinstance(x, tuple | list):
            return "(" + ", ".join(map(short, x)) + ")"
        return repr(x)

    listed = [short(sample.input), *map(short, sample.args)]
    return ", ".join(listed + [f"{k}={short(v)}" for k, v in sample.kwargs.items()])[:160]


def spread(items: Iterable[Any], most: int) -> list[Any]:
    """At most so many, evenly chosen; the first among them."""
    found = list(items)
    if len(found) <= most:
        return found
    return [found[len(found) * k // most] for k in range(most)]


def samples_of(op: Any, dtype: torch.dtype, grad: bool, most: int) -> list[Any]:
    if dtype not in op.supported_dtypes("cpu"):
        return []
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002  # what the database draws from
    return spread(op.sample_inputs("cpu", dtype, requires_grad=grad), most)


class Trial:
    def __init__(self, op: Any, random: bool, invariant: Callable[[Any], Any] | None) -> None:
        self.op, self.random, self.invariant = op, random, invariant
        self.name = op.name + (f" ({op.variant_test_name})" if op.variant_test_name else "")
        self.function = function_of(op.name)
        self.outcomes: list[Outcome] = []

    def note(self, form: str, dtype: Any, sample: Any, verdict: Verdict) -> None:
        text = sample if isinstance(sample, str) else shown(sample)
        self.outcomes.append(Outcome(self.name, form, str(dtype).removeprefix("torch."), text, *verdict))

    def judge(self, found: Any, error: Exception | None, wanted: Any) -> Verdict:
        if isinstance(error, Unusable):
            raise error
        if isinstance(error, lucid.TraceError):
            return "outside", said(error)
        if error is not None:
            return "raises", said(error)
        if self.random:
            return results_apart(zeros(found), zeros(wanted))
        if self.invariant:
            found, wanted = ([self.invariant([number(x) for x in leaves(y)])] for y in (found, wanted))
        return results_apart(found, wanted)

    def run(self, most: int) -> list[Outcome]:
        if self.function is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for dtype in VALUES:
                    self.values(dtype, most)
                if self.op.supports_autograd and not self.random:
                    for dtype in SLOPES:
                        for sample in samples_of(self.op, dtype, True, most):
                            self.slope(dtype, sample)
                self.errors()
        return self.outcomes

    def values(self, dtype: torch.dtype, most: int) -> None:
        for k, sample in enumerate(samples_of(self.op, dtype, False, most)):
            wanted, refused = call(partial(self.op, sample.input, *sample.args, **sample.kwargs))
            if refused is not None:
                continue
            try:
                self.forms(dtype, sample, wanted, k)
            except Unusable:
                continue

    def forms(self, dtype: torch.dtype, sample: Any, wanted: Any, k: int) -> None:
        assert self.function is not None
        given = convert((sample.input, sample.args, sample.kwargs), {})
        forms: list[tuple[str, Callable[..., Any]]] = [("function", self.function)]
        method = method_of(self.op.name) if self.op.method_variant else None
        if method is not None and isinstance(sample.input, torch.Tensor):
            forms.append(("method", method))
        if k < 2:
            for alias in self.op.aliases:
                other = function_of(alias.name)
                if other is not None:
                    forms.append(("alias", other))
        for form, function in forms:
            found, error = call(partial(function, given[0], *given[1], **given[2]))
            verdict = self.judge(found, error, wanted)
            self.note(form, dtype, sample, verdict)
            if form == "function" and verdict[0] == "raises":
                return
        if k < 4:
            self.note("compiled", dtype, sample, self.compiled(given, wanted))
        if k == 0:
            self.strided(dtype, sample)
            self.in_place(dtype, sample)

    def compiled(self, given: Any, wanted: Any) -> Verdict:
        function = self.function
        assert function is not None

        def whole(x: Any, args: Any, kwargs: Any) -> Any:
            return function(x, *args, **kwargs)

        found, error = call(lambda: lucid.compile(whole)(*given))
        return self.judge(found, error, wanted)

    def strided(self, dtype: torch.dtype, sample: Any) -> None:
        """The same numbers, with gaps between them."""
        apart = sample.noncontiguous()
        wanted, refused = call(lambda: self.op(apart.input, *apart.args, **apart.kwargs))
        if refused is None:
            given = convert((apart.input, apart.args, apart.kwargs), {})
            found, error = call(lambda: self.function(given[0], *given[1], **given[2]))  # type: ignore[misc]
            self.note("strided", dtype, apart, self.judge(found, error, wanted))

    def in_place(self, dtype: torch.dtype, sample: Any) -> None:
        """`x.op_(...)`, where both have it."""
        name = getattr(self.op.inplace_variant, "__name__", "")
        if not hasattr(lucid.Tensor, name or " ") or not isinstance(sample.input, torch.Tensor):
            return
        changed = sample.input.clone()
        wanted, refused = call(lambda: getattr(changed, name)(*sample.args, **sample.kwargs))
        if refused is None:
            x, args, kwargs = convert((sample.input.clone(), sample.args, sample.kwargs), {})
            found, error = call(lambda: getattr(x, name)(*args, **kwargs))
            self.note("in place", dtype, sample, self.judge(found, error, wanted))
            if error is None:
                self.note("in place", dtype, sample, self.judge(x, None, changed))

    def slope(self, dtype: torch.dtype, sample: Any) -> None:
        """Gradients of a weighted sum of the results."""
        given = (sample.input, sample.args, sample.kwargs)
        inputs = [x for x in leaves(given) if isinstance(x, torch.Tensor) and x.requires_grad]
        process = sample.output_process_fn_grad
        try:
            out = process(self.op(sample.input, *sample.args, **sample.kwargs))
            loss = weighted(leaves(out), torch.as_tensor)
            if loss is None or not inputs or not loss.requires_grad:
                return
            wanted = torch.autograd.grad(loss, inputs, allow_unused=True)
        except Exception:
            return

        def ours() -> Any:
            made: dict[int, Any] = {}
            x, args, kwargs = convert(given, made)
            loss = weighted(leaves(process(self.function(x, *args, **kwargs))), lucid.asarray)  # type: ignore[misc]
            if loss is None:
                raise RuntimeError("the loss depends on no tensor with requires_grad")
            loss.backward()
            return [made[id(t)].grad for t in inputs]

        full = [torch.zeros_like(t) if g is None else g for g, t in zip(wanted, inputs, strict=True)]
        try:
            found, error = call(ours)
            if error is not None and "depends on no tensor" in str(error) and not any(g.any() for g in full):
                self.note("gradient", dtype, sample, AGREES)  # it is 0 everywhere, and lucid says so
            elif error is not None:
                self.note("gradient", dtype, sample, self.judge(None, error, wanted))
            else:
                none = [np.zeros(w.shape, number(w).dtype) for w in full]
                found = [n if g is None else g for g, n in zip(found, none, strict=True)]
                self.note("gradient", dtype, sample, results_apart(found, full, noise=1e-12))
        except Unusable:
            return

    def errors(self) -> None:
        """What PyTorch refuses, lucid must refuse, too."""
        if self.op.error_inputs_func is None:
            return
        for wrong in self.op.error_inputs("cpu"):
            sample = wrong.sample_input
            try:
                x, args, kwargs = convert((sample.input, sample.args, sample.kwargs), {})
            except Unusable:
                continue
            assert self.function is not None
            _, error = call(partial(self.function, x, *args, **kwargs))
            verdict = AGREES if error is not None else ("returns", f"PyTorch: {wrong.error_regex!s:.120}")
            if isinstance(
                error, AssertionError | RecursionError | MemoryError | KeyError | UnboundLocalError
            ):
                verdict = ("unclear", said(error))
            self.note("error", "", sample, verdict)


def zeros(results: Any) -> list[Any]:
    return [np.zeros(number(x).shape, number(x).dtype) for x in leaves(results)]


def weighted(results: list[Any], make: Callable[[Any], Any]) -> Any:
    """The sum of all results that gradients flow through, with weights that differ."""
    total = None
    for x in results:
        if not hasattr(x, "requires_grad") or not x.requires_grad:
            continue
        size = int(np.prod(tuple(x.shape)))
        weights = np.cos(np.arange(size) + 0.5).reshape(tuple(x.shape))
        # The imaginary part counts another way, so that no part of a complex derivative cancels.
        term = (x * make(weights)).sum()
        term = term.real + 0.7 * term.imag if "complex" in str(term.dtype) else term
        total = term if total is None else total + term
    return total
