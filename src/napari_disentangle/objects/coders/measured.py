"""The coder "measured": shape, brightness and texture of objects, for people to read.

Lengths, areas and volumes are in world units; intensities in values of the image, or of
its content.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.model.model import Model
from napari_disentangle.model.render import Rendering
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
    shown = (content_of(image, on) for image in objects.images)
    return (yield from measuring_in(objects, shown))


def measuring_in(
    objects: Objects, shown: Iterable[Rendering]
) -> Generator[float, None, dict[str, Array]]:
    """Measure all objects in what is shown of each image, as :func:`measuring` does."""
    parts: list[dict[str, Array]] = []
    both = zip(shown, objects.labels, strict=True)
    for number, (rendering, labels) in enumerate(both, start=1):
        for part in _of_image(rendering, labels):
            parts.append(part)
            yield (number - 1) / len(objects.images)
        yield number / len(objects.images)
    return joined(parts, "area")


def _of_image(rendering: Rendering, labels: Labels) -> Iterator[dict[str, Array]]:
    """Columns of every time of an image."""
    lazy = LazyImage(rendering.field, rendering)
    for place in places(rendering.field):
        yield _of_place(lazy, labels[place.index], place)


def _of_place(lazy: LazyImage, labels: Labels, place: Place) -> dict[str, Array]:
    image = lazy.field
    sizes = dict(zip(image.grid_axes, map(abs, image.scale), strict=True))
    spacing = tuple(sizes[axis] for axis in place.axes)
    columns, pixels = shapes(labels, spacing), _Pixels.of(labels, spacing)
    where = dict(zip(image.axes.replace("C", ""), place.index, strict=True))
    shown = np.asarray(lazy[tuple(where.get(axis, slice(None)) for axis in image.axes)])
    left = [axis for axis in image.axes if axis in f"C{place.axes}"]
    channels = np.moveaxis(shown, left.index("C"), 0) if "C" in left else shown[None]
    for values, name in zip(channels, image.channel_names, strict=True):
        if name != "alpha":
            known = np.nan_to_num(values.astype(np.float64))
            columns |= _intensities(pixels, known, name)
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


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Pixels of all objects of a plane or a stack, object by object.

    Attributes
    ----------
    where
        Flat index of every pixel (N,).
    number
        Which object it is of (N,), from 0 on without gaps.
    starts
        Where every object begins (n,).
    ring
        Which ring of its object it is in (N,): 0 is in the middle.
    """

    where: Array
    number: Array
    starts: Array
    ring: Array

    @classmethod
    def of(cls, labels: Labels, spacing: tuple[float, ...]) -> Self:
        """Order the pixels of all objects."""
        flat = labels.ravel()
        where = np.flatnonzero(flat)
        where = where[np.argsort(flat[where], kind="stable")]
        own = flat[where]
        first = np.r_[True, own[1:] != own[:-1]] if len(own) else np.empty(0, bool)
        starts, number = np.flatnonzero(first), np.cumsum(first) - 1
        depth = _depth(labels, spacing).ravel()[where]
        deepest = np.maximum.reduceat(depth, starts) if len(starts) else depth
        share = depth / np.maximum(deepest[number], 1e-9)
        ring = np.minimum(((1 - share) * _RINGS).astype(int), _RINGS - 1)
        return cls(where, number, starts, ring)

    def mean(self, values: Doubles, chosen: Array | slice = slice(None)) -> Doubles:
        """Mean of chosen pixels (N,) of every object; NaN where there are none."""
        n, number = len(self.starts), self.number[chosen]
        counts = np.bincount(number, minlength=n)
        with np.errstate(all="ignore"):
            found: Doubles = np.bincount(number, values[chosen], n) / counts
        return found

    def percentiles(self, values: Doubles) -> Iterator[Doubles]:
        """Percentiles of every object, between the values next to them."""
        ordered = values[np.lexsort((values, self.number))]
        last = np.r_[self.starts[1:], len(values)] - self.starts - 1
        for percent in _PERCENTILES:
            at = last * percent / 100
            low = self.starts + np.floor(at).astype(int)
            high = self.starts + np.ceil(at).astype(int)
            part = at - np.floor(at)
            yield ordered[low] * (1 - part) + ordered[high] * part


def _intensities(
    pixels: _Pixels, plane: Doubles, channel: str
) -> Iterator[tuple[str, Array]]:
    """Brightness of objects in one channel, its profile, and texture."""
    from scipy import ndimage

    values = plane.ravel()[pixels.where]
    mean = pixels.mean(values)
    yield f"{channel} mean", mean
    apart = (values - mean[pixels.number]) ** 2
    yield f"{channel} spread", np.sqrt(pixels.mean(apart))
    found = zip(_PERCENTILES, pixels.percentiles(values), strict=True)
    for percent, value in found:
        yield f"{channel} percentile {percent}", value
    for ring in range(_RINGS):
        own = pixels.mean(values, pixels.ring == ring)
        yield f"{channel} ring {ring + 1}", _relative(own, mean)
    for scale in _SCALES:
        rest = plane - ndimage.gaussian_filter(plane, scale)
        rough = pixels.mean(rest.ravel()[pixels.where] ** 2)
        yield f"{channel} texture {scale:g} px", np.sqrt(_relative(rough, mean**2))


def _relative(found: Doubles, unit: Doubles) -> Doubles:
    """In a unit of every object's own; NaN where there is none."""
    with np.errstate(all="ignore"):
        share = found / unit
    return np.where(np.isfinite(share), share, np.nan)


def _depth(labels: Labels, spacing: tuple[float, ...]) -> Doubles:
    """Distance of every pixel to the border of its object."""
    from scipy import ndimage

    border = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        differs = np.diff(labels, axis=axis) != 0
        before = [(0, 1) if i == axis else (0, 0) for i in range(labels.ndim)]
        after = [(1, 0) if i == axis else (0, 0) for i in range(labels.ndim)]
        border |= np.pad(differs, before) | np.pad(differs, after)
    depth: Doubles = ndimage.distance_transform_edt(~border, sampling=spacing)
    return depth
