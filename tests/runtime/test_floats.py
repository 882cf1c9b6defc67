"""Kernels run with IEEE's defaults, whatever the calling thread has set, and leave that as it was."""

from __future__ import annotations

import ctypes
import platform
import threading
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

import lucid
from lucid.compiler.ir.target import NEOVERSE_N1, ZNVER4
from lucid.runtime import floats, pool
from lucid.runtime.language import compiled
from lucid.runtime.load import native

X86 = platform.machine() in ("x86_64", "AMD64")
FLUSH = 0x8040  # FTZ and DAZ
UP = 0x4000  # rounding upwards

_ACCESS = """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define i32 @word(i32 %value, i32 %write) nounwind {
  %at = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %at)
  %old = load i32, ptr %at
  %no = icmp eq i32 %write, 0
  br i1 %no, label %done, label %set
set:
  store i32 %value, ptr %at
  call void @llvm.x86.sse.ldmxcsr(ptr %at)
  br label %done
done:
  ret i32 %old
}
"""


def word(value: int = 0, write: int = 0) -> int:
    """The control word of this thread, before it became `value`."""
    function = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
    return int(function(native(lambda: _ACCESS, ("word",), key="test_floats")["word"])(value, write))


@pytest.mark.skipif(not X86, reason="reads MXCSR")
@pytest.mark.parametrize("bits", [FLUSH, UP, FLUSH | UP])
@pytest.mark.parametrize("n", [10, 4_000_000])
@pytest.mark.parametrize("native_call", [False, True])
def test_flush_to_zero_of_the_caller_does_not_leak_in(n: int, bits: int, native_call: bool) -> None:
    x = np.full(n, 3e-39, "f")  # denormal
    expected = x * np.float32(0.3)
    f: Any = lucid.compile(lambda x: x * 0.3)
    if native_call:
        for _ in range(3):
            f(x)
    before = word()
    word(before | bits, 1)
    try:
        found = [f(x).numpy() for _ in range(3)]
        now = word()
    finally:
        word(before, 1)
    assert now & 0xFFC0 == (before | bits) & 0xFFC0
    for array in found:
        np.testing.assert_array_equal(array, expected)


@pytest.mark.skipif(not X86, reason="reads MXCSR")
def test_workers_of_a_flushing_thread_do_not_flush() -> None:
    x = np.full(4_000_000, 3e-39, "f")
    failures: list[Any] = []

    def run() -> None:
        before = word()
        word(before | FLUSH, 1)
        try:
            pool.set_num_threads(1)
            pool.set_num_threads(2)  # new workers, started here
            found = (lucid.Tensor(x) * 0.5).numpy()
        finally:
            word(before, 1)
        if not (found == x / 2).all():
            failures.append(found)

    before = pool.get_num_threads()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    pool.set_num_threads(before)
    assert not failures


@pytest.mark.parametrize("target", [NEOVERSE_N1, ZNVER4], ids=lambda t: t.arch)
def test_the_text_assembles(target: Any) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    use = "def f():\n    float_leave(float_enter())\n"
    module = llvm.parse_assembly(compiled(floats.text(target.arch) + use, ("f",), {}, {}))
    module.verify()
    made = llvm.Target.from_triple(target.triple).create_target_machine(cpu=target.cpu)
    code = made.emit_assembly(module).lower()
    assert "fpcr" in code if target.arch == "aarch64" else "mxcsr" in code
