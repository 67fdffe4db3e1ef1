"""Planted anomalies with known masks: what is odd is put into real images.

Sizes are in diameters of the image's own typical nucleus. Every kind keeps to the
intensities of the image unless its name says otherwise, so that brightness alone does
not give it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.transform import resize

if TYPE_CHECKING:

    from looks import Array

SIZES = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, eq=False)
class Scene:
    """An image to plant in.

    Attributes
    ----------
    image
        (C, Y, X) float32.
    labels
        (Y, X) its nuclei, 0 is background.
    others
        Images of other experiments, which foreign objects and textures come from, with
        their labels.
    """

    image: Array
    labels: Array
    others: tuple[tuple[Array, Array], ...]

    @property
    def diameter(self) -> float:
        """Of the typical nucleus, in pixels."""
        return typical_diameter(self.labels)


def typical_diameter(labels: Array) -> float:
    """Diameter of a disc of the median nucleus' area."""
    sizes = np.bincount(labels.ravel())[1:]
    return float(2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi))


def plant(
    scene: Scene, kind: str, size: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """An image with one anomaly, and where it is.

    Parameters
    ----------
    scene
        Where to plant.
    kind
        Name in ``KINDS``.
    size
        In typical diameters.
    rng
        Decides place and shape.
    """
    edge = max(6, round(size * scene.diameter))
    y, x = (int(rng.integers(edge, max(n - edge, edge + 1))) for n in scene.labels.shape)
    if kind in ("missing", "blur", "swapped texture"):
        y, x = _near_nucleus(scene, edge, rng)
    window = tuple(slice(c - edge // 2, c - edge // 2 + edge) for c in (y, x))
    alpha, patch = KINDS[kind](scene, window, edge, rng)
    image = scene.image.copy()
    part = image[:, *window]
    image[:, *window] = part + alpha * (patch - part)
    changed = np.abs(image - scene.image).max(0) > 0.02 * spread(scene)
    odd = np.zeros(scene.labels.shape, bool)
    odd[window] = alpha > 0.5
    return image, odd & ndimage.binary_dilation(changed, iterations=1)


def spread(scene: Scene) -> float:
    """Brightness of nuclei over background."""
    nuclei, around = scene.labels > 0, scene.labels == 0
    values = scene.image.mean(0)
    return float(abs(np.median(values[nuclei]) - np.median(values[around])))


def _near_nucleus(
    scene: Scene, edge: int, rng: np.random.Generator
) -> tuple[int, int]:
    """A place on a nucleus, away from the border."""
    inside = np.zeros(scene.labels.shape, bool)
    half = edge // 2 + 1
    inside[half : -half - 1, half : -half - 1] = True
    places = np.argwhere((scene.labels > 0) & inside)
    if not len(places):
        places = np.argwhere(inside)
    y, x = places[rng.integers(len(places))]
    return int(y), int(x)


# --- shapes -----------------------------------------------------------------------
def _disc(edge: int) -> Array:
    """Soft disc that fills a window."""
    grid = np.mgrid[:edge, :edge] - (edge - 1) / 2
    distance = edge / 2 - np.hypot(*grid)
    return np.clip(distance / max(1.0, 0.1 * edge) + 0.5, 0, 1).astype(np.float32)


def _blob(edge: int, rng: np.random.Generator) -> Array:
    """Irregular soft blob."""
    noise = ndimage.gaussian_filter(rng.standard_normal((edge, edge)), edge / 8)
    noise /= noise.std() + 1e-9
    grid = (np.mgrid[:edge, :edge] - (edge - 1) / 2) / (edge / 2)
    shape = 1.2 - 2 * np.hypot(*grid) + 0.8 * noise
    return np.clip(shape / 0.3 + 0.5, 0, 1).astype(np.float32)


# --- kinds ------------------------------------------------------------------------
def _foreign(scene, window, edge, rng):
    """A nucleus of another experiment, scaled to this size and brightness."""
    image, labels = scene.others[rng.integers(len(scene.others))]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    which = rng.choice(np.flatnonzero(sizes >= np.median(sizes[sizes > 0])))
    box = ndimage.find_objects(labels)[which - 1]
    inside = resize((labels[box] == which).astype(np.float32), (edge, edge), order=1)
    values = resize(image[:, *box], (len(image), edge, edge), order=1)
    own = scene.image[:, scene.labels > 0]
    values = values / max(values.mean(), 1e-6) * np.median(own)
    return inside.astype(np.float32), values.astype(np.float32)


def _debris(scene, window, edge, rng):
    """A rough bright clump, as bright as the brightest nuclei."""
    top = np.percentile(scene.image, 99.5, axis=(1, 2), keepdims=True)
    rough = 1 + 0.3 * rng.standard_normal((1, edge, edge))
    return _blob(edge, rng), (top * rough).astype(np.float32)


def _blur(scene, window, edge, rng):
    """Out of focus."""
    sigma = 0.25 * scene.diameter
    blurred = ndimage.gaussian_filter(scene.image, (0, sigma, sigma))
    return _disc(edge), blurred[:, *window]


def _missing(scene, window, edge, rng):
    """Nuclei are gone: only background is left."""
    around = scene.image[:, scene.labels == 0]
    picks = rng.integers(around.shape[1], size=(edge, edge))
    return _disc(edge), around[:, picks]


def _swapped(scene, window, edge, rng):
    """Texture of the image itself, with its phases mixed up."""
    part = scene.image[:, *window]
    phase = np.angle(np.fft.rfft2(rng.standard_normal((edge, edge))))
    mixed = np.fft.irfft2(np.abs(np.fft.rfft2(part)) * np.exp(1j * phase), (edge, edge))
    mean = part.mean((1, 2), keepdims=True)
    mixed = mixed - mixed.mean((1, 2), keepdims=True) + mean
    return _disc(edge), np.maximum(mixed, scene.image.min()).astype(np.float32)


Make = "Callable[[Scene, tuple[slice, slice], int, np.random.Generator], tuple[Array, Array]]"
KINDS = {
    "foreign nucleus": _foreign,
    "debris": _debris,
    "blur": _blur,
    "missing": _missing,
    "swapped texture": _swapped,
}
