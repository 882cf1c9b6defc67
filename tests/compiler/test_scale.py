"""What the passes do grows with the number of nodes, and no faster: counts, for times depend on machines."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops, pipeline
from lucid.compiler.cpu import schedule
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir import size
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.kernel import Call, Expr, arrays, operands, walk
from lucid.compiler.ir.types import f32
from lucid.compiler.ops.joined import joined
from lucid.compiler.passes import draft, fuse, rewrite, shorten, template
from lucid.compiler.passes.autodiff import gradients
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

ROWS, COLUMNS = 6, 20
Outputs = tuple[Node, ...]


def _input(name: str = "x", *shape: int) -> Node:
    return ops.INPUT(name=name, dtype=f32, shape=shape or (ROWS, COLUMNS))


def _sum(x: Node, *axes: int) -> Node:
    """Over `axes`, as large as `x` again."""
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    total = ops.RESHAPE(ops.SUM(x, axes=axes), shape=kept)
    return ops.BROADCAST(total, shape=x.shape)


def _const(value: float, like: Node) -> Node:
    return ops.fill(ops.CONST(value=value, dtype=f32), like.shape)


def chain(count: int) -> Graph:
    x = y = _input()
    for k in range(count):
        y = ops.MUL(y, _const(0.99, y)) if k % 2 else ops.ADD(y, _const(0.25, y))
    return Graph("chain", (x,), (y,))


def means(count: int) -> Graph:
    x = y = _input()
    for _ in range(count):
        y = ops.SUB(y, ops.MUL(_sum(y, 0, 1), _const(1 / (ROWS * COLUMNS), y)))
    return Graph("means", (x,), (y,))


def row_means(count: int) -> Graph:
    x = y = _input()
    for _ in range(count):
        y = ops.SUB(y, ops.MUL(_sum(y, 1), _const(1 / COLUMNS, y)))
    return Graph("row_means", (x,), (y,))


def softmaxes(count: int) -> Graph:
    x = y = _input()
    for _ in range(count):
        top = ops.RESHAPE(ops.AMAX(y, axes=(1,)), shape=(ROWS, 1))
        e = ops.EXP(ops.SUB(y, ops.BROADCAST(top, shape=y.shape)))
        y = ops.DIV(e, _sum(e, 1))
    return Graph("softmaxes", (x,), (y,))


def pairs(count: int) -> Graph:
    """Two values that need each other at every step: no place where one is alive."""
    inputs = a, b = _input("a"), _input("b")
    for _ in range(count):
        a, b = b, ops.SUB(ops.MUL(a, b), _const(0.25, a))
    return Graph("pairs", inputs, (ops.ADD(a, b),))


def many_sums(count: int) -> Graph:
    """A loss of many parameters."""
    inputs = [_input(f"x{k}", 8, k + 2) for k in range(count)]
    total = ops.SUM(inputs[0], axes=(0, 1))
    for x in inputs[1:]:
        total = ops.ADD(total, ops.SUM(ops.MUL(x, x), axes=(0, 1)))
    return Graph("many_sums", tuple(inputs), (total,))


def equal_parameters(count: int) -> Graph:
    """One array that all share, and three of each: a step of an optimiser."""
    g, inputs, outputs = _input("g"), [], []
    for k in range(count):
        p, m, v = (_input(f"{name}{k}") for name in "pmv")
        inputs += [p, m, v]
        m = ops.ADD(ops.MUL(m, _const(0.9, m)), ops.MUL(g, _const(0.1, g)))
        v = ops.ADD(ops.MUL(v, _const(0.99, v)), ops.MUL(ops.MUL(g, g), _const(0.01, g)))
        p = ops.SUB(p, ops.DIV(m, ops.ADD(ops.SQRT(ops.ABS(v)), _const(1e-3, v))))
        outputs += [p, m, v]
    return Graph("equal_parameters", (g, *inputs), tuple(outputs))


def layers(count: int) -> Graph:
    x = y = _input("x", ROWS, 16)
    weights = [_input(f"w{k}", 16, 16) for k in range(count)]
    for w in weights:
        product = ops.CONTRACT(y, w, spec="ij,jk->ik")
        y = ops.MAX(product, _const(0.0, product))
    return Graph("layers", (x, *weights), (y,))


def steps(count: int) -> Graph:
    """A recurrent network and its gradients, to which every step adds: all read the same weights."""
    a, b, h = inputs = [_input("a", 8, 16), _input("b", 16, 16), _input("h", ROWS, 16)]
    for k in range(count):
        x = _input(f"x{k}", ROWS, 8)
        inputs.append(x)
        h = ops.TANH(ops.ADD(ops.CONTRACT(x, a, spec="ij,jk->ik"), ops.CONTRACT(h, b, spec="ij,jk->ik")))
    loss = ops.SUM(ops.MUL(h, h), axes=(0, 1))
    found = gradients(loss, ops.const(1, loss), (a, b))
    return Graph("steps", tuple(inputs), (loss, *(g for g in found if g is not None)))


def side_by_side(count: int) -> Graph:
    """Arrays put side by side, and their gradients: parts of what is computed of all."""
    inputs = [_input(f"x{k}", 8) for k in range(count)]
    whole = joined([(8 * k, ops.MUL(x, _const(2.0, x))) for k, x in enumerate(inputs)], 0, 8 * count)
    loss = ops.SUM(ops.MUL(whole, whole), axes=(0,))
    found = gradients(loss, ops.const(1, loss), inputs)
    return Graph("side_by_side", tuple(inputs), tuple(g for g in found if g is not None))


def counted(count: int) -> Graph:
    """Three arrays, whose steps depend on how many there were: each kernel would count from the beginning."""
    inputs = t, *arrays = [_input(name, 9, 9) for name in ("t", "a", "b", "c")]
    t = ops.SUM(t, axes=(0, 1))
    for _ in range(count):
        t = ops.ADD(t, ops.CONST(value=1.0, dtype=f32))
        rate = ops.EXP(ops.NEG(t))
        for k, x in enumerate(arrays):
            arrays[k] = ops.MUL(ops.fill(rate, x.shape), ops.CONTRACT(x, x, spec="ij,jk->ik"))
    return Graph("counted", tuple(inputs), tuple(arrays))


def _rows(x: Node) -> list[Node]:
    return [ops.narrow(x, 0, k, 1) for k in range(x.shape[0])]


def slices(count: int) -> Graph:
    """Rows of one array, each of which begins elsewhere."""
    x = _input("x", count, 50)
    total, *rows = _rows(x)
    for row in rows:
        total = ops.ADD(total, row)
    return Graph("slices", (x,), (total,))


# With a size from which on all of them are cut.
GRAPHS: tuple[tuple[Callable[[int], Graph], int], ...] = (
    (chain, 512), (means, 64), (row_means, 64), (softmaxes, 64), (pairs, 128), (many_sums, 64),
    (equal_parameters, 64), (layers, 64), (steps, 32), (counted, 64),
    (side_by_side, 64),
)  # fmt: skip


class _Counts:
    """Of one compile: nodes visited by a round of fusion (of ROUNDS at most), questions whether a root may
    join, drafts that were told what now runs before them, sizes that were compared and what a template has to
    look at before it serves others, kernels, their texts."""

    def __init__(self, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rules = self.told = self.compared = self.facts = 0
        made: list[Any] = []
        apply = rewrite._apply

        def counted(*args: Any) -> Any:
            self.rules += 1
            return apply(*args)

        cluster = fuse._Fuser.cluster
        visited: list[int] = []

        def watched(self: Any, roots: list[Node]) -> None:
            cluster(self, roots)
            visited.append(self.reader.visited)
            made.append(self)

        following = fuse._Fuser._following

        def told(*args: Any) -> Any:
            for one in following(*args):
                self.told += 1
                yield one

        with monkeypatch.context() as patch:
            patch.setattr(rewrite, "_apply", counted)
            patch.setattr(fuse._Fuser, "cluster", watched)
            patch.setattr(fuse._Fuser, "_following", told)
            equal, generalised = size.Facts.equal, template.generalised

            def compared(*args: Any) -> bool:
                self.compared += 1
                return equal(*args)

            def noted(*args: Any) -> Any:
                found = generalised(*args)
                self.facts = len(found.others()[0].bounds)
                return found

            patch.setattr(size.Facts, "equal", compared)
            patch.setattr(pipeline, "generalised", noted)
            self.compiled = compile_graph(graph, host())
        self.visited, self.asked = max(visited), made[-1].asked
        self.calls = self.compiled.stages.program.calls
        self.texts = len({code.key for code in self.compiled.codes})


@pytest.mark.parametrize(("make", "count"), GRAPHS)
def test_compiling_twice_as_much_takes_more_than_twice_the_steps(
    make: Callable[[int], Graph], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands beside the products of the proportion is for the ends of a chain."""
    monkeypatch.delenv("LUCID_VERIFY", raising=False)  # it runs the passes once more
    less, more = (_Counts(make(n), monkeypatch) for n in (count, 2 * count))
    assert more.rules <= 2.1 * less.rules
    assert more.visited <= 2.2 * less.visited
    assert more.asked <= 2.2 * less.asked + 20
    assert more.told <= 2.2 * less.told + 20
    assert more.compared <= 2.5 * less.compared
    assert more.facts <= 2.2 * less.facts + 20
    assert len(more.calls) <= 2.1 * len(less.calls) + 4
    # LLVM sees a bounded number of kernels of bounded length, however many the program repeats.
    assert more.texts <= 16
    for call in more.calls:
        assert len(arrays(call.kernel)) <= 2 * draft.ARRAYS
        body = [s for stage in call.kernel.stages + call.kernel.final for s in stage.body]
        parts = [e for stmt in body for operand in operands(stmt) for e in walk(operand)]
        assert sum(isinstance(e, Call) for e in parts) <= 2 * draft.LENGTH


def test_rows_that_begin_elsewhere_are_told_apart_by_one_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair of them was compared, and noted: half a million facts of 1,000 rows."""
    monkeypatch.delenv("LUCID_VERIFY", raising=False)
    less, more = (_Counts(slices(n), monkeypatch) for n in (40, 80))
    assert len(less.calls) == len(more.calls) == 1
    assert more.compared <= 2.2 * less.compared
    assert more.facts <= 2.2 * less.facts


def test_kernels_of_other_rows_are_not_asked_to_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 64 latest that read the same array were, about each row: half of the time of their passes."""
    monkeypatch.delenv("LUCID_VERIFY", raising=False)
    x = _input("x", 40, 50)
    found = _Counts(Graph("apart", (x,), tuple([ops.TANH(row) for row in _rows(x)])), monkeypatch)
    assert len(found.calls) == 40
    assert found.asked == 0
    twice = tuple([op(row) for row in _rows(x) for op in (ops.TANH, ops.SIN)])
    found = _Counts(Graph("pairs", (x,), twice), monkeypatch)
    assert len(found.calls) == 40
    assert found.asked == 40


@pytest.mark.parametrize("make", [make for make, _ in GRAPHS])
def test_what_is_cut_computes_the_same(make: Callable[[int], Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits so small that everything is cut, and with kernels as they are."""
    graph = make(12)
    rng = np.random.default_rng(0)
    values = [rng.uniform(0.5, 1.5, n.shape).astype("f4") for n in graph.inputs]
    wanted = interpret_graph(graph, values)
    monkeypatch.setattr(pipeline, "_TEMPLATES", OrderedDict())
    for length, count in ((10, 4), (30, 6), (draft.LENGTH, draft.ARRAYS)):
        for module in (fuse, shorten):
            monkeypatch.setattr(module, "LENGTH", length)
            monkeypatch.setattr(module, "ARRAYS", count)
        program = fuse.fuse(simplify(graph))
        assert len(program.calls) >= (2 if length == 10 else 1)
        pipeline._TEMPLATES.clear()
        made = compile_graph(graph, host())
        for result, expected in zip(Executable(made.plan)(values), wanted, strict=True):
            np.testing.assert_allclose(result, np.asarray(expected), rtol=2e-4, atol=1e-5)


def test_what_huge_arguments_need_is_compiled_once() -> None:
    """It stood in each loop of a kernel, as often as there are sines: 564 lines of LLVM for each."""

    def text(count: int) -> str:
        x = y = _input("x", 1000)
        for _ in range(count):
            y = ops.SIN(y)
        (code,) = compile_graph(Graph("sines", (x,), (y,)), host()).codes
        return code.llvm

    one, four = text(1), text(4)
    assert one.count("\ndefine private ") == four.count("\ndefine private ") == 1
    assert four.count("\n") - one.count("\n") <= 3 * 150


@pytest.mark.parametrize("depth", [20, 40])
def test_each_expression_is_numbered_once(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the numbers of all that a stage computes walks none of it again."""
    text = "x[i, j]"
    for _ in range(depth):
        text = f"exp({text} * 0.5)"
    stages = f"stage j in n\n  r = max({text})\nstage j in n\n  o[i, j] = {text} - r"
    kernel = parse_kernel(f"kernel k(x: f32[m, n]) -> (o: f32[m, n])\nfor i in m\n{stages}")
    asked: list[Expr] = []
    number = schedule.Numbers.__call__

    def counted(self: schedule.Numbers, expr: Expr) -> int:
        asked.append(expr)
        return number(self, expr)

    monkeypatch.setattr(schedule.Numbers, "__call__", counted)
    assert len(schedule.row_caches(kernel)) == 1
    assert len(asked) <= 20 * depth
