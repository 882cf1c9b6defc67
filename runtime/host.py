"""The CPU of this process, as a Target."""

from __future__ import annotations

import functools
import platform

from lucid.compiler.ir.data import as_dict
from lucid.compiler.ir.target import Target, vector_bytes

from .cache import disk, stamp
from .limits import read, whole_number


@functools.cache
def host() -> Target:
    """The Target of the machine that this process runs on.

    What LLVM said is kept in the disk cache under the CPU's description by the operating system,
    so that a process with a warm cache need not load LLVM (40 ms) to learn it again.
    """
    store, cpu, versions = disk(), _description(), stamp()
    key = f"target\n{versions}\n{cpu}"
    keeps = store is not None and cpu is not None and versions is not None
    if store is not None and keeps:
        known = store.get(key)
        if known is not None:
            try:
                triple, name, features, *numbers = known.decode().split("\n")
                return Target(triple, name, features, *map(int, numbers))
            except (ValueError, TypeError):
                pass
    found = detect()
    if store is not None and keeps:
        store.put(key, "\n".join(map(str, as_dict(found).values())).encode())
    return found


def detect() -> Target:
    """The host, asked of LLVM and the operating system.

    LLVM's CPU name can be older than the CPU (a hypervisor may hide the model), so what decides is
    the list of features, which LLVM reads from the CPU itself.
    """
    import llvmlite.binding as llvm

    triple = llvm.get_process_triple()
    found = llvm.get_host_cpu_features()
    present = frozenset(name for name, there in found.items() if there)
    return Target(
        triple,
        llvm.get_host_cpu_name(),
        found.flatten(),
        vector_bytes(triple.split("-", 1)[0], present),
        cache_bytes(1, 32 << 10),
        cache_bytes(2, 1 << 20),
    )


# The lines of /proc/cpuinfo that say what a CPU can do, on x86 and on Arm; others change with time.
_LINES = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
    "Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision",
)  # fmt: skip


def _description() -> str | None:
    """The first CPU in the words of Linux; None elsewhere."""
    try:
        # Only the start: the kernel asks every core for its clock before it prints its lines.
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(8192).decode("ascii", "replace")
    except OSError:
        return None
    lines = text.split("\n\n", 1)[0].splitlines()
    wanted = [line for line in lines if line.split(":", 1)[0].strip() in _LINES]
    if not any(line.startswith(("flags", "Features")) for line in wanted):
        return None
    return "\n".join([platform.machine(), *wanted])


def cache_bytes(level: int, default: int) -> int:
    """Size of a data cache of one core from Linux's sysfs; `default` where it does not say."""
    for index in range(4):
        folder = f"/sys/devices/system/cpu/cpu0/cache/index{index}"
        found, kind, size = (read(f"{folder}/{name}").strip() for name in ("level", "type", "size"))
        if found == str(level) and kind in ("Data", "Unified") and size.endswith("K"):
            return whole_number(size[:-1], default >> 10) << 10
    return default
