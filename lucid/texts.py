"""IR text in files as something that runs: graphs, kernels and loops, read, verified, and applied to arrays.

The text is untrusted. What is wrong with it is a `TextError` with file, line and column; what is wrong with
the arrays that it is applied to, a ValueError. Each access is proven before machine code runs (`prove.py`);
the interpreter, which runs loops, looks at each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.ir.binding import Whole
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, Node, bind
from lucid.compiler.ir.kernel import Array as Param
from lucid.compiler.ir.kernel import Kernel, sizes, symbols
from lucid.compiler.ir.loop import Func
from lucid.compiler.ir.rounding import Number, convert
from lucid.compiler.ir.types import DType, TensorType, i64
from lucid.compiler.single import lay, lie, single
from lucid.compiler.text.graph import read_graph
from lucid.compiler.text.lexer import Cursor, IRSyntaxError, fit
from lucid.compiler.text.program import parse_whole
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.graph import verify_graph
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from lucid.compiler.whole import refuse_mixed
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

from .engine import evaluate
from .hosted import HOSTED
from .programs import run_func, run_whole

Array = np.ndarray[Any, Any]
Value = Array | Number
T = TypeVar("T")
# Of a text, in bytes: far more than what compilers print.
LONGEST = 64 << 20


class TextError(ValueError):
    """IR text that is malformed or illegal: one line, `file:line:column: what is wrong`."""


@data
class GraphText:
    """A graph, and its inputs and outputs by the names that they have in the text."""

    graph: Graph
    inputs: Mapping[str, Node]
    outputs: tuple[str, ...]


def load_text(file: str) -> str:
    """The text of a file. TextError unless it is UTF-8 and of a sane length, OSError if it is not there."""
    with open(file, "rb") as stream:
        content = stream.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise TextError(f"{file}:1:1: the text is longer than {LONGEST:,} bytes")
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise TextError(f"{file}:{line}:{column}: byte {content[error.start]:#x} is no UTF-8") from None


def parse(text: str, file: str) -> GraphText | Whole:
    """The graph, or the kernels or loops, that `text` describes, verified. Nodes or statements belong to the
    lines of `file`. TextError."""
    begin = re.match(r"(?:\s|#.*)*", text)
    found = re.compile(r"\w+|\S?").match(text, begin.end() if begin else 0)
    if found and found[0] not in (
        "graph",
        "kernel",
        "func",
        "program",
    ):  # not what no lexer of ours could read
        at = found.start()
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        what = f"`{found[0]}`: this is no text of lucid's" if found[0] else "the end of the text"
        expected = "`kernel`, `func`, `program` or `graph`"
        raise TextError(f"{file}:{line}:{column}: expected {expected}, found {what}")

    def work() -> GraphText | Whole:
        head = Cursor(text)
        head.skip_lines()
        if not head.at("graph"):
            whole = parse_whole(text, file)
            for kernel in whole.kernels:
                verify_kernel(kernel)
            for func in whole.funcs:
                verify_func(func)
            return whole
        graph, names = read_graph(text, file, HOSTED)
        verify_graph(graph, HOSTED)
        told = {node: name for name, node in names.items()}
        return GraphText(graph, {told[n]: n for n in graph.inputs}, tuple(told[n] for n in graph.outputs))

    return placed(text, file, work)


def placed(text: str, file: str, work: Callable[[], T]) -> T:
    """What `work` makes of the text; its errors about that with file, line and column."""
    try:
        return work()
    except IRSyntaxError as error:
        raise TextError(f"{file}:{error.line}:{error.column}: {error.message}") from None
    except VerifyError as error:
        head = Cursor(text)
        head.skip_lines()
        known = error.loc is not None and error.loc.file == file
        line = error.loc.line if error.loc is not None and known else head.token.line
        shown = text.split("\n")[line - 1]
        column = len(shown) - len(shown.lstrip()) + 1
        raise TextError(f"{file}:{line}:{column}: {error.message}") from None


def apply(text: str, file: str, given: Mapping[str, Value], interpret: bool = False) -> dict[str, Array]:
    """The results of a text by name, as native code computes them, or the interpreter (loops: always by
    that). `given`: an array or a number for each input, by the name in the text or the one in quotes behind
    it; of a kernel by itself also for each scalar, and each size that no array tells; of loops for each slot.
    TextError; ValueError for what does not fit the text; IndexError for an index outside of its axis."""
    found = parse(text, file)
    if isinstance(found, GraphText):
        return _graph(found, given, interpret)
    return placed(text, file, lambda: _whole(found, given, interpret))


def _whole(whole: Whole, given: Mapping[str, Value], interpret: bool) -> dict[str, Array]:
    refuse_mixed(whole)
    binding = whole.binding
    if binding is None:
        return _func(whole.funcs[0], given) if whole.funcs else _kernel(whole.kernels[0], given, interpret)
    results = run_whole(whole, named_inputs(whole, given), interpret)
    return dict(zip(binding.told, results, strict=True))


def named_inputs(whole: Whole, given: Mapping[str, Value]) -> dict[str, Array]:
    """The inputs of a program, as it has them. ValueError for what does not fit."""
    assert whole.binding is not None
    inputs = whole.binding.inputs
    return _inputs({i.name: i.type for i in inputs}, {i.given: i.name for i in inputs}, given)


def _func(func: Func, given: Mapping[str, Value]) -> dict[str, Array]:
    """Loops by themselves: what is in the arrays that they store to."""
    needed = {s.name: f"{s.dtype}{'[]' * (s.kind == 'array')}" for s in func.slots}
    _same_names(needed, given, ("begin", "end"))
    arrays = {s.name: _array(s.name, given[s.name], s.dtype) for s in func.slots if s.kind == "array"}
    numbers = {s.name: _number(s.name, given[s.name], s.dtype) for s in func.slots if s.kind != "array"}
    numbers |= {n: _number(n, given[n], i64) for n in ("begin", "end") if n in given}
    return run_func(func, arrays, numbers)


def _inputs(
    types: Mapping[str, TensorType], known: Mapping[str, str], given: Mapping[str, Value]
) -> dict[str, Array]:
    """Row-major arrays of these types. `known`: names by what callers call them."""
    given = {n if n in types else known.get(n, n): value for n, value in given.items()}
    _same_names({name: str(kind) for name, kind in types.items()}, given)
    arrays = {}
    for name, kind in types.items():
        array = _array(name, _pairs(given[name], kind), kind.dtype)
        if array.shape != kind.shape:
            raise ValueError(f"input {name}: expected {kind}, got {_told(array)}")
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
    return arrays


def _graph(found: GraphText, given: Mapping[str, Value], interpret: bool) -> dict[str, Array]:
    types = {name: node.type for name, node in found.inputs.items()}
    arrays = _inputs(types, {str(n.attrs["name"]): name for name, n in found.inputs.items()}, given)
    if interpret:
        results = interpret_graph(found.graph, [*arrays.values()])
    else:
        for name, node in found.inputs.items():
            bind(node, arrays[name])
        results = evaluate(found.graph.outputs)
    return dict(zip(found.outputs, results, strict=True))


def _kernel(kernel: Kernel, given: Mapping[str, Value], interpret: bool) -> dict[str, Array]:
    params = {p.name: p for p in kernel.params}
    needed = {name: f"{p.dtype}" for name, p in params.items()}
    _same_names(needed, given, symbols(kernel))
    arrays: dict[str, Array] = {}
    scalars: dict[str, Number] = {}
    for name, param in params.items():
        if isinstance(param, Param):
            arrays[name] = _array(name, given[name], param.dtype)
        else:
            scalars[name] = _number(name, given[name], param.dtype)
    told: dict[str, int] = {}
    for name in set(given) - set(params):
        value = given[name]
        if type(value) is not int:
            raise ValueError(f"input {name}: expected a size (a whole number)")
        told[name] = value
    bound = sizes(kernel, {name: array.shape for name, array in arrays.items()}, told)
    plan = single(kernel, bound, scalars, host())  # proves each access, whoever runs it
    if interpret:
        results = interpret_kernel(kernel, arrays, scalars, bound)
        return {o.name: results[o.name] for o in kernel.outputs}
    laid = [lay(p, arrays[p.name]) for p in kernel.params if isinstance(p, Param)]
    memory = Executable(plan)(laid)
    return {o.name: lie(o, array) for o, array in zip(kernel.outputs, memory, strict=True)}


def _pairs(value: Value, kind: TensorType) -> Value:
    """Complex numbers where pairs of real ones are asked for: the same memory."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "c" and kind.shape == (*value.shape, 2):
        return np.ascontiguousarray(value).view(value.real.dtype).reshape(kind.shape)
    return value


def _number(name: str, value: Value, dtype: DType) -> Number:
    held = _array(name, value, dtype)
    if held.shape:
        raise ValueError(f"input {name}: expected a number, got {_told(held)}")
    return {"f": float, "b": bool}.get(dtype.kind, int)(held)


def _same_names(needed: Mapping[str, str], given: Mapping[str, Value], more: tuple[str, ...] = ()) -> None:
    for name in given:
        if name not in needed and name not in more:
            names = ", ".join((*needed, *more)) or "none"
            raise ValueError(f"there is no input {name}; expected one of: {names}")
    missing = [f"{name}: {kind}" for name, kind in needed.items() if name not in given]
    if missing:
        random = any(name not in given and name.startswith("random.st") for name in needed)
        raise ValueError(
            f"nothing is given for the input{'s' * (len(missing) > 1)} {', '.join(missing)}"
            + "; random.state is the state of the generator of random numbers, [seed, draws so far], and "
            "random.step what a call adds to it" * random
        )


def _array(name: str, value: Value, dtype: DType) -> Array:
    """A value as an array of exactly this dtype, in native byte order."""
    if not isinstance(value, np.ndarray):
        try:
            return convert(np.asarray(fit(value, dtype)), dtype)
        except ValueError as error:
            raise ValueError(f"input {name}: {error}") from None
    if dtype.package and value.dtype == np.dtype(f"V{dtype.size}"):  # .npy files know no bfloat16
        value = value.view(dtype.np)
    if value.dtype.newbyteorder("=") != dtype.np:
        raise ValueError(f"input {name}: expected {dtype}, got {_told(value)}")
    return value.astype(dtype.np, copy=False)


def _told(array: Array) -> str:
    return f"{array.dtype.name}{[*array.shape]}"
