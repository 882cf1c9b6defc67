"""Gradients of tensors by tensors, under PyTorch's names: `torch.autograd`. Of functions: `lucid.grad`,
`lucid.func`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lucid.compiler import ops

from ..context import MODE, enable_grad, inference_mode, no_grad, set_grad_enabled
from ..errors import bounded, here, no_attribute, public
from ..hooks import pullback
from ..tensor import Tensor, node_of
from . import functional
from .anomaly import detect_anomaly, set_detect_anomaly
from .function import Function

if TYPE_CHECKING:
    from ..testing import gradcheck, gradgradcheck

__all__ = [
    "Function", "backward", "detect_anomaly", "enable_grad", "functional", "grad", "inference_mode",
    "gradcheck", "gradgradcheck", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


@bounded
def __getattr__(name: str) -> Any:
    if name in ("gradcheck", "gradgradcheck"):  # few programs test
        return getattr(import_module("lucid.testing"), name)
    raise no_attribute(sys.modules[__name__], f"module {__name__!r}", name)


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _cotangents(name: str, outputs: Sequence[Tensor], given: Any) -> list[Any]:
    """Nodes, one for each output: 1 for what is one number. RuntimeError for others without one."""
    parts = _several(given) if given is not None else (None,) * len(outputs)
    if len(parts) != len(outputs):
        raise RuntimeError(here(f"{name}: {len(outputs)} outputs and {len(parts)} cotangents"))
    return [x._cotangent(part) for x, part in zip(outputs, parts, strict=True)]


@public
def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
    create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
    is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """The sum of the gradients of `outputs` by each of `inputs`, tensors or sequences of them: leaves, or
    what `outputs` are computed from. Nothing is added to any `grad`.

    `grad_outputs`: cotangents of the outputs; may be left out for those that are one number. `create_graph`:
    gradients flow through the result. `allow_unused`: None for what is not used, `materialize_grads`: zeros;
    else it is a RuntimeError. A graph is always kept, and gradients are of inputs only: `retain_graph` and
    `only_inputs` change nothing. `is_grads_batched`: the first axis of `grad_outputs` counts cotangents, and
    that of the results.

    RuntimeError for an input that does not require grad. For a function of arrays: `lucid.grad`.
    """
    results, wrt = _several(outputs), _several(inputs)
    for what, tensors in (("outputs", results), ("inputs", wrt)):
        for x in tensors:
            if not isinstance(x, Tensor):
                hint = "; lucid.grad(f) is the gradient of a function" if callable(x) else ""
                raise TypeError(f"autograd.grad: {what} are tensors, not {type(x).__name__}{hint}")
    if is_grads_batched:
        from ..mapping import vmap

        def one(*cotangents: Any) -> Any:
            return grad(results, wrt, cotangents, create_graph=create_graph, materialize_grads=True)

        return vmap(one)(*_several(grad_outputs))  # type: ignore[no-any-return]
    for x in wrt:
        if not x.requires_grad:
            raise RuntimeError("autograd.grad: an input does not require grad; set that before it is used")
    cotangents = _cotangents("autograd.grad", results, grad_outputs)
    nodes = [node_of(x) for x in wrt]
    found = pullback([node_of(x) for x in results], cotangents, nodes)
    if None in found and not (allow_unused or materialize_grads):
        at = found.index(None)
        raise RuntimeError(
            f"autograd.grad: the outputs do not depend on input {at}; allow_unused=True gives None for it"
        )
    trace, kept = MODE.get().trace, create_graph and MODE.get().grad
    made: list[Tensor | None] = []
    for node, part in zip(nodes, found, strict=True):
        if part is None and not materialize_grads:
            made.append(None)
            continue
        part = ops.zeros_like(node) if part is None else part
        made.append(Tensor._of(part if kept else ops.STOP(part), kept, trace))
    return tuple(made)


@public
def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    inputs: Any = None,
) -> None:  # fmt: skip
    """Add the sum of the gradients of `tensors` to `grad` of every leaf that they depend on, or of `inputs`
    alone: `backward` of each. `retain_graph` and `create_graph` change nothing."""
    outputs = _several(tensors)
    given = _several(grad_tensors) if grad_tensors is not None else (None,) * len(outputs)
    for x, part in zip(outputs, given, strict=True):
        x.backward(part, inputs=inputs)
