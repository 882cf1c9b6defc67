"""The instructions that the simulator knows: one line a form, all that is not here is an error.

A form is written `opcode modifiers : results = operands`. Of the modifiers, `.word` must stand there,
`.word?` may; `.K{a b}` is one of several and is called K afterwards (`T` and `U` are types), with `?` after
it may be missing. Of the operands, a type stands for a value of that type, `T` and `U` for the types among
the modifiers, `2T` for the type of double width; `~` allows a wider register, `*` a vector (of `.v2` or
`.v4`), `+` its parts in braces. `mem` is an address in brackets, `label` a place in the code.

What computes registers from registers of one thread carries a builder, which makes of the modifiers a
function of arrays; the others are carried out by `access.py`, `warps.py` and `machine.py`, by their opcode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from lucid.compiler.ir.data import data

from . import convert, floats, integers
from .ptx import DTYPES, Array

Function = Callable[..., Array]
Modifiers = dict[str, str]


@data
class Slot:
    """A place for a modifier."""

    key: str
    choices: tuple[str, ...]
    optional: bool


@data(eq=False)
class Form:
    opcode: str
    slots: tuple[Slot, ...]
    dests: tuple[str, ...]
    sources: tuple[str, ...]
    build: Callable[[Modifiers], Function] | None

    def match(self, words: list[str]) -> Modifiers | None:
        """The modifiers by name, or None where the words are others."""
        found: Modifiers = {}
        rest = list(words)
        for slot in self.slots:
            if rest and rest[0] in slot.choices:
                found[slot.key] = rest.pop(0)
            elif slot.optional:
                found[slot.key] = ""
            else:
                return None
        return None if rest else found


def _form(text: str, build: Callable[[Modifiers], Function] | None) -> Form:
    head, _, operands = text.partition(" : ")
    opcode, *modifiers = head.replace("{ ", "{").replace(" }", "}").split(" .")
    slots = []
    for word in modifiers:
        word = word.strip()
        optional = word.endswith("?")
        key, brace, choices = word.removesuffix("?").partition("{")
        slots.append(Slot(key, tuple(choices.rstrip("}").split()) if brace else (key,), optional))
    results, _, sources = operands.partition("=")
    return Form(opcode.strip(), tuple(slots), tuple(results.split()), tuple(sources.split()), build)


def _same(function: Function) -> Callable[[Modifiers], Function]:
    return lambda modifiers: function


_INT = "u16 u32 u64 s16 s32 s64"
_WHOLE = f"u8 s8 {_INT}"
_BITS = "b16 b32 b64"
_HALF = "f16 bf16"
_FLOAT_CMP = "eq ne lt le gt ge equ neu ltu leu gtu geu num nan"
_SPACE = ".space{global shared local param}"
_ANY = "b8 b16 b32 b64 u8 u16 u32 u64 s8 s16 s32 s64 f32 f64"
_REG = "pred b16 b32 b64 u16 u32 u64 s16 s32 s64 f32 f64"

# Modifiers, to and of which types: what may be inexact is rounded, and nothing else.
_CONVERSIONS = [
    ("", _WHOLE, _WHOLE),
    *[
        (".sat ", to, " ".join(of for of in _WHOLE.split() if not np.can_cast(DTYPES[of], DTYPES[to])))
        for to in _WHOLE.split()
    ],
    (".rnd{rn rz rm rp} .sat? ", "f16 f32 f64", _WHOLE),
    (".rnd{rn rz rm rp} ", "bf16", f"{_INT} f16 f32 f64"),
    (".to_int{rni rzi rmi rpi} .sat? ", _WHOLE, "f16 f32 f64"),
    (".to_int{rni rzi rmi rpi} ", _INT, "bf16"),
    *[(".to_int{rni rzi rmi rpi} .sat? ", kind, kind) for kind in ("f16", "f32", "f64")],
    *[(".sat? ", to, of) for to, of in (("f16", "f16"), ("f32", "f16 f32"), ("f64", "f16 f32 f64"))],
    ("", "bf16 f32 f64", "bf16"),
    *[(".rnd{rn rz rm rp} .sat? ", to, of) for to, of in (("f16", "f32 f64"), ("f32", "f64"))],
    (".rnd{rn rz rm rp} ", "f16", "bf16"),
]

_PURE: list[tuple[str, Callable[[Modifiers], Function]]] = [
    # integers
    (f"add .T{{{_INT}}} : T = T T", _same(np.add)),
    (f"sub .T{{{_INT}}} : T = T T", _same(np.subtract)),
    (f"mul .lo .T{{{_INT}}} : T = T T", _same(np.multiply)),
    (f"mul .hi .T{{{_INT}}} : T = T T", _same(integers.mul_hi)),
    ("mul .wide .T{u16 u32 s16 s32} : 2T = T T", _same(integers.mul_wide)),
    (f"mad .lo .T{{{_INT}}} : T = T T T", _same(lambda a, b, c: a * b + c)),
    (f"mad .hi .T{{{_INT}}} : T = T T T", _same(lambda a, b, c: integers.mul_hi(a, b) + c)),
    ("mad .wide .T{u16 u32 s16 s32} : 2T = T T 2T", _same(lambda a, b, c: integers.mul_wide(a, b) + c)),
    (f"div .T{{{_INT}}} : T = T T", _same(integers.div)),
    (f"rem .T{{{_INT}}} : T = T T", _same(integers.rem)),
    (f"min .T{{{_INT}}} : T = T T", _same(np.minimum)),
    (f"max .T{{{_INT}}} : T = T T", _same(np.maximum)),
    ("abs .T{s16 s32 s64} : T = T", _same(np.abs)),
    ("neg .T{s16 s32 s64} : T = T", _same(np.negative)),
    (f"and .T{{pred {_BITS}}} : T = T T", _same(np.bitwise_and)),
    (f"or .T{{pred {_BITS}}} : T = T T", _same(np.bitwise_or)),
    (f"xor .T{{pred {_BITS}}} : T = T T", _same(np.bitwise_xor)),
    (f"not .T{{pred {_BITS}}} : T = T", _same(np.invert)),
    (f"shl .T{{{_BITS}}} : T = T u32", _same(integers.shl)),
    (f"shr .T{{{_BITS} {_INT}}} : T = T u32", _same(integers.shr)),
    ("shf .way{l r} .how{clamp wrap} .T{b32} : T = T T u32", integers.funnel),
    ("prmt .T{b32} : T = T T u32", _same(integers.prmt)),
    ("bfe .T{u32 u64 s32 s64} : T = T u32 u32", _same(integers.bfe)),
    # choices and comparisons
    (f"selp .T{{{_BITS} {_INT} f32 f64}} : T = T T pred", _same(integers.select)),
    (f"setp .cmp{{eq ne lt le gt ge}} .T{{{_INT}}} : pred = T T", integers.setp),
    (f"setp .cmp{{eq ne}} .T{{{_BITS}}} : pred = T T", integers.setp),
    (f"setp .cmp{{{_FLOAT_CMP}}} .T{{f32 f64 {_HALF}}} : pred = T T", floats.setp),
    # floats
    *[
        (f"{op} .rnd{{rn}} .T{{f32 f64 {_HALF}}} : T = T T", floats.binary(op))
        for op in ("add", "sub", "mul")
    ],
    (f"fma .rnd{{rn}} .T{{f32 f64 {_HALF}}} : T = T T T", floats.fma),
    *[(f"{op} .rnd{{rn}} .T{{f32}} .U{{{_HALF}}} : T = U T", floats.mixed(op)) for op in ("add", "sub")],
    (f"fma .rnd{{rn}} .T{{f32}} .U{{{_HALF}}} : T = U U T", floats.mixed("fma")),
    ("div .rnd{rn} .T{f32 f64} : T = T T", floats.binary("div")),
    ("rcp .rnd{rn} .T{f32 f64} : T = T", floats.reciprocal),
    ("sqrt .rnd{rn} .T{f32 f64} : T = T", _same(floats.square_root)),
    (f"neg .T{{f32 f64 {_HALF}}} : T = T", floats.negative),
    (f"abs .T{{f32 f64 {_HALF}}} : T = T", floats.absolute),
    (f"min .T{{f32 f64 {_HALF}}} : T = T T", floats.extreme(least=True)),
    (f"max .T{{f32 f64 {_HALF}}} : T = T T", floats.extreme(least=False)),
    ("copysign .T{f32 f64} : T = T T", _same(floats.copysign)),
    # conversions
    *[(f"cvt {how}.T{{{to}}} .U{{{of}}} : T~ = U~", convert.cvt) for how, to, of in _CONVERSIONS],
]

_ATOMIC = (
    ("add", "u32 s32 u64 f32 f64"),
    ("min max", "u32 s32 u64 s64"),
    ("inc dec", "u32"),
    ("and or xor", "b32 b64"),
    ("exch", "b32 b64"),
)
_OTHERS = [
    f"mov .T{{{_REG}}} : T+ = T+",
    *[
        form
        for vec, space in (
            (f".T{{{_ANY}}}", _SPACE),
            (f".vec{{v2}} .T{{{_ANY}}}", _SPACE),
            (".vec{v4} .T{b8 b16 b32 u8 u16 u32 s8 s16 s32 f32}", _SPACE),
            (".vec{v4} .T{b64 u64 s64 f64}", ".space{global}"),
        )
        for form in (
            f"ld {space} {vec} : T*~ = mem",
            f"ld .global .nc {vec} : T*~ = mem",
            f"st {space.replace(' param', '')} {vec} : = mem T*~",
        )
    ],
    *[f"atom .space{{global shared}} .op{{{op}}} .T{{{kinds}}} : T = mem T" for op, kinds in _ATOMIC],
    *[f"red .space{{global shared}} .op{{{op}}} .T{{{kinds}}} : = mem T" for op, kinds in _ATOMIC[:-1]],
    "atom .space{global shared} .op{cas} .T{b16 b32 b64} : T = mem T T",
    "bra .uni? : = label",
    "ret .uni? : = ",
    "exit : = ",
    "trap : = ",
    "bar .sync : = u32",
    "bar .warp .sync : = u32",
    "fence .acq_rel .scope{cta gpu} : = ",
    "shfl .sync .mode{down bfly idx} .T{b32} : T = T u32 u32 u32",
    "vote .sync .mode{all any uni} .T{pred} : pred = pred u32",
    "vote .sync .mode{ballot} .T{b32} : T = pred u32",
]

APPROXIMATE = {"ex2", "lg2", "sin", "cos", "tanh", "rsqrt"}
_CONTRACTED = {"add", "sub", "mul"}


@functools.cache
def table() -> dict[str, tuple[Form, ...]]:
    """All forms, by opcode."""
    forms: dict[str, tuple[Form, ...]] = {}
    for text, build in (*_PURE, *((text, None) for text in _OTHERS)):
        form = _form(text, build)
        forms[form.opcode] = (*forms.get(form.opcode, ()), form)
    return forms


def find(opcode: str, words: list[str]) -> list[tuple[Form, Modifiers]]:
    """The forms that an opcode and its modifiers may be: those with other numbers of operands look alike."""
    found = ((form, form.match(words)) for form in table().get(opcode, ()))
    return [(form, modifiers) for form, modifiers in found if modifiers is not None]


def refusal(opcode: str, words: list[str]) -> tuple[str, str]:
    """Why no form fits: the kind of the error and its message."""
    text = ".".join([opcode, *words])
    if opcode in APPROXIMATE or {"approx", "full", "ftz"} & set(words):
        why = "flushes denormal numbers to zero" if "ftz" in words else "is approximate"
        return "approximate", f"`{text}` {why}: results would differ from those of the CPU"
    rounded = {"rn", "rz", "rm", "rp"} & {*words}
    if opcode in _CONTRACTED and not rounded and {"f32", "f64", *_HALF.split()} & {*words}:
        return "approximate", f"`{text}` has no rounding: it may be contracted into a fused multiply-add"
    known = table().get(opcode)
    if known is None:
        return "form", f"unknown instruction `{opcode}`"
    return "form", f"`{text}` is no form of `{opcode}` that the simulator knows"
