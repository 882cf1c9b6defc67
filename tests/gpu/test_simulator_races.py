"""The bookkeeping of races against all pairs of accesses, on random programs."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler.gpu.simulator.races import Shadow, Who

from .rounding import Array

BLOCKS, WARPS, LANES = 2, 2, 3  # of three lanes: what matters is same or other
THREADS = [(b << 10) + (w << 5) + n for b in range(BLOCKS) for w in range(WARPS) for n in range(LANES)]
CONFLICTS = {
    ("read", "write"), ("write", "write"), ("read", "atomic"), ("write", "atomic"), ("write", "constant"),
    ("atomic", "constant"),
}  # fmt: skip


class Model:
    """All accesses so far: who, when, what, where."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str, int]] = []

    def step(
        self, kind: str, threads: list[int], cells: list[int], clock: dict[int, int], last: dict[int, int]
    ) -> bool:
        """Whether an access of a step races with an earlier one, or with one of the same step."""
        now = [(t, clock[t], kind, c) for t, c in zip(threads, cells, strict=True)]
        race = any(self.conflict(a, b, last[b[0]]) for b in now for a in (*self.seen, *now) if a is not b)
        self.seen += now
        return race

    @staticmethod
    def conflict(a: tuple[int, int, str, int], b: tuple[int, int, str, int], barrier: int) -> bool:
        if a[3] != b[3] or not {(a[2], b[2]), (b[2], a[2])} & CONFLICTS:
            return False
        if "constant" in (a[2], b[2]):
            return True
        if a[0] == b[0]:
            return False
        if a[0] >> 5 == b[0] >> 5:
            return a[1] >= b[1]
        return a[0] >> 10 != b[0] >> 10 or a[1] >= barrier


def run(seed: int, kinds: list[str]) -> tuple[int | None, int | None]:
    """The steps at which the shadow and the model find the first race of a random program."""
    rng = np.random.default_rng(seed)
    clock, last, now = dict.fromkeys(THREADS, 1), dict.fromkeys(THREADS, 1), 1
    shadow, model = Shadow(16, 4), Model()
    for step in range(60):
        if rng.random() < 0.5:
            now += 1
            group = THREADS[int(rng.integers(len(THREADS)))]
            shift = 10 if rng.random() < 0.5 else 5
            for t in THREADS:
                if t >> shift == group >> shift:
                    clock[t] = now
                    if shift == 10:
                        last[t] = now
            continue
        threads = sorted(rng.choice(THREADS, int(rng.integers(1, 5)), replace=False).tolist())
        kind = kinds[int(rng.integers(len(kinds)))]
        cells = rng.integers(0, 4, len(threads)).tolist()
        clocks, barriers = (np.array([of[t] for t in threads]) for of in (clock, last))
        who = Who(np.array(threads), clocks, barriers)
        found = shadow.access(kind, np.array(cells) * 4, 4, who)
        expected = model.step(kind, threads, cells, clock, last)
        if found is not None or expected:
            return (step if found is not None else None), (step if expected else None)
    return None, None


PROGRAMS = (
    ["read"] * 6 + ["write"],
    ["read", "write"],
    ["atomic"] * 3 + ["read", "write"],
    ["read"] * 9 + ["constant", "write", "atomic"],
)


@pytest.mark.parametrize("kinds", PROGRAMS)
def test_the_first_race_is_found_and_no_other(kinds: list[str]) -> None:
    results = [run(seed, kinds) for seed in range(150)]
    assert all(found == expected for found, expected in results), results
    late = [found for found, _ in results if found is not None and found > 10]
    assert late or len(kinds) == 2


def test_an_access_of_many_granules() -> None:
    """Sixteen bytes, of which another thread has the last four."""
    shadow = Shadow(64, 4)

    def who(thread: int) -> Who:
        one: Array = np.array([1])
        return Who(np.array([thread]), one, one)

    assert shadow.access("write", np.array([28]), 4, who(0)) is None
    assert shadow.access("read", np.array([0]), 16, who(1)) is None
    race = shadow.access("read", np.array([16]), 16, who(1))
    assert race is not None and (race.lane, race.other, race.before) == (0, 0, "write")
