"""Random looks: known changes of appearance that a swap has to reproduce.

A look is drawn once and then put on any image. ``hed`` and ``camera`` are two unlike
families for brightfield, (Y, X, 3) uint8; ``fluorescence`` works on (C, Y, X) float32
whose channels reach about 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.color import rgb_from_hed

Array = NDArray[Any]


@dataclass(frozen=True)
class Look:
    """A change of appearance.

    Attributes
    ----------
    change
        What it does to an image; the same image gives the same result.
    noise
        Standard deviation of camera noise, in units of the image.
    """

    change: Callable[[Array], Array]
    noise: float = 0.0

    def photograph(self, image: Array, rng: np.random.Generator) -> Array:
        """The image under this look, with camera noise."""
        changed = self.change(image)
        noisy = changed + rng.normal(0, self.noise, changed.shape)
        return as_type(noisy, image.dtype)


Generator = Callable[[np.random.Generator, int], Look]


def hed(rng: np.random.Generator, channels: int = 3) -> Look:
    """Stain amounts exp(N(0, 0.35)), stain vectors + N(0, 0.08), offset 0 to 0.06 OD.

    In the three stains haematoxylin, eosin and DAB of Ruifrok and Johnston 2001.
    """
    amounts = np.exp(rng.normal(0, 0.35, channels))
    stains = rgb_from_hed + rng.normal(0, 0.08, (channels, channels))
    mix = np.linalg.inv(rgb_from_hed) @ (amounts[:, None] * stains)
    offset = rng.uniform(0, 0.06, channels)

    def change(image: Array) -> Array:
        absorbance = -np.log10((image + 1.0) / 256)
        return as_type(256 * 10 ** -(absorbance @ mix + offset) - 1, image.dtype)

    return Look(change)


def camera(rng: np.random.Generator, channels: int = 3) -> Look:
    """Colour matrix, white balance, exposure, gamma, blur and noise of a camera."""
    matrix = np.eye(channels) + rng.normal(0, 0.05, (channels, channels))
    matrix /= matrix.sum(axis=0)
    balance = rng.uniform(0.75, 1.0) * np.exp(rng.normal(0, 0.05, channels))
    gamma = np.exp(rng.normal(0, 0.2))
    blur = rng.uniform(0, 1)

    def change(image: Array) -> Array:
        light = np.clip(image / 255 @ matrix * balance, 0, 1) ** gamma
        return as_type(255 * gaussian_filter(light, (blur, blur, 0)), image.dtype)

    return Look(change, noise=rng.uniform(0, 4))


def composed(rng: np.random.Generator, channels: int = 3) -> Look:
    """Another stain before another camera."""
    stain, shot = hed(rng, channels), camera(rng, channels)
    return Look(lambda image: shot.change(stain.change(image)), shot.noise)


def fluorescence(rng: np.random.Generator, channels: int) -> Look:
    """Gain, offset, gamma, uneven background, bleed-through and noise."""
    gain = np.exp(rng.normal(0, 0.4, (channels, 1, 1)))
    offset = rng.uniform(0, 0.1, (channels, 1, 1))
    gamma = np.exp(rng.normal(0, 0.1, (channels, 1, 1)))
    bleed = np.eye(channels) + rng.uniform(0, 0.1, (channels, channels))
    slope = rng.uniform(-0.03, 0.03, (2, channels, 1, 1))

    def change(image: Array) -> Array:
        mixed = np.tensordot(bleed, np.clip(image, 0, None), 1)
        y, x = (np.linspace(-0.5, 0.5, n) for n in image.shape[1:])
        background = offset + slope[0] * y[:, None] + slope[1] * x
        return as_type(gain * mixed**gamma + background, image.dtype)

    return Look(change, noise=rng.uniform(0, 0.01))


def as_type(image: Array, dtype: np.dtype[Any]) -> Array:
    """Round and clip to 8 bits where the image has them."""
    if dtype == np.uint8:
        return np.clip(np.rint(image), 0, 255).astype(dtype)
    return image.astype(dtype)
