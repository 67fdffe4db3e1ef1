"""Synthetic single cells whose every factor is known, and can be moved by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

EDGE, LEVELS = 32, 6
# What the lowest and the highest level of every factor mean: radius in pixels, ratio
# of axes, angle in radians, brightness of the middle over that of the rim, spots, gain,
# and level of the background.
_RANGES = {
    "size": (5.0, 9.0),
    "elongation": (1.0, 1.8),
    "angle": (0.0, 2 * np.pi * (1 - 1 / LEVELS)),
    "profile": (0.5, 2.0),
    "spots": (0.0, 5.0),
    "gain": (0.5, 1.5),
    "background": (0.0, 0.4),
}
FACTORS = tuple(_RANGES)
# Jitter inside a level, in levels; noise; how blunt one end is; spread of a spot.
_JITTER, _NOISE, _BLUNT, _SPOT = 0.25, 0.03, 0.35, 1.0


@dataclass(frozen=True)
class Cells:
    """Cells and the truth behind them.

    Attributes
    ----------
    pictures
        (n, 32, 32) float32, about 0 to 2.
    masks
        (n, 32, 32) bool.
    levels
        (n,) of every factor, 0 to 5.
    """

    pictures: NDArray[np.float32]
    masks: NDArray[np.bool_]
    levels: Mapping[str, NDArray[np.int64]]


def cells(
    n: int, seed: int, move: tuple[str, NDArray[np.int64]] | None = None
) -> Cells:
    """Draw cells of independent factors: one blunt end, a profile, spots, and noise.

    Parameters
    ----------
    n
        How many.
    seed
        Decides every random choice.
    move
        A factor and its levels (n,): the same cells with this one moved, and nothing
        else.
    """
    rng = np.random.default_rng(seed)
    levels = {name: rng.integers(0, LEVELS, n) for name in FACTORS}
    jitter = {name: rng.uniform(-_JITTER, _JITTER, n) for name in FACTORS}
    if move is not None:
        name, moved = move
        levels[name] = np.asarray(moved, np.int64)
    values = {name: _value(name, levels[name] + jitter[name]) for name in FACTORS}
    drawn = [_drawn({k: v[i] for k, v in values.items()}, seed, i) for i in range(n)]
    pictures, masks = (np.stack(one) for one in zip(*drawn, strict=True))
    return Cells(pictures, masks, levels)


def _value(name: str, level: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = _RANGES[name]
    return low + (high - low) * level / (LEVELS - 1)


def _drawn(
    one: Mapping[str, float], seed: int, number: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng((seed, number))
    y, x = np.indices((EDGE, EDGE)) - (EDGE - 1) / 2
    along = x * np.cos(one["angle"]) + y * np.sin(one["angle"])
    across = y * np.cos(one["angle"]) - x * np.sin(one["angle"])
    stretch = np.sqrt(max(one["elongation"], 1.0))
    blunt = 1 + _BLUNT * np.tanh(along / one["size"])
    depth = np.hypot(along / (one["size"] * stretch),
                     across * stretch / (one["size"] * blunt))  # fmt: skip
    mask = depth <= 1
    profile = one["profile"] + (1 - one["profile"]) * np.minimum(depth, 1)
    body = mask * (profile + _spots(mask, round(one["spots"]), rng))
    lit = one["background"] + one["gain"] * gaussian_filter(body, 0.6)
    noisy = lit + rng.normal(0, _NOISE, lit.shape)
    return noisy.astype(np.float32), mask


def _spots(
    mask: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Bright spots inside; where the first lies does not depend on how many."""
    inside = np.argwhere(mask)
    places = rng.random(LEVELS)[: max(0, count)]
    drawn = np.zeros(mask.shape)
    for y, x in inside[(places * len(inside)).astype(int)]:
        drawn[y, x] += 2 * np.pi * _SPOT**2
    found: NDArray[np.float64] = gaussian_filter(drawn, _SPOT)
    return found
