"""Classical filters of a signal in the plane: what several detectors look at.

Gaussian, gradient magnitude and Laplacian at three scales, per channel (OUR CHOICE: any
number of channels and any bit depth, and no pretrained network).
"""

from collections.abc import Iterator

import numpy as np

from napari_disentangle.image.arrays import Array, Floats

_TRUNCATE = 3.0


def sigmas(scale: float) -> tuple[float, float, float]:
    """The three scales in pixels, of which ``scale`` is the finest."""
    return scale, 2 * scale, 4 * scale


def reach(sigma: float) -> int:
    """How many pixels around a pixel a filter of that scale sees."""
    return int(np.ceil(_TRUNCATE * sigma))


def finite(signal: Array) -> Floats:
    """The signal with 0 where it is no number, which would spread over all it meets."""
    return np.nan_to_num(signal, posinf=0, neginf=0).astype(np.float32, copy=False)


def filtered(signal: Array, scale: float) -> Floats:
    """Nine features per channel (9C, h, w) of a signal (C, h, w)."""
    every = sigmas(scale)
    return np.stack(
        [f for one in finite(signal) for s in every for f in _three(one, s)]
    )


def smooth(channel: Floats, sigma: float) -> Floats:
    """A Gaussian of finite reach."""
    return _along(_along(channel, sigma, 0, 0), sigma, 1, 0)


def _three(channel: Floats, sigma: float) -> Iterator[Floats]:
    """Smoothed value, gradient magnitude and Laplacian."""
    one = np.float32(sigma)
    level, slope, bend = (_along(channel, sigma, 0, order) for order in range(3))
    yield _along(level, sigma, 1, 0)
    yield np.hypot(_along(slope, sigma, 1, 0), _along(level, sigma, 1, 1)) * one
    yield (_along(bend, sigma, 1, 0) + _along(level, sigma, 1, 2)) * one**2


def _along(values: Floats, sigma: float, axis: int, order: int) -> Floats:
    """A Gaussian along one axis, or a derivative of it, of finite reach."""
    from scipy.ndimage import gaussian_filter1d

    found: Floats = gaussian_filter1d(values, sigma, axis, order, radius=reach(sigma))
    return found
