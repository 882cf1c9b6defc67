"""The kernels written by hand, run at every level below: as loops, by the interpreter, and natively.

Loops mean exactly what the machine does, so these two agree bit for bit, whatever the vector width.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.layout import part_name, parted, slots, stride_name
from lucid.compiler.ir.loop import Func
from lucid.compiler.ir.program import Call, Operand, Program
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.passes.plan import grid, make_plan
from lucid.compiler.pipeline import compile_kernel
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

from .test_interpret import CASES, load

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]


def _operands(name: str, n: int, m: int) -> tuple[k.Kernel, Inputs, dict[str, float]]:
    arrays, scalars, _ = CASES[name](np.random.default_rng(n), n, m)
    return load(name), {key: np.asarray(a, np.float32) for key, a in arrays.items()}, scalars


def _call(kernel: k.Kernel, inputs: Inputs, scalars: dict[str, float]) -> tuple[Program, Call]:
    """The kernel applied to row-major arrays."""
    symbols: dict[str, int] = {}
    for name, array in inputs.items():  # a literal extent stands for itself
        for extent, n in zip(k.arrays(kernel)[name].dims, array.shape, strict=True):
            symbols[str(extent)] = n
    nodes: dict[str, Node] = {}
    for name, param in k.arrays(kernel).items():
        shape = tuple(symbols[str(e)] for e in param.dims)
        zero = ops.CONST(value=0, dtype=param.dtype)
        made = ops.BROADCAST(zero, shape=shape)  # stands for what the kernel writes
        nodes[name] = ops.INPUT(name=name, dtype=param.dtype, shape=shape)
        if name not in inputs:
            nodes[name] = made
    bound = {
        name: Operand(node, 0, tuple(np.cumprod((1, *node.shape[:0:-1]))[::-1].tolist()))
        if node.shape
        else Operand(node, 0, ())
        for name, node in nodes.items()
    }
    outputs = tuple(nodes[o.name] for o in kernel.outputs)
    graph = Graph(kernel.name, tuple(nodes[name] for name in inputs), outputs)
    call = Call(kernel, bound, symbols, scalars, ())
    return Program(graph, (call,)), call


@functools.cache
def _read(text: str, vector_bytes: int) -> list[Func]:
    """What the text of a kernel's loops says, the same for all sizes."""
    kernel = parse_kernel(text)
    found = []
    for func in lower(kernel, schedule(kernel, vector_bytes)):
        verify_func(func)
        printed = print_func(func)
        found.append(parse_func(printed))
        assert print_func(found[-1]) == printed
    return found


def _loops(call: Call, inputs: Inputs, vector_bytes: int) -> Inputs:
    """The outputs, by the interpreter of loops."""
    kernel = call.kernel
    plan = schedule(kernel, vector_bytes)
    block, blocks = grid(call, plan)
    memory = {name: array.reshape(-1) for name, array in inputs.items()}
    for out in kernel.outputs:
        shape = tuple(call.symbols[str(e)] for e in out.dims)
        blank = np.nan if out.dtype.is_float else 1
        memory[out.name] = np.full(int(np.prod(shape)), blank, out.dtype.np)
    extents = {a.name: call.symbols[str(a.extent)] for s in kernel.stages for a in s.axes}
    for reduce in parted(kernel):
        size = int(np.prod([max(1, blocks), *(extents[a] for a in reduce.keep)]))
        for name, dtype in reduce.results:
            memory[part_name(name)] = np.full(size, np.nan if dtype.is_float else 1, dtype.np)
    values: dict[str, float] = {**call.symbols, **call.scalars, "block": block, "blocks": blocks, "stream": 1}
    for name, operand in call.arrays.items():
        values |= {stride_name(name, d): s for d, s in enumerate(operand.strides)}
    needed = {slot.name for slot in slots(kernel)}
    given = {name: v for name, v in values.items() if name in needed}
    for number, func in enumerate(_read(print_kernel(kernel), vector_bytes)):
        interpret_func(func, memory, given, 0, 1 if number else blocks)
    return {
        o.name: memory[o.name].reshape(tuple(call.symbols[str(e)] for e in o.dims)) for o in kernel.outputs
    }


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 5), (9, 67), (6, 80), (0, 4)])
def test_loops_and_machine_code(name: str, n: int, m: int) -> None:
    agree(*_operands(name, n, m))


def test_fixed_extents() -> None:
    kernel = parse_kernel("""
        kernel fixed(x: f32[3, 2, 5, 4]) -> (o: f32[5, 4], t: f32[])
          for i in 3, j in 2
            stage p in 5, q in 4
              kept[p, q] += x[i, j, p, q]
              total += x[i, j, p, q] * 0.5
          finally
            t = total
            stage p in 5, q in 4:  o[p, q] = kept[p, q]
    """)
    verify_kernel(kernel)
    x = np.arange(120, dtype=np.float32).reshape(3, 2, 5, 4)
    agree(kernel, {"x": x}, {})


def agree(kernel: k.Kernel, inputs: Inputs, scalars: dict[str, float]) -> None:
    """Kernel, loops at three vector widths, and machine code."""
    program, call = _call(kernel, inputs, scalars)
    expected = interpret_kernel(kernel, inputs, scalars)
    by_width = [_loops(call, inputs, width) for width in (16, 32, 64)]
    plan, code = compile_kernel(kernel, host())
    native = Executable(arrange(make_plan(program, [code], [plan])))(list(inputs.values()))
    for number, out in enumerate(kernel.outputs):
        want = expected[out.name]
        np.testing.assert_allclose(native[number].reshape(want.shape), want, rtol=1e-4, atol=1e-4)
        for loops in by_width:
            same = native[number].reshape(want.shape).tobytes() == loops[out.name].tobytes()
            assert same, f"{out.name}: {native[number]} is not {loops[out.name]}"
