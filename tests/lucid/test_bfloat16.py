"""bfloat16 for users: made, promoted, exchanged, trained with; what it needs, and what it must not."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.nn import functional as F

ml_dtypes = pytest.importorskip("ml_dtypes")
BF = np.dtype(ml_dtypes.bfloat16)
Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def values(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(BF)


def wide(x: Any) -> Array:
    return np.asarray(x.numpy() if isinstance(x, Tensor) else x).astype(np.float32)


# --- what it needs ------------------------------------------------------------------------------------


def program(text: str, folder: Path | None = None) -> str:
    more = {} if folder is None else {"LUCID_CACHE_DIR": str(folder)}
    environment = os.environ | {"PYTHONPATH": str(Path(lucid.__file__).parent.parent)} | more
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_is_imported_by_who_asks_for_it() -> None:
    out = program("""
import sys, lucid, numpy as np
f = lucid.compile(lambda x: (x.half() + 1).sum())
f(np.ones(3)), f(np.ones(3)), lucid.tensor([1.0]).to("float16"), lucid.finfo("float16")
print("ml_dtypes" in sys.modules)
print(lucid.bfloat16, "ml_dtypes" in sys.modules)
""")
    assert out.split() == ["False", "bfloat16", "True"]


def test_without_the_package_the_error_names_it() -> None:
    out = program("""
import sys
sys.modules["ml_dtypes"] = None
import lucid
print((lucid.tensor([1.0]).half() + 1).tolist())
x = lucid.tensor([1.0])
for ask in (lambda: lucid.bfloat16, lambda: x.bfloat16(), lambda: lucid.zeros(2, dtype="bfloat16")):
    try:
        print(ask())
    except ImportError as error:
        print(error)
""")
    first, *errors = out.strip().split("\n")
    assert first == "[2.0]" and len(errors) == 3
    assert all(
        "bfloat16 needs the package ml_dtypes: pip install lucid-compiler[bfloat16]" in e for e in errors
    )


def test_machine_code_comes_from_the_disk(tmp_path: Path) -> None:
    text = """
import sys, lucid, numpy as np
x = lucid.asarray(np.arange(6.0), dtype="bfloat16")
print((x * 0.1).exp().sum().item(), "llvmlite.binding" in sys.modules)
"""
    first, second = program(text, tmp_path).split(), program(text, tmp_path).split()
    assert first[0] == second[0] and (first[1], second[1]) == ("True", "False")


# --- made and read ------------------------------------------------------------------------------------


def test_ways_to_make_one() -> None:
    for made in (
        lucid.tensor([1.5, 2.0], dtype=lucid.bfloat16), lucid.tensor([1.5, 2.0], dtype="bfloat16"),
        lucid.asarray(np.array([1.5, 2.0], BF)), lucid.from_numpy(np.array([1.5, 2.0], BF)),
        lucid.tensor([1.5, 2.0]).bfloat16(), lucid.tensor([1.5, 2.0]).to(lucid.bfloat16),
        lucid.tensor([1.5, 2.0]).astype(BF), lucid.tensor([1.5, 2.0]).type_as(lucid.zeros(1, dtype=BF)),
    ):  # fmt: skip
        assert made.dtype == BF == lucid.bfloat16 and made.numpy().dtype == BF
        assert made.tolist() == [1.5, 2.0] and made[0].item() == 1.5
        assert made.is_floating_point()
    x = lucid.tensor([1.0, 3.3], dtype=BF)
    assert repr(x) == "Tensor([1, 3.29688], dtype=bfloat16, grad=None)"
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert again.dtype == BF and again.tolist() == x.tolist()


def test_creation() -> None:
    assert lucid.arange(5, dtype=BF).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(
        wide(lucid.linspace(0, 1, 7, dtype=BF)), wide(np.linspace(0, 1, 7).astype(BF))
    )
    assert lucid.full((2,), 0.1, dtype=BF).tolist() == [float(BF.type(0.1))] * 2
    assert lucid.eye(2, dtype=BF).tolist() == [[1, 0], [0, 1]]
    drawn = lucid.rand(4000, dtype=BF)
    steps = wide(drawn) * 256
    assert (steps == np.floor(steps)).all() and steps.min() >= 0 and steps.max() < 256
    assert abs(wide(lucid.randn(4000, dtype=BF)).mean()) < 0.1
    assert lucid.asarray([1e39, -1e39, 1e-45], dtype=BF).tolist() == [np.inf, -np.inf, 0]


def test_numbers_of_64_bits_are_rounded_once() -> None:
    """By way of float32 this would be a tie, which goes down."""
    above = 1 + 2.0**-8 + 2.0**-40
    for made in (
        lucid.tensor([above], dtype=BF), lucid.tensor(np.array([above])).bfloat16(),
        lucid.zeros(1, dtype=BF) + above, lucid.tensor([(1 << 24) + (1 << 16) + 1]).bfloat16() / (1 << 24),
    ):  # fmt: skip
        assert made.dtype == BF and made.tolist() == [1 + 2.0**-7]


def test_limits() -> None:
    known, found = ml_dtypes.finfo(BF), lucid.finfo(BF)
    for name in ("eps", "max", "min", "tiny", "smallest_normal", "smallest_subnormal"):
        assert getattr(found, name) == float(getattr(known, name)), name
    assert (
        lucid.isdtype(BF, "real floating") and lucid.isdtype(BF, (BF,)) and not lucid.isdtype(BF, np.float32)
    )
    assert not lucid.isdtype(np.float32, BF)


# --- promotion ----------------------------------------------------------------------------------------

OTHERS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64")


@pytest.mark.parametrize("other", OTHERS)
def test_promotion_is_pytorchs(other: str) -> None:
    torch = pytest.importorskip("torch")
    x, y = lucid.ones(2, dtype=BF), lucid.tensor(np.ones(2, other))
    expected = str((torch.ones(2).bfloat16() + torch.ones(2, dtype=getattr(torch, other))).dtype)[6:]
    for made in (x + y, y + x, lucid.where(x > 0, x, y), lucid.concatenate([x, y]), x * y):
        assert made.dtype.name == expected
    assert lucid.result_type(BF, np.dtype(other)).name == expected == lucid.promote_types(other, BF).name
    assert (x == y).dtype == bool
    try:
        mine = np.result_type(BF, np.dtype(other))
    except TypeError:
        return  # ml_dtypes has no rule
    assert mine.name == expected


def test_numbers_of_python_are_weak() -> None:
    x = lucid.ones(2, dtype=BF)
    for made in (x + 1, 1 + x, x * 0.1, x / 3, x**2, True + x, x // 2, lucid.maximum(x, 0.5), x.clip(0, 1)):
        assert made.dtype == BF
    assert (x + 1j).dtype == np.complex64
    assert (x * 0.1).tolist() == [float(BF.type(0.1))] * 2
    assert (x * 1e39).tolist() == [np.inf] * 2
    with pytest.raises(TypeError, match="bfloat16"):
        _ = x & 1


def test_sets_meet_in_the_common_dtype() -> None:
    x = lucid.tensor([3.0, 1.0, 1.0], dtype=BF)
    for found, expected in (
        (lucid.union1d(x, [2, 3]), [1, 2, 3]), (lucid.intersect1d(x, [2, 3]), [3]),
        (lucid.setxor1d([2, 3], x), [1, 2]), (lucid.setdiff1d(x, [2, 3]), [1]), (lucid.unique(x), [1, 3]),
    ):  # fmt: skip
        assert found.dtype == BF and found.tolist() == expected
    assert lucid.setdiff1d(np.array([(1 << 62) + 1, 5]), [5.0]).tolist() == [(1 << 62) + 1]


# --- computed -----------------------------------------------------------------------------------------

FORMULAS: dict[str, Any] = {
    "softmax": lambda x: lucid.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1]),
    "gelu": lambda x: F.gelu(x),
    "var": lambda x: x.var(0),
    "std": lambda x: x.std(),
    "mean": lambda x: x.mean(1),
    "norm": lambda x: lucid.linalg.norm(x),
    "cumsum": lambda x: x.cumsum(1),
    "cube": lambda x: x**3,
    "logsumexp": lambda x: x.logsumexp(1),
    "median": lambda x: x.median(),
    "huber": lambda x: F.huber_loss(x, x * 0.5),
    "quantile": lambda x: lucid.quantile(x, 0.3),
    "sigmoid": lambda x: lucid.sigmoid(x),
    "nan_to_num": lambda x: lucid.nan_to_num(x / 0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_are_float32_rounded_once(name: str) -> None:
    f, x = FORMULAS[name], values(33, 40)
    found, expected = f(Tensor(x)), f(Tensor(x.astype(np.float32)))
    assert found.dtype == BF
    if name == "nan_to_num":
        assert set(np.abs(wide(found)).ravel()) == {lucid.finfo(BF).max}
        return
    loose = 2.0**-7 if name in ("huber", "sigmoid") else 2.0**-8  # an operand that is rounded, too
    np.testing.assert_allclose(wide(found), wide(expected), rtol=loose, atol=1e-6)


def test_gradients_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, w = values(8, 16), values(16, 4)
    mine = [Tensor(v, requires_grad=True) for v in (x, w)]
    loss = (lucid.softmax(mine[0] @ mine[1], 1) ** 2).sum()
    loss.backward()
    theirs = [torch.tensor(wide(v), requires_grad=True) for v in (x, w)]
    ((theirs[0] @ theirs[1]).softmax(1) ** 2).sum().backward()
    for a, b in zip(mine, theirs, strict=True):
        assert a.grad is not None and a.grad.dtype == BF
        np.testing.assert_allclose(wide(a.grad), b.grad.numpy(), rtol=0.1, atol=0.02)


def test_products_and_sums_do_not_lose_what_16_bits_cannot_count() -> None:
    ones = lucid.ones(70_000, dtype=BF)
    assert ones.sum().item() == float(BF.type(70_000)) and ones.mean().item() == 1
    a, b = values(20, 300), values(300, 30)
    np.testing.assert_array_equal(
        wide(Tensor(a) @ Tensor(b)), wide((Tensor(a.astype("f")) @ Tensor(b.astype("f"))).numpy().astype(BF))
    )


def test_next_numbers() -> None:
    every = np.arange(1 << 16).astype(np.uint16).view(BF)
    x = every[np.isfinite(wide_quietly(every))]
    for to in (np.inf, -np.inf):
        found = lucid.nextafter(Tensor(x), lucid.tensor(to, dtype=BF)).numpy()
        np.testing.assert_array_equal(wide(found), wide(np.nextafter(x, BF.type(to))))


def wide_quietly(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return x.astype(np.float32)


def test_native_calls(recwarn: pytest.WarningsRecorder) -> None:
    """As eager ones, in place of another dtype too; `out=` is filled."""

    def f(x: Tensor, s: float) -> Tensor:
        return (x * s + 1).tanh()

    g: Any = lucid.compile(f)
    x = Tensor(values(50, 7))
    for s in (0.5, 0.25, 2.0, 3.0):
        np.testing.assert_array_equal(g(x, s).numpy(), f(x, s).numpy())
    traces = g.traces
    for s in (0.1, 0.2):
        np.testing.assert_array_equal(g(x.numpy(), s).numpy(), f(x, s).numpy())
    out = np.zeros((50, 7), BF)
    g(x, 4.0, out=out)
    np.testing.assert_array_equal(out, f(x, 4.0).numpy())
    assert g(x.float(), 0.5).dtype == np.float32 and g(x.half(), 0.5).dtype == np.float16
    assert g.traces > traces and g(x, 0.5).dtype == BF
    with pytest.raises((TypeError, ValueError), match="bfloat16"):
        g(x, 4.0, out=np.zeros((50, 7), np.uint16))


# --- exchange -----------------------------------------------------------------------------------------


def test_to_and_from_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = values(3, 4)
    t = torch.tensor(wide(x)).bfloat16()
    for made in (lucid.asarray(t), Tensor(t), lucid.from_dlpack(t), lucid.zeros(3, 4, dtype=BF) + t):
        assert made.dtype == BF
        np.testing.assert_array_equal(wide(made), wide(x))
    assert lucid.compile(lambda v: v + v)(t).dtype == BF
    np.testing.assert_array_equal(wide(lucid.asarray(t.t())), wide(x).T)
    shared = lucid.from_dlpack(t)
    t[0, 0] = 7
    assert shared[0, 0].item() == 7
    back = torch.from_dlpack(Tensor(x))
    assert back.dtype == torch.bfloat16
    np.testing.assert_array_equal(back.float().numpy(), wide(x))
    kept = Tensor(x)
    back = torch.from_dlpack(kept)
    back.zero_()
    np.testing.assert_array_equal(wide(kept), wide(x))
    assert torch.from_dlpack(lucid.ones(2)).tolist() == [1, 1]


# --- training -----------------------------------------------------------------------------------------

MAKE: dict[str, Any] = {
    "SGD": lambda p, **more: optim.SGD(p, lr=1e-4, momentum=0.9, **more),
    "AdamW": lambda p, **more: optim.AdamW(p, lr=1e-3, weight_decay=1e-2, **more),
}


@pytest.mark.parametrize(("name", "compiled"), [*itertools.product(MAKE, (False, True))])
def test_small_steps_add_up_in_master_weights(name: str, compiled: bool) -> None:
    start = np.array([1.0, -0.5, 0.25, 2.0])
    half, full = nn.Parameter(start.astype(BF)), nn.Parameter(start)
    mine, exact = MAKE[name]([half]), MAKE[name]([full])

    def step(g: Any) -> None:
        half.grad = lucid.asarray(g)
        mine.step()

    run = lucid.compile(step) if compiled else step
    for k in range(40):
        g = np.array([1e-3, 0.0, 0.5 * (k % 3), -2.0]).astype(BF)
        run(g)
        full.grad = Tensor(g.astype(float))
        exact.step()
    (master,) = mine.state["master"]
    assert half.dtype == BF and master.dtype == np.float32
    np.testing.assert_allclose(master, full, rtol=1e-5)
    np.testing.assert_array_equal(half.numpy(), master.numpy().astype(BF))


def test_a_network_learns() -> None:
    x = values(64, 8)
    y = (wide(x) @ np.linspace(-1, 1, 8, dtype="f")).astype(BF)[:, None]
    lucid.manual_seed(0)
    net = nn.Linear(8, 1, dtype=lucid.bfloat16)
    assert net.weight.dtype == BF
    opt = optim.Adam(net.parameters(), lr=0.02)

    @lucid.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        opt.zero_grad()
        loss = F.huber_loss(net(x), y)
        loss.backward()
        opt.step()
        return loss

    losses = [step(Tensor(x), Tensor(y)).item() for _ in range(200)]
    assert losses[-1] < 1e-3 < losses[0]
    other = nn.Linear(8, 1, dtype=lucid.bfloat16)
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.weight.numpy(), net.weight.numpy())
