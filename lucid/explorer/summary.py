"""What notebooks show of a compiled function: its kernels, the largest first, what each moves, and its text.

A piece of HTML without scripts and with the colours of what is around it; all that is the user's is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lucid.compiler.text.kernel import print_kernel

from ..report.explain import plans_of
from ..report.records import Kernel
from ..report.text import short

if TYPE_CHECKING:
    from ..engine import Executable
    from ..staged import Staged

SHOWN = 12  # kernels
LINES = 6  # of the user's, for each
LINE = "border-bottom:1px solid rgba(128,128,128,.25)"
BAR = "display:inline-block;height:8px;vertical-align:middle;background:#4a86e8"
CODE = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"


def summary(name: str, made: Executable | Staged) -> str:
    told = [kernel for plan in plans_of(made) for kernel in plan.kernels]
    texts = [print_kernel(c.kernel, locs=True) for x in made.executables() for c in x.compiled.named.calls]
    total, most = sum(k.bytes for k in told), max((k.bytes for k in told), default=1) or 1
    largest = sorted(zip(told, texts, strict=True), key=lambda pair: -pair[0].bytes)
    rows = "".join(_row(kernel, text, most) for kernel, text in largest[:SHOWN])
    plural = "" if len(told) == 1 else "s"
    more = "" if len(told) <= SHOWN else f"<div>and {len(told) - SHOWN} smaller ones</div>"
    return (
        f'<div style="max-width:900px;line-height:1.5"><div><b style="{CODE}">{escape(name)}</b> '
        f"&nbsp;{len(told)} kernel{plural}, {total:,} bytes a call</div>{rows}{more}"
        '<div style="opacity:.65">all of it, linked line by line: <span style="'
        f'{CODE}">.explorer("out.html")</span></div></div>'
    )


def _row(kernel: Kernel, text: str, most: int) -> str:
    lines = short(kernel.lines[:LINES]) + (["…"] if len(kernel.lines) > LINES else [])
    inside = f" in {', '.join(kernel.modules)}" if kernel.modules else ""
    width = max(1, round(100 * kernel.bytes / most))
    bar = f'<span style="{BAR};width:{width}%"></span>'
    return (
        f'<details style="{LINE}"><summary style="cursor:pointer"><span style="display:inline-grid;'
        "grid-template-columns:260px 160px 110px minmax(0,1fr);gap:10px;align-items:center;"
        'width:calc(100% - 20px)">'
        f'<span style="{CODE};overflow:hidden;text-overflow:ellipsis">{escape(kernel.name)}</span>'
        f"<span>{bar}</span><span>{kernel.bytes:,} B</span>"
        f'<span style="opacity:.65;overflow:hidden;text-overflow:ellipsis;white-space:nowrap">'
        f"{escape(', '.join(lines) + inside)}</span></span></summary>"
        f'<pre style="{CODE};overflow:auto;margin:4px 0 8px 18px">{escape(text)}</pre></details>'
    )
