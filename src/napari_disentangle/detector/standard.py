"""Standard units: whitened features, and maps in robust standard deviations.

Whitened, normal has the same spread in every direction.

Its length is the Mahalanobis distance. One Gaussian describes normal wherever it lies,
because cells are not aligned (OUR CHOICE; PaDiM, Defard et al. 2020, has one Gaussian
per position).
"""

from collections.abc import Mapping

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles, Floats

_RIDGE = 1e-3
_MAD_TO_STD = 1.4826


def whitening(features: Floats, trim: float) -> dict[str, Doubles]:
    """Mean (F,) and whitening matrix (F, F) of feature vectors (F, N).

    The share ``trim`` of them that is farthest from normal is left out when normal is
    learned a second time, so that anomalies among them do not widen it.
    """
    first = _gaussian(features)
    return _gaussian(nearest(features, first, trim)) if trim else first


def nearest(features: Floats, normal: Mapping[str, Doubles], trim: float) -> Floats:
    """All feature vectors (F, N) but the share ``trim`` that is farthest."""
    distance = length(whitened(features, normal))
    return features[:, distance <= np.quantile(distance, 1 - trim)]


def whitened(features: Floats, normal: Mapping[str, Doubles]) -> Doubles:
    """Feature vectors (F, N) with mean 0 and unit covariance where they are normal."""
    return normal["whiten"] @ (features - normal["mean"][:, None])


def length(white: Doubles) -> Floats:
    """Length of vectors (F, N), divided by the root of the feature count."""
    root: Floats = np.sqrt((white**2).mean(axis=0)).astype(np.float32)
    return root


def _gaussian(features: Array) -> dict[str, Doubles]:
    x = features.astype(np.float64)
    covariance = np.cov(x)
    floor = _RIDGE * np.maximum(np.diag(covariance), 1e-12)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance + np.diag(floor)))
    return {"mean": x.mean(axis=1), "whiten": whiten}


# --- maps of which only large values are odd ------------------------------------------
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

    return np.asarray(gaussian_filter(values, sigma, radius=smooth_reach(sigma)))


def smooth_reach(sigma: float) -> int:
    """How far :func:`smooth` sees."""
    return int(3 * sigma)
