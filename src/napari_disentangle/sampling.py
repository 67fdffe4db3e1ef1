"""Seeded samples of a Field: blocks of planes spread evenly over the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.tiling import Span, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_disentangle.axes import Lead
    from napari_disentangle.field import Field


@dataclass(frozen=True)
class Block:
    """One block of one plane."""

    lead: Lead
    y: Span
    x: Span


def blocks(
    field: Field,
    size: int = 128,
    limit: int = 64,
    seed: int = 0,
    leads: Sequence[Lead] | None = None,
) -> list[Block]:
    """Choose blocks of a Field.

    All blocks of a regular grid where they are no more than ``limit``; else one
    from each of ``limit`` equal strata of that grid, so that every part of the image
    and every plane has its share.

    Parameters
    ----------
    field
        The image.
    size
        Edge of a block in pixels; those at the border may be smaller.
    limit
        Largest number of blocks.
    seed
        Decides which block of a stratum is taken.
    leads
        Planes to choose from; all if ``None``.
    """
    planes = list(field.leads()) if leads is None else list(leads)
    h, w = field.plane_shape
    grid = [tile.inner for tile in tiles((Span(0, h), Span(0, w)), (h, w), size)]
    chosen = strata(len(planes) * len(grid), limit, seed)
    pairs = (divmod(int(i), len(grid)) for i in chosen)
    return [Block(planes[plane], *grid[place]) for plane, place in pairs]


def strata(total: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Numbers below ``total``: all, or one from each of ``limit`` equal strata."""
    if total <= limit:
        return np.arange(total, dtype=np.int64)
    edges = np.linspace(0, total, limit + 1)
    offsets = np.random.default_rng(seed).random(limit) * np.diff(edges)
    return np.floor(edges[:-1] + offsets).astype(np.int64)
