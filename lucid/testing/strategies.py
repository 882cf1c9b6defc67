"""Hypothesis strategies: shapes, tensors, whole programs, graphs, models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.rounding import convert

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as extra
except ImportError as error:
    raise ImportError(
        "the strategies of lucid.testing (tensors, shapes, programs, graphs, models) need hypothesis: "
        "pip install hypothesis"
    ) from error

from ..engine import closed
from ..errors import public
from ..nn import Module
from ..pieces import structure
from ..promote import dtype_of
from ..tensor import Tensor
from .family import function
from .generate import random_program
from .layouts import LAYOUTS, laid_out
from .networks import random_model
from .program import Program

# Around vectors of 16, 32 and 64 bytes.
EXTENTS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 65)
FLOATS = ("float32", "float64", "float16")


@public
def shapes(
    min_dims: int = 0, max_dims: int = 3, extents: Sequence[int] = EXTENTS
) -> st.SearchStrategy[tuple[int, ...]]:
    """Tuples of `min_dims` to `max_dims` extents out of `extents`, by default those where vectors begin and
    end; give 0 among them for arrays without elements. ValueError unless 0 <= min_dims <= max_dims, and for
    extents that are negative or none."""
    if not 0 <= min_dims <= max_dims:
        raise ValueError(f"shapes: expected 0 <= min_dims <= max_dims, not {min_dims} and {max_dims}")
    if not extents or not all(isinstance(n, int) and n >= 0 for n in extents):
        raise ValueError(f"shapes: extents are whole numbers of at least 0, not {list(extents)}")
    return st.lists(st.sampled_from(list(extents)), min_size=min_dims, max_size=max_dims).map(tuple)


@public
def tensors(
    dtype: Any = None,
    shape: Any = None,
    *,
    special: bool = False,
    low: float = -10.0,
    high: float = 10.0,
    layouts: Sequence[str] = (),
) -> st.SearchStrategy[Any]:
    """Tensors. `dtype`: one, or a strategy of them, by default floats of 16, 32 and 64 bits; `shape`: a
    tuple, or a strategy, by default `shapes()`. Values lie in [`low`, `high`], or are any of the dtype,
    NaN, infinities, signed zeros and denormals included, if `special`.

    With `layouts`, names of `lucid.testing.LAYOUTS`, it gives NumPy arrays that lie in memory in one of
    these ways, which functions of lucid take as tensors (a tensor of its own lies in row-major order).
    ValueError for another name, and for what is no dtype, shape or range.
    """
    unknown = set(layouts) - set(LAYOUTS)
    if unknown:
        raise ValueError(f"unknown layouts {sorted(unknown)}; expected some of {', '.join(LAYOUTS)}")
    if not low <= high:
        raise ValueError(f"tensors: low={low} is above high={high}")
    if dtype is not None and not isinstance(dtype, st.SearchStrategy):
        dtype_of(dtype)  # it raises what is wrong here, and not where an example is drawn
    if shape is not None and not isinstance(shape, st.SearchStrategy):
        shape = (shape,) if isinstance(shape, int) else shape
        if not isinstance(shape, tuple | list) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"tensors: expected a tuple as shape, or a strategy of them, not {shape!r}")
        shape = tuple(shape)
    kinds = dtype if isinstance(dtype, st.SearchStrategy) else st.sampled_from([dtype] if dtype else FLOATS)
    forms = shape if isinstance(shape, st.SearchStrategy) else shapes() if shape is None else st.just(shape)

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        given = dtype_of(draw(kinds))
        kind = np.dtype(given.computed.np)
        array = draw(extra.arrays(kind, draw(forms), elements=_elements(kind, special, low, high)))
        array = convert(array, given)
        return laid_out(array, draw(st.sampled_from(list(layouts)))) if layouts else Tensor(array)

    return build()


def _elements(dtype: np.dtype[Any], special: bool, low: float, high: float) -> st.SearchStrategy[Any]:
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        least, most = (int(info.min), int(info.max)) if special else (int(np.ceil(low)), int(np.floor(high)))
        return st.integers(max(least, int(info.min)), min(most, int(info.max)))
    if special:
        return extra.from_dtype(dtype)
    width: Any = 8 * dtype.itemsize
    return st.floats(low, high, width=width, allow_nan=False)


def programs(*, smooth: bool = False, most: int = 14, more: bool = False) -> st.SearchStrategy[Program]:
    """Random programs of up to `most` statements over random inputs: `program.run(np, program.inputs)` and
    `program.run(lucid, ...)` give every value by name, `program.outputs` names the results. `smooth`: over
    float64, and differentiable almost everywhere. `more`: with all kinds of statements that `python -m lucid
    fuzz` has (scans, sorts, elements by places, branches and loops, complex numbers, bfloat16, ...)."""
    return st.integers(0, 2**31 - 1).map(lambda seed: random_program(seed, smooth, most, more))


def graphs(*, smooth: bool = False, most: int = 14, more: bool = False) -> st.SearchStrategy[Graph]:
    """The graphs of such programs (docs/ir.md): what a pass gets to see. Inputs of `graph.inputs` have any
    values; behind the outputs of a graph with indices that are values stands whether these are inside."""
    return programs(smooth=smooth, most=most, more=more).map(_graph)


def _graph(program: Program) -> Graph:
    results = function(program)(*map(Tensor, program.inputs.values()))
    wanted = [r._node for r in results]
    return closed(wanted, structure(wanted))


def models(*, most: int = 6) -> st.SearchStrategy[tuple[Module, Tensor]]:
    """Random modules of up to `most` layers with an input each: linear and convolutional layers, norms,
    activations, pools, residual blocks. Nothing in them is drawn when they are called (no dropout), and
    float32 is what they compute in."""
    return st.integers(0, 2**31 - 1).map(lambda seed: random_model(seed, most))
