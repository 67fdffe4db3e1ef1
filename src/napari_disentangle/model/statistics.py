"""Numbers about pixels: balanced moments.

Pixels are (C, N), in absorbance or intensity; which of them are foreground is given.
"""

import math
from typing import Any

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles, Mask, chosen
from napari_disentangle.image.field import Modality

Values = Array

# With less background than this share of the pixels, its level is that of the pixels
# with the least signal.
_LEAST_BACKGROUND = 0.01
# Weight of the background: the lower where it fills less than _PLENTY of the image,
# and growing from there. Chosen on slides that no benchmark reports.
_WEIGHTS = (0.45, 0.93)
_PLENTY = 0.3
_SLOPE = 1.8
# Percentiles that stand for the lightest and the darkest.
_ENDS = 1.0, 99.0
# Share of the foreground that moments are taken of, from the dimmest pixels on: few
# bright cells are what differs most between fields of one look. Chosen on fields that
# no benchmark reports, with a look at two small sources that one does.
_DIM: dict[Modality, float] = {"brightfield": 1.0, "fluorescence": 0.4}


def moments(signal: Array, foreground: Mask, modality: Modality) -> Values:
    """Background level, mean and log spread of the foreground, share of background.

    Parameters
    ----------
    signal
        Pixels (C, N).
    foreground
        Which of them are foreground (N,).
    modality
        In fluorescence only the dimmer foreground counts.

    Returns
    -------
    ndarray
        The four of every channel (4C,). The level is the mean of the lower half of the
        background, which light scattered from the foreground does not reach.
    """
    tissue = _lowest(chosen(signal, foreground), _DIM[modality])
    mean, std = tissue.mean(axis=1), tissue.std(axis=1)
    share = np.full(len(signal), 1 - foreground.mean())
    level = _lowest(_background(signal, foreground), 0.5).mean(axis=1)
    return np.concatenate([level, mean, log_std(std, mean), share])


def _background(signal: Array, foreground: Mask) -> Array:
    background: Array = chosen(signal, ~foreground)
    fewest = max(1, math.ceil(_LEAST_BACKGROUND * signal.shape[1]))
    if background.shape[1] >= fewest:
        return background
    lowest = np.argpartition(signal.mean(axis=0), fewest - 1)[:fewest]
    return signal[:, lowest]


def _lowest(pixels: Array, share: float) -> Array:
    """The lowest of every channel."""
    n = math.ceil(share * pixels.shape[1])
    if n in (0, pixels.shape[1]):
        return pixels
    return np.partition(pixels, n - 1, axis=1)[:, :n]


def weight(share: Any) -> Any:
    """Weight of the background for a share of background; arrays or tensors."""
    return (_WEIGHTS[0] + _SLOPE * (share - _PLENTY)).clip(*_WEIGHTS)


def anchor_and_scale(values: Any, background: Any) -> tuple[Any, Any]:
    """Mean and spread of balanced pixels.

    Parameters
    ----------
    values
        What :func:`moments` gives, (..., 4C), as array or tensor.
    background
        Weight of the background (..., C).

    Returns
    -------
    tuple
        Mean and standard deviation (..., C) of a mixture of the two classes, without
        the spread inside the background.
    """
    n = values.shape[-1] // 4
    level, mean, log_sd = (values[..., i * n : (i + 1) * n] for i in range(3))
    anchor = background * level + (1 - background) * mean
    between = background * (1 - background) * (mean - level) ** 2
    return anchor, (between + (1 - background) * math.e ** (2 * log_sd)) ** 0.5


def share(values: Any) -> Any:
    """Share of background (..., C) in what :func:`moments` gives."""
    return values[..., values.shape[-1] // 4 * 3 :]


def balanced(signal: Array, foreground: Mask) -> tuple[Values, Values]:
    """Mean (C,) and covariance (C, C) of pixels, background and foreground alike.

    Each of the two weighs one half, whatever its share; where one is missing, all
    pixels weigh the same.
    """
    share = foreground.mean()
    each = np.where(foreground, 1 - share, share) if 0 < share < 1 else np.ones(1)
    weights = np.broadcast_to(each, foreground.shape) / (each.mean() * len(foreground))
    weights = weights.astype(signal.dtype)
    mean = signal @ weights
    centred = signal - mean[:, None]
    return mean, (centred * weights) @ centred.T


def log_std(std: Doubles, mean: Doubles) -> Values:
    """Logarithm of a spread, kept away from zero by a thousandth of the mean."""
    floor = np.maximum(1e-3 * np.abs(mean), 1e-6)
    return np.log(np.maximum(std, floor))


def ends(signal: Array, foreground: Mask) -> Values:
    """What is lightest, and the log range up to what is darkest (2C,).

    The lightest percent of pixels (C, N), and the darkest percent of the foreground
    (N,): a few cells on an empty slide have a range as well.
    """
    some = chosen(signal, foreground) if foreground.any() else signal
    low = np.percentile(signal, _ENDS[0], axis=1)
    high = np.percentile(some, _ENDS[1], axis=1)
    return np.concatenate([low, log_std(high - low, low)])


def middle_frame(values: Any) -> tuple[Any, Any]:
    """Anchor and scale (..., C) in which the networks see an image."""
    return anchor_and_scale(values, 0.5)
