"""Complex numbers in graphs: rules in place of nodes, text, legality, and arrays of pairs in plans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.types import DTYPES, GRAPH_DTYPES, c64, c128, f32, from_numpy
from lucid.compiler.passes.autodiff import gradients
from lucid.compiler.passes.pairs import pairs
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.lexer import IRSyntaxError
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.graph import verify_graph


def z(name: str = "z", shape: tuple[int, ...] = (3,)) -> Node:
    return ops.INPUT(name=name, dtype=c64, shape=shape)


def test_arithmetic_of_complex_nodes_is_real() -> None:
    a, b = z("a"), z("b")
    made = ops.EXP(ops.DIV(ops.MUL(a, b), ops.ADD(a, b)))
    graph = Graph("g", (a, b), (made, ops.ABS(made)))
    verify_graph(graph)
    kinds = {n.op.name: n.type.dtype for n in toposort(graph.outputs) if n.type.dtype.is_complex}
    assert kinds == {"input": c64, "complex": c64}
    assert ops.RE(made) is made.inputs[0]
    assert ops.IM(made) is made.inputs[1]


def test_pairs_are_real_and_mean_the_same() -> None:
    a, x = z("a", (2, 3)), ops.INPUT(name="x", dtype=f32, shape=(2, 3))
    kept = ops.STOP(a)
    product = ops.MUL(ops.CAST(x, dtype=c64), kept)
    graph = Graph("g", (a, x), (product, ops.SUM(product, axes=(0,)), ops.RE(kept), a))
    real = pairs(graph)
    assert all(n.type.dtype in DTYPES.values() for n in toposort(real.outputs))
    assert [n.shape for n in real.outputs] == [(2, 3, 2), (3, 2), (2, 3), (2, 3, 2)]
    assert real.outputs[3] is real.inputs[0]
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3))).astype(np.complex64)
    lengths = rng.standard_normal((2, 3)).astype(np.float32)
    want = interpret_graph(graph, [values, lengths])
    got = interpret_graph(real, [values.view(np.float32).reshape(2, 3, 2), lengths])
    for k in (0, 1, 3):
        np.testing.assert_array_equal(got[k].view(np.complex64)[..., 0], want[k])
    np.testing.assert_array_equal(got[2], want[2])
    np.testing.assert_allclose(want[0], values * lengths, rtol=1e-6)


def test_what_both_parts_have_alike_is_one_formula_of_pairs() -> None:
    """Totals of columns, views, rows at indices, and what is the same for both."""
    a, rows = z("a", (4, 3)), ops.INPUT(name="rows", dtype=DTYPES["i64"], shape=(2,))
    x, n = ops.INPUT(name="x", dtype=f32, shape=(4, 3)), ops.SCALAR(value=4.0, dtype=f32)
    total = ops.SUM(ops.WHERE(ops.LT(x, ops.fill(n, x.shape)), ops.NEG(a), a), axes=(0,))
    made = (
        ops.COMPLEX(*(ops.DIV(part(total), ops.fill(n, (3,))) for part in (ops.RE, ops.IM))),
        ops.RESHAPE(ops.SLICE(a, starts=(1, 0), steps=(2, 1), counts=(2, 2)), shape=(4,)),
        ops.BROADCAST(ops.SUM(a, axes=(0,)), shape=(2, 3)),
        ops.GATHER(a, rows, axes=(0,)),
        ops.SUM(a, axes=(1,)),  # memory would not run along the pairs
    )
    graph = Graph("g", (a, x, rows), made)
    real = pairs(graph)
    parted = [any(n.op is ops.IOTA for n in toposort((output,))) for output in real.outputs]
    assert parted == [False, False, False, False, True]
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3))).astype(np.complex64)
    below, chosen = (8.0 * rng.random((4, 3))).astype(np.float32), np.array([3, -1])
    want = interpret_graph(graph, [values, below, chosen])
    got = interpret_graph(real, [values.view(np.float32).reshape(4, 3, 2), below, chosen])
    for mine, theirs in zip(got, want, strict=True):
        np.testing.assert_array_equal(mine.view(np.complex64)[..., 0], theirs)


def test_parts_at_places_of_their_own_stay_apart() -> None:
    a = z("a", (4,))
    parts = (
        ops.GATHER(part, ops.CAST(part, dtype=DTYPES["i64"]), axes=(0,)) for part in (ops.RE(a), ops.IM(a))
    )
    graph = Graph("g", (a,), (ops.COMPLEX(*parts),))
    values = (np.array([2, 0, 1, 3]) + 1j * np.array([1, 3, 0, 2])).astype(np.complex64)
    (want,) = interpret_graph(graph, [values])
    (got,) = interpret_graph(pairs(graph), [values.view(np.float32).reshape(4, 2)])
    np.testing.assert_array_equal(got.view(np.complex64)[..., 0], want)


def test_a_graph_without_complex_numbers_is_left_alone() -> None:
    x = ops.INPUT(name="x", dtype=f32, shape=(3,))
    graph = Graph("g", (x,), (ops.NEG(x),))
    assert pairs(graph) is graph


def test_text_of_complex_graphs() -> None:
    a, b = z("a"), z("b")
    loss = ops.SUM(ops.ABS(ops.MUL(a, b)), axes=(0,))
    found = gradients(loss, ops.const(1, loss), [a])
    assert found[0] is not None
    graph = Graph("g", (a, b), (found[0], loss))
    text = print_graph(graph)
    assert "graph g(%a: c64[3], %b: c64[3])" in text
    again = parse_graph(text)
    verify_graph(again)
    assert print_graph(again) == text
    short = parse_graph("graph g(%a: c64[3]) -> (%1) {\n  %1: c64[3] = mul %a, %a\n}\n")
    assert short.outputs[0].op is ops.COMPLEX
    with pytest.raises(IRSyntaxError, match="floor: not defined for complex64"):
        parse_graph("graph g(%a: c64[3]) -> (%1) {\n  %1: c64[3] = floor %a\n}\n")


def test_an_op_of_real_numbers_over_complex_ones_is_illegal() -> None:
    a = z()
    node = Node(ops.RESHAPE, (a,), {"shape": (3, 1)})
    with pytest.raises(VerifyError, match="reshape is no op of complex numbers"):
        verify_graph(Graph("g", (a,), (node,)))


def test_what_rules_refuse() -> None:
    a, x = z(), ops.INPUT(name="x", dtype=f32, shape=(3,))
    for op, operands in ((ops.MUL, (a, x)), (ops.ADD, (x, a)), (ops.LT, (a, a)), (ops.RE, (x,))):
        with pytest.raises(TypeError):
            op(*operands)
    with pytest.raises(TypeError, match="loses the imaginary part"):
        ops.CAST(a, dtype=f32)
    with pytest.raises(TypeError, match="the parts are float16"):
        half = ops.CAST(x, dtype=DTYPES["f16"])
        ops.COMPLEX(half, half)
    assert from_numpy("complex128") is c128
    assert set(GRAPH_DTYPES) - set(DTYPES) == {"c64", "c128"}


def test_what_treats_both_parts_alike_runs_along_memory() -> None:
    a, b = z("a", (5, 3)), z("b", (5, 3))
    half = ops.fill(ops.CONST(value=0.5, dtype=f32), (5, 3))
    both = ops.COMPLEX(ops.MUL(ops.RE(b), half), ops.MUL(ops.IM(b), half))
    real = pairs(Graph("g", (a, b), (ops.SUB(ops.NEG(a), both), ops.CAST(ops.ADD(a, b), dtype=c128))))
    used = {n.op.name for n in toposort(real.outputs)}
    assert used == {"input", "const", "broadcast", "neg", "mul", "sub", "add", "cast"}
    crossed = ops.COMPLEX(ops.IM(a), ops.RE(a))
    turned = ops.COMPLEX(ops.RE(a), ops.NEG(ops.IM(a)))
    for other in (crossed, turned, ops.MUL(a, b), ops.COMPLEX(ops.RE(a), ops.IM(b))):
        graph = Graph("g", (a, b), (other,))
        assert "iota" in {n.op.name for n in toposort(pairs(graph).outputs)}
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((2, 5, 3, 2)).astype(np.float32)
        (want,) = interpret_graph(graph, [v.view(np.complex64)[..., 0] for v in (x, y)])
        (got,) = interpret_graph(pairs(graph), [x, y])
        np.testing.assert_array_equal(got.view(np.complex64)[..., 0], want)
    scalar = ops.fill(ops.COMPLEX(*(ops.SCALAR(value=2.0, dtype=f32) for _ in "ab")), (5, 3))
    point, mask = z("p", ()), ops.INPUT(name="m", dtype=DTYPES["b1"], shape=())
    chosen = ops.WHERE(mask, point, ops.NEG(point))
    assert pairs(Graph("g", (point, mask), (chosen,))).outputs[0].shape == (2,)
    for value in (scalar, ops.ADD(a, scalar)):  # a number for each part
        (found,) = pairs(Graph("g", (a,), (value,))).outputs
        assert found.shape == (5, 3, 2)


def test_a_number_of_two_parts_is_no_number_along_memory() -> None:
    """A 0-d complex argument beside a vector: its real part was added to imaginary parts, too."""
    rng = np.random.default_rng(0)

    def numbers(shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.complex64]]:
        return (rng.integers(-4, 5, shape) + 1j * rng.integers(-4, 5, shape)).astype(np.complex64)

    formulas: tuple[Callable[[Node, Node], Node], ...] = (
        lambda a, b: ops.ADD(a, ops.fill(b, a.shape)),
        lambda a, b: ops.SUB(ops.fill(b, a.shape), a),
        lambda a, b: ops.ADD(a, ops.fill(ops.ADD(b, ops.CONST(value=2, dtype=c64)), a.shape)),
        lambda a, b: ops.CAST(ops.ADD(a, ops.fill(b, a.shape)), dtype=c128),
        lambda a, b: ops.fill(b, a.shape),
    )
    for many in ((3,), (1,), (2, 3)):
        for formula in formulas:
            a, b = z("a", many), z("b", ())
            graph = Graph("g", (a, b), (formula(a, b),))
            values = [numbers(many), numbers(())]
            (want,) = interpret_graph(graph, values)
            (got,) = interpret_graph(
                pairs(graph), [v.reshape(*v.shape, 1).view(np.float32).reshape(*v.shape, 2) for v in values]
            )
            np.testing.assert_array_equal(got[..., 0] + 1j * got[..., 1], want)
