"""`device="cuda"` through a stand-in of the driver: the bits of the CPU, and nothing left behind."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lucid
from benchmarks import gpu
from lucid.report import profile_cuda
from lucid.runtime.cuda import device
from tests.compiler.gpu_kernels import case

from . import test_device
from .functions import CASES, arrays, flat, solved, steps
from .standin import StandIn


@pytest.mark.parametrize("f, shapes", CASES)
def test_the_bits_of_the_cpu(f: Callable[..., Any], shapes: list[tuple[int, ...]], standin: StandIn) -> None:
    given = arrays(*shapes)
    want, run = lucid.compile(f)(*given), lucid.compile(f, device="cuda")
    for _ in range(2):
        got = run(*given)
        pairs = zip(want, got, strict=True) if isinstance(want, tuple) else [(want, got)]
        assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)
    assert standin.calls.count("cuGraphInstantiateWithFlags") == (2 if f is solved else 1)
    del got, pairs
    assert standin.calls.count("cuMemAllocAsync") == standin.calls.count("cuMemFreeAsync")


def test_steps_of_linear_regression(standin: StandIn) -> None:
    (losses, parameters), (others, found) = steps(lucid.compile), steps(lucid.compile, "cuda")
    assert losses == others and losses[2] < losses[0]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(parameters, found, strict=True))


def test_what_a_function_made_goes_with_it(standin: StandIn) -> None:
    run: Any = lucid.compile(lambda x: x + 1.0, device="cuda")
    run(arrays((5,))[0])
    assert standin.kept() == ["graph", "graph exec", "module", "retained", "stream"]
    del run
    gc.collect()
    with device.device().held():
        pass
    assert standin.kept() == ["module", "retained", "stream"]


def test_memory_that_nobody_uses_goes_back(standin: StandIn) -> None:
    run: Any = lucid.compile(flat, device="cuda")
    run(*arrays((5,)))
    assert "cuMemPoolTrimTo" not in standin.calls
    lucid.empty_cache()
    assert standin.calls[-2] == "cuMemPoolTrimTo"


def test_threads_take_turns(standin: StandIn) -> None:
    test_device.threads_agree(rows=(2, 3), calls=3)


def test_what_runs_on_a_gpu_runs_on_the_stand_in(standin: StandIn) -> None:
    test_device.check(*case("huber"))


def test_a_random_program(standin: StandIn) -> None:
    test_device.random_programs_agree(5)


def test_benchmarks(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script, with a small size of each kind; what is too large is noted."""
    small = {"huber": (gpu.huber, [(100,)] * 2, 0), "product": (gpu.product, [(8, 9), (9, 7)], 1000)}
    monkeypatch.setattr(gpu, "CASES", {**small, "copy": (gpu.copy, [(1 << 17,)], 0)})
    standin.room = 1 << 19
    monkeypatch.setattr(gpu, "REPEAT", 2)
    monkeypatch.setattr(gpu, "peers", lambda device: {"JAX": "no JAX", "one that fails": lambda *_: 1 / 0})
    gpu.main(["--output", str(tmp_path)])
    found = json.loads((tmp_path / "stand-in.json").read_text())
    others = found["cases"]["huber"]["contenders"]
    assert others["lucid"]["median"] > 0 == others["lucid"]["off"]
    assert [others[name]["missing"] for name in ("JAX", "one that fails")] == [
        "no JAX",
        "ZeroDivisionError: division by zero",
    ]
    assert found["gpu"]["architecture"] == "sm_90" and list(found["cases"]) == ["huber", "product", "copy"]
    assert found["cases"]["huber"]["same bits as the CPU"] and found["cases"]["product"]["TFLOP/s"] > 0
    assert "bytes on stand-in" in found["cases"]["copy"]["missing"]
    device.shut()
    standin.devices = 0
    with pytest.raises(SystemExit, match=r"nothing can run on a GPU here: .*there is no NVIDIA GPU"):
        gpu.main(["--look"])


def test_times_of_kernels(standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By events, on copies; limits by the device's clocks and widths."""
    given = arrays((5, 70))
    monkeypatch.setattr(profile_cuda, "PASSES", 3)
    f: Any = lucid.compile(lambda x: lucid.softmax(x, axis=1).sum(axis=0), device="cuda")
    found = f.profile(*given)
    (kernel,) = found.kernels
    assert found.passes == 3 and kernel.seconds > 0 and found.step > 0 and kernel.share == 1
    assert kernel.by_memory == pytest.approx(kernel.kernel.bytes / (2 * 2.619e9 * 5120 / 8))
    assert found.missing and kernel.kernel.name in str(found)
    found.trace(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert standin.calls.count("cuEventCreate") == standin.calls.count("cuEventDestroy_v2") == 2 * (3 + 3)
