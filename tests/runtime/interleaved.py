"""Threads that run LLVM text one access to memory at a time, in any order that a test chooses.

The text is that of `runtime/region.py`. Each thread is a generator that stops before every access to memory
and every call of the system's; `play` lets one go on. Memory is sequentially consistent, and each thread has
a vector clock (Lamport's *happens before*, kept as by FastTrack: Flanagan and Freund, PLDI 2009): two
accesses to one place, one of which writes and one of which is not atomic, are a race unless acquire and
release (or the mutex) put one before the other. What `seq_cst` alone forbids (a store, then a load of another
place, in two threads) is not told from acquire and release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

STEPS = 5000  # far more than a few small regions take
MASK = (1 << 64) - 1
Run = Generator[str, None, int]  # what a thread is about to do; it ends with what its function returns
Clock = list[int]


class Fault(Exception):
    """What must not be: a race, a deadlock, a block that runs twice."""


class Op(NamedTuple):
    """One instruction: `name = word parts`, as `_FORMS` took it apart."""

    name: str
    word: str
    parts: tuple[str, ...]


class Function(NamedTuple):
    params: tuple[str, ...]
    blocks: dict[str, list[Op]]


_ARGUMENT = r"(?:i\d+|ptr) (\S+?)"
_FORMS = {
    "phi": r"\w+ (.+)",
    "getelementptr": r"i(8|64), ptr (\S+), i64 (\S+)",
    "load": r"(atomic )?\w+, ptr ([^\s,]+) ?(\w*).*",
    "store": rf"(atomic )?{_ARGUMENT}, ptr ([^\s,]+) ?(\w*).*",
    "atomicrmw": rf"(\w+) ptr (\S+), {_ARGUMENT} (\w+)",
    "cmpxchg": rf"ptr (\S+), {_ARGUMENT}, {_ARGUMENT} (\w+) (\w+)",
    "extractvalue": r"\{.*\} (\S+), 1",
    "icmp": r"(\w+) \w+ (\S+), (\S+)",
    "select": rf"i1 (\S+), {_ARGUMENT}, {_ARGUMENT}",
    "call": r"\w+ (\S+?)\((.*)\)",
    "br": r"(?:label %(\S+)|i1 (\S+), label %(\S+), label %(\S+))",
    "ret": r"(?:void|\w+ (\S+))",
} | dict.fromkeys(("add", "sub", "mul", "udiv", "lshr", "and", "or"), r"\w+ (\S+), (\S+)")
_SIGNED = {"sgt": int.__gt__, "sge": int.__ge__, "slt": int.__lt__, "sle": int.__le__}
_PLAIN = {
    "eq": int.__eq__, "ne": int.__ne__, "ugt": int.__gt__, "uge": int.__ge__, "ult": int.__lt__,
    "ule": int.__le__,
}  # fmt: skip
_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": int.__add__, "sub": int.__sub__, "mul": int.__mul__, "udiv": int.__floordiv__,
    "lshr": int.__rshift__, "and": int.__and__, "or": int.__or__,
}  # fmt: skip
_INTRINSICS: dict[str, Callable[[int, int], int]] = {
    "@llvm.umin.i64": min, "@llvm.umax.i64": max, "@llvm.usub.sat.i64": lambda a, b: max(a - b, 0),
}  # fmt: skip


def parse(text: str) -> dict[str, Function]:
    """The functions that a text defines. ValueError for what is not understood."""
    found: dict[str, Function] = {}
    for match in re.finditer(r"^define [^@]*(@[\w.]+)\(([^)]*)\)[^{]*\{\n(.*?)^\}", text, re.M | re.S):
        ops: list[Op] = []
        blocks = {"entry": ops}
        for raw in match[3].splitlines():
            line = raw.split(";")[0].strip()
            if line.endswith(":"):
                ops = blocks[line[:-1]] = []
            elif line:
                left, equals, right = line.partition(" = ")
                name, rest = (left, right) if equals else ("", line)
                word, _, rest = rest.partition(" ")
                form = re.fullmatch(_FORMS.get(word, "(?!)"), rest)
                if form is None:
                    raise ValueError(f"{match[1]}: `{line}`")
                ops.append(Op(name, word, tuple(part or "" for part in form.groups())))
        params = tuple(part.split()[-1] for part in match[2].split(", ") if part)
        found[match[1]] = Function(params, blocks)
    return found


class Machine:
    """Memory, the mutex and the condition of the system. `calls`: what an address, or a name, does when it is
    called."""

    def __init__(self, functions: dict[str, Function], threads: int) -> None:
        self.functions = functions
        self.calls: dict[int | str, Callable[..., Run]] = {}
        self.memory: dict[int, int] = {}
        self.clocks = [[int(t == k) for k in range(threads)] for t in range(threads)]
        self._released: dict[int, Clock] = {}
        self._written: dict[int, tuple[int, int, bool]] = {}  # by whom, at which time, whether atomic
        self._read: dict[int, dict[tuple[int, bool], int]] = {}
        self.holder: int | None = None
        self.waiting: list[int] = []  # on the condition
        self.writes = 0
        self.looked = [
            0
        ] * threads  # how many writes there had been when a thread last looked at what is atomic
        self.resting: set[int] = set()  # until there are more

    # --- memory ----------------------------------------------------------------------------------

    def touched(self, thread: int, place: int, writes: bool, atomic: bool) -> None:
        """Fault for a race."""
        clock = self.clocks[thread]
        clock[thread] += 1
        others = [(k, t, a) for (k, a), t in self._read.get(place, {}).items()] if writes else []
        if place in self._written:
            others.append(self._written[place])
        for other, time, plain in ((k, t, not a) for k, t, a in others):
            if other != thread and time > clock[other] and (plain or not atomic):
                raise Fault(f"threads {other} and {thread} race for {place}")
        if writes:
            self._written[place] = thread, clock[thread], atomic
            self._read.pop(place, None)
            self.writes += 1
        else:
            self._read.setdefault(place, {})[thread, atomic] = clock[thread]

    def acquire(self, thread: int, place: int) -> None:
        released = self._released.get(place)
        if released is not None:
            self.clocks[thread][:] = map(max, self.clocks[thread], released)

    def release(self, thread: int, place: int, after: bool = False) -> None:
        """`after`: by what reads and writes, so that who released before is released, too."""
        clock = self.clocks[thread]
        old = self._released.get(place) if after else None
        self._released[place] = [*clock] if old is None else [*map(max, clock, old)]
        clock[thread] += 1

    def load(self, thread: int, place: int, order: str) -> int:
        self.touched(thread, place, False, bool(order))
        if order:
            self.looked[thread] = self.writes
        if order in ("acquire", "acq_rel", "seq_cst"):
            self.acquire(thread, place)
        return self.memory.get(place, 0)

    def store(self, thread: int, place: int, value: int, order: str) -> None:
        self.touched(thread, place, True, bool(order))
        self._released.pop(place, None)
        if order in ("release", "seq_cst"):
            self.release(thread, place)
        self.memory[place] = value & MASK

    def change(self, thread: int, place: int, order: str, new: Callable[[int], int | None]) -> int:
        """What stood there; `new` stands there now, if it is not None."""
        old = self.memory.get(place, 0)
        value = new(old)
        self.touched(thread, place, value is not None, True)
        if order in ("acquire", "acq_rel", "seq_cst"):
            self.acquire(thread, place)
        if value is not None:
            if order in ("release", "acq_rel", "seq_cst"):
                self.release(thread, place, after=True)
            self.memory[place] = value & MASK
        return old

    # --- the system ------------------------------------------------------------------------------

    def lock(self, thread: int, mutex: int) -> Run:
        yield "lock"
        while self.holder is not None:
            yield "blocked"
        self.holder = thread
        self.acquire(thread, mutex)
        return 0

    def unlock(self, thread: int, mutex: int) -> Run:
        yield "unlock"
        self.let_go(thread, mutex)
        return 0

    def let_go(self, thread: int, mutex: int) -> None:
        if self.holder != thread:
            raise Fault(f"thread {thread} unlocks what thread {self.holder} holds")
        self.release(thread, mutex)
        self.holder = None

    def wait(self, thread: int, condition: int, mutex: int) -> Run:
        yield "wait"
        self.let_go(thread, mutex)
        self.waiting.append(thread)
        while thread in self.waiting:
            yield "blocked"
        return (yield from self.lock(thread, mutex))

    def signal(self, thread: int, condition: int) -> Run:
        yield "signal"
        if self.waiting:
            self.waiting.pop(0)
        return 0

    def rest(self, thread: int) -> Run:
        self.resting.add(thread)
        while self.looked[thread] == self.writes:
            yield "blocked"
        self.resting.discard(thread)
        return 0

    # --- threads ---------------------------------------------------------------------------------

    def run(self, thread: int, name: str, args: Sequence[int]) -> Run:
        """A function, by one thread."""
        function = self.functions[name]
        values: dict[str, int] = dict(zip(function.params, args, strict=True))
        values |= {"null": 0, "true": 1, "false": 0}

        def value(text: str) -> int:
            found = values.get(text)
            return int(text) & MASK if found is None else found

        before, label = "", "entry"
        while True:
            for op in function.blocks[label]:
                parts, result = op.parts, 0
                if op.word == "phi":
                    chosen = re.search(rf"\[ (\S+), %{re.escape(before)} \]", parts[0])
                    assert chosen is not None
                    result = value(chosen[1])
                elif op.word == "getelementptr":
                    result = (value(parts[1]) + int(parts[0]) // 8 * value(parts[2])) & MASK
                elif op.word in _BINARY:
                    result = _BINARY[op.word](value(parts[0]), value(parts[1])) & MASK
                elif op.word == "icmp":
                    a, b = value(parts[1]), value(parts[2])
                    signed = _SIGNED.get(parts[0])
                    result = int(_PLAIN[parts[0]](a, b) if signed is None else signed(_signed(a), _signed(b)))
                elif op.word == "select":
                    result = value(parts[1]) if value(parts[0]) else value(parts[2])
                elif op.word == "extractvalue":
                    result = values[parts[0] + ".1"]
                elif op.word == "load":
                    yield "load"
                    result = self.load(thread, value(parts[1]), parts[2] if parts[0] else "")
                elif op.word == "store":
                    yield "store"
                    self.store(thread, value(parts[2]), value(parts[1]), parts[3] if parts[0] else "")
                elif op.word == "atomicrmw":
                    yield "change"
                    how, by = parts[0], value(parts[2])
                    result = self.change(thread, value(parts[1]), parts[3], _changes(how, by))
                elif op.word == "cmpxchg":
                    yield "change"
                    want, new = value(parts[1]), value(parts[2])
                    place = value(parts[0])
                    swaps = self.memory.get(place, 0) == want
                    order = parts[3] if swaps else parts[4]
                    result = self.change(thread, place, order, _changes("xchg", new) if swaps else _same)
                    values[op.name + ".1"] = int(swaps)
                elif op.word == "call":
                    result = yield from self.call(
                        thread, parts[0], [value(a.split()[-1]) for a in _split(parts[1])], values
                    )
                elif op.word == "br":
                    plain, test, yes, no = parts
                    before, label = label, plain or (yes if value(test) else no)
                    break
                else:  # ret
                    return value(parts[0]) if parts[0] else 0
                if op.name:
                    values[op.name] = result

    def call(self, thread: int, callee: str, args: list[int], values: dict[str, int]) -> Run:
        if callee in _INTRINSICS:
            return _INTRINSICS[callee](*args)
        known = self.calls.get(values[callee] if callee.startswith("%") else callee)
        if known is not None:
            return (yield from known(thread, *args))
        return (yield from self.run(thread, callee, args))

    def runnable(self, threads: dict[int, str]) -> list[int]:
        """Of threads that are about to do this or that, those that can."""
        return [t for t, what in threads.items() if what != "blocked" or self._free(t)]

    def _free(self, thread: int) -> bool:
        """Whether a thread that was blocked may look again."""
        if thread in self.resting:
            return self.looked[thread] != self.writes
        return thread not in self.waiting and self.holder is None


def _changes(how: str, by: int) -> Callable[[int], int]:
    return {"add": lambda x: x + by, "sub": lambda x: x - by, "xchg": lambda x: by}[how]


def _same(value: int) -> None:
    """A change that is none."""


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


def _split(arguments: str) -> list[str]:
    return [a for a in arguments.split(", ") if a]


def play(machine: Machine, threads: dict[int, Run], choose: Callable[[list[int], bool], int]) -> None:
    """Let threads run, one access at a time, until thread 0 has ended. `choose`: which of those that can go
    on does; it is told whether the first of them is the one that did last. Fault where none can, or if it
    takes too long."""
    about = {t: next(run) for t, run in threads.items()}
    current = 0
    for _ in range(STEPS):
        able = machine.runnable(about)
        if not able:
            raise Fault("nobody can go on")
        goes_on = current in able
        if goes_on:
            able.remove(current)
            able.insert(0, current)
        current = choose(able, goes_on)
        try:
            about[current] = next(threads[current])
        except StopIteration:
            if current == 0:
                return
            raise Fault(f"thread {current} ended") from None
    raise Fault("no end is in sight")
