"""A small encoder of pictures of objects, of about 100,000 parameters.

Widths are OUR CHOICE.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

WIDTHS = (24, 48, 64, 96)
# How many values a code has, and how many of the first are codes of their own (nested
# as the representations of Kusupati et al. 2022, arXiv 2205.13147).
NESTED = (4, 8, 16, 32)


class Encoder(nn.Module):
    """Codes (B, 32) of objects from their pictures and sizes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels + 1, *WIDTHS)
        self.blocks = nn.Sequential(*(_half(a, b) for a, b in pairwise(widths)))
        self.out = nn.Linear(WIDTHS[-1] + 1, NESTED[-1])

    def forward(self, x: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        """The codes.

        Parameters
        ----------
        x
            Standardised pictures (B, C + 1, h, w), of which the last is the mask.
        size
            Standardised logarithms of the objects' sizes (B,), which pictures that are
            all as large do not show.
        """
        seen = torch.cat([self.blocks(x).mean((2, 3)), size[:, None]], 1)
        codes: torch.Tensor = self.out(seen)
        return codes


def expander(width: int, expanded: int) -> nn.Sequential:
    """What a code is compared in while it is learned."""
    return nn.Sequential(
        nn.Linear(width, expanded, bias=False),
        nn.BatchNorm1d(expanded),
        nn.ReLU(),
        nn.Linear(expanded, expanded),
    )


def _half(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    )
