"""PNG and JPEG: single planes, with the provenance in their text fields."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import DataError
from napari_disentangle.files.damage import readable
from napari_disentangle.files.stored import OnDisk, kept
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.channels import RGBA

KEY = "napari-disentangle"
# Other modes of PIL, and the grey or colour that shows the same.
_SHOWN = {"1": "L", "LA": "L"} | dict.fromkeys(
    ("P", "CMYK", "YCbCr", "LAB", "HSV"), "RGB"
)
# How a camera was held, in the tag of EXIF; and where width and height change places.
_ORIENTATION, _SIDEWAYS = 274, range(5, 9)
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
BEGINNINGS = (_PNG, _JPEG)
# A JPEG comment has a length of two bytes.
_LONGEST = 65_000
# Stands for the number of an image in its file: open it, however large it is.
LARGE = -1
_LIMIT = RLock()


@dataclass(frozen=True)
class Picture(OnDisk):
    """A picture that is unpacked where it is read, upright as its camera was held.

    Attributes
    ----------
    path
        The file.
    shape, dtype
        Of the array.
    large
        Whether it is unpacked however large it is.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    large: bool = False

    def _part(self, key: tuple[Any, ...]) -> Array:
        part: Array = kept(self, self.path, (), self._whole)[key]
        return part

    def _whole(self) -> Array:
        with _opened(self.path, self.large) as image:
            return np.asarray(_shown(ImageOps.exif_transpose(image)))


def read(path: Path, number: int = 0) -> dict[str, Any]:
    """Arguments of a Field: data and axes; ``LARGE`` pictures only if that is said."""
    large = number == LARGE
    with _opened(path, large) as image:
        _check_depth(path)
        size, turned = image.size[::-1], image.getexif().get(_ORIENTATION, 1)
        size = size[::-1] if turned in _SIDEWAYS else size
        pixel = np.asarray(_shown(Image.new(image.mode, (1, 1))))
    data = Picture(path, (*size, *pixel.shape[2:]), pixel.dtype, large)
    if data.ndim == 2:
        return {"data": data, "axes": "YX"}
    return {"data": data, "axes": "YXC", "channel_names": RGBA[: data.shape[-1]]}


def _shown(image: Image.Image) -> Image.Image:
    """In grey or colours."""
    other = _SHOWN.get(image.mode)
    return image.convert(other) if other else image


def _check_depth(path: Path) -> None:
    """Of 16 bits PIL reads the upper 8 only, unless the picture is plain grey."""
    with path.open("rb") as file:
        head = file.read(26)
    depth, colour = head[24:]
    if head.startswith(_PNG) and depth == 16 and colour:
        raise DataError(
            f"{path.name!r}: 16-bit colour PNG is not read exactly: convert it to TIFF"
        )


@contextmanager
def _opened(path: Path, large: bool = False) -> Iterator[Image.Image]:
    try:
        with readable(path, "a picture"), _unchecked(large), Image.open(path) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path.name!r} says that it has more pixels than a picture should: add "
            f"#large to its name to open it all the same"
        ) from error


@contextmanager
def _unchecked(large: bool) -> Iterator[None]:
    """Let Pillow open pictures of any size."""
    if not large:
        yield
        return
    with _LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def write(
    lazy: LazyImage, levels: Sequence[Any], path: Path, metadata: Mapping[str, Any]
) -> None:
    """Write a computed plane (C, Y, X) or (Y, X)."""
    from PIL.PngImagePlugin import PngInfo

    text = json.dumps(metadata, sort_keys=True)
    plane = np.asarray(levels[0][...])
    plane = (
        np.ascontiguousarray(np.moveaxis(plane, 0, -1)) if plane.ndim == 3 else plane
    )
    if _is_jpeg(path):
        Image.fromarray(plane[..., :3] if plane.ndim == 3 else plane).save(
            path, format="JPEG", quality=95, subsampling=0, comment=text.encode()
        )
    else:
        info = PngInfo()
        info.add_text(KEY, text)
        Image.fromarray(plane).save(path, format="PNG", pnginfo=info)


def _is_jpeg(path: Path) -> bool:
    return not path.name.lower().endswith(".png")


def count(path: Path) -> int:
    """One: other images of a file are said to be left."""
    return 1


def check(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse what the format cannot hold."""
    jpeg, text = _is_jpeg(path), json.dumps(metadata, sort_keys=True)
    colour = lazy.field.rgb and lazy.field.channel_names[3:] in ((), ("alpha",))
    one_plane = lazy.axes == "YX" or (lazy.axes == "YXC" and colour)
    good = ["uint8"] if jpeg or lazy.ndim == 3 else ["uint8", "uint16"]
    if not one_plane or lazy.dtype.name not in good:
        raise DataError(
            f"PNG and JPEG hold one plane of 8 bits (grey PNG 16), not {lazy.axes} "
            f"{lazy.dtype}: write OME-TIFF or OME-Zarr"
        )
    if jpeg and len(text) > _LONGEST:
        raise DataError(
            "a JPEG has no room for all of the provenance: write OME-TIFF or OME-Zarr"
        )


def provenance(path: Path) -> dict[str, Any]:
    """What :func:`write` kept of the origin."""
    with _opened(path, large=True) as image:  # nothing is unpacked
        text = image.info.get(KEY, image.info.get("comment", b""))
    try:
        kept = json.loads(text)
    except ValueError:
        return {}  # a comment of somebody else
    return kept if isinstance(kept, dict) else {}
