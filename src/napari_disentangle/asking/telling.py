"""How well a column is told from features, in groups that were not learned from."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_disentangle.asking.finding import listed
from napari_disentangle.audit.leak import FEWEST_GROUPS, recognise
from napari_disentangle.audit.separable import FEWEST, PERMUTATIONS, separating
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles

# Rows that neighbours are looked for among: of every group as many.
_ROWS, _FOLDS = 1500, 5


@dataclass(frozen=True)
class Told:
    """How well a column is told.

    Attributes
    ----------
    accuracy
        Balanced, on groups that were not learned from.
    chance
        What guessing gets.
    p
        How often chance does as well; NaN where there are too few groups to say.
    rows, groups
        How many objects and groups were asked.
    least
        The smallest p that there can be.
    """

    accuracy: float
    chance: float
    p: float
    rows: int
    groups: int
    least: float


def telling(
    values: Doubles, labels: Array, groups: Array, seed: int = 0
) -> Generator[None, None, Told]:
    """Tell labels (n,) of rows (n, F) in other groups (n,).

    Of groups that have one label each by nearest neighbours, with one group of every
    label left out (:func:`napari_disentangle.audit.separable`); else by the logistic
    probe, with whole groups left out, and p from resampled groups.

    Raises
    ------
    DataError
        If a label is in fewer than two groups.
    """
    x, labels, groups = _sampled(values, labels, groups, seed)
    _, holders = np.unique(_pairs(labels, groups)[1], return_counts=True)
    n = len(np.unique(groups))
    if int(holders.sum()) > n:
        return _read(x, labels, groups, seed)
    one = yield from separating(x, labels, groups, seed=seed)
    least = 1 / min(1 + PERMUTATIONS, math.comb(n, int(holders[0])))
    return Told(one.accuracy, one.chance, one.p, len(x), n, least)


def reading(
    values: Doubles, labels: Array, groups: Array, seed: int = 0
) -> Generator[None, None, Told]:
    """Read labels with the logistic probe, which finds them however faint they are.

    With whole groups left out, and p from resampled groups.

    Raises
    ------
    DataError
        If a label is in fewer than two groups.
    """
    sampled = _sampled(values, labels, groups, seed)
    yield
    return _read(*sampled, seed)


def _read(x: Doubles, labels: Array, groups: Array, seed: int) -> Told:
    n = len(np.unique(groups))
    seen = recognise(x, labels, groups, min(_FOLDS, n))
    chance = 1 / len(np.unique(labels))
    enough = n >= max(FEWEST_GROUPS, 2 * FEWEST)
    drawn = seen.resampled(seed)
    p = (1 + (drawn <= chance).sum()) / (1 + len(drawn)) if enough else np.nan
    return Told(seen.accuracy, chance, float(p), len(x), n, 1 / (1 + len(drawn)))


def _sampled(
    values: Doubles, labels: Array, groups: Array, seed: int
) -> tuple[Doubles, Array, Array]:
    """Some rows, of every group as many."""
    if not len(groups):
        raise DataError("no object has both a label and a group")
    rows = evenly(groups, _ROWS, seed)
    names, holders = np.unique(
        _pairs(labels[rows], groups[rows])[1], return_counts=True
    )
    if holders.min() < 2:
        raise DataError(
            f"{listed(names[holders < 2].tolist())} is in one group only, so that what "
            "is told may be that group"
        )
    return values[rows], labels[rows], groups[rows]


def _pairs(labels: Array, groups: Array) -> Array:
    """Every group with every label that it has (2, P)."""
    return np.unique(np.stack([groups, labels]), axis=1)


def joined(*columns: Array) -> Array:
    """Names that tell rows apart which differ in any of some columns (n,)."""
    return np.array([", ".join(row) for row in zip(*columns, strict=True)])


def evenly(groups: Array, most: int, seed: int) -> Array:
    """Rows, at most so many, of every group as many as there are of each (n,)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    keys = np.unique(groups[order], return_inverse=True)[1]
    turn = np.empty(len(groups), np.intp)
    for key in range(keys.max() + 1):
        own = np.flatnonzero(keys == key)
        turn[own] = np.arange(len(own))
    chosen = order[np.argsort(turn, kind="stable")[:most]]
    return np.sort(chosen)
