"""What contrimix learns from: the same swaps, read several times."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_disentangle.compute.device import one_thread
from napari_disentangle.model.affine.lesson import Correction
from napari_disentangle.model.contrimix.settings import PASSES
from napari_disentangle.model.lesson import BATCH, device_of
from napari_disentangle.model.statistics import Values
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_disentangle.model.affine.net import AffineNet
    from napari_disentangle.model.affine.swaps import Swaps
    from napari_disentangle.model.contrimix.net import RepeatedNet


@dataclass(frozen=True, eq=False)
class Repetition(Correction):
    """The same, with the attribute read several times: `contrimix` by default."""

    batch: int = BATCH // 2

    @property
    def net(self) -> type[RepeatedNet]:
        """What is trained."""
        from napari_disentangle.model.contrimix.net import RepeatedNet

        return RepeatedNet

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, AffineNet]:
        """As before; the mean look of training tiles becomes part of the network."""
        from napari_disentangle.model.affine.swaps import make

        net = yield from Correction.begin(self, bank, seed)
        if self.start is None:
            with one_thread():
                first = make(bank.learn, self.modality, 4 * BATCH, (seed, 3))
            _repeated(net).settle(first.source)
        return net

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """Errors of swaps and the size of corrections, over all passes."""
        from napari_disentangle.model.affine.swaps import make
        from napari_disentangle.model.contrimix.net import loss

        swaps = make(bank.learn, self.modality, self.batch, seed).to(device_of(net))
        value, decibels = loss(_repeated(net), swaps, PASSES)
        return value, float(decibels.detach().mean())

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps."""
        from napari_disentangle.model.contrimix.net import exam

        return exam(_repeated(net), swaps, PASSES)


def _repeated(net: nn.Module) -> RepeatedNet:
    from napari_disentangle.model.contrimix.net import RepeatedNet

    assert isinstance(net, RepeatedNet)
    return net
