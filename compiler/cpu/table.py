"""Elements of a table by their numbers, as LLVM text. 16 elements of 32 bits are one register of AVX-512, two
of AVX2, four of AArch64, whose lanes (or bytes) one instruction brings in any order; elsewhere memory does.
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
    step = {"avx512": 16, "avx2": 8, "neon": 4, "": 1}[by]
    if not by or lanes & (lanes - 1) or lanes == 1:
        return _lane_by_lane(e, number, elements, result)
    parts = []
    for start in range(0, lanes, step):
        at = _taken(e, e.type_of(number), e.ref(number), None, range(start, min(start + step, lanes)), step)
        parts.append(_PERMUTE[by](e, at, elements, element))
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
    for n in range(result.lanes):
        at = e.ref(number) if result.lanes == 1 else e.let(f"extractelement {e.typed(number)}, i64 {n}")
        at = e.let(f"and i32 {at}, {TABLE - 1}")
        one = e.let(f"extractelement <{TABLE} x {element}> {_register(e, elements)}, i32 {at}")
        if result.lanes == 1:
            return one
        found = e.let(f"insertelement {kind} {found}, {element} {one}, i64 {n}")
    return found


def _avx512(e: Writer, at: str, elements: Sequence[Operand], element: str) -> str:
    kind, letter = f"<16 x {element}>", LETTERS.get(elements[0].dtype, "i")
    code = f"llvm.x86.avx512.permvar.{'sf' if letter == 's' else 'si'}.512"
    return e.call(code, kind, [(kind, _register(e, elements)), ("<16 x i32>", at)])


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
    values = [element.value for element in elements if isinstance(element, Imm)]
    raw = convert(np.asarray(values), elements[0].dtype).astype("<" + elements[0].dtype.np.str[1:]).tobytes()
    held = [", ".join(f"i8 {byte}" for byte in raw[n : n + 16]) for n in range(0, len(raw), 16)]
    args = [("<16 x i8>", f"<{register}>") for register in held] + [("<16 x i8>", bytes_)]
    found = e.call("llvm.aarch64.neon.tbl4.v16i8", "<16 x i8>", args)
    return e.let(f"bitcast <16 x i8> {found} to <4 x {element}>")


_PERMUTE = {"avx512": _avx512, "avx2": _avx2, "neon": _neon}
