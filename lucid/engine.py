"""Values of nodes: evaluation through the compiler. A node with data is a leaf of later
evaluations.

Work is keyed by structure: the same operations on the same shapes and dtypes, whoever built them,
are planned once, for all values of the user's numbers.
"""

from __future__ import annotations

import copy
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lucid.compiler import ops
from lucid.compiler.gpu import target as gpu
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import LOC, Graph, Node, become, bind, mark, toposort, typed
from lucid.compiler.ir.target import Target
from lucid.compiler.ir.types import DType, TensorType, from_numpy
from lucid.compiler.pipeline import Compiled, Store, compile_graph, lined_codes
from lucid.compiler.text.kernel import print_kernel
from lucid.runtime import execute
from lucid.runtime.host import host
from lucid.runtime.load import assembly, keep_plan, kept_plan, loaded
from lucid.runtime.stored import Stored

from . import logs, settings
from .context import MODE
from .errors import TraceError, here, warn_user
from .inside import indices_in, operands, outside, verdict
from .kept import Kept
from .lanes import EXAMPLE, ONE_OF_MANY
from .pieces import Answers, Structure, known, structure, written_out
from .repeated import Repeated, words
from .residence import USED, Device, apart, home, settle_moves

if TYPE_CHECKING:
    from lucid.compiler.ir.binding import Whole
    from lucid.compiler.ir.kernel import Kernel

    from .gpu import Ptx
    from .staged import Library, Staged

Array = np.ndarray[Any, Any]

# A plan whose texts are for any length is worth others, for its lengths alone, once it has been called so
# often and has moved so many bytes: a compile takes some 50 ms, code for any length up to six times as long.
CALLS, BYTES = 256, 1 << 26
ALL = 1 << 30  # values of a size that may be literals
SETTLING = "lucid: lengths that stay"  # the thread of such a compile


class _Planned(NamedTuple):
    """What computes graphs of one structure; `fixed`: the values that it has for the user's numbers, unless
    each call gives them."""

    executable: Executable | Staged
    fixed: Answers


# Plans are kept beside machine code.
_STORE = Store(kept_plan, keep_plan)
# By structure.
_plans: Kept[_Planned] = Kept()


def leaf(array: Array | Stored) -> Node:
    """An input node whose value is `array`, which nobody changes from here on (or whoever does,
    by `from_numpy`, wants to). TypeError for an unsupported dtype."""
    attrs, kind = _leaf(from_numpy(array.dtype), array.shape)
    node = typed(ops.INPUT, (), attrs, LOC.get(), kind)
    bind(node, array)
    return node


@functools.lru_cache(maxsize=4096)
def _leaf(dtype: DType, shape: tuple[int, ...]) -> tuple[Mapping[str, Any], TensorType]:
    """Attributes and type of a leaf, the same for all of this kind: an optimiser's step makes many."""
    attrs = MappingProxyType({"name": "x", "dtype": dtype, "shape": shape})
    return attrs, ops.INPUT.infer((), attrs)


def become_leaf(node: Node) -> None:
    """Let go of what `node`, which has its value, was computed from: for all who read it."""
    kind = node.type
    become(node, ops.INPUT, (), _leaf(kind.dtype, kind.shape)[0])


def evaluate(nodes: Sequence[Node]) -> list[Any]:
    """The values of `nodes`, as of `compute`."""
    compute(nodes)
    return [node.data for node in nodes]


def compute(nodes: Sequence[Node]) -> None:
    """Give `nodes` their values, computed from the nearest nodes with data, where that lies: they become data
    in turn. IndexError, and none does, where an index lies outside of its axis; ValueError for exponents."""
    wanted = [n for n in nodes if n.data is None]
    if len(wanted) > 1:
        wanted = list(dict.fromkeys(wanted))
    if wanted:
        if USED[0]:
            settle_moves(wanted, evaluate)
            for device, group in apart([n for n in wanted if n.data is None]).items():
                _compute(group, device)
        else:
            _compute(wanted, "cpu")


def _compute(wanted: Sequence[Node], device: Device) -> None:
    """Give nodes of one device their values."""
    leaves, executable, numbers = _planned(wanted, device)
    arrays = [n.data for n in leaves]
    results = executable(arrays, numbers=numbers) if numbers else executable(arrays)
    if executable.judged and np.asarray(results.pop()):
        raise out_of_range(wanted, leaves, arrays)
    for node, array in zip(wanted, results, strict=True):
        bind(node, array)


def _planned(wanted: Sequence[Node], device: Device) -> tuple[list[Node], Any, list[int]]:
    """The nodes with data that `wanted` are computed from, and what computes them: known by the structure;
    and the numbers that it is to be given."""
    found = structure(wanted)
    mark(found.nodes)
    # Code for a device is of the one that is open.
    key, made = known(_plans, found, MODE.get().looking, None if device == "cpu" else home(device))
    if made is None:
        graph, numbers = _closed(wanted, found)
        judged = len(graph.outputs) > len(wanted)
        executable = build(graph, device=device, judged=judged, hosted=_hosted(graph), numbers=numbers)
        own = [] if executable.opened else enumerate(found.numbers)
        fixed: Answers = {(k, ops.exact): ops.exact(n.attrs["value"]) for k, n in own}
        made = _plans.keep(key, _Planned(executable, fixed))
    given = words(found.numbers) if found.numbers and made.executable.opened else []
    return found.leaves, made.executable, given


def closed(wanted: Sequence[Node], found: Structure) -> Graph:
    """What `wanted` are computed by, as a graph of its own, over inputs without data; behind them the
    verdict on its indices and exponents, if it has any."""
    return _closed(wanted, found)[0]


def _closed(wanted: Sequence[Node], found: Structure) -> tuple[Graph, list[Node]]:
    """The same, with its nodes for the user's numbers."""
    new = written_out(found, wanted)
    outputs = [new[n] for n in wanted]
    order = toposort(outputs)
    if any(n.op is EXAMPLE for n in order):
        raise TraceError(here(ONE_OF_MANY))
    indices = indices_in(order)
    if indices:
        outputs.append(verdict(indices))
    graph = Graph("eager", tuple(new[n] for n in found.leaves), tuple(outputs))
    return graph, [new[n] for n in found.numbers]


def out_of_range(outputs: Sequence[Node], inputs: Sequence[Node], arrays: Sequence[Array]) -> Exception:
    """What to raise where the verdict on what `outputs` are computed by says so. `arrays`: the values of
    `inputs`, the leaves of that."""
    found = structure(outputs, set(inputs))
    new = written_out(found, outputs)
    judged = indices_in(toposort([new[n] for n in outputs]))
    graph = Graph("indices", tuple(new[n] for n in found.leaves), tuple(operands(judged)))
    value = dict(zip(inputs, arrays, strict=True))
    given = [np.asarray(value[n]) for n in found.leaves]
    return outside(judged, build(graph, hosted=_hosted(graph))(given))


def _hosted(graph: Graph) -> bool:
    """Whether a library computes some of its nodes."""
    return any(n.op.kind == "host" for n in toposort(graph.outputs))


@data
class KernelInfo:
    """One kernel of a plan: its name, the bytes that one call moves, its text, and why it holds
    what it holds."""

    name: str
    bytes: int
    text: str
    reasons: tuple[str, ...]


class Executable:
    """A graph, compiled: call it with one array per graph input, get one per output."""

    def __init__(
        self, graph: Graph, aliases: Sequence[int], threads: int | None, device: Device, judged: bool,
        numbers: Sequence[Node] = (),
    ) -> None:  # fmt: skip
        """`numbers`: scalars of the graph whose values come with each call."""
        self.judged = judged  # the last output is a verdict: see inside.py
        self.opened = device == "cpu" and bool(numbers)
        self.target, self._runner = _machine(device)
        self.device, self.home = device, None if device == "cpu" else home(device)
        store = _STORE if device == "cpu" else None
        self.compiled: Compiled = compile_graph(graph, self.target, aliases, store=store)
        self.edits: tuple[Kernel, ...] = ()  # what stands in place of kernels of the graph
        self.threads = threads
        self.known = loaded()  # kernels that this process had before
        self.native: Any = _runnable(self.compiled, numbers) if self.opened else self._runner(self.compiled)
        self._aliases = self.compiled.plan.aliases
        self.types = [n.type for n in graph.outputs]
        plan = self.compiled.plan
        made = [TensorType(b.dtype, b.shape) for b in (plan.buffers[i] for i in plan.outputs)]
        # Of each output: where it comes from, its type, and whether it comes as that.
        self._picks = [
            (pick, kind, pick >= 0 and made[pick] == kind)
            for pick, kind in zip(self.compiled.picks, self.types, strict=True)
        ]
        self._repeated = Repeated(self.native, threads)
        self._plain = self._picks == [(k, kind, True) for k, kind in enumerate(made)]
        self._graph, self._wanted, self._numbers = graph, aliases, numbers
        self.settled = 0  # after so many calls literals came to stand in texts that were for any length
        self._watch(device == "cpu" and self.compiled.general)
        logs.compiled(self, graph.name)

    def _watch(self, general: bool) -> None:
        """Count calls, if others could be faster."""
        self.general = general
        if general:
            work = sum(launch.work for launch in self.native.plan.launches)
            self.calls = max(CALLS, BYTES // max(work, 1))
            self.native.left.value = self.calls

    def _settle(self) -> None:
        """The same lengths came again and again: texts for these alone. No call waits for them, but the end
        of the process does, as no thread must be inside of LLVM then."""
        self.native.left.value = execute.NEVER  # one thread is enough
        thread = threading.Thread(target=self._compile_again, name=SETTLING, daemon=False)
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            self._compile_again()

    def _compile_again(self) -> None:
        before = self.native
        try:
            made = compile_graph(self._graph, self.target, self._wanted, ALL, _STORE)
            if made.picks == self.compiled.picks and made.plan.aliases == self._aliases and not self.edits:
                native = _runnable(made, self._numbers if self.opened else ())
                self.known, self.settled = loaded(), self.calls
                self.compiled, self.native = made, native
                before.left.value = -1  # native calls come to Python, to go on with the new one
        finally:
            self.general = False  # it is not tried again

    def __call__(
        self,
        arrays: Sequence[Array],
        reuse: Sequence[bool] = (),
        given: Mapping[int, Array] = MappingProxyType({}),
        numbers: Sequence[int] = (),
    ) -> list[Array]:
        """`reuse[j]`: nobody but the caller will look at `arrays[j]` again, so the output that
        replaces it takes over its memory. `given[k]`: the row-major array that output k goes to. On a device
        results lie there, and arrays are brought; inputs that lie there must be of this device. `numbers`: if
        it is `opened`, the content of their slots."""
        if self.home is not None:
            return self._away(arrays, reuse, given)
        out: list[Array | None] | None = None
        results = None
        if given or (reuse and any(reuse)):
            picks = self.compiled.picks
            out = [
                arrays[j] if j >= 0 and reuse[j] and arrays[j].flags.c_contiguous else None
                for j in self._aliases
            ]
            for k, array in given.items():
                if picks[k] >= 0:
                    buffer = self.native.plan.buffers[self.native.plan.outputs[picks[k]]]
                    out[picks[k]] = seen(array, TensorType(buffer.dtype, buffer.shape))
        else:
            if self._repeated.made is not self.native:
                self._repeated = Repeated(self.native, self.threads)
            results = self._repeated.run(arrays, numbers)
        if results is None:
            if self.general:
                self.native.left.value -= 1
                if self.native.left.value < 0:
                    self._settle()
            results = self.native(arrays, out, self.threads, numbers)
        outputs: list[Array] = results if self._plain else self._picked(results, arrays)
        for k, array in given.items() if given else ():
            if not np.shares_memory(array, outputs[k]):  # an input, or what another output is, too
                np.copyto(array, outputs[k])
            outputs[k] = array
        return outputs

    def _picked(self, results: Sequence[Array], arrays: Sequence[Array]) -> list[Array]:
        return [
            results[pick]
            if plain
            else _as_given(arrays[-1 - pick], kind)
            if pick < 0
            else seen(results[pick], kind)
            for pick, kind, plain in self._picks
        ]

    def _away(
        self, arrays: Sequence[Array | Stored], reuse: Sequence[bool], given: Mapping[int, Array]
    ) -> list[Any]:
        out: list[Any] | None = None
        if any(reuse):
            taken = [j >= 0 and reuse[j] and isinstance(arrays[j], Stored) for j in self._aliases]
            out = [arrays[j] if take else None for take, j in zip(taken, self._aliases, strict=True)]
        results = self.native(arrays, out)
        outputs: list[Any] = []
        for pick, kind in zip(self.compiled.picks, self.types, strict=True):
            if pick >= 0:
                kept = None if out is None else out[pick]  # who has it must find it again
                outputs.append(seen(results[pick] if kept is None else kept, kind))
            else:
                outputs.append(seen(self._copied(arrays[-1 - pick]), kind))
        for k, array in given.items():
            np.copyto(array, np.asarray(outputs[k]))
            outputs[k] = array
        return outputs

    def _copied(self, array: Array | Stored) -> Stored:
        assert self.home is not None
        return self.home.copy(array) if isinstance(array, Stored) else self.home.put(array)

    def executables(self) -> list[Executable]:
        """What it is made of."""
        return [self]

    def through(
        self,
        arrays: Sequence[Array],
        run: Callable[[Executable, list[Array]], list[Array]],
        seen: object = None,
    ) -> list[Array]:
        """Its results for these inputs, where `run` stands for the call of each executable; no library is
        called, for which `seen` would stand."""
        return run(self, list(arrays))

    def parts(self) -> list[tuple[Executable | None, tuple[Library, ...]]]:
        """The same, with the calls of libraries that come then: none."""
        return [(self, ())]

    def whole(self, loop: bool) -> Whole:
        """Its kernels, or its loops, as a program that can be written down."""
        from lucid.compiler.whole import whole  # few ask for it

        return whole(self.compiled, loop)

    def edited(self, kernel: Kernel) -> Executable:
        """One like this that runs `kernel` in place of the kernel of its name. VerifyError unless it may
        stand there, RuntimeError if it does not compile."""
        from lucid.compiler.edit import edited  # few ask for it

        new = copy.copy(self)
        new.compiled, new.edits = edited(self.compiled, kernel, self.target), (*self.edits, kernel)
        new.native = self._runner(new.compiled)
        new._aliases = new.compiled.plan.aliases
        return new

    @property
    def kernels(self) -> list[KernelInfo]:
        """The kernels in the order of data flow."""
        return [
            KernelInfo(c.kernel.name, c.bytes, print_kernel(c.kernel, locs=True), c.reasons)
            for c in self.compiled.named.calls
        ]

    def ptx(self, arch: str) -> Ptx:
        """The same graph for a GPU."""
        from .gpu import ptx  # few ask for it

        return ptx(self.compiled.written, arch, self._aliases, self.edits)

    def for_gpu(self, arch: str) -> Compiled:
        """The same graph, compiled for a GPU."""
        from .gpu import compiled_for  # few ask for it

        return compiled_for(self.compiled.written, arch, self._aliases, self.edits)

    def ir(self, stage: str, arch: str = gpu.ARCH, kernel: str | None = None) -> str:
        """One stage as text: graph, gradient, simplified, kernel, loop, llvm, llvm-opt, asm or ptx; of one
        kernel, if named. ValueError for another stage, and where there is no such kernel."""
        if stage == "ptx":
            from .gpu import named_ptx  # few ask for it

            return named_ptx(self.compiled.written, arch, self._aliases, self.edits, kernel)
        if stage == "asm":
            from lucid.compiler.llvm.listing import listing  # few ask for it

            made = lined_codes(self.compiled, self.target, kernel)
            return "\n".join(listing(assembly(c, self.target), x, self.target) for c, x in made)
        from lucid.compiler.stages import stage_text  # few ask for it

        return stage_text(self.compiled, stage, self.target, kernel)


def seen(array: Any, kind: TensorType) -> Any:
    """A row-major array in another shape; as complex numbers in place of their parts, or the reverse."""
    if array.shape == kind.shape and array.dtype == kind.dtype.np:
        return array
    if isinstance(array, Stored):
        return array.seen(kind.dtype.np, kind.shape)
    if array.dtype != kind.dtype.np:
        array = array.reshape(-1).view(kind.dtype.np)
    return array.reshape(kind.shape)


def _as_given(array: Array, kind: TensorType) -> Array:
    """An output that is an input: a copy, since the two may part ways."""
    found: Array = seen(np.array(array, order="C"), kind)
    return found


def _machine(device: Device) -> tuple[Target, Callable[[Compiled], Any]]:
    """What code for a device is made for, and what makes of it what runs the plan: called as
    `execute.Executable` is. CudaError where there is no GPU."""
    if device == "cpu":
        return host(), _runnable
    if device == "ptx-sim":
        from .simulated import Simulated  # few ask for it

        return gpu.target(gpu.ARCH), Simulated
    if device == "cuda":
        from . import cuda  # few ask for it

        return gpu.target(cuda.arch()), cuda.program
    raise ValueError(f"`{device}` is no device")


def _runnable(compiled: Compiled, numbers: Sequence[Node] = ()) -> execute.Executable:
    plan = compiled.opened(numbers) if numbers else compiled.plan
    if wanted := os.environ.get("LUCID_DEBUG"):
        from .debugging import readers, with_lines  # few ask for it

        if told := readers(wanted):
            plan = with_lines(compiled, plan, host(), told)
    return execute.Executable(plan)


def build(
    graph: Graph,
    aliases: Sequence[int] = (),
    threads: int | None = None,
    device: Device = "cpu",
    judged: bool = False,
    hosted: bool = False,
    numbers: Sequence[Node] = (),
) -> Executable | Staged:
    """`aliases[k]` is the input whose memory output k may take over, or -1. `judged`: the last output is the
    verdict on the indices. `hosted`: a library computes some nodes. `numbers`: scalars whose values are to
    come with each call, which they do if the result is `opened`."""
    settings.look_once()
    made = _built(graph, aliases, threads, device, judged, hosted, numbers)
    if folder := os.environ.get("LUCID_DUMP"):
        from .dump import dump  # few ask for it

        try:
            dump(made, folder, graph.name)
        except OSError as error:
            warn_user(f"LUCID_DUMP: nothing is written: {error}")
    return made


def _built(
    graph: Graph, aliases: Sequence[int], threads: int | None, device: Device, judged: bool, hosted: bool,
    numbers: Sequence[Node],
) -> Executable | Staged:  # fmt: skip
    if looking := MODE.get().looking or os.environ.get("LUCID_NAN"):
        from .nans import watched, way  # few ask for it

        if wanted := way(looking):
            return watched(graph, aliases, threads, device, judged, hosted, wanted)
    if not hosted:
        return Executable(graph, aliases, threads, device, judged, numbers)
    from .staged import Staged  # made of executables

    return Staged(graph, threads, device, judged)
