"""PyTorch's methods that are functions elsewhere, those in place, and files of tensors."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, in_place, nn, optim
from lucid.borrowed import Borrowed
from lucid.in_place import InPlace

# Once is enough: that calls of all kinds give the same is tested elsewhere.
pytestmark = pytest.mark.table

X = np.array([[1.5, -2.0, 0.25], [0.5, 3.0, -0.75]], np.float32)


@pytest.mark.parametrize("name", [n for n in vars(Borrowed) if not n.startswith("_")])
def test_functions_as_methods(name: str) -> None:
    method = getattr(Tensor, name)
    assert method.__name__ == name and method.__qualname__ == f"Tensor.{name}" and method.__doc__
    with pytest.raises(TypeError, match=r"test_methods.py:\d+: \S+\(\): too many positional arguments"):
        getattr(Tensor(X), name)(*range(20))


def test_methods_give_what_functions_give() -> None:
    x, y = Tensor(X), Tensor(X[::-1].copy())
    for name in (
        "fmax",
        "hypot",
        "logaddexp",
        "less",
        "logical_and",
        "isclose",
        "float_power",
        "outer",
        "xlogy",
    ):
        np.testing.assert_array_equal(getattr(x, name)(y).numpy(), getattr(lucid, name)(x, y).numpy())
    assert x.allclose(x) is True and x.equal(X) is True and x.equal(X[:1]) is False
    assert x.aminmax().max.item() == 3.0 and x.is_same_size(y) and x.element_size() == 4
    np.testing.assert_array_equal(x.where(x > 0, 0.0).numpy(), np.where(X > 0, X, 0))
    np.testing.assert_array_equal(x.select(1, -1).numpy(), X[:, -1])
    np.testing.assert_array_equal(x.narrow(1, 1, 2).numpy(), X[:, 1:])
    np.testing.assert_array_equal(x.expand(4, 2, 3).sum_to_size(2, 1).numpy(), 4 * X.sum(1, keepdims=True))
    for made, kind in (
        (x.int(), "i4"),
        (x.short(), "i2"),
        (x.char(), "i1"),
        (abs(x).byte(), "u1"),
        (x.bool(), "?"),
    ):
        assert made.dtype == np.dtype(kind)
    assert x.new_zeros(2, 3).dtype == x.dtype and x.new_full((2,), 7, dtype=int).dtype == np.int64
    assert x.new_ones((2, 2)).shape == (2, 2) and x.new_tensor([1]).dtype == np.float32
    assert x.type() == "float32" and x.is_cpu and not x.is_cuda and x.tobytes() == X.tobytes()
    with pytest.raises(
        IndexError, match=r"test_methods.py:\d+: narrow: 3 elements from 1 on, along an axis of 3"
    ):
        x.narrow(1, 1, 3)


def test_size_is_a_number_and_when_called_the_shape() -> None:
    x = lucid.ones(3, 4)
    assert x.size == 12 and x.size() == (3, 4) and x.size(0) == 3 and x.size(dim=-1) == 4
    assert type(x.size + 1) is int and lucid.zeros(x.size).shape == (12,) and json.dumps(x.size) == "12"
    assert pickle.loads(pickle.dumps(x.size)) == 12 and np.mean(x / x.size).item() == np.float32(1 / 12)
    with pytest.raises(IndexError, match=r"test_methods.py:\d+: axis 2 is out of bounds"):
        x.size(2)
    times = lucid.compile(lambda x, n: x.reshape(x.size(0), -1) * n)
    for _ in range(3):
        assert times(x, x.size).numpy()[0, 0] == 12
    assert times.traces == 1 and times(x[:2], x[:2].size).numpy()[0, 0] == 8


_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "addcdiv": (X, X + 9), "addcmul": (X, X), "bitwise_and": (3,), "bitwise_not": (), "bitwise_or": (3,),
    "bitwise_xor": (3,), "bitwise_left_shift": (1,), "bitwise_right_shift": (1,), "gcd": (4,), "lcm": (4,),
    "addmm": (np.ones((2, 2)), X), "addmv": (np.ones((3, 3)), X[0]), "addr": (X[0, :2], X[0]), "addbmm":
    (np.ones((4, 2, 2), "f"), np.ones((4, 2, 3), "f")), "baddbmm": (np.ones((4, 2, 2)), np.ones((4, 2, 3))),
    "polygamma": (1,), "mvlgamma": (1,),
    "clamp": (-1, 1), "clamp_max": (1,), "clamp_min": (0,), "clip": (0, None), "cumprod": (1,),
    "cumsum": (0,),
    "index_put": (([0, 1], [1, 1]), 5.0), "lerp": (X * 2, 0.25), "masked_scatter": (X > 0, X * 2),
    "scatter_reduce": (0, np.array([[1, 0, 1]]), X[:1], "sum"),
    "ldexp": (np.array([1, 2, 3]),), "softmax": (-1,), "scatter": (0, np.array([[1, 0, 1]]), X[:1]),
    "scatter_add": (0, np.array([[1, 0, 1]]), X[:1]), "index_add": (0, [1, 0], X),
    "index_copy": (0, [1], X[:1]), "index_reduce": (0, [1, 0], X, "amax"), "renorm": (2, 0, 1.0),
    "index_fill": (1, [0, 2], 4.0), "masked_fill": (X > 0, 7.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in dir(InPlace) if n.endswith("_") and not n.startswith("_")])
def test_in_place(name: str) -> None:
    """The value is that of the method without `_`, for all who hold the tensor; others keep theirs."""
    base = name.removesuffix("_")
    made = name in {f"{n}_" for n in in_place.METHODS} or name in dir(lucid.methods.Methods)
    if not made:
        return
    whole = base.startswith("bitwise") or base in ("gcd", "lcm")
    array = np.array([[6, 5, 3], [2, 1, 9]]) if whole else np.abs(X) + 0.25
    array = (
        array * 0.2
        if base in ("arccos", "acos", "arcsin", "asin", "arctanh", "atanh", "erfinv", "logit")
        else array
    )
    needed = _ARGUMENTS.get(base)
    if needed is None:
        needed = (X,) if _takes_another(base) else ()
    x = Tensor(array)
    before, view = x.detach(), x.numpy()
    right = getattr(Tensor(array), base)(*needed).numpy()
    right = right.astype(array.dtype) if right.dtype == np.bool_ else right
    if right.dtype != array.dtype:
        with pytest.raises(TypeError, match=r"test_methods.py:\d+: in place"):
            getattr(x, name)(*needed)
        return
    assert getattr(x, name)(*needed) is x
    np.testing.assert_array_equal(x.numpy(), right)
    np.testing.assert_array_equal(before.numpy(), array)
    np.testing.assert_array_equal(view, array)


def _takes_another(name: str) -> bool:
    try:
        getattr(Tensor(X), name)()
    except TypeError:
        return True
    return False


def test_values_in_place() -> None:
    x = Tensor(X)
    assert x.copy_(np.arange(3)) is x and x.dtype == np.float32
    np.testing.assert_array_equal(x.numpy(), np.broadcast_to([0, 1, 2], (2, 3)))
    np.testing.assert_array_equal(x.fill_(2.5).numpy(), np.full((2, 3), 2.5))
    np.testing.assert_array_equal(x.zero_().numpy(), np.zeros((2, 3)))
    assert x.uniform_(2, 3).min().item() >= 2 and x.normal_(50.0).min().item() > 40
    assert x.exponential_().min().item() > 0 and set(np.unique(x.bernoulli_(0.5).numpy())) <= {0, 1}
    with pytest.raises(ValueError, match=r"test_methods.py:\d+: broadcast_to"):
        x.copy_(np.ones(4))
    w = nn.Parameter(X)
    with pytest.raises(RuntimeError, match=r"test_methods.py:\d+: in place: a leaf that requires grad"):
        w.mul_(2)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_by_hand(compiled: bool) -> None:
    """As it is written in PyTorch: gradients are set to zero, and parameters go on, in place."""
    w = nn.Parameter(X)

    def step(x: Tensor) -> Tensor:
        if w.grad is not None:
            w.grad.zero_()
        loss = ((w - x) ** 2).sum()
        loss.backward()
        with lucid.no_grad():
            assert w.grad is not None
            w.add_(w.grad, alpha=-0.25)
        return loss

    run = lucid.compile(step) if compiled else step
    right = X.astype(np.float64)
    for _ in range(4):
        run(Tensor(np.ones_like(X)))
        right += -0.25 * 2 * (right - 1)
    np.testing.assert_allclose(w.detach().numpy(), right, rtol=1e-6)


# --- files -----------------------------------------------------------------------------------------


def test_a_run_goes_on_from_a_file(tmp_path: Path) -> None:
    lucid.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    opt = optim.AdamW(net.parameters(), lr=0.1)

    def train(net: Any, opt: Any) -> None:
        opt.zero_grad()
        (net(Tensor(X)) ** 2).sum().backward()
        opt.step()

    train(net, opt)
    path = tmp_path / "run.lucid"
    lucid.save(
        {"net": net.state_dict(), "opt": opt.state_dict(), "epoch": 3, "seed": lucid.random.get_state()}, path
    )
    train(net, opt)
    other = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    again = optim.AdamW(other.parameters(), lr=0.5)
    state = lucid.load(path)
    other.load_state_dict(state["net"])
    again.load_state_dict(state["opt"])
    train(other, again)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert state["epoch"] == 3 and list(tmp_path.iterdir()) == [path]


def test_what_is_saved_comes_back() -> None:
    things: dict[Any, Any] = {
        "none": None, "flag": True, "number": 2**70, "float": float("inf"), "complex": 1 - 2j, "text": "ä",
        "list": [1, (2.5, [])], 7: {}, "array": np.arange(3, dtype=">i2"), "scalar": np.float32(1.5),
        "tensor": Tensor(X[:, ::2], requires_grad=True), "empty": Tensor(np.zeros((0, 3))), "0-d": Tensor(2),
        "half": Tensor([1.5, -2.0], dtype="float16"), "z": Tensor([1 + 2j]),
    }  # fmt: skip
    file = io.BytesIO()
    lucid.save(things, file)
    found = lucid.load(file)
    assert list(found) == list(things)
    for key, x in things.items():
        y = found[key]
        assert type(y) is type(x), key
        if isinstance(x, Tensor | np.ndarray):
            assert y.dtype == x.dtype
            a, b = (v.detach().numpy() if isinstance(v, Tensor) else v for v in (x, y))
            np.testing.assert_array_equal(a, b)
        else:
            assert y == x
    assert found["tensor"].requires_grad and not found["0-d"].requires_grad


def test_bfloat16_in_files() -> None:
    pytest.importorskip("ml_dtypes")
    file = io.BytesIO()
    lucid.save(Tensor([1.5, -2.0], dtype="bfloat16"), file)
    assert lucid.load(file).dtype == lucid.bfloat16 and lucid.load(file).tolist() == [1.5, -2.0]


class Unknown:
    pass


@pytest.mark.parametrize(
    ("obj", "where"),
    [
        ({"a": [1, Unknown()]}, r"the object\['a'\]\[1\] is a Unknown"),
        ({(1, 2): 3}, r"the object has the key \(1, 2\)"),
        (np.array([None]), "array of object"),
        (nn.Linear(1, 1), r"is a Linear; expected .*state_dict\(\)"),
    ],
)
def test_what_cannot_be_saved(obj: Any, where: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("as it was")
    with pytest.raises(TypeError, match=rf"test_methods.py:\d+: save: .*{where}"):
        lucid.save(obj, path)
    assert path.read_text() == "as it was" and list(tmp_path.iterdir()) == [path]


def _archive(structure: Any, **members: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("structure.json", json.dumps(structure))
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file


def _pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Unknown()], object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        io.BytesIO(b"not a zip archive"),
        _archive({}),
        _archive([1]),
        _archive({"lucid": 99, "is": None}),
        _archive({"lucid": 1, "is": {"tensor": 0}}),
        _archive({"lucid": 1, "is": {"tensor": "../../etc/passwd"}}),
        _archive({"lucid": 1, "is": {"tensor": 0}}, **{"0": b"\x93NUMPY\x01\x00v\x00{'descr'"}),
        _archive({"lucid": 1, "is": {"tensor": 0}}, **{"0": _pickled()}),
        _archive({"lucid": 1, "is": {"what": 1}}),
        _archive({"lucid": 1, "is": {"dict": [[[1], 2]]}}),
        _archive({"lucid": 1, "is": json.loads('{"list": [' * 300 + "]}" * 300)}),
    ],
    ids=range(11),
)
def test_damaged_files(file: Any) -> None:
    with pytest.raises(
        ValueError, match=r"test_methods.py:\d+: load: no file that lucid.save wrote, or damaged"
    ):
        lucid.load(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lucid.load(tmp_path / "nothing")
