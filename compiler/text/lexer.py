"""What the three text formats share: tokens, literals, and errors that show where.

IR text is untrusted: every length, number and nesting depth is bounded here, nothing is evaluated.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np

from ..ir.data import data
from ..ir.graph import Loc
from ..ir.rounding import Number, rounded
from ..ir.types import DTYPES, DType

T = TypeVar("T")

MAX_DEPTH = 100  # of an expression tree, of nested loops: far below Python's own stack
_MAX_NUMBER = 40  # characters; repr of a float64 needs 24
# What a type rule may raise when it stumbles over an odd attribute.
RULE_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class IRSyntaxError(ValueError):
    """Malformed IR text. `line` and `column` count from 1; `source` is that line of the text."""

    def __init__(self, message: str, line: int, column: int, source: str = "") -> None:
        super().__init__(message, line, column, source)
        self.message, self.line, self.column, self.source = message, line, column, source

    def __str__(self) -> str:
        # a window of a long line, so that the caret stays on the screen
        start = max(0, self.column - 61)
        shown = "".join(c if c.isprintable() else " " for c in self.source[start : start + 100])
        where = f"line {self.line}, column {self.column}: {self.message}"
        return f"{where}\n  {shown}\n  {' ' * (self.column - 1 - start)}^"


@data
class Token:
    """`kind`: name, value (`%x`), number, string, mark, newline or end. `text` without the `%`."""

    kind: str
    text: str
    line: int
    column: int


# Patterns as text: printing, which every compile does, never needs them.
_TOKEN = (
    r"(?P<space>[ \t\r]+)|(?P<newline>\n)|(?P<comment>#[^\n]*)"
    r"|(?P<value>%[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r'|(?P<string>"(?:[^"\\\n]|\\[^\n])*")'
    r"|(?P<mark>->|<=|>=|==|!=|\+=|\.\.|[()\[\]{}:,;=+\-*/<>|])"
)
_LOC = r"#\s*(\S.*?):([0-9]{1,9})(?: in (\S+))?(?: backward of ([^;]+?))?((?:; [^;]+:[0-9]{1,9})*)\s*"


@functools.lru_cache(maxsize=1 << 14)  # in each kernel the same
def is_name(text: str) -> bool:
    """Whether `text` can stand for a name in IR text: a word, and more words or numbers behind dots."""
    head, *rest = text.split(".")
    return (
        text.isascii() and head.isidentifier() and all(("_" + part).isidentifier() and part for part in rest)
    )


class Cursor:
    """A position in a list of tokens. Line breaks inside ( ) and [ ] do not count. `file`: whose text it is,
    if what is read belongs to the lines of that, not to those that comments name. Given another cursor, it
    is the same position: what one reads, the other has read."""

    def __init__(self, text: str | Cursor, file: str | None = None) -> None:
        if isinstance(text, Cursor):
            vars(self).update(vars(text))
            return
        self._file = file
        self._lines = text.split("\n")
        self._locs: dict[int, Loc] = {}
        self._tokens = self._scan(text)
        self._at = [0]

    def _scan(self, text: str) -> list[Token]:
        tokens: list[Token] = []
        at, line, start, depth = 0, 1, 0, 0
        scan = re.compile(_TOKEN).match
        while at < len(text):
            match = scan(text, at)
            column = at - start + 1
            if match is None:
                what = "unfinished string" if text[at] == '"' else f"unexpected {text[at]!r}"
                raise IRSyntaxError(what, line, column, self._lines[line - 1])
            kind, word = str(match.lastgroup), match.group()
            at = match.end()
            if kind == "newline":
                if depth == 0:
                    tokens.append(Token("newline", "", line, column))
                line, start = line + 1, at
            elif kind == "comment":
                if loc := re.fullmatch(_LOC, word):
                    others = [other.rsplit(":", 1) for other in loc[5].split("; ")[1:]]
                    also = tuple(Loc(file, int(number)) for file, number in others)
                    self._locs[line] = Loc(
                        loc[1], int(loc[2]), module=loc[3] or "", backward=loc[4] or "", also=also
                    )
            elif kind != "space":
                depth = max(0, depth + (word in ("(", "[")) - (word in (")", "]")))
                tokens.append(Token(kind, word.removeprefix("%"), line, column))
        tokens.append(Token("newline", "", line, at - start + 1))
        tokens.append(Token("end", "", line, at - start + 1))
        return tokens

    @property
    def token(self) -> Token:
        return self._tokens[self._at[0]]

    def ahead(self, n: int = 1) -> Token:
        return self._tokens[min(self._at[0] + n, len(self._tokens) - 1)]

    def next(self) -> Token:
        token = self.token
        self._at[0] = min(self._at[0] + 1, len(self._tokens) - 1)
        return token

    def loc(self, token: Token) -> Loc | None:
        """The user's line that a comment at the end of the token's line names; or this one, of a file."""
        if self._file is not None:
            return Loc(self._file, token.line)
        return self._locs.get(token.line)

    def error(self, message: str, token: Token | None = None) -> IRSyntaxError:
        """The error to raise, at `token` or at the current one."""
        t = token or self.token
        return IRSyntaxError(message, t.line, t.column, self._lines[t.line - 1])

    def expected(self, what: str) -> IRSyntaxError:
        return self.error(f"expected {what}, found {describe(self.token)}")

    def at(self, *texts: str) -> bool:
        """Whether the current token is one of these marks or words."""
        return self.token.kind in ("mark", "name") and self.token.text in texts

    def accept(self, text: str) -> bool:
        if not self.at(text):
            return False
        self.next()
        return True

    def expect(self, text: str) -> Token:
        if not self.at(text):
            raise self.expected(f"`{text}`")
        return self.next()

    def expect_kind(self, kind: str, what: str) -> Token:
        if self.token.kind != kind:
            raise self.expected(what)
        return self.next()

    def items(self, item: Callable[[], T], *ends: str) -> list[T]:
        """Any number of them with commas between them and perhaps one behind, up to one of these marks."""
        found: list[T] = []
        while not self.at(*ends):
            found.append(item())
            if not self.accept(","):
                break
        return found

    def several(self, left: str, right: str, item: Callable[[], T]) -> list[T]:
        self.expect(left)
        found = self.items(item, right)
        self.expect(right)
        return found

    def skip_lines(self) -> None:
        while self.token.kind == "newline":
            self.next()

    def end_line(self) -> None:
        self.expect_kind("newline", "the end of the line")
        self.skip_lines()

    def finish(self) -> None:
        self.skip_lines()
        self.expect_kind("end", "the end of the text")

    # --- words of all three formats ---------------------------------------------------------------

    def name(self, what: str = "a name") -> Token:
        return self.expect_kind("name", what)

    def value(self) -> Token:
        return self.expect_kind("value", "a value (`%name`)")

    def given(self, token: Token) -> str:
        """What callers call the value `token`: a string behind it, or its own name."""
        return self.string() if self.token.kind == "string" else token.text

    def look_up(self, token: Token, known: Mapping[str, T]) -> T:
        if token.text not in known:
            raise self.error(f"`%{token.text}` is not defined above", token)
        return known[token.text]

    def define(self, token: Token, known: dict[str, T], item: T) -> T:
        if token.text in known:
            raise self.error(f"`%{token.text}` is defined twice", token)
        known[token.text] = item
        return item

    def fitted(self, value: Number, dtype: DType, token: Token) -> Number:
        """`fit`, of what stands at `token`."""
        try:
            return fit(value, dtype)
        except ValueError as error:
            raise self.error(str(error), token) from None

    def dtype(self, known: Mapping[str, DType] = DTYPES) -> DType:
        if self.token.kind != "name" or self.token.text not in known:
            raise self.expected(f"a dtype ({', '.join(known)})")
        return known[self.next().text]

    def natural(self, what: str = "a whole number") -> int:
        """A whole number from 0 below 2**63."""
        token = self.token
        value = self.number() if token.kind == "number" else None
        if not isinstance(value, int):
            raise self.expected(what) if value is None else self.error(f"expected {what}", token)
        if value >= 1 << 63:
            raise self.error("the number does not fit into 63 bits", token)
        return value

    def at_number(self) -> bool:
        """Whether a literal, perhaps with a sign, starts here."""
        after = self.ahead() if self.at("-") else self.token
        words = ("inf", "nan") if self.at("-") else ("inf", "nan", "true", "false")
        return after.kind == "number" or (after.kind == "name" and after.text in words)

    def number(self) -> Number:
        """`-3`, `0.5`, `1e-05`, `inf`, `nan`, `true`: an int, a float or a bool."""
        sign = -1 if self.accept("-") else 1
        token = self.next()
        if token.kind == "name" and token.text in ("true", "false") and sign == 1:
            return token.text == "true"
        if token.kind == "name" and token.text in ("inf", "nan"):
            return sign * float(token.text)
        if token.kind != "number":
            raise self.error(f"expected a number, found {describe(token)}", token)
        if len(token.text) > _MAX_NUMBER:
            raise self.error(f"a number has at most {_MAX_NUMBER} characters", token)
        if token.text.isdigit():
            value = sign * int(token.text)
            if not -(1 << 63) <= value < 1 << 64:
                raise self.error("the number does not fit into 64 bits", token)
            return value
        if math.isinf(float(token.text)):
            raise self.error("the number does not fit into f64 (write `inf`)", token)
        return sign * float(token.text)

    def string(self) -> str:
        token = self.expect_kind("string", "a string in double quotes")
        try:
            import json

            return str(json.loads(token.text))
        except ValueError:
            raise self.error("malformed string", token) from None

    def name_or_string(self, what: str) -> str:
        return self.string() if self.token.kind == "string" else self.name(what).text


def describe(token: Token) -> str:
    if token.kind in ("newline", "end"):
        return {"newline": "the end of the line", "end": "the end of the text"}[token.kind]
    return f"`%{token.text}`" if token.kind == "value" else f"`{token.text[:40]}`"


# --- literals ------------------------------------------------------------------------------------


def fit(value: Number, dtype: DType) -> Number:
    """`value` as `dtype` holds it. ValueError where it cannot (`300` in u8, `1e39` in f32)."""
    if not isinstance(value, int | float):  # untyped callers
        raise ValueError(f"{value!r} is no number")
    given = str(value).lower() if isinstance(value, bool) else repr(value)
    if dtype.kind == "b" and value in (0, 1):
        return bool(value)
    if dtype.kind == "b" or isinstance(value, bool):
        raise ValueError(f"{given} is no {dtype}")
    if dtype.is_float:
        held = rounded(value, dtype)
        if math.isinf(held) and value not in (math.inf, -math.inf):
            raise ValueError(f"{given} does not fit into {dtype}")
        return held
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{given} is no {dtype}")
    limits = np.iinfo(dtype.numpy)
    if not int(limits.min) <= int(value) <= int(limits.max):
        raise ValueError(f"{given} does not fit into {dtype}")
    return int(value)


def format_number(value: Number, dtype: DType) -> str:
    """The shortest text that `Cursor.number` and `fit` turn into the same value of `dtype`."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if not dtype.is_float:
        return repr(value) if isinstance(value, float) and value % 1 else str(int(value))
    held = rounded(value, dtype)
    if dtype.package:  # four digits tell all values of 8 bits
        digits = (f"{held:.{n}g}" for n in range(1, 5))
        return repr(next((v for v in map(float, digits) if v == held or rounded(v, dtype) == held), held))
    short = repr(float(str(np.asarray(held).astype(dtype.np)[()])))
    # the shortest text of an f32 could, read as f64 first, round to a neighbour
    return short if math.isnan(held) or rounded(float(short), dtype) == held else repr(held)


def format_loc(loc: Loc | None, sign: str = "#") -> str:
    """The comment that ends a line, or nothing."""
    if loc is None:
        return ""
    others = dict.fromkeys(str(other) for other in loc.also if str(other) != str(loc))
    text = "; ".join([loc.text, *others])
    return f"  {sign} " + "".join(c if c.isprintable() else "?" for c in text)


Line = tuple[str, Loc | None]


def joined(lines: Iterable[Line], locs: bool, sign: str = "#") -> str:
    """Lines as a text; with `locs`, each ends in the user's `# file:line`, or in another `sign` than that."""
    if locs:
        return "".join([f"{text}{format_loc(loc, sign)}\n" for text, loc in lines])
    return "".join([f"{text}\n" for text, _ in lines])


def quoted(text: str) -> str:
    """`text`, in quotes unless it is a name."""
    if is_name(text):
        return text
    import json  # seldom

    return json.dumps(text)
