"""`check`: one function, compiled, uncompiled, in float64, and beside a reference of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.types import DType, f64, from_numpy
from lucid.compiler.passes.pairs import pairs

from ..arguments import is_array
from ..errors import here, public
from ..tensor import Tensor
from .bits import plain, ulps
from .blame import first_kernel, first_op, kernel_of, line, losing_step, relative, within
from .bounds import Array, Running, distance, in_float64, running, unsettled, widened
from .slopes import ATTEMPTS, Loss, agrees, beside, first_not_finite, hidden, without_derivative, wrong_slope
from .traced import (
    Result,
    Traced,
    UnfitError,
    as_arrays,
    as_tensors,
    assigned,
    by_parameters,
    differentiable,
    flattened,
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
    - the gradients of a weighted sum of all outputs by the arguments that are floats or complex numbers, in
      containers too, and by the parameters that `f` reads: in the same way, and in float64 with finite
      differences (`grad=False` leaves gradients out). Where these decide nothing, a note says so; where the
      gradient is NaN though there is a derivative, that is an error. So is a value that is detached:
      `differences=False` for straight-through estimators;
    - `f` in float64 with `reference(*args)`, which gets NumPy arrays (floats as float64) and returns arrays
      of the same structure; by default that is `f` itself, run by NumPy, where it takes arrays and gives
      arrays;
    - the result with float64 once more, whatever the bound: it must have half of the digits of its dtype
      (`rtol`, by default the square root of the machine epsilon: 3e-4 for float32), as a part of the
      largest element. So a formula that is right but unstable is found, and the step that loses the digits
      is named.

    Returns a Report, whose text is a table. Raises CheckError (an AssertionError) with one message: what
    differs, the worst element and both values, their distance in ulp and what is allowed, and the first op,
    user's line and kernel where they part. ValueError if `f` changes tensors, draws random numbers or
    returns no tensor; TypeError for a `reference` that gives no arrays; what `f` raises itself.
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
    if not forward.traced.results:
        raise UnfitError(here(f"check of {name}: it returns no tensor, so there is nothing to compare"))
    checked, notes = forward.compare(), list[str]()
    notes += forward.against(reference, args)
    notes += forward.stable()
    if not (grad and any(r.array.size and differentiable(r.array) for r in forward.traced.results)):
        return Report(name, tuple(checked), tuple(notes))
    loss, leaves = flattened(loss_of(f), args)
    if changed := assigned(loss, leaves):
        raise UnfitError(
            here(
                f"check of {name}: it assigns to its argument {changed[0]}, so there is no gradient by that: "
                "let it begin with a copy, a = a.clone(), or grad=False"
            )
        )
    labels = [n for k, v in enumerate(args) for n, _ in named_leaves(v, f"argument {k}")]
    places = [k for k, v in enumerate(leaves) if differentiable(v)]
    ways = []
    if places:
        sizes = [float(np.max(np.abs(plain(leaves[k])), initial=0.0)) for k in places]
        ways.append((lucid.grad(loss, argnums=places), [labels[k] for k in places], sizes, list[Tensor]()))
    read = parameters(forward.traced, f)
    if read:
        sizes = [float(np.max(np.abs(plain(p)), initial=0.0)) for p in read.values()]
        ways.append((by_parameters(loss, list(read.values())), list(read), sizes, list(read.values())))
    for derive, by, sizes, tensors in ways:
        names = [f"gradient by {label}" for label in by]
        backward = Side(derive, tuple(leaves), f"the gradient of {name}", rtol, names)
        checked += backward.compare()
        scale = forward.largest() / max([s for s in sizes if np.isfinite(s) and s] or [1.0])
        notes += backward.stable(scale)
        if differences:
            notes += _slopes(loss, backward, leaves, tensors or places, name)
    return Report(name, tuple(checked), tuple(notes))


def parameters(call: Traced, f: Callable[..., Any]) -> dict[str, Tensor]:
    """The tensors that a function reads and that require gradients, by what they are called."""
    names = {id(p): n for n, p in f.named_parameters()} if isinstance(f, lucid.nn.Module) else {}
    found = dict[str, Tensor]()
    for owner in call.owners:
        if isinstance(owner, Tensor) and owner.requires_grad and all(owner is not t for t in found.values()):
            label = names.get(id(owner)) or f"{owner.dtype}{list(owner.shape)} that it reads"
            found[label if label not in found else f"{label}, number {len(found)}"] = owner
    return found


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

    def exact(self) -> dict[Node, Array]:
        """The values of all nodes in float64."""
        return {node: value.exact for node, value in self.found.items()}

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

    def stable(self, scale: float = 0.0) -> list[str]:
        """CheckError where a result has too few digits; in words, where elements have that are small beside
        the largest. `scale`: its size, where it may be 0 but for rounding."""
        notes = []
        for label, result in zip(self.names, self.traced.results, strict=True):
            array, value = self.view(result.array), self.of(result)
            if value.own.dtype.kind in "fcV":
                self._stable(label, array, value, scale)
                notes += self._few_digits(label, array, value, scale)
        return notes

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
        dtype = from_numpy(value.own.dtype).part
        limit = self.rtol if self.rtol is not None else dtype.epsilon**0.5
        off = relative(array, value.exact, max(scale, _noise(value, dtype)))
        if not off > limit:
            return
        found = losing_step(self.graph, self.found, limit)
        lines = ["each step alone is rounded as it should be: it is the formula that is unstable here"]
        if found is not None:
            node, what = found
            kernel = kernel_of(self.traced.executable, node)
            lines.append(f"{line(node)} {what}" + (f" (in kernel {kernel})" if kernel else ""))
        digits = f"is off by {off:.1e} of its largest value, more than {limit:.1e}"
        if np.isinf(off):
            digits = f"is no number in {dtype.numpy}, where in float64 it is one"
        raise _error(
            self.name, f"{label} {digits}", array, value.exact, "float64", value, lines,
            "its steps may add up to",
        )  # fmt: skip

    def _few_digits(self, label: str, array: Array, value: Running, scale: float) -> list[str]:
        """Of an element without half of its digits, though it is near enough beside the largest one."""
        dtype = from_numpy(value.own.dtype).part
        away, size = distance(array, value.exact), np.abs(value.exact).astype(np.float64)
        largest = float(np.max(size, where=np.isfinite(size), initial=0.0))
        if not array.size or max(scale, _noise(value, dtype)) > largest:
            return []  # 0 but for rounding
        with np.errstate(all="ignore"):
            off = np.where(np.isfinite(away) & (size > 0), away / size, 0.0)
        at = np.unravel_index(int(np.argmax(off)), off.shape)
        if not off[at] > dtype.epsilon**0.5:
            return []
        return [
            f"{label} has few digits right at {[int(i) for i in at]}: lucid {array[at]!s}, float64 "
            f"{value.exact[at]!s}; beside the largest element that is little"
        ]

    def against(self, reference: Callable[..., Any] | None, args: tuple[Any, ...]) -> list[str]:
        """The function in float64 against NumPy. What could not be compared, in words."""
        names = [r.name for r in self.traced.results]
        wanted, why = _by_numpy(reference or self.f, args, reference is not None, names)
        if wanted is None:
            return [why]
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
        disturbed = unsettled(self.graph, self.inputs, NOISE)
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
            allowed = np.asarray(NOISE * np.max(finite, initial=0.0))
            if result.output >= 0:
                allowed = np.minimum(allowed, disturbed[self.graph.outputs[result.output]])
            allowed = allowed + 1e-3 * np.where(np.isfinite(value.error), value.error, 0.0)
            if reference is None:  # what it casts to less than float64 is rounded there
                allowed = allowed + value.error
            if not np.all(distance(want, value.exact) <= allowed):
                lines = [
                    "lucid, compiled and not, agrees with its own graph run by NumPy: the two compute "
                    "different functions, whatever the precision"
                ]
                what = f"{result.name} in float64 is not what {who} gives"
                got = np.asarray(value.exact)
                raise _error(self.name, what, got, want.astype(got.dtype), who, value, lines, "")
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


def _by_numpy(
    f: Callable[..., Any], args: tuple[Any, ...], must: bool, wanted: Sequence[str]
) -> tuple[dict[str, Any] | None, str]:
    """What a function gives for arrays in float64, by name; None and the reason, if it is no function of
    arrays. `wanted`: what must be arrays."""
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
    kinds = np.ndarray | np.generic | complex | float | int
    arrays = {n: v for n, v in leaves.items() if isinstance(v, kinds)}
    for name, value in leaves.items():
        if must and name in wanted and name not in arrays:
            kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
            hints = {"NoneType": "; is a `return` missing?", "torch.Tensor": "; convert it by .numpy()"}
            raise TypeError(
                here(
                    f"check: reference= gives {kind} as {name}, where an array of NumPy's is expected"
                    f"{hints.get(kind, '')}"
                )
            )
    if must and isinstance(found, list) and wanted == ["output"]:
        raise TypeError(
            here(
                f"check: reference= gives a list of {len(found)}, where one array is expected, as the "
                "function gives one; make one of it by np.array"
            )
        )
    return arrays, ""


def _slopes(
    loss: Callable[..., Any],
    backward: Side,
    leaves: Sequence[Any],
    by: Sequence[int] | Sequence[Tensor],
    name: str,
) -> list[str]:
    """The gradients in float64 against finite differences. CheckError where they differ; what could not be
    compared, in words. `by`: what they are gradients by, numbers of `leaves`, or tensors that are read."""
    one = traced(loss, tuple(np.array(v, order="C") if isinstance(v, np.ndarray) else v for v in leaves))
    graph, inputs = real(one)
    notes = []
    if any(n.op.kind == "host" for n in toposort(graph.outputs)):
        notes.append("a library takes part: what it computes has no error bound")
    owners = _places(one, leaves, by), _places(backward.traced, leaves, by)
    mine, theirs = ({k: n for k, n in enumerate(found) if n is not None} for found in owners)
    exact = [backward.of(r).exact for r in backward.traced.results]
    for k, slope in enumerate(exact):
        label = backward.names[k]
        if np.isfinite(slope).all():
            continue
        at = Loss(graph, inputs)
        if k not in mine or not np.isfinite(at.here):
            notes.append(f"{label} is not finite, and neither are all outputs: not compared")
            continue
        found = without_derivative(at, mine[k], slope)
        if found is not None:
            where, derivative = found
            said = f"{label} is {slope[where]} at {list(where)}"
            node = backward.graph.outputs[backward.traced.results[k].output]
            cause = f"the first op that is not finite: {first_not_finite(backward.exact(), node)}"
            if derivative is None:
                notes.append(f"{said}, where finite differences show no derivative; {cause}")
                continue
            raise CheckError(
                here(
                    f"check of {name}: {said}, where the derivative is {derivative:.3g} by finite differences"
                    f" in float64\n  {cause}\n  a `where` behind it does not help, as 0 * inf is nan: let it "
                    "choose the operand"
                )
            )
    told = set[int]()
    for attempt in range(ATTEMPTS):
        todo = [k for k in mine if k not in told]
        if not todo:
            break
        moved = beside(inputs, list(mine.values()), attempt)
        there = [moved.get(n, x) for n, x in enumerate(inputs)]
        behind = list(backward.inputs)
        for k, n in theirs.items():
            if k in mine:
                behind[n] = _ordered(moved[mine[k]], backward.traced.orders[n])
        slopes = in_float64(backward.graph, behind)
        for k in todo:
            result = backward.traced.results[k]
            slope = slopes[backward.graph.outputs[result.output]] if result.output >= 0 else exact[k]
            answer = agrees(graph, there, [mine[k]], [slope])
            if answer is False:
                raise _no_derivative(name, backward.names[k], graph, there, loss, leaves, by)
            if answer:
                told.add(k)
    for k, label in enumerate(backward.names):
        if k not in mine and np.any(exact[k]):
            notes.append(f"{label} was not compared with finite differences: the loss does not read it")
        elif k in mine and k not in told and np.isfinite(exact[k]).all():
            notes.append(
                f"{label} was not compared with finite differences: beside the point the function is not "
                "finite, or has kinks, or rounding hides its slope"
            )
    return notes


def _ordered(array: Array, order: tuple[int, ...] | None) -> Array:
    """With the axes in another order; of complex numbers as pairs the parts stay last."""
    if order is None:
        return array
    return array.transpose(*order, *range(len(order), array.ndim))


def _no_derivative(
    name: str,
    label: str,
    graph: Graph,
    inputs: Sequence[Array],
    loss: Callable[..., Any],
    leaves: Sequence[Any],
    by: Sequence[int] | Sequence[Tensor],
) -> CheckError:
    where = wrong_slope(graph, inputs)
    places = [k for k in by if isinstance(k, int)] or [k for k, v in enumerate(leaves) if differentiable(v)]
    detached = hidden(loss, leaves, places) if where is None and places else []
    if detached:
        where = (
            f"`detach` at {', '.join(detached)}: no derivative goes through it; if that is meant (a "
            "straight-through estimator), differences=False"
        )
    return CheckError(
        here(
            f"check of {name}: the {label} is not the derivative: finite differences in float64 disagree "
            f"along every direction tried\n  first to differ: "
            f"{where or 'no op alone: look at what is put together'}"
        )
    )


def _places(call: Traced, leaves: Sequence[Any], by: Sequence[int] | Sequence[Tensor]) -> list[int | None]:
    """Which inputs of a graph have the values of arguments, or of tensors that it reads."""
    arrays = [k for k, v in enumerate(leaves) if isinstance(v, Tensor) or is_array(v)]
    found: list[int | None] = []
    for one in by:
        wanted = arrays.index(one) if isinstance(one, int) else one
        same = [
            n
            for n, owner in enumerate(call.owners)
            if owner is wanted or (isinstance(wanted, int) and isinstance(owner, int) and owner == wanted)
        ]
        found.append(same[0] if same else None)
    return found


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
    name: str,
    what: str,
    got: Array,
    want: Array,
    who: str,
    value: Running,
    lines: Sequence[str],
    allowance: str = "rounding allows",
) -> CheckError:
    """The message: what, the worst element, and where it comes from. `allowance`: what the error bound is."""
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
        if np.isfinite(apart):
            said += f": {apart:.3g} ulp of {dtype} apart"
        if np.isfinite(apart) and allowance:
            allowed = f"{bound:.3g}" if np.isfinite(bound) else "any number of"
            said += ", and it must have these bits" if who == "NumPy" else f", {allowance} {allowed}"
    message = [f"check of {name}: {what}", f"  worst at {place} of {list(got.shape)}: {said}"]
    return CheckError(here("\n".join([*message, *(f"  {x}" for x in lines)])))
