"""A few pixels far from all others do not decide a look."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab

import napari_disentangle as nd
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.image.outliers import Sampled, outliers
from napari_disentangle.samples.data import load
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue

TISSUE = render(tissue(3, 256), VIOLET, 2.0)
DONOR = render(tissue(4, 256), ROSE, 2.0)
CELLS, OTHERS = (load(f"cells_{i}")[0] for i in "ab")
Y, X = np.mgrid[:256, :256]


def disc(y: float, x: float, radius: float) -> np.ndarray:
    return np.hypot(Y - y, X - x) < radius


# --- brightfield ------------------------------------------------------------------
def pen(pixels: np.ndarray) -> np.ndarray:
    pixels[np.abs(Y - 0.3 * X - 90) < 6] = (20, 60, 160)
    return pixels


def pigment(pixels: np.ndarray) -> np.ndarray:
    places = np.random.default_rng(0).integers(0, 256, (30, 2))
    pixels[np.any([disc(y, x, 5) for y, x in places], axis=0)] = (60, 40, 20)
    return pixels


def fold(pixels: np.ndarray) -> np.ndarray:
    where = np.abs(0.2 * Y + X - 120) < 6
    pixels[where] = (0.6 * pixels[where].astype(float) ** 2 / 255).astype(np.uint8)
    return pixels


@pytest.mark.parametrize("name", ["affine", "balanced"])
@pytest.mark.parametrize("spoil", [pen, pigment, fold])
def test_what_lies_on_tissue_does_not_move_a_look(
    name: str, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    odd = spoil(TISSUE.copy())
    known = (odd == TISSUE).all(-1)
    image, donor, spoiled = (nd.Field(p, "YXC") for p in (TISSUE, DONOR, odd))
    model = nd.fit([image, donor], name)
    assert apart(model.swap(image, donor), model.swap(spoiled, donor))[known].mean() < 1
    assert apart(model.swap(donor, image), model.swap(donor, spoiled)).mean() < 1
    assert any("far from all others" in words for words in model.inspect(spoiled))
    assert not any("far from all others" in words for words in model.inspect(image))


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rgb2lab(one) - rgb2lab(other), axis=-1)


def test_published_forms_measure_all_there_is() -> None:
    odd = nd.Field(pen(TISSUE.copy()), "YXC")
    model = nd.fit(odd, "meanstd")
    assert not any("far from all others" in words for words in model.inspect(odd))


# --- fluorescence -----------------------------------------------------------------
@settings(max_examples=12)
@given(st.integers(20, 236), st.integers(20, 236), st.integers(190, 254))
def test_a_bright_object_is_left_out(y: int, x: int, value: int) -> None:
    odd = np.where(disc(y, x, 20), value, CELLS)
    assert found(odd)[disc(y, x, 20)].mean() > 0.9
    assert found(odd).mean() < 0.055


@pytest.mark.parametrize("name", ["affine", "balanced"])
def test_a_bright_object_does_not_move_a_gain(name: str) -> None:
    odd = np.where(disc(80, 60, 20), 200, CELLS)
    image, spoiled, donor = (nd.Field(p, "YX") for p in (CELLS, odd, OTHERS))
    model = nd.fit([image, donor], name)
    one, other = (
        np.polyfit(OTHERS.ravel().astype(float), model.swap(donor, d).ravel(), 1)[0]
        for d in (image, spoiled)
    )
    assert other / one == pytest.approx(1, abs=0.02)


def test_a_bright_object_is_found_by_the_default_detector() -> None:
    """With the look taken away, as the window does."""
    odd = np.where(disc(80, 60, 20), 200, CELLS).astype(np.uint8)
    normals = [nd.Field(p, "YX") for p in (CELLS, OTHERS)]
    _, table = nd.fit_detector(normals).score(nd.Field(odd, "YX")).regions(0.01)
    near = np.hypot(table["centroid-0"] - 80, table["centroid-1"] - 60)
    assert (near < 10).any()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 3), ramp=st.floats(0, 1))
def test_few_cells_in_an_empty_field_are_what_is_measured(
    seed: int, n: int, ramp: float
) -> None:
    """Noise and uneven light around them are no other objects."""
    rng = np.random.default_rng(seed)
    picture = rng.poisson(20 + 10 * ramp * X / 256).astype(float)
    for y, x in rng.integers(20, 236, (n, 2)):
        picture += 100 * gaussian_filter(disc(y, x, 10).astype(float), 2)
    assert not found(picture).any()


@pytest.mark.parametrize("name", ["cells_a", "cells_b", "nuclei"])
def test_nothing_is_left_out_of_the_samples(name: str) -> None:
    assert not found(load(name)[0]).any()


def found(pixels: np.ndarray) -> np.ndarray:
    """Outliers of an image in blocks, as it is measured."""
    corners = product(*(range(0, size, 128) for size in pixels.shape))
    cuts = [np.s_[y : y + 128, x : x + 128] for y, x in corners]
    planes = [pixels[cut][None].astype(float) for cut in cuts]
    blocks = [Sampled(plane, np.ones(plane.shape[1:], bool)) for plane in planes]
    whole = np.zeros(pixels.shape, bool)
    foreground = find_foreground(pixels.reshape(1, -1).astype(float), "fluorescence")
    for cut, mask in zip(cuts, outliers(blocks, foreground), strict=True):
        whole[cut] = mask
    return whole


# --- stray pixels -----------------------------------------------------------------
def speckled(pixels: np.ndarray, value: int, share: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    spoiled = pixels.copy()
    spoiled[rng.random(pixels.shape[:2]) < share] = value
    return spoiled


@pytest.mark.parametrize("name", ["affine", "balanced"])
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("share", [0.005, 0.05])
def test_dead_and_saturated_pixels_do_not_move_a_look(
    name: str, value: int, share: float
) -> None:
    spoiled = nd.Field(speckled(TISSUE, value, share), "YXC")
    image, donor = nd.Field(TISSUE, "YXC"), nd.Field(DONOR, "YXC")
    model = nd.fit([image, donor], name)
    known = (np.asarray(spoiled.data) == TISSUE).all(-1)
    pairs = (
        (model.swap(image, donor)[known], model.swap(spoiled, donor)[known]),
        (model.swap(donor, image), model.swap(donor, spoiled)),
    )
    for before, after in pairs:
        apart = np.linalg.norm(rgb2lab(before) - rgb2lab(after), axis=-1)
        assert apart.mean() < 1


@pytest.mark.parametrize("name", ["affine", "balanced"])
@pytest.mark.parametrize("value", [0, 255])
def test_stray_pixels_of_a_camera_do_not_move_a_gain(name: str, value: int) -> None:
    cells, other = (load(f"cells_{i}")[0] for i in "ab")
    image, donor = nd.Field(cells, "YX"), nd.Field(other, "YX")
    spoiled = nd.Field(speckled(cells, value, 0.05), "YX")
    model = nd.fit([image, donor], name)
    gains = [
        np.polyfit(other.ravel().astype(float), model.swap(donor, one).ravel(), 1)[0]
        for one in (image, spoiled)
    ]
    assert gains[1] / gains[0] == pytest.approx(1, abs=0.02)
