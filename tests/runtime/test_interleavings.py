"""The text of the pool, `region.py`, in every order of its threads' accesses with few preemptions, and in
many others: each block once, what it wrote seen by the caller, no race, nobody waited for who never comes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from lucid.runtime import region
from lucid.runtime.language import compiled

from .interleaved import Fault, Function, Machine, Run, parse, play

STATE, PLACE, SLOTS, CELLS = 0x10000, 0x90000, 0xA0000, 0xB0000
CALLS = {0: "lock", 1: "unlock", 2: "wait", 3: "signal", 4: "rest"}
TEXT = region.text("another")  # without a clock: all regions are shared
# What belongs to the text, and does nothing here.
REST = """
def apart(state: STATE): ...
def back(place: PLACE): ...
def settle(state: STATE, own, theirs, start, begun, ended, now): ...
"""


def functions_of(text: str) -> dict[str, Function]:
    return parse(compiled(text + REST, ("region", "worker"), region.RECORDS, {"LINE": region.LINE}))


FUNCTIONS = functions_of(TEXT)


def ready(text: str, regions: tuple[int, ...], workers: int, spins: int) -> tuple[Machine, dict[int, Run]]:
    """A caller (thread 0) of regions of so many blocks, one after the other, and workers that are there."""
    functions = FUNCTIONS if text is TEXT else functions_of(text)
    machine = Machine(functions, workers + 1)
    machine.memory |= {STATE + 8 * region.WORKERS: workers, STATE + 8 * region.SPINS: spins}
    for k, name in CALLS.items():
        machine.memory[STATE + 8 * (region.CALLS + k)] = 100 + k
        machine.calls[100 + k] = getattr(machine, name)
    for name in ("@float_enter", "@back", "@apart", "@settle"):
        machine.calls[name] = _nothing
    done = {(r, k): 0 for r, blocks in enumerate(regions) for k in range(blocks)}

    def block(number: int) -> Callable[..., Run]:
        def some(thread: int, slots: int, begin: int, end: int) -> Run:
            """Each block writes its cell, which the caller alone reads, after the region."""
            if slots != SLOTS + number or not begin < end <= regions[number]:
                raise Fault(
                    f"region {number} is run with what belongs to another one: {slots}, {begin}, {end}"
                )
            for k in range(begin, end):
                yield "block"
                done[number, k] += 1
                machine.touched(thread, CELLS + 1000 * number + k, True, False)
            return 0

        return some

    def caller() -> Run:
        for number, blocks in enumerate(regions):
            machine.calls[200 + number] = block(number)
            yield from machine.run(0, "@region", (STATE, 200 + number, SLOTS + number, blocks, workers + 1))
            for k in range(blocks):
                machine.touched(0, CELLS + 1000 * number + k, False, False)
                if done[number, k] != 1:
                    raise Fault(f"block {k} of region {number} ran {done[number, k]} times")
        return 0

    threads = {0: caller()}
    for t in range(1, workers + 1):
        machine.memory[PLACE + 1000 * t + 8 * region.STATE] = STATE
        threads[t] = machine.run(t, "@worker", (PLACE + 1000 * t,))
    return machine, threads


def _nothing(thread: int, *args: int) -> Run:
    yield from ()
    return 0


class Order:
    """An order of which the beginning is given: from there on, who runs goes on. `found`: who could go on at
    each step, and whether the first of them is who ran before."""

    def __init__(self, begin: tuple[int, ...]) -> None:
        self.begin = begin
        self.found: list[tuple[list[int], bool]] = []
        self.taken: list[int] = []

    def __call__(self, able: list[int], goes_on: bool) -> int:
        step = len(self.taken)
        self.found.append((able, goes_on))
        self.taken.append(self.begin[step] if step < len(self.begin) else able[0])
        return self.taken[-1]


def every_order(text: str, regions: tuple[int, ...], workers: int, spins: int, most: int) -> int:
    """Run all orders with at most so many preemptions (who can go on does not). How many there are."""
    count, left = 0, [(Order(()), 0)]
    while left:
        order, spent = left.pop()
        play(*ready(text, regions, workers, spins), order)
        count += 1
        for step in range(len(order.begin), len(order.found)):
            able, goes_on = order.found[step]
            if spent + goes_on <= most:
                before = order.taken[:step]
                left += [(Order((*before, other)), spent + goes_on) for other in able[1:]]
    return count


def some_order(text: str, regions: tuple[int, ...], workers: int, spins: int, seed: int) -> None:
    rng = random.Random(seed)
    often = rng.choice((0.02, 0.1, 0.5))
    play(
        *ready(text, regions, workers, spins),
        lambda able, _: rng.choice(able) if rng.random() < often else able[0],
    )


@pytest.mark.parametrize(
    ("regions", "workers", "spins", "most"),
    [((2,), 1, 0, 2), ((2, 2), 1, 0, 1), ((3, 2), 1, 1, 1), ((2, 2), 2, 0, 1), ((9, 1, 4), 1, 0, 1)],
)
def test_blocks_run_once_in_every_order(
    regions: tuple[int, ...], workers: int, spins: int, most: int
) -> None:
    assert every_order(TEXT, regions, workers, spins, most) > 30


@pytest.mark.parametrize("spins", [0, 2])
def test_blocks_run_once_in_many_orders(spins: int) -> None:
    for seed in range(200):
        some_order(TEXT, (3, 2, 2), 2, spins, seed)


FAULTS = {
    "the caller does not wait": ('"acquire") < joined:', '"acquire") < 0:'),
    "the caller waits for those who never came": ("joined = tickets - unused", "joined = tickets"),
    "let go before the job is written": (
        "    state.run = run\n",
        '    swap(address(state.gate), 1, "seq_cst")\n    state.run = run\n',
    ),
    "let go without what was written": (
        'swap(address(state.gate), tickets, "seq_cst")',
        'swap(address(state.gate), tickets, "monotonic")',
    ),
    "done without what was written": (
        'add_to(address(state.left), 1, "acq_rel")',
        'add_to(address(state.left), 1, "monotonic")',
    ),
    "seen without what was written": (
        'load(address(state.left), i64, "acquire")',
        'load(address(state.left), i64, "monotonic")',
    ),
    "the gate stays open": (
        'swap(address(state.gate), 0, "acq_rel")',
        'add_to(address(state.gate), 0, "acq_rel")',
    ),
    "who is done counts from the last region on": ("    state.left = 0\n", ""),
    "two take one ticket": ("tickets - 1, ", "tickets, "),
    "a range ends early": ("end = min(begin + step, high)", "end = begin + step - 1"),
    "a block is taken by two": (
        'begin = add_to(cursor, step, "monotonic")',
        'begin = add_to(cursor, 0, "monotonic")',
    ),
    "a cursor is left where it was": ("cursors[r * LINE] = blocks * r // count", "pass"),
    "the mutex is not given back": (
        "        apart(state)\n        unlock(address(state.mutex))\n",
        "        apart(state)\n",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_the_pool_show(name: str) -> None:
    old, new = FAULTS[name]
    assert TEXT.count(old) == 1
    text = TEXT.replace(old, new)
    with pytest.raises(Fault):
        every_order(text, (2, 2), 1, 0, 1)
        for seed in range(200):
            some_order(text, (3, 2, 2), 2, 1, seed)
