"""Optimisers, and schedules of learning rates (`lr_scheduler`, loaded when it is asked for)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import bounded
from ..named import of_home
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

if TYPE_CHECKING:
    from . import lr_scheduler
    from .adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop
    from .factored import Adafactor, Muon
    from .lbfgs import LBFGS
    from .signs import ASGD, Rprop

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam",
    "Optimizer", "RAdam", "RMSprop", "Rprop", "lr_scheduler",
]  # fmt: skip
_HOMES = {**dict.fromkeys(__all__, "adaptive"), "LBFGS": "lbfgs", "ASGD": "signs", "Rprop": "signs"}
_HOMES |= {"Adafactor": "factored", "Muon": "factored"}


@bounded
def __getattr__(name: str) -> Any:
    return of_home(__name__, _HOMES, name, ("lr_scheduler",))


def __dir__() -> list[str]:
    return __all__
