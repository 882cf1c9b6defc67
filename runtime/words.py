"""LLVM text with seven more instructions than LLVM has: memory is read and written by words of 8 bytes, and
there are loops.

    %x = ldp %base, INDEX     load a pointer, word number INDEX from `base`
    %x = ldi %base, INDEX     load an i64
    %x = ldw %base, INDEX     load an i32, as an i64
    stp %x, %base, INDEX      store a pointer as word number INDEX
    sti %x, %base, INDEX      store an i64
    %x = at %base, INDEX      the address of word number INDEX

    LABEL: each %k in %n from ENTRY, NEXT else DONE

The last opens a loop over k from 0 to n. It is reached by falling in from block ENTRY; block NEXT goes on by
a jump to LABEL (more than one may); from its head the loop goes to DONE.
"""

from __future__ import annotations

import re

_KINDS = {"p": "ptr", "i": "i64"}


def expand(source: str) -> str:
    """LLVM text, from text with these instructions."""
    source = re.sub(r"^(\w+): each (%\w+) in (%[\w.]+) from (.+) else (\S+)$", _each, source, flags=re.M)
    source = re.sub(
        r"^  (%[\w.]+) = at (%[\w.]+), (\S+)$",
        r"  \1 = getelementptr i64, ptr \2, i64 \3",
        source,
        flags=re.M,
    )
    source = re.sub(r"^  st([pi]) (\S+), (%[\w.]+), (\S+)$", _store, source, flags=re.M)
    return re.sub(r"^  (%[\w.]+) = ld([piw]) (%[\w.]+), (\S+)$", _load, source, flags=re.M)


def _each(found: re.Match[str]) -> str:
    label, k, n, blocks, done = found.groups()
    entry, *back = blocks.split(", ")
    ways = ", ".join([f"[ 0, %{entry} ]", *[f"[ {k}.next, %{block} ]" for block in back]])
    return (
        f"  br label %{label}\n{label}:\n"
        f"  {k} = phi i64 {ways}\n"
        f"  {k}.next = add i64 {k}, 1\n"
        f"  {k}.more = icmp slt i64 {k}, {n}\n"
        f"  br i1 {k}.more, label %{label}.body, label %{done}\n"
        f"{label}.body:"
    )


def _store(found: re.Match[str]) -> str:
    kind, value, base, index = found.groups()
    at = f"%at.{found.start()}"
    return f"  {at} = getelementptr i64, ptr {base}, i64 {index}\n  store {_KINDS[kind]} {value}, ptr {at}"


def _load(found: re.Match[str]) -> str:
    name, kind, base, index = found.groups()
    at = f"  {name}.at = getelementptr i64, ptr {base}, i64 {index}\n"
    if kind == "w":
        return at + f"  {name}.32 = load i32, ptr {name}.at\n  {name} = zext i32 {name}.32 to i64"
    return at + f"  {name} = load {_KINDS[kind]}, ptr {name}.at"
