"""What a record of the registry holds, and what its rules are written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, NoReturn, ParamSpec

import numpy as np

from ..ir.data import data
from ..ir.graph import LOC, NO_ATTRS, Node, node_of
from ..ir.types import DType, TensorType

Array = np.ndarray[Any, Any]
Attrs = Mapping[str, Any]
Types = tuple[TensorType, ...]
Inputs = tuple[Node, ...]
Mapped = tuple[bool, ...]
Vjp = Callable[[Node, Node, tuple[bool, ...]], tuple[Node | None, ...]]
Fields = ParamSpec("Fields")


class Ix(NamedTuple):  # not a dataclass: fusion hashes thousands
    """One subscript of a view: element `step * axis + offset`; the constant `offset` if no axis."""

    axis: str | None
    step: int = 1
    offset: int = 0


class Sum(NamedTuple):
    """One subscript along several axes: `step` times the sum of a * axis over `terms`, plus `offset`."""

    terms: tuple[tuple[str, int], ...]
    step: int = 1
    offset: int = 0


class By(NamedTuple):
    """One subscript by value: element `step * v + offset`, v the value of `node` at `access`. Nothing is read
    unless 0 <= v < extent."""

    node: Node
    access: Any  # a View
    extent: int
    step: int = 1
    offset: int = 0


class Guard(NamedTuple):
    """The view is 0 unless lo <= axis < hi."""

    axis: str
    lo: int
    hi: int


Subscript = Ix | Sum | By
View = tuple[tuple[Subscript, ...], tuple[Guard, ...]]


@data
class Sample:
    """One way to call the op in tests: operand shapes (of the test's dtype, but for indices) and attrs."""

    shapes: tuple[tuple[int, ...], ...]
    attrs: Attrs = NO_ATTRS
    indices: tuple[int, ...] = ()  # the last operands are int64, below these


@data
class Named:
    """How users call an elementwise op: by `names`, NumPy's or else the one that most use first, as functions
    and as methods of a tensor. It promotes its operands as `like` does, a function of NumPy's."""

    names: tuple[str, ...]
    doc: str
    like: np.ufunc


@data(eq=False)  # each is there once
class Op:
    """One op. `lower` by kind: elementwise: (builder, loop-level args, result dtype) -> value;
    view: (attrs, input shape, subscripts of the result) -> subscripts of the input, or None where
    they cannot be written; reduce, contract: the name of the kernel-level reduction; composed: (node) -> what
    stands for it once it has been differentiated; pair: none, it stands between numbers and their parts."""

    name: str
    kind: str  # leaf, elementwise, view, reduce, contract, index, scan, sort, composed, pair
    infer: Callable[[Types, Attrs], TensorType]
    evaluate: Callable[..., Array] | None  # (attrs, *arrays) -> array
    vjp: Vjp | None  # (node, cotangent, which inputs need one) -> cotangents; None: zero everywhere
    lower: Any
    kinds: str = "f"  # the kinds of dtype it takes: b, i, u, f, c
    only: DType | None = None  # the one dtype that it takes
    samples: tuple[Sample, ...] = ()
    domain: tuple[float, float] = (-4.0, 4.0)  # sample values for finite differences
    exact: bool = True
    ulp: float = 0.0
    flops: int = 1  # rough cost of an element, for the choice between recomputing and storing
    slow: bool = False  # whether it keeps a vector unit busy as long as ten others: divisions and roots
    # The derivative of an elementwise op: "constant" (numbers, whatever the operands), "finite" (at finite
    # operands) or "any" (may be infinite or NaN at finite ones, too).
    slope: str = "finite"
    named: Named | None = None  # None: lucid/ has functions of its own for it
    attrs: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()  # the attrs that are tuples of sizes: another value may need no other kernels
    # What stands for it where a complex number is an operand, or the result: see complex.py. None: it has no
    # meaning there.
    of_complex: Callable[[Op, tuple[Node, ...], Attrs], Node] | None = None
    # (op, operands, which are mapped, how many examples, attrs) -> the call for all examples; None: along
    # axes one place further, see batch.py.
    batch: Callable[[Op, Inputs, Mapped, int, Attrs], Node] | None = None

    def __call__(self, *inputs: Node, **attrs: Any) -> Node:
        for node in inputs:
            if node.type.dtype.is_complex:
                return _of_complex(self, inputs, attrs)
        if "dtype" in attrs and attrs["dtype"].is_complex:
            return _of_complex(self, inputs, attrs)
        return node_of(self, inputs, attrs or NO_ATTRS, LOC.get())

    def takes(self, dtype: DType) -> bool:
        """Whether operands may be of this dtype."""
        return dtype.kind in self.kinds and self.only in (None, dtype)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _of_complex(op: Op, inputs: tuple[Node, ...], attrs: Attrs) -> Node:
    if op.of_complex is None:
        kind = next((n.type.dtype for n in inputs if n.type.dtype.is_complex), None) or attrs["dtype"]
        fail(op.name, f"not defined for {kind.numpy}; compute with x.real and x.imag, or abs(x)")
    return op.of_complex(op, inputs, attrs)


REGISTRY: dict[str, Op] = {}
_told: list[Callable[[Op], None]] = []


def later(module: str, name: str) -> Callable[..., Any]:
    """The function of that name of a module beside this one, which is imported when it is called first."""

    def run(*args: Any) -> Any:
        return getattr(import_module(f".{module}", __package__), name)(*args)

    return run


# Modules of lowerings of elementary functions; those of others are in decompose.py.
_LOWERINGS = {
    name: module
    for module, names in (
        ("arcs", "arcsin arccos arctan arctan2"), ("exponential", "exp exp2 exp_term sigmoid"),
        ("gamma", "lgamma digamma trigamma"), ("power", "power"), ("table_cbrt", "cbrt"),
        ("table_erf", "erf"), ("table_erfc", "erfc"), ("table_erfinv", "erfinv"),
        ("table_hyperbolic", "expm1 sinh cosh"), ("table_inverse", "arcsinh arccosh arctanh"),
        ("table_log", "log log2 log10 log1p"), ("table_tanh", "tanh"), ("trigonometric", "sin cos tan"),
    )
    for name in names.split()
}  # fmt: skip


class _Decompose:
    """`dec.NAME` is the lowering of that name, imported when a kernel is lowered: a process that finds
    its machine code in the cache never lowers."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = later(_LOWERINGS.get(name, "decompose"), name)
        return lambda b, args, dtype: function(b, *args)

    @staticmethod
    def in_wide(lower: Callable[..., Any]) -> Callable[..., Any]:
        """`lower`, for formats that are for memory alone, too: widened, computed, rounded once."""

        def run(b: Any, args: Any, dtype: DType) -> Any:
            if args[0].dtype.wide is None:
                return lower(b, args, dtype)
            found = lower(b, tuple([b.widened(a) for a in args]), dtype.computed)
            return found if dtype.wide is None else b.op("cast", found, dtype=dtype)

        return run

    @staticmethod
    def instruction(name: str) -> Callable[..., Any]:
        """The loop instruction of that name."""
        return lambda b, args, dtype: b.op(name, *args)


dec = _Decompose()


def register(op: Op) -> Op:
    assert op.name not in REGISTRY
    REGISTRY[op.name] = op
    for tell in _told:
        tell(op)
    return op


def _registered(make: Callable[Fields, Op]) -> Callable[Fields, Op]:
    return lambda *args, **fields: register(make(*args, **fields))


define = _registered(Op)  # one op: its fields


def each(tell: Callable[[Op], None]) -> None:
    """Tell of every op: of those in the registry now, and of each that comes later."""
    for op in REGISTRY.values():
        tell(op)
    _told.append(tell)


def fail(op: str, message: str) -> NoReturn:
    raise TypeError(f"{op}: {message}")


def operands(op: str, types: Types, n: int) -> None:
    if len(types) != n:
        fail(op, f"expected {n} operand{'s' * (n != 1)}, got {len(types)}")
