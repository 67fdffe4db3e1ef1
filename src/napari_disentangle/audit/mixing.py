"""How well labels, such as batches, are mixed in a space of features.

Distances are Euclidean in the units of the features, so standardise features of
different units. Both measures hold all n x n distances: take some thousand rows.
"""

import numpy as np
from numpy.typing import ArrayLike

from napari_disentangle.audit.checks import numbered, table
from napari_disentangle.image.arrays import Doubles


def silhouette(features: ArrayLike, labels: ArrayLike) -> float:
    """Mean silhouette of all rows (Rousseeuw 1987, "Silhouettes").

    Parameters
    ----------
    features
        One row per sample (n, F).
    labels
        Batch or biology of every row (n,), at least 2 different ones.

    Returns
    -------
    float
        1 if the labels lie far apart, about 0 if they are mixed, down to -1 if rows lie
        among those of another label. A row that is alone with its label counts as 0.
    """
    x = table(features)
    _, y = numbered(labels, len(x), "labels")
    member = np.eye(y.max() + 1)[y]
    sizes = member.sum(axis=0)
    sums = distances(x) @ member
    own = member.astype(bool)
    inner = sums[own] / np.maximum(sizes[y] - 1, 1)
    outer = np.where(own, np.inf, sums / sizes).min(axis=1)
    widest = np.maximum(inner, outer)
    widths = np.where(widest > 0, (outer - inner) / np.where(widest > 0, widest, 1), 0)
    return float(np.where(sizes[y] > 1, widths, 0).mean())


def lisi(features: ArrayLike, labels: ArrayLike, neighbours: int = 30) -> float:
    """Mean inverse Simpson index of labels among the nearest neighbours of each row.

    The index of Korsunsky et al. 2019, "Fast, sensitive and accurate integration of
    single-cell data with Harmony", with one difference: plain neighbours that all count
    the same, instead of weights of a given perplexity. Neighbours at the same distance
    share the places that are left, so the order of rows does not matter.

    Parameters
    ----------
    features
        One row per sample (n, F).
    labels
        Batch or biology of every row (n,), at least 2 different ones.
    neighbours
        How many to look at, without the row itself.

    Returns
    -------
    float
        1 if neighbours have one label, up to the number of labels if they are mixed
        evenly. Few neighbours and labels of unequal size keep it lower.

    Raises
    ------
    ValueError
        If there are not that many other rows.
    """
    x = table(features)
    _, y = numbered(labels, len(x), "labels")
    if not 1 <= neighbours < len(x):
        raise ValueError(
            f"{neighbours} neighbours cannot be found among {len(x)} rows: "
            f"use from 1 to {len(x) - 1}"
        )
    near = _nearest(x, neighbours)
    shares = near @ np.eye(y.max() + 1)[y] / neighbours
    return float((1 / (shares**2).sum(axis=1)).mean())


def _nearest(x: Doubles, k: int) -> Doubles:
    """Weight of every row as a neighbour of every row (n, n); rows sum to ``k``."""
    apart = distances(x)
    np.fill_diagonal(apart, np.inf)
    farthest = np.partition(apart, k - 1, axis=1)[:, k - 1 : k]
    nearer, level = apart < farthest, apart == farthest
    left = k - nearer.sum(axis=1, keepdims=True)
    weights: Doubles = nearer + level * left / level.sum(axis=1, keepdims=True)
    return weights


def distances(x: Doubles) -> Doubles:
    """Euclidean distances of all rows (n, n)."""
    from scipy.spatial.distance import cdist

    distances: Doubles = cdist(x, x)
    return distances
