"""Numba on its own threads: a process has one threading layer."""

from __future__ import annotations

from collections.abc import Mapping

from ..contender import Offer
from .with_numba import PACKAGES, means_on

__all__ = ["OFFERS", "PACKAGES"]

OFFERS: Mapping[str, Offer] = {"busy": {"Numba, workqueue": means_on("workqueue")}}
