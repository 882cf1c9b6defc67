"""Capsules: a call in a file has the same bits wherever it runs; the first launch that has not is named; what
is no capsule, or a damaged one, is refused in one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.cli.main import main
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.target import Target
from lucid.nn import functional as F
from lucid.runtime.host import host
from lucid.testing.capsule import CapsuleError, read
from lucid.testing.replaying import record, replay, replayed

Array = np.ndarray[Any, Any]


def normal(*shape: int) -> Array:
    return np.random.default_rng(shape).normal(size=shape).astype("float32")


def softmax(x: Any, y: Any) -> Any:
    """Four launches."""
    return lucid.value_and_grad(lambda x: ((F.softmax(x @ y, axis=1) / x.sum()) ** 2).sum())(x)


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(q @ k.transpose(0, 2, 1) * 0.25, axis=-1) @ v


def several(x: Any) -> Any:
    return x, x.T, (x * (1 + 2j)).cumsum(axis=0), lucid.argsort(x, axis=1), x > 0, x[:0].sum(), lucid.ones(3)


LAYER = nn.Linear(12, 7)
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "softmax": (softmax, (normal(70, 33), normal(33, 50))),
    "a chain": (attention, (normal(2, 1024, 16),) * 3),
    "a layer": (lambda x: F.gelu(LAYER(x)), (normal(20, 12),)),
    "float16": (lambda x: F.layer_norm(x, (40,)), (normal(9, 40).astype("float16"),)),
    "NaN": (lambda x: lucid.sqrt(x).sum(axis=0), (normal(300, 3),)),
    "several": (several, (normal(6, 5),)),
    "nothing": (lambda x: x, (normal(4),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_bits_in_each_launch(name: str, tmp_path: Path) -> None:
    """On this machine, with every number of threads and every width of vectors."""
    f, args = FUNCTIONS[name]
    path, threads = str(tmp_path / "call.capsule"), lucid.get_num_threads()
    record(f, *args, path=path)
    capsule = read(path)
    assert replay(path).difference is None
    try:
        lucid.set_num_threads(3)
        for count, width in ((1, 64), (2, 32), (3, 16)):
            target: Target = replace(host(), vector_bytes=min(width, host().vector_bytes))
            assert replayed(capsule, path, target, count).difference is None
    finally:
        lucid.set_num_threads(threads)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    f, args = FUNCTIONS["softmax"]
    record(f, *args, path=str(tmp_path / "a.capsule"))
    return tmp_path / "a.capsule"


def changed(path: Path, change: Callable[[dict[str, Any]], object], **members: bytes) -> str:
    """The capsule with another JSON, and other members, in a file beside it."""
    other = path.with_name("b.capsule")
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(other, "w") as new:
        content = json.loads(file.read("capsule.json"))
        change(content)
        new.writestr("capsule.json", json.dumps(content))
        for name in file.namelist()[1:]:
            new.writestr(name, members.get(name.replace("/", "_"), file.read(name)))
    return str(other)


def test_the_first_launch_that_differs_is_named(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(content: dict[str, Any]) -> None:
        texts = content["kernels"]
        assert "exp_term" in texts[2]
        texts[2] = texts[2].replace("exp_term", "exp")

    path = changed(written, change)
    found = replay(path).difference
    assert found is not None and found.number == 3 and found.launch == content_name(written, 2)
    assert "test_replay.py:34" in str(found) and "launch 3" in str(found) and "o0" in found.outputs
    with pytest.raises(SystemExit, match="1"):
        main(["replay", path])
    assert "is the first that differs" in capsys.readouterr().out
    main(["replay", str(written), "--threads", "1"])
    assert "4 launches" in capsys.readouterr().out


def content_name(path: Path, launch: int) -> str:
    with zipfile.ZipFile(path) as file:
        return str(json.loads(file.read("capsule.json"))["launches"][launch]["name"])


def set_at(*way: Any) -> Callable[[dict[str, Any]], None]:
    """Puts the last of these where the others lead."""

    def change(content: Any) -> None:
        *path, last, value = way
        for step in path:
            content = content[step]
        content[last] = value

    return change


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another format": (set_at("format", 7), "it has format 7"),
    "no number": (set_at("format", "1"), "`format` is no whole number"),
    "no list": (set_at("launches", {}), "`launches` is no list"),
    "an array is missing": (lambda c: c["launches"][0]["arrays"].pop("a0"), "there is no array `a0`"),
    "one too many": (set_at("launches", 0, "arrays", "z", [0, 0, []]), "`z` is no array of its kernel"),
    "no such array": (set_at("launches", 0, "arrays", "a0", [99, 0, [1, 1]]), "is number 99 of"),
    "beyond an array": (set_at("launches", 0, "arrays", "a0", [0, 1, [33, 1]]), "`a0` is elements 1 to"),
    "before an array": (set_at("launches", 0, "arrays", "a0", [0, -1, [33, 1]]), "`a0` is elements -1 to"),
    "a larger size": (set_at("launches", 0, "symbols", "n1", 10**6), "a0"),
    "a huge size": (set_at("launches", 0, "symbols", "n1", 10**30), "is beyond"),
    "a dtype": (set_at("arrays", 0, ["object", [70, 33]]), "is no dtype"),
    "a huge shape": (set_at("arrays", 0, ["f32", [10**9, 10**9]]), "is no shape"),
    "a large shape": (set_at("arrays", 0, ["f32", [7000, 33]]), "inputs/0 has 9,240 bytes; expected 924,000"),
    "no such kernel": (set_at("launches", 0, "kernel", 9), "its kernel is number 9 of"),
    "no kernel": (set_at("kernels", 0, "import os"), "kernel 0:1:1: expected"),
    "an illegal kernel": (
        lambda c: c["kernels"].__setitem__(0, c["kernels"][0].replace("a1[i1", "a1[j7")),
        "j7",
    ),
    "read before written": (lambda c: c["launches"].pop(0), "reads what no launch has written before"),
    "written twice": (lambda c: c["launches"].append(c["launches"][0]), "is written where memory"),
    "an output is an input": (set_at("outputs", [0]), "an output stands twice, or is an input"),
    "a hash is missing": (lambda c: c["launches"][0]["hashes"].clear(), "there is no hash `o0`"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_no_capsule_is_refused_in_one_line(
    name: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = DAMAGES[name]
    path = changed(written, change)
    with pytest.raises(CapsuleError) as caught:
        replay(path)
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert path in str(caught.value)
    with pytest.raises(SystemExit, match="2"):
        main(["replay", path])
    assert capsys.readouterr().err.count("\n") == 1


def test_bytes_that_are_damaged(written: Path) -> None:
    content = written.read_bytes()
    for part in (b"", b"PK", content[:200], content[: len(content) // 2], b"{}" * 100):
        written.write_bytes(part)
        with pytest.raises(CapsuleError, match="no capsule"):
            replay(str(written))
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(rng.integers(0, 8))
        written.write_bytes(damaged)
        try:  # some bits mean nothing: a date, a flag
            assert replay(str(written)).difference is None
        except CapsuleError as error:
            assert "\n" not in str(error)
    with pytest.raises(OSError, match="No such file"):
        replay(str(written) + ".nowhere")


def test_what_cannot_be_recorded_says_so(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3)

    def step(x: Any) -> None:
        layer.weight.grad = x

    with pytest.raises(ValueError, match="changes what it finds"):
        record(step, normal(3, 3), path=str(tmp_path / "x"))
    with pytest.raises(ValueError, match="a library computes a part"):
        record(lucid.linalg.inverse, normal(3, 3), path=str(tmp_path / "x"))
    assert not list(tmp_path.iterdir())
