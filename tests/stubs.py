"""What type checkers read of the functions and methods that records of ops name: `python -m tests.stubs`."""

from __future__ import annotations

from pathlib import Path

from lucid.compiler import ops

FOLDER = Path(__file__).parent.parent / "lucid"
HEAD = """# Written by `python -m tests.stubs`, of what the records of ops name.
from typing import Any

from .tensor import Tensor
"""


def texts() -> dict[str, str]:
    """The stub files, by name."""
    found = [(op.named, len(op.samples[0].shapes)) for op in ops.REGISTRY.values() if op.named is not None]
    found.sort(key=lambda pair: pair[0].names)
    listed = ", ".join(f'"{n}"' for n in sorted(n for named, _ in found for n in named.names))
    functions = f"__all__ = [{listed}]  # fmt: skip\n"
    methods = "class Methods:\n"
    for named, arity in found:
        first, *others = named.names
        arguments = "x: Any" if arity == 1 else "a: Any, b: Any"
        functions += f"\ndef {first}({arguments}) -> Tensor:\n"
        functions += f'    """{named.doc}"""\n'
        functions += "".join(f"\n{other} = {first}\n" for other in others)
        methods += f"    def {first}(self{', other: Any' * (arity - 1)}) -> Tensor:\n"
        methods += f'        """{named.doc}"""\n\n'
        methods += "".join(f"    {other} = {first}\n" for other in others)
    return {"published.pyi": f"{HEAD}\n{functions}", "methods.pyi": f"{HEAD}\n{methods.rstrip()}\n"}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
