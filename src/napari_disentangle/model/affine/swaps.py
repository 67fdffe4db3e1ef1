"""Swaps with a known truth, from tiles and random looks: what `affine` learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_disentangle.image.arrays import Array, Doubles, Floats, Mask
from napari_disentangle.image.field import Modality
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.model.affine.looks import draw, see, show
from napari_disentangle.model.affine.net import AffineNet, between
from napari_disentangle.model.statistics import (
    balanced,
    middle_frame,
    moments,
    statistics,
)

Tiles = Sequence[Sequence[Floats]]

# Squared error below which a swap is good enough (45 dB).
_ENOUGH = 3e-5
# Weight of swaps whose donor shows the same content, and of the size of corrections.
ALIKE, SIZE = 0.2, 0.05
DECIBEL = 10 / np.log(10)
# Rows of a tile that moments and statistics are taken from; every row is not needed.
_ROWS = 16
# Every so many-th pixel along both axes is compared with the truth.
_SPARSE = 2
# Share of swaps whose image is as it came, not under a second look.
_AS_IT_CAME = 0.4
# Signals beyond this are lost in any case, and would only make gradients overflow.
_SANE = (-0.5, 4.0)


@dataclass(frozen=True, eq=False)
class View:
    """Tiles as a camera gave them: what a model sees of them.

    Attributes
    ----------
    signal
        (B, C, h, w).
    moments, statistics
        Of the closed form (B, 4C), and of the content (B, S).
    mean, covariance
        Of balanced pixels, float64: (B, C), (B, C, C).
    """

    signal: torch.Tensor
    moments: torch.Tensor
    statistics: torch.Tensor
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

    ``alike`` shows the same content as ``source``, in the look of ``donor``; ``truth``
    is what a camera shows without noise, brought to ``reach`` 1.
    """

    modality: Modality
    source: View
    donor: View
    alike: View
    truth: torch.Tensor
    reach: torch.Tensor

    @property
    def statistics(self) -> torch.Tensor:
        """Of all views."""
        views = (self.source, self.donor, self.alike)
        return torch.cat([view.statistics for view in views])

    def to(self, device: str) -> Swaps:
        """The same on another device."""
        return Swaps(
            self.modality,
            self.source.to(device),
            self.donor.to(device),
            self.alike.to(device),
            self.truth.to(device),
            self.reach.to(device),
        )

    def parts(self, size: int) -> Iterator[Swaps]:
        """The same, some at a time."""
        for start in range(0, len(self.truth), size):
            rows = slice(start, start + size)
            yield Swaps(
                self.modality,
                self.source.part(rows),
                self.donor.part(rows),
                self.alike.part(rows),
                self.truth[rows],
                self.reach[rows],
            )

    def decibels(self, matrix: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """Peak signal to noise ratio (B,) of swaps by these affine maps."""
        x = self.source.signal[:, :, ::_SPARSE, ::_SPARSE]
        y = (matrix @ x.flatten(2) + offset[..., None]).reshape(x.shape)
        return self._decibels(y, self.truth[:, :, ::_SPARSE, ::_SPARSE])

    def decibels_of(self, made: torch.Tensor) -> torch.Tensor:
        """The same (B,) of signals (B, C, h, w) that a model made."""
        return self._decibels(made, self.truth)

    def _decibels(self, signal: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        error = (show(signal.clamp(*_SANE), self.modality) - truth) / self.reach
        return -10 * torch.log10(error.square().mean((1, 2, 3)) + _ENOUGH)


def make(tiles: Tiles, modality: Modality, batch: int, seed: tuple[int, ...]) -> Swaps:
    """Draw swaps: two tiles of one look each, looks in turn, every look as often.

    Parameters
    ----------
    tiles
        Tiles by look, at least two of each.
    modality
        Decides which looks are drawn.
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
        show(torch.from_numpy(np.stack(side)), modality)
        for side in zip(*pairs, strict=True)
    )
    channels = first.shape[1]
    before = draw(modality, batch, channels, generator)
    after = draw(modality, batch, channels, generator)
    as_it_came = torch.rand(batch, generator=generator) < _AS_IT_CAME
    other = before.photograph(before.change(see(first, modality)), generator)
    source = torch.where(as_it_came[:, None, None, None], first, other)
    truth = after.change(see(first, modality))
    donor = after.photograph(after.change(see(second, modality)), generator)
    alike = after.photograph(truth, generator)
    return Swaps(
        modality,
        view(see(source, modality), modality),
        view(see(donor, modality), modality),
        view(see(alike, modality), modality),
        truth,
        _reach(truth, modality),
    )


def loss(net: AffineNet, swaps: Swaps) -> tuple[torch.Tensor, torch.Tensor]:
    """What fitting makes smaller, and the decibels of the swaps (B,)."""
    source, donor, alike = _answers(net, (swaps.source, swaps.donor, swaps.alike))
    swapped = swaps.decibels(*between(source, donor))
    same = swaps.decibels(*between(source, alike))
    size = torch.stack([source[1], donor[1]]).square().mean()
    return SIZE * size - (swapped.mean() + ALIKE * same.mean()) / DECIBEL, swapped


def exam(net: AffineNet, swaps: Swaps) -> Doubles:
    """Decibels (B,) of swaps by a network."""
    with torch.no_grad():
        source, donor = _answers(net, (swaps.source, swaps.donor))
        found: Doubles = swaps.decibels(*between(source, donor)).cpu().numpy()
    return found


def _answers(
    net: AffineNet, views: Sequence[View]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Moments and correction of every view, in one pass of the network."""
    tiles = torch.cat([_framed(view) for view in views])
    given = torch.cat([view.statistics for view in views])
    corrections = net(net.see(tiles), given).split([len(v.signal) for v in views])
    return [(v.moments, c) for v, c in zip(views, corrections, strict=True)]


def _framed(view: View) -> torch.Tensor:
    """Tiles (B, C, h, w) in the frame of the closed form."""
    anchor, scale = (v[..., None, None] for v in middle_frame(view.moments))
    seen: torch.Tensor = (view.signal - anchor) / scale
    return seen


def _pair(tiles: Sequence[Floats], rng: np.random.Generator) -> list[Floats]:
    chosen = rng.permutation(len(tiles))[:2]
    return [np.rot90(tiles[i], int(rng.integers(4)), (1, 2)) for i in chosen]


def view(signal: torch.Tensor, modality: Modality) -> View:
    """What a model sees of signals (B, C, h, w)."""
    found = [_measure(tile.cpu().numpy(), modality) for tile in signal]
    parts = [torch.from_numpy(np.stack(p)) for p in zip(*found, strict=True)]
    single = [part.to(signal) for part in parts[:2]]
    double = [part.double().to(signal.device) for part in parts[2:]]
    return View(signal, *single, *double)


def _measure(tile: Array, modality: Modality) -> tuple[Any, ...]:
    own = rows(tile, modality)
    return moments(*own, modality), statistics(*own, modality), *balanced(*own)


def rows(tile: Array, modality: Modality) -> tuple[Array, Mask]:
    """Some rows (C, N) of a tile, and what is foreground: all if nothing stands out."""
    step = max(1, tile.shape[1] // _ROWS)
    signal = tile[:, step // 2 :: step].reshape(len(tile), -1)
    mask = find_foreground(signal, modality).mask(signal)
    return signal, mask if mask.sum() >= _ROWS else np.ones_like(mask)


def _reach(truth: torch.Tensor, modality: Modality) -> torch.Tensor:
    """Range (B, C, 1, 1) that decibels refer to."""
    if modality == "brightfield":
        return torch.ones(*truth.shape[:2], 1, 1)
    flat = truth.flatten(2)
    top, bottom = (flat.quantile(q, dim=2) for q in (0.999, 0.001))
    return (top - bottom).clamp(min=1e-3)[..., None, None]
