"""Valid pixels: which pixels of a plane are image, and which are padding or nothing.

Padding is what stitching, rotating and cutting leave around or between images: areas of
one value, black or white (zero or the largest value in fluorescence), whose edges are
straight. White background that is overexposed, or zeros below a threshold, have edges
like what they lie around; they are image. OUR CHOICE.

A pixel is judged by its value and by a map of its plane of at most 1 MPix, so that it
does not matter in which tile it is read.
"""

from dataclasses import dataclass
from itertools import product
from threading import Lock, RLock
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.arrays import Array, Mask, finite
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.padding import (
    BLOCK,
    NEAR,
    RINGING,
    frayed,
    like,
    straight_areas,
)

# Pixels of a map, and of the largest plane without a pyramid that is gone through.
_MAP, _READ = 2**20, 2**26
# Edge in pixels of what is read at once.
_TILE = 512
# Pixels beside padding that JPEG has mixed with it.
_BLURRED = 4
# Share of 3 x 3 pixels that stray ones fill at most, and how far dead and saturated
# ones are from their neighbours, as a share of the full scale.
_ALONE, _FAR = 5.5 / 9, (0.02, 0.1)


class Planes(Protocol):
    """What has to be known of an image: a part of :class:`~.Field`."""

    @property
    def axes(self) -> str:
        """One letter per axis."""

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels."""

    @property
    def full_scale(self) -> float:
        """Value of full transmittance."""

    @property
    def modality(self) -> str:
        """Kind of image."""

    @property
    def levels(self) -> tuple[Any, ...]:
        """The pyramid."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    @property
    def lead_axes(self) -> str:
        """Axes that number the planes."""

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Size of a plane."""

    def size(self, axis: str) -> int:
        """Length of an axis."""

    def plane(self, lead: Lead, y: slice, x: slice, level: int) -> Array:
        """A region of a plane."""


@dataclass(frozen=True, eq=False)
class Padding:
    """Where the padding of a plane is, about.

    Attributes
    ----------
    values
        Grey values of padding.
    near
        Maps (h, w), one per value: where pixels of that value are padding.
    shape
        Of the plane at full resolution (Y, X).
    off
        How many levels a pixel may be off a value.
    blurred
        Map (h, w) of pixels that JPEG has mixed with padding beside them.
    """

    values: tuple[float, ...]
    near: tuple[Mask, ...]
    shape: tuple[int, int]
    off: int
    blurred: Mask

    def of(self, plane: Array, y: NDArray[np.intp], x: NDArray[np.intp]) -> Mask:
        """Padding among pixels (C, h, w) at these rows and columns of the plane."""
        found = np.zeros(plane.shape[1:], bool)
        for value, near in zip(self.values, self.near, strict=True):
            found |= like(plane, value, self.off) & self.at(near, y, x)
        return found

    def at(self, near: Mask, y: NDArray[np.intp], x: NDArray[np.intp]) -> Mask:
        """A map at these rows and columns of the plane."""
        rows, columns = (
            np.rint(at * (m - 1) / max(n - 1, 1)).astype(int)
            for at, m, n in zip((y, x), near.shape, self.shape, strict=True)
        )
        return np.asarray(near[np.ix_(rows, columns)])


def valid(
    image: Planes, plane: Array, lead: Lead, y: slice, x: slice, level: int
) -> Mask:
    """Which pixels of a region are image; see :meth:`~.Field.valid`."""
    known = finite(plane)
    if "alpha" in image.channel_names and image.modality == "brightfield":
        known &= plane[image.channel_names.index("alpha")] > 0
    padded = _found(image, lead)
    if padded is None:
        return known
    rows, columns = (
        np.arange(*s.indices(m)) * n // m
        for s, m, n in zip(
            (y, x), _plane_shape(image, level), image.plane_shape, strict=True
        )
    )
    return np.asarray(known & ~padded.of(plane[colours(image)], rows, columns))


def as_background(image: Planes, plane: Array, known: Mask) -> Array:
    """Pixels (C, h, w) with empty slide for what is none; dark images stay dark."""
    if known.all() or image.modality != "brightfield":
        return plane
    return np.where(known, plane, np.asarray(image.full_scale, plane.dtype))


# Padding of the planes that were looked at; kept apart from images, which are sent to
# other processes.
_GUARD = Lock()
_PADDED: WeakKeyDictionary[Planes, tuple[Any, dict[Lead, Padding | None]]]
_PADDED = WeakKeyDictionary()


def _found(image: Planes, lead: Lead) -> Padding | None:
    """The padding of a plane, found when it is asked for first."""
    # A lock for each image: one may be computed from another while it is read.
    with _GUARD:
        lock, known = _PADDED.setdefault(image, (RLock(), {}))
    with lock:
        if lead not in known:
            known[lead] = padding(image, lead)
        return known[lead]


def padding(image: Planes, lead: Lead) -> Padding | None:
    """Find the padding of one plane; ``None`` if there is none."""
    plane = _sampled(image, lead)
    if plane is None or min(plane.shape[1:]) < BLOCK:
        return None
    # dark fluorescence is within a few levels of zero everywhere
    jpeg = image.modality == "brightfield" and plane.dtype == np.uint8
    off = NEAR if jpeg else 0
    values = _values(image)
    areas = [straight_areas(like(plane, value, off)) for value in values]
    if jpeg:
        step = max(image.plane_shape) / max(plane.shape[1:])
        more = [
            frayed(plane, value, area, step)
            for value, area in zip(values, areas, strict=True)
        ]
        if any(part.any() for part in more):
            off = RINGING
            areas = [one | other for one, other in zip(areas, more, strict=True)]
    pairs = zip(values, areas, strict=True)
    found = [(value, near) for value, near in pairs if near.any()]
    if not found:
        return None
    known, maps = zip(*found, strict=True)
    frayed_off = off == RINGING
    beside = round(_BLURRED * max(plane.shape[1:]) / max(image.plane_shape))
    pixels = np.any([like(plane, value, off) & near for value, near in found], axis=0)
    blurred = _wider(pixels, frayed_off * max(1, beside))
    return Padding(known, tuple(map(_wider, maps)), image.plane_shape, off, blurred)


def searched(image: Planes) -> bool:
    """Whether padding is looked for: not in vast planes without a pyramid."""
    sizes = [int(np.prod(_plane_shape(image, i))) for i in range(len(image.levels))]
    return min(sizes) <= _READ


def _values(image: Planes) -> tuple[float, ...]:
    """What padding looks like in such an image."""
    if image.modality == "brightfield":
        return 0.0, image.full_scale
    return (
        (0.0,) if image.dtype.kind == "f" else (0.0, float(np.iinfo(image.dtype).max))
    )


def _sampled(image: Planes, lead: Lead) -> Array | None:
    """A plane (C, h, w) without alpha in 1 MPix, with its last row and column."""
    sizes = [
        (int(np.prod(_plane_shape(image, i))), i) for i in range(len(image.levels))
    ]
    size, level = max(((n, i) for n, i in sizes if n <= _MAP), default=min(sizes))
    if not searched(image):
        return None
    lead, shape = _lead_at(image, lead, level), _plane_shape(image, level)
    step = max(1.0, (size / _MAP) ** 0.5)
    rows, columns = (
        np.rint(np.linspace(0, n - 1, max(1, int(n / step)))).astype(int) for n in shape
    )
    sampled = np.empty((len(colours(image)), len(rows), len(columns)), image.dtype)
    for corner in product(*(range(0, n, _TILE) for n in shape)):
        y, x = (
            slice(start, min(start + _TILE, n))
            for start, n in zip(corner, shape, strict=True)
        )
        here = _between(rows, y), _between(columns, x)
        plane = image.plane(lead, y, x, level)[colours(image)]
        lines = plane[:, rows[here[0]] - y.start]
        sampled[:, here[0], here[1]] = lines[:, :, columns[here[1]] - x.start]
    return sampled


def _between(places: NDArray[np.intp], span: slice) -> slice:
    """Which of rising places lie in a span."""
    first, last = np.searchsorted(places, (span.start, span.stop))
    return slice(int(first), int(last))


def _plane_shape(image: Planes, level: int) -> tuple[int, int]:
    sizes = dict(zip(image.axes, image.levels[level].shape, strict=True))
    return int(sizes["Y"]), int(sizes["X"])


def _lead_at(image: Planes, lead: Lead, level: int) -> Lead:
    """The plane of a level that shows a plane at full resolution."""
    sizes = dict(zip(image.axes, image.levels[level].shape, strict=True))
    return tuple(
        number * int(sizes[axis]) // image.size(axis)
        for number, axis in zip(lead, image.lead_axes, strict=True)
    )


def colours(image: Planes) -> list[int]:
    """Channels that are none of transparency."""
    return [i for i, name in enumerate(image.channel_names) if name != "alpha"]


def _wider(near: Mask, pixels: int = 1) -> Mask:
    """Some pixels more on all sides: an edge lies between two pixels of the map."""
    from scipy.ndimage import binary_dilation

    if not pixels:
        return near
    return np.asarray(binary_dilation(near, np.ones((3, 3), bool), pixels))


def blurred(image: Planes, lead: Lead, y: slice, x: slice) -> Mask:
    """Pixels (h, w) of a region that JPEG has mixed with the padding beside them."""
    rows, columns = (
        np.arange(*s.indices(n)) for s, n in zip((y, x), image.plane_shape, strict=True)
    )
    padded = _found(image, lead)
    if padded is None or padded.off < RINGING:
        return np.zeros((len(rows), len(columns)), bool)
    return padded.at(padded.blurred, rows, columns)


# --- single pixels --------------------------------------------------------------------
def stray(image: Planes, plane: Array) -> Mask:
    """Dead and saturated pixels (h, w) of a region, which say nothing about a look.

    They have the lowest or the highest value in all channels, hardly a neighbour has
    it too, and the others are far from it. OUR CHOICE.
    """
    from scipy.ndimage import uniform_filter

    found = np.zeros(plane.shape[1:], bool)
    pixels = plane[colours(image)]
    for value, least in zip(_values(image), _FAR, strict=False):
        same = (pixels == value).all(axis=0)
        if not same.any():
            continue
        share = uniform_filter(same.astype(np.float32), 3)
        others = np.where(same, 0, pixels).mean(axis=0, dtype=np.float32)
        near = uniform_filter(others, 3) / np.maximum(1 - share, 1e-3)
        far = np.abs(near - value) > least * image.full_scale
        found |= same & (share < _ALONE) & far
    return found
