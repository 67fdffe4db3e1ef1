"""Random looks with uneven light, under which a student has to find the same mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_disentangle.image.arrays import Floats

# Spreads and largest values (OUR CHOICE): of the logarithm of a tone curve's exponent;
# of the logarithm of light from one end to the other; of haze, even and uneven; and of
# noise, as shares of the range.
_GAMMA, _LIGHT, _HAZE, _SLOPE, _NOISE = 0.25, 1.6, 0.3, 0.5, 0.12


@dataclass(frozen=True)
class Look:
    """A change of appearance of a grey plane whose background is 0 and objects 1.

    Attributes
    ----------
    gamma
        Exponent of the tone curve.
    light, haze
        Slopes along Y and X: of the logarithm of light, and of what is added.
    level, noise
        What is added everywhere, and the standard deviation of noise.
    """

    gamma: float
    light: tuple[float, float]
    haze: tuple[float, float]
    level: float
    noise: float

    def photograph(self, plane: Floats, rng: np.random.Generator) -> Floats:
        """A plane (h, w) under this look."""
        h, w = plane.shape
        y, x = np.linspace(-0.5, 0.5, h)[:, None], np.linspace(-0.5, 0.5, w)
        lit = np.clip(plane, 0, None) ** self.gamma
        lit = lit * np.exp(self.light[0] * y + self.light[1] * x)
        hazy = lit + self.level + self.haze[0] * y + self.haze[1] * x
        return (hazy + rng.normal(0, self.noise, plane.shape)).astype(np.float32)


def draw(rng: np.random.Generator) -> Look:
    """Draw a look."""
    return Look(
        float(np.exp(rng.normal(0, _GAMMA))),
        _slope(rng, rng.uniform(0, _LIGHT)),
        _slope(rng, rng.uniform(0, _SLOPE)),
        rng.uniform(0, _HAZE),
        rng.uniform(0, _NOISE),
    )


def _slope(rng: np.random.Generator, size: float) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(size * np.sin(angle)), float(size * np.cos(angle))
