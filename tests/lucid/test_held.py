"""A step writes a parameter in place, unless somebody holds its memory: then that keeps what it had."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.runtime import call

Array = np.ndarray[Any, Any]


def later(w: Tensor) -> Iterator[Array]:
    array = w.numpy()
    yield array[:1]
    yield array


def of_generator(w: Tensor) -> Callable[[], Array]:
    waits = later(w)
    next(waits)
    return lambda: next(waits)


def of_memory(w: Tensor) -> Callable[[], Array]:
    """The owner of the memory, without any array that it had."""
    owner = memoryview(w._node.data if w._node.data.base is None else w._node.data.base)
    size = w.shape[0]  # the block may be larger
    return lambda: np.frombuffer(owner, np.float32)[:size]


def of(
    take: Callable[[Tensor], Any], read: Callable[[Any], Array]
) -> Callable[[Tensor], Callable[[], Array]]:
    def hold(w: Tensor) -> Callable[[], Array]:
        held = take(w)
        return lambda: read(held)

    return hold


HOLDERS: dict[str, Callable[[Tensor], Callable[[], Array]]] = {
    "detach": of(lambda w: w.detach(), lambda t: t.numpy()),
    "numpy": of(lambda w: w.numpy(), lambda a: a),
    "asarray": of(np.asarray, lambda a: a),
    "slice": of(lambda w: w.numpy()[1:], lambda a: a),
    "slice of slice": of(lambda w: w.numpy()[1:][1:], lambda a: a),
    "container": of(lambda w: {"w": [w.detach()]}, lambda d: d["w"][0].numpy()),
    "base": of(lambda w: w.numpy()[:].base, np.asarray),
    "memoryview": of(lambda w: w.numpy().data, np.asarray),
    "memory": of_memory,
    "generator": of_generator,
    "lazy": of(lambda w: w.detach() * 1, lambda t: t.numpy()),
    "graph": of(lambda w: w * 1, lambda t: t.detach().numpy()),
}


@pytest.mark.parametrize("size", [3, 5_000, 100_000])
@pytest.mark.parametrize("form", HOLDERS)
def test_what_is_held_stays_as_it_was(form: str, size: int) -> None:
    w = nn.Parameter(np.zeros(size, np.float32))
    opt = optim.SGD([w], lr=1.0)
    x = Tensor(np.ones(size, np.float32))

    @lucid.compile
    def step() -> None:
        opt.zero_grad()
        (-w * x).sum().backward()
        opt.step()

    alone = len(sys._current_frames()) == 1  # no other thread may come between what Python does
    for k in range(5):  # after the trace, a call by Python, and native ones
        step()
        place = w._node.data.ctypes.data
        step()
        if alone or (k and call.available()):  # nobody holds it
            assert w._node.data.ctypes.data == place
        read = HOLDERS[form](w)
        step()
        assert np.unique(read()).tolist() == [3 * k + 2]
        assert w.numpy()[0] == 3 * k + 3
        del read
