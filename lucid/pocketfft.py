"""What pocketfft computes, through NumPy, with its derivatives written in graph nodes.

All are linear, so the cotangent of the operand is the adjoint transform of that of the result: of a transform
without a scale the opposite one without a scale, and by "backward" and "forward" where the scales are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, TensorType, c64, c128, f32, tensor_type

from .engine import Array
from .hosted import Call, Hosted, called, constant

Options = Mapping[str, Any]
Parts = tuple[Node | None, ...]
Needs = tuple[bool, ...]

# The norm of the opposite transform that has the same scale.
ADJOINT = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _compute(options: Options, x: Array) -> tuple[Array, ...]:
    run: Any = np.fft.ifftn if options["inverse"] else np.fft.fftn
    return (run(x, axes=options["axes"], norm=options["norm"]),)


def _d_transform(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    options = call.options
    norm, inverse = ADJOINT[options["norm"]], not options["inverse"]
    return (called(FFT, ct, axes=options["axes"], norm=norm, inverse=inverse).out(0),)


def _called(options: Options) -> str:
    return "numpy.fft.ifftn" if options["inverse"] else "numpy.fft.fftn"


# Of complex numbers, along several axes.
FFT = Hosted("fft", _compute, lambda options, x: (x,), _d_transform, calls=_called)


def _along(x: TensorType, axis: int, n: int, dtype: DType) -> TensorType:
    return tensor_type(dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :]))


def _compute_real(options: Options, x: Array) -> tuple[Array, ...]:
    return (np.fft.rfft(x, axis=options["axis"], norm=options["norm"]),)


def _d_real(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    """The half that is not computed is no operand of anything: 0."""
    axis, norm = call.options["axis"], ADJOINT[call.options["norm"]]
    n = call.inputs[0].shape[axis]
    whole = ops.pad_axis(ct, axis, 0, n - ct.shape[axis])
    return (ops.RE(called(FFT, whole, axes=(axis,), norm=norm, inverse=True).out(0)),)


def _real_types(options: Options, x: TensorType) -> tuple[TensorType, ...]:
    return (_along(x, options["axis"], x.shape[options["axis"]] // 2 + 1, c64 if x.dtype is f32 else c128),)


# Of real numbers along one axis: the first half, the rest are its conjugates.
RFFT = Hosted("rfft", _compute_real, _real_types, _d_real, calls="numpy.fft.rfft")


def _compute_back(options: Options, x: Array) -> tuple[Array, ...]:
    return (np.fft.irfft(x, options["n"], axis=options["axis"], norm=options["norm"]),)


def _d_back(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    """All but the first frequency, and the last one of an even number, stand for their conjugates, too."""
    axis, n = call.options["axis"], call.options["n"]
    half = called(RFFT, ct, axis=axis, norm=ADJOINT[call.options["norm"]]).out(0)
    times = np.full(n // 2 + 1, 2, half.type.dtype.part.np)
    times[0] = 1
    if n % 2 == 0:
        times[-1] = 1
    shape = tuple(-1 if d == axis else 1 for d in range(half.type.ndim))
    weight = ops.fill(constant(times.reshape(shape)), half.shape)
    return (ops.COMPLEX(*(ops.MUL(part(half), weight) for part in (ops.RE, ops.IM))),)


def _back_types(options: Options, x: TensorType) -> tuple[TensorType, ...]:
    return (_along(x, options["axis"], options["n"], x.dtype.part),)


# n real numbers of the first half of their frequencies, along one axis.
IRFFT = Hosted("irfft", _compute_back, _back_types, _d_back, calls="numpy.fft.irfft")
