"""Regions: what belongs to one, and what its p and q promise."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.measure import label

from napari_disentangle.compute.iterators import finished
from napari_disentangle.detector.calibration import (
    adjusted,
    adjusted_limits,
    calibration,
)
from napari_disentangle.detector.extent import extents
from napari_disentangle.detector.regions import regions
from napari_disentangle.errors import DataError

ALPHA = 0.05


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Raw scores of something normal: smooth noise without its sign."""
    rng = np.random.default_rng(seed)
    sigma = [0] * (len(shape) - 2) + [2, 2]
    smooth = gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return (np.abs(smooth) / 0.14).astype(np.float32)


def normal(n_blocks: int, seed: int = 0):
    return calibration(list(noise(n_blocks, 32, 32, seed=seed)))


NORMAL = normal(40, 99)


def find(score, alpha=ALPHA, min_size=1, known=NORMAL, **options):
    options = {"spacing": (1,) * score.ndim} | options
    extent = known.extent(score)
    return regions(score, extent, 1, known, alpha, min_size, **options)


def odd(*shape: int) -> np.ndarray:
    """Nothing surprising."""
    return np.zeros(shape, np.float32)


# --- calibration ----------------------------------------------------------------------
def test_z_is_signed_and_begins_at_the_typical_score():
    known = calibration([np.arange(101, dtype=np.float32)[None]])
    assert (known.center, known.spread) == (50, pytest.approx(25 * 1.4826))
    scores = np.array([0, 50, 50 + known.spread, np.nan], np.float32)
    z = known.z(scores, np.array([1, -1, -1, 1]))
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, [0, 0, -1, np.nan], rtol=1e-6)
    np.testing.assert_allclose(known.raw(z), [50, 50, scores[2], np.nan], rtol=1e-6)


def test_blocks_count_with_their_usable_pixels():
    blocks = [noise(30, 30, seed=i) for i in range(3)]
    blocks[1][:15] = np.nan
    known = calibration([*blocks, np.full((9, 9), np.nan, np.float32)])
    largest = [known.extent(block).max() for block in blocks]
    np.testing.assert_array_equal(known.extents, sorted(largest))
    assert len(known.scores) == 2250
    assert known.block_size == 750


def test_a_sliver_is_no_block_but_its_pixels_count():
    blocks = [noise(30, 30), noise(30, 7, seed=1), noise(30, 30, seed=2)]
    known = calibration(blocks)
    assert len(known.scores) == 2010
    assert (len(known.extents), known.block_size) == (2, 900)


def test_places_are_counted_by_the_usable_pixels_of_a_block():
    blocks = [noise(30, 30, seed=i) for i in range(3)]
    blocks[1][:15] = np.nan
    known = calibration(blocks)
    assert known.looks(blocks[1]) == 1
    assert known.looks(noise(60, 60)) == 5


def test_very_many_pixels_are_thinned():
    many = np.random.default_rng(0).random((3, 700, 1000), np.float32)
    known = calibration(list(many))
    assert len(known.scores) == 2**20
    assert known.scores[-1] == many.max()
    np.testing.assert_allclose(known.scores[:: 2**18], [0, 0.25, 0.5, 0.75], atol=2e-3)


def test_too_few_normal_pixels_are_refused():
    with pytest.raises(DataError, match="only 19 normal pixels"):
        calibration([np.ones((2, 5)), np.ones((1, 9)), np.full((1, 5), np.nan)])
    with pytest.raises(DataError, match="only 0 normal pixels"):
        calibration([])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=20, max_size=99),
    st.floats(0.001, 0.999) | st.sampled_from([0.05, 0.07, 0.29, 0.5]),
)
def test_the_threshold_is_where_p_passes_alpha(held_out, alpha):
    known = calibration([np.array([held_out], np.float32)])
    scores = np.arange(-1, 11, dtype=np.float32)
    expected = known.p(scores) <= np.float32(alpha)
    np.testing.assert_array_equal(scores > known.threshold(alpha), expected)


# --- extent ---------------------------------------------------------------------------
def test_extent_sums_the_sizes_of_the_parts_a_pixel_is_in():
    score = odd(9, 9)
    score[1:6, 1:6] = 1
    score[2:4, 2:4] = 2
    score[6, 6] = 1
    score[8, 8] = np.inf
    expected = np.where(score > 0, 26, 0)
    expected[2:4, 2:4] += 4
    expected[8, 8] = 3
    np.testing.assert_array_equal(finished(extents(score, [0.5, 1.5, 9], 9)), expected)


def test_parts_end_with_the_window_as_blocks_do():
    score = odd(2, 20, 30)
    score[1, 4:14, 6:26] = 1
    expected = np.zeros(score.shape)
    expected[1, 4:10, 6:10] = 24
    expected[1, 4:10, 10:20] = 60
    expected[1, 4:10, 20:26] = 36
    expected[1, 10:14, 6:10] = 16
    expected[1, 10:14, 10:20] = 40
    expected[1, 10:14, 20:26] = 24
    np.testing.assert_array_equal(finished(extents(score, [0.5], 10)), expected)


def test_nothing_can_be_said_of_what_is_not_finite():
    score = odd(20, 20)
    score[5:9, 5:15] = 9
    without = NORMAL.extent(np.where(np.arange(20) == 9, np.nan, score))
    score[:, 9] = np.inf
    np.testing.assert_array_equal(NORMAL.extent(score), without)


def test_tied_scores_are_as_surprising_in_a_map_as_in_a_block():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        blocks = rng.normal(size=(10, 32, 32)).astype(np.float32)
        blocks[rng.random(blocks.shape) < 0.1] = 3.3 + rng.random()
        known = calibration(list(blocks))
        largest = known.extent(known.raw(known.z(blocks))).max(axis=(1, 2))
        np.testing.assert_array_equal(sorted(largest), known.extents)


@st.composite
def planes(draw):
    shape = draw(st.sampled_from([(9, 12), (3, 6, 7), (2, 2, 5, 6)]))
    values = st.sampled_from([0, 1, 2, 2.5, 3, 4, np.nan])
    return draw(arrays(np.float32, shape, elements=values))


@settings(max_examples=100, deadline=None)
@given(planes())
def test_extent_counts_what_is_connected_at_halving_p(score):
    p = np.nan_to_num(NORMAL.p(score), nan=1)
    expected = np.zeros(score.shape)
    for i in range(99):
        for index in np.ndindex(score.shape[:-2]):
            parts = label(p[index] <= np.float32(0.05 / 2**i))
            sizes = np.bincount(parts.ravel())
            expected[index] += np.where(parts, sizes[parts], 0)
    np.testing.assert_array_equal(NORMAL.extent(score), expected)


# --- p and q of regions ---------------------------------------------------------------
def test_p_of_a_region_counts_normal_blocks():
    known = replace(NORMAL, extents=np.arange(19, dtype=np.uint32))
    p = known.region_p([20, 18, 17, 0])
    np.testing.assert_allclose(p, [1 / 20, 2 / 20, 3 / 20, 1])
    assert known.limits == ""


def test_a_wide_region_is_odd_where_a_hot_pixel_is_not():
    score = odd(64, 64)
    score[8, 8] = 99
    score[34:54, 34:54] = NORMAL.threshold(0.01) + 0.1
    _, table = find(score)
    assert table["max_z"][0] > 10 * table["max_z"][1]
    assert table["p"][0] > 0.2
    assert table["p"][1] == 1 / 41


def test_a_region_of_a_stack_has_the_p_of_its_widest_plane():
    plane = odd(40, 40)
    plane[5:15, 5:15] = 9
    stack = np.stack([0 * plane, plane, np.where(noise(40, 40) > 2, plane, 0)])
    (alone,), (through,) = find(plane)[1]["p"], find(stack, connected=3)[1]["p"]
    assert alone == through == NORMAL.region_p(NORMAL.extent(plane).max())


@pytest.mark.parametrize("n", [1, 7, 18])
def test_with_few_normal_blocks_there_is_no_p_but_a_reason(n):
    known = normal(n)
    assert np.isnan(known.region_p([1, 99])).all()
    assert known.limits.startswith("regions cannot be told from chance: only ")
    assert f"only {n} normal block" in known.limits
    assert "19 are needed for p = 0.05" in known.limits
    score = odd(40, 40)
    score[5:9, 5:9] = 99
    _, table = find(score, known=known)
    assert len(table["p"]) == 1
    assert np.isnan([*table["p"], *table["q"]]).all()


def test_p_of_a_normal_block_is_small_as_rarely_as_it_says():
    small = []
    for seed in range(300):
        known = normal(25, seed)
        new = noise(32, 32, seed=10_000 + seed)
        small.append(known.region_p(known.extent(new).max()) <= 0.2)
    error = np.sqrt(0.2 * 0.8 / len(small))
    # It is a multiple of 1/26: at most 0.2 is exactly 5/26.
    assert abs(np.mean(small) - 5 / 26) < 3 * error


def test_q_of_chance_findings_is_rarely_small():
    """Counting the regions alone, more than a quarter of these images has one."""
    found, alone = [], []
    for seed in range(25):
        known = normal(330, seed)
        for score in noise(4, 128, 128, seed=10_000 + seed):
            _, table = find(score, 0.001, 8, known)
            found.append((table["q"] <= 0.05).any())
            alone.append((adjusted(table["p"], 330) <= 0.05).any())
    assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(found))
    assert np.mean(alone) > 0.15


def test_q_follows_benjamini_and_hochberg():
    p = np.array([0.001, 0.04, 0.002])
    np.testing.assert_allclose(adjusted(p, 999), [0.003, 0.04, 0.003])
    np.testing.assert_allclose(adjusted(p, 999, looks=10), [0.01, 4 / 30, 0.01])
    assert adjusted(np.array([]), 999).shape == (0,)


def test_q_needs_normal_blocks_for_every_place():
    p = np.array([0.005, 0.005])
    assert np.isfinite(adjusted(p, 39)).all()
    assert np.isnan(adjusted(p, 38)).all()
    assert np.isnan(adjusted(p, 39, looks=3)).all()
    assert adjusted_limits(39, 2) == ""
    assert "only 39 normal blocks were held out and 59 are needed" in adjusted_limits(
        39, 3
    )


# --- which pixels ---------------------------------------------------------------------
@settings(max_examples=100, deadline=None)
@given(planes(), st.floats(0.001, 0.6), st.integers(1, 6), st.sampled_from([2, 3]))
def test_labels_are_the_connected_parts_but_for_small_ones(score, alpha, least, space):
    space = min(space, score.ndim)
    labels, table = find(score, alpha, least, connected=space)
    chosen = np.nan_to_num(NORMAL.p(score), nan=1) <= np.float32(alpha)
    sizes, n = [], 0
    for index in np.ndindex(score.shape[:-space]):
        parts = label(chosen[index])
        for part in range(1, parts.max() + 1):
            inside = parts == part
            here = np.unique(labels[index][inside])
            assert len(here) == 1
            assert (here[0] > 0) == (inside.sum() >= least)
            if here[0]:
                n += 1
                sizes.append((here[0], inside.sum()))
    assert not labels[~chosen].any()
    assert n == labels.max()
    assert sorted(sizes) == list(zip(table["label"], table["size"], strict=True))


@settings(max_examples=50, deadline=None)
@given(planes(), st.floats(0.001, 0.6), st.floats(0.001, 0.6))
def test_a_smaller_alpha_never_adds_pixels(score, one, other):
    less, more = (find(score, a, 3, connected=2)[0] for a in sorted([one, other]))
    assert not ((less > 0) & (more == 0)).any()


def test_regions_do_not_join_through_time():
    score = odd(2, 3, 20, 20)
    score[:, :2, 4:9, 4:9] = 99
    labels, table = find(score, connected=3)
    assert table["size"].tolist() == [50, 50]
    assert (labels[0].max(), labels[1].max()) == (1, 2)
    assert find(score, connected=2)[1]["size"].tolist() == [25] * 4
    np.testing.assert_array_equal(table["centroid-0"], [0, 1])


# --- the table ------------------------------------------------------------------------
def test_a_disk_has_its_area_and_diameter_in_world_units():
    y, x = np.ogrid[:80, :80]
    score = np.where((y - 40) ** 2 + (2 * x - 80) ** 2 < 900, 99, 0).astype(np.float32)
    _, table = find(score, spacing=(0.5, 1.0), translate=(10, 20))
    assert table["area"][0] == table["size"][0] * 0.5
    assert table["equivalent_diameter"][0] == pytest.approx(30, rel=0.02)
    centre = [table[f"centroid-{i}"][0] for i in range(2)]
    world = [table[f"centroid_world-{i}"][0] for i in range(2)]
    assert (centre, world) == ([40, 40], [30, 60])


def test_a_mirrored_axis_changes_no_area():
    score = odd(20, 20)
    score[4:9, 4:8] = 99
    _, table = find(score, spacing=(-0.5, 1.0), translate=(10, 20))
    assert table["area"] == [20 * 0.5]
    assert table["equivalent_diameter"] > 0
    assert table["centroid_world-0"] == [10 - 0.5 * 6]


def test_a_volume_has_the_spacing_of_space_alone():
    score = odd(2, 4, 20, 20)
    score[1, 1:3, 4:9, 4:8] = 99
    _, table = find(score, spacing=(7, 2, 0.5, 0.25), connected=3)
    assert table["volume"] == [40 * 0.25]
    assert table["equivalent_diameter"] == np.cbrt(10 * 6 / np.pi)
    assert "area" not in table


def test_values_are_those_of_the_pixels():
    score, sign = noise(60, 60), np.where(noise(60, 60, seed=1) > 1, -1, 1)
    extent = NORMAL.extent(score)
    maps = np.random.default_rng(0).random((2, 60, 60), np.float32)
    labels, table = regions(
        score, extent, sign, NORMAL, 0.2, 5, (1, 1), maps, maps[0], ("dna", "actin")
    )
    z = NORMAL.z(score, sign)
    assert labels.max() > 3
    for row, number in enumerate(table["label"]):
        inside = labels == number
        top = np.abs(z[inside]).argmax()
        assert table["max_z"][row] == z[inside][top]
        assert table["mean_z"][row] == pytest.approx(z[inside].mean(), abs=1e-5)
        assert table["p"][row] == NORMAL.region_p(extent[inside].max())
        actin = maps[1][inside].mean()
        assert table["mean_observed_actin"][row] == pytest.approx(actin, rel=1e-5)
        dna = maps[0][inside].mean()
        assert table["mean_observed_dna"][row] == pytest.approx(dna, rel=1e-5)
        assert table["mean_expected"][row] == pytest.approx(dna, rel=1e-5)
    assert {len(column) for column in table.values()} == {labels.max()}


def test_nothing_odd_gives_an_empty_table():
    labels, table = find(odd(9, 9))
    assert labels.dtype == np.int32
    assert labels.max() == 0
    assert all(len(column) == 0 for column in table.values())


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": a} for a in (0, 1, -0.1, 2, np.nan)]
    + [{"connected": c} for c in (0, 1, 3)]
    + [{"spacing": (1, 1, 1)}]
    + [{"observed": odd(9, 8)}, {"expected": odd(2, 3, 9, 9)}]
    + [{"observed": odd(3, 9, 9), "channel_names": ("dna", "actin")}],
)
def test_a_bad_argument_is_a_value_error(wrong):
    with pytest.raises(ValueError, match=r"must (lie|be|have)"):
        find(odd(9, 9), **wrong)


def test_a_slider_can_move_alpha():
    score = noise(2048, 2048)
    extent = NORMAL.extent(score)
    seconds = []
    for _ in range(3):
        start = perf_counter()
        labels, _ = regions(score, extent, 1, NORMAL, 0.01, 16, (1, 1))
        seconds.append(perf_counter() - start)
    assert labels.max() > 300
    assert min(seconds) < 1
