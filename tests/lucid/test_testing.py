"""`lucid.testing`: what is right passes, what is made wrong on purpose is found, and named."""

from __future__ import annotations

import mmap
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler import ops, order
from lucid.compiler.passes.pairs import pairs
from lucid.testing import (
    LAYOUTS,
    CheckError,
    FuzzError,
    GradcheckError,
    assert_same_bits,
    check,
    fuzz,
    gradcheck,
    gradgradcheck,
    laid_out,
)
from lucid.testing.blame import within
from lucid.testing.bounds import distance, running
from lucid.testing.layouts import UNPACK, literal
from lucid.testing.traced import traced
from lucid.testing.values import SPECIAL, alike, with_special

from .documents import printed
from .programs import random_program

pytestmark = pytest.mark.report

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 5)).astype("float32")
Y = RNG.normal(size=(7, 5)).astype("float32")


@contextmanager
def planted(op: ops.Op, field: str, value: Any) -> Iterator[None]:
    """An op with another field: records are frozen, so by the slot."""
    slot, before = getattr(type(op), field), getattr(op, field)
    slot.__set__(op, value)
    try:
        yield
    finally:
        slot.__set__(op, before)


# --- check ----------------------------------------------------------------------------------------


def softmax(x: Any) -> Any:
    return lucid.exp(x) / lucid.exp(x).sum(axis=1, keepdims=True)


def by_numpy(x: Any) -> Any:
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


def test_a_right_function_passes_with_a_table() -> None:
    report = check(softmax, X, reference=by_numpy)
    assert [o.name for o in report.outputs] == ["output", "gradient by argument 0"]
    assert all(o.error <= o.bound for o in report.outputs) and report.notes == ()
    assert "float32[7, 5]" in str(report)


def test_what_has_bits_must_have_them() -> None:
    def f(x: Any, y: Any) -> Any:
        return {"far": abs(x - y) * 3 + 0.5, "where": x < y}

    report = check(f, X, Y)
    far, where, *gradients = report.outputs
    assert far.exact and where.exact and far.name == "output['far']" and len(gradients) == 2


@pytest.mark.parametrize(
    "f, args",
    [
        (lambda x: lucid.fft.fft(x), (X,)),
        (lambda x: abs(x * (1 + 2j)), (X.astype("complex64"),)),
        (lambda x: x.sort(axis=1), (X,)),
        (lambda x: lucid.logsumexp(x, axis=1), (X.astype("float16"),)),
        (lambda x, k: (x[k], x.cumsum(axis=0)), (X, np.array([3, 0, -1]))),
        (lambda x: (x - x.mean()).sum(), (X,)),  # 0 but for rounding
        (lambda d: {"a": d["x"] @ d["y"][0].T}, ({"x": X, "y": [Y]},)),
        (lambda x, n: x**n, (X, 3)),
        (lambda x, y: x % y, (X, np.where(abs(Y) < 0.5, Y / 100, Y))),  # many jumps
    ],
)
def test_all_kinds_of_functions(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    check(f, *args)


def test_modules_are_functions_too() -> None:
    lucid.manual_seed(0)
    layer = lucid.nn.Linear(5, 3)
    names = [o.name for o in check(layer, X).outputs]
    assert names == ["output", "gradient by argument 0", "gradient by weight", "gradient by bias"]


def test_results_that_are_arguments_are_compared_too() -> None:
    x, w = np.arange(1, 6, dtype="f4"), lucid.ones(3)
    made: list[tuple[Any, Any]] = [
        (lambda a: a, lambda a: a * 7), (lambda a: a[:], lambda a: a[:2]),
        (lambda a: w, lambda a: np.zeros(3)),
        (lambda a: (a, a * 2), lambda a: (a * 7, a * 2)), (lucid.nn.Dropout(0.5).eval(), lambda a: a * 2),
    ]  # fmt: skip
    for f, wrong in made:
        with pytest.raises(CheckError, match="reference"):
            check(f, x, reference=wrong)
    with pytest.raises(FuzzError):
        fuzz(lambda a: a, x, reference=lambda a: a * 7, seconds=1)
    report = check(lambda a: (a, a * 2, 5), x, reference=lambda a: (a, a * 2, 5))
    assert [o.name for o in report.outputs][:2] == ["output[0]", "output[1]"]
    z = np.array([1 + 2j])
    check(lambda a: (a, a * 2), z, reference=lambda a: (a, a * 2))
    with pytest.raises(CheckError):
        check(lambda a: (a, a * 2), z, reference=lambda a: (a.real, a * 2))


def test_bits_of_numbers_of_nothing_and_of_complex_numbers() -> None:
    assert_same_bits((1.0, None), (1.0, None))
    for a, b, message in (
        (1.0, 2.0, r"1 of 1 elements differ, first at \[\]: 1.0"), (None, 1.0, "None"),
        (np.array([1 + 2j, 3]), np.array([1 + 2j, 3j]), r"1 of 2 elements.* first at \[1\]: 3.0 .* i 0.0"),
    ):  # fmt: skip
        with pytest.raises(AssertionError, match=message):
            assert_same_bits(a, b)


def test_a_bug_of_the_reference_is_told_apart() -> None:
    def wrong(x: Any) -> Any:
        e = np.exp(x)
        return e / e.sum(axis=0, keepdims=True)

    with pytest.raises(
        CheckError, match=r"not what the reference gives\n.*the reference 0\.\d+.*\n.*different fun"
    ):
        check(softmax, X, reference=wrong)
    with pytest.raises(CheckError, match="it has 1 outputs, the reference 2"):
        check(softmax, X, reference=lambda x: (x, x))
    with pytest.raises(CheckError, match=r"shape \(7, 5\), that of the reference \(5, 7\)"):
        check(softmax, X, reference=lambda x: by_numpy(x).T)


def test_an_unstable_formula_is_told_apart() -> None:
    with pytest.raises(
        CheckError, match=r"formula that is unstable.*\n.*`exp` at .*test_testing.py:\d+ gives inf"
    ):
        check(softmax, X + 100, reference=by_numpy)

    def variance(x: Any) -> Any:
        return (x * x).mean() - x.mean() ** 2

    with pytest.raises(CheckError, match=r"`sub` at .*test_testing.py:\d+ loses \d\d bits.*in kernel"):
        check(variance, X + 3000)
    check(variance, X + 3000, rtol=np.inf, grad=False)
    check(variance, X.astype("float64") + 3000)


def test_a_wrong_gradient_is_named() -> None:
    def f(x: Any) -> Any:
        return lucid.arctan(x * 2) + x

    right = ops.REGISTRY["arctan"].vjp
    assert right is not None

    def twice(*given: Any) -> Any:
        (ct,) = right(*given)
        assert ct is not None
        return (ops.ADD(ct, ct),)

    with (
        planted(ops.REGISTRY["arctan"], "vjp", twice),
        pytest.raises(
            CheckError, match=r"is not the derivative.*\n.*derivative of `arctan` at .*test_testing.py"
        ),
    ):
        check(f, X)


@pytest.mark.usefixtures("afresh")
def test_a_wrong_op_is_named_with_its_kernel() -> None:
    def f(x: Any) -> Any:
        return lucid.sinh(x * 0.37) + 11 * x

    right = ops.REGISTRY["sinh"].lower

    def shifted(b: Any, args: Any, *rest: Any) -> Any:
        return b.op("add", right(b, args, *rest), b.imm(1e-3, args[0]))

    with (
        planted(ops.REGISTRY["sinh"], "lower", shifted),
        pytest.raises(
            CheckError, match=r"compiled, is not what NumPy.*\n.*\n.*`sinh` at .*, comp.*\n.*kernel \w+"
        ),
    ):
        check(f, RNG.normal(size=(3, 6)).astype("float32"), grad=False)


def test_functions_that_change_something_are_refused() -> None:
    w = lucid.Tensor([1.0, 2.0], requires_grad=True)

    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        return loss

    with pytest.raises(ValueError, match="two calls differ"):
        check(step, np.ones(2, "float32"))


# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_no_result_leaves_its_bound(seed: int) -> None:
    program = random_program(seed)

    def run(*args: Any) -> Any:
        values = program.run(lucid, dict(zip(program.inputs, args, strict=True)))
        return tuple(values[o] for o in program.outputs)

    call = traced(run, tuple(program.inputs.values()))
    found = running(pairs(call.graph), call.inputs)
    for result in call.results:
        if result.output >= 0:
            assert within(result.array, found[call.graph.outputs[result.output]]), program.text()


def test_bounds_are_not_far_from_what_is_measured() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(40, 30)).astype("float32"), rng.normal(size=(20, 30)).astype("float32")
    factors = []
    for f in (lambda x, w: lucid.softmax(x @ w.T, 1), lambda x, w: lucid.exp(x).sum(axis=1)):
        call = traced(f, (x, w))
        value = running(call.graph, call.inputs)[call.graph.outputs[0]]
        away = distance(call.results[0].array, value.exact)
        assert np.all(away <= value.error)
        factors.append(float(np.median(value.error / np.maximum(away, 1e-30))))
    assert max(factors) < 1000


def test_longest_chain_of_additions() -> None:
    assert order.chain(7) == 7 and order.chain(10**6) < 1000


# --- gradcheck ------------------------------------------------------------------------------------


def test_gradcheck_and_its_second_order() -> None:
    def f(x: Any, y: Any) -> Any:
        return lucid.tanh(x @ y), (x * x).sum()

    given = (X[:2, :3], Y[:3, :2])
    assert gradcheck(f, given) and gradgradcheck(f, given)
    assert gradcheck(lambda x, n: x * n, (X[0], 3))


def test_gradcheck_names_what_is_wrong() -> None:
    def f(x: Any) -> Any:
        return x * x.detach()  # half of its derivative is hidden

    with pytest.raises(
        GradcheckError, match=r"output 0 by input 0 is wrong in 5 of 25.*d output\[0\] / d input\[0\]"
    ):
        gradcheck(f, X[0])
    assert not gradcheck(f, X[0], raise_exception=False)
    assert gradcheck(f, X[0], atol=100)
    with pytest.raises(ValueError, match="none of the inputs"):
        gradcheck(f, np.arange(3))
    with pytest.raises(ValueError, match=r"shapes \[\(5,\)\]"):
        gradgradcheck(f, X[0], np.ones(4))


# --- bits -----------------------------------------------------------------------------------------


def test_same_bits() -> None:
    nan = np.array([0x7FC00001, 0x7FC00000], np.uint32).view(np.float32)
    assert_same_bits(nan[:1], nan[1:])
    assert_same_bits(lucid.Tensor(X), X)
    assert_same_bits({"a": [X, (Y,)]}, {"a": [X, (Y,)]})
    for a, b, said in (
        (X, np.nextafter(X, 9, dtype="float32"), r"35 of 35 .* \[0, 0\].*, 1 ulp apart"),
        (np.zeros(2), -np.zeros(2), r"2 of 2.*0x8000000000000000.*, 0 ulp"),
        (X, X.astype("float64"), "other types"),
        (X, X.T, "other types"),
        (np.array([1, 2]), np.array([1, 3]), r"1 of 2 .*\[1\]"),
        (np.array([1 + 1j]), np.array([1 + 2j]), r"first at \[0\]"),
        ([X], (X,), "other kinds"),
        ({"a": X}, {"b": X}, "other keys"),
    ):
        with pytest.raises(AssertionError, match=said):
            assert_same_bits(a, b)


# --- fuzz -----------------------------------------------------------------------------------------


def forgetful(x: Any) -> Any:
    """A reference with a bug: rows beyond the twentieth do not count."""
    return x[:20].sum(axis=0)


def total(x: Any) -> Any:
    return x.sum(axis=0)


def test_fuzz_finds_the_smallest_case_and_its_script_reproduces_it(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with pytest.raises(FuzzError, match=r"7 -> 21.*\n.*not what the reference gives") as caught:
            fuzz(total, X, seconds=60, seed=1, reference=forgetful)
        found.append(caught.value)
    first, second = found
    assert first.arguments[0].shape == (21, 1) and first.script == second.script  # the seed decides
    assert_same_bits(first.arguments[0], second.arguments[0])
    script = tmp_path / "case.py"
    script.write_text(first.script)
    with pytest.raises(CheckError, match="not what the reference gives"):
        runpy.run_path(str(script))


def test_fuzz_of_right_functions() -> None:
    def picked(x: Any, k: Any) -> Any:
        return lucid.softmax(x, axis=1)[k] * 2

    report = fuzz(picked, X, np.array([0, 2]), seconds=60, cases=5, seed=3)
    assert report.cases == 5 and "seed 3" in str(report)
    lucid.manual_seed(0)
    layer = lucid.nn.Linear(5, 3)
    assert fuzz(layer, X, seconds=60, cases=8, seed=5).refused >= 1  # 5 columns are what its weights expect
    with pytest.raises(ValueError, match="no array"):
        fuzz(picked, 3)


def test_fuzz_raises_what_the_function_raises() -> None:
    with pytest.raises(ValueError, match=r"\(7, 5\)"):
        fuzz(lambda x: x @ x, X)


def test_a_script_has_the_bits_of_its_arrays() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 0.1], "float32")
    large = np.linspace(0, 1, 100).astype("float16").reshape(4, 25)
    known: dict[str, Any] = {"np": np, "nan": np.nan, "inf": np.inf}
    exec(UNPACK, known)
    for array in (odd, large, np.array(True), np.arange(3), odd.astype("complex64")):
        assert_same_bits(eval(literal(array), known), array)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    made = laid_out(X, layout)
    assert_same_bits(made, X)
    flags = made.flags
    assert {
        "rows": flags.c_contiguous and flags.writeable, "columns": flags.f_contiguous,
        "permuted": flags.f_contiguous, "strided": made.strides == (88, 8),
        "flipped": made.strides == (-20, -4),
        "misaligned": not flags.aligned, "read-only": not flags.writeable,
            "page-end": (made.ctypes.data + made.nbytes) % mmap.PAGESIZE == 0,
            "page-start": made.ctypes.data % mmap.PAGESIZE == 0,
    }[layout]  # fmt: skip
    if layout not in ("columns", "permuted"):  # there sums go in the order of memory
        assert_same_bits(lucid.compile(softmax)(made), lucid.compile(softmax)(X))
    with pytest.raises(ValueError, match="unknown layout"):
        laid_out(X, "diagonal")


@pytest.mark.parametrize("kind", SPECIAL)
def test_special_values(kind: str) -> None:
    x = with_special(np.full((20, 30), 0.3, "float32"), kind, np.random.default_rng(0))
    tests = {
        "nan": np.isnan(x), "infinite": np.isinf(x), "zeros": x == 0, "tiny": abs(x) == np.float32(1e-45),
        "huge": abs(x) > 1e38, "whole": x == 0, "ties": x == np.float32(0.3),
    }  # fmt: skip
    assert tests[kind].mean() == 1 if kind in ("whole", "ties") else 0.1 < tests[kind].mean() < 0.3
    assert alike(x, (3, 4), np.random.default_rng(0)).shape == (3, 4)


# --- strategies -----------------------------------------------------------------------------------


def test_strategies() -> None:
    pytest.importorskip("hypothesis")
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from lucid.testing import programs, shapes, tensors

    seen: list[Any] = []

    @settings(max_examples=8, database=None, derandomize=True, deadline=None)
    @given(
        tensors("float32", shapes(1, 2, (3, 4))), tensors(st.just("int8"), (2, 3), special=True),
        tensors(shape=(4,), layouts=("flipped",)), programs(most=4),
    )  # fmt: skip
    def run(x: Any, y: Any, z: Any, program: Any) -> None:
        assert isinstance(x, lucid.Tensor) and x.dtype == np.float32 and set(x.shape) <= {3, 4}
        assert np.all(abs(x.numpy()) <= 10) and y.shape == (2, 3) and y.dtype == np.int8
        assert isinstance(z, np.ndarray) and z.strides[0] < 0
        assert program.outputs and len(program.statements) <= 4
        seen.append(x.shape)

    run()
    assert len(set(seen)) > 1
    with pytest.raises(ValueError, match="unknown layouts"):
        tensors(layouts=("round",))


def test_strategies_without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "lucid.testing.strategies", raising=False)
    monkeypatch.delattr(lucid.testing, "strategies", raising=False)
    with pytest.raises(ImportError, match="pip install hypothesis"):
        _ = lucid.testing.tensors
    with pytest.raises(AttributeError, match="nothing"):
        getattr(lucid.testing, "nothing")  # noqa: B009


# --- docs/testing.md ------------------------------------------------------------------------------

DOC = Path(__file__).parents[2] / "docs" / "testing.md"


@pytest.mark.parametrize(
    "code, output",
    re.findall(r"```python\n([^`]*)```\n\n```text\n([^`]*(?:`[^`\n]+`[^`]*)*)```", DOC.read_text()),
)
def test_what_the_documentation_prints_is_real(
    code: str,
    output: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(code, tmp_path, monkeypatch, capsys) == output.rstrip()
