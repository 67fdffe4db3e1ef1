"""Regions as files: outlines are the pixels, and QuPath and tables can read them."""

from __future__ import annotations

import csv
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_disentangle.detector.calibration import calibration
from napari_disentangle.detector.export import write_csv, write_geojson
from napari_disentangle.detector.outlines import outlines
from napari_disentangle.detector.regions import regions
from napari_disentangle.errors import AxesError, DataError


def area(ring) -> float:
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def filled(rings, shape) -> np.ndarray:
    """Pixels whose centre has an odd number of upright edges to its left."""
    crossings = np.zeros(shape, int)
    for ring in rings:
        for (x, y0), (_, y1) in pairwise(ring):
            crossings[min(y0, y1) : max(y0, y1), x:] += 1
    return crossings % 2 == 1


@settings(max_examples=200, deadline=None)
@given(arrays(np.int32, (7, 8), elements=st.integers(0, 3)))
def test_outlines_are_exactly_the_pixels(plane):
    found = outlines(plane)
    assert list(found) == [number for number in np.unique(plane) if number]
    for number, polygons in found.items():
        rings = [ring for polygon in polygons for ring in polygon]
        np.testing.assert_array_equal(filled(rings, plane.shape), plane == number)
        assert sum(map(area, rings)) == (plane == number).sum()
        for outer, *holes in polygons:
            assert area(outer) > 0 > max(map(area, holes), default=-1)
        for ring in rings:
            assert ring[0] == ring[-1]
            corners = [tuple(corner) for corner in ring[1:]]
            assert len({*corners}) == len(corners) >= 4


def test_a_hole_is_a_ring_of_its_own():
    plane = np.zeros((6, 6), int)
    plane[1:5, 1:6] = 7
    plane[2:4, 2:4] = 0
    outer, hole = outlines(plane)[7][0]
    assert outer[:-1] == [[1, 1], [6, 1], [6, 5], [1, 5]]
    assert (area(outer), area(hole)) == (20, -4)


@pytest.fixture
def example():
    score = np.zeros((2, 3, 30, 30), np.float32)
    score[0, :2, 4:9, 4:9] = 99
    score[0, 0, 6, 6] = 0
    score[1, 2, 9:12, 9:12] = score[1, 2, 12:14, 12:14] = 99
    spacing, units = (1, 2, 0.5, 0.5), ("second", *["micrometer"] * 3)
    known = calibration([np.linspace(0, 1, 100)[None] for _ in range(40)])
    return *regions(
        score, known.extent(score), 1, known, 0.05, 1, spacing, connected=3
    ), units


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_geojson_is_what_qupath_reads(tmp_path, example):
    labels, table, units = example
    table["p"][0] = np.nan
    path = tmp_path / "regions.geojson"
    write_geojson(path, labels, table, "TZYX", units)
    content = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    assert content["type"] == "FeatureCollection"
    planes, kinds, areas = [], [], []
    for feature in content["features"]:
        properties, shape = feature["properties"], feature["geometry"]
        assert feature["type"] == "Feature"
        assert properties["objectType"] == "annotation"
        # QuPath reads no class without a colour, and no measurement that is null.
        assert properties["classification"]["name"] == "anomaly"
        assert len(properties["classification"]["color"]) == 3
        values = properties["measurements"].values()
        assert all(isinstance(value, int | float) for value in values)
        planes.append((shape["plane"]["t"], shape["plane"]["z"], shape["plane"]["c"]))
        kinds.append(shape["type"])
        several = shape["coordinates"]
        polygons = [several] if shape["type"] == "Polygon" else several
        areas.append(sum(area(ring) for polygon in polygons for ring in polygon))
    assert planes == [(0, 0, -1), (0, 1, -1), (1, 2, -1)]
    assert kinds == ["Polygon", "Polygon", "MultiPolygon"]
    assert areas == [24, 25, 13]
    first, _, last = (f["properties"]["measurements"] for f in content["features"])
    assert first["volume_um3"] == 49 * 0.5
    assert "p" not in first
    assert last["p"] == pytest.approx(1 / 41)


def test_geojson_has_x_before_y_in_any_order_of_axes(tmp_path):
    labels = np.zeros((5, 9), np.int32)
    labels[1, 2:4] = 1
    table, units = {"label": np.array([1])}, ("pixel", "pixel")
    for axes, corner in (("YX", [2, 1]), ("XY", [1, 2])):
        path = tmp_path / f"{axes}.geojson"
        write_geojson(path, labels, table, axes, units)
        (feature,) = json.loads(path.read_text())["features"]
        assert min(feature["geometry"]["coordinates"][0]) == corner


@pytest.mark.parametrize("axes", ["YX", "PZYX", "TTYX", "TZYC"])
def test_axes_that_qupath_lacks_are_refused(tmp_path, example, axes):
    labels, table, units = example
    with pytest.raises(AxesError):
        write_geojson(tmp_path / "x.geojson", labels, table, axes, units)
    assert not list(tmp_path.iterdir())


def test_csv_has_units_in_its_names_and_every_value(tmp_path, example):
    labels, table, units = example
    path = tmp_path / "regions.csv"
    write_csv(path, table, units)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == labels.max() == 2
    names = {"label", "size_px", "volume_um3", "equivalent_diameter_um", "max_z", "p"}
    assert {*rows[0]} > names | {"centroid-0_px", "centroid_world-0_s"}
    assert {*rows[0]} > {f"centroid_world-{i}_um" for i in (1, 2, 3)}
    assert [float(row["volume_um3"]) for row in rows] == table["volume"].tolist()
    assert float(rows[0]["mean_z"]) == table["mean_z"][0]


@pytest.mark.parametrize(
    ("units", "names"),
    [
        (("pixel", "pixel"), {"area_px2", "equivalent_diameter_px"}),
        (("µm", "micron"), {"area_um2", "equivalent_diameter_um"}),
        (("pixel", "nanometer"), {"area_mixed", "equivalent_diameter_mixed"}),
    ],
)
def test_names_tell_the_units_of_the_plane(tmp_path, units, names):
    table = dict.fromkeys(("area", "equivalent_diameter"), np.array([1.0]))
    write_csv(tmp_path / "x.csv", table, units)
    header = (tmp_path / "x.csv").read_text().splitlines()[0].split(",")
    assert {*header} == names


def test_what_is_not_known_is_empty_in_csv(tmp_path):
    table = {"label": np.array([1]), "p": np.array([np.nan])}
    write_csv(tmp_path / "x.csv", table, ("pixel", "pixel"))
    assert (tmp_path / "x.csv").read_text() == "label,p\n1,\n"


def test_a_file_is_replaced_only_if_told_so_and_only_as_a_whole(tmp_path):
    path, units = tmp_path / "x.csv", ("pixel", "pixel")
    write_csv(path, {"label": np.array([1])}, units)
    with pytest.raises(DataError, match="exists already: choose another name"):
        write_csv(path, {"label": np.array([2])}, units)
    assert path.read_text() == "label\n1\n"
    write_csv(path, {"label": np.array([2])}, units, overwrite=True)
    assert path.read_text() == "label\n2\n"
    with pytest.raises(DataError, match="there is no folder"):
        write_csv(tmp_path / "no" / "x.csv", {}, units)
    assert [found.name for found in tmp_path.iterdir()] == ["x.csv"]
