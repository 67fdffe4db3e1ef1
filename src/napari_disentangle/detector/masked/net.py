"""The masked predictor: what hidden pixels should be, from the pixels around them.

A U-Net of gated convolutions (Yu et al. 2019, "Free-Form Image Inpainting with Gated
Convolution") that sees an image with holes and the map of the holes, and gives the
expected signal and how far off it tends to be. Hidden values are set to 0 before
anything looks at them, and nothing is normalised over pixels, so that neither a hidden
pixel nor the size of a tile reaches a prediction. The number of levels, the widths and
the scale output are OUR CHOICE.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

Damp = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
# Natural logarithm of the smallest and the largest scale, in units of the signal.
_SCALES = (-5.0, 2.0)
# Weight of the pixels that are not hidden.
_SEEN = 1 / 8


@dataclass(frozen=True)
class Plan:
    """Size of a predictor.

    Attributes
    ----------
    channels
        Of the image.
    ndim
        2, or 3 for stacks.
    widths
        Features of each level; every level after the first has half the resolution.
    """

    channels: int = 1
    ndim: int = 2
    widths: tuple[int, ...] = (16, 32, 48, 64)


class Gated(nn.Module):
    """Convolution of 3 pixels whose output is damped by a gate that it learns."""

    def __init__(self, inner: int, outer: int, ndim: int) -> None:
        super().__init__()
        self.both = CONVOLUTION[ndim](inner, 2 * outer, 3, padding=1)
        self._convolve = functional.conv2d if ndim == 2 else functional.conv3d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gated features of the same size.

        Value and gate are computed apart, and in place where nothing is learned: with
        large tiles much of the time goes into getting memory.
        """
        assert self.both.bias is not None
        weights, biases = self.both.weight.chunk(2), self.both.bias.chunk(2)
        value, gate = (
            self._convolve(x, weight, bias, padding=1)
            for weight, bias in zip(weights, biases, strict=True)
        )
        if torch.is_grad_enabled():
            return functional.elu(value) * torch.sigmoid(gate)
        return functional.elu_(value).mul_(gate.sigmoid_())


class Predictor(nn.Module):
    """Expected signal and its scale where an image is hidden."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        widths, ndim = plan.widths, plan.ndim
        inner = (plan.channels + 1, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(Gated(one, two, ndim), Gated(two, two, ndim))
            for one, two in zip(inner, widths, strict=True)
        )
        pairs = list(pairwise(widths))
        self.up = nn.ModuleList(
            nn.Sequential(Gated(one + two, one, ndim), Gated(one, one, ndim))
            for one, two in reversed(pairs)
        )
        self.out = CONVOLUTION[ndim](widths[0], 2 * plan.channels, 1)

    def forward(
        self, signal: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict every pixel.

        Parameters
        ----------
        signal
            (B, C, [Z,] Y, X), edges multiples of ``step``.
        hidden
            (B, 1, [Z,] Y, X) bool, where the signal must not be looked at.

        Returns
        -------
        expected, scale
            Of the shape of ``signal``; ``scale`` is that of a Laplace distribution.
        """
        skips = self.encode(signal, hidden)
        return self.decode(skips)

    def encode(self, signal: torch.Tensor, hidden: torch.Tensor) -> list[torch.Tensor]:
        """Features of all levels, the finest first."""
        x = torch.cat([torch.where(hidden, 0.0, signal), hidden.to(signal.dtype)], 1)
        skips = []
        for level, block in enumerate(self.down):
            x = block(_halved(x) if level else x)
            skips.append(x)
        return skips

    def decode(
        self, skips: Sequence[torch.Tensor], damp: Damp | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Expected signal and scale from the features.

        ``damp`` may change a skip, given the features that it joins; the coarsest
        skip comes first.
        """
        x = skips[-1]
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = _doubled(x)
            x = block(torch.cat([x, damp(skip, x) if damp else skip], 1))
        expected, scale = self.out(x).chunk(2, 1)
        return expected, scale.clamp(*_SCALES).exp()

    @property
    def step(self) -> int:
        """Edges of what is predicted are multiples of this."""
        return 1 << (len(self.plan.widths) - 1)


def _halved(x: torch.Tensor) -> torch.Tensor:
    pool = functional.avg_pool2d if x.ndim == 4 else functional.avg_pool3d
    return pool(x, 2)


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def surprise(
    signal: torch.Tensor,
    known: torch.Tensor,
    hidden: torch.Tensor,
    expected: torch.Tensor,
    scale: torch.Tensor,
) -> torch.Tensor:
    """Negative log-likelihood of the known signal under Laplace, hidden pixels first.

    Pixels that were seen weigh an eighth, as in Astaraki et al. 2023 (their code: 30
    to 240).
    """
    loss = (signal - expected).abs() / scale + torch.log(2 * scale)
    weight = torch.where(hidden, 1.0, _SEEN) * known
    return (loss * weight).sum() / (weight.sum() * signal.shape[1]).clamp_min(1)
