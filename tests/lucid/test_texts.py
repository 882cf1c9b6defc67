"""`lucid run` and `lucid opt`: texts that are programs, and what is said of those that are none."""

from __future__ import annotations

import random
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucid.cli.main import main
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.pipeline import loops
from lucid.compiler.text.graph import parse_graph, print_graph, read_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.text.program import parse_whole, print_whole
from lucid.testing.bits import assert_same_bits
from lucid.testing.family import function
from lucid.testing.generate import random_program
from lucid.testing.program import Program, coarsest, difference
from lucid.testing.traced import Traced, traced
from lucid.texts import TextError, apply

pytestmark = pytest.mark.report

Array = np.ndarray[Any, Any]

HUBER = """graph huber(%x: f32[4], %y: f32[4], %delta: f32[]) -> (%loss) {
  %d: f32[4] = sub %x, %y
  %a: f32[4] = abs %d
  %e: f32[4] = broadcast %delta shape=(4)
  %m: f32[4] = min %a, %e
  %p: f32[4] = mul %m, %a
  %loss: f32[] = sum %p axes=(0)
}
"""
SHIFT = """# what comes before the text
kernel shift(x: f32[n], s: f32) -> (o: f32[m], t: f32[])
  for i in m
    stage
      e = x[i - lo | lo <= i < hi]
      o[i] = e * s
      r += e
  finally
    t = r
"""
PICK = """graph pick(%x: f32[3], %i: i64[2]) -> (%o) {
  %n: i64[] = scalar value=3 dtype=i64
  %m: i64[2] = broadcast %n shape=(2)
  %at: i64[2] = place %i, %m
  %o: f32[2] = gather %x, %at axes=(0)
}
"""
PARTS = """graph g(%z: c64[2]) -> (%o) {
  %o: f32[2] = re %z
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with some texts and arrays."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("huber", HUBER), ("shift", SHIFT), ("pick", PICK)):
        (tmp_path / f"{name}.lucid").write_text(text)
    np.save("x.npy", np.arange(4, dtype="f"))
    np.save("y.npy", np.ones(4, "f"))
    np.save("double.npy", np.ones(4))
    np.save("i.npy", np.array([2, -1]))
    np.save("far.npy", np.array([2, 3]))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.savez("z.npz", x=np.ones(4, "f"))
    (tmp_path / "words.npy").write_text("no array")
    return tmp_path


def lucid(arguments: str) -> int:
    try:
        main(arguments.split())
    except SystemExit as left:
        assert isinstance(left.code, int)
        return left.code
    return 0


X = "--input x=x.npy --input y=y.npy --input delta=0.5"


@pytest.mark.parametrize("how", ["", "--interpret"])
def test_a_graph(folder: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    assert lucid(f"run huber.lucid {X} {how}") == 0
    assert capsys.readouterr().out == "loss: float32[] =\n2.0\n"
    assert lucid(f"run huber.lucid {X} {how} --output o.npy") == 0
    assert capsys.readouterr().out == ""
    written = np.load("o.npy", allow_pickle=False)
    assert (written.dtype, written.shape, written) == (np.float32, (), 2)


@pytest.mark.parametrize("how", ["", "--interpret"])
def test_a_kernel(folder: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    given = "--input x=x.npy --input s=2 --input lo=1 --input hi=5 --input m=6"
    assert lucid(f"run shift.lucid {given} {how} --output o=o.npy") == 0
    assert capsys.readouterr().out == "t: float32[] =\n6.0\n"
    np.testing.assert_array_equal(np.load("o.npy"), [0, 0, 2, 4, 6, 0])


@pytest.mark.parametrize("how", ["", "--interpret"])
def test_indices_are_looked_at(folder: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    assert lucid(f"run pick.lucid --input x=x.npy --input i=i.npy {how}") == 2
    assert "expected f32[3], got float32[4]" in capsys.readouterr().err
    np.save("x.npy", np.arange(3, dtype="f"))
    assert lucid(f"run pick.lucid --input x=x.npy --input i=i.npy {how}") == 0
    assert capsys.readouterr().out == "o: float32[2] =\n[2. 2.]\n"
    assert lucid(f"run pick.lucid --input x=x.npy --input i=far.npy {how}") == (0 if how else 2)
    if not how:
        assert re.search(r"^lucid run: pick.lucid:4: index 3, ", capsys.readouterr().err)


def test_all_strides_of_kernels_and_all_dtypes() -> None:
    x = np.arange(12, dtype="f").reshape(3, 4)
    for spec in ("", ":", ":-1", ":2", ":3", ":4"):
        head = f"kernel k(x: f32[n, m{spec}]) -> (o: f32[n, m]):\n for i in n\n"
        text = f"{head} stage j in m: o[i, j] = x[i, j] + 1"
        for interpret in (False, True):
            for array in (x, np.asfortranarray(x), x.astype(">f4")):
                np.testing.assert_array_equal(apply(text, "k", {"x": array}, interpret)["o"], x + 1)
    text = "kernel k(x: f32[n]) -> (o: f32[n:-1]):\n for i in n\n stage: o[i] = x[i] * 2"
    np.testing.assert_array_equal(apply(text, "k", {"x": x[0]})["o"], x[0] * 2)
    with pytest.raises(TextError, match=r"^k:1:1: kernel k: the output `o` is "):
        apply(text.replace(":-1", ":2"), "k", {"x": x[0]})
    for name, kind in (("u8", "u1"), ("i16", "i2"), ("f16", "f2"), ("f64", "f8"), ("b1", "?")):
        zero = np.zeros(5, kind)
        text = f"graph g(%x: {name}[5]) -> (%o, %x) {{\n %o: b1[5] = eq %x, %x\n}}"
        for interpret in (False, True):
            results = apply(text, "g", {"x": zero}, interpret)
            assert results["o"].all()
            np.testing.assert_array_equal(results["x"], zero)
    results = apply(PARTS, "g", {"z": np.full(2, 2 + 1j, "F")})
    np.testing.assert_array_equal(results["o"], [2, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("huber.lucid --input y=y.npy --input delta=1", "nothing is given for the input x: f32[4]"),
        (f"huber.lucid {X} --input z=y.npy", "there is no input z; expected one of: x, y, delta"),
        (f"huber.lucid {X} --input x=x.npy", "--input: x is given twice"),
        (f"huber.lucid {X} --input =x.npy", "--input: expected NAME=FILE.npy, not '=x.npy'"),
        (
            "huber.lucid --input x=double.npy --input y=y.npy --input delta=1",
            "input x: expected f32, got float64[4]",
        ),
        (
            "huber.lucid --input x=1 --input y=y.npy --input delta=1",
            "input x: expected f32[4], got float32[]",
        ),
        (
            "huber.lucid --input x=i.npy --input y=y.npy --input delta=1",
            "input x: expected f32, got int64[2]",
        ),
        ("huber.lucid --input x=objects.npy", "objects.npy is no array of numbers: Object arrays cannot be"),
        ("huber.lucid --input x=z.npz", "z.npz is no array of numbers"),
        ("huber.lucid --input x=words.npy", "words.npy is no array of numbers"),
        ("huber.lucid --input x=gone.npy", "--input x: gone.npy: No such file"),
        ("gone.lucid", "gone.lucid: No such file"),
        (f"huber.lucid {X} --output p=o.npy", "--output: there is no result p; expected one of: loss"),
        (f"huber.lucid {X} --output no/o.npy", "no/o.npy: No such file"),
        (
            "shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=2",
            "nothing says what the size `m` is",
        ),
        ("shift.lucid --input x=x.npy --input s=y.npy", "input s: expected a number, got float32[4]"),
        ("shift.lucid --input x=x.npy --input s=1e39", "input s: 1e+39 does not fit into f32"),
        (
            "shift.lucid --input x=x.npy --input s=1 --input m=1.5",
            "input m: expected a size (a whole number)",
        ),
        (
            "shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=9 --input m=9",
            "shift.lucid:2:1: kernel shift: i - `lo` runs from 0 to 8, but that dimension of `x` is `n` = 4",
        ),
        (
            "shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=2 --input n=5 --input m=9",
            "a dimension of `x` is n = 5, not 4",
        ),
        (
            "shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=2 --input m=-1",
            "`o` cannot be f32[-1]",
        ),
        (
            f"shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=2 --input m={10**30}",
            "takes more than 2**63 bytes",
        ),
        (
            "shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=2 --input m=1000000000000000",
            "",
        ),
        (
            "shift.lucid --input x=x.npy --input s=1 --input lo=0 --input hi=2 --input m=5 --output o.npy",
            "--output: say which of o, t: NAME=o.npy",
        ),
    ],
)
def test_what_does_not_fit(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert lucid(f"run {arguments}") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lucid run: ")
    assert said.err.count("\n") == 1
    assert message in said.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:1: expected `kernel`, `func`, `program` or `graph`, found the end of the text"),
        ("loop f()\n", ":1:1: expected `kernel`, `func`, `program` or `graph`, found `loop`"),
        (HUBER.replace("abs", "frob"), ":3:16: expected an op, found `frob`"),
        (HUBER.replace("(%loss)", "(%los)"), ":1:56: `%los` is not defined above"),
        (HUBER.replace("%d: f32[4]", "%d: f32[5]"), ":2:7: the type of sub here is f32[4], not f32[5]"),
        (SHIFT.replace("e * s", "e * * s"), ":6:18: expected an expression"),
        (SHIFT.replace("t = r", "t = e"), ":9:5: kernel shift: `e` is not known here"),
        (SHIFT.replace("x[i - lo | lo <= i < hi]", "x[i]"), ":5:7: kernel shift: a dimension of `x` is n"),
        (SHIFT.replace("kernel shift", "kernel malloc"), ":2:1: kernel malloc: `malloc` cannot be a name"),
    ],
)
@pytest.mark.parametrize("command", ["run", "opt"])
def test_malformed_and_illegal_texts(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str, command: str
) -> None:
    Path("bad.lucid").write_text(text)
    assert lucid(f"{command} bad.lucid") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"lucid {command}: bad.lucid{message}")


def test_bytes_that_are_no_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.lucid").write_bytes(b"graph g() -> () {\n  \xff")
    assert lucid("run bad.lucid") == 2
    assert capsys.readouterr().err == "lucid run: bad.lucid:2:3: byte 0xff is no UTF-8\n"


def mutated(rng: random.Random, text: str) -> str:
    """A text with some words exchanged, doubled or left out."""
    words = re.findall(r"\s+|\w+|[^\w\s]", text)
    for _ in range(rng.choice((1, 1, 2, 4))):
        k = rng.randrange(len(words))
        form = rng.randrange(4)
        if form == 0:
            del words[k]
        elif form == 1:
            words.insert(k, words[rng.randrange(len(words))])
        elif form == 2:
            words[k] = words[rng.randrange(len(words))]
        else:
            words[k] = rng.choice(
                ("0", "-1", "4", "5", "9223372036854775807", "f64", "i", "%x", "\n", "1e308")
            )
    return "".join(words)


def test_no_text_does_anything_but_run_or_be_refused() -> None:
    """In one line, with line and column if it is the text that is wrong; what runs gives what NumPy gives."""
    rng = random.Random(0)
    values: dict[str, Any] = {
        "x": np.arange(4, dtype="f"), "y": np.ones(4, "f"), "delta": 0.5, "s": 2.0,
        "lo": 1, "hi": 5, "m": 6, "i": np.array([2, -1]),
    }  # fmt: skip
    names = {HUBER: ("x", "y", "delta"), SHIFT: ("x", "s", "lo", "hi", "m"), PICK: ("x", "i")}
    ran = refused = 0
    for _ in range(600):
        base = rng.choice([*names])
        text, given = mutated(rng, base), {name: values[name] for name in names[base]}
        try:
            expected = apply(text, "t", given, interpret=True)
        except TextError as error:
            assert re.match(r"t:\d+:\d+: .", str(error))
            assert "\n" not in str(error)
            refused += 1
            continue
        except (IndexError, ValueError, MemoryError):
            continue
        ran += 1
        found = apply(text, "t", given)
        assert found.keys() == expected.keys()
        for name, array in found.items():
            assert (array.shape, array.dtype) == (expected[name].shape, expected[name].dtype)
            np.testing.assert_allclose(array, expected[name], rtol=1e-5)
    assert ran > 5
    assert refused > 300


# --- passes --------------------------------------------------------------------------------------


def test_texts_after_passes_are_texts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def after(passes: str, file: str = "huber") -> str:
        assert lucid(f"opt {file}.lucid --target haswell --passes={passes}") == 0
        return capsys.readouterr().out

    assert parse_graph(after("")).name == "huber"
    x, y, delta = np.arange(4, dtype="f"), np.ones(4, "f"), np.asarray(0.5, "f")
    graph = parse_graph(after("autodiff,simplify"))
    loss, dx, dy, ddelta = interpret_graph(graph, [x, y, delta])
    assert (loss.item(), ddelta.item()) == (2.0, 4.0)
    np.testing.assert_array_equal(dx, [-0.5, 0, 0.5, 0.5])
    np.testing.assert_array_equal(dy, -dx)
    kernel = after("autodiff,simplify,fuse")
    assert len(parse_whole(kernel).kernels[0].outputs) == 4
    assert parse_whole(after("fuse,lower")).funcs[0].name == parse_whole(after("fuse")).kernels[0].name
    (found,) = apply(after("fuse,lower"), "loops", {"x": x, "y": y, "delta": delta}).values()
    assert found == 2
    assert "define void @" in after("fuse,lower,emit")
    assert "define void @shift(" in after("lower,emit", "shift")
    Path("z.lucid").write_text(PARTS)
    assert "f32[2, 2]" in after("pairs", "z")
    assert "kernel" in after("pairs,simplify,fuse", "z")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("huber.lucid --passes frob", "unknown pass 'frob'; expected some of autodiff, pairs, simplify"),
        (
            "huber.lucid --passes fuse,simplify",
            "simplify takes a text at the level of graph, and this is kernels",
        ),
        ("shift.lucid --passes fuse", "fuse takes a text at the level of graph, and this is kernels"),
        ("pick.lucid --passes autodiff", "autodiff: the first output must be a float without dimensions"),
        ("z.lucid --passes fuse", "fuse: complex numbers must be pairs of real ones first"),
        ("none.lucid --passes autodiff", "autodiff: there is no output"),
    ],
)
def test_passes_that_do_not_fit(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    Path("z.lucid").write_text(PARTS)
    Path("none.lucid").write_text("graph g() -> () {\n}")
    assert lucid(f"opt {arguments}") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"lucid opt: {message}")


# --- what lucid prints ---------------------------------------------------------------------------


def agrees(program: Program) -> None:
    """The text of a program's graph, kernels and loops is read back to equal data; what is read gives the
    same bits, natively and by the interpreter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = traced(function(program), tuple(program.inputs.values()))
    text = print_graph(found.graph)
    assert print_graph(parse_graph(text)) == text
    graph, names = read_graph(text)
    told = {node: name for name, node in names.items()}
    given = {told[node]: array for node, array in zip(graph.inputs, found.inputs, strict=True)}
    natively, outputs = apply(text, "program", given), [told[node] for node in graph.outputs]
    for result in found.results:
        if result.output >= 0:
            assert_same_bits(natively[outputs[result.output]], result.array)
    want = interpret_graph(found.graph, [np.ascontiguousarray(x).reshape(x.shape) for x in found.inputs])
    by_numpy = apply(text, "program", given, interpret=True)
    for name, array in zip(outputs, want, strict=True):
        assert_same_bits(by_numpy[name], array)
    for executable in found.executable.executables():
        inside = executable.compiled.stages
        for call, schedule in zip(inside.program.calls, inside.schedules, strict=True):
            assert parse_kernel(print_kernel(call.kernel)) == call.kernel
            for func in loops(call.kernel, schedule):
                assert parse_func(print_func(func)) == func
    for loop in (False, True):
        whole_agrees(found, loop)


def whole_agrees(found: Traced, loop: bool) -> None:
    """All kernels, or all loops, with what binds them: read back, they give the bits of the call (loops by
    the interpreter); kernels by theirs what NumPy's functions allow."""
    whole = found.executable.whole(loop)
    text = print_whole(whole)
    assert parse_whole(text) == whole and print_whole(parse_whole(text)) == text
    assert whole.binding is not None
    given = {i.name: array for i, array in zip(whole.binding.inputs, found.inputs, strict=True)}
    results = whole.binding.told
    natively = apply(text, "program", given)
    for result in found.results:
        if result.output >= 0:
            assert_same_bits(natively[results[result.output]], result.array)
    if not loop:
        by_numpy, size = apply(text, "program", given, interpret=True), coarsest(natively)
        for name, array in natively.items():
            assert difference(name, by_numpy[name], array, False, size) is None


@pytest.mark.parametrize("seed", [*range(6), 57, 97, 411])  # 411: parts of one complex number
def test_random_programs_as_texts(seed: int) -> None:
    agrees(random_program(seed, more=bool(seed % 2)))
