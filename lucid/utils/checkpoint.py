"""`torch.utils.checkpoint`: what is kept for gradients and what is computed again, the compiler chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import public

__all__ = ["checkpoint"]


@public
def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None,
    preserve_rng_state: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """`function` of the arguments: the values and gradients are those of a call."""
    return function(*args, **kwargs)
