"""`LUCID_DEBUG`: kernels with debug information, and what debuggers and perf are told of them."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import settings
from lucid.compiler.ir.target import ZNVER4
from lucid.compiler.pipeline import lined_codes
from lucid.debugging import readers
from lucid.runtime import debug, elf, image, llvm
from lucid.runtime.host import host
from lucid.runtime.settled import settled

from ..compiler.test_lines import made

pytestmark = pytest.mark.report

linux = pytest.mark.skipif(sys.platform != "linux", reason="perf is a program of Linux")
X, Y = np.linspace(0, 1, 50000, dtype="f").reshape(500, 100), np.linspace(-1, 1, 100, dtype="f")


def loss(x: Any, y: Any) -> Any:
    d = x - y
    return (d * d).sum(axis=1), (x @ x.T).max()


LINE = loss.__code__.co_firstlineno + 1


@pytest.fixture
def dumped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The dump that is written while a test runs."""
    monkeypatch.setenv("LUCID_DEBUG", "jitdump")
    monkeypatch.setenv("JITDUMPDIR", str(tmp_path))
    monkeypatch.setattr(debug, "_open", None)
    yield tmp_path / f"jit-{os.getpid()}.dump"
    if debug._open is not None:
        os.close(debug._open[1])


def text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1


def read(data: bytes) -> tuple[list[tuple[str, int, bytes]], dict[int, list[tuple[int, int, str]]]]:
    """A dump by the specification: functions (name, address, code), and lines by the address of their
    function."""
    magic, version, size, machine, _, pid, _, flags = struct.unpack_from("<IIIIIIQQ", data)
    assert (magic, version, size, pid, flags) == (0x4A695444, 1, 40, os.getpid(), 0) and machine in (62, 183)
    functions: list[tuple[str, int, bytes]] = []
    lines: dict[int, list[tuple[int, int, str]]] = {}
    at = size
    while at < len(data):
        kind, length, _ = struct.unpack_from("<IIQ", data, at)
        body, at = data[at + 16 : at + length], at + length
        if kind == 2:
            address, count = struct.unpack_from("<QQ", body)
            place, found = 16, []
            for _ in range(count):
                where, line, _ = struct.unpack_from("<QII", body, place)
                file, place = text(body, place + 16)
                found.append((where, line, file))
            assert place == len(body)
            lines[address] = found
        else:
            assert kind == 0
            own, _, virtual, address, size, index = struct.unpack_from("<IIQQQQ", body)
            name, start = text(body, 40)
            assert (own, virtual, index, size) == (os.getpid(), address, len(functions), len(body) - start)
            functions.append((name, address, body[start:]))
    assert at == len(data)
    return functions, lines


@linux
def test_jitdump_has_names_code_and_lines(dumped: Path) -> None:
    f = lucid.compile(loss)
    found = [out.numpy() for out in f(X, Y)]
    functions, lines = read(dumped.read_bytes())
    assert {name for name, _, _ in functions} >= {k.name for k in f.kernels}
    for _, address, code in functions:
        assert len(code) > 16 and ctypes.string_at(address, len(code)) == code
        places = [where for where, _, _ in lines[address]]
        assert places == sorted(places) and address <= places[0] <= places[-1] < address + len(code)
    told = {(line, os.path.basename(file)) for one in lines.values() for _, line, file in one}
    assert {(LINE, "test_debugging.py"), (LINE + 1, "test_debugging.py")} <= told
    assert all(os.path.isabs(file) for one in lines.values() for _, _, file in one)
    assert str(f.explain()) and f.profile(X, Y).kernels
    for out, plain in zip(found, lucid.compile(loss)(X, Y), strict=True):
        np.testing.assert_array_equal(out, plain.numpy())


@linux
def test_kernels_of_one_text_have_code_for_each_place(dumped: Path) -> None:
    def first(x: Any) -> Any:
        return (x * x).sum()

    def second(x: Any) -> Any:
        return (x * x).sum()

    for f in (lucid.compile(first), lucid.compile(second)):
        f(X)
    functions, lines = read(dumped.read_bytes())
    assert len(functions) == len({address for _, address, _ in functions}) == 4  # two, and what finishes
    told = [{line for _, line, _ in one} for one in lines.values()]
    assert all(len(one & {f.__code__.co_firstlineno + 1 for f in (first, second)}) == 1 for one in told)


@linux
def test_map_of_perf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_DEBUG", "perf")
    path = f"/tmp/perf-{os.getpid()}.map"
    try:
        f = lucid.compile(lambda x: (x * 3).exp().sum())
        f(X)
        (kernel,) = f.kernels
        with open(path) as file:
            rows = [line.split() for line in file]
        address, size = next(row[:2] for row in rows if row[2] == kernel.name)
        assert int(address, 16) > 0 and int(size, 16) > 16
        assert os.stat(path).st_mode & 0o777 == 0o600
    finally:
        os.unlink(path)


def _raw(assembly: str) -> list[tuple[str, int]]:
    """Each instruction, with the line that the debug information of an assembler would have."""
    found, line = [], 0
    for text in assembly.splitlines():
        if known := re.match(r"\t\.loc\t\d+ (\d+)", text):
            line = int(known[1])
        elif re.match(r"\t[a-z]", text):
            found.append((text, line))
    return found


def test_what_llvm_adds_has_the_line_of_what_needs_it() -> None:
    """Of a product: the zeros that its sums begin with, addresses that are kept on the stack."""
    f = lucid.compile(lambda x: lucid.nn.functional.gelu(x @ x.T))
    f(X)
    inside = f._last().executable.compiled  # type: ignore[union-attr]
    ((code, _),) = lined_codes(inside, host())
    assembly = llvm.emit_assembly(code.llvm, host())
    raw = _raw(assembly)
    own = test_what_llvm_adds_has_the_line_of_what_needs_it.__code__.co_firstlineno + 2
    assert len(raw) > 500 and {line for _, line in raw} == {own}
    labelled, told = debug.marked(assembly)
    made = llvm.assemble(labelled, host())
    assert {line for line, _ in told.values()} == {own}
    assert {s.value for s in elf.symbols(made) if s.name == "line.0"} == {0}
    if image.supported():
        assert elf.link(made).data == elf.link(llvm.emit_object(code.llvm, host(), True)).data


def test_lines_that_are_settled() -> None:
    """The next one of the block; at its end, or where there is none, the one before."""
    given = """\
f:
\tpush
\t.loc\t1 7 2 prologue_end
\tload
\t.loc\t1 0 2
\tzero
\t.loc\t1 9 3
\tadd
.LBB0_1:
\t.loc\t1 0 3
\tspill
\tjmp
.LBB0_2:
\tzero
.Ltmp3:
\t.loc\t1 8 4
\tmul
"""
    told = [
        ("push", 0),
        ("load", 7),
        ("zero", 9),
        ("add", 9),
        ("spill", 9),
        ("jmp", 9),
        ("zero", 8),
        ("mul", 8),
    ]
    assert [(text.strip(), line) for text, line in _raw(settled(given))] == told
    plain = "f:\n\n\tpush\n"
    assert settled(plain) == plain


def test_who_is_no_reader_is_told_nothing() -> None:
    assert readers("lldb") == () and readers("perf, lldb,gdb") == ("gdb", "perf")
    said = "LUCID_DEBUG: expected some of gdb, perf, jitdump, not 'gdb,lldb'"
    assert (
        settings.wrong("LUCID_DEBUG", "gdb,lldb") == said
        and settings.wrong("LUCID_DEBUG", "gdb, perf") is None
    )


@linux
def test_lines_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a reader of its debug information finds."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    import io

    monkeypatch.setattr(debug, "host", lambda: ZNVER4)
    _, _, code, _ = made("rows", ZNVER4)
    assembly = llvm.emit_assembly(code.llvm, ZNVER4)
    data = llvm.assemble(assembly, ZNVER4)
    (function,) = debug.found(assembly, {s.name: s.value + 4096 for s in elf.symbols(data) if s.is_function})
    assert (function.name, function.address) == ("t", 4096)
    info = elffile.ELFFile(io.BytesIO(data)).get_dwarf_info()
    (unit,) = info.iter_CUs()
    states = [entry.state for entry in info.line_program_for_CU(unit).get_entries() if entry.state]
    wanted = {s.address: s.line for s in states if s.line and not s.end_sequence}
    assert [(address, line) for address, line, _ in function.lines] == sorted(wanted.items())
    assert {file for _, _, file in function.lines} <= {"/home/u/model.py", "/home/u/train.py"}


def test_names_of_files_as_an_assembler_has_them() -> None:
    given = '\t.file\t3 "/a b" "\\303\\274\\"x.py"\n\t.loc\t3 7 0\n\tnop\n\t.loc\t3 0 0\n\tnop\n'
    assert debug.marked(given)[1] == {"line.0": (7, '/a b/\u00fc"x.py')}


@pytest.mark.sweep
@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not there")
def test_gdb_stops_at_the_user_s_line(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        "import numpy as np\nimport lucid\n\n\ndef part(x):\n    d = x - 1\n    return d * d\n\n\n"
        "@lucid.compile\ndef step(x):\n    return part(x).sum()\n\n\n"
        "print(lucid.ones(4) + 1, lucid.compile(lambda x: x * 3)(np.ones(4)))  # lines after the breakpoint\n"
        "print(step(np.ones(1000, 'f')).item())\n"
    )
    command = ["gdb", "-q", "-batch", "-nx", "-ex", "set breakpoint pending on", "-ex", f"break {program}:6"]
    command += ["-ex", "run", "-ex", "bt 3", "--args", sys.executable, str(program)]
    env = {**os.environ, "LUCID_DEBUG": "gdb", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    stack = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert "part () at" in stack[0] and stack[0].endswith("train.py:6"), done.stdout + done.stderr
    assert "step () at" in stack[1] and stack[1].endswith("train.py:12")
    assert "sum () at" in stack[2]
