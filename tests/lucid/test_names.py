"""The names that users of NumPy and PyTorch look for, and what a Tensor says of itself."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, published, sequences
from lucid.compiler import ops
from lucid.compiler.text.graph import parse_graph
from lucid.compiler.text.lexer import IRSyntaxError

pytestmark = pytest.mark.report

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)
B = np.array([2.0, 3.0, 1.0], np.float32)


def test_dtype_and_requires_grad_are_hidden_by_repr() -> None:
    """float32 without grad keeps its short form; all else shows."""
    assert repr(Tensor([1.0])) == "Tensor([1.], grad=None)"
    assert repr(Tensor([1.0], dtype="float64")) == "Tensor([1.], dtype=float64, grad=None)"
    assert repr(Tensor([1])) == "Tensor([1], dtype=int64, grad=None)"
    assert repr(Tensor([True])) == "Tensor([ True], grad=None)"
    assert repr(Tensor([], dtype=bool)) == "Tensor([], dtype=bool, grad=None)"
    x = Tensor([1.0], requires_grad=True)
    assert repr(x) == "Tensor([1.], requires_grad=True, grad=None)"
    (x * x).sum().backward()
    assert repr(x) == "Tensor([1.], requires_grad=True, grad=[2.])"


def test_dir_shows_what_users_call() -> None:
    shown = set(dir(lucid))
    assert {"nn", "optim", "random", "Tensor", "reshape"} <= shown
    assert not {"tracing", "recorder", "guards", "native", "creation", "functional"} & shown


def test_no_module_has_the_name_of_a_function_of_numpy() -> None:
    """`lucid.trace` was one."""
    modules = {n: f for n, f in vars(lucid).items() if isinstance(f, ModuleType)}
    assert "tracing" in modules
    assert [n for n in modules if not isinstance(getattr(np, n, np), ModuleType)] == []


def test_every_name_of_the_functions_is_one() -> None:
    for module in (lucid.functional, published, lucid.array_functions, lucid.elements, sequences):
        defined = {n for n, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__}
        assert {n for n in defined if not n.startswith("_")} == set(module.__all__)
        assert set(module.__all__) <= set(lucid.__all__)
        for name in module.__all__:
            assert pickle.loads(pickle.dumps(getattr(lucid, name))) is getattr(lucid, name)
            assert getattr(lucid, name).__doc__


@pytest.mark.parametrize("name", ["exp", "add", "sum", "where", "reshape"])
def test_functions_show_no_inner_names(name: str) -> None:
    with pytest.raises(TypeError, match=rf"test_names.py:\d+: {name}\(\): missing"):
        getattr(lucid, name)()


def test_every_elementwise_op_is_a_function() -> None:
    other = {"floordiv": "floor_divide", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
             "not": "bitwise_not", "shl": "left_shift", "shr": "right_shift", "max": "maximum",
             "min": "minimum", "cast": "astype", "stop_gradient": "detach",
             "random_bits": "rand"}  # fmt: skip
    for op in ops.REGISTRY.values():
        if op.kind == "elementwise" and op not in (ops.PLACE, ops.NATURAL, ops.EXP_TERM):  # parts of others
            assert other.get(op.name, op.name) in lucid.__all__, op


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")  # from NumPy 2.5 on
@pytest.mark.parametrize("name", [n for n in lucid.functional.__all__ + published.__all__ if hasattr(np, n)])
def test_functions_are_numpys(name: str) -> None:
    function, theirs = getattr(lucid, name), getattr(np, name)
    if name in ("reshape", "broadcast_to"):
        rest: tuple[Any, ...] = ((3, 2) if name == "reshape" else (2, 2, 3),)
    elif name in ("astype",):
        rest = (np.dtype("int32"),)
    elif name in ("swapaxes",):
        rest = (0, 1)
    elif name in ("clip",):
        rest = (2.0, 4.0)
    elif name == "permute_dims":
        rest = ((1, 0),)
    elif name in ("dot", "outer") or (isinstance(theirs, np.ufunc) and theirs.nin == 2):
        rest = (A.T if name == "matmul" else B,)
    else:
        rest = ()
    if name == "where":
        made, right = lucid.where(A > 2, A, B), np.where(A > 2, A, B)
    elif name.startswith(("bitwise", "left", "right")) or name == "invert":
        rest = tuple(np.array([1, 2, 1]) for _ in rest)
        made, right = function(A.astype(int), *rest), theirs(A.astype(int), *rest)
    else:
        with np.errstate(all="ignore"):  # beyond the domain both give NaN
            made, right = function(A, *rest), theirs(A, *rest)
    assert isinstance(made, Tensor)
    np.testing.assert_allclose(made.numpy(), right, rtol=1e-6)
    assert made.dtype == right.dtype


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "max", "min", "amax", "amin", "all", "any"])
def test_dim_and_keepdim_everywhere(name: str) -> None:
    right = getattr(np, name)(A, axis=1, keepdims=True)
    for made in (getattr(lucid, name)(A, dim=1, keepdim=True), getattr(lucid, name)(A, 1, keepdims=True)):
        np.testing.assert_allclose(made.numpy(), right, rtol=1e-6)
    with pytest.raises(TypeError, match=r"test_names.py:.*axis and dim are one argument"):
        getattr(lucid, name)(A, axis=0, dim=1)


@pytest.mark.parametrize(
    ("name", "args"),
    [("zeros", (2,)), ("ones", (2,)), ("empty", (2,)), ("full", (2, 1.0)), ("eye", (2,)), ("arange", (2,)),
     ("linspace", (0, 1, 2)), ("tensor", ([1.0, 2.0],)), ("asarray", ([1.0, 2.0],)), ("rand", (2,)),
     ("as_tensor", ([1.0, 2.0],)), ("randn", (2,)), ("randint", (0, 5, 2)), ("zeros_like", (B,)),
     ("ones_like", (B,)), ("full_like", (B, 2.0))],
)  # fmt: skip
def test_constructors_take_a_device(name: str, args: tuple[Any, ...]) -> None:
    assert isinstance(getattr(lucid, name)(*args, device="cpu"), Tensor)
    with pytest.raises(ValueError, match=r"test_names.py:.*expected one of cpu, ptx-sim, cuda, not 'mps'"):
        getattr(lucid, name)(*args, device="mps")
    assert getattr(lucid, name)(*args, device="ptx-sim").device == "ptx-sim"


def test_pytorchs_methods() -> None:
    x = Tensor(A)
    assert (x.dim(), x.numel(), x.device) == (2, 6, "cpu")
    assert x.to(lucid.float64).dtype == x.double().dtype == x.type_as(Tensor([1.0], dtype="float64")).dtype
    assert x.to("cpu") is not None and x.to(Tensor([1])).dtype == x.long().dtype == np.int64
    with pytest.raises(ValueError, match=r"test_names.py:.*not 'mps'"):
        x.to("mps")
    with pytest.raises(ValueError, match=r"there is one of each: cuda:0; .*not 'cuda:1'"):
        x.to("cuda:1")
    assert x.flatten().shape == x.ravel().shape == (6,)
    assert x.view(3, 2).shape == (3, 2)
    assert x.unsqueeze(0).unsqueeze(-1).shape == (1, 2, 3, 1)
    assert x.unsqueeze(0).squeeze().shape == x.unsqueeze(1).squeeze(1).shape == (2, 3)
    np.testing.assert_array_equal(x.swapaxes(0, -1).numpy(), A.T)
    with pytest.raises(ValueError, match="more than one element along 0"):
        x.squeeze(0)
    with pytest.raises(IndexError, match=r"test_names.py:.*axis 4"):
        x.unsqueeze(4)


SPECIAL = np.array([[1.0, np.nan, 0.0], [-0.0, np.inf, -np.inf]], np.float32)
METHODS: dict[str, tuple[Any, Any]] = {
    "add": (lambda x: x.add(B).add(B, alpha=2), A + 3 * B),
    "sub": (lambda x: x.sub(1).sub(B, alpha=-2), A - 1 + 2 * B),
    "mul, div": (lambda x: x.mul(2).div(4), A / 2),
    "pow": (lambda x: x.pow(2), A * A),
    "remainder": (lambda x: x.remainder(4).floor_divide(2), A % 4 // 2),
    "matmul": (lambda x: x.matmul(x.t()).mm(x), A @ A.T @ A),
    "dot": (lambda x: x[0].dot(x[1]), A[0] @ A[1]),
    "comparisons": (lambda x: x.gt(2) & x.ge(3) | x.lt(2) & x.le(1), (A > 2) | (A < 2)),
    "eq": (lambda x: x.eq(2) | x.ne(3), A != 3),
    "maximum": (lambda x: x.maximum(B).minimum(3), np.minimum(np.maximum(A, B), 3)),
    "neg": (lambda x: x.neg(), -A),
    "masked_fill": (lambda x: x.masked_fill(x > 2, -1), np.where(A > 2, np.float32(-1), A)),
    "mT": (lambda x: x.expand(5, -1, -1).mT, np.broadcast_to(A, (5, 2, 3)).swapaxes(1, 2)),
    "norm": (lambda x: x.norm(dim=1), np.linalg.norm(A, axis=1)),
    "relu": (lambda x: (x - 3).relu(), np.maximum(A - 3, 0)),
    "sigmoid": (lambda x: x.sigmoid(), 1 / (1 + np.exp(-A))),
    "softmax": (lambda x: x.softmax(dim=0), np.exp(A) / np.exp(A).sum(0)),
    "accuracy": (lambda x: x.floor().eq(B).float().mean(), (A == B).mean(dtype="f")),
    "any": (lambda x: (x > 5).any(dim=1), (A > 5).any(1)),
    "all": (lambda x: (x > 3).all(1), (A > 3).all(1)),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_methods_under_pytorchs_names(name: str, compiled: bool) -> None:
    f, right = METHODS[name]
    made = (lucid.compile(f) if compiled else f)(Tensor(A))
    np.testing.assert_allclose(made.numpy(), right, rtol=1e-6)
    assert made.dtype == right.dtype


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not", "any", "all"])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "bool"])
def test_questions(name: str, axis: int | None, dtype: str) -> None:
    with np.errstate(invalid="ignore"):
        x = SPECIAL.astype(dtype)
    rest = {} if name.startswith(("is", "log")) else {"axis": axis}
    for made in (getattr(lucid, name)(x, **rest), getattr(np, name)(Tensor(x), **rest)):
        np.testing.assert_array_equal(made.numpy(), getattr(np, name)(x, **rest))
    for empty in (np.zeros((0, 3), dtype), np.zeros((3, 0), dtype)):
        made = getattr(lucid, name)(empty, **rest)
        np.testing.assert_array_equal(made.numpy(), getattr(np, name)(empty, **rest))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.masked_fill(x, 0), TypeError, "the mask must be bool, not float32"),
        (lambda x: x.expand(5, -1), ValueError, "do not broadcast"),
        (lambda x: x.unsqueeze(0).t(), ValueError, "expected a matrix"),
        (lambda x: lucid.dot(x, x.unsqueeze(0)), ValueError, "vectors and matrices"),
        (lambda x: Tensor(3, 4), TypeError, r"requires_grad must be a bool, not int; .*lucid\.empty"),
    ],
)
def test_methods_that_do_not_fit(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"test_names.py:\d+: .*{message}"):
        call(Tensor(A))


def test_gradients_flow_through_clone_and_not_through_data() -> None:
    w = Tensor([2.0]).requires_grad_()
    (w.clone() * w.data).sum().backward(retain_graph=True, create_graph=True)
    assert w.grad is not None and w.grad.tolist() == [2.0]


def test_the_seed_of_random_has_both_names() -> None:
    lucid.random.seed(3)
    a = lucid.rand(3).tolist()
    lucid.manual_seed(3)
    assert lucid.rand(3).tolist() == a


def test_memory_for_what_no_machine_holds() -> None:
    with pytest.raises(ValueError, match=r"test_names.py:.*more than 2\*\*63 bytes"):
        lucid.zeros(2**62)
    with pytest.raises(ValueError, match=r"test_names.py:.*more than 2\*\*63 bytes"):
        lucid.ones(2**40, 1) @ lucid.ones(1, 2**40)
    before = lucid.runtime.memory._ALLOCATOR.statistics().used
    with pytest.raises(MemoryError, match=r"test_names.py:"):
        lucid.ones(2**46).numpy()
    assert lucid.runtime.memory._ALLOCATOR.statistics().used == before


def test_text_of_what_no_machine_holds_is_a_syntax_error() -> None:
    size = 2**63 - 1
    with pytest.raises(IRSyntaxError, match=r"more than 2\*\*63 bytes"):
        parse_graph(f"graph f(%x: f32[{size}]) -> (%1) {{\n  %1: f32[{size}] = abs %x\n}}\n")


def test_the_constructor_takes_a_device() -> None:
    assert Tensor([1.0], device="cpu").shape == (1,)
    with pytest.raises(ValueError, match=r"test_names.py:\d+: device"):
        Tensor([1.0], device="tpu")
