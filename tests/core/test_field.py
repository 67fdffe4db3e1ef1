"""A Field knows its axes, reads what is asked for, and refuses what it cannot be."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import STORAGE, scene, stored

import napari_disentangle as nd
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.image.channels import ChannelStack, split_names
from napari_disentangle.image.from_layer import axes_of_labels
from napari_disentangle.pipeline.recipe import RecipeError

SIZES = {"T": 2, "C": 3, "Z": 4, "Y": 15, "X": 17}


@settings(max_examples=60, deadline=None)
@given(st.permutations("TCZYX"), st.integers(0, 3), st.sampled_from(STORAGE))
def test_a_plane_is_read_from_any_order_of_axes(order, dropped, storage):
    axes = "".join(a for a in order if a not in "TCZ"[:dropped])
    shape = tuple(SIZES[axis] for axis in axes)
    values = scene(axes, shape, "uint16")
    field = nd.Field(stored(values, storage, axes), axes)
    letters = field.lead_axes + "CYX"
    expected = np.einsum(f"{axes}->{''.join(a for a in letters if a in axes)}", values)
    expected = expected.reshape(*field.lead_shape, -1, 15, 17)
    for lead in field.leads():
        np.testing.assert_array_equal(field.plane(lead), expected[lead])
        part = field.plane(lead, slice(3, 9), slice(2, 20))
        np.testing.assert_array_equal(part, expected[lead][:, 3:9, 2:20])


def test_colour_is_known_by_its_axis_and_nothing_by_its_shape():
    data = np.ones((20, 30, 3), np.uint8)
    assert nd.Field(data, "YXC").rgb
    assert nd.Field(data, "YXC").modality == "brightfield"
    assert not nd.Field(data, "ZYX").rgb
    assert nd.Field(data, "ZYX").modality == "fluorescence"


def test_it_says_what_it_is():
    field = nd.Field(
        np.ones((512, 256, 3), np.uint8),
        "YXC",
        scale=(0.25, 0.25),
        units=("micrometer", "micrometer"),
    )
    assert field.describe() == ("RGB brightfield, 512 x 256 (YX), uint8, 0.25 um/px")
    levels = [np.ones((2, 64, 64), np.uint16), np.ones((2, 32, 32), np.uint16)]
    assert nd.Field(levels, "CYX").describe() == (
        "2 channels fluorescence, 2 x 64 x 64 (CYX), uint16, 2 levels"
    )


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        nd.Field(np.ones((4, 4)), "YX").axes = "XY"


@pytest.mark.parametrize(
    ("axes", "shape", "words"),
    [
        ("YX", (2, 3, 4), "name 2 axes, but the image has 3"),
        ("YY", (3, 4), "different capital letters"),
        ("yx", (3, 4), "different capital letters"),
        ("Y1", (3, 4), "different capital letters"),
        ("ZY", (3, 4), "must contain Y and X"),
        ("", (3, 4), "name 0 axes"),
    ],
)
def test_axes_that_do_not_fit_are_refused(axes, shape, words):
    with pytest.raises(AxesError, match=words):
        nd.Field(np.ones(shape), axes)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.ones((0, 5), np.uint8), "is empty"),
        ([], "is empty"),
        (np.ones((4, 5), bool), "bool"),
        (np.ones((4, 5), complex), "complex128"),
        (np.ones((4, 5), object), "object"),
        (np.full((4, 5), "a"), "<U1"),
        (np.ones((4, 5), np.int64), "int64"),
        ([[1, 2], [3, 4]], "not an array"),
        (None, "not an array"),
        ([np.ones((8, 8)), np.ones((4, 4, 1))], "levels"),
        ([np.ones((8, 8)), np.ones((4, 4), np.uint8)], "levels"),
        ([np.ones((4, 4)), np.ones((8, 8))], "levels"),
    ],
)
def test_data_that_are_no_image_are_refused(data, words):
    with pytest.raises(DataError, match=words):
        nd.Field(data, "YX", name="slide")


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": (1.0,)},
        {"translate": (1.0, 2.0, 3.0)},
        {"units": ("um",)},
        {"channel_names": ("a", "b")},
        {"where": np.ones((4, 4), bool)},
    ],
)
def test_metadata_of_another_length_are_refused(wrong):
    with pytest.raises(AxesError, match="slide"):
        nd.Field(np.ones((4, 5)), "YX", name="slide", **wrong)


@pytest.mark.parametrize("full_scale", [0, -1.0, np.nan, np.inf])
def test_a_full_scale_that_is_none_is_refused(full_scale):
    with pytest.raises(ValueError, match="full_scale"):
        nd.Field(np.ones((4, 5)), "YX", full_scale=full_scale)


def test_an_unknown_modality_is_refused():
    with pytest.raises(ValueError, match="brightfield"):
        nd.Field(np.ones((4, 5)), "YX", modality="electron")


def test_a_repeated_channel_name_is_refused():
    with pytest.raises(AxesError, match="channel names"):
        nd.Field(np.ones((2, 4, 5)), "CYX", channel_names=("DNA", "DNA"))


def test_a_region_is_read_on_the_same_grid():
    where = np.zeros((3, 20, 30), bool)
    where[1, 4:9, 10:] = True
    field = nd.Field(np.ones((3, 2, 20, 30)), "ZCYX", where=where)
    np.testing.assert_array_equal(field.mask((1,)), where[1])
    np.testing.assert_array_equal(
        field.mask((1,), slice(5, 7), slice(8, 12)), where[1, 5:7, 8:12]
    )
    np.testing.assert_array_equal(
        nd.Field(np.ones((20, 30)), "YX").mask((), slice(3, 5)), np.ones((2, 30), bool)
    )


@pytest.mark.parametrize(
    ("labels", "axes"),
    [
        (("-2", "-1"), "YX"),
        (("-4", "-3", "-2", "-1"), "TZYX"),
        (("y", "x"), "YX"),
        (("time", "channel", "z", "y", "x"), "TCZYX"),
        (("c", "y", "x"), "CYX"),
    ],
)
def test_axes_are_read_from_labels(labels, axes):
    assert axes_of_labels(labels) == axes


def test_channels_are_named_by_what_differs():
    names = ["well A DNA", "well A actin"]
    assert split_names(names) == (("DNA", "actin"), "well A")
    assert split_names(["x", "x"])[0] == ("x", "x")


@pytest.mark.parametrize("gap", [" ", "_", "-", " - "])
def test_channels_of_two_wells_match_whatever_parts_their_names(gap):
    wells = [
        split_names([gap.join(("plate1", well, c)) for c in ("DAPI", "anti-GFP_488")])
        for well in ("A01", "B01")
    ]
    assert [channels for channels, _ in wells] == [("DAPI", "anti-GFP_488")] * 2
    assert wells[1][1] == gap.join(("plate1", "B01"))


def test_four_fluorescence_channels_are_no_colour_with_an_alpha():
    data = scene("YXC", (40, 52, 4), "uint16")
    field = nd.Field(data, "YXC", modality="fluorescence")
    assert field.channel_names == ("0", "1", "2", "3")
    assert field.describe().startswith("4 channels fluorescence")
    assert nd.fit(field, "meanstd").channels == field.channel_names
    slide = nd.Field(data, "YXC")
    assert slide.channel_names == ("R", "G", "B", "alpha")
    assert nd.fit(slide, "meanstd").channels == ("R", "G", "B")


def test_the_alpha_of_a_colour_layer_is_one_in_any_modality():
    layer = SimpleNamespace(
        data=scene("YXC", (40, 52, 4)),
        rgb=True,
        multiscale=False,
        axis_labels=("y", "x"),
        scale=(1.0, 1.0),
        translate=(0.0, 0.0),
        units=("pixel", "pixel"),
        name="picture",
        source=None,
    )
    field = nd.Field.from_layer(layer, modality="fluorescence")
    assert field.channel_names == ("R", "G", "B", "alpha")


def test_the_order_of_bytes_is_no_news():
    field = nd.Field(np.ones((4, 5), ">u2"), "YX")
    assert field.describe() == "fluorescence, 4 x 5 (YX), uint16"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"strength": 1.5}, "strength: .*1"), ({"modle": "mk"}, "modle")],
)
def test_a_recipe_that_cannot_be_is_refused_in_one_sentence(wrong, words):
    with pytest.raises(RecipeError, match=words) as error:
        nd.Recipe(**wrong)
    assert "\n" not in str(error.value)


def test_channels_of_different_kind_cannot_be_stacked():
    with pytest.raises(DataError, match="same shape and type"):
        ChannelStack([np.ones((4, 5)), np.ones((4, 6))])
