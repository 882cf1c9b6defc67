"""Tensors in files: what `state_dict` gives, and whatever else is made of dicts, lists, tuples, numbers, text
and tensors. A file is a zip archive of NumPy's `.npy` files and of JSON that says how they hang together;
nothing in it is ever run.

    lucid.save({"model": model.state_dict(), "opt": opt.state_dict(), "epoch": 3}, "run.lucid")
    state = lucid.load("run.lucid")
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lucid.compiler.ir.types import bf16

from .creation import Device
from .engine import Array
from .errors import public
from .tensor import Tensor

__all__ = ["load", "save"]

_STRUCTURE = "structure.json"
_VERSION = 1


@public
def save(obj: Any, f: Any) -> None:
    """Write `obj` to the file `f`, a path or a binary file: dicts (of text and ints), lists, tuples, None,
    bools, numbers, text, tensors, NumPy's arrays and numbers. A path is written whole or not at all.
    TypeError that says where in `obj` anything else is. Values are read: not in compiled functions."""
    arrays: list[Array] = []
    structure = {"lucid": _VERSION, "is": _told(obj, arrays, "the object")}
    text = json.dumps(structure)
    if hasattr(f, "write"):
        _write(f, text, arrays)
        return
    path = Path(f)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            _write(file, text, arrays)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _write(file: Any, text: str, arrays: list[Array]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_STRUCTURE, text)
        for k, array in enumerate(arrays):
            with archive.open(f"{k}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _told(obj: Any, arrays: list[Array], where: str) -> Any:
    """`obj` as JSON, with the numbers of arrays in place of arrays."""
    if obj is None or isinstance(obj, bool | str):
        return obj
    if isinstance(obj, Tensor | np.ndarray | np.generic):
        value = np.asarray(obj.detach().cpu().numpy() if isinstance(obj, Tensor) else obj)
        if value.dtype.hasobject or value.dtype.names:
            raise TypeError(f"save: {where} is an array of {value.dtype}, which is no number")
        kind = "tensor" if isinstance(obj, Tensor) else "array" if isinstance(obj, np.ndarray) else "number"
        told = {kind: len(arrays)}
        if isinstance(obj, Tensor) and obj.requires_grad:
            told["requires_grad"] = True
        if value.dtype.name == "bfloat16":
            told["bfloat16"], value = True, value.view(np.uint16)
        arrays.append(value)
        return told
    if isinstance(obj, int | float):
        return int(obj) if isinstance(obj, int) else float(obj)
    if isinstance(obj, complex):
        return {"complex": [obj.real, obj.imag]}
    if isinstance(obj, list | tuple):
        kind = "list" if isinstance(obj, list) else "tuple"
        return {kind: [_told(x, arrays, f"{where}[{k}]") for k, x in enumerate(obj)]}
    if isinstance(obj, Mapping):
        for key in obj:
            if not isinstance(key, str | int) or isinstance(key, bool):
                raise TypeError(f"save: {where} has the key {key!r}; expected text or ints")
        return {"dict": [[key, _told(x, arrays, f"{where}[{key!r}]")] for key, x in obj.items()]}
    raise TypeError(
        f"save: {where} is a {type(obj).__name__}; expected dicts, lists, tuples, numbers, text, tensors and "
        "arrays (of a module or an optimiser its state_dict())"
    )


@public
def load(f: Any, *, device: Device = None, map_location: Device = None) -> Any:
    """What `save` wrote to the file `f`, a path or a binary file; tensors lie on `device` (`map_location` is
    PyTorch's name of it). ValueError for a file that `save` did not write, or that is damaged."""
    place = map_location if device is None else device
    if not isinstance(f, str | os.PathLike) and not hasattr(f, "seek"):
        raise TypeError(f"load: expected a path or a binary file, not {type(f).__name__}")
    try:
        with zipfile.ZipFile(f) as archive:
            structure = json.loads(archive.read(_STRUCTURE))
            version = structure.get("lucid") if isinstance(structure, dict) else None
            if version != _VERSION:
                raise ValueError(f"it is of version {version}, expected {_VERSION}")
            return _made(structure["is"], archive, place, 0)
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        EOFError,
        RecursionError,
        IndexError,
    ) as error:
        if isinstance(f, str | os.PathLike) and Path(f).suffix in (".pt", ".pth"):
            hint = "; is it PyTorch's? torch.load it, and give load_state_dict its arrays"
        else:
            hint = ""
        raise ValueError(f"load: no file that lucid.save wrote, or damaged: {f} ({error}){hint}") from None


def _made(told: Any, archive: zipfile.ZipFile, device: Device, depth: int) -> Any:
    if depth > 200:
        raise ValueError("more than 200 dicts and lists within each other")
    if told is None or isinstance(told, bool | str | int | float):
        return told
    if not isinstance(told, dict):
        raise ValueError(f"unexpected {type(told).__name__}")
    if "dict" in told:
        return {key: _made(x, archive, device, depth + 1) for key, x in told["dict"]}
    for name, kind in (("list", list), ("tuple", tuple)):
        if name in told:
            return kind(_made(x, archive, device, depth + 1) for x in told[name])
    if "complex" in told:
        real, imag = told["complex"]
        return complex(real, imag)
    (kind_of,) = {"tensor", "array", "number"} & set(told)
    array = np.lib.format.read_array(
        io.BytesIO(archive.read(f"{int(told[kind_of])}.npy")), allow_pickle=False
    )
    if told.get("bfloat16"):
        array = array.view(bf16.np)
    if kind_of == "tensor":
        return Tensor(array, requires_grad=bool(told.get("requires_grad")), device=device)
    return array if kind_of == "array" else array[()]
