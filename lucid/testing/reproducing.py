"""What scripts of `lucid repro` call: a compiled call, as text, beside what NumPy computes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid.compiler import check
from lucid.compiler.ir.binding import Whole
from lucid.compiler.ir.graph import toposort
from lucid.compiler.passes.pairs import pairs

from ..errors import public
from ..programs import beside
from ..texts import GraphText, Value, apply, named_inputs, parse
from .bits import bits_apart
from .blame import first_op, within
from .bounds import Array, Running, distance, running
from .checking import parts, summary

GRAPH, KERNELS = "GRAPH", "KERNELS"
ORDERS = 8  # of sums, that are drawn where a kernel's results are far from the interpreter's
SHOWN = 20  # results that are told


@public
def reproduce(graph: str, kernels: str, inputs: Mapping[str, Any]) -> int:
    """Run `kernels`, the text of a compiled function, on `inputs`, and print what differs: results from
    NumPy's for `graph`, the text that it was compiled from, and each kernel from the interpreter for the same
    operands. An exit code, 1 where something differs by more than the rounding that any order may bring.
    ValueError for texts that are malformed or illegal, and inputs that do not fit them."""
    found = parse(graph, GRAPH)
    if not isinstance(found, GraphText):
        raise ValueError("reproduce: expected the text of a graph first, then that of its kernels")
    hosted = any(node.op.kind == "host" for node in toposort(found.graph.outputs))
    numbers = found.graph if hosted else pairs(found.graph)
    given = [np.asarray(inputs[name]) for name in found.inputs]
    if numbers is not found.graph:
        given = list(map(parts, given))
    known = running(numbers, _typed(numbers.inputs, given))
    lines = dict(re.findall(r"^ *%(\S+?): .*# (.*)$", graph, re.MULTILINE))
    labels = [f"%{name}" + (f" ({lines[name]})" if name in lines else "") for name in found.outputs]
    want = dict(zip(labels, (known[node] for node in numbers.outputs), strict=True))
    whole = parse(kernels, KERNELS)
    if isinstance(whole, GraphText) or whole.binding is None:
        raise ValueError("reproduce: expected the text of kernels, and what binds them, behind the graph's")
    native = apply(kernels, KERNELS, inputs)
    results, count = f"{len(want)} result{'s' * (len(want) != 1)}", len(whole.kernels)
    print(f"{found.graph.name}: {results} of {count} kernel{'s' * (count != 1)}")
    wrong, right = _beside(native, want)
    for line in (wrong + right)[:SHOWN]:
        print(f"  beside NumPy: {line}")
    if (more := len(want) - SHOWN) > 0:
        print(f"  beside NumPy: {more} more, {max(0, len(wrong) - SHOWN)} of which differ")
    different = _different(whole, named_inputs(whole, inputs))
    if wrong:
        if not _beside(apply(graph, GRAPH, inputs), want)[0]:
            print("  the graph, compiled by this lucid, gives what NumPy does: only these kernels differ")
        elif (first := first_op(numbers, known)) is not None:
            print(f"  first op to differ: {first}")
    total = len(wrong) + different
    print(f"{total} of these differ" if total else "nothing differs")
    return int(total > 0)


def _different(whole: Whole, inputs: Mapping[str, Array]) -> int:
    """Prints which kernels give something else than the interpreter, for the same operands; how many."""
    wrong = 0
    for kernel, native, run in beside(whole, inputs):
        interpreted, native = _real(run(None)), _real(native)
        different = []
        for name, array in native.items():
            try:
                check.compare(name, interpreted[name], array, check._kernel_rounding(kernel))
            except check.MiscompileError:
                different.append(name)
        if not different:
            continue
        moved = [_real(run(np.random.default_rng(seed))) for seed in range(ORDERS)]
        for name in different:
            if not _an_order(native[name], interpreted[name], [m[name] for m in moved]):
                wrong += 1
                said = bits_apart(native[name], interpreted[name])
                print(f"  beside the interpreter: kernel {kernel.name}, %{name}: {said}")
    if not wrong:
        print("  beside the interpreter, for the same operands: no kernel differs beyond rounding")
    return wrong


def _real(found: Mapping[str, Array]) -> dict[str, Array]:
    """Complex numbers as pairs, which kernels compute."""
    return {name: parts(array) for name, array in found.items()}


def _an_order(native: Array, own: Array, moved: list[Array]) -> bool:
    """Whether another order of sums may be all that tells them apart: what is made of a sum that is nothing
    but rounding is far off where it is divided by another such."""
    if native.dtype.kind in "biu":
        return False
    with np.errstate(all="ignore"):
        base = own.astype(np.float64)
        away = np.abs([m.astype(np.float64) - base for m in moved]).max(axis=0)
        near = np.abs(native.astype(np.float64) - base) <= 2 * away + 4 * np.spacing(np.abs(own))
    return bool(np.all(near | (native == own) | (np.isnan(native) & np.isnan(own))))


def _typed(nodes: Any, given: list[Array]) -> list[Array]:
    """The inputs in the dtypes of the graph: files know no bfloat16."""
    return [
        array.view(node.type.dtype.np) if array.dtype.kind == "V" and node.type.dtype.package else array
        for node, array in zip(nodes, given, strict=True)
    ]


def _beside(results: Mapping[str, Value], want: Mapping[str, Running]) -> tuple[list[str], list[str]]:
    """Results in words: those that are not what they may be, and the others."""
    wrong, right = list[str](), list[str]()
    for name, (array, value) in _zipped(results, want).items():
        if within(array, value):
            right.append(f"{summary(name, array, array, value)}")
            continue
        away = distance(array, value.own if value.same else value.exact)
        beyond = ~(away <= (0 if value.same else value.error))
        at = tuple(int(k) for k in np.argwhere(beyond)[0]) if beyond.any() else ()
        wrong.append(
            f"{name}: {array.dtype.name}{[*array.shape]} differs in {int(beyond.sum()):,} of "
            f"{array.size:,} elements, the first at {[*at]}: {array[at]}, NumPy {value.own[at]}"
        )
    return wrong, right


def _zipped(results: Mapping[str, Value], want: Mapping[str, Running]) -> dict[str, tuple[Array, Running]]:
    """Results in the order of the graph; complex numbers as pairs."""
    arrays = map(np.asarray, results.values())
    return {name: (parts(array), value) for (name, value), array in zip(want.items(), arrays, strict=True)}
