"""Graphs and inputs whose results must have the same bits on every machine: the registry, op by op; functions
that become fused kernels; functions of rows, at several sizes of a batch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lucid
from lucid import Tensor
from lucid.compiler import ops
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.types import DTYPES, DType, b1
from lucid.compiler.ops import Op
from lucid.nn import functional as F
from lucid.testing.traced import traced
from tests.compiler.test_ops import CASES as SAMPLES
from tests.compiler.test_ops import ELEMENTWISE, dtypes, special
from tests.lucid.test_order import OF_ROWS, OF_STACKS
from tests.native import build, sample_arrays

from .rows import BATCHES

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]


@data
class Case:
    """`group`: what it is part of in the table."""

    group: str
    name: str
    graph: Graph
    inputs: tuple[Array, ...]


def samples() -> Iterator[Case]:
    """Each op with each of its samples and dtypes."""
    for op, sample, dtype in SAMPLES:
        arrays = sample_arrays(op, sample, dtype, np.random.default_rng(zlib.crc32(op.name.encode())))
        graph = build(lambda *x, op=op, sample=sample: op(*x, **sample.attrs), arrays)
        yield Case("samples of ops", f"{op.name} {dtype}", graph, tuple(arrays))


def specials() -> Iterator[Case]:
    """Each elementwise op, at special values and all pairs of them, and at 5,003 random bit patterns."""
    for op in ELEMENTWISE:
        for dtype in dtypes(op):
            for name, arrays in _operands(op, dtype):
                yield from _each(op, dtype, name, arrays)


def _operands(op: Op, dtype: DType) -> Iterator[tuple[str, list[Array]]]:
    arity, rng = len(op.samples[0].shapes), np.random.default_rng(3)
    values = special(dtype)
    random = rng.integers(0, 256, (arity, 5003 * dtype.size), np.uint8)
    patterns = [x % 2 == 1 if dtype is b1 else x.view(dtype.np) for x in random]
    pairs = [g.ravel().copy() for g in np.meshgrid(*[values] * min(arity, 2))]
    if op is ops.WHERE:
        yield "special values", [np.resize([True, False], pairs[0].size), *pairs]
        yield "bit patterns", [patterns[1].astype(bool), *patterns[1:]]
    else:
        yield "special values", [pairs[k % len(pairs)] for k in range(arity)]
        yield "bit patterns", patterns


def _each(op: Op, dtype: DType, name: str, arrays: list[Array]) -> Iterator[Case]:
    for target in DTYPES.values() if op is ops.CAST else [None]:
        given = arrays
        if target is not None and dtype.is_float and not target.is_float and target is not b1:
            with np.errstate(invalid="ignore"):
                low = np.abs(arrays[0]) <= 100  # beyond the range, and of NaN, it is not defined
            given = [np.abs(arrays[0][low])]
        attrs: dict[str, Any] = {} if target is None else {"dtype": target}
        told = f"{op.name} {dtype}" + (f" to {target}" if target else "")
        yield Case(f"ops at {name}", told, build(lambda *x, a=attrs: op(*x, **a), given), tuple(given))


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(q @ k.transpose(0, 2, 1) * 0.25, axis=-1) @ v


def adam(w: Any, g: Any, m: Any, v: Any) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - 0.01 * (m / 0.1) / (lucid.sqrt(v / 0.001) + 1e-8), m, v


def linear_huber(x: Any, w: Any, y: Any) -> Any:
    return lucid.value_and_grad(lambda w: F.huber_loss(x @ w, y))(w)


def gradient_of(f: Function) -> Function:
    """The value, and the gradients of its sum by all arguments."""

    def both(*args: Any) -> Any:
        numbers = tuple(range(len(args)))
        return lucid.value_and_grad(lambda *x: (f(*x) ** 2).sum(), argnums=numbers)(*args)

    return both


def transformer() -> Function:
    lucid.manual_seed(0)
    w = [
        Tensor(np.random.default_rng(k).normal(size=s) / 4)
        for k, s in enumerate([(16, 48), (16, 16), (16, 64), (64, 16)])
    ]

    def block(x: Any) -> Any:
        a, b, c, d = (t.astype(x.dtype) for t in w)
        h = F.layer_norm(x, (16,)) @ a
        x = x + attention(h[..., :16], h[..., 16:32], h[..., 32:]) @ b
        return x + F.gelu(F.layer_norm(x, (16,)) @ c) @ d

    return block


# Of floats; shapes of the arguments.
FUSED: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "huber_loss and gradient": (
        lucid.value_and_grad(F.huber_loss),
        ((20_011,), (20_011,)),
    ),
    "mse_loss and gradient": (lucid.value_and_grad(F.mse_loss), ((130, 77), (130, 77))),
    "linear model, huber, few features": (linear_huber, ((3001, 5), (5,), (3001,))),
    "linear model, huber, many features": (linear_huber, ((301, 205), (205,), (301,))),
    "softmax": (lambda x: F.softmax(x, axis=-1), ((67, 133),)),
    "softmax, few columns": (gradient_of(lambda x: F.softmax(x, axis=-1)), ((401, 7),)),
    "softmax, long rows": (gradient_of(lambda x: F.softmax(x, axis=-1)), ((2, 70_001),)),
    "softmax over columns": (gradient_of(lambda x: F.softmax(x, axis=0)), ((67, 133),)),
    "log_softmax": (gradient_of(lambda x: F.log_softmax(x, axis=-1)), ((33, 50),)),
    "layer_norm": (gradient_of(lambda x: F.layer_norm(x, (96,))), ((65, 96),)),
    "rms_norm": (gradient_of(lambda x: F.rms_norm(x, (200,))), ((65, 200),)),
    "linear, gelu": (gradient_of(lambda x, w, b: F.gelu(x @ w.T + b)), ((45, 70), (33, 70), (33,))),
    "products": (gradient_of(lambda x, w: x @ w), ((130, 300), (300, 41))),
    "attention": (gradient_of(attention), ((3, 40, 16), (3, 40, 16), (3, 40, 16))),
    "attention, as a chain": (attention, ((2, 1024, 16), (2, 1024, 16), (2, 1024, 16))),
    "transformer block": (gradient_of(transformer()), ((2, 24, 16),)),
    "convolution": (gradient_of(lambda x, w: F.conv2d(x, w, padding=1)), ((2, 3, 13, 11), (4, 3, 3, 3))),
    "max_pool": (gradient_of(lambda x: F.max_pool2d(x, 2)), ((2, 3, 14, 10),)),
    "adam": (adam, ((5001,), (5001,), (5001,), (5001,))),
    "var, std, norm": (lambda x: (x.var(axis=1), x.std(axis=0), lucid.linalg.norm(x, axis=1)), ((43, 81),)),
    "var of many": (lambda x: x.var(), ((30_000,),)),
    "totals over rows": (lambda x: (x.sum(axis=0), x.sum(), x.max(axis=0), x.min()), ((1030, 37),)),
    "totals of columns": (lambda x: (x.sum(axis=0), x.mean(axis=1)), ((5, 9001),)),
    "logsumexp": (gradient_of(lambda x: lucid.logsumexp(x, axis=1)), ((9, 333),)),
    "cumsum, cumprod": (
        lambda x: (x.cumsum(axis=1), x.cumsum(axis=0), lucid.cumprod(x, axis=1)),
        ((31, 60),),
    ),
    "sort, argsort, median": (
        lambda x: (lucid.sort(x, axis=1), lucid.argsort(x, axis=0), lucid.median(x, axis=1)),
        ((21, 130),),
    ),
    "argmax, topk": (lambda x: (x.argmax(axis=1), lucid.topk(x, 5)[0]), ((21, 130),)),
    "transposes": (lambda x: (x.T * 2, x.transpose(1, 0) + 1, x[::-1, ::2]), ((70, 131),)),
    "concatenation, roll, pad": (
        lambda x: (lucid.concatenate([x, x * 2], axis=1), lucid.roll(x, 3, axis=1)),
        ((33, 50),),
    ),
    "gather, scatter": (
        lambda x: (x[np.array([3, 1, 3, 0])], x.at[np.array([1, 2, 1])].add(x[:3])),
        ((40, 9),),
    ),
    "remainders": (lambda x, y: (x % y, x // y, lucid.fmod(x, y)), ((3001,), (3001,))),
    "elementary functions": (
        lambda x: (lucid.sin(x), lucid.exp(x), lucid.erf(x), lucid.arctan(x), lucid.log1p(abs(x))),
        ((3001,),),
    ),
    "powers": (lambda x, y: abs(x) ** y, ((3001,), (3001,))),
}


def fused() -> Iterator[Case]:
    for name, (f, shapes) in FUSED.items():
        for dtype in ("float32", "float64", "float16"):
            rng = np.random.default_rng(len(name))
            args = tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)
            call = traced(f, args)
            yield Case("fused kernels", f"{name} {dtype}", call.graph, call.inputs)


def batches() -> Iterator[Case]:
    """Functions of rows, of the first so many rows of one matrix."""
    for table, extents in ((OF_ROWS, (64, 33)), (OF_STACKS, (12, 9))):
        for name, make in table.items():
            shape = extents if table is OF_STACKS else extents[:1]
            whole = np.random.default_rng(7).normal(size=(max(BATCHES), *shape)).astype("float32")
            for rows in BATCHES:
                call = traced(make(*extents), (whole[:rows].copy(),))
                yield Case("rows in batches", f"{name} of {rows}", call.graph, call.inputs)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "samples": samples, "specials": specials, "fused": fused, "batches": batches,
}  # fmt: skip
