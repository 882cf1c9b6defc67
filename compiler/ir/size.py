"""Sizes that remember where they come from: one run of the passes serves every size.

A `Size` stands for an int, and behaves like it, but is a polynomial of symbols (the extents of a
graph's inputs). Whatever a pass asks of one (is it 1? which of two is larger?) is answered for the
sizes at hand, and written down in its `Facts`. For other sizes of which all of these facts hold, the
passes would take the same steps, so their result needs only its polynomials evaluated:

    n = facts.symbol(32)
    n * 4 + 1                # 129
    n * 4 < 256              # True; noted: n * 4 <= 255
    facts.hold([40])         # True
    facts.hold([64])         # False
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .data import data

# Products of symbols with their coefficients; a product is a sorted tuple of symbol numbers.
Terms = tuple[tuple[tuple[int, ...], int], ...]
Parts = tuple[int, Terms]  # with a constant before them


class Facts:
    """The symbols of one run, and what it found out about them.

    Symbols are numbered. The first are free; the others, made by division, are computed from those
    before them. `unions`, if asked for: the pairs of free symbols that were found equal. `varying`: free
    symbols that texts of kernels do not have as literals; `taken`: those that they have so; `spared`: sizes
    that they would have so, but for that.
    """

    def __init__(self) -> None:
        self.values: list[int] = []
        self.free = 0
        self.divisions: list[tuple[Size | int, Size | int]] = []  # the quotients after the free symbols
        self.recording = True
        self.unions: list[tuple[int, int]] | None = None
        self.varying: frozenset[int] = frozenset()
        self.taken: set[int] = set()
        self.spared: list[Size] = []
        self._known: dict[tuple[int, Terms, int, Terms], Size] = {}
        self.least: dict[Terms, int] = {}
        self.greatest: dict[Terms, int] = {}
        self._never: dict[Terms, set[int]] = {}
        self._distinct: list[Sequence[tuple[Size | int, ...]]] = []

    def symbol(self, value: int) -> Size:
        """A new free symbol, `value` in this run. All are made before the first division."""
        assert not self.divisions
        self.values.append(value)
        self.free += 1
        return Size(self, value, 0, (((self.free - 1,), 1),))

    def quotient(self, a: Size | int, b: Size | int) -> Size:
        """a // b."""
        key = (*parts(a), *parts(b))
        found = self._known.get(key)
        if found is None:
            self.divisions.append((a, b))
            value = int(_value(a) // _value(b))
            self.values.append(value)
            found = self._known[key] = Size(self, value, 0, (((len(self.values) - 1,), 1),))
        return found

    def free_in(self, terms: Terms) -> set[int]:
        """The free symbols that a polynomial is made of."""
        found = set[int]()
        for k in {k for product, _ in terms for k in product}:
            if k < self.free:
                found.add(k)
            else:
                for side in self.divisions[k - self.free]:
                    found |= self.free_in(parts(side)[1])
        return found

    # --- what was found out ----------------------------------------------------------------------

    def at_least(self, terms: Terms, value: int, limit: int) -> bool:
        """value >= limit; noted."""
        if self.recording:
            if value >= limit:
                self.least[terms] = max(self.least.get(terms, limit), limit)
            else:
                self.greatest[terms] = min(self.greatest.get(terms, limit - 1), limit - 1)
        return value >= limit

    def equal(self, terms: Terms, value: int, other: int) -> bool:
        """value == other; noted."""
        if value == other and self.unions is not None and not other:
            self._unite(terms)
        if self.recording:
            if value == other:
                self.least[terms] = self.greatest[terms] = other
            else:
                self._never.setdefault(terms, set()).add(other)
        return value == other

    def distinct(self, found: Sequence[tuple[Size | int, ...]]) -> None:
        """No two of these are the same; noted as one fact, where comparing each with each takes a square."""
        if self.recording:
            self._distinct.append(found)

    def _unite(self, terms: Terms) -> None:
        """`terms` are 0: if they are the difference of two symbols, these are equal."""
        assert self.unions is not None
        if len(terms) == 2 and {c for _, c in terms} == {1, -1}:
            (a, _), (b, _) = terms
            if len(a) == len(b) == 1 and max(a[0], b[0]) < self.free:
                self.unions.append((a[0], b[0]))

    def followers(self) -> list[tuple[int, Size]]:
        """Symbols that equations noted here give from others, in an order in which they can be computed."""
        found: dict[int, Size] = {}
        for terms, value in self.least.items():
            if self.greatest.get(terms) != value:
                continue
            used = {k for product, _ in terms for k in product}
            alone = [(p[0], c) for p, c in terms if len(p) == 1 and abs(c) == 1 and p[0] not in found]
            alone = [(k, c) for k, c in alone if sum(k in p for p, _ in terms) == 1]
            if alone and not used & set(found):
                k, c = max(alone, key=lambda x: self.values[x[0]])
                rest = tuple([(p, -c * d) for p, d in terms if p != (k,)])
                found[k] = Size(self, self.values[k], c * value, rest)
        order: list[tuple[int, Size]] = []
        while len(order) < len(found):
            done = {k for k, _ in order}
            waiting = set(found) - done
            ready = [k for k in waiting if not waiting & {j for p, _ in found[k].terms for j in p}]
            if not ready:  # in a circle
                break
            order += [(k, found[k]) for k in ready]
        return order

    def noted(self) -> Noted:
        """What there is to know of this run, as data."""
        bounds = []
        for terms in {**self.least, **self.greatest, **self._never}:
            low, high = self.least.get(terms), self.greatest.get(terms)
            apart = self._never.get(terms, ())
            never = [n for n in apart if (low is None or n >= low) and (high is None or n <= high)]
            bounds.append((terms, low, high, never))
        divisions = [(parts(a), parts(b)) for a, b in self.divisions]
        distinct = [[tuple(map(parts, sizes)) for sizes in found] for found in self._distinct]
        return Noted(divisions, bounds, distinct)


@data
class Noted:
    """What one run found out, as numbers and sequences of them: what is divided by what in the symbols after
    the free ones; bounds of polynomials, and what they are not; what is distinct."""

    divisions: Sequence[tuple[Parts, Parts]]
    bounds: Sequence[tuple[Terms, int | None, int | None, Sequence[int]]]
    distinct: Sequence[Sequence[Sequence[Parts]]]

    def program(self) -> Callable[[Sequence[int]], list[int] | None]:
        """A function of the free symbols: the values of all symbols if every fact holds, else None."""
        divisions = [(polynomial(*a), polynomial(*b)) for a, b in self.divisions]
        bounds = [(polynomial(0, terms), low, high, frozenset(n)) for terms, low, high, n in self.bounds]
        apart = [[[polynomial(*size) for size in sizes] for sizes in found] for found in self.distinct]

        def hold(free: Sequence[int]) -> list[int] | None:
            values = list(free)
            for a, b in divisions:
                divisor = b(values)
                if not divisor:
                    return None
                values.append(a(values) // divisor)
            for value, low, high, never in bounds:
                n = value(values)
                if (low is not None and n < low) or (high is not None and n > high) or n in never:
                    return None
            for found in apart:
                if len({tuple([size(values) for size in sizes]) for sizes in found}) < len(found):
                    return None
            return values

        return hold


def varies(size: Size | int) -> bool:
    """Whether it is a symbol in texts where others of its kind are literals."""
    return isinstance(size, Size) and not size.facts.varying.isdisjoint(size.facts.free_in(size.terms))


def spare(size: Size | int) -> None:
    """It varies, and is no literal of a text for that; noted."""
    if isinstance(size, Size):
        size.facts.spared.append(size)


def taken(size: Size | int) -> int:
    """As a literal of a text; noted."""
    if isinstance(size, Size):
        size.facts.taken |= size.facts.free_in(size.terms)
    return int(size)


def note_distinct(found: Sequence[tuple[Size | int, ...]]) -> None:
    """Whoever told these apart by their hashes has compared none."""
    symbols = [size for sizes in found for size in sizes if isinstance(size, Size)]
    if len(found) > 1 and symbols:
        symbols[0].facts.distinct(found)


def evaluator(size: Size | int) -> Callable[[Sequence[int]], int]:
    """The polynomial as a function of the values of all symbols."""
    return polynomial(*parts(size))


def polynomial(offset: int, terms: Terms) -> Callable[[Sequence[int]], int]:
    """The same, of its parts."""
    if not terms:
        return lambda values: offset
    if len(terms) == 1:
        ((product, factor),) = terms
        if len(product) == 1:
            (k,) = product
            return lambda values: values[k] * factor + offset
        if len(product) == 2:
            i, j = product
            return lambda values: values[i] * values[j] * factor + offset

    def evaluate(values: Sequence[int]) -> int:
        total = offset
        for product, factor in terms:
            for k in product:
                factor *= values[k]
            total += factor
        return total

    return evaluate


class Size:
    """An int that knows its polynomial: `offset` + the sum of `terms`. Where an int itself is asked for
    (an index, a text that is part of a kernel) it is that int, and will be in every run."""

    __slots__ = ("facts", "offset", "terms", "value")

    def __init__(self, facts: Facts, value: int, offset: int, terms: Terms) -> None:
        self.facts, self.value, self.offset, self.terms = facts, value, offset, terms

    # --- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if isinstance(other, int):
            return Size(self.facts, self.value + other, self.offset + other, self.terms) if other else self
        if not isinstance(other, Size):
            return NotImplemented
        table = dict(self.terms)
        for product, factor in other.terms:
            table[product] = table.get(product, 0) + factor
        return _size(self.facts, self.value + other.value, self.offset + other.offset, table)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return Size(self.facts, -self.value, -self.offset, tuple([(p, -c) for p, c in self.terms]))

    def __sub__(self, other: Any) -> Any:
        if not isinstance(other, Size):
            return self + -other
        if other.terms == self.terms:
            return self.offset - other.offset
        table = dict(self.terms)
        for product, factor in other.terms:
            table[product] = table.get(product, 0) - factor
        return _size(self.facts, self.value - other.value, self.offset - other.offset, table)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, int):
            if other == 1:
                return self
            terms = tuple([(p, c * other) for p, c in self.terms])
            return Size(self.facts, self.value * other, self.offset * other, terms) if other else 0
        if not isinstance(other, Size):
            return NotImplemented
        if len(self.terms) == len(other.terms) == 1 and not self.offset and not other.offset:
            ((p, c),), ((q, d),) = self.terms, other.terms
            return Size(self.facts, self.value * other.value, 0, ((tuple(sorted(p + q)), c * d),))
        mine = (*self.terms, ((), self.offset)) if self.offset else self.terms
        theirs = (*other.terms, ((), other.offset)) if other.offset else other.terms
        table: dict[tuple[int, ...], int] = {}
        for p, c in mine:
            for q, d in theirs:
                product = tuple(sorted(p + q))
                table[product] = table.get(product, 0) + c * d
        table.pop((), None)
        return _size(self.facts, self.value * other.value, self.offset * other.offset, table)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        if isinstance(other, int) and other:
            if all(c % other == 0 for _, c in self.terms):  # exactly, but for the constant
                terms = tuple([(p, c // other) for p, c in self.terms])
                return Size(self.facts, self.value // other, self.offset // other, terms)
        elif isinstance(other, Size) and parts(other) == parts(self) and self != 0:
            return 1
        if not other:
            raise ZeroDivisionError("division of a size by zero")
        return self.facts.quotient(self, other)

    def __rfloordiv__(self, other: int) -> Any:
        if not self:
            raise ZeroDivisionError("division by a size of zero")
        return self.facts.quotient(other, self)

    def __mod__(self, other: Any) -> Any:
        return self - self // other * other

    def __rmod__(self, other: int) -> Any:
        return other - other // self * self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    # --- questions -------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.facts.equal(self.terms, self.value, other) if not self.offset else self._equals(other)
        if not isinstance(other, Size):
            return NotImplemented
        return self is other or (self.facts is other.facts and self._equals(other))

    def _equals(self, other: Any) -> bool:
        d = self - other
        if isinstance(d, int):
            return not d
        if d.terms[0][1] < 0:
            d = -d
        return self.facts.equal(d.terms, d.value - d.offset, -d.offset)

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def _at_least(self, other: Any) -> bool:
        d = self - other
        if isinstance(d, int):
            return d >= 0
        if d.terms[0][1] < 0:  # -d <= 0
            d = -d
            return not self.facts.at_least(d.terms, d.value - d.offset, 1 - d.offset)
        return self.facts.at_least(d.terms, d.value - d.offset, -d.offset)

    def __ge__(self, other: Any) -> bool:
        return self._at_least(other)

    def __gt__(self, other: Any) -> bool:
        return self._at_least(other + 1)

    def __lt__(self, other: Any) -> bool:
        return not self._at_least(other)

    def __le__(self, other: Any) -> bool:
        return not self._at_least(other + 1)

    def __bool__(self) -> bool:
        return self != 0

    def __hash__(self) -> int:
        return hash(self.value)  # as an equal int's: where keys are compared, it is noted

    def __index__(self) -> int:
        assert self == self.value
        return self.value

    __int__ = __index__

    def __float__(self) -> float:
        return float(int(self))

    def __str__(self) -> str:
        return str(int(self))

    def __format__(self, spec: str) -> str:
        return format(int(self), spec)

    def __repr__(self) -> str:  # for messages and reasons, which decide nothing: nothing is noted
        return repr(self.value)


def _size(facts: Facts, value: int, offset: int, table: dict[tuple[int, ...], int]) -> Size | int:
    """Of factors by product, of which some may be 0."""
    rest = tuple(sorted([term for term in table.items() if term[1]]))
    return Size(facts, value, offset, rest) if rest else offset


def _value(size: Size | int) -> int:
    return size.value if isinstance(size, Size) else size


def parts(size: Size | int) -> Parts:
    """Its polynomial: the constant, and the rest."""
    return (size.offset, size.terms) if isinstance(size, Size) else (size, ())
