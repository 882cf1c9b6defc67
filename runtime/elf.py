"""An object file to an image: code and constants in one piece that runs wherever it is put.

LLVM's own loader costs 40 ms before it loads its first kernel (importing llvmlite); an image is
copied into memory and called. All references inside an image are relative, so they are resolved
once, when the kernel is compiled. A reference to a function of the C library goes through a stub

    jmp *(slot)         slot: 8 bytes, filled with the address when the image is loaded

Only what our kernels need is understood: ELF for x86-64, no writable data, no thread-local data.
Anything else raises `Unsupported`, and LLVM's loader takes the object instead.

Source of the formats: System V ABI, and its AMD64 supplement 1.0, section 4.4.
"""

from __future__ import annotations

import struct

from lucid.compiler.ir.data import data

PAGE = 4096


class Unsupported(Exception):
    """The object needs more than an image can give."""


@data
class Image:
    """`data` starts at a page boundary. `symbols`: offsets of the functions it defines; `imports`:
    offsets of the slots for the functions that it needs."""

    data: bytes
    symbols: dict[str, int]
    imports: dict[str, int]


@data
class _Section:
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int


@data
class Symbol:
    name: str
    info: int
    section: int
    value: int
    size: int

    @property
    def is_function(self) -> bool:
        return self.info & 15 == _FUNC


_PROGBITS, _SYMTAB, _RELA, _NOBITS, _REL = 1, 2, 4, 8, 9
_UNWIND = 0x70000001  # SHT_X86_64_UNWIND: nothing is thrown through a kernel
_WRITE, _ALLOC, _TLS = 1, 2, 0x400
_EM_X86_64 = 62
_PC32, _PLT32, _PC64 = 2, 4, 24  # R_X86_64_*: S + A - P
_LOCAL, _FUNC = 0, 2
_STUB = 16
_GOT = "_GLOBAL_OFFSET_TABLE_"  # a loader makes it


def link(data: bytes) -> Image:
    """The image of a relocatable object file. Unsupported if it has something else in it."""
    try:
        return _link(data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Unsupported(f"malformed object: {error}") from None


def _link(data: bytes) -> Image:
    if data[:7] != b"\x7fELF\x02\x01\x01":  # 64 bits, little-endian
        raise Unsupported("not an ELF object of 64 bits")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if (kind, machine) != (1, _EM_X86_64):
        raise Unsupported(f"ELF type {kind}, machine {machine}")
    sections = _sections(data)
    table = symbols(data)
    image = bytearray()
    places: dict[int, int] = {}
    for number, section in enumerate(sections):
        if not section.flags & _ALLOC or section.size == 0 or section.kind == _UNWIND:
            continue
        if section.flags & (_WRITE | _TLS) or section.kind not in (_PROGBITS, _NOBITS):
            raise Unsupported(f"a section of kind {section.kind}, flags {section.flags:#x}")
        if section.align > PAGE:
            raise Unsupported(f"alignment {section.align}")
        _pad(image, section.align)
        places[number] = len(image)
        content = data[section.offset : section.offset + section.size]
        image += bytes(section.size) if section.kind == _NOBITS else content
    imports: dict[str, int] = {}
    for section in sections:
        if section.kind == _REL and section.info in places:
            raise Unsupported("relocations without addends")
        if section.kind == _RELA and section.info in places:
            _relocate(image, data, section, table, places, imports)
    return Image(
        bytes(image),
        {
            s.name: places[s.section] + s.value
            for s in table
            if s.info >> 4 != _LOCAL and s.is_function and s.section in places
        },
        imports,
    )


def undefined(data: bytes) -> tuple[str, ...]:
    """What a 64-bit ELF object of any machine expects to find elsewhere; () if it is no ELF."""
    if data[:7] != b"\x7fELF\x02\x01\x01":
        return ()
    return tuple(s.name for s in symbols(data) if s.section == 0 and s.name and s.name != _GOT)


def _sections(data: bytes) -> list[_Section]:
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    found = []
    for k in range(count):
        words = struct.unpack_from("<IIQQQQIIQQ", data, start + k * size)
        _, kind, flags, _, offset, length, link_, info, align, _ = words
        found.append(_Section(kind, flags, offset, length, link_, info, max(align, 1)))
    return found


def symbols(data: bytes) -> list[Symbol]:
    """Those of a 64-bit ELF object of any machine."""
    sections = _sections(data)
    tables = [s for s in sections if s.kind == _SYMTAB]
    if len(tables) != 1:
        raise Unsupported(f"{len(tables)} symbol tables")
    (table,) = tables
    names = sections[table.link]
    text = data[names.offset : names.offset + names.size]
    found = []
    for at in range(table.offset, table.offset + table.size, 24):
        name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", data, at)
        found.append(Symbol(text[name : text.index(0, name)].decode(), info, section, value, size))
    return found


def _relocate(
    image: bytearray,
    data: bytes,
    table: _Section,
    symbols: list[Symbol],
    places: dict[int, int],
    imports: dict[str, int],
) -> None:
    """Resolve the references of one section; `imports` grows by what the image lacks."""
    base = places[table.info]
    for at in range(table.offset, table.offset + table.size, 24):
        offset, info, addend = struct.unpack_from("<QQq", data, at)
        symbol, kind = symbols[info >> 32], info & 0xFFFFFFFF
        if kind not in (_PC32, _PLT32, _PC64):
            raise Unsupported(f"relocation {kind} to {symbol.name or 'a section'}")
        if symbol.section in places:
            target = places[symbol.section] + symbol.value
        elif symbol.section == 0 and symbol.name and kind == _PLT32:
            target = _stub(image, symbol.name, imports)
        else:
            raise Unsupported(f"reference to {symbol.name or 'a dropped section'}")
        place = base + offset
        struct.pack_into("<q" if kind == _PC64 else "<i", image, place, target + addend - place)


def _stub(image: bytearray, name: str, imports: dict[str, int]) -> int:
    """Offset of the stub that jumps to the function `name` outside of the image."""
    if name not in imports:
        _pad(image, _STUB)
        stub = len(image)
        image += b"\xff\x25" + struct.pack("<i", 2) + b"\xcc\xcc" + bytes(8)
        imports[name] = stub + 8
    return imports[name] - 8


def _pad(image: bytearray, align: int) -> None:
    image += bytes(-len(image) % align)
