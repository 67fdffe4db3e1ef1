"""Results too large for memory: computed into a file, and read where they are seen."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

import dask.array as da

from napari_disentangle.compute.lazy import TILE, LazyImage
from napari_disentangle.files.registry import read, write
from napari_disentangle.files.stored import Turned
from napari_disentangle.pipeline.follow import Step


def filed(lazy: LazyImage, doing: str) -> Generator[Step, None, list[Any]]:
    """Compute a result with its pyramid into a Zarr in the folder for temporary files.

    The file goes when nothing shows it any more, at the end of the program at last, and
    at once if this is cancelled.

    Parameters
    ----------
    lazy
        The result.
    doing
        What is done, in words.

    Returns
    -------
    list
        Levels with the axes of the result, largest first.

    Raises
    ------
    DataError
        If OME-Zarr has no such axes, or the disk is full.
    """
    folder = Path(mkdtemp(prefix="napari-disentangle-"))
    with ExitStack() as unless_done:
        unless_done.callback(rmtree, folder, ignore_errors=True)
        for done in write(lazy, folder / "result.ome.zarr"):
            yield Step(doing, done.parts / max(1, done.total))
        image = read(folder / "result.ome.zarr")
        unless_done.pop_all()
    places = tuple(image.axes.index(axis) for axis in lazy.axes)
    levels = [Turned(level, places) for level in image.levels]
    finalize(levels[0], rmtree, folder, ignore_errors=True)
    # by dask, so that a part of them, such as one channel, is not read either
    return [da.from_array(level, TILE, name=False) for level in levels]
