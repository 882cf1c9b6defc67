"""Programs in PyTorch's words give PyTorch's numbers, which are on record; in compiled functions, too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import lucid

from . import layers_like_torch, like_torch, wider_like_torch

# Once is enough: that calls of all kinds give the same is tested elsewhere.
pytestmark = pytest.mark.table

KNOWN: dict[str, list[float]] = json.loads(like_torch.VALUES.read_text())


def test_all_programs_are_on_record() -> None:
    assert set(KNOWN) == set(like_torch.PROGRAMS) > wider_like_torch.NAMES


@pytest.mark.parametrize("name", like_torch.PROGRAMS)
def test_program(name: str) -> None:
    found = like_torch.digest(like_torch.PROGRAMS[name](lucid))
    np.testing.assert_allclose(found, KNOWN[name], rtol=2e-7, atol=1e-8, err_msg=name)


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("name", like_torch.PROGRAMS)
def test_the_record_is_of_pytorch(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    found = like_torch.digest(like_torch.PROGRAMS[name](torch))
    np.testing.assert_allclose(found, KNOWN[name], rtol=2e-7, atol=1e-8, err_msg=name)


# The first of each kind.
COMPILED = {name.split()[0]: name for name in reversed(layers_like_torch.FUNCTIONS)}


@pytest.mark.parametrize("name", COMPILED.values())
def test_compiled_functions_are_as_eager_ones(name: str) -> None:
    f, inputs = layers_like_torch.FUNCTIONS[name]
    found = lucid.compile(lambda *x: f(lucid, *x))(*inputs)
    np.testing.assert_allclose(found.numpy(), f(lucid, *inputs).numpy(), rtol=1e-12, atol=1e-12)
