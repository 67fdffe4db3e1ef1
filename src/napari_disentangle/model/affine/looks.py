"""Random looks to learn from: changes of appearance, drawn and put on batches of tiles.

Two families for brightfield, mixed half and half. Ranges are OUR CHOICE; stain amounts
and vectors are those of Ruifrok and Johnston 2001, made to vary as in the colour
augmentation of Tellez et al. 2018 (IEEE TMI 37(9)).
"""

from dataclasses import dataclass

import torch
from skimage.color import rgb_from_hed
from torch.nn.functional import conv1d, pad

from napari_disentangle.image.signal import from_signal, to_signal

# Reach of a blur in pixels on either side.
_RADIUS = 3
_GREY_LEVEL = 1 / 255


@dataclass(frozen=True, eq=False)
class Looks:
    """One look for every tile of a batch (B, C, h, w).

    Attributes
    ----------
    matrix, offset
        Linear change of the signal, (B, C, C) and (B, C).
    curve
        Strength of a monotone tone curve (B,); 0 is none.
    blur
        Standard deviation in pixels (B,).
    noise
        Standard deviation of camera noise in shown values (B,).
    """

    matrix: torch.Tensor
    offset: torch.Tensor
    curve: torch.Tensor
    blur: torch.Tensor
    noise: torch.Tensor

    def change(self, signal: torch.Tensor) -> torch.Tensor:
        """What the camera would show without noise (B, C, h, w); 1 is full scale."""
        x = torch.einsum("bij,bjhw->bihw", self.matrix, signal)
        x = (x + self.offset[..., None, None]).clamp(min=0)
        curve = self.curve[:, None, None, None]
        x = x + curve * x * (x - 0.8) / (1 + x)
        return _blurred(show(x), self.blur)

    def photograph(
        self, shown: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The same as a camera gives it: noisy, and in 8 bits."""
        noise = torch.randn(shown.shape, generator=generator)
        noisy = shown + self.noise[:, None, None, None] * noise
        return (noisy / _GREY_LEVEL).round().clamp(0, 255) * _GREY_LEVEL


def show(signal: torch.Tensor) -> torch.Tensor:
    """Absorbance to transmittance."""
    return from_signal(signal, "absorbance", 1.0).clamp(0, 1)


def see(shown: torch.Tensor) -> torch.Tensor:
    """Transmittance to absorbance."""
    return to_signal(shown, "absorbance", 1.0)


def draw(batch: int, channels: int, generator: torch.Generator) -> Looks:
    """Draw one look for each tile of a batch."""
    dice = _Dice(batch, channels, generator)
    return _either(dice.uniform(0, 1) < 0.5, _stains(dice), _scanners(dice))


@dataclass(frozen=True)
class _Dice:
    batch: int
    channels: int
    generator: torch.Generator

    def normal(self, std: float, *shape: int) -> torch.Tensor:
        return std * torch.randn(self.batch, *shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        drawn = torch.rand(self.batch, *shape, generator=self.generator)
        return low + (high - low) * drawn

    @property
    def none(self) -> torch.Tensor:
        return torch.zeros(self.batch)


def _stains(dice: _Dice) -> Looks:
    """Other amounts and colours of three stains."""
    stains = torch.from_numpy(rgb_from_hed).float()
    changed = dice.normal(0.35, 3, 1).exp() * (stains + dice.normal(0.08, 3, 3))
    # rows of stains are absorbances: one pixel is amounts @ stains
    matrix = (torch.linalg.inv(stains) @ changed).mT
    offset = dice.uniform(0, 0.06, 3)
    none = dice.none
    return Looks(matrix, offset, none, none, none)


def _scanners(dice: _Dice) -> Looks:
    """Other exposure, colour balance, tone, sharpness and noise."""
    n = dice.channels
    gain = (dice.normal(0.2, 1, 1) + dice.normal(0.1, n, 1)).exp()
    matrix = gain * (torch.eye(n) + dice.normal(0.04, n, n))
    return Looks(
        matrix,
        dice.uniform(-0.01, 0.1, 1) + dice.uniform(0, 0.04, n),
        dice.normal(0.15),
        dice.uniform(-0.6, 1.2).clamp(min=0),
        dice.uniform(0, 5 * _GREY_LEVEL),
    )


def _either(first: torch.Tensor, one: Looks, other: Looks) -> Looks:
    """Tile by tile one of two looks."""
    names = ("matrix", "offset", "curve", "blur", "noise")
    mixed = {}
    for name in names:
        a, b = getattr(one, name), getattr(other, name)
        mixed[name] = torch.where(first.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return Looks(**mixed)


def _blurred(shown: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of every tile by its own width, along both axes."""
    chosen = (sigma > 0.1).nonzero()[:, 0]
    if not len(chosen):
        return shown
    steps = torch.arange(-_RADIUS, _RADIUS + 1)
    kernels = torch.exp(-0.5 * (steps / sigma[chosen, None]) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    blurred = shown.clone()
    for i, kernel in zip(chosen.tolist(), kernels, strict=True):
        blurred[i] = _along_rows(_along_rows(shown[i], kernel).mT, kernel).mT
    return blurred


def _along_rows(tile: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    rows = pad(tile.reshape(-1, 1, tile.shape[-1]), (_RADIUS, _RADIUS), mode="reflect")
    return conv1d(rows, kernel[None, None]).reshape(tile.shape)
