"""Products whose rows go on to another product: strip by strip, with the bits of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.ir.artifact import Launch, Plan
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import f32
from lucid.compiler.passes import chain
from lucid.compiler.pipeline import compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host


def node(name: str, *shape: int) -> Node:
    return ops.INPUT(name=name, dtype=f32, shape=shape)


def softmax(x: Node) -> Node:
    def wide(y: Node) -> Node:
        return ops.BROADCAST(ops.RESHAPE(y, shape=(*x.shape[:-1], 1)), shape=x.shape)

    last = (len(x.shape) - 1,)
    e = ops.EXP(ops.SUB(x, wide(ops.AMAX(x, axes=last))))
    return ops.DIV(e, wide(ops.SUM(e, axes=last)))


def attention(batch: tuple[int, ...], rows: int, columns: int, depth: int, kept: bool = False) -> Graph:
    q, k, v = (
        node("q", *batch, rows, depth),
        node("k", *batch, columns, depth),
        node("v", *batch, columns, depth),
    )
    b = "abcdefgh"[: len(batch)]
    weights = softmax(ops.CONTRACT(q, k, spec=f"{b}xz,{b}yz->{b}xy"))
    out = ops.CONTRACT(weights, v, spec=f"{b}xy,{b}yz->{b}xz")
    return Graph("attention", (q, k, v), (out, weights) if kept else (out,))


def perceptron(rows: int, width: int, depth: int) -> Graph:
    x, a, b = node("x", rows, depth), node("a", depth, width), node("b", width, 40)
    hidden = ops.EXP(ops.CONTRACT(x, a, spec="xy,yz->xz"))
    return Graph("perceptron", (x, a, b), (ops.CONTRACT(hidden, b, spec="xy,yz->xz"),))


def plan(graph: Graph, least: int, monkeypatch: pytest.MonkeyPatch, rows: int = 48) -> Plan:
    """Compiled anew: a template that is kept has met another LEAST_BYTES."""
    from lucid.compiler import pipeline

    monkeypatch.setattr(chain, "LEAST_BYTES", least)
    monkeypatch.setattr(chain, "LEAST_ROWS", rows)
    pipeline._TEMPLATES.clear()
    found = compile_graph(graph, host()).plan
    pipeline._TEMPLATES.clear()
    return found


def arrays(graph: Graph) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(x.shape).astype("f4") for x in graph.inputs]


def chained(found: Plan) -> list[Launch]:
    return [launch for launch in found.launches if launch.strip is not None]


@pytest.mark.parametrize(
    "graph",
    [
        attention((), 130, 70, 5),
        attention((2,), 100, 300, 16),
        attention((1,), 500, 100, 3),
        attention((3, 2), 145, 129, 7),
        attention((7,), 12, 513, 4),
        attention((5,), 13, 100, 4),
        attention((2,), 1009, 65, 8),
        perceptron(700, 300, 20),
        perceptron(145, 64, 9),
    ],
    ids=lambda graph: "-".join(str(n) for x in graph.inputs[:2] for n in x.shape),
)
def test_strips_change_no_bit(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, strips = (plan(graph, least, monkeypatch) for least in (1 << 60, 0))
    assert not chained(whole)
    assert len(chained(strips)) == len(strips.launches)
    given = arrays(graph)
    (wanted,) = Executable(whole)(given)
    assert np.isfinite(wanted).all()
    for threads in (1, 2, 3, 8):
        for _ in range(3):
            (found,) = Executable(strips, parallel=0)(given, threads=threads)
            assert found.tobytes() == wanted.tobytes()


def test_scratch_is_a_part_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = attention((8,), 1024, 1024, 16)
    whole, strips = plan(graph, 1 << 60, monkeypatch), plan(graph, 4 << 20, monkeypatch)
    assert whole.temp_bytes == 8 * 1024 * 1024 * 4
    assert strips.temp_bytes < 0.3 * whole.temp_bytes


def test_what_somebody_reads_is_there_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = attention((2,), 100, 300, 16, kept=True)
    found = plan(graph, 0, monkeypatch)
    assert not chained(found)
    out, weights = Executable(found)(arrays(graph))
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(out, weights @ arrays(graph)[2], rtol=1e-3, atol=1e-5)


def test_an_output_over_an_input_is_no_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of q of later strips would be gone."""
    graph = attention((2,), 100, 300, 16)
    monkeypatch.setattr(chain, "LEAST_BYTES", 0)
    found = compile_graph(graph, host(), (0,)).plan
    given = arrays(graph)
    (wanted,) = Executable(found)(given)
    (result,) = Executable(found)(given, out=[given[0]])
    assert result is given[0]
    assert result.tobytes() == wanted.tobytes()


def test_one_template_serves_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid.compiler import pipeline

    monkeypatch.setattr(chain, "LEAST_BYTES", 100_000)
    pipeline._TEMPLATES.clear()
    for rows in (400, 401, 455, 512, 611):
        graph = attention((3,), rows, 220, 9)
        found = compile_graph(graph, host()).plan
        assert len(chained(found)) == 3
        given = arrays(graph)
        q, k, v = (x.astype("f8") for x in given)
        s = q @ k.swapaxes(1, 2)
        e = np.exp(s - s.max(-1, keepdims=True))
        (out,) = Executable(found, parallel=0)(given, threads=2)
        np.testing.assert_allclose(out, e / e.sum(-1, keepdims=True) @ v, rtol=1e-4, atol=1e-5)
    pipeline._TEMPLATES.clear()


def test_a_chain_that_leaves_its_area_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = plan(attention((2,), 100, 300, 16), 0, monkeypatch)
    first, second, third = found.launches
    assert first.strip is not None and first.scratch is not None and second.strip is not None
    bad = [
        (replace(first, scratch=None), second, third),
        (replace(first, scratch=replace(first.scratch, areas=10**6)), second, third),
        (replace(first, scratch=replace(first.scratch, nbytes=64)), second, third),
        (first, replace(second, strip=replace(second.strip, parts=7)), third),
        (first, replace(second, strip=None), third),
        (first, replace(second, strip=replace(second.strip, places=((99, 0, 4),))), third),
        (first, replace(second, strip=replace(second.strip, places=((0, -64, 4),))), third),
    ]
    for launches in bad:
        with pytest.raises(ValueError, match=r"chain|area|address"):
            Executable(replace(found, launches=launches))
