"""Equal kernels of a plan as one: the same code, for the same sizes, as layers of a model have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lucid.compiler.ir.data import data

from .records import Kernel

FEW = 4  # words that are told apart in a name; names that are told


@data
class Group:
    """`kernels` of the same code and sizes, in the order of the plan; `place`: of the first one there."""

    kernels: tuple[Kernel, ...]
    place: int

    @property
    def name(self) -> str:
        """Their names as one: `blocks{0..3}_{q,k,v}_linear`."""
        return as_one([kernel.name for kernel in self.kernels])

    @property
    def count(self) -> int:
        return len(self.kernels)

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def flops(self) -> int:
        """Of all of them."""
        return sum(kernel.flops for kernel in self.kernels)

    @property
    def intensity(self) -> float:
        return self.kernels[0].intensity

    @property
    def seconds(self) -> float:
        """That their code took, which they share."""
        return max(kernel.seconds for kernel in self.kernels)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line for kernel in self.kernels for line in kernel.lines))

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(module for kernel in self.kernels for module in kernel.modules))


# What they may be sorted by: the largest first; or in the order of the plan, or of names.
SORTS: dict[str, Callable[[Group], float | str]] = {
    "bytes": lambda group: -group.bytes,
    "flops": lambda group: -group.flops,
    "intensity": lambda group: -group.intensity,
    "count": lambda group: -group.count,
    "seconds": lambda group: -group.seconds,
    "order": lambda group: group.place,
    "name": lambda group: group.name,
}


def grouped(kernels: Sequence[Kernel], sort_by: str = "order") -> list[Group]:
    """Kernels that are equal but for their names and places as one, sorted. `sort_by`: one of SORTS."""
    found: dict[tuple[object, ...], list[int]] = {}
    for place, kernel in enumerate(kernels):
        # What is not told apart by its code has none of its own.
        key = (kernel.code, kernel.bytes, kernel.flops, kernel.blocks) if kernel.code else (place,)
        found.setdefault(key, []).append(place)
    groups = [Group(tuple(kernels[k] for k in places), places[0]) for places in found.values()]
    return sorted(groups, key=SORTS[sort_by])


def as_one(names: Sequence[str]) -> str:
    """Several names as one, word by word; the first of them, where their words do not go together."""
    if len(names) == 1:
        return names[0]
    words = [name.split("_") for name in names]
    if len(set(map(len, words))) > 1:  # the second of a name has a number behind it
        words = [_plain(name).split("_") for name in names]
    if len(set(map(len, words))) > 1:
        return f"{names[0]}, …"
    return "_".join(_either(list(dict.fromkeys(column))) for column in zip(*words, strict=True))


def as_few(names: Sequence[str]) -> str:
    """Several names, those that go together as one, and a few of these."""
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(re.sub(r"\d+", "", _plain(name)), []).append(name)
    found = list(map(as_one, alike.values()))
    more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
    return f"{', '.join(found[:FEW])}{more}"


def _plain(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _either(words: list[str]) -> str:
    """`a`; or `{a,b}`; or `layer{0..11}`."""
    if len(words) == 1:
        return words[0]
    numbered = [re.fullmatch(r"(.*?)(\d+)", word) for word in words]
    if all(numbered) and len({match[1] for match in numbered if match}) == 1:
        numbers = sorted(int(match[2]) for match in numbered if match)
        told = ",".join(map(str, numbers))
        if numbers[-1] - numbers[0] == len(numbers) - 1 > 1:
            told = f"{numbers[0]}..{numbers[-1]}"
        return f"{numbered[0][1]}{{{told}}}" if numbered[0] else ""
    return f"{{{','.join(words)}}}" if len(words) <= FEW else "*"
