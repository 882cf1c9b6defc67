"""Testing one's own functions: what lucid computes against NumPy, float64 and finite differences.

    from lucid.testing import check
    print(check(loss, x, y))

docs/testing.md shows what is printed, and how a test of pytest calls it.
"""

from __future__ import annotations

import sys as _sys
from typing import TYPE_CHECKING
from typing import Any as _Any

from ..errors import bounded as _bounded
from ..errors import no_attribute as _no_attribute
from .bits import assert_same_bits
from .checking import Checked, CheckError, Report, check
from .fuzzing import Fuzzed, FuzzError, fuzz
from .gradients import GradcheckError, gradcheck, gradgradcheck
from .layouts import LAYOUTS, laid_out
from .replaying import Replay, record, replay
from .reproducing import reproduce

if TYPE_CHECKING:
    from .strategies import graphs as graphs
    from .strategies import models as models
    from .strategies import programs as programs
    from .strategies import shapes as shapes
    from .strategies import tensors as tensors

__all__ = [  # without the strategies, which not everybody can import
    "LAYOUTS", "CheckError", "Checked", "FuzzError", "Fuzzed", "GradcheckError", "Replay", "Report",
    "assert_same_bits", "check", "fuzz", "gradcheck", "gradgradcheck", "laid_out", "record", "replay",
    "reproduce",
]  # fmt: skip

if not TYPE_CHECKING:

    @_bounded
    def __getattr__(name: str) -> _Any:
        """The strategies, which need hypothesis, are imported when one of them is used."""
        if name in ("graphs", "models", "programs", "shapes", "tensors"):
            from . import strategies

            return getattr(strategies, name)
        raise _no_attribute(_sys.modules[__name__], f"module {__name__!r}", name)
