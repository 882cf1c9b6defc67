"""Elements of a table by their numbers, as LLVM text. 16 elements of 32 bits are one register of AVX-512, two
of AVX2, four of AArch64, whose lanes (or bytes) one instruction brings in any order. 16 of 64 bits are twice
as many: one instruction takes them from both of AVX-512, two from the eight of AArch64. On AVX2 they are
loaded, elements of two tables with the same number at once; elsewhere one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..ir import loop as lp
from ..ir.loop import TABLE, Imm, Operand, Value
from ..ir.rounding import convert
from ..ir.target import Target
from ..ir.types import DType
from ..llvm.writer import LETTERS, Writer, element_type


def permuted(target: Target) -> str:
    """By what instructions, which also tell how many lanes have one; "" where there are none."""
    if target.vector_bytes == 64:
        return "avx512"
    if target.has("avx2"):
        return "avx2"
    return "neon" if target.arch == "aarch64" else ""


def emit(e: Writer, number: Operand, elements: Sequence[Operand], result: Value, by: str) -> str:
    lanes, element = result.lanes, element_type(result.dtype)
    step = {"avx512": 512, "avx2": 256, "neon": 128, "": 1}[by] // result.dtype.bits
    if (by, result.dtype.bits) not in _PERMUTE or lanes & (lanes - 1) or lanes == 1:
        return _lane_by_lane(e, number, elements, result)
    parts = []
    for start in range(0, lanes, step):
        at = _taken(e, e.type_of(number), e.ref(number), None, range(start, min(start + step, lanes)), step)
        parts.append(_PERMUTE[by, result.dtype.bits](e, at, elements, element))
    return _joined(e, parts, step, result)


def _joined(e: Writer, parts: list[str], step: int, result: Value) -> str:
    """One vector of those of `step` lanes."""
    kind = f"<{step} x {element_type(result.dtype)}>"
    while len(parts) > 1:
        twos = zip(parts[::2], parts[1::2], strict=True)
        parts = [_taken(e, kind, low, high, range(2 * step), 2 * step) for low, high in twos]
        step *= 2
        kind = f"<{step} x {element_type(result.dtype)}>"
    return (
        parts[0]
        if step == result.lanes
        else _taken(e, kind, parts[0], None, range(result.lanes), result.lanes)
    )


def pairs(body: Iterable[lp.Stmt]) -> dict[str, lp.Let]:
    """Of the first of two tables of 64 bits that are looked up by the same number, the second."""
    found: dict[str, lp.Let] = {}
    waiting: dict[tuple[Operand, DType], lp.Let] = {}
    for stmt in body:
        if isinstance(stmt, lp.For):
            found |= pairs(stmt.body)
        elif isinstance(stmt, lp.Let) and stmt.op == "table" and stmt.result.dtype.bits == 64:
            if stmt.result.lanes % 4 or stmt.result.lanes & (stmt.result.lanes - 1):
                continue
            key = stmt.args[0], stmt.result.dtype
            first = waiting.pop(key, None)
            if first is None:
                waiting[key] = stmt
            else:
                found[first.result.name] = stmt
    return found


def both(e: Writer, first: lp.Let, second: lp.Let) -> tuple[str, str]:
    """Elements of both, which lie side by side in memory; four lanes at a time."""
    number, result = first.args[0], first.result
    held = [x for two in zip(first.args[1:], second.args[1:], strict=True) for x in two]
    table, kind = _in_memory(e, held), f"<2 x {element_type(result.dtype)}>"
    at = e.let(f"shl {e.typed(number)}, splat (i64 1)")
    at = e.let(f"and {e.type_of(number)} {at}, splat (i64 {2 * TABLE - 2})")
    rows, found = [], []
    for n in range(result.lanes):
        row = e.let(f"extractelement {e.type_of(number)} {at}, i64 {n}")
        row = e.let(f"getelementptr {element_type(result.dtype)}, ptr {table}, i64 {row}")
        rows.append(e.let(f"load {kind}, ptr {row}, align 16"))
    for n in range(0, result.lanes, 4):
        even, odd = (_taken(e, kind, rows[n + m], rows[n + m + 2], range(4), 4) for m in (0, 1))
        whole = f"<4 x {element_type(result.dtype)}>"
        found.append([_taken(e, whole, even, odd, [m, m + 4, m + 2, m + 6], 4) for m in (0, 1)])
    one, other = (_joined(e, list(parts), 4, result) for parts in zip(*found, strict=True))
    return one, other


def _in_memory(e: Writer, elements: Sequence[Operand]) -> str:
    held, kind = _register(e, elements)[1:-1], element_type(elements[0].dtype)
    name = f"@table.{len(e.declared)}"
    line = f"{name} = private unnamed_addr constant [{len(elements)} x {kind}] [{held}], align 64"
    return e.declared.setdefault(held, line).split()[0]


def _taken(e: Writer, kind: str, x: str, y: str | None, lanes: Sequence[int], count: int) -> str:
    """These lanes of x, then y, in a vector of `count`."""
    picks = ", ".join([f"i32 {n}" for n in lanes] + ["i32 poison"] * (count - len(lanes)))
    return e.let(f"shufflevector {kind} {x}, {kind} {y or 'poison'}, <{count} x i32> <{picks}>")


def _register(e: Writer, elements: Sequence[Operand]) -> str:
    return "<" + ", ".join(e.typed(element) for element in elements) + ">"


def _lane_by_lane(e: Writer, number: Operand, elements: Sequence[Operand], result: Value) -> str:
    """By loads from a table in memory."""
    element, kind, found = element_type(result.dtype), e.type_of(result), "poison"
    count, table = element_type(number.dtype), _in_memory(e, elements)
    for n in range(result.lanes):
        at = e.ref(number) if result.lanes == 1 else e.let(f"extractelement {e.typed(number)}, i64 {n}")
        at = e.let(f"and {count} {at}, {TABLE - 1}")
        one = e.let(f"load {element}, ptr {e.let(f'getelementptr {element}, ptr {table}, {count} {at}')}")
        if result.lanes == 1:
            return one
        found = e.let(f"insertelement {kind} {found}, {element} {one}, i64 {n}")
    return found


def _avx512(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    kind, letter = f"<16 x {element}>", LETTERS.get(elements[0].dtype, "i")
    code = f"llvm.x86.avx512.permvar.{'sf' if letter == 's' else 'si'}.512"
    return e.call(code, kind, [(kind, _register(e, elements)), ("<16 x i32>", at)])


def _avx512_wide(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    kind, letter = f"<8 x {element}>", "pd" if elements[0].dtype in LETTERS else "q"
    low, high = ((kind, _register(e, half)) for half in (elements[:8], elements[8:]))
    return e.call(f"llvm.x86.avx512.vpermi2var.{letter}.512", kind, [low, ("<8 x i64>", at), high])


def _avx2(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    kind, code = f"<8 x {element}>", "permps" if elements[0].dtype in LETTERS else "permd"
    low, high = (
        e.call(f"llvm.x86.avx2.{code}", kind, [(kind, _register(e, half)), ("<8 x i32>", at)])
        for half in (elements[:8], elements[8:])
    )
    sign = e.let(f"shl <8 x i32> {at}, splat (i32 28)")  # of the half; a choice by the sign needs no test
    second = e.let(f"icmp slt <8 x i32> {sign}, zeroinitializer")
    return e.let(f"select <8 x i1> {second}, {kind} {high}, {kind} {low}")


def _neon(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    places = e.let(f"and <4 x i32> {at}, splat (i32 {TABLE - 1})")
    places = e.let(f"mul <4 x i32> {places}, splat (i32 {0x04040404})")
    places = e.let(f"add <4 x i32> {places}, splat (i32 {0x03020100})")
    bytes_ = e.let(f"bitcast <4 x i32> {places} to <16 x i8>")
    found = e.call("llvm.aarch64.neon.tbl4.v16i8", "<16 x i8>", [*_bytes(elements), ("<16 x i8>", bytes_)])
    return e.let(f"bitcast <16 x i8> {found} to <4 x {element}>")


def _neon_wide(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    """The bytes of the first eight elements, then those of the others: an index beyond the registers is 0, or
    leaves what is there."""
    kind, each = "<16 x i8>", range(16)
    numbers = e.let(f"bitcast <2 x i64> {at} to {kind}")
    lowest = ", ".join(f"i32 {n & 8}" for n in each)
    places = e.let(f"shufflevector {kind} {numbers}, {kind} poison, <16 x i32> <{lowest}>")
    places = e.let(f"shl {kind} {places}, splat (i8 3)")
    places = e.let(f"and {kind} {places}, splat (i8 {8 * (TABLE - 1)})")
    places = e.let(f"or {kind} {places}, <{', '.join(f'i8 {n & 7}' for n in each)}>")
    low, high = _bytes(elements[:8]), _bytes(elements[8:])
    found = e.call("llvm.aarch64.neon.tbl4.v16i8", kind, [*low, (kind, places)])
    beyond = e.let(f"sub {kind} {places}, splat (i8 64)")
    found = e.call("llvm.aarch64.neon.tbx4.v16i8", kind, [(kind, found), *high, (kind, beyond)])
    return e.let(f"bitcast {kind} {found} to <2 x {element}>")


def _bytes(elements: Sequence[Operand]) -> list[tuple[str, str]]:
    """Registers of AArch64 that hold them."""
    values = [element.value for element in elements if isinstance(element, Imm)]
    raw = convert(np.asarray(values), elements[0].dtype).astype("<" + elements[0].dtype.np.str[1:]).tobytes()
    held = [", ".join(f"i8 {byte}" for byte in raw[n : n + 16]) for n in range(0, len(raw), 16)]
    return [("<16 x i8>", f"<{register}>") for register in held]


_PERMUTE = {
    ("avx512", 32): _avx512, ("avx512", 64): _avx512_wide, ("avx2", 32): _avx2,
    ("neon", 32): _neon, ("neon", 64): _neon_wide,
}  # fmt: skip
