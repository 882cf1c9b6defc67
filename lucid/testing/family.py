"""A program whose draws run through the code of one: what is compared for every draw."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph
from lucid.compiler.pipeline import run_passes
from lucid.runtime import execute
from lucid.runtime.host import host

from ..engine import Executable
from ..promote import as_array
from ..tensor import Tensor
from .bits import bits_apart
from .blame import within
from .bounds import Running, running
from .checking import parts, real
from .crossed import environment
from .draws import Draw, Shapes, shapes_of
from .layouts import Guarded
from .program import Array, Number, Program, coarsest, difference, halves
from .reached import reached
from .traced import loss_of, traced


@data
class Fault:
    """What is wrong with a program: which comparison says so, and what it says."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def function(program: Program) -> Callable[..., tuple[Tensor, ...]]:
    """The program as a function of its inputs and numbers, in their order; numbers may be left out."""
    names = [*program.inputs, *program.numbers]

    def run(*args: Any) -> tuple[Tensor, ...]:
        values = program.run(lucid, dict(zip(names, args, strict=False)))
        return tuple(values[o] for o in program.outputs)

    return run


def with_gradients(program: Program) -> Callable[..., tuple[Tensor, ...]]:
    """The outputs, and the gradients of their weighted sum by all inputs."""
    run = function(program)
    derive = lucid.grad(loss_of(run), argnums=tuple(range(len(program.inputs))))
    return lambda *args: (*run(*args), *derive(*args))


@data
class Form:
    """What was compiled for inputs of certain shapes: the graph over real numbers, which argument each of its
    inputs is (or the array itself), the code, and which output each result is (-1: an input, as it is). Of
    small work threads take shares, too."""

    graph: Graph
    places: tuple[int | Array, ...]
    shared: Executable
    results: tuple[int, ...]

    def inputs(self, arrays: list[Array]) -> list[Array]:
        return [arrays[p] if isinstance(p, int) else p for p in self.places]

    def __call__(self, inputs: list[Array], threads: int) -> list[Array | None]:
        self.shared.threads = threads
        outputs = self.shared(inputs)
        return [outputs[k] if k >= 0 else None for k in self.results]

    def values(self, inputs: list[Array]) -> list[Running | None]:
        """What is known of each result."""
        found = running(self.graph, [parts(x) for x in inputs])
        return [found[self.graph.outputs[k]] if k >= 0 else None for k in self.results]


class Family:
    """Compares, for each draw of a program:

    - every result (gradients among them, if the draw is smooth) with float64, within running error bounds,
      and with the op-by-op result of NumPy where that has the same bits;
    - the outputs with the whole program run by NumPy;
    - with more threads, the bits; with inputs laid out and outputs between guards, the bits too, but where
      sums go in another order, and what lies around the outputs; arguments and the results of the call before
      stay as they are.
    """

    def __init__(self, program: Program, smooth: bool) -> None:
        self.f = with_gradients(program) if smooth else function(program)
        self.compiled = lucid.compile(self.f)
        self.forms: dict[tuple[Shapes, tuple[Number, ...]], Form | None] = {}
        self.held: list[tuple[Array, Array]] = []  # results of the call before, and copies of them

    def form(self, program: Program) -> Form | None:
        """What is compiled for these shapes and numbers; None where a library takes part."""
        key = shapes_of(program), tuple(program.numbers.values())
        if key not in self.forms:
            settings = {"LUCID_VERIFY": "1"} if len(self.forms) % 2 else {}
            with environment(settings):  # what was compiled for other sizes is what would be for these
                self.forms[key] = self._made(program)
        return self.forms[key]

    def _made(self, program: Program) -> Form | None:
        copies = [a.copy() for a in program.inputs.values()]
        call = traced(self.f, (*copies, *program.numbers.values()))
        executable = call.executable
        if not isinstance(executable, Executable):
            return None
        places: list[int | Array] = []
        for source, array in zip(call.compiled._last().sources, call.inputs, strict=True):
            owner = source.owner
            places.append(
                owner if isinstance(owner, int) and source.number < 0 else np.array(as_array(array))
            )
        shared = copy.copy(executable)
        shared.native = execute.Executable(executable.compiled.plan, parallel=1)
        return Form(real(call)[0], tuple(places), shared, tuple(r.output for r in call.results))

    def branches(self, program: Program) -> set[tuple[str, str]]:
        """The branches that the passes take for these shapes, as features."""
        form = self.form(program)
        if form is None:
            return set()
        with reached() as found:
            run_passes(form.shared.compiled.graph, host(), (), None)
        return {("branch", name) for name in found}

    def fault(self, draw: Draw) -> Fault | None:
        """What is wrong with a draw; an exception is a fault as well."""
        kind = "bounds"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                form = self.form(draw.program)
                if form is None:
                    return None
                inputs = form.inputs(list(draw.program.inputs.values()))
                first, values = form(inputs, 1), form.values(inputs)
                said = _bounds(first, values)
                if said is None and draw.threads > 1:
                    kind, said = (
                        "threads",
                        _apart(first, form(inputs, draw.threads), f"{draw.threads} threads"),
                    )
                if said is None:
                    kind, given = "calls", self._call(draw, first)
                    if isinstance(given, str):
                        return Fault(kind, given)
                    if draw.keeps_order():
                        said = _apart(first, given, f"a call ({described(draw)})")
                    else:
                        said = _bounds(given, values)
                    if said is None:
                        kind, said = "NumPy", eager(draw.program, given, values)
            except Exception as error:
                return Fault(f"{kind}, {type(error).__name__}", str(error))
        return None if said is None else Fault(kind, said)

    def _call(self, draw: Draw, plain: list[Array | None]) -> list[Array | None] | str:
        """The results of a call as a user makes it; or what is wrong around them."""
        arrays = draw.arrays()
        known = [a for a in plain if a is not None]
        if draw.guarded and len(known) == len(plain):
            outs = [Guarded(a.shape, a.dtype, draw.threads == 1) for a in known]
            arrays = _shared(arrays, outs, draw.threads)
            try:
                self.compiled(*arrays, *draw.program.numbers.values(), out=tuple(o.array for o in outs))
            except ValueError as error:  # some result is an input, or another one
                if "each once" not in str(error):
                    raise
            else:
                wrong = [k for k, out in enumerate(outs) if not out.intact()]
                return f"around result {wrong[0]} bytes are written" if wrong else [o.array for o in outs]
        copies = [a.copy() for a in arrays]
        returned = self.compiled(*arrays, *draw.program.numbers.values())
        results: list[Array | None] = [t.numpy() for t in returned]
        before, self.held = self.held, [(t.numpy(), t.numpy().copy()) for t in returned]
        if any(bits_apart(a, copy) is not None for a, copy in before):
            return "a result of the call before has changed"
        if any(bits_apart(a, copy) is not None for a, copy in zip(arrays, copies, strict=True)):
            return "an argument has changed"
        return results


def _shared(arrays: list[Array], outs: list[Guarded], threads: int) -> list[Array]:
    """The arguments, of which one may lie in an output: in all of it where there are two threads, and in its
    end, from its second element on, where there are three."""
    for out in outs:
        for a in arrays:
            like = (a.shape, a.dtype) == (out.array.shape, out.array.dtype)
            if threads == 2 and like:
                out.array[...] = a
                return [out.array if x is a else x for x in arrays]
            flat = out.array.reshape(-1)
            if threads == 3 and a.dtype == flat.dtype and a.ndim and 0 < a.size < flat.size:
                inside = flat[1 : 1 + a.size].reshape(a.shape)
                inside[...] = a
                return [inside if x is a else x for x in arrays]
    return arrays


def described(draw: Draw) -> str:
    """Where the inputs lie, in words."""
    return ", ".join(f"{name}: {layout}" for name, layout in draw.layouts.items()) or "rows"


def _bounds(results: Sequence[Array | None], values: Sequence[Running | None]) -> str | None:
    for k, (got, value) in enumerate(zip(results, values, strict=True)):
        if got is not None and value is not None and not within(parts(got), value):
            want = value.own if value.same else value.exact
            return f"result {k}: got {got.ravel()[:20]}\nwant {want.ravel()[:20]}"
    return None


def eager(program: Program, results: Sequence[Array | None], values: Sequence[Running | None]) -> str | None:
    """What differs from the outputs of the program run by NumPy, in words; `values`: what is known of each
    result."""
    want = program.run(np, program.inputs)
    size = coarsest(want)
    for name, result, value in zip(program.outputs, results, values, strict=False):
        got, eager, exact = np.asarray(result), np.asarray(want[name]), name in program.exact
        if value is not None and not value.same and (got.shape, got.dtype) == (eager.shape, eager.dtype):
            got, eager, exact = halves(got), halves(eager), False
            with np.errstate(all="ignore"):  # NumPy rounds as much as lucid may, where terms cancel, too
                near = np.abs(got.astype(np.float64) - eager) <= 4 * value.error
            known = np.isfinite(value.error) & ~near  # elsewhere rounding decides, as at a jump or at a pole
            got, eager = got[known], eager[known]
        wrong = difference(name, got, eager, exact, size)
        if wrong is not None:
            return wrong
    return None


def _apart(first: Sequence[Array | None], other: Sequence[Array | None], what: str) -> str | None:
    for k, (a, b) in enumerate(zip(first, other, strict=True)):
        wrong = bits_apart(a, b) if a is not None and b is not None else None
        if wrong is not None:
            return f"result {k}, one thread and {what}: {wrong}"
    return None
