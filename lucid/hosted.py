"""Functions that a library computes from values, as nodes of a graph through which gradients flow.

    x = lucid.linalg.solve(a, b)     # LAPACK runs here: a singular matrix raises at this line
    loss = (x * x).sum()             # a node over x, lazy as any
    loss.backward()                  # the gradient of solve is another solve, and can be differentiated again

The node of a result has its value from the start, so no evaluation and no compiler ever looks at what is
behind it; gradients do. While a function is traced no values are known: TraceError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import LOC, Node, bind
from lucid.compiler.ir.types import TensorType, from_numpy

from .context import MODE
from .engine import Array, evaluate, leaf
from .errors import TraceError, here, located, user_loc
from .tensor import Tensor


@data
class Hosted:
    """`compute(options, *arrays)` gives the results; `vjp(call, k, ct, needs)` the cotangents of the inputs,
    for that of result `k`: nodes."""

    name: str
    compute: Callable[..., tuple[Array, ...]]
    vjp: Callable[[Call, int, Node, tuple[bool, ...]], tuple[Node | None, ...]]
    flat: tuple[int, ...] = ()  # the results that are constant wherever they have a derivative


@data(eq=False)
class Call:
    """One call of a function, with its results."""

    function: Hosted
    inputs: tuple[Node, ...]
    options: Mapping[str, Any]
    results: tuple[Array, ...]

    def out(self, k: int) -> Node:
        """Result `k` as a node. (It holds this call, which holds no node of a result: no cycle.)"""
        node = Node(_RESULT, self.inputs, MappingProxyType({"call": self, "k": k}))
        bind(node, self.results[k])
        return node


def _infer(_: tuple[TensorType, ...], attrs: Mapping[str, Any]) -> TensorType:
    array = attrs["call"].results[attrs["k"]]
    return TensorType(from_numpy(array.dtype), array.shape)


def _vjp(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    call: Call = node.attrs["call"]
    try:
        return call.function.vjp(call, node.attrs["k"], ct, needs)
    except ValueError as error:
        raise located(error, node.loc) from None


# In no registry: it never comes into a graph that is compiled.
_RESULT = ops.Op("result", "host", _infer, None, _vjp, None)


def called(function: Hosted, *inputs: Node, **options: Any) -> Call:
    """`function` of the values of `inputs`, which are computed. Errors name the current line."""
    return _called(function, inputs, evaluate(inputs), options)


def _called(
    function: Hosted, inputs: tuple[Node, ...], arrays: Sequence[Array], options: Mapping[str, Any]
) -> Call:
    try:
        with np.errstate(all="ignore"):
            found = function.compute(options, *arrays)
    except (ValueError, TypeError) as error:  # LinAlgError is a ValueError
        raise located(type(error)(f"{function.name}: {error}"), LOC.get()) from None
    return Call(function, inputs, options, tuple([np.ascontiguousarray(x) if x.ndim else x for x in found]))


def results(function: Hosted, *operands: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """The results as tensors. TraceError in a compiled function."""
    trace, grad = MODE.get()
    if trace is not None:
        raise TraceError(
            here(
                f"{function.name} in a compiled function: a library computes it from values, which are "
                "not known while it is traced. Call it outside, and pass its result as an argument"
            )
        )
    arrays = [x._read(function.name) for x in operands]
    token = LOC.set(user_loc())
    try:
        call = _called(function, tuple([x._node for x in operands]), arrays, options)
        tracked = grad and any(x.requires_grad for x in operands)
        return tuple(
            [
                Tensor._of(call.out(k), True, None)
                if tracked and k not in function.flat
                else Tensor._of(leaf(array), False, None)
                for k, array in enumerate(call.results)
            ]
        )
    finally:
        LOC.reset(token)
