"""Files keep values, geometry, channels and provenance, and broken ones are refused."""

from __future__ import annotations

import json
import logging
import shutil
import struct
from dataclasses import replace
from zlib import compress, crc32

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from strategies import scene
from yaozarrs import validate_zarr_store

import napari_disentangle as nd
from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.files.registry import FORMATS

UM = "micrometer"


def written(field, path, model="identity", **options):
    """Write an image's content-only under a model, and read it again."""
    lazy = nd.apply(nd.fit(field, model), field)
    for _ in nd.write(lazy, path, **options):
        pass
    return nd.read(path)


def sample(axes, shape, dtype="uint8", **metadata):
    return nd.Field(scene(axes, shape, dtype), axes, name="sample", **metadata)


def assert_same_image(back, field):
    assert back.dtype.name == field.dtype.name
    assert back.modality == field.modality
    assert back.channel_names == field.channel_names
    assert sorted(back.axes) == sorted(field.axes)
    assert back.lead_axes == field.lead_axes
    for lead in field.leads():
        np.testing.assert_array_equal(back.plane(lead), field.plane(lead))
    sizes = dict(
        zip(back.grid_axes, zip(back.scale, back.units, strict=True), strict=True)
    )
    for axis, *size in zip(field.grid_axes, field.scale, field.units, strict=True):
        if axis != "C":
            assert sizes[axis] == pytest.approx(tuple(size))


RGB = sample("YXC", (40, 52, 3), scale=(0.25, 0.5), units=(UM, UM))
CHANNELS = sample(
    "CYX",
    (2, 40, 52),
    "uint16",
    scale=(1, 0.25, 0.5),
    units=("pixel", UM, UM),
    channel_names=("DNA", "actin µ"),
)
STACK = sample(
    "ZYX", (3, 40, 52), "float32", scale=(2, 0.25, 0.5), units=("nanometer",) * 3
)
MOVIE = sample(
    "TCZYX",
    (2, 2, 3, 40, 52),
    "uint16",
    scale=(3, 1, 2, 0.25, 0.5),
    units=("second", "pixel", UM, UM, UM),
    channel_names=("DNA", "actin"),
)
PLAIN = sample("YX", (40, 52), "float32", scale=(2.0, 3.0))
SWITCHED = sample("XZY", (52, 3, 40), "uint8", scale=(0.5, 2, 0.25), units=(UM,) * 3)
FIELDS = {
    "RGB": RGB,
    "channels": CHANNELS,
    "stack": STACK,
    "movie": MOVIE,
    "plain": PLAIN,
    "switched": SWITCHED,
}


@pytest.mark.parametrize("suffix", [".ome.zarr", ".zarr", ".ome.tif", ".tiff"])
@pytest.mark.parametrize("kind", FIELDS)
def test_what_is_written_is_read(tmp_path, kind, suffix):
    field = FIELDS[kind]
    assert_same_image(written(field, tmp_path / f"x{suffix}"), field)


def test_colour_stacks_are_kept(tmp_path):
    field = sample("ZYXC", (3, 40, 52, 3), "uint16")
    for suffix in (".ome.zarr", ".ome.tif"):
        assert_same_image(written(field, tmp_path / f"x{suffix}"), field)


@pytest.mark.parametrize(
    ("suffix", "axes", "shape", "dtype"),
    [
        (".png", "YXC", (40, 52, 3), "uint8"),
        (".PNG", "YXC", (40, 52, 3), "uint8"),
        (".png", "YXC", (40, 52, 4), "uint8"),
        (".png", "YX", (40, 52), "uint8"),
        (".png", "YX", (40, 52), "uint16"),
        (".ome.tif", "YXC", (40, 52, 4), "uint8"),
        (".ome.tif", "YX", (40, 52), ">u2"),
        (".ome.zarr", "YX", (40, 52), ">u2"),
    ],
)
def test_pictures_are_kept_exactly(tmp_path, suffix, axes, shape, dtype):
    field = sample(axes, shape, dtype)
    assert_same_image(written(field, tmp_path / f"x{suffix}"), field)


@pytest.mark.parametrize(("axes", "shape"), [("YXC", (40, 52, 3)), ("YX", (40, 52))])
def test_a_jpeg_is_kept_nearly(tmp_path, axes, shape):
    field = sample(axes, shape)
    back = written(field, tmp_path / "x.jpg")
    difference = np.abs(back.plane().astype(int) - field.plane())
    assert back.axes == axes
    assert difference.mean() < 4


@pytest.mark.parametrize(
    ("suffix", "axes", "shape", "dtype"),
    [
        (".png", "YX", (40, 52), "float32"),
        (".png", "YXC", (40, 52, 3), "uint16"),
        (".jpg", "YX", (40, 52), "uint16"),
        (".png", "ZYX", (3, 40, 52), "uint8"),
        (".jpg", "CYX", (3, 40, 52), "uint8"),
        (".png", "YXC", (40, 52, 2), "uint8"),
    ],
)
def test_a_picture_refuses_what_it_cannot_hold(tmp_path, suffix, axes, shape, dtype):
    with pytest.raises(DataError, match="write OME-TIFF or OME-Zarr"):
        written(sample(axes, shape, dtype), tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("axes", ["PYX", "PCYX", "TPVZCYX"])
@pytest.mark.parametrize("suffix", [".ome.zarr", ".tif"])
def test_axes_without_a_name_are_written_where_they_can_be(tmp_path, suffix, axes):
    field = sample(axes, (2,) * (len(axes) - 2) + (40, 52))
    path = tmp_path / f"x{suffix}"
    if suffix == ".ome.zarr" and len({*axes} - {*"TZYX"}) > 1:
        with pytest.raises(AxesError, match=f"not {axes}: write .tif"):
            written(field, path)
        assert list(tmp_path.iterdir()) == []
        return
    read = written(field, path)
    assert sorted(read.axes) == sorted(axes)
    order = [axes.index(axis) for axis in read.axes]
    assert np.array_equal(np.asarray(read.data), np.transpose(field.data, order))


# --- provenance -----------------------------------------------------------------------
@pytest.mark.parametrize("suffix", FORMATS)
def test_provenance_survives(tmp_path, suffix):
    field = sample("YXC", (40, 52, 3))
    model = nd.fit(field, "mk")
    lazy = nd.apply(model, field)
    for _ in nd.write(lazy, tmp_path / f"x{suffix}"):
        pass
    kept = nd.read_provenance(tmp_path / f"x{suffix}")
    assert kept == json.loads(json.dumps(lazy.provenance))
    assert kept["synthetic"] is True


def test_a_provenance_too_long_for_a_jpeg_is_refused_in_words(tmp_path):
    lazy = nd.apply(nd.fit(RGB, "mk"), RGB)
    with pytest.raises(DataError, match="write OME-TIFF or OME-Zarr"):
        list(nd.write(lazy, tmp_path / "x.jpg", {"note": "a" * 70_000}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_somebody_else_has_no_provenance(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if "zarr" in suffix:
        zarr.open_group(path, mode="w", attributes={"napari-disentangle": 3})
    elif "tif" in suffix:
        tifffile.imwrite(path, RGB.data, description="from somewhere")
    else:
        Image.fromarray(RGB.data).save(path)
    assert nd.read_provenance(path) == {}


@pytest.mark.parametrize("suffix", FORMATS)
def test_provenance_of_a_broken_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with pytest.raises(DataError, match="no file"):
        nd.read_provenance(path)
    path.write_bytes(b"nothing of the kind" * 9)
    with pytest.raises(DataError, match="cannot be read"):
        nd.read_provenance(path)


# --- writing --------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", FORMATS)
def test_closing_early_leaves_nothing_behind(tmp_path, suffix):
    field = sample("YXC", (200, 200, 3))
    lazy = replace(nd.apply(nd.fit(field, "mk"), field), tile=32)
    steps = nd.write(lazy, tmp_path / f"x{suffix}")
    assert next(steps).parts == 1
    steps.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_error_on_the_way_leaves_nothing_behind(tmp_path, suffix):
    class Broken:
        shape, dtype = (90, 90, 3), np.dtype("uint8")

        def __getitem__(self, key):
            raise OSError("the disk is gone")

    field = replace(RGB, data=Broken())
    model = nd.fit(RGB, "mk")
    lazy = model.lazy(field, model.reference, model.reference)
    with pytest.raises(DataError, match="'sample' cannot be read: the disk is gone"):
        list(nd.write(lazy, tmp_path / f"x{suffix}"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_existing_file_is_refused_unless_told(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    written(RGB, path)
    before = nd.read(path).plane()
    dark = replace(RGB, data=RGB.data // 2)
    with pytest.raises(DataError, match="exists already"):
        written(dark, path)
    np.testing.assert_array_equal(nd.read(path).plane(), before)
    assert (written(dark, path, overwrite=True).plane() != before).any()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_progress_is_counted_to_the_end(tmp_path):
    field = sample("ZYX", (2, 100, 100))
    lazy = replace(nd.apply(nd.fit(field, "meanstd"), field), tile=64)
    for suffix in (".ome.zarr", ".ome.tif"):
        steps = list(nd.write(lazy, tmp_path / f"x{suffix}"))
        assert [step.parts for step in steps][:8] == list(range(1, 9))
        assert {step.total for step in steps} == {8}


def test_a_folder_that_is_not_there_is_said(tmp_path):
    for suffix in FORMATS:
        with pytest.raises(DataError, match="no folder"):
            written(RGB, tmp_path / "missing" / f"x{suffix}")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no known format: use \.ome\.tif"):
        written(RGB, tmp_path / "x.gif")
    (tmp_path / "x.xyz").write_bytes(b"")
    with pytest.raises(DataError, match="no known format"):
        nd.read(tmp_path / "x.xyz")


def test_compressing_pictures_keeps_their_own_ending(tmp_path):
    written(sample("YXC", (40, 52, 3)), tmp_path / "x.png.jpg")
    with Image.open(tmp_path / "x.png.jpg") as picture:
        assert picture.format == "JPEG"


# --- OME-Zarr -------------------------------------------------------------------------
@pytest.mark.parametrize("kind", FIELDS)
def test_the_written_pyramid_is_valid(tmp_path, kind):
    written(FIELDS[kind], tmp_path / "x.ome.zarr")
    validate_zarr_store(str(tmp_path / "x.ome.zarr"))


def test_smaller_levels_lie_on_the_first(tmp_path):
    field = sample(
        "YX",
        (1101, 700),
        "float32",
        scale=(0.5, 0.25),
        translate=(10, 20),
        units=(UM,) * 2,
    )
    path = tmp_path / "x.ome.zarr"
    back = written(field, path)
    assert [level.shape for level in back.levels] == [
        (1101, 700),
        (551, 350),
        (276, 175),
    ]
    assert (back.scale, back.translate) == ((0.5, 0.25), (10, 20))
    image = zarr.open_group(path).attrs["ome"]["multiscales"][0]
    for dataset, level in zip(image["datasets"], back.levels, strict=True):
        scale, shift = (
            np.array(next(m[k] for m in dataset["coordinateTransformations"] if k in m))
            for k in ("scale", "translation")
        )
        sizes = np.array(field.shape) / level.shape
        np.testing.assert_allclose(scale, sizes * field.scale)
        # The outer edges of all levels coincide.
        np.testing.assert_allclose(shift - scale / 2, [10 - 0.25, 20 - 0.125])
    half = field.data[:1100, :700].reshape(550, 2, 350, 2).mean((1, 3))
    np.testing.assert_allclose(back.levels[1][:550], half, rtol=1e-5)


def test_the_levels_of_a_pyramid_are_kept(tmp_path):
    levels = [scene("YX", (64, 64)), scene("YX", (16, 16), seed=1)]
    field = nd.Field(levels, "YX", scale=(2.0, 2.0))
    path = tmp_path / "x.ome.zarr"
    back = written(field, path)
    for one, other in zip(back.levels, levels, strict=True):
        np.testing.assert_array_equal(one, other)
    image = zarr.open_group(path).attrs["ome"]["multiscales"][0]
    assert image["datasets"][1]["coordinateTransformations"][0]["scale"] == [8, 8]


def test_the_smaller_levels_of_an_anomaly_map_are_means_of_the_first(tmp_path):
    full = scene("YX", (600, 640), "float32")
    full += np.random.default_rng(0).normal(0, 0.05, full.shape).astype(np.float32)
    half = full.reshape(300, 2, 320, 2).mean((1, 3))
    quarter = half.reshape(150, 2, 160, 2).mean((1, 3))
    field = nd.Field([full, half, quarter], "YX", scale=(0.5, 0.25))
    model = nd.fit(field, "meanstd")
    detector = nd.fit_detector(field, on=model)
    path = tmp_path / "x.ome.zarr"
    list(nd.write(nd.apply(model, field, "anomaly", detector=detector), path))
    first, *others = (np.asarray(level) for level in nd.read(path).levels)
    assert first.shape == (600, 640)
    assert len(others) > 0
    for level in others:
        assert level.mean() == pytest.approx(first.mean(), abs=0.01)
        assert abs(np.median(level) - np.median(first)) < 0.3


def old_zarr(path, values, axes, compressor=None):
    """An OME-Zarr 0.4 image with levels that are called s0, s1."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for i, level in enumerate([values, values[..., ::2, ::2]]):
        group.create_array(f"s{i}", data=level)
    kinds = {"t": "time", "c": "channel"}
    datasets = [
        {
            "path": f"s{i}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0] * (len(axes) - 2) + [0.5 * 2**i] * 2},
                {"type": "translation", "translation": [3.0] * len(axes)},
            ],
        }
        for i in range(2)
    ]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [
                {"name": a, "type": kinds.get(a, "space")}
                | ({} if a == "c" else {"unit": UM})
                for a in axes
            ],
            "datasets": datasets,
            "coordinateTransformations": [
                {"type": "scale", "scale": [2.0] * len(axes)}
            ],
        }
    ]
    group.attrs["omero"] = {"channels": [{"label": "DNA"}, {"label": "actin"}]}


def test_an_older_file_with_other_level_names_is_read(tmp_path):
    values = scene("CYX", (2, 40, 52), "uint16")
    old_zarr(tmp_path / "x.zarr", values, "cyx")
    field = nd.read(tmp_path / "x.zarr")
    assert field.describe() == (
        "2 channels fluorescence, 2 x 40 x 52 (CYX), uint16, 2 levels, 1 um/px"
    )
    assert field.channel_names == ("DNA", "actin")
    assert field.scale == (2, 1, 1)
    assert field.translate == (6, 6, 6)
    np.testing.assert_array_equal(field.plane(), values)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: shutil.rmtree(p / "s1"),
        lambda p: (p / "s0" / ".zarray").write_text("{"),
        lambda p: (p / ".zattrs").write_text("{"),
        lambda p: (p / ".zattrs").write_text("[]"),
        lambda p: (p / ".zattrs").write_text("{}"),
        lambda p: (p / ".zattrs").write_text('{"multiscales": []}'),
        lambda p: (p / ".zattrs").write_text('{"multiscales": [{"datasets": []}]}'),
        lambda p: (p / ".zattrs").write_text(
            '{"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "s0"}]}]}'
        ),
        lambda p: (p / ".zgroup").unlink(),
        lambda p: (shutil.rmtree(p), p.mkdir()),
        lambda p: (shutil.rmtree(p), p.write_bytes(b"nothing")),
    ],
)
def test_a_damaged_zarr_is_refused_in_one_sentence(tmp_path, damage):
    path = tmp_path / "x.zarr"
    old_zarr(path, scene("CYX", (2, 40, 52)), "cyx")
    damage(path)
    with pytest.raises(DataError, match=r"x\.zarr") as error:
        nd.read(path)
    assert "\n" not in str(error.value)


def test_a_damaged_chunk_is_refused_when_it_is_read(tmp_path):
    field = written(PLAIN, tmp_path / "x.ome.zarr")
    chunk = next(
        p for p in (tmp_path / "x.ome.zarr" / "0" / "c").rglob("*") if p.is_file()
    )
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(DataError, match="'x' cannot be read"):
        field.plane()
    with pytest.raises(DataError, match="'x' cannot be read"):
        nd.fit(field, "meanstd")


def pickled(path, dtype, filters):
    """A version 2 array by hand, since nobody writes such any more."""
    old_zarr(path, scene("YX", (40, 52)), "yx")
    header = json.loads((path / "s0" / ".zarray").read_text())
    header |= {"dtype": dtype, "filters": filters, "fill_value": None}
    (path / "s0" / ".zarray").write_text(json.dumps(header))


@pytest.mark.parametrize(
    ("dtype", "filters"),
    [
        ("|O", [{"id": "pickle", "protocol": 5}]),
        ("|O", [{"id": "vlen-utf8"}]),
        ("|O", None),
        ("|u1", [{"id": "pickle", "protocol": 5}]),
    ],
)
def test_a_zarr_that_could_run_code_is_not_opened(tmp_path, dtype, filters):
    pickled(tmp_path / "x.zarr", dtype, filters)
    with pytest.raises(DataError, match=r"'x\.zarr'"):
        nd.read(tmp_path / "x.zarr")


@pytest.mark.parametrize(
    ("unit", "valid"),
    [("um", UM), ("µm", UM), (UM, UM), ("furlong", "pixel"), ("second", "pixel")],
)
def test_units_of_a_zarr_are_valid_names_or_none(tmp_path, unit, valid):
    field = sample("YX", (40, 52), scale=(0.5, 0.5), units=(unit, unit))
    back = written(field, tmp_path / "x.ome.zarr")
    assert (back.units, back.scale) == ((valid, valid), (0.5, 0.5))
    validate_zarr_store(str(tmp_path / "x.ome.zarr"))


@pytest.mark.parametrize(
    ("unit", "read"), [("um", UM), ("furlong", "pixel"), (None, "pixel")]
)
def test_units_of_a_foreign_zarr_are_mapped(tmp_path, unit, read):
    path = tmp_path / "x.zarr"
    old_zarr(path, scene("YX", (40, 52)), "yx")
    attrs = (path / ".zattrs").read_text()
    (path / ".zattrs").write_text(attrs.replace(f'"{UM}"', json.dumps(unit)))
    assert nd.read(path).units == (read, read)


def test_a_foreign_zarr_of_red_green_and_blue_is_brightfield(tmp_path):
    path = tmp_path / "x.zarr"
    old_zarr(path, scene("CYX", (3, 40, 52)), "cyx")
    labels = {"channels": [{"label": letter} for letter in "RGB"]}
    zarr.open_group(path).attrs["omero"] = labels
    assert nd.read(path).modality == "brightfield"
    assert nd.read(path, modality="fluorescence").modality == "fluorescence"


def test_a_size_of_zero_is_no_size(tmp_path):
    values = scene("ZYX", (2, 40, 52), "uint16")
    sizes = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    ome = sizes | {"PhysicalSizeZ": 0.0}
    tifffile.imwrite(tmp_path / "x.ome.tif", values, metadata=ome)
    imagej = {"axes": "ZYX", "unit": "um", "spacing": 0.0}
    tifffile.imwrite(tmp_path / "x.tif", values, imagej=True, metadata=imagej)
    old_zarr(tmp_path / "x.zarr", values, "zyx")
    group = zarr.open_group(tmp_path / "x.zarr")
    known = group.attrs["multiscales"]
    known[0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [0.0, 0.5, 0.5]
    group.attrs["multiscales"] = known
    assert nd.read(tmp_path / "x.ome.tif").scale == (1, 0.5, 0.5)
    assert nd.read(tmp_path / "x.tif").scale == (1, 1, 1)
    assert nd.read(tmp_path / "x.zarr").scale == (1, 1, 1)


# --- TIFF -----------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("lead", ["", "Z"])
def test_colour_in_separate_planes_is_colour(tmp_path, suffix, compression, lead):
    path, axes = tmp_path / f"x{suffix}", f"{lead}SYX"
    values = scene(axes.replace("S", "C"), (2,) * len(lead) + (3, 40, 52))
    metadata = {"axes": axes, "PhysicalSizeX": 0.5} if "ome" in suffix else {}
    tifffile.imwrite(
        path,
        values,
        planarconfig="separate",
        photometric="rgb",
        compression=compression,
        metadata=metadata,
    )
    field = nd.read(path)
    assert (field.axes[-3:], field.modality) == ("YXC", "brightfield")
    assert field.channel_names == ("R", "G", "B")
    assert field.scale[-1] == (0.5 if "ome" in suffix else 1)
    expected = values.reshape(-1, 3, 40, 52)
    for place, index in zip(field.leads(), expected, strict=True):
        np.testing.assert_array_equal(field.plane(place), index)


def test_separate_planes_that_are_no_colour_are_channels(tmp_path):
    values = scene("CYX", (3, 40, 52))
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, values, planarconfig="separate", photometric="minisblack")
    field = nd.read(path)
    assert (field.axes, field.modality) == ("CYX", "fluorescence")


@pytest.mark.parametrize(
    ("photometric", "words"),
    [("palette", "a palette"), ("miniswhite", "zero"), ("separated", "inks")],
)
def test_values_that_mean_something_else_are_refused(tmp_path, photometric, words):
    colours = {"colormap": np.zeros((3, 256), np.uint16)}
    shape = (40, 52, 4) if photometric == "separated" else (40, 52)
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path,
        np.zeros(shape, np.uint8),
        photometric=photometric,
        **(colours if photometric == "palette" else {}),
    )
    with pytest.raises(DataError, match=words) as error:
        nd.read(path)
    assert "'x.tif'" in str(error.value)
    assert "convert it" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_look_up_table_of_imagej_leaves_the_values(tmp_path):
    path = tmp_path / "x.tif"
    values = scene("YX", (40, 52))
    tifffile.imwrite(
        path, values, photometric="palette", colormap=np.zeros((3, 256), np.uint16)
    )
    tifffile.tiffcomment(path, "ImageJ=1.54f\nimages=1\n")
    np.testing.assert_array_equal(nd.read(path).plane()[0], values)


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((40000, 20000), "CENTIMETER", (0.5, 0.25)),
        ((101600, 50800), "INCH", (0.5, 0.25)),
        ((40000, 40000), "NONE", None),
        ((1, 1), "INCH", None),
        ((72, 72), "INCH", None),
        ((300, 300), "INCH", None),
        ((118.11, 118.11), "CENTIMETER", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_a_plain_tiff_says_its_pixel_size(tmp_path, resolution, unit, size):
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path, scene("YX", (40, 52)), resolution=resolution, resolutionunit=unit
    )
    field = nd.read(path)
    assert field.scale == pytest.approx(size or (1, 1))
    assert field.units == ((UM if size else "pixel"),) * 2


def test_four_fluorescence_channels_survive_a_tiff(tmp_path):
    field = sample("YXC", (40, 52, 4), "uint16", modality="fluorescence")
    back = written(field, tmp_path / "x.ome.tif")
    assert_same_image(back, field)
    with pytest.raises(DataError, match="write OME-TIFF or OME-Zarr"):
        written(sample("YXC", (40, 52, 4), modality="fluorescence"), tmp_path / "x.jpg")


def test_an_imagej_hyperstack_is_read(tmp_path):
    values = scene("TZCYX", (2, 3, 2, 40, 52), "uint16")
    tifffile.imwrite(
        tmp_path / "x.tif",
        values,
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "TZCYX", "spacing": 1.5, "unit": "um", "finterval": 30},
    )
    field = nd.read(tmp_path / "x.tif")
    assert field.axes == "TZCYX"
    assert field.scale == pytest.approx((30, 1.5, 1, 0.5, 0.25))
    assert field.units == ("second", UM, "pixel", UM, UM)
    for t, z in field.leads():
        np.testing.assert_array_equal(field.plane((t, z)), values[t, z])


def test_a_plain_tiff_has_no_size_that_is_made_up(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", RGB.data, photometric="rgb")
    field = nd.read(tmp_path / "x.tif")
    assert (field.axes, field.scale, field.units) == ("YXC", (1, 1), ("pixel", "pixel"))


def test_a_large_plain_tiff_is_not_loaded_to_be_opened(tmp_path):
    import tracemalloc

    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, np.zeros((2000, 2000), np.uint8))
    tracemalloc.start()
    region = nd.read(path).plane((), slice(5, 9), slice(7, 11))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert region.shape == (1, 4, 4)
    assert peak < 2e6


def test_channels_that_share_a_name_are_told_apart(tmp_path):
    tifffile.imwrite(
        tmp_path / "x.ome.tif",
        scene("CYX", (2, 40, 52)),
        metadata={"axes": "CYX", "Channel": {"Name": ["DNA", "DNA"]}},
    )
    assert nd.read(tmp_path / "x.ome.tif").channel_names == ("0", "1")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("keep", [0, 4, 9, 60, 300, 2000])
def test_a_cut_tiff_is_refused_in_one_sentence(tmp_path, keep, compression, caplog):
    caplog.set_level(logging.CRITICAL)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB.data, photometric="rgb", compression=compression)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"'x\.tif' cannot be read as TIFF") as error:
        nd.read(path)
    assert "\n" not in str(error.value)


def test_damaged_ome_metadata_are_refused(tmp_path):
    path = tmp_path / "x.ome.tif"
    written(CHANNELS, path)
    path.write_bytes(path.read_bytes().replace(b"</Pixels>", b"</Pixies>"))
    with pytest.raises(DataError, match=r"'x\.ome\.tif' cannot be read as TIFF"):
        nd.read(path)


# --- PNG and JPEG ---------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("keep", [0, 4, 20, 60, 200, 1000])
def test_a_cut_picture_is_refused_in_one_sentence(tmp_path, suffix, keep):
    path = tmp_path / f"x{suffix}"
    Image.fromarray(RGB.data).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="cannot be read as a picture") as error:
        nd.read(path).plane()
    assert "\n" not in str(error.value)


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    Image.fromarray(RGB.data).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(DataError, match="more pixels than a picture should"):
        nd.read(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_mode_are_grey_or_colour(tmp_path, mode):
    suffix = ".jpg" if mode == "CMYK" else ".png"
    grey = Image.fromarray(RGB.data).convert("L")
    picture = grey.convert("RGB" if mode == "CMYK" else "L").convert(mode)
    picture.save(tmp_path / f"x{suffix}")
    field = nd.read(tmp_path / f"x{suffix}")
    expected = {"RGB": 3, "P": 3, "CMYK": 3, "RGBA": 4}
    assert field.n_channels == expected.get(mode, 1)


@pytest.mark.parametrize(("kind", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_a_picture_of_deep_colour_is_refused(tmp_path, kind, samples):
    """PIL reads the upper eight bits of each value only."""

    def chunk(name, body):
        whole = name + body
        return struct.pack(">I", len(body)) + whole + struct.pack(">I", crc32(whole))

    header = struct.pack(">IIBBBBB", 5, 4, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(5 * 2 * samples) for _ in range(4))
    parts = (
        chunk(b"IHDR", header) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    )
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    words = "'x.png': 16-bit colour PNG is not read exactly: convert it to TIFF"
    with pytest.raises(DataError, match=words):
        nd.read(tmp_path / "x.png")


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_not_there_is_said(tmp_path, suffix):
    with pytest.raises(DataError, match="there is no file"):
        nd.read(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_or_a_file_in_the_place_of_the_other_is_refused(tmp_path, suffix):
    (tmp_path / f"x{suffix}").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        nd.read(tmp_path / f"x{suffix}")
