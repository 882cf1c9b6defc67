"""What newcomers to `lucid.testing` found: each test is named after what went wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid.testing import CheckError, check

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
