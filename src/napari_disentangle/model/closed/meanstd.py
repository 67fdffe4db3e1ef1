"""meanstd: one gain and one offset per channel, from mean and standard deviation.

In absorbance for brightfield, in intensity for fluorescence (Reinhard et al. 2001,
IEEE CG&A 21(5), section 2, without its colour space).
"""

from dataclasses import replace

import numpy as np

from napari_disentangle.model.base import (
    Affine,
    AffineMethod,
    Sample,
    Values,
    per_channel,
)
from napari_disentangle.model.statistics import log_std


def moments(pixels: Values) -> Values:
    """Mean and log standard deviation per channel (2C,) of pixels (C, N)."""
    mean, std = pixels.mean(axis=1), pixels.std(axis=1)
    return np.concatenate([mean, log_std(std, mean)])


def standardise(values: Values) -> Affine:
    """Affine map to mean 0 and standard deviation 1 per channel."""
    mean, log_sd = np.split(values, 2)
    gain = np.exp(-log_sd)
    return np.diag(gain), -gain * mean


def _masked(sample: Sample, config: object) -> Values:
    return moments(sample.tissue)


def _unmasked(sample: Sample, config: object) -> Values:
    return moments(sample.signal)


METHOD = AffineMethod(
    description="Matches mean and spread of every channel, measured on foreground.",
    names=per_channel("mean", "log std"),
    estimate=_masked,
    frame=standardise,
)

UNMASKED = replace(
    METHOD,
    description="Matches mean and spread of every channel over the whole image.",
    estimate=_unmasked,
    masked=False,
)
