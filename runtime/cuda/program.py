"""A plan on a GPU: arrays in, arrays out, one graph of all launches in between."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ctypes import addressof, c_uint64, c_void_p

import numpy as np

from lucid.compiler.ir.artifact import Address, Plan
from lucid.compiler.ir.data import data

from .. import memory
from .device import Array, Device
from .driver import KernelNode
from .errors import CudaError


@data
class Launch:
    """`grid` blocks of `threads` threads of an entry of a module, each with `shared` bytes of shared memory
    that the module does not ask for itself. `values`: its parameters, 8 bytes each, or the bytes of a scalar.
    `line`: the user's, for errors."""

    module: str
    entry: str
    grid: int
    threads: int
    values: tuple[Address | int | bytes, ...]
    line: str = ""
    shared: int = 0

    def __str__(self) -> str:
        return f"kernel {self.entry}" + (f" ({self.line})" if self.line else "")


class _Step:
    """A launch whose parameters lie where the driver reads them."""

    def __init__(self, launch: Launch, function: int) -> None:
        self.launch, self.node = launch, 0
        numbers = [_word(value) for value in launch.values]
        self.words = (c_uint64 * len(numbers))(*numbers)
        first = addressof(self.words)
        # A null pointer behind the last one: who reads more than there are finds that.
        self.places = (c_void_p * (len(numbers) + 1))(*(first + 8 * k for k in range(len(numbers))))
        sizes = (launch.grid, 1, 1, launch.threads, 1, 1)
        self.params = KernelNode(function, *sizes, launch.shared, self.places, None)
        self.patches = [
            (k, v.buffer, v.offset) for k, v in enumerate(launch.values) if isinstance(v, Address)
        ]

    def patch(self, addresses: Sequence[int]) -> bool:
        """Whether some address is another one than before."""
        changed = False
        for k, buffer, offset in self.patches:
            if self.words[k] != addresses[buffer] + offset:
                self.words[k], changed = addresses[buffer] + offset, True
        return changed


def _word(value: Address | int | bytes) -> int:
    if isinstance(value, Address):
        return 0
    return value % 2**64 if isinstance(value, int) else int.from_bytes(value, "little")


class Program:
    """Called as `lucid.runtime.execute.Executable` is. What an output may overwrite lies in the memory of its
    input there; here nothing is written before all has run.

    CudaError, with the kernel and the user's line, where the driver reports one: no output has changed then.
    """

    def __init__(
        self, device: Device, plan: Plan, modules: Mapping[str, str], launches: Sequence[Launch]
    ) -> None:
        self.device, self.plan, self.launches = device, plan, launches
        self._steps: list[_Step] = []
        shared = zip(plan.outputs, plan.aliases, strict=True)
        self._shared = {output: plan.inputs[j] for output, j in shared if j >= 0}
        self._graph = 0
        with device.held():
            for launch in launches:
                names = tuple(dict.fromkeys(x.entry for x in launches if x.module == launch.module))
                try:
                    functions = device.functions(modules[launch.module], names)
                except CudaError as error:
                    raise error.within(str(launch)) from None
                self._steps.append(_Step(launch, functions[launch.entry]))

    def __call__(
        self,
        inputs: Sequence[Array],
        out: Sequence[Array | None] | None = None,
        threads: int | None = None,
    ) -> list[Array]:
        """`out[k]`, if given, receives output k."""
        with self.device.held():
            results = self._run(inputs, self._launch)
        for k, array in enumerate(out or ()):
            if array is not None:
                np.copyto(array, results[k])
                results[k] = array
        return results

    def seconds(self, inputs: Sequence[Array], repeat: int) -> list[float]:
        """How long the launches take on the device, one after the other, each time that they run."""
        found: list[float] = []

        def launch(addresses: Sequence[int]) -> None:
            self._launch(addresses)
            for _ in range(repeat):
                with self.device.timed(found):
                    self._launch(addresses)

        with self.device.held():
            self._run(inputs, launch)
        return found

    def profile(self, inputs: Sequence[Array]) -> list[tuple[str, float]]:
        """The seconds of each launch alone, after a call that warms the device up."""
        found: list[float] = []

        def launch(addresses: Sequence[int]) -> None:
            self._launch(addresses)
            found.extend(self._one_by_one())

        with self.device.held():
            self._run(inputs, launch)
        return [(step.launch.entry, time) for step, time in zip(self._steps, found, strict=True)]

    def _run(self, inputs: Sequence[Array], launch: Callable[[Sequence[int]], None]) -> list[Array]:
        device, plan = self.device, self.plan
        sources = [np.ascontiguousarray(array) for array in inputs]
        for array, i in zip(sources, plan.inputs, strict=True):
            if array.nbytes != plan.buffers[i].nbytes:
                raise ValueError(f"buffer {i} has {plan.buffers[i].nbytes} bytes, the array {array.nbytes}")
        taken: list[int] = []
        try:
            addresses = self._places(taken)
            for array, i in zip(sources, plan.inputs, strict=True):
                device.upload(addresses[i], array)
            launch(addresses)
            results = [memory.array(plan.buffers[i].shape, plan.buffers[i].dtype.np) for i in plan.outputs]
            for array, i in zip(results, plan.outputs, strict=True):
                device.download(array, addresses[i])
            device.synchronize()
        except CudaError as error:
            raise self._named(error) from None
        finally:
            with suppress(CudaError):  # what is wrong has been said
                for address in taken:
                    device.free(address)
        return results

    def _named(self, error: CudaError) -> CudaError:
        """The error of a call with its kernels: of a graph nobody knows which one it was."""
        names = list(dict.fromkeys(re.sub(r"\$(lanes|finish)", "", str(launch)) for launch in self.launches))
        if str(error).startswith("kernel ") or not names:
            return error
        if len(names) == 1 or not error.sticky:
            return error.within(", ".join(names))
        return error.within(f"one of {', '.join(names)} (LUCID_CUDA_SYNC=1 tells which)")

    def _places(self, taken: list[int]) -> list[int]:
        """Addresses of the buffers; `taken` has those that must be freed."""

        def new(nbytes: int) -> int:
            taken.append(self.device.allocate(nbytes))
            return taken[-1]

        plan = self.plan
        base = new(plan.temp_bytes) if plan.temp_bytes else 0
        addresses = [
            base + b.offset if b.kind == "temp" else 0 if i in self._shared else new(b.nbytes)
            for i, b in enumerate(plan.buffers)
        ]
        for output, source in self._shared.items():
            addresses[output] = addresses[source]
        return addresses

    def _launch(self, addresses: Sequence[int]) -> None:
        driver = self.device.driver
        changed = [step for step in self._steps if step.patch(addresses)]
        if os.environ.get("LUCID_CUDA_SYNC", "0") not in ("", "0"):
            self._one_by_one()
            return
        graph, self._graph = self._graph, 0  # where something fails, the next call makes another one
        if not graph:
            graph = self._made()
        else:
            for step in changed:
                driver("cuGraphExecKernelNodeSetParams", graph, step.node, step.params)
        driver("cuGraphLaunch", graph, self.device.stream)
        self._graph = graph

    def _one_by_one(self) -> list[float]:
        """Each launch alone, so that what fails has a name; the seconds of each."""
        seconds: list[float] = []
        for step in self._steps:
            n = step.params
            try:
                sizes = n.gridDimX, n.gridDimY, n.gridDimZ, n.blockDimX, n.blockDimY, n.blockDimZ
                where = self.device.stream, n.kernelParams, None
                with self.device.timed(seconds):
                    self.device.driver("cuLaunchKernel", n.func, *sizes, n.sharedMemBytes, *where)
                self.device.synchronize()
            except CudaError as error:
                raise error.within(str(step.launch)) from None
        return seconds

    def _made(self) -> int:
        """The launches as a graph in which each waits for the one before."""
        driver, before = self.device.driver, 0
        graph = driver.make("cuGraphCreate", 0)
        try:
            for step in self._steps:
                last = c_void_p(before)
                step.node = before = driver.make(
                    "cuGraphAddKernelNode", graph, last if before else None, int(before != 0), step.params
                )
            found = driver.make("cuGraphInstantiateWithFlags", graph, 0)
        except CudaError:
            driver("cuGraphDestroy", graph)
            raise
        self.device.keep(self, graph, found)
        return found
