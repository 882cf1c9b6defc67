"""One call of lucid beside PyTorch's: what differs, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .samples import leaves, number

# How far results may be apart: of the largest magnitude of the result, and of each element.
NEAR = {"float32": 3e-5, "float64": 1e-9, "complex64": 5e-5, "complex128": 1e-9, "float16": 4e-3}
Verdict = tuple[str, str]
AGREES: Verdict = ("agrees", "")


def call(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """The result, its values read; or what was raised."""
    try:
        found = function()
        for x in leaves(found):
            if hasattr(x, "numpy"):
                x.numpy() if not getattr(x, "requires_grad", False) else x.detach().numpy()
    except Exception as error:
        return None, error
    return found, None


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]


def apart(found: Any, wanted: Any, noise: float) -> Verdict:
    """How two arrays differ."""
    if found.shape != wanted.shape:
        return "shape", f"{found.shape}, PyTorch {wanted.shape}"
    values = values_apart(found, wanted, noise)
    if values != AGREES:
        return values
    if found.dtype != wanted.dtype:
        return "dtype", f"{found.dtype}, PyTorch {wanted.dtype}"
    return AGREES


def values_apart(found: Any, wanted: Any, noise: float) -> Verdict:
    if wanted.dtype.kind in "biu" and found.dtype.kind in "biu":
        same = found == wanted
    else:
        names = [a.dtype.name for a in (found, wanted) if a.dtype.name in NEAR]
        near = max(NEAR[name] for name in names)
        with np.errstate(all="ignore"):
            finite = np.abs(wanted[np.isfinite(wanted)])
            scale = float(finite.max()) if finite.size else 0.0
            same = np.isclose(found, wanted, rtol=near, atol=near * min(scale, 1.0) + noise, equal_nan=True)
    if np.all(same):
        return AGREES
    at = tuple(int(k) for k in np.argwhere(~np.asarray(same))[0]) if np.ndim(same) else ()
    share = f"{np.size(same) - np.count_nonzero(same)} of {np.size(same)}"
    return "value", f"{share}; at {at} {found[at]!r}, PyTorch {wanted[at]!r}"


def results_apart(found: Any, wanted: Any, noise: float = 0.0) -> Verdict:
    """How the results of two calls differ, structures of tensors and numbers; by more than `noise`."""
    ours, theirs = leaves(found), leaves(wanted)
    if len(ours) != len(theirs):
        return "structure", f"{len(ours)} results, PyTorch {len(theirs)}"
    worst = AGREES
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if (a is None) != (b is None):
            return "structure", f"result {k} is None for one of both"
        if a is None:
            continue
        verdict = apart(number(a), number(b), noise)
        if verdict[0] in ("shape", "value"):
            return verdict[0], f"result {k}: {verdict[1]}" if len(ours) > 1 else verdict[1]
        if verdict != AGREES:
            worst = verdict
    return worst
