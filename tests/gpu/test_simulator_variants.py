"""Variants of instructions whose plain forms other tests know: mixed and combined ones, each beside
what the plain form gives; and loads, stores and atomics in all types, with every hint."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Memory, forms, launch, parse

from .hand_written import KEEP, apply, run, text
from .rounding import assert_same
from .test_simulator_floats import pairs

HALVES = ("f16", "bf16")
LOGIC = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
FLOAT_ORDERS = ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"]


@pytest.mark.parametrize("kind", HALVES)
def test_halves_beside_float32(kind: str) -> None:
    """They become float32 first, exactly."""
    (a, b), (wide, _) = pairs(kind), pairs("f32")
    c = np.resize(wide, a.size)
    x, y = (apply(f"cvt.f32.{kind} %o, %a;", np.uint32, half) for half in (a, b))
    for op in ("add", "sub"):
        got = apply(f"{op}.rn.f32.{kind} %o, %a, %b;", np.uint32, a, c)
        assert_same(got, apply(f"{op}.rn.f32 %o, %a, %b;", np.uint32, x, c), "f32")
    got = apply(f"fma.rn.f32.{kind} %o, %a, %b, %c;", np.uint32, a, b, c)
    assert_same(got, apply("fma.rn.f32 %o, %a, %b, %c;", np.uint32, x, y, c), "f32")


# --- memory ---------------------------------------------------------------------------------------

ROOM = ".shared .align 64 .b8 room[64];"


def accesses(opcode: str) -> dict[str, tuple[str, int]]:
    """Loads or stores of global and shared memory without their operands, of each type once: the type, and
    how many there are in a vector."""
    found: dict[str, tuple[str, int]] = {}
    for form in forms.table()[opcode]:
        slots = {slot.key: slot for slot in form.slots}
        least = {key: slot.choices[0] for key, slot in slots.items() if not slot.optional}
        for key, choice in ((key, choice) for key, slot in slots.items() for choice in slot.choices):
            words = least | {key: choice}
            if words.get("space") not in ("local", "param"):
                line = ".".join([opcode, *(words[k] for k in slots if k in words)])
                found[line] = words["T"], int(words.get("vec", "v1")[1:])
    return found


@pytest.mark.parametrize("opcode, least", [("ld", 80), ("st", 40)])
def test_loads_and_stores_of_every_kind(opcode: str, least: int) -> None:
    """Bytes go through registers: by the form that is looked at, and by a plain one."""
    every = accesses(opcode)
    assert len(every) > least
    content = np.random.default_rng(0).integers(0, 256, 64).astype(np.uint8)
    for line, (kind, count) in every.items():
        width, shared = int(kind[1:]) // 8, ".shared" in line
        letter = {"f4": "f", "f8": "d"}.get(f"{kind[0]}{width}", {1: "h", 2: "h", 4: "r", 8: "l"}[width])
        names = [f"%{letter}{k + 1}" for k in range(count)]
        registers = names[0] if count == 1 else "{" + ", ".join(names) + "}"
        simple = f".v{count}" * (count > 1) + f".{'f' if kind[0] == 'f' else 'u'}{8 * width}"
        code = ["ld.param.u64 %l8, [src];", "ld.param.u64 %l9, [out];"]
        room, n = "%l8" if opcode == "ld" else "%l9", width * count
        if shared:
            code.append("mov.u64 %l0, room;")
            room = "%l0"
        if shared and opcode == "ld":
            code += [f"ld.global.u8 %h9, [%l8+{k}];\nst.shared.u8 [%l0+{k}], %h9;" for k in range(n)]
        if opcode == "ld":
            code += [f"{line} {registers}, [{room}];", f"st.global{simple} [%l9], {registers};"]
        else:
            code += [f"ld.global{simple} {registers}, [%l8];", f"{line} [{room}], {registers};"]
        if shared and opcode == "st":
            code += [f"ld.shared.u8 %h9, [%l0+{k}];\nst.global.u8 [%l9+{k}], %h9;" for k in range(n)]
        source = text("\n".join([*code, "ret;"]), ".param .u64 src, .param .u64 out", ROOM if shared else "")
        memory = Memory()
        out = memory.allocate(n, "out")
        launch(parse(source), "k", 1, 1, [memory.upload(content, "src", writable=False), out], memory)
        assert memory.download(out, n, np.uint8).tolist() == content[:n].tolist(), line


REDUCED = [
    *[(op, kind) for op in ("min", "max") for kind in ("u32", "s32", "u64", "s64")],
    *[(op, kind) for op in ("and", "or", "xor") for kind in ("b32", "b64")],
    *[("add", kind) for kind in ("u32", "s32", "u64")],
    *[(op, "u32") for op in ("inc", "dec")],
]


@pytest.mark.parametrize("space", ["global", "shared"])
def test_reductions_in_memory(space: str) -> None:
    """What an atomic of this name leaves there."""
    size = 8 * len(REDUCED)
    for start, value in ((0x0123456789ABCDEF, 7), (5, 2**64 - 1), (2**64 - 16, 0x00FF00FF00FF00FF)):
        code, want = ["mov.u64 %l4, room;"], []
        for n, (op, kind) in enumerate(REDUCED):
            width = int(kind[1:])
            x, y = start % (1 << width), value % (1 << width)
            register, at = f"%{'r' if width == 32 else 'l'}5", f"[%l0+{8 * n}]"
            where = at if space == "global" else "[%l4]"
            code += [
                f"mov.b64 %l5, 0;\nst.global.b64 {at}, %l5;",
                f"mov.b{width} {register}, {x};\nst.{space}.b{width} {where}, {register};",
                f"mov.b{width} {register}, {y};\nred.{space}.{op}.{kind} {where}, {register};",
                f"ld.{space}.b{width} {register}, {where};\nst.global.b{width} {at}, {register};",
            ]
            if kind[0] == "s":
                x, y = (v - (v >> width - 1 << width) for v in (x, y))
            results = {
                "add": x + y, "min": min(x, y), "max": max(x, y), "and": x & y, "or": x | y, "xor": x ^ y,
                "inc": 0 if x >= y else x + 1, "dec": y if x == 0 or x > y else x - 1,
            }  # fmt: skip
            want.append(results[op] % (1 << width))
        got, _ = run("\n".join(code), 1, 1, size // 4, ROOM)
        assert got.view(np.uint64).tolist() == want


@pytest.mark.parametrize("space", ["global", "shared"])
def test_atomics_of_a_warp(space: str) -> None:
    """Each thread of a warp gets what another one has left."""
    place = "add.u64 %l4, %l0, 128;" if space == "global" else "mov.u64 %l4, room;"
    for op, kind, operand in (("add", "u32", 1), ("inc", "u32", 99), ("exch", "b32", 5)):
        body = f"""
        {place}
        setp.eq.u32 %p1, %r0, 0;
        mov.b32 %r5, 0;
        @%p1 st.{space}.b32 [%l4], %r5;
        @%p1 st.global.b32 [%l0+128], %r5;
        bar.sync 0;
        mov.b32 %r5, {operand};
        atom.{space}.{op}.{kind} %r9, [%l4], %r5;
        {KEEP}
        """
        got, _ = run(body, 32, 1, 33, ROOM)
        assert sorted(got[:32].tolist()) == (list(range(32)) if op != "exch" else [0] + [5] * 31)
