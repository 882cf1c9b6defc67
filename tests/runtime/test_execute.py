"""Running plans: right results from any layout, and no native call with a wrong buffer."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from lucid.compiler.ir.artifact import Address, Buffer, Launch, Plan
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.types import f32
from lucid.runtime import execute, memory, pool
from lucid.runtime.execute import Executable

from .handwritten import add_code, add_plan, sum_plan, total_code

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def many_threads() -> Iterator[None]:
    """More threads than this machine has: what may go wrong will."""
    before = pool.get_num_threads()
    pool.set_num_threads(8)
    yield
    pool.set_num_threads(before)


def numbers(n: int) -> np.ndarray:
    return RANDOM.standard_normal(n).astype(np.float32)


@pytest.mark.parametrize("n", [0, 1, 5, 1023, 1024, 1025, 50_000, 300_000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_add(n: int, threads: int) -> None:
    x, y = numbers(n), numbers(n)
    (o,) = Executable(add_plan(n))([x, y], threads=threads)
    assert o.dtype == np.float32
    np.testing.assert_array_equal(o, x + y)


def test_two_launches_share_working_memory_and_bits_do_not_depend_on_threads() -> None:
    n = 300_000
    x, y = numbers(n), numbers(n)
    run = Executable(sum_plan(n, struct.pack("<f", 0.5)))
    results = [run([x, y], threads=t)[0] for t in (1, 2, 3, 8) for _ in range(5)]
    assert all(r.tobytes() == results[0].tobytes() for r in results)
    np.testing.assert_allclose(results[0], 0.5 * (x.astype("f8") + y).sum(), rtol=1e-3, atol=1e-2)


def group_plan(sizes: list[int]) -> Plan:
    """For each n: o = x + x, and the sum of x; all in one group."""
    buffers: list[Buffer] = []
    launches: list[Launch] = []
    offset, block = 0, 1024
    for n in sizes:
        first, blocks = len(buffers), -(-n // block)
        buffers += [
            Buffer("input", f32, (n,), 4 * n),
            Buffer("output", f32, (n,), 4 * n),
            Buffer("output", f32, (), 4),
            Buffer("temp", f32, (blocks,), 4 * blocks, offset),
        ]
        offset += (4 * blocks + 63) // 64 * 64
        x, o, total, part = (Address(first + k) for k in range(4))
        launches += [
            Launch(add_code(), (x, x, o, n, block), blocks, 12 * n, bool(launches)),
            Launch(total_code(), (x, part, total, n, block, struct.pack("<f", 1)), blocks, 4 * n, True),
        ]
    outputs = tuple(k for k, b in enumerate(buffers) if b.kind == "output")
    inputs = tuple(k for k, b in enumerate(buffers) if b.kind == "input")
    return Plan(tuple(buffers), inputs, outputs, (-1,) * len(outputs), tuple(launches), offset)


@pytest.mark.parametrize("sizes", [[5], [300_000, 1], [0, 40_000, 0], [1000 * k for k in range(40)]])
def test_a_group_is_one_region_and_has_the_bits_of_its_launches(sizes: list[int]) -> None:
    plan = group_plan(sizes)
    alone = replace(plan, launches=tuple(replace(launch, joins=False) for launch in plan.launches))
    xs = [numbers(n) for n in sizes]
    expected = [r.tobytes() for r in Executable(alone)(xs, threads=1)]
    for made, groups in ((plan, 1), (alone, 2 * len(sizes))):
        run = Executable(made)
        assert run.groups == groups
        for threads in (1, 2, 8):
            run(xs, threads=threads)
            before = pool.regions()
            assert [r.tobytes() for r in run(xs, threads=threads)] == expected
            if made is plan:
                assert pool.regions() - before == (run.large and threads > 1)


def test_a_group_beyond_the_stack_is_several() -> None:
    run = Executable(group_plan([3] * 500))
    assert 1 < run.groups < 10
    assert run.scratch <= execute.MOST_WORDS
    xs = [numbers(3) for _ in range(500)]
    for x, got in zip(xs, run(xs)[::2], strict=True):
        np.testing.assert_array_equal(got, x + x)


def test_inputs_of_any_layout() -> None:
    n = 1000
    run = Executable(add_plan(n))
    x, y = numbers(n), numbers(n)
    misaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)
    assert not misaligned.flags.aligned
    read_only = x.copy()
    read_only.flags.writeable = False
    for same in (
        np.repeat(x, 2)[::2],
        x[::-1].copy()[::-1],
        x.astype(">f4"),
        misaligned,
        read_only,
        x.view(np.recarray),
        np.broadcast_to(x, (1, n))[0],
    ):
        np.testing.assert_array_equal(run([same, y])[0], x + y)
    zeros = np.broadcast_to(np.float32(1), (n,))
    np.testing.assert_array_equal(run([zeros, y])[0], 1 + y)


def test_a_given_output_of_any_layout() -> None:
    n = 1000
    run = Executable(add_plan(n))
    x, y = numbers(n), numbers(n)
    wide = np.zeros(2 * n, np.float32)
    raw = np.zeros(4 * n + 1, np.uint8)
    for out in (
        np.zeros(n, np.float32),
        wide[::2],
        np.zeros(n, ">f4"),
        raw[1:].view(np.float32),
        np.zeros(n, np.float32)[::-1],
    ):
        results = run([x, y], [out])
        assert results[0] is out
        np.testing.assert_array_equal(out, x + y)
    assert (wide[1::2] == 0).all() and raw[0] == 0


def test_an_output_may_overwrite_the_input_that_the_plan_names() -> None:
    x, y = numbers(1000), numbers(1000)
    expected = x + y
    assert Executable(add_plan(1000))([x, y], [x])[0] is x
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("shift", [-8, -1, 0, 1, 8])
@pytest.mark.parametrize("which", [0, 1])
def test_overlapping_memory_is_never_read_after_it_is_written(shift: int, which: int) -> None:
    base = numbers(2000)
    inputs = [numbers(1000), numbers(1000)]
    inputs[which] = base[500:1500]
    expected = inputs[0] + inputs[1]
    out = base[500 + shift : 1500 + shift]
    Executable(add_plan(1000))(inputs, [out])
    np.testing.assert_array_equal(out, expected)


def test_the_same_array_as_both_inputs_and_the_output() -> None:
    x = numbers(1000)
    expected = x + x
    Executable(add_plan(1000))([x, x], [x])
    np.testing.assert_array_equal(x, expected)


def test_two_outputs_in_one_array() -> None:
    n = 100
    buffers = tuple(Buffer(k, f32, (n,), 4 * n) for k in ("input", "input", "output", "output"))
    launches = tuple(
        Launch(add_code(), (Address(a), Address(b), Address(o), n, 64), 2, 12 * n)
        for a, b, o in ((0, 1, 2), (0, 2, 3))
    )
    run = Executable(Plan(buffers, (0, 1), (2, 3), (-1, -1), launches, 0))
    x, y = numbers(n), numbers(n)
    both = np.zeros(150, np.float32)
    run([x, y], [both[:100], both[50:]])
    np.testing.assert_array_equal(both[50:], x + (x + y))


def test_wrong_arguments_change_nothing() -> None:
    run = Executable(add_plan(10))
    x = numbers(10)
    out = np.zeros(10, np.float32)
    frozen = np.zeros(10, np.float32)
    frozen.flags.writeable = False
    for inputs, outs, error, text in (
        ([x], None, TypeError, "expected 2 inputs, got 1"),
        ([x, x, x], None, TypeError, "expected 2 inputs, got 3"),
        ([x, list(x)], None, TypeError, "input 1: expected a NumPy array, got list"),
        ([x, x.astype("f8")], None, TypeError, "input 1: expected dtype float32, got float64"),
        ([x.astype("i4"), x], None, TypeError, "input 0: expected dtype float32, got int32"),
        ([x, x[:9]], None, ValueError, r"input 1: expected shape \(10,\), got \(9,\)"),
        ([x, x[None]], None, ValueError, r"input 1: expected shape \(10,\), got \(1, 10\)"),
        ([x, x], [], TypeError, "expected 1 outputs, got 0"),
        ([x, x], ["o"], TypeError, "output 0: expected a NumPy array, got str"),
        ([x, x], [out.astype("f8")], TypeError, "output 0: expected dtype float32, got float64"),
        ([x, x], [out[:5]], ValueError, r"output 0: expected shape \(10,\), got \(5,\)"),
        ([x, x], [frozen], ValueError, "output 0: the array is read-only"),
    ):
        with pytest.raises(error, match=text):
            run(inputs, outs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        run([x, x], [out], threads=0)
    assert not out.any() and not frozen.any()


def test_a_plan_that_contradicts_itself() -> None:
    plan = sum_plan(100, bytes(4))
    buffers = plan.buffers
    launch = plan.launches[0]
    for changes, text in (
        ({"outputs": (0,)}, "buffer 0 is input, not output"),
        ({"aliases": ()}, "one alias per output"),
        ({"outputs": (2, 2), "aliases": (-1, -1)}, "twice"),
        ({"temp_bytes": 100}, "outside the working memory"),
        ({"buffers": (replace(buffers[0], nbytes=4), *buffers[1:])}, "smaller"),
        ({"launches": (replace(launch, slots=(Address(9),)),)}, "no buffer 9"),
        ({"launches": (replace(launch, slots=(Address(0, -8),)),)}, "outside of buffer 0"),
        ({"launches": (replace(launch, slots=(Address(0, 1 << 20),)),)}, "outside of buffer 0"),
        ({"launches": (replace(launch, slots=(1 << 63,)),)}, "64 bits"),
        ({"launches": (replace(launch, slots=(bytes(9),)),)}, "9 bytes"),
    ):
        with pytest.raises(ValueError, match=text):
            Executable(replace(plan, **changes))


def test_memory_does_not_grow() -> None:
    run = Executable(sum_plan(5000, struct.pack("<f", 1.0)))
    x, y = numbers(5000), numbers(5000)
    run([x, y])
    used = memory.statistics().used
    for _ in range(100):
        run([x, y])
    assert memory.statistics().used == used


def test_many_threads_share_an_executable() -> None:
    n = 100_000
    run = Executable(sum_plan(n, struct.pack("<f", 1.0)))
    inputs = [(numbers(n), numbers(n)) for _ in range(8)]
    expected = [run([x, y], threads=1)[0] for x, y in inputs]
    failures = []

    def work(k: int) -> None:
        for _ in range(30):
            if run(list(inputs[k]), threads=2)[0] != expected[k]:
                failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_no_launch_at_all() -> None:
    assert Executable(Plan((), (), (), (), (), 0))([]) == []


def test_the_number_of_threads_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def reach(threads: int) -> int:
        asked.append(threads)
        return 0

    monkeypatch.setattr(pool, "reach", reach)
    x = numbers(200_000)
    run = Executable(add_plan(200_000))
    for threads in (None, 1, 3, 100):
        np.testing.assert_array_equal(run([x, x], threads=threads)[0], x + x)
    pool.set_num_threads(1)
    run([x, x], threads=4)
    assert asked == [8, 1, 3, 8, 1]
