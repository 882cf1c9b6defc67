"""Contractions: sums of products over the letters that the result lacks."""

from __future__ import annotations

import functools

import numpy as np

from ..ir.graph import Node
from ..ir.rounding import computed
from ..ir.types import TensorType, tensor_type
from . import batch
from .complex import bilinear
from .record import Array, Attrs, Sample, Types, define, fail, operands


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
    operands("contract", types, 2)
    spec = attrs["spec"]
    a, b, out, twice, alone = _letters(spec)
    x, y = types
    if x.dtype is not y.dtype or x.dtype.kind not in "iuf":
        fail("contract", f"needs two numbers of one dtype, got {x}, {y}")
    if len(a) != len(x.shape) or len(b) != len(y.shape) or twice:
        fail("contract", f"spec {spec!r} does not fit {x}, {y}")
    extent = dict(zip(a, x.shape, strict=True))
    for letter, n in zip(b, y.shape, strict=True):
        if extent.setdefault(letter, n) != n:
            fail("contract", f"extents of {letter!r} differ: {x}, {y} with {spec!r}")
    if alone:
        fail("contract", f"{alone!r} stands in only one part of {spec!r}")
    return tensor_type(x.dtype, tuple([extent[letter] for letter in out]))


def _contract(attrs: Attrs, x: Array, y: Array) -> Array:
    with np.errstate(all="ignore"):
        return computed(lambda x, y: np.asarray(np.einsum(attrs["spec"], x, y)), x, y)


def _d_contract(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Every letter stands in two parts at least, so each gradient is again a contraction."""
    a, b, out = parse_spec(node.attrs["spec"])
    x, y = node.inputs
    return (
        CONTRACT(ct, y, spec=f"{out},{b}->{a}") if needs[0] else None,
        CONTRACT(ct, x, spec=f"{out},{a}->{b}") if needs[1] else None,
    )


# Sum of products over the letters that the result lacks. Each letter stands in at least two parts.
CONTRACT = define(
    "contract", "contract", _infer_contract, _contract, _d_contract, "dot", "iuf",
    attrs=("spec",), exact=False,
    samples=(
        Sample(((3, 4), (4, 5)), {"spec": "ij,jk->ik"}), Sample(((3, 4), (4,)), {"spec": "ij,j->i"}),
        Sample(((3, 4), (5, 4)), {"spec": "ij,kj->ik"}), Sample(((7,), (7,)), {"spec": "i,i->"}),
        Sample(((3,), (4,)), {"spec": "i,j->ij"}),
        Sample(((2, 3, 4), (2, 4, 5)), {"spec": "bij,bjk->bik"}),
    ),
    of_complex=bilinear, batch=batch.contract,
)  # fmt: skip
