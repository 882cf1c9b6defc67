"""Optimisers, and schedules of learning rates (`lr_scheduler`, loaded when it is asked for)."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import bounded, no_attribute
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

if TYPE_CHECKING:
    from . import lr_scheduler
    from .adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop
    from .lbfgs import LBFGS
    from .signs import ASGD, Rprop

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam",
    "RMSprop", "Rprop", "lr_scheduler",
]  # fmt: skip
_HOMES = {"LBFGS": "lbfgs", "ASGD": "signs", "Rprop": "signs"}


@bounded
def __getattr__(name: str) -> Any:
    if name == "lr_scheduler":
        return import_module(".lr_scheduler", __name__)
    if name in __all__:
        return getattr(import_module(f".{_HOMES.get(name, 'adaptive')}", __name__), name)
    raise no_attribute(sys.modules[__name__], f"module {__name__!r}", name)


def __dir__() -> list[str]:
    return __all__
