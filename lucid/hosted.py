"""Functions that a library computes from values, as nodes of a graph through which gradients flow.

    x = lucid.linalg.solve(a, b)     # LAPACK runs here: a singular matrix raises at this line
    loss = (x * x).sum()             # a node over x, lazy as any
    loss.backward()                  # the gradient of solve is another solve, and can be differentiated again

Outside of traces the node of a result has its value from the start, so no compiler looks at what is behind
it; gradients do. While a function is traced no values are known: the node is a step between kernels, and each
call calls the library (staged.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import LOC, Loc, Node, bind
from lucid.compiler.ir.types import TensorType
from lucid.compiler.ops.batch import all_in_front, attrs_in_front
from lucid.compiler.ops.record import Inputs, Mapped

from .context import MODE
from .engine import Array, evaluate, leaf
from .errors import earlier, user_loc
from .lanes import values_known
from .names import on_device
from .residence import USED, Device, brought, elsewhere, together
from .tensor import Tensor, apply

Options = Mapping[str, Any]


# All there are in the modules that are loaded, by name.
FUNCTIONS: dict[str, Hosted] = {}


def function_of(name: object) -> Hosted:
    """The one of this name. ValueError if there is none."""
    from . import alignment, lapack, pocketfft  # they are made there

    found = FUNCTIONS.get(str(name))
    if found is None:
        known = ", ".join(FUNCTIONS)
        where = ", ".join(m.__name__ for m in (alignment, lapack, pocketfft))
        raise ValueError(f"there is no function {name!r} in {where}; expected one of: {known}")
    return found


@data
class Hosted:
    """`compute(options, *arrays)` gives the results; `types(options, *types of the inputs)` says what they
    are; `vjp(call, k, ct, needs)` gives the cotangents of the inputs, for that of result `k`: nodes."""

    name: str
    compute: Callable[..., tuple[Array, ...]]
    types: Callable[..., tuple[TensorType, ...]]
    vjp: Callable[[Call, int, Node, tuple[bool, ...]], tuple[Node | None, ...]]
    flat: tuple[int, ...] = ()  # the results that are constant wherever they have a derivative
    # The library's own functions, if it is not one of this name; by the options, where these decide.
    calls: str | Callable[[Options], str] = ""

    def __post_init__(self) -> None:
        assert self.name not in FUNCTIONS, self.name
        FUNCTIONS[self.name] = self

    def run(self, options: Options, arrays: Sequence[Array], loc: Loc | None) -> tuple[Array, ...]:
        """The results, row-major. Errors name `loc`."""
        try:
            with np.errstate(all="ignore"):
                found = self.compute(options, *map(np.asarray, arrays))
        except (ValueError, TypeError) as error:  # LinAlgError is a ValueError
            raise earlier(type(error)(f"{self.name}: {error}"), loc) from None
        return tuple([np.ascontiguousarray(x) if x.ndim else np.asarray(x) for x in found])


# The results of calls whose values are known, by the node of each.
_KNOWN: WeakKeyDictionary[Node, tuple[Array, ...]] = WeakKeyDictionary()


@data(eq=False)
class Call:
    """One call of a function; with its results, where they are known."""

    function: Hosted
    inputs: tuple[Node, ...]
    options: Options
    results: tuple[Array, ...] | None

    @property
    def of_library(self) -> str:
        """What is called in the end, as the library's users know it."""
        calls = self.function.calls
        return (calls if isinstance(calls, str) else calls(self.options)) or f"numpy.{self.function.name}"

    def out(self, k: int) -> Node:
        """Result `k` as a node."""
        attrs = {"function": self.function.name, "options": tuple(self.options.items()), "result": k}
        node = Node(RESULT, self.inputs, MappingProxyType(attrs))
        if self.results is not None:
            device: Device = next((d for n in self.inputs for d in elsewhere(n)), "cpu")
            bind(node, brought(self.results[k], device))
            _KNOWN[node] = self.results
        return node


def call_of(node: Node) -> Call:
    """The call that a node is a result of."""
    attrs = node.attrs
    return Call(FUNCTIONS[attrs["function"]], node.inputs, dict(attrs["options"]), _KNOWN.get(node))


def _infer(types: tuple[TensorType, ...], attrs: Mapping[str, Any]) -> TensorType:
    found: TensorType = function_of(attrs["function"]).types(dict(attrs["options"]), *types)[attrs["result"]]
    return found


def _evaluate(attrs: Mapping[str, Any], *arrays: Array) -> Array:
    found: Array = function_of(attrs["function"]).run(dict(attrs["options"]), arrays, None)[attrs["result"]]
    return found


def _vjp(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    call = call_of(node)
    try:
        return call.function.vjp(call, node.attrs["result"], ct, needs)
    except ValueError as error:
        raise earlier(error, node.loc) from None


def _batch(op: ops.Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Mapping[str, Any]) -> Node:
    """Libraries compute stacks: of matrices along the axes in front, of others along any."""
    inputs = tuple(all_in_front(inputs, mapped, size))
    options = tuple(attrs_in_front(dict(attrs["options"]), size).items())
    return Node(op, inputs, MappingProxyType({**attrs, "options": options}))


# In no registry: it never comes into a graph that is compiled.
RESULT = ops.Op(
    "library", "host", _infer, _evaluate, _vjp, None, "fc", attrs=("function", "options", "result"),
    of_complex=lambda op, inputs, attrs: Node(op, inputs, attrs), batch=_batch,
)  # fmt: skip


HOSTED: Mapping[str, ops.Op] = {RESULT.name: RESULT}


def called(function: Hosted, *inputs: Node, **options: Any) -> Call:
    """`function` of `inputs`; of their values, which are computed, unless a function is traced. Errors name
    the current line."""
    trace = MODE.get().trace
    if trace is not None:
        trace.hosted = True
    if not values_known():
        return Call(function, inputs, options, None)
    return Call(function, inputs, options, function.run(options, evaluate(inputs), LOC.get()))


def constant(array: Array) -> Node:
    """An array of a formula's, which nobody else has."""
    trace = MODE.get().trace
    return leaf(array) if trace is None else trace.capture_array(array)


def results(function: Hosted, *operands: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """The results as tensors."""
    trace, grad, _ = MODE.get()
    if trace is not None:
        trace.hosted = True
    if not values_known():
        kinds = function.types(options, *[x._node.type for x in operands])
        return tuple([_traced(function, k, operands, options) for k in range(len(kinds))])
    arrays = [x._read(function.name) for x in operands]
    loc = user_loc()
    token = LOC.set(loc)
    try:
        found = function.run(options, arrays, loc)
        call = Call(function, tuple([x._node for x in operands]), options, found)
        tracked = grad and any(x.requires_grad for x in operands)
        device = together(operands) if USED[0] else None
        return tuple(
            [
                Tensor._of(call.out(k), True, None)
                if tracked and k not in function.flat
                else Tensor._of(on_device(leaf(array), device), False, None)
                for k, array in enumerate(found)
            ]
        )
    finally:
        LOC.reset(token)


def _traced(function: Hosted, k: int, operands: Sequence[Tensor], options: Options) -> Tensor:
    found = apply(lambda *nodes: Call(function, nodes, options, None).out(k), *operands)
    return found.detach() if k in function.flat else found
