"""`data` makes what a frozen dataclass with slots is."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest

from lucid.compiler.ir.data import as_dict, data, field, replace


@data
class Point:
    x: float
    y: float = 0.0

    @property
    def norm(self) -> float:
        return abs(self.x) + abs(self.y)


@data
class Tagged:
    value: float = field(compare=False)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", repr(self.value))


@data(frozen=False)
class Bag:
    name: str
    items: list[int] = field(default_factory=list)


@data(eq=False, weakref=True)
class Thing:
    name: str


@data
class Empty:
    pass


def test_arguments_by_position_by_name_and_by_default() -> None:
    assert (Point(1, 2).x, Point(y=3, x=1).y, Point(5).y) == (1, 3, 0.0)
    make: Any = Point
    for arguments, named in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 2})):
        with pytest.raises(TypeError, match=r"Point\.__init__\(\)"):
            make(*arguments, **named)
    with pytest.raises(TypeError, match="'x'"):
        make()


def test_a_frozen_instance_has_slots_and_cannot_change() -> None:
    point = Point(1)
    for name in ("x", "z"):
        with pytest.raises(AttributeError, match=f"frozen: '{name}'"):
            setattr(point, name, 2)
        with pytest.raises(AttributeError, match=f"frozen: '{name}'"):
            delattr(point, name)
    assert point.x == 1 and point.norm == 1 and not hasattr(point, "__dict__")


def test_equality_is_of_class_and_fields() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(1, 3)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    others: list[Any] = [(1, 2), Empty()]
    assert Point(1, 2) not in others and Empty() == Empty()
    nan = float("nan")
    assert Bag("a", [1]) == Bag("a", [1]) and Point(nan) == Point(nan) != Point(-nan)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Bag("a"))
    assert Thing("a") != Thing("a") and len({Thing("a"), Thing("a")}) == 2


def test_fields_that_are_more_than_a_name() -> None:
    assert Tagged(0.0) != Tagged(-0.0) and Tagged(1.0) == Tagged(1.0)
    first, second = Bag("a"), Bag("b")
    first.items.append(1)
    first.name = "c"
    assert (first, second.items) == (Bag("c", [1]), [])
    assert weakref.ref(thing := Thing("a"))() is thing
    with pytest.raises(TypeError):
        weakref.ref(Point(1))


def test_text_patterns_copies() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    point: Any = Point(1, 2)
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("no match")
    assert as_dict(point) == {"x": 1, "y": 2} and replace(point, y=5) == Point(1, 5)
    tagged = Tagged(-0.0)
    for twin in (copy.copy(tagged), copy.deepcopy(tagged), pickle.loads(pickle.dumps(tagged))):
        assert twin == tagged and twin.text == "-0.0"
