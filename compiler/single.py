"""A kernel by itself as a plan: arrays of its own for each operand, sizes and numbers as they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .ir.artifact import Plan
from .ir.graph import Graph, Node
from .ir.kernel import Array, Extent, Kernel
from .ir.program import Call, Number, Operand, Program, row_major
from .ir.target import Target
from .ir.types import TensorType, tensor_type
from .ops import BROADCAST, CONST, INPUT
from .passes.arrange import arrange
from .passes.plan import make_plan
from .pipeline import compile_kernel

Data = np.ndarray[Any, Any]


def single(kernel: Kernel, bound: Mapping[str, int], scalars: Mapping[str, Number], target: Target) -> Plan:
    """The plan of one call of `kernel`, a legal one, for these symbols. Its inputs and outputs are those of
    the kernel, in order, as they lie (`lay`). VerifyError unless each access is proven."""
    arrays: dict[str, Operand] = {}
    for array in (p for p in (*kernel.params, *kernel.outputs) if isinstance(p, Array)):
        shape = shape_of(array, bound)
        step = array.step or 1
        if array.dims:
            shape = (*shape[:-1], shape[-1] * abs(step))
        node = memory(array.name, tensor_type(array.dtype, shape), written=array in kernel.outputs)
        strides = (*row_major(shape)[:-1], step) if array.dims else ()
        arrays[array.name] = Operand(node, max(0, shape[-1] - 1) if step < 0 else 0, strides)
    outputs = tuple(arrays[o.name].node for o in kernel.outputs)
    inputs = tuple(arrays[p.name].node for p in kernel.params if isinstance(p, Array))
    call = Call(kernel, arrays, dict(bound), dict(scalars), ())
    schedule, code = compile_kernel(kernel, target)
    return arrange(make_plan(Program(Graph(kernel.name, inputs, outputs), (call,)), [code], [schedule]))


def shape_of(array: Array, bound: Mapping[str, int]) -> tuple[int, ...]:
    """ValueError for what is no shape."""

    def size(extent: Extent) -> int:
        return bound[extent] if isinstance(extent, str) else extent

    shape = tuple(map(size, array.dims))
    if any(n < 0 for n in shape):
        raise ValueError(f"`{array.name}` cannot be {array.dtype}{[*shape]}")
    return shape


def memory(name: str, of: TensorType, written: bool) -> Node:
    """What a parameter is read from; or what a kernel computes, which is no input."""
    if not written:
        return INPUT(name=name, dtype=of.dtype, shape=of.shape)
    return BROADCAST(CONST(value=0, dtype=of.dtype), shape=of.shape)


def lay(array: Array, values: Data) -> Data:
    """The values of a parameter as `single` has them in memory: row-major, but along the last dimension in
    the steps that the kernel says."""
    step = array.step or 1
    if step < 0:
        values = values[..., ::-1]
    if abs(step) > 1:
        apart = np.zeros((*values.shape[:-1], values.shape[-1] * step), values.dtype)
        apart[..., ::step] = values
        return apart
    return np.ascontiguousarray(values).reshape(values.shape)


def lie(array: Array, memory: Data) -> Data:
    """The values of an output that lies so."""
    return memory[..., :: array.step] if array.step else memory
