"""What is measured of objects: shape in world units, brightness, profile, texture."""

from __future__ import annotations

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.compute.iterators import finished
from napari_disentangle.objects.coders.measured import measuring


def ellipsoid(shape, radii, spacing):
    grid = np.indices(shape) * np.reshape(spacing, (-1, *(1,) * len(shape)))
    middle = [(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    return sum(((g - m) / r) ** 2 for g, m, r in zip(grid, middle, radii, strict=True))


def measured(objects, on=None):
    return finished(measuring(objects, on))


def test_a_stack_with_long_voxels_is_measured_in_world_units():
    spacing, radii = (0.9, 0.3, 0.3), (8.0, 6.0, 4.0)
    labels = (ellipsoid((31, 61, 61), radii, spacing) <= 1).astype(int)
    image = nd.Field(
        np.ones(labels.shape, "uint16"), "ZYX", scale=spacing, units=("um",) * 3
    )
    found = measured(nd.Objects.of(image, labels))
    assert found["area"][0] == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.03)
    assert found["axis_major_length"][0] == pytest.approx(16, rel=0.05)
    assert found["axis_minor_length"][0] == pytest.approx(8, rel=0.05)


def test_an_ellipse_is_measured_in_world_units_and_a_ring_is_brighter():
    inside = ellipsoid((81, 121), (20.0, 10.0), (0.5, 0.5))
    labels = np.zeros(inside.shape, int)
    labels[inside <= 1] = 5
    values = np.where(inside <= 0.2, 300, 100 * (inside <= 1)).astype("uint16")
    image = nd.Field(values, "YX", scale=(0.5, 0.5), channel_names=("DNA",))
    found = measured(nd.Objects.of(image, labels))
    assert found["area"][0] == pytest.approx(np.pi * 200, rel=0.03)
    assert found["elongation"][0] == pytest.approx(2, rel=0.05)
    assert found["DNA mean"][0] == pytest.approx(values[labels > 0].mean())
    assert found["DNA ring 1"][0] > 1.2 > 1 > found["DNA ring 3"][0]


def test_rows_are_in_the_order_of_objects_over_images_and_times():
    labels = np.zeros((2, 20, 20), int)
    labels[0, 2:6, 2:6], labels[1, 2:6, 2:12], labels[1, 10:12, 2:4] = 2, 2, 1
    one = nd.Field(np.ones((2, 20, 20), "uint8"), "TYX")
    two = nd.Field(np.ones((20, 20), "uint8"), "YX")
    objects = nd.Objects.of([one, two], [labels, labels[0]])
    found = measured(objects)
    assert objects.columns["label"].tolist() == [2, 1, 2, 2]
    assert found["area"].tolist() == [16, 4, 40, 16]


def test_what_is_rough_has_more_texture():
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 80), int)
    labels[8:32, 8:32], labels[8:32, 48:72] = 1, 2
    values = np.full(labels.shape, 100.0)
    values[labels == 2] += rng.normal(0, 30, (labels == 2).sum())
    image = nd.Field(values.astype("float32"), "YX", channel_names=("DNA",))
    smooth, rough = measured(nd.Objects.of(image, labels))["DNA texture 1 px"]
    assert smooth < 0.02 < 0.15 < rough


def test_small_objects_have_what_can_be_said_of_them():
    labels = np.zeros((20, 20), int)
    labels[3, 3], labels[10, 5:9] = 1, 2
    image = nd.Field(np.full((20, 20), 7, "uint8"), "YX")
    found = measured(nd.Objects.of(image, labels))
    assert found["area"].tolist() == [1, 4]
    assert np.isnan(found["elongation"][0])
    assert all(not np.isinf(column).any() for column in found.values())


def test_colours_and_content_are_measured():
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 40), int)
    labels[10:30, 10:30] = 1
    pixels = rng.integers(180, 250, (40, 40, 3)).astype("uint8")
    pixels[labels > 0] //= 2
    image = nd.Field(pixels, "YXC")
    objects = nd.Objects.of(image, labels)
    other = nd.Field(255 - (255 - pixels) // 3, "YXC")  # stained less
    raw = measured(objects)
    content = measured(objects, nd.fit([image, other], "meanstd"))
    assert {"R mean", "G mean", "B mean"} <= {*raw} == {*content}
    assert content["R mean"][0] > raw["R mean"][0] + 10  # between the two
    assert content["area"][0] == raw["area"][0]


def test_codes_have_a_row_per_object_and_a_name_per_column():
    labels = np.zeros((20, 40), int)
    labels[2:9, 2:9], labels[2:12, 20:30] = 1, 2
    objects = nd.Objects.of(nd.Field(np.ones((20, 40), "uint8"), "YX"), labels)
    codes = nd.code(objects)
    assert codes.values.shape == (2, len(codes.names))
    assert codes.columns()["area"].tolist() == [49, 100]
    assert codes.coder in nd.coders()
    assert codes.hash == nd.code(objects).hash
    with pytest.raises(ValueError, match="coder 'x' is unknown"):
        nd.code(objects, "x")
