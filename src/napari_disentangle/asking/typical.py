"""How usual every object is, and of which group."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from napari_disentangle.asking.columns import Table, text_of
from napari_disentangle.asking.finding import Finding, Guard, found
from napari_disentangle.asking.telling import evenly, joined
from napari_disentangle.audit.confounding import CONFOUNDED, cramers_v
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles, Floats

# Neighbours, objects that are looked among, and a p value that is unusual.
_NEIGHBOURS, _MOST, _UNUSUAL = 10, 10_000, 0.05
# By how much the mean p of a group of normal objects may be off; how many are needed.
_ALLOWED, _FEWEST, _PART = 0.2, 40, 2000
# Three standard errors of the mean of uniform numbers, times the root of n.
_NOISE = 0.87


@dataclass(frozen=True)
class Typical:
    """How usual every object is among normal ones, and of which group.

    Attributes
    ----------
    by, normal
        Column of the label, and which of its values is normal; without them all
        objects are, and ``p`` says nothing but their order.
    groups
        Column of what must not be split: wells, slides, animals.
    batch
        Column of the batch, such as the plate.
    """

    by: str | None = None
    normal: str | None = None
    groups: str | None = None
    batch: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return tuple(one for one in (self.by, self.groups, self.batch) if one)

    def asking(
        self, table: Table, seed: int, asked: int
    ) -> Generator[None, None, Finding]:
        """Answer from a table; yield wherever it can be stopped."""
        normal = self._normal(table)
        if normal.sum() < _FEWEST:
            raise DataError(
                f"{normal.sum()} normal objects are too few: {_FEWEST} are needed"
            )
        groups = self._groups(table)
        p = yield from conforming(table.values, normal, groups, seed)
        columns = {"typical p": p}
        if groups is not None:
            nearest = yield from _nearest(table, groups, seed)
            columns["typical of"] = nearest
        named = bool(self.by and self.normal)
        guard = self._confounded(table, normal) or _guard(p, normal, groups, named)
        order = np.argsort(p, kind="stable")[:10]
        rows = [
            {"row": int(row), "typical p": round(float(p[row]), 4)} for row in order
        ]
        plot = dict(zip("xy", table.picture().T, strict=True)) | {"typical p": p}
        claim = self._statement(p, normal, self._others(table, normal))
        return found("typical", claim, guard, columns, rows, plot, table.said)

    def _normal(self, table: Table) -> Array:
        if self.normal and not self.by:
            raise DataError(f"{self.normal!r} is normal in which column? Name it as by")
        if not (self.by and self.normal):
            return np.ones(len(table), bool)
        column = table.role(self.by, "by")
        normal = text_of(self.normal)
        if normal not in column:
            raise DataError(f"no object has {self.normal!r} in {self.by!r}")
        return np.asarray(column == normal)

    def _groups(self, table: Table) -> Array | None:
        if not self.groups:
            return None
        group = table.role(self.groups, "groups")
        if not self.batch:
            return group
        both = joined(table.role(self.batch, "batch"), group)
        return np.where(group == "", "", both)

    def _others(self, table: Table, normal: Array) -> Array:
        """Objects that are known not to be normal (n,)."""
        known = table.role(self.by, "by") != "" if self.by else normal
        return np.asarray(known & ~normal)

    def _confounded(self, table: Table, normal: Array) -> Guard | None:
        """Why what is not normal cannot be told from the batch."""
        if not (self.batch and self._others(table, normal).any()):
            return None
        known = normal | self._others(table, normal)
        v = cramers_v(table.role(self.batch, "batch")[known], normal[known])
        if v < CONFOUNDED:
            return None
        why = (
            f"what is not {self.normal!r} is of another {self.batch!r} (Cramer's V "
            f"{v:.2f}), and may be unusual for that"
        )
        return Guard(False, why, {"Cramer's V": v})

    def _statement(self, p: Array, normal: Array, others: Array) -> str:
        if not others.any():
            return (
                f"The {min(10, len(p))} least usual of n = {len(p)} objects are "
                "listed; how many are unusual cannot be said without normal ones to "
                "compare with."
            )
        share, n = float((p[others] <= _UNUSUAL).mean()), int(others.sum())
        return (
            f"{share:.0%} of n = {n} objects that are not {self.normal!r} are unusual "
            f"among the {normal.sum()} that are (p up to {_UNUSUAL}; {_UNUSUAL:.0%} "
            "would be by chance)."
        )


def conforming(
    values: Doubles, normal: Array, groups: Array | None, seed: int
) -> Generator[None, None, Doubles]:
    """How often a normal object is as far from normal ones as this one (n,).

    The mean distance to its neighbours among normal objects of other groups is compared
    with that of normal objects, so that p of these is up to 0.05 in 5 % of cases
    (Vovk et al. 2005, "Algorithmic learning in a random world").

    Parameters
    ----------
    values
        Features (n, F).
    normal
        Which objects are (n,) bool.
    groups
        What is not looked among for its own objects (n,); without, objects themselves.
    seed
        Of which are looked among, if there are many.

    Yields
    ------
    None
        After some objects.
    """
    own = np.arange(len(values)) if groups is None else groups
    rows = np.flatnonzero(normal)
    rows = rows[evenly(own[rows], _MOST, seed)]
    parts = []
    for part in _distances(values, values[rows], own, own[rows]):
        parts.append(part)
        yield
    far = np.concatenate(parts)
    known = np.sort(far[rows])
    as_far = len(known) - np.searchsorted(known, far, "left")
    # who is among them is not compared with itself
    others = ~np.isin(np.arange(len(values)), rows)
    p: Doubles = (as_far + others) / (len(known) + others)
    return p


def _nearest(table: Table, groups: Array, seed: int) -> Generator[None, None, Array]:
    """The group that most neighbours of every object are of, of groups alike."""
    keys, group = np.unique(groups, return_inverse=True)
    rows = evenly(groups, _MOST, seed)
    weight = np.maximum(np.bincount(group[rows], minlength=len(keys)), 1)
    found = np.zeros(len(table), np.intp)
    for part, near in _near(table.values, table.values[rows], 1 + _NEIGHBOURS):
        others = rows[near] != np.arange(len(table))[part, None]
        votes = np.zeros((len(near), len(keys)))
        of = np.broadcast_to(np.arange(len(near))[:, None], near.shape)
        np.add.at(votes, (of, group[rows[near]]), others)
        found[part] = (votes / weight).argmax(1)
        yield
    return np.asarray(keys[found])


def _near(values: Doubles, among: Doubles, k: int) -> Iterator[tuple[slice, Array]]:
    """Numbers of the nearest rows of every row, some at a time."""
    k = min(k, len(among))
    for begin in range(0, len(values), _PART):
        part = slice(begin, begin + _PART)
        apart = _apart(values[part], among)
        yield part, np.argpartition(apart, k - 1, axis=1)[:, :k]


def _distances(
    values: Doubles, among: Doubles, own: Array, owners: Array
) -> Iterator[Doubles]:
    """Mean distance to neighbours that are of another group (n,), some at a time."""
    of = np.unique(np.concatenate([own, owners]), return_inverse=True)[1]
    k = min(_NEIGHBOURS, len(among) - 1)
    for begin in range(0, len(values), _PART):
        part = slice(begin, begin + _PART)
        apart = _apart(values[part], among)
        apart[of[: len(own)][part, None] == of[len(own) :]] = np.inf
        near = np.partition(apart, k - 1, axis=1)[:, :k]
        there = np.isfinite(near)
        sums = np.where(there, near, 0.0).sum(1)
        yield np.where(there.any(1), sums / np.maximum(there.sum(1), 1), np.inf)


def _apart(one: Doubles, other: Doubles) -> Floats:
    """Squared distances; single precision takes half the time."""
    middle = other.mean(0)  # far from 0 little is left of small distances
    a, b = ((side - middle).astype(np.float32) for side in (one, other))
    apart: Floats = (-2 * a) @ b.T
    apart += (a**2).sum(1)[:, None]
    apart += (b**2).sum(1)
    return np.maximum(apart, 0, out=apart)


def _guard(p: Array, normal: Array, groups: Array | None, named: bool) -> Guard:
    """Normal objects of every group must be about as usual as those of others."""
    if not named:
        return Guard(True, "no objects were named as normal", checked=False)
    if groups is None:
        why = "no groups were named, and wells may differ by themselves"
        return Guard(True, why, checked=False)
    names, sizes = np.unique(groups[normal & (groups != "")], return_counts=True)
    if len(names) < 2:
        return Guard(False, "normal objects are of one group only: two are needed")
    means = np.array([p[normal & (groups == name)].mean() for name in names])
    off = np.abs(means - 0.5) - _NOISE / np.sqrt(sizes)
    worst = int(off.argmax())
    figures = {"mean p of the most different group": float(means[worst])}
    if off[worst] > _ALLOWED:
        why = (
            f"normal objects of {names[worst]} have a mean p of {means[worst]:.2f}, "
            "where 0.50 would be by chance, so that groups differ by themselves"
        )
        return Guard(False, why, figures)
    return Guard(True, "normal objects of every group are as usual as others", figures)
