"""Random tensor programs, compiled and lazy, against NumPy's; `lucid/testing/generate.py` makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import lucid
from lucid.compiler.pipeline import Compiled as Made
from lucid.engine import Executable
from lucid.testing.generate import random_program
from lucid.testing.program import Array, Program, coarsest, difference
from tests.guarded import Guarded, guarded_like

__all__ = ["Array", "Program", "check_values", "compiled", "made", "random_program", "tensors"]


def tensors(inputs: Mapping[str, Array]) -> dict[str, lucid.Tensor]:
    return {n: lucid.Tensor(a) for n, a in inputs.items()}


def function(program: Program) -> Callable[..., tuple[lucid.Tensor, ...]]:
    """A function of the program's inputs, in order, that returns its outputs."""
    names = list(program.inputs)

    def run(*args: lucid.Tensor) -> tuple[lucid.Tensor, ...]:
        values = program.run(lucid, dict(zip(names, args, strict=True)))
        return tuple(values[o] for o in program.outputs)

    return run


def compiled(program: Program) -> Callable[..., tuple[lucid.Tensor, ...]]:
    return lucid.compile(function(program))


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
