"""Results too large for memory: computed into a file that is seen while it fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np

from napari_disentangle.compute.lazy import LazyImage, Part
from napari_disentangle.errors import DataError
from napari_disentangle.files.halves import Permuted, averaged, thinned
from napari_disentangle.files.ome_zarr import create, order_of
from napari_disentangle.files.stored import Plane, Turned
from napari_disentangle.image.arrays import Array
from napari_disentangle.pipeline.follow import Step

# Another plane is farther than anything in the same plane.
_PLANE = 1e9


@dataclass
class Focus:
    """Where a person looks: what is near it is computed first.

    Written by the thread of the window, read by the one that computes.

    Attributes
    ----------
    place
        Pixel of every axis; the middle of an axis that is not named.
    wanted, filled
        Whether anybody still looks at the result, and whether all of it is computed.
    lock
        Held while its file is read or written: Windows allows one of them at a time.
    """

    place: Mapping[str, float] = field(default_factory=dict)
    wanted: bool = True
    filled: bool = False
    lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def nearest_first(self, lazy: LazyImage, parts: list[Part]) -> Iterator[Part]:
        """Parts of a result in the order of their distance, also while that changes."""
        leads = np.array([lead for lead, _ in parts], float)
        ends = [[(s.start, s.stop - 1) for s in tile.inner] for _, tile in parts]
        middles, left = np.mean(ends, axis=2), np.ones(len(parts), bool)
        whole = dict(zip(lazy.axes, lazy.shape, strict=True))
        while self.wanted and left.any():
            asked = self.place
            place = {axis: (n - 1) / 2 for axis, n in whole.items()} | {**asked}
            plane = [place[axis] for axis in lazy.field.lead_axes]
            far = np.abs(leads - plane).sum(axis=1) * _PLANE
            far += np.abs(middles - [place[axis] for axis in "YX"]).max(axis=1)
            for nearest in np.argsort(np.where(left, far, np.inf))[: left.sum()]:
                left[nearest] = False
                yield parts[nearest]
                if not self.wanted or self.place != asked:
                    break


@dataclass(frozen=True, eq=False)
class Level(Turned):
    """A level of a result that may not be filled yet."""

    focus: Focus

    def _part(self, key: tuple[Any, ...]) -> Array:
        with self.focus.lock:
            return super()._part(key)


def unfinished(data: Any) -> bool:
    """Whether the data of a layer are still being computed."""
    first = data[0] if isinstance(data, Sequence) else data
    level = first.array if isinstance(first, Plane) else first
    return isinstance(level, Level) and not level.focus.filled


def filed(
    lazy: LazyImage, doing: str, focus: Focus
) -> tuple[list[Level], Iterator[Step]]:
    """Begin a result with its pyramid as a Zarr in the folder for temporary files.

    The file goes when nothing shows it any more, at the end of the program at last.

    Parameters
    ----------
    lazy
        The result.
    doing
        What is done, in words.
    focus
        What is computed first.

    Returns
    -------
    levels : list
        Levels with the axes of the result, largest first; 0 where not computed yet.
    steps : iterator of Step
        Computes them; ends early if nobody looks at them any more.

    Raises
    ------
    DataError
        If the disk is full.
    """
    folder = Path(mkdtemp(prefix="napari-disentangle-"))
    levels: list[Level] = []
    try:
        arrays = create(lazy, folder / "result.ome.zarr", {})
        order = order_of(lazy)
        places = tuple(order.index(axis) for axis in lazy.axes)
        levels = [Level(array, places, focus) for array in arrays]
    except OSError as error:
        raise _unwritable(error) from error
    finally:
        if not levels:
            rmtree(folder, ignore_errors=True)
    finalize(levels[0], rmtree, folder, ignore_errors=True)
    return levels, _filling(lazy, levels, doing, focus)


@dataclass(frozen=True, eq=False)
class Locked:
    """Lets nobody read while something is written."""

    out: Permuted
    lock: Lock

    def __setitem__(self, key: tuple[slice, ...], values: Array) -> None:
        with self.lock:
            self.out[key] = values


def _filling(
    lazy: LazyImage, levels: list[Level], doing: str, focus: Focus
) -> Iterator[Step]:
    """Compute tile by tile, every level of a tile at once."""
    smaller = thinned if lazy.operation.numbers else averaged
    arrays = [level.array for level in levels]
    levelled = Permuted(arrays, lazy.axes, order_of(lazy), smaller)
    out, total = Locked(levelled, focus.lock), lazy.parts()
    parts = lazy.fill(out, order=lambda parts: focus.nearest_first(lazy, parts))
    yield Step(doing, 0.0)  # it can be seen from here on
    try:
        with closing(parts):
            for done in parts:
                yield Step(doing, done / max(1, total))
    except OSError as error:
        raise _unwritable(error) from error
    focus.filled = focus.wanted


def _unwritable(error: OSError) -> DataError:
    return DataError(
        f"the result is kept in a file for now, and that cannot be written "
        f"({error.strerror or error}): make room in the folder for temporary files, "
        "or write the result to a file of yours"
    )
