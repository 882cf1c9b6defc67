"""NVIDIA's architectures that code can be made for."""

from __future__ import annotations

from ..ir.target import Target

TRIPLE = "nvptx64-nvidia-cuda"
ARCH = "sm_90"  # unless another is asked for
WARP = 32
# Bytes of shared memory that every one of them gives a block of threads without being asked; of a kernel's
# parameters, and of those since a version of PTX (and CUDA 12.1).
SHARED = 48 << 10
PARAMETERS = 4096
MORE_PARAMETERS, SINCE = 32764, 81

# Warps that a processor shall hold of a product by teams, where ptxas then needs no more registers than there
# are.
HELD = {"sm_90": 16, "sm_100": 16}

# The least version of PTX that knows each: a driver reads those that are not newer than itself.
PTX = {
    "sm_75": 63,
    "sm_80": 70,
    "sm_86": 71,
    "sm_89": 78,
    "sm_90": 78,
    "sm_100": 86,
    "sm_120": 87,
}


def target(arch: str, parameters: int = 0) -> Target:
    """Of an architecture's name, for kernels with so many bytes of parameters. ValueError, with those there
    are, for another one, where LLVM would end the process."""
    if arch not in PTX:
        raise ValueError(f"unknown architecture {arch!r}; expected one of {', '.join(PTX)}")
    version = PTX[arch] if parameters <= PARAMETERS else max(PTX[arch], SINCE)
    return Target(TRIPLE, arch, f"+ptx{version}", 4 * WARP)
