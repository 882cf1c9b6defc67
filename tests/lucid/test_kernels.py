"""What becomes of the losses: how many kernels, how many bytes, what code, and the same bits always."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import nn
from lucid.texts import apply

pytestmark = pytest.mark.table


def loss(x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
    return F.huber_loss(x, y, delta=1.35)


def regression(w: lucid.Tensor, b: lucid.Tensor, x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
    return F.huber_loss(x @ w + b, y)


def data(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1000,), (40, 25), (2, 3, 50)])
def test_value_and_grad_of_huber_is_one_kernel_that_moves_each_byte_once(shape: tuple[int, ...]) -> None:
    step = lucid.compile(lucid.value_and_grad(loss))
    x, y = data(*shape), data(*shape, seed=1)
    step(x, y)  # type: ignore[call-overload]
    (kernel,) = step.kernels
    assert kernel.bytes == 4 * (2 * x.size + x.size + 1)  # x, y, gradient, loss
    reads = re.findall(r"\b(a\d)\[", kernel.text)
    assert sorted(set(reads)) == ["a0", "a1"]
    lines = step.ir("kernel").splitlines()
    assert [line.startswith("kernel ") for line in lines].count(True) == 1


def test_code_of_huber_is_vectors_with_no_scalar_loop() -> None:
    step = lucid.compile(lucid.value_and_grad(loss))
    step(data(1000), data(1000, seed=1))  # type: ignore[call-overload]
    main = step.ir("llvm").split("define ")[1]
    assert re.search(r"load <\d+ x float>, ptr", main)
    assert re.search(r"store <\d+ x float>", main)
    assert "masked.store" in main  # the tail
    inner = main[main.index("parallel") :] if "parallel" in main else main
    loops = inner.split("body")[1:]
    assert not any(re.search(r"= load float, ptr", part) for part in loops)


def test_linear_regression_reads_x_once() -> None:
    step = lucid.compile(lucid.value_and_grad(regression, argnums=(0, 1)))
    n, d = 300, 16
    step(data(d), np.float32(0.5), data(n, d), data(n))  # type: ignore[call-overload]
    (kernel,) = step.kernels
    # X, y, w, b; the loss, gradients of w and b
    assert kernel.bytes == 4 * (n * d + n + d + 1 + 1 + d + 1)
    assert kernel.text.count("f32[n0, 16]") == 1


def test_user_written_huber_is_one_kernel_too() -> None:
    def by_hand(x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
        d = x - y
        a = lucid.abs(d)
        return lucid.where(a <= 1.0, 0.5 * d * d, a - 0.5).mean()

    step = lucid.compile(lucid.value_and_grad(by_hand))
    x = np.array([0.25, -3.0, np.inf, -np.inf, np.nan], np.float32)
    _, grad = step(x, np.zeros(5, np.float32))  # type: ignore[call-overload]
    assert len(step.kernels) == 1
    want = np.array([0.25, -1, 1, -1, np.nan], np.float32) / 5
    np.testing.assert_allclose(grad.numpy(), want, rtol=1e-6)


def test_softmax_reads_its_rows_once() -> None:
    step = lucid.compile(lambda x: F.softmax(x, axis=-1))
    x = data(30, 70)
    out = step(x).numpy()
    (kernel,) = step.kernels
    assert kernel.bytes == 2 * x.nbytes
    want = np.exp(x - x.max(-1, keepdims=True))
    np.testing.assert_allclose(out, want / want.sum(-1, keepdims=True), rtol=2e-6)


def test_log_softmax_with_its_gradient_is_one_kernel() -> None:
    """Two row sums that do not wait for each other (of g, and of the exponentials) meet in the gradient."""
    rng = np.random.default_rng(0)
    x, g = (lucid.tensor(rng.standard_normal((64, 100)).astype(np.float32)) for _ in range(2))
    x.requires_grad = True

    def both(g: Any, x: Any) -> Any:
        x.grad = None
        out = F.log_softmax(x)
        out.backward(g)
        return out.detach(), x.grad

    step = lucid.compile(both)
    out, gx = step(g, x)
    (kernel,) = step.kernels
    assert kernel.bytes == 4 * 4 * 64 * 100
    p = np.exp(out.numpy().astype(np.float64))
    assert np.allclose(gx.numpy(), g.numpy() - p * g.numpy().sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("shape", [(100_003,), (700, 129), (5, 40_000)])
def test_same_bits_on_any_number_of_threads_and_on_any_run(shape: tuple[int, ...]) -> None:
    x, y = data(*shape), data(*shape, seed=1)

    def all_of_it(x: lucid.Tensor, y: lucid.Tensor) -> tuple[lucid.Tensor, ...]:
        return x.sum(), (x * y).sum(axis=0), (x * y).sum(axis=-1), x.max(), loss(x, y)

    results = [
        [t.numpy().tobytes() for t in lucid.compile(all_of_it, threads=n)(x, y)]  # type: ignore[call-overload]
        for n in (1, 2, 1, 2, 3)
    ]
    assert all(r == results[0] for r in results)


def test_same_bits_for_a_whole_training_on_one_and_two_threads() -> None:
    def train(threads: int) -> list[bytes]:
        lucid.manual_seed(3)
        model = nn.Sequential(nn.Linear(20, 70), nn.Tanh(), nn.Linear(70, 1))
        opt = lucid.optim.Adam(model.parameters(), lr=1e-2)

        @lucid.compile(threads=threads)
        def step(x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
            opt.zero_grad()
            value = F.huber_loss(model(x), y)
            value.backward()
            opt.step()
            return value

        x, y = data(900, 20), data(900, 1, seed=1)
        for _ in range(20):
            step(x, y)  # type: ignore[call-overload]
        return [p.numpy().tobytes() for p in model.parameters()]

    assert train(1) == train(2) == train(1)


@pytest.mark.parametrize("shape", [(1, 5), (16, 16), (17, 33), (64, 100), (130, 65)])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int8", "bool"])
def test_transposes_go_by_tiles(shape: tuple[int, int], kind: str) -> None:
    x = (data(*shape) * 10).astype(kind)
    step = lucid.compile(lambda x: x.T)
    np.testing.assert_array_equal(step(x).numpy(), x.T)
    if min(shape) > 1:
        assert "pack_lo" in step.ir("loop")


def test_a_transpose_in_an_expression_is_one_kernel() -> None:
    step = lucid.compile(lambda x, y, b: x.T * 2.0 + y - b)
    x, y, b = data(70, 33), data(33, 70, seed=1), data(70, seed=2)
    np.testing.assert_array_equal(step(x, y, b).numpy(), x.T * np.float32(2) + y - b)
    assert len(step.kernels) == 1


def test_what_neighbours_would_compute_too_is_stored() -> None:
    """Each step of a scan of logaddexp is the same kernel, called with another step; a difference of
    exponentials computes both."""
    scan = lucid.compile(lambda x: lucid.logcumsumexp(x, axis=0))
    scan(data(1000))
    assert len(scan.kernels) == 10 and len({k.text.partition("(")[2] for k in scan.kernels}) == 1
    assert "stored, neighbours would compute it, too" in scan.explain()
    slope = lucid.compile(lambda x: lucid.diff(lucid.exp(x)))
    slope(data(1000))
    assert len(slope.kernels) == 1


@pytest.mark.parametrize("steps", [3, 12, 40])
def test_steps_over_neighbours_are_a_kernel_each(steps: int) -> None:
    """What a step makes is read by the next one at several places. As one kernel, three steps of a stencil
    read some 30 places, and ten of them took minutes to fuse."""

    def heat(u: lucid.Tensor) -> lucid.Tensor:
        for _ in range(steps):
            near = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
            u = u + 0.1 * lucid.pad(near - 4 * u[1:-1, 1:-1], 1)
        return u

    def least(d: lucid.Tensor) -> lucid.Tensor:
        for _ in range(steps):
            left, right = lucid.roll(d, 1), lucid.roll(d, -1)
            d = lucid.minimum(lucid.minimum(left + 1.0, d), right * right) + lucid.sin(d)
        return d

    for step, x in ((heat, lucid.Tensor(data(40, 50))), (least, lucid.Tensor(data(100)))):
        made = lucid.compile(step)
        made(x)
        assert len(made.kernels) <= steps and len({k.text.partition("(")[2] for k in made.kernels}) <= 2


def test_numbers_without_axes_are_one_kernel() -> None:
    """Beside what has axes they are another one."""
    a, x = np.array(2.0, np.float32), np.ones((3, 4), np.float32)
    for f, args, kernels in (
        (lambda a: (a * 2, a + 1, lucid.exp(a)), (a,), 1),
        (lambda x: (x[0, 0] * 2, x[1, 2] * 3), (x,), 1),
        (lambda a, x: (a * 2, x + 1), (a, x), 2),
    ):
        assert lucid.compile(f).cost(*args).kernels == kernels


def test_dump_writes_every_stage_of_every_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_DUMP", str(tmp_path / "dump"))
    lucid.compile(lambda x: x * 2.0 + 1.0)(data(5))
    lucid.compile(loss)(data(5), data(5))  # type: ignore[call-overload]
    (lucid.Tensor(data(5)) * 7.0).numpy()
    first, second, eager = sorted((tmp_path / "dump").iterdir())
    assert first.name.endswith("-lambda") and second.name.endswith("-loss")
    assert eager.name.endswith("-eager_in_test_dump_writes_every_stage_of_every_compile")
    for folder in (first, second, eager):
        names = sorted(p.name for p in folder.iterdir())
        kernels = [n for n in names if n.endswith(".kernel.txt")]
        stages = ("asm", "kernel", "llvm", "loop")
        want = [k.replace(".kernel.", f".{stage}.") for k in kernels for stage in stages]
        assert kernels and names == sorted(
            [*want, "graph.txt", "gradient.txt", "simplified.txt", "program.txt", "index.txt"]
        )
        index = (folder / "index.txt").read_text()
        assert all(name in index for name in names if name != "index.txt") and "passes: " in index
        assert all(p.stat().st_size for p in folder.iterdir())


def test_a_dump_with_libraries_is_one_folder_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where libraries do all of it."""
    monkeypatch.setenv("LUCID_DUMP", str(tmp_path / "dump"))
    some = lucid.compile(lambda a: lucid.linalg.inv(a * 2.0) + 1.0)
    none = lucid.compile(lambda a: lucid.linalg.inv(a))
    x = np.eye(3) * 4
    results = [some(x), none(x)]
    for f, want, folder in zip((some, none), results, sorted((tmp_path / "dump").iterdir()), strict=True):
        for stage, file in (("graph", "graph.txt"), ("kernel", "program.txt")):
            text = (folder / file).read_text()
            assert text == f.ir(stage)  # type: ignore[arg-type]
            (found,) = apply(text, file, {"a": x}).values()
            np.testing.assert_array_equal(found, want)
        assert "linalg.inv" in (folder / "index.txt").read_text()
    with pytest.raises(ValueError, match=r"linalg.inv is a call of a library.*: %inv.0: f64\[3, 3\] = "):
        some.ir("kernel", kernel="linalg.inv")
    with pytest.raises(ValueError, match="there is no kernel 'inw' here; expected one of: "):
        some.ir("kernel", kernel="inw")


def test_a_dump_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LUCID_DUMP", str(tmp_path / "file" / "dump"))
    with pytest.warns(UserWarning, match=r"test_kernels.py:\d+|LUCID_DUMP: nothing is written"):
        assert lucid.compile(lambda x: x * 3)(np.ones(2, "f")).tolist() == [3, 3]
