"""Swaps with a known truth, from tiles and random looks: what `affine` learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_disentangle.image.arrays import Array, Doubles, Floats, Mask
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.model.affine.looks import Looks, draw, see, show
from napari_disentangle.model.affine.net import Readers, seen
from napari_disentangle.model.affine.palette import (
    Palette,
    Rule,
    between,
    correction,
    palette,
)
from napari_disentangle.model.statistics import balanced, ends, moments

Tiles = Sequence[Sequence[Floats]]

# Squared error below which a swap is good enough (40 dB).
_ENOUGH = 1e-4
DECIBEL = 10 / np.log(10)
# Rows of a tile that moments and statistics are taken from; every row is not needed.
_ROWS = 16
# Every so many-th pixel along both axes is compared with the truth.
_SPARSE = 2
# Shares of tiles that are as they came, and under one look after the other.
_AS_IT_CAME, _TWICE = 0.15, 0.4
# Signals beyond this are lost in any case, and would only make gradients overflow.
_SANE = (-0.5, 4.0)


@dataclass(frozen=True, eq=False)
class View:
    """Tiles as a camera gave them: what a model sees of them.

    Attributes
    ----------
    signal
        (B, C, h, w).
    ends
        Of what is lightest and darkest (B, 2C).
    moments
        Of the closed form `balanced` (B, 4C).
    mean, covariance
        Of balanced pixels, (B, C) and (B, C, C).
    """

    signal: torch.Tensor
    ends: torch.Tensor
    moments: torch.Tensor
    mean: torch.Tensor
    covariance: torch.Tensor

    def to(self, device: str) -> View:
        """The same on another device."""
        return View(*(t.to(device) for t in vars(self).values()))

    def part(self, rows: slice) -> View:
        """Some of the tiles."""
        return View(*(t[rows] for t in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Swaps:
    """Swaps to be made: from one view, to the look of a donor, and what comes out.

    ``truth`` is what a camera shows without noise.
    """

    source: View
    donor: View
    truth: torch.Tensor

    def to(self, device: str) -> Swaps:
        """The same on another device."""
        return Swaps(
            self.source.to(device), self.donor.to(device), self.truth.to(device)
        )

    def parts(self, size: int) -> Iterator[Swaps]:
        """The same, some at a time."""
        for start in range(0, len(self.truth), size):
            rows = slice(start, start + size)
            yield Swaps(self.source.part(rows), self.donor.part(rows), self.truth[rows])

    def decibels(self, matrix: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """Peak signal to noise ratio (B,) of swaps by these affine maps."""
        x = self.source.signal[:, :, ::_SPARSE, ::_SPARSE]
        y = (matrix @ x.flatten(2) + offset[..., None]).reshape(x.shape)
        return self._decibels(y, self.truth[:, :, ::_SPARSE, ::_SPARSE])

    def decibels_of(self, made: torch.Tensor) -> torch.Tensor:
        """The same (B,) of signals (B, C, h, w) that a model made."""
        return self._decibels(made, self.truth)

    def _decibels(self, signal: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        error = show(signal.clamp(*_SANE)) - truth
        return -10 * torch.log10(error.square().mean((1, 2, 3)) + _ENOUGH)


def make(tiles: Tiles, batch: int, seed: tuple[int, ...]) -> Swaps:
    """Draw swaps: two tiles of one look each, looks in turn, every look as often.

    Parameters
    ----------
    tiles
        Tiles by look, at least two of each.
    batch
        Number of swaps.
    seed
        Decides everything.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    order = rng.permutation(max(batch, len(tiles)))[:batch] % len(tiles)
    pairs = [_pair(tiles[look], rng) for look in order]
    first, second = (
        show(torch.from_numpy(np.stack(side))) for side in zip(*pairs, strict=True)
    )
    before, after = (_drawn(first, generator) for _ in range(2))
    source = before.photograph(before.change(first), generator)
    truth = after.change(first)
    donor = after.photograph(after.change(second), generator)
    return Swaps(view(see(source)), view(see(donor)), truth)


@dataclass(frozen=True, eq=False)
class _Photographs:
    """What is done to tiles (B, C, h, w) that a camera showed: one look or two."""

    first: Looks
    second: Looks
    count: torch.Tensor

    def change(self, shown: torch.Tensor) -> torch.Tensor:
        """Under no, one or both looks, without noise."""
        one = self.first.change(see(shown))
        two = self.second.change(see(one))
        count = self.count[:, None, None, None]
        return torch.where(count > 1, two, torch.where(count > 0, one, shown))

    def photograph(
        self, shown: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The same as a camera gives it."""
        noisy = self.first.photograph(shown, generator)
        return torch.where(self.count[:, None, None, None] > 0, noisy, shown)


def _drawn(like: torch.Tensor, generator: torch.Generator) -> _Photographs:
    """Looks for tiles: none for some, one after the other for others."""
    batch, channels = like.shape[:2]
    first, second = (draw(batch, channels, generator) for _ in range(2))
    chance = torch.rand(batch, generator=generator)
    count = (chance >= _AS_IT_CAME).int() + (chance >= 1 - _TWICE).int()
    return _Photographs(first, second, count)


def errors(net: Readers, swaps: Swaps) -> tuple[torch.Tensor, torch.Tensor]:
    """What fitting makes smaller, and the decibels of the swaps (B,)."""
    own, other = _palettes(net, swaps)
    found = []
    for classes, one in net.parts():
        pair = own.only(classes), other.only(classes)
        found.append(swaps.decibels(*_map(*pair, one.lenient)))
    decibels = torch.stack(found)
    return -decibels.mean() / DECIBEL, decibels.mean(dim=0)


def exam(net: Readers, swaps: Swaps) -> Doubles:
    """Decibels (B,) of the swaps of all networks together."""
    with torch.no_grad():
        moved = _map(*_palettes(net, swaps), net.rule)
        found: Doubles = swaps.decibels(*moved).cpu().numpy()
    return found


def _map(own: Palette, other: Palette, rule: Rule) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine maps of swaps."""
    return between(own, other, correction(own, other, rule))


def _palettes(net: Readers, swaps: Swaps) -> tuple[Palette, Palette]:
    """Palettes of sources and donors, in one pass of the networks."""
    pairs = zip(vars(swaps.source).values(), vars(swaps.donor).values(), strict=True)
    both = View(*(torch.cat(pair) for pair in pairs))
    maps, small = seen(both.signal, both.moments, both.mean, both.covariance)
    found = palette(both.ends, net(maps), small)
    n = len(swaps.truth)
    return found.part(slice(n)), found.part(slice(n, None))


def _pair(tiles: Sequence[Floats], rng: np.random.Generator) -> list[Floats]:
    chosen = rng.permutation(len(tiles))[:2]
    return [np.rot90(tiles[i], int(rng.integers(4)), (1, 2)) for i in chosen]


def view(signal: torch.Tensor) -> View:
    """What a model sees of signals (B, C, h, w)."""
    found = [_measure(tile.cpu().numpy()) for tile in signal]
    parts = (torch.from_numpy(np.stack(p)) for p in zip(*found, strict=True))
    return View(signal, *(part.to(signal) for part in parts))


def _measure(tile: Array) -> tuple[Any, ...]:
    own = rows(tile)
    return ends(*own), moments(*own, "brightfield"), *balanced(*own)


def rows(tile: Array) -> tuple[Array, Mask]:
    """Some rows (C, N) of a tile, and what is foreground: all if nothing stands out."""
    step = max(1, tile.shape[1] // _ROWS)
    signal = tile[:, step // 2 :: step].reshape(len(tile), -1)
    mask = find_foreground(signal, "brightfield").mask(signal)
    return signal, mask if mask.sum() >= _ROWS else np.ones_like(mask)
