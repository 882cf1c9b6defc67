"""Why a compiled function was traced, each time: what changed, from what to what."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import warn_user

if TYPE_CHECKING:
    from .compiled import Compiled

REASONS = 256  # that `explain` tells, the latest
SEEN = 8  # calls that were traced, with which another one is compared
SHOWN = 3  # differences of two calls that are told
NUMBERS = 8  # traces for another number until a warning says so
_NUMBER = r"-?[\d.e+-]+$|-?inf$|nan$"  # compiled when it is asked for

BY_NAME = "what is given by name, and in which order,"
Words = dict[
    str, str
]  # the arguments of a call in words, by where each stands; and what else its signature has


class Change(str):
    """A reason, in words. `what` changed `from_` one value `to` another, where it is that; in words, too."""

    __slots__ = ("from_", "to", "what")
    what: str | None
    from_: str | None
    to: str | None

    def __new__(
        cls, text: str, what: str | None = None, from_: str | None = None, to: str | None = None
    ) -> Change:
        made = super().__new__(cls, text)
        made.what, made.from_, made.to = what, from_, to
        return made

    @staticmethod
    def of(what: str, from_: str, to: str) -> Change:
        return Change(f"{what} changed from {from_} to {to}", what, from_, to)

    def within(self, text: str) -> Change:
        """The same, behind other words."""
        return Change(f"{text}{self}", self.what, self.from_, self.to)

    def then(self, text: str) -> Change:
        """The same, before other words."""
        return Change(f"{self}{text}", self.what, self.from_, self.to)

    @property
    def is_number(self) -> bool:
        """Whether one number became another one."""
        return self.from_ is not None and self.to is not None and _are_numbers(self.from_, self.to)


@functools.lru_cache(maxsize=256)
def _are_numbers(old: str, new: str) -> bool:
    return all(re.match(_NUMBER, value) for value in (old, new))


def together(found: list[Change]) -> Change | None:
    """Several as one: the first, with others in words."""
    if not found:
        return None
    others = "".join(f"; {change}" for change in found[1:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return found[0].then(others + more)


class Story:
    """What happened to a function, whatever object it was called on."""

    def __init__(self) -> None:
        self.traces = 0
        self.numbers = 0  # traces for another number
        self.reasons: deque[Change] = deque(maxlen=REASONS)
        self.seen: deque[Words] = deque(maxlen=SEEN)  # the latest last
        self.last: Callable[[], Compiled[..., Any] | None] = lambda: None  # who has run in Python last

    def differs(self, parts: Words) -> Change:
        """What tells a call from the one before it that is most like it."""
        if not self.seen:
            return Change("the first call")
        nearest = min((_changed(before, parts) for before in reversed(self.seen)), key=_weight)
        # Types first: another number may be none of the reasons.
        found = [Change.of(*change) for change in sorted(nearest, key=lambda c: _are_numbers(*c[1:]))]
        return together(found) or Change(
            "arguments in words like those before: that recording was dropped, or they differ"
        )

    def add(self, reason: Change, parts: Words) -> None:
        self.traces += 1
        self.reasons.append(reason)
        self.seen.append(parts)

    def warn(self, name: str, reason: Change, moved: bool) -> None:
        """Once, where a number has been the reason for more than NUMBERS traces; `moved`: outside of the
        arguments."""
        if not (moved or reason.is_number):
            return
        self.numbers += 1
        if self.numbers == NUMBERS + 1:
            warn_user(
                f"{name} was traced {self.numbers} times for another number ({reason}): Python code "
                "needs its value (a condition, a shape, a range); if only tensors do, make it one: "
                "lucid.tensor(number)"
            )


def _weight(changes: list[tuple[str, str, str]]) -> tuple[int, int]:
    return sum([not _are_numbers(old, new) for _, old, new in changes]), len(changes)


def _changed(before: Words, now: Words) -> list[tuple[str, str, str]]:
    """What differs between two calls: where, what was there, and what is. Each retrace compares several."""
    if before.keys() == now.keys():
        return [(name, old, new) for name, new in now.items() if (old := before[name]) != new]
    names = [name for name in dict.fromkeys((*now, *before)) if name != BY_NAME]  # other keys say that
    told = [(name, before.get(name, "nothing"), now.get(name, "nothing")) for name in names]
    return [change for change in told if change[1] != change[2]]
