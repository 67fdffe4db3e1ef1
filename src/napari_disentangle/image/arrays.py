"""Short names for the arrays that most functions take and give."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


def finite(pixels: Array) -> Mask:
    """Which pixels (...) of channels (C, ...) are numbers, in all channels."""
    known = np.ones(pixels.shape[1:], bool)
    if pixels.dtype.kind == "f":
        for channel in pixels:
            known &= np.isfinite(channel)
    return known


def varies(pixels: Array) -> bool:
    """Whether any channel of pixels (C, N) has two values; faster than its range."""
    return any(bool((channel != channel[0]).any()) for channel in pixels)


def chosen(pixels: Array, mask: Mask) -> Array:
    """Pixels (C, N) of channels (C, ...) where a mask (...) is true."""
    flat = pixels.reshape(len(pixels), -1)
    # four times as fast as indexing with a mask
    return flat if mask.all() else flat.compress(mask.ravel(), axis=1)
