"""LUCID_NAN and `first_nan`: what made a NaN is named; what was left out, or was there before, is not."""

from __future__ import annotations

import re
import traceback
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.engine import Executable
from lucid.nans import way
from lucid.nn import functional as F
from lucid.settings import wrong

Values = list[float]
X = np.array([1.0, 0.0, 4.0, -1.0], np.float32)


def made(f: Any, *args: Any) -> Any:
    return lucid.compile(f).first_nan(*args)


def test_the_line_the_kernel_the_statement_and_the_operands() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        return (y.log() * 3.0).sum()

    found = made(f, X)
    assert (found.op, found.index, found.count, found.size) == ("log", (3,), 1, 4)
    assert found.formula == "log(-2.0)"
    line = f.__code__.co_firstlineno
    assert found.loc.line == line + 2
    assert re.fullmatch(rf"-2.0: mul f32\[4\] at .*test_nan.py:{line + 1}", found.operands[0])
    assert found.kernel == "sum" and re.fullmatch(r"r0 \+= log\(.*\) \* s\d", found.statement)
    said = str(found).split("\n")
    assert (
        len(said) == 5 and said[1] == "    return (y.log() * 3.0).sum()" and said[-1].startswith("  to try: ")
    )


INF = np.inf


@pytest.mark.parametrize(
    ("f", "x", "op", "formula"),
    [
        (lambda x: x / x.sum(axis=1, keepdims=True), np.zeros((3, 4)), "div", "0.0 / 0.0"),
        (lambda x: (x * 1e300 - x.abs() * 1e300).sum(), np.full(3, 1e10), "sub", "inf - inf"),
        (lambda x: x.sum(axis=1), np.array([[1, 2], [INF, -INF]]), "sum", r"sum\(.*inf at \[1, 0\].*\)"),
        (lambda x: x @ x.T, np.array([[INF, 0], [0, 1]]), "contract", r"contract\(.*inf at \[0, 0\].*\)"),
        (lambda x: x.reshape(2, 2).T.sqrt()[1], np.array([1.0, -2, 3, 4]), "sqrt", r"sqrt\(-2.0\)"),
        (lambda x: lucid.arcsin(x).cumsum(), np.array([0.5, 1.5]), "arcsin", r"arcsin\(1.5\)"),
        (lambda x: lucid.softmax(x), np.array([np.inf, 0.0]), "sub", "inf - inf"),
    ],
)  # fmt: skip
def test_forward(f: Any, x: Any, op: str, formula: str) -> None:
    found = made(f, x)
    assert found.op == op and re.fullmatch(formula, found.formula), found
    with np.errstate(all="ignore"):
        assert np.isnan(lucid.compile(f)(x).numpy()).any()


@pytest.mark.parametrize("f", [lucid.softmax, F.log_softmax])
def test_a_row_that_is_masked_as_a_whole(f: Any) -> None:
    found = made(lambda x, m: f(lucid.where(m, x, -INF), -1), np.ones((2, 2)), np.array([[True], [False]]))
    assert found.formula == "-inf - -inf" and "no row of -inf alone" in found.remedy, found


def test_backward() -> None:
    f = lucid.value_and_grad(lambda x: (x.sqrt() * x).sum())
    found = made(f, X[:3])
    assert found.loc.backward == "sqrt" and found.index == (1,) and "0.0" in found.formula
    assert "below the root" in found.remedy and found.statement


def test_the_forward_pass_is_named_before_gradients_that_do_not_depend_on_it() -> None:
    """`y / p` of the gradient of log is 0 / 0, too, and its kernel comes first; so it is for log(0) * 0."""
    w = nn.Parameter(lucid.tensor(np.array([0.5, 2.0], "f")))
    opt = optim.Adam([w], lr=0.1)

    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        p = x / w * y
        loss = -(p.log() * y).sum()
        loss.backward()
        opt.step()
        return loss

    found = made(step, np.ones(2, "f"), np.array([0.0, 1.0], "f"))
    line = step.__code__.co_firstlineno
    assert (found.op, found.index, found.formula) == ("mul", (0,), "-inf * 0.0")
    assert found.loc.line == line + 3 and not found.loc.backward and "log(" in found.statement
    infinite, zero = found.operands
    assert re.fullmatch(rf"-inf: log f32\[2\] at .*test_nan.py:{line + 3}, from log\(0.0\)", infinite)
    assert zero.startswith("0.0: input y f32[2]") and found.remedy.endswith("as the argument of log")


def test_gradients_are_named_before_what_an_optimiser_makes_of_them() -> None:
    w = nn.Parameter(lucid.tensor(np.array([0.0, 2.0], "f")))
    opt = optim.SGD([w], lr=0.1)

    def step() -> Any:
        opt.zero_grad()
        loss = (w.sqrt() * w).sum()
        loss.backward()
        opt.step()
        return loss + w.sum() * 0.0 / (w * 0.0).sum()

    found = made(step)
    assert found.loc.backward == "sqrt" and found.formula == "0.0 / 0.0"


def test_what_made_an_infinity_elsewhere_is_named() -> None:
    def f(x: Any) -> Any:
        a = x.sum(axis=1, keepdims=True).log()
        b = a * 2.0
        return (b - b).mean()

    found = made(f, np.zeros((2, 3)))
    line = f.__code__.co_firstlineno
    assert found.formula == "-inf - -inf" and found.remedy.endswith("as the argument of log")
    assert re.search(rf"mul .*:{line + 2}, from log\(0.0\) at .*:{line + 1}$", found.operands[0])


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: lucid.where(x > 0, x.log(), 0.0).sum(), X),  # left out
        (lambda x: x.exp(), np.full(3, 1e4)),  # an infinity
        (lambda x: lucid.nansum(x.log()), X),
    ],
)
def test_nothing_is_made(f: Any, x: Any) -> None:
    assert made(f, x) is None


def test_what_was_there_before_is_said_to_be() -> None:
    with pytest.warns(UserWarning, match="no operation of this call makes its NaN: x at .* held one before"):
        assert made(lambda x: x.log(), np.array([np.nan, 1.0])) is None


def assigned(x: Any) -> Any:
    y = x * 1
    y[0] = np.nan
    return y


HELD = lucid.tensor([1.0, np.nan, 2.0])
WRITTEN = {
    "the number nan at {} was one": (lambda x: x * np.nan, assigned, lambda x: x + lucid.full((3,), np.nan)),
    "HELD at {} held one": (lambda x: x + HELD,),
    "array at {} held one": (lambda x: lucid.tensor([1.0, np.nan, 2.0]) + x,),
}


@pytest.mark.parametrize(("said", "f"), [(said, f) for said, fs in WRITTEN.items() for f in fs])
def test_what_is_written_is_said_to_be(said: str, f: Any) -> None:
    line = f.__code__.co_firstlineno + (2 if f is assigned else 0)
    place = rf"\S*test_nan.py:{line}"
    with pytest.warns(UserWarning, match=f"of this call makes its NaN: {said.format(place)} before"):
        assert made(f, np.ones(3)) is None


def test_what_is_written_is_no_error(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    monkeypatch.setenv("LUCID_NAN", "1")
    with pytest.warns(UserWarning, match=r"makes the NaN of a result: the number nan at .*test_nan"):
        lucid.compile(assigned)(np.ones(3))
    with pytest.warns(UserWarning, match=r"the number nan at \S*test_nan"):
        (lucid.ones(3) * np.nan).numpy()
    with pytest.raises(FloatingPointError, match="log made a NaN"):
        lucid.compile(lambda x: x.log() + np.nan * (x > 0))(np.array([-1.0, 1.0]))
    with pytest.warns(UserWarning, match="makes the NaN of a result: an input held one before"):
        assert np.isnan((HELD + 1).numpy()).any()
    with pytest.warns(UserWarning, match=r"the NaN of a result: x at \S*test_nan.py:\d+ held one before"):
        lucid.compile(lambda x: x * 2)(np.array([1.0, np.nan]))
    lucid.compile(lambda x: lucid.nansum(x))(np.array([1.0, np.nan]))  # a NaN that gets to no result
    lucid.compile(lambda x: lucid.where(x > 0, x, np.nan))(np.ones(3))


def test_methods_are_asked_as_they_are_called() -> None:
    class Model:
        scale = 0.0

        @lucid.compile
        def run(self, x: Any) -> Any:
            return (x / self.scale).sum()

    model = Model()
    found = model.run.first_nan(X)
    assert found is not None and found.op == "div" and found.formula == "0.0 / 0.0"
    assert model.run.cost(X).kernels == 1 and len(model.run.profile(X).kernels) == 1
    again = model.run.first_nan(model, X)
    assert (again.formula, again.index, again.loc) == (found.formula, found.index, found.loc)


def test_what_is_left_out_is_not_blamed() -> None:
    """log makes a NaN in element 3, which `where` leaves out; the one that counts is made later."""
    found = made(lambda x: lucid.where(x > 0, x.log(), 0.0) / (x * 0.0), X)
    assert found.op == "div" and found.count == 4 - 1  # log(4) / 0 is infinite


def model_and_step() -> tuple[nn.Module, Any]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    opt = optim.SGD(model.parameters(), lr=1e30)

    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.mse_loss(model(x)[:, 0], y)
        loss.backward()
        opt.step()
        return loss

    return model, lucid.compile(step)


def test_a_training_step_that_makes_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_NAN", "1")
    lucid.manual_seed(1)
    model, step = model_and_step()
    x = np.ones((16, 4), "f")
    with pytest.raises(FloatingPointError, match="made a NaN") as caught:
        for _ in range(8):
            before = [p.numpy().copy() for p in model.parameters()]
            step(x, x[:, 0])
    for p, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), old)
    assert re.match(r"\S*test_nan.py:\d+: ", str(caught.value)) and " in model.2," in str(caught.value)
    assert "LUCID_NAN=inf names what made the infinity" in str(caught.value)
    error = caught.value
    lines = "".join(traceback.format_exception(error)).rstrip().split("\n")
    assert len(lines) <= 10, lines
    assert traceback.extract_tb(error.__traceback__)[-1].filename == __file__


def test_an_infinity_is_named_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_NAN", "inf")
    with pytest.raises(FloatingPointError, match=r"exp made an infinity at \[1\].*exp\(1000.0\)"):
        lucid.compile(lambda x: x.exp().sum())(np.array([1.0, 1000.0]))


def test_eager_work(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    monkeypatch.setenv("LUCID_NAN", "1")
    y = lucid.tensor(X).sqrt()
    with pytest.raises(FloatingPointError, match=r"test_nan.py:\d+: sqrt made a NaN at \[3\] .*sqrt\(-1.0\)"):
        y.numpy()
    w = lucid.tensor([0.0, 1.0], requires_grad=True)
    (w.sqrt() * w).sum().backward()
    with pytest.raises(FloatingPointError, match=r"the gradient of sqrt \(\w+\) made a NaN at \[0\]"):
        print(w.grad)


def test_a_library_takes_part_and_complex_numbers(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    monkeypatch.setenv("LUCID_NAN", "1")
    f = lucid.compile(lambda x: lucid.linalg.inv(x) / 0.0)
    with pytest.raises(FloatingPointError, match=r"div made a NaN at \[0, 1\]"):
        f(np.eye(2))
    z = lucid.tensor([1 + 1j, 0])
    with pytest.raises(FloatingPointError, match="made a NaN"):
        (z / z).numpy()


def test_it_costs_nothing_when_it_is_off(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    f = lucid.compile(lambda x: x.log())
    f(X)
    assert type(f._last().executable) is Executable  # which looks at nothing
    monkeypatch.setenv("LUCID_NAN", "1")
    f(X), f(X)  # a plan is what it was made as
    g = lucid.compile(lambda x: x.log() * 2)
    g(abs(X) + 1)
    assert "results looked at: LUCID_NAN" in g.explain()
    assert way("yes") == way("0") == ""
    assert wrong("LUCID_NAN", "2") == "LUCID_NAN: expected 0, 1 or inf, not '2'"


def test_first_nan_changes_nothing() -> None:
    model, step = model_and_step()
    x = np.full((16, 4), np.inf, "f")
    before = [p.numpy().copy() for p in model.parameters()]
    assert "made a NaN" in str(step.first_nan(x, x[:, 0]))
    for p, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), old)
        assert p.grad is None
