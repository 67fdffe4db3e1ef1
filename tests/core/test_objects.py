"""Objects: found whatever tiles, axes and background are, with a row for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_disentangle as nd
from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.model.base import Weights
from napari_disentangle.objects.finder import Finder, preparing
from napari_disentangle.objects.finding import content_of
from napari_disentangle.objects.instances import instances
from napari_disentangle.objects.student.learn import learning

RADIUS = 7


def discs(shape=(160, 200), seed=0, n=25, noise=8.0):
    """Bright discs that do not touch, on a background; and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    labels, values = np.zeros(shape, int), np.full(shape, 200.0)
    middles: list[tuple[int, int]] = []
    while len(middles) < n:
        at = tuple(int(rng.integers(10, size - 10)) for size in shape)
        if all(np.hypot(at[0] - b, at[1] - c) > 3 * RADIUS for b, c in middles):
            middles.append(at)
            disc = np.hypot(y - at[0], x - at[1]) <= RADIUS
            labels[disc], values[disc] = len(middles), rng.uniform(700, 1500)
    values += rng.normal(0, noise, shape)
    return values.clip(0).astype("uint16"), labels


@pytest.fixture(scope="module")
def student():
    """A student that learned for a moment from discs."""
    images = [nd.Field(discs(seed=i)[0], "YX") for i in range(4)]
    *_, last = learning([content_of(i, None) for i in images], [14.0] * 4, steps=30)
    return last.finder()


def same_objects(found, truth, share=0.6):
    """Every true object is one that was found, by more than a share of both."""
    for label in range(1, truth.max() + 1):
        own = truth == label
        other = np.bincount(found[own]).argmax()
        both = (own & (found == other)).sum()
        assert other > 0
        assert both > share * max(own.sum(), (found == other).sum())
    assert len(np.unique(found[found > 0])) == truth.max()


@pytest.mark.parametrize("finder", ["otsu", "opening", "student"])
def test_discs_are_found(finder, student):
    values, truth = discs(seed=9)
    one = student if finder == "student" else Finder(finder)
    objects = nd.find_objects(nd.Field(values, "YX"), one, diameter=14)
    same_objects(objects.labels[0], truth)
    assert len(objects) == 25


@pytest.mark.parametrize("finder", ["opening", "student"])
def test_discs_under_uneven_light_are_found(finder, student):
    values, truth = discs(seed=9)
    ramp = np.linspace(0, 1200, values.shape[1])
    one = student if finder == "student" else Finder(finder)
    uneven = nd.Field((values + ramp).astype("uint16"), "YX")
    objects = nd.find_objects(uneven, one, diameter=14)
    same_objects(objects.labels[0], truth)


@pytest.mark.parametrize("finder", ["opening", "student"])
@pytest.mark.parametrize("diameter", [14.0, 28.0, 45.0])
def test_tiles_give_what_the_whole_gives(finder, diameter, student):
    image = nd.Field(discs((260, 310), n=40)[0], "YX")
    one = student if finder == "student" else Finder(finder)
    finding = finished(preparing(one, content_of(image, None), diameter))
    whole = np.asarray(LazyImage(image, finding, tile=1024))
    tiled = np.asarray(LazyImage(image, finding, tile=64))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    part = LazyImage(image, finding)[33:190, 101:280]
    np.testing.assert_allclose(np.asarray(part), whole[33:190, 101:280], atol=1e-5)


@pytest.mark.parametrize("finder", ["otsu", "opening", "student"])
@pytest.mark.parametrize("what", ["flat", "black", "saturated", "noise", "nan"])
def test_where_there_is_nothing_nothing_is_found_and_it_is_said(finder, what, student):
    rng = np.random.default_rng(0)
    pixels = {
        "flat": np.full((128, 128), 77, "uint8"),
        "black": np.zeros((128, 128), "uint8"),
        "saturated": np.full((128, 128), 255, "uint8"),
        "noise": rng.normal(100, 5, (128, 128)).astype("uint8"),
        "nan": np.full((128, 128), np.nan, "float32"),
    }[what]
    one = student if finder == "student" else Finder(finder)
    image = nd.Field(pixels, "YX", name="empty")
    objects = nd.find_objects(image, one, diameter=14)
    assert len(objects) == 0
    assert not objects.labels[0].any()
    assert "'empty'" in objects.said[0]


@settings(max_examples=12)
@given(st.permutations("TZYX"), st.booleans())
def test_any_order_of_axes_gives_the_same_rows(order, channels):
    values, truth = discs((64, 90), n=4)
    data = np.stack([np.stack([values] * 3), np.stack([values[::-1]] * 3)])  # TZYX
    axes = "".join(order)
    moved = np.moveaxis(data, range(4), [axes.index(a) for a in "TZYX"])
    if channels:
        moved, axes = np.stack([moved, moved // 2]), "C" + axes
    objects = nd.find_objects(nd.Field(moved, axes), diameter=14)
    first = objects.labels[0].transpose([order.index(a) for a in "TZYX"])
    same_objects(first[0, 1], truth)
    assert sorted(objects.columns["t"]) == [0] * 4 + [1] * 4
    assert np.allclose(objects.columns["centroid-z"], 1)


def test_places_are_in_world_units_and_boxes_in_pixels():
    labels = np.zeros((40, 60), int)
    labels[10:20, 30:34] = 3
    labels[0:5, 50:60] = 70_000
    image = nd.Field(
        np.zeros((40, 60), "uint8"), "YX", scale=(0.5, 2.0), translate=(100.0, -10.0)
    )
    columns = nd.Objects.of(image, labels).columns
    assert columns["label"].tolist() == [3, 70_000]
    assert columns["centroid-y"].tolist() == [100 + 0.5 * 14.5, 100 + 0.5 * 2]
    assert columns["centroid-x"].tolist() == [-10 + 2 * 31.5, -10 + 2 * 54.5]
    assert [columns[f"bbox-{one}"][0] for one in ("y0", "y1", "x0", "x1")] == [
        10, 20, 30, 34,
    ]  # fmt: skip
    assert columns["touches_border"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.zeros((9, 8), int), AxesError, "labels have shape"),
        (np.zeros((8, 8)), DataError, "no whole numbers"),
        (np.full((8, 8), -1), DataError, "no whole numbers"),
        (np.zeros((8, 8), int), DataError, "no object"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(labels, error, words):
    image = nd.Field(np.zeros((8, 8), "uint8"), "YX")
    with pytest.raises(error, match=words):
        nd.Objects.of(image, labels)


def test_stacks_are_labelled_with_their_spacing():
    """Two balls above each other in a stack whose planes are far apart."""
    z, y, x = np.indices((16, 40, 40)) * np.array([3.0, 1, 1])[:, None, None, None]
    balls = [np.sqrt((z - at) ** 2 + (y - 20) ** 2 + (x - 20) ** 2) <= 10
             for at in (12, 33)]  # fmt: skip
    found = instances(np.maximum(*balls).astype("float32"), 20, (3.0, 1.0, 1.0))
    assert found.max() == 2
    assert len({found[4, 20, 20], found[11, 20, 20]}) == 2


def test_touching_discs_are_two_and_specks_are_none():
    y, x = np.indices((40, 60))
    mask = np.zeros((40, 60), bool)
    for middle in (20, 33):
        mask |= np.hypot(y - 20, x - middle) <= 7
    mask[2:4, 2:4] = True
    found = instances(mask, 14)
    assert found.max() == 2
    assert found[20, 20] != found[20, 33]
    assert found[2, 2] == 0


def test_same_seed_same_student(student):
    images = [nd.Field(discs(seed=i)[0], "YX") for i in range(4)]
    seen = [content_of(image, None) for image in images]
    *_, again = learning(seen, [14.0] * 4, steps=30)
    for name, value in again.finder().weights.tensors.items():
        np.testing.assert_array_equal(value, student.weights.tensors[name])


def test_a_little_more_than_a_tile_still_teaches():
    images = [nd.Field(discs((262, 300), seed=i)[0], "YX") for i in range(4)]
    first = next(
        step
        for step in learning([content_of(i, None) for i in images], [14.0] * 4, steps=1)
        if step.index == 1
    )
    assert first.chosen == first.tiles == 16  # four of every image


def test_too_few_lessons_are_one_sentence():
    images = [nd.Field(np.full((128, 128), 9, "uint8"), "YX")]
    with pytest.raises(DataError, match="agree on 0 tiles"):
        list(learning([content_of(images[0], None)], [14.0], steps=5))


def test_a_finder_is_told_by_its_hash(student):
    other = replace(student, weights=Weights(
        {k: v + 1 for k, v in student.weights.tensors.items()}, {}))  # fmt: skip
    assert (
        len({Finder("otsu").hash, Finder("opening").hash, student.hash, other.hash})
        == 4
    )


def test_labels_that_would_not_fit_into_memory_are_refused_at_once():
    import dask.array as da

    movie = da.zeros((4000, 2000, 2000), dtype="uint8", chunks=(1, 2000, 2000))
    with pytest.raises(DataError, match="labels of 'film' would take"):
        nd.find_objects(nd.Field(movie, "TYX", name="film"), diameter=14)


@pytest.mark.parametrize("finder", ["opening", "student"])
@pytest.mark.parametrize("pad", [0, 255])
def test_padding_around_a_stained_image_changes_no_object(pad, finder, student):
    values, _ = discs(seed=5)
    stained = np.clip(235 - values / 8, 0, 255).astype("uint8")
    picture = np.stack([stained, stained // 2 + 110, stained], axis=-1)
    padded = np.pad(picture, [(80, 60), (0, 90), (0, 0)], constant_values=pad)
    one = student if finder == "student" else Finder(finder)
    own = nd.find_objects(nd.Field(picture, "YXC"), one, diameter=14).labels[0]
    found = nd.find_objects(nd.Field(padded, "YXC"), one, diameter=14).labels[0]
    inside = found[80:-60, :-90]
    assert np.count_nonzero(found) == np.count_nonzero(inside)  # none in the padding
    both = np.count_nonzero((own > 0) & (inside > 0))
    assert both > 0.95 * max(np.count_nonzero(own), np.count_nonzero(inside))


@pytest.mark.parametrize("finder", ["otsu", "opening", "student"])
def test_a_black_frame_around_a_dark_image_changes_no_object(finder, student):
    values, _ = discs(seed=5)
    padded = np.pad(values, [(80, 60), (0, 90)])
    one = student if finder == "student" else Finder(finder)
    own = nd.find_objects(nd.Field(values, "YX"), one, diameter=14).labels[0]
    found = nd.find_objects(nd.Field(padded, "YX"), one, diameter=14).labels[0]
    inside = found[80:-60, :-90]
    assert np.count_nonzero(found) == np.count_nonzero(inside)
    both = np.count_nonzero((own > 0) & (inside > 0))
    assert both > 0.95 * max(np.count_nonzero(own), np.count_nonzero(inside))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (1, 30_000, 3), (3, 3, 3)])
def test_images_of_hardly_a_pixel_give_a_result(shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype("uint8")
    objects = nd.find_objects(nd.Field(pixels, "YXC"))
    assert objects.labels[0].shape == shape[:2]
    assert nd.code(objects).values.shape[0] == len(objects)


def test_no_image_and_no_finder_are_one_sentence():
    with pytest.raises(DataError, match="no image"):
        nd.find_objects([])
    with pytest.raises(ValueError, match="'student' is unknown"):
        nd.Finder("student")


def test_what_is_marked_as_no_image_holds_no_object():
    values, truth = discs(seed=3)
    framed = values.astype("float32")
    framed[:, :40] = np.nan
    objects = nd.find_objects(nd.Field(framed, "YX"), diameter=14)
    assert not objects.labels[0][:, :40].any()
    assert len(objects) >= len(np.unique(truth[:, 50:])) - 1


def test_a_finder_is_learned_from_the_images_it_is_for():
    images = [nd.Field(discs(seed=i)[0], "YX", name=str(i)) for i in range(4)]
    first, *_, last = nd.fit_finder_steps(images, diameter=14, steps=30)
    assert first.finder() is None
    objects = nd.find_objects(images, last.finder(), diameter=14)
    assert objects.recipe["finder"] == "student"
    for image, labels in zip(images, objects.labels, strict=True):
        same_objects(labels, discs(seed=int(image.name))[1])


def test_cells_with_pale_middles_are_whole():
    y, x = np.indices((120, 160))
    pixels = np.full((120, 160, 3), 235, "uint8")
    for middle in ((40, 40), (70, 110)):
        apart = np.hypot(y - middle[0], x - middle[1])
        pixels[(apart <= 20) & (apart > 9)] = (190, 120, 150)
    objects = nd.find_objects(nd.Field(pixels, "YXC"), diameter=40)
    assert len(objects) == 2
    assert (objects.labels[0] > 0).sum() > 0.9 * 2 * np.pi * 20**2


def test_a_channel_of_noise_hides_no_object():
    image, truth = discs(n=2)
    rng = np.random.default_rng(1)
    noise = rng.gamma(2, 300, image.shape).astype("uint16")
    one = nd.Field(np.stack([image, noise]), "CYX")
    same_objects(nd.find_objects(one, diameter=14.0).labels[0], truth)
