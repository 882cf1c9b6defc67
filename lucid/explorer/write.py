"""From a compiled function to the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .collect import collect
from .page import page

if TYPE_CHECKING:
    from ..engine import Executable
    from ..report.profile import Profile
    from ..staged import Staged


def write(
    path: str | os.PathLike[str],
    name: str,
    made: Executable | Staged,
    profile: Profile | None = None,
    arch: str | None = None,
) -> None:
    """OSError where the file cannot be written; ValueError as for `collect`."""
    text = page(collect(name, made, profile, arch))
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
