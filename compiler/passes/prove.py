"""What calls are bound to, proven before any code runs: every access stays inside of its buffer, every
element of an output is written once, and nothing is read while it is written or before.

    kernel t(x: f32[d]) -> (o: f32[n])          x: elements 2, 3, ... of a buffer; d = 5, lo = 3, hi = 9
      for i in n
        stage:  o[i] = x[i - lo | lo <= i < hi]

`x[5]` is read if n is 9: an error, whatever the buffer holds there. Kernels are verified ones. Programs that
fusion makes pass; the proof asks of sizes only what it must, as each new size is asked again (`size.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NoReturn

from ..cpu.schedule import MERGED
from ..ir import kernel as k
from ..ir.layout import Face
from ..ir.program import Call, Operand, Program, row_major
from ..ir.size import Size
from ..order import BLOCK
from ..verify.error import VerifyError

# Extents that no array has: what a loop comes back from. (Those of arrays fit into memory.)
MOST = 1 << 40
# Symbols, and points of a stage: half the way to where their number wraps.
POINTS = 1 << 56


def prove(program: Program, faces: Sequence[Face]) -> None:
    """VerifyError, which names array, range and symbol, unless the program is bound as above. `faces`: of the
    kernels of its calls."""
    inputs = set(program.graph.inputs)
    known = set(inputs)
    for call, face in zip(program.calls, faces, strict=True):
        _symbols(call, face)
        outputs = {o.name: o for o in call.kernel.outputs}
        for name, array in face.arrays.items():
            if name not in call.arrays:
                _fail(call, f"`{name}` is bound to nothing")
            operand = call.arrays[name]
            _inside(call, array, operand)
            if name in outputs:
                _written_once(call, array, operand)
                if face.scatters and operand.strides != row_major(call.shape(array)):
                    _fail(call, f"`{name}`, which is added to, must lie in row-major order")
            elif operand.node not in known:
                _fail(call, f"`{name}` is read before it is written")
        for sort, extent in face.sorts:
            first, run = sort.first, sort.run
            if first is not None and not 1 <= call.extent(first) <= call.extent(extent):
                _fail(call, f"a sort keeps {_text(call, first)} of {_text(call, extent)} elements")
            if run is not None and (call.extent(run) < 1 or call.extent(extent) > MERGED * call.extent(run)):
                _fail(call, f"a row of {_text(call, extent)} elements in runs of {_text(call, run)}")
        for load, axes in face.shifted:
            _window(call, face.arrays.get(load.array), load, axes)
        for name in outputs:
            node = call.arrays[name].node
            if node in known:
                what = "is read" if node in inputs else "is read or written elsewhere"
                _fail(call, f"`{name}` is written where memory {what}")
            known.add(node)
    if any(node not in known for node in program.graph.outputs):
        raise VerifyError(f"graph {program.graph.name}: an output is never written")


def _fail(call: Call, message: str) -> NoReturn:
    raise VerifyError(f"kernel {call.kernel.name}: {message}")


def _text(call: Call, extent: k.Extent) -> str:
    return f"`{extent}` = {call.symbols[extent]!r}" if isinstance(extent, str) else str(extent)


def _whole(value: object) -> bool:
    return type(value) is int or isinstance(value, Size)


def _symbols(call: Call, face: Face) -> None:
    kernel = call.kernel
    for name in face.symbols:
        value = call.symbols.get(name)
        if not _whole(value):
            _fail(call, f"`{name}` = {value!r} is no whole number")
        assert value is not None
        if not -POINTS <= value <= POINTS:
            _fail(call, f"`{name}` = {value!r} is beyond {POINTS}")
    for name in face.scalars:
        if name not in call.scalars:
            _fail(call, f"`{name}` is bound to nothing")
    for extent in face.extents:
        n = call.extent(extent)
        if not 0 <= n <= MOST and not (MOST < n <= POINTS and _lies_in_memory(call, extent)):
            _fail(call, f"{_text(call, extent)} cannot be an extent")
    for n, stage in enumerate(kernel.stages + kernel.final):
        here = (*(kernel.outer if n < len(kernel.stages) else ()), *stage.axes)
        if prod(call.extent(a.extent) for a in here) > POINTS:
            told = ", ".join(f"{a.name} in {_text(call, a.extent)}" for a in here)
            _fail(call, f"a stage has more than {POINTS} points ({told})")
        for axis in stage.axes:
            if axis.long and call.extent(axis.extent) <= BLOCK:
                told = f"{axis.name} in {_text(call, axis.extent)} long"
                _fail(call, f"{told}: an axis is long from {BLOCK + 1} points on")


def _lies_in_memory(call: Call, extent: k.Extent) -> bool:
    """Whether some array has an element of its own for each: who makes it finds that there is no memory."""
    arrays = [
        (array, call.arrays[name]) for name, array in k.arrays(call.kernel).items() if name in call.arrays
    ]
    return any(d == extent and s for a, o in arrays for d, s in zip(a.dims, o.strides, strict=False))


def _inside(call: Call, array: k.Array, operand: Operand) -> None:
    node, name = operand.node, array.name
    if node.type.dtype is not array.dtype:
        _fail(call, f"`{name}` is {array.dtype}, but bound to {node.type}")
    if len(operand.strides) != len(array.dims):
        _fail(call, f"`{name}` has {len(array.dims)} dimensions, but {len(operand.strides)} strides")
    if not all(map(_whole, (operand.offset, *operand.strides))):
        _fail(call, f"offset and strides of `{name}` must be whole numbers")
    low = high = operand.offset
    told = []
    for extent, stride in zip(array.dims, operand.strides, strict=True):
        n = call.extent(extent)
        if n < 1:
            return
        low, high = low + min(0, stride * (n - 1)), high + max(0, stride * (n - 1))
        told.append(f"{_text(call, extent)} in steps of {stride!r}")
    if not 0 <= low <= high < node.type.size:
        text = f"`{name}` is elements {low!r} to {high!r} of {node.type} ({', '.join(told) or 'one'})"
        _fail(call, text)
    step = 1 if array.unit and array.dims else array.step
    if step and operand.strides[-1] != step and call.extent(array.dims[-1]) > 1:
        text = f"{_text(call, array.dims[-1])} goes in steps of {operand.strides[-1]!r}"
        how = "lie element by element" if array.unit else f"go in steps of {step}"
        _fail(call, f"the last dimension of `{name}` must {how}, but {text}")


def _written_once(call: Call, array: k.Array, operand: Operand) -> None:
    sizes = call.shape(array)
    if prod(sizes) != operand.node.type.size:
        told = ", ".join(_text(call, x) for x in array.dims)
        _fail(call, f"the output `{array.name}` is {operand.node.type}, but [{told}] is written")
    if operand.strides == row_major(sizes):  # as fusion writes
        return
    reach = 0  # of the dimensions before, which step less
    for stride, n in sorted(zip(map(abs, operand.strides), sizes, strict=True)):
        if n > 1:
            if stride <= reach:
                told = ", ".join(
                    f"{_text(call, x)} in steps of {s!r}"
                    for x, s in zip(array.dims, operand.strides, strict=True)
                )
                _fail(call, f"the output `{array.name}` overlaps itself ({told})")
            reach += stride * (n - 1)


def _window(call: Call, array: k.Array | None, load: k.Load, axes: Mapping[str, k.Extent]) -> None:
    if array is None:
        _fail(call, f"`{load.array}` is a total: its subscripts cannot be shifted")
    for ix, dim in zip(load.index, array.dims, strict=True):
        if ix.shift is None:
            continue
        shift, length = call.symbols[ix.shift], call.extent(dim)
        bounds = [(call.symbols[g.lo], call.symbols[g.hi]) for g in load.guards if g.axis == ix.axis]
        if any(lo == shift and hi - lo <= length for lo, hi in bounds):
            continue
        first = max(0, *(lo for lo, _ in bounds))
        last = min(call.extent(axes[ix.axis]), *(hi for _, hi in bounds)) - 1
        if first <= last and not 0 <= first - shift <= last - shift < length:
            told = f"{ix.axis} - `{ix.shift}` runs from {first - shift!r} to {last - shift!r}"
            _fail(call, f"{told}, but that dimension of `{array.name}` is {_text(call, dim)}")
