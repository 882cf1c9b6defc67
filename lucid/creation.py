"""Making tensors: constants, ranges, and arrays from elsewhere.

Shapes are given as numbers or as one tuple: `zeros(2, 3)`, `zeros((2, 3))`. The default dtype is
float32, or what `set_default_dtype` says. TypeError for what is no shape, dtype or number; ValueError for
a negative extent, and for a `device` that is no CPU.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import LOC, Node
from lucid.compiler.ir.types import DType, b1, f64, i64, tensor_type

from . import dlpack, joins, shapes
from . import elementwise as ew
from .context import MODE
from .defaults import default_complex, default_float, float_or_default
from .engine import Array, leaf
from .errors import TraceError, here, located, public, user_loc
from .lists import holds, stacked
from .names import on_device
from .places import called
from .promote import cast, check_plain, dtype_of, lying, number, scalar, seen_in
from .residence import USED, device_named, roam
from .tensor import Tensor, apply

Device = str | None  # "cpu", "cuda", "ptx-sim" or None; ValueError for another one


@public
def tensor(
    data: object, requires_grad: bool = False, dtype: object = None, *, device: Device = None
) -> Tensor:
    """`Tensor(data, ...)`: a copy."""
    return Tensor(data, requires_grad, dtype, device=device)


@public
def asarray(data: object, dtype: object = None, *, device: Device = None, copy: bool | None = None) -> Tensor:
    """`data` as a Tensor; the same object if it is one of that dtype. `copy=True`: always a new one, through
    which gradients flow. `copy=False`: the same object, or an array that it shares memory with (see
    `from_numpy`); ValueError for what needs a copy, as on another device. Of lists that hold tensors it is
    their `stack`, through which gradients flow, in compiled functions too."""
    where = device_named(device)
    if copy is not False and holds(data):
        data = stacked(data)
    if copy is not None:
        found = _copied(data, dtype) if copy else _shared(data, dtype)
        if copy is False and where is not None and found.device != where:
            raise ValueError(
                f"asarray: what lies on {found.device} comes to {where} by a copy; leave copy=False out"
            )
        return found._moved(where)
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype_of(dtype).np):
        return data if where is None else data._moved(where)
    return (
        data.astype(dtype, device=where)
        if isinstance(data, Tensor)
        else Tensor(data, dtype=dtype, device=where)
    )


as_tensor = asarray


def given(data: object, dtype: object = None, *, device: Device = None) -> Tensor:
    """What a function was given, as a Tensor: arrays, lists and numbers go where the function needs them."""
    if isinstance(data, Tensor) and dtype is None and device is None:
        return data
    made = asarray(data, dtype, device=device)
    return made if isinstance(data, Tensor) or holds(data) else constant(made)


def constant(tensor: Tensor) -> Tensor:
    """The same, of a formula: it goes where that is computed."""
    roam(tensor._node)
    return tensor


@public
def array(
    object: object, dtype: object = None, *, copy: bool | None = True, ndmin: int = 0, device: Device = None
) -> Tensor:
    """NumPy's name for `asarray`: a copy unless `copy` says otherwise, with axes of length 1 before its own
    until there are `ndmin`. Gradients flow through what is made of tensors."""
    made = asarray(object, dtype, device=device, copy=copy)
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape) if ndmin > made.ndim else made


def _copied(data: object, dtype: object) -> Tensor:
    return data.astype(dtype or data.dtype) if isinstance(data, Tensor) else Tensor(data, dtype=dtype)


def _shared(data: object, dtype: object) -> Tensor:
    if isinstance(data, Tensor | np.ndarray) and (dtype is None or data.dtype == dtype_of(dtype).np):
        return data if isinstance(data, Tensor) else from_numpy(data)
    kind = getattr(data, "dtype", type(data).__name__)
    raise ValueError(
        f"asarray: {kind} cannot become {dtype or 'a tensor'} without a copy; leave copy=False out"
    )


@public
def from_dlpack(x: Any, /, *, device: Device = None, copy: bool | None = None) -> Tensor:
    """A Tensor of what another library holds, by DLPack, or on a GPU by the CUDA array interface. It shares
    memory where that can be (see `from_numpy`) unless `copy=True`. BufferError for `copy=False` where it
    cannot, for arrays on a GPU that are not row-major, and for what is on no CPU and no NVIDIA GPU."""
    where = device_named(device)
    if dlpack.on_gpu(x):
        device_named("cuda")
        value = dlpack.from_gpu(x)
        return Tensor._of(leaf(value.home.copy(value) if copy else value), False, None)._moved(where)
    array = dlpack.array_of(x, **({} if copy is not False else {"copy": False}))
    return (Tensor(array) if copy else from_numpy(array))._moved(where)


def values_of(name: str, x: Any, remedy: str) -> Array:
    """What x holds. TraceError in a compiled function."""
    if MODE.get().trace is not None:
        raise TraceError(
            here(f"{name}: the shape of the result depends on values, which a trace does not know; {remedy}")
        )
    return asarray(x).numpy()


@public
def from_numpy(array: Array, requires_grad: bool = False) -> Tensor:
    """A Tensor that shares the memory of `array`: what is written there later is seen by every
    value that has not been computed by then. TypeError for what is no array of a supported
    dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(here(f"from_numpy: expected an array, got {type(array).__name__}"))
    check_plain(array)
    if not array.dtype.isnative:
        raise TypeError(here(f"from_numpy: byte order of {array.dtype} is foreign; use lucid.tensor"))
    trace = MODE.get().trace
    try:
        order = lying(array)
        if trace is not None:
            node = trace.capture_array(array)
        else:
            node = leaf(array) if order is None else seen_in(order, leaf(array.transpose(order)))
    except TypeError as error:
        raise located(error, user_loc()) from None
    result = Tensor._of(node, False, trace)
    if requires_grad:
        result.requires_grad = True
    return result


_NO_SHAPES = (str, bytes, bytearray, memoryview, dict, set, frozenset)


def _shape(shape: Sequence[Any]) -> tuple[int, ...]:
    """(2, 3), and ((2, 3),) alike. TypeError for what is no int, ValueError for one below 0."""
    listed: Any = shape
    if len(shape) == 1 and not hasattr(shape[0], "__index__"):
        listed = shape[0]
        if isinstance(listed, _NO_SHAPES) or not isinstance(listed, Iterable):
            raise no_shape(type(listed).__name__)
    result = tuple(map(_extent, listed))
    if min(result, default=0) < 0:
        raise ValueError(f"negative extent in shape {result}")
    tensor_type(b1, result)  # ValueError for more than any memory holds
    return result


def as_shape(shape: int | Iterable[int]) -> tuple[int, ...]:
    """One extent or several. TypeError for what is no int, ValueError for one below 0."""
    return _shape((shape,))


def no_shape(given: str) -> TypeError:
    error = TypeError(f"a shape is made of ints, or one tuple of them; got {given}")
    vars(error)["vague"] = True  # an annotation of who asks for the shape says more
    return error


def _extent(n: Any) -> int:
    try:
        return operator.index(n)
    except TypeError:
        raise no_shape(f"a {type(n).__name__} in it") from None


def _filled(value: Any, shape: Sequence[Any], dtype: object, requires_grad: bool, device: Device) -> Tensor:
    """`value`: a literal of lucid's own."""

    if len(shape) == 2 and dtype is None and isinstance(shape[1], type | np.dtype | str):
        *shape, dtype = shape  # NumPy's place of it

    def build() -> Node:
        kind = float_or_default(dtype)
        return ops.fill(ops.CONST(value=value, dtype=kind), _shape(shape))

    return _maybe_leaf(apply(build), requires_grad, device)


def _maybe_leaf(made: Tensor, requires_grad: bool, device: Device = None) -> Tensor:
    if device is not None:
        made = Tensor._of(on_device(made._node, device_named(device)), False, made._trace)
    return Tensor(made, requires_grad=True) if requires_grad else made


def device_of(x: Any) -> Device:
    """Where what is made like x is to lie."""
    return x.device if USED[0] and isinstance(x, Tensor) else None


@public
def zeros(
    shape: Any = (), *more: Any, dtype: object = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    return _filled(0, (shape, *more), dtype, requires_grad, device)


@public
def ones(
    shape: Any = (), *more: Any, dtype: object = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    return _filled(1, (shape, *more), dtype, requires_grad, device)


@public
def empty(
    shape: Any = (), *more: Any, dtype: object = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    """Some values; do not rely on which."""
    return _filled(0, (shape, *more), dtype, requires_grad, device)


@public
def full(
    shape: Any, fill_value: Any, dtype: object = None, *, requires_grad: bool = False, device: Device = None
) -> Tensor:
    """Everywhere `fill_value`: a number, or a tensor that broadcasts to `shape`. Python floats make
    float32, ints int64, bools bool, complex numbers complex64."""
    if fill_value is None:
        raise TypeError("full: fill_value must be a number or a tensor, not None")
    wanted = _shape((shape,))
    kind = None if dtype is None else dtype_of(dtype)

    def build(value: Node) -> Node:
        return ops.fill(value if kind is None else cast(value, kind), wanted)

    if type(fill_value) in (bool, int, float, complex):
        fill_value = Tensor._of(scalar(fill_value, kind or _default(fill_value)), False, MODE.get().trace)
    return _maybe_leaf(apply(build, fill_value), requires_grad, device)


def _default(value: object) -> DType:
    if isinstance(value, bool):
        return b1
    if isinstance(value, int):
        return i64
    return default_complex() if isinstance(value, complex) else default_float()


@public
def scalar_tensor(
    s: Any, *, dtype: object = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    """One number without axes, of the default dtype."""
    return full((), s, dtype=float_or_default(dtype).np, requires_grad=requires_grad, device=device)


@public
def zeros_like(
    x: Any, dtype: object = None, *, shape: Any = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    return full_like(x, 0, dtype, shape=shape, requires_grad=requires_grad, device=device)


@public
def ones_like(
    x: Any, dtype: object = None, *, shape: Any = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    return full_like(x, 1, dtype, shape=shape, requires_grad=requires_grad, device=device)


@public
def full_like(
    x: Any, fill_value: Any, dtype: object = None, *,
    shape: Any = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """Of the shape (or of another `shape`) and the dtype of x."""
    like = asarray(x)
    return full(
        like.shape if shape is None else shape, fill_value, dtype or like.dtype, requires_grad=requires_grad,
        device=device or device_of(like),
    )  # fmt: skip


def _made(array: Array, dtype: object, requires_grad: bool) -> Tensor:
    """A tensor around a new array, which needs no copy."""
    trace = MODE.get().trace
    loc = called(trace)
    token = LOC.set(loc)
    try:
        array = np.asarray(array, None if dtype is None else dtype_of(dtype).np, order="C")
        node = leaf(array) if trace is None else trace.capture_array(array)
    except TypeError as error:
        raise located(error, loc) from None
    finally:
        LOC.reset(token)
    return _maybe_leaf(Tensor._of(node, False, trace), requires_grad)


@public
def empty_like(
    x: Any, dtype: object = None, *, shape: Any = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    """Some values; do not rely on which."""
    return zeros_like(x, dtype, shape=shape, requires_grad=requires_grad, device=device)


def _places(
    mask: Callable[[tuple[int, ...], int], Node], n: int, m: int | None, k: int,
    dtype: object, requires_grad: bool, device: Device,
) -> Tensor:  # fmt: skip
    """1 where `mask` of an n × m matrix (m = n if left out) holds, else 0."""
    shape, k = _shape((n, n if m is None else m)), operator.index(k)
    return _maybe_leaf(apply(lambda: cast(mask(shape, k), float_or_default(dtype))), requires_grad, device)


@public
def eye(
    n: int, m: int | None = None, k: int = 0, dtype: object = None, *,
    requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """Ones on the k-th diagonal of an n × m matrix (m = n if left out)."""
    return _places(joins.on_diagonal, n, m, k, dtype, requires_grad, device)


@public
def identity(n: int, dtype: object = None, *, requires_grad: bool = False, device: Device = None) -> Tensor:
    """Ones on the diagonal of an n × n matrix."""
    return eye(n, dtype=dtype, requires_grad=requires_grad, device=device)


@public
def tri(
    n: int, m: int | None = None, k: int = 0, dtype: object = None, *,
    requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """Ones on the k-th diagonal of an n × m matrix and below."""
    return _places(joins.below, n, m, k, dtype, requires_grad, device)


@public
def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is on the k-th diagonal of an n × m matrix and below."""
    rows, columns = np.tril_indices(_shape((n,))[0], k, m)
    return _made(rows, np.int64, False), _made(columns, np.int64, False)


@public
def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is on the k-th diagonal of an n × m matrix and above."""
    rows, columns = np.triu_indices(_shape((n,))[0], k, m)
    return _made(rows, np.int64, False), _made(columns, np.int64, False)


def _steps(first: float, step: float, count: int, dtype: DType) -> Node:
    """first + k * step, as NumPy computes it: each from its own k, in `dtype`."""
    k = cast(ops.IOTA(shape=(count,), axis=0), dtype)
    start, width = (ops.fill(ops.SCALAR(value=v, dtype=dtype), (count,)) for v in (first, step))
    return ops.ADD(ops.MUL(k, width), start)


@public
def arange(
    start: float, stop: float | None = None, step: float = 1, dtype: object = None, *,
    end: float | None = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """As NumPy's (`end` is PyTorch's name for `stop`); int64 for integers, float32 for Python floats.
    ValueError for a step of 0."""
    stop = end if stop is None else stop
    first, last = (0, start) if stop is None else (start, stop)
    bounds = [number("arange", *v) for v in (("start", first), ("stop", last), ("step", step))]
    if bounds[2] == 0:
        raise ValueError("arange: step must not be 0")
    plain = all(type(v) in (int, float) for v in bounds)
    # the dtype that all three decide, and the step as NumPy rounds it
    two = np.arange(bounds[0], bounds[0] + bounds[2] * 2 + bounds[1] * 0, bounds[2])[:2]
    (count,) = _shape((max(math.ceil((bounds[1] - bounds[0]) / bounds[2]), 0),))
    kind = dtype_of(two.dtype)
    narrow = plain and kind is f64
    result = default_float() if narrow and dtype is None else dtype_of(dtype or two.dtype)
    whole = not kind.is_float
    a, d = (int(v) if whole else float(v) for v in (two[0], two[1] - two[0]))
    return _maybe_leaf(apply(lambda: cast(_steps(a, d, count, kind), result)), requires_grad, device)


def _spaced(first: float, last: float, num: int, endpoint: bool) -> Node:
    """`num` evenly spaced numbers in float64."""
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else last - first
    if step == 0 and parts > 0 and last != first:  # it vanishes: the way is divided later
        made = _steps(0.0, 1.0, num, f64)
        ends = (float(parts), last - first, first)
        divisor, way, start = (ops.fill(ops.SCALAR(value=v, dtype=f64), (num,)) for v in ends)
        made = ops.ADD(ops.MUL(ops.DIV(made, divisor), way), start)
    else:
        made = _steps(first, step, num, f64)
    if not endpoint or num < 2:
        return made
    k = ops.IOTA(shape=(num,), axis=0)
    at_end = ops.EQ(k, ops.fill(ops.SCALAR(value=num - 1, dtype=i64), (num,)))
    return ops.WHERE(at_end, ops.fill(ops.SCALAR(value=last, dtype=f64), (num,)), made)


def _ends(name: str, start: Any, stop: Any, num: int, endpoint: Any) -> tuple[float, float, int]:
    if not isinstance(endpoint, bool | np.bool_):  # PyTorch's fourth argument of logspace is the base
        raise TypeError(f"{name}: endpoint must be True or False, not {endpoint!r}")
    first, last = (float(number(name, what, v)) for what, v in (("start", start), ("stop", stop)))
    (count,) = _shape((num,))
    return first, last, count


def _between(
    name: str, start: Any, stop: Any, num: int, endpoint: Any, axis: int, dtype: object, requires_grad: bool,
    device: Device,
    made: Callable[[Node], Node] = lambda x: x,
) -> Tensor:  # fmt: skip
    """Evenly spaced numbers, of which `made` makes the result, between numbers, or along a new axis between
    arrays: then in the dtype of these."""
    if not (np.ndim(start) or np.ndim(stop)):
        first, last, count = _ends(name, start, stop, num, endpoint)
        kind = float_or_default(dtype)

        def build() -> Node:
            found = made(_spaced(first, last, count, endpoint))
            return cast(ops.FLOOR(found) if kind.kind in "iu" else found, kind)

        found = apply(build)
        shapes.normal_axis(axis, 1)
    else:
        _, _, count = _ends(name, 0, 1, num, endpoint)
        low, high = asarray(start), asarray(stop)
        way = (
            high - low
            if dtype_of(low.dtype).is_inexact or dtype_of(high.dtype).is_inexact
            else (high - low) * 1.0
        )
        along = arange(count, dtype=way.dtype).reshape((count,) + (1,) * way.ndim)
        parts = count - 1 if endpoint else count
        found = along * (way / max(parts, 1)) + low
        if endpoint and count > 1:
            found = apply(ew.where, along == count - 1, high.astype(way.dtype), found)
        found = apply(made, found).moveaxis(0, axis)
        if dtype is not None:
            found = (found.floor() if dtype_of(dtype).kind in "iu" else found).astype(dtype)
    return _maybe_leaf(found, requires_grad, device)


@public
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: object = None,
    axis: int = 0, *, steps: int | None = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """`num` (or `steps`) evenly spaced numbers; the last is `stop`, if `endpoint`. Between arrays they stand
    along a new `axis`. With `retstep` also what is between two."""
    count = num if steps is None else steps
    made = _between("linspace", start, stop, count, endpoint, axis, dtype, requires_grad, device)
    if not retstep:
        return made
    parts = count - 1 if endpoint else count
    return made, (stop - start) / parts if parts > 0 else math.nan  # type: ignore[return-value]


@public
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: float = 10.0, dtype: object = None,
    axis: int = 0, *, steps: int | None = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """`num` (or `steps`) numbers from base**start to base**stop, of which each is the last one times the
    same. Between arrays they stand along a new `axis`."""
    count, root = num if steps is None else steps, float(number("logspace", "base", base))

    def made(exponents: Node) -> Node:
        bases = ops.fill(ops.SCALAR(value=root, dtype=exponents.type.dtype), exponents.shape)
        return ops.POW(bases, exponents)

    return _between("logspace", start, stop, count, endpoint, axis, dtype, requires_grad, device, made)


@public
def geomspace(
    start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: object = None, *,
    requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """`num` numbers from `start` to `stop`, each the last one times the same. ValueError where one of them is
    0, or their signs differ."""
    first, last, count = _ends("geomspace", start, stop, num, endpoint)
    if first * last <= 0:
        raise ValueError(f"geomspace: start and stop must be of one sign and not 0, got {first} and {last}")

    def build() -> Node:
        logs = _spaced(0.0, math.log(last / first), count, endpoint)
        made = ops.MUL(ops.EXP(logs), ops.fill(ops.SCALAR(value=first, dtype=f64), (count,)))
        if endpoint and count > 1:
            k = ops.IOTA(shape=(count,), axis=0)
            at_end = ops.EQ(k, ops.fill(ops.SCALAR(value=count - 1, dtype=i64), (count,)))
            made = ops.WHERE(at_end, ops.fill(ops.SCALAR(value=last, dtype=f64), (count,)), made)
        return cast(made, float_or_default(dtype))

    return _maybe_leaf(apply(build), requires_grad, device)
