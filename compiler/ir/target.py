"""What code is made for: a machine as data. How the host is found is `lucid.runtime.host`."""

from __future__ import annotations

from .data import data


@data
class Target:
    """One kind of CPU, or of GPU, in LLVM's words.

    `features` is LLVM's list (`+avx2,+fma,-avx512f`), `vector_bytes` the width of the registers
    that vector loops should fill. `l1_bytes` and `l2_bytes` are the data caches of one core: they
    may choose between equal schedules, never the order of a reduction.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    l1_bytes: int = 32 << 10
    l2_bytes: int = 1 << 20

    @property
    def arch(self) -> str:
        """The architecture as LLVM spells it: "x86_64", "aarch64", ..."""
        return self.triple.split("-", 1)[0]

    @property
    def is_gpu(self) -> bool:
        return self.arch == "nvptx64"

    @property
    def key(self) -> str:
        """Everything that decides the machine code, as one line; part of every cache key."""
        return f"{self.triple} {self.cpu} {self.features} {self.vector_bytes}"

    def has(self, feature: str) -> bool:
        """Whether the features name `feature` as present."""
        return f"+{feature}" in self.features.split(",")


def vector_bytes(arch: str, present: frozenset[str]) -> int:
    """Register width that the present features of an architecture allow: 16, 32 or 64 bytes."""
    if arch == "x86_64":
        if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= present:
            return 64
        if {"avx2", "fma"} <= present:
            return 32
    return 16


HASWELL = Target(
    "x86_64-unknown-linux-gnu",
    "haswell",
    "+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe",
    32,
    l2_bytes=256 << 10,
)
ZNVER4 = Target(
    "x86_64-unknown-linux-gnu",
    "znver4",
    HASWELL.features + ",+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512cd",
    64,
)
NEOVERSE_N1 = Target("aarch64-unknown-linux-gnu", "neoverse-n1", "+neon,+fullfp16", 16, l1_bytes=64 << 10)
