"""Products of several arrays: `einsum` by contractions of two, and what is written with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, b1, f64, i64

from .complexes import by_parts, conj, real
from .elementwise import add, mul, sub
from .joins import concatenate, diagonal, on_diagonal, roll
from .promote import Value, cast, float_dtype, result_dtype, weak
from .shapes import mean, normal_axis, sum_, transpose

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Term:
    """An operand of a formula: a node, and a letter for each of its axes."""

    __slots__ = ("letters", "node")

    def __init__(self, node: Node, letters: str) -> None:
        self.node, self.letters = node, letters

    def ordered(self, letters: str) -> Node:
        """With its axes in the order of `letters`, those that it lacks with extent 1."""
        kept = [x for x in letters if x in self.letters]
        node = transpose(self.node, tuple(self.letters.index(x) for x in kept)) if kept else self.node
        extent = dict(zip(kept, node.shape, strict=True))
        return ops.reshape(node, tuple(extent.get(x, 1) for x in letters))

    def summed(self, letters: str) -> Term:
        """Without `letters`, over which it is summed."""
        axes = tuple(k for k, x in enumerate(self.letters) if x in letters)
        kept = "".join(x for x in self.letters if x not in letters)
        return Term(ops.sum_(self.node, axes), kept) if axes else self


def lettered(*given: Any) -> tuple[str, tuple[Any, ...]]:
    """The formula and the operands of `einsum(a, [0, 1], b, [1, 2], [0, 2])`."""
    lists = [*given[1::2], *([given[-1]] if len(given) % 2 else [])]
    if any(not isinstance(axes, list | tuple) for axes in lists):
        raise TypeError(
            "einsum: expected a formula as text, or each operand with a list of its axes behind it"
        )
    letters = sorted(_LETTERS)  # an order of result that is not said is that of these
    try:
        parts = ["".join("..." if k is Ellipsis else letters[index(k)] for k in axes) for axes in lists]
    except (TypeError, IndexError):
        raise ValueError(f"einsum: axes are ints below {len(letters)} or ..., not {lists}") from None
    count = len(given) // 2
    return "->".join([",".join(parts[:count]), *parts[count:]]), given[: 2 * count : 2]


def parse(formula: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; those that `...` stands for are unused ones."""
    text = formula.replace(" ", "")
    left, arrow, out = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(nodes):
        raise ValueError(f"einsum: {formula!r} names {len(parts)} operands, got {len(nodes)}")
    if any(not c.isalpha() or not c.isascii() for c in "".join([*parts, out]).replace("...", "")):
        raise ValueError(f"einsum: {formula!r} has more in it than letters, commas, '...' and '->'")
    spare = [c for c in _LETTERS if c not in text]
    most = 0
    for part, node in zip(parts, nodes, strict=True):
        free = node.type.ndim - len(part.replace("...", ""))
        if free < 0 or (free and "..." not in part):
            raise ValueError(f"einsum: {part!r} does not fit an operand of shape {node.shape}")
        most = max(most, free if "..." in part else 0)
    if most > len(spare):
        raise ValueError(f"einsum: {formula!r} has too many axes")
    dots = "".join(spare[:most])
    named = [
        part.replace("...", dots[most - (node.type.ndim - len(part.replace("...", ""))) :] if most else "")
        for part, node in zip(parts, nodes, strict=True)
    ]
    if arrow:
        out = out.replace("...", dots)
    else:
        once = [c for c in "".join(parts).replace(".", "") if "".join(parts).count(c) == 1]
        out = dots + "".join(sorted(once))
    if len(set(out)) < len(out) or not set(out) <= set("".join(named)):
        raise ValueError(f"einsum: the result of {formula!r} must name letters of operands, each once")
    return named, out


def einsum(*nodes: Node, formula: str) -> Node:
    """NumPy's: the sum of products over the letters that the result lacks."""
    named, out = parse(formula, nodes)
    result = result_dtype(*map(weak, nodes))
    inner = i64 if result is b1 else result.computed
    extents: dict[str, int] = {}
    for letters, node in zip(named, nodes, strict=True):
        for x, n in zip(letters, node.shape, strict=True):
            if extents.setdefault(x, n) != n:
                if 1 not in (n, extents[x]):
                    raise ValueError(f"einsum: {x!r} of {formula!r} stands for {extents[x]} and for {n}")
                extents[x] = n if extents[x] == 1 else extents[x]
    terms = [_plain(cast(n, inner), s, extents) for n, s in zip(nodes, named, strict=True)]
    for first, second in _path(terms, out):
        b, a = terms.pop(second), terms.pop(first)
        rest = set(out).union(*(t.letters for t in terms))
        terms.append(_product(a, b, "".join(x for x in out if x in rest), rest))
    (term,) = terms
    term = term.summed("".join(x for x in term.letters if x not in out))
    node = term.ordered(out)
    node = ops.fill(node, tuple(extents[x] for x in out))
    return ops.NE(node, ops.const(0, node)) if result is b1 else cast(node, result)


def _plain(node: Node, letters: str, extents: dict[str, int]) -> Term:
    """Each letter once, and none for an axis of extent 1 that is another operand's."""
    kept = [k for k, x in enumerate(letters) if node.shape[k] == extents[x]]
    if len(kept) < len(letters):
        node = ops.reshape(node, tuple(node.shape[k] for k in kept))
        letters = "".join(letters[k] for k in kept)
    while twice := [x for x in letters if letters.count(x) > 1]:
        a = letters.index(twice[0])
        b = letters.index(twice[0], a + 1)
        node = diagonal(node, offset=0, axis1=a, axis2=b)
        letters = "".join(x for k, x in enumerate(letters) if k not in (a, b)) + twice[0]
    return Term(node, letters)


def _path(terms: list[Term], out: str) -> list[tuple[int, int]]:
    """Which two terms are multiplied next: the cheapest first, as NumPy finds it."""
    if len(terms) < 3:
        return [(0, 1)] * (len(terms) - 1)
    stand_ins = [np.broadcast_to(np.float32(0), t.node.shape) for t in terms]
    formula = ",".join(t.letters for t in terms) + "->" + out
    steps = np.einsum_path(formula, *stand_ins, optimize=("greedy", 2**62))[0][1:]
    pairs = []
    for step in steps:
        while len(step) > 2:  # several at once: one after the other, the product stands last
            pairs.append((step[0], step[1]))
            step = (*(k - 2 for k in step[2:]), len(terms) - len(pairs) - 1)
        if len(step) == 2:
            pairs.append((min(step), max(step)))
    return pairs


def _product(a: Term, b: Term, out: str, needed: set[str]) -> Term:
    """Of two terms: summed over the letters that nothing needs."""
    a = a.summed("".join(x for x in a.letters if x not in b.letters and x not in needed))
    b = b.summed("".join(x for x in b.letters if x not in a.letters and x not in needed))
    over = "".join(x for x in a.letters if x in b.letters and x not in needed)
    both = "".join(x for x in a.letters if x in b.letters and x not in over)
    left = "".join(x for x in a.letters if x not in b.letters)
    right = "".join(x for x in b.letters if x not in a.letters)
    letters = "".join(x for x in out if x in both + left + right)
    letters += "".join(x for x in both + left + right if x not in letters)
    if not over:
        shape = dict(zip(a.letters + b.letters, a.node.shape + b.node.shape, strict=False))
        full = tuple(shape[x] for x in letters)
        return Term(ops.MUL(*(ops.fill(t.ordered(letters), full) for t in (a, b))), letters)
    if max(map(len, (over, both, left, right))) == 1:
        return Term(ops.CONTRACT(a.node, b.node, spec=f"{a.letters},{b.letters}->{letters}"), letters)
    # Several letters of a kind are one axis.
    size = dict(zip(a.letters, a.node.shape, strict=True)) | dict(zip(b.letters, b.node.shape, strict=True))
    kinds = dict(zip("bmnk", (both, left, right, over), strict=True))
    both, left, right = (_in_order(kinds[k], letters) for k in "bmn")
    kinds.update(b=both, m=left, n=right)

    def flat(t: Term, order: str) -> tuple[Node, str]:
        node = t.ordered("".join(kinds[k] for k in order))
        names = "".join(k for k in order if kinds[k])
        return ops.reshape(node, tuple(math.prod(size[x] for x in kinds[k]) for k in names)), names

    (x, of_x), (y, of_y) = flat(a, "bmk"), flat(b, "bkn")
    made = "".join(k for k in "bmn" if kinds[k])
    product = ops.CONTRACT(x, y, spec=f"{of_x},{of_y}->{made}")
    names = both + left + right
    return Term(ops.reshape(product, tuple(size[x] for x in names)), names)


def _in_order(letters: str, of: str) -> str:
    return "".join(sorted(letters, key=of.index))


# --- products with names -------------------------------------------------------------------------


def tensordot(a: Node, b: Node, *, axes: int | Sequence[int | Sequence[int]] = 2) -> Node:
    """Sums over the last axes of a with the first ones of b, or over pairs of axes."""
    if isinstance(axes, int | np.integer):
        of_a, of_b = list(range(a.type.ndim - axes, a.type.ndim)), list(range(axes))
    else:
        pairs = [[k] if isinstance(k, int | np.integer) else list(k) for k in axes]
        of_a, of_b = ([normal_axis(k, n.type.ndim) for k in p] for p, n in zip(pairs, (a, b), strict=True))
    if len(of_a) != len(of_b) or any(
        k < 0 or k >= a.type.ndim or m >= b.type.ndim or a.shape[k] != b.shape[m]
        for k, m in zip(of_a, of_b, strict=True)
    ):
        raise ValueError(f"tensordot: shapes {a.shape} and {b.shape} do not fit along axes {axes}")
    letters_a = _LETTERS[: a.type.ndim]
    letters_b = list(_LETTERS[a.type.ndim : a.type.ndim + b.type.ndim])
    for k, m in zip(of_a, of_b, strict=True):
        letters_b[m] = letters_a[k]
    out = "".join(x for k, x in enumerate(letters_a) if k not in of_a)
    out += "".join(x for k, x in enumerate(letters_b) if k not in of_b)
    return einsum(a, b, formula=f"{letters_a},{''.join(letters_b)}->{out}")


def inner(a: Node, b: Node) -> Node:
    """Sums of products over the last axes."""
    if not a.type.ndim or not b.type.ndim:
        return mul(a, b)
    return tensordot(a, b, axes=(a.type.ndim - 1, b.type.ndim - 1))


def vdot(a: Node, b: Node) -> Node:
    """The sum of products of all elements; of complex numbers, those of a conjugated."""
    a = conj(a)
    return tensordot(*(ops.reshape(n, (n.type.size,)) for n in (a, b)), axes=1)


def kron(a: Node, b: Node) -> Node:
    """Each element of a times all of b."""
    ndim = max(a.type.ndim, b.type.ndim)
    x, y = ((1,) * (ndim - n.type.ndim) + n.shape for n in (a, b))
    left = ops.reshape(a, tuple(m for n in x for m in (n, 1)))
    right = ops.reshape(b, tuple(m for n in y for m in (1, n)))
    return ops.reshape(mul(left, right), tuple(n * m for n, m in zip(x, y, strict=True)))


def cross(a: Node, b: Node, *, axis: int = -1) -> Node:
    """The vector product of vectors of three elements along `axis`."""
    at = normal_axis(axis, a.type.ndim), normal_axis(axis, b.type.ndim)
    if a.shape[at[0]] != 3 or b.shape[at[1]] != 3:
        raise ValueError(f"cross: expected three elements along axis {axis}, got {a.shape} and {b.shape}")

    def turned(x: Node, axis: int, by: int) -> Node:
        return roll(x, shifts=[by], axes=[axis])

    first = mul(turned(a, at[0], -1), turned(b, at[1], -2))
    return sub(first, mul(turned(a, at[0], -2), turned(b, at[1], -1)))


def scaled_sum(x: Node, product: Node, beta: Value, alpha: Value) -> Node:
    """beta x + alpha product, as `addmm` and `baddbmm` have it; of x nothing, if beta is 0."""
    scaled = product if not isinstance(alpha, Node) and alpha == 1 else mul(product, alpha)
    if not isinstance(beta, Node) and beta == 0:
        return scaled
    return add(x if not isinstance(beta, Node) and beta == 1 else mul(x, beta), scaled)


# --- covariances ---------------------------------------------------------------------------------


def cov(
    x: Node, y: Node | None = None, fweights: Node | None = None, aweights: Node | None = None, *,
    rowvar: bool = True, bias: bool = False, ddof: float | None = None, dtype: DType | None = None,
) -> Node:  # fmt: skip
    """The covariances of the rows of x (of its columns, if not `rowvar`); in float64, as NumPy's. A column
    counts `fweights` times, and as much as `aweights` says."""
    given = [n for n in (x, y) if n is not None]
    kind = dtype or float_dtype(*given, ops.SCALAR(value=0.0, dtype=f64))
    m = concatenate([_variables(n, kind, rowvar) for n in given], axis=0)
    less = (0 if bias else 1) if ddof is None else ddof
    times, share = (_weights(w, m, name) for w, name in ((fweights, "fweights"), (aweights, "aweights")))
    weights = [w for w in (times, share) if w is not None]
    if not weights:
        off = ops.SUB(m, ops.fill(mean(m, axis=1, keepdims=True), m.shape))
        scaled, divisor = off, ops.SCALAR(value=float(max(m.shape[1] - less, 0)), dtype=kind.part)
    else:
        w = weights[0] if len(weights) == 1 else ops.MUL(*weights)
        count, each = sum_(w), cast(ops.fill(w, m.shape), kind)
        centre = ops.DIV(sum_(ops.MUL(m, each), axis=1), cast(ops.fill(count, m.shape[:1]), kind))
        off = ops.SUB(m, ops.fill(ops.reshape(centre, (m.shape[0], 1)), m.shape))
        scaled = ops.MUL(off, each)
        off_count = ops.SCALAR(value=float(less), dtype=kind.part)
        if share is not None:
            off_count = ops.MUL(off_count, ops.DIV(sum_(ops.MUL(w, share)), count))
        divisor = ops.MAX(ops.SUB(count, off_count), ops.zeros_like(count))
    total = ops.CONTRACT(scaled, conj(off), spec="ij,kj->ik")
    result = ops.DIV(total, cast(ops.fill(divisor, total.shape), kind))
    return ops.reshape(result, tuple(n for n in result.shape if n != 1))


def _weights(w: Node | None, m: Node, name: str) -> Node | None:
    """Of the columns of m."""
    if w is None:
        return None
    if w.shape != m.shape[1:]:
        raise ValueError(f"cov: {name} of shape {w.shape} for {m.shape[1]} observations")
    if name == "fweights" and w.type.dtype.kind not in "iu":
        raise TypeError(f"cov: fweights must be integers, not {w.type.dtype.numpy}")
    return cast(w, m.type.dtype.part)


def _variables(x: Node, dtype: DType, rowvar: bool) -> Node:
    if x.type.ndim > 2:
        raise ValueError(f"cov: expected a matrix or a vector, not shape {x.shape}")
    x = cast(x, dtype)
    if x.type.ndim < 2:
        return ops.reshape(x, (1, x.type.size))
    return x if rowvar or x.shape[0] == 1 else ops.TRANSPOSE(x, perm=(1, 0))


def corrcoef(x: Node, y: Node | None = None, *, rowvar: bool = True, dtype: DType | None = None) -> Node:
    """Covariances over the products of standard deviations, between -1 and 1; so are both parts of complex
    ones."""
    c = cov(x, y, rowvar=rowvar, dtype=dtype)
    if not c.type.ndim:
        return ops.DIV(c, c)
    n = c.shape[0]
    spread = ops.SQRT(sum_(ops.WHERE(on_diagonal(c.shape, 0), real(c), ops.zeros_like(real(c))), axis=1))
    for shape in ((n, 1), (1, n)):
        c = ops.DIV(c, cast(ops.fill(ops.reshape(spread, shape), c.shape), c.type.dtype))
    return by_parts(_bounded, c) if c.type.dtype.is_complex else _bounded(c)


def _bounded(c: Node) -> Node:
    one = ops.const(1.0, c)
    return ops.WHERE(ops.OR(ops.LE(ops.ABS(c), one), ops.NE(c, c)), c, ops.SIGN(c))
