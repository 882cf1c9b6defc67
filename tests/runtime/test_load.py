"""From LLVM text to addresses."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lucid.compiler.ir.artifact import Code
from lucid.runtime import elf, image, llvm, load
from lucid.runtime.host import host

from .handwritten import add_code

CONSTANT = "define i64 @NAME(i64 %x) nounwind {{\n  %r = add i64 %x, {}\n  ret i64 %r\n}}\n"


def constant(value: int, name: str = "constant") -> str:
    return CONSTANT.format(value).replace("NAME", name)


def call(address: int, x: int) -> int:
    result: int = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(x)
    return result


def test_one_compile_per_key() -> None:
    # A text that no earlier run can have left in the cache.
    text = constant(int.from_bytes(os.urandom(4), "little"))
    code = Code(key=text, name="constant", source=text, finish=False)
    before = load.compiles()
    loaded = [load.load(code) for _ in range(3)]
    assert load.compiles() == before + 1
    assert len(set(loaded)) == 1 and loaded[0].finish == 0


def test_many_threads_ask_for_one_code() -> None:
    text = constant(int.from_bytes(os.urandom(4), "little"))
    code = Code(key=text, name="constant", source=text, finish=False)
    before, found = load.compiles(), []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(load.load(code))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    assert load.compiles() == before + 1


def test_equal_names_do_not_clash() -> None:
    first = load.native(constant(1), ("constant",))["constant"]
    second = load.native(constant(2), ("constant",))["constant"]
    assert (call(first, 10), call(second, 10)) == (11, 12)


def test_malformed_text() -> None:
    with pytest.raises(RuntimeError, match=r"parsing error|expected"):
        load.load(Code(key="bad", name="bad", source="define void @bad( {", finish=False))


@pytest.mark.parametrize("name", ["other", "constant.finish"])
def test_a_missing_function(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"does not define {name}"):
        load.native(constant(3), ("constant", name))


def test_assembly_is_text() -> None:
    assert "add:" in load.assembly(add_code())


# --- images --------------------------------------------------------------------------------------

RICH = """
@table = private constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0], align 32
@zeros = private constant [4 x i64] zeroinitializer, align 16
define double @table.at(i64 %i) nounwind {
  %p = getelementptr double, ptr @table, i64 %i
  %v = load double, ptr %p
  %r = fmul double %v, 3.25
  ret double %r
}
define double @remainder(double %x, double %y) nounwind {
  %r = frem double %x, %y
  %s = call double @helper(double %r)
  ret double %s
}
define internal double @helper(double %x) noinline nounwind {
  %r = fadd double %x, 0.125
  ret double %r
}
define i64 @choose(i64 %i) nounwind {
entry:
  switch i64 %i, label %other [ i64 0, label %a
    i64 1, label %b
    i64 2, label %c
    i64 3, label %d
    i64 4, label %e ]
a: ret i64 10
b: ret i64 3
c: ret i64 777
d: ret i64 -5
e: ret i64 4
other: ret i64 0
}
"""

needs_images = pytest.mark.skipif(not image.supported(), reason="no images on this system")


def check_rich(found: dict[str, int]) -> None:
    number = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(found["table.at"])
    assert [number(i) for i in range(4)] == [3.25, 6.5, 13.0, 26.0]
    double = ctypes.c_double
    remainder = ctypes.CFUNCTYPE(double, double, double)(found["remainder"])
    assert remainder(7.5, 2.0) == 1.625 and remainder(-7.5, 2.0) == -1.375
    assert [call(found["choose"], i) for i in range(6)] == [10, 3, 777, -5, 4, 0]


@needs_images
def test_image_with_constants_jump_table_and_imports() -> None:
    linked = elf.link(llvm.emit_object(RICH, host(), flat=True))
    assert set(linked.symbols) == {"table.at", "remainder", "choose"}
    assert set(linked.imports) == {"fmod"}
    assert image.unpack(image.pack(linked)) == linked
    check_rich(image.place(linked))


def test_the_same_by_the_loader_of_llvm() -> None:
    names = ("table.at", "remainder", "choose")
    check_rich(llvm.link_object(llvm.emit_object(RICH, host()), names, host()))


@needs_images
def test_without_images_everything_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "supported", lambda: False)
    monkeypatch.setattr(load, "disk", lambda: None)
    assert call(load.native(constant(9), ("constant",))["constant"], 1) == 10


@needs_images
def test_what_an_image_cannot_hold() -> None:
    writable = "@cell = global i64 7\ndefine i64 @f() {\n %v = load i64, ptr @cell\n ret i64 %v\n}"
    with pytest.raises(elf.Unsupported):
        elf.link(llvm.emit_object(writable, host(), flat=True))
    found = load.native(writable, ("f",))  # goes to LLVM's loader
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(found["f"])() == 7


@needs_images
def test_a_function_that_does_not_exist() -> None:
    text = """declare void @no_such_function()
    define void @f() {
      call void @no_such_function()
      ret void
    }"""
    with pytest.raises(RuntimeError, match="no_such_function"):
        load.native(text, ("f",))


@needs_images
@pytest.mark.parametrize("cut", [0, 3, 16, 63, 64, 200, -1])
def test_a_malformed_object(cut: int) -> None:
    data = llvm.emit_object(RICH, host(), flat=True)
    with pytest.raises(elf.Unsupported):
        elf.link(data[:cut])


@needs_images
def test_every_damaged_image_is_rejected_or_whole() -> None:
    packed = image.pack(elf.link(llvm.emit_object(RICH, host(), flat=True)))
    for length in range(len(packed)):
        with pytest.raises(ValueError, match=r"not an image|outside"):
            image.unpack(packed[:length])


@needs_images
def test_code_is_never_writable_and_executable() -> None:
    address = load.native(constant(4), ("constant",))["constant"]
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(x, 16) for x in line.split()[0].split("-"))
        if low <= address < high:
            assert line.split()[1] == "r-xp"
            return
    raise AssertionError("the code is not mapped")


def test_a_warm_process_does_not_load_llvm(tmp_path: Path) -> None:
    if not image.supported():
        pytest.skip("LLVM's loader is the only one here")
    program = """
import sys
from lucid.runtime import load
from tests.runtime.handwritten import add_code
load.load(add_code())
print(load.compiles(), "llvmlite.binding" in sys.modules)
"""
    environ = os.environ | {"LUCID_CACHE_DIR": str(tmp_path / "cache")}
    environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    said = [
        subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert said == [["1", "True"], ["0", "False"]]


LITTLE_MEMORY = """
import re, resource, sys
from lucid.compiler.ir.artifact import Code
from lucid.runtime import llvm, load
from lucid.runtime.host import host
if sys.argv[2:]:
    llvm._reserve = lambda text: None
llvm._machine(host(), True, 2)
load.disk = lambda: None
def code(name, lines):
    body = [f"%x{k + 1} = mul i64 %x{k}, %x{k // 2}" for k in range(lines)]
    text = "define void @NAME(ptr %s, i64 %x0, i64 %e) {" + "\\n".join(body) + "\\nret void }"
    return Code(name, name, text.replace("NAME", name), False)
load.load(code("small", 3))
unlimited = resource.RLIM_INFINITY
size = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]), unlimited))
try:
    load.load(code("large", 20_000))
    print("compiled")
except MemoryError as error:
    resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))
    print(error)
    load.load(code("large", 20_000))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits on the size of a process")
@pytest.mark.parametrize("room", [0, 1 << 20, 8 << 20, 256 << 20])
def test_a_compile_without_memory_ends_the_process(room: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, str(room)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = {8 << 20: "to compile a kernel may take", 256 << 20: "compiled"}
    assert said.get(room, "") in done.stdout  # with less, Python itself may lack memory before
