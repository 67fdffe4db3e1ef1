"""Result layers lie where their image lies and look as it looks; the image is kept."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import napari_disentangle as nd

pytest.importorskip("napari")

from napari.components import ViewerModel
from napari.layers import Image
from strategies import channel_layers, image_layers, scene

from napari_disentangle.layers import Picked

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


def assert_same_place(result, layer):
    np.testing.assert_allclose(corners(result), corners(layer), atol=1e-6)
    assert result.units == layer.units
    assert result.axis_labels == layer.axis_labels


def assert_same_look(result, layer):
    assert result.rgb == layer.rgb
    assert result.blending == layer.blending
    assert result.opacity == layer.opacity
    if not layer.rgb:
        assert result.colormap == layer.colormap
        assert result.contrast_limits == layer.contrast_limits
        assert result.gamma == layer.gamma


def shown_dtype(layer):
    """napari shows 16-bit colours wrongly, so they come back as float 0..1."""
    return np.float32 if layer.rgb and layer.dtype == np.uint16 else layer.dtype


@QUICK
@given(image_layers())
def test_results_lie_and_look_as_their_image(drawn):
    layer, values = drawn
    field = Picked.of([layer]).field
    model = nd.fit(field, "mk")
    content, swap, anomaly = nd.add_layers(
        ViewerModel(), model, layer, donor=model.reference
    )
    for result in (content, swap):
        assert_same_place(result, layer)
        assert_same_look(result, layer)
        assert level_shapes(result) == level_shapes(layer)
        assert result.dtype == shown_dtype(layer)
    has_channels = "C" in field.grid_axes
    drop = field.axes.index("C") if "C" in field.axes else None
    assert level_shapes(anomaly) == level_shapes(layer, drop)
    assert anomaly.dtype == np.float32
    assert not anomaly.rgb
    if not has_channels:
        assert_same_place(anomaly, layer)
    np.testing.assert_array_equal(field.levels[0], values)


@QUICK
@given(channel_layers())
def test_channels_kept_as_layers_come_back_as_layers(layers):
    field = Picked.of(layers).field
    assert field.channel_names == ("DNA", "actin")
    model = nd.fit(field, "meanstd")
    added = nd.add_layers(ViewerModel(), model, layers, donor=model.reference)
    *rendered, anomaly = added
    assert len(rendered) == 2 * len(layers)
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
    (anomaly,) = nd.add_layers(ViewerModel(), model, layer, outputs=["anomaly"])
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
    nd.add_layers(viewer, model, layer, outputs=["content", "anomaly"])
    names = [one.name for one in viewer.layers]
    nd.add_layers(viewer, model, layer, outputs=["content", "anomaly"])
    assert [one.name for one in viewer.layers] == names
