"""Tiles to learn from: foreground of images, balanced over them, some held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.field import Field
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.image.signal import natural_space, plane_to_signal
from napari_disentangle.image.tiling import Block, blocks

# Edges of tiles in pixels, the largest first that gives enough of them.
_EDGES = (128, 96, 64, 48, 32)
# Tiles of one look that are enough, and without which nothing can be learned.
_PLENTY, _FEWEST = 16, 4
# Most tiles that are kept of one image.
_MOST = 48
# A tile with less foreground than this share says nothing about a look.
_LEAST_FOREGROUND = 0.05
# Every so many-th tile is held out.
_HELD_OUT = 4


@dataclass(frozen=True, eq=False)
class Bank:
    """Tiles by look: signals (C, h, w), all of one size.

    Attributes
    ----------
    learn
        Tiles of every look.
    held_out
        Tiles of every look that are never learned from.
    """

    learn: Sequence[Sequence[Floats]]
    held_out: Sequence[Sequence[Floats]]

    @property
    def n_tiles(self) -> int:
        """Number of all tiles."""
        return sum(map(len, [*self.learn, *self.held_out]))


def gather(
    groups: Sequence[Sequence[Field]], seed: int, smallest: int = 0
) -> Iterator[Bank | None]:
    """Cut tiles from brightfield images; those of a group share a look.

    Parameters
    ----------
    groups
        Images by look.
    seed
        Decides where tiles lie and which are held out.
    smallest
        Edge in pixels below which a model cannot learn from a tile.

    Yields
    ------
    Bank or None
        ``None`` after every image that was read; the bank at last.

    Raises
    ------
    DataError
        If no group has enough foreground for two tiles to learn from and two to be
        held out.
    """
    edges = [edge for edge in _EDGES if edge >= smallest]
    for edge in edges:
        looks: list[list[Floats]] = []
        for group in groups:
            cut = []
            for image in group:
                cut += _tiles(image, edge, seed)
                yield None
            looks.append(cut)
        enough = [look for look in looks if len(look) >= _FEWEST]
        if (enough and sum(map(len, enough)) >= _PLENTY) or edge == edges[-1]:
            break
    if not enough:
        raise DataError(
            f"there are not {_FEWEST} tiles of {edges[-1]} x {edges[-1]} pixels with "
            "foreground in any image: choose larger images or more of them"
        )
    rng = np.random.default_rng(seed)
    mixed = [[look[i] for i in rng.permutation(len(look))] for look in enough]
    held_out = [max(2, len(look) // _HELD_OUT) for look in mixed]
    yield Bank(
        [look[n:] for look, n in zip(mixed, held_out, strict=True)],
        [look[:n] for look, n in zip(mixed, held_out, strict=True)],
    )


def _tiles(image: Field, edge: int, seed: int) -> list[Floats]:
    chosen = [c for c, n in enumerate(image.channel_names) if n != "alpha"]
    places = [
        block
        for block in blocks(image, edge, _MOST, seed)
        if (len(block.y), len(block.x)) == (edge, edge)
    ]
    planes = [_valid(image, block)[chosen] for block in places]
    if not planes:
        return []
    signals = [_signal(image, plane) for plane in planes]
    every = np.concatenate([s.reshape(len(s), -1) for s in signals], axis=1)
    foreground = find_foreground(every, image.modality)
    masks = (
        foreground.mask(plane) & image.mask(b.lead, b.y.slice, b.x.slice).ravel()
        for plane, b in zip(np.split(every, len(planes), axis=1), places, strict=True)
    )
    return [
        signal
        for signal, mask in zip(signals, masks, strict=True)
        if mask.mean() >= _LEAST_FOREGROUND and np.isfinite(signal).all()
    ]


def _valid(image: Field, block: Block) -> Array:
    """Pixels (C, h, w) of a block, NaN where they are no image."""
    y, x = block.y.slice, block.x.slice
    plane = image.plane(block.lead, y, x)
    valid = image.valid(plane, block.lead, y, x)
    return plane if valid.all() else np.where(valid, plane, np.nan)


def _signal(image: Field, plane: NDArray[np.generic]) -> Floats:
    space = natural_space(image.modality)
    single, scale = np.dtype(np.float32), image.full_scale
    return plane_to_signal(plane, space, scale, single).numpy()
