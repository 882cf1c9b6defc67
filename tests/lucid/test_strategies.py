"""Graphs and models as Hypothesis strategies; the models of a seed, compiled and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import lucid
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.ir.graph import Graph
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.verify.graph import verify_graph
from lucid.testing import check, graphs, models
from lucid.testing.networks import random_model

pytestmark = pytest.mark.report

few = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(graphs(most=6, more=True))
def test_graphs_are_legal_and_simplified_graphs_mean_the_same(graph: Graph) -> None:
    verify_graph(graph)
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)
    inputs = [np.zeros(n.shape, n.type.dtype.np) for n in graph.inputs]
    pairs = zip(interpret_graph(graph, inputs), interpret_graph(simplify(graph), inputs), strict=True)
    for one, other in pairs:
        assert one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


@few
@given(models(most=4))
def test_models_give_the_same_compiled_and_not(drawn: Any) -> None:
    model, x = drawn
    assert np.allclose(model(x).numpy(), lucid.compile(model)(x).numpy(), rtol=1e-4, atol=1e-5)


def test_models_of_a_seed() -> None:
    kinds = set()
    for seed in range(30):
        (a, x), (b, y) = random_model(seed), random_model(seed)
        assert str(a) == str(b) and np.array_equal(x.numpy(), y.numpy())
        assert np.array_equal(a(x).numpy(), b(y).numpy(), equal_nan=True) and len(a(x).shape) == 2
        kinds |= {type(layer).__name__ for layer in a.modules()}
    wanted = "Linear LayerNorm RMSNorm BatchNorm1d Conv1d Conv2d MaxPool1d AvgPool2d Residual GELU ReLU"
    assert kinds >= set(wanted.split())


@pytest.mark.parametrize("seed", [3, 4])
def test_a_model_is_checked_as_a_function_of_its_input(seed: int) -> None:
    model, x = random_model(seed, most=3)
    assert "1 results agree" in str(check(model.eval().forward, x, grad=False))
