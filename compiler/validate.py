"""LUCID_VALIDATE: the index maps of every kernel, proved for all sizes that its template serves.

    o[i, j] = x[j, i] over i in n, j in m         o: m elements a row, of n * m; x: n a row, of m * n

x is read at j n + i: at least 0, at most (m - 1) n + n - 1 = m n - 1, which is inside. o is written at
i m + j, and m = 1 * m, n m = m * n: a mixed radix, so each of its n * m elements exactly once. Strides,
offsets and extents are polynomials of sizes (`ir/size.py`); that one is not negative is proved from what is
known: sizes are not, and the facts that the passes have noted hold. The proof is not that of `prove.py`,
which compares, and notes, for the sizes at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from .ir import kernel as k
from .ir.data import data
from .ir.program import Call, Program
from .ir.size import Facts, Size
from .text.kernel import statement_text

# From products of symbols to coefficients; () is the constant.
Poly = dict[tuple[int, ...], int]
ONE: Poly = {(): 1}
# How many facts are combined to prove one, and combinations that are tried.
DEPTH, TRIES = 3, 400


@data
class Access:
    """One access of a statement: "inside", "once" (each element of the output is written, by one point), "at
    run time" (at subscripts that are values, which are looked at there), or "not proved", and why."""

    kernel: str
    statement: str
    line: str
    array: str
    verdict: str
    why: str = ""

    def __str__(self) -> str:
        line = f" at {self.line}" if self.line else ""
        return f"kernel {self.kernel}: `{self.array}` in `{self.statement}`{line}: {self.why or self.verdict}"


def summary(found: Sequence[Access]) -> str:
    """How many accesses of what was validated are proved, in words."""
    counts = Counter(a.verdict for a in found)
    known = counts["inside"] + counts["once"]
    said = f"{known} of {len(found) - counts['at run time']} accesses proved for all sizes"
    said += f" ({counts['once']} outputs written once, {counts['inside']} reads inside)"
    return said + (f"; {counts['at run time']} at subscripts by value" if counts["at run time"] else "")


def validate(program: Program) -> tuple[Access, ...]:
    """Every access of every kernel, as it is bound."""
    found: list[Access] = []
    for call in program.calls:
        known, kernel = _known(call), call.kernel
        for n, stage in enumerate((*kernel.stages, *kernel.final)):
            here = (*(kernel.outer if n < len(kernel.stages) else ()), *stage.axes)
            axes = {a.name: known.poly(call.extent(a.extent)) for a in here}
            for stmt in stage.body:
                found += _statement(call, stmt, axes, known)
    return tuple(found)


def _statement(call: Call, stmt: k.Stmt, axes: Mapping[str, Poly], known: _Known) -> Iterator[Access]:
    loc = stmt.loc
    place = (call.kernel.name, statement_text(stmt), "" if loc is None else f"{loc.file}:{loc.line}")
    for expr in dict.fromkeys(e for operand in k.operands(stmt) for e in k.walk(operand)):
        if isinstance(expr, k.Pick):
            yield Access(*place, expr.array, "at run time")
        elif isinstance(expr, k.Load) and expr.array in call.arrays:
            why = _inside(call, expr, axes, known)
            yield Access(*place, expr.array, "not proved" if why else "inside", why)
    if isinstance(stmt, k.Store | k.Scan | k.Sort | k.Scatter):
        why = _once(call, stmt, axes, known)
        yield Access(*place, stmt.array, "not proved" if why else "once", why)
        if isinstance(stmt, k.Scatter):
            yield Access(*place, stmt.array, "at run time")


# --- reads: inside ----------------------------------------------------------------------------------


def _inside(call: Call, load: k.Load, axes: Mapping[str, Poly], known: _Known) -> str:
    """Why it may lie outside; empty where it cannot."""
    operand = call.arrays[load.array]
    lows, highs = [known.poly(operand.offset)], [known.poly(operand.offset)]
    for ix, stride in zip(load.index, operand.strides, strict=True):
        if ix.axis not in axes:
            return f"{ix.axis} is no axis here"
        step, shift = known.poly(stride), known.poly(call.symbols[ix.shift] if ix.shift is not None else 0)
        guards = [g for g in load.guards if g.axis == ix.axis]
        firsts = [_sub(known.poly(n), shift) for n in (0, *(call.symbols[g.lo] for g in guards))]
        lasts = [_sub(axes[ix.axis], shift), *(_sub(known.poly(call.symbols[g.hi]), shift) for g in guards)]
        lasts = [_sub(last, ONE) for last in lasts]
        if known.proves(step):
            below, above = firsts, lasts
        elif known.proves(_neg(step)):
            below, above = lasts, firsts
        else:
            return f"the sign of the stride along {ix.axis} is not known"
        lows = [_add(low, _mul(step, b)) for low, b in product(lows, below)]
        highs = [_add(high, _mul(step, a)) for high, a in product(highs, above)]
    size = known.poly(operand.node.type.size)
    if not any(map(known.proves, lows)):
        return "it is not proved that it begins inside"
    if not any(known.proves(_sub(_sub(size, ONE), high)) for high in highs):
        return "it is not proved that it ends inside"
    return ""


# --- writes: once -----------------------------------------------------------------------------------


def _once(
    call: Call, stmt: k.Store | k.Scan | k.Sort | k.Scatter, axes: Mapping[str, Poly], known: _Known
) -> str:
    """Why an element may be written twice, or not at all; empty where each is written once."""
    array, operand = k.arrays(call.kernel)[stmt.array], call.arrays[stmt.array]
    dims = [known.poly(call.extent(d)) for d in array.dims]
    if not isinstance(stmt, k.Scatter):  # which begins with every element
        used = [ix.axis for ix in stmt.index]
        if len(set(used)) < len(used) or any(ix.shift is not None for ix in stmt.index):
            return "an axis is there twice, or shifted"
        if any(a not in used and not known.same(axes[a], ONE) for a in axes):
            return "it is written again along an axis that is no subscript"
        for axis, dim in zip(used, dims, strict=True):
            first = stmt.first if isinstance(stmt, k.Sort) and axis == stmt.over else None
            if not known.same(dim, axes[axis] if first is None else known.poly(call.extent(first))):
                return f"{axis} has not the extent of that dimension"
    if known.poly(operand.offset):
        return "its first element is not written"
    left = [(known.poly(s), n) for s, n in zip(operand.strides, dims, strict=True) if n != ONE]
    reach = ONE
    while left:
        place = next((p for p, (stride, _) in enumerate(left) if known.same(stride, reach)), None)
        if place is None:
            return "its dimensions overlap, or leave elements out"
        reach = _mul(reach, left.pop(place)[1])
    if not known.same(reach, known.poly(operand.node.type.size)):
        return "not all of its elements are written, or more"
    return ""


# --- what is known of sizes -------------------------------------------------------------------------


class _Known:
    """Symbols that are `equal` to others, in an order in which they can be put in; how others are `counted`,
    from their least value on; other polynomials that are not negative: `hypotheses`."""

    def __init__(
        self, equal: Sequence[tuple[int, Poly]], counted: Mapping[int, Poly], hypotheses: Iterable[Poly]
    ) -> None:
        self.equal: dict[int, Poly] = {}
        for symbol, value in equal:
            self.equal[symbol] = _put(value, self.equal)
        self.counted = dict(counted)
        every = (_put(_put(h, self.equal), self.counted) for h in hypotheses)
        self.hypotheses = [h for h in every if min(h.values(), default=0) < 0]
        self._proved: dict[tuple[tuple[tuple[int, ...], int], ...], bool] = {}

    def proves(self, goal: Poly) -> bool:
        """Whether it is not negative: no coefficient is, where symbols are counted from their least value,
        once multiples of hypotheses have been taken off."""
        key = tuple(sorted(goal.items()))
        if key not in self._proved:
            self._tries = TRIES
            self._proved[key] = self._search(_put(goal, self.counted), DEPTH)
        return self._proved[key]

    def same(self, a: Poly, b: Poly) -> bool:
        return a == b or (self.proves(_sub(a, b)) and self.proves(_sub(b, a)))

    def poly(self, value: Any) -> Poly:
        """An int or a size, of which equal ones are one."""
        return _put(_poly(value), self.equal)

    def _search(self, goal: Poly, depth: int) -> bool:
        negative = [m for m, c in goal.items() if c < 0]
        if not negative:
            return True
        self._tries -= 1
        if not depth or self._tries < 0:
            return False
        monomial = max(negative, key=lambda m: (len(m), m))
        for h in self.hypotheses:
            for own, factor in h.items():
                rest = _without(monomial, own) if factor < 0 else None
                if rest is not None and not goal[monomial] % factor:
                    less = _sub(goal, _mul({rest: goal[monomial] // factor}, h))
                    if self._search(less, depth - 1):
                        return True
        return False


def _known(call: Call) -> _Known:
    """The facts that the passes noted, and what defines quotients."""
    facts = next((f for f in map(_facts, _numbers(call)) if f is not None), None)
    if facts is None:
        return _Known([], {}, [])
    found: list[Poly] = []
    counted: dict[int, Poly] = {}
    for terms, least in facts.least.items():
        found.append(_sub(dict(terms), _poly(least)))
        if len(terms) == 1 and len(terms[0][0]) == terms[0][1] == 1:
            counted[terms[0][0][0]] = _add({terms[0][0]: 1}, _poly(max(0, least)))
    for terms, greatest in facts.greatest.items():
        found.append(_sub(_poly(greatest), dict(terms)))
    for n, (a, b) in enumerate(facts.divisions, facts.free):  # q b <= a < q b + b, of positive b
        over, by = _poly(a), _poly(b)
        q: Poly = {(n,): 1}
        found.append(_sub(over, _mul(q, by)))
        found.append(_sub(_sub(_add(_mul(q, by), by), ONE), over))
        signs = _put(over, counted).values()
        if max(signs, default=0) <= 0:  # rounded up: -(-a // b)
            counted[n] = {(n,): -1}
        elif min(signs) < 0:  # of any sign: the difference of two that are not negative
            counted[n] = {(n,): 1, (-1 - n,): -1}
    equal = [(symbol, _poly(size)) for symbol, size in facts.followers()]
    return _Known(equal, counted, found)


def _numbers(call: Call) -> Iterator[object]:
    yield from call.symbols.values()
    for operand in call.arrays.values():
        yield from (operand.offset, *operand.strides, *operand.node.shape)


def _facts(value: object) -> Facts | None:
    return value.facts if isinstance(value, Size) else None


# --- polynomials ------------------------------------------------------------------------------------


def _poly(value: Any) -> Poly:
    """An int or a size."""
    if not isinstance(value, Size):
        return {(): int(value)} if value else {}
    found: Poly = dict(value.terms)
    return found | {(): value.offset} if value.offset else found


def _add(a: Poly, b: Poly) -> Poly:
    found = dict(a)
    for m, c in b.items():
        found[m] = found.get(m, 0) + c
    return {m: c for m, c in found.items() if c}


def _neg(a: Poly) -> Poly:
    return {m: -c for m, c in a.items()}


def _sub(a: Poly, b: Poly) -> Poly:
    return _add(a, _neg(b))


def _mul(a: Poly, b: Poly) -> Poly:
    found: Poly = {}
    for (m, c), (n, d) in product(a.items(), b.items()):
        both = tuple(sorted((*m, *n)))
        found[both] = found.get(both, 0) + c * d
    return {m: c for m, c in found.items() if c}


def _put(p: Poly, values: Mapping[int, Poly]) -> Poly:
    """With `values` in place of symbols."""
    if not values:
        return p
    found: Poly = {}
    for monomial, c in p.items():
        term: Poly = {(): c}
        for symbol in monomial:
            term = _mul(term, values.get(symbol, {(symbol,): 1}))
        found = _add(found, term)
    return found


def _without(monomial: tuple[int, ...], factor: tuple[int, ...]) -> tuple[int, ...] | None:
    """The monomial divided by another one; None if it is no multiple."""
    rest = list(monomial)
    for symbol in factor:
        if symbol not in rest:
            return None
        rest.remove(symbol)
    return tuple(rest)
