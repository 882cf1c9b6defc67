"""What goes wrong with a driver: a clear message, and a process that goes on."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler.ir.artifact import Plan
from lucid.compiler.ir.data import replace
from lucid.runtime import cache
from lucid.runtime.cuda import device, driver, modules
from lucid.runtime.cuda.errors import ADVICE, OUT_OF_MEMORY, STICKY, CudaError, OutOfMemory
from lucid.runtime.cuda.program import Launch, Program

from .functions import arrays
from .standin import C_TYPES, StandIn

X = np.linspace(-1, 1, 50, dtype=np.float32)


class Drivers:
    """Takes the place of the driver of this process: `drivers.use(StandIn(...))`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.used = patch, list[StandIn]()

    def use(self, standin: StandIn) -> StandIn:
        device.shut()
        self.patch.setattr(driver, "library", lambda: standin)
        self.used.append(standin)
        return standin


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drivers]:
    found = Drivers(monkeypatch)
    yield found
    device.shut()
    assert [wrong for standin in found.used for wrong in standin.wrong] == []


def compiled() -> Any:
    return lucid.compile(lambda x: x.sum() * x, device="cuda")


def test_without_a_driver() -> None:
    """As on the machine of most tests; where there is a driver, it is there."""
    try:
        driver.library()
    except OSError:
        with pytest.raises(RuntimeError, match=r"no NVIDIA driver is installed.*ptx-sim.*cpu") as error:
            compiled()
        assert "test_cuda_errors.py:" in str(error.value)
        for ask in (lucid.Tensor(X).cuda, lambda: lucid.zeros(3, device="cuda"), lucid.nn.Linear(2, 1).cuda):
            with pytest.raises(RuntimeError, match=r"errors.py:\d+: .*no NVIDIA driver is installed.*cpu"):
                ask()


def refused(drivers: Drivers, standin: StandIn, message: str) -> None:
    drivers.use(standin)
    with pytest.raises((RuntimeError, ValueError), match=message):
        compiled()
    device.shut()
    assert standin.kept() == []
    assert lucid.compile(lambda x: x + 1)(X).numpy()[0] == 0  # the CPU is as usable as ever


def test_machines_that_do_not_serve(drivers: Drivers) -> None:
    refused(drivers, StandIn(devices=0), "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it")
    refused(drivers, StandIn(version=11020), "of CUDA 11.2; 11.4 is the oldest that serves")
    refused(drivers, StandIn((7, 0)), "sm_70: sm_75 is the oldest that serves")
    for code, words in (
        (803, "different versions"),
        (802, "fabricmanager"),
        (46, "another process"),
        (999, "999"),
    ):
        standin = StandIn()
        standin.fails["cuInit"] = code
        refused(drivers, standin, words)

    for function in ("cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute",
                     "cuDevicePrimaryCtxRetain", "cuDeviceGetDefaultMemPool", "cuStreamCreate"):  # fmt: skip
        standin = StandIn()
        standin.fails[function] = 999
        refused(drivers, standin, f"by {function}")

    standin = StandIn()
    standin.lacks.add("cuGraphInstantiateWithFlags")
    refused(drivers, standin, "lacks cuGraphInstantiateWithFlags: it is older than CUDA 11.4")


@pytest.mark.parametrize(
    "capability, arch", [((7, 5), "75"), ((8, 7), "86"), ((10, 3), "100"), ((12, 1), "120")]
)
def test_the_newest_architecture_that_the_gpu_runs(
    capability: tuple[int, int], arch: str, drivers: Drivers
) -> None:
    drivers.use(StandIn(capability))
    run = compiled()
    run(X)
    assert f".target sm_{arch}" in run.ir("asm")


def test_a_driver_older_than_the_ptx(drivers: Drivers) -> None:
    drivers.use(StandIn(version=11040))  # sm_90 needs .version 7.8
    with pytest.raises(
        CudaError, match=r"PTX \.version 7\.8 for a driver of CUDA 11\.4.*older than this PTX"
    ):
        compiled()(X)


def plus(x: lucid.Tensor) -> lucid.Tensor:
    return x + 1.0


def test_each_function_may_fail_once(drivers: Drivers) -> None:
    """The call raises it by name, and the next one gives the right bits."""
    standin = drivers.use(StandIn())
    run: Any = lucid.compile(plus, device="cuda")
    want = run(X).numpy().tobytes()
    used = dict.fromkeys(standin.calls)
    del used["cuCtxPopCurrent_v2"], used["cuMemFreeAsync"]  # what has been computed stands
    kept: list[Any] = [run]  # graphs of those that are gone would be dropped at some time
    for function in (f for f in used if not f.startswith(("cuInit", "cuDriver", "cuDevice", "cuGetError"))):
        if function.startswith(("cuLink", "cuModule", "cuFunc", "cuStreamCreate", "cuMemPool")):
            kept.append(lucid.compile(plus, device="cuda"))
            drivers.use(standin)  # a device that has no modules yet
        elif function in ("cuGraphCreate", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags"):
            kept[-1]._last().executable.native._graph = 0
        standin.fails[function] = 999
        with pytest.MonkeyPatch.context() as patch:
            if function.startswith("cuLink"):
                patch.setattr(modules, "disk", lambda: None)
            with pytest.raises(CudaError, match=f"by {function}") as error:
                kept[-1](X).numpy()
        assert error.value.code == 999
        assert kept[-1](X).numpy().tobytes() == want, function


def test_out_of_memory(drivers: Drivers) -> None:
    standin = drivers.use(StandIn(room=10_000))
    run = compiled()
    (large,) = arrays((2000,))
    with pytest.raises(
        OutOfMemory, match=r"8,000 bytes on stand-in, where .* of 10,000 bytes are free"
    ) as error:
        run(large)
    assert isinstance(error.value, MemoryError) and "kernel " in str(error.value)
    assert "cuMemPoolTrimTo" in standin.calls and "memory" not in standin.kept()
    assert run(X).shape == (50,)
    standin.fails["cuMemAllocAsync"] = 2  # in pieces: what was freed is given back, and it is there
    assert run(X).shape == (50,)


def test_sticky_errors(drivers: Drivers) -> None:
    for code in (700, 719):
        assert code in STICKY
        standin = drivers.use(StandIn())
        run = compiled()
        standin.fails["cuStreamSynchronize"] = code
        out = np.zeros(50, np.float32)
        with pytest.raises(
            CudaError, match=r"one of kernel sum \(.*test_cuda_errors.py:\d+\), kernel mul.*restart"
        ) as error:
            run(X, out=out)
        assert error.value.sticky and not out.any()
        calls = len(standin.calls)
        with pytest.raises(CudaError, match=r"an earlier call has failed.*the GPU is lost to this process"):
            run(X)
        assert len(standin.calls) == calls
        assert lucid.compile(lambda x: x + 1)(X).numpy()[0] == 0


@pytest.mark.parametrize(
    "sync, named",
    [("0", r"one of kernel exp \(.*SYNC=1 tells which"), ("1", r"^kernel exp \(.*errors.py:\d+\)")],
)
def test_a_kernel_that_leaves_its_arrays(
    sync: str, named: str, drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing, by a plan whose outputs have less memory than is written."""
    drivers.use(StandIn())
    monkeypatch.setenv("LUCID_CUDA_SYNC", sync)
    run: Any = lucid.compile(lambda x: (lucid.exp(x), lucid.cumsum(x, axis=0)), device="cuda")
    run(X)
    program = run._last().executable.native
    buffers = [replace(b, nbytes=16) if b.kind == "output" else b for b in program.plan.buffers]
    program.plan = replace(program.plan, buffers=tuple(buffers))
    with pytest.raises(CudaError, match=rf"{named}.*ILLEGAL_ADDRESS"):
        [t.numpy() for t in run(X)]


def test_a_damaged_cubin_is_made_again(
    drivers: Drivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = cache.DiskCache(tmp_path)
    monkeypatch.setattr(modules, "disk", lambda: store)
    want = lucid.compile(lambda x: x.sum() * x)(X).numpy().tobytes()

    def links() -> int:
        standin = drivers.use(StandIn())
        assert compiled()(X).numpy().tobytes() == want
        return standin.calls.count("cuLinkComplete")

    first = links()
    assert first > 0 and links() == 0
    put, get, keys = store.put, store.get, dict[str, None]()
    monkeypatch.setattr(store, "get", lambda key: get(keys.setdefault(key) or key))
    links()
    for damage in (
        lambda b: b[:-9],
        lambda b: b"\0" + b,
        lambda b: b[:5] + b"\x4b\0\0\0" + b[9:],
        lambda b: b"",
    ):
        for key in keys:
            kept = get(key)
            assert kept is not None
            put(key, damage(kept))
        assert links() == first
    assert links() == 0


def test_another_driver_compiles_anew(drivers: Drivers) -> None:
    for version in (12040, 13000, 12040):
        standin = drivers.use(StandIn(version=version))
        compiled()(X)
    assert "cuLinkCreate_v2" not in standin.calls


def test_ptx_that_the_driver_rejects(drivers: Drivers) -> None:
    standin = drivers.use(StandIn())
    plan = Plan((), (), (), (), (), 0)
    text = ".version 7.8\n.target sm_90\n.address_size 64\nnonsense;\n"
    with pytest.raises(CudaError, match=r"kernel f \(here:1\): .*line 4.* form: CUDA_ERROR_INVALID_PTX"):
        Program(device.device(), plan, {"m": text}, [Launch("m", "f", 1, 32, (), "here:1")])
    assert "linker" not in standin.kept()


def test_more_shared_memory_than_the_device_has(drivers: Drivers) -> None:
    """It is read from the device, and nothing has run."""
    standin = drivers.use(StandIn())
    standin.shared = 1 << 10
    run: Any = lucid.compile(lambda x: lucid.softmax(x, axis=1), device="cuda")
    said = r"kernel \S+ \(.*test_cuda_errors.py:\d+\): needs 1,456 bytes of shared memory; .* has 1,024"
    with pytest.raises(ValueError, match=said):
        run(np.ones((3, 300), np.float32))
    assert standin.launched == []
    drivers.use(StandIn())
    assert run(np.ones((3, 300), np.float32)).numpy().sum() == pytest.approx(3)


@pytest.mark.parametrize("code", sorted({*ADVICE, *STICKY} - {OUT_OF_MEMORY}))
def test_each_code_names_the_kernel_and_says_what_to_do(code: int, drivers: Drivers) -> None:
    """Of launches; among them 701, for more registers or shared memory than there are, and what is sticky."""
    standin = drivers.use(StandIn())
    run = compiled()
    run(X)
    for function in ("cuGraphLaunch", "cuGraphExecKernelNodeSetParams"):
        standin.fails[function] = code
    advice = ADVICE.get(code, "the GPU is lost to this process").split(";")[0]
    with pytest.raises(
        CudaError, match=rf"kernel sum \(.*errors.py:\d+\), kernel mul.*{re.escape(advice)}"
    ) as error:
        run(X).numpy()
    assert error.value.code == code and error.value.sticky == (code in STICKY)
    assert lucid.compile(lambda x: x + 1)(X).numpy()[0] == 0


def test_errors_that_come_late_name_what_had_begun(drivers: Drivers) -> None:
    """Nobody waits for a call; who reads a value hears of all kernels since somebody waited."""
    standin = drivers.use(StandIn())
    x = lucid.Tensor(X, device="cuda")
    first, second = lucid.compile(lambda x: lucid.exp(x)), lucid.compile(lambda x: lucid.tanh(x))
    y = second(first(x))
    standin.fails["cuStreamSynchronize"] = 700
    with pytest.raises(
        CudaError, match=r"one of kernel exp \(.*\), kernel tanh \(.*SYNC=1 tells which.*ILLEGAL"
    ):
        y.numpy()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_is_told(drivers: Drivers) -> None:
    standin = drivers.use(StandIn())
    run = compiled()
    run(X)
    calls = len(standin.calls)
    device.device()._process -= 1  # as it is in a child
    with pytest.raises(CudaError, match=r"before this process was forked.*spawn"):
        run(X)
    assert len(standin.calls) == calls
    device.device()._process += 1


def test_types_are_those_of_the_stand_in() -> None:
    assert driver.PROTOTYPES == C_TYPES
    assert ctypes.sizeof(driver.KernelNode) == 56


HEADER = "nvidia/cu13/include/cuda.h"
C_NAMES = {
    "int": "int", "unsigned int": "uint", "size_t": "size", "CUdeviceptr": "u64", "unsigned long long": "u64",
    "CUdevice": "int", "CUresult": "int", "CUdevice_attribute": "int", "CUjit_option": "int",
    "CUjitInputType": "int", "CUmemPool_attribute": "int",
    "CUfunction_attribute": "int", "void": "void", "char": "str", "float": "float",
    "CUDA_KERNEL_NODE_PARAMS": "node", "CUDA_KERNEL_NODE_PARAMS_v1": "node",
}  # fmt: skip


def test_types_are_those_of_the_header() -> None:
    """Of the wheel nvidia-cuda-runtime, where that is installed."""
    nvidia = pytest.importorskip(
        "nvidia", reason="needs the header of the driver, cuda.h of nvidia-cuda-runtime"
    )
    headers = [path for base in nvidia.__path__ for path in Path(base).parent.glob(HEADER)]
    if not headers:
        pytest.skip("needs the header of the driver, cuda.h of nvidia-cuda-runtime")
    text = re.sub(r"/\*.*?\*/|__device_builtin__", "", headers[0].read_text(), flags=re.DOTALL)
    for name, types in driver.PROTOTYPES.items():
        # what a name without a version means is said by a macro
        macro = re.search(rf"#\s*define (cu\w+)\s+(__CUDA_API_PTSZ\()?{name}\)?$", text, re.MULTILINE)
        plain = macro[1] if macro else name
        found = re.search(rf"CUDAAPI\s+{plain}\(([^)]*)\);", text)
        assert found is not None, name
        listed = [] if found[1].strip() == "void" else found[1].split(",")
        assert tuple(map(coded, listed)) == types, name


def coded(parameter: str) -> str:
    """A parameter of C in the words of `driver.PROTOTYPES`."""
    words = re.sub(r"\bconst\b", "", parameter).strip()
    kind, stars = re.sub(r"\s*\w+$", "", words.replace("*", " * ")).split("*", 1)[0].strip(), words.count("*")
    word = C_NAMES.get(kind, "handle")
    if word == "str":
        stars -= 1
    return word + "*" * stars
