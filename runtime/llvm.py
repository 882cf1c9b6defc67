"""LLVM text to machine code: the only module that needs llvmlite to do its work.

llvmlite is imported by the first call, not by `import lucid`: a process whose kernels are all in
the disk cache never needs it (40 ms).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
from collections.abc import Iterator
from typing import Any

from lucid.compiler.ir.target import Target

from . import elf
from .forever import forever

# Instruction selection, scheduling and register allocation run at this level. The text arrives in
# SSA form with explicit vectors, so no IR pass runs: they would cost more than they find.
OPT_LEVEL = 2

# LLVM ends the process where memory runs out. More than a compile takes is asked for before, and given back:
# then it is a MemoryError. (Measured: 20 MiB for the first one, below 16 MiB for a text of 640 KiB.)
RESERVE = 24 << 20
RESERVE_OF_BYTE = 64


@functools.cache
def _binding() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def _foreign() -> None:
    """Machines other than the own are described only where somebody asks for one."""
    _binding().initialize_all_targets()
    _binding().initialize_all_asmprinters()


@functools.lru_cache(maxsize=16)
def _machine(target: Target, flat: bool, level: int) -> Any:
    llvm = _binding()
    if _arch(target.triple) != _arch(llvm.get_process_triple()):
        _foreign()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=level,
        reloc="pic" if flat else "default",
        codemodel="small" if flat else "jitdefault",
    )
    machine.set_asm_verbosity(False)
    return machine


def _reserve(text: str) -> None:
    size = RESERVE + RESERVE_OF_BYTE * len(text)
    try:
        mmap.mmap(-1, size).close()
    except (OSError, ValueError):
        raise MemoryError(f"to compile a kernel may take {size >> 20} MiB, which there are not") from None


def _module(text: str, target: Target, machine: Any) -> Any:
    _reserve(text)
    llvm = _binding()
    # A context of its own: types and constants of a dead module do not pile up in the global one.
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    return module


@contextlib.contextmanager
def _without_search(target: Target) -> Iterator[None]:
    """What is compiled inside, for x86, goes without loop strength reduction.

    It searches for the cheapest addresses of all accesses in a loop, longer than all other passes
    take together. x86 adds base, index and offset in the access itself, so our loops gain nothing. The
    switch is the process's: others who compile find it as it was.
    """
    skip = _arch(target.triple) == "x86_64"
    if skip:
        _binding().set_option("lucid", "-disable-lsr")
    try:
        yield
    finally:
        if skip:
            _binding().set_option("lucid", "-disable-lsr=false")


def _arch(triple: str) -> str:
    return triple.split("-", 1)[0]


def emit_object(text: str, target: Target, flat: bool = False, level: int = OPT_LEVEL) -> bytes:
    """Object file of LLVM `text` for `target`.

    `flat` asks for position-independent code that may be laid out as one image (see `image.py`);
    otherwise it is what LLVM's own loader expects. RuntimeError if the text is malformed. One
    thread at a time.
    """
    machine = _machine(target, flat, level)
    with _without_search(target):
        data: bytes = machine.emit_object(_module(text, target, machine))
    return data


def emit_assembly(text: str, target: Target) -> str:
    """Assembly of LLVM `text` for `target`; else as `emit_object`, with `flat`. Where there is debug
    information, every instruction has a line."""
    machine = _machine(target, True, OPT_LEVEL)
    with _without_search(target):
        listing: str = machine.emit_assembly(_module(text, target, machine))
    from .settled import settled  # few look at assembly

    return settled(listing)


def assemble(text: str, target: Target) -> bytes:
    """Object file of the assembly that `emit_assembly` gives: its code is that of `emit_object` with `flat`.
    RuntimeError if the text is malformed. One thread at a time."""
    _binding().initialize_native_asmparser()
    quoted = "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:02X}" for c in text.encode())
    machine = _machine(target, True, OPT_LEVEL)
    data: bytes = machine.emit_object(_module(f'module asm "{quoted}"', target, machine))
    return data


def link_object(data: bytes, names: tuple[str, ...], target: Target) -> dict[str, int]:
    """Load an object file by LLVM's loader; addresses of `names` (0 for one that is missing).

    Every object gets an engine of its own, so equal names in two objects do not meet. RuntimeError
    if the object needs a function that is not in this process.
    """
    llvm = _binding()
    if os.name == "posix":
        process = ctypes.CDLL(None)
        for name in elf.undefined(data):
            # LLVM would end the process, or leave an address that ends it later.
            if not hasattr(process, name):
                raise RuntimeError(f"there is no function {name} in this process")
            llvm.add_symbol(name, ctypes.cast(process[name], ctypes.c_void_p).value)
    empty = llvm.parse_assembly("", llvm.create_context())
    empty.triple = target.triple
    engine = llvm.create_mcjit_compiler(
        empty,
        llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=OPT_LEVEL, jit=True
        ),
    )
    engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    forever(engine)  # a thread may be inside the code until the process ends
    return {name: engine.get_function_address(name) for name in names}
