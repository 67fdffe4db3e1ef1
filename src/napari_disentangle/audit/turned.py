"""Whether tiles tell how they lie: uneven light, stripes and shifts of colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.audit.checks import channels_first
from napari_disentangle.image.arrays import Array, Doubles

if TYPE_CHECKING:
    import torch

TURNS = 4
# Blocks along every axis, of which this share is held out; tiles that are needed.
_BLOCKS, _HELD_OUT, _FEWEST = 3, 0.3, 20
_STEPS, _BATCH, _RATE, _CELLS = 300, 16, 3e-3, 4
_QUANTILE = 1.96


@dataclass(frozen=True, eq=False)
class Turned:
    """How well quarter turns are told.

    Attributes
    ----------
    accuracy
        Share of held-out tiles whose turn is told; 0.25 is chance.
    interval
        95 % interval of Wilson (1927), of tiles that do not overlap.
    confusion
        Told (columns) of true turns by 0, 90, 180 and 270 degrees (4, 4), in shares.
        Stripes tell 0 and 180 from 90 and 270, and not these from one another.
    tiles
        How many were asked.
    """

    accuracy: float
    interval: tuple[float, float]
    confusion: Doubles
    tiles: int

    @property
    def told(self) -> bool:
        """Whether more than chance is told: tiles are not to be turned as they like."""
        return self.interval[0] > 1 / TURNS


def turned(
    images: Array | Sequence[Array], tile: int = 64, steps: int = _STEPS, seed: int = 0
) -> Turned:
    """Ask a small network by how many quarters tiles are turned.

    The task of RotNet (Gidaris et al. 2018) as a detector: cells in culture and most
    tissue lie as they like, so that above chance it is the light, the scan or the
    optics. Tiles within one tile of the border are not looked at, and whole blocks are
    held out. JPEG blocks and colour filters of cameras are told as well.

    Parameters
    ----------
    images
        One image (C, Y, X), or several.
    tile
        Edge of a tile in pixels.
    steps
        Micro-batches, each of 16 tiles in all four turns.
    seed
        Decides every random choice.

    Raises
    ------
    ValueError
        If fewer than 20 tiles fit into the blocks that are held out.
    """
    many = images if isinstance(images, (list, tuple)) else [images]
    planes = [_unit(channels_first(one)) for one in many]
    if len({len(one) for one in planes}) > 1:
        raise ValueError("images have different channels: ask those of a kind together")
    learned, asked = _split(planes, tile, seed)
    if len(asked) < _FEWEST or not learned:
        raise ValueError(
            f"{len(asked)} tiles of {tile} pixels are too few to ask: {_FEWEST} are "
            "needed; give more or larger images, or take smaller tiles"
        )
    told = _told(planes, learned, asked, tile, steps, seed)
    confusion = np.stack([np.eye(TURNS)[one].mean(0) for one in told])
    accuracy = float(np.trace(confusion) / TURNS)
    return Turned(accuracy, _wilson(accuracy, len(asked)), confusion, len(asked))


_Place = tuple[int, int, int]


def _unit(plane: Doubles) -> Doubles:
    """Channels as they are near their median, and their logarithm far from it.

    Light that falls off shows in the background, which bright objects would outweigh.
    """
    middle = np.median(plane, axis=(1, 2), keepdims=True)
    spread = np.median(np.abs(plane - middle), axis=(1, 2), keepdims=True)
    least = 1e-3 * plane.std(axis=(1, 2), keepdims=True)
    near = np.arcsinh((plane - middle) / np.maximum(spread, least + 1e-12))
    unit: Doubles = near / max(float(near.std()), 1e-12)
    return unit


def _split(
    planes: Sequence[Doubles], tile: int, seed: int
) -> tuple[list[_Place], list[_Place]]:
    """Corners of tiles to learn from, in all blocks but some, and of those to ask."""
    rng = np.random.default_rng(seed)
    learned: list[_Place] = []
    asked: list[_Place] = []
    for number, plane in enumerate(planes):
        out = rng.permutation(_BLOCKS**2) < _HELD_OUT * _BLOCKS**2
        blocks = [*_blocks(plane.shape[1:], tile)]
        for (y, x, h, w), held in zip(blocks, out, strict=True):
            stride = tile if held else max(1, tile // 4)
            places = [
                (number, top, left)
                for top in range(y, y + h - tile + 1, stride)
                for left in range(x, x + w - tile + 1, stride)
            ]
            (asked if held else learned).extend(places)
    return learned, asked


def _blocks(shape: tuple[int, ...], tile: int) -> Iterator[tuple[int, int, int, int]]:
    """Corner and size of every block, one tile away from the border."""
    edges = [
        np.linspace(tile, max(tile, n - tile), _BLOCKS + 1).astype(int) for n in shape
    ]
    for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
            yield int(top), int(left), int(bottom - top), int(right - left)


def _told(
    planes: Sequence[Doubles],
    learned: Sequence[_Place],
    asked: Sequence[_Place],
    tile: int,
    steps: int,
    seed: int,
) -> Array:
    """What is told of every true turn (4, n)."""
    import torch
    from torch.nn.functional import cross_entropy

    from napari_disentangle.compute.device import one_thread

    rng = np.random.default_rng(seed)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _net(len(planes[0]))
        optimiser = torch.optim.Adam(net.parameters(), _RATE)
        truth = torch.arange(TURNS).repeat_interleave(_BATCH)
        for _ in range(steps):
            places = [learned[i] for i in rng.integers(len(learned), size=_BATCH)]
            loss = cross_entropy(net(_turns(planes, places, tile)), truth)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        net.eval()
        with torch.no_grad():
            parts = [asked[i : i + _BATCH] for i in range(0, len(asked), _BATCH)]
            found = [net(_turns(planes, part, tile)).argmax(1) for part in parts]
    return np.concatenate([one.reshape(TURNS, -1).numpy() for one in found], axis=1)


def _turns(
    planes: Sequence[Doubles], places: Sequence[_Place], tile: int
) -> torch.Tensor:
    """Tiles in all four turns, one turn after the other (4 n, C, tile, tile)."""
    import torch

    cut = np.stack([planes[i][:, y : y + tile, x : x + tile] for i, y, x in places])
    cut -= cut.mean((2, 3), keepdims=True)
    turns = [np.rot90(cut, turn, (2, 3)) for turn in range(TURNS)]
    return torch.as_tensor(np.concatenate(turns).astype(np.float32))


def _net(channels: int) -> Any:
    """Three convolutions, and what they saw in each part of the tile."""
    from torch import nn

    layers: list[Any] = []
    for into, out in ((channels, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(into, out, 3, 2, 1), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(_CELLS),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * _CELLS**2, TURNS),
    )


def _wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson 1927)."""
    square = _QUANTILE**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _QUANTILE * np.sqrt(share * (1 - share) / n + square / (4 * n**2))
    half /= 1 + square / n
    return float(middle - half), float(middle + half)
