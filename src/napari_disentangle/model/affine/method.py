"""affine: a closed form, and a network's correction of it where it knows the images.

``balanced`` measures the look from moments, which take the tissue's composition for its
stain. The network sees the image in that frame and corrects it: ``z' = exp(A) z + b``.
The correction fades to nothing as the image leaves what the network was trained on, so
that what is left there is the closed form. OUR CHOICE.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.field import Modality
from napari_disentangle.model.base import (
    Affine,
    Method,
    Sample,
    Values,
    Weights,
    apply_affine,
    per_channel,
)
from napari_disentangle.model.lesson import Lesson
from napari_disentangle.model.statistics import (
    middle_frame,
    moments,
    share,
    statistics,
    weight,
)

if TYPE_CHECKING:
    import torch

    from napari_disentangle.model.affine.net import AffineNet

# Distance from the training images from which on the correction is gone; inside their
# edge, at 1, it is used as it is.
_GONE = 1.6
# Smallest edge in pixels of a tile that the network is shown.
_SMALLEST = 32


def trust(unlike: float) -> float:
    """Share of the correction that is used: all inside the edge, none far outside."""
    return float(np.clip((_GONE - unlike) / (_GONE - 1), 0.0, 1.0))


@dataclass(frozen=True)
class AffineCorrection(Method):
    """The model, with or without trained weights.

    Channels are corrected in groups of as many as the weights were trained on: three
    colours together, fluorescence one by one. The values of a group of C are the
    moments (4C), the correction (C * C + C), and how much of it is to be trusted (1).
    Without weights, or for other numbers of channels, nothing is corrected.
    """

    weights: Weights | None = None
    description: str = (
        "Learned: corrects `balanced` where it knows such images; can be fitted."
    )
    robust: bool = True
    learns: bool = True

    def learned(self, settings: Any, weights: Weights | None) -> Method:
        """The same with weights."""
        return replace(self, weights=weights)

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the values, group by group."""
        groups = self._groups(len(channels))
        return tuple(n for group in groups for n in _names(channels[group]))

    def estimate(self, sample: Sample, config: Any) -> Values:
        """Moments, correction and trust of every group."""
        groups = self._groups(len(sample.signal))
        return np.concatenate([self._group(sample.part(group)) for group in groups])

    def unlike(self, sample: Sample) -> float | None:
        """Distance from the training images, 1 at their edge; the largest of groups."""
        net = self._net
        if net is None:
            return None
        found = group_statistics(sample, net.channels)
        return max((_unlike(net, content) for content in found), default=None)

    def statistics(self, sample: Sample, channels: int) -> Sequence[Values]:
        """Statistics of content; none of an image without foreground."""
        return group_statistics(sample, channels) if sample.foreground.any() else ()

    def lesson(
        self, modality: Modality, weights: Weights | None, images: Sequence[Values]
    ) -> Lesson:
        """Swaps with a known truth."""
        from napari_disentangle.model.affine.lesson import Correction

        return Correction(modality, weights, images=images)

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content maps of a signal (C, ...)."""
        return apply_affine(x, *self._map(len(x), source, None))

    def transfer(self, x: torch.Tensor, source: Values, target: Values) -> torch.Tensor:
        """The signal under another attribute (C, ...)."""
        return apply_affine(x, *self._map(len(x), source, target))

    # --- groups of channels -------------------------------------------------------
    @property
    def _net(self) -> AffineNet | None:
        return _net(self.weights) if self.weights else None

    def _groups(self, channels: int) -> list[slice]:
        net = self._net
        size = net.channels if net and channels % net.channels == 0 else channels
        return [slice(i, i + size) for i in range(0, channels, size)]

    def _group(self, sample: Sample) -> Values:
        pixels = sample.signal, sample.foreground, sample.modality
        found = moments(*pixels)
        net, n = self._net, len(sample.signal)
        if net is None or net.channels != n:
            return np.concatenate([found, np.zeros(n * n + n + 1)])
        content = statistics(*pixels)
        anchor, scale = (v[:, None, None] for v in middle_frame(found))
        correction = correct(
            net, lambda tile: (tile - anchor) / scale, content, sample.tiles
        )
        return np.concatenate([found, correction, [trust(_unlike(net, content))]])

    def _map(self, channels: int, source: Values, target: Values | None) -> Affine:
        """Block by block along the diagonal; to content if there is no target."""
        matrix, offset = np.zeros((channels, channels)), np.zeros(channels)
        start = 0
        for group in self._groups(channels):
            n = group.stop - group.start
            part = slice(start, start := start + _length(n))
            known = [v[part] for v in (source, target) if v is not None]
            matrix[group, group], offset[group] = group_map(*known)
        return matrix, offset


def group_statistics(sample: Sample, channels: int) -> list[Values]:
    """Statistics (S,) of every group of so many channels, if there are whole groups."""
    n = len(sample.signal)
    starts = range(0, n, channels) if n % channels == 0 else ()
    parts = [sample.part(slice(i, i + channels)) for i in starts]
    return [statistics(p.signal, p.foreground, p.modality) for p in parts]


def correct(
    net: AffineNet,
    standard: Callable[[Values], Values],
    content: Values,
    tiles: Sequence[tuple[Array, float]],
) -> Values:
    """Ask the network about an image.

    Parameters
    ----------
    net
        The network, for C channels.
    standard
        Brings tiles (C, h, w) into the frame of a closed form.
    content
        Its statistics (S,).
    tiles
        Parts of it (C, h, w), NaN where a pixel does not count, and their weights.

    Returns
    -------
    ndarray
        Correction (C * C + C,): tiles vote by weight before the network answers.
    """
    import torch

    total = sum(area for _, area in tiles)
    features = torch.zeros(1, net.n_features)
    for tile, area in tiles:
        if area > 0:
            z = torch.from_numpy(_framed(standard(tile)))
            features += area / total * net.see(z[None])
    given = torch.from_numpy(content[None]).float()
    answer: Values = (net.used * net(features, given))[0].double().numpy()
    return answer


def _framed(standard: Array) -> Floats:
    """A tile as the network sees it: without gaps, and never too small."""
    z = np.nan_to_num(standard).astype(np.float32)
    short = [max(0, _SMALLEST - size) for size in z.shape[1:]]
    return np.pad(z, [(0, 0), *((0, n) for n in short)], mode="edge")


def group_map(source: Values, target: Values | None = None) -> Affine:
    """Affine map of one group: to another look, or to content without a target.

    The two looks trust the network as far as the one it knows less.
    """
    import torch

    from napari_disentangle.model.affine.net import between, frame

    known = [source] if target is None else [source, target]
    n = next(n for n in range(1, len(source)) if _length(n) == len(source))
    trusted = min(values[-1] for values in known)
    looks = [
        (
            torch.from_numpy(values[None, : 4 * n]),
            torch.from_numpy(trusted * values[None, 4 * n : -1]),
        )
        for values in known
    ]
    if target is None:
        matrix, offset = frame(*looks[0], weight(share(looks[0][0])))
    else:
        matrix, offset = between(*looks)
    return matrix[0].numpy(), offset[0].numpy()


def _length(channels: int) -> int:
    """Number of values of a group."""
    return 4 * channels + channels * channels + channels + 1


def _names(channels: tuple[str, ...]) -> tuple[str, ...]:
    kinds = ("background", "foreground", "log spread", "share")
    pairs = (f"correct {a}-{b}" for a, b in itertools.product(channels, repeat=2))
    shifts = (f"shift {c}" for c in channels)
    trusted = f"trust {' '.join(channels)}"
    return (*per_channel(*kinds)(channels), *pairs, *shifts, trusted)


def _unlike(net: AffineNet, content: Values) -> float:
    import torch

    return float(net.unlike(torch.from_numpy(content[None]).float())[0])


@lru_cache(maxsize=8)
def _net(weights: Weights) -> AffineNet:
    from napari_disentangle.model.affine.net import build

    return build(weights.tensors)


METHOD = AffineCorrection()
