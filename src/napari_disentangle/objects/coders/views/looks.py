"""Views of objects: another look, turned, zoomed, and on another background.

Ranges are OUR CHOICE. Backgrounds are swapped as in the consistency under background
augmentation of Qin et al. 2023 (arXiv 2305.16140).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

# Spreads of the logarithm of gain, of all channels and of each; of mixing of channels;
# of contrast; and of what is added, to all and to each. Largest noise, logarithm of
# zoom and shift, and the share that is on another background.
_GAIN, _OWN_GAIN, _MIXING, _CONTRAST = 0.25, 0.15, 0.1, 0.1
_OFFSET, _OWN_OFFSET = 0.3, 0.2
_NOISE, _ZOOM, _SHIFT, _SWAPPED = 0.15, 0.25, 0.1, 0.5


def view(
    values: torch.Tensor,
    masks: torch.Tensor,
    generator: torch.Generator,
    looks: bool = True,
    backgrounds: bool = True,
) -> torch.Tensor:
    """A view of every object.

    Parameters
    ----------
    values
        Standardised pictures (B, C, h, w).
    masks
        How much of every pixel is the object (B, h, w).
    generator
        Of all that is random.
    looks, backgrounds
        Whether views differ by the look, and by the background.

    Returns
    -------
    torch.Tensor
        (B, C + 1, h, w), the mask last.
    """
    mask = masks[:, None]
    if backgrounds:
        order = torch.randperm(len(values), generator=generator)
        elsewhere = on_background(values, mask, values[order], mask[order])
        swapped = torch.rand(len(values), 1, 1, 1, generator=generator) < _SWAPPED
        values = torch.where(swapped, elsewhere, values)
    turned = _turned(torch.cat([values, mask], 1), generator)
    if not looks:
        return turned
    return torch.cat([_looked(turned[:, :-1], generator), turned[:, -1:]], 1)


def on_background(
    values: torch.Tensor,
    mask: torch.Tensor,
    others: torch.Tensor,
    other_mask: torch.Tensor,
) -> torch.Tensor:
    """Objects (B, C, h, w) by their masks (B, 1, h, w) on the surroundings of others.

    Where the other object is, its surroundings' mean.
    """
    around = 1 - other_mask
    total = around.sum((2, 3), keepdim=True).clamp(min=1)
    level = (others * around).sum((2, 3), keepdim=True) / total
    return values * mask + (others * around + level * other_mask) * (1 - mask)


def _turned(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turned by any angle, mirrored, zoomed and shifted."""

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(len(x), *shape, generator=generator)

    angle, zoom = 2 * math.pi * uniform(), torch.exp(_ZOOM * (2 * uniform() - 1))
    mirrored, shift = torch.sign(uniform() - 0.5), _SHIFT * (2 * uniform(2) - 1)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = (
        torch.stack([cos * mirrored, -sin, shift[:, 0]], 1),
        torch.stack([sin * mirrored, cos, shift[:, 1]], 1),
    )
    grid = functional.affine_grid(
        torch.stack(rows, 1), list(x.shape), align_corners=False
    )
    return functional.grid_sample(
        x, grid, padding_mode="reflection", align_corners=False
    )


def _looked(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Other gain, mixing, offset, contrast and noise."""
    n, channels = x.shape[:2]

    def normal(spread: float, *shape: int) -> torch.Tensor:
        return spread * torch.randn(n, *shape, generator=generator)

    gain = (normal(_GAIN, 1, 1) + normal(_OWN_GAIN, channels, 1)).exp()
    matrix = gain * (torch.eye(channels) + normal(_MIXING, channels, channels))
    seen = torch.einsum("bij,bjhw->bihw", matrix, x)
    seen = seen + normal(_OFFSET, 1, 1, 1) + normal(_OWN_OFFSET, channels, 1, 1)
    seen = seen + normal(_CONTRAST, 1, 1, 1) * seen * seen.abs()
    noise = _NOISE * torch.rand(n, 1, 1, 1, generator=generator)
    return seen + noise * torch.randn(seen.shape, generator=generator)
