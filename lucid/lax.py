"""Control flow of functions (and what `dynamic.py` has), under the names and arguments of `jax.lax`.

Outside of compiled functions Python decides: one branch runs, a loop runs as long as it must. In a compiled
function, and for an example of `vmap`, values are not known: all branches are computed and `where` chooses,
so that what is not chosen has no influence on values or gradients; loops are written out, one step after the
other, and a number of steps that depends on values raises TraceError. Gradients flow through all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import dynamic
from .arguments import rebuild
from .array_functions import expand_dims, stack
from .creation import given as asarray
from .dynamic import *  # noqa: F403
from .errors import TraceError, here, public
from .functional import detach, rsqrt, where
from .lanes import values_known
from .mapping import vmap
from .promote import whole
from .published import erf, erfinv, sigmoid
from .tensor import Tensor

__all__ = [
    "cond", "erf", "erf_inv", "expand_dims", "fori_loop", "logistic", "map", "rsqrt", "scan", "select",
    "stop_gradient", "switch", "while_loop",
]  # fmt: skip
__all__ += dynamic.__all__

select, stop_gradient, erf_inv, logistic = where, detach, erfinv, sigmoid


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    rebuild(tree, found.append)
    return found


def _chosen(name: str, pick: Callable[..., Any], trees: Sequence[Any]) -> Any:
    """The first tree with `pick` of what all have in a place. TypeError where they differ in structure, dtype
    or shape."""
    shapes = [rebuild(tree, lambda v: None) for tree in trees]
    columns = [[asarray(v) for v in _leaves(tree)] for tree in trees]
    kinds = [[(x.dtype, x.shape) for x in column] for column in columns]
    if any(s != shapes[0] for s in shapes) or any(k != kinds[0] for k in kinds):
        told = " and ".join(str([f"{dtype}{list(shape)}" for dtype, shape in k]) for k in kinds)
        raise TypeError(f"{name}: branches must return the same structure, dtypes and shapes, not {told}")
    made = iter([pick(*parts) for parts in zip(*columns, strict=True)])
    return rebuild(trees[0], lambda _: next(made))


@public
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` where `pred`, one bool, holds, else `false_fun(*operands)`."""
    if not isinstance(pred, Tensor) or values_known():
        return true_fun(*operands) if pred else false_fun(*operands)
    holds = pred.astype(bool).reshape(())
    return _chosen("cond", lambda a, b: where(holds, a, b), [true_fun(*operands), false_fun(*operands)])


@public
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index outside is brought to the nearest end."""
    if not branches:
        raise ValueError("switch: expected at least one branch")
    last = len(branches) - 1
    if not isinstance(index, Tensor) or values_known():
        return branches[min(max(int(index), 0), last)](*operands)
    at = index.clip(0, last).reshape(())

    def pick(*parts: Tensor) -> Tensor:
        found = parts[-1]
        for k in range(last - 1, -1, -1):
            found = where(at == k, parts[k], found)
        return found

    return _chosen("switch", pick, [branch(*operands) for branch in branches])


@public
def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """`body_fun(k, value)` for each k from `lower` to below `upper`, each with what the last one returned."""
    value = init_val
    for k in range(whole("lower", lower), whole("upper", upper)):
        value = body_fun(k, value)
    return value


@public
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """`body_fun` of what the last one returned, as long as `cond_fun` of that holds."""
    value = init_val
    while True:
        holds = cond_fun(value)
        if isinstance(holds, Tensor) and not values_known():
            raise TraceError(
                here(
                    "while_loop: how often it runs depends on values, which a compiled function does not "
                    "know; use fori_loop with where in its body, or call it outside"
                )
            )
        if not holds:
            return value
        value = body_fun(value)


@public
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None,
    reverse: bool = False, unroll: int = 1,
) -> tuple[Any, Any]:  # fmt: skip
    """`carry, y = f(carry, x)` for each x along the first axis of `xs` (or `length` times None); the last
    carry, and all y, stacked in the order of x. With `reverse` the last x comes first. `unroll` changes
    nothing."""
    columns = [asarray(v) for v in _not_none(xs)]
    counts = {x.shape[0] if x.ndim else -1 for x in columns}
    if length is not None:
        counts.add(whole("length", length))
    if len(counts) != 1 or -1 in counts:
        raise ValueError(f"scan: expected one length of the first axes of xs, got {sorted(counts)}")
    (count,) = counts
    carry, found = init, list[Any]()
    for k in range(count)[::-1] if reverse else range(count):
        made: Any = f(carry, _filled(xs, [x[k] for x in columns]))
        if not isinstance(made, tuple | list) or len(made) != 2:
            what = f"{len(made)} results" if isinstance(made, tuple | list) else f"a {type(made).__name__}"
            raise TypeError(f"scan: expected f(carry, x) to return a pair (carry, y), not {what}")
        carry = made[0]
        found.append(made[1])
    found = found[::-1] if reverse else found
    if not found:
        return carry, None
    return carry, _filled(found[0], [stack(ys) for ys in zip(*[_not_none(y) for y in found], strict=True)])


def _filled(tree: Any, values: list[Tensor]) -> Any:
    """The same containers with these in the places that are not None."""
    rest = iter(values)
    return rebuild(tree, lambda v: None if v is None else next(rest))


def _not_none(tree: Any) -> list[Any]:
    return [v for v in _leaves(tree) if v is not None]


@public
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each part along the first axis of `xs`: `vmap(f)(xs)`, all at once."""
    return vmap(f)(xs)
