"""The native call path: right results, exact references, and Python for everything unusual."""

from __future__ import annotations

import gc
import os
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import numpy as np
import pytest

from lucid.compiler.ir.artifact import Buffer, Plan
from lucid.compiler.ir.types import f32
from lucid.runtime import call, checks, execute, memory, pool
from lucid.runtime import call_layout as layout
from lucid.runtime.call import Earlier, Gift, Link, Made, NativeCall, Output, Source, Store, Unused
from lucid.runtime.checks import Argument, Bits, Check
from lucid.runtime.containers import Container
from lucid.runtime.execute import Executable

from .handwritten import add_plan, sum_plan

pytestmark = pytest.mark.skipif(
    not call.available() and sys.platform != "linux", reason="no native call path here"
)
Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def workers() -> None:
    """A native call of large arrays goes to Python as long as there are no workers for it."""
    pool.reach(pool.get_num_threads())


class Node:
    __slots__ = ("__weakref__", "data", "op")
    data: Any
    op: Any


class Value:
    __slots__ = ("__weakref__", "_grad", "_node")
    _grad: Any
    _node: Any


FIRST, SECOND = Source(Argument(0)), Source(Argument(1))
CHAIN = (Link(Value, "_node"), Link(Node, "data"))
RECIPE = (
    Made(Node, (("op", "input"), ("data", Output(0)))),
    Made(Value, (("_node", Earlier(0)), ("_grad", None))),
)

KEPT_RECIPE = (Made(Node, RECIPE[0].fields, kept=True), RECIPE[1])


def value(array: object) -> Value:
    made = Value()
    made._node = Node()
    made._node.data = array
    return made


def numbers(n: int) -> Array:
    return np.random.default_rng(n).standard_normal(n).astype(np.float32)


KEPT = numbers(10)


class Calls:
    """A fallback that remembers what it was called with."""

    def __init__(self, answer: object = "fallback") -> None:
        self.seen: list[tuple[tuple[object, ...], dict[str, object]]] = []
        self.answer = answer

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.seen.append((args, kwargs))
        return self.answer


def adder(n: int = 10, **options: Any) -> tuple[NativeCall, Calls]:
    calls = Calls()
    native = NativeCall(calls)
    answer = options.pop("answer", (Output(0),))
    native.add(Executable(add_plan(n)), [Source(Argument(0), CHAIN), SECOND], answer, **options)
    return native, calls


def test_this_system_has_the_path() -> None:
    assert call.available()


def test_arrays_in_arrays_out() -> None:
    native, calls = adder()
    x = numbers(10)
    result = native.function(x, x)
    assert type(result) is tuple
    np.testing.assert_array_equal(result[0], x + x)
    assert result[0].flags.owndata
    assert not calls.seen


def test_values_in_values_out() -> None:
    native, calls = adder(made=RECIPE, answer=Earlier(1))
    x = numbers(10)
    result = native.function(value(x), x)
    assert type(result) is Value
    assert (result._grad, result._node.op) == (None, "input")
    np.testing.assert_array_equal(result._node.data, x + x)
    np.testing.assert_array_equal(native.function(result, x)._node.data, x + x + x)
    kept = weakref.ref(result)
    del result
    assert kept() is None
    assert not calls.seen


def test_everything_unusual_goes_to_python() -> None:
    native, calls = adder()
    x = numbers(10)

    class Sub(np.ndarray):
        pass

    class SubValue(Value):
        __slots__ = ()

    empty = Value()
    cases: list[tuple[object, ...]] = [
        (),
        (x,),
        (x, x, x),
        (x, x[:9]),
        (x, x[None]),
        (x, x.astype("f8")),
        (x, x.astype(">f4")),
        (x, np.repeat(x, 2)[::2]),
        (x, np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)),
        (x, x.view(Sub)),
        (x, list(x)),
        (x, None),
        (x, 3.0),
        (x, value(x)),  # the second input has no chain
        (value(None), x),
        (value(x[:9]), x),
        (value(value(x)), x),
        (SubValue(), x),
        (empty, x),
    ]
    for case in cases:
        assert native.function(*case) == "fallback"
        seen, names = calls.seen.pop()
        assert len(seen) == len(case)
        assert all(a is b for a, b in zip(seen, case, strict=True))
        assert names == {}
    assert native.function(x, x, out=x) == "fallback"
    assert calls.seen.pop()[1]["out"] is x
    assert native.function(x, y=x) == "fallback"
    assert calls.seen.pop()[1]["y"] is x


def test_read_only_and_empty_inputs_are_fine() -> None:
    native, calls = adder()
    x = numbers(10)
    x.flags.writeable = False
    np.testing.assert_array_equal(native.function(x, x)[0], x + x)
    native, calls = adder(0)
    assert native.function(x[:0], x[:0])[0].shape == (0,)
    assert not calls.seen


def test_the_first_spec_that_fits_runs() -> None:
    calls = Calls()
    native = NativeCall(calls)
    for n in (3, 5, 7):
        native.add(Executable(add_plan(n)), [FIRST, SECOND], (Output(0),))
    for n in (3, 5, 7):
        np.testing.assert_array_equal(native.function(numbers(n), numbers(n))[0], 2 * numbers(n))
    assert native.function(numbers(4), numbers(4)) == "fallback"
    native.specs.clear()
    assert native.function(numbers(3), numbers(3)) == "fallback"


def test_a_fallback_that_raises() -> None:
    def fail(*args: object) -> None:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        NativeCall(fail).function(1)


def test_what_an_answer_can_be() -> None:
    x = numbers(10)
    calls = Calls()
    mark = object()
    for answer in (
        None,
        mark,
        (),
        [],
        {},
        Output(0),
        (Output(0), Output(0)),
        [Output(0), Argument(1)],
        {"sum": Output(0), "x": (Argument(0), [mark, {1: Output(0)}, None]), 3: ()},
    ):
        native = NativeCall(calls)
        native.add(Executable(add_plan(10)), [FIRST, SECOND], answer)
        y = numbers(10)
        found = native.function(x, y)
        assert same(found, answer, (x, y), x + y)
    assert not calls.seen


def same(found: Any, answer: Any, args: tuple[object, ...], output: Array) -> bool:
    if isinstance(answer, Output):
        return bool(np.array_equal(found, output))
    if isinstance(answer, Argument):
        return found is args[answer.number]
    if isinstance(answer, dict):
        return list(found) == list(answer) and all(same(found[k], answer[k], args, output) for k in answer)
    if isinstance(answer, tuple | list):
        return (
            type(found) is type(answer)
            and len(found) == len(answer)
            and all(same(f, a, args, output) for f, a in zip(found, answer, strict=True))
        )
    return found is answer


def test_objects_as_sources() -> None:
    state, x = value(numbers(10)), numbers(10)
    calls = Calls()
    native = NativeCall(calls)
    native.add(Executable(add_plan(10)), [Source(state, CHAIN), FIRST], (Output(0),))
    np.testing.assert_array_equal(native.function(x)[0], state._node.data + x)
    state._node.data = np.ones(10, np.float32)
    np.testing.assert_array_equal(native.function(x)[0], 1 + x)
    state._node.data = np.ones(11, np.float32)
    assert native.function(x) == "fallback"


def in_place(n: int = 10) -> tuple[NativeCall, Calls, Value]:
    state = value(np.zeros(n, np.float32))
    calls = Calls()
    native = NativeCall(calls)
    sources = [Source(state, CHAIN, overwritten=True), FIRST]
    native.add(Executable(add_plan(n)), sources)
    return native, calls, state


def test_an_input_is_overwritten_where_nobody_else_holds_it() -> None:
    native, calls, state = in_place()
    address = state._node.data.ctypes.data
    x = numbers(10)
    for _ in range(3):
        assert native.function(x) is None
    np.testing.assert_array_equal(state._node.data, x + x + x)
    assert state._node.data.ctypes.data == address
    assert not calls.seen


def test_an_input_that_others_see_is_left_alone() -> None:
    native, calls, state = in_place()
    x = numbers(10)
    snapshot = state._node.data
    native.function(x)  # another reference
    del snapshot
    view = state._node.data[:3]
    native.function(x)  # a view holds one, too
    del view
    state._node.data.flags.writeable = False
    native.function(x)
    state._node.data.flags.writeable = True
    assert len(calls.seen) == 3
    assert not state._node.data.any()
    base = np.zeros(15, np.float32)
    state._node.data = base[:10]
    assert native.function(base[5:]) == "fallback"  # overlaps the other input
    state._node.data = np.zeros(10, np.float32)
    native.function(x)
    assert state._node.data.any()


def test_a_node_gets_another_array() -> None:
    state, x = value(numbers(10)), numbers(10)
    first, node = state._node.data, state._node
    calls = Calls()
    native = NativeCall(calls)
    for chain, answer in ((CHAIN, Output(0)), (CHAIN[:1], Earlier(0))):
        sources = [Source(state, CHAIN, exclusive=True), FIRST]
        stores = [Store(state, chain, answer)]
        native.add(Executable(add_plan(10)), sources, stores=stores, made=RECIPE[:1])
    assert native.function(x) == "fallback"  # `node` is known here, too
    del node
    assert native.function(x) is None
    np.testing.assert_array_equal(state._node.data, x + x)
    np.testing.assert_array_equal(first, x)  # who holds the old array may keep it
    del native.specs[0]
    native.function(x)
    np.testing.assert_array_equal(state._node.data, x + x + x)
    assert len(calls.seen) == 1


def test_slots_of_arguments_and_objects() -> None:
    state, x = value(numbers(10)), numbers(10)
    native = NativeCall(Calls())
    native.add(
        Executable(add_plan(10)),
        [FIRST, FIRST],
        arguments=2,
        made=RECIPE,
        checks=[checks.of_type(Argument(1), Value)],
        stores=[
            Store(Argument(1), (Link(Value, "_grad"),), Earlier(1)),
            Store(state, (Link(Value, "_grad"),), Argument(1)),
        ],
    )
    target = value(x)
    for _ in range(3):
        assert native.function(x, target) is None
        np.testing.assert_array_equal(target._grad._node.data, x + x)
        assert state._grad is target
    references = sys.getrefcount(target)
    for _ in range(3):
        native.function(x, target)
    assert sys.getrefcount(target) == references
    assert native.function(x, x) == "fallback"


def test_keywords() -> None:
    native, calls = adder(keywords=("y",))
    x = numbers(10)
    np.testing.assert_array_equal(native.function(x, y=x)[0], x + x)
    np.testing.assert_array_equal(native.function(x, **{"".join(["y"]): x})[0], x + x)
    assert not calls.seen
    assert native.function(x, x) == "fallback"
    assert native.function(x, z=x) == "fallback"
    assert native.function(x=x, y=x) == "fallback"
    assert native.function(y=x) == "fallback"


def test_arguments_that_no_input_takes() -> None:
    unused = Unused(Source(Argument(2), CHAIN), np.dtype("i8"), (2, 3))
    native, calls = adder(unused=[unused])
    x = numbers(10)
    for wanted in (np.ones((2, 3), np.int64), value(np.ones((2, 3), np.int64))):
        np.testing.assert_array_equal(native.function(x, x, wanted)[0], x + x)
    assert not calls.seen
    for other in (np.ones((3, 2), np.int64), np.ones((2, 3)), None):
        assert native.function(x, x, other) == "fallback"
    assert native.function(x, x) == "fallback"


class Facts:
    """Things that checks are about, and changes to them."""

    def __init__(self) -> None:
        self.mapping: dict[Any, Any] = {"a": 1000, 2: "b"}
        self.values: list[Any] = [1000, "b"]
        self.answer: object = None
        self.variable: ContextVar[Any] = ContextVar("variable", default=(None, True))
        self.value = value(numbers(3))
        self.cell = (lambda: self.value).__closure__[0]  # type: ignore[index]


FACTS: list[tuple[Callable[[Facts], Check], Callable[[Facts], object]]] = [
    (lambda f: checks.item(f.mapping, "a", f.mapping["a"]), lambda f: f.mapping.update(a=int("1000"))),
    (lambda f: checks.item(f.mapping, "a", f.mapping["a"]), lambda f: f.mapping.pop("a")),
    (lambda f: checks.item(f.mapping, "c", checks.MISSING), lambda f: f.mapping.update(c=1)),
    (lambda f: checks.pairs(f.mapping), lambda f: f.mapping.update(c=1)),
    (lambda f: checks.pairs(f.mapping), lambda f: f.mapping.update(a=2)),
    (lambda f: checks.pairs(f.mapping), lambda f: f.mapping.update(a=f.mapping.pop("a"))),
    (lambda f: checks.pairs(f.mapping), lambda f: f.mapping.clear()),
    (lambda f: checks.items(f.values), lambda f: f.values.append(1)),
    (lambda f: checks.items(f.values), lambda f: f.values.reverse()),
    (lambda f: checks.attribute(f, "answer", None), lambda f: setattr(f, "answer", 1)),
    (lambda f: checks.attribute(f, "answer", None), lambda f: delattr(f, "answer")),
    (lambda f: checks.call(lambda: f.answer), lambda f: setattr(f, "answer", 1)),
    (lambda f: checks.call(lambda: f.answer), lambda f: delattr(f, "answer")),
    (lambda f: checks.context(f.variable, (None, True)), lambda f: f.variable.set((None, False))),
    (lambda f: checks.context(f.variable, (None, True)), lambda f: f.variable.set((None,))),
    (lambda f: checks.variable(f.variable), lambda f: f.variable.set((None, 5))),
    (lambda f: checks.cell(f.cell, f), lambda f: setattr(f.cell, "cell_contents", 1)),
    (lambda f: checks.cell(f.cell, f), lambda f: delattr(f.cell, "cell_contents")),
    (
        lambda f: checks.slot(f.value, call.slot_offset(Value, "_node"), f.value._node),
        lambda f: setattr(f.value, "_node", 1),
    ),
]


@pytest.mark.parametrize(("fact", "change"), FACTS)
def test_facts(fact: Callable[[Facts], Check], change: Callable[[Facts], object]) -> None:
    def run() -> None:
        facts = Facts()
        native, calls = adder(checks=[fact(facts)])
        x = numbers(10)
        for _ in range(3):
            native.function(x, x)
        assert not calls.seen
        change(facts)
        for _ in range(3):
            assert native.function(x, x) == "fallback"
        assert len(calls.seen) == 3

    copy_context().run(run)


def test_facts_about_arguments() -> None:
    x, y, mark, known = numbers(10), numbers(10), object(), object()
    native, calls = adder(
        arguments=4,
        checks=[
            checks.same(Argument(2), mark),
            checks.of_type(Argument(3), float),
            checks.slot(Argument(3), object.__basicsize__, Bits(int(np.array(0.5).view(np.int64)))),
            checks.distinct([0, 1], [id(known), id(mark), id(KEPT)]),
        ],
    )
    native.function(x, y, mark, float("0.5"))
    assert not calls.seen
    for args in (
        (x, x, mark, 0.5),
        (x, y, known, 0.5),
        (x, y, mark, 0.25),
        (x, y, mark, 1),
        (y, KEPT, mark, 0.5),
        (KEPT, y, mark, 0.5),
    ):
        assert native.function(*args) == "fallback"
    seen = len(calls.seen)
    native.function(y, x, mark, float("0.5"))
    assert len(calls.seen) == seen


def test_temporaries_and_scalar_results() -> None:
    for n in (100, 20_000):  # on the stack, and from the allocator
        native = NativeCall(Calls())
        run = Executable(sum_plan(n, struct.pack("<f", 0.5)))
        native.add(run, [FIRST, SECOND], Output(0))
        run([numbers(n), numbers(n)])
        result = native.function(numbers(n), numbers(n))
        assert result.shape == ()
        assert result == run([numbers(n), numbers(n)])[0]


# --- large plans ---------------------------------------------------------------------------------


def large(n: int, threads: int = 0) -> tuple[NativeCall, Executable]:
    run = Executable(add_plan(n))
    native = NativeCall(lambda x, y: ("python", *run([x, y])))
    native.add(run, [FIRST, SECOND], (Output(0),), threads=threads)
    return native, run


def test_a_large_plan_starts_the_threads_in_python_then_runs_natively() -> None:
    native, run = large(200_000)
    x = numbers(200_000)
    for _ in range(2):
        result = native.function(x, x)
        np.testing.assert_array_equal(result[-1], x + x)
    assert run.large
    assert len(result) == 1
    assert result[0].ctypes.data % 64 == 0


def test_large_plans_from_eight_threads() -> None:
    native, _ = large(200_000, threads=2)
    inputs = [numbers(200_000) + k for k in range(8)]
    failures = []

    def work(k: int) -> None:
        for _ in range(20):
            if not np.array_equal(native.function(inputs[k], inputs[k])[-1], 2 * inputs[k]):
                failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_fork() -> None:
    native, _ = large(200_000)
    x = numbers(200_000)
    for _ in range(2):
        native.function(x, x)
    child = os.fork()
    if child == 0:
        try:
            right = all(np.array_equal(native.function(x, x)[-1], x + x) for _ in range(3))
            os._exit(0 if right and len(native.function(x, x)) == 1 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_number_of_threads_may_change() -> None:
    native, _ = large(200_000)
    x = numbers(200_000)
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 5, 1):
            pool.set_num_threads(threads)
            for _ in range(2):
                np.testing.assert_array_equal(native.function(x, x)[-1], x + x)
    finally:
        pool.set_num_threads(before)


# --- arrays of the caller's, and objects that come again -----------------------------------------


def test_a_given_array_is_written_to() -> None:
    native, calls = adder(
        arguments=3, gifts=[Gift(Argument(2), output=0)], made=RECIPE, answer=(Output(0), Earlier(1))
    )
    x, out = numbers(10), np.zeros(10, np.float32)
    array, made = native.function(x, x, out)
    assert array is out
    assert made._node.data is out
    np.testing.assert_array_equal(out, x + x)
    for wrong in (x, x[::-1], out[::-1], numbers(9), out[None], out.astype("f8"), None, 3, (out,), [out]):
        before = np.array(out)
        assert native.function(x, x, wrong) == "fallback"
        np.testing.assert_array_equal(out, before)
    frozen = np.zeros(10, np.float32)
    frozen.flags.writeable = False
    assert native.function(x, x, frozen) == "fallback"
    assert not frozen.any()
    calls.seen.clear()
    del array, made, wrong
    alone = np.zeros(1)
    assert sys.getrefcount(out) == sys.getrefcount(alone)


def test_given_arrays_in_containers() -> None:
    native, _ = adder(
        arguments=3,
        containers=[Container(2, tuple, 2), Container(4, list, 3)],
        gifts=[Gift(Argument(3)), Gift(Argument(7), 0)],
    )
    x, out = numbers(10), np.zeros(10, np.float32)
    assert native.function(x, x, (None, [1, 2, out]))[0] is out
    np.testing.assert_array_equal(out, x + x)
    for wrong in (
        (), (None,), (None, []), (None, [1, 2]), (None, [1, 2, out, 4]), (0, [1, 2, out]), object(), None,
        [None, [1, 2, out]], (None, (1, 2, out)), (None, [1, 2, None]), (None, object()), (None, [1, 2, x]),
    ):  # fmt: skip
        assert native.function(x, x, wrong) == "fallback"


def test_a_list_that_changes_during_the_call() -> None:
    x, first, second = numbers(10), np.zeros(10, np.float32), np.zeros(10, np.float32)
    box = [first]
    native, _ = adder(
        arguments=3,
        containers=[Container(2, list, 1)],
        gifts=[Gift(Argument(3), 0)],
        checks=[checks.call(lambda: box.__setitem__(0, second))],
    )
    assert native.function(x, x, box) == "fallback"
    assert not first.any()
    assert not second.any()
    assert native.function(x, x, box)[0] is second
    alone = np.zeros(1)
    assert sys.getrefcount(first) == sys.getrefcount(alone)


def test_outputs_that_cannot_be_given() -> None:
    with pytest.raises(ValueError, match="cannot be given"):
        adder(arguments=3, gifts=[Gift(Argument(2), output=1)])


SIZES = pytest.mark.parametrize("n", [10, execute.SMALL_BYTES, layout.KEPT_BYTES // 4])


@SIZES
def test_an_object_comes_again_when_nobody_holds_it(n: int) -> None:
    native, _ = adder(n, made=KEPT_RECIPE, answer=Earlier(1))
    x = numbers(n)
    results = [native.function(x, x * k) for k in range(5)]
    assert len({id(r._node) for r in results} | {id(r._node.data) for r in results}) == 10
    for k, result in enumerate(results):
        np.testing.assert_array_equal(result._node.data, x + x * k)
    del result
    known = {id(r._node) for r in results[-layout.KEPT :]}
    results.clear()
    again = native.function(x, x)
    assert id(again._node) in known
    np.testing.assert_array_equal(again._node.data, x + x)


def test_an_array_that_is_too_large_does_not_come_again() -> None:
    n = layout.KEPT_BYTES // 4 + 1
    native, _ = adder(n, made=KEPT_RECIPE, answer=Earlier(1))
    used = memory.statistics().used
    native.function(numbers(n), numbers(n))
    assert memory.statistics().used == used


@SIZES
@pytest.mark.parametrize(
    "hold",
    [
        lambda r: r._node,
        lambda r: r._node.data,
        lambda r: r._node.data[2:5],
        lambda r: memoryview(r._node.data),
        lambda r: r._node.data if r._node.data.base is None else r._node.data.base,
        lambda r: weakref.ref(r._node),
        lambda r: weakref.ref(r._node.data),
    ],
)
def test_what_is_held_in_any_way_does_not_come_again(hold: Callable[[Any], Any], n: int) -> None:
    native, _ = adder(n, made=KEPT_RECIPE, answer=Earlier(1))
    x = numbers(n)
    result = native.function(x, x)
    held, node, data = hold(result), id(result._node), id(result._node.data)
    del result
    more = [native.function(x, x)]
    assert node not in {id(r._node) for r in more}
    assert data not in {id(r._node.data) for r in more}
    del held


@SIZES
@pytest.mark.parametrize(
    "change",
    [
        lambda n: setattr(n.data, "shape", (2, n.data.size // 2)),
        lambda n: setattr(n.data, "dtype", np.int32),
        lambda n: setattr(n.data.flags, "writeable", False),
        lambda n: n.data.resize(3, refcheck=False) if n.data.base is None else setattr(n, "data", None),
        lambda n: setattr(n, "data", n.data[::1]),
        lambda n: setattr(n, "data", "no array"),
        lambda n: setattr(n, "data", np.zeros(3)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_object_that_somebody_changed_does_not_come_again(change: Callable[[Any], Any], n: int) -> None:
    native, _ = adder(n, made=KEPT_RECIPE, answer=Earlier(1))
    x = numbers(n)
    result = native.function(x, x)
    node = id(result._node)
    change(result._node)
    del result
    again = native.function(x, x)
    assert id(again._node) != node
    np.testing.assert_array_equal(again._node.data, x + x)
    assert again._node.data.flags.writeable


def test_only_what_is_made_of_constants_is_kept() -> None:
    for fields in ((("op", Argument(0)), ("data", Output(0))), (("op", Output(0)), ("data", Output(0)))):
        with pytest.raises(ValueError, match="cannot be kept"):
            adder(made=(Made(Node, fields, kept=True),))


# --- references and memory -----------------------------------------------------------------------


def test_references_are_exact() -> None:
    native, _ = adder(made=RECIPE, answer=Earlier(1))
    state = value(numbers(10))
    x = numbers(10)
    things: list[object] = [state, state._node, state._node.data, x, Value, Node, "input", native]
    things += [np.dtype("f4"), None, native.specs, native.function]
    native.function(state, x)
    gc.collect()
    before = [sys.getrefcount(t) for t in things]
    for _ in range(1000):
        native.function(state, x)
    after = [sys.getrefcount(t) for t in things]
    assert all(abs(a - b) < 50 for a, b in zip(before, after, strict=True)), (before, after)
    results = [native.function(state, x) for _ in range(100)]
    assert sys.getrefcount(Value) - before[4] >= 95  # each object holds its type
    del results
    assert abs(sys.getrefcount(Value) - before[4]) < 50


def test_a_failure_leaves_nothing_behind() -> None:
    shape = (1 << 58,)
    buffers = (
        Buffer("input", f32, (4,), 16),
        Buffer("output", f32, (4,), 16),
        Buffer("output", f32, shape, 4 << 58),
    )
    native = NativeCall(Calls())
    native.add(Executable(Plan(buffers, (0,), (1, 2), (-1, -1), (), 0)), [FIRST], (Output(0), Output(1)))
    x = np.zeros(4, np.float32)
    used, references = memory.statistics().used, sys.getrefcount(x)
    for _ in range(10):
        with pytest.raises(MemoryError):
            native.function(x)
    assert (memory.statistics().used, sys.getrefcount(x)) == (used, references)


def test_a_working_memory_that_cannot_be_had() -> None:
    buffers = (Buffer("input", f32, (4,), 16), Buffer("output", f32, (4,), 16))
    native = NativeCall(Calls())
    native.add(Executable(Plan(buffers, (0,), (1,), (-1,), (), 1 << 60)), [FIRST], Output(0))
    with pytest.raises(MemoryError):
        native.function(np.zeros(4, np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("form", ["plain", "kept", "given"])
def test_a_million_calls_use_no_memory(form: str) -> None:
    program = f"""
import numpy as np
from tests.runtime.test_call import *
form = {form!r}
options = {{"plain": {{"made": RECIPE}}, "kept": {{"made": KEPT_RECIPE}},
            "given": {{"made": RECIPE, "arguments": 3, "containers": [Container(2, tuple, 1)],
                       "gifts": [Gift(Argument(3), 0)]}}}}
native, calls = adder(answer=Earlier(1), **options[form])
x = np.ones(10, np.float32)
args = (value(x), x, (np.ones(10, np.float32),))[:3 if form == "given" else 2]
call = native.function
def pages():
    return int(open("/proc/self/statm").read().split()[1])
for _ in range(10_000):
    call(*args)
before = pages()
for _ in range(1_000_000):
    out = call(*args)
print(pages() - before, len(calls.seen))
"""
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    grown, fallbacks = map(int, done.stdout.split())
    assert grown < 64
    assert fallbacks == 0


def test_a_callable_can_be_collected() -> None:
    class Owner:
        def __init__(self) -> None:
            self.native = NativeCall(self.explain)
            self.native.add(Executable(add_plan(10)), [FIRST, SECOND], (Output(0),))

        def explain(self, *args: object) -> str:
            return "explained"

    owner = Owner()
    assert owner.native.function(1) == "explained"
    kept = weakref.ref(owner)
    del owner
    gc.collect()
    assert kept() is None


def test_types_that_cannot_be_read() -> None:
    class Plain:
        pass

    class Mixed(Plain):
        __slots__ = ("slot",)

    for kind, name in ((Plain, "slot"), (Mixed, "slot"), (Value, "missing"), (int, "real")):
        with pytest.raises(TypeError, match="not a slot"):
            call.slot_offset(kind, name)


def test_without_the_native_path_the_fallback_is_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call, "available", lambda: False)
    native, calls = adder()
    assert native.function is calls
    assert native.specs == []
