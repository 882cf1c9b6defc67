"""What the driver reports, in words: what is wrong, and what to do."""

from __future__ import annotations

ELSEWHERE = 'device="ptx-sim" runs the same kernels in a simulator, device="cpu" compiles for the CPU'

NO_LIBRARY, TOO_OLD, FORKED = -1, -2, -3  # found before a driver could say anything
INVALID_VALUE, OUT_OF_MEMORY, NO_DEVICE = 1, 2, 100
# Codes after which no call of this process reaches the device any more: its context is lost.
STICKY = frozenset([214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721])
# What makes an image that was kept unusable here: it is made again.
BAD_IMAGE = frozenset([200, 209, 218, 300, 302, 500])

ADVICE = {
    NO_DEVICE: f"there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it; {ELSEWHERE}",
    34: f"libcuda.so.1 is the stub of the toolkit; install NVIDIA's driver; {ELSEWHERE}",
    36: "the driver is too old for this GPU or call; install a newer one",
    46: "another process has the GPU for itself, or it is in a mode that forbids this",
    101: f"there is no such GPU; {ELSEWHERE}",
    221: "the driver lacks its compiler, libnvidia-ptxjitcompiler; reinstall the driver with it",
    222: "the driver is older than this PTX; install a newer one",
    223: "compiling in the driver is turned off: unset CUDA_DISABLE_PTX_JIT",
    701: "the kernel needs more registers or shared memory than the GPU has",
    802: "the GPU is not ready; is nvidia-fabricmanager running?",
    803: "the driver's library and its kernel module are of different versions; restart the machine",
    804: "the compatibility libraries do not serve this GPU; use the driver's own",
}


class CudaError(RuntimeError):
    """`code`: the driver's CUresult, below 0 for what was found before it was asked; `name`: its name."""

    def __init__(self, message: str, code: int = 0, name: str = "") -> None:
        super().__init__(message)
        self.message, self.code, self.name = message, code, name

    @property
    def sticky(self) -> bool:
        return self.code in STICKY

    def within(self, what: str) -> CudaError:
        """The same error, with what it happened in ahead."""
        return type(self)(f"{what}: {self.message}", self.code, self.name)


class OutOfMemory(CudaError, MemoryError):
    """The GPU's memory is full. Nothing has changed, and smaller calls go on."""


def described(call: str, code: int, name: str, text: str) -> CudaError:
    """The error for a call of the driver that returned `code`."""
    advice = ADVICE.get(code, "")
    if code in STICKY:
        advice = f"the GPU is lost to this process; restart it to use the GPU again. {ELSEWHERE}"
    message = f"{name} ({text}) by {call}" + (f": {advice}" if advice else "")
    return (OutOfMemory if code == OUT_OF_MEMORY else CudaError)(message, code, name)
