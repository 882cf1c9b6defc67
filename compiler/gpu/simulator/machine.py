"""Launches: blocks of a grid in batches, threads of a batch by blocks of code, as `flow.py` orders them."""

from __future__ import annotations

import functools
import struct
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from lucid.compiler.ir.data import data

from . import access, warps
from .barriers import arrive, stuck
from .between import Between
from .counts import Counts
from .flow import Block, blocks
from .memory import Memory, Space, fresh, layout
from .operands import joined, reader, split
from .ptx import DTYPES, Array, Entry, Instruction, Module, Parameter, PtxError
from .races import Shadow
from .state import Batch, Dims, Env, Group

Step = Callable[[Env, Group], None]
Argument = bytes | int | float | np.generic

# Threads of a batch: NumPy's cost a call is small against that of the elements, which stay in cache.
LANES = 32_768
SHARED_BYTES = 16 << 20  # of a batch
STATIC_SHARED = 48 << 10
MOST_SHARED = {
    "sm_75": 64 << 10, "sm_80": 163 << 10, "sm_86": 99 << 10, "sm_87": 163 << 10, "sm_89": 99 << 10,
    "sm_120": 99 << 10, "sm_121": 99 << 10,
}  # fmt: skip
LATER_SHARED = 227 << 10
MOST_BLOCKS = 1 << 21  # the bookkeeping of races numbers threads in 31 bits
LIMIT = 2_000_000  # blocks of code that a batch may run

_EFFECTS: dict[str, Callable[[Instruction], Step]] = {
    "ld": access.load,
    "st": access.store,
    "atom": access.atomic,
    "red": access.atomic,
    "shfl": warps.shuffle,
    "vote": warps.vote,
    "bar": warps.synchronise,
    "fence": access.fence,
}


@data(eq=False)
class Code:
    """A block of code, ready to run, and how often it issues each opcode."""

    block: Block
    steps: tuple[Step, ...]
    opcodes: Counter[str]


def _step(i: Instruction) -> Step:
    opcode = i.form.opcode
    if i.form.build is None:
        if opcode == "mov":
            source, target = joined(i.sources[0]), split(i.dests[0])
            return lambda env, group: target(env, source(env, group))
        return _EFFECTS[opcode](i)
    function = i.form.build(i.modifiers)
    sources, keep = [joined(source) for source in i.sources], split(i.dests[0])
    return lambda env, group: keep(env, function(*[s(env, group) for s in sources]))


@functools.lru_cache(maxsize=256)
def compiled(entry: Entry) -> tuple[Code, ...]:
    codes = []
    for block in blocks(entry):
        issued = (*block.code, *([block.end] if block.end and block.end.form.opcode != "trap" else []))
        if block.kind == "branch" and block.end is not None and block.end.form.opcode != "bra":
            issued = block.code  # the guard of an instruction is none of its own
        codes.append(Code(block, tuple(map(_step, block.code)), Counter(i.opcode for i in issued)))
    return tuple(codes)


def _traps(block: Block) -> bool:
    return block.end is not None and block.end.form.opcode == "trap"


def launch(
    module: Module,
    entry: str,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    args: Sequence[Argument],
    memory: Memory,
    dynamic_shared: int = 0,
) -> Counts:
    """Runs a kernel and counts what it does.

    `grid` and `block` have up to three dimensions. An argument is a number, or the bytes of a parameter;
    pointers are addresses of `memory`. `.global` variables of the module lie there from its first launch on.

    Raises PtxError, whose `kind` says what is wrong, with the line and the thread.
    """
    found = module.entries.get(entry)
    if found is None:
        raise PtxError("launch", f"no entry `{entry}`; there are {sorted(module.entries)}")
    return Launch(module, found, _dims(grid), _dims(block), args, memory, dynamic_shared).run()


def _dims(size: int | tuple[int, ...]) -> Dims:
    x, y, z = (*((size,) if isinstance(size, int) else size), 1, 1)[:3]
    if min(x, y, z) < 1:
        raise PtxError("launch", f"sizes must be positive, not {size}")
    return x, y, z


def argument(parameter: Parameter, value: Argument) -> bytes:
    """The bytes of an argument."""
    if isinstance(value, bytes | np.generic):
        raw = value if isinstance(value, bytes) else value.tobytes()
        if len(raw) != parameter.size:
            raise PtxError("launch", f"`{parameter.name}` has {parameter.size} bytes, not {len(raw)}")
        return raw
    if parameter.array:
        raise PtxError("launch", f"`{parameter.name}` is an array: give its bytes")
    kind, size = parameter.type, parameter.size
    if kind in ("f32", "f64") or isinstance(value, float):
        formats = {2: "<e", 4: "<f", 8: "<d"}
        return struct.pack(formats[size], value)
    if not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
        raise PtxError("launch", f"{value} does not fit `{parameter.name}` of {size} bytes")
    return (value % (1 << 8 * size)).to_bytes(size, "little")


class Launch:
    def __init__(
        self, module: Module, entry: Entry, grid: Dims, block: Dims, args: Sequence[Argument], memory: Memory,
        dynamic: int,
    ) -> None:  # fmt: skip
        self.module, self.entry, self.grid, self.block, self.memory = module, entry, grid, block, memory
        self.dynamic = dynamic
        self.threads = block[0] * block[1] * block[2]
        if entry.threads is not None and entry.threads != block:
            raise PtxError("launch", f"`{entry.name}` is for blocks of {entry.threads} threads, not {block}")
        if self.threads > min(1024, entry.most_threads or 1024):
            raise PtxError("launch", f"blocks of {self.threads} threads are too large for `{entry.name}`")
        if len(args) != len(entry.parameters):
            raise PtxError(
                "launch", f"`{entry.name}` takes {len(entry.parameters)} arguments, not {len(args)}"
            )
        self.addresses: dict[str, Array] = {}
        self.fixed = {"global": memory.space}
        self.place_parameters(args)
        self.place_variables()
        self.codes = compiled(entry)
        self.ends = {
            n
            for n, code in enumerate(self.codes)
            if code.block.kind == "exit" and not code.block.code and not _traps(code.block)
        }
        self.counts = Counts()
        self.issued = [[0, 0] for _ in self.codes]  # to warps, and to threads
        self.granules = {space: self.granule(space) for space in ("global", "shared")}
        self.shadow = Shadow(memory.space.size, self.granules["global"])
        opcodes = {i.form.opcode for i in entry.code}
        hands_on = "fence" in opcodes and bool(opcodes & {"atom", "red"})
        self.between = Between(grid[0] * grid[1] * grid[2]) if hands_on else None
        self.now = 1

    def granule(self, space: str) -> int:
        """The smallest access that the entry makes to a space."""
        sizes = [16]
        for i in self.entry.code:
            if i.form.opcode in ("ld", "st", "atom", "red"):
                at = (i.dests or i.sources[1:])[0]
                if access.space_of(i) == space:
                    sizes.append(DTYPES[at.type].itemsize * len(at.items))
        return min(sizes)

    def address(self, name: str, offset: int) -> None:
        self.addresses[name] = np.array([offset], np.uint64)

    def place_parameters(self, args: Sequence[Argument]) -> None:
        parameters = self.entry.parameters
        offsets, end = layout([(p.name, 16, p.size) for p in parameters], 16)
        space = fresh("param", offsets, {p.name: p.size for p in parameters}, end, 1)
        for parameter, value in zip(parameters, args, strict=True):
            at = offsets[parameter.name]
            raw = np.frombuffer(argument(parameter, value), np.uint8)
            space.data[at : at + parameter.size] = raw
            space.state[at : at + parameter.size] |= 2
            self.address(parameter.name, at)
        self.fixed["param"] = space

    def place_variables(self) -> None:
        """Of the module and the entry; shared and local ones get their bytes with each batch."""
        everything = (*self.module.variables, *self.entry.variables)
        named = {
            space: [v for v in everything if v.space == space] for space in ("shared", "local", "global")
        }
        known = self.memory.variables.setdefault(self.module, {})
        for variable in named["global"]:
            if variable.name not in known:
                content = np.frombuffer(variable.init or bytes(variable.size), np.uint8)
                known[variable.name] = self.memory.upload(content, variable.name)
            self.address(variable.name, known[variable.name])
        static = sum(v.size for v in named["shared"])
        most = MOST_SHARED.get(self.module.target.rstrip("af"), LATER_SHARED)
        if static > STATIC_SHARED or static + self.dynamic > most:
            asked = f"{static} bytes of shared memory and {self.dynamic} at launch"
            raise PtxError("launch", f"{asked}: there are {STATIC_SHARED}, and {most} in all")
        self.layouts: dict[str, tuple[dict[str, int], dict[str, int], int]] = {}
        for space in ("shared", "local"):
            # what has no size is as large as the launch says; all such variables are one
            variables = sorted(named[space], key=lambda v: v.size == 0)
            sizes = {v.name: v.size or self.dynamic for v in variables}
            apart = 128 if space == "shared" else 16
            offsets, end = layout([(v.name, v.align, sizes[v.name]) for v in variables if v.size], apart)
            dynamic = [v for v in variables if not v.size]
            if dynamic:
                start = -(-end // 128) * 128 + 128
                offsets |= {v.name: start for v in dynamic}
                end = -(-(start + self.dynamic + apart) // 256) * 256
            self.layouts[space] = offsets, sizes, end
            for name, offset in offsets.items():
                self.address(name, offset)

    def run(self) -> Counts:
        total = self.grid[0] * self.grid[1] * self.grid[2]
        if total >= MOST_BLOCKS:
            raise PtxError("launch", f"{total} blocks: fewer than {MOST_BLOCKS} can be simulated")
        shared = self.layouts["shared"][2]
        together = max(1, min(total, LANES // self.threads, SHARED_BYTES // max(shared, 1)))
        with np.errstate(all="ignore"):
            for first in range(0, total, together):
                batch = self.batch(first, min(together, total - first))
                self.run_batch(batch)
                self.now = batch.now + 1
        return self.counted(total)

    def counted(self, blocks: int) -> Counts:
        counts = self.counts
        counts.blocks, counts.warps = blocks, blocks * -(-self.threads // 32)
        for code, (of_warps, of_threads) in zip(self.codes, self.issued, strict=True):
            if of_warps:
                counts.instructions.update({opcode: n * of_warps for opcode, n in code.opcodes.items()})
                counts.threads.update({opcode: n * of_threads for opcode, n in code.opcodes.items()})
        return counts

    def batch(self, first: int, count: int) -> Batch:
        spaces: dict[str, Space] = dict(self.fixed)
        shadows = {"global": self.shadow}
        for space, rows in (("shared", count), ("local", count * self.threads)):
            offsets, sizes, end = self.layouts[space]
            spaces[space] = fresh(space, offsets, sizes, end, rows)
        shadows["shared"] = Shadow(spaces["shared"].data.size, self.granules["shared"])
        return Batch(self, first, count, spaces, shadows)

    # one batch

    def run_batch(self, batch: Batch) -> None:
        waiting: dict[int, list[Array]] = {0: [batch.everyone]}

        def send(lanes: Array, target: int) -> None:
            if lanes.size and target in self.ends:  # nobody waits for threads that only end
                self.run_block(batch, Group(batch, lanes), target, send)
            elif lanes.size:
                waiting.setdefault(target, []).append(lanes)

        for _ in range(LIMIT):
            if not waiting:
                break
            number = min(waiting)
            arrived = waiting.pop(number)
            lanes = arrived[0] if len(arrived) == 1 else np.sort(np.concatenate(arrived))
            self.run_block(batch, Group(batch, lanes), number, send)
        else:
            raise PtxError("limit", f"`{self.entry.name}` does not end: {LIMIT} blocks of code were run")
        if (batch.waiting >= 0).any():
            raise stuck(batch, [code.block.end for code in self.codes])

    def run_block(self, batch: Batch, group: Group, number: int, send: Callable[[Array, int], None]) -> None:
        code = self.codes[number]
        block = code.block
        env = self.enter(batch, group, block)
        for step in code.steps:
            step(env, group)
        issued = self.issued[number]
        issued[0] += group.warps
        issued[1] += group.size
        kind, lanes = block.kind, group.lanes
        if kind == "goto":
            send(lanes, block.targets[0])
        elif kind == "branch":
            assert block.guard is not None
            holds = reader(block.guard, "pred")(env, group)
            if holds.size == 1:
                send(lanes, block.targets[0 if holds[0] else 1])
            else:
                send(lanes[holds], block.targets[0])
                send(lanes[~holds], block.targets[1])
        elif kind == "exit":
            if block.end is not None and _traps(block):
                raise group.error("trap", block.end, 0, "traps")
            batch.alive[lanes] = False
        else:
            assert kind == "barrier"
            for free, place in arrive(batch, group, env, block, number):
                send(free, self.codes[place].block.targets[0])
        self.leave(batch, group, block, env)

    def enter(self, batch: Batch, group: Group, block: Block) -> Env:
        """The registers that a block needs, of its threads; they must have been written."""
        values, known = batch.values, batch.known
        env: Env = values if group.all else [None] * len(values)
        for r, reads in block.needs:
            written, found = known[r], values[r]
            if written is not True and (written is False or not written[group.lanes].all()):
                n = 0 if isinstance(written, bool) else int(np.flatnonzero(~written[group.lanes])[0])
                name = self.entry.registers[r].name
                raise group.error("uninitialised", reads, n, f"reads {name}, which it has not written")
            assert found is not None
            env[r] = group.of(found)
        return env

    def leave(self, batch: Batch, group: Group, block: Block, env: Env) -> None:
        """Keeps the registers that are read later."""
        values, known = batch.values, batch.known
        for r in block.leaves:
            if group.all:
                known[r] = True
                continue
            new, old, written = env[r], values[r], known[r]
            assert new is not None
            if old is None:
                whole = np.zeros(batch.size, new.dtype)
            elif old.size != batch.size:
                whole = np.repeat(old, batch.size)
            else:
                whole = old.copy()  # another register may be the same array
            whole[group.lanes] = new
            values[r] = whole
            if written is not True:
                mask = np.zeros(batch.size, np.bool_) if isinstance(written, bool) else written.copy()
                mask[group.lanes] = True
                known[r] = bool(mask.all()) or mask
