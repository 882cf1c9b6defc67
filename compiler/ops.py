"""The op registry: every fact about an op stands in its one record here.

Elementwise ops take operands of one shape and one dtype (the front end promotes and broadcasts,
with nodes of their own); so a graph says what really happens. Gradients are written in graph ops
and can be differentiated again. `compiled equals evaluate` bit for bit where `exact`, else within
`ulp` units in the last place (reductions and contractions: within the bound that
`docs/architecture.md` states).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .data import data
from .graph import NO_ATTRS, Node, rebuild, toposort
from .types import DTYPES, DType, TensorType, b1, tensor_type

Array = np.ndarray[Any, Any]
Attrs = Mapping[str, Any]
Types = tuple[TensorType, ...]
Vjp = Callable[[Node, Node, tuple[bool, ...]], tuple[Node | None, ...]]


class Ix(NamedTuple):  # not a dataclass: fusion hashes thousands
    """One subscript of a view: element `step * axis + offset`; the constant `offset` if no axis."""

    axis: str | None
    step: int = 1
    offset: int = 0


class Guard(NamedTuple):
    """The view is 0 unless lo <= axis < hi."""

    axis: str
    lo: int
    hi: int


View = tuple[tuple[Ix, ...], tuple[Guard, ...]]


@data
class Sample:
    """One way to call the op in tests: operand shapes (dtype is the test's choice) and attrs."""

    shapes: tuple[tuple[int, ...], ...]
    attrs: Attrs = NO_ATTRS


@data
class Op:
    """One op. `lower` by kind: elementwise: (builder, loop-level args, result dtype) -> value;
    view: (attrs, input shape, subscripts of the result) -> subscripts of the input, or None where
    they cannot be written; reduce, contract: the name of the kernel-level reduction."""

    name: str
    kind: str  # leaf, elementwise, view, reduce, contract
    infer: Callable[[Types, Attrs], TensorType]
    evaluate: Callable[..., Array] | None  # (attrs, *arrays) -> array
    vjp: Vjp | None  # (node, cotangent, which inputs need one) -> cotangents; None: zero everywhere
    lower: Any
    kinds: str = "f"  # the kinds of dtype it takes: b, i, u, f
    samples: tuple[Sample, ...] = ()
    domain: tuple[float, float] = (-4.0, 4.0)  # sample values for finite differences
    exact: bool = True
    ulp: float = 0.0
    flops: int = 1  # rough cost of an element, for the choice between recomputing and storing
    # The derivative of an elementwise op: "constant" (numbers, whatever the operands), "finite" (at finite
    # operands) or "any" (may be infinite or NaN at finite ones, too).
    slope: str = "finite"
    attrs: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()  # the attrs that are tuples of sizes: another value may need no other kernels

    def __call__(self, *inputs: Node, **attrs: Any) -> Node:
        return Node(self, inputs, attrs if attrs else NO_ATTRS)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


REGISTRY: dict[str, Op] = {}


class _Decompose:
    """`dec.NAME` is the lowering of that name, imported when a kernel is lowered: a process that finds
    its machine code in the cache never lowers."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def lower(*args: Any) -> Any:
            return getattr(import_module(".decompose", __package__), name)(*args)

        return lower

    @staticmethod
    def instruction(name: str) -> Callable[..., Any]:
        """The loop instruction of that name."""
        return lambda b, args, dtype: b.op(name, *args)


dec = _Decompose()


def _register(op: Op) -> Op:
    assert op.name not in REGISTRY
    REGISTRY[op.name] = op
    return op


def _fail(op: str, message: str) -> None:
    raise TypeError(f"{op}: {message}")


def _count(op: str, types: Types, n: int) -> None:
    if len(types) != n:
        _fail(op, f"expected {n} operand{'s' * (n != 1)}, got {len(types)}")


# --- leaves --------------------------------------------------------------------------------------


def _infer_input(types: Types, attrs: Attrs) -> TensorType:
    _count("input", types, 0)
    return tensor_type(attrs["dtype"], tuple(attrs["shape"]))


def _infer_literal(types: Types, attrs: Attrs) -> TensorType:
    _count("const", types, 0)
    return tensor_type(attrs["dtype"], ())


def _literal(attrs: Attrs) -> Array:
    return np.asarray(attrs["value"]).astype(attrs["dtype"].np)


INPUT = _register(
    Op(
        "input", "leaf", _infer_input, None, None, None, "biuf",
        attrs=("name", "dtype", "shape"), sizes=("shape",),
    )
)  # fmt: skip
# A literal of a formula; part of the kernel's text.
CONST = _register(Op("const", "leaf", _infer_literal, _literal, None, None, "biuf", attrs=("value", "dtype")))
# A number of the user's; an operand of the kernel, so that another value needs no other code.
SCALAR = _register(
    Op("scalar", "leaf", _infer_literal, _literal, None, None, "biuf", attrs=("value", "dtype"))
)


# The constants of a piece of work that makes many alike: one node for each.
_SHARED: ContextVar[dict[object, Node] | None] = ContextVar("_SHARED", default=None)


@contextmanager
def shared_constants() -> Iterator[None]:
    """What is made inside by `const` and `once` is made once, up to the outermost of these."""
    token = _SHARED.set({}) if _SHARED.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _SHARED.reset(token)


def once(key: Hashable, make: Callable[..., Node], *args: Any) -> Node:
    """`make(*args)`; within `shared_constants` the same node for equal keys."""
    known = _SHARED.get()
    if known is None:
        return make(*args)
    found = known.get(key)
    if found is None:
        found = known[key] = make(*args)
    return found


def const(value: float | int | bool, like: Node) -> Node:
    """`value` in the dtype and shape of `like`."""
    if type(value) is int:  # floats that are equal may differ in the sign of zero
        return once((value, like.type), _const, value, like)
    return _const(value, like)


def _const(value: float | int | bool, like: Node) -> Node:
    return fill(CONST(value=value, dtype=like.type.dtype), like.shape)


def fill(node: Node, shape: tuple[int, ...]) -> Node:
    """A 0-d node broadcast to `shape`."""
    return node if node.type.shape == shape else BROADCAST(node, shape=shape)


def zeros_like(node: Node) -> Node:
    return const(0, node)


# --- elementwise ---------------------------------------------------------------------------------


def _same(name: str, arity: int, kinds: str, result: DType | None) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        if len(types) != arity:
            _count(name, types, arity)
        first = types[0]
        if arity == 2 and types[1] is not first and types[1] != first:
            _fail(name, f"operands differ in type: {', '.join(map(str, types))}")
        if first.dtype.kind not in kinds:
            _fail(name, f"not defined for {first.dtype.numpy}")
        return first if result is None else tensor_type(result, first.shape)

    return infer


def _element(
    name: str,
    arity: int,
    evaluate: Callable[..., Array],
    vjp: Vjp | None,
    lower: Any = None,
    kinds: str = "f",
    result: DType | None = None,
    **more: Any,
) -> Op:
    """An elementwise op; by default it lowers to the loop instruction of its name."""

    def run(attrs: Attrs, *args: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(evaluate(*args))

    infer = _same(name, arity, kinds, result)
    code = lower or dec.instruction(name)
    samples = tuple(Sample((shape,) * arity) for shape in ((), (7,), (3, 5)))
    return _register(Op(name, "elementwise", infer, run, vjp, code, kinds, samples=samples, **more))


def _d_add(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    return ct, ct


def _d_sub(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    return ct, NEG(ct) if needs[1] else None


def _d_mul(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    a, b = node.inputs
    if a is b:
        return MUL(MUL(const(2, ct), ct), a), None  # 2 ct is often the same for all elements
    return MUL(ct, b) if needs[0] else None, MUL(ct, a) if needs[1] else None


def _d_div(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    b = node.inputs[1]
    da = DIV(ct, b)
    return da, NEG(MUL(da, node)) if needs[1] else None


def _d_pow(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    a, b = node.inputs
    da = db = None
    if needs[0]:  # at b = 0 the derivative is 0, also where a**-1 is not finite
        slope = MUL(ct, MUL(b, POW(a, SUB(b, const(1, b)))))
        da = WHERE(EQ(b, const(0, b)), const(0, b), slope)
    if needs[1]:  # a**b * log(a), its limit 0 at a = 0
        safe = WHERE(EQ(a, const(0, a)), const(1, a), a)
        db = MUL(ct, MUL(node, LOG(safe)))
    return da, db


def _d_sqrt(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """A norm, the root of a sum of squares, has the subgradient 0 at 0."""
    slope = DIV(ct, MUL(const(2, node), node))
    squares = _squares(node.inputs[0])
    return (slope if squares is None else WHERE(EQ(squares, const(0, ct)), const(0, ct), slope),)


def _squares(x: Node) -> Node | None:
    """Of what is by its form a sum of squares, each times anything: a node that is 0 only where all squares
    are, so that the gradient of `x` is, too. `x` itself if the squares are times numbers."""
    known: dict[Node, Node] = {}
    left = [x]
    for node in left:  # grows
        if node in known:
            continue
        if node.op in (ADD, SUM, CAST) or node.op.kind == "view":
            left += node.inputs
        elif node.op is WHERE:
            mask, *branches = node.inputs
            numbers = [n for n in branches if _at_least_0(n)]
            known.update((n, n) for n in (mask, *numbers))
            left += [n for n in branches if n not in numbers]
        else:
            square = _square(node)
            if square is None:
                return None
            known[node] = square
    for node in toposort([x], tuple(known)):
        known[node] = rebuild(node, tuple([known[n] for n in node.inputs]))
    return known[x]


def _square(node: Node) -> Node | None:
    """The same of a product, two of whose factors are one, or one a sum of squares."""
    if node.op is CONTRACT:
        a, b, _ = parse_spec(node.attrs["spec"])
        return node if a == b and _alike(*node.inputs) else None
    factors: list[Node] = []
    divisors: list[Node] = []
    left = [node]
    for n in left:  # grows
        if n.op is MUL and not _alike(*n.inputs):
            left += n.inputs
        elif n.op is DIV:
            left.append(n.inputs[0])
            divisors.append(n.inputs[1])
        else:
            factors.append(n)
        if len(left) > 32:
            return None
    for k, f in enumerate(factors):
        others = [*factors[:k], *factors[k + 1 :], *divisors]
        twin = next((g for g in factors[k + 1 :] if _alike(f, g)), None)
        if twin is not None:
            others.remove(twin)
            return node if all(map(_at_least_0, others)) else ABS(f)  # its square might underflow
        inner = f if f.op is MUL else _squares(f) if f.op in (SUM, ADD, CAST, CONTRACT, BROADCAST) else None
        if inner is not None:
            return node if inner is f and all(map(_at_least_0, others)) else inner
    return None


def _alike(a: Node, b: Node) -> bool:
    """Whether both are one value, made twice in a few steps, as in `x[0] * x[0]`."""
    pairs = [(a, b)]
    for a, b in pairs:  # grows
        if a is not b:
            if a.op is not b.op or a.op is INPUT or dict(a.attrs) != dict(b.attrs) or len(pairs) > 50:
                return False
            pairs += zip(a.inputs, b.inputs, strict=True)
    return True


def _at_least_0(node: Node) -> bool:
    """Whether `node` is such a number."""
    while node.op is BROADCAST:
        node = node.inputs[0]
    return (node.op is CONST or node.op is SCALAR) and node.attrs["value"] >= 0


def _d_mod(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    return ct, NEG(MUL(ct, FLOORDIV(*node.inputs))) if needs[1] else None


def _d_select(better: str) -> Vjp:
    def vjp(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
        """The loser gets nothing; a tie halves the cotangent, so that x and its twin are alike. NaN and its
        partner both get all of it."""
        a, b = node.inputs
        half = WHERE(EQ(a, b), MUL(const(0.5, ct), ct), ct)
        wins, zero = REGISTRY[better], zeros_like(ct)
        return WHERE(wins(b, a), zero, half), WHERE(wins(a, b), zero, half)

    return vjp


def _d_where(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    mask, zero = node.inputs[0], zeros_like(ct)
    return None, WHERE(mask, ct, zero) if needs[1] else None, WHERE(mask, zero, ct) if needs[2] else None


ADD = _element("add", 2, np.add, _d_add, kinds="iuf", slope="constant")
SUB = _element("sub", 2, np.subtract, _d_sub, kinds="iuf", slope="constant")
MUL = _element("mul", 2, np.multiply, _d_mul, kinds="iuf")
DIV = _element("div", 2, np.true_divide, _d_div, domain=(0.5, 4.0), slope="any")
FLOORDIV = _element("floordiv", 2, np.floor_divide, None, dec.floordiv, "iuf", domain=(0.5, 4.0), flops=8)
MOD = _element("mod", 2, np.remainder, _d_mod, dec.mod, "iuf", domain=(0.5, 4.0), flops=8, slope="any")
POW = _element(
    "pow", 2, np.power, _d_pow, dec.power, domain=(0.5, 3.0), exact=False, ulp=1, flops=40, slope="any"
)
MAX = _element("max", 2, np.maximum, _d_select("gt"), dec.maximum, "biuf", slope="constant")
MIN = _element("min", 2, np.minimum, _d_select("lt"), dec.minimum, "biuf", slope="constant")
NEG: Op = _element("neg", 1, np.negative, lambda n, ct, _: (NEG(ct),), kinds="iuf", slope="constant")
ABS = _element("abs", 1, np.abs, lambda n, ct, _: (MUL(ct, SIGN(n.inputs[0])),), dec.absolute, "iuf")
SIGN: Op = _element("sign", 1, np.sign, None, dec.sign, "iuf")
SQRT = _element("sqrt", 1, np.sqrt, _d_sqrt, domain=(0.5, 4.0), flops=4, slope="any")
EXP = _element(
    "exp", 1, np.exp, lambda n, ct, _: (MUL(ct, n),), dec.exp, exact=False, ulp=1, flops=15, slope="any"
)
LOG = _element(
    "log", 1, np.log, lambda n, ct, _: (DIV(ct, n.inputs[0]),), dec.log,
    domain=(0.5, 4.0), exact=False, ulp=1, flops=20, slope="any",
)  # fmt: skip
TANH = _element(
    "tanh", 1, np.tanh, lambda n, ct, _: (MUL(ct, SUB(const(1, n), MUL(n, n))),), dec.tanh,
    exact=False, ulp=2, flops=25,
)  # fmt: skip


def _erf(x: Array) -> Array:
    values = [math.erf(v) for v in x.astype(np.float64).ravel().tolist()]
    return np.array(values).reshape(x.shape).astype(x.dtype)


def _d_erf(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    x = node.inputs[0]
    return (MUL(ct, MUL(const(2 / math.sqrt(math.pi), x), EXP(NEG(MUL(x, x))))),)


ERF = _element("erf", 1, _erf, _d_erf, dec.erf, exact=False, ulp=1, flops=30)
FLOOR = _element("floor", 1, np.floor, None)

AND = _element("and", 2, np.bitwise_and, None, kinds="biu")
OR = _element("or", 2, np.bitwise_or, None, kinds="biu")
XOR = _element("xor", 2, np.bitwise_xor, None, kinds="biu")
NOT = _element("not", 1, np.invert, None, kinds="biu")
SHL = _element("shl", 2, np.left_shift, None, dec.shift_left, "iu")
SHR = _element("shr", 2, np.right_shift, None, dec.shift_right, "iu")

EQ = _element("eq", 2, np.equal, None, kinds="biuf", result=b1)
NE = _element("ne", 2, np.not_equal, None, kinds="biuf", result=b1)
LT = _element("lt", 2, np.less, None, kinds="biuf", result=b1)
LE = _element("le", 2, np.less_equal, None, kinds="biuf", result=b1)
GT = _element("gt", 2, np.greater, None, kinds="biuf", result=b1)
GE = _element("ge", 2, np.greater_equal, None, kinds="biuf", result=b1)


def _infer_where(types: Types, attrs: Attrs) -> TensorType:
    _count("where", types, 3)
    cond, a, b = types
    if cond.dtype is not b1 or cond.shape != a.shape or a != b:
        _fail("where", f"expected bool, t, t of one shape, got {', '.join(map(str, types))}")
    return a


def _where(attrs: Attrs, cond: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(cond, a, b))


def _infer_cast(types: Types, attrs: Attrs) -> TensorType:
    _count("cast", types, 1)
    return tensor_type(attrs["dtype"], types[0].shape)


def _cast(attrs: Attrs, x: Array) -> Array:
    with np.errstate(all="ignore"):
        return x.astype(attrs["dtype"].np)


def _d_cast(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    source = node.inputs[0].type.dtype
    if not (source.is_float and node.type.dtype.is_float):
        return (None,)
    return (CAST(ct, dtype=source),)


WHERE = _register(
    Op(
        "where", "elementwise", _infer_where,
        _where, _d_where, dec.instruction("select"), "biuf",
        samples=(Sample(((7,), (7,), (7,))), Sample(((3, 5),) * 3)), slope="constant",
    )
)  # fmt: skip
CAST = _register(
    Op(
        "cast", "elementwise", _infer_cast, _cast, _d_cast, dec.cast, "biuf", attrs=("dtype",),
        samples=tuple(Sample(((7,),), {"dtype": d}) for d in DTYPES.values()), flops=0, slope="constant",
    )
)  # fmt: skip
# The identity, through which no gradient flows.
STOP = _register(
    Op(
        "stop_gradient", "elementwise", _same("stop_gradient", 1, "biuf", None),
        lambda attrs, x: x, None, lambda b, args, dtype: args[0], "biuf",
        samples=(Sample(((7,),)),), flops=0,
    )
)  # fmt: skip

# --- views ---------------------------------------------------------------------------------------


def _infer_reshape(types: Types, attrs: Attrs) -> TensorType:
    _count("reshape", types, 1)
    result = tensor_type(types[0].dtype, tuple(attrs["shape"]))
    if result.size != types[0].size:
        _fail("reshape", f"{types[0]} has {types[0].size} elements, {result} has {result.size}")
    return result


def _index_reshape(attrs: Attrs, shape: tuple[int, ...], index: tuple[Ix, ...]) -> View | None:
    """Only extents of 1 come and go; anything else changes the order of a strided walk."""
    kept = [ix for ix, n in zip(index, attrs["shape"], strict=True) if n != 1]
    if [n for n in shape if n != 1] != [n for n in attrs["shape"] if n != 1]:
        return None
    rest = iter(kept)
    return tuple(Ix(None) if n == 1 else next(rest) for n in shape), ()


def _infer_transpose(types: Types, attrs: Attrs) -> TensorType:
    _count("transpose", types, 1)
    perm = attrs["perm"]
    if sorted(perm) != list(range(types[0].ndim)):
        _fail("transpose", f"{perm} is not a permutation of the {types[0].ndim} axes")
    return tensor_type(types[0].dtype, tuple(types[0].shape[p] for p in perm))


def _index_transpose(attrs: Attrs, shape: tuple[int, ...], index: tuple[Ix, ...]) -> View | None:
    source: list[Ix] = [Ix(None)] * len(shape)
    for ix, p in zip(index, attrs["perm"], strict=True):
        source[p] = ix
    return tuple(source), ()


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(k) for k in range(len(perm)))


def _infer_broadcast(types: Types, attrs: Attrs) -> TensorType:
    _count("broadcast", types, 1)
    shape = tuple(attrs["shape"])
    source = types[0].shape
    if not source:
        return tensor_type(types[0].dtype, shape)
    tail = shape[len(shape) - len(source) :]
    if len(source) > len(shape) or any(n not in (1, m) for n, m in zip(source, tail, strict=True)):
        _fail("broadcast", f"shape {source} does not broadcast to {shape}")
    return tensor_type(types[0].dtype, shape)


def _index_broadcast(attrs: Attrs, shape: tuple[int, ...], index: tuple[Ix, ...]) -> View | None:
    tail = index[len(index) - len(shape) :]
    return tuple(Ix(None) if n == 1 else ix for ix, n in zip(tail, shape, strict=True)), ()


def _d_broadcast(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    source = node.inputs[0].shape
    lead = ct.type.ndim - len(source)
    stretched = tuple(d for d, n in enumerate(ct.shape) if d < lead or (source[d - lead] == 1 and n != 1))
    total = (any_ if ct.type.dtype is b1 else sum_)(ct, stretched)
    return (reshape(total, source),)


def _infer_slice(types: Types, attrs: Attrs) -> TensorType:
    _count("slice", types, 1)
    starts, steps, counts = attrs["starts"], attrs["steps"], attrs["counts"]
    if not len(starts) == len(steps) == len(counts) == types[0].ndim:
        _fail("slice", f"{types[0]} needs {types[0].ndim} starts, steps and counts")
    for start, step, count, n in zip(starts, steps, counts, types[0].shape, strict=True):
        last = start + (count - 1) * step
        if count < 0 or step == 0 or (count and not (0 <= start < n and 0 <= last < n)):
            _fail("slice", f"{start}:{step}:{count} (start:step:count) is outside of {n} elements")
    return tensor_type(types[0].dtype, tuple(counts))


def _index_slice(attrs: Attrs, shape: tuple[int, ...], index: tuple[Ix, ...]) -> View | None:
    return tuple(
        Ix(ix.axis, ix.step * step, ix.offset * step + start)
        for ix, start, step in zip(index, attrs["starts"], attrs["steps"], strict=True)
    ), ()


def _slice(attrs: Attrs, x: Array) -> Array:
    for axis, (start, step, count) in enumerate(
        zip(attrs["starts"], attrs["steps"], attrs["counts"], strict=True)
    ):
        x = np.take(x, start + step * np.arange(count), axis=axis)
    return x


def _d_slice(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """The cotangent, spread over zeros: axis by axis, flip, space out by the step, pad."""
    for axis, (start, step, count, n) in enumerate(
        zip(
            *(node.attrs[k] for k in ("starts", "steps", "counts")),
            node.inputs[0].shape,
            strict=True,
        )
    ):
        if (start, step, count) == (0, 1, n):
            continue
        if step < 0:
            ct = flip(ct, axis)
            start, step = start + (count - 1) * step, -step
        if step > 1 and count:
            before, after = ct.shape[:axis], ct.shape[axis + 1 :]
            spaced = reshape(ct, (*before, count, 1, *after))
            spaced = _pad_axis(spaced, axis + 1, 0, step - 1)
            spaced = reshape(spaced, (*before, count * step, *after))
            ct = narrow(spaced, axis, 0, (count - 1) * step + 1)
        ct = _pad_axis(ct, axis, start, n - start - ct.shape[axis])
    return (ct,)


def _infer_pad(types: Types, attrs: Attrs) -> TensorType:
    _count("pad", types, 1)
    lo, hi = attrs["lo"], attrs["hi"]
    if len(lo) != types[0].ndim or len(hi) != types[0].ndim or min((*lo, *hi), default=0) < 0:
        _fail("pad", f"{types[0]} needs {types[0].ndim} non-negative widths, got {lo}, {hi}")
    shape = tuple(a + n + b for a, n, b in zip(lo, types[0].shape, hi, strict=True))
    return tensor_type(types[0].dtype, shape)


def _index_pad(attrs: Attrs, shape: tuple[int, ...], index: tuple[Ix, ...]) -> View | None:
    source, guards = [], []
    for ix, lo, hi, n in zip(index, attrs["lo"], attrs["hi"], shape, strict=True):
        if lo == hi == 0:
            source.append(ix)
        elif ix.axis is None or ix.step != 1:
            return None
        else:
            source.append(Ix(ix.axis, 1, ix.offset - lo))
            guards.append(Guard(ix.axis, lo - ix.offset, lo - ix.offset + n))
    return tuple(source), tuple(guards)


def _d_pad(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    shape = node.inputs[0].shape
    return (SLICE(ct, starts=node.attrs["lo"], steps=(1,) * len(shape), counts=shape),)


RESHAPE: Op = _register(
    Op(
        "reshape", "view", _infer_reshape, lambda attrs, x: x.reshape(attrs["shape"]),
        lambda n, ct, _: (RESHAPE(ct, shape=n.inputs[0].shape),), _index_reshape, "biuf",
        attrs=("shape",), sizes=("shape",),
        samples=(
            Sample(((6,),), {"shape": (2, 3)}), Sample(((2, 3),), {"shape": (3, 2)}),
            Sample(((2, 3),), {"shape": (2, 1, 3)}), Sample(((1,),), {"shape": ()}),
        ),
    )
)  # fmt: skip
TRANSPOSE: Op = _register(
    Op(
        "transpose", "view", _infer_transpose, lambda attrs, x: x.transpose(attrs["perm"]),
        lambda n, ct, _: (TRANSPOSE(ct, perm=_inverse(n.attrs["perm"])),), _index_transpose, "biuf",
        attrs=("perm",),
        samples=(Sample(((3, 5),), {"perm": (1, 0)}), Sample(((2, 3, 4),), {"perm": (2, 0, 1)})),
    )
)  # fmt: skip
BROADCAST = _register(
    Op(
        "broadcast", "view", _infer_broadcast,
        lambda attrs, x: np.broadcast_to(x, attrs["shape"]), _d_broadcast, _index_broadcast, "biuf",
        attrs=("shape",), sizes=("shape",),
        samples=(
            Sample(((),), {"shape": (4,)}), Sample(((5,),), {"shape": (3, 5)}),
            Sample(((3, 1),), {"shape": (2, 3, 5)}),
        ),
    )
)  # fmt: skip
# Element start + k * step of each axis, for k < count; steps may be negative.
SLICE = _register(
    Op(
        "slice", "view", _infer_slice, _slice, _d_slice, _index_slice, "biuf",
        attrs=("starts", "steps", "counts"), sizes=("starts", "counts"),
        samples=(
            Sample(((9,),), {"starts": (2,), "steps": (1,), "counts": (5,)}),
            Sample(((9,),), {"starts": (8,), "steps": (-3,), "counts": (3,)}),
            Sample(((4, 9),), {"starts": (1, 0), "steps": (2, 4), "counts": (2, 3)}),
        ),
    )
)  # fmt: skip
# Zeros around.
PAD = _register(
    Op(
        "pad", "view", _infer_pad,
        lambda attrs, x: np.pad(x, [*zip(attrs["lo"], attrs["hi"], strict=True)]) if x.ndim else x,
        _d_pad, _index_pad, "biuf", attrs=("lo", "hi"), sizes=("lo", "hi"),
        samples=(
            Sample(((5,),), {"lo": (2,), "hi": (1,)}),
            Sample(((3, 4),), {"lo": (0, 3), "hi": (2, 0)}),
        ),
    )
)  # fmt: skip


def reshape(node: Node, shape: tuple[int, ...]) -> Node:
    return node if node.shape == shape else RESHAPE(node, shape=shape)


def narrow(node: Node, axis: int, start: int, count: int) -> Node:
    """`count` elements of one axis from `start`."""
    starts, counts = [0] * node.type.ndim, list(node.shape)
    if (start, count) == (0, counts[axis]):
        return node
    starts[axis], counts[axis] = start, count
    return SLICE(node, starts=tuple(starts), steps=(1,) * len(starts), counts=tuple(counts))


def flip(node: Node, axis: int) -> Node:
    """One axis, reversed."""
    starts, steps = [0] * node.type.ndim, [1] * node.type.ndim
    if node.shape[axis]:
        starts[axis], steps[axis] = node.shape[axis] - 1, -1
    return SLICE(node, starts=tuple(starts), steps=tuple(steps), counts=node.shape)


def _pad_axis(node: Node, axis: int, lo: int, hi: int) -> Node:
    if lo == hi == 0:
        return node
    los, his = [0] * node.type.ndim, [0] * node.type.ndim
    los[axis], his[axis] = lo, hi
    return PAD(node, lo=tuple(los), hi=tuple(his))


# --- reductions ----------------------------------------------------------------------------------


def kept_dims(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 at `axes`: a reduction's result, made broadcastable to its operand again."""
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def _reduction(name: str, kinds: str) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        _count(name, types, 1)
        axes = attrs["axes"]
        if len(set(axes)) != len(axes) or any(not 0 <= a < types[0].ndim for a in axes):
            _fail(name, f"axes {axes} do not fit {types[0]}")
        if types[0].dtype.kind not in kinds:
            _fail(name, f"not defined for {types[0].dtype.numpy}")
        shape = tuple(n for d, n in enumerate(types[0].shape) if d not in axes)
        if name != "sum" and any(types[0].shape[a] == 0 for a in axes):
            raise ValueError(f"{name} of zero elements has no value (operand {types[0]})")
        return tensor_type(types[0].dtype, shape)

    return infer


def _sum(attrs: Attrs, x: Array) -> Array:
    """float16 accumulates in float32, as the kernels do."""
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(x, axis=attrs["axes"], dtype=wide)).astype(x.dtype)


def _d_sum(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    shape = node.inputs[0].shape
    kept = reshape(ct, kept_dims(shape, node.attrs["axes"]))
    return (kept if kept.shape == shape else BROADCAST(kept, shape=shape),)


def _d_extreme(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Equal shares to all elements that attain the extreme."""
    x, axes = node.inputs[0], node.attrs["axes"]

    def spread(n: Node) -> Node:
        kept = reshape(n, kept_dims(x.shape, axes))
        return kept if kept.shape == x.shape else BROADCAST(kept, shape=x.shape)

    hit = EQ(x, spread(node))
    share = DIV(ct, SUM(CAST(hit, dtype=ct.type.dtype), axes=axes))
    return (WHERE(hit, spread(share), zeros_like(x)),)


_REDUCE_SAMPLES = (
    Sample(((7,),), {"axes": (0,)}), Sample(((3, 5),), {"axes": (1,)}),
    Sample(((3, 5),), {"axes": (0,)}), Sample(((3, 5),), {"axes": (0, 1)}),
    Sample(((2, 3, 4),), {"axes": (0, 2)}),
)  # fmt: skip
SUM = _register(
    Op(
        "sum", "reduce", _reduction("sum", "iuf"), _sum, _d_sum, "sum", "iuf",
        attrs=("axes",), samples=_REDUCE_SAMPLES, exact=False,
    )
)  # fmt: skip
AMAX = _register(
    Op(
        "amax", "reduce", _reduction("amax", "biuf"),
        lambda attrs, x: np.asarray(np.max(x, axis=attrs["axes"])), _d_extreme, "max", "biuf",
        attrs=("axes",), samples=_REDUCE_SAMPLES,
    )
)  # fmt: skip
AMIN = _register(
    Op(
        "amin", "reduce", _reduction("amin", "biuf"),
        lambda attrs, x: np.asarray(np.min(x, axis=attrs["axes"])), _d_extreme, "min", "biuf",
        attrs=("axes",), samples=_REDUCE_SAMPLES,
    )
)  # fmt: skip


def sum_(node: Node, axes: tuple[int, ...]) -> Node:
    return SUM(node, axes=axes) if axes else node


def any_(mask: Node, axes: tuple[int, ...]) -> Node:
    """Whether any of the elements along `axes` is true; without a reduction where all of them are alike."""
    if not axes:
        return mask
    shape = tuple([n for d, n in enumerate(mask.shape) if d not in axes])
    source = mask.inputs[0] if mask.inputs else mask
    if mask.op is BROADCAST:
        lead = mask.type.ndim - source.type.ndim
        return fill(any_(source, tuple([a - lead for a in axes if a >= lead])), shape)
    if mask.op is PAD:
        lo, hi = ([n for d, n in enumerate(mask.attrs[k]) if d not in axes] for k in ("lo", "hi"))
        return PAD(any_(source, axes), lo=tuple(lo), hi=tuple(hi))
    if any(mask.shape[a] == 0 for a in axes):
        return fill(CONST(value=False, dtype=b1), shape)
    return AMAX(mask, axes=axes)


# --- contraction ---------------------------------------------------------------------------------


@functools.cache
def parse_spec(spec: str) -> tuple[str, str, str]:
    """'ij,jk->ik' as its three parts."""
    left, _, out = spec.partition("->")
    a, _, b = left.partition(",")
    return a, b, out


@functools.cache
def _letters(spec: str) -> tuple[str, str, str, bool, str]:
    """The three parts; whether a letter stands twice in one; a letter that stands in only one."""
    parts = parse_spec(spec)
    alone = [x for x in "".join(parts) if sum(x in part for part in parts) < 2]
    return *parts, any(len(set(part)) != len(part) for part in parts), alone[0] if alone else ""


def _infer_contract(types: Types, attrs: Attrs) -> TensorType:
    _count("contract", types, 2)
    spec = attrs["spec"]
    a, b, out, twice, alone = _letters(spec)
    x, y = types
    if x.dtype is not y.dtype or x.dtype.kind not in "iuf":
        _fail("contract", f"needs two numbers of one dtype, got {x}, {y}")
    if len(a) != len(x.shape) or len(b) != len(y.shape) or twice:
        _fail("contract", f"spec {spec!r} does not fit {x}, {y}")
    extent = dict(zip(a, x.shape, strict=True))
    for letter, n in zip(b, y.shape, strict=True):
        if extent.setdefault(letter, n) != n:
            _fail("contract", f"extents of {letter!r} differ: {x}, {y} with {spec!r}")
    if alone:
        _fail("contract", f"{alone!r} stands in only one part of {spec!r}")
    return tensor_type(x.dtype, tuple([extent[letter] for letter in out]))


def _contract(attrs: Attrs, x: Array, y: Array) -> Array:
    wide = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
    with np.errstate(all="ignore"):
        return np.asarray(np.einsum(attrs["spec"], x.astype(wide), y.astype(wide))).astype(x.dtype)


def _d_contract(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Every letter stands in two parts at least, so each gradient is again a contraction."""
    a, b, out = parse_spec(node.attrs["spec"])
    x, y = node.inputs
    return (
        CONTRACT(ct, y, spec=f"{out},{b}->{a}") if needs[0] else None,
        CONTRACT(ct, x, spec=f"{out},{a}->{b}") if needs[1] else None,
    )


# Sum of products over the letters that the result lacks. Each letter stands in at least two parts.
CONTRACT = _register(
    Op(
        "contract", "contract", _infer_contract, _contract, _d_contract, "dot", "iuf",
        attrs=("spec",), exact=False,
        samples=(
            Sample(((3, 4), (4, 5)), {"spec": "ij,jk->ik"}), Sample(((3, 4), (4,)), {"spec": "ij,j->i"}),
            Sample(((3, 4), (5, 4)), {"spec": "ij,kj->ik"}), Sample(((7,), (7,)), {"spec": "i,i->"}),
            Sample(((3,), (4,)), {"spec": "i,j->ij"}),
            Sample(((2, 3, 4), (2, 4, 5)), {"spec": "bij,bjk->bik"}),
        ),
    )
)  # fmt: skip
