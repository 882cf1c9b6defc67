"""Python numbers that tensors are computed with need no new trace; those that Python code needs are facts."""

from __future__ import annotations

import functools
import math
import operator
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lucid
from lucid.runtime import call
from lucid.tape import Tape, is_traced

X = np.linspace(-2, 2, 6).astype(np.float32)
SCALE = 1.0


def close(got: Any, want: Any) -> None:
    np.testing.assert_array_equal(got.numpy(), want.numpy() if isinstance(want, lucid.Tensor) else want)


def test_a_number_argument_is_traced_twice_at_most() -> None:
    f = lucid.compile(lambda x, a, *, b: (x * a + b, a + b))
    for k in range(30):
        a, b = k * 0.3 - 1, k - 7
        got, total = f(X, a, b=b)
        close(got, X * np.float32(a) + np.float32(b))
        assert total == a + b and type(total) is float
    assert f.traces == 2
    assert "trace 2: argument a changed from -1.0 to -0.7" in f.explain()


def test_numbers_of_closures_globals_attributes_lists_and_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        scale = 1.0

        def __init__(self) -> None:
            self.scale = 2.0

    model, table, items, shift = Model(), {"k": 1.0}, [1], 0.5

    @lucid.compile
    def f(x: Any) -> Any:
        return x * model.scale + table["k"] * items[0] - shift * SCALE

    for k in range(20):
        model.scale, table["k"], items[0], shift = k * 0.1, k * 0.2, k, k * 0.4
        monkeypatch.setattr("tests.lucid.test_numbers.SCALE", 1.0 + k)
        close(f(X), f.__wrapped__(lucid.Tensor(X)))
    assert f.traces == 2
    assert [type(v) for v in (model.scale, table["k"], items[0], shift, SCALE)] == [
        float,
        float,
        int,
        float,
        float,
    ]


def test_a_counter_of_an_object() -> None:
    class Model:
        def __init__(self) -> None:
            self.n = 0

        def step(self, x: Any) -> Any:
            self.n += 1
            return x / self.n

    model, eager = Model(), Model()
    step = lucid.compile(model.step)
    for k in range(20):
        close(step(X), eager.step(lucid.Tensor(X)))
        assert model.n == k + 1 and type(model.n) is int
    assert step.traces == 2


def test_hyperparameters_of_optimisers() -> None:
    for make in (
        lambda p: lucid.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
        lambda p: lucid.optim.Adam(p, 0.1, weight_decay=0.1),
        lambda p: lucid.optim.AdamW(p, 0.1),
    ):
        a, b = (lucid.Tensor(X, requires_grad=True) for _ in range(2))
        first, second = make([a]), make([b])

        def step(w: Any, opt: Any) -> Any:
            opt.zero_grad()
            loss = ((w - 1) ** 2).sum()
            loss.backward()
            opt.step()
            return loss

        compiled = lucid.compile(lambda a=a, first=first, step=step: step(a, first))
        for k in range(12):
            for opt in (first, second):
                opt.lr, opt.weight_decay = 0.1 / (k + 1), 0.1 + 0.01 * k
                if hasattr(opt, "betas"):
                    opt.betas = (0.9 - 0.01 * k, 0.99 - 0.01 * k)
            compiled()
            step(b, second)
            np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert compiled.traces == 2


def test_the_delta_of_a_loss() -> None:
    f = lucid.compile(lambda x, d: lucid.nn.functional.huber_loss(x, x * 3, delta=d, reduction="none"))
    for k in range(1, 20):
        close(f(X, k / 4), f.__wrapped__(lucid.Tensor(X), k / 4))
    close(f(X, math.inf), f.__wrapped__(lucid.Tensor(X), math.inf))
    assert f.traces == 3


def test_conditions_are_facts_of_their_own() -> None:
    f = lucid.compile(lambda x, n: x * n if n > 9 else x - n)
    for n in range(20):
        close(f(X, n), X * np.float32(n) if n > 9 else X - np.float32(n))
    assert f.traces == 3


PLAIN: list[Callable[[Any], Any]] = [
    lambda n: math.sqrt(n),
    lambda n: len(range(n)),
    lambda n: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0][n],
    lambda n: {1: 2.0, 2: 3.0}.get(n, 5.0),
    lambda n: float(f"{n}") + len(f"{n:03d}") + len("%d" % n) + len(str(n)),  # noqa: UP031
    lambda n: np.sqrt(n) + np.float32(2) * n + np.array([n, 2.0])[0],
    lambda n: pickle.loads(pickle.dumps(n)),
    lambda n: round(n / 3, 1) + n // 2 + n % 3 + divmod(n, 2)[1] + -n + abs(-n),
    lambda n: n**2 + 2**n + n**0.5 + (n << 1) + (n & 3) + n.bit_length(),
    lambda n: int(n) + float(n) + complex(n).real + operator.index(n),
    lambda n: max(n, 3) + min(n, 2) + sum([n, n]) + sorted([n, 2])[0],
    lambda n: 1.0 if isinstance(n, int) and not isinstance(n, float) else 2.0,
    lambda n: 1.0 if type(n) is int else 2.0,
    lambda n: float(n in (1, 3)) + float(n == 2) + float(n != 2) + float(bool(n)),
    lambda n: (0.0 if n is None else 1.0) * (n or 7),
    lambda n: __import__("json").loads(__import__("json").dumps(n)),
    lambda n: math.floor(n) + math.ceil(n / 2) + n.real + n.numerator,
]


@pytest.mark.filterwarnings("ignore:.*was traced")
@pytest.mark.parametrize("number", PLAIN)
def test_whatever_python_does_with_a_number(number: Callable[[Any], Any]) -> None:
    """As an argument, and from a place outside."""
    held = [1]
    f = lucid.compile(lambda x, n: x * number(n))
    g = lucid.compile(lambda x: x * number(held[0]))
    for n in (1, 2, 3, 2, 5, 1, 4):
        held[0] = n
        want = lucid.Tensor(X) * number(n)
        close(f(X, n), want)
        close(g(X), want)
        assert type(held[0]) is int


@pytest.mark.filterwarnings("ignore:.*was traced")
def test_how_tensors_take_numbers() -> None:
    ints = np.arange(1, 7)
    power = lambda x, n: x**n  # noqa: E731
    for f in (
        power,
        lambda x, n: n ** x.astype("float32"),
        lambda x, n: x > n,
        lambda x, n: lucid.where(x > n, x, n),
        lambda x, n: lucid.clip(x, -n, n),
        lambda x, n: lucid.maximum(x, n),
        lambda x, n: lucid.full((2,), n) + lucid.Tensor(n),
        lambda x, n: x.astype("float16") * n,
        lambda x, n: x[:n].sum(),
        lambda x, n: x.reshape(2, -1) + lucid.zeros((n, 1, 1)),
        lambda x, n: x.astype("bool") * n,
    ):
        for x in (X, ints):
            compiled = lucid.compile(f)
            for n in (1, 2, 3, 4, 2, 5, 6):
                got, want = compiled(x, n), f(lucid.Tensor(x), n)
                assert got.dtype == want.dtype
                if f is power and x is X:  # an operand multiplies no more
                    np.testing.assert_array_max_ulp(got.numpy(), want.numpy(), 2)
                else:
                    close(got, want)


def test_a_number_that_does_not_fit_any_more_raises() -> None:
    f = lucid.compile(lambda x, n: x + n)
    small = np.ones(3, np.int8)
    for n in (1, 2, 3):
        close(f(small, n), small + n)
    with pytest.raises(OverflowError, match="out of bounds"):
        f(small, 300)
    g = lucid.compile(lambda x, n: x * (1 / n))
    for k in (1.0, 2.0, 4.0):
        close(g(X, k), X * np.float32(1 / k))
    with pytest.raises(ZeroDivisionError):
        g(X, 0.0)
    close(f(small, 4), small + 4)


def test_what_is_kept_of_a_number_is_the_number() -> None:
    kept: dict[str, Any] = {}
    log: list[Any] = []

    class Model:
        last = 0.0

    model = Model()

    @lucid.compile
    def f(x: Any, n: float) -> Any:
        kept["n"], model.last = n, n * 2
        log.append(n)
        return x * n

    for n in (1.0, 2.0, 3.0):
        close(f(X, n), X * np.float32(n))
        assert (kept["n"], model.last, log[-1]) == (n, 2 * n, n)
        assert not any(map(is_traced, (kept["n"], model.last, log[-1])))


def test_a_function_that_raises_leaves_the_numbers() -> None:
    class Model:
        n = 0

        def step(self, x: Any, fail: bool = False) -> Any:
            self.n += 1
            if fail:
                raise ValueError("no")
            return x * self.n

    model = Model()
    step = lucid.compile(model.step)
    for _ in range(3):
        step(X)
    with pytest.raises(ValueError, match="no"):
        step(X, fail=True)
    assert type(model.n) is int


def test_an_error_comes_once_and_leaves_what_it_would_uncompiled() -> None:
    class Model:
        n, m = 0, 0

        def step(self, x: Any, a: int) -> Any:
            self.n += 1
            self.m += a
            return x * (a / self.m)

    model, eager = Model(), Model()
    step = lucid.compile(model.step)
    for a, m in ((0, 0), (1, 1), (2, -2), (3, 1), (1, -1), (2, 2)):
        model.m = eager.m = m
        try:
            want = eager.step(lucid.Tensor(X), a)
        except ZeroDivisionError:
            with pytest.raises(ZeroDivisionError):
                step(X, a)
        else:
            close(step(X, a), want)
        assert (model.n, model.m) == (eager.n, eager.m)


def test_too_many_traces_for_a_number_are_said_once() -> None:
    f = lucid.compile(lambda x, n: x * len(range(n)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for n in range(20):
            f(X, n)
    assert [str(w.message) for w in said if "was traced" in str(w.message)] == [str(said[0].message)]
    assert "was traced 9 times for another number (argument n changed from 8 to 9)" in str(said[0].message)
    assert "lucid.tensor(number)" in str(said[0].message)


def test_reasons_name_what_changed() -> None:
    f = lucid.compile(lambda x, mode="a", **options: x * 2)
    f(X)
    f(X[:3])
    f(X[:3], "b")
    f(X[:3], "b", flag=True)
    f(X[:3].astype("f8"), "b", flag=True)
    lines = [line for line in f.explain().splitlines() if line.startswith("trace ")]
    assert lines[1] == "trace 2: argument x changed from an array of float32 (6,) to an array of float32 (3,)"
    assert lines[2] == "trace 3: argument mode changed from 'a' to 'b'"
    assert lines[3] == "trace 4: argument flag changed from nothing to True"
    assert lines[4].endswith("from an array of float32 (3,) to an array of float64 (3,)")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_number_beyond_the_dtype_is_infinite(dtype: str) -> None:
    x = np.ones(2, dtype)
    f = lucid.compile(lambda x, n: x * n)
    for n in (1e300, -1e300, 65504.0, 65519.0, 65520.0, 3.4028235e38, 3.4028236e38, 1e5):
        with np.errstate(over="ignore"):
            want = x * x.dtype.type(n)
        close(lucid.Tensor(x) * n, want)
        close(f(x, n), want)


def test_numbers_of_two_traces_at_once_are_facts_of_both() -> None:
    first, second = Tape(), Tape()
    a, b = first.given(2), second.given(3)
    for product in (a * b, b * a):
        assert product == 6 and not is_traced(product)
    assert dict(first.finish().facts) == {0: 2} and dict(second.finish().facts) == {0: 3}


def test_attributes_called_type_are_no_matter() -> None:
    class Model:
        type, n = "a", 1.0

    model = Model()
    f = lucid.compile(lambda x, n: x * n if model.type == "a" else x)
    for k in range(10):
        close(f(X, k / 2), X * np.float32(k / 2))
    assert f.traces == 2


def test_a_tape_is_run_again() -> None:
    tape = Tape()
    a, b = tape.given(2), tape.given(0.5)
    total = (a + 1) * b - 2 / a
    assert total == 0.5 and a > 1  # facts, both
    program = tape.finish()
    assert program.run([2, 0.5]) is not None
    assert program.run([3, 0.5]) is None  # the total is another
    assert program.run([2.0, 0.5]) is None  # the type is
    assert program.run([0, 0.5]) is None  # divides by 0
    assert program.needed() == set()


# --- random functions ----------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-4, 6),
    st.sampled_from([0.0, -0.0, 0.5, -1.5, 3.0, 1e-3, math.inf]),
    st.floats(-8, 8, width=32),
)
ARITHMETIC = ["+", "-", "*", "/", "//", "%", "**"]


@st.composite
def number(draw: Any, depth: int = 2) -> str:
    """Text of a number made of the four places."""
    if depth == 0 or draw(st.booleans()):
        return str(draw(st.sampled_from(["a", "self.n", "cell", "BOX['g']", "2", "0.5", "-3"])))
    left, right = draw(number(depth - 1)), draw(number(depth - 1))
    kind = draw(st.integers(0, 9))
    if kind < 6:
        return f"({left} {draw(st.sampled_from(ARITHMETIC))} {right})"
    return (
        f"({left} if {right} > 1 else 2)",
        f"abs({left})",
        f"max({left}, {right})",
        f"float(len(range(int(min(abs({left}), 5)))))",
    )[kind - 6]


@st.composite
def function(draw: Any) -> str:
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(number())
        lines.append(
            draw(
                st.sampled_from(
                    [
                        f"x = x * ({n})",
                        f"x = ({n}) - x",
                        f"x = lucid.where(x > ({n}), x, ({n}))",
                        f"self.n = {n}",
                        f"self.n += {n}",
                        f"BOX['g'] = {n}",
                        f"if {n} > 0: x = x + ({n})",
                        f"x = lucid.clip(x, {n}, None)",
                        f"r.append({n})",
                    ]
                )
            )
        )
    body = "\n        ".join(lines)
    return f"""
def make(cell):
    def f(self, x, a):
        nonlocal cell
        r = []
        {body}
        return x, r
    def change(value):
        nonlocal cell
        cell = value
    return f, change
"""


class Self:
    n: Any


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        x, r = call()
        with np.errstate(all="ignore"):
            return x.numpy(), r
    except (ArithmeticError, TypeError, ValueError) as error:
        return type(error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(function(), st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=3, max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_random_functions_of_numbers(text: str, calls: list[tuple[Any, ...]]) -> None:
    worlds = []
    for kind in ("eager", "compiled"):
        box: dict[str, Any] = {"g": 1.0}
        scope: dict[str, Any] = {"lucid": lucid, "BOX": box}
        exec(compile(text, "<numbers>", "exec"), scope)
        f, change = scope["make"](1.0)
        place = Self()
        worlds.append((kind, lucid.compile(f) if kind == "compiled" else f, change, place, box))
    for a, n, cell, g in [*calls, *calls[:2]]:
        results = []
        for kind, f, change, place, box in worlds:
            place.n, box["g"] = n, g
            change(cell)
            x = X if kind == "compiled" else lucid.Tensor(X)
            got = _outcome(functools.partial(f, place, x, a))
            state = [] if isinstance(got, type) else [place.n, box["g"]]
            results.append((got, state))
        (want, before), (got, after) = results
        assert isinstance(want, type) == isinstance(got, type), (text, want, got)
        if isinstance(want, type):
            continue
        np.testing.assert_array_equal(got[0], want[0], err_msg=text)
        assert got[0].dtype == want[0].dtype
        assert list(map(repr, [*got[1], *after])) == list(map(repr, [*want[1], *before])), text
        assert not any(map(is_traced, [*got[1], *after]))


def _native(f: Any) -> bool:
    return f._native is not None and f._native.latest is not None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "values", [[0.1, 1e-40, 1e300, -0.0, math.nan, -math.inf], [3, -7, 2**53 + 1, 2**62]]
)
def test_arguments_that_meet_tensors_directly_are_converted_natively(dtype: str, values: list[Any]) -> None:
    x = X.astype(dtype)
    f = lucid.compile(lambda x, a, unused, *, b: (x * a - b, x + b))
    with np.errstate(all="ignore"):
        for k in range(6):
            f(x, values[0] + k, k * 1.0, b=k)
        for a in values:
            for b in (0, 1, -(2**40)):
                got = f(x, a, 1.5 + b, b=b)
                assert _native(f) or not call.available()
                close(got[0], x * x.dtype.type(a) - x.dtype.type(b))
                close(got[1], x + x.dtype.type(b))
        close(f(x, values[0], 1.0, b=2**70)[1], x + x.dtype.type(2**70))  # by Python
    assert f.traces == 2


def test_numbers_whose_value_is_needed_are_looked_at_natively() -> None:
    def program(x: Any, a: Any, b: Any, c: float) -> Any:
        return (x * a + (b + 1.0), c) if b > 0 else (x, c)

    f = lucid.compile(program)
    for k in range(40):
        a, b, c = k * 0.5, (k % 3 - 1) * 0.5, k % 2 * 1.0
        got, kept = f(X, a, b, c)
        want, _ = program(X, np.float32(a), np.float32(b), c)
        close(got, want)
        assert kept == c
    with pytest.raises(TypeError):
        f(X, "a", 1.0, 2.0)
    close(f(X, True, 1.0, 0.0)[0], X + np.float32(2.0))


def test_converted_numbers_of_large_calls_that_run_at_once() -> None:
    x = np.ones(1 << 18, np.float32)
    f = lucid.compile(lambda x, a: x * a)
    for k in range(4):
        f(x, k * 0.5)
    wrong: list[float] = []

    def work(a: float) -> None:
        for k in range(50):
            got = f(x, a + k).numpy()
            if not (got == a + k).all():
                wrong.append(a + k)

    threads = [threading.Thread(target=work, args=(1000.0 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_exponents_that_change_are_operands() -> None:
    x = np.linspace(0.1, 2, 6, dtype=np.float32)
    f = lucid.compile(lambda x, s: x**s)
    g = lucid.compile(lambda x, s: lucid.grad(lambda x: (x**s).sum())(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for s in (2, 3, 0, 5, 7, -1, 12, 2.0, 0.5, 1.0, -1.0, 2.5, 0.25, 7.75, 0.0, 3.0, 1.5):
            np.testing.assert_allclose(f(x, s).numpy(), x.astype(float) ** s, rtol=1e-6)
            np.testing.assert_allclose(g(x, s).numpy(), s * x.astype(float) ** (s - 1), rtol=1e-5)
    assert f.traces == g.traces == 4  # an int, ints, a float, floats


def test_class_attributes_and_defaults() -> None:
    class Base:
        scale = 1.0

    class Model(Base):
        shift = 2

        def forward(self, x: Any) -> Any:
            return x * self.scale + self.shift

    def affine(x: Any, a: float = 1.0, b: float = 2.0, *, c: float = 3.0) -> Any:
        return x * a + b - c

    model = Model()
    f, g, h = lucid.compile(model.forward), lucid.compile(affine), lucid.compile(lambda x: affine(x) * 2.0)
    for k in range(12):
        Base.scale, Model.shift = 1.0 + k, k
        affine.__defaults__ = (0.5 * k, 2.0)
        assert affine.__kwdefaults__ is not None
        affine.__kwdefaults__["c"] = 1.5 * k
        close(f(X), X * np.float32(Base.scale) + np.float32(Model.shift))
        close(g(X), X * np.float32(0.5 * k) + np.float32(2) - np.float32(1.5 * k))
        close(h(X), (X * np.float32(0.5 * k) + np.float32(2) - np.float32(1.5 * k)) * np.float32(2))
    assert f.traces == h.traces == 2
    assert g.traces == 3  # arguments with these defaults, and then the defaults as places
    assert "scale" not in vars(Model) and type(Base.scale) is float
    model.scale = 3.0  # an attribute of its own
    close(f(X), X * np.float32(3) + np.float32(Model.shift))
    affine.__defaults__ = (None, 2.0)
    with pytest.raises(TypeError):
        g(X)
