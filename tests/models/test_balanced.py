"""balanced: known answers, whatever the proportions of background and foreground."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import napari_disentangle as nd


def two_levels(low: float, high: float, edge: int) -> Any:
    """Squares on a ground, 12 apart; every other column of them is a bit stronger."""
    y, x = np.indices((96, 96))
    squares = (y % 12 < edge) & (x % 12 < edge)
    content = squares * np.where(x // 12 % 2, 1.02, 0.98)
    return (low + (high - low) * content).astype("float32")


def cells(low: float, high: float, edge: int) -> Any:
    return nd.Field(two_levels(low, high, edge), "YX", modality="fluorescence")


def slide(clear: float, stained: float, edge: int) -> Any:
    """Transmittance of a slide with these absorbances."""
    absorbance = two_levels(clear, stained, edge)[..., None] * [1.0, 0.8, 0.6]
    light = (1 + 1 / 255) * 10**-absorbance - 1 / 255
    return nd.Field(light.astype("float32"), "YXC", modality="brightfield")


def error(model: str, source: Any, donor: Any, truth: Any) -> float:
    shown = nd.fit([source, donor], model).swap(source, donor)
    return float(np.abs(shown - truth.data).max() / np.ptp(truth.data))


@pytest.mark.parametrize("edge", [2, 6, 9])
def test_cells_get_the_levels_of_the_donor_however_many_they_are(edge: int) -> None:
    source, donor = cells(10, 80, 3), cells(20, 200, edge)
    truth = cells(20, 200, 3)
    assert error("balanced", source, donor, truth) < 1e-5
    assert error("meanstd_unmasked", source, donor, truth) > 0.05


@pytest.mark.parametrize("edge", [2, 6, 9])
def test_a_slide_gets_the_stain_of_the_donor_however_much_it_is(edge: int) -> None:
    source, donor = slide(0.02, 0.5, 3), slide(0.05, 0.9, edge)
    truth = slide(0.05, 0.9, 3)
    assert error("balanced", source, donor, truth) < 1e-4
    assert error("meanstd_unmasked", source, donor, truth) > 0.02


@pytest.mark.parametrize("make", [cells, slide])
def test_gain_and_offset_are_undone_exactly(make: Any) -> None:
    one, other = make(0.1, 0.6, 5), make(0.15, 0.9, 5)
    assert error("balanced", one, other, other) < 1e-4
    assert error("balanced", other, one, one) < 1e-4


def test_more_background_counts_more_but_never_all() -> None:
    from napari_disentangle.model.statistics import weight

    shares = np.linspace(0, 1, 101)
    weights = weight(shares)
    assert (np.diff(weights) >= 0).all()
    assert 0 < weights[0] < weights[-1] < 1


def test_gain_and_offset_are_undone_where_no_background_is_flat() -> None:
    """Without background its level is that of the pixels with the least signal."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(64, 64)), 3)
    full = nd.Field((150 + 500 * smooth).astype("float32"), "YX")
    brighter = nd.Field((full.data * 1.5 + 20).astype("float32"), "YX")
    shown = nd.fit([full, brighter], "balanced").swap(full, brighter)
    np.testing.assert_allclose(shown, brighter.data, rtol=1e-4)
