"""The peers: each module offers contenders for the kinds of problem that it can do.

PEERS maps the name of a peer to its module; a module defines PACKAGES (the distributions whose
versions the report names) and OFFERS (kind -> label -> maker). Only the worker of a peer imports it.
"""

from __future__ import annotations

PEERS = {
    "lucid": "with_lucid",
    "limit": "with_loops",
    "numba": "with_numba",
    "tbb": "with_tbb",
    "workqueue": "with_workqueue",
    "torch": "with_torch",
    "jax": "with_jax",
    "numpy": "with_numpy",
    "numexpr": "with_numexpr",
    "sklearn": "with_sklearn",
}
