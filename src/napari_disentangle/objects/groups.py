"""Groups of objects that are alike, nested from coarse to fine.

Centres by k-means++ (Arthur and Vassilvitskii 2007), which are joined two by two at the
least cost in variance (Ward 1963), so that every fine group lies in one coarse group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.tiling import strata
from napari_disentangle.objects import kmeans
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.nuisance import standard

# Groups at most, and rows per centre at least.
FINEST, _PER_CENTRE = 32, 4


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group every object is in.

    Attributes
    ----------
    codes
        What they were made from.
    level
        How many groups there are.
    centres
        Of the finest groups, along the main axes of standardised codes (K, A).
    nearest
        Number of every object's centre (n,).
    tree
        Which group a centre is in at every level, (K, K): from one group on. Groups
        are numbered by their size, 0 is the largest.
    mean, std, axes
        What codes were standardised with (L,), and their main axes (L, A).
    """

    codes: Codes = field(repr=False)
    level: int
    centres: Doubles = field(repr=False)
    nearest: Array = field(repr=False)
    tree: Array = field(repr=False)
    mean: Doubles = field(repr=False)
    std: Doubles = field(repr=False)
    axes: Doubles = field(repr=False)

    @property
    def finest(self) -> int:
        """The largest level."""
        return len(self.centres)

    @cached_property
    def numbers(self) -> Array:
        """Group of every object (n,), from 1, the largest, on."""
        return np.asarray(self.tree[self.level - 1][self.nearest] + 1, np.int32)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How they came about, in plain JSON types."""
        return {"groups": self.level, "codes": self.codes.hash}

    @property
    def said(self) -> tuple[str, ...]:
        """What a person should know, in sentences."""
        return ()

    def at(self, level: int) -> Groups:
        """The same, coarser or finer.

        Raises
        ------
        ValueError
            If there are not as many.
        """
        if not 1 <= level <= self.finest:
            raise ValueError(f"level {level} must be 1 to {self.finest} groups")
        return replace(self, level=level)

    def of(self, codes: Codes) -> Groups:
        """The groups of other objects, by the nearest centre.

        What was taken out of the codes of these is taken out of theirs.

        Raises
        ------
        DataError
            If they were coded in another way.
        """
        if (codes.coder, codes.names) != (self.codes.coder, self.codes.names):
            raise DataError(
                f"the groups are of codes by {self.codes.coder!r}, and these are by "
                f"{codes.coder!r}: code them with the same coder"
            )
        codes = codes.less(self.codes.removed[len(codes.removed) :])
        seen = self._seen(codes.values)
        return replace(self, codes=codes, nearest=kmeans.nearest(seen, self.centres))

    def columns(self) -> dict[str, Array]:
        """The group as a column of the table."""
        return {"group": self.numbers}

    def typical(self, number: int, most: int = 12) -> Array:
        """Rows of the objects in the middle of a group, the most typical first."""
        rows = np.flatnonzero(self.numbers == number)
        z = self._seen(self.codes.values[rows])
        apart = ((z - np.median(z, axis=0)) ** 2).sum(1) if len(rows) else np.empty(0)
        return rows[np.argsort(apart, kind="stable")[:most]]

    def _seen(self, values: Floats) -> Doubles:
        """Codes as groups see them (n, A)."""
        unit = np.where(self.std > 0, self.std, np.inf)
        seen: Doubles = np.nan_to_num((values - self.mean) / unit) @ self.axes
        return seen


def group(codes: Codes, level: int = 4, seed: int = 0) -> Groups:
    """Put objects that are alike into groups.

    Parameters
    ----------
    codes
        Of objects.
    level
        How many groups, fewer where there are fewer objects; see :meth:`Groups.at`.
    seed
        Decides where centres begin.

    Raises
    ------
    DataError
        If there are fewer than two objects.
    ValueError
        If the level is not from 1 to 32.
    """
    if not 1 <= level <= FINEST:
        raise ValueError(f"level {level} must be 1 to {FINEST} groups")
    if len(codes.values) < 2:
        raise DataError("one object is no group: take images with more of them")
    z, mean, std = standard(codes.values)
    rows = strata(len(z), kmeans.ROWS, seed)
    axes = kmeans.main_axes(z[rows])
    seen = z @ axes
    learned = seen[rows]
    count = max(2, min(FINEST, len(learned) // _PER_CENTRE))
    centres = kmeans.centres(learned, count, seed)
    nearest = kmeans.nearest(seen, centres)
    tree = _tree(centres, np.bincount(nearest, minlength=len(centres)))
    return Groups(
        codes, min(level, len(centres)), centres, nearest, tree, mean, std, axes
    )


def _tree(centres: Doubles, counts: Array) -> Array:
    """Which group every centre is in, for 1 to K groups (K, K)."""
    members = np.arange(len(centres))
    levels = [members]
    while members.max():
        middles, sizes = _middles(centres, counts, members)
        cost = _cost(middles, sizes)
        one, other = np.unravel_index(cost.argmin(), cost.shape)
        merged = np.where(members == max(one, other), min(one, other), members)
        members = np.unique(merged, return_inverse=True)[1]
        levels.append(members)
    return np.stack([_by_size(level, counts) for level in levels[::-1]])


def _middles(centres: Doubles, counts: Array, members: Array) -> tuple[Doubles, Array]:
    own = np.eye(members.max() + 1)[members] * np.maximum(counts, 1e-9)[:, None]
    sizes = own.sum(0)
    return own.T @ centres / sizes[:, None], sizes


def _cost(middles: Doubles, sizes: Array) -> Doubles:
    """By how much the variance within groups grows if two are joined."""
    apart = ((middles[:, None] - middles[None]) ** 2).sum(-1)
    weight = sizes[:, None] * sizes / (sizes[:, None] + sizes)
    cost: Doubles = np.where(np.eye(len(sizes), dtype=bool), np.inf, weight * apart)
    return cost


def _by_size(members: Array, counts: Array) -> Array:
    sizes = np.bincount(members, counts)
    order = np.argsort(-sizes, kind="stable")
    return np.argsort(order, kind="stable")[members]
