"""Objects in a real viewer: where their image is, and with their table."""

from __future__ import annotations

import numpy as np

import napari_disentangle as nd


def spots(shape):
    rng = np.random.default_rng(0)
    pixels = rng.normal(100, 3, shape)
    for y, x in ((20, 20), (20, 60), (60, 40)):
        pixels[..., y - 6 : y + 6, x - 6 : x + 6] += 800
    return pixels.astype("uint16")


def test_labels_lie_on_their_layer_and_have_its_table(make_napari_viewer):
    viewer = make_napari_viewer()
    layer = viewer.add_image(
        spots((2, 80, 80)), name="cells", scale=(1, 0.5, 0.5), translate=(0, 7, 3),
        rotate=30, units=("pixel", "um", "um"), axis_labels=("t", "y", "x"),
    )  # fmt: skip
    before = layer.data.copy()
    objects = nd.find_objects(nd.Field.from_layer(layer), diameter=12)
    (new,) = nd.add_objects(
        viewer, objects, nd.code(objects, "measured"), layers=[layer]
    )
    assert new.name == "cells [objects]"
    np.testing.assert_allclose(new.scale, layer.scale)
    np.testing.assert_allclose(new.translate, layer.translate)
    np.testing.assert_allclose(new.rotate, layer.rotate)
    assert tuple(map(str, new.units)) == tuple(map(str, layer.units))
    assert len(new.features) == 6
    assert sorted(new.features["index"]) == list(range(1, 7))
    assert (new.features["area"] > 20).all()  # in square micrometres
    assert new.metadata["napari-disentangle"]["objects"]["finder"] == "opening"
    np.testing.assert_array_equal(layer.data, before)


def test_channels_of_a_layer_are_no_axis_of_its_objects(make_napari_viewer):
    viewer = make_napari_viewer()
    layer = viewer.add_image(
        spots((2, 80, 80)), scale=(1.0, 2.0, 3.0), axis_labels=("c", "y", "x")
    )
    objects = nd.find_objects(nd.Field.from_layer(layer), diameter=12)
    (new,) = nd.add_objects(viewer, objects, layers=[layer])
    assert new.data.shape == (80, 80)
    np.testing.assert_allclose(new.data_to_world((1, 1)), (2, 3))
    (other,) = nd.add_objects(viewer, objects)
    np.testing.assert_allclose(other.data_to_world((1, 1)), (2, 3))
