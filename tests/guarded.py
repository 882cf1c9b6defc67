"""Kernels that run on arrays between guards, straight from their text."""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid.compiler.cpu.emit import emit
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.layout import part_name, parted, slots, stride_name, working
from lucid.compiler.ir.program import Call, scalar_bytes
from lucid.compiler.ir.target import Target
from lucid.compiler.ir.types import DType
from lucid.compiler.passes.plan import grid, room
from lucid.compiler.text.kernel import print_kernel
from lucid.runtime import elf, image, llvm
from lucid.runtime.host import host
from lucid.runtime.load import native
from lucid.testing.layouts import PATTERN, Guarded, guarded

Array = np.ndarray[Any, Any]
__all__ = ["PATTERN", "Array", "Guarded", "extent_below", "guarded", "guarded_like", "run_kernel"]


def guarded_like(array: Array, front: bool = False) -> tuple[Guarded, Array]:
    """A copy between guards in the order of memory that `array` has, row-major or column-major."""
    turned = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
    found = guarded(array.T if turned else array, front)
    return found, found.array.T if turned else found.array


@functools.cache
def _functions(text: str, kernel: k.Kernel, target: Target) -> tuple[Any, Any]:
    """The native functions of a kernel for `target`, whose instructions this machine must have."""
    funcs = lower(kernel, schedule(kernel, target.vector_bytes))
    source, names = emit(funcs, target), tuple(f.name for f in funcs)
    if target.features == host().features:
        addresses = native(source, names)
    else:
        addresses = image.place(elf.link(llvm.emit_object(source, target, True)))
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    run, *finish = (prototype(addresses[name]) for name in names)
    return run, finish[0] if finish else None


def run_kernel(
    kernel: k.Kernel,
    arrays: Mapping[str, Array],
    symbols: Mapping[str, int],
    scalars: Mapping[str, float] | None = None,
    target: Target | None = None,
    front: bool = False,
    stream: bool = False,
) -> dict[str, Array]:
    """The outputs of `kernel` on guarded copies of `arrays`, row-major, block by block, the last block
    first. AssertionError if it has written outside of an array that is its own to write."""
    target = target or host()
    scalars = scalars or {}
    plan = schedule(kernel, target.vector_bytes)
    call = Call(kernel, {}, dict(symbols), dict(scalars), ())
    block, blocks = grid(call, plan)

    def extent(of: k.Extent) -> int:
        return symbols[of] if isinstance(of, str) else of

    memory: dict[str, Guarded] = {}
    views: dict[str, Array] = {}  # where the last stride is not 1, every so many elements, or every other one
    for name, param in k.arrays(kernel).items():
        shape = tuple(map(extent, param.dims))
        if param.step < 0:
            raise ValueError(f"`{name}`: elements that lie backwards")
        memory[name] = Guarded((*shape, 1 if param.unit else param.step or 2), param.dtype.np, front)
        views[name] = memory[name].array[..., 0]
        if name in arrays:
            views[name][...] = arrays[name]
    extents = {a.name: extent(a.extent) for s in kernel.stages for a in s.axes}
    for reduce in parted(kernel):
        shape = (max(1, blocks), *(extents[name] for name in reduce.keep))
        for name, dtype in reduce.results:
            memory[part_name(name)] = Guarded(shape, dtype.np, front)
    for name, dtype in working(kernel).items():
        memory[name] = Guarded((max(1, blocks), room(call, plan)), dtype.np, front)
    before = {name: memory[name].array.copy() for name in arrays}
    values: dict[str, int] = {**symbols, "block": block, "blocks": blocks, "stream": int(stream)}
    for name in k.arrays(kernel):
        shape = memory[name].array.shape
        values |= {stride_name(name, dim): extent_below(shape, dim) for dim in range(len(shape) - 1)}
    table = (ctypes.c_int64 * len(slots(kernel)))()
    for number, slot in enumerate(slots(kernel)):
        if slot.kind == "array":
            table[number] = memory[slot.name].array.ctypes.data
        elif slot.kind == "int":
            table[number] = values[slot.name]
        else:
            table[number] = _word(scalars[slot.name], slot.dtype)
    run, finish = _functions(print_kernel(kernel), kernel, target)
    for number in reversed(range(blocks)):
        others = np.arange(blocks) != number
        kept = {name: memory[name].array[others] for name in working(kernel)}
        run(table, number, number + 1)
        for name, array in kept.items():
            same = memory[name].array[others].tobytes() == array.tobytes()
            assert same, f"{kernel.name}: block {number} writes to `{name}` of another"
    if finish is not None:
        finish(table, 0, 1)
    for name, held in memory.items():
        assert held.intact(), f"{kernel.name} ({plan.mode}) writes outside of `{name}`"
    for name, array in before.items():
        assert memory[name].array.tobytes() == array.tobytes(), f"{kernel.name} writes to `{name}`"
    for out in kernel.outputs:
        gaps = memory[out.name].array[..., 1:].tobytes()
        assert gaps == bytes([PATTERN]) * len(gaps), f"{kernel.name} writes between elements of `{out.name}`"
    return {out.name: views[out.name].copy() for out in kernel.outputs}


def extent_below(shape: tuple[int, ...], dim: int) -> int:
    """The stride of a dimension of a row-major array, in elements."""
    return int(np.prod(shape[dim + 1 :]))


def _word(value: float, dtype: DType) -> int:
    return int(struct.unpack("<q", scalar_bytes(value, dtype).ljust(8, b"\0"))[0])
