"""Whether the structure of an image survived: its edges, and its nuclei.

Neither is a gate by itself: where nuclei are large, a blur of 3 pixels keeps a Dice
ratio above 0.95, which the gradients see. And neither is 1 after a true change of
stain: synthetic tissue in two looks gives a correlation of 0.98 and a ratio of 0.96.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_disentangle.audit.checks import channels_first, is_flat, same_shape
from napari_disentangle.image.arrays import Doubles, Mask
from napari_disentangle.image.field import Modality
from napari_disentangle.image.signal import DARK

# Percentile of a channel that counts as the white level of a slide.
_WHITE = 99


@dataclass(frozen=True)
class Gradients:
    """How alike the edges of two images are.

    Attributes
    ----------
    correlation
        Of the gradient magnitudes, -1 to 1; 1 after a gain or an offset.
    clipped
        Share of values, 0 to 1, that the type of the image would cut off.
    """

    correlation: float
    clipped: float


def gradient_correlation(
    before: ArrayLike,
    after: ArrayLike,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Gradients:
    """Correlation of gradient magnitudes, of the means over channels.

    Pearson's correlation has no value where an image has no edges, that is where it is
    flat or has the same slope everywhere (up to the rounding of float32). Here it is 0
    if one of the two has none (all structure was lost, or all is invented) and 1 if
    neither has (there was none to lose).

    Parameters
    ----------
    before
        Source image (C, Y, X), at least 2 x 2.
    after
        What a model made of it, of the same shape, before it is rounded and clipped.
    limits
        Lowest and highest value of the type that `after` will have, such as (0, 255).

    Raises
    ------
    ValueError
        If the shapes differ or the images are lines.
    """
    one, other = same_shape(before, after)
    if min(one.shape[1:]) < 2:
        raise ValueError(
            f"shape {one.shape} has no gradient along Y and X: "
            "give at least 2 x 2 pixels"
        )
    clipped = np.mean((other < limits[0]) | (other > limits[1]))
    return Gradients(_correlation(_edges(one), _edges(other)), float(clipped))


def _edges(image: Doubles) -> Doubles | None:
    """Gradient magnitudes (Y, X) about their mean; ``None`` if all are the same."""
    magnitude: Doubles = np.hypot(*np.gradient(image.mean(axis=0)))
    if is_flat(magnitude, float(np.abs(image).max())):
        return None
    centred: Doubles = magnitude - magnitude.mean()
    return centred


def _correlation(one: Doubles | None, other: Doubles | None) -> float:
    if one is None or other is None:
        return float(one is other)
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.clip((one * other).sum() / norms, -1, 1))


def nucleus_dice(before: ArrayLike, after: ArrayLike, modality: Modality) -> float:
    """Dice overlap of the nuclei before and after, each segmented anew.

    Dice 1945, "Measures of the amount of ecologic association between species". As a
    gate, 0.95 is common; see the head of this module for what it lets through.

    Parameters
    ----------
    before, after
        Images (C, Y, X) of the same shape; in fluorescence, their nuclear channel.
    modality
        Brightfield nuclei absorb, fluorescent ones shine.

    Returns
    -------
    float
        0 to 1; 1 where neither image has nuclei, 0 where only one has.
    """
    masks = [nuclei(image, modality) for image in same_shape(before, after)]
    total = sum(mask.sum() for mask in masks)
    both = np.logical_and(*masks).sum()
    return float(2 * both / total) if total else 1.0


def nuclei(image: ArrayLike, modality: Modality) -> Mask:
    """Pixels on the strong side of Otsu's threshold (Otsu 1979).

    The threshold is on the first principal component of absorbance (brightfield, with
    the 99th percentile of each channel as white) or intensity (fluorescence), so gains
    and offsets of intensity and gains of light change nothing. Pure noise is split,
    too.

    Parameters
    ----------
    image
        Pixels (C, Y, X).
    modality
        What is strong: absorbance or intensity.

    Returns
    -------
    ndarray
        Mask (Y, X); empty if the image is flat.
    """
    from skimage.filters import threshold_otsu

    values = channels_first(image)
    scale = float(np.abs(values).max())
    if modality == "brightfield":
        values, scale = _absorbance(values), 1.0
    score = _first_component(values)
    if is_flat(score, scale):
        return np.zeros(score.shape, np.bool_)
    mask: Mask = score > threshold_otsu(score)
    return mask


def _absorbance(image: Doubles) -> Doubles:
    """-log10 of the transmittance, with the image's own white level."""
    white = np.percentile(image, _WHITE, axis=(1, 2), keepdims=True)
    light = image.clip(min=0) / np.where(white > 0, white, 1)
    return -np.log10((light + DARK) / (1 + DARK))


def _first_component(values: Doubles) -> Doubles:
    """Projection (Y, X) on the axis of most variance, which grows with the channels."""
    covariance = np.atleast_2d(np.cov(values.reshape(len(values), -1), bias=True))
    axis = np.linalg.eigh(covariance).eigenvectors[:, -1]
    strong = axis if axis.sum() >= 0 else -axis
    return np.tensordot(strong, values, axes=1)
