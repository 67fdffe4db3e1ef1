"""Extent: how many pixels around a pixel are surprising together with it."""

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.arrays import Mask


def extents(
    score: NDArray[np.floating], thresholds: Sequence[float], edge: int
) -> Generator[None, None, NDArray[np.uint32]]:
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

    Yields
    ------
    None
        After every row of windows.

    Returns
    -------
    ndarray
        Of the shape of ``score``, in pixels; 0 where no threshold is passed.
    """
    found = np.zeros(score.shape, np.uint32)
    for lead in np.ndindex(score.shape[:-2]):
        for y in range(0, score.shape[-2], edge):
            row = (*lead, slice(y, y + edge))
            found[row] = _summed(score[row], thresholds, edge)
            yield
    return found


def _summed(
    row: NDArray[np.floating], thresholds: Sequence[float], edge: int
) -> NDArray[np.uint32]:
    """The same for one row of windows (y, X)."""
    h, w = row.shape
    edge = min(edge, w)
    n = -(-w // edge)
    whole = np.pad(row, [(0, 0), (0, n * edge - w)], constant_values=-np.inf)
    windows = whole.reshape(h, n, edge).swapaxes(0, 1)
    summed = np.zeros(windows.shape, np.uint32)
    for threshold in thresholds:
        summed += _sizes(windows > threshold)
    return summed.swapaxes(0, 1).reshape(h, n * edge)[:, :w]


def _sizes(above: Mask) -> NDArray[np.uint32]:
    """Size of the connected part that each pixel (N, y, x) is in, 0 in none."""
    from scipy.ndimage import label

    if not above.any():
        return np.zeros(above.shape, np.uint32)
    touching = np.zeros((3, 3, 3), bool)
    touching[1] = True
    parts, _ = label(above, touching)
    sizes: NDArray[np.uint32] = np.bincount(parts.ravel()).astype(np.uint32)
    sizes[0] = 0
    found: NDArray[np.uint32] = sizes[parts]
    return found
