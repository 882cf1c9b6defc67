"""One run of the passes serves other sizes: the same plan as if they had run again, and no run where
the sizes allow it. (LUCID_VERIFY, which is on here, compares the two at every compile.)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops, pipeline
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.pipeline import Compiled, compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

from ..native import build, compiled, run

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_templates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline, "_TEMPLATES", type(pipeline._TEMPLATES)())
    yield


def filled(made: Compiled) -> bool:
    """Whether no pass has run for it."""
    return [name for name, _ in made.times] == ["fill"]


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def mean(x: Node) -> Node:
    total = ops.SUM(x, axes=tuple(range(x.type.ndim)))
    return ops.MUL(total, ops.SCALAR(value=1 / max(1, x.type.size), dtype=x.type.dtype))


def huber(x: Node, y: Node) -> tuple[Node, Node]:
    d = ops.SUB(x, y)
    delta = ops.fill(ops.SCALAR(value=1.0, dtype=x.type.dtype), x.shape)
    inside = ops.LE(ops.ABS(d), delta)
    return mean(ops.WHERE(inside, ops.MUL(d, d), ops.MUL(delta, ops.ABS(d)))), ops.WHERE(inside, d, delta)


def layer(x: Node, w: Node, b: Node) -> Node:
    product = ops.CONTRACT(x, w, spec="ij,jk->ik")
    return ops.EXP(ops.ADD(product, ops.BROADCAST(b, shape=product.shape)))


def softmax(x: Node) -> Node:
    top = ops.reshape(ops.AMAX(x, axes=(1,)), (x.shape[0], 1))
    e = ops.EXP(ops.SUB(x, ops.BROADCAST(top, shape=x.shape)))
    total = ops.reshape(ops.SUM(e, axes=(1,)), (x.shape[0], 1))
    return ops.DIV(e, ops.BROADCAST(total, shape=x.shape))


def windows(x: Node) -> Node:
    """Overlapping differences, from slices, padded again."""
    n = x.shape[0]
    d = ops.SUB(ops.narrow(x, 0, 1, n - 1), ops.narrow(x, 0, 0, n - 1))
    return ops.PAD(ops.flip(d, 0), lo=(1, 0), hi=(0, 2))


def regrouped(x: Node) -> tuple[Node, Node]:
    rows, columns = x.shape
    flat = ops.TRANSPOSE(x, perm=(1, 0))
    return ops.reshape(flat, (rows * columns,)), ops.SUM(ops.reshape(x, (rows // 2, 2, columns)), axes=(0, 1))


CASES: list[tuple[Make, list[list[tuple[int, ...]]]]] = [
    (huber, [[(n,)] * 2 for n in (32, 33, 2, 1000, 8_192, 8_193, 100_000)]),
    (layer, [[(n, 16), (16, 32), (32,)] for n in (32, 33, 16, 2, 100, 1000)]),
    (softmax, [[(n, 100)] for n in (100, 7, 2, 333)]),
    (windows, [[(n, 3)] for n in (5, 4, 9, 50)]),
    (regrouped, [[(2 * n, 5)] for n in (5, 3, 2, 40)]),
]


@pytest.mark.parametrize(("function", "shapes"), CASES, ids=[f.__name__ for f, _ in CASES])
def test_one_run_serves_other_sizes(function: Make, shapes: Any) -> None:
    first, *others = shapes
    assert not filled(compiled(build(function, arrays(*first))))
    for other in others:
        given = arrays(*other)
        graph = build(function, given)
        made = compiled(graph)
        assert filled(made), other
        assert made.plan == made.stages.plan
        again = compiled(graph)
        assert again.plan == made.plan
        assert all(np.isfinite(r).all() for r in run(graph, given))


@pytest.mark.parametrize(("function", "shapes"), CASES, ids=[f.__name__ for f, _ in CASES])
def test_results_do_not_depend_on_what_was_compiled_before(
    function: Make, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = [(build(function, arrays(*s)), arrays(*s)) for s in shapes]
    forward = [run(g, given) for g, given in graphs]
    monkeypatch.setattr(pipeline, "_TEMPLATES", type(pipeline._TEMPLATES)())
    backward = [run(g, given) for g, given in reversed(graphs)][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert [r.tobytes() for r in a] == [r.tobytes() for r in b]


@pytest.mark.parametrize("n", [0, 1, 64, 65, 3_000_000])
def test_other_facts_other_plans(n: int) -> None:
    """None, one, few enough for registers, too many for the cache: not what was found out for 500 rows."""

    def scale(x: Node) -> Node:
        return ops.MUL(x, x)

    assert not filled(compiled(build(scale, arrays((500,)))))
    x = arrays((n,))
    made = compiled(build(scale, x))
    assert filled(made) == (n in (64, 65))
    assert made.plan == made.stages.plan
    assert np.array_equal(run(build(scale, x), x)[0], x[0] * x[0])


def test_what_the_rule_of_an_op_has_found_equal_need_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """No op of the registry asks whether two sizes are equal that need not be; one of a user's may."""

    def infer(types: Any, attrs: Any) -> Any:
        assert (attrs["lo"] == attrs["hi"]) in (True, False)
        return ops.PAD.infer(types, attrs)

    pad = replace(ops.PAD, infer=infer)
    monkeypatch.setitem(ops.REGISTRY, "pad", pad)
    x = arrays((20,))
    for lo, hi in ((3, 3), (3, 5), (5, 3), (4, 4)):
        (padded,) = run(build(lambda x, lo=lo, hi=hi: pad(x, lo=(lo,), hi=(hi,)), x), x)
        assert np.array_equal(padded, np.pad(x[0], (lo, hi)))


def test_features_that_are_part_of_the_text() -> None:
    """An inner extent of at most 64 is literal in the kernel; another one is another kernel."""

    def total(x: Node) -> Node:
        return ops.SUM(x, axes=(1,))

    assert not filled(compiled(build(total, arrays((40, 8)))))
    assert filled(compiled(build(total, arrays((50, 8)))))
    assert not filled(compiled(build(total, arrays((50, 9)))))
    assert not filled(compiled(build(total, arrays((50, 100)))))
    assert filled(compiled(build(total, arrays((40, 120)))))


def scores(q: Node, k: Node, v: Node) -> Node:
    """Attention of some queries, and the position of the greatest weight of each."""
    weights = softmax(ops.CONTRACT(q, k, spec="id,jd->ij"))
    return ops.CONTRACT(weights, v, spec="ij,jd->id")


def masked(x: Node, mask: Node) -> tuple[Node, ...]:
    """A mean of a batch of texts, with its gradient: a total over rows, and one for each place."""
    chosen = ops.MUL(ops.EXP(x), ops.BROADCAST(mask, shape=x.shape))
    return ops.SUM(ops.SUM(chosen, axes=(1,)), axes=(0,)), chosen, ops.SUM(chosen, axes=(0,))


def places(x: Node) -> tuple[Node, ...]:
    return ops.AMAX(x, axes=(1,)), ops.SUM(ops.MUL(x, x), axes=(1,)), ops.flip(x, 1)


LENGTHS: list[tuple[Make, Callable[[int], list[tuple[int, ...]]], int]] = [
    (softmax, lambda n: [(5, n)], 4),
    (scores, lambda n: [(3, 8), (n, 8), (n, 8)], 6),
    (masked, lambda n: [(40, n), (n,)], 4),
    (places, lambda n: [(6, n)], 8),
]


@pytest.mark.parametrize(("function", "shapes", "most"), LENGTHS, ids=[f.__name__ for f, _, _ in LENGTHS])
def test_a_length_that_varies_is_a_symbol(function: Make, shapes: Any, most: int) -> None:
    """Three lengths are literals; the fourth is compiled for all. The bits are those of literals."""
    seen = set[str]()
    for n in (12, 3, 7, 2, 30, 8, 64, 5, 40, 3, 6, 90):
        given = arrays(*shapes(n))
        given[0][0, -1] = -0.0
        graph = build(function, given)
        made = compiled(graph)
        assert made.plan == made.stages.plan
        fixed = compile_graph(graph, host(), literals=1000)
        assert made.picks == fixed.picks
        seen |= {code.key for code in made.codes}
        for a, b in zip(Executable(made.plan)(given), Executable(fixed.plan)(given), strict=True):
            assert a.tobytes() == b.tobytes(), n
    assert len(seen) <= most, len(seen)


def test_what_does_not_vary_stays_a_literal() -> None:
    def both(x: Node, y: Node) -> Node:
        return ops.ADD(ops.SUM(x, axes=(1,)), ops.SUM(y, axes=(1,)))

    for n in (2, 3, 4, 5, 6):
        (code,) = compiled(build(both, arrays((4, n), (4, 9)))).codes
        assert "in 9" in code.key and (f"in {n}" in code.key) == (n < 5)
    texts = {n: compiled(build(softmax, arrays((4, n)))).codes[0].key for n in (2, 3, 4, 5, 9)}
    assert [f"in {n}" in text for n, text in texts.items()] == [True, True, True, False, False]
    assert texts[5] == texts[9]
    for n in (5, 16, 17):  # worth code of its own
        assert (f"in {n}" in compiled(build(softmax, arrays((40_000, n)))).codes[0].key) == (n <= 16)


def test_scalars_are_those_of_the_graph() -> None:
    def scaled(value: float) -> Make:
        return lambda x: ops.MUL(x, ops.fill(ops.SCALAR(value=value, dtype=x.type.dtype), x.shape))

    (x,) = arrays((5,))
    assert np.array_equal(run(build(scaled(2.0), [x]), [x])[0], 2 * x)
    for value in (3.0, -0.0, float("nan")):
        graph = build(scaled(value), [x])
        assert filled(compiled(graph))
        assert run(graph, [x])[0].tobytes() == (x * np.float32(value)).tobytes()


def test_what_is_no_size_is_part_of_the_structure() -> None:
    (x,) = arrays((6, 6))
    for axes in ((0,), (1,)):
        assert not filled(compiled(build(lambda n, a=axes: ops.SUM(n, axes=a), [x])))
    for value in (1.5, 2.5):
        assert not filled(compiled(build(lambda n, v=value: ops.MUL(n, ops.const(v, n)), [x])))


def test_structures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "STRUCTURES", 3)
    monkeypatch.setattr(pipeline, "TEMPLATES", 2)
    for count in range(1, 6):

        def chain(x: Node, count: int = count) -> Node:
            for _ in range(count):
                x = ops.MUL(x, x)
            return ops.SUM(x, axes=(1,))

        for width in (2, 3, 4):
            compiled(build(chain, arrays((5, width))))
    assert [len(made) for made in pipeline._TEMPLATES.values()] == [2, 2, 2]


def test_zeros_of_shapes_that_come_to_be_equal() -> None:
    """Equal nodes are merged. Of two shapes nobody had noted that they were not equal when a template was
    made, and its plan was another one than that of the passes where they are."""

    def both(x: Node, y: Node) -> tuple[Node, Node]:
        zero = ops.CONST(value=0.0, dtype=x.type.dtype)
        chosen = ops.WHERE(ops.LT(y, y), ops.fill(zero, y.shape), y)
        return ops.fill(zero, x.shape), chosen

    assert not filled(compiled(build(both, arrays((65, 65), (64, 65)))))
    for shapes in (((64, 64), (64, 64)), ((70, 65), (64, 65)), ((65, 64), (65, 64))):
        made = compiled(build(both, arrays(*shapes)))
        assert made.plan == made.stages.plan, shapes
