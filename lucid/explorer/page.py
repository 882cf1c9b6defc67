"""The page: one file that needs nothing else, of the data and of what lies in `assets/`.

The data are compressed; the browser takes them apart (DecompressionStream). Text gets on the page as text
alone, and a policy in its head lets the scripts run that have the checksums of ours, and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Collection
from html import escape
from importlib import resources
from typing import Any

LAYOUT, LICENSE = "dagre.min.js", "dagre.LICENSE.txt"
OWN = ("model.js", "text.js", "drawing.js", "app.js")
# Bytes of a page.
MOST = 2_000_000
# What a page that would be larger leaves out: the code of kernels, those that move the least bytes first.
SPARE = ("loop", "llvm", "asm", "ptx")

HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<noscript>This page needs JavaScript. As text: compiled.ir(stage), compiled.explain().</noscript>
<!-- The layout of the graph is by dagre.

{license}-->
"""


def page(data: dict[str, Any]) -> str:
    """The text of the file."""
    own = "\n".join(map(_asset, OWN))
    scripts = [_asset(LAYOUT), f'(() => {{\n"use strict";\n{own}}})();\n']
    sums = " ".join(f"'sha256-{_sum(script)}'" for script in scripts)
    head = HEAD.format(
        policy=f"default-src 'none'; script-src {sums}; style-src 'unsafe-inline'; img-src data:",
        title=escape(f"{data['name']} - lucid"),
        style=_asset("explorer.css"),
        license=_asset(LICENSE),
    )
    tail = "".join(f"<script>{script}</script>\n" for script in scripts) + "</body>\n</html>\n"
    begin, end = '<script type="application/octet-stream" id="data">', "</script>\n"
    room = MOST - sum(len(part.encode()) for part in (head, begin, end, tail))
    return "".join((head, begin, _within(data, room), end, tail))


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _sum(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _packed(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()


def _within(data: dict[str, Any], room: int) -> str:
    """The data, packed into at most `room` characters."""
    packed = _packed(data)
    if len(packed) <= room:
        return packed
    blocks = [block for pane in data["panes"] if pane["id"] in SPARE for block in pane["blocks"]]
    moved = {id(block): max(data["kernels"][k]["bytes"] for k in block["kernels"]) for block in blocks}
    left, kept = room - len(_packed(_without(data, ()))), set[int]()
    for block in sorted(blocks, key=lambda block: -moved[id(block)]):
        left -= len(_packed(block))  # together they take less
        if left < 0:
            break
        kept.add(id(block))
    return _packed(_without(data, kept))


def _without(data: dict[str, Any], kept: Collection[int]) -> dict[str, Any]:
    """The data without the text of blocks that are not `kept`."""

    def block(made: dict[str, Any], stage: str) -> dict[str, Any]:
        if stage not in SPARE or id(made) in kept:
            return made
        count = made["text"].count("\n") + 1
        told = f"{count:,} lines are left out, for the page to be small: see ir({stage!r}, kernel=...)"
        return {**made, "text": told, "sets": [-1]}

    panes = [{**p, "blocks": [block(b, p["id"]) for b in p["blocks"]]} for p in data["panes"]]
    return {**data, "panes": panes}
