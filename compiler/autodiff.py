"""Reverse-mode differentiation, graph to graph.

    out = sum(where(m, f(x), g(x)))      d out/dx:  where(m, ct * f'(x), ct * g'(x))

A cotangent that comes out of a `where` is zero by structure, not by value, in the elements that
the mask rules out. So elementwise ops are differentiated under the mask: where(m, c, 0) times f'
becomes where(m, c * f', 0). An infinity or NaN in the branch that was not taken never reaches the gradient,
and the two halves of a `where` meet again as one.
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
    before = LOC.set(output.loc)
    try:
        with ops.shared_constants():
            for node in reversed(order):
                ct = found.get(node)
                if ct is not None and node in active and node.op.vjp is not None:
                    LOC.set(node.loc)
                    _spread(node, ct, active, found)
    finally:
        LOC.reset(before)
    return [found.get(n) for n in wrt]


def _spread(node: Node, ct: Node, active: set[Node], found: dict[Node, Node]) -> None:
    """The part of the cotangent of `node` that each operand gets."""
    needs = tuple([n in active for n in node.inputs])
    if True not in needs:
        return
    for source, need, part in zip(node.inputs, needs, _vjp(node, ct, needs), strict=True):
        if need and part is not None:
            found[source] = _accumulate(found[source], part) if source in found else part


def _depends(order: list[Node], wrt: Iterable[Node]) -> set[Node]:
    """The floats among `wrt` and all that is computed from them."""
    active = {n for n in wrt if n.type.dtype.is_float}
    for node in order:
        if node.op.vjp is not None and node.type.dtype.is_float and not active.isdisjoint(node.inputs):
            active.add(node)
    return active


def _vjp(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    assert node.op.vjp is not None
    if node.op.kind != "elementwise":
        return node.op.vjp(node, ct, needs)
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


def _accumulate(a: Node, b: Node) -> Node:
    """a + b, where zeros by structure add nothing."""
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
        return _wrap(_accumulate(x, y), [(mask, side)])
    return ops.ADD(a, b)
