"""A long row of values is sorted in two kernels, so that all threads have a share: first of its runs, each by
itself, then of the parts of the result, for each of which all runs are merged.

    o0[i0] = sort i0 values (a0[i0])       o0[i0] = sort i0 values (a0[i0]) runs n1
                                           o1[i0] = sort i0 values (o0[i0]) merges n1
"""

from __future__ import annotations

from math import prod

from ..cpu.schedule import MERGED
from ..ir import kernel as k
from ..ir.data import replace
from ..ir.graph import Node
from ..ir.program import Apart, Call, Operand, Program, row_major

# Elements from which on several threads are better than one, and parts that they have then, at least.
LONG = 1 << 15
SHARES = 4
# Rows of which each thread has some of its own: 64 of 50,000 take 0.65 of the time so, but columns 1.1.
ROWS = 16
# Bytes of the keys of a run: a second cache has these and what they are merged into. Of 10 million float32
# runs half as long take 0.93 of the time to sort, and 1.3 times as long to merge.
RUN_BYTES = 1 << 20
REASON = "the row is long: its runs are sorted and then merged, so that all threads share it"


def in_runs(program: Program) -> Program:
    return replace(program, calls=tuple(part for call in program.calls for part in _parts(call)))


def _parts(call: Call) -> tuple[Call, ...]:
    kernel, statement = call.kernel, k.alone(call.kernel)
    if not isinstance(statement, k.Sort) or not statement.values:
        return (call,)
    (output,), (stage,) = kernel.outputs, kernel.stages
    count = call.extent(stage.axes[0].extent)
    if output.dtype.size < 4 or count <= LONG:
        return (call,)
    along = output.unit and statement.index[-1].axis == statement.over
    short = along and count * output.dtype.size <= RUN_BYTES
    if short and prod(call.extent(axis.extent) for axis in kernel.outer) >= ROWS:
        return (call,)
    most, run = SHARES * RUN_BYTES // output.dtype.size, _unused(kernel)
    shares = SHARES * (-(-count // most)) if count <= MERGED // SHARES * most else MERGED
    length = -(-count // shares)
    held = call.arrays[output.name]
    between = Node(held.node.op, held.node.inputs, held.node.attrs, held.node.loc)
    dims = sorted(zip(statement.index, output.dims, strict=True), key=lambda d: d[0].axis == statement.over)
    index = tuple(ix for ix, _ in dims)  # rows lie along memory there
    runs = k.Array(f"{output.name}_runs", output.dtype, tuple(n for _, n in dims))
    strides = row_major(call.shape(runs))
    first = k.Kernel(
        f"{kernel.name}_runs",
        kernel.params,
        (runs,),
        kernel.outer,
        (k.Stage(stage.axes, (*stage.body[:-1], replace(statement, array=runs.name, index=index, run=run))),),
    )
    merge = replace(statement, expr=k.Load(runs.name, index, output.dtype), run=run, merges=True)
    then = k.Kernel(
        f"{kernel.name}_merge", (runs,), (output,), kernel.outer, (k.Stage(stage.axes, (merge,)),)
    )
    symbols = {**call.symbols, run: length}
    given = {name: operand for name, operand in call.arrays.items() if name != output.name}
    made = {runs.name: Operand(between, 0, strides)}
    needed = {name: symbols[name] for name in k.symbols(then)}
    return (
        replace(call, kernel=first, arrays=given | made, symbols=symbols),
        Call(then, {**made, output.name: held}, needed, {}, (REASON,), (Apart(between, REASON, ""),)),
    )


def _unused(kernel: k.Kernel) -> str:
    """A name that none of its symbols has."""
    known = k.symbols(kernel)
    return next(name for n in range(len(known) + 1) if (name := f"n{n}") not in known)
