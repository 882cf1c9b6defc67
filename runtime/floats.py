"""The floating-point control word around native code, as LLVM text.

Another library may have set flush-to-zero in the thread that calls, or in the one that workers were started
by (`torch.set_flush_denormal(True)`, a library built with fast-math). Kernels run with IEEE's defaults: round
to nearest, denormals kept, no traps. `@float.enter` sets them where they are not set, and returns what there
was; `@float.leave` puts that back.
"""

from __future__ import annotations

# How the word is declared, read (into %old), and written (from VALUE); its default; the bits that count.
_X86 = (
    "declare void @llvm.x86.sse.stmxcsr(ptr)\ndeclare void @llvm.x86.sse.ldmxcsr(ptr)",
    """  %at = alloca i64
  store i64 0, ptr %at
  call void @llvm.x86.sse.stmxcsr(ptr %at)
  %old = load i64, ptr %at
  %control = and i64 %old, MASK""",
    """  store i64 VALUE, ptr %at
  call void @llvm.x86.sse.ldmxcsr(ptr %at)""",
    "8064",
    "65472",  # the rest are flags of what has happened
)
_AARCH64 = (
    "declare i64 @llvm.aarch64.get.fpcr()\ndeclare void @llvm.aarch64.set.fpcr(i64)",
    "  %old = call i64 @llvm.aarch64.get.fpcr()\n  %control = and i64 %old, MASK",
    "  call void @llvm.aarch64.set.fpcr(i64 VALUE)",
    "0",
    "-1",
)
_WORDS = {"x86_64": _X86, "aarch64": _AARCH64}

_TEXT = """
DECLARE
define internal i64 @float.enter() nounwind {
entry:
READ
  %plain = icmp eq i64 %control, DEFAULT
  br i1 %plain, label %done, label %set
set:
SET
  br label %done
done:
  ret i64 %old
}

define internal void @float.leave(i64 %before) nounwind {
entry:
READ
  %was = and i64 %before, MASK
  %same = icmp eq i64 %was, %control
  br i1 %same, label %done, label %back
back:
BACK
  br label %done
done:
  ret void
}
"""
_NONE = """
define internal i64 @float.enter() nounwind {
  ret i64 0
}
define internal void @float.leave(i64 %before) nounwind {
  ret void
}
"""


def text(arch: str) -> str:
    """LLVM text of `i64 @float.enter()` and `void @float.leave(i64)`. On other architectures they do
    nothing."""
    if arch not in _WORDS:
        return _NONE
    declare, read, write, default, mask = _WORDS[arch]
    parts = {
        "DECLARE": declare,
        "READ": read,
        "SET": write.replace("VALUE", default),
        "BACK": write.replace("VALUE", "%before"),
        "DEFAULT": default,
        "MASK": mask,
    }
    result = _TEXT
    for name, part in parts.items():
        result = result.replace(name, part)
    return result
