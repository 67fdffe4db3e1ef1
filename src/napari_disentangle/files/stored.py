"""Pixels of a TIFF, read by region where they are asked for, compressed or not.

Nothing stays open but the files that were read last, so that thousands can be at hand.
Strips reach over the whole width: what was unpacked of a row of tiles is kept for the
next tile.
"""

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np
from tifffile import TiffFile, TiffFileError

from napari_disentangle.files.damage import readable
from napari_disentangle.image.arrays import Array

# Files that stay open, and bytes of unpacked rows that are kept.
_OPEN, _UNPACKED = 16, 2**28


class OnDisk:
    """An array that is read where it is indexed, and whole by ``np.asarray``."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[(slice(None),) * self.ndim]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Array:
        given = key if isinstance(key, tuple) else (key,)
        if Ellipsis not in given:
            given = (*given, Ellipsis)
        at, rest = given.index(Ellipsis), self.ndim - len(given) + 1
        return self._part((*given[:at], *[slice(None)] * rest, *given[at + 1 :]))

    def _part(self, key: tuple[Any, ...]) -> Array:
        """A region by one number or slice per axis."""
        raise NotImplementedError


@dataclass(frozen=True)
class Stored(OnDisk):
    """One level of a series of a TIFF.

    Attributes
    ----------
    path
        The file.
    series, level
        Which of its images, and of its pyramid.
    axes
        Letters of tifffile, one per axis.
    shape, dtype
        Of the array.
    offset
        Where in the file the values lie one after the other; ``None`` if they are
        packed.
    byteorder
        ``"<"`` or ``">"``, of values that are not packed.
    """

    path: Path
    series: int
    level: int
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None = None
    byteorder: Literal["<", ">"] = "<"

    def _part(self, key: tuple[Any, ...]) -> Array:
        with readable(self.path, "TIFF", TiffFileError):
            return self._mapped(key) if self.offset else self._unpacked(key)

    def _mapped(self, key: tuple[Any, ...]) -> Array:
        """A region as it lies in the file."""
        kind = self.dtype.newbyteorder(self.byteorder)
        whole = np.memmap(self.path, kind, "r", self.offset or 0, self.shape)
        return np.array(whole[key], dtype=self.dtype)

    def _unpacked(self, key: tuple[Any, ...]) -> Array:
        """Whole chunks are unpacked, and kept where they are as wide as the image."""
        y, x = self.axes.index("Y"), self.axes.index("X")
        with _LOCK:
            array = _opened(self.path, self.series, self.level)
            if array.chunks[x] < self.shape[x]:
                return np.asarray(array[key])
            start, stop, step = key[y].indices(self.shape[y])
            rows, n = array.chunks[y], self.shape[y]
            band = slice(start // rows * rows, min(n, -(-stop // rows) * rows))
            wide = tuple({y: band, x: slice(None)}.get(i, k) for i, k in enumerate(key))
            known = kept(self, self.path, wide, partial(_read, array, wide))
        inner = {y: slice(start - band.start, stop - band.start, step), x: key[x]}
        part = [
            inner.get(i, slice(None)) for i, k in enumerate(key) if isinstance(k, slice)
        ]
        found: Array = known[tuple(part)]
        return found


def _read(array: Any, key: tuple[Any, ...]) -> Array:
    return np.asarray(array[key])


@dataclass(frozen=True, eq=False)
class Turned(OnDisk):
    """A stored array with its axes in another order, and with new axes of size 1.

    Attributes
    ----------
    array
        What is stored.
    places
        For every axis which one of the stored array it is; ``None`` for a new one.
    """

    array: Any
    places: tuple[int | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of all axes."""
        stored = self.array.shape
        return tuple(1 if place is None else stored[place] for place in self.places)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Of the values."""
        kind: np.dtype[Any] = np.dtype(self.array.dtype)
        return kind

    def _part(self, key: tuple[Any, ...]) -> Array:
        pairs = [*zip(key, self.places, strict=True)]
        known = {place: k for k, place in pairs if place is not None}
        part = np.asarray(self.array[tuple(known[i] for i in sorted(known))])
        kept = [(k, place) for k, place in pairs if isinstance(k, slice)]
        stored = sorted(place for _, place in kept if place is not None)
        order = [stored.index(place) for _, place in kept if place is not None]
        new = tuple(None if place is None else slice(None) for _, place in kept)
        ends = tuple(k if place is None else slice(None) for k, place in kept)
        turned: Array = part.transpose(order)[new][ends]
        return turned


@dataclass(frozen=True, eq=False)
class Plane(OnDisk):
    """One of what lies along an axis of a stored array; read when it is indexed.

    Attributes
    ----------
    array
        What is stored.
    axis, number
        Which axis, and which along it.
    """

    array: OnDisk
    axis: int
    number: int

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of the other axes."""
        whole = self.array.shape
        return (*whole[: self.axis], *whole[self.axis + 1 :])

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Of the values."""
        return self.array.dtype

    def _part(self, key: tuple[Any, ...]) -> Array:
        return self.array[(*key[: self.axis], self.number, *key[self.axis :])]


# --- what is kept ---------------------------------------------------------------------
_LOCK = RLock()
_FILES: OrderedDict[Hashable, tuple[Any, Any]] = OrderedDict()
_BANDS: OrderedDict[Hashable, Array] = OrderedDict()


def _opened(path: Path, series: int, level: int) -> Any:
    """The array of a level; the file that was not read for longest is closed."""
    import zarr

    key = (path, series, level, *_stamp(path))
    if key not in _FILES:
        while len(_FILES) >= _OPEN:
            _FILES.popitem(last=False)[1][0].close()
        file = TiffFile(path)
        _FILES[key] = file, zarr.open(file.series[series].aszarr(level=level), mode="r")
    _FILES.move_to_end(key)
    return _FILES[key][1]


def kept(
    stored: Hashable, path: Path, key: tuple[Any, ...], make: Callable[[], Array]
) -> Array:
    """What was unpacked of a file before, or is now."""
    name = (stored, _stamp(path), str(key))
    with _LOCK:
        if name not in _BANDS:
            _BANDS[name] = make()
            while len(_BANDS) > 1 and _total() > _UNPACKED:
                _BANDS.popitem(last=False)
        _BANDS.move_to_end(name)
        return _BANDS[name]


def forget() -> None:
    """Let go of all that was unpacked, and close files."""
    with _LOCK:
        _BANDS.clear()
        while _FILES:
            _FILES.popitem()[1][0].close()


def _total() -> int:
    return sum(band.nbytes for band in _BANDS.values())


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew."""
    known = os.stat(path)
    return known.st_mtime_ns, known.st_size
