"""Tables of rows as layers."""

from __future__ import annotations

from typing import Any

from .. import random
from ..creation import as_shape
from ..defaults import float_or_default
from ..errors import here, public
from ..tensor import Tensor
from . import functional as F
from .module import Module, Parameter


class Embedding(Module):
    """Row i of a table for each index i: (...) to (..., embedding_dim). The rows start normal(0, 1), row
    `padding_idx` as zeros, and it gets no gradient. `max_norm`: rows that are read are scaled to at most that
    norm, of order `norm_type`. `scale_grad_by_freq`: see `functional.embedding`. `sparse` is PyTorch's, and
    changes nothing. IndexError for an index without a row."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
        sparse: bool = False, *, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.num_embeddings, self.embedding_dim = as_shape((num_embeddings, embedding_dim))
        self.padding_idx = F.checked_padding(padding_idx, self.num_embeddings)
        self.weight = _table(self.num_embeddings, self.embedding_dim, self.padding_idx, dtype)
        self._lie_on(device)

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None,
        max_norm: float | None = None, norm_type: float = 2.0,
    ) -> Embedding:  # fmt: skip
        """A layer with this table; `freeze`: it is not trained."""
        table = Parameter(embeddings, requires_grad=not freeze)
        if table.ndim != 2:
            raise ValueError(here(f"from_pretrained: expected a table of two dimensions, not {table.ndim}"))
        layer = cls(1, 1, None, max_norm, norm_type)
        layer.num_embeddings, layer.embedding_dim = table.shape
        layer.padding_idx = F.checked_padding(padding_idx, layer.num_embeddings)
        layer.weight = table
        return layer

    def forward(self, input: Any) -> Tensor:
        given = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        return F.embedding(input, self.weight, *given)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class EmbeddingBag(Module):
    """Sum, mean or maximum of rows of a table: of each row of a 2-D input, or of the bags that begin at
    `offsets` in a 1-D one."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, mode: str = "mean", padding_idx: int | None = None,
        *, max_norm: float | None = None, norm_type: float = 2.0, sparse: bool = False,
        include_last_offset: bool = False, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.max_norm, self.norm_type, self.include_last_offset = max_norm, norm_type, include_last_offset
        self.num_embeddings, self.embedding_dim = as_shape((num_embeddings, embedding_dim))
        self.padding_idx = F.checked_padding(padding_idx, self.num_embeddings)
        self.mode = F.checked_mode(mode)
        self.weight = _table(self.num_embeddings, self.embedding_dim, self.padding_idx, dtype)
        self._lie_on(device)

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.mode, per_sample_weights, self.padding_idx,
            max_norm=self.max_norm, norm_type=self.norm_type, include_last_offset=self.include_last_offset,
        )  # fmt: skip

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}{padding}"


@public
def _table(rows: int, width: int, padding: int | None, dtype: object) -> Parameter:
    kind = float_or_default(dtype).np
    table = random.normal(0.0, 1.0, (rows, width), dtype=kind)
    return Parameter(table if padding is None else table.at[padding].set(0))
