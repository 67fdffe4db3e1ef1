"""A U-Net of about 30,000 parameters (Ronneberger et al. 2015), for foreground.

Nothing in it is normalised over the pixels of a tile, so that tiles give what the whole
gives. Widths are OUR CHOICE.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

WIDTHS = (8, 12, 16, 24)
# What it sees: the grey plane, and the same relative to what is around it.
SEEN = 2
# Sizes are multiples of this; and how far it sees: two convolutions of 3 pixels at each
# level on the way down and up, the spread of doubling, and the grid of halving.
STEP = 1 << (len(WIDTHS) - 1)
REACH = 2 * (2 * STEP - 1) + 2 * (STEP - 1) + 2 * (STEP - 1) + STEP


class Student(nn.Module):
    """Logit of the foreground (B, h, w) of planes (B, 2, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        inner = (SEEN, *WIDTHS[:-1])
        self.down = nn.ModuleList(
            _twice(a, b) for a, b in zip(inner, WIDTHS, strict=True)
        )
        upward = pairwise(reversed(WIDTHS))
        self.up = nn.ModuleList(_twice(low + high, high) for low, high in upward)
        self.out = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logit; height and width are multiples of ``STEP``."""
        kept = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for fine, block in zip(kept[-2::-1], self.up, strict=True):
            x = functional.interpolate(
                x, scale_factor=2, mode="bilinear", align_corners=False
            )
            x = block(torch.cat([x, fine], 1))
        logit: torch.Tensor = self.out(x)[:, 0]
        return logit


def _twice(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
        nn.Conv2d(outer, outer, 3, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    )
