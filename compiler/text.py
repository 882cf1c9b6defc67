"""Print and parse the three levels. The grammar of each stands in its own file."""

from __future__ import annotations

from .text_graph import parse_graph, print_graph
from .text_kernel import print_kernel
from .text_kernel_parse import parse_kernel
from .text_lexer import IRSyntaxError
from .text_loop import parse_func, print_func

__all__ = [
    "IRSyntaxError",
    "parse_func",
    "parse_graph",
    "parse_kernel",
    "print_func",
    "print_graph",
    "print_kernel",
]
