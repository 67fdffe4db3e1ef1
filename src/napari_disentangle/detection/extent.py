"""Extent: how many pixels around a pixel are surprising together with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def extents(
    score: NDArray[np.floating], thresholds: Sequence[float], edge: int
) -> NDArray[np.uint32]:
    """Sizes of the parts of a window that a pixel is in, summed over thresholds.

    A part is what is connected above a threshold, corners included. What is wide has a
    large sum, the more so if all of it is far above normal; one hot pixel has not. It
    is threshold-free cluster enhancement (Smith & Nichols 2009, NeuroImage 44, 83-98,
    equation 1) with exponents of 1 for extent and 0 for height.

    Parts end where windows do, as they do at the edges of the normal blocks that they
    are compared with.

    Parameters
    ----------
    score
        Raw scores (..., Y, X); NaN is above nothing.
    thresholds
        Rising.
    edge
        Of a window in pixels, the first of which begins at the first pixel.

    Returns
    -------
    ndarray
        Of the shape of ``score``, in pixels; 0 where no threshold is passed.
    """
    found = np.zeros(score.shape, np.uint32)
    for lead in np.ndindex(score.shape[:-2]):
        found[lead] = _summed(score[lead], thresholds, edge)
    return found


def _summed(
    plane: NDArray[np.floating], thresholds: Sequence[float], edge: int
) -> NDArray[np.uint32]:
    """The same for one plane (Y, X), cut into a stack of windows."""
    h, w = plane.shape
    grid = -(-h // edge), -(-w // edge)
    beyond = [(0, n * edge - size) for n, size in zip(grid, (h, w), strict=True)]
    whole = np.pad(plane, beyond, constant_values=-np.inf)
    by_window = whole.reshape(grid[0], edge, grid[1], edge).swapaxes(1, 2)
    summed = np.zeros(by_window.shape, np.uint32)
    for threshold in thresholds:
        summed += _sizes(by_window > threshold)
    found: NDArray[np.uint32] = summed.swapaxes(1, 2).reshape(whole.shape)[:h, :w]
    return found


def _sizes(above: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Size of the connected part that each pixel (N, M, y, x) is in, 0 in none."""
    from scipy.ndimage import label

    if not above.any():
        return np.zeros(above.shape, np.uint32)
    touching = np.zeros((3, 3, 3, 3), bool)
    touching[1, 1] = True
    parts, _ = label(above, touching)
    sizes: NDArray[np.uint32] = np.bincount(parts.ravel()).astype(np.uint32)
    sizes[0] = 0
    found: NDArray[np.uint32] = sizes[parts]
    return found
