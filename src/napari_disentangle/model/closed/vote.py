"""Three closed forms vote: `affine` where it has learned nothing.

``balanced``, ``levels`` and ``meanstd`` over the whole image err on other images each;
the former looks for foreground channel by channel, `levels` in all channels together.
Each says where a channel's background and foreground come to lie; the median of the
three is what is done. One channel alone is ``balanced``: on it, the others know nothing
more. OUR CHOICE, from no paper.
"""

import numpy as np

from napari_disentangle.model.base import Affine, Sample, Values
from napari_disentangle.model.closed import balanced, levels, meanstd

_FORMS = {
    "balanced": balanced.METHOD,
    "levels": levels.METHOD,
    "meanstd": meanstd.UNMASKED,
}
# Background and foreground that are nearer than this share of their value are one.
_FLAT = 1e-9


def names(channels: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the values: those of `balanced`, then the others' with their form."""
    if len(channels) == 1:
        return balanced.METHOD.names(channels)
    first, *others = _FORMS.items()
    more = (f"{n} by {form}" for form, known in others for n in known.names(channels))
    return (*first[1].names(channels), *more)


def estimate(sample: Sample, config: object) -> Values:
    """Values of every form."""
    forms = list(_FORMS.values())[: 1 if len(sample.signal) == 1 else None]
    return np.concatenate([form.estimate(sample, config) for form in forms])


def frame(values: Values) -> Affine:
    """Frame of `balanced`."""
    return balanced.METHOD.frame(_parts(values)[0])


def between(source: Values, target: Values) -> Affine:
    """Map by the median of where background and foreground come to lie."""
    pairs = zip(_FORMS.values(), _parts(source), _parts(target), strict=False)
    maps = [form.map_between(own, other) for form, own, other in pairs]
    if len(maps) == 1:
        return maps[0]
    gains, offsets = (np.array(part) for part in zip(*maps, strict=True))
    gains = np.diagonal(gains, axis1=1, axis2=2)
    background, foreground, *_ = np.split(_parts(source)[0], 4)
    low, high = (
        np.median(gains * x + offsets, axis=0) for x in (background, foreground)
    )
    apart = foreground - background
    flat = np.abs(apart) < _FLAT * np.abs(foreground)
    risen = (high - low) / np.where(flat, 1, apart)
    gain = np.where(flat, np.median(gains, axis=0), risen)
    return np.diag(gain), high - gain * foreground


def _parts(values: Values) -> list[Values]:
    """Values of every form; of `balanced` if there are no others."""
    sizes = [len(form.names(("",))) for form in _FORMS.values()]
    if len(values) == sizes[0]:
        return [values]
    n = len(values) // sum(sizes)
    return np.split(values, n * np.cumsum(sizes)[:-1])
