"""The text of six functions at three levels, for one machine as data, so that it is the same everywhere:
what a change of the compiler does to them is seen in its diff. `pytest --update-golden` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.target import HASWELL
from lucid.compiler.pipeline import Compiled, compile_graph, loops
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.verify.graph import verify_graph
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func

from ..conftest import Golden

Array = np.ndarray[Any, Any]


def huber(x: Any, y: Any) -> Any:
    def loss(x: Any, y: Any) -> Any:
        return F.huber_loss(x, y)

    return lucid.value_and_grad(loss)(x, y)


def softmax(x: Any) -> Any:
    return F.softmax(x, -1)


def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
    return F.layer_norm(x, (96,), weight, bias)


def linear_relu(x: Any, w: Any, b: Any) -> Any:
    return F.relu(x @ w + b)


def indices(x: Any, at: Any) -> Any:
    return lucid.cumsum(x, 1), lucid.argmax(x, 1), x[at]


def adamw() -> Callable[[], Any]:
    w = nn.Parameter(np.ones(100, "f"))
    opt = optim.AdamW([w], lr=0.125, weight_decay=0.25)

    def adamw_step() -> None:
        w.grad = w * 2
        opt.step()
        opt.zero_grad()

    return adamw_step


def sample(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).normal(size=shape).astype("f")


FUNCTIONS: dict[str, tuple[Callable[[], Callable[..., Any]], tuple[Array, ...]]] = {
    "huber": (lambda: huber, (sample(1000), sample(1000))),
    "softmax": (lambda: softmax, (sample(32, 16),)),
    "layer_norm": (lambda: layer_norm, (sample(16, 96), sample(96), sample(96))),
    "linear_relu": (lambda: linear_relu, (sample(128, 100), sample(100, 80), sample(80))),
    "indices": (lambda: indices, (sample(16, 8), np.array([3, 1, 15]))),
    "adamw": (adamw, ()),
}
MADE: dict[str, Compiled] = {}


def made(name: str) -> Compiled:
    """The function, traced here and compiled for that machine."""
    if name not in MADE:
        function, args = FUNCTIONS[name]
        compiled: Any = lucid.compile(function())
        compiled.cost(*args)
        found = compiled._last().executable.compiled
        MADE[name] = compile_graph(found.written, HASWELL, found.plan.aliases)
    return MADE[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_graphs(name: str, golden: Golden) -> None:
    graph = made(name).written
    text = print_graph(graph)
    golden(f"functions/{name}.graph.txt", text)
    read = parse_graph(text)
    verify_graph(read)
    assert print_graph(read) == text
    arrays = [sample(*n.shape) if n.type.dtype.is_float else np.ones(n.shape, "i8") for n in graph.inputs]
    given = [a.astype(n.type.dtype.np) for a, n in zip(arrays, graph.inputs, strict=True)]
    for a, b in zip(interpret_graph(graph, given), interpret_graph(read, given), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels(name: str, golden: Golden) -> None:
    texts = []
    for call in made(name).stages.program.calls:
        texts.append(print_kernel(call.kernel))
        read = parse_kernel(texts[-1])
        verify_kernel(read)
        assert read == call.kernel
    golden(f"functions/{name}.kernel.txt", "\n".join(texts))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops(name: str, golden: Golden) -> None:
    inside, texts = made(name).stages, list[str]()
    for call, schedule in zip(inside.program.calls, inside.schedules, strict=True):
        for func in loops(call.kernel, schedule):
            texts.append(print_func(func))
            read = parse_func(texts[-1])
            verify_func(read)
            assert read == func
    golden(f"functions/{name}.loop.txt", "\n".join(texts))
