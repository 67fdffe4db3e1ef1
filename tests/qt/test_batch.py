"""The widget "Batch": from choosing a folder to the report, in a real window."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QUrl

import napari_disentangle as nd
from napari_disentangle._qt.batch.panel import ALL, PATTERN
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue
from napari_disentangle.study.plan import states


@pytest.fixture
def folder(tmp_path):
    """Six slides of two scanners."""
    for scanner, look in (("a", VIOLET), ("b", ROSE)):
        place = tmp_path / "slides" / f"scanner {scanner}"
        place.mkdir(parents=True)
        for i in range(3):
            content = tissue(i + 10 * (scanner == "b"), 96)
            iio.imwrite(place / f"{i}.png", render(content, look, 2.0, i))
    return tmp_path / "slides"


@pytest.fixture
def batch(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Batch (folder, plate)"
    )
    yield widget
    widget.cancel()
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)


def click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run(qtbot, batch):
    batch.study = batch.study.model_copy(update={"workers": 1})
    click(qtbot, batch.panel.run)
    assert batch.running
    qtbot.waitUntil(lambda: not batch.running, timeout=120_000)


def test_a_folder_is_grouped_run_and_opened(batch, folder, qtbot, monkeypatch):
    batch.open_folder(folder)
    assert "6 images in 2 groups" in batch.panel.groups.text()
    names = batch.panel.group.findText("name")
    tip = batch.panel.group.itemData(names, Qt.ItemDataRole.ToolTipRole)
    assert tip == "0.png, 1.png, 2.png"
    run(qtbot, batch)
    (said,) = batch.panel.message.lines
    assert said.startswith("All 6 images are done, in ")
    table = batch.panel.overview.table
    assert [table.item(i, 2).text() for i in range(6)] == ["✓"] * 6
    table.setCurrentCell(4, 0)
    table.cellActivated.emit(4, 0)
    before, after = batch.viewer.layers
    assert batch.viewer.canvas.grid.enabled
    assert batch.viewer.canvas.grid.stride == 1  # the first layer comes first
    assert before.name == "before: scanner b/1.png"
    assert after.name == "after: scanner b/1.png"
    assert before.rgb
    assert not np.array_equal(before.data, after.data)
    opened = []
    monkeypatch.setattr(
        "napari_disentangle._qt.batch.widget.QDesktopServices.openUrl",
        lambda url: opened.append(Path(url.toLocalFile())),
    )
    click(qtbot, batch.panel.report)
    assert "report.html" in batch.panel.message.short.text()
    assert "Should I use this?" in opened[0].read_text()


def test_the_window_and_the_console_agree(batch, folder, qtbot, tmp_path):
    batch.open_folder(folder)
    run(qtbot, batch)
    one = nd.Study.load(batch.study.target / "recipe.yaml")
    other = one.model_copy(update={"folder": str(tmp_path / "console"), "workers": 1})
    for _ in nd.run_study(other):
        pass
    sums = [{k: r["checksum"] for k, r in states(s).items()} for s in (one, other)]
    assert sums[0] == sums[1]
    assert len(sums[0]) == 6


def test_an_earlier_run_is_gone_on_with(batch, folder, qtbot):
    batch.open_folder(folder)
    run(qtbot, batch)
    next((folder.parent / "slides-normalised").rglob("2_content.png")).unlink()
    batch.open_folder(folder)
    assert "6 of 6 images are done" in batch.panel.source.text()
    run(qtbot, batch)
    assert len([*(folder.parent / "slides-normalised").rglob("*_content.png")]) == 6


def test_a_path_is_typed_or_dropped_and_results_go_where_they_should(
    batch, folder, qtbot, tmp_path
):
    assert batch.window().focusWidget() is batch.panel.path  # nothing to click first
    batch.panel.path.setText(f"'{folder}'")
    qtbot.keyClick(batch.panel.path, Qt.Key.Key_Return)
    assert "6 images in 2 groups" in batch.panel.groups.text()
    batch.panel.path.setText(QUrl.fromLocalFile(str(folder / "scanner a")).toString())
    qtbot.keyClick(batch.panel.path, Qt.Key.Key_Return)
    assert "3 images in 1 group" in batch.panel.groups.text()
    batch.panel.target.setText("elsewhere")
    run(qtbot, batch)
    assert batch.panel.target.text() == str(folder / "elsewhere")
    assert len([*(folder / "elsewhere").rglob("*_content.png")]) == 3


def test_a_table_and_its_biology_are_taken_and_a_confounded_design_is_told(
    batch, folder, qtbot
):
    rows = [f"scanner {s}/{i}.png,{s},{s}{s}" for s in "ab" for i in range(3)]
    table = folder / "slides.csv"
    table.write_text("\n".join(["path,scanner,diagnosis", *rows]))
    batch.open_path(table)
    batch.panel.group.setCurrentText("scanner")
    assert "6 images in 2 groups" in batch.panel.groups.text()
    assert not batch.panel.message.lines
    batch.panel.biology.setCurrentText("diagnosis")
    assert "design is confounded" in batch.panel.message.text()


def test_a_pattern_is_shown_as_it_is_typed(batch, folder):
    batch.open_folder(folder)
    batch.panel.group.setCurrentText(PATTERN)
    batch.panel.pattern.setText(r"(\d)\.png")
    assert "6 images in 3 groups" in batch.panel.groups.text()
    batch.panel.pattern.setText("(")
    assert "batch" in batch.panel.message.text()
    batch.panel.group.setCurrentText(ALL)
    assert "6 images in 1 group" in batch.panel.groups.text()


def test_controls_can_be_selected_and_doubts_are_said(batch, folder, qtbot):
    batch.open_folder(folder)
    table = batch.panel.overview.table
    table.selectRow(0)
    click(qtbot, batch.panel.selected)
    assert "2 controls in 2 of 2 groups" in batch.panel.controls.text()
    batch.panel.values.setText("nothing")
    assert "no image has 'nothing' as name" in batch.panel.message.text()
    batch.panel.values.setText("0.png")
    batch.panel.singly.setChecked(True)
    assert "removes differences between treatments" in batch.panel.message.text()


def test_other_groups_are_refused_until_results_may_be_replaced(batch, folder, qtbot):
    batch.open_folder(folder)
    run(qtbot, batch)
    batch.panel.singly.setChecked(True)
    run(qtbot, batch)
    assert "6 results" in batch.panel.message.text()
    assert batch.panel.overview.table.item(0, 2).text() == "✓"  # it is still there
    assert batch.panel.replace.isVisible()
    batch.panel.replace.setChecked(True)
    run(qtbot, batch)
    assert "All 6 images are done" in batch.panel.message.text()
    assert not batch.panel.replace.isChecked()


@pytest.mark.slow
def test_a_preview_shows_images_before_and_after(batch, folder, qtbot):
    batch.open_folder(folder)
    click(qtbot, batch.panel.preview)
    qtbot.waitUntil(lambda: not batch.running, timeout=60_000)
    names = [layer.name for layer in batch.viewer.layers]
    assert len(names) == 6
    assert sum(name.startswith("after: ") for name in names) == 3
    assert {name.split("/")[0] for name in names} >= {
        "after: scanner a",
        "after: scanner b",
    }
    assert not batch.study.target.exists()
    assert "nothing is written yet. All take about " in batch.panel.message.text()


@pytest.mark.slow
def test_a_broken_image_does_not_spoil_the_preview(batch, folder, qtbot):
    for scanner in "ab":
        (folder / f"scanner {scanner}/0.png").write_bytes(b"no image")
    batch.open_folder(folder)
    click(qtbot, batch.panel.preview)
    qtbot.waitUntil(lambda: not batch.running, timeout=60_000)
    assert len(batch.viewer.layers) == 6
    assert "0.png" in batch.panel.message.text()


def test_run_does_nothing_else_than_what_is_shown(batch, folder, qtbot):
    batch.open_folder(folder)
    batch.panel.control.setCurrentText("name")
    batch.panel.values.setText("nothing")
    click(qtbot, batch.panel.run)
    assert not batch.running
    assert "no image has 'nothing' as name" in batch.panel.message.text()
    assert not batch.study.target.exists()


def test_what_failed_is_said_and_the_rest_is_done(batch, folder, qtbot):
    (folder / "scanner a/broken.png").write_bytes(b"no image")
    batch.open_folder(folder)
    run(qtbot, batch)
    first, *rest = batch.panel.message.lines
    assert first == "1 image is not done, the others are"
    assert "broken.png" in rest[0]
    assert len([*batch.study.target.rglob("*_content.png")]) == 6


def test_cancelling_keeps_what_is_done(batch, folder, qtbot):
    batch.open_folder(folder)
    batch.study = batch.study.model_copy(update={"workers": 1})
    click(qtbot, batch.panel.run)
    qtbot.waitUntil(lambda: "writing" in batch.panel.left.text(), timeout=60_000)
    click(qtbot, batch.panel.cancel)
    qtbot.waitUntil(lambda: not batch.running, timeout=30_000)
    done = len([*batch.study.target.rglob("*_content.png")])
    run(qtbot, batch)
    assert 0 < done <= 6
    assert len([*batch.study.target.rglob("*_content.png")]) == 6


def test_a_folder_without_images_is_one_sentence(batch, tmp_path):
    (tmp_path / "empty").mkdir()
    batch.open_folder(tmp_path / "empty")
    assert "there is no image in" in batch.panel.message.text()


def test_wells_of_plates_are_maps_and_open_their_fields(batch, tmp_path, qtbot):
    rng = np.random.default_rng(0)
    for plate in "12":
        (tmp_path / "screen" / f"plate{plate}").mkdir(parents=True)
        for well in ("A01", "A02", "B01", "B02"):
            for field in "12":
                data = rng.integers(0, 4000, (2, 48, 48)).astype("uint16")
                name = f"screen/plate{plate}/{well}_s{field}.ome.tif"
                channels = {"axes": "CYX", "Channel": {"Name": ["DNA", "actin"]}}
                tifffile.imwrite(tmp_path / name, data, metadata=channels)
    batch.open_folder(tmp_path / "screen")
    overview = batch.panel.overview
    assert [overview.plate.itemText(i) for i in range(2)] == ["1", "2"]
    assert (overview.table.rowCount(), overview.table.columnCount()) == (2, 2)
    overview.table.setCurrentCell(0, 0)
    click(qtbot, batch.panel.selected)
    assert batch.panel.values.text() == "A01"
    assert "4 controls in 2 of 2 groups" in batch.panel.controls.text()
    run(qtbot, batch)
    overview.plate.setCurrentText("2")
    assert overview.table.item(1, 1).text() == "✓"
    overview.table.cellActivated.emit(1, 1)
    names = [layer.name for layer in batch.viewer.layers]
    assert len(names) == 8
    assert all(": plate2/B02_s" in name for name in names)
    shown = {
        tuple(one.contrast_limits) for one in batch.viewer.layers if "DNA" in one.name
    }
    assert len(shown) == 1
