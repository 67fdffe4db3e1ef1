"""Taking out of codes what tells a nuisance: a position, a plate, a focus.

As RASA takes out positions (Venkataramanan et al. 2025, arXiv 2507.14137): again and
again what a linear fit reads is projected out. OUR CHOICE: a ridge in closed form
instead of gradient descent, quadratic positions, and any column instead of positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np

from napari_disentangle.audit.confounding import CONFOUNDED, cramers_v
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.objects.objects import Objects

POSITION = "position"
# Ridge per row, folds, and the share of directions that may go. Standardised codes are
# clipped where they are fitted: single rows far out would decide (OUR CHOICE).
_RIDGE, _FOLDS, _SHARE, _FAR = 0.1, 5, 4, 5.0
# A held-out fit that explains no more than this, or two standard errors, is chance.
_CHANCE = 0.02
# Numbers with more values than this are put into as many classes to be compared.
_CLASSES = 4


@dataclass(frozen=True, eq=False)
class Removal:
    """What was taken out of codes.

    Attributes
    ----------
    of
        The nuisance.
    before, after
        Share of its variance that a linear fit tells on held-out rows (R2), of that
        combination of columns which is told best.
    variance
        Share of the variance of standardised codes that went with it.
    directions
        Orthonormal, of standardised codes (L, d).
    mean, std
        What codes were standardised with (L,).
    """

    of: tuple[str, ...]
    before: float
    after: float
    variance: float
    directions: Doubles = field(repr=False)
    mean: Doubles = field(repr=False)
    std: Doubles = field(repr=False)

    def apply(self, values: Floats) -> Floats:
        """Take the same out of other codes (n, L); a second time changes nothing."""
        unit = np.where(self.std > 0, self.std, np.inf)
        z = np.nan_to_num((values - self.mean) / unit)
        taken = z @ self.directions @ self.directions.T
        left: Floats = (values - self.std * taken).astype(np.float32)
        return left

    def __str__(self) -> str:
        return (
            f"{' and '.join(self.of)} removed: R2 {self.before:.2f} before, "
            f"{self.after:.2f} after, {self.directions.shape[1]} directions with "
            f"{100 * self.variance:.0f}% of the variance"
        )


def removal(objects: Objects, values: Floats, named: Sequence[str]) -> Removal:
    """What has to be taken out of codes (n, L) to be without a nuisance.

    Raises
    ------
    DataError
        If there are too few objects, or the nuisance is the same for all of them.
    """
    if len(values) < 2 * _FOLDS:
        raise DataError(
            f"{len(values)} objects are too few to tell a nuisance from: take at least "
            f"{2 * _FOLDS}"
        )
    z, mean, std = standard(values)
    z = np.clip(z, -_FAR, _FAR)
    told = _apart(np.concatenate([_told(objects, name) for name in named], axis=1))
    folds = list(_folds(objects.columns["image number"], told))
    # the last is all rows; of the others every one knows nothing of what it holds out
    taken = [np.empty((z.shape[1], 0))] * (len(folds) + 1)
    first, error = _explained(z, told, folds, taken)
    after, most = first, z.shape[1] // _SHARE
    while after > min(_CHANCE, 2 * error) and taken[-1].shape[1] < most:
        kept = [~out for out in folds] + [np.ones(len(z), bool)]
        both = zip(kept, taken, strict=True)
        taken = [_more(z[rows], told[rows], one) for rows, one in both]
        after, error = _explained(z, told, folds, taken)
    directions = taken[-1]
    left = z - z @ directions @ directions.T
    lost = 1 - (left**2).sum() / max((z**2).sum(), 1e-12)
    return Removal(tuple(named), first, after, float(lost), directions, mean, std)


def refuse_confounded(objects: Objects, named: Sequence[str], biology: str) -> None:
    """Refuse to take out what cannot be told from biology.

    Raises
    ------
    DataError
        If Cramer's V of the two is above 0.8.
    """
    kept = _classes(objects.column(biology))
    for name in named:
        if name == POSITION:
            continue
        found = cramers_v(_classes(objects.column(name)), kept)
        if found > CONFOUNDED:
            raise DataError(
                f"{name!r} and {biology!r} cannot be told apart (Cramer's V "
                f"{found:.2f}): taking out the one takes out the other"
            )


def standard(values: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Values of mean 0 and spread 1, their means and spreads; 0 where there is none."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0).astype(np.float64)
    n = np.maximum(known.sum(0), 1)
    mean = filled.sum(0) / n
    centred = np.where(known, filled - mean, 0.0)
    std = np.sqrt((centred**2).sum(0) / n)
    std[std <= 1e-9 * np.abs(mean)] = np.inf
    z: Doubles = centred / std
    return z, mean, np.where(np.isfinite(std), std, 0.0)


def _told(objects: Objects, name: str) -> Doubles:
    """What a nuisance is told by, of mean 0 and spread 1 (n, k)."""
    if name == POSITION:
        raw = _quadratic(objects)
    else:
        column = objects.column(name)
        numbers = column.dtype.kind in "fiu"
        raw = column[:, None] if numbers else column[:, None] == np.unique(column)
    z, *_ = standard(np.asarray(raw, np.float32))
    varied = z[:, np.any(z != 0, axis=0)]
    if not varied.shape[1]:
        raise DataError(f"{name!r} is the same for all objects: there is nothing to do")
    return varied


def _apart(told: Doubles) -> Doubles:
    """As many columns as are independent, of one spread (n, k)."""
    u, strength, _ = np.linalg.svd(told, full_matrices=False)
    found: Doubles = u[:, strength > 1e-6 * strength[0]] * np.sqrt(len(told))
    return found


def _quadratic(objects: Objects) -> Doubles:
    """Place in the field of view, up to squares: light falls off from its middle."""
    edges = np.array([image.plane_shape for image in objects.images], float)
    size = edges[objects.columns["image number"]]
    middle = [
        (objects.columns[f"bbox-{axis}0"] + objects.columns[f"bbox-{axis}1"]) / 2
        for axis in "yx"
    ]
    y, x = np.stack(middle, axis=1).T / size.T - 0.5
    squares = [a * b for a, b in combinations_with_replacement((y, x), 2)]
    return np.stack([y, x, *squares], axis=1)


def _folds(image: Array, told: Doubles) -> Iterator[Array]:
    """Rows that are held out: whole images, where others tell as much."""
    known, counts = np.unique(np.unique(np.c_[image, told], axis=0)[:, 0],
                              return_counts=True)  # fmt: skip
    kinds = np.unique(told, axis=0)
    apart = (counts == 1).all() and len(known) < 2 * len(kinds)
    by_image = len(known) >= _FOLDS and not apart
    rng = np.random.default_rng(0)
    units = (
        np.unique(image, return_inverse=True)[1] if by_image else np.arange(len(told))
    )
    fold = rng.permutation(units.max() + 1) % _FOLDS
    for number in range(_FOLDS):
        yield fold[units] == number


def _explained(
    z: Doubles, told: Doubles, folds: Sequence[Array], taken: Sequence[Doubles]
) -> tuple[float, float]:
    """Share of a nuisance's variance that is told on held-out rows, and its error.

    Of the combination of what it is told by that codes tell best, after directions
    were taken out that every fold found without what it holds out.
    """
    shares = []
    for out, directions in zip(folds, taken, strict=False):
        left = z - z @ directions @ directions.T
        weights, middle = _ridge(left[~out], told[~out])
        _, _, mixes = np.linalg.svd(left[~out] @ weights, full_matrices=False)
        rest = (told[out] - middle - left[out] @ weights) @ mixes[0]
        spread = ((told[out] - middle) @ mixes[0]) ** 2
        shares.append(1 - (rest**2).sum() / max(spread.sum(), 1e-12))
    return float(np.mean(shares)), float(np.std(shares) / np.sqrt(len(shares)))


def _ridge(z: Doubles, told: Doubles) -> tuple[Doubles, Doubles]:
    middle = told.mean(0)
    square = z.T @ z + _RIDGE * len(z) * np.eye(z.shape[1])
    weights: Doubles = np.linalg.solve(square, z.T @ (told - middle))
    return weights, middle


def _more(z: Doubles, told: Doubles, taken: Doubles) -> Doubles:
    """Directions that were taken out (L, d), and one more (L, d + 1).

    Along which codes tell that combination best which they tell best.
    """
    left = z - z @ taken @ taken.T
    weights, _ = _ridge(left, told)
    _, _, mixes = np.linalg.svd(left @ weights, full_matrices=False)
    both = np.concatenate([taken, (weights @ mixes[0])[:, None]], axis=1)
    found: Doubles = np.linalg.qr(both)[0]
    return found


def _classes(column: Array) -> Array:
    """Few values of a column: numbers by quantiles."""
    if column.dtype.kind not in "fiu" or len(np.unique(column)) <= _CLASSES:
        return column.astype(str)
    edges = np.nanquantile(column, np.linspace(0, 1, _CLASSES + 1)[1:-1])
    return np.searchsorted(edges, column).astype(str)
