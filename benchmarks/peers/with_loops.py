"""The machine's limit: plain native loops that move the bytes of a case and compute next to nothing.

    for i: s = in0[i] + in1[i] + ...; out0[i] = s; out1[i] = s; ...

Written as LLVM text, 64 bytes at a time, four at once, in blocks that the threads share. The limit is the
fastest of several: with plain stores, with stores that go around the cache, with software that
asks for what comes a page later (a read alone is up to a quarter faster by that on a Zen 4; a copy is
not), and with one contiguous part for each thread. Beside it stand a copy and a read of arrays that
no cache holds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lucid.compiler.ir.artifact import Address, Buffer, Code, Launch, Plan
from lucid.compiler.ir.types import f32
from lucid.runtime import memory
from lucid.runtime.execute import Executable
from lucid.runtime.pool import get_num_threads

from ..contender import Array, Contender, Offer, Problem

PACKAGES = ("llvmlite",)

LANES, UNROLL = 16, 4
STEP = LANES * UNROLL  # elements for each turn of the loop
LARGE = 1 << 25  # elements of an array that no cache holds
BLOCK = 16384  # elements for each block: 64 KiB of every array
AHEAD = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Style:
    """How a loop is written: stores that go around the cache, software prefetch, and blocks or one
    part for each thread."""

    streaming: bool = False
    ahead: bool = False
    halves: bool = False


def text(reads: int, writes: int, style: Style) -> str:
    """`mix(slots, begin, end)` with slots: steps, steps of a block, sink, inputs, outputs."""
    hint = ", !nontemporal !0" if style.streaming else ""
    arrays = [f"in{k}" for k in range(reads)] + [f"out{k}" for k in range(writes)]
    head = []
    for k, name in enumerate(["steps", "block", "sink", *arrays]):
        kind = "i64" if k < 2 else "ptr"
        head += [
            f"  %{name}.at = getelementptr i64, ptr %slots, i64 {k}",
            f"  %{name} = load {kind}, ptr %{name}.at",
        ]
    body, sums = [], []
    for u in range(UNROLL):
        body.append(f"  %e{u} = add i64 %element, {u * LANES}")
        found = ""
        for k in range(reads):
            body += [
                f"  %p{u}.{k} = getelementptr float, ptr %in{k}, i64 %e{u}",
                f"  %v{u}.{k} = load <16 x float>, ptr %p{u}.{k}, align 64",
            ]
            if style.ahead:
                body += [
                    f"  %f{u}.{k} = getelementptr i8, ptr %p{u}.{k}, i64 {AHEAD}",
                    f"  call void @llvm.prefetch.p0(ptr %f{u}.{k}, i32 0, i32 3, i32 1)",
                ]
            if k:
                body.append(f"  %s{u}.{k} = fadd <16 x float> {found}, %v{u}.{k}")
            found = f"%s{u}.{k}" if k else f"%v{u}.{k}"
        for k in range(writes):
            body += [
                f"  %q{u}.{k} = getelementptr float, ptr %out{k}, i64 %e{u}",
                f"  store <16 x float> {found}, ptr %q{u}.{k}, align 64{hint}",
            ]
        body.append(f"  %a{u}.new = fadd <16 x float> %a{u}, {found}")
        sums.append(f"  %a{u} = phi <16 x float> [ zeroinitializer, %entry ], [ %a{u}.new, %body ]")
    if writes:  # nobody needs the sums: what was read is written
        body = [line for line in body if ".new = " not in line]
        sums = []
    tail = []
    for u in range(UNROLL if not writes else 0):
        tail += [
            f"  %z{u}.at = getelementptr <16 x float>, ptr %mine, i64 {u}",
            f"  store <16 x float> %a{u}, ptr %z{u}.at, align 64",
        ]
    lines = [
        "define void @mix(ptr %slots, i64 %begin, i64 %end) nounwind {",
        "entry:",
        *head,
        "  %from = mul i64 %begin, %block",
        "  %there = mul i64 %end, %block",
        "  %within = icmp slt i64 %there, %steps",
        "  %to = select i1 %within, i64 %there, i64 %steps",
        f"  %row = mul i64 %begin, {STEP}",
        "  %mine = getelementptr float, ptr %sink, i64 %row",
        "  br label %loop",
        "loop:",
        "  %step = phi i64 [ %from, %entry ], [ %next, %body ]",
        *sums,
        "  %more = icmp slt i64 %step, %to",
        "  br i1 %more, label %body, label %done",
        "body:",
        f"  %element = mul i64 %step, {STEP}",
        *body,
        "  %next = add i64 %step, 1",
        "  br label %loop",
        "done:",
        *tail,
        *(["  fence seq_cst"] if style.streaming else []),
        "  ret void",
        "}",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
        "!0 = !{i32 1}",
    ]
    return "\n".join(lines) + "\n"


def _loop(problem: Problem, style: Style) -> Contender:
    """Over n elements of each array; NotImplementedError for streaming stores where nothing is stored."""
    n, reads, writes = (int(problem.params[k]) for k in ("n", "reads", "writes"))
    in_place = problem.params["in_place"]
    if style.streaming and not writes:
        raise NotImplementedError
    steps = -(-n // STEP)
    block = -(-steps // get_num_threads()) if style.halves else BLOCK // STEP
    blocks = -(-steps // block)
    count = reads + (0 if in_place else writes)
    arrays = _arrays(count, steps * STEP)
    sink = memory.array((blocks * STEP,), np.dtype(np.float32))
    # In place, output k is input reads - writes + k: what is updated comes after what is only read.
    first = reads - writes if in_place else reads
    source = text(reads, writes, style)
    slots = [Address(k) for k in (count, *range(reads), *range(first, first + writes))]
    code = Code(source, "mix", source, False)
    plan = Plan(
        buffers=tuple(Buffer("input", f32, a.shape, a.nbytes) for a in (*arrays, sink)),
        inputs=tuple(range(count + 1)),
        outputs=(),
        aliases=(),
        launches=(Launch(code, (steps, block, *slots), blocks, 4 * n * count),),
        temp_bytes=0,
    )
    return Contender(Executable(plan), ([*arrays, sink],), lambda out: {})


@functools.lru_cache(maxsize=3)
def _arrays(count: int, size: int) -> tuple[Array, ...]:
    """Zeros. The loops of a case work on the same arrays."""
    found = tuple(memory.array((size,), np.dtype(np.float32)) for _ in range(count))
    for array in found:
        array[:] = 0
    return found


def _own(style: Style) -> Callable[[Problem], Contender]:
    """The arrays of the case itself."""

    def maker(problem: Problem) -> Contender:
        return _loop(problem, style)

    return maker


def _large(reads: int, writes: int, style: Style) -> Callable[[Problem], Contender]:
    """Large arrays, as if it were the bytes of the case."""

    def maker(problem: Problem) -> Contender:
        own = problem.params
        params = {"n": LARGE, "reads": reads, "writes": writes, "in_place": False}
        found = _loop(replace(problem, params=params), style)
        scale = own["n"] * (own["reads"] + own["writes"]) / (LARGE * (reads + writes))
        return replace(found, scale=scale)

    return maker


OFFERS: Mapping[str, Offer] = {
    "mix": {
        "limit, plain": _own(Style()),
        "limit, prefetched": _own(Style(ahead=True)),
        "limit, in halves": _own(Style(halves=True)),
        "limit, streaming": _own(Style(streaming=True)),
        "limit, streaming, in halves": _own(Style(streaming=True, halves=True)),
        "copy, plain": _large(1, 1, Style()),
        "copy, streaming": _large(1, 1, Style(streaming=True)),
        "read, prefetched": _large(1, 0, Style(ahead=True)),
    }
}
