"""Codes of objects: what coders learn, what is taken out, and what they group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import napari_disentangle as nd
from napari_disentangle.audit.confounding import cramers_v
from napari_disentangle.errors import DataError
from napari_disentangle.objects.coders.views.learn import Choice, learning
from napari_disentangle.objects.coders.views.use import Learned, Seen
from napari_disentangle.objects.crops import crops
from napari_disentangle.samples.cells import FACTORS, cells

_COLUMNS, _STEPS = 6, 120
# Gain and offset of every other field.
_LOOKS = ((1.0, 0.0), (0.4, 1.2))


def mosaic(pictures):
    n, h, w = pictures.shape
    rows = pictures.reshape(_COLUMNS, n // _COLUMNS, h, w).transpose(0, 2, 1, 3)
    return rows.reshape(_COLUMNS * h, -1)


def populations(fields=8, n=36, seed=0):
    """Fields of small and large cells under two looks: objects, kinds and looks."""
    rng = np.random.default_rng(seed)
    images, labels, kinds, looks = [], [], [], []
    for number in range(fields):
        large = rng.permutation(n) < n // 2
        pictures, masks = population(large, 100 * seed + number)
        gain, offset = _LOOKS[number % 2]
        plane = (gain * mosaic(pictures) + offset).astype("float32")
        images.append(nd.Field(plane, "YX", name=f"field {number}"))
        labels.append(mosaic(masks * np.arange(1, n + 1)[:, None, None]))
        kinds.append(large)
        looks += [number % 2] * n
    return nd.Objects.of(images, labels), np.concatenate(kinds), np.array(looks)


def population(large, seed):
    """Large cells with bright middles, and small ones with bright rims."""
    made = cells(40 * len(large), seed)
    size, profile = made.levels["size"], made.levels["profile"]
    both = iter(np.flatnonzero((size > 3) & (profile > 3)))
    none = iter(np.flatnonzero((size < 2) & (profile < 2)))
    rows = [next(both if one else none) for one in large]
    return made.pictures[rows], made.masks[rows]


@pytest.fixture(scope="module")
def known():
    """Objects with a model of their content, a coder that learned, and their codes."""
    objects, kinds, looks = populations()
    model = nd.fit(list(objects.images))
    *_, last = nd.fit_coder_steps(objects, on=model, steps=_STEPS)
    return objects, kinds, looks, model, last.coder, nd.code(objects, last.coder, model)


def agreement(one, other):
    """Adjusted Rand index (Hubert and Arabie 1985)."""

    def pairs(counts):
        return (counts * (counts - 1) / 2).sum()

    names = (np.unique(v, return_inverse=True)[1] for v in (one, other))
    a, b = names
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    rows, columns = pairs(table.sum(1)), pairs(table.sum(0))
    expected = rows * columns / (len(a) * (len(a) - 1) / 2)
    return (pairs(table) - expected) / ((rows + columns) / 2 - expected)


# --- pictures -------------------------------------------------------------------------
def test_every_object_is_cut_out_in_its_own_middle_and_size():
    pixels, labels = np.full((60, 90), 10.0), np.zeros((60, 90), int)
    labels[4:12, 5:13], labels[20:52, 40:72] = 1, 2
    pixels[4:12, 5:13], pixels[20:52, 40:72] = 100, 200
    objects = nd.Objects.of(nd.Field(pixels.astype("float32"), "YX"), labels)
    (cut,) = crops(objects)
    assert cut.values.shape == (2, 1, 32, 32)
    assert cut.pixels[1] / cut.pixels[0] == pytest.approx(4, rel=0.1)
    for picture, mask, value in zip(cut.values, cut.masks, (100, 200), strict=True):
        assert picture[0, 16, 16] == value
        assert picture[0, 1, 1] == 10
        assert np.abs(np.argwhere(mask > 0.5).mean(0) - 15.5).max() < 1
        assert mask.mean() == pytest.approx(1 / 1.4**2, abs=0.1)


def test_an_object_at_the_border_sees_its_last_pixels_beyond():
    labels = np.zeros((40, 40), int)
    labels[:10, :10] = 7
    objects = nd.Objects.of(nd.Field(np.full((40, 40), 5, "uint8"), "YX"), labels)
    (cut,) = crops(objects)
    assert np.allclose(cut.values, 5)
    assert objects.columns["touches_border"].all()


@settings(max_examples=8)
@given(st.permutations("TZYX"), st.booleans(), st.integers(0, 2))
def test_objects_of_any_axes_are_cut_from_their_own_plane(order, colour, number):
    data, labels = np.zeros((2, 3, 20, 24)), np.zeros((2, 3, 20, 24), int)
    labels[1, number, 5:11, 6:12] = 3
    data[1, number] = 50
    at = ["TZYX".index(axis) for axis in order]
    pixels, axes = data.transpose(at).astype("uint16"), "".join(order)
    if colour:
        pixels, axes = np.stack([pixels, 2 * pixels]), f"C{axes}"
    objects = nd.Objects.of(nd.Field(pixels, axes), labels.transpose(at))
    (cut,) = crops(objects)
    assert cut.values.shape == (1, 1 + colour, 32, 32)
    assert np.allclose(cut.values[0, 0], 50)
    assert np.allclose(cut.values[0, -1], 100 if colour else 50)


# --- views ----------------------------------------------------------------------------
def test_two_populations_are_two_groups_whatever_the_look(known):
    _, kinds, looks, _, _, codes = known
    groups = nd.group(codes, level=2)
    assert agreement(groups.numbers, kinds) > 0.9
    assert cramers_v(groups.numbers.astype(str), looks.astype(str)) < 0.15


def test_raw_brightness_groups_by_the_look(known):
    objects, kinds, looks, *_ = known
    raw = nd.code(objects, "measured")
    bright = [i for i, name in enumerate(raw.names) if " mean" in name]
    split = nd.group(nd.Codes(objects, raw.values[:, bright], (), "colours"), 2).numbers
    assert agreement(split, kinds) < 0.5
    assert cramers_v(split.astype(str), looks.astype(str)) > 0.5


def test_the_same_seed_is_the_same_coder_and_the_same_groups(known):
    objects, _, _, model, coder, codes = known
    one, other = (
        list(nd.fit_coder_steps(objects, on=model, seed=1, steps=3))[-1].coder
        for _ in range(2)
    )
    assert one.hash == other.hash != coder.hash
    again = nd.code(objects, coder, model)
    assert again.hash == codes.hash
    assert (nd.group(again, 5).numbers == nd.group(codes, 5).numbers).all()


def test_cells_of_another_crop_get_the_same_numbers(known):
    objects, _, _, model, coder, codes = known
    groups = nd.group(codes, level=4)
    image, labels = objects.images[0], objects.labels[0]
    part = nd.Field(image.data[20:, 12:], "YX")
    other = nd.Objects.of(part, labels[20:, 12:])
    found = groups.of(nd.code(other, coder, model))
    inside = ~other.columns["touches_border"]
    first = objects.columns["label"][objects.of_image(0)]
    matched = np.searchsorted(first, other.columns["label"][inside])
    same = groups.numbers[matched] == found.numbers[inside]
    assert same.mean() >= 0.9


def test_the_background_is_not_in_the_code():
    alike = {}
    for swapped in (True, False):
        *_, last = learning(
            [on_backgrounds(300, 1, 0)], steps=30, choice=Choice(True, swapped)
        )
        coder = Learned(last.weights().tensors)
        middle = coder(on_backgrounds(300, 1, 0)).mean(0)
        one, other = (coder(on_backgrounds(100, 2, i)) - middle for i in (0, 1))
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        alike[swapped] = ((one * other).sum(1) / norms).mean()
    assert alike[True] > 0.8
    assert alike[False] < 0.7


def on_backgrounds(n, seed, number):
    """The same cells on backgrounds that have a number."""
    made = cells(n, seed, ("background", np.zeros(n, int)))
    rng = np.random.default_rng((seed, number))
    noise = [gaussian_filter(rng.normal(0, 1, (32, 32)), 2) for _ in range(n)]
    level = rng.uniform(0, 1.5, (n, 1, 1))
    around = np.stack([0.5 * one / one.std() for one in noise]) + level
    values = np.where(made.masks, made.pictures, around)[:, None]
    sizes = np.log(made.masks.sum((1, 2))) / 2
    return Seen(*(one.astype("float32") for one in (values, made.masks, sizes)))


def test_few_objects_are_measured_and_it_is_said():
    objects, *_ = populations(1, 12)
    codes = nd.code(objects)
    assert codes.coder == "measured"
    assert "12 objects are too few" in codes.said[0]
    with pytest.raises(DataError, match="12 objects are too few"):
        next(nd.fit_coder_steps(objects))


def test_other_channels_than_were_learned_from_are_one_sentence(known):
    objects, *_, coder, _ = known
    first, labels = objects.images[0], objects.labels[0]
    colour = nd.Field(np.stack([first.data] * 3), "CYX", name="colour")
    with pytest.raises(DataError, match=r"learned from 1 channels.*have 3"):
        nd.code(nd.Objects.of(colour, labels), coder)
    with pytest.raises(DataError, match=r"'field 0' has the channels.*'colour'"):
        nd.code(nd.Objects.of([first, colour], [labels, labels]), "measured")


def test_pixels_that_are_no_number_give_codes(known):
    objects, *_, coder, _ = known
    pixels = np.array(objects.images[0].data)
    pixels[:, 100:] = np.nan
    codes = nd.code(nd.Objects.of(nd.Field(pixels, "YX"), objects.labels[0]), coder)
    assert np.isfinite(codes.values).all()


def test_learning_stops_when_it_is_closed(known):
    steps = nd.fit_coder_steps(known[0], steps=1000)
    while next(steps).index < 1:
        pass
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


# --- without --------------------------------------------------------------------------
def positions(n=600, seed=0, signal=0.0):
    """Random codes with a direction that tells where an object lies."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(2, 250, (2, n))
    labels = np.zeros((256, 256), int)
    labels[y, x] = 1 + np.arange(n)
    objects = nd.Objects.of(nd.Field(np.zeros((256, 256), "uint8"), "YX"), labels)
    values = rng.normal(0, 1, (len(objects), 16))
    kind = rng.integers(0, 2, len(objects))
    at = [objects.columns[f"bbox-{axis}0"] / 256 - 0.5 for axis in "yx"]
    values[:, 3] += 8 * (at[0] ** 2 + at[1] ** 2) + 3 * at[1]
    values[:, 5] += signal * kind
    names = tuple(f"view {i}" for i in range(16))
    return nd.Codes(objects, values.astype("float32"), names, "known"), kind


def test_what_tells_the_position_goes_and_the_rest_stays():
    codes, kind = positions(signal=4.0)
    left = codes.without("position")
    (removed,) = left.removed
    assert removed.before > 0.3
    assert removed.after < 0.02
    assert removed.directions.shape[1] <= 4
    np.testing.assert_allclose(
        removed.directions.T @ removed.directions,
        np.eye(removed.directions.shape[1]), atol=1e-9,
    )  # fmt: skip
    apart = [
        np.ptp([values[kind == k, 5].mean() for k in (0, 1)])
        for values in (codes.values, left.values)
    ]
    assert apart[1] > 0.95 * apart[0]
    assert "position removed" in left.recipe["removed"][0]


def test_taking_out_twice_is_taking_out_once():
    codes, _ = positions()
    other, _ = positions(seed=1)
    (removed,) = codes.without("position").removed
    once = removed.apply(other.values)
    np.testing.assert_allclose(removed.apply(once), once, atol=1e-5)


def test_a_plate_is_told_no_more():
    codes, _ = positions()
    rng = np.random.default_rng(0)
    plate = rng.integers(0, 3, len(codes.values))
    values = codes.values.copy()
    values[:, 7] += 3 * plate
    objects = codes.objects.having({"plate": np.array(["a", "b", "c"])[plate]})
    told = nd.Codes(objects, values, codes.names, "known").without(["plate"])
    assert told.removed[0].before > 0.3
    assert told.removed[0].after < 0.02


def test_what_cannot_be_told_from_biology_is_refused():
    codes, kind = positions()
    same = kind.astype(str)
    objects = codes.objects.having({"plate": same, "treatment": same})
    known = nd.Codes(objects, codes.values, codes.names, "known")
    with pytest.raises(DataError, match="cannot be told apart"):
        known.without("plate", biology="treatment")
    with pytest.raises(DataError, match="no column 'gender'"):
        known.without("gender")
    with pytest.raises(DataError, match="same for all objects"):
        known.without("t")


# --- groups ---------------------------------------------------------------------------
@settings(max_examples=20)
@given(st.integers(2, 300), st.integers(1, 5), st.integers(0, 5))
def test_fine_groups_lie_in_coarse_ones_and_are_numbered_by_size(n, width, seed):
    values = np.random.default_rng(seed).normal(0, 1, (n, width)).round(1)
    codes, _ = positions(10)
    groups = nd.group(nd.Codes(codes.objects, values.astype("f4"), (), "known"), 3)
    finest = groups.at(groups.finest).numbers
    for level in range(1, groups.finest + 1):
        numbers = groups.at(level).numbers
        counts = np.bincount(numbers)[1:]
        assert len(counts) == level
        assert (np.diff(counts) <= 0).all()
        for fine in np.unique(finest):
            assert len(np.unique(numbers[finest == fine])) == 1


def test_groups_that_cannot_be_are_one_sentence(known):
    objects, *_, codes = known
    groups = nd.group(codes, 3)
    with pytest.raises(DataError, match="code them with the same coder"):
        groups.of(nd.code(objects, "measured"))
    with pytest.raises(ValueError, match="level 99"):
        groups.at(99)
    with pytest.raises(ValueError, match="level 0"):
        nd.group(codes, 0)
    one = nd.Codes(objects, codes.values[:1], codes.names, codes.coder)
    with pytest.raises(DataError, match="one object is no group"):
        nd.group(one)


def test_the_most_typical_of_a_group_are_of_it(known):
    groups = nd.group(known[-1], 3)
    rows = groups.typical(2, 5)
    assert len(rows) == 5
    assert (groups.numbers[rows] == 2).all()


# --- known cells ----------------------------------------------------------------------
@pytest.mark.parametrize("factor", FACTORS)
def test_a_factor_moves_alone(factor):
    one = cells(12, 3)
    same = cells(12, 3, (factor, one.levels[factor]))
    np.testing.assert_array_equal(same.pictures, one.pictures)
    moved = cells(12, 3, (factor, (one.levels[factor] + 3) % 6))
    assert (np.abs(moved.pictures - one.pictures).max((1, 2)) > 0.05).all()
    for name in set(FACTORS) - {factor}:
        np.testing.assert_array_equal(moved.levels[name], one.levels[name])
