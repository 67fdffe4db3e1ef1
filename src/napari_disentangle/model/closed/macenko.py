"""macenko: two stain directions and their strength, fitted on the whole image.

Macenko et al. 2009, "A method for normalizing histology slides for quantitative
analysis", ISBI, section 2. OUR CHOICE, not the authors': the white level is measured;
what lies outside the plane of the two stains is kept as a third component, so that the
map can be inverted; and the two directions are never closer than ``CLOSEST``, so that
an image with one stain only, whose two directions are noise, does not blow it up.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from napari_disentangle.model.base import Affine, AffineMethod, Sample, Values
from napari_disentangle.model.settings import Settings

# Angle in degrees between the two stain directions at least.
CLOSEST = 6.0


@dataclass(frozen=True)
class Config(Settings):
    """Settings of the published method."""

    extreme: Annotated[float, {"min": 0.0, "max": 49.0, "step": 0.5}] = 1.0


def _names(channels: tuple[str, ...]) -> tuple[str, ...]:
    white = (f"white {c}" for c in channels)
    stains = (f"stain {i} {c}" for i in (1, 2) for c in channels)
    return (*white, *stains, "log amount 1", "log amount 2")


def _estimate(sample: Sample, config: Config) -> Values:
    absorbance = sample.tissue - sample.white[:, None]
    stains = _directions(absorbance, config.extreme)
    amounts = np.linalg.pinv(stains.T).astype(absorbance.dtype) @ absorbance
    most = np.percentile(amounts, 100 - config.extreme, axis=1)
    return np.concatenate(
        [sample.white, stains.ravel(), np.log(np.maximum(most, 1e-2))]
    )


def _directions(absorbance: Values, extreme: float) -> Values:
    """Stain directions (2, 3), haematoxylin first.

    It absorbs more red and less blue than eosin and DAB do; red alone cannot tell which
    is which where the counterstain is brown or orange.
    """
    _, vectors = np.linalg.eigh(np.cov(absorbance))
    plane = vectors[:, [2, 1]] * np.where(vectors[:, [2, 1]].sum(axis=0) < 0, -1, 1)
    angles = np.arctan2(*(plane.T @ absorbance)[::-1])
    low, high = np.percentile(angles, (extreme, 100 - extreme))
    half = max(high - low, np.radians(CLOSEST)) / 2
    ends = (low + high) / 2 + np.array([-half, half])
    stains = (plane @ np.array([np.cos(ends), np.sin(ends)])).T
    upright = stains * np.where(stains.sum(axis=1, keepdims=True) < 0, -1, 1)
    ordered: Values = upright[np.argsort(upright[:, 2] - upright[:, 0])]
    return ordered


def _frame(values: Values) -> Affine:
    white, stains = values[:3], values[3:9].reshape(2, 3)
    amounts = np.exp(values[9:])
    units = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    rest = np.cross(*units)
    basis = np.column_stack([*(units * amounts[:, None]), rest / np.linalg.norm(rest)])
    unmix = np.linalg.inv(basis)
    return unmix, -unmix @ white


METHOD = AffineMethod(
    description="Matches two stain colours and their amounts (H&E and the like).",
    names=_names,
    estimate=_estimate,
    frame=_frame,
    config=Config,
    space=lambda modality: "absorbance",
    modalities=("brightfield",),
)
