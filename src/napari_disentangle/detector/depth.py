"""Depth: scores of a stack are smoothed along Z, as far as a cell reaches."""

from collections.abc import Mapping
from math import ceil, exp

import numpy as np

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.field import Field
from napari_disentangle.image.units import plain_symbol

# Standard deviation in cell diameters, measured on anomalies planted into stacks; what
# is farther away than twice that does not count.
_CELLS = 0.3
_TRUNCATE = 2.0
# Planes: with less the neighbours would hardly count.
_LEAST = 0.3


def depth(image: Field, diameter: float) -> float:
    """How far scores of an image are smoothed along Z, in planes.

    Parameters
    ----------
    image
        The image; voxels need not be cubes.
    diameter
        Of a typical cell, in pixels.

    Returns
    -------
    float
        Standard deviation of a Gaussian; 0 without Z or with one plane, if planes lie
        so far apart that they show different cells, or if Z has a unit of its own.
    """
    if "Z" not in image.axes or image.size("Z") == 1:
        return 0.0
    y, z = (image.grid_axes.index(axis) for axis in "YZ")
    if plain_symbol(image.units[y]) != plain_symbol(image.units[z]):
        return 0.0
    planes = _CELLS * diameter * abs(image.scale[y] / image.scale[z])
    return planes if planes >= _LEAST else 0.0


def reach(sigma: float) -> int:
    """How many planes before and after a plane count."""
    return ceil(_TRUNCATE * sigma)


def smoothed(parts: Mapping[int, Array], sigma: float) -> Floats:
    """Mean of scores (h, w) over planes, by how near they are.

    Parameters
    ----------
    parts
        Scores of planes by their distance, 0 among them; missing planes and scores that
        are not finite do not count.
    sigma
        Standard deviation in planes.

    Returns
    -------
    ndarray
        (h, w); what is not finite in the plane itself stays as it is.
    """
    own = parts[0].astype(np.float32, copy=False)
    total, weight = np.zeros_like(own), np.zeros_like(own)
    for distance, scores in parts.items():
        near = np.float32(exp(-((distance / sigma) ** 2) / 2) if distance else 1)
        finite = np.isfinite(scores)
        total += np.where(finite, near * scores, 0)
        weight += np.where(finite, near, 0)
    known = np.isfinite(own)
    return np.where(known, total / np.where(known, weight, 1), own)
