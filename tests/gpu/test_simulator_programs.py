"""Random programs of branches, loops, early ends and votes, against each thread of them in Python.

A program is a list of statements over six registers: an assignment, a choice, a loop with a way out, an end.
Where none ends early, all threads vote behind each outermost statement: it fails if they have not met again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lucid.compiler.gpu.simulator import Memory, launch, parse

from .hand_written import HEADER

THREADS, BLOCKS, REGISTERS = 48, 3, 6
Statement = tuple[Any, ...]
OPS: dict[str, Callable[[int, int], int]] = {
    "add.u32": lambda a, b: a + b,
    "sub.u32": lambda a, b: a - b,
    "xor.b32": lambda a, b: a ^ b,
    "mul.lo.u32": lambda a, b: a * b,
    "min.u32": min,
    "shr.u32": lambda a, b: a >> b if b < 32 else 0,
}
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "lt": lambda a, b: a < b,
    "eq": lambda a, b: a == b,
    "ge": lambda a, b: a >= b,
}


def condition(rng: np.random.Generator) -> tuple[str, int, int]:
    """A comparison of the last bits of a register, which differ between threads, with a number."""
    return str(rng.choice(list(COMPARE))), int(rng.integers(REGISTERS)), int(rng.integers(8))


def program(rng: np.random.Generator, depth: int, length: int) -> list[Statement]:
    found: list[Statement] = []
    for _ in range(length):
        kind = rng.choice(["set", "if", "loop", "end"], p=[0.4, 0.3, 0.28, 0.02] if depth else [1, 0, 0, 0])
        if kind == "set":
            op = str(rng.choice(list(OPS)))
            b = int(rng.integers(REGISTERS)) if rng.random() < 0.6 else -int(rng.integers(1, 9))
            found.append(("set", int(rng.integers(REGISTERS)), op, int(rng.integers(REGISTERS)), b))
        elif kind == "if":
            other = program(rng, depth - 1, 2) if rng.random() < 0.6 else []
            found.append(("if", condition(rng), program(rng, depth - 1, 2), other))
        elif kind == "loop":
            found.append(
                (
                    "loop",
                    condition(rng),
                    condition(rng),
                    program(rng, depth - 1, 2),
                    program(rng, depth - 1, 1),
                )
            )
        else:
            found.append(("end", condition(rng)))
    return found


class Thread:
    """One thread in Python; a loop ends after five turns."""

    def __init__(self, registers: list[int]) -> None:
        self.r, self.ended = registers, False

    def holds(self, test: tuple[str, int, int]) -> bool:
        cmp, register, number = test
        return COMPARE[cmp](self.r[register] & 7, number)

    def run(self, body: list[Statement]) -> None:
        for kind, *rest in body:
            if self.ended:
                return
            if kind == "set":
                target, op, a, b = rest
                self.r[target] = OPS[op](self.r[a], self.r[b] if b >= 0 else -b) % (1 << 32)
            elif kind == "if":
                test, then, other = rest
                self.run(then if self.holds(test) else other)
            elif kind == "end":
                self.ended = self.holds(rest[0])
            else:
                again, out, first, second = rest
                for _ in range(5):
                    self.run(first)
                    if self.ended or self.holds(out):
                        break
                    self.run(second)
                    if self.ended or not self.holds(again):
                        break


class Writer:
    """The same as PTX. Ends store the registers, and predicates come before some of the assignments."""

    def __init__(self, ends: bool) -> None:
        self.ends = ends
        self.lines: list[str] = []
        self.count = 0

    def label(self) -> str:
        self.count += 1
        return f"L{self.count}"

    def test(self, test: tuple[str, int, int]) -> None:
        cmp, register, number = test
        self.lines += [f"and.b32 %t, %r{register}, 7;", f"setp.{cmp}.u32 %p, %t, {number};"]

    def write(self, body: list[Statement], depth: int) -> None:
        for kind, *rest in body:
            if kind == "set":
                target, op, a, b = rest
                self.lines.append(f"{op} %r{target}, %r{a}, {f'%r{b}' if b >= 0 else -b};")
            elif kind == "if":
                test, then, other = rest
                self.test(test)
                if len(then) == 1 and then[0][0] == "set" and not other:
                    self.write(then, depth + 1)
                    self.lines[-1] = f"@%p {self.lines[-1]}"
                else:
                    otherwise, join = self.label(), self.label()
                    self.lines.append(f"@!%p bra {otherwise};")
                    self.write(then, depth + 1)
                    self.lines += [f"bra.uni {join};", f"{otherwise}:"]
                    self.write(other, depth + 1)
                    self.lines.append(f"{join}:")
            elif kind == "end":
                self.test(rest[0])
                self.lines.append("@%p bra STORE;")
            else:
                again, out, first, second = rest
                head, join = self.label(), self.label()
                self.lines += [f"mov.u32 %n{depth}, 0;", f"{head}:"]
                self.write(first, depth + 1)
                self.test(out)
                self.lines.append(f"@%p bra {join};")
                self.write(second, depth + 1)
                self.test(again)
                self.lines += [f"add.u32 %n{depth}, %n{depth}, 1;", f"setp.lt.u32 %q, %n{depth}, 5;"]
                self.lines += ["and.pred %p, %p, %q;", f"@%p bra {head};", f"{join}:"]
            if depth == 0 and not self.ends:
                self.lines.append("vote.sync.ballot.b32 %t, 1, -1;")


def text(body: list[Statement]) -> str:
    writer = Writer("'end'" in str(body))
    writer.write(body, 0)
    start = [
        "ld.param.u64 %base, [out];",
        "mov.u32 %i, %ctaid.x;",
        "mov.u32 %t, %ntid.x;",
        "mov.u32 %r0, %tid.x;",
    ]
    start += ["mad.lo.u32 %i, %i, %t, %r0;"] + [
        f"mad.lo.u32 %r{n}, %i, {2 * n + 1}, {n};" for n in range(REGISTERS)
    ]
    end = [f"mad.wide.u32 %base, %i, {4 * REGISTERS}, %base;"]
    end += [f"st.global.u32 [%base+{4 * n}], %r{n};" for n in range(REGISTERS)]
    registers = ".reg .b32 %r<6>, %n<6>, %i, %t; .reg .b64 %base; .reg .pred %p, %q;"
    lines = [registers, *start, *writer.lines, "STORE:", *end, "ret;"]
    return f"{HEADER}.visible .entry k(.param .u64 out)\n{{\n{chr(10).join(lines)}\n}}\n"


@pytest.mark.parametrize("seed", range(40))
def test_each_thread_goes_its_own_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = program(rng, 3, 6)
    memory = Memory()
    out = memory.allocate(4 * REGISTERS * THREADS * BLOCKS)
    launch(parse(text(body)), "k", BLOCKS, THREADS, [out], memory)
    got = memory.download(out, (THREADS * BLOCKS, REGISTERS), np.uint32)
    expected = []
    for i in range(THREADS * BLOCKS):
        thread = Thread([i * (2 * n + 1) + n for n in range(REGISTERS)])
        thread.run(body)
        expected.append(thread.r)
    np.testing.assert_array_equal(got, np.array(expected, np.uint32))
