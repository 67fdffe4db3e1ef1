"""A concept from some objects that a person named, told of all others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_disentangle.asking.columns import Table
from napari_disentangle.asking.dealt import chance
from napari_disentangle.asking.finding import (
    LEVEL,
    Finding,
    Guard,
    corrected,
    found,
    listed,
    p_text,
)
from napari_disentangle.audit import logistic
from napari_disentangle.audit.confounding import CONFOUNDED, cramers_v
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles

# Folds, examples of a name at least, and how many unsure ones are asked next.
_FOLDS, _FEWEST, _NEXT = 5, 2, 10
# How many examples what is common to all names counts as, for its spread.
_PRIOR = 4.0
# Correlation from which on two columns say the same.
_ALIKE = 0.7
_TEMPERATURES = 2.0 ** np.arange(-3, 12)
_APART, _WITHIN = "in other groups", "in other objects of the same groups"
BAYES, LOGISTIC = "concepts", "logistic regression"


@dataclass(frozen=True)
class Teach:
    """Which objects are like those that were named.

    Attributes
    ----------
    labels
        Names of some objects: by their number in the column ``label`` (or ``index``, or
        else the row, from 0 on), or a column of names that is empty for all others.
    groups
        Column of what is not learned from while it is asked: wells, slides, images.
    batch
        Column of the batch, such as the plate.
    """

    labels: Mapping[Hashable, str] | str = field(default_factory=dict)
    groups: str | None = None
    batch: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Columns that are no features."""
        own = self.labels if isinstance(self.labels, str) else None
        return tuple(one for one in (own, self.groups, self.batch) if one)

    def asking(
        self, table: Table, seed: int, asked: int
    ) -> Generator[None, None, Finding]:
        """Answer from a table; yield wherever it can be stopped."""
        names, said = _named(self.labels, table)
        rows = np.flatnonzero(names != "")
        kinds, y = np.unique(names[rows], return_inverse=True)
        _check(kinds, y)
        groups = self._groups(table)
        fold, how = _folds(groups, rows, y, seed)
        x = table.values[rows]
        held = {}
        for name, fit in FITS.items():
            held[name] = _held_out(x, y, fold, fit)
            yield
        scores = {name: _balanced(one, y) for name, one in held.items()}
        best = max(scores, key=lambda name: scores[name])
        told = _calibrated(FITS[best](x, y)(table.values), held[best], y)
        taught = _Taught(kinds, names, told, scores, best, how)
        columns = {"taught": kinds[told.argmax(1)], "taught p": told.max(1)}
        units = np.arange(len(rows)) if groups is None else groups[rows]
        ways = [one.argmax(1) for one in held.values()]
        p = corrected(chance(ways, y, units, seed), asked)
        alone = _alone(names[rows], units) if how == _WITHIN else ""
        guard = self._guard(table, taught, p, alone)
        figures = _relevances(table, names, self.batch)
        listing = [*taught.unsure(), *figures]
        plot = dict(zip("xy", table.picture().T, strict=True)) | columns
        said = (*table.said, *said)
        return found("teach", taught.claim(), guard, columns, listing, plot, said)

    def _groups(self, table: Table) -> Array | None:
        if self.groups:
            return table.role(self.groups, "groups")
        image = table.columns.get("image")
        many = image is not None and len(np.unique(image.astype(str))) > 1
        return image.astype(str) if image is not None and many else None

    def _guard(self, table: Table, taught: _Taught, p: float, alone: str) -> Guard:
        """Names must not be the batch, and be told where they were not learned."""
        names, n = taught.names, len(taught.kinds)
        score, rows = taught.scores[taught.best], names != ""
        if self.batch:
            v = cramers_v(table.role(self.batch, "batch")[rows], names[rows])
            if v >= CONFOUNDED:
                why = (
                    f"names and {self.batch!r} cannot be told apart (Cramer's V "
                    f"{v:.2f}): name objects of every kind in every {self.batch}"
                )
                return Guard(False, why, {"Cramer's V": v})
        figures = {"balanced accuracy": score, "chance": 1 / n, "p": p}
        if p > LEVEL:
            why = (
                f"names are recognised with {score:.2f} {taught.how}, as chance may "
                f"do ({p_text(p)}): {alone or 'name more objects'}"
            )
            return Guard(False, why, figures)
        checked = taught.how == _APART
        return Guard(True, f"asked {taught.how}", figures, checked)


@dataclass(frozen=True, eq=False)
class _Taught:
    """What was learned from names.

    Attributes
    ----------
    kinds
        The names (K,).
    names
        Of every row, "" for none (n,).
    told
        p of every kind (n, K).
    scores
        Balanced accuracy of examples that were held out, of every way to tell.
    best, how
        The better way, and how examples were held out, in words.
    """

    kinds: Array
    names: Array
    told: Doubles
    scores: Mapping[str, float]
    best: str
    how: str

    def claim(self) -> str:
        """The answer in words."""
        counts = ", ".join(
            f"{(self.names == kind).sum()} {kind}" for kind in self.kinds
        )
        others = ", ".join(
            f"{score:.2f} by {name}"
            for name, score in self.scores.items()
            if name != self.best
        )
        told = self.kinds[self.told.argmax(1)]
        shares = ", ".join(f"{(told == kind).mean():.0%} {kind}" for kind in self.kinds)
        return (
            f"Taught by {counts}: recognised with {self.scores[self.best]:.2f} "
            f"{self.how}, chance {1 / len(self.kinds):.2f}, by {self.best} ({others}); "
            f"{shares} of n = {len(told)} objects."
        )

    def unsure(self) -> list[dict[str, Any]]:
        """Objects without a name that are least sure, to be asked next."""
        sure = self.told.max(1)
        order = np.argsort(sure, kind="stable")
        rows = order[self.names[order] == ""][:_NEXT]
        return [
            {
                "row": int(row),
                "ask me next": str(self.kinds[self.told[row].argmax()]),
                "p": round(float(sure[row]), 3),
            }
            for row in rows
        ]


# --- names ----------------------------------------------------------------------------
def _named(
    labels: Mapping[Hashable, str] | str, table: Table
) -> tuple[Array, tuple[str, ...]]:
    """The name of every row, "" for none, and what could not be used."""
    if isinstance(labels, str):
        return table.role(labels, "labels"), ()
    key = next((name for name in ("label", "index") if name in table.columns), None)
    numbers = np.arange(len(table)) if key is None else table.columns[key]
    names = np.full(len(table), "", object)
    gone = []
    for number, name in labels.items():
        rows = np.flatnonzero(numbers == number)
        if len(rows) > 1:
            raise DataError(
                f"{key} {number} is {len(rows)} rows (of other images or times): add a "
                "column of names to the table, and name that column"
            )
        names[rows] = str(name)
        gone += [] if len(rows) else [number]
    said = (f"there is no object {listed(gone)}: named in vain",)
    return names.astype(str), said if gone else ()


def _alone(names: Array, groups: Array) -> str:
    """What to do where a kind was named in one group only, or nothing."""
    pairs = {*zip(names.tolist(), groups.tolist(), strict=True)}
    if len({*groups.tolist()}) < 2:
        return ""
    for kind in np.unique(names):
        own = [group for name, group in pairs if name == kind]
        if len(own) == 1:
            return (
                f"all {(names == kind).sum()} {kind} are of {own[0]}, so that kind and "
                f"{own[0]} are not told apart; name {kind} elsewhere too, and others "
                f"in {own[0]}"
            )
    return ""


def _check(kinds: Array, y: Array) -> None:
    if len(kinds) < 2:
        raise DataError(
            "objects of two kinds at least must be named: name some that are not it, "
            "such as 'other'"
        )
    counts = np.bincount(y)
    if counts.min() < _FEWEST:
        raise DataError(
            f"'{kinds[counts.argmin()]}' has one example only: name {_FEWEST} at least"
        )


Tell = Callable[[Doubles], Doubles]
Fit = Callable[[Doubles, Array], Tell]


# --- telling --------------------------------------------------------------------------
def by_concepts(x: Doubles, y: Array) -> Tell:
    """Logarithms of Bayes' rule, with one normal distribution per kind and column.

    Mean and spread of a kind are the exact solution of SCAN's forward divergence
    for one label per object (Higgins et al. 2018, arXiv 1707.03389: moment match).
    OUR CHOICE: spreads are drawn towards the common one, as if by four examples more.
    """
    mean, var = _moments(x, y)

    def told(values: Doubles) -> Doubles:
        return np.stack([
            -0.5 * (np.log(v) + (values - m) ** 2 / v).sum(1)
            for m, v in zip(mean, var, strict=True)
        ], axis=1)  # fmt: skip

    return told


def _moments(x: Doubles, y: Array) -> tuple[Doubles, Doubles]:
    """Mean and spread of every kind (K, F)."""
    own = np.eye(y.max() + 1)[y]
    counts = own.sum(0)[:, None]
    mean = own.T @ x / counts
    squares = own.T @ (x - mean[y]) ** 2
    common = squares.sum(0) / max(len(x) - len(counts), 1)
    var = (squares + _PRIOR * common) / (counts - 1 + _PRIOR)
    return mean, np.maximum(var, 1e-6)


def by_logistic(x: Doubles, y: Array) -> Tell:
    """Logits of multinomial logistic regression."""
    model = logistic.fit(x, y.astype(np.intp))
    return lambda values: logistic.scores(model, values)


def _calibrated(logs: Doubles, held: Doubles, y: Array) -> Doubles:
    """P of every kind (n, K): as sure as examples that were held out allow.

    Logarithms are divided by the temperature under which held-out ones fit best to what
    so few examples can show, (n + 1) / (n + 2) of a kind (Platt 1999, "Probabilistic
    outputs for support vector machines"; Guo et al. 2017).
    """
    from scipy.special import log_softmax, softmax

    kinds = held.shape[1]
    counts = np.bincount(y, minlength=kinds)
    sure = ((counts + 1) / (counts + 2))[y][:, None]
    own = np.eye(kinds)[y]
    target = own * sure + (1 - own) * (1 - sure) / (kinds - 1)
    costs = [-(target * log_softmax(held / t, 1)).sum() for t in _TEMPERATURES]
    told: Doubles = softmax(logs / _TEMPERATURES[int(np.argmin(costs))], axis=1)
    return told


FITS: Mapping[str, Fit] = {BAYES: by_concepts, LOGISTIC: by_logistic}


# --- held out -------------------------------------------------------------------------
def _folds(groups: Array | None, rows: Array, y: Array, seed: int) -> tuple[Array, str]:
    """Fold of every example, and how they were held out, in words."""
    units = np.arange(len(rows)) if groups is None else groups[rows]
    keys, unit = np.unique(units, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(keys))
    fold = order[unit] % min(_FOLDS, len(keys))
    whole = groups is not None and all(
        len(np.unique(y[fold != one])) == y.max() + 1 for one in np.unique(fold)
    )
    if whole and len(keys) > 1:
        return fold, _APART
    fold = np.empty(len(rows), np.intp)
    for kind in range(y.max() + 1):  # every kind in every fold, as far as there are
        own = np.flatnonzero(y == kind)
        fold[own] = np.arange(len(own)) % min(_FOLDS, np.bincount(y).min())
    return fold, _WITHIN


def _held_out(x: Doubles, y: Array, fold: Array, fit: Fit) -> Doubles:
    """What is told of examples, each by those of other folds (n, K)."""
    told = np.zeros((len(x), y.max() + 1))
    for one in np.unique(fold):
        out = fold == one
        told[out] = fit(x[~out], y[~out])(x[out])
    return told


def _balanced(held: Doubles, y: Array) -> float:
    """Balanced accuracy."""
    hit = held.argmax(1) == y
    return float(np.mean([hit[y == k].mean() for k in np.unique(y)]))


# --- words ----------------------------------------------------------------------------
def _relevances(table: Table, names: Array, batch: str | None) -> list[dict[str, Any]]:
    """How far a column decides whether an object is of a kind, and of a batch."""
    rows = names != ""
    kinds = np.unique(names[rows])
    of_batch = relevance(table, table.role(batch, "batch")) if batch else {}
    found = relevance(table.only(rows), names[rows])
    best = np.max([found[kind] for kind in kinds], axis=0)
    listing = []
    for i in _distinct(table.values, best):
        row = {"column": table.names[i], "relevance": round(float(best[i]), 3)}
        if of_batch:
            most = max(values[i] for values in of_batch.values())
            row["relevance of the batch"] = round(float(most), 3)
        listing.append(row)
    return listing


def _distinct(values: Doubles, relevances: Doubles) -> list[int]:
    """The most relevant columns, without those that say the same as one before."""
    chosen: list[int] = []
    alike = np.abs(values.T @ values) / len(values)
    for i in np.argsort(relevances, kind="stable")[::-1]:
        if not chosen or alike[i, chosen].max() < _ALIKE:
            chosen.append(int(i))
    return chosen[:_NEXT]


def relevance(table: Table, labels: Array) -> dict[str, Doubles]:
    """1 less the spread within a kind, against that of all: (F,) by kind."""
    every = np.maximum(table.values.var(0), 1e-6)
    kinds, y = np.unique(labels, return_inverse=True)
    _, var = _moments(table.values, y)
    return {str(k): 1 - v / every for k, v in zip(kinds, var, strict=True)}
