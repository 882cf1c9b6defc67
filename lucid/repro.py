"""A call of a compiled function as a script: `compiled.repro("out.py", ...)`, `lucid repro script.py:name`.

The script holds the text of the graph and of the kernels, and the inputs, parameters included; arrays of more
than INSIDE elements lie in a .npz file beside it. It runs the kernels, and compares what they give with what
NumPy gives for the graph (`lucid.testing.reproduce`). Nothing in it is a pickle.
"""

from __future__ import annotations

import os
import re
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lucid.compiler.ir.types import from_numpy
from lucid.runtime.host import host
from lucid.runtime.pool import get_num_threads

from .engine import Array
from .recording import Recording
from .testing.replaying import machine
from .texts import GraphText, parse

INSIDE = 256
ROW = 100  # characters of a line of numbers

SCRIPT = '''"""A call of {name}, as lucid compiled it ({made}).

    python {file}

runs its kernels here, compares the results with NumPy's, and prints what differs: exit code 1, if something
does. {beside}
"""

{imports}

GRAPH = {graph}

KERNELS = {kernels}

{stored}INPUTS = {{
{inputs}}}

if __name__ == "__main__":
    raise SystemExit(reproduce(GRAPH, KERNELS, INPUTS))
'''


def write(path: str | os.PathLike[str], name: str, recording: Recording, arrays: list[Any]) -> list[Path]:
    """The script of a call with these inputs; what was written. OSError where that cannot be."""
    graph, kernels = recording.executable.ir("gradient"), recording.executable.ir("kernel")
    found = parse(graph, "GRAPH")
    assert isinstance(found, GraphText)
    given = dict(zip(found.inputs, map(np.asarray, arrays), strict=True))
    large = {name: array for name, array in given.items() if array.size > INSIDE}
    script, beside = Path(path), Path(path).with_suffix(".npz")
    inputs = "".join(
        f"    {name!r}: {f'stored[{name!r}]' if name in large else _literal(array)},\n"
        for name, array in given.items()
    )
    numbers = ["from numpy import inf, nan"] if re.search(r"\b(inf|nan)\b", inputs) else []
    imports = ["import numpy as np", *numbers, "", "from lucid.testing import reproduce"]
    text = SCRIPT.format(
        name=name,
        made=", ".join(f"{key} {value}" for key, value in machine(host(), get_num_threads()).items()),
        file=script.name,
        beside=f"Large inputs lie in {beside.name}." if large else "It needs nothing else.",
        imports="\n".join((["from pathlib import Path", ""] if large else []) + imports),
        graph=_text(graph),
        kernels=_text(kernels),
        stored='stored = np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False)\n' if large else "",
        inputs=inputs,
    )
    script.write_text(text, encoding="utf-8", newline="\n")
    if not large:
        return [script]
    with zipfile.ZipFile(beside, "w") as file:  # as np.savez, for any name
        for name, array in _plain(large).items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
    return [script, beside]


def _text(text: str) -> str:
    """A text as Python has it."""
    text = f"\n{text.strip()}\n"
    return repr(text) if '"""' in text or "\\" in text else f'"""{text}"""'


def _plain(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What .npz files know."""
    return {
        name: array.view(f"V{array.itemsize}") if _packaged(array) else array
        for name, array in arrays.items()
    }


def _packaged(array: Array) -> bool:
    return bool(from_numpy(array.dtype).package)


def _literal(array: Array) -> str:
    """An array as an expression: each number exactly."""
    shape, dtype, view = array.shape, array.dtype, ""
    flat = np.ascontiguousarray(array).reshape(-1)
    if dtype.kind == "c":  # the signs of zeros are kept
        flat, view = flat.view(flat.real.dtype), f'.view("{dtype.name}")'
    elif _packaged(array):
        flat, view = flat.view(f"u{dtype.itemsize}"), f'.view("V{dtype.itemsize}")'
    numbers = ", ".join(map(repr, flat.tolist()))
    if len(numbers) > ROW:
        numbers = f"\n        {_wrapped(numbers)}\n    "
    reshape = f".reshape({shape})" if shape != flat.shape or view else ""
    return f'np.array([{numbers}], "{flat.dtype.name}"){view}{reshape}'


def _wrapped(numbers: str) -> str:
    return "\n        ".join(textwrap.wrap(numbers, ROW - 8, break_long_words=False, break_on_hyphens=False))
