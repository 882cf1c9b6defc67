"""Proofs of the rules of simplify.py and of the arithmetic of size.py: both sides of a rule are the same.

    python -m tests.compiler.proofs [--few]  the table of docs/testing.md; all pairs of float16, or few

A rule over elements is proved for floats by trying all values of float16 (all pairs of them, where there are
two), and by z3's theory of floating point for all formats; for integers and bools by z3's bit vectors
of every width (and for all values of int8 and uint8). NaN must be NaN; all other bits must be the same.
Rules that only move elements are tried on all arrays of up to three axes of extents up to 3, whose elements
are all different: where each one goes is all they say. Arithmetic of sizes is proved by z3 for all integers.
"""

from __future__ import annotations

import itertools
import math
import operator
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.size import Facts, Size, evaluator
from lucid.compiler.ir.types import DTYPES, DType, b1, f16, f32, f64, i64
from lucid.compiler.ops import REGISTRY
from lucid.compiler.passes import simplify
from lucid.compiler.passes.rewrite import Rule, _apply

Array = np.ndarray[Any, Any]
SECONDS = 30  # that the solver may take
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    3.0,
    65504.0,
    -65504.0,
    6e-8,
    -6e-8,
    6.1e-5,
    6.0e-5,
    np.inf,
    -np.inf,
    np.nan,
]


@data
class Proved:
    """How one rule was proved for one kind of operands, and in how many seconds. `holds` None: the solver
    gave up."""

    rule: str
    of: str
    by: str
    holds: bool | None
    seconds: float


def text(pattern: Any) -> str:
    """A pattern as it is written in comments: sub(x, neg(y))."""
    if isinstance(pattern, tuple):
        return f"{pattern[0]}({', '.join(map(text, pattern[1:]))})"
    return str(pattern)


# --- rules over elements ---------------------------------------------------------------------------


def over_elements(rule: Rule) -> bool:
    """Whether all that it names is elementwise, and what it gives depends on nothing else."""
    pattern, result = rule
    found = _ops(pattern)
    return all(REGISTRY[name].kind == "elementwise" for name in found) and result not in (
        simplify._fold,
        simplify._cast,
    )


def _ops(pattern: Any) -> list[str]:
    if not isinstance(pattern, tuple):
        return []
    return [pattern[0], *(name for part in pattern[1:] for name in _ops(part))]


def _left(pattern: Any, dtype: DType, shape: tuple[int, ...], leaves: dict[str, Node]) -> Node:
    """What a pattern matches, over inputs of `dtype` (masks, of bools)."""
    if isinstance(pattern, str):
        if pattern not in leaves:
            leaves[pattern] = ops.INPUT(name=pattern, dtype=dtype, shape=shape)
        assert leaves[pattern].type.dtype is dtype
        return leaves[pattern]
    if not isinstance(pattern, tuple):
        return ops.fill(ops.CONST(value=pattern, dtype=dtype), shape)
    name, *parts = pattern
    dtypes = [b1, dtype, dtype] if name == "where" else [dtype] * len(parts)
    return REGISTRY[name](*(_left(p, d, shape, leaves) for p, d in zip(parts, dtypes, strict=True)))


def takes(rule: Rule, dtype: DType) -> bool:
    return all(REGISTRY[name].takes(dtype) for name in _ops(rule[0]) if name != "not" or rule[0][0] == "not")


def sides(rule: Rule, dtype: DType, shape: tuple[int, ...]) -> tuple[Graph, Graph] | None:
    """Both sides as graphs of the same inputs; None where the rule leaves such operands as they are."""
    leaves: dict[str, Node] = {}
    left = _left(rule[0], dtype, shape, leaves)
    right = _apply([rule], left)
    if right is None:
        return None
    inputs = tuple(leaves.values())
    return Graph("left", inputs, (left,)), Graph("right", inputs, (right,))


def same(a: Array, b: Array) -> bool:
    """The same bits, or NaN in both."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind not in "fV":
        return bool(np.array_equal(a, b))
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    bits = np.dtype(f"u{a.dtype.itemsize}")
    with np.errstate(invalid="ignore"):  # NaN that signals
        return bool(((a.view(bits) == b.view(bits)) | ((a != a) & (b != b))).all())


def every(dtype: DType) -> Array:
    """All values of a type of 8 or 16 bits."""
    return np.asarray(np.arange(1 << dtype.bits, dtype=f"u{dtype.size}").view(dtype.np))


def _few(dtype: DType) -> Array:
    """Special values, and all powers of two with the least and the greatest fraction, of both signs."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    fraction = bits & ((1 << dtype.fraction) - 1)
    return np.asarray(bits[(fraction <= 1) | (fraction == (1 << dtype.fraction) - 1)].view(dtype.np))


def exhaustive(rule: Rule, dtype: DType, whole: bool) -> tuple[bool, str]:
    """Whether both sides are the same for all values of a type of 8 or 16 bits; of two operands, for all
    pairs, or (of 16 bits, if not `whole`) those of a few hundred values. And on what that was tried."""
    leaves: dict[str, Node] = {}
    _left(rule[0], dtype, (1,), leaves)
    names = [n for n, node in leaves.items() if node.type.dtype is dtype]
    masks = [n for n, node in leaves.items() if node.type.dtype is not dtype]
    values = every(dtype) if whole or len(names) < 2 or dtype.bits == 8 else _few(dtype)
    other = values if len(names) > 1 else values[:1]
    tried = f"{values.size * other.size:,} pairs" if len(names) > 1 else "all values"
    step = max(1, (1 << 22) // values.size)
    for start in range(0, other.size, step):
        part = other[start : start + step]
        shape = (part.size, values.size)
        found = sides(rule, dtype, shape)
        if found is None:
            return True, "not applied"
        for chosen in itertools.product((False, True), repeat=len(masks)):
            given = dict(
                zip(
                    names,
                    (np.broadcast_to(values, shape), np.broadcast_to(part[:, None], shape)),
                    strict=False,
                )
            )
            given |= {n: np.full(shape, c) for n, c in zip(masks, chosen, strict=True)}
            arrays = [np.ascontiguousarray(given[n]) for n in leaves]
            (left,), (right,) = (interpret_graph(graph, arrays) for graph in found)
            if not same(left, right):
                return False, tried
    return True, tried


# --- z3 --------------------------------------------------------------------------------------------


def _term(z3: Any, node: Node, leaves: dict[Node, Any]) -> Any:
    """An element of `node` as a term of the solver."""
    if node in leaves:
        return leaves[node]
    name, dtype = node.op.name, node.type.dtype
    if name == "const":
        value = node.attrs["value"]
        if dtype.is_float:
            return z3.FPVal(value, _sort(z3, dtype))
        return z3.BoolVal(value) if dtype.kind == "b" else z3.BitVecVal(value, dtype.bits)
    args = [_term(z3, n, leaves) for n in node.inputs]
    if name in ("broadcast", "reshape", "stop_gradient"):
        return args[0]
    if name == "where":
        return z3.If(*args)
    if dtype.is_float:  # of 16 bits, too: by float32 they are as if rounded once
        return _FLOATS[name](z3, *args)
    if dtype.kind == "b":
        table = {"not": z3.Not, "and": z3.And, "or": z3.Or, "xor": z3.Xor}
    else:
        table = {
            "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg,
            "not": operator.invert, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
            "abs": lambda a: z3.If(a < 0, -a, a) if dtype.kind == "i" else a,
        }  # fmt: skip
    return table[name](*args)


_FLOATS: dict[str, Callable[..., Any]] = {
    "add": lambda z3, a, b: z3.fpAdd(z3.RNE(), a, b), "sub": lambda z3, a, b: z3.fpSub(z3.RNE(), a, b),
    "mul": lambda z3, a, b: z3.fpMul(z3.RNE(), a, b), "div": lambda z3, a, b: z3.fpDiv(z3.RNE(), a, b),
    "neg": lambda z3, a: z3.fpNeg(a), "abs": lambda z3, a: z3.fpAbs(a),
}  # fmt: skip


def _sort(z3: Any, dtype: DType) -> Any:
    return z3.FPSort(dtype.bits - 1 - dtype.fraction, dtype.fraction + 1)


def _variable(z3: Any, node: Node) -> Any:
    dtype, name = node.type.dtype, node.attrs["name"]
    if dtype.is_float:
        return z3.FP(name, _sort(z3, dtype))
    return z3.Bool(name) if dtype.kind == "b" else z3.BitVec(name, dtype.bits)


def valid(z3: Any, claim: Any) -> bool | None:
    """Whether it holds for all values; None if the solver does not say so in time."""
    solver = z3.Solver()
    solver.set("timeout", SECONDS * 1000)
    solver.add(z3.Not(claim))
    found = solver.check()
    return True if found == z3.unsat else False if found == z3.sat else None


def solved(z3: Any, rule: Rule, dtype: DType) -> bool | None:
    """Whether both sides are the same term: SMT's equality, under which NaN is NaN and the zeros differ."""
    found = sides(rule, dtype, ())
    if found is None:
        return True
    leaves = {n: _variable(z3, n) for n in found[0].inputs}
    left, right = (_term(z3, g.outputs[0], leaves) for g in found)
    return valid(z3, left == right)


# --- rules that move elements ----------------------------------------------------------------------

Shape = tuple[int, ...]


def shapes(most: int) -> list[Shape]:
    """Of up to three axes, of extents up to `most`."""
    return [s for ndim in range(4) for s in itertools.product(range(most + 1), repeat=ndim)]


def leaf(shape: tuple[int, ...], dtype: DType = i64, name: str = "x") -> Node:
    return ops.INPUT(name=name, dtype=dtype, shape=shape)


def _reshapes(most: int) -> Iterator[Node]:
    for shape, target in itertools.product(shapes(most), repeat=2):
        if math.prod(shape) == math.prod(target):
            x = leaf(shape)
            yield ops.RESHAPE(x, shape=target)
            yield ops.RESHAPE(ops.ADD(x, leaf(shape, name="y")), shape=target)
            yield ops.RESHAPE(ops.RESHAPE(x, shape=(math.prod(shape),)), shape=target)
            yield ops.RESHAPE(ops.RESHAPE(x, shape=(1, math.prod(shape), 1)), shape=target)
            yield ops.RESHAPE(ops.BROADCAST(leaf(()), shape=shape), shape=target)
            yield ops.RESHAPE(ops.WHERE(leaf(shape, b1, "c"), x, leaf(shape, name="y")), shape=target)


def _broadcasts(most: int) -> Iterator[Node]:
    for shape, target in itertools.product(shapes(most), repeat=2):
        if len(shape) <= len(target) and _stretches(shape, target):
            yield ops.BROADCAST(leaf(shape), shape=target)
            for middle in shapes(most):
                if _stretches(shape, middle) and _stretches(middle, target):
                    yield ops.BROADCAST(ops.BROADCAST(leaf(shape), shape=middle), shape=target)


def _stretches(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _transposes(most: int) -> Iterator[Node]:
    for ndim in range(most + 2):
        for p, q in itertools.product(itertools.permutations(range(ndim)), repeat=2):
            x = leaf((2, 3, 4, 5)[:ndim])
            yield ops.TRANSPOSE(x, perm=p)
            yield ops.TRANSPOSE(ops.TRANSPOSE(x, perm=p), perm=q)


def _slices(most: int) -> Iterator[Node]:
    for shape in shapes(most):
        choices = [list(itertools.product(range(-1, n + 1), (-2, -1, 1, 2), range(n + 1))) for n in shape]
        every = itertools.product(*choices)
        for ways in every if len(shape) < 3 else itertools.islice(every, 0, None, 997):
            starts, steps, counts = zip(*ways, strict=True) if ways else ((), (), ())
            ends = [s + (c - 1) * t for s, t, c in ways]
            if all(
                c == 0 or (0 <= s < n and 0 <= e < n)
                for (s, _, c), e, n in zip(ways, ends, shape, strict=True)
            ):
                yield ops.SLICE(leaf(shape), starts=starts, steps=steps, counts=counts)
        yield ops.SLICE(leaf(shape), starts=(0,) * len(shape), steps=(1,) * len(shape), counts=shape)


def _pads(most: int) -> Iterator[Node]:
    for shape in shapes(most):
        for lo in itertools.product(range(2), repeat=len(shape)):
            for hi in itertools.product(range(2), repeat=len(shape)):
                yield ops.PAD(leaf(shape), lo=lo, hi=hi)


def _casts(most: int) -> Iterator[Node]:
    for a, b in itertools.product(DTYPES.values(), repeat=2):
        if not (a.is_complex or b.is_complex or a.package or b.package):
            yield ops.CAST(leaf((len(SPECIAL),), a), dtype=b)


def _reductions(name: str) -> Callable[[int], Iterator[Node]]:
    def instances(most: int) -> Iterator[Node]:
        op = REGISTRY[name]
        for shape in shapes(most):
            for count in range(len(shape) + 1):
                for axes in itertools.combinations(range(len(shape)), count):
                    if all(shape[a] for a in axes):
                        places = (leaf(shape, i64, "places"),) if name.startswith("arg") else ()
                        for dtype in (i64, f32, f16):
                            yield op(leaf(shape, dtype), *places, axes=axes)

    return instances


def _convolutions(most: int) -> Iterator[Node]:
    op = REGISTRY["convolve"]
    for sample in op.samples:
        yield op(*(leaf(s, i64, f"x{k}") for k, s in enumerate(sample.shapes)), **sample.attrs)


def _literals(most: int) -> Iterator[Node]:
    for name, arity in simplify._FOLDABLE.items():
        op = REGISTRY[name]
        for dtype in (f16, f32, f64, i64):
            if not op.takes(dtype):
                continue
            some = SPECIAL if dtype.is_float else [0, 1, -1, 7, 2**62, -(2**63)]
            for values in itertools.product(some, repeat=arity):
                leaves = [ops.fill(ops.CONST(value=v, dtype=dtype), (2,)) for v in values]
                for target in (f16, f32, f64, b1) if name == "cast" else (None,):
                    yield op(*leaves, **({} if target is None else {"dtype": target}))


MOVES: dict[Any, Callable[[int], Iterator[Node]]] = {
    simplify._cast: _casts, simplify._reshape_down: _reshapes, simplify._broadcast: _broadcasts,
    simplify._transpose: _transposes, simplify._slice: _slices, simplify._pad: _pads,
    simplify._fold: _literals, "convolve": _convolutions,
    **{name: _reductions(name) for name in ("sum", "prod", "amax", "amin", "argmax", "argmin")},
}  # fmt: skip


def instances(rule: Rule, most: int) -> Iterator[Node]:
    """What to try a rule on that is none over elements. KeyError for a rule that nothing here proves."""
    pattern, result = rule
    known = MOVES[result] if result in MOVES else MOVES[pattern[0]]
    return (node for node in known(most) if node.op.name == pattern[0])


def _values(node: Node, k: int) -> Array:
    """Elements that are all different, special ones of floats first."""
    dtype, size = node.type.dtype, node.type.size
    if dtype.kind == "b":
        return np.asarray(np.arange(size) % 3 == 0).reshape(node.shape)
    some = np.arange(size) + 100 * k
    if dtype.is_float:
        some = np.concatenate([np.array(SPECIAL), some])[:size]
    with np.errstate(all="ignore"):
        return np.asarray(some.astype(dtype.np).reshape(node.shape))


def moved(rule: Rule, most: int) -> tuple[bool, int]:
    """Whether both sides are the same wherever the rule applies, and on how many instances that was seen."""
    holds, count = True, 0
    for node in instances(rule, most):
        right = _apply([rule], node)
        if right is None:
            continue
        count += 1
        leaves = tuple(n for n in toposort([node]) if n.op is ops.INPUT)
        arrays = [_values(n, k) for k, n in enumerate(leaves)]
        (a,), (b,) = (interpret_graph(Graph("side", leaves, (n,)), arrays) for n in (node, right))
        if (
            node.op.name == "sum"
        ):  # of one term it is that term, -0 too: docs/architecture.md; NumPy adds it to 0
            a, b = a + np.zeros((), a.dtype), b + np.zeros((), b.dtype)
        holds &= same(a, b)
    return holds, count


# --- sizes -----------------------------------------------------------------------------------------


def _polynomials() -> list[tuple[str, Callable[[Any, Any], Any]]]:
    """Expressions of two symbols, of every form that the arithmetic tells apart: a number, a symbol, one with
    a factor, with an offset, a sum, a difference, products, squares."""
    return [
        ("0", lambda n, m: 0), ("1", lambda n, m: 1), ("-3", lambda n, m: -3), ("4", lambda n, m: 4),
        ("n", lambda n, m: n), ("m", lambda n, m: m), ("2n", lambda n, m: n * 2), ("-n", lambda n, m: -n),
        ("4n+8", lambda n, m: n * 4 + 8), ("4n+3", lambda n, m: n * 4 + 3), ("n+1", lambda n, m: n + 1),
        ("n-m", lambda n, m: n - m), ("n+m+2", lambda n, m: n + m + 2), ("nm", lambda n, m: n * m),
        ("nm+n", lambda n, m: n * m + n), ("nn", lambda n, m: n * n),
        ("(n+1)(m-2)", lambda n, m: (n + 1) * (m - 2)),
    ]  # fmt: skip


ARITHMETIC: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "+": (operator.add, ("__add__", "__radd__")),
    "-": (operator.sub, ("__sub__", "__rsub__", "__neg__")),
    "*": (operator.mul, ("__mul__", "__rmul__")),
    "//": (operator.floordiv, ("__floordiv__", "__rfloordiv__")),
    "%": (operator.mod, ("__mod__", "__rmod__")),
}
QUESTIONS: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    ">=": (operator.ge, ("__ge__", "_at_least")), ">": (operator.gt, ("__gt__",)),
    "<": (operator.lt, ("__lt__",)), "<=": (operator.le, ("__le__",)),
    "==": (operator.eq, ("__eq__", "_equals", "__bool__")), "!=": (operator.ne, ("__ne__",)),
    "abs": (lambda a, b: abs(a - b), ("__abs__",)),
}  # fmt: skip
# Size as an int itself: the value is noted as a fact, or nothing is decided.
PLAIN = {
    "__init__",
    "__hash__",
    "__index__",
    "__int__",
    "__float__",
    "__str__",
    "__format__",
    "__repr__",
    "__slots__",
}


def _floor(z3: Any, a: Any, b: Any) -> Any:
    """Python's a // b; the solver's quotient leaves a remainder that is not negative."""
    return z3.If(b > 0, a / b, -a / -b)


def _meant(z3: Any, name: str, a: Any, b: Any) -> Any:
    if name in ("//", "%"):
        quotient = _floor(z3, a, b)
        return quotient if name == "//" else a - quotient * b
    if name == "abs":
        return z3.If(a - b >= 0, a - b, b - a)
    return {**ARITHMETIC, **QUESTIONS}[name][0](a, b)


def _facts(z3: Any, facts: Facts, values: list[Any]) -> list[Any]:
    """What was noted, and what the symbols made by division are, as claims about `values`, which grow."""
    claims = []
    for a, b in facts.divisions:
        top, bottom = evaluator(a)(values), evaluator(b)(values)
        q = z3.Int(f"q{len(values)}")
        claims += [
            bottom != 0,
            q
            == _floor(
                z3,
                z3.IntVal(top) if isinstance(top, int) else top,
                z3.IntVal(bottom) if isinstance(bottom, int) else bottom,
            ),
        ]
        values.append(q)
    for terms in {**facts.least, **facts.greatest, **facts._never}:
        value = evaluator(Size(facts, 0, 0, terms))(values)
        if terms in facts.least:
            claims.append(value >= facts.least[terms])
        if terms in facts.greatest:
            claims.append(value <= facts.greatest[terms])
        claims += [value != n for n in facts._never.get(terms, ())]
    return claims


def sizes(z3: Any, name: str, few: int | None = None) -> tuple[bool | None, int]:
    """Whether an operation on sizes gives, for all integers for which the facts that it notes hold, what it
    gives on ints; and for how many pairs of expressions that was proved, each at several sizes at
    hand. `few`: of every so manieth expression alone."""
    operation = {**ARITHMETIC, **QUESTIONS}[name][0]
    count = 0
    for (_, f), (_, g) in itertools.product(_polynomials()[::few], repeat=2):
        for at in ((6, 4), (4, 6), (5, 5), (1, 7)):
            facts = Facts()
            n, m = (facts.symbol(v) for v in at)
            a, b = f(n, m), g(n, m)
            if not (isinstance(a, Size) or isinstance(b, Size)):
                break
            for noted in (facts.least, facts.greatest, facts._never):
                noted.clear()
            try:
                result = operation(a, b)
            except ZeroDivisionError:
                continue
            values: list[Any] = list(z3.Ints("n m"))
            true = _meant(z3, name, *(_integer(z3, evaluator(x)(values)) for x in (a, b)))
            claims = _facts(z3, facts, values)
            got = z3.BoolVal(result) if isinstance(result, bool) else _integer(z3, evaluator(result)(values))
            if name in ("//", "%"):
                claims.append(_integer(z3, evaluator(b)(values)) != 0)
            alike = name in "+-*" and z3.is_int_value(z3.simplify(got - true, som=True))
            found = (
                valid(z3, z3.Implies(z3.And(*claims), got == true)) if not alike else _zero(z3, got - true)
            )
            count += 1
            if not found:
                return found, count
    return True, count


def _zero(z3: Any, x: Any) -> bool:
    """Whether a polynomial is 0 once it is multiplied out."""
    return bool(z3.simplify(x, som=True).as_long() == 0)


def followers(z3: Any) -> tuple[bool | None, int]:
    """Whether what `Facts.followers` computes from an equation that was noted follows from it, for all
    integers; and of how many that was proved."""
    count = 0
    for (_, f), (_, g) in itertools.product(_polynomials(), repeat=2):
        for at in itertools.product(range(1, 9), repeat=2):
            if f(*at) != g(*at):
                continue
            facts = Facts()
            n, m = (facts.symbol(v) for v in at)
            assert f(n, m) == g(n, m)
            values: list[Any] = list(z3.Ints("n m"))
            claims = _facts(z3, facts, values)
            for k, size in facts.followers():
                claim = z3.Implies(z3.And(*claims), values[k] == _integer(z3, evaluator(size)(values)))
                if not (found := valid(z3, claim)):
                    return found, count
                count += 1
            break
    return True, count


def _integer(z3: Any, x: Any) -> Any:
    return z3.IntVal(x) if isinstance(x, int) else x


# --- the table -------------------------------------------------------------------------------------


def prove(rule: Rule, z3: Any, whole: bool) -> Iterator[Proved]:
    """Each proof of one rule. KeyError for a rule that nothing here proves."""
    name = text(rule[0])
    if not over_elements(rule):
        begin = time.perf_counter()
        holds, count = moved(rule, 3 if whole else 2)
        assert count, f"{name} applies to nothing that is tried"
        yield Proved(name, "arrays", f"{count:,} instances", holds, time.perf_counter() - begin)
        return
    for dtype in DTYPES.values():
        if dtype.is_complex or not takes(rule, dtype):
            continue
        begin = time.perf_counter()
        if (dtype.is_float and dtype.bits == 16) or (dtype.kind in "iu" and dtype.bits == 8):
            held, tried = exhaustive(rule, dtype, whole and not dtype.package)
            yield Proved(name, str(dtype), tried, held, time.perf_counter() - begin)
        begin = time.perf_counter()
        if z3 is not None:
            yield Proved(name, str(dtype), "z3", solved(z3, rule, dtype), time.perf_counter() - begin)


def main() -> None:
    import z3

    whole = "--few" not in sys.argv
    print("| rule | of | proved by | holds | seconds |\n|---|---|---|---|---|")
    for rule in simplify.RULES:
        groups: dict[tuple[str, bool | None], list[Proved]] = {}
        for proof in prove(rule, z3, whole):
            groups.setdefault((proof.by, proof.holds), []).append(proof)
        for (by, holds), proofs in groups.items():
            of = ", ".join(p.of for p in proofs)
            said = {True: "yes", False: "NO", None: "not decided"}[holds]
            print(
                f"| `{proofs[0].rule}` | {of} | {by} | {said} | {sum(p.seconds for p in proofs):.2f} |",
                flush=True,
            )
    for name in (*ARITHMETIC, *QUESTIONS, "followers"):
        begin = time.perf_counter()
        held, count = followers(z3) if name == "followers" else sizes(z3, name)
        said = {True: "yes", False: "NO", None: "not decided"}[held]
        by, seconds = f"z3, {count} cases", time.perf_counter() - begin
        print(f"| sizes: `{name}` | all integers | {by} | {said} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
