"""Reverse-mode differentiation, graph to graph.

    out = sum(where(m, f(x), g(x)))      d out/dx:  where(m, ct * f'(x), ct * g'(x))

A cotangent that comes out of a `where` is zero by structure, not by value, in the elements that
the mask rules out, and what has no cotangent contributes nothing, whatever the derivative there: an
infinity or NaN in the branch that was not taken never reaches the gradient. So elementwise ops are
differentiated under the mask: where(m, c, 0) times f' becomes where(m, c * f', 0), and the two halves
of a `where` meet again as one.

Beyond elementwise ops the mask travels beside the cotangent, transposed as it is, with `any` in the place of
a sum, because a sum is zero by structure where all of its terms are: through a broadcast it becomes any(m),
through a sum it is broadcast, through a slice padded with False. It is written into the graph again
only where a derivative may be infinite or NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from .. import ops
from ..ir.data import data
from ..ir.graph import LOC, Graph, Node, at, backward_of, rebuild, toposort
from ..ir.types import b1

# One layer of masking: the mask, and whether the cotangent stands where the mask is true.
_Layer = tuple[Node, bool]


class Tap(Protocol):
    """Given the cotangents of its nodes, each at its number, says what they are from there on; or, if it goes
    `onward`, what those of its sources are: a derivative of somebody's own. `sources`: what its nodes are
    made of, all of which come after all of them on the way back."""

    sources: tuple[Node, ...]
    onward: bool

    def __call__(self, parts: list[Node | None]) -> Sequence[Node | None]: ...


Taps = Mapping[Node, tuple[Tap, int]]


class _Mask:
    """Where a cotangent may be other than zero. Most are never asked for: who asks first makes the nodes."""

    def __init__(self, make: Callable[..., Node], *args: Any) -> None:
        self._make, self._args = make, args
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        if self._node is None:
            self._node = self._make(*[a.node if isinstance(a, _Mask) else a for a in self._args])
        return self._node


@data
class _Live:
    """What is known of a cotangent that its node does not show; None: it may be other than zero everywhere.

    `sure` leaves out the masks that only bound the value that they select, as relu's: what they rule out
    compared with a number, so it was no NaN, and neither was anything that it was made from. Where the
    derivative is finite at all finite operands that is enough (an infinite operand of a product is left out),
    and costs a network of such units nothing."""

    all: _Mask | None = None
    sure: _Mask | None = None


_EVERYWHERE = _Live()


def gradients(output: Node, cotangent: Node, wrt: Sequence[Node], first: bool = False) -> list[Node | None]:
    """The cotangent of each node of `wrt`, given that of `output`; None where `output` does not
    depend on it. The result is graph like any other, and can be differentiated again. `first`: none of `wrt`
    is made of another, so that what they are made of is not looked at."""
    return pullback((output,), (cotangent,), wrt, first)


def pullback(
    outputs: Sequence[Node],
    cotangents: Sequence[Node],
    wrt: Sequence[Node],
    first: bool = False,
    taps: Taps | None = None,
) -> list[Node | None]:
    """`gradients`, of several outputs at once: the sum of what comes back of all of them. `taps`: what is
    given the cotangents of some nodes, once they are complete, and says what goes on in their place."""
    taps = taps or {}
    order = toposort(outputs, set(wrt) if first else (), behind(taps) if taps else None)
    sweep = _Sweep(_depends(order, wrt, taps), taps, order)
    found = sweep.found
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if cotangent.type != output.type:
            raise TypeError(f"the cotangent is {cotangent.type}, the output {output.type}")
        found.setdefault(output, []).append(cotangent)
    with at(outputs[0].loc if outputs else None), ops.shared_constants():
        for last in reversed(order):
            for node in sweep.complete(last) if taps else (last,):
                if node in found and node in sweep.active and node.op.vjp is not None:
                    LOC.set(backward_of(node.loc, node.op.name))
                    sweep.spread(node, sweep.total(node))
        totals: list[Node | None] = []
        for node in wrt:
            if first and node in taps and node in found:  # not in the order
                found[node] = [n for n in taps[node][0]([sweep.total(node)]) if n is not None]
            if node in found:  # their sum is where the last of them is, and of what that is
                LOC.set(found[node][-1].loc)
            totals.append(sweep.total(node) if node in found else None)
        return totals


def behind(taps: Taps) -> Callable[[Node], tuple[Node, ...]]:
    """What comes after a node on the way back, beside its inputs."""
    return lambda node: taps[node][0].sources if node in taps else ()


def before(graph: Graph) -> Graph:
    """What a graph was before it was differentiated: without the nodes of gradients, and all that is made of
    them; its outputs are those that are left, and what only those nodes read."""
    order = toposort(graph.outputs)
    later: set[Node] = set()
    for node in order:
        if (node.loc is not None and node.loc.backward) or not later.isdisjoint(node.inputs):
            later.add(node)
    left = [node for node in order if node not in later]
    read = {source for node in left for source in node.inputs}
    ends = [node for node in left if node not in read and node.op.kind != "leaf"]
    outputs = tuple(dict.fromkeys([*(node for node in graph.outputs if node not in later), *ends]))
    return (
        Graph(graph.name, tuple(node for node in graph.inputs if node in left), outputs) if later else graph
    )


def made_of(node: Node, taps: Taps) -> tuple[Node, ...]:
    """What the cotangent of a node goes to, if its op has a derivative: its inputs, or the sources of a tap
    that goes onward."""
    if node in taps and taps[node][0].onward:
        return taps[node][0].sources
    return node.inputs


def _depends(order: list[Node], wrt: Iterable[Node], taps: Taps) -> set[Node]:
    """The floats and complex numbers among `wrt`, and all that is computed from them."""
    active = {n for n in wrt if n.type.dtype.is_inexact}
    for node in order:
        derived = node.op.vjp is not None and node.type.dtype.is_inexact
        if derived and not active.isdisjoint(made_of(node, taps)):
            active.add(node)
    return active


class _Sweep:
    """One way back through a graph: the cotangents so far, and what is known of them."""

    def __init__(self, active: set[Node], taps: Taps, order: list[Node]) -> None:
        self.active = active
        self.taps = taps
        self.tapped: dict[Tap, list[Node]] = {}  # the nodes of each, in order
        for node in order if taps else ():
            if node in taps:
                self.tapped.setdefault(taps[node][0], []).append(node)
        self.found: dict[Node, list[Node]] = {}  # what is to be added for each node
        self.live: dict[Node, _Live] = {}  # of cotangents, without the layers that they show
        self.bounds: set[Node] = set()  # masks that only bound what they select

    def complete(self, node: Node) -> Sequence[Node]:
        """Whose cotangents are known once all behind `node` have given theirs: its own; with a tap those of
        all nodes of that, which it has been given, or of none yet."""
        if node not in self.taps:
            return (node,)
        tap = self.taps[node][0]
        nodes = self.tapped[tap]
        if nodes[0] is not node:
            return ()
        parts = {self.taps[n][1]: self.total(n) for n in nodes if n in self.found}
        if parts:
            made = tap([parts.get(k) for k in range(max(self.taps[n][1] for n in nodes) + 1)])
            if tap.onward:
                for n, part in zip(tap.sources, made, strict=True):
                    if n in self.active and part is not None:
                        self.found.setdefault(n, []).append(part)
                return ()
            for n in nodes:
                part = made[self.taps[n][1]]
                if part is None:
                    self.found.pop(n, None)
                else:
                    self.found[n] = [part]
        return nodes

    def spread(self, node: Node, ct: Node) -> None:
        """The part of the cotangent of `node` that each operand gets."""
        needs = tuple([n in self.active for n in node.inputs])
        if True not in needs:
            return
        if node.op is ops.PAD:
            ct = _within(ct, node.attrs["lo"], node.inputs[0].shape)
        for source, need, part in zip(node.inputs, needs, self._vjp(node, ct, needs), strict=True):
            if need and part is not None:
                self.found.setdefault(source, []).append(part)

    def total(self, node: Node) -> Node:
        """The cotangent of a node, once all that it was used for has given its part."""
        parts = self.found[node]
        if len(parts) > 1:
            total, *rest = self._joined(parts)
            for part in rest:
                total = self._accumulate(total, part)
            self.found[node] = parts = [total]
        return parts[0]

    def _joined(self, parts: list[Node]) -> list[Node]:
        """Slices of one array have cotangents that are zero outside of them. Of those that lie apart along an
        axis nothing is added: they are put side by side, in the place of the first of them."""
        by_axis: dict[int, list[Node]] = {}
        for part in parts:
            if (axis := _padded_axis(part)) is not None:
                by_axis.setdefault(axis, []).append(part)
        for axis, slices in by_axis.items():
            runs = sorted(((p.attrs["lo"][axis], p.inputs[0]) for p in slices), key=lambda run: run[0])
            ends = [at + n.shape[axis] for at, n in runs]
            if len(runs) < 2 or any(at < end for (at, _), end in zip(runs[1:], ends, strict=False)):
                continue
            size = slices[0].shape[axis]
            whole = ops.joined(runs, axis, size)
            known = [self._known(n) for _, n in runs]
            gaps = sum(n.shape[axis] for _, n in runs) < size
            if gaps or any(live is not _EVERYWHERE for live in known):
                self.live[whole] = _side_by_side(runs, known, axis, size)
            first = parts.index(slices[0])
            kept = set(slices)
            before, after = ([p for p in some if p not in kept] for some in (parts[:first], parts[first:]))
            parts = [*before, whole, *after]
        return parts

    def _vjp(self, node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
        layers, core = _peel(ct)
        for mask, side in layers:
            if not side and mask.op in _ORDERED and node in mask.inputs:
                self.bounds.add(mask)
        if node.op.kind == "elementwise":
            return self._elementwise(node, ct, needs, layers, core)
        if node.op.kind == "contract":
            return self._contract(node, ct, needs)
        assert node.op.vjp is not None
        parts = node.op.vjp(node, ct, needs)
        # each element may depend on all: a mask rules out nothing
        if node.op.kind in ("composed", "pair", "host"):
            return parts
        known = self._known(ct)
        if node.op in (ops.SLICE, ops.GATHER, *ops.SCATTERS) and known.all is None:
            known = _Live(_Mask(_all_true, ct.shape), known.sure)
        if parts[0] is not None and parts[0] is not ct and known is not _EVERYWHERE:
            self.live[_peel(parts[0])[1]] = _each(known, _CHANGES[node.op.kind], node)
        return parts

    def _elementwise(
        self, node: Node, ct: Node, needs: tuple[bool, ...], layers: list[_Layer], core: Node
    ) -> tuple[Node | None, ...]:
        parts = _derived(node, core, needs)
        known = self.live.get(core, _EVERYWHERE)
        mask = None if node.op.slope == "constant" else known.sure if node.op.slope == "finite" else known.all
        if mask is not None:
            layers = [*layers, (mask.node, True)]
        if not layers and known is _EVERYWHERE:
            return parts
        wrapped = {} if mask is not None else {core: ct}
        for part, need in zip(parts, needs, strict=True):
            if need and part is not None and part not in wrapped:  # operands often get the same
                if mask is None and known is not _EVERYWHERE:
                    self.live[_peel(part)[1]] = known
                wrapped[part] = _wrap(part, layers)
        return tuple([None if part is None else wrapped.get(part) for part in parts])

    def _contract(self, node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
        """What an operand has where nothing asks for it is read as 0; outside of a slice it is not read."""
        assert node.op.vjp is not None
        if ct.op is ops.PAD:
            return self._sliced(node, ct, needs)
        known = self._known(ct)
        if known is _EVERYWHERE:
            return node.op.vjp(node, ct, needs)
        a, b, out = ops.parse_spec(node.attrs["spec"])
        masks = [
            _each(known, _projected, out, own, n.shape) for n, own in zip(node.inputs, (a, b), strict=True)
        ]
        operands = [
            n if m.sure is None else _wrap(n, [(m.sure.node, True)])
            for n, m in zip(node.inputs, masks, strict=True)
        ]
        parts = node.op.vjp(rebuild(node, tuple(operands)), ct, needs)
        for part, mask in zip(parts, masks, strict=True):
            if part is not None:
                self.live[part] = mask
        return parts

    def _sliced(self, node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
        """Of a product of which only a slice counts: that of slices."""
        *own, out = ops.parse_spec(node.attrs["spec"])
        place = dict(
            zip(out, zip(ct.attrs["lo"], ct.inputs[0].shape, ct.attrs["hi"], strict=True), strict=True)
        )
        operands = list(node.inputs)
        for k, letters in enumerate(own):
            for axis, x in enumerate(letters):
                lo, count, _ = place.get(x, (0, operands[k].shape[axis], 0))
                operands[k] = ops.narrow(operands[k], axis, lo, count)
        parts = list(self._contract(Node(node.op, tuple(operands), node.attrs), ct.inputs[0], needs))
        for k, (part, letters) in enumerate(zip(parts, own, strict=True)):
            if part is not None:
                lo, _, hi = zip(*[place.get(x, (0, 0, 0)) for x in letters], strict=True)
                parts[k] = padded = ops.PAD(part, lo=lo, hi=hi)
                known = self.live.get(part, _EVERYWHERE)
                inside = known.all or _Mask(_all_true, part.shape)
                self.live[padded] = _each(
                    _Live(inside, known.sure), lambda m, lo, hi: ops.PAD(m, lo=lo, hi=hi), lo, hi
                )
        return tuple(parts)

    def _known(self, ct: Node) -> _Live:
        """Where `ct` may be other than zero, the layers that it shows included."""
        layers, core = _peel(ct)
        known = self.live.get(core, _EVERYWHERE)
        for mask, side in reversed(layers):
            own = _Mask(_same if side else _not, mask)
            sure = known.sure if not side and mask in self.bounds else _both(own, known.sure)
            known = _Live(_both(own, known.all), sure)
        return known

    def _accumulate(self, a: Node, b: Node) -> Node:
        """a + b, where zeros by structure add nothing."""
        if a.type.dtype.is_complex:
            return ops.COMPLEX(*(self._accumulate(part(a), part(b)) for part in (ops.RE, ops.IM)))
        if _is_zero(a):
            return b
        if _is_zero(b):
            return a
        left, right = _split(a), _split(b)
        if left and right and left[0][0] is right[0][0]:
            (mask, side), x = left
            (_, other), y = right
            if side == other:
                return _wrap(self._accumulate(x, y), [(mask, side)])
            yes, no = (x, y) if side else (y, x)
            result = ops.WHERE(mask, yes, no)
            p, q = self._known(yes), self._known(no)
            if p is not _EVERYWHERE or q is not _EVERYWHERE:
                self.live[result] = _Live(_chosen(mask, p.all, q.all), _chosen(mask, p.sure, q.sure))
            return result
        result = ops.ADD(a, b)
        p, q = self._known(a), self._known(b)
        if p is not _EVERYWHERE and q is not _EVERYWHERE:
            self.live[result] = _Live(_either(p.all, q.all), _either(p.sure, q.sure))
        return result


def _derived(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """The vjp of an elementwise op; of formats for memory alone in the wide one, rounded once."""
    assert node.op.vjp is not None
    dtype = node.type.dtype
    if dtype.wide is None or node.op.slope == "constant":
        return node.op.vjp(node, ct, needs)
    wide = {n: ops.CAST(n, dtype=dtype.wide) for n in (*node.inputs, ct)}
    parts = node.op.vjp(Node(node.op, tuple([wide[n] for n in node.inputs]), node.attrs), wide[ct], needs)
    rounded: list[Node | None] = []
    for part in parts:
        layers, core = _peel(part) if part is not None else ([], None)
        rounded.append(None if core is None else _wrap(ops.CAST(core, dtype=dtype), layers))
    return tuple(rounded)


# --- cotangents that show their zeros ------------------------------------------------------------


def _is_zero(node: Node) -> bool:
    while node.op is ops.BROADCAST:
        node = node.inputs[0]
    return node.op is ops.CONST and node.attrs["value"] == 0


def _split(ct: Node) -> tuple[_Layer, Node] | None:
    if ct.op is ops.WHERE:
        mask, yes, no = ct.inputs
        if _is_zero(no):
            return (mask, True), yes
        if _is_zero(yes):
            return (mask, False), no
    return None


def _peel(ct: Node) -> tuple[list[_Layer], Node]:
    layers: list[_Layer] = []
    while (layer := _split(ct)) is not None:
        layers.append(layer[0])
        ct = layer[1]
    return layers, ct


def _wrap(ct: Node, layers: list[_Layer]) -> Node:
    for mask, side in reversed(layers):
        if _is_zero(ct):
            return ct
        zero = ops.zeros_like(ct)
        ct = ops.WHERE(mask, ct, zero) if side else ops.WHERE(mask, zero, ct)
    return ct


def _within(ct: Node, begins: Sequence[int], counts: Sequence[int]) -> Node:
    """A cotangent of which only a slice counts, without masks that say nothing there, as those of what is put
    side by side."""
    layers, core = _peel(ct)
    left: list[_Layer] = []
    for mask, side in layers:
        holds = ops.decided(mask, begins, counts)
        if holds is None:
            left.append((mask, side))
        elif holds != side:
            return ops.zeros_like(ct)
    return ct if len(left) == len(layers) else _wrap(core, left)


def _padded_axis(ct: Node) -> int | None:
    """The axis along which there are zeros around, if there is just one."""
    if ct.op is not ops.PAD:
        return None
    axes = [k for k, around in enumerate(zip(ct.attrs["lo"], ct.attrs["hi"], strict=True)) if any(around)]
    return axes[0] if len(axes) == 1 else None


# --- masks ---------------------------------------------------------------------------------------

# A comparison that holds says that neither side is NaN.
_ORDERED = (ops.LT, ops.LE, ops.GT, ops.GE, ops.EQ)


def _each(known: _Live, change: Callable[..., Node], *args: Any) -> _Live:
    """`change(mask, *args)` of both."""
    full = None if known.all is None else _Mask(change, known.all, *args)
    same = known.sure is known.all or known.sure is None
    return _Live(full, (known.sure and full) if same else _Mask(change, known.sure, *args))


def _same(mask: Node) -> Node:
    return mask


def _all_true(shape: tuple[int, ...]) -> Node:
    return ops.fill(ops.CONST(value=True, dtype=b1), shape)


def _not(mask: Node) -> Node:
    """Within broadcasts, so that it stays visible along which axes a mask is the same."""
    if mask.op is ops.BROADCAST:
        return ops.BROADCAST(_not(mask.inputs[0]), shape=mask.shape)
    return mask.inputs[0] if mask.op is ops.NOT else ops.NOT(mask)


def _both(a: _Mask, b: _Mask | None) -> _Mask:
    return a if b is None else _Mask(ops.AND, a, b)


def _either(a: _Mask | None, b: _Mask | None) -> _Mask | None:
    return None if a is None or b is None else _Mask(ops.OR, a, b)


def _side_by_side(runs: Sequence[tuple[int, Node]], known: Sequence[_Live], axis: int, size: int) -> _Live:
    """What is known of parts that begin at places along an axis, with zeros between them."""
    begins = [at for at, _ in runs]

    def joined(*masks: Node) -> Node:
        return ops.joined([*zip(begins, masks, strict=True)], axis, size)

    def whole(masks: Sequence[_Mask | None]) -> _Mask:
        every = [m or _Mask(_all_true, n.shape) for m, (_, n) in zip(masks, runs, strict=True)]
        return _Mask(joined, *every)

    sure = [live.sure for live in known]
    return _Live(whole([live.all for live in known]), whole(sure) if any(sure) else None)


def _chosen(mask: Node, yes: _Mask | None, no: _Mask | None) -> _Mask | None:
    """Where `mask` holds, `yes`, else `no`."""
    if yes is None:
        return None if no is None else _Mask(ops.OR, mask, no)
    return _Mask(ops.OR, _Mask(_not, mask), yes) if no is None else _Mask(ops.WHERE, mask, yes, no)


def _transposed(mask: Node, node: Node) -> Node:
    """The mask of what goes to the operand of a view or a reduction: their vjp, over booleans."""
    op = ops.SUM if node.op.kind == "reduce" else node.op
    assert op.vjp is not None
    (result,) = op.vjp(node, mask, (True,))
    assert result is not None
    return result


def _indexed(mask: Node, node: Node) -> Node:
    """The mask of what is indexed, or of what goes to places."""
    indices, axes = node.inputs[1:], node.attrs["axes"]
    if node.op in ops.SCATTERS:
        return ops.GATHER(mask, *indices, axes=axes)
    return ops.SCATTER_MAX(mask, *indices, shape=node.inputs[0].shape, axes=axes)


def _sorted(mask: Node, node: Node) -> Node:
    return ops.SCATTER_MAX(mask, *ops.sorted_from(node), shape=node.shape, axes=tuple(range(node.type.ndim)))


def _scanned(mask: Node, node: Node) -> Node:
    """The mask of what the results from here on are made of."""
    axis = node.attrs["axis"]
    return ops.flip(ops.CUMMAX(ops.flip(mask, axis), axis=axis), axis)


# How a mask goes back through an op, by its kind.
_CHANGES = {
    "view": _transposed, "reduce": _transposed, "index": _indexed, "sort": _sorted, "scan": _scanned,
}  # fmt: skip


def _projected(mask: Node, letters: str, onto: str, shape: tuple[int, ...]) -> Node:
    """The mask over axes `letters` as one over the axes `onto`, of `shape`: any over those that `onto` lacks,
    the same along those that `letters` lacks."""
    mask = ops.any_(mask, tuple([k for k, x in enumerate(letters) if x not in onto]))
    left = [x for x in letters if x in onto]
    order = [left.index(x) for x in onto if x in left]
    if order != sorted(order):
        mask = ops.TRANSPOSE(mask, perm=tuple(order))
    return ops.fill(
        ops.reshape(mask, tuple([n if x in left else 1 for x, n in zip(onto, shape, strict=True)])), shape
    )
