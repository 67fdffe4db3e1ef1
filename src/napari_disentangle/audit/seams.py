"""Whether tiles show in an image that was computed tile by tile."""

import math

import numpy as np
from numpy.typing import ArrayLike

from napari_disentangle.audit.checks import channels_first, same_shape
from napari_disentangle.image.arrays import Doubles


def seam_score(
    image: ArrayLike, tile: int | tuple[int, int], source: ArrayLike | None = None
) -> float:
    """Mean absolute jump across the borders of tiles, divided by that inside them.

    Y and X count the same, as far as there are borders along them. What an image shows
    moves its score by a tenth and more, and the blocks of a JPEG file lift it to 1.7
    where they meet the tiles, so give the image that it was made of as well.

    Parameters
    ----------
    image
        Pixels (C, Y, X).
    tile
        Side of the tiles, or sides (Y, X), from the first pixel on, in pixels; at
        least 2.
    source
        Image of the same shape before it was computed; its own score is divided out.

    Returns
    -------
    float
        1 without seams, and in a flat image; infinite if only the tiles are flat.

    Raises
    ------
    ValueError
        If a tile is smaller than 2 pixels or the image not larger than one tile, or
        the shapes differ.
    """
    values = channels_first(image)
    sides = (tile, tile) if isinstance(tile, int) else tile
    _require_borders(values.shape, sides)
    if source is None:
        return _score(values, sides)
    _, before = same_shape(image, source)
    return _ratio(_score(values, sides), _score(before, sides))


def _require_borders(shape: tuple[int, ...], sides: tuple[int, int]) -> None:
    if min(sides) < 2:
        raise ValueError(f"tile {sides} has no inside: give at least 2 pixels")
    if sides[0] >= shape[1] and sides[1] >= shape[2]:
        raise ValueError(
            f"tile {sides} leaves no border in {shape[1:]}: give the smaller tile that "
            "the image was made with"
        )


def _score(image: Doubles, sides: tuple[int, int]) -> float:
    crossed = [axis for axis in (1, 2) if sides[axis - 1] < image.shape[axis]]
    jumps = [_jumps(image, axis, sides[axis - 1]) for axis in crossed]
    border, inside = np.sum(jumps, axis=0)
    return _ratio(float(border), float(inside))


def _jumps(image: Doubles, axis: int, side: int) -> tuple[np.floating, np.floating]:
    """Mean absolute differences of neighbours along an axis: at borders, and inside."""
    jumps = np.abs(np.diff(image, axis=axis)).mean(axis=(0, 3 - axis))
    border = np.arange(1, image.shape[axis]) % side == 0
    return jumps[border].mean(), jumps[~border].mean()


def _ratio(one: float, other: float) -> float:
    """Quotient; 1 if both are the same, even 0 or infinite."""
    if one == other:
        return 1.0
    return one / other if other > 0 else math.inf
