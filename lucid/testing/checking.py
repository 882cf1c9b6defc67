"""`check`: one function, compiled, uncompiled, in float64, and beside a reference of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, toposort
from lucid.compiler.ir.types import DType, f64, from_numpy
from lucid.compiler.passes.pairs import pairs

from ..errors import here, public
from ..tensor import Tensor
from .bits import plain, ulps
from .blame import agrees, first_kernel, first_op, kernel_of, line, losing_step, relative, within, wrong_slope
from .bounds import Array, Running, distance, in_float64, running, widened
from .traced import (
    Result,
    Traced,
    as_arrays,
    as_tensors,
    float_arguments,
    loss_of,
    name_of,
    named_leaves,
    traced,
)

# What float64 may lose, as a part of the largest value, before two formulas count as two functions.
NOISE = 1e-9


class CheckError(AssertionError):
    """What `check` has found to be wrong."""


@data
class Checked:
    """One output or gradient. `error`: the largest distance from float64, `bound`: the largest that is
    allowed (inf: there is none), both in units in the last place; `exact`: it has NumPy's bits, as it
    must."""

    name: str
    type: str
    error: float
    bound: float
    exact: bool

    def __str__(self) -> str:
        if self.exact:
            return f"{self.name}: {self.type}, NumPy's bits; {self.error:.3g} ulp from float64"
        bound = f"{self.bound:.3g}" if np.isfinite(self.bound) else "no bound"
        return f"{self.name}: {self.type}, {self.error:.3g} ulp from float64 (allowed: {bound})"


@data
class Report:
    """What `check` has compared: `outputs`, and in words what it could not compare. Its text is a table."""

    name: str
    outputs: tuple[Checked, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.outputs)} results agree"]
        lines += [f"  {o}" for o in self.outputs] + [f"  note: {n}" for n in self.notes]
        return "\n".join(lines)


@public
def check(
    f: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    grad: bool = True,
    rtol: float | None = None,
    differences: bool = True,
) -> Report:
    """Whether `f(*args)`, compiled, is what it should be: each element of each output and of each gradient.

    `f` is a function of tensors or arrays that changes nothing (no training step, no random numbers),
    `args` what it is called with: tensors and arrays of any dtype and shape, numbers, and structures of
    them. It returns a tensor, or a structure of tensors. Compared are

    - `lucid.compile(f)` and `f` uncompiled with the graph of `f` run by NumPy op by op: bit for bit where
      lucid promises that, else in float64, each element within an error bound that is propagated through
      the graph;
    - the gradients of a weighted sum of all float outputs by the positional float arguments, in the same
      way, and in float64 with finite differences (`grad=False` leaves gradients out);
    - `f` in float64 with `reference(*args)`, which gets NumPy arrays (floats as float64) and returns arrays
      of the same structure; by default that is `f` itself, run by NumPy, where it takes arrays and gives
      arrays;
    - the result with float64 once more, whatever the bound: it must have half of the digits of its dtype
      (`rtol`, by default the square root of the machine epsilon: 3e-4 for float32), as a part of the
      largest element. So a formula that is right but unstable is found, and the step that loses the digits
      is named.

    Returns a Report, whose text is a table. Raises CheckError (an AssertionError) with one message: what
    differs, the worst element and both values, their distance in ulp and what is allowed, and the first op,
    user's line and kernel where they part. ValueError if `f` changes tensors; what `f` raises itself.
    """
    return compared(f, args, reference, grad, rtol, differences)


def compared(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    reference: Callable[..., Any] | None,
    grad: bool,
    rtol: float | None,
    differences: bool,
) -> Report:
    """See `check`."""
    name = name_of(f)
    forward = Side(f, args, name, rtol)
    checked, notes = forward.compare(), list[str]()
    notes += forward.against(reference, args)
    forward.stable()
    places = float_arguments(args)
    differentiable = any(
        isinstance(v, Tensor) and v.is_floating_point() and v.size
        for _, v in named_leaves(f(*as_tensors(args)))
    )
    if grad and places and differentiable:
        loss = loss_of(f)
        derive = lucid.grad(loss, argnums=places)
        names = [f"gradient by argument {k}" for k in places]
        backward = Side(derive, args, f"the gradient of {name}", rtol, names)
        checked += backward.compare()
        sizes = [float(np.max(np.abs(plain(args[k])), initial=0.0)) for k in places]
        backward.stable(forward.largest() / max([s for s in sizes if np.isfinite(s) and s] or [1.0]))
        if differences:
            notes += _slopes(loss, backward, args, places, name)
    return Report(name, tuple(checked), tuple(notes))


class Side:
    """A function that was compiled and called, with the running error bounds of its graph."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        name: str,
        rtol: float | None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.f, self.args, self.name, self.rtol = f, args, name, rtol
        self.traced: Traced = traced(f, args)
        results = self.traced.results
        self.names = list(names) if names is not None else [r.name for r in results]
        self.graph, self.inputs = real(self.traced)
        self.found = running(self.graph, self.inputs)

    def of(self, result: Result, array: Array | None = None) -> Running:
        """What is known of a result; of an argument as it was, that it is `array` (by default, itself)."""
        if result.output >= 0:
            return self.found[self.graph.outputs[result.output]]
        own = self.view(result.array if array is None else array)
        return Running(own, widened(own, from_numpy(own.dtype)), np.zeros(own.shape), True)

    def compare(self) -> list[Checked]:
        """Compiled and uncompiled against NumPy and float64. CheckError where one is wrong."""
        lazily = [plain(v) for _, v in named_leaves(self.f(*as_tensors(self.args))) if isinstance(v, Tensor)]
        checked = []
        for label, result, lazy in zip(self.names, self.traced.results, lazily, strict=True):
            value = self.of(result, lazy)
            for way, array in (("compiled", result.array), ("uncompiled", lazy)):
                got = self.view(array)
                if not within(got, value):
                    raise self._wrong(f"{label}, {way},", got, value)
            checked.append(summary(label, result.array, self.view(result.array), value))
        return checked

    def stable(self, scale: float = 0.0) -> None:
        """CheckError where a result has too few digits. `scale`: its size, where it may be 0 but for
        rounding."""
        for label, result in zip(self.names, self.traced.results, strict=True):
            self._stable(label, self.view(result.array), self.of(result), scale)

    def view(self, array: Array) -> Array:
        """A result as the graph has it: complex numbers as pairs, if they are pairs there."""
        return parts(array) if self.graph is not self.traced.graph else array

    def largest(self) -> float:
        """The largest finite value among results of floats."""
        values = [x for r in self.traced.results if (x := self.of(r).exact).dtype.kind == "f"]
        return max((float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in values), default=0.0)

    def _wrong(self, what: str, got: Array, value: Running) -> CheckError:
        where = first_op(self.graph, self.found)
        kernel = first_kernel(self.traced.executable)
        found = [f"first to differ: {where}"] if where else []
        found += [f"first to differ: {kernel}"] if kernel else []
        if not found:
            found = ["no op and no kernel differs alone: look at how they are put together (f.explain())"]
        wanted, name = (value.own, "NumPy") if value.same else (value.exact, "NumPy in float64")
        return _error(self.name, f"{what} is not what NumPy computes", got, wanted, name, value, found)

    def _stable(self, label: str, array: Array, value: Running, scale: float) -> None:
        if value.own.dtype.kind not in "fcV":
            return
        dtype = from_numpy(value.own.dtype).part
        limit = self.rtol if self.rtol is not None else dtype.epsilon**0.5
        off = relative(array, value.exact, max(scale, _noise(value, dtype)))
        if not off > limit:
            return
        found = losing_step(self.graph, self.found, limit)
        lines = ["every step is rounded as it should be: it is the formula that is unstable here"]
        if found is not None:
            node, what = found
            kernel = kernel_of(self.traced.executable, node)
            lines.append(f"{line(node)} {what}" + (f" (in kernel {kernel})" if kernel else ""))
        digits = f"is off by {off:.1e} of its largest value, more than {limit:.1e}"
        if np.isinf(off):
            digits = f"is no number in {dtype.numpy}, where in float64 it is one"
        raise _error(self.name, f"{label} {digits}", array, value.exact, "float64", value, lines)

    def against(self, reference: Callable[..., Any] | None, args: tuple[Any, ...]) -> list[str]:
        """The function in float64 against NumPy. What could not be compared, in words."""
        wanted, why = _by_numpy(self.f if reference is None else reference, args, reference is not None)
        if wanted is None:
            return [why]
        names = [r.name for r in self.traced.results]
        other = [n for n in names if n not in wanted]
        other += [n for n, v in wanted.items() if n not in names and isinstance(v, np.ndarray)]
        if other:
            if reference is None:
                return ["run by NumPy it returns something else: give reference="]
            raise CheckError(
                here(
                    f"check of {self.name}: it has {len(names)} outputs, the reference {len(wanted)}: "
                    f"{', '.join(other)} {'is' if len(other) == 1 else 'are'} not in both"
                )
            )
        who = "the reference" if reference is not None else f"{self.name}, run by NumPy"
        for result in self.traced.results:
            value = self.of(result)
            want = self.view(np.asarray(wanted[result.name]))
            if want.shape != value.exact.shape:
                raise CheckError(
                    here(
                        f"check of {self.name}: {result.name} has shape {value.exact.shape}, "
                        f"that of {who} {want.shape}"
                    )
                )
            finite = np.abs(np.where(np.isfinite(value.exact), value.exact, 0)).astype(np.float64)
            allowed = NOISE * float(np.max(finite, initial=0.0)) + 1e-3 * np.where(
                np.isfinite(value.error), value.error, 0.0
            )
            if reference is None:  # what it casts to less than float64 is rounded there
                allowed = allowed + value.error
            if not np.all(distance(want, value.exact) <= allowed):
                lines = [
                    "lucid, compiled and not, agrees with its own graph run by NumPy: the two compute "
                    "different functions, whatever the precision"
                ]
                what = f"{result.name} in float64 is not what {who} gives"
                got = np.asarray(value.exact)
                raise _error(self.name, what, got, want.astype(got.dtype), who, value, lines)
        return []


def parts(array: Array) -> Array:
    """Complex numbers as pairs along a last axis; other arrays as they are."""
    if array.dtype.kind != "c":
        return array
    return np.stack((array.real, array.imag), -1)


def real(call: Traced) -> tuple[Graph, list[Array]]:
    """The graph of a call over real numbers, with its inputs; as it is, where a library takes part in it."""
    hosted = any(n.op.kind == "host" for n in toposort(call.graph.outputs))
    graph = call.graph if hosted else pairs(call.graph)
    return graph, [x if graph is call.graph else parts(x) for x in call.inputs]


def _noise(value: Running, dtype: DType) -> float:
    """The size of a result that is 0 but for the rounding of float64; 0 for any other."""
    finite = value.exact[np.isfinite(value.exact)]
    largest = float(np.max(np.abs(finite), initial=0.0))
    bound = float(np.max(value.error[np.isfinite(value.error)], initial=0.0))
    return bound / dtype.epsilon if largest <= 16 * bound * f64.epsilon / dtype.epsilon else 0.0


def _by_numpy(f: Callable[..., Any], args: tuple[Any, ...], must: bool) -> tuple[dict[str, Any] | None, str]:
    """What a function gives for arrays in float64, by name; None and the reason, if it is no function of
    arrays."""
    given = as_arrays(args, np.float64)
    try:
        with np.errstate(all="ignore"):
            found = f(*given)
    except Exception as error:
        if must:
            raise
        return None, f"not run on arrays of NumPy's ({type(error).__name__}): give reference="
    leaves = dict(named_leaves(found))
    if any(isinstance(v, Tensor) for v in leaves.values()):
        if must:
            raise TypeError(here("check: reference= gives tensors of lucid; compute with NumPy"))
        return None, "not run by NumPy, as it calls functions of lucid: give reference="
    return {n: v for n, v in leaves.items() if isinstance(v, np.ndarray | np.generic | float | int)}, ""


def _slopes(
    loss: Callable[..., Any], backward: Side, args: tuple[Any, ...], places: Sequence[int], name: str
) -> list[str]:
    """The gradients in float64 against finite differences. CheckError where they differ."""
    one = traced(loss, args)
    graph, inputs = real(one)
    notes = []
    if any(n.op.kind == "host" for n in toposort(graph.outputs)):
        notes.append("a library takes part: what it computes has no error bound")
    there = list(backward.inputs)
    rng, known = np.random.default_rng(1), dict[int, int]()
    for k in places:
        array = plain(args[k])
        mine = _equal(inputs, array)
        if len(mine) != 1:
            continue  # the loss does not read it; or two arguments are equal
        known[k] = mine[0]
        # At a point beside, so that it stands on no kink: of ties, of zeros, of whole numbers.
        wide = array.astype(np.float64)
        moved = wide + 1e-4 * rng.uniform(-1, 1, array.shape) * np.maximum(np.abs(wide), 0.01)
        for beside, numbers in ((inputs, mine), (there, _equal(there, array))):
            for n in numbers:
                beside[n] = moved
    slopes = in_float64(backward.graph, there)
    for k, result in zip(places, backward.traced.results, strict=True):
        if k not in known or result.output < 0:
            continue
        if not agrees(graph, inputs, [known[k]], [slopes[backward.graph.outputs[result.output]]]):
            where = wrong_slope(graph, inputs) or "no op alone: look at what is put together"
            raise CheckError(
                here(
                    f"check of {name}: the gradient by argument {k} is not the derivative: finite "
                    f"differences in float64 disagree along every direction tried\n  first to differ: {where}"
                )
            )
    return notes


def _equal(arrays: Sequence[Array], array: Array) -> list[int]:
    """Which of `arrays` have the shape and the values of `array`."""
    return [
        n
        for n, x in enumerate(arrays)
        if x.shape == array.shape and x.dtype == array.dtype and np.array_equal(x, array, equal_nan=True)
    ]


def summary(label: str, got: Array, array: Array, value: Running) -> Checked:
    """How far a result is from float64. `got`: as it was returned; `array`: as the graph has it."""
    kind = f"{got.dtype}{list(got.shape)}"
    if value.own.dtype.kind not in "fcV" or not array.size:
        return Checked(label, kind, 0.0, 0.0, value.same)
    part = from_numpy(array.dtype).part.np
    error = ulps(distance(array, value.exact), np.abs(value.exact), part)
    bound = ulps(value.error, np.abs(value.exact), part)
    return Checked(label, kind, float(np.max(error)), float(np.max(bound)), value.same)


def _error(
    name: str, what: str, got: Array, want: Array, who: str, value: Running, lines: Sequence[str]
) -> CheckError:
    """The message: what, the worst element, and where it comes from."""
    away = distance(got, want)
    with np.errstate(all="ignore"):
        beyond = away > value.error
        excess = away / np.maximum(value.error, 1e-300) if not value.same and beyond.any() else away
    excess = np.where(np.isnan(excess), np.inf, excess)
    at = np.unravel_index(int(np.argmax(excess)), excess.shape) if excess.size else ()
    place = [int(i) for i in at]
    said = f"lucid {got[at]!s}, {who} {want[at]!s}"
    if value.own.dtype.kind in "fcV":
        dtype = np.dtype(from_numpy(value.own.dtype).part.np)
        apart = float(ulps(np.asarray(away[at]), np.abs(want[at], dtype=np.float64), dtype))
        bound = float(ulps(np.asarray(value.error[at]), np.abs(value.exact[at], dtype=np.float64), dtype))
        allowed = "0" if value.same else f"{bound:.3g}" if np.isfinite(bound) else "any number of"
        if np.isfinite(apart):
            said += f": {apart:.3g} ulp of {dtype} apart, rounding allows {allowed}"
    message = [f"check of {name}: {what}", f"  worst at {place} of {list(got.shape)}: {said}"]
    return CheckError(here("\n".join([*message, *(f"  {x}" for x in lines)])))
