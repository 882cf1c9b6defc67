"""Faults that are planted in lucid, one at a time, for the fuzzer to find: benchmarks/planted.py.

`pytest -m sweep tests/lucid/test_faults.py` plants all of them; `python -m benchmarks.faults` prints the
table of docs/testing.md."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.faults import ROOT, caught, changed
from benchmarks.planted import FAULTS, TESTED, Planted

pytestmark = pytest.mark.table

NAMES = {fault.name: fault for fault in FAULTS}
# Found within few programs.
QUICK = (
    "compiled draws leave the counter of random numbers as it was",
    "what several readers give back is not added",
)


def test_every_fault_can_be_planted() -> None:
    """Its text stands once in the source of today, and is another one afterwards."""
    assert len(NAMES) == len(FAULTS) >= 40
    for fault in (*FAULTS, *TESTED):
        source = (ROOT / fault.file).read_text(encoding="utf-8")
        assert changed(fault, source) != source
    layers = Counter(fault.layer for fault in FAULTS)
    assert len(layers) >= 10, layers
    assert all(bool(fault.by) == (fault in TESTED) for fault in (*FAULTS, *TESTED))


def test_a_text_that_is_gone_is_an_error() -> None:
    with pytest.raises(ValueError, match="stands 0 times in lucid/cost"):
        changed(Planted("x", "y", "lucid/cost.py", "no such text", ""), "")


@pytest.mark.parametrize("name", QUICK)
def test_the_fuzzer_finds_a_planted_fault(name: str) -> None:
    found = caught(NAMES[name])
    assert found.kind and found.programs <= NAMES[name].programs, found


@pytest.mark.sweep
@pytest.mark.parametrize("fault", (*FAULTS, *TESTED), ids=lambda fault: fault.name)
def test_the_fuzzer_finds_each_planted_fault(fault: Planted) -> None:
    assert caught(fault).kind
