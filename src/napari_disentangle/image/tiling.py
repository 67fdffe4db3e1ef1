"""Tile geometry of one plane: integers only, knows neither arrays nor models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field

# What is read with a halo begins and ends at multiples of this, or of another step, or
# at the border, so that a network with strides meets the same grid in every tile.
ALIGNED = 4

# A part of a region, along Y and X.
Part = tuple[slice, slice]


@dataclass(frozen=True)
class Span:
    """A half-open interval of one axis, in pixels."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """The interval as a slice."""
        return slice(self.start, self.stop)

    def grow(self, halo: int, size: int, step: int = ALIGNED) -> Span:
        """Widen by at least ``halo`` on both sides, cut off at the image border."""
        if not halo:
            return self
        start, stop = self.start - halo, self.stop + halo
        return Span(max(0, start - start % step), min(size, stop + -stop % step))


@dataclass(frozen=True)
class Tile:
    """One tile of a plane.

    ``outer`` is what is read, ``inner`` what is written, and ``local`` is where
    ``inner`` lies inside ``outer``::

        outer  |--------------------|
        inner      |------------|
        local  0...^            ^
    """

    inner: tuple[Span, Span]
    outer: tuple[Span, Span]

    @property
    def local(self) -> Part:
        """Slices that cut ``inner`` out of an array read from ``outer``."""
        y, x = (
            slice(i.start - o.start, i.stop - o.start)
            for i, o in zip(self.inner, self.outer, strict=True)
        )
        return y, x


def tiles(
    region: tuple[Span, Span],
    shape: tuple[int, int],
    size: int,
    halo: int = 0,
    step: int = ALIGNED,
) -> Iterator[Tile]:
    """Cover a region of a plane with tiles, row by row.

    Parameters
    ----------
    region
        What to cover, as spans of Y and X.
    shape
        Size of the whole plane (Y, X): outer tiles end at its border.
    size
        Edge of an inner tile; the last one of a row or column may be smaller.
    halo
        How far ``outer`` reaches beyond ``inner`` at least.
    step
        What ``outer`` begins and ends at multiples of, if there is a halo.

    Raises
    ------
    ValueError
        If ``size`` is below 1 or ``halo`` is negative.
    """
    if size < 1 or halo < 0:
        raise ValueError(f"tile size {size} must be >= 1 and halo {halo} >= 0")
    for inner in product(*(_cut(span, size) for span in region)):
        y, x = inner
        outer = (y.grow(halo, shape[0], step), x.grow(halo, shape[1], step))
        yield Tile((y, x), outer)


def _cut(span: Span, size: int) -> list[Span]:
    starts = range(span.start, span.stop, size)
    return [Span(start, min(start + size, span.stop)) for start in starts]


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
    rows, columns = (_cut(Span(0, n), size) for n in field.plane_shape)
    chosen = strata(len(planes) * len(rows) * len(columns), limit, seed)
    places = (divmod(int(i), len(columns)) for i in chosen)
    return [
        Block(planes[row // len(rows)], rows[row % len(rows)], columns[column])
        for row, column in places
    ]


def strata(total: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Numbers below ``total``: all, or one from each of ``limit`` equal strata."""
    if total <= limit:
        return np.arange(total, dtype=np.int64)
    edges = np.linspace(0, total, limit + 1)
    offsets = np.random.default_rng(seed).random(limit) * np.diff(edges)
    return np.floor(edges[:-1] + offsets).astype(np.int64)
