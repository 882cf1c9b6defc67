"""The instructions that PTX of ours may hold: what is not listed is an error.

Each rounds to nearest, to denormals too, and none is approximate, flushes, saturates or contracts what was
written as two. `min` and `max` of floats stand for a comparison that chooses where neither NaN nor zeros tell
them apart.
"""

from __future__ import annotations

import re

from ..verify.error import VerifyError

_FORMS = (
    r"(add|sub|mul|div|rcp|sqrt|fma)\.rn\.f(32|64)",
    r"(add|sub|fma)\.rn\.f32\.f16",  # a float16 becomes float32 on the way, exactly: sm_100 and later
    r"(abs|neg|min|max|copysign)\.f(32|64)",
    r"(add|sub|min|max|abs|neg|div|rem)\.[su](16|32|64)",
    r"(mul|mad)\.(lo|hi|wide)\.[su](16|32|64)",
    r"(and|or|xor|not)\.(pred|b16|b32|b64)",
    r"shl\.b(16|32|64)|shr\.[sub](16|32|64)|shf\.[lr]\.(wrap|clamp)\.b32|bfe\.[su](32|64)|prmt\.b32",
    r"setp\.(eq|ne|lt|le|gt|ge)\.[sub](16|32|64)",
    r"setp\.(eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan)\.f(32|64)",
    r"selp\.[bf](16|32|64)|mov\.(pred|[bu](16|32|64))",
    r"cvt\.f32\.f16|cvt\.f64\.f32|cvt\.rn\.f16\.f32|cvt\.rn\.f32\.f64",  # between floats
    r"cvt\.r[nzmp]i\.(f32\.f32|f64\.f64)|cvt\.rzi\.[su](16|32|64)\.f(32|64)",
    r"cvt\.rn\.f(32|64)\.[su](8|16|32|64)|cvt\.[su](8|16|32|64)\.[su](8|16|32|64)",
    r"ld\.(param|global|shared)\.[bsu](8|16|32|64)|ld\.(global|shared)\.v[24]\.b(8|16|32|64)",
    r"st\.(global|shared)\.b(8|16|32|64)|st\.global\.v[24]\.b(8|16|32|64)",
    r"fence\.acq_rel\.gpu|atom\.global\.inc\.u32",  # who is the last one
    r"bra(\.uni)?|ret|bar\.sync|bar\.warp\.sync|shfl\.sync\.(idx|down|bfly)\.b32|vote\.sync\.any\.pred",
)
_ALLOWED = re.compile("|".join(_FORMS))
_INSTRUCTION = re.compile(r"(?:@!?%p\d+\s+)?([a-z][\w.:]*)(?:\s.*)?;")
_FMA = re.compile(r"call \w+ @llvm\.fma\.")


def instructions(text: str) -> list[tuple[int, str]]:
    """Of PTX text: the number of the line, and the name with its types."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _INSTRUCTION.fullmatch(line.partition("//")[0].strip())
        if match:
            found.append((number, match[1]))
    return found


def check(text: str, source: str = "") -> None:
    """VerifyError for what is not allowed, and for more fused multiply-adds than `source`, the LLVM text that
    it was made of, asks for."""
    found = instructions(text)
    for number, name in found:
        if not _ALLOWED.fullmatch(name):
            raise VerifyError(
                f"PTX, line {number}: `{name}` is not one of the instructions that kernels may have"
            )
    fused = sum(name.startswith("fma") for _, name in found)
    if source and fused > len(_FMA.findall(source)):
        raise VerifyError(f"PTX: {fused} fused multiply-adds, {len(_FMA.findall(source))} were written")
