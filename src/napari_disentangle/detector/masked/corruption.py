"""Corrupted normal crops, to learn without labels what an anomaly does to a prediction.

Pieces of other crops (CutPaste, Li et al. 2021), other crops shown through smooth noise
(after Zavrtanik et al. 2021, DRAEM, with Gaussian instead of Perlin noise), what is out
of focus, and spots of another brightness. The mix and the sizes are OUR CHOICE.
"""

from collections.abc import Callable

import numpy as np

from napari_disentangle.image.arrays import Floats, Mask

Crop = Floats
Corruption = tuple[Crop, Floats]

# Sizes in pixels; a cell has about 14.
_RADII = (4.0, 12.0)
# Less change than this, in standard deviations of the signal, is none.
_VISIBLE = 0.25


def corrupt(crop: Crop, other: Crop, rng: np.random.Generator) -> tuple[Crop, Mask]:
    """A corrupted crop (C, h, w), and where it was changed (h, w).

    Crops are in standard deviations of normal signals; ``other`` is another normal one.
    """
    values, share = _KINDS[rng.integers(len(_KINDS))](crop, other, rng)
    changed = (crop + share * (values - crop)).astype(np.float32)
    return changed, (np.abs(changed - crop) > _VISIBLE).any(axis=0)


def _piece(crop: Crop, other: Crop, rng: np.random.Generator) -> Corruption:
    """A rectangle of another crop."""
    size = crop.shape[1:]
    edges = [min(int(rng.uniform(*_RADII) * 2), n // 2) for n in size]
    y, x = (int(rng.integers(n - e + 1)) for n, e in zip(size, edges, strict=True))
    share = np.zeros(size, np.float32)
    share[y : y + edges[0], x : x + edges[1]] = 1
    moves = tuple(int(rng.integers(n)) for n in size)
    return np.roll(other, moves, (1, 2)), share


def _clouds(crop: Crop, other: Crop, rng: np.random.Generator) -> Corruption:
    """Another crop in clouds."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.normal(size=crop.shape[1:]), rng.uniform(3, 8))
    share = (noise > np.quantile(noise, rng.uniform(0.8, 0.95))) * rng.uniform(0.3, 1)
    return other, share.astype(np.float32)


def _blur(crop: Crop, other: Crop, rng: np.random.Generator) -> Corruption:
    """A disc that is out of focus."""
    from scipy.ndimage import gaussian_filter

    sigma = rng.uniform(2, 5)
    return gaussian_filter(crop, (0, sigma, sigma)), _disc(crop, rng)


def _spot(crop: Crop, other: Crop, rng: np.random.Generator) -> Corruption:
    """A disc with more or less signal."""
    more = rng.choice([-1, 1]) * rng.uniform(1, 3, (len(crop), 1, 1))
    return (crop + more).astype(np.float32), _disc(crop, rng)


def _disc(crop: Crop, rng: np.random.Generator) -> Floats:
    """A disc with a soft edge somewhere (h, w)."""
    h, w = crop.shape[1:]
    y, x = np.mgrid[:h, :w]
    row, column = rng.uniform(0, (h, w))
    distance = np.hypot(y - row, x - column)
    inside = (rng.uniform(*_RADII) - distance) / 2 + 0.5
    share: Floats = np.clip(inside, 0, 1).astype(np.float32)
    return share


_KINDS: tuple[Callable[[Crop, Crop, np.random.Generator], Corruption], ...] = (
    _piece,
    _clouds,
    _blur,
    _spot,
)


# --- what is no anomaly ---------------------------------------------------------------
# Largest blur in pixels of the score, and largest noise in standard deviations of the
# signal; there is little noise more often than much.
_BLUR, _NOISE, _RARELY = 1.0, 0.5, 3


def photographed(crops: Floats, rng: np.random.Generator) -> Floats:
    """What a camera adds to normal crops: noise, and focus that is not quite right.

    Standardised crops (N, C, h, w), every other one blurred, all with noise. A
    predictor that is trained under them foresees the errors that they make, so that a
    new camera does not surprise it. The amounts are OUR CHOICE.
    """
    blurred = [_blurred(crop, rng) if i % 2 else crop for i, crop in enumerate(crops)]
    amounts = _NOISE * rng.uniform(size=(len(crops), 1, 1, 1)) ** _RARELY
    noise = rng.standard_normal(crops.shape, np.float32)
    noisy: Floats = np.stack(blurred) + amounts.astype(np.float32) * noise
    return noisy


def _blurred(crop: Floats, rng: np.random.Generator) -> Floats:
    from scipy.ndimage import gaussian_filter

    sigma = rng.uniform(0, _BLUR)
    blurred: Floats = gaussian_filter(crop, (0, sigma, sigma))
    return blurred
