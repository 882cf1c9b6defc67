"""A simulator of PTX: it executes the text of kernels with NumPy, and reports what a device would do in
silence.

    module = parse(text)                                    # all that is unknown is an error here
    memory = Memory()
    x = memory.upload(np.ones(1000, np.float32), "x", writable=False)
    y = memory.allocate(4000, "y")
    counts = launch(module, "kernel", grid=4, block=256, args=[x, y, 1000], memory=memory)
    result = memory.download(y, (1000,), np.float32)

It needs nothing else of lucid, so that it cannot share its errors. Errors are `PtxError`: its `kind`
(bounds, misaligned, uninitialised, race, barrier, mask, …), its `line` in the text, the thread, the user's
line.
"""

from .counts import Access, Counts
from .machine import launch
from .memory import Memory
from .parse import parse
from .ptx import Entry, Instruction, Module, Parameter, PtxError

__all__ = [
    "Access", "Counts", "Entry", "Instruction", "Memory", "Module", "Parameter", "PtxError",
    "launch", "parse",
]  # fmt: skip
