"""Records of words: what native code of the runtime reads (`language.py`), and tables for it are made of."""

from __future__ import annotations

Fields = dict[str, tuple[int, str]]  # of a record: the word of each, and its type


def record(text: str) -> Fields:
    """The words of a record, in order, from `name name:type name|other:type ...`: other names for the same
    word have types of their own."""
    fields: Fields = {}
    for word, names in enumerate(text.split()):
        for one in names.split("|"):
            name, _, kind = one.partition(":")
            fields[name] = word, kind or "i64"
    return fields
