"""What the text of code tells before it runs: names, attributes, strings that may be names, lines."""

from __future__ import annotations

import dis
import functools
import re
from types import CodeType
from typing import Any

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Loc

from .errors import loc_of

_TODAY = {"now", "utcnow", "today"}
_DATES = {"datetime64", "Timestamp", "to_datetime", "asarray", "array"}
_READS = {"read", "read1", "readline", "readlines", "readinto", "fromfile", "open", "input", "memmap"}
SYSTEM = {"urandom", "getrandom"}


@data
class Text:
    """What code names; nested functions included."""

    globals: frozenset[str]  # that it reads
    imports: frozenset[str]
    names: frozenset[str]  # all
    attributes: frozenset[str]  # that it reads
    texts: frozenset[str]  # constants that may be names
    asked: frozenset[tuple[str, str]]  # a name, and an attribute that it is asked for
    tolerant: bool  # goes on where an attribute is not there: an `except:` without a class, a `match`


_FIELD = re.compile(r"\.([^\W\d]\w*)")
_NAMED = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"}


@functools.lru_cache(maxsize=4096)
def text_of(code: CodeType) -> Text:
    found: dict[str, set[Any]] = {"globals": set(), "imports": set(), "attributes": set(), "asked": set()}
    tolerant = False
    before, argument = "", None
    for i in dis.get_instructions(code):
        if i.opname in _NAMED:
            found["globals"].add(i.argval)
        elif i.opname == "IMPORT_NAME":
            found["imports"].add(i.argval)
        elif i.opname in _ATTRIBUTE:
            found["attributes"].add(i.argval)
        asks = before.startswith("LOAD_") and (i.opname in _ATTRIBUTE or i.opname == "LOAD_CONST")
        if asks and isinstance(argument, str) and isinstance(i.argval, str):
            found["asked"].add((argument, i.argval))
        tolerant |= before == "PUSH_EXC_INFO" and i.opname == "POP_TOP"
        if i.opname == "MATCH_CLASS":
            tolerant = True
            found["attributes"] |= {"__match_args__", *(argument if isinstance(argument, tuple) else ())}
        before, argument = i.opname, i.argval
    names, texts = set(code.co_names), set(filter(is_name, code.co_consts))
    for const in code.co_consts:
        if isinstance(const, str) and "{" in const:  # for `format`: of attributes, too
            found["attributes"] |= set(_FIELD.findall(const))
        if isinstance(const, tuple | frozenset):
            texts |= set(filter(is_name, const))
        if isinstance(const, CodeType):
            inner = text_of(const)
            for name, values in found.items():
                values |= getattr(inner, name)
            names |= inner.names
            texts |= inner.texts
            tolerant |= inner.tolerant
    names |= found["attributes"]
    return Text(
        frozenset(found["globals"]), frozenset(found["imports"]), frozenset(names),
        frozenset(found["attributes"]), frozenset(texts), frozenset(found["asked"]), tolerant,
    )  # fmt: skip


def is_name(text: object) -> bool:
    return type(text) is str and len(text) < 200 and text.replace(".", "").isidentifier()


def reads_files(names: frozenset[str]) -> bool:
    """Whether code with these names may read a file, or the system's random numbers."""
    return any(n in _READS or n in SYSTEM or n.startswith(("read", "load", "genfrom")) for n in names)


@functools.lru_cache(maxsize=4096)
def clocks(code: CodeType) -> frozenset[str]:
    """Names by which code may ask for the time where no call is seen: methods, and texts."""
    found = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_METHOD", "LOAD_ATTR")
    } & _TODAY
    if not _DATES.isdisjoint(code.co_names):
        found |= {c for c in code.co_consts if isinstance(c, str) and c in _TODAY}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= clocks(const)
    return frozenset(found)


def first_line(code: CodeType, names: frozenset[str]) -> Loc:
    """The first line of the code that has one of the names, or texts."""
    found = line(code, set(names), ("LOAD_", "CALL"))
    return found or loc_of(code, code.co_firstlineno)


def line(code: CodeType, names: set[str], kinds: tuple[str, ...] = ("LOAD_",)) -> Loc | None:
    """The first line of the code that mentions one of the names."""
    for instruction in dis.get_instructions(code):
        if instruction.argval in names and instruction.opname.startswith(kinds):
            at = instruction.positions.lineno if instruction.positions else None
            return loc_of(code, at or code.co_firstlineno)
    inner = (line(const, names, kinds) for const in code.co_consts if isinstance(const, CodeType))
    return next((loc for loc in inner if loc is not None), None)
