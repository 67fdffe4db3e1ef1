"""Planted anomalies with known masks: what is odd is put into real images.

Sizes are in diameters of the image's own typical nucleus. Whatever is planted keeps to
the intensities of the image, so that brightness alone does not give it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.transform import resize

if TYPE_CHECKING:
    from collections.abc import Callable

    from looks import Array

    Window = tuple[slice, slice]
    Make = Callable[["Scene", Window, int, np.random.Generator], tuple[Array, Array]]

SIZES = (0.5, 1.0, 2.0, 4.0)
# What changed less than this share of a nucleus' contrast is not odd.
_VISIBLE = 0.05
# Blur in typical diameters.
_BLUR = 0.25


@dataclass(frozen=True, eq=False)
class Scene:
    """An image to plant in.

    Attributes
    ----------
    signal
        (C, Y, X) float32; absorbance, or what fluoresces.
    labels
        (Y, X) its nuclei, 0 is background.
    others
        Signals and labels that foreign nuclei come from.
    """

    signal: Array
    labels: Array
    others: tuple[tuple[Array, Array], ...]

    @property
    def diameter(self) -> float:
        """Of a disc with the median nucleus' area, in pixels."""
        sizes = np.bincount(self.labels.ravel())[1:]
        return float(2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi))

    @property
    def contrast(self) -> float:
        """Of nuclei against what is around them."""
        values = self.signal.mean(axis=0)
        inside, around = values[self.labels > 0], values[self.labels == 0]
        return float(abs(np.median(inside) - np.median(around)))


@dataclass(frozen=True, eq=False)
class Planted:
    """A signal (C, Y, X) with one anomaly, and where it is (Y, X)."""

    signal: Array
    odd: Array


def plant(scene: Scene, kind: str, size: float, rng: np.random.Generator) -> Planted:
    """Plant one anomaly.

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
    edge = min(max(6, round(size * scene.diameter)), min(scene.labels.shape) // 2)
    window = _window(scene, edge, kind in ON_NUCLEI, rng)
    alpha, patch = KINDS[kind](scene, window, edge, rng)
    signal = scene.signal.copy()
    before = scene.signal[:, *window]
    signal[:, *window] = before + alpha * (patch - before)
    change = np.abs(signal - scene.signal).max(axis=0)
    odd = np.zeros(scene.labels.shape, bool)
    odd[window] = alpha > 0.5
    near = ndimage.binary_dilation(change > _VISIBLE * scene.contrast)
    return Planted(signal, odd & near)


def _window(scene: Scene, edge: int, on: bool, rng: np.random.Generator) -> Window:
    """A square of this edge inside the image, its middle on a nucleus if asked."""
    half, shape = edge // 2, scene.labels.shape
    inside = np.zeros(shape, bool)
    inside[half : shape[0] - edge + half + 1, half : shape[1] - edge + half + 1] = True
    wanted = inside & (scene.labels > 0) if on else inside
    places = np.argwhere(wanted if wanted.any() else inside)
    y, x = places[rng.integers(len(places))] - half
    return slice(y, y + edge), slice(x, x + edge)


# --- shapes -----------------------------------------------------------------------
def _disc(edge: int) -> Array:
    """Soft disc that fills a window."""
    grid = np.mgrid[:edge, :edge] - (edge - 1) / 2
    distance = edge / 2 - np.hypot(*grid)
    return np.clip(distance / max(1.0, 0.1 * edge) + 0.5, 0, 1).astype(np.float32)


def _blob(edge: int, rng: np.random.Generator) -> Array:
    """Irregular soft blob."""
    noise = ndimage.gaussian_filter(rng.standard_normal((edge, edge)), edge / 8)
    grid = (np.mgrid[:edge, :edge] - (edge - 1) / 2) / (edge / 2)
    shape = 1.2 - 2 * np.hypot(*grid) + 0.8 * noise / noise.std()
    return np.clip(shape / 0.3 + 0.5, 0, 1).astype(np.float32)


# --- kinds ------------------------------------------------------------------------
def _foreign(
    scene: Scene, window: Window, edge: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """A nucleus of another image, of this size, as bright as those here."""
    signal, labels = scene.others[rng.integers(len(scene.others))]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    which = rng.choice(np.flatnonzero(sizes >= np.median(sizes[sizes > 0])))
    box = ndimage.find_objects(labels)[which - 1]
    inside = resize((labels[box] == which).astype(np.float32), (edge, edge), order=1)
    values = resize(signal[:, *box], (len(signal), edge, edge), order=1)
    own = np.median(scene.signal[:, scene.labels > 0], axis=1)[:, None, None]
    values = values * own / np.maximum(values.mean(axis=(1, 2), keepdims=True), 1e-6)
    return inside.astype(np.float32), values.astype(np.float32)


def _debris(
    scene: Scene, window: Window, edge: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """A rough clump, as strong as the strongest nuclei."""
    top = np.percentile(scene.signal, 99.5, axis=(1, 2), keepdims=True)
    rough = 1 + 0.3 * rng.standard_normal((1, edge, edge))
    return _blob(edge, rng), (top * rough).astype(np.float32)


def _blur(
    scene: Scene, window: Window, edge: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Out of focus."""
    sigma = _BLUR * scene.diameter
    return _disc(edge), ndimage.gaussian_filter(scene.signal, (0, sigma, sigma))[
        :, *window
    ]


def _missing(
    scene: Scene, window: Window, edge: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Nuclei are gone: background as it is around, with its own noise."""
    around = (scene.labels == 0).astype(np.float32)
    sigma = (0, 2 * scene.diameter, 2 * scene.diameter)
    near = ndimage.gaussian_filter(scene.signal * around, sigma)
    level = near / np.maximum(ndimage.gaussian_filter(around[None], sigma), 1e-3)
    rough = (scene.signal - ndimage.gaussian_filter(scene.signal, (0, 1, 1)))[
        :, around > 0
    ]
    noise = rough[:, rng.integers(rough.shape[1], size=(edge, edge))]
    return _disc(edge), level[:, *window] + noise


def _mixed(
    scene: Scene, window: Window, edge: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The same frequencies with other phases: texture without objects."""
    part = scene.signal[:, *window]
    phase = np.angle(np.fft.rfft2(rng.standard_normal((edge, edge))))
    spectrum = np.abs(np.fft.rfft2(part)) * np.exp(1j * phase)
    mixed = np.fft.irfft2(spectrum, (edge, edge))
    moved = mixed + (part - mixed).mean(axis=(1, 2), keepdims=True)
    return _disc(edge), np.maximum(moved, scene.signal.min()).astype(np.float32)


KINDS: dict[str, Make] = {
    "foreign nucleus": _foreign,
    "debris": _debris,
    "blur": _blur,
    "missing": _missing,
    "mixed texture": _mixed,
}
# Kinds that change nothing where nothing is.
ON_NUCLEI = ("blur", "missing", "mixed texture")
