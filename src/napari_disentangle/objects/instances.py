"""From foreground probability to objects: a watershed of the distance to its border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.arrays import Array, Mask

Labels = NDArray[np.int32]
# Shares of the diameter: smoothing of distances, and between middles of two objects.
# Shares of the area or volume of a typical object below which something is none, and
# below which a hole is one (OUR CHOICE).
_SMOOTH, _APART, _LEAST, _HOLE = 1 / 12, 1 / 3, 0.1, 0.5
# Probability from which a pixel is foreground.
FOREGROUND = 0.5


def instances(
    probability: Array, diameter: float, spacing: Sequence[float] | None = None
) -> Labels:
    """Label objects, 1 to n in the order of their first pixels; 0 is background.

    Parameters
    ----------
    probability
        Of foreground, (h, w) or (Z, h, w); NaN where nothing is known.
    diameter
        Of a typical object, in pixels along X.
    spacing
        Size of a pixel along every axis, in pixels along X; 1 if ``None``.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.segmentation import watershed

    mask = np.nan_to_num(probability) > FOREGROUND
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    sizes = np.ones(mask.ndim) if spacing is None else np.asarray(spacing, float)
    depth = distance_transform_edt(mask, sampling=sizes)
    depth = gaussian_filter(depth, _SMOOTH * diameter / sizes)
    found = watershed(-depth, _middles(depth, mask, diameter, sizes), mask=mask)
    return _without_small(found, diameter, sizes)


def _middles(
    depth: Array, mask: Mask, diameter: float, sizes: NDArray[np.float64]
) -> Labels:
    """A mark in the middle of every object, which is deepest within its distance."""
    from scipy.ndimage import label, maximum_filter

    around = 2 * np.maximum(1, np.rint(_APART * diameter / sizes)).astype(int) + 1
    deepest = mask & (depth == maximum_filter(depth, size=tuple(around)))
    every = np.ones((3,) * mask.ndim)
    marks: Labels = label(deepest, structure=every)[0].astype(np.int32)
    return marks


def filled(probability: Array, diameter: float) -> Array:
    """Foreground without holes below half of an object: the pale middles of cells.

    Parameters
    ----------
    probability
        Of foreground (h, w).
    diameter
        Of a typical object in pixels.
    """
    from skimage.measure import label

    holes = label(~(np.nan_to_num(probability) > FOREGROUND), connectivity=1)
    small = np.bincount(holes.ravel()) < _HOLE * _typical(diameter, 2)
    small[0] = False  # that is foreground
    found: Array = np.where(small[holes], np.float32(1), probability)
    return found


def _typical(diameter: float, ndim: int) -> float:
    """Area or volume of a typical object."""
    radius = diameter / 2
    return np.pi * radius**2 if ndim == 2 else 4 / 3 * np.pi * radius**3


def _without_small(
    labels: Labels, diameter: float, sizes: NDArray[np.float64]
) -> Labels:
    least = _LEAST * _typical(diameter, labels.ndim)
    enough = np.bincount(labels.ravel()) * sizes.prod() >= least
    enough[0] = False
    numbers = np.where(enough, np.cumsum(enough), 0).astype(np.int32)
    return np.asarray(numbers[labels], np.int32)
