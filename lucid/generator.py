"""Random numbers from a key and a counter: the same on every machine, for any number of threads, compiled
or not.

The state of a generator is a tensor, [seed, draws so far]. Drawing in a compiled function reads it as a
parameter is read, and the next state is written back: each call draws anew. Element i of draw d is made of
the bits that Threefry makes of the key (the seed) and the counter (i, d).
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, f32, f64, i32, i64, u32
from lucid.runtime.locks import Lock

from .context import MODE, no_grad
from .engine import Array
from .errors import bounds, here, no_attribute, public
from .lanes import LANES, Lane
from .names import on_device
from .promote import cast, whole
from .residence import Device, device_named, follow
from .tensor import Tensor, apply

# From the bits of all draws of one call, one node for each draw, to the numbers.
Formula = Callable[..., Node]
MOST = 1 << 32  # elements of a draw
LOW = 0xFFFFFFFF


@bounds
class Generator:
    """`Generator(seed)`: what it draws is decided by the seed, a whole number; without one, by the system.
    Its state goes where it is needed, whatever `device` says. NumPy's methods (`normal`, `integers`, ...)
    draw by it what the functions of `lucid.random` draw."""

    def __init__(self, seed: int | None = None, *, device: object = None) -> None:
        device_named(device)
        self._lock = Lock()
        self._state = Tensor(np.zeros(2, np.int64))
        follow(self._state)
        self.manual_seed(int.from_bytes(os.urandom(8), "little") if seed is None else seed)

    @public
    def manual_seed(self, seed: int) -> Generator:
        """Begin again, with this seed."""
        word = whole("seed", seed) & ((1 << 64) - 1)
        self.set_state(np.array([word, 0], np.uint64).view(np.int64))
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from . import random

        if name in random.METHODS:
            return functools.partial(getattr(random, name), generator=self)
        raise no_attribute(self, "a Generator", name)

    def __dir__(self) -> list[str]:
        from . import random

        return sorted({*super().__dir__(), *random.METHODS})

    @public
    def seed(self) -> int:
        """Begin again, with a seed of the system's: that seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self.initial_seed()

    @public
    def initial_seed(self) -> int:
        """The seed: a whole number of 64 bits."""
        return int(self.get_state()[0]) & ((1 << 64) - 1)

    @public
    def get_state(self) -> Array:
        """The state: an int64 array [seed, draws so far]."""
        return self._state.numpy().copy()

    @public
    def set_state(self, state: Any) -> None:
        """Go on from a state that `get_state` returned. ValueError for another array."""
        array = np.array(state, copy=True)
        if array.shape != (2,) or array.dtype != np.int64:
            given = f"{array.dtype.name}{list(array.shape)}"
            raise ValueError(here(f"a state is an int64 array of 2, not {given}"))
        with self._lock():
            no_grad(self._state._become)(Tensor(array))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.get_state(),)

    def draw(
        self, shape: tuple[int, ...], words: int, formula: Formula, *operands: Any, device: object = None
    ) -> Tensor:
        """`formula` of `words` nodes of uniform bits (uint32, of `shape`), and of `operands`; on `device`.
        The state goes where it is needed."""
        where, lanes = device_named(device), LANES.get()
        if any(lane.randomness == "error" for lane in lanes):
            raise RuntimeError(
                here("vmap: random numbers; say randomness='same' or 'different', or draw them outside")
            )
        if math.prod((*shape, *(lane.size for lane in lanes))) > MOST:
            raise ValueError(here(f"a draw has at most 2**32 elements, not {shape}"))

        def build(seed: Any, drawn: Any, *rest: Any) -> Node:
            return formula(*bits(_number(seed), _number(drawn), shape, words, lanes), *rest)

        with self._lock():
            return self._drawn(build, words, operands, where)

    @no_grad
    def _drawn(self, build: Formula, words: int, operands: tuple[Any, ...], device: Device | None) -> Tensor:
        state, step = self._state, np.array([0, words], np.int64)
        if (trace := MODE.get().trace) is not None:
            trace.called |= {id(state): "random.state", id(step): "random.step"}
            result, after = apply(build, state[0], state[1], *operands), state + Tensor(step)
            on_device(result._node, device)
        else:
            now = state.numpy()
            result = apply(build, _held(now[0], device), _held(now[1], device), *operands)
            after = Tensor(now + step)
        state._become(after)
        return result


def _restored(state: Array) -> Generator:
    generator = Generator(0)
    generator.set_state(state)
    return generator


def _held(word: Any, device: Device | None) -> Tensor:
    return Tensor(np.asarray(word, np.int64), device=device)


def _number(node: Node) -> Node:
    assert node.type.dtype is i64 and not node.shape
    return node


def low(node: Node) -> Node:
    """The last 32 bits."""
    return ops.CAST(ops.AND(node, ops.const(LOW, node)), dtype=u32)


def high(node: Node) -> Node:
    """The 32 bits before these."""
    return low(ops.SHR(node, ops.const(32, node)))


def bits(seed: Node, drawn: Node, shape: tuple[int, ...], words: int, lanes: tuple[Lane, ...]) -> list[Node]:
    """Of so many draws. The numbers of examples of `lanes`, where these are to be different, are those of one
    draw for all."""
    count = math.prod(shape)
    element = ops.reshape(ops.CAST(ops.IOTA(shape=(count,), axis=0), dtype=u32), shape)
    for lane in reversed(lanes):
        if lane.randomness == "different":
            first = ops.CAST(ops.MUL(lane.place, ops.const(count, lane.place)), dtype=u32)
            element, count = ops.ADD(element, ops.fill(first, shape)), count * lane.size
    found = []
    for word in range(words):
        number = ops.ADD(drawn, ops.const(word, drawn))
        key = low(seed), ops.XOR(high(seed), high(number))
        spread = [ops.fill(n, shape) for n in (*key, low(number))]
        found.append(ops.RANDOM_BITS(spread[0], spread[1], element, spread[2]))
    return found


# --- from bits to numbers --------------------------------------------------------------------------


def words_of(dtype: DType) -> int:
    """How many words a uniform number of this dtype is made of."""
    return 2 if dtype is f64 else 1


def uniform(dtype: DType, bits: list[Node], centred: bool = False) -> Node:
    """Multiples of 2**-24 (float64: 2**-53, float16: 2**-11, bfloat16: 2**-8) in [0, 1); `centred`: those of
    twice the step, and a half of it more, so that no end is met."""

    def top(node: Node, count: int, kind: DType) -> Node:
        return ops.CAST(ops.CAST(ops.SHR(node, ops.const(32 - count, node)), dtype=i32), dtype=kind)

    if dtype is f64:
        high, low = top(bits[0], 27, f64), top(bits[1], 26, f64)
        whole, step = ops.ADD(ops.MUL(high, ops.const(2.0**26, high)), low), 2.0**-53
    else:
        count = 24 - centred if dtype.wide is None else dtype.fraction + 1
        whole, step = top(bits[0], count, f32), 2.0**-count
    if centred:
        whole = ops.ADD(whole, ops.const(0.5, whole))
    return cast(ops.MUL(whole, ops.const(step, whole)), dtype)


def _ratio(x: Node, above: tuple[float, ...], below: tuple[float, ...]) -> Node:
    """A quotient of polynomials; coefficients from the constant on."""

    def polynomial(coefficients: tuple[float, ...]) -> Node:
        total = ops.const(coefficients[-1], x)
        for c in coefficients[-2::-1]:
            total = ops.ADD(ops.MUL(total, x), ops.const(c, x))
        return total

    return ops.DIV(polynomial(above), polynomial(below))


# The inverse of the normal distribution, to 1e-7 and to 1e-16: M. J. Wichura, "Algorithm AS 241: The
# percentage points of the normal distribution" (1988), PPND7 and PPND16. In the middle it is of
# 0.180625 - q², q = p - 1/2, in the tails of r = sqrt(-log p), and far out of a greater one.
_MIDDLE7 = (
    (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
    (1.0, 17.895169469, 78.757757664, 67.187563600),
)
_TAIL7 = ((1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103), (1.0, 0.73700164250, 0.12021132975))
_MIDDLE16 = (
    (
        3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
        45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
    ),
    (
        1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867,
        39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
    ),
)  # fmt: skip
_TAIL16 = (
    (
        1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
        1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 0.000774545014278341407640,
    ),
    (
        1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550, 0.148103976427480074590,
        0.0151986665636164571966, 0.000547593808499534494600, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
_FAR16 = (
    (
        6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
        0.0265321895265761230930, 0.00124266094738807843860, 2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
        0.000786869131145613259100, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)  # fmt: skip


def normal(dtype: DType, bits: list[Node]) -> Node:
    """A standard normal number, by the inverse of its distribution."""
    exact = dtype is f64
    p = uniform(f64 if exact else f32, bits, centred=True)
    half = ops.const(0.5, p)
    q = ops.SUB(p, half)
    squares = ops.SUB(ops.const(0.180625, p), ops.MUL(q, q))
    middle = ops.MUL(q, _ratio(squares, *(_MIDDLE16 if exact else _MIDDLE7)))
    below = ops.LT(q, ops.zeros_like(q))
    end = ops.WHERE(below, p, ops.SUB(ops.const(1, p), p))
    r = ops.SQRT(ops.NEG(ops.LOG(end)))
    tail = _ratio(ops.SUB(r, ops.const(1.6, r)), *(_TAIL16 if exact else _TAIL7))
    if exact:  # float32's r is at most 4.1
        far = _ratio(ops.SUB(r, ops.const(5, r)), *_FAR16)
        tail = ops.WHERE(ops.LE(r, ops.const(5, r)), tail, far)
    tail = ops.WHERE(below, ops.NEG(tail), tail)
    return cast(ops.WHERE(ops.LE(ops.ABS(q), ops.const(0.425, q)), middle, tail), dtype)
