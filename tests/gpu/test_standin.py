"""The stand-in of the driver notes what no caller may do, whether or not a driver would tell."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_uint64, c_void_p
from typing import Any

import numpy as np
import pytest

from lucid.runtime.cuda import driver
from lucid.runtime.cuda.device import Device
from lucid.runtime.cuda.errors import CudaError

from .standin import StandIn

TEXT = """.version 7.0
.target sm_80
.address_size 64
.visible .entry twice(.param .u64 p, .param .u32 n) {
  .reg .b64 %p<3>; .reg .b32 %r<3>;
  ld.param.u64 %p0, [p];
  ld.param.u32 %r0, [n];
  st.global.u32 [%p0], %r0;
  ret;
}
"""


class Gpu(Device):
    standin: StandIn


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    standin = StandIn()
    monkeypatch.setattr(driver, "library", lambda: standin)
    made = Gpu()
    made.standin = standin
    return made


def parameters(*values: int) -> Any:
    words = (c_uint64 * max(len(values), 1))(*values)
    places = (c_void_p * (len(values) + 1))(*(ctypes.addressof(words) + 8 * k for k in range(len(values))))
    return words, places


def launch(gpu: Gpu, *values: int) -> None:
    function = gpu.functions(TEXT, ("twice",))["twice"]
    words, places = parameters(*values)
    gpu.driver("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, gpu.stream, places, None)
    del words


def test_what_is_right(gpu: Gpu) -> None:
    found = np.zeros(1, np.uint32)
    with gpu.held():
        place = gpu.allocate(4)
        launch(gpu, place, 7)
        gpu.download(found, place)
        gpu.synchronize()
        gpu.free(place)
    gpu.close()
    standin = gpu.standin
    assert found[0] == 7 and standin.wrong == [] and standin.kept() == [] and standin.launched == ["twice"]


def freed_twice(gpu: Gpu) -> None:
    place = gpu.allocate(4)
    gpu.free(place)
    gpu.free(place)


def used_after_free(gpu: Gpu) -> None:
    place = gpu.allocate(4)
    gpu.free(place)
    gpu.upload(place, np.ones(1, np.uint32))


def beyond_its_end(gpu: Gpu) -> None:
    gpu.upload(gpu.allocate(4), np.ones(2, np.uint32))


def fetched_before_it_was_written(gpu: Gpu) -> None:
    gpu.download(np.ones(1, np.uint32), gpu.allocate(4))


def unloaded_before_it_ran(gpu: Gpu) -> None:
    gpu.functions(TEXT, ("twice",))
    gpu.driver("cuModuleUnload", gpu._modules[TEXT][0])
    launch(gpu, gpu.allocate(4), 7)


def unconnected(gpu: Gpu) -> None:
    graph = gpu.driver.make("cuGraphCreate", 0)
    function = gpu.functions(TEXT, ("twice",))["twice"]
    for _ in range(2):
        words, places = parameters(gpu.allocate(4), 7)
        node = driver.KernelNode(function, 1, 1, 1, 1, 1, 1, 0, places, None)
        gpu.driver.make("cuGraphAddKernelNode", graph, None, 0, node)
        del words


def timed_without_a_record(gpu: Gpu) -> None:
    event = gpu.driver.make("cuEventCreate", 0)
    gpu.driver("cuEventElapsedTime", ctypes.c_float(), event, event)


@pytest.mark.parametrize(
    "do, said",
    [
        (freed_twice, "no allocation, or was freed before"),
        (used_after_free, "a copy of 4 bytes"),
        (beyond_its_end, "a copy of 8 bytes"),
        (fetched_before_it_was_written, "4 bytes were never written"),
        (unloaded_before_it_ran, "is nothing, not a module"),
        (unconnected, "waits for no other one"),
        (timed_without_a_record, "never recorded"),
        (lambda gpu: launch(gpu, gpu.allocate(4)), "has 2 parameters, other than were given"),
        (lambda gpu: launch(gpu, gpu.allocate(4), 7, 7), "has 2 parameters, other than were given"),
        (lambda gpu: gpu.driver("cuStreamDestroy_v2", gpu._context), "is context, not a stream"),
    ],
)
def test_what_is_wrong(do: Callable[[Gpu], None], said: str, gpu: Gpu) -> None:
    with pytest.raises(CudaError), gpu.held():
        do(gpu)
    (wrong,) = gpu.standin.wrong
    assert said in wrong


def test_order_of_calls(gpu: Gpu) -> None:
    standin = gpu.standin
    with pytest.raises(CudaError):
        gpu.allocate(4)
    assert "without a current context" in standin.wrong[0]
    standin.wrong.clear()
    fresh = StandIn()
    count: Any = fresh.cuDeviceGetCount
    assert count(ctypes.c_int()) and "before cuInit" in fresh.wrong[0]
    with gpu.held():
        gpu.allocate(4)
    gpu.close()
    assert standin.kept() == ["memory"]


def test_a_type_of_another_function(gpu: Gpu) -> None:
    """A number in place of an address, and the reverse, come as far as C's convention lets them."""
    with pytest.raises(ctypes.ArgumentError), gpu.held():
        gpu.driver("cuMemAllocAsync", ctypes.c_int(), 4, gpu.stream)
