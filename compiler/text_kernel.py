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

- One call argument makes `max`, `min` a row reduction of the statement (`top = max(x[i, j])`), two make it the
  elementwise op; `sum(e)` and `dot(a, b)` are always reductions. `+=`, `max=`, `min=` reduce over the outer axes.
- A reduction's accumulator has the dtype of its expression, or the one after the colon.
- A bare literal has the dtype of the operands beside it (in `where`, of the other branch). A literal with
  none beside it carries its dtype: `f32(0.5)`. A dtype around anything else is a cast: `f64(x)`.
- `x[i - lo | lo <= i < hi]` is 0, and reads nothing, outside of the guard. `(lo <= i < hi)` is that test itself.
- `;` separates statements as a line break does; a colon may follow a stage's axes; statements straight
  below `for`, `kernel` or `finally` form a stage without axes. Indentation is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .kernel import (
    Array,
    Axis,
    Call,
    Const,
    Expr,
    Index,
    Kernel,
    Let,
    Load,
    Reduce,
    Ref,
    Scalar,
    Stage,
    Stmt,
    Store,
    Within,
    expr_dtype,
)
from .ops import REGISTRY
from .text_lexer import MAX_DEPTH, Cursor, Number, Token, fit, format_loc, format_number, is_name
from .types import DTYPES, DType, TensorType, b1

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_OP_OF = {mark: op for op, mark in INFIX.items()}
_LEVEL = {"==": 1, "!=": 1, "<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3}
_COMPARISONS = frozenset(op for op, mark in INFIX.items() if _LEVEL[mark] == 1)
RESERVED = frozenset(("kernel", "for", "in", "stage", "finally", "inf", "nan", "true", "false"))
ROW = ("sum", "max", "min", "dot")


def usable(name: str) -> bool:
    """Whether `name` can name something in a kernel."""
    return is_name(name) and name not in RESERVED


# --- printing ------------------------------------------------------------------------------------


def print_kernel(kernel: Kernel, locs: bool = False) -> str:
    """The text of `kernel`. Without `locs` it is canonical: equal texts, equal kernels."""
    params = ", ".join(map(_param, kernel.params))
    outputs = ", ".join(map(_param, kernel.outputs))
    lines = [f"kernel {kernel.name}({params}) -> ({outputs})"]
    if kernel.outer:
        lines.append(f"  for {_axes(kernel.outer)}")
    indent = "    " if kernel.outer else "  "
    for stage in kernel.stages:
        lines += _stage(stage, indent, bare=False, locs=locs)
    if kernel.final:
        lines.append("  finally")
    for k, stage in enumerate(kernel.final):
        lines += _stage(stage, "    ", bare=k == 0 and not stage.axes and bool(stage.body), locs=locs)
    return "\n".join([*lines, ""])


def _param(param: Array | Scalar) -> str:
    if isinstance(param, Scalar):
        return f"{param.name}: {param.dtype}"
    stride = "" if param.unit else ":"
    return f"{param.name}: {param.dtype}[{', '.join(map(str, param.dims))}{stride}]"


def _axes(axes: tuple[Axis, ...]) -> str:
    return ", ".join(f"{a.name} in {a.extent}" for a in axes)


def _stage(stage: Stage, indent: str, bare: bool, locs: bool) -> list[str]:
    body = indent if bare else indent + "  "
    lines = [] if bare else [f"{indent}stage {_axes(stage.axes)}".rstrip()]
    return lines + [
        f"{body}{statement_text(s)}{format_loc(s.loc) if locs else ''}" for s in stage.body
    ]


def statement_text(stmt: Stmt) -> str:
    """One statement, as in the text of its kernel."""
    if isinstance(stmt, Let):
        return f"{stmt.name} = {expr_text(stmt.expr)}"
    if isinstance(stmt, Store):
        return f"{_element(stmt.array, stmt.index)} = {expr_text(stmt.expr)}"
    values = _arguments(stmt.args, tuple(range(len(stmt.args))))
    given = f": {stmt.dtype}" if any(expr_dtype(a) != stmt.dtype for a in stmt.args) else ""
    if stmt.scope == "row":
        return f"{stmt.name}{given} = {stmt.op}({', '.join(values)})"
    target = _element(stmt.name, tuple(map(Index, stmt.keep)))
    if stmt.op == "dot":
        return f"{target}{given} += dot({', '.join(values)})"
    mark = "+=" if stmt.op == "sum" else f"{stmt.op}="
    return f"{target}{given} {mark} {', '.join(values)}"


def expr_text(expr: Expr) -> str:
    """An expression by itself: a literal carries its dtype."""
    return _typed(expr) if isinstance(expr, Const) else _expr(expr, 0)


def _element(array: str, index: tuple[Index, ...], guards: tuple[Within, ...] = ()) -> str:
    if not index and not guards:
        return array
    subscripts = ", ".join(f"{i.axis} - {i.shift}" if i.shift else i.axis for i in index)
    bounds = ", ".join(f"{g.lo} <= {g.axis} < {g.hi}" for g in guards)
    return f"{array}[{subscripts} | {bounds}]".replace("[ ", "[") if guards else f"{array}[{subscripts}]"


def _typed(const: Const) -> str:
    return f"{const.dtype}({format_number(const.value, const.dtype)})"


def _expr(expr: Expr, level: int) -> str:
    """`expr` as an operand of an operator of `level` (or tighter)."""
    if isinstance(expr, Const):
        return _typed(expr)
    if isinstance(expr, Ref):
        return expr.name
    if isinstance(expr, Load):
        return _element(expr.array, expr.index, expr.guards)
    if isinstance(expr, Within):
        return f"({expr.lo} <= {expr.axis} < {expr.hi})"
    if expr.op == "cast":
        return f"{expr.dtype}({', '.join(_expr(a, 0) for a in expr.args)})"
    mark = INFIX.get(expr.op)
    if mark is None or len(expr.args) != 2:
        alike = (1, 2) if expr.op == "where" else tuple(range(len(expr.args)))
        return f"{expr.op}({', '.join(_arguments(expr.args, alike))})"
    own = _LEVEL[mark]
    # + - * / associate to the left, comparisons not at all
    left, right = _arguments(expr.args, (0, 1), (own + (own == 1), own + 1))
    return f"({left} {mark} {right})" if own < level else f"{left} {mark} {right}"


def _arguments(
    args: tuple[Expr, ...], alike: tuple[int, ...], levels: tuple[int, ...] = ()
) -> list[str]:
    """Operands of one op; those in `alike` have one dtype, so that one tells a literal beside it."""
    told = {expr_dtype(args[k]) for k in alike if k < len(args) and not isinstance(args[k], Const)}
    texts = []
    for k, arg in enumerate(args):
        if isinstance(arg, Const) and k in alike and told == {arg.dtype}:
            texts.append(format_number(arg.value, arg.dtype))
        else:
            texts.append(_expr(arg, levels[k] if levels else 0))
    return texts


# --- parsing -------------------------------------------------------------------------------------


def parse_kernel(text: str) -> Kernel:
    """The kernel that `text` describes; dtypes of expressions come from the ops' type rules.

    Raises IRSyntaxError, at the line and column of what is wrong. What needs the whole kernel (scopes,
    extents, stores) is left to `verify_kernel`."""
    return _Parser(text).kernel()


@dataclass(frozen=True, slots=True)
class _Item:
    """A parsed expression. `expr` is None while it holds only literals, whose dtype the context tells:
    then it is `number`, or `op` of `args`."""

    token: Token
    depth: int
    expr: Expr | None
    number: Number = 0
    op: str = ""
    args: tuple[_Item, ...] = ()


class _Parser:
    def __init__(self, text: str) -> None:
        self.c = Cursor(text)
        self.arrays: dict[str, Array] = {}
        self.outputs: dict[str, Array] = {}
        self.values: dict[str, DType] = {}  # scalars, lets, reductions without kept axes
        self.kept: dict[str, DType] = {}
        self.axes: set[str] = set()

    # --- structure --------------------------------------------------------------------------------

    def kernel(self) -> Kernel:
        c = self.c
        c.skip_lines()
        c.expect_word("kernel")
        name = c.name("the name of the kernel").text
        params = self.list("(", ")", self.param)
        c.expect("->")
        start = c.token
        outputs: list[Array] = []
        for param in self.list("(", ")", self.param):
            if isinstance(param, Scalar):
                raise c.error(f"the output `{param.name}` must be an array: {param.dtype}[]", start)
            outputs.append(param)
        self.outputs = {o.name: o for o in outputs}
        self.arrays = {p.name: p for p in params if isinstance(p, Array)} | self.outputs
        self.values = {p.name: p.dtype for p in params if isinstance(p, Scalar)}
        c.accept(":")
        c.end_line()
        outer: tuple[Axis, ...] = ()
        if c.accept_word("for"):
            outer = self.some_axes()
            c.accept(":")
            c.end_line()
        stages = self.stages(outer)
        final: tuple[Stage, ...] = ()
        if c.accept_word("finally"):
            c.accept(":")
            c.skip_lines()
            final = self.stages(())
        c.finish()
        return Kernel(name, tuple(params), tuple(outputs), outer, stages, final)

    def list(self, left: str, right: str, item: Callable[[], T]) -> list[T]:
        found: list[T] = []
        self.c.expect(left)
        while not self.c.at(right):
            found.append(item())
            if not self.c.accept(","):
                break
        self.c.expect(right)
        return found

    def param(self) -> Array | Scalar:
        c = self.c
        name = c.name("a parameter (`name: f32[n]`)").text
        c.expect(":")
        dtype = c.dtype()
        if not c.accept("["):
            return Scalar(name, dtype)
        dims: list[Extent] = []
        while not c.at("]", ":"):
            dims.append(self.extent())
            if not c.accept(","):
                break
        strided = bool(dims) and c.accept(":")
        c.expect("]")
        return Array(name, dtype, tuple(dims), not strided)

    def extent(self) -> Extent:
        if self.c.token.kind == "name":
            return self.c.next().text
        return self.c.natural("an extent (a name or a whole number)")

    def some_axes(self) -> tuple[Axis, ...]:
        axes: list[Axis] = []
        while not axes or self.c.accept(","):
            name = self.c.name("an axis (`i in n`)").text
            self.c.expect_word("in")
            axes.append(Axis(name, self.extent()))
        return tuple(axes)

    def stages(self, outer: tuple[Axis, ...]) -> tuple[Stage, ...]:
        c = self.c
        stages: list[Stage] = []
        while c.token.kind != "end" and not c.at_word("finally"):
            axes: tuple[Axis, ...] = ()
            if c.accept_word("stage"):
                if c.token.kind == "name":
                    axes = self.some_axes()
                if not c.accept(":"):
                    c.expect_kind("newline", "`:` or the end of the line")
                c.skip_lines()
            elif stages:
                raise c.expected("`stage`")
            self.axes = {a.name for a in outer + axes}
            body: list[Stmt] = []
            while c.token.kind != "end" and not c.at_word("stage", "finally"):
                body.append(self.statement())
                if not c.accept(";"):
                    c.expect_kind("newline", "`;` or the end of the line")
                c.skip_lines()
            stages.append(Stage(axes, tuple(body)))
        return tuple(stages)

    # --- statements -------------------------------------------------------------------------------

    def statement(self) -> Stmt:
        c = self.c
        start = c.name("a statement, `stage` or `finally`")
        name, index = start.text, None
        if c.at("["):
            index = tuple(self.list("[", "]", self.index))
        dtype = None
        if c.accept(":"):
            dtype = c.dtype()
        if c.accept("+="):
            op = "dot" if self.at_call("dot") else "sum"
            return self.total(start, index, op, dtype)
        if c.at_word("max", "min"):
            op = c.next().text
            c.expect("=")
            return self.total(start, index, op, dtype)
        if not c.at("="):
            raise c.expected("`=`, `+=`, `max=` or `min=`")
        c.next()
        if index is not None or name in self.outputs:
            if dtype is not None:
                raise c.error("a store has the dtype of its array", start)
            known = self.outputs.get(name)
            expr = self.close(self.expr(), known.dtype if known else None)
            return Store(name, index or (), expr, c.loc(c.token))
        first: _Item | None = None
        if self.at_call("sum", "dot", "max", "min"):
            call = c.next()
            args = self.list("(", ")", lambda: self.expr(1))
            if call.text in ("sum", "dot") or len(args) == 1:
                exprs, dtype = self.reduced(call, args, dtype)
                self.values[name] = dtype
                return Reduce(name, call.text, exprs, dtype, "row", (), c.loc(c.token))
            first = self.apply(call.text, tuple(args), call)
        if dtype is not None:
            raise c.error("only a reduction is given a dtype; a let has that of its expression", start)
        expr = self.close(self.expr(0, first), None)
        self.values[name] = expr_dtype(expr)
        return Let(name, expr, c.loc(c.token))

    def total(
        self, start: Token, index: tuple[Index, ...] | None, op: str, dtype: DType | None
    ) -> Reduce:
        """A reduction over the outer axes, from behind its `+=`, `max=` or `min=`."""
        c = self.c
        if any(ix.shift for ix in index or ()):
            raise c.error("the subscripts of a reduction are plain axes", start)
        keep = tuple(ix.axis for ix in index or ())
        token = c.token
        args = [self.expr()] if op != "dot" else []
        if op == "dot":
            c.next()
            args = self.list("(", ")", lambda: self.expr(1))
        exprs, dtype = self.reduced(token, args, dtype)
        (self.kept if keep else self.values)[start.text] = dtype
        return Reduce(start.text, op, exprs, dtype, "all", keep, c.loc(c.token))

    def reduced(
        self, token: Token, args: list[_Item], dtype: DType | None
    ) -> tuple[tuple[Expr, ...], DType]:
        """The arguments of a reduction and the dtype of its accumulator."""
        expected = 2 if token.text == "dot" and token.kind == "name" else 1
        if len(args) != expected:
            raise self.c.error(f"expected {expected} argument(s), found {len(args)}", token)
        told = next((expr_dtype(a.expr) for a in args if a.expr is not None), dtype)
        exprs = tuple(self.close(a, told) for a in args)
        return exprs, dtype or expr_dtype(exprs[0])

    def at_call(self, *names: str) -> bool:
        after = self.c.ahead()
        return self.c.at_word(*names) and after.kind == "mark" and after.text == "("

    # --- expressions ------------------------------------------------------------------------------

    def expr(self, nest: int = 0, first: _Item | None = None) -> _Item:
        """An expression; `first` is its first operand if that has been parsed. Operators wait on a
        stack, so that only parentheses recurse, and those are counted."""
        c = self.c
        if nest > MAX_DEPTH:
            raise c.error(f"the expression is nested deeper than {MAX_DEPTH}")
        operands = [first or self.operand(nest)]
        waiting: list[Token] = []

        def settle(level: int) -> None:
            while waiting and _LEVEL[waiting[-1].text] >= level:
                token = waiting.pop()
                if level == 1 and _LEVEL[token.text] == 1 and c.at(*_LEVEL):
                    raise c.error("comparisons do not chain; use parentheses and `and(a, b)`")
                right = operands.pop()
                operands.append(self.apply(_OP_OF[token.text], (operands.pop(), right), token))

        while c.at(*_LEVEL):
            settle(_LEVEL[c.token.text])
            waiting.append(c.next())
            operands.append(self.operand(nest))
        settle(0)
        return operands[0]

    def operand(self, nest: int) -> _Item:
        c = self.c
        signs: list[Token] = []
        while c.at("-") and not c.at_number():
            signs.append(c.next())
        item = self.atom(nest)
        for token in reversed(signs):
            item = self.apply("neg", (item,), token)
        return item

    def atom(self, nest: int) -> _Item:
        c = self.c
        token = c.token
        if c.at_number():
            return _Item(token, 1, None, c.number())
        if c.accept("("):
            if self.at_bounds():
                item = _Item(token, 1, self.bounds())
            else:
                item = self.expr(nest + 1)
            c.expect(")")
            return item
        if token.kind != "name":
            raise c.expected("an expression")
        if token.text in RESERVED:
            raise c.expected("an expression")
        c.next()
        if c.at("("):
            return self.call(token, nest)
        if c.at("["):
            return _Item(token, 1, self.load(token))
        if token.text in self.values:
            return _Item(token, 1, Ref(token.text, self.values[token.text]))
        array = self.arrays.get(token.text)
        if array is not None and array.dims:
            raise c.error(f"`{token.text}` has {len(array.dims)} subscripts", token)
        if array is None:
            raise c.error(f"`{token.text}` is not defined above", token)
        return _Item(token, 1, Load(token.text, (), array.dtype))

    def call(self, token: Token, nest: int) -> _Item:
        c = self.c
        dtype = DTYPES.get(token.text)
        if dtype is None:
            return self.apply(token.text, tuple(self.list("(", ")", lambda: self.expr(nest + 1))), token)
        c.expect("(")
        sign = 1 if c.at("-") else 0
        after = c.ahead(1 + sign)
        if c.at_number() and after.kind == "mark" and after.text == ")":
            number = _Item(c.token, 1, None, c.number())
            item = _Item(token, 1, self.close(number, dtype))
        else:
            inner = self.expr(nest + 1)
            self.deep(inner.depth + 1, token)
            expr = Call("cast", (self.close(inner, None),), dtype)
            item = _Item(token, inner.depth + 1, expr)
        c.expect(")")
        return item

    def load(self, token: Token) -> Load:
        """From the subscripts of `token` on."""
        c = self.c
        array = self.arrays.get(token.text)
        if array is None and token.text not in self.kept:
            raise c.error(f"`{token.text}` is not an array", token)
        index: list[Index] = []
        guards: list[Within] = []
        c.expect("[")
        while not c.at("]", "|"):
            index.append(self.index())
            if not c.accept(","):
                break
        while c.accept("," if guards else "|"):
            guards.append(self.bounds())
        c.expect("]")
        dtype = self.kept[token.text] if array is None else array.dtype
        return Load(token.text, tuple(index), dtype, tuple(guards))

    def index(self) -> Index:
        axis = self.axis()
        if not self.c.accept("-"):
            return Index(axis)
        return Index(axis, self.c.name("the lower bound of a guard").text)

    def axis(self) -> str:
        token = self.c.name("an axis")
        if token.text not in self.axes:
            known = ", ".join(sorted(self.axes)) or "none"
            raise self.c.error(f"`{token.text}` is not an axis here ({known})", token)
        return token.text

    def at_bounds(self) -> bool:
        kinds = [self.c.ahead(k) for k in range(4)]
        return [t.text for t in kinds[1::2]] == ["<=", "<"] and kinds[2].text in self.axes

    def bounds(self) -> Within:
        """`lo <= axis < hi`"""
        c = self.c
        lo = c.name("a lower bound").text
        c.expect("<=")
        axis = self.axis()
        c.expect("<")
        return Within(axis, lo, c.name("an upper bound").text)

    # --- dtypes -----------------------------------------------------------------------------------

    def deep(self, depth: int, token: Token) -> None:
        if depth > MAX_DEPTH:
            raise self.c.error(f"the expression is deeper than {MAX_DEPTH}", token)

    def apply(self, name: str, args: tuple[_Item, ...], token: Token) -> _Item:
        """An op over operands; literals among them take the dtype of the others."""
        op = REGISTRY.get(name)
        if name in ("sum", "dot"):
            raise self.c.error(f"a reduction is a statement of its own: `r = {name}(...)`", token)
        if op is None or op.kind != "elementwise" or op.attrs:
            raise self.c.error(f"`{name}` is not an elementwise op", token)
        depth = 1 + max((a.depth for a in args), default=0)
        self.deep(depth, token)
        alike = args[1:] if name == "where" else args
        told = next((expr_dtype(a.expr) for a in alike if a.expr is not None), None)
        if told is None and alike and name != "where" and name not in _COMPARISONS:
            return _Item(token, depth, None, 0, name, args)
        exprs = [self.close(a, told) for a in alike]
        if name == "where" and args:
            exprs.insert(0, self.close(args[0], b1))
        return _Item(token, depth, self.typed(name, tuple(exprs), token))

    def close(self, item: _Item, dtype: DType | None) -> Expr:
        """The expression of `item`, whose literals are `dtype` unless they say otherwise."""
        if item.expr is not None:
            return item.expr
        if dtype is None:
            raise self.c.error("the dtype of a literal is not known here; write `f32(0.5)`", item.token)
        if item.op:
            return self.typed(item.op, tuple(self.close(a, dtype) for a in item.args), item.token)
        try:
            return Const(fit(item.number, dtype), dtype)
        except ValueError as error:
            raise self.c.error(str(error), item.token) from None

    def typed(self, name: str, args: tuple[Expr, ...], token: Token) -> Call:
        types = tuple(TensorType(expr_dtype(a), ()) for a in args)
        try:
            return Call(name, args, REGISTRY[name].infer(types, {}).dtype)
        except (TypeError, ValueError) as error:
            raise self.c.error(str(error), token) from None
