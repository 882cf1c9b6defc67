"""Steps that change what they find: a program as a model whose inputs are parameters, trained by an
optimiser, with a running mean and with noise, compiled and uncompiled; and one whose inputs are a state that
takes over its results, compiled and by NumPy."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import lucid
from lucid.nn import Module, Parameter

from .bits import bits_apart
from .draws import holds
from .program import Array, Program, difference
from .traced import weighted

STEPS = 3
# Of what a step computes in float64, as a part of the largest value: sums go in another order where they are
# compiled with others, and three steps carry that on.
CLOSE = 1e-8


class Model(Module):
    """The program over parameters, and a buffer that takes part in the loss and changes at each step."""

    mean: lucid.Tensor

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        for name, array in program.inputs.items():
            setattr(self, name, Parameter(array.copy()))
        self.register_buffer("mean", lucid.Tensor(np.zeros((), np.float64)))

    def forward(self, noise: float) -> Any:
        given = {name: getattr(self, name) for name in self.program.inputs}
        values = self.program.run(lucid, given)
        loss = weighted([values[o] for o in self.program.outputs])
        if noise:
            first = next(iter(given.values()))
            loss = loss + (first * lucid.random.rand(*first.shape, dtype=lucid.float64)).sum() * noise
        self.mean = 0.9 * self.mean + 0.1 * loss.detach()
        return loss + 0.01 * loss * self.mean


def optimisers(number: int) -> Callable[[Any], Any]:
    rng = random.Random(number)
    return rng.choice(
        (
            lambda given: lucid.optim.SGD(given, lr=1e-3),
            lambda given: lucid.optim.SGD(given, lr=1e-3, momentum=0.9, nesterov=True),
            lambda given: lucid.optim.Adam(given, lr=1e-3),
            lambda given: lucid.optim.AdamW(given, lr=1e-3, weight_decay=0.1),
        )
    )


def trained(program: Program, number: int, wrap: Callable[[Any], Any]) -> tuple[list[Array], list[Array]]:
    """Losses, mean, parameters and the state of the optimiser after some steps; and random numbers that
    were drawn on the way."""
    lucid.random.manual_seed(number)
    model = Model(program)
    optimiser = optimisers(number)(list(model.parameters()))
    noise = 0.1 if number % 2 else 0.0

    def step() -> Any:
        optimiser.zero_grad()
        loss = model(noise)
        loss.backward()
        optimiser.step()
        drawn = lucid.random.rand(5), lucid.random.randint(0, 9, (3,)), lucid.random.randn(2)
        return loss, *drawn, lucid.random.randperm(6), lucid.bernoulli(lucid.full((4,), 0.5))

    run, losses, drawn = wrap(step), [], []
    before = [p.numpy() for p in model.parameters()]  # views of the first values, which must stay
    kept = [a.copy() for a in before]
    for _ in range(STEPS):
        loss, *numbers = run()
        losses.append(loss.numpy())
        drawn += [t.numpy() for t in numbers]
    for view, copy in zip(before, kept, strict=True):
        if bits_apart(view, copy) is not None:
            raise AssertionError("a step has changed the array that a parameter was read into before")
    state = [t.numpy() for tensors in optimiser.state.values() for t in tensors]
    return [*losses, model.mean.numpy(), *(p.numpy() for p in model.parameters()), *state], drawn


def steps_apart(program: Program, number: int) -> str | None:
    """What differs between compiled and uncompiled steps, in words."""
    (compiled, drawn), (lazy, wanted) = (trained(program, number, w) for w in (lucid.compile, lambda f: f))
    if len(compiled) != len(lazy):
        return f"{len(compiled)} results of compiled steps, {len(lazy)} of others"
    for k, (got, want) in enumerate(zip(compiled, lazy, strict=True)):
        scale = float(np.max(np.abs(want), initial=1e-3, where=np.isfinite(want)))
        if not np.allclose(got, want, rtol=CLOSE, atol=CLOSE * scale, equal_nan=True):
            return f"result {k} of {STEPS} steps: got {got.ravel()[:20]}\nwant {want.ravel()[:20]}"
    for k, (got, want) in enumerate(zip(drawn, wanted, strict=True)):
        wrong = bits_apart(got, want)
        if wrong is not None:
            return f"random numbers {k} of {STEPS} steps: {wrong}"
    return None


class State(Module):
    """What a program's inputs are, as buffers; those in `takes` become a result in each step."""

    def __init__(self, program: Program, takes: dict[str, str]) -> None:
        super().__init__()
        self.program, self.takes = program, takes
        for name, array in program.inputs.items():
            self.register_buffer(name, lucid.Tensor(array.copy()))

    def forward(self) -> tuple[Any, ...]:
        values = self.program.run(lucid, {name: getattr(self, name) for name in self.program.inputs})
        for name, result in self.takes.items():
            setattr(self, name, values[result])
        return tuple(values[o] for o in self.program.outputs)


def computed(program: Program) -> set[str]:
    """Results with NumPy's bits that are no buffer themselves, whose value changes when one is assigned."""
    given = {name: lucid.Tensor(array) for name, array in program.inputs.items()}
    values, own = program.run(lucid, given), {id(x) for x in given.values()}
    return {n for n, _ in program.statements if n in program.exact and id(values[n]) not in own}


def taken(program: Program) -> dict[str, str]:
    """Which result an input takes over: one of its shape and dtype, each once."""
    values, found = program.run(np, program.inputs), dict[str, str]()
    for name, array in program.inputs.items():
        for result in sorted(computed(program) - set(found.values())):
            value = np.asarray(values[result])
            if (value.shape, value.dtype) == (array.shape, array.dtype):
                found[name] = result
    return found


def states_apart(program: Program) -> str | None:
    """What differs between compiled steps and those by NumPy, in words; as long as what is said of the
    program holds of its state."""
    takes = taken(program)
    if not takes:
        return None
    state = State(program, takes)
    step, known = lucid.compile(lambda: state()), computed(program)
    for number in range(STEPS):
        if not holds(program):
            return None
        want = program.run(np, program.inputs)
        results = [t.numpy() for t in step()]
        program = replace(program, inputs=program.inputs | {n: np.asarray(want[r]) for n, r in takes.items()})
        got = dict(zip(program.outputs, results, strict=True))
        got = {name: array for name, array in got.items() if name in known}
        got |= {name: getattr(state, name).numpy() for name in takes}
        for name, array in got.items():
            wrong = difference(name, array, np.asarray((want | program.inputs)[name]), True, 8)
            if wrong is not None:
                return f"step {number}: {wrong}"
    return None
