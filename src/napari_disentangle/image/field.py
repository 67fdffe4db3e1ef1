"""Field: a frozen view of one image with named axes, read plane by plane."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from threading import Lock, RLock
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np

from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.image.arrays import Array, Mask
from napari_disentangle.image.axes import Lead, channels_first, check_axes, plane_key
from napari_disentangle.image.channels import RGBA
from napari_disentangle.image.from_layer import of_layer, of_layers
from napari_disentangle.image.units import is_size
from napari_disentangle.image.valid import valid

Modality = Literal["brightfield", "fluorescence"]

_KINDS = "uif"
# Values of the largest image: 16 TB of bytes.
_MOST = 2**44


@dataclass(frozen=True, eq=False)
class Field:
    """One image as the models see it; the data are only ever read.

    Parameters
    ----------
    data
        Array-like of real numbers (numpy, dask, zarr), or a list of such arrays,
        largest first, for a pyramid.
    axes
        One letter per axis of ``data``, e.g. ``"TCZYX"``; Y and X must be there.
        A last axis ``"C"`` of size 3 or 4 is colour (RGB or RGBA); in fluorescence
        its channels are plain ones, none is alpha unless it is named so.
    where
        Boolean array-like on the same grid without ``C``. It steers estimation
        and calibration, never rendering. Pixels that are no image count nowhere, see
        :meth:`valid`.
    scale, translate
        World size of a pixel and position of the first pixel for every axis, the
        colour axis excluded.
    units
        Unit names of the same axes.
    channel_names
        Names of the channels; models match channels by name.
    modality
        ``"brightfield"`` (absorbance) or ``"fluorescence"`` (intensity); colour
        images are brightfield unless told otherwise.
    full_scale
        Value of full transmittance; the largest value of the integer type, or 1.
    name, path
        What the image is called, and the file it came from.
    remarks
        What is odd about the file, in sentences.

    Raises
    ------
    AxesError
        If the axes do not fit the data.
    DataError
        If the data are empty or not real numbers.
    """

    data: Any = field(repr=False)
    axes: str
    where: Any = field(default=None, repr=False)
    scale: tuple[float, ...] = ()
    translate: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    # ``None`` is replaced by what is usual for such data, and never seen.
    modality: Modality = None  # type: ignore[assignment]
    full_scale: float = None  # type: ignore[assignment]
    name: str = "image"
    path: str | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_levels(self.name, self.levels)
        check_axes(self.axes, self.shape)
        _check_data(self.name, self.shape, self.dtype)
        n = len(self.grid_axes)
        self._default("scale", (1.0,) * n, n)
        self._default("translate", (0.0,) * n, n)
        self._default("units", ("pixel",) * n, n)
        self._default("modality", "brightfield" if self.rgb else "fluorescence")
        self._default("channel_names", self._channel_defaults(), self.n_channels)
        self._default("full_scale", _full_scale(self.dtype))
        self._check_values()
        object.__setattr__(self, "full_scale", float(self.full_scale))
        if self.where is not None and tuple(self.where.shape) != self.grid_shape:
            raise AxesError(
                f"the region has shape {tuple(self.where.shape)}, but {self.name!r} "
                f"needs {self.grid_shape} ({self.grid_axes.replace('C', '')})"
            )

    def _default(self, name: str, value: Any, length: int | None = None) -> None:
        given = getattr(self, name)
        if given is None or (isinstance(given, tuple) and not given):
            object.__setattr__(self, name, value)
        elif length is not None and len(given) != length:
            raise AxesError(
                f"{name} has {len(given)} entries, but {self.name!r} with axes "
                f"{self.axes} needs {length}"
            )

    def _check_values(self) -> None:
        if self.modality not in get_args(Modality):
            raise ValueError(
                f"modality {self.modality!r} is unknown: "
                f"use one of {get_args(Modality)}"
            )
        if not all(is_size(size) for size in self.scale):
            raise ValueError(
                f"scale {self.scale} of {self.name!r} must be world sizes of a pixel, "
                "e.g. 0.5"
            )
        if not 0 < self.full_scale < math.inf:
            raise ValueError(
                f"full_scale {self.full_scale} must be the value of full "
                "transmittance, e.g. 255"
            )
        if self.full_scale > _full_scale(self.dtype) and self.dtype.kind != "f":
            raise ValueError(
                f"full_scale {self.full_scale:g} of {self.name!r} is more than "
                f"{self.dtype.name} can hold ({_full_scale(self.dtype):g}): say that "
                "of this file"
            )
        if len(set(self.channel_names)) < len(self.channel_names):
            raise AxesError(
                f"the channel names {list(self.channel_names)} of {self.name!r} must "
                "differ: rename them"
            )

    def _channel_defaults(self) -> tuple[str, ...]:
        if self.rgb and self.modality == "brightfield":
            return RGBA[: self.n_channels]
        if "C" in self.axes:
            return tuple(str(i) for i in range(self.n_channels))
        return ("intensity",)

    # --- what it is -------------------------------------------------------------
    @property
    def levels(self) -> tuple[Any, ...]:
        """The arrays of the pyramid, largest first; one if there is none."""
        many = isinstance(self.data, (list, tuple))
        return tuple(self.data) if many else (self.data,)

    @property
    def multiscale(self) -> bool:
        """Whether the image came as a pyramid."""
        return isinstance(self.data, (list, tuple))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape at full resolution."""
        return tuple(int(n) for n in self.levels[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        kind: np.dtype[Any] = np.dtype(self.levels[0].dtype)
        return kind

    @property
    def rgb(self) -> bool:
        """Whether the last axis is colour."""
        return self.axes.endswith("C") and self.shape[-1] in (3, 4)

    @property
    def n_channels(self) -> int:
        """Number of channels, alpha included; 1 without a channel axis."""
        return self.shape[self.axes.index("C")] if "C" in self.axes else 1

    @property
    def grid_axes(self) -> str:
        """Axes that carry scale and units: all but colour."""
        return self.axes[:-1] if self.rgb else self.axes

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Shape without the channel axis."""
        pairs = zip(self.axes, self.shape, strict=True)
        return tuple(n for axis, n in pairs if axis != "C")

    @property
    def lead_axes(self) -> str:
        """Axes that number the planes: all but C, Y and X."""
        return "".join(axis for axis in self.axes if axis not in "CYX")

    @property
    def lead_shape(self) -> tuple[int, ...]:
        """Sizes of :attr:`lead_axes`."""
        return tuple(self.size(axis) for axis in self.lead_axes)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Size of one plane (Y, X)."""
        return self.size("Y"), self.size("X")

    def size(self, axis: str) -> int:
        """Length of a named axis."""
        return self.shape[self.axes.index(axis)]

    def leads(self) -> Iterator[Lead]:
        """Index of every plane, in C order."""
        return product(*(range(n) for n in self.lead_shape))

    def describe(self) -> str:
        """One phrase, e.g. ``"RGB brightfield, 512 x 512 (YX), uint8"``."""
        channels = f"{self.n_channels} channels " if self.n_channels > 1 else ""
        colour = self.rgb and self.modality == "brightfield"
        kind = "RGB " if colour else channels
        sizes = " x ".join(str(self.size(axis)) for axis in self.grid_axes)
        levels = f", {len(self.levels)} levels" if self.multiscale else ""
        return (
            f"{kind}{self.modality}, {sizes} ({self.grid_axes}), "
            f"{self.dtype.name}{levels}{self._pixel_size()}"
        )

    def _pixel_size(self) -> str:
        unit = self.units[self.grid_axes.index("X")]
        size = abs(self.scale[self.grid_axes.index("X")])
        shown = {"micrometer": "um", "micron": "um", "µm": "um"}.get(unit, unit)
        return "" if shown == "pixel" else f", {size:.4g} {shown}/px"

    # --- reading ----------------------------------------------------------------
    def plane(
        self,
        lead: Lead = (),
        y: slice = slice(None),
        x: slice = slice(None),
        level: int = 0,
    ) -> Array:
        """Read a region of one plane.

        Returns
        -------
        ndarray
            Channels first (C, h, w), in the image's own type.

        Raises
        ------
        DataError
            If the file behind the array is damaged or gone.
        """
        key = plane_key(self.axes, lead, y, x)
        try:
            with in_turn(self):
                region = np.asarray(self.levels[level][key])
        except (OSError, RuntimeError, SystemError, ValueError) as error:
            raise DataError(f"{self.name!r} cannot be read: {error}") from error
        return channels_first(region, self.axes)

    def mask(
        self, lead: Lead = (), y: slice = slice(None), x: slice = slice(None)
    ) -> Mask:
        """Read a region of ``where`` (h, w); all true if there is none."""
        if self.where is None:
            pairs = zip((y, x), self.plane_shape, strict=True)
            return np.ones([len(range(*s.indices(n))) for s, n in pairs], bool)
        key = plane_key(self.axes.replace("C", ""), lead, y, x)
        return np.asarray(self.where[key]).astype(bool)

    def valid(
        self, plane: Array, lead: Lead, y: slice, x: slice, level: int = 0
    ) -> Mask:
        """Which pixels of a region are image: no padding, transparency or NaN.

        Parameters
        ----------
        plane
            The region as it was read (C, h, w).
        lead
            Its plane at full resolution.
        y, x
            Where in the plane it is.
        level
            Of the pyramid.

        Returns
        -------
        ndarray
            (h, w).
        """
        return valid(self, plane, lead, y, x, level)

    # --- from napari layers -------------------------------------------------------
    @classmethod
    def from_layer(
        cls,
        layer: Any,
        axes: str | None = None,
        modality: Modality | None = None,
        where: Any = None,
        full_scale: float | None = None,
    ) -> Field:
        """Take a napari Image layer as it stands.

        Parameters
        ----------
        layer
            Anything with the attributes of a napari Image layer.
        axes
            Axes if the layer's own labels do not say; colour is added for RGB.
        modality, where, full_scale
            As for :class:`Field`.
        """
        given = {"modality": modality, "where": where, "full_scale": full_scale}
        return cls(**of_layer(layer, axes), **given)

    @classmethod
    def from_layers(
        cls,
        layers: Sequence[Any],
        axis: str = "C",
        axes: str | None = None,
        **reading: Any,
    ) -> Field:
        """Take layers that napari keeps apart as the channels of one image.

        What else there is to say of them is as in :meth:`from_layer`.

        Channel names are the layer names without what they have in common, so that
        "well A DNA", "well A actin" and "well B DNA", "well B actin" match.

        Raises
        ------
        DataError
            If the layers differ in shape, type or pyramid, or are colour images.
        """
        return cls(**of_layers(layers, axis, axes), **reading)


def _full_scale(dtype: np.dtype[Any]) -> float:
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def _check_levels(name: str, levels: Sequence[Any]) -> None:
    if not all(hasattr(a, "shape") and hasattr(a, "dtype") for a in levels):
        raise DataError(
            f"{name!r} is not an array nor a list of arrays: use np.asarray on it"
        )
    if not levels:
        raise DataError(f"{name!r} is empty (no array): choose another image")
    kinds = {(len(a.shape), np.dtype(a.dtype)) for a in levels}
    sizes = [math.prod(a.shape) for a in levels]
    if len(kinds) > 1 or sizes != sorted(sizes, reverse=True):
        raise DataError(
            f"the levels of {name!r} must be arrays of the same axes and type, "
            "largest first"
        )


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Refuse an image that claims more pixels than there can be.

    Raises
    ------
    DataError
        If there would be more than 2**44 values, or one is less than none.
    """
    if min(shape, default=0) < 0 or math.prod(shape) > _MOST:
        raise DataError(
            f"{name!r} claims {math.prod(shape):.1e} values {shape}: it is damaged, or "
            "no image"
        )


def _check_data(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if 0 in shape:
        raise DataError(f"{name!r} is empty (shape {shape}): choose another image")
    if dtype.kind not in _KINDS or (dtype.kind in "ui" and dtype.itemsize > 4):
        raise DataError(
            f"{name!r} holds {dtype} values: convert it to uint8, uint16 or float32"
        )


# Of every image its own, so that an image may be computed from another while it is
# read; kept apart from it, because images are sent to other processes.
_LOCKS: WeakKeyDictionary[object, Any] = WeakKeyDictionary()
_GUARD = Lock()


@contextmanager
def in_turn(image: object) -> Iterator[None]:
    """Wait until no other thread is inside with the same image."""
    with _GUARD:
        lock = _LOCKS.setdefault(image, RLock())
    with lock:
        yield
