"""Learning to code objects from two views of each, without labels.

The loss is that of VICReg (Bardes, Ponce and LeCun 2022, arXiv 2105.04906, section 4),
of every nested code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.compute.device import loading, one_thread
from napari_disentangle.model.base import Weights
from napari_disentangle.objects.coders.views.use import Seen, Standard, tensors
from napari_disentangle.objects.finder import tensors_of

if TYPE_CHECKING:
    import torch

    from napari_disentangle.objects.coders.views.net import Encoder

STEPS = 400
_BATCH, _RATE, _DECAY = 128, 3e-3, 1e-4
# Of invariance, variance and covariance, as published; width of what is compared.
_INVARIANCE, _VARIANCE, _COVARIANCE, _EXPANDED = 25.0, 25.0, 1.0, 128
# By how much the standardised logarithm of size differs between two views.
_SIZE = 0.15


@dataclass(frozen=True)
class Choice:
    """What two views of an object differ by, beside how it is turned.

    Attributes
    ----------
    looks, backgrounds
        Whether by the look, and by the background.
    """

    looks: bool = True
    backgrounds: bool = True


_BOTH = Choice()


@dataclass(frozen=True, eq=False)
class Learning:
    """Where learning is.

    Attributes
    ----------
    index, budget
        Steps made, and all there will be; 0 while objects are cut out.
    loss
        Of the last step.
    """

    index: int
    budget: int
    loss: float = np.nan
    net: Encoder | None = field(default=None, repr=False)
    standard: Standard | None = field(default=None, repr=False)

    def weights(self) -> Weights | None:
        """What was learned so far, if anything."""
        if self.net is None or self.standard is None:
            return None
        learned = tensors(self.standard, tensors_of(self.net))
        return Weights(learned, {"steps": self.index})


def learning(
    parts: Sequence[Seen], seed: int = 0, steps: int = STEPS, choice: Choice = _BOTH
) -> Iterator[Learning]:
    """Learn an encoder of objects, step by step.

    Parameters
    ----------
    parts
        The objects, in any number of parts.
    seed
        Decides every random choice.
    steps
        Micro-batches.
    choice
        What two views of an object differ by.

    Yields
    ------
    Learning
        One per micro-batch.
    """
    every = (np.concatenate([getattr(part, name) for part in parts])
             for name in ("values", "masks", "sizes"))  # fmt: skip
    seen = Seen(*every)
    for _ in loading():
        yield Learning(0, steps)
    course = _Course(seen, seed, steps, choice)
    for index in range(1, steps + 1):
        with one_thread():
            loss = course.step()
        yield Learning(index, steps, loss, course.net, course.standard)


class _Course:
    """An encoder that learns."""

    def __init__(self, seen: Seen, seed: int, steps: int, choice: Choice) -> None:
        import torch
        from torch import nn

        from napari_disentangle.objects.coders.views.net import (
            NESTED,
            Encoder,
            expander,
        )

        self.standard, self._choice = Standard.of(seen), choice
        self._values, self._masks, self._sizes = self.standard.apply(seen)
        self._generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = Encoder(seen.values.shape[1])
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._heads = nn.ModuleList(expander(n, _EXPANDED) for n in NESTED)
        self._nested = NESTED
        every = [*self.net.parameters(), *self._heads.parameters()]
        self._optimiser = torch.optim.AdamW(every, _RATE, weight_decay=_DECAY)
        self._rate = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, _RATE, total_steps=max(steps + 1, 11)
        )

    def step(self) -> float:
        """Learn from a micro-batch; its loss."""
        import torch

        drawn = torch.randperm(len(self._values), generator=self._generator)[:_BATCH]
        one, other = self.net.train()(*self._two_views(drawn)).chunk(2)
        heads = zip(self._nested, self._heads, strict=True)
        losses = [vicreg(head(one[:, :n]), head(other[:, :n])) for n, head in heads]
        loss = torch.stack(losses).mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._rate.step()
        return float(loss.detach())

    def _two_views(self, drawn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures of both, and sizes."""
        import torch

        from napari_disentangle.objects.coders.views.looks import view

        values, masks = self._values[drawn], self._masks[drawn]
        looks, backgrounds = self._choice.looks, self._choice.backgrounds
        both = [
            view(values, masks, self._generator, looks, backgrounds) for _ in range(2)
        ]
        sizes = self._sizes[drawn].repeat(2)
        jitter = torch.randn(sizes.shape, generator=self._generator)
        pictures = torch.cat(both).to(memory_format=torch.channels_last)
        return pictures, sizes + _SIZE * jitter


def vicreg(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Loss of two views (B, D) of the same objects."""
    alike = ((one - other) ** 2).mean()
    return _INVARIANCE * alike + _regular(one) + _regular(other)


def _regular(z: torch.Tensor) -> torch.Tensor:
    """How far values are from varying, each by itself."""
    import torch

    centred = z - z.mean(0)
    flat = torch.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() / 2
    covariance = centred.T @ centred / (len(z) - 1)
    shared = (covariance**2).sum() - (covariance.diagonal() ** 2).sum()
    return _VARIANCE * flat + _COVARIANCE * shared / z.shape[1]
