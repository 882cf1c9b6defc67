"""A graph in more digits than float64 has, by mpmath, where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.types import f64

from .bounds import Array, evaluated, lifted

DIGITS = 40


def precisely(graph: Graph, inputs: Sequence[Array]) -> dict[Node, Array] | None:
    """The value of every node, floats as arrays of mpmath's numbers; None where float64 will do (no node is
    float64), mpmath is missing, or it has not what the graph has."""
    order = toposort(graph.outputs)
    if not any(n.type.dtype is f64 for n in order):
        return None
    try:
        import mpmath
    except ImportError:
        return None
    known = _functions(mpmath.mp)
    if any(n.op.name not in known and not _same(n) for n in order):
        return None
    values: dict[Node, Array] = {}
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        many = np.frompyfunc(mpmath.mpf, 1, 1)

        def wide(x: Array) -> Array:
            return np.asarray(many(x.astype(np.float64)), dtype=object)

        for node, x in zip(graph.inputs, inputs, strict=True):
            values[node] = wide(x) if node.type.dtype.is_float else x
        for node in order:
            if node in values:
                continue
            args = [values[n] for n in node.inputs]
            if node.op.kind == "leaf":
                x = evaluated(node, lifted(node.attrs), [])
                values[node] = wide(x) if node.type.dtype.is_float else x
            elif node.op.name in known and (node.type.dtype.is_float or any(a.dtype == object for a in args)):
                found = known[node.op.name](node, args)
                values[node] = np.asarray(
                    found, dtype=object if node.type.dtype.is_float else node.type.dtype.np
                )
            else:
                values[node] = evaluated(node, node.attrs, args)
    return values


def _same(node: Node) -> bool:
    """Whether NumPy computes it of any objects, or it is exact."""
    of_floats = node.type.dtype.is_float or any(n.type.dtype.is_float for n in node.inputs)
    return node.op.kind in ("leaf", "view") or (node.op.exact and not of_floats)


def _functions(mp: Any) -> dict[str, Callable[[Node, list[Array]], Any]]:
    def each(f: Any, count: int = 1) -> Callable[[Node, list[Array]], Any]:
        many = np.frompyfunc(f, count, 1)
        return lambda node, args: many(*args)

    def cast(node: Node, args: list[Array]) -> Any:
        (x,), dtype = args, node.type.dtype
        if dtype.is_float:
            return x if x.dtype == object else np.frompyfunc(lambda v: mp.mpf(int(v)), 1, 1)(x)
        return np.frompyfunc(bool if dtype.kind == "b" else int, 1, 1)(x)

    def plain(f: Any) -> Callable[[Node, list[Array]], Any]:
        return lambda node, args: f(*args)

    def over(f: Any) -> Callable[[Node, list[Array]], Any]:
        return lambda node, args: f(args[0], axis=node.attrs["axes"])

    def quotient(x: Any, y: Any) -> Any:
        """By 0, too, where mpmath raises: without a sign of that zero there is no value."""
        return x / y if y else mp.nan

    alike = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative,
        "abs": np.absolute, "max": np.maximum, "min": np.minimum, "lt": np.less, "le": np.less_equal,
        "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "where": np.where,
    }  # fmt: skip
    return {
        **{name: plain(f) for name, f in alike.items()}, "cast": cast, "div": each(quotient, 2),
        "stop_gradient": lambda node, args: args[0], "sign": each(mp.sign),
        "sum": over(np.sum), "amax": over(np.max), "amin": over(np.min),
        "contract": lambda node, args: np.einsum(node.attrs["spec"], *args),
        "gather": lambda node, args: evaluated(node, node.attrs, args),
        "cumsum": lambda node, args: np.cumsum(args[0], axis=node.attrs["axis"]),
        **{name: each(getattr(mp, name)) for name in (
            "sqrt", "exp", "expm1", "log", "log10", "log1p", "cbrt", "sin", "cos", "tan", "sinh", "cosh",
            "tanh", "erf", "erfc", "erfinv", "floor", "ceil", "digamma",
        )},
        "arcsin": each(mp.asin), "arccos": each(mp.acos), "arctan": each(mp.atan),
        "arctan2": each(mp.atan2, 2), "pow": each(mp.power, 2),
        "arcsinh": each(mp.asinh), "arccosh": each(mp.acosh), "arctanh": each(mp.atanh),
        "exp_term": each(mp.exp),
        "exp2": each(lambda x: mp.power(2, x)), "log2": each(lambda x: mp.log(x, 2)),
        "sigmoid": each(lambda x: 1 / (1 + mp.exp(-x))),
    }  # fmt: skip
