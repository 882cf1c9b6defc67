"""Tokens of a PTX text, and a cursor over them that knows the line of each."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

from lucid.compiler.ir.data import data

from .ptx import DTYPES, Const, PtxError

T = TypeVar("T")
_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<string>"[^"\n]*")
      | (?P<number>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?
                  |\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\d+U?)
      | (?P<word>[A-Za-z_$%.][\w$.]*(?:::[\w.]+)*)
      | (?P<sign>[{}()\[\],;:!@<>=+\-])""",
    re.VERBOSE | re.DOTALL,
)


@data
class Token:
    kind: str
    text: str
    line: int


def _tokens(text: str) -> Iterator[Token]:
    at, line = 0, 1
    for match in _TOKEN.finditer(text):
        if match.start() != at:
            break
        at, found = match.end(), match[0]
        if match.lastgroup == "skip":
            line += found.count("\n")
        else:
            yield Token(str(match.lastgroup), found, line)
    if at < len(text):
        raise PtxError("syntax", f"unexpected {text[at]!r}", line, text.splitlines()[line - 1])


class Cursor:
    def __init__(self, text: str) -> None:
        self.lines = tuple(text.splitlines())
        self.tokens = [*_tokens(text), Token("end", "", max(1, len(self.lines)))]
        self.at = 0

    # tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def error(self, kind: str, message: str, line: int | None = None) -> PtxError:
        line = line or self.token.line
        return PtxError(kind, message, line, self.lines[line - 1] if line <= len(self.lines) else "")

    def next(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, text: str) -> bool:
        if self.token.text == text and self.token.kind != "string":
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.error("syntax", f"expected `{text}`, found `{self.token.text}`")

    def several(self, one: Callable[[], T]) -> list[T]:
        """With commas between them."""
        found = [one()]
        while self.accept(","):
            found.append(one())
        return found

    def rest_of_line(self) -> list[str]:
        line, words = self.token.line, []
        while self.token.line == line and self.token.kind != "end":
            words.append(self.next().text)
        return words

    def integer(self) -> int:
        negative = self.accept("-")
        token = self.next()
        try:
            value = int(token.text.removesuffix("U"), 0)
        except ValueError:
            raise self.error("syntax", f"expected an integer, found `{token.text}`", token.line) from None
        return -value if negative else value

    def constant(self, text: str, kind: str, line: int) -> Const:
        """A literal as a value of a type. Literals of floats must be exact in it; integers are taken modulo
        2^bits.
        """
        size = DTYPES[kind].itemsize
        negative, digits = text.startswith("-"), text.lstrip("-").lower().removesuffix("u")
        if kind == "pred":
            return Const(int(digits, 0) & 1, kind)
        given = {"0f": "f", "0d": "d"}.get(digits[:2])
        real = given or ("x" not in digits and re.search(r"[.e]", digits))
        if kind not in (("f32", "b32", "f64", "b64") if real else DTYPES.keys() - {"f32", "f64"}):
            raise self.error("form", f"`{text}` is no literal of .{kind}", line)
        if not real:
            value = int(digits, 0)
            return Const((-value if negative else value) % (1 << size * 8), kind)
        if given == "f" and size == 4:
            bits = int(digits[2:], 16)  # a NaN keeps its bits
        else:
            found = struct.unpack(f">{given}", bytes.fromhex(digits[2:]))[0] if given else float(digits)
            bits = int.from_bytes(struct.pack("<f" if size == 4 else "<d", found), "little")
        return Const(bits ^ (negative << size * 8 - 1), kind)
