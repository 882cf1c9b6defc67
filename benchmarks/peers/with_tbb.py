"""Numba on the threads of TBB: a process has one threading layer."""

from __future__ import annotations

from collections.abc import Mapping

from ..contender import Offer
from .with_numba import PACKAGES, means_on

__all__ = ["OFFERS", "PACKAGES"]

OFFERS: Mapping[str, Offer] = {"busy": {"Numba, TBB": means_on("tbb")}}
