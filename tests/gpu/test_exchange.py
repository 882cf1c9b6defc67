"""Arrays on a GPU to and from other libraries: the same memory, streams that wait, owners that are told."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.runtime.cuda import device, exchange
from lucid.testing import assert_same_bits

from .standin import StandIn

X = np.linspace(-2, 3, 12, dtype=np.float32).reshape(3, 4)
LEGACY, OTHER = 1, 2


class Library:
    """Another library's array on the GPU, given by the interfaces of which it has values."""

    def __init__(self, standin: StandIn, array: Any, stream: Any = None, strides: Any = None) -> None:
        self.address = standin.memory.upload(np.ascontiguousarray(array))
        self.given: Any = {
            "shape": array.shape, "typestr": array.dtype.str, "data": (self.address, False), "version": 3,
            "strides": strides, "stream": stream,
        }  # fmt: skip

    @property
    def __cuda_array_interface__(self) -> Any:
        return self.given


class Exporter(Library):
    """By DLPack, of version 1 or before."""

    def __init__(self, standin: StandIn, array: Any, versioned: bool = True, **more: Any) -> None:
        super().__init__(standin, array)
        self.versioned, self.more, self.kept = versioned, more, list[Any]()
        self.asked, self.deleted = list[Any](), list[int]()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, *, stream: Any = None, **more: Any) -> Any:
        if more and not self.versioned:
            raise TypeError("an unexpected keyword")
        self.asked.append(stream)
        shape, kind = self.given["shape"], np.dtype(self.given["typestr"])
        extents = (ctypes.c_int64 * len(shape))(*shape)
        given = self.more.get("strides")
        strides = None if given is None else (ctypes.c_int64 * len(shape))(*given)
        code = self.more.get("code", {"f": 2, "i": 0}[kind.kind])
        bits, where = self.more.get("bits", 8 * kind.itemsize), (self.more.get("device", 2), 0)
        tensor = exchange._Tensor(self.address, *where, len(shape), code, bits, 1, extents, strides, 0)
        deleter = exchange._Deleter(self.deleted.append)
        record: Any = exchange._Managed(tensor, None, deleter)
        if self.versioned:
            record = exchange._Versioned(1, 0, None, deleter, 0, tensor)
        name = b"dltensor_versioned" if self.versioned else b"dltensor"
        self.kept.append((record, deleter, name, extents, strides))
        return exchange._new(ctypes.addressof(record), name, None)


def address_of(x: Tensor) -> int:
    return int(x._value("a test").block.address)


@pytest.mark.parametrize("versioned", [True, False])
def test_what_another_library_holds(versioned: bool, standin: StandIn) -> None:
    other = Exporter(standin, X, versioned)
    x = lucid.from_dlpack(other)
    assert x.device == "cuda" and address_of(x) == other.address and other.asked[-1] == device.device().stream
    assert_same_bits(x * 2, X * 2)
    assert_same_bits(lucid.from_dlpack(other, copy=True), X)
    assert_same_bits(lucid.from_dlpack(other, device="cpu"), X)
    gc.collect()
    assert len(other.deleted) == 2  # of the copies
    y = x.reshape(4, 3) + 1
    del x
    gc.collect()
    assert len(other.deleted) == 2  # y is still to be computed
    standin.calls.clear()
    assert_same_bits(y, X.reshape(4, 3) + 1)
    gc.collect()
    assert sorted(other.deleted) == sorted(ctypes.addressof(record) for record, *_ in other.kept)
    assert standin.calls.count("cuStreamSynchronize") == 2  # who reads it has done so


@pytest.mark.parametrize(
    "more, said",
    [
        ({"device": 10}, r"an array on device \(10, 0\)"),
        ({"strides": (1, 3)}, "make it contiguous first"),
        ({"code": 9}, "code 9 of 32 bits is no supported dtype"),
        ({"bits": 4}, "code 2 of 4 bits"),
    ],
)
def test_what_cannot_be_taken(more: Any, said: str, standin: StandIn) -> None:
    other = Exporter(standin, X, **more)
    with pytest.raises(BufferError, match=said):
        lucid.from_dlpack(other)
    assert other.deleted == []  # it is still the other library's


def test_the_cuda_array_interface_of_another_library(standin: StandIn) -> None:
    other = Library(standin, X, stream=OTHER)
    x = lucid.from_dlpack(other)
    assert address_of(x) == other.address and standin.waits == [(OTHER, device.device().stream)]
    assert_same_bits(x.sum(axis=0), X.sum(axis=0))
    with pytest.raises(BufferError, match="make it contiguous first"):
        lucid.from_dlpack(Library(standin, X, strides=(4, 12)))
    assert_same_bits(lucid.from_dlpack(Library(standin, X, strides=(16, 4))), X)
    masked = Library(standin, X)
    masked.given["mask"] = other
    with pytest.raises(BufferError, match="mask"):
        lucid.from_dlpack(masked)
    wrong = Library(standin, X, stream=0)
    with pytest.raises(ValueError, match="stream"):
        lucid.from_dlpack(wrong)


def test_what_is_taken_is_never_overwritten(standin: StandIn) -> None:
    other = Library(standin, X)
    holder: Any = lucid.nn.Module()
    holder.w = lucid.nn.Parameter(lucid.from_dlpack(other))

    @lucid.compile
    def step() -> None:
        holder.w.data = holder.w.data * 0.5

    for _ in range(3):
        step()
    assert_same_bits(holder.w.detach(), X / 8)
    assert standin.memory.download(other.address, X.shape, X.dtype).tobytes() == X.tobytes()


@pytest.mark.parametrize("stream, waits", [(None, 1), (1, 1), (2, 2), (-1, None)])
def test_streams_wait_for_what_was_begun(stream: Any, waits: int | None, standin: StandIn) -> None:
    x = Tensor(X, device="cuda") * 2
    capsule = x.__dlpack__(stream=stream)
    own = device.device().stream
    assert standin.waits == ([] if waits is None else [(own, waits)])
    assert standin.calls.count("cuGraphLaunch") == 1
    assert standin.calls.index("cuGraphLaunch") < len(standin.calls) - 1
    del capsule, x
    gc.collect()
    assert "memory" not in standin.kept()


def test_streams_that_are_none(standin: StandIn) -> None:
    x = Tensor(X, device="cuda")
    for stream in (0, -2, "1", True):
        with pytest.raises(
            ValueError, match=r"test_exchange.py:\d+: __dlpack__\(\): stream: expected None, -1"
        ):
            x.__dlpack__(stream=stream)


@pytest.mark.parametrize("version, name", [((1, 0), "dltensor_versioned"), (None, "dltensor")])
def test_memory_stays_as_long_as_others_have_it(version: Any, name: str, standin: StandIn) -> None:
    x = Tensor(X, device="cuda")
    assert x.__dlpack_device__() == (2, 0)
    capsule = x.__dlpack__(max_version=version)
    assert exchange._name(capsule).decode() == name
    record: Any = exchange._KINDS[name.encode()].from_address(exchange._pointer(capsule, name.encode()))
    tensor = record.tensor
    assert tensor.data == address_of(x) and (tensor.code, tensor.bits, tensor.lanes) == (2, 32, 1)
    assert [tensor.shape[k] for k in range(tensor.ndim)] == [3, 4] and not tensor.strides
    assert version is None or record.flags == exchange.READ_ONLY
    exchange._rename(capsule, b"used_dltensor")  # as who takes it does
    del x, capsule
    gc.collect()
    assert standin.kept().count("memory") == 1
    assert_same_bits(standin.memory.download(tensor.data, (3, 4), np.float32), X)
    standin.waits.clear()
    record.deleter(ctypes.addressof(record))
    assert "memory" not in standin.kept()
    assert standin.waits == [(LEGACY, device.device().stream)]  # what others did with it comes first


def test_round_trip(standin: StandIn) -> None:
    """As between two libraries: one takes what the other gives."""
    for dtype in ("float32", "bfloat16", "int8", "bool", "complex64"):
        x = Tensor(np.ones(3), device="cuda").astype(dtype)
        y = lucid.from_dlpack(x)
        assert y.dtype == x.dtype and address_of(y) == address_of(x)
        assert_same_bits(y.cpu(), x.cpu())
    copied = lucid.from_dlpack(x, copy=True)
    assert address_of(copied) != address_of(x)
    assert lucid.from_dlpack(Tensor(X, device="ptx-sim")).device == "cpu"  # its memory is nobody else's


def test_the_cuda_array_interface(standin: StandIn) -> None:
    x = Tensor(X, device="cuda") + 1
    found = x.__cuda_array_interface__
    own = device.device().stream
    assert found == {
        "shape": (3, 4), "typestr": "<f4", "data": (address_of(x), False), "version": 3, "strides": None,
        "stream": own,
    }  # fmt: skip
    assert Tensor(np.ones((0, 3)), device="cuda").__cuda_array_interface__["data"][0] == 0
    for other in (Tensor(X), Tensor(X, device="ptx-sim"), x.astype("bfloat16")):
        assert not hasattr(other, "__cuda_array_interface__")
