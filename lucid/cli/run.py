"""`lucid run`: a graph, kernels or loops as text, applied to arrays of files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucid.texts import Value, apply, load_text

from .table import CommandError

Array = np.ndarray[Any, Any]
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)|true|false")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the text of a graph, of kernels or of loops (docs/ir.md)")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE.npy",
        help="the array of an input; an input without dimensions, a scalar or a size takes a number",
    )
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[NAME=]FILE.npy",
        help="write a result instead of printing it; with its name, if there are several",
    )
    parser.add_argument("--interpret", action="store_true", help="compute with NumPy (loops: always)")


def run(options: argparse.Namespace) -> int:
    given = {name: _value(name, text) for name, text in _named(options.input, "--input").items()}
    try:
        results = apply(load_text(options.file), options.file, given, options.interpret)
    except OSError as error:
        raise CommandError(f"{options.file}: {error.strerror or error}") from None
    except FAULTS as error:
        raise CommandError(first_line(error)) from None
    places = _places(options.output, results)
    for name, array in results.items():
        if name not in places:
            print(f"{name}: {array.dtype.name}{[*array.shape]} =\n{array}")
            continue
        try:
            with open(places[name], "wb") as stream:
                np.save(stream, array, allow_pickle=False)
        except OSError as error:
            raise CommandError(f"{places[name]}: {error.strerror or error}") from None
    return 0


# What text and arrays may lead to: nothing else is expected, and would be a fault of lucid's.
FAULTS = (ArithmeticError, ImportError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def first_line(error: BaseException) -> str:
    """What it says, in one line."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text or type(error).__name__).split("\n", 1)[0]


def _named(given: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.removeprefix("%")
        if not (name and equals and value):
            raise CommandError(f"{option}: expected NAME=FILE.npy, not {text!r}")
        if name in found:
            raise CommandError(f"{option}: {name} is given twice")
        found[name] = value
    return found


def _value(name: str, text: str) -> Value:
    if _NUMBER.fullmatch(text):
        if text in ("true", "false"):
            return text == "true"
        return int(text) if re.fullmatch(r"[+-]?\d{1,40}", text) else float(text)
    try:
        with open(text, "rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except OSError as error:
        raise CommandError(f"--input {name}: {text}: {error.strerror or error}") from None
    except Exception as error:  # NumPy promises none of its kinds for what is no .npy file
        raise CommandError(f"--input {name}: {text} is no array of numbers: {first_line(error)}") from None
    return array


def _places(given: Sequence[str], results: Mapping[str, Array]) -> dict[str, str]:
    """Where each result goes that is written."""
    if len(given) == 1 and "=" not in given[0]:
        if len(results) != 1:
            raise CommandError(f"--output: say which of {', '.join(results)}: NAME={given[0]}")
        return dict.fromkeys(results, given[0])
    found = _named(given, "--output")
    for name in found:
        if name not in results:
            raise CommandError(f"--output: there is no result {name}; expected one of: {', '.join(results)}")
    return found
