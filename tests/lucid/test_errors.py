"""Bad input raises at the operation, with the user's line, and changes nothing."""

from __future__ import annotations

import inspect
import math
import operator
import os
import pickle
import re
import sysconfig
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, TraceError, nn
from lucid.nn import functional as F

X = Tensor([1.0, 2.0, 3.0])
Y = Tensor([1.0, 2.0, 3.0, 4.0])
BITS = Tensor([True, False])
ONE = Tensor(1.0)
GRAD: Any = lucid.grad
COMPILED: Any = lucid.compile  # with arguments that do not fit


def _after_small() -> Any:
    """Its number is an operand by now."""
    f = lucid.compile(lambda x, n: x * n)
    for n in (1, 2, 3):
        f(X, n)
    return f


AFTER_SMALL = _after_small()

CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: X + Y, ValueError, r"add: shapes \(3,\) and \(4,\) do not broadcast"),
    (lambda: X == Y, ValueError, "eq: shapes"),
    (lambda: lucid.where(X > 0, X, Y), ValueError, "where: shapes"),
    (lambda: X @ Y, ValueError, "matmul: shapes"),
    (lambda: X & 1, TypeError, "bitwise_and: not defined for float32, int; cast with astype"),
    (lambda: BITS - BITS, TypeError, "subtract: not defined for bool, bool"),
    (lambda: -BITS, TypeError, "neg: not defined for bool; use ~x"),
    (lambda: ~X, TypeError, "invert: not defined for float32"),
    (lambda: X + "a", TypeError, r"Tensor \+ str: unsupported operand; expected a tensor, an array"),
    (lambda: "a" + X, TypeError, r"str \+ Tensor: unsupported operand"),
    (lambda: X < "a", TypeError, "Tensor < str: unsupported operand"),
    (lambda: X <= {}, TypeError, "Tensor <= dict: unsupported operand"),
    (lambda: X @ object(), TypeError, "Tensor @ object: unsupported operand"),
    (lambda: object() // X, TypeError, "object // Tensor: unsupported operand"),
    (lambda: X ** None, TypeError, r"Tensor \*\* NoneType: unsupported operand"),
    (lambda: divmod(X, "a"), TypeError, "Tensor // str: unsupported operand"),
    (lambda: Tensor([1.0]).__imul__([None]), TypeError, "unsupported dtype object"),
    (lambda: X * 10**400, OverflowError, "integer of 1329 bits is out of bounds for float32"),
    (lambda: lucid.compile(lambda x, n: x * n)(X, 10**400), OverflowError, "1329 bits is out of bounds"),
    (lambda: AFTER_SMALL(X, 10**400), OverflowError, "1329 bits is out of bounds"),
    (lambda: COMPILED(lambda a, b: a + b)(X, c=1), TypeError, "unexpected keyword .*'c'; expected a, b"),
    (lambda: COMPILED(lambda a, b, /: a)(X, b=1), TypeError, "unexpected keyword .*'b'; expected none"),
    (lambda: COMPILED(lambda a, b: a)(X), TypeError, "missing a required argument: 'b'"),
    (lambda: Tensor([1]) + 2**70, OverflowError, "out of bounds for int64"),
    (lambda: X.astype("float128x"), TypeError, "unknown dtype 'float128x'; expected one of bool, int8"),
    (lambda: Tensor([1.0], dtype="int3"), TypeError, "unknown dtype 'int3'"),
    (lambda: Tensor(["a"]), TypeError, "unsupported dtype"),
    (lambda: Tensor([[1.0], [1.0, 2.0]]), ValueError, "lists of several shapes"),
    (lambda: Tensor(object()), TypeError, "unsupported dtype object"),
    (lambda: Tensor(None), TypeError, r"made of numbers, arrays and lists of them, not None \(unsupported"),
    (lambda: Tensor("x"), TypeError, "lists of them, not 'x'"),
    (lambda: Tensor([1, "a"]), TypeError, "lists of them, not 'a'"),
    (lambda: Tensor({1}), TypeError, "lists of them, not set"),
    (lambda: lucid.randint(3.5), TypeError, "low must be an int, not float"),  # type: ignore[arg-type]
    (lambda: lucid.argmax(lucid.ones(2, 2), axis=(0, 1)), TypeError, "axis must be an int, not tuple"),  # type: ignore[arg-type]
    (lambda: lucid.sort(X, axis=1.5), TypeError, "axis must be an int, not float"),  # type: ignore[arg-type]
    (lambda: X.triu("a"), TypeError, "k must be an int, not str"),  # type: ignore[arg-type]
    (lambda: lucid.pad(X, (1, 2, 3)), ValueError, r"a pair for each of 1 axes, not \(1, 2, 3\); nn.func"),
    (lambda: lucid.pad(X, ((1, 2), 3)), ValueError, "a pair for each of 1 axes"),
    (lambda: lucid.zeros(2, dtype="f3"), TypeError, "f3"),
    (lambda: lucid.zeros(2, -1), ValueError, "negative extent"),
    (lambda: lucid.arange(3, dtype="x"), TypeError, "unknown dtype"),
    (lambda: lucid.rand(3, dtype="int32"), TypeError, "float dtype"),
    (lambda: X.reshape(2, 2), ValueError, "reshape: 3 elements"),
    (lambda: X.sum(axis=1), IndexError, "axis 1 is out of bounds for a tensor of 1 dimensions"),
    (lambda: X[5], IndexError, "index 5 is out of bounds"),
    (lambda: lucid.compile(lambda x: x[x > 1])(X), lucid.TraceError, "lucid.where"),
    (lambda: bool(X), ValueError, r"truth value of a tensor of shape \(3,\) is ambiguous"),
    (lambda: X.item(), ValueError, r"item\(\) of a tensor of shape \(3,\): expected one element, not 3"),
    (lambda: float(X), ValueError, r"float\(\) of a tensor of shape \(3,\): expected one"),
    (lambda: int(X), ValueError, r"int\(\) of a tensor"),
    (lambda: math.exp(X), ValueError, r"float\(\) of a tensor"),
    (lambda: f"{X:.2f}", ValueError, r"format\(\) of a tensor"),
    (lambda: lucid.compile(lambda x: x * float(x))(ONE), TraceError, r"float\(\) of a tensor"),
    (lambda: lucid.compile(lambda x: x * int(x))(ONE), TraceError, r"int\(\) of a tensor"),
    (lambda: lucid.compile(lambda x: x * bool(x))(ONE), TraceError, r"bool\(\) of a tensor"),
    (lambda: lucid.compile(lambda x: x * math.exp(x))(ONE), TraceError, r"float\(\) of a tensor"),
    (lambda: lucid.compile(lambda x: f"{x}")(ONE), TraceError, r"format\(\) of a tensor"),
    (lambda: lucid.compile(lambda x: f"{x:.3f}")(ONE), TraceError, r"format\(\) of a tensor"),
    (lambda: nn.Linear(2, 1, device="tpu"), ValueError, "expected one of cpu, ptx-sim, cuda, not 'tpu'"),
    (lambda: nn.LayerNorm(2, device="tpu"), ValueError, "expected one of cpu, ptx-sim, cuda, not 'tpu'"),
    (lambda: nn.LayerNorm(2, eps="a"), TypeError, "LayerNorm: eps must be an int or a float"),  # type: ignore[arg-type]
    (lambda: nn.Softmax("a"), TypeError, "Softmax: dim must be an int, not str"),  # type: ignore[arg-type]
    (lambda: X.backward(), RuntimeError, r"backward\(\) of a tensor of shape \(3,\)"),
    (lambda: F.huber_loss(X, X, delta=0), ValueError, "delta must be greater than 0, not 0"),
    (lambda: F.mse_loss(X, X, reduction="avg"), ValueError, "'mean', 'sum' or 'none', not 'avg'"),  # type: ignore[arg-type]
    (lambda: nn.Linear(2, 1)(X), ValueError, "linear: input of shape"),
    (lambda: F.softmax(X, axis=1), IndexError, "axis 1"),
    (lambda: lucid.set_num_threads(0), ValueError, "at least 1, not 0"),
    (lambda: lucid.set_num_threads(1.5), TypeError, "must be an int, not float"),  # type: ignore[arg-type]
    (lambda: COMPILED(staticmethod(F.relu)), TypeError, "write @staticmethod above @lucid.compile"),
    (lambda: GRAD(classmethod(F.relu)), TypeError, "grad: a classmethod is no function; write @classmethod"),
    (lambda: GRAD(3), TypeError, "grad: int is not callable"),
    (lambda: lucid.compile(nn.ReLU), TypeError, "compile: ReLU is a class; compile an object of it"),
    (lambda: COMPILED(nn.ReLU()).ir("x"), RuntimeError, "has not been called"),
    (lambda: AFTER_SMALL.ir("x"), ValueError, "unknown stage 'x'"),
    (lambda: X.sum(0, 1), TypeError, "unknown dtype 1"),
    (lambda: GRAD(F.relu, "x"), TypeError, "relu: argnums must be ints, not 'x'"),
    (lambda: GRAD(F.relu, 1.0), TypeError, "relu: argnums must be ints, not 1.0"),
    (lambda: GRAD(F.mse_loss, (0, -2))(X, X), ValueError, r"argnums=\(0, -2\) names an argument twice"),
    (lambda: setattr(nn.Linear(1, 1), "bias", X), TypeError, "bias is a parameter, .* or bias.data"),
    (lambda: lucid.compile(F.relu, threads=-1), ValueError, "compile: threads must be at least 1, not -1"),
    (lambda: lucid.compile(threads=0), ValueError, "compile: threads must be at least 1, not 0"),
    (lambda: lucid.compile(threads="2"), TypeError, "compile: threads must be an int, not str"),  # type: ignore[call-overload]
    (lambda: lucid.compile(F.relu, threads=True), TypeError, "compile: threads must be an int, not bool"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "error", "message"), CASES, ids=lambda c: getattr(c, "pattern", None))
def test_message(run: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        run()
    line = inspect.getsourcelines(run)[1]
    assert re.match(rf".*test_errors\.py:{line}: ", str(caught.value)), str(caught.value)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (__file__, line)


def test_the_line_is_the_innermost_of_the_user() -> None:
    def inner() -> Tensor:
        return X + Y

    def outer() -> Tensor:
        return nn.Sequential(_Calls(inner))(X)  # type: ignore[no-any-return]

    line = inspect.getsourcelines(inner)[1] + 1
    with pytest.raises(ValueError, match=rf"test_errors.py:{line}: add"):
        outer()


class _Calls(nn.Module):
    def __init__(self, f: Callable[[], Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        return self.f()


@pytest.mark.parametrize("folder", ["purelib", "stdlib"])
def test_a_library_in_between_is_not_blamed(folder: str) -> None:
    scope: dict[str, Any] = {}
    library = Path(sysconfig.get_path(folder)) / "library.py"
    exec(compile("def call(f):\n    return f()", str(library), "exec"), scope)
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=rf"test_errors.py:{line}: add"):
        scope["call"](partial(operator.add, X, Y))


def test_numpy_in_between_is_not_blamed() -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(IndexError, match=rf"test_errors.py:{line}: axis 5"):
        np.mean(X, axis=5)


def test_nodes_carry_the_line() -> None:
    y = X * 2
    assert y._node.loc is not None
    assert os.path.abspath(y._node.loc.file) == __file__


def test_a_failed_step_changes_nothing() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([2.0])
    opt = lucid.optim.SGD([p, q], lr=0.1, momentum=0.9)
    (p * q).sum().backward()
    assert q.grad is not None
    q._grad = Tensor(np.zeros(3, "f"))  # a broken gradient
    with pytest.raises((ValueError, TypeError)):
        opt.step()
    assert (p.item(), q.item()) == (1, 2)
    assert [v.item() for v in opt.state["velocity"]] == [0, 0]


class Knows:
    """An object that says what a tensor on its left means to it."""

    def __radd__(self, other: Any) -> str:
        return "sum"

    def __gt__(self, other: Any) -> str:
        return "less"


def test_other_classes_may_answer_for_a_tensor() -> None:
    X: Any = Tensor([1.0])
    assert X + Knows() == "sum"
    x = X * 1
    x += Knows()
    assert x == "sum"
    with pytest.raises(TypeError, match=r"test_errors.py:\d+: Tensor - Knows: unsupported operand"):
        X - Knows()
    assert (Knows() > X) == "less"
    assert (X == "a") is False
    assert (X != None) is True  # noqa: E711


def test_a_name_that_a_tensor_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    x: Any = lucid.ones(3)
    begin = r"test_errors\.py:\d+: a Tensor has no attribute "
    with pytest.raises(AttributeError, match=begin + r"'resahpe'; did you mean 'reshape'\?") as caught:
        x.resahpe(3)
    assert caught.value.name == "resahpe"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    monkeypatch.setattr("difflib.get_close_matches", None)  # nobody reads these messages
    assert not hasattr(x, "resahpe") and not hasattr(lucid, "resahpe") and not hasattr(nn, "Liner")
    monkeypatch.undo()
    with pytest.raises(AttributeError, match=r"test_errors\.py:\d+: a Parameter has no attribute 'bar'$"):
        _ = nn.Parameter([1.0]).bar  # type: ignore[attr-defined]
    assert not hasattr(x, "__array_struct__") and not hasattr(x, "_other")
    f: Any = lucid.compile(lambda x: x.sumn())
    with pytest.raises(AttributeError, match=begin + r"'sumn'; did you mean 'sum'\?") as caught:
        f(x)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__
