"""Spectra of signals by short windows, and the signals back: PyTorch's `stft` and `istft`."""

from __future__ import annotations

import math
from typing import Any

from . import fft
from .array_functions import pad as padded
from .array_functions import sliding_window_view
from .creation import arange, ones, zeros
from .creation import given as asarray
from .errors import here, public
from .joins import TORCH_MODES
from .lanes import values_known
from .named import name_all
from .promote import whole
from .tensor import Tensor

__all__ = ["istft", "stft"]


def _window(
    name: str, n_fft: int, hop_length: Any, win_length: Any, window: Any, like: Tensor
) -> tuple[Tensor, int]:
    """The window amid n_fft samples, and the hop."""
    size = n_fft if win_length is None else whole("win_length", win_length)
    hop = n_fft // 4 if hop_length is None else whole("hop_length", hop_length)
    if not 0 < size <= n_fft or hop <= 0:
        raise ValueError(
            f"{name}: expected 0 < win_length <= n_fft and hop_length > 0, not {size}, {n_fft}, {hop}"
        )
    found = ones(size, dtype=like._node.type.dtype.part.np) if window is None else asarray(window)
    if found.shape != (size,):
        raise ValueError(f"{name}: a window of shape {found.shape}, expected ({size},)")
    left = (n_fft - size) // 2
    return padded(found, (left, n_fft - size - left)), hop


@public
def stft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor:  # fmt: skip
    """The Fourier transforms of pieces of n_fft samples, `hop_length` (a quarter) apart, times `window`: a
    signal (n) or (batch, n) to (..., frequencies, pieces).

    `center`: pieces lie around their places, and the signal is continued at both ends by `pad_mode`.
    `normalized`: over sqrt(n_fft). `onesided`: the first n_fft // 2 + 1 frequencies, by default of real
    signals. `return_complex=False`: an axis of real and imaginary parts; of real signals one of both must be
    said.
    """
    x, count = asarray(input), whole("n_fft", n_fft)
    if x.ndim not in (1, 2) or not (x.is_floating_point() or x.is_complex()):
        raise ValueError(f"stft: expected one signal or a batch of them, not {x.dtype} of shape {x.shape}")
    around, hop = _window("stft", count, hop_length, win_length, window, x)
    real = not (x.is_complex() or around.is_complex())
    if return_complex is None and real:
        raise RuntimeError(
            here("stft: say return_complex=True, or False for an axis of real and imaginary parts")
        )
    if onesided and not real:
        raise ValueError("stft: a complex signal or window has frequencies of both signs; leave out onesided")
    if center:
        if pad_mode not in TORCH_MODES:
            raise ValueError(
                f"stft: pad_mode must be reflect, constant, replicate or circular, not {pad_mode!r}"
            )
        if pad_mode == "reflect" and count // 2 >= x.shape[-1]:
            raise ValueError(f"stft: {x.shape[-1]} samples cannot be reflected by {count // 2}")
        x = padded(x, [(0, 0)] * (x.ndim - 1) + [(count // 2, count // 2)], mode=TORCH_MODES[pad_mode])
    if not 0 < count <= x.shape[-1]:
        raise ValueError(f"stft: n_fft {count} for {x.shape[-1]} samples")
    pieces = sliding_window_view(x, count, -1)[..., ::hop, :] * around
    run = fft.rfft if real and onesided is not False else fft.fft
    found = run(pieces, norm="ortho" if normalized else "backward").mT
    return found if return_complex is not False else found.view_as_real()


@public
def istft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal of which these are the spectra, by `stft` with the same arguments: of several that fit best
    in squares, where they overlap. `length`: that of the signal, which is cut or filled up with zeros.
    RuntimeError for a window that is 0 where no other piece lies (it is not looked at in compiled
    functions)."""
    spectra, count = asarray(input), whole("n_fft", n_fft)
    if spectra.ndim not in (2, 3) or not spectra.is_complex():
        raise ValueError(
            f"istft: expected complex (batch, frequencies, pieces), not {spectra.dtype} {spectra.shape}"
        )
    around, hop = _window("istft", count, hop_length, win_length, window, spectra)
    half = spectra.shape[-2] != count if onesided is None else onesided
    if spectra.shape[-2] != (count // 2 + 1 if half else count) or not spectra.shape[-1]:
        raise ValueError(f"istft: spectra of shape {spectra.shape} for n_fft {count}, onesided={half}")
    norm = "ortho" if normalized else "backward"
    pieces = fft.irfft(spectra.mT, count, norm=norm) if half else fft.ifft(spectra.mT, norm=norm)
    if not half and not return_complex:
        pieces = pieces.real
    total = count + hop * (spectra.shape[-1] - 1)
    begin = count // 2 if center else 0
    end = total - begin if length is None else min(total, begin + whole("length", length))
    weight = _added(around.abs().square().broadcast_to(pieces.shape[-2:]), hop, total)[begin:end]
    if values_known() and end > begin and float(weight.min()) < 1e-11:
        raise RuntimeError(here("istft: the window is 0 where no other piece lies; hop_length must be less"))
    found = _added(pieces * around.conj(), hop, total)[..., begin:end] / weight
    missing = 0 if length is None else length - (end - begin)
    return padded(found, [(0, 0)] * (found.ndim - 1) + [(0, missing)]) if missing > 0 else found


def _added(pieces: Tensor, hop: int, total: int) -> Tensor:
    """Pieces (..., number, samples), added where they lie."""
    number, size = pieces.shape[-2:]
    stack = pieces.shape[:-2]
    places = (arange(number) * hop).unsqueeze(1) + arange(size)
    rows = pieces.reshape(math.prod(stack), number * size)
    found: Tensor = zeros((rows.shape[0], total), dtype=rows.dtype).index_add(1, places.reshape(-1), rows)
    return found.reshape(*stack, total)


name_all(globals(), __all__)
