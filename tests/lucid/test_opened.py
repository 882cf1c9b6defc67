"""Arguments that are containers: which are opened, and what becomes of changes to them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any

import pytest

import lucid


def test_ordered_and_default_dicts_are_opened() -> None:
    @lucid.compile
    def f(d: Any) -> Any:
        return OrderedDict(twice=d["a"] * 2, sum=d["a"] + d["b"])

    some: Any = list
    other: Any = dict
    a, b = lucid.ones(3), lucid.ones(3)
    for k in range(4):
        found = f(OrderedDict(a=a + k, b=b))
        assert type(found) is OrderedDict and list(found) == ["twice", "sum"]
        assert found["sum"].tolist() == [2 + k] * 3
    assert f.traces == 1
    assert f(defaultdict(some, a=a, b=b))["sum"].tolist() == [2] * 3 and f.traces == 2
    assert f(defaultdict(some, a=a * 3, b=b))["sum"].tolist() == [4] * 3 and f.traces == 2
    made: Any = lucid.compile(lambda d: d["a"].sum())
    for make in (some, other, some):
        assert made(defaultdict(make, a=a)).item() == 3
    assert made.traces == 2  # what makes what is missing is a fact


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(y=d["x"]), "changes argument d, "),
        (lambda d: d.__setitem__("x", d["x"] * 2), r"changes argument d\['x'\]"),
        (lambda d: d["more"].append(d["x"]), r"changes argument d\['more'\]"),
        (lambda d: d["more"].__setitem__(0, d["x"]), r"changes argument d\['more'\]\[0\]"),
    ],
)
def test_changes_of_an_arguments_container_are_no_silent_loss(change: Any, told: str) -> None:
    @lucid.compile
    def f(d: Any) -> Any:
        change(d)
        return d["x"]

    x = lucid.ones(2)
    with pytest.raises(lucid.TraceError, match=rf"test_opened.py:\d+: a compiled function {told}"):
        f({"x": x, "more": [x * 3]})


def test_own_containers_and_tensors_in_them_may_change() -> None:
    @lucid.compile
    def f(d: Any, *rest: Any, **named: Any) -> Any:
        own = dict(d, y=1)
        own["x"] += 1  # in place, of the tensor
        named["more"] = named.pop("x")
        return own["x"] + named["more"] + len(own) + len(rest)

    x = lucid.ones(2)
    assert f({"x": x}, 5, x=lucid.ones(2)).tolist() == [6, 6] and x.tolist() == [2, 2]
