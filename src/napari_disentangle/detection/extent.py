"""Extent: how many pixels around a pixel are surprising together with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def extents(
    score: NDArray[np.floating], thresholds: Sequence[float]
) -> NDArray[np.uint32]:
    """Sizes of the parts of a plane that a pixel is in, summed over thresholds.

    A part is what is connected above a threshold, corners included. What is wide has a
    large sum, the more so if all of it is far above normal; one hot pixel has not. It
    is threshold-free cluster enhancement (Smith & Nichols 2009, NeuroImage 44, 83-98,
    equation 1) with exponents of 1 for extent and 0 for height.

    Parameters
    ----------
    score
        Raw scores (..., Y, X); NaN is above nothing.
    thresholds
        Rising.

    Returns
    -------
    ndarray
        Of the shape of ``score``, in pixels; 0 where no threshold is passed.
    """
    found = np.zeros(score.shape, np.uint32)
    for lead in np.ndindex(score.shape[:-2]):
        for threshold in thresholds:
            above = score[lead] > threshold
            if not above.any():
                break
            found[lead] += _sizes(above)
    return found


def _sizes(above: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Size of the connected part that each pixel (Y, X) is in, 0 in none."""
    from scipy.ndimage import label

    parts, _ = label(above, np.ones((3, 3)))
    sizes: NDArray[np.uint32] = np.bincount(parts.ravel()).astype(np.uint32)
    sizes[0] = 0
    found: NDArray[np.uint32] = sizes[parts]
    return found
