"""Running a plan: arrays in, arrays out, one native call in between."""

from __future__ import annotations

import copy
import ctypes
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from lucid.compiler.ir.artifact import Address, Hole, Launch, Plan

from . import chain, memory, pool
from .address import address
from .load import load
from .runner import PARALLEL_BYTES, ROW, functions, runner

Array = np.ndarray[Any, np.dtype[Any]]

# Outputs up to this size live in NumPy's own memory.
SMALL_BYTES = 32 << 10
# The blocks of the launches of a group are weighed against each other in steps of this many parts of
# the heaviest.
WEIGHTS = 16
# Calls until another plan is asked for.
NEVER = 1 << 62
# Words that a group may have on the stack: some 200 launches.
MOST_WORDS = 8 << 10


class Executable:
    """A plan whose code is loaded, ready to be called any number of times, from any thread.

    `program`, `holes`, `groups` and `scratch` are what `runner.py` takes; `large` says whether some group of
    launches is worth threads, which it is from `parallel` bytes on. Native calls count `left` down, if it is
    given, and are none any more below 0. RuntimeError if a kernel does not
    compile; ValueError if the plan contradicts itself.
    """

    def __init__(self, plan: Plan, parallel: int = PARALLEL_BYTES) -> None:
        groups = grouped(plan.launches)
        _check(plan, groups)
        self.plan, self.parallel = plan, parallel
        self._inputs = tuple((plan.buffers[i].dtype.np, plan.buffers[i].shape) for i in plan.inputs)
        self._outputs = tuple((plan.buffers[i].dtype.np, plan.buffers[i].shape) for i in plan.outputs)
        self._sizes = [d.itemsize * math.prod(shape) for d, shape in self._inputs]
        words = [w for group in groups for w in record(group)]
        holes = [(k, w.number) for k, w in enumerate(words) if type(w) is Hole]
        self.holes = holes  # where in `program` which number goes
        self.program = np.array([0 if type(w) is Hole else w for w in words], np.int64)
        self.groups = len(groups)
        self.scratch = max(map(needs, groups), default=0)
        self.large = any(sum(x.work for x in group) >= parallel for group in groups)
        self.left = ctypes.c_int64(NEVER)
        self._start = self.program.ctypes.data
        self._temps = [(i, b.offset) for i, b in enumerate(plan.buffers) if b.kind == "temp"]
        self._run = runner(self.large)

    def __call__(
        self,
        inputs: Sequence[Array],
        out: Sequence[Array | None] | None = None,
        threads: int | None = None,
        numbers: Sequence[int] = (),
    ) -> list[Array]:
        """The outputs of the plan, in its order.

        `inputs` match the plan's input buffers in dtype and shape; one that is not row-major,
        aligned and in native byte order is copied first. `out[k]`, if given, receives output k: it
        may be the very array of input `plan.aliases[k]`, which is then overwritten. `threads` is
        the most threads this call may use, within those of the process. `numbers`: as words, the
        scalars for which the plan has holes. TypeError for a wrong
        count, type or dtype, ValueError for a wrong shape, a read-only output or less than one
        thread; nothing has run then.
        """
        plan = self.plan
        if len(inputs) != len(plan.inputs):
            raise TypeError(f"expected {len(plan.inputs)} inputs, got {len(inputs)}")
        if out is not None and len(out) != len(plan.outputs):
            raise TypeError(f"expected {len(plan.outputs)} outputs, got {len(out)}")
        if threads is not None and threads < 1:
            raise ValueError(f"the number of threads must be at least 1, not {threads}")
        most = pool.get_num_threads()
        threads = most if threads is None else min(threads, most)
        sources = [
            array
            if type(array) is np.ndarray
            and array.dtype is dtype
            and array.shape == shape
            and (flags := array.flags).c_contiguous
            and flags.aligned
            else _source(array, dtype, shape, k)
            for k, (array, (dtype, shape)) in enumerate(zip(inputs, self._inputs, strict=True))
        ]
        targets = [
            _target(None if out is None else out[k], dtype, shape, k)
            for k, (dtype, shape) in enumerate(self._outputs)
        ]
        addresses = [0] * len(plan.buffers)
        for i, array in zip(plan.inputs, sources, strict=True):
            addresses[i] = address(array)
        for i, array in zip(plan.outputs, targets, strict=True):
            addresses[i] = address(array)
        results, run = targets, self._run
        if out is not None:
            targets = list(targets)
            for k in self._clashes([array is not None for array in out], targets, addresses):
                dtype, shape = self._outputs[k]
                targets[k] = memory.array(shape, dtype)
                addresses[plan.outputs[k]] = address(targets[k])
            places = zip(plan.aliases, plan.outputs, strict=True)
            if self.large and any(a >= 0 and addresses[plan.inputs[a]] == addresses[o] for a, o in places):
                run = runner(False)  # who reads that memory waits for the interpreter's lock
        block = memory.allocate(plan.temp_bytes) if self._temps else None
        if block is not None:
            for i, offset in self._temps:
                addresses[i] = block.address + offset
        words = (ctypes.c_int64 * len(addresses))(*addresses)
        program = self._filled(numbers) if self.holes else None
        run(
            self._start if program is None else address(program),
            self.groups,
            self.scratch,
            ctypes.addressof(words),
            pool.reach(threads) if self.large else 0,
            threads,
            self.parallel,
        )
        del block
        for result, target in zip(results, targets, strict=True):
            if result is not target:
                np.copyto(result, target)
        return results

    def given(self, numbers: Sequence[int]) -> Executable:
        """The same for these numbers, without holes."""
        made = copy.copy(self)
        made.program = self._filled(numbers)
        made._start, made.holes = made.program.ctypes.data, []
        return made

    def _filled(self, numbers: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
        program = self.program.copy()
        for place, number in self.holes:
            program[place] = numbers[number]
        return program

    def _clashes(self, given: list[bool], targets: list[Array], addresses: list[int]) -> list[int]:
        """The given outputs that cannot be written to the caller's array while the plan runs."""
        plan, found = self.plan, set()
        same = set()  # inputs that an output takes over as they are
        for k, array in enumerate(targets):
            if given[k]:
                flags, alias = array.flags, plan.aliases[k]
                if not (flags.c_contiguous and flags.aligned and array.dtype.isnative):
                    found.add(k)
                elif alias >= 0 and addresses[plan.inputs[alias]] == addresses[plan.outputs[k]]:
                    same.add(alias)
        # All arrays by their first byte; then only neighbours can tell of an overlap. An input's
        # number is -1.
        spans = []
        for k, array in enumerate(targets):
            low, high = addresses[plan.outputs[k]], 0
            if k in found:
                low, high = byte_bounds(array)
            spans.append((low, high or low + array.nbytes, k))
        for j, i in enumerate(plan.inputs):
            if j not in same:
                spans.append((addresses[i], addresses[i] + self._sizes[j], -1))
        spans = sorted(span for span in spans if span[1] > span[0])
        reached = 0  # the end of what lies before
        for (low, high, k), (following, *_) in pairwise([*spans, (1 << 64, 0, -1)]):
            if k >= 0 and given[k] and (reached > low or following < high):
                found.add(k)
            reached = max(reached, high)
        return sorted(found)


def _checked(what: str, array: object, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{what}: expected a NumPy array, got {type(array).__name__}")
    if array.dtype.newbyteorder("=") != dtype:
        raise TypeError(f"{what}: expected dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{what}: expected shape {shape}, got {array.shape}")
    return array


def _source(array: object, dtype: np.dtype[Any], shape: tuple[int, ...], k: int) -> Array:
    """Input k as native code may read it."""
    array = _checked(f"input {k}", array, dtype, shape)
    if array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative:
        return array
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])


def _target(array: object, dtype: np.dtype[Any], shape: tuple[int, ...], k: int) -> Array:
    """Where output k goes: the caller's array, or a new one."""
    if array is None:
        # NumPy makes a small array in a tenth of the time.
        small = dtype.itemsize * math.prod(shape) <= SMALL_BYTES
        return np.empty(shape, dtype) if small else memory.array(shape, dtype)
    array = _checked(f"output {k}", array, dtype, shape)
    if not array.flags.writeable:
        raise ValueError(f"output {k}: the array is read-only")
    if not array.flags.c_contiguous and _overlaps(array):
        raise ValueError(f"output {k}: elements of the array overlap (strides {array.strides})")
    return array


def _overlaps(array: Array) -> bool:
    """Whether two elements may share memory: a dimension steps less than those before it reach."""
    reach = array.itemsize - 1
    for step, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True)):
        if n > 1:
            if step <= reach:
                return array.size > 0
            reach += step * (n - 1)
    return False


def grouped(launches: Sequence[Launch]) -> list[list[Launch]]:
    """The launches by group: all of one may run at once."""
    groups: list[list[Launch]] = []
    words = 0
    for launch in launches:
        words += needs([launch])
        if launch.joins and groups and (words <= MOST_WORDS or launch.strip is not None):
            groups[-1].append(launch)
        else:
            groups.append([launch])
            words = needs([launch])
    return groups


def needs(group: Sequence[Launch]) -> int:
    """What the group needs on the stack while it runs."""
    return 2 + sum(ROW + (len(x.slots) if x.strip is None else chain.words(x)) for x in group)


def record(group: Sequence[Launch]) -> list[Any]:
    """The group as words of the runner's program; holes are left as they are."""
    if group[0].strip is not None:
        return _whole(group)
    costs = [launch.work / max(launch.blocks, 1) for launch in group]
    most = max(*costs, 1.0)
    weights = [max(1, round(WEIGHTS * cost / most)) for cost in costs]
    common = math.gcd(*weights)
    records: list[Any] = []
    for launch, weight in zip(group, weights, strict=True):
        loaded = load(launch.code)
        slots, patches = filled(launch)
        head = [loaded.run, loaded.finish, launch.blocks, weight // common]
        records += [*head, len(slots), len(patches) // 3, *slots, *patches]
    units = sum(launch.blocks * w // common for launch, w in zip(group, weights, strict=True))
    return [len(group), units, sum(launch.work for launch in group), *records]


def filled(launch: Launch) -> tuple[list[Any], list[int]]:
    """The slots of a launch, and where addresses go: slot, buffer and offset of each."""
    slots: list[Any] = []
    patches: list[int] = []
    for k, slot in enumerate(launch.slots):
        if isinstance(slot, Address):
            patches += [k, slot.buffer, slot.offset]
            slots.append(0)
        elif isinstance(slot, bytes):
            slots.append(word(slot))
        elif isinstance(slot, int | Hole):
            slots.append(slot)
        else:
            raise TypeError(f"{slot!r} is no content of a slot")
    return slots, patches


def word(raw: bytes) -> int:
    """A scalar as the content of a slot."""
    return int.from_bytes(raw.ljust(8, b"\0"), "little", signed=True)


def _whole(group: Sequence[Launch]) -> list[Any]:
    """A chain as the record of one launch, whose blocks are strips."""
    strips = group[0].blocks
    parts = [(load(launch.code).run, *filled(launch)) for launch in group]
    slots, patches = chain.record(group, parts)
    work = sum(launch.work for launch in group)
    head = [functions()["chain"], 0, strips, 1, len(slots), len(patches) // 3]
    return [1, strips, work, *head, *slots, *patches]


def _check(plan: Plan, groups: Sequence[Sequence[Launch]]) -> None:
    """ValueError unless every address of the plan stays inside its buffer."""
    for kind, numbers in (("input", plan.inputs), ("output", plan.outputs)):
        for i in numbers:
            if plan.buffers[i].kind != kind:
                raise ValueError(f"buffer {i} is {plan.buffers[i].kind}, not {kind}")
    if len(set(plan.outputs)) != len(plan.outputs):
        raise ValueError("a buffer is given twice as an output")
    if len(plan.aliases) != len(plan.outputs):
        raise ValueError("a plan needs one alias per output")
    for i, buffer in enumerate(plan.buffers):
        if buffer.nbytes < buffer.dtype.size * math.prod(buffer.shape):
            raise ValueError(f"buffer {i} is smaller than its shape")
        if buffer.kind == "temp" and buffer.offset + buffer.nbytes > plan.temp_bytes:
            raise ValueError(f"buffer {i} ends outside the working memory")
        if buffer.kind == "temp" and buffer.offset < 0:
            raise ValueError(f"buffer {i} begins before the working memory")
    for group in groups:
        chain.check(group, plan.buffers)
    for launch in plan.launches:
        for slot in launch.slots:
            if isinstance(slot, int):
                if not -(1 << 63) <= slot < 1 << 63:
                    raise ValueError(f"{launch.code.name}: {slot} takes more than 64 bits")
            elif isinstance(slot, bytes):
                if len(slot) > 8:
                    raise ValueError(f"{launch.code.name}: a scalar of {len(slot)} bytes")
            elif isinstance(slot, Address):
                if not 0 <= slot.buffer < len(plan.buffers):
                    raise ValueError(f"{launch.code.name}: no buffer {slot.buffer}")
                if not 0 <= slot.offset <= plan.buffers[slot.buffer].nbytes:
                    raise ValueError(f"{launch.code.name}: an address outside of buffer {slot.buffer}")
