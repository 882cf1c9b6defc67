"""Which kernel calls of a plan run together, and that none of them can disturb another."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.ir.artifact import Address, Buffer, Launch, Plan
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import f32
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.pipeline import compile_graph
from lucid.runtime import execute
from lucid.runtime.execute import Executable
from lucid.runtime.host import host


def node(name: str, *shape: int) -> Node:
    return ops.INPUT(name=name, dtype=f32, shape=shape)


def plan(inputs: tuple[Node, ...], outputs: tuple[Node, ...], aliases: tuple[int, ...] = ()) -> Plan:
    found = compile_graph(Graph("test", inputs, outputs), host(), aliases).plan
    disturbed(found)
    return found


def sizes(found: Plan) -> list[int]:
    return [len(group) for group in execute.grouped(found.launches)]


def spans(found: Plan, launch: Launch) -> list[tuple[int, int, int]]:
    """(memory, begin, end) of every buffer that the launch touches. An output that may overwrite an
    input is that input's memory; working memory is number -1."""
    own = {o: found.inputs[a] for o, a in zip(found.outputs, found.aliases, strict=True) if a >= 0}
    places = []
    for slot in launch.slots:
        if isinstance(slot, Address):
            buffer: Buffer = found.buffers[slot.buffer]
            if buffer.kind == "temp":
                places.append((-1, buffer.offset, buffer.offset + max(1, buffer.nbytes)))
            else:
                places.append((own.get(slot.buffer, slot.buffer), 0, 1))
    return places


def disturbed(found: Plan) -> None:
    """Launches of a group may share what is an input and no output's memory, or a temporary that an
    earlier group wrote; all else must be apart."""
    written = {found.inputs[a] for a in found.aliases if a >= 0} | set(found.outputs)
    before: set[tuple[int, int, int]] = set()  # of the working memory
    for group in execute.grouped(found.launches):
        touched = [spans(found, launch) for launch in group]
        for k, mine in enumerate(touched):
            for theirs in touched[:k]:
                for m, b, e in mine:
                    for other, low, high in theirs:
                        if m == other and b < high and low < e:
                            shared = (m, b, e) in before and (m, b, e) == (other, low, high)
                            assert m not in written and (m >= 0 or shared)
        before.update(place for mine in touched for place in mine)


def product(x: Node, y: Node) -> Node:
    return ops.CONTRACT(x, y, spec="ij,jk->ik")


def test_what_is_independent_is_one_group() -> None:
    xs = tuple(node(f"x{k}", 100 + k) for k in range(10))
    assert sizes(plan(xs, tuple(ops.NEG(x) for x in xs))) == [10]


def test_readers_wait_for_the_writer() -> None:
    a, b, y = node("a", 40, 50), node("b", 50, 60), node("y", 70)
    found = plan((a, b, y), (product(product(a, b), ops.TRANSPOSE(b, perm=(1, 0))), ops.NEG(y)))
    assert sizes(found) == [2, 1]  # y's call, the last of the program, beside the first product


def test_an_input_is_overwritten_after_it_was_read() -> None:
    a, b = node("a", 40, 50), node("b", 50, 50)
    for aliases, expected in (((-1, -1), [2]), ((-1, 0), [1, 1])):
        found = plan((a, b), (product(a, b), ops.NEG(a)), aliases)
        assert found.aliases == aliases
        assert sizes(found) == expected


def test_memory_does_not_grow_with_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each branch has a temporary: side by side they would all live at once."""
    xs = tuple(node(f"x{k}", 64, 64) for k in range(5))
    outputs = tuple(product(product(x, x), x) for x in xs)
    found = plan(xs, outputs)
    assert found.temp_bytes == 64 * 64 * 4
    # What needs none joins: here the maps, whatever their place in the program.
    found = plan(xs, (*outputs, *map(ops.NEG, xs)))
    assert found.temp_bytes == 64 * 64 * 4
    assert sizes(found) == [6] + [1] * 9


def test_a_temporary_lives_as_long_as_the_group_that_reads_it() -> None:
    x, y = node("x", 64, 64), node("y", 64, 64)
    inner = product(x, x)
    found = plan((x, y), (product(inner, x), product(inner, y), product(product(y, y), x)))
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-2, 3, (64, 64)).astype("f4") for _ in range(2)]
    a, b = arrays
    for threads in (1, 8):
        results = Executable(found)(arrays, threads=threads)
        for result, wanted in zip(results, (a @ a @ a, a @ a @ b, b @ b @ a), strict=True):
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("columns", [5, 64, 100, 1000, 9000])
@pytest.mark.parametrize("twice", [False, True])
def test_rows_are_written_over_what_they_are_computed_from(columns: int, twice: bool) -> None:
    """The softmax of a product has the product's memory: it is read where it is written, or before; but not
    if somebody reads the product after it."""
    x, y = node("x", 40, 40), node("y", 40, columns)
    scores = product(x, y)
    top = ops.BROADCAST(ops.RESHAPE(ops.AMAX(scores, axes=(1,)), shape=(40, 1)), shape=(40, columns))
    e = ops.EXP(ops.SUB(scores, top))
    total = ops.BROADCAST(ops.RESHAPE(ops.SUM(e, axes=(1,)), shape=(40, 1)), shape=(40, columns))
    weights = ops.DIV(e, total)
    back = ops.TRANSPOSE(y, perm=(1, 0))
    outputs = (product(weights, back), product(scores, back)) if twice else (product(weights, back),)
    found = plan((x, y), outputs)
    matrix = -(-40 * columns * 4 // 64) * 64
    wide = [b for b in found.buffers if b.kind == "temp" and b.shape == (40, columns)]
    assert len(wide) == 1 + twice
    assert found.temp_bytes >= matrix * (1 + twice)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((40, 40)).astype("f4"), rng.standard_normal((40, columns)).astype("f4")
    s = a.astype("f8") @ b
    p = np.exp(s - s.max(1, keepdims=True))
    for threads in (1, 3):
        first, *rest = Executable(found)([a, b], threads=threads)
        np.testing.assert_allclose(first, p / p.sum(1, keepdims=True) @ b.T, rtol=2e-3, atol=1e-4)
        for second in rest:
            np.testing.assert_allclose(second, s @ b.T, rtol=2e-3, atol=1e-2)


def test_totals_of_a_group_have_block_results_of_their_own() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(n).astype("f4") for n in (50_000, 40_000, 30_000, 7)]
    xs = tuple(node(f"x{k}", a.size) for k, a in enumerate(arrays))
    found = plan(xs, tuple(ops.SUM(ops.MUL(x, x), axes=(0,)) for x in xs))
    assert sizes(found) == [4]
    results = Executable(found)(arrays)
    for array, result in zip(arrays, results, strict=True):
        np.testing.assert_allclose(result, np.square(array, dtype="f8").sum(), rtol=1e-5)


def test_temporaries_that_live_at_once_never_overlap() -> None:
    """Against first fit by hand: what lives is in order of its place, and the first gap is taken."""
    rng = np.random.default_rng(0)
    for count in (1, 5, 40, 200):
        first = np.sort(rng.integers(0, count, count))
        last = np.minimum(first + rng.integers(0, 12, count), count)
        nbytes = rng.integers(0, 5, count) * rng.integers(1, 300, count)
        buffers = tuple(
            Buffer("temp", f32, (), int(n), 0, (int(a), int(b)))
            for n, a, b in zip(nbytes, first, last, strict=True)
        )
        found = arrange(Plan(buffers, (), (), (), (), 0))
        live: list[tuple[int, int, int]] = []
        size = 0
        for b in found.buffers:
            live = sorted(x for x in live if x[2] >= b.life[0])
            need, offset = max(64, -(-b.nbytes // 64) * 64), 0
            for begin, end, _ in live:
                if begin - offset >= need:
                    break
                offset = max(offset, end)
            assert b.offset == offset
            live.append((offset, offset + need, b.life[1]))
            size = max(size, offset + need)
        assert found.temp_bytes == size


def test_an_output_whose_elements_overlap_is_accepted() -> None:
    x = node("x", 100)
    run = Executable(plan((x,), (ops.NEG(x),)))
    values, buffer = np.arange(100, dtype=np.float32), np.zeros(400, np.float32)
    for stride in (0, 2, -2):
        with pytest.raises(ValueError, match="output 0: elements of the array overlap"):
            run([values], [np.lib.stride_tricks.as_strided(buffer[200:], (100,), (stride,))])
    assert not buffer.any()
    for out in (buffer[::4], buffer[99::-1], np.lib.stride_tricks.as_strided(buffer, (100,), (12,))):
        run([values], [out])
        assert np.array_equal(out, -values)
