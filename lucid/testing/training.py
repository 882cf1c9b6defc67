"""Steps that change what they find: a program as a model whose inputs are parameters, trained by an
optimiser, with a running mean and with noise; compiled and uncompiled."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid.nn import Module, Parameter

from .bits import bits_apart
from .program import Array, Program
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
