"""Result layers lie where their image lies and look as it looks; the image is kept."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import napari_disentangle as nd

pytest.importorskip("napari")

from napari.components import ViewerModel
from napari.layers import Image
from strategies import channel_layers, image_layers, scene

from napari_disentangle.layers.add import Picked

QUICK = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck)
)
# napari says so of any layer that is turned out of its planes.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


def corners(layer):
    """World coordinates of the corners of a layer."""
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    ends = product(*((0, n - 1) for n in shape[: layer.ndim]))
    return np.array([layer.data_to_world(end) for end in ends])


def level_shapes(layer, drop=None):
    levels = layer.data if layer.multiscale else [layer.data]
    return [
        tuple(n for i, n in enumerate(level.shape) if i != drop) for level in levels
    ]


def fitted_on_darker(field):
    """A model whose reference is the same image at seven tenths of its values."""
    values = np.asarray(field.levels[0][(slice(None),) * len(field.axes)]) * 0.7
    return nd.fit(replace(field, data=values.astype(field.dtype)), "levels")


def shown(layer):
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def assert_rendered(layer, content, swap, kept):
    """Another look, the same by both names; with strength 0 the image as it was."""
    before = shown(layer)
    if shown_dtype(layer) != layer.dtype:
        before = before.astype(np.float32) / np.float32(65535)
    np.testing.assert_array_equal(shown(content), shown(swap))
    np.testing.assert_array_equal(shown(kept), before)
    assert (shown(content) != before).any()


def assert_same_place(result, layer):
    np.testing.assert_allclose(corners(result), corners(layer), atol=1e-6)
    assert result.units == layer.units
    assert result.axis_labels == layer.axis_labels


def assert_same_place_without(result, layer, axis):
    """The axes that are left lie where the first plane of the lost axis lies."""
    first = corners(layer).reshape(*(2,) * layer.ndim, layer.ndim).take(0, axis)
    places = np.delete(first.reshape(-1, layer.ndim), axis, axis=1)
    np.testing.assert_allclose(corners(result), places, atol=1e-6)
    for name in ("units", "axis_labels"):
        left = [v for i, v in enumerate(getattr(layer, name)) if i != axis]
        assert list(getattr(result, name)) == left


def assert_same_look(result, layer):
    assert result.rgb == layer.rgb
    assert result.blending == layer.blending
    assert result.opacity == layer.opacity
    if not layer.rgb:
        assert result.colormap == layer.colormap
        assert result.gamma == layer.gamma


def limits_of(layer):
    return None if layer.rgb else layer.contrast_limits


def shown_dtype(layer):
    """napari shows 16-bit colours wrongly, so they come back as float 0..1."""
    return np.float32 if layer.rgb and layer.dtype == np.uint16 else layer.dtype


@QUICK
@given(image_layers())
def test_results_lie_and_look_as_their_image(drawn):
    layer, values = drawn
    field = Picked.of([layer]).field
    model = fitted_on_darker(field)
    look = {"donor": model.reference, "alpha": None}
    content, swap, anomaly = nd.add_layers(ViewerModel(), model, layer, **look)
    (kept,) = nd.add_layers(ViewerModel(), model, layer, ["swap"], strength=0, **look)
    assert_rendered(layer, content, swap, kept)
    for result in (content, swap, kept):
        assert_same_place(result, layer)
        assert_same_look(result, layer)
        assert result is not kept or limits_of(result) == limits_of(layer)
        assert level_shapes(result) == level_shapes(layer)
        assert result.dtype == shown_dtype(layer)
    has_channels = "C" in field.grid_axes
    drop = field.axes.index("C") if "C" in field.axes else None
    assert level_shapes(anomaly) == level_shapes(layer, drop)
    assert anomaly.dtype == np.float32
    assert not anomaly.rgb
    if has_channels:
        assert_same_place_without(anomaly, layer, drop)
    else:
        assert_same_place(anomaly, layer)
    np.testing.assert_array_equal(field.levels[0], values)


@QUICK
@given(image_layers())
def test_content_maps_lie_as_their_image(drawn):
    layer, values = drawn
    field = Picked.of([layer]).field
    model = fitted_on_darker(field)
    maps = nd.add_layers(ViewerModel(), model, layer, ["maps"])
    assert [one.name for one in maps] == [
        f"tissue [content map {i}]" for i in range(1, len(model.channels) + 1)
    ]
    drop = field.axes.index("C") if "C" in field.axes else None
    for one, expected in zip(maps, model.encode(field), strict=True):
        np.testing.assert_array_equal(shown(one).ravel(), expected.ravel())
        assert one.dtype == np.float32
        assert not one.rgb
        assert level_shapes(one) == level_shapes(layer, drop)
        if "C" in field.grid_axes:
            assert_same_place_without(one, layer, drop)
        else:
            assert_same_place(one, layer)
    np.testing.assert_array_equal(field.levels[0], values)


@QUICK
@given(channel_layers())
def test_content_maps_of_channels_lie_as_the_channels(layers):
    field = Picked.of(layers).field
    model = fitted_on_darker(field)
    maps = nd.add_layers(ViewerModel(), model, layers, ["maps"])
    for one, expected in zip(maps, model.encode(field), strict=True):
        np.testing.assert_array_equal(shown(one).ravel(), expected.ravel())
        assert one.name.startswith(f"{layers[0].name} [content map")
        assert level_shapes(one) == level_shapes(layers[0])
        assert_same_place(one, layers[0])


@QUICK
@given(channel_layers())
def test_channels_kept_as_layers_come_back_as_layers(layers):
    field = Picked.of(layers).field
    assert field.channel_names == ("DNA", "actin")
    before = [shown(layer).copy() for layer in layers]
    model = fitted_on_darker(field)
    look = {"donor": model.reference, "alpha": None}
    *rendered, anomaly = nd.add_layers(ViewerModel(), model, layers, **look)
    kept = nd.add_layers(ViewerModel(), model, layers, ["swap"], strength=0, **look)
    assert len(rendered) == 2 * len(kept) == 2 * len(layers)
    for i, layer in enumerate(layers):
        assert_rendered(layer, rendered[i], rendered[i + 2], kept[i])
        np.testing.assert_array_equal(shown(layer), before[i])
    for result, layer in zip(rendered, layers * 2, strict=True):
        assert result.name.startswith(layer.name)
        assert_same_place(result, layer)
        assert_same_look(result, layer)
        assert level_shapes(result) == level_shapes(layer)
        assert result.dtype == layer.dtype
    assert_same_place(anomaly, layers[0])
    assert level_shapes(anomaly) == level_shapes(layers[0])


def test_a_channel_axis_that_is_scored_away_leaves_the_others_in_place():
    data = scene("CZYX", (2, 3, 20, 21), "uint16")
    layer = Image(
        data,
        axis_labels=("c", "z", "y", "x"),
        scale=(1, 2, 0.5, 0.25),
        translate=(0, 5, 6, 7),
        units=("pixel", "um", "um", "um"),
    )
    model = nd.fit(nd.Field.from_layer(layer), "meanstd")
    (anomaly,) = nd.add_layers(
        ViewerModel(), model, layer, outputs=["anomaly"], alpha=None
    )
    np.testing.assert_allclose(corners(anomaly), corners(layer)[:8, 1:], atol=1e-6)
    assert anomaly.axis_labels == ("z", "y", "x")
    assert anomaly.units == layer.units[1:]


def test_sixteen_bit_colour_is_shown_with_the_values_it_has():
    data = scene("YXC", (40, 41, 3), "uint16")
    layer = Image(data, rgb=True)
    field = nd.Field.from_layer(layer)
    model = nd.fit(field, "identity")
    (content,) = nd.add_layers(ViewerModel(), model, layer, outputs=["content"])
    np.testing.assert_allclose(content.data, data / 65535, atol=1e-6)


def test_a_second_run_replaces_the_first():
    viewer = ViewerModel()
    layer = viewer.add_image(scene("YXC", (40, 41, 3)), name="tissue")
    model = nd.fit(nd.Field.from_layer(layer), "mk")
    every = ["content", "anomaly", "maps"]
    nd.add_layers(viewer, model, layer, outputs=every)
    names = [one.name for one in viewer.layers]
    assert len(names) == 1 + 1 + 2 + 3
    nd.add_layers(viewer, model, layer, outputs=every)
    assert [one.name for one in viewer.layers] == names


def test_maps_of_a_model_that_has_more_do_not_stay():
    viewer = ViewerModel()
    data = scene("CYX", (3, 40, 41))
    layer = viewer.add_image(data, axis_labels=("c", "y", "x"), name="cells")
    both = [nd.Field.from_layer(layer), nd.Field(data[:1], "CYX")]
    for field, n in zip(both, (3, 1), strict=True):
        nd.add_layers(viewer, nd.fit(field, "meanstd"), layer, outputs=["maps"])
        maps = [f"cells [content map {i}]" for i in range(1, n + 1)]
        assert [one.name for one in viewer.layers] == ["cells", *maps]
