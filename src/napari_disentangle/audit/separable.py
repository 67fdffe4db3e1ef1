"""Is it only the batch? What nearest neighbours of other groups tell of a label."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_disentangle.audit.checks import numbered, table
from napari_disentangle.audit.mixing import distances
from napari_disentangle.compute.iterators import finished
from napari_disentangle.image.arrays import Doubles, Mask

_Numbers = NDArray[np.intp]
# Folds that are tried at most, and groups of a label from which there is a p value.
FOLDS, FEWEST, PERMUTATIONS = 32, 4, 200
# Of how many times as many rows neighbours are taken, unless more are left out.
_LOOKED_AT = 6


@dataclass(frozen=True)
class Separable:
    """How well a label is told from features.

    Attributes
    ----------
    accuracy
        Balanced accuracy on groups that are not learned from, 0 to 1.
    naive
        The same if rows of one group may be on both sides: reads a batch as biology.
    chance
        What guessing gets.
    p
        How often shuffled labels are told as well; NaN with fewer than 4 groups of a
        label.
    """

    accuracy: float
    naive: float
    chance: float
    p: float


def separable(
    features: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    neighbours: int = 15,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Separable:
    """Tell labels by nearest neighbours that are of other groups.

    One group of every label at a time is left out and told from all others. (Leaving
    out one group alone makes its label the rarer one among the rest, and reads below
    chance; folds of single rows read any difference between groups.)

    Parameters
    ----------
    features
        One row per image or object (n, F).
    labels
        What is to be told (n,); one for all rows of a group.
    groups
        What must not be split (n,), such as wells or slides.
    neighbours
        How many of them vote.
    permutations
        Ways to give the groups their labels behind ``p``: all, or so many at random.
    seed
        Of the shuffling, and of which folds are tried if there are many.

    Raises
    ------
    ValueError
        If a group has two labels, or a label fewer than two groups.
    """
    arrays = (features, labels, groups)
    return finished(separating(*arrays, neighbours, permutations, seed))


def separating(
    features: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    neighbours: int = 15,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Generator[None, None, Separable]:
    """Do what :func:`separable` does; yield wherever it can be stopped."""
    x = table(features)
    _, y = numbered(labels, len(x), "labels")
    keys, group = numbered(groups, len(x), "groups")
    of_group = np.array([y[group == g][0] for g in range(len(keys))])
    if (of_group[group] != y).any():
        raise ValueError("a group has two labels: give groups of one label each")
    counts = np.bincount(of_group)
    if counts.min() < 2 or len(counts) < 2:
        raise ValueError("every label needs two groups: give more, or leave it out")
    apart = distances(_standard(x))
    near = np.argsort(apart, axis=1, kind="stable")
    apart[group[:, None] == group] = np.inf  # who is left out with a row comes last
    others = np.argsort(apart, axis=1, kind="stable")
    rng = np.random.default_rng(seed)
    found = _accuracy(others, group, of_group, neighbours, rng)
    p = np.nan
    if counts.min() >= FEWEST:
        shuffled = []
        for one in _arrangements(of_group, permutations, rng):
            shuffled.append(_accuracy(others, group, one, neighbours, rng))
            yield
        p = float(np.mean([found, *shuffled] >= np.float64(found)))
    alone = near != np.arange(len(x))[:, None]
    naive = _balanced([(y, _voted(near, alone, y, np.bincount(y), neighbours))])
    return Separable(found, naive, 1 / len(counts), p)


def _arrangements(
    of_group: _Numbers, most: int, rng: np.random.Generator
) -> Iterator[_Numbers]:
    """Other ways to give groups their labels: all of them, or so many at random."""
    ones = of_group == 1
    if of_group.max() > 1 or math.comb(len(ones), int(ones.sum())) > most:
        yield from (rng.permutation(of_group) for _ in range(most))
        return
    for chosen in combinations(range(len(ones)), int(ones.sum())):
        other = np.isin(np.arange(len(ones)), chosen)
        if (other != ones).any():
            yield other.astype(np.intp)


def _standard(x: Doubles) -> Doubles:
    spread = x.std(axis=0)
    standard: Doubles = (x - x.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    return standard


def _accuracy(
    near: _Numbers,
    group: _Numbers,
    of_group: _Numbers,
    neighbours: int,
    rng: np.random.Generator,
) -> float:
    """Balanced accuracy over folds that leave out one group of every label."""
    y = of_group[group]
    found = []
    for left in _folds(of_group, rng):
        out = np.isin(group, left)
        found.append((y[out], _told(near[out], out, y, neighbours)))
    return _balanced(found)


def _folds(of_group: _Numbers, rng: np.random.Generator) -> Iterable[Sequence[int]]:
    """One group of every label, in all ways or so many of them."""
    by_label = [np.flatnonzero(of_group == one) for one in np.unique(of_group)]
    if math.prod(map(len, by_label)) <= FOLDS:
        return product(*by_label)
    return [[int(rng.choice(one)) for one in by_label] for _ in range(FOLDS)]


def _told(near: _Numbers, out: Mask, y: _Numbers, neighbours: int) -> _Numbers:
    """What the nearest rows that are not left out vote for."""
    there = np.bincount(y[~out], minlength=y.max() + 1)
    few = near[:, : _LOOKED_AT * neighbours]
    allowed = ~out[few]
    told = _voted(few, allowed, y, there, neighbours)
    short = allowed.sum(1) < neighbours
    if short.any():
        rows = near[short]
        told[short] = _voted(rows, ~out[rows], y, there, neighbours)
    return told


def _voted(
    near: _Numbers, allowed: Mask, y: _Numbers, there: _Numbers, neighbours: int
) -> _Numbers:
    """The label that the nearest allowed rows vote for; every label counts the same."""
    voting = allowed & (np.cumsum(allowed, axis=1) <= neighbours)
    each = [(voting & (y[near] == k)).sum(1) / max(n, 1) for k, n in enumerate(there)]
    told: _Numbers = np.stack(each).argmax(axis=0)
    return told


def _balanced(found: Iterable[tuple[_Numbers, _Numbers]]) -> float:
    """Mean over labels of the share of their rows that were told."""
    pairs = [*found]
    true, told = (np.concatenate(one) for one in zip(*pairs, strict=True))
    return float(np.mean([(told[true == k] == k).mean() for k in np.unique(true)]))
