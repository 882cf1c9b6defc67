"""Sequences of different lengths, padded and packed, for recurrent layers: `torch.nn.utils.rnn`.

How long each is, is known: numbers, or arrays of them, also in a compiled function, where other lengths are
another trace. A packed batch holds, for each step, the rows of those that are not at their end, longest
first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ...array_functions import stack
from ...creation import full
from ...creation import given as asarray
from ...errors import TraceError, here, public
from ...functional import where
from ...lanes import values_known
from ...tensor import Tensor
from .. import functional as F

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip

Array = np.ndarray[Any, Any]


class PackedSequence(NamedTuple):
    """Sequences, step by step: `data` (all elements, ...), of which the first `batch_sizes[0]` are those of
    the first step. If they were sorted for that, `sorted_indices` is their order, and `unsorted_indices`
    leads back. All but `data` are known: NumPy arrays."""

    data: Tensor
    batch_sizes: Array
    sorted_indices: Array | None = None
    unsorted_indices: Array | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With `data` on another device or in another dtype."""
        return self._replace(data=self.data.to(*args, **kwargs))

    @property
    def lengths(self) -> Array:
        """Of the sequences, in the order in which they are packed."""
        count = int(self.batch_sizes[0]) if len(self.batch_sizes) else 0
        found: Array = (self.batch_sizes[:, None] > np.arange(count)).sum(0)
        return found

    def places(self) -> Array:
        """Where in `data` each step of each packed sequence is, (steps, sequences); 0 beyond an end."""
        before = np.cumsum(self.batch_sizes) - self.batch_sizes
        rows = np.arange(int(self.batch_sizes[0]) if len(self.batch_sizes) else 0)
        found: Array = np.where(rows < self.batch_sizes[:, None], before[:, None] + rows, 0)
        return found


def _lengths(name: str, lengths: Any) -> Array:
    """As an array. TraceError where they are not known."""
    if isinstance(lengths, Tensor):
        if not values_known():
            told = "lengths decide shapes; a compiled function takes them as a tuple of ints"
            raise TraceError(here(f"{name}: {told}"))
        lengths = lengths.numpy()
    found = np.asarray([int(n) for n in lengths], np.int64)
    if found.size and found.min() < 1:
        raise ValueError(here(f"{name}: lengths are at least 1, not {found.min()}"))
    return found


@public
def invert_permutation(permutation: Any) -> Any:
    """The order that leads back; None for None."""
    return None if permutation is None else np.argsort(np.asarray(permutation))


@public
def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:  # fmt: skip
    """Sequences (steps, ...) of different lengths side by side, (steps, sequences, ...), or with
    `batch_first` one after the other, (sequences, steps, ...), filled up with `padding_value`."""
    rows: list[Tensor] = [asarray(x) for x in sequences]
    if not rows:
        raise RuntimeError(here("pad_sequence: no sequences"))
    if padding_side not in ("left", "right"):
        raise ValueError(here(f"pad_sequence: padding_side is left or right, not {padding_side!r}"))
    if any(x.ndim == 0 or x.shape[1:] != rows[0].shape[1:] for x in rows):
        raise ValueError(here(f"pad_sequence: sequences of shapes {[x.shape for x in rows]}"))
    longest = max(len(x) for x in rows)
    none = [0, 0] * (rows[0].ndim - 1)

    def filled(x: Tensor) -> Tensor:
        more = longest - len(x)
        widths = [*none, more, 0] if padding_side == "left" else [*none, 0, more]
        return F.pad(x, widths, value=padding_value) if more else x

    return stack([filled(x) for x in rows], 0 if batch_first else 1)


@public
def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences that `pad_sequence` has filled up."""
    x: Tensor = asarray(padded_sequences)
    rows = x if batch_first else x.swapaxes(0, 1)
    return [rows[k, : int(n)] for k, n in enumerate(_lengths("unpad_sequence", lengths))]


@public
def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs (steps, sequences, ...), or with `batch_first` (sequences, steps, ...), of which `lengths` steps
    count. `enforce_sorted`: they are longest first; else they are sorted. ValueError where they are not."""
    x: Tensor = asarray(input)
    x = x.swapaxes(0, 1) if batch_first else x
    counts = _lengths("pack_padded_sequence", lengths)
    if x.ndim < 2 or counts.shape != x.shape[1:2] or not counts.size or counts.max() > x.shape[0]:
        told = f"{counts.tolist()} do not fit {x.shape[:2]} steps and sequences"
        raise ValueError(here(f"pack_padded_sequence: lengths {told}"))
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
    elif (np.diff(counts) > 0).any():
        told = "lengths are longest first; enforce_sorted=False sorts the sequences"
        raise RuntimeError(here(f"pack_padded_sequence: {told}"))
    sizes = (counts > np.arange(int(counts[0]))[:, None]).sum(1)
    steps, rows = np.nonzero(np.arange(x.shape[1]) < sizes[:, None])
    rows = rows if order is None else order[rows]
    flat = x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])
    data = flat.take(steps * x.shape[1] + rows, 0)
    return PackedSequence(data, sizes, order, invert_permutation(order))


@public
def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """`pack_padded_sequence` of sequences (steps, ...)."""
    rows = [asarray(x) for x in sequences]
    return pack_padded_sequence(pad_sequence(rows), [len(x) for x in rows], enforce_sorted=enforce_sorted)


@public
def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Array]:  # fmt: skip
    """What was packed, filled up with `padding_value` to the longest or to `total_length`, and the lengths,
    an array. The order is that before sorting."""
    counts, places = sequence.lengths, sequence.places()
    if total_length is not None:
        if total_length < len(places):
            told = f"total_length {total_length} is below the longest of {len(places)}"
            raise ValueError(here(f"pad_packed_sequence: {told}"))
        places = np.pad(places, ((0, total_length - len(places)), (0, 0)))
    if sequence.unsorted_indices is not None:
        counts, places = counts[sequence.unsorted_indices], places[:, sequence.unsorted_indices]
    rows = sequence.data.take(places, 0)
    inside = counts > np.arange(len(places))[:, None]
    inside = inside.reshape(*inside.shape, *[1] * (rows.ndim - 2))
    found: Tensor = where(inside, rows, full((), padding_value, dtype=rows.dtype))
    return (found.swapaxes(0, 1) if batch_first else found), counts


@public
def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return [padded[k, : int(n)] for k, n in enumerate(lengths)]
