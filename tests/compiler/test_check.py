"""LUCID_CHECK: no call is left out without a word, however large, whatever its strides."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.compiler import check, ops, pipeline
from lucid.compiler.check import MiscompileError
from lucid.compiler.cpu.lowering import lower
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.loop import Func, Let
from lucid.compiler.ir.types import DTYPES


@dataclass
class Program:
    f: Callable[..., Tensor]
    shapes: tuple[tuple[int, ...], ...]


PROGRAMS = {
    "flat": Program(lambda x: (x * 2 - 1).sum(), ((300_001,),)),
    "rows": Program(lambda x: x - x.max(axis=1, keepdims=True), ((500, 700),)),
    "product": Program(lambda x, y: (x @ y) * 2, ((300, 200), (200, 500))),
    "columns": Program(lambda x: x.sum(axis=0), ((600, 700),)),
    "reshape": Program(lambda x: x.reshape(-1).sum() + x.mean(axis=0).sum(), ((600, 700),)),
    "rows of a reshape": Program(lambda x: x.reshape(4200, 100).sum(axis=0), ((600, 700),)),
    "slice": Program(lambda x: x[500:, 10:].sum(axis=0), ((600, 700),)),
    "backwards": Program(lambda x: x[::-1] * 2, ((1000,),)),
    "large, backwards": Program(lambda x: x[::-1, ::-1] * 2 + x[:, ::-1], ((1000, 700),)),
    "transposed": Program(lambda x: x.T * 2, ((1000, 700),)),
    "sort": Program(lambda x: lucid.sort(x, axis=1), ((30, 70),)),
    "scan": Program(lambda x: lucid.cumsum(x, 0) + lucid.cumsum(x, 1), ((300, 70),)),
    "gather": Program(lambda x: x[(x[:, 0] * 3).astype("int64")], ((30, 7),)),
    "scatter": Program(lambda x: x.at[(x[:, 0] * 3).astype("int64")].add(x), ((30, 7),)),
    "places": Program(lambda x: x.argmax(axis=1) + x.max(axis=1), ((30, 700),)),
    "windows": Program(lambda x: x.unfold(0, 3, 2).sum(-1), ((300, 7),)),
    "complex": Program(lambda x: ((x + 1j) * (x - 2j)).abs().sum(axis=0), ((30, 7),)),
    "bfloat16": Program(lambda x: (x.bfloat16() * 3).exp().sum(axis=0), ((30, 7),)),
    "draws": Program(lambda x: x * lucid.rand(30, 7), ((30, 7),)),
    "pieces": Program(lambda x, y: lucid.grad(lambda x: (x[100:] * y).sum())(x), ((5000, 30), (4900, 30))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_large_and_backward_calls_are_not_compared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, seen = PROGRAMS[name], list[str]()
    compare = check.compare

    def spy(what: str, old: check.Data, new: check.Data, eps: float) -> None:
        seen.append(what.split(",")[0])
        compare(what, old, new, eps)

    monkeypatch.setattr(check, "compare", spy)
    monkeypatch.setenv("LUCID_CHECK", "1")
    monkeypatch.setattr(pipeline, "_TEMPLATES", type(pipeline._TEMPLATES)())
    arrays = [np.ones(shape, "f4") for shape in program.shapes]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lucid.compile(program.f)(*map(Tensor, arrays)).numpy()
    assert {"simplify", "fuse", "lower"} <= set(seen)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "sort"])  # that computes with integers
def test_a_wrong_lowering_of_a_large_call_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation of floats on vectors is its neighbour's."""
    other = {"mul": "sub", "add": "sub", "sub": "mul", "fma": "fma", "max": "min"}

    def turned(body: tuple[object, ...]) -> tuple[object, ...]:
        found = list[object]()
        for stmt in body:
            if isinstance(stmt, Let) and stmt.op in other and stmt.result.dtype.is_float:
                args = stmt.args[:1] * 3 if stmt.op == "fma" else stmt.args
                stmt = replace(stmt, op=other[stmt.op], args=args)
            elif hasattr(stmt, "body"):
                stmt = replace(stmt, body=turned(stmt.body))
            found.append(stmt)
        return tuple(found)

    def wrong(*args: object) -> list[Func]:
        return [replace(f, body=turned(f.body)) for f in lower(*args)]  # type: ignore[arg-type]

    monkeypatch.setattr(check, "lower", wrong)
    monkeypatch.setenv("LUCID_CHECK", "1")
    program = PROGRAMS[name]
    with pytest.raises(MiscompileError, match="lower"):
        lucid.compile(program.f)(*(Tensor(np.ones(shape, "f4")) for shape in program.shapes)).numpy()


def test_what_cannot_be_cut_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_CHECK", "1")
    monkeypatch.setattr(check, "_CUTS", (100_000,))
    monkeypatch.setattr(check, "CUT", 0)
    with pytest.warns(RuntimeWarning, match="LUCID_CHECK: .* is not compared"):
        lucid.compile(lambda x: x.exp())(Tensor(np.ones((700, 300), "f4"))).numpy()


def test_subscripts_that_are_compared_fit_their_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of int8 there are fewer than the extent that they are for."""
    monkeypatch.setenv("LUCID_CHECK", "1")
    x, i = np.arange(218.0, dtype="f4"), np.array([3, -7], "i1")
    found = lucid.compile(lambda x, i: x[i] * 2)(Tensor(x), lucid.tensor(i)).numpy()
    np.testing.assert_array_equal(found, x[i] * 2)


def test_subscripts_that_are_compared_lie_inside() -> None:
    """Of a graph that was cut: what is added to them stays, extents shrink."""
    x = ops.INPUT(name="x", dtype=DTYPES["f32"], shape=(6, 4))
    i = ops.INPUT(name="i", dtype=DTYPES["i64"], shape=(50,))
    index = ops.ADD(i, ops.fill(ops.CONST(value=3, dtype=DTYPES["i64"]), (50,)))
    _, places = check._inputs(Graph("cut", (x, i), (ops.GATHER(x, index, axes=(0,)),)))
    assert places.min() == 0 and 0 < places.max() <= 2
