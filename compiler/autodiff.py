"""Reverse-mode differentiation, graph to graph.

    out = sum(where(m, f(x), g(x)))      d out/dx:  where(m, ct * f'(x), ct * g'(x))

A cotangent that comes out of a `where` is zero by structure, not by value, in the elements that
the mask rules out. So elementwise ops are differentiated under the mask: where(m, c, 0) times f'
becomes where(m, c * f', 0). An infinity or NaN in the branch that was not taken never reaches the gradient,
and the two halves of a `where` meet again as one.

    out = sum(where(m, broadcast(sqrt(p)), 0))      d out/dp:  where(any(m), sum(where(m, ct, 0)) * f', 0)

Other ops carry the mask on to their operands (`live` of their records), where that matters: where a value
or a slope that is not finite may wait on the way to `wrt` (`_Risk`). There two masked cotangents that are
added are masked by either. A product carries masks of whole rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import ops
from .graph import LOC, Node, toposort

# One layer of masking: the mask, and whether the cotangent stands where the mask is true.
_Mask = tuple[Node, bool]


def gradients(output: Node, cotangent: Node, wrt: Sequence[Node]) -> list[Node | None]:
    """The cotangent of each node of `wrt`, given that of `output`; None where `output` does not
    depend on it. The result is graph like any other, and can be differentiated again."""
    if cotangent.type != output.type:
        raise TypeError(f"the cotangent is {cotangent.type}, the output {output.type}")
    order = toposort([output])
    active = _depends(order, wrt)
    found: dict[Node, Node] = {output: cotangent}
    risk = _Risk(order, active)
    before = LOC.set(output.loc)
    try:
        with ops.shared_constants():
            for node in reversed(order):
                ct = found.get(node)
                if ct is not None and node in active and node.op.vjp is not None:
                    LOC.set(node.loc)
                    _spread(node, ct, active, found, risk)
    finally:
        LOC.reset(before)
    return [found.get(n) for n in wrt]


def _spread(node: Node, ct: Node, active: set[Node], found: dict[Node, Node], risk: _Risk) -> None:
    """The part of the cotangent of `node` that each operand gets."""
    needs = tuple([n in active for n in node.inputs])
    if True not in needs:
        return
    for source, need, part in zip(node.inputs, needs, _vjp(node, ct, needs, risk), strict=True):
        if need and part is not None:
            old = found.get(source)
            found[source] = part if old is None else _accumulate(old, part, source, risk)


def _depends(order: list[Node], wrt: Iterable[Node]) -> set[Node]:
    """The floats among `wrt` and all that is computed from them."""
    active = {n for n in wrt if n.type.dtype.is_float}
    for node in order:
        if node.op.vjp is not None and node.type.dtype.is_float and not active.isdisjoint(node.inputs):
            active.add(node)
    return active


class _Risk:
    """Where values or slopes that are not finite may come from finite ones."""

    def __init__(self, order: list[Node], active: set[Node]) -> None:
        self._order, self._active = order, active
        self._values: set[Node] | None = None
        self._ways: set[Node] = set()

    @property
    def values(self) -> set[Node]:
        """Nodes whose value may not be finite."""
        if self._values is None:  # few graphs ask
            self._values = set()
            for node in self._order:
                tainted = not self._values.isdisjoint(node.inputs)
                if tainted or node.op.singular:
                    self._values.add(node)
                if node in self._active and (
                    node.op.singular or tainted or not self._ways.isdisjoint(node.inputs)
                ):
                    self._ways.add(node)
        return self._values

    def ahead(self, node: Node) -> bool:
        """Whether the cotangent of `node` meets such a value or slope on its way to `wrt`."""
        return bool(self.values) and node in self._ways


def _live(masks: list[_Mask]) -> Node:
    """One mask, true where all say so: of rows, if they all are."""
    rows = [m for m, _ in masks if m.op is ops.BROADCAST]
    if len(rows) == len(masks) and len({m.inputs[0].shape for m in rows}) == 1:
        return ops.BROADCAST(_live([(m.inputs[0], side) for m, side in masks]), shape=masks[0][0].shape)
    first, *rest = [mask if side else ops.NOT(mask) for mask, side in dict.fromkeys(masks)]
    for mask in rest:
        first = ops.AND(first, mask)
    return first


def _carried(
    node: Node, ct: Node, needs: tuple[bool, ...], risk: _Risk
) -> tuple[tuple[Node | None, ...], Node]:
    """The mask of `ct` as masks of the operands, and `node` over operands whose dead values are 0."""
    none = (None,) * len(node.inputs), node
    live = node.op.live or (node.op.vjp if node.op.kind == "view" else None)
    if live is None or _split(ct) is None:
        return none
    # A product multiplies by its other operand.
    meets = node.op.kind == "contract" and not risk.values.isdisjoint(node.inputs)
    if not (meets or any(need and risk.ahead(n) for n, need in zip(node.inputs, needs, strict=True))):
        return none
    carried = live(node, _live(_peel(ct)[0]), needs)
    if meets:
        operands = [
            x if mask is None or x not in risk.values else ops.WHERE(mask, x, ops.zeros_like(x))
            for x, mask in zip(node.inputs, carried, strict=True)
        ]
        return carried, Node(node.op, tuple(operands), node.attrs)
    return carried, node


def _vjp(node: Node, ct: Node, needs: tuple[bool, ...], risk: _Risk) -> tuple[Node | None, ...]:
    assert node.op.vjp is not None
    if node.op.kind != "elementwise":
        carried, safe = _carried(node, ct, needs, risk)
        found = node.op.vjp(safe, ct, needs)
        return tuple(
            part if part is None or mask is None else _wrap(part, [(mask, True)])
            for part, mask in zip(found, carried, strict=True)
        )
    masks, core = _peel(ct)
    parts = node.op.vjp(node, core, needs)
    if not masks:
        return parts
    wrapped = {core: ct}
    for part, need in zip(parts, needs, strict=True):
        if need and part is not None and part not in wrapped:  # operands often get the same
            wrapped[part] = _wrap(part, masks)
    return tuple([None if part is None else wrapped.get(part) for part in parts])


def _is_zero(node: Node) -> bool:
    while node.op is ops.BROADCAST:
        node = node.inputs[0]
    return node.op is ops.CONST and node.attrs["value"] == 0


def _split(ct: Node) -> tuple[_Mask, Node] | None:
    if ct.op is ops.WHERE:
        mask, yes, no = ct.inputs
        if _is_zero(no):
            return (mask, True), yes
        if _is_zero(yes):
            return (mask, False), no
    return None


def _peel(ct: Node) -> tuple[list[_Mask], Node]:
    masks: list[_Mask] = []
    while (layer := _split(ct)) is not None:
        masks.append(layer[0])
        ct = layer[1]
    return masks, ct


def _wrap(ct: Node, masks: list[_Mask]) -> Node:
    for mask, side in reversed(masks):
        if _is_zero(ct):
            return ct
        zero = ops.zeros_like(ct)
        ct = ops.WHERE(mask, ct, zero) if side else ops.WHERE(mask, zero, ct)
    return ct


def _accumulate(a: Node, b: Node, source: Node, risk: _Risk) -> Node:
    """a + b, the cotangent of `source`, where zeros by structure add nothing."""
    if _is_zero(a):
        return b
    if _is_zero(b):
        return a
    left, right = _split(a), _split(b)
    if left and right and left[0][0] is right[0][0]:
        (mask, side), x = left
        (_, other), y = right
        if side != other:
            return ops.WHERE(mask, x, y) if side else ops.WHERE(mask, y, x)
        return _wrap(_accumulate(x, y, source, risk), [(mask, side)])
    if left and right and risk.ahead(source):
        either = ops.OR(_live(_peel(a)[0]), _live(_peel(b)[0]))
        return _wrap(ops.ADD(a, b), [(either, True)])
    return ops.ADD(a, b)
