"""Every public function with every kind of argument: a result, or an error that names the user's line."""

from __future__ import annotations

import decimal
import enum
import fractions
import functools
import inspect
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.conftest import Golden


class Number(enum.IntEnum):
    two = 2


class Raises:
    """Says that it is an array, and is none."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("no array")


KINDS: dict[str, Any] = {
    "None": None, "True": True, "int": 3, "negative": -1, "zero": 0, "2**70": 2**70, "float": 0.5,
    "nan": float("nan"), "inf": float("inf"), "complex": 1j, "enum": Number.two,
    "fraction": fractions.Fraction(1, 2), "decimal": decimal.Decimal("0.5"),
    "str": "abc", "empty str": "", "bytes": b"x", "list": [1.0, 2.0], "ints": [1, 2], "tuple": (1, 2),
    "empty list": [], "ragged": [[1.0], [1.0, 2.0]], "words": ["a", "b"], "None in a list": [None],
    "dict": {"a": 1}, "set": {1, 2}, "range": range(3), "object": object(), "class": int, "function": len,
    "module": np, "slice": slice(1), "...": ..., "Raises": Raises(),
    "float32 scalar": np.float32(2), "int8 scalar": np.int8(2), "bool scalar": np.bool_(True),
    "array": np.ones(3, np.float32), "0-d array": np.array(2.0), "objects": np.array([None, 1]),
    "strings": np.array(["a"]), "dates": np.array(["2020-01-01"], "M8[D]"), "records": np.zeros(2, "i4,f4"),
    "complexes": np.ones(2, complex), "empty": np.zeros((2, 0)), "bools": np.array([True, False]),
    "read-only": np.broadcast_to(np.float32(1), (2, 3)), "masked": np.ma.masked_equal([1.0, 2.0], 2),
    "big-endian": np.ones(2, ">f4"), "tensor": Tensor([1.0, 2.0, 3.0]), "int tensor": Tensor([1, 2]),
    "0-d tensor": Tensor(2), "dtype": np.dtype("float32"),
}  # fmt: skip
X = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
W = Tensor([1.0, 2.0, 3.0])
I = Tensor([1, 2, 3])  # noqa: E741
_BITS = ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "bitwise_left_shift",
         "bitwise_right_shift")  # fmt: skip
_BINARY = [
    n
    for n in lucid.functional.__all__
    if list(inspect.signature(getattr(lucid, n)).parameters)[:2] == ["a", "b"]
]
_OTHERS: dict[str, Callable[[Any], Any]] = {
    "broadcast_to": lambda v: lucid.broadcast_to(W, v),
    "reshape": lambda v: lucid.reshape(X, v),
    "transpose": lambda v: lucid.transpose(X, v),
    "astype": lambda v: lucid.astype(X, v),
    "clip.min": lambda v: lucid.clip(W, v),
    "clip.max": lambda v: lucid.clip(W, None, v),
    "sum.axis": lambda v: lucid.sum(X, axis=v),
    "mean.dim": lambda v: lucid.mean(X, dim=v),
    "max.axis": lambda v: lucid.max(X, axis=v),
    "var.axis": lambda v: lucid.var(X, axis=v),
    "var.ddof": lambda v: lucid.var(X, ddof=v),
    "sum.dtype": lambda v: lucid.sum(X, dtype=v),
    "mean.dtype": lambda v: lucid.mean(X, dtype=v),
    "squeeze.dim": lambda v: lucid.squeeze(X, v),
    "unsqueeze.dim": lambda v: lucid.unsqueeze(X, v),
    "flatten.start": lambda v: lucid.flatten(X, v),
    "swapaxes": lambda v: lucid.swapaxes(X, 0, v),
    "where.condition": lambda v: lucid.where(v, 1.0, 2.0),
    "where.a": lambda v: lucid.where(W > 1, v, W),
    "index": lambda v: X[v],
    "to": lambda v: X.to(v),
    "+": lambda v: W + v,
    "reflected -": lambda v: v - W,
    "@": lambda v: X @ v,
    "Tensor": lambda v: Tensor(v),
    "Tensor.dtype": lambda v: Tensor(1.0, dtype=v),
    "asarray": lambda v: lucid.asarray(v),
    "from_numpy": lambda v: lucid.from_numpy(v),
    "full.shape": lambda v: lucid.full(v, 1.0),
    "full": lambda v: lucid.full(3, v),
    "zeros": lambda v: lucid.zeros(v),
    "zeros.dtype": lambda v: lucid.zeros(2, dtype=v),
    "ones.device": lambda v: lucid.ones(2, device=v),
    "rand": lambda v: lucid.rand(v),
    "randn": lambda v: lucid.randn(v),
    "randint": lambda v: lucid.randint(v),
    "randint.size": lambda v: lucid.randint(0, 5, v),
    "zeros_like": lambda v: lucid.zeros_like(v),
    "full_like": lambda v: lucid.full_like(W, v),
    "arange": lambda v: lucid.arange(v),
    "arange.step": lambda v: lucid.arange(0, 3, v),
    "linspace.num": lambda v: lucid.linspace(0, 1, v),
    "linspace.stop": lambda v: lucid.linspace(0, v),
    "eye": lambda v: lucid.eye(v),
    "manual_seed": lambda v: lucid.manual_seed(v),
    "backward": lambda v: (Tensor([1.0, 2.0, 3.0], requires_grad=True) * 2).backward(v),
    "grad of": lambda v: lucid.grad(lambda w: (w * w).sum())(v),
    "set_num_threads": lambda v: lucid.set_num_threads(v),
    "compile.threads": lambda v: lucid.compile(F.relu, threads=v),
    "relu": lambda v: F.relu(v),
    "sigmoid": lambda v: F.sigmoid(v),
    "softmax": lambda v: F.softmax(v),
    "softmax.axis": lambda v: F.softmax(X, v),
    "log_softmax": lambda v: F.log_softmax(v, dim=0),
    "linear": lambda v: F.linear(v, X),
    "linear.weight": lambda v: F.linear(W, v),
    "layer_norm": lambda v: F.layer_norm(v, 3),
    "layer_norm.shape": lambda v: F.layer_norm(X, v),
    "layer_norm.eps": lambda v: F.layer_norm(X, 3, eps=v),
    "layer_norm.weight": lambda v: F.layer_norm(X, 3, v),
    "huber": lambda v: F.huber_loss(v, W),
    "huber.delta": lambda v: F.huber_loss(W, W, v),
    "huber.weight": lambda v: F.huber_loss(W, W, weight=v),
    "smooth_l1.beta": lambda v: F.smooth_l1_loss(W, W, v),
    "mse.target": lambda v: F.mse_loss(W, v),
    "l1.reduction": lambda v: F.l1_loss(W, W, v),
    "Linear": lambda v: nn.Linear(v, 2),
    "Linear()": lambda v: nn.Linear(3, 2)(v),
    "Linear.out_features": lambda v: nn.Linear(2, v),
    "Linear.device": lambda v: nn.Linear(2, 2, device=v),
    "Linear.dtype": lambda v: nn.Linear(2, 2, dtype=v),
    "LayerNorm": lambda v: nn.LayerNorm(v),
    "LayerNorm.eps": lambda v: nn.LayerNorm(3, v),
    "LayerNorm.device": lambda v: nn.LayerNorm(3, device=v),
    "LayerNorm.dtype": lambda v: nn.LayerNorm(3, dtype=v),
    "Sequential": lambda v: nn.Sequential(v),
    "Sequential.append": lambda v: nn.Sequential(nn.ReLU()).append(v),
    "Softmax": lambda v: nn.Softmax(v),
    "GELU": lambda v: nn.GELU(v),
    "HuberLoss": lambda v: nn.HuberLoss(v),
    "HuberLoss.delta": lambda v: nn.HuberLoss(delta=v),
    "SmoothL1Loss.beta": lambda v: nn.SmoothL1Loss(beta=v),
    "MSELoss": lambda v: nn.MSELoss(v),
    "L1Loss": lambda v: nn.L1Loss(v),
    "Parameter": lambda v: nn.Parameter(v),
    "Parameter.dtype": lambda v: nn.Parameter(1.0, dtype=v),
    "register_buffer": lambda v: nn.Module().register_buffer("b", v),
    "register_buffer.name": lambda v: nn.Module().register_buffer(v, W),
    "data": lambda v: setattr(nn.Parameter(W), "data", v),
    "tensor.grad": lambda v: setattr(nn.Parameter(W), "grad", v),
    "compiled": lambda v: lucid.compile(lambda x: x)(v),
    "compiled.out": lambda v: lucid.compile(lambda x: x * 2)(W, out=v),
    "compiled.out of two": lambda v: lucid.compile(lambda x: (x * 2, x.sum()))(W, out=(v, None)),
    "compiled.out as a pair": lambda v: lucid.compile(lambda x: (x * 2, x + 1))(W, out=v),
    "np.exp.out": lambda v: np.exp(W, out=v),
    "sum.out": lambda v: lucid.sum(W, out=v),
    "divmod": lambda v: divmod(W, v)[1],
    "**": lambda v: W**v,
    "reflected **": lambda v: v**W,
    "<": partial(operator.lt, W),
    "==": partial(operator.eq, W),
    "load_state_dict": lambda v: nn.Linear(3, 2).load_state_dict(v),
    "SGD": lambda v: lucid.optim.SGD(v),
    "SGD.lr": lambda v: lucid.optim.SGD([nn.Parameter(1.0)], lr=v),
    "SGD.dampening": lambda v: lucid.optim.SGD([nn.Parameter(1.0)], dampening=v),
    "Adam.betas": lambda v: lucid.optim.Adam([nn.Parameter(1.0)], betas=v),
    "Adam.eps": lambda v: lucid.optim.Adam([nn.Parameter(1.0)], eps=v),
    "SGD.load_state_dict": lambda v: lucid.optim.SGD([nn.Parameter(1.0)]).load_state_dict(v),
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{n: getattr(lucid, n) for n in lucid.functional.__all__ if n not in (*_BINARY, *_OTHERS, "where")},
    **{n: partial(getattr(lucid, n), I if n in _BITS else W) for n in _BINARY},
    **_OTHERS,
}
# What the object whose turn it is says: not raised inside of lucid.
_OF_OTHERS = re.compile(r"^no array|operands could not be broadcast|one entry per ufunc output")


def _answer(f: Callable[[Any], Any], value: Any) -> str:
    """The class of what comes back; of an error, with a mark if it names no line of the user's."""
    threads = lucid.get_num_threads()
    try:
        made = f(value)
    except Exception as error:
        text = str(error.args[0]) if error.args else ""
        named = re.match(r".*test_arguments\.py:\d+: ", text) or _OF_OTHERS.search(text)
        return type(error).__name__ + ("" if named else f" WITHOUT A PLACE ({text})")
    finally:
        lucid.set_num_threads(threads)
    return f"{made.dtype}[{made.ndim}]" if isinstance(made, Tensor) else type(made).__name__


@functools.cache
def _answers(name: str) -> dict[str, list[str]]:
    """The kinds of argument, by what the function answers."""
    found: dict[str, list[str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, value in KINDS.items():
            if (name, kind) == (
                "reflected **",
                "fraction",
            ):  # Fraction decides, before Python 3.12 as a float
                continue
            found.setdefault(_answer(FUNCTIONS[name], value), []).append(kind)
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_bad_argument_without_a_place(name: str) -> None:
    assert not {answer: kinds for answer, kinds in _answers(name).items() if "WITHOUT" in answer}


def test_the_class_of_each_answer(golden: Golden) -> None:
    lines: list[str] = []
    for name in FUNCTIONS:
        lines.append(name)
        lines += sorted(f"    {answer}: {', '.join(kinds)}" for answer, kinds in _answers(name).items())
    golden("arguments.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "square", "sign", "abs", "negative", "floor"])
@pytest.mark.parametrize("number", [1, 2.0, True, np.float64(3), np.int8(4)])
def test_numbers_are_tensors(name: str, number: Any) -> None:
    """In the dtype that a tensor of the number has."""
    if number is True and name in ("negative", "sign", "square"):
        return
    made = getattr(lucid, name)(number)
    right = getattr(np, name)(Tensor(number).numpy())
    assert made.dtype == right.dtype
    np.testing.assert_allclose(made.numpy(), right, rtol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda bad: F.one_hot(lucid.zeros(2).astype("int64"), bad),
        lambda bad: F.nll_loss(lucid.zeros((2, 3)), np.array([0, 1]), ignore_index=bad),
        lambda bad: lucid.array_split(lucid.zeros(4), bad),
        lambda bad: lucid.broadcast_shapes((bad,), (1,)),
        lambda bad: lucid.topk(lucid.zeros(3), bad),
        lambda bad: lucid.kthvalue(lucid.zeros(3), bad),
        lambda bad: lucid.tile(lucid.zeros(3), bad),
        lambda bad: lucid.random.choice(bad),
    ],
)
def test_what_is_no_whole_number_is_named(call: Any) -> None:
    with pytest.raises(TypeError, match=r"test_arguments.py:\d+: .*(must be|expected) an int.* not float"):
        call(1.5)


def test_one_call_written_several_ways_is_traced_once() -> None:
    @lucid.compile
    def f(x: Any, flag: bool = False, mode: str = "a", *, scale: float = 2.0, deep: bool = True) -> Any:
        return x * scale if not flag and mode == "a" and deep else x

    x = np.ones(2)
    for _ in range(5):  # by Python, then by native code
        named = f(x=x), f(x, mode="a"), f(x=x, flag=False, deep=True)
        for found in (f(x), f(x, False), f(x, flag=False), *named):
            np.testing.assert_array_equal(found, x * 2)
    assert f.traces == 1
    for _ in range(5):
        np.testing.assert_array_equal(f(x, True), x)
        np.testing.assert_array_equal(f(x, flag=True, scale=5.0), x)
        np.testing.assert_array_equal(f(x, mode="a", scale=5.0), x * 5)
        np.testing.assert_array_equal(f(x, mode="b"), x)
        np.testing.assert_array_equal(f(x, False, "b"), x)
    wrong: Any = f
    with pytest.raises(TypeError, match="multiple values for argument 'x'"):
        wrong(x, x=x)

    @lucid.compile
    def g(x: Any, y: Any) -> Any:
        return x - y

    for _ in range(5):
        for found in (g(x, x * 3), g(y=x * 3, x=x), g(x, y=x * 3)):
            np.testing.assert_array_equal(found, x * -2)
    assert g.traces == 1


def test_a_number_that_is_a_default_is_an_argument() -> None:
    @lucid.compile
    def f(x: Any, scale: float = 2.0, /, *, shift: int = 1, mode: str = "a") -> Any:
        return x * scale + shift

    x = np.ones(2)
    for _ in range(5):
        calls = f(x), f(x, 2.0), f(x, shift=1), f(x, mode="a", shift=1), f(x, 2.0, mode="a")
        for found in calls:
            np.testing.assert_array_equal(found, x * 3)
    assert f.traces == 1
    for scale in (3.0, 4.0, 2.0, 5.0):
        for _ in range(3):
            np.testing.assert_array_equal(f(x, scale), x * (scale + 1))
            np.testing.assert_array_equal(f(x, scale, shift=1), x * (scale + 1))
            np.testing.assert_array_equal(f(x), x * 3)
    assert f.traces == 2
    assert f.explain().report.traces[-1].reason == "argument scale changed from 2.0 to 3.0"
    f.__wrapped__.__defaults__ = (7.0,)
    for _ in range(3):
        np.testing.assert_array_equal(f(x), x * 8)
        np.testing.assert_array_equal(f(x, 2.0), x * 3)
    f.__wrapped__.__kwdefaults__ = {"shift": 5, "mode": "b"}
    for _ in range(3):
        np.testing.assert_array_equal(f(x), x * 12)


def test_what_is_no_plain_default_stays_away() -> None:
    """What stands behind it goes by name, in the function's order."""
    bias = lucid.ones(2)

    @lucid.compile
    def f(x: Any, b: Any = bias, scale: float = 2.0, *rest: Any, more: Any = 1, **others: Any) -> Any:
        return x * scale + b + sum(rest) + more + sum(others.values())

    x = np.ones(2)
    for _ in range(4):
        for found in (f(x), f(x, scale=2.0), f(more=1, scale=2.0, x=x), f(x=x, more=1)):
            np.testing.assert_array_equal(found, x * 4)
        np.testing.assert_array_equal(f(x, bias, 2.0, x, more=1), x * 5)
        np.testing.assert_array_equal(f(x, z=x, y=x * 2), x * 7)
        np.testing.assert_array_equal(f(y=x * 2, x=x, z=x), x * 7)
    assert f.traces == 4  # those behind ** have the order in which they are given


# --- frozen dataclasses --------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    x: Any
    y: Any
    scale: float = 2.0
    name: str = "a"

    def scaled(self) -> Any:
        return self.x * self.scale * FACTOR[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    kind: ClassVar[str] = "inner"
    parts: list[Any]
    made: Any = field(init=False, default=None)


FACTOR = [1.0]


def test_frozen_dataclasses_are_containers() -> None:
    @lucid.compile
    def f(batch: Batch) -> Batch:
        return Batch(batch.scaled() + batch.y, {"sum": batch.x.sum()}, name=batch.name)

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for k in range(6):  # a new object at each call
        made = f(Batch(lucid.tensor(x + k), x))
        assert type(made) is Batch and made.name == "a" and made.scale == 2.0
        assert made.x.numpy().tobytes() == ((x + k) * 2 + x).tobytes()
        assert made.y["sum"].item() == (x + k).sum()
    assert f.traces == 1
    f(Batch(lucid.tensor(x), x, name="b"))
    assert f.traces == 2 and "argument batch.name" in f.explain()
    FACTOR[0] = 3.0  # what its methods read is a fact
    try:
        assert f(Batch(lucid.tensor(x), x)).x.numpy().tobytes() == (x * 2 * np.float32(3) + x).tobytes()
    finally:
        FACTOR[0] = 1.0
    for n in range(2, 40):  # shapes of them are kept as those of arrays
        f(Batch(lucid.ones((n, 3)), np.ones((n, 3), np.float32)))
    traces = f.traces
    f(Batch(lucid.ones((2, 3)), np.ones((2, 3), np.float32)))
    assert f.traces == traces


def test_frozen_dataclasses_in_each_other_and_gradients() -> None:
    g = lucid.compile(lambda a: Inner(parts=[p * 2 for p in a.parts]))
    for k in range(3):
        made = g(Inner(parts=[lucid.ones(2), lucid.full((2,), float(k))]))
        assert [p.numpy().tolist() for p in made.parts] == [[2, 2], [2.0 * k] * 2] and made.made is None
    assert g.traces == 1

    def changes(a: Inner) -> Any:
        a.parts.append(1.0)
        return a.parts[0]

    with pytest.raises(lucid.TraceError, match=r"argument a\.parts"):
        lucid.compile(changes)(Inner(parts=[lucid.ones(2)]))
    w = lucid.ones(3, requires_grad=True)
    loss = lucid.compile(lambda b: (b.x * b.y).sum())(Batch(w, np.full(3, 5, np.float32)))
    loss.backward()
    assert w.grad is not None and w.grad.numpy().tolist() == [5, 5, 5]
