"""Text of the loop level.

    func add(x: f32[], o: f32[], n: int, scale: f32)
      alloc tmp: f32[64]
      %1: f32x16 = splat %scale
      %r = for %i2 in 0 .. %n step 16 vector (%c3: f32x16 = 0.0)
        %4: f32x16 = load x[%i2]  # train.py:3
        %5: f32x16 = mul %4, %1
        store o[%i2], %5 stream
        %6: f32x16 = add %c3, %5
        yield %6

Slots are arrays (`f32[]`), integers (`int`) and scalars; `%begin` and `%end` are always there. A
`yield`, with or without values, ends the body of every loop; indentation is free. A bare literal
has the type that its place says: an index, stride, bound or step is i64; a mask is b1 of the lanes
of the value; an operand of an instruction has the type of the result, in a comparison that of the
other operand. Elsewhere it carries its type: `f32x16(0.5)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..ir import loop as lp
from ..ir.graph import Loc
from ..ir.layout import Slot
from ..ir.rounding import Number
from ..ir.types import DTYPES, DType, b1, i64
from .kernel import HEADS
from .lexer import MAX_DEPTH, Cursor, Line, Token, format_number, joined

Type = tuple[DType, int]  # dtype, lanes
_INDEX: Type = (i64, 1)
KINDS = ("parallel", "serial", "vector", "once")
MAX_LANES = 4096
_TYPE = re.compile(r"([a-z]{1,2}[0-9]{1,2})(?:x([0-9]{1,4}))?")


# --- printing ------------------------------------------------------------------------------------


def print_func(func: lp.Func, locs: bool = False) -> str:
    """The text of `func`; with `locs`, statements end in the user's `# file:line`."""
    return joined(func_lines(func), locs)


def func_lines(func: lp.Func, places: Mapping[int, Loc] | None = None) -> list[Line]:
    """The same, line by line. `places`: of statements, by id, in place of those that they have themselves."""
    team = f" team {func.team}" if func.team != 1 else ""
    beyond = f" beyond {func.beyond}" if func.beyond else ""
    lines: list[Line] = [(f"func {func.name}({', '.join(map(_slot, func.slots))}){team}{beyond}", None)]
    _block(func.body, "  ", lines, places)
    return lines


def _slot(slot: Slot) -> str:
    if slot.kind == "int":
        return f"{slot.name}: int"
    return f"{slot.name}: {slot.dtype}{'[]' if slot.kind == 'array' else ''}"


def _block(
    body: tuple[lp.Stmt, ...], indent: str, lines: list[Line], places: Mapping[int, Loc] | None
) -> None:
    for stmt in body:
        own = stmt.loc if isinstance(stmt, lp.Let | lp.Load | lp.Store) else None
        lines.append((indent + statement_text(stmt), own if places is None else places.get(id(stmt))))
        if isinstance(stmt, lp.For):
            _block(stmt.body, indent + "  ", lines, places)
            types = [(c.dtype, c.lanes) for c in stmt.carried]
            values = ", ".join(map(_operand, stmt.yields, types))
            lines.append((f"{indent}  yield {values}".rstrip(), None))


def statement_text(stmt: lp.Stmt) -> str:
    """One statement, as in the text of its function; of a loop, the first line."""
    match stmt:
        case lp.Let(result, op, args):
            expected = implied(op, args, (result.dtype, result.lanes))
            operands = ", ".join(map(_operand, args, expected))
            return f"{_typed(result)} = {op} {operands}".rstrip()
        case lp.Load(result, array, index, stride, mask):
            place = _place(array, index, stride)
            tail = " aligned" if stmt.aligned else ""
            return f"{_typed(result)} = load {place}{_mask(mask, result.lanes)}{tail}"
        case lp.Store(array, index, value, stride, mask, stream):
            place = _place(array, index, stride)
            tail = " stream" * stream + " aligned" * stmt.aligned
            return f"store {place}, {_operand(value)}{_mask(mask, value.lanes)}{tail}"
        case lp.Aligned(result, array, multiple):
            return f"{_typed(result)} = aligned {array}" + (f" to {multiple}" if multiple != 64 else "")
        case lp.Prefetch(array, index, far):
            return f"prefetch {_place(array, index, None)}{' far' if far else ''}"
        case lp.Window(name, dtype, array, index, choice, other, at):
            place = _place(array, index, None)
            if choice is not None:
                place += f" if {_operand(choice, _INDEX)} else {_place(other, at, None)}"
            return f"window {name}: {dtype} = {place}"
        case lp.Alloc(name, dtype, count, shared):
            size = count if isinstance(count, int) else f"%{count.name}"
            return f"{'shared' if shared else 'alloc'} {name}: {dtype}[{size}]"
        case lp.Barrier():
            return "barrier"
    bounds = f"{_operand(stmt.lo, _INDEX)} .. {_operand(stmt.hi, _INDEX)}"
    step = _operand(stmt.step, _INDEX)
    results = ", ".join(f"%{r.name}" for r in stmt.results)
    text = f"for %{stmt.var.name} in {bounds} step {step} {stmt.kind}"
    if not stmt.carried:
        return text
    carried = ", ".join(
        f"{_typed(c)} = {_operand(v, (c.dtype, c.lanes))}"
        for c, v in zip(stmt.carried, stmt.inits, strict=True)
    )
    return f"{results} = {text} ({carried})"


def _typed(value: lp.Value) -> str:
    return f"%{value.name}: {type_text(value.dtype, value.lanes)}"


def type_text(dtype: DType, lanes: int) -> str:
    return str(dtype) if lanes == 1 else f"{dtype}x{lanes}"


def _place(array: str, index: lp.Operand, stride: lp.Operand | None) -> str:
    by = "" if stride is None else f" : {_operand(stride, _INDEX)}"
    return f"{array}[{_operand(index, _INDEX)}{by}]"


def _mask(mask: lp.Operand | None, lanes: int) -> str:
    return "" if mask is None else f" mask {_operand(mask, (b1, lanes))}"


def _operand(operand: lp.Operand, expected: Type | None = None) -> str:
    if isinstance(operand, lp.Value):
        return f"%{operand.name}"
    number = format_number(operand.value, operand.dtype)
    if expected == (operand.dtype, operand.lanes):
        return number
    return f"{type_text(operand.dtype, operand.lanes)}({number})"


def implied(op: str, args: Sequence[lp.Operand | None], result: Type) -> Sequence[Type | None]:
    """The type that a bare literal has at each operand of an instruction; None: it must say its
    own.

    `args` may hold None where the operand is not known yet."""
    dtype, lanes = result
    told = next(((a.dtype, a.lanes) for a in args if isinstance(a, lp.Value)), None)
    types = {"T": result, "t": (dtype, 1), "TT": (dtype, 2 * lanes), "b": (b1, lanes), "S": told}
    form = lp.INSTRUCTIONS.get(op)  # errors show others, too
    return [None] * len(args) if form is None else [types.get(letter) for letter in form.operands]


# --- parsing -------------------------------------------------------------------------------------


def parse_func(text: str) -> lp.Func:
    """The function that `text` describes.

    Raises IRSyntaxError, at the line and column of what is wrong. Scopes and the type rules of
    instructions are left to `verify_func`."""
    cursor = Cursor(text)
    cursor.skip_lines()
    func = read_func(cursor)
    cursor.finish()
    return func


def read_func(cursor: Cursor) -> lp.Func:
    """The one that begins here; up to the next one, or a program."""
    return _Parser(cursor).func()


class _Parser(Cursor):
    def __init__(self, cursor: Cursor) -> None:
        super().__init__(cursor)
        self.values: dict[str, lp.Value] = {v.name: v for v in (lp.BEGIN, lp.END, lp.THREAD)}

    def func(self) -> lp.Func:
        self.expect("func")
        name = self.name("the name of the function").text
        slots = self.several("(", ")", self.slot)
        team = self.natural("a number of threads") if self.accept("team") else 1
        beyond = self.natural("a number of blocks") if self.accept("beyond") else 0
        self.end_line()
        body = self.block(0)
        return lp.Func(name, tuple(slots), body, team, beyond)

    def slot(self) -> Slot:
        name = self.name("a slot (`x: f32[]`, `n: int`, `s: f32`)").text
        self.expect(":")
        if self.accept("int"):
            slot = Slot(name, "int", i64)
        else:
            dtype = self.dtype()
            kind = "array" if self.accept("[") else "scalar"
            if kind == "array":
                self.expect("]")
            slot = Slot(name, kind, dtype)
        if slot.kind != "array":
            self.values[name] = lp.Value(name, slot.dtype)
        return slot

    def block(self, depth: int) -> tuple[lp.Stmt, ...]:
        """Statements up to a `yield` or the end of the text."""
        if depth > MAX_DEPTH:
            raise self.error(f"loops are nested deeper than {MAX_DEPTH}")
        body: list[lp.Stmt] = []
        last = ("yield",) if depth else ("yield", *HEADS)
        while self.token.kind != "end" and not self.at(*last):
            body.append(self.statement(depth))
            self.end_line()
        return tuple(body)

    def statement(self, depth: int) -> lp.Stmt:
        if self.token.kind == "value":
            results = [self.next()]
            if self.at(":"):
                return self.definition(results[0])
            while self.accept(","):
                results.append(self.value())
            self.expect("=")
            self.expect("for")
            return self.loop(results, depth)
        if self.accept("for"):
            return self.loop([], depth)
        if self.at("alloc", "shared"):
            return self.alloc(self.next().text == "shared")
        if self.accept("barrier"):
            return lp.Barrier()
        if self.accept("window"):
            return self.window()
        if self.accept("prefetch"):
            array, index, _ = self.place()
            return lp.Prefetch(array, index, self.accept("far"))
        if not self.accept("store"):
            raise self.expected(
                "a statement (`%v: f32 = ...`, `store`, `alloc`, `shared`, `barrier`, `for` or `yield`)"
            )
        array, index, stride = self.place()
        self.expect(",")
        value = self.operand(None)
        mask = self.mask(value.lanes)
        stream = self.accept("stream")
        aligned = self.accept("aligned")
        return lp.Store(array, index, value, stride, mask, stream, self.loc(self.token), aligned)

    def alloc(self, shared: bool) -> lp.Alloc:
        """From behind `alloc` or `shared` on."""
        name = self.name("an array").text
        self.expect(":")
        dtype = self.dtype()
        self.expect("[")
        count: int | lp.Operand
        count = self.operand(_INDEX) if self.token.kind == "value" else self.natural("a number of elements")
        self.expect("]")
        assert not isinstance(count, lp.Imm)
        return lp.Alloc(name, dtype, count, shared)

    def window(self) -> lp.Window:
        """From behind `window` on."""
        name = self.name("an array").text
        self.expect(":")
        dtype = self.dtype()
        self.expect("=")
        array, index, _ = self.place()
        if not self.accept("if"):
            return lp.Window(name, dtype, array, index)
        choice = self.operand(_INDEX)
        self.expect("else")
        other, at, _ = self.place()
        return lp.Window(name, dtype, array, index, choice, other, at)

    def definition(self, name: Token) -> lp.Let | lp.Load | lp.Aligned:
        """From the colon behind a value on."""
        self.expect(":")
        type_ = self.type()
        self.expect("=")
        result = lp.Value(name.text, *type_)
        stmt: lp.Let | lp.Load | lp.Aligned
        if self.accept("aligned"):
            array = self.name("an array").text
            stmt = lp.Aligned(result, array, self.natural("a number of bytes") if self.accept("to") else 64)
        elif self.accept("load"):
            array, index, stride = self.place()
            mask = self.mask(result.lanes)
            aligned = self.accept("aligned")
            stmt = lp.Load(result, array, index, stride, mask, self.loc(self.token), aligned)
        else:
            op = self.name("an instruction")
            if op.text not in lp.INSTRUCTIONS:
                raise self.error(f"`{op.text}` is not an instruction", op)
            args = self.operands(op, type_)
            stmt = lp.Let(result, op.text, args, self.loc(self.token))
        self.values[name.text] = result
        return stmt

    def operands(self, op: Token, type_: Type) -> tuple[lp.Operand, ...]:
        found: list[tuple[Token, lp.Operand | None, Number]] = []
        count = len(lp.INSTRUCTIONS[op.text].operands)
        while self.token.kind != "newline" and len(found) < count:
            token = self.token
            bare = self.at_number()
            found.append((token, None, self.number()) if bare else (token, self.operand(None), 0))
            if not self.accept(","):
                break
        if len(found) != count:
            raise self.expected(f"operand {len(found) + 1} of {count}")
        expected = implied(op.text, [operand for _, operand, _ in found], type_)
        return tuple(
            self.literal(number, told, token) if operand is None else operand
            for (token, operand, number), told in zip(found, expected, strict=True)
        )

    def loop(self, names: list[Token], depth: int) -> lp.For:
        """From behind `for` on."""
        var = lp.Value(self.expect_kind("value", "the loop's variable (`%i`)").text, i64)
        self.expect("in")
        lo = self.operand(_INDEX)
        self.expect("..")
        hi = self.operand(_INDEX)
        self.expect("step")
        step = self.operand(_INDEX)
        if not self.at(*KINDS):
            raise self.expected(f"a kind of loop ({', '.join(KINDS)})")
        kind = self.next().text
        carried: list[lp.Value] = []
        inits: list[lp.Operand] = []
        if names:
            self.expect("(")
            pairs = self.items(self.carried)
            carried, inits = [value for value, _ in pairs], [init for _, init in pairs]
            self.expect(")")
        if len(carried) != len(names):
            raise self.error(f"{len(names)} results, but {len(carried)} carried values", names[0])
        self.values |= {v.name: v for v in (var, *carried)}
        self.end_line()
        body = self.block(depth + 1)
        self.expect("yield")
        yields: list[lp.Operand] = []
        for k, value in enumerate(carried):
            if k:
                self.expect(",")
            yields.append(self.operand((value.dtype, value.lanes)))
        results = tuple(lp.Value(n.text, v.dtype, v.lanes) for n, v in zip(names, carried, strict=True))
        self.values |= {v.name: v for v in results}
        return lp.For(var, lo, hi, step, kind, tuple(carried), tuple(inits), body, tuple(yields), results)

    def carried(self) -> tuple[lp.Value, lp.Operand]:
        """A value, and what it starts as."""
        name = self.expect_kind("value", "a carried value (`%c: f32 = ...`)").text
        self.expect(":")
        type_ = self.type()
        self.expect("=")
        return lp.Value(name, *type_), self.operand(type_)

    # --- operands ---------------------------------------------------------------------------------

    def type(self) -> Type:
        token = self.name("a type (`f32`, `f32x16`)")
        match = _TYPE.fullmatch(token.text)
        if match is None or match[1] not in DTYPES:
            raise self.error(f"`{token.text}` is not a type (`f32`, `f32x16`)", token)
        lanes = int(match[2] or 1)
        if not 0 < lanes <= MAX_LANES:
            raise self.error(f"a type has 1 to {MAX_LANES} lanes", token)
        return DTYPES[match[1]], lanes

    def operand(self, expected: Type | None) -> lp.Operand:
        """A value or a literal, which is of type `expected` unless it carries its own."""
        token = self.token
        if token.kind == "value":
            return self.look_up(self.next(), self.values)
        if self.at_number():
            return self.literal(self.number(), expected, token)
        if token.kind != "name":
            raise self.expected("a value or a literal")
        type_ = self.type()
        self.expect("(")
        number = self.number()
        self.expect(")")
        return self.literal(number, type_, token)

    def literal(self, number: Number, type_: Type | None, token: Token) -> lp.Imm:
        if type_ is None:
            raise self.error("a literal needs its type here, as in `f32x16(0.5)`", token)
        return lp.Imm(self.fitted(number, type_[0], token), *type_)

    def place(self) -> tuple[str, lp.Operand, lp.Operand | None]:
        """`x[%index]` or `x[%index : %stride]`"""
        array = self.name("an array").text
        self.expect("[")
        index = self.operand(_INDEX)
        stride = self.operand(_INDEX) if self.accept(":") else None
        self.expect("]")
        return array, index, stride

    def mask(self, lanes: int) -> lp.Operand | None:
        return self.operand((b1, lanes)) if self.accept("mask") else None
