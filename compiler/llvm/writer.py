"""LLVM text: types, literals, names, and the lines that are written."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from ..ir.loop import Imm, Operand, Value
from ..ir.rounding import convert
from ..ir.types import DType, b1, bf16, f16, f32, f64

# Formats of floats that are computed with: the letter in names of x86's instructions. All others are integers
# of 16 bits in registers, too.
LETTERS = {f32: "s", f64: "d"}


def element_type(dtype: DType) -> str:
    return "i1" if dtype is b1 else dtype.llvm


def number_text(value: float | int | bool, dtype: DType) -> str:
    if dtype is b1:
        return "true" if value else "false"
    if not dtype.is_float:
        return str(int(value))
    held = convert(np.asarray(value), dtype)
    if dtype in (f16, bf16):
        return str(held.view(np.int16)[()])
    if dtype not in LETTERS:
        raise TypeError(f"no literals of {dtype} are known")
    # float literals are written as the double of the same value
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(held)))[0]:016X}"


class Writer:
    """What all parts of the emitter write to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declared: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.numbers: dict[tuple[str, DType], str] = {}  # texts of literals
        self.types: dict[tuple[DType, int], str] = {}
        self.count = 0
        self.block = "entry"
        self.mark = ""  # what lines end in: the place that they come from, if somebody asked

    # -- types

    def held(self, lanes: int) -> int:
        """How many lanes of a value are in one register of LLVM's."""
        return lanes

    def vector(self, element: str, lanes: int) -> str:
        lanes = self.held(lanes)
        return element if lanes == 1 else f"<{lanes} x {element}>"

    def type_of(self, value: Operand) -> str:
        key = value.dtype, value.lanes
        found = self.types.get(key)
        if found is None:
            found = self.types[key] = self.vector(element_type(value.dtype), value.lanes)
        return found

    def suffix(self, value: Operand) -> str:
        """The type in an intrinsic's name: v16f32."""
        bits, lanes = 1 if value.dtype is b1 else value.dtype.bits, self.held(value.lanes)
        name = f"f{bits}" if value.dtype in LETTERS else f"i{bits}"
        return name if lanes == 1 else f"v{lanes}{name}"

    # -- lines

    def fresh(self, hint: str = "x") -> str:
        self.count += 1
        return f"%{hint}.{self.count}"

    def put(self, line: str) -> None:
        self.lines.append(f"  {line}{self.mark}")

    def label(self, name: str, branch: str) -> None:
        """The end of a block of code, and the beginning of the next one."""
        self.put(branch)
        self.lines.append(f"{name}:")
        self.block = name

    def let(self, text: str, hint: str = "x") -> str:
        name = self.fresh(hint)
        self.put(f"{name} = {text}")
        return name

    def known(self, value: Value, text: str) -> None:
        self.names[value.name] = text

    def ref(self, value: Operand) -> str:
        if isinstance(value, Value):
            return self.names[value.name]
        key = value.text, value.dtype
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = number_text(value.value, value.dtype)
        return number if self.held(value.lanes) == 1 else f"splat ({element_type(value.dtype)} {number})"

    def number(self, value: float, dtype: DType, lanes: int) -> str:
        return self.ref(Imm(value, dtype, lanes))

    def typed(self, value: Operand) -> str:
        return f"{self.type_of(value)} {self.ref(value)}"

    def call(self, name: str, result: str, args: Sequence[tuple[str, str]]) -> str:
        """An intrinsic; args are (type, value)."""
        kinds = ", ".join(t for t, _ in args)
        self.declared[name] = f"declare {result} @{name}({kinds})"
        text = f"call {result} @{name}({', '.join(f'{t} {v}' for t, v in args)})"
        if result == "void":
            self.put(text)
            return ""
        return self.let(text)
