"""Images at an address: read where they are, a chunk at a time."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_disentangle.files.damage import readable
from napari_disentangle.files.stored import OnDisk
from napari_disentangle.image.arrays import Array

# A path has lost one of the two slashes.
_ADDRESS = re.compile(r"(https?):[/\\]+(.+)")


def address(path: str | Path) -> str | None:
    """What a person gave as an address, also as a path; ``None`` if it is none."""
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return None
    rest = found[2].replace("\\", "/").rstrip("/")
    return f"{found[1]}://{rest}"


@contextmanager
def reached(path: Path) -> Iterator[None]:
    """Refuse a Zarr that cannot be read, there or over the network."""
    if address(path) is None:
        with readable(path, "an OME-Zarr image"):
            yield
        return
    from aiohttp import ClientError

    with readable(path, "an OME-Zarr image over the network", ClientError):
        yield


@dataclass(frozen=True, eq=False)
class Remote(OnDisk):
    """An array at an address: what goes wrong on the way is one sentence.

    Attributes
    ----------
    path
        The address, as a path.
    array
        What is read.
    """

    path: Path
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Of the array."""
        kind: np.dtype[Any] = np.dtype(self.array.dtype)
        return kind

    def _part(self, key: tuple[Any, ...]) -> Array:
        with reached(self.path):
            return np.asarray(self.array[key])
