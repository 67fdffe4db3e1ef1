"""What published ContriMix learns from: its own losses."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.model.base import Weights
from napari_disentangle.model.contrimix.settings import SMALLEST, Config
from napari_disentangle.model.lesson import device_of
from napari_disentangle.model.statistics import Values
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_disentangle.model.affine.swaps import Swaps
    from napari_disentangle.model.contrimix.published.net import ContriMix
# Images in a micro-batch.
_IMAGES = 4


@dataclass(frozen=True, eq=False)
class Mixing:
    """The losses of ContriMix as published, on tiles as they came.

    The optimiser's settings are those of its authors for Camelyon17, the weights of the
    losses theirs for encoders alone (TCGA). Micro-batches are as small as a processor
    can bear, OUR CHOICE.
    """

    settings: Config
    start: Weights | None = None
    rate: float = 1e-3
    decay: float = 1e-3
    clip: float = 0.5
    used: float = 1.0
    falls_back: bool = False

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, ContriMix]:
        """New networks, or those to go on with."""
        import torch

        from napari_disentangle.model.contrimix.published import net as networks

        yield from ()
        if self.start is not None:
            return networks.built(self.settings, self.start).train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shape = networks.architecture(self.settings, len(bank.learn[0][0]))
            net = networks.ContriMix(shape)
        return net.train()

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """All losses, and the decibels of self-reconstruction."""
        import torch

        from napari_disentangle.model.contrimix.published import losses

        rng = np.random.default_rng(seed)
        images = torch.from_numpy(np.stack([_crop(bank, rng) for _ in range(_IMAGES)]))
        drawn = torch.Generator().manual_seed(int(rng.integers(2**62)))
        targets = losses.draw_targets(_IMAGES, self.settings.mixings, drawn)
        mixed = losses.mix(_contrimix(net), images.to(device_of(net)), targets)
        value, _ = losses.total(mixed, losses.LossWeights())
        pair = (losses.to_transmittance(x) for x in (mixed.rendered[:, 0], images))
        made, truth = (x.detach().cpu() for x in pair)
        return value, float(-10 * torch.log10((made - truth).square().mean() + 1e-12))

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps of single tiles."""
        import torch

        known = _contrimix(net)
        with torch.no_grad():
            attribute = known.attribute(swaps.donor.signal)
            made = known(swaps.source.signal, attribute)
        return swaps.decibels_of(made).cpu().numpy()


def _crop(bank: Bank, rng: np.random.Generator) -> Values:
    """A part of a tile of any look, turned."""
    look = bank.learn[int(rng.integers(len(bank.learn)))]
    tile = look[int(rng.integers(len(look)))]
    y, x = (int(rng.integers(size - SMALLEST + 1)) for size in tile.shape[1:])
    part = tile[:, y : y + SMALLEST, x : x + SMALLEST]
    return np.rot90(part, int(rng.integers(4)), (1, 2)).copy()


def _contrimix(net: nn.Module) -> ContriMix:
    from napari_disentangle.model.contrimix.published.net import ContriMix

    assert isinstance(net, ContriMix)
    return net
