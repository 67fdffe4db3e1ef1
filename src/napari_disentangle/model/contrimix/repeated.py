"""contrimix by default: an invertible matrix per image, corrected until it stays.

The attribute is ContriMix's (Nguyen et al. 2023, k = 1): a matrix and an offset that
turn content maps into channels, here as many maps as channels. It begins as a closed
form, mean and covariance of balanced pixels; a network corrects it, is shown the image
under a mean look, and corrects what it still finds there. OUR CHOICE.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.image.field import Modality
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.model.affine.method import AffineCorrection, correct, trust
from napari_disentangle.model.base import Affine, Sample, Values, Weights
from napari_disentangle.model.contrimix.settings import PASSES
from napari_disentangle.model.lesson import Lesson
from napari_disentangle.model.statistics import (
    balanced,
    middle_frame,
    moments,
    statistics,
    whitening,
)

if TYPE_CHECKING:
    from napari_disentangle.model.contrimix.net import RepeatedNet


@dataclass(frozen=True)
class Repeated(AffineCorrection):
    """The model, with or without trained weights.

    The values of a group of C channels are the closed form's matrix and offset
    (C * C + C), those of the network (C * C + C), and how much of the latter is to be
    trusted (1).
    """

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the values, group by group."""
        groups = self._groups(len(channels))
        return tuple(n for group in groups for n in _names(channels[group]))

    def lesson(
        self, modality: Modality, weights: Weights | None, images: Sequence[Values]
    ) -> Lesson:
        """The swaps of `affine`, read several times."""
        from napari_disentangle.model.contrimix.lesson import Repetition

        return Repetition(modality, weights, images=images)

    @property
    def _net(self) -> RepeatedNet | None:
        return _net(self.weights) if self.weights else None

    def _group(self, sample: Sample) -> Values:
        net, n = self._net, len(sample.signal)
        if net is None or net.channels != n:
            closed = _generator(*_gains(sample))
            return np.concatenate([closed, closed, [0.0]])
        closed = _generator(*_closed(net, sample))
        trusted = trust(self.unlike(sample) or 0.0)
        last = next(itertools.islice(_passes(net, sample), PASSES - 1, None))
        return np.concatenate([closed, _generator(*last), [trusted]])

    def _map(self, channels: int, source: Values, target: Values | None) -> Affine:
        """Block by block along the diagonal; to content if there is no target."""
        matrix, offset = np.zeros((channels, channels)), np.zeros(channels)
        start = 0
        for group in self._groups(channels):
            n = group.stop - group.start
            part = slice(start, start := start + 2 * _length(n) + 1)
            known = [v[part] for v in (source, target) if v is not None]
            matrix[group, group], offset[group] = _between(n, known)
        return matrix, offset


def _length(channels: int) -> int:
    return channels * channels + channels


def _names(channels: tuple[str, ...]) -> tuple[str, ...]:
    pairs = itertools.product(channels, range(1, len(channels) + 1))
    matrix = [f"{c} of map {i}" for c, i in pairs]
    both = (*matrix, *(f"offset {c}" for c in channels))
    closed = (f"closed form: {name}" for name in both)
    return (*closed, *both, f"trust {' '.join(channels)}")


def _gains(sample: Sample) -> Affine:
    """Map to content, channel by channel: all that is known without a network."""
    found = moments(sample.signal, sample.foreground, sample.modality)
    anchor, scale = middle_frame(found)
    return np.diag(1 / scale), -anchor / scale


def _closed(net: RepeatedNet, sample: Sample) -> Affine:
    """Map to content of the closed form."""
    mean, covariance = balanced(sample.signal, sample.foreground)
    matrix = whitening(covariance, net.matrix.double().numpy())
    return matrix, -matrix @ mean


def _generator(matrix: Values, offset: Values) -> Values:
    """The way back from content (C * C + C): a matrix and an offset."""
    back = np.linalg.inv(matrix)
    return np.concatenate([back.ravel(), -back @ offset])


def _between(n: int, known: list[Values]) -> Affine:
    """From the first look to the second, or to content if there is one only.

    Both trust the network as far as the one that it knows less.
    """
    trusted = min(values[-1] for values in known)
    used = [
        (1 - trusted) * v[: _length(n)] + trusted * v[_length(n) : -1] for v in known
    ]
    (matrix, offset), *target = [(v[: n * n].reshape(n, n), v[n * n :]) for v in used]
    to_content = np.linalg.inv(matrix)
    if not target:
        return to_content, -to_content @ offset
    through = target[0][0] @ to_content
    return through, target[0][1] - through @ offset


def _passes(net: RepeatedNet, sample: Sample) -> Iterator[Affine]:
    """Map to content after every pass, without end."""
    n = len(sample.signal)
    matrix, offset = np.eye(n), np.zeros(n)
    home, middle = net.matrix.double().numpy(), net.offset.double().numpy()
    shown = sample
    while True:
        own, shift = _corrected(net, shown)
        matrix, offset = own @ matrix, own @ offset + shift
        yield matrix, offset
        again = home @ own, home @ shift + middle
        shown = _moved(shown, *again)
        matrix, offset = home @ matrix, home @ offset + middle


def _corrected(net: RepeatedNet, sample: Sample) -> Affine:
    """Map to content of one pass."""
    from scipy.linalg import expm

    matrix, offset = _closed(net, sample)
    content = statistics(sample.signal, sample.foreground, sample.modality)
    answer = correct(net, lambda t: _affine(t, matrix, offset), content, sample.tiles)
    n = len(sample.signal)
    change: Values = expm(answer[: n * n].reshape(n, n))
    return change @ matrix, change @ offset + answer[n * n :]


def _affine(tile: Values, matrix: Values, offset: Values) -> Values:
    moved: Values = np.einsum("ij,jyx->iyx", matrix, tile) + offset[:, None, None]
    return moved


def _moved(sample: Sample, matrix: Values, offset: Values) -> Sample:
    """The sample under another look, its foreground looked for again.

    A look shifts what passes for foreground; under the mean look that is gone.
    """
    signal = matrix @ sample.signal + offset[:, None]
    tiles = [(_affine(tile, matrix, offset), area) for tile, area in sample.tiles]
    found = find_foreground(signal, sample.modality)
    mask = found.mask(signal)
    if mask.any():
        tiles = [(tile, float(found.mask(tile).sum())) for tile, _ in tiles]
    else:
        mask = sample.foreground
    return Sample(signal, mask, sample.white, sample.modality, tiles)


@lru_cache(maxsize=8)
def _net(weights: Weights) -> RepeatedNet:
    from napari_disentangle.model.affine.net import build
    from napari_disentangle.model.contrimix.net import RepeatedNet

    return build(weights.tensors, RepeatedNet)
