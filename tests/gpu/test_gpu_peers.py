"""What `make bench-gpu` times beside lucid computes the same; here on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import gpu, gpu_peers

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "copy": [(100,)],
    "huber": [(100,)] * 2,
    "softmax": [(5, 40)],
    "norm": [(5, 40)],
    "linear": [(4,), (50, 4), (50,)],
    "transposed": [(9, 9)] * 2,
    "product": [(8, 9), (9, 7)],
}


def test_every_case_has_peers() -> None:
    assert list(SHAPES) == list(dict.fromkeys(f.__name__ for f, _, _ in gpu.CASES.values()))


@pytest.mark.parametrize("package, label", [("torch", "PyTorch"), ("jax", "JAX")])
def test_peers_compute_the_same(package: str, label: str) -> None:
    pytest.importorskip(package)
    every, rng = gpu_peers.peers("cpu"), np.random.default_rng(0)
    for name, shapes in SHAPES.items():
        arrays = [3.0 * rng.standard_normal(shape, np.float32) for shape in shapes]
        ours = gpu_peers.with_lucid(getattr(gpu, name), "cpu", gpu.leaves)
        found = gpu_peers.compare(name, ours, {label: every[label]}, arrays, 1)
        assert found["lucid"]["off"] == 0 and found[label].get("off", 1) < 2e-6, (name, found)
        assert found[label]["median"] > 0 and found[label]["calls"] > 0


def test_another_result_is_seen() -> None:
    def make(_: str, arrays: Any) -> gpu_peers.Contender:
        return gpu_peers.Contender(lambda: arrays[0], lambda: None, lambda x: [x * 1.5])

    x = np.ones(4, np.float32)
    ours = gpu_peers.with_lucid(gpu.copy, "cpu", gpu.leaves)
    assert gpu_peers.compare("copy", ours, {"other": make}, [x], 1)["other"]["off"] == 0.25
