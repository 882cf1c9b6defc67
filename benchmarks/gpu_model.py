"""`python -m benchmarks.gpu_model`: what kernels would reach on an H100, by a model, without a GPU. It writes
the table of docs/gpu.md; `--registers` asks ptxas for registers anew.

The simulator counts what a launch does at two small sizes; what grows from one to the other grows in
proportion to the size that is asked about. A launch then takes the longest of five times: each is what one
part of a GPU would need if nothing else held it up, so shares are upper bounds. What the last warps do after
all blocks comes on top, modelled in the same way.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid.compiler.gpu.emit import emit, groups
from lucid.compiler.gpu.launch import Entry, Launch, entry, is_after
from lucid.compiler.gpu.simulator import Counts, Memory, launch, parse
from lucid.compiler.gpu.simulator.counts import SECTOR
from lucid.compiler.gpu.target import target
from lucid.compiler.ir.artifact import Address
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.loop import Func
from lucid.compiler.order import BLOCK
from lucid.compiler.pipeline import loops
from lucid.gpu import Ptx
from lucid.runtime.llvm import emit_assembly

from .gpu import CASES

ROOT = Path(__file__).parents[1]
REGISTERS = ROOT / "tests" / "golden" / "model_registers.txt"
DOCS = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- model -->\n", "<!-- end of model -->\n"
SMALL = 12  # lines that a branch may skip and become a predicate
# Cycles from one barrier to the next: some 30 of its own, and what one warp does meanwhile that all wait for.
BARRIER = 100
ARRIVAL = 3  # times that a warp waits for the L2 cache to tell that it is the last one: fence, atomic, fence
GAP = 1.5e-6  # seconds from the end of a kernel of a graph to the first instruction of the next one


@data
class Gpu:
    """What a GPU can do, in bytes, seconds and cycles: from its manufacturer, but for `reach`, the latencies
    and `l2_rate`, which are round figures of what others have published."""

    arch: str
    processors: int
    clock: float
    bandwidth: float
    reach: float  # of the bandwidth, by a copy
    latency: float
    l2: int
    l2_rate: float
    l2_latency: float
    warps: int  # that a processor holds, and so on
    blocks: int
    registers: int
    shared: int

    @property
    def memory(self) -> float:
        return self.bandwidth * self.reach

    @property
    def issue(self) -> float:
        """Instructions of warps a second, of one processor."""
        return 4 * self.clock

    @property
    def flops(self) -> float:
        return 2 * 32 * self.issue * self.processors


H100 = Gpu("sm_90", 132, 1.755e9, 3.35e12, 0.92, 600e-9, 50 << 20, 5.5e12, 200e-9, 64, 32, 65536, 227 << 10)


@data
class Asked:
    """A case of `gpu.py`: shapes of two samples; how large they and the case are, in units; the share that it
    must reach."""

    samples: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    units: tuple[int, int, int]
    moved: int  # bytes, if all is read and written once
    must: float
    walk: int = 0  # bytes that a warp touches before it comes back to the first of them


def _flat(n: int, arrays: int, outputs: int, must: float) -> Asked:
    one, two = 36 * BLOCK, 72 * BLOCK  # enough for all launches
    return Asked((((one,),) * arrays, ((two,),) * arrays), (one, two, n), 4 * n * (arrays + outputs), must)


def _rows(rows: int, length: int, must: float) -> Asked:
    return Asked((((4, length),), ((8, length),)), (4, 8, rows), 8 * rows * length, must, 8 * length)


def _linear(rows: int, features: int, must: float) -> Asked:
    one, two = 36 * 256, 72 * 256
    samples = tuple(((features,), (n, features), (n,)) for n in (one, two))
    return Asked(
        (samples[0], samples[1]), (one, two, rows), 4 * rows * (features + 1), must, 128 * (features + 1)
    )


def _product(n: int, must: float) -> Asked:
    first, second = (((rows, n), (n, 64)) for rows in (64, 128))
    return Asked((first, second), (64 * 64, 128 * 64, n * n), 12 * n * n, must)


ASKED = {
    "copy 2^28": _flat(1 << 28, 1, 1, 0.9),
    "huber 10^6": _flat(10**6, 2, 1, 0.9),
    "huber 10^7": _flat(10**7, 2, 1, 0.9),
    "huber 2^28": _flat(1 << 28, 2, 1, 0.9),
    "softmax 65536x1024": _rows(65536, 1024, 0.85),
    "softmax 4096x4096": _rows(4096, 4096, 0.85),
    "layer_norm 65536x1024": _rows(65536, 1024, 0.85),
    "layer_norm 4096x4096": _rows(4096, 4096, 0.85),
    "linear 10^7x16": _linear(10**7, 16, 0.85),
    "transposed 8192x8192": Asked(
        (((64, 256), (256, 64)), ((128, 256), (256, 128))), (64 * 256, 128 * 256, 8192**2), 12 * 8192**2, 0.85
    ),
    "product 1024": _product(1024, 0.7),
    "product 4096": _product(4096, 0.7),
}


# --- what a launch does ---------------------------------------------------------------------------


@data
class Work:
    """Of one launch; each may be a fraction, between two samples and beyond."""

    warps: float
    instructions: float
    fma: float
    read: float  # bytes of global memory
    written: float
    sectors: float  # that its requests touch, and the least number
    least_sectors: float
    passes: float  # over shared memory, and the least number
    least_passes: float
    requests: float  # of warps, to global and shared memory, each as often as it takes 128 bytes
    turns: float  # runs of a stretch of code without a branch that loads from global memory
    single: float  # sectors of loads of one element by all lanes, beyond its bytes
    barriers: float  # of blocks of threads


_LABEL = re.compile(r"(\$L\w+):")
_BRANCH = re.compile(r"\t(@!?%p\d+ )?bra(?:\.uni)? \t(\$L\w+);")


def stretches(text: str) -> dict[int, int]:
    """Of each line of PTX, the stretch of code that it is in: from one branch, label or barrier to the next.
    A branch around a load or two is none, as ptxas makes predicates of these."""
    lines = text.splitlines()
    labels = [_LABEL.match(line) for line in lines]
    branches = [_BRANCH.match(line) for line in lines]
    ends = [n for n in range(len(lines)) if labels[n] or branches[n]]
    small, into = set[int](), defaultdict[str, list[bool]](list)
    for this, after in zip(ends, [*ends[1:], len(lines)], strict=True):
        branch = branches[this]
        if branch is None:
            continue
        after_label, after_branch = (labels[after], branches[after]) if after < len(lines) else (None, None)
        where = branch[2]
        joins = after_label is not None and after_label[1] == where
        turns = after_branch is not None and after_branch[1] is None and after_branch[2] == where
        is_small = branch[1] is not None and (joins or turns) and after - this <= SMALL
        if is_small:
            small |= {this, after} if turns else {this}
        if this not in small or is_small:
            into[where].append(is_small)
    own = {name for name, every in into.items() if all(every)}  # labels that only such branches go to
    found, number, starts, goes = dict[int, int](), 0, dict[str, int](), dict[str, int]()
    for n in range(len(lines)):
        label, branch = labels[n], branches[n]
        if label is not None:
            number += 1
            starts[label[1]] = number
        found[n + 1] = number
        if branch is not None and n in small:
            goes.setdefault(branch[2], number)
        elif branch is not None or lines[n].strip() == "ret;" or lines[n].startswith("\tbar.sync"):
            number += 1
    same = {starts[name]: goes[name] for name in own if name in starts and goes[name] != starts[name]}

    def first(number: int) -> int:
        seen = set[int]()
        while number in same and number not in seen:
            seen.add(number)
            number = same[number]
        return number

    return {n: first(number) for n, number in found.items()}


def work(counts: Counts, text: str) -> Work:
    where, turns = stretches(text), defaultdict[int, int](int)
    requests, single = 0, 0.0
    for access in counts.accesses.values():
        if access.space == "global":
            requests += max(access.requests, access.transactions // 4)
            if access.threads == 32 * access.requests == 32 * access.transactions:
                single += access.transactions - access.bytes / 32 / SECTOR
            if access.opcode.startswith("ld"):
                turns[where[access.line]] = max(turns[where[access.line]], access.requests)
    issued = counts.instructions
    return Work(
        counts.warps,
        sum(issued.values()),
        sum(n for name, n in issued.items() if name.startswith("fma.rn.f32")),
        counts.total("global", "bytes", "ld"),
        counts.total("global", "bytes", "st"),
        counts.total("global", "transactions"),
        sum(min(a.ideal, a.transactions) for a in counts.accesses.values() if a.space == "global"),
        counts.total("shared", "transactions"),
        counts.total("shared", "ideal"),
        requests + counts.total("shared", "transactions"),
        sum(turns.values()),
        single,
        counts.barriers,
    )


@data
class Sample:
    """A case at one size: its program, and what each launch did."""

    program: Ptx
    works: tuple[Work, ...]
    after: tuple[tuple[Func, ...], ...]  # what comes after the blocks of each launch


def sample(f: Callable[..., Any], shapes: tuple[tuple[int, ...], ...]) -> Sample:
    rng = np.random.default_rng(0)
    run: Any = lucid.compile(f, device="ptx-sim")
    run(*(rng.standard_normal(shape, np.float32) for shape in shapes))
    native = run._last().executable.native
    program: Ptx = native.program
    found = map(work, native.counts, (program.modules[step.code.key] for step in program.launches))
    stages = run._last().executable.compiled.stages
    kernels = {
        code.key: tuple(filter(is_after, loops(call.kernel, plan)))
        for call, plan, code in zip(stages.program.calls, stages.schedules, stages.codes, strict=True)
    }
    return Sample(program, tuple(found), tuple(kernels[step.code.key] for step in program.launches))


def after(program: Ptx, step: Launch, func: Func, blocks: int, few: int) -> Work:
    """Of what comes after the blocks, as if it were launched by itself: it has the results of so many blocks
    to combine, not of `few`."""
    memory, buffers = Memory(), program.plan.buffers
    args: list[int | bytes] = []
    for slot, value in zip(func.slots, step.values, strict=True):
        if isinstance(value, Address):
            nbytes = buffers[value.buffer].nbytes
            nbytes = nbytes // few * blocks if slot.name.startswith("part.") else nbytes
            args.append(memory.upload(np.zeros(nbytes // 4, np.float32), slot.name, True))
        else:
            args.append(blocks if slot.name == "blocks" else value)
    text, single = emit_assembly(emit([func]), target(program.arch)), entry(func)
    grid = -(-groups(func) // single.warps) if func.name.endswith(".lanes") else 1
    counts = launch(parse(text), single.name, grid, single.threads, args, memory)
    return replace(work(counts, text), warps=1.0 if grid == 1 else counts.warps)


def at(units: tuple[int, int, int], one: Work, two: Work) -> Work:
    """On the line through two samples."""
    first, second, asked = units
    far = (asked - first) / (second - first)
    names = Work.__annotations__
    return Work(*(a + far * (getattr(two, n) - a) for n in names for a in [getattr(one, n)]))


# --- how long it takes ----------------------------------------------------------------------------


def resident(gpu: Gpu, warps: int, registers: int, shared: int) -> int:
    """Warps that a processor holds of a kernel whose blocks have so many."""
    held = ceil(registers * 32 / 256) * 256 * warps  # registers go out by 256 a warp
    blocks = min(gpu.blocks, gpu.warps // warps, gpu.registers // held, gpu.shared // (shared + 1024))
    return warps * blocks


@data
class Modelled:
    """A launch: seconds by what would take them, warps that a processor holds, bytes that all wait for."""

    work: Work
    registers: int
    resident: int
    flight: float
    moved: float
    seconds: dict[str, float]
    last: float = 0.0  # seconds of what comes after the blocks

    @property
    def bound(self) -> str:
        return max(self.seconds, key=lambda name: self.seconds[name])

    @property
    def total(self) -> float:
        return GAP + max(self.seconds.values()) + self.last


def modelled(
    gpu: Gpu,
    w: Work,
    entry: Entry,
    registers: int,
    moved: float,
    walk: int = 0,
    near: bool = False,
    asked: int = 0,
) -> Modelled:
    """`moved`: bytes if the launch reads and writes what it needs once. What it touches again comes from the
    L2 cache, as far as the walks of all warps at work fit into half of it; so does everything where it is
    `near`. `asked`: bytes of shared memory that the launch asks for. A turn has no more loads under way than
    there are registers."""
    held = resident(gpu, entry.warps, registers, entry.shared + asked)
    many = min(w.warps, held * gpu.processors)
    again = max(0.0, w.read + w.written - moved)
    hit = min(1.0, gpu.l2 / 2 / (many * max(walk, 1)))
    missed = moved + again * (1 - hit)
    blocks = ceil(w.warps / entry.warps)
    busiest = ceil(blocks / gpu.processors) / blocks  # the share of one processor
    far = 0.0 if near else min(1.0, missed / (w.read + w.written))
    latency = far * gpu.latency + (1 - far) * gpu.l2_latency
    turns = max(w.turns, w.read / (registers * 128)) / w.warps
    cycles = 2 * w.instructions / w.warps + BARRIER * w.barriers / blocks
    seconds = {
        "memory": missed / gpu.memory,
        "L2": SECTOR * (w.sectors - w.single) / gpu.l2_rate,
        "issue": w.instructions * busiest / gpu.issue,
        "requests": w.requests * busiest / gpu.clock,
        "latency": w.warps / many * (turns * latency + cycles / gpu.clock),
    }
    return Modelled(w, registers, held, many * w.read / w.warps / max(turns, 1), missed, seconds)


@data
class Row:
    name: str
    asked: Asked
    flops: int
    launches: tuple[Modelled, ...]
    gpu: Gpu

    @property
    def seconds(self) -> float:
        return sum(launch.total for launch in self.launches)

    @property
    def share(self) -> float:
        """Of the rate of fused multiply-adds, or of what a copy reaches."""
        best = self.flops / self.gpu.flops if self.flops else self.asked.moved / self.gpu.memory
        return best / self.seconds


def row(name: str, gpu: Gpu = H100) -> Row:
    function, _, flops = CASES[name]
    asked = ASKED[name]
    one, two = (sample(function, shapes) for shapes in asked.samples)
    table, launches = known(), list[Modelled]()
    every = zip(two.program.launches, one.works, two.works, two.after, strict=True)
    for step, first, second, funcs in every:
        registers = table[f"{name} {step.entry.name}"]
        w = at(asked.units, first, second)
        moved, blocks = min(float(asked.moved), w.read + w.written), planned(step.entry, w)
        found = modelled(gpu, w, step.entry, registers, moved, asked.walk, False, step.shared)
        few, last = planned(step.entry, second), 0.0
        for func in funcs:
            if func.name.endswith(".lanes") and blocks <= func.beyond:
                continue
            rest = after(two.program, step, func, blocks, few)
            parts = rest.read + rest.written
            near = parts < gpu.l2 / 2  # written by the blocks
            alone = modelled(gpu, rest, entry(func), registers, parts, 0, near)
            last += ARRIVAL * gpu.l2_latency + max(alone.seconds.values())
        launches.append(replace(found, last=last))
    return Row(name, asked, flops, tuple(launches), gpu)


def planned(entry: Entry, w: Work) -> int:
    """The blocks of the plan that so many warps do."""
    return ceil(w.warps / entry.warps) * entry.each


# --- registers ------------------------------------------------------------------------------------


def known() -> dict[str, int]:
    """Registers of each entry, by the case's name and its own."""
    lines = REGISTERS.read_text(encoding="utf-8").splitlines()
    return {key: int(registers) for key, registers in (line.rsplit(" ", 1) for line in lines)}


def ptxas() -> str | None:
    spec = find_spec("nvidia")
    folders = spec.submodule_search_locations or () if spec else ()
    return next((str(path) for folder in folders for path in Path(folder).glob("*/bin/ptxas")), None)


def registers(name: str, tool: str, gpu: Gpu = H100) -> dict[str, int]:
    """What ptxas gives to the kernels of a case. AssertionError where it spills."""
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "k.ptx"
        for text in sample(CASES[name][0], ASKED[name].samples[0]).program.modules.values():
            path.write_text(text, encoding="utf-8")
            command = [tool, f"-arch={gpu.arch}", "-v", str(path), "-o", f"{folder}/k.cubin"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            every = re.findall(r"entry function '(\S+)'.*?Used (\d+) registers", said, re.DOTALL)
            assert set(re.findall(r"(\d+) bytes spill", said)) <= {"0"}, said
            found |= {f"{name} {entry}": int(count) for entry, count in every}
    return found


# --- the table ------------------------------------------------------------------------------------

_COLUMNS = (
    *("", "time, µs", "share", "must", "longest launch", "its bound", "registers", "warps a processor"),
    *("in flight, KB", "moved, times the least", "coalesced", "bank conflicts"),
)
_HEAD = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|\n"


def line(found: Row) -> str:
    main = max(found.launches, key=lambda launch: launch.total)
    w = main.work
    number = found.launches.index(main)
    cells = [
        found.name,
        f"{1e6 * found.seconds:,.0f}",
        f"{found.share:.2f}" + ("" if found.share >= found.asked.must else " (short)"),
        f"{found.asked.must}",
        f"{number + 1} of {len(found.launches)}",
        main.bound,
        f"{main.registers}",
        f"{main.resident}",
        f"{main.flight / 1e3:,.0f}",
        f"{sum(x.moved for x in found.launches) / found.asked.moved:.2f}",
        f"{100 * w.least_sectors / w.sectors:.0f} %",
        f"{w.passes - w.least_passes:,.0f}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def table(names: list[str]) -> str:
    return _HEAD + "".join(line(row(name)) for name in names)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_model", description=__doc__)
    parser.add_argument(
        "--registers", action="store_true", help="write the table of registers, too, by ptxas"
    )
    parser.add_argument("--case", nargs="*", choices=ASKED, help="print these alone, with every bound")
    options = parser.parse_args(arguments)
    if options.registers:
        tool = ptxas()
        if tool is None:
            parser.error("ptxas is not here: pip install lucid-compiler[gpu-test]")
        every = {key: n for name in ASKED for key, n in registers(name, tool).items()}
        REGISTERS.write_text("".join(f"{key} {n}\n" for key, n in every.items()), encoding="utf-8")
    if options.case is not None:
        for name in options.case or ASKED:
            found = row(name)
            print(f"{name}: {1e6 * found.seconds:,.1f} us, share {found.share:.2f}")
            for launch in found.launches:
                bounds = ", ".join(f"{bound} {1e6 * t:,.1f}" for bound, t in launch.seconds.items())
                print(f"  {bounds}; after {1e6 * launch.last:,.1f}")
                print(f"  {launch.resident} warps, {launch.registers} registers; {launch.work}")
        return
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(before + BEGIN + "\n" + table(list(ASKED)) + "\n" + END + after, encoding="utf-8")
    print(table(list(ASKED)), end="")


if __name__ == "__main__":
    main()
