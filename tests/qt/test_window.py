"""What a person sees: what is visible after a run, what survives it, and the habits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_disentangle._qt.runs.saving import Saving
from napari_disentangle.files.registry import read_provenance
from napari_disentangle.layers.data import KEY
from napari_disentangle.samples.data import load

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ("brightfield", "fluorescence", "stack", "synthetic")


def _visible(desk: Any) -> list[str]:
    return [layer.name for layer in desk.viewer.layers if layer.visible]


@pytest.fixture
def wells(desk: Any) -> Any:
    desk.viewer.open_sample("napari-disentangle", "fluorescence")
    return desk


def _grey(desk: Any, count: int) -> list[Any]:
    """Images of cells in the same place, each brighter than the one before."""
    cells = load("cells_a")[0].astype(np.uint16)
    return [
        desk.viewer.add_image(cells * (2 + i) + 40 * i, name=f"cells {i}")
        for i in range(count)
    ]


# --- run always gives something sensible ----------------------------------------------
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("task", ["comparable", "swap", "odd"])
def test_defaults_run_on_every_sample_or_say_why_not(
    desk: Any, sample: str, task: str
) -> None:
    desk.viewer.open_sample("napari-disentangle", sample)
    desk.panel.choose_task(task)
    before = set(desk.names)
    if not desk.panel.run.isEnabled():
        assert sample == "stack"
        assert "or load a look" in desk.panel.message.text()
        return
    desk.run()
    made = [one for one in desk.viewer.layers if one.name not in before]
    assert any(layer.visible for layer in made)
    assert desk.panel.run.isEnabled()


@pytest.mark.slow
def test_of_images_in_one_place_one_result_is_seen(desk: Any) -> None:
    layers = _grey(desk, 7)
    desk.panel.images.each_its_own.trigger()
    desk.run()
    results = [name for name in _visible(desk) if "[content-only]" in name]
    assert results == ["cells 0 [content-only]"]
    assert len([name for name in desk.names if "[content-only]" in name]) == 7
    limits = {tuple(desk.layer(f"{one.name} [").contrast_limits) for one in layers}
    assert len(limits) == 1


def test_a_swap_of_a_dim_image_is_not_black(desk: Any) -> None:
    dim = load("cells_a")[0].astype(np.uint16)
    image = desk.viewer.add_image(dim, name="dim")
    bright = load("cells_b")[0].astype(np.uint16) * 200 + 500
    donor = desk.viewer.add_image(bright, name="bright")
    desk.panel.choose_task("swap")
    desk.check(image, reference=donor)
    desk.run()
    made = desk.layer("dim [swapped]")
    low, high = made.contrast_limits
    shown = np.clip((made.data - low) / (high - low), 0, 1)
    assert 0.02 < shown.mean() < 0.9
    assert np.ptp(shown) > 0.5


def test_wells_come_together_in_a_click_and_undo_shows_them_again(wells: Any) -> None:
    before = [(layer.name, layer.visible) for layer in wells.viewer.layers]
    wells.run()
    # of channels that add, results take the place of what they are of
    assert all("[content-only]" in name for name in _visible(wells))
    assert len(_visible(wells)) == 6

    def mean(well: str, title: str) -> float:
        layers = [one for one in wells.viewer.layers if one.name.startswith(well)]
        return float(np.mean([one.data.mean() for one in layers if title in one.name]))

    a, b = (mean(f"well {w}", "[content-only]") for w in "AB")
    assert abs(a - b) / a < 0.05
    assert "Brightness apart" in wells.panel.line.text()
    assert wells.panel.looks.isVisible()
    wells.click(wells.panel.undo)
    assert [(layer.name, layer.visible) for layer in wells.viewer.layers] == before


@pytest.mark.slow
def test_what_cannot_take_part_is_left_out_and_told_before_run(desk: Any) -> None:
    planes = load("cells_a")
    desk.viewer.add_image(planes, name="three", axis_labels=("c", "y", "x"))
    desk.viewer.add_image(planes[::-1] // 2, name="also", axis_labels=("c", "y", "x"))
    four = np.concatenate([planes, planes[:1]])
    desk.viewer.add_image(four, name="four", axis_labels=("c", "y", "x"))
    desk.viewer.add_image(load("blood_1"), rgb=True, name="smear")
    desk.panel.images.each_its_own.trigger()
    said = desk.panel.images.summary.text()
    assert "four is left out: it is fluorescence with channels 0, 1, 2, 3" in said
    assert "smear is left out: it is brightfield" in said
    desk.run()
    made = [name for name in desk.names if "[content-only]" in name]
    assert made == ["three [content-only]", "also [content-only]"]


# --- running again --------------------------------------------------------------------
def test_what_a_person_did_to_a_result_survives_run_again(desk: Any) -> None:
    _grey(desk, 2)
    desk.panel.images.each_its_own.trigger()
    desk.run()
    made = desk.layer("cells 1 [content-only]")
    made.colormap, made.opacity, made.gamma = "magma", 0.4, 1.7
    made.contrast_limits = (7, 99)
    made.visible = True
    made.name = "mine"
    desk.viewer.layers.move(desk.viewer.layers.index(made), 0)
    desk.viewer.layers.selection.active = desk.viewer.layers["cells 0"]
    before, order = made.data, desk.names
    desk.panel.model.setCurrentText("percentile")
    desk.run()
    assert desk.names == order
    assert made.data is not before
    assert (made.colormap.name, made.opacity, made.gamma) == ("magma", 0.4, 1.7)
    assert tuple(made.contrast_limits) == (7, 99)
    assert made.visible
    assert desk.viewer.layers.selection.active.name == "cells 0"


@pytest.mark.slow
def test_contrast_that_nobody_touched_follows_the_result(desk: Any) -> None:
    first, second, third = _grey(desk, 3)
    desk.panel.choose_task("swap")
    desk.check(first, reference=second)
    desk.run()
    made = desk.layer("[swapped]")
    assert tuple(made.contrast_limits) == tuple(second.contrast_limits)
    desk.check(first, reference=third)
    desk.run()
    assert tuple(made.contrast_limits) == tuple(third.contrast_limits)


@pytest.mark.slow
def test_results_follow_their_layer_under_any_name(smears: Any) -> None:
    smears.run()
    smears.viewer.layers[0].name = "renamed"
    smears.run()
    assert len(smears.viewer.layers) == 3
    smears.viewer.layers[0].name = "again"
    before = smears.layer("[swapped]").data
    smears.panel.strength.setValue(10)
    smears.wait(lambda: smears.layer("[swapped]").data is not before, 5)


def test_undo_takes_new_layers_away_and_puts_old_values_back(smears: Any) -> None:
    smears.run()
    first = smears.layer("[swapped]").data
    smears.panel.model.setCurrentText("percentile")
    smears.run()
    assert smears.layer("[swapped]").data is not first
    smears.click(smears.panel.undo)
    assert smears.layer("[swapped]").data is first
    assert not smears.panel.after.isVisible()
    names = smears.names
    smears.run()
    assert smears.names == names


@pytest.mark.slow
def test_a_kept_result_is_not_changed_by_the_next_run(smears: Any) -> None:
    smears.run()
    kept = smears.layer("[swapped]")
    before = kept.data
    smears.click(smears.panel.keep)
    smears.panel.model.setCurrentText("percentile")
    smears.run()
    assert kept.data is before
    assert len(smears.viewer.layers) == 4
    assert kept.name.endswith("(kept)")


def test_cancel_keeps_the_images_that_are_finished(desk: Any) -> None:
    small = load("blood_1")[:64, :64]
    desk.viewer.add_image(small, rgb=True, name="small")
    desk.viewer.add_image(np.tile(load("blood_1"), (8, 8, 1)), rgb=True, name="large")
    desk.panel.choose_task("odd")
    desk.click(desk.panel.run)
    desk.wait(lambda: any("[anomaly]" in name for name in desk.names))
    desk.click(desk.panel.cancel)
    desk.wait(lambda: not desk.widget.running, 20)
    assert "small [anomaly]" in desk.names
    assert "large [anomaly]" not in desk.names
    assert "Cancelled: 1 finished image stay" in desk.panel.message.text()


def test_a_comparison_ends_with_its_results_and_nothing_starts_beside_a_run(
    smears: Any,
) -> None:
    smears.run()
    side, grid = smears.panel.modes["side by side"], smears.viewer.canvas.grid
    smears.click(side)
    smears.click(smears.panel.keep)
    assert not grid.enabled
    smears.click(smears.panel.run)
    for button in (smears.panel.save, smears.panel.report, smears.panel.undo):
        assert not button.isEnabled()
    smears.wait(lambda: not smears.widget.running)
    assert smears.panel.save.isEnabled()
    smears.click(side)
    smears.viewer.layers.remove(smears.viewer.layers[-1])
    assert not grid.enabled
    assert not smears.panel.after.isVisible()


@pytest.mark.slow
def test_a_line_and_an_image_of_nothing_have_figures_or_none(desk: Any) -> None:
    cells = load("cells_a")[0].astype(np.float32)
    nothing = np.full_like(cells, np.nan)
    for name, values in (("one", cells), ("other", cells * 2), ("nothing", nothing)):
        desk.viewer.add_image(values, name=name, contrast_limits=(0, 255))
    line = cells[60:61]
    desk.viewer.add_image(line, name="line", contrast_limits=(0, 255))
    desk.panel.images.each_its_own.trigger()
    desk.run()
    assert "stopped" not in desk.panel.message.text()
    assert "Brightness apart" in desk.panel.line.text()
    assert "nan" not in desk.panel.line.text()


@pytest.mark.slow
def test_a_map_that_marks_much_says_that_normal_does_not_fit(desk: Any) -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(100, 10, (512, 512)).astype(np.float32)
    odd = normal.copy()
    odd[:256] += 300 * (rng.random((256, 512)) > 0.5)
    image = desk.viewer.add_image(odd, name="odd")
    other = desk.viewer.add_image(normal, name="usual")
    desk.panel.choose_task("odd")
    desk.panel.model.setCurrentText("identity")
    desk.panel.detector.cell.setValue(14)
    desk.check(image, other)
    desk.panel.images.table.set_role([other], "normal")
    desk.panel.normal.choose("others")
    desk.run()
    assert "fifth of the image is marked" in desk.panel.regions.basis.text()
    desk.panel.regions.min_size.setValue(10**6)
    desk.wait(lambda: "fifth" not in desk.panel.regions.basis.text(), 5)


# --- how results are seen -------------------------------------------------------------
def test_original_result_side_by_side_and_difference(smears: Any) -> None:
    smears.run()
    seen = _visible(smears)
    modes = smears.panel.modes
    smears.click(modes["original"])
    assert "[swapped]" not in " ".join(_visible(smears))
    smears.click(modes["side by side"])
    assert len(_visible(smears)) == 2
    assert smears.viewer.canvas.grid.enabled
    smears.click(modes["difference"])
    assert not smears.viewer.canvas.grid.enabled
    made = smears.layer("[difference]")
    image, result = smears.viewer.layers[0].data, smears.layer("[swapped]").data
    apart = (result.astype(float) - image).mean(axis=-1)
    np.testing.assert_allclose(made.data, apart, atol=1e-3)
    low, high = made.contrast_limits
    assert low == -high
    smears.click(modes["result"])
    assert _visible(smears) == seen
    assert not any("[difference]" in name for name in smears.names)
    smears.click(modes["side by side"])
    smears.run()
    assert not smears.viewer.canvas.grid.enabled
    assert modes["result"].isChecked()


@pytest.mark.slow
def test_an_anomaly_map_lies_over_its_image_with_one_scale(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "synthetic")
    desk.panel.choose_task("odd")
    desk.run()
    maps = [one for one in desk.viewer.layers if one.name.endswith("[anomaly]")]
    assert [one.colorbar.visible for one in maps] == [True, False]
    assert maps[0].colormap.map(np.array([0.5]))[0, 3] == pytest.approx(0, abs=0.02)
    assert desk.viewer.layers[0].visible
    # and regions that cannot be told from chance are not listed
    assert desk.panel.regions.labels() == []
    assert "No region can be told from chance" in desk.panel.regions.basis.text()
    assert "could be set aside" in desk.panel.regions.limits.text()
    hidden = [one for one in desk.viewer.layers if "regions" in one.name]
    assert not any(layer.visible for layer in hidden)


# --- files ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "suffix", [pytest.param(".ome.tif", marks=pytest.mark.slow), ".ome.zarr"]
)
def test_saved_results_open_again_as_they_were(
    desk: Any, tmp_path: Path, suffix: str
) -> None:
    desk.viewer.open_sample("napari-disentangle", "synthetic")
    desk.panel.choose_task("odd")
    desk.check(desk.viewer.layers[0])
    desk.run()
    desk.panel.choose_task("comparable")
    desk.check(*desk.viewer.layers[:2])
    desk.run()
    layers = [layer for layer in desk.viewer.layers if KEY in layer.metadata]
    desk.widget.buttons.save_results(layers, tmp_path, suffix)
    desk.wait(lambda: not desk.widget.running)
    assert "Saved" in desk.panel.message.text()
    for layer in layers:
        path = tmp_path / f"{layer.name}{suffix}"
        (again,) = desk.viewer.open(str(path), plugin="napari-disentangle")
        assert type(again) is type(layer)
        np.testing.assert_array_equal(np.asarray(again.data), layer.data)
        kept = again.metadata[KEY]
        assert kept["recipe"] == layer.metadata[KEY]["recipe"]
        np.testing.assert_allclose(again.scale, layer.scale)
        if "[anomaly]" in layer.name:
            assert again.colormap.name == layer.colormap.name == "surprise"
            listed = desk.panel.images.table.layers()
            assert again.name not in [one.name for one in listed]


def test_a_loaded_recipe_is_what_the_panel_shows(smears: Any, tmp_path: Path) -> None:
    from qtpy.QtWidgets import QApplication

    smears.panel.strength.setValue(40)
    smears.click(smears.panel.copy_recipe)
    text = QApplication.clipboard().text()
    path = tmp_path / "recipe.json"
    path.write_text(text)
    smears.panel.choose_task("odd")
    smears.panel.model.setCurrentText("affine")
    smears.panel.strength.setValue(100)
    smears.widget.buttons.use_recipe(str(path))
    assert smears.panel.task == "swap"
    assert smears.panel.model.currentText() == "mk"
    smears.click(smears.panel.copy_recipe)
    assert json.loads(QApplication.clipboard().text()) == json.loads(text)
    path.write_text(json.dumps(json.loads(text) | {"outputs": ["content", "swap"]}))
    smears.widget.buttons.use_recipe(str(path))
    assert smears.panel.task == "swap"
    assert "leaves out: content-only" in smears.panel.message.text()


@pytest.mark.slow
def test_a_look_in_a_recipe_stands_for_images_that_are_not_open(
    smears: Any, tmp_path: Path
) -> None:
    smears.run()
    first = smears.layer("[swapped]")
    kept = first.metadata[KEY]["recipe"]
    (tmp_path / "r.json").write_text(json.dumps(kept))
    before = first.data
    smears.viewer.layers.remove(smears.viewer.layers[1])
    smears.widget.buttons.use_recipe(str(tmp_path / "r.json"))
    assert "Not open: blood smear 2 (rust)" in smears.panel.message.text()
    smears.run()
    assert first.data is not before
    np.testing.assert_array_equal(first.data, before)


def test_no_file_is_replaced_and_no_two_layers_become_one(
    smears: Any, tmp_path: Path
) -> None:
    smears.run()
    smears.click(smears.panel.keep)
    smears.run()
    layers = [one for one in smears.viewer.layers if KEY in one.metadata]
    layers[0].name, layers[1].name = "a/b", "a:b"
    smears.widget.buttons.save_results(layers, tmp_path, ".ome.tif")
    assert not smears.widget.running
    assert "wo layers would be called" in smears.panel.message.text()
    assert not list(tmp_path.iterdir())

    def save(replace: bool = False) -> str:
        smears.widget.buttons.save_results(layers[:1], tmp_path, ".ome.tif", replace)
        smears.wait(lambda: not smears.widget.running)
        return str(smears.panel.message.text())

    save()
    (path,) = tmp_path.iterdir()
    first = path.stat().st_ino
    assert "tick 'replace earlier results'" in save()
    assert path.stat().st_ino == first
    assert "exists already" not in save(replace=True)
    assert path.stat().st_ino != first
    path.write_bytes(b"mine")
    assert "is no result of this plugin" in save(replace=True)
    path.rename(f"{path}.csv")
    assert "exists already" in save()  # a table would come beside it
    assert "is no result of this plugin" in save(replace=True)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"mine"]


def test_what_is_saved_is_of_one_moment_and_opens_under_any_name(
    smears: Any, tmp_path: Path
) -> None:
    smears.panel.choose_task("swap")
    smears.run()
    (layer,) = smears.widget.last.pairs()[0].layers
    layer.name = "final"
    saving = Saving.of([layer], tmp_path, ".ome.tif")
    pixels = np.array(layer.data)
    smears.panel.strength.setValue(20)
    smears.settle()
    assert not np.array_equal(layer.data, pixels)
    for _ in saving.steps():
        pass
    (path,) = tmp_path.iterdir()
    assert read_provenance(path)["recipe"]["strength"] == 1
    smears.widget.buttons.open_results(str(path))
    again = smears.viewer.layers[-1]
    assert again.name == "final [1]"  # beside the one that is there
    np.testing.assert_array_equal(again.data, pixels)
    path.write_bytes(b"mine")
    smears.widget.buttons.open_results(str(path))
    assert "is no result of this plugin" in smears.panel.message.text()


def test_differences_of_images_with_unknown_pixels_are_seen(desk: Any) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        data = rng.gamma(2, 1 + number, (64, 64)).astype(np.float32)
        data[:9, :9] = np.nan if number else 0
        desk.viewer.add_image(data, name=f"image {number}")
    desk.panel.images.each_its_own.trigger()
    desk.run()
    desk.click(desk.panel.modes["difference"])
    ends = desk.viewer.layers[-1].contrast_limits
    assert np.isfinite(ends).all()
    assert ends[0] < 0 < ends[1]
    desk.click(desk.panel.modes["result"])
    assert any("[content-only]" in name for name in _visible(desk))


def test_a_look_of_another_kind_is_refused_before_run(
    smears: Any, tmp_path: Path
) -> None:
    smears.panel.choose_task("swap")
    smears.run()
    place = str(tmp_path / "mylook")
    smears.widget.buttons.save_look(smears.widget.slider.given_look(), place)
    assert "Saved: mylook.json" in smears.panel.message.text()
    smears.viewer.layers.clear()
    smears.viewer.add_image(np.arange(4096, dtype=np.uint8).reshape(64, 64), name="one")
    smears.widget.buttons.use_look(f"{place}.json")
    assert not smears.panel.run.isEnabled()
    assert "The loaded look is of images with R, G, B" in smears.panel.message.text()


@pytest.mark.slow
def test_what_a_person_saw_last_stays_true(smears: Any, tmp_path: Path) -> None:
    """View, figures, folder and messages, found by someone new to the window."""
    panel, viewer = smears.panel, smears.viewer
    corners = np.concatenate([layer.extent.world[:, -2:] for layer in viewer.layers])

    def in_view() -> bool:
        camera = viewer.scene.camera
        half = np.array(viewer.canvas.size) / camera.zoom / 2
        return bool((np.abs(corners - camera.center[-2:]) <= half + 1).all())

    smears.wait(in_view, 5)
    smears.run()
    smears.click(panel.modes["side by side"])
    panel.strength.setValue(40)
    smears.settle()
    assert smears.widget.last.mode == "side by side"
    assert panel.line.text().startswith("At 100 %: ")
    panel.strength.setValue(100)
    assert panel.line.text().startswith("Colours apart")
    smears.click(panel.modes["result"])
    smears.click(panel.save)
    dialog = smears.widget.buttons.dialog
    dialog.folder.setText(str(tmp_path))
    dialog.accept()
    smears.wait(lambda: not smears.widget.running and any(tmp_path.iterdir()))
    smears.click(panel.save)
    dialog = smears.widget.buttons.dialog
    assert dialog.folder.text() == str(tmp_path)
    dialog.accept()
    assert dialog.isVisible()
    assert "exists already" in dialog.problem.text()
    dialog.reject()
    viewer.layers.clear()
    assert "Open images" in panel.message.text()
    assert not panel.looks.isVisible()
    viewer.add_image(np.zeros((9, 9, 3), np.uint8), rgb=True, name="alone")
    assert not panel.run.isEnabled()
    assert "role" in panel.message.text()


@pytest.mark.slow
def test_what_makes_no_sense_for_one_odd_image_is_off_with_its_reason(
    desk: Any,
) -> None:
    desk.panel.choose_task("odd")
    desk.viewer.open_sample("napari-disentangle", "synthetic")
    desk.panel.images.table.check([desk.viewer.layers[0]])
    desk.run()
    assert not desk.panel.modes["difference"].isEnabled()
    assert "no difference" in desk.panel.modes["difference"].toolTip()
    assert not desk.panel.report.isEnabled()
    assert "check two at least" in desk.panel.report.toolTip()
    assert not desk.viewer.layers["planted anomalies"].visible


def test_report_is_a_table(smears: Any, tmp_path: Path) -> None:
    for layer in smears.viewer.layers:
        layer.data = layer.data[:160, :160]
    smears.panel.choose_task("comparable")
    smears.run()
    smears.click(smears.panel.report)
    smears.wait(lambda: not smears.widget.running)
    dialog = smears.widget.buttons.dialog
    names = [dialog.table.item(i, 0).text() for i in range(dialog.table.rowCount())]
    assert {"raw", "mk", "balanced"} <= {*names}
    dialog.save(str(tmp_path / "report"))
    assert (tmp_path / "report.csv").read_text().startswith("model,")
    dialog.close()


# --- habits ---------------------------------------------------------------------------
def _inputs(desk: Any) -> list[Any]:
    from qtpy.QtWidgets import (
        QAbstractButton,
        QAbstractSpinBox,
        QComboBox,
        QLineEdit,
        QSlider,
        QTableWidget,
    )

    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QSlider, QTableWidget)
    found = [
        one for kind in (*kinds, QLineEdit) for one in desk.panel.findChildren(kind)
    ]
    window = desk.panel.window()  # a plot has a menu of its own
    return [one for one in found if _is_ours(one) and one.window() is window]


def _is_ours(widget: Any) -> bool:
    """Not a part of an input, such as the line of a number."""
    from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QTableWidget

    parent = widget.parent()
    inner = isinstance(parent, (QAbstractSpinBox, QComboBox, QLineEdit))
    return not (inner or isinstance(parent, QTableWidget))


def test_every_input_has_a_name_a_tooltip_and_a_place_in_the_tab_order(
    desk: Any,
) -> None:
    from qtpy.QtCore import Qt

    desk.viewer.open_sample("napari-disentangle", "brightfield")
    inputs = _inputs(desk)
    assert len(inputs) > 50
    for widget in inputs:
        assert widget.accessibleName() or getattr(widget, "text", str)(), widget
        assert widget.toolTip(), (type(widget), widget.accessibleName())
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget.accessibleName()


def _tab_order(desk: Any) -> list[Any]:
    """What has the focus while Tab is pressed, once around."""
    from qtpy.QtWidgets import QApplication

    desk.viewer.window._qt_window.activateWindow()
    first = desk.panel.task_buttons["comparable"]
    first.setFocus()
    desk.settle()
    found = [first]
    for _ in range(200):
        desk.panel.focusNextChild()
        now = QApplication.focusWidget()
        if now is None or not desk.panel.isAncestorOf(now) or now in found:
            break
        found.append(now)
    return found


def test_tab_never_enters_a_closed_section(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "brightfield")
    order = _tab_order(desk)
    assert all(widget.isVisible() for widget in order)
    assert desk.panel.fitting.fit not in order
    assert desk.panel.run in order
    desk.panel.fitting.open()
    assert desk.panel.fitting.fit in _tab_order(desk)


def test_the_wheel_scrolls_and_changes_nothing(desk: Any) -> None:
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QSlider

    desk.viewer.open_sample("napari-disentangle", "brightfield")
    for section in (desk.panel.method, desk.panel.fitting):
        section.open()
    desk.panel.run.setFocus()
    kinds = (QComboBox, QAbstractSpinBox, QSlider)
    inputs = [one for kind in kinds for one in desk.panel.findChildren(kind)]

    def values() -> list[Any]:
        return [
            one.currentIndex() if isinstance(one, QComboBox) else one.value()
            for one in inputs
            if not isinstance(one, QAbstractSpinBox) or hasattr(one, "value")
        ]

    before = values()
    for widget in inputs:
        event = QWheelEvent(
            QPointF(5, 5),
            QPointF(widget.mapToGlobal(QPoint(5, 5))),
            QPoint(0, 0),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(widget, event)
    assert values() == before


def test_keyboard_alone_opens_chooses_runs_moves_the_slider_and_saves(
    desk: Any, tmp_path: Path
) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    desk.viewer.window._qt_window.activateWindow()
    first = desk.panel.task_buttons["comparable"]
    first.setFocus()
    desk.settle()
    QTest.keyClick(first, Qt.Key.Key_Down)
    assert desk.panel.task == "swap"
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is desk.panel.try_it
    QTest.keyClick(desk.panel.try_it, Qt.Key.Key_Space)
    desk.wait(lambda: any("[swapped]" in name for name in desk.names))
    desk.wait(lambda: not desk.widget.running)
    control = Qt.KeyboardModifier.ControlModifier
    QTest.keyClick(desk.panel.images.table, Qt.Key.Key_Return, control)
    desk.wait(lambda: desk.widget.running, 5)
    desk.wait(lambda: not desk.widget.running)
    before = desk.layer("[swapped]").data.copy()
    desk.panel.strength.setFocus()
    QTest.keyClick(desk.panel.strength, Qt.Key.Key_Left)
    desk.wait(lambda: (desk.layer("[swapped]").data != before).any(), 5)
    QTest.keyClick(desk.panel.save, Qt.Key.Key_Space)
    dialog = desk.widget.buttons.dialog
    desk.wait(dialog.isVisible, 5)
    dialog.folder.selectAll()
    QTest.keyClicks(dialog.folder, str(tmp_path))
    QTest.keyClick(dialog.folder, Qt.Key.Key_Return)
    desk.wait(lambda: not desk.widget.running and any(tmp_path.iterdir()))
    assert [path.suffixes[-2:] for path in tmp_path.iterdir()] == [[".ome", ".tif"]]


@pytest.mark.parametrize("size", [1.0, 1.5])
def test_nothing_is_cut_at_300_pixels(desk: Any, size: float) -> None:
    from napari.settings import get_settings

    appearance = get_settings().appearance
    font = appearance.font_size
    appearance.font_size = round(font * size)
    try:
        window = desk.viewer.window._qt_window
        window.resize(1280, 720)
        desk.viewer.open_sample("napari-disentangle", "brightfield")
        for section in (desk.panel.method, desk.panel.fitting):
            section.open()
        dock = desk.widget.parent()
        window.resizeDocks([dock], [300], _horizontal())
        desk.settle()
        assert desk.panel.width() <= 330
        for widget in _inputs(desk):
            if not widget.isVisible():
                continue
            right = widget.mapTo(desk.panel, widget.rect().topRight()).x()
            assert right <= desk.panel.width(), (type(widget), widget.accessibleName())
            assert widget.height() >= min(16, widget.sizeHint().height() / 2)
        assert desk.panel.scroll.height() > desk.panel.height() / 2
    finally:
        appearance.font_size = font


def _horizontal() -> Any:
    from qtpy.QtCore import Qt

    return Qt.Orientation.Horizontal


def test_try_it_opens_a_sample_and_runs(desk: Any) -> None:
    assert desk.panel.try_it.isVisible()
    desk.click(desk.panel.try_it)
    desk.wait(lambda: not desk.widget.running)
    assert any("[content-only]" in name for name in _visible(desk))
    assert not desk.panel.try_it.isVisible()
