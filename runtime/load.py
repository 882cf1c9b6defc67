"""Code to callable addresses: from this process, from the disk cache, or from LLVM.

One compile per key and process, whichever threads ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lucid.compiler.ir.artifact import Code
from lucid.compiler.ir.data import data
from lucid.compiler.ir.target import Target

from . import elf, image, llvm
from .cache import disk, stamp
from .digest import sha256
from .host import host
from .locks import hold_across_forks


@data
class Loaded:
    """Addresses of `void NAME(ptr slots, i64 begin, i64 end)` and of `NAME.finish`, or 0. `origin`: the
    code came from "disk" or from "LLVM"; then `text` seconds have made its text. `seconds`: all that it
    took. `number`: how many kernels this process had loaded before."""

    run: int
    finish: int
    origin: str = "disk"
    text: float = 0.0
    seconds: float = 0.0
    number: int = 0


# Held while code is made. A fork waits for it, so that no child inherits a half-done compile.
_LOCK = threading.RLock()
hold_across_forks(_LOCK)
_LOADED: dict[str, Loaded] = {}
_compiles = 0

# The first byte of a payload of the disk cache says what follows.
IMAGE, OBJECT, PLAN = b"I", b"O", b"T"


def compiles() -> int:
    """How many times LLVM has compiled a kernel in this process."""
    return _compiles


def loaded() -> int:
    """How many kernels this process has loaded."""
    return len(_LOADED)


def load(code: Code) -> Loaded:
    """The native functions of `code` in this process.

    RuntimeError if LLVM rejects the text, or if it does not define what `code` says it does.
    """
    global _compiles
    found = _LOADED.get(code.key)
    if found is not None:
        return found
    with _LOCK:
        found = _LOADED.get(code.key)
        if found is not None:
            return found
        names = [code.name, code.name + ".finish"][: 1 + code.finish]
        key = f"kernel\n{code.name} {code.finish}\n{code.key}"
        began = written = time.perf_counter()
        addresses, origin = None if code.told else _cached(key, tuple(names)), "disk"
        if addresses is None:
            _compiles += 1
            text, origin = code.llvm, "LLVM"
            written = time.perf_counter()
            if code.told:
                from . import debug  # few ask for it

                addresses = debug.load(text, tuple(names), code.told)
            else:
                addresses = _compiled(key, text, tuple(names), llvm.OPT_LEVEL)
        finish = addresses[names[-1]] if code.finish else 0
        seconds = time.perf_counter() - began
        found = Loaded(addresses[names[0]], finish, origin, written - began, seconds, len(_LOADED))
        _LOADED[code.key] = found
        return found


def native(
    text: str | Callable[[], str],
    names: tuple[str, ...],
    level: int = llvm.OPT_LEVEL,
    key: str = "",
) -> dict[str, int]:
    """Addresses of the functions `names` of LLVM `text`, compiled for the host at `level` (0 to 3).

    The code stays for the life of the process. A `key` may stand for a text that is costly to make: whoever
    has the machine code under it never asks. RuntimeError as for `load`.
    """
    known = text if isinstance(text, str) else key
    key = f"text {level}\n" + sha256(known.encode()).hexdigest()
    with _LOCK:
        found = _cached(key, names)
        return found or _compiled(key, text if isinstance(text, str) else text(), names, level)


def assembly(code: Code, target: Target | None = None) -> str:
    """The assembly that LLVM makes of `code`, for the host or for `target`."""
    with _LOCK:
        return llvm.emit_assembly(code.llvm, target or host())


def kept(key: str) -> bytes | None:
    """What the disk cache has under a key, of this version of lucid and for this machine; or None."""
    store, versions = disk(), stamp()
    if store is None or versions is None:
        return None
    return store.get(f"{versions}\n{host().key}\n{key}")


def keep(key: str, payload: bytes) -> None:
    """Have the disk cache keep it for processes to come, if there is one."""
    store, versions = disk(), stamp()
    if store is not None and versions is not None:
        store.put(f"{versions}\n{host().key}\n{key}", payload)


def kept_plan(key: str) -> bytes | None:
    """A plan that the disk cache has; None if it has none."""
    payload = kept(f"plan\n{key}")
    return payload[1:] if payload and payload[:1] == PLAN else None


def keep_plan(key: str, content: bytes) -> None:
    keep(f"plan\n{key}", PLAN + content)


def _cached(key: str, names: tuple[str, ...]) -> dict[str, int] | None:
    """The functions from the disk cache, or None."""
    payload = kept(key)
    if not payload:
        return None
    try:
        addresses = _place(payload)
    except (ValueError, elf.Unsupported):
        return None
    return addresses if all(addresses.get(name) for name in names) else None


def _compiled(key: str, text: str, names: tuple[str, ...], level: int) -> dict[str, int]:
    """The functions from LLVM, which the disk cache then keeps."""
    payload, addresses = _make(text, names, level)
    missing = [name for name in names if not addresses.get(name)]
    if missing:
        raise RuntimeError(f"compiled code does not define {', '.join(missing)}")
    keep(key, payload)
    return addresses


def _make(text: str, names: tuple[str, ...], level: int) -> tuple[bytes, dict[str, int]]:
    """What to keep of the compiled text, and the addresses of its functions."""
    if image.supported():
        try:
            data = llvm.emit_object(text, host(), True, level)
            payload = IMAGE + image.pack(elf.link(data))
            return payload, _place(payload)
        except elf.Unsupported:
            pass
    data = llvm.emit_object(text, host(), False, level)
    payload = OBJECT + "\n".join(names).encode() + b"\0" + data
    return payload, _place(payload)


def _place(payload: bytes) -> dict[str, int]:
    """Load a payload. ValueError, Unsupported if it cannot be."""
    kind, body = payload[:1], payload[1:]
    if kind == IMAGE:
        return image.place(image.unpack(body))
    if kind == OBJECT:
        names, _, data = body.partition(b"\0")
        return llvm.link_object(data, tuple(names.decode().split("\n")), host())
    raise ValueError("a payload of unknown kind")
