"""What type checkers read of the functions and methods that are made in tables: those that records of ops
name, those that are imported when they are first used, functions as methods, and methods in place. `python
-m tests.stubs` writes it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from lucid import Tensor
from lucid.borrowed import Borrowed
from lucid.compiler import ops
from lucid.in_place import InPlace
from lucid.later import LATER

FOLDER = Path(__file__).parent.parent / "lucid"
HEAD = """# Written by `python -m tests.stubs`.
# fmt: off
from typing import Any, Self

from .tensor import Tensor
"""
_IN_PLACE = """# Written by `python -m tests.stubs`.
# fmt: off
from collections.abc import Callable
from typing import Any, Self

METHODS: list[str]
SHAPED: dict[str, str]

def in_place(name: str, shaped: bool = ...) -> Callable[..., Any]: ...
"""
# What annotations may say in a stub; others are Any.
_PLAIN = {"Any", "Tensor", "Self", "bool", "bytes", "float", "int", "list", "None", "str", "tuple"}


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
        more = ", other: Any" * (arity - 1)
        methods += f"    def {first}(self{more}) -> Tensor:\n"
        methods += f'        """{named.doc}"""\n\n'
        methods += f"    def {first}_(self{more}) -> Self:\n"
        methods += f'        """`{first}`, in place."""\n\n'
        methods += "".join(f"    {other} = {first}\n    {other}_ = {first}_\n" for other in others)
    return {
        "published.pyi": f"{HEAD.replace(', Self', '')}\n{functions}",
        "methods.pyi": f"{HEAD}\n{methods.rstrip()}\n",
        "later.pyi": _later(),
        "borrowed.pyi": f"{HEAD.replace(', Self', '')}\n{_class(Borrowed)}",
        "in_place.pyi": f"{_IN_PLACE}\n{_class(InPlace)}",
    }


def _later() -> str:
    lines = ["# Written by `python -m tests.stubs`.", "# fmt: off"]
    for module in sorted(set(LATER.values())):
        names = sorted(name for name, m in LATER.items() if m == module)
        lines.append(f"from {module} import " + ", ".join(f"{n} as {n}" for n in names))
    return "\n".join([*lines, "", "LATER: dict[str, str]", ""])


def _class(kind: type) -> str:
    lines = [f"class {kind.__name__}:"]
    for name in sorted(n for n in vars(kind) if not n.startswith("_")):
        method = getattr(Tensor, name)
        like = getattr(Tensor, name.removesuffix("_")) if kind is InPlace and _is_made(name) else method
        returns = "Self" if kind is InPlace else _plain(inspect.signature(method).return_annotation)
        lines += [
            f"    def {name}({_parameters(like)}) -> {returns}:",
            f'        """{inspect.getdoc(method)}"""',
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _is_made(name: str) -> bool:
    return list(inspect.signature(getattr(Tensor, name)).parameters)[1:] == ["args", "kwargs"]


def _parameters(method: Any) -> str:
    parts: list[str] = []
    for p in inspect.signature(method).parameters.values():
        if p.name in ("self", "x") and not parts:
            parts.append("self")
            continue
        if p.kind is p.KEYWORD_ONLY and not any(x.startswith("*") for x in parts):
            parts.append("*")
        star = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        default = "" if p.default is p.empty else " = ..."
        parts.append(f"{star}{p.name}: {_plain(p.annotation)}{default}")
    return ", ".join(parts)


def _plain(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "Any")
    return text if set(re.findall(r"\w+", text)) <= _PLAIN else "Any"


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
