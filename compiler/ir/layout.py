"""What a compiled kernel is called with: the names and order of its argument slots."""

from __future__ import annotations

from collections.abc import Mapping

from . import kernel as k
from .data import data
from .types import DType, i64, u8, u16, u32, u64

# The operands that every kernel has, beside `begin` and `end`.
OWN = ("block", "blocks", "stream")
# Functions that compiled code calls, by itself or by LLVM's choice: one of that name would call itself.
_LIBRARY = frozenset(("malloc", "free", "fmod", "fmodf", "memcpy", "memmove", "memset", "llvm"))


def can_be_defined(name: str) -> bool:
    """Whether a compiled function may have this name."""
    first = name.partition(".")[0]
    return first not in _LIBRARY and not first.startswith("__")


_KEYS = {1: u8, 2: u16, 4: u32, 8: u64}


@data
class Slot:
    """One 8-byte argument: `kind` is "array" (a pointer), "int" (i64) or "scalar" (low bytes)."""

    name: str
    kind: str
    dtype: DType


def part_name(reduce: str) -> str:
    """The scratch array that holds a total's value per block."""
    return f"part.{reduce}"


def stride_name(array: str, dim: int) -> str:
    return f"{array}.s{dim}"


def totals(kernel: k.Kernel) -> list[k.Reduce]:
    return [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce) and not s.of_row]


def working(kernel: k.Kernel) -> dict[str, DType]:
    """The working memory that a sort needs for each element of a row: keys, and places where it finds these,
    twice."""
    statement = k.alone(kernel)
    if not isinstance(statement, k.Sort):
        return {}
    key = _KEYS[k.expr_dtype(statement.expr).size]
    keys = {"sort.keys0": key, "sort.keys1": key}
    return keys if statement.values else {**keys, "sort.at0": i64, "sort.at1": i64}


def long_rows(kernel: k.Kernel) -> bool:
    """Whether the work of a row is one walk along a long axis, and what follows needs its end: threads may
    then take blocks of it."""
    first, *others = kernel.stages
    kept = any(isinstance(s, k.Reduce) and s.keep for s in first.body)
    return len(first.axes) == 1 and first.axes[0].long and not kept and not any(s.axes for s in others)


def columns(kernel: k.Kernel) -> bool:
    """Whether all that is done is done for each of many columns by itself: threads may then take some of
    them."""
    first, *others = kernel.stages
    if others or len(first.axes) != 1 or not first.axes[0].long:
        return False
    (axis,) = first.axes
    reduces = [s for s in first.body if isinstance(s, k.Reduce)]
    alike = all([(a.name, a.extent) for a in s.axes] == [(axis.name, axis.extent)] for s in kernel.final)
    return bool(reduces) and all(r.keep == (axis.name,) for r in reduces) and alike


def parted(kernel: k.Kernel) -> list[k.Reduce]:
    """The reductions of which each block has a part."""
    own = [s for s in kernel.stages[0].body if isinstance(s, k.Reduce)] if long_rows(kernel) else []
    return [*(r for r in own if r.of_row), *totals(kernel)]


def slots(kernel: k.Kernel) -> tuple[Slot, ...]:
    """Argument order of the compiled functions."""
    found: list[Slot] = []
    for array in k.arrays(kernel).values():
        found.append(Slot(array.name, "array", array.dtype))
    for reduce in parted(kernel):
        found += [Slot(part_name(name), "array", dtype) for name, dtype in reduce.results]
    for name, dtype in working(kernel).items():
        found.append(Slot(name, "array", dtype))
    for symbol in k.symbols(kernel):
        found.append(Slot(symbol, "int", i64))
    for array in k.arrays(kernel).values():
        for dim in range(len(array.dims) - array.unit * bool(array.dims)):
            found.append(Slot(stride_name(array.name, dim), "int", i64))
    found += [Slot(name, "int", i64) for name in OWN]
    for scalar in k.scalars(kernel).values():
        found.append(Slot(scalar.name, "scalar", scalar.dtype))
    return tuple(found)


@data
class Face:
    """What the calls of a kernel ask of it, whatever they bind: found once for all that have its text."""

    arrays: Mapping[str, k.Array]
    scalars: Mapping[str, k.Scalar]
    symbols: tuple[str, ...]
    extents: tuple[k.Extent, ...]  # of axes and arrays, each once
    slots: tuple[Slot, ...]
    parted: tuple[k.Reduce, ...]
    working: Mapping[str, DType]
    keeps: bool  # whether a total has a value for each element of an axis
    scatters: bool
    sorts: tuple[tuple[k.Sort, k.Extent], ...]  # with the number of elements
    shifted: tuple[tuple[k.Load, Mapping[str, k.Extent]], ...]  # loads, and the extents of the axes there


def face(kernel: k.Kernel) -> Face:
    arrays, stages = k.arrays(kernel), kernel.stages + kernel.final
    axes = (*kernel.outer, *(a for s in stages for a in s.axes))
    dims = [d for array in arrays.values() for d in array.dims]
    shifted = []
    for stage in stages:
        here = {a.name: a.extent for a in (*kernel.outer, *stage.axes)}
        loads = [e for e in dict.fromkeys(k.expressions(stage)) if isinstance(e, k.Load)]
        shifted += [(e, here) for e in loads if any(ix.shift is not None for ix in e.index)]
    return Face(
        arrays,
        k.scalars(kernel),
        k.symbols(kernel),
        tuple(dict.fromkeys((*(a.extent for a in axes), *dims))),
        slots(kernel),
        tuple(parted(kernel)),
        working(kernel),
        any(reduce.keep for reduce in totals(kernel)),
        isinstance(k.alone(kernel), k.Scatter),
        tuple((s, st.axes[-1].extent) for st in kernel.stages for s in st.body if isinstance(s, k.Sort)),
        tuple(shifted),
    )
