"""PTX as data: what `parse` makes of a text, and the errors that name its lines.

    Module(version, target, variables, entries, lines)
    Entry(name, parameters, variables, registers, code, ...)
    Instruction(opcode, form, modifiers, guard, dests, sources, line, loc)

A register is a number of its entry; its values are kept as unsigned integers of its width, so reading it
under another type of the same width is a view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lucid.compiler.ir.data import data

if TYPE_CHECKING:
    from .forms import Form

Array = np.ndarray[Any, Any]

# Types of PTX, with the dtype of NumPy in which instructions see them. bfloat16 and pairs are bits.
DTYPES: dict[str, np.dtype[Any]] = {
    "pred": np.dtype(np.bool_),
    "u8": np.dtype(np.uint8), "s8": np.dtype(np.int8), "b8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16), "s16": np.dtype(np.int16), "b16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32), "s32": np.dtype(np.int32), "b32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64), "s64": np.dtype(np.int64), "b64": np.dtype(np.uint64),
    "f16": np.dtype(np.float16), "f32": np.dtype(np.float32), "f64": np.dtype(np.float64),
    "bf16": np.dtype(np.uint16),
}  # fmt: skip
BITS: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
}


def unsigned(kind: str) -> np.dtype[Any]:
    """The dtype in which values of a type are stored."""
    return DTYPES[kind] if kind == "pred" else BITS[DTYPES[kind].itemsize]


@data
class Loc:
    """A line of the user's, from `.loc`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class PtxError(Exception):
    """What is wrong with a text or its execution.

    `kind` is one of: syntax, form (an instruction, modifier, operand or special register that the simulator
    does not know), approximate, launch, bounds, misaligned, read-only, uninitialised, race, barrier, mask,
    trap, limit. `line` is the line of the PTX, from 1; `loc` the user's, where the text tells it.
    """

    def __init__(
        self, kind: str, message: str, line: int | None = None, text: str = "", loc: Loc | None = None
    ) -> None:
        self.kind, self.message, self.line, self.text, self.loc = kind, message, line, text.strip(), loc
        where = "" if line is None else f"PTX line {line}: `{self.text}`"
        if loc is not None:
            where += f" ({loc})"
        super().__init__(f"{where}: {kind}: {message}" if where else f"{kind}: {message}")


@data
class Reg:
    number: int
    type: str
    name: str


@data
class Const:
    """A literal: its bits, under the type that the instruction reads it as."""

    bits: int
    type: str


@data
class Special:
    """A special register, such as `tid.x`."""

    name: str


@data
class Symbol:
    """The address of a variable or parameter within its own space."""

    name: str
    space: str


@data
class Not:
    """A predicate, negated."""

    reg: Reg


@data
class Sink:
    """`_`: a result that nobody wants."""


@data
class Address:
    """`[base + offset]`."""

    base: Reg | Symbol | None
    offset: int


@data
class Label:
    name: str


Operand = Reg | Const | Special | Symbol | Not | Sink | Address | Label


@data
class Typed:
    """An operand and the type under which it is read or written; vectors have several items."""

    type: str
    items: tuple[Operand, ...]
    vector: bool = False


@data(eq=False)
class Instruction:
    opcode: str
    form: Form
    modifiers: dict[str, str]
    guard: Reg | Not | None
    dests: tuple[Typed, ...]
    sources: tuple[Typed, ...]
    line: int
    loc: Loc | None

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels that it may go to."""
        return tuple(o.name for operand in self.sources for o in operand.items if isinstance(o, Label))


@data(eq=False)
class Variable:
    """A `.global`, `.shared` or `.local` variable; of size 0 where the launch decides."""

    space: str
    name: str
    align: int
    size: int
    init: bytes | None


@data
class Parameter:
    name: str
    type: str
    offset: int
    size: int
    array: bool


@data(eq=False)
class Entry:
    """`code` has instructions; `labels` the number of the instruction that follows each. `threads` is what
    `.reqntid` demands, `most_threads` what `.maxntid` allows."""

    name: str
    parameters: tuple[Parameter, ...]
    variables: tuple[Variable, ...]
    registers: tuple[Reg, ...]
    code: tuple[Instruction, ...]
    labels: dict[str, int]
    threads: tuple[int, int, int] | None
    most_threads: int | None
    line: int


@data(eq=False)
class Module:
    version: str
    target: str
    variables: tuple[Variable, ...]
    entries: dict[str, Entry]
    lines: tuple[str, ...]

    def error(self, kind: str, message: str, at: Instruction) -> PtxError:
        return PtxError(kind, message, at.line, self.lines[at.line - 1], at.loc)
