"""A stand-in takes the place of the driver of this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lucid.runtime.cuda import device, driver

from .standin import StandIn


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Afterwards nothing is open, and nobody has done wrong."""
    made = StandIn()
    monkeypatch.setattr(driver, "library", lambda: made)
    yield made
    gc.collect()
    gc.freeze()  # what is left now stays: the next one need not walk it
    device.shut()
    assert made.wrong == []
    assert made.kept() == []
