"""Numbers that a probe may read a look from: colours, and random convolutions."""

import math

import numpy as np
from numpy.typing import ArrayLike

from napari_disentangle.audit.checks import ROUNDING, channels_first
from napari_disentangle.image.arrays import Doubles, Floats

_PERCENTS = (1, 5, 25, 50, 75, 95, 99)
# Channels of the random layers, the side of their kernels, and their step.
_WIDTHS = (16, 32)
_KERNEL = 5
_STEP = 2
# Two such layers leave at least one value of this many pixels.
_SMALLEST = 16


def colour_features(image: ArrayLike) -> Doubles:
    """Statistics of the colours of an image; where its pixels lie does not matter.

    Parameters
    ----------
    image
        Pixels (C, Y, X), in any unit that all images of one probe share.

    Returns
    -------
    ndarray
        Of every channel mean, standard deviation, skewness (0 if constant), the 1st,
        5th, 25th, 50th, 75th, 95th and 99th percentile; then the covariances between
        channels: (10C + C(C - 1) / 2,), which is 33 for RGB.
    """
    values = channels_first(image)
    pixels = values.reshape(len(values), -1)
    mean, std = pixels.mean(axis=1), pixels.std(axis=1)
    percentiles = np.percentile(pixels, _PERCENTS, axis=1).ravel()
    covariance = np.atleast_2d(np.cov(pixels, bias=True))
    between = covariance[np.triu_indices(len(pixels), 1)]
    return np.concatenate([mean, std, _skewness(pixels), percentiles, between])


def _skewness(pixels: Doubles) -> Doubles:
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    std = centred.std(axis=1)
    varied = std > ROUNDING * np.abs(pixels).max(axis=1)
    cubes: Doubles = (centred**3).mean(axis=1)
    return np.where(varied, cubes / np.where(varied, std, 1) ** 3, 0.0)


def convolution_features(image: ArrayLike, seed: int = 0) -> Doubles:
    """Mean and spread of what two layers of frozen random convolutions see.

    Random filters see texture, sharpness and noise, which colours do not show (Jarrett
    et al. 2009, "What is the best multi-stage architecture for object recognition?").

    Parameters
    ----------
    image
        Pixels (C, Y, X), at least 16 x 16, in any unit that all images of one probe
        share.
    seed
        Of the filters. Features of different seeds or numbers of channels cannot be
        compared.

    Returns
    -------
    ndarray
        Mean and standard deviation of 16, then of 32 rectified channels (96,).

    Raises
    ------
    ValueError
        If the image is smaller.
    """
    import torch

    values = channels_first(image)
    if min(values.shape[1:]) < _SMALLEST:
        raise ValueError(
            f"an image of {values.shape[1]} x {values.shape[2]} pixels is too small: "
            f"give at least {_SMALLEST} x {_SMALLEST}"
        )
    x = torch.from_numpy(values.astype(np.float32))[None]
    rng = np.random.default_rng(seed)
    pooled = []
    for width in _WIDTHS:
        weight = torch.from_numpy(_filters(rng, width, x.shape[1]))
        x = torch.nn.functional.conv2d(x, weight, stride=_STEP).relu()
        pooled += [x.mean(dim=(2, 3)), x.std(dim=(2, 3), correction=0)]
    features: Doubles = torch.cat(pooled, dim=1)[0].numpy()
    return features.astype(np.float64)


def _filters(rng: np.random.Generator, width: int, channels: int) -> Floats:
    """Normal weights that keep the size of values (He et al. 2015)."""
    gain = math.sqrt(2 / (channels * _KERNEL**2))
    weights = rng.standard_normal((width, channels, _KERNEL, _KERNEL)) * gain
    return weights.astype(np.float32)
