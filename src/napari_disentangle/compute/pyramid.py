"""Levels of a pyramid: which level a result is read from, and means of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.image.axes import Lead
    from napari_disentangle.image.tiling import Tile

    # Tiles of planes; ``None`` wherever it can be stopped before.
    Job = Generator[tuple[Lead, Tile, NDArray[Any]] | None, None, None]


def means(values: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Means of the blocks of an array that fall on each element of a smaller one."""
    coarse = values
    for axis, (n, m) in enumerate(zip(values.shape, shape, strict=True)):
        starts = np.arange(m) * n // m
        # An axis that grew has empty blocks: they repeat the element they start at.
        counts = np.maximum(1, np.diff(starts, append=n)).astype(values.dtype)
        sums = np.add.reduceat(coarse, starts, axis)
        coarse = sums / np.expand_dims(counts, tuple(range(1, values.ndim - axis)))
    return coarse
