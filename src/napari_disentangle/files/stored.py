"""Pixels of a TIFF, read by region where they are asked for, compressed or not.

Nothing stays open but the files that were read last, so that thousands can be at hand.
Strips reach over the whole width: what was unpacked of a row of tiles is kept for the
next tile.
"""

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[(slice(None),) * self.ndim]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: tuple[Any, ...]) -> Array:
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

    def __getitem__(self, key: tuple[Any, ...]) -> Array:
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


class Last(OnDisk):
    """A stored array whose samples come last, wherever they are in the file."""

    def __init__(self, stored: Stored) -> None:
        self._stored, self._place = stored, stored.axes.index("S")
        shape = list(stored.shape)
        shape.append(shape.pop(self._place))
        self.shape, self.dtype = tuple(shape), stored.dtype

    def __getitem__(self, key: tuple[Any, ...]) -> Array:
        *others, samples = key
        before = [isinstance(one, slice) for one in others[: self._place]]
        moved = (*others[: self._place], samples, *others[self._place :])
        return np.moveaxis(self._stored[moved], sum(before), -1)


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


def _total() -> int:
    return sum(band.nbytes for band in _BANDS.values())


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew."""
    known = os.stat(path)
    return known.st_mtime_ns, known.st_size
