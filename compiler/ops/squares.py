"""Sums of squares, told by their form: where one is 0, its root has the subgradient 0."""

from __future__ import annotations

from ..ir.graph import Node, rebuild, toposort
from .contract import CONTRACT, parse_spec
from .elementwise import ABS, ADD, CAST, DIV, MUL, WHERE
from .leaves import CONST, INPUT, SCALAR, ask, exact
from .reduce import SUM
from .view import BROADCAST


def squares_in(x: Node) -> Node | None:
    """Of what is by its form a sum of squares, each times anything: a node that is 0 only where all squares
    are, so that the gradient of `x` is, too. `x` itself if the squares are times numbers."""
    known: dict[Node, Node] = {}
    left = [x]
    for node in left:  # grows
        if node in known:
            continue
        if node.op in (ADD, SUM, CAST) or node.op.kind == "view":
            left += node.inputs
        elif node.op is WHERE:
            mask, *branches = node.inputs
            numbers = [n for n in branches if _at_least_0(n)]
            known.update((n, n) for n in (mask, *numbers))
            left += [n for n in branches if n not in numbers]
        else:
            square = _square(node)
            if square is None:
                return None
            known[node] = square
    for node in toposort([x], tuple(known)):
        known[node] = rebuild(node, tuple([known[n] for n in node.inputs]))
    return known[x]


def _square(node: Node) -> Node | None:
    """The same of a product, two of whose factors are one, or one a sum of squares."""
    if node.op is CONTRACT:
        a, b, _ = parse_spec(node.attrs["spec"])
        return node if a == b and _alike(*node.inputs) else None
    factors: list[Node] = []
    divisors: list[Node] = []
    left = [node]
    for n in left:  # grows
        if n.op is MUL and not _alike(*n.inputs):
            left += n.inputs
        elif n.op is DIV:
            left.append(n.inputs[0])
            divisors.append(n.inputs[1])
        else:
            factors.append(n)
        if len(left) > 32:
            return None
    for k, f in enumerate(factors):
        others = [*factors[:k], *factors[k + 1 :], *divisors]
        twin = next((g for g in factors[k + 1 :] if _alike(f, g)), None)
        if twin is not None:
            others.remove(twin)
            return node if all(map(_at_least_0, others)) else ABS(f)  # its square might underflow
        sums = f.op in (SUM, ADD, CAST, CONTRACT) or f.op.kind == "view"
        inner = f if f.op is MUL else squares_in(f) if sums else None
        if inner is not None:
            return node if inner is f and all(map(_at_least_0, others)) else inner
    return None


def _alike(a: Node, b: Node) -> bool:
    """Whether both are one value, made twice in a few steps, as in `x[0] * x[0]`."""
    pairs = [(a, b)]
    for a, b in pairs:  # grows
        if a is not b:
            if a.op is not b.op or a.op is INPUT or len(pairs) > 50:
                return False
            if ask(exact, a) != ask(exact, b) if a.op is SCALAR else dict(a.attrs) != dict(b.attrs):
                return False
            pairs += zip(a.inputs, b.inputs, strict=True)
    return True


def _at_least_0(node: Node) -> bool:
    """Whether `node` is such a number."""
    while node.op is BROADCAST:
        node = node.inputs[0]
    return (node.op is CONST or node.op is SCALAR) and ask(_not_negative, node)


def _not_negative(value: float) -> bool:
    return value >= 0
