"""Calibration: from raw scores to signed z, conformal p, and regions with a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAD_TO_STD = 1.4826


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of pixels held out from fitting, sorted (N,), float32."""

    scores: NDArray[np.float32]

    @property
    def center(self) -> float:
        """Median of the held-out scores."""
        return float(np.median(self.scores))

    @property
    def spread(self) -> float:
        """Their robust standard deviation."""
        deviation = float(np.median(np.abs(self.scores - self.center)))
        return max(_MAD_TO_STD * deviation, 1e-6)

    def z(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Signed distance from the typical score, in robust standard deviations."""
        return ((scores - self.center) / self.spread).astype(np.float32)

    def p(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Conformal p value: share of held-out scores at least as large.

        ``(1 + #{held out >= score}) / (1 + N)`` (Vovk et al. 2005, "Algorithmic
        Learning in a Random World", section 2.2). NaN scores give NaN.
        """
        n = len(self.scores)
        at_least = n - np.searchsorted(self.scores, scores, side="left")
        p = ((1 + at_least) / (1 + n)).astype(np.float32)
        return np.where(np.isfinite(scores), p, np.float32(np.nan))

    def p_of_z(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """P values of a z map."""
        return self.p((z * self.spread + self.center).astype(np.float32))


def calibration(scores: NDArray[np.float32]) -> Calibration:
    """Calibrate on held-out scores; those that are not finite are left out.

    Raises
    ------
    DataError
        If fewer than 20 are left: p could not even reach 0.05.
    """
    known = np.sort(scores[np.isfinite(scores)])
    if len(known) < 20:
        raise DataError(
            f"only {len(known)} normal pixels are left to calibrate on: mark more"
        )
    return Calibration(known)


def regions(
    p: NDArray[np.float32],
    z: NDArray[np.float32],
    alpha: float,
    min_size: int,
    spacing: Sequence[float],
) -> tuple[NDArray[np.int32], dict[str, NDArray[Any]]]:
    """Connected regions with ``p <= alpha``, and one table row for each.

    Returns
    -------
    labels
        Int32 array of the same shape; 0 is background.
    table
        ``label``, ``size`` (pixels), ``area`` (world units), ``max_z``, ``mean_z``,
        ``min_p`` and one ``centroid-i`` (pixels) per axis.
    """
    from scipy.ndimage import minimum
    from skimage.measure import label, regionprops_table

    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha} must lie between 0 and 1, e.g. 0.01")
    found = _large(label(p <= alpha), min_size)
    table: dict[str, NDArray[Any]] = regionprops_table(
        found,
        z,
        properties=("label", "area", "intensity_max", "intensity_mean", "centroid"),
    )
    table["size"] = table.pop("area").astype(int)
    table["area"] = table["size"] * float(np.prod(spacing))
    table["max_z"] = table.pop("intensity_max")
    table["mean_z"] = table.pop("intensity_mean")
    table["min_p"] = np.asarray(minimum(p, found, table["label"]), p.dtype)
    return found, table


def _large(labels: NDArray[Any], min_size: int) -> NDArray[np.int32]:
    """Regions of at least ``min_size`` pixels, numbered anew."""
    kept = np.bincount(labels.ravel()) >= min_size
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    large: NDArray[np.int32] = numbers[labels]
    return large
