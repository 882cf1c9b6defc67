"""What a launch did, counted: for a model of its cost.

Instructions are counted for each warp that issues them. Of global memory, transactions are the sectors of
32 bytes that a request of one warp touches; of shared memory, they are passes over its 32 banks of 4 bytes,
of which a request without conflicts takes one (two for 8 bytes a thread, four for 16).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from lucid.compiler.ir.data import data, field

from .ptx import Array, Instruction

SECTOR = 32


@data(frozen=False, eq=False)
class Access:
    """All executions of one instruction that touches memory.

    `requests` are those of warps, `threads` those of threads, `bytes` what these asked for; `ideal` is the
    number of transactions that such requests need at least: bytes / 32 for global memory, one pass a
    request for shared.
    """

    line: int
    opcode: str
    space: str
    requests: int = 0
    threads: int = 0
    bytes: int = 0
    transactions: int = 0
    ideal: int = 0


@data(frozen=False, eq=False)
class Counts:
    """Of one launch: blocks and warps; instructions by opcode, of warps and of threads; accesses by line
    and space.
    """

    blocks: int = 0
    warps: int = 0
    barriers: int = 0
    instructions: Counter[str] = field(default_factory=Counter)
    threads: Counter[str] = field(default_factory=Counter)
    accesses: dict[tuple[int, str], Access] = field(default_factory=dict)

    def total(self, space: str, what: str = "bytes", opcode: str = "") -> int:
        """The sum of one number over the accesses of a space, of all opcodes that begin so."""
        chosen = (a for a in self.accesses.values() if a.space == space and a.opcode.startswith(opcode))
        return sum(getattr(a, what) for a in chosen)

    def __str__(self) -> str:
        issued = sum(self.instructions.values())
        lines = [f"{self.blocks} blocks, {self.warps} warps, {issued} instructions of warps"]
        lines += [f"  {n:>12}  {opcode}" for opcode, n in self.instructions.most_common()]
        for a in self.accesses.values():
            lines.append(
                f"  line {a.line}: {a.opcode} ({a.space}): {a.requests} requests, {a.bytes} bytes, "
                f"{a.transactions} transactions ({a.ideal} at least)"
            )
        return "\n".join(lines)

    def note(
        self, i: Instruction, space: str, address: Array, size: int, warp: Array, whole: bool, requests: int
    ) -> None:
        """One execution: addresses of n threads (or one, for all) and their warps; `whole` if all warps are
        full.
        """
        access = self.accesses.get((i.line, space))
        if access is None:
            access = self.accesses[i.line, space] = Access(i.line, i.opcode, space)
        threads = warp.size
        access.requests += requests
        access.threads += threads
        access.bytes += threads * size
        if space == "global":
            access.ideal += max(requests, -(-threads * size // SECTOR))
            access.transactions += requests if address.size == 1 else _sectors(address, warp, whole)
        elif space == "shared":
            part = max(1, size // 4)
            if address.size == 1:
                access.ideal += requests
                access.transactions += requests
            else:
                ideal, passes = _passes(address, part, warp, whole)
                access.ideal += ideal
                access.transactions += passes


def _sectors(address: Array, warp: Array, whole: bool) -> int:
    sector = address.view(np.int64) >> 5
    if not whole:
        return int(np.unique(warp * (int(sector.max() - sector.min()) + 1) + (sector - sector.min())).size)
    rows = sector.reshape(-1, 32)
    first = address.view(np.int64).reshape(-1, 32)
    shape = first - (first[:, :1] & ~31)
    if (shape == shape[0]).all():  # all warps alike
        return len(rows) * int(np.unique(rows[0]).size)
    rows = np.sort(rows, axis=1)
    return len(rows) + int(np.count_nonzero(rows[:, 1:] != rows[:, :-1]))


def _passes(address: Array, words: int, warp: Array, whole: bool) -> tuple[int, int]:
    """Passes without conflicts, and with them."""
    word = address.view(np.int64) >> 2
    lanes = 32 // words  # that are served in one pass
    if whole:
        rows = word.reshape(-1, lanes)
        shape = rows - rows[:, :1]
        if (shape == shape[0]).all():
            group = np.zeros(lanes, np.int64)
            return len(rows), len(rows) * _worst(rows[0], group, words, 1)
        group = np.arange(word.size) // lanes
        return len(rows), _worst(word, group, words, len(rows))
    # threads of a warp that are missing leave their places empty: count by what is there
    starts = np.flatnonzero(np.diff(warp, prepend=-1))
    within = np.arange(word.size) - np.repeat(starts, np.diff(np.append(starts, word.size)))
    group = warp * words + within // lanes
    used = np.unique(group)
    return int(used.size), _worst(word, np.searchsorted(used, group), words, int(used.size))


def _worst(word: Array, group: Array, words: int, groups: int) -> int:
    """The sum over groups of how many different words the busiest bank must give."""
    all_words = (word[:, None] + np.arange(words)).reshape(-1)
    low = int(all_words.min())
    span = int(all_words.max()) - low + 1
    pairs = np.unique(np.repeat(group, words) * span + (all_words - low))
    bank = (pairs // span) * 32 + (pairs % span + low) % 32
    return int(np.bincount(bank, minlength=groups * 32).reshape(groups, 32).max(axis=1).sum())
