"""Writes to what NumPy or PyTorch would let share memory: done, or told of; never lost in silence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

ZEROS = np.zeros((3, 4), "f")


def _row_by_name(x: Any) -> None:
    row = x[1]
    row /= 2


def _assigned_later(x: Any) -> None:
    old = x.data
    x += 1
    old[0] = 5


LOST: dict[str, Callable[[Any], Any]] = {
    "an item of an item": lambda x: x[1].__setitem__(2, 5),
    "an item of a transposed tensor": lambda x: x.T.__setitem__(1, 5),
    "an item of all in a row": lambda x: x.view(-1).__setitem__(0, 1),
    "a row filled": lambda x: x[0].fill_(3),
    "a row of a row": lambda x: x[:2][0].zero_(),
    "a row of data": lambda x: x.data[0].zero_(),
    "detached": lambda x: x.detach().add_(1),
    "parts": lambda x: [part.zero_() for part in x.chunk(3)],
    "initialised": lambda x: nn.init.ones_(x[:2]),
    "a row by a name": _row_by_name,
    "data of before": _assigned_later,
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("write", LOST.values(), ids=LOST)
def test_a_write_to_a_view_is_told_of(write: Callable[[Any], Any], compiled: bool) -> None:
    x = Tensor(ZEROS)

    def step() -> None:
        write(x)

    with pytest.warns(UserWarning, match="share no memory"):
        (lucid.compile(step) if compiled else step)()
    assert x[:, 1:].numpy().max() == (write is _assigned_later)


def _by_operators(x: Any) -> None:
    x[1] += 5
    x[1, 2:] *= 2
    x.data[0] += 1
    x.data -= 1
    row = x[2]
    row = row + 1


def _by_data(x: Any) -> None:
    data = x.data
    data[0] = 0
    data += 1
    data[1] = 5
    x.data[1, 2:].clone().fill_(7)
    x.data.sub_(1)
    x.data[1, 2:] = 9
    x.data[2] = -1


@pytest.mark.parametrize("parameter", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("write", [_by_operators, _by_data])
def test_what_goes_where_it_came_from_is_not_lost(write: Any, compiled: bool, parameter: bool) -> None:
    """`x[1] += 5` takes a view, changes it, and assigns it; `w.data` is all of w."""
    x = nn.Parameter(ZEROS) if parameter else Tensor(ZEROS)

    def step() -> None:
        with lucid.no_grad():
            write(x)

    (lucid.compile(step) if compiled else step)()
    np.testing.assert_array_equal(x.numpy(), [[0] * 4, [4, 4, 9, 9], [-1] * 4])
    assert x.is_leaf and x.requires_grad == parameter


def test_layers_are_initialised_by_data() -> None:
    layer: Any = nn.Linear(2, 3)
    layer.weight.data.fill_(0.5)
    nn.init.ones_(layer.bias.data)
    layer.bias.data[1] = 3
    assert layer(lucid.ones(1, 2)).tolist() == [[2, 4, 2]]
    layer.weight.data.mul_(2).sub_(1)
    assert layer.weight.numpy().any() == 0


def test_copies_are_nobodys_views() -> None:
    x = Tensor(ZEROS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for copy in (
            x[0].clone(), x.T.contiguous(), x.flatten(), x.tile((2, 1)), lucid.stack([x]), lucid.tensor(x),
            x[[0, 1]],
            x.reshape(12, copy=True), x.sum(0, keepdims=True), x.repeat(2), lucid.zeros(3).reshape(3, 1),
        ):  # fmt: skip
            copy[0] = 1
        x.t_().squeeze_()
    assert x.shape == (4, 3)
    assert not x.numpy().any()
