"""Pixels that are no image: found where they are, and nowhere else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate
from skimage.color import rgb2lab
from strategies import DETECTORS, fitted, in_turn

import napari_disentangle as nd
from napari_disentangle.samples.data import load
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue

TISSUE = render(tissue(3, 256), VIOLET, 2.0)
DONOR = render(tissue(4, 256), ROSE, 2.0)
MODELS = [name for name in nd.models() if name not in ("identity", "contrimix")]
ALL = slice(None)


def valid(image: nd.Field) -> np.ndarray:
    return image.valid(image.plane(), (), ALL, ALL)


def framed(value: int, sides: tuple[int, int, int, int]) -> nd.Field:
    """Tissue with a frame of one value: top, bottom, left, right."""
    top, bottom, left, right = sides
    pad = [(top, bottom), (left, right), (0, 0)]
    return nd.Field(np.pad(TISSUE, pad, constant_values=value), "YXC")


def mosaic(seed: int, value: int, edge: int = 32) -> nd.Field:
    """Tissue some of whose blocks are missing."""
    rng = np.random.default_rng(seed)
    pixels = TISSUE.copy()
    for y in range(0, 256, edge):
        for x in range(0, 256, edge):
            if rng.random() < 0.2:
                pixels[y : y + edge, x : x + edge] = value
    return nd.Field(pixels, "YXC")


def turned(degrees: float) -> nd.Field:
    pixels = rotate(TISSUE, degrees, order=0, cval=0)
    return nd.Field(pixels, "YXC")


# --- what is padding --------------------------------------------------------------
sides = st.tuples(*[st.sampled_from([0, 1, 2, 5, 17, 60])] * 4)


@given(value=st.sampled_from([0, 255]), widths=sides)
@settings(max_examples=25, deadline=None)
def test_a_frame_is_found(value: int, widths: tuple[int, int, int, int]) -> None:
    image = framed(value, widths)
    known = valid(image)
    top, _, left, _ = widths
    inside = known[top : top + 256, left : left + 256]
    assert inside.mean() > 0.999
    assert known.sum() == inside.sum()


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("seed", range(3))
def test_missing_blocks_are_found(seed: int, value: int) -> None:
    image = mosaic(seed, value)
    missing = (np.asarray(image.data) == value).all(-1)
    assert (~valid(image) == missing).mean() > 0.999


@pytest.mark.parametrize("degrees", [3, 15, 30, 45])
def test_a_rotated_frame_is_found(degrees: float) -> None:
    image = turned(degrees)
    black = (np.asarray(image.data) == 0).all(-1)
    assert (~valid(image))[black].mean() > 0.99
    assert valid(image)[~black].all()


def test_numbers_that_are_none_and_transparency() -> None:
    pixels = np.ones((20, 30), np.float32)
    pixels[:5] = np.nan
    pixels[7, 7] = np.inf
    known = valid(nd.Field(pixels, "YX"))
    assert np.array_equal(known, np.isfinite(pixels))
    alpha = np.full((*TISSUE.shape[:2], 1), 255, np.uint8)
    alpha[40:90, 60:200] = 0
    image = nd.Field(np.concatenate([TISSUE, alpha], -1), "YXC")
    assert np.array_equal(valid(image), alpha[..., 0] > 0)


def test_a_stitched_border_in_fluorescence() -> None:
    cells = load("cells_a")[:1].copy() + 9
    cells[:, :, :40] = 0
    known = valid(nd.Field(cells, "CYX"))
    assert not known[:, :40].any()
    assert known[:, 40:].all()


# --- what is none -----------------------------------------------------------------
def test_overexposed_background_is_image() -> None:
    bright = np.clip(TISSUE.astype(int) + 40, 0, 255).astype(np.uint8)
    assert (bright == 255).all(-1).mean() > 0.05
    assert valid(nd.Field(bright, "YXC")).all()


@pytest.mark.parametrize("seed", range(4))
def test_zeros_below_a_threshold_are_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(300, 300)), 3 + 5 * seed)
    level = np.quantile(smooth, 0.6)
    pixels = np.where(smooth > level, 1000 * (smooth - smooth.min()), 0)
    assert valid(nd.Field(pixels.astype(np.uint16), "YX")).all()


def test_one_value_is_image_and_so_is_one_pixel() -> None:
    assert valid(nd.Field(np.zeros((40, 40), np.uint8), "YX")).all()
    dead = TISSUE.copy()
    dead[0, 0] = dead[100, 100] = 0
    assert valid(nd.Field(dead, "YXC")).all()


# --- what follows from it ---------------------------------------------------------
def framed_in(pixels: np.ndarray, value: int, widths: Sequence[int]) -> np.ndarray:
    top, bottom, left, right = widths
    pad = [(top, bottom), (left, right), (0, 0)]
    return np.pad(pixels, pad, constant_values=value)


def parted(pixels: np.ndarray, value: int, gap: int) -> np.ndarray:
    """Four quarters with a gap between, as of a mosaic."""
    h, w = (n // 2 for n in pixels.shape[:2])
    apart = np.full((2 * h + gap, 2 * w + gap, 3), value, np.uint8)
    for y in (0, 1):
        for x in (0, 1):
            part = pixels[y * h : (y + 1) * h, x * w : (x + 1) * w]
            at = np.s_[y * (h + gap) :, x * (w + gap) :]
            apart[at][:h, :w] = part
    return apart


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def with_alpha(pixels: np.ndarray, width: int) -> np.ndarray:
    seen = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return np.pad(
        np.concatenate([pixels, seen], axis=2), [(width, width), (0, 0), (0, 0)]
    )


def paddings() -> st.SearchStrategy[Callable[[np.ndarray], np.ndarray]]:
    """What is done to pixels, which stay as they are: 0.3 to 60 % are added."""
    value = st.sampled_from([0, 255])
    widths = st.tuples(*[st.sampled_from([0, 1, 5, 20, 80])] * 4).filter(any)
    return st.one_of(
        st.builds(lambda v, w: lambda p: framed_in(p, v, w), value, widths),
        st.builds(lambda v, g: lambda p: parted(p, v, g), value, st.integers(8, 60)),
        st.builds(
            lambda v, a: lambda p: rotate(p, a, order=0, cval=v),
            value,
            st.integers(2, 88),
        ),
        st.builds(lambda w: lambda p: with_alpha(p, w), st.integers(1, 90)),
    )


def apart(one: np.ndarray, other: np.ndarray) -> float:
    colours = [rgb2lab(pixels[..., :3]) for pixels in (one, other)]
    return float(np.linalg.norm(colours[0] - colours[1], axis=-1).mean())


@pytest.mark.parametrize("name", MODELS)
@given(pad=paddings())
@settings(max_examples=4, deadline=None)
def test_padding_does_not_move_a_look(
    name: str, pad: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Of an image, a donor and a reference.

    Turning alone moves the darkest and the lightest percent by up to 0.8.
    """
    most = 1.0 if name == "percentile" else 0.5
    image, other = nd.Field(TISSUE, "YXC"), nd.Field(DONOR, "YXC")
    padded = nd.Field(pad(TISSUE), "YXC")
    model = nd.fit([image, other], name)
    assert apart(model.swap(other, image), model.swap(other, padded)) < most
    look, odd = model.attribute(image), model.attribute(padded)
    target = model.attribute(other)
    moved = model.render(image, target, odd), model.render(image, target, look)
    assert apart(*moved) < most
    reference = [nd.fit([one, other], name).content(other) for one in (image, padded)]
    assert apart(*reference) < most
    outside = ~valid(padded)
    after = model.swap(padded, other)
    assert np.array_equal(after[outside], np.asarray(padded.data)[outside])
    assert "padding" in " ".join(odd.status)


FRAYED: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "frame": lambda pixels, value: framed_in(pixels, value, (20, 0, 24, 40)),
    "thin frame": lambda pixels, value: framed_in(pixels, value, (5, 3, 0, 0)),
    "bands": lambda pixels, value: parted(pixels, value, 8),
    "turned": lambda pixels, value: rotate(pixels, 7, order=0, cval=value),
    "turned far": lambda pixels, value: rotate(pixels, 60, order=0, cval=value),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("how", FRAYED)
def test_padding_that_jpeg_has_frayed_does_not_move_a_look(
    name: str, value: int, how: str
) -> None:
    """Other blocks alone, without padding, move published forms by up to 0.7."""
    image, other = nd.Field(as_jpeg(TISSUE), "YXC"), nd.Field(DONOR, "YXC")
    padded = nd.Field(as_jpeg(FRAYED[how](TISSUE, value)), "YXC")
    model = nd.fit([image, other], name)
    moved = apart(model.swap(other, image), model.swap(other, padded))
    assert moved < (0.5 if name in ("affine", "balanced", "levels") else 1.1)


@pytest.mark.parametrize("end", [200, 256])
def test_a_black_pen_is_image(end: int) -> None:
    pixels = TISSUE.copy()
    pixels[:end, 100:130] = 18
    assert valid(nd.Field(pixels, "YXC")).all()
    assert valid(nd.Field(as_jpeg(pixels), "YXC")).all()


def on_glass(what: str, glass: float) -> np.ndarray:
    """Tissue with edges of all kinds on an empty slide."""
    y, x = np.mgrid[:160, :160]
    where = {
        "nothing": y < 0,
        "a cell": np.hypot(y - 70, x - 60) < 6,
        "a large cell": np.hypot(y - 80, x - 80) < 60,
        "a square": (abs(y - 80) < 40) & (abs(x - 70) < 40),
        "a core, turned": abs((y - 80) + 0.5 * (x - 80)) < 25,
        "a strip": abs(y - 80) < 30,
        "below a straight edge": y > 70,
        "two cells": (np.hypot(y - 40, x - 40) < 9) | (np.hypot(y - 100, x - 120) < 9),
    }[what]
    pixels = np.where(where[..., None], (170, 110, 160), glass)
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


ON_GLASS = (
    "nothing",
    "a cell",
    "a large cell",
    "a square",
    "a core, turned",
    "a strip",
    "below a straight edge",
    "two cells",
)


@pytest.mark.parametrize("what", ON_GLASS)
@pytest.mark.parametrize("glass", [222, 235, 246])
def test_an_empty_slide_is_image_whatever_lies_on_it(what: str, glass: float) -> None:
    pixels = on_glass(what, glass)
    assert valid(nd.Field(pixels, "YXC")).all()
    assert valid(nd.Field(as_jpeg(pixels), "YXC")).all()


def test_a_slide_in_a_white_frame_keeps_its_glass() -> None:
    framed = framed_in(on_glass("a large cell", 235), 255, (12, 12, 12, 12))
    inside = np.pad(np.ones((160, 160), bool), 12)
    for pixels in (framed, as_jpeg(framed)):
        found = valid(nd.Field(pixels, "YXC"))
        assert (found == inside).mean() > 0.99


def test_jpeg_of_a_slide_without_padding_is_valid_as_a_whole() -> None:
    """Also one that is overexposed, so that its empty part is white."""
    for gain in (1.0, 1.1):
        bright = np.clip(TISSUE * gain, 0, 255).astype(np.uint8)
        assert valid(nd.Field(as_jpeg(bright), "YXC")).all()


@pytest.mark.parametrize("name", ["affine", "balanced"])
@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("width", [1, 20, 80])
def test_padding_does_not_move_a_gain(name: str, value: float, width: int) -> None:
    cells, other = (load(f"cells_{i}")[0].astype(np.float32) for i in "ab")
    image, donor = nd.Field(other, "YX"), nd.Field(cells, "YX")
    pixels = np.pad(cells, [(width, 0), (0, width)], constant_values=value)
    padded = nd.Field(pixels, "YX")
    model = nd.fit([image, donor], name)
    before, after = (
        np.polyfit(other.ravel(), model.swap(image, one).ravel(), 1)[0]
        for one in (donor, padded)
    )
    assert after / before == pytest.approx(1, abs=0.01)
    outside = ~valid(padded)
    assert outside.mean() > 0.005
    np.testing.assert_array_equal(model.swap(padded, image)[outside], pixels[outside])


@pytest.mark.parametrize("name", in_turn(DETECTORS))
def test_regions_stay_where_padding_is_out_of_reach(name: str) -> None:
    slides = [render(tissue(seed, 192), VIOLET, 2.0, seed) for seed in range(20, 26)]
    normals = [nd.Field(pixels, "YXC") for pixels in slides[:5]]
    detector = fitted(normals, name, nd.fit(normals, "balanced"), cell=14.0)
    odd = slides[5].copy()
    odd[80:110, 80:110] = np.random.default_rng(0).integers(0, 255, (30, 30, 3))
    padded = framed_in(odd, 0, (40, 0, 25, 0))
    plain, other = (
        detector.score(nd.Field(pixels, "YXC")).regions(0.05)[0] > 0
        for pixels in (odd, padded)
    )
    inside = np.s_[48:144, 48:144]
    one, two = plain[inside], other[40:, 25:][inside]
    assert one.any()
    assert (one & two).sum() >= 0.9 * (one | two).sum()


@pytest.mark.parametrize("name", in_turn(DETECTORS))
def test_padding_of_normals_leaves_p_valid(name: str) -> None:
    """Pixels of new images: no more of them are odd than p says."""
    slides = [render(tissue(seed, 96), VIOLET, 2.0, seed) for seed in range(20, 36)]
    normals = [nd.Field(framed_in(p, 0, (0, 30, 20, 0)), "YXC") for p in slides[:8]]
    detector = fitted(normals, name, nd.fit(normals, "mk"))
    new = [detector.score(nd.Field(p, "YXC")).p for p in slides[8:]]
    assert np.mean([np.mean(p <= 0.05) for p in new]) < 0.1
    padded = nd.Field(framed_in(slides[8], 255, (20, 0, 30, 0)), "YXC")
    p = detector.score(padded).p
    assert np.isnan(p[~valid(padded)]).all() or (p[~valid(padded)] == 1).all()


def test_no_region_in_padding() -> None:
    made = nd.Field(TISSUE, "YXC")
    detector = nd.fit_detector(nd.Field(DONOR, "YXC"), "knn", nd.fit(made, "balanced"))
    padded = framed(0, (30, 0, 0, 50))
    score = detector.score(padded)
    labels, _ = score.regions(0.05)
    assert not labels[~valid(padded)].any()
    assert np.isnan(score.z[~valid(padded)]).all()


def test_nothing_is_odd_beside_padding() -> None:
    image, donor = nd.Field(TISSUE, "YXC"), nd.Field(DONOR, "YXC")
    model = nd.fit([image, donor], "balanced")
    detector = nd.fit_detector(donor, "knn", model)
    beside = detector.score(framed(0, (0, 0, 40, 0))).z[:, 40:]
    plain = detector.score(image).z
    edge = slice(0, 6)
    assert np.abs(beside[:, edge]).max() < 1.5 * np.abs(plain).max()
    difference = np.abs(np.abs(beside[:, 60:]) - np.abs(plain[:, 60:]))
    assert difference.mean() < 0.1


@pytest.mark.parametrize("tile", [64, 100, 512])
def test_tiles_agree(tile: int) -> None:
    from dataclasses import replace

    padded = turned(20)
    model = nd.fit([padded, nd.Field(DONOR, "YXC")], "affine")
    lazy: Any = nd.apply(model, padded, "swap", donor=nd.Field(DONOR, "YXC"))
    whole, parts = (np.asarray(replace(lazy, tile=t)) for t in (2048, tile))
    assert np.array_equal(whole, parts)


# --- threads ----------------------------------------------------------------------
class Computed:
    """An array that is computed from an image, whose padding it asks for."""

    def __init__(self, source: nd.Field, others: threading.Barrier) -> None:
        self.source, self.others = source, others
        self.shape, self.dtype = source.shape, source.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        with contextlib.suppress(threading.BrokenBarrierError):
            self.others.wait(1)
        pixels = self.source.plane()
        self.source.valid(pixels, (), ALL, ALL)
        return np.moveaxis(pixels, 0, -1)[key]


def test_an_image_that_is_computed_from_another_blocks_nobody() -> None:
    meeting = threading.Barrier(2)
    outer = nd.Field(Computed(nd.Field(TISSUE, "YXC"), meeting), "YXC")
    pixels = np.moveaxis(TISSUE, -1, 0)

    def asks() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(1)
        outer.valid(pixels, (), ALL, ALL)

    jobs = [threading.Thread(target=one, daemon=True) for one in (outer.plane, asks)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(20)
    assert not any(job.is_alive() for job in jobs)
