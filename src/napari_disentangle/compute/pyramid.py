"""Levels of a pyramid: means of the full resolution."""

from collections.abc import Sequence

import numpy as np

from napari_disentangle.image.arrays import Array


def means(values: Array, shape: Sequence[int]) -> Array:
    """Means of the blocks of an array that fall on each element of a smaller one."""
    coarse = values
    for axis, (n, m) in enumerate(zip(values.shape, shape, strict=True)):
        starts = np.arange(m) * n // m
        # An axis that grew has empty blocks: they repeat the element they start at.
        counts = np.maximum(1, np.diff(starts, append=n)).astype(values.dtype)
        sums = np.add.reduceat(coarse, starts, axis)
        coarse = sums / np.expand_dims(counts, tuple(range(1, values.ndim - axis)))
    return coarse
