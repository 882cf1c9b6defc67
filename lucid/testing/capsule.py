"""A capsule: the kernels of one call as text, what each is applied to, the inputs, and a hash of what each
launch wrote. A zip file of `capsule.json` and the bytes of arrays, `inputs/0`, `inputs/1`, ... (row-major).

    {"format": 1, "name": "softmax", "made": {"lucid": "0.5.0", ...},
     "arrays": [["f32", [7, 300]], ...],        inputs first, then in the order of launches
     "inputs": 1, "outputs": [1], "kernels": ["kernel ...", ...],
     "launches": [{"kernel": 0, "name": "sum_div", "lines": ["softmax.py:8"],
                   "arrays": {"x": [0, 0, [300, 1]], "o": [1, 0, [300, 1]]},  number, offset, strides
                   "symbols": {"n": 300}, "scalars": {"scale": "0x1.0p-3"}, "hashes": {"o": "..."}}]}

A file is untrusted: nothing in it is run but kernels, which are parsed, verified, and proven to stay inside
of their arrays.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.kernel import Kernel, arrays, scalars, symbols
from lucid.compiler.ir.program import Call, Number, Operand
from lucid.compiler.ir.types import DTYPES, DType, TensorType, tensor_type
from lucid.compiler.single import memory
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.kernel import verify_kernel

from ..texts import LONGEST, TextError, placed

Array = np.ndarray[Any, Any]
FORMAT = 1
# Bytes of all arrays of a capsule, those that kernels write included; and launches.
MOST, LAUNCHES = 1 << 36, 100_000


class CapsuleError(ValueError):
    """A file that is no capsule, or a damaged one: one line, with its name."""


@data
class Launch:
    """`call`, under the name that users see, with the lines that it belongs to; a hash of each output."""

    name: str
    lines: tuple[str, ...]
    call: Call
    hashes: Mapping[str, str]


@data
class Capsule:
    """`nodes`: the memory that launches read and write; the first are the inputs."""

    name: str
    made: Mapping[str, str]
    nodes: tuple[Node, ...]
    inputs: tuple[Array, ...]
    outputs: tuple[Node, ...]
    launches: tuple[Launch, ...]


def digest(array: Array, dtype: DType) -> str:
    """SHA-256 of the bits of an array; all NaN are one."""
    array = np.ascontiguousarray(array)
    if dtype.is_float:
        with np.errstate(invalid="ignore"):
            array = np.where(array != array, np.asarray(np.nan, array.dtype), array)
    return hashlib.sha256(array.tobytes()).hexdigest()


def as_capsule(
    name: str,
    made: Mapping[str, str],
    inputs: Mapping[Node, Array],
    outputs: Sequence[Node],
    calls: Sequence[tuple[str, tuple[str, ...], Call]],
) -> Capsule:
    """`calls`: of a program, each with the name and the lines to show. Hashes are not there yet."""
    new: dict[Node, Node] = {n: memory("x", n.type, written=False) for n in inputs}
    launches = []
    for shown, lines, call in calls:
        new |= {n: memory("x", n.type, written=True) for n in call.writes}
        bound = {k: Operand(new[o.node], o.offset, o.strides) for k, o in call.arrays.items()}
        numbers = {k: _python(s.dtype)(call.scalars[k]) for k, s in scalars(call.kernel).items()}
        launches.append(Launch(shown, lines, Call(call.kernel, bound, dict(call.symbols), numbers, ()), {}))
    return Capsule(
        name,
        made,
        tuple(new.values()),
        tuple(inputs.values()),
        tuple(new[n] for n in outputs),
        tuple(launches),
    )


def _python(dtype: DType) -> type[Number]:
    """What a scalar of this dtype is in Python."""
    return {"f": float, "b": bool}.get(dtype.kind, int)


# --- files -----------------------------------------------------------------------------------------


def write(capsule: Capsule, path: str) -> None:
    number = {node: k for k, node in enumerate(capsule.nodes)}
    texts: dict[str, int] = {}
    launches = []
    for launch in capsule.launches:
        call = launch.call
        text = texts.setdefault(print_kernel(call.kernel), len(texts))
        launches.append(
            {
                "kernel": text,
                "name": launch.name,
                "lines": list(launch.lines),
                "arrays": {k: [number[o.node], o.offset, list(o.strides)] for k, o in call.arrays.items()},
                "symbols": dict(call.symbols),
                "scalars": {k: v.hex() if type(v) is float else v for k, v in call.scalars.items()},
                "hashes": dict(launch.hashes),
            }
        )
    content = {
        "format": FORMAT,
        "name": capsule.name,
        "made": dict(capsule.made),
        "arrays": [[n.type.dtype.name, list(n.shape)] for n in capsule.nodes],
        "inputs": len(capsule.inputs),
        "outputs": [number[n] for n in capsule.outputs],
        "kernels": list(texts),
        "launches": launches,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("capsule.json", json.dumps(content))
        for k, array in enumerate(capsule.inputs):
            file.writestr(f"inputs/{k}", np.ascontiguousarray(array).tobytes())


# What zipfile, json and numbers out of place lead to.
_DAMAGED = (
    ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read(path: str) -> Capsule:
    """OSError if the file is not there; CapsuleError for what is no capsule."""
    with open(path, "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as file:
                fields = _Fields(json.loads(_member(file, "capsule.json", LONGEST)), "capsule")
                return _capsule(fields, file, path)
        except CapsuleError as error:
            raise CapsuleError(f"{path}: {error}") from None
        except TextError as error:
            raise CapsuleError(str(error).split("\n", 1)[0]) from None
        except _DAMAGED as error:
            said = str(error).split("\n", 1)[0] or type(error).__name__
            raise CapsuleError(f"{path}: no capsule: {said}") from None


def _member(file: zipfile.ZipFile, name: str, most: int) -> bytes:
    """What is in the file under this name, which says how long it is before it is unpacked."""
    try:
        size = file.getinfo(name).file_size
    except KeyError:
        raise CapsuleError(f"there is no {name} in it") from None
    if size > most:
        raise CapsuleError(f"{name} has {size:,} bytes; expected at most {most:,}")
    with file.open(name) as member:
        found = member.read(size + 1)
    if len(found) != size:
        raise CapsuleError(f"{name} has not the {size:,} bytes that it says")
    return found


class _Fields:
    """An object of JSON whose fields are taken with their types."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise CapsuleError(f"{where} is no object")
        self._value, self._where = value, where

    def take(self, name: str, kind: type) -> Any:
        found = self._value.get(name)
        if type(found) is not kind:
            raise CapsuleError(f"{self._where}: `{name}` is no {_KINDS[kind]}")
        return found

    def each(self, name: str, kind: type) -> list[Any]:
        found = self.take(name, list)
        if any(type(x) is not kind for x in found):
            raise CapsuleError(f"{self._where}: `{name}` holds what is no {_KINDS[kind]}")
        return found  # type: ignore[no-any-return]

    def table(self, name: str, kinds: tuple[type, ...]) -> dict[str, Any]:
        found = self.take(name, dict)
        if any(type(x) not in kinds for x in found.values()):
            raise CapsuleError(f"{self._where}: `{name}` holds what is no {_KINDS[kinds[0]]}")
        return found  # type: ignore[no-any-return]


_KINDS: dict[type, str] = {int: "whole number", str: "text", list: "list", dict: "object"}


def _capsule(fields: _Fields, file: zipfile.ZipFile, path: str) -> Capsule:
    if fields.take("format", int) != FORMAT:
        raise CapsuleError(
            f"it has format {fields.take('format', int)}; this version of lucid reads {FORMAT}"
        )
    types = [_type(x) for x in fields.each("arrays", list)]
    if sum(t.nbytes for t in types) > MOST:
        raise CapsuleError(f"its arrays have more than {MOST:,} bytes")
    count = fields.take("inputs", int)
    if not 0 <= count <= len(types):
        raise CapsuleError(f"it has {count} inputs of {len(types)} arrays")
    nodes = [memory("x", t, written=k >= count) for k, t in enumerate(types)]
    inputs = []
    for k, t in enumerate(types[:count]):
        found = _member(file, f"inputs/{k}", t.nbytes)
        if len(found) != t.nbytes:
            raise CapsuleError(f"inputs/{k} has {len(found):,} bytes; expected {t.nbytes:,}, a {t}")
        inputs.append(np.frombuffer(found, t.dtype.np).reshape(t.shape))
    kernels = [_kernel(text, f"{path}, kernel {k}") for k, text in enumerate(fields.each("kernels", str))]
    given = fields.each("launches", dict)
    if len(given) > LAUNCHES:
        raise CapsuleError(f"it has more than {LAUNCHES:,} launches")
    launches = [
        _launch(_Fields(x, f"launch {k}"), kernels, nodes, f"launch {k}") for k, x in enumerate(given)
    ]
    outputs = [_at(nodes, k, "an output") for k in fields.each("outputs", int)]
    if len(set(outputs)) < len(outputs) or not all(k >= count for k in fields.each("outputs", int)):
        raise CapsuleError("an output stands twice, or is an input")
    made = fields.table("made", (str,))
    return Capsule(
        fields.take("name", str), made, tuple(nodes), tuple(inputs), tuple(outputs), tuple(launches)
    )


def _type(given: list[Any]) -> TensorType:
    if len(given) != 2 or type(given[1]) is not list or any(type(n) is not int for n in given[1]):
        raise CapsuleError("an array is no pair of a dtype and a shape")
    dtype, shape = DTYPES.get(str(given[0])), tuple(given[1])
    if dtype is None or dtype.is_complex:
        raise CapsuleError(f"{given[0]!r} is no dtype of arrays")
    if any(n < 0 for n in shape) or len(shape) > 64 or prod(shape) * dtype.size > MOST:
        raise CapsuleError(f"{shape} is no shape")
    return tensor_type(dtype, shape)


def _kernel(text: str, file: str) -> Kernel:
    def work() -> Kernel:
        kernel = parse_kernel(text, file)
        verify_kernel(kernel)
        return kernel

    return placed(text, file, work)


def _at(values: Sequence[Any], k: int, what: str) -> Any:
    if not 0 <= k < len(values):
        raise CapsuleError(f"{what} is number {k} of {len(values)}")
    return values[k]


def _launch(fields: _Fields, kernels: Sequence[Kernel], nodes: Sequence[Node], where: str) -> Launch:
    kernel: Kernel = _at(kernels, fields.take("kernel", int), f"{where}: its kernel")
    bound = {}
    for name, given in fields.table("arrays", (list,)).items():
        if (
            len(given) != 3
            or type(given[2]) is not list
            or any(type(n) is not int for n in (*given[:2], *given[2]))
        ):
            raise CapsuleError(f"{where}: `{name}` is no number, offset and strides")
        bound[name] = Operand(_at(nodes, given[0], f"{where}: `{name}`"), given[1], tuple(given[2]))
    _names(where, "array", arrays(kernel), bound)
    sizes = fields.table("symbols", (int,))
    _names(where, "size", dict.fromkeys(symbols(kernel)), sizes)
    numbers: dict[str, Number] = {}
    given = fields.table("scalars", (int, bool, str))
    _names(where, "scalar", scalars(kernel), given)
    for name, scalar in scalars(kernel).items():
        value = given[name]
        numbers[name] = float.fromhex(value) if type(value) is str else value
        if type(numbers[name]) is not _python(scalar.dtype):
            raise CapsuleError(f"{where}: the scalar `{name}` is no {scalar.dtype}")
    hashes = fields.table("hashes", (str,))
    _names(where, "hash", {o.name: o for o in kernel.outputs}, hashes)
    call = Call(kernel, bound, sizes, numbers, ())
    return Launch(fields.take("name", str), tuple(fields.each("lines", str)), call, hashes)


def _names(where: str, what: str, needed: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name in needed:
        if name not in given:
            raise CapsuleError(f"{where}: there is no {what} `{name}`")
    for name in given:
        if name not in needed:
            raise CapsuleError(f"{where}: `{name}` is no {what} of its kernel")
