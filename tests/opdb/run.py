"""The run: which ops there are, and what came of each."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

from .trial import Outcome, Trial

# What is drawn, or left as it was: shapes and dtypes alone can be compared.
RANDOM = frozenset(
    [
        "bernoulli",
        "empty",
        "empty_like",
        "multinomial",
        "new_empty",
        "nn.functional.dropout",
        "nn.functional.dropout2d",
        "nn.functional.dropout3d",
        "normal",
        "rand_like",
        "randint",
        "randint_like",
        "randn",
        "randn_like",
    ]
)


def by_value(x: Any) -> Any:
    return np.take_along_axis(x, np.argsort(np.round(x.real, 4) + 1e-3j * x.imag, axis=-1), -1)


def transposed(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


# Results that are known but for signs or their order: what is the same for all of them.
INVARIANT = {
    "linalg.eig": lambda found: by_value(found[0]),
    "linalg.eigvals": lambda found: by_value(found[0]),
    "linalg.eigh": lambda found: (found[1] * found[0][..., None, :]) @ transposed(found[1]),
    "linalg.svd": lambda found: found[1] if len(found) > 1 else found[0],
    "svd": lambda found: found[1],
}


def trial(index: int, most: int) -> tuple[str, bool, list[Outcome]]:
    op = op_db[index]
    made = Trial(op, op.name in RANDOM, INVARIANT.get(op.name))
    return made.name, made.function is not None, made.run(most)


def limited(index: int, most: int, seconds: int) -> tuple[str, bool, list[Outcome]]:
    """The same, with a limit of time."""

    def late(*_: object) -> None:
        raise KeyboardInterrupt(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        return trial(index, most)
    except KeyboardInterrupt as error:
        name = op_db[index].name
        return name, True, [Outcome(name, "function", "", "", "slow", str(error))]
    except Exception:
        name = op_db[index].name
        return name, True, [Outcome(name, "function", "", "", "broken", traceback.format_exc())]
    finally:
        signal.alarm(0)


def trials(names: list[str], most: int, seconds: int, jobs: int) -> Iterator[tuple[str, bool, list[Outcome]]]:
    """What came of each op of the database, or of those named."""
    chosen = [k for k, op in enumerate(op_db) if not names or op.name in names]
    torch.set_num_threads(1)
    if jobs == 1:
        yield from (limited(k, most, seconds) for k in chosen)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(limited, k, most, seconds) for k in chosen]):
            yield done.result()
