"""percentile: a low and a high percentile of every channel are made to match."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from napari_disentangle.model.base import (
    Affine,
    AffineMethod,
    Sample,
    Values,
    per_channel,
)
from napari_disentangle.model.settings import Settings
from napari_disentangle.model.statistics import log_std


@dataclass(frozen=True)
class Config(Settings):
    """Which percentiles, in percent of all pixels.

    Raises
    ------
    ValueError
        If one is out of range, or ``low`` is not below ``high``.
    """

    low: Annotated[float, {"min": 0.0, "max": 100.0, "step": 0.1}] = 1.0
    high: Annotated[float, {"min": 0.0, "max": 100.0, "step": 0.1}] = 99.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be less than high {self.high}")


def _estimate(sample: Sample, config: Config) -> Values:
    percents = (config.low, config.high)
    low, high = np.percentile(sample.signal, percents, axis=1)
    return np.concatenate([low, log_std(high - low, low)])


def _frame(values: Values) -> Affine:
    low, log_range = np.split(values, 2)
    gain = np.exp(-log_range)
    return np.diag(gain), -gain * low


METHOD = AffineMethod(
    description="Matches a low and a high percentile of every channel.",
    names=per_channel("low", "log range"),
    estimate=_estimate,
    frame=_frame,
    config=Config,
    masked=False,
)
