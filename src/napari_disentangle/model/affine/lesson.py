"""What affine learns from: swaps with a known truth."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_disentangle.errors import DataError
from napari_disentangle.model.base import Weights
from napari_disentangle.model.lesson import device_of
from napari_disentangle.model.statistics import Values
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_disentangle.model.affine.net import Readers
    from napari_disentangle.model.affine.swaps import Swaps

# Swaps in a micro-batch.
BATCH = 8


@dataclass(frozen=True, eq=False)
class Classes:
    """Swaps with a known truth, for the networks of `affine`.

    Every network learns for itself: what they do differently is what their common
    swap wins by.

    Attributes
    ----------
    start
        Weights to begin with; new networks if ``None``.
    readers
        How many new networks there are.
    """

    start: Weights | None = None
    readers: int = 2
    rate: float = 2e-3
    decay: float = 1e-2
    clip: float = 1.0
    used: float = 1.0
    falls_back: bool = True

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, Readers]:
        """New networks, or those to go on with."""
        import torch

        from napari_disentangle.model.affine.net import ClassNet, Readers, build

        yield
        channels = len(bank.learn[0][0])
        if self.start is not None:
            known = build(self.start.tensors)
            _check_channels(known.channels, channels)
            known.used.fill_(1.0)  # what was not enough before may be now
            return known.requires_grad_().train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Readers([ClassNet(channels) for _ in range(self.readers)])

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """Errors of the swaps of every network."""
        from napari_disentangle.model.affine.swaps import errors, make

        swaps = make(bank.learn, BATCH, seed).to(device_of(net))
        value, decibels = errors(_readers(net), swaps)
        return value, float(decibels.detach().mean())

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of the swaps of all networks together."""
        from napari_disentangle.model.affine.swaps import exam

        return exam(_readers(net), swaps)


def _check_channels(known: int, channels: int) -> None:
    """Refuse images that the weights cannot be for."""
    if known != channels:
        raise DataError(
            f"what was learned so far is for {known} channels together, but these "
            f"images have {channels}: choose others"
        )


def _readers(net: nn.Module) -> Readers:
    from napari_disentangle.model.affine.net import Readers

    assert isinstance(net, Readers)
    return net
