"""The size of objects is read from an image, whatever their brightness."""

from __future__ import annotations

import numpy as np
import pytest

from napari_disentangle.image.cells import FALLBACK, cell_diameter
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue


def discs(diameter: float, size: int = 400, seed: int = 0) -> np.ndarray:
    """Discs of brightness 1 (1, h, w), some of which touch or overlap."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    middles = np.arange(0.8 * diameter, size, 1.6 * diameter)
    drawn = np.zeros((size, size), bool)
    for one in np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2):
        down, across = one + rng.uniform(-0.25, 0.25, 2) * diameter
        drawn |= np.hypot(y - down, x - across) < diameter / 2
    return drawn[None].astype(np.float32)


@pytest.mark.parametrize("diameter", [8, 12, 16, 24, 40, 60, 80])
@pytest.mark.parametrize("kind", ["bright", "dark", "noisy"])
def test_the_diameter_of_discs_is_found(diameter, kind):
    """Measured: 0.95 to 1.02 of the truth."""
    signal = discs(diameter, min(400, 20 * diameter))
    if kind == "dark":
        signal = 1 - signal
    if kind == "noisy":
        signal = signal + np.random.default_rng(1).normal(0, 0.3, signal.shape)
    assert cell_diameter(signal) == pytest.approx(diameter, rel=0.15)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_unit_of_the_signal_does_not_count(scale):
    assert cell_diameter(scale * discs(20)) == pytest.approx(cell_diameter(discs(20)))


@pytest.mark.parametrize("look", [VIOLET, ROSE], ids=["violet", "rose"])
def test_the_diameter_of_nuclei_in_tissue_is_found(look):
    """Their mean radius is 0.32 of the distance of 20 pixels between them."""
    picture = render(tissue(0), look, noise=2.0).astype(float)
    absorbance = -np.log10((np.moveaxis(picture, -1, 0) + 1) / 256)
    assert cell_diameter(absorbance) == pytest.approx(12.8, rel=0.15)


def test_only_what_the_mask_leaves_counts():
    both = np.concatenate([discs(12, 300), discs(48, 300)], axis=2)
    left = np.zeros(both.shape[1:], bool)
    left[:, :300] = True
    assert cell_diameter(both, left) == pytest.approx(12, rel=0.15)
    assert cell_diameter(both, ~left) == pytest.approx(48, rel=0.15)


def test_blocks_of_a_large_image_say_the_same():
    large = np.tile(discs(24), (1, 4, 4))[:, :1500, :1300]
    assert cell_diameter(large) == pytest.approx(24, rel=0.15)
    assert cell_diameter(large, np.ones((1500, 1300), bool)) == cell_diameter(large)


WITHOUT = {
    "zeros": np.zeros((1, 300, 300)),
    "constant": np.full((3, 64, 64), 0.1),
    "noise": np.random.default_rng(0).normal(size=(3, 300, 300)),
    "ramp": np.linspace(0, 1, 300)[None, :, None] * np.ones((1, 1, 300)),
    "pixel": np.ones((2, 1, 1)),
    "line": np.random.default_rng(0).normal(size=(1, 1, 300)),
    "unknown": np.full((1, 40, 40), np.nan),
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_what_has_no_objects_gets_the_fallback(kind):
    assert cell_diameter(WITHOUT[kind]) == FALLBACK


def test_a_mask_that_leaves_nothing_gets_the_fallback():
    assert cell_diameter(discs(20), np.zeros((400, 400), bool)) == FALLBACK


def test_a_few_pixels_that_are_no_numbers_do_not_matter():
    signal = discs(20)
    signal[0, 100:102, 50] = np.nan
    signal[0, 7, 9] = np.inf
    assert cell_diameter(signal) == pytest.approx(20, rel=0.15)
