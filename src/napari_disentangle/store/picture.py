"""PNG and JPEG: single planes, with the provenance in their text fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_disentangle.infer import LazyImage

KEY = "napari-disentangle"


def read(path: Path) -> dict[str, Any]:
    """Arguments of a Field: data and axes."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            other = image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV")
            data = np.asarray(image.convert("RGB") if other else image)
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise DataError(
            f"{path.name!r} cannot be read as a picture ({error})"
        ) from error
    return {"data": data, "axes": "YXC" if data.ndim == 3 else "YX"}


def write(lazy: LazyImage, path: Path, metadata: Mapping[str, Any]) -> Iterator[int]:
    """Compute the plane in memory and write it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    jpeg = ".png" not in path.suffixes
    good = ["uint8"] if jpeg or lazy.ndim == 3 else ["uint8", "uint16"]
    if lazy.axes not in ("YX", "YXC") or lazy.dtype.name not in good:
        raise DataError(
            f"PNG and JPEG hold one plane of 8 bits (grey PNG 16), not {lazy.axes} "
            f"{lazy.dtype}: write OME-TIFF or OME-Zarr"
        )
    plane = np.empty(lazy.shape, lazy.dtype)
    yield from lazy.fill(plane)
    text = json.dumps(metadata, sort_keys=True)
    if jpeg:
        Image.fromarray(plane[..., :3] if plane.ndim == 3 else plane).save(
            path, format="JPEG", quality=95, subsampling=0, comment=text.encode()
        )
    else:
        info = PngInfo()
        info.add_text(KEY, text)
        Image.fromarray(plane).save(path, format="PNG", pnginfo=info)


def provenance(path: Path) -> dict[str, Any]:
    """What :func:`write` kept of the origin."""
    from PIL import Image

    with Image.open(path) as image:
        text = image.info.get(KEY, image.info.get("comment", b""))
    try:
        kept = json.loads(text)
    except (ValueError, UnicodeDecodeError):
        return {}  # a comment of somebody else
    return kept if isinstance(kept, dict) else {}
