"""Expressions of a stage of a kernel: nodes and how they are read, as the kernel's text says it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import ops
from ..ir.graph import Loc, Node, together
from ..ir.kernel import At, Const, Expr, Index, Let, Load, Pick, Ref, Size, Stmt, expr_dtype
from ..ir.kernel import Call as CallExpr
from ..ir.types import b1, i64
from ..ops import By, Ix, Subscript, Sum
from ..ops.folds import fold
from .draft import Access, Placed, Read, walked

if TYPE_CHECKING:
    from .draft_kernel import Writer

# Deeper expressions are cut into lets, so that no later pass recurses without bound.
DEPTH = 12


class StageText:
    """Expressions of one stage; values used twice, and deep ones, become lets."""

    def __init__(self, writer: Writer, placed: list[Placed], prefix: str) -> None:
        self.w = writer
        self.prefix = prefix  # of the names of lets: no two stages of a kernel share one
        self.body: list[Stmt] = []
        self.known: dict[tuple[Node, Access], Expr] = {}
        self.depth: dict[tuple[Node, Access], int] = {}
        self.uses: dict[tuple[Node, Access], int] = {}
        self.locs: dict[tuple[Node, Access], tuple[Loc | None, ...]] = {}  # of what is computed in place
        for p in placed:
            for operand, access in p.operands:
                self._count(operand, access)

    def _stops(self, node: Node) -> bool:
        """Read from memory or from a reduction, not computed here."""
        if node.op is ops.INPUT:
            return True
        base = self.w.reader.storage.base(node)
        if base is None:
            return False
        home = self.w.home.get(base)
        return home is None or bool(home.reduced)

    def _count(self, node: Node, access: Access) -> None:
        stack = [(node, access)]
        while stack:
            item = stack.pop()
            self.uses[item] = self.uses.get(item, 0) + 1
            if self.uses[item] == 1 and not self._stops(item[0]):
                stack.extend(self.w.reader.operands(item))

    def expr(self, node: Node, access: Access) -> Expr:
        stack: list[tuple[Node, Access, bool]] = [(node, access, False)]
        while stack:
            n, a, ready = stack.pop()
            key = (n, a)
            if key in self.known:
                continue
            if self._stops(n):
                self.known[key] = self._memory(n, a)
                self.depth[key] = 0
            elif n.op is ops.CONST:
                self.known[key] = Const(n.attrs["value"], n.type.dtype)
                self.depth[key] = 0
            elif n.op is ops.SCALAR:
                name = self.w.scalars.setdefault(n, f"s{len(self.w.scalars)}")
                self.known[key] = Ref(name, n.type.dtype)
                self.depth[key] = 0
            else:
                inner = self.w.reader.operands((n, a))
                if not ready:
                    stack.append((n, a, True))
                    stack.extend((m, b, False) for m, b in reversed(inner))
                    continue
                self._compute(n, a, inner)
        return self.known[node, access]

    def _compute(self, n: Node, a: Access, inner: list[tuple[Node, Access]]) -> None:
        key = (n, a)
        args = tuple(self.known[i] for i in inner)
        self.depth[key] = 1 + max((self.depth[i] for i in inner), default=0)
        if n.op.kind == "elementwise":
            expr: Expr = CallExpr(n.op.name, args, n.type.dtype, n.loc)
        elif n.op.kind == "contract":  # over units only: one product
            expr = CallExpr("mul", args, n.type.dtype, n.loc)
        elif n.op is ops.PAD:
            expr = self._padded(args[0], n, a, inner[0][1])
        elif n.op is ops.IOTA:
            expr = self._where(a[0][n.attrs["axis"]])
        elif n.op is ops.GATHER:
            expr = self._gathered(args[-1], inner[-1][1])
        elif n.op in (ops.ARGSORT, ops.ARGTOP):  # of one element
            expr = Const(0, i64)
        elif n.op.kind in ("view", "reduce", "scan", "sort"):  # of units only
            expr = args[-1]
        else:
            raise TypeError(f"`{n.op.name}` is no part of a kernel")
        shared = self.uses.get(key, 0) > 1 or self.depth[key] > DEPTH
        if isinstance(expr, CallExpr) and shared:
            name = f"{self.prefix}_{len(self.known)}"
            self.body.append(Let(name, expr, self.places_of(n.loc, inner)))
            expr = Ref(name, n.type.dtype)
            self.depth[key] = 0
        else:
            self.locs[key] = (n.loc, *[loc for i in inner for loc in self.locs.get(i, ())])
        self.known[key] = expr

    def places_of(self, loc: Loc | None, inner: Iterable[tuple[Node, Access]]) -> Loc | None:
        """Where a statement at `loc` comes from that computes `inner` in place."""
        return together(loc, [other for i in inner for other in self.locs.get(i, ())])

    def _padded(self, value: Expr, n: Node, outside: Access, inside: Access) -> Expr:
        if isinstance(value, Load):
            return value  # its own guards make it 0
        for guard in inside[1][len(outside[1]) :]:
            within = self.w._guard((guard,), self.w.axis[guard.axis])
            assert within is not None
            zero = Const(0, n.type.dtype)
            value = CallExpr("where", (within, value, zero), n.type.dtype)
        return value

    def places(self, read: Read) -> tuple[Expr, ...]:
        """The subscripts of a read, or write, some of which are values. Along a guarded axis the array begins
        where the guard does."""
        found: list[Expr] = []
        for place, _ in self.w._places(read):
            if isinstance(place, By):
                found.append(self.known[place.node, place.access])
                continue
            guard = self.w._guard(read.guards, place)
            at = At(place)
            found.append(at if guard is None else CallExpr("sub", (at, Size(guard.lo)), i64))
        return tuple(found)

    def _gathered(self, value: Expr, inside: Access) -> Expr:
        """What is computed of an element, 0 where there is none."""
        for ix in inside[0]:
            if isinstance(ix, By) and not isinstance(value, Pick):
                at = self.known[ix.node, ix.access]
                above = CallExpr("ge", (at, Const(0, i64)), b1)
                below = CallExpr("lt", (at, self.w.size_of(ix.extent)), b1)
                test = CallExpr("and", (above, below), b1)
                value = CallExpr("where", (test, value, Const(0, expr_dtype(value))), expr_dtype(value))
        return value

    def _where(self, ix: Subscript) -> Expr:
        """A subscript as a value."""
        value: Expr
        if isinstance(ix, By):
            value = self.known[ix.node, ix.access]
        elif isinstance(ix, Sum):
            value = self._total([self._where(Ix(axis, scale)) for axis, scale in ix.terms])
        elif ix.axis is None:
            return self.w.size_of(ix.offset)
        else:
            value = At(self.w.axis[ix.axis])
        if ix.step != 1:
            value = CallExpr("mul", (value, Const(ix.step, i64)), i64)
        return value if ix.offset == 0 else self._total([value, self.w.size_of(ix.offset)])

    def _total(self, terms: list[Expr]) -> Expr:
        first, *rest = terms
        for term in rest:
            first = CallExpr("add", (first, term), i64)
        return first

    def _memory(self, node: Node, access: Access) -> Expr:
        base = self.w.reader.storage.base(node)
        assert base is not None
        home = self.w.home.get(base)
        if home is None:
            return self.w._load(Read.of(node, base, access), node.type.dtype, self.places)
        return self.total(home, access)

    def total(self, home: Placed, access: Access) -> Expr:
        """The value of a reduction of this kernel."""
        name = self.w.results[home.node]
        wide = fold(home.node.op.lower).accumulator(home.node.type.dtype)
        axes = walked(access)
        expr: Expr
        if home.reduced & set(self.w.outer) and axes:
            labels = self.w._ordered(frozenset(axes))
            index = tuple(Index(self.w.axis[x]) for x in labels if self.w.axis[x])
            expr = Load(name, index, wide)
        else:
            expr = Ref(name, wide)
        if wide is not home.node.type.dtype:
            expr = CallExpr("cast", (expr,), home.node.type.dtype)
        return expr
