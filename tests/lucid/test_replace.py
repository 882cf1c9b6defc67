"""Kernels edited by hand: what runs then, what is refused, what is restored; and what passes have changed."""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.compiler.interpret.graph import interpret_graph
from lucid.compiler.text.graph import parse_graph
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.error import VerifyError

Array = np.ndarray[Any, Any]


def squares() -> Any:
    return lucid.compile(lambda x, y: ((x - y) * (x - y)).sum())


def data(n: int = 100) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=n).astype("f"), rng.normal(size=n).astype("f")


def kernels(text: str) -> list[str]:
    """The texts of the kernels, one by one."""
    return re.findall(r"^kernel .*?(?=^kernel |^program )", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("out", [False, True])
def test_calls_run_the_new_text_until_it_is_restored(out: bool) -> None:
    f, (x, y) = squares(), data()
    place = {"out": np.empty((), "f")} if out else {}
    for _ in range(4):  # the first in Python, later ones natively
        before = f(x, y, **place).item()
    text = f.ir("kernel")
    assert text.count("a0[i0] - a1[i0]") == 1
    f.replace(text.replace("a0[i0] - a1[i0]", "a0[i0] + a1[i0]"))
    for _ in range(4):
        assert f(x, y, **place).item() == pytest.approx(((x + y).astype("d") ** 2).sum(), rel=1e-5)
    assert f.traces == 1
    assert "a0[i0] + a1[i0]" in f.ir("kernel")
    assert "replaced by hand" in f.explain()
    f.restore()
    for _ in range(4):
        assert f(x, y, **place).item() == before
    assert f.ir("kernel") == text
    assert f.diff("replace") == ""
    f.restore()  # there is nothing to take back
    assert f(x, y).item() == before


def test_all_that_is_made_of_a_kernel_is_of_its_new_text() -> None:
    f, (x, y) = squares(), data()
    f(x, y)
    stages = ("loop", "llvm", "asm", "ptx")
    old = {s: f.ir(s) for s in stages}
    f.replace(f.ir("kernel").replace("a0[i0] - a1[i0]", "sqrt(a0[i0])"))
    assert all("sqrt" in f.ir(s) and "sqrt" not in old[s] for s in stages)
    f.restore()
    assert {s: f.ir(s) for s in stages} == old


def test_one_kernel_of_several_and_again() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    f: Any = lucid.compile(lambda x: net(x).softmax(-1))
    x = np.random.default_rng(1).normal(size=(5, 8)).astype("f")
    before = f(x).numpy()
    texts = kernels(f.ir("kernel"))
    (last,) = (t for t in texts if "exp_term(" in t)
    f.replace(last.replace("exp_term(", "exp2("))
    second = f(x).numpy()
    logits = net(x).numpy().astype("d")
    np.testing.assert_allclose(second, 2**logits / (2**logits).sum(-1, keepdims=True), rtol=1e-5)
    others = [t for t in kernels(f.ir("kernel")) if "exp2(" not in t]
    assert others == [t for t in texts if t != last]
    f.replace(last.replace("exp_term(", "expm1("))  # instead of the first replacement
    assert "exp2(" not in f.ir("kernel")
    assert not np.allclose(f(x).numpy(), second)
    f.restore()
    np.testing.assert_array_equal(f(x).numpy(), before)


def test_parameters_are_updated_by_the_new_text() -> None:
    """In place before; then by a text that reads elements after it would have overwritten them."""
    w = nn.Parameter(np.arange(6, dtype="f"))

    def step() -> None:
        w.grad = lucid.ones(6)
        opt.step()
        opt.zero_grad()

    opt = optim.SGD([w], lr=0.5)
    f: Any = lucid.compile(step)
    for k in range(1, 5):
        f()
        np.testing.assert_array_equal(w.numpy(), np.arange(6) - 0.5 * k)
    text = f.ir("kernel")
    array = re.search(r"(a\d)\[i0\]", text)
    assert array is not None
    f.replace(text.replace(f"{array[1]}[i0]", f"pick({array[1]}, i64(5) - at(i0))", 1))
    held = w.numpy().copy()
    for _ in range(4):
        f()
        held = held[::-1] - np.float32(0.5)
        np.testing.assert_array_equal(w.numpy(), held)
    f.restore()
    for _ in range(3):
        f()
        held = held - np.float32(0.5)
        np.testing.assert_array_equal(w.numpy(), held)


def test_a_library_between_kernels() -> None:
    f: Any = lucid.compile(lambda a, b: lucid.linalg.solve(a * 2, b).sum() * 3)
    a, b = np.eye(3) * 4, np.ones(3)
    assert f(a, b).item() == pytest.approx(9 / 8)
    first = kernels(f.ir("kernel"))[0]
    assert "* s0" in first
    f.replace(first.replace("* s0", "+ s0"))
    assert f(a, b).item() == pytest.approx(3 * np.linalg.solve(np.eye(3) * 4 + 2, b).sum())
    f.restore()
    assert f(a, b).item() == pytest.approx(9 / 8)


def test_all_sizes_run_the_new_text() -> None:
    f = squares()
    calls = [data(), data(30), data(77)]
    for _ in range(3):
        before = [f(x, y).item() for x, y in calls[:2]]
    f.replace(f.ir("kernel").replace(" - ", " + "))
    for _ in range(3):  # the last is traced anew
        for x, y in calls:
            assert f(x, y).item() == pytest.approx(((x + y).astype("d") ** 2).sum(), rel=1e-5)
    assert f.traces == 3
    f.restore()
    for _ in range(3):
        assert [f(x, y).item() for x, y in calls[:2]] == before


def test_other_sizes_with_another_text_are_told() -> None:
    f: Any = lucid.compile(lambda x: x * 2 + 1)
    x = np.arange(6, dtype="f")
    f(x.reshape(2, 3).T.copy())
    f(x)
    f.replace(f.ir("kernel").replace("* s0", "- s0"))
    np.testing.assert_array_equal(f(x).numpy(), x - 1)
    with pytest.warns(UserWarning, match=r"a new trace \(x: f32\[1\]\) has another text for \w+, and"):
        np.testing.assert_array_equal(f(x[1:2]).numpy(), [3])
    f.restore()
    np.testing.assert_array_equal(f(x).numpy(), x * 2 + 1)


def test_of_kernels_with_one_text_the_named_one() -> None:
    lucid.manual_seed(0)  # of other weights some results are differences of nearly equal numbers
    layers = [nn.Linear(8, 8, bias=False) for _ in range(3)]
    net = nn.Sequential(*layers)
    f: Any = lucid.compile(lambda x: net(x))
    x = np.random.default_rng(1).normal(size=(5, 8)).astype("f")
    f(x)
    texts = kernels(f.ir("kernel"))
    names = [k.name for k in f.kernels]
    assert len(texts) == 3 and len({t.split("(", 1)[1].split("#")[0] for t in texts}) == 1

    def doubled(which: list[int]) -> Array:
        found = x
        for k, layer in enumerate(layers):
            found = found @ layer.weight.numpy().T * (2 if k in which else 1)
        return found

    told = f"{names[1]} alone runs .*{names[0]}, {names[2]}: all=True replaces all 3"
    with pytest.warns(UserWarning, match=told):
        f.replace(texts[1].replace("= r0", "= r0 * 2.0"))
    np.testing.assert_allclose(f(x).numpy(), doubled([1]), rtol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f.replace(texts[1].replace("= r0", "= r0 * 2.0"), all=True)
        np.testing.assert_allclose(f(x).numpy(), doubled([0, 1, 2]), rtol=1e-4)
        f.restore()
        text = f.ir("kernel")  # all of it: each kernel is told by its name
        f.replace(text.replace(texts[0], texts[0].replace("= r0", "= r0 * 2.0")))
        np.testing.assert_allclose(f(x).numpy(), doubled([0]), rtol=1e-4)
        f.replace(text.replace("= r0", "= r0 * 2.0"))
        np.testing.assert_allclose(f(x).numpy(), doubled([0, 1, 2]), rtol=1e-4)


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        ("kernel", lambda t: t.replace("a1=%y", "a1=%x"), "stays as it is, `.*%y.*not `.*%x"),
        ("loop", lambda t: t, "these are loops, and kernels are replaced"),
        ("graph", lambda t: t, "this is a graph, and kernels are replaced"),
    ],
)
def test_what_else_is_refused(stage: Any, change: Callable[[str], str], message: str) -> None:
    f, (x, y) = squares(), data()
    before = f(x, y).item()
    text = change(f.ir(stage))
    with pytest.raises(ValueError, match=message):
        f.replace(text)
    assert f(x, y).item() == before and f.diff("replace") == ""


def test_indices_are_looked_at_as_before() -> None:
    f: Any = lucid.compile(lambda x, i: x[i] * 2)
    x, i = np.arange(5, dtype="f"), np.array([1, -1])
    for _ in range(3):
        np.testing.assert_array_equal(f(x, i).numpy(), [2, 8])
    text = f.ir("kernel")
    assert "* s1" in text
    f.replace(text.replace("* s1", "+ s1"))
    for _ in range(3):
        np.testing.assert_array_equal(f(x, i).numpy(), [3, 6])
        with pytest.raises(IndexError, match=r"index 7"):
            f(x, np.array([0, 7]))


def test_calls_of_other_threads_run_one_text_or_the_other() -> None:
    f, (x, y) = squares(), data()
    for _ in range(3):
        old = f(x, y).item()
    text = f.ir("kernel")
    f.replace(text.replace(" - ", " + "))
    new = f(x, y).item()
    f.restore()
    stop, seen = threading.Event(), set[float]()

    def run() -> None:
        while not stop.is_set():
            seen.add(f(x, y).item())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        f.replace(text.replace(" - ", " + "))
        time.sleep(0.005)
        f.restore()
        time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert seen == {old, new}
    assert f.traces == 1


def test_the_kernel_of_a_method() -> None:
    class Scale:
        @lucid.compile
        def run(self, x: Any) -> Any:
            return lucid.exp(x) - 1

    scale, x = Scale(), np.ones(4, "f")
    for _ in range(3):
        before = scale.run(x).numpy()
    scale.run.replace(scale.run.ir("kernel").replace("exp(", "exp2("))
    for _ in range(3):
        np.testing.assert_array_equal(scale.run(x).numpy(), np.ones(4))
    scale.run.restore()
    np.testing.assert_array_equal(scale.run(x).numpy(), before)


def test_in_the_simulator_of_a_gpu() -> None:
    f: Any = lucid.compile(lambda x: x * x + 1, device="ptx-sim")
    x = np.arange(5, dtype="f")
    f(x)
    f.replace(f.ir("kernel").replace("a0[i0] * a0[i0]", "a0[i0] - a0[i0]"))
    np.testing.assert_array_equal(f(x).numpy(), np.ones(5))
    f.restore()
    np.testing.assert_array_equal(f(x).numpy(), x * x + 1)


# --- what is refused -----------------------------------------------------------------------------


def _instead(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda _: "", ValueError, "line 1, column 1: expected `kernel`, `func`, `program` or `graph`"),
        (
            _instead("a0[i0] - a1[i0]", "a0[i0] -"),
            ValueError,
            r"line \d+, column \d+: expected an expression",
        ),
        (lambda text: text + text, ValueError, "line 12, column 1: expected the end of the text"),
        (_instead("kernel ", "kernel other_"), VerifyError, "there is no kernel `other_.*expected one of: "),
        (_instead("a1: f32[n0]", "a1: f64[n0]"), ValueError, "line 4"),
        (_instead("a1: f32[n0]", "a1: f32[n0:]"), VerifyError, "the operands must stay"),
        (_instead("a1: f32[n0]", "a1: f32[n0], a2: f32[n0]"), VerifyError, "the operands must stay"),
        (_instead("-> (o0: f32[])", "-> (o0: f32[], o1: f32[])"), VerifyError, "never stored"),
        (_instead("a1[i0]", "a1[i1]"), ValueError, "line 4, column 26: `i1` is not an axis here"),
        (_instead("a1[i0]", "a1[i0 - lo | lo <= i0 < hi]"), VerifyError, "`lo` is no size"),
        (_instead("a1[i0]", "f32(size(m))"), VerifyError, "`m` is no size that it is called with"),
        (_instead("for i0 in n0", "for i0 in 1000"), VerifyError, "a dimension of `a0` is n0"),
        (_instead("a1[i0]", "a1[i0 - n0 | n0 <= i0 < n0]"), None, ""),  # reads nothing: legal
        (lambda _: 5, TypeError, "expected the text of a kernel, not int"),
    ],
)
def test_what_is_refused_changes_nothing(
    change: Callable[[str], Any], error: type[Exception] | None, message: str
) -> None:
    f, (x, y) = squares(), data()
    for _ in range(3):
        before = f(x, y).item()
    text = f.ir("kernel")
    if error is None:
        f.replace(change(text))
        assert f(x, y).item() == pytest.approx(float(x @ x), rel=1e-5)
        return
    with pytest.raises(error, match=message) as caught:
        f.replace(change(text))
    assert "test_replace.py:" in str(caught.value).splitlines()[0]
    assert len(str(caught.value).splitlines()) <= 3
    assert f.ir("kernel") == text
    assert f.traces == 1
    assert [f(x, y).item() for _ in range(3)] == [before] * 3


def test_an_axis_is_long_only_where_it_is() -> None:
    f: Any = lucid.compile(lambda x: x.sum(1))
    x = np.ones((3, 100), "f")
    f(x)
    text = f.ir("kernel")
    extent = re.search(r"stage \w+ in \w+$", text, re.MULTILINE)
    assert extent is not None
    with pytest.raises(VerifyError, match="an axis is long from"):
        f.replace(text.replace(extent[0], extent[0] + " long"))
    np.testing.assert_array_equal(f(x).numpy(), np.full(3, 100))


def test_there_must_have_been_a_call() -> None:
    f = squares()
    for ask in (lambda: f.replace("kernel"), f.restore, f.diff):
        with pytest.raises(RuntimeError, match="has not been called"):
            ask()


# --- differences ---------------------------------------------------------------------------------


def test_what_simplify_has_changed() -> None:
    f: Any = lucid.compile(lambda x: (x + 0) * 1 + lucid.exp(lucid.negative(lucid.negative(x))))
    f(np.ones(3, "f"))
    lines = f.diff("simplify").splitlines()
    assert lines[:2] == ["--- before simplify", "+++ after simplify"]
    gone = [line for line in lines[2:] if line.startswith("-") and "neg" in line]
    assert len(gone) == 2
    assert all("test_replace.py:" in line for line in gone)
    kept = [line for line in lines if line.startswith(" ")]
    assert kept  # what is as it was reads the same: here the input
    assert f.diff() == f.diff("simplify")


def test_what_is_as_it_was_keeps_its_name() -> None:
    def chain(x: Any) -> Any:
        return lucid.tanh(lucid.sin(lucid.negative(lucid.negative(lucid.exp(x * x)))))

    f: Any = lucid.compile(chain)
    f(np.ones(3, "f"))
    lines = f.diff("simplify").splitlines()[2:]
    changed = [line for line in lines if line[0] in "+-"]
    assert sum("= neg " in line for line in changed) == 2
    assert sum("= sin " in line for line in changed) == 2  # of another value now
    assert not any("= exp " in line or "= tanh " in line for line in changed)


def test_what_complex_numbers_become() -> None:
    f: Any = lucid.compile(lambda z: (z * z).real)
    f(np.ones(3, "F"))
    text = f.diff("pairs")
    assert "-graph" in text and "c64[3]" in text and "f32[3, 2]" in text
    g = squares()
    g(*data())
    assert g.diff("pairs") == ""


def test_what_was_replaced() -> None:
    f = squares()
    f(*data())
    assert f.diff("replace") == ""
    f.replace(f.ir("kernel").replace(" - ", " + "))
    lines = f.diff("replace").splitlines()
    assert [line[0] for line in lines[3:] if line[0] in "+-"] == ["-", "+"]
    with pytest.raises(ValueError, match=r"unknown pass 'emit'; expected one of .*fuse, lower, replace"):
        f.diff("emit")


def test_what_fusion_and_lowering_have_made_of_what() -> None:
    f: Any = lucid.compile(lambda x, y: ((x - y).exp().sum(), (x @ y).sum()))
    x = np.random.default_rng(0).normal(size=(5, 5)).astype("f")
    f(x, x)
    names = [k.name for k in f.kernels]
    for name, stages in (("fuse", ("simplified", "kernel")), ("lower", ("kernel", "loop"))):
        lines = f.diff(name).splitlines()
        assert lines[:2] == [f"--- before {name}", f"+++ after {name}"]
        assert [line for line in lines if line.startswith("@@")] == [f"@@ {n} @@" for n in names]
        for sign, stage in zip("-+", stages, strict=True):
            text = "".join(f.ir(stage, kernel=n) for n in names)
            assert [x[1:] for x in lines[2:] if x[0] == sign] == text.splitlines()


def test_the_text_that_is_replaced_is_read_back() -> None:
    f = squares()
    f(*data())
    text = f.ir("kernel")
    with pytest.warns(UserWarning, match="nothing is changed: the text has the kernels that run already"):
        f.replace(text)
    assert f.ir("kernel") == text
    (call,) = f._last().executable.compiled.stages.program.calls
    assert parse_kernel(f.ir("kernel", kernel=f.kernels[0].name)) == call.kernel


def test_the_graph_before_it_was_differentiated() -> None:
    f = lucid.compile(lucid.value_and_grad(lambda x, y: lucid.nn.functional.huber_loss(x * 2.0, y)))
    x, y = np.linspace(-1, 1, 5, dtype="f"), np.ones(5, "f")
    loss, gradient = f(x, y)
    before, after = (parse_graph(f.ir(stage)) for stage in ("graph", "gradient"))
    assert len(before.outputs) == 1 and len(after.outputs) == 2
    given = [x, y]
    np.testing.assert_allclose(interpret_graph(before, given)[0], loss.numpy(), rtol=1e-6)
    np.testing.assert_allclose(interpret_graph(after, given)[1], gradient.numpy(), rtol=1e-6)
    lines = f.diff("autodiff").splitlines()[2:]
    added = [line for line in lines if line.startswith("+  ")]
    assert added and all("backward of" in line or "const" in line for line in added)
    assert [line for line in lines if line.startswith("-")] == [f"-{f.ir('graph').splitlines()[0]}"]
    g = lucid.compile(lambda x: x + 1)
    g(x)
    assert g.ir("graph") == g.ir("gradient") and g.diff("autodiff") == ""
