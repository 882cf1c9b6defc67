"""Whole programs as text: what a compiled function prints runs, under the names that its user knows; what it
prints of one kernel is the part of a graph that became it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import linalg, nn, optim
from lucid.cli.main import main
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.text.graph import parse_graph
from lucid.compiler.text.program import parse_whole, print_whole
from lucid.texts import TextError, apply

pytestmark = pytest.mark.report

Array = np.ndarray[Any, Any]
RUN = ("graph", "gradient", "simplified", "kernel", "loop")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 8)).astype("f"), RNG.normal(size=5).astype("f")


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def parameters(net: nn.Module) -> dict[str, Array]:
    return {f"net.{name}": value.numpy() for name, value in net.state_dict().items()}


def several() -> tuple[Any, dict[str, Array], list[Array]]:
    """Several kernels; one result is an argument."""
    net = model()
    f: Any = lucid.compile(lambda x: (net(x).softmax(-1), x.sum(), x.reshape((8, 5))))
    return f, {"x": X, **parameters(net)}, [v.numpy() for v in f(X)]


def views() -> tuple[Any, dict[str, Array], list[Array]]:
    """Windows, steps, complex numbers, numbers."""

    def g(z: Any, a: Any) -> Any:
        return (z * z)[::-2].conj(), lucid.roll(a.T, 2, 0) * 0.1, a[1:, ::3].sum(0)

    f: Any = lucid.compile(g)
    z = (X + 1j * X[::-1])[0]
    return f, {"z": z, "a": X}, [v.numpy() for v in f(z, X)]


def library() -> tuple[Any, dict[str, Array], list[Array]]:
    """Libraries between kernels, two of whose kernels would have one name; complex numbers go through."""

    def f(a: Any) -> Any:
        u, s, _ = linalg.svd(a * 2)
        return (s * s).sum(), u, lucid.fft.ifft(lucid.fft.fft(a) * 2).real, linalg.pinv(a), (a * a).sum()

    compiled: Any = lucid.compile(f)
    a = X[:3, :3].astype("d")
    return compiled, {"a": a}, [v.numpy() for v in compiled(a)]


CASES: list[Callable[[], tuple[Any, dict[str, Array], list[Array]]]] = [several, views, library]


@pytest.mark.parametrize("case", CASES)
def test_what_is_printed_runs(case: Any) -> None:
    """Each stage, read back, gives the bits that the call has given: natively, and loops by the
    interpreter."""
    f, given, results = case()
    for stage in RUN:
        text = f.ir(stage)
        found = apply(text, "text", given)
        assert len(found) == len(results) or stage == "graph"
        for name, (got, want) in zip(found, zip(found.values(), results, strict=True), strict=True):
            pairs = stage == "simplified" and want.dtype.kind == "c"  # of real numbers
            assert pairs or (got.dtype, got.shape) == (want.dtype, want.shape), (stage, name)
            assert got.tobytes() == want.tobytes(), (stage, name)
        for got, want in zip(apply(text, "text", given, interpret=True).values(), results, strict=True):
            np.testing.assert_allclose(got.view(want.dtype).reshape(want.shape), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("loop", [False, True])
def test_programs_are_read_back(case: Any, loop: bool) -> None:
    f, _, _ = case()
    whole = f._last().executable.whole(loop)
    text = print_whole(whole)
    assert parse_whole(text) == whole
    assert print_whole(parse_whole(text)) == text


def command(*arguments: str) -> int:
    try:
        main([*arguments])
    except SystemExit as left:
        assert isinstance(left.code, int)
        return left.code
    return 0


def test_a_training_step_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = nn.Linear(8, 1)
    opt = optim.Adam(net.parameters(), lr=0.1)

    @lucid.compile
    def step(x: Any, batch: Any) -> Any:
        opt.zero_grad()
        loss = ((net(x)[:, 0] - batch["y"][0]) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    monkeypatch.chdir(tmp_path)
    weight, bias = (p.numpy().copy() for p in net.parameters())
    loss = step(X, {"y": [Y]}).item()
    names = re.findall(r"%([\w.]+): ", step.ir("kernel").split("\nprogram ")[1].split(" -> ")[0])
    assert {"x", "batch.y.0", "net.weight", "net.bias", "opt.state.mean.0", "opt.state.steps.1"} <= {*names}
    given = {"x": X, "batch.y.0": Y, "net.weight": weight, "net.bias": bias}
    for name, kind in re.findall(r"%(opt[\w.]+): \w+\[([\d, ]*)\]", step.ir("graph").split(" -> ")[0]):
        dtype = "f" if "mean" in name or "square" in name else "d"
        shape = tuple(map(int, kind.split(", "))) if kind else ()
        given[name] = np.full(shape, 0.1 if name.endswith("lr") else 0, dtype)
    words = []
    for name, value in given.items():
        np.save(f"{name}.npy", value)
        words += ["--input", f"{name}={name}.npy"]
    for stage in ("gradient", "kernel"):
        Path("text.lucid").write_text(step.ir(stage))
        assert command("run", "text.lucid", *words) == 0
        assert f"{np.float32(loss)}" in capsys.readouterr().out
    assert command("run", "text.lucid", *words, "--output", "net.weight=new.npy") == 0  # of the program
    np.testing.assert_array_equal(np.load("new.npy"), net.weight.numpy())
    said = capsys.readouterr().out
    assert {"result: float32[] =", "net.bias: float32[1] ="} <= {*said.splitlines()}
    assert "net.weight.grad: " in said and "opt.state.mean.0: " in said and "net.weight: " not in said
    assert command("run", "text.lucid", *words[:4], "--input", "weight=net.weight.npy") == 2
    said = capsys.readouterr().err
    assert said.startswith("lucid run: there is no input weight; expected one of: x, net.weight, net.bias, ")
    assert command("run", "text.lucid", *words[:2]) == 2
    assert "nothing is given for the inputs net.weight: f32[1, 8], net.b" in capsys.readouterr().err


@pytest.mark.parametrize("case", [several, views])
def test_the_part_of_a_graph_that_became_a_kernel(case: Any) -> None:
    """One after the other, the parts compute what the kernels do: memory has the names of the whole."""
    f, given, results = case()
    binding = f._last().executable.whole(False).binding
    held = {i.name: given[i.given] for i in binding.inputs}
    if any(x.dtype.kind == "c" for x in held.values()):
        with pytest.raises(ValueError, match="this graph has complex numbers, which are pairs"):
            f.ir("graph", kernel=f.kernels[0].name)
        held["z"] = held["z"].view("f").reshape(-1, 2)
    for kernel in f.kernels:
        part = parse_graph(f.ir("simplified", kernel=kernel.name))
        assert part.name == kernel.name
        found = interpret_graph(part, [held[str(n.attrs["name"])] for n in part.inputs])
        ends = f.ir("simplified", kernel=kernel.name).split("-> (")[1].split(")")[0]
        names = re.findall(r"%([\w.]+)", ends)
        held |= dict(zip(names, found, strict=True))
    for (name, kind), want in zip(binding.results, results, strict=True):
        got = np.ascontiguousarray(held[name]).view(kind.dtype.np).reshape(kind.shape)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_the_part_of_the_graph_as_it_was_written() -> None:
    f: Any = lucid.compile(lambda x: lucid.negative(lucid.negative(x)).exp().sum())
    f(X)
    name = f.kernels[0].name
    assert f.ir("graph", kernel=name).splitlines()[1:] == f.ir("graph").splitlines()[1:]
    assert "= neg " in f.ir("graph", kernel=name)
    assert "= neg " not in f.ir("simplified", kernel=name)
    with pytest.raises(ValueError, match="there is no kernel 'nothing' here; expected one of: "):
        f.ir("graph", kernel="nothing")


TWO = """kernel double(x: f32[n], s: f32) -> (o: f32[n])
  for i in n
    stage
      o[i] = x[i] * s

kernel total(x: f32[n]) -> (o: f32[])
  for i in n
    stage
      t += x[i]
  finally
    o = t

program f(%x: f32[6]) -> (%c: f32[], %b: f32[2, 3]) {
  %a: f32[6] = double(x=%x, n=6, s=0.5)
  %b: f32[6] by (1) = double(x=%a, n=6, s=3)
  %c: f32[] = total(x=%b from 1 by (1), n=5)
}
"""


def test_by_hand() -> None:
    x = np.arange(6, dtype="f")
    for interpret in (False, True):
        found = apply(TWO, "t", {"x": x}, interpret)
        assert found["c"] == 22.5
        np.testing.assert_array_equal(found["b"], x.reshape(2, 3) * 1.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (TWO[TWO.index("program") :], "", r"t:1:1: 2 kernels \(double, total\), and no `program` that"),
        ("kernel total", "kernel double", "t:6:8: `double` is there twice"),
        ("= total(", "= totl(", "t:16:15: there is no `totl` above; expected one of: double, total"),
        ("x=%a, n=6, s=3", "x=%d, n=6, s=3", "t:15:32: `%d` is not defined above"),
        ("x=%a, n=6, s=3", "x=%b, n=6, s=3", "t:15:32: `%b` is not defined above"),
        (", s=0.5", "", "t:14:32: `double` needs s, too"),
        ("s=0.5", "s=0.5, s=1", "t:14:41: `s` is given twice"),
        ("s=0.5", "r=0.5", "t:14:34: `r` is not one of: x, s, n"),
        ("s=0.5", "s=%x", r"t:14:36: expected a number \(f32\), found `%x`"),
        ("n=5", "n=5.5", "t:16:43: 5.5 is no i64"),
        ("%a: f32[6] =", "%a: f32[6], %d: f32[6] =", "`double` defines 1 values, not 2"),
        ("%b: f32[2, 3]", "%b: f32[2, 4]", r"t:13:42: `%b` is f32\[6\], of 24 bytes, not of 32"),
        ("%b: f32[6] by", "%x: f32[6] by", "t:15:3: `%x` is defined twice"),
        ("n=5", "n=6", "t:1:1: kernel total: `x` is elements 1 to 6 of f32"),
        ("by (1), n=5", "by (1, 1), n=5", "t:1:1: kernel total: `x` has 1 dimensions, but 2 strides"),
        ("%a: f32[6] =", "%a: f32[7] =", r"kernel double: the output `o` is f32\[7\], but \[`n` = 6\]"),
        ("n=5)", "n=5) over 1", "t:16:52: `over` says how many blocks of loops run; kernels know"),
    ],
)
def test_programs_that_are_refused(old: str, new: str, message: str) -> None:
    assert TWO.count(old) == 1
    for interpret in (False, True):
        with pytest.raises(TextError, match=message):
            apply(TWO.replace(old, new), "t", {"x": np.ones(6, "f")}, interpret)


def test_a_program_without_kernels_and_one_result_under_two_types() -> None:
    x = np.arange(6, dtype="f")
    text = "program f(%x: f32[6]) -> (%x: f32[2, 3], %x: f32[6], %x: f32[2, 3]) {\n}\n"
    for interpret in (False, True):
        found = apply(text, "t", {"x": x}, interpret)
        assert {name: array.shape for name, array in found.items()} == {"x": (2, 3), "x.2": (6,)}


def test_loops_stay_inside_of_their_arrays() -> None:
    f, given, _ = several()
    text = f.ir("loop")
    name, count = re.findall(r"(%\w+): f32\[5, 4\] = memory", text)[0], text.count("f32[5, 4] = memory")
    assert count
    with pytest.raises((IndexError, TextError)):
        apply(text.replace(f"{name}: f32[5, 4] = memory", f"{name}: f32[5, 3] = memory"), "t", given)


def test_one_function_of_loops() -> None:
    text = "func f(x: f32[], o: f32[], n: int, s: f32)\n %1: f32 = load x[%n]\n %2: f32 = mul %1, %s\n"
    text += " store o[0], %2\n"
    x = np.arange(4, dtype="f")
    assert apply(text, "t", {"x": x, "o": np.zeros(1, "f"), "n": 3, "s": 2})["o"] == 6
    with pytest.raises(ValueError, match="nothing is given for the inputs o: f32\\[\\], s: f32"):
        apply(text, "t", {"x": x, "n": 3})


def test_llvm_as_no_pass_has_changed_it() -> None:
    f, _, _ = several()
    text = f.ir("llvm-opt")
    assert text.startswith('; The same as the stage "llvm": no pass of LLVM\'s runs over this text.')
    assert text.endswith(f.ir("llvm"))
    said = text.removesuffix(f.ir("llvm")).splitlines()
    assert len(said) == 3 and all(line.startswith("; ") for line in said)
    name = f.kernels[0].name
    assert f.ir("llvm-opt", kernel=name).endswith(f.ir("llvm", kernel=name))


def test_names_of_inputs() -> None:
    scale, held = np.ones(8, "f"), {"w": nn.Parameter(np.ones(8, "f"))}

    def f(x: Any, pair: Any, *rest: Any, factor: float) -> Any:
        total = (x * scale * held["w"] * factor).sum() + pair[0].sum() + rest[0].sum()
        if held["w"].grad is not None:
            total = total + held["w"].grad.sum()
        return total

    g: Any = lucid.compile(f)
    held["w"].grad = lucid.ones(8)
    for factor in (2.0, 3.0):
        g(X, (X, Y), Y, factor=factor)
    (inputs,) = re.findall(r"graph f\((.*)\) -> ", g.ir("graph"))
    names = re.findall(r"%([\w.]+)", inputs)
    assert {"x", "scale", "held.w", "factor", "pair.0", "held.w.grad"} <= {*names}
    assert len(names) == 7 and '"x"' not in inputs


def test_calls_of_libraries_are_told_everywhere() -> None:
    """With their line, what is called, and the time that it takes."""

    def f(a: Any) -> Any:
        u, s, _ = linalg.svd(a @ a)
        w, _ = linalg.eigh(a + a.T)
        return u.sum() + (s * s).sum() + linalg.qr(a).R.sum() + w.sum()

    compiled: Any = lucid.compile(f)
    a = X[:4, :4].astype("d")
    compiled(a)
    line = f.__code__.co_firstlineno + 1
    graph = compiled.ir("graph")
    assert graph.startswith("graph f(%a: f64[4, 4]) -> (")
    lines = [x for x in graph.splitlines() if "= library %" in x and 'function="linalg.svd"' in x]
    told = [re.sub(r".* result=\d  # \S*test_programs.py:", "", x) for x in lines]
    assert told == [str(line)] * 2
    report = compiled.explain()
    assert re.search(
        r"^then library linalg.svd: numpy.linalg.svd\(f64\[4, 4\]\) gives f64\[4, 4\], f64\[4\]; 288 bytes; "
        rf"lines \S*test_programs.py:{line}$",
        report, re.MULTILINE,
    )  # fmt: skip
    calls = [call for plan in report.report.plans for call in plan.then]
    names = {"linalg.svd", "linalg.eigh", "linalg.qr"}
    assert {call.name for call in calls} == names and len(calls) == 3
    assert {call["calls"] for plan in report.as_dict()["plans"] for call in plan["then"]} == {
        f"numpy.{name}" for name in names
    }
    profile = compiled.profile(a)
    rows = {t.kernel.name: t for t in profile.kernels}
    assert names <= rows.keys()
    assert sum(t.share for t in profile.kernels) == pytest.approx(1)
    for name in names:
        timed = rows[name]
        assert timed.seconds > 0 and timed.bound == "a library" and timed.limit == 0
        assert "test_programs.py:" in timed.kernel.lines[0]
    row = next(line for line in str(profile).splitlines() if line.startswith("linalg.svd"))
    assert re.search(rf"a library +- +- +\S*test_programs.py:{line}$", row)
    for stage, sign in (("llvm", ";"), ("asm", "#")):
        said = rf"^{sign} then linalg.svd\(.*by numpy.linalg.svd at .*:{line}$"
        assert re.search(said, compiled.ir(stage), re.MULTILINE)


def test_results_have_names() -> None:
    f = lucid.compile(lambda x, i: ({"a b": x[i], "c": [x * 2, x[i]]}, x + 1))
    x, i = np.arange(3.0), np.array([0, 2])
    f(x, i)
    for stage in ("kernel", "loop"):
        text = f.ir(stage)
        whole = parse_whole(text)
        assert print_whole(parse_whole(print_whole(whole))) == print_whole(whole)
        found = apply(text, "f.txt", {"x": x, "i": i})
        assert list(found) == [
            "result.0.a b",
            "result.0.c.0",
            "result.0.c.1",
            "result.1",
            "index check",
        ]
        np.testing.assert_array_equal(found["result.1"], x + 1)
        assert not found["index check"]
    with pytest.raises(TextError, match=r"two results are called 'result\.1'"):
        apply(text.replace("result.0.c.0", "result.1"), "f.txt", {"x": x, "i": i})


def test_the_state_of_random_numbers_is_an_input_with_a_name() -> None:
    f = lucid.compile(lambda x: x + lucid.randn(4))
    lucid.manual_seed(5)
    state = lucid.random.get_state()
    want = f(np.ones(4)).numpy()
    text = f.ir("kernel")
    head = text.split("\nprogram ")[1].split(" -> ")[0]
    names = re.findall(r"%([\w.]+): ", head)
    assert names == ["x", "random.state", "random.step"]
    step = lucid.random.get_state() - state
    given = {"x": np.ones(4), "random.state": state, "random.step": step}
    *_, found = apply(text, "f.txt", given).values()
    np.testing.assert_array_equal(found, want)
    with pytest.raises(ValueError, match=r"random\.state is the state of the generator of random"):
        apply(text, "f.txt", {"x": np.ones(4)})
