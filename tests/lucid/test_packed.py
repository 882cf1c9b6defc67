"""Sequences of different lengths: padded, packed, and through recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.nn.utils import rnn

RNG = np.random.default_rng(0)
LENGTHS = (2, 4, 3)
SEQUENCES = [RNG.normal(size=(n, 3)).astype("f") for n in LENGTHS]


def close(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    found, wanted = (x.detach().numpy() if hasattr(x, "detach") else x for x in (found, wanted))
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-6)


def test_padding_and_packing_and_back() -> None:
    padded = rnn.pad_sequence(SEQUENCES, batch_first=True, padding_value=-1)
    assert padded.shape == (3, 4, 3) and (padded[0, 2:].numpy() == -1).all()
    left = rnn.pad_sequence(SEQUENCES, padding_side="left")
    for k, (n, x) in enumerate(zip(LENGTHS, SEQUENCES, strict=True)):
        close(padded[k, :n], x)
        close(left[4 - n :, k], x)
        assert (left[: 4 - n, k].numpy() == 0).all()
    packed: Any = rnn.pack_padded_sequence(padded, LENGTHS, batch_first=True, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 3, 2, 1] and packed.sorted_indices.tolist() == [1, 2, 0]
    order = [SEQUENCES[k] for k in (1, 2, 0)]
    close(packed.data, np.concatenate([[x[t] for x in order if t < len(x)] for t in range(4)]))
    again, lengths = rnn.pad_packed_sequence(packed, padding_value=7, total_length=5)
    assert lengths.tolist() == [*LENGTHS] and again.shape == (5, 3, 3) and (again[2:, 0].numpy() == 7).all()
    for found in (rnn.unpack_sequence(packed), rnn.unpad_sequence(again, LENGTHS)):
        for part, want in zip(found, SEQUENCES, strict=True):
            close(part, want)
    assert rnn.invert_permutation([1, 2, 0]).tolist() == [2, 0, 1]


@pytest.mark.table
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_a_packed_batch_is_as_each_sequence_alone(kind: str) -> None:
    """Outputs, last states, and gradients; both ways and from states of one's own."""
    layer = getattr(nn, kind)(3, 2, bidirectional=True)
    state = RNG.normal(size=(2, 3, 2)).astype("f")
    padded = rnn.pad_sequence(SEQUENCES).numpy()

    def hx(part: Any) -> Any:
        return (part, part * 0.5) if kind == "LSTM" else part

    def run(x: Any) -> Any:
        packed = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
        out, ends = layer(packed, hx(lucid.tensor(state)))
        return rnn.pad_packed_sequence(out)[0], ends

    def loss(x: Any) -> Any:
        return (run(x)[0] ** 2).sum()

    out, ends = lucid.compile(run)(padded)
    gradient = lucid.grad(loss)(padded)
    for k, (n, x) in enumerate(zip(LENGTHS, SEQUENCES, strict=True)):
        given = hx(lucid.tensor(state[:, k]))
        alone, last = layer(x, given)
        close(out[:n, k], alone)
        close((ends[0] if kind == "LSTM" else ends)[:, k], last[0] if kind == "LSTM" else last)
        if n == min(LENGTHS):  # each length is a program of its own
            slope = lucid.grad(lambda x, given=given: (layer(x, given)[0] ** 2).sum())(x)
            close(gradient[:n, k], slope, 1e-4)
        assert (gradient[n:, k].numpy() == 0).all()


def test_pytorch_packs_and_runs_the_same() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    x = theirs.pad_sequence([torch.tensor(s) for s in SEQUENCES])
    packed = theirs.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    ours = rnn.pack_padded_sequence(x.numpy(), LENGTHS, enforce_sorted=False)
    for a, b in zip(ours, packed, strict=True):
        close(a, b)
    their = torch.nn.LSTM(3, 2, 2, bidirectional=True)
    own = nn.LSTM(3, 2, 2, bidirectional=True)
    own.load_state_dict({k: v.numpy() for k, v in their.state_dict().items()})
    (want, ends), (found, states) = their(packed), own(ours)
    close(found.data, want.data)
    for a, b in zip(states, ends, strict=True):
        close(a, b)


def test_errors() -> None:
    padded = rnn.pad_sequence(SEQUENCES)
    with pytest.raises(RuntimeError, match="enforce_sorted=False"):
        rnn.pack_padded_sequence(padded, LENGTHS)
    with pytest.raises(ValueError, match="at least 1"):
        rnn.pack_padded_sequence(padded, (4, 0, 1))
    with pytest.raises(ValueError, match="do not fit"):
        rnn.pack_padded_sequence(padded, (5, 4, 3))
    with pytest.raises(ValueError, match="total_length"):
        rnn.pad_packed_sequence(rnn.pack_sequence(SEQUENCES, enforce_sorted=False), total_length=3)
    with pytest.raises(ValueError, match="packed rows of 5"):
        nn.GRU(5, 2)(rnn.pack_sequence(SEQUENCES, enforce_sorted=False))
    with pytest.raises(lucid.TraceError, match="a tuple of ints"):
        lucid.compile(rnn.unpad_sequence)(padded, np.array(LENGTHS))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_projected_states() -> None:
    """An LSTM whose h is a product of what a step makes, beside PyTorch's; packed, too."""
    torch = pytest.importorskip("torch")
    their = torch.nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2)
    own = nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2)
    own.load_state_dict({name: value.numpy() for name, value in their.state_dict().items()})
    assert [*own.state_dict()] == [*their.state_dict()]
    x, h, c = (torch.randn(*shape) for shape in ((6, 4, 3), (4, 4, 2), (4, 4, 5)))
    right, (right_h, right_c) = their(x, (h, c))
    found, (last_h, last_c) = own(x.numpy(), (h.numpy(), c.numpy()))
    for mine, wanted in ((found, right), (last_h, right_h), (last_c, right_c)):
        np.testing.assert_allclose(mine.detach().numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-6)
    (right**2).sum().backward()
    (found**2).sum().backward()
    for p, q in zip(own.parameters(), their.parameters(), strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-3, atol=1e-5)
    packed = rnn.pack_padded_sequence(lucid.tensor(x.numpy()), [6, 4, 2, 1])
    right, _ = their(torch.nn.utils.rnn.pack_padded_sequence(x, [6, 4, 2, 1]))
    np.testing.assert_allclose(own(packed)[0].data.detach(), right.data.detach(), rtol=1e-4, atol=1e-6)
    for wrong in (lambda: nn.LSTM(3, 5, proj_size=5), lambda: nn.GRU(3, 5, proj_size=2)):
        with pytest.raises(ValueError, match="proj_size is for an LSTM, and below hidden_size"):
            wrong()
