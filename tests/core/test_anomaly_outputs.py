"""Anomaly maps, pseudo-normal images and regions: layers, files and recipes agree."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.cli.main import main
from napari_disentangle.errors import DataError
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe, Source
from napari_disentangle.samples.data import load
from napari_disentangle.samples.synthetic import pair

CONTEXT = {"steps": 2}
KINDS = ("expected", "anomaly")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A picture in a file."""
    import tifffile

    path = tmp_path_factory.mktemp("slides") / "slide.ome.tif"
    sizes = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    sizes |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    picture = pair(seed=1, size=160).first
    tifffile.imwrite(path, picture, photometric="rgb", ome=True, metadata=sizes)
    return nd.read(path)


def ran(recipe, folder):
    return [p for p in nd.run(recipe, folder) if isinstance(p, Path)]


def followed(recipe, inputs, detector=None):
    made = nd.follow(recipe, inputs, detector)
    return [part for part in made if isinstance(part, Output)]


def context(slide, **more):
    known = {"detector": "context", "detector_config": CONTEXT, "outputs": KINDS}
    return Recipe(images=(Source.of(slide),), device="cpu", **known, **more)


def call(*args):
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code or 0


# --- pseudo-normal images -------------------------------------------------------------
@pytest.mark.parametrize(("axes", "dtype"), [("YXC", "uint8"), ("CYX", "uint16")])
def test_one_look_gives_the_map_and_what_was_expected(axes, dtype):
    picture = pair(seed=1, size=128).first.astype(dtype)
    data = picture if axes == "YXC" else np.moveaxis(picture, -1, 0) * 200
    image = nd.Field(data, axes, modality="fluorescence")
    detector = nd.fit_detector(image, "context", **CONTEXT)
    score = detector.score(image)
    np.testing.assert_array_equal(score.z, np.asarray(detector.lazy(image)))
    known = np.asarray(detector.expected(image))
    assert score.expected.dtype == known.dtype == dtype
    np.testing.assert_array_equal(
        score.expected, np.moveaxis(known, axes.index("C"), 0)
    )


def test_a_pseudo_normal_image_is_like_its_image_and_says_that_it_is_synthetic(slide):
    expected, anomaly = followed(context(slide), Inputs([slide]))
    values = np.asarray(expected.lazy)
    assert values.shape == slide.shape
    assert values.dtype == slide.dtype
    assert expected.lazy.provenance["synthetic"] is True
    assert expected.detector is anomaly.detector
    np.testing.assert_array_equal(
        values, np.asarray(anomaly.detector.expected(slide, device="cpu"))
    )


def test_files_and_memory_give_the_same_and_outputs_replay(slide, tmp_path):
    files = ran(context(slide, cell=20.0), tmp_path / "one")
    assert [path.name for path in files] == [
        "slide_expected.ome.tif",
        "slide_anomaly.ome.tif",
    ]
    made = followed(context(slide, cell=20.0), Inputs([slide]))
    for path, output in zip(files, made, strict=True):
        np.testing.assert_array_equal(nd.read(path).data, np.asarray(output.lazy))
        kept = nd.read_provenance(path)
        assert kept["recipe"]["cell"] == 20.0
        again = ran(Recipe.from_json(kept), tmp_path / f"again {path.name}")
        same = next(p for p in again if p.name == path.name)
        assert same.read_bytes()[-1000:] == path.read_bytes()[-1000:]
        assert nd.read_provenance(same) == kept


def test_a_detector_that_expects_nothing_is_refused_before_anything_is_done(
    slide, tmp_path
):
    recipe = Recipe(outputs=("expected",), detector="mahalanobis")
    with pytest.raises(DataError, match=r"expects nothing.*'context'"):
        next(iter(nd.follow(recipe, Inputs([slide]))))
    recipe = recipe.model_copy(update={"images": (Source.of(slide),)})
    with pytest.raises(DataError, match="expects nothing"):
        next(iter(nd.run(recipe, tmp_path / "new")))
    assert not (tmp_path / "new").exists()


def test_a_pseudo_normal_image_needs_a_detector(slide):
    with pytest.raises(DataError, match="a pseudo-normal image needs a detector"):
        nd.apply(nd.fit(slide, "identity"), slide, "expected")


def test_detectors_say_whether_they_expect():
    known = nd.detectors()
    assert known["context"].expects
    assert not known["mahalanobis"].expects


# --- recipes --------------------------------------------------------------------------
def test_the_recorded_recipe_names_the_default_detector(slide):
    (made,) = followed(Recipe(outputs=("anomaly",)), Inputs([slide]))
    recipe = made.lazy.provenance["recipe"]
    assert recipe["detector"] == made.detector.name == "mahalanobis"
    assert recipe["detector_config"] == {"scale": 1.0, "trim": 0.02}
    assert recipe["normals"] == []


def test_a_detector_of_the_image_itself_is_recorded_as_rarity(slide):
    recipe = Recipe(model="identity", outputs=("anomaly",), device="cpu")
    own = nd.fit_detector(slide, on=nd.fit(slide, "identity"))
    (one,) = followed(recipe, Inputs([slide]))
    (other,) = followed(recipe, Inputs([slide]), own)
    assert one.lazy.provenance == other.lazy.provenance
    np.testing.assert_array_equal(np.asarray(one.lazy), np.asarray(other.lazy))


def test_marked_normal_is_in_the_recipe_and_replays(slide, tmp_path):
    where = np.zeros(slide.grid_shape, bool)
    where[:128] = True
    normal = replace(slide, where=where)
    recipe = Recipe(
        images=(Source.of(slide),), model="mk", outputs=("anomaly",), device="cpu"
    )
    (made,) = followed(recipe, Inputs([slide], normals=[normal]))
    assert made.lazy.provenance["basis"] == "marked parts of this image"
    kept = Recipe.from_json(json.loads(json.dumps(made.lazy.provenance)))
    np.testing.assert_array_equal(kept.normals[0].marks(slide.grid_shape), where)
    (path,) = ran(kept, tmp_path)
    np.testing.assert_array_equal(nd.read(path).data, np.asarray(made.lazy))
    # a detector fitted in the console is the same
    own = nd.fit_detector(normal, on=nd.fit(slide, "mk"))
    (same,) = followed(recipe, Inputs([slide]), own)
    assert same.lazy.provenance == made.lazy.provenance


@pytest.mark.parametrize("text", ["", "no base64", "AAAA"])
def test_marks_that_are_not_there_are_refused(slide, text):
    source = Source.of(slide).model_copy(update={"where": text})
    with pytest.raises(DataError, match="mark it again"):
        source.marks(slide.grid_shape)


def test_too_many_marks_are_not_kept():
    large = np.broadcast_to(np.True_, (5000, 5000))
    field = nd.Field(np.broadcast_to(np.uint8(1), (5000, 5000)), "YX", where=large)
    assert Source.of(field).where == ""


@pytest.mark.parametrize("cell", [0, -1, float("nan"), float("inf")])
def test_a_cell_without_size_is_refused(cell):
    with pytest.raises(nd.DisentangleError, match="cell"):
        Recipe.from_json({"cell": cell})


# --- layers ---------------------------------------------------------------------------
def test_layers_are_the_map_its_regions_and_what_was_expected(slide):
    pytest.importorskip("napari")
    from napari.components import ViewerModel

    viewer = ViewerModel()
    layer = viewer.add_image(
        np.asarray(slide.data), rgb=True, name="s", scale=(0.5, 0.5), units=("um", "um")
    )
    model = nd.fit(nd.Field.from_layer(layer), "identity")
    detector = nd.fit_detector(nd.Field.from_layer(layer), "context", model, **CONTEXT)
    for _ in range(2):
        added = nd.add_layers(
            viewer, model, layer, KINDS, detector=detector, alpha=0.05, min_size=9
        )
        expected, anomaly, regions = added
        assert [one.name for one in viewer.layers] == [
            "s",
            "s [pseudo-normal SYNTHETIC]",
            "s [anomaly]",
            "s [anomalous regions]",
        ]
    assert expected.rgb
    score = detector.score(nd.Field.from_layer(layer))
    labels, table = score.regions(0.05, 9)
    np.testing.assert_array_equal(regions.data, labels)
    np.testing.assert_allclose(regions.scale, layer.scale)
    assert regions.features["index"].tolist() == table["label"].tolist()
    np.testing.assert_allclose(regions.features["area_um2"], table["area"])
    for name in ("mean_observed_R", "mean_expected_B"):
        np.testing.assert_array_equal(regions.features[name], table[name])
    kept = regions.metadata["napari-disentangle"]
    assert (kept["output"], kept["alpha"], kept["min_size"]) == ("regions", 0.05, 9)
    figures = anomaly.metadata["napari-disentangle"]["calibration"]
    at = figures["z_at"]["0.05"]
    np.testing.assert_array_equal(score.p <= 0.05, np.abs(score.z) > at)


def test_colours_of_less_and_of_more_are_alike():
    from napari_disentangle.layers.data import SURPRISE

    places = np.array(SURPRISE["controls"])
    np.testing.assert_allclose(places + places[::-1], 1)
    assert SURPRISE["colors"][2] == [0, 0, 0, 0]  # the image shines through


# --- the command line -----------------------------------------------------------------
def test_regions_of_the_command_line_are_those_of_the_console(slide, tmp_path, capsys):
    files = tmp_path / "r.csv", tmp_path / "r.geojson"
    code = call(
        *("regions", slide.path, "--csv", files[0], "--geojson", files[1]),
        *("--alpha", 0.02, "--model", "identity", "--cell", 14, "--device", "cpu"),
    )
    said = capsys.readouterr()
    assert code == 0
    assert said.out.split() == [str(path) for path in files]
    assert "this image: rarity assumed" in said.err
    assert "normal blocks were held out" in said.err
    model = nd.fit(slide, "identity")
    score = nd.fit_detector(slide, on=model, cell=14.0).score(slide)
    _, table = score.regions(0.02)
    with files[0].open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["area_um2"]) for row in rows], table["area"])
    assert len(json.loads(files[1].read_text())["features"]) == len(rows) > 0


def test_what_is_odd_about_an_image_is_said_with_its_regions(tmp_path, capsys):
    import imageio.v3 as iio

    cells = (255 * (pair(seed=1, size=160).content_first[0] > 0.5)).astype(np.uint8)
    picture = cells // 2 + np.arange(160, dtype=np.uint8) // 4
    y, x = np.ogrid[:160, :160]
    picture[np.hypot(y - 60, x - 60) < 25] = 255
    path = tmp_path / "blob.png"
    iio.imwrite(path, picture)
    image = nd.read(path)
    model = nd.fit(image, "meanstd")
    score = nd.fit_detector(image, on=model).score(image)
    assert any("saturated" in words for words in score.status)
    files = ("--csv", tmp_path / "r.csv", "--model", "meanstd", "--device", "cpu")
    assert call("regions", path, *files) == 0
    said = capsys.readouterr().err.splitlines()
    assert all(words in said for words in score.status)


def test_something_that_hides_in_the_look_is_said():
    """A disc over more than 5 % of the image: all that is left of the foreground."""
    cells = [load(name)[0] for name in ("cells_a", "cells_b")]
    normals, odd = [nd.Field(one, "YX") for one in cells], cells[0].copy()
    y, x = np.ogrid[:256, :256]
    disc = np.hypot(y - 128, x - 128) < 40
    odd[disc] = 255
    detector = nd.fit_detector(normals, on=nd.fit(normals, "affine"))
    score, plain = (detector.score(nd.Field(one, "YX")) for one in (odd, cells[0]))
    assert np.median(score.p[disc]) > 0.01
    assert any("score it as it is too" in words for words in score.status)
    assert not any("as it is too" in words for words in plain.status)
    raw = nd.fit_detector(normals, on=None).score(nd.Field(odd, "YX"))
    assert not any("as it is too" in words for words in raw.status)
    assert np.median(raw.p[disc]) < 0.01


def test_raw_values_of_another_scale_are_said(slide):
    grey = nd.Field(np.asarray(slide.data)[..., 0], "YX", name="grey")
    wide = nd.Field(np.asarray(grey.data).astype(np.uint16) * 257, "YX", name="wide")
    detector = nd.fit_detector(grey, on=None)
    (words,) = detector.score(wide).status
    assert "255" in words
    assert "65535" in words
    lazy = nd.apply(detector.on, wide, "anomaly", detector=detector)
    assert words in lazy.provenance["status"]
    assert detector.score(grey).status == ()
    matched = nd.fit_detector(grey, on=nd.fit(grey, "meanstd"))
    assert not any("65535" in words for words in matched.score(wide).status)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "say where the regions go"),
        (["--csv", "x.csv"], "regions are those of 1 image, not 0"),
        (["--csv", "no/x.csv"], "there is no folder 'no'"),
    ],
)
def test_what_is_missing_for_regions_is_said(
    args, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert call("regions", *args) == 2
    assert words in capsys.readouterr().err
