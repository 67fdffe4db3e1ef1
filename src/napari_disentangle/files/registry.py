"""Reading and writing image files with their metadata: one module per format."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.files import microscope, ome_zarr, picture, tiff
from napari_disentangle.files.address import address
from napari_disentangle.files.place import place as put
from napari_disentangle.files.place import working
from napari_disentangle.files.reading import KEY, Reading, restored
from napari_disentangle.image.field import Field, Modality
from napari_disentangle.image.kind import proposed


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
    """How files with some endings are read and written.

    Attributes
    ----------
    read
        Arguments of a Field, from a file and the number of an image in it.
    count
        Number of images in a file.
    check
        Refuses before anything is computed what the format cannot hold.
    write
        Writes computed levels, which are an OME-Zarr image already, to a new file.
    provenance
        What was kept of the origin.
    """

    read: Callable[[Path, int], dict[str, Any]]
    count: Callable[[Path], int]
    check: Callable[[LazyImage, Path, Mapping[str, Any]], object]
    write: Callable[[LazyImage, Sequence[Any], Path, Mapping[str, Any]], None] | None
    provenance: Callable[[Path], dict[str, Any]]


_TIFF = Format(tiff.read, tiff.count, tiff.check, tiff.write, tiff.provenance)
_ZARR = Format(ome_zarr.read, ome_zarr.count, ome_zarr.check, None, ome_zarr.provenance)
_PICTURE = Format(
    picture.read, picture.count, picture.check, picture.write, picture.provenance
)
_MICROSCOPE = Format(
    microscope.read, microscope.count, microscope.check, None, microscope.provenance
)
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
        TIFF, PNG, JPEG or OME-Zarr (0.1 to 0.5), the last also at an address
        (``https://...``); with the extra ``bioio`` czi, lif and nd2. ``FILE#1`` is
        the second of several images in a file; ``FILE#large`` a picture of more
        pixels than Pillow opens by itself.
    axes, modality, full_scale, channel_names
        What the file does not say, or says wrongly; see :class:`Field`.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    place, number = _numbered(path)
    form = _recognised(place)
    found = restored(form.read(place, number), form.provenance(place))
    given = {
        "axes": axes,
        "modality": modality,
        "full_scale": full_scale,
        "channel_names": channel_names,
    }
    known = {key: value for key, value in given.items() if value is not None}
    names = {"name": _stem(place), "path": named(place, number)}
    try:
        field = Field(**(found | names | known))
        return field if "modality" in found | known else proposed(field)
    except (AxesError, ValueError) as error:
        if axes is None:
            raise DataError(f"{place.name!r} cannot be read: {error}") from error
        raise AxesError(f"{place.name!r}: {error}") from error


def count(path: str | Path) -> int:
    """Number of images in a file.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    place, _ = _numbered(path)
    return _recognised(place).count(place)


def write(
    lazy: LazyImage,
    path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[Done]:
    """Compute an array into one file, tile by tile.

    The file appears under its name when it is whole; until then it is made in a
    folder ``NAME.unfinished`` beside it. Closing the iterator leaves nothing behind;
    after an error or a crash, writing the same again goes on where it ended.

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
    kept = dict(lazy.provenance if metadata is None else metadata)
    kept[KEY] = Reading.of(lazy).model_dump(mode="json")
    form = _format(place)
    form.check(lazy, place, kept)
    try:
        yield from _writing(form, lazy, place, kept, overwrite)
    except OSError as error:
        raise DataError(
            f"{place.name!r} cannot be written ({error.strerror or error}): make "
            "room or choose another folder, and run again"
        ) from error


def _writing(
    form: Format, lazy: LazyImage, place: Path, kept: dict[str, Any], overwrite: bool
) -> Iterator[Done]:
    total = lazy.parts()
    with working(place, _key(lazy, kept), overwrite) as work:
        whole = work.folder / "image.ome.zarr"
        levels = ome_zarr.create(lazy, whole, kept)
        for parts in ome_zarr.fill(lazy, levels, work):
            yield Done(place, min(parts, total), total)
        if form.write is not None:
            whole = work.folder / place.name
            form.write(lazy, levels, whole, kept)
        put(whole, place, overwrite)


def _key(lazy: LazyImage, metadata: Mapping[str, Any]) -> str:
    """Tells a result from others; what does not say how it came about is like none."""
    if "attribute" not in metadata:
        return uuid4().hex
    stamp = None
    if lazy.field.path and not address(lazy.field.path):
        known = _numbered(lazy.field.path)[0].stat()
        stamp = (known.st_mtime_ns, known.st_size)
    said = [metadata, lazy.axes, lazy.shape, lazy.dtype.str, lazy.tile, stamp]
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Read the provenance that :func:`write` kept in a file; empty if there is none.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    place, _ = _numbered(path)
    kept = _recognised(place).provenance(place)
    return {name: value for name, value in kept.items() if name != KEY}


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


def suffix_like(path: str) -> str:
    """The ending for a result of a file; OME-TIFF for formats that are only read."""
    name = re.sub(r"#(\d+|large)$", "", path.lower())
    return next((one for one in FORMATS if name.endswith(one)), ".ome.tif")


def _numbered(path: str | Path) -> tuple[Path, int]:
    """A file that is there, and the number of an image in it."""
    if address(path):
        return _numbered_address(path)
    place = Path(path).absolute()
    if place.exists():
        return place, 0
    name, sign, number = str(place).rpartition("#")
    if sign and Path(name).exists():
        if number == "large":
            return Path(name), picture.LARGE
        if number.isdecimal():
            return Path(name), int(number)
    raise DataError(f"there is no file {str(path)!r}")


def _numbered_address(path: str | Path) -> tuple[Path, int]:
    name, sign, number = str(path).rstrip("/").rpartition("#")
    if sign and number.isdecimal():
        return Path(name), int(number)
    return Path(path), 0


def named(place: Path, number: int) -> str:
    """A file and the number of an image in it, as :func:`read` takes them."""
    name = address(place) or str(place)
    if number == picture.LARGE:
        return f"{name}#large"
    return f"{name}#{number}" if number else name


def _format(path: Path) -> Format:
    """That of the name; what is to be in a Zarr is one, and needs no ending."""
    within = not path.suffix and any(p.suffix == ".zarr" for p in path.parents)
    return _ZARR if within else FORMATS[suffix_of(path)]


def _recognised(path: Path) -> Format:
    """The format of a file that is there: what is in it tells, not its name.

    Raises
    ------
    DataError
        If it is of none.
    """
    if address(path):
        return _ZARR
    if path.is_dir():
        if any((path / name).exists() for name in ome_zarr.MARKS):
            return _ZARR
        raise DataError(
            f"{path.name!r} cannot be read: it is a folder, and no Zarr; name the "
            "files in it"
        )
    if not path.is_file():
        raise DataError(f"{path.name!r} cannot be read: it is no file")
    if path.name.lower().endswith(microscope.ENDINGS):
        return _MICROSCOPE
    with path.open("rb") as file:
        head = file.read(8)
    for form, beginnings in ((_TIFF, tiff.BEGINNINGS), (_PICTURE, picture.BEGINNINGS)):
        if head.startswith(beginnings):
            return form
    return _format(path)


def _stem(path: Path) -> str:
    """The name without what tells the format; of a Zarr inside another with both."""
    inside = [p for p in path.parents if p.suffix == ".zarr"]
    if inside:
        return "_".join([_stem(inside[-1]), *path.relative_to(inside[-1]).parts])
    known = (one for one in FORMATS if path.name.lower().endswith(one))
    return path.name[: -len(next(known, path.suffix)) or None]
