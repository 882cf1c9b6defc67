"""Random numbers by keys that are passed along, as in JAX: a key is a tensor, and what is drawn by it is
always the same.

    key, one = lucid.random.split(lucid.random.key(0))
    x = lucid.random.keyed(one).normal(size=3)

A key is the state of a generator, [seed, draws so far], so it can be an argument of compiled functions,
carried by `lax.scan` and mapped by `vmap`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import i64, u32

from .context import no_grad
from .creation import arange
from .creation import given as asarray
from .errors import here, public
from .generator import Formula, Generator, bits, high, low
from .named import name_all
from .promote import whole
from .tensor import Tensor, apply

__all__ = ["fold_in", "key", "keyed", "split"]

# Counters of their own, so that no key is made of the bits of a number that is drawn.
_SPLIT, _FOLDED = 1 << 31, 3 << 30


@public
def key(seed: int) -> Tensor:
    """The key of a whole number."""
    word = np.array([whole("seed", seed) & ((1 << 64) - 1), 0], np.uint64)
    return Tensor(word.view(np.int64))


def _checked(name: str, given: Any) -> Tensor:
    found = asarray(given)
    if found.shape != (2,) or found.dtype != np.int64:
        raise TypeError(here(f"{name}: expected a key, int64[2], not {found.dtype}{list(found.shape)}"))
    return found.detach()


def _made(seed: Node, drawn: Node, element: Node, *, salt: int) -> Node:
    """An int64 of 64 bits for each element."""
    words = []
    for k in range(2):
        number = ops.XOR(low(drawn), ops.const(salt + k, low(drawn)))
        spread = [ops.fill(n, element.shape) for n in (low(seed), ops.XOR(high(seed), high(drawn)), number)]
        found = ops.RANDOM_BITS(spread[0], spread[1], ops.CAST(element, dtype=u32), spread[2])
        words.append(ops.CAST(found, dtype=i64))
    return ops.XOR(ops.SHL(words[0], ops.const(32, words[0])), words[1])


def _derived(parent: Tensor, element: Tensor, salt: int) -> Tensor:
    seeds = apply(_made, parent[0], parent[1], element, salt=salt)
    found: Tensor = seeds.unsqueeze(-1) * np.array([1, 0])
    return found


@public
def split(key: Any, num: int = 2) -> Tensor:
    """So many new keys, the rows of a tensor; the one that they are made of is not to be used again."""
    return _derived(_checked("split", key), arange(whole("num", num), dtype=np.int64), _SPLIT)


@public
def fold_in(key: Any, data: Any) -> Tensor:
    """A key made of one and of a whole number, such as a step or a place: of its last 32 bits."""
    parent, number = _checked("fold_in", key), asarray(data)
    if number.ndim or number.dtype.kind not in "iu":
        raise TypeError(f"fold_in: expected a whole number, not {number.dtype}{list(number.shape)}")
    return _derived(parent, number.astype(np.int64) & 0xFFFFFFFF, _FOLDED)


class Keyed(Generator):
    """Draws by a key, from its beginning on."""

    def __init__(self, key: Tensor) -> None:
        self._key, self._used = key, 0

    def get_state(self) -> Any:
        return self._key.numpy() + np.array([0, self._used])

    def set_state(self, state: Any) -> None:
        raise TypeError(here("a key does not change; make another one, by lucid.random.key or fold_in"))

    def draw(
        self, shape: tuple[int, ...], words: int, formula: Formula, *operands: Any, device: object = None
    ) -> Tensor:
        first = self._used
        self._used += words

        def build(seed: Node, drawn: Node, *rest: Any) -> Node:
            begin = ops.ADD(drawn, ops.const(first, drawn))
            return formula(*bits(seed, begin, shape, words, ()), *rest)

        found: Tensor = no_grad(apply)(build, self._key[0], self._key[1], *operands)
        return found


@public
def keyed(key: Any) -> Keyed:
    """A generator that begins with this key, for `generator=`, and with NumPy's methods (`normal`,
    `integers`): what is drawn first by one key is always the same. In `vmap` each example draws by its
    own."""
    return Keyed(_checked("keyed", key))


name_all(globals(), __all__)
