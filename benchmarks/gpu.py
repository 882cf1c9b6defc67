"""`python -m benchmarks.gpu`: kernels on the GPU of this machine, timed there, and the results compared with
those of the CPU bit for bit; beside PyTorch, torch.compile and JAX, where they are there. It writes
results/gpu/DEVICE.json. `--look` says whether there is a GPU."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import Tensor, cuda
from lucid.nn.functional import huber_loss, layer_norm
from lucid.runtime.cuda.device import Device, device
from lucid.runtime.cuda.errors import CudaError

from .gpu_peers import Maker, compare, peers, with_lucid
from .machine import describe
from .worker import versions

REPEAT = 30
RESULTS = Path(__file__).parent / "results" / "gpu"
Array = np.ndarray[Any, Any]


def copy(x: Tensor) -> Tensor:
    return x * 2.0


def huber(x: Tensor, y: Tensor) -> Any:
    return lucid.value_and_grad(lambda x: huber_loss(x, y))(x)


def softmax(x: Tensor) -> Tensor:
    return lucid.softmax(x, axis=1)


def norm(x: Tensor) -> Tensor:
    return layer_norm(x, x.shape[1:])


def linear(w: Tensor, x: Tensor, y: Tensor) -> Any:
    return lucid.value_and_grad(lambda w: huber_loss(x @ w, y))(w)


def transposed(x: Tensor, y: Tensor) -> Tensor:
    return x.T + y


def product(x: Tensor, y: Tensor) -> Tensor:
    return x @ y


# Functions, the shapes of their arguments, and of a product its floating-point operations.
CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], int]] = {
    "copy 2^28": (copy, [(1 << 28,)], 0),
    "huber 10^6": (huber, [(10**6,)] * 2, 0),
    "huber 10^7": (huber, [(10**7,)] * 2, 0),
    "huber 2^28": (huber, [(1 << 28,)] * 2, 0),
    "softmax 65536x1024": (softmax, [(65536, 1024)], 0),
    "softmax 4096x4096": (softmax, [(4096, 4096)], 0),
    "layer_norm 65536x1024": (norm, [(65536, 1024)], 0),
    "layer_norm 4096x4096": (norm, [(4096, 4096)], 0),
    "linear 10^7x16": (linear, [(16,), (10**7, 16), (10**7,)], 0),
    "transposed 8192x8192": (transposed, [(8192, 8192)] * 2, 0),
    "product 1024": (product, [(1024, 1024)] * 2, 2 * 1024**3),
    "product 4096": (product, [(4096, 4096)] * 2, 2 * 4096**3),
}


def leaves(value: Any) -> list[Array]:
    """The arrays of a result, which is a tensor or a tuple of such."""
    return [a for part in value for a in leaves(part)] if isinstance(value, tuple) else [value.numpy()]


def same(one: Array, other: Array) -> bool:
    """The same bits, or NaN in both."""
    bits = f"V{one.itemsize}"
    unlike = np.ravel(one).view(bits) != np.ravel(other).view(bits)
    return not (unlike & ~((np.ravel(one) != np.ravel(one)) & (np.ravel(other) != np.ravel(other)))).any()


def measure(
    f: Callable[..., Any], shapes: list[tuple[int, ...]], flops: int, others: Mapping[str, Maker | str]
) -> dict[str, Any]:
    """Times are those between events on the device, around one run of all kernels, after one to warm up; of
    `contenders`, and of lucid among them, by the clock of the CPU."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
    run: Any = lucid.compile(f, device="cuda")
    got, want = leaves(run(*arrays)), leaves(lucid.compile(f)(*arrays))
    executable = run._last().executable
    times = executable.native.seconds(arrays, REPEAT)
    moved, best = sum(kernel.bytes for kernel in executable.kernels), min(times)
    return {
        "same bits as the CPU": all(map(same, got, want)),
        "kernels": {x.entry: times[0] for x, times in executable.native.profile(arrays)},
        "seconds": {"least": best, "median": statistics.median(times), "runs": REPEAT},
        "bytes": moved,
        "GB/s": moved / best / 1e9,
        **({"TFLOP/s": flops / best / 1e12} if flops else {}),
        "contenders": compare(f.__name__, with_lucid(f, "cuda", leaves), others, arrays, REPEAT),
    }


def about(gpu: Device) -> dict[str, Any]:
    """What the figures are of."""
    return {
        "name": gpu.name,
        "architecture": cuda.arch(),
        "processors": gpu.processors,
        "driver": gpu.driver.release,
        "lucid": lucid.__version__,
        "peers": versions(("torch", "jax", "jaxlib")),
        "host": describe(lucid.get_num_threads()),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--look", action="store_true", help="say whether there is a GPU, and no more")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--case", nargs="*", choices=CASES, default=list(CASES))
    options = parser.parse_args(arguments)
    try:
        gpu, arch = device(), cuda.arch()
    except (CudaError, ValueError) as error:
        sys.exit(f"nothing can run on a GPU here: {error}")
    print(f"{gpu.name}: {arch}, {gpu.processors} processors, driver of CUDA {gpu.driver.release}", flush=True)
    if options.look:
        return
    cases, others = {}, peers("cuda")
    for name, other in others.items():
        if isinstance(other, str):
            print(f"{name} is not here: {other}", flush=True)
    for name in options.case:
        try:
            found = cases[name] = measure(*CASES[name], others)
        except MemoryError as error:  # a smaller GPU
            cases[name] = {"missing": str(error)}
            print(f"{name}: {error}", flush=True)
            continue
        rate = f"{found['GB/s']:,.0f} GB/s" if "TFLOP/s" not in found else f"{found['TFLOP/s']:.1f} TFLOP/s"
        bits = "the bits of the CPU" if found["same bits as the CPU"] else "OTHER BITS than the CPU"
        print(f"{name}: {1e6 * found['seconds']['median']:,.1f} us, {rate}, {bits}", flush=True)
        for label, taken in found["contenders"].items():
            if "missing" not in taken:
                print(f"  {label}: {1e6 * taken['median']:,.1f} us a call", flush=True)
            elif not isinstance(others.get(label), str):  # that was said once
                print(f"  {label}: {taken['missing']}", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / (re.sub(r"\W+", "-", gpu.name).strip("-") + ".json")
    path.write_text(json.dumps({"gpu": about(gpu), "cases": cases}, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    if not all(case.get("same bits as the CPU", True) for case in cases.values()):
        sys.exit("some results are not those of the CPU")


if __name__ == "__main__":
    main()
