"""Recurrent layers: RNN, LSTM, GRU, and one step of each, with PyTorch's parameters and formulas.

A layer is a loop over the steps of its input, which a compiled function holds unrolled: compile time grows
with their number, and another number is another trace. Products with the input are made for all of them
at once. Of packed sequences (utils/rnn.py) those that are at their end keep their state.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random
from ..array_functions import concatenate, stack
from ..creation import as_shape, zeros
from ..creation import given as asarray
from ..defaults import float_or_default
from ..errors import bounds, here
from ..functional import where
from ..tensor import Tensor
from . import functional as F
from .module import Module, Parameter

State = tuple[Tensor, ...]


def _rnn(given: Tensor, own: Tensor, state: State, relu: bool) -> State:
    total = given + own
    return (F.relu(total) if relu else total.tanh(),)


def _lstm(given: Tensor, own: Tensor, state: State, relu: bool) -> State:
    """Input, forget and output gates, and what is to be kept (Hochreiter and Schmidhuber, 1997)."""
    i, f, g, o = _parts(given + own, 4)
    cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def _gru(given: Tensor, own: Tensor, state: State, relu: bool) -> State:
    """Reset and update gates, and what is new (Cho and others, arXiv:1406.1078)."""
    (ri, zi, ni), (rh, zh, nh) = _parts(given, 3), _parts(own, 3)
    update = (zi + zh).sigmoid()
    new = (ni + (ri + rh).sigmoid() * nh).tanh()
    return ((1 - update) * new + update * state[0],)


def _parts(x: Tensor, count: int) -> list[Tensor]:
    size = x.shape[-1] // count
    return [x[..., k * size : (k + 1) * size] for k in range(count)]


# By kind: gates, how many tensors are carried from step to step, and a step.
KINDS = {"RNN": (1, 1, _rnn), "LSTM": (4, 2, _lstm), "GRU": (3, 1, _gru)}


@bounds
class _Weights(Module):
    """Weights of one or more layers, uniform in ±1/sqrt(hidden_size)."""

    kind = ""

    def _add(self, suffix: str, inner: int, bias: bool, dtype: object) -> None:
        hidden, gates = self.hidden_size, KINDS[self.kind][0]
        out = self.proj_size or hidden
        bound = 1 / math.sqrt(hidden) if hidden else 0.0
        kind = float_or_default(dtype).np
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (gates * hidden, inner),
            "weight_hh": (gates * hidden, out),
        }
        if bias:
            shapes |= {"bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)}
        if self.proj_size:
            shapes["weight_hr"] = (out, hidden)
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(random.uniform(-bound, bound, shape, dtype=kind)))

    hidden_size: int
    proj_size = 0
    relu = False

    def _given(self, x: Tensor, suffix: str) -> Tensor:
        """The products with the input."""
        return F.linear(x, getattr(self, f"weight_ih{suffix}"), getattr(self, f"bias_ih{suffix}", None))

    def _step(self, given: Tensor, state: State, suffix: str) -> State:
        own = F.linear(state[0], getattr(self, f"weight_hh{suffix}"), getattr(self, f"bias_hh{suffix}", None))
        h, *more = KINDS[self.kind][2](given, own, state, self.relu)
        return (F.linear(h, getattr(self, f"weight_hr{suffix}")) if self.proj_size else h, *more)


def _nonlinearity(kind: str, nonlinearity: str) -> bool:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(here(f"{kind}: nonlinearity must be tanh or relu, not {nonlinearity!r}"))
    return nonlinearity == "relu"


@bounds
class RNNCellBase(_Weights):
    """What cells share: `RNNCell`, `GRUCell`, `LSTMCell`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size = as_shape((input_size, hidden_size))
        self._add("", self.input_size, bias, dtype)
        self._lie_on(device)

    def _next(self, input: Any, hx: Any) -> State:
        x = asarray(input)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(here(f"{type(self).__name__}: expected (n, {self.input_size}), not {x.shape}"))
        shape = (*x.shape[:-1], self.hidden_size)
        count = KINDS[self.kind][1]
        given = [zeros(shape, dtype=x.dtype, device=x.device)] * count if hx is None else hx
        state = tuple(map(asarray, given if isinstance(given, tuple | list) else [given]))
        if [s.shape for s in state] != [shape] * count:
            told = f"expected a state of shape {shape}, not {[s.shape for s in state]}"
            raise ValueError(here(f"{type(self).__name__}: {told}"))
        return self._step(self._given(x, ""), state, "")

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


@bounds
class RNNCell(RNNCellBase):
    """One step: h' = tanh(x w_ihᵀ + b_ih + h w_hhᵀ + b_hh), or relu. x is (n, input_size) or (input_size)."""

    kind = "RNN"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.relu = _nonlinearity("RNNCell", nonlinearity)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return self._next(input, hx)[0]


@bounds
class GRUCell(RNNCellBase):
    """One step of a GRU: h' of x and h."""

    kind = "GRU"

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return self._next(input, hx)[0]


@bounds
class LSTMCell(RNNCellBase):
    """One step of an LSTM: (h', c') of x and (h, c)."""

    kind = "LSTM"

    def forward(self, input: Any, hx: Any = None) -> tuple[Tensor, Tensor]:
        h, c = self._next(input, hx)
        return h, c


@bounds
class RNNBase(_Weights):
    """What recurrent layers share: `RNN`, `GRU`, `LSTM`."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = as_shape((input_size, hidden_size, num_layers))
        (self.proj_size,) = as_shape((proj_size,))
        if self.proj_size and (self.kind != "LSTM" or self.proj_size >= self.hidden_size):
            told = f"proj_size is for an LSTM, and below hidden_size; not {proj_size} of {hidden_size}"
            raise ValueError(here(f"{type(self).__name__}: {told}"))
        if not self.num_layers:
            raise ValueError(here(f"{type(self).__name__}: num_layers must be at least 1"))
        F.dropout(0.0, dropout)  # ValueError for what is no probability
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        ways = len(self._ways())
        for layer in range(self.num_layers):
            inner = (self.proj_size or self.hidden_size) * ways if layer else self.input_size
            for way in self._ways():
                self._add(f"_l{layer}{way}", inner, bias, dtype)
        self._lie_on(device)

    def _ways(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _states(self, x: Tensor, hx: Any) -> list[State]:
        """What each layer and direction begins with; x is (steps, n, inputs)."""
        count = self.num_layers * len(self._ways())
        kept = KINDS[self.kind][1]
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][:kept]
        shapes = [(count, x.shape[1], size) for size in sizes]
        if hx is None:
            given = [zeros(shape, dtype=x.dtype, device=x.device) for shape in shapes]
        else:
            given = [asarray(s) for s in (hx if isinstance(hx, tuple | list) else [hx])]
            given = [s.reshape(s.shape[0], 1, -1) if s.ndim == 2 else s for s in given]
        if [s.shape for s in given] != shapes:
            wanted = " and ".join(map(str, dict.fromkeys(shapes)))
            told = f"expected {kept} tensor{'s' * (kept > 1)} of shape {wanted}"
            raise ValueError(here(f"{type(self).__name__}: {told}, not {[s.shape for s in given]}"))
        return [tuple(s[k] for s in given) for k in range(count)]

    def _run(self, input: Any, hx: Any) -> tuple[Any, State]:
        from .utils.rnn import PackedSequence  # few have those

        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        x = asarray(input)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            told = f"expected (steps, n, {self.input_size}) or (steps, {self.input_size}), not {x.shape}"
            raise ValueError(here(f"{type(self).__name__}: {told}"))
        batched = x.ndim == 3
        if not batched:
            x = x.reshape(x.shape[0], 1, -1)
        elif self.batch_first:
            x = x.transpose(1, 0, 2)
        x, ends = self._layers(x, hx, None)
        if not batched:
            return x[:, 0], tuple(end[:, 0] for end in ends)
        return (x.transpose(1, 0, 2) if self.batch_first else x), ends

    def _packed(self, input: Any, hx: Any) -> tuple[Any, State]:
        """The same of packed sequences, of which the result is one, too."""
        if input.data.ndim != 2 or input.data.shape[1] != self.input_size:
            told = f"expected packed rows of {self.input_size}, not {input.data.shape}"
            raise ValueError(here(f"{type(self).__name__}: {told}"))
        order, back = input.sorted_indices, input.unsorted_indices
        if hx is not None and order is not None:
            parts = hx if isinstance(hx, tuple | list) else [hx]
            hx = [asarray(s).take(order, 1) for s in parts]
        places = input.places()
        rows = np.arange(places.shape[1])
        inside = rows < np.asarray(input.batch_sizes)[:, None]
        found, ends = self._layers(input.data.take(places, 0), hx, inside)
        if back is not None:
            ends = tuple([end.take(back, 1) for end in ends])
        steps, which = np.nonzero(inside)
        flat = found.reshape(-1, found.shape[-1]).take(steps * len(rows) + which, 0)
        return input._replace(data=flat), ends

    def _layers(self, x: Tensor, hx: Any, inside: Any) -> tuple[Tensor, State]:
        """All layers of (steps, n, inputs). `inside`: for each step which of n are not at their end."""
        states = self._states(x, hx)
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            made = []
            for way in self._ways():
                found, state = self._layer(x, states[len(last)], f"_l{layer}{way}", bool(way), inside)
                made.append(found)
                last.append(state)
            x = made[0] if len(made) == 1 else concatenate(made, -1)
        return x, tuple(stack(parts) for parts in zip(*last, strict=True))

    def _layer(self, x: Tensor, state: State, suffix: str, back: bool, inside: Any) -> tuple[Tensor, State]:
        given = self._given(x, suffix)
        steps = range(x.shape[0])
        found = []
        for k in reversed(steps) if back else steps:
            after = self._step(given[k], state, suffix)
            if inside is not None and not inside[k].all():
                kept = inside[k][:, None]
                after = tuple([where(kept, new, old) for new, old in zip(after, state, strict=True)])
            state = after
            found.append(state[0])
        if not found:
            return zeros((0, *state[0].shape), dtype=x.dtype, device=x.device), state
        return stack(found[::-1] if back else found), state

    def extra_repr(self) -> str:
        more = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        return f"{self.input_size}, {self.hidden_size}{more}"


@bounds
class RNN(RNNBase):
    """`RNNCell` along the first axis of x, (steps, n, input_size), or with `batch_first` along the second.

    Returns the outputs of the last layer, (steps, n, hidden_size), twice as wide if `bidirectional`, and the
    last states, (layers, n, hidden_size). Without a batch, x is (steps, input_size). Of a packed sequence the
    outputs are one, and the last states those at the ends."""

    kind = "RNN"

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.relu = _nonlinearity("RNN", nonlinearity)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Tensor]:
        found, (h,) = self._run(input, hx)
        return found, h


@bounds
class GRU(RNNBase):
    """`GRUCell` along an axis; arguments and results as `RNN`."""

    kind = "GRU"

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Tensor]:
        found, (h,) = self._run(input, hx)
        return found, h


@bounds
class LSTM(RNNBase):
    """`LSTMCell` along an axis; arguments as `RNN`, the state is (h, c). With `proj_size` h is a product of
    what a step makes with `weight_hr`, (proj_size, hidden_size) (Sak and others, arXiv:1402.1128)."""

    kind = "LSTM"

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        found, (h, c) = self._run(input, hx)
        return found, (h, c)
