"""Synthetic brightfield tissue with known content, known look and planted anomalies.

Light passes stains of known amounts, so the truth behind every picture is exact:
x = 255 * 10 ** -(white + sum over the stains of amount * stain * concentration).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

Rgb = tuple[float, float, float]

# Pixels: distance between neighbouring nuclei, and radius of a planted anomaly.
SPACING = 20.0
ANOMALY_RADIUS = 13.0


@dataclass(frozen=True)
class Look:
    """Everything about a picture that is not its content.

    Attributes
    ----------
    stains
        (2, 3) absorbance of red, green and blue per unit of each stain.
    amounts
        (2,) strength of each stain, 0 for none.
    white
        (3,) absorbance of the empty slide, 0 for pure white.
    """

    stains: tuple[Rgb, Rgb]
    amounts: tuple[float, float]
    white: Rgb


@dataclass(frozen=True)
class Pair:
    """Two pictures of the same kind of tissue in two looks, and the truth behind them.

    Attributes
    ----------
    first, second
        (Y, X, 3) uint8 pictures.
    content_first, content_second
        (2, Y, X) float32 concentrations behind them.
    look_first, look_second
        The looks they were made with.
    anomalies
        (Y, X) int32 labels of the odd objects in `first`: 0 is none, then 1, 2, ...
    """

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    content_first: NDArray[np.float32]
    content_second: NDArray[np.float32]
    look_first: Look
    look_second: Look
    anomalies: NDArray[np.int32]


VIOLET = Look(
    stains=((0.65, 0.70, 0.29), (0.27, 0.85, 0.44)),
    amounts=(1.0, 0.22),
    white=(0.03, 0.04, 0.02),
)
ROSE = Look(
    stains=((0.55, 0.78, 0.31), (0.05, 0.93, 0.36)),
    amounts=(0.75, 0.32),
    white=(0.02, 0.06, 0.09),
)


def tissue(seed: int, size: int = 256) -> NDArray[np.float32]:
    """Draw nuclei of stain 1 on textured fibres of stain 2, with empty slide between.

    Parameters
    ----------
    seed
        Same seed and size, same tissue.
    size
        Height and width in pixels, at least 64.

    Returns
    -------
    NDArray[np.float32]
        (2, Y, X) concentrations, 0 (empty slide) to about 2.
    """
    rng = np.random.default_rng(seed)
    present = _soft(_noise(rng, size, 28) + 0.7, 4)
    inside, strength = _nuclei(rng, size)
    chromatin = np.clip(1 + 0.25 * _noise(rng, size, 1.2), 0.2, 2)
    fibres = np.clip(0.75 + 0.25 * _noise(rng, size, (1, 4)), 0.1, 2)
    nuclear = present * (0.04 + inside * strength * chromatin)
    matrix = present * fibres * (1 - 0.6 * inside)
    return np.stack([nuclear, matrix]).astype(np.float32)


def render(
    content: NDArray[np.float32], look: Look, noise: float = 0.0, seed: int = 0
) -> NDArray[np.uint8]:
    """Photograph a content in a look.

    Parameters
    ----------
    content
        (2, Y, X) concentrations.
    look
        Stains, their amounts and the white of the slide.
    noise
        Standard deviation of Gaussian camera noise, in grey values.
    seed
        Seed of the noise.

    Returns
    -------
    NDArray[np.uint8]
        (Y, X, 3) picture, 0 to 255.
    """
    strength = np.array(look.amounts)[:, None] * np.array(look.stains)
    absorbance = np.array(look.white) + np.moveaxis(content, 0, -1) @ strength
    x = 255 * 10**-absorbance
    if noise > 0:
        x = x + np.random.default_rng(seed).normal(0, noise, x.shape)
    picture: NDArray[np.uint8] = np.clip(np.rint(x), 0, 255).astype(np.uint8)
    return picture


def plant(
    content: NDArray[np.float32], seed: int, n: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Replace discs of tissue by ringed or striped objects of the same stain.

    Each object holds as much of stain 1 as the disc it replaces, and stain 2 stays
    as it is, so only the arrangement is odd: no mean colour gives an object away.

    Parameters
    ----------
    content
        (2, Y, X) concentrations, left unchanged.
    seed
        Seed of the places.
    n
        Number of objects.

    Returns
    -------
    content : NDArray[np.float32]
        (2, Y, X) concentrations with the objects.
    labels : NDArray[np.int32]
        (Y, X), 0 outside, 1 to `n` in the objects.

    Raises
    ------
    ValueError
        If the tissue has no room for `n` objects that do not touch.
    """
    rng = np.random.default_rng(seed)
    planted = content.copy()
    labels = np.zeros(content.shape[1:], np.int32)
    for label, centre in enumerate(_places(content[0], n, rng), start=1):
        offset = _grid(labels.shape) - centre[:, None, None]
        radius = np.hypot(*offset)
        disc = radius < ANOMALY_RADIUS
        along = radius if label % 2 else offset.sum(0) / np.sqrt(2)
        pattern = 1 + 0.95 * np.cos(along * 2 * np.pi / 6.5)[disc]
        planted[0][disc] = pattern * content[0][disc].mean() / pattern.mean()
        labels[disc] = label
    return planted, labels


def pair(seed: int = 0, size: int = 256, noise: float = 2.0) -> Pair:
    """Make two pictures of unlike tissue and look, with anomalies in the first.

    Parameters
    ----------
    seed
        Same arguments, same pair.
    size
        Height and width in pixels, at least 128.
    noise
        Standard deviation of camera noise, in grey values.
    """
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(5)]
    content_first, anomalies = plant(tissue(seeds[0], size), seeds[1])
    content_second = tissue(seeds[2], size)
    return Pair(
        first=render(content_first, VIOLET, noise, seeds[3]),
        second=render(content_second, ROSE, noise, seeds[4]),
        content_first=content_first,
        content_second=content_second,
        look_first=VIOLET,
        look_second=ROSE,
        anomalies=anomalies,
    )


def _soft(x: NDArray[np.float64], steepness: float) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-steepness * x))


def _grid(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.indices(shape).astype(float)


def _noise(
    rng: np.random.Generator, size: int, sigma: float | tuple[float, float]
) -> NDArray[np.float64]:
    """Smooth noise of mean 0 and standard deviation 1."""
    x = gaussian_filter(rng.normal(size=(size, size)), sigma, mode="wrap")
    standard: NDArray[np.float64] = (x - x.mean()) / x.std()
    return standard


def _nuclei(
    rng: np.random.Generator, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each pixel is inside a nucleus (0 to 1), and how dark its nucleus is."""
    corners = np.arange(0, size + SPACING, SPACING)
    centres = np.stack(np.meshgrid(corners, corners), -1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.4, 0.4, centres.shape) * SPACING
    radii = rng.uniform(0.22, 0.42, centres.shape) * SPACING
    angles = rng.uniform(0, np.pi, len(centres))
    pixels = np.moveaxis(_grid((size, size)), 0, -1)
    # Each pixel belongs to the nearest centre, so nuclei never overlap.
    owner = KDTree(centres).query(pixels)[1]
    y, x = np.moveaxis(pixels - centres[owner], -1, 0)
    cos, sin = np.cos(angles)[owner], np.sin(angles)[owner]
    along, across = (cos * y + sin * x), (cos * x - sin * y)
    radius = np.hypot(along / radii[owner, 0], across / radii[owner, 1])
    return _soft(1 - radius, 8), rng.uniform(0.7, 1.2, len(centres))[owner]


def _places(
    nuclear: NDArray[np.float32], n: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Find places rich in nuclei, apart from each other and from the border."""
    margin = int(ANOMALY_RADIUS) + 3
    rich = gaussian_filter(nuclear, ANOMALY_RADIUS / 2)
    inner = np.zeros(rich.shape, bool)
    inner[margin:-margin, margin:-margin] = True
    candidates = rng.permutation(np.argwhere(inner & (rich > np.median(rich))))
    places: list[NDArray[np.int64]] = []
    while len(places) < n:
        if len(candidates) == 0:
            msg = f"the tissue has room for {len(places)} objects, not for {n}"
            raise ValueError(msg)
        places.append(candidates[0])
        distance = np.hypot(*(candidates - candidates[0]).T)
        candidates = candidates[distance > 3 * ANOMALY_RADIUS]
    return places
