"""What a model learns from: how fitting begins, micro-batches, exams.

A lesson is all that differs between the models that learn; the loop is in ``train``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

from napari_disentangle.model.statistics import Values
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_disentangle.model.affine.swaps import Swaps


class Lesson(Protocol):
    """What the loop has to know of a model.

    ``rate``, ``decay`` and ``clip`` are of the optimiser; ``used`` is the share of a
    correction that is used at most, and ``falls_back`` whether the model is a closed
    form where it has not learned to be better.
    """

    @property
    def rate(self) -> float:
        """Learning rate at most."""

    @property
    def decay(self) -> float:
        """Decay of the parameters."""

    @property
    def clip(self) -> float:
        """Norm of the gradient at most."""

    @property
    def used(self) -> float:
        """Share of a correction that is used at most."""

    @property
    def falls_back(self) -> bool:
        """Whether it is a closed form where it is not better."""

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, nn.Module]:
        """The network to begin with; yields after whatever takes long."""

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """What a micro-batch makes smaller, and its mean decibels."""

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps with a known truth."""


def device_of(net: nn.Module) -> str:
    """Where a network is."""
    return str(next(net.parameters()).device)
