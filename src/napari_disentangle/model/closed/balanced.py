"""balanced: background and foreground weigh alike, however much there is of each.

One gain and one offset per channel, as in ``meanstd``, but from moments in which all of
the background has one fixed weight and all of the foreground the rest. An image with
more cells is then not a darker stain. The weight of the background grows where the two
images show much of it: ``meanstd`` on foreground is weight 0, ``levels`` is weight 1.
In fluorescence every channel has a foreground of its own, of which only the dimmer part
counts: a few bright cells are not a longer exposure. OUR CHOICE, from no paper.
"""

import numpy as np

from napari_disentangle.model.base import (
    Affine,
    AffineMethod,
    Sample,
    Values,
    per_channel,
)
from napari_disentangle.model.statistics import anchor_and_scale, moments, share, weight


def _estimate(sample: Sample, config: object) -> Values:
    if sample.modality == "brightfield":
        return moments(sample.signal, sample.foreground, sample.modality)
    parts = [sample.part(slice(c, c + 1)) for c in range(len(sample.signal))]
    each = [moments(part.signal, part.foreground, part.modality) for part in parts]
    return np.stack(each, axis=1).ravel()


def _standardise(values: Values, background: Values) -> Affine:
    anchor, scale = anchor_and_scale(values, background)
    return np.diag(1 / scale), -anchor / scale


def _frame(values: Values) -> Affine:
    return _standardise(values, weight(share(values)))


def _between(source: Values, target: Values) -> Affine:
    background = weight((share(source) + share(target)) / 2)
    anchor_s, scale_s = anchor_and_scale(source, background)
    anchor_t, scale_t = anchor_and_scale(target, background)
    gain = scale_t / scale_s
    return np.diag(gain), anchor_t - gain * anchor_s


METHOD = AffineMethod(
    description="Matches background and foreground, each with a fixed weight.",
    names=per_channel("background", "foreground", "log spread", "share"),
    estimate=_estimate,
    frame=_frame,
    between=_between,
    robust=True,
)
