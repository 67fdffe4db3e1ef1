"""Closed forms of foreground: thresholds of a grey plane whose objects are bright.

All sizes are in pixels at which an object is about :data:`WORKING` across.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from napari_disentangle.image.arrays import Array, Floats, Mask
from napari_disentangle.image.filters import reach, smooth

# Diameter of an object, in pixels, at which finders work.
WORKING = 14.0
# Standard deviation that takes the noise; and edge of the opening that only background
# survives, with the standard deviation by which it is made smooth (OUR CHOICE).
_NOISE, _OPENING, _EVEN = 1.0, 2 * int(WORKING) + 1, WORKING / 2
# Share of its threshold by which a value has to differ to be fairly sure (p 0.73).
_SOFT = 0.15
# How far they see.
REACH = reach(_NOISE) + 2 * (_OPENING // 2) + reach(_EVEN)


def plain(grey: Floats) -> Floats:
    """The plane without its noise."""
    return smooth(grey, _NOISE)


def opened(grey: Floats) -> Floats:
    """The plane less its grey opening: what is brighter than around it, and small."""
    from scipy.ndimage import grey_opening

    even = plain(grey)
    background = grey_opening(even, size=(_OPENING, _OPENING))
    return even - smooth(background, _EVEN)


# Closed forms by name: what of the plane is held against a share of Otsu's threshold of
# the image. The share finds what is dim beside bright objects (OUR CHOICE, on images
# that are not reported).
FORMS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "otsu": (plain, 1.0),
    "opening": (opened, 0.7),
    "opening at Otsu's threshold": (opened, 1.0),
}
# Those that teach: they have to agree.
TEACHERS = ("otsu", "opening at Otsu's threshold")
# What becomes 1: so many percent of the foreground are below it.
_BRIGHT = 90


def limits(values: Array) -> tuple[float, float]:
    """What becomes 0 and 1: the background, and nearly the brightest of the objects.

    However much of an image objects cover; equal if all values are one.
    """
    threshold = otsu(values)
    if not np.isfinite(threshold):
        return 0.0, 0.0
    bright = values > threshold
    high = np.percentile(values[bright], _BRIGHT)
    return float(np.median(values[~bright])), float(high)


def otsu(values: Array) -> float:
    """Otsu's threshold (1979) of an image's values, infinite where all are one."""
    from skimage.filters import threshold_otsu

    varies = values.size and np.ptp(values) > 0
    return float(threshold_otsu(values)) if varies else np.inf


def mask(grey: Floats, form: str) -> Mask:
    """Foreground of a whole plane by a closed form."""
    seen, share = FORMS[form]
    values = seen(grey)
    found: Mask = values > share * otsu(values)
    return found


def probability(form: str, threshold: float) -> Callable[[Floats], Floats]:
    """Foreground probability of a plane, from Otsu's threshold of the image."""
    seen, share = FORMS[form]
    return partial(_probability, seen, share * threshold)


def _probability(
    form: Callable[[Floats], Floats], threshold: float, grey: Floats
) -> Floats:
    if not np.isfinite(threshold):
        return np.zeros_like(grey)
    soft = _SOFT * max(threshold, 1e-6)
    odds = np.clip((form(grey) - threshold) / soft, -50, 50)
    found: Floats = (1 / (1 + np.exp(-odds))).astype(np.float32)
    return found
