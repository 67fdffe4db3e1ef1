"""The audit of a model on given images, beside every closed form and none at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.audit import (
    colour_features,
    convolution_features,
    gradient_correlation,
    lisi,
    nucleus_dice,
    probe,
    silhouette,
    swap_fidelity,
)
from napari_disentangle.compute.device import one_thread
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Doubles, Mask
from napari_disentangle.image.field import Field
from napari_disentangle.image.signal import from_signal, to_dtype
from napari_disentangle.image.tiling import Block, blocks
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.base import AffineMethod
from napari_disentangle.model.fit import fit
from napari_disentangle.model.model import Model
from napari_disentangle.model.registry import MODELS
from napari_disentangle.model.render import Rendering

Tiles = list[Doubles]
Places = list[tuple[Field, list[Block]]]

# Edge in pixels of the parts that are looked at, and how many of each image; and the
# most neighbours of a part.
EDGE, TILES = 256, 8
NEIGHBOURS = 30
# Smallest edge of a part; parts of a probe, each predicted from the others.
SMALLEST = 16
FOLDS = 5
# The row that says what the images are like before anything is done to them.
RAW = "raw"


@dataclass(frozen=True)
class Row:
    """What one model did to the images; NaN where it cannot be said.

    Attributes
    ----------
    model
        Its name, or ``"raw"``.
    colour_leak, texture_leak
        What a fresh probe reads of the batch from colour statistics, and from frozen
        random convolutions, of content-only: 0 at chance, 1 if all of it.
    by_batch, by_biology
        Silhouette of content-only by batch (lower is better mixed) and by biology.
    batches_near
        Effective number of batches among the neighbours of a tile (LISI).
    gradients, clipped
        Median correlation of gradients between image and content-only before clipping,
        and the share of values that the image's type then cuts off.
    nuclei
        Median Dice overlap of nuclei, segmented anew.
    colours_left
        Distance in colour moments to an image of another batch after a swap to its
        look, divided by that before; what the two images show differs too.
    seconds
        Per megapixel of rendering, one thread, without measuring.
    """

    model: str
    colour_leak: float = np.nan
    texture_leak: float = np.nan
    by_batch: float = np.nan
    by_biology: float = np.nan
    batches_near: float = np.nan
    gradients: float = np.nan
    clipped: float = np.nan
    nuclei: float = np.nan
    colours_left: float = np.nan
    seconds: float = np.nan


@dataclass(frozen=True)
class Report:
    """Rows of models, the audited one first after ``"raw"``; printing gives Markdown.

    Attributes
    ----------
    rows
        One per model.
    n_images, n_tiles
        How much was looked at.
    """

    rows: tuple[Row, ...]
    n_images: int
    n_tiles: int

    def __str__(self) -> str:
        names = [f.name for f in fields(Row)]
        lines = [names, ["---"] * len(names)]
        lines += [[_text(getattr(row, n)) for n in names] for row in self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(
    model: Model,
    images: Sequence[Field],
    batch: Sequence[Hashable] | None = None,
    biology: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Report:
    """Audit a model on images, next to every closed form for their kind.

    Parameters
    ----------
    model
        Any model; closed forms are fitted on the same images.
    images
        Two at least, with the model's channels.
    batch
        Of each image: what its look should not give away, such as scanner or plate.
        Images are never split between what a probe learns from and what it is tried
        on, so that every batch needs two images or more.
    biology
        Of each image: what its content should keep telling.
    seed
        Decides which parts of the images are looked at.

    Raises
    ------
    DataError
        If there are too few images, or labels that do not pair with them, or an image
        is too small or blank.
    """
    _check(images, batch, biology)
    tiles = [(image, _places(image, seed)) for image in images]
    numbers = np.repeat(np.arange(len(images)), [len(own) for _, own in tiles])
    labels = _Labels(numbers, batch, biology)
    raw = _as_they_are(model, tiles)
    rows = [Row(RAW, **_told_by(raw, labels))]
    for one in (model, *(fit(list(images), name) for name in _rivals(model))):
        rows.append(_audit(one, tiles, raw, labels))
    return Report(tuple(rows), len(images), len(raw))


def _check(images: Sequence[Field], *labels: Sequence[Hashable] | None) -> None:
    if len(images) < 2:
        raise DataError(
            f"{len(images)} image was given: a report compares two at least"
        )
    for given in labels:
        if given is not None and len(given) != len(images):
            raise DataError(
                f"{len(given)} labels were given for {len(images)} images: give one "
                "for each"
            )
        alone = [k for k, n in Counter(given or ()).items() if n == 1]
        if alone or (given is not None and len(set(given)) < 2):
            raise DataError(
                f"labels {list(given or ())} cannot be compared: give two labels at "
                "least, each to two images at least"
            )


def _places(image: Field, seed: int) -> list[Block]:
    """Parts that are large enough for every measure, and in which all is known."""
    found = [
        block
        for block in blocks(image, EDGE, TILES, seed)
        if min(len(block.y), len(block.x)) >= SMALLEST
        and np.isfinite(_plane(image, block)).all()
    ]
    if not found:
        raise DataError(
            f"{image.name!r} has no part of {SMALLEST} x {SMALLEST} pixels without NaN "
            "to look at: give larger images, or leave it out"
        )
    return found


def _rivals(model: Model) -> Iterator[str]:
    """Closed forms for this kind of image."""
    for name, known in MODELS.items():
        if (
            model.modality in known.modalities
            and isinstance(known, AffineMethod)
            and not known.learns
            and name not in ("identity", model.name)
        ):
            yield name


# --- one model ------------------------------------------------------------------------
def _audit(model: Model, tiles: Places, raw: Tiles, labels: _Labels) -> Row:
    looks = [_look(model, image) for image, _ in tiles]
    began = time.thread_time()
    content = _rendered(model, tiles, looks, [model.reference] * len(looks))
    seconds = time.thread_time() - began
    image = tiles[0][0]
    pairs = list(zip(raw, content, strict=True))
    edges = [gradient_correlation(a, b, _limits(image)) for a, b in pairs]
    nuclei = [nucleus_dice(a, b, model.modality) for a, b in pairs]
    return Row(
        model.name,
        **_told_by([_as_type(tile, image) for tile in content], labels),
        gradients=float(np.median([e.correlation for e in edges])),
        clipped=float(np.mean([e.clipped for e in edges])),
        nuclei=float(np.median(nuclei)),
        colours_left=_colours_left(model, tiles, looks, raw, labels),
        seconds=seconds / (sum(tile[0].size for tile in raw) / 1e6),
    )


def _look(model: Model, image: Field) -> Attribute:
    look = model.attribute(image)
    if not look.found:
        raise DataError(f"{image.name!r} has no foreground to measure: leave it out")
    return look


def _as_they_are(model: Model, tiles: Places) -> Tiles:
    """Parts (C, h, w) of the images, the model's channels."""
    return [
        _plane(image, block)[model.channel_index(image)].astype(np.float64)
        for image, places in tiles
        for block in places
    ]


def _rendered(
    model: Model,
    tiles: Places,
    sources: Sequence[Attribute],
    targets: Sequence[Attribute],
) -> Tiles:
    """The same parts under other looks, in units of the image, not yet in its type."""
    space = model.method.space(model.modality)
    made = []
    for (image, places), source, target in zip(tiles, sources, targets, strict=True):
        index = model.channel_index(image)
        render = Rendering(model.method, index, image, source, target)
        for block in places:
            with one_thread():
                _, signal = render.read(block.lead, block.y, block.x)
                shown = from_signal(signal, space, image.full_scale)
            made.append(shown.double().numpy())
    return made


def _plane(image: Field, block: Block) -> NDArray[np.generic]:
    return image.plane(block.lead, block.y.slice, block.x.slice)


def _colours_left(
    model: Model, tiles: Places, looks: Sequence[Attribute], raw: Tiles, labels: _Labels
) -> float:
    """Median over images of what a swap to an image of another batch leaves."""
    others = [labels.other(number) for number in range(len(looks))]
    swapped = _rendered(model, tiles, looks, [looks[other] for other in others])
    left = [
        swap_fidelity(
            _side_by_side(swapped, labels.image == number),
            _side_by_side(raw, labels.image == other),
            _side_by_side(raw, labels.image == number),
        )
        for number, other in enumerate(others)
    ]
    return float(np.median(left))


def _side_by_side(tiles: Tiles, chosen: Mask) -> Doubles:
    """All pixels of some tiles as one row (C, 1, N): only colours are looked at."""
    kept = [t.reshape(len(t), 1, -1) for t, c in zip(tiles, chosen, strict=True) if c]
    return np.concatenate(kept, axis=2)


def _limits(image: Field) -> tuple[float, float]:
    if image.dtype.kind == "f":
        return -np.inf, np.inf
    limits = np.iinfo(image.dtype)
    return float(limits.min), float(limits.max)


def _as_type(tile: Doubles, image: Field) -> Doubles:
    """What a person gets: a probe also reads what rounding leaves."""
    return to_dtype(tile, image.dtype).astype(np.float64)


# --- labels ---------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class _Labels:
    """Of every tile: its image; and of every image: its batch and its biology."""

    image: NDArray[np.int64]
    batch: Sequence[Hashable] | None
    biology: Sequence[Hashable] | None

    def of_tiles(self, labels: Sequence[Hashable]) -> NDArray[np.int64]:
        """Numbers of an image's label, for its tiles."""
        known = sorted(set(labels), key=str)
        return np.array([known.index(label) for label in labels])[self.image]

    def other(self, number: int) -> int:
        """The next image, of another batch where there are any."""
        count = int(self.image.max()) + 1
        turn = [(number + step) % count for step in range(1, count)]
        if self.batch is None:
            return turn[0]
        return next(i for i in turn if self.batch[i] != self.batch[number])


def _told_by(tiles: Tiles, labels: _Labels) -> dict[str, float]:
    """What tiles tell of their batch, and of their biology."""
    colours = np.stack([colour_features(tile) for tile in tiles])
    told = {}
    if labels.batch is not None:
        batch = labels.of_tiles(labels.batch)
        textures = np.stack([convolution_features(tile) for tile in tiles])
        told = {
            "colour_leak": _leak(colours, batch, labels.image),
            "texture_leak": _leak(textures, batch, labels.image),
            "by_batch": silhouette(colours, batch),
            "batches_near": lisi(colours, batch, _near(batch)),
        }
    if labels.biology is not None:
        told["by_biology"] = silhouette(colours, labels.of_tiles(labels.biology))
    return told


def _leak(
    features: Doubles, batch: NDArray[np.int64], image: NDArray[np.int64]
) -> float:
    folds = min(FOLDS, int(image.max()) + 1)
    return probe(features, batch, image, folds).excess


def _near(labels: NDArray[np.int64]) -> int:
    """Neighbours of a tile: no more than there are of its batch."""
    return min(NEIGHBOURS, int(np.bincount(labels).min()) - 1)


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:.3g}"
