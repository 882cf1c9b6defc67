"""What LAPACK and pocketfft compute, inside of compiled functions: steps between kernels."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, linalg, nn, optim
from lucid.hosted import Hosted
from lucid.staged import Staged

from .test_linalg import ALL, DERIVATIVES, SQUARE, SQUARES, TALL, VALUES, _definite, _parts

Array = np.ndarray[Any, Any]


def staged(f: Any) -> Staged:
    executable = f._last().executable
    assert isinstance(executable, Staged)
    return executable


def calls(f: Any) -> list[str]:
    return [library.call.function.name for stage in staged(f).stages for library in stage.libraries]


@pytest.mark.table
@pytest.mark.parametrize("case", VALUES)
def test_values_are_those_of_eager_code(case: str) -> None:
    name, options, on = VALUES[case]
    for kind in on:

        def f(x: Any) -> Any:
            return getattr(linalg, name)(x * 2, **options)

        x = ALL[kind]
        for found, want in zip(_parts(lucid.compile(f)(x)), _parts(f(Tensor(x))), strict=True):
            assert (found.dtype, found.shape) == (want.dtype, want.shape)
            np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-13)


@pytest.mark.table
@pytest.mark.parametrize("case", DERIVATIVES)
def test_gradients_are_those_of_eager_code(case: str) -> None:
    """To second order."""
    f, on = DERIVATIVES[case]

    def weighed(x: Any) -> Any:
        parts = [p for p in _parts(f(x)) if p.dtype == x.dtype]
        return sum((p * np.cos(np.arange(p.size)).reshape(p.shape)).sum() for p in parts)

    once = lucid.grad(weighed)
    twice = lucid.grad(lambda x: (once(x) ** 2).sum())
    for kind in on:
        x = ALL[kind]
        for g in (once, twice):
            want = g(Tensor(x)).numpy()
            compiled: Any = lucid.compile(g)
            np.testing.assert_allclose(compiled(x), want, rtol=1e-7, atol=1e-8 * abs(want).max())


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "fft": lucid.fft.fft, "ifft2": lucid.fft.ifft2, "rfftn": lucid.fft.rfftn,
    "cut": lambda x: lucid.fft.fft(x, 2),
    "longer": lambda x: lucid.fft.rfft(x, 9, axis=0), "hfft": lucid.fft.hfft, "ihfft": lucid.fft.ihfft,
    "there and back": lambda x: lucid.fft.irfft(lucid.fft.rfft(x) * 2, x.shape[-1]),
}  # fmt: skip


@pytest.mark.parametrize("case", TRANSFORMS)
def test_transforms(case: str) -> None:
    f = TRANSFORMS[case]
    power = lucid.grad(lambda x: (lucid.abs(f(x * x)) ** 2).sum())
    for x in (TALL, TALL.astype("f4")):
        found, want = lucid.compile(f)(x), f(Tensor(x))
        assert found.dtype == want.dtype
        tolerance = 1e-12 if x.dtype == "f8" else 1e-5
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(lucid.compile(power)(x), power(Tensor(x)), rtol=1e-4, atol=10 * tolerance)


def test_a_library_is_called_once_for_all_its_results_and_readers() -> None:
    @lucid.compile
    def f(x: Any) -> Any:
        u, s, vh = linalg.svd(x, full_matrices=False)
        again = linalg.svd(x, full_matrices=False)
        return (u * s) @ vh, again.S.sum()

    found, total = f(TALL)
    np.testing.assert_allclose(found, TALL, atol=1e-12)
    assert total.item() == pytest.approx(np.linalg.svd(TALL, compute_uv=False).sum())
    assert calls(f) == ["linalg.svd"]


def test_stages_come_one_after_another() -> None:
    @lucid.compile
    def f(x: Any, y: Any) -> Any:
        inner = linalg.inv(x @ x.T + 1.0)
        both = linalg.solve(inner * 2 + y, y), linalg.det(y)  # det is ready from the start
        return both[0].sum() * both[1] + inner[0, 0]

    x, y = SQUARE, SQUARE + 3 * np.eye(3)
    inner = np.linalg.inv(x @ x.T + 1)
    want = np.linalg.solve(inner * 2 + y, y).sum() * np.linalg.det(y) + inner[0, 0]
    assert f(x, y).item() == pytest.approx(want)
    assert [[lib.call.function.name for lib in s.libraries] for s in staged(f).stages] == [
        ["linalg.inv", "linalg.det"], ["linalg.solve"], [],
    ]  # fmt: skip
    told = r"then library linalg.inv: numpy.linalg.inv\(f64\[3, 3\]\) gives .*; lines \S*test_staged.py:\d+$"
    assert re.search(told, f.explain(), re.MULTILINE)
    assert [k.name for k in f.kernels] and "kernel" in f.ir("kernel")
    assert ".entry" in f.ir("ptx")
    with pytest.raises(ValueError, match=r"linalg.det, linalg.inv, linalg.solve of NumPy takes part"):
        f.ptx()
    assert "define" in f.ir("llvm") and f.ir("graph").count("= library %") == 3


def test_a_new_size_compiles_no_kernel() -> None:
    from lucid.runtime import load

    f = lucid.compile(lambda x: linalg.solve(x @ x.T + 1.0, x).sum())
    for n in (5, 6):  # rows of 2 to 4 have code of their own, for x.T: vectors in steps of so many elements
        f(np.random.default_rng(0).normal(size=(n, n)))
    before = load.compiles()
    for n in (7, 8, 9, 20):
        x = np.random.default_rng(0).normal(size=(n, n))
        assert f(x).item() == pytest.approx(np.linalg.solve(x @ x.T + 1, x).sum())
    assert load.compiles() == before


def test_inputs_outputs_and_literals_of_libraries() -> None:
    """An argument is what a library takes; a result of one is returned; nothing but literals is solved."""
    x = SQUARE
    inverse, same = lucid.compile(lambda x: (linalg.inv(x), x))(x)
    np.testing.assert_array_equal(inverse, np.linalg.inv(x))
    np.testing.assert_array_equal(same, x)
    made = lucid.compile(lambda x: x + linalg.inv(lucid.eye(3, dtype="float64") * 2))(x)
    np.testing.assert_allclose(made, x + np.eye(3) / 2)
    out = np.empty((3, 3))
    lucid.compile(linalg.inv)(x, out=out)
    np.testing.assert_array_equal(out, np.linalg.inv(x))
    for shape in ((0, 3, 3), (2, 0, 0)):
        assert lucid.compile(lambda x: linalg.inv(x) + 1)(np.ones(shape)).shape == shape
    assert lucid.compile(lambda x: linalg.det(x) * 2)(np.ones((1, 1), "f4")).item() == 2


def test_an_error_names_the_line_of_the_library_and_changes_nothing() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(np.eye(2, dtype="f8"))
            self.n = 0

    model = Model()

    @lucid.compile
    def step(x: Any) -> Any:
        model.n += 1
        model.w = nn.Parameter(linalg.inv(x) + model.w)  # the line
        return model.w

    step(np.eye(2))
    before = model.w.numpy().copy()
    for _ in range(2):
        with pytest.raises(
            np.linalg.LinAlgError, match=r"test_staged.py:\d+: linalg.inv: Singular matrix"
        ) as raised:
            step(np.zeros((2, 2)))
        line = int(str(raised.value).split(":")[1])
        assert Path(__file__).read_text().splitlines()[line - 1].endswith("# the line")
        np.testing.assert_array_equal(model.w, before)
        assert model.n == 1
    step(np.eye(2))
    assert model.n == 2


def test_a_training_step_through_a_solver() -> None:
    """As eager code does it, step by step."""
    b = np.arange(3.0)

    def train(compiled: bool) -> Array:
        w = nn.Parameter(SQUARE.copy())
        opt = optim.Adam([w], lr=0.05)

        def step(b: Any) -> Any:
            opt.zero_grad()
            loss = (linalg.solve(_definite(w), b) ** 2).sum() + linalg.slogdet(_definite(w)).logabsdet
            loss.backward()
            opt.step()
            return loss

        run: Any = lucid.compile(step) if compiled else step
        return np.array([run(Tensor(b)).item() for _ in range(8)])

    np.testing.assert_allclose(train(True), train(False), rtol=1e-9)


def test_gradients_flow_into_results_after_the_call() -> None:
    w: Any = Tensor(SQUARE, requires_grad=True)
    f = lucid.compile(lambda x: linalg.inv(x @ w))
    for _ in range(3):
        w.grad = None
        (f(Tensor(np.eye(3))) ** 2).sum().backward()
        found: Any = w.grad.numpy()
        w.grad = None
        (linalg.inv(w) ** 2).sum().backward()
        want: Any = w.grad.numpy()
        np.testing.assert_allclose(found, want, 1e-10)


def test_what_depends_on_values_outside_does_not_inside() -> None:
    singular = np.outer([1.0, 2, 3], [1.0, 1, 2])
    ours = lucid.compile(lucid.grad(linalg.det))(singular)
    np.testing.assert_allclose(ours, lucid.grad(linalg.det)(Tensor(singular)), atol=1e-12)
    found = lucid.compile(lambda a, b: tuple(linalg.lstsq(a, b)))(TALL, np.ones(5))
    theirs: Any = np.linalg.lstsq(TALL, np.ones(5))
    for x, want in zip(found, theirs, strict=True):
        np.testing.assert_allclose(x, want, atol=1e-12)
    for p in (1, "fro", np.inf):
        assert lucid.compile(lambda x: linalg.cond(x, p))(singular * 0).item() == np.inf  # noqa: B023
        assert linalg.cond(singular * 0, p).item() == np.inf


def test_gathers_before_a_library_are_looked_at() -> None:
    f = lucid.compile(lambda x, i: linalg.inv(x[i]))
    np.testing.assert_allclose(f(SQUARE, np.array([0, 1, 2])), np.linalg.inv(SQUARE))
    with pytest.raises(IndexError, match=r"test_staged.py:\d+: index 3, .* size 3"):
        f(SQUARE + np.eye(3), np.array([0, 1, 3]))


def test_every_type_is_that_of_the_result() -> None:
    """What the records say of results is what LAPACK gives, on stacks, empty ones too."""
    from lucid import lapack, pocketfft
    from lucid.compiler.ir.types import from_numpy, tensor_type

    options = {"rcond": 1e-15, "hermitian": False, "mode": "reduced", "uplo": "L", "full_matrices": True,
               "tol": None, "rtol": None, "axes": (0,), "axis": 1, "inverse": False, "n": 4,
               "norm": "ortho"}  # fmt: skip
    met = 0
    for module in (lapack, pocketfft):
        for name, function in vars(module).items():
            if not isinstance(function, Hosted) or name in ("LSTSQ", "MINORS", "SOLVE"):
                continue
            for shape in (
                ((3, 3), (2, 3, 3), (0, 3, 3), (4, 0, 0)) if module is lapack else ((3, 4), (1, 5, 2))
            ):
                for dtype in ("f4", "f8") if name not in ("FFT", "IRFFT") else ("c8", "c16"):
                    x = np.broadcast_to(np.eye(*shape[-2:], dtype=dtype), shape).copy()
                    found = function.run(options, [x], None)
                    types = function.types(options, tensor_type(from_numpy(x.dtype), x.shape))
                    assert [(t.dtype.np, t.shape) for t in types] == [(y.dtype, y.shape) for y in found], name
                    met += 1
    assert met > 100
    assert set(SQUARES) <= set(ALL)
