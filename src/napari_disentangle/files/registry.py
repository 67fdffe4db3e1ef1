"""Reading and writing image files with their metadata: one module per format."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import DataError
from napari_disentangle.files import ome_zarr, picture, tiff
from napari_disentangle.image.field import Field, Modality


@dataclass(frozen=True)
class Done:
    """Progress of writing one file.

    Attributes
    ----------
    path
        File that is being written.
    parts, total
        Tiles done, and all tiles.
    """

    path: Path
    parts: int
    total: int


class Format(NamedTuple):
    """How files with some endings are read and written."""

    read: Callable[[Path], dict[str, Any]]
    write: Callable[[LazyImage, Path, Mapping[str, Any]], Iterator[int]]
    provenance: Callable[[Path], dict[str, Any]]


_TIFF = Format(tiff.read, tiff.write, tiff.provenance)
_ZARR = Format(ome_zarr.read, ome_zarr.write, ome_zarr.provenance)
_PICTURE = Format(picture.read, picture.write, picture.provenance)
FORMATS: dict[str, Format] = {
    ".ome.tif": _TIFF,
    ".ome.tiff": _TIFF,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".ome.zarr": _ZARR,
    ".zarr": _ZARR,
    ".png": _PICTURE,
    ".jpg": _PICTURE,
    ".jpeg": _PICTURE,
}


def read(
    path: str | Path,
    axes: str | None = None,
    modality: Modality | None = None,
    full_scale: float | None = None,
    channel_names: tuple[str, ...] | None = None,
) -> Field:
    """Open an image file as a Field.

    Parameters
    ----------
    path
        TIFF, PNG, JPEG or OME-Zarr (0.4 or 0.5).
    axes, modality, full_scale, channel_names
        What the file does not say, or says wrongly; see :class:`Field`.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    place = _existing(path)
    found = _format(place).read(place)
    given = {
        "axes": axes,
        "modality": modality,
        "full_scale": full_scale,
        "channel_names": channel_names,
    }
    known = {key: value for key, value in given.items() if value is not None}
    return Field(**(found | {"name": _stem(place), "path": str(place)} | known))


def write(
    lazy: LazyImage,
    path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[Done]:
    """Compute an array into one file, tile by tile.

    The file appears under its name when it is whole; until then it ends in
    ``.partial``. Closing the iterator before that leaves nothing behind.

    Parameters
    ----------
    lazy
        What :func:`napari_disentangle.apply` returns.
    path
        Ends in ``.ome.zarr``, ``.ome.tif``, ``.tif``, ``.png`` or ``.jpg``.
    metadata
        Provenance to be kept in the file; that of ``lazy`` if ``None``.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    DataError
        If the file exists, its folder does not, or the format cannot hold the image.
    """
    place = Path(path)
    if place.exists() and not overwrite:
        raise DataError(f"{place.name!r} exists already: choose another name")
    if not place.absolute().parent.is_dir():
        raise DataError(f"there is no folder {str(place.parent)!r}: create it first")
    kept = lazy.provenance if metadata is None else metadata
    partial = place.with_name(f"{place.name}.partial")
    _remove(partial)
    total = lazy.parts()
    try:
        for parts in _format(place).write(lazy, partial, kept):
            yield Done(place, min(parts, total), total)
        _remove(place)
        os.replace(partial, place)
    finally:
        _remove(partial)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Read the provenance that :func:`write` kept in a file; empty if there is none.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    place = _existing(path)
    return _format(place).provenance(place)


def suffix_of(path: Path) -> str:
    """The ending that decides the format, e.g. ``".ome.tif"``.

    Raises
    ------
    DataError
        If no format has that ending.
    """
    name = path.name.lower()
    for suffix in FORMATS:
        if name.endswith(suffix):
            return suffix
    raise DataError(f"{path.name!r} is of no known format: use {', '.join(FORMATS)}")


def _existing(path: str | Path) -> Path:
    place = Path(path).absolute()
    if not place.exists():
        raise DataError(f"there is no file {str(path)!r}")
    return place


def _format(path: Path) -> Format:
    return FORMATS[suffix_of(path)]


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path))]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
