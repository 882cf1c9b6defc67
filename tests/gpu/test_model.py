"""The model of an H100: what it computes of counts by hand, and that the table of docs/gpu.md is its own."""

from __future__ import annotations

import pytest

from benchmarks import gpu_model as model
from benchmarks.gpu import CASES
from benchmarks.gpu_model import H100, Work
from lucid.compiler.gpu.launch import Entry

MIB = 1 << 20
ENTRY = Entry("k", 4, 0, (), 4)


def work(**given: float) -> Work:
    return Work(*(given.get(name, 0.0) for name in Work.__annotations__))


def test_warps_that_a_processor_holds() -> None:
    assert model.resident(H100, 4, 32, 0) == 64  # all
    assert model.resident(H100, 4, 40, 0) == 48  # 1,280 registers a warp, 51 of them, in blocks of 4
    assert model.resident(H100, 4, 32, 48 << 10) == 16  # shared memory: 4 blocks
    assert model.resident(H100, 1, 32, 0) == 32  # blocks


def test_what_lies_on_a_line_through_two_samples() -> None:
    found = model.at((2, 4, 10), work(read=20.0, turns=5.0), work(read=40.0, turns=6.0))
    assert found == work(read=100.0, turns=9.0)


def test_stretches_of_code_end_at_branches_and_labels() -> None:
    text = "a;\n\t@%p1 bra \t$L__2;\nb;\n\tbra.uni \t$L__1;\n$L__2:\nc;\n$L__1:\n\tret;\nd;\n"
    assert list(model.stretches(text).values()) == [0, 0, 1, 1, 3, 3, 4, 4, 5]


def test_a_stretch_ends_at_a_barrier() -> None:
    text = "a;\n\tbar.sync \t0;\nb;\n$L__1:\nc;\n"
    assert list(model.stretches(text).values()) == [0, 0, 1, 2, 2]


def test_a_branch_around_a_load_ends_no_stretch() -> None:
    text = "a;\n\t@%p1 bra \t$L__1;\nload;\n$L__1:\nb;\n"
    assert set(model.stretches(text).values()) == {0}
    far = "a;\n\t@%p1 bra \t$L__1;\nload;\n\tbra.uni \t$L__1;\n$L__2:\nb;\n\tret;\n$L__1:\nc;\n"
    assert list(model.stretches(far).values()) == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    loop = "a;\n$L__1:\nb;\n\t@%p1 bra \t$L__1;\nc;\n"
    assert list(model.stretches(loop).values()) == [0, 1, 1, 1, 2]


def test_a_copy_waits_for_memory_alone() -> None:
    moved = 1024.0 * MIB
    w = work(
        warps=2.0**17,
        instructions=2.0**24,
        read=moved / 2,
        written=moved / 2,
        sectors=moved / 32,
        turns=2.0**19,
    )
    found = model.modelled(H100, w, ENTRY, 32, moved, 0)
    assert found.bound == "memory" and found.moved == moved
    assert found.total == model.GAP + moved / (0.92 * 3.35e12)


def test_what_no_cache_holds_is_read_again_from_memory() -> None:
    """A warp at work on 1 MiB, which it reads twice: 132 x 64 of them are far more than the cache."""
    w = work(warps=20_000.0, instructions=1.0, read=20_000.0 * 2 * MIB, turns=20_000.0)
    found = model.modelled(H100, w, ENTRY, 32, 20_000.0 * MIB, MIB)
    assert 1.99 < found.moved / (20_000 * MIB) < 2
    w = work(warps=8.0, instructions=1.0, read=16.0 * MIB)
    found = model.modelled(H100, w, ENTRY, 32, 8.0 * MIB, MIB)
    assert found.moved == 8 * MIB
    turns = (
        2 * MIB / (32 * 128)
    )  # of a warp: 32 loads at once, half of them from memory and half from the cache
    assert found.bound == "latency" and found.seconds["latency"] == pytest.approx(turns * 400e-9, rel=1e-4)


def test_every_case_of_the_benchmark_has_a_row() -> None:
    assert list(model.ASKED) == list(CASES)
    for name, (_, shapes, flops) in CASES.items():
        asked = model.ASKED[name]
        sizes = [[n for shape in given for n in shape] for given in (*asked.samples, shapes)]
        assert [len(given) for given in sizes] == [len(sizes[0])] * 3
        assert bool(flops) == name.startswith("product")


@pytest.mark.parametrize(
    "name", ["huber 10^6", "softmax 4096x4096", "layer_norm 65536x1024", "transposed 8192x8192"]
)
def test_the_table_of_the_docs(name: str) -> None:
    """`python -m benchmarks.gpu_model` writes it."""
    found = model.row(name)
    assert model.line(found) in model.DOCS.read_text(encoding="utf-8")
    main = found.launches[0].work
    assert main.sectors == main.least_sectors and main.passes == main.least_passes


@pytest.mark.parametrize("name", [n for n in model.ASKED if not n.startswith(("huber 10", "product 4096"))])
def test_registers(name: str) -> None:
    """Those of the committed table, where ptxas is there."""
    tool = model.ptxas()
    if tool is None:
        pytest.skip("ptxas is not here: pip install lucid-compiler[gpu-test]")
    known = model.known()
    assert model.registers(name, tool) == {key: n for key, n in known.items() if key.startswith(f"{name} ")}
