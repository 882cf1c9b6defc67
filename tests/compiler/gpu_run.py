"""One kernel, from its text, on the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid.compiler.gpu.emit import emit
from lucid.compiler.gpu.launch import at_launch, defined, fitting, grid_of
from lucid.compiler.gpu.lowering import lower
from lucid.compiler.gpu.schedule import schedule
from lucid.compiler.gpu.simulator import Memory, launch, parse
from lucid.compiler.gpu.target import target
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.layout import part_name, parted, stride_name, working
from lucid.compiler.ir.program import Call, scalar_bytes
from lucid.compiler.passes.plan import grid
from lucid.runtime.llvm import emit_assembly

Array = np.ndarray[Any, Any]


def run_kernel(
    kernel: k.Kernel,
    arrays: Mapping[str, Array],
    symbols: Mapping[str, int],
    scalars: Mapping[str, float],
    arch: str = "sm_90",
) -> dict[str, Array]:
    """The outputs of `kernel` on `arrays`, row-major; where the last stride is not 1, every other element."""
    plan = schedule(kernel)
    block, blocks = grid(Call(kernel, {}, dict(symbols), dict(scalars), ()), plan)
    memory, places = Memory(), dict[str, int | bytes]()

    def extent(of: k.Extent) -> int:
        return symbols[of] if isinstance(of, str) else of

    shapes: dict[str, tuple[int, ...]] = {}
    for name, array in k.arrays(kernel).items():
        shapes[name] = (*map(extent, array.dims), 1 if array.unit else 2)
        if name in arrays:
            spread = np.zeros(shapes[name], array.dtype.np)
            spread[..., 0] = arrays[name]
            places[name] = memory.upload(spread, name, writable=False)
        else:
            places[name] = memory.allocate(int(np.prod(shapes[name])) * array.dtype.size, name)
        for dim in range(len(array.dims)):
            places[stride_name(name, dim)] = int(np.prod(shapes[name][dim + 1 :]))
    extents = {a.name: extent(a.extent) for s in kernel.stages for a in s.axes}
    for reduce in parted(kernel):
        size = max(1, blocks) * int(np.prod([extents[name] for name in reduce.keep]))
        places |= {part_name(n): memory.allocate(size * d.size, n) for n, d in reduce.results}
    for name, dtype in working(kernel).items():
        size = max(1, blocks) * max(extents.values(), default=1)
        places[name] = memory.allocate(size * dtype.size, name)
    places |= {**symbols, "block": block, "blocks": blocks, "stream": 0}
    places |= {name: scalar_bytes(scalars[name], s.dtype) for name, s in k.scalars(kernel).items()}
    funcs = lower(kernel, plan)
    module = parse(emit_assembly(emit(funcs), target(arch)))
    args = [places[slot.name] for slot in funcs[0].slots]
    found = fitting(defined(funcs), args)
    if size := grid_of(found, blocks):
        launch(module, found.name, size, found.threads, args, memory, at_launch(found, args))
    results: dict[str, Array] = {}
    for out in kernel.outputs:
        place, kind = places[out.name], out.dtype.np
        assert isinstance(place, int)
        count = int(np.prod(shapes[out.name]))
        if out.unit:
            results[out.name] = memory.download(place, shapes[out.name][:-1], kind)
            continue
        every = [memory.download(place + n * out.dtype.size, 1, kind) for n in range(0, count, 2)]
        results[out.name] = np.array([e[0] for e in every], kind).reshape(shapes[out.name][:-1])
    return results
