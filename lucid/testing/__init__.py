"""Testing one's own functions: what lucid computes against NumPy, float64 and finite differences.

    from lucid.testing import check
    print(check(loss, x, y))

docs/testing.md shows what is printed, and how a test of pytest calls it.
"""

from __future__ import annotations

from .bits import assert_same_bits
from .checking import Checked, CheckError, Report, check
from .gradients import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "CheckError", "Checked", "GradcheckError", "Report", "assert_same_bits", "check", "gradcheck",
    "gradgradcheck",
]  # fmt: skip
