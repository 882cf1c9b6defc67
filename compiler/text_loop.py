"""Text of the loop level.

    func add(x: f32[], o: f32[], n: int, scale: f32)
      alloc tmp: f32[64]
      %1: f32x16 = splat %scale
      %r = for %i2 in %begin .. %end step 16 parallel (%c3: f32x16 = 0.0)
        %4: f32x16 = load x[%i2]  # train.py:3
        %5: f32x16 = mul %4, %1
        store o[%i2], %5 stream
        %6: f32x16 = add %c3, %5
        yield %6

Slots are arrays (`f32[]`), integers (`int`) and scalars; `%begin` and `%end` are always there. A `yield`, with
or without values, ends the body of every loop; indentation is free. A bare literal has the type that its place
says: an index, stride, bound or step is i64; a mask is b1 of the lanes of the value; an operand of an instruction has
the type of the result, in a comparison that of the other operand. Elsewhere it carries its type: `f32x16(0.5)`.
"""

from __future__ import annotations

from .loop import (
    COMPARISONS,
    INSTRUCTIONS,
    Alloc,
    For,
    Func,
    Imm,
    Let,
    Load,
    Operand,
    Slot,
    Stmt,
    Store,
    Value,
)
from .text_lexer import MAX_DEPTH, Cursor, Token, fit, format_loc, format_number
from .types import DTYPES, DType, b1, i64

Type = tuple[DType, int]  # dtype, lanes
_INDEX: Type = (i64, 1)
KINDS = ("parallel", "serial", "vector")


# --- printing ------------------------------------------------------------------------------------


def print_func(func: Func, locs: bool = False) -> str:
    """The text of `func`; with `locs`, statements end in the user's `# file:line`."""
    lines = [f"func {func.name}({', '.join(map(_slot, func.slots))})"]
    _block(func.body, "  ", locs, lines)
    return "\n".join([*lines, ""])


def _slot(slot: Slot) -> str:
    if slot.kind == "int":
        return f"{slot.name}: int"
    return f"{slot.name}: {slot.dtype}{'[]' if slot.kind == 'array' else ''}"


def _block(body: tuple[Stmt, ...], indent: str, locs: bool, lines: list[str]) -> None:
    for stmt in body:
        loc = None if isinstance(stmt, For | Alloc) else stmt.loc
        lines.append(indent + statement_text(stmt) + (format_loc(loc) if locs else ""))
        if isinstance(stmt, For):
            _block(stmt.body, indent + "  ", locs, lines)
            types = [(c.dtype, c.lanes) for c in stmt.carried]
            values = ", ".join(map(_operand, stmt.yields, types))
            lines.append(f"{indent}  yield {values}".rstrip())


def statement_text(stmt: Stmt) -> str:
    """One statement, as in the text of its function; of a loop, the first line."""
    match stmt:
        case Let(result, op, args):
            expected = implied(op, args, (result.dtype, result.lanes))
            operands = ", ".join(map(_operand, args, expected))
            return f"{_typed(result)} = {op} {operands}".rstrip()
        case Load(result, array, index, stride, mask):
            place = _place(array, index, stride)
            return f"{_typed(result)} = load {place}{_mask(mask, result.lanes)}"
        case Store(array, index, value, stride, mask, stream):
            place = _place(array, index, stride)
            tail = " stream" if stream else ""
            return f"store {place}, {_operand(value)}{_mask(mask, value.lanes)}{tail}"
        case Alloc(name, dtype, count):
            return f"alloc {name}: {dtype}[{count}]"
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


def _typed(value: Value) -> str:
    return f"%{value.name}: {type_text(value.dtype, value.lanes)}"


def type_text(dtype: DType, lanes: int) -> str:
    return str(dtype) if lanes == 1 else f"{dtype}x{lanes}"


def _place(array: str, index: Operand, stride: Operand | None) -> str:
    by = "" if stride is None else f" : {_operand(stride, _INDEX)}"
    return f"{array}[{_operand(index, _INDEX)}{by}]"


def _mask(mask: Operand | None, lanes: int) -> str:
    return "" if mask is None else f" mask {_operand(mask, (b1, lanes))}"


def _operand(operand: Operand, expected: Type | None = None) -> str:
    if isinstance(operand, Value):
        return f"%{operand.name}"
    number = format_number(operand.value, operand.dtype)
    if expected == (operand.dtype, operand.lanes):
        return number
    return f"{type_text(operand.dtype, operand.lanes)}({number})"


def implied(op: str, args: tuple[Operand | None, ...], result: Type) -> list[Type | None]:
    """The type that a bare literal has at each operand of an instruction; None: it must say its own.

    `args` may hold None where the operand is not known yet."""
    dtype, lanes = result
    match op:
        case "splat":
            return [(dtype, 1)]
        case "lo" | "hi":
            return [(dtype, 2 * lanes)]
        case "cast" | "bitcast" | "iota":
            return [None] * len(args)
        case "select":
            return [(b1, lanes), result, result][: len(args)]
        case _ if op in COMPARISONS:
            told = [(a.dtype, a.lanes) for a in args if isinstance(a, Value)]
            return [told[0] if told else None] * len(args)
    return [result] * len(args)
