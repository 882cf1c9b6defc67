"""The functions. Work of a stream is done at once, but its errors are told when somebody waits for it."""

from __future__ import annotations

import ctypes
import struct
from itertools import count
from typing import Any

from lucid.compiler.gpu.simulator import Memory, Module, PtxError, launch, parse

from .interface import C_TYPES, TYPES, c

OK, INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED, NO_DEVICE = 0, 1, 2, 3, 100
INVALID_DEVICE, INVALID_IMAGE, INVALID_CONTEXT, NO_BINARY = 101, 200, 201, 209
INVALID_PTX, OLD_PTX, INVALID_HANDLE, NOT_FOUND, UNKNOWN = 218, 222, 400, 500, 999
STICKY = {"bounds": 700, "misaligned": 716, "trap": 719, "barrier": 719, "read-only": 700}
NAMES = {
    INVALID_VALUE: "INVALID_VALUE", OUT_OF_MEMORY: "OUT_OF_MEMORY", NO_DEVICE: "NO_DEVICE",
    INVALID_IMAGE: "INVALID_IMAGE", INVALID_PTX: "INVALID_PTX", OLD_PTX: "UNSUPPORTED_PTX_VERSION",
    700: "ILLEGAL_ADDRESS", 716: "MISALIGNED_ADDRESS", 719: "LAUNCH_FAILED",
}  # fmt: skip
_DEVICE = 0
# What a caller must have made current, or nothing works.
_WITHOUT_CONTEXT = ("cuInit", "cuDriver", "cuDevice", "cuGetError", "cuCtx")
# Newest PTX that a driver reads.
_PTX = {11040: (7, 4), 12040: (8, 4), 13000: (9, 0)}


class Wrong(Exception):
    """No caller may do that; the driver might not tell."""


class StandIn:
    """`capability`, `version`, `devices`, `room` (bytes of memory) as the machine has them."""

    def __init__(
        self,
        capability: tuple[int, int] = (9, 0),
        version: int = 13000,
        devices: int = 1,
        room: int = 1 << 30,
    ) -> None:
        self.capability, self.version, self.devices, self.room = capability, version, devices, room
        self.memory, self.shared = Memory(), 48 << 10  # bytes of a block of threads
        self.fails: dict[str, int] = {}  # the next call of a function returns that code
        self.lacks: set[str] = set()  # functions that an older driver has not
        self.wrong: list[str] = []  # what a caller did that no caller may do
        self.calls: list[str] = []
        self.launched: list[str] = []  # entries
        self.waits: list[tuple[int, int]] = []  # streams, and those that wait for them
        self._things: dict[int, tuple[str, Any]] = {}  # handles: what kind, and what it stands for
        self._names = count(0x5000_0000_0000, 64)
        self._sizes: dict[int, int] = {}
        self._late = self._sticky = 0  # an error nobody knows of yet; one that everybody does
        self._inside: list[int] = []  # contexts that are current
        self._retained = 0
        self._ready = False
        self._kept: dict[str, Any] = {}  # C functions, and strings that a caller was given

    # what a test asks

    def kept(self) -> list[str]:
        """What has been made and not been given back."""
        things = [
            kind for kind, _ in self._things.values() if kind not in ("context", "function", "pool", "node")
        ]
        return sorted(things + ["memory"] * len(self._sizes) + ["retained"] * self._retained)

    # as a library

    def __getattribute__(self, name: str) -> Any:
        """C functions hide the methods that they call."""
        if not name.startswith("cu"):
            return object.__getattribute__(self, name)
        if name not in C_TYPES or name in self.lacks:
            raise AttributeError(name)
        if name not in self._kept:
            make = ctypes.CFUNCTYPE(ctypes.c_int, *(TYPES[t] for t in C_TYPES[name]))
            self._kept[name] = make(lambda *args: self._call(name, args))
        return self._kept[name]

    def _call(self, name: str, args: tuple[Any, ...]) -> int:
        self.calls.append(name)
        try:
            talk = name.startswith("cuGetError")
            if not talk and name in self.fails:
                code = self.fails.pop(name)
                self._sticky = code if 700 <= code < 720 else 0
                return code
            if self._sticky and not talk:
                return self._sticky
            if not self._ready and name not in ("cuInit", "cuDriverGetVersion") and not talk:
                raise Wrong("called before cuInit")
            if not self._inside and not name.startswith(_WITHOUT_CONTEXT):
                raise Wrong("called without a current context")
            return getattr(StandIn, name)(self, *args) or OK
        except Wrong as error:
            self.wrong.append(f"{name}: {error}")
            return INVALID_VALUE
        except Exception as error:  # nothing may leave a C function
            self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            return UNKNOWN

    # handles

    def _new(self, kind: str, thing: Any) -> int:
        handle = next(self._names)
        self._things[handle] = kind, thing
        return handle

    def _of(self, kind: str, handle: int | None) -> Any:
        default = ("stream", None) if handle in (1, 2) else ("nothing", None)
        found, thing = self._things.get(handle or 0, default)
        if found != kind:
            raise Wrong(f"{handle or 0:#x} is {found}, not a {kind}")
        return thing

    def _gone(self, kind: str, handle: int) -> None:
        self._of(kind, handle)
        del self._things[handle]

    # the device

    @c("uint")
    def cuInit(self, flags: int) -> int:
        self._ready = self.devices > 0
        return OK if self.devices else NO_DEVICE

    @c("int*")
    def cuDriverGetVersion(self, version: Any) -> None:
        version[0] = self.version

    @c("int str*")
    def cuGetErrorName(self, code: int, text: Any) -> None:
        self._kept[f"name {code}"] = text[0] = f"CUDA_ERROR_{NAMES.get(code, code)}".encode()

    @c("int str*")
    def cuGetErrorString(self, code: int, text: Any) -> None:
        self._kept[f"text {code}"] = text[0] = NAMES.get(code, str(code)).lower().replace("_", " ").encode()

    @c("int*")
    def cuDeviceGetCount(self, number: Any) -> None:
        number[0] = self.devices

    @c("int* int")
    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device[0] = _DEVICE
        return OK if ordinal < self.devices else INVALID_DEVICE

    @c("str int int")
    def cuDeviceGetName(self, text: int, size: int, device: int) -> None:
        ctypes.memmove(text, b"stand-in\0", min(size, 9))

    @c("int* int int")
    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:
        known = {75: self.capability[0], 76: self.capability[1], 115: 1, 16: 4, 8: self.shared}
        known |= {13: 1_755_000, 36: 2_619_000, 37: 5120}
        if attribute not in known:
            return INVALID_VALUE
        value[0] = known[attribute]
        return OK

    @c("handle* int")
    def cuDeviceGetDefaultMemPool(self, pool: Any, device: int) -> None:
        pool[0] = self._new("pool", None)

    @c("handle* int")
    def cuDevicePrimaryCtxRetain(self, context: Any, device: int) -> None:
        self._retained += 1
        context[0] = self._new("context", None)

    @c("int")
    def cuDevicePrimaryCtxRelease_v2(self, device: int) -> None:
        if not self._retained:
            raise Wrong("released more often than retained")
        self._retained -= 1

    @c("handle")
    def cuCtxPushCurrent_v2(self, context: int) -> int:
        self._of("context", context)
        if not self._retained:
            return INVALID_CONTEXT
        self._inside.append(context)
        return OK

    @c("handle*")
    def cuCtxPopCurrent_v2(self, context: Any) -> int:
        if not self._inside:
            return INVALID_CONTEXT
        context[0] = self._inside.pop()
        return OK

    # streams and events

    @c("handle* uint")
    def cuStreamCreate(self, stream: Any, flags: int) -> None:
        stream[0] = self._new("stream", None)

    @c("handle")
    def cuStreamSynchronize(self, stream: int) -> int:
        self._of("stream", stream)
        self._sticky, self._late = self._late, 0
        return self._sticky

    @c("handle")
    def cuStreamDestroy_v2(self, stream: int) -> None:
        self._gone("stream", stream)

    @c("handle* uint")
    def cuEventCreate(self, event: Any, flags: int) -> None:
        event[0] = self._new("event", [0, 0])

    @c("handle handle")
    def cuEventRecord(self, event: int, stream: int) -> None:
        self._of("stream", stream)
        self._of("event", event)[:] = len(self.calls), stream

    @c("handle handle uint")
    def cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> None:
        self._of("stream", stream)
        when, first = self._of("event", event)
        if not when or flags:
            raise Wrong("an event that was never recorded, or flags")
        self.waits.append((first, stream))

    @c("")
    def cuCtxSynchronize(self) -> int:
        if not self._inside:
            raise Wrong("called without a current context")
        self._sticky, self._late = self._late, 0
        return self._sticky

    @c("handle")
    def cuEventSynchronize(self, event: int) -> int:
        self._of("event", event)
        self._sticky, self._late = self._late, 0
        return self._sticky

    @c("float* handle handle")
    def cuEventElapsedTime(self, milliseconds: Any, start: int, end: int) -> None:
        times = [self._of("event", event)[0] for event in (start, end)]
        if not all(times):
            raise Wrong("an event that was never recorded")
        milliseconds[0] = times[1] - times[0]

    @c("handle")
    def cuEventDestroy_v2(self, event: int) -> None:
        self._gone("event", event)

    # memory

    @c("u64* size handle")
    def cuMemAllocAsync(self, address: Any, size: int, stream: int) -> int:
        self._of("stream", stream)
        if not size:
            return INVALID_VALUE
        if sum(self._sizes.values()) + size > self.room:
            return OUT_OF_MEMORY
        address[0] = found = self.memory.allocate(size)
        self._sizes[found] = size
        return OK

    @c("u64 handle")
    def cuMemFreeAsync(self, address: int, stream: int) -> None:
        self._of("stream", stream)
        if address not in self._sizes:
            raise Wrong(f"{address:#x} is no allocation, or was freed before")
        del self._sizes[address]
        self.memory.free(address)

    @c("u64 void* size handle")
    def cuMemcpyHtoDAsync_v2(self, to: int, source: int, size: int, stream: int) -> None:
        self._of("stream", stream)
        self.memory.write(to, ctypes.string_at(source, size))

    @c("void* u64 size handle")
    def cuMemcpyDtoHAsync_v2(self, to: int, source: int, size: int, stream: int) -> None:
        self._of("stream", stream)
        if not self._late:
            ctypes.memmove(to, self.memory.read(source, size), size)

    @c("u64 u64 size handle")
    def cuMemcpyDtoDAsync_v2(self, to: int, source: int, size: int, stream: int) -> None:
        self._of("stream", stream)
        if not self._late:
            self.memory.write(to, self.memory.read(source, size))

    @c("size* size*")
    def cuMemGetInfo_v2(self, free: Any, total: Any) -> None:
        total[0], free[0] = self.room, self.room - sum(self._sizes.values())

    @c("handle int void*")
    def cuMemPoolSetAttribute(self, pool: int, attribute: int, value: int) -> None:
        self._of("pool", pool)

    @c("handle size")
    def cuMemPoolTrimTo(self, pool: int, least: int) -> None:
        self._of("pool", pool)

    # modules

    @c("uint int* void** handle*")
    def cuLinkCreate_v2(self, number: int, options: Any, values: Any, state: Any) -> None:
        found = {options[k]: values[k] for k in range(number)}
        state[0] = self._new("linker", {"log": found[5], "room": found[6], "texts": []})

    @c("handle int void* size str uint int* void**")
    def cuLinkAddData_v2(
        self, state: int, kind: int, text: int, size: int, name: int, number: int, options: Any, values: Any
    ) -> int:
        linker = self._of("linker", state)
        content = ctypes.string_at(text, size)
        if kind != 1 or not content.endswith(b"\0"):
            raise Wrong("not PTX that ends in a zero")
        ptx = content[:-1].decode()
        try:
            module = parse(ptx)
        except PtxError as error:
            log = f"ptxas application ptx input, line {error.line}; {error.kind}".encode()[
                : linker["room"] - 1
            ]
            ctypes.memmove(linker["log"], log + b"\0", len(log) + 1)
            return INVALID_PTX
        newest = max(v for k, v in _PTX.items() if k <= self.version)
        if tuple(map(int, module.version.split("."))) > newest:
            return OLD_PTX
        if int(module.target.removeprefix("sm_")) > 10 * self.capability[0] + self.capability[1]:
            return NO_BINARY
        linker["texts"].append(ptx)
        return OK

    @c("handle void** size*")
    def cuLinkComplete(self, state: int, image: Any, size: Any) -> None:
        linker = self._of("linker", state)
        content = b"cubin" + struct.pack("<II", 10 * self.capability[0] + self.capability[1], self.version)
        content += linker["texts"][0].encode() + b"end\0"
        linker["image"] = ctypes.create_string_buffer(content, len(content))
        image[0], size[0] = ctypes.addressof(linker["image"]), len(content)

    @c("handle")
    def cuLinkDestroy(self, state: int) -> None:
        self._gone("linker", state)

    @c("handle* void*")
    def cuModuleLoadData(self, module: Any, image: int) -> int:
        content = ctypes.string_at(image, 13)
        built = 10 * self.capability[0] + self.capability[1], self.version
        if not content.startswith(b"cubin") or struct.unpack("<II", content[5:]) != built:
            return INVALID_IMAGE
        text = ctypes.string_at(image + 13)
        if not text.endswith(b"end"):
            return INVALID_IMAGE
        module[0] = self._new("module", parse(text[:-3].decode()))
        return OK

    @c("handle* handle str")
    def cuModuleGetFunction(self, function: Any, module: int, name: int) -> int:
        found: Module = self._of("module", module)
        entry = ctypes.string_at(name).decode()
        if entry not in found.entries:
            return NOT_FOUND
        function[0] = self._new("function", (found, entry, module))
        return OK

    @c("int* int handle")
    def cuFuncGetAttribute(self, value: Any, attribute: int, function: int) -> int:
        self._of("function", function)
        module, entry, _ = self._of("function", function)
        variables = (*module.variables, *module.entries[entry].variables)
        known = {4: 40, 1: sum(v.size for v in variables if v.space == "shared")}
        value[0] = known.get(attribute, 0)
        return OK if attribute in known else INVALID_VALUE

    @c("handle")
    def cuModuleUnload(self, module: int) -> None:
        self._gone("module", module)

    # launches

    def _launch(self, function: int, grid: Any, block: Any, shared: int, values: list[bytes]) -> None:
        module, entry, handle = self._of("function", function)
        self._of("module", handle)
        self.launched.append(entry)
        if self._late:
            return
        try:
            launch(module, entry, grid, block, values, self.memory, shared)
        except PtxError as error:
            if error.kind not in STICKY:
                raise
            self._late = STICKY[error.kind]

    def _values(self, function: int, params: Any) -> list[bytes]:
        """The content of the parameters, at this moment."""
        module, entry, _ = self._of("function", function)
        wanted = module.entries[entry].parameters
        if [bool(params[k]) for k in range(len(wanted) + 1)] != [True] * len(wanted) + [False]:
            raise Wrong(f"{entry} has {len(wanted)} parameters, other than were given")
        return [ctypes.string_at(params[k], p.size) for k, p in enumerate(wanted)]

    @c("handle uint uint uint uint uint uint uint handle void** void**")
    def cuLaunchKernel(self, function: int, *rest: Any) -> None:
        *sizes, shared, stream, params, _ = rest
        self._of("stream", stream)
        self._launch(function, sizes[:3], sizes[3:], shared, self._values(function, params))

    @c("handle* uint")
    def cuGraphCreate(self, graph: Any, flags: int) -> None:
        graph[0] = self._new("graph", {})

    def _node(self, params: Any) -> tuple[Any, ...]:
        n = params[0]
        if not (n.gx and n.gy and n.gz and n.bx and n.by and n.bz) or n.extra:
            raise Wrong("a launch without threads, or with extras")
        values = self._values(n.func, n.params)
        return n.func, (n.gx, n.gy, n.gz), (n.bx, n.by, n.bz), n.shared, values

    @c("handle* handle handle* size node*")
    def cuGraphAddKernelNode(self, node: Any, graph: int, after: Any, number: int, params: Any) -> None:
        nodes = self._of("graph", graph)
        if any(after[k] not in nodes for k in range(number)):
            raise Wrong("a node after one that is not in the graph")
        if nodes and not number:
            raise Wrong("a kernel that waits for no other one")
        node[0] = self._new("node", graph)
        nodes[node[0]] = self._node(params)

    @c("handle* handle u64")
    def cuGraphInstantiateWithFlags(self, made: Any, graph: int, flags: int) -> None:
        made[0] = self._new("graph exec", dict(self._of("graph", graph)))

    @c("handle handle node*")
    def cuGraphExecKernelNodeSetParams(self, made: int, node: int, params: Any) -> None:
        nodes = self._of("graph exec", made)
        if node not in nodes:
            raise Wrong("no node of this graph")
        nodes[node] = self._node(params)

    @c("handle handle")
    def cuGraphLaunch(self, made: int, stream: int) -> None:
        self._of("stream", stream)
        for node in self._of("graph exec", made).values():
            self._launch(*node)

    @c("handle")
    def cuGraphExecDestroy(self, made: int) -> None:
        self._gone("graph exec", made)

    @c("handle")
    def cuGraphDestroy(self, graph: int) -> None:
        self._gone("graph", graph)
