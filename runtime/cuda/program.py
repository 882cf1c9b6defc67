"""A plan on a GPU: one graph of all launches, over what lies there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from ctypes import addressof, c_uint64, c_void_p

from lucid.compiler.ir.artifact import Address, Plan
from lucid.compiler.ir.data import data

from ..stored import Block, Stored
from .device import TELLS, Array, Device
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


_STATIC, _REGISTERS = 1, 4  # CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, CU_FUNC_ATTRIBUTE_NUM_REGS


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
    """Called as `lucid.runtime.execute.Executable` is, over arrays of either kind; its results lie on the
    device, and nobody waits for them.

    CudaError, with the kernel and the user's line, where the driver reports one; by the time that somebody
    waits at the latest. ValueError, before anything runs, where a block needs more shared memory than there
    is."""

    def __init__(
        self, device: Device, plan: Plan, modules: Mapping[str, str], launches: Sequence[Launch]
    ) -> None:
        self.device, self.plan, self.launches = device, plan, launches
        self._names = list(dict.fromkeys(map(str, launches)))
        self._steps: list[_Step] = []
        self._graph = 0
        with device.held():
            for launch in launches:
                names = tuple(dict.fromkeys(x.entry for x in launches if x.module == launch.module))
                try:
                    functions = device.functions(modules[launch.module], names)
                    self._fits(launch, functions[launch.entry])
                except CudaError as error:
                    raise error.within(str(launch)) from None
                self._steps.append(_Step(launch, functions[launch.entry]))

    def _fits(self, launch: Launch, function: int) -> None:
        """ValueError for a launch that asks for more shared memory than the device gives to a block."""
        needs = launch.shared + self.device.driver.number("cuFuncGetAttribute", _STATIC, function)
        if needs > self.device.shared:
            there = f"a block of {self.device.name} has {self.device.shared:,}"
            raise ValueError(f"{launch}: needs {needs:,} bytes of shared memory; {there}")

    def __call__(
        self,
        inputs: Sequence[Array | Stored],
        out: Sequence[Stored | None] | None = None,
        threads: int | None = None,
    ) -> list[Stored]:
        """`out[k]`, if given, is the input that output k takes the memory of. Arrays are brought."""
        with self.device.held():
            return self._run(inputs, out, self._launch)

    def seconds(self, inputs: Sequence[Array | Stored], repeat: int) -> list[float]:
        """How long the launches take on the device, one after the other, each time that they run."""
        found: list[float] = []

        def launch(addresses: Sequence[int]) -> None:
            self._launch(addresses)
            for _ in range(repeat):
                with self.device.timed(found):
                    self._launch(addresses)

        with self.device.held():
            self._run(inputs, None, launch)
        return found

    def profile(self, inputs: Sequence[Array | Stored], repeat: int = 1) -> list[tuple[Launch, list[float]]]:
        """The seconds of each launch alone, each time, after a call that warms the device up."""
        found: list[list[float]] = []

        def launch(addresses: Sequence[int]) -> None:
            self._launch(addresses)
            found.extend(self._one_by_one() for _ in range(repeat))

        with self.device.held():
            self._run(inputs, None, launch)
        return [(step.launch, [times[k] for times in found]) for k, step in enumerate(self._steps)]

    def registers(self) -> list[int]:
        """Of a thread of each launch."""
        with self.device.held():
            return [
                self.device.driver.number("cuFuncGetAttribute", _REGISTERS, s.params.func)
                for s in self._steps
            ]

    def _run(
        self,
        inputs: Sequence[Array | Stored],
        out: Sequence[Stored | None] | None,
        launch: Callable[[Sequence[int]], None],
    ) -> list[Stored]:
        device, plan = self.device, self.plan
        blocks: dict[int, Block] = {}
        try:
            for value, i in zip(inputs, plan.inputs, strict=True):
                blocks[i] = self._brought(value, i).block
            for k, (i, alias) in enumerate(zip(plan.outputs, plan.aliases, strict=True)):
                given = out[k] if out is not None else None
                if given is not None:
                    blocks[i] = given.block
                elif alias >= 0 and not isinstance(inputs[alias], Stored):  # brought for this call alone
                    blocks[i] = blocks[plan.inputs[alias]]
                else:
                    blocks[i] = device.new(plan.buffers[i].nbytes)
            temp = device.new(plan.temp_bytes) if plan.temp_bytes else None
            base = temp.address if temp is not None else 0
            launch(
                [
                    base + b.offset if b.kind == "temp" else blocks[i].address
                    for i, b in enumerate(plan.buffers)
                ]
            )
        except CudaError as error:
            blocks.clear()  # the error may live on
            raise self._named(error) from None
        return [Stored(blocks[i], plan.buffers[i].dtype.np, plan.buffers[i].shape) for i in plan.outputs]

    def _brought(self, value: Array | Stored, i: int) -> Stored:
        """Input buffer i."""
        wanted = self.plan.buffers[i].nbytes
        if value.nbytes != wanted:
            raise ValueError(f"buffer {i} has {wanted} bytes, the array {value.nbytes}")
        if not isinstance(value, Stored):
            return self.device.brought(value)
        if value.home is not self.device:
            raise ValueError(f"buffer {i} lies on another device: {value}")
        return value

    def _named(self, error: CudaError) -> CudaError:
        """The error of a call with its kernels: of a graph nobody knows which one it was."""
        names = self._names
        if str(error).startswith(("kernel ", "one of kernel ")) or not names:
            return error
        if len(names) == 1 or not error.sticky:
            return error.within(", ".join(names))
        return error.within(f"one of {', '.join(names)} ({TELLS})")

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
        self.device.note(self._names)

    def _one_by_one(self) -> list[float]:
        """Each launch alone, so that what fails has a name; the seconds of each."""
        seconds: list[float] = []
        self.device.synchronize()  # what others have begun is theirs
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
