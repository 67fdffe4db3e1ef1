"""mk: Monge-Kantorovich transfer of mean and covariance, on foreground.

Pitie and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for
example-based colour transfer", section 3: of all linear maps that turn one covariance
into another, the one that moves pixels least.
"""

import numpy as np

from napari_disentangle.model.base import Affine, AffineMethod, Sample, Values

# Spread below a thousandth of the largest is noise, not a direction to be stretched.
_FLOOR = 1e-6


def _names(channels: tuple[str, ...]) -> tuple[str, ...]:
    pairs = zip(*np.triu_indices(len(channels)), strict=True)
    covariance = (f"log cov {channels[i]}-{channels[j]}" for i, j in pairs)
    return (*(f"mean {c}" for c in channels), *covariance)


def _spectral(matrix: Values, function: np.ufunc, floor: float = 0.0) -> Values:
    """Apply a function to the eigenvalues of a symmetric matrix."""
    values, vectors = np.linalg.eigh(matrix)
    limit = max(values[-1], 1e-12) * floor
    result: Values = (vectors * function(np.maximum(values, limit))) @ vectors.T
    return result


def _estimate(sample: Sample, config: object) -> Values:
    pixels = sample.tissue
    covariance = np.atleast_2d(np.cov(pixels, bias=True))
    log_covariance = _spectral(covariance, np.log, _FLOOR)
    return np.concatenate(
        [pixels.mean(axis=1), log_covariance[np.triu_indices(len(pixels))]]
    )


def _moments(values: Values) -> tuple[Values, Values]:
    # P = C + C (C + 1) / 2
    n = round((np.sqrt(9 + 8 * len(values)) - 3) / 2)
    log_covariance = np.zeros((n, n))
    log_covariance[np.triu_indices(n)] = values[n:]
    symmetric = log_covariance + np.triu(log_covariance, 1).T
    return values[:n], symmetric


def _frame(values: Values) -> Affine:
    mean, log_covariance = _moments(values)
    whiten = _power(log_covariance, -0.5)
    return whiten, -whiten @ mean


def _power(log_matrix: Values, exponent: float) -> Values:
    values, vectors = np.linalg.eigh(log_matrix)
    result: Values = (vectors * np.exp(exponent * values)) @ vectors.T
    return result


def _between(source: Values, target: Values) -> Affine:
    (mean_s, log_s), (mean_t, log_t) = _moments(source), _moments(target)
    root, inverse_root = _power(log_s, 0.5), _power(log_s, -0.5)
    middle = _spectral(root @ _power(log_t, 1.0) @ root, np.sqrt)
    matrix = inverse_root @ middle @ inverse_root
    return matrix, mean_t - matrix @ mean_s


METHOD = AffineMethod(
    description="Matches mean and covariance of the channels together, on foreground.",
    names=_names,
    estimate=_estimate,
    frame=_frame,
    between=_between,
)
