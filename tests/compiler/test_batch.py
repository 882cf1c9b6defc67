"""Every op for a batch of examples at once, against one call for each."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
import pytest

from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.types import f32, i64
from lucid.compiler.ops import REGISTRY, Op, Sample
from lucid.compiler.passes.batch import in_batch
from tests.native import inputs_like, sample_arrays

pytestmark = pytest.mark.table

SIZE = 3
CASES = [
    pytest.param(op, sample, id=f"{op.name}-{n}")
    for op in REGISTRY.values()
    if op.kind not in ("leaf", "pair") and op.samples[0].shapes
    for n, sample in enumerate(op.samples)
]


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_op(op: Op, sample: Sample) -> None:
    """Whichever of its operands are mapped. It is interpreted: what is asked is which numbers meet."""
    rng = np.random.default_rng(zlib.crc32(op.name.encode()))
    dtype = op.only or (f32 if op.takes(f32) else i64)
    draws = [sample_arrays(op, sample, dtype, rng) for _ in range(SIZE)]
    count = len(draws[0])
    single = inputs_like(draws[0])
    output = op(*single, **sample.attrs)
    for mapped in itertools.product((True, False), repeat=count):
        if not any(mapped):
            continue
        calls = [[draws[k if m else 0][j] for j, m in enumerate(mapped)] for k in range(SIZE)]
        arrays = [np.stack([c[j] for c in calls]) if m else calls[0][j] for j, m in enumerate(mapped)]
        inputs = inputs_like(arrays)
        examples = {single[j]: inputs[j] for j, m in enumerate(mapped) if m}
        same = {j: n for j, n in enumerate(single) if not mapped[j]}
        (found,) = in_batch([output], examples, SIZE)
        assert found is not None and found.shape == (SIZE, *output.shape)
        inputs = tuple(same.get(j, n) for j, n in enumerate(inputs))
        assert op.evaluate is not None
        want = np.stack([op.evaluate(sample.attrs, *c) for c in calls])
        got = interpret_graph(Graph("batch", inputs, (found,)), arrays)[0]
        if op.exact:
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_what_is_the_same_for_all_stays_as_it_is() -> None:
    x, w = inputs_like([np.zeros(4, np.float32)] * 2)
    (many,) = inputs_like([np.zeros((SIZE, 4), np.float32)])
    mul: Any = REGISTRY["mul"]
    alone, both = mul(w, w), mul(x, w)
    found = in_batch([alone, both, x], {x: many}, SIZE)
    assert found[0] is None and found[2] is many
    assert found[1] is not None and found[1].inputs[0] is many
