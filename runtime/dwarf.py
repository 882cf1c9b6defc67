"""Lines of machine code: the line number program of DWARF 4, as LLVM writes it.

Source of the format: DWARF Debugging Information Format, version 4, section 6.2.
"""

from __future__ import annotations

import struct

Line = tuple[int, int, str]  # address, line, file

_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _CONST_ADD_PC, _FIXED_ADVANCE_PC = 1, 2, 3, 4, 8, 9
_END_SEQUENCE, _SET_ADDRESS = 1, 2


class _Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return int(value)

    def leb(self, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value - (1 << shift) if signed and byte & 64 else value

    def text(self) -> str:
        end = self.data.index(0, self.at)
        found = self.data[self.at : end].decode(errors="replace")
        self.at = end + 1
        return found


def lines(section: bytes) -> list[Line]:
    """Where each line's code begins, by address; without those of line 0, which is none. ValueError for
    another version, and for what is none."""
    found: list[Line] = []
    reader = _Reader(section)
    try:
        while reader.at < len(section):
            size = reader.number("I")
            end = reader.at + size
            _unit(reader, end, found)
            reader.at = end
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError(f"no line number program: {error}") from None
    return sorted(found)


def _unit(r: _Reader, end: int, found: list[Line]) -> None:
    version = r.number("H")
    if version != 4:
        raise ValueError(f"version {version} of DWARF, not 4")
    start = r.number("I")
    start += r.at
    least, _, _ = (r.number("B") for _ in range(3))  # operations of an instruction, statements: not told here
    base, span, first = r.number("b"), r.number("B"), r.number("B")
    sizes = [r.number("B") for _ in range(first - 1)]
    folders, files = [""], [""]
    while folder := r.text():
        folders.append(folder)
    while file := r.text():
        folder = folders[r.leb()]
        files.append(f"{folder}/{file}" if folder and not file.startswith("/") else file)
        r.leb(), r.leb()  # time and size
    r.at = start
    address, number, line = 0, 1, 1

    def advance(operation: int) -> int:
        return (operation - first) // span * least

    def row() -> None:
        if line:
            found.append((address, line, files[number]))

    while r.at < end:
        code = r.number("B")
        if code >= first:
            address += advance(code)
            line += base + (code - first) % span
            row()
        elif code == 0:
            size = r.leb()
            after = r.at + size
            extended = r.number("B")
            if extended == _SET_ADDRESS:
                address = r.number("Q")
            elif extended == _END_SEQUENCE:
                address, number, line = 0, 1, 1
            r.at = after
        elif code == _COPY:
            row()
        elif code == _ADVANCE_PC:
            address += r.leb() * least
        elif code == _ADVANCE_LINE:
            line += r.leb(True)
        elif code == _SET_FILE:
            number = r.leb()
        elif code == _CONST_ADD_PC:
            address += advance(255)
        elif code == _FIXED_ADVANCE_PC:
            address += r.number("H")
        else:
            for _ in range(sizes[code - 1]):
                r.leb()
