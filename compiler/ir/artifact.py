"""What the runtime is handed: code as text, and a plan of launches over buffers. Plain data.

The call convention of every compiled function:

    void NAME(ptr slots, i64 begin, i64 end)

`slots` points to 8-byte values: addresses of arrays, integers (extents, strides, block sizes) and
scalars (in the low bytes). `begin`, `end` is a range of blocks; ranges may run on several threads
at once. A function may have a second one, `NAME.finish`, of the same type, which runs once after
all blocks.
"""

from __future__ import annotations

from collections.abc import Callable

from .data import data, field
from .types import DType


@data
class Code:
    """One compiled kernel: LLVM text that defines `name` and, if `finish`, `name + ".finish"`.

    `source` is the text, or makes it: whoever has the machine code under `key` never asks. `told`: debuggers
    and profilers that are to know of it ("gdb", "perf", "jitdump"); the text then has debug information.
    """

    key: str  # the kernel's canonical text plus what else decides the code: the cache key
    name: str
    source: str | Callable[[], str] = field(compare=False)
    finish: bool
    told: tuple[str, ...] = ()

    @property
    def llvm(self) -> str:
        return self.source if isinstance(self.source, str) else self.source()


@data
class Buffer:
    """`kind`: "input" (the caller's), "output" (the caller gets it), "temp" (at `offset` of the
    plan's working memory, from the first to the last group of launches in `life`). Inputs and outputs
    are row-major unless the input says `strides`."""

    kind: str
    dtype: DType
    shape: tuple[int, ...]
    nbytes: int
    offset: int = 0
    life: tuple[int, int] = (0, 0)


@data
class Address:
    """A slot that holds the address of a buffer, plus `offset` bytes."""

    buffer: int
    offset: int = 0


@data
class Hole:
    """The value of scalar `number` of a graph, in a plan for any: see `template.py`. Where one stands, the
    types promise a number (or its bytes), which it will be; what is still in a slot, each call gives."""

    number: int
    dtype: DType | None = None


@data
class Strip:
    """A launch of a chain: launches that a thread runs one after the other for a strip of rows, and then for
    the next strip. There are `rows` in a batch, split into `parts` in whole tiles of `tile`. A strip is
    `share` blocks of the launch, or, if that is 0, as many as it has rows. `places`, (slot, offset, bytes of
    a row): slots for the address of the first row of all of an array of which only the rows of the strip are
    there, at this offset of the thread's area."""

    rows: int
    tile: int
    parts: int
    share: int
    places: tuple[tuple[int, int, int], ...]


@data
class Scratch:
    """The areas of a chain: the buffer that they lie in, how many there are, and bytes of each."""

    buffer: int
    areas: int
    nbytes: int


@data
class Launch:
    """Run `code` over blocks 0..blocks. Slots: an Address, an int, raw bytes of a scalar (8 at most; or a
    Hole).

    One that `joins` belongs to the group of the launch before it. Launches of a group may run at
    once: none of them reads or writes what another one writes. Those of a chain are a group, too, but
    have a `strip` each; the first says where its `scratch` is.
    """

    code: Code
    slots: tuple[Address | int | bytes, ...]
    blocks: int
    work: int  # bytes moved, or as good as: the runtime decides by it whether threads are worth waking
    joins: bool = False
    strip: Strip | None = None
    scratch: Scratch | None = None


@data
class Plan:
    """`aliases[k]` is the input that output k may overwrite when the caller allows it, else -1."""

    buffers: tuple[Buffer, ...]
    inputs: tuple[int, ...]  # buffer numbers, in the caller's order
    outputs: tuple[int, ...]
    aliases: tuple[int, ...]
    launches: tuple[Launch, ...]
    temp_bytes: int
