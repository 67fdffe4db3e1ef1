"""Tiles from image sources, for models that are trained on many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import zoom

from napari_disentangle.image.signal import to_signal
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from sources import Group

    from napari_disentangle.image.field import Modality

EDGE = 128
# Looks drawn from every source, and tiles of each.
LOOKS, TILES = 160, 6
HELD_OUT = 5


def bank(
    sources: Sequence[Sequence[Group]],
    modality: Modality,
    seed: int,
    enlarged: float,
    looks: int = LOOKS,
) -> Bank:
    """Tiles of several sources, each with as many looks; every fifth group is held out.

    Parameters
    ----------
    sources
        Groups of every source; images of a group share a look.
    modality
        Kind of image.
    seed
        Decides which tiles.
    enlarged
        Share of looks that are seen at another magnification.
    looks
        Looks that are drawn from every source.
    """
    rng = np.random.default_rng(seed)
    kinds: list[list[list[NDArray[np.float32]]]] = []
    held_out: list[list[NDArray[np.float32]]] = []
    for groups in sources:
        mixed = [groups[i] for i in rng.permutation(len(groups))]
        out = len(mixed) - n_kept(len(mixed))
        kept, shown = mixed[out:], mixed[:out] or mixed
        kinds.append(list(_looks(kept, looks, modality, enlarged, rng)))
        held_out += _looks(shown, looks // HELD_OUT, modality, enlarged, rng)
    return Bank(kinds, held_out)


def n_kept(groups: int) -> int:
    """How many of so many groups are not held out: of few all."""
    return groups if groups < 2 * HELD_OUT else groups - groups // HELD_OUT


def _looks(
    groups: Sequence[Group],
    count: int,
    modality: Modality,
    enlarged: float,
    rng: np.random.Generator,
) -> Iterator[list[NDArray[np.float32]]]:
    """Looks of at least two tiles each, going round the groups."""
    for number in range(count):
        group = groups[number % len(groups)]
        chosen = rng.permutation(len(group.images))[:TILES]
        images = [_planes(group.images[i](), modality) for i in chosen]
        if modality == "fluorescence":
            images = _one_channel(images, rng)
        other = rng.random() < enlarged
        edge = int(rng.integers(EDGE // 2, 2 * EDGE)) if other else EDGE
        tiles = [t for image in images for t in _cut(image, edge, rng)]
        if len(tiles) < 2:
            tiles = [t for image in images for t in _cut(image, EDGE // 2, rng)]
        tiles = [tiles[i] for i in rng.permutation(len(tiles))[:TILES]]
        if len(tiles) > 1:
            yield tiles


def _planes(image: NDArray[Any], modality: Modality) -> NDArray[np.float32]:
    """Signal (C, Y, X)."""
    if modality == "fluorescence":
        return image.astype(np.float32)
    light = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)
    return to_signal(light, "absorbance", 255.0).numpy()


def _one_channel(
    images: Sequence[NDArray[np.float32]], rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """One channel of images, brought to a range of about 1."""
    channel = int(rng.integers(len(images[0])))
    chosen = [image[channel : channel + 1] for image in images]
    every = np.concatenate([image.ravel()[::7] for image in chosen])
    low, high = np.percentile(every, (0.1, 99.9))
    reach = np.float32(max(high - low, 1e-6))
    return [(image - np.float32(low)) / reach for image in chosen]


def _cut(
    image: NDArray[np.float32], edge: int, rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Tiles side by side that are not much emptier than their image, resized."""
    edge = min(edge, *image.shape[1:])
    y0, x0 = (int(rng.integers(size % edge + 1)) for size in image.shape[1:])
    corners = [
        (y, x)
        for y in range(y0, image.shape[1] - edge + 1, edge)
        for x in range(x0, image.shape[2] - edge + 1, edge)
    ]
    cut = [image[:, y : y + edge, x : x + edge] for y, x in corners]
    tiles = [tile for tile in cut if tile.std() > 0.5 * image.std()]
    kept = [tiles[i] for i in rng.permutation(len(tiles))[:TILES]]
    return [_resized(tile) for tile in kept]


def _resized(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    if tile.shape[1] == EDGE:
        return np.ascontiguousarray(tile)
    factor = EDGE / tile.shape[1]
    return np.asarray(zoom(tile, (1, factor, factor), order=1), np.float32)
