"""Anomaly maps of stacks: one map through Z, whose p keeps its word."""

from __future__ import annotations

import tracemalloc
from collections import deque
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from strategies import fitted

import napari_disentangle as nd
from napari_disentangle.compute.operation import along, near
from napari_disentangle.detector.depth import depth, reach, smoothed
from napari_disentangle.detector.score import Scoring

CELL = 14
# the quickest, which shows what is done with its scores as well as any
fit = partial(nd.fit_detector, detector="mahalanobis", on=None)
WHOLE = 10**6
SHAPE = (13, 96, 96)


def tissue(
    seed: int, spacing: float = 3.0, shape: tuple[int, ...] = SHAPE
) -> np.ndarray:
    """Blobs as wide along Z as in a plane, in world units, and noise of a camera."""
    rng = np.random.default_rng(seed)
    sigma = [CELL / 4 / spacing, CELL / 4, CELL / 4]
    blobs = gaussian_filter(rng.normal(size=shape), sigma[-len(shape) :])
    values = 1 / (1 + np.exp(-3 * blobs / blobs.std()))
    return (values + 0.1 * rng.normal(size=shape)).astype(np.float32)


def field(values: np.ndarray, spacing: float = 3.0, axes: str = "ZYX", **known):
    scale = tuple(spacing if axis == "Z" else 1.0 for axis in axes)
    return nd.Field(values, axes, scale=scale, **known)


def ball(shape: tuple[int, ...], spacing: float, diameter: float) -> np.ndarray:
    """A ball in world units in the middle of a stack."""
    grid = np.indices(shape) - (np.array(shape).reshape(-1, 1, 1, 1) - 1) / 2
    return np.hypot(*grid[1:]) ** 2 + (grid[0] * spacing) ** 2 < (diameter / 2) ** 2


@pytest.fixture(scope="module")
def detector():
    return fit([field(tissue(i)) for i in range(2)], cell=CELL)


@pytest.fixture(scope="module")
def flat():
    """The same, of planes: fitted on them as frames."""
    frames = [nd.Field(tissue(i), "TYX") for i in range(2)]
    return fit(frames, cell=CELL)


# --- how far ------------------------------------------------------------------------
@settings(max_examples=30)
@given(st.floats(8, 80), st.floats(0.5, 4), st.floats(0.1, 3))
def test_it_is_as_far_in_the_world_whatever_the_voxels(diameter, spacing, pixel):
    image = nd.Field(np.zeros((5, 4, 4)), "ZYX", scale=(spacing * pixel, pixel, pixel))
    twice = replace(image, scale=(2 * spacing * pixel, pixel, pixel))
    one, half = depth(image, diameter), depth(twice, diameter)
    assert one == pytest.approx(0.3 * diameter / spacing)
    assert half == pytest.approx(one / 2) or (half == 0 and one < 0.6)


@pytest.mark.parametrize(
    ("axes", "shape", "known"),
    [
        ("YX", (9, 9), {}),
        ("TYX", (4, 9, 9), {}),
        ("ZYX", (1, 9, 9), {}),
        ("ZYX", (4, 9, 9), {"scale": (40, 1, 1)}),
        ("ZYX", (4, 9, 9), {"units": ("micrometer", "pixel", "pixel")}),
    ],
)
def test_it_is_not_smoothed_where_no_plane_is_near(axes, shape, known):
    assert depth(nd.Field(np.zeros(shape), axes, **known), CELL) == 0


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(0, 8), st.floats(0.3, 4), st.integers(0, 99))
def test_unknown_scores_and_missing_planes_do_not_count(n, z, sigma, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 6, 7)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = np.nan
    image, at = nd.Field(np.zeros((n, 6, 7)), "ZYX"), (z % n,)
    parts = {i: scores[one] for i, one in near(image, at, reach(sigma)).items()}
    found, known = smoothed(parts, sigma), np.isfinite(scores[at])
    np.testing.assert_array_equal(np.isfinite(found), known)
    seen = np.stack(list(parts.values()))[:, known]
    assert (found[known] >= np.nanmin(seen, axis=0) - 1e-5).all()
    assert (found[known] <= np.nanmax(seen, axis=0) + 1e-5).all()


# --- what is found ------------------------------------------------------------------
@pytest.mark.parametrize("spacing", [2.5, 4.0])
def test_a_ball_is_found_in_each_of_its_planes_as_one(spacing):
    """More of it than in the same planes as frames, each of which is scored alone."""
    shape = (round(35 / spacing), 72, 72)
    odd, values = ball(shape, spacing, 2 * CELL), tissue(1, spacing, shape)
    values[odd] += 0.3 * np.random.default_rng(2).normal(size=int(odd.sum()))
    stack, frames = (
        fit(field(tissue(0, spacing, shape), spacing, axes), cell=CELL).score(
            field(values, spacing, axes)
        )
        for axes in ("ZYX", "TYX")
    )
    assert all(stack.p[z][odd[z]].min() < 0.05 for z in np.flatnonzero(odd.any((1, 2))))
    labels, _ = stack.regions(0.01)
    assert len({*labels[odd]} - {0}) == 1
    assert (stack.p < 0.05)[odd].mean() > 0.1 + (frames.p < 0.05)[odd].mean()


def test_p_of_normal_stacks_is_below_alpha_for_alpha_of_their_pixels(detector):
    new = [detector.score(field(tissue(30 + i))).p for i in range(6)]
    for alpha in (0.05, 0.2):
        share = np.array([(p <= alpha).mean() for p in new])
        assert abs(share.mean() - alpha) < 0.25 * alpha


def test_what_is_fitted_on_stacks_has_a_p_of_its_own_for_planes(detector):
    """Smoothed scores hardly spread: with their p half of a plane would stand out."""
    planes = [nd.Field(tissue(30 + i)[6], "YX") for i in range(6)]
    scores = [detector.score(plane) for plane in planes]
    assert np.mean([score.p <= 0.05 for score in scores]) == pytest.approx(
        0.05, abs=0.02
    )
    assert scores[0].calibration is detector.calibration is not detector.smoothed


@pytest.mark.parametrize("others", [[], [nd.Field(tissue(2)[0], "YX")]])
def test_what_was_not_fitted_on_stacks_alone_scores_planes_alone(others):
    normals = [nd.Field(tissue(0)[0], "YX"), *others, field(tissue(1))]
    alone = fit(normals[: 1 if not others else None], cell=CELL)
    stack = tissue(3)
    planes = [alone.score(nd.Field(plane, "YX")).z for plane in stack]
    assert alone.score(field(stack)).z.tobytes() == np.stack(planes).tobytes()


# --- how it is computed -------------------------------------------------------------
@pytest.mark.parametrize(
    ("axes", "shape"), [("ZYX", (9, 70, 75)), ("ZTYX", (7, 2, 70, 45))]
)
def test_any_tiling_and_any_part_of_it_give_the_whole(axes, shape):
    image = nd.Field(
        np.random.default_rng(0).normal(size=shape).astype(np.float32), axes
    )
    made = fit(image, cell=5)
    assert made.depth(image) == 1.5
    lazy = made.lazy(image)
    whole = np.asarray(replace(lazy, tile=WHOLE))
    spread = 1e-5 * whole.std()
    assert np.abs(np.asarray(replace(lazy, tile=32)) - whole).max() <= spread
    for key in (4, np.s_[1:6:2, ..., 20:51, 33:34], np.s_[-1, ..., -1]):
        assert np.abs(np.asarray(lazy[key]) - whole[key]).max() <= spread


def test_what_was_expected_is_of_the_plane_itself():
    image = field(tissue(0, shape=(2, 64, 64)))
    few = np.zeros(image.shape, bool)
    few[0, :32, :32] = True
    made = fitted(replace(image, where=few), "context", cell=CELL)
    whole = made.score(image)
    np.testing.assert_array_equal(whole.z[1], np.asarray(made.lazy(image)[1]))
    np.testing.assert_array_equal(whole.expected, np.asarray(made.expected(image)))


def test_time_is_never_mixed(detector):
    movie = np.stack([tissue(3), tissue(4)])
    for axes, values in (("TZYX", movie), ("ZTYX", movie.swapaxes(0, 1))):
        found = detector.score(field(values, axes=axes)).z
        for t in (0, 1):
            alone = detector.score(field(movie[t])).z
            np.testing.assert_array_equal(found.take(t, axes.index("T")), alone)


def test_what_is_unknown_does_not_spread(detector):
    values, lost = tissue(3), np.zeros(SHAPE, bool)
    lost[4] = lost[7, 20:40, 30:50] = True
    z = detector.score(field(np.where(lost, np.nan, values))).z
    np.testing.assert_array_equal(np.isnan(z), lost)
    far = [0, 11, 12]
    np.testing.assert_array_equal(z[far], detector.score(field(values)).z[far])


def test_more_or_less_is_of_the_plane_itself(detector, flat):
    values = tissue(3)
    values[:6, 40:70, 40:70] += 2
    values[6:, 40:70, 40:70] -= 2
    z = detector.score(field(values)).z[:, 50:60, 50:60]
    assert (z[:6] > 0).all()
    assert (z[6:] < 0).all()
    assert np.sign(flat.score(nd.Field(values, "TYX")).z[:, 50:60, 50:60]).tolist() == (
        np.sign(z).tolist()
    )


def test_every_plane_is_looked_at_once_and_few_are_kept(detector):
    image = field(tissue(3))
    sigma, looked = detector.depth(image), []

    def look(lead):
        looked.append(lead)
        yield

    seen = along(image, list(image.leads()), reach(sigma), look)
    most = max(len(one[1]) for one in seen if one)
    assert looked == list(image.leads())
    assert most == 2 * reach(sigma) + 1 < len(looked)


def test_a_deeper_stack_needs_no_more_memory(detector):
    def peak(n: int) -> int:
        values = np.tile(tissue(3)[:4, :40, :40], (n // 4, 1, 1))
        lazy = replace(detector.lazy(field(values)), tile=32)
        sink = np.lib.stride_tricks.as_strided(np.zeros(1, "f4"), lazy.shape, (0, 0, 0))
        tracemalloc.start()
        deque(lazy.fill(sink), maxlen=0)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    peak(8)
    assert peak(32) < 1.1 * peak(12)


def test_it_tells_how_far_it_is_plane_by_plane(detector):
    image = field(tissue(3))
    lazy = detector.lazy(image)
    done = list(lazy.fill(np.empty(lazy.shape, np.float32)))
    assert done == sorted(done)
    assert done[-1] == lazy.parts() == SHAPE[0]
    steps = len(done) // SHAPE[0] - 1  # of each plane, and one when it is whole
    assert done.count(0) == steps * (1 + reach(detector.depth(image)))


def test_planes_and_frames_are_scored_as_ever(detector):
    for axes, shape in (("YX", SHAPE[1:]), ("TYX", SHAPE), ("ZYX", (1, *SHAPE[1:]))):
        image = nd.Field(tissue(3, shape=shape), axes)
        assert type(detector.lazy(image).operation) is Scoring


# --- what it is learned from --------------------------------------------------------
def test_half_of_a_stack_is_enough_to_tell_regions_from_chance():
    where = np.zeros(SHAPE, bool)
    where[:, :, : SHAPE[2] // 2] = True
    half = field(tissue(0), where=where)
    detector, whole = fit(half, cell=CELL), fit(field(tissue(0)), cell=CELL)
    assert len(detector.smoothed.extents) == len(whole.smoothed.extents)
    for calibration in (detector.calibration, detector.smoothed):
        assert len(calibration.extents) >= 19
    p = detector.score(field(tissue(0))).p[~where]
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_only_marked_planes_calibrate_and_planes_near_them_count():
    where = np.zeros(SHAPE, bool)
    where[6] = True
    one = fit(field(tissue(0), where=where), cell=CELL)
    assert one.smoothed.spread < one.calibration.spread
    assert len(one.smoothed.extents) == len(one.calibration.extents)
