"""A small multinomial logistic regression, the same on every run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.audit.checks import ROUNDING
from napari_disentangle.image.arrays import Array, Doubles

# Tight enough that the order of rows changes no prediction that is not a tie.
_STOP = {"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-8}


@dataclass(frozen=True, eq=False)
class Logistic:
    """What was fitted.

    Attributes
    ----------
    mean, std
        What features are standardised with (F,); a constant one has infinite spread.
    weights
        Logits per standardised feature (1 + F, K); the first row is the offset.
    """

    mean: Doubles
    std: Doubles
    weights: Doubles


def fit(x: Doubles, y: NDArray[np.intp]) -> Logistic:
    """Fit features (n, F) to labels (n,) from 0 on, all of which count the same.

    The ridge is half the sum of squared weights over n, beside the mean cross-entropy:
    scikit-learn's default, C = 1 (C = 2 for two labels, which it gives one vector of
    weights). The problem is convex, so the predictions have one solution.
    """
    mean, std = _standard(x)
    return Logistic(mean, std, _weights((x - mean) / std, y))


def scores(model: Logistic, x: Doubles) -> Doubles:
    """Logits (n, K) of features (n, F)."""
    standard = (x - model.mean) / model.std
    logits: Doubles = standard @ model.weights[1:] + model.weights[0]
    return logits


def _standard(x: Doubles) -> tuple[Array, Array]:
    """Mean and spread of features (F,)."""
    std = x.std(axis=0)
    varied = std > ROUNDING * np.abs(x).max(axis=0)
    return x.mean(axis=0), np.where(varied, std, np.inf)


def _weights(x: Doubles, y: NDArray[np.intp]) -> Doubles:
    from scipy.optimize import minimize

    truth = np.eye(y.max() + 1)[y]
    weight = (truth / truth.sum(axis=0) / truth.shape[1]).sum(axis=1, keepdims=True)
    start = np.zeros((1 + x.shape[1], truth.shape[1]))

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        return _loss(flat.reshape(start.shape), x, truth, weight)

    best = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=_STOP)
    weights: Doubles = best.x.reshape(start.shape)
    return weights


def _loss(
    weights: Doubles, x: Doubles, truth: Doubles, weight: Doubles
) -> tuple[float, Doubles]:
    """Weighted cross-entropy with a ridge, and its gradient."""
    from scipy.special import log_softmax

    logs = log_softmax(x @ weights[1:] + weights[0], axis=1)
    error = weight * (np.exp(logs) - truth)
    ridge = weights[1:] / len(x)
    gradient = np.vstack([error.sum(axis=0), x.T @ error + ridge])
    value = (weights[1:] * ridge).sum() / 2 - (weight * truth * logs).sum()
    return float(value), gradient.ravel()
