"""Which operation made a NaN: `LUCID_NAN=1`, and `compiled.first_nan(...)`.

    train.py:12: div made a NaN at [3] (1 of 4 elements): 0.0 / 0.0, in kernel sum_div
        p = n / n.sum()
      t = n[i] / total
      0.0: sum f32[] at train.py:12
      to try: where(d != 0, n / where(d != 0, d, 1), 0), or a small number added to the divisor d

An operation *makes* a NaN where its result is one and no operand that goes into it is. Only what gets to a
result counts: what `where` leaves out is as good as not there. Of several the first in the order of causes is
named: one that is made of no other, forward before gradients. `LUCID_NAN=inf` looks for infinities, too.

A number that is NaN as the program writes it (`x * np.nan`) is made by nobody: where such a one gets to a
result and nothing makes another, a warning names its line, as `first_nan` does of inputs.

Plans that are made while LUCID_NAN is set look at their results; others know nothing of it. Where one holds a
NaN and no input does, NumPy evaluates the graph that was compiled, node by node.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.program import Call
from lucid.compiler.text.kernel import statement_text

from .engine import Array, Executable, seen
from .errors import warn_user
from .residence import Device
from .staged import Staged

if TYPE_CHECKING:
    from lucid.compiler.ir.graph import Loc

Values = dict[Node, Array]
Place = tuple[int, ...]  # of an element
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "mod": "%", "floordiv": "//"}
_WAYS: dict[str, Callable[[Any], Any]] = {"nan": np.isnan, "inf": lambda x: ~np.isfinite(x)}
_ROOT = "a small number added to what is below the root, as the derivative is infinite at 0"
_DIVISOR = "where(d != 0, n / where(d != 0, d, 1), 0), or a small number added to the divisor d"
_POSITIVE = "where(x > 0, x, 1) or maximum(x, a small number)"
_REMEDIES = {
    "div": _DIVISOR,
    "mod": _DIVISOR,
    "floordiv": _DIVISOR,
    "log": f"{_POSITIVE} as the argument of log",
    "log2": f"{_POSITIVE} as the argument of log2",
    "log10": f"{_POSITIVE} as the argument of log10",
    "pow": f"{_POSITIVE} as what is raised to the power",
    "log1p": "maximum(x, -1 + a small number) as the argument of log1p",
    "sqrt": "maximum(x, 0) as the argument of sqrt",
    "arcsin": "clip(x, -1, 1) as the argument of arcsin",
    "arccos": "clip(x, -1, 1) as the argument of arccos",
    "exp": "less the maximum of x before exp, or clip(x, None, 88)",
}
_NO_ELEMENT = (
    "no row of -inf alone, as that of a mask which leaves nothing: leave such rows out with where, or mask "
    "by -1e9"
)
_OF_INFINITY = "LUCID_NAN=inf names what made the infinity"


@data
class Made:
    """What made the first NaN (or infinity, `what`) of a result. `index` of the first of `count` such
    elements among `size`; `formula` with its operands' values; `operands`: each value, and what that is.
    `kernel` and `statement`: where it is computed, "" if that is not told apart. As text, at most six lines.
    """

    op: str
    loc: Loc | None
    what: str
    index: tuple[int, ...]
    count: int
    size: int
    formula: str
    operands: tuple[str, ...]
    kernel: str
    statement: str
    remedy: str

    def __str__(self) -> str:
        loc = self.loc
        who = f"the gradient of {loc.backward} ({self.op})" if loc is not None and loc.backward else self.op
        where = f" at {[*self.index]}" if self.index else ""
        many = f" ({self.count:,} of {self.size:,} elements)" if self.size > 1 else ""
        module = f" in {loc.module}," if loc is not None and loc.module else ""
        kernel = f", in kernel {self.kernel}" if self.kernel else ""
        head = f"{who} made {self.what}{where}{many}:{module} {self.formula}{kernel}"
        lines = [head if loc is None else f"{loc}: {head}"]
        if loc is not None and (source := linecache.getline(loc.path or loc.file, loc.line).strip()):
            lines.append(f"    {source}")
        if self.statement:
            lines.append(f"  {self.statement}")
        lines += [f"  {operand}" for operand in self.operands[:2]]
        return "\n".join([*lines, *([f"  to try: {self.remedy}"] if self.remedy else [])])

    __repr__ = __str__  # what notebooks show, and Python's prompt


def way(asked: str) -> str:
    """What LUCID_NAN asks for: "nan", "inf", or "" for nothing."""
    return {"1": "nan", "nan": "nan", "inf": "inf"}.get(asked.strip(), "")


def watched(
    graph: Graph, aliases: Sequence[int], threads: int | None, device: Device, judged: bool, hosted: bool,
    looking: str,
) -> Executable | Staged:  # fmt: skip
    """What computes `graph`, and raises FloatingPointError, before anything is kept, where there is what
    `looking` says."""
    made: WatchedStaged | WatchedExecutable
    if hosted:
        made = WatchedStaged(graph, threads, device, judged)
    else:
        made = WatchedExecutable(graph, aliases, threads, device, judged)
    made.looking = looking
    return made


class WatchedExecutable(Executable):
    looking = "nan"

    def __call__(
        self, arrays: Sequence[Array], reuse: Sequence[bool] = (),
        given: Mapping[int, Array] = MappingProxyType({}), numbers: Sequence[int] = (),
    ) -> list[Array]:  # fmt: skip
        return _judged(self, arrays, super().__call__(arrays, (), given, numbers), self.looking)


class WatchedStaged(Staged):
    looking = "nan"

    def __call__(
        self, arrays: Sequence[Array], reuse: Sequence[bool] = (), given: Mapping[int, Array] | None = None
    ) -> list[Array]:
        return _judged(self, arrays, super().__call__(arrays, (), given), self.looking)


def _judged(
    made: Executable | Staged, arrays: Sequence[Array], outputs: list[Array], looking: str
) -> list[Array]:
    if not (made.judged and np.asarray(outputs[-1])):  # else an index is out of range, which is told
        found, before = _looked(made, arrays, outputs, looking)
        if found is not None:
            raise FloatingPointError(str(found))
        if looking == "nan" and before:
            warn_user(f"LUCID_NAN: no operation makes the NaN of a result: {_held(before)} before")
    return outputs


def first_of(made: Executable | Staged, arrays: Sequence[Array]) -> Made | None:
    """What makes the first NaN of the results for these inputs, which are not changed. Where it was there
    before, a warning says in which input."""
    outputs = made.through(arrays, lambda executable, inputs: Executable.__call__(executable, inputs))
    if made.judged and np.asarray(outputs[-1]):
        return None
    found, before = _looked(made, arrays, outputs, "nan")
    if found is None and before:
        warn_user(f"first_nan: no operation of this call makes its NaN: {_held(before)} before")
    return found


def _held(leaves: Sequence[Node]) -> str:
    """What had a NaN, in words: of several the first."""
    node, more = leaves[0], f" and {len(leaves) - 1} more" if leaves[1:] else ""
    if node.op is ops.INPUT:
        name = node.attrs["name"] if node.loc is not None else "an input"  # of eager work has no name
        return f"{name}{_where(node)}{more} held one"
    whose = f" that {node.loc.called} gives" if node.op is ops.CONST and node.loc and node.loc.called else ""
    return f"the number {node.attrs['value']}{whose}{_where(node)}{more} was one"


def _graph(made: Executable | Staged) -> Graph:
    return made.graph if isinstance(made, Staged) else made.compiled.named.graph


def _looked(
    made: Executable | Staged, arrays: Sequence[Array], outputs: Sequence[Array], looking: str
) -> tuple[Made | None, list[Node]]:
    """What made the first NaN of `outputs`, which `made` has computed from `arrays`, None if no one did; and
    the inputs and numbers whose own NaN gets to an output."""
    bad = _WAYS[looking]
    arrays, outputs = list(map(np.asarray, arrays)), list(map(np.asarray, outputs))  # from where they lie
    if not any(_any(bad, array) for array in outputs):
        return None, []
    graph = _graph(made)
    values: Values = {
        node: seen(np.ascontiguousarray(array), node.type)
        for node, array in zip(graph.inputs, arrays, strict=True)
    }
    order = toposort(graph.outputs)
    with np.errstate(all="ignore"):
        for node in order:
            if node not in values:
                assert node.op.evaluate is not None
                values[node] = np.asarray(node.op.evaluate(node.attrs, *[values[n] for n in node.inputs]))
        guilty, before = _guilty(graph, order, values, bad)
    if not guilty:
        return None, before
    calls = [(call, _computed(call)) for x in made.executables() for call in x.compiled.named.calls]

    def when(node: Node) -> int:
        return next((n for n, (_, nodes) in enumerate(calls) if node in nodes), len(calls))

    causes = _causes(order, set(guilty))
    node = min(causes, key=lambda n: (causes[n], when(n)))  # then in the graph's order
    by = [call for call, nodes in calls if node in nodes] or [call for call, _ in calls]
    return _told(node, guilty[node], values, by, looking), before


def _any(bad: Callable[[Any], Any], array: Array) -> bool:
    return array.dtype.kind in "fcV" and bool(np.any(bad(array)))


def _guilty(
    graph: Graph, order: list[Node], values: Values, bad: Callable[[Any], Any]
) -> tuple[dict[Node, Array], list[Node]]:
    """The nodes that make what is bad and gets to an output, and where they do; the leaves that are bad by
    themselves, and get there."""
    wrong = {node: bad(values[node]) for node in order if node.type.dtype.is_inexact}
    wrong = {node: mask for node, mask in wrong.items() if mask.any()}
    counts = {node: wrong[node].copy() for node in graph.outputs if node in wrong}  # what gets there
    found: dict[Node, Array] = {}
    for node in reversed(order):
        mask = counts.get(node)
        if mask is None or not mask.any() or not node.inputs:
            continue
        sources = [n for n in dict.fromkeys(node.inputs) if n in wrong]
        made = mask & bad(_without(node, values, wrong, sources))
        if node.op.kind == "elementwise":
            for n in sources:
                made &= ~wrong[n]
        if made.any():
            found[node] = made
        for n in sources:
            others = [m for m in sources if m is not n]
            through = mask & bad(_without(node, values, wrong, others)) if others else mask
            if through.any():
                part = _before(node, n, through) & wrong[n]
                counts[n] = counts[n] | part if n in counts else part
    leaves = [node for node, mask in counts.items() if not node.inputs and mask.any()]
    return {node: found[node] for node in order if node in found}, leaves


def _causes(order: list[Node], guilty: set[Node]) -> dict[Node, int]:
    """Those of `guilty` that are computed of no other one, with the order of the gradients that go into them:
    0, if there are none."""
    found: dict[Node, int] = {}
    made, depth = set[Node](), dict[Node, int]()
    for node in order:
        of = node.loc.backward if node.loc is not None else ""
        depth[node] = max([of.count(" of ") + bool(of), *(depth[n] for n in node.inputs)])
        if not made.isdisjoint(node.inputs):
            made.add(node)
        elif node in guilty:
            made.add(node)
            found[node] = depth[node]
    return found


def _without(node: Node, values: Values, wrong: dict[Node, Array], cleaned: Sequence[Node]) -> Array:
    """The value of `node`, were there 1 in place of all that is bad in `cleaned`."""
    if not cleaned:
        return values[node]
    given = [
        np.where(wrong[n], np.ones((), values[n].dtype), values[n]) if n in cleaned else values[n]
        for n in node.inputs
    ]
    assert node.op.evaluate is not None
    return np.asarray(node.op.evaluate(node.attrs, *given))


def _before(node: Node, source: Node, mask: Array) -> Array:
    """The elements of `source` that go into those of `node`; all of them, where that is not known."""
    if node.op.kind == "elementwise":
        return mask
    if node.op.kind != "view" or node.op is ops.PAD:
        return np.ones(source.shape, bool)
    places = np.arange(source.type.size, dtype=np.int64).reshape(source.shape)
    assert node.op.evaluate is not None
    found = np.zeros(source.type.size, bool)
    found[np.asarray(node.op.evaluate(node.attrs, places))[mask]] = True
    return found.reshape(source.shape)


# --- in words ------------------------------------------------------------------------------------


def _computed(call: Call) -> set[Node]:
    """The nodes that a kernel computes, not read."""
    return set(toposort(call.writes, set(call.reads)))


def _told(node: Node, mask: Array, values: Values, calls: list[Call], looking: str) -> Made:
    index = tuple(int(n) for n in np.argwhere(mask)[0])
    operands, infinite = list[str](), list[Node]()
    for n in node.inputs:
        source, place = _origin(n, index if node.op.kind == "elementwise" else None)
        if source.op.kind == "leaf" and source.op is not ops.INPUT:
            continue
        name = f"input {source.attrs['name']}" if source.op is ops.INPUT else source.op.name
        told = f"{_at(node, n, values[n], index)}: {name} {source.type}{_where(source)}"
        if place is not None and source.type.dtype.is_float and np.isinf(values[source][place]):
            cause, place = _of_infinity(source, place, values)
            if cause.op.kind == "elementwise":
                infinite.append(cause)
                told += f", from {_formula(cause, place, values)}"
                told += _where(cause) if cause is not source else ""
        operands.append(told)
    kernel, statement = _place(node, calls)
    value = values[node][index]
    what = "a NaN" if np.isnan(value) else "an infinity"
    formula = _formula(node, index, values)
    return Made(
        node.op.name, node.loc, what, index, int(mask.sum()), node.type.size, formula, tuple(operands),
        kernel, statement, _NO_ELEMENT if _none_left(node, index, values)
        else _remedy(node, formula, infinite, looking),
    )  # fmt: skip


def _where(node: Node) -> str:
    return f" at {node.loc}" if node.loc else ""


def _formula(node: Node, index: Place, values: Values) -> str:
    """What is computed for an element, with the values of its operands."""
    at = [_at(node, n, values[n], index) for n in node.inputs]
    sign = _SIGNS.get(node.op.name)
    return f" {sign} ".join(at) if sign else f"{node.op.name}({', '.join(at)})"


def _origin(node: Node, index: Place | None) -> tuple[Node, Place | None]:
    """What a view is a view of, and where the element at `index` of the view is there; None, if that is not
    told."""
    while node.op.kind == "view":
        source = node.inputs[0]
        if index is not None:
            mask = np.zeros(node.shape, bool)
            mask[index] = True
            found = np.argwhere(_before(node, source, mask))
            index = tuple(map(int, found[0])) if len(found) == 1 else None
        node = source
    return node, index


def _of_infinity(node: Node, index: Place, values: Values) -> tuple[Node, Place]:
    """Which operation has made the infinity that an element is, and where, as far as elements of one shape
    tell."""
    while node.op.kind == "elementwise":
        sources = [_origin(n, index) for n in node.inputs if n.type.dtype.is_float]
        worse = [(n, at) for n, at in sources if at is not None and np.isinf(values[n][at])]
        if not worse:
            break
        node, index = worse[0]
    return node, index


def _at(node: Node, source: Node, value: Array, index: tuple[int, ...]) -> str:
    """An operand in words: its element, or what stands out among those of an array."""
    if node.op.kind == "elementwise" or not value.shape:
        return str(value[index if value.shape else ()])
    if source.type.dtype.is_inexact:
        odd = np.argwhere(~np.isfinite(value))
        if len(odd):
            place = tuple(int(n) for n in odd[0])
            return f"[... {value[place]} at {[*place]} ...]"
    if source.type.dtype.is_float and value.size:
        return f"[from {value.min():.3g} to {value.max():.3g}]"
    return str(source.type)


def _none_left(node: Node, index: Place, values: Values) -> bool:
    """Whether it is -inf less the maximum of a row (a softmax), which is -inf, too."""
    if node.op is not ops.SUB:
        return False
    source, place = _origin(node.inputs[1], index)
    return source.op.name == "amax" and place is not None and bool(np.isneginf(values[source][place]))


def _remedy(node: Node, formula: str, infinite: list[Node], looking: str) -> str:
    of = node.loc.backward.split(" of ")[-1] if node.loc is not None else ""
    if of in ("sqrt", "std", "norm", "cdist", "hypot"):
        return _ROOT
    if "inf" in formula:
        known = (_REMEDIES[n.op.name] for n in infinite if n.op.name in _REMEDIES)
        return next(known, _OF_INFINITY) if looking == "nan" else ""
    return _REMEDIES.get(node.op.name, "")


def _place(node: Node, calls: list[Call]) -> tuple[str, str]:
    """The kernel, and the statement, that compute it; the first of those that could be."""
    for call in calls:
        for stmt in _statements(call.kernel):
            places = () if stmt.loc is None else stmt.loc.every
            if _line(node.loc) in map(_line, places) and not _names(node).isdisjoint(_ops(stmt)):
                return call.kernel.name, statement_text(stmt)
    return (calls[0].kernel.name, "") if len(calls) == 1 else ("", "")


def _line(loc: Loc | None) -> object:
    """What the places of a node and of its statement have in common."""
    return None if loc is None else (loc.file, loc.line, loc.module, loc.backward)


def _statements(kernel: k.Kernel) -> Iterator[k.Stmt]:
    for stage in kernel.stages + kernel.final:
        yield from stage.body


def _ops(stmt: k.Stmt) -> set[str]:
    found = {e.op for operand in k.operands(stmt) for e in k.walk(operand) if isinstance(e, k.Call)}
    return found | {stmt.op} if isinstance(stmt, k.Reduce | k.Scan) else found


def _names(node: Node) -> set[str]:
    """What a statement that computes `node` may call."""
    if node.op.kind == "contract":
        return {"dot", "sum"}
    return {node.op.lower, "dot"} if node.op.kind in ("reduce", "scan") else {node.op.name}
