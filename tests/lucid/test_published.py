"""One record of an op is all that users, gradients, kernels and the fuzzers need of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, methods, published
from lucid.compiler import ops
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.loop import Builder, Operand
from lucid.compiler.ir.types import DType
from lucid.compiler.ops.elementwise import element
from lucid.compiler.pipeline import compile_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.runtime.host import host
from tests.compiler import strategies
from tests.stubs import FOLDER, texts


def _lowered(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    (x,) = args
    return b.op("div", x, b.op("add", b.imm(1, x), b.op("abs", x)))


def _slope(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    length = ops.ADD(ops.const(1, ct), ops.ABS(node.inputs[0]))
    return (ops.DIV(ct, ops.MUL(length, length)),)


@pytest.fixture
def softsign() -> Iterator[ops.Op]:
    """x / (1 + |x|), registered while the program runs."""
    names = ("softsign", "squashed")
    yield element(
        "softsign", 1, lambda x: x / (1 + np.abs(x)), _slope, _lowered, flops=6,
        named=ops.Named(names, "x / (1 + |x|).", np.tanh),
    )  # fmt: skip
    del ops.REGISTRY["softsign"]
    for name in names:
        delattr(methods.Methods, name)
        delattr(methods.Methods, f"{name}_")
        delattr(published, name)
        published.__all__.remove(name)


def test_an_op_is_one_record(softsign: ops.Op) -> None:
    x = np.array([-3.0, -0.5, 0.0, 2.0], np.float32)
    right = x / (1 + np.abs(x))
    space: Any = lucid
    for name in ("softsign", "squashed"):
        for made in (getattr(space, name)(x), getattr(Tensor(x), name)()):
            np.testing.assert_array_equal(made.numpy(), right)
    assert space.softsign.__doc__ == "x / (1 + |x|)." and space.softsign.__name__ == "softsign"
    assert space.softsign(np.arange(3)).dtype == np.tanh(np.arange(3)).dtype
    compiled = lucid.compile(lambda v: lucid.grad(lambda u: space.softsign(u).sum())(v))
    np.testing.assert_allclose(compiled(x).numpy(), (1 + np.abs(x)) ** -2.0, rtol=1e-6)
    with pytest.raises(TypeError, match=r"test_published.py:\d+: softsign\(\): missing"):
        space.softsign()
    assert softsign in strategies.elementwise()


def test_its_names_go_with_it() -> None:
    assert not hasattr(lucid, "softsign") and not hasattr(Tensor, "squashed")


def test_every_name_of_a_record_is_a_function_and_a_method() -> None:
    for op in ops.REGISTRY.values():
        if op.named is None:
            continue
        for name in op.named.names:
            assert name in lucid.__all__ and getattr(lucid, name) is getattr(published, name)
            assert getattr(Tensor, name).__doc__ == getattr(lucid, name).__doc__ == op.named.doc


def test_type_checkers_are_told_what_the_records_name() -> None:
    """`python -m tests.stubs` writes it."""
    for name, text in texts().items():
        assert (FOLDER / name).read_text() == text


def test_code_of_a_users_op_is_known_by_what_it_is_lowered_to(
    softsign: ops.Op, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of a kernel names the op alone: code on disk would be that of an earlier record."""
    kernel = parse_kernel("kernel k(x: f32[n]) -> (o: f32[n])\nfor i in n\n  o[i] = softsign(x[i])")
    _, first = compile_kernel(kernel, host())
    changed = replace(softsign, lower=lambda b, args, dtype: args[0])
    monkeypatch.setitem(ops.REGISTRY, "softsign", changed)
    _, second = compile_kernel(kernel, host())
    assert first.key != second.key
    assert "fdiv" in str(first.source) and "fdiv" not in str(second.source)
    monkeypatch.setitem(ops.REGISTRY, "softsign", softsign)
    assert compile_kernel(kernel, host())[1] is first
