"""Programs as text that runs: kernels one after the other, as a plan or by NumPy; loops by NumPy; calls of
libraries between them.

Machine code is made of kernels alone: of loops nobody could prove that they stay inside of their arrays, so
the interpreter runs them, which looks at each access.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir.binding import Binding, Library, Memory, Step, View, Whole
from lucid.compiler.ir.kernel import Array as Param
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.ir.loop import For, Func, Stmt, Store, Window
from lucid.compiler.ir.program import Call
from lucid.compiler.ir.types import TensorType
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.passes.plan import make_plan
from lucid.compiler.pipeline import compile_kernel
from lucid.compiler.single import shape_of
from lucid.compiler.whole import paired, program_of
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

from .hosted import function_of

Array = np.ndarray[Any, Any]
Segment = list[Step] | Memory | Library
Interpreted = Callable[[np.random.Generator | None], dict[str, Array]]


def run_whole(whole: Whole, arrays: Mapping[str, Array], interpret: bool) -> list[Array]:
    """The results of a program for its inputs, row-major ones by their names. VerifyError, before anything
    runs, for an access that is not proven; ValueError, TypeError for what a library does not take; IndexError
    for loops that leave an array."""
    binding = whole.binding
    assert binding is not None
    kernels = {k.name: k for k in whole.kernels}
    funcs = {f.name: f for f in whole.funcs}
    types = {i.name: i.type for i in binding.inputs} | dict(_defined(binding))
    called = _Called()
    held = {i.name: arrays[i.name].reshape(-1) for i in binding.inputs}
    run = [_prepared(segment, binding, kernels, types, interpret) for segment in _segments(binding)]
    for part, segment in run:
        if part is not None:
            part(held)
        elif isinstance(segment, Memory):
            held[segment.name] = np.zeros(segment.type.size, segment.type.dtype.np)
        elif isinstance(segment, Library):
            held[segment.name] = called(segment, held).reshape(-1)
        else:
            for step in segment:
                _loops(step, funcs, held)
    return [_seen(held[name], kind) for name, kind in binding.results]


def beside(
    whole: Whole, arrays: Mapping[str, Array]
) -> Iterator[tuple[Kernel, dict[str, Array], Interpreted]]:
    """What each kernel of a program gives as native code, and what interprets it for the same operands, with
    its sums in NumPy's order, or moved as `interpret_kernel` does; what native code gives goes on. Kernels
    that fill one array are told as the last of them. Errors are those of `run_whole`."""
    binding = whole.binding
    assert binding is not None
    kernels = {k.name: k for k in whole.kernels}
    types = {i.name: i.type for i in binding.inputs} | dict(_defined(binding))
    called = _Called()
    held = {i.name: arrays[i.name].reshape(-1) for i in binding.inputs}
    for segment in _segments(binding):
        if isinstance(segment, Memory):
            held[segment.name] = np.zeros(segment.type.size, segment.type.dtype.np)
        elif isinstance(segment, Library):
            held[segment.name] = called(segment, held).reshape(-1)
        else:
            for steps in _filling(segment):
                before = dict(held)
                part, _ = _prepared(steps, binding, kernels, types, False)
                assert part is not None
                part(held)
                names = [r.view.name for r in steps[-1].results]

                def interpreted(
                    moved: np.random.Generator | None,
                    steps: list[Step] = steps,
                    before: dict[str, Array] = before,
                    names: list[str] = names,
                ) -> dict[str, Array]:
                    memory = dict(before)
                    again, _ = _prepared(steps, binding, kernels, types, True, moved)
                    assert again is not None
                    again(memory)
                    return {name: memory[name] for name in names}

                yield kernels[steps[-1].callee], {name: held[name] for name in names}, interpreted


def _filling(segment: list[Step]) -> Iterator[list[Step]]:
    """Steps one by one, but for those between which an array is filled."""
    last = {r.view.name: k for k, step in enumerate(segment) for r in step.results}
    steps, until = list[Step](), 0
    for k, step in enumerate(segment):
        steps.append(step)
        until = max([until, *(last[r.view.name] for r in step.results)])
        if until <= k:
            yield steps
            steps = []


class _Called:
    """Calls of libraries: each once, however many of its results are asked for."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[Array, ...]] = {}

    def __call__(self, step: Library, held: Mapping[str, Array]) -> Array:
        attrs = dict(step.attrs)
        number = attrs.pop("result", None)
        key = step.operands, tuple(attrs.items())
        found = self._known.get(key)
        if found is None:
            arrays = [_seen(held[name], kind) for name, kind in step.operands]
            found = self._known[key] = function_of(attrs.get("function")).run(
                dict(attrs.get("options", ())), arrays, step.loc
            )
        if type(number) is not int or number not in range(len(found)):
            raise ValueError(f"result={number!r}: {attrs['function']} has {len(found)}, from 0 on")
        array = found[number]
        if (array.dtype, array.shape) != (step.type.dtype.np, step.type.shape):
            given = f"{array.dtype}{[*array.shape]}"
            raise ValueError(f"%{step.name} is {step.type}, but {attrs['function']} gives {given}")
        return array


def _defined(binding: Binding) -> Iterator[tuple[str, TensorType]]:
    for step in binding.steps:
        if isinstance(step, Step):
            yield from ((r.view.name, r.type) for r in step.results)
        else:
            yield step.name, step.type


def _segments(binding: Binding) -> Iterator[Segment]:
    """Steps that run together, and what stands between them."""
    together: list[Step] = []
    for step in binding.steps:
        if isinstance(step, Step):
            together.append(step)
            continue
        if together:
            yield together
            together = []
        yield step
    if together:
        yield together


def _prepared(
    segment: Segment,
    binding: Binding,
    kernels: Mapping[str, Kernel],
    types: Mapping[str, TensorType],
    interpret: bool,
    moved: np.random.Generator | None = None,
) -> tuple[Callable[[dict[str, Array]], None] | None, Segment]:
    """What runs calls of kernels: proven, and compiled."""
    if not isinstance(segment, list) or not kernels:
        return None, segment
    made = [r.view.name for step in segment for r in step.results]
    read = {v.name for step in binding.steps if isinstance(step, Step) and step not in segment
            for _, v in step.operands if isinstance(v, View)}  # fmt: skip
    read |= {name for step in binding.steps if isinstance(step, Library) for name, _ in step.operands}
    read |= {name for name, _ in binding.results}
    wanted = [name for name in made if name in read]
    inner = {name: paired(kind) for name, kind in types.items()}
    nodes, program = program_of(binding.name, segment, kernels, inner, wanted)
    names = {node: name for name, node in nodes.items()}
    inputs = [names[node] for node in program.graph.inputs]
    compiled = [compile_kernel(call.kernel, host()) for call in program.calls]
    plan = arrange(make_plan(program, [code for _, code in compiled], [how for how, _ in compiled]))

    def native(held: dict[str, Array]) -> None:
        given = [_seen(held[name], inner[name]) for name in inputs]
        found = Executable(plan)(given)
        held.update({n: _seen(x, types[n]).reshape(-1) for n, x in zip(wanted, found, strict=True)})

    def interpreted(held: dict[str, Array]) -> None:
        for step, call in zip(segment, program.calls, strict=True):
            _interpret(step, call, held, inner, moved)

    return (interpreted if interpret else native), segment


def _interpret(
    step: Step,
    call: Call,
    held: dict[str, Array],
    types: Mapping[str, TensorType],
    moved: np.random.Generator | None,
) -> None:
    """One call, whose accesses are proven, by NumPy."""
    views = {name: v for name, v in step.operands if isinstance(v, View)}
    params = {p.name: p for p in call.kernel.params if isinstance(p, Param)}
    given = {name: _strided(p, call, _seen(held[views[name].name], types[views[name].name]))
             for name, p in params.items()}  # fmt: skip
    found = interpret_kernel(call.kernel, given, call.scalars, call.symbols, moved=moved)
    for output, result in zip(call.kernel.outputs, step.results, strict=True):
        memory = np.zeros(types[result.view.name].shape, output.dtype.np)
        _strided(output, call, memory)[...] = found[output.name]
        held[result.view.name] = _seen(memory, result.type).reshape(-1)


def _strided(param: Param, call: Call, memory: Array) -> Array:
    """The memory of a parameter as the kernel sees it."""
    operand = call.arrays[param.name]
    shape = shape_of(param, call.symbols)
    if 0 in shape:
        return np.zeros(shape, memory.dtype)
    steps = [s * memory.dtype.itemsize for s in operand.strides]
    return np.lib.stride_tricks.as_strided(memory.reshape(-1)[operand.offset :], shape, steps)


def _loops(step: Step, funcs: Mapping[str, Func], held: Mapping[str, Array]) -> None:
    """One launch: the blocks of the loops, then what comes after all of them."""
    memory, numbers = {}, {}
    slots = {s.name: s for s in funcs[step.callee].slots}
    for name, value in step.operands:
        if isinstance(value, View):
            dtype = slots[name].dtype.np
            array = held[value.name]
            memory[name] = (array if array.dtype == dtype else array.view(dtype)), value.offset
        else:
            numbers[name] = value.value
    assert step.over is not None
    interpret_func(funcs[step.callee], memory, numbers, 0, step.over)
    last = funcs.get(f"{step.callee}.finish")
    if last is not None:
        needed = {s.name for s in last.slots}
        interpret_func(
            last, {n: a for n, a in memory.items() if n in needed},
            {n: v for n, v in numbers.items() if n in needed}, 0, step.over,
        )  # fmt: skip


def _seen(array: Array, kind: TensorType) -> Array:
    """Row-major memory under another type of as many bytes."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return (flat if flat.dtype == kind.dtype.np else flat.view(kind.dtype.np)).reshape(kind.shape)


# --- loops by themselves -------------------------------------------------------------------------


def run_func(func: Func, arrays: Mapping[str, Array], numbers: Mapping[str, Any]) -> dict[str, Array]:
    """What is in the arrays that loops store to, after a run over blocks `begin` to `end` (0 to 1)."""
    memory = {name: np.array(array).reshape(-1) for name, array in arrays.items()}
    slots = {s.name for s in func.slots}
    given = {name: value for name, value in numbers.items() if name in slots}
    interpret_func(func, memory, given, int(numbers.get("begin", 0)), int(numbers.get("end", 1)))
    written = _written(func.body, {name: {name} for name in arrays})
    return {name: memory[name].reshape(arrays[name].shape) for name in arrays if name in written}


def _written(body: tuple[Stmt, ...], named: dict[str, set[str]]) -> set[str]:
    """The arrays that statements store to. `named`: which arrays a name may stand for."""
    found: set[str] = set()
    for stmt in body:
        if isinstance(stmt, Window):
            named[stmt.name] = named.get(stmt.array, set()) | named.get(stmt.other, set())
        elif isinstance(stmt, Store):
            found |= named.get(stmt.array, set())
        elif isinstance(stmt, For):
            found |= _written(stmt.body, named)
    return found
