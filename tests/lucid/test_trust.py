"""What newcomers to `lucid.testing` found: each test is named after what went wrong."""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.cli.main import main
from lucid.settings import wrong
from lucid.testing import (
    LAYOUTS,
    CheckError,
    FuzzError,
    check,
    fuzz,
    gradcheck,
    gradgradcheck,
    laid_out,
    record,
    replay,
)

pytestmark = pytest.mark.report

X = np.random.default_rng(0).normal(size=(7, 5)).astype("float32")


def square_hidden(x: Any) -> Any:
    return x * x.detach()


# --- gradients ------------------------------------------------------------------------------------


def test_a_gradient_that_is_nan_where_there_is_a_derivative_agreed() -> None:
    def f(x: Any) -> Any:
        return lucid.sqrt(abs(x)) * x

    with pytest.raises(CheckError, match=r"is nan at \[0\], where the derivative is 0.*\n.*`div` at .*trust"):
        check(f, np.array([0, 1, -2], "f4"))
    notes = check(lucid.sqrt, np.array([0, 1, 4], "f4")).notes
    assert any("inf at [0], where finite differences show no derivative" in n for n in notes)
    notes = check(lucid.sqrt, np.array([-1, 1], "f4")).notes
    assert any("neither are all outputs" in n for n in notes)


def test_an_infinite_slope_beside_the_point_was_a_wrong_gradient() -> None:
    check(lambda p: lucid.where(p > 0, p * lucid.log(p), 0.0).sum(), np.array([0, 0.5, 0.5], "f4"))


def test_a_large_element_hid_a_wrong_reference_of_others() -> None:
    x = np.array([1e10, 1, 2], "f4")
    with pytest.raises(CheckError, match=r"worst at \[1\]"):
        check(lambda x: x * 2, x, reference=lambda x: x * 2 + np.array([0, 5, 0]))
    check(lambda x: (x - 1) ** 2, x, reference=lambda x: x * x - 2 * x + 1)
    check(lambda x: (x >= 1, x.argmax()), x, reference=lambda x: (x >= 1, x.argmax()))


@pytest.mark.parametrize(
    "f, args",
    [
        (lambda x, y: square_hidden(x) + y, (X, X)),  # two of equal values
        (lambda d: square_hidden(d["a"][0]), ({"a": [X]},)),
        (lambda z: square_hidden(abs(z)), (X.astype("c8"),)),
        (lambda x: square_hidden(x).sum() + 1e7, (X,)),
        (lambda x: x + (lucid.round(x) - x).detach(), (X,)),  # straight through
    ],
)
def test_gradients_were_not_compared_without_a_word(f: Any, args: Any) -> None:
    with pytest.raises(CheckError, match=r"is not the derivative.*\n.*`detach` at .*trust.*differences"):
        check(f, *args)
    assert check(f, *args, differences=False)


def test_gradients_by_parameters_were_not_compared() -> None:
    w = lucid.Tensor(X[0], requires_grad=True)
    with pytest.raises(CheckError, match=r"gradient by float32\[5\] that it reads is not the derivative"):
        check(lambda x: square_hidden(w) * x, X)


@pytest.mark.parametrize(
    "f, args",
    [
        (lambda x, y: (x * y).sum(), (X, X)),
        (lambda z: (abs(z) * z, z.real), (X.astype("c8") * (1 + 2j),)),
        (lambda d, k: (d["x"] * d["y"][0])[k], ({"x": X, "y": [X, 3]}, np.array([1, 2]))),
        (lambda x: (x * x).sum() + 1e7, (X,)),
        (lambda x: lucid.relu(x).sum(), (np.zeros(50, "f4"),)),
        (lambda x: x.max(axis=1), (np.round(X),)),
    ],
)
def test_right_gradients_of_such_functions_agree(f: Any, args: Any) -> None:
    assert not [n for n in check(f, *args).notes if "gradient" in n]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gradient_of_an_array_in_another_order_was_no_derivative(layout: str) -> None:
    x = np.full((2, 3, 2), 0.1, "f4") + np.arange(2, dtype="f4")
    check(lambda x: x * x, laid_out(x, layout))


def test_what_rounding_hides_is_told() -> None:
    notes = check(lambda x: (x * x).sum() * 1e-6 + 1e9, X).notes
    assert any("was not compared with finite differences" in n for n in notes)


# --- words ----------------------------------------------------------------------------------------


def test_an_element_without_a_right_digit_was_passed_over() -> None:
    notes = check(lambda x: (x + 1000) - 1000, np.array([1e7, 1e-4], "f4")).notes
    assert any("output has few digits right at [1]: lucid 0.00012" in n for n in notes)


def test_rounding_allowed_nothing_and_was_as_it_should_be() -> None:
    with pytest.raises(CheckError) as caught:
        check(lambda x: (x + 1000) - 1000, np.array([1e-3, 1e-4], "f4"))
    assert "allows 0" not in str(caught.value) and "its steps may add up to 2.01e+05" in str(caught.value)


def test_nothing_at_all_agreed() -> None:
    with pytest.raises(ValueError, match="returns no tensor"):
        check(lambda x: None, X)


def test_what_draws_random_numbers_was_said_to_assign() -> None:
    def noisy(x: Any) -> Any:
        return x + lucid.random.random(X.shape)

    for test in (check, fuzz, lambda f, x: lucid.compile(f).certify(x)):
        with pytest.raises(ValueError, match=r"draws random numbers.*generator=lucid.random.Generator\(0\)"):
            test(noisy, X)

    check(lambda x: x + lucid.random.random(X.shape, generator=lucid.random.Generator(0)), X)


@pytest.mark.parametrize(
    "given, said",
    [
        (None, "NoneType as output.*is a `return` missing"),
        ("abc", "gives str as output"),
        ([X, X], "gives a list of 2, where one array is expected"),
        (object(), "gives object as output"),
    ],
)
def test_a_reference_that_gives_no_array_was_missing_an_output(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        check(lambda x: x * 2, X, reference=lambda x: given)


def test_a_function_that_assigns_to_its_argument_failed_in_its_gradient() -> None:
    def assigns(a: Any) -> Any:
        a[0] = 1
        return a * 2

    with pytest.raises(ValueError, match=r"assigns to its argument 0.*a.clone\(\).*grad=False"):
        check(assigns, X)
    check(assigns, X, grad=False)


# --- numbers of tests -----------------------------------------------------------------------------


def test_no_time_and_no_elements_agreed() -> None:
    every: list[dict[str, Any]] = [{"seconds": -1}, {"seconds": float("nan")}, {"cases": 0}]
    for options in every:
        with pytest.raises(ValueError, match=r"test_trust.py:\d+: fuzz: (seconds|cases) must be"):
            fuzz(lucid.tanh, X, **options)
    with pytest.raises(ValueError, match="nothing to compare"):
        gradcheck(lucid.tanh, np.ones(0))
    with pytest.raises(ValueError, match="nothing to compare"):
        gradcheck(lambda x: x[:0], np.ones(3))
    with pytest.raises(ValueError, match="nothing to record"):
        record(lambda x: None, X, path="nothing")


def test_a_capsule_without_launches_had_the_same_bits_in_each(tmp_path: Path) -> None:
    path = str(tmp_path / "same.capsule")
    record(lambda x: x, X, path=path)
    assert "nothing is launched" in str(replay(path))


def test_gradcheck_took_no_structures_and_no_complex_numbers() -> None:
    z = X[0].astype("c8") * (1 + 2j)
    assert gradcheck(lambda d: d["z"] * abs(d["z"]), ({"z": z},)) and gradgradcheck(lambda z: z * z * z, z)
    assert gradcheck(lambda d, n: d[0] * n, ([X[0]], 3))
    with pytest.raises(RuntimeError, match=r"output 0 by input 0\['z'\]\[0\] \(real part\)"):
        gradcheck(lambda d: d["z"][0] * abs(d["z"][0]).detach(), ({"z": [z]},))


def test_shrinking_took_three_times_as_long_and_one_axis_after_the_other() -> None:
    x, began = np.full((6, 7, 8), 0.1, "f4"), time.thread_time()
    with pytest.raises(FuzzError) as caught:
        fuzz(lambda x: x * x, x, reference=lambda x: x * x + (x.shape[0] > 20), seconds=3, grad=False)
    assert caught.value.arguments[0].shape[1:] == (1, 1)
    assert time.thread_time() - began < 8


# --- certificates and costs -----------------------------------------------------------------------


def test_certificates_of_libraries_said_that_c_is_no_integer() -> None:
    text = str(lucid.compile(lambda x: (lucid.fft.fft(x), abs(lucid.fft.fft(x * 1j)) + 1)).certify(X))
    assert text.count("no bound: nothing is known of `fft` at") == 2


def test_certificates_said_nothing_of_integers_and_bools() -> None:
    def f(x: Any) -> Any:
        y = x + 1000 - 1000
        return y > 0.1, x > 0.5, y.argmax(), y.astype("int32") * 2**30, x.astype("int64") * 2**62 * 4

    found = lucid.compile(f).certify(np.array([0.1, 3.5], "f4"))
    text = str(found)
    assert "output[0]: b1[2], may flip at [0]: `gt` at" in text and "output[1]: b1[2], exact" in text
    assert "output[2]: i64[], not certified at []: `argmax` at" in text
    assert "output[3]: i32[2], exact" in text and "output[4]: i64[2], exact" in text
    assert not sum(o.violations for o in found.outputs)
    assert "within 0 of the exact value" in str(lucid.compile(lambda x: x).certify(X))
    with pytest.raises(ValueError, match=r"certify of .* it returns no tensor"):
        lucid.compile(lambda x: x).certify("abc")


def test_calls_of_libraries_cost_nothing() -> None:
    def inverse(x: Any) -> Any:
        return lucid.linalg.inv(x * 2)

    square = X[:5]
    cost = lucid.compile(inverse).cost(square)
    assert (cost.kernels, cost.calls, cost.bytes) == (1, 1, 4 * square.nbytes)
    assert "1 calls of libraries" in str(cost)
    every: list[dict[str, Any]] = [{"max_kernels": 1}, {"max_bytes": 2 * square.nbytes}]
    for limits in every:
        with pytest.raises(lucid.ContractError, match=r"a call of linalg.inv.*200 bytes"):
            lucid.compile(inverse, **limits)(square)


# --- what is no argument --------------------------------------------------------------------------


def test_strategies_raised_where_an_example_was_drawn() -> None:
    pytest.importorskip("hypothesis")
    from lucid.testing import shapes, tensors

    makers: list[Any] = [
        lambda: tensors("float99"), lambda: shapes(-1, 2), lambda: shapes(3, 1), lambda: shapes(1, 2, ()),
        lambda: tensors("float32", shape="x"), lambda: tensors(shape=(2, -1)), lambda: tensors(low=3, high=1),
    ]  # fmt: skip
    for make in makers:
        with pytest.raises((TypeError, ValueError), match=r"test_trust.py:\d+: "):
            make()


def test_repro_of_what_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\0")
    for path, said in ((binary, "it is no text"), (tmp_path, "directory")):
        with pytest.raises(SystemExit, match="2"):
            main(["repro", str(path)])
        error = capsys.readouterr().err
        assert f"{path}: " in error and said in error


def test_abc_switched_proofs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_VALIDATE", "abc")
    assert wrong("LUCID_VALIDATE", "abc") == "LUCID_VALIDATE: expected 0 or 1, not 'abc'"
    f = lucid.compile(lambda x: x * 7 + 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f(X)
    assert "proved" not in str(f.explain())


# --- scripts --------------------------------------------------------------------------------------


def run_script(f: Any, reference: Any) -> str:
    """The script of a case that fails, which fails in the same way."""
    with pytest.raises(FuzzError) as caught:
        fuzz(f, X[:2], reference=reference, seconds=1, grad=False)
    with pytest.raises(CheckError, match="not what the reference gives"):
        exec(caught.value.script, {"__name__": "script"})
    return caught.value.script


def test_the_script_of_a_lambda_was_three_dots() -> None:
    table: dict[str, Any] = {"a": [1, 2.5], "b": np.arange(3)}
    scale, shift = 3.5, lucid.Tensor([1.0, 2.0])

    def helper(x: Any) -> Any:
        return x * scale + table["a"][1] + shift.sum()

    pair = (lambda x: helper(x), lambda x: helper(x) + math.pi)  # two in a line
    script = run_script(pair[1], lambda x: x * scale)
    assert "f = lambda x: helper(x) + math.pi\n" in script and "import math\n" in script
    assert script.index("scale = 3.5") < script.index("def helper") < script.index("f = lambda")


def double(x: Any) -> Any:
    return x * 2


def test_the_script_of_a_function_of_a_module_imports_it() -> None:
    script = run_script(double, lambda x: x * 3)
    assert f"from {__name__} import double as f" in script and "sys.path.insert(0, " in script


def test_what_has_no_text_is_told_in_the_script() -> None:
    with pytest.raises(FuzzError) as caught:
        fuzz(lucid.nn.Linear(5, 3), X[:2], reference=lambda x: x[:, :3] * 0 + 100, seconds=1, grad=False)
    assert "# missing here: f, a lucid.nn.layers.Linear, which has no text" in caught.value.script
