"""Pieces, arrangements and products of arrays beside NumPy's: values, layouts, what is empty, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F

from .derivatives import check_derivatives

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 6, 5)).astype(np.float32)
M = RNG.normal(size=(4, 6)).astype(np.float32)
V = RNG.normal(size=7).astype(np.float32)
SIDES = ((0, 0), (1, 2))
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0], np.float32)
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda x: x,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "flipped": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "columns": np.asfortranarray,
}

# name: (arguments after the module, one array), the array
Case = tuple[Callable[[Any, Any], Any], Array]
CASES: dict[str, Case] = {
    "concatenate 0": (lambda L, x: L.concatenate([x, x[:1], x[1:]]), X),
    "concatenate 1": (lambda L, x: L.concatenate((x, x[:, :0], x[:, 2:3]), axis=1), X),
    "concatenate last": (lambda L, x: L.concatenate([x, x * 2, x[..., ::-1]], axis=-1), X),
    "concatenate none": (lambda L, x: L.concatenate([x, x[0, 0]], axis=None), X),
    "concatenate one": (lambda L, x: L.concatenate([x]), X),
    "concatenate special": (lambda L, x: L.concatenate([x, x[::-1], x]), SPECIAL),
    "concatenate nine": (lambda L, x: L.concatenate([x[k % 4 :, 1:] for k in range(9)]), M),
    "concatenate computed": (lambda L, x: L.concatenate([x + 1, x * x, x.sum(0, keepdims=True)]), M),
    "stack": (lambda L, x: L.stack([x, x[::-1], x], axis=1), M),
    "stack last": (lambda L, x: L.stack([x, -x], axis=-1), M),
    "stack 0-d": (lambda L, x: L.stack([x[0], x[1]]), V),
    "hstack": (lambda L, x: L.hstack([x, x]), M),
    "hstack vectors": (lambda L, x: L.hstack([x, x[:2]]), V),
    "vstack": (lambda L, x: L.vstack([x, x]), V),
    "dstack": (lambda L, x: L.dstack([x, x]), M),
    "column_stack": (lambda L, x: L.column_stack([x, x * 2]), V),
    "split": (lambda L, x: L.split(x, 3, axis=1), X),
    "split at": (lambda L, x: L.split(x, [1, 1, 4, 9], axis=1), X),
    "array_split": (lambda L, x: L.array_split(x, 4, axis=2), X),
    "hsplit": (lambda L, x: L.hsplit(x, 2), X),
    "vsplit": (lambda L, x: L.vsplit(x, 2), X),
    "dsplit": (lambda L, x: L.dsplit(x, [2]), X),
    "flip": (lambda L, x: L.flip(x), X),
    "flip axes": (lambda L, x: L.flip(x, (0, -1)), X),
    "fliplr": (lambda L, x: L.fliplr(x), X),
    "flipud": (lambda L, x: L.flipud(x), X),
    "roll": (lambda L, x: L.roll(x, 2, axis=1), X),
    "roll back": (lambda L, x: L.roll(x, -13, axis=0), X),
    "roll axes": (lambda L, x: L.roll(x, (1, 2), axis=(0, 1)), X),
    "roll one axis of each": (lambda L, x: L.roll(x, 1, axis=(0, 1)), X),
    "roll all": (lambda L, x: L.roll(x, 8), X),
    "roll none": (lambda L, x: L.roll(x, 0), X),
    "rot90 1": (lambda L, x: L.rot90(x), X),
    "rot90 2": (lambda L, x: L.rot90(x, 2, (1, 2)), X),
    "rot90 3": (lambda L, x: L.rot90(x, -1, (2, 0)), X),
    "tile": (lambda L, x: L.tile(x, 3), M),
    "tile axes": (lambda L, x: L.tile(x, (2, 1, 3)), M),
    "tile none": (lambda L, x: L.tile(x, (0, 2)), M),
    "repeat": (lambda L, x: L.repeat(x, 3), M),
    "repeat axis": (lambda L, x: L.repeat(x, 2, axis=0), X),
    "repeat counts": (lambda L, x: L.repeat(x, [1, 0, 3, 2], axis=0), X),
    "expand_dims": (lambda L, x: L.expand_dims(x, (0, -1)), X),
    "moveaxis": (lambda L, x: L.moveaxis(x, 0, -1), X),
    "moveaxis two": (lambda L, x: L.moveaxis(x, (0, 1), (-1, 0)), X),
    "atleast_1d": (lambda L, x: L.atleast_1d(x[0]), V),
    "atleast_2d": (lambda L, x: L.atleast_2d(x), V),
    "atleast_3d": (lambda L, x: L.atleast_3d(x), M),
    "atleast_3d of a vector": (lambda L, x: L.atleast_3d(x), V),
    "pad": (lambda L, x: L.pad(x, 2), M),
    "pad value": (lambda L, x: L.pad(x, ((1, 0), (0, 2)), constant_values=-3), M),
    "pad edge": (lambda L, x: L.pad(x, ((1, 2), (0, 3)), mode="edge"), M),
    "pad reflect": (lambda L, x: L.pad(x, ((2, 3), (1, 0)), mode="reflect"), M),
    "pad reflect twice": (lambda L, x: L.pad(x, ((9, 11), (0, 0)), mode="reflect"), M),
    "pad symmetric": (lambda L, x: L.pad(x, ((2, 9), (1, 6)), mode="symmetric"), M),
    "pad wrap": (lambda L, x: L.pad(x, ((2, 9), (1, 6)), mode="wrap"), M),
    "tril": (lambda L, x: L.tril(x), X),
    "tril above": (lambda L, x: L.tril(x, 1), M),
    "triu": (lambda L, x: L.triu(x, -1), M),
    "tril of a vector": (lambda L, x: L.tril(x), V),
    "diag": (lambda L, x: L.diag(x), V),
    "diag above": (lambda L, x: L.diag(x, 2), V),
    "diag below": (lambda L, x: L.diag(x, -1), V),
    "diag of a matrix": (lambda L, x: L.diag(x, 1), M),
    "diagflat": (lambda L, x: L.diagflat(x[:2, :2], -1), M),
    "diagonal": (lambda L, x: L.diagonal(x), X),
    "diagonal above": (lambda L, x: L.diagonal(x, 2, 1, 2), X),
    "diagonal below": (lambda L, x: L.diagonal(x, -2, 2, 0), X),
    "diagonal none": (lambda L, x: L.diagonal(x, 9), M),
    "trace": (lambda L, x: L.trace(x, 1), M),
    "trace of many": (lambda L, x: L.trace(x, 0, 1, 2), X),
    "meshgrid": (lambda L, x: L.meshgrid(x, x[:3]), V),
    "meshgrid ij": (lambda L, x: L.meshgrid(x, x[:3], x[:2], indexing="ij"), V),
    "meshgrid sparse": (lambda L, x: L.meshgrid(x, x[:3], sparse=True), V),
    "broadcast_arrays": (lambda L, x: L.broadcast_arrays(x, x[0], x[:, :1]), X),
    "inner": (lambda L, x: L.inner(x, x[:, 2]), X),
    "outer": (lambda L, x: L.outer(x, x[:3]), V),
    "vdot": (lambda L, x: L.vdot(x, x * 2), X),
    "kron": (lambda L, x: L.kron(x, x[:2, :3]), M),
    "kron of vector and matrix": (lambda L, x: L.kron(x[0], x[:2, :3]), M),
    "cross": (lambda L, x: L.cross(x[:, :3], x[:, 3:]), M),
    "cross axis": (lambda L, x: L.cross(x[:3], x[:3, ::-1], axis=0), M),
    "tensordot": (lambda L, x: L.tensordot(x, x[0].T, 1), X),
    "tensordot axes": (lambda L, x: L.tensordot(x, x, axes=([0, 2], [0, 2])), X),
    "tensordot none": (lambda L, x: L.tensordot(x, x[0], axes=0), M),
    "cov": (lambda L, x: L.cov(x), M),
    "cov of columns": (lambda L, x: L.cov(x, x[:, ::-1], rowvar=False, ddof=0), M),
    "cov of a vector": (lambda L, x: L.cov(x), V),
    "corrcoef": (lambda L, x: L.corrcoef(x), M),
}
EINSUMS: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "product": ("ij,jk->ik", ((3, 4), (4, 5))),
    "transposed": ("ij,kj->ki", ((3, 4), (5, 4))),
    "implicit": ("ij,jk", ((3, 4), (4, 5))),
    "implicit order": ("ba", ((3, 4),)),
    "batches": ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))),
    "batches elsewhere": ("ibk,kbj->bij", ((3, 2, 4), (4, 2, 5))),
    "two summed": ("ijk,jkl->il", ((3, 4, 5), (4, 5, 2))),
    "two summed, crossed": ("ikj,jlk->li", ((3, 5, 4), (4, 2, 5))),
    "elementwise": ("ij,ji->ij", ((3, 4), (4, 3))),
    "outer": ("i,jk->kij", ((3,), (4, 5))),
    "trace": ("ii", ((4, 4),)),
    "diagonal": ("ii->i", ((4, 4),)),
    "diagonals": ("iijj->ij", ((4, 4, 3, 3),)),
    "three times": ("iii->i", ((4, 4, 4),)),
    "sum": ("ijk->j", ((3, 4, 5),)),
    "alone in one": ("ij,k->k", ((3, 4), (5,))),
    "total": ("ij,ij->", ((3, 4), (3, 4))),
    "ellipsis": ("...ij,...jk->...ik", ((2, 3, 4), (4, 5))),
    "ellipsis broadcast": ("...i,...i", ((2, 1, 4), (3, 4))),
    "ellipsis transposed": ("i...->...i", ((2, 3, 4),)),
    "extent of 1": ("ij,ij->i", ((3, 1), (3, 4))),
    "three": ("ij,jk,kl->il", ((3, 4), (4, 5), (5, 2))),
    "four": ("ab,bc,cd,da->", ((2, 3), (3, 4), (4, 5), (5, 2))),
    "attention": ("bqhd,bkhd->bhqk", ((2, 3, 4, 5), (2, 6, 4, 5))),
    "attention back": ("bhqk,bkhd->bqhd", ((2, 4, 3, 6), (2, 6, 4, 5))),
    "bilinear": ("bi,oij,bj->bo", ((2, 3), (4, 3, 5), (2, 5))),
    "spaces": (" i j , j k -> i k ", ((3, 4), (4, 5))),
    "no elements": ("ij,jk->ik", ((3, 0), (0, 5))),
    "nothing kept": ("ij,jk->ik", ((0, 4), (4, 5))),
}


def _same(made: Any, right: Any, *, exact: bool) -> None:
    if isinstance(right, list | tuple):
        assert len(made) == len(right)
        for one, other in zip(made, right, strict=True):
            _same(one, other, exact=exact)
        return
    right = np.asarray(right)
    assert isinstance(made, Tensor) and made.shape == right.shape and made.dtype == right.dtype
    if exact:
        np.testing.assert_array_equal(made.numpy(), right)
        np.testing.assert_array_equal(np.signbit(made.numpy()), np.signbit(right))
    else:
        np.testing.assert_allclose(made.numpy(), right, rtol=2e-5, atol=1e-5)


SUMS = ("trace", "inner", "vdot", "cross", "tensordot", "cov", "corrcoef", "concatenate computed")


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    f, x = CASES[name]
    exact = not name.startswith(SUMS)
    right = f(np, x)
    _same(f(lucid, Tensor(x)), right, exact=exact)
    _same(f(np, Tensor(x)), right, exact=exact)  # NumPy's function of a Tensor


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("repeat counts",)])
def test_compiled_of_any_layout(name: str) -> None:
    f, x = CASES[name]
    compiled = lucid.compile(lambda x: f(lucid, x))
    for layout in LAYOUTS.values():
        right = f(np, layout(x))
        _same(compiled(layout(x)), right, exact=not name.startswith(SUMS))


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("concatenate special")])
def test_derivatives(name: str) -> None:
    f, x = CASES[name]
    check_derivatives(lambda t: f(lucid, t), x)


@pytest.mark.parametrize("dtype", ["bool", "i1", "u8", "f2"])
def test_other_dtypes(dtype: str) -> None:
    x = (M * 3).astype(dtype)
    for name in ("fliplr", "tile", "tril above", "diagonal none", "pad", "pad wrap", "stack", "repeat axis"):
        f = CASES[name][0]
        _same(f(lucid, Tensor(np.abs(x))), f(np, np.abs(x)), exact=True)
    _same(lucid.concatenate([x, M]), np.concatenate([x, M]), exact=True)
    _same(lucid.stack([x, x]), np.stack([x, x]), exact=True)


@pytest.mark.parametrize("name", EINSUMS)
def test_einsum(name: str) -> None:
    formula, shapes = EINSUMS[name]
    arrays = [RNG.normal(size=s).astype("f4") for s in shapes]
    right = np.einsum(formula, *arrays)
    _same(lucid.einsum(formula, *arrays), right, exact=False)
    _same(np.einsum(formula, *map(Tensor, arrays)), right, exact=False)
    whole = [(a * 5).astype("i4") for a in arrays]
    _same(lucid.einsum(formula, *whole), np.einsum(formula, *whole), exact=True)
    if arrays[0].size and right.size:
        check_derivatives(lambda x: lucid.einsum(formula, x, *arrays[1:]), arrays[0])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("ij,jk->ik", "names 2 operands, got 1"),
        ("i->i", "does not fit an operand of shape"),
        ("ij->k", "must name letters of operands"),
        ("ij->ii", "each once"),
        ("i1->i", "has more in it"),
    ],
)
def test_formulas_that_do_not_fit(formula: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"test_arrays.py:\d+: .*{message}"):
        lucid.einsum(formula, M)


TORCH: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "cat": (lambda x: lucid.cat([x, x], dim=1), np.concatenate([M, M], 1)),
    "split": (lambda x: x.split(4, dim=1), [M[:, :4], M[:, 4:]]),
    "split sizes": (lambda x: x.split([1, 3], dim=0), [M[:1], M[1:]]),
    "chunk": (lambda x: x.chunk(4, dim=1), [M[:, :2], M[:, 2:4], M[:, 4:]]),
    "unbind": (lambda x: x.unbind(1), tuple(M[:, k] for k in range(6))),
    "flip": (lambda x: x.flip(dims=(0,)), M[::-1]),
    "roll": (lambda x: x.roll(1, dims=0), np.roll(M, 1, 0)),
    "unsqueeze": (lambda x: lucid.unsqueeze(x, 1), M[:, None]),
    "movedim": (lambda x: lucid.movedim(x, 0, 1), M.T),
    "tril": (lambda x: x.tril(diagonal=-1), np.tril(M, -1)),
    "unflatten": (lambda x: x.unflatten(1, (2, -1)), M.reshape(4, 2, 3)),
    "unfold": (lambda x: x.unfold(1, 3, 2), np.stack([M[:, 0:3], M[:, 2:5]], 1)),
    "unfold 0": (lambda x: x.unfold(0, 2, 1), np.lib.stride_tricks.sliding_window_view(M, 2, 0)),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, dim=0), np.repeat(M, 2, 0)),
    "bmm": (lambda x: lucid.bmm(x[None], x.T[None]), (M @ M.T)[None]),
    "mv": (lambda x: lucid.mv(x, x[0]), M @ M[0]),
    "addmm": (lambda x: lucid.addmm(x, x, x.T @ x, beta=2, alpha=3), 2 * M + 3 * (M @ M.T @ M)),
    "addmm 0": (lambda x: lucid.addmm(x * np.nan, x, x.T @ x, beta=0), M @ M.T @ M),
    "baddbmm": (lambda x: lucid.baddbmm(x[None], x[None], (x.T @ x)[None]), (M + M @ M.T @ M)[None]),
    "pad": (lambda x: F.pad(x, (1, 2), value=7.0), np.pad(M, SIDES, constant_values=7)),
    "pad order": (lambda x: F.pad(x, (1, 2, 0, 3)), np.pad(M, ((0, 3), (1, 2)))),
    "pad negative": (lambda x: F.pad(x, (-1, 2)), np.pad(M[:, 1:], ((0, 0), (0, 2)))),
    "pad replicate": (lambda x: F.pad(x, (1, 2), "replicate"), np.pad(M, SIDES, "edge")),
    "pad circular": (lambda x: F.pad(x, (1, 2), "circular"), np.pad(M, SIDES, "wrap")),
    "windows": (
        lambda x: lucid.sliding_window_view(x, (2, 3)),
        np.lib.stride_tricks.sliding_window_view(M, (2, 3)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_pytorchs_names(name: str) -> None:
    f, right = TORCH[name]
    _same(f(Tensor(M)), right, exact=False)
    made = lucid.compile(f)(Tensor(M))
    _same(made, right, exact=False)
    if name != "addmm 0":
        check_derivatives(f, M)


ERRORS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda x: lucid.concatenate([x, x[0]]), ValueError, "differ beyond axis"),
    (lambda x: lucid.concatenate([]), ValueError, "at least one array"),
    (lambda x: lucid.concatenate([x[0, 0], x[0, 0]]), ValueError, "0-d operands"),
    (lambda x: lucid.stack([x, x[:2]]), ValueError, "all shapes must be one"),
    (lambda x: lucid.split(x, 3), ValueError, "not 3 equal parts; use array_split"),
    (lambda x: lucid.chunk(x, 0), ValueError, "at least 1"),
    (lambda x: lucid.flip(x, 3), IndexError, "axis 3 is out of bounds"),
    (lambda x: lucid.roll(x, (1, 2), (0, 1, 0)), ValueError, "2 shifts for 3 axes"),
    (lambda x: lucid.pad(x[:0], 1, "edge"), ValueError, "without elements"),
    (lambda x: lucid.pad(x, 1, "odd"), ValueError, "mode must be"),
    (lambda x: lucid.pad(x, -1), ValueError, "must not be negative"),
    (lambda x: x.unfold(0, 5, 1), ValueError, "do not fit"),
    (lambda x: lucid.diagonal(x, 0, 1, 1), ValueError, "must differ"),
    (lambda x: lucid.repeat(x, [1, 2]), ValueError, "2 counts for 24 elements"),
    (lambda x: lucid.cross(x, x), ValueError, "three elements"),
    (lambda x: lucid.bmm(x, x), ValueError, "expected 3 and 3 axes"),
    (lambda x: lucid.tensordot(x, x, 1), ValueError, "do not fit along axes"),
    (lambda x: np.isnat(x), TypeError, "lucid has no such function"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_what_does_not_fit(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"test_arrays.py:\d+: .*{message}"):
        call(Tensor(M))


def test_counts_of_a_compiled_function_decide_no_shape() -> None:
    with pytest.raises(lucid.TraceError, match="decides no shape"):
        lucid.compile(lambda x, n: x.repeat(n))(Tensor(V), Tensor([1, 2, 0, 1, 1, 1, 1]))
    _same(lucid.repeat(V, Tensor([1, 2, 0, 1, 1, 1, 1])), np.repeat(V, [1, 2, 0, 1, 1, 1, 1]), exact=True)


@pytest.mark.parametrize("count", [2, 5, 8])
def test_a_concatenation_is_one_kernel_that_reads_each_operand_once(count: int) -> None:
    f = lucid.compile(lambda *xs: lucid.concatenate(xs))
    xs = [np.ones((k + 1, 100), np.float32) for k in range(count)]
    out = f(*xs).numpy()
    (kernel,) = f.kernels
    assert kernel.bytes <= 2 * out.nbytes + 64 * count


def test_many_operands_are_read_a_few_times() -> None:
    f = lucid.compile(lambda *xs: lucid.concatenate(xs))
    xs = [np.full((50, 10), k, np.float32) for k in range(64)]
    out = f(*xs).numpy()
    np.testing.assert_array_equal(out, np.concatenate(xs))
    assert sum(k.bytes for k in f.kernels) <= 5 * out.nbytes


def test_another_size_needs_no_code() -> None:
    from lucid.runtime import llvm  # noqa: F401

    f = lucid.compile(lambda x, y: lucid.concatenate([x, y, x], axis=1))
    texts = set()
    for n, m in ((30, 50), (31, 7), (100, 300)):
        a, b = RNG.normal(size=(40, n)), RNG.normal(size=(40, m))
        np.testing.assert_array_equal(f(a, b).numpy(), np.concatenate([a, b, a], axis=1))
        texts.add("".join(k.text for k in f.kernels))
    assert len(texts) == 1
