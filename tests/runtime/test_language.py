"""The language of the runtime's native code: what its constructs do, and what it refuses."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from lucid.runtime.language import compiled
from lucid.runtime.load import native
from lucid.runtime.records import record

RECORDS = {"PAIR": record("key value|wide:ptr"), "NODE": record("next:NODE number")}
NUMBERS = {"EVEN": 0, "ODD": 1, "NONE": 7}
SOURCE = '''
def loops(rows: PAIR, n) -> i64:
    """Of the values whose key is not negative, until one is 100."""
    sum = 0
    for k in range(n):
        if rows[k].key < 0:
            continue
        if rows[k].value == 100:
            break
        sum += rows[k].value
    return sum

def nested(n) -> i64:
    count = 0
    for i in range(n):
        j = i
        while j > 0 and not (j == 3 or j == 5):
            j -= 1
            count += 1
    return count

def length(node: NODE) -> i64:
    count = 0
    while node != null:
        node = node.next
        count += 1
    return count

def kinds(kind, x) -> i64:
    result = x
    match kind:
        case EVEN | NONE:
            result = 2 * x
        case ODD:
            result = 2 * x + 1
    return result

def last(words: many[i64], which) -> i64:
    held = 0
    try:
        if which == 0:
            return 10
        held = 5
        if which == 1:
            return 20
        held = 6
        return 30
    finally:
        words[0] = held

def numbers(x, small: i32) -> i64:
    wide = i1024(1) << i1024(small)
    return i64(wide >> 3) + (max(x, 4) if x != 2 else min(x, 1)) + (less(x, 3) << 10) + x % 4 * 100 - -1

def halved(x) -> i64:
    """Unsigned: a half, and the least of 3 and -1."""
    return x // 2 + min(3, -1)

def halves(words: many[i64]) -> i64:
    old = add_to(words, 5, "monotonic")
    if set_if(words, old + 5, 1, "acq_rel", "monotonic") and load(words, i64, "acquire") == 1:
        store(words, 7, "release")
    return swap(words, 9, "seq_cst") * 100 + old

def through(function: ptr, x) -> i64:
    y: i64 = function(x, kinds)
    return y
'''


@pytest.fixture(scope="module")
def run() -> Callable[..., int]:
    names = ("loops", "nested", "length", "kinds", "last", "numbers", "halved", "halves", "through")
    addresses = native(compiled(SOURCE, names, RECORDS, NUMBERS), names)

    def call(name: str, *args: int) -> int:
        return int(ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(args))(addresses[name])(*args))

    return call


def test_what_it_computes(run: Callable[..., int]) -> None:
    rows = np.array([[1, 10], [-1, 20], [0, 30], [2, 100], [3, 40]], np.int64)
    assert [run("loops", rows.ctypes.data, n) for n in range(6)] == [0, 10, 10, 40, 40, 40]
    assert [run("halved", x) for x in (-8, 9)] == [(1 << 63) - 4 + 3, 4 + 3]
    assert run("nested", 7) == sum(i if i < 3 else i - 3 if i < 5 else i - 5 for i in range(7))
    nodes = np.zeros((3, 2), np.int64)
    nodes[:2, 0] = nodes.ctypes.data + 16, nodes.ctypes.data + 32
    assert [run("length", 0), run("length", nodes.ctypes.data)] == [0, 3]
    assert [run("kinds", kind, 5) for kind in (0, 1, 7, 9)] == [10, 11, 10, 5]
    words = np.zeros(1, np.int64)
    assert [(run("last", words.ctypes.data, k), int(words[0])) for k in range(3)] == [
        (10, 0),
        (20, 5),
        (30, 6),
    ]
    for x in (0, 2, 9):
        clipped = max(x, 4) if x != 2 else 1
        assert run("numbers", x, 5) == 4 + clipped + (max(x - 3, 0) << 10) + x % 4 * 100 + 1
    words[0] = 3
    assert run("halves", words.ctypes.data) == 703
    assert words[0] == 9


def test_addresses_are_called_with_addresses(run: Callable[..., int]) -> None:
    inner = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    outer = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    function = outer(lambda x, other: inner(other)(1, x) + 1000)
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    assert run("through", address, 5) == 1011


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("return x.key", "x.key"),
        ("return y", "not of this language: y"),
        ("with x: pass", "not of this language"),
        ("return p", "ptr where i64"),
        ("return 1\n    return 2", "nothing leads here"),
        ("pass", "a result is missing"),
        ("if x > 0:\n        y = 1\n    return y", "not of this language: y"),
        ("return p == x", "ptr where i64"),
        ("f(x, x)", "zip"),
        ("f(p)", "ptr where i64"),
        ("f(x=x)", "not of this language"),
        ("while x > 0:\n        x -= 1\n    else:\n        x = 2\n    return x", "not of this language"),
        ("for k in range(x):\n        x = 1\n    else:\n        x = 2\n    return x", "not of this"),
        ("for k in range(x):\n        for k in range(x):\n            x = 1\n    return x", "not of this"),
        ("while 1 > 0:\n        try:\n            break\n        finally:\n            x = 1", "break"),
        ("break", "not of this language"),
        ("match x:\n        case _:\n            x = 1\n    return x", "not a case"),
        ("match x:\n        case ONE if x > 0:\n            x = 1\n    return x", "not a case"),
    ],
)
def test_what_is_wrong_is_told(body: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        compiled(f"def f(x) -> i64: ...\ndef g(x, p: ptr) -> i64:\n    {body}\n", ("g",), {}, {"ONE": 1})


def test_what_nobody_reads_is_not_written() -> None:
    text = compiled(
        "def f(n) -> i64:\n    a = 1\n    for k in range(n):\n        a = k\n    return n\n", ("f",), {}, {}
    )
    assert text.count("phi") == 1
    assert "declare" not in text
