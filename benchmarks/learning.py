"""Tiles from image sources, for models that are trained on many of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch.nn.functional import interpolate

from napari_disentangle.image.signal import to_signal
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sources import Group

EDGE = 128
# Looks drawn from every source: all sources are learned from as often.
LOOKS = 150
HELD_OUT = 5
# Tiles of a look.
TILES = 64
# Tiles that are cut before one is taken that shows less than this (grey levels).
TRIES, FLAT = 8, 12.0
# Magnifications that are learned from.
ZOOMS = (0.6, 1.7)


@dataclass(frozen=True, eq=False)
class Crops(Sequence["NDArray[np.float32]"]):
    """Tiles (3, EDGE, EDGE) of one look, cut out where they are asked for.

    Attributes
    ----------
    group
        Images that share the look.
    seed
        Decides where tiles are, and how large.
    zooms
        Least and largest magnification.
    """

    group: Group
    seed: tuple[int, ...]
    zooms: tuple[float, float]

    def __len__(self) -> int:
        return TILES

    @overload
    def __getitem__(self, i: int) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, i: slice) -> list[NDArray[np.float32]]: ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        if not 0 <= i < len(self):
            raise IndexError(i)
        rng = np.random.default_rng((*self.seed, i))
        images = self.group.images
        image = images[int(rng.integers(len(images)))]()
        zoom = np.exp(rng.uniform(*np.log(self.zooms)))
        return _signal(_cut(image, min(int(EDGE / zoom), *image.shape[:2]), rng))


def bank(
    sources: Sequence[Sequence[Group]],
    seed: int,
    zooms: tuple[float, float] = ZOOMS,
    looks: int = LOOKS,
) -> Bank:
    """Tiles of several sources, each with as many looks; every fifth group is held out.

    Parameters
    ----------
    sources
        Groups of every source; images of a group share a look.
    seed
        Decides which tiles.
    zooms
        Least and largest magnification.
    looks
        Looks that are drawn from every source.
    """
    rng = np.random.default_rng(seed)
    learn: list[Crops] = []
    held_out: list[Crops] = []
    for number, groups in enumerate(sources):
        mixed = [groups[i] for i in rng.permutation(len(groups))]
        out = len(mixed) - n_kept(len(mixed))
        kept, shown = mixed[out:], mixed[:out] or mixed
        for part, some, count in ((learn, kept, looks), (held_out, shown, HELD_OUT)):
            cycled = itertools.islice(itertools.cycle(some), count)
            part += [
                Crops(group, (seed, number, i, count), zooms)
                for i, group in enumerate(cycled)
            ]
    return Bank(learn, held_out)


def n_kept(groups: int) -> int:
    """How many of so many groups are not held out: of few all."""
    return groups if groups < 2 * HELD_OUT else groups - groups // HELD_OUT


def _cut(
    image: NDArray[np.uint8], edge: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A part of an image, not empty if one is found."""
    for _ in range(TRIES):
        y, x = (int(rng.integers(size - edge + 1)) for size in image.shape[:2])
        part = image[y : y + edge, x : x + edge]
        if part[::4, ::4].std() > FLAT:
            break
    return part


def _signal(part: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Absorbance (3, EDGE, EDGE) of a square part."""
    light = torch.from_numpy(part.astype(np.float32)).permute(2, 0, 1)[None]
    if part.shape[0] != EDGE:
        smaller = part.shape[0] > EDGE
        how = {"mode": "bilinear", "align_corners": False, "antialias": smaller}
        light = interpolate(light, size=(EDGE, EDGE), **how)
    signal: NDArray[np.float32] = to_signal(light[0], "absorbance", 255.0).numpy()
    return signal
