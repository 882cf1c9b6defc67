"""Batches of examples, as `torch.utils.data` has them: data sets, orders, and what goes through them.

    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    for x, y in loader: ...

All is done in the caller's thread, when a batch is asked for. The last batch may be smaller; a compiled step
that has met two sizes serves all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np

from ..array_functions import stack
from ..creation import given as asarray
from ..errors import bounds, here, public
from ..random import multinomial, randperm
from ..tensor import Tensor

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "random_split",
]


class Dataset:
    """Examples by number: a subclass has `__getitem__`, and `__len__` where it is sampled."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(here(f"{type(self).__name__} has no __getitem__ method"))

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Examples one after another: a subclass has `__iter__`."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(here(f"{type(self).__name__} has no __iter__ method"))


@bounds
class TensorDataset(Dataset):
    """Example k is a tuple of x[k] of each tensor."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(map(asarray, tensors))
        if not tensors or any(t.shape[:1] != self.tensors[0].shape[:1] or not t.ndim for t in self.tensors):
            shapes = ", ".join(str(t.shape) for t in self.tensors) or "none"
            raise ValueError(here(f"TensorDataset: expected tensors of as many examples, not {shapes}"))

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


@bounds
class ConcatDataset(Dataset):
    """Those of several data sets, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError(here("ConcatDataset: expected at least one data set"))
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __getitem__(self, index: int) -> Any:
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(here(f"ConcatDataset: index {index} of {len(self)} examples"))
        which = bisect_right(self.cumulative_sizes, number)
        return self.datasets[which][number - ([0, *self.cumulative_sizes][which])]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class Subset(Dataset):
    """Those examples of a data set, in that order."""

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


@public
def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """The examples in a random order, in parts of these lengths, or of these shares of all."""
    count, parts = len(dataset), list(lengths)
    if abs(sum(parts) - 1) < 1e-9 and all(0 <= p <= 1 for p in parts):
        whole = [int(count * p) for p in parts]
        parts = [n + (k < count - sum(whole)) for k, n in enumerate(whole)]
    if sum(parts) != count:
        raise ValueError(f"random_split: lengths {parts} do not add up to {count} examples")
    order, ends = _order(count, generator), list(accumulate(map(int, parts)))
    return [Subset(dataset, order[end - int(n) : end]) for n, end in zip(parts, ends, strict=True)]


def _order(count: int, generator: Any) -> list[int]:
    found: list[int] = randperm(count, generator=generator).numpy().tolist()
    return found


class Sampler:
    """Numbers of examples, in an order: a subclass has `__iter__`."""

    def __init__(self, data_source: Any = None) -> None:
        """Nothing is kept."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(here(f"{type(self).__name__} has no __iter__ method"))


class SequentialSampler(Sampler):
    """From the first to the last."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(SequentialSampler):
    """In a random order, another one each time."""

    def __init__(self, data_source: Any, generator: Any = None) -> None:
        super().__init__(data_source)
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return iter(_order(len(self.data_source), self.generator))


class WeightedRandomSampler(Sampler):
    """`num_samples` numbers, each as often as its weight says."""

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        self.weights, self.num_samples = asarray(weights), num_samples
        self.replacement, self.generator = replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.numpy().tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` of what a sampler gives; a shorter last one is left out with `drop_last`."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool = False) -> None:
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return _batches(self.sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        return _count(len(self.sampler), self.batch_size, self.drop_last)


def _batches(items: Iterable[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    given = iter(items)
    while batch := list(islice(given, size)):
        if len(batch) == size or not drop_last:
            yield batch


def _count(items: int, size: int, drop_last: bool) -> int:
    return items // size if drop_last else -(-items // size)


@bounds
class DataLoader:
    """Batches of a data set: in its order, with `shuffle` in a random one, or in that of a `sampler` or a
    `batch_sampler`. `collate_fn` makes a batch of a list; with None as `batch_size` examples stay single.
    What PyTorch has workers, pinned memory and time limits for is not used."""

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None, sampler: Any = None,
        batch_sampler: Any = None, num_workers: int = 0, collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
        worker_init_fn: Any = None, multiprocessing_context: Any = None, generator: Any = None,
        *, prefetch_factor: int | None = None, persistent_workers: bool = False, pin_memory_device: str = "",
    ) -> None:  # fmt: skip
        if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
            raise ValueError(here(f"DataLoader: batch_size is an int above 0, or None, not {batch_size!r}"))
        streams = isinstance(dataset, IterableDataset)
        if (shuffle and (sampler is not None or streams)) or (
            batch_sampler is not None and (shuffle or sampler is not None or drop_last or batch_size != 1)
        ):
            told = "expected one of shuffle, sampler and batch_sampler, none of an IterableDataset's"
            raise ValueError(here(f"DataLoader: {told}; a batch_sampler knows batch_size and drop_last"))
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_workers, self.generator = num_workers, generator
        if sampler is None and not streams:
            sampler = RandomSampler(dataset, generator) if shuffle else SequentialSampler(dataset)
        self.sampler = sampler
        if batch_sampler is None and batch_size is not None and not streams:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_collate if batch_size is not None else _single)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            if self.batch_size is None:
                return map(self.collate_fn, self.dataset)
            return map(self.collate_fn, _batches(self.dataset, self.batch_size, self.drop_last))
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[k]) for k in self.sampler)
        return map(self._batch, self.batch_sampler)

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        count: Any = len(self.dataset)  # type: ignore[arg-type]
        return count if self.batch_size is None else _count(count, self.batch_size, self.drop_last)

    def _batch(self, numbers: list[int]) -> Any:
        of_tensors = type(self.dataset) is TensorDataset and self.collate_fn is default_collate
        if of_tensors and not any(t.requires_grad for t in self.dataset.tensors):
            return [Tensor(t.numpy()[numbers], device=t.device) for t in self.dataset.tensors]
        many = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(many(numbers) if many else [self.dataset[k] for k in numbers])


def _single(example: Any) -> Any:
    return asarray(example) if isinstance(example, np.ndarray | np.generic) else example


@public
def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of examples: tensors, arrays and numbers are stacked, dicts and tuples by their parts; text is
    left as a list."""
    first = batch[0]
    if isinstance(first, Tensor):
        if any(x.requires_grad for x in batch):
            return stack(list(batch))
        return Tensor(np.stack([x.numpy() for x in batch]), device=first.device)
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(np.stack([*map(np.asarray, batch)]))
    if isinstance(first, bool | int | float):
        return Tensor(np.array(batch))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([x[key] for x in batch]) for key in first}
    if isinstance(first, tuple | list):
        if len({*map(len, batch)}) > 1:
            raise ValueError(
                f"default_collate: examples of {sorted({*map(len, batch)})} parts; give a collate_fn"
            )
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    told = "expected tensors, arrays, numbers, text, or containers of these; or a collate_fn"
    raise TypeError(f"default_collate: a {type(first).__name__}; {told}")
