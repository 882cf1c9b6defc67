"""Multi-head attention and the layers of a transformer, with PyTorch's parameters and formulas (Vaswani and
others, arXiv:1706.03762)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import as_shape, ones
from ..creation import given as asarray
from ..defaults import float_or_default
from ..errors import bounds, here
from ..functional import where
from ..tensor import Tensor
from . import functional as F
from . import init
from .layers import Dropout, LayerNorm, Linear, ModuleList
from .module import Module, Parameter

Activation = str | Callable[[Tensor], Tensor]


@bounds
class MultiheadAttention(Module):
    """Attention in `num_heads` parts of `embed_dim` features, each with projections of its own.

    Called with query (steps, n, embed_dim), key and value (keys, n, ...), or with `batch_first` (n, steps,
    ...), or without a batch. Masks of bools are true where a key is *not* to be seen, as in PyTorch; those of
    numbers are added to the scores: `attn_mask` (steps, keys) or (n heads, steps, keys), `key_padding_mask`
    (n, keys).
    Returns the result, and the weights if `need_weights` (their mean over heads), else None.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        kdim: int | None = None, vdim: int | None = None, batch_first: bool = False, device: object = None,
        dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed_dim, self.num_heads = as_shape((embed_dim, num_heads))
        if not self.num_heads or self.embed_dim % self.num_heads:
            raise ValueError(here(f"MultiheadAttention: {embed_dim} features do not make {num_heads} heads"))
        F.dropout(0.0, dropout)  # ValueError for what is no probability
        self.dropout, self.batch_first = dropout, batch_first
        self.kdim, self.vdim = kdim or self.embed_dim, vdim or self.embed_dim
        size = self.embed_dim
        kind = float_or_default(dtype).np

        def weight(inner: int, rows: int) -> Parameter:
            made = Parameter(np.zeros((rows, inner), kind))
            init.xavier_uniform_(made)
            return made

        self._joined = self.kdim == self.vdim == size
        if self._joined:
            self.in_proj_weight = weight(size, 3 * size)
        else:
            self.q_proj_weight, self.k_proj_weight = weight(size, size), weight(self.kdim, size)
            self.v_proj_weight = weight(self.vdim, size)
        self.in_proj_bias = Parameter(np.zeros(3 * size, kind)) if bias else None
        self.out_proj = Linear(size, size, bias=bias, dtype=dtype)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)
        self._lie_on(device)

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        q, k, v = asarray(query), asarray(key), asarray(value)
        if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
            raise ValueError(here(f"MultiheadAttention: expected 2 or 3 axes, not {q.shape}, {k.shape}"))
        batched = q.ndim == 3
        if not batched:
            q, k, v = (x.reshape(1, *x.shape) for x in (q, k, v))
        elif not self.batch_first:
            q, k, v = (x.transpose(1, 0, 2) for x in (q, k, v))
        q, k, v = (self._heads(x, number) for number, x in enumerate((q, k, v)))
        scores = (q * q.shape[-1] ** -0.5) @ k.swapaxes(-1, -2)  # (n, heads, steps, keys)
        for mask in self._masks(scores, attn_mask, key_padding_mask, is_causal):
            scores = where(mask, -np.inf, scores) if mask.dtype == np.bool_ else scores + mask
        weights = F.softmax(scores, -1)
        kept = F.dropout(weights, self.dropout, self.training)
        mixed = (kept @ v).transpose(0, 2, 1, 3)
        found = self.out_proj(mixed.reshape(*mixed.shape[:2], self.embed_dim))
        shown = None
        if need_weights:
            shown = weights.mean(1) if average_attn_weights else weights
        if not batched:
            return found[0], None if shown is None else shown[0]
        return (found if self.batch_first else found.transpose(1, 0, 2)), shown

    def _heads(self, x: Tensor, number: int) -> Tensor:
        """Query, key or value, projected: (n, heads, steps, features of a head)."""
        size = self.embed_dim
        rows = slice(number * size, (number + 1) * size)
        apart = ("q_proj_weight", "k_proj_weight", "v_proj_weight")[number]
        weight = self.in_proj_weight[rows] if self._joined else getattr(self, apart)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        made = F.linear(x, weight, bias)
        return made.reshape(*x.shape[:2], self.num_heads, -1).transpose(0, 2, 1, 3)

    def _masks(self, scores: Tensor, attn_mask: Any, padding: Any, causal: bool) -> list[Tensor]:
        batch, heads, steps, keys = scores.shape
        found = []
        if attn_mask is not None:
            mask = asarray(attn_mask)
            if mask.shape == (batch * heads, steps, keys):
                mask = mask.reshape(scores.shape)
            elif mask.shape != (steps, keys):
                told = f"expected an attn_mask of {(steps, keys)} or {(batch * heads, steps, keys)}"
                raise ValueError(here(f"MultiheadAttention: {told}, not {mask.shape}"))
            found.append(mask)
        elif causal:
            found.append(ones((steps, keys), dtype=np.bool_, device=scores.device).triu(1))
        if padding is not None:
            mask = asarray(padding)
            mask = mask.reshape(1, -1) if mask.ndim == 1 else mask
            if mask.shape != (batch, keys):
                told = f"expected a key_padding_mask of {(batch, keys)}, not {mask.shape}"
                raise ValueError(here(f"MultiheadAttention: {told}"))
            found.append(mask.reshape(batch, 1, 1, keys))
        return found


def _activation(activation: Activation) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str):
        known: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}
        if activation not in known:
            raise ValueError(here(f"activation must be relu, gelu or a function, not {activation!r}"))
        return known[activation]
    return activation


@bounds
class TransformerEncoderLayer(Module):
    """x with attention to itself added, then with a network of two layers of each position added; each is
    normalised after it (`norm_first`: before)."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm1, self.norm2 = (_norm(d_model, layer_norm_eps, bias, dtype) for _ in range(2))
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.norm_first, self.activation = norm_first, _activation(activation)

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        x = asarray(src)
        masks = src_mask, src_key_padding_mask, is_causal
        if self.norm_first:
            x = x + self._attend(self.norm1(x), *masks)
            return x + self._feed(self.norm2(x))
        x = self.norm1(x + self._attend(x, *masks))
        found: Tensor = self.norm2(x + self._feed(x))
        return found

    def _attend(self, x: Tensor, mask: Any, padding: Any, causal: bool) -> Tensor:
        found, _ = self.self_attn(
            x, x, x, attn_mask=mask, key_padding_mask=padding, need_weights=False, is_causal=causal
        )
        made: Tensor = self.dropout1(found)
        return made

    def _feed(self, x: Tensor) -> Tensor:
        made: Tensor = self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))
        return made


@bounds
class TransformerDecoderLayer(Module):
    """As `TransformerEncoderLayer`, with attention to a `memory` between."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = "relu", layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.self_attn, self.multihead_attn = (
            MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
            )
            for _ in range(2)
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm1, self.norm2, self.norm3 = (_norm(d_model, layer_norm_eps, bias, dtype) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout) for _ in range(3))
        self.norm_first, self.activation = norm_first, _activation(activation)

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None, tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        x, seen = asarray(tgt), asarray(memory)

        def own(y: Tensor) -> Tensor:
            found, _ = self.self_attn(
                y, y, y, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask, need_weights=False,
                is_causal=tgt_is_causal,
            )  # fmt: skip
            made: Tensor = self.dropout1(found)
            return made

        def across(y: Tensor) -> Tensor:
            found, _ = self.multihead_attn(
                y, seen, seen, attn_mask=memory_mask, key_padding_mask=memory_key_padding_mask,
                need_weights=False, is_causal=memory_is_causal,
            )  # fmt: skip
            made: Tensor = self.dropout2(found)
            return made

        def feed(y: Tensor) -> Tensor:
            made: Tensor = self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(y)))))
            return made

        for norm, part in ((self.norm1, own), (self.norm2, across), (self.norm3, feed)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


def _norm(size: int, eps: float, bias: bool, dtype: object) -> LayerNorm:
    return LayerNorm(size, eps=eps, bias=bias, dtype=dtype)


class _Stack(Module):
    """`num_layers` copies of a layer, one after the other, then `norm`. All begin with equal parameters."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def _through(self, x: Any, *others: Any) -> Tensor:
        made = asarray(x)
        for layer in self.layers:
            made = layer(made, *others)
        return made if self.norm is None else self.norm(made)


@bounds
class TransformerEncoder(_Stack):
    """`num_layers` copies of a layer, one after the other, then `norm`. All begin with equal parameters."""

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        return self._through(src, mask, src_key_padding_mask, bool(is_causal))


@bounds
class TransformerDecoder(_Stack):
    """`num_layers` copies of a layer, one after the other, then `norm`. All begin with equal parameters."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None,
        tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        return self._through(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            bool(tgt_is_causal), memory_is_causal,
        )  # fmt: skip


@bounds
class Transformer(Module):
    """An encoder of the source and a decoder of the target that sees what it made."""

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = "relu",
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False,
        bias: bool = True, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        options: tuple[Any, ...] = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first,
            bias, device, dtype,
        )  # fmt: skip
        norms = [_norm(d_model, layer_norm_eps, bias, dtype) for _ in range(2)]
        self.encoder = TransformerEncoder(TransformerEncoderLayer(*options), num_encoder_layers, norms[0])
        self.decoder = TransformerDecoder(TransformerDecoderLayer(*options), num_decoder_layers, norms[1])
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    def forward(
        self, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None, memory_mask: Any = None,
        src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None, src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        found: Tensor = self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip
        return found

    @staticmethod
    def generate_square_subsequent_mask(size: int, device: object = None, dtype: object = None) -> Tensor:
        """(size, size): -inf above the diagonal, else 0, to be added to scores."""
        kind: Any = float_or_default(dtype).np
        upper = Tensor(np.triu(np.full((size, size), -np.inf, np.float64), 1).astype(kind))
        return upper if device is None else upper.to(device)
