"""Random tensor programs, compiled and lazy, against NumPy's; `lucid/testing/generate.py` makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import lucid
from lucid.compiler.pipeline import Compiled as Made
from lucid.engine import Executable
from lucid.testing.generate import random_program
from lucid.testing.program import Array, Program
from tests.guarded import Guarded, guarded_like

__all__ = ["Array", "Program", "check_values", "compiled", "made", "random_program", "tensors"]


def coarsest(values: Mapping[str, Any]) -> int:
    """Bytes of the narrowest float among `values`: what it rounds, a wider one keeps."""
    return min((v.dtype.itemsize for v in map(np.asarray, values.values()) if v.dtype.kind == "f"), default=8)


def difference(name: str, got: Array, want: Array, exact: bool, size: int) -> str | None:
    """Why `got` is not NumPy's `want`, exactly or within what floats of `size` bytes allow; None
    if it is."""
    want = np.asarray(want)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{name}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}"
    if want.dtype.kind != "f":
        same = np.array_equal(got, want)
    elif exact:
        same = np.array_equal(got, want, equal_nan=True)
    else:
        finite = np.isfinite(want)
        same = np.array_equal(got[~finite], want[~finite], equal_nan=True) if not finite.all() else True
        scale = float(np.max(np.abs(want[finite]).astype(np.float64), initial=1e-3))
        bound = {2: 4e-2, 4: 5e-4, 8: 1e-10}[size] * scale
        with np.errstate(all="ignore"):
            off = np.abs(got[finite].astype(np.float64) - want[finite].astype(np.float64))
        same = same and not np.any(~(off <= bound))
    return None if same else f"{name}: exact={exact}\ngot  {got.ravel()[:20]}\nwant {want.ravel()[:20]}"


def tensors(inputs: Mapping[str, Array]) -> dict[str, lucid.Tensor]:
    return {n: lucid.Tensor(a) for n, a in inputs.items()}


def compiled(program: Program) -> Callable[..., tuple[lucid.Tensor, ...]]:
    """A compiled function of the program's inputs, in order, that returns its outputs."""
    names = list(program.inputs)

    def run(*args: lucid.Tensor) -> tuple[lucid.Tensor, ...]:
        values = program.run(lucid, dict(zip(names, args, strict=True)))
        return tuple(values[o] for o in program.outputs)

    return lucid.compile(run)


def between_guards(
    f: Callable[..., tuple[lucid.Tensor, ...]], program: Program, want: Mapping[str, Any], front: bool
) -> tuple[dict[str, lucid.Tensor], str | None]:
    """The outputs of compiled `f`, where inputs and outputs are NumPy arrays between guards; the name of one
    around which something was written."""
    held = [guarded_like(a, front) for a in program.inputs.values()]
    like = [np.asarray(want[name]) for name in program.outputs]
    outs = [Guarded(a.shape, a.dtype, front) for a in like]
    try:
        found = f(*(array for _, array in held), out=tuple(o.array for o in outs))
    except ValueError as error:  # some result is an input, or another one
        assert "each once" in str(error)
        found = f(*(array for _, array in held))
    names, guards = (*program.inputs, *program.outputs), (*(g for g, _ in held), *outs)
    written = [name for name, guard in zip(names, guards, strict=True) if not guard.intact()]
    return dict(zip(program.outputs, found, strict=True)), next(iter(written), None)


def check_values(program: Program) -> str | None:
    """What is wrong with the outputs of `program`, compiled or lazy, by NumPy's; None if nothing."""
    want = program.run(np, program.inputs)
    size = coarsest({k: v for k, v in want.items() if isinstance(v, np.ndarray | np.generic)})
    f = compiled(program)
    for way in ("compiled", "lazy", "out at the end of memory", "out at its beginning"):
        given = tensors(program.inputs)
        if way == "compiled":
            results = dict(zip(program.outputs, f(*given.values()), strict=True))
        elif way == "lazy":
            results = program.run(lucid, given)
        else:
            results, written = between_guards(f, program, want, way.endswith("beginning"))
            if written:
                return f"{way}: bytes around {written} are overwritten"
        for name in program.outputs:
            wrong = difference(
                f"{way} {name}", results[name].numpy(), want[name], name in program.exact, size
            )
            if wrong:
                return wrong
    return None


def made(f: Any) -> Made:
    """What the compiler has made of the latest call of a compiled function."""
    executable = f._last().executable
    assert isinstance(executable, Executable)
    return executable.compiled
