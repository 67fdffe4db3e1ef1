"""What affine learns from: swaps with a known truth."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.compute.device import one_thread
from napari_disentangle.errors import DataError
from napari_disentangle.image.field import Modality
from napari_disentangle.model.base import Weights
from napari_disentangle.model.lesson import BATCH, REACH, device_of
from napari_disentangle.model.statistics import Values
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_disentangle.model.affine.net import AffineNet
    from napari_disentangle.model.affine.swaps import Swaps


@dataclass(frozen=True, eq=False)
class Correction:
    """Swaps with a known truth, for the network of `affine`.

    Attributes
    ----------
    modality
        Decides which looks are learned from.
    start
        Weights to begin with; a new network if ``None``.
    used
        Share of the correction that is used at most.
    reach
        Share of the training tiles that lie inside the edge of what is known.
    images
        Statistics (S,) of whole images that lie inside it in any case.
    """

    modality: Modality
    start: Weights | None = None
    used: float = 1.0
    reach: float = REACH
    images: Sequence[Values] = ()
    rate: float = 1e-3
    decay: float = 1e-2
    clip: float = 1.0
    falls_back: bool = True
    batch: int = BATCH

    @property
    def net(self) -> type[AffineNet]:
        """What is trained."""
        from napari_disentangle.model.affine.net import AffineNet

        return AffineNet

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, AffineNet]:
        """A network that knows what its training images look like."""
        import torch

        channels = len(bank.learn[0][0])
        if self.start is not None:
            _check_channels(self.net, self.start, channels)
        kinds = yield from self._kinds(bank, seed)
        net = _begin(self.net, self.start, channels, kinds, seed)
        net.remember(kinds, self.reach)
        if self.images:
            net.include(torch.from_numpy(np.stack(self.images)).float())
        return net

    def _kinds(
        self, bank: Bank, seed: int
    ) -> Generator[None, None, list[torch.Tensor]]:
        """Statistics (n, S) of first batches, for every kind of image."""
        import torch

        from napari_disentangle.model.affine.swaps import make

        kinds: list[list[torch.Tensor]] = [[] for _ in bank.kinds]
        for kind, part in itertools.product(range(len(kinds)), range(_FIRST)):
            with one_thread():
                drawn = (seed, 0, kind, part)
                first = make(bank.kinds[kind], self.modality, self.batch, drawn)
            kinds[kind].append(first.statistics)
            yield
        return [torch.cat(kind) for kind in kinds]

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """Errors of swaps and the size of corrections."""
        from napari_disentangle.model.affine.swaps import loss, make

        swaps = make(bank.learn, self.modality, self.batch, seed).to(device_of(net))
        value, decibels = loss(_affine(net), swaps)
        return value, float(decibels.detach().mean())

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps."""
        from napari_disentangle.model.affine.swaps import exam

        return exam(_affine(net), swaps)


def _check_channels(net: type[AffineNet], start: Weights, channels: int) -> None:
    """Refuse images that the weights cannot be for."""
    from napari_disentangle.model.affine.net import build

    known = build(start.tensors, net).channels
    if known != channels:
        raise DataError(
            f"what was learned so far is for {known} channels together, but these "
            f"images have {channels}: choose others"
        )


def _begin(
    kind: type[AffineNet],
    start: Weights | None,
    channels: int,
    kinds: Sequence[torch.Tensor],
    seed: int,
) -> AffineNet:
    """A new network, or the one to go on with."""
    import torch

    from napari_disentangle.model.affine.net import build, like

    if start is not None:
        known = like(start.tensors, len(kinds))
        return build(known, kind).requires_grad_().train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = kind(channels, kinds[0].shape[1], len(kinds))
    net.begin(torch.cat(list(kinds)))
    return net


def _affine(net: nn.Module) -> AffineNet:
    from napari_disentangle.model.affine.net import AffineNet

    assert isinstance(net, AffineNet)
    return net


# Batches from which is learned what images look like.
_FIRST = 8
