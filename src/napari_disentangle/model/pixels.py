"""Affine maps of pixels, as fast as a processor reads: tables, or few rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.signal import (
    DARK,
    Space,
    float_type,
    from_signal,
    to_signal,
    use_up,
)
from napari_disentangle.model.base import Values, apply_affine

# Pixels that are computed at once, so that what is in between stays in the cache.
_AT_ONCE = 2**17
_LEVELS = 256
# Maps rows of all channels into targets.
Rows = Callable[[Sequence[Array], Sequence[Array | None]], None]


@dataclass(frozen=True, eq=False)
class PixelMap:
    """An affine map of the signal of pixels, ``matrix @ signal + offset``.

    Attributes
    ----------
    matrix, offset
        The map (C, C), (C,).
    space, full_scale
        What signal it is a map of; see :func:`~.to_signal`.
    """

    matrix: Values
    offset: Values
    space: Space
    full_scale: float

    def __call__(self, planes: Sequence[Array], out: Sequence[Array | None]) -> None:
        """Map the channels (h, w) of an image into arrays of the same type.

        Channels whose array is ``None`` are not computed.
        """
        height, width = planes[0].shape
        step = max(1, _AT_ONCE // max(1, width))
        compute: Rows = self._compute
        if planes[0].dtype == np.uint8 and self._tables is not None:
            compute = self._look_up
        elif (
            self.space == "intensity" and planes[0].dtype.kind in "ui" and self._finite
        ):
            compute = partial(self._multiply, self._room(planes, step))
        for first in range(0, height, step):
            rows = slice(first, first + step)
            targets = [None if one is None else one[rows] for one in out]
            compute([plane[rows] for plane in planes], targets)

    @cached_property
    def _tables(self) -> list[Floats] | None:
        """Factors (C, 65536) of two channels each, or (C, 256) of the last one.

        A power of ten of a sum of logarithms is a product of powers: the transmittance
        of channel i is the product over channels j of the transmittance of j to the
        power of ``matrix[i, j]``. ``None`` if there is no such product.
        """
        if self.space != "absorbance":
            return None
        light = (np.arange(_LEVELS) / self.full_scale + DARK) / (1 + DARK)
        white = (1 + DARK) * self.full_scale
        with np.errstate(over="ignore", invalid="ignore"):
            factors = np.asarray(light ** self.matrix[:, :, None])
            factors[:, 0] *= (white * 10.0**-self.offset)[:, None]
        most = np.finfo(np.float32).max ** (1 / len(factors))
        if not (factors < most).all():
            return None
        pairs = [factors[:, i : i + 2] for i in range(0, len(factors), 2)]
        return [_product(pair).astype(np.float32) for pair in pairs]

    def _look_up(self, rows: Sequence[Array], targets: Sequence[Array | None]) -> None:
        assert self._tables is not None
        places = [_places(rows[i : i + 2]) for i in range(0, len(rows), 2)]
        product, factor = np.empty((2, *rows[0].shape), np.float32)
        # what is cut off is rounded half up by the half that is added
        less = np.float32(DARK * self.full_scale - 0.5)
        for channel, target in enumerate(targets):
            if target is None:
                continue
            tables = [table[channel] for table in self._tables]
            np.take(tables[0], places[0], out=product, mode="clip")
            for table, place in zip(tables[1:], places[1:], strict=True):
                product *= np.take(table, place, out=factor, mode="clip")
            product -= less
            np.clip(product, 0, _LEVELS - 1, out=product)
            target[:] = product

    @property
    def _finite(self) -> bool:
        """Whether every pixel is mapped to a number."""
        return bool(np.isfinite([*self.matrix.ravel(), *self.offset]).all())

    def _room(self, planes: Sequence[Array], rows: int) -> Array:
        """Values and results of so many rows (2, C, N); fresh memory is slow."""
        pixels = min(rows, len(planes[0])) * planes[0].shape[1]
        return np.empty((2, len(planes), pixels), float_type(planes[0].dtype))

    def _multiply(
        self, room: Array, rows: Sequence[Array], targets: Sequence[Array | None]
    ) -> None:
        import torch

        values, moved = room[..., : rows[0].size]
        for channel, row in zip(values, rows, strict=True):
            channel.reshape(row.shape)[:] = row
        known = (self.matrix, self.offset)
        w, b = (torch.from_numpy(part.astype(room.dtype)) for part in known)
        results = torch.from_numpy(moved)
        torch.addmm(b[:, None], w, torch.from_numpy(values), out=results)
        limits = np.iinfo(rows[0].dtype)
        for shown, target in zip(moved, targets, strict=True):
            if target is not None:
                np.rint(shown, out=shown)
                np.clip(shown, limits.min, limits.max, out=shown)
                np.copyto(target, shown.reshape(target.shape), casting="unsafe")

    def _compute(self, rows: Sequence[Array], targets: Sequence[Array | None]) -> None:
        import torch

        values = np.empty((len(rows), *rows[0].shape), float_type(rows[0].dtype))
        for channel, row in zip(values, rows, strict=True):
            channel[:] = row
        signal = to_signal(torch.from_numpy(values), self.space, self.full_scale)
        moved = apply_affine(signal, self.matrix, self.offset)
        shown = from_signal(moved, self.space, self.full_scale).numpy()
        for channel, target in zip(shown, targets, strict=True):
            if target is not None:
                use_up(channel, target)


def _product(pair: Array) -> Array:
    """Factors (C, 65536) of two channels from those of each (C, 2, 256), or of one."""
    if pair.shape[1] == 1:
        return np.asarray(pair[:, 0])
    both = pair[:, 0, :, None] * pair[:, 1, None, :]
    return np.asarray(both.reshape(len(pair), -1))


def _places(rows: Sequence[Array]) -> Array:
    """Where in a table of two channels, or of one, the factors of pixels stand."""
    places = rows[0].astype(np.intp)
    for values in rows[1:]:
        places *= _LEVELS
        places += values
    return places
