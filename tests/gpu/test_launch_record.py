"""`compiled.ptx(arch).as_dict()` is all that another simulator needs: what runs it here reads nothing else,
through JSON, and knows nothing of lucid but a machine that executes PTX."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.compiler.gpu.simulator import Memory, launch, parse
from tests.compiler.test_ptx_bits import same

Array = np.ndarray[Any, Any]
DTYPES = {"f32": "<f4", "f64": "<f8", "f16": "<f2", "i64": "<i8", "i32": "<i4", "b1": "?", "c64": "<c8"}


def run(record: str, given: dict[str, Array]) -> dict[str, Array]:
    """The results by their names, of inputs by theirs."""
    found = json.loads(record)
    memory, buffers = Memory(), found["buffers"]
    arrays = {entry["buffer"]: given[entry["name"]] for entry in found["inputs"]}
    working = memory.allocate(found["working"], "working memory")
    places: list[int] = []
    for number, buffer in enumerate(buffers):
        if buffer["kind"] == "temp":
            places.append(working + buffer["offset"])
        elif buffer["kind"] == "input":
            array = np.ascontiguousarray(arrays[number], DTYPES[buffer["dtype"]])
            assert list(array.shape) == buffer["shape"] and array.nbytes == buffer["bytes"]
            places.append(memory.upload(array, f"buffer {number}", writable=False))
        else:
            places.append(memory.allocate(buffer["bytes"], f"buffer {number}"))

    def argument(parameter: dict[str, Any]) -> int | bytes:
        if "buffer" in parameter:
            return int(places[parameter["buffer"]] + parameter["offset"])
        return bytes.fromhex(parameter["bytes"]) if "bytes" in parameter else int(parameter["value"])

    modules = [parse(text) for text in found["modules"]]
    for step in found["launches"]:
        module, args = modules[step["module"]], [argument(p) for p in step["parameters"]]
        launch(module, step["entry"], step["grid"], step["threads"], args, memory, step["shared"])
    results: dict[str, Array] = {}
    for entry in found["results"]:
        buffer = buffers[entry["buffer"]]
        kind = np.dtype(DTYPES[buffer["dtype"]])
        results[entry["name"]] = memory.download(places[entry["buffer"]], tuple(buffer["shape"]), kind)
    return results


def attention(x: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Several launches, with working memory between them."""
    scores = lucid.softmax(x @ w, axis=1)
    return {"scores": scores, "back": lucid.sort(scores.T @ x, axis=1), "all": (scores * 0.3).sum()}


def parts(x: Tensor, at: Tensor) -> tuple[Tensor, ...]:
    half = x.astype("float16")
    return lucid.complex(x, 2.0 * x)[at], x > 0, lucid.argmax(x, axis=1), lucid.cumsum(half, axis=1)


def flat(x: Tensor) -> Any:
    return lucid.value_and_grad(lambda x: nn.functional.huber_loss(x, 0.5 * x.detach()))(x)


X = np.random.default_rng(0).normal(size=(37, 20)).astype(np.float32)
CASES: dict[str, tuple[Callable[..., Any], dict[str, Array]]] = {
    "attention": (attention, {"x": X, "w": X[:20, :9].copy()}),
    "parts": (parts, {"x": X, "at": np.array([3, 0, 36, -1])}),
    "flat": (flat, {"x": np.linspace(-3, 3, 20_000, dtype=np.float32)}),
    "empty": (lambda x: (x.sum(), x * 2.0), {"x": np.zeros((0, 3), np.float32)}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_record_alone(name: str) -> None:
    f, given = CASES[name]
    run_here: Any = lucid.compile(f)
    want = run_here(**given)
    record = json.dumps(run_here.ptx("sm_80").as_dict())
    found = run(record, given)
    values = want.items() if isinstance(want, dict) else enumerate(want)
    for key, value in values:
        assert same(found.pop(f"result.{key}"), value.numpy()), key
    assert set(found) <= {"index check"} and not any(found.values())


def test_what_a_model_reads_has_its_name() -> None:
    model = nn.Linear(20, 3)
    assert model.bias is not None
    forward = lucid.compile(lambda x: model(x))
    want = forward(X).numpy()
    record = forward.ptx().as_dict()
    names = [entry["name"] for entry in record["inputs"]]
    assert names == ["x", "model.weight", "model.bias"]
    given = dict(zip(names, (X, model.weight.numpy(), model.bias.numpy()), strict=True))
    (found,) = run(json.dumps(record), given).values()
    assert found.tobytes() == want.tobytes()
