"""What lucid does, told to `logging`: the loggers `lucid.passes`, `lucid.fusion`, `lucid.cache`,
`lucid.memory` and `lucid.retrace`, at level INFO. `LUCID_LOG=fusion,retrace` writes some to stderr; a
program may set their levels itself. Nothing is told at calls that compile nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Executable

CATEGORIES = {
    "passes": "the seconds of each pass of a compile",
    "fusion": "what was fused, what was not, and why",
    "cache": "where machine code came from",
    "memory": "bytes of inputs, outputs and working memory",
    "retrace": "why a compiled function was traced",
}


def configure(wanted: str) -> None:
    """What `LUCID_LOG` asks for."""
    asked = {name.strip() for name in wanted.split(",")}
    names = [name for name in CATEGORIES if name in asked]
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    for name in names:
        logger = logging.getLogger(f"lucid.{name}")
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


# By category: to ask `logging` for one takes its lock, and an exception of a signal handler may leave it so.
_LOGGERS: dict[str, Any] = {}


def listening(category: str) -> Any | None:
    """The logger of a category, if anybody listens; `logging` is not imported for it."""
    logging = sys.modules.get("logging")
    if logging is None:
        return None
    logger = _LOGGERS.get(category)
    if logger is None:
        logger = _LOGGERS[category] = logging.getLogger(f"lucid.{category}")
    return logger if logger.isEnabledFor(logging.INFO) else None


def retraced(name: str, number: int, reason: str) -> None:
    if (logger := listening("retrace")) is not None:
        logger.info("%s: trace %d: %s", name, number, reason)


def compiled(made: Executable, name: str) -> None:
    """Of a graph that was compiled: what those who listen want to know."""
    heard = {category: logger for category in CATEGORIES if (logger := listening(category)) is not None}
    if not heard.keys() - {"retrace"}:
        return
    from .dump import name_of  # few ask for it
    from .report.explain import plan_of, validation
    from .report.text import fusion, memory, origin

    plan, title = plan_of(made), name_of(name)
    if logger := heard.get("passes"):
        times = ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in plan.passes)
        logger.info("%s: %d kernels: %s", title, len(plan.kernels), times)
        for line in validation(made):
            logger.info("%s: %s", title, line)
    if logger := heard.get("fusion"):
        for kernel in plan.kernels:
            for reason in kernel.reasons:
                logger.info("%s: kernel %s: %s", title, kernel.name, reason)
        for line in fusion(plan):
            logger.info("%s: %s", title, line.strip())
    if logger := heard.get("cache"):
        for kernel in plan.kernels:
            if kernel.origin:
                logger.info("%s: kernel %s: code from %s", title, kernel.name, origin(kernel))
    if logger := heard.get("memory"):
        for line in memory(plan):
            logger.info("%s: %s", title, line.strip())
