"""Known answers: looks that a model's form can express must be recovered."""

from __future__ import annotations

import pickle
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import napari_disentangle as nd
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.image.signal import from_signal, to_signal
from napari_disentangle.model.registry import MODELS
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

GAIN = np.array([1.3, 0.8, 1.1])
OFFSET = np.array([0.05, 0.02, 0.0])
READY = {n: e for n, e in nd.models().items() if not MODELS[n].needs_fit}
BRIGHTFIELD = [n for n, e in READY.items() if "brightfield" in e.modalities]
FLUORESCENCE = [n for n, e in nd.models().items() if "fluorescence" in e.modalities]


@cache
def slide(look: synthetic.Look = synthetic.VIOLET) -> Array:
    """Float32 absorbance (3, Y, X) of a slide, a third of it empty."""
    content = synthetic.tissue(0, 128)
    stains = np.array(look.amounts)[:, None] * np.array(look.stains)
    absorbance = (
        np.tensordot(stains.T, content, 1) + np.array(look.white)[:, None, None]
    )
    return absorbance.astype(np.float32)


@cache
def cells(seed: int = 0, number: int = 12) -> Array:
    """Float32 intensity (3, Y, X): round cells, faint to bright, on a background."""
    rng = np.random.default_rng(seed)
    image = rng.normal(10, 0.5, (3, 128, 128))
    y, x = np.indices((128, 128))
    places = rng.permutation(np.argwhere(np.ones((8, 8))))[:number] * 16 + 8
    for (cy, cx), strength in zip(places, np.linspace(60, 140, number), strict=True):
        image += strength * np.clip(2 - np.hypot(y - cy, x - cx) / 3, 0, 1)
    return image.astype(np.float32)


def brightfield(absorbance: Array) -> nd.Field:
    light = from_signal(torch.from_numpy(absorbance), "absorbance", 1.0)
    return nd.Field(np.moveaxis(light.numpy(), 0, -1), "YXC")


def absorbance_of(picture: Array) -> Array:
    signal = to_signal(
        torch.from_numpy(np.moveaxis(picture, -1, 0).copy()), "absorbance", 1.0
    )
    return signal.numpy()


def swap_absorbance(model: str, source: Array, donor: Array) -> Array:
    image = brightfield(source)
    return absorbance_of(nd.fit(image, model).swap(image, brightfield(donor)))


def swap_intensity(model: str, source: Array, donor: Array) -> Array:
    image = nd.Field(source, "CYX")
    return nd.fit(image, model).swap(image, nd.Field(donor, "CYX"))


def per_channel(x: Array) -> Array:
    return (GAIN[:, None, None] * x + OFFSET[:, None, None]).astype(np.float32)


def error(image: Array, truth: Array) -> float:
    """Root mean square error as a share of the truth's standard deviation."""
    return float(np.sqrt(np.mean((image - truth) ** 2)) / truth.std())


# Without a mask only float32 rounding is left. With one, a look that differs between
# channels moves the border of the foreground by about a hundredth of its pixels.
@pytest.mark.parametrize(
    ("model", "tolerance"),
    [
        ("meanstd_unmasked", 1e-5),
        ("percentile", 1e-5),
        ("meanstd", 0.03),
        ("mk", 0.03),
        ("levels", 0.03),
    ],
)
def test_gain_and_offset_in_absorbance_are_recovered(
    model: str, tolerance: float
) -> None:
    truth = per_channel(slide())
    assert error(swap_absorbance(model, slide(), truth), truth) < tolerance


# Otsu's threshold moves with the grey values, so the mask is the same.
@pytest.mark.parametrize("model", [m for m in FLUORESCENCE if m != "identity"])
def test_gain_and_offset_in_intensity_are_recovered(model: str) -> None:
    truth = per_channel(cells())
    assert error(swap_intensity(model, cells(), truth), truth) < 1e-5


def linear(matrix: Array, x: Array) -> Array:
    return np.tensordot(matrix, x, 1).astype(np.float32)


def test_mk_recovers_a_symmetric_mix_of_channels() -> None:
    mix = np.array([[1.2, 0.15, 0.0], [0.15, 0.9, 0.1], [0.0, 0.1, 1.1]])
    truth = linear(mix, slide())
    assert error(swap_absorbance("mk", slide(), truth), truth) < 0.01


def test_mk_gives_the_covariance_of_any_mix_of_channels() -> None:
    # A rotation of the channels cannot be told from their covariance.
    mix = np.array([[1.2, 0.3, 0.0], [-0.1, 0.9, 0.2], [0.1, 0.0, 1.1]])
    donor = linear(mix, slide())
    result = swap_absorbance("mk", slide(), donor)
    mask = find_foreground(donor.reshape(3, -1), "brightfield").mask(donor)
    wanted, got = np.cov(donor[:, mask]), np.cov(result[:, mask])
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


def test_macenko_recovers_other_stains_and_amounts() -> None:
    # The purest hundredth of the pixels stands for each stain: not exactly pure.
    truth = slide(synthetic.ROSE)
    result = swap_absorbance("macenko", slide(), truth)
    assert error(result, truth) < 0.03
    other = {m: swap_absorbance(m, slide(), truth) for m in ("meanstd", "mk")}
    assert all(error(result, truth) < error(x, truth) / 3 for x in other.values())


def test_macenko_tells_a_brown_counterstain_from_haematoxylin() -> None:
    # Stained so that the counterstain absorbs more red than haematoxylin in one look.
    blue, brown = (0.55, 0.75, 0.35), (0.6, 0.5, 0.65)
    first = synthetic.Look((blue, brown), (1.0, 0.4), (0.03, 0.03, 0.03))
    second = synthetic.Look(((0.7, 0.65, 0.3), brown), (0.8, 0.5), (0.05, 0.04, 0.03))
    truth = slide(second)
    assert error(swap_absorbance("macenko", slide(first), truth), truth) < 0.05


def test_macenko_renders_a_slide_with_one_stain() -> None:
    stain = np.array([0.6, 0.7, 0.4], np.float32)[:, None, None]
    faint, strong = stain * slide()[:1], 1.5 * stain * slide()[:1]
    assert error(swap_absorbance("macenko", faint, strong), strong) < 0.03


def test_levels_keep_background_and_strength_whatever_the_number_of_cells() -> None:
    sparse, dense = cells(1, 4), cells(2, 40)
    assert error(swap_intensity("levels", sparse, dense), sparse) < 0.05
    assert error(swap_intensity("meanstd_unmasked", sparse, dense), sparse) > 0.5


@pytest.mark.parametrize("model", [m for m in BRIGHTFIELD if m != "identity"])
def test_a_brightfield_model_comes_closer_to_a_known_look(model: str) -> None:
    truth = per_channel(slide())
    result = swap_absorbance(model, slide(), truth)
    assert error(10**-result, 10**-truth) < error(10 ** -slide(), 10**-truth) / 2


@pytest.mark.parametrize("model", [m for m in FLUORESCENCE if m != "identity"])
def test_a_fluorescence_model_comes_closer_to_a_known_look(model: str) -> None:
    truth = per_channel(cells() ** 1.1)
    result = swap_intensity(model, cells(), truth)
    assert error(result, truth) < error(cells(), truth) / 2


# --- foreground ---------------------------------------------------------------------
@pytest.mark.parametrize("gain", [0.6, 1.0, 1.6])
def test_stain_strength_and_white_level_do_not_change_the_foreground(
    gain: float,
) -> None:
    first = slide().reshape(3, -1)
    second = gain * first + np.array([[0.02], [0.06], [0.09]])
    masks = [find_foreground(x, "brightfield").mask(x) for x in (first, second)]
    assert 0.3 < masks[0].mean() < 0.9
    assert (masks[0] != masks[1]).mean() < 0.02


def test_one_cell_on_an_empty_slide_is_foreground() -> None:
    empty = np.random.default_rng(0).normal(0.05, 0.004, (3, 200, 200))
    mask = np.zeros((200, 200), bool)
    mask[100:110, 50:60] = True
    image = np.where(mask, 0.5, empty)
    assert np.array_equal(
        find_foreground(image.reshape(3, -1), "brightfield").mask(image), mask
    )
    blank = find_foreground(empty.reshape(3, -1), "brightfield")
    assert not blank.mask(empty).any()


NOISE = {
    "shot": lambda rng, shape: rng.poisson(100, shape),
    "few photons": lambda rng, shape: rng.poisson(0.3, shape),
    "clipped read-out": lambda rng, shape: np.maximum(0, rng.normal(0, 3, shape)),
    "multiplied": lambda rng, shape: rng.gamma(2, 10, shape),
    "hot pixels": lambda rng, shape: np.where(
        rng.random(shape) < 1e-3, 3000, rng.normal(100, 5, shape)
    ),
}


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_foreground(kind: str, seed: int) -> None:
    pixels = NOISE[kind](np.random.default_rng(seed), (1, 40_000))
    assert np.isinf(find_foreground(pixels, "fluorescence").threshold).all()


# Rises in standard deviations of the noise.
@pytest.mark.parametrize(("rise", "share"), [(5, 0.1), (8, 0.02), (5, 0.5)])
def test_dim_nuclei_in_noise_are_foreground(rise: float, share: float) -> None:
    y, x = np.indices((200, 200))
    radius = 20 * np.sqrt(share / np.pi)
    nuclei = np.hypot(y % 20 - 10, x % 20 - 10) < radius
    image = 100 + np.random.default_rng(0).normal(0, 5, (200, 200)) + 5 * rise * nuclei
    found = find_foreground(image.reshape(1, -1), "fluorescence").mask(image[None])
    assert found[nuclei].mean() > 0.9
    assert found[~nuclei].mean() < 0.1


def test_a_model_that_was_used_can_be_sent_to_another_process() -> None:
    image = nd.Field(np.arange(64.0).reshape(8, 8), "YX")
    model = nd.fit(image, "levels")
    assert model.method is model.method
    sent = pickle.loads(pickle.dumps(model))
    assert sent.hash == model.hash
    assert np.array_equal(sent.content(image), model.content(image))
