"""Where nodes come from: lines, calls, modules and directions; names of kernels, and the text of one."""

from __future__ import annotations

import os
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.compiler.ir.graph import Loc, Node, toposort
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.kernel import verify_kernel
from lucid.errors import shown

pytestmark = pytest.mark.report

HERE = "test_places.py"


class Block(nn.Module):
    """One of a transformer, with one head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        scores = self.q(y) @ self.k(y).transpose(-1, -2)
        return x + self.mlp(scores.softmax(-1) @ self.v(y))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))


def transformer() -> nn.Module:
    return nn.Sequential(Block(8), Block(8))


def training(model: nn.Module, x: Any = None) -> Any:
    opt = optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x: Any) -> Any:
        return (model(x) ** 2).mean()

    @lucid.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = loss_of(x)
        loss.backward()
        opt.step()
        return loss

    step(np.ones((4, 8), "f") if x is None else x)
    return step


def compiled(f: Any) -> Any:
    return f._last().executable.compiled


def locs(outputs: tuple[Node, ...]) -> list[Loc]:
    nodes = toposort(outputs)
    missing = [n.op.name for n in nodes if n.loc is None]
    assert not missing
    return [n.loc for n in nodes if n.loc is not None]


@pytest.mark.parametrize("make", [mlp, transformer])
def test_every_node_of_a_training_step_has_its_place(make: Any) -> None:
    model = make()
    step = training(model)
    paths = {path for path, _ in model.named_modules("Sequential")}
    for graph in (compiled(step).written, compiled(step).stages.simplified):
        found = locs(graph.outputs)
        assert all(loc.file.endswith(HERE) and loc.line for loc in found)
        for loc in found:
            assert loc.stack[0].function.endswith("step")  # what was compiled, and nobody who called it
        forward = {loc.module for loc in found if not loc.backward} - {"", "Adam"}
        backward = {loc.module for loc in found if loc.backward} - {""}
        layers = {path for path, m in model.named_modules("Sequential") if isinstance(m, nn.Linear | Block)}
        assert layers <= forward <= paths
        assert (
            {p for p, m in model.named_modules("Sequential") if isinstance(m, nn.Linear)} <= backward <= paths
        )
        # Outside of modules: the loss and the way to it, in `step` and in what it calls.
        others = {loc.function.rpartition(".")[2] for loc in found if not loc.module}
        assert others <= {"step", "loss_of"}
        assert {loc.module for loc in found if loc.caller is None} <= {"", "Adam"}


def test_every_node_has_its_direction() -> None:
    """What the loss is made of is forward; the rest is backward, or the optimiser's."""
    written = compiled(training(transformer())).written
    of_loss = toposort([n for n in written.outputs if n.loc is not None and n.loc.called == "mean"])
    found = {n for n in toposort(written.outputs) if n.op.kind != "leaf"}
    assert len(of_loss) > 50 and not any(n.loc.backward for n in of_loss if n.loc is not None)
    assert all(n.loc.backward or n.loc.module == "Adam" for n in found - {*of_loss} if n.loc is not None)
    of = {n.loc.backward for n in found if n.loc is not None} - {""}
    assert {"linear", "softmax", "layer_norm", "gelu", "mean", "matmul"} <= of


def test_kernels_have_the_names_of_what_the_user_calls() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer1, self.layer2 = nn.Linear(8, 16), nn.Sequential(nn.ReLU(), nn.LayerNorm(16))

        def forward(self, x: Any) -> Any:
            return nn.functional.cross_entropy(self.layer2(self.layer1(x)), np.zeros(4, "i8"))

    step = lucid.compile(lucid.value_and_grad(Net()))
    step(np.ones((4, 8), "f"))
    names = [k.name for k in step.kernels]
    assert {"layer1_linear", "layer2_0_relu_grad"} & {*names}, names
    assert any("cross_entropy" in name for name in names) and not any("where" in name for name in names)
    f = lucid.compile(lambda x: x.sort().sort())
    f(np.ones(3, "f"))
    assert [k.name for k in f.kernels][:2] == ["sort_", "sort_2"]


def test_calls_are_the_users() -> None:
    step = training(transformer())
    inner = [loc for loc in locs(compiled(step).written.outputs) if loc.module == "Sequential.1.mlp.0"]
    names = [[call.function.rpartition(">.")[2] for call in loc.stack] for loc in inner]
    assert ["step", "loss_of", "Block.forward"] in names


def test_a_module_has_the_name_that_it_is_called_by() -> None:
    model = mlp()
    layers = [nn.Linear(8, 8)]
    f = lucid.compile(lambda x: layers[0](model(x)))
    f(np.ones((4, 8), "f"))
    found = {loc.module for loc in locs(compiled(f).written.outputs)}
    assert {"model.0", "model.1", "model.2", "layers.0"} <= found
    g = lucid.compile(model)
    g(np.ones((4, 8), "f"))
    assert {"Sequential.0", "Sequential.2"} <= {loc.module for loc in locs(compiled(g).written.outputs)}


def test_recursion_keeps_the_nearest_calls() -> None:
    def deep(x: Any, n: int) -> Any:
        return deep(x, n - 1) if n else x + 1

    f = lucid.compile(lambda x: deep(x, 40))
    f(np.ones(3, "f"))
    (node,) = compiled(f).written.outputs
    assert node.loc is not None and len(node.loc.stack) == 16
    assert all(call.function.endswith("deep") for call in node.loc.stack)


def test_several_places_where_nodes_fuse() -> None:
    def f(x: Any) -> Any:
        y = x * 3
        return y + 1

    g = lucid.compile(f)
    g(np.ones(3, "f"))
    (call,) = compiled(g).stages.program.calls
    loc = call.kernel.stages[0].body[0].loc
    assert loc is not None and {o.line for o in loc.every} == {loc.line, loc.line - 1}
    last = g.ir("kernel", kernel=g.kernels[0].name).splitlines()[-1]
    assert re.search(rf"{HERE}:{loc.line}; \S*{HERE}:{loc.line - 1}$", last)


def test_cells_and_full_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "/tmp/ipykernel_12/345.py"
    world: dict[str, Any] = {"lucid": lucid}
    exec(compile("def f(x):\n    return x + 1\n", name, "exec"), world)
    shell = SimpleNamespace(compile=SimpleNamespace(_filename_map={name: 7}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    f = lucid.compile(world["f"])
    f(np.ones(3, "f"))
    (loc,) = {n.loc for n in compiled(f).written.outputs}
    assert str(loc) == "Cell 7:2" and loc.path == name
    assert shown("<ipython-input-12-abcdef>") == "Cell 12"
    assert shown("/tmp/ipykernel_12/other.py") == "/tmp/ipykernel_12/other.py"
    assert shown(os.path.join(os.getcwd(), "train.py")) == "train.py"
    monkeypatch.setenv("LUCID_PATHS", "full")
    assert shown(name) == name
    assert shown(os.path.join(os.getcwd(), "train.py")) == os.path.join(os.getcwd(), "train.py")


def test_second_derivatives_say_so() -> None:
    f = lucid.compile(lucid.grad(lambda x: lucid.grad(lambda y: (y**3).sum())(x).sum()))
    f(lucid.tensor([1.0, 2.0]))
    assert any(" of " in loc.backward for loc in locs(compiled(f).written.outputs))


@pytest.mark.parametrize("make", [mlp, transformer])
def test_names_are_unique_short_and_the_same_each_time(make: Any) -> None:
    step = training(make())
    names = [k.name for k in step.kernels]
    assert len(set(names)) == len(names) and max(map(len, names)) < 64
    assert names == [k.name for k in training(make()).kernels]
    assert any(re.match(r"sequential\d_.*_grad$", name) for name in names), names
    assert any(name.startswith("adam_") for name in names)


def test_kernels_of_deep_models_are_told_apart() -> None:
    """Of long paths there is what differs: the layer, and the last part."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query_projection, self.output_projection = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return self.output_projection(self.query_projection(x).tanh())

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = nn.Sequential(*[Attention() for _ in range(3)])
            self.text_encoder_backbone = nn.ModuleDict({"encoder_layers": layers})

        def forward(self, x: Any) -> Any:
            return self.text_encoder_backbone["encoder_layers"](x)

    f = lucid.compile(Encoder())
    f(np.ones((4, 8), "f"))
    names = [k.name for k in f.kernels]
    assert len(names) == 6 and not any("backbone" in name for name in names), names
    for layer in range(3):
        assert f"encoder_layers{layer}_output_projection_linear" in names
        assert sum(name.startswith(f"encoder_layers{layer}_") for name in names) == 2
    a, b = nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    g = lucid.compile(lambda x: (a(x), b(x)))
    g(np.ones((4, 8), "f"))
    assert [k.name for k in g.kernels] == ["a1_linear_tanh", "b1_linear_tanh"]


def test_what_an_optimiser_does_is_named_after_the_layer_and_it() -> None:
    step = training(mlp())
    names = [k.name for k in step.kernels]
    assert any(re.fullmatch(r"sequential\d_\w*adam(_\d+)?", name) for name in names), names


def test_what_changes_weights_is_named_after_them() -> None:
    model = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0)
    names = [k.name for k in training(model, np.ones((2, 3, 16), "f")).kernels]
    numbered = [n for n in names if re.search(r"adamw?(_\d+)?$", n) and re.search(r"_\d+$", n)]
    assert not numbered and any(n.endswith("in_proj_weight_index_grad") for n in names), names
    assert any(re.search(r"norm1_(weight|bias)_adam", n) for n in names), names


def test_masks_are_named_as_such() -> None:
    """What only says where a gradient is let through is named after what it computes, and is backward."""
    x = np.ones((64, 64), "f")
    f = lucid.compile(lucid.grad(lambda w, x: (x @ w).relu().sum()))
    f(x, x)
    assert [k.name for k in f.kernels] == ["matmul_relu_mask_grad", "matmul_grad"]


def test_a_sum_of_gradients_has_a_direction() -> None:
    """The weight is used twice: what is added is the gradient of products, not the sum of the loss."""
    x = np.ones((64, 64), "f")
    f = lucid.compile(lucid.grad(lambda w, x: ((x @ w).tanh() @ w).sum()))
    f(x, x)
    (output,) = compiled(f).written.outputs
    assert output.op.name == "add" and output.loc is not None and output.loc.backward == "matmul"
    assert [k.name for k in f.kernels][-1].startswith("matmul_grad")


def test_names_are_no_part_of_keys() -> None:
    first, second = mlp(), mlp()
    one, two = lucid.compile(first), lucid.compile(lambda x: second(x))
    x = np.ones((4, 8), "f")
    one(x), two(x)
    assert [k.name for k in one.kernels] != [k.name for k in two.kernels]
    keys = [[code.key for code in compiled(f).stages.codes] for f in (one, two)]
    assert keys[0] == keys[1]
    assert not any(k.name in key for k in one.kernels for key in keys[0])


def test_text_of_one_kernel() -> None:
    step = training(mlp())
    names = [k.name for k in step.kernels]
    text, _, program = step.ir("kernel").rpartition("\nprogram ")
    assert text == "\n".join(step.ir("kernel", kernel=name) for name in names)
    assert program.startswith("step(%x: f32[4, 8], %model.0.weight: f32[16, 8], ")
    for name in names:
        text = step.ir("kernel", kernel=name)
        kernel = parse_kernel(text)
        verify_kernel(kernel)
        assert kernel.name == name and text.count("kernel ") == 1
        assert step.ir("loop", kernel=name).startswith(f"func {name}(")
        assert f"define void @{name}(" in step.ir("llvm", kernel=name)
    name = names[-1]
    assert re.search(rf"^{name}:", step.ir("asm", kernel=name), re.MULTILINE)
    assert f".visible .entry {name}(" in step.ir("ptx", kernel=name)
    with pytest.raises(ValueError, match=f"no kernel 'nothing' here; expected one of: {names[0]}, "):
        step.ir("asm", kernel="nothing")
    assert step.ir("gradient", kernel=name).startswith(f"graph {name}(")
    with pytest.raises(ValueError, match=r"no part of the stage 'graph' is .*: this graph has no gradients"):
        step.ir("graph", kernel=name)


def inner(listing: str) -> list[str]:
    """The instructions of innermost loops, as they lie in memory: from a label to a jump back to it."""
    lines = listing.splitlines()
    labels = {m[1]: n for n, line in enumerate(lines) if (m := re.match(r"(\.L\w+):", line))}
    jumps = [(labels.get(m[1], len(lines)), n) for n, line in enumerate(lines) if (m := JUMP.match(line))]
    loops = [(first, last) for first, last in jumps if first <= last]
    inside = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    found = {n for first, last in inside for n in range(first, last + 1)}
    return [lines[n] for n in sorted(found) if re.match(r"\t[a-z]", lines[n])]


JUMP = re.compile(r"\t(?:j\w+|b(?:\.\w+)?|cbn?z\t\w+,|tbn?z\t\w+, #\d+,)\s+(\.L\w+)")


def test_instructions_of_inner_loops_have_lines() -> None:
    step = training(transformer())
    found = inner(step.ir("asm"))
    told = [line for line in found if re.search(rf"  (#|//) \S*{HERE}:\d+", line)]
    assert len(found) > 1000 and len(told) >= 0.95 * len(found), (len(told), len(found))


def test_each_operation_of_a_statement_has_its_own_line() -> None:
    def f(x: Any) -> Any:
        y = x + 2.0
        z = y * y.max()
        w = z / 3.0
        return w.sum()

    first = f.__code__.co_firstlineno + 1
    g = lucid.compile(f)
    g(np.ones(1000, "f"))
    last = g.kernels[-1]
    (statement,) = (line for line in last.text.splitlines() if "r0 += " in line)
    told = [int(n) for n in re.findall(rf"{HERE}:(\d+)", statement)]
    assert told[0] == first + 3 and sorted(told) == [first, first + 1, first + 2, first + 3]
    llvm = g.ir("llvm", kernel=last.name).splitlines()

    def of(op: str) -> set[int]:
        return {int(line.rpartition(":")[2]) for line in llvm if f" = {op} <" in line}

    assert of("fmul") == {first + 1} and of("fdiv") == {first + 2} and of("fadd") == {first, first + 3}


@pytest.mark.parametrize("stage", ["graph", "simplified", "kernel", "loop", "llvm", "asm", "ptx"])
def test_text_of_every_stage_has_lines(stage: Any) -> None:
    f = lucid.compile(lambda x: (x * x).sum())
    f(np.ones(100, "f"))
    assert f"{HERE}:{sys._getframe().f_lineno - 2}" in f.ir(stage)


def test_one_of_kernels_alike_can_be_replaced_by_its_name() -> None:
    f = lucid.compile(lambda x: lucid.logcumsumexp(x, axis=0))
    x = np.linspace(0, 1, 1000, dtype="f")
    before = f(x).numpy()
    names = [k.name for k in f.kernels]
    assert len(set(names)) == len(names) > 2
    with pytest.warns(UserWarning, match="nothing is changed"):
        f.replace(f.ir("kernel", kernel=names[2]))
    assert [k.name for k in f.kernels] == names
    np.testing.assert_array_equal(f(x).numpy(), before)


def test_graphs_keep_their_places_through_text() -> None:
    graph = compiled(training(mlp())).stages.simplified
    again = parse_graph(print_graph(graph, locs=True))
    before, after = (
        sorted(n.loc.text for n in toposort(g.outputs) if n.loc is not None and n.op.kind != "leaf")
        for g in (graph, again)
    )
    assert before == after
