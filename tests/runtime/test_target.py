"""Targets as data, and the detection of the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucid.compiler.ir.target import HASWELL, NEOVERSE_N1, ZNVER4, vector_bytes
from lucid.runtime import host as hosts
from lucid.runtime import llvm
from lucid.runtime.cache import DiskCache


def test_vector_width_follows_the_features() -> None:
    avx512 = {"avx512f", "avx512vl", "avx512bw", "avx512dq"}
    assert vector_bytes("x86_64", frozenset(avx512)) == 64
    assert vector_bytes("x86_64", frozenset({"avx512f", "avx2", "fma"})) == 32
    assert vector_bytes("x86_64", frozenset({"avx2"})) == 16
    assert vector_bytes("aarch64", frozenset({"neon", "sve"})) == 16


def test_named_targets_agree_with_their_features() -> None:
    for target in (HASWELL, ZNVER4, NEOVERSE_N1):
        present = frozenset(f[1:] for f in target.features.split(",") if f.startswith("+"))
        assert vector_bytes(target.arch, present) == target.vector_bytes
    assert ZNVER4.has("avx512f") and not HASWELL.has("avx512f")


def test_named_targets_compile() -> None:
    text = """define <16 x float> @f(<16 x float> %x) {
      %r = fadd <16 x float> %x, %x
      ret <16 x float> %r
    }"""
    assert "zmm" in llvm.emit_assembly(text, ZNVER4)
    assert "ymm" in llvm.emit_assembly(text, HASWELL)
    assert "fadd" in llvm.emit_assembly(text, NEOVERSE_N1)


def test_nothing_is_contracted() -> None:
    text = """define float @f(float %a, float %b, float %c) {
      %m = fmul float %a, %b
      %r = fadd float %m, %c
      ret float %r
    }"""
    assert "vfmadd" not in llvm.emit_assembly(text, HASWELL)
    assert "fmadd" not in llvm.emit_assembly(text, NEOVERSE_N1)


def test_host_is_the_same_from_the_cache() -> None:
    detected = hosts.detect()
    assert hosts.host() == detected
    assert detected.vector_bytes in (16, 32, 64)
    assert detected.l1_bytes >= 8 << 10 and detected.l2_bytes >= 64 << 10


def test_a_damaged_record_of_the_host_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Liar(DiskCache):
        def get(self, key: str) -> bytes | None:
            return b'{"triple": 1}'

    monkeypatch.setattr(hosts, "disk", lambda: Liar(tmp_path))
    assert hosts.host.__wrapped__() == hosts.detect()
