"""Accesses of 16 bytes a thread: wherever arrays begin, however long they are, and only where that can be."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.gpu.ahead import loads_first
from lucid.compiler.gpu.emit import emit
from lucid.compiler.gpu.simulator import Counts, Memory, PtxError, launch, parse
from lucid.compiler.gpu.target import target
from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.ir.artifact import Address
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DTYPES
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.loop import verify_func
from lucid.gpu import Ptx, ptx
from lucid.runtime.llvm import emit_assembly
from lucid.simulated import simulate
from tests.native import build

from .gpu_kernels import case
from .test_ptx_bits import check

Array = np.ndarray[Any, Any]
# Around multiples of what a thread has, a turn and a block.
SIZES = (1, 3, 4, 127, 255, 256, 260, 511, 512, 513, 1023, 1024, 1029, 2047, 2048, 2304)
GAP = 16  # bytes


def run(found: Ptx, arrays: dict[str, tuple[Array, int]], **sizes: int) -> Counts:
    """The one launch, over arrays that begin so many bytes into memory; other sizes than it was made for."""
    (step,) = found.launches
    (text,) = found.modules.values()
    memory, args, places = Memory(), list[int | bytes](), dict[str, int]()
    for slot, value in zip(step.entry.slots, step.values, strict=True):
        if isinstance(value, Address):
            array, away = arrays[slot.name]
            content = np.zeros(away + array.nbytes + GAP, np.uint8)
            content[away : away + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            places[slot.name] = memory.upload(content, slot.name, slot.name.startswith("o"))
            args.append(places[slot.name] + away)
        else:
            args.append(sizes.get(slot.name, value) if isinstance(value, int) else value)
    grid = -(-sizes["blocks"] // step.entry.each)
    counts = launch(parse(text), step.entry.name, grid, step.entry.threads, args, memory, step.shared)
    for name in (name for name in arrays if name.startswith("o")):
        array, away = arrays[name]
        got = memory.download(places[name], (away + array.nbytes + GAP,), np.uint8)
        assert not got[:away].any() and not got[away + array.nbytes :].any()  # nothing else was written
        array.view(np.uint8)[...] = got[away : away + array.nbytes]
    return counts


def at_once(counts: Counts) -> set[str]:
    """The accesses to arrays of several elements that were run."""
    return {a.opcode for a in counts.accesses.values() if a.requests and re.search(r"global\.v\d", a.opcode)}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_wherever_arrays_begin(dtype: Any) -> None:
    """An input and an output at each of four elements, and many sizes; both at each size, too."""
    if dtype.is_complex:
        pytest.skip("graphs alone know complex numbers")
    op, want = (ops.NOT, np.logical_not) if dtype.kind == "b" else (ops.NEG, np.negative)
    x = np.random.default_rng(0).integers(0, 2 if dtype.kind == "b" else 100, 2304).astype(dtype.np)
    found, size = ptx(build(op, [x]), "sm_90"), dtype.size
    places = [*zip(product(range(4), range(4)), SIZES, strict=True), *(((0, 0), n) for n in SIZES)]
    for (one, other), n in places:
        out = np.zeros(n, dtype.np)
        given = {"a0": (x[:n], one * size), "o0": (out, other * size)}
        counts = run(found, given, n0=n, blocks=-(-n // 1024))
        assert out.tobytes() == want(x[:n]).tobytes()
        whole = n >= 256 and one * size % 16 == other * size % 16 == 0
        assert bool(at_once(counts)) == whole, (one, other, n)
    for access in counts.accesses.values():  # of the last one, which begins at 0
        assert access.transactions <= access.ideal or access.space == "param", str(access)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_wherever_rows_begin(dtype: str) -> None:
    """By their number of columns, and where the first one is."""
    size, rng = np.dtype(dtype).itemsize, np.random.default_rng(1)
    for columns, first in ((300, 0), (300, 1), (301, 0), (302, 2), (304, 0), (304, 8)):
        x, y = (rng.normal(size=shape).astype(dtype) for shape in ((5, columns), (columns,)))

        def f(a: Node, b: Node, at: int = first) -> Node:
            count = a.shape[1] - at
            a = ops.SLICE(a, starts=(0, at), steps=(1, 1), counts=(a.shape[0], count))
            b = ops.SLICE(b, starts=(at,), steps=(1,), counts=(count,))
            return ops.ADD(a, ops.BROADCAST(ops.reshape(b, (1, count)), shape=a.shape))

        graph = build(f, [x, y])
        check(graph, [x, y])
        _, counts = simulate(ptx(graph, "sm_90"), [x, y])
        assert bool(at_once(counts[0])) == (columns * size % 16 == first * size % 16 == 0), (columns, first)


def test_rows_that_places_choose() -> None:
    """A row at a place that is a value, and 0 where there is none."""
    x, at = np.arange(12 * 256, dtype=np.float32).reshape(12, 256), np.array([3, -1, 11, 12, 0])
    graph = build(lambda a, b: ops.GATHER(a, b, axes=(0,)), [x, at])
    check(graph, [x, at])
    _, (counts,) = simulate(ptx(graph, "sm_90"), [x, at])
    assert at_once(counts) == {"ld.global.v4.b32", "st.global.v4.b32"}


@pytest.mark.parametrize("name", ["huber", "softmax", "transpose", "long", "scatter"])
def test_where_lanes_matter_each_has_one_element(name: str) -> None:
    assert not any(re.search(r"global\.v\d", text) for text in ptx(case(name)[0], "sm_90").modules.values())


def test_loads_come_first() -> None:
    """In all loops of a map with a root, which is a branch in machine code."""
    (text,) = ptx(case("moved")[0], "sm_90").modules.values()
    whole, vectors = re.findall(r"(?:\tld\.global.*\n(?:\t(?!ld|st).*\n)*)+(?:\tst\.global.*\n)+", text)[:2]
    for part, loads in ((whole, 4), (vectors, 16)):
        names = re.findall(r"\t(ld\.global|sqrt|st\.global)", part)
        assert names[:loads] == ["ld.global"] * loads and names[loads:].count("sqrt") == 8, names
        assert "ld.global" not in names[loads:]


LONG = """func long(x: f32[], y: f32[], o: f32[], at: i64[], n: int, blocks: int)
  alloc w: f32[256]
  %1: i64 = aligned x to 16
  for %b in %begin .. %end step 1 parallel
    %2: i64 = mul %b, %n
    %r = for %i in 0 .. %n step 128 vector (%c: f32x128 = 0.0)
      %3: f32x128 = load x[%i] aligned
      store w[%i], %3 aligned
      %4: f32x128 = load y[%i : %1]
      %5: f32x128 = sqrt %4
      %6: f32x128 = fma %3, %5, %c
      %7: i64x128 = load at[%i] aligned
      %8: f32x128 = load x[%7]
      %9: f32x128 = add %6, %8
      yield %9
    %10: b1x128 = gt %r, 500.0
    %11: b1 = any %10
    %12: i64 = cast %11
    %s = for %k in 0 .. %12 step 1 once (%d: f32x128 = %r)
      %13: f32x128 = load w[0]
      %14: f32x128 = select %10, %13, %d
      yield %14
    %15: f32x128 = iota
    %16: f32x128 = add %s, %15
    store o[%2], %16 aligned
    yield
"""


def test_vectors_longer_than_a_warp() -> None:
    """At the loop level: the text, the interpreter, and the simulator; carried, under a branch, by places."""
    func = parse_func(LONG)
    verify_func(func)
    assert print_func(func) == LONG
    rng = np.random.default_rng(2)
    arrays = [*(rng.random((2, 256), np.float32) * 30), np.zeros(512, np.float32)]
    places = rng.permutation(256)
    want = {"x": arrays[0], "y": arrays[1], "o": arrays[2].copy(), "at": places}
    interpret_func(func, want, {"n": 256, "blocks": 2}, 0, 2)
    memory = Memory()
    args = [memory.upload(a, "xyo"[n], n == 2) for n, a in enumerate(arrays)]
    args += [memory.upload(places, "at", False), 256, 2]
    module = parse(emit_assembly(emit([func]), target("sm_90")))
    launch(module, "long", 1, 128, args, memory)
    assert memory.download(args[2], (512,), np.float32).tobytes() == want["o"].tobytes()
    assert want["o"].any()


@pytest.mark.parametrize(
    "line, said",
    [
        ("%1: f32x128 = load x[0 : 2] aligned", "neighbours in memory"),
        ("%1: f32 = load x[0] aligned", "neighbours in memory"),
        ("%1: i64 = aligned x to 24", "a power of two"),
    ],
)
def test_what_cannot_be_aligned(line: str, said: str) -> None:
    with pytest.raises(VerifyError, match=said):
        verify_func(parse_func(f"func f(x: f32[])\n  {line}\n"))


@pytest.mark.parametrize("first", [1, 2, 3])
def test_what_is_not_aligned_after_all(first: int) -> None:
    """Is found by the interpreter, and by the simulator."""
    body = f"  %1: f32x128 = load x[{first}] aligned\n  store o[0], %1\n"
    func = parse_func(f"func f(x: f32[], o: f32[])\n{body}")
    verify_func(func)
    x, o = np.ones(132, np.float32), np.zeros(132, np.float32)
    with pytest.raises(ValueError, match=f"element {first} of `x` is not aligned"):
        interpret_func(func, {"x": x, "o": o}, {})
    interpret_func(func, {"x": (x, 4 - first), "o": o}, {})
    loop = "  for %b in %begin .. %end step 1 parallel\n"
    func = parse_func(f"func f(x: f32[], o: f32[], blocks: int)\n{loop}{body}  yield\n")
    memory = Memory()
    args = [memory.upload(x, "x", False), memory.allocate(528, "o"), 1]
    with pytest.raises(PtxError) as error:
        launch(parse(emit_assembly(emit([func]), target("sm_90"))), "f", 1, 128, args, memory)
    assert error.value.kind == "misaligned"


def test_what_no_vector_longer_than_a_warp_can_be() -> None:
    head = "func f(x: f32[], blocks: int)\n  for %b in %begin .. %end step 1 parallel\n"
    for line, said in (
        ("%1: f32x128 = load x[0]\n    %2: f32x64 = hi %1", "`hi` of vectors that are longer than a warp"),
        ("%1: f32x48 = load x[0]", "a vector of 48 lanes: a warp has 32"),
    ):
        func = parse_func(f"{head}    {line}\n    yield\n")
        verify_func(func)
        with pytest.raises(ValueError, match=said):
            emit([func])


def test_what_a_load_needs_comes_with_it() -> None:
    """And nothing passes a store, a barrier or a loop; working memory is read where it is."""
    lines = """%1: f32x32 = load x[0]
    %2: f32x32 = sqrt %1
    %3: f32x32 = load w[0]
    %4: i64x32 = load at[0]
    %5: i64x32 = add %4, 1
    %6: f32x32 = load x[%5]
    store w[0], %6
    %7: f32x32 = neg %3
    %8: f32x32 = load x[64]""".splitlines()
    body = "\n    ".join(map(str.strip, lines))
    func = parse_func(
        "func f(x: f32[], at: i64[], blocks: int)\n  alloc w: f32[32]\n"
        f"  for %b in %begin .. %end step 1 parallel\n    {body}\n    yield\n"
    )
    found = re.findall(r"%(\d): |(store)", print_func(loads_first(func)))
    assert ["".join(each) for each in found] == ["1", "4", "5", "6", "2", "3", "store", "8", "7"]
