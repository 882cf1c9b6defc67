"""Draws as text, to be kept in a file and replayed by `python -m lucid repro FILE`:

    lucid program 1
    # any words
    x0 = float32[2, 3] 1.0 -0.0 nan inf 0.5 3.0
    x1 = float64[300] packed c$}ec%...
    x2 = x1
    k0 = True
    v0 = L.maximum(x0, 1)
    return v0
    exact x0 v0
    layouts x0 columns
    threads 2

Behind `return` stand options, in any order: `exact` and `traits` of the program, `layouts`, `threads`,
`guarded`, `smooth`, `thorough N`, `device`. `packed` are the bytes of an array, deflated, in base 85. Nothing
of a file is run as Python: statements are of the grammar of `expression.py`.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence

import numpy as np

from lucid.compiler.ir.types import from_numpy

from ..residence import DEVICES
from .draws import THREADS, Draw
from .expression import NAME, expression, names_in
from .layouts import LAYOUTS
from .program import Array, Number, Program

HEAD = "lucid program 1"
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
    "float64", "complex64", "complex128", "bfloat16",
)  # fmt: skip
TRAITS = ("smooth", "special", "whole")
SHORT = 64  # elements that are written as numbers
BYTES = 64 << 20  # of an array that a file may ask for
_INPUT = re.compile(r"(\w+)\[([\d, ]*)\]\s*(.*)")


def print_draw(draw: Draw, words: str = "") -> str:
    """The text of a draw; `words` become comments."""
    program, lines = draw.program, [HEAD, *(f"# {line}" for line in words.splitlines())]
    seen: dict[int, str] = {}
    for name, array in program.inputs.items():
        same = seen.setdefault(id(array), name)
        lines.append(f"{name} = {same if same != name else _array(array)}")
    lines += [f"{name} = {number!r}" for name, number in program.numbers.items()]
    lines += [f"{name} = {text}" for name, text in program.statements]
    known = {*program.inputs, *dict(program.statements)}  # what was made smaller is exact in less
    lines += [f"return {' '.join(program.outputs)}", f"exact {' '.join(sorted(program.exact & known))}"]
    options = {
        "traits": " ".join(sorted(program.traits)),
        "layouts": " ".join(f"{name} {layout}" for name, layout in draw.layouts.items()),
        "threads": str(draw.threads),
        "guarded": "yes" if draw.guarded else "",
        "smooth": "yes" if draw.smooth else "",
        "thorough": str(draw.number) if draw.thorough else "",
        "device": draw.device if draw.device != "cpu" else "",
    }
    return "\n".join([*lines, *(f"{name} {value}" for name, value in options.items() if value), ""])


def _array(array: Array) -> str:
    kind = f"{array.dtype.name}{list(array.shape)}"
    if array.size <= SHORT and array.dtype.kind in "biuf":
        return " ".join([kind, *(repr(x) for x in array.ravel().tolist())])
    return (
        f"{kind} packed {base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()}"
    )


def parse_draw(text: str, name: str = "program") -> Draw:
    """The draw of a text. ValueError with `name`, the line and what was expected there."""
    inputs: dict[str, Array] = {}
    numbers: dict[str, Number] = {}
    statements: dict[str, str] = {}
    outputs: tuple[str, ...] = ()
    options: dict[str, list[str]] = {}
    lines = text.splitlines()
    if not lines or lines[0].strip() != HEAD:
        raise ValueError(f"{name}:1: expected `{HEAD}`, the first line of a program that lucid has written")
    for number, line in enumerate(map(str.strip, lines), 1):
        if number == 1 or not line or line.startswith("#"):
            continue
        try:
            left, equals, right = line.partition(" = ")
            if equals and NAME.fullmatch(left) and not outputs:
                if left in inputs or left in statements or left in numbers:
                    raise ValueError(f"{left} is there already")
                if left.startswith("k"):
                    numbers[left] = _one(right)
                elif left.startswith("x") or _is_array(right):  # a statement that was made an input
                    inputs[left] = inputs[right] if right in inputs else _parsed(right)
                else:
                    expression(right)
                    _known(names_in(right), [*inputs, *numbers, *statements])
                    statements[left] = right
                continue
            word, *rest = line.split()
            if word == "return" and not outputs:
                outputs = tuple(rest)
                _known(rest, list(statements))
                if not rest:
                    raise ValueError("expected names behind `return`")
            elif word in _OPTIONS and outputs and word not in options:
                options[word] = rest
            else:
                expected = (
                    "one of the options " + ", ".join(_OPTIONS) if outputs else "`NAME = ...` or `return`"
                )
                raise ValueError(f"expected {expected}, each once; got `{line[:60]}`")
        except ValueError as error:
            raise ValueError(f"{name}:{number}: {error}") from None
    if not outputs:
        raise ValueError(f"{name}:{len(lines)}: expected `return` and the names of outputs")
    try:
        return _draw(inputs, numbers, statements, outputs, options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


_OPTIONS = ("exact", "traits", "layouts", "threads", "guarded", "smooth", "thorough", "device")


def _draw(
    inputs: dict[str, Array],
    numbers: dict[str, Number],
    statements: dict[str, str],
    outputs: tuple[str, ...],
    options: dict[str, list[str]],
) -> Draw:
    exact, traits = options.get("exact", []), options.get("traits", [])
    _known(exact, [*inputs, *statements])
    _among(traits, TRAITS)
    words = options.get("layouts", [])
    layouts = dict(zip(words[::2], words[1::2], strict=False))
    if 2 * len(layouts) != len(words):
        raise ValueError("layouts: expected an input and its layout, an input and its layout, ...")
    _known(layouts, inputs)
    _among(list(layouts.values()), LAYOUTS)
    threads, thorough = (
        _number(options, "threads", 1, THREADS, 1),
        _number(options, "thorough", 0, 1 << 62, -1),
    )
    made = tuple(statements.items())
    program = Program(inputs, made, outputs, frozenset(exact), frozenset(traits), numbers)
    words = options.get("device", ["cpu"])
    _among(words, DEVICES)
    if len(words) != 1:
        raise ValueError(f"device: expected one of {', '.join(DEVICES)}")
    device = next(d for d in DEVICES if d == words[0])
    return Draw(
        program, layouts, threads, "guarded" in options, "smooth" in options, thorough >= 0, max(thorough, 0),
        device,
    )  # fmt: skip


def _one(text: str) -> Number:
    """A number of Python's."""
    if text in ("True", "False"):
        return text == "True"
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if re.fullmatch(r"-?[\d.]+(e[+-]?\d{1,3})?", text):
        return float(text)
    raise ValueError(f"expected a bool, an int or a float, got `{text[:60]}`")


def _number(options: dict[str, list[str]], name: str, low: int, high: int, default: int) -> int:
    if name not in options:
        return default
    words = options[name]
    if len(words) != 1 or not re.fullmatch(r"\d{1,19}", words[0]) or not low <= int(words[0]) <= high:
        raise ValueError(f"{name}: expected a number of {low} to {high}, got `{' '.join(words)[:60]}`")
    return int(words[0])


def _is_array(text: str) -> bool:
    found = _INPUT.fullmatch(text)
    return found is not None and found[1] in DTYPES


def _parsed(text: str) -> Array:
    """The array of an input."""
    found = _INPUT.fullmatch(text)
    if not found or found[1] not in DTYPES:
        raise ValueError(
            f"expected an input such as `float32[2] 1.0 2.0`, of {', '.join(DTYPES)}; got `{text[:60]}`"
        )
    dtype, shape = from_numpy(found[1]).np, tuple(int(n) for n in found[2].split(",") if n.strip())
    size = dtype.itemsize
    for n in shape:
        size *= n
    if len(shape) > 32 or size > BYTES:
        raise ValueError(f"an array of {size:,} bytes; expected at most {BYTES:,}")
    count = size // dtype.itemsize
    if found[3].startswith("packed "):
        try:
            opened = zlib.decompressobj()
            content = opened.decompress(base64.b85decode(found[3][7:].strip()), size + 1)
        except (zlib.error, ValueError) as error:
            raise ValueError(f"the bytes of the array cannot be unpacked: {error}") from None
        if len(content) != size:
            raise ValueError(f"expected {size} packed bytes of {text.split()[0]}, got {len(content)} or more")
        return np.frombuffer(content, dtype).reshape(shape).copy()
    words = found[3].split()
    if dtype.kind in "cV" and count:
        raise ValueError(f"expected packed bytes behind {found[1]}[{found[2]}]")
    if len(words) != count:
        raise ValueError(f"expected {count} numbers behind {found[1]}[{found[2]}], got {len(words)}")
    try:
        if dtype.kind == "b":
            _among(words, ("True", "False"))
            return np.array([w == "True" for w in words], dtype).reshape(shape)
        return np.array([float(w) if dtype.kind == "f" else int(w) for w in words], dtype).reshape(shape)
    except OverflowError:
        raise ValueError(f"a number is not of {dtype}") from None


def _known(names: Sequence[str] | dict[str, str], known: Sequence[str] | dict[str, Array]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"`{name}` is not known here; expected one of {', '.join(known) or 'none'}")


def _among(words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        if word not in known:
            raise ValueError(f"`{word[:60]}`: expected one of {', '.join(known)}")
