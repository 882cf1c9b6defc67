"""docs/ir.md: every example is parsed, verified, interpreted and, of graphs and kernels, run natively; its
values are those that stand below it; and all constructs of the three levels are among them."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir import loop
from lucid.compiler.ir.types import DType, f32
from lucid.compiler.ops import REGISTRY
from lucid.compiler.ops.folds import FOLDS
from lucid.compiler.text.graph import print_graph, read_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.text.program import parse_whole, print_whole
from lucid.compiler.verify.loop import verify_func
from lucid.texts import apply

DOCUMENT = (Path(__file__).parents[1] / "docs" / "ir.md").read_text(encoding="utf-8")
_EXAMPLE = r"^```(graph|kernel|program|loop)\n(.*?)^```\n```values\n(.*?)^```$"
EXAMPLES = re.findall(_EXAMPLE, DOCUMENT, re.DOTALL | re.MULTILINE)
NAMES = [re.sub(r"\W.*", "", text.split()[1]) for _, text, _ in EXAMPLES]
Array = np.ndarray[Any, Any]


def texts(level: str) -> list[str]:
    return [text for found, text, _ in EXAMPLES if found == level]


def values(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is given, and what comes out."""
    given: dict[str, Any] = {}
    results: dict[str, Any] = {}
    for line in text.splitlines():
        name, _, value = line.removeprefix("-> ").partition(" = ")
        number, of, shape = value.partition(" of ")
        found = np.full(json.loads(shape), json.loads(number)) if of else json.loads(value)
        (results if line.startswith("-> ") else given)[name] = found
    return given, results


def as_array(value: Any, dtype: DType) -> Array:
    if dtype.is_complex:
        return np.asarray(value, dtype.part.np).view(dtype.np)[..., 0]
    return np.asarray(value, dtype.np)


def compare(found: Mapping[str, Array], results: Mapping[str, Any], dtypes: Mapping[str, DType]) -> None:
    assert found.keys() == results.keys()
    for name, value in results.items():
        np.testing.assert_allclose(found[name], as_array(value, dtypes[name]), rtol=1e-6, err_msg=name)


def test_each_example_has_values() -> None:
    assert len(EXAMPLES) == len(re.findall(r"^```(?:graph|kernel|program|loop)$", DOCUMENT, re.MULTILINE))
    assert len(EXAMPLES) > 20
    for _, _, below in EXAMPLES:
        assert values(below)[1]


@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=NAMES)
def test_examples(number: int) -> None:
    level, text, below = EXAMPLES[number]
    given, results = values(below)
    if level == "graph":
        graph, names = read_graph(text)
        assert print_graph(graph) == text
        kinds = {name: node.type.dtype for name, node in names.items()}
    elif level == "kernel":
        kernel = parse_kernel(text)
        assert print_kernel(kernel) == text
        assert parse_kernel(print_kernel(kernel)) == kernel
        kinds = {p.name: p.dtype for p in (*kernel.params, *kernel.outputs)}
    elif level == "program":
        whole = parse_whole(text)
        assert print_whole(whole) == text
        assert parse_whole(print_whole(whole)) == whole
        assert whole.binding is not None
        kinds = {i.name: i.type.dtype for i in whole.binding.inputs}
        kinds |= {name: kind.dtype for name, kind in whole.binding.results}
    else:
        run_loops(text, given, results)
        return
    held = {name: as_array(v, kinds[name]) if name in kinds else v for name, v in given.items()}
    for interpret in (True, False):
        compare(apply(text, "ir.md", held, interpret), results, kinds)


def run_loops(text: str, given: dict[str, Any], results: dict[str, Any]) -> None:
    func = parse_func(text)
    assert print_func(func) == text
    assert parse_func(print_func(func)) == func
    verify_func(func)
    kinds = {slot.name: slot.dtype for slot in func.slots}
    arrays = {s.name: as_array(given[s.name], s.dtype).copy() for s in func.slots if s.kind == "array"}
    numbers = {s.name: given[s.name] for s in func.slots if s.kind != "array"}
    interpret_func(func, arrays, numbers, given.get("begin", 0), given.get("end", 1))
    compare({name: arrays[name] for name in results}, results, kinds)


# --- all constructs ------------------------------------------------------------------------------


def statements(body: tuple[loop.Stmt, ...]) -> Iterator[loop.Stmt]:
    for stmt in body:
        yield stmt
        if isinstance(stmt, loop.For):
            yield from statements(stmt.body)


def test_all_constructs_of_kernels() -> None:
    kernels = [parse_kernel(text) for text in texts("kernel")]
    stages = [stage for x in kernels for stage in (*x.stages, *x.final)]
    stmts = [s for stage in stages for s in stage.body]
    exprs = [e for stage in stages for e in k.expressions(stage)]
    assert {type(s) for s in stmts} == set(get_args(k.Stmt))
    assert {type(e) for e in exprs} == set(get_args(k.Expr))
    assert {s.scope for s in stmts if isinstance(s, k.Reduce)} == {"row", "all"}
    assert any(s.keep for s in stmts if isinstance(s, k.Reduce))
    assert any(e.guards for e in exprs if isinstance(e, k.Load))
    params = [p for x in kernels for p in x.params]
    assert {type(p) for p in params} == {k.Array, k.Scalar}
    strides = {(p.unit, p.step) for p in params if isinstance(p, k.Array)}
    assert {(True, 0), (False, 0), (False, 2), (False, -1)} <= strides
    assert any(a.long for stage in stages for a in stage.axes)
    for fold in FOLDS:
        assert re.search(rf"\b{fold}\b", DOCUMENT)


def test_all_constructs_of_loops() -> None:
    found = [s for text in texts("loop") for s in statements(parse_func(text).body)]
    assert {type(s) for s in found} == set(get_args(loop.Stmt))
    assert {s.kind for s in found if isinstance(s, loop.For)} == {"parallel", "serial", "vector"}
    memory = [s for s in found if isinstance(s, loop.Load | loop.Store)]
    assert any(s.stride for s in memory)
    assert any(s.mask for s in memory)
    assert any(s.index.lanes > 1 for s in memory)
    assert any(s.stream for s in memory if isinstance(s, loop.Store))
    assert any(s.choice for s in found if isinstance(s, loop.Window))


def test_all_kinds_of_ops_and_of_attributes() -> None:
    nodes = [n for text in texts("graph") for n in read_graph(text)[1].values()]
    assert {n.op.kind for n in nodes} == {op.kind for op in REGISTRY.values()}
    held = {type(v) for n in nodes for v in n.attrs.values()}
    assert {int, float, str, bool, tuple} <= held
    assert f32 in {v for n in nodes for v in n.attrs.values() if isinstance(v, DType)}


def listed(rows: list[tuple[str, list[str]]]) -> str:
    """A table of names, as it stands in the document."""
    width = max(len(head) for head, _ in rows) + 2
    lines = []
    for head, names in rows:
        wrapped = textwrap.wrap(" ".join(names), 100 - width)
        lines += [f"    {head if n == 0 else '':{width}}{line}" for n, line in enumerate(wrapped)]
    return "\n".join(lines) + "\n"


def test_the_tables_of_ops_and_instructions_are_complete() -> None:
    ops: dict[str, list[str]] = {}
    for op in REGISTRY.values():
        ops.setdefault(f"{op.kind} {' '.join(op.attrs)}".strip() + ":", []).append(op.name)
    table = listed(list(ops.items()))
    assert table in DOCUMENT, f"the table of ops in docs/ir.md should be\n{table}"
    instructions: dict[str, list[str]] = {}
    counts = ((name, len(form.operands)) for name, form in loop.INSTRUCTIONS.items())
    for name, count in sorted(counts, key=lambda row: row[1]):
        instructions.setdefault(f"{count} operand{'s' * (count != 1)}:", []).append(name)
    assert listed(list(instructions.items())) in DOCUMENT
