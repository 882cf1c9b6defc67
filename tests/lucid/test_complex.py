"""Complex tensors: values as NumPy's, gradients as PyTorch's, and errors for what has no complex meaning."""

from __future__ import annotations

import contextlib
import copy
import importlib
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.runtime import call

torch: Any = None
with contextlib.suppress(ImportError):
    torch = importlib.import_module("torch")
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is no dependency")


Array = np.ndarray[Any, Any]
KINDS = ("complex64", "complex128")


def numbers(shape: tuple[int, ...], dtype: str = "complex128", seed: int = 0, scale: float = 1.0) -> Array:
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * scale).astype(dtype)


def close(got: Any, want: Any, ulps: float = 8) -> None:
    """Within some ulp of the length of each number."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    eps = float(np.finfo(want.dtype).eps) if want.dtype.kind in "fc" else 0.0
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite & ~np.isnan(want)], want[~finite & ~np.isnan(want)])
    assert np.all(np.abs(got - want)[finite] <= ulps * eps * np.abs(want)[finite] + np.finfo("f4").tiny * 0)


# --- making, reading -----------------------------------------------------------------------------


def test_python_numbers_are_complex64_and_arrays_keep_their_dtype() -> None:
    assert Tensor([1 + 2j, 3]).dtype == np.complex64
    assert lucid.tensor(1j).item() == 1j
    assert Tensor(np.array([1j])).dtype == np.complex128
    assert Tensor([1.0, 2.0], dtype="complex128").tolist() == [1 + 0j, 2 + 0j]
    assert Tensor(np.complex64(1 + 2j)).item() == 1 + 2j
    for dtype in KINDS:
        for made in (lucid.zeros(2, dtype=dtype), lucid.ones((2,), dtype=dtype), lucid.full(2, 1 + 1j)):
            assert made.is_complex()
        np.testing.assert_array_equal(lucid.eye(3, dtype=dtype).numpy(), np.eye(3, dtype=dtype))
        np.testing.assert_array_equal(lucid.arange(4, dtype=dtype).numpy(), np.arange(4, dtype=dtype))
        np.testing.assert_array_equal(
            lucid.linspace(0, 1, 5, dtype=dtype).numpy(), np.linspace(0, 1, 5, dtype=dtype)
        )
    assert lucid.full(2, 1 - 0.5j).numpy().tolist() == [1 - 0.5j, 1 - 0.5j]
    assert repr(lucid.complex64) == "dtype('complex64')"


def test_a_complex_tensor_is_shown_with_its_dtype() -> None:
    assert repr(Tensor([1 + 2j])) == "Tensor([1.+2.j], dtype=complex64, grad=None)"
    assert repr(Tensor(3j)) == "Tensor(3j, dtype=complex64, grad=None)"
    assert f"{Tensor(1 + 2j):.1f}" == "1.0+2.0j"


def test_what_reads_a_value() -> None:
    z = Tensor([1 + 2j, -3j])
    assert complex(z[0]) == 1 + 2j
    assert z.tolist() == [1 + 2j, -3j]
    assert bool(z[0])
    assert not bool(Tensor(0j))
    with pytest.raises(TypeError, match=r"test_complex.py:\d+: float\(\) of complex64: take .real"):
        float(z[0])
    for other in (copy.deepcopy(z), pickle.loads(pickle.dumps(z))):
        np.testing.assert_array_equal(other.numpy(), z.numpy())
    if torch is not None:
        np.testing.assert_array_equal(torch.as_tensor(z).numpy(), z.numpy())
        np.testing.assert_array_equal(Tensor(torch.tensor([1 + 2j])).numpy(), [1 + 2j])
    np.testing.assert_array_equal(np.asarray(z), z.numpy())


def test_arrays_however_they_lie() -> None:
    base = numbers((4, 6), "complex64")
    views = [
        base.T,
        base[::-1],
        base[:, ::2],
        base[1:, 1:4],
        base.astype(">c8"),
        base[:0],
        np.asarray(base[0, 0]),
    ]
    for view in views:
        native = view.astype("complex64")
        close((Tensor(view) * 2).numpy(), native * np.complex64(2))
        f = lucid.compile(lambda x: x * 1j)
        for _ in range(3):
            close(f(view).numpy(), native * np.complex64(1j))
    close((lucid.from_numpy(base.T) + 1).numpy(), base.T + np.complex64(1))
    close((lucid.from_numpy(base[:, ::2]) + 1).numpy(), base[:, ::2] + np.complex64(1))


# --- dtypes --------------------------------------------------------------------------------------

REAL = ("bool", "int8", "int32", "int64", "uint8", "uint64", "float16", "float32", "float64")


def test_dtypes_of_results_are_numpys() -> None:
    for left, right in itertools.product((*REAL, *KINDS), (*REAL, *KINDS, bool, int, float, complex)):
        if "complex" not in str(left) + str(right):
            continue
        a = np.ones(2, left)
        b: Any = np.ones(2, right) if isinstance(right, str) else right(1)  # type: ignore[operator]
        x, y = Tensor(a), Tensor(b) if isinstance(right, str) else b
        for name in ("add", "subtract", "multiply", "divide", "power", "equal"):
            want = getattr(np, name)(a, b)
            assert getattr(lucid, name)(x, y).dtype == want.dtype, (name, left, right)
        assert (y * x).dtype == (b * a).dtype
        assert lucid.where(Tensor([True, False]), x, y).dtype == np.result_type(a, b)
    for kind in KINDS:
        z, a = Tensor(np.ones(2, kind)), np.ones(2, kind)
        for name in (
            "abs",
            "real",
            "imag",
            "angle",
            "conj",
            "exp",
            "sqrt",
            "sum",
            "mean",
            "prod",
            "var",
            "isnan",
        ):
            assert getattr(lucid, name)(z).dtype == getattr(np, name)(a).dtype, name


def test_casts() -> None:
    z = numbers((5,), "complex64")
    close(Tensor(z).astype("complex128").numpy(), z.astype("complex128"))
    close(Tensor(z.astype("complex128")).astype("complex64").numpy(), z)
    for dtype in REAL:
        a = np.array([0, 1, 2]).astype(dtype)
        np.testing.assert_array_equal(Tensor(a).astype("complex128").numpy(), a.astype("complex128"))
    assert Tensor([0j, 1j, -0j, 1]).astype(bool).tolist() == [False, True, False, True]
    with pytest.warns(UserWarning, match="drops the imaginary part"):
        real = Tensor([1 + 2j]).astype("float32")
    assert real.tolist() == [1.0]


# --- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.table
@pytest.mark.parametrize("dtype", KINDS)
def test_arithmetic_is_numpys(dtype: str) -> None:
    a, b = numbers((7, 3), dtype, 1), numbers((3,), dtype, 2)
    x, y = Tensor(a), Tensor(b)
    r = np.float32(1.5)
    close((x + y).numpy(), a + b)
    close((x - y).numpy(), a - b)
    close((x * y).numpy(), a * b)
    close((x / y).numpy(), a / b)
    close((-x).numpy(), -a)
    close((x * r).numpy(), a * r)
    close((2 - x).numpy(), 2 - a)
    close((1j / x).numpy(), (1j / a).astype(dtype))
    for n in (0, 1, 2, 3, 5, -1, -2, 0.5):
        close((x**n).numpy(), a**n, 32)
    close((x**y).numpy(), a**b, 64)
    close((x ** (1 + 2j)).numpy(), (a ** (1 + 2j)).astype(dtype), 64)
    np.testing.assert_array_equal((x == y).numpy(), a == b)
    np.testing.assert_array_equal((x != a).numpy(), a != a)
    assert (Tensor([1j, 1]) == 1j).tolist() == [True, False]


def test_quotients_near_the_ends_of_the_range() -> None:
    """Smith's, as NumPy's: no square overflows or vanishes."""
    parts = [0.0, -0.0, 1.0, -2.5, 1e-200, 1e200, 3e300]
    values = np.array([complex(a, b) for a in parts for b in parts])
    a, b = (g.ravel() for g in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        want = a / b
    got = (Tensor(a) / Tensor(b)).numpy()
    np.testing.assert_array_equal(np.isnan(got.real), np.isnan(want.real))
    known = np.isfinite(want.real) & np.isfinite(want.imag)
    np.testing.assert_allclose(got[known], want[known], rtol=1e-15)
    np.testing.assert_array_equal(got.real[~known], want.real[~known])


def test_lengths_and_angles() -> None:
    parts = [0.0, -0.0, 1.0, -3.0, 4.0, 1e-300, 1e300, np.inf, -np.inf, np.nan]
    z = np.array([complex(a, b) for a in parts for b in parts])
    np.testing.assert_allclose(lucid.abs(Tensor(z)).numpy(), np.abs(z), rtol=4e-16)
    np.testing.assert_allclose(Tensor(z).angle().numpy(), np.angle(z), rtol=4e-16)
    for name in ("isnan", "isinf", "isfinite", "iscomplex", "isreal"):
        np.testing.assert_array_equal(getattr(lucid, name)(Tensor(z)).numpy(), getattr(np, name)(z), name)
    assert lucid.angle(Tensor([-1.0, 0.0, 2.0])).tolist() == np.angle(np.array([-1, 0, 2], "f4")).tolist()
    assert lucid.abs(Tensor([3 + 4j])).dtype == np.float32
    np.testing.assert_allclose(lucid.sign(Tensor([3 + 4j, 0])).numpy(), [0.6 + 0.8j, 0])


FUNCTIONS = ("exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh",
             "cosh", "tanh", "square", "reciprocal", "conj", "sign", "rint", "negative",
             "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh")  # fmt: skip


def precise(name: str, z: Array) -> Array:
    """In a wider dtype; NumPy's own log1p cancels, and it has no exp2."""
    if name == "exp2":
        return np.asarray(np.exp(z * np.log(z.real.dtype.type(2))))
    if name == "log1p":
        return np.asarray(np.log1p(z.real * (2 + z.real) + z.imag**2) / 2 + 1j * np.angle(1 + z))
    return np.asarray(getattr(np, name)(z))


@pytest.mark.table
@pytest.mark.parametrize("dtype", KINDS)
def test_functions_are_numpys(dtype: str) -> None:
    """Within some ulp of the length of the result, near 0 and 1 and on all sides of the branch cuts."""
    points = [
        1,
        -1,
        1j,
        -1j,
        1 + 1e-5j,
        1e-6 + 1e-7j,
        -2 + 1e-9j,
        -2 - 1e-9j,
        0.6 + 0.8j,
        3 - 4j,
        -0.5,
        30 + 1j,
        2,
    ]
    z = np.concatenate([np.array(points), numbers((40,), scale=2)]).astype(dtype)
    wide = z.astype("complex128" if dtype == "complex64" else "clongdouble")
    for name in FUNCTIONS:
        got = getattr(lucid, name)(Tensor(z)).numpy()
        with np.errstate(all="ignore"):
            want = precise(name, wide)
        assert got.dtype == z.dtype
        eps = np.finfo(dtype).eps
        ends = ~np.isfinite(want)
        np.testing.assert_array_equal(got[ends], want[ends].astype(dtype))
        off = np.abs(got[~ends] - want[~ends]) / np.abs(np.where(want == 0, 1, want)[~ends]) / eps
        assert np.max(off) < 3, (name, np.max(off), z[~ends][np.argmax(off)])


@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"])
def test_inverses_of_infinite_parts_of_nan_and_of_zeros_are_numpys(name: str) -> None:
    """With the sign of each zero."""
    parts = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan]
    z = np.array([complex(a, b) for a in parts for b in parts])
    with np.errstate(all="ignore"):
        want = getattr(np, name)(z)
    got = getattr(lucid, name)(Tensor(z)).numpy()
    for mine, theirs in ((got.real, want.real), (got.imag, want.imag)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)
        known = ~np.isnan(theirs)
        np.testing.assert_array_equal(np.signbit(mine[known]), np.signbit(theirs[known]))


def test_roots_on_both_sides_of_the_cut() -> None:
    parts = [0.0, -0.0, 4.0, -4.0, 1e-308, 1e308]
    z = np.array([complex(a, b) for a in parts for b in parts])
    got, want = lucid.sqrt(Tensor(z)).numpy(), np.sqrt(z)
    np.testing.assert_allclose(got, want, rtol=1e-14)
    np.testing.assert_array_equal(np.signbit(got.imag), np.signbit(want.imag))


def test_real_functions_of_parts() -> None:
    z = np.array([1.26 - 2.54j, complex(np.nan, 1), complex(1, -np.inf)])
    close(lucid.round(Tensor(z[:1]), 1).numpy(), np.round(z[:1], 1))
    close(lucid.nan_to_num(Tensor(z)).numpy(), np.nan_to_num(z))
    close(lucid.complex(Tensor([1.0]), 2.0).numpy(), np.array([1 + 2j], "complex64"))
    close(lucid.polar(Tensor([2.0]), Tensor([0.5])).numpy(), 2 * np.exp(np.array([0.5j], "complex64")))
    pair = lucid.view_as_real(Tensor(z[:1]))
    assert pair.tolist() == [[1.26, -2.54]]
    assert lucid.view_as_complex(pair).tolist() == [1.26 - 2.54j]
    assert Tensor([[1 + 1j, 2j]]).mH.tolist() == [[1 - 1j], [-2j]]
    assert Tensor([[1 + 1j, 2j]]).H.shape == (2, 1)
    np.testing.assert_array_equal(np.asarray(np.conj(Tensor(z[:1]))), np.conj(z[:1]))
    np.testing.assert_array_equal(np.asarray(np.real(Tensor(z[:1]))), np.real(z[:1]))
    np.testing.assert_array_equal(np.asarray(np.angle(Tensor(z[:1]))), np.angle(z[:1]))


# --- shapes, indices, reductions, products -------------------------------------------------------


def test_views_pieces_and_indices() -> None:
    a = numbers((4, 5, 3))
    x = Tensor(a)
    cases: list[tuple[Any, Any]] = [
        (x[1:, ::-2], a[1:, ::-2]),
        (x[..., None, 0], a[..., None, 0]),
        (x[[2, 0, -1]], a[[2, 0, -1]]),
        (x[:, Tensor([1, 1])], a[:, [1, 1]]),
        (x.reshape(-1, 2), a.reshape(-1, 2)),
        (x.transpose(2, 0, 1), a.transpose(2, 0, 1)),
        (lucid.concatenate([x, x[:, :1], Tensor(a.real)], 1), np.concatenate([a, a[:, :1], a.real], 1)),
        (lucid.stack([x, x]), np.stack([a, a])),
        (lucid.flip(x), np.flip(a)),
        (lucid.roll(x, 2, 1), np.roll(a, 2, 1)),
        (lucid.pad(x[0], 1), np.pad(a[0], 1)),
        (lucid.tril(x[:, :, 0]), np.tril(a[:, :, 0])),
        (lucid.where(Tensor(a.real > 0), x, 0), np.where(a.real > 0, a, 0)),
        (x.at[1].set(1j), np.concatenate([a[:1], np.full((1, 5, 3), 1j), a[2:]])),
        (lucid.broadcast_to(x[0, 0], (2, 3)), np.broadcast_to(a[0, 0], (2, 3))),
        (lucid.diagonal(x[:3, :3]), np.diagonal(a[:3, :3])),
    ]
    for got, want in cases:
        close(got.numpy(), want, 0)
    y = Tensor(a.copy())
    y[0, 1] = 2 - 1j
    y[1] += 1j
    want = a.copy()
    want[0, 1] = 2 - 1j
    want[1] += 1j
    close(y.numpy(), want, 0)
    close(x.at[[0, 0]].add(1j).numpy()[0], a[0] + 2j, 4)


@pytest.mark.table
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), -1])
def test_reductions(axis: Any) -> None:
    a = numbers((3, 4, 5))
    x = Tensor(a)
    for name in ("sum", "mean", "prod", "var", "std", "nansum", "count_nonzero", "any", "all"):
        np.testing.assert_allclose(
            getattr(lucid, name)(x, axis=axis).numpy(),
            getattr(np, name)(a, axis=axis),
            rtol=1e-12,
            err_msg=name,
        )
    if not isinstance(axis, tuple):
        for name in ("cumsum", "cumprod"):
            np.testing.assert_allclose(
                getattr(lucid, name)(x, axis).numpy(), getattr(np, name)(a, axis), rtol=1e-12, err_msg=name
            )
    none = Tensor(a[:0])
    assert lucid.sum(none).item() == 0
    assert lucid.prod(none, axis=0).tolist() == np.ones((4, 5)).tolist()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(lucid.linalg.norm(x[0]).numpy(), np.linalg.norm(a[0]), rtol=1e-14)
    np.testing.assert_allclose(lucid.linalg.norm(x, 3, 0).numpy(), np.linalg.norm(a, 3, 0), rtol=1e-14)
    np.testing.assert_allclose(
        lucid.linalg.norm(x[0], np.inf).numpy(), np.linalg.norm(a[0], np.inf), rtol=1e-14
    )
    small = Tensor((a * 1e-30).astype("complex64"))
    np.testing.assert_allclose(lucid.linalg.norm(small).numpy(), np.linalg.norm(a) * 1e-30, rtol=1e-6)


@pytest.mark.table
@pytest.mark.parametrize("dtype", KINDS)
def test_products(dtype: str) -> None:
    a, b, c = numbers((4, 5), dtype), numbers((5, 3), dtype, 1), numbers((6, 4, 5), dtype, 2)
    v = numbers((5,), dtype, 3)
    x, y, z, u = map(Tensor, (a, b, c, v))
    tol: dict[str, Any] = {"rtol": 1e-5 if dtype == "complex64" else 1e-13, "atol": 1e-6}
    pairs: list[tuple[Any, Any]] = [
        (x @ y, a @ b), (z @ y, c @ b), (x @ u, a @ v), (u @ y, v @ b), (x @ Tensor(b.real), a @ b.real),
        (lucid.einsum("ij,jk->ki", x, y), np.einsum("ij,jk->ki", a, b)), (lucid.dot(x, y), np.dot(a, b)),
        (lucid.einsum("bij,kj,j->bk", z, x, u), np.einsum("bij,kj,j->bk", c, a, v)),
        (lucid.vdot(x, x), np.vdot(a, a)), (lucid.vdot(u, Tensor(v.real)), np.vdot(v, v.real)),
        (lucid.outer(u, u), np.outer(v, v)), (lucid.inner(x, x), np.inner(a, a)),
        (lucid.tensordot(z, x, ((1, 2), (0, 1))), np.tensordot(c, a, ((1, 2), (0, 1)))),
        (lucid.kron(x, y), np.kron(a, b)), (lucid.cov(x), np.cov(a)), (lucid.vecdot(x, x), np.vecdot(a, a)),
        (lucid.linalg.matrix_power(x[:, :4], 3), np.linalg.matrix_power(a[:, :4], 3)),
    ]  # fmt: skip
    for got, want in pairs:
        assert got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, **tol)
    assert (x @ y).dtype == dtype


# --- what has no meaning -------------------------------------------------------------------------


def test_what_has_no_complex_meaning_raises_at_the_users_line() -> None:
    z = Tensor([1 + 2j, 3])
    line = lucid.Tensor([1.0])
    calls: list[Callable[[], Any]] = [
        lambda: z < z, lambda: z >= 1, lambda: z // 2, lambda: z % 2, lambda: lucid.maximum(z, z),
        lambda: z.max(), lambda: lucid.argmin(z), lambda: lucid.sort(z), lambda: lucid.argsort(z),
        lambda: lucid.floor(z), lambda: lucid.trunc(z), lambda: lucid.clip(z, 0, 1), lambda: lucid.erf(z),
        lambda: lucid.arctan2(z, z), lambda: ~z, lambda: z & z,
        lambda: lucid.hypot(z, z), lambda: lucid.cbrt(z), lambda: lucid.nn.functional.relu(z),
        lambda: lucid.median(z), lambda: lucid.cummax(z, 0),
        lambda: lucid.copysign(z, z), lambda: lucid.isin(z, z), lambda: lucid.nanmax(z),
        lambda: lucid.searchsorted(z, z), lambda: lucid.fmax(z, z), lambda: lucid.complex(z, z),
        lambda: line.at[0].set(1j), lambda: lucid.signbit(z), lambda: lucid.heaviside(z, z),
        lambda: lucid.deg2rad(z), lambda: lucid.nanvar(z),
        lambda: line.masked_fill(Tensor([True]), 1j),
    ]  # fmt: skip
    for run in calls:
        with pytest.raises((TypeError, ValueError)) as caught:
            run()
        assert "test_complex.py:" in str(caught.value), caught.value


# --- gradients -----------------------------------------------------------------------------------


def loss_of(name: str, lib: Any, z: Any, w: Any) -> Any:
    """A real number of z and w; `lib` is lucid or torch."""
    m = w.reshape(2, 3)
    return {
        "product": lambda: (z * w * (2 - 1j)).imag.sum(),
        "quotient": lambda: (z / w).real.sum() + (1 / z).imag.sum(),
        "size": lambda: (lib.abs(z) * w.real).sum(),
        "angle": lambda: (lib.angle(z) ** 2).sum(),
        "square": lambda: (z * z.conj()).real.sum() + (z**3).imag.sum() + (z**-2).real.sum(),
        "exp": lambda: (lib.exp(z) * w).real.sum(),
        "log": lambda: (lib.log(z) * lib.log(z * w)).real.sum(),
        "sqrt": lambda: (lib.sqrt(z) + lib.sqrt(-z * w)).imag.sum(),
        "angles": lambda: (lib.sin(z) * lib.cos(w) + lib.tan(z)).real.sum(),
        "hyperbolic": lambda: (lib.sinh(z) * lib.cosh(w) + lib.tanh(z)).imag.sum(),
        "power": lambda: (z**w).real.sum() + (z ** (0.5 + 1j)).imag.sum(),
        "matmul": lambda: lib.abs(m @ lib.stack([z[:3], z[3:]]).mH).sum(),
        "views": lambda: (lib.cat([z[1:], w.conj()]) ** 2).real[::2].sum() + z.reshape(3, 2).T[0, 1].imag,
        "where": lambda: lib.where(z.real > 0, lib.log(z), w * z).imag.sum(),
        "reductions": lambda: (z.sum() * w.prod()).real + lib.abs(z.mean()) + z.cumsum(0)[3].imag,
        "index": lambda: (z[lib.tensor([0, 0, 5])] * w[:3]).imag.sum(),
        "parts": lambda: (lib.complex(z.imag, w.real) * lib.view_as_complex(lib.view_as_real(z))).real.sum(),
        "mixed": lambda: (z.real * w + lib.abs(w)).imag.sum() + lib.linalg.norm(z),
    }[name]()


# Second derivatives of functions are long kernels.
LONG = (
    "angle",
    "square",
    "exp",
    "log",
    "sqrt",
    "angles",
    "hyperbolic",
    "power",
    "reductions",
    "size",
    "parts",
)
LOSSES = ("product", "quotient", "matmul", "views", "where", "index", "mixed")


@needs_torch
@pytest.mark.parametrize("name", [*LOSSES, *(pytest.param(n, marks=pytest.mark.sweep) for n in LONG)])
def test_gradients_are_pytorchs_to_second_order(name: str) -> None:
    """Of the loss, and of the length of its gradient."""
    a, b = numbers((6,), seed=5), numbers((6,), seed=6)
    x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    p, q = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    loss, want = loss_of(name, lucid, x, y), loss_of(name, torch, p, q)
    np.testing.assert_allclose(loss.item(), want.item(), rtol=1e-12)
    first = torch.autograd.grad(want, (p, q), create_graph=True, allow_unused=True, materialize_grads=True)
    loss.backward()
    for mine, theirs in zip((x, y), first, strict=True):
        got = np.zeros(6) if mine.grad is None else mine.grad.numpy()
        np.testing.assert_allclose(got, theirs.detach().resolve_conj().numpy(), rtol=1e-10, atol=1e-12)
    assert x.grad is not None
    length = (x.grad * x.grad.conj()).real.sum()
    lengths = (first[0] * first[0].conj()).real.sum()
    x.grad = y.grad = None
    if not lengths.requires_grad:
        return
    second = torch.autograd.grad(lengths, (p, q), allow_unused=True, materialize_grads=True)
    length.backward()
    for mine, theirs in zip((x, y), second, strict=True):
        got = np.zeros(6) if mine.grad is None else mine.grad.numpy()
        np.testing.assert_allclose(got, theirs.resolve_conj().numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.sweep
def test_gradients_are_slopes_along_both_axes() -> None:
    """dL/dre + i dL/dim, by differences."""
    z = numbers((5,), seed=3)

    def loss(x: Any) -> Any:
        return (lucid.abs(lucid.expm1(x) / (2 + x)) + lucid.log1p(x).imag * lucid.exp2(x).real).sum()

    slope = lucid.grad(loss)(z)
    assert slope.dtype == np.complex128
    h = 1e-6
    for k in range(5):
        e = np.eye(5)[k] * h
        re = (loss(Tensor(z + e)).item() - loss(Tensor(z - e)).item()) / (2 * h)
        im = (loss(Tensor(z + 1j * e)).item() - loss(Tensor(z - 1j * e)).item()) / (2 * h)
        np.testing.assert_allclose(slope.numpy()[k], re + 1j * im, rtol=1e-7)


@needs_torch
@pytest.mark.sweep
def test_special_points_of_gradients() -> None:
    """On the axes and at ties of the parts formulas meet; derivatives are right there, too."""
    z = np.array([2.0, 3, 0.5j, 1 + 1j, 1 - 1j, -1 + 1j, 0.5 + 0j])
    for name in ("log", "sqrt", "exp", "sin", "tanh", "reciprocal", "log1p", "square", "arcsinh", "arctan"):
        x, p = Tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
        mine, theirs = (getattr(lib, name)(v) for lib, v in ((lucid, x), (torch, p)))
        mine.real.sum().backward()
        (first,) = torch.autograd.grad(theirs.real.sum(), p, create_graph=True)
        assert x.grad is not None
        np.testing.assert_allclose(
            x.grad.numpy(), first.detach().resolve_conj().numpy(), rtol=1e-12, atol=1e-14, err_msg=name
        )
        again = x.grad
        x.zero_grad()
        again.imag.sum().backward()
        (second,) = torch.autograd.grad(first.imag.sum(), p)
        np.testing.assert_allclose(
            x.grad.numpy(), second.resolve_conj().numpy(), rtol=1e-11, atol=1e-13, err_msg=name
        )
    zero = Tensor([0j, 3 + 4j], requires_grad=True)
    lucid.abs(zero).sum().backward()
    assert zero.grad is not None
    np.testing.assert_allclose(zero.grad.numpy(), [0, 0.6 + 0.8j], rtol=1e-6)


def test_leaves_and_cotangents() -> None:
    x = Tensor([1 + 1j], requires_grad=True)
    with pytest.raises(RuntimeError, match="backward\\(\\) of a complex number"):
        (x * 2).sum().backward()
    (x * 2j).backward(Tensor([1 + 0j]))
    assert x.grad is not None
    assert x.grad.tolist() == [-2j]
    r = Tensor([2.0], requires_grad=True)  # of a real leaf it is real
    (r * 1j * x).imag.sum().backward()
    assert r.grad is not None
    assert r.grad.dtype == np.float32
    assert r.grad.tolist() == [1.0]
    opt = lucid.optim.SGD([x], lr=0.5)
    x.grad = None
    (x * x.conj()).real.sum().backward()
    opt.step()
    assert x.tolist() == [0j]


# --- compiled functions --------------------------------------------------------------------------


def test_compiled_functions_run_natively_with_complex_arguments_and_results() -> None:
    @lucid.compile
    def f(z: Any, w: Any, s: Any) -> Any:
        return z * w + s, lucid.abs(z), {"same": z, "pairs": lucid.view_as_real(z * w)}

    a, b = numbers((3, 2)), numbers((2,), seed=1)
    for _ in range(4):
        made, size, more = f(Tensor(a), b, 1 - 0.5j)
        close(made.numpy(), a * b + (1 - 0.5j))
        close(size.numpy(), np.abs(a))
        close(more["same"].numpy(), a)
        close(lucid.view_as_complex(more["pairs"]).numpy(), a * b)
    assert f.traces == 1
    f(Tensor(a), b, 1 + 0.5j)
    assert f.traces == 2  # the number is a fact

    g = lucid.compile(lambda z: lucid.exp(z) * 2)
    for _ in range(5):
        close(g(Tensor(a)).numpy(), np.exp(a) * 2)
    assert g._latest is not None
    assert max(g._latest.served.values()) == (1 if call.available() else -1)
    out = np.empty((3, 2), complex)
    for _ in range(3):
        out[:] = 0
        assert np.shares_memory(g(Tensor(a), out=out).numpy(), out)
        close(out, np.exp(a) * 2)
    pairs = np.ones((3, 2, 2))  # of the same memory as a complex (3, 2): another signature
    assert g(Tensor(pairs)).shape == (3, 2, 2)
    with pytest.raises(ValueError, match="out= is float64"):
        g(Tensor(a), out=np.empty((3, 2, 2)))


def test_a_compiled_step_changes_complex_parameters() -> None:
    x, right = numbers((8, 3)), np.array([1, 1j, -1 - 1j])
    y = x @ right
    found = []
    for compiled in (False, True):
        w = Tensor(np.zeros(3, complex), requires_grad=True)
        opt = lucid.optim.SGD([w], lr=0.05, momentum=0.9)

        def step(x: Any, y: Any, w: Any = w, opt: Any = opt) -> Any:
            opt.zero_grad()
            off = x @ w - y
            loss = (off * off.conj()).real.mean()
            loss.backward()
            opt.step()
            return loss

        run = lucid.compile(step) if compiled else step
        losses = [run(Tensor(x), Tensor(y)).item() for _ in range(40)]
        found.append((losses, w.numpy().copy()))
        assert losses[-1] < losses[0] / 10
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12)


def test_a_number_that_changes_meets_complex_ones() -> None:
    f = lucid.compile(lambda z, s: z * s + s * 1j)
    z = numbers((3,))
    for s in (1.0, 2.0, 3.5, 4.0):
        close(f(Tensor(z), s).numpy(), z * s + s * 1j)
    assert f.traces <= 5


def test_signed_zeros_of_complex_numbers_are_told_apart() -> None:
    f = lucid.compile(lambda x, s: lucid.sqrt(x * s))
    x = Tensor(np.array([-4.0]))
    above, below = complex(1, -0.0), complex(1, 0.0)  # times -4, which has the imaginary part 0
    assert f(x, above).item() == np.sqrt(np.array(-4.0) * above) == 2j
    assert f(x, below).item() == np.sqrt(np.array(-4.0) * below)
    assert f.traces == 2


def test_adam_refuses_complex_parameters() -> None:
    with pytest.raises(TypeError, match=r"test_complex.py:\d+: Adam"):
        lucid.optim.Adam([Tensor([1j], requires_grad=True)])
