"""Print and parse the three levels. The grammar of each stands in its own file."""

from __future__ import annotations

from .text_graph import parse_graph, print_graph
from .text_kernel import print_kernel
from .text_lexer import IRSyntaxError
from .text_loop import print_func

__all__ = [
    "IRSyntaxError",
    "parse_graph",
    "print_func",
    "print_graph",
    "print_kernel",
]
