"""The audit's measures: known answers, and what must not change them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_disentangle import audit
from napari_disentangle.audit.leak import even_folds
from napari_disentangle.samples import synthetic

gains = st.floats(0.1, 10)
offsets = st.floats(-100, 100)
seeds = st.integers(0, 2**32 - 1)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(seed: int = 0, channels: int = 3, size: int = 64) -> Any:
    """Smooth blobs (C, Y, X) around 100, of about 10 to 200."""
    noise = random(seed).normal(size=(channels, size, size))
    smooth = gaussian_filter(noise, (0, 3, 3))
    return 100 + 30 * smooth / smooth.std()


def slide(look: synthetic.Look, seed: int = 0) -> Any:
    return np.moveaxis(synthetic.render(synthetic.tissue(seed, 128), look), -1, 0)


def discs(radius: float = 14, size: int = 160, spacing: int = 40) -> Any:
    """Large textured nuclei (1, Y, X) of about 100 on a ground of about 10."""
    y, x = np.indices((size, size)) % spacing - spacing / 2
    inside = np.hypot(y, x) < radius
    texture = random(0).normal(size=(size, size))
    return (10 + inside * (90 + 15 * texture) + texture)[None]


# --- leak ---------------------------------------------------------------------------
def batches(groups: int = 40, rows: int = 4, labels: int = 2) -> tuple[Any, Any]:
    """Group and label of every row; every group has one label."""
    group = np.repeat(np.arange(groups), rows)
    return group, group % labels


@pytest.mark.parametrize("labels", [2, 4])
def test_features_that_do_not_know_the_label_leak_nothing(labels: int) -> None:
    group, label = batches(labels=labels)
    found = [
        audit.probe(random(s).normal(size=(len(group), 10)), label, group)
        for s in range(20)
    ]
    assert found[0].chance == 1 / labels
    assert abs(np.mean([f.excess for f in found])) < 0.05
    assert sum(f.interval[0] <= 0 <= f.interval[1] for f in found) >= 15


@pytest.mark.parametrize("labels", [2, 4])
def test_features_that_carry_the_label_leak_all_of_it(labels: int) -> None:
    group, label = batches(labels=labels)
    features = random(0).normal(size=(len(group), 10))
    features[:, :labels] += 8 * np.eye(labels)[label]
    leak = audit.probe(features, label, group)
    assert leak.excess > 0.97
    assert 0.9 < leak.interval[0] <= leak.excess <= leak.interval[1] <= 1


def test_what_only_tells_groups_apart_is_no_leak() -> None:
    excess, split = [], []
    for seed in range(30):
        rng = random(seed)
        group, _ = batches(groups=20, rows=6)
        label = rng.permutation(np.arange(20) % 2)[group]
        signature = 5 * rng.normal(size=(20, 15))
        features = signature[group] + 0.1 * rng.normal(size=(len(group), 15))
        excess.append(audit.probe(features, label, group).excess)
        rows = np.arange(len(group))  # as if rows of one group were independent
        split.append(audit.probe(features, label, rows).excess)
    assert abs(np.mean(excess)) < 0.15
    assert np.mean(split) > 0.9


def test_folds_are_even_though_groups_are_not() -> None:
    sizes = np.array([1, 1, 1, 2, 2, 3, 4, 6])
    counts = np.stack([sizes, np.zeros(8)], axis=1)
    counts = np.concatenate([counts, counts[:, ::-1]])
    fold = even_folds(counts, np.arange(2), 2)
    for label in (0, 1):
        shares = np.bincount(fold, counts[:, label])
        assert shares.tolist() == [10, 10]


def test_a_rare_label_counts_as_much_as_a_common_one() -> None:
    group = np.repeat(np.arange(40), 4)
    label = (group < 4).astype(int)
    blind = audit.probe(np.ones((160, 2)), label, group)
    assert blind.accuracy == blind.chance == 0.5


def test_constant_features_leak_exactly_nothing() -> None:
    group, label = batches()
    rounding = (
        0.1 + 1e-9 * random(0).normal(size=(len(group), 5)) + 1e-9 * label[:, None]
    )
    leak = audit.probe(rounding, label, group)
    assert leak.excess == 0
    assert leak.interval == (0, 0)


@settings(max_examples=15)
@given(seeds, gains, offsets)
def test_units_names_and_order_change_no_leak(
    seed: int, gain: float, offset: float
) -> None:
    rng = random(seed)
    group, label = batches(groups=12)
    features = rng.normal(size=(len(group), 4)) + label[:, None] * 0.7
    leak = audit.probe(features, label, group)
    names = np.array(["a scanner", "the other"])[label]
    assert audit.probe(features * gain + offset, names, group + 7) == leak
    order = rng.permutation(len(group))
    again = audit.probe(features[order], label[order], group[order])
    assert again.excess == pytest.approx(leak.excess, abs=1e-9)


def test_the_interval_is_wide_where_groups_are_few() -> None:
    widths = []
    for groups in (8, 80):
        group, label = batches(groups)
        features = random(1).normal(size=(len(group), 3)) + label[:, None] * 0.5
        low, high = audit.probe(features, label, group).interval
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 0


def test_fewer_than_five_groups_have_no_interval() -> None:
    group, label = batches(groups=4)
    leak = audit.probe(label[:, None] * 1.0, label, group, folds=2)
    assert leak.excess == 1
    assert np.isnan(leak.interval).all()


@pytest.mark.parametrize(
    ("labels", "groups", "folds", "words"),
    [
        ([0, 1] * 4, [0, 0, 1, 1, 2, 2, 3, 3], 5, "5 folds do not fit 4 groups"),
        ([0, 1] * 4, range(8), 1, "1 folds"),
        ([0] * 7 + [1], range(8), 5, "label 1 occurs in one group only"),
        ([3] * 8, range(8), 5, "all 8 labels are 3"),
        ([0, 1] * 4, range(7), 5, "groups of shape"),
        ([0, 1] * 3, range(8), 5, "labels of shape"),
    ],
)
def test_what_cannot_be_probed_is_one_sentence(
    labels: Any, groups: Any, folds: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as error:
        audit.probe(np.zeros((8, 2)), list(labels), list(groups), folds)
    assert "\n" not in str(error.value)


def test_nan_features_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        audit.probe([[0.0], [math.nan]], [0, 1], [0, 1], 2)


# --- features -----------------------------------------------------------------------
def test_colours_are_what_they_say() -> None:
    image = random(0).gamma(2, size=(3, 50, 60))
    found = audit.colour_features(image)
    pixels = image.reshape(3, -1)
    assert found.shape == (33,)
    assert found[:3] == pytest.approx(pixels.mean(axis=1))
    assert found[3:6] == pytest.approx(pixels.std(axis=1))
    assert found[6:9] == pytest.approx(
        2 / math.sqrt(2), abs=0.2
    )  # skewness of gamma(2)
    percentiles = np.percentile(pixels, (1, 5, 25, 50, 75, 95, 99), axis=1)
    assert found[9:30] == pytest.approx(percentiles.ravel())
    assert found[-3:] == pytest.approx(np.cov(pixels, bias=True)[np.triu_indices(3, 1)])


@settings(max_examples=20)
@given(seeds, gains, offsets)
def test_gains_move_colours_as_they_should(
    seed: int, gain: float, offset: float
) -> None:
    image = picture(seed % 50, channels=2, size=20)
    one = audit.colour_features(image)
    other = audit.colour_features(image * gain + offset)
    assert other[:2] == pytest.approx(one[:2] * gain + offset)
    assert other[2:4] == pytest.approx(one[2:4] * gain)
    assert other[4:6] == pytest.approx(one[4:6], abs=1e-6)
    assert other[6:20] == pytest.approx(one[6:20] * gain + offset)
    assert other[20:] == pytest.approx(one[20:] * gain**2)


def shuffled(image: Any) -> Any:
    """The same colours in other places."""
    order = random(9).permutation(image[0].size)
    return image.reshape(len(image), -1)[:, order].reshape(image.shape)


def test_only_convolutions_see_where_pixels_lie() -> None:
    one, other = picture(), shuffled(picture())
    assert audit.colour_features(one) == pytest.approx(audit.colour_features(other))
    seen, other_seen = (audit.convolution_features(i) for i in (one, other))
    assert seen.shape == (96,)
    assert np.abs(seen - other_seen).max() > 0.1 * np.abs(seen).max()


def test_the_seed_fixes_the_convolutions() -> None:
    one, again, other = (audit.convolution_features(picture(), s) for s in (1, 1, 2))
    assert (one == again).all()
    assert np.abs(one - other).max() > 1


def test_convolutions_follow_a_gain() -> None:
    features = audit.convolution_features(picture())
    assert audit.convolution_features(2 * picture()) == pytest.approx(
        2 * features, rel=1e-4, abs=1e-3
    )


def test_a_look_in_texture_alone_is_found_by_convolutions_alone() -> None:
    group, label = batches(groups=20, rows=1)
    images = [picture(seed, 1, 32) for seed in group]
    images = [shuffled(i) if is_b else i for i, is_b in zip(images, label, strict=True)]
    colours = np.stack([audit.colour_features(i) for i in images])
    textures = np.stack([audit.convolution_features(i) for i in images])
    assert audit.probe(textures, label, group).excess > 0.9
    assert audit.probe(colours, label, group).interval[0] <= 0


def test_a_small_image_is_refused_by_its_size() -> None:
    assert audit.convolution_features(np.ones((1, 16, 16))).shape == (96,)
    with pytest.raises(ValueError, match="15 x 40 pixels is too small"):
        audit.convolution_features(np.ones((1, 15, 40)))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.ones((20, 20)), "is not"),
        (np.ones((0, 20, 20)), "is not"),
        (np.full((1, 20, 20), np.nan), "100.0% of the values are NaN"),
    ],
)
def test_no_measure_takes_odd_images(image: Any, words: str) -> None:
    for measure in (audit.colour_features, audit.convolution_features):
        with pytest.raises(ValueError, match=words):
            measure(image)
    with pytest.raises(ValueError, match=words):
        audit.seam_score(image, 5)


# --- structure ----------------------------------------------------------------------
def test_flat_images_pass_the_probe_and_fail_the_structure() -> None:
    group, label = batches(groups=12, rows=1)
    images = [picture(i, size=32) + 20 * b for i, b in zip(group, label, strict=True)]
    flat = [np.full_like(image, 100) for image in images]
    raw, after = (
        audit.probe([audit.colour_features(i) for i in shown], label, group)
        for shown in (images, flat)
    )
    assert raw.excess > 0.8
    assert after.excess == 0
    assert audit.gradient_correlation(images[0], flat[0]).correlation == 0
    assert audit.nucleus_dice(images[0], flat[0], "fluorescence") == 0


@settings(max_examples=25)
@given(seeds, gains, offsets)
def test_gain_and_offset_keep_all_structure(
    seed: int, gain: float, offset: float
) -> None:
    image = picture(seed % 50)
    after = image * gain + offset
    kept = audit.gradient_correlation(image, after)
    assert kept.correlation == pytest.approx(1)
    assert audit.nucleus_dice(image, after, "fluorescence") > 0.99


@given(st.lists(gains, min_size=3, max_size=3))
@settings(max_examples=10)
def test_nuclei_stay_where_they_are_under_another_light(light: list[float]) -> None:
    image = slide(synthetic.VIOLET)
    after = image * np.reshape(light, (3, 1, 1))
    assert audit.nucleus_dice(image, after, "brightfield") > 0.999


def test_other_content_has_other_edges_and_nuclei() -> None:
    one, other = slide(synthetic.VIOLET, 0), slide(synthetic.VIOLET, 1)
    assert abs(audit.gradient_correlation(one, other).correlation) < 0.2
    assert audit.nucleus_dice(one, other, "brightfield") < 0.7


def test_another_stain_keeps_edges_and_nuclei() -> None:
    one, other = slide(synthetic.VIOLET), slide(synthetic.ROSE)
    assert audit.gradient_correlation(one, other).correlation > 0.97
    assert audit.nucleus_dice(one, other, "brightfield") > 0.95


def test_a_blur_passes_the_nuclei_and_not_the_edges() -> None:
    sharp = discs()
    blurred = gaussian_filter(sharp, (0, 3, 3))
    assert audit.nucleus_dice(sharp, blurred, "fluorescence") > 0.95
    assert audit.gradient_correlation(sharp, blurred).correlation < 0.7


def test_nuclei_are_what_is_strong() -> None:
    shining = discs()
    truth = shining[0] > 50
    assert (audit.nuclei(shining, "fluorescence") == truth).mean() > 0.98
    light = 250 * 10 ** (-shining / 100 * np.reshape([0.7, 0.6, 0.3], (3, 1, 1)))
    assert (audit.nuclei(light, "brightfield") == truth).mean() > 0.98


def test_nuclei_of_tissue_are_where_the_stain_is() -> None:
    truth = synthetic.tissue(0, 128)[0] > 0.5
    found = audit.nuclei(slide(synthetic.VIOLET), "brightfield")
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


def test_flat_ramped_and_black_images_have_clear_values() -> None:
    image, flat = picture(), np.full((3, 64, 64), 7.3)
    ramp = np.arange(64.0) + flat
    correlations = [
        audit.gradient_correlation(*pair).correlation
        for pair in ((image, flat), (flat, image), (flat, flat), (ramp, flat + 1))
    ]
    assert correlations == [0, 0, 1, 1]
    for modality in ("brightfield", "fluorescence"):
        for level in (0.0, 7.3):
            even = np.full_like(image, level)
            assert not audit.nuclei(even, modality).any()
            assert audit.nucleus_dice(even, image, modality) == 0
            assert audit.nucleus_dice(even, even, modality) == 1


def test_edges_of_all_channels_count() -> None:
    one, same, other = np.zeros((3, 3, 64, 64))
    one[1], same[2], other[1] = picture(0)[0], picture(0)[0], picture(1)[0]
    assert audit.gradient_correlation(one, same).correlation == pytest.approx(1)
    assert abs(audit.gradient_correlation(one, other).correlation) < 0.3


def test_noise_on_a_flat_image_is_no_structure() -> None:
    noise = 100 + random(0).normal(size=(3, 64, 64))
    assert abs(audit.gradient_correlation(picture(), noise).correlation) < 0.1


def test_the_clipped_share_is_what_the_type_cannot_hold() -> None:
    after = picture(size=10)
    after[0, :2], after[1, 0] = 300, -1
    assert audit.gradient_correlation(after, after, (0, 255)).clipped == 30 / 300
    assert audit.gradient_correlation(after, after).clipped == 0


def test_structure_needs_one_grid() -> None:
    for measure in (audit.gradient_correlation, audit.self_reconstruction, audit.psnr):
        with pytest.raises(ValueError, match="differ"):
            measure(picture(), picture(size=32))
    with pytest.raises(ValueError, match="at least 2 x 2"):
        audit.gradient_correlation(np.ones((1, 1, 9)), np.ones((1, 1, 9)))


# --- fidelity -----------------------------------------------------------------------
def test_reconstruction_is_in_input_units() -> None:
    image = picture(channels=1, size=100)
    rendered = image + 2
    rendered[0, 0] = image[0, 0] - 50  # one row of a hundred
    rendered[0, 1] = image[0, 1] - 50
    found = audit.self_reconstruction(image, rendered)
    assert found.mae == pytest.approx(0.98 * 2 + 0.02 * 50)
    assert found.q99 == pytest.approx(50)
    assert audit.self_reconstruction(image, image) == audit.Reconstruction(0, 0)


def recoloured(image: Any, seed: int) -> Any:
    """The image under another look: the straight way there is the shortest."""
    rng = random(seed)
    root = np.eye(3) + 0.3 * rng.normal(size=(3, 3))
    offset = 20 * rng.normal(size=(3, 1, 1))
    return np.tensordot(root @ root.T, image, 1) + offset


@settings(max_examples=20)
@given(seeds, gains)
def test_swap_fidelity_is_the_share_of_the_way_that_is_left(
    seed: int, gain: float
) -> None:
    source = picture(1)
    target = recoloured(source, seed)
    assert audit.swap_fidelity(target, target, source) < 1e-6
    assert audit.swap_fidelity(source, target, source) == pytest.approx(1)
    for left in (0.5, 0.1):
        swapped = left * source + (1 - left) * target
        assert audit.swap_fidelity(swapped, target, source) == pytest.approx(left)
        elsewhere = (gain * shuffled(i) for i in (swapped, target, source))
        assert audit.swap_fidelity(*elsewhere) == pytest.approx(left)


def test_swap_fidelity_of_shifts_and_spreads_is_known() -> None:
    source = picture(1, channels=1)
    spread = source.std()
    assert audit.swap_fidelity(source + 5, source + 20, source) == pytest.approx(0.75)
    assert audit.swap_fidelity(source - 20, source + 20, source) == pytest.approx(2)
    wider = source + (
        source - source.mean()
    )  # twice the spread: as far as a shift of it
    assert audit.swap_fidelity(wider, source + spread, source) == pytest.approx(
        math.sqrt(2)
    )


def test_swap_fidelity_sees_correlations() -> None:
    noise = random(0).normal(size=(2, 64, 64))
    tied = np.stack([noise[0], noise[0]])
    tied *= noise.std(axis=(1, 2), keepdims=True) / tied.std(axis=(1, 2), keepdims=True)
    tied += noise.mean(axis=(1, 2), keepdims=True) - tied.mean(
        axis=(1, 2), keepdims=True
    )
    assert audit.swap_fidelity(tied, noise + 1, noise) > 1.1


def test_a_swap_between_equal_colours_has_a_clear_value() -> None:
    image = picture()
    assert audit.swap_fidelity(image, shuffled(image), image) == 0
    assert audit.swap_fidelity(image + 1, image, image) == math.inf
    with pytest.raises(ValueError, match=r"channel counts \[1, 3, 3\] differ"):
        audit.swap_fidelity(image[:1], image, image)


def test_psnr_is_that_of_the_textbook() -> None:
    truth = picture()
    assert audit.psnr(truth + 1, truth, 255) == pytest.approx(48.1308, abs=1e-3)
    assert audit.psnr(truth, truth) == math.inf
    ranges = np.ptp(np.percentile(truth, (0.1, 99.9), axis=(1, 2)), axis=0)
    error = np.reshape(ranges, (3, 1, 1)) / 10
    assert audit.psnr(truth + error, truth) == pytest.approx(20)
    flat = np.ones((1, 4, 4))
    with pytest.raises(ValueError, match="not positive"):
        audit.psnr(flat, flat)


@given(gains, offsets)
@settings(max_examples=20)
def test_content_agreement_is_a_ratio_of_signal_to_noise(
    gain: float, offset: float
) -> None:
    one = random(0).normal(size=(4, 32, 32))
    other = one + 0.1 * random(1).normal(size=one.shape)
    agreement = audit.content_agreement(one, other)
    assert agreement == pytest.approx(20, abs=0.5)
    assert audit.content_agreement(other, one) == pytest.approx(agreement)
    moved = audit.content_agreement(one * gain + offset, other * gain + offset)
    assert moved == pytest.approx(agreement)


def test_empty_content_agrees_with_nothing() -> None:
    content = picture()
    flat = np.zeros_like(content)
    assert audit.content_agreement(content, content) == math.inf
    assert audit.content_agreement(flat, flat) == -math.inf
    assert audit.content_agreement(content, random(3).permuted(content)) < 0


# --- seams --------------------------------------------------------------------------
def tiled(image: Any, side: int, jump: float) -> Any:
    """Every other tile is brighter."""
    y, x = np.indices(image.shape[1:]) // side
    return image + jump * ((y + x) % 2)


@pytest.mark.parametrize("shape", [(1, 128, 128), (3, 100, 170)])
def test_a_gradient_has_no_seams(shape: tuple[int, int, int]) -> None:
    _, y, x = np.indices(shape)
    for gradient in (x + 0.0, y - 3.0 * x, (x + 2 * y) ** 1.1):
        assert audit.seam_score(gradient, 32) == pytest.approx(1, abs=0.02)


@given(gains, offsets)
@settings(max_examples=10)
def test_planted_seams_are_found_where_they_are(gain: float, offset: float) -> None:
    image = 100 + random(0).normal(size=(3, 128, 128))
    seamed = tiled(image, 32, 5)
    score = audit.seam_score(seamed, 32)
    assert audit.seam_score(image, 32) == pytest.approx(1, abs=0.04)
    assert score > 3
    assert audit.seam_score(seamed, 31) < 1.2
    moved = audit.seam_score(gain * seamed + offset, 32)
    assert moved == pytest.approx(score)


def test_seams_of_the_source_are_not_blamed_on_the_tiles() -> None:
    noise = random(0).normal(size=(1, 128, 128))
    blocks = tiled(noise, 8, 2)
    assert audit.seam_score(blocks, 64) > 1.5
    assert audit.seam_score(3 * blocks + 1, 64, blocks) == pytest.approx(1)
    assert audit.seam_score(tiled(blocks, 64, 5), 64, blocks) > 1.5


def test_sides_of_tiles_may_differ() -> None:
    image = random(0).normal(size=(1, 64, 64))
    image[:, 16:] += 9
    assert audit.seam_score(image, (16, 64)) > 2
    assert audit.seam_score(image, (64, 16)) < 1.1


def test_seams_of_flat_images_have_clear_values() -> None:
    flat = np.ones((1, 64, 64))
    assert audit.seam_score(flat, 32) == 1
    assert audit.seam_score(tiled(flat, 32, 1), 32) == math.inf
    assert audit.seam_score(tiled(flat, 32, 1), 32, flat) == math.inf


@pytest.mark.parametrize(("tile", "words"), [(64, "no border"), (1, "no inside")])
def test_tiles_that_say_nothing_are_refused(tile: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        audit.seam_score(np.ones((1, 64, 64)), tile)


# --- mixing -------------------------------------------------------------------------
def clouds(distance: float) -> tuple[Any, Any]:
    label = np.arange(200) % 2
    points = random(0).normal(size=(200, 3))
    points[:, 0] += distance * label
    return points, label


def test_separate_clouds_are_told_from_mixed_ones() -> None:
    assert audit.silhouette(*clouds(50)) > 0.9
    assert abs(audit.silhouette(*clouds(0))) < 0.02
    assert audit.lisi(*clouds(50)) == 1
    assert 1.85 < audit.lisi(*clouds(0)) <= 2


def test_silhouette_and_lisi_by_hand() -> None:
    points, label = [[0.0], [1.0], [3.0]], ["a", "a", "b"]
    assert audit.silhouette(points, label) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert audit.lisi(points, label, 1) == 1
    assert audit.lisi(points, label, 2) == pytest.approx((2 + 2 + 1) / 3)


def test_rows_among_another_label_are_negative() -> None:
    points = [[0.0], [10.0], [0.1], [10.1], [10.2]]
    assert audit.silhouette(points, [0, 0, 1, 1, 1]) < 0


@settings(max_examples=15)
@given(seeds, gains, offsets)
def test_mixing_depends_on_neither_order_nor_place_nor_scale(
    seed: int, gain: float, offset: float
) -> None:
    rng = random(seed)
    label = rng.permutation(np.arange(40) % 3)
    points = rng.normal(size=(40, 3)) + label[:, None]
    turn = np.linalg.qr(rng.normal(size=(3, 3))).Q
    order = rng.permutation(40)
    moved = (gain * points @ turn + offset)[order]
    names = np.array(["z", "x", "y"])[label[order]]
    for measure in (audit.silhouette, lambda f, k: audit.lisi(f, k, 7)):
        assert measure(moved, names) == pytest.approx(measure(points, label))


def test_rows_in_one_place_are_perfectly_mixed_in_any_order() -> None:
    same = np.ones((40, 2))
    label = np.arange(40) % 2
    assert audit.silhouette(same, label) == 0
    mixed = 1 / ((19 / 39) ** 2 + (20 / 39) ** 2)
    for labels in (label, np.sort(label)):
        assert audit.lisi(same, labels, 10) == pytest.approx(mixed)


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(ValueError, match="30 neighbours cannot be found among 30 rows"):
        audit.lisi(np.zeros((30, 1)), np.arange(30) % 2)
    with pytest.raises(ValueError, match="all 4 labels are 1"):
        audit.silhouette(np.zeros((4, 1)), [1] * 4)
    with pytest.raises(ValueError, match="one row per sample"):
        audit.lisi(np.zeros(4), [1, 2, 1, 2], 2)
