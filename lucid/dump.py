"""`LUCID_DUMP=dir`: a folder a compile, named after the function; in it a file a stage and kernel, and an
index.

dir/4711-003-train_step/  index.txt  graph.txt  gradient.txt  simplified.txt  program.txt
00-mul_sum.kernel.txt 00-mul_sum.loop.txt  00-mul_sum.llvm.txt  00-mul_sum.asm.txt

The process and a count are part of the name: what several processes dump stands side by side."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING

from lucid.compiler.llvm.listing import listing, llvm_listing
from lucid.compiler.pipeline import chosen, lined, loops
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.loop import print_func
from lucid.runtime.host import host
from lucid.runtime.load import assembly

from .errors import user_frame

if TYPE_CHECKING:
    from .engine import Executable
    from .staged import Staged

_count = itertools.count(1)


def dump(made: Executable | Staged, folder: str, name: str) -> str:
    """Writes all of a compile; where. OSError where that cannot be."""
    from .report.explain import plans_of
    from .report.records import Report
    from .report.text import text

    title = name_of(name)
    where = os.path.join(folder, f"{os.getpid()}-{next(_count):03d}-{plain(title)}")
    os.makedirs(where, exist_ok=True)
    graphs = ("graph", "gradient", "simplified")
    files = {f"{stage}.txt": made.ir(stage) for stage in graphs}
    files["program.txt"] = made.ir("kernel")
    parts = made.executables()
    kernels = [(x.target, *one) for x in parts for one in chosen(x.compiled, None)]
    for number, (target, kernel, how, code) in enumerate(kernels):
        begin = f"{number:02d}-{plain(kernel.name)}"
        told, lines = lined(kernel, how, code, target)
        files |= {
            f"{begin}.kernel.txt": print_kernel(kernel, locs=True),
            f"{begin}.loop.txt": "\n".join(print_func(f, locs=True) for f in loops(kernel, how)),
            f"{begin}.llvm.txt": llvm_listing(told.llvm, lines),
            f"{begin}.asm.txt": listing(assembly(told, target), lines, target),
        }
    report = text(Report(title, 0, (), plans_of(made), ()), "order")
    listed = "\n".join(files)
    machine = parts[0].target if parts else host()
    head = f"{title}, for {machine.triple} {machine.cpu}"
    files["index.txt"] = f"{head}\n\n{report}\n\nfiles:\n{listed}\n"
    for file, content in files.items():
        with open(os.path.join(where, file), "w", encoding="utf-8") as out:
            out.write(content)
    return where


def name_of(name: str) -> str:
    """What a compile is called: the compiled function; of eager work, the function that asked for a value."""
    if name != "eager":
        return name
    frame = user_frame()
    return "eager" if frame is None else f"eager in {frame.f_code.co_qualname.replace('.<locals>', '')}"


def plain(name: str) -> str:
    """A name that a file may have."""
    return re.sub(r"[\W_]+", "_", name).strip("_") or "f"
