"""The error of all three verifiers."""

from __future__ import annotations

from ..ir.graph import Loc


class VerifyError(ValueError):
    """Illegal IR. `statement` is its text, `loc` the user's line that it comes from."""

    def __init__(self, message: str, statement: str = "", loc: Loc | None = None) -> None:
        super().__init__(message, statement, loc)
        self.message, self.statement, self.loc = message, statement, loc

    def __str__(self) -> str:
        line = "" if self.loc is None else f"  ({self.loc})"
        shown = self.statement if len(self.statement) <= 300 else self.statement[:300] + " ..."
        return f"{self.message}\n  in: {shown}{line}" if shown else f"{self.message}{line}"
