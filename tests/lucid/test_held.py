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


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[None],
        lambda x: x.reshape(-1, x.shape[0] // 2 or 1),
        lambda x: x[:, None].T,
        lambda x: x[::-1][::-1].unsqueeze(1),
        lambda x: x[:1].squeeze(),
        lambda x: x[:1].max(),
        lambda x: lucid.where(x == x, x, x)[None],
        lambda x: (x.reshape(2, -1) if x.shape[0] > 1 else x[0], lucid.linalg.norm(x)),
    ],
)
@pytest.mark.parametrize("served", [True, False])
def test_a_state_in_another_shape_is_a_result_that_keeps_what_it_had(
    n: int, view: Callable[[Tensor], Any], served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the way through Python overwrites where there is one thread; pytest's own may have more
    monkeypatch.setattr(sys, "_current_frames", lambda: {0: None})
    if not served:
        monkeypatch.setenv("LUCID_NATIVE", "0")
    state = nn.Parameter(np.arange(1, n + 1, dtype=np.float32))

    @lucid.compile
    def step() -> Any:
        found = view(state)
        with lucid.no_grad():
            state.mul_(2)
        return found

    for k in range(5):
        before = lucid.tensor(np.arange(1, n + 1, dtype=np.float32) * 2**k)
        for got, want in zip(_all(step()), _all(view(before)), strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy())
        np.testing.assert_array_equal(state.numpy(), before.numpy() * 2)


def test_two_states_that_take_each_others_place_in_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_current_frames", lambda: {0: None})
    module: Any = nn.Module()
    module.register_buffer("a", lucid.zeros(2, 3))
    module.register_buffer("b", lucid.arange(6.0))

    @lucid.compile
    def step() -> None:
        module.a, module.b = module.b.reshape(2, 3) + 0, module.a.reshape(6) * 1

    for k in range(5):
        step()
        want = np.arange(6.0) * (k % 2 == 0)
        np.testing.assert_array_equal(module.a.numpy().ravel(), want)
        np.testing.assert_array_equal(module.b.numpy(), np.arange(6.0) - want)


def _all(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)
