"""Tensors that a compiled function leaves in attributes, items and variables: each call writes them."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor


class Plain:
    """An object without a word to say about what is assigned to it."""

    h: Tensor
    p: Tensor
    q: Tensor
    n: int
    state: Any


class Slotted:
    __slots__ = ("h",)
    h: Tensor


def attribute() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    owner = Plain()
    owner.h = Tensor([4.0])

    def step(x: Any) -> Any:
        owner.h = owner.h * 0.5 + x
        return owner.h * 2

    return step, lambda: owner.h


def slot() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    owner = Slotted()
    owner.h = Tensor([4.0])

    def step(x: Any) -> Any:
        owner.h = owner.h * 0.5 + x
        return owner.h * 2

    return step, lambda: owner.h


def item() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    table = {"h": Tensor([4.0])}

    def step(x: Any) -> Any:
        table["h"] = table["h"] * 0.5 + x
        return table["h"] * 2

    return step, lambda: table["h"]


def place_in_a_list() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    table = [Tensor([1.0]), Tensor([4.0])]

    def step(x: Any) -> Any:
        table[1] = table[1] * 0.5 + x
        return table[1] * 2

    return step, lambda: table[1]


def place_in_a_deque() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    table = deque([Tensor([4.0])])

    def step(x: Any) -> Any:
        table[0] = table[0] * 0.5 + x
        return table[0] * 2

    return step, lambda: table[0]


def variable() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    h = Tensor([4.0])

    def step(x: Any) -> Any:
        nonlocal h
        h = h * 0.5 + x
        return h * 2

    return step, lambda: h


def module() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    class Cell(lucid.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory = Plain()
            self.memory.h = Tensor([4.0])

        def forward(self, x: Any) -> Any:
            self.memory.h = self.memory.h * 0.5 + x
            return self.memory.h * 2

    cell = Cell()
    return cell, lambda: cell.memory.h


def several() -> tuple[Callable[[Any], Any], Callable[[], Tensor]]:
    owner = Plain()
    owner.state = (Tensor([4.0]), Tensor([0.0]))

    def step(x: Any) -> Any:
        h, other = owner.state
        owner.state = (h * 0.5 + x, other + 1)
        return owner.state[0] * 2

    return step, lambda: owner.state[0]


@pytest.mark.parametrize(
    "make",
    [attribute, slot, item, place_in_a_list, place_in_a_deque, variable, module, several],
    ids=lambda f: f.__name__,
)
def test_a_tensor_left_in_a_place_is_that_of_the_next_call(
    make: Callable[[], tuple[Callable[[Any], Any], Callable[[], Tensor]]],
) -> None:
    step, held = make()
    first = held()
    compiled = lucid.compile(step)
    expected = 4.0
    for k in range(5):
        expected = expected * 0.5 + k
        assert compiled(Tensor([float(k)])).item() == 2 * expected
        assert held().item() == expected
    assert compiled.traces == 2  # with the first value as a fact, then without
    assert first.item() == 4.0  # who held it has it still


def test_two_places_change_hands() -> None:
    owner = Plain()
    owner.p, owner.q = Tensor([1.0]), Tensor([2.0])

    @lucid.compile
    def swap(x: Any) -> Any:
        owner.p, owner.q = owner.q, owner.p
        return owner.p + x

    for k in range(6):
        assert swap(Tensor([0.0])).item() == 2 - k % 2
        assert (owner.p.item(), owner.q.item()) == (2 - k % 2, 1 + k % 2)
    assert swap.traces == 2


def test_what_is_kept_to_be_read_later() -> None:
    owner = Plain()
    seen: list[Tensor] = []

    @lucid.compile
    def loss(x: Any) -> Any:
        owner.h = (x * x).sum()
        seen.append(x * 2)
        owner.state = {"parts": [x + 1, 3]}
        return owner.h * 2

    for k in range(4):
        assert loss(Tensor([1.0, k])).item() == 2 * (1 + k * k)
        assert owner.h.item() == 1 + k * k
        assert owner.state["parts"][0].numpy().tolist() == [2, k + 1]
        assert owner.state["parts"][1] == 3
    assert [t.numpy().tolist() for t in seen] == [[2, 2 * k] for k in range(4)]


def test_one_tensor_in_two_places_stays_one() -> None:
    owner, other = Plain(), Plain()
    owner.h = other.h = Tensor([1.0])

    @lucid.compile
    def step(x: Any) -> Any:
        owner.h = owner.h + x
        other.h += x  # the tensor that both have held
        return owner.h + other.h

    values = [1.0, 1.0]
    for _ in range(4):
        a = values[0] + 1
        b = values[1] + 1
        assert step(Tensor([1.0])).item() == a + b
        values = [a, b]
        assert (owner.h.item(), other.h.item()) == (a, b)


def test_a_tensor_that_is_also_an_argument() -> None:
    owner = Plain()
    owner.h = Tensor([1.0])

    @lucid.compile
    def step(x: Any) -> Any:
        owner.h = owner.h + x
        return owner.h

    for expected in (3.0, 5.0, 7.0):
        assert step(Tensor([2.0])).item() == expected
    held = owner.h
    assert step(held).item() == 14.0
    assert held.item() == 7.0
    assert step(Tensor([1.0])).item() == 15.0
    assert owner.h.item() == 15.0


def test_who_raises_half_way_leaves_what_was_there() -> None:
    owner = Plain()
    owner.h = Tensor([1.0])
    owner.state = True

    @lucid.compile
    def step(x: Any) -> Any:
        owner.h = owner.h + x
        owner.q = x * 2
        if owner.state:
            raise ValueError("not yet")
        return owner.h

    for _ in range(2):
        with pytest.raises(ValueError, match="not yet"):
            step(Tensor([1.0]))
        assert owner.h.item() == 1.0
        assert not hasattr(owner, "q")
    owner.state = False
    for k in range(3):
        assert step(Tensor([1.0])).item() == 2.0 + k
        assert owner.q.item() == 2.0


def test_an_index_out_of_range_leaves_what_was_there() -> None:
    owner = Plain()
    owner.h = Tensor([1.0, 2.0])

    @lucid.compile
    def step(k: Any) -> Any:
        owner.h = owner.h * 2
        return owner.h[k]

    with pytest.raises(IndexError):
        step(Tensor([5]))
    assert owner.h.numpy().tolist() == [1, 2]
    for value in (2.0, 4.0, 8.0):
        assert step(Tensor([0])).item() == value
    with pytest.raises(IndexError):
        step(Tensor([5]))
    assert owner.h.numpy().tolist() == [8, 16]


def test_a_tensor_with_a_history_keeps_it() -> None:
    w = Tensor([2.0], requires_grad=True)
    owner = Plain()
    owner.h = Tensor([1.0])

    @lucid.compile
    def step(x: Any) -> Any:
        owner.h = owner.h * w + x
        return (owner.h * w).sum()

    h, slope = 1.0, 0.0  # and its derivative by w
    for _ in range(4):
        h, slope = 2 * h + 1, h + 2 * slope
        loss = step(Tensor([1.0]))
        loss.backward()
        assert w.grad is not None
        assert loss.item() == 2 * h
        np.testing.assert_array_equal(w.grad.numpy(), [h + 2 * slope])
        w.grad = None


def test_a_deleted_tensor_is_told() -> None:
    owner = Plain()
    owner.h = Tensor([1.0])

    @lucid.compile
    def step(x: Any) -> Any:
        y = owner.h + x
        owner.h = y
        if owner.state:
            del owner.h
        return y

    owner.state = False
    for k in range(3):
        assert step(Tensor([1.0])).item() == 2.0 + k
    owner.state = True
    with pytest.raises(lucid.TraceError, match="held a tensor and is deleted"):
        step(Tensor([1.0]))
    assert owner.h.item() == 4.0


def test_containers_that_hold_themselves_are_searched_once() -> None:
    unread: dict[str, Any] = {}
    unread["again"] = [unread]
    place = Plain()
    place.state, place.q = unread, Tensor([2.0])
    f = lucid.compile(lambda x: x * place.q)
    assert f(np.ones(2, np.float32)).tolist() == [2, 2]


LATEST = lucid.zeros(1)


def test_an_argument_that_is_left_is_that_of_each_call() -> None:
    owner = Plain()

    class Kept:
        last: Any

    @lucid.compile
    def step(x: Any) -> Any:
        global LATEST
        owner.h = x
        owner.state = {"parts": [x, x * 2]}
        Kept.last = LATEST = x
        return x * 2

    for k in range(4):
        x = Tensor([float(k)])
        step(x)
        assert owner.h is x and owner.state["parts"][0] is x and Kept.last is x and LATEST is x
        assert owner.state["parts"][1].item() == 2 * k
    assert step.traces == 1


def test_a_global_that_is_only_assigned() -> None:
    @lucid.compile
    def step(x: Any) -> None:
        global LATEST
        LATEST = x * 3

    for k in range(4):
        step(Tensor([float(k)]))
        assert LATEST.item() == 3 * k


def test_what_stays_is_not_the_memory_that_was_given() -> None:
    owner = Plain()
    owner.h = lucid.zeros(3)

    @lucid.compile
    def step(x: Any) -> Any:
        owner.h = owner.h + x
        return owner.h

    for k in range(4):
        out = np.zeros(3, np.float32)
        step(lucid.ones(3), out=out)
        assert out.tolist() == [k + 1] * 3
        out[:] = 99
        assert owner.h.numpy().tolist() == [k + 1] * 3


def test_what_is_returned_and_what_is_left_are_one_tensor() -> None:
    def run(compiled: bool) -> list[float]:
        owner = Plain()
        owner.h = lucid.zeros(1)

        def step(x: Any) -> Any:
            owner.h = owner.h + x
            owner.q = owner.h
            return owner.h

        call, seen = lucid.compile(step) if compiled else step, []
        for _ in range(4):
            result = call(lucid.ones(1))
            result += 10.0
            seen += [owner.h.item(), owner.q.item()]
        return seen

    assert run(True) == run(False)


# A number that another thread has changed in between may be traced again each time, which is told.
@pytest.mark.filterwarnings("ignore:more was traced", "ignore:add was traced")
def test_no_step_is_lost_between_threads(request: pytest.FixtureRequest) -> None:
    """Not while functions that leave tensors and numbers in one place are traced, either."""
    one = lucid.ones(1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    request.addfinalizer(lambda: sys.setswitchinterval(interval))
    for _ in range(5):
        owner = Plain()
        owner.h, owner.n = lucid.zeros(1), 0

        def add(x: Any, owner: Plain = owner) -> None:
            owner.h = owner.h + x
            owner.n += 1

        def more(x: Any, owner: Plain = owner) -> None:
            owner.n += 1
            owner.h = owner.h + x * 1

        steps = lucid.compile(add), lucid.compile(more)

        def work(steps: Any = steps) -> None:
            for _ in range(10):
                steps[0](one)
                steps[1](one)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (owner.h.item(), owner.n) == (80, 80)


def test_the_last_few_in_a_deque() -> None:
    last: deque[Tensor] = deque(maxlen=2)
    first: deque[Any] = deque(["end"])

    @lucid.compile
    def f(x: Any) -> Any:
        last.append(x * 2)
        first.appendleft({"x": [x * 3]})
        return last[0] + x

    for k, expected in enumerate((0.0, 1.0, 4.0, 7.0)):
        assert f(Tensor([float(k)])).item() == expected
    assert [t.item() for t in last] == [4, 6]
    assert [d["x"][0].item() for d in list(first)[:-1]] == [9, 6, 3, 0]


class Table(dict[str, Any]):
    """A dict of the user's, with attributes of its own."""

    name: Any = None


class Out:
    def __init__(self, value: Any) -> None:
        self.value = value


LEFT: dict[str, tuple[Callable[[Any, Tensor], Any], Callable[[Any], list[Any]]]] = {
    "an item of an OrderedDict": (lambda o, y: o.p.update(y=y), lambda o: [o.p["y"]]),
    "an item of a defaultdict": (lambda o, y: o.q["y"].append(y), lambda o: o.q["y"]),
    "an item of a dict of the user's": (lambda o, y: o.state.update(y=[y]), lambda o: o.state["y"]),
    "an attribute of such a dict": (lambda o, y: setattr(o.state, "name", y), lambda o: [o.state.name]),
    "an object": (lambda o, y: setattr(o, "h", Out(y)), lambda o: [o.h.value]),
    "objects in a list": (lambda o, y: o.q["o"].append(Out((y,))), lambda o: [x.value[0] for x in o.q["o"]]),
    "an object in an object": (lambda o, y: setattr(o, "h", Out([Out(y)])), lambda o: [o.h.value[0].value]),
    "a new OrderedDict": (lambda o, y: setattr(o, "h", OrderedDict(y=y)), lambda o: [o.h["y"]]),
    "a new dict of the user's": (lambda o, y: setattr(o, "h", Table(y=y)), lambda o: [o.h["y"]]),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_in_other_containers_and_objects(name: str) -> None:
    """Each was left with a tensor of the trace, which no later read could compute."""
    leave, found = LEFT[name]
    owner: Any = Plain()
    owner.p, owner.q, owner.state = OrderedDict(), defaultdict(list), Table()

    @lucid.compile
    def f(x: Any) -> Any:
        leave(owner, x * 2)
        return x + 1

    kept = []
    for k in range(3):
        assert f(Tensor([float(k)])).item() == k + 1
        kept.append(found(owner)[-1])
        assert kept[-1].item() == 2 * k
    if "item" not in name:
        assert [t.item() for t in kept] == [0, 2, 4]


def test_objects_that_are_left_are_apart() -> None:
    owner: Any = Plain()

    @lucid.compile
    def f(x: Any) -> Any:
        owner.h = Out(x * 2)
        return x + 1

    kept = []
    for k in range(3):
        f(Tensor([float(k)]))
        kept.append(owner.h)
    assert [out.value.item() for out in kept] == [0, 2, 4]


def test_a_sum_in_a_defaultdict() -> None:
    total: Any = defaultdict(float)

    @lucid.compile
    def f(x: Any) -> Any:
        total["loss"] += x
        return x * 2

    for k in range(4):
        f(Tensor(float(k)))
    assert total["loss"].item() == 6 and f.traces <= 3
