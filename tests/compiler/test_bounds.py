"""Kernels write every element of their outputs and not one byte beside them, and read no byte outside of
their inputs: every dtype to every dtype, every tail, every mode, every width of vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.target import HASWELL, Target
from lucid.compiler.ir.types import DTYPES, DType
from lucid.compiler.ops.folds import fold
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.host import host
from tests.guarded import Array, run_kernel

PAIRS = list(itertools.product(DTYPES.values(), DTYPES.values()))
ROWS = 5


def _targets() -> list[Target]:
    """This machine with each length of vectors; a machine whose masks are no registers."""
    found = [replace(host(), vector_bytes=n) for n in (64, 32, 16)]
    return [*found, HASWELL] if host().has("avx2") and host().triple == HASWELL.triple else found


def _numbers(shape: Sequence[int], dtype: DType) -> Array:
    """Small numbers that every dtype holds."""
    rng = np.random.default_rng(sum(shape))
    return rng.integers(0, 2 if dtype.kind == "b" else 8, tuple(shape)).astype(dtype.np)


def _check(text: str, mode: str, arrays: Mapping[str, Array], symbols: Mapping[str, int], t: Target) -> None:
    """Run at both ends of guarded memory; every output `oK` holds `xK` cast."""
    kernel = parse_kernel(text)
    verify_kernel(kernel)
    assert schedule(kernel, t.vector_bytes).mode == mode, text
    for front, stream in ((True, False), (False, False), (False, True)):
        found = run_kernel(kernel, arrays, symbols, None, t, front, stream)
        for name, got in found.items():
            want = arrays["x" + name[1:]]
            if mode == "tiles":
                want = want.T
            elif mode == "product":
                want = np.einsum("ij,jk->ik", want.astype(np.int64), arrays["w"].astype(np.int64))
            elif name.startswith("o") and want.ndim > got.ndim:
                want = want.max(axis=1)
            elif name.startswith("c"):
                want = want.max(axis=0)
            assert np.array_equal(got, want.astype(got.dtype)), f"{text}\n{name}: {got}\nis not {want}"


def _several(
    source: DType, target: DType, tails: Sequence[int], stage: str, outs: str
) -> tuple[str, dict[str, Array]]:
    """A kernel with a stage, and an input of rows, for each number of columns."""
    arrays = {f"x{n}": _numbers((ROWS, n), source) for n in tails}
    params = ", ".join(f"x{n}: {source}[n, {n}]" for n in tails)
    results = ", ".join(outs.format(n=n, to=target) for n in tails)
    body = "\n".join(stage.format(n=n, to=target) for n in tails)
    return f"kernel t({params}) -> ({results})\n  for i in n\n{body}\n", arrays


def rows(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    stage = "    stage j{n} in {n}:  o{n}[i, j{n}] = {to}(x{n}[i, j{n}])"
    text, arrays = _several(source, target, tails, stage, "o{n}: {to}[n, {n}]")
    _check(text, "rows", arrays, {"n": ROWS}, t)


def groups(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    """With an output of one element a row, and totals of columns."""
    stage = (
        "    stage j{n} in {n}\n      r{n} = max(x{n}[i, j{n}])\n      t{n}[j{n}] max= {to}(x{n}[i, j{n}])\n"
        "      o{n}[i, j{n}] = {to}(x{n}[i, j{n}])"
    )
    text, arrays = _several(source, target, tails, stage, "o{n}: {to}[n, {n}]")
    names = ", ".join(f"c{n}: {target}[{n}]" for n in tails)
    last = "\n".join(f"    stage j{n} in {n}:  c{n}[j{n}] = t{n}[j{n}]" for n in tails)
    text = text.replace(")\n  for", f", {names})\n  for") + f"  finally\n{last}\n"
    _check(text, "groups", arrays, {"n": ROWS}, t)


def row_values(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    """An element for each row: groups that are whole, and what is left."""
    x = _numbers((ROWS + t.vector_bytes, tails[0]), source)
    text = (
        f"kernel t(x1: {source}[n, {tails[0]}]) -> (o1: {target}[n])\n  for i in n\n"
        f"    stage j in {tails[0]}:  r = max(x1[i, j])\n    stage:  o1[i] = {target}(r)\n"
    )
    for n in range(1, len(x), 7):
        _check(text, "groups", {"x1": x[:n]}, {"n": n}, t)


def flat(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    text = (
        f"kernel t(x1: {source}[n]) -> (o1: {target}[n])\n  for i in n\n    stage:  o1[i] = {target}(x1[i])\n"
    )
    strided = text.replace("[n]", "[n:]")
    for n in (*tails, 64 + tails[-1]):
        _check(text, "flat", {"x1": _numbers((n,), source)}, {"n": n}, t)
        _check(strided, "flat", {"x1": _numbers((n,), source)}, {"n": n}, t)


def long_rows(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    text = (
        f"kernel t(x1: {source}[n, d]) -> (o1: {target}[n, d], c1: {target}[d])\n  for i in n\n"
        f"    stage j in d\n      o1[i, j] = {target}(x1[i, j])\n      c[j] max= {target}(x1[i, j])\n"
        f"  finally\n    stage j in d:  c1[j] = c[j]\n"
    )
    for d in (*tails, 64 + tails[-1]):
        _check(text, "rows", {"x1": _numbers((ROWS, d), source)}, {"n": ROWS, "d": d}, t)


def tiles(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    text = (
        f"kernel t(x1: {source}[m, n]) -> (o1: {target}[n, m])\n"
        f"  for i in n\n    stage j in m:  o1[i, j] = {target}(x1[j, i])\n"
    )
    for m, n in itertools.chain(zip(tails, reversed(tails), strict=True), ((3, 70), (260, 3))):
        _check(text, "tiles", {"x1": _numbers((m, n), source)}, {"m": m, "n": n}, t)


def product(source: DType, target: DType, tails: Sequence[int], t: Target) -> None:
    if source.kind == "b" or target.kind == "b":
        return  # a sum of products is not defined for them
    wide = fold("dot").accumulator(source)
    text = (
        f"kernel t(x1: {source}[m, l], w: {source}[l, n]) -> (o1: {target}[m, n])\n"
        f"  for i in m, j in n\n    stage k in l:  s: {wide} = dot(x1[i, k], w[k, j])\n"
        f"    stage:  o1[i, j] = {target}(s)\n"
    )
    for m, n in zip(tails, reversed(tails), strict=True):
        arrays = {"x1": _numbers((m, 2), source), "w": _numbers((2, n), source)}
        _check(text, "product", arrays, {"m": m, "n": n, "l": 2}, t)


Mode = Callable[[DType, DType, Sequence[int], Target], None]
MODES: tuple[Mode, ...] = (rows, groups, row_values, flat, long_rows, tiles, product)


def _tails(source: DType, target: DType, t: Target) -> list[int]:
    """Every number of columns up to twice the lanes of a vector that leaves some under a mask."""
    width = max(2, t.vector_bytes // max(4, source.size, target.size))
    return [n for n in range(1, 2 * width) if n != width]


# Every dtype as source and as target.
KINDS = list(DTYPES.values())
SOME = [(kind, KINDS[(5 * n + 3) % len(KINDS)]) for n, kind in enumerate(KINDS)]


@pytest.mark.parametrize("source", DTYPES.values(), ids=str)
def test_a_narrowing_result_writes_beyond_its_array(source: DType) -> None:
    """Masks that are known when code is made: a single lane behind whole vectors, or behind a half."""
    for target in DTYPES.values():
        width = max(2, host().vector_bytes // max(4, source.size, target.size))
        tails = [width + 1, 3 * width // 2 + 1]
        rows(source, target, tails, host())
        if target.size <= source.size:
            groups(source, target, tails[:1], host())


@pytest.mark.parametrize(("source", "target"), SOME, ids=str)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_nothing_outside_of_an_array_is_touched(mode: Mode, source: DType, target: DType) -> None:
    tails = _tails(source, target, host())
    mode(source, target, tails[:2] + tails[-2:], host())


@pytest.mark.sweep
@pytest.mark.parametrize("t", _targets(), ids=lambda t: f"{t.cpu}-{t.vector_bytes}")
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_every_dtype_every_tail_every_width(mode: Mode, source: DType, target: DType, t: Target) -> None:
    mode(source, target, _tails(source, target, t), t)
