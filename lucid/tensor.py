"""Tensor: a lazy, immutable value. Every operation adds a node; reading a value computes it.

x = lucid.Tensor([1.0, 2.0], requires_grad=True)
loss = (x * x).sum()            # a graph of two nodes
loss.backward()                 # x.grad is a graph, too
print(loss, x.grad)             # compiled and run here
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self
from typing import cast as cast_type
from weakref import ref

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import LOC, Node, at
from lucid.compiler.ir.types import b1
from lucid.runtime import memory
from lucid.runtime.stored import Stored

from . import shapes
from .arrangement import Arrangement
from .collecting import LEAVES, collect, collectors_gone, differentiable_leaves
from .complexes import Complexes
from .context import MODE, no_grad
from .defaults import default_complex, default_float
from .engine import Array, become_leaf, compute, leaf
from .errors import TraceError, bounds, here, located, user_loc, warn_user
from .hooks import Hooked, accumulated, carry, gradients
from .indexing import Indexed
from .lists import holds, stacked, with_arrays
from .methods import Methods
from .names import Names, on_device
from .operators import REFLECTED, Operators
from .ordering import Ordering
from .places import called
from .promote import as_array, cast, check_numbers, check_plain, dtype_of
from .reading import Reading, unreadable
from .reductions import Reductions
from .residence import USED, Device, device_named, meeting, place
from .reuse import FORMULAS, built, formed, usable
from .tape import Traced
from .unread import CHANGED, PENDING, UNREAD
from .views import VIEWS, View, data_of, is_data_of, viewed, written

if TYPE_CHECKING:
    import numpy.typing as npt

    from .tracing import Trace


def apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor:
    """The one way to make a result: `build` (an op, or a function of nodes) over `operands`.

    Operands are Tensors, arrays, NumPy or Python numbers; the last stay weak (NEP 50), so `build`
    gets them as they are; of numbers alone the first is a tensor. Errors of `build` come back with the
    user's line in front.
    """
    trace, grad, _ = MODE.get()
    loc = user_loc() if trace is None else trace.places.here(getattr(build, "__name__", ""))
    token = LOC.set(loc)
    tracked = weak = known = False
    nodes: list[Any] = []
    stopped: list[int] = []  # which are constants, as no gradients are wanted
    try:
        for x in operands:
            if isinstance(x, Tensor):
                if x._requires_grad:
                    if grad:
                        tracked = True
                    else:
                        stopped.append(len(nodes))
                nodes.append(x._node if x._trace is trace else foreign(x, trace))
                known = True
            elif x is None:
                nodes.append(x)
            elif type(x) in _WEAK:
                nodes.append(x)
                weak = True
            elif isinstance(x, int | float) and not isinstance(x, np.generic):
                nodes.append(int(x) if isinstance(x, int) else float(x))  # IntEnum and the like
                weak = True
            elif holds(x):
                made = stacked(x)
                nodes.append(made._node)
                tracked, known = tracked or made._requires_grad, True
            else:
                nodes.append(data_node(x, trace))
                known = True
        if weak and not known:
            nodes[0] = data_node(nodes[0], trace)
        device = meeting(operands, nodes, Tensor, trace is not None, leaf) if USED[0] else None
        if id(build) in FORMULAS and usable():
            result = built(build, nodes, attrs, loc, stopped)
        else:
            result = formed(build, nodes, attrs, stopped) if stopped else build(*nodes, **attrs)
        if device is not None:
            place(result, device)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise located(error, loc) from None
    finally:
        LOC.reset(token)
    made = Tensor._of(result, tracked and result.type.dtype.is_inexact, trace)
    if id(build) in VIEWS and isinstance(operands[0], Tensor):
        viewed(made, operands[0])
    return made


_WEAK = {bool, int, float, complex, Traced}


def foreign(tensor: Tensor, trace: Trace | None) -> Node:
    """The node of a tensor that was not made where it is used: a trace captures it."""
    if trace is None or tensor._trace is not None:
        raise TraceError(
            here(
                "a tensor that was made inside of a compiled function outlived the call; "
                "return it from the function to get its value"
            )
        )
    return trace.capture(tensor)


def node_of(tensor: Tensor) -> Node:
    """The node that stands for `tensor` at this moment: in a trace, its placeholder."""
    trace = MODE.get().trace
    return tensor._node if tensor._trace is trace else foreign(tensor, trace)


def data_node(data: object, trace: Trace | None, dtype: object = None) -> Node:
    """A node for arrays, NumPy scalars, Python numbers and lists of them.

    Arrays keep their dtype; Python floats become float32, ints int64. Arrays are copied, since a
    tensor is immutable; a trace refers to the array instead, so that every call sees its content.
    """
    check_plain(data)
    if isinstance(data, np.ndarray) and trace is not None:
        node = trace.capture_array(data)
        return node if dtype is None else cast(node, dtype_of(dtype))
    if isinstance(data, np.generic) and dtype is None:
        return ops.SCALAR(value=data.item(), dtype=dtype_of(data.dtype))
    wanted = None if dtype is None else dtype_of(dtype)
    if wanted is None and not isinstance(data, np.ndarray) and _is_plain(data):
        found = as_array(data).dtype
        wanted = _DEFAULTS.get(found, lambda: dtype_of(found))()
    source = data
    if holds(data):
        source = with_arrays(data)
    array = as_array(source, wanted)
    check_numbers(array, data)
    kind = array.dtype.newbyteorder("=")
    # Ours is aligned, and in huge pages, which kernels like; NumPy's is made at once.
    copy = memory.array(array.shape, kind) if array.nbytes >= 4096 else np.empty(array.shape, kind)
    np.copyto(copy, array)
    return leaf(copy) if trace is None else trace.capture_array(copy)


# Of Python's floats and complex numbers, whose arrays have twice the bits.
_DEFAULTS = {np.dtype(np.float64): default_float, np.dtype(np.complex128): default_complex}


def _is_plain(data: object) -> bool:
    """Python numbers only, however deep in lists and tuples."""
    if isinstance(data, list | tuple):
        return all(map(_is_plain, data))
    return type(data) in _WEAK


@bounds
class Tensor(
    Reading, Methods, Operators, Reductions, Names, Complexes, Indexed, Arrangement, Ordering, Hooked
):
    """An array of one dtype, on the CPU or on another device.

    `data`: anything array-like. Python floats make float32, ints int64, bools bool, complex numbers
    complex64; NumPy arrays keep their dtype and are copied (`lucid.from_numpy` shares). `requires_grad=True`
    makes a leaf whose `grad` is filled by `backward`; only float and complex dtypes can be differentiated.
    Of a complex leaf the gradient is dL/dre + i dL/dim.

    Raises TypeError for an unsupported dtype, ValueError for ragged lists.
    """

    __slots__ = ("__weakref__", "_grad", "_node", "_requires_grad", "_trace", "_view")
    # array + tensor, scalar + tensor and np.exp(tensor) come to __array_ufunc__; pandas looks at these.
    __array_priority__ = 10000.0
    __pandas_priority__ = 10000

    _node: Node
    _grad: Tensor | None
    _requires_grad: bool
    _trace: Trace | None  # the trace that made this tensor; None: made outside of any
    _view: View | None  # of which tensor this is a view

    def __init__(
        self, data: object, requires_grad: Any = False, dtype: object = None, *, device: object = None
    ) -> None:
        where = device_named(device)
        trace = MODE.get().trace
        loc = called(trace)
        token = LOC.set(loc)
        try:
            if isinstance(data, Tensor):
                node = self._copied(data, requires_grad, dtype, where)
            else:
                node = on_device(data_node(data, trace, dtype), where)
        except (TypeError, ValueError, OverflowError) as error:
            raise located(error, loc) from None
        finally:
            LOC.reset(token)
        self._node, self._grad, self._requires_grad, self._trace = node, None, False, trace
        self._view = None
        if requires_grad:
            if not isinstance(requires_grad, bool | np.bool_):
                kind = type(requires_grad).__name__
                raise TypeError(
                    here(f"requires_grad must be a bool, not {kind}; for a shape use lucid.empty")
                )
            self.requires_grad = True

    @staticmethod
    def _copied(data: Tensor, requires_grad: bool, dtype: object, device: Device | None) -> Node:
        node = ops.STOP(node_of(data)) if data._requires_grad else node_of(data)
        node = node if device is None else Tensor._of(node, False, MODE.get().trace)._moved(device)._node
        if dtype is not None:
            node = cast(node, dtype_of(dtype))
        if not requires_grad:
            return node
        # A leaf needs a node of its own; the array itself is immutable and shared.
        if MODE.get().trace is not None:
            return ops.STOP(node)
        return leaf(Tensor._of(node, False, None)._value("Tensor()"))

    @staticmethod
    def _of(node: Node, requires_grad: bool, trace: Trace | None) -> Tensor:
        """A tensor for `node`, as it is."""
        self = _new(Tensor)
        self._node, self._grad, self._requires_grad, self._trace = node, None, requires_grad, trace
        self._view = None
        if trace is None and node.data is None:
            made = UNREAD.made
            made.append(ref(self))
            if not len(made) & 255:  # seldom
                UNREAD.tidy()
        return self

    def _as(self, node: Node, requires_grad: bool) -> Tensor:
        return Tensor._of(node, requires_grad, MODE.get().trace)

    def _standing(self) -> Node:
        return node_of(self)

    _apply = staticmethod(apply)

    @staticmethod
    def _infix(build: Callable[..., Node], a: Any, b: Any, sign: str) -> Tensor:
        if (type(a) in _KNOWN or _is_operand(a)) and (type(b) in _KNOWN or _is_operand(b)):
            return apply(build, a, b)
        answer = NotImplemented  # what stands on the left has been asked
        if isinstance(a, Tensor) and not isinstance(b, str | bytes):  # which would be repeated
            answer = getattr(type(b), REFLECTED[sign], lambda *_: NotImplemented)(b, a)
        if answer is NotImplemented and sign not in ("==", "!="):  # those fall back to identity
            kinds = f"{type(a).__name__} {sign} {type(b).__name__}"
            raise TypeError(here(f"{kinds}: unsupported operand; expected a tensor, an array or a number"))
        return cast_type(Tensor, answer)

    # --- what it is ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._node.type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        return self._node.type.dtype.np

    @property
    def ndim(self) -> int:
        return len(self._node.type.shape)

    @property
    def nbytes(self) -> int:
        return self._node.type.nbytes

    @property
    def T(self) -> Tensor:
        """All axes in reverse."""
        return apply(shapes.transpose, self, axes=())

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor. Can be set on a leaf."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        trace = MODE.get().trace
        if trace is not self._trace:
            raise TraceError(here("requires_grad of an outer tensor cannot be set while tracing"))
        if value and not self._node.type.dtype.is_inexact:
            raise TypeError(here(f"requires_grad: {self.dtype} has no gradient; use a float dtype (astype)"))
        if self._requires_grad and not self.is_leaf:
            raise RuntimeError(here("requires_grad can only be set on a leaf; use detach()"))
        self._requires_grad = bool(value)
        if value:
            collect(self._node, self)
        else:
            LEAVES.pop(self._node, None)

    @property
    def is_leaf(self) -> bool:
        """False for the result of an operation through which gradients flow."""
        if not self._requires_grad:
            return True
        owner = LEAVES.get(node_of(self))
        return owner is not None and owner() is self

    # --- gradients -------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` left here: a tensor like any other, differentiable again."""
        trace = MODE.get().trace
        return self._grad if trace is self._trace or trace is None else trace.grad(self)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(here(f"grad must be a Tensor or None, not {type(value).__name__}"))
        if value is not None and value.shape != self.shape:
            raise ValueError(here(f"grad has shape {value.shape}, the tensor {self.shape}"))
        trace = MODE.get().trace
        if trace is self._trace or trace is None:
            self._grad = value
        else:
            trace.set_grad(self, value)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def detach(self) -> Tensor:
        """The same value, as a constant of differentiation."""
        node, trace = node_of(self), MODE.get().trace
        if self._requires_grad:
            with at(called(trace)):
                node = ops.STOP(node)
        made = Tensor._of(node, False, trace)
        viewed(made, self)
        return made

    @property
    def data(self) -> Tensor:
        """The value as a constant of differentiation. Set, it becomes the value of this tensor, of the same
        dtype and shape: `w.data = w.data - g`. Changed in place it changes this tensor, too, as in PyTorch:
        `w.data -= g`, `w.data[0] = v`, `w.data.normal_()`; but not after this one got another value, and not
        by a part (`w.data[0].zero_()`): then a warning says that it was not. What is read keeps its value
        when this tensor changes."""
        return data_of(self)

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor | np.ndarray):
            kind = type(value).__name__
            raise TypeError(here(f"data: expected a tensor or an array, not {kind}; use lucid.tensor"))
        if not self.is_leaf:
            raise RuntimeError(
                here("data of a result that requires grad cannot be set, only that of a leaf; use detach()")
            )
        if not is_data_of(value, self):
            no_grad(self._become)(value.detach() if isinstance(value, Tensor) else Tensor(value))

    def backward(
        self, gradient: Tensor | npt.ArrayLike | None = None,
        retain_graph: bool | None = None, create_graph: bool | None = None,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:  # fmt: skip
        """Add the gradient of this tensor to `grad` of every leaf that it depends on, or of `inputs` alone.

        `gradient`: the cotangent, of this tensor's shape; 1 for a tensor of one element. Nothing is
        computed yet: the gradients are lazy. A graph is always kept, and gradients are graphs, so
        `retain_graph` and `create_graph` change nothing. RuntimeError for a tensor of more elements without
        `gradient`, or one that depends on no leaf; ValueError for a `gradient` of another shape.
        """
        trace, grad, _ = MODE.get()
        node = node_of(self)
        with at(called(trace)):
            cotangent = self._cotangent(gradient)
        given = [inputs] if isinstance(inputs, Tensor) else inputs
        leaves = differentiable_leaves(node) if given is None else [(node_of(x), x) for x in given]
        if given is None and not leaves and self._requires_grad and collectors_gone(node):
            return
        if not leaves or not all(owner.requires_grad for _, owner in leaves):
            none = "this tensor depends on no tensor with requires_grad=True; set it on the inputs or"
            none = f"{none} parameters before computing the result"
            told = "an input does not require grad; set that before it is used" if leaves else none
            raise RuntimeError(here(f"backward(): {told}"))
        for (_, owner), part in zip(leaves, gradients(node, cotangent, [n for n, _ in leaves]), strict=True):
            if part is not None:
                new = Tensor._of(part if grad else ops.STOP(part), grad, trace)
                old = owner.grad
                owner.grad = new if old is None else old + new
                accumulated(owner)
        if trace is None:
            PENDING.add(self)

    def _cotangent(self, gradient: object) -> Node:
        if gradient is None:
            if self.size != 1:
                raise RuntimeError(
                    here(
                        f"backward() of a tensor of shape {self.shape}: only a tensor of one element "
                        "has a gradient by itself; reduce it with .sum() or .mean(), or pass gradient="
                    )
                )
            if self._node.type.dtype.is_complex:
                raise RuntimeError(
                    here(
                        "backward() of a complex number: only a real one has a gradient by itself; take "
                        ".abs() or .real of it, or pass gradient="
                    )
                )
            return ops.const(1, self._node)
        given = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
        if given.shape != self.shape:
            raise ValueError(here(f"backward(): gradient has shape {given.shape}, the tensor {self.shape}"))
        return cast(node_of(given), self._node.type.dtype)

    def _assign(self, node: Node) -> None:
        """Change this tensor in place: the one door for optimisers, buffers and state_dicts.

        dtype and shape must stay. In a trace the change is recorded, not made.
        """
        if node.type is not self._node.type and node.type != self._node.type:
            raise ValueError(here(f"a tensor of type {self._node.type} cannot become {node.type}"))
        if self._requires_grad:  # a leaf has a node of its own, and no history
            owner = LEAVES.get(node)
            if node.inputs or (owner is not None and owner() is not self):
                node = ops.STOP(node) if node.data is None else leaf(node.data)
            collect(node, self)
            carry(self._node, node)
        trace = MODE.get().trace
        if trace is not self._trace:
            if trace is None:
                foreign(self, trace)
            else:
                trace.assign(self, node)
        else:
            self._node = node
            if trace is None and node.data is None:
                UNREAD.made.append(ref(self))

    def _become(self, new: Any, shaped: bool = False) -> Self:
        """The value of `new`, in place, and its shape if `shaped`. A leaf that requires grad can change under
        `no_grad` only, and keeps its shape."""
        if not isinstance(new, Tensor):  # the answer of an object that knows better
            return cast_type(Self, new)
        trace, grad, _ = MODE.get()
        free = shaped and self._trace is trace and not (self._requires_grad and self.is_leaf)
        if new._node.type != self._node.type and not free:
            kind = ValueError if new.dtype == self.dtype else TypeError
            raise kind(
                here(
                    f"in place: a tensor of type {self._node.type} cannot become {new._node.type}; "
                    "make a new one (x = x + y, nn.Parameter(value)), or convert by astype"
                )
            )
        if USED[0]:
            self._same_device(new)
        if self._requires_grad and self.is_leaf:
            if grad:
                raise RuntimeError(
                    here("in place: a leaf that requires grad; change it under no_grad(), or write x = x + y")
                )
            if trace is None:
                if self in CHANGED:  # nobody has read a value since
                    settle(CHANGED.take())
                CHANGED.add(self)
            self._assign(new._node)
        elif self._trace is trace:
            self._node, self._requires_grad = new._node, new._requires_grad
        elif new._requires_grad:
            raise TraceError(
                here("in place: a tensor from outside would become differentiable; write x = x + y")
            )
        else:
            self._assign(new._node)
        if not shaped and self._view is not None:
            written(self)
        return self

    # --- reading values --------------------------------------------------------------------------

    def _read(self, what: str) -> Array:
        """The value. The array is this tensor's own: do not write to it."""
        found = self._value(what)
        return np.asarray(found) if isinstance(found, Stored) else found

    def _value(self, what: str) -> Any:
        """The value, where it lies."""
        if self._trace is not None or MODE.get().trace is not None:
            raise TraceError(here(unreadable(self, what)))
        if self._node.data is None:
            try:
                settle([self, *CHANGED.take()])
            except MemoryError as error:
                raise located(error, user_loc()) from None
        else:
            self._forget()
        return self._node.data

    def _forget(self) -> None:
        """Let go of the history behind the value, if no gradient flows there."""
        node = self._node
        if not node.inputs:
            return
        if self._requires_grad and (not self.is_leaf or len(differentiable_leaves(node)) > 1):
            return
        become_leaf(node)

    def __reduce__(self) -> Any:
        return _restore, (type(self), np.array(self._read("pickle")), self._requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A leaf, as from a pickle, and with a copy of the gradient, as PyTorch's has."""
        value = self._value("deepcopy")
        found = _restore(type(self), np.array(value), self._requires_grad)
        found._node = found._node if isinstance(value, np.ndarray) else leaf(value)
        found._grad = copy.deepcopy(self._grad, memo)
        return found

    # Equality is elementwise; identity is what sets and dicts use.
    __hash__ = object.__hash__

    def astype(self, dtype: Any, *, copy: Any = True, device: object = None) -> Tensor:
        """Converted as NumPy does: floats to integers towards zero, anything to bool by != 0, complex numbers
        to real ones by their real part, with a warning. With `copy=False` the tensor itself, if it has that
        dtype."""
        source = self._moved(device_named(device))
        made = apply(_astype, source, dtype=dtype)
        return made if copy or made._node is not self._node else self


_new = Tensor.__new__
_OPERANDS = (Tensor, bool, int, float, complex, np.ndarray, np.generic, list, tuple)
_KNOWN = frozenset(_OPERANDS)


def _is_operand(x: object) -> bool:
    """Whether an operator computes with `x`: an array-like that leaves arithmetic with arrays to others
    (`__array_ufunc__ = None`) is not asked."""
    if isinstance(x, _OPERANDS):
        return True
    return hasattr(x, "__array__") and getattr(x, "__array_ufunc__", x) is not None


def settle(tensors: Sequence[Tensor]) -> None:
    """Compute many tensors at once, and what is to be computed along; let go of histories."""
    nodes = [t._node for t in tensors]
    along = UNREAD.along(nodes)
    try:
        compute([*nodes, *[t._node for t in along]] if along else nodes)
    except (MemoryError, IndexError, ValueError):  # perhaps not of what was asked for
        if not along:
            raise
        along = []
        compute(nodes)
    for tensor in (*tensors, *along):
        tensor._forget()


def _astype(x: Node, dtype: object) -> Node:
    target = dtype_of(dtype)
    if x.type.dtype.is_complex and not target.is_complex and target is not b1:
        warn_user(f"astype: {x.type.dtype.numpy} to {target.numpy} drops the imaginary part; say x.real")
        x = ops.RE(x)
    return cast(x, target)


def _restore(kind: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    return kind(array, requires_grad=requires_grad)
