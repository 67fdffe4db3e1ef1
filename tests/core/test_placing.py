"""What is painted in one layer marks the right pixels of another."""

from __future__ import annotations

import numpy as np
import pytest

from napari_disentangle.errors import DataError

pytest.importorskip("napari")

from napari.layers import Image, Labels, Shapes

import napari_disentangle as nd

SQUARE = np.array([[10, 20], [10, 30], [25, 30], [25, 20]], float)
# The same pixels, without any centre on the border.
GROWN = SQUARE + np.array([[-0.2, -0.2], [-0.2, 0.2], [0.2, 0.2], [0.2, -0.2]])
PLACES = [
    {},
    {"scale": (2, 0.5), "translate": (7, -3)},
    {"rotate": 30, "scale": (1.5, 1.5), "translate": (40, 2)},
    {"affine": [[1, 0.3, 5], [0.1, 2, 6], [0, 0, 1]]},
]


def inside(shape=(64, 48)):
    """Pixels of the square."""
    mask = np.zeros(shape, bool)
    mask[..., 10:26, 20:31] = True
    return mask


def seen_from(layer, corners):
    """Corners in pixels of an image, in the world."""
    return np.array([layer.data_to_world(corner) for corner in corners])


@pytest.mark.parametrize("place", PLACES)
def test_shapes_that_lie_in_the_world(place):
    layer = Image(np.zeros((64, 48)), **place)
    marks = Shapes([seen_from(layer, GROWN)], shape_type="polygon")
    np.testing.assert_array_equal(nd.painted(marks, layer), inside())


@pytest.mark.parametrize("place", PLACES)
def test_shapes_and_labels_with_places_of_their_own(place):
    layer = Image(np.zeros((64, 48)))
    marks = Shapes(np.zeros((0, 4, 2)), **place)
    marks.add_polygons([np.array([marks.world_to_data(c) for c in GROWN])])
    np.testing.assert_array_equal(nd.painted(marks, layer), inside())


@pytest.mark.parametrize("place", PLACES)
def test_labels_that_lie_as_their_image(place):
    layer = Image(np.zeros((64, 48)), **place)
    marks = Labels(inside().astype(int) * 3, **place)
    np.testing.assert_array_equal(nd.painted(marks, layer), inside())


def test_labels_of_another_pixel_size():
    layer = Image(np.zeros((64, 48)), scale=(0.5, 0.5))
    coarse = np.zeros((32, 24), int)
    coarse[4:8, 5:9] = 1
    mask = nd.painted(Labels(coarse), layer)
    assert mask.sum() == 64
    assert mask[8:15, 10:17].all()  # the middle of a coarse pixel is that of a fine one


def test_labels_of_another_turn():
    layer = Image(np.zeros((64, 48)))
    marks = Labels(np.rot90(inside()).astype(int), rotate=90, translate=(40, 0))
    places = np.argwhere(marks.data)
    found = np.round([marks.data_to_world(place) for place in places]).astype(int)
    expected = np.zeros((64, 48), bool)
    on = ((found >= 0) & (found < (64, 48))).all(axis=1)
    expected[tuple(found[on].T)] = True
    assert expected.any()
    np.testing.assert_array_equal(nd.painted(marks, layer), expected)


def test_an_ellipse_has_the_area_of_one():
    layer = Image(np.zeros((64, 64)))
    marks = Shapes([[[10, 12], [10, 52], [50, 52], [50, 12]]], shape_type="ellipse")
    mask = nd.painted(marks, layer)
    assert mask.sum() == pytest.approx(np.pi * 20**2, rel=0.03)
    assert mask[30, 32]
    assert not mask[11, 13]


def test_marks_of_a_plane_mark_all_planes_and_those_of_a_stack_their_own():
    layer = Image(np.zeros((5, 64, 48)), scale=(2, 1, 1))
    flat = Shapes([SQUARE], shape_type="polygon")
    whole = nd.painted(flat, layer)
    assert (whole == whole[0]).all()
    deep = np.insert(SQUARE, 0, 6.0, axis=1)
    own = nd.painted(Shapes([deep], shape_type="polygon"), layer)
    assert own[3].any()
    assert own.sum() == own[3].sum() == whole[0].sum()
    np.testing.assert_array_equal(
        nd.painted(Labels(inside().astype(int)), layer), inside((5, 64, 48))
    )


def test_channels_are_marked_together():
    layer = Image(np.zeros((2, 64, 48)), axis_labels=("c", "y", "x"))
    deep = np.insert(SQUARE, 0, 1.0, axis=1)
    mask = nd.painted(Shapes([deep], shape_type="polygon"), layer)
    assert mask.shape == (64, 48)
    assert mask.any()


def test_colours_are_no_axis():
    layer = Image(np.zeros((64, 48, 3), np.uint8), rgb=True)
    assert nd.painted(Labels(inside().astype(int)), layer).shape == (64, 48)


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (Labels(np.zeros((64, 48), int), name="m"), "'m' marks nothing on 'image'"),
        (Shapes([SQUARE + 100], shape_type="polygon", name="m"), "marks nothing"),
        (Shapes([SQUARE[:2]], shape_type="line", name="m"), "has no area"),
        (Shapes(name="m"), "marks nothing"),
    ],
)
def test_marks_that_mark_nothing_are_refused(marks, words):
    with pytest.raises(DataError, match=words):
        nd.painted(marks, Image(np.zeros((64, 48)), name="image"))


def test_a_shape_across_planes_is_refused():
    layer = Image(np.zeros((5, 64, 48)))
    across = np.array([[0, 5, 5], [4, 5, 5], [4, 5, 40], [0, 5, 40]], float)
    with pytest.raises(DataError, match="across the planes"):
        nd.painted(Shapes([across], shape_type="polygon"), layer)
