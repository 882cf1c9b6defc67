"""The floating-point control word around native code, (`language.py`).

Another library may have set flush-to-zero in the thread that calls, or in the one that workers were started
by (`torch.set_flush_denormal(True)`, a library built with fast-math). Kernels run with IEEE's defaults: round
to nearest, denormals kept, no traps. `float_enter` sets them where they are not set, and returns what there
was; `float_leave` puts that back.
"""

from __future__ import annotations

# How the word is read and written; its default; the bits that count.
_X86 = (
    """
def stmxcsr(at: ptr): "llvm.x86.sse.stmxcsr"
def ldmxcsr(at: ptr): "llvm.x86.sse.ldmxcsr"
def control() -> i64:
    word = room(i64, 1)
    word[0] = 0
    stmxcsr(word)
    return word[0]
def set_control(value):
    word = room(i64, 1)
    word[0] = value
    ldmxcsr(word)
""",
    8064,
    65472,  # the rest are flags of what has happened
)
_AARCH64 = (
    """
def control() -> i64: "llvm.aarch64.get.fpcr"
def set_control(value): "llvm.aarch64.set.fpcr"
""",
    0,
    -1,
)
_WORDS = {"x86_64": _X86, "aarch64": _AARCH64}

_TEXT = """
def float_enter() -> i64:
    old = control()
    if old & MASK != DEFAULT:
        set_control(DEFAULT)
    return old

def float_leave(before):
    if before & MASK != control() & MASK:
        set_control(before)
"""
_NONE = """
def float_enter() -> i64:
    return 0
def float_leave(before):
    pass
"""


def text(arch: str) -> str:
    """`float_enter()` and `float_leave(before)`. On other architectures they do nothing."""
    if arch not in _WORDS:
        return _NONE
    words, default, mask = _WORDS[arch]
    return words + _TEXT.replace("DEFAULT", str(default)).replace("MASK", str(mask))
