"""Levels of a pyramid, each half as large as the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_disentangle.compute.lazy import Record
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.tiling import Span, tiles

# What becomes of a block (..., h, w) in the next level.
Smaller = Callable[[Array], Array]


class Permuted:
    """Lets tiles be written to arrays whose axes come in another order.

    The arrays are levels of a pyramid; Y and X are the last axes.
    """

    def __init__(
        self, arrays: Sequence[Any], axes: str, order: str, smaller: Smaller
    ) -> None:
        self.arrays, self.smaller = arrays, smaller
        self.places = [axes.index(axis) for axis in order]

    def __setitem__(self, key: tuple[slice, ...], values: Array) -> None:
        *lead, y, x = (key[i] for i in self.places)
        values = values.transpose(self.places)
        for i, array in enumerate(self.arrays):
            if i:
                y, x = (slice(s.start // 2, -(-s.stop // 2)) for s in (y, x))
                values = self.smaller(values).astype(array.dtype)
            array[(*lead, y, x)] = values


def halving(
    levels: tuple[Any, Any], tile: int, record: Record, level: int, smaller: Smaller
) -> Iterator[int]:
    """Make a level of the one before; Y and X are the last axes."""
    source, target = levels
    *lead, h, w = target.shape
    whole = (Span(0, h), Span(0, w))
    for index in np.ndindex(*lead):
        for part in tiles(whole, (h, w), tile):
            name = f"half {level} {index} {part.inner[0].start} {part.inner[1].start}"
            if name not in record.done:
                y, x = (slice(2 * s.start, 2 * s.stop) for s in part.inner)
                block = np.asarray(source[(*index, y, x)])
                inner = (*index, *(s.slice for s in part.inner))
                target[inner] = smaller(block).astype(target.dtype)
                record.add(name)
            yield 0


def averaged(block: Array) -> Array:
    """Means (..., h / 2, w / 2) of 2 x 2 pixels, the last of an odd number doubled."""
    *lead, h, w = block.shape
    if h % 2 or w % 2:
        beyond = [(0, 0) for _ in lead]
        block = np.pad(block, [*beyond, (0, h % 2), (0, w % 2)], mode="edge")
    kind = np.float64 if block.dtype.itemsize > 2 else np.float32
    columns = np.add(block[..., ::2], block[..., 1::2], dtype=kind)
    mean: Array = np.add(columns[..., ::2, :], columns[..., 1::2, :])
    np.multiply(mean, 0.25, out=mean)
    return np.rint(mean, out=mean) if block.dtype.kind in "ui" else mean


def thinned(block: Array) -> Array:
    """Every second pixel (..., h / 2, w / 2): numbers of objects have no means."""
    return block[..., ::2, ::2]
