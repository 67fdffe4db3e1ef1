"""Content maps as an output: those of the model, wherever they are read or written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from strategies import EACH_MODEL, Recording, image, scene
from yaozarrs import validate_zarr_store

import napari_disentangle as nd
from napari_disentangle.errors import DataError
from napari_disentangle.model.encode import encoded
from napari_disentangle.model.registry import method
from napari_disentangle.pipeline.recipe import Recipe, Source

UM = "micrometer"
# Axes, shape and type of an image, and the axes of its maps.
CASES = [
    ("YXC", (41, 52, 3), "uint8", "CYX"),
    ("YXC", (41, 52, 4), "uint8", "CYX"),
    ("YXC", (41, 52, 3), "uint16", "CYX"),
    ("YXC", (41, 52, 5), "uint8", "CYX"),
    ("ZYXC", (2, 41, 52, 3), "float32", "ZCYX"),
    ("YX", (41, 52), "float32", "CYX"),
    ("ZYX", (3, 41, 52), "uint16", "ZCYX"),
    ("CZYX", (2, 3, 41, 52), "uint8", "CZYX"),
    ("TCZYX", (2, 2, 2, 41, 52), "uint16", "TCZYX"),
    ("XZY", (52, 3, 41), "uint32", "CXZY"),
]


class Neighbours:
    """A method whose content looks at neighbours, and has five maps of any image."""

    halo = 2

    def __getattr__(self, name):
        return getattr(method("meanstd"), name)

    def encode(self, x, source):
        from torch.nn.functional import avg_pool2d

        known = method("meanstd").encode(x, source)[:1]
        blurred = avg_pool2d(known, 5, 1, self.halo, count_include_pad=False)
        return blurred * blurred.new_tensor([1, 2, 3, 4, 5])[:, None, None]


def neighbourly(model, field):
    """The five maps of an image under a model that looks at neighbours."""
    lazy = model.lazy(field, model.reference)
    looking = replace(lazy.operation, method=Neighbours())
    return encoded(replace(lazy, operation=looking))


def channels_first(maps):
    """A whole result in the order of ``Model.encode``."""
    lead = [axis for axis in maps.axes if axis not in "CYX"]
    order = [maps.axes.index(axis) for axis in ("C", *lead, "Y", "X")]
    return np.asarray(maps).transpose(order)


def ran(recipe, folder, **options):
    return [p for p in nd.run(recipe, folder, **options) if isinstance(p, Path)]


# --- values ---------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "modality"), EACH_MODEL)
def test_the_maps_of_every_model_are_what_it_encodes(name, modality):
    field, other = (image(modality, seed) for seed in range(2))
    model = nd.fit([field, other], name)
    maps = nd.apply(model, field, "maps")
    np.testing.assert_array_equal(channels_first(maps), model.encode(field))


@pytest.mark.parametrize(("axes", "shape", "dtype", "expected"), CASES)
def test_maps_of_any_image_are_float_with_an_axis_of_their_own(
    axes, shape, dtype, expected
):
    field = nd.Field(scene(axes, shape, dtype), axes)
    model = nd.fit(field, "meanstd")
    maps = nd.apply(model, field, "maps")
    assert maps.axes == expected
    assert maps.dtype == np.float32
    assert not maps.rgb
    assert maps.channel_names == tuple(
        f"content {i}" for i in range(1, len(model.channels) + 1)
    )
    np.testing.assert_array_equal(channels_first(maps), model.encode(field))


def test_one_map_is_a_view_that_reads_only_what_is_asked():
    source = Recording(scene("CYX", (2, 200, 300), "uint16"))
    field = nd.Field(source, "CYX")
    model = nd.fit(field, "meanstd")
    own = model.attribute(field)
    source.reads.clear()
    maps = nd.apply(model, field, "maps", source=own)
    assert source.values_read == 2
    source.reads.clear()
    part = np.asarray(maps[1, 50:60, 70:75])
    assert source.values_read == 2 * 10 * 5
    np.testing.assert_array_equal(part, model.encode(field)[1, 50:60, 70:75])


def test_maps_of_a_model_that_looks_at_neighbours_have_no_seams():
    field = nd.Field(scene("YXC", (101, 75, 3)), "YXC")
    maps = neighbourly(nd.fit(field, "meanstd"), field)
    assert maps.operation.halo == Neighbours.halo
    assert maps.shape == (5, 101, 75)
    whole = np.asarray(replace(maps, tile=10**6))
    np.testing.assert_allclose(whole[4], 5 * whole[0], rtol=1e-5, atol=1e-6)
    for tile in (19, 64):
        tiled = np.asarray(replace(maps, tile=tile))
        assert np.abs(tiled - whole).max() <= 1e-5 * whole.std()
    np.testing.assert_allclose(maps[2, 40:50, 30:33], whole[2, 40:50, 30:33], 1e-5)


def test_every_level_of_a_pyramid_is_encoded_from_its_own():
    levels = [scene("YXC", (64, 80, 3)), scene("YXC", (32, 40, 3), seed=1)]
    field = nd.Field(levels, "YXC")
    model = nd.fit(field, "meanstd")
    maps = nd.apply(model, field, "maps")
    assert [level.shape for level in maps.levels] == [(3, 64, 80), (3, 32, 40)]
    (only,) = neighbourly(model, field).levels
    assert only.shape == (5, 64, 80)


@pytest.mark.parametrize("pool", ["image", "frame"])
def test_a_blank_plane_is_seen_with_the_reference(pool):
    cells = scene("ZYX", (3, 41, 52), "uint8")
    cells[0] = 7
    field = nd.Field(cells, "ZYX")
    model = nd.fit(nd.Field(scene("YX", (41, 52)), "YX"), "meanstd")
    maps = nd.apply(model, field, "maps", source=model.attribute(field, pool))
    assert np.isfinite(maps).all()
    assert np.ptp(maps[0]) == 0


def test_a_blank_image_gives_flat_maps_and_says_so():
    blank = nd.Field(np.full((41, 52, 3), 255, np.uint8), "YXC")
    for known in (image("brightfield"), blank):
        maps = nd.apply(nd.fit(known, "meanstd"), blank, "maps")
        assert np.isfinite(maps).all()
        assert all(np.ptp(one) == 0 for one in np.asarray(maps))
        assert any("no foreground" in word for word in maps.provenance["status"])


def test_maps_say_where_they_come_from():
    field = image("brightfield")
    model = nd.fit(field, "mk")
    kept = nd.apply(model, field, "maps").provenance
    assert kept["output"] == "maps"
    assert kept["synthetic"] is True
    assert kept["model_hash"] == model.hash
    assert kept["attribute"]["source"] == model.attribute(field).to_json()


# --- files ----------------------------------------------------------------------------
MOVIE = nd.Field(
    scene("TCZYX", (2, 2, 3, 40, 52), "uint16"),
    "TCZYX",
    scale=(3, 1, 2, 0.25, 0.5),
    translate=(0, 0, 5, 6, 7),
    units=("second", "pixel", UM, UM, UM),
    channel_names=("DNA", "actin"),
    name="movie",
)
SLIDE = nd.Field(
    scene("YXC", (40, 52, 3)),
    "YXC",
    scale=(0.25, 0.5),
    translate=(6, 7),
    units=(UM, UM),
    name="slide",
)
STACK = nd.Field(
    scene("ZYX", (3, 40, 52), "float32"), "ZYX", scale=(2, 1, 1), units=(UM,) * 3
)


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif"])
@pytest.mark.parametrize("field", [MOVIE, SLIDE, STACK], ids=["movie", "slide", "z"])
def test_maps_are_read_back_with_their_names_and_places(tmp_path, field, suffix):
    model = nd.fit(field, "meanstd")
    maps = nd.apply(model, field, "maps")
    path = tmp_path / f"x{suffix}"
    list(nd.write(maps, path))
    back = nd.read(path)
    assert back.dtype == np.float32
    assert back.modality == "fluorescence"
    found = np.stack([back.plane(lead) for lead in back.leads()], axis=1)
    expected = model.encode(field)
    np.testing.assert_array_equal(found.ravel(), expected.ravel())
    if len(expected) > 1:  # TIFF keeps no axis of length one
        assert back.channel_names == maps.channel_names
    sizes = zip(back.scale, back.units, strict=True)
    places = dict(zip(back.grid_axes, sizes, strict=True))
    shifts = dict(zip(back.grid_axes, back.translate, strict=True))
    for axis, *size in zip(field.grid_axes, field.scale, field.units, strict=True):
        if axis != "C":
            assert places[axis] == pytest.approx(tuple(size))
    if suffix == ".ome.zarr":
        validate_zarr_store(str(path))
        for axis, shift in zip(field.grid_axes, field.translate, strict=True):
            assert shifts[axis] == shift
    assert nd.read_provenance(path)["output"] == "maps"


def test_viewers_are_told_the_range_of_every_map(tmp_path):
    path = tmp_path / "x.ome.zarr"
    maps = nd.apply(nd.fit(SLIDE, "meanstd"), SLIDE, "maps")
    list(nd.write(maps, path))
    channels = zarr.open_group(path).attrs["ome"]["omero"]["channels"]
    assert [c["label"] for c in channels] == list(maps.channel_names)
    for channel, values in zip(channels, np.asarray(maps), strict=True):
        window = channel["window"]
        ends = window["start"], window["end"]
        np.testing.assert_allclose(ends, np.percentile(values, (0.1, 99.9)), 1e-5)


def test_a_pyramid_in_a_file_has_its_levels(tmp_path):
    levels = [scene("YXC", (64, 80, 3)), scene("YXC", (32, 40, 3), seed=1)]
    field = nd.Field(levels, "YXC", scale=(2.0, 2.0))
    model = nd.fit(field, "meanstd")
    maps = nd.apply(model, field, "maps")
    list(nd.write(maps, tmp_path / "x.ome.zarr"))
    back = nd.read(tmp_path / "x.ome.zarr")
    for level, known in zip(back.levels, maps.levels, strict=True):
        np.testing.assert_array_equal(level, known)


def test_maps_of_neighbours_have_means_as_smaller_levels(tmp_path):
    field = nd.Field(scene("YX", (600, 640), "float32"), "YX")
    maps = neighbourly(nd.fit(field, "meanstd"), field)
    list(nd.write(maps, tmp_path / "x.ome.zarr"))
    first, second = (np.asarray(x) for x in nd.read(tmp_path / "x.ome.zarr").levels)
    blocks = first.reshape(5, 300, 2, 320, 2).mean((2, 4))
    np.testing.assert_allclose(second, blocks, rtol=1e-4, atol=1e-5)


def test_pictures_are_refused_in_words(tmp_path):
    maps = nd.apply(nd.fit(SLIDE, "meanstd"), SLIDE, "maps")
    for suffix in (".png", ".jpg"):
        with pytest.raises(DataError, match="write OME-TIFF or OME-Zarr"):
            list(nd.write(maps, tmp_path / f"x{suffix}"))


# --- recipes --------------------------------------------------------------------------
def test_a_recipe_makes_them_from_files_and_again(tmp_path):
    source = image("brightfield")
    path = tmp_path / "slide.png"
    list(nd.write(nd.apply(nd.fit(source, "identity"), source), path))
    field = nd.read(path)
    recipe = Recipe(
        images=(Source.of(field),), model="mk", outputs=("maps",), device="cpu"
    )
    (made,) = ran(recipe, tmp_path / "first")
    assert made.name == "slide_maps.ome.tif"
    np.testing.assert_array_equal(
        nd.read(made).levels[0], nd.fit(field, "mk").encode(field)
    )
    kept = nd.read_provenance(made)
    (again,) = ran(Recipe.from_json(kept), tmp_path / "again", suffix=".ome.zarr")
    np.testing.assert_array_equal(nd.read(again).levels[0], nd.read(made).levels[0])
    assert nd.read_provenance(again) == kept


def test_they_are_made_only_if_asked_for():
    assert Recipe().outputs == ("content", "swap", "anomaly")
