"""`compiled.certify`: how far results are from exact real arithmetic, at most, and as measured."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.types import DType, from_numpy

from ..engine import Executable
from ..errors import here
from .bits import plain
from .blame import line
from .bounds import Array, distance, in_float64
from .chains import Chain, chains
from .checking import parts, real
from .precise import precisely
from .span_sums import spans
from .spans import Chains, Exact, Rounded, Span, spacing, up, widest
from .traced import Result, Traced, name_of, traced


@data
class Certified:
    """One output. Arrays of its shape, in float64: `bound`, within which each element is of the value in
    exact real arithmetic (inf: nothing is known); `measured`, how far it is from a value computed in higher
    precision; `ratio`, the one over the other (NaN where the error is 0 or
    nothing is known); `unit`, that in the last place. A complex number has two of each, along a last axis.
    Integers and bools are exact (the bound is 0), as those of their dtype, which wrap, or nothing is known.
    `violations`: elements that are not where they must be; `cause`: the step that contributes most to the
    largest bound, in words."""

    name: str
    dtype: DType
    bound: Array
    measured: Array
    ratio: Array
    unit: Array
    violations: int
    cause: str

    def __str__(self) -> str:
        if not self.bound.size:
            return f"{self.name}: {self.dtype}, no elements"
        known = np.isfinite(self.bound)
        said = f"{self.name}: {self.dtype}{list(self.bound.shape)}, "
        if not self.dtype.is_inexact:
            return said + self._decided(known)
        if not known.any():
            return said + f"no bound{self.cause}"
        bound = np.where(known, self.bound, 0.0)
        at = np.unravel_index(int(np.argmax(bound)), bound.shape)
        largest = float(np.max(self.measured, initial=0.0, where=known))
        ratios = self.ratio[np.isfinite(self.ratio)]
        said += f"within {bound[at]:.3g} of the exact value ({bound[at] / self.unit[at]:.3g} ulp there)"
        said += f", measured {largest:.3g}"
        if ratios.size:
            said += f", median bound/error {float(np.median(ratios)):.3g}"
        if not known.all():
            said += f", {int((~known).sum())} of {known.size} elements without a bound"
        if self.violations:
            said += f", {self.violations} BEYOND"
        return said + self.cause

    def _decided(self, known: Array) -> str:
        beyond = f", {self.violations} BEYOND" if self.violations else ""
        if known.all():
            return f"exact{beyond}{self.cause}"
        at = [int(i) for i in np.argwhere(~known)[0]]
        more = f" and {int((~known).sum()) - 1} more" if (~known).sum() > 1 else ""
        what = "may flip" if self.dtype.kind == "b" else "not certified"
        return f"{what} at {at}{more}{beyond}{self.cause}"


@data
class Certificate:
    """What `certify` has found, for the inputs that it was given. Its text is a table."""

    name: str
    outputs: tuple[Certified, ...]

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.name}: error against exact real arithmetic", *(f"  {o}" for o in self.outputs)]
        )


def certify(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], causes: bool
) -> Certificate:
    """See `Compiled.certify`. `causes=False` spares the search for what contributes most."""
    call = traced(functools.partial(f, **kwargs) if kwargs else f, args)
    if not call.results:
        raise ValueError(here(f"certify of {name_of(f)}: it returns no tensor, so there is nothing to bound"))
    return Certificate(name_of(f), certified(call, causes))


def certified(call: Traced, causes: bool) -> tuple[Certified, ...]:
    """The outputs of a call."""
    graph, inputs = _simplified(call)
    found = chains(call.executable)

    plain_order = not any(n.op.name == "transpose" for n in toposort(graph.outputs))

    def longest(node: Node, count: int) -> Chain:
        known = found.get((node.loc, count), Chain(max(0, count - 1), 0))
        if node.op.name == "sum" and sum(node.inputs[0].shape[a] > 1 for a in node.attrs["axes"]) > 1:
            # terms along several axes come in row-major order, unless something is transposed
            return known if plain_order else Chain(known.longest, 0)
        return known

    precise = precisely(graph, inputs)
    wide = np.float64 if precise is None else widest()  # values in float64 lie in spans of float64
    exact, rounded = spans(graph, inputs, Exact(longest, wide)), spans(graph, inputs, Rounded(longest))
    values = precise or in_float64(graph, inputs)
    outputs = []
    for result in call.results:
        if result.output < 0:
            outputs.append(_as_given(result))
            continue
        node = graph.outputs[result.output]
        array = parts(result.array) if result.array.dtype.kind == "c" else plain(result.array)
        true, computed = (
            Span(_shaped(s.lo, array), _shaped(s.hi, array)) for s in (exact[node], rounded[node])
        )
        if from_numpy(result.array.dtype).is_inexact:
            cause = _cause(graph, inputs, node, longest, exact, rounded) if causes else ""
            value = _shaped(parts(np.asarray(values[node])), array)
            outputs.append(_certified(result.name, node, array, true, computed, value, cause))
        else:
            unsure = causes and not _sure(true, computed).all()
            cause = _undecided(node, exact, rounded) if unsure else ""
            outputs.append(_decided(result.name, node, array, true, computed, cause))
    return tuple(outputs)


def _as_given(result: Result) -> Certified:
    """An argument that is returned as it is."""
    array = parts(result.array)
    zeros, dtype = np.zeros(array.shape), from_numpy(array.dtype)
    ones, nothing = np.ones(array.shape), np.full(array.shape, np.nan)
    return Certified(result.name, dtype, zeros, zeros, nothing, ones, 0, "; an argument, as it was given")


def _shaped(x: Array, like: Array) -> Array:
    """In the shape of a result: that of the graph may be another one; a complex number may be one or two."""
    return x.reshape(like.shape) if x.size == like.size else np.broadcast_to(x[..., None], like.shape)


def _sure(exact: Span, rounded: Span) -> Array:
    """Where both are the same number."""
    return np.asarray(exact.point & rounded.point & (exact.lo == rounded.lo))


def _decided(name: str, node: Node, array: Array, exact: Span, rounded: Span, cause: str) -> Certified:
    sure = _sure(exact, rounded)
    wrong = array != rounded.lo
    measured = np.where(sure, np.where(wrong, np.inf, 0.0), np.nan)
    bound, nothing = np.where(sure, 0.0, np.inf), np.full(array.shape, np.nan)
    ones = np.ones(array.shape)
    count = int((sure & wrong).sum())
    return Certified(name, node.type.dtype, bound, measured, nothing, ones, count, cause)


def _undecided(output: Node, exact: dict[Node, Span], rounded: dict[Node, Span]) -> str:
    """The first op of integers or bools whose result may be another one for exact values."""
    for node in toposort([output]):
        if not node.type.dtype.is_inexact and not _sure(exact[node], rounded[node]).all():
            return f": {line(node)} depends on rounded values"
    return ""


def _simplified(call: Traced) -> tuple[Graph, list[Array]]:
    """The graph that kernels compute, over real numbers; where a library takes part, as it was written."""
    graph, inputs = real(call)
    if isinstance(call.executable, Executable):
        simplified = call.executable.compiled.stages.simplified
        graph = Graph(graph.name, simplified.inputs, simplified.outputs[: len(graph.outputs)])
    return graph, inputs


def away(exact: Span, rounded: Span) -> Array:
    """How far apart values of two spans may be; inf where nothing is known."""
    with np.errstate(all="ignore"):
        found = np.maximum(rounded.hi - exact.lo, exact.hi - rounded.lo)
        return np.where(np.isfinite(found), up(up(found).astype(np.float64)), np.inf)


def _certified(
    name: str, node: Node, array: Array, exact: Span, rounded: Span, value: Array, cause: str
) -> Certified:
    bound, dtype = away(exact, rounded), node.type.dtype.part
    wide = array.astype(np.float64)
    if value.dtype == object:
        with np.errstate(all="ignore"):
            measured = np.vectorize(lambda x, y: float(abs(y - x)), otypes=[float])(wide, value)
    else:
        # A value in float64 is rounded at each step, a sum in spans at its end: what is exact lies there.
        measured = distance(wide, np.where(np.isnan(exact.lo), value, np.clip(value, exact.lo, exact.hi)))
    beyond = measured > bound
    with np.errstate(all="ignore"):
        beyond |= (wide < rounded.lo) | (wide > rounded.hi)
        ratio = np.where(np.isfinite(bound) & (measured > 0), bound / measured, np.nan)
        unit = spacing(np.maximum(abs(exact.lo), abs(exact.hi)), dtype)
    return Certified(
        name, dtype, bound, measured, ratio, unit, int((beyond & np.isfinite(bound)).sum()), cause
    )


def _cause(
    graph: Graph,
    inputs: list[Array],
    output: Node,
    longest: Chains,
    exact: dict[Node, Span],
    rounded: dict[Node, Span],
) -> str:
    """The op without whose rounding the largest bound would shrink most: first by lines, then in the line."""
    bound = away(exact[output], rounded[output])
    known = np.isfinite(bound)
    order = [n for n in toposort([output]) if n.type.dtype.is_float and n.op.kind not in ("leaf", "view")]
    if not known.any():
        inexact = [n for n in toposort([output]) if n.type.dtype.is_inexact]
        unknown = [n for n in inexact if not np.isfinite(away(exact[n], rounded[n])).any()]
        lost = next((n for n in unknown if n.op.kind == "host"), next(iter(unknown), None))
        return "" if lost is None else f": nothing is known of {line(lost)}"
    at = int(np.argmax(np.where(known, bound, 0)))

    def without(nodes: list[Node]) -> float:
        alone = Graph(graph.name, graph.inputs, (output,))
        found = spans(alone, inputs, Rounded(longest, frozenset(nodes)))[output]
        return float(away(exact[output], found).reshape(-1)[at])

    largest = float(bound.reshape(-1)[at])
    lines: dict[Any, list[Node]] = {}
    for node in order:
        lines.setdefault(node.loc, []).append(node)
    if not lines or not largest:
        return ""
    worst = min(lines.values(), key=without)
    best = min(worst, key=lambda n: without([n]))
    share = 1 - without([best]) / largest
    return f"; {line(best)} contributes {max(share, 0.0):.0%}"
