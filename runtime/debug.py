"""Code with debug information, for debuggers and profilers (`LUCID_DEBUG`).

LLVM's own loader puts it where it runs, as that tells gdb of it (GDB's JIT interface). For perf there are two
files: `/tmp/perf-PID.map` has the names of functions; `jit-PID.dump` has their code and lines too, of which
`perf inject --jit` makes object files. It lies in `JITDUMPDIR`, or else where the process works.

A debugger that knows some lines of a file only takes a breakpoint on another one for the next that it knows.
So it is told of all lines of a file, as those of a function that nothing calls, before it is told of a kernel
there.

Source of the formats: Linux, tools/perf/Documentation, jit-interface.txt and jitdump-specification.txt.
"""

from __future__ import annotations

import ast
import ctypes
import linecache
import mmap
import os
import re
import struct
import sys
import threading
import time
from collections.abc import Sequence

from lucid.compiler.ir.data import data

from . import elf, llvm
from .forever import forever
from .host import host

MAGIC, VERSION, HEADER = 0x4A695444, 1, 40
LOAD, DEBUG_INFO = 0, 2
_FILE = re.compile(r'\t\.file\t(\d+) (?:"(.*)" )?"(.*)"')
_LOC = re.compile(r"\t\.loc\t(\d+) (\d+)")
_INSTRUCTION = re.compile(r"\t[a-z]")

# The dump of this process, and the next number of a function in it. A child of a fork has its own.
_open: tuple[int, int] | None = None
_count = 0
_whole: set[str] = set()  # files of which gdb knows all lines


@data
class Function:
    """One that was loaded. `lines`: (bytes from its begin, line, file), in order."""

    name: str
    address: int
    size: int
    lines: tuple[tuple[int, int, str], ...]


def load(text: str, names: tuple[str, ...], told: Sequence[str]) -> dict[str, int]:
    """Addresses of the functions of LLVM `text`, which has debug information. `told`: who is to know of them,
    "gdb", "perf" (names), "jitdump" (names and lines). One thread at a time. RuntimeError if LLVM rejects the
    text, OSError where a file cannot be written."""
    if "gdb" in told:
        for file in dict.fromkeys(re.findall(r'!DIFile\(filename: "(.*?)"', text)):
            if file not in _whole:
                _whole.add(file)
                tell_lines(file, f"lucid.lines.{len(_whole)}")
    assembly = llvm.emit_assembly(text, host())
    addresses = llvm.link_object(llvm.assemble(assembly, host()), names, host())  # as what runs otherwise
    if "perf" in told or "jitdump" in told:
        functions = found(assembly, addresses)
        if "perf" in told:
            name(functions)
        if "jitdump" in told:
            dump(functions)
    return addresses


def tell_lines(file: str, name: str) -> None:
    """Tells gdb of all lines of a file, named as in LLVM text: a function `name` has something at each."""
    path = re.sub(rb"\\([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), file.encode())
    count = len(linecache.getlines(path.decode()))
    if count:
        text = lines_text(file, name, count)
        llvm.link_object(llvm.assemble(llvm.emit_assembly(text, host()), host()), (name,), host())


def lines_text(file: str, name: str, count: int) -> str:
    begin = 6  # the number of the first line's node
    stores = [f"  store volatile i8 0, ptr %p, !dbg !{begin + k}" for k in range(count)]
    nodes = [f"!{begin + k} = !DILocation(line: {1 + k}, scope: !4)" for k in range(count)]
    return "\n".join([
        f"define void @{name}(ptr %p) !dbg !4 {{", *stores, f"  ret void, !dbg !{begin}", "}",
        "!llvm.dbg.cu = !{!2}", "!llvm.module.flags = !{!0}",
        '!0 = !{i32 2, !"Debug Info Version", i32 3}',
        f'!1 = !DIFile(filename: "{file}", directory: "")',
        '!2 = distinct !DICompileUnit(language: DW_LANG_C99, file: !1, producer: "lucid", isOptimized: true, '
        "runtimeVersion: 0, emissionKind: FullDebug)",
        "!3 = !DISubroutineType(types: !{})",
        f'!4 = distinct !DISubprogram(name: "{name}", scope: !1, file: !1, line: 1, type: !3, scopeLine: 1, '
        "spFlags: DISPFlagDefinition | DISPFlagOptimized, unit: !2)",
        *nodes, "",
    ])  # fmt: skip


def found(assembly: str, addresses: dict[str, int]) -> list[Function]:
    """What is defined there, now that it lies at `addresses`."""
    if sys.platform != "linux":
        raise OSError("LUCID_DEBUG: perf is a program of Linux; expected gdb here")
    labelled, told = marked(assembly)
    symbols = elf.symbols(llvm.assemble(labelled, host()))
    places = {s.name: s.value for s in symbols if s.name in told}
    lines = [(places[label], where) for label, where in told.items()]
    return [
        Function(
            f.name, addresses[f.name], f.size,
            tuple((at - f.value, *where) for at, where in lines if f.value <= at < f.value + f.size),
        )
        for f in symbols
        if f.is_function and addresses.get(f.name)
    ]  # fmt: skip


def marked(assembly: str) -> tuple[str, dict[str, tuple[int, str]]]:
    """The same assembly with a label where each line's code begins; line and file of each label."""
    files: dict[str, str] = {}
    told: dict[str, tuple[int, str]] = {}
    made: list[str] = []
    waiting = None  # for the next instruction
    for text in assembly.splitlines():
        if file := _FILE.match(text):
            folder, name = (ast.literal_eval(f'b"{part or ""}"').decode() for part in file.groups()[1:])
            files[file[1]] = os.path.join(folder, name)
        elif (known := _LOC.match(text)) and known[2] != "0":
            waiting = int(known[2]), files[known[1]]
        elif waiting is not None and _INSTRUCTION.match(text):
            made.append(f"line.{len(told)}:")
            told[f"line.{len(told)}"], waiting = waiting, None
        made.append(text)
    return "\n".join(made) + "\n", told


def name(functions: Sequence[Function]) -> None:
    """Adds them to the map of this process, which perf believes if it is the user's own."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    file = os.open(f"/tmp/perf-{os.getpid()}.map", flags, 0o600)
    try:
        os.write(file, "".join(f"{f.address:x} {f.size:x} {f.name}\n" for f in functions).encode())
    finally:
        os.close(file)


def dump(functions: Sequence[Function]) -> None:
    """Adds them to the dump of this process."""
    global _count
    file = _dump_file()
    for f in functions:
        os.write(file, b"".join(records(f, _count, ctypes.string_at(f.address, f.size))))
        _count += 1


def _dump_file() -> int:
    """The dump of this process. A page of it is mapped as code: so perf notes where it lies."""
    global _open, _count
    pid = os.getpid()
    if _open is None or _open[0] != pid:
        path = os.path.join(os.environ.get("JITDUMPDIR", "."), f"jit-{pid}.dump")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(file, header(pid))
        forever(mmap.mmap(file, HEADER, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
        _open, _count = (pid, file), 0
    return _open[1]


def header(pid: int) -> bytes:
    machine = {"x86_64": 62, "aarch64": 183}[host().triple.split("-")[0]]
    return struct.pack("<IIIIIIQQ", MAGIC, VERSION, HEADER, machine, 0, pid, time.monotonic_ns(), 0)


def records(f: Function, number: int, code: bytes) -> list[bytes]:
    """The lines of a function, and then its code."""
    entries = b"".join(
        struct.pack("<QII", f.address + at, line, 0) + file.encode() + b"\0" for at, line, file in f.lines
    )
    told = struct.pack("<QQ", f.address, len(f.lines)) + entries
    here = os.getpid(), threading.get_native_id(), f.address, f.address, f.size, number
    body = struct.pack("<IIQQQQ", *here) + f.name.encode() + b"\0" + code
    found = [(DEBUG_INFO, told)] if f.lines else []
    return [
        struct.pack("<IIQ", kind, 16 + len(rest), time.monotonic_ns()) + rest
        for kind, rest in [*found, (LOAD, body)]
    ]
