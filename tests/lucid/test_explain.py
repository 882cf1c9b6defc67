"""`compiled.explain()`: why it was traced, what its kernels are and cost, what was not fused and why."""

from __future__ import annotations

import io
import json
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.compiler.ops import REGISTRY
from lucid.nn import functional
from lucid.report.groups import as_one
from lucid.report.records import Explanation
from lucid.story import Change, Story

from .documents import printed

X = np.linspace(-1, 1, 12, dtype="f").reshape(3, 4)


def reason(f: Any) -> str:
    """Why it was traced the last time."""
    lines = [line for line in str(f.explain()).splitlines() if line.startswith("trace ")]
    return lines[-1].partition(": ")[2]


# --- traces -------------------------------------------------------------------------------------


def test_each_retrace_names_what_changed_and_both_values() -> None:
    f = lucid.compile(lambda x, y, scale=1.0, how=None: (x + y) * scale)
    x, y = Tensor(X), Tensor(X)
    f(x, y)
    assert reason(f) == "the first call"
    f(x, y, how=slice(1, 2))
    assert reason(f) == "argument how changed from None to slice(1, 2, None)"
    f(x, x)
    kind = "a Tensor of float32 (3, 4)"
    assert reason(f) == f"argument y changed from {kind} to {kind}, the same as argument x"
    with lucid.no_grad():
        f(x, x)
    assert reason(f) == "whether gradients are on changed from True to False"
    f(X, y)
    assert reason(f) == f"argument x changed from {kind} to an array of float32 (3, 4)"
    f(np.asfortranarray(X), y)
    kind = "an array of float32 (3, 4)"
    assert reason(f) == f"argument x changed from {kind} to {kind}, whose axes lie in memory as (1, 0)"
    f([x, y][0], y, how=np.dtype("f4"))
    assert reason(f) == "argument how changed from slice(1, 2, None) to dtype('float32')"
    f(Tensor(X, requires_grad=True), y)
    assert reason(f).endswith("to a Tensor of float32 (3, 4), differentiable")


def test_a_call_is_compared_with_the_one_most_like_it() -> None:
    f = lucid.compile(lambda x, name, flag: x * 2)
    f(X, "a", True)
    f(X[:2, 1], "b", False)
    f(X, "a", False)
    assert reason(f) == "argument flag changed from True to False"
    f(X[0], "c", None)
    assert reason(f) == (
        "argument x changed from an array of float32 (3, 4) to an array of float32 (4,); "
        "argument name changed from 'a' to 'c'; argument flag changed from False to None"
    )


def test_objects_name_themselves() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale, self.parts, self.other = scale, [1, 2], {"a": 1}

        @lucid.compile
        def run(self, x: Any) -> Any:
            return x * self.scale * len(self.parts) * len(self.other)

    one, two = Model(1.0), Model(2.0)
    one.run(X)
    two.run(X)
    assert (
        reason(Model.run) == f"argument self changed from a Model at {id(one):#x} to a Model at {id(two):#x}"
    )
    one.scale = 3.0
    one.run(X)
    assert "scale changed from 1.0 to 3.0" in reason(one.run)
    one.parts[1] = 5
    one.run(X)
    assert reason(one.run).endswith("parts[1] changed from 2 to 5")
    one.parts.append(7)
    one.run(X)
    assert reason(one.run).endswith("parts has 3 items, had 2")
    one.other["b"] = 2
    one.run(X)
    assert reason(one.run).endswith("has other keys: 'b' came")


def test_a_variable_of_the_environment_is_named_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    @lucid.compile
    def f(x: Any) -> Any:
        return x * float(os.environ.get("TEST_K", "1"))

    @lucid.compile
    def g(x: Any) -> Any:
        return x * float(os.getenv("TEST_K", "1"))

    for one in (f, g):
        monkeypatch.delenv("TEST_K", raising=False)
        np.testing.assert_array_equal(one(X), X)
        monkeypatch.setenv("TEST_K", "2")
        np.testing.assert_array_equal(one(X), X * 2)
        assert reason(one) == "os.environ has other keys: 'TEST_K' came"
        monkeypatch.setenv("TEST_K", "3")
        np.testing.assert_array_equal(one(X), X * 3)
        assert reason(one) == "os.environ['TEST_K'] changed from '2' to '3'"


DEPTH = 3


def test_a_number_outside_of_the_arguments_is_named_each_time() -> None:
    """Also at the third trace, when it is known to vary and Python code needs its value."""
    held: dict[str, Any] = {"depth": 3, "list": [3]}
    depth = 3

    class Model:
        def __init__(self) -> None:
            self.n = 3

        def run(self, x: Any) -> Any:
            return x * len(range(self.n))

    @lucid.compile
    def f(x: Any) -> Any:
        a, b = len(range(DEPTH)), len(range(depth))
        c, d = len(range(held["depth"])), len(range(held["list"][0]))
        return x * (a + b + c + d)

    def to_nonlocal(n: int) -> None:
        nonlocal depth
        depth = n

    model = Model()
    run = lucid.compile(model.run)
    ways: dict[str, tuple[Any, Any]] = {
        "global DEPTH": (f, lambda n: globals().update(DEPTH=n)),
        "nonlocal depth": (f, to_nonlocal),
        "held['depth']": (f, lambda n: held.update(depth=n)),
        "held['list'][0]": (f, lambda n: held["list"].__setitem__(0, n)),
        "self.n": (run, lambda n: setattr(model, "n", n)),
    }
    f(X), run(X)
    for old, new in ((3, 4), (4, 5)):
        for name, (compiled, change) in ways.items():
            change(new)
            compiled(X)
            assert reason(compiled) == f"{name} changed from {old} to {new}"


def test_a_number_that_a_condition_depends_on_is_named() -> None:
    rate: float = 0.5
    f = lucid.compile(lambda x: x * rate if rate > 0 else x)
    f(X)
    rate = 0.25
    f(X)
    rate = -1.0
    f(X)
    assert reason(f) == "nonlocal rate changed from 0.25 to -1.0, on which a condition depends"
    rate = 2
    f(X)
    assert reason(f) == "nonlocal rate changed from -1.0 to 2"


def test_captured_tensors_are_named() -> None:
    class Box:
        weight = Tensor(X, requires_grad=True)

    box = Box()
    box.weight = Tensor(X, requires_grad=True)

    @lucid.compile
    def step(x: Any) -> Any:
        loss = (x * box.weight).sum()
        loss.backward()
        return loss

    step(X)
    step(X)
    assert reason(step).startswith("the gradient of ") and reason(step).endswith(
        "changed from None to f32[3, 4]"
    )
    box.weight.requires_grad = False
    with pytest.raises(RuntimeError):
        step(X)
    assert step.traces == 2


def test_reasons_carry_the_values_apart() -> None:
    story = Story()
    assert story.differs({"argument x": "1"}) == "the first call"
    story.add(Change("the first call"), {"argument x": "1"})
    change = story.differs({"argument x": "2"})
    assert (change.what, change.from_, change.to) == ("argument x", "1", "2") and change.is_number
    assert story.differs({"argument x": "1"}).what is None
    found = story.differs({f"argument {k}": str(k) for k in range(9)})
    assert found.endswith("; and 7 more")


# --- kernels --------------------------------------------------------------------------------------


def explained(f: Any, *args: Any) -> Explanation:
    compiled = lucid.compile(f)
    compiled(*args)
    return compiled.explain()


def test_a_kernel_tells_what_it_does(afresh: None) -> None:
    found = explained(lambda x: ((x - 1.0) * 3.0).sum(), X)
    (kernel,) = found.kernels
    assert kernel.bytes == 4 * 12 + 4 and kernel.flops == 3 * 12 and kernel.intensity == 36 / 52
    assert kernel.mode == "flat" and kernel.lanes >= 4 and (kernel.blocks, kernel.threads) == (1, 1)
    assert len(kernel.lines) == 1 and "test_explain.py:" in kernel.lines[0]
    assert kernel.origin == "LLVM" and kernel.seconds > 0
    assert "36 flops, 0.69 a byte" in found and "  lines " in found
    again = explained(lambda x: ((x - 1.0) * 3.0).sum(), X)
    assert again.kernels[0].origin == "process" and "code from this process" in again


@pytest.mark.parametrize(
    ("f", "flops"),
    [
        (lambda x: x @ x.T, 2 * 3 * 4 * 3),
        (lambda x: abs(x), 0),
        (lambda x: x / x.sum(axis=1, keepdims=True), 12 + 12),
        (lambda x: x.cumsum(axis=1), 12),
        (lambda x: (x > 0).sum(), 0),
        (lambda x: x + x.sum(axis=0), 12 + 12),
    ],
)
def test_operations_are_counted_in_the_text_of_kernels(f: Any, flops: int) -> None:
    assert sum(kernel.flops for kernel in explained(f, X).kernels) == flops


def test_a_formula_that_is_computed_once_for_a_row_counts_once_for_a_row() -> None:
    exp = next(op.flops for name, op in REGISTRY.items() if name == "exp")
    total = sum(k.flops for k in explained(lambda x, y: x * y.exp(), X, X[:, :1]).kernels)
    assert total == 12 + 3 * exp


def test_large_kernels_are_shared_by_threads() -> None:
    f = lucid.compile(lambda x: x * 2, threads=2)
    f(np.ones(1 << 18, "f"))
    (kernel,) = f.explain().kernels
    assert kernel.threads == min(2, lucid.get_num_threads()) and kernel.blocks == 32


# --- what was not fused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "why", "nbytes"),
    [
        (
            lambda x: (x * 2).sin().T.reshape((2, 6)).sum(axis=1),
            "a reshape between the two mixes axes",
            2 * 48,
        ),
        (lambda x: x / x.sum(), "it needs a total", 2 * 4),
        (lambda x: (x @ x.T).sum(), "only maps over its whole result", 2 * 36),
        (lambda x: (x + 1).exp() @ (x * 2).exp().T, "a product packs its operands", 2 * 48),
        (lambda x: (x * 2).cumsum(axis=1) * 2, "share a kernel with nothing", 2 * 48),
        (lambda x: (x @ x.T) @ x, "a product", 2 * 36),
        (lambda x: (x @ x.T).softmax(1), "only maps over its whole result", 2 * 36),
        (lambda x: x.reshape((3, 2, 2)).sum(axis=2).max(axis=1), "one level of rows", 2 * 24),
        (lambda x: x.var(), "it needs a total", 2 * 4),
        (lambda x: lucid.flip(lucid.pad(x + 1, 1)).cumsum(axis=1), "by steps, backwards", 2 * 120),
        (lambda x: lucid.concatenate([x.exp()[np.array([1])], x]) * 2, "indexed by values in a part", 2 * 16),
    ],
)
def test_what_is_apart_says_why_and_what_it_costs(f: Any, why: str, nbytes: int) -> None:
    found = explained(f, X)
    assert why in found.apart[0].why and found.apart[0].bytes == nbytes, found
    equal = [a for a in found.apart if (a.array, a.why) == (found.apart[0].array, found.apart[0].why)]
    assert f"{len(equal) * nbytes:,} bytes more\n  as {found.apart[0].why}" in found
    assert found.apart[0].written_by in {k.name for k in found.kernels}


def test_what_is_fused_leaves_nothing_apart() -> None:
    found = explained(lambda x: ((x - x.mean(axis=1, keepdims=True)) ** 2).sum(), X)
    assert found.apart == () and "not fused" not in found


def test_a_result_that_is_read_again_costs_the_read_alone() -> None:
    def f(x: Any) -> Any:
        total = x.sum()
        return total, x / total

    assert [apart.bytes for apart in explained(f, X).apart] == [4]


# --- memory, passes, data -------------------------------------------------------------------------


def test_buffers_have_names_and_lifetimes() -> None:
    found = explained(lambda x: ((x * 2).sin().T.reshape((2, 6)).sum(axis=1), x @ x.T), X)
    (plan,) = found.report.plans
    kinds = [b.kind for b in plan.buffers]
    assert kinds[:3] == ["input", "output", "output"] and set(kinds[3:]) == {"temp"}
    between = plan.buffers[3]
    assert between.name.startswith("between, from ") and between.last > between.first and between.bytes == 48
    outside = sum(b.bytes for b in plan.buffers if b.kind != "temp")
    assert plan.peak == outside - plan.in_place + plan.working
    assert f"at most {plan.peak:,} at once" in found


def test_what_is_updated_in_place_counts_once() -> None:
    w = Tensor(np.ones(1000, "f"))

    @lucid.compile
    def step(x: Any) -> None:
        nonlocal w
        w *= x

    step(X[0, 0])
    (plan,) = step.explain().report.plans
    assert (plan.in_place, plan.peak) == (4000, 4004)
    assert [b.takes_over is not None for b in plan.buffers if b.kind == "output"] == [True]


def test_time_of_passes_includes_machine_code(afresh: None) -> None:
    found = explained(lambda x: x * 2 + 1, X)
    names = [name for name, _ in found.report.plans[0].passes]
    assert names == ["simplify", "fuse", "schedule", "plan", "lower", "LLVM"]
    other = explained(lambda x: x * 2 + 1, X[:2])  # of a template
    assert [name for name, _ in other.report.plans[0].passes] == ["fill"]


def test_the_disk_cache_is_named(afresh: None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid.compiler import pipeline
    from lucid.runtime import load
    from lucid.runtime.cache import DiskCache

    store = DiskCache(tmp_path / "cache")
    monkeypatch.setattr(load, "disk", lambda: store)
    assert explained(lambda x: x * 5 + 1, X).kernels[0].origin == "LLVM"
    for module, name in ((load, "_LOADED"), (pipeline, "_KERNELS"), (pipeline, "_TEMPLATES")):
        monkeypatch.setattr(module, name, OrderedDict())
    found = explained(lambda x: x * 5 + 1, X)
    assert found.kernels[0].origin == "disk" and "code from disk" in found
    assert found.report.plans[0].passes[-1][0] == "disk cache"


def test_the_same_as_plain_data() -> None:
    f = lucid.compile(lambda x: np.linalg.inv(x @ x.T).sum())
    f(X[:, :3].astype("f8") + np.eye(3))
    found = f.explain()
    data = found.as_dict()
    assert json.loads(json.dumps(data)) == data
    first = {"number": 1, "reason": "the first call", "what": None, "from": None, "to": None}
    assert data["traces"] == [first]
    assert data["plans"][0]["kernels"][0]["intensity"] > 0 and data["plans"][0]["then"]
    assert isinstance(found, str) and found.startswith("trace 1: the first call\nstage 0: 1 kernel\n")


def test_before_the_first_call_it_says_so() -> None:
    def scaled(x: Any) -> Any:
        return x * 2

    f = lucid.compile(scaled)
    found = f.explain()
    assert found.startswith("scaled has not been called yet, so nothing is compiled: call it, ")
    assert found.as_dict()["plans"] == [] and found.as_dict()["notes"] == [found]
    f.cost(X)
    assert "not been called" not in f.explain() and f.explain().startswith("scaled: 1 kernel\n")


def test_strips_of_rows_are_said() -> None:
    attention = lucid.compile(functional.scaled_dot_product_attention)
    q = lucid.ones((8, 400, 4))
    attention(q, q, q)
    (plan,) = attention.explain().report.plans
    assert len(plan.kernels) == 3
    assert all("strips of rows, what lies between them in a cache" in k.reasons[-1] for k in plan.kernels)
    assert plan.working < 0.5 * 8 * 400 * 400 * 4
    # They are one step, and what lies between them lives as long.
    assert plan.chains == (0,) and [len(step) for step in plan.steps] == [3]
    assert {k.group for k in plan.kernels} == {0}
    assert {(b.first, b.last) for b in plan.buffers} == {(0, 0)}
    assert "by strips of rows by >: matmul > softmax > matmul_2" in attention.explain()


def test_tables_say_what_the_text_says() -> None:
    console = pytest.importorskip("rich.console")
    f = lucid.compile(lambda x: (x * 2.0).T.reshape((8, 512)).sum(axis=1))
    f(np.ones((64, 64), "f"))
    f(np.ones((64, 64), "d"))
    report = f.explain()
    for told in (report, f.profile(np.ones((64, 64), "d"))):
        out = console.Console(width=400, file=io.StringIO(), record=True)
        out.print(told)
        table = out.export_text()
        words = set(re.findall(r"[\w.]{3,}", str(told))) - {
            "kernel",
            "kernels",
            "flops",
            "not",
            "more",
            "fused",
        }
        missing = sorted(word for word in words if word not in table)
        assert missing == [], table


def layers(count: int) -> Explanation:
    """A model of equal layers, of which each is two kernels."""
    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)) for _ in range(count)])
    f = lucid.compile(lambda x: model(x).sum())
    f(X)
    return f.explain()


def test_equal_kernels_are_told_together_behind_a_summary() -> None:
    few, many = layers(2), layers(12)
    assert many.splitlines()[0] == "<lambda>: 25 kernels, 4 of them different, in 25 steps"
    assert "kernel model{0..11}_1_linear_tanh (12 times): " in many
    assert many.count("\nkernel ") == few.count("\nkernel ") == 4
    (plan,) = many.as_dict()["plans"]
    assert len(plan["kernels"]) == 25 and sorted(g["count"] for g in plan["groups"]) == [1, 1, 11, 12]
    for parts in ("kernels", "groups"):
        assert plan["bytes"] == sum(part["bytes"] for part in plan[parts])
    assert f"a call moves {plan['bytes']:,} bytes" in many and many.as_dict()["name"] == "<lambda>"


def test_kernels_are_sorted_and_limited() -> None:
    f = lucid.compile(lambda x, y: (x.exp().sum(), (y @ y.T).sum(axis=0), (x @ x.T).sum(axis=1)))
    f(X, np.ones((40, 30), "f"))

    def told(**options: Any) -> list[str]:
        return re.findall(r"^kernel (\w+)", f.explain(**options), re.MULTILINE)

    kernels = f.explain().kernels
    names = [k.name for k in kernels]
    assert told(sort_by="order") == names and told(sort_by="name") == sorted(names)
    for what in ("bytes", "flops", "intensity"):
        values = {k.name: getattr(k, what) for k in kernels}
        assert told(sort_by=what) == sorted(names, key=lambda name: (-values[name], names.index(name)))
    assert told(row_limit=2) == told()[:2] and len(told(row_limit=None)) == len(names) > 3
    text = f.explain(row_limit=2)
    assert f"and {len(names) - 2} more kernels: " in text and len(text) < len(f.explain())
    assert f.explain(row_limit=2).as_dict() == f.explain().as_dict()
    with pytest.raises(ValueError, match=r"test_explain.py:\d+: explain: unknown sort_by 'time'; expected"):
        f.explain(sort_by="time")
    with pytest.raises(ValueError, match=r"test_explain.py:\d+: explain: row_limit must be at least 1"):
        f.explain(row_limit=0)


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (["a_b"], "a_b"),
        (["l0_q", "l1_q", "l2_q"], "l{0..2}_q"),
        (["l0_q", "l0_k", "l7_q"], "l{0,7}_{q,k}"),
        (["l0_q", "l1_q_2"], "l{0,1}_q"),
        (["l0_q_2", "l1_q_2"], "l{0,1}_q_2"),
        (["x_mul", "a_b_c"], "x_mul, …"),
        (["a_x", "b_x", "c_x", "d_x", "e_x"], "*_x"),
    ],
)
def test_names_of_equal_kernels_are_one(names: list[str], one: str) -> None:
    assert as_one(names) == one


def test_what_is_piped_is_plain_and_not_squeezed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich.console")
    report = layers(2)
    report.show()
    assert capsys.readouterr().out == f"{report}\n"
    assert max(map(len, report.splitlines())) > 80


def test_a_report_is_shown_with_rich_and_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    f = lucid.compile(lambda x: x + 1)
    f(np.ones(3))
    report = f.explain()
    assert repr(report) == str(report)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    report.show()
    assert capsys.readouterr().out == f"{report}\n"


# --- docs/inspect.md ------------------------------------------------------------------------------

DOC = Path(__file__).parents[2] / "docs" / "inspect.md"


@pytest.mark.parametrize(
    ("code", "output"), re.findall(r"```python\n([^`]*)```\n\n```text\n([^`]*)```", DOC.read_text())
)
def test_what_the_documentation_prints_is_real(
    code: str,
    output: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(code, tmp_path, monkeypatch, capsys) == output.rstrip()


def test_results_with_a_history_are_told() -> None:
    net = lucid.nn.Linear(4, 3)
    f = lucid.compile(net)
    x = np.ones((2, 4), np.float32)
    with lucid.no_grad():
        f(x)
    assert "can be differentiated" not in f.explain()
    f(x)
    assert "results can be differentiated: calls are checked by Python" in f.explain()
