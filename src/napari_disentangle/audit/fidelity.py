"""How near a rendered image comes to what it should be."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_disentangle.audit.checks import ROUNDING, channels_first, same_shape
from napari_disentangle.image.arrays import Doubles

# Share of values that is left out at either end when a range is measured.
_TAIL = 0.1


@dataclass(frozen=True)
class Reconstruction:
    """Absolute differences between two images, in units of the images.

    Attributes
    ----------
    mae
        Their mean.
    q99
        Their 99th percentile.
    """

    mae: float
    q99: float


def self_reconstruction(image: ArrayLike, rendered: ArrayLike) -> Reconstruction:
    """Error of an image that was rendered with its own content and attribute.

    Parameters
    ----------
    image, rendered
        Images (C, Y, X) of the same shape and unit.
    """
    one, other = same_shape(image, rendered)
    error = np.abs(one - other)
    return Reconstruction(float(error.mean()), float(np.percentile(error, 99)))


def swap_fidelity(swapped: ArrayLike, target: ArrayLike, source: ArrayLike) -> float:
    """Distance of colours to the target after a swap, divided by that before.

    The distance is that between normal distributions with the mean and covariance of
    the channels, in units of the images (Dowson & Landau 1982, "The Frechet distance
    between multivariate normal distributions"). It favours methods that match moments,
    and other content in the target alone keeps the best ratio from 0.

    Parameters
    ----------
    swapped, target, source
        Images (C, Y, X) of one unit and number of channels; their sizes may differ.

    Returns
    -------
    float
        0 if the target was reached, 1 if nothing happened, more if the swap led away.
        If the source has the colours of the target already: 0 if the swap has them
        still, else infinite.

    Raises
    ------
    ValueError
        If the numbers of channels differ.
    """
    images = [channels_first(image) for image in (swapped, target, source)]
    channels = [len(image) for image in images]
    if len(set(channels)) > 1:
        raise ValueError(f"channel counts {channels} differ: give images of one kind")
    after, goal, before = (_moments(image) for image in images)
    least = ROUNDING * max(np.abs(image).max() for image in images)
    return _ratio(_distance(after, goal), _distance(before, goal), least)


def _ratio(after: float, before: float, least: float) -> float:
    """Quotient of two distances, of which those up to ``least`` are zero."""
    if before > least:
        return after / before
    return math.inf if after > least else 0.0


def _moments(image: Doubles) -> tuple[Doubles, Doubles]:
    """Mean (C,) and root of the covariance (C, C) of the channels."""
    pixels = image.reshape(len(image), -1)
    covariance = np.atleast_2d(np.cov(pixels, bias=True))
    variances, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(variances, 0)) @ axes.T
    return pixels.mean(axis=1), root


def _distance(one: tuple[Doubles, Doubles], other: tuple[Doubles, Doubles]) -> float:
    """Frechet distance of two normal distributions.

    Its covariance part is the distance of the two roots after the best rotation
    (Bhatia et al. 2019, "On the Bures-Wasserstein distance", theorem 1), which loses no
    digits to the difference of traces.
    """
    u, _, v = np.linalg.svd(one[1].T @ other[1])
    spread = np.linalg.norm(one[1] @ (u @ v) - other[1])
    return float(np.hypot(np.linalg.norm(one[0] - other[0]), spread))


def psnr(image: ArrayLike, truth: ArrayLike, peak: float | None = None) -> float:
    """Peak signal to noise ratio in decibels; infinite if the images are the same.

    Parameters
    ----------
    image, truth
        Images (C, Y, X) of the same shape and unit.
    peak
        Full range of values, such as 255; without it, the range of every channel of the
        truth without its lowest and highest thousandth.

    Raises
    ------
    ValueError
        If a channel of the truth is constant and no peak was given, or it is not
        positive.
    """
    one, other = same_shape(image, truth)
    low, high = np.percentile(other, (_TAIL, 100 - _TAIL), axis=(1, 2))
    ranges = high - low if peak is None else np.full(len(other), peak)
    if ranges.min() <= 0:
        raise ValueError(f"a peak of {ranges.min():g} is not positive: give the range")
    error = ((one - other) ** 2).mean(axis=(1, 2)) / ranges**2
    return _decibels(1.0, float(error.mean()))


def content_agreement(one: ArrayLike, other: ArrayLike) -> float:
    """Signal to noise ratio of two content maps that should be the same, in decibels.

    The signal is the mean variance of the two within channels, the noise their mean
    squared difference. Channels of large values count most.

    Parameters
    ----------
    one, other
        Content (C, Y, X) of one image under two looks.

    Returns
    -------
    float
        Infinite if they are the same; minus infinite if neither shows anything, since
        constant content agrees with everything.
    """
    first, second = same_shape(one, other)
    signal = (first.var(axis=(1, 2)) + second.var(axis=(1, 2))).mean() / 2
    if signal == 0:
        return -math.inf
    return _decibels(float(signal), float(((first - second) ** 2).mean()))


def _decibels(signal: float, noise: float) -> float:
    return 10 * math.log10(signal / noise) if noise > 0 else math.inf
