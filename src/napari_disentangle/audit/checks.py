"""What every measure asks of its arrays, and the sentences for those that fail."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_disentangle.image.arrays import Array, Doubles

# Spread below this share of the largest value is the rounding of float32.
ROUNDING = 1e-6


def channels_first(image: ArrayLike) -> Doubles:
    """An image (C, Y, X) to compute with.

    Raises
    ------
    ValueError
        If it has another number of axes, is empty, or has values that are not finite.
    """
    values = np.asarray(image, np.float64)
    if values.ndim != 3 or not values.size:
        raise ValueError(
            f"shape {values.shape} is not (C, Y, X): add or move the channel axis"
        )
    return _finite(values)


def same_shape(one: ArrayLike, other: ArrayLike) -> tuple[Doubles, Doubles]:
    """Two images (C, Y, X) that are compared pixel by pixel."""
    first, second = channels_first(one), channels_first(other)
    if first.shape != second.shape:
        raise ValueError(
            f"shapes {first.shape} and {second.shape} differ: give images of one grid"
        )
    return first, second


def table(features: ArrayLike) -> Doubles:
    """Features (n, F), one row per sample."""
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(
            f"features of shape {rows.shape} are not (n, F): give one row per sample"
        )
    return _finite(rows)


def numbered(column: ArrayLike, rows: int, name: str) -> tuple[Array, NDArray[np.intp]]:
    """Distinct values of a column (n,), sorted, and which of them each row has."""
    values = np.asarray(column)
    if values.shape != (rows,):
        raise ValueError(
            f"{name} of shape {values.shape} do not fit {rows} rows of features: "
            "give one per row"
        )
    distinct, codes = np.unique(values, return_inverse=True)
    if name == "labels" and len(distinct) < 2:
        raise ValueError(
            f"all {rows} labels are {distinct[0]}: give at least 2 different ones"
        )
    return distinct, codes


def is_flat(values: Doubles, scale: float) -> bool:
    """Whether values differ by no more than the rounding of numbers of this size."""
    return bool(np.ptp(values) <= ROUNDING * scale)


def _finite(values: Doubles) -> Doubles:
    if not np.isfinite(values).all():
        share = 1 - np.isfinite(values).mean()
        raise ValueError(f"{share:.1%} of the values are NaN or infinite: cut them out")
    return values
