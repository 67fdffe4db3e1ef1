"""Files of microscopes (czi, lif, nd2), by readers of bioio where they are there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import DataError
from napari_disentangle.files.damage import readable
from napari_disentangle.image.field import check_size
from napari_disentangle.image.units import is_size

ENDINGS = (".czi", ".lif", ".nd2")
_ORDER = "TCZYX"
_LISTED = 5
_INSTALL = "pip install 'napari-disentangle[bioio]'"


def read(path: Path, number: int = 0) -> dict[str, Any]:
    """Arguments of a Field: a lazy array, axes, scale, units, channel names.

    Raises
    ------
    DataError
        If the readers are not installed, or the file cannot be read.
    """
    with readable(path, f"{path.suffix[1:]} file"):
        image = _opened(path)
        scenes = [str(name) for name in image.scenes]
        if number >= len(scenes):
            raise DataError(
                f"{path.name!r} holds {len(scenes)} images, numbered from 0: there is "
                f"no number {number}"
            )
        image.set_scene(number)
        colour = "S" in image.dims.order
        order = _ORDER + "S" * colour
        data = image.get_image_dask_data(order)
        check_size(path.name, data.shape)
        kept = [a for a, n in zip(order, data.shape, strict=True) if n > 1 or a in "YX"]
        kept = [axis for axis in kept if not (colour and axis == "C")]
        place = tuple(slice(None) if axis in kept else 0 for axis in order)
        sizes = dict(zip("ZYX", image.physical_pixel_sizes, strict=True))
        names = [str(name) for name in image.channel_names or ()]
    grid = [axis for axis in kept if axis != "S"]
    known = {axis: float(n) for axis, n in sizes.items() if n and is_size(n)}
    found: dict[str, Any] = {
        "data": data[place],
        "axes": "".join(kept).replace("S", "C"),
        "scale": tuple(known.get(axis, 1.0) for axis in grid),
        "units": tuple("micrometer" if axis in known else "pixel" for axis in grid),
        "remarks": _others(scenes, number),
    }
    if "C" in grid and len(set(names)) == len(names):
        found["channel_names"] = tuple(names)
    return found


def count(path: Path) -> int:
    """Number of images in a file."""
    with readable(path, f"{path.suffix[1:]} file"):
        return len(_opened(path).scenes)


def check(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse: such files are not written."""
    raise DataError(f"{path.name!r} cannot be written: choose .ome.zarr or .ome.tif")


def provenance(path: Path) -> dict[str, Any]:
    """Nothing: such files are not written."""
    return {}


def _opened(path: Path) -> Any:
    try:
        from bioio import BioImage
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ImportError as error:
        raise DataError(
            f"{path.name!r} needs a reader that is not installed: {_INSTALL}"
        ) from error
    try:
        return BioImage(path)
    except UnsupportedFileFormatError as error:
        raise DataError(
            f"{path.name!r} is damaged, or its reader is not installed: {_INSTALL}"
        ) from error


def _others(scenes: list[str], number: int) -> tuple[str, ...]:
    """That a file holds several images."""
    if len(scenes) < 2:
        return ()
    listed = ", ".join(scenes[:_LISTED]) + ", ..." * (len(scenes) > _LISTED)
    return (
        f"the file holds {len(scenes)} images ({listed}), and this is "
        f"{scenes[number]!r}: add # and a number to its name for another",
    )
