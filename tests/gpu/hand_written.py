"""Kernels of PTX written by hand, around single instructions and around whole bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler.gpu.simulator import Counts, Memory, launch, parse

Array = np.ndarray[Any, Any]
HEADER = ".version 8.7\n.target sm_90\n.address_size 64\n"
LETTERS = "abcdefgh"
_REGISTER = {1: "b16", 2: "b16", 4: "b32", 8: "b64"}
_MEMORY = {1: "u8", 2: "b16", 4: "b32", 8: "b64"}


def text(body: str, parameters: str = "", before: str = "", target: str = "sm_90") -> str:
    """A module with one entry `k`, and ten registers of each kind: %p, %h, %r, %f, %d, %l."""
    registers = "\n".join(
        f".reg .{kind} %{name}<10>;"
        for name, kind in (
            ("p", "pred"),
            ("h", "b16"),
            ("r", "b32"),
            ("f", "f32"),
            ("d", "f64"),
            ("l", "b64"),
        )
    )
    header = HEADER.replace("sm_90", target)
    return f"{header}{before}\n.visible .entry k({parameters})\n{{\n{registers}\n{body}\n}}\n"


def apply(instruction: str, result: Any, *operands: Array, size: int | None = None) -> Array:
    """`instruction` for each element, a thread each: it reads %a, %b, … (bool: a predicate) and writes %o.

    `result` is a dtype, bool for a predicate.
    """
    count = size or max(len(a) for a in operands)
    memory = Memory()
    code = ["mov.u32 %i, %tid.x;", "mov.u32 %j, %ctaid.x;", "mad.lo.u32 %i, %j, 256, %i;"]
    code += ["setp.ge.u32 %done, %i, " + str(count) + ";", "@%done ret;"]
    registers = [".reg .b32 %i, %j, %s;", ".reg .pred %done;", ".reg .b64 %at, %base;", ".reg .b16 %flag;"]
    parameters, args = [], []
    for letter, array in zip(LETTERS, operands, strict=False):
        predicate, n = array.dtype == np.bool_, array.dtype.itemsize
        registers.append(f".reg .{'pred' if predicate else _REGISTER[n]} %{letter};")
        parameters.append(f".param .u64 p_{letter}")
        args.append(memory.upload(np.resize(array, count), letter, writable=False))
        code += [f"ld.param.u64 %base, [p_{letter}];", f"mad.wide.u32 %at, %i, {n}, %base;"]
        target = "%flag" if predicate else f"%{letter}"
        code.append(f"ld.global.{_MEMORY[n]} {target}, [%at];")
        if predicate:
            code.append(f"setp.ne.b16 %{letter}, %flag, 0;")
    code.append(instruction)
    predicate = result is bool
    n = 1 if predicate else np.dtype(result).itemsize
    where = memory.allocate(count * n, "o")
    code += ["ld.param.u64 %base, [p_o];", f"mad.wide.u32 %at, %i, {n}, %base;"]
    registers.append(f".reg .{'pred' if predicate else _REGISTER[n]} %o;")
    if predicate:
        code.append("selp.b16 %flag, 1, 0, %o;")
    code.append(f"st.global.{_MEMORY[n]} [%at], {'%flag' if predicate else '%o'};")
    parameters.append(".param .u64 p_o")
    code.append("ret;")
    body = "\n".join([*registers, *code])
    module = parse(f"{HEADER}.visible .entry k({', '.join(parameters)})\n{{\n{body}\n}}\n")
    launch(module, "k", -(-count // 256), 256, [*args, where], memory)
    got = memory.download(where, count, np.uint8 if predicate else result)
    return got.astype(np.bool_) if predicate else got


def run(
    body: str, threads: int = 32, blocks: int = 1, words: int = 0, before: str = "", **kwargs: Any
) -> tuple[Array, Counts]:
    """A body whose %l0 is the address of an output of 32-bit words, all written, %r0 the thread."""
    source = text(f"ld.param.u64 %l0, [out];\nmov.u32 %r0, %tid.x;\n{body}\nret;", ".param .u64 out", before)
    memory = Memory()
    words = words or threads * blocks
    out = memory.allocate(4 * words, "out")
    counts = launch(parse(source), "k", blocks, threads, [out], memory, **kwargs)
    return memory.download(out, words, np.uint32), counts


# Stores %r9 as the word of this thread.
KEEP = """
mov.u32 %r8, %ctaid.x;
mov.u32 %r7, %ntid.x;
mad.lo.u32 %r8, %r8, %r7, %r0;
mad.wide.u32 %l9, %r8, 4, %l0;
st.global.u32 [%l9], %r9;
"""
