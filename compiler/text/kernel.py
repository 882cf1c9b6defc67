"""Text of the kernel level: the canonical text of a kernel is its cache key.

    kernel huber(x: f32[n], y: f32[n:], delta: f32) -> (loss: f32[], g: f32[n])
      for i in n
        stage
          d = x[i] - y[i]
          r = max(abs(d), delta)
          g[i] = where(d > 0.0, r, -1.0)
          total: f64 += d * d
      finally
        loss = f32(total)

- One call argument makes `max`, `min` a row reduction of the statement (`top = max(x[i, j])`), two
  make it the elementwise op; `sum(e)`, `prod(e)` and `dot(a, b)` are always reductions.
  `+=`, `prod=`, `max=`, `min=` and so on reduce over the outer axes.
- A reduction's accumulator has the dtype of its expression, or the one after the colon. Folds with two states
  have two names: `top, place = argmax(x[i, j], at(j))`; `top[j], place[j] argmax=(x[i, j], at(i))`.
- A bare literal has the dtype of the operands beside it (in `where`, of the other branch). A
  literal with none beside it carries its dtype: `f32(0.5)`. A dtype around anything else is a
  cast: `f64(x)`.
- `x[i - lo | lo <= i < hi]` is 0, and reads nothing, outside of the guard. `(lo <= i < hi)` is
  that test itself. `at(i)` is where an axis is, `size(n)` the value of a symbol, both i64.
- `pick(x, i, j)` is the element of x at values i, j (i64), or 0 where one is outside of its dimension;
  `o(i, j) += e` adds there (`max=`, `min=` too).
- `o[i, j] = scan j sum(e)` is the sum up to j, over the inner axis of its stage; `sort j (e)`
  says which elements along it stand where, in ascending order.
- `j in d long` is an axis of a stage that is longer than a block of a reduction.
- `;` separates statements as a line break does; a colon may follow a stage's axes; statements
  straight below `for`, `kernel` or `finally` form a stage without axes. Indentation is free.
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ops.folds import FOLDS
from .lexer import Line, format_number, is_name, joined

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
LEVEL = {"==": 1, "!=": 1, "<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3}
HEADS = ("kernel", "func", "program")  # what begins another part of a text
RESERVED = frozenset((*HEADS, "for", "in", "stage", "scan", "sort", "finally", "inf", "nan", "true", "false"))


def usable(name: str) -> bool:
    """Whether `name` can name something in a kernel."""
    return is_name(name) and name not in RESERVED


# --- printing ------------------------------------------------------------------------------------


def print_kernel(kernel: k.Kernel, locs: bool = False) -> str:
    """The text of `kernel`. Without `locs` it is canonical: equal texts, equal kernels."""
    return joined(kernel_lines(kernel), locs)


def kernel_lines(kernel: k.Kernel) -> list[Line]:
    """The same, line by line."""
    params = ", ".join(map(param_text, kernel.params))
    outputs = ", ".join(map(param_text, kernel.outputs))
    lines: list[Line] = [(f"kernel {kernel.name}({params}) -> ({outputs})", None)]
    if kernel.outer:
        lines.append((f"  for {_axes(kernel.outer)}", None))
    indent = "    " if kernel.outer else "  "
    for stage in kernel.stages:
        lines += _stage(stage, indent, bare=False)
    if kernel.final:
        lines.append(("  finally", None))
    for n, stage in enumerate(kernel.final):
        lines += _stage(stage, "    ", bare=n == 0 and not stage.axes and bool(stage.body))
    return lines


def param_text(param: k.Array | k.Scalar) -> str:
    if isinstance(param, k.Scalar):
        return f"{param.name}: {param.dtype}"
    stride = "" if param.unit else f":{param.step or ''}"
    return f"{param.name}: {param.dtype}[{', '.join(map(str, param.dims))}{stride}]"


def _axes(axes: tuple[k.Axis, ...]) -> str:
    return ", ".join(f"{a.name} in {a.extent}{' long' if a.long else ''}" for a in axes)


def _stage(stage: k.Stage, indent: str, bare: bool) -> list[Line]:
    body = indent if bare else indent + "  "
    lines: list[Line] = [] if bare else [(f"{indent}stage {_axes(stage.axes)}".rstrip(), None)]
    return lines + [(body + statement_text(s), s.loc) for s in stage.body]


def statement_text(stmt: k.Stmt) -> str:
    """One statement, as in the text of its kernel."""
    if isinstance(stmt, k.Let):
        return f"{stmt.name} = {expr_text(stmt.expr)}"
    if isinstance(stmt, k.Store):
        return f"{_element(stmt.array, stmt.index)} = {expr_text(stmt.expr)}"
    if isinstance(stmt, k.Scatter):
        places = ", ".join(_expr(e, 0) for e in stmt.index)
        return f"{stmt.array}({places}) {FOLDS[stmt.op].total} {expr_text(stmt.expr)}"
    if isinstance(stmt, k.Scan):
        return f"{_element(stmt.array, stmt.index)} = scan {stmt.over} {stmt.op}({expr_text(stmt.expr)})"
    if isinstance(stmt, k.Sort):
        over = stmt.over + " falling" * stmt.falling + " values" * stmt.values
        text = f"{_element(stmt.array, stmt.index)} = sort {over} ({expr_text(stmt.expr)})"
        run = "" if stmt.run is None else f" {'merges' if stmt.merges else 'runs'} {stmt.run}"
        return f"{text}{run}" if stmt.first is None else f"{text} first {stmt.first}{run}"
    values = _arguments(stmt.args, tuple(range(len(stmt.args))))
    of = FOLDS.get(stmt.op)  # errors show others, too
    taken = tuple(map(k.expr_dtype, stmt.args))
    own = of.own(taken) if of is not None and len(taken) == of.arguments else ()
    keep = tuple(map(k.Index, stmt.keep))
    targets = ", ".join(
        _element(name, keep) + ("" if dtype in own[n : n + 1] else f": {dtype}")
        for n, (name, dtype) in enumerate(stmt.results)
    )
    if stmt.scope == "row":
        return f"{targets} = {stmt.op}({', '.join(values)})"
    text = f"{targets} {of.total if of is not None else f'{stmt.op}='}"
    return f"{text}({', '.join(values)})" if len(values) > 1 else f"{text} {', '.join(values)}"


def expr_text(expr: k.Expr) -> str:
    """An expression by itself: a literal carries its dtype."""
    return _typed(expr) if isinstance(expr, k.Const) else _expr(expr, 0)


def _element(array: str, index: tuple[k.Index, ...], guards: tuple[k.Within, ...] = ()) -> str:
    if not index and not guards:
        return array
    subscripts = ", ".join(f"{i.axis} - {i.shift}" if i.shift else i.axis for i in index)
    bounds = ", ".join(f"{g.lo} <= {g.axis} < {g.hi}" for g in guards)
    inside = f"{subscripts} | {bounds}".lstrip() if guards else subscripts
    return f"{array}[{inside}]"


def _typed(const: k.Const) -> str:
    return f"{const.dtype}({format_number(const.value, const.dtype)})"


def _expr(expr: k.Expr, level: int) -> str:
    """`expr` as an operand of an operator of `level` (or tighter)."""
    if isinstance(expr, k.Const):
        return _typed(expr)
    if isinstance(expr, k.Ref):
        return expr.name
    if isinstance(expr, k.Load):
        return _element(expr.array, expr.index, expr.guards)
    if isinstance(expr, k.Pick):
        return f"pick({', '.join((expr.array, *(_expr(e, 0) for e in expr.index)))})"
    if isinstance(expr, k.At):
        return f"at({expr.axis})"
    if isinstance(expr, k.Size):
        return f"size({expr.symbol})"
    if isinstance(expr, k.Within):
        return f"({expr.lo} <= {expr.axis} < {expr.hi})"
    if expr.op == "cast":
        return f"{expr.dtype}({', '.join(_expr(a, 0) for a in expr.args)})"
    mark = INFIX.get(expr.op)
    if mark is None or len(expr.args) != 2:
        alike = (1, 2) if expr.op == "where" else tuple(range(len(expr.args)))
        return f"{expr.op}({', '.join(_arguments(expr.args, alike))})"
    own = LEVEL[mark]
    # + - * / associate to the left, comparisons not at all
    left, right = _arguments(expr.args, (0, 1), (own + (own == 1), own + 1))
    return f"({left} {mark} {right})" if own < level else f"{left} {mark} {right}"


def _arguments(args: tuple[k.Expr, ...], alike: tuple[int, ...], levels: tuple[int, ...] = ()) -> list[str]:
    """Operands of one op. Those in `alike` have one dtype: one tells a literal beside it."""
    told = {k.expr_dtype(args[n]) for n in alike if n < len(args) and not isinstance(args[n], k.Const)}
    texts = []
    for n, arg in enumerate(args):
        if isinstance(arg, k.Const) and n in alike and told == {arg.dtype}:
            texts.append(format_number(arg.value, arg.dtype))
        else:
            texts.append(_expr(arg, levels[n] if levels else 0))
    return texts
