"""Nuclei with known masks, under known looks, and how well finders find them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_local
from sources import DATA, manifest, nuclei_fields

import napari_disentangle as nd
from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects import closed
from napari_disentangle.objects.finder import Finder, preparing
from napari_disentangle.objects.instances import FOREGROUND, instances
from napari_disentangle.objects.student import looks

Array = NDArray[Any]
# Groups of the 2018 Data Science Bowl.
GROUPS = ("fluo_256x256", "fluo_520x696", "histo_violet_bg")
CAME, FAMILY, UNSEEN = "as they came", "looks learned from", "looks never seen"
# Images that are learned from at most, half as many are scored; share held out.
_LEARN, _HELD_OUT = 107, 1 / 3


@dataclass(frozen=True, eq=False)
class Known:
    """An image and the masks of its nuclei (h, w), 0 for none."""

    image: nd.Field
    labels: Array


@dataclass(frozen=True, eq=False)
class Split:
    """Images to learn from, and others of other fields to score."""

    learn: Sequence[nd.Field]
    score: Sequence[Known]
    diameter: float


@dataclass(frozen=True)
class Found:
    """How well nuclei of one image are found."""

    dice: float
    f1: float


# --- images ---------------------------------------------------------------------------
def split(group: str, seed: int, most: int = _LEARN) -> Split:
    """Images of a group, whole fields on one side."""
    chosen, held_out = paths(group, seed, most)
    masks = _masks(group)
    return Split(
        [_field(path) for path in chosen],
        list(known(group, held_out)),
        float(np.median([_diameter(iio.imread(masks[path])) for path in chosen])),
    )


def paths(group: str, seed: int, most: int = _LEARN) -> tuple[list[Path], list[Path]]:
    """Images of a group to learn from, and half as many of other fields to score."""
    fields = [[read() for read in g.images] for g in nuclei_fields(group, Path)]
    fields.sort(key=lambda own: crc32(f"{seed}{own[0].name}".encode()))
    total = sum(map(len, fields))
    learn: list[Path] = []
    score: list[Path] = []
    for own in fields:
        held = len(score) + len(own) <= _HELD_OUT * total
        (score if held else learn).extend(own)
    rng = np.random.default_rng(seed)
    chosen = [learn[i] for i in rng.permutation(len(learn))[:most]]
    held_out = [score[i] for i in rng.permutation(len(score))[: most // 2]]
    return chosen, held_out


def known(group: str, chosen: Sequence[Path]) -> Iterator[Known]:
    """Images of a group with the masks of their nuclei."""
    masks = _masks(group)
    for path in chosen:
        yield Known(_field(path), iio.imread(masks[path]).astype(int))


def _masks(group: str) -> Mapping[Path, Path]:
    folder = DATA / "nuclei_dsb2018"
    rows = [row for row in manifest(folder) if row["group"] == group]
    return {folder / row["image"]: folder / row["label"] for row in rows}


def _field(path: Path) -> nd.Field:
    pixels = np.asarray(iio.imread(path))
    if pixels.ndim == 2:
        return nd.Field(pixels, "YX", name=path.stem)
    return nd.Field(np.ascontiguousarray(pixels[..., :3]), "YXC", name=path.stem)


def _diameter(labels: Array) -> float:
    areas = np.bincount(labels.ravel())[1:]
    return float(2 * np.sqrt(areas[areas > 0].mean() / np.pi)) if areas.any() else 14.0


# --- looks ----------------------------------------------------------------------------
Change = Callable[[Array, np.random.Generator], Array]


def family(plane: Array, rng: np.random.Generator) -> Array:
    """A look of the family that students learn under."""
    gain = np.exp(rng.normal(0, 0.4))
    return np.asarray(gain * looks.draw(rng).photograph(plane, rng))


def unseen(plane: Array, rng: np.random.Generator) -> Array:
    """Blur, haze of the image itself, vignetting, photon noise."""
    blurred = gaussian_filter(np.clip(plane, 0, None), rng.uniform(0.5, 2))
    hazy = blurred + rng.uniform(0.1, 0.5) * gaussian_filter(blurred, 20)
    hazy += rng.uniform(0, 0.2)
    y, x = (np.linspace(-1, 1, n) for n in plane.shape)
    dark = 1 - rng.uniform(0.2, 0.4) * (y[:, None] ** 2 + x**2)
    photons = 10 ** rng.uniform(1.3, 2.5)
    return np.asarray(rng.poisson(np.clip(hazy * dark, 0, None) * photons) / photons)


def changed(known: Known, change: Change, rng: np.random.Generator) -> Known:
    """The same nuclei under another look; in absorbance, if they are stained."""
    image = known.image
    if not image.rgb:
        scale = np.percentile(image.data, 99.5) + 1e-6
        values = change(image.data / scale, rng).astype(np.float32)
        return Known(nd.Field(values, "YX", name=image.name), known.labels)
    absorbance = -np.log10((image.data + 1.0) / 256)
    grey = absorbance.mean(axis=-1)
    scale = np.percentile(grey, 99.5)
    ratio = change(grey / scale, rng) * scale - grey
    shown = 256 * 10 ** -(absorbance + ratio[..., None]) - 1
    pixels = np.clip(np.rint(shown), 0, 255).astype(np.uint8)
    return Known(nd.Field(pixels, "YXC", name=image.name), known.labels)


# --- finding --------------------------------------------------------------------------
def by_finder(finder: Finder, rendering: Rendering, diameter: float) -> Array:
    """Foreground of an image."""
    finding = finished(preparing(finder, rendering, diameter))
    lazy = LazyImage(rendering.field, finding)
    return np.asarray(np.asarray(lazy) > FOREGROUND)


def by_local(rendering: Rendering, diameter: float) -> Array:
    """Foreground by a threshold of the surroundings."""
    finding = finished(preparing(Finder("otsu"), rendering, diameter))
    plane = np.moveaxis(np.atleast_3d(rendering.field.data), -1, 0)
    grey = finding.grey.of(rendering.signal(plane, ()).numpy())
    even = gaussian_filter(grey, 1)
    around = threshold_local(even, int(4 * diameter) | 1)
    return np.asarray(even > around + 0.1 * (np.percentile(even, 99) - np.median(even)))


def scored(mask: Array, labels: Array, diameter: float) -> Found:
    """Dice of pixels, and F1 of instances that overlap by more than half."""
    truth = labels > 0
    dice = 2 * (mask & truth).sum() / max(1, mask.sum() + truth.sum())
    return Found(float(dice), f1(instances(mask, diameter), labels))


def f1(found: Array, truth: Array) -> float:
    """Objects that overlap one of the other side by more than half of both."""
    sizes = [np.bincount(one.ravel()) for one in (found, truth)]
    total = sum(np.count_nonzero(one[1:]) for one in sizes)
    pairs, both = np.unique(
        np.stack([found.ravel(), truth.ravel()]), axis=1, return_counts=True
    )
    real = (pairs > 0).all(axis=0)
    (i, j), n = pairs[:, real], both[real]
    hits = np.count_nonzero(n / (sizes[0][i] + sizes[1][j] - n) > 0.5)
    return 2 * hits / total if total else 1.0


def under(known: Sequence[Known], seed: int) -> Iterator[tuple[str, list[Known]]]:
    """The same images as they came, and under two families of looks."""
    yield CAME, list(known)
    for name, change in ((FAMILY, family), (UNSEEN, unseen)):
        rng = np.random.default_rng((seed, len(name)))
        yield name, [changed(one, change, rng) for one in known]


CLOSED = (*closed.FORMS, "local")
