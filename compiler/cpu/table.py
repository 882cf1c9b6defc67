"""Elements of a table by their numbers, as LLVM text. 16 elements of 32 bits are one register of AVX-512, two
of AVX2, four of AArch64, whose lanes (or bytes) one instruction brings in any order. 16 of 64 bits are twice
as many: one instruction takes them from both of AVX-512, two from the eight of AArch64, and three choices
from what four bring of those of AVX2. Elsewhere memory does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ir.loop import TABLE, Imm, Operand, Value
from ..ir.rounding import convert
from ..ir.target import Target
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
    if not by or lanes & (lanes - 1) or lanes == 1:
        return _lane_by_lane(e, number, elements, result)
    parts = []
    for start in range(0, lanes, step):
        at = _taken(e, e.type_of(number), e.ref(number), None, range(start, min(start + step, lanes)), step)
        parts.append(_PERMUTE[by, result.dtype.bits](e, at, elements, element))
    kind = f"<{step} x {element}>"
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [_taken(e, kind, low, high, range(2 * step), 2 * step) for low, high in pairs]
        step *= 2
        kind = f"<{step} x {element}>"
    return parts[0] if step == lanes else _taken(e, kind, parts[0], None, range(lanes), lanes)


def _taken(e: Writer, kind: str, x: str, y: str | None, lanes: Sequence[int], count: int) -> str:
    """These lanes of x, then y, in a vector of `count`."""
    picks = ", ".join([f"i32 {n}" for n in lanes] + ["i32 poison"] * (count - len(lanes)))
    return e.let(f"shufflevector {kind} {x}, {kind} {y or 'poison'}, <{count} x i32> <{picks}>")


def _register(e: Writer, elements: Sequence[Operand]) -> str:
    return "<" + ", ".join(e.typed(element) for element in elements) + ">"


def _lane_by_lane(e: Writer, number: Operand, elements: Sequence[Operand], result: Value) -> str:
    element, kind, found = element_type(result.dtype), e.type_of(result), "poison"
    count = element_type(number.dtype)
    for n in range(result.lanes):
        at = e.ref(number) if result.lanes == 1 else e.let(f"extractelement {e.typed(number)}, i64 {n}")
        at = e.let(f"and {count} {at}, {TABLE - 1}")
        one = e.let(f"extractelement <{TABLE} x {element}> {_register(e, elements)}, {count} {at}")
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


def _avx2_wide(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    """An element is two of 32 bits; a choice by a sign needs no test."""
    kind, at32 = f"<4 x {element}>", e.let(f"bitcast <4 x i64> {at} to <8 x i32>")
    twice = e.let(f"shl <8 x i32> {at32}, splat (i32 1)")
    picks = ", ".join(f"i32 {n & 6}" for n in range(8))
    pairs = e.let(f"shufflevector <8 x i32> {twice}, <8 x i32> poison, <8 x i32> <{picks}>")
    pairs = e.let(f"or <8 x i32> {pairs}, <{', '.join(f'i32 {n & 1}' for n in range(8))}>")
    found = []
    for start in range(0, TABLE, 4):
        held = e.let(f"bitcast {kind} {_register(e, elements[start : start + 4])} to <8 x float>")
        part = e.call("llvm.x86.avx2.permps", "<8 x float>", [("<8 x float>", held), ("<8 x i32>", pairs)])
        found.append(e.let(f"bitcast <8 x float> {part} to {kind}"))
    for places in (61, 60):
        sign = e.let(f"shl <4 x i64> {at}, splat (i64 {places})")
        second = e.let(f"icmp slt <4 x i64> {sign}, zeroinitializer")
        pairs_of = zip(found[::2], found[1::2], strict=True)
        found = [e.let(f"select <4 x i1> {second}, {kind} {high}, {kind} {low}") for low, high in pairs_of]
    return found[0]


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
    ("avx512", 32): _avx512, ("avx512", 64): _avx512_wide, ("avx2", 32): _avx2, ("avx2", 64): _avx2_wide,
    ("neon", 32): _neon, ("neon", 64): _neon_wide,
}  # fmt: skip
