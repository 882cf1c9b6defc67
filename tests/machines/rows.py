"""Each op of the registry as a function of rows: operands get one more axis, a batch. A row alone must have
the bits that it has in any batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.types import DType
from lucid.compiler.ops import REGISTRY, Op, Sample
from tests.native import build, sample_arrays, sample_dtypes

Array = np.ndarray[Any, Any]
BATCHES = (1, 2, 3, 17, 256)


@data
class Lifted:
    """`axes`: where operands have their batch, None if they are the same for all rows; `out`: where results
    have it. `graph(arrays)` for any number of rows."""

    name: str
    arrays: tuple[Array, ...]
    axes: tuple[int | None, ...]
    out: int
    graph: Callable[[Sequence[Array]], Graph]

    def some(self, first: int, last: int) -> list[Array]:
        """The operands of these rows."""
        return [
            a if axis is None else np.ascontiguousarray(a.take(range(first, last), axis))
            for a, axis in zip(self.arrays, self.axes, strict=True)
        ]


def lifted(op: Op, sample: Sample, dtype: DType, rows: int = max(BATCHES)) -> Lifted | None:
    """None for what has no operands."""
    if not sample.shapes:
        return None
    if op is ops.BROADCAST:  # the batch comes first, so all other axes must be there
        ((shape,), ndim) = sample.shapes, len(sample.attrs["shape"])
        sample = Sample(((*[1] * (ndim - len(shape)), *shape),), sample.attrs)
    form = _FORMS[op.kind](op, sample, rows) if op.kind in _FORMS else None
    if form is None:
        raise KeyError(f"no rule makes a function of rows of {op.name}, {op.kind}")
    attrs, axes, out = form
    rng = np.random.default_rng(11)
    shapes = [
        shape if axis is None else (*shape[:axis], rows, *shape[axis + (op.name == "convolve") :])
        for shape, axis in zip(sample.shapes, axes, strict=True)
    ]
    wide = Sample(tuple(shapes), sample.attrs, indices=sample.indices)
    arrays = tuple(sample_arrays(op, wide, dtype, rng))
    assert len(sample_dtypes(op, wide, dtype)) == len(arrays)

    def graph(given: Sequence[Array]) -> Graph:
        count = next(a.shape[x] for a, x in zip(given, axes, strict=True) if x is not None)
        return build(lambda *x: op(*x, **attrs(count)), given)

    return Lifted(f"{op.name} {dtype}", arrays, axes, out, graph)


# Of a number of rows the attributes; the axes of the operands; that of the result.
Form = tuple[Callable[[int], dict[str, Any]], tuple[int | None, ...], int]


def _same(op: Op, sample: Sample, rows: int) -> Form:
    return lambda count: dict(sample.attrs), (0,) * len(sample.shapes), 0


def _view(op: Op, sample: Sample, rows: int) -> Form:
    attrs = dict(sample.attrs)
    first = {"starts": 0, "steps": 1, "lo": 0, "hi": 0}
    if op is ops.TRANSPOSE:
        return lambda count: {"perm": (0, *(p + 1 for p in attrs["perm"]))}, (0,), 0
    if "axis" in attrs:
        return lambda count: {**attrs, "axis": attrs["axis"] + 1}, (0,), 0
    return lambda count: {k: (first.get(k, count), *v) for k, v in attrs.items()}, (0,), 0


def _along(op: Op, sample: Sample, rows: int) -> Form:
    """Axes are counted from behind the batch."""
    attrs = dict(sample.attrs)
    if "axes" in attrs:
        attrs["axes"] = tuple(a + 1 for a in attrs["axes"])
    else:
        attrs["axis"] += 1
    return lambda count: attrs, (0,) * len(sample.shapes), 0


def _contract(op: Op, sample: Sample, rows: int) -> Form:
    """The second operand is the same for all."""
    left, rest = sample.attrs["spec"].split(",")
    right, out = rest.split("->")
    return lambda count: {"spec": f"Z{left},{right}->Z{out}"}, (0, None), 0


def _index(op: Op, sample: Sample, rows: int) -> Form:
    """The indices are the same for all, and their dimensions come first."""
    attrs, ndim = dict(sample.attrs), len(sample.shapes[-1])
    attrs["axes"] = tuple(a + 1 for a in attrs["axes"])
    shared = (None,) * len(sample.indices)
    if op is ops.GATHER:
        return lambda count: attrs, (0, *shared), ndim
    return lambda count: {**attrs, "shape": (count, *attrs["shape"])}, (ndim, *shared), 0


def _composed(op: Op, sample: Sample, rows: int) -> Form:
    """Of a convolution, which has batches."""
    return lambda count: dict(sample.attrs), (0, None), 0


_FORMS: dict[str, Callable[[Op, Sample, int], Form]] = {
    "elementwise": _same, "view": _view, "reduce": _along, "scan": _along, "sort": _along,
    "contract": _contract, "index": _index, "composed": _composed,
}  # fmt: skip


def every(dtypes: Sequence[DType], samples: int | None = None) -> list[Lifted]:
    """All ops, so many samples of each, these dtypes if it takes them. KeyError for a kind without a rule."""
    found = []
    for op in REGISTRY.values():
        for sample in op.samples[:samples] if op.kind not in ("leaf", "pair") else ():
            for dtype in dtypes:
                if op.takes(dtype) and (made := lifted(op, sample, dtype)) is not None:
                    found.append(made)
    return found
