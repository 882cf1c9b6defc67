"""Teams of threads at the loop level: text, verifier, interpreter, PTX; what is wrong is found by the
interpreter and by the simulator alike."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler.cpu.emit import emit as emit_cpu
from lucid.compiler.gpu.allowed import check
from lucid.compiler.gpu.emit import emit
from lucid.compiler.gpu.launch import at_launch, entry
from lucid.compiler.gpu.simulator import Memory, PtxError, launch, parse
from lucid.compiler.gpu.target import target
from lucid.compiler.interpret.loop import interpret_func
from lucid.compiler.interpret.team import Race
from lucid.compiler.pipeline import compile_graph, loops
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.loop import verify_func
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from lucid.runtime.llvm import emit_assembly
from tests.native import compiled

from .gpu_kernels import case as gpu_case

Array = np.ndarray[Any, Any]

# Rows by two warps: each has half of the 64 lanes of a sum, and the row is read once.
ROWS = """func rows(x: f32[], o: f32[], n: int, blocks: int) team 2
  shared row: f32[%n]
  shared all: f32[64]
  %t: i64 = mul %thread, 32
  for %b in %begin .. %end step 1 parallel
    %1: i64 = mul %b, %n
    %2: i64 = add %1, %t
    %r = for %j in 0 .. %n step 64 vector (%c: f32x32 = 0.0)
      %3: i64 = add %2, %j
      %4: f32x32 = load x[%3]
      %5: i64 = add %t, %j
      store row[%5], %4
      %6: f32x32 = fma %4, %4, %c
      yield %6
    store all[%t], %r
    barrier
    %7: f32x32 = load all[0]
    %8: f32x32 = load all[32]
    %9: f32x32 = add %7, %8
    %10: f32x32 = shuffle %9, i32(16)
    %11: f32x32 = add %9, %10
    %12: f32x32 = shuffle %11, i32(8)
    %13: f32x32 = add %11, %12
    %14: f32x32 = shuffle %13, i32(4)
    %15: f32x32 = add %13, %14
    %16: f32x32 = shuffle %15, i32(2)
    %17: f32x32 = add %15, %16
    %18: f32x32 = shuffle %17, i32(1)
    %19: f32x32 = add %17, %18
    for %k in 0 .. %n step 64 vector
      %20: i64 = add %t, %k
      %21: f32x32 = load row[%20]
      %22: f32x32 = div %21, %19
      %23: i64 = add %2, %k
      store o[%23], %22
      yield
    barrier
    yield
"""

# 8 x 8 sums of products by two warps: a lane is one of 4 chains and one of 8 columns, a warp has 4 rows.
# While a panel of 4 steps is computed, the next one comes: thread 0 brings that of x, thread 1 that of y.
PRODUCT = """func product(x: f32[], y: f32[], o: f32[], n: int, blocks: int) team 2
  shared left: f32[64]
  shared right: f32[64]
  %lane: i64x32 = iota
  %chain: i64x32 = shr %lane, 3
  %column: i64x32 = and %lane, 7
  %row: i64x32 = shr %lane, 2
  %step: i64x32 = and %lane, 3
  %n32: i64x32 = splat %n
  %down: i64x32 = mul %row, %n32
  %fromx: i64x32 = add %down, %step
  %across: i64x32 = shl %step, 3
  %tox: i64x32 = add %across, %row
  %first: b1 = eq %thread, 0
  %second: b1 = eq %thread, 1
  %ofx: b1x32 = splat %first
  %ofy: b1x32 = splat %second
  %few: b1x32 = lt %lane, 8
  %own: i64 = mul %thread, 4
  %high: i64x32 = shl %chain, 3
  %own32: i64x32 = splat %own
  %at: i64x32 = add %high, %own32
  for %b in %begin .. %end step 1 parallel
    %x0: f32x32 = load x[%fromx] mask %ofx
    %y0: f32x32 = load y[0] mask %ofy
    store left[%tox], %x0 mask %ofx
    store right[0], %y0 mask %ofy
    barrier
    %p, %a, %c, %d, %e = for %l in 0 .. %n step 4 serial (%q: i64 = 0, CARRIED)
      %next: i64 = add %l, 4
      %more: b1 = lt %next, %n
      %more32: b1x32 = splat %more
      %getx: b1x32 = and %more32, %ofx
      %gety: b1x32 = and %more32, %ofy
      %next32: i64x32 = splat %next
      %1: i64x32 = add %fromx, %next32
      %x1: f32x32 = load x[%1] mask %getx
      %2: i64 = mul %next, 8
      %y1: f32x32 = load y[%2] mask %gety
      %3: f32x32 = load right[%q]
      %q32: i64x32 = splat %q
      %4: i64x32 = add %at, %q32
      %5: f32x32 = load left[%4]
      %6: f32x32 = fma %5, %3, %s
      %7: i64x32 = add %4, 1
      %8: f32x32 = load left[%7]
      %9: f32x32 = fma %8, %3, %t
      %10: i64x32 = add %4, 2
      %11: f32x32 = load left[%10]
      %12: f32x32 = fma %11, %3, %u
      %13: i64x32 = add %4, 3
      %14: f32x32 = load left[%13]
      %15: f32x32 = fma %14, %3, %v
      %16: i64 = sub 32, %q
      %17: i64x32 = splat %16
      %18: i64x32 = add %tox, %17
      store left[%18], %x1 mask %getx
      store right[%16], %y1 mask %gety
      barrier
      yield %16, %6, %9, %12, %15
    %a1: f32x32 = shuffle %a, i32(16)
    %a2: f32x32 = add %a, %a1
    %a3: f32x32 = shuffle %a2, i32(8)
    %a4: f32x32 = add %a2, %a3
    %c1: f32x32 = shuffle %c, i32(16)
    %c2: f32x32 = add %c, %c1
    %c3: f32x32 = shuffle %c2, i32(8)
    %c4: f32x32 = add %c2, %c3
    %d1: f32x32 = shuffle %d, i32(16)
    %d2: f32x32 = add %d, %d1
    %d3: f32x32 = shuffle %d2, i32(8)
    %d4: f32x32 = add %d2, %d3
    %e1: f32x32 = shuffle %e, i32(16)
    %e2: f32x32 = add %e, %e1
    %e3: f32x32 = shuffle %e2, i32(8)
    %e4: f32x32 = add %e2, %e3
    %o0: i64 = mul %own, 8
    %o1: i64 = add %o0, 8
    %o2: i64 = add %o0, 16
    %o3: i64 = add %o0, 24
    store o[%o0], %a4 mask %few
    store o[%o1], %c4 mask %few
    store o[%o2], %d4 mask %few
    store o[%o3], %e4 mask %few
    yield
""".replace("CARRIED", ", ".join(f"%{name}: f32x32 = 0.0" for name in "stuv"))
ROW, DEPTH = 192, 12


def halved(lanes: Array) -> Array:
    while lanes.shape[0] > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return np.asarray(lanes[0])


def case(text: str) -> tuple[list[Array], int, int, Array]:
    """Arrays, the size, the number of blocks, and the result in the order of `order.py`."""
    rng = np.random.default_rng(0)
    if text.startswith("func rows"):
        x = rng.normal(size=(3, ROW)).astype(np.float32)
        want = []
        for row in x.reshape(3, -1, 64):
            lanes = np.zeros(64, np.float32)
            for line in row:
                lanes = (line.astype(np.float64) ** 2 + lanes).astype(np.float32)  # one rounding
            want.append(row.reshape(-1) / halved(lanes))
        return [x], ROW, 3, np.array(want, np.float32)
    a, c = (rng.normal(size=shape).astype(np.float32) for shape in ((8, DEPTH), (DEPTH, 8)))
    chains = np.zeros((4, 8, 8), np.float32)
    for step in range(DEPTH):
        exact = a[:, step, None].astype(np.float64) * c[step].astype(np.float64)
        chains[step % 4] = (exact + chains[step % 4]).astype(np.float32)
    return [a, c], DEPTH, 1, halved(chains)


def interpreted(text: str) -> tuple[Array, Array]:
    arrays, size, blocks, want = case(text)
    out = np.zeros(want.size, np.float32)
    memory = dict(zip("xy", (a.reshape(-1) for a in arrays), strict=False)) | {"o": out}
    interpret_func(parse_func(text), memory, {"n": size, "blocks": blocks}, 0, blocks)
    return out.reshape(want.shape), want


def simulated(text: str, pattern: str = "", to: str = "") -> tuple[Array, Array]:
    arrays, size, blocks, want = case(text)
    func = parse_func(text)
    memory = Memory()
    places: list[Any] = [memory.upload(a, "input", writable=False) for a in arrays]
    out = memory.allocate(4 * want.size, "o")
    found, args = entry(func), [*places, out, size, blocks]
    ptx = emit_assembly(emit([func]), target("sm_90"))
    check(ptx)
    if pattern:
        ptx, count = re.subn(pattern, to, ptx)
        assert count
    launch(parse(ptx), func.name, blocks, found.threads, args, memory, at_launch(found, args))
    return memory.download(out, want.shape, np.float32), want


@pytest.mark.parametrize("text", [ROWS, PRODUCT])
def test_the_same_bits_everywhere(text: str) -> None:
    func = parse_func(text)
    assert print_func(func) == text and parse_func(print_func(func)) == func
    verify_func(func)
    for got, want in (interpreted(text), simulated(text)):
        assert (got.view(np.int32) == want.view(np.int32)).all()


@pytest.mark.parametrize("text, number", [(ROWS, 0), (ROWS, 1), (PRODUCT, 0), (PRODUCT, 1)])
def test_a_missing_barrier_is_a_race(text: str, number: int) -> None:
    """Found at the loop level, and in PTX."""
    lines = text.splitlines(keepends=True)
    barriers = [n for n, line in enumerate(lines) if line.strip() == "barrier"]
    del lines[barriers[number]]
    without = "".join(lines)
    with pytest.raises(Race, match=r"since the last barrier of `(all|left|right)`"):
        interpreted(without)
    if (text, number) == (ROWS, 1):
        return  # between two blocks, each of which has a team of its own in PTX
    with pytest.raises(PtxError) as error:
        simulated(without)
    assert error.value.kind == "race"


@pytest.mark.parametrize("text, right, wrong", [(ROWS, 8, 9), (ROWS, 16, 1), (PRODUCT, 16, 8)])
def test_a_swapped_shuffle_distance_changes_the_bits(text: str, right: int, wrong: int) -> None:
    swapped = text.replace(f"i32({right})", f"i32({wrong})")
    got, want = interpreted(swapped)
    assert (got != want).any()
    got, want = simulated(text, rf"(shfl\.sync\.bfly\.b32 .*), {right}, 31", rf"\1, {wrong}, 31")
    assert (got != want).any()


def test_a_barrier_that_not_all_come_to() -> None:
    text = ROWS.replace("0 .. %n step 64 vector (", "0 .. %thread step 64 vector (").replace(
        "      yield %6", "      barrier\n      yield %6"
    )
    with pytest.raises(VerifyError, match="a barrier in a loop whose bounds differ from thread to thread"):
        verify_func(parse_func(text))
    with pytest.raises(RuntimeError, match="a barrier that not all threads of the team come to"):
        interpreted(text)


@pytest.mark.parametrize(
    "line, message",
    [
        ("shared a: f32[%s]", "the size of an alloc is a number, or of shared memory a slot of integers"),
        ("alloc a: f32[%n]", "the size of an alloc is a number, or of shared memory a slot of integers"),
        ("%a: f32x4 = shuffle f32x4(1), i32(4)", "shuffle cannot give f32x4 here"),
        ("%a: f32x3 = shuffle f32x3(1), i32(1)", "shuffle cannot give f32x3 here"),
        ("%a: f32x4 = shuffle f32x4(1), i64(1)", "shuffle cannot give f32x4 here"),
    ],
)
def test_what_is_refused(line: str, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify_func(parse_func(f"func f(n: int, s: i64) team 2\n  {line}\n"))


def test_how_many_threads() -> None:
    for count in (0, 33):
        with pytest.raises(VerifyError, match=f"a team has 1 to 32 threads, not {count}"):
            verify_func(parse_func(f"func f() team {count}\n"))
    with pytest.raises(ValueError, match="func rows: a team of 2 threads; here it is one"):
        emit_cpu([parse_func(ROWS)], host())


def test_shared_memory_of_a_launch() -> None:
    found = entry(parse_func(ROWS))
    assert (found.warps, found.each, found.shared, found.asked) == (2, 1, 256, (("n", 4),))
    assert at_launch(found, [0, 0, 5, 1]) == 32
    with pytest.raises(ValueError, match="kernel rows: 49168 bytes of shared memory; there are 49152"):
        at_launch(found, [0, 0, 12225, 1])


def test_two_lanes_for_one_element() -> None:
    lines = "func f(o: f32[])", "%1: i64x4 = iota", "%2: i64x4 = and %1, 1", "store o[%2], f32x4(0.0)"
    func = parse_func("\n  ".join(lines) + "\n")
    verify_func(func)
    with pytest.raises(ValueError, match="two lanes store to one element"):
        interpret_func(func, {"o": np.zeros(4, np.float32)}, {})


def test_a_shuffle_on_a_cpu() -> None:
    lines = "func f(x: f32[], o: f32[])", "%1: f32x4 = load x[0]", "%2: f32x4 = shuffle %1, i32(3)"
    text = "\n  ".join((*lines, "store o[0], %2")) + "\n"
    x, out = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    interpret_func(parse_func(text), {"x": x, "o": out}, {})
    assert out.tolist() == [3, 2, 1, 0]
    assert "<4 x i32> <i32 3, i32 2, i32 1, i32 0>" in emit_cpu([parse_func(text)], host())


def test_rows_that_are_lowered_for_a_team() -> None:
    """The interpreter has the bits of the CPU, and finds no race."""
    graph, arrays = gpu_case("softmax_team")
    made = compile_graph(graph, target("sm_90"))
    (call,), (plan,) = made.stages.program.calls, made.stages.schedules
    func, short = loops(call.kernel, plan)
    assert (func.team, short.team, short.name) == (2, 1, f"{func.name}.short")
    rows, columns = arrays[0].shape
    numbers = dict.fromkeys((s.name for s in func.slots if s.kind == "int"), columns)
    numbers |= {"n0": rows, "block": 2, "blocks": 3, "stream": 0}
    (want,) = Executable(compiled(graph).plan)(arrays)
    for one in (func, short):
        out = np.zeros(rows * columns, np.float32)
        interpret_func(one, {"a0": arrays[0].reshape(-1), "o0": out}, numbers, 0, 3)
        assert (out.view(np.int32) == want.reshape(-1).view(np.int32)).all()


def test_what_is_left_of_blocks_takes_no_longer_turns_than_the_rest() -> None:
    """Found by `lucid fuzz`: a sum of uint64 beside an argmin had fewer vectors than a turn took."""
    x, v = np.array([5, 8], np.uint32), np.array([[7], [4]], np.uint8)

    def f(x: Any, v: Any) -> tuple[lucid.Tensor, ...]:
        y = x - 0
        z = y.astype("uint8")
        return v - (z - z), x.sum(axis=0, keepdims=True), y.reshape(-1, 1).argmin(axis=None)

    for one, other in zip(lucid.compile(f, device="ptx-sim")(x, v), lucid.compile(f)(x, v), strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()
