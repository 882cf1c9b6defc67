"""`python -m lucid ulp`: what it counts, and that the functions are within their bounds where it looks."""

from __future__ import annotations

import numpy as np
import pytest

from lucid import ulp
from lucid.cli.main import main
from lucid.compiler.ops import REGISTRY

pytestmark = pytest.mark.table

inf, nan = np.inf, np.nan


def test_units_in_the_last_place() -> None:
    got = np.array([1.0, 1.0, 0.0, -0.0, inf, inf, nan, nan, 1.0, 2.0**-149], np.float32)
    want = np.array([1.0, 1 + 2.0**-24, 2.0**-150, 0.0, 1e39, 1.0, nan, 1.0, nan, 2.0**-149])
    assert ulp.ulps(got, want).tolist() == [0, 0.5, 0.5, inf, 0, inf, 0, inf, inf, 0]


@pytest.mark.parametrize("name", ulp.functions())
def test_within_the_bound(name: str) -> None:
    slow = name.startswith("erf") or name.endswith("gamma")  # NumPy has none of these
    step = 1 << (20 if slow else 14)
    *_, (done, largest, _) = ulp.worst(REGISTRY[name], step)
    assert done == 1 and 0.4 < largest <= REGISTRY[name].ulp


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ulp", "--step", str(1 << 22), "exp", "sin"])
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("| function") and [r.split("`")[1] for r in rows[2:]] == ["exp", "sin"]
    with pytest.raises(SystemExit) as left:
        main(["ulp", "nothing"])
    assert left.value.code == 2 and "expected functions of" in capsys.readouterr().err
