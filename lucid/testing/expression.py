"""Expressions of random programs, such as `L.where(v1 > v3, v3, -v4)`: parsed, and evaluated by a walk.

A program may come from a file, so nothing is handed to Python's `eval`: what is not of this grammar is
refused before anything runs. `L` stands for numpy or lucid; of it, and of values, only the names below may
be asked for. Names are x0 (an array), k0 (a number of Python's), v0 (a result) and i0 (what a loop counts).
Beside NumPy's there are `at(x)[i].set(v)`, an array with other elements, `copied(x)[i].put(v)`, a copy in
which they were assigned to, `gathered(x, 0, i)` and `scattered(x, 0, i, v)` (`places.py`); Python decides in
`v1 if k0 > 2 else v2`, and loops in `sum([v1 * i0 for i0 in range(3)])`.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid.compiler.ops import REGISTRY

from .places import Copied, at, gathered, scattered

Value = Callable[[Mapping[str, Any]], Any]

NAME = re.compile(r"[xvki]\d+")
METHODS = frozenset(
    (
        "T", "add", "all", "any", "argmax", "argmin", "astype", "clip", "imag", "max", "mean", "min", "ndim",
        "prod", "put", "real", "reshape", "set", "shape", "std", "stay", "sum", "transpose", "var",
    )
)  # fmt: skip
_FUNCTIONS = frozenset(
    (
        "abs", "arctan2", "argsort", "broadcast_to", "ceil", "concatenate", "conj", "convolve", "copysign",
        "count_nonzero", "cumprod", "cumsum", "diff", "exp", "flip", "floor", "fmax", "fmin", "fmod", "hypot",
        "imag", "isfinite", "isnan", "log", "logaddexp", "maximum", "minimum", "nan_to_num", "outer", "pad",
        "real", "rint", "roll", "sign", "signbit", "sort", "sqrt", "square", "stack", "take_along_axis",
        "tanh", "tensordot", "tril", "triu", "trunc", "where",
    )
)  # fmt: skip
_UNARY: dict[type, Any] = {ast.USub: operator.neg, ast.Invert: operator.invert, ast.UAdd: operator.pos}
_BINARY: dict[type, Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.MatMult: operator.matmul, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
    ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_BUILTINS: dict[tuple[str, int], Callable[..., Any]] = {  # by name, and number of operands
    ("abs", 1): abs, ("at", 1): at, ("copied", 1): Copied, ("gathered", 3): gathered,
    ("scattered", 4): scattered, ("sum", 1): sum,
}  # fmt: skip
_SUMS, _SCANS = frozenset(("mean", "prod", "sum", "var")), frozenset(("cumprod", "cumsum"))
TURNS = 100  # of a loop
ELEMENTS = 1 << 24  # of an intermediate result; those of the generator's own have at most 20,000
DEPTH = 60  # of an expression; those of the generator have less than ten


@functools.cache
def functions() -> frozenset[str]:
    """The functions of `L` that an expression may call: those above, and elementary ones."""
    named = (op.named.names for op in REGISTRY.values() if op.named is not None and op.ulp)
    return _FUNCTIONS.union(*named)


@functools.lru_cache(maxsize=8192)
def expression(text: str) -> Value:
    """What computes the expression from the values of its names. ValueError if it is none."""
    if len(text) > 10_000:
        raise ValueError(f"an expression of {len(text):,} characters; expected at most 10,000")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"`{text}` is no expression: {error}") from None
    return _value(tree, text, DEPTH)


def names_in(text: str) -> list[str]:
    """The inputs and results that an expression reads."""
    return re.findall(r"\b[xvk]\d+\b", text)


def _roomy(binary: Callable[..., Any], a: Any, b: Any) -> tuple[Any, Any]:
    """The operands. ValueError where the result would not fit into ELEMENTS: sizes are drawn, and each
    operand may be small."""
    one, two = getattr(a, "shape", ()), getattr(b, "shape", ())
    if one and two:
        if binary is operator.matmul:
            count = math.prod(one[:-1]) * math.prod(two[:-2]) * (two[-1] if len(two) > 1 else 1)
        else:
            count = math.prod(np.broadcast_shapes(one, two))
        _fits(count)
    return a, b


def _read(array: Any, index: Any) -> Any:
    shapes = [k.shape for k in (index if isinstance(index, tuple) else (index,)) if hasattr(k, "shape")]
    if shapes and hasattr(array, "shape"):
        _fits(math.prod(np.broadcast_shapes(*shapes)) * math.prod(array.shape[len(shapes) :]))
    return array[index]


def _sum(array: Any, name: str) -> Callable[..., Any]:
    """A method of an array. Of halves NumPy rounds at each step, where lucid does once: here it does, too."""
    if isinstance(array, np.ndarray | np.generic) and array.dtype == np.float16:
        wide = getattr(array.astype(np.float32), name)
        return lambda *args, **named: wide(*args, **named).astype(np.float16)
    return getattr(array, name)  # type: ignore[no-any-return]


def _scan(module: Any, name: str) -> Callable[..., Any]:
    """A function of NumPy's or lucid's; of halves as above."""
    if module is np:
        return lambda array, axis: _sum(array, name)(axis)
    return getattr(module, name)  # type: ignore[no-any-return]


def _fits(count: int) -> None:
    if count > ELEMENTS:
        raise ValueError(f"a result of {count:,} elements; expected at most {ELEMENTS:,}")


def _value(node: ast.AST, text: str, depth: int) -> Value:
    """One node of the tree as a function of the values."""
    if not depth:
        raise ValueError(f"`{text[:60]} ...` is nested more than {DEPTH} deep")

    def inside(part: ast.AST) -> Value:
        return _value(part, text, depth - 1)

    match node:
        case ast.Constant(value=bool() | int() | float() | complex() | str() | None as constant):
            return lambda _: constant
        case ast.Name(id=name) if NAME.fullmatch(name):
            return operator.itemgetter(name)
        case ast.UnaryOp(op=op, operand=part) if type(op) in _UNARY:
            one, unary = inside(part), _UNARY[type(op)]
            return lambda values: unary(one(values))
        case (
            ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right])
        ) if type(op) in _BINARY and any(isinstance(n, ast.Name) for n in ast.walk(node)):  # no 9**9**9
            a, b, binary = inside(left), inside(right), _BINARY[type(op)]
            return lambda values: binary(*_roomy(binary, a(values), b(values)))
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            parts, kind = [inside(e) for e in elements], tuple if isinstance(node, ast.Tuple) else list
            return lambda values: kind(part(values) for part in parts)
        case ast.Slice(lower=lower, upper=upper, step=step):
            ends = [inside(e) if e is not None else None for e in (lower, upper, step)]
            return lambda values: slice(*(None if e is None else e(values) for e in ends))
        case ast.Subscript(value=of, slice=key):
            array, index = inside(of), inside(key)
            return lambda values: _read(array(values), index(values))
        case ast.Attribute(value=ast.Name(id="L"), attr=name) if name in functions():
            if name in _SCANS:
                return lambda values: _scan(values["L"], name)
            return lambda values: getattr(values["L"], name)
        case ast.Attribute(value=of, attr=name) if name in METHODS:
            owner = inside(of)
            if name in _SUMS:
                return lambda values: _sum(owner(values), name)
            return lambda values: getattr(owner(values), name)
        case ast.Call(func=ast.Name(id=name), args=some, keywords=[]) if (name, len(some)) in _BUILTINS:
            operands, builtin = [inside(one) for one in some], _BUILTINS[name, len(some)]
            return lambda values: builtin(*(operand(values) for operand in operands))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            decide, yes, no = inside(test), inside(body), inside(orelse)
            return lambda values: yes(values) if decide(values) else no(values)
        case ast.ListComp(
            elt=element,
            generators=[
                ast.comprehension(
                    target=ast.Name(id=name),
                    iter=ast.Call(func=ast.Name(id="range"), args=[count], keywords=[]),
                    ifs=[],
                )
            ],
        ) if NAME.fullmatch(name):
            each, turns = inside(element), inside(count)
            return lambda values: [each({**values, name: turn}) for turn in range(min(turns(values), TURNS))]
        case ast.Call(func=ast.Attribute() as called, args=positional, keywords=keywords):
            function, given = inside(called), [inside(p) for p in positional]
            named = {k.arg: inside(k.value) for k in keywords if k.arg is not None}
            if len(named) == len(keywords):
                return lambda values: function(values)(
                    *(g(values) for g in given), **{k: v(values) for k, v in named.items()}
                )
    found = ast.get_source_segment(text.strip(), node) or type(node).__name__
    raise ValueError(
        f"`{text}`: `{found}` is not of the grammar of programs; expected names like x0 and v1, numbers, "
        f"operators, subscripts, `L.` and one of {len(functions())} functions (exp, where, ...), or one of "
        f"the methods {', '.join(sorted(METHODS))}"
    )
