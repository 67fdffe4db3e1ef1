"""Maps of which only large values are odd: how large normal ones are, and how odd."""

from collections.abc import Mapping

import numpy as np

from napari_disentangle.image.arrays import Doubles, Floats

_MAD_TO_STD = 1.4826


def spread(maps: Floats) -> dict[str, Doubles]:
    """Median and robust standard deviation (F,) of normal maps (F, N)."""
    x = maps.astype(np.float64)
    center = np.median(x, axis=1)
    deviation = _MAD_TO_STD * np.median(np.abs(x - center[:, None]), axis=1)
    # Of maps that hardly ever differ from their median, the plain one says more.
    width = np.maximum(deviation, 0.1 * x.std(axis=1))
    return {"center": center, "width": np.maximum(width, 1e-6)}


def standard(maps: Floats, normal: Mapping[str, Doubles]) -> Floats:
    """Maps (F, ...) in robust standard deviations above what is typical."""
    flat = maps.reshape(len(maps), -1) - normal["center"][:, None]
    z: Floats = (flat / normal["width"][:, None]).astype(np.float32)
    return z.reshape(maps.shape)


def smooth(values: Floats, sigma: float) -> Floats:
    """A map (h, w) smoothed by a Gaussian of finite reach."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, sigma, radius=reach(sigma)))


def reach(sigma: float) -> int:
    """How far :func:`smooth` sees."""
    return int(3 * sigma)
