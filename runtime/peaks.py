"""What this machine can do at most, measured: bytes a second from memory and from a cache, and
multiply-adds.

Native loops of vectors, run as kernels are: the same threads share their blocks. The best of several runs
counts; each number is measured once in a process, in some 10 to 100 ms, when somebody asks for it."""

from __future__ import annotations

import functools
import time

import numpy as np

from lucid.compiler.ir.artifact import Address, Buffer, Code, Launch, Plan
from lucid.compiler.ir.types import f32

from . import execute, memory
from .host import host
from .runner import PARALLEL_BYTES

BLOCK_BYTES = 32 << 10
LEAST, MOST = 2 * BLOCK_BYTES, 64 << 20  # bytes that are read; no cache of a core's share holds the most
TURN = 4 << 20  # bytes of one measurement, or more
RUNS = 7
CHAINS = 12  # of multiply-adds that do not wait for each other: as many registers as AVX2 has, less a few
STEPS = 1 << 14
FMA_BLOCKS = 64


def _vector() -> tuple[str, int]:
    """LLVM's type of a vector of float32 that fills a register, and its bytes."""
    nbytes = host().vector_bytes
    return f"<{nbytes // 4} x float>", nbytes


def _text(name: str, chains: int, start: str, turn: str, step: int, most: int, entry: str, block: str) -> str:
    """Native code of one kind of blocks: in turns, `step` by `step` up to `most`, each of so many values %a0,
    ... becomes %b0, ...; their sum is stored, so that they are needed. `entry` and `block` come before."""
    kind, nbytes = _vector()
    phis = "\n".join(f"  %a{k} = phi {kind} [ {start}, %block ], [ %b{k}, %loop ]" for k in range(chains))
    sums = "\n".join(f"  %s{k + 1} = fadd {kind} %s{k}, %b{k}" for k in range(chains))
    return f"""
declare {kind} @llvm.fma({kind}, {kind}, {kind})
define void @{name}(ptr %slots, i64 %begin, i64 %end) {{
entry:
  %from = load ptr, ptr %slots
  %at.to = getelementptr i64, ptr %slots, i64 1
  %to = load ptr, ptr %at.to
{entry}
  br label %block
block:
  %n = phi i64 [ %begin, %entry ], [ %n.next, %done ]
{block}
  br label %loop
loop:
  %i = phi i64 [ 0, %block ], [ %i.next, %loop ]
{phis}
{turn}
  %i.next = add i64 %i, {step}
  %more = icmp ult i64 %i.next, {most}
  br i1 %more, label %loop, label %done
done:
  %s0 = fadd {kind} zeroinitializer, zeroinitializer
{sums}
  %out.byte = mul i64 %n, {nbytes}
  %out = getelementptr i8, ptr %to, i64 %out.byte
  store {kind} %s{chains}, ptr %out, align 4
  %n.next = add i64 %n, 1
  %again = icmp ult i64 %n.next, %end
  br i1 %again, label %block, label %end.all
end.all:
  ret void
}}
"""


def _fma_text() -> str:
    """Each block: STEPS times CHAINS multiply-adds."""
    kind, nbytes = _vector()
    entry = f"""  %start = load {kind}, ptr %from, align 4
  %at.f = getelementptr i8, ptr %from, i64 {nbytes}
  %f = load {kind}, ptr %at.f, align 4"""
    call = f"call {kind} @llvm.fma({kind} %a{{0}}, {kind} %f, {kind} %start)"
    turn = "\n".join(f"  %b{k} = {call.format(k)}" for k in range(CHAINS))
    return _text("peak_fma", CHAINS, "%start", turn, 1, STEPS, entry, "")


def _read_text() -> str:
    """Each block: BLOCK_BYTES are read, eight vectors a turn."""
    kind, nbytes = _vector()
    loads = "\n".join(
        f"  %p{k} = getelementptr i8, ptr %here, i64 {k * nbytes}\n"
        f"  %v{k} = load {kind}, ptr %p{k}, align 4\n  %b{k} = fadd {kind} %a{k}, %v{k}"
        for k in range(8)
    )
    here = "  %byte = add i64 %first, %i\n  %here = getelementptr i8, ptr %from, i64 %byte\n"
    first = f"  %first = mul i64 %n, {BLOCK_BYTES}"
    return _text("peak_read", 8, "zeroinitializer", here + loads, 8 * nbytes, BLOCK_BYTES, "", first)


def _run(name: str, text: str, inputs: int, blocks: int, threads: int, repeats: int = 1) -> float:
    """The least seconds of one run over an input of so many bytes."""
    _, nbytes = _vector()
    code = Code(f"peak\n{host().key}\n{text}", name, text, False)
    counts = inputs // 4, blocks * nbytes // 4
    buffers = (
        Buffer("input", f32, (counts[0],), inputs),
        Buffer("output", f32, (counts[1],), 4 * counts[1]),
    )
    work = max(inputs, PARALLEL_BYTES)
    launch = Launch(code, (Address(0), Address(1)), blocks, work)
    plan = Plan(buffers, (0,), (1,), (-1,), (launch,) * repeats, 0)
    run = execute.Executable(plan)
    source = memory.array((counts[0],), np.dtype("f4"))
    source.fill(0.5)
    target = [np.empty(counts[1], "f4")]
    best = float("inf")
    for _ in range(RUNS + 1):  # the first one wakes threads, and the frequency
        began = time.perf_counter()
        run([source], target, threads)
        best = min(best, time.perf_counter() - began)
    return best / repeats


def bandwidth(nbytes: int, threads: int) -> float:
    """Bytes a second that at most `threads` threads read of an array of about `nbytes` (the next power of
    two), again and again: from memory where no cache holds it, else from the cache that does."""
    size = min(max(LEAST, 1 << max(nbytes - 1, 0).bit_length()), MOST)
    return max(_bandwidth(size, n) for n in {1, threads})


@functools.cache
def _bandwidth(size: int, threads: int) -> float:
    repeats = max(1, TURN // size)
    return size / _run("peak_read", _read_text(), size, size // BLOCK_BYTES, threads, repeats)


def multiply_adds(threads: int) -> float:
    """Operations on float32 a second of at most `threads` threads that do nothing else; a multiply-add is
    two."""
    return max(_multiply_adds(n) for n in {1, threads})


@functools.cache
def _multiply_adds(threads: int) -> float:
    _, nbytes = _vector()
    blocks = FMA_BLOCKS * threads
    seconds = _run("peak_fma", _fma_text(), 2 * nbytes, blocks, threads)
    return 2 * CHAINS * STEPS * blocks * (nbytes // 4) / seconds
