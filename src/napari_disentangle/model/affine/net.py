"""The networks behind ``affine``: soft classes of pixels that depend on no look.

ContriMix (Nguyen et al. 2023, section 3) takes an image for a few content maps times a
few attribute vectors. Here the maps are classes, which sum to 1 in every pixel, and the
vectors are their mean colours. OUR CHOICE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from scipy.ndimage import distance_transform_edt
from torch import nn
from torch.nn.functional import avg_pool2d, pad

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.model.affine.palette import Rule
from napari_disentangle.model.statistics import middle_frame

# Edge in pixels of what becomes one pixel of the classes.
STRIDE = 2
# Content beyond this many standard deviations looks alike to the networks.
_LIMIT = 4.0
# Spread that whitening divides by at least, as a share of the largest variance.
_LEAST_VARIANCE = 2e-3
# What the rule of a new network begins with.
_RIDGE, _FAR = 0.02, 0.4
# Rounds while it is learned, which are as many as gradients are worth, and when it is
# used; and how much less it puts up with then. Chosen on groups that are not reported.
_LEARNING, _ROUNDS, _STRICT = 3, 8, 0.5
_DILATIONS = (1, 2, 4, 8)
# Pixels around one that its class hangs on, at the networks' resolution.
REACH = sum(_DILATIONS)


class _Reach(nn.Conv2d):
    """A convolution of 3 x 3 with gaps, as large as its input, and what is positive."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gap = int(self.dilation[0])
        wide = pad(x, (gap, gap, gap, gap), mode="replicate")
        return super().forward(wide).relu()


class ClassNet(nn.Module):
    """Sorts the pixels of an image into classes.

    Parameters
    ----------
    channels
        Channels of the images (C).
    classes
        Number of classes (K).
    width
        Channels of every convolution.
    """

    def __init__(self, channels: int, classes: int = 24, width: int = 24) -> None:
        super().__init__()
        self.channels = channels
        near, middle, far, farthest = _DILATIONS
        self.fine = nn.Sequential(
            _Reach(2 * channels, width, 3, dilation=near),
            _Reach(width, width, 3, dilation=middle),
        )
        self.coarse = nn.Sequential(
            _Reach(width, width, 3, dilation=far),
            _Reach(width, width, 3, dilation=farthest),
        )
        self.head = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 1),
            nn.ReLU(),
            nn.Conv2d(2 * width, classes, 1),
        )
        self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.log_trust = nn.Parameter(torch.zeros(classes))
        self.log_ridge = nn.Parameter(torch.full((2,), _RIDGE).log())
        self.log_far = nn.Parameter(torch.tensor(_FAR).log())

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Classes (B, K, h, w) that sum to 1, of what :func:`seen` gives."""
        # twice as fast on processors
        fine = self.fine(seen.contiguous(memory_format=torch.channels_last))
        evidence = self.head(torch.cat([fine, self.coarse(fine)], dim=1))
        classes: torch.Tensor = (self.log_sharpness.exp() * evidence).softmax(dim=1)
        return classes


class Readers(nn.Module):
    """Networks that read one image each for itself; what they find is put together.

    Attributes
    ----------
    used
        1, or 0 if what was learned is not to be used.
    """

    used: torch.Tensor

    def __init__(self, nets: list[ClassNet]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.register_buffer("used", torch.ones(()))

    def each(self) -> list[ClassNet]:
        """The networks."""
        return [net for net in self.nets if isinstance(net, ClassNet)]

    def parts(self) -> Iterator[tuple[slice, Readers]]:
        """Where the classes of every network are, and that network alone."""
        start = 0
        for net in self.each():
            alone = Readers([net])
            alone.used = self.used
            yield slice(start, start := start + len(net.log_trust)), alone

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Classes (B, K, h, w) of all networks that sum to 1."""
        return torch.cat([net(seen) for net in self.each()], dim=1) / len(self.nets)

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.each()[0].channels

    @property
    def classes(self) -> int:
        """Number of the classes of all networks."""
        return sum(len(net.log_trust) for net in self.each())

    @property
    def rule(self) -> Rule:
        """How much the classes of all networks say."""
        known = self.lenient
        return replace(known, far=_STRICT * known.far, rounds=_ROUNDS)

    @property
    def lenient(self) -> Rule:
        """The same as it is learned, in fewer rounds."""
        nets = self.each()
        trust = torch.cat([net.log_trust for net in nets]).exp()
        ridge = torch.stack([net.log_ridge for net in nets]).exp().mean(dim=0)
        far = torch.stack([net.log_far for net in nets]).exp().mean()
        return Rule(self.used * trust, ridge, far, _LEARNING)


def seen(
    signal: torch.Tensor,
    moments: torch.Tensor,
    mean: torch.Tensor,
    covariance: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the networks see, in which looks differ less.

    Parameters
    ----------
    signal
        (B, C, h, w), with even h and w; NaN where it is not known.
    moments
        Of the closed form `balanced` (B, 4C).
    mean, covariance
        Of balanced pixels, (B, C) and (B, C, C).

    Returns
    -------
    tuple
        Maps (B, 2C, h / 2, w / 2): the signal in the frame of `balanced`, and
        white; and the signal itself (B, C, h / 2, w / 2).
    """
    known = avg_pool2d(signal.isfinite().to(signal), STRIDE)
    small = avg_pool2d(signal.nan_to_num(), STRIDE) / known  # NaN where nothing is
    anchor, scale = (v[..., None, None] for v in middle_frame(moments))
    shown = _filled(small)
    framed = (shown - anchor) / scale
    centred = shown - mean[..., None, None].to(small)
    white = torch.einsum("bij,bjhw->bihw", whitening(covariance).to(small), centred)
    maps = torch.cat([framed, white], dim=1).nan_to_num().clamp(-_LIMIT, _LIMIT)
    return maps, small


def _filled(signal: torch.Tensor) -> torch.Tensor:
    """A signal (B, C, h, w) that goes on where it is not known, as at a border."""
    known = signal.isfinite().all(dim=1)
    if bool(known.all()):
        return signal
    filled = signal.clone()
    for one, own in zip(filled, known.cpu().numpy(), strict=True):
        y, x = distance_transform_edt(~own, return_distances=False, return_indices=True)
        one.copy_(one[:, y, x])
    return filled


def whitening(covariance: torch.Tensor) -> torch.Tensor:
    """Matrices (B, C, C) that make pixels white and move them least."""
    values, vectors = torch.linalg.eigh(covariance.double())
    least = (_LEAST_VARIANCE * values[..., -1:]).clamp(min=1e-8)
    scaled = vectors / values.maximum(least).sqrt()[..., None, :]
    white: torch.Tensor = scaled @ vectors.mT
    return white


def build(tensors: Mapping[str, Floats]) -> Readers:
    """Networks from their tensors by name, ready to be asked.

    Raises
    ------
    ValueError
        If they are not those of such networks.
    """
    if "home" in tensors:
        raise ValueError("its network is of version 0.1, the last to read it: fit anew")
    try:
        count = 1 + max(int(k.split(".")[1]) for k in tensors if k.startswith("nets."))
        with torch.random.fork_rng(devices=[]):  # nobody's chance is used up
            nets = [_blank(tensors, f"nets.{i}") for i in range(count)]
        readers = Readers(nets)
        readers.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()})
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise ValueError(f"these are not the weights of the model: {error}") from error
    return readers.eval().requires_grad_(requires_grad=False)


def _blank(tensors: Mapping[str, Floats], name: str) -> ClassNet:
    width, seen = tensors[f"{name}.fine.0.weight"].shape[:2]
    return ClassNet(seen // 2, len(tensors[f"{name}.log_trust"]), width)


def tensors_of(net: nn.Module) -> dict[str, Array]:
    """A network's parameters and buffers by name."""
    return {k: v.detach().cpu().numpy().copy() for k, v in net.state_dict().items()}
