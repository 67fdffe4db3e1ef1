"""The widget "Objects": found, coded, grouped and exported, in a real window."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

import napari_disentangle as nd
from napari_disentangle._qt.objects.colours import show
from napari_disentangle.cli.main import main
from napari_disentangle.files.text import table_of
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.objects import attach
from napari_disentangle.pipeline.recipe import Recipe, Source
from napari_disentangle.samples.data import SAMPLES


@pytest.fixture
def objects(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-disentangle", "Objects")
    widget.panel.coder.setCurrentText("measured")  # "views" learn half a minute
    yield widget
    widget.cancel()
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)


@pytest.fixture
def fields(objects):
    """Two of the fields of nuclei."""
    objects.viewer.open_sample("napari-disentangle", "fields")
    layers = objects.viewer.layers
    objects.panel.images.table.check([layers["nuclei 2"], layers["nuclei 3"]])
    return objects


def press(qtbot, widget, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)


def found_and_coded(qtbot, widget):
    press(qtbot, widget, widget.panel.find)
    press(qtbot, widget, widget.panel.code)
    return widget.panel


def said(widget):
    return " ".join(widget.panel.message.lines)


def test_from_images_to_groups_and_a_table(fields, qtbot, tmp_path):
    viewer, panel = fields.viewer, found_and_coded(qtbot, fields)
    second, third = viewer.layers["nuclei 2 [objects]"], viewer.layers[-1]
    n = len(second.features) + len(third.features)
    assert f"{n} objects in 4 groups" in said(fields)
    assert {1, 2, 3, 4} == {*second.features["group"], *third.features["group"]}
    assert (second.features["area"] > 0).all()
    counted = [int(panel.table.item(i, 1).text()) for i in range(4)]
    assert sum(counted) == n
    assert counted == sorted(counted, reverse=True)
    colours = {tuple(second.get_color(i)) for i in second.features["index"]}
    assert len(colours) == second.features["group"].nunique()
    coarse = third.features["group"].to_numpy()
    panel.level.setValue(9)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 9, timeout=5000)
    fine = third.features["group"].to_numpy()
    for number in np.unique(fine):
        assert len(np.unique(coarse[fine == number])) == 1
    fields.export(str(tmp_path / "nuclei"))
    with (tmp_path / "nuclei.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["group"]) for r in rows if r["image"] == "nuclei 3"] == fine.tolist()
    known = json.loads((tmp_path / "nuclei.csv.json").read_text())
    assert known["objects"]["finder"] == "opening"


def test_a_picture_leads_to_its_object_and_an_object_to_its_group(fields, qtbot):
    viewer, panel = fields.viewer, found_and_coded(qtbot, fields)
    panel.table.selectRow(1)
    assert "of group 2" in panel.one.text()
    qtbot.mouseClick(panel.gallery.buttons[1], Qt.MouseButton.LeftButton)
    row = panel.gallery.rows[1]
    columns = fields.told.objects.columns
    layer = viewer.layers.selection.active
    assert layer.name == f"{columns['image'][row]} [objects]"
    assert layer.selected_label == columns["label"][row]
    place = layer.world_to_data(viewer.scene.camera.center[-2:])
    assert layer.get_value(layer.data_to_world(np.round(place)), world=True)
    other = viewer.layers["nuclei 2 [objects]"]
    label = int(other.features["index"].iloc[5])
    other.selected_label = label
    number = int(other.features["group"].iloc[5])
    assert f"Object {label} of {other.name} is in group {number}" in panel.one.text()
    assert panel.table.currentRow() == number - 1


def test_undo_takes_back_and_again_gives_the_same(fields, qtbot):
    viewer, panel = fields.viewer, fields.panel
    press(qtbot, fields, panel.find)
    layer = viewer.layers["nuclei 2 [objects]"]
    found = dict(layer.metadata[KEY])
    press(qtbot, fields, panel.code)
    first = layer.features["group"].tolist()
    press(qtbot, fields, panel.undo)
    assert "group" not in layer.features
    assert layer.metadata[KEY] == found  # which image the labels are of, too
    assert not panel.results.isVisible()
    press(qtbot, fields, panel.code)
    assert layer.features["group"].tolist() == first
    press(qtbot, fields, panel.undo)
    press(qtbot, fields, panel.undo)
    assert not [one for one in viewer.layers if "[objects]" in one.name]
    assert not panel.undo.isEnabled()


def test_labels_of_another_program_keep_their_table(fields, qtbot):
    viewer, panel = fields.viewer, fields.panel
    viewer.layers["nuclei 3 masks"].visible = True
    masks = viewer.layers["nuclei 3 masks"]
    masks.features = {"index": [1, 2, 999], "diameter": [7.0, 8.0, 9.0]}
    panel.images.table.check([viewer.layers["nuclei 3"]])
    press(qtbot, fields, panel.code)
    known = masks.features.set_index("index")
    assert known["diameter"][[1, 2]].tolist() == [7.0, 8.0]
    assert "1 rows of 'nuclei 3 masks' are of labels that are gone" in said(fields)
    assert known["group"].notna().all()
    masks.data[masks.data == 3] = 0
    panel.level.setValue(3)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 3, timeout=5000)
    assert "painted after they were coded (3)" in said(fields)


def test_labels_elsewhere_are_one_sentence(fields, qtbot):
    viewer = fields.viewer
    viewer.add_labels(np.ones((9, 9), int), name="cellpose")
    moved = viewer.layers["nuclei 2 masks"]
    moved.visible, moved.translate = True, (5.0, 5.0)
    press(qtbot, fields, fields.panel.code)
    (line,) = fields.panel.message.lines
    assert "No Labels layer that is seen is of 'nuclei 2'" in line
    assert "'cellpose' has shape (9, 9), not (256, 256)" in line
    assert "'nuclei 2 masks' lies elsewhere" in line
    assert fields.told is None


@pytest.mark.parametrize("value", [0, 77, 255])
def test_where_nothing_stands_out_nothing_is_added(objects, qtbot, value):
    objects.viewer.add_image(np.full((64, 64), value, "uint8"), name="flat")
    press(qtbot, objects, objects.panel.find)
    assert len(objects.viewer.layers) == 1
    assert "nothing stands out of 'flat'" in said(objects)


def test_one_object_is_one_sentence(objects, qtbot):
    pixels, labels = np.zeros((40, 40), "uint8"), np.zeros((40, 40), int)
    pixels[9:20, 9:20], labels[9:20, 9:20] = 200, 1
    objects.viewer.add_image(pixels)
    objects.viewer.add_labels(labels)
    press(qtbot, objects, objects.panel.code)
    assert "one object is no group" in said(objects)


def test_cancel_adds_nothing(fields, qtbot):
    fields.panel.coder.setCurrentText("views")
    press(qtbot, fields, fields.panel.find)
    before = len(fields.viewer.layers)
    qtbot.mouseClick(fields.panel.code, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: fields.panel.bar.value() > 210, timeout=60_000)
    qtbot.mouseClick(fields.panel.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not fields.running, timeout=1000)
    assert said(fields) == "Cancelled: nothing was added."
    assert len(fields.viewer.layers) == before
    assert fields.told is None


def test_large_labels_are_coloured(objects, qtbot):
    rng = np.random.default_rng(0)
    pixels = rng.normal(50, 3, (64, 64)).astype("uint8")
    labels = np.zeros((64, 64), int)
    for i in range(16):
        at = (slice(16 * (i // 4) + 3, 16 * (i // 4) + 13), 16 * (i % 4) + 8)
        labels[at] = 70_000 + i
    pixels[labels > 0] = 150
    objects.viewer.add_image(pixels)
    layer = objects.viewer.add_labels(labels, name="large")
    press(qtbot, objects, objects.panel.code)
    shown = objects.viewer.layers["large [colours]"]
    assert (np.asarray(shown.data) > 0).sum() == (labels > 0).sum()
    press(qtbot, objects, objects.panel.undo)
    assert "large [colours]" not in objects.viewer.layers
    assert layer in objects.viewer.layers


def test_widget_script_and_command_line_give_the_same(fields, qtbot, tmp_path, capsys):
    viewer, panel = fields.viewer, found_and_coded(qtbot, fields)
    fields.export(str(tmp_path / "widget.csv"))
    qtbot.mouseClick(panel.copy, Qt.MouseButton.LeftButton)
    script = QApplication.clipboard().text()
    labels = [np.array(viewer.layers[f"nuclei {i} [objects]"].data) for i in (2, 3)]
    known = {"viewer": viewer}
    exec(script, known)
    nd.write_objects(
        tmp_path / "script.csv", known["objects"], known["groups"], known["codes"]
    )
    paths = [tmp_path / f"nuclei {i}.png" for i in (2, 3)]
    for path, number in zip(paths, (2, 3), strict=True):
        path.write_bytes((SAMPLES / f"field_{number}.png").read_bytes())
    with pytest.raises(SystemExit) as left:
        main([
            "objects", *map(str, paths), "--csv", str(tmp_path / "line.csv"),
            "--labels", str(tmp_path / "labels"), "--coder", "measured",
        ])  # fmt: skip
    assert not left.value.code, capsys.readouterr().err
    for number, own in zip((2, 3), labels, strict=True):
        written = nd.read(tmp_path / "labels" / f"nuclei {number}_objects.ome.tif")
        np.testing.assert_array_equal(written.data, own)
    steps = nd.run(Recipe(images=sources(paths), outputs=("objects",)), tmp_path / "r")
    for path, own in zip(
        [p for p in steps if isinstance(p, Path)], labels, strict=True
    ):
        np.testing.assert_array_equal(nd.read(path).data, own)
        (beside,) = (tmp_path / "labels").glob(f"{path.name}.csv")
        alone = table(table_of(path))
        both = [{k: row[k] for k in alone[0]} for row in table(beside)]
        assert alone == both
    tables = [table(tmp_path / f"{name}.csv") for name in ("widget", "script", "line")]
    assert tables[0] == tables[1] == tables[2]
    told = [
        json.loads((tmp_path / f"{n}.csv.json").read_text()) for n in ("script", "line")
    ]
    assert told[0]["objects"] == told[1]["objects"]


def sources(paths):
    return tuple(Source.of(nd.read(path)) for path in paths)


def table(path):
    """Rows, but for where an image lies in the world: files have no place."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if not k.startswith("centroid")} for r in rows]


def test_objects_are_an_output_of_add_layers(fields, qtbot):
    viewer = fields.viewer
    images = [viewer.layers[f"nuclei {i}"] for i in (2, 3)]
    press(qtbot, fields, fields.panel.find)
    found = [viewer.layers[f"{image.name} [objects]"] for image in images]
    model = nd.fit([nd.Field.from_layer(image) for image in images])
    for image, known in zip(images, found, strict=True):
        (layer,) = nd.add_layers(viewer, model, image, ["objects"])
        assert isinstance(layer, Labels)
        np.testing.assert_array_equal(layer.data, known.data)
        np.testing.assert_allclose(layer.extent.world, image.extent.world)
        assert (layer.features["area"] > 0).all()
        assert nd.add_layers(viewer, model, image, ["objects"]) == [layer]
    layer.data[:5] = 7
    layer.refresh()
    (again,) = nd.add_layers(viewer, model, image, ["objects"])
    assert again is not layer
    assert layer in viewer.layers
    assert (layer.data[:5] == 7).all()


def test_a_saved_layer_of_objects_opens_with_its_table(fields, qtbot, tmp_path):
    viewer, _ = fields.viewer, found_and_coded(qtbot, fields)
    layer = viewer.layers["nuclei 2 [objects]"]
    for suffix in (".ome.tif", ".ome.zarr"):
        path = str(tmp_path / f"{layer.name}{suffix}")
        assert layer.save(path, plugin="napari-disentangle") == [path]
        (again,) = viewer.open(path, plugin="napari-disentangle")
        np.testing.assert_array_equal(again.data, layer.data)
        np.testing.assert_allclose(again.translate, layer.translate)
        assert again.metadata == layer.metadata
        assert [*again.features.columns] == [*layer.features.columns]
        for name in layer.features:
            known = layer.features[name]
            if known.dtype.kind == "f":
                np.testing.assert_allclose(again.features[name], known, rtol=1e-6)
            else:
                assert again.features[name].tolist() == known.tolist()
        viewer.layers.remove(again)


def test_many_objects_are_coloured_soon():
    rng = np.random.default_rng(0)
    labels = np.arange(1, 2001).reshape(40, 50).repeat(4, 0).repeat(4, 1)
    known = {"index": np.arange(1, 2001)}
    made = [
        Labels(labels, features={**known, "area": rng.random(2000)}) for _ in range(50)
    ]
    viewer = ViewerModel()
    begin = monotonic()
    for layer in made:
        show(viewer, layer, "area")
    seconds = monotonic() - begin
    assert len(np.unique([made[7].get_color(i) for i in range(1, 2001)], axis=0)) > 32
    assert seconds < (4 if "PYTEST_XDIST_WORKER" in os.environ else 2)


def test_images_at_one_place_keep_their_own_labels(objects, qtbot, tmp_path):
    for number in (2, 3):
        path = tmp_path / f"dish {number}.png"
        path.write_bytes((SAMPLES / f"field_{number}.png").read_bytes())
        objects.viewer.open(str(path), plugin="napari")
    found_and_coded(qtbot, objects)
    second, third = (objects.viewer.layers[f"dish {i} [objects]"] for i in (2, 3))
    assert objects.layers == [second, third]
    assert len(second.features) == second.data.max()
    assert len(third.features) == third.data.max()
    for layer in (second, third):
        layer.visible = False
    foreign = objects.viewer.add_labels(np.array(third.data), name="cellpose")
    press(qtbot, objects, objects.panel.code)
    assert "'cellpose' lies on several images" in said(objects)
    second.visible = True
    foreign.name = "dish 3 cellpose"
    press(qtbot, objects, objects.panel.code)
    assert objects.layers == [second, foreign]


@pytest.mark.slow
def test_undo_after_another_selection_brings_back_all_of_it(fields, qtbot, tmp_path):
    viewer, panel = fields.viewer, found_and_coded(qtbot, fields)
    panel.images.table.check([viewer.layers["nuclei 3"]])
    press(qtbot, fields, panel.code)
    assert len(fields.layers) == 1
    press(qtbot, fields, panel.undo)
    assert len(fields.layers) == len(fields.told.objects.images) == 2
    panel.level.setValue(6)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 6, timeout=5000)
    panel.gallery.chosen.emit(panel.gallery.rows[0])
    fields.export(str(tmp_path / "again.csv"))
    assert said(fields).startswith("Written")


@pytest.mark.slow
def test_finding_again_hides_what_was_there(fields, qtbot):
    viewer, panel = fields.viewer, found_and_coded(qtbot, fields)
    first = viewer.layers["nuclei 2 [objects]"]
    press(qtbot, fields, panel.find)
    assert not first.visible
    assert not panel.results.isVisible()
    press(qtbot, fields, panel.undo)
    assert first.visible
    assert panel.results.isVisible()


@pytest.mark.slow
def test_what_changes_after_coding_is_said(fields, qtbot):
    viewer, panel = fields.viewer, found_and_coded(qtbot, fields)
    layer = viewer.layers["nuclei 2 [objects]"]
    grown = np.array(layer.data)
    grown[:9, :9] = 999
    layer.data = grown
    assert layer.get_color(999)[3] > 0  # what was painted can be seen
    qtbot.mouseClick(panel.copy, Qt.MouseButton.LeftButton)
    assert "nd.Objects.of(images" in QApplication.clipboard().text()
    layer.data = grown[:200]
    panel.level.setValue(7)
    qtbot.waitUntil(lambda: "had another shape" in said(fields), timeout=5000)
    for one in [one for one in viewer.layers if "[objects]" in one.name]:
        viewer.layers.remove(one)
    assert not panel.results.isVisible()


def test_the_number_of_groups_stays_what_a_person_said(objects, qtbot):
    pixels, labels = np.zeros((40, 40), "uint8"), np.zeros((40, 40), int)
    for number, at in enumerate((5, 25), 1):
        pixels[at : at + 9, 9:20], labels[at : at + 9, 9:20] = 200, number
    objects.viewer.add_image(pixels)
    objects.viewer.add_labels(labels)
    press(qtbot, objects, objects.panel.code)
    assert "as many as there can be" in objects.panel.level_text.text()
    assert objects.panel.level.value() == 4


@pytest.mark.slow
def test_columns_of_an_earlier_coding_do_not_stay(fields, qtbot):
    viewer, panel = fields.viewer, fields.panel
    press(qtbot, fields, panel.find)
    layer = viewer.layers["nuclei 2 [objects]"]
    objects = nd.Objects.of(
        nd.Field.from_layer(viewer.layers["nuclei 2"]), np.array(layer.data)
    )
    values = np.zeros((len(objects), 1), "float32")
    attach(layer, objects, 0, [nd.Codes(objects, values, ("view 1",), "views")])
    assert "view 1" in layer.features
    press(qtbot, fields, panel.code)
    assert "view 1" not in layer.features
    assert "area" in layer.features


def test_all_objects_are_seen_after_undo_and_in_other_colours(fields, qtbot):
    def seen():
        QApplication.processEvents()
        picture = fields.viewer.screenshot(flash=False)[..., :3].astype(int)
        return np.ptp(picture, axis=-1) > 40  # images are grey

    fields.viewer.fit_to_view()
    found_and_coded(qtbot, fields)
    first = seen()
    for name in ("label", "area", "label", "group"):
        fields.panel.colour.setCurrentText(name)
        assert (seen() & first).sum() > 0.5 * first.sum()
    press(qtbot, fields, fields.panel.undo)
    assert (seen() & first).sum() > 0.5 * first.sum()


@pytest.mark.slow
def test_undo_gives_back_colours(fields, qtbot):
    viewer, panel = fields.viewer, fields.panel
    press(qtbot, fields, panel.find)
    layer = viewer.layers["nuclei 2 [objects]"]
    layer.colormap = {1: "red", None: "blue"}
    press(qtbot, fields, panel.code)
    assert tuple(layer.get_color(1)) != (1, 0, 0, 1)
    press(qtbot, fields, panel.undo)
    assert tuple(layer.get_color(1)) == (1, 0, 0, 1)
    assert tuple(layer.get_color(2)) == (0, 0, 1, 1)


@pytest.mark.slow
def test_a_table_of_an_older_file_is_not_taken_for_ours(fields, qtbot, tmp_path):
    viewer = fields.viewer
    press(qtbot, fields, fields.panel.find)
    layer = viewer.layers["nuclei 2 [objects]"]
    path = tmp_path / f"{layer.name}.ome.tif"
    layer.save(str(path), plugin="napari-disentangle")
    layer.features = {}
    layer.save(str(path), plugin="napari-disentangle")
    assert (tmp_path / f"{path.name}.csv").exists()
    (again,) = viewer.open(str(path), plugin="napari-disentangle")
    assert not len(again.features)


@pytest.mark.slow
def test_a_name_with_a_dot_stays_whole(fields, qtbot, tmp_path):
    found_and_coded(qtbot, fields)
    (tmp_path / "plate 1.csv").write_text("mine")
    fields.export(str(tmp_path / "plate 1.5"))
    assert (tmp_path / "plate 1.5.csv").exists()
    assert (tmp_path / "plate 1.5.csv.json").exists()
    assert (tmp_path / "plate 1.csv").read_text() == "mine"
