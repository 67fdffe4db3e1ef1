"""Codes: what coders say of objects, as one matrix with names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.model.model import Model
from napari_disentangle.objects.coders.measured import measured
from napari_disentangle.objects.objects import Objects

Coder = Callable[[Objects, Model | None], Mapping[str, Array]]
_CODERS: dict[str, tuple[Coder, str]] = {
    "measured": (measured, "shape, brightness, profile and texture, to be read")
}
DEFAULT = "measured"


@dataclass(frozen=True, eq=False)
class Codes:
    """A row per object, in the order of its table.

    Attributes
    ----------
    values
        (n, L) float32, NaN where it cannot be said.
    names
        Of the columns.
    coder
        Which coder, of what: the image or the content of a model, by its hash.
    """

    values: Floats = field(repr=False)
    names: tuple[str, ...]
    coder: str

    @property
    def hash(self) -> str:
        """What tells these codes from others."""
        known = hashlib.sha256(f"{self.coder} {self.names}".encode())
        known.update(np.ascontiguousarray(self.values).tobytes())
        return known.hexdigest()[:16]

    def columns(self) -> dict[str, Floats]:
        """Columns by name (n,)."""
        return dict(zip(self.names, self.values.T, strict=True))


def coders() -> dict[str, str]:
    """All coders, and what they say of an object."""
    return {name: words for name, (_, words) in _CODERS.items()}


def code(objects: Objects, coder: str = DEFAULT, on: Model | None = None) -> Codes:
    """Say what is known of every object, in numbers.

    Parameters
    ----------
    objects
        Of images of the same channels.
    coder
        Name in :func:`coders`.
    on
        The model whose content-only image is looked at; ``None`` for the images as
        they are.

    Raises
    ------
    ValueError
        If there is no such coder.
    """
    if coder not in _CODERS:
        raise ValueError(f"coder {coder!r} is unknown: use one of {', '.join(_CODERS)}")
    columns = _CODERS[coder][0](objects, on)
    rows = [np.asarray(one, np.float32) for one in columns.values()]
    values = np.stack(rows, axis=1) if rows else np.empty((len(objects), 0), np.float32)
    said = coder if on is None else f"{coder} on {on.hash}"
    return Codes(values, tuple(columns), said)
