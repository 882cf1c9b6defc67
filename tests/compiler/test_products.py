"""Matrix products: every layout, sizes around those of tiles and blocks, and that neither blocks, threads nor
vector lengths change a bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler import ops
from lucid.compiler.cpu import schedule
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.passes.plan import grid
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.stages import stage_text
from lucid.gpu import ptx
from lucid.nn import functional as F
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from lucid.simulated import simulate
from lucid.testing.bits import assert_same_bits
from tests.native import Array, build, compiled, run

# Rows and columns are `i` and `k`, the summed axis is `j`.
SPECS = ("ij,kj->ik", "ij,jk->ik", "ji,jk->ik", "ji,kj->ik", "jk,ij->ik", "aij,jk->aik", "aji,kj->aik",
         "iaj,jk->iak", "bij,bjk->bik", "bji,bkj->bik", "jbi,kbj->bik", "iaj,kaj->iak")  # fmt: skip
# Sums over several axes: those that are one walk through memory; those that are not.
ONE_WALK = ("jai,jak->ik", "ija,kja->ik", "ijab,jabk->ik", "cjai,cjak->cik", "ija,bjak->bik")
SEVERAL = ("aji,jak->ik", "ija,kaj->ik", "iajb,jabk->ik", "ijca,ajk->ick", "jia,cajk->cik", "ijca,jdka->icdk")
BATCH_LAST = ("bij,bjk->ikb", "ijb,kbj->kib")
SIZES = [
    (1, 9, 40),
    (23, 35, 1),
    (1, 33, 1),
    (1, 5, 2),
    (2, 1, 3),
    (13, 3, 17),
    (12, 128, 32),
    (5, 129, 33),
    (37, 300, 49),
    (150, 130, 290),
    (4, 7, 16),
]


def whole_numbers(spec: str, sizes: tuple[int, int, int], kind: str) -> list[Array]:
    """Operands whose products are exact, in any order."""
    rng = np.random.default_rng(3)
    extent = dict(zip("ijk", sizes, strict=True)) | {"a": 3, "b": 2, "c": 2, "d": 3}
    left, right = spec.split("->")[0].split(",")
    shapes = [tuple(extent[x] for x in side) for side in (left, right)]
    return [rng.integers(-8, 9, shape).astype(kind) for shape in shapes]


@pytest.mark.parametrize("kind, small", [("float32", 1e-30), ("float64", 1e-200)])
@pytest.mark.parametrize("spec", ["ij,jk->ik", "ij,kj->ik"])
def test_what_is_too_small_for_a_number_is_plus_zero(spec: str, kind: str, small: float) -> None:
    """Negative products that are rounded to -0: for one row as for many, and on a GPU."""
    rng = np.random.default_rng(0)
    for depth, columns in ((4, 40), (5, 2), (8, 70), (257, 40)):
        x, y = (rng.choice([0.5, 1], shape) * small for shape in ((9, depth), (depth, columns)))
        every = [(-x).astype(kind), np.ascontiguousarray(y if spec == "ij,jk->ik" else y.T).astype(kind)]
        first = [every[0][:1], every[1]]
        many, one = (build(lambda a, b: ops.CONTRACT(a, b, spec=spec), given) for given in (every, first))
        found = [run(many, every)[0], run(one, first)[0], simulate(ptx(many, "sm_90"), every)[0][0]]
        assert not any(np.signbit(values).any() or values.any() for values in found), (depth, columns)


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int32", "int64"])
@pytest.mark.parametrize("spec", SPECS + ONE_WALK + SEVERAL + BATCH_LAST)
def test_every_layout(spec: str, kind: str) -> None:
    for sizes in SIZES if kind == "float32" else SIZES[2:6]:
        if kind == "float16" and sizes[1] > 30:
            continue
        arrays = whole_numbers(spec, sizes, kind)
        (made,) = run(build(lambda x, y: ops.CONTRACT(x, y, spec=spec), arrays), arrays)
        assert np.array_equal(made, np.einsum(spec, *(a.astype("int64") for a in arrays)).astype(kind)), sizes


@pytest.mark.parametrize("sizes", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
@pytest.mark.parametrize("spec", SPECS[:4])
def test_empty(spec: str, sizes: tuple[int, int, int]) -> None:
    arrays = whole_numbers(spec, sizes, "float32")
    (made,) = run(build(lambda x, y: ops.CONTRACT(x, y, spec=spec), arrays), arrays)
    assert np.array_equal(made, np.zeros((sizes[0], sizes[2]), "float32"))


def layer(x: Node, w: Node, b: Node) -> tuple[Node, ...]:
    h = ops.ADD(
        ops.CONTRACT(ops.TANH(x), w, spec="ij,kj->ik"), ops.BROADCAST(b, shape=(x.shape[0], w.shape[0]))
    )
    return h, ops.TANH(h)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_parts_have_the_bits_of_the_whole(kind: str) -> None:
    """For any blocks, vectors and threads: rows and columns of a product are products of rows and columns."""
    rng = np.random.default_rng(4)
    x, w, b = (rng.normal(size=shape).astype(kind) for shape in ((301, 290), (270, 290), (270,)))
    whole = [Executable(compiled(build(layer, [x, w, b])).plan)([x, w, b], threads=n) for n in (1, 2)]
    assert all(np.array_equal(one, two) for one, two in zip(*whole, strict=True))
    for rows, columns in (
        (slice(0, 5), slice(0, 7)),
        (slice(100, 260), slice(30, 270)),
        (slice(11, 48), slice(240, 251)),
        (slice(7, 8), slice(0, 270)),
        (slice(0, 301), slice(269, 270)),
        (slice(300, 301), slice(40, 41)),
    ):
        part = [np.ascontiguousarray(a) for a in (x[rows], w[columns], b[columns])]
        for width in (64, 32, 16):
            plan = compile_graph(build(layer, part), replace(host(), vector_bytes=width)).plan
            for made, all_of_it in zip(Executable(plan)(part), whole[0], strict=True):
                assert np.array_equal(made.reshape(part[0].shape[0], -1), all_of_it[rows, columns])


def test_as_wide_as_its_sums() -> None:
    """Scalars and outputs of other dtypes do not halve the vectors of the sums."""
    x, w, s = np.ones((20, 6), "float32"), np.full((40, 6), 2, "float32"), np.array(0.5, "float64")

    def scaled(x: Node, w: Node, s: Node) -> tuple[Node, ...]:
        h = ops.CONTRACT(x, w, spec="ij,kj->ik")
        factor = ops.BROADCAST(s, shape=h.shape)
        return h, ops.MUL(ops.CAST(h, dtype=s.type.dtype), factor)

    made = compiled(build(scaled, [x, w, s]))
    (plan,) = made.stages.schedules
    assert plan.mode == "product"
    assert plan.width == max(2, host().vector_bytes // 4)
    h, half = run(build(scaled, [x, w, s]), [x, w, s])
    assert np.array_equal(h, np.full((20, 40), 12, "float32"))
    assert np.array_equal(half, np.full((20, 40), 6, "float64"))


@pytest.mark.parametrize("size", [4, 8])
def test_blocks_fit_their_memory(size: int) -> None:
    most = schedule.PRODUCT_COLUMN_BYTES // size
    for rows in (1, 11, 12, 72, 73, 143, 144, 145, 1000):
        for columns in (1, 64, 128, 129, 256, 257, 1000):
            for depth in (0, 1, 100_000):
                down, across = schedule.product_blocks(rows, columns, depth, size)
                for tile, n, parts, limit in (
                    (12, rows, down, 144),
                    (6, rows, down, 144),
                    (16, columns, across, most),
                ):
                    tiles = -(-n // tile)
                    shares = [tiles * (p + 1) // parts - tiles * p // parts for p in range(parts)]
                    assert sum(shares) == tiles
                    assert max(shares) * tile <= limit


def test_blocks_are_an_even_number_where_they_are_few() -> None:
    """Where there are many, more parts of the rows would only pack the columns again."""
    assert schedule.product_blocks(128, 3136, 1152, 4) == (1, 25)
    assert schedule.product_blocks(256, 256, 256, 4) == (2, 2)
    assert schedule.product_blocks(128, 128, 1152, 4) == (2, 1)


def layout_of(spec: str, sizes: tuple[int, int, int]) -> tuple[str, int]:
    """The mode of the one kernel of a contraction, and how many axes it sums over."""
    stages = compiled(
        build(lambda x, y: ops.CONTRACT(x, y, spec=spec), whole_numbers(spec, sizes, "float32"))
    ).stages
    (call,), (plan,) = stages.program.calls, stages.schedules
    return plan.mode, len(call.kernel.stages[0].axes)


@pytest.mark.parametrize("spec", SPECS + ONE_WALK + SEVERAL + BATCH_LAST)
def test_a_sum_over_several_axes_is_no_product(spec: str) -> None:
    """Whatever it sums over, a product runs in tiles, along one axis where memory is one walk; with one row
    or one column, as a vector."""
    mode, axes = layout_of(spec, (37, 30, 49))
    assert mode == "product"
    assert (axes > 1) == (spec in SEVERAL)
    rows = {"a", "c", "b"} & set(spec.split("->")[1])
    for sizes in () if rows else ((1, 30, 49), (37, 30, 1), (1, 30, 1)):
        assert layout_of(spec, sizes)[0] == "vector"


@pytest.mark.parametrize("sizes", [(1, 9, 20), (20, 9, 1), (1, 9, 1)])
def test_one_row_or_column_cannot_be_interpreted(sizes: tuple[int, int, int], monkeypatch: Any) -> None:
    monkeypatch.setenv("LUCID_CHECK", "1")
    for spec in ("ij,kj->ik", "ij,jk->ik"):
        arrays = whole_numbers(spec, sizes, "float32")
        (made,) = run(build(lambda x, y, spec=spec: ops.CONTRACT(x, y, spec=spec), arrays), arrays)
        assert np.array_equal(made, np.einsum(spec, *arrays))


@pytest.mark.parametrize(
    "spec, kind, packed",
    [
        ("ij,jk->ik", "float32", 0),
        ("ij,kj->ik", "float64", 0),
        ("bij,bjk->bik", "float32", 0),
        ("ij,jk->ik", "float16", 1),
        ("ji,jk->ik", "float32", 1),
        ("aji,kj->aik", "float32", 1),
    ],
)
def test_rows_are_read_where_they_lie(spec: str, kind: str, packed: int) -> None:
    """Where they run along memory with the depth, in the dtype of the sums; else they are packed."""
    arrays = whole_numbers(spec, (37, 30, 49), kind)
    text = stage_text(compiled(build(lambda x, y: ops.CONTRACT(x, y, spec=spec), arrays)), "loop", host())
    assert text.count("alloc left") == packed
    assert text.count("alloc right") == 1


@pytest.mark.parametrize("step", [1, 2, 3])
def test_columns_in_steps_are_read_by_whole_vectors(step: int) -> None:
    """Of windows that lie apart the columns, not the places in a window, are the last axis of the kernel's
    array: so its text has their step, and none is gathered."""
    rng = np.random.default_rng(5)
    x, w = (rng.integers(-4, 5, shape).astype("float32") for shape in ((2, 1, 3, 40 * step), (1, 20, 3, 5)))
    graph = build(lambda x, w: ops.CONVOLVE(x, w, strides=(step,), dilations=(1,), lo=(0,), hi=(0,)), [x, w])
    (found,) = run(graph, [x, w])
    windows = np.lib.stride_tricks.sliding_window_view(x, 5, axis=3)[:, 0, :, ::step]
    assert np.array_equal(found[:, 0], np.einsum("ncik,ock->noi", windows, w[0]))
    text = stage_text(compiled(graph), "loop", host())
    assert (f" : {step}]" in text) == (step > 1)
    assert " : %" not in text


def test_rows_of_several_summed_axes_are_read_where_they_lie_or_packed() -> None:
    """The same sums either way; of one vector of columns in tiles of twice as many rows."""
    rng = np.random.default_rng(5)
    for kept, made in ((3, 20), (9, 7)):
        x, w = rng.normal(size=(2, 5, kept + 9, 30)), rng.normal(size=(made, 5, 3, 4))
        x, w = x.astype("float32"), w.astype("float32")
        part = lucid.compile(lambda x, w: F.conv2d(x[:, 1:], w[:, 1:, :, 1:]))(x, w)
        whole = lucid.compile(lambda x, w: F.conv2d(x, w))(x[:, 1:].copy(), w[:, 1:, :, 1:].copy())
        assert_same_bits(part.numpy(), whole.numpy())
        want = lucid.compile(lambda x, w: F.conv2d(x, w))(
            *(a.astype("float64") for a in (x[:, 1:], w[:, 1:, :, 1:]))
        )
        np.testing.assert_allclose(whole.numpy(), want.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 5, 7, 14, 16, 17, 33])
def test_columns_of_a_tile_are_of_several_lines_and_images(side: int) -> None:
    """With the bits of each image by itself; its lines would fill half a vector."""
    rng = np.random.default_rng(7)
    x, w = (rng.normal(size=shape).astype("float32") for shape in ((8, 1, 5, side, side), (1, 20, 5, 1, 1)))
    graph, one = (
        build(
            lambda x, w: ops.NEG(ops.CONVOLVE(x, w, strides=(1, 1), dilations=(1, 1), lo=(0, 0), hi=(0, 0))),
            [a, w],
        )
        for a in (x, x[:1])
    )
    (every,) = run(graph, [x, w])
    for n in range(8):
        assert_same_bits(run(one, [x[n : n + 1].copy(), w])[0], every[n : n + 1])
    stages = compiled(graph).stages
    (call,), (plan,) = stages.program.calls, stages.schedules
    _, across = schedule.product_blocks(20, 8 * side**2, 5, 4)
    assert grid(call, plan) == (1, across) and across <= max(2, 8 * side)


def test_long_turned_rows_are_stored_as_they_are_read() -> None:
    """They would be packed again for each line of images."""
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(1, 3, 9, 9)).astype("float32"), rng.normal(size=(130, 3, 3, 3)).astype("float32")
    by_image = lucid.compile(lucid.grad(lambda x, w: (F.conv2d(x, w) ** 2).sum()))
    found = by_image(x, w).numpy()
    assert "would pack it again and again" in by_image.explain()
    wide = lucid.grad(lambda x, w: (F.conv2d(x, w) ** 2).sum())(
        *(lucid.Tensor(a.astype("float64")) for a in (x, w))
    )
    np.testing.assert_allclose(found, wide.numpy(), rtol=1e-3, atol=1e-2)
