"""levels: the background level of every channel, and how far the foreground rises.

One gain and one offset per channel, like ``meanstd``, but held at the background: its
level is an offset of its own, so that background becomes the donor's background however
the foreground varies. The rise is the root mean square beyond the background, to which
faint pixels at the border of the foreground hardly add. OUR CHOICE, from no paper.
"""

from dataclasses import replace

import numpy as np

from napari_disentangle.image.arrays import chosen
from napari_disentangle.model.base import Sample, Values, per_channel
from napari_disentangle.model.closed import meanstd
from napari_disentangle.model.statistics import log_std

# With less background than this share of the pixels, its level is not its median but
# the lowest percentile of the image.
_LEAST_BACKGROUND = 0.01


def _background(sample: Sample) -> Values:
    background = chosen(sample.signal, ~sample.foreground)
    if background.shape[1] < _LEAST_BACKGROUND * sample.signal.shape[1]:
        return np.percentile(sample.signal, 1, axis=1)
    return np.median(background, axis=1)


def _estimate(sample: Sample, config: object) -> Values:
    level = _background(sample)
    rise = np.sqrt(((sample.tissue - level[:, None]) ** 2).mean(axis=1))
    return np.concatenate([level, log_std(rise, level)])


METHOD = replace(
    meanstd.METHOD,
    description="Matches the background level and the strength of the foreground.",
    names=per_channel("background", "log rise"),
    estimate=_estimate,
)
