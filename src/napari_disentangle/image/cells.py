"""How large the objects of an image are, before anything is known of them.

Three readings of the first principal component, and their median (OUR CHOICE), because
they fail on different images: the scale at which blobs answer most (Lindeberg 1998,
section 5), and the thickness and the area of what lies beyond Otsu's threshold (1979).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.arrays import Array, Floats, Mask
from napari_disentangle.image.filters import finite, smooth

FALLBACK = 14.0

# Standard deviations of the Laplacians of Gaussians, in pixels, and their steps.
_STEP = 0.25
_SIGMAS = 2.0 ** np.arange(-0.5, 6.01, _STEP)
# The scale of the strongest answer per diameter: measured on drawn discs of 8 to 80
# pixels, 0.366 to 0.373.
_SIGMA_PER_DIAMETER = 0.37
# Pixels are pooled where a Gaussian is wider than this, and edges of what is read.
_WIDEST = 4.0
_LEAST_EDGE = 8
_BLOCK = 512
# Distances are to the middle of the nearest pixel outside and not to the border, which
# makes them 0.27 to 0.43 too large in drawn discs of 8 to 40 pixels.
_TOO_DEEP = 1 / 3
_TINY = np.finfo(float).tiny
# Pixels across an object are enough to see its shape.
_ENOUGH = 16.0


def cell_diameter(signal: Array, mask: Mask | None = None) -> float:
    """Typical diameter in pixels of the objects in a signal.

    Parameters
    ----------
    signal
        Image (C, h, w), objects brighter or darker than what is around them. Of one
        that is larger than 1,024 pixels, four blocks are read.
    mask
        Pixels (h, w) that count; ``None`` for all.

    Returns
    -------
    float
        Half of the area of all objects is in larger ones; that of an object is the
        diameter of a disc of its area. :data:`FALLBACK` if no scale stands out.
    """
    rows, columns = (_some(n) for n in signal.shape[1:])
    part = finite(signal[:, rows[:, None], columns])
    use = (
        np.ones(part.shape[1:], bool) if mask is None else mask[rows[:, None], columns]
    )
    if not use.any() or np.ptp(part[:, use], axis=1).max() == 0:
        return FALLBACK
    grey = _first_component(part, use)
    blob = _blob(grey, use)
    if blob is None:
        return FALLBACK
    diameter, sign = blob
    factor = max(1, int(diameter / _ENOUGH))
    shape = _thickness_and_area(
        sign * _pooled(grey, factor), _pooled(use, factor) > 0.5
    )
    return float(np.median([diameter, *(factor * one for one in shape)]))


def _some(n: int) -> NDArray[np.intp]:
    """Places along an axis: all, or a block in the middle of each of its halves."""
    # The blocks are put side by side: seams are too few to count.
    if n <= 2 * _BLOCK:
        return np.arange(n)
    starts = [n // 4 - _BLOCK // 2, 3 * n // 4 - _BLOCK // 2]
    return np.concatenate([np.arange(start, start + _BLOCK) for start in starts])


def _first_component(signal: Floats, use: Mask) -> Floats:
    centred = signal - signal[:, use].mean(axis=1)[:, None, None]
    covariance = np.atleast_2d(np.cov(centred[:, use].astype(np.float64)))
    first = np.linalg.eigh(covariance)[1][:, -1]
    return np.tensordot(first.astype(np.float32), centred, 1)


def _pooled(values: Array, factor: int) -> Floats:
    """Means of cells of that many pixels."""
    h, w = (n // factor for n in values.shape)
    cells = values[: h * factor, : w * factor].reshape(h, factor, w, factor)
    means: Floats = cells.mean(axis=(1, 3), dtype=np.float32)
    return means


# --- blobs ----------------------------------------------------------------------------
def _blob(grey: Floats, use: Mask) -> tuple[float, int] | None:
    """Diameter at which blobs answer most, and 1 for bright ones, -1 for dark ones."""
    answers = np.array(list(_answers(grey, use))).reshape(-1, 2)
    inner = answers[1:-1]
    # Noise answers most at the finest scale, and uneven light at the coarsest.
    tops = (inner > answers[:-2]) & (inner >= answers[2:])
    if not tops.any():
        return None
    scale, side = np.unravel_index(np.where(tops, inner, 0).argmax(), tops.shape)
    steps = scale + 1 + _vertex(*np.log(answers[scale : scale + 3, side] + _TINY))
    sigma = _SIGMAS[0] * 2 ** (_STEP * steps)
    return float(sigma / _SIGMA_PER_DIAMETER), (1, -1)[side]


def _answers(grey: Floats, use: Mask) -> Iterator[tuple[float, float]]:
    """Per scale, mean square of the Laplacian in bright blobs, and in dark ones."""
    from scipy.ndimage import gaussian_laplace

    factor = 1
    for sigma in _SIGMAS:
        if sigma >= _WIDEST * factor:
            factor, grey, use = 2 * factor, _pooled(grey, 2), _pooled(use, 2) > 0.5
        if min(grey.shape) < _LEAST_EDGE or not use.any():
            return
        local = sigma / factor
        answer = local**2 * gaussian_laplace(grey, local)[use]
        yield tuple((np.maximum(side * answer, 0) ** 2).mean() for side in (-1, 1))


def _vertex(before: float, top: float, after: float) -> float:
    """Where between -1 and 1 the parabola through three values is highest."""
    return float((before - after) / (2 * (before - 2 * top + after)))


# --- shape ----------------------------------------------------------------------------
def _thickness_and_area(grey: Floats, use: Mask) -> list[float]:
    """Two diameters of what lies beyond Otsu's threshold; none if nothing does.

    In a disc the mean distance from the border is a sixth of the diameter, and touching
    discs change it little; the area tells more of an object that is alone.
    """
    from scipy.ndimage import distance_transform_edt, label

    beyond = _without_holes(_beyond(smooth(grey, 1.0), use))
    if not beyond.any():
        return []
    depth = distance_transform_edt(np.pad(beyond, 1))[1:-1, 1:-1][beyond] - _TOO_DEEP
    areas = np.sort(np.bincount(label(beyond)[0].ravel())[1:])
    middle = np.searchsorted(np.cumsum(areas), areas.sum() / 2)
    return [6 * float(depth.mean()), 2 * float(np.sqrt(areas[middle] / np.pi))]


def _beyond(grey: Floats, use: Mask) -> Mask:
    from skimage.filters import threshold_otsu

    if not use.any():
        return use
    bright: Mask = (grey > threshold_otsu(grey[use])) & use
    return bright


def _without_holes(mask: Mask) -> Mask:
    """Fill what is smaller than an object; cells may touch around a large gap."""
    from scipy.ndimage import label

    gaps, _ = label(~mask)
    small = np.bincount(gaps.ravel()) < np.pi * _ENOUGH**2 / 4
    filled: Mask = mask | small[gaps]
    return filled
