"""One grey plane of all channels of an image, in which objects are bright."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles, Floats
from napari_disentangle.image.foreground import COHERENT, coherence
from napari_disentangle.image.tiling import blocks
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects import closed

# Blocks that are read of an image, and their edge in pixels.
_BLOCKS, _EDGE = 32, 256
# Percentiles between which channels are alike.
_RANGE = (5.0, 99.5)
# Percentile of an image below which there is nothing but noise.
_LOWEST = 1.0


@dataclass(frozen=True)
class Grey:
    """How the signal of one image becomes one plane.

    Attributes
    ----------
    direction
        Weight of every channel (C,).
    low, high
        What becomes 0, the background, and 1.
    floor
        What is below is raised to it, so that padding is no step beside the image.
    """

    direction: tuple[float, ...]
    low: float
    high: float
    floor: float = -math.inf

    def of(self, signal: Array) -> Floats:
        """The plane (h, w) of a signal (C, h, w); background where it is no number."""
        if not self.high > self.low:
            return np.zeros(signal.shape[1:], np.float32)
        mixed = np.tensordot(np.array(self.direction), signal, 1)
        mixed = np.maximum(mixed, self.floor)  # what is no number stays that
        scaled = (mixed - self.low) / (self.high - self.low)
        return np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


def measuring(rendering: Rendering, seed: int = 0) -> Generator[None, None, Grey]:
    """Measure how an image becomes grey, from some of its blocks.

    The direction is that of the first principal component of the channels that show
    something, each brought to one range, with bright (or absorbing) objects up.

    Yields
    ------
    None
        After every block.

    Returns
    -------
    Grey
        With ``high`` not above ``low`` if nothing stands out of the image.
    """
    image, known, padded = rendering.field, [], False
    for block in blocks(image, _EDGE, _BLOCKS, seed):
        plane, signal = rendering.read(block.lead, block.y, block.x)
        valid = image.valid(plane, block.lead, block.y.slice, block.x.slice)
        values = signal.cpu().numpy()
        known.append(values[:, valid & np.isfinite(values).all(axis=0)])
        padded |= not valid.all()
        yield
    pixels = np.concatenate(known, axis=1).astype(np.float64)
    direction = _direction(pixels)
    mixed = direction @ pixels
    floor = float(np.percentile(mixed, _LOWEST)) if padded and mixed.size else -math.inf
    return Grey(tuple(map(float, direction)), *_range(mixed), floor)


def _direction(pixels: Doubles) -> Doubles:
    if len(pixels) == 1 or not pixels.size:
        return np.ones(len(pixels))
    low, high = np.percentile(pixels, _RANGE, axis=1)
    shows = np.array([
        high[i] > low[i] and _apart(one) for i, one in enumerate(pixels)
    ])  # fmt: skip
    used = shows if shows.any() else high > low
    unit = np.divide(1, high - low, out=np.zeros(len(pixels)), where=used)
    centred = (pixels - pixels.mean(axis=1)[:, None]) * unit[:, None]
    first = np.linalg.eigh(centred @ centred.T)[1][:, -1]
    return np.asarray(first * unit * (1 if (first * unit).sum() >= 0 else -1))


def _range(values: Doubles) -> tuple[float, float]:
    low, high = closed.limits(values)
    return (low, high) if high > low and _apart(values) else (low, low)


def _apart(values: Doubles) -> bool:
    """Whether what is bright lies together, as in noise it does not."""
    return bool(coherence(values > closed.otsu(values)) > COHERENT)
