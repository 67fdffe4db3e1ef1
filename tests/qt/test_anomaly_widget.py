"""The widget "Anomaly map" in a real window: real buttons, layers, table and files."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import Desk

import napari_disentangle as nd
from napari_disentangle.samples.synthetic import pair

if TYPE_CHECKING:
    from pathlib import Path

KEY = "napari-disentangle"
MAP, REGIONS = "[anomaly]", "[anomalous regions]"
SIZE = 416
PLACE = {"scale": (0.5, 0.5), "translate": (30, -20), "units": ("um", "um")}


@pytest.fixture
def bench(make_napari_viewer: Any, qtbot: Any) -> Desk:
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Anomaly map"
    )
    return Desk(viewer, widget, qtbot)


@pytest.fixture
def tissue(bench: Desk) -> Desk:
    """A picture with planted anomalies, of half-micrometre pixels."""
    made = pair(seed=1, size=SIZE)
    bench.viewer.add_image(made.first, rgb=True, name="tissue", **PLACE)
    bench.panel.model.setCurrentText("identity")
    bench.panel.detector.cell.setValue(14)
    return bench


def _paint(desk: Desk) -> Any:
    """Mark most of the picture, in world coordinates."""
    corners = np.array([[30, -20], [30, 188], [212, 188], [212, -20]])
    marks = desk.viewer.add_shapes([corners], name="normal", units=("um", "um"))
    desk.panel.normal.choose("painted")
    return marks


def _rows(desk: Desk) -> list[int]:
    return desk.panel.regions.labels()


def _labels(desk: Desk) -> list[int]:
    return np.unique(desk.layer(REGIONS).data)[1:].tolist()


def test_paint_run_and_see(tissue: Desk) -> None:
    tissue.viewer.window._qt_window.resize(1400, 800)
    _paint(tissue)
    tissue.run()
    assert tissue.said == []
    assert tissue.names == ["tissue", "normal", f"tissue {MAP}", f"tissue {REGIONS}"]
    for title in (MAP, REGIONS):
        layer = tissue.layer(title)
        np.testing.assert_allclose(layer.scale, PLACE["scale"])
        np.testing.assert_allclose(layer.translate, PLACE["translate"])
        assert layer.units == tissue.layer("tissue").units
    assert tissue.layer(MAP).contrast_limits == [-10, 10]
    kept = tissue.layer(MAP).metadata[KEY]
    assert kept["detector"] == "knn"
    assert kept["basis"] == "marked parts of this image"
    assert {"center", "spread", "pixels", "blocks", "z_at"} <= {*kept["calibration"]}
    assert sorted(_rows(tissue)) == _labels(tissue) != []
    regions = tissue.panel.regions
    assert "marked parts of this image" in regions.basis.text()
    assert "cells as given: 14 px = 7 um" in regions.basis.text()
    assert "normal" in regions.limits.text()
    header = [
        regions.table.horizontalHeaderItem(i).text()
        for i in range(regions.table.columnCount())
    ]
    # with so few normal blocks there is no q
    assert header[:5] == ["label", "area (um2)", "max z", "region p", "observed R"]
    tissue.settle()
    assert not regions.save_table.visibleRegion().isEmpty()


def test_alpha_changes_the_regions_and_scores_nothing_again(tissue: Desk) -> None:
    _paint(tissue)
    tissue.run()
    layer, z = tissue.layer(REGIONS), tissue.layer(MAP).data
    before = len(_rows(tissue))
    for alpha in (0.001, 0.1):
        tissue.panel.regions.set_alpha(alpha)
        tissue.wait(lambda a=alpha: layer.metadata[KEY]["alpha"] == a, 5)
        assert sorted(_rows(tissue)) == _labels(tissue)
        assert layer.features["index"].tolist() == _labels(tissue)
        assert len(_rows(tissue)) != before
    assert tissue.layer(REGIONS) is layer
    assert tissue.layer(MAP).data is z


def test_rows_and_regions_select_each_other(tissue: Desk) -> None:
    tissue.run()
    table, layer = tissue.panel.regions.table, tissue.layer(REGIONS)
    label = _rows(tissue)[2]
    place = table.visualItemRect(table.item(2, 0)).center()
    from qtpy.QtCore import Qt

    tissue.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert layer.selected_label == label
    middle = layer.world_to_data(tissue.viewer.scene.camera.center[-2:])
    assert layer.data[tuple(np.round(middle).astype(int))] == label

    other = _rows(tissue)[0]
    layer.selected_label = other
    assert table.selectionModel().selectedRows()[0].row() == 0
    layer.selected_label = 0
    assert not table.selectionModel().hasSelection()


def test_a_click_in_the_picture_selects_the_row(tissue: Desk) -> None:
    from types import SimpleNamespace

    tissue.run()
    layer = tissue.layer(REGIONS)
    label = _rows(tissue)[1]
    pixel = np.argwhere(layer.data == label)[0]
    event = SimpleNamespace(
        type="mouse_press",
        position=layer.data_to_world(pixel),
        view_direction=None,
        dims_displayed=[0, 1],
    )
    click = layer.mouse_drag_callbacks[-1](layer, event)
    next(click)
    event.type = "mouse_release"
    assert next(click, None) is None
    assert tissue.panel.regions.table.selectionModel().selectedRows()[0].row() == 1


def test_table_and_outlines_are_saved(tissue: Desk, tmp_path: Path) -> None:
    tissue.run()
    tissue.widget.regions.save_table(str(tmp_path / "regions"))
    with (tmp_path / "regions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == _labels(tissue)
    assert "area_um2" in rows[0]
    tissue.widget.regions.save_outlines(str(tmp_path / "regions.geojson"))
    found = json.loads((tmp_path / "regions.geojson").read_text())
    assert len(found["features"]) == len(rows)
    tissue.widget.regions.save_table(str(tmp_path / "nowhere" / "regions.csv"))
    assert "There is no folder" in tissue.panel.message.text()


def test_nothing_can_be_saved_before_a_run(tissue: Desk) -> None:
    assert not tissue.panel.regions.save_table.isEnabled()
    assert not tissue.panel.regions.save_outlines.isEnabled()


def test_cancel_within_a_second(bench: Desk) -> None:
    large = np.tile(pair(seed=1).first, (8, 8, 1))
    bench.viewer.add_image(large, rgb=True, name="large")
    bench.click(bench.panel.run)
    bench.wait(lambda: "computing" in bench.panel.progress.format())
    bench.click(bench.panel.cancel)
    assert bench.wait(lambda: not bench.widget.running, 20) < bench.second
    assert bench.names == ["large"]
    assert bench.panel.run.isEnabled()


@pytest.mark.slow
def test_cancel_a_learned_detector_within_a_second(tissue: Desk) -> None:
    """While it learns, and within a tile that it scores."""
    tissue.panel.detector.name.setCurrentText("context")
    for steps, doing in ((20_000, "learning"), (2, "computing")):
        tissue.panel.detector.form["steps"].value = steps
        tissue.click(tissue.panel.run)
        tissue.wait(lambda now=doing: now in tissue.panel.progress.format())
        tissue.click(tissue.panel.cancel)
        assert tissue.wait(lambda: not tissue.widget.running, 20) < tissue.second
        assert tissue.names == ["tissue"]


@pytest.mark.slow
def test_a_cancelled_run_leaves_what_there_was(tissue: Desk) -> None:
    tissue.run()
    rows, first = _rows(tissue), tissue.layer(REGIONS)
    tissue.panel.detector.name.setCurrentText("context")
    tissue.panel.scroll.verticalScrollBar().setValue(0)
    tissue.click(tissue.panel.run)
    tissue.wait(lambda: "learning" in tissue.panel.progress.format())
    assert _rows(tissue) == rows
    tissue.click(tissue.panel.cancel)
    tissue.wait(lambda: not tissue.widget.running, 20)
    assert _rows(tissue) == rows
    assert tissue.layer(REGIONS) is first
    assert tissue.panel.scroll.verticalScrollBar().value() == 0
    assert tissue.panel.regions.save_table.isEnabled()
    tissue.panel.regions.set_alpha(0.1)
    tissue.wait(lambda: len(_labels(tissue)) != len(rows), 5)


@pytest.mark.slow
def test_the_bar_grows_while_a_detector_learns(tissue: Desk) -> None:
    layer = tissue.layer("tissue")
    layer.data = layer.data[:192, :192]
    tissue.panel.detector.name.setCurrentText("context")
    tissue.panel.detector.form["steps"].value = 12
    shown: list[int] = []
    tissue.panel.progress.valueChanged.connect(shown.append)
    tissue.run()
    during = [value for value in shown if 0 < value < 100]
    assert during == sorted(during)
    assert len([value for value in during if value < 50]) > 10


def _sentence(desk: Desk, words: str) -> None:
    """Said beside Run, which cannot be pressed; or after it was."""
    desk.click(desk.panel.run)
    assert not desk.widget.running
    assert any(words in text for text in desk.said)


def test_no_image_is_one_sentence(bench: Desk) -> None:
    _sentence(bench, "Open images, or press Try it")
    assert not bench.panel.run.isEnabled()


def test_no_normal_image_is_one_sentence(tissue: Desk) -> None:
    tissue.panel.normal.choose("others")
    _sentence(tissue, "Set the role of an image to 'normal'")
    assert not tissue.panel.run.isEnabled()


def test_nothing_painted_is_one_sentence(tissue: Desk) -> None:
    tissue.panel.normal.choose("painted")
    _sentence(tissue, "Add a Shapes or Labels layer and paint what is normal")
    assert not tissue.panel.run.isEnabled()
    far = np.array([[500, 500], [500, 600], [600, 600], [600, 500]])
    tissue.viewer.add_shapes([far], units=("um", "um"))
    _sentence(tissue, "marks nothing on the images")


@pytest.mark.slow
def test_what_was_painted_last_is_normal_and_is_named(tissue: Desk) -> None:
    tissue.viewer.add_labels(np.zeros((SIZE, SIZE), np.uint8), name="old", **PLACE)
    _paint(tissue)
    assert tissue.panel.normal.marks.currentText() == "normal"
    tissue.viewer.add_points(np.zeros((1, 2)))
    tissue.panel.normal.marks.setCurrentText("old")
    tissue.viewer.add_image(np.zeros((9, 9)))
    assert tissue.panel.normal.marks.currentText() == "old"
    tissue.panel.normal.marks.setCurrentText("normal")
    tissue.run()
    assert "'normal'" in tissue.panel.regions.basis.text()


def test_planted_anomalies_of_a_sample_are_not_offered_as_normal(bench: Desk) -> None:
    bench.viewer.open_sample("napari-disentangle", "synthetic")
    bench.panel.normal.choose("painted")
    assert bench.panel.normal.marks.count() == 0


@pytest.mark.slow
def test_a_second_run_renews_the_layers_of_the_first(tissue: Desk) -> None:
    tissue.run()
    names, first = tissue.names, tissue.layer(REGIONS)
    before = first.data
    tissue.run()
    assert tissue.names == names
    assert tissue.layer(REGIONS) is first
    assert first.data is not before


@pytest.mark.slow
def test_a_removed_layer_of_regions_is_no_trouble(tissue: Desk) -> None:
    tissue.run()
    tissue.viewer.layers.remove(tissue.layer(REGIONS))
    before = len(_rows(tissue))
    tissue.panel.regions.set_alpha(0.1)
    tissue.wait(lambda: len(_rows(tissue)) != before, 5)
    tissue.panel.regions.table.selectRow(0)


def test_what_is_normal_decides_what_to_begin_with(tissue: Desk) -> None:
    names = []
    for kind in ("itself", "painted", "others", "itself"):
        tissue.panel.normal.choose(kind)
        names.append(tissue.panel.detector.name.currentText())
    assert names == ["mahalanobis", "knn", "knn", "mahalanobis"]
    tissue.panel.detector.name.setCurrentText("pca")
    tissue.panel.normal.choose("painted")
    assert tissue.panel.detector.name.currentText() == "pca"
    tissue.panel.detector.name.setCurrentText("mahalanobis")
    tissue.viewer.add_labels(np.zeros((SIZE, SIZE), np.uint8))
    tissue.panel.normal.choose("others")
    assert tissue.panel.detector.name.currentText() == "mahalanobis"


@pytest.mark.slow
def test_other_images_are_normal(tissue: Desk) -> None:
    made = pair(seed=1, size=SIZE)
    other = tissue.viewer.add_image(made.second, rgb=True, name="other", **PLACE)
    tissue.panel.normal.choose("others")
    tissue.panel.images.table.set_role([other], "normal")
    tissue.run()
    kept = tissue.layer(MAP).metadata[KEY]
    assert kept["basis"] == "held-out normals"
    assert [one["name"] for one in kept["recipe"]["normals"]] == ["other"]


@pytest.mark.slow
def test_a_setting_of_a_detector_reaches_it(tissue: Desk) -> None:
    tissue.panel.detector.name.setCurrentText("pca")
    tissue.panel.detector.form["edge"].value = 3
    tissue.run()
    assert tissue.said == []
    kept = tissue.layer(MAP).metadata[KEY]
    assert kept["detector"] == "pca"
    assert kept["recipe"]["detector_config"] == {"edge": 3, "keep": 0.95}


@pytest.mark.slow
def test_a_stack(bench: Desk) -> None:
    rng = np.random.default_rng(0)
    stack = rng.normal(100, 10, (5, 128, 128)).astype(np.float32)
    stack[3, 40:60, 50:70] += 60
    bench.viewer.add_image(stack, name="stack", scale=(2, 1, 1))
    bench.panel.model.setCurrentText("identity")
    bench.panel.detector.cell.setValue(14)
    bench.run()
    layer = bench.layer(REGIONS)
    assert layer.data.shape == stack.shape
    label = layer.data[3, 50, 60]
    assert label > 0
    row = _rows(bench).index(label)
    assert row == 0
    bench.panel.regions.table.selectRow(row)
    assert bench.viewer.dims.current_step[0] in (2, 3, 4)
    assert layer.selected_label == label


def test_pseudo_normal_image_is_for_detectors_that_expect(tissue: Desk) -> None:
    panel, layer = tissue.panel, tissue.layer("tissue")
    layer.data = layer.data[:160, :160]  # a network sees every pixel many times
    assert not panel.detector.expected.isEnabled()
    panel.detector.name.setCurrentText("context")
    panel.detector.form["steps"].value = 2
    panel.detector.expected.setChecked(True)
    tissue.run()
    assert tissue.said == []
    names = ["tissue [pseudo-normal SYNTHETIC]", f"tissue {MAP}", f"tissue {REGIONS}"]
    assert tissue.names == ["tissue", *names]
    layer = tissue.layer("SYNTHETIC")
    assert layer.rgb
    assert layer.data.dtype == np.uint8
    assert layer.metadata[KEY]["synthetic"] is True
    assert "expected_R" in "".join(tissue.layer(REGIONS).features.columns)


def _copied() -> str:
    from qtpy.QtWidgets import QApplication

    return str(QApplication.clipboard().text())


@pytest.mark.parametrize(
    "normal", [pytest.param("itself", marks=pytest.mark.slow), "painted"]
)
def test_copied_python_does_the_same(tissue: Desk, normal: str) -> None:
    if normal == "painted":
        _paint(tissue)
    tissue.panel.detector.cell.setValue(20)
    tissue.run()
    layers = {title: tissue.layer(title) for title in (MAP, REGIONS)}
    first = {title: (one.data, one.metadata) for title, one in layers.items()}
    tissue.click(tissue.panel.copy_python)
    exec(compile(_copied(), "copied", "exec"), {"viewer": tissue.viewer})
    for title, old in first.items():
        new = tissue.layer(title)
        assert new.data is not old[0]
        np.testing.assert_array_equal(new.data, old[0])
        assert new.metadata == old[1]


@pytest.mark.slow
def test_copied_recipe_of_painted_normal_makes_the_same_file(
    bench: Desk, tmp_path: Path
) -> None:
    import tifffile

    path = tmp_path / "tissue.tif"
    tifffile.imwrite(path, pair(seed=1, size=384).first, photometric="rgb")
    bench.viewer.open(str(path), plugin="napari")
    bench.panel.detector.cell.setValue(14)
    bench.viewer.add_shapes([np.array([[0, 0], [0, 383], [128, 383], [128, 0]])])
    bench.panel.normal.choose("painted")
    bench.run()
    bench.click(bench.panel.copy_recipe)
    recipe = nd.Recipe.from_json(json.loads(_copied()))
    (made,) = (p for p in nd.run(recipe, tmp_path / "out") if hasattr(p, "suffix"))
    np.testing.assert_array_equal(nd.read(made).data, bench.layer(MAP).data)
    kept = dict(bench.layer(MAP).metadata[KEY])
    assert kept.pop("layer") == "tissue"
    assert nd.read_provenance(made) == kept
    assert any("recipe.json" in text for text in bench.said)
    assert not any("with paths for" in text for text in bench.said)


@pytest.mark.slow
def test_of_very_many_regions_the_first_are_listed(bench: Desk, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(100, 10, (512, 512)).astype(np.float32)
    bench.viewer.add_image(noise, name="noise")
    bench.panel.model.setCurrentText("identity")
    bench.panel.detector.cell.setValue(14)
    bench.panel.regions.min_size.setValue(1)
    bench.panel.regions.set_alpha(0.2)
    bench.run()
    n = len(_labels(bench))
    assert n > len(_rows(bench)) == 500
    assert f"{n} regions (the first 500 are listed)" in bench.panel.regions.basis.text()
    bench.widget.regions.save_table(str(tmp_path / "all.csv"))
    assert len((tmp_path / "all.csv").read_text().splitlines()) == n + 1
