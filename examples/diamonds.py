"""Prices and attributes of 53,940 round-cut diamonds, recording errors and all."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

MEASURED = ("carat", "x", "y", "z", "depth", "table")
# Grades, from the worst to the best.
GRADED = {
    "cut": ("Fair", "Good", "Very Good", "Premium", "Ideal"),
    "color": tuple("JIHGFED"),
    "clarity": ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"),
}


@dataclass(frozen=True, slots=True)
class Diamonds:
    """`features`: (n, 9) float32 as recorded, MEASURED, then the rank of each grade.
    `price`: (n,) float32, US dollars."""

    features: Array
    price: Array

    @property
    def carat(self) -> Array:
        return self.features[:, 0]

    def __len__(self) -> int:
        return len(self.price)

    def __getitem__(self, rows: Array) -> Diamonds:
        return Diamonds(self.features[rows], self.price[rows])


def load() -> Diamonds:
    """All diamonds, in the order of the file, uncleaned: stones of 0 mm and of 58.9 mm stay."""
    ranks = {name: {grade: k for k, grade in enumerate(g)} for name, g in GRADED.items()}
    features: list[list[float]] = []
    prices: list[float] = []
    with gzip.open(Path(__file__).parent / "data" / "diamonds.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            measured = [float(row[name]) for name in MEASURED]
            features.append(measured + [float(ranks[name][row[name]]) for name in GRADED])
            prices.append(float(row["price"]))
    return Diamonds(np.array(features, np.float32), np.array(prices, np.float32))


def split(data: Diamonds, rng: np.random.Generator) -> tuple[Diamonds, Diamonds]:
    """A random four fifths to train on, the rest to test on."""
    order = rng.permutation(len(data))
    count = len(data) * 4 // 5
    return data[order[:count]], data[order[count:]]


def corrupted(price: Array, share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """`price` with one zero too many at a random `share` of the entries; and a mask of those."""
    wrong = np.zeros(len(price), bool)
    wrong[rng.choice(len(price), int(share * len(price)), replace=False)] = True
    return np.where(wrong, price * 10, price), wrong


@dataclass(frozen=True, slots=True)
class Scale:
    """Median and interquartile range of each column: a few wild values do not move them."""

    centre: Array
    spread: Array

    @staticmethod
    def of(values: Array) -> Scale:
        low, centre, high = np.percentile(values, [25, 50, 75], axis=0)
        return Scale(centre.astype(np.float32), (high - low).astype(np.float32))

    def __call__(self, values: Array) -> Array:
        return (values - self.centre) / self.spread
