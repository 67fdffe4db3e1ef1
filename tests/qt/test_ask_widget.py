"""The tab "Ask": tables of layers are asked, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLabel

from napari_disentangle._qt.objects.colours import show_all

N, EDGE = 60, 12


def grid() -> np.ndarray:
    """Squares of 8 pixels, numbered from 1 on."""
    labels = np.zeros((6 * EDGE, 10 * EDGE), np.int32)
    for number in range(N):
        y, x = (EDGE * one for one in divmod(number, 10))
        labels[y + 2 : y + 10, x + 2 : x + 10] = number + 1
    return labels


@pytest.fixture
def asking(make_napari_viewer, qtbot):
    """Eight wells, four of each treatment, in which objects of two kinds differ."""
    viewer = make_napari_viewer(show=True)
    rng = np.random.default_rng(0)
    for well in range(8):
        kind = rng.random(N) < (0.2, 0.7)[well % 2]
        values = rng.normal(size=(N, 4))
        values[:, 0] += 5 * kind
        columns = {f"view {i + 1}": one for i, one in enumerate(values.T)}
        name = f"P{well // 4}_{'drug' if well % 2 else 'control'}_w{well}"
        features = {"index": np.arange(1, N + 1), "truth": kind, **columns}
        viewer.add_labels(grid(), name=name, features=features)
    _, widget = viewer.window.add_plugin_dock_widget("napari-disentangle", "Objects")
    widget.panel.tabs.setCurrentIndex(1)
    yield widget.ask
    widget.ask.cancel()


def press(qtbot, widget, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)


def said(widget):
    return " ".join(widget.panel.message.lines)


def named_wells(qtbot, widget):
    """Columns are read off the names of images."""
    widget.panel.more.open()
    widget.panel.pattern.setText("{plate}_{treatment}_{well}")
    assert widget.panel.read.text() == (
        "P0_control_w0: plate = P0, treatment = control, well = w0"
    )
    press(qtbot, widget, widget.panel.add)


def test_wells_from_names_and_a_treatment_that_is_told(asking, qtbot):
    named_wells(qtbot, asking)
    controls = asking.panel.form.controls
    roles = {name: control.currentText() for name, control in controls.items()}
    assert roles == {"by": "treatment", "groups": "well", "batch": "plate"}
    press(qtbot, asking, asking.panel.ask)
    assert "'treatment' is separable" in asking.panel.statement.text()
    assert "n = 8 groups (well) with 480 objects" in asking.panel.statement.text()
    assert asking.panel.guard.text().startswith("Guard passed")
    assert asking.panel.table.item(0, 0).text() == "treatment"
    assert len(asking.panel.dots.data) == 480


def test_populations_are_kept_coloured_and_taken_back(asking, qtbot):
    named_wells(qtbot, asking)
    panel, viewer = asking.panel, asking.viewer
    panel.question.setCurrentText("populations")
    press(qtbot, asking, panel.ask)
    assert "Population" in panel.statement.text()
    press(qtbot, asking, panel.keep)
    for layer in viewer.layers:
        known = layer.features
        number = known["population"][known["truth"]].mode()[0]
        assert ((known["population"] == number) == known["truth"]).mean() > 0.9
    first = viewer.layers[0]
    colours = {tuple(first.get_color(label)) for label in first.features["index"]}
    assert len(colours) == 2
    press(qtbot, asking, panel.undo)
    assert "population" not in first.features
    assert "well" in first.features


def test_a_concept_is_taught_by_clicks_and_asks_for_more(asking, qtbot):
    panel, layer = asking.panel, asking.viewer.layers[0]
    panel.question.setCurrentText("teach")
    press(qtbot, asking, panel.ask)
    assert "Name some objects first" in said(asking)
    asking.viewer.layers.selection.active = layer
    truth = layer.features["truth"].to_numpy()
    for kind in (True, False):
        panel.name.setText("bright" if kind else "other")
        for label in layer.features["index"][truth == kind][:5]:
            layer.selected_label = label
            press(qtbot, asking, panel.name_it)
            assert not said(asking)
    assert panel.names.text() == "Named: 5 bright, 5 other"
    press(qtbot, asking, panel.ask)
    assert panel.statement.text().startswith("Taught by 5 bright, 5 other")
    layer.selected_label = 1
    panel.objects.selectRow(0)
    unsure = asking.viewer.layers.selection.active
    assert (unsure, unsure.selected_label) != (layer, 1)
    press(qtbot, asking, panel.keep)
    told = np.concatenate([one.features["taught"] for one in asking.viewer.layers])
    true = np.concatenate([one.features["truth"] for one in asking.viewer.layers])
    assert ((told == "bright") == true).mean() > 0.9
    of_name: dict[str, set] = {}
    for one in asking.viewer.layers:  # a layer that has but one of them as well
        for label, name in zip(
            *(one.features[k] for k in ("index", "taught")), strict=True
        ):
            of_name.setdefault(name, set()).add(tuple(one.get_color(label)))
    assert sorted(map(len, of_name.values())) == [1, 1]
    assert of_name["bright"] != of_name["other"]


def test_a_refusal_gives_no_columns(asking, qtbot):
    named_wells(qtbot, asking)
    asking.panel.question.setCurrentText("populations")
    asking.panel.form.controls["groups"].setCurrentText("–")
    press(qtbot, asking, asking.panel.ask)
    assert asking.panel.statement.text().startswith("Nothing is concluded")
    assert asking.panel.guard.text().startswith("Guard refused")
    assert not asking.panel.keep.isEnabled()


def test_a_copied_script_says_the_same(asking, qtbot, capsys):
    named_wells(qtbot, asking)
    press(qtbot, asking, asking.panel.ask)
    press(qtbot, asking, asking.panel.copy)
    exec(QApplication.clipboard().text(), {"viewer": asking.viewer})
    assert capsys.readouterr().out.strip() == asking.panel.statement.text()


def test_columns_of_a_file_come_to_every_object(asking, qtbot, tmp_path):
    names = [layer.name for layer in asking.viewer.layers]
    lines = [f"{name},day {i % 3}" for i, name in enumerate(names)]
    path = tmp_path / "wells.csv"
    path.write_text("\n".join(["file,day", *lines]))
    asking.join(str(path))
    assert [set(one.features["day"]) for one in asking.viewer.layers][:4] == [
        {"day 0"}, {"day 1"}, {"day 2"}, {"day 0"},
    ]  # fmt: skip
    path.write_text("file,day\nelsewhere,1\n")
    asking.join(str(path))
    assert "No column of 'wells.csv' names all images" in said(asking)


def test_what_changes_meanwhile_is_one_sentence(asking, qtbot):
    named_wells(qtbot, asking)
    asking.panel.question.setCurrentText("populations")
    press(qtbot, asking, asking.panel.ask)
    gone = asking.viewer.layers.pop(3)
    press(qtbot, asking, asking.panel.keep)
    assert f"'{gone.name}' was removed: ask again." in said(asking)
    asking.viewer.layers.clear()
    assert "No table yet" in asking.panel.tables.text()
    press(qtbot, asking, asking.panel.ask)
    assert "No Labels layer that is seen has a table" in said(asking)


def test_names_in_one_layer_stay_when_another_is_asked_with_it(asking, qtbot):
    first, second = asking.viewer.layers[:2]
    asking.panel.question.setCurrentText("teach")
    for layer, others in ((first, asking.viewer.layers[1:]), (second, [])):
        for one in asking.viewer.layers:
            one.visible = one not in others
        asking.panel.name.setText("it")
        layer.selected_label = 7
        press(qtbot, asking, asking.panel.name_it)
    assert asking.panel.names.text() == "Named: 2 it"
    assert first.features["named"][6] == second.features["named"][6] == "it"


@pytest.mark.slow
def test_undo_takes_back_only_what_was_added(asking, qtbot):
    named_wells(qtbot, asking)
    layer = asking.viewer.layers[0]
    layer.features = layer.features.assign(mine=1)
    press(qtbot, asking, asking.panel.undo)
    assert "mine" in layer.features
    assert "well" not in layer.features


def test_only_answers_count_and_a_failed_question_leaves_none(asking, qtbot):
    panel = asking.panel
    named_wells(qtbot, asking)
    press(qtbot, asking, panel.ask)
    controls = panel.form.controls
    controls["by"].setCurrentText("–")
    press(qtbot, asking, panel.ask)
    assert "'separable' needs by: name the column" in said(asking)
    assert not panel.answer.isVisible()
    assert not panel.keep.isEnabled()
    controls = panel.form.controls
    assert controls["by"].currentText() == "–"
    controls["by"].setCurrentText("plate")
    controls["batch"].setCurrentText("–")
    press(qtbot, asking, panel.ask)
    assert "of 2 questions" in panel.statement.text()


@pytest.mark.slow
def test_the_normal_value_stays_chosen(asking, qtbot):
    named_wells(qtbot, asking)
    asking.panel.question.setCurrentText("typical")
    asking.panel.form.controls["normal"].setCurrentText("control")
    asking.viewer.add_labels(grid(), name="P9_drug_w9")
    assert asking.panel.form.controls["normal"].currentText() == "control"


@pytest.mark.parametrize(
    "pattern",
    [
        "{",
        "{index}_*",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("", "{a}{b}", "*", "{1}")
        ),
    ],
)
def test_patterns_that_are_none_are_a_sentence(asking, qtbot, pattern):
    asking.panel.pattern.setText(pattern)
    before = asking.viewer.layers[0].features.copy()
    asking.panel.more.open()
    press(qtbot, asking, asking.panel.add)
    assert said(asking)
    assert asking.viewer.layers[0].features.equals(before)
    asking.viewer.layers.clear()
    asking.panel.pattern.setText("{a}_*")


@pytest.mark.slow
def test_cancel_gives_the_window_back_at_once(asking, qtbot):
    rng = np.random.default_rng(0)
    n = 6000
    columns = {f"view {i + 1}": one for i, one in enumerate(rng.normal(size=(40, n)))}
    features = {"index": np.arange(1, n + 1), **columns}
    for layer in list(asking.viewer.layers):
        layer.visible = False
    layer = asking.viewer.add_labels(np.arange(n + 1)[None], features=features)
    asking.panel.question.setCurrentText("typical")
    qtbot.mouseClick(asking.panel.ask, Qt.MouseButton.LeftButton)
    assert asking.running
    worker = asking._worker
    qtbot.mouseClick(asking.panel.cancel, Qt.MouseButton.LeftButton)
    assert not asking.running
    qtbot.waitUntil(lambda: not worker.is_running, timeout=2000)
    assert asking.panel.ask.isEnabled()
    assert said(asking) == "Cancelled."
    press(qtbot, asking, asking.panel.ask)
    assert f"n = {n} objects" in asking.panel.statement.text()
    asking.viewer.layers.remove(layer)


def test_no_text_is_cut_when_a_section_opens(asking, qtbot):
    def whole():
        texts = [one for one in asking.findChildren(QLabel) if one.isVisible()]
        return all(one.height() >= one.heightForWidth(one.width()) for one in texts)

    asking.panel.question.setCurrentText("typical")
    press(qtbot, asking, asking.panel.ask)
    qtbot.waitUntil(whole, timeout=2000)
    for _ in range(2):
        qtbot.mouseClick(asking.panel.more.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(whole, timeout=2000)


def test_undo_goes_on_where_layers_are_gone(asking, qtbot):
    first, *others = asking.viewer.layers
    asking.viewer.layers.selection.active = first
    first.selected_label = 3
    asking.panel.name.setText("it")
    press(qtbot, asking, asking.panel.name_it)
    asking.viewer.layers.remove(first)
    press(qtbot, asking, asking.panel.undo)
    assert not asking.panel.undo.isEnabled()
    assert all("named" not in layer.features for layer in others)


def test_background_stays_clear_and_columns_of_two_types_are_coloured():
    plain = Labels(grid(), features={"kind": np.arange(N + 1) % 2})  # without index
    worded = Labels(grid(), features={"index": np.arange(1, N + 1), "kind": ["1"] * N})
    show_all(ViewerModel(), [plain, worded], "kind")
    assert plain.colormap.map(0)[..., 3] == 0
    assert worded.colormap.map(0)[..., 3] == 0
    np.testing.assert_array_equal(plain.get_color(3), worded.get_color(3))
