"""Parsing of the kernel level; `kernel.py` describes the format."""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.data import data
from ..ir.rounding import Number
from ..ir.types import DTYPES, DType, TensorType, b1, i64
from ..ops import REGISTRY
from ..ops.folds import FOLDS, fold
from .kernel import HEADS, INFIX, LEVEL, RESERVED
from .lexer import MAX_DEPTH, Cursor, Token

_OP_OF = {mark: op for op, mark in INFIX.items()}
_NAMED = [f.name for f in FOLDS.values() if f.total == f"{f.name}="]  # r max= x
_CALLED = [f.name for f in FOLDS.values() if f.total == f"+= {f.name}"]  # r += dot(x, y)
_COMPARISONS = frozenset(op for op, mark in INFIX.items() if LEVEL[mark] == 1)


def _elementwise(name: str) -> bool:
    return name in REGISTRY and REGISTRY[name].kind == "elementwise"


def parse_kernel(text: str, file: str | None = None) -> k.Kernel:
    """The kernel that `text` describes; dtypes of expressions come from the ops' type rules. `file`: where it
    stands; its statements then belong to the lines there.

    Raises IRSyntaxError, at the line and column of what is wrong. What needs the whole kernel
    (scopes, extents, stores) is left to `verify_kernel`."""
    cursor = Cursor(text, file)
    cursor.skip_lines()
    kernel = read_kernel(cursor)
    cursor.finish()
    return kernel


def read_kernel(cursor: Cursor) -> k.Kernel:
    """The one that begins here; up to the next one, or a program."""
    return _Parser(cursor).kernel()


@data
class _Item:
    """A parsed expression. `expr` is None while it holds only literals, whose dtype the context
    tells: then it is `number`, or `op` of `args`."""

    token: Token
    depth: int
    expr: k.Expr | None
    number: Number = 0
    op: str = ""
    args: tuple[_Item, ...] = ()


# What stands before the `=` of a reduction: where, its names, their dtypes as far as they are told.
_Targets = tuple[Token, tuple[str, ...], list[DType | None]]


class _Parser(Cursor):
    def __init__(self, cursor: Cursor) -> None:
        super().__init__(cursor)
        self.arrays: dict[str, k.Array] = {}
        self.outputs: dict[str, k.Array] = {}
        self.values: dict[str, DType] = {}  # scalars, lets, reductions without kept axes
        self.kept: dict[str, DType] = {}
        self.axes: set[str] = set()

    # --- structure --------------------------------------------------------------------------------

    def kernel(self) -> k.Kernel:
        self.expect("kernel")
        name = self.name("the name of the kernel").text
        params = self.several("(", ")", self.param)
        self.skip_lines()
        self.expect("->")
        start = self.token
        outputs: list[k.Array] = []
        for param in self.several("(", ")", self.param):
            if isinstance(param, k.Scalar):
                raise self.error(f"the output `{param.name}` must be an array: {param.dtype}[]", start)
            outputs.append(param)
        self.outputs = {o.name: o for o in outputs}
        self.arrays = {p.name: p for p in params if isinstance(p, k.Array)} | self.outputs
        self.values = {p.name: p.dtype for p in params if isinstance(p, k.Scalar)}
        self.accept(":")
        self.end_line()
        outer: tuple[k.Axis, ...] = ()
        if self.accept("for"):
            outer = self.some_axes()
            self.accept(":")
            self.end_line()
        stages = self.stages(outer)
        final: tuple[k.Stage, ...] = ()
        if self.accept("finally"):
            self.accept(":")
            self.skip_lines()
            final = self.stages(())
        return k.Kernel(name, tuple(params), tuple(outputs), outer, stages, final)

    def param(self) -> k.Array | k.Scalar:
        name = self.name("a parameter (`name: f32[n]`)").text
        self.expect(":")
        dtype = self.dtype()
        if not self.accept("["):
            return k.Scalar(name, dtype)
        dims = self.items(self.extent, "]", ":")
        strided = bool(dims) and self.accept(":")
        step = 0
        if strided and not self.at("]"):
            step = (-1 if self.accept("-") else 1) * self.natural("a stride (a whole number)")
        self.expect("]")
        return k.Array(name, dtype, tuple(dims), not strided, step)

    def extent(self) -> k.Extent:
        if self.token.kind == "name":
            return self.next().text
        return self.natural("an extent (a name or a whole number)")

    def some_axes(self) -> tuple[k.Axis, ...]:
        return tuple(self.items(self.new_axis))

    def new_axis(self) -> k.Axis:
        name = self.name("an axis (`i in n`)").text
        self.expect("in")
        return k.Axis(name, self.extent(), self.accept("long"))

    def stages(self, outer: tuple[k.Axis, ...]) -> tuple[k.Stage, ...]:
        stages: list[k.Stage] = []
        while not self.at_end("finally"):
            axes: tuple[k.Axis, ...] = ()
            if self.accept("stage"):
                if self.token.kind == "name":
                    axes = self.some_axes()
                if not self.accept(":"):
                    self.expect_kind("newline", "`:` or the end of the line")
                self.skip_lines()
            elif stages:
                raise self.expected("`stage`")
            self.axes = {a.name for a in outer + axes}
            body: list[k.Stmt] = []
            while not self.at_end("stage", "finally"):
                body.append(self.statement())
                if not self.accept(";"):
                    self.expect_kind("newline", "`;` or the end of the line")
                self.skip_lines()
            stages.append(k.Stage(axes, tuple(body)))
        return tuple(stages)

    def at_end(self, *words: str) -> bool:
        """Whether nothing more of this kernel follows, or one of these words."""
        return self.token.kind == "end" or self.at(*HEADS, *words)

    # --- statements -------------------------------------------------------------------------------

    def statement(self) -> k.Stmt:
        start = self.name("a statement, `stage` or `finally`")
        name, index = start.text, None
        if self.at("("):
            places = tuple(self.close(item, i64) for item in self.several("(", ")", lambda: self.expr(1)))
            op = self.next().text if self.at(*_NAMED) else "sum"
            self.expect("+=" if op == "sum" else "=")
            array = self.outputs.get(name)
            value = self.close(self.expr(), array.dtype if array else None)
            return k.Scatter(name, places, value, op, self.loc(self.token))
        if self.at("["):
            index = tuple(self.several("[", "]", self.index))
        dtype = self.dtype() if self.accept(":") else None
        names, dtypes = [name], [dtype]
        while self.accept(","):  # of a fold with several states
            names.append(self.name("a result").text)
            here = tuple(self.several("[", "]", self.index)) if self.at("[") else None
            if here != index:
                raise self.error("results of one reduction have the same subscripts", start)
            dtypes.append(self.dtype() if self.accept(":") else None)
        targets = start, tuple(names), dtypes
        if self.accept("+="):
            op = next((name for name in _CALLED if self.at_call(name)), "sum")
            return self.total(targets, index, op)
        if self.at(*_NAMED):
            op = self.next().text
            self.expect("=")
            return self.total(targets, index, op)
        if not self.at("="):
            raise self.expected(f"`=`, `+=`, {', '.join(f'`{n}=`' for n in _NAMED[:-1])} or `{_NAMED[-1]}=`")
        self.next()
        if index is not None or name in self.outputs:
            if dtype is not None:
                raise self.error("a store has the dtype of its array", start)
            known = self.outputs.get(name)
            if self.accept("scan"):
                over, call = self.axis(), self.name("a reduction")
                args = self.several("(", ")", lambda: self.expr(1))
                if call.text not in FOLDS or len(args) != 1:
                    raise self.error("a scan is that of a reduction with one argument", call)
                item = self.close(args[0], known.dtype if known else None)
                return k.Scan(name, index or (), call.text, over, item, self.loc(self.token))
            if self.accept("sort"):
                over, falling, values = self.axis(), self.accept("falling"), self.accept("values")
                (item,) = (self.close(e, None) for e in [self.expr(1)])
                count = self.extent() if self.accept("first") else None
                merges = self.accept("merges")
                run = self.extent() if merges or self.accept("runs") else None
                loc = self.loc(self.token)
                return k.Sort(name, index or (), over, item, falling, count, values, run, merges, loc)
            expr = self.close(self.expr(), known.dtype if known else None)
            return k.Store(name, index or (), expr, self.loc(self.token))
        first: _Item | None = None
        if self.at_call(*FOLDS):
            call = self.next()
            args = self.several("(", ")", lambda: self.expr(1))
            if not _elementwise(call.text) or len(args) == 1:
                return self.reduced(targets, call.text, call, args)
            first = self.apply(call.text, tuple(args), call)
        if dtype is not None or len(names) > 1:
            raise self.error("only a reduction is given a dtype; a let has that of its expression", start)
        expr = self.close(self.expr(0, first), None)
        self.values[name] = k.expr_dtype(expr)
        return k.Let(name, expr, self.loc(self.token))

    def total(self, targets: _Targets, index: tuple[k.Index, ...] | None, op: str) -> k.Reduce:
        """A reduction over the outer axes, from behind its `+=`, `max=` and the like."""
        if any(ix.shift for ix in index or ()):
            raise self.error("the subscripts of a reduction are plain axes", targets[0])
        keep = tuple(ix.axis for ix in index or ())
        token = self.token
        if op in _CALLED:
            self.next()
        several = fold(op).arguments > 1
        args = self.several("(", ")", lambda: self.expr(1)) if several else [self.expr()]
        return self.reduced(targets, op, token, args, keep)

    def reduced(
        self, targets: _Targets, op: str, token: Token, args: list[_Item], keep: tuple[str, ...] | None = None
    ) -> k.Reduce:
        """A reduction with these arguments: of rows, or over all axes but those in `keep`."""
        of, (_, names, given) = fold(op), targets
        if len(args) != of.arguments:
            raise self.error(f"{op} takes {of.takes}, found {len(args)}", token)
        if len(names) != len(of.states):
            raise self.error(f"{op} has {len(of.states)} results, found {len(names)}", token)
        told = next((k.expr_dtype(a.expr) for a in args if a.expr is not None), given[0])
        exprs = tuple(self.close(a, told) for a in args)
        own = of.own(tuple(map(k.expr_dtype, exprs)))
        dtypes = tuple(a or b for a, b in zip(given, own, strict=True))
        known = self.kept if keep else self.values
        known.update(zip(names, dtypes, strict=True))
        scope = "row" if keep is None else "all"
        return k.Reduce(names, op, exprs, dtypes, scope, keep or (), self.loc(self.token))

    def at_call(self, *names: str) -> bool:
        after = self.ahead()
        return self.at(*names) and after.kind == "mark" and after.text == "("

    # --- expressions ------------------------------------------------------------------------------

    def expr(self, nest: int = 0, first: _Item | None = None) -> _Item:
        """An expression; `first` is its first operand if that has been parsed. Operators wait on a
        stack, so that only parentheses recurse, and those are counted."""
        if nest > MAX_DEPTH:
            raise self.error(f"the expression is nested deeper than {MAX_DEPTH}")
        operands = [first or self.operand(nest)]
        waiting: list[Token] = []

        def settle(level: int) -> None:
            while waiting and LEVEL[waiting[-1].text] >= level:
                token = waiting.pop()
                if level == 1 == LEVEL[token.text]:
                    raise self.error("comparisons do not chain; use parentheses and `and(a, b)`")
                right = operands.pop()
                operands.append(self.apply(_OP_OF[token.text], (operands.pop(), right), token))

        while self.at(*LEVEL):
            settle(LEVEL[self.token.text])
            waiting.append(self.next())
            operands.append(self.operand(nest))
        settle(0)
        return operands[0]

    def operand(self, nest: int) -> _Item:
        signs: list[Token] = []
        while self.at("-") and not self.at_number():
            signs.append(self.next())
        item = self.atom(nest)
        for token in reversed(signs):
            item = self.apply("neg", (item,), token)
        return item

    def atom(self, nest: int) -> _Item:
        token = self.token
        if self.at_number():
            return _Item(token, 1, None, self.number())
        if self.accept("("):
            if self.at_bounds():
                item = _Item(token, 1, self.bounds())
            else:
                item = self.expr(nest + 1)
            self.expect(")")
            return item
        if token.kind != "name":
            raise self.expected("an expression")
        if token.text in RESERVED:
            raise self.expected("an expression")
        self.next()
        if self.at("("):
            return self.call(token, nest)
        if self.at("["):
            return _Item(token, 1, self.load(token))
        if token.text in self.values:
            return _Item(token, 1, k.Ref(token.text, self.values[token.text]))
        array = self.arrays.get(token.text)
        if array is not None and array.dims:
            raise self.error(f"`{token.text}` has {len(array.dims)} subscripts", token)
        if array is None:
            raise self.error(f"`{token.text}` is not defined above", token)
        return _Item(token, 1, k.Load(token.text, (), array.dtype))

    def call(self, token: Token, nest: int) -> _Item:
        dtype = DTYPES.get(token.text)
        if token.text == "pick":
            return self.pick(token, nest)
        if token.text in ("at", "size"):
            self.expect("(")
            place = k.At(self.axis()) if token.text == "at" else k.Size(self.name("a symbol").text)
            self.expect(")")
            return _Item(token, 1, place)
        if dtype is None:
            return self.apply(token.text, tuple(self.several("(", ")", lambda: self.expr(nest + 1))), token)
        self.expect("(")
        sign = 1 if self.at("-") else 0
        after = self.ahead(1 + sign)
        if self.at_number() and after.kind == "mark" and after.text == ")":
            number = _Item(self.token, 1, None, self.number())
            item = _Item(token, 1, self.close(number, dtype))
        else:
            inner = self.expr(nest + 1)
            self.deep(inner.depth + 1, token)
            expr = k.Call("cast", (self.close(inner, None),), dtype)
            item = _Item(token, inner.depth + 1, expr)
        self.expect(")")
        return item

    def pick(self, token: Token, nest: int) -> _Item:
        self.expect("(")
        name = self.name("an array")
        if name.text not in self.arrays:
            raise self.error(f"`{name.text}` is not an array", name)
        items: list[_Item] = []
        while self.accept(","):
            items.append(self.expr(nest + 1))
        self.expect(")")
        depth = 1 + max((item.depth for item in items), default=0)
        self.deep(depth, token)
        index = tuple(self.close(item, i64) for item in items)
        return _Item(token, depth, k.Pick(name.text, index, self.arrays[name.text].dtype))

    def load(self, token: Token) -> k.Load:
        """From the subscripts of `token` on."""
        array = self.arrays.get(token.text)
        if array is None and token.text not in self.kept:
            raise self.error(f"`{token.text}` is not an array", token)
        guards: list[k.Within] = []
        self.expect("[")
        index = self.items(self.index, "]", "|")
        while self.accept("," if guards else "|"):
            guards.append(self.bounds())
        self.expect("]")
        dtype = self.kept[token.text] if array is None else array.dtype
        return k.Load(token.text, tuple(index), dtype, tuple(guards))

    def index(self) -> k.Index:
        axis = self.axis()
        if not self.accept("-"):
            return k.Index(axis)
        return k.Index(axis, self.name("the lower bound of a guard").text)

    def axis(self) -> str:
        token = self.name("an axis")
        if token.text not in self.axes:
            known = ", ".join(sorted(self.axes)) or "none"
            raise self.error(f"`{token.text}` is not an axis here ({known})", token)
        return token.text

    def at_bounds(self) -> bool:
        kinds = [self.ahead(k) for k in range(4)]
        return [t.text for t in kinds[1::2]] == ["<=", "<"] and kinds[2].text in self.axes

    def bounds(self) -> k.Within:
        """`lo <= axis < hi`"""
        lo = self.name("a lower bound").text
        self.expect("<=")
        axis = self.axis()
        self.expect("<")
        return k.Within(axis, lo, self.name("an upper bound").text)

    # --- dtypes -----------------------------------------------------------------------------------

    def deep(self, depth: int, token: Token) -> None:
        if depth > MAX_DEPTH:
            raise self.error(f"the expression is deeper than {MAX_DEPTH}", token)

    def apply(self, name: str, args: tuple[_Item, ...], token: Token) -> _Item:
        """An op over operands; literals among them take the dtype of the others."""
        op = REGISTRY.get(name)
        if name in FOLDS and not _elementwise(name):
            raise self.error(f"a reduction is a statement of its own: `r = {name}(...)`", token)
        if op is None or op.kind != "elementwise" or op.attrs:
            raise self.error(f"`{name}` is not an elementwise op", token)
        depth = 1 + max((a.depth for a in args), default=0)
        self.deep(depth, token)
        alike = args[1:] if name == "where" else args
        told = next((k.expr_dtype(a.expr) for a in alike if a.expr is not None), None)
        if told is None and alike and name != "where" and name not in _COMPARISONS:
            return _Item(token, depth, None, 0, name, args)
        exprs = [self.close(a, told) for a in alike]
        if name == "where" and args:
            exprs.insert(0, self.close(args[0], b1))
        return _Item(token, depth, self.typed(name, tuple(exprs), token))

    def close(self, item: _Item, dtype: DType | None) -> k.Expr:
        """The expression of `item`, whose literals are `dtype` unless they say otherwise."""
        if item.expr is not None:
            return item.expr
        if dtype is None:
            raise self.error("the dtype of a literal is not known here; write `f32(0.5)`", item.token)
        if item.op:
            return self.typed(item.op, tuple(self.close(a, dtype) for a in item.args), item.token)
        return k.Const(self.fitted(item.number, dtype, item.token), dtype)

    def typed(self, name: str, args: tuple[k.Expr, ...], token: Token) -> k.Call:
        types = tuple(TensorType(k.expr_dtype(a), ()) for a in args)
        try:
            return k.Call(name, args, REGISTRY[name].infer(types, {}).dtype)
        except (TypeError, ValueError) as error:
            raise self.error(str(error), token) from None
