"""`compiled.explain()`: why it was traced, what its kernels are and cost, what was not fused and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.story import Change, Story

X = np.linspace(-1, 1, 12, dtype="f").reshape(3, 4)


def reason(f: Any) -> str:
    """Why it was traced the last time."""
    lines = [line for line in str(f.explain()).splitlines() if line.startswith("trace ")]
    return lines[-1].partition(": ")[2]


# --- traces -------------------------------------------------------------------------------------


def test_each_retrace_names_what_changed_and_both_values() -> None:
    f = lucid.compile(lambda x, y, scale=1.0, how=None: (x + y) * scale)
    x, y = Tensor(X), Tensor(X)
    f(x, y)
    assert reason(f) == "the first call"
    f(x, y, how=slice(1, 2))
    assert reason(f) == "argument how changed from nothing to slice(1, 2, None)"
    f(x, x)
    kind = "a Tensor of float32 (3, 4)"
    assert reason(f) == f"argument y changed from {kind} to {kind}, the same as argument x"
    with lucid.no_grad():
        f(x, x)
    assert reason(f) == "whether gradients are on changed from True to False"
    f(X, y)
    assert reason(f) == f"argument x changed from {kind} to an array of float32 (3, 4)"
    f(np.asfortranarray(X), y)
    kind = "an array of float32 (3, 4)"
    assert reason(f) == f"argument x changed from {kind} to {kind}, whose axes lie in memory as (1, 0)"
    f([x, y][0], y, how=np.dtype("f4"))
    assert reason(f) == "argument how changed from slice(1, 2, None) to dtype('float32')"
    f(Tensor(X, requires_grad=True), y)
    assert reason(f).endswith("to a Tensor of float32 (3, 4), differentiable")


def test_a_call_is_compared_with_the_one_most_like_it() -> None:
    f = lucid.compile(lambda x, name, flag: x * 2)
    f(X, "a", True)
    f(X[:2, 1], "b", False)
    f(X, "a", False)
    assert reason(f) == "argument flag changed from True to False"
    f(X[0], "c", None)
    assert reason(f) == (
        "argument x changed from an array of float32 (3, 4) to an array of float32 (4,); "
        "argument name changed from 'a' to 'c'; argument flag changed from False to None"
    )


def test_objects_name_themselves() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale, self.parts, self.other = scale, [1, 2], {"a": 1}

        @lucid.compile
        def run(self, x: Any) -> Any:
            return x * self.scale * len(self.parts) * len(self.other)

    one, two = Model(1.0), Model(2.0)
    one.run(X)
    two.run(X)
    assert (
        reason(Model.run) == f"argument self changed from a Model at {id(one):#x} to a Model at {id(two):#x}"
    )
    one.scale = 3.0
    one.run(X)
    assert "scale changed from 1.0 to 3.0" in reason(one.run)
    one.parts[1] = 5
    one.run(X)
    assert reason(one.run).endswith("parts[1] changed from 2 to 5")
    one.parts.append(7)
    one.run(X)
    assert reason(one.run).endswith("parts has 3 items, had 2")
    one.other["b"] = 2
    one.run(X)
    assert reason(one.run).endswith("has other keys: 'b' came")


def test_captured_tensors_are_named() -> None:
    class Box:
        weight = Tensor(X, requires_grad=True)

    box = Box()
    box.weight = Tensor(X, requires_grad=True)

    @lucid.compile
    def step(x: Any) -> Any:
        loss = (x * box.weight).sum()
        loss.backward()
        return loss

    step(X)
    step(X)
    assert reason(step).startswith("the gradient of ") and reason(step).endswith(
        "changed from None to f32[3, 4]"
    )
    box.weight.requires_grad = False
    with pytest.raises(RuntimeError):
        step(X)
    assert step.traces == 2


def test_reasons_carry_the_values_apart() -> None:
    story = Story()
    assert story.differs({"argument x": "1"}) == "the first call"
    story.add(Change("the first call"), {"argument x": "1"})
    change = story.differs({"argument x": "2"})
    assert (change.what, change.from_, change.to) == ("argument x", "1", "2") and change.is_number
    assert story.differs({"argument x": "1"}).what is None
    found = story.differs({f"argument {k}": str(k) for k in range(9)})
    assert found.endswith("; and 7 more")
