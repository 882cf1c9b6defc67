"""Kernels in LLVM text, written by hand, for the tests of the runtime."""

from __future__ import annotations

from lucid.compiler.ir.artifact import Address, Buffer, Code, Launch, Plan
from lucid.compiler.ir.types import f32

ADD = """
define void @add(ptr %slots, i64 %begin, i64 %end) nounwind {
entry:
  %s1 = getelementptr i64, ptr %slots, i64 1
  %s2 = getelementptr i64, ptr %slots, i64 2
  %s3 = getelementptr i64, ptr %slots, i64 3
  %s4 = getelementptr i64, ptr %slots, i64 4
  %x = load ptr, ptr %slots
  %y = load ptr, ptr %s1
  %o = load ptr, ptr %s2
  %n = load i64, ptr %s3
  %b = load i64, ptr %s4
  %lo = mul i64 %begin, %b
  %hi0 = mul i64 %end, %b
  %c = icmp slt i64 %hi0, %n
  %hi = select i1 %c, i64 %hi0, i64 %n
  br label %test
test:
  %i = phi i64 [ %lo, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %body, label %done
body:
  %px = getelementptr float, ptr %x, i64 %i
  %py = getelementptr float, ptr %y, i64 %i
  %po = getelementptr float, ptr %o, i64 %i
  %vx = load float, ptr %px
  %vy = load float, ptr %py
  %v = fadd float %vx, %vy
  store float %v, ptr %po
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}
"""

# Sums blocks of x into `partial`, then `partial` into `out`.
TOTAL = """
define void @total(ptr %slots, i64 %begin, i64 %end) nounwind {
entry:
  %s1 = getelementptr i64, ptr %slots, i64 1
  %s3 = getelementptr i64, ptr %slots, i64 3
  %s4 = getelementptr i64, ptr %slots, i64 4
  %x = load ptr, ptr %slots
  %p = load ptr, ptr %s1
  %n = load i64, ptr %s3
  %b = load i64, ptr %s4
  br label %outer
outer:
  %k = phi i64 [ %begin, %entry ], [ %k1, %store ]
  %left = icmp slt i64 %k, %end
  br i1 %left, label %start, label %done
start:
  %lo = mul i64 %k, %b
  %hi0 = add i64 %lo, %b
  %c = icmp slt i64 %hi0, %n
  %hi = select i1 %c, i64 %hi0, i64 %n
  br label %test
test:
  %i = phi i64 [ %lo, %start ], [ %next, %body ]
  %acc = phi float [ 0.0, %start ], [ %sum, %body ]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %body, label %store
body:
  %px = getelementptr float, ptr %x, i64 %i
  %vx = load float, ptr %px
  %sum = fadd float %acc, %vx
  %next = add i64 %i, 1
  br label %test
store:
  %pp = getelementptr float, ptr %p, i64 %k
  store float %acc, ptr %pp
  %k1 = add i64 %k, 1
  br label %outer
done:
  ret void
}
define void @total.finish(ptr %slots, i64 %begin, i64 %end) nounwind {
entry:
  %s1 = getelementptr i64, ptr %slots, i64 1
  %s2 = getelementptr i64, ptr %slots, i64 2
  %s5 = getelementptr i64, ptr %slots, i64 5
  %p = load ptr, ptr %s1
  %o = load ptr, ptr %s2
  %scale = load float, ptr %s5
  br label %test
test:
  %k = phi i64 [ %begin, %entry ], [ %next, %body ]
  %acc = phi float [ 0.0, %entry ], [ %sum, %body ]
  %more = icmp slt i64 %k, %end
  br i1 %more, label %body, label %done
body:
  %pp = getelementptr float, ptr %p, i64 %k
  %v = load float, ptr %pp
  %sum = fadd float %acc, %v
  %next = add i64 %k, 1
  br label %test
done:
  %r = fmul float %acc, %scale
  store float %r, ptr %o
  ret void
}
"""


def add_code() -> Code:
    return Code(key="test add", name="add", source=ADD, finish=False)


def total_code() -> Code:
    return Code(key="test total", name="total", source=TOTAL, finish=True)


def add_plan(n: int, block: int = 1024) -> Plan:
    """o = x + y over n float32; o may overwrite x."""
    x, y, o = (Buffer(kind, f32, (n,), 4 * n) for kind in ("input", "input", "output"))
    slots = (Address(0), Address(1), Address(2), n, block)
    launch = Launch(add_code(), slots, -(-n // block), 12 * n)
    return Plan((x, y, o), (0, 1), (2,), (0,), (launch,), 0)


def sum_plan(n: int, scale: bytes, block: int = 1024) -> Plan:
    """Two launches: t = x + y, then o = scale * sum(t); o: f32[]."""
    blocks = -(-n // block)
    size = (4 * n + 63) // 64 * 64
    buffers = (
        Buffer("input", f32, (n,), 4 * n),
        Buffer("input", f32, (n,), 4 * n),
        Buffer("output", f32, (), 4),
        Buffer("temp", f32, (n,), 4 * n, 0),
        Buffer("temp", f32, (blocks,), 4 * blocks, size),
    )
    launches = (
        Launch(add_code(), (Address(0), Address(1), Address(3), n, block), blocks, 12 * n),
        Launch(
            total_code(),
            (Address(3), Address(4), Address(2), n, block, scale),
            blocks,
            4 * n,
        ),
    )
    return Plan(buffers, (0, 1), (2,), (-1,), launches, size + 4 * blocks)
