"""Sorts that keep the first elements, rising and falling: few of many are looked for, between guard pages."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import lucid
from lucid.compiler import ops
from lucid.compiler.cpu.lower_network import network, pairs
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import SORTED as MOST
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.layout import face
from lucid.compiler.ir.program import Program
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.prove import prove
from lucid.compiler.passes.runs import LONG, in_runs
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import print_func
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.host import host
from lucid.testing.bits import assert_same_bits
from tests.guarded import Array, run_kernel
from tests.native import build

TEXT = (
    "kernel t(x: {}[n, m]) -> (o: i64[n, k])\n"
    "  for a in n\n"
    "    stage b in m\n"
    "      o[a, b] = sort b{} (x[a, b]) first k\n"
)
WAYS: dict[str, Callable[[Array], Array]] = {
    "any": lambda x: x,
    "equal ones": lambda x: np.round(x / 40),
    "rising": lambda x: np.sort(x, axis=1),
    "falling": lambda x: -np.sort(-x, axis=1),
    "not numbers": lambda x: np.where(x % 3 < 1, np.nan, x),
    "all equal": lambda x: np.zeros_like(x),
}


def _values(way: str, n: int, m: int) -> Array:
    return WAYS[way](np.random.default_rng(m).normal(size=(n, m)) * 100)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("m", "k"), [(2, 2), (128, 5), (129, 2), (1000, 10), (3000, 700), (3000, 3000), (20_000, 40)]
)
def test_some_of_many(m: int, k: int, way: str, falling: bool) -> None:
    kernel = parse_kernel(TEXT.format("f32", " falling" * falling))
    verify_kernel(kernel)
    assert print_kernel(kernel) == TEXT.format("f32", " falling" * falling)
    arrays = {"x": _values(way, 3, m).astype("float32")}
    symbols = {"n": 3, "m": m, "k": k}
    want = interpret_kernel(kernel, arrays, {}, symbols)["o"]
    assert want.shape == (3, k)
    for width in (64, 16):
        found = run_kernel(kernel, arrays, symbols, None, replace(host(), vector_bytes=width))["o"]
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("kind", ["f64", "f16", "i64", "u8", "i16", "u32", "b1"])
@pytest.mark.parametrize("falling", [False, True])
def test_dtypes(kind: str, falling: bool) -> None:
    kernel = parse_kernel(TEXT.format(kind, " falling" * falling))
    dtype = kernel.params[0].dtype.np
    arrays = {"x": np.abs(_values("any", 2, 2000)).astype(dtype)}
    symbols = {"n": 2, "m": 2000, "k": 20}
    want = interpret_kernel(kernel, arrays, {}, symbols)["o"]
    np.testing.assert_array_equal(run_kernel(kernel, arrays, symbols)["o"], want)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(("n", "k"), [(9, 1), (300, 1), (300, 20), (300, 200), (40_000, 50)])
def test_topk(n: int, k: int, largest: bool) -> None:
    """The first of equal ones first; NaN greatest."""
    x = _values("not numbers", 1, n)[0].astype("float32")
    order = n - 1 - np.argsort(x[::-1], kind="stable")[::-1] if largest else np.argsort(x, kind="stable")
    values, places = lucid.compile(lambda x: lucid.topk(x, k, largest=largest))(x)
    np.testing.assert_array_equal(places.numpy(), order[:k])
    np.testing.assert_array_equal(values.numpy(), x[order[:k]])


def test_few_are_found_in_one_kernel_that_sorts_and_one_that_reads() -> None:
    found = lucid.compile(lambda x: lucid.topk(x, 5))
    found(_values("any", 3, 300))
    assert [kernel.text.count("falling") for kernel in found.kernels] == [1, 0]
    assert found.kernels[0].bytes == 8 * 3 * 300 + 8 * 3 * 5


def test_no_more_than_there_are() -> None:
    graph = build(lambda x: ops.ARGTOP(x, axis=0, count=(4,), falling=True), [np.zeros(9)])
    (call,) = fuse(simplify(graph)).calls
    (first,) = (name for name, value in call.symbols.items() if value == 4)
    longer = replace(call, symbols={**call.symbols, first: 10})
    with pytest.raises(VerifyError):
        prove(Program(graph, (longer,)), [face(call.kernel)])
    with pytest.raises(TypeError, match="10 of 9 elements"):
        ops.ARGTOP(graph.inputs[0], axis=0, count=(10,), falling=True)
    with pytest.raises(VerifyError, match="a dimension of `o` is k, but b runs to m"):
        verify_kernel(parse_kernel(TEXT.format("f32", "").replace(" first k", "")))


@pytest.mark.parametrize("n", [2, 3, 7, 8, 31, 100, 128])
def test_a_network_sorts_whatever_comes(n: int) -> None:
    """Zeros and ones in any order, which shows it for all: of few every one, of many some."""
    if n <= 8:
        x = np.arange(1 << n)[:, None] >> np.arange(n) & 1
    else:
        x = np.random.default_rng(n).integers(0, 2, (300, n))
    for left, right in network(n):
        x[:, [left, right]] = np.sort(x[:, [left, right]], axis=1)
    assert (np.diff(x, axis=1) >= 0).all() and pairs(n) == len(network(n))


@pytest.mark.parametrize("along", [True, False])
@pytest.mark.parametrize("kind", ["f32", "i16", "u8", "b1", "f64"])
@pytest.mark.parametrize(("rows", "m"), [(1, 2), (7, 5), (8, 64), (20, 33), (17, 128), (5, 1), (0, 4)])
def test_short_rows(rows: int, m: int, kind: str, along: bool) -> None:
    """Several at a time, along memory and across it."""
    dims, index = ("n, m", "a, b") if along else ("m, n", "b, a")
    kernel = parse_kernel(
        f"kernel t(x: {kind}[{dims}]) -> (o: i64[{dims}])\n"
        f"  for a in n\n    stage b in m\n      o[{index}] = sort b (x[{index}])\n"
    )
    verify_kernel(kernel)
    values = np.abs(_values("equal ones", rows, m)).astype(kernel.params[0].dtype.np)
    arrays = {"x": np.ascontiguousarray(values if along else values.T)}
    want = np.argsort(arrays["x"], axis=int(along), kind="stable")
    for width in (64, 16):
        target = replace(host(), vector_bytes=width)
        np.testing.assert_array_equal(
            run_kernel(kernel, arrays, {"n": rows, "m": m}, None, target)["o"], want
        )


@pytest.mark.parametrize("values", [False, True])
def test_short_rows_along_memory_are_turned(values: bool) -> None:
    """A vector of each of so many rows is read and written as it lies; the one beside is that of rows that
    are sorted by themselves. Element by element go the shortest rows alone."""
    what, out = (" values", "f32") if values else ("", "i64")
    for dims, index, turned in (("n, m", "a, b", True), ("m, n", "b, a", False)):
        kernel = parse_kernel(
            f"kernel t(x: f32[{dims}]) -> (o: {out}[{dims}])\n"
            f"  for a in n\n    stage b in m\n      o[{index}] = sort b{what} (x[{index}])\n"
        )
        (func,) = lower(kernel, schedule(kernel, 64))
        text, count = print_func(func), turned * schedule(kernel, 64).width
        assert len(re.findall(r"load x\[[^\]:]*\] mask", text)) == count + 1
        assert len(re.findall(r"store o\[[^\]:]*\], %\d+ mask", text)) == count + (values or not turned)
        assert len(re.findall(r"load x\[[^\]]*:[^\]]*\] mask", text)) == 1


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("kind", ["f32", "f64", "i16", "u8", "b1"])
@pytest.mark.parametrize("shape", [(3, 5, 9), (2, 64, 20), (40, 3, 2), (3, 0, 9), (7, 65, 8), (0, 4, 9)])
def test_short_rows_between_other_axes(shape: tuple[int, int, int], kind: str, values: bool) -> None:
    """Vectors run along the last axis, from line to line."""
    what, out = (" values", kind) if values else ("", "i64")
    kernel = parse_kernel(
        f"kernel t(x: {kind}[n, m, p]) -> (o: {out}[n, m, p])\n"
        f"  for a in n, c in p\n    stage b in m\n      o[a, b, c] = sort b{what} (x[a, b, c])\n"
    )
    verify_kernel(kernel)
    n, m, p = shape
    x = np.abs(_values("equal ones", n * m * p, 1)).reshape(shape).astype(kernel.params[0].dtype.np)
    want = np.sort(x, axis=1) if values else np.argsort(x, axis=1, kind="stable")
    for width in (64, 16):
        target = replace(host(), vector_bytes=width)
        found = run_kernel(kernel, {"x": x}, {"n": n, "m": m, "p": p}, None, target)["o"]
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "i64", "u8", "i16", "u32", "b1"])
@pytest.mark.parametrize("m", [2, 3, 7, 16, 33, 100, 1000, MOST, MOST + 1])
def test_values(m: int, kind: str, falling: bool) -> None:
    """Of one row through the network of vectors, of long ones digit by digit; zeros by their signs."""
    over = "b falling values" if falling else "b values"
    kernel = parse_kernel(
        f"kernel t(x: {kind}[m, n]) -> (o: {kind}[m, n])\n"
        f"  for a in n\n    stage b in m\n      o[b, a] = sort {over} (x[b, a])\n"
    )
    verify_kernel(kernel)
    assert f"sort {over} (" in print_kernel(kernel)
    dtype = kernel.params[0].dtype.np
    with np.errstate(invalid="ignore"):
        columns = [_values(way, 1, m)[0] for way in ("any", "equal ones", "falling")]
        if kind[0] == "f":
            columns += [_values("not numbers", 1, m)[0], np.copysign(0.0, columns[0])]
        if m < 40:  # so many that several are sorted at a time
            columns *= 3
        arrays = {"x": np.stack(columns, axis=1).astype(dtype)}
    symbols = {"n": len(columns), "m": m}
    want = interpret_kernel(kernel, arrays, {}, symbols)["o"]
    np.testing.assert_array_equal(want, np.sort(arrays["x"], axis=0)[:: -1 if falling else 1])
    for width in (64, 32, 16) if m < 16 else (64, 16):
        found = run_kernel(kernel, arrays, symbols, None, replace(host(), vector_bytes=width))["o"]
        assert_same_bits(found, want)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "i64", "u32", "b1"])
@pytest.mark.parametrize(("m", "run"), [(1, 1), (9, 1), (100, 33), (100, 100), (3000, 700), (10_000, 5000)])
def test_runs(m: int, run: int, kind: str, falling: bool) -> None:
    """Each by itself, and merged; in columns, and the last one shorter."""
    over = "b falling values" if falling else "b values"
    text = (
        f"kernel t(x: {kind}[m, n]) -> (o: {kind}[m, n])\n"
        f"  for a in n\n    stage b in m\n      o[b, a] = sort {over} (x[b, a])"
    )
    runs, merges = (parse_kernel(f"{text} {how} k\n") for how in ("runs", "merges"))
    for kernel, how in ((runs, "runs"), (merges, "merges")):
        verify_kernel(kernel)
        assert print_kernel(kernel) == f"{text} {how} k\n"
    with np.errstate(invalid="ignore"):
        columns = [_values(way, 1, m)[0] for way in ("any", "equal ones", "rising", "all equal")]
        if kind[0] == "f":
            columns += [_values("not numbers", 1, m)[0], np.copysign(0.0, columns[0])]
        x = np.stack(columns, axis=1).astype(runs.params[0].dtype.np)
    symbols = {"n": len(columns), "m": m, "k": run}
    parts = interpret_kernel(runs, {"x": x}, {}, symbols)["o"]
    want = interpret_kernel(merges, {"x": parts}, {}, symbols)["o"]
    step = -1 if falling else 1

    def rows(x: Array) -> Array:  # by AVX-512, NumPy 2.4's other sort of float16 loses elements
        return np.sort(x, axis=0, kind="stable")[::step]

    for at in range(0, m, run):
        np.testing.assert_array_equal(parts[at : at + run], rows(x[at : at + run]))
    np.testing.assert_array_equal(want, rows(x))
    for width in (64, 16):
        target = replace(host(), vector_bytes=width)
        assert_same_bits(run_kernel(runs, {"x": x}, symbols, None, target)["o"], parts)
        assert_same_bits(run_kernel(merges, {"x": parts}, symbols, None, target)["o"], want)


@pytest.mark.parametrize("kind", ["float32", "int64"])
def test_threads_share_a_long_row(kind: str) -> None:
    """The same values, however many there are; a new size is no new code."""
    alone = lucid.compile(lambda x: lucid.sort(x, axis=-1), threads=1)
    shared = lucid.compile(lambda x: lucid.sort(x, axis=-1), threads=3)
    for way in WAYS:
        for n in (LONG, LONG + 1, 3 * LONG + 5):
            with np.errstate(invalid="ignore"):
                x = _values(way, 1, n)[0].astype(kind)
            found = alone(x).numpy()
            np.testing.assert_array_equal(found, np.sort(x))
            assert_same_bits(shared(x).numpy(), found)
    texts = [kernel.text for kernel in shared.kernels]
    assert [sum(how in text for text in texts) for how in (") runs", ") merges")] == [1, 1]


@pytest.mark.parametrize(("rows", "kernels"), [(1, 2), (15, 2), (16, 1)])
def test_many_rows_are_sorted_each_by_a_thread(rows: int, kernels: int) -> None:
    found = lucid.compile(lambda x: lucid.sort(x, axis=1, descending=True))
    x = _values("any", rows, LONG + 1).astype("float32")
    np.testing.assert_array_equal(found(x).numpy(), -np.sort(-x, axis=1))
    assert len(found.kernels) == kernels


def test_a_row_has_not_too_many_runs() -> None:
    graph = build(lambda x: ops.SORT(x, axis=0, falling=False), [np.zeros(LONG + 1)])
    runs, merge = in_runs(fuse(simplify(graph))).calls
    few = replace(merge, symbols={name: 1 if name == "n1" else n for name, n in merge.symbols.items()})
    with pytest.raises(VerifyError, match="elements in runs of `n1` = 1"):
        prove(Program(graph, (runs, few)), [face(runs.kernel), face(few.kernel)])
    with pytest.raises(VerifyError, match="runs are of values"):
        verify_kernel(parse_kernel(TEXT.format("f32", "").replace(" first k", " runs k")))


@pytest.mark.parametrize("n", [17, 32, 100, 128, 200, 530])
def test_vectors_sort_whatever_comes(n: int) -> None:
    """Zeros and ones in any order, which shows it for all: of some elements every one, and some of all."""
    rng = np.random.default_rng(n)
    x = rng.integers(0, 2, (1 << 11, n)).astype("uint8")
    x[:, rng.choice(n, 11, replace=False)] = np.arange(1 << 11)[:, None] >> np.arange(11) & 1
    found = lucid.compile(lambda x: lucid.sort(x, axis=1))(x).numpy()
    np.testing.assert_array_equal(found, np.sort(x, axis=1))


def _hard(way: str, n: int) -> Array:
    rng = np.random.default_rng(n)
    if way == "powers of two":  # the middle between two bounds leaves most of them on one side
        return np.asarray(np.exp2(rng.integers(0, 60, n)))
    if way == "lesser ones where medians are sought":
        x = rng.integers(1 << 20, 1 << 40, n)
        for part in range(n // 2000 * 2000, 0, -50):
            x[part // 32 :: max(1, part // 16)] = np.arange(len(x[part // 32 :: max(1, part // 16)]))
        return x
    if way == "one that differs":
        return np.equal(np.arange(n), n // 3).astype(int)
    return np.tile(np.arange(7) << 40, n)[:n]


@pytest.mark.parametrize("kind", ["f32", "f64", "i64", "u64"])
@pytest.mark.parametrize(
    "way", ["powers of two", "lesser ones where medians are sought", "one that differs", "seven values"]
)
def test_rows_are_divided_however_keys_come(way: str, kind: str) -> None:
    kernel = parse_kernel(
        f"kernel t(x: {kind}[n, m]) -> (o: {kind}[n, m])\n"
        "  for a in n\n    stage b in m\n      o[a, b] = sort b values (x[a, b])\n"
    )
    for m in (4097, 20_011):
        x = _hard(way, m)[None].astype(kernel.params[0].dtype.np)
        for width in (64, 32):
            target = replace(host(), vector_bytes=width)
            found = run_kernel(kernel, {"x": x}, {"n": 1, "m": m}, None, target)["o"]
            np.testing.assert_array_equal(found, np.sort(x))


def test_a_mask_goes_back_through_a_sort() -> None:
    """Where the greatest elements are left out, their infinite derivatives are, too."""
    x = np.array([0.0, 4.0, 9.0], "float32")

    def roots(x: lucid.Tensor) -> lucid.Tensor:
        found = lucid.sort(lucid.sqrt(x), axis=0, descending=True)
        return lucid.where(np.array([True, True, False]), found, 0.0).sum()

    np.testing.assert_array_equal(
        lucid.grad(roots)(lucid.Tensor(x)).numpy(), np.array([0, 1 / 4, 1 / 6], "float32")
    )


@pytest.mark.parametrize("first", ["", " first k"])
@pytest.mark.parametrize("kind", ["i64", "u32", "u16", "f64", "i8"])
@pytest.mark.parametrize("step", [1, 256, 1 << 16, 1 << 24, 1 << 40, 0])
def test_digits_that_are_the_same_in_all_are_left_out(step: int, kind: str, first: str) -> None:
    """One digit varies, two neighbours do, or none does."""
    text = TEXT.format(kind, "").replace(" first k", first)
    kernel = parse_kernel(text if first else text.replace("i64[n, k]", "i64[n, m]"))
    verify_kernel(kernel)
    dtype = kernel.params[0].dtype.np
    size = np.dtype(dtype).itemsize * 8 if kind != "f64" else 50
    values = np.random.default_rng(step % 97).integers(0, 300, (2, 1000)) * (
        step if step < 1 << (size - 2) else 1
    )
    arrays = {"x": values.astype(dtype)}
    symbols = {"n": 2, "m": 1000, "k": 30} if first else {"n": 2, "m": 1000}
    want = np.argsort(arrays["x"], axis=1, kind="stable")
    found = run_kernel(kernel, arrays, symbols)["o"]
    np.testing.assert_array_equal(found, want[:, :30] if first else want)


@pytest.mark.parametrize("n", [48, 144, 300])
def test_keys_of_whole_vectors_are_read_and_written_once(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys have vectors of another width than the schedule's: the step along them must be theirs. It had been
    half of that, and the last vector went beyond its array."""
    monkeypatch.setenv("LUCID_CHECK", "1")
    x = np.random.default_rng(n).normal(size=n).astype("float32")
    assert np.array_equal(lucid.compile(lambda x: lucid.sort(x, axis=0))(x).numpy(), np.sort(x))


@pytest.mark.parametrize("n", [3, 5, 17, 40])
@pytest.mark.parametrize("m", [1, 4, 9])
def test_short_rows_of_which_each_is_computed_otherwise(m: int, n: int) -> None:
    """What depends on the row alone was known as a vector of rows already, where rows are turned."""
    rng = np.random.default_rng(0)
    x, chosen = rng.normal(size=(m, n)), rng.normal(size=(m, 1)) > 0
    places = lucid.compile(lambda x, c: lucid.argsort(lucid.where(c, x, -x), axis=1))(x, chosen)
    assert np.array_equal(places.numpy(), np.argsort(np.where(chosen, x, -x), axis=1))
    padded = lucid.compile(lambda x: lucid.sort(lucid.pad(x, ((2, 3), (1, 2))), axis=1))(x)
    assert np.array_equal(padded.numpy(), np.sort(np.pad(x, ((2, 3), (1, 2))), axis=1))
    scaled = lucid.compile(lambda x: lucid.sort(x * lucid.arange(m)[:, None], axis=1)[:, :2])(x)
    assert np.array_equal(scaled.numpy(), np.sort(x * np.arange(m)[:, None], axis=1)[:, :2])
