"""Kernels that read, add, scan and sort at places that data decide: texts by hand, from parsing to machine
code between guard pages, whatever the indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.ir.loop import For, Load, Store
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.lexer import IRSyntaxError
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.host import host
from tests.guarded import Array, run_kernel
from tests.native import build, compiled, run

GATHERS = {
    "flat": (
        "kernel t(x: f32[p], i: i64[n]) -> (o: f32[n])\n for a in n\n  stage\n   o[a] = pick(x, i[a])\n"
    ),
    "a row for each index": """kernel t(x: f32[p, m], i: i64[n]) -> (o: f32[n, m])
 for a in n
  stage b in m
   o[a, b] = pick(x, i[a], at(b)) + pick(x, i[a] + 1, at(b))
""",
    "an index for each element": """kernel t(x: f64[n, p:], j: i64[n, m]) -> (o: f64[n, m])
 for a in n
  stage b in m
   o[a, b] = pick(x, at(a), j[a, b])
""",
    "reduced": """kernel t(x: i16[p], j: i64[n, m]) -> (o: i16[n])
 for a in n
  stage b in m
   r = max(pick(x, j[a, b]))
  stage
   o[a] = r
""",
    "bools and positions": """kernel t(x: b1[p], i: i64[n]) -> (o: b1[n], q: i64[n])
 for a in n
  stage
   o[a] = pick(x, at(a) + size(p) - i[a])
   q[a] = at(a) * size(n)
""",
}
SCATTERS = {
    "flat": "kernel t(v: f32[n], i: i64[n]) -> (o: f32[p])\n stage a in n\n  o(i[a]) += v[a]\n",
    "rows": (
        "kernel t(x: f64[n, m], i: i64[n]) -> (o: f64[p, m])\n"
        " stage a in n, b in m\n"
        "  o(i[a], at(b)) += x[a, b]\n"
    ),
    "greatest": "kernel t(v: f32[n], i: i64[n]) -> (o: f32[p])\n stage a in n\n  o(i[a]) max= v[a]\n",
    "least in rows": (
        "kernel t(x: i16[n, m], i: i64[n]) -> (o: i16[p, m])\n"
        " stage a in n, b in m\n"
        "  o(i[a], at(b)) min= x[a, b]\n"
    ),
    "whether any": "kernel t(v: b1[n], i: i64[n]) -> (o: b1[p])\n stage a in n\n  o(i[a]) max= v[a]\n",
    "columns": (
        "kernel t(x: i8[n, m], j: i64[n, m]) -> (o: i8[n, p])\n"
        " stage a in n, b in m\n"
        "  o(at(a), j[a, b]) += x[a, b]\n"
    ),
    "the same columns of all rows": (
        "kernel t(x: f32[m, n], j: i64[n]) -> (o: f32[m, p])\n"
        " stage a in n, b in m\n"
        "  o(at(b), j[a]) += x[b, a]\n"
    ),
}
SCANS = {
    "along": (
        "kernel t(x: f32[n, m]) -> (o: f32[n, m])\n"
        " for a in n\n"
        "  stage b in m\n"
        "   o[a, b] = scan b sum(x[a, b] * 0.5)\n"
    ),
    "across": (
        "kernel t(x: f64[n, m]) -> (o: f64[n, m])\n"
        " for b in m\n"
        "  stage a in n\n"
        "   o[a, b] = scan a max(x[a, b])\n"
    ),
    "of integers": "kernel t(x: u8[m]) -> (o: u8[m])\n stage b in m\n  o[b] = scan b sum(x[b])\n",
}
SORTS = {
    "along": (
        "kernel t(x: f32[n, m]) -> (o: i64[n, m])\n"
        " for a in n\n"
        "  stage b in m\n"
        "   o[a, b] = sort b (x[a, b])\n"
    ),
    "across": (
        "kernel t(x: i16[n, m]) -> (o: i64[n, m])\n"
        " for b in m\n"
        "  stage a in n\n"
        "   o[a, b] = sort a (x[a, b])\n"
    ),
    "doubles": "kernel t(x: f64[m]) -> (o: i64[m])\n stage b in m\n  o[b] = sort b (abs(x[b]))\n",
}
TEXTS = {
    f"{kind}, {name}": text
    for kind, texts in (("gather", GATHERS), ("scatter", SCATTERS), ("scan", SCANS), ("sort", SORTS))
    for name, text in texts.items()
}
SIZES = [(0, 3, 4), (1, 1, 1), (5, 7, 3), (33, 17, 9), (40, 200, 6), (3, 70, 0)]


def _arrays(kernel: Kernel, symbols: Mapping[str, int], rng: np.random.Generator) -> dict[str, Array]:
    """Indices are anything that an int64 can be; floats have NaN, infinities and both zeros among them."""
    found: dict[str, Array] = {}
    for param in kernel.params:
        shape = tuple(symbols[str(e)] for e in param.dims)  # type: ignore[union-attr]
        if param.name in "ij":
            limits = np.iinfo(np.int64)
            index = rng.integers(-2, symbols["p"] + 2, shape)
            wild = rng.choice(np.array([limits.min, limits.max, -(1 << 40), 1 << 61]), shape)
            found[param.name] = np.where(rng.random(shape) < 0.2, wild, index)
            continue
        values: Array = rng.normal(size=shape) * 3
        if param.dtype.is_float and values.size:
            special = rng.choice(np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0]), shape)
            values = np.where(rng.random(shape) < 0.2, special, values)
        with np.errstate(all="ignore"):
            found[param.name] = values.astype(param.dtype.np)
    return found


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", TEXTS)
def test_native_code_agrees_whatever_the_indices(name: str, sizes: tuple[int, int, int]) -> None:
    kernel = parse_kernel(TEXTS[name])
    verify_kernel(kernel)
    assert parse_kernel(print_kernel(kernel)) == kernel
    symbols = dict(zip("nmp", sizes, strict=True))
    arrays = _arrays(kernel, symbols, np.random.default_rng(sum(sizes)))
    want = interpret_kernel(kernel, arrays, {}, symbols)
    for width in (64, 32, 16):
        for front in (True, False):
            found = run_kernel(kernel, arrays, symbols, None, replace(host(), vector_bytes=width), front)
            for out, value in want.items():
                np.testing.assert_array_equal(found[out], value, err_msg=f"{width} bytes, front={front}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("o[a] = pick(x, i[a], i[a])", "has 1 dimensions, not 2"),
        ("o[a] = pick(x, x[a])", "must be i64"),
        ("o[a] = pick(o, i[a])", "is loaded"),
        ("o[a] = pick(x, at(b))", "not an axis"),
        ("o(i[a]) += x[a]", "no outer axes"),
        ("o[a] = scan a sum(x[a])", "the only axis of the stage"),
        ("o[a] = scan a dot(x[a], x[a])", "one argument"),
        ("o[a] = sort a (x[a])", "stored into"),
    ],
)
def test_unlawful_places(text: str, told: str) -> None:
    kernel = f"kernel t(x: f32[n], i: i64[n]) -> (o: f32[n])\n for a in n\n  stage\n   {text}\n"
    with pytest.raises((VerifyError, IRSyntaxError), match=told):
        verify_kernel(parse_kernel(kernel))


def test_what_adds_at_places_does_nothing_else() -> None:
    text = (
        "kernel t(v: f32[n], i: i64[n]) -> (o: f32[p], q: f32[n])\n"
        " stage a in n\n"
        "  o(i[a]) += v[a]; q[a] = v[a]\n"
    )
    with pytest.raises(VerifyError, match="all that its kernel does"):
        verify_kernel(parse_kernel(text))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_sums_at_places_go_in_the_order_of_their_terms(threads: int) -> None:
    """Bits of NumPy's add.at, for any number of threads: terms of very different sizes tell orders apart."""
    rng = np.random.default_rng(5)
    for beside in ((), (3,), (40,)):
        source = (rng.normal(size=(30_000, *beside)) * 10.0 ** rng.integers(-8, 8, (30_000, *beside))).astype(
            "f4"
        )
        index = rng.integers(0, 50, 30_000)
        graph = build(
            lambda s, i, b=beside: ops.SCATTER_ADD(s, i, shape=(50, *b), axes=(0,)), [source, index]
        )
        want = np.zeros((50, *beside), np.float32)
        np.add.at(want, index, source)
        np.testing.assert_array_equal(run(graph, [source, index], threads)[0], want)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_running_sums_have_numpys_bits(axis: int, threads: int) -> None:
    x = np.random.default_rng(1).normal(size=(700, 900)).astype(np.float32)
    graph = build(lambda x: ops.CUMSUM(x, axis=axis), [x])
    np.testing.assert_array_equal(run(graph, [x], threads)[0], np.cumsum(x, axis=axis))


def test_each_operand_of_a_gather_is_read_once_in_one_kernel() -> None:
    """A lookup, its scale and a sum along rows: one kernel, without the rows in memory."""
    table, index = np.ones((50, 8), np.float32), np.arange(20) % 50

    def looked_up(table: Any, index: Any) -> Any:
        return ops.SUM(ops.EXP(ops.GATHER(table, index, axes=(0,))), axes=(1,))

    (call,) = compiled(build(looked_up, [table, index])).stages.program.calls
    assert "pick(" in print_kernel(call.kernel)


def test_a_sort_keeps_equal_elements_as_they_stand() -> None:
    for n in (50, 5000):  # by counting, by digits
        x = np.random.default_rng(n).integers(0, 7, n).astype(np.float32)
        x[::9], x[::11] = np.nan, -0.0
        graph = build(lambda x: ops.ARGSORT(x, axis=0), [x])
        np.testing.assert_array_equal(run(graph, [x])[0], np.argsort(x, kind="stable"))


def test_single_elements_are_added_without_a_mask() -> None:
    """What is not the block's is added elsewhere; nobody guesses whose a term is."""
    kernel = parse_kernel(SCATTERS["flat"])
    (func,) = lower(kernel, schedule(kernel, 64))
    (block,) = (s for s in func.body if isinstance(s, For) and s.kind == "parallel")
    terms = [s for s in block.body if isinstance(s, For)][-1].body
    moved = [s for s in terms if isinstance(s, Load | Store)]
    assert len(moved) == 4 and all(s.mask is None for s in moved)


def test_terms_of_a_row_meet_in_it() -> None:
    """Rows of the result are the outermost loop, though terms name the axis of the places first."""
    kernel = parse_kernel(SCATTERS["the same columns of all rows"])
    (func,) = lower(kernel, schedule(kernel, 64))
    (block,) = (s for s in func.body if isinstance(s, For) and s.kind == "parallel")
    rows = [s for s in block.body if isinstance(s, For)][-1]
    (places,) = (s for s in rows.body if isinstance(s, For))
    assert next(s.array for s in places.body if isinstance(s, Load)) == "j"
    assert not any(isinstance(s, Load) for s in rows.body)
