"""The coder "measured": shape, brightness and texture of objects, for people to read.

Lengths, areas and volumes are in world units; intensities in values of the image, or of
its content.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterator

import numpy as np

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.image.field import Field
from napari_disentangle.model.model import Model
from napari_disentangle.objects.finding import content_of
from napari_disentangle.objects.instances import Labels
from napari_disentangle.objects.objects import Objects, Place, joined, places

# Of shapes, as scikit-image names them; the last only in the plane.
_SHAPES = ("area", "axis_major_length", "axis_minor_length", "extent", "solidity")
_FLAT = ("eccentricity", "orientation", "perimeter")
# Percentiles of intensity, rings from the middle to the border, and standard deviations
# in pixels of what texture is left by.
_PERCENTILES, _RINGS, _SCALES = (10, 90), 3, (1.0, 3.0)


def measuring(
    objects: Objects, on: Model | None = None
) -> Generator[float, None, dict[str, Array]]:
    """Measure all objects.

    Parameters
    ----------
    objects
        Of images of the same channels.
    on
        The model whose content-only image is measured; ``None`` for the images as they
        are.

    Yields
    ------
    float
        The share that is done, image by image.

    Returns
    -------
    dict
        Columns (n,) in the order of the objects' rows; NaN where it cannot be said.
    """
    parts: list[dict[str, Array]] = []
    both = zip(objects.images, objects.labels, strict=True)
    for number, (image, labels) in enumerate(both, start=1):
        parts += _of_image(image, labels, on)
        yield number / len(objects.images)
    return joined(parts, "area")


def _of_image(
    image: Field, labels: Labels, on: Model | None
) -> Iterator[dict[str, Array]]:
    """Columns of every time of an image."""
    lazy = LazyImage(image, content_of(image, on))
    for place in places(image):
        yield _of_place(lazy, labels[place.index], place)


def _of_place(lazy: LazyImage, labels: Labels, place: Place) -> dict[str, Array]:
    image = lazy.field
    sizes = dict(zip(image.grid_axes, map(abs, image.scale), strict=True))
    spacing = tuple(sizes[axis] for axis in place.axes)
    columns = shapes(labels, spacing)
    where = dict(zip(image.axes.replace("C", ""), place.index, strict=True))
    shown = np.asarray(lazy[tuple(where.get(axis, slice(None)) for axis in image.axes)])
    left = [axis for axis in image.axes if axis in f"C{place.axes}"]
    channels = np.moveaxis(shown, left.index("C"), 0) if "C" in left else shown[None]
    for values, name in zip(channels, image.channel_names, strict=True):
        if name != "alpha":
            known = np.nan_to_num(values.astype(np.float64))
            columns |= _intensities(labels, known, spacing, name)
    return columns


def shapes(labels: Labels, spacing: tuple[float, ...]) -> dict[str, Array]:
    """Shape of all objects of a plane or a stack.

    Parameters
    ----------
    labels
        (h, w) or (Z, h, w).
    spacing
        Size of a pixel along every axis, in world units.
    """
    from skimage.measure import regionprops_table

    flat = labels.ndim == 2 and math.isclose(spacing[0], spacing[1])
    wanted = (*_SHAPES, *(_FLAT if flat else ()))
    if not labels.any():
        return {name: np.empty(0) for name in wanted}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # of one pixel or a line there is no hull, and no minor axis
        warnings.simplefilter("ignore", (RuntimeWarning, UserWarning))
        found = regionprops_table(labels, spacing=spacing, properties=wanted)
    columns: dict[str, Array] = {k: np.asarray(v, float) for k, v in found.items()}
    columns["solidity"][~np.isfinite(columns["solidity"])] = np.nan
    with np.errstate(all="ignore"):
        ratio = columns["axis_major_length"] / columns["axis_minor_length"]
    columns["elongation"] = np.where(np.isfinite(ratio), ratio, np.nan)
    return columns


def _intensities(
    labels: Labels, values: Doubles, spacing: tuple[float, ...], channel: str
) -> dict[str, Array]:
    """Brightness of objects in one channel, its profile, and texture."""
    numbers, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (numbers[0] > 0)  # without gaps, 0 is none
    known = np.arange(1, dense.max() + 1)
    return dict(_named(dense, values, spacing, channel, known)) if len(known) else {}


def _named(
    labels: Array,
    values: Doubles,
    spacing: tuple[float, ...],
    channel: str,
    known: Array,
) -> Iterator[tuple[str, Array]]:
    from scipy import ndimage

    mean = ndimage.mean(values, labels, known)
    yield f"{channel} mean", mean
    yield f"{channel} spread", ndimage.standard_deviation(values, labels, known)
    for percent in _PERCENTILES:
        found = ndimage.labeled_comprehension(
            values, labels, known, lambda v, p=percent: np.percentile(v, p), float, 0
        )
        yield f"{channel} percentile {percent}", found
    rings = _rings(labels, spacing)
    for ring in range(_RINGS):
        inside = np.where(rings == ring, labels, 0)
        yield f"{channel} ring {ring + 1}", _relative(values, inside, known, mean)
    for scale in _SCALES:
        rest = (values - ndimage.gaussian_filter(values, scale)) ** 2
        roughness = np.sqrt(_relative(rest, labels, known, mean**2))
        yield f"{channel} texture {scale:g} px", roughness


def _relative(values: Doubles, labels: Array, known: Array, unit: Array) -> Array:
    """Mean of every object in a unit of its own; NaN where there is none."""
    from scipy import ndimage

    with np.errstate(all="ignore"):
        found = ndimage.mean(values, labels, known) / unit
    return np.where(np.isfinite(found), found, np.nan)


def _rings(labels: Array, spacing: tuple[float, ...]) -> Array:
    """Which ring of its object a pixel is in: 0 in the middle; -1 outside."""
    from scipy import ndimage

    border = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        differs = np.diff(labels, axis=axis) != 0
        before = [(0, 1) if i == axis else (0, 0) for i in range(labels.ndim)]
        after = [(1, 0) if i == axis else (0, 0) for i in range(labels.ndim)]
        border |= np.pad(differs, before) | np.pad(differs, after)
    depth = ndimage.distance_transform_edt(~border, sampling=spacing)
    numbers = np.arange(labels.max() + 1)
    deepest = ndimage.maximum(depth, labels, numbers)
    share = depth / np.maximum(deepest[labels], 1e-9)
    rings = np.minimum(((1 - share) * _RINGS).astype(int), _RINGS - 1)
    return np.where(labels > 0, rings, -1)
