"""How much of a label, such as the batch, a fresh probe reads from features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_disentangle.audit.checks import numbered, table
from napari_disentangle.audit.logistic import fit, scores
from napari_disentangle.image.arrays import Array, Doubles

# Fewer groups than this say nothing about other groups: no interval is given.
FEWEST_GROUPS = 5
RESAMPLES = 2_000


@dataclass(frozen=True)
class Leak:
    """What a probe read.

    Attributes
    ----------
    accuracy
        Balanced accuracy, 0 to 1: the mean over labels of the share of their rows that
        were recognised.
    chance
        What guessing gets: one over the number of labels.
    interval
        95 % interval of ``excess`` from resampled groups; NaN with fewer than 5. The
        probe is not fitted anew, which makes it narrow: in data of 10 to 40 groups of
        one label each without any leak, it lay above 0 in 6 to 10 % of cases.
    """

    accuracy: float
    chance: float
    interval: tuple[float, float]

    @property
    def excess(self) -> float:
        """0 at chance, 1 if every row was recognised; below 0 is bad luck, no leak."""
        return (self.accuracy - self.chance) / (1 - self.chance)


@dataclass(frozen=True, eq=False)
class Recognised:
    """Rows whose label a probe recognised, by group and label.

    Attributes
    ----------
    hits, counts
        Recognised rows, and all rows (G, K).
    """

    hits: Doubles
    counts: Doubles

    @property
    def accuracy(self) -> float:
        """Balanced accuracy, 0 to 1."""
        return float(_balanced(self.hits.sum(axis=0), self.counts.sum(axis=0)))

    def resampled(self, seed: int = 0) -> Doubles:
        """Accuracies of groups drawn again and again; NaN with fewer than 5 groups.

        The same seed draws the same groups: differences of two probes are paired.
        """
        n = len(self.counts)
        if n < FEWEST_GROUPS:
            return np.full(RESAMPLES, np.nan)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)
        return _balanced(drawn @ self.hits, drawn @ self.counts)


def probe(
    features: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    folds: int = 5,
    seed: int = 0,
) -> Leak:
    """Read labels from features with a logistic probe that never saw the group.

    The probe is a multinomial logistic regression on standardised features, in which
    every label counts the same, with the ridge of scikit-learn's default (C = 1).
    Balanced accuracy: Brodersen et al. 2010, "The balanced accuracy and its posterior
    distribution". A linear probe that finds nothing does not prove that nothing is
    there; and one that does find something finds it however faint it is, so give it
    images in the type that people get.

    Parameters
    ----------
    features
        One row per image or tile (n, F).
    labels
        What should not be readable (n,), for example the batch.
    groups
        What must not be split (n,): rows of one slide, field or plate share a group.
    folds
        Number of parts; each is predicted by a probe that was fitted on the others.
    seed
        Of the resampling behind the interval.

    Raises
    ------
    ValueError
        If there are too few groups or labels to keep groups whole.
    """
    found = recognise(features, labels, groups, folds)
    chance = 1 / found.counts.shape[1]
    accuracies = np.percentile(found.resampled(seed), (2.5, 97.5))
    low, high = (accuracies - chance) / (1 - chance)
    return Leak(found.accuracy, chance, (float(low), float(high)))


def recognise(
    features: ArrayLike, labels: ArrayLike, groups: ArrayLike, folds: int = 5
) -> Recognised:
    """What the probe of :func:`probe` recognised, with the same arguments."""
    x = table(features)
    names, y = numbered(labels, len(x), "labels")
    keys, group = numbered(groups, len(x), "groups")
    counts = _count(group, y, len(keys), len(names))
    _require_groups(counts, names, folds)
    fold = even_folds(counts, names, folds)[group]
    hit = _predict(x, y, fold) == y
    return Recognised(_count(group[hit], y[hit], *counts.shape), counts)


# --- folds --------------------------------------------------------------------------
def _count(
    group: NDArray[np.intp], y: NDArray[np.intp], n_groups: int, n_labels: int
) -> Doubles:
    """Number of rows of every group and label (G, K)."""
    counts = np.zeros((n_groups, n_labels))
    np.add.at(counts, (group, y), 1)
    return counts


def _require_groups(counts: Doubles, names: Array, folds: int) -> None:
    if not 2 <= folds <= len(counts):
        raise ValueError(
            f"{folds} folds do not fit {len(counts)} groups: "
            "use from 2 folds to one per group"
        )
    holders = np.count_nonzero(counts, axis=0)
    if holders.min() < 2:
        raise ValueError(
            f"label {names[holders.argmin()]} occurs in one group only: give it two, "
            "or leave it out"
        )


def even_folds(counts: Doubles, names: Array, folds: int) -> NDArray[np.intp]:
    """Fold of every group (G,), so that labels spread evenly over the folds."""
    shares = counts / counts.sum(axis=0)
    totals = np.zeros((folds, counts.shape[1]))
    chosen = np.zeros(len(counts), np.intp)
    for group in np.argsort(-shares.max(axis=1), kind="stable"):
        crowding = totals @ shares[group]
        chosen[group] = np.lexsort((totals.sum(axis=1), crowding))[0]
        totals[chosen[group]] += shares[group]
    together = totals.max(axis=0)
    if together.max() > 1 - 1e-9:
        raise ValueError(
            f"all groups of label {names[together.argmax()]} fell into one fold: "
            "use more folds, or give it more groups"
        )
    return chosen


# --- probe --------------------------------------------------------------------------
def _predict(
    x: Doubles, y: NDArray[np.intp], fold: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Label of every row (n,), from a probe that did not see its fold."""
    predicted = np.zeros_like(y)
    for part in np.unique(fold):
        test = fold == part
        probed = fit(x[~test], y[~test])
        predicted[test] = scores(probed, x[test]).argmax(axis=1)
    return predicted


# --- accuracy -----------------------------------------------------------------------
def _balanced(hits: Doubles, counts: Doubles) -> Doubles:
    """Mean recall over the labels (..., K) that occur."""
    occurs = counts > 0
    recall = np.where(occurs, hits / np.maximum(counts, 1), 0.0)
    accuracy: Doubles = recall.sum(axis=-1) / occurs.sum(axis=-1)
    return accuracy
